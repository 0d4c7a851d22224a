//! What etcd promises of watches (<https://etcd.io/docs/v3.5/learning/api_guarantees/>), on the embedded store: whatever is
//! written, however watches begin, break and lag, their events are ordered, unique, atomic, reliable, resumable, bookmarkable
//! and filtered. Everything runs on one thread with a paused clock, and with limits so small that every way an event can take
//! to a watch is taken often.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use etcd_client::{
    Client, DeleteOptions, EventType, PutOptions, Txn, TxnOp, WatchFilterType, WatchOptions, WatchRequestSender,
    WatchResponse, WatchResponseStream,
};
use futures::future::join_all;
use proptest::prelude::*;
use wicap::store::embedded::{Embedded, Options, WatchLimits};

/// One thing that happens in a history.
#[derive(Clone, Debug)]
enum Step {
    /// So many puts at once, of keys that follow this one.
    Burst { key: usize, puts: usize },
    /// One revision that puts some keys and deletes another.
    Txn { puts: BTreeSet<usize>, delete: usize },
    /// Everything from one key up to another is deleted.
    Delete { from: usize, to: usize },
    /// What is older than that share of the history is forgotten.
    Compact { percent: i64 },
    /// A watch begins; 100 percent is now.
    Open(Wanted),
    /// A client takes what is there for one of its streams.
    Read { watch: usize },
    /// A client asks how far a stream is.
    Progress { watch: usize },
    /// A stream breaks, and its client begins another after the last revision that it has seen.
    Break { watch: usize },
}

#[derive(Clone, Debug)]
struct Wanted {
    from: usize,
    /// The key alone, if it is not after the first.
    to: usize,
    percent: i64,
    filters: Vec<WatchFilterType>,
    fragment: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..8_usize;
    let filters = prop_oneof![
        4 => Just(vec![]),
        1 => Just(vec![WatchFilterType::NoPut]),
        1 => Just(vec![WatchFilterType::NoDelete]),
    ];
    let wanted = (key.clone(), 0..9_usize, prop_oneof![Just(100), 0..100_i64], filters, any::<bool>())
        .prop_map(|(from, to, percent, filters, fragment)| Wanted { from, to, percent, filters, fragment });
    prop_oneof![
        6 => (key.clone(), 1..12_usize).prop_map(|(key, puts)| Step::Burst { key, puts }),
        4 => (prop::collection::btree_set(key.clone(), 1..4), key.clone()).prop_map(|(puts, delete)| Step::Txn { puts, delete }),
        2 => (key.clone(), key.clone()).prop_map(|(from, to)| Step::Delete { from, to }),
        1 => (0..100_i64).prop_map(|percent| Step::Compact { percent }),
        3 => wanted.prop_map(Step::Open),
        4 => (0..8_usize).prop_map(|watch| Step::Read { watch }),
        2 => (0..8_usize).prop_map(|watch| Step::Progress { watch }),
        1 => (0..8_usize).prop_map(|watch| Step::Break { watch }),
    ]
}

fn name(key: usize) -> String {
    format!("k{key}")
}

/// A change: its key, and its value unless it is a deletion.
type Change = (String, Option<Vec<u8>>);

/// Everything that was committed, by revision, in the order in which it was done.
type History = BTreeMap<i64, Vec<Change>>;

/// One watch of a client, over all streams that it took.
struct Watch {
    wanted: Wanted,
    start: i64,
    sender: WatchRequestSender,
    responses: WatchResponseStream,
    log: Vec<Seen>,
    /// Ended by the store, because what it wanted is compacted.
    compacted: Option<i64>,
}

/// One response.
struct Seen {
    header: i64,
    fragment: bool,
    /// With the revision of each.
    changes: Vec<(i64, Change)>,
}

impl Watch {
    async fn open(client: &mut Client, wanted: Wanted, start: i64) -> Self {
        let mut options = WatchOptions::new().with_start_revision(start).with_filters(wanted.filters.clone());
        if wanted.to > wanted.from {
            options = options.with_range(name(wanted.to));
        }
        if wanted.fragment {
            options = options.with_fragment();
        }
        let (sender, responses) = client.watch(name(wanted.from), Some(options)).await.unwrap().split();
        Self { wanted, start, sender, responses, log: Vec::new(), compacted: None }
    }

