//! Whole histories of controllers, store, engine and operator, in one thread with a paused clock: what takes hours takes no time, and
//! whatever chance does is a function of one number.
//!
//! ```text
//!  seed ──▶ scenario ──▶ world: store in memory · model of the engine · two processes · an operator ──▶ record, deeds ──▶ judge
//! ```
//!
//! - `WICAP_HISTORIES=N`: how many histories are tried (default 12); `WICAP_FIRST_SEED=N`: from which seed on
//! - `WICAP_TWICE=N`: how many are told twice (default 5), to see that they are the same
//! - `WICAP_SEED=N`: only that one, with its trace: `WICAP_SEED=7 cargo test --test simulation -- --nocapture histories`

mod docker;
mod doors;
mod journal;
mod judge;
mod scenario;
mod spells;
mod wire;
mod world;

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use scenario::Scenario;
use world::World;

// As in the daemon, and a history is a great many small pieces.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Histories that a build without optimisation takes the time for; `hack/simulate` asks for more, of one with.
const HISTORIES: u64 = 12;

/// After how many histories it is said how far it has come.
const PROGRESS: u64 = 5000;

/// One history, judged.
struct Told {
    trace: Vec<String>,
    broken: Vec<String>,
    settled: Option<Duration>,
    /// Whether it was let go while somebody waited for what the engine restarts for ever: then nobody has held it to silence.
    let_go: bool,
    deeds: usize,
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}: found {text:?}, expected a number")))
}

/// A directory such as a stack has.
fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("compose.yaml"), "services: {}\n").unwrap();
    directory
}

/// A runtime whose clock is paused, in a thread in which chance is a function of that seed.
fn paused(seed: u64) -> tokio::runtime::Runtime {
    wicap::dice::seed(seed);
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

fn tell(seed: u64, directory: &Path) -> Told {
    // Each act on the heap: without optimisation they are too large for a thread's stack, together.
    paused(seed).block_on(async {
        let scenario = Scenario::draw();
        let world = Box::pin(World::begin(scenario, directory)).await;
        let record = world.record.clone();
        let ended = Box::pin(world.play()).await;
        let broken = Box::pin(judge::judge(&world, &record, &ended)).await;
        let let_go = ended.settled.is_some() && ended.quiet_at == Duration::MAX;
        Told { trace: world.journal.trace(), broken, settled: ended.settled, let_go, deeds: world.journal.deeds().len() }
    })
}

#[test]
fn histories() {
    let directory = directory();
    if let Some(seed) = number("WICAP_SEED") {
        let told = tell(seed, directory.path());
        println!("{}", told.trace.join("\n"));
        assert!(told.broken.is_empty(), "seed {seed}:\n{}", told.broken.join("\n"));
        return;
    }
    let (first, count) = (number("WICAP_FIRST_SEED").unwrap_or(1), number("WICAP_HISTORIES").unwrap_or(HISTORIES));
    let next = AtomicU64::new(first);
    let broken = Mutex::new(Vec::new());
    let (deeds, slowest) = (AtomicU64::new(0), Mutex::new((Duration::ZERO, 0)));
    let (told_so_far, let_go) = (AtomicU64::new(0), AtomicU64::new(0));
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let begun = std::time::Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count || broken.lock().unwrap().len() >= 5 {
                        return;
                    }
                    let told = tell(seed, directory.path());
                    deeds.fetch_add(told.deeds as u64, Ordering::Relaxed);
                    let_go.fetch_add(told.let_go.into(), Ordering::Relaxed);
                    if let Some(settled) = told.settled {
                        let mut slowest = slowest.lock().unwrap();
                        *slowest = (*slowest).max((settled, seed));
                    }
                    if !told.broken.is_empty() {
                        println!("seed {seed} is broken");
                        broken.lock().unwrap().push((seed, told.broken));
                    }
                    let told = told_so_far.fetch_add(1, Ordering::Relaxed) + 1;
                    if told.is_multiple_of(PROGRESS) && told < count {
                        let broken = broken.lock().unwrap().len();
                        println!("{told} of {count} histories in {:.0?}, {broken} broken", begun.elapsed());
                    }
                }
            });
        }
    });
    let (slowest, seed) = *slowest.lock().unwrap();
    println!(
        "{count} histories from seed {first} in {:.0?}: {} deeds; the slowest settled {slowest:.1?} after its last fault (seed {seed}); \
         {} waited for an endless loop",
        begun.elapsed(),
        deeds.load(Ordering::Relaxed),
        let_go.load(Ordering::Relaxed),
    );
    let broken = broken.into_inner().unwrap();
    let first = |what: &Vec<String>| what.first().map(|w| w.chars().take(300).collect::<String>()).unwrap_or_default();
    let list: Vec<String> =
        broken.iter().map(|(seed, what)| format!("seed {seed}: {} of {}", first(what), what.len())).collect();
    assert!(broken.is_empty(), "{}", list.join("\n"));
}

#[test]
fn a_seed_always_tells_the_same_history() {
    let directory = directory();
    for seed in 1..=number("WICAP_TWICE").unwrap_or(5) {
        let (first, second) = (tell(seed, directory.path()), tell(seed, directory.path()));
        for (n, (a, b)) in first.trace.iter().zip(&second.trace).enumerate() {
            assert_eq!(a, b, "seed {seed}, line {n}, after\n{}", first.trace[n.saturating_sub(20)..n].join("\n"));
        }
        assert_eq!(first.trace.len(), second.trace.len(), "seed {seed}");
    }
}
