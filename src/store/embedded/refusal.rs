//! Why a request is not carried out, in etcd's own codes and words: its clients tell refusals apart by them
//! (etcd: `api/v3rpc/rpctypes/error.go`).

use tonic::{Code, Status};

use crate::store::audit::{Lane, NOT_THE_SIGNER};

/// A request that changed nothing, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("etcdserver: key is not provided")]
    EmptyKey,
    /// `ignore_value` or `ignore_lease` for a key that does not exist, or an operation of a transaction that says nothing.
    #[error("etcdserver: key not found")]
    KeyNotFound,
    #[error("etcdserver: value is provided")]
    ValueProvided,
    #[error("etcdserver: lease is provided")]
    LeaseProvided,
    #[error("etcdserver: too many operations in txn request")]
    TooManyOps,
    #[error("etcdserver: duplicate key given in txn request")]
    DuplicateKey,
    #[error("etcdserver: invalid sort option")]
    InvalidSort,
    /// A comparison by an operator or of a field that nobody knows.
    #[error("etcdserver: invalid comparison in txn request")]
    InvalidCompare,
    #[error("etcdserver: request is too large")]
    TooLarge,
    #[error("etcdserver: mvcc: required revision has been compacted")]
    Compacted,
    #[error("etcdserver: mvcc: required revision is a future revision")]
    FutureRevision,
    #[error("etcdserver: mvcc: database space exceeded")]
    NoSpace,
    /// More waits for the disk than may. What was asked was not begun.
    #[error("etcdserver: too many requests")]
    TooManyRequests,
    #[error("etcdserver: requested lease not found")]
    LeaseNotFound,
    #[error("etcdserver: lease already exists")]
    LeaseExists,
    #[error("etcdserver: too large lease TTL")]
    LeaseTtlTooLarge,
    /// A record of the audit log that bears another's user id.
    #[error("etcdserver: permission denied: {} {named}, and {} writes it", NOT_THE_SIGNER, peer_name(*.peer))]
    NotTheSigner {
        /// Whom it names.
        named: u32,
        /// Who writes it, where that is known.
        peer: Option<u32>,
    },
    /// A record of the audit log in the name of who does not write that lane.
    #[error("etcdserver: permission denied: an audit record of {0} names who does not write that lane")]
    NotOfTheLane(Lane),
    /// What a store for one host does not have.
    #[error("the embedded store does not support {0}")]
    Unsupported(&'static str),
    /// A snapshot could not be made: there is no room for it in the directory of temporary files, most likely.
    #[error("the snapshot could not be made: {0}")]
    Snapshot(String),
    /// The file can no longer be read or written. Nothing more is acknowledged; a restart opens what was.
    #[error("the store has stopped: {0}")]
    Stopped(String),
}

fn peer_name(peer: Option<u32>) -> String {
    peer.map_or_else(|| "somebody elsewhere".to_owned(), |uid| format!("user id {uid}"))
}

impl From<redb::StorageError> for Refusal {
    fn from(error: redb::StorageError) -> Self {
        Self::Stopped(error.to_string())
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal {
            Refusal::EmptyKey
            | Refusal::KeyNotFound
            | Refusal::ValueProvided
            | Refusal::LeaseProvided
            | Refusal::TooManyOps
            | Refusal::DuplicateKey
            | Refusal::InvalidSort
            | Refusal::InvalidCompare
            | Refusal::TooLarge => Code::InvalidArgument,
            Refusal::Compacted | Refusal::FutureRevision | Refusal::LeaseTtlTooLarge => Code::OutOfRange,
            Refusal::NoSpace | Refusal::TooManyRequests => Code::ResourceExhausted,
            Refusal::LeaseNotFound => Code::NotFound,
            Refusal::LeaseExists => Code::FailedPrecondition,
            Refusal::Unsupported(_) => Code::Unimplemented,
            Refusal::NotTheSigner { .. } | Refusal::NotOfTheLane(_) => Code::PermissionDenied,
            Refusal::Snapshot(_) => Code::Internal,
            Refusal::Stopped(_) => Code::Unavailable,
        };
        Self::new(code, refusal.to_string())
    }
}
