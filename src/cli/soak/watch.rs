//! `soak watch`: how a run is going, in place in a terminal, and as a line for each change elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;
use futures::StreamExt;
use kube::runtime::watcher::Event;
use tokio::time::{MissedTickBehavior, interval};

use super::super::{Error, Io};
use super::Place;
use crate::api::soak::{SoakPhase, SoakRun, SoakRunStatus, Verdict};
use crate::api::{Object, Time, after, elapsed};
use crate::cli::print::table::harmless;
use crate::soak::evidence::Evidence;
use crate::soak::judge::shown;
use crate::soak::report::quantity::{amount, duration, time};
use crate::soak::series::{Points, thinned};
use crate::store::{Store, WatchParams};

/// Curves that are shown: as many as can be taken in at a look.
const CURVES: usize = 8;

/// Width of a curve, in characters.
const WIDTH: usize = 40;

/// Arguments of `soak watch`.
#[derive(Debug, Args)]
pub(super) struct Watch {
    /// Name of the run
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    place: Place,
}

impl Watch {
    pub(super) async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        let mut run = store.api::<SoakRun>().get(&self.name).await?;
        let mut events = Box::pin(store.api::<SoakRun>().watch(&WatchParams::default())?);
        let in_place = std::io::stdout().is_terminal();
        let mut ticks = interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let (mut drawn, mut last) = (0, String::new());
        loop {
            let now = store.clock().now();
            if in_place {
                let frame = frame(&run, self.place.evidence(&run).ok().map(|(evidence, _)| evidence).as_ref(), now);
                drawn = redraw(io, &frame, drawn)?;
            } else {
                let line = line(&run);
                if line != last {
                    writeln!(io.out, "{} {}", time(now), harmless(&line))?;
                    io.out.flush()?;
                    last = line;
                }
            }
            if let Some(verdict) = run.status.as_ref().filter(|s| s.phase == SoakPhase::Completed).and_then(|s| s.verdict) {
                return self.over(&run, verdict, io);
            }
            loop {
                tokio::select! {
                    _ = ticks.tick(), if in_place => break,
                    event = events.next() => match event {
                        Some(Ok(Event::Apply(new) | Event::InitApply(new))) if new.name() == self.name => {
                            run = new;
                            break;
                        }
                        Some(Ok(Event::Delete(old))) if old.name() == self.name => {
                            return Err(Error::No(format!("the run {:?} was deleted", self.name)));
                        }
                        Some(Err(error)) => return Err(error.into()),
                        Some(Ok(_)) => {}
                        None => return Err(Error::No("the watch has ended".to_owned())),
                    },
                }
            }
        }
    }

    fn over(&self, run: &SoakRun, verdict: Verdict, io: &mut Io<'_>) -> Result<(), Error> {
        let reasons = run.status.iter().flat_map(|s| &s.reasons);
        for reason in reasons {
            writeln!(io.out, "  {}", harmless(reason))?;
        }
        if verdict == Verdict::Passed { Ok(()) } else { Err(Error::No(format!("{}: {verdict:?}", self.name))) }
    }
}

/// Draws over what was drawn before, and returns how many lines there are now.
fn redraw(io: &mut Io<'_>, frame: &[String], before: usize) -> Result<usize, Error> {
    if before > 0 {
        write!(io.out, "\x1b[{before}A")?;
    }
    for line in frame {
        writeln!(io.out, "\x1b[2K{}", harmless(line))?;
    }
    // What was longer before is cleared below.
    write!(io.out, "\x1b[J")?;
    io.out.flush()?;
    Ok(frame.len())
}

/// What is worth a line: the phase, and what is not as planned.
fn line(run: &SoakRun) -> String {
    let status = run.status.clone().unwrap_or_default();
    let mut parts = vec![format!("{:?}", status.phase)];
    parts.extend(status.progress.clone());
    parts.extend(status.checks.iter().map(|c| checks(&c.name, [c.passed, c.failed, c.errors, c.missed])));
    let restarts: u32 = status.restarts.iter().map(|r| r.count).sum();
    if restarts > 0 {
        parts.push(format!("restarts {restarts}"));
    }
    parts.extend(status.verdict.map(|v| format!("{v:?}")));
    parts.extend(status.message);
    parts.join("  ")
}

fn checks(name: &str, counts: [u32; 4]) -> String {
    let [passed, failed, errors, missed] = counts;
    let rest = [(failed, "failed"), (errors, "errors"), (missed, "missed")];
    let rest: String = rest.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!(", {n} {word}")).collect();
    format!("{name} {passed} passed{rest}")
}

