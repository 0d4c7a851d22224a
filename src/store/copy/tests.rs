//! Copies between stores in memory, where somebody else can act between any two steps.

use std::time::Duration;

use etcd_client::{Client, GetOptions, PutOptions};

use super::*;
use crate::clock::Clock;
use crate::store::embedded::{Embedded, Options};

/// A store in memory, whose clock is the runtime's, and whoever else writes there.
struct Side {
    _embedded: Embedded,
    client: Client,
    store: Store,
}

impl Side {
    async fn new(url: &str) -> Self {
        let embedded = Embedded::in_memory(Options::default()).unwrap();
        let store = Store::with_client(embedded.client().await.unwrap(), url.parse().unwrap(), Clock::system());
        Self { client: embedded.client().await.unwrap(), _embedded: embedded, store }
    }

    async fn put(&self, key: &str, value: &str, lease: i64) {
        let options = PutOptions::new().with_lease(lease);
        self.client.kv_client().put(key, value, Some(options)).await.unwrap();
    }

    async fn delete(&self, key: &str) {
        self.client.kv_client().delete(key, None).await.unwrap();
    }

    async fn lease(&self, seconds: i64) -> i64 {
        self.client.lease_client().grant(seconds, None).await.unwrap().id()
    }

    async fn leases(&self) -> usize {
        self.client.lease_client().leases().await.unwrap().leases().len()
    }

    /// All it holds.
    async fn holds(&self) -> Vec<(String, String)> {
        let options = GetOptions::new().with_all_keys();
        let answer = self.client.kv_client().get("", Some(options)).await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        answer.kvs().iter().map(|kv| (text(kv.key()), text(kv.value()))).collect()
    }
}

/// A source of more than a transaction and many pages, with a leader and an Event, and an empty target.
async fn sides() -> (Side, Side) {
    let (source, target) = (Side::new("http://a:1/from").await, Side::new("http://b:1").await);
    for i in 0..250 {
        source.put(&format!("/from/wicap.dev/wicapstacks/{i:03}"), &format!("value {i}"), 0).await;
    }
    source.put("/from/wicap.dev/leader/gc", "me", source.lease(60).await).await;
    source.put("/from/wicap.dev/events/e", "event", source.lease(1000).await).await;
    source.put("/from/other", "not ours", 0).await;
    (source, target)
}

const FIRST: &str = "/from/wicap.dev/wicapstacks/000";

#[tokio::test(start_paused = true)]
async fn a_copy_has_every_key_but_leaders_under_the_prefix_of_the_target() {
    let (source, target) = sides().await;
    let stop = CancellationToken::new();
    let before = source.holds().await;
    let planned = preview(&source.store, &target.store, &stop).await.unwrap();
    assert_eq!(target.holds().await, []);
    let report = copy(&source.store, &target.store, &stop).await.unwrap();
    let expected: Vec<_> = before
        .iter()
        .filter(|(key, _)| key.starts_with("/from/wicap.dev/") && !key.contains("/leader/"))
        .map(|(key, value)| (key.replacen("/from", "", 1), value.clone()))
        .collect();
    assert_eq!(target.holds().await, expected);
    assert_eq!(source.holds().await, before, "the source is only read");
    assert_eq!((report.total().keys, report.leaders, report.leases, report.lapsed), (251, 1, 1, 0));
    assert_eq!(report.kinds["events"], Amount { keys: 1, bytes: "events/eevent".len() });
    assert_eq!(planned, Report { target_revision: 0, ..report });
    // The Event ends when its original does, and nothing else does.
    tokio::time::sleep(Duration::from_secs(1002)).await;
    assert_eq!(target.holds().await.len(), 250);
}

#[tokio::test(start_paused = true)]
async fn what_changes_on_the_source_meanwhile_is_found_out() {
    for change in ["create", "change", "delete", "change and back", "recreate"] {
        let (source, target) = sides().await;
        let stop = CancellationToken::new();
        let mut copying = Copying::begin(&source.store, &target.store, &stop).await.unwrap();
        copying.write().await.unwrap();
        let expected = match change {
            "create" => "/from/wicap.dev/zzz/new",
            _ => FIRST,
        };
        match change {
            "create" => source.put(expected, "", 0).await,
            "change" => source.put(FIRST, "other", 0).await,
            "delete" => source.delete(FIRST).await,
            "change and back" => {
                source.put(FIRST, "other", 0).await;
                source.put(FIRST, "value 0", 0).await;
            }
            _ => {
                source.delete(FIRST).await;
                source.put(FIRST, "value 0", 0).await;
            }
        }
        // The copy is of one moment, and that is what it holds.
        copying.compare().await.unwrap();
        let found = copying.source_is_unchanged().await;
        assert!(matches!(&found, Err(Error::Changed { key, .. }) if key == expected), "{change}: {found:?}");
        assert_eq!(copying.undo().await, Undone::Removed(251), "{change}");
        assert_eq!((target.holds().await, target.leases().await), (vec![], 0), "{change}");
    }
}

