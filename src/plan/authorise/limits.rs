//! The gates that ask whether it is permitted now.

use std::time::Duration;

use super::{Case, Request, Said, Verdict, digest, in_flight, phase, touches};
use crate::api::action::{ActionPhase, ActionRun};
use crate::api::approval::{Approval, ApprovalVerdict};
use crate::api::policy::ControlPolicy;
use crate::api::session::{ApprovalMode, Budget, ControlSession};
use crate::api::validate::quoted;
use crate::api::{Object, Time, after, elapsed};

/// Claims that still count against a budget, oldest first, and what is asked for and will count.
struct Used {
    claims: Vec<Time>,
    asked: usize,
}

impl Used {
    fn count(&self) -> usize {
        self.claims.len() + self.asked
    }

    fn exhausts(&self, budget: &Budget) -> bool {
        self.count() >= budget.max_actions as usize
    }

    /// When one more fits, if the passing of claims alone makes room for it.
    fn frees_at(&self, budget: &Budget) -> Option<Time> {
        let over = (self.count() + 1).checked_sub(budget.max_actions as usize)?;
        self.claims.get(over.checked_sub(1)?).map(|claim| after(*claim, budget.window.to_std()))
    }
}

impl<'a> Case<'a> {
    /// Whether a person has to agree; None when nothing is asked of the session.
    pub(super) fn asks(&self) -> Option<ApprovalMode> {
        let session = self.session.as_ref().ok()?;
        Some(if self.is_shadow() { ApprovalMode::Auto } else { session.spec.approval.of(self.request.action.tier()) })
    }

