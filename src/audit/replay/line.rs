//! What is told of a moment: one JSON line. The same decisions give the same bytes.

use serde::Serialize;

use crate::api::Time;
use crate::api::action::ActionKind;
use crate::audit::redact::redact;
use crate::plan::decide::{DecisionKind, Plan};

/// The order of the fields is part of the contract.
#[derive(Serialize)]
struct Line<'a> {
    at: Time,
    decisions: Vec<Decided<'a>>,
}

#[derive(Serialize)]
struct Decided<'a> {
    decision: DecisionKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<ActionKind>,
    #[serde(skip_serializing_if = "str::is_empty")]
    target: &'a str,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Time>,
}

/// The line of a moment, without its end.
#[must_use]
pub fn line(at: Time, plan: &Plan) -> String {
    let decided = plan.decisions.iter().map(|d| Decided {
        decision: d.kind,
        action: d.action,
        target: &d.target,
        reason: redact(&d.reason).into_owned(),
        until: d.until,
    });
    // Plain data always has a JSON form.
    serde_json::to_string(&Line { at, decisions: decided.collect() }).unwrap_or_default()
}