/// What is shown in a terminal.
fn frame(run: &SoakRun, evidence: Option<&Evidence>, now: Time) -> Vec<String> {
    let status = run.status.clone().unwrap_or_default();
    let word = status.verdict.map_or_else(String::new, |v| format!("  {v:?}"));
    let mut lines = vec![format!("{}  {:?}{word}{}", run.name(), status.phase, left(run, &status, now))];
    lines.extend(status.message.map(|m| format!("  {m}")));
    for check in &status.checks {
        let counts = [check.passed, check.failed, check.errors, check.missed];
        let last = check.failures.last().map_or(String::new(), |f| format!("; the last at {}: {}", time(f.at), f.message));
        lines.push(format!("  check {}{last}", checks(&check.name, counts)));
    }
    let restarts: u32 = status.restarts.iter().map(|r| r.count).sum();
    lines.push(format!("  restarts {restarts}, recoveries {}", status.recoveries));
    let mut curves: Vec<_> = evidence.iter().flat_map(|e| &e.series).filter(|(_, points)| !points.is_empty()).collect();
    curves.sort_by_key(|(name, _)| (weight(run, name), *name));
    for (name, points) in curves.into_iter().take(CURVES) {
        let last = points.last().map_or(0.0, |(_, v)| *v);
        let value = if name.ends_with("/memory") { amount(last, "bytes") } else { shown(last) };
        lines.push(format!("  {name:<24} {} {value}", spark(points)));
    }
    lines
}

/// What the verdict depends on comes first, then what is most often looked at.
fn weight(run: &SoakRun, series: &str) -> u8 {
    let criteria = &run.spec.criteria;
    let leaks = criteria.leaks.iter().flat_map(|leaks| &leaks.series);
    let judged =
        leaks.into_iter().any(|name| name == series) || criteria.expressions.iter().any(|e| e.value.contains(series));
    match series {
        _ if judged => 0,
        _ if series.ends_with("/memory") => 1,
        _ if series.starts_with("check:") => 2,
        _ => 3,
    }
}

/// How far it is, and how long it will take.
fn left(run: &SoakRun, status: &SoakRunStatus, now: Time) -> String {
    let (Some(since), None) = (status.soaking_since, status.soaked_until) else { return String::new() };
    let end = after(since, run.spec.duration.to_std());
    let share = crate::soak::schedule::progress(since, run.spec.duration.to_std(), now);
    format!("  {share}%, {} left", duration(elapsed(now, end).as_secs_f64()))
}

/// A curve in one line, from its least to its most.
fn spark(points: &Points) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let thin = thinned(points, WIDTH);
    let least = thin.iter().map(|(_, v)| *v).fold(f64::INFINITY, f64::min);
    let most = thin.iter().map(|(_, v)| *v).fold(f64::NEG_INFINITY, f64::max);
    let bar = |value: f64| {
        let share = if most > least { (value - least) / (most - least) } else { 0.0 };
        // Between 0 and 7 after the clamp.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let index = (share * 7.0).round().clamp(0.0, 7.0) as usize;
        BARS[index]
    };
    thin.iter().map(|(_, v)| bar(*v)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_is_drawn_from_its_least_to_its_most() {
        let at = |n: i64| Time::from_second(n).unwrap();
        let rising: Vec<_> = (0..8_u8).map(|n| (at(n.into()), f64::from(n))).collect();
        assert_eq!(spark(&rising), "▁▂▃▄▅▆▇█");
        assert_eq!(spark(&[(at(0), 5.0), (at(1), 5.0)]), "▁▁");
        let long: Vec<_> = (0..1000).map(|n| (at(n), 1.0)).collect();
        assert_eq!(spark(&long).chars().count(), WIDTH);
    }

    #[test]
    fn what_the_verdict_depends_on_is_shown_first() {
        let spec = serde_json::json!({"stack": "s", "duration": "1m", "checks": [], "criteria":
            {"leaks": {"series": ["ui/memory"]}, "expressions": [{"name": "e", "value": "mean('ui/eps')", "min": 0}]}});
        let run = SoakRun::new("night", serde_json::from_value(spec).unwrap());
        let order = ["ui/memory", "ui/eps", "redis/memory", "check:page/latency", "ui/cpu"].map(|name| weight(&run, name));
        assert_eq!(order, [0, 0, 1, 2, 3]);
    }

    #[test]
    fn a_line_tells_the_phase_and_what_is_not_as_planned() {
        let spec = serde_json::json!({"stack": "s", "duration": "1m", "checks": []});
        let mut run = SoakRun::new("night", serde_json::from_value(spec).unwrap());
        assert_eq!(line(&run), "Pending");
        let status = serde_json::json!({"phase": "Soaking", "progress": "40%",
            "checks": [{"name": "ui", "passed": 3, "failed": 1, "missed": 2}],
            "restarts": [{"service": "ui", "count": 1}], "message": "m"});
        run.status = serde_json::from_value(status).unwrap();
        assert_eq!(line(&run), "Soaking  40%  ui 3 passed, 1 failed, 2 missed  restarts 1  m");
    }
}
