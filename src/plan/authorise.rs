//! Whether an action may be taken: one pure function for the planner, the actuator and people who ask why.
//!
//! ```text
//! emergencyStop → session → runtimePlane → toolPolicy → tier → approval → budget → cooldown → precondition
//! ```
//!
//! Every gate is evaluated, whatever the ones before it said, so that the trace tells all that stands in the way. A gate
//! that lacks what it needs to judge denies. Each verdict names the object and the field that decided, and one that denies says
//! what would have to change.
//!
//! # Layout
//! - `verdict`: what a gate says
//! - `planes`: the gates that ask what is permitted at all: stop, session, where, what, how harmful
//! - `limits`: the gates that ask whether it is permitted now: a person's word, budgets, cooldowns, what else is under way

mod limits;
mod planes;
mod verdict;

use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::api::action::{ActionKind, ActionPhase, ActionRun, Decision};
use crate::api::approval::Approval;
use crate::api::elevation::Elevation;
use crate::api::policy::ControlPolicy;
use crate::api::session::{ApprovalMode, ControlSession, Mode};
use crate::api::stack::WicapStack;
use crate::api::stop::EmergencyStop;
use crate::api::validate::quoted;
use crate::api::{Object, Time};
use verdict::{Said, Verdict};

/// Gate: no EmergencyStop holds for the stack.
pub const EMERGENCY_STOP: &str = "emergencyStop";
/// Gate: the session is in force for this stack, and its mode lets the action be taken or shadowed.
pub const SESSION: &str = "session";
/// Gate: host and directory are ones on which every policy lets actions be taken.
pub const RUNTIME_PLANE: &str = "runtimePlane";
/// Gate: the action on that target is callable at all.
pub const TOOL_POLICY: &str = "toolPolicy";
/// Gate: the action does no more harm than the session accepts, and what destroys data has an Elevation.
pub const TIER: &str = "tier";
/// Gate: a person has agreed where one must.
pub const APPROVAL: &str = "approval";
/// Gate: the session and the policies have actions left.
pub const BUDGET: &str = "budget";
/// Gate: the same action on the same target is long enough ago.
pub const COOLDOWN: &str = "cooldown";
/// Gate: nothing else is under way that it would meet.
pub const PRECONDITION: &str = "precondition";

/// The gates, in the order they are asked.
pub const GATES: [&str; 9] =
    [EMERGENCY_STOP, SESSION, RUNTIME_PLANE, TOOL_POLICY, TIER, APPROVAL, BUDGET, COOLDOWN, PRECONDITION];

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The stack.
    pub stack: &'a WicapStack,
    /// The action.
    pub action: ActionKind,
    /// The service, or `""` for every managed service of the stack.
    pub target: &'a str,
    /// The services that the action is told to act on together, instead of the target.
    pub services: &'a [String],
    /// Name of the session in whose name it is asked; `""` when there is none.
    pub session: &'a str,
    /// Name of the ActionRun that is being claimed, which does not stand in its own way.
    pub run: Option<&'a str>,
    /// True for the planner, for whom what is asked for and not claimed yet is under way too.
    pub planning: bool,
}

/// What is known when it is asked.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The sessions.
    pub sessions: &'a [ControlSession],
    /// The policies.
    pub policies: &'a [ControlPolicy],
    /// The stops.
    pub stops: &'a [EmergencyStop],
    /// The elevations.
    pub elevations: &'a [Elevation],
    /// The answers that were given to actions of this stack.
    pub approvals: &'a [Approval],
    /// The actions of this stack.
    pub actions: &'a [ActionRun],
    /// The project directory with its symbolic links resolved, as the actuator's host sees it, or why it could not be
    /// resolved. None where that is not known: then the directory is compared as it is written.
    pub directory: Option<Result<&'a Path, &'a str>>,
    /// Each allowed root as it is written and as resolved on the actuator's host. Used only with a resolved directory.
    pub roots: &'a [(String, PathBuf)],
    /// The time.
    pub now: Time,
}

/// Asks every gate.
#[must_use]
pub fn authorise(request: &Request<'_>, facts: &Facts<'_>) -> Decision {
    let case = Case::new(request, facts);
    let verdicts = [
        (EMERGENCY_STOP, case.emergency_stop()),
        (SESSION, case.session()),
        (RUNTIME_PLANE, case.runtime_plane()),
        (TOOL_POLICY, case.tool_policy()),
        (TIER, case.tier()),
        (APPROVAL, case.approval()),
        (BUDGET, case.budget()),
        (COOLDOWN, case.cooldown()),
        (PRECONDITION, case.precondition()),
    ];
    let trace: Vec<_> = verdicts.into_iter().map(|(gate, verdict)| verdict::of_gate(gate, verdict)).collect();
    let denied_by = trace.iter().find(|v| !v.allowed).map(|v| v.gate.clone());
    Decision { allowed: denied_by.is_none(), denied_by, shadow: case.is_shadow(), trace }
}

