//! Measures lines a second on one core. Counted is the time the thread ran, not the time it waited for a core: the
//! machine is shared.

use std::fs;
use std::hint::black_box;
use std::sync::LazyLock;
use std::time::Instant;

use wicap::signature::mine::{Miner, Settings};

use crate::data::Labelled;

/// Lines for each set; long enough for a stable figure, short enough for a shared machine.
const LINES: usize = 4_000_000;

/// Best of so many runs: the others were disturbed.
const RUNS: usize = 3;

/// Prints one row for each set and the harmonic mean.
#[expect(clippy::cast_precision_loss, reason = "the counts are small")]
pub fn print(sets: &[Labelled]) {
    let mut seconds_a_line = 0.0;
    for set in sets {
        let bytes = set.lines.iter().map(String::len).sum::<usize>() as f64 / set.lines.len() as f64;
        let mut best = f64::INFINITY;
        for _ in 0..RUNS {
            let mut miner = Miner::new(Settings::default());
            for line in &set.lines {
                miner.learn(line);
            }
            let rounds = LINES / set.lines.len();
            let start = seconds();
            for _ in 0..rounds {
                for line in &set.lines {
                    black_box(miner.learn(black_box(line)));
                }
            }
            best = best.min((seconds() - start) / (rounds * set.lines.len()) as f64);
        }
        seconds_a_line += best / sets.len() as f64;
        println!(
            "{:10} {:>5.0} bytes a line {:>6.2} M lines/s {:>6.0} MB/s",
            set.name,
            bytes,
            1e-6 / best,
            bytes / best / 1e6
        );
    }
    println!("all        equal shares          {:>6.2} M lines/s", 1e-6 / seconds_a_line);
}

/// Seconds this thread has run, as the kernel counts; seconds of the clock where it does not say.
#[expect(clippy::cast_precision_loss, reason = "nanoseconds of a short run fit")]
fn seconds() -> f64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let clock = START.elapsed().as_secs_f64();
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|nanos| nanos.parse::<u64>().ok()).map_or(clock, |nanos| nanos as f64 * 1e-9)
}
