//! From objects to a picture: what is stored, and what follows from it now.
//!
//! What is being waited for and why is not stored for each service. The planner's own function says it anew from the same objects, so
//! that what is shown is what it would say.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::api::action::{ActionKind, ActionRun};
use crate::api::condition::{self, AVAILABLE, OBSERVED};
use crate::api::incident::{Incident, IncidentPhase};
use crate::api::session::{ApprovalMode, ControlSession, Mode, SessionPhase};
use crate::api::soak::{SoakPhase, SoakRun};
use crate::api::stack::{
    DriftKind, Maintenance, ProbeState, ProbeStatus, ServiceState, ServiceStatus, WicapStack, WicapStackStatus,
};
use crate::api::stop::{ALL, EmergencyStop};
use crate::api::{Object, Time, after, elapsed};
use crate::plan::authorise::{Facts, Request, SESSION, authorise};
use crate::plan::decide::{self, DecisionKind, Inputs, Plan, decide, session_for};
use crate::plan::{drift, ladder};
use crate::soak::schedule;

use super::objects::Objects;
use super::picture::{
    Action, Allowance, Blocked, Decision, Done, Ladder, Observation, Picture, Question, Service, Session, Sight, Soak, Stop,
    Trouble,
};
use super::{next, verdict};

/// An action that is due and that nobody has asked for in this time is not going to be asked for: a planner that runs does so within
/// milliseconds of the observation, and one that is elected anew within the ten seconds of a leader's lease.
const OVERDUE: Duration = Duration::from_secs(15);

/// Draws the picture of one of the stacks.
#[must_use]
pub fn draw(objects: &Objects, stack: &WicapStack, now: Time) -> Picture {
    let inputs = objects.inputs(stack, now);
    let plan = decide(&inputs);
    let status = stack.status.clone().unwrap_or_default();
    let observation = observation(&status, now);
    let fresh = observation.state == Sight::Fresh;
    let in_force = session_for(stack.name(), &objects.sessions, now);
    let sessions = sessions(objects, stack, in_force, now);
    let last_session = if in_force.is_none() { last_session(objects, stack, now) } else { None };
    let found = condition::get(&status.conditions, AVAILABLE);
    let seen = |c: &&Condition| fresh || (observation.state == Sight::EngineSilent && c.status == "Unknown");
    let mut picture = Picture {
        at: now,
        stack: stack.name().to_owned(),
        host: stack.spec.host.clone(),
        project: stack.spec.compose.project.clone(),
        directory: stack.spec.compose.directory.clone(),
        files: stack.spec.compose.files.clone(),
        state: super::picture::State::Healthy,
        summary: String::new(),
        desired: stack.spec.desired_state,
        ready: status.ready.clone().filter(|_| fresh),
        available: found.filter(seen).map_or_else(|| "Unknown".to_owned(), |c| c.status.clone()),
        available_since: found.filter(seen).map(|c| c.last_transition_time.0),
        services: stack.spec.services.iter().map(|spec| service(stack, &spec.name, &status, fresh)).collect(),
        observation,
        drift: plan.drift.clone(),
        actions: objects.actions_of(stack.name()).into_iter().filter_map(action).collect(),
        last_action: objects.actions_of(stack.name()).into_iter().filter_map(done).max_by_key(|done| done.at),
        decisions: decisions(&inputs, &plan),
        blocked: blocked(&inputs, &plan, in_force),
        ladders: ladders(stack, &plan),
        sessions,
        last_session,
        soaks: objects.soaks.iter().filter(|s| s.spec.stack == stack.name()).filter_map(|s| soak(s, now)).collect(),
        incidents: incidents(&objects.incidents, stack),
        stops: stops(&objects.stops, stack),
        maintenance: maintenance(stack, &objects.soaks, now),
        next: super::picture::NextStep { why: String::new(), command: None },
    };
    picture.state = verdict::state(&picture, &plan.escalated);
    picture.summary = verdict::summary(&picture, &plan.escalated);
    picture.next = next::step(&picture);
    picture
}

fn observation(status: &WicapStackStatus, now: Time) -> Observation {
    let observed = condition::get(&status.conditions, OBSERVED);
    let silent = observed.filter(|c| c.status != "True");
    let state = match status.observed_at {
        None => Sight::Never,
        Some(_) if drift::is_stale(Some(status), now) => Sight::Stale,
        Some(_) if silent.is_some() => Sight::EngineSilent,
        Some(_) => Sight::Fresh,
    };
    let message = silent.map(|c| c.message.clone()).filter(|m| !m.is_empty());
    Observation { state, at: status.observed_at, message }
}

