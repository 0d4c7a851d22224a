//! What an action did, gate by gate and step by step, and what a soak run's checks have shown.

use super::{Section, or_none};
use crate::api::Time;
use crate::api::action::{GateVerdict, Step};
use crate::api::soak::CheckRecord;
use crate::cli::print::age::age;

pub(super) fn trace(trace: Vec<GateVerdict>) -> Section {
    let verdict = |allowed| if allowed { "pass" } else { "DENY" };
    let fixes: Vec<String> = trace.iter().filter_map(|g| Some(format!("To pass {}: {}", g.gate, g.fix.as_ref()?))).collect();
    let rows = trace.into_iter().map(|g| vec![g.gate, verdict(g.allowed).to_owned(), g.reason]);
    Section { below: fixes, ..Section::new("Decision Trace", &["Gate", "Verdict", "Reason"], rows) }
}

pub(super) fn steps(steps: Vec<Step>, now: Time) -> Section {
    let mut below = Vec::new();
    let mut rows = Vec::new();
    for step in steps {
        let kind = format!("{:?}", step.kind);
        let took = match step.finished_at {
            Some(end) => format!("{:.1}s", end.duration_since(step.started_at).as_secs_f64()),
            None => format!("not finished after {}", age(step.started_at, now)),
        };
        let output = step.output.unwrap_or_default();
        let short = output.trim_end();
        let shown = if short.contains('\n') {
            below.push(format!("Output of {kind}:"));
            below.extend(short.lines().map(|line| format!("  {line}")));
            "(below)".to_owned()
        } else {
            short.to_owned()
        };
        let exit = or_none(step.exit_code.map(|c| c.to_string()));
        rows.push(vec![kind, age(step.started_at, now), took, exit, step.command.join(" "), shown]);
    }
    Section { title: "Steps", header: &["Step", "Age", "Took", "Exit", "Command", "Output"], rows, below }
}

pub(super) fn checks(checks: Vec<CheckRecord>, now: Time) -> Section {
    let rows = checks.into_iter().map(|c| {
        let last = c.failures.last().map(|f| format!("{} ago: {}", age(f.at, now), f.message));
        vec![c.name, c.passed.to_string(), c.failed.to_string(), c.errors.to_string(), c.missed.to_string(), or_none(last)]
    });
    let header = &["Name", "Passed", "Failed", "Errors", "Missed", "Last failure"];
    Section::new("Checks", header, rows)
}
