//! Whether waiting is over: a goal is reached, or none can be reached any more. Pure.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::goal::{Goal, What};
use crate::api::action::ActionPhase;
use crate::api::incident::IncidentPhase;
use crate::api::session::SessionPhase;
use crate::api::snapshot::SnapshotPhase;
use crate::api::soak::SoakPhase;

/// What a look at an object has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The goal of this number is reached.
    Met(usize),
    /// None of the goals can be reached any more, and why.
    Never(String),
    /// It goes on.
    Open,
}

/// Looks at an object, or at the place where there is none. Any of the goals is enough; the first that is reached counts.
#[must_use]
pub fn judge(goals: &[Goal], kind: &str, object: Option<&Value>) -> Outcome {
    if let Some(met) = goals.iter().position(|goal| goal.reached(object)) {
        return Outcome::Met(met);
    }
    let mut reasons: Vec<String> = Vec::new();
    for goal in goals {
        match hopeless(goal, kind, object) {
            Some(reason) if reasons.contains(&reason) => {}
            Some(reason) => reasons.push(reason),
            None => return Outcome::Open,
        }
    }
    Outcome::Never(reasons.join("; "))
}

/// How a kind comes to an end: a field whose value, once it is one of its last, stays.
struct End {
    kind: &'static str,
    /// Which field, below `status`.
    field: &'static str,
    /// Whether the value is one of the last.
    is_last: fn(&Value) -> bool,
    /// What stays with it, below `status`.
    settles: &'static [&'static str],
    /// Why, after "its FIELD is VALUE, ".
    why: &'static str,
}

/// What is known of ends. A stack has none: it is looked at and mended for ever. The phases know which of them are last.
const ENDS: [End; 6] = [
    End {
        kind: "ControlSession",
        field: "phase",
        is_last: |v| read(v, SessionPhase::is_final),
        settles: &["phase", "conditions"],
        why: "and a session that is over does not come back: open another",
    },
    End {
        kind: "ActionRun",
        field: "phase",
        is_last: |v| read(v, ActionPhase::is_final),
        settles: &["phase", "conditions"],
        why: "and an action is carried out once",
    },
    // It is given once, before the run cleans up.
    End { kind: "SoakRun", field: "verdict", is_last: |_| true, settles: &["verdict"], why: "and a verdict is given once" },
    End {
        kind: "SoakRun",
        field: "phase",
        is_last: |v| read(v, |phase: SoakPhase| phase == SoakPhase::Completed),
        settles: &["phase", "conditions"],
        why: "and the run is over",
    },
    End {
        kind: "Snapshot",
        field: "phase",
        is_last: |v| read(v, SnapshotPhase::is_final),
        settles: &["phase"],
        why: "and nothing more becomes of it",
    },
    // What comes back after it was resolved is another incident.
    End {
        kind: "Incident",
        field: "phase",
        is_last: |v| read(v, |phase: IncidentPhase| phase == IncidentPhase::Resolved),
        settles: &["phase"],
        why: "and what comes back is another incident",
    },
];

fn read<T: DeserializeOwned>(value: &Value, is_last: fn(T) -> bool) -> bool {
    serde_json::from_value(value.clone()).is_ok_and(is_last)
}

/// Why a goal that is not reached never will be, if that is known.
fn hopeless(goal: &Goal, kind: &str, object: Option<&Value>) -> Option<String> {
    let Some(object) = object else {
        let needs_it = matches!(goal.what, What::Condition { .. } | What::Value { .. });
        return needs_it.then(|| "it was deleted".to_owned());
    };
    ENDS.iter().filter(|end| end.kind == kind).find_map(|end| {
        let value = object.get("status")?.get(end.field).filter(|v| !v.is_null() && (end.is_last)(v))?;
        let concerned = match &goal.what {
            What::Gone { .. } | What::Exists => false,
            What::Condition { .. } => end.settles.contains(&"conditions"),
            What::Value { path, .. } => !path.find(&settled(object, end)).is_empty(),
        };
        let shown = value.as_str().unwrap_or_default();
        concerned.then(|| format!("its {} is {shown}, {}", end.field, end.why))
    })
}

