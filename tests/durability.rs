//! What the store has acknowledged is there after SIGKILL, whenever that comes: a real process under load is killed at random
//! moments, started again on the same directory, and what it then holds is compared with what it had answered.
//!
//! `WICAP_KILLS` is how often; `WICAP_SEED` begins with that seed, so that the same is asked and the kills come as long after the
//! start as before, as far as real processes allow.

mod support;

mod durability {
    pub mod check;
    pub mod history;
    pub mod load;
}

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use durability::check::check;
use durability::history::{KINDS, Log, Model, Request, Sent, value};
use durability::load;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use support::PATIENCE;
use support::store::StoreProcess;
use tempfile::TempDir;

/// What the suite takes the time for.
const KILLS: usize = 40;

/// How many requests a store has answered at least before it may be killed: by their number and not by time, since a machine that
/// is slow or busy answers few in any time.
const ANSWERS: std::ops::RangeInclusive<usize> = 0..=30;

/// How long it lives then, in microseconds.
const LIFE: std::ops::RangeInclusive<u64> = 0..=150_000;

/// What a store answers in such a life at the least, on average: commits take a few milliseconds on a slow disk.
const WRITES_A_LIFE: usize = 5;

/// One in this many starts is itself cut off, somewhere in its first milliseconds.
const CUT_STARTS: u32 = 8;

/// First starts that are cut off, and within which time: a store has made its file by then.
const FIRST_STARTS: u32 = 24;
const FIRST_START: Duration = Duration::from_millis(60);

fn variable<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}: found '{text}', expected a number")))
}

/// A directory, and what the store in it must hold.
struct Subject {
    directory: TempDir,
    model: Model,
    numbers: Arc<AtomicU64>,
    rng: StdRng,
}

/// What happened.
#[derive(Default)]
struct Tally {
    /// Those that came under load.
    kills: usize,
    /// Those that came during a start, when nothing was asked yet.
    cut_starts: usize,
    /// How many requests were, by kind.
    acknowledged: BTreeMap<&'static str, usize>,
    /// Sent, not answered before the kill.
    in_doubt: usize,
    checks: Duration,
}

impl Subject {
    fn new(parent: &Path, seed: u64) -> Self {
        let directory = tempfile::Builder::new().prefix("wicap-test-kill").tempdir_in(parent).unwrap();
        let numbers = Arc::new(AtomicU64::new(1));
        Self { directory, model: Model::empty(), numbers, rng: StdRng::seed_from_u64(seed) }
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("store.redb")
    }

    /// Has a store write until it is killed, and returns what was asked of it.
    async fn live_and_die(&mut self, mut process: StoreProcess) -> Result<Vec<Sent>, String> {
        let log = Arc::new(Log::default());
        let mut clients = load::start(&process, &self.model, &log, &self.numbers, &mut self.rng).await;
        let answers = log.until_answered(self.rng.random_range(ANSWERS));
        tokio::time::timeout(PATIENCE, answers).await.map_err(|_| "it answers nothing any more".to_owned())?;
        tokio::time::sleep(Duration::from_micros(self.rng.random_range(LIFE))).await;
        process.kill();
        while clients.join_next().await.is_some() {}
        log.take()
    }

    /// Starts the store again, with some starts that do not get far, and compares.
    async fn revive(&mut self, sent: &[Sent], tally: &mut Tally) -> Result<StoreProcess, String> {
        while self.rng.random_ratio(1, CUT_STARTS) {
            let mut process = StoreProcess::spawn(self.directory.path());
            tokio::time::sleep(Duration::from_micros(self.rng.random_range(0..30_000))).await;
            process.kill();
            tally.cut_starts += 1;
        }
        let mut process = StoreProcess::spawn(self.directory.path());
        let mut client = process.answering().await;
        let began = Instant::now();
        self.model = check(&mut client, &self.model, sent).await?;
        tally.checks += began.elapsed();
        Ok(process)
    }
}

/// Kills a store that often; all that happens is decided by the seed, but for how far each process gets.
async fn kills(parent: PathBuf, kills: usize, seed: u64) -> Tally {
    let mut subject = Subject::new(&parent, seed);
    let mut tally = Tally::default();
    let mut process = StoreProcess::start(subject.directory.path()).await;
    while tally.kills < kills {
        let outcome = match subject.live_and_die(process).await {
            Ok(sent) => {
                tally.kills += 1;
                for sent in sent.iter().filter(|sent| sent.answered.is_some()) {
                    *tally.acknowledged.entry(sent.request.kind()).or_default() += 1;
                }
                tally.in_doubt += sent.iter().filter(|sent| sent.answered.is_none()).count();
                subject.revive(&sent, &mut tally).await
            }
            Err(broken) => Err(broken),
        };
        process = match outcome {
            Ok(process) => process,
            Err(error) => {
                let directory = subject.directory.keep();
                panic!("after kill {}, seed {seed}, in {}: {error}", tally.kills, directory.display());
            }
        };
    }
    tally
}

