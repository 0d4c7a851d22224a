//! Random histories on a real etcd and on the embedded store: every answer, revision and watch is the same.
//!
//! `WICAP_DIFF_OPS` is how many operations in all; `WICAP_DIFF_SEED` runs just that seed's history, as a difference names it.

mod support;

mod differential {
    pub mod answer;
    pub mod burst;
    pub mod generator;
    pub mod operation;
    pub mod peer;
    pub mod runner;
    pub mod side;
    pub mod streams;
}

use std::time::{Duration, Instant};

use differential::answer::{Answer, Kv};
use differential::burst;
use differential::operation::Bytes;
use differential::peer::Peer;
use differential::runner::{Covered, Difference, run};
use differential::streams::{Note, Notes};
use etcd_client::{CompactionOptions, DeleteOptions, EventType, LeaseGrantOptions, PutOptions, Txn, TxnOp, WatchOptions};
use futures::StreamExt;

/// What the suite takes the time for.
const OPERATIONS: usize = 20_000;

/// A history starts on empty stores; after some thousand operations it has all that one can have.
const HISTORY: std::ops::RangeInclusive<usize> = 2_000..=20_000;

/// A watch that goes back more revisions than this is served by either store in more than one go.
const LONG: i64 = 1_000;

/// Histories at once: most of the time each waits, for its watches or for a store that starts.
const AT_ONCE: usize = 6;

fn variable<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}: found '{text}', expected a number")))
}

