//! The compose configuration, read again only when its files change.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use tokio::time::Instant;

use super::{CONFIG_MAX_AGE, CONFIG_RETRY, ComposeCli, ComposeError, ComposeService, check};
use crate::api::stack::Compose;

/// Remembers [`ComposeCli::config`] until a compose or env file changes (time of change, size, inode), or the project does. Two
/// processes are too much for every container event.
#[derive(Debug)]
pub struct ConfigCache {
    cli: ComposeCli,
    good: Option<Arc<BTreeMap<String, ComposeService>>>,
    /// Every service of the files as they were last read, or why Compose did not say; once somebody wanted to know.
    all: Option<Result<Arc<BTreeSet<String>>, ComposeError>>,
    last: Option<Reading>,
}

/// The last time the files were read.
#[derive(Debug)]
struct Reading {
    stamp: Stamp,
    at: Instant,
    failure: Option<ComposeError>,
}

#[derive(Debug, PartialEq)]
struct Stamp {
    compose: Compose,
    /// For each file: time of change in ns, size, inode; none when it cannot be looked at.
    files: Vec<Option<(i128, u64, u64)>>,
}

impl ConfigCache {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(cli: ComposeCli) -> Self {
        Self { cli, good: None, all: None, last: None }
    }

    /// The configuration: from memory when nothing changed, else by running Compose.
    ///
    /// # Errors
    /// Any [`ComposeError`]; the same one for [`CONFIG_RETRY`] as long as the files stay as they are.
    pub async fn get(&mut self, compose: &Compose) -> Result<Arc<BTreeMap<String, ComposeService>>, ComposeError> {
        check(compose)?;
        // Looked at before the files are read, so that a change meanwhile is seen the next time.
        let stamp = stamp(&self.cli, compose).await;
        if let Some(last) = &self.last
            && last.stamp == stamp
        {
            match (&last.failure, &self.good) {
                (Some(failure), _) if last.at.elapsed() < CONFIG_RETRY => return Err(failure.clone()),
                (None, Some(good)) if last.at.elapsed() < CONFIG_MAX_AGE => return Ok(good.clone()),
                _ => {}
            }
        }
        if self.last.as_ref().is_some_and(|last| last.stamp.compose != *compose) {
            self.good = None;
        }
        self.all = None;
        let result = self.cli.config(compose).await.map(Arc::new);
        self.last = Some(Reading { stamp, at: Instant::now(), failure: result.as_ref().err().cloned() });
        if let Ok(good) = &result {
            self.good = Some(good.clone());
        }
        result
    }

    /// The names of all services of the files that [`ConfigCache::get`] read last, those of profiles that are not enabled too; absent
    /// when that cannot be found out. Compose runs for it once for each reading, and only when somebody asks.
    pub async fn services(&mut self, compose: &Compose) -> Option<Arc<BTreeSet<String>>> {
        if self.last.as_ref().is_none_or(|last| last.failure.is_some() || last.stamp.compose != *compose) {
            return None;
        }
        if self.all.is_none() {
            self.all = Some(self.cli.services(compose).await.map(Arc::new));
        }
        self.all.as_ref()?.as_ref().ok().cloned()
    }

    /// The last good configuration, without looking at the disk.
    #[must_use]
    pub fn peek(&self) -> Option<Arc<BTreeMap<String, ComposeService>>> {
        self.good.clone()
    }
}

async fn stamp(cli: &ComposeCli, compose: &Compose) -> Stamp {
    let default_env = [".env".to_owned()];
    let env_files = if compose.env_files.is_empty() { &default_env[..] } else { &compose.env_files[..] };
    let mut files = Vec::new();
    for file in compose.files.iter().chain(env_files) {
        let path = format!("{}/{file}", compose.directory);
        let meta = cli.on_disk(move || std::fs::metadata(path)).await.ok();
        files.push(meta.map(|m| (i128::from(m.mtime()) * 1_000_000_000 + i128::from(m.mtime_nsec()), m.size(), m.ino())));
    }
    Stamp { compose: compose.clone(), files }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_stamp_moves_with_the_files_and_the_project() {
        let dir = tempfile::tempdir().unwrap();
        let cli = ComposeCli::new("/nonexistent.sock");
        let directory = dir.path().to_str().unwrap().to_owned();
        let mut compose: Compose = serde_json::from_value(serde_json::json!({"project": "p", "directory": directory,
            "files": ["compose.yaml", "site.yaml"], "envFiles": ["site.env"], "profiles": ["intel"]}))
        .unwrap();
        let none = stamp(&cli, &compose).await;
        assert_eq!(none.files, [None, None, None]);
        std::fs::write(dir.path().join("compose.yaml"), "services: {}").unwrap();
        let one = stamp(&cli, &compose).await;
        assert_ne!(none, one);
        assert_eq!(one, stamp(&cli, &compose).await);
        std::fs::write(dir.path().join("site.env"), "A=1").unwrap();
        assert_ne!(one, stamp(&cli, &compose).await);
        let before = stamp(&cli, &compose).await;
        compose.profiles.clear();
        assert_ne!(before, stamp(&cli, &compose).await);
    }
}
