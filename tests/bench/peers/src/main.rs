//! Runs a miner of log templates over the lines of a file, and prints what it took.
//!
//! ```text
//! peers logdrain|drain3|drain3-match FILE SECONDS
//! ```
//!
//! All lines are learnt once, then again and again until so many seconds are over; only the latter is counted. `drain3-match` learns
//! nothing after the first time. Printed in one line, with tabs between: name, lines, seconds the thread ran, seconds of the clock,
//! and the group of each line of the file. Settings are the defaults, which mask nothing: that is the fastest.
#![forbid(unsafe_code)]

use std::fs;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, file, seconds] = &arguments[..] else {
        return wrong(&arguments, "logdrain|drain3|drain3-match FILE SECONDS");
    };
    let Ok(seconds) = seconds.parse() else { return wrong(seconds, "a number of seconds") };
    let lines: Vec<String> = match fs::read_to_string(file) {
        Ok(text) => text.lines().map(str::to_owned).collect(),
        Err(error) => return wrong(file, &format!("a file of lines ({error})")),
    };
    match name.as_str() {
        "logdrain" => {
            let miner = logdrain::Miner::from_options(logdrain::Options::default());
            run("logdrain 0.3.2", &lines, seconds, |line| miner.add(line).cluster_id);
        }
        "drain3" => {
            let mut matcher = drain3::Matcher::new(unbounded());
            run("drain3.rs 0.3.0", &lines, seconds, |line| {
                matcher.add_log_message(line).map_or(0, |found| found.id() as u64)
            });
        }
        "drain3-match" => {
            let matcher = match drain3::train(&lines, unbounded()) {
                Ok(matcher) => matcher,
                Err(error) => return wrong(file, &format!("lines that it learns ({error})")),
            };
            run("drain3.rs, trained", &lines, seconds, |line| matcher.match_id(line).unwrap_or(0) as u64);
        }
        _ => return wrong(name, "logdrain, drain3 or drain3-match"),
    }
    ExitCode::SUCCESS
}

/// The defaults, but that lines over 1,024 bytes are taken: the sets have some.
fn unbounded() -> drain3::Config {
    drain3::Config { max_bytes: 1 << 20, max_tokens: 1 << 16, ..drain3::Config::default() }
}

fn wrong(found: impl std::fmt::Debug, expected: &str) -> ExitCode {
    eprintln!("peers: found {found:?}, expected {expected}");
    ExitCode::from(2)
}

fn run(name: &str, lines: &[String], seconds: f64, mut learn: impl FnMut(&str) -> u64) {
    let groups: Vec<u64> = lines.iter().map(|line| learn(line)).collect();
    let (began, ran) = (Instant::now(), processor());
    let mut rounds = 0;
    while rounds == 0 || began.elapsed().as_secs_f64() < seconds {
        for line in lines {
            black_box(learn(black_box(line)));
        }
        rounds += 1;
    }
    let (ran, clock) = (processor() - ran, began.elapsed().as_secs_f64());
    let groups: Vec<String> = groups.iter().map(u64::to_string).collect();
    println!("{name}\t{}\t{ran}\t{clock}\t{}", rounds * lines.len(), groups.join(" "));
}

/// Seconds this thread has run, as the kernel counts.
fn processor() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|nanos| nanos.parse::<u64>().ok()).map_or(0.0, |nanos| nanos as f64 * 1e-9)
}
