//! `version`: of this program, and of the store it would talk to.

use std::io::{self, Write};

use clap::Args;
use serde_json::{Value, json};

use super::print;
use super::{Error, Io};
use crate::api::API_VERSION;
use crate::store::Store;

/// Arguments of `version`.
#[derive(Debug, Args)]
pub struct Version {
    /// Do not ask the store
    #[arg(long)]
    client: bool,
    /// One document instead of lines: json or yaml
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<String>,
}

impl Version {
    /// Whether it wants to know the store's too.
    #[must_use]
    pub fn asks_the_store(&self) -> bool {
        !self.client
    }

    /// Prints them. That the store does not answer is told after what is known without it.
    ///
    /// # Errors
    /// [`Error::Usage`] for a format that is none; the store's and the output's.
    pub async fn run(&self, store: Option<&Store>, io: &mut Io<'_>) -> Result<(), Error> {
        let write = match self.output.as_deref() {
            None => None,
            Some("json") => Some(print::json::pretty as fn(&mut dyn Write, &Value) -> io::Result<()>),
            Some("yaml") => Some(print::yaml::document as _),
            Some(_) => return Err(Error::Usage("--output must be 'yaml' or 'json'".to_owned())),
        };
        let Some(write) = write else {
            writeln!(io.out, "Client Version: v{}", env!("CARGO_PKG_VERSION"))?;
            writeln!(io.out, "API Version: {API_VERSION}")?;
            io.out.flush()?;
            if let Some(store) = store {
                writeln!(io.out, "Store Version: etcd {} at {}", store.version().await?, store.url())?;
            }
            return Ok(());
        };
        let (told, failed) = match store {
            None => (None, None),
            Some(store) => match store.version().await {
                Ok(version) => (Some(json!({"version": version, "url": store.url().to_string()})), None),
                Err(e) => (None, Some(e)),
            },
        };
        let document = document(told);
        write(io.out, &document)?;
        failed.map_or(Ok(()), |e| Err(e.into()))
    }
}

/// kubectl's document, with what there is to tell here: no build date or platform, which would differ between builds of one
/// source.
fn document(store: Option<Value>) -> Value {
    let mut document = json!({"clientVersion": {
        "major": env!("CARGO_PKG_VERSION_MAJOR"),
        "minor": env!("CARGO_PKG_VERSION_MINOR"),
        "gitVersion": format!("v{}", env!("CARGO_PKG_VERSION")),
        "apiVersion": API_VERSION,
    }});
    if let Some(store) = store {
        document["storeVersion"] = store;
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Manners;

    async fn printed(output: Option<&str>) -> String {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut io = Io { out: &mut out, err: &mut err, manners: Manners::default() };
        Version { client: true, output: output.map(str::to_owned) }.run(None, &mut io).await.unwrap();
        assert!(err.is_empty());
        String::from_utf8(out).unwrap()
    }

    #[tokio::test]
    async fn each_form_tells_the_same_version() {
        let version = format!("v{}", env!("CARGO_PKG_VERSION"));
        assert_eq!(printed(None).await, format!("Client Version: {version}\nAPI Version: {API_VERSION}\n"));
        let json: Value = serde_json::from_str(&printed(Some("json")).await).unwrap();
        let yaml: Value = serde_saphyr::from_str(&printed(Some("yaml")).await).unwrap();
        assert_eq!(json, yaml);
        assert_eq!(json["clientVersion"]["gitVersion"], version);
        assert_eq!(json.get("storeVersion"), None);
    }

    #[tokio::test]
    async fn another_form_is_refused_in_kubectls_words() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut io = Io { out: &mut out, err: &mut err, manners: Manners::default() };
        let asked = Version { client: true, output: Some("xml".to_owned()) };
        let error = asked.run(None, &mut io).await.unwrap_err();
        assert_eq!(error.to_string(), "error: --output must be 'yaml' or 'json'");
        assert!(out.is_empty());
    }

    #[test]
    fn the_stores_version_is_beside_the_clients() {
        let told = document(Some(json!({"version": "3.6.0", "url": "embedded"})));
        assert_eq!(told["storeVersion"]["version"], "3.6.0");
    }
}
