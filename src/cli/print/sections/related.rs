//! Objects that belong to the described one: actions that were taken for it, incidents about it.

use super::{Section, or_none};
use crate::api::action::ActionRun;
use crate::api::incident::{Incident, IncidentPhase};
use crate::api::{Object, Time};
use crate::cli::print::age::age;

/// Rows shown of each table: the last few are what a person reads; the rest is named by the command that lists it.
const SHOWN: usize = 10;

/// The actions that belong to an object: those on a stack, in a session, or that the object asked for. The newest last.
#[must_use]
pub fn actions(kind: &str, name: &str, all: Vec<ActionRun>, now: Time) -> Option<Section> {
    let mut related: Vec<ActionRun> = all.into_iter().filter(|run| is_related(kind, name, run)).collect();
    related.sort_by_key(|run| (made(run), run.name().to_owned()));
    let all_of_them = match kind {
        "WicapStack" => format!("wicapctl get actionruns --field-selector spec.stack={name}"),
        "ControlSession" => format!("wicapctl get actionruns --field-selector spec.session={name}"),
        _ => format!("wicapctl get actionruns --field-selector spec.cause.object={kind}/{name}"),
    };
    let below = earlier(&mut related, &all_of_them);
    let rows: Vec<_> = related
        .into_iter()
        .map(|run| {
            let status = run.status.unwrap_or_default();
            vec![
                run.metadata.name.unwrap_or_default(),
                run.spec.action.on(&run.spec.target),
                format!("{:?}", status.phase),
                or_none(run.metadata.creation_timestamp.map(|t| age(t.0, now))),
                run.spec.cause.summary,
                status.message.unwrap_or_default(),
            ]
        })
        .collect();
    let header = &["Name", "Action", "Phase", "Age", "Cause", "Message"];
    (!rows.is_empty()).then(|| Section { below, ..Section::new("Actions", header, rows) })
}

/// The incidents about an object: those of a stack that are not over, of a soak run, or that an action did not mend.
#[must_use]
pub fn incidents(kind: &str, name: &str, all: Vec<Incident>, now: Time) -> Option<Section> {
    let concerns = |incident: &Incident| {
        let status = incident.status.as_ref();
        match kind {
            "WicapStack" => {
                incident.spec.stack == name && status.is_none_or(|status| status.phase != IncidentPhase::Resolved)
            }
            "SoakRun" => incident.spec.soak.as_deref() == Some(name),
            "ActionRun" => {
                let is_named = status.is_some_and(|status| status.actions.iter().any(|action| action.name == name));
                incident.spec.kind.drift().is_some() && is_named
            }
            _ => false,
        }
    };
    let mut related: Vec<Incident> = all.into_iter().filter(concerns).collect();
    related.sort_by_key(|i| (i.status.as_ref().and_then(|s| s.last_seen), i.name().to_owned()));
    let below = earlier(&mut related, "wicapctl get incidents");
    let rows: Vec<_> = related
        .into_iter()
        .map(|incident| {
            let kind = serde_json::to_value(incident.spec.kind).ok();
            let kind = or_none(kind.and_then(|kind| kind.as_str().map(str::to_owned)));
            let (name, spec, status) =
                (incident.metadata.name.unwrap_or_default(), incident.spec, incident.status.unwrap_or_default());
            vec![
                name,
                spec.service,
                kind,
                format!("{:?}", spec.severity),
                format!("{:?}", status.phase),
                or_none(status.last_seen.map(|t| age(t, now))),
                status.count.to_string(),
                spec.signature,
            ]
        })
        .collect();
    let header = &["Name", "Service", "Kind", "Severity", "Phase", "Last seen", "Count", "Signature"];
    (!rows.is_empty()).then(|| Section { below, ..Section::new("Incidents", header, rows) })
}

/// Whether objects of that kind can have actions, or incidents: the others need not be asked for.
#[must_use]
pub fn has_actions(kind: &str) -> bool {
    matches!(kind, "WicapStack" | "ControlSession" | "SoakRun")
}

/// The same for incidents.
#[must_use]
pub fn has_incidents(kind: &str) -> bool {
    matches!(kind, "WicapStack" | "SoakRun" | "ActionRun")
}

