//! The parts of a description that are tables: what a status lists, and Events.

use std::io::{self, Write};

use k8s_openapi::api::core::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::age::age;
use super::table::{described, harmless};
use crate::api::Time;
use crate::api::action::{GateVerdict, Step};
use crate::api::soak::CheckRecord;
use crate::api::stack::{Drift, ProbeState, ServiceStatus};

/// A titled table, with texts below it that do not fit into a row.
#[derive(Debug)]
pub struct Section {
    title: &'static str,
    header: &'static [&'static str],
    rows: Vec<Vec<String>>,
    below: Vec<String>,
}

impl Section {
    /// Writes it.
    ///
    /// # Errors
    /// What the output says.
    pub fn write(self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}:", self.title)?;
        described(out, self.header, self.rows)?;
        self.below.iter().try_for_each(|line| writeln!(out, "  {}", harmless(line)))
    }
}

/// Takes what is shown as a table out of a status; the rest is left to be shown field by field.
pub fn take(kind: &str, status: &mut Value, now: Time) -> Vec<Section> {
    let mut sections = Vec::new();
    match kind {
        "WicapStack" => {
            sections.extend(taken(status, "/services").map(|services| self::services(services, now)));
            sections.extend(taken(status, "/drift").map(|drift| drifts(drift, now)));
        }
        "ActionRun" => {
            sections.extend(taken(status, "/decision/trace").map(trace));
            sections.extend(taken(status, "/steps").map(|steps| self::steps(steps, now)));
        }
        "SoakRun" => sections.extend(taken(status, "/checks").map(|checks| self::checks(checks, now))),
        _ => {}
    }
    sections.extend(taken(status, "/conditions").map(|conditions| self::conditions(conditions, now)));
    sections
}

/// The list at `pointer`, taken out, when it is there, not empty and what it should be.
fn taken<T: DeserializeOwned>(status: &mut Value, pointer: &str) -> Option<Vec<T>> {
    let slot = status.pointer_mut(pointer)?;
    let list: Vec<T> = serde_json::from_value(slot.clone()).ok().filter(|list: &Vec<T>| !list.is_empty())?;
    slot.take();
    Some(list)
}

/// A value that may be missing, as kubectl shows it in a description.
fn or_none(text: Option<String>) -> String {
    text.filter(|t| !t.is_empty()).unwrap_or_else(|| "<none>".to_owned())
}

fn conditions(conditions: Vec<Condition>, now: Time) -> Section {
    let rows =
        conditions.into_iter().map(|c| vec![c.type_, c.status, c.reason, age(c.last_transition_time.0, now), c.message]);
    Section {
        title: "Conditions",
        header: &["Type", "Status", "Reason", "Since", "Message"],
        rows: rows.collect(),
        below: Vec::new(),
    }
}

fn services(services: Vec<ServiceStatus>, now: Time) -> Section {
    let rows = services.into_iter().map(|s| {
        let asked = s.probes.len();
        let passing = s.probes.iter().filter(|p| p.state == ProbeState::Passing).count();
        let not_passing: Vec<_> =
            s.probes.iter().filter(|p| p.state != ProbeState::Passing).map(|p| p.name.as_str()).collect();
        let probes = match (asked, not_passing.is_empty()) {
            (0, _) => None,
            (_, true) => Some(format!("{passing}/{asked}")),
            (_, false) => Some(format!("{passing}/{asked} (not {})", not_passing.join(", "))),
        };
        let mut message: Vec<String> = s.message.into_iter().collect();
        message.extend(s.exit_code.map(|code| format!("exit {code}")));
        message.extend(s.oom_killed.then(|| "killed for want of memory".to_owned()));
        message.extend(s.config_drift.filter(|d| *d).map(|_| "configuration differs".to_owned()));
        vec![
            s.name,
            format!("{:?}", s.state),
            or_none(s.since.map(|t| age(t, now))),
            or_none(s.health.map(|h| format!("{h:?}"))),
            s.restarts.to_string(),
            or_none(probes),
            or_none(s.image),
            message.join("; "),
        ]
    });
    Section {
        title: "Services",
        header: &["Name", "State", "Since", "Health", "Restarts", "Probes", "Image", "Message"],
        rows: rows.collect(),
        below: Vec::new(),
    }
}

fn drifts(drift: Vec<Drift>, now: Time) -> Section {
    let rows = drift.into_iter().map(|d| {
        let service = if d.service.is_empty() { "(stack)".to_owned() } else { d.service };
        vec![service, format!("{:?}", d.kind), format!("{:?}", d.severity), age(d.since, now), d.evidence]
    });
    Section {
        title: "Drift",
        header: &["Service", "Kind", "Severity", "Since", "Evidence"],
        rows: rows.collect(),
        below: Vec::new(),
    }
}

fn trace(trace: Vec<GateVerdict>) -> Section {
    let verdict = |allowed| if allowed { "pass" } else { "DENY" };
    let rows = trace.into_iter().map(|g| vec![g.gate, verdict(g.allowed).to_owned(), g.reason]);
    Section { title: "Decision Trace", header: &["Gate", "Verdict", "Reason"], rows: rows.collect(), below: Vec::new() }
}

fn steps(steps: Vec<Step>, now: Time) -> Section {
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

fn checks(checks: Vec<CheckRecord>, now: Time) -> Section {
    let rows = checks.into_iter().map(|c| {
        let last = c.failures.last().map(|f| format!("{} ago: {}", age(f.at, now), f.message));
        vec![c.name, c.passed.to_string(), c.failed.to_string(), c.errors.to_string(), c.missed.to_string(), or_none(last)]
    });
    Section {
        title: "Checks",
        header: &["Name", "Passed", "Failed", "Errors", "Missed", "Last failure"],
        rows: rows.collect(),
        below: Vec::new(),
    }
}

/// Writes Events as `kubectl describe` does, the latest last.
///
/// # Errors
/// What the output says.
pub fn events(out: &mut dyn Write, mut events: Vec<Event>, now: Time) -> io::Result<()> {
    if events.is_empty() {
        return writeln!(out, "Events:  <none>");
    }
    events.sort_by_key(|e| (e.last_timestamp.as_ref().map(|t| t.0), e.metadata.name.clone()));
    let rows = events.into_iter().map(|e| {
        let first = e.first_timestamp.map(|t| t.0);
        let last = e.last_timestamp.map(|t| t.0).or(first);
        let mut when = last.map_or_else(|| "<unknown>".to_owned(), |t| age(t, now));
        if let (Some(count), Some(first)) = (e.count.filter(|c| *c > 1), first) {
            when = format!("{when} (x{count} over {})", age(first, now));
        }
        let source = e.source.unwrap_or_default();
        let from =
            [source.component, source.host].into_iter().flatten().filter(|t| !t.is_empty()).collect::<Vec<_>>().join(", ");
        let text = |t: Option<String>| t.unwrap_or_default();
        vec![text(e.type_), text(e.reason), when, from, text(e.message)]
    });
    writeln!(out, "Events:")?;
    described(out, &["Type", "Reason", "Age", "From", "Message"], rows.collect())
}
