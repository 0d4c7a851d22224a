//! Measures lines a second on one core, beside other miners, in one run and one table. What a core does is counted by the time the
//! thread ran, and the clock stands beside it: on a shared machine the two differ.

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use wicap::api::stack::RuleSet;
use wicap::signature::envelope::{Folder, Limits};
use wicap::signature::mine::{Miner, Settings};
use wicap::signature::register::{Register, Source};
use wicap::signature::rules::compiled;

use crate::data::{self, Labelled};
use crate::score::score;

/// Seconds of one run of one miner: some hundred thousand lines of the slowest.
const SECONDS: f64 = 0.5;

/// Runs, of which the middle one counts. In each of them every miner has its turn, so that a disturbance meets all.
const RUNS: usize = 5;

/// Lines a second of simulated time in the register: what a busy stack writes.
const PACE: i64 = 5_000;

/// How long after its last line an alarm of the register is over, as for a stack by default.
const QUIET: Duration = Duration::from_secs(600);

/// What a run of a miner took.
struct Run {
    /// Lines a second that the thread ran.
    processor: f64,
    /// Lines a second of the clock.
    clock: f64,
    /// Grouping accuracy of the first pass, where the miner says groups.
    accuracy: Option<f64>,
}

/// Prints a table for each set and one for all sets together. A peer is a command, words apart by blanks, that gets a file of lines
/// and a number of seconds.
pub fn print(root: &Path, sets: &[Labelled], peers: &[&str]) -> io::Result<()> {
    let mut sets: Vec<(Labelled, Vec<String>)> = sets.iter().map(|set| (set.clone(), raw(root, set))).collect();
    sets.push((together(sets.iter().map(|(set, _)| set)), sets.iter().flat_map(|(_, raw)| raw.clone()).collect()));
    println!("| set | miner | M lines/s | by the clock | MB/s | GA | ours is so many times as fast |");
    println!("|---|---|---:|---:|---:|---:|---:|");
    for (set, raw) in &sets {
        table(set, raw, peers)?;
    }
    Ok(())
}

fn table(set: &Labelled, raw: &[String], peers: &[&str]) -> io::Result<()> {
    let mut runs: BTreeMap<(usize, String), Vec<Run>> = BTreeMap::new();
    let mut file = tempfile::NamedTempFile::new()?;
    for line in &set.lines {
        writeln!(file, "{line}")?;
    }
    file.flush()?;
    for _ in 0..RUNS {
        let own = [
            ("ours: miner, Content", miner(set)),
            ("ours: envelope and miner, raw lines", envelope(raw)),
            ("ours: register (envelope, rules, miner, rates), raw lines", register(raw)),
        ];
        let mut turn: Vec<(String, Run)> = own.into_iter().map(|(name, run)| (name.to_owned(), run)).collect();
        for peer in peers {
            turn.push(self::peer(peer, file.path(), set)?);
        }
        for (place, (name, run)) in turn.into_iter().enumerate() {
            runs.entry((place, name)).or_default().push(run);
        }
    }
    let middle = |runs: &[Run], of: fn(&Run) -> f64| {
        let mut all: Vec<f64> = runs.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let ours = runs.values().next().map_or(f64::NAN, |runs| middle(runs, |run| run.processor));
    for ((place, name), runs) in &runs {
        let (processor, clock) = (middle(runs, |run| run.processor), middle(runs, |run| run.clock));
        let bytes = average(if matches!(place, 1 | 2) { raw } else { &set.lines });
        let accuracy = runs[0].accuracy.map_or_else(String::new, |accuracy| format!("{accuracy:.3}"));
        println!(
            "| {} | {name} | {:.3} | {:.3} | {:.0} | {accuracy} | {:.1} |",
            set.name,
            processor / 1e6,
            clock / 1e6,
            processor * bytes / 1e6,
            ours / processor
        );
    }
    Ok(())
}

/// The lines as a program writes them: those of the set where they are beside it, else its messages behind a stamp and a level.
fn raw(root: &Path, set: &Labelled) -> Vec<String> {
    if let Ok(bytes) = fs::read(data::raw_file(root, &set.name)) {
        return String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect();
    }
    let stamped = |(second, line): (usize, &String)| {
        let (minute, second) = (second / 60 % 60, second % 60);
        format!("2026-02-10 10:{minute:02}:{second:02} [INFO] bench.{}: {line}", set.name)
    };
    set.lines.iter().enumerate().map(stamped).collect()
}

/// All sets as one, one after the other.
fn together<'a>(sets: impl Iterator<Item = &'a Labelled>) -> Labelled {
    let mut all = Labelled { name: "all".into(), lines: Vec::new(), truth: Vec::new() };
    for (number, set) in (0..).zip(sets) {
        all.lines.extend(set.lines.iter().cloned());
        all.truth.extend(set.truth.iter().map(|event| number << 32 | event));
    }
    all
}

