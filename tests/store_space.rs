//! The embedded store's room: old revisions are forgotten by themselves, their space is used again, a file over its quota
//! refuses what would make it larger and nothing else, writers that wait together share a commit, and who does not read
//! holds nobody up.

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use etcd_client::{
    AlarmAction, AlarmType, Client, CompactionOptions, DeleteOptions, Error, EventType, GetOptions, PutOptions, Txn, TxnOp,
    WatchOptions,
};
use futures::future::join_all;
use support::PATIENCE;
use support::storage::Prepared;
use support::store::StoreProcess;
use tempfile::TempDir;
use wicap::store::embedded::data_dir::DataDir;
use wicap::store::embedded::{Embedded, Options};

/// How often the store looks for what it may forget (`compactor.rs`).
const PERIOD: Duration = Duration::from_secs(60);

/// The size of an object that is large, but not unusual.
const LARGE: usize = 10 * 1024;

const MIB: u64 = 1024 * 1024;

fn directory() -> TempDir {
    tempfile::Builder::new().prefix("wicap-test-space").tempdir().unwrap()
}

async fn put(client: &mut Client, key: &str, value: impl Into<Vec<u8>>) -> i64 {
    client.put(key, value, None).await.unwrap().header().unwrap().revision()
}

/// The oldest revision that can be read, if it is one of the first hundred.
async fn oldest(client: &mut Client) -> i64 {
    for revision in 1..100 {
        match client.get("key", Some(GetOptions::new().with_revision(revision))).await {
            Ok(_) => return revision,
            Err(error) => assert!(error.to_string().contains("required revision has been compacted"), "{error}"),
        }
    }
    panic!("nothing can be read");
}

/// Lets the paused clock run to one millisecond before a time, and to one after it, and says what was oldest then.
async fn around(client: &mut Client, began: tokio::time::Instant, after: Duration) -> (i64, i64) {
    const MOMENT: Duration = Duration::from_millis(1);
    tokio::time::sleep_until(began + after - MOMENT).await;
    let before = oldest(client).await;
    tokio::time::sleep_until(began + after + MOMENT).await;
    (before, oldest(client).await)
}

#[tokio::test(start_paused = true)]
async fn no_more_revisions_are_kept_than_asked_for() {
    let began = tokio::time::Instant::now();
    let store = Embedded::in_memory(Options { keep_revisions: 10, ..Options::default() }).unwrap();
    let mut client = store.client().await.unwrap();
    let mut now = 0;
    for number in 0..30 {
        now = put(&mut client, "key", format!("{number}")).await;
    }
    assert_eq!(around(&mut client, began, PERIOD).await, (1, now - 10));
    // When nothing is written, nothing more is forgotten.
    assert_eq!(around(&mut client, began, 3 * PERIOD).await, (now - 10, now - 10));
    let found = client.get("key", Some(GetOptions::new().with_revision(now - 10))).await.unwrap();
    assert_eq!(found.kvs()[0].value_str().unwrap(), "19");
}

#[tokio::test(start_paused = true)]
async fn revisions_are_kept_for_the_age_asked_for() {
    let keep_age = 10 * PERIOD;
    let began = tokio::time::Instant::now();
    let store = Embedded::in_memory(Options { keep_age, ..Options::default() }).unwrap();
    let mut client = store.client().await.unwrap();
    // The first look is at a store in which there is nothing.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let mut first = 0;
    for number in 0..5 {
        first = put(&mut client, "key", format!("{number}")).await;
    }
    // An age is known to the precision of the period: these were seen when the first one was over.
    let seen_first = PERIOD;
    tokio::time::sleep(5 * PERIOD + PERIOD / 2).await;
    let second = put(&mut client, "key", "later").await;
    let seen_second = 6 * PERIOD;
    assert_eq!(around(&mut client, began, seen_first + keep_age).await, (1, first));
    assert_eq!(around(&mut client, began, seen_second + keep_age).await, (first, second));
    assert_eq!(around(&mut client, began, seen_second + 3 * keep_age).await, (second, second));
}

/// Puts values of a size at once.
async fn put_all(client: &Client, keys: impl Iterator<Item = String>, size: usize) {
    let puts = keys.map(|key| {
        let mut client = client.kv_client();
        async move { client.put(key, vec![b'x'; size], None).await.unwrap() }
    });
    join_all(puts).await;
}

async fn forget(client: &mut Client) {
    let revision = client.get("key", None).await.unwrap().header().unwrap().revision();
    client.compact(revision, Some(CompactionOptions::new().with_physical())).await.unwrap();
}

