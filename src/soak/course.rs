//! The course of a run: its phases, and what moves it from one to the next.
//!
//! ```text
//!  Pending ─► Preflight ─► [Teardown] ─► [Startup] ─► Warmup ─► Soaking ─► Finalizing ─► [Cleanup] ─► Completed
//!                 │            │             │           │         │            │
//!                 └────────────┴─────────────┴───────────┴─────────┴────────────┴── decided ─► [Cleanup] ─► Completed
//! ```
//!
//! A pure function of the records, the cached objects and the time. Its answer is either one more record, or an action to ask for,
//! or what is waited for; the caller asks again until it is told to wait.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::Resource;

use super::evidence::Evidence;
use super::record::What;
use super::schedule::last_check;
use crate::api::action::{ActionKind, ActionPhase, ActionRun, ActionRunSpec, ActionRunStatus, Cause, CauseKind, StepKind};
use crate::api::session::{ControlSession, SessionPhase};
use crate::api::soak::{DuringSoak, SoakCheck, SoakPhase, SoakRun, SoakRunSpec, Verdict};
use crate::api::stack::{Maintenance, ServiceState, ServiceStatus, WicapStack};
use crate::api::{Object, Time, after, condition, elapsed};
use crate::plan::drift::{detect, is_stale};

/// Everything that is known of a run beside its records.
#[derive(Clone, Debug)]
pub struct Scene<'a> {
    /// The run.
    pub run: &'a SoakRun,
    /// Its stack.
    pub stack: Option<&'a WicapStack>,
    /// Its session.
    pub session: Option<&'a ControlSession>,
    /// Why its baseline cannot be had; none when it can, or it has none.
    pub baseline_problem: Option<String>,
    /// The actions on its stack.
    pub actions: &'a [ActionRun],
    /// What each plain check last said while warming up.
    pub warm: &'a BTreeMap<String, Result<(), String>>,
    /// Whether the store has been told of the phase that the run is in. Before that nothing is asked for: others have to know that what is
    /// about to happen is no drift.
    pub is_told: bool,
    /// Whether a sample is on its way: the last one is waited for.
    pub is_measuring: bool,
    /// Now.
    pub now: Time,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Move {
    /// Record that, and ask again.
    Record(What),
    /// Ask for that action, if nobody has.
    Ask(Box<(String, ActionRunSpec)>),
    /// Wait, at the latest until that time.
    Wait {
        /// What for, for people.
        message: Option<String>,
        /// When time alone changes the answer.
        until: Option<Time>,
    },
}

const ORDER: [SoakPhase; 9] = [
    SoakPhase::Pending,
    SoakPhase::Preflight,
    SoakPhase::Teardown,
    SoakPhase::Startup,
    SoakPhase::Warmup,
    SoakPhase::Soaking,
    SoakPhase::Finalizing,
    SoakPhase::Cleanup,
    SoakPhase::Completed,
];

/// What to do next.
#[must_use]
pub fn next(scene: &Scene<'_>, evidence: &Evidence) -> Move {
    let phase = evidence.phase();
    let spec = &scene.run.spec;
    if evidence.decided.is_none() && phase < SoakPhase::Finalizing && spec.abort {
        return decide(Verdict::Aborted, "aborted by an operator");
    }
    if evidence.decided.is_some() && phase < SoakPhase::Cleanup {
        let cleanup = spec.phases.has(SoakPhase::Cleanup) && phase > SoakPhase::Pending;
        return enter(if cleanup { SoakPhase::Cleanup } else { SoakPhase::Completed });
    }
    match phase {
        SoakPhase::Pending => pending(scene),
        SoakPhase::Preflight => preflight(scene, evidence),
        SoakPhase::Teardown | SoakPhase::Startup | SoakPhase::Cleanup => act(scene, evidence, phase),
        SoakPhase::Warmup => warm_up(scene, evidence),
        SoakPhase::Soaking => soak(scene, evidence),
        SoakPhase::Finalizing => finalize(scene, evidence),
        SoakPhase::Completed => Move::Wait { message: None, until: None },
    }
}

fn enter(phase: SoakPhase) -> Move {
    Move::Record(What::Phase { phase })
}

fn decide(verdict: Verdict, reason: impl Into<String>) -> Move {
    Move::Record(What::Decided { verdict, reason: reason.into() })
}

fn wait(message: impl Into<String>, until: Option<Time>) -> Move {
    Move::Wait { message: Some(message.into()), until }
}

