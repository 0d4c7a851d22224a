//! Copies all objects from one store into another, and says so only of a copy that is whole.
//!
//! ```text
//!  source ── all keys at ONE revision, but leaders' ──▶ target, which holds nothing yet
//!    │         page by page, a batch a transaction,        │
//!    │         each key only if it is not there            │
//!    ├── 1. is the target byte for byte that revision? ◀───┤
//!    └── 2. is the source still as it was then?            │
//!                     no, or an error: ── undo ──▶ removes what was written, and nothing else
//! ```
//!
//! Guarantees: a copy that succeeded holds every key and value of the source, which did not change meanwhile; the source is only
//! read; what others wrote on the target is never removed. Assumptions: the controllers of both stores are stopped; on the
//! source, a change by one that is not is found out. Caveats: revisions, and with them resourceVersions, begin anew on the
//! target; an undo needs a target that answers, and says so when it had none.
//!
//! Keys with a lease, which are Events, get one with the time that theirs has left, one for each lease of the source. Leaders'
//! keys are left out: they stand for processes that live on their leases, and would keep others from leading.

mod pages;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use etcd_client::{GetOptions, ResponseHeader};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{Store, error};
use pages::{Entry, Join, Pages, Pair};

/// Writes of a transaction. etcd takes 128 (`--max-txn-ops`).
const BATCH_KEYS: usize = 100;

/// Bytes of a transaction, unless one object alone has more. etcd takes 1.5 MiB (`--max-request-bytes`) with all that goes
/// around keys and values.
const BATCH_BYTES: usize = 1024 * 1024;

/// Seconds that a lease must have left for its keys to be copied: with fewer it could end between being granted on the target
/// and being used there, and what it holds would be gone before anybody looks.
const WORTHWHILE: i64 = 5;

/// How often an undo looks for what it has to remove: to remove it, to find that nothing is left, and once more if somebody
/// was in between.
const UNDO_PASSES: usize = 3;

/// How long an undo waits for a target that does not answer. A connection that has died without a word is given up after 12 s,
/// by its keep-alives, and made anew then.
const UNDO_PATIENCE: Duration = Duration::from_secs(30);

/// Why a copy was not made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// One of the stores does not answer, or refuses. It says which and why.
    #[error(transparent)]
    Store(#[from] error::Error),
    /// The source is empty. Look at its address and prefix.
    #[error("there is nothing to copy: {url} holds nothing under {root}/")]
    Nothing {
        /// The source.
        url: String,
        /// Where was looked.
        root: String,
    },
    /// The target is in use. Copy into one that is empty.
    #[error("{url} is not empty: it holds {key}")]
    Occupied {
        /// The target.
        url: String,
        /// The first key.
        key: String,
    },
    /// Somebody wrote on the source during the copy. Stop the controllers, and copy again.
    #[error("{key} was changed in {url} during the copy; stop the controllers first")]
    Changed {
        /// The source.
        url: String,
        /// What was created, changed or deleted.
        key: String,
    },
    /// The target is not what was written. Stop whoever writes there, and copy again into a store that is empty.
    #[error("the copy in {url} is not what it should be: {key} {what}")]
    Differs {
        /// The target.
        url: String,
        /// The key.
        key: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A key is not text. No object has such a key; other hands wrote it.
    #[error("{url} holds a key that is not an object's: {key}")]
    NotText {
        /// The store.
        url: String,
        /// The key, escaped.
        key: String,
    },
    /// A store forgot the revision that is read before the copy was done. Copy again.
    #[error("{url} no longer has the revision that is copied; try again")]
    Compacted {
        /// The store.
        url: String,
    },
    /// The caller wanted no more of it.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    fn of(store: &Store, error: error::Error) -> Self {
        match error {
            error::Error::Expired => Self::Compacted { url: store.url.to_string() },
            other => Self::Store(other),
        }
    }
}

/// A copy that failed, and what became of what it had written.
#[derive(Debug)]
pub struct Failure {
    /// Why.
    pub cause: Error,
    /// What is left.
    pub undone: Undone,
}

/// What became of what a failed copy had written.
#[derive(Debug, PartialEq, Eq)]
pub enum Undone {
    /// It is gone: so many keys were removed.
    Removed(usize),
    /// It could not be removed, at least not all of it.
    Left {
        /// How many keys were written.
        written: usize,
        /// Why they could not be removed.
        reason: String,
    },
}

