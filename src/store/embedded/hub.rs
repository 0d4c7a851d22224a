//! Who watches what, and the hand-over of each commit to them.
//!
//! ```text
//!  writer ──publish──▶ hub ──▶ mailbox of each stream whose watches match ──▶ its connection
//!                       │         full? the watch falls behind from this revision on, and its stream reads history
//!                       └── recent commits: where a watch that has read history joins the present again
//! ```
//!
//! The writer never waits here: a mailbox that is full costs its own watches their place, nobody else anything. A watch joins
//! the present under the same lock under which commits are published, so that it misses none and sees none twice.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use etcd_client::proto::PbWatchResponse;
use tokio::sync::Notify;

use super::index::Index;
use super::span::Span;
use super::tables::Record;
use super::write::Commit;

/// How far watches may be behind in memory; what is further behind is read from the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchLimits {
    /// Commits that may wait to be sent on one stream.
    pub mailbox: usize,
    /// Bytes of them.
    pub mailbox_bytes: usize,
    /// Bytes of recent commits that are kept for watches that join the present.
    pub recent_bytes: usize,
    /// Revisions of history that are read at a time for one watch.
    pub history_records: usize,
    /// Bytes of events of history that are read at a time for one watch.
    pub history_bytes: usize,
    /// What a response of a watch that asked for fragments holds at most, in bytes, unless one event alone has more.
    pub fragment_bytes: usize,
}

impl Default for WatchLimits {
    fn default() -> Self {
        Self {
            mailbox: 1_000,
            mailbox_bytes: 4 * 1024 * 1024,
            recent_bytes: 1024 * 1024,
            history_records: 1_000,
            history_bytes: 1024 * 1024,
            // What a request may hold, as in etcd.
            fragment_bytes: super::service::MAX_MESSAGE_BYTES,
        }
    }
}

/// Answers to requests that may wait on one stream: more than a client asks at a time that makes ten thousand watches and reads.
const ANSWERS: usize = 20_000;

/// One watch, as it was asked for.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // etcd's request has one for each of these, and they are independent.
pub(crate) struct Watch {
    /// Chosen by the client or by us; unique in its stream.
    pub(crate) id: i64,
    pub(crate) span: Span,
    /// Events of earlier revisions are not wanted.
    pub(crate) start: i64,
    pub(crate) no_put: bool,
    pub(crate) no_delete: bool,
    pub(crate) prev_kv: bool,
    pub(crate) fragment: bool,
}

impl Watch {
    /// Whether a change is one of its events.
    pub(crate) fn wants(&self, record: &Record) -> bool {
        record.place.0 >= self.start
            && !(if record.is_deletion() { self.no_delete } else { self.no_put })
            && self.span.contains(&record.kv.key)
    }
}

/// What a stream is to send.
pub(crate) enum Item {
    /// The answer to a request.
    Control(PbWatchResponse),
    /// Some changes of one commit, for one watch.
    Events { watch: Arc<Watch>, commit: Arc<Commit>, chosen: Vec<usize> },
}

impl Item {
    fn size(&self) -> usize {
        match self {
            Self::Control(_) => 0,
            Self::Events { commit, .. } => size(commit),
        }
    }
}

/// A watch that does not get commits from the hub, because it has to read history first.
struct Behind {
    key: u64,
    /// Where to read from.
    next: i64,
    /// What was put into the mailbox before it fell behind goes out first.
    after: u64,
}

#[derive(Default)]
struct Waiting {
    items: VecDeque<Item>,
    /// About how many bytes the commits among them take.
    bytes: usize,
    /// How many of them are answers to requests.
    controls: usize,
    /// How many were ever put in and taken out.
    put: u64,
    taken: u64,
    behind: VecDeque<Behind>,
    /// What was last taken out was history, and not one of them.
    was_history: bool,
    /// A progress response was asked for while a watch was behind.
    progress: bool,
    closed: bool,
}

/// What waits to be sent on one stream.
#[derive(Default)]
pub(crate) struct Mailbox {
    waiting: Mutex<Waiting>,
    wake: Notify,
    /// An answer has been taken out.
    answered: Notify,
}

/// What a stream does next.
pub(crate) enum Next {
    Send(Item),
    /// Read history for this watch, from that revision on.
    CatchUp(u64, Arc<Watch>, i64),
    Wait,
    Closed,
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, item: Item) {
        let mut waiting = self.lock();
        waiting.bytes += item.size();
        waiting.controls += usize::from(matches!(item, Item::Control(_)));
        waiting.items.push_back(item);
        waiting.put += 1;
        drop(waiting);
        self.wake.notify_one();
    }

    /// Answers a request in turn with what else the stream is sent.
    pub(crate) fn answer(&self, response: PbWatchResponse) {
        self.put(Item::Control(response));
    }

    /// Returns when its client has taken most of its answers. One that asks and never reads is not asked for more.
    pub(crate) async fn has_room(&self) {
        while self.lock().controls >= ANSWERS {
            self.answered.notified().await;
        }
    }

    /// Returns when there may be something to do.
    pub(crate) async fn changed(&self) {
        self.wake.notified().await;
    }
}