#[tokio::test(start_paused = true)]
async fn leaders_others_and_events_whose_time_comes_do_not_count_as_changes() {
    let (source, target) = sides().await;
    source.put("/from/wicap.dev/events/short", "", source.lease(30).await).await;
    source.put("/from/wicap.dev/events/over", "", source.lease(3).await).await;
    let stop = CancellationToken::new();
    let mut copying = Copying::begin(&source.store, &target.store, &stop).await.unwrap();
    copying.write().await.unwrap();
    source.put("/from/wicap.dev/leader/planner", "me", 0).await;
    source.put("/from/other", "changed", 0).await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    copying.compare().await.unwrap();
    copying.source_is_unchanged().await.unwrap();
    assert_eq!((copying.report.total().keys, copying.report.lapsed, copying.report.leases), (252, 1, 2));
    assert_eq!(target.holds().await.len(), 251);
}

#[tokio::test(start_paused = true)]
async fn what_others_do_on_the_target_is_found_out_and_left_alone() {
    for change in ["add", "change", "delete", "lead", "unlease"] {
        let (source, target) = sides().await;
        let stop = CancellationToken::new();
        let mut copying = Copying::begin(&source.store, &target.store, &stop).await.unwrap();
        copying.write().await.unwrap();
        let (key, left, removed) = match change {
            "add" => ("/wicap.dev/zzz/theirs", 1, 251),
            "lead" => ("/wicap.dev/leader/gc", 1, 251),
            "change" => ("/wicap.dev/wicapstacks/007", 1, 250),
            "unlease" => ("/wicap.dev/events/e", 1, 250),
            _ => ("/wicap.dev/wicapstacks/007", 0, 250),
        };
        match change {
            "delete" => target.delete(key).await,
            "unlease" => target.put(key, "event", 0).await,
            _ => target.put(key, "theirs", 0).await,
        }
        let found = copying.compare().await;
        assert!(matches!(&found, Err(Error::Differs { key: k, .. }) if k == key), "{change}: {found:?}");
        assert_eq!(copying.undo().await, Undone::Removed(removed), "{change}");
        assert_eq!(target.holds().await.len(), left, "{change}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_comes_to_the_target_during_the_writing_is_not_written_over() {
    let (source, target) = sides().await;
    let stop = CancellationToken::new();
    let mut copying = Copying::begin(&source.store, &target.store, &stop).await.unwrap();
    target.put("/wicap.dev/wicapstacks/150", "value 150", 0).await;
    let found = copying.write().await;
    assert!(matches!(&found, Err(Error::Differs { key, .. }) if key == "/wicap.dev/wicapstacks/150"), "{found:?}");
    assert_eq!(copying.undo().await, Undone::Removed(100));
    assert_eq!(target.holds().await, [("/wicap.dev/wicapstacks/150".to_owned(), "value 150".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_and_not_answered_is_removed_if_it_was_written() {
    let (source, target) = sides().await;
    let stop = CancellationToken::new();
    let mut copying = Copying::begin(&source.store, &target.store, &stop).await.unwrap();
    copying.write().await.unwrap();
    // As if the answers to the writing of these had been lost.
    for i in 0..3 {
        let key = format!("/wicap.dev/wicapstacks/{i:03}");
        copying.written.remove(&key);
        let value = if i == 2 { "another value" } else { &format!("value {i}") };
        copying.doubtful.puts.insert(key, (value.as_bytes().to_vec(), 0));
    }
    assert_eq!(copying.undo().await, Undone::Removed(250));
    assert_eq!(target.holds().await, [("/wicap.dev/wicapstacks/002".to_owned(), "value 2".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_where_something_is_or_from_where_nothing_is() {
    let (source, target) = sides().await;
    let stop = CancellationToken::new();
    let empty = Side::new("http://c:1").await;
    let failure = copy(&empty.store, &target.store, &stop).await.unwrap_err();
    assert!(matches!(&failure.cause, Error::Nothing { root, .. } if root == "/wicap.dev"), "{failure:?}");
    target.put("/wicap.dev/leader/gc", "me", 0).await;
    let failure = copy(&source.store, &target.store, &stop).await.unwrap_err();
    assert!(matches!(&failure.cause, Error::Occupied { key, .. } if key == "/wicap.dev/leader/gc"), "{failure:?}");
    assert_eq!(failure.undone, Undone::Removed(0));
    assert!(matches!(preview(&source.store, &target.store, &stop).await, Err(Error::Occupied { .. })));
    stop.cancel();
    let failure = copy(&source.store, &empty.store, &stop).await.unwrap_err();
    assert!(matches!(failure.cause, Error::Interrupted), "{failure:?}");
    assert_eq!(empty.holds().await, []);
}