/// Of the file, without its journal.
fn size(directory: &Path) -> u64 {
    std::fs::metadata(directory.join("store.redb")).unwrap().len() - Options::default().journal_bytes as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forgotten_makes_room_for_what_comes() {
    /// Versions between one compaction and the next.
    const VERSIONS: usize = 50;
    const ROUNDS: usize = 40;
    /// Each takes a page of 16 KiB, the next power of two. What is live at most may be there twice, because pages are given
    /// back by the commit after the one that freed them, and redb makes a file twice as long when it is full. All that was
    /// written takes seven times as much.
    const BOUND: u64 = 2 * 2 * VERSIONS as u64 * 16 * 1024 + MIB;
    let directory = directory();
    let store = Embedded::open(DataDir::take(directory.path()).unwrap(), Options::default()).unwrap();
    let mut client = store.client().await.unwrap();
    for round in 0..ROUNDS {
        put_all(&client, (0..VERSIONS).map(|_| "key".to_owned()), LARGE).await;
        forget(&mut client).await;
        let size = size(directory.path());
        assert!(size <= BOUND, "{size} bytes after {round} rounds, expected at most {BOUND}");
    }
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn defragmenting_gives_free_space_back_and_keeps_the_rest() {
    let directory = directory();
    let store = Embedded::open(DataDir::take(directory.path()).unwrap(), Options::default()).unwrap();
    let mut client = store.client().await.unwrap();
    put_all(&client, (0..1_000).map(|number| format!("gone/{number}")), LARGE).await;
    put(&mut client, "key", "kept").await;
    client.delete("gone/", Some(DeleteOptions::new().with_prefix())).await.unwrap();
    forget(&mut client).await;
    let before = size(directory.path());
    assert!(before > 10 * MIB, "{before} bytes");
    client.defragment().await.unwrap();
    let after = size(directory.path());
    // What is left is one key; an empty file of redb has about 1.5 MiB.
    assert!(after < 2 * MIB, "{after} bytes of {before}");
    assert_eq!(client.get("key", None).await.unwrap().kvs()[0].value(), b"kept");
    store.close().await.unwrap();
}

const NO_SPACE: &str = "etcdserver: mvcc: database space exceeded";

fn assert_no_space<T: std::fmt::Debug>(what: &str, answer: Result<T, Error>) {
    match answer {
        Err(Error::GRpcStatus(status)) => {
            assert_eq!((status.code(), status.message()), (tonic::Code::ResourceExhausted, NO_SPACE), "{what}");
        }
        other => panic!("{what}: {other:?}"),
    }
}

async fn alarms(client: &mut Client) -> usize {
    client.alarm(AlarmAction::Get, AlarmType::None, None).await.unwrap().alarms().len()
}

/// Everything that would make the file larger is refused, and everybody is told why.
async fn assert_full(client: &mut Client) {
    assert_eq!(alarms(client).await, 1);
    let status = client.status().await.unwrap();
    assert_eq!(status.errors(), [format!("memberID:{} alarm:NOSPACE ", status.leader())]);
    assert_no_space("put", client.put("small", "", None).await);
    // Of the branch that is not taken too, as in etcd.
    let putting = Txn::new().or_else([TxnOp::put("small", "", None)]);
    assert_no_space("a put in a transaction", client.txn(putting).await);
    assert_no_space("grant", client.lease_grant(600, None).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_over_its_quota_refuses_what_would_make_it_larger_and_nothing_else() {
    // Room for an empty store, twice.
    const QUOTA: u64 = 4 * MIB;
    const LEASE: i64 = 600;
    let directory = directory();
    let quota = ["--quota-bytes", &QUOTA.to_string()];
    let process = StoreProcess::start_with(directory.path(), &quota).await;
    let mut client = process.client().await;
    let lease = client.lease_grant(LEASE, None).await.unwrap().id();
    client.put("leased", "", Some(PutOptions::new().with_lease(lease))).await.unwrap();
    let mut keys = 0;
    let refused = loop {
        match client.put(format!("fill/{keys}"), vec![b'x'; 64 * 1024], None).await {
            Ok(_) => keys += 1,
            refused => break refused,
        }
        assert!(keys < 1_000, "the file has {} bytes", size(directory.path()));
    };
    assert_no_space("put", refused);
    assert!(size(directory.path()) > QUOTA);
    assert_full(&mut client).await;

    process.end().await;
    let process = StoreProcess::start_with(directory.path(), &quota).await;
    let mut client = process.client().await;
    assert_full(&mut client).await;

    let mut stream = client.watch("", Some(WatchOptions::new().with_all_keys())).await.unwrap();
    assert_eq!(client.get("fill/0", None).await.unwrap().count(), 1);
    let (mut keeper, mut renewals) = client.lease_keep_alive(lease).await.unwrap();
    keeper.keep_alive().await.unwrap();
    assert_eq!(renewals.message().await.unwrap().unwrap().ttl(), LEASE);
    let deletion = Txn::new().and_then([TxnOp::delete("fill/0", None)]);
    assert!(client.txn(deletion).await.unwrap().succeeded());
    let deleted = client.delete("fill/", Some(DeleteOptions::new().with_prefix())).await.unwrap();
    assert_eq!(deleted.deleted(), keys - 1);
    client.lease_revoke(lease).await.unwrap();
    let mut seen = 0;
    let told = async {
        // All that was put, and the key of the lease.
        while seen < keys + 1 {
            let response = stream.message().await.unwrap().expect("the watch goes on");
            assert!(response.events().iter().all(|event| event.event_type() == EventType::Delete), "{response:?}");
            seen += i64::try_from(response.events().len()).unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, told).await.expect("a watch is told");

    forget(&mut client).await;
    client.defragment().await.unwrap();
    assert!(size(directory.path()) < QUOTA);
    // The alarm stays until somebody says that it is over.
    assert_full(&mut client).await;
    client.alarm(AlarmAction::Deactivate, AlarmType::Nospace, None).await.unwrap();
    assert_eq!(alarms(&mut client).await, 0);
    put(&mut client, "small", "").await;
    put(&mut client, "small", "again").await;
    assert_eq!(alarms(&mut client).await, 0);
}

#[tokio::test(start_paused = true)]
async fn writers_that_wait_together_share_a_commit() {
    const WRITERS: usize = 64;
    let count = Arc::new(AtomicUsize::new(0));
    let storage = Prepared::new({
        let count = Arc::clone(&count);
        move || {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    let syncs = || count.load(Ordering::Relaxed);
    let store = Embedded::on_storage(storage, Options::default()).unwrap();
    let mut client = store.client().await.unwrap();
    put(&mut client, "key", "").await;
    let before = syncs();
    for _ in 0..WRITERS {
        put(&mut client, "key", "").await;
    }
    let alone = syncs() - before;
    assert!(alone >= WRITERS, "{alone} syncs for {WRITERS} puts that were acknowledged one after another");
    put_all(&client, (0..WRITERS).map(|number| format!("key-{number}")), 10).await;
    let together = syncs() - before - alone;
    // One commit is under way while the others arrive; a few more if they arrive in parts.
    assert!(together > 0 && together * 8 <= alone, "{together} syncs for all at once, {alone} one after another");
}

#[test]
fn who_does_not_read_its_watch_holds_nobody_up_and_misses_nothing() {
    /// 20 MiB: more than the socket and all that the store keeps in memory for a watch.
    const PUTS: usize = 2_000;
    const AT_ONCE: usize = 50;
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // Nothing of this one's connections happens while it is not asked to run.
    let (busy, lazy) = (runtime(), runtime());
    let directory = directory();
    let process = busy.block_on(StoreProcess::start(directory.path()));
    let mut stream = lazy.block_on(async {
        let mut client = process.client().await;
        let mut stream = client.watch("", Some(WatchOptions::new().with_all_keys())).await.unwrap();
        assert!(stream.message().await.unwrap().unwrap().created());
        stream
    });
    let written: BTreeMap<i64, String> = busy.block_on(async {
        let client = process.client().await;
        let mut written = BTreeMap::new();
        let writing = async {
            for round in 0..PUTS / AT_ONCE {
                let puts = (0..AT_ONCE).map(|number| {
                    let (mut client, key) = (client.kv_client(), format!("{round}-{number}"));
                    async move {
                        let answer = client.put(key.clone(), vec![b'x'; LARGE], None).await.unwrap();
                        (answer.header().unwrap().revision(), key)
                    }
                });
                written.extend(join_all(puts).await);
            }
        };
        tokio::time::timeout(PATIENCE, writing).await.expect("the writer is not held up");
        written
    });
    let seen = lazy.block_on(async {
        let mut seen = Vec::new();
        let reading = async {
            while seen.len() < PUTS {
                for event in stream.message().await.unwrap().expect("the watch goes on").events() {
                    let kv = event.kv().unwrap();
                    seen.push((kv.mod_revision(), kv.key_str().unwrap().to_owned()));
                }
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("everything comes");
        seen
    });
    assert_eq!(seen, written.into_iter().collect::<Vec<_>>());
}
