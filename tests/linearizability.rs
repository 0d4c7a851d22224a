//! The store behaves as if it did one thing after another, each between its request and its answer: many clients read, put,
//! delete and swap a few keys, alone and several at once, and some order of it all has to explain every answer; a watcher
//! has to be told that order. That holds across SIGKILL too, where a request that was not answered may have been carried out
//! or not.
//!
//! `WICAP_ROUNDS` is how many histories, or lives of the process; `WICAP_SEED` begins with that seed.

mod support;

mod linearizability {
    pub mod clients;
    pub mod committed;
    pub mod history;
}

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use etcd_client::{Client, ResponseHeader};
use linearizability::clients::{KEYS, start};
use linearizability::committed::{self, Change, Watcher};
use linearizability::history::{self, Answer, Asked, Found, History, Request, overlapping};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use support::store::StoreProcess;
use wicap::store::embedded::data_dir::DataDir;
use wicap::store::embedded::{Embedded, Options};

/// Clients at once: each request has some beside it.
const CLIENTS: usize = 8;

/// What the suite takes the time for.
const ROUNDS: usize = 6;

/// How long the process lives under load.
const LIFE: std::ops::RangeInclusive<u64> = 50..=300;

fn variable<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}: found '{text}', expected a number")))
}

fn rounds_and_seed() -> (usize, u64) {
    // Short enough to be typed.
    (variable("WICAP_ROUNDS").unwrap_or(ROUNDS), variable("WICAP_SEED").unwrap_or_else(|| rand::random::<u32>().into()))
}

/// A whole history: what was asked and answered, and what a watcher was told.
type Recorded = (Vec<Request>, Vec<Change>);

fn check((requests, told): &Recorded) -> Result<(), String> {
    history::check(requests)?;
    committed::check(requests, told)
}

/// What a history has in it, after it was found to be in order: enough for a wrong order to show. Returns how many requests
/// were answered.
fn summary((requests, told): &Recorded, seed: u64) -> usize {
    let answered = requests.iter().filter(|request| request.answered.is_some()).count();
    let beside = overlapping(requests);
    let pairs = requests.iter().filter(|one| one.asked.len() == 2 && one.answered.as_ref().is_some_and(|(_, a)| a.changed));
    let (pairs, lost) = (pairs.count(), requests.len() - answered);
    println!(
        "seed {seed}: {answered} requests answered, {beside} beside others, {lost} not; {} events; in order",
        told.len()
    );
    // Eight clients that do not pause are hardly ever one.
    assert!(beside > answered / 2, "only {beside} of {answered} requests had another beside them");
    // One request in fourteen puts two keys whatever they are.
    assert!(pairs > answered / 50, "only {pairs} of {answered} requests changed two keys");
    answered
}

/// What a watcher was told, once it is up to date.
async fn told(watcher: &Watcher, client: &mut Client) -> Vec<Change> {
    let answer = client.get("any", None).await.unwrap();
    watcher.until(answer.header().map_or(0, ResponseHeader::revision)).await
}

