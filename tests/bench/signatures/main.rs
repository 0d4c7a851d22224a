//! Measures what becomes of log lines: grouping on labelled and made-up sets beside Drain, throughput beside other miners, memory under
//! attack, and how well spikes are told from noise.
//!
//! ```text
//! accuracy DIR             table of grouping accuracy (LogPAI's GA) and F1 of pairs
//! wrong DIR SET            what is wrong in one set
//! throughput DIR [PEER…]   lines a second on one core, beside other miners: commands that get a file of lines and a time
//! orders DIR               how far ids depend on the order of lines
//! flood [LINES [WORDS]]    memory under a stream of lines that are all different
//! spikes [chosen]          spikes in made-up series beside two simple rules, on seeds that no constant was chosen with, or on those
//! ```
//!
//! DIR has a directory for each set, and in it `SET_2k.log_structured.csv` with the columns Content and EventId. If `SET_2k.log` is
//! beside it, the raw lines are read from there, else they are made of the messages.
#![forbid(unsafe_code)]

mod chance;
mod data;
mod drain;
mod flood;
mod orders;
mod score;
mod series;
mod simple;
mod speed;
mod spikes;
mod steady;
mod synth;
mod synth_sets;
mod wrong;

use std::path::Path;
use std::process::ExitCode;

use data::Labelled;
use score::{Score, score};
use wicap::signature::mine::{Miner, Settings};

fn main() -> ExitCode {
    // Cargo says to every benchmark that it is one.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |at: usize| words.get(at).and_then(|number| number.parse().ok());
    let done = match words[..] {
        ["accuracy", root] => real(root).map(|sets| table(&sets)),
        ["throughput", root, ref peers @ ..] => real(root).and_then(|sets| speed::print(Path::new(root), &sets, peers)),
        ["orders", root] => real(root).map(|sets| orders::print(&sets)),
        ["wrong", root, name] => real(root).map(|sets| {
            for set in sets.iter().chain(&synth_sets::all()).filter(|set| set.name == name) {
                wrong::print(set);
            }
        }),
        ["flood", ..] => {
            flood::print(number(1).unwrap_or(10_000_000), number(2).unwrap_or(0));
            Ok(())
        }
        ["spikes"] => {
            spikes::print(false);
            Ok(())
        }
        ["spikes", "chosen"] => {
            spikes::print(true);
            Ok(())
        }
        _ => Err(std::io::Error::other(
            "expected accuracy DIR, wrong DIR SET, throughput DIR [PEER…], orders DIR, flood [LINES [WORDS]], or spikes [chosen]",
        )),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("signatures: found {arguments:?}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The sets of a directory, in the order of their names.
fn real(root: &str) -> std::io::Result<Vec<Labelled>> {
    let mut names: Vec<String> = std::fs::read_dir(root)?
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .filter(|name| data::file(Path::new(root), name).exists())
        .collect();
    names.sort();
    if names.is_empty() {
        return Err(std::io::Error::other("it has no set"));
    }
    names.iter().map(|name| data::read(Path::new(root), name)).collect()
}

/// The groups as they were given at once, and as they are after all lines.
#[must_use]
pub fn mine(lines: &[String]) -> (Vec<u64>, Vec<u64>, Miner) {
    let mut miner = Miner::new(Settings::default());
    let groups: Vec<_> = lines.iter().map(|line| miner.learn(line).group).collect();
    let at_once = groups.iter().map(|group| group.number()).collect();
    let settled = groups.iter().map(|group| miner.resolve(*group).number()).collect();
    (at_once, settled, miner)
}

fn table(real: &[Labelled]) {
    println!(
        "{:14} {:>6} {:>8} {:>8} {:>8} {:>8} | {:>8} {:>8} | {:>8} {:>8}",
        "set", "truth", "groups", "GA", "F1", "at once", "DrainPub", "F1", "DrainOne", "F1"
    );
    rows("real", real);
    rows("made up", &synth_sets::all());
}

#[expect(clippy::cast_precision_loss, reason = "the counts are small")]
fn rows(kind: &str, sets: &[Labelled]) {
    let mut sums = [0.0; 7];
    for set in sets {
        let (at_once, settled, _) = mine(&set.lines);
        let own = score(&settled, &set.truth);
        let first = score(&at_once, &set.truth);
        let run = |knobs: drain::Knobs| score(&drain::groups(&set.lines, &knobs), &set.truth);
        let published = drain::published(&set.name).map(run);
        let one = run(drain::common());
        let truth = score(&set.truth, &set.truth).groups;
        let figure = |score: Option<Score>, of: fn(&Score) -> f64| score.as_ref().map_or(f64::NAN, of);
        let figures = [
            own.accuracy,
            own.pairs,
            first.accuracy,
            figure(published, |score| score.accuracy),
            figure(published, |score| score.pairs),
            one.accuracy,
            one.pairs,
        ];
        print_row(&set.name, &truth.to_string(), &own.groups.to_string(), figures);
        for (sum, figure) in sums.iter_mut().zip(figures) {
            *sum += figure / sets.len() as f64;
        }
    }
    print_row(&format!("mean, {kind}"), "", "", sums);
}

fn print_row(name: &str, truth: &str, groups: &str, f: [f64; 7]) {
    println!(
        "{name:14} {truth:>6} {groups:>8} {:>8.4} {:>8.4} {:>8.4} | {:>8.4} {:>8.4} | {:>8.4} {:>8.4}",
        f[0], f[1], f[2], f[3], f[4], f[5], f[6]
    );
}