struct Watcher {
    watch: Arc<Watch>,
    mailbox: Arc<Mailbox>,
    /// Whether commits are handed to it.
    synced: bool,
}

/// All watches of the store.
pub(crate) struct Hub {
    /// The newest revision that was handed over.
    revision: i64,
    recent: VecDeque<Arc<Commit>>,
    recent_bytes: usize,
    watchers: HashMap<u64, Watcher>,
    next_key: u64,
    index: Index,
    pub(crate) limits: WatchLimits,
    closed: bool,
}

impl Hub {
    pub(crate) fn new(revision: i64, limits: WatchLimits) -> Self {
        Self {
            revision,
            recent: VecDeque::new(),
            recent_bytes: 0,
            watchers: HashMap::new(),
            next_key: 0,
            index: Index::default(),
            limits,
            closed: false,
        }
    }

    /// The newest revision that was handed over.
    pub(crate) fn revision(&self) -> i64 {
        self.revision
    }

    /// Hands one commit to all who watch any of it. They come in the order of revisions.
    pub(crate) fn publish(&mut self, commit: &Arc<Commit>) {
        self.revision = commit.revision;
        let mut hits: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (index, record) in commit.records.iter().enumerate() {
            for watcher in self.index.of(&record.kv.key) {
                if self.watchers.get(&watcher).is_some_and(|w| w.synced && w.watch.wants(record)) {
                    hits.entry(watcher).or_default().push(index);
                }
            }
        }
        for (key, chosen) in hits {
            if let Some(watcher) = self.watchers.get_mut(&key) {
                watcher.hand(key, commit, chosen, &self.limits);
            }
        }
        self.remember(commit);
    }

    fn remember(&mut self, commit: &Arc<Commit>) {
        self.recent_bytes += size(commit);
        self.recent.push_back(commit.clone());
        while self.recent_bytes > self.limits.recent_bytes {
            let Some(oldest) = self.recent.pop_front() else { break };
            self.recent_bytes -= size(&oldest);
        }
    }

    /// Adds a watch to a stream. `created` makes its first answer from the revision of this moment: what comes later is an event.
    pub(crate) fn add(&mut self, mailbox: &Arc<Mailbox>, watch: Watch, created: impl FnOnce(i64) -> PbWatchResponse) -> u64 {
        let key = self.next_key;
        self.next_key += 1;
        let watch = Arc::new(watch);
        mailbox.put(Item::Control(created(self.revision)));
        let synced = watch.start > self.revision;
        if !synced {
            mailbox.fall_behind(key, watch.start);
        }
        self.index.add(&watch.span, key);
        self.watchers.insert(key, Watcher { watch, mailbox: mailbox.clone(), synced });
        if self.closed {
            self.close();
        }
        key
    }

    /// Ends a watch. What waits for it is still sent, and then `cancelled`, made from the revision of this moment.
    pub(crate) fn remove(&mut self, key: u64, cancelled: impl FnOnce(i64) -> PbWatchResponse) {
        let Some(watcher) = self.watchers.remove(&key) else { return };
        self.index.remove(&watcher.watch.span, key);
        let progress = watcher.mailbox.no_longer_behind(key);
        watcher.mailbox.put(Item::Control(cancelled(self.revision)));
        // Others may have waited for this one.
        self.progress(&watcher.mailbox, progress);
    }

    /// What a stream does next.
    pub(crate) fn next(&self, mailbox: &Mailbox) -> Next {
        let mut waiting = mailbox.lock();
        let taken = waiting.taken;
        // History is read in turn with what waits, so that neither a busy watch nor a late one keeps the other from its events.
        let history = !std::mem::replace(&mut waiting.was_history, false) || waiting.items.is_empty();
        if history
            && let Some(at) = waiting.behind.iter().position(|behind| behind.after <= taken)
            && let Some(behind) = waiting.behind.remove(at)
            && let Some(watcher) = self.watchers.get(&behind.key)
        {
            let next = Next::CatchUp(behind.key, watcher.watch.clone(), behind.next);
            waiting.behind.push_back(behind);
            waiting.was_history = true;
            return next;
        }
        if let Some(item) = waiting.items.pop_front() {
            waiting.taken += 1;
            waiting.bytes -= item.size();
            if let Item::Control(_) = item {
                waiting.controls -= 1;
                mailbox.answered.notify_one();
            }
            return Next::Send(item);
        }
        if waiting.closed { Next::Closed } else { Next::Wait }
    }

    /// A watch has been sent everything before `next`. It joins the present if what is missing is still here.
    pub(crate) fn caught_up_to(&mut self, key: u64, next: i64) {
        let Some(watcher) = self.watchers.get_mut(&key) else { return };
        let joins = next > self.revision || self.recent.front().is_some_and(|oldest| oldest.revision <= next);
        let mut waiting = watcher.mailbox.lock();
        if !joins {
            if let Some(behind) = waiting.behind.iter_mut().find(|behind| behind.key == key) {
                behind.next = next;
            }
            return;
        }
        drop(waiting);
        let progress = watcher.mailbox.no_longer_behind(key);
        watcher.synced = true;
        for commit in self.recent.iter().filter(|commit| commit.revision >= next) {
            let wanted = |(index, record)| watcher.watch.wants(record).then_some(index);
            let chosen: Vec<usize> = commit.records.iter().enumerate().filter_map(wanted).collect();
            if !chosen.is_empty() {
                watcher.hand(key, commit, chosen, &self.limits);
            }
        }
        let mailbox = watcher.mailbox.clone();
        self.progress(&mailbox, progress);
    }

