//! Steps that wait, and the kinds of drift that are not about a state alone.

use super::*;

/// A stack whose ladder waits for observations: a check after three of them, a restart after five, twice at most, then an up of both.
fn counting() -> World {
    World::with(&[("ui", S::Exited), ("redis", S::Running)], |w| {
        let recovery = &mut w.stack.spec.defaults.recovery;
        let mut steps = [
            LadderStep::new(ActionKind::StatusCheck, 1),
            LadderStep::new(ActionKind::RestartService, 1),
            LadderStep::new(ActionKind::ComposeUp, 1),
        ];
        (steps[0].after_observations, steps[1].after_observations) = (3, 5);
        steps[2].services = vec!["redis".into(), "ui".into()];
        steps[2].timeout = Some(seconds(90));
        recovery.ladder = steps.into();
        (recovery.hold_off, recovery.backoff) = (seconds(0), Backoff { initial: seconds(0), max: seconds(0) });
    })
}

#[test]
fn a_step_that_is_not_due_is_waited_for_and_not_passed_over() {
    let mut w = counting();
    let taken: Vec<_> = (0..8).map(|n| asked(&w.step(n * 10_000, ActionPhase::Failed))).collect();
    let expected = ["", "", "status_check ui", "", "restart_service ui", "compose_up ui", "", ""];
    assert_eq!(taken.iter().map(|a| a.join(",")).collect::<Vec<_>>(), expected);
    let up = w.actions.iter().find(|a| a.spec.action == ActionKind::ComposeUp).unwrap();
    assert_eq!((up.spec.params.services.join(" ").as_str(), up.spec.timeout), ("redis ui", Some(seconds(90))));
    assert_eq!(w.plan(80_000).escalated, ["ui"]);
}

#[test]
fn what_a_step_waits_for_is_said() {
    let mut w = counting();
    let plan = w.step(0, ActionPhase::Failed);
    assert_eq!(plan.planned_action.as_deref(), Some("status_check ui (found in drift 1 of 3 times)"));
    w.stack.spec.defaults.recovery.ladder[0].after = Some(seconds(60));
    let plan = w.plan(10_000);
    assert_eq!(plan.planned_action.as_deref(), Some("status_check ui (from 2026-01-01T00:01:00Z on)"));
    assert_eq!(plan.next, Some(at(60_000)));
}

#[test]
fn an_up_of_several_waits_while_one_of_them_cannot_be_seen() {
    let mut w = counting();
    w.stack.spec.defaults.recovery.ladder.drain(..2);
    service(&mut w.stack, "redis").state = S::Unknown;
    let plan = w.plan(0);
    assert_eq!((asked(&plan).len(), plan.planned_action.as_deref()), (0, Some("compose_up ui (waits for redis: Unknown)")));
}

#[test]
fn an_up_of_several_is_a_hand_on_each_of_them() {
    let mut w = counting();
    w.stack.spec.defaults.recovery.ladder.drain(..2);
    w.stack.spec.defaults.max_concurrent = 9;
    assert_eq!(asked(&w.step(0, ActionPhase::Running)), ["compose_up ui"]);
    service(&mut w.stack, "redis").state = S::Exited;
    let plan = w.plan(10_000);
    assert_eq!((asked(&plan).len(), plan.planned_action.as_deref()), (0, Some("compose_up ui")));
}

#[test]
fn a_service_that_flaps_is_escalated_at_once_and_nothing_is_done_for_it() {
    for state in [S::Running, S::Starting, S::Exited, S::Missing] {
        let mut w = World::new(&[("ui", state), ("redis", S::Running)]);
        service(&mut w.stack, "ui").starts = (0..10).map(|n| at(n - 10)).collect();
        let plan = w.step(0, ActionPhase::Failed);
        assert_eq!((asked(&plan).len(), plan.escalated.as_slice()), (0, &["ui".to_owned()][..]), "{state:?}");
        assert_eq!(reasons(&plan), [reason::DRIFTED, reason::ESCALATED]);
        for now in [1000, 60_000, 3_500_000] {
            let quiet = w.step(now, ActionPhase::Failed);
            assert_eq!((quiet.proposals.len(), quiet.notes.len(), quiet.escalated.len()), (0, 0, 1), "{state:?} {now}");
        }
    }
}

#[test]
fn the_plan_looks_again_when_a_service_no_longer_flaps() {
    let mut w = World::new(&[("ui", S::Running)]);
    service(&mut w.stack, "ui").starts = (0..10).map(|n| at(n - 3_590_000)).collect();
    let plan = w.step(0, ActionPhase::Failed);
    assert_eq!((plan.drift[0].kind, plan.next), (DriftKind::Flapping, Some(at(10_000))));
    assert!(w.step(10_000, ActionPhase::Failed).drift.is_empty());
    let recovered = w.step(610_000, ActionPhase::Failed);
    assert_eq!((reasons(&recovered), recovered.escalated.len()), (vec![reason::RECOVERED], 0));
}

