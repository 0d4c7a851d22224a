//! Backups: the store as one of etcd's snapshot files, and a store made of such a file.

use std::collections::HashSet;
use std::fs::File;
use std::io::Seek;
use std::path::{Path, PathBuf};

use etcd_client::proto::PbKeyValue as KeyValue;
use prost::Message;
use redb::{Database, Durability, ReadableTable, TableError};

use super::data_dir::DataDir;
use super::refusal::Refusal;
use super::shared::Shared;
use super::snapshot::{self, Contents, Lease, Member, Revision, Trailer, read_snapshot, write_snapshot};
use super::tables::{LEASES, META, NOWHERE, Place, Record, Slot, SlotValue, Tables, View, meta};
use super::writer::number;
use super::{FIRST_REVISION, Options, file};

/// Revisions of a restored file that are written at a time; they are held in memory until then.
const PIECE: usize = 1_000;

/// Why a store was not restored. The data directory has no store then, as before.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is a store already. Name another directory, or move that one away.
    #[error("{} is there: a snapshot is restored into a data directory that has no store", path.display())]
    Exists {
        /// The store's file.
        path: PathBuf,
    },
    /// The file is no snapshot, or damaged.
    #[error("{}: {reason}", path.display())]
    Snapshot {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: snapshot::Error,
    },
    /// It has users and roles, which the embedded store has not: everybody who may use the socket could read everything.
    #[error("{} has access control, which the embedded store has not; disable it before the snapshot is taken", path.display())]
    AccessControl {
        /// The file.
        path: PathBuf,
    },
    /// A key's value in it cannot be read.
    #[error("{}: revision {revision}: {reason}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// Where.
        revision: Revision,
        /// What is wrong with it.
        reason: prost::DecodeError,
    },
    /// The store's file cannot be written.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: Box<redb::Error>,
    },
}

/// What a restored store begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Its newest revision.
    pub revision: i64,
    /// How many revisions of keys there are.
    pub records: usize,
    /// How many leases.
    pub leases: usize,
}

/// Writes what a view shows to a file that has no name and goes with its last handle; returns it at its beginning.
pub(crate) fn save(view: &View, shared: &Shared) -> Result<File, Refusal> {
    let failed = |e: &dyn std::fmt::Display| Refusal::Snapshot(e.to_string());
    let table_failed = |e: TableError| Refusal::Stopped(e.to_string());
    // What a compaction has made unreachable is left out, whether it has been removed or not.
    let mut replaced: HashSet<Place> = HashSet::new();
    for entry in view.revisions.range(..=(view.compacted, i64::MAX))? {
        let (place, value) = entry?;
        let record = Record::decode(place.value(), value.value())?;
        if record.before != NOWHERE {
            replaced.insert(record.before);
        }
        if record.is_deletion() && record.place.0 < view.compacted {
            replaced.insert(record.place);
        }
    }
    let revisions = view.revisions.iter()?.filter_map(|entry| {
        let read = || -> Result<Option<(Revision, Vec<u8>)>, Refusal> {
            let (place, value) = entry?;
            let (place, (_, _, bytes)) = (place.value(), value.value());
            if replaced.contains(&place) {
                return Ok(None);
            }
            let tombstone = Record::decode(place, (0, 0, bytes))?.is_deletion();
            Ok(Some((Revision { main: place.0, sub: place.1, tombstone }, bytes.to_vec())))
        };
        read().transpose()
    });

    let clock = number(&view.transaction.open_table(META).map_err(table_failed)?, meta::CLOCK)?.unwrap_or(0);
    let mut leases = Vec::new();
    for entry in view.transaction.open_table(LEASES).map_err(table_failed)?.iter()? {
        let (id, stored) = entry?;
        let (ttl, end, renewed) = stored.value();
        let remaining = if renewed { ttl } else { (end.saturating_sub(clock) / 1000).clamp(1, ttl) };
        leases.push(Lease { id: id.value(), ttl, remaining });
    }
    leases.sort_by_key(|lease| lease.id.cast_unsigned());

    let contents = Contents {
        compacted: view.compacted.max(0),
        index: view.revision.unsigned_abs(),
        term: 1,
        member: Member {
            id: shared.identity.member,
            name: "default".to_owned(),
            peer_urls: vec!["http://localhost:2380".to_owned()],
        },
    };
    let file = shared.scratch().map_err(|e| failed(&e))?;
    let mut file =
        write_snapshot(file, &contents, revisions, leases.into_iter().map(Ok::<_, Refusal>)).map_err(|e| failed(&e))?;
    file.rewind().map_err(|e| failed(&e))?;
    Ok(file)
}

