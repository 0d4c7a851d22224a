//! Reading the audit log, and taking out of the store what is kept elsewhere.

use std::time::Duration;

use etcd_client::{EventType, GetOptions, KeyValue, SortOrder, SortTarget, Txn, TxnOp, TxnOpResponse, WatchOptions};
use futures::Stream;

use super::{Head, Lane};
use crate::store::election::Fence;
use crate::store::{Error, REQUEST_TIMEOUT, Store, innermost};

/// Records read at once: a record has about 600 bytes, and etcd's clients take answers of some megabytes.
const PAGE: i64 = 2_000;

/// Records removed at once. etcd takes 128 operations in a transaction unless it is told otherwise (`--max-txn-ops`), and the
/// fence is one condition more.
const REMOVED_AT_ONCE: usize = 100;

/// Wait before a follower that was cut off looks again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The audit log of a store.
#[derive(Clone, Debug)]
pub struct AuditLog {
    store: Store,
}

/// A record as it is stored, whatever it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub key: String,
    /// The number that the key ends with. `None` when it ends otherwise.
    pub seq: Option<u64>,
    /// The store's revision that last changed it.
    pub revision: i64,
    /// What is there.
    pub bytes: Vec<u8>,
}

/// What the head keys say: nothing when there is no such key, and what is there when it is no head.
#[derive(Clone, Debug)]
pub struct Heads {
    /// When.
    pub revision: i64,
    intent: Option<Result<Head, String>>,
    control: Option<Result<Head, String>>,
}

impl Heads {
    /// One lane's.
    #[must_use]
    pub fn of(&self, lane: Lane) -> Option<&Result<Head, String>> {
        match lane {
            Lane::Intent => self.intent.as_ref(),
            Lane::Control => self.control.as_ref(),
        }
    }
}

impl Store {
    /// Its audit log.
    #[must_use]
    pub fn audit(&self) -> AuditLog {
        AuditLog { store: self.clone() }
    }
}

impl AuditLog {
    /// Where the lanes end, and the store's revision at which that was so.
    ///
    /// # Errors
    /// [`Error::Unreachable`].
    pub async fn heads(&self) -> Result<Heads, Error> {
        let txn = Txn::new().and_then(Lane::ALL.map(|lane| TxnOp::get(self.store.keys.audit_head(lane), None)));
        let mut client = self.store.kv();
        let answer = self.store.read(async move { client.txn(txn).await }).await?;
        let revision = answer.header().map_or(0, etcd_client::ResponseHeader::revision);
        let mut found =
            answer.op_responses().into_iter().map(|op| match op {
                TxnOpResponse::Get(mut get) => get.take_kvs().into_iter().next().map(|kv| {
                    serde_json::from_slice(kv.value()).map_err(|_| String::from_utf8_lossy(kv.value()).into_owned())
                }),
                _ => None,
            });
        let (intent, control) = (found.next().flatten(), found.next().flatten());
        Ok(Heads { revision, intent, control })
    }

    /// The lane's records in the store as they were at `revision` (0: as they are), from the one after the key `after` on, in the
    /// order of their keys: some of them, and whether there are more.
    ///
    /// # Errors
    /// [`Error::Unreachable`]; [`Error::Expired`] when that revision is no longer kept.
    pub async fn page(&self, lane: Lane, after: Option<&str>, revision: i64) -> Result<(Vec<Entry>, bool), Error> {
        let (first, end) = self.store.keys.audit_records(lane);
        let from = after.map_or(first, |key| format!("{key}\0"));
        let options = GetOptions::new().with_range(end).with_limit(PAGE).with_revision(revision);
        let mut client = self.store.kv();
        let mut answer = self.store.read(async move { client.get(from, Some(options)).await }).await?;
        let more = answer.more();
        Ok((answer.take_kvs().into_iter().map(entry).collect(), more))
    }

