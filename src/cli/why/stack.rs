//! Why a stack is not Available now, why nothing is done about it, or why the last thing was done.

use std::cmp::Reverse;

use super::super::status::draw;
use super::super::status::picture::{Decision, Picture, Sight, State};
use super::action::told;
use super::chain::{Chain, Link, Step};
use super::known::{Known, made};
use crate::api::action::{ActionPhase, ActionRun, CauseKind};
use crate::api::reason::ACTION_BLOCKED;
use crate::api::stack::WicapStack;
use crate::api::{Object, Severity, Time};
use crate::plan::decide::DecisionKind;

/// So many drifts are followed, and so many actions of each: the gravest and the last.
const DRIFTS: usize = 4;
const ACTIONS: usize = 4;

/// The chain of a stack.
#[must_use]
pub fn chain(stack: &WicapStack, known: &Known, now: Time) -> Chain {
    let picture = draw(&known.objects, stack, now);
    let mut links = Vec::new();
    let mut wrong: Vec<_> = picture.drift.iter().filter(|d| d.severity > Severity::Info).collect();
    wrong.sort_by_key(|d| (Reverse(d.severity), d.since));
    for drift in wrong.iter().take(DRIFTS) {
        let name = if drift.service.is_empty() { "the stack" } else { &drift.service };
        links.push(Link::new(Some(drift.since), Step::Seen, format!("{name} is {:?}: {}", drift.kind, drift.evidence)));
        let recovery = stack.status.iter().flat_map(|s| &s.recovery).find(|r| r.service == drift.service);
        let episode = recovery.map(|r| format!("episode {}, ", r.episode));
        let same = |a: &&ActionRun| {
            let cause = &a.spec.cause;
            let of_episode =
                cause.attempt.as_ref().zip(episode.as_ref()).is_some_and(|(at, episode)| at.starts_with(episode));
            a.spec.target == drift.service && (cause.since == Some(drift.since) || of_episode)
        };
        let actions: Vec<_> = known.objects.actions_of(stack.name()).into_iter().filter(same).collect();
        let skipped = actions.len().saturating_sub(ACTIONS);
        if let Some(first) = actions.first().filter(|_| skipped > 0) {
            let so_many = if skipped == 1 { "1 earlier action".to_owned() } else { format!("{skipped} earlier actions") };
            links.push(Link::new(made(*first), Step::Done, so_many));
        }
        links.extend(actions.into_iter().skip(skipped).map(|run| told(run, Step::Done, "")));
    }
    links.extend(sight(&picture));
    links.extend(now_decided(&picture));
    if !picture.blocked.is_empty() {
        let told = known.told(ACTION_BLOCKED).filter(|(at, _)| at.is_some()).max_by_key(|(at, _)| *at);
        links.extend(told.map(|(at, message)| Link::new(at, Step::Decided, format!("the planner: {message}"))));
    }
    if let Some(last) = &picture.last_session {
        let why = last.message.as_ref().map_or_else(String::new, |m| format!(": {m}"));
        let text = format!("session {} is over{why}", last.name);
        links.push(Link::new(last.expires_at, Step::Ended, text).of("controlsession", &last.name));
    }
    for incident in &picture.incidents {
        let at = known.objects.incidents.iter().find(|i| i.name() == incident.name).and_then(made);
        let text = format!("a person was called about {}: {}", incident.service, incident.signature);
        links.push(Link::new(at, Step::Then, text).of("incident", &incident.name));
    }
    for stop in &picture.stops {
        let text = format!("{} stopped it: {}", stop.by, stop.reason);
        links.push(Link::new(stop.since, Step::Asked, text).of("emergencystop", &stop.name));
    }
    if wrong.is_empty() {
        links.extend(last_done(stack, known));
    }
    let answer = format!("{:?}: {}", picture.state, picture.summary);
    let next = Some(picture.next.clone()).filter(|next| next.command.is_some());
    Chain::new(format!("wicapstack/{}", stack.name()), now, answer, links, next)
}

