//! What a store answers, without what two equal stores may differ in: the ids of cluster and member, the raft term, and the ids
//! of leases that the store chose.

use std::collections::BTreeMap;

use etcd_client::{
    DeleteResponse, Error, GetResponse, KeyValue, PutResponse, ResponseHeader, SortTarget, TxnOpResponse, TxnResponse,
};

use super::operation::{Bytes, Operation, Range, Step, Txn, chosen};
use super::streams::Notes;

/// A TTL counts down on each side's own clock, in whole seconds.
const TTL_TOLERANCE: i64 = 5;

/// etcd sorts with Go's `sort.Sort`, which keeps keys of equal rank in order only up to this many (its insertion sort's limit).
const STABLE_SORT: i64 = 12;

#[derive(Clone, PartialEq, Eq)]
pub struct Kv {
    pub key: Bytes,
    pub value: Bytes,
    pub create: i64,
    pub modified: i64,
    pub version: i64,
    pub lease: i64,
}

impl std::fmt::Debug for Kv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { key, value, create, modified, version, lease } = self;
        write!(f, "{key:?}={value:?} (create {create}, mod {modified}, version {version}, lease {lease})")
    }
}

/// An answer; `revision` is the header's, `None` without a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Refused {
        code: String,
        message: String,
    },
    Range {
        revision: Option<i64>,
        kvs: Vec<Kv>,
        more: bool,
        count: i64,
    },
    Put {
        revision: Option<i64>,
        previous: Option<Kv>,
    },
    Delete {
        revision: Option<i64>,
        deleted: i64,
        previous: Vec<Kv>,
    },
    Txn {
        revision: Option<i64>,
        succeeded: bool,
        answers: Vec<Answer>,
    },
    Compact {
        revision: Option<i64>,
    },
    Grant {
        revision: Option<i64>,
        lease: i64,
        ttl: i64,
        error: String,
    },
    Revoke {
        revision: Option<i64>,
    },
    KeepAlive {
        revision: Option<i64>,
        lease: i64,
        ttl: i64,
    },
    TimeToLive {
        revision: Option<i64>,
        lease: i64,
        granted: i64,
        remaining: i64,
        keys: Vec<Bytes>,
    },
    Leases {
        revision: Option<i64>,
        leases: Vec<i64>,
    },
    HashKv {
        revision: Option<i64>,
        hash: u32,
        compacted: i64,
    },
    Status {
        revision: Option<i64>,
        version: bool,
        size: bool,
        errors: Vec<String>,
    },
    /// Of each member its name, how many addresses it has for clients, and whether it only learns.
    Members {
        revision: Option<i64>,
        members: Vec<(String, usize, bool)>,
    },
    Defragment {
        revision: Option<i64>,
    },
    /// The kinds of alarms, and whether each is of the member that was asked.
    Alarms {
        revision: Option<i64>,
        alarms: Vec<(i32, bool)>,
    },
    Watch {
        revision: Option<i64>,
        id: i64,
        canceled: bool,
        reason: String,
    },
    Canceled {
        revision: Option<i64>,
    },
    /// What the watches of a stream have said.
    Notes(Notes),
    /// Nothing is answered, or nothing that could be compared.
    Nothing,
}

impl Answer {
    pub fn refused(error: &Error) -> Self {
        match error {
            Error::GRpcStatus(status) => {
                Self::Refused { code: format!("{:?}", status.code()), message: status.message().to_owned() }
            }
            other => Self::Refused { code: "the client's own".to_owned(), message: other.to_string() },
        }
    }

    /// The store's revision by this answer.
    pub fn revision(&self) -> Option<i64> {
        match self {
            Self::Range { revision, .. }
            | Self::Put { revision, .. }
            | Self::Delete { revision, .. }
            | Self::Txn { revision, .. }
            | Self::Revoke { revision } => *revision,
            _ => None,
        }
    }
}

pub fn revision(header: Option<&ResponseHeader>) -> Option<i64> {
    header.map(ResponseHeader::revision)
}

/// The ids that one side chose, in the order in which it did.
#[derive(Default)]
pub struct Leases {
    to_canonical: BTreeMap<i64, i64>,
    to_actual: BTreeMap<i64, i64>,
}

impl Leases {
    pub fn add(&mut self, actual: i64) -> i64 {
        let canonical = chosen(i64::try_from(self.to_actual.len()).unwrap());
        self.to_actual.insert(canonical, actual);
        self.to_canonical.insert(actual, canonical);
        canonical
    }

    pub fn actual(&self, canonical: i64) -> i64 {
        self.to_actual.get(&canonical).copied().unwrap_or(canonical)
    }

    pub fn canonical(&self, actual: i64) -> i64 {
        self.to_canonical.get(&actual).copied().unwrap_or(actual)
    }

    pub fn kv(&self, kv: &KeyValue) -> Kv {
        Kv {
            key: Bytes(kv.key().to_vec()),
            value: Bytes(kv.value().to_vec()),
            create: kv.create_revision(),
            modified: kv.mod_revision(),
            version: kv.version(),
            lease: self.canonical(kv.lease()),
        }
    }

