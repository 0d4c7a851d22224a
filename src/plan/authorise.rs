//! Whether an action may be taken: one pure function for the planner, the actuator and people who ask why.
//!
//! ```text
//! emergencyStop → session → runtimePlane → toolPolicy → tier → approval → budget → cooldown → precondition
//! ```
//!
//! Every gate is evaluated, whatever the ones before it said, so that the trace tells all that stands in the way. A gate
//! that lacks what it needs to judge denies. Each reason names the object and the field that decided.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::rules;
use crate::api::action::{ActionKind, ActionPhase, ActionRun, Decision, GateVerdict};
use crate::api::policy::ControlPolicy;
use crate::api::session::{ControlSession, Mode, SessionPhase};
use crate::api::stack::WicapStack;
use crate::api::stop::{self, EmergencyStop};
use crate::api::validate::{is_directory, quoted};
use crate::api::{Object, Time, after, elapsed};

/// Gate: no EmergencyStop holds for the stack.
pub const EMERGENCY_STOP: &str = "emergencyStop";
/// Gate: the session is in force for this stack and assists.
pub const SESSION: &str = "session";
/// Gate: host and directory are ones on which every policy lets actions be taken.
pub const RUNTIME_PLANE: &str = "runtimePlane";
/// Gate: the action on that target is callable at all.
pub const TOOL_POLICY: &str = "toolPolicy";
/// Gate: the action does no more harm than the session accepts.
pub const TIER: &str = "tier";
/// Gate: a person has agreed where one must.
pub const APPROVAL: &str = "approval";
/// Gate: the session has actions left.
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
        (APPROVAL, Ok("no action needs an approval in this version".to_owned())),
        (BUDGET, case.budget()),
        (COOLDOWN, case.cooldown()),
        (PRECONDITION, case.precondition()),
    ];
    let trace: Vec<GateVerdict> = verdicts
        .into_iter()
        .map(|(gate, verdict)| GateVerdict {
            gate: gate.to_owned(),
            allowed: verdict.is_ok(),
            reason: verdict.unwrap_or_else(|reason| reason),
        })
        .collect();
    let denied_by = trace.iter().find(|v| !v.allowed).map(|v| v.gate.clone());
    Decision { allowed: denied_by.is_none(), denied_by, trace }
}

/// When time alone opens the gates that time alone can open: budget and cooldown. None when neither is shut, or the budget
/// is shut for good.
pub(super) fn opens_at(request: &Request<'_>, facts: &Facts<'_>) -> Option<Time> {
    let case = Case::new(request, facts);
    let cooldown = case.cooldown_end().map(|(end, ..)| end).filter(|end| facts.now < *end);
    cooldown.max(case.budget_frees_at())
}

/// Whether a changing action is under way: claimed, or also only asked for when planning. A dry run changes nothing.
pub(super) fn in_flight(run: &ActionRun, planning: bool) -> bool {
    let phase = phase(run);
    let under_way = phase == ActionPhase::Running || (planning && phase == ActionPhase::Pending);
    run.spec.action.changes() && !run.spec.dry_run && under_way
}

pub(super) fn phase(run: &ActionRun) -> ActionPhase {
    run.status.as_ref().map(|s| s.phase).unwrap_or_default()
}

/// A gate's answer with its reason.
type Verdict = Result<String, String>;

/// A request beside what bears on it. Policies stand in the order of their names, so that the reasons do not depend on the
/// order in which they were listed.
struct Case<'a> {
    request: &'a Request<'a>,
    facts: &'a Facts<'a>,
    policies: Vec<&'a ControlPolicy>,
    session: Result<&'a ControlSession, String>,
}

impl<'a> Case<'a> {
    fn new(request: &'a Request<'a>, facts: &'a Facts<'a>) -> Self {
        let mut policies: Vec<_> = facts.policies.iter().collect();
        policies.sort_by_key(|p| p.name());
        let session = if request.session.is_empty() {
            Err(format!("no ControlSession is in force for WicapStack {}", quoted(request.stack.name())))
        } else {
            let found = facts.sessions.iter().find(|s| s.name() == request.session);
            found.ok_or_else(|| format!("there is no ControlSession {}", quoted(request.session)))
        };
        Self { request, facts, policies, session }
    }

    fn emergency_stop(&self) -> Verdict {
        let holds = |s: &&EmergencyStop| s.name() == stop::ALL || s.name() == self.request.stack.name();
        match self.facts.stops.iter().filter(holds).min_by_key(|s| s.name()) {
            None => Ok("no EmergencyStop holds".to_owned()),
            Some(s) => Err(format!(
                "EmergencyStop {} holds: {} by {}",
                quoted(s.name()),
                quoted(&s.spec.reason),
                quoted(&s.spec.by)
            )),
        }
    }

