//! What etcd promises of watches (<https://etcd.io/docs/v3.5/learning/api_guarantees/>), on the embedded store: whatever is
//! written, however watches begin, break and lag, their events are ordered, unique, atomic, reliable, resumable, bookmarkable
//! and filtered. Everything runs on one thread with a paused clock, and with limits so small that every way an event can take
//! to a watch is taken often.

mod guarantees {
    pub mod account;
}

use std::collections::BTreeSet;
use std::time::Duration;

use etcd_client::{
    Client, DeleteOptions, PutOptions, Txn, TxnOp, WatchFilterType, WatchOptions, WatchRequestSender, WatchResponseStream,
};
use futures::future::join_all;
use guarantees::account::{Account, Change, History, Wanted, name};
use proptest::prelude::*;
use wicap::store::embedded::{Embedded, Options, WatchLimits};

/// How often a quiet watch is told how far the store is, if it wants to be.
const NOTIFY: Duration = Duration::from_secs(10);

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
    /// Nothing happens for longer than it takes until quiet watches are told how far the store is.
    Idle,
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..8_usize;
    let filters = prop_oneof![
        4 => Just(vec![]),
        1 => Just(vec![WatchFilterType::NoPut]),
        1 => Just(vec![WatchFilterType::NoDelete]),
    ];
    let flags = (any::<bool>(), any::<bool>());
    let wanted = (key.clone(), 0..9_usize, prop_oneof![Just(100), 0..100_i64], filters, flags).prop_map(
        |(from, to, percent, filters, (fragment, progress))| Wanted { from, to, percent, filters, fragment, progress },
    );
    prop_oneof![
        6 => (key.clone(), 1..12_usize).prop_map(|(key, puts)| Step::Burst { key, puts }),
        4 => (prop::collection::btree_set(key.clone(), 1..4), key.clone()).prop_map(|(puts, delete)| Step::Txn { puts, delete }),
        2 => (key.clone(), key.clone()).prop_map(|(from, to)| Step::Delete { from, to }),
        1 => (0..100_i64).prop_map(|percent| Step::Compact { percent }),
        3 => wanted.prop_map(Step::Open),
        4 => (0..8_usize).prop_map(|watch| Step::Read { watch }),
        2 => (0..8_usize).prop_map(|watch| Step::Progress { watch }),
        1 => (0..8_usize).prop_map(|watch| Step::Break { watch }),
        1 => Just(Step::Idle),
    ]
}

/// One watch of a client, over all streams that it took.
struct Watch {
    account: Account,
    sender: WatchRequestSender,
    responses: WatchResponseStream,
}

impl Watch {
    async fn open(client: &mut Client, account: Account) -> Self {
        let wanted = &account.wanted;
        let mut options = WatchOptions::new().with_start_revision(account.next()).with_filters(wanted.filters.clone());
        if wanted.to > wanted.from {
            options = options.with_range(name(wanted.to));
        }
        if wanted.fragment {
            options = options.with_fragment();
        }
        if wanted.progress {
            options = options.with_progress_notify();
        }
        let (sender, responses) = client.watch(name(wanted.from), Some(options)).await.unwrap().split();
        Self { account, sender, responses }
    }

    /// Takes what is there.
    async fn read(&mut self) {
        // The clock stands still, so that this passes only when nothing else can happen any more.
        while let Ok(response) = tokio::time::timeout(Duration::from_millis(1), self.responses.message()).await {
            match response.unwrap() {
                Some(response) => self.account.take(&response),
                None => return,
            }
        }
    }
}

/// Carries out one history, and returns its watches with all that was committed.
async fn run(steps: Vec<Step>) {
    let watches = WatchLimits {
        mailbox: 3,
        mailbox_bytes: 3_000,
        recent_bytes: 700,
        history_records: 4,
        history_bytes: 2_000,
        fragment_bytes: 100,
    };
    let store = Embedded::in_memory(Options { watches, progress_interval: NOTIFY, ..Options::default() }).unwrap();
    let mut client = store.client().await.unwrap();
    let mut history = History::new();
    let (mut now, mut compacted, mut count) = (1, 0, 0_u32);
    let mut open: Vec<Watch> = Vec::new();
    let mut value = || {
        count += 1;
        // Large ones now and then, so that limits in bytes matter.
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
                open.push(Watch::open(&mut client, Account::new(wanted, start)).await);
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
                    && watch.account.compacted.is_none()
                {
                    watch.account.break_off();
                    *watch = Watch::open(&mut client, watch.account.clone()).await;
                }
            }
            Step::Idle => {
                for watch in &mut open {
                    watch.read().await;
                }
                tokio::time::sleep(NOTIFY * 5 / 2).await;
                for watch in open.iter_mut().filter(|watch| watch.account.wanted.progress) {
                    watch.read().await;
                    if watch.account.compacted.is_none() {
                        let last = watch.account.log.last().map(|seen| (seen.header, seen.changes.len()));
                        assert_eq!(last, Some((now, 0)), "a quiet watch is told how far the store is");
                    }
                }
            }
        }
    }
    for mut watch in open {
        let _ = watch.sender.request_progress().await;
        watch.read().await;
        watch.account.check(&history, now).unwrap_or_else(|broken| panic!("{broken}"));
        if watch.account.compacted.is_none() {
            let last = watch.account.log.last().expect("progress was asked for");
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