fn service(stack: &WicapStack, name: &str, status: &WicapStackStatus, fresh: bool) -> Service {
    let none = ServiceStatus { name: name.to_owned(), ..ServiceStatus::default() };
    let seen = status.service(name).unwrap_or(&none);
    let spec = stack.spec.service(name);
    let known = fresh && !matches!(seen.state, ServiceState::Unknown | ServiceState::Starting);
    let passing = seen.probes.iter().filter(|p| p.state == ProbeState::Passing).count();
    let others = seen.probes.iter().filter(|p| p.state != ProbeState::Passing);
    let question = |p: &ProbeStatus| Question { name: p.name.clone(), state: p.state, message: p.message.clone() };
    let mut message: Vec<String> = seen.message.iter().cloned().collect();
    if let Some(code) = seen.exit_code.filter(|code| !message.iter().any(|m| m.contains(&format!("code {code}")))) {
        message.push(format!("exited with code {code}"));
    }
    if seen.oom_killed && !message.iter().any(|m| m.contains("for want of memory")) {
        message.push("killed for want of memory".to_owned());
    }
    Service {
        name: name.to_owned(),
        state: if fresh { seen.state } else { ServiceState::Unknown },
        last_known: (!fresh && seen.state != ServiceState::Unknown).then_some(seen.state),
        since: seen.since.filter(|_| fresh),
        as_desired: known.then(|| drift::is_well(&stack.spec, seen)),
        health: seen.health.filter(|_| fresh),
        restarts: seen.restarts,
        probes_passing: if fresh { passing } else { 0 },
        probes: seen.probes.len(),
        probes_not_passing: if fresh { others.map(question).collect() } else { Vec::new() },
        critical: spec.is_some_and(|s| s.critical),
        managed: spec.is_some_and(|s| s.managed),
        message: (fresh && !message.is_empty()).then(|| message.join("; ")),
    }
}

/// An action that is not over.
fn action(run: &ActionRun) -> Option<Action> {
    let status = run.status.clone().unwrap_or_default();
    (!status.phase.is_final()).then(|| Action {
        name: run.name().to_owned(),
        action: run.spec.action,
        target: run.spec.target.clone(),
        phase: status.phase,
        since: status.started_at.or(run.metadata.creation_timestamp.as_ref().map(|t| t.0)),
        cause: run.spec.cause.summary.clone(),
        answer_by: status.approval_deadline,
    })
}

/// An action that is over.
fn done(run: &ActionRun) -> Option<Done> {
    let status = run.status.as_ref().filter(|s| s.phase.is_final())?;
    Some(Done {
        name: run.name().to_owned(),
        action: run.spec.action,
        target: run.spec.target.clone(),
        phase: status.phase,
        at: status.finished_at?,
        message: status.message.clone(),
    })
}

fn decisions(inputs: &Inputs<'_>, plan: &Plan) -> Vec<Decision> {
    let before = before(inputs);
    let overdue = |d: &decide::Decision| {
        let acts = |kind| matches!(kind, DecisionKind::Act | DecisionKind::Shadow);
        acts(d.kind) && before.iter().any(|old| acts(old.kind) && old.target == d.target && old.action == d.action)
    };
    let shown = plan.decisions.iter().map(|d| Decision {
        target: d.target.clone(),
        kind: d.kind,
        action: d.action,
        reason: in_short(d, plan),
        until: d.until,
        overdue: overdue(d),
    });
    shown.collect()
}

/// What would have been decided [`OVERDUE`] ago from the very same objects; nothing where one of them is younger.
fn before(inputs: &Inputs<'_>) -> Vec<decide::Decision> {
    let then = inputs.now.checked_sub(OVERDUE).unwrap_or(Time::MIN);
    let session = session_for(inputs.stack.name(), inputs.sessions, inputs.now);
    let began = session.and_then(|s| s.status.as_ref()?.started_at);
    let observed = inputs.stack.status.as_ref().and_then(|s| s.observed_at);
    if began.max(observed).is_none_or(|young| young > then) {
        return Vec::new();
    }
    decide(&Inputs { now: then, ..*inputs }).decisions
}

/// A decision's reason without the drift that it begins with, which is shown by itself.
fn in_short(decision: &decide::Decision, plan: &Plan) -> String {
    let drift = plan.drift.iter().find(|d| d.service == decision.target);
    let told = drift.map(|d| format!("{} {:?} since {:.0}: {}", d.service, d.kind, d.since, d.evidence));
    let rest = told.and_then(|told| decision.reason.strip_prefix(&told));
    match rest.map(|rest| rest.trim_start_matches("; ")) {
        Some("") => "it is due".to_owned(),
        Some(rest) => rest.to_owned(),
        None => decision.reason.clone(),
    }
}

