//! What a restart of the embedded store leaves as it was: what leases have left, watches, and what was forgotten. It ends in
//! good order or by SIGKILL; to the millisecond this is shown on a paused clock.

mod power_cut {
    #[allow(dead_code)] // Power cuts are another test's.
    pub mod disk;
}
mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use etcd_client::{
    Client, EventType, GetOptions, LeaseGrantOptions, LeaseTimeToLiveOptions, PutOptions, WatchOptions, WatchStream,
};
use power_cut::disk::Disk;
use support::PATIENCE;
use support::server;
use support::store::StoreProcess;
use tempfile::TempDir;
use wicap::store::embedded::{Embedded, Options};

/// Seconds of a lease that ends in no test, and of one that does.
const LONG: i64 = 100;
const SHORT: i64 = 3;

/// Seconds by which a crash may make a lease longer (`docs/store.md`).
const CRASH_GRACE: i64 = 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    InGoodOrder,
    Killed,
}

const ENDINGS: [Ending; 2] = [Ending::InGoodOrder, Ending::Killed];

fn directory() -> TempDir {
    tempfile::Builder::new().prefix("wicap-test-restart").tempdir().unwrap()
}

/// Has it end.
async fn end(mut process: StoreProcess, ending: Ending) {
    match ending {
        Ending::InGoodOrder => process.end().await,
        Ending::Killed => process.kill(),
    }
}

async fn grant(client: &mut Client, id: i64, ttl: i64, keys: &[&str]) {
    client.lease_grant(ttl, Some(LeaseGrantOptions::new().with_id(id))).await.unwrap();
    for key in keys {
        client.put(*key, "", Some(PutOptions::new().with_lease(id))).await.unwrap();
    }
}

/// Seconds left, seconds granted, and keys of a lease.
async fn lease(client: &mut Client, id: i64) -> (i64, i64, Vec<String>) {
    let options = LeaseTimeToLiveOptions::new().with_keys();
    let answer = client.lease_time_to_live(id, Some(options)).await.unwrap();
    let keys = answer.keys().iter().map(|key| String::from_utf8(key.clone()).unwrap());
    (answer.ttl(), answer.granted_ttl(), keys.collect())
}

async fn watch(client: &mut Client, from: i64) -> WatchStream {
    let options = WatchOptions::new().with_all_keys().with_start_revision(from);
    client.watch("", Some(options)).await.unwrap()
}