    /// How many of the lane's records are in the store.
    ///
    /// # Errors
    /// [`Error::Unreachable`].
    pub async fn count(&self, lane: Lane) -> Result<u64, Error> {
        let (from, end) = self.store.keys.audit_records(lane);
        let options = GetOptions::new().with_range(end).with_count_only();
        let mut client = self.store.kv();
        let answer = self.store.read(async move { client.get(from, Some(options)).await }).await?;
        Ok(u64::try_from(answer.count()).unwrap_or(0))
    }

    /// The newest records of a lane, oldest first.
    ///
    /// # Errors
    /// [`Error::Unreachable`].
    pub async fn newest(&self, lane: Lane, count: i64) -> Result<Vec<Entry>, Error> {
        let (from, end) = self.store.keys.audit_records(lane);
        let options = GetOptions::new().with_range(end).with_sort(SortTarget::Key, SortOrder::Descend).with_limit(count);
        let mut client = self.store.kv();
        let mut answer = self.store.read(async move { client.get(from, Some(options)).await }).await?;
        Ok(answer.take_kvs().into_iter().rev().map(entry).collect())
    }

    /// Removes records that are kept elsewhere, if they are still what was read. Only while that leader leads.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the fence is down or one of them has changed; those before it may be gone.
    pub async fn remove(&self, entries: &[Entry], fence: &Fence) -> Result<(), Error> {
        for some in entries.chunks(REMOVED_AT_ONCE) {
            let mut transaction = self.store.transaction().fence(fence);
            for entry in some {
                transaction = transaction.delete_raw(entry.key.clone(), entry.revision);
            }
            transaction.commit().await?;
        }
        Ok(())
    }

    /// Every record that is added to a lane after `revision`, for ever. After an interruption it goes on where it was.
    pub fn follow(&self, lane: Lane, revision: i64) -> impl Stream<Item = Entry> + Send + use<> {
        let log = self.clone();
        futures::stream::unfold(Follower { log, lane, revision, stream: None, waiting: Vec::new() }, |mut follower| async {
            let entry = follower.next().await;
            Some((entry, follower))
        })
    }
}

struct Follower {
    log: AuditLog,
    lane: Lane,
    /// Everything up to it has been seen.
    revision: i64,
    stream: Option<etcd_client::WatchStream>,
    /// Last first.
    waiting: Vec<Entry>,
}

impl Follower {
    async fn next(&mut self) -> Entry {
        loop {
            if let Some(entry) = self.waiting.pop() {
                return entry;
            }
            if let Err(error) = self.wait().await {
                tracing::warn!(%error, lane = %self.lane, "the audit log cannot be followed; trying again");
                self.stream = None;
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
    }

    async fn wait(&mut self) -> Result<(), Error> {
        let store = &self.log.store;
        let broken = |e: &etcd_client::Error| store.unreachable(&innermost(e));
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let (from, end) = store.keys.audit_records(self.lane);
                let options = WatchOptions::new().with_range(end).with_start_revision(self.revision + 1);
                let mut client = store.watches();
                let opened = tokio::time::timeout(REQUEST_TIMEOUT, client.watch(from, Some(options))).await;
                let opened = opened.map_err(|_| store.unreachable("the watch was not opened in time"))?;
                self.stream.insert(opened.map_err(|e| broken(&e))?)
            }
        };
        let response = stream.message().await.map_err(|e| broken(&e))?;
        let response = response.ok_or_else(|| store.unreachable("the watch ended"))?;
        if response.canceled() {
            self.stream = None;
            // What was compacted meanwhile cannot be followed any more; what comes after it can.
            self.revision = self.revision.max(response.compact_revision() - 1);
            return Ok(());
        }
        for event in response.events().iter().rev() {
            if let (EventType::Put, Some(kv)) = (event.event_type(), event.kv()) {
                self.revision = self.revision.max(kv.mod_revision());
                self.waiting.push(entry(kv.clone()));
            }
        }
        Ok(())
    }
}

fn entry(kv: KeyValue) -> Entry {
    let revision = kv.mod_revision();
    let (key, bytes) = kv.into_key_value();
    let key = String::from_utf8_lossy(&key).into_owned();
    let seq = key.rsplit('/').next().filter(|digits| digits.len() == 20).and_then(|digits| digits.parse().ok());
    Entry { key, seq, revision, bytes }
}
