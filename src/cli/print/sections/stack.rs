//! What is observed of a stack, where its services stand on their ladders, and what comes next.

use serde_json::Value;

use super::{Section, or_none, taken};
use crate::api::Time;
use crate::api::stack::{BlockedBy, Drift, ProbeState, RecoveryState, ServiceStatus, WicapStackSpec};
use crate::cli::print::age::age;

/// Takes the tables out of a stack's status.
pub(super) fn take(spec: &Value, status: &mut Value, now: Time) -> Vec<Section> {
    let spec: Option<WicapStackSpec> = serde_json::from_value(spec.clone()).ok();
    let mut sections = Vec::new();
    if let Some(services) = taken::<ServiceStatus>(status, "/services") {
        let probes = probes(&services, now);
        sections.push(self::services(services, now));
        sections.extend(probes);
    }
    sections.extend(taken(status, "/drift").map(|drift| drifts(drift, now)));
    sections.extend(taken(status, "/recovery").map(|states| ladders(states, spec.as_ref(), now)));
    sections.extend(plan(status));
    sections
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
    let header = &["Name", "State", "Since", "Health", "Restarts", "Probes", "Image", "Message"];
    Section::new("Services", header, rows)
}

/// Each probe by itself: what it said last, and since when.
fn probes(services: &[ServiceStatus], now: Time) -> Option<Section> {
    let row = |service: &ServiceStatus, probe: &crate::api::stack::ProbeStatus| {
        let samples: Vec<String> = probe.samples.iter().map(|(name, value)| format!("{name}={value}")).collect();
        vec![
            service.name.clone(),
            probe.name.clone(),
            format!("{:?}", probe.state),
            or_none(probe.since.map(|t| age(t, now))),
            or_none(Some(samples.join(", "))),
            probe.message.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = services.iter().flat_map(|s| s.probes.iter().map(move |p| row(s, p))).collect();
    let header = &["Service", "Probe", "State", "Since", "Samples", "Last seen"];
    (!rows.is_empty()).then(|| Section::new("Probes", header, rows))
}

fn drifts(drift: Vec<Drift>, now: Time) -> Section {
    let rows = drift.into_iter().map(|d| {
        let service = if d.service.is_empty() { "(stack)".to_owned() } else { d.service };
        vec![service, format!("{:?}", d.kind), format!("{:?}", d.severity), age(d.since, now), d.evidence]
    });
    let header = &["Service", "Kind", "Severity", "Since", "Evidence"];
    Section::new("Drift", header, rows)
}

/// Where each service stands on its ladder, with the step's name from the spec.
fn ladders(states: Vec<RecoveryState>, spec: Option<&WicapStackSpec>, now: Time) -> Section {
    let rows = states.into_iter().map(|state| {
        let recovery = spec.and_then(|spec| Some(spec.recovery(spec.service(&state.service)?)));
        let steps = recovery.map(|r| if state.rollback { &r.rollback } else { &r.ladder });
        let step = steps.and_then(|steps| Some((steps.get(state.step as usize)?, steps.len())));
        let number = u64::from(state.step) + 1;
        let (shown, attempts) = match step {
            _ if state.total == 0 => ("<none>".to_owned(), "0".to_owned()),
            Some((step, of)) => (format!("{number}/{of} {}", step.action), format!("{}/{}", state.attempts, step.attempts)),
            None => (number.to_string(), state.attempts.to_string()),
        };
        let shown = if state.rollback { format!("{shown} (rollback)") } else { shown };
        let backoff = state.backoff_until.filter(|until| *until > now).map(|until| format!("{} more", age(now, until)));
        let standing = match (state.escalated_at, state.stable_since) {
            (Some(at), _) => format!("a person is called since {}", age(at, now)),
            (None, Some(since)) => format!("well for {}", age(since, now)),
            (None, None) if !state.exhausted.is_empty() => {
                let kinds: Vec<String> = state.exhausted.iter().map(|kind| format!("{kind:?}")).collect();
                format!("a person was called for {}", kinds.join(", "))
            }
            (None, None) => "in drift".to_owned(),
        };
        vec![
            state.service,
            state.episode.to_string(),
            shown,
            attempts,
            state.total.to_string(),
            or_none(backoff),
            or_none(state.last_action),
            standing,
        ]
    });
    let header = &["Service", "Episode", "Step", "Attempts", "Actions", "Backoff", "Last action", "Standing"];
    Section::new("Recovery", header, rows)
}

/// What is done next, and why it is not done.
fn plan(status: &mut Value) -> Option<Section> {
    let map = status.as_object_mut()?;
    let planned = map.get("plannedAction").and_then(Value::as_str).map(str::to_owned);
    let blocked: Option<BlockedBy> = map.get("blockedBy").and_then(|b| serde_json::from_value(b.clone()).ok());
    if planned.is_none() && blocked.is_none() {
        return None;
    }
    map.remove("plannedAction");
    map.remove("blockedBy");
    let (gate, reason) = blocked.map_or((None, String::new()), |b| (Some(b.gate), b.message));
    Some(Section::new("Plan", &["Action", "Blocked by", "Reason"], [vec![or_none(planned), or_none(gate), reason]]))
}