/// When time alone opens the gates that time alone can open: budget and cooldown. None when neither is shut, or the budget
/// is shut for good.
pub(super) fn opens_at(request: &Request<'_>, facts: &Facts<'_>) -> Option<Time> {
    Case::new(request, facts).opens_at()
}

/// Whether all that stands in the way of the request is that a person has not answered yet, or what is under way now: then it is
/// worth asking him.
#[must_use]
pub fn awaits_approval(request: &Request<'_>, facts: &Facts<'_>, decision: &Decision) -> bool {
    let case = Case::new(request, facts);
    let asks = case.asks() == Some(ApprovalMode::Ask) && case.deadline_passed().is_none();
    let unanswered = asks && case.answer().is_none();
    unanswered && decision.trace.iter().all(|v| v.allowed || v.gate == APPROVAL || v.gate == PRECONDITION)
}

/// The Elevation on the strength of which a destructive action is allowed.
#[must_use]
pub fn elevation<'a>(request: &'a Request<'a>, facts: &'a Facts<'a>) -> Option<&'a Elevation> {
    Case::new(request, facts).elevation().ok()
}

/// The answer that was given to an ActionRun, whatever it is.
#[must_use]
pub fn approval<'a>(request: &'a Request<'a>, facts: &'a Facts<'a>) -> Option<&'a Approval> {
    Case::new(request, facts).answer()
}

/// What an Approval binds to: the action, its target and parameters, the session, and the stack as its spec stood. The stack's
/// resourceVersion moves with every status, so that it is the uid and the generation that say which spec that was.
#[must_use]
pub fn digest(run: &ActionRun, stack: &WicapStack) -> String {
    let spec = &run.spec;
    let asked = serde_json::json!([
        "wicap.dev/approval/v2",
        run.metadata.uid,
        spec.action,
        spec.target,
        spec.params,
        spec.timeout,
        spec.dry_run,
        spec.session,
        stack.name(),
        stack.metadata.uid,
        stack.metadata.generation,
    ]);
    Sha256::digest(asked.to_string()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The time that an action gets for its execution: what is asked for or else its own, and no more than any policy gives.
#[must_use]
pub fn time_limit(action: ActionKind, asked: Duration, policies: &[ControlPolicy]) -> Duration {
    let most = policies.iter().filter_map(|p| p.spec.timeouts.get(&action)).map(|t| t.to_std()).min();
    most.map_or(asked, |most| most.min(asked))
}

/// Whether an action that changes services is under way: claimed, or also only asked for when planning. A dry run changes nothing.
pub(super) fn in_flight(run: &ActionRun, planning: bool) -> bool {
    let phase = phase(run);
    let under_way = phase == ActionPhase::Running || (planning && phase.is_asked());
    run.spec.action.changes_services() && !run.spec.dry_run && under_way
}

/// Whether an action touches the service. What touches the whole stack touches each, and each touches the whole stack.
pub(super) fn touches(run: &ActionRun, service: &str) -> bool {
    let target = run.spec.target.as_str();
    let named = || run.spec.params.services.iter().any(|s| s == service);
    target.is_empty() || service.is_empty() || target == service || named()
}

pub(super) fn phase(run: &ActionRun) -> ActionPhase {
    run.status.as_ref().map(|s| s.phase).unwrap_or_default()
}

/// A request beside what bears on it. Policies stand in the order of their names, so that the reasons do not depend on the
/// order in which they were listed.
struct Case<'a> {
    request: &'a Request<'a>,
    facts: &'a Facts<'a>,
    policies: Vec<&'a ControlPolicy>,
    session: Result<&'a ControlSession, Said>,
}

impl<'a> Case<'a> {
    fn new(request: &'a Request<'a>, facts: &'a Facts<'a>) -> Self {
        let mut policies: Vec<_> = facts.policies.iter().collect();
        policies.sort_by_key(|p| p.name());
        let stack = quoted(request.stack.name());
        let fix = || format!("open a ControlSession of mode Assist or Canary with spec.stack {stack}");
        let session = if request.session.is_empty() {
            Err(Said::nothing(format!("no ControlSession is in force for WicapStack {stack}")).fix(fix()))
        } else {
            let found = facts.sessions.iter().find(|s| s.name() == request.session);
            found.ok_or_else(|| Said::nothing(format!("there is no ControlSession {}", quoted(request.session))).fix(fix()))
        };
        Self { request, facts, policies, session }
    }

    /// The ActionRun that is being claimed.
    fn run(&self) -> Option<&'a ActionRun> {
        self.facts.actions.iter().find(|a| Some(a.name()) == self.request.run)
    }

    /// Whether it is only to be said what would be done.
    fn is_shadow(&self) -> bool {
        self.session.as_ref().is_ok_and(|s| s.spec.mode == Mode::Shadow) || self.run().is_some_and(|run| run.spec.dry_run)
    }

    /// Every action of the stack but the one that is being claimed.
    fn others(&self) -> impl Iterator<Item = &'a ActionRun> {
        let (stack, run) = (self.request.stack.name(), self.request.run);
        self.facts.actions.iter().filter(move |a| a.spec.stack == stack && Some(a.name()) != run)
    }
}

#[cfg(test)]
mod tests;
