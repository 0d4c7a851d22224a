//! The store behaves as if it did one thing after another, each between its request and its answer: many clients read, put,
//! delete and swap a few keys, and some order of it all has to explain every answer. That holds across SIGKILL too, where a
//! request that was not answered may have been carried out or not.
//!
//! `WICAP_ROUNDS` is how many histories, or lives of the process; `WICAP_SEED` begins with that seed.

mod support;

mod linearizability {
    pub mod clients;
    pub mod history;
}

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use linearizability::clients::start;
use linearizability::history::{Answer, Asked, History, Request, check};
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

/// What a history has in it, after it was found to be in order.
fn summary(requests: &[Request], seed: u64) -> usize {
    let answered = requests.iter().filter(|request| request.answered.is_some()).count();
    println!("seed {seed}: {answered} requests answered, {} not; in order", requests.len() - answered);
    answered
}

/// A history in a process, from its first request on.
async fn in_process(seed: u64) -> Vec<Request> {
    let directory = tempfile::Builder::new().prefix("wicap-test-order").tempdir().unwrap();
    let store = Embedded::open(DataDir::take(directory.path()).unwrap(), Options::default()).unwrap();
    let mut connections = Vec::new();
    for _ in 0..CLIENTS {
        connections.push(store.client().await.unwrap());
    }
    let history = Arc::new(History::default());
    let mut clients = start(connections, 60, &history, &Arc::default(), &mut StdRng::seed_from_u64(seed));
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    history.take()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_explained_by_one_order() {
    let (rounds, seed) = rounds_and_seed();
    for seed in (seed..).take(rounds) {
        let requests = in_process(seed).await;
        check(&requests).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
        assert_eq!(summary(&requests, seed), requests.len(), "all are answered");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_order_goes_on_across_kills() {
    let (rounds, seed) = rounds_and_seed();
    let mut rng = StdRng::seed_from_u64(seed);
    let directory = tempfile::Builder::new().prefix("wicap-test-order").tempdir().unwrap();
    let (history, values) = (Arc::new(History::default()), Arc::new(AtomicU64::new(1)));
    for _ in 0..rounds {
        let mut process = StoreProcess::start(directory.path()).await;
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
    }
    // What the last life has left behind is looked at as well.
    let mut process = StoreProcess::start(directory.path()).await;
    let mut clients = start(vec![process.client().await], 20, &history, &values, &mut rng);
    clients.join_next().await.expect("there is one").unwrap();
    process.kill();
    let requests = history.take();
    check(&requests).unwrap_or_else(|wrong| panic!("seed {seed}, {rounds} lives: {wrong}"));
    assert!(summary(&requests, seed) > rounds, "little was answered");
}

/// `(asked, sent, answered)`.
type Told = (Asked, usize, Option<(usize, Answer)>);

/// A history of one key, to be judged.
fn judge(history: &[Told]) -> Result<(), String> {
    let requests =
        history.iter().map(|(asked, sent, answered)| Request { key: 0, asked: *asked, sent: *sent, answered: *answered });
    check(&requests.collect::<Vec<_>>())
}

/// An answer that came at that time.
#[allow(clippy::unnecessary_wraps)] // An answer that was lost stands beside it as none.
fn at(time: usize, revision: i64, found: Option<(u64, i64)>, changed: bool) -> Option<(usize, Answer)> {
    Some((time, Answer { revision, found, changed }))
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

/// An acknowledged put that a crash has lost, in an otherwise real history.
#[tokio::test(flavor = "multi_thread")]
async fn a_real_history_that_was_altered_is_noticed() {
    let requests = in_process(1).await;
    check(&requests).unwrap();
    let found =
        |value| requests.iter().any(|one| one.answered.and_then(|(_, a)| a.found).is_some_and(|found| found.0 == value));
    let put = requests.iter().position(|one| matches!(one.asked, Asked::Put(value) if found(value))).unwrap();
    let mut lost = requests.clone();
    lost.remove(put);
    check(&lost).expect_err("what was found was put by nobody");
    let mut doubted = requests.clone();
    doubted[put].answered = None;
    check(&doubted).expect("an answer that is lost leaves the rest as it is");
}
