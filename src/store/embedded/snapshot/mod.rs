//! Snapshots as etcd 3.5 makes and takes them (`etcdctl snapshot save`, `status`, `restore`): [`write_snapshot`] and
//! [`read_snapshot`].
//!
//! A snapshot is a [`bolt`] file, a multiple of 512 bytes long, and behind it the 32 bytes of its SHA-256. Its buckets:
//!
//! | bucket | holds | of a written snapshot |
//! |---|---|---|
//! | `alarm` | alarms that are raised | empty |
//! | `auth` | `authRevision`, `authEnabled` | `authRevision` = 1: there is no access control |
//! | `authRoles`, `authUsers` | roles and users | empty |
//! | `cluster` | `clusterVersion` | 3.5.0 |
//! | `key` | [`Revision`] → `mvccpb.KeyValue` | every revision that is not compacted |
//! | `lease` | identifier → `leasepb.Lease` | every lease; which keys have it, the keys say |
//! | `members` | identifier → JSON | [`Member`], which a restore replaces |
//! | `members_removed` | identifier → `removed` | empty |
//! | `meta` | `confState`, `consistent_index`, `term` | [`Contents`]; a restore replaces them |
//! | | `finishedCompactRev`, `scheduledCompactRev` | [`Contents::compacted`], unless nothing is compacted |
//!
//! The current revision is not written anywhere: etcd takes the highest of the last [`Revision`], the compacted one, and 1.
//!
//! What `etcdctl snapshot status` prints: `revision` is the last key of `key`, `totalKey` the number of keys in all buckets,
//! `totalSize` the bytes of the file up to the high-water mark without the trailer, and `hash` a CRC-32C over the name of
//! each bucket followed by its keys and values, in order. Two files with the same keys have the same hash, whatever their
//! pages. With [`Contents`] of the server that made the data, it is that server's hash.

pub mod bolt;
mod lease;
mod read;
mod revision;
mod write;

#[cfg(test)]
mod tests;

use std::io;

pub use lease::Lease;
pub use read::{Snapshot, Trailer, read_snapshot};
pub use revision::Revision;
pub use write::write_snapshot;

/// The revisions' bucket.
const KEYS: &[u8] = b"key";

/// The leases' bucket.
const LEASES: &[u8] = b"lease";

/// The bucket of what etcd knows about its own state.
const META: &[u8] = b"meta";

/// The bucket that says whether there is access control.
const AUTH: &[u8] = b"auth";

/// Bytes of the SHA-256 behind the file.
const DIGEST: usize = 32;

/// What a snapshot is a multiple of, without the SHA-256. A file's length says by this whether it has one.
const SECTOR: u64 = 512;

/// What a snapshot says besides revisions and leases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The revision up to which revisions are compacted; 0 if none are.
    pub compacted: i64,
    /// The last entry of the log that the data contains. A restore begins a new log.
    pub index: u64,
    /// The term of that entry. A restore begins with 1.
    pub term: u64,
    /// The member that the snapshot is of. A restore replaces it.
    pub member: Member,
}

/// The one member of the cluster that a snapshot is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its identifier, as in the headers of its answers.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Where its peers would reach it.
    pub peer_urls: Vec<String>,
}

/// Why a snapshot was not written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system could not read or write a file.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The bbolt file cannot be read: it is damaged, or no such file.
    #[error(transparent)]
    Read(#[from] bolt::read::Error),
    /// The bbolt file cannot be written, or what it should hold is out of order.
    #[error(transparent)]
    Write(#[from] bolt::write::Error),
    /// What revisions and leases come from has failed.
    #[error("cannot read what to write: {0}")]
    Source(Box<dyn std::error::Error + Send + Sync>),
    /// A revision that etcd cannot have was to be written: below 1.0, or not above the one before.
    #[error("revision {0} cannot be where it is")]
    Misplaced(Revision),
    /// The file has no SHA-256. `etcdctl snapshot save` writes one; a copy of a member's `db` has none, and is read with
    /// [`Trailer::Optional`].
    #[error("the file has no SHA-256 at its end: it is a copy of a database, or was cut off")]
    NoTrailer,
    /// The file is neither with nor without a SHA-256 as long as a snapshot can be. It was cut off.
    #[error("a snapshot cannot have {0} bytes")]
    Length(u64),
    /// The SHA-256 at the file's end is not that of the file. It is damaged; take another copy.
    #[error("the file is damaged: its SHA-256 is not the one at its end")]
    Digest,
    /// There is no bucket `key`: a bbolt file, but not etcd's.
    #[error("not an etcd snapshot: no bucket `key`")]
    NotEtcd,
    /// An entry is not what its bucket holds.
    #[error("bucket {bucket}, key {}: {reason}", key.escape_ascii())]
    Entry {
        /// The bucket's name.
        bucket: &'static str,
        /// The entry's key.
        key: Vec<u8>,
        /// What is wrong with it.
        reason: &'static str,
    },
}