/// A disk, which makes a commit long, and memory, in which there are many more of them.
fn places() -> Vec<PathBuf> {
    let memory = PathBuf::from("/dev/shm");
    std::iter::once(std::env::temp_dir()).chain(Some(memory).filter(|memory| memory.is_dir())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_after_a_kill() {
    let wanted = variable("WICAP_KILLS").unwrap_or(KILLS);
    // Short enough to be typed.
    let seed: u64 = variable("WICAP_SEED").unwrap_or_else(|| rand::random::<u32>().into());
    let places = places();
    println!("{wanted} kills, seed {seed}");
    let began = Instant::now();
    let each = wanted.div_ceil(places.len());
    let running = places.into_iter().enumerate().map(|(index, place)| kills(place, each, seed + index as u64));
    let tallies = futures::future::join_all(running).await;
    let sum = |of: fn(&Tally) -> usize| tallies.iter().map(of).sum::<usize>();
    let checks: Duration = tallies.iter().map(|tally| tally.checks).sum();
    let kills = sum(|tally| tally.kills);
    let mut acknowledged = BTreeMap::new();
    for (kind, count) in tallies.iter().flat_map(|tally| &tally.acknowledged) {
        *acknowledged.entry(*kind).or_default() += count;
    }
    println!(
        "{kills} kills under load and {} during a start, seed {seed}: {} requests acknowledged, none lost; {} without an \
         answer; {:.1} ms a check; {:.0} s\nacknowledged: {acknowledged:?}",
        sum(|tally| tally.cut_starts),
        acknowledged.values().sum::<usize>(),
        sum(|tally| tally.in_doubt),
        (checks / u32::try_from(kills).unwrap()).as_secs_f64() * 1000.0,
        began.elapsed().as_secs_f64(),
    );
    // A run that shows one failure again is too short for that.
    if wanted >= KILLS {
        let missing: Vec<_> = KINDS.iter().filter(|kind| !acknowledged.contains_key(*kind)).collect();
        assert!(missing.is_empty(), "never acknowledged: {missing:?}");
        let writes: usize =
            ["put", "transaction", "deletion", "put with a lease"].iter().map(|kind| acknowledged[kind]).sum();
        assert!(writes >= WRITES_A_LIFE * kills, "only {writes} writes were acknowledged before {kills} kills");
    }
}

/// A store that was killed while it made its file has acknowledged nothing, and can be started again.
#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_can_be_killed_at_any_time() {
    for place in places() {
        for number in 0..FIRST_STARTS {
            let directory = tempfile::Builder::new().prefix("wicap-test-first").tempdir_in(&place).unwrap();
            let mut process = StoreProcess::spawn(directory.path());
            tokio::time::sleep(FIRST_START * number / FIRST_STARTS).await;
            process.kill();
            let mut process = StoreProcess::spawn(directory.path());
            let mut client = process.answering().await;
            assert_eq!(client.put("first", "", None).await.unwrap().header().unwrap().revision(), 2);
        }
    }
}

/// The check itself is checked: a store that forgets is found out.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_has_lost_what_it_acknowledged_is_noticed() {
    let mut subject = Subject::new(&std::env::temp_dir(), 1);
    let (mut tally, mut sent) = (Tally::default(), Vec::new());
    let mut earlier = Vec::new();
    while !sent.iter().any(|sent: &Sent| sent.answered.is_some() && matches!(sent.request, Request::Write { .. })) {
        let process = subject.revive(&sent, &mut tally).await.unwrap();
        earlier = std::fs::read(subject.file()).unwrap();
        sent = subject.live_and_die(process).await.unwrap();
    }
    std::fs::write(subject.file(), earlier).unwrap();
    let error = subject.revive(&sent, &mut tally).await.err().expect("what was acknowledged is gone");
    assert!(error.contains("was acknowledged"), "{error}");
}

/// The same with a history that is altered instead of the store.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_the_store_does_not_keep_is_noticed() {
    let mut subject = Subject::new(&std::env::temp_dir(), 2);
    let (mut tally, mut sent) = (Tally::default(), Vec::new());
    let is_transaction = |sent: &Sent| matches!(&sent.request, Request::Write { changes, .. } if changes.len() == 3);
    while !sent.iter().any(|sent| is_transaction(sent) && sent.answered.is_some()) {
        let process = subject.revive(&sent, &mut tally).await.unwrap();
        sent = subject.live_and_die(process).await.unwrap();
    }
    let position = sent.iter().position(|sent| is_transaction(sent) && sent.answered.is_some()).unwrap();
    let mut half = sent.clone();
    if let Request::Write { changes, .. } = &mut half[position].request {
        changes.pop();
    }
    let mut process = StoreProcess::spawn(subject.directory.path());
    let mut client = process.answering().await;
    let error = check(&mut client, &subject.model, &half).await.expect_err("one key more than was asked");
    assert!(error.starts_with("revision "), "{error}");
    let mut later = sent.clone();
    later[position].answered = Some(1_000_000);
    let error = check(&mut client, &subject.model, &later).await.expect_err("a revision that is not there");
    assert!(error.contains("1000000 was acknowledged"), "{error}");
    let mut unasked = sent.clone();
    unasked.remove(position);
    let error = check(&mut client, &subject.model, &unasked).await.expect_err("a revision that nobody asked for");
    assert!(error.starts_with("revision "), "{error}");
    check(&mut client, &subject.model, &sent).await.expect("and nothing is wrong with what was said");
}

/// A value that has lost its end still begins like one that was written.
#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_was_shortened_is_noticed() {
    let whole = value(1, 300);
    for (stored, kept) in [(whole.as_str(), true), (&whole[..whole.len() - 1], false)] {
        let subject = Subject::new(&std::env::temp_dir(), 3);
        let mut process = StoreProcess::spawn(subject.directory.path());
        let mut client = process.answering().await;
        client.put("p/0/0", stored, None).await.unwrap();
        let request = Request::Write { changes: vec![("p/0/0".to_owned(), Some(1))], lease: 0 };
        let sent = Sent { request, at: Instant::now(), answered: Some(2) };
        let checked = check(&mut client, &subject.model, &[sent]).await.map(|_| ());
        let expected = if kept { Ok(()) } else { Err("p/0/0 has a value that nobody wrote".to_owned()) };
        assert_eq!(checked, expected);
    }
}