fn blocked(inputs: &Inputs<'_>, plan: &Plan, session: Option<&ControlSession>) -> Vec<Blocked> {
    let denied = plan.decisions.iter().filter(|d| d.kind == DecisionKind::Blocked);
    let shut = denied.filter_map(|d| {
        let action = d.action?;
        let request = Request {
            stack: inputs.stack,
            action,
            target: if action.takes_down() { "" } else { &d.target },
            services: services_of(inputs.stack, plan, &d.target),
            session: session.map_or("", |s| s.name()),
            run: None,
            planning: true,
        };
        let (elevations, approvals) = (&[], &[]);
        let Inputs { sessions, policies, stops, actions, now, .. } = *inputs;
        let facts = Facts { sessions, policies, stops, elevations, approvals, actions, directory: None, roots: &[], now };
        let mut shut = authorise(&request, &facts).trace.into_iter().filter(|v| !v.allowed);
        let first = shut.next()?;
        Some(Blocked {
            target: d.target.clone(),
            action,
            also: shut.filter(|_| session.is_some()).map(|v| v.gate).collect(),
            gate: first.gate,
            message: first.reason,
            fix: first.fix,
            until: d.until,
        })
    });
    let shadowed = plan.decisions.iter().filter(|d| d.kind == DecisionKind::Shadow).filter_map(|d| {
        let session = session?;
        Some(Blocked {
            target: d.target.clone(),
            action: d.action?,
            gate: SESSION.to_owned(),
            message: format!("ControlSession {:?} spec.mode is Shadow: it is only said what would be done", session.name()),
            fix: Some("open a ControlSession of mode Assist or Canary".to_owned()),
            also: Vec::new(),
            until: None,
        })
    });
    shut.chain(shadowed).collect()
}

/// The services that the next action for one is told to act on together.
fn services_of<'a>(stack: &'a WicapStack, plan: &Plan, service: &str) -> &'a [String] {
    let found = plan.drift.iter().find(|d| d.service == service).zip(stack.spec.service(service));
    let Some((drift, spec)) = found else { return &[] };
    let state = plan.recovery.iter().find(|r| r.service == service).cloned().unwrap_or_default();
    let rung = ladder::next(stack.spec.recovery(spec), drift.kind, &state);
    rung.and_then(|r| r.declared).map(|step| step.services.as_slice()).unwrap_or_default()
}

/// The ladders as they are stored: what the plan proposes now is no step that was taken.
fn ladders(stack: &WicapStack, plan: &Plan) -> Vec<Ladder> {
    let stored = stack.status.iter().flat_map(|s| &s.recovery);
    let begun = stored.filter(|r| r.total > 0 || r.escalated_at.is_some());
    let shown = begun.map(|state| {
        let spec = stack.spec.service(&state.service);
        let recovery = spec.map_or(&stack.spec.defaults.recovery, |s| stack.spec.recovery(s));
        let kind = plan.drift.iter().find(|d| d.service == state.service).map(|d| d.kind);
        let over = state.escalated_at.is_some() || kind.is_some_and(|kind| state.exhausted.contains(&kind));
        let next = kind.filter(|_| !over).and_then(|kind| match state.service.as_str() {
            "" => (kind == DriftKind::Missing).then_some(ActionKind::ComposeUp),
            _ => ladder::next(recovery, kind, state).map(|rung| rung.action),
        });
        Ladder {
            service: state.service.clone(),
            actions: state.total,
            step: state.step.saturating_add(1),
            steps: if state.rollback { recovery.rollback.len() } else { recovery.ladder.len() },
            rollback: state.rollback,
            next,
            backoff_until: state.backoff_until.filter(|_| kind.is_some()),
            escalated_at: state.escalated_at,
            last_action: state.last_action.clone(),
        }
    });
    shown.collect()
}

/// Those in force, the one in whose name is planned first, and those that wait.
fn sessions(objects: &Objects, stack: &WicapStack, first: Option<&ControlSession>, now: Time) -> Vec<Session> {
    let of_stack = || objects.sessions.iter().filter(|s| s.spec.stack == stack.name());
    let others = of_stack().filter(|s| s.in_force(now) && first.is_none_or(|f| f.name() != s.name()));
    let waiting = of_stack().filter(|s| phase(s, now) == SessionPhase::Pending);
    first.into_iter().chain(others).chain(waiting).map(|s| session(s, now)).collect()
}

fn last_session(objects: &Objects, stack: &WicapStack, now: Time) -> Option<Session> {
    let over = |s: &&ControlSession| s.spec.stack == stack.name() && phase(s, now).is_final();
    let ended = |s: &&ControlSession| {
        let status = s.status.as_ref();
        // A session that was ended early says so by its condition; by its time otherwise.
        let active = status.and_then(|s| condition::get(&s.conditions, condition::ACTIVE)).filter(|c| c.status != "True");
        active.map(|c| c.last_transition_time.0).or_else(|| status.and_then(|s| s.expires_at))
    };
    let last = objects.sessions.iter().filter(over).max_by_key(ended)?;
    let ended_at = ended(&last);
    Some(Session { expires_at: ended_at, ..session(last, now) })
}