    /// Takes what is there.
    async fn read(&mut self) {
        // The clock stands still, so that this passes only when nothing else can happen any more.
        while let Ok(response) = tokio::time::timeout(Duration::from_millis(1), self.responses.message()).await {
            match response.unwrap() {
                Some(response) => self.take(&response),
                None => return,
            }
        }
    }

    fn take(&mut self, response: &WatchResponse) {
        if response.created() {
            return;
        }
        if response.canceled() {
            assert!(response.compact_revision() > self.next(), "it was ended for nothing");
            self.compacted = Some(response.compact_revision());
            return;
        }
        let changes = response.events().iter().map(|event| {
            let kv = event.kv().unwrap();
            let value = (event.event_type() == EventType::Put).then(|| kv.value().to_vec());
            (kv.mod_revision(), (kv.key_str().unwrap().to_owned(), value))
        });
        let header = response.header().unwrap().revision();
        // The client does not show whether a response is a fragment; whether the next one goes on with its revision does.
        self.log.push(Seen { header, fragment: self.wanted.fragment, changes: changes.collect() });
    }

    /// Where its client would resume: after the last revision of which it has seen an event.
    fn next(&self) -> i64 {
        self.events().map(|(revision, _)| revision + 1).last().unwrap_or(self.start)
    }

    fn events(&self) -> impl Iterator<Item = &(i64, Change)> {
        self.log.iter().flat_map(|seen| &seen.changes)
    }

    fn wants(&self, revision: i64, (key, value): &Change) -> bool {
        let (from, to) = (name(self.wanted.from), name(self.wanted.to));
        let inside = if self.wanted.to > self.wanted.from { from <= *key && *key < to } else { *key == from };
        let filter = if value.is_some() { WatchFilterType::NoPut } else { WatchFilterType::NoDelete };
        revision >= self.start && inside && !self.wanted.filters.contains(&filter)
    }

    fn expected<'h>(&'h self, history: &'h History, to: i64) -> impl Iterator<Item = (i64, &'h Change)> {
        let all = history
            .range(self.start..=to.max(self.start))
            .flat_map(|(revision, changes)| changes.iter().map(move |change| (*revision, change)));
        all.filter(move |(revision, change)| *revision <= to && self.wants(*revision, change))
    }

    /// Holds what was seen against what etcd promises.
    fn check(&self, history: &History, now: i64) {
        let seen: Vec<(i64, &Change)> = self.events().map(|(revision, change)| (*revision, change)).collect();
        for (revision, change) in &seen {
            assert!(self.wants(*revision, change), "filtered: {change:?} at {revision} is no event of {:?}", self.wanted);
        }
        let mut places = Vec::new();
        for (revision, change) in &seen {
            let place = history[revision].iter().position(|made| made == *change);
            places.push((*revision, place.unwrap_or_else(|| panic!("{change:?} at {revision} never happened"))));
        }
        let unique: BTreeSet<_> = places.iter().collect();
        assert_eq!(unique.len(), places.len(), "unique: an event was seen twice: {places:?}");
        assert!(places.is_sorted(), "ordered: events came out of order: {places:?}");
        for pair in self.log.windows(2) {
            let (Some((last, _)), Some((first, _))) = (pair[0].changes.last(), pair[1].changes.first()) else { continue };
            assert!(last != first || pair[0].fragment, "atomic: revision {last} came in two responses");
        }
        let mut so_far = Vec::new();
        for response in &self.log {
            so_far.extend(response.changes.iter().map(|(revision, change)| (*revision, change)));
            if response.changes.is_empty() {
                let promised: Vec<_> = self.expected(history, response.header).collect();
                let missing: Vec<_> = promised.iter().filter(|event| !so_far.contains(event)).collect();
                assert!(missing.is_empty(), "bookmarkable: {missing:?} came after progress to {}", response.header);
            }
        }
        // A watch that was ended has missed what it was ended for, and nothing before that.
        let to = if self.compacted.is_some() { seen.last().map_or(0, |(revision, _)| *revision) } else { now };
        let expected: Vec<_> = self.expected(history, to).collect();
        assert_eq!(seen, expected, "reliable: events of {:?} from {} are missing", self.wanted, self.start);
    }
}

