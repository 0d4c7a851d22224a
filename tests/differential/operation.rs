//! What a history is made of. Arguments are absolute: an operation says the same to both sides, except for the ids of leases
//! that a side chose by itself, which are written as [`chosen`] and translated.

use etcd_client::{CompareOp, SortOrder, SortTarget, WatchFilterType};

/// The lease that a side chose the id of, counted from 0; far from every id that is given.
pub const fn chosen(number: i64) -> i64 {
    i64::MIN + 1 + number
}

/// Bytes that are printed as text where they are, and shortened where they are many.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub Vec<u8>);

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = &self.0[..self.0.len().min(40)];
        write!(f, "\"{}\"", shown.escape_ascii())?;
        if shown.len() < self.0.len() {
            write!(f, "…({} bytes)", self.0.len())?;
        }
        Ok(())
    }
}

/// A key and the end of a range, as they are on the wire: no end is one key, the end `\0` is everything from the key on.
#[derive(Clone, Debug)]
pub struct Span {
    pub key: Bytes,
    pub end: Bytes,
}

#[derive(Clone, Debug)]
pub struct Range {
    pub span: Span,
    pub limit: i64,
    pub revision: i64,
    pub sort: Option<(SortTarget, SortOrder)>,
    pub serializable: bool,
    pub keys_only: bool,
    pub count_only: bool,
    pub min_mod: i64,
    pub max_mod: i64,
    pub min_create: i64,
    pub max_create: i64,
}

impl Range {
    /// Whether the answer's order is by something that several keys may share.
    pub fn is_sorted(&self) -> bool {
        self.sort.is_some_and(|(target, _)| target != SortTarget::Key)
    }
}

#[derive(Clone, Debug)]
pub struct Put {
    pub key: Bytes,
    pub value: Bytes,
    pub lease: i64,
    pub prev_kv: bool,
    pub ignore_value: bool,
    pub ignore_lease: bool,
}

#[derive(Clone, Debug)]
pub struct Delete {
    pub span: Span,
    pub prev_kv: bool,
}

/// What a compare looks at, and what it wants there.
#[derive(Clone, Debug)]
pub enum Target {
    Version(i64),
    Create(i64),
    Mod(i64),
    Value(Bytes),
    Lease(i64),
}

#[derive(Clone, Debug)]
pub struct Compare {
    pub span: Span,
    pub target: Target,
    pub operator: CompareOp,
}

#[derive(Clone, Debug)]
pub struct Txn {
    pub compares: Vec<Compare>,
    pub success: Vec<Step>,
    pub failure: Vec<Step>,
}

impl Txn {
    /// Whether it may delete everything from a key on.
    pub fn erases(&self) -> bool {
        self.success.iter().chain(&self.failure).any(|step| match step {
            Step::Delete(delete) => delete.span.end.0 == [0],
            Step::Txn(txn) => txn.erases(),
            Step::Range(_) | Step::Put(_) => false,
        })
    }
}

/// One operation of a transaction.
#[derive(Clone, Debug)]
pub enum Step {
    Range(Range),
    Put(Put),
    Delete(Delete),
    Txn(Txn),
}

#[derive(Clone, Debug)]
pub struct Watch {
    pub span: Span,
    pub start: i64,
    /// 0 leaves the choice to the store.
    pub id: i64,
    pub prev_kv: bool,
    pub filters: Vec<WatchFilterType>,
    pub progress_notify: bool,
    pub fragment: bool,
}

/// One of the changes that are asked for at once.
#[derive(Clone, Debug)]
pub enum Change {
    Put(Put),
    Delete(Delete),
}

#[derive(Clone, Debug)]
pub enum Operation {
    Range(Range),
    Put(Put),
    Delete(Delete),
    Txn(Txn),
    Compact {
        revision: i64,
        physical: bool,
    },
    /// Lease 0 leaves the choice of an id to the store.
    Grant {
        lease: i64,
        ttl: i64,
    },
    /// Granted and revoked at once: a lease so short that it must not stay.
    Brief {
        lease: i64,
        ttl: i64,
    },
    Revoke {
        lease: i64,
    },
    KeepAlive {
        lease: i64,
    },
    TimeToLive {
        lease: i64,
        keys: bool,
    },
    Leases,
    HashKv {
        revision: i64,
    },
    Status,
    Members,
    Defragment,
    Alarms,
    /// Raises or lowers the alarm that the store is full: until it is lowered, whatever needs room is refused.
    Full {
        raised: bool,
    },
    Watch {
        stream: usize,
        watch: Watch,
    },
    Cancel {
        stream: usize,
        id: i64,
    },
    /// Every watch of both sides has said all it has to say.
    Settle,
    /// Asked at the same time over all connections, each of a key of its own.
    Burst(Vec<Change>),
    /// SIGKILL, and started again on the same data.
    Restart,
}