/// What was copied, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Keys, and the bytes of their keys without prefix and values, by what comes before the first `/`: the plural of a kind,
    /// with `.status` for what controllers wrote.
    pub kinds: BTreeMap<String, Amount>,
    /// Leases that keys of it are bound to.
    pub leases: usize,
    /// Keys of leaders, which were left out.
    pub leaders: usize,
    /// Keys whose lease was about to end, which were left out.
    pub lapsed: usize,
    /// The revision of the source that was copied.
    pub source_revision: i64,
    /// The revision of the target at which it was found to be the same; 0 if nothing was written.
    pub target_revision: i64,
}

/// How much there is of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Keys.
    pub keys: usize,
    /// Bytes.
    pub bytes: usize,
}

impl Report {
    /// All kinds together.
    #[must_use]
    pub fn total(&self) -> Amount {
        let add = |sum: Amount, one: &Amount| Amount { keys: sum.keys + one.keys, bytes: sum.bytes + one.bytes };
        self.kinds.values().fold(Amount::default(), add)
    }

    fn count(&mut self, entry: &Entry) {
        let kind = entry.key.split('/').next().unwrap_or_default();
        let amount = self.kinds.entry(kind.to_owned()).or_default();
        amount.keys += 1;
        amount.bytes += entry.size();
    }
}

/// Copies everything, and compares. When `stop` is cancelled it ends as it does on an error.
///
/// # Errors
/// [`Failure`], with what is left of it on the target.
pub async fn copy(source: &Store, target: &Store, stop: &CancellationToken) -> Result<Report, Failure> {
    let untouched = |cause| Failure { cause, undone: Undone::Removed(0) };
    let mut copying = Copying::begin(source, target, stop).await.map_err(untouched)?;
    match copying.run().await {
        Ok(()) => Ok(copying.report),
        Err(cause) => Err(Failure { undone: copying.undo().await, cause }),
    }
}

/// Says what [`copy`] would do, and does nothing.
///
/// # Errors
/// [`Error`], as [`copy`] would fail before it writes.
pub async fn preview(source: &Store, target: &Store, stop: &CancellationToken) -> Result<Report, Error> {
    let mut copying = Copying::begin(source, target, stop).await?;
    let mut pages = copying.source_pages();
    while let Some(entry) = pages.next().await? {
        copying.go_on()?;
        if copying.remaining(entry.lease).await?.is_some() {
            copying.report.count(&entry);
        } else {
            copying.report.lapsed += 1;
        }
    }
    copying.settle()?;
    Ok(copying.report)
}

/// A copy under way.
struct Copying<'a> {
    source: &'a Store,
    target: &'a Store,
    stop: &'a CancellationToken,
    report: Report,
    /// Seconds that leases of the source had left when they were met; `None` for one that was as good as over.
    left: BTreeMap<i64, Option<i64>>,
    /// Leases of the source, and those of the target that stand for them.
    leases: BTreeMap<i64, i64>,
    /// What was written for certain, and at which revision of the target.
    written: BTreeMap<String, i64>,
    /// What was sent last, as long as it is not known whether it was written.
    doubtful: Batch,
}

impl<'a> Copying<'a> {
    /// Looks at both stores, and settles on the revision to copy.
    async fn begin(source: &'a Store, target: &'a Store, stop: &'a CancellationToken) -> Result<Self, Error> {
        let mut found = Pages::new(target, [target.keys.all()], 0).keys_only();
        if let Some(first) = found.next().await? {
            let key = target.keys.absolute(&first.key);
            return Err(Error::Occupied { url: target.url.to_string(), key });
        }
        let (leader, end) = source.keys.leaders();
        let mut client = source.kv();
        let options = GetOptions::new().with_range(end).with_count_only();
        let answer = source.read(async move { client.get(leader, Some(options)).await }).await?;
        let report = Report {
            source_revision: answer.header().map_or(0, ResponseHeader::revision),
            leaders: usize::try_from(answer.count()).unwrap_or(0),
            ..Report::default()
        };
        let (left, leases, written) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Ok(Self { source, target, stop, report, left, leases, written, doubtful: Batch::default() })
    }

    async fn run(&mut self) -> Result<(), Error> {
        self.write().await?;
        self.compare().await?;
        self.source_is_unchanged().await
    }

    /// What is copied of the source.
    fn source_pages(&self) -> Pages {
        Pages::new(self.source, self.source.keys.but_leaders(), self.report.source_revision)
    }

    fn go_on(&self) -> Result<(), Error> {
        if self.stop.is_cancelled() { Err(Error::Interrupted) } else { Ok(()) }
    }