/// Makes a store of a snapshot that the embedded store or an etcd has written. It appears whole or not at all.
///
/// # Errors
/// [`Error`]; nothing is left behind then.
pub fn restore(file: &Path, directory: &DataDir, trailer: Trailer) -> Result<Restored, Error> {
    let store = directory.file();
    if store.symlink_metadata().is_ok() {
        return Err(Error::Exists { path: store });
    }
    let unfinished = store.with_extension("restoring");
    let _ = std::fs::remove_file(&unfinished);
    let broken = |reason: redb::Error| Error::File { path: store.clone(), reason: Box::new(reason) };
    let done = build(file, &unfinished, trailer, &broken)
        .and_then(|restored| directory.begin_with(&unfinished).map(|()| restored).map_err(|e| broken(e.into())));
    if done.is_err() {
        let _ = std::fs::remove_file(&unfinished);
    }
    done
}

fn build(file: &Path, to: &Path, trailer: Trailer, broken: &dyn Fn(redb::Error) -> Error) -> Result<Restored, Error> {
    let bad = |reason| Error::Snapshot { path: file.to_owned(), reason };
    let mut from = read_snapshot(file, trailer).map_err(bad)?;
    if from.has_access_control() {
        return Err(Error::AccessControl { path: file.to_owned() });
    }
    let compacted = from.compacted();
    let database = file::create(to, &Options::default()).map_err(broken)?;

    let mut restored = Restored { revision: compacted.max(FIRST_REVISION), records: 0, leases: 0 };
    let mut piece = Vec::with_capacity(PIECE);
    for entry in from.revisions().map_err(bad)? {
        let (revision, bytes) = entry.map_err(bad)?;
        let kv =
            KeyValue::decode(bytes.as_slice()).map_err(|reason| Error::Value { path: file.to_owned(), revision, reason })?;
        restored.revision = restored.revision.max(revision.main);
        restored.records += 1;
        piece.push((revision, kv, bytes));
        if piece.len() == PIECE {
            add(&database, &mut piece).map_err(broken)?;
        }
    }
    add(&database, &mut piece).map_err(broken)?;
    let mut leases = Vec::new();
    for lease in from.leases().map_err(bad)? {
        leases.push(lease.map_err(bad)?);
    }
    restored.leases = leases.len();
    finish(&database, &leases, compacted, restored.revision).map_err(broken)?;
    Ok(restored)
}

/// Adds revisions that follow those which are there. They are on the disk when [`finish`] has returned, not before.
fn add(database: &Database, piece: &mut Vec<(Revision, KeyValue, Vec<u8>)>) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::None)?;
    {
        let mut tables = Tables::open(&transaction)?;
        for (revision, kv, bytes) in piece.drain(..) {
            let place = (revision.main, revision.sub);
            let slot = Slot { place, create: kv.create_revision, version: kv.version, lease: kv.lease };
            let before =
                tables.keys.insert(kv.key.as_slice(), SlotValue::from(slot))?.map(|old| Slot::from(old.value()).place);
            let before = before.unwrap_or(NOWHERE);
            tables.revisions.insert(place, (before.0, before.1, bytes.as_slice()))?;
        }
    }
    transaction.commit()?;
    Ok(())
}

/// Adds what the revisions do not say, and puts everything on the disk.
fn finish(database: &Database, leases: &[Lease], compacted: i64, revision: i64) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut tables = Tables::open(&transaction)?;
        for lease in leases {
            // Without a checkpoint etcd writes no remaining time: it is all of it.
            let remaining = if lease.remaining > 0 { lease.remaining } else { lease.ttl };
            tables.leases.insert(lease.id, (lease.ttl, remaining.saturating_mul(1000), false))?;
        }
        for entry in tables.keys.iter()? {
            let (key, slot) = entry?;
            let slot = Slot::from(slot.value());
            if slot.version > 0 && slot.lease != 0 {
                tables.attached.insert((slot.lease, key.value()), ())?;
            }
        }
        tables.meta.insert(meta::CLUSTER, rand::random::<i64>())?;
        tables.meta.insert(meta::MEMBER, rand::random::<i64>())?;
        tables.meta.insert(meta::REVISION, revision)?;
        if compacted > 0 {
            // Not swept: an etcd may not have come to the end of its compaction, and left older versions in the file.
            tables.meta.insert(meta::COMPACTED, compacted)?;
        }
    }
    transaction.commit()?;
    Ok(())
}