/// Carries out one history, and returns its watches with all that was committed.
async fn run(steps: Vec<Step>) {
    let watches =
        WatchLimits { mailbox: 3, mailbox_bytes: 3_000, recent_bytes: 700, history_records: 4, history_bytes: 2_000 };
    let store = Embedded::in_memory(Options { watches, ..Options::default() }).unwrap();
    let mut client = store.client().await.unwrap();
    let mut history = History::new();
    let (mut now, mut compacted, mut count) = (1, 0, 0_u32);
    let mut open: Vec<Watch> = Vec::new();
    let mut value = || {
        count += 1;
        // Large ones now and then, so that fragments and limits in bytes matter.
        let filler = if count % 7 == 0 { 1_000 } else { 0 };
        format!("{count:06}{}", "x".repeat(filler)).into_bytes()
    };
    for step in steps {
        match step {
            Step::Burst { key, puts } => {
                let made: Vec<Change> = (0..puts).map(|i| (name((key + i) % 8), Some(value()))).collect();
                let sent = made.iter().map(|(key, value)| {
                    let mut client = client.kv_client();
                    async move { client.put(key.clone(), value.clone().unwrap(), None::<PutOptions>).await.unwrap() }
                });
                let answers = join_all(sent).await;
                for (change, answer) in made.into_iter().zip(answers) {
                    let revision = answer.header().unwrap().revision();
                    assert!(history.insert(revision, vec![change]).is_none(), "revision {revision} was given twice");
                    now = now.max(revision);
                }
            }
            Step::Txn { puts, delete } => {
                let made: Vec<Change> =
                    puts.iter().filter(|key| **key != delete).map(|key| (name(*key), Some(value()))).collect();
                let puts = made.iter().map(|(key, value)| TxnOp::put(key.clone(), value.clone().unwrap(), None));
                let operations: Vec<TxnOp> = puts.chain([TxnOp::delete(name(delete), None)]).collect();
                let answer = client.txn(Txn::new().and_then(operations)).await.unwrap();
                let deleted = answer
                    .op_responses()
                    .iter()
                    .any(|op| matches!(op, etcd_client::TxnOpResponse::Delete(d) if d.deleted() > 0));
                let changes: Vec<Change> = made.into_iter().chain(deleted.then(|| (name(delete), None))).collect();
                if !changes.is_empty() {
                    now = answer.header().unwrap().revision();
                    history.insert(now, changes);
                }
            }
            Step::Delete { from, to } => {
                let options = DeleteOptions::new().with_range(name(to)).with_prev_key();
                let answer = client.delete(name(from), Some(options)).await.unwrap();
                if answer.deleted() > 0 {
                    now = answer.header().unwrap().revision();
                    let changes = answer.prev_kvs().iter().map(|kv| (kv.key_str().unwrap().to_owned(), None));
                    history.insert(now, changes.collect());
                }
            }
            Step::Compact { percent } => {
                let revision = now * percent / 100;
                if revision > compacted {
                    client.compact(revision, None).await.unwrap();
                    compacted = revision;
                }
            }
            Step::Open(wanted) => {
                // Revision 1 is the empty store, before everything.
                let start = if wanted.percent == 100 { now + 1 } else { (now * wanted.percent / 100).max(compacted).max(1) };
                open.push(Watch::open(&mut client, wanted, start).await);
            }
            Step::Read { watch } => {
                if let Some(watch) = open.get_mut(watch) {
                    watch.read().await;
                }
            }
            Step::Progress { watch } => {
                if let Some(watch) = open.get_mut(watch) {
                    let _ = watch.sender.request_progress().await;
                }
            }
            Step::Break { watch } => {
                if let Some(watch) = open.get_mut(watch)
                    && watch.compacted.is_none()
                {
                    let next = Watch::open(&mut client, watch.wanted.clone(), watch.next()).await;
                    (watch.sender, watch.responses) = (next.sender, next.responses);
                }
            }
        }
    }
    for watch in &mut open {
        let _ = watch.sender.request_progress().await;
        watch.read().await;
        watch.check(&history, now);
        if watch.compacted.is_none() {
            let last = watch.log.last().expect("progress was asked for");
            assert_eq!((last.header, last.changes.len()), (now, 0), "the last word of a watch is how far the store is");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn watches_keep_what_etcd_promises(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(run(steps));
    }
}
