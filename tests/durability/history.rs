//! What was asked of the store, what was answered, and what the store must hold after that.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Instant;

/// A key, and the number that it is given; `None` deletes it. No number is given twice.
pub type Change = (String, Option<u64>);

/// Something that was asked.
#[derive(Clone, Debug)]
pub enum Request {
    /// A put, a deletion or a transaction; all changes in one revision, in this order.
    Write {
        changes: Vec<Change>,
        lease: i64,
    },
    Compact {
        revision: i64,
    },
    Defragment,
    Grant {
        id: i64,
        ttl: i64,
    },
    KeepAlive {
        id: i64,
    },
    Revoke {
        id: i64,
    },
}

impl Request {
    /// What it is called in a count of what was asked.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Write { lease: 1.., .. } => "put with a lease",
            Self::Write { changes, .. } if changes.len() > 1 => "transaction",
            Self::Write { changes, .. } if changes.iter().all(|(_, number)| number.is_none()) => "deletion",
            Self::Write { .. } => "put",
            Self::Compact { .. } => "compaction",
            Self::Defragment => "defragmentation",
            Self::Grant { .. } => "grant of a lease",
            Self::KeepAlive { .. } => "renewal of a lease",
            Self::Revoke { .. } => "revocation of a lease",
        }
    }
}

/// Every kind of request.
pub const KINDS: [&str; 9] = [
    "put",
    "transaction",
    "deletion",
    "put with a lease",
    "compaction",
    "defragmentation",
    "grant of a lease",
    "renewal of a lease",
    "revocation of a lease",
];

/// The value of a number, which says how long it is: one that has lost its end is none.
pub fn value(number: u64, padding: usize) -> String {
    format!("{number} {padding} {}", "x".repeat(padding))
}

/// The number that a value is of, if it is as it was written.
pub fn number(written: &str) -> Option<u64> {
    let mut parts = written.splitn(3, ' ');
    let (number, padding) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    (written == value(number, padding)).then_some(number)
}

/// A request, and whether it was answered before the store was killed. If it was not, it may be carried out or not.
#[derive(Clone, Debug)]
pub struct Sent {
    pub request: Request,
    pub at: Instant,
    /// The revision in the answer's header.
    pub answered: Option<i64>,
}

/// Everything that was asked between a start and the kill after it, by any client.
#[derive(Debug, Default)]
pub struct Log {
    sent: Mutex<Vec<Sent>>,
    /// An answer that the store may not give, whoever kills it.
    broken: Mutex<Option<String>>,
    /// How many requests were answered.
    answers: tokio::sync::watch::Sender<usize>,
}

impl Log {
    /// Writes down a request before it is sent.
    pub fn begin(&self, request: Request) -> usize {
        let mut sent = self.sent.lock().unwrap();
        sent.push(Sent { request, at: Instant::now(), answered: None });
        sent.len() - 1
    }

    pub fn answered(&self, number: usize, revision: i64) {
        self.sent.lock().unwrap()[number].answered = Some(revision);
        self.answers.send_modify(|answers| *answers += 1);
    }

    /// Waits until so many requests were answered.
    pub async fn until_answered(&self, wanted: usize) {
        let mut answers = self.answers.subscribe();
        // The sender lives as long as this.
        let _ = answers.wait_for(|answers| *answers >= wanted).await;
    }

    pub fn broken(&self, what: String) {
        self.broken.lock().unwrap().get_or_insert(what);
    }

    /// What was asked.
    pub fn take(&self) -> Result<Vec<Sent>, String> {
        match self.broken.lock().unwrap().take() {
            Some(broken) => Err(broken),
            None => Ok(std::mem::take(&mut *self.sent.lock().unwrap())),
        }
    }
}

/// A key's newest version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub number: u64,
    pub create: i64,
    pub modified: i64,
    #[allow(clippy::struct_field_names)] // etcd's own name of it.
    pub version: i64,
    pub lease: i64,
}

/// A lease that the store must still have.
#[derive(Clone, Debug)]
pub struct Lease {
    pub ttl: i64,
    /// It was given its whole time not before this.
    pub since: Instant,
}

/// What the store must hold.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub revision: i64,
    pub keys: BTreeMap<String, Version>,
    pub leases: BTreeMap<i64, Lease>,
    /// The newest compaction that was carried out.
    pub compacted: i64,
}

impl Model {
    /// An empty store, as etcd begins.
    pub fn empty() -> Self {
        Self { revision: 1, ..Self::default() }
    }

    /// The keys that end with a lease, in their order.
    pub fn attached(&self, lease: i64) -> Vec<String> {
        self.keys.iter().filter(|(_, version)| version.lease == lease).map(|(key, _)| key.clone()).collect()
    }

    /// What a request changes, with the lease that is put.
    pub fn changes(&self, request: &Request) -> (Vec<Change>, i64) {
        match request {
            Request::Write { changes, lease } => (changes.clone(), *lease),
            Request::Revoke { id } => (self.attached(*id).into_iter().map(|key| (key, None)).collect(), 0),
            _ => (Vec::new(), 0),
        }
    }

    /// Makes the next revision.
    pub fn apply(&mut self, changes: &[Change], lease: i64) {
        self.revision += 1;
        for (key, number) in changes {
            match number {
                None => {
                    self.keys.remove(key);
                }
                Some(number) => {
                    let before = self.keys.get(key);
                    let version = Version {
                        number: *number,
                        create: before.map_or(self.revision, |before| before.create),
                        modified: self.revision,
                        version: before.map_or(0, |before| before.version) + 1,
                        lease,
                    };
                    self.keys.insert(key.clone(), version);
                }
            }
        }
    }
}