    async fn write(&mut self) -> Result<(), Error> {
        let mut pages = self.source_pages();
        let mut batch = Batch::default();
        while let Some(entry) = pages.next().await? {
            let Some(lease) = self.lease(entry.lease).await? else {
                self.report.lapsed += 1;
                continue;
            };
            if !batch.has_room_for(&entry) {
                self.commit(std::mem::take(&mut batch)).await?;
            }
            self.report.count(&entry);
            batch.bytes += entry.size();
            batch.puts.insert(self.target.keys.absolute(&entry.key), (entry.value, lease));
        }
        if !batch.puts.is_empty() {
            self.commit(batch).await?;
        }
        self.settle()
    }

    /// Finishes the report of what was read.
    fn settle(&mut self) -> Result<(), Error> {
        self.report.leases = self.left.values().flatten().count();
        if self.report.kinds.is_empty() && self.report.lapsed == 0 {
            let root = self.source.keys.root().to_owned();
            return Err(Error::Nothing { url: self.source.url.to_string(), root });
        }
        Ok(())
    }

    async fn commit(&mut self, batch: Batch) -> Result<(), Error> {
        self.go_on()?;
        let mut transaction = self.target.transaction();
        for (key, (value, lease)) in &batch.puts {
            transaction = transaction.put_raw(key.clone(), value.clone(), 0, *lease);
        }
        self.doubtful = batch;
        let outcome = transaction.commit().await;
        let batch = match &outcome {
            Err(error::Error::Ambiguous { .. }) => Batch::default(),
            _ => std::mem::take(&mut self.doubtful),
        };
        match outcome {
            Ok(revision) => {
                self.written.extend(batch.puts.into_keys().map(|key| (key, revision)));
                Ok(())
            }
            Err(error::Error::Conflict { what }) => Err(self.differs(&what, "was written by somebody else")),
            Err(error) => Err(error.into()),
        }
    }

    /// Seconds that a lease of the source has left, 0 for no lease; `None` if its keys are not worth copying any more.
    async fn remaining(&mut self, lease: i64) -> Result<Option<i64>, Error> {
        if lease == 0 {
            return Ok(Some(0));
        }
        if let Some(known) = self.left.get(&lease) {
            return Ok(*known);
        }
        let seconds = Some(time_to_live(self.source, lease).await?).filter(|seconds| *seconds >= WORTHWHILE);
        self.left.insert(lease, seconds);
        Ok(seconds)
    }

    /// The lease of the target that stands for one of the source, which is granted if there is none yet.
    async fn lease(&mut self, lease: i64) -> Result<Option<i64>, Error> {
        let Some(seconds) = self.remaining(lease).await? else { return Ok(None) };
        if lease == 0 {
            return Ok(Some(0));
        }
        if let Some(known) = self.leases.get(&lease) {
            return Ok(Some(*known));
        }
        let mut client = self.target.client.lease_client();
        let granted = self.target.read(async move { client.grant(seconds, None).await }).await?.id();
        self.leases.insert(lease, granted);
        Ok(Some(granted))
    }

    /// Reads both stores again, side by side.
    async fn compare(&mut self) -> Result<(), Error> {
        // All of the target: a leader there means that somebody works on half a copy.
        let right = Pages::new(self.target, [self.target.keys.all()], 0);
        let mut join = Join { left: self.source_pages(), right };
        while let Some(pair) = join.next().await? {
            self.go_on()?;
            match pair {
                Pair::Both(ours, copied) if self.is_lapsed(&ours) => {
                    return Err(self.differs(&copied.key, "was written by somebody else"));
                }
                Pair::Both(ours, copied) if ours.value != copied.value => {
                    return Err(self.differs(&copied.key, "has another value"));
                }
                Pair::Both(ours, copied) if self.leases.get(&ours.lease).copied().unwrap_or(0) != copied.lease => {
                    return Err(self.differs(&copied.key, "has another lease"));
                }
                Pair::Both(..) => {}
                Pair::Left(ours) if self.is_lapsed(&ours) => {}
                Pair::Left(ours) => {
                    // The time of an Event may well have come since.
                    let ended = match self.leases.get(&ours.lease) {
                        Some(lease) => time_to_live(self.target, *lease).await? < 0,
                        None => false,
                    };
                    if !ended {
                        return Err(self.differs(&ours.key, "is missing"));
                    }
                }
                Pair::Right(copied) => return Err(self.differs(&copied.key, "was written by somebody else")),
            }
        }
        self.report.target_revision = join.right.revision();
        Ok(())
    }