    fn session(&self) -> Verdict {
        let session = self.session.clone()?;
        let name = format!("ControlSession {}", quoted(session.name()));
        let status = session.status.clone().unwrap_or_default();
        if session.spec.stack != self.request.stack.name() {
            return Err(format!("{name} spec.stack is {}, not this one", quoted(&session.spec.stack)));
        }
        if session.metadata.deletion_timestamp.is_some() {
            return Err(format!("{name} metadata.deletionTimestamp is set: it is being deleted"));
        }
        if session.spec.end {
            return Err(format!("{name} spec.end: it was ended"));
        }
        if !session.in_force(self.facts.now) {
            return Err(match (status.phase, status.expires_at) {
                (SessionPhase::Active, Some(at)) => format!("{name} status.expiresAt: it ran out at {at}"),
                (phase, _) => format!("{name} status.phase is {phase:?}"),
            });
        }
        match session.spec.mode {
            Mode::Assist => Ok(format!("{name} spec.mode is Assist")),
            Mode::Monitor => Err(format!("{name} spec.mode is Monitor: it observes only")),
        }
    }

    fn runtime_plane(&self) -> Verdict {
        let host = &self.request.stack.spec.host;
        let directory = self.request.stack.spec.compose.directory.as_str();
        let path = match self.facts.directory {
            Some(Err(why)) => {
                return Err(format!("spec.compose.directory {} could not be resolved: {}", quoted(directory), quoted(why)));
            }
            Some(Ok(path)) => path,
            None => Path::new(directory),
        };
        let shown = quoted(&path.to_string_lossy());
        for policy in &self.policies {
            let name = format!("ControlPolicy {}", quoted(policy.name()));
            if !policy.spec.hosts.iter().any(|h| rules::text_matches(h, host) == Some(true)) {
                return Err(format!("{name} spec.hosts has no match for spec.host {}", quoted(host)));
            }
            if !policy.spec.allowed_roots.iter().any(|root| self.holds(root, path)) {
                return Err(format!("{name} spec.allowedRoots has none that holds {shown}"));
            }
        }
        Ok(match self.policies.len() {
            0 => "no ControlPolicy says where".to_owned(),
            n => format!("spec.hosts and spec.allowedRoots of all {n} ControlPolicies hold {} and {shown}", quoted(host)),
        })
    }

    /// Whether the path lies in the allowed root, component by component: as resolved where that is known, else as written.
    fn holds(&self, root: &str, path: &Path) -> bool {
        let normal = is_directory(root) && path.to_str().is_some_and(is_directory);
        normal
            && match self.facts.directory {
                Some(_) => self.facts.roots.iter().any(|(written, resolved)| written == root && path.starts_with(resolved)),
                None => path.starts_with(root),
            }
    }

    fn tool_policy(&self) -> Verdict {
        let Request { stack, action, target, .. } = *self.request;
        let what = if target.is_empty() { format!("{action} on the whole stack") } else { format!("{action} on {target}") };
        let targets = self.touched()?;
        for policy in &self.policies {
            if let Some(i) = policy.spec.deny.iter().position(|r| rules::denies(r, action, &targets, stack.name())) {
                return Err(format!("ControlPolicy {} spec.deny[{i}] denies {what}", quoted(policy.name())));
            }
        }
        if self.policies.is_empty() {
            return Err(format!("there is no ControlPolicy, and so nothing allows {what}"));
        }
        for policy in &self.policies {
            if !policy.spec.allow.iter().any(|r| rules::allows(r, action, target, stack.name())) {
                return Err(format!("ControlPolicy {} spec.allow has no rule for {what}", quoted(policy.name())));
            }
        }
        let session = self.session.clone()?;
        let name = quoted(session.name());
        if !session.spec.allowed_actions.contains(&action) {
            return Err(format!("ControlSession {name} spec.allowedActions does not list {action}"));
        }
        Ok(format!("{what} is allowed by all {} ControlPolicies and ControlSession {name}", self.policies.len()))
    }