/// The object without anything that can still change.
fn settled(object: &Value, end: &End) -> Value {
    let status: Map<String, Value> =
        end.settles.iter().filter_map(|f| Some(((*f).to_owned(), object.get("status")?.get(*f)?.clone()))).collect();
    json!({"status": status})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(kind: &str, goals: &str, status: Value) -> Outcome {
        let goals: Vec<Goal> = goals.split(' ').map(|g| g.parse().unwrap()).collect();
        judge(&goals, kind, Some(&json!({"metadata": {"name": "n"}, "status": status})))
    }

    #[test]
    fn the_first_goal_that_is_reached_counts() {
        let verdicts = "jsonpath={.status.verdict}=Passed jsonpath={.status.verdict}=Failed condition=Complete";
        let over =
            json!({"phase": "Completed", "verdict": "Failed", "conditions": [{"type": "Complete", "status": "True"}]});
        assert_eq!(judged("SoakRun", verdicts, over), Outcome::Met(1));
        assert_eq!(judged("SoakRun", verdicts, json!({"phase": "Soaking"})), Outcome::Open);
    }

    #[test]
    fn what_is_over_is_not_waited_for() {
        let passed = "jsonpath={.status.verdict}=Passed";
        for (kind, goals, status, never) in [
            ("SoakRun", passed, json!({"phase": "Completed", "verdict": "Failed"}), true),
            ("SoakRun", passed, json!({"phase": "Cleanup", "verdict": "Aborted"}), true),
            ("SoakRun", passed, json!({"phase": "Soaking", "verdict": null}), false),
            ("SoakRun", "jsonpath={.status.phase}=Soaking", json!({"phase": "Cleanup", "verdict": "Failed"}), false),
            ("SoakRun", "jsonpath={.status.phase}=Soaking", json!({"phase": "Completed", "verdict": "Failed"}), true),
            ("ControlSession", "condition=Active", json!({"phase": "Expired"}), true),
            ("ControlSession", "condition=Active", json!({"phase": "Pending"}), false),
            ("ControlSession", "jsonpath={.status.phase}=Active", json!({"phase": "Ended"}), true),
            // The spec may still be changed, and what is not about the phase may come.
            ("ControlSession", "jsonpath={.spec.end}=true", json!({"phase": "Expired"}), false),
            ("ControlSession", "jsonpath={.status.message}", json!({"phase": "Expired"}), false),
            ("ControlSession", "delete", json!({"phase": "Expired"}), false),
            ("ControlSession", "condition=Active delete", json!({"phase": "Expired"}), false),
            ("ActionRun", "jsonpath={.status.phase}=Succeeded", json!({"phase": "Failed"}), true),
            ("ActionRun", "jsonpath={.status.phase}=Succeeded", json!({"phase": "AwaitingApproval"}), false),
            (
                "ActionRun",
                r#"jsonpath={.status.conditions[?(@.type=="Complete")].reason}=Succeeded"#,
                json!({"phase": "Failed", "conditions": [{"type": "Complete", "status": "True", "reason": "Failed"}]}),
                true,
            ),
            ("Snapshot", "jsonpath={.status.phase}=Completed", json!({"phase": "Failed"}), true),
            ("Incident", "jsonpath={.status.phase}=Escalated", json!({"phase": "Resolved"}), true),
            ("WicapStack", "condition=Available", json!({"conditions": [{"type": "Available", "status": "False"}]}), false),
        ] {
            let outcome = judged(kind, goals, status.clone());
            assert_eq!(matches!(outcome, Outcome::Never(_)), never, "{kind} {goals} {status}: {outcome:?}");
        }
    }

    #[test]
    fn the_reason_is_given_once() {
        let outcome =
            judged("ControlSession", "condition=Active jsonpath={.status.phase}=Active", json!({"phase": "Expired"}));
        let why = "its phase is Expired, and a session that is over does not come back: open another";
        assert_eq!(outcome, Outcome::Never(why.to_owned()));
    }

    #[test]
    fn what_was_deleted_comes_to_no_condition() {
        let goals = |text: &str| text.split(' ').map(|g| g.parse().unwrap()).collect::<Vec<Goal>>();
        assert_eq!(judge(&goals("condition=Available"), "WicapStack", None), Outcome::Never("it was deleted".to_owned()));
        assert_eq!(judge(&goals("condition=Available create"), "WicapStack", None), Outcome::Open);
        assert_eq!(judge(&goals("condition=Available delete"), "WicapStack", None), Outcome::Met(1));
    }

    #[test]
    fn the_table_names_fields_that_the_kinds_have() {
        for end in &ENDS {
            let info = crate::api::registry::find(end.kind).unwrap();
            let crd = serde_json::to_value((info.crd)()).unwrap();
            let status = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"];
            for field in end.settles.iter().chain([&end.field]) {
                assert!(status.get(field).is_some(), "{} has no status.{field}", end.kind);
            }
        }
    }
}