    fn is_lapsed(&self, entry: &Entry) -> bool {
        self.left.get(&entry.lease).is_some_and(Option::is_none)
    }

    fn differs(&self, key: &str, what: &'static str) -> Error {
        let key = if key.starts_with('/') { key.to_owned() } else { self.target.keys.absolute(key) };
        Error::Differs { url: self.target.url.to_string(), key, what }
    }

    /// Compares the source with itself as it was: what controllers do meanwhile would be lost with it.
    async fn source_is_unchanged(&self) -> Result<(), Error> {
        let now = Pages::new(self.source, self.source.keys.but_leaders(), 0).keys_only();
        let mut join = Join { left: self.source_pages().keys_only(), right: now };
        while let Some(pair) = join.next().await? {
            self.go_on()?;
            let key = match pair {
                Pair::Both(then, now) if then.revision == now.revision => continue,
                // Nobody's doing: its time was up.
                Pair::Left(then) if then.lease != 0 && time_to_live(self.source, then.lease).await? < 0 => continue,
                Pair::Left(entry) | Pair::Both(entry, _) | Pair::Right(entry) => entry.key,
            };
            let key = self.source.keys.absolute(&key);
            return Err(Error::Changed { url: self.source.url.to_string(), key });
        }
        Ok(())
    }

    /// Removes what was written from the target.
    async fn undo(&mut self) -> Undone {
        let mut removed = 0;
        let mut reason = "somebody else writes there".to_owned();
        let began = Instant::now();
        let mut passes = 0;
        while passes < UNDO_PASSES {
            let ours = match self.found_of_ours().await {
                Ok(ours) => ours,
                Err(Error::Store(error)) if error.is_transient() && began.elapsed() < UNDO_PATIENCE => {
                    sleep(Duration::from_secs(1)).await;
                    continue;
                }
                Err(error) => return self.left(&error.to_string()),
            };
            passes += 1;
            if ours.is_empty() {
                for lease in std::mem::take(&mut self.leases).into_values() {
                    let mut client = self.target.client.lease_client();
                    // It holds nothing any more, and ends by itself.
                    let _ = self.target.read(async move { client.revoke(lease).await }).await;
                }
                return Undone::Removed(removed);
            }
            for batch in ours.chunks(BATCH_KEYS) {
                let transaction = self.target.transaction();
                let delete = |transaction: super::Transaction, (key, seen): &(String, i64)| {
                    transaction.delete_raw(key.clone(), *seen)
                };
                match batch.iter().fold(transaction, delete).commit().await {
                    Ok(_) => removed += batch.len(),
                    Err(error::Error::Conflict { .. }) => {}
                    Err(error) => reason = error.to_string(),
                }
            }
        }
        self.left(&reason)
    }

    fn left(&self, reason: &str) -> Undone {
        Undone::Left { written: self.written.len() + self.doubtful.puts.len(), reason: reason.to_owned() }
    }

    /// What is on the target and was written by this copy, with the revision of each. What somebody else has written over is
    /// not ours any more. Of what was sent without an answer, the value has to tell.
    async fn found_of_ours(&self) -> Result<Vec<(String, i64)>, Error> {
        let mut pages = Pages::new(self.target, [self.target.keys.all()], 0);
        let mut ours = Vec::new();
        while let Some(found) = pages.next().await? {
            let key = self.target.keys.absolute(&found.key);
            let sent = self.doubtful.puts.get(&key).is_some_and(|put| *put == (found.value, found.lease));
            if sent || self.written.get(&key) == Some(&found.revision) {
                ours.push((key, found.revision));
            }
        }
        Ok(ours)
    }
}

/// What goes into one transaction: values and leases by the keys of the target.
#[derive(Debug, Default)]
struct Batch {
    puts: BTreeMap<String, (Vec<u8>, i64)>,
    bytes: usize,
}

impl Batch {
    fn has_room_for(&self, entry: &Entry) -> bool {
        self.puts.is_empty() || (self.puts.len() < BATCH_KEYS && self.bytes + entry.size() <= BATCH_BYTES)
    }
}

/// Seconds that a lease has left; negative if it has ended.
async fn time_to_live(store: &Store, lease: i64) -> Result<i64, Error> {
    let mut client = store.client.lease_client();
    Ok(store.read(async move { client.time_to_live(lease, None).await }).await?.ttl())
}
