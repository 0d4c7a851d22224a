//! What is claimed, by an operator or a soak run.

use super::*;
use crate::api::stack::Maintenance;
use crate::plan::fixtures::soak;

fn claim(until: i64, services: &[&str]) -> Maintenance {
    let services = services.iter().map(|s| (*s).to_owned()).collect();
    Maintenance { until: at(until), reason: "new disk".into(), services }
}

#[test]
fn what_is_under_maintenance_is_no_drift_until_exactly_then() {
    let by_operator = |w: &mut World| w.stack.spec.maintenance = Some(claim(60_000, &[]));
    let by_soak = |w: &mut World| w.soaks = vec![soak(claim(60_000, &[])), soak(claim(1000, &[]))];
    for change in [&by_operator as &dyn Fn(&mut World), &by_soak] {
        let mut w = World::with(&[("ui", S::Exited)], change);
        let plan = w.step(59_999, ActionPhase::Failed);
        assert_eq!((plan.drift.len(), plan.notes.len(), plan.proposals.len()), (0, 0, 0));
        assert_eq!(plan.planned_action.as_deref(), Some("maintenance until 2026-01-01T00:01:00Z: new disk"));
        assert_eq!(plan.next, Some(at(60_000)));
        assert_eq!(asked(&w.step(60_000, ActionPhase::Failed)), ["start_service ui"]);
    }
}

#[test]
fn maintenance_of_a_stack_that_is_well_is_not_mentioned() {
    let mut w = World::with(&[("ui", S::Running)], |w| w.stack.spec.maintenance = Some(claim(60_000, &[])));
    assert_eq!(w.plan(0), Plan::default());
}

#[test]
fn only_what_is_claimed_is_left_alone_and_what_depends_on_it_waits() {
    let mut w = World::with(&[("ui", S::Exited), ("redis", S::Exited), ("scout", S::Exited)], |w| {
        w.stack.spec.services[0].depends_on = vec!["redis".into()];
        w.stack.spec.maintenance = Some(claim(60_000, &["redis"]));
    });
    let plan = w.step(5000, ActionPhase::Failed);
    assert_eq!(asked(&plan), ["start_service scout"]);
    assert_eq!(plan.drift.iter().map(|d| d.service.as_str()).collect::<Vec<_>>(), ["ui", "scout"]);
    service(&mut w.stack, "redis").state = S::Running;
    assert_eq!(asked(&w.plan(6000)), ["start_service ui"]);
}

#[test]
fn counters_stand_still_meanwhile() {
    let mut w = World::with(&[("ui", S::Exited)], |w| {
        w.stack.spec.defaults.recovery.ladder[1].after_observations = 9;
    });
    let before = w.step(5000, ActionPhase::Failed).recovery;
    w.stack.spec.maintenance = Some(claim(3_600_000, &[]));
    for (now, state) in [(10_000, S::Exited), (20_000, S::Running), (2_000_000, S::Running), (3_599_999, S::Exited)] {
        service(&mut w.stack, "ui").state = state;
        assert_eq!(w.step(now, ActionPhase::Failed).recovery, before, "{now}");
    }
}

#[test]
fn an_acknowledgement_meanwhile_has_its_effect_afterwards() {
    let mut w = World::with(&[("ui", S::Exited)], |w| w.stack.spec.defaults.recovery.ladder.clear());
    w.step(5000, ActionPhase::Failed);
    w.step(6000, ActionPhase::Failed);
    w.incidents[0].spec.acknowledged = true;
    w.stack.spec.maintenance = Some(claim(60_000, &[]));
    let plan = w.step(10_000, ActionPhase::Failed);
    assert_eq!((plan.followed.len(), plan.recovery[0].episode), (0, 1));
    let plan = w.step(60_000, ActionPhase::Failed);
    assert_eq!((plan.followed.len(), plan.recovery[0].episode), (1, 2));
}

#[test]
fn an_action_that_would_touch_what_is_claimed_waits() {
    let mut w = World::with(&[("ui", S::Missing), ("redis", S::Running)], |w| {
        let up = LadderStep { services: vec!["redis".into(), "ui".into()], ..LadderStep::new(ActionKind::ComposeUp, 1) };
        w.stack.spec.defaults.recovery.ladder = vec![up];
        w.stack.spec.maintenance = Some(claim(60_000, &["redis"]));
    });
    let plan = w.plan(5000);
    assert_eq!((plan.proposals.len(), plan.next), (0, Some(at(60_000))));
    assert!(plan.planned_action.unwrap().starts_with("compose_up ui (waits for redis: maintenance until "));
    assert_eq!(asked(&w.plan(60_000)), ["compose_up ui"]);
}
