//! Why a session is or is not in force, what was done in its name, and why it ended.

use super::super::status::picture::NextStep;
use super::action::told;
use super::chain::{Chain, Link, Step};
use super::known::{Known, made};
use crate::api::condition::{self, ACTIVE};
use crate::api::session::{ControlSession, ControlSessionStatus, SessionPhase};
use crate::api::{Object, Time};
use crate::cli::print::age::age;

/// So many of its actions are told: the last ones.
const ACTIONS: usize = 6;

/// The chain of a session.
#[must_use]
pub fn chain(session: &ControlSession, known: &Known, now: Time) -> Chain {
    let spec = &session.spec;
    let status = session.status.clone().unwrap_or_default();
    let asked = format!("{:?} on {} for {}, by {}: {}", spec.mode, spec.stack, spec.ttl, spec.operator, spec.reason);
    let mut links = vec![Link::new(made(session), Step::Asked, asked)];
    if let Some(at) = status.started_at {
        let until = status.expires_at.map_or_else(String::new, |end| format!(" until {end:.0}"));
        links.push(Link::new(Some(at), Step::Permitted, format!("it is Active{until}")));
    }
    let runs: Vec<_> =
        known.objects.actions_of(&spec.stack).into_iter().filter(|a| a.spec.session == session.name()).collect();
    let skipped = runs.len().saturating_sub(ACTIONS);
    if skipped > 0 {
        let first = runs.first().and_then(|run| made(*run));
        links.push(Link::new(first, Step::Done, format!("{skipped} earlier actions")));
    }
    links.extend(runs.into_iter().skip(skipped).map(|run| told(run, Step::Done, "")));
    links.push(state(session, &status, now));
    Chain::new(
        format!("controlsession/{}", session.name()),
        now,
        answer(session, &status, now),
        links,
        next(session, &status, now),
    )
}

fn reason(session: &ControlSession, status: &ControlSessionStatus, now: Time) -> String {
    match (&status.message, status.phase) {
        (Some(message), _) => message.clone(),
        (None, SessionPhase::Active) if session.spec.end => "spec.end is set".to_owned(),
        (None, SessionPhase::Active) if !session.in_force(now) => "its time has run out".to_owned(),
        (None, SessionPhase::Pending) => "no session controller has looked at it".to_owned(),
        (None, _) => "no reason is recorded".to_owned(),
    }
}

fn answer(session: &ControlSession, status: &ControlSessionStatus, now: Time) -> String {
    let done = match status.usage.actions {
        0 => "no action was taken in its name".to_owned(),
        1 => "1 action was taken in its name".to_owned(),
        n => format!("{n} actions were taken in its name"),
    };
    if session.in_force(now) {
        let left = status.expires_at.map_or_else(String::new, |end| format!(", for {} more", age(now, end)));
        return format!("it is in force{left}; {done}");
    }
    let why = reason(session, status, now);
    match status.phase {
        SessionPhase::Pending => format!("it is not in force yet: {why}"),
        _ => format!("it is over: {why}; {done}"),
    }
}

/// How it stands, or when and why it ended.
fn state(session: &ControlSession, status: &ControlSessionStatus, now: Time) -> Link {
    if session.in_force(now) {
        return Link::now("it is in force");
    }
    let why = reason(session, status, now);
    if !status.phase.is_final() {
        return Link::now(format!("{:?}: {why}", status.phase));
    }
    let ended = condition::get(&status.conditions, ACTIVE).filter(|c| c.status != "True").map(|c| c.last_transition_time.0);
    Link::new(ended.or(status.expires_at), Step::Ended, format!("{:?}: {why}", status.phase))
}

fn next(session: &ControlSession, status: &ControlSessionStatus, now: Time) -> Option<NextStep> {
    let stack = &session.spec.stack;
    let (why, command) = if session.in_force(now) {
        return None;
    } else if status.phase.is_final() || session.spec.end {
        ("It does not come back. Open another one:", format!("wicapctl session start {stack}"))
    } else {
        ("See how the stack is that it is for:", format!("wicapctl status {stack}"))
    };
    Some(NextStep { why: why.to_owned(), command: Some(command) })
}
