//! How a stack is, in a word and in a sentence.

use std::time::Duration;

use crate::api::action::ActionPhase;
use crate::api::stack::{DesiredState, ServiceState};
use crate::api::{Severity, Time, elapsed};
use crate::plan::authorise::{
    APPROVAL, BUDGET, COOLDOWN, EMERGENCY_STOP, PRECONDITION, RUNTIME_PLANE, SESSION, TIER, TOOL_POLICY,
};
use crate::plan::decide::DecisionKind;

use super::picture::{Action, Picture, Service, Sight, State};
use crate::cli::print::age::age;

/// How it is, in a word. What is not known is said before what was known once.
pub(super) fn state(picture: &Picture, escalated: &[String]) -> State {
    let decided = |kind| picture.decisions.iter().any(|d| d.kind == kind);
    let under_way = picture.actions.iter().any(|a| a.phase != ActionPhase::AwaitingApproval);
    if picture.observation.state != Sight::Fresh {
        State::Unknown
    } else if !picture.stops.is_empty() {
        State::Stopped
    } else if picture.actions.iter().any(|a| a.phase == ActionPhase::AwaitingApproval) {
        State::AwaitingApproval
    } else if !picture.blocked.is_empty() && !under_way {
        State::Blocked
    } else if !escalated.is_empty() || decided(DecisionKind::Escalate) {
        State::Escalated
    } else if !picture.maintenance.is_empty() && lacking(picture).next().is_some() {
        State::Maintenance
    } else if is_wrong(picture) && stalled(picture).is_some() {
        State::Stalled
    } else if is_wrong(picture) {
        State::Mending
    } else if picture.services.iter().any(|s| s.managed && s.state == ServiceState::Unknown) {
        State::Unknown
    } else if lacking(picture).next().is_some() {
        State::Starting
    } else {
        State::Healthy
    }
}

/// An action that was asked for and that nobody has claimed in this time is not going to be claimed: an actuator that runs does so
/// within milliseconds, and one that is elected anew within the ten seconds of a leader's lease.
const UNCLAIMED: Duration = Duration::from_secs(15);

/// What is due or asked for and nobody takes up, in words.
fn stalled(picture: &Picture) -> Option<String> {
    let late =
        |a: &&Action| a.phase == ActionPhase::Pending && a.since.is_some_and(|at| elapsed(at, picture.at) > UNCLAIMED);
    if let Some(action) = picture.actions.iter().find(late) {
        return Some(format!("{} is asked for, and nobody takes it up", action.action.on(&action.target)));
    }
    let due = picture.decisions.iter().find(|d| d.overdue)?;
    let what = due.action.map_or_else(String::new, |a| a.on(&due.target));
    Some(format!("{what} is due, and nobody asks for it"))
}

/// What a shut gate means, for a sentence that begins with "nothing is done".
fn shut(gate: &str) -> &str {
    match gate {
        EMERGENCY_STOP => "an emergency stop holds",
        SESSION => "no session permits it",
        RUNTIME_PLANE => "no action may be taken on this host or directory",
        TOOL_POLICY => "it is not on every list of what is allowed",
        TIER => "it does more harm than the session accepts",
        APPROVAL => "nobody has agreed to it",
        BUDGET => "there have been as many actions as there may be",
        COOLDOWN => "the same was done not long ago",
        PRECONDITION => "something stands in the way",
        other => other,
    }
}

/// Whether a drift is to be mended. One of a service that nobody may touch, or one that is only told, is not.
fn is_wrong(picture: &Picture) -> bool {
    let managed = |name: &str| name.is_empty() || picture.services.iter().any(|s| s.name == name && s.managed);
    picture.drift.iter().any(|d| d.severity > Severity::Info && managed(&d.service))
}

/// The managed services that are not as desired, as far as that is known.
fn lacking(picture: &Picture) -> impl Iterator<Item = &Service> {
    picture.services.iter().filter(|s| s.managed && s.as_desired != Some(true))
}

