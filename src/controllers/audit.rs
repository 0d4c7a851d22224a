//! Audit controller: moves old records of the audit log from the store into compressed files of this host's data directory, so
//! that the store stays small. The chain goes through both, and `wicapctl audit verify` reads both.
//!
//! A segment is on the disk before its records leave the store. What is moved is checked first: a lane that is not what was
//! written stays where it is, for people to look at.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::runtime::lead;
use super::{Context, Controller};
use crate::audit::segment;
use crate::store::audit::log::Entry;
use crate::store::audit::{Lane, Record};
use crate::store::election::Fence;
use crate::store::{self, Store};

/// How often the lanes are counted. At a thousand records a minute, which is more than any loop writes for long, a lane grows by
/// a twentieth of what is kept by default.
const LOOK: Duration = Duration::from_secs(60);

/// Records of each lane that stay in the store when nobody says otherwise: about 12 MB, and some weeks of a quiet stack.
pub const KEPT: u64 = 20_000;

/// Runs the audit controller until `shutdown`.
pub async fn run(context: Context, shutdown: CancellationToken) {
    lead(&context.store, Controller::Audit.as_str(), &context.identity, &shutdown, |fence, ending| {
        let context = context.clone();
        async move {
            // Told of once: it will not get better by itself, and the log must not be flooded with it.
            let mut told = BTreeSet::new();
            loop {
                for lane in Lane::ALL {
                    match archive(&context, lane, &fence).await {
                        Ok(()) => {
                            told.remove(&lane);
                        }
                        Err(error @ Error::Store(_)) => {
                            tracing::warn!(%lane, %error, "the audit log is left for the next look");
                        }
                        Err(error) if told.insert(lane) => {
                            tracing::error!(%lane, %error, "old records of the audit log cannot be moved out of the store");
                        }
                        Err(_) => {}
                    }
                }
                tokio::select! {
                    () = ending.cancelled() => return,
                    () = tokio::time::sleep(LOOK) => {}
                }
            }
        }
    })
    .await;
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("the data directory: {0}")]
    Disk(#[from] io::Error),
    #[error("{place} is not what was written there, and nothing is moved: see wicapctl audit verify")]
    Tampered { place: String },
}

/// Moves the oldest records while there are half as many more than are to be kept.
async fn archive(context: &Context, lane: Lane, fence: &Fence) -> Result<(), Error> {
    let at_once = (context.audit_kept / 2).max(1);
    while context.store.audit().count(lane).await? >= context.audit_kept + at_once {
        let entries = oldest(&context.store, lane, at_once).await?;
        let Some(range) = whole(lane, &entries)? else { return Ok(()) };
        let (data_dir, bytes) = (context.data_dir.clone(), entries.iter().map(|e| e.bytes.clone()).collect::<Vec<_>>());
        let written =
            tokio::task::spawn_blocking(move || segment::write(&data_dir, lane, range, bytes.iter().map(Vec::as_slice)));
        let segment = written.await.map_err(io::Error::other)??;
        context.store.audit().remove(&entries, fence).await?;
        let (from, to) = range;
        tracing::info!(%lane, from, to, path = %segment.path.display(), "records of the audit log were moved");
    }
    Ok(())
}

async fn oldest(store: &Store, lane: Lane, count: u64) -> Result<Vec<Entry>, Error> {
    let mut entries: Vec<Entry> = Vec::new();
    let wanted = usize::try_from(count).unwrap_or(usize::MAX);
    loop {
        let (page, more) = store.audit().page(lane, entries.last().map(|e| e.key.as_str()), 0).await?;
        let none = page.is_empty();
        entries.extend(page);
        if !more || none || entries.len() >= wanted {
            entries.truncate(wanted);
            return Ok(entries);
        }
    }
}

/// The numbers of the first and the last of them, when each is what was written and follows the one before it.
fn whole(lane: Lane, entries: &[Entry]) -> Result<Option<(u64, u64)>, Error> {
    let mut range: Option<(u64, u64)> = None;
    let mut previous: Option<String> = None;
    for entry in entries {
        let tampered = || Error::Tampered { place: entry.key.clone() };
        let record = Record::decode(&entry.bytes).map_err(|_| tampered())?;
        let follows = range.is_none_or(|(_, last)| record.seq == last + 1);
        let linked = previous.as_ref().is_none_or(|hash| *hash == record.previous);
        if entry.seq != Some(record.seq)
            || record.lane != lane
            || record.computed_hash() != record.hash
            || !follows
            || !linked
        {
            return Err(tampered());
        }
        range = Some((range.map_or(record.seq, |(first, _)| first), record.seq));
        previous = Some(record.hash);
    }
    Ok(range)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::audit::record::tests::sample;

    type Change = fn(&mut Vec<Entry>);

    fn entries() -> Vec<Entry> {
        let mut previous = String::new();
        (4..8)
            .map(|seq| {
                let record = Record { seq, previous: previous.clone(), ..sample() }.sealed();
                previous.clone_from(&record.hash);
                Entry { key: format!("audit/control/{seq:020}"), seq: Some(seq), revision: 1, bytes: record.encode() }
            })
            .collect()
    }

    #[test]
    fn only_what_hangs_together_is_moved() {
        let good = entries();
        assert_eq!(whole(Lane::Control, &good).unwrap(), Some((4, 7)));
        assert_eq!(whole(Lane::Control, &[]).unwrap(), None);
        let table: &[(&str, Change)] = &[
            ("one is missing", |e| drop(e.remove(2))),
            ("one is altered", |e| e[1].bytes[20] ^= 1),
            ("two change places", |e| e.swap(1, 2)),
            ("one is under another number", |e| e[3].seq = Some(8)),
            ("one is no number's", |e| e[0].seq = None),
        ];
        for (what, change) in table {
            let mut bad = entries();
            change(&mut bad);
            assert!(whole(Lane::Control, &bad).is_err(), "{what}");
        }
        assert!(whole(Lane::Intent, &good).is_err(), "another lane's");
    }
}