/// A session's phase, by the clock too.
fn phase(session: &ControlSession, now: Time) -> SessionPhase {
    let stored = session.status.as_ref().map_or(SessionPhase::Pending, |s| s.phase);
    match stored {
        SessionPhase::Active if session.spec.end || session.metadata.deletion_timestamp.is_some() => SessionPhase::Ended,
        SessionPhase::Active if !session.in_force(now) => SessionPhase::Expired,
        phase => phase,
    }
}

fn session(session: &ControlSession, now: Time) -> Session {
    let status = session.status.clone().unwrap_or_default();
    let budget = session.spec.budget.as_ref().map(|budget| {
        let begin = now.checked_sub(budget.window.to_std()).unwrap_or(Time::MIN);
        let used = status.usage.recent.iter().filter(|at| **at > begin).count();
        Allowance { used, of: budget.max_actions, window: budget.window.to_string() }
    });
    Session {
        name: session.name().to_owned(),
        mode: session.spec.mode,
        phase: phase(session, now),
        operator: session.spec.operator.clone(),
        expires_at: status.expires_at,
        actions: status.usage.actions,
        asks: session.spec.approval.caution == ApprovalMode::Ask,
        budget,
        message: status.message,
    }
}

impl Session {
    /// Whether actions are taken in it now.
    #[must_use]
    pub fn acts(&self) -> bool {
        self.phase == SessionPhase::Active && matches!(self.mode, Mode::Assist | Mode::Canary)
    }
}

/// A run that is not over, or whose verdict is younger than an hour and not Passed: long enough to be seen once.
fn soak(run: &SoakRun, now: Time) -> Option<Soak> {
    const SEEN: Duration = Duration::from_secs(3600);
    let status = run.status.clone().unwrap_or_default();
    let lately = status.finished_at.is_some_and(|at| elapsed(at, now) < SEEN);
    if status.phase == SoakPhase::Completed && !lately {
        return None;
    }
    let length = run.spec.duration.to_std();
    let since = status.soaking_since;
    let soaking = since.filter(|_| status.phase >= SoakPhase::Soaking);
    Some(Soak {
        name: run.name().to_owned(),
        session: run.spec.session.clone(),
        phase: status.phase,
        percent: soaking.map(|since| schedule::progress(since, length, status.soaked_until.unwrap_or(now))),
        ends_at: status.soaked_until.or(since.map(|since| after(since, length))),
        passed: status.checks.iter().map(|c| c.passed).sum(),
        failed: status.checks.iter().map(|c| c.failed + c.errors).sum(),
        restarts: status.restarts.iter().map(|r| r.count).sum(),
        recoveries: status.recoveries,
        verdict: status.verdict,
        message: status.message,
    })
}

fn incidents(incidents: &[Incident], stack: &WicapStack) -> Vec<Trouble> {
    let phase = |i: &Incident| i.status.as_ref().map_or(IncidentPhase::Open, |s| s.phase);
    let ours = incidents.iter().filter(|i| i.spec.stack == stack.name() && phase(i) != IncidentPhase::Resolved);
    let shown = ours.map(|i| Trouble {
        name: i.name().to_owned(),
        service: i.spec.service.clone(),
        kind: i.spec.kind,
        severity: i.spec.severity,
        phase: phase(i),
        since: i.status.as_ref().and_then(|s| s.first_seen).or(i.metadata.creation_timestamp.as_ref().map(|t| t.0)),
        signature: i.spec.signature.clone(),
        remedy: i.spec.remedy.clone(),
    });
    let mut all: Vec<_> = shown.collect();
    all.sort_by(|a, b| (b.severity, a.since, &a.name).cmp(&(a.severity, b.since, &b.name)));
    all
}

fn stops(stops: &[EmergencyStop], stack: &WicapStack) -> Vec<Stop> {
    let ours = stops.iter().filter(|s| s.name() == ALL || s.name() == stack.name());
    let shown = ours.map(|s| Stop {
        name: s.name().to_owned(),
        by: s.spec.by.clone(),
        reason: s.spec.reason.clone(),
        since: s.status.as_ref().and_then(|s| s.since).or(s.metadata.creation_timestamp.as_ref().map(|t| t.0)),
    });
    shown.collect()
}

fn maintenance(stack: &WicapStack, soaks: &[SoakRun], now: Time) -> Vec<Maintenance> {
    let of_soaks = soaks.iter().filter(|s| s.spec.stack == stack.name());
    let of_soaks = of_soaks.filter_map(|s| s.status.as_ref()?.maintenance.as_ref());
    stack.spec.maintenance.iter().chain(of_soaks).filter(|m| now < m.until).cloned().collect()
}