fn is_related(kind: &str, name: &str, run: &ActionRun) -> bool {
    match kind {
        "WicapStack" => run.spec.stack == name,
        "ControlSession" => run.spec.session == name,
        // The kind is written in either way.
        _ => run
            .spec
            .cause
            .object
            .as_deref()
            .and_then(|object| object.split_once('/'))
            .is_some_and(|(of, named)| of.eq_ignore_ascii_case(kind) && named == name),
    }
}

fn made(run: &ActionRun) -> Option<Time> {
    run.metadata.creation_timestamp.as_ref().map(|t| t.0)
}

/// Drops all but the last few, and says where they are.
fn earlier<T>(related: &mut Vec<T>, command: &str) -> Vec<String> {
    let over = related.len().saturating_sub(SHOWN);
    related.drain(..over);
    if over == 0 { Vec::new() } else { vec![format!("({over} earlier: {command})")] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn run(name: &str, made: &str, stack: &str, session: &str, object: Option<&str>) -> ActionRun {
        let cause = json!({"kind": "Drift", "summary": "ui is Exited", "object": object});
        let spec = json!({"stack": stack, "action": "restart_service", "target": "ui", "session": session, "cause": cause});
        read(
            json!({"metadata": {"name": name, "creationTimestamp": made}, "spec": spec, "status": {"phase": "Failed"}}),
            "ActionRun",
        )
    }

    fn read<T: serde::de::DeserializeOwned>(mut object: Value, kind: &str) -> T {
        object["apiVersion"] = json!(crate::api::API_VERSION);
        object["kind"] = json!(kind);
        serde_json::from_value(object).unwrap()
    }

    fn names(section: Option<Section>) -> Vec<String> {
        section.map(|s| s.rows.into_iter().map(|row| row[0].clone()).collect()).unwrap_or_default()
    }

    #[test]
    fn actions_are_those_of_the_object_and_the_newest_comes_last() {
        let all = || {
            vec![
                run("late", "2026-01-01T00:00:02Z", "s", "night", Some("SoakRun/long")),
                run("early", "2026-01-01T00:00:01Z", "s", "day", Some("soakrun/long")),
                run("other", "2026-01-01T00:00:00Z", "t", "night", Some("WicapStack/long")),
            ]
        };
        let now = "2026-01-01T00:01:00Z".parse().unwrap();
        for (kind, name, expected) in [
            ("WicapStack", "s", vec!["early", "late"]),
            ("ControlSession", "night", vec!["other", "late"]),
            ("SoakRun", "long", vec!["early", "late"]),
            ("WicapStack", "u", vec![]),
        ] {
            assert_eq!(names(actions(kind, name, all(), now)), expected, "{kind}/{name}");
        }
    }

    #[test]
    fn many_actions_are_cut_to_the_last_and_the_rest_is_named() {
        let all: Vec<ActionRun> =
            (10..25).map(|i| run(&format!("a{i}"), &format!("2026-01-01T00:00:{i}Z"), "s", "n", None)).collect();
        let section = actions("WicapStack", "s", all, "2026-01-01T00:01:00Z".parse().unwrap()).unwrap();
        assert_eq!(section.rows.len(), SHOWN);
        assert_eq!(section.rows[SHOWN - 1][0], "a24");
        assert_eq!(section.below, ["(5 earlier: wicapctl get actionruns --field-selector spec.stack=s)"]);
    }

    #[test]
    fn incidents_of_a_stack_are_those_that_are_not_over() {
        let incident = |name: &str, phase: &str, soak: Option<&str>| -> Incident {
            let spec = json!({"stack": "s", "service": "ui", "kind": "Unhealthy", "episode": 1, "signature": "no answer",
                "severity": "Critical", "soak": soak});
            let action = json!({"name": "run-1", "action": "restart_service", "outcome": "Failed"});
            let status = json!({"phase": phase, "lastSeen": "2026-01-01T00:00:00Z", "count": 2, "actions": [action]});
            read(json!({"metadata": {"name": name}, "spec": spec, "status": status}), "Incident")
        };
        let all = || vec![incident("over", "Resolved", Some("long")), incident("open", "Escalated", None)];
        let now = "2026-01-01T00:01:00Z".parse().unwrap();
        assert_eq!(names(incidents("WicapStack", "s", all(), now)), ["open"]);
        assert_eq!(names(incidents("SoakRun", "long", all(), now)), ["over"]);
        assert_eq!(names(incidents("ActionRun", "run-1", all(), now)), ["open", "over"]);
        assert!(incidents("ControlSession", "s", all(), now).is_none());
    }
}