    /// The answer that bears the name of the ActionRun.
    pub(super) fn answer(&self) -> Option<&'a Approval> {
        self.facts.approvals.iter().find(|a| Some(a.name()) == self.request.run)
    }

    pub(super) fn approval(&self) -> Verdict {
        let session = self.session.clone()?;
        let tier = self.request.action.tier();
        let field = format!("spec.approval.{}", format!("{tier:?}").to_lowercase());
        // A no is a no, also where nobody was asked.
        if let Some(answer) = self.answer().filter(|answer| answer.spec.verdict == ApprovalVerdict::Deny) {
            return self.judge(answer, session);
        }
        if self.asks() != Some(ApprovalMode::Ask) {
            return Ok(match (self.is_shadow(), self.request.action.changes()) {
                (true, _) => Said::nothing("nobody is asked about what is not done"),
                (false, false) => Said::nothing("nobody is asked about what changes nothing"),
                (false, true) => Said::of(session, field, " is Auto"),
            });
        }
        if self.request.planning {
            return Ok(Said::of(session, field, " is Ask: it will wait for an Approval"));
        }
        let Some(answer) = self.answer() else {
            if let (Some(run), Some(deadline)) = (self.run(), self.deadline_passed()) {
                let late = Said::of(run, "status.approvalDeadline", format!(": nobody had agreed by {deadline}"));
                return Err(late.fix("have it asked for again, and agree in time"));
            }
            let fix = self.request.run.map_or_else(
                || "have it asked for, and agree to it: wicapctl approve".to_owned(),
                |run| format!("wicapctl approve {run}"),
            );
            return Err(Said::of(session, field, " is Ask, and nobody has agreed").fix(fix));
        };
        self.judge(answer, session)
    }

    /// The deadline for an answer to the ActionRun, once it is over.
    pub(super) fn deadline_passed(&self) -> Option<Time> {
        let deadline = self.run()?.status.as_ref()?.approval_deadline?;
        (self.facts.now >= deadline).then_some(deadline)
    }

    fn judge(&self, answer: &Approval, session: &ControlSession) -> Verdict {
        let by = quoted(&answer.spec.by);
        let again = "have it asked for again, and agree to that";
        if answer.spec.verdict == ApprovalVerdict::Deny {
            let why = answer.spec.reason.as_ref().map(|why| format!(": {}", quoted(why))).unwrap_or_default();
            return Err(Said::of(answer, "spec.verdict", format!(" is Deny, by {by}{why}")).fix(again));
        }
        if answer.metadata.deletion_timestamp.is_some() {
            return Err(Said::of(answer, "metadata.deletionTimestamp", " is set: it was taken back").fix(again));
        }
        if self.facts.now >= answer.spec.expires {
            return Err(Said::of(answer, "spec.expires", format!(": it ran out at {}", answer.spec.expires)).fix(again));
        }
        if session.spec.approval.require_other && answer.spec.by == session.spec.operator {
            let how = format!(" is {by}, who opened ControlSession {}, and requireOther is set", quoted(session.name()));
            return Err(Said::of(answer, "spec.by", how).fix("have somebody else agree"));
        }
        // Without the request there is nothing that could have been agreed to.
        if self.run().is_none_or(|run| digest(run, self.request.stack) != answer.spec.digest) {
            let how = " is that of another request: the action or the stack has changed since";
            return Err(Said::of(answer, "spec.digest", how).fix(again));
        }
        Ok(Said::of(answer, "spec.verdict", format!(" is Approve, by {by}")))
    }

    /// Claims in the session's window, and what is asked for in its name, when planning.
    fn used_of_session(&self, session: &ControlSession, window: Duration) -> Used {
        let now = self.facts.now;
        let recent = session.status.iter().flat_map(|s| &s.usage.recent);
        let mut claims: Vec<Time> = recent.copied().filter(|t| elapsed(*t, now) < window).collect();
        claims.sort_unstable();
        let asked = self.others().filter(|a| a.spec.session == session.name() && phase(a).is_asked());
        Used { claims, asked: if self.request.planning { asked.count() } else { 0 } }
    }

    /// The same of all that changes the stack, in whose name ever.
    fn used_of_stack(&self, window: Duration) -> Used {
        let now = self.facts.now;
        let changing = || self.others().filter(|a| a.spec.action.changes() && !a.spec.dry_run);
        let mut claims: Vec<Time> =
            changing().filter_map(|a| a.status.as_ref()?.started_at).filter(|t| elapsed(*t, now) < window).collect();
        claims.sort_unstable();
        let asked = changing().filter(|a| phase(a).is_asked());
        Used { claims, asked: if self.request.planning { asked.count() } else { 0 } }
    }

    /// Every budget that the request counts against, with what is used of it: the session's first.
    fn budgets(&self) -> Vec<(Said, &'a Budget, Used)> {
        let says = |used: &Used, budget: &Budget| {
            format!(": {} of {} actions used in {}", used.count(), budget.max_actions, budget.window)
        };
        let session = self.session.as_ref().ok().and_then(|session| {
            let budget = session.spec.budget.as_ref()?;
            let used = self.used_of_session(session, budget.window.to_std());
            Some((Said::of(*session, "spec.budget", says(&used, budget)), budget, used))
        });
        let policies = self.policies.iter().filter(|_| self.request.action.changes()).filter_map(|policy| {
            let budget = policy.spec.budget.as_ref()?;
            let used = self.used_of_stack(budget.window.to_std());
            Some((Said::of(*policy, "spec.budget", says(&used, budget)), budget, used))
        });
        session.into_iter().chain(policies).collect()
    }

    pub(super) fn budget(&self) -> Verdict {
        let session = self.session.clone()?;
        let budgets = self.budgets();
        if let Some((says, budget, used)) = budgets.iter().find(|(_, budget, used)| used.exhausts(budget)) {
            let allow = "allow more".to_owned();
            let fix = used.frees_at(budget).map_or(allow, |at| format!("wait until {at}, or allow more"));
            return Err(says.clone().fix(fix));
        }
        let none = || Said::of(session, "spec.budget", " is not set, nor is any policy's");
        Ok(budgets.into_iter().next().map_or_else(none, |(says, ..)| says))
    }

    /// When time alone opens what only time can open.
    pub(super) fn opens_at(&self) -> Option<Time> {
        let cooldown = self.cooldown_end().map(|(end, ..)| end).filter(|end| self.facts.now < *end);
        let budgets = self.budgets().into_iter().filter_map(|(_, budget, used)| used.frees_at(budget)).max();
        cooldown.max(budgets)
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

    pub(super) fn cooldown(&self) -> Verdict {
        let action = self.request.action;
        match self.cooldown_end() {
            Some((end, policy, last)) if self.facts.now < end => {
                let how = format!(": last claimed at {last}, again from {end}");
                Err(Said::of(policy, format!("spec.cooldowns.{action}"), how).fix(format!("wait until {end}")))
            }
            Some((end, ..)) => Ok(Said::nothing(format!("every spec.cooldowns.{action} was over at {end}"))),
            None => Ok(Said::nothing(format!("no spec.cooldowns.{action} applies"))),
        }
    }

    pub(super) fn precondition(&self) -> Verdict {
        let Request { stack, action, target, services, planning, .. } = *self.request;
        if stack.metadata.deletion_timestamp.is_some() {
            let fix = "apply the stack again when it is gone";
            return Err(Said::of(stack, "metadata.deletionTimestamp", " is set: it is being deleted").fix(fix));
        }
        if !action.changes() {
            return Ok(Said::nothing(format!("{action} changes nothing")));
        }
        if action.targets_job() {
            return self.no_other_run_of_the_job();
        }
        let busy: Vec<_> = self.others().filter(|a| in_flight(a, planning)).collect();
        let meets = |a: &&&ActionRun| touches(a, target) || services.iter().any(|s| touches(a, s));
        if let Some(run) = busy.iter().filter(meets).min_by_key(|a| a.name()) {
            let how = format!(" is {:?} and touches the same service", phase(run));
            return Err(Said::of(*run, "status.phase", how).fix("wait until it has ended"));
        }
        let most = stack.spec.defaults.max_concurrent;
        let how = format!(" {most}: {} changing actions are under way", busy.len());
        let verdict = Said::of(stack, "spec.defaults.maxConcurrent", how);
        if busy.len() < most as usize { Ok(verdict) } else { Err(verdict.fix("wait until one of them has ended")) }
    }

    /// A job changes no service, and so waits for nothing but its own other runs.
    fn no_other_run_of_the_job(&self) -> Verdict {
        let Request { action, target, .. } = *self.request;
        let same = |a: &&ActionRun| a.spec.action == action && a.spec.target == target && !a.spec.dry_run;
        let running = self.others().filter(same).filter(|a| phase(a) == ActionPhase::Running);
        match running.min_by_key(|a| a.name()) {
            Some(run) => {
                let how = " is Running, and is the same job".to_owned();
                Err(Said::of(run, "status.phase", how).fix("wait until it has ended"))
            }
            None => Ok(Said::nothing(format!("the job {} is not running", quoted(target)))),
        }
    }
}