async fn history(seed: u64, operations: usize) -> Result<Covered, Box<Difference>> {
    let (left, right) = tokio::join!(Peer::etcd(), Peer::under_test());
    run(seed, operations, left, right, None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn random_histories_are_answered_as_by_etcd() {
    let operations = variable("WICAP_DIFF_OPS").unwrap_or(OPERATIONS);
    let seeds: Vec<(u64, usize)> = match variable("WICAP_DIFF_SEED") {
        Some(seed) => vec![(seed, operations)],
        None => {
            let length = (operations / 50).clamp(*HISTORY.start(), *HISTORY.end()).min(operations);
            // Short enough to be typed.
            let base = u64::from(rand::random::<u32>());
            (base..).take(operations.div_ceil(length)).map(|seed| (seed, length)).collect()
        }
    };
    let (first, last, began) = (seeds[0].0, seeds[seeds.len() - 1].0, Instant::now());
    let done: usize = seeds.iter().map(|(_, length)| length).sum();
    println!("{done} operations, seeds {first} to {last}");
    let mut histories = futures::stream::iter(seeds).map(|(seed, length)| history(seed, length)).buffer_unordered(AT_ONCE);
    let mut covered = Covered::default();
    while let Some(outcome) = histories.next().await {
        let of_one = outcome.unwrap_or_else(|difference| panic!("1 difference\n{difference}"));
        covered.bursts += of_one.bursts;
        covered.restarts += of_one.restarts;
        covered.full += of_one.full;
        covered.furthest = covered.furthest.max(of_one.furthest);
    }
    let seconds = began.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = done as f64 / seconds;
    println!("{done} operations, seeds {first} to {last}: 0 differences, {seconds:.0} s, {rate:.0} operations/s");
    println!("{covered:?}");
    // A run that shows a difference again is too short for that.
    if done >= OPERATIONS {
        let Covered { bursts, restarts, full, furthest } = covered;
        assert!(bursts > 0 && restarts > 0 && full > 0 && furthest > LONG, "little was tried: {covered:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_altered_answer_is_a_difference() {
    let (left, right) = tokio::join!(Peer::etcd(), Peer::etcd());
    let tamper = |index: usize, answer: &mut Answer| {
        if index >= 40
            && let Answer::Range { revision: Some(revision), .. } | Answer::Put { revision: Some(revision), .. } = answer
        {
            *revision += 1;
        }
    };
    let difference = run(1, 200, left, right, Some(tamper)).await.expect_err("an answer was altered");
    assert!((40..100).contains(&difference.index), "{difference}");
    assert!(difference.to_string().contains("again with: hack/differential"), "{difference}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_does_not_come_is_a_difference() {
    let (left, right) = tokio::join!(Peer::etcd(), Peer::etcd());
    let tamper = |_: usize, answer: &mut Answer| {
        if let Answer::Notes(notes) = answer {
            for notes in notes.values_mut() {
                notes.pop();
            }
        }
    };
    let difference = run(1, 200, left, right, Some(tamper)).await.expect_err("an event was left out");
    assert!(difference.to_string().contains("watch 0, note"), "{difference}");
}

/// Chance comes to it once in some hundred thousand operations.
#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_at_the_revision_of_a_compaction_is_in_no_hash() {
    let mut hashes = Vec::new();
    for peer in [Peer::etcd().await, Peer::under_test().await] {
        let mut client = peer.client().await;
        client.put("a", "1", None).await.unwrap();
        let deleted = client.delete("a", None).await.unwrap().header().unwrap().revision();
        client.compact(deleted, Some(CompactionOptions::new().with_physical())).await.unwrap();
        client.put("b", "1", None).await.unwrap();
        client.delete("b", None).await.unwrap();
        let answer = client.hash_kv(0).await.unwrap();
        hashes.push((answer.compact_version(), answer.hash()));
    }
    assert_eq!(hashes[0], hashes[1]);
}

/// A transaction may delete all keys from one on and put one of them again: etcd's check for duplicates does not see that the range
/// holds the key. Its index takes the key for gone at that revision, and the hash goes by the index.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_deleted_and_put_at_one_revision_is_hashed_as_by_etcd() {
    let mut hashes = Vec::new();
    for peer in [Peer::etcd().await, Peer::under_test().await] {
        let mut client = peer.client().await;
        let mut of_peer = Vec::new();
        let anew = |keys: &[&str]| {
            let all = TxnOp::delete("\0", Some(DeleteOptions::new().with_range("\0")));
            Txn::new()
                .and_then(std::iter::once(all).chain(keys.iter().map(|k| TxnOp::put(*k, "2", None))).collect::<Vec<_>>())
        };
        client.put("a", "1", None).await.unwrap();
        let seen = client.put("b", "1", None).await.unwrap().header().unwrap().revision();
        client.compact(seen, Some(CompactionOptions::new().with_physical())).await.unwrap();
        for keys in [&["a"][..], &["a", "b"], &["b"], &[]] {
            let answer = client.txn(anew(keys)).await.unwrap();
            let revision = answer.header().unwrap().revision();
            for at in [revision - 1, revision, 0] {
                of_peer.push(client.hash_kv(at).await.unwrap().hash());
            }
            client.put("c", "1", None).await.unwrap();
            of_peer.push(client.hash_kv(0).await.unwrap().hash());
        }
        hashes.push(of_peer);
    }
    assert_eq!(hashes[0], hashes[1]);
}

/// Expiry depends on time, so it is no part of a history: here it is on its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_expires_deletes_its_keys_at_one_revision_in_their_order() {
    for peer in [Peer::etcd().await, Peer::under_test().await] {
        let mut client = peer.client().await;
        client.lease_grant(2, Some(LeaseGrantOptions::new().with_id(7))).await.unwrap();
        for key in ["e/c", "e/a", "e/b"] {
            client.put(key, key, Some(PutOptions::new().with_lease(7))).await.unwrap();
        }
        let revision = client.put("other", "", None).await.unwrap().header().unwrap().revision();
        let options = WatchOptions::new().with_prefix().with_prev_key().with_start_revision(revision);
        let mut stream = client.watch("e/", Some(options)).await.unwrap();
        let answer = loop {
            let answer = tokio::time::timeout(Duration::from_secs(20), stream.message()).await.expect("the lease expires");
            let answer = answer.unwrap().unwrap();
            if !answer.events().is_empty() {
                break answer;
            }
        };
        let deleted: Vec<_> = answer
            .events()
            .iter()
            .map(|event| {
                assert_eq!(event.event_type(), EventType::Delete);
                let (kv, before) = (event.kv().unwrap(), event.prev_kv().unwrap());
                assert_eq!((before.key(), before.value(), before.lease()), (kv.key(), kv.key(), 7));
                (kv.key_str().unwrap().to_owned(), kv.mod_revision())
            })
            .collect();
        assert_eq!(deleted, ["e/a", "e/b", "e/c"].map(|key| (key.to_owned(), revision + 1)));
        assert_eq!(client.get("other", None).await.unwrap().header().unwrap().revision(), revision + 1);
        assert!(client.leases().await.unwrap().leases().is_empty());
    }
}

fn put(revision: i64) -> Answer {
    Answer::Put { revision: Some(revision), previous: None }
}

fn delete(revision: i64, deleted: i64) -> Answer {
    Answer::Delete { revision: Some(revision), deleted, previous: Vec::new() }
}

#[test]
fn changes_at_once_have_each_one_of_the_next_revisions() {
    let one = burst::outcome(vec![put(8), delete(7, 1), put(6), delete(6, 0)], 5).unwrap();
    let other = burst::outcome(vec![put(6), delete(8, 1), put(7), delete(5, 0)], 5).unwrap();
    assert_eq!(one, other, "in another order");
    assert_eq!(one.1, 3);
    for wrong in [[put(6), put(6)], [put(6), put(8)], [put(5), put(6)], [put(6), delete(7, 0)], [put(6), delete(4, 0)]] {
        burst::outcome(wrong.to_vec(), 5).expect_err("a revision that cannot be");
    }
    let refused = Answer::Refused { code: String::new(), message: String::new() };
    assert_ne!(burst::outcome(vec![put(6), refused], 5), burst::outcome(vec![put(6), put(7)], 5));
}

#[test]
fn the_events_of_changes_at_once_are_the_same_in_any_order_and_no_others_are() {
    let event = |key: &str, modified, value: &str| Note::Event {
        deleted: false,
        kv: Some(Kv {
            key: Bytes(key.into()),
            value: Bytes(value.into()),
            create: modified,
            modified,
            version: 1,
            lease: 0,
        }),
        previous: None,
    };
    let notes = |events: &[(&str, i64, &str)]| {
        let mut notes =
            Notes::from([(0, events.iter().map(|(key, revision, value)| event(key, *revision, value)).collect())]);
        burst::ordered_notes(&mut notes, &(6..=8));
        notes
    };
    let one = notes(&[("z", 5, ""), ("b", 6, ""), ("a", 7, ""), ("c", 8, ""), ("b", 9, "")]);
    assert_eq!(one, notes(&[("z", 5, ""), ("c", 6, ""), ("b", 7, ""), ("a", 8, ""), ("b", 9, "")]));
    assert_ne!(one, notes(&[("z", 5, ""), ("b", 6, ""), ("a", 7, ""), ("b", 9, "")]), "one is missing");
    assert_ne!(one, notes(&[("z", 5, ""), ("b", 6, "x"), ("a", 7, ""), ("c", 8, ""), ("b", 9, "")]), "another value");
    assert_ne!(one, notes(&[("z", 4, ""), ("b", 6, ""), ("a", 7, ""), ("c", 8, ""), ("b", 9, "")]), "one from before");
    assert_ne!(one, notes(&[("b", 6, ""), ("a", 7, ""), ("c", 8, ""), ("z", 5, ""), ("b", 9, "")]), "one comes late");
}