/// What it is known by.
fn sight(picture: &Picture) -> Vec<Link> {
    let observation = &picture.observation;
    let text = match observation.state {
        Sight::Never => return vec![Link::now(format!("no observer on {} has looked at it", picture.host))],
        Sight::Stale => {
            format!("the last look at it by the observer on {}; what is older than 90s counts as Unknown", picture.host)
        }
        Sight::EngineSilent => {
            let why = observation.message.as_ref().map_or_else(String::new, |m| format!(": {m}"));
            let text = format!("the engine on {} does not answer{why}", picture.host);
            return vec![Link::new(picture.available_since, Step::Seen, text)];
        }
        Sight::Fresh => format!("Available has become {}", picture.available),
    };
    let at = if observation.state == Sight::Stale { observation.at } else { picture.available_since };
    vec![Link::new(at, Step::Seen, text)]
}

/// What is decided about it at this moment, and what stands in the way.
fn now_decided(picture: &Picture) -> Vec<Link> {
    let mut links = Vec::new();
    for action in &picture.actions {
        let word = match action.phase {
            ActionPhase::AwaitingApproval => "waits for a yes or no",
            ActionPhase::Pending => "is asked for",
            _ => "is under way",
        };
        let text = format!("{} {word}", action.action.on(&action.target));
        links.push(Link::now(text).of("actionrun", &action.name));
    }
    for blocked in &picture.blocked {
        let text = format!(
            "{} is not done: gate {} is shut: {}",
            blocked.action.on(&blocked.target),
            blocked.gate,
            blocked.message
        );
        links.push(Link::now(text).with(blocked.fix.iter().map(|fix| format!("to open it: {fix}"))));
    }
    if picture.observation.state != Sight::Fresh {
        links.push(Link::now("nothing is done about what is not seen"));
        return links;
    }
    let given_up = |service: &str| picture.ladders.iter().find(|l| l.service == service && l.escalated_at.is_some());
    let open = |reason: &str| picture.actions.iter().any(|a| reason.contains(&a.name));
    for decision in picture.decisions.iter().filter(|d| d.kind == DecisionKind::Wait && !open(&d.reason)) {
        if let Some(ladder) = given_up(&decision.target) {
            let tried = match ladder.actions {
                0 => "no action is left that could mend it".to_owned(),
                1 => "1 action has not mended it, and none is left".to_owned(),
                n => format!("{n} actions have not mended it, and none is left"),
            };
            links.push(Link::now(format!("nothing more is tried for {}: {tried}", decision.target)));
            continue;
        }
        let what = what(decision);
        let until = decision.until.map_or_else(String::new, |at| format!(" (until {at:.0})"));
        links.push(Link::now(format!("{what}: not yet: {}{until}", decision.reason)));
    }
    for decision in picture.decisions.iter().filter(|d| d.kind == DecisionKind::Act) {
        let what = what(decision);
        let late = if decision.overdue { ", and nobody asks for it: no planner runs" } else { " and is asked for next" };
        links.push(Link::now(format!("{what} is due{late}")));
    }
    if picture.state == State::Starting {
        let services = picture.services.iter().filter(|s| s.managed && s.as_desired != Some(true));
        links.extend(services.map(|s| Link::new(s.since, Step::Seen, format!("{} is {:?}", s.name, s.state))));
    }
    links
}

/// What a decision is about.
fn what(decision: &Decision) -> String {
    match (decision.action, decision.target.as_str()) {
        (Some(action), target) => action.on(target),
        (None, "") => "the stack".to_owned(),
        (None, target) => target.to_owned(),
    }
}

/// The last thing that was done, and why.
fn last_done(stack: &WicapStack, known: &Known) -> Vec<Link> {
    let actions = known.objects.actions_of(stack.name());
    let Some(run) = actions.into_iter().rev().find(|a| a.status.as_ref().is_some_and(|s| s.phase.is_final())) else {
        return Vec::new();
    };
    let cause = &run.spec.cause;
    let step = if cause.kind == CauseKind::Drift { Step::Seen } else { Step::Asked };
    vec![Link::new(cause.since.or(made(run)), step, cause.summary.clone()), told(run, Step::Done, "the last action: ")]
}