    /// The targets a deny rule may name: the one asked for, or the whole stack and every service in it that is touched.
    fn touched(&self) -> Result<Vec<&'a str>, String> {
        let Request { stack, action, target, .. } = *self.request;
        let name = format!("WicapStack {}", quoted(stack.name()));
        if !target.is_empty() {
            if !action.can_target_service() {
                return Err(format!("{action} acts on the whole stack, not on {}", quoted(target)));
            }
            let service = stack.spec.service(target);
            let service = service.ok_or_else(|| format!("{name} spec.services does not list {}", quoted(target)))?;
            if !service.managed {
                return Err(format!("{name} spec.services {}: managed is false", quoted(target)));
            }
            return Ok(vec![target]);
        }
        if !action.can_target_stack() {
            return Err(format!("{action} acts on one service, and none is named"));
        }
        // `compose_down` takes the whole project away: it cannot spare a service that is never to be touched.
        let spared = stack.spec.services.iter().find(|s| !s.managed);
        if let Some(service) = spared.filter(|_| action == ActionKind::ComposeDown) {
            return Err(format!(
                "{name} spec.services {}: managed is false, and {action} touches it",
                quoted(&service.name)
            ));
        }
        let managed: Vec<_> = stack.spec.services.iter().filter(|s| s.managed).map(|s| s.name.as_str()).collect();
        if managed.is_empty() {
            return Err(format!("{name} spec.services has none that is managed"));
        }
        Ok([""].into_iter().chain(managed).collect())
    }

    fn tier(&self) -> Verdict {
        let session = self.session.clone()?;
        let (tier, most) = (self.request.action.tier(), session.spec.max_tier);
        let says = format!("ControlSession {} spec.maxTier is {most:?}", quoted(session.name()));
        let verdict = format!("{says}, {} is {tier:?}", self.request.action);
        if tier <= most { Ok(verdict) } else { Err(verdict) }
    }

    /// Claims in the window, oldest first, and what is asked for and will be claimed, when planning.
    fn used(&self, session: &ControlSession, window: Duration) -> (Vec<Time>, usize) {
        let now = self.facts.now;
        let recent = session.status.iter().flat_map(|s| &s.usage.recent);
        let mut recent: Vec<Time> = recent.copied().filter(|t| elapsed(*t, now) < window).collect();
        recent.sort_unstable();
        let asked = self.others().filter(|a| a.spec.session == session.name() && phase(a) == ActionPhase::Pending);
        let asked = if self.request.planning { asked.count() } else { 0 };
        (recent, asked)
    }

    fn budget(&self) -> Verdict {
        let session = self.session.clone()?;
        let name = quoted(session.name());
        let Some(budget) = &session.spec.budget else {
            return Ok(format!("ControlSession {name} spec.budget is not set"));
        };
        let (recent, asked) = self.used(session, budget.window.to_std());
        let used = recent.len() + asked;
        let verdict =
            format!("ControlSession {name} spec.budget: {used} of {} actions used in {}", budget.max_actions, budget.window);
        if used < budget.max_actions as usize { Ok(verdict) } else { Err(verdict) }
    }

    fn budget_frees_at(&self) -> Option<Time> {
        let session = self.session.as_ref().ok()?;
        let budget = session.spec.budget.as_ref()?;
        let window = budget.window.to_std();
        let (recent, asked) = self.used(session, window);
        let over = (recent.len() + asked + 1).checked_sub(budget.max_actions as usize)?;
        recent.get(over.checked_sub(1)?).map(|t| after(*t, window))
    }

    /// The latest end of a cooldown, with the policy that says it and the claim it counts from.
    fn cooldown_end(&self) -> Option<(Time, &'a ControlPolicy, Time)> {
        let Request { action, target, .. } = *self.request;
        let same = self.others().filter(|a| a.spec.action == action && a.spec.target == target);
        let last = same.filter_map(|a| a.status.as_ref()?.started_at).max()?;
        let ends = self.policies.iter().filter_map(|p| {
            let cooldown = p.spec.cooldowns.get(&action)?;
            Some((after(last, cooldown.to_std()), *p, last))
        });
        ends.reduce(|a, b| if b.0 > a.0 { b } else { a })
    }

    fn cooldown(&self) -> Verdict {
        let action = self.request.action;
        match self.cooldown_end() {
            Some((end, policy, last)) if self.facts.now < end => Err(format!(
                "ControlPolicy {} spec.cooldowns.{action}: last claimed at {last}, again from {end}",
                quoted(policy.name())
            )),
            Some((end, ..)) => Ok(format!("every spec.cooldowns.{action} was over at {end}")),
            None => Ok(format!("no spec.cooldowns.{action} applies")),
        }
    }

    /// Every action of the stack but the one that is being claimed.
    fn others(&self) -> impl Iterator<Item = &'a ActionRun> {
        let (stack, run) = (self.request.stack.name(), self.request.run);
        self.facts.actions.iter().filter(move |a| a.spec.stack == stack && Some(a.name()) != run)
    }

    fn precondition(&self) -> Verdict {
        let Request { stack, action, target, planning, .. } = *self.request;
        if stack.metadata.deletion_timestamp.is_some() {
            return Err(format!(
                "WicapStack {} metadata.deletionTimestamp is set: it is being deleted",
                quoted(stack.name())
            ));
        }
        if !action.changes() {
            return Ok(format!("{action} changes nothing"));
        }
        let busy: Vec<_> = self.others().filter(|a| in_flight(a, planning)).collect();
        let meets = |a: &&&ActionRun| target.is_empty() || a.spec.target.is_empty() || a.spec.target == target;
        if let Some(run) = busy.iter().filter(meets).min_by_key(|a| a.name()) {
            return Err(format!("ActionRun {} is {:?} and touches the same service", quoted(run.name()), phase(run)));
        }
        let most = stack.spec.defaults.max_concurrent;
        let verdict = format!("{} of spec.defaults.maxConcurrent {most} changing actions are under way", busy.len());
        if busy.len() < most as usize { Ok(verdict) } else { Err(verdict) }
    }
}

#[cfg(test)]
mod tests;