#[expect(clippy::cast_precision_loss, reason = "the counts are small")]
fn average(lines: &[String]) -> f64 {
    lines.iter().map(String::len).sum::<usize>() as f64 / lines.len().max(1) as f64
}

fn miner(set: &Labelled) -> Run {
    let mut miner = Miner::new(Settings::default());
    let groups: Vec<_> = set.lines.iter().map(|line| miner.learn(line).group).collect();
    let groups: Vec<u64> = groups.into_iter().map(|group| miner.resolve(group).number()).collect();
    let run = timed(&set.lines, |line| {
        black_box(miner.learn(black_box(line)));
    });
    Run { accuracy: Some(score(&groups, &set.truth).accuracy), ..run }
}

fn envelope(raw: &[String]) -> Run {
    let mut miner = Miner::new(Settings::default());
    let mut folder = Folder::new(Limits::default());
    let mut learn = |line: &str| {
        if let Some(record) = folder.push(black_box(line)) {
            black_box(miner.learn(&record.text()));
        }
    };
    for line in raw {
        learn(line);
    }
    timed(raw, learn)
}

fn register(raw: &[String]) -> Run {
    let rules = compiled(&RuleSet::all(), &[]).expect("the shipped rules are sound");
    let mut register = Register::new(rules);
    let source = Source { service: "bench".into(), container: "0a1b".into(), is_error: false };
    let mut lines = 0;
    let mut learn = |line: &str| {
        let now = Timestamp::from_second(lines / PACE).unwrap_or_default();
        register.line(&source, black_box(line), now, now);
        lines += 1;
        if lines % PACE == 0 {
            black_box(register.tick(QUIET, now));
        }
    };
    for line in raw {
        learn(line);
    }
    timed(raw, learn)
}

/// Learns the lines again and again until the time is over.
fn timed(lines: &[String], mut learn: impl FnMut(&str)) -> Run {
    let (began, ran) = (Instant::now(), seconds());
    let mut rounds = 0;
    while rounds == 0 || began.elapsed().as_secs_f64() < SECONDS {
        for line in lines {
            learn(line);
        }
        rounds += 1;
    }
    let (ran, clock) = (seconds() - ran, began.elapsed().as_secs_f64());
    rates(rounds * lines.len(), ran, clock)
}

#[expect(clippy::cast_precision_loss, reason = "the counts are small")]
fn rates(lines: usize, ran: f64, clock: f64) -> Run {
    Run { processor: lines as f64 / ran, clock: lines as f64 / clock, accuracy: None }
}

/// One run of another miner: its name, and what it took.
fn peer(command: &str, file: &Path, set: &Labelled) -> io::Result<(String, Run)> {
    let mut words = command.split(' ');
    let program = words.next().unwrap_or_default();
    let output = Command::new(program).args(words).arg(file).arg(SECONDS.to_string()).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let cells: Vec<&str> = text.trim_end().split('\t').collect();
    let wrong = || {
        let error = String::from_utf8_lossy(&output.stderr);
        io::Error::other(format!("{command} printed {text:.80?}, expected five cells: {error:.400}"))
    };
    let [name, lines, ran, clock, groups] = cells[..] else { return Err(wrong()) };
    let number = |text: &str| text.parse::<f64>().map_err(|_| wrong());
    let groups: Vec<u64> = groups.split(' ').filter_map(|group| group.parse().ok()).collect();
    let run = rates(lines.parse().map_err(|_| wrong())?, number(ran)?, number(clock)?);
    Ok((name.to_owned(), Run { accuracy: Some(score(&groups, &set.truth).accuracy), ..run }))
}

/// Seconds this thread has run, as the kernel counts; seconds of the clock where it does not say.
#[expect(clippy::cast_precision_loss, reason = "nanoseconds of a short run fit")]
fn seconds() -> f64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let clock = START.elapsed().as_secs_f64();
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|nanos| nanos.parse::<u64>().ok()).map_or(clock, |nanos| nanos as f64 * 1e-9)
}
