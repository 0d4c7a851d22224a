//! The next step of a service's ladder, among those that the policies allow.

use super::Pass;
use crate::api::Object;
use crate::api::stack::{Drift, RecoveryState};
use crate::plan::authorise::{Request, TOOL_POLICY, authorise};
use crate::plan::episode::WHOLE_STACK;
use crate::plan::ladder::{self, Rung};

impl<'a> Pass<'a> {
    /// The next step of the service's ladder, or of its rollback: the smallest that the policies allow. A step that they deny is passed over.
    /// When they allow none of them it is the next one all the same, so that it is told what is in the way; when those that they allow
    /// have been tried, there is none.
    pub(super) fn rung(&self, drift: &Drift, state: &RecoveryState) -> Option<Rung<'a>> {
        let recovery = self.recovery_of(&drift.service);
        let first = ladder::next(recovery, drift.kind, state)?;
        let mut rung = first;
        while rung.declared.is_some() && !rung.rollback && self.is_refused(&drift.service, rung) {
            let past = RecoveryState { step: rung.step.saturating_add(1), attempts: 0, ..state.clone() };
            let next = ladder::next(recovery, drift.kind, &past);
            if let Some(step) = next.filter(|step| !step.rollback) {
                rung = step;
                continue;
            }
            // The end of the ladder. The rollback comes when the ladder has not helped, and not because nobody may climb it.
            let is_tried = state.total > 0 && self.allows_a_step(drift);
            return if is_tried { next } else { Some(first) };
        }
        Some(rung)
    }

    /// Whether the policies allow a step of the service's ladder, tried or not.
    fn allows_a_step(&self, drift: &Drift) -> bool {
        let mut past = RecoveryState::default();
        while let Some(rung) = ladder::next(self.recovery_of(&drift.service), drift.kind, &past) {
            if rung.declared.is_none() || rung.rollback {
                return false;
            }
            if !self.is_refused(&drift.service, rung) {
                return true;
            }
            past.step = rung.step.saturating_add(1);
        }
        false
    }

    /// Whether the policies, or the session's list of actions, are what denies a step.
    fn is_refused(&self, service: &str, rung: Rung<'_>) -> bool {
        let decision = authorise(&self.request(service, &rung), &self.facts());
        decision.trace.iter().find(|v| !v.allowed).is_some_and(|denied| denied.gate == TOOL_POLICY)
    }

    /// What is asked of the gates for a step.
    pub(super) fn request<'r>(&self, service: &'r str, rung: &'r Rung<'_>) -> Request<'r>
    where
        'a: 'r,
    {
        let target = if rung.action.takes_down() { WHOLE_STACK } else { service };
        Request {
            stack: self.inputs.stack,
            action: rung.action,
            target,
            services: rung.services(),
            session: self.session.map_or("", |s| s.name()),
            run: None,
            planning: true,
        }
    }
}
