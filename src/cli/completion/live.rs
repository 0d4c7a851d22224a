//! What only the store knows. Asked while somebody types: there is little time, and silence when there is no answer.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use super::super::Error;
use super::super::config::file::ConfigFile;
use super::super::config::resolve::Chosen;
use super::super::kind::{Kind, name_of};
use crate::clock::Clock;
use crate::store::ListParams;

/// How long a shell may be kept waiting: what takes longer is felt as a pause in typing.
const PATIENCE: Duration = Duration::from_millis(300);

/// The most objects that are read for their names: what an embedded store gives within [`PATIENCE`].
const MOST: u32 = 5_000;

/// Names of the objects of a kind, at that store.
#[must_use]
pub(super) fn names(kind: &Kind, store: &Chosen) -> Vec<String> {
    objects(kind, store).iter().map(|object| name_of(object).to_owned()).collect()
}

/// Types of the conditions that objects of a kind have.
#[must_use]
pub(super) fn conditions(kind: &Kind, store: &Chosen) -> BTreeSet<String> {
    let objects = objects(kind, store);
    let all = objects.iter().filter_map(|object| object.pointer("/status/conditions")?.as_array()).flatten();
    all.filter_map(|condition| Some(condition.get("type")?.as_str()?.to_owned())).collect()
}

fn objects(kind: &Kind, store: &Chosen) -> Vec<Value> {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return Vec::new() };
    let asked = runtime.block_on(async {
        tokio::time::timeout(PATIENCE, async {
            let store = store.connect(Clock::system()).await?;
            kind.list(&store, &ListParams { limit: Some(MOST), ..ListParams::default() }).await
        })
        .await
    });
    // A name that is still being looked up would hold the runtime, and with it the shell.
    runtime.shutdown_background();
    match asked {
        Ok(Ok(objects)) => objects,
        Ok(Err::<_, Error>(_)) | Err(_) => Vec::new(),
    }
}

/// Names of the contexts of the configuration file.
#[must_use]
pub(super) fn contexts() -> Vec<String> {
    let contexts = ConfigFile::locate(|name| std::env::var_os(name)).read().unwrap_or_default();
    contexts.all.into_iter().map(|context| context.name).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::config::resolve::Reason;
    use super::*;
    use crate::store::Tls;
    use std::time::Instant;

    #[test]
    fn without_a_store_there_is_silence_and_soon() {
        let began = Instant::now();
        let kind = Kind::find("ws").unwrap();
        let directory = tempfile::tempdir().unwrap();
        let at = |url: String| Chosen { url: url.parse().unwrap(), tls: Tls::default(), reason: Reason::Flag };
        assert_eq!(names(&kind, &at(format!("unix://{}/none", directory.path().display()))), Vec::<String>::new());
        // It accepts connections and says nothing.
        let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(names(&kind, &at(format!("http://{}", deaf.local_addr().unwrap()))), Vec::<String>::new());
        // Far over PATIENCE, and far under what the store's own limits are.
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    }
}