/// How it is, in a sentence without its full stop.
pub(super) fn summary(picture: &Picture, escalated: &[String]) -> String {
    let now = picture.at;
    let wrong = wrong(picture, now);
    match picture.state {
        State::Unknown => match picture.observation.state {
            Sight::Never => "nobody has looked at it yet".to_owned(),
            Sight::EngineSilent => format!("the Docker engine on {} does not answer", picture.host),
            Sight::Stale => {
                let last = picture.observation.at.map_or_else(String::new, |at| age(at, now));
                format!("nobody has looked at it for {last}")
            }
            Sight::Fresh => "a service could not be asked".to_owned(),
        },
        State::Stopped => match wrong {
            Some(wrong) => format!("{wrong}; nothing is done, an emergency stop holds"),
            None => format!("{}; whatever breaks stays broken, an emergency stop holds", well(picture)),
        },
        State::AwaitingApproval => {
            let asked = picture.actions.iter().find(|a| a.phase == ActionPhase::AwaitingApproval);
            let asked = asked.map_or_else(String::new, |a| a.action.on(&a.target));
            let wrong = wrong.map_or_else(String::new, |wrong| format!("{wrong}; "));
            format!("{wrong}{asked} waits for a person's yes or no")
        }
        State::Blocked => {
            let gate = picture.blocked.first().map_or("", |b| shut(&b.gate));
            format!("{}; nothing is done, {gate}", wrong.unwrap_or_default())
        }
        State::Escalated => {
            let wrong = wrong.unwrap_or_else(|| format!("{} was given up", escalated.join(", ")));
            format!("{wrong}; nothing more is tried, a person is needed")
        }
        State::Stalled => format!("{}; {}", wrong.unwrap_or_default(), stalled(picture).unwrap_or_default()),
        State::Mending => format!("{}; {}", wrong.unwrap_or_default(), doing(picture)),
        State::Starting => {
            let names: Vec<_> = lacking(picture).map(|s| format!("{} is {:?}", s.name, s.state)).collect();
            names.join(", ")
        }
        State::Maintenance => {
            let names: Vec<_> = lacking(picture).map(|s| format!("{} is {:?}", s.name, s.state)).collect();
            format!("{}, on purpose", names.join(", "))
        }
        State::Healthy => well(picture),
    }
}

fn well(picture: &Picture) -> String {
    match picture.desired {
        DesiredState::Running => "every managed service runs as it should".to_owned(),
        DesiredState::Stopped => "every managed service is stopped, as it should be".to_owned(),
    }
}

/// What is worst, and how much else there is.
fn wrong(picture: &Picture, now: Time) -> Option<String> {
    let told = picture.drift.iter().filter(|d| d.severity > Severity::Info);
    let mut told: Vec<_> = told.collect();
    told.sort_by_key(|d| (std::cmp::Reverse(d.severity), d.since));
    let first = told.first()?;
    let name = if first.service.is_empty() { "the stack" } else { &first.service };
    let more = match told.len() {
        1 => String::new(),
        n => format!(" and {} more", n - 1),
    };
    Some(format!("{name} is {:?} for {}{more}", first.kind, age(first.since, now)))
}

/// What is being done about it.
fn doing(picture: &Picture) -> String {
    if let Some(action) = picture.actions.first() {
        return format!("{} is under way", action.action.on(&action.target));
    }
    if let Some(due) = picture.decisions.iter().find(|d| matches!(d.kind, DecisionKind::Act)) {
        let what = due.action.map_or_else(String::new, |a| a.on(&due.target));
        return format!("{what} is due");
    }
    match picture.decisions.iter().find_map(|d| d.action.map(|a| (a, d))) {
        Some((action, d)) => format!("{} is next", action.on(&d.target)),
        None => "its next action is not due yet".to_owned(),
    }
}