    pub fn range(&self, answer: &GetResponse) -> Answer {
        Answer::Range {
            revision: revision(answer.header()),
            kvs: answer.kvs().iter().map(|kv| self.kv(kv)).collect(),
            more: answer.more(),
            count: answer.count(),
        }
    }

    pub fn put(&self, answer: &PutResponse) -> Answer {
        Answer::Put { revision: revision(answer.header()), previous: answer.prev_key().map(|kv| self.kv(kv)) }
    }

    pub fn delete(&self, answer: &DeleteResponse) -> Answer {
        Answer::Delete {
            revision: revision(answer.header()),
            deleted: answer.deleted(),
            previous: answer.prev_kvs().iter().map(|kv| self.kv(kv)).collect(),
        }
    }

    pub fn txn(&self, answer: &TxnResponse) -> Answer {
        let one = |answer: &TxnOpResponse| match answer {
            TxnOpResponse::Put(put) => self.put(put),
            TxnOpResponse::Get(range) => self.range(range),
            TxnOpResponse::Delete(delete) => self.delete(delete),
            TxnOpResponse::Txn(txn) => self.txn(txn),
        };
        Answer::Txn {
            revision: revision(answer.header()),
            succeeded: answer.succeeded(),
            answers: answer.op_responses().iter().map(one).collect(),
        }
    }
}

/// Whether two answers to one operation say the same. `renewed` is how much more of its time a lease may have on the left,
/// in seconds: etcd gives every lease all of it again when it starts.
pub fn same(operation: &Operation, left: &Answer, right: &Answer, renewed: i64) -> bool {
    match (operation, left, right) {
        (
            Operation::TimeToLive { .. },
            Answer::TimeToLive { remaining: left_remaining, .. },
            Answer::TimeToLive { remaining: right_remaining, .. },
        ) => {
            (-TTL_TOLERANCE..=TTL_TOLERANCE + renewed).contains(&(left_remaining - right_remaining))
                && without_ttl(left) == without_ttl(right)
        }
        (Operation::Range(range), _, _) => same_range(range, left, right),
        (Operation::Txn(txn), _, _) => same_txn(txn, left, right),
        _ => left == right,
    }
}

fn without_ttl(answer: &Answer) -> Answer {
    let mut answer = answer.clone();
    if let Answer::TimeToLive { remaining, .. } = &mut answer {
        *remaining = 0;
    }
    answer
}

fn same_txn(txn: &Txn, left: &Answer, right: &Answer) -> bool {
    match (left, right) {
        (
            Answer::Txn { revision: left_revision, succeeded: left_succeeded, answers: left },
            Answer::Txn { revision: right_revision, succeeded: right_succeeded, answers: right },
        ) => {
            let steps = if *left_succeeded { &txn.success } else { &txn.failure };
            left_revision == right_revision
                && left_succeeded == right_succeeded
                && (left.len(), right.len()) == (steps.len(), steps.len())
                && steps.iter().zip(left.iter().zip(right)).all(|(step, (left, right))| match step {
                    Step::Range(range) => same_range(range, left, right),
                    Step::Txn(txn) => same_txn(txn, left, right),
                    Step::Put(_) | Step::Delete(_) => left == right,
                })
        }
        _ => left == right,
    }
}

/// Keys of equal rank come in no promised order when there are many, and a limit then cuts anywhere among them.
fn same_range(range: &Range, left: &Answer, right: &Answer) -> bool {
    match (left, right) {
        (Answer::Range { kvs: left_kvs, count, more, .. }, Answer::Range { kvs: right_kvs, .. })
            if range.is_sorted() && *count > STABLE_SORT =>
        {
            without_kvs(left) == without_kvs(right)
                && ranks(range, left_kvs) == ranks(range, right_kvs)
                && (*more || by_key(left_kvs) == by_key(right_kvs))
        }
        _ => left == right,
    }
}

fn without_kvs(answer: &Answer) -> Answer {
    let mut answer = answer.clone();
    if let Answer::Range { kvs, .. } = &mut answer {
        kvs.clear();
    }
    answer
}

fn by_key(kvs: &[Kv]) -> Vec<&Kv> {
    let mut kvs: Vec<&Kv> = kvs.iter().collect();
    kvs.sort_by(|a, b| a.key.cmp(&b.key));
    kvs
}

/// What the answer is sorted by, in its order. With the values left out, nothing is known of an order by them.
fn ranks<'a>(range: &Range, kvs: &'a [Kv]) -> Vec<(i64, &'a [u8])> {
    let rank = |kv: &'a Kv| match range.sort {
        Some((SortTarget::Version, _)) => (kv.version, &[][..]),
        Some((SortTarget::Create, _)) => (kv.create, &[][..]),
        Some((SortTarget::Mod, _)) => (kv.modified, &[][..]),
        Some((SortTarget::Value, _)) => (0, kv.value.0.as_slice()),
        Some((SortTarget::Key, _)) | None => (0, kv.key.0.as_slice()),
    };
    kvs.iter().map(rank).collect()
}
