//! The whole audit log, wherever its records are: the segments of this host's data directory, then the store.

use std::path::{Path, PathBuf};

use super::chain::{Checked, LaneCheck};
use super::segment;
use crate::store::audit::{Lane, Mark};
use crate::store::{self, Store};

/// How often it is read from the beginning when the store has forgotten, meanwhile, the moment that it was read at.
const TRIES: usize = 3;

/// Why the log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The data directory.
    #[error("{}: {source}", path.display())]
    Directory {
        /// What cannot be read there.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// What takes the records of a lane.
pub trait Reader {
    /// The next thing that is stored for the lane: the number that its place stands for, where that is, and what is there.
    fn record(&mut self, seq: Option<u64>, place: &str, bytes: &[u8]);

    /// A segment that cannot be read to its end.
    fn unreadable(&mut self, place: &str, reason: &str);
}

impl Reader for LaneCheck {
    fn record(&mut self, seq: Option<u64>, place: &str, bytes: &[u8]) {
        self.read(seq, place, bytes);
    }

    fn unreadable(&mut self, place: &str, reason: &str) {
        LaneCheck::unreadable(self, place, reason);
    }
}

/// Reads a lane as it was at a revision of the store that [`store::audit::log::AuditLog::heads`] has named, oldest record first.
///
/// # Errors
/// The store's, and the data directory's. A segment that cannot be read is the reader's to judge.
pub async fn read(store: &Store, data_dir: &Path, lane: Lane, revision: i64, reader: &mut impl Reader) -> Result<(), Error> {
    // Looked up after that moment: what has left the store since is in both, and what had left before is here.
    let path = segment::directory(data_dir, lane);
    let segments = segment::list(data_dir, lane).map_err(|source| Error::Directory { path, source })?;
    for segment in segments {
        let place = segment.path.display().to_string();
        let outcome = segment.read(|seq, line| reader.record(Some(seq), &place, line));
        if let Err(error) = outcome {
            reader.unreadable(&place, &error.to_string());
        }
    }
    let log = store.audit();
    let mut after = None;
    loop {
        let (entries, more) = log.page(lane, after.as_deref(), revision).await?;
        for entry in &entries {
            reader.record(entry.seq, &entry.key, &entry.bytes);
        }
        after = entries.into_iter().last().map(|entry| entry.key);
        if !more || after.is_none() {
            return Ok(());
        }
    }
}

/// Checks both lanes, as they were at one moment. `noted` are heads that were written down elsewhere.
///
/// # Errors
/// As [`read`].
pub async fn check(store: &Store, data_dir: &Path, noted: &[(Lane, Mark)]) -> Result<Vec<Checked>, Error> {
    let mut tries = 0;
    loop {
        match check_once(store, data_dir, noted).await {
            Err(Error::Store(store::Error::Expired)) if tries < TRIES => tries += 1,
            other => return other,
        }
    }
}

async fn check_once(store: &Store, data_dir: &Path, noted: &[(Lane, Mark)]) -> Result<Vec<Checked>, Error> {
    let heads = store.audit().heads().await?;
    let mut lanes = Vec::new();
    for lane in Lane::ALL {
        let mut check = LaneCheck::new(lane);
        read(store, data_dir, lane, heads.revision, &mut check).await?;
        let noted = noted.iter().find(|(of, _)| *of == lane).map(|(_, mark)| mark);
        lanes.push(check.finish(heads.of(lane), noted));
    }
    Ok(lanes)
}