#[test]
fn a_dependency_that_flaps_is_waited_for_while_it_is_down() {
    let mut w = dependent(S::Exited, S::Running, 0);
    service(&mut w.stack, "redis").starts = (0..10).map(|n| at(n - 10)).collect();
    assert_eq!(asked(&w.plan(5000)), ["start_service ui"]);
    service(&mut w.stack, "redis").state = S::Exited;
    assert_eq!(w.plan(5000).planned_action.as_deref(), Some("start_service ui (waits for redis: Flapping)"));
}

#[test]
fn only_a_new_container_brings_a_service_back_to_its_network() {
    let mut w = World::with(&[("ui", S::Running)], |w| service(&mut w.stack, "ui").missing_networks = vec!["back".into()]);
    let plan = w.step(60_000, ActionPhase::Failed);
    assert_eq!((asked(&plan).len(), plan.drift[0].since), (0, at(60_000)), "it was well until now, however long it runs");
    assert_eq!(asked(&w.plan(64_999)), Vec::<String>::new());
    let plan = w.plan(65_000);
    assert_eq!((asked(&plan), plan.drift[0].kind), (vec!["recreate_service ui".to_owned()], DriftKind::Detached));
    assert_eq!(plan.drift[0].evidence, "it runs without its network back");
}

#[test]
fn a_new_image_is_reported_or_taken_up_as_the_service_says() {
    let mut w = World::with(&[("ui", S::Running)], |w| service(&mut w.stack, "ui").image_drift = Some(true));
    let plan = w.step(0, ActionPhase::Failed);
    assert_eq!((asked(&plan).len(), plan.drift[0].kind), (0, DriftKind::ImageDrift));
    w.stack.spec.defaults.recovery.on_image_drift = OnConfigDrift::Recreate;
    assert_eq!(asked(&w.plan(5000)), ["recreate_service ui"]);
}

#[test]
fn what_serves_is_disturbed_only_while_all_other_critical_services_are_well_and_nothing_is_under_way() {
    let drifted = |w: &mut World| {
        service(&mut w.stack, "ui").config_drift = Some(true);
        w.stack.spec.defaults.recovery.on_config_drift = OnConfigDrift::Recreate;
        w.stack.spec.defaults.max_concurrent = 9;
    };
    let planned = |redis: S, change: fn(&mut World)| {
        let mut w = World::with(&[("ui", S::Running), ("redis", redis)], drifted);
        w.stack.spec.services[1].managed = false;
        change(&mut w);
        w.step(0, ActionPhase::Failed);
        w.plan(5000).planned_action
    };
    assert_eq!(planned(S::Running, |_| {}).as_deref(), Some("recreate_service ui"));
    for (state, why) in [(S::Exited, "NotRunning"), (S::Starting, "Starting"), (S::Unknown, "Unknown")] {
        assert_eq!(planned(state, |_| {}), Some(format!("recreate_service ui (waits for redis: {why})")));
        let spare = |w: &mut World| w.stack.spec.services[1].critical = false;
        assert_eq!(planned(state, spare).as_deref(), Some("recreate_service ui"));
    }
    let busy = |w: &mut World| w.actions = vec![action("x", ActionKind::RestartService, "redis", ActionPhase::Running)];
    assert_eq!(planned(S::Running, busy).as_deref(), Some("recreate_service ui (waits for restart_service redis)"));
}

#[test]
fn services_with_another_configuration_are_created_anew_one_after_the_other() {
    let mut w = World::with(&[("a", S::Running), ("b", S::Running)], |w| {
        w.stack.spec.defaults.recovery.on_config_drift = OnConfigDrift::Recreate;
        w.stack.spec.defaults.max_concurrent = 9;
        for name in ["a", "b"] {
            service(&mut w.stack, name).config_drift = Some(true);
        }
    });
    assert!(asked(&w.step(0, ActionPhase::Running)).is_empty());
    assert_eq!(asked(&w.step(5000, ActionPhase::Running)), ["recreate_service a"]);
    assert!(asked(&w.plan(6000)).is_empty());
    w.actions[0].status.as_mut().unwrap().phase = ActionPhase::Succeeded;
    service(&mut w.stack, "a").config_drift = Some(false);
    assert_eq!(asked(&w.plan(7000)), ["recreate_service b"]);
}

#[test]
fn orphans_are_told_once_and_left_alone() {
    let mut w = World::with(&[("ui", S::Running)], |w| w.stack.status.as_mut().unwrap().orphans = vec!["old".into()]);
    let plan = w.step(0, ActionPhase::Failed);
    assert_eq!((reasons(&plan), plan.proposals.len(), plan.escalated.len()), (vec![reason::DRIFTED], 0, 0));
    assert!(plan.notes[0].message().starts_with("stack Orphans since "));
    assert!(w.step(3_600_000, ActionPhase::Failed).notes.is_empty());
}

#[test]
fn one_that_fails_its_checks_for_want_of_its_network_is_created_anew_and_not_started_again() {
    let mut w = World::with(&[("ui", S::Unhealthy)], |w| service(&mut w.stack, "ui").missing_networks = vec!["back".into()]);
    w.step(0, ActionPhase::Failed);
    let plan = w.step(5000, ActionPhase::Failed);
    assert_eq!((asked(&plan), plan.drift[0].kind), (vec!["recreate_service ui".to_owned()], DriftKind::Detached));
}