    /// Says how far a stream is, once none of its watches is behind: a promise that everything before has been sent.
    pub(crate) fn progress(&self, mailbox: &Mailbox, any: bool) {
        if !any {
            return;
        }
        let mut waiting = mailbox.lock();
        if waiting.behind.is_empty() {
            drop(waiting);
            mailbox.put(Item::Control(progress(ALL_WATCHES, self.revision)));
        } else {
            waiting.progress = true;
        }
    }

    /// The same for one watch, unless it is behind or is to begin later.
    pub(crate) fn progress_of(&self, key: u64) {
        let told = |watcher: &&Watcher| watcher.synced && watcher.watch.start <= self.revision + 1;
        let Some(watcher) = self.watchers.get(&key).filter(told) else { return };
        watcher.mailbox.put(Item::Control(progress(watcher.watch.id, self.revision)));
    }

    /// Ends every stream.
    pub(crate) fn close(&mut self) {
        self.closed = true;
        for watcher in self.watchers.values() {
            watcher.mailbox.lock().closed = true;
            watcher.mailbox.wake.notify_one();
        }
    }
}

/// The id under which progress of a whole stream is reported (etcd: `clientv3.InvalidWatchID`).
pub(crate) const ALL_WATCHES: i64 = -1;

fn progress(id: i64, revision: i64) -> PbWatchResponse {
    PbWatchResponse { header: super::write::header(revision), watch_id: id, ..PbWatchResponse::default() }
}

impl Mailbox {
    /// Whether progress was asked for while the last watch was behind that now is not.
    fn no_longer_behind(&self, key: u64) -> bool {
        let mut waiting = self.lock();
        waiting.behind.retain(|behind| behind.key != key);
        waiting.behind.is_empty() && std::mem::take(&mut waiting.progress)
    }

    fn fall_behind(&self, key: u64, next: i64) {
        let mut waiting = self.lock();
        let after = waiting.put;
        waiting.behind.push_back(Behind { key, next, after });
        drop(waiting);
        self.wake.notify_one();
    }
}

impl Watcher {
    fn hand(&mut self, key: u64, commit: &Arc<Commit>, chosen: Vec<usize>, limits: &WatchLimits) {
        if !self.synced {
            return;
        }
        let full = {
            let waiting = self.mailbox.lock();
            waiting.items.len() >= limits.mailbox || waiting.bytes >= limits.mailbox_bytes
        };
        if full {
            self.synced = false;
            self.mailbox.fall_behind(key, commit.revision);
            return;
        }
        self.mailbox.put(Item::Events { watch: self.watch.clone(), commit: commit.clone(), chosen });
    }
}

/// About how many bytes a commit takes.
fn size(commit: &Commit) -> usize {
    commit.records.iter().map(|record| record.kv.key.len() + record.kv.value.len() + 128).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(id: i64, start: i64) -> Watch {
        let span = Span::new(b"k", &[]);
        Watch { id, span, start, no_put: false, no_delete: false, prev_kv: false, fragment: false }
    }

    /// What waits on a stream: the ids of answers, and of those that end a watch a negative number.
    fn waiting(hub: &Hub, mailbox: &Mailbox) -> Vec<i64> {
        let mut all = Vec::new();
        while let Next::Send(Item::Control(response)) = hub.next(mailbox) {
            all.push(if response.canceled { -100 - response.watch_id } else { response.watch_id });
        }
        all
    }

    #[test]
    fn progress_that_waits_for_a_watch_comes_when_that_one_is_ended() {
        let mut hub = Hub::new(9, WatchLimits::default());
        let mailbox = Arc::new(Mailbox::default());
        let created = |id| move |_| PbWatchResponse { watch_id: id, created: true, ..PbWatchResponse::default() };
        hub.add(&mailbox, watch(1, 10), created(1));
        let behind = hub.add(&mailbox, watch(2, 3), created(2));
        hub.progress(&mailbox, true);
        // Nothing may be said of how far the stream is while one of its watches is not there.
        mailbox.lock().was_history = true;
        assert!(matches!(hub.next(&mailbox), Next::Send(Item::Control(first)) if first.watch_id == 1));
        mailbox.lock().was_history = true;
        assert!(matches!(hub.next(&mailbox), Next::Send(Item::Control(second)) if second.watch_id == 2));
        assert!(matches!(hub.next(&mailbox), Next::CatchUp(key, _, 3) if key == behind));
        let ended = |_| PbWatchResponse { watch_id: 2, canceled: true, ..PbWatchResponse::default() };
        hub.remove(behind, ended);
        assert_eq!(waiting(&hub, &mailbox), [-102, ALL_WATCHES]);
        assert!(matches!(hub.next(&mailbox), Next::Wait));
    }
}