/// A history in a process, from its first request on.
async fn in_process(seed: u64) -> Recorded {
    let directory = tempfile::Builder::new().prefix("wicap-test-order").tempdir().unwrap();
    let store = Embedded::open(DataDir::take(directory.path()).unwrap(), Options::default()).unwrap();
    let watcher = Watcher::default();
    let watching = watcher.start(store.client().await.unwrap()).await;
    let mut connections = Vec::new();
    for _ in 0..CLIENTS {
        connections.push(store.client().await.unwrap());
    }
    let history = Arc::new(History::default());
    let mut clients = start(connections, 60, &history, &Arc::default(), &mut StdRng::seed_from_u64(seed));
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    let told = told(&watcher, &mut store.client().await.unwrap()).await;
    watching.abort();
    (history.take(), told)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_explained_by_one_order() {
    let (rounds, seed) = rounds_and_seed();
    for seed in (seed..).take(rounds) {
        let recorded = in_process(seed).await;
        check(&recorded).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
        assert_eq!(summary(&recorded, seed), recorded.0.len(), "all are answered");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_order_goes_on_across_kills() {
    let (rounds, seed) = rounds_and_seed();
    let mut rng = StdRng::seed_from_u64(seed);
    let directory = tempfile::Builder::new().prefix("wicap-test-order").tempdir().unwrap();
    let (history, values, watcher) = (Arc::new(History::default()), Arc::new(AtomicU64::new(1)), Watcher::default());
    for _ in 0..rounds {
        let mut process = StoreProcess::start(directory.path()).await;
        let watching = watcher.start(process.client().await).await;
        let mut connections = Vec::new();
        for _ in 0..CLIENTS {
            connections.push(process.client().await);
        }
        let mut clients = start(connections, usize::MAX, &history, &values, &mut rng);
        tokio::time::sleep(Duration::from_millis(rng.random_range(LIFE))).await;
        process.kill();
        while let Some(ended) = clients.join_next().await {
            ended.unwrap();
        }
        watching.await.unwrap();
    }
    // What the last life has left behind is looked at as well.
    let mut process = StoreProcess::start(directory.path()).await;
    let watching = watcher.start(process.client().await).await;
    let mut clients = start(vec![process.client().await], 20, &history, &values, &mut rng);
    clients.join_next().await.expect("there is one").unwrap();
    let told = told(&watcher, &mut process.client().await).await;
    process.kill();
    watching.await.unwrap();
    let recorded = (history.take(), told);
    check(&recorded).unwrap_or_else(|wrong| panic!("seed {seed}, {rounds} lives: {wrong}"));
    assert!(summary(&recorded, seed) > rounds, "little was answered");
}

/// Time, revision, what was found, whether that was changed.
type Said = (usize, i64, Found, bool);

/// `(asked, sent, answered)`.
type Told = (Asked, usize, Option<Said>);

/// A request of one key, from when to when, and its answer.
fn of_one(&(asked, sent, answered): &Told) -> Request {
    let answer = |(at, revision, found, changed)| (at, Answer { revision, found: vec![found], changed });
    Request { asked: vec![(0, asked)], sent, answered: answered.map(answer) }
}

/// A history of one key, to be judged.
fn judge(history: &[Told]) -> Result<(), String> {
    history::check(&history.iter().map(of_one).collect::<Vec<_>>())
}

/// An answer that came at that time.
#[allow(clippy::unnecessary_wraps)] // An answer that was lost stands beside it as none.
fn at(time: usize, revision: i64, found: Found, changed: bool) -> Option<Said> {
    Some((time, revision, found, changed))
}

/// The same reads are in order while a put is under way, and out of order after it.
#[test]
fn a_stale_read_is_noticed() {
    let put = (Asked::Put(1), 1, at(2, 2, None, true));
    let again = |answered| (Asked::Put(2), 3, at(answered, 3, Some((1, 2)), true));
    let fresh = (Asked::Get, 4, at(5, 3, Some((2, 3)), false));
    let stale = |revision| (Asked::Get, 6, at(7, revision, Some((1, 2)), false));
    let beside = (Asked::Get, 4, at(7, 2, Some((1, 2)), false));
    judge(&[put, again(8), fresh, beside]).unwrap();
    judge(&[put, again(8), fresh, stale(2)]).expect_err("a read goes back behind another");
    let error = judge(&[put, again(8), fresh, stale(3)]).expect_err("nor does it help to say that it is new");
    assert!(error.contains("no order explains"), "{error}");
}

#[test]
fn a_request_without_an_answer_may_have_happened_or_not_but_stays_as_it_was_seen() {
    let put = (Asked::Put(1), 1, at(2, 2, None, true));
    let lost = (Asked::Put(2), 3, None);
    let read = |sent, found| (Asked::Get, sent, at(sent + 1, 5, Some(found), false));
    judge(&[put, lost, read(5, (1, 2)), read(7, (1, 2))]).unwrap();
    judge(&[put, lost, read(5, (2, 4)), read(7, (2, 4))]).unwrap();
    judge(&[put, lost, read(5, (1, 2)), read(7, (2, 4))]).unwrap();
    judge(&[put, lost, read(5, (2, 4)), read(7, (1, 2))]).expect_err("it was there, and is gone");
    judge(&[put, lost, read(5, (2, 4)), read(7, (2, 5))]).expect_err("it was put once");
    judge(&[put, read(5, (3, 4))]).expect_err("nobody has put that");
}

#[test]
fn two_swaps_of_one_revision_are_noticed() {
    let put = (Asked::Put(1), 1, at(2, 2, None, true));
    let swap = |value, revision, found| (Asked::Swap { revision: 2, value }, 3, at(8, revision, Some(found), true));
    let refused = (Asked::Swap { revision: 2, value: 3 }, 3, at(8, 3, Some((2, 3)), false));
    judge(&[put, swap(2, 3, (1, 2)), refused]).unwrap();
    judge(&[put, swap(2, 3, (1, 2)), swap(3, 4, (1, 2))]).expect_err("only one can have found it");
    judge(&[put, swap(2, 3, (1, 2)), swap(3, 4, (2, 3))]).expect_err("it was no longer as it was to be");
}

/// Two keys are put together twice, while somebody reads all keys.
fn two_pairs(read: Answer) -> Recorded {
    let pair = |value, revision, found| Request {
        asked: vec![(0, Asked::Put(value)), (1, Asked::Put(value + 1))],
        sent: 1,
        answered: Some((9, Answer { revision, found, changed: true })),
    };
    let nothing: Vec<Found> = vec![None, None];
    let all = (0..KEYS).map(|key| (key, Asked::Get)).collect();
    let read = Request { asked: all, sent: 2, answered: Some((8, read)) };
    let told = [(2, 0, 1), (2, 1, 2), (3, 0, 3), (3, 1, 4)];
    let told = told.map(|(revision, key, value)| Change { revision, key, value: Some(value) });
    (vec![pair(1, 2, nothing), read, pair(3, 3, vec![Some((1, 2)), Some((2, 2))])], told.to_vec())
}

#[test]
fn a_read_that_is_torn_across_keys_is_noticed() {
    let read = |revision, first, second| Answer { revision, found: vec![first, second, None], changed: false };
    check(&two_pairs(read(1, None, None))).unwrap();
    check(&two_pairs(read(2, Some((1, 2)), Some((2, 2))))).unwrap();
    check(&two_pairs(read(3, Some((3, 3)), Some((4, 3))))).unwrap();
    for torn in [read(3, Some((3, 3)), Some((2, 2))), read(3, Some((1, 2)), Some((4, 3))), read(2, Some((1, 2)), None)] {
        let torn = two_pairs(torn);
        history::check(&torn.0).expect("each key alone may have been so");
        let error = check(&torn).expect_err("but not both together");
        assert!(error.contains("there was"), "{error}");
    }
    check(&two_pairs(read(3, Some((1, 2)), Some((2, 2))))).expect_err("that is what was there at revision 2");
    check(&two_pairs(read(4, Some((3, 3)), Some((4, 3))))).expect_err("there is no such revision");
}

#[test]
fn a_transaction_that_takes_the_wrong_branch_is_noticed() {
    let (mut requests, told) = two_pairs(Answer { revision: 1, found: vec![None; KEYS], changed: false });
    let mut swap = |revision, changed| {
        requests[2].asked = vec![(0, Asked::Swap { revision, value: 3 }), (1, Asked::Swap { revision: 2, value: 4 })];
        let answer = Answer { revision: 3, found: vec![Some((1, 2)), Some((2, 2))], changed };
        requests[2].answered = Some((9, answer));
        committed::check(&requests, &told)
    };
    swap(2, true).unwrap();
    swap(1, true).expect_err("one of its keys was not as it was to be");
    swap(2, false).expect_err("both were, and both were changed");
}

#[test]
fn a_watcher_that_is_told_otherwise_is_noticed() {
    let (requests, told) = two_pairs(Answer { revision: 1, found: vec![None; KEYS], changed: false });
    let otherwise = |alter: fn(&mut Vec<Change>)| {
        let mut told = told.clone();
        alter(&mut told);
        committed::check(&requests, &told)
    };
    otherwise(|_| {}).unwrap();
    otherwise(|told| told.truncate(3)).expect_err("half a transaction");
    otherwise(|told| told.truncate(2)).expect_err("an acknowledged change is not told");
    otherwise(|told| drop(told.drain(..2))).expect_err("nor the first");
    otherwise(|told| told.swap(2, 3)).expect_err("two changes of one revision in another order");
    otherwise(|told| told.rotate_left(2)).expect_err("two revisions in another order");
    otherwise(|told| told.push(told[3])).expect_err("one change twice");
    otherwise(|told| told[1].value = None).expect_err("a deletion instead of a put");
    otherwise(|told| told[1].value = Some(9)).expect_err("another value");
    let beyond = Change { revision: 4, key: 2, value: Some(5) };
    let error = committed::check(&requests, &[told.as_slice(), &[beyond]].concat()).expect_err("nobody asked for that");
    assert!(error.contains("is None"), "{error}");
    let lost = Request { asked: vec![(2, Asked::Put(5))], sent: 3, answered: None };
    let requests = [requests.as_slice(), &[lost]].concat();
    committed::check(&requests, &[told.as_slice(), &[beyond]].concat()).expect("somebody did, and was not answered");
    committed::check(&requests, &told).expect("or it was never done");
}

#[test]
fn requests_one_after_another_do_not_overlap() {
    let history = |times: &[(usize, usize)]| {
        let requests = times.iter().map(|&(sent, answered)| of_one(&(Asked::Get, sent, at(answered, 1, None, false))));
        overlapping(&requests.collect::<Vec<_>>())
    };
    assert_eq!(history(&[(1, 2), (3, 4), (5, 6)]), 0);
    assert_eq!(history(&[(1, 6), (2, 3), (4, 5), (7, 8)]), 2);
}

/// An acknowledged put that a crash has lost, in an otherwise real history.
#[tokio::test(flavor = "multi_thread")]
async fn a_real_history_that_was_altered_is_noticed() {
    let (requests, told) = in_process(1).await;
    history::check(&requests).unwrap();
    let found = |value| {
        let answers = requests.iter().filter_map(|one| one.answered.as_ref());
        answers.flat_map(|(_, answer)| &answer.found).flatten().any(|found| found.0 == value)
    };
    let is_put = |one: &Request| matches!(one.asked[..], [(_, Asked::Put(value))] if found(value));
    let put = requests.iter().position(is_put).unwrap();
    let mut lost = requests.clone();
    lost.remove(put);
    history::check(&lost).expect_err("what was found was put by nobody");
    committed::check(&lost, &told).expect_err("what was told was put by nobody");
    let mut doubted = requests.clone();
    doubted[put].answered = None;
    check(&(doubted, told)).expect("an answer that is lost leaves the rest as it is");
}