/// The next phase that the run goes through.
fn following(spec: &SoakRunSpec, phase: SoakPhase) -> Move {
    let rest = ORDER.into_iter().filter(|p| *p > phase);
    enter(rest.into_iter().find(|p| spec.phases.has(*p)).unwrap_or(SoakPhase::Completed))
}

/// When the phase that the run is in has taken too long.
fn deadline(spec: &SoakRunSpec, evidence: &Evidence, phase: SoakPhase) -> Option<Time> {
    let began = evidence.began(phase)?;
    Some(after(began, patience(spec, phase)))
}

/// How long a phase may take.
#[must_use]
pub fn patience(spec: &SoakRunSpec, phase: SoakPhase) -> Duration {
    let declared = spec.phases.of(phase).and_then(|p| p.deadline);
    declared.map_or_else(
        || match phase {
            SoakPhase::Preflight => Duration::from_secs(60),
            SoakPhase::Finalizing => Duration::from_secs(60) + longest_check(spec),
            SoakPhase::Warmup => spec.startup_timeout.to_std(),
            _ => Duration::from_secs(5 * 60),
        },
        crate::api::Duration::to_std,
    )
}

/// How long the longest check may take with all its attempts.
fn longest_check(spec: &SoakRunSpec) -> Duration {
    let longest = |check: &SoakCheck| check.timeout.to_std().saturating_mul(check.retries.saturating_add(1));
    spec.checks.iter().map(longest).max().unwrap_or_default()
}

/// How long the soak is: as declared, or until an operator asked for its end.
#[must_use]
pub fn length(spec: &SoakRunSpec, evidence: &Evidence) -> Duration {
    let whole = spec.duration.to_std();
    match (evidence.began(SoakPhase::Soaking), evidence.finish) {
        (Some(since), Some(finish)) => elapsed(since, finish).min(whole),
        _ => whole,
    }
}

fn pending(scene: &Scene<'_>) -> Move {
    let spec = &scene.run.spec;
    if spec.suspend {
        return wait("suspended", None);
    }
    if scene.stack.is_none() {
        return wait(format!("waiting: there is no WicapStack {:?}", spec.stack), None);
    }
    following(spec, SoakPhase::Pending)
}

fn preflight(scene: &Scene<'_>, evidence: &Evidence) -> Move {
    let spec = &scene.run.spec;
    let status = scene.stack.and_then(|s| s.status.as_ref());
    let mut problems = Vec::new();
    if is_stale(status, scene.now) {
        problems.push(format!("WicapStack {:?} is not observed", spec.stack));
    }
    let jobs = || spec.checks.iter().filter_map(|check| check.job.as_deref());
    for job in jobs() {
        if scene.stack.is_some_and(|stack| stack.spec.job(job).is_none()) {
            problems.push(format!("WicapStack {:?} has no job {job:?}", spec.stack));
        }
    }
    if spec.phases.act() || jobs().next().is_some() {
        let name = spec.session.as_deref().unwrap_or_default();
        match scene.session.map(|s| (s, s.status.as_ref().map_or(SessionPhase::default(), |s| s.phase))) {
            None => problems.push(format!("there is no ControlSession {name:?}")),
            Some((session, _)) if session.spec.stack != spec.stack => {
                problems.push(format!("ControlSession {name:?} is for the stack {:?}", session.spec.stack));
            }
            Some((_, SessionPhase::Active)) => {}
            Some((_, phase)) => problems.push(format!("ControlSession {name:?} is {phase:?}")),
        }
    }
    problems.extend(scene.baseline_problem.clone());
    let until = deadline(spec, evidence, SoakPhase::Preflight);
    if problems.is_empty() {
        following(spec, SoakPhase::Preflight)
    } else if until.is_some_and(|at| at <= scene.now) {
        decide(Verdict::Error, format!("Preflight: {}", problems.join("; ")))
    } else {
        wait(format!("Preflight: {}", problems.join("; ")), until)
    }
}

/// Name of the action that is a step of a run: unique to this very run, so that asking twice is one action.
#[must_use]
pub fn step_name(run: &SoakRun, phase: SoakPhase, index: usize) -> String {
    let uid: String = run.meta().uid.iter().flat_map(|u| u.chars()).take(8).collect();
    let phase = format!("{phase:?}").to_lowercase();
    // Names have at most 253 characters.
    let name: String = run.name().chars().take(200).collect();
    format!("{name}-{uid}-{phase}-{}", index + 1)
}