/// The keys that the next response with events says are gone, with its one revision.
async fn deleted(stream: &mut WatchStream) -> (i64, Vec<String>) {
    loop {
        let response = stream.message().await.unwrap().expect("the watch goes on");
        if response.events().is_empty() {
            continue;
        }
        let revision = response.header().unwrap().revision();
        let gone = response.events().iter().map(|event| {
            let kv = event.kv().unwrap();
            assert_eq!((event.event_type(), kv.mod_revision()), (EventType::Delete, revision));
            kv.key_str().unwrap().to_owned()
        });
        return (revision, gone.collect());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_goes_on_with_what_it_had_left() {
    for ending in ENDINGS {
        let directory = directory();
        let process = StoreProcess::start(directory.path()).await;
        let mut client = process.client().await;
        grant(&mut client, 1, LONG, &["a", "b"]).await;
        let spent = async {
            while lease(&mut client, 1).await.0 > LONG - 2 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, spent).await.expect("time passes");
        let (before, read) = (lease(&mut client, 1).await, Instant::now());
        end(process, ending).await;
        let (ended, began) = (read.elapsed(), Instant::now());
        let process = StoreProcess::start(directory.path()).await;
        let after = lease(&mut process.client().await, 1).await;
        assert_eq!((after.1, &after.2), (LONG, &vec!["a".to_owned(), "b".to_owned()]), "{ending:?}");
        // Seconds are cut off, and only while the store is there does time count.
        let passed = i64::try_from((ended + began.elapsed()).as_secs()).unwrap() + 1;
        let grace = if ending == Ending::Killed { CRASH_GRACE } else { 0 };
        let expected = before.0 - passed..=before.0 + grace;
        assert!(expected.contains(&after.0), "{ending:?}: {} s are left, expected {expected:?}", after.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_ends_after_a_restart_takes_its_keys_in_one_revision() {
    for ending in ENDINGS {
        let directory = directory();
        let process = StoreProcess::start(directory.path()).await;
        grant(&mut process.client().await, 1, SHORT, &["a", "b", "c"]).await;
        end(process, ending).await;
        let process = StoreProcess::start(directory.path()).await;
        let mut stream = watch(&mut process.client().await, 5).await;
        let gone = tokio::time::timeout(PATIENCE, deleted(&mut stream)).await.expect("the lease ends");
        assert_eq!(gone, (5, ["a", "b", "c"].map(str::to_owned).into()), "{ending:?}");
    }
}

/// A store on a disk in memory, whose time stands still when nothing happens.
async fn on(disk: &Disk<()>) -> (Embedded, Client) {
    let store = Embedded::on_storage(disk.clone(), Options::default()).unwrap();
    let client = store.client().await.unwrap();
    (store, client)
}

fn disk(bytes: Vec<u8>) -> Disk<()> {
    Disk::new(bytes, 0, u32::MAX, None, Box::new(|| ()))
}

#[tokio::test(start_paused = true)]
async fn what_a_lease_has_left_is_kept_to_the_millisecond_and_time_away_does_not_count() {
    let first = disk(Vec::new());
    let (store, mut client) = on(&first).await;
    grant(&mut client, 1, 10, &["a", "b"]).await;
    tokio::time::advance(Duration::from_millis(3_250)).await;
    store.close().await.unwrap();
    tokio::time::advance(Duration::from_secs(1_000)).await;

    let second = disk(first.synced());
    let (_store, mut client) = on(&second).await;
    assert_eq!(lease(&mut client, 1).await, (6, 10, vec!["a".to_owned(), "b".to_owned()]));
    let mut stream = watch(&mut client, 4).await;
    let began = tokio::time::Instant::now();
    assert_eq!(deleted(&mut stream).await, (4, vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(began.elapsed(), Duration::from_millis(6_750));
}

#[tokio::test(start_paused = true)]
async fn no_crash_makes_a_lease_shorter_or_much_longer() {
    const IDLE: i64 = 1;
    const RENEWED: i64 = 2;
    // Longer than three times the clock is written.
    let whole = 200;
    for crash in (1..whole).step_by(7) {
        let first = disk(Vec::new());
        let (store, mut client) = on(&first).await;
        grant(&mut client, IDLE, whole, &["a"]).await;
        grant(&mut client, RENEWED, whole, &["b"]).await;
        for second in 1..=crash {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if second == crash / 2 {
                let (mut keeper, mut answers) = client.lease_keep_alive(RENEWED).await.unwrap();
                keeper.keep_alive().await.unwrap();
                assert_eq!(answers.message().await.unwrap().unwrap().ttl(), whole);
            }
        }
        drop((store, client));
        let (_store, mut client) = on(&disk(first.synced())).await;
        let left = whole - crash;
        let idle = lease(&mut client, IDLE).await.0;
        assert!((left..=left + CRASH_GRACE).contains(&idle), "{idle} s after a crash with {left} s left");
        // Nobody knows when it was renewed last.
        let renewed = lease(&mut client, RENEWED).await.0;
        let expected = if crash / 2 > 0 { whole..=whole } else { left..=whole };
        assert!(expected.contains(&renewed), "{renewed} s of a lease that was renewed, after a crash at {crash} s");
    }
}

/// What was acknowledged, by its revision.
type Acknowledged = Arc<Mutex<BTreeMap<i64, String>>>;

/// Writes as fast as it can, whether or not the store is there, up to a key with that name.
async fn write(url: String, acknowledged: Acknowledged, last: Arc<Mutex<bool>>) {
    let mut client = server::client(&url).await;
    for number in 0.. {
        let done = *last.lock().unwrap();
        let key = if done { "last".to_owned() } else { format!("key-{number}") };
        match client.put(key.clone(), "", None).await {
            Ok(answer) => {
                acknowledged.lock().unwrap().insert(answer.header().unwrap().revision(), key);
                if done {
                    return;
                }
            }
            Err(_) => client = server::client(&url).await,
        }
    }
}

/// Every event up to that key, over as many watches as it takes.
async fn follow(url: String, seen: Arc<Mutex<Vec<(i64, String)>>>) {
    let mut next = 2;
    loop {
        let mut client = server::client(&url).await;
        let options = WatchOptions::new().with_all_keys().with_start_revision(next);
        let Ok(mut stream) = client.watch("", Some(options)).await else { continue };
        while let Ok(Some(response)) = stream.message().await {
            for event in response.events() {
                let kv = event.kv().unwrap();
                next = kv.mod_revision() + 1;
                seen.lock().unwrap().push((kv.mod_revision(), kv.key_str().unwrap().to_owned()));
                if kv.key() == b"last" {
                    return;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_resumes_after_restarts_has_missed_nothing() {
    /// Writes that are seen between one restart and the next.
    const BETWEEN: usize = 100;
    let directory = directory();
    let mut process = StoreProcess::start(directory.path()).await;
    let (acknowledged, last, seen) = (Acknowledged::default(), Arc::default(), Arc::<Mutex<Vec<_>>>::default());
    let writer = tokio::spawn(write(process.url(), Arc::clone(&acknowledged), Arc::clone(&last)));
    let follower = tokio::spawn(follow(process.url(), Arc::clone(&seen)));
    for ending in ENDINGS.into_iter().cycle().take(4) {
        let wanted = seen.lock().unwrap().len() + BETWEEN;
        let enough = async {
            while seen.lock().unwrap().len() < wanted {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, enough).await.expect("writes are seen");
        end(process, ending).await;
        process = StoreProcess::start(directory.path()).await;
    }
    *last.lock().unwrap() = true;
    let both = async { (writer.await.unwrap(), follower.await.unwrap()) };
    tokio::time::timeout(PATIENCE, both).await.expect("the last write is seen");
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    let revisions: Vec<i64> = seen.iter().map(|(revision, _)| *revision).collect();
    let all: Vec<i64> = (2..2 + i64::try_from(seen.len()).unwrap()).collect();
    assert_eq!(revisions, all, "each revision once, in order");
    let seen: BTreeMap<i64, String> = seen.into_iter().collect();
    for (revision, key) in acknowledged.lock().unwrap().iter() {
        assert_eq!(seen.get(revision), Some(key), "at revision {revision}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_forgotten_stays_forgotten_and_nothing_else_is() {
    const COMPACTED: i64 = 10;
    for ending in ENDINGS {
        let directory = directory();
        let process = StoreProcess::start(directory.path()).await;
        let mut client = process.client().await;
        for number in 0..20 {
            client.put("key", format!("{number}"), None).await.unwrap();
        }
        client.compact(COMPACTED, None).await.unwrap();
        end(process, ending).await;
        let process = StoreProcess::start(directory.path()).await;
        let mut client = process.client().await;
        let at = |revision| Some(GetOptions::new().with_revision(revision));
        let error = client.get("key", at(COMPACTED - 1)).await.expect_err("it is compacted").to_string();
        assert!(error.contains("required revision has been compacted"), "{ending:?}: {error}");
        let found = client.get("key", at(COMPACTED)).await.unwrap();
        // The first put makes revision 2.
        assert_eq!(found.kvs()[0].value_str().unwrap(), (COMPACTED - 2).to_string(), "{ending:?}");
        let mut stream = watch(&mut client, COMPACTED - 1).await;
        let cancelled = async {
            loop {
                let response = stream.message().await.unwrap().expect("it is told why");
                assert!(response.events().is_empty(), "{response:?}");
                if response.canceled() {
                    return response.compact_revision();
                }
            }
        };
        let told = tokio::time::timeout(PATIENCE, cancelled).await.expect("the watch is cancelled");
        assert_eq!(told, COMPACTED, "{ending:?}");
    }
}
