//! How well spikes are found: series with one each, and streams with none, beside two simple rules. All seeds are fixed, so two
//! runs print the same.

use crate::series::{BASES, FACTORS, NOISES, SHAPES, Series};
use crate::simple::Reader;
use crate::steady;

/// The series and streams that the constants were chosen with, and those that they were not.
const CHOSEN: (std::ops::RangeInclusive<u32>, std::ops::RangeInclusive<u64>) = (1..=500, 1..=200);
const FRESH: (std::ops::RangeInclusive<u32>, std::ops::RangeInclusive<u64>) = (1_001..=1_500, 1_001..=1_500);

/// Seconds after the end of a spike in which telling it still is no false alarm, though it is no find either.
const AFTER: u32 = 300;

/// What one reader told of one series.
#[derive(Clone, Copy)]
struct Score {
    /// Seconds from the onset, if the spike was told while it lasted (a burst: within two minutes).
    delay: Option<u32>,
    false_alarms: usize,
}

/// One series without its lines, and how our watch and the simple rules did.
struct Outcome {
    series: Series,
    scores: [Score; 3],
}

/// Prints both tables: for what the constants were chosen with, or else for what is fresh.
pub fn print(chosen: bool) {
    let (series, seeds) = if chosen { CHOSEN } else { FRESH };
    table(series);
    println!("## Steady: six hours of 200 signatures in which nothing happens\n");
    println!("| seeds | streams that raised anything | spikes | silences | factor 3 | z-score 3 | lines |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    steady::print(&format!("{} to {}", seeds.start(), seeds.end()), seeds);
}

fn table(numbers: std::ops::RangeInclusive<u32>) {
    println!("## Spikes: series {} to {} of six hours, one spike in each\n", numbers.start(), numbers.end());
    println!("P precision, R recall, delay in seconds (median / 95th percentile of those found).\n");
    println!("| group | series | ours P | R | R in 2 min | delay | factor 3: P | R | delay | z-score 3: P | R | delay |");
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    let outcomes: Vec<Outcome> = numbers.map(outcome).collect();
    row("all", &outcomes, |_| true);
    for noise in NOISES {
        row(&format!("{noise:?}"), &outcomes, |series| series.noise == noise);
    }
    for factor in FACTORS {
        row(&format!("factor {factor}"), &outcomes, |series| series.factor == factor);
    }
    for base in BASES {
        row(&format!("base {base}/min"), &outcomes, |series| series.base == base);
    }
    for shape in SHAPES {
        row(&format!("{shape:?}"), &outcomes, |series| series.shape == shape);
    }
    row("excess below 12 lines", &outcomes, |series| series.excess() < 12.0);
    row("excess 12 to 100 lines", &outcomes, |series| (12.0..100.0).contains(&series.excess()));
    row("excess over 100 lines", &outcomes, |series| series.excess() >= 100.0);
    println!();
}

fn outcome(number: u32) -> Outcome {
    let mut series = Series::numbered(number);
    let scores = Reader::all().map(|reader| score(reader, &series));
    series.lines = Vec::new();
    Outcome { series, scores }
}

fn score(mut reader: Reader, series: &Series) -> Score {
    let (onset, end) = series.spike;
    let end = end.max(onset + 120);
    let mut score = Score { delay: None, false_alarms: 0 };
    for (second, &lines) in (0..).zip(&series.lines) {
        reader.pass(second);
        for _ in 0..lines {
            if !reader.line(second) {
                continue;
            }
            if (onset..end).contains(&second) && score.delay.is_none() {
                score.delay = Some(second - onset);
            } else if score.delay.is_some() || !(onset..end + AFTER).contains(&second) {
                score.false_alarms += 1;
            }
        }
    }
    score
}

#[expect(clippy::cast_precision_loss, reason = "the counts are small")]
fn row(name: &str, outcomes: &[Outcome], belongs: impl Fn(&Series) -> bool) {
    let group: Vec<&Outcome> = outcomes.iter().filter(|outcome| belongs(&outcome.series)).collect();
    print!("| {name} | {} ", group.len());
    let share = |part: usize, of: usize| if of == 0 { 1.0 } else { part as f64 / of as f64 };
    for reader in 0..3 {
        let mut delays: Vec<u32> = group.iter().filter_map(|outcome| outcome.scores[reader].delay).collect();
        delays.sort_unstable();
        let wrong: usize = group.iter().map(|outcome| outcome.scores[reader].false_alarms).sum();
        let (precision, recall) = (share(delays.len(), delays.len() + wrong), share(delays.len(), group.len()));
        print!("| {precision:.3} | {recall:.3} ");
        if reader == 0 {
            print!("| {:.3} ", share(delays.iter().filter(|&&delay| delay <= 120).count(), group.len()));
        }
        let at = |percent: usize| delays.get(delays.len() * percent / 100).map_or("-".into(), u32::to_string);
        print!("| {} / {} ", at(50), at(95));
    }
    println!("|");
}