fn act(scene: &Scene<'_>, evidence: &Evidence, phase: SoakPhase) -> Move {
    let spec = &scene.run.spec;
    let until = deadline(spec, evidence, phase);
    let is_late = until.is_some_and(|at| at <= scene.now);
    // A job holds the network that it has joined.
    let is_open = |a: &&ActionRun| !a.status.as_ref().is_some_and(|s| s.phase.is_final());
    let mut jobs = scene.actions.iter().filter(|a| a.spec.action.targets_job() && scene.run.owns(a)).filter(is_open);
    if let Some(job) = jobs.next().filter(|_| !is_late) {
        return wait(format!("{phase:?}: the job {} is to end", job.spec.target), until);
    }
    for (index, step) in spec.phases.steps(phase).into_iter().enumerate() {
        let name = step_name(scene.run, phase, index);
        let what = step.action.on(&step.target);
        let found = scene.actions.iter().find(|a| a.name() == name && scene.run.owns(a));
        let status = found.and_then(|a| a.status.as_ref());
        let ended = status.map(|s| s.phase).filter(|p| p.is_final());
        match (found, ended) {
            (_, Some(ActionPhase::Succeeded)) => {}
            // Whether what was brought up serves is for Warmup to see, which has the patience for it.
            (_, Some(ActionPhase::Failed)) if phase == SoakPhase::Startup && status.is_some_and(was_carried_out) => {}
            // Nothing is there to be taken down: asked for, the action would fail. Volumes may be there when no container is.
            (None, None)
                if step.action.takes_down()
                    && step.action != ActionKind::ComposeDownVolumes
                    && is_down(scene.stack, scene.now) => {}
            (_, Some(ended)) => {
                let why = status.and_then(|s| s.message.clone()).map_or(String::new(), |m| format!(": {m}"));
                return gone_wrong(evidence, phase, ended == ActionPhase::Failed, format!("{what} is {ended:?}{why}"));
            }
            (None, None) if is_late => {
                return gone_wrong(evidence, phase, false, format!("{what} was not asked for in time"));
            }
            (Some(_), None) if is_late => {
                let limit = crate::api::Duration::from(patience(spec, phase));
                return gone_wrong(evidence, phase, true, format!("{what} did not end within {limit}"));
            }
            (None, None) if scene.is_told => {
                let asked = ActionRunSpec {
                    stack: spec.stack.clone(),
                    action: step.action,
                    target: step.target,
                    params: step.params,
                    session: spec.session.clone().unwrap_or_default(),
                    cause: Cause {
                        kind: CauseKind::Soak,
                        summary: format!("{phase:?} of SoakRun {}", scene.run.name()),
                        drift: None,
                        since: None,
                        object: Some(format!("SoakRun/{}", scene.run.name())),
                        attempt: None,
                    },
                    timeout: None,
                    dry_run: false,
                };
                return Move::Ask(Box::new((name, asked)));
            }
            (_, None) => {
                let where_ = status.map_or(ActionPhase::Pending, |s| s.phase);
                return wait(format!("{phase:?}: {what} is {where_:?}"), until);
            }
        }
    }
    following(spec, phase)
}

/// Whether Compose did what it was asked for, whatever was seen afterwards.
fn was_carried_out(status: &ActionRunStatus) -> bool {
    status.steps.iter().any(|step| step.kind == StepKind::Execute && step.exit_code == Some(0))
}

/// Whether nothing of the stack is there: no container of any of its services, and no other of its project.
fn is_down(stack: Option<&WicapStack>, now: Time) -> bool {
    let Some(status) = stack.and_then(|s| s.status.as_ref()).filter(|s| !is_stale(Some(s), now)) else { return false };
    let missing = |s: &ServiceStatus| s.state == ServiceState::Missing;
    !status.services.is_empty() && status.services.iter().all(missing) && status.orphans.is_empty()
}

/// What a step that did not succeed means. A stack that does not come up has failed; that it could not be tried says nothing of it.
fn gone_wrong(evidence: &Evidence, phase: SoakPhase, was_tried: bool, what: String) -> Move {
    let told = format!("{phase:?}: {what}");
    match phase {
        // The verdict stands; what went wrong is told.
        SoakPhase::Cleanup if evidence.events.iter().any(|e| e.what == told) => enter(SoakPhase::Completed),
        SoakPhase::Cleanup => Move::Record(What::Event { what: told }),
        SoakPhase::Startup if was_tried => decide(Verdict::Failed, told),
        _ => decide(Verdict::Error, told),
    }
}

