//! When a Canary session is over.

use crate::api::Object;
use crate::api::action::{ActionPhase, ActionRun};
use crate::api::session::{ControlSession, Mode};
use crate::api::stack::{ServiceState, WicapStack};
use crate::plan::authorise::in_flight;

/// The rule that counts claims, by the name of its field.
const MAX_ACTIONS: &str = "maxActions";

/// The stop rule of a Canary session that is met, by the name of its field, and how. None in any other mode.
#[must_use]
pub fn tripped(
    session: &ControlSession,
    stack: Option<&WicapStack>,
    actions: &[ActionRun],
) -> Option<(&'static str, String)> {
    let canary = session.spec.canary.as_ref().filter(|_| session.spec.mode == Mode::Canary)?;
    let rules = &canary.stop_rules;
    let status = session.status.as_ref();
    let claimed = status.map_or(0, |s| s.usage.actions);
    if let Some(most) = rules.max_actions.filter(|most| claimed >= *most) {
        return Some((MAX_ACTIONS, format!("{claimed} of {most} actions were claimed")));
    }
    // What was never claimed, since its cause was gone by then, has done nothing.
    let failed = |a: &&ActionRun| {
        let failed = a.status.as_ref().is_some_and(|s| s.phase == ActionPhase::Failed && s.started_at.is_some());
        a.spec.session == session.name() && a.spec.stack == session.spec.stack && failed
    };
    let failures = actions.iter().filter(failed).count();
    if let Some(most) = rules.max_failures.filter(|most| failures >= *most as usize) {
        return Some(("maxFailures", format!("{failures} of {most} actions failed")));
    }
    let began = status.and_then(|s| s.started_at)?;
    let stack = stack.filter(|_| rules.critical_unhealthy)?;
    let observed = stack.status.iter().flat_map(|s| &s.services);
    let sick = observed.filter(|s| {
        let critical = stack.spec.service(&s.name).is_some_and(|spec| spec.critical);
        let state = matches!(s.state, ServiceState::Unhealthy | ServiceState::Restarting | ServiceState::Dead);
        critical && state && s.since.is_some_and(|since| since >= began)
    });
    let sick = sick.min_by_key(|s| s.name.as_str())?;
    Some(("criticalUnhealthy", format!("{} has become {:?}", sick.name, sick.state)))
}

/// Whether, and by which rule, the session is to end now. Its last action is let end first, and judged.
#[must_use]
pub fn ends(session: &ControlSession, stack: Option<&WicapStack>, actions: &[ActionRun]) -> Option<String> {
    let (rule, why) = tripped(session, stack, actions)?;
    let running = |a: &ActionRun| a.spec.session == session.name() && in_flight(a, false);
    if rule == MAX_ACTIONS && actions.iter().any(running) {
        return None;
    }
    Some(format!("spec.canary.stopRules.{rule}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::action::ActionKind;
    use crate::api::session::{Canary, StopRules};
    use crate::plan::fixtures::{action, at, service, session, stack};

    fn canary(stop_rules: StopRules) -> ControlSession {
        let mut canary = session("night");
        canary.spec.mode = Mode::Canary;
        canary.spec.canary = Some(Canary { actions: ActionKind::ALL.to_vec(), stop_rules });
        canary
    }

    #[test]
    fn the_last_action_of_a_number_is_claimed_and_none_after_it() {
        let mut session = canary(StopRules { max_actions: Some(2), ..StopRules::default() });
        for (claimed, over) in [(0, false), (1, false), (2, true), (3, true)] {
            session.status.as_mut().unwrap().usage.actions = claimed;
            assert_eq!(tripped(&session, None, &[]).is_some(), over, "{claimed}");
        }
        session.spec.mode = Mode::Assist;
        assert_eq!(tripped(&session, None, &[]), None);
    }

    #[test]
    fn the_last_action_is_let_end_first() {
        let mut session = canary(StopRules { max_actions: Some(1), ..StopRules::default() });
        session.status.as_mut().unwrap().usage.actions = 1;
        let last = |phase| [action("a", ActionKind::RestartService, "ui", phase)];
        assert_eq!(ends(&session, None, &last(ActionPhase::Running)), None);
        let over = ends(&session, None, &last(ActionPhase::Succeeded));
        assert_eq!(over.as_deref(), Some("spec.canary.stopRules.maxActions: 1 of 1 actions were claimed"));
    }

    #[test]
    fn only_the_sessions_own_failures_count() {
        let session = canary(StopRules { max_failures: Some(2), ..StopRules::default() });
        let ended = |name, phase| {
            let mut ended = action(name, ActionKind::RestartService, "ui", phase);
            ended.status.as_mut().unwrap().started_at = Some(at(1000));
            ended
        };
        let mut actions =
            vec![ended("a", ActionPhase::Failed), ended("b", ActionPhase::Failed), ended("c", ActionPhase::Denied)];
        assert_eq!(tripped(&session, None, &actions), Some(("maxFailures", "2 of 2 actions failed".to_owned())));
        actions[1].spec.session = "another".to_owned();
        assert_eq!(tripped(&session, None, &actions), None);
        actions[1].spec.session = "night".to_owned();
        actions[1].status.as_mut().unwrap().started_at = None;
        assert_eq!(tripped(&session, None, &actions), None, "its cause was gone before it was claimed");
    }

    #[test]
    fn a_critical_service_that_falls_ill_ends_it_and_one_that_was_ill_before_does_not() {
        let mut session = canary(StopRules { critical_unhealthy: true, ..StopRules::default() });
        session.status.as_mut().unwrap().started_at = Some(at(1000));
        let mut stack = stack(&[("ui", ServiceState::Unhealthy), ("scout", ServiceState::Dead)]);
        stack.spec.services[1].critical = false;
        service(&mut stack, "scout").since = Some(at(2000));
        assert_eq!(tripped(&session, Some(&stack), &[]), None, "it was so before");
        service(&mut stack, "ui").since = Some(at(1000));
        assert_eq!(tripped(&session, Some(&stack), &[]).map(|(rule, _)| rule), Some("criticalUnhealthy"));
        service(&mut stack, "ui").state = ServiceState::Exited;
        assert_eq!(tripped(&session, Some(&stack), &[]), None, "that is what it is to mend");
    }
}