fn warm_up(scene: &Scene<'_>, evidence: &Evidence) -> Move {
    let spec = &scene.run.spec;
    let until = deadline(spec, evidence, SoakPhase::Warmup);
    let limit = crate::api::Duration::from(patience(spec, SoakPhase::Warmup));
    let cold = |check: &&SoakCheck| check.is_plain() && !matches!(scene.warm.get(&check.name), Some(Ok(())));
    let missing = if is_available(scene.stack, scene.now) {
        spec.checks.iter().find(cold).map(|check| {
            let last = match scene.warm.get(&check.name) {
                Some(Err(why)) => format!(": {why}"),
                _ => String::new(),
            };
            (
                format!("check {} did not pass within {limit}{last}", check.name),
                format!("waiting for check {}{last}", check.name),
            )
        })
    } else {
        let why = scene.stack.and_then(unavailable).map_or(String::new(), |why| format!(": {why}"));
        let waiting = "waiting for the stack to be Available".to_owned();
        Some((format!("the stack was not Available within {limit}{why}"), waiting))
    };
    match missing {
        None => following(spec, SoakPhase::Warmup),
        Some((late, _)) if until.is_some_and(|at| at <= scene.now) => decide(Verdict::Failed, late),
        Some((_, waiting)) => wait(waiting, until),
    }
}

fn is_available(stack: Option<&WicapStack>, now: Time) -> bool {
    let Some(status) = stack.and_then(|s| s.status.as_ref()) else { return false };
    let available = condition::get(&status.conditions, condition::AVAILABLE);
    !is_stale(Some(status), now) && available.is_some_and(|c| c.status == "True")
}

fn unavailable(stack: &WicapStack) -> Option<String> {
    let status = stack.status.as_ref()?;
    let condition = condition::get(&status.conditions, condition::AVAILABLE).filter(|c| c.status != "True")?;
    Some(condition.message.clone()).filter(|m| !m.is_empty())
}

fn soak(scene: &Scene<'_>, evidence: &Evidence) -> Move {
    let spec = &scene.run.spec;
    let Some(since) = evidence.began(SoakPhase::Soaking) else { return enter(SoakPhase::Finalizing) };
    if spec.finish && evidence.finish.is_none() {
        return Move::Record(What::Finish);
    }
    if spec.during_soak == DuringSoak::Abort {
        let drift = scene.stack.map(|s| detect(s, scene.now)).unwrap_or_default();
        if let Some(first) = drift.first() {
            return decide(
                Verdict::Failed,
                format!("while soaking: {} is {:?}: {}", first.service, first.kind, first.evidence),
            );
        }
        if let Some((service, _)) = evidence.restarts().find(|(_, count)| *count > 0) {
            return decide(Verdict::Failed, format!("while soaking: {service} was restarted"));
        }
    }
    let end = after(since, length(spec, evidence));
    if end <= scene.now { enter(SoakPhase::Finalizing) } else { Move::Wait { message: None, until: Some(end) } }
}

fn finalize(scene: &Scene<'_>, evidence: &Evidence) -> Move {
    let spec = &scene.run.spec;
    let whole = length(spec, evidence);
    let open = spec.checks.iter().filter(|check| {
        let next = evidence.checks.get(&check.name).map_or(0, |c| c.next);
        next <= last_check(whole, check.period.to_std())
    });
    let sample = scene.is_measuring.then_some("the last sample");
    let open: Vec<&str> = open.map(|check| check.name.as_str()).chain(sample).collect();
    let until = deadline(spec, evidence, SoakPhase::Finalizing);
    if open.is_empty() {
        following(spec, SoakPhase::Finalizing)
    } else if until.is_some_and(|at| at <= scene.now) {
        decide(Verdict::Error, format!("Finalizing: the last result of {} did not come", open.join(", ")))
    } else {
        wait(format!("Finalizing: waiting for {}", open.join(", ")), until)
    }
}

/// What the run claims of its stack: while it works on it itself, and while its drift is to be left as it is.
#[must_use]
pub fn claim(run: &SoakRun, evidence: &Evidence) -> Option<Maintenance> {
    let spec = &run.spec;
    let phase = evidence.phase();
    let until = match phase {
        SoakPhase::Teardown | SoakPhase::Startup | SoakPhase::Cleanup => deadline(spec, evidence, phase)?,
        SoakPhase::Warmup | SoakPhase::Soaking | SoakPhase::Finalizing if spec.during_soak != DuringSoak::Recover => {
            let rest = patience(spec, SoakPhase::Warmup) + spec.duration.to_std() + patience(spec, SoakPhase::Finalizing);
            after(evidence.began(SoakPhase::Warmup).or_else(|| evidence.began(phase))?, rest)
        }
        _ => return None,
    };
    Some(Maintenance { until, reason: format!("{phase:?} of SoakRun {}", run.name()), services: Vec::new() })
}

#[cfg(test)]
#[path = "course/tests.rs"]
mod tests;
