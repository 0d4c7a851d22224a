//! What comes after the end of a ladder: rollback, escalation, incident, acknowledgement.

use super::*;
use crate::api::Object;
use crate::api::incident::IncidentPhase;
use crate::api::stack::Maintenance;

/// `ui` in that state, with one restart as its ladder and no waits.
fn short(state: S) -> World {
    World::with(&[("ui", state)], |w| {
        let recovery = &mut w.stack.spec.defaults.recovery;
        recovery.ladder = vec![LadderStep::new(ActionKind::RestartService, 1)];
        (recovery.hold_off, recovery.backoff) = (seconds(0), Backoff { initial: seconds(0), max: seconds(0) });
    })
}

/// The same, given up at three seconds.
fn given_up() -> World {
    let mut w = short(S::Exited);
    assert_eq!(asked(&w.step(1000, ActionPhase::Failed)), ["restart_service ui"]);
    let plan = w.step(3000, ActionPhase::Failed);
    assert_eq!((plan.escalated.as_slice(), plan.opened.len()), (&["ui".to_owned()][..], 1));
    w
}

#[test]
fn an_escalation_opens_one_incident_with_all_that_was_done() {
    let mut w = given_up();
    let spec = &w.incidents[0].spec;
    assert_eq!(
        (w.incidents[0].name(), spec.kind, spec.episode),
        ("wicap-ui-not-running-0f1e2-1", DriftKind::NotRunning.into(), 1)
    );
    assert_eq!(spec.signature, "NotRunning: its container does not run");
    assert!(w.incidents[0].status.is_none());
    for now in [4000, 60_000, 3_600_000] {
        let plan = w.step(now, ActionPhase::Failed);
        assert_eq!((plan.opened.len(), plan.proposals.len(), plan.followed.len()), (0, 0, usize::from(now == 4000)));
    }
    let status = w.incidents[0].status.as_ref().unwrap();
    assert_eq!((status.phase, status.count, status.first_seen), (IncidentPhase::Escalated, 1, Some(at(0))));
    assert_eq!(status.actions.len(), 1);
    let action = &status.actions[0];
    assert_eq!((action.name.as_str(), action.outcome), ("wicap-ui-restart-service-0f1e2-1-1", ActionPhase::Failed));
}

#[test]
fn another_kind_of_drift_begins_another_episode_and_one_that_was_given_up_stays_quiet() {
    let mut w = given_up();
    let mut see = |state: S, now: i64| {
        service(&mut w.stack, "ui").state = state;
        let plan = w.step(now, ActionPhase::Failed);
        (asked(&plan).join(","), plan.opened.len(), plan.recovery[0].episode, plan.escalated.len())
    };
    assert_eq!(see(S::Unhealthy, 5000), ("restart_service ui".to_owned(), 0, 2, 0));
    assert_eq!(see(S::Exited, 7000), (String::new(), 0, 2, 1), "this one is known");
    assert_eq!(see(S::Unhealthy, 9000), (String::new(), 1, 2, 1));
    assert_eq!(see(S::Exited, 11_000), (String::new(), 0, 2, 1));
    assert_eq!(see(S::Unhealthy, 13_000), (String::new(), 0, 2, 1));
    assert_eq!(see(S::Paused, 15_000), ("restart_service ui".to_owned(), 0, 3, 0));
    assert_eq!(w.stack.status.as_ref().unwrap().recovery[0].exhausted, [DriftKind::NotRunning, DriftKind::Unhealthy]);
}

#[test]
fn what_an_episode_acted_on_is_given_up_with_it() {
    let mut w = short(S::Exited);
    w.step(1000, ActionPhase::Failed);
    service(&mut w.stack, "ui").state = S::Restarting;
    let plan = w.step(3000, ActionPhase::Failed);
    assert_eq!(plan.recovery[0].exhausted, [DriftKind::NotRunning, DriftKind::Restarting]);
    service(&mut w.stack, "ui").state = S::Exited;
    assert_eq!(
        (w.step(5000, ActionPhase::Failed).proposals.len(), w.incidents.len()),
        (0, 1),
        "one crash loop is one incident"
    );
}

#[test]
fn an_incident_is_resolved_when_the_service_has_been_well_for_its_stable_spell() {
    let mut w = given_up();
    w.step(4000, ActionPhase::Failed);
    service(&mut w.stack, "ui").state = S::Running;
    w.step(10_000, ActionPhase::Failed);
    service(&mut w.stack, "ui").state = S::Exited;
    w.step(20_000, ActionPhase::Failed);
    let status = w.incidents[0].status.as_ref().unwrap();
    assert_eq!((status.count, status.last_seen), (1, Some(at(4000))), "within ten minutes it is one occurrence");
    service(&mut w.stack, "ui").state = S::Running;
    w.step(30_000, ActionPhase::Failed);
    service(&mut w.stack, "ui").state = S::Exited;
    w.step(604_000, ActionPhase::Failed);
    let status = w.incidents[0].status.as_ref().unwrap();
    assert_eq!((status.phase, status.count), (IncidentPhase::Escalated, 2), "it came back");
    service(&mut w.stack, "ui").state = S::Running;
    service(&mut w.stack, "ui").since = Some(at(610_000));
    w.step(610_000, ActionPhase::Failed);
    assert!(w.step(1_209_999, ActionPhase::Failed).followed.is_empty());
    let plan = w.step(1_210_000, ActionPhase::Failed);
    assert_eq!((plan.followed.len(), plan.escalated.len()), (1, 0));
    let status = w.incidents[0].status.as_ref().unwrap();
    assert_eq!((status.phase, status.resolved_at), (IncidentPhase::Resolved, Some(at(1_210_000))));
    service(&mut w.stack, "ui").state = S::Exited;
    assert_eq!(asked(&w.step(1_220_000, ActionPhase::Failed)), ["restart_service ui"]);
    w.step(1_230_000, ActionPhase::Failed);
    assert_eq!(w.incidents[1].name(), "wicap-ui-not-running-0f1e2-2");
}

#[test]
fn an_acknowledgement_begins_a_new_episode_once() {
    let mut w = given_up();
    w.step(4000, ActionPhase::Failed);
    (w.incidents[0].spec.acknowledged, w.incidents[0].spec.by) = (true, Some("ann@host".into()));
    let plan = w.step(5000, ActionPhase::Failed);
    assert_eq!((asked(&plan), plan.recovery[0].episode), (vec!["restart_service ui".to_owned()], 2));
    let status = w.incidents[0].status.as_ref().unwrap();
    assert_eq!((status.phase, status.message.as_deref()), (IncidentPhase::Resolved, Some("acknowledged by ann@host")));
    let plan = w.step(7000, ActionPhase::Failed);
    assert_eq!((plan.recovery[0].episode, plan.opened.len(), plan.escalated.len()), (2, 1, 1));
}

#[test]
fn starts_from_before_an_acknowledgement_do_not_count() {
    let mut w = short(S::Running);
    service(&mut w.stack, "ui").starts = (0..10).map(|n| at(n * 100)).collect();
    assert_eq!(w.step(1000, ActionPhase::Failed).opened.len(), 1);
    w.incidents[0].spec.acknowledged = true;
    let plan = w.step(2000, ActionPhase::Failed);
    assert_eq!((plan.drift.len(), plan.opened.len(), plan.escalated.len()), (0, 0, 0));
    assert!(w.step(3000, ActionPhase::Failed).drift.is_empty());
    service(&mut w.stack, "ui").starts.extend((0..10).map(|n| at(3001 + n)));
    assert_eq!(w.step(4000, ActionPhase::Failed).opened.len(), 1);
}

#[test]
fn an_incident_that_is_there_already_is_not_made_again() {
    let mut w = given_up();
    w.stack.status.as_mut().unwrap().recovery.clear();
    w.actions.clear();
    w.step(4000, ActionPhase::Failed);
    let plan = w.step(6000, ActionPhase::Failed);
    assert_eq!((plan.escalated.len(), plan.opened.len()), (1, 0));
}

#[test]
fn of_many_escalations_at_once_the_rest_has_its_turn_next() {
    let names: Vec<String> = (0..20).map(|n| format!("s{n:02}")).collect();
    let services: Vec<_> = names.iter().map(|n| (n.as_str(), S::Exited)).collect();
    let mut w = World::with(&services, |w| {
        w.stack.spec.defaults.recovery.ladder.clear();
        w.stack.spec.defaults.recovery.hold_off = seconds(0);
    });
    let opened: Vec<_> = (1..5).map(|now| w.step(now, ActionPhase::Failed).opened.len()).collect();
    assert_eq!(opened, [8, 8, 4, 0]);
    assert_eq!(w.plan(10).escalated.len(), 20);
}

/// A stack of three whose `ui` is rolled back after one restart: down, then up of `redis` and `ui`.
fn rolling() -> World {
    World::with(&[("redis", S::Running), ("ui", S::Unhealthy), ("scout", S::Running)], |w| {
        w.stack.spec.services[1].depends_on = vec!["redis".into()];
        w.stack.spec.defaults.max_concurrent = 4;
        let recovery = &mut w.stack.spec.defaults.recovery;
        recovery.ladder = vec![LadderStep::new(ActionKind::RestartService, 1)];
        let up = LadderStep { services: vec!["redis".into(), "ui".into()], ..LadderStep::new(ActionKind::ComposeUp, 1) };
        recovery.rollback = vec![LadderStep::new(ActionKind::ComposeDown, 1), up];
    })
}

fn all(w: &mut World, state: S, since: i64) {
    for service in &mut w.stack.status.as_mut().unwrap().services {
        (service.state, service.since) = (state, Some(at(since)));
    }
}

#[test]
fn a_rollback_is_tried_once_before_a_person_is_called_and_nothing_else_is_done_meanwhile() {
    let mut w = rolling();
    assert_eq!(asked(&w.step(5000, ActionPhase::Failed)), ["restart_service ui"]);
    let down = w.step(20_000, ActionPhase::Succeeded);
    assert_eq!(
        (asked(&down), down.proposals[0].name.as_str()),
        (vec!["compose_down ".into()], "wicap-ui-compose-down-0f1e2-1-2")
    );
    all(&mut w, S::Missing, 20_500);
    let up = w.step(21_000, ActionPhase::Failed);
    assert_eq!(asked(&up), ["compose_up ui"], "at once, without a hold-off and without the whole stack");
    assert_eq!(up.proposals[0].spec.params.services, ["redis", "ui"]);
    assert!(asked(&w.step(22_000, ActionPhase::Failed)).is_empty(), "the others wait");
    let end = w.step(120_000, ActionPhase::Failed);
    assert_eq!((end.opened.len(), end.escalated.as_slice()), (1, &["ui".to_owned()][..]));
    w.step(121_000, ActionPhase::Failed);
    let actions = &w.incidents[0].status.as_ref().unwrap().actions;
    let names: Vec<_> = actions.iter().map(|a| a.action.as_str()).collect();
    assert_eq!(names, ["restart_service", "compose_down", "compose_up"]);
}

#[test]
fn after_a_rollback_that_helped_the_others_have_their_turn() {
    let mut w = rolling();
    w.step(5000, ActionPhase::Failed);
    w.step(20_000, ActionPhase::Succeeded);
    all(&mut w, S::Missing, 20_500);
    w.step(21_000, ActionPhase::Succeeded);
    for name in ["redis", "ui"] {
        service(&mut w.stack, name).state = S::Running;
    }
    w.stack.spec.services[2].recovery = Some(crate::api::stack::Recovery::default());
    assert_eq!(asked(&w.step(30_000, ActionPhase::Succeeded)), ["compose_up scout"]);
    service(&mut w.stack, "scout").state = S::Running;
    service(&mut w.stack, "ui").state = S::Unhealthy;
    let plan = w.step(200_000, ActionPhase::Failed);
    assert_eq!((plan.proposals.len(), plan.opened.len()), (0, 1), "it is tried once");
}

#[test]
fn a_rollback_takes_the_stack_down_only_while_nothing_else_is_under_way() {
    let mut w = rolling();
    w.step(5000, ActionPhase::Failed);
    w.actions.push(action("x", ActionKind::RestartService, "scout", ActionPhase::Running));
    let plan = w.plan(20_000);
    assert_eq!((plan.proposals.len(), plan.blocked_by, plan.planned_action.as_deref()), (0, None, Some("compose_down ui")));
}

#[test]
fn a_rollback_takes_nothing_down_that_cannot_be_seen() {
    let mut w = rolling();
    w.step(5000, ActionPhase::Failed);
    service(&mut w.stack, "scout").state = S::Unknown;
    let plan = w.plan(20_000);
    let waits = Some("compose_down ui (waits for scout: Unknown)");
    assert_eq!((plan.proposals.len(), plan.opened.len(), plan.planned_action.as_deref()), (0, 0, waits));
}

#[test]
fn a_rollback_that_no_policy_allows_is_none() {
    let mut w = rolling();
    w.step(5000, ActionPhase::Failed);
    w.policies[0].spec.deny = vec![rule(&["compose_down"], &["*"])];
    let plan = w.step(20_000, ActionPhase::Failed);
    assert_eq!((plan.proposals.len(), plan.opened.len()), (0, 1));
}

#[test]
fn a_rollback_that_stops_a_service_is_not_taken_for_a_stopped_stack() {
    let mut w = short(S::Unhealthy);
    w.stack.spec.defaults.recovery.rollback =
        vec![LadderStep::new(ActionKind::StopService, 1), LadderStep::new(ActionKind::StartService, 1)];
    assert_eq!(asked(&w.step(1000, ActionPhase::Failed)), ["restart_service ui"]);
    assert_eq!(asked(&w.step(2000, ActionPhase::Succeeded)), ["stop_service ui"]);
    service(&mut w.stack, "ui").state = S::Exited;
    let plan = w.step(3000, ActionPhase::Failed);
    assert_eq!((asked(&plan), plan.recovery[0].episode), (vec!["start_service ui".to_owned()], 1));
    w.stack.spec.desired_state = DesiredState::Stopped;
    service(&mut w.stack, "ui").state = S::Running;
    let plan = w.step(60_000, ActionPhase::Failed);
    assert_eq!((asked(&plan), plan.recovery[0].episode), (vec!["stop_service ui".to_owned()], 2));
}

/// An ui that depends on redis, both down, and a ladder of one step.
fn ui_wants_redis() -> World {
    World::with(&[("redis", S::Exited), ("ui", S::Exited)], |w| {
        let recovery = &mut w.stack.spec.defaults.recovery;
        recovery.ladder = vec![LadderStep::new(ActionKind::RestartService, 1)];
        (recovery.hold_off, recovery.backoff) = (seconds(0), Backoff { initial: seconds(0), max: seconds(0) });
        recovery.reset_after = seconds(60);
        w.stack.spec.services[1].depends_on = vec!["redis".into()];
    })
}

/// The same at the moment before redis has been well for its stable spell, after `ui` was given up.
fn ui_was_given_up_for_want_of_redis() -> World {
    let mut w = ui_wants_redis();
    w.step(1000, ActionPhase::Failed);
    let redis = service(&mut w.stack, "redis");
    (redis.state, redis.since) = (S::Running, Some(at(3000)));
    assert_eq!(asked(&w.step(3000, ActionPhase::Failed)), ["restart_service ui"]);
    assert_eq!(w.step(5000, ActionPhase::Failed).escalated, ["ui"]);
    w
}

/// A look that finds `ui` in that state, and whether an operator claims it.
fn see_ui(w: &mut World, state: S, now: i64, claimed: bool) -> Plan {
    let ui = service(&mut w.stack, "ui");
    if ui.state != state {
        (ui.state, ui.since) = (state, Some(at(now)));
    }
    let claim = Maintenance { until: at(64_000), reason: "a new disk".into(), services: vec!["ui".to_owned()] };
    w.stack.spec.maintenance = Some(claim).filter(|_| claimed);
    w.step(now, ActionPhase::Failed)
}

fn entry<'a>(plan: &'a Plan, service: &str) -> &'a RecoveryState {
    plan.recovery.iter().find(|r| r.service == service).unwrap()
}

#[test]
fn what_was_mended_unseen_is_at_rest_after_a_stable_spell_of_its_own() {
    for (meanwhile, claimed) in [(S::Exited, true), (S::Unknown, false), (S::Starting, false)] {
        let mut w = ui_was_given_up_for_want_of_redis();
        see_ui(&mut w, meanwhile, 62_999, claimed);
        assert!(entry(&see_ui(&mut w, meanwhile, 63_000, claimed), "ui").retried);
        let phase = |w: &World| w.incidents[0].status.as_ref().map(|s| s.phase);
        for now in [64_000, 100_000, 123_999] {
            assert!(entry(&see_ui(&mut w, S::Running, now, false), "ui").retried, "{now}");
            assert_eq!(phase(&w), Some(IncidentPhase::Escalated), "{meanwhile:?} {now}");
        }
        assert!(!entry(&see_ui(&mut w, S::Running, 124_000, false), "ui").retried, "{meanwhile:?}");
        see_ui(&mut w, S::Running, 124_001, false);
        assert_eq!(phase(&w), Some(IncidentPhase::Resolved), "{meanwhile:?}");
    }
}

#[test]
fn what_is_being_mended_for_another_reason_goes_on_when_what_it_depends_on_is_well_for_good() {
    let mut w = ui_was_given_up_for_want_of_redis();
    w.stack.spec.services[1].recovery = Some(w.stack.spec.defaults.recovery.clone());
    w.stack.spec.services[1].recovery.as_mut().unwrap().ladder[0].attempts = 3;
    assert_eq!(asked(&see_ui(&mut w, S::Unhealthy, 60_000, false)), ["restart_service ui"]);
    assert_eq!(asked(&see_ui(&mut w, S::Unhealthy, 62_000, false)), ["restart_service ui"]);
    let plan = see_ui(&mut w, S::Unhealthy, 64_000, false);
    let ui = entry(&plan, "ui");
    assert_eq!((entry(&plan, "redis").total, ui.total, ui.retried, ui.exhausted.len()), (0, 3, true, 0));
}

#[test]
fn it_is_tried_anew_whatever_it_was_when_the_other_had_been_well_for_good() {
    for meanwhile in [S::Exited, S::Starting, S::Unknown, S::Running, S::Restarting] {
        for claimed in [false, true] {
            let mut w = ui_was_given_up_for_want_of_redis();
            let what = format!("{meanwhile:?}, claimed: {claimed}");
            assert_eq!(entry(&see_ui(&mut w, meanwhile, 62_999, claimed), "redis").total, 1, "{what}");
            let plan = see_ui(&mut w, meanwhile, 63_000, claimed);
            assert_eq!(entry(&plan, "redis").total, 0, "redis is well for good: {what}");
            let tried = asked(&plan).concat() + &asked(&see_ui(&mut w, S::Exited, 64_000, false)).concat();
            assert_eq!(tried, "restart_service ui", "{what}");
            assert!(asked(&see_ui(&mut w, S::Exited, 66_000, false)).is_empty(), "once: {what}");
        }
    }
}

#[test]
fn what_was_given_up_for_want_of_another_is_tried_anew_once_that_one_is_well_for_good() {
    let mut w = ui_wants_redis();
    let mut see = |redis: S, now: i64| {
        let seen = service(&mut w.stack, "redis");
        (seen.state, seen.since) = (redis, Some(at(now)).filter(|_| seen.state != redis).or(seen.since));
        let plan = w.step(now, ActionPhase::Failed);
        (asked(&plan).join(","), plan.escalated.join(","))
    };
    assert_eq!(see(S::Exited, 1000), ("restart_service redis".to_owned(), String::new()));
    // It comes and goes, and whoever needs it is tried meanwhile.
    assert_eq!(see(S::Running, 3000), ("restart_service ui".to_owned(), String::new()));
    assert_eq!(see(S::Running, 5000), (String::new(), "ui".to_owned()));
    assert_eq!(see(S::Running, 62_000), (String::new(), "ui".to_owned()));
    assert_eq!(see(S::Running, 63_000), ("restart_service ui".to_owned(), String::new()), "redis is well for good");
    assert_eq!(see(S::Running, 65_000), (String::new(), "ui".to_owned()));
    // Once, however often it goes and comes.
    assert_eq!(see(S::Exited, 100_000), ("restart_service redis".to_owned(), "ui".to_owned()));
    for now in [103_000, 170_000, 3_600_000] {
        assert_eq!(see(S::Running, now), (String::new(), "ui".to_owned()));
    }
}

#[test]
fn a_step_that_no_policy_allows_is_passed_over_and_a_person_is_called_when_none_is_left() {
    let mut w = World::new(&[("ui", S::Exited)]);
    let recovery = &mut w.stack.spec.defaults.recovery;
    (recovery.hold_off, recovery.backoff) = (seconds(0), Backoff { initial: seconds(0), max: seconds(0) });
    recovery.ladder =
        [ActionKind::StartService, ActionKind::RestartService, ActionKind::ComposeUp, ActionKind::RecreateService]
            .map(|action| LadderStep::new(action, 1))
            .to_vec();
    w.sessions[0].spec.allowed_actions = vec![ActionKind::RestartService, ActionKind::RecreateService];
    assert_eq!(asked(&w.step(1000, ActionPhase::Failed)), ["restart_service ui"]);
    assert_eq!(asked(&w.step(3000, ActionPhase::Failed)), ["recreate_service ui"]);
    assert_eq!(w.step(5000, ActionPhase::Failed).escalated, ["ui"]);
    // What takes down more is no way around what is not allowed.
    let mut w = World::new(&[("ui", S::Exited)]);
    w.stack.spec.defaults.recovery.rollback = vec![LadderStep::new(ActionKind::ComposeDown, 1)];
    w.sessions[0].spec.allowed_actions = vec![ActionKind::ComposeDown];
    let plan = w.step(5000, ActionPhase::Failed);
    assert_eq!((plan.proposals.len(), plan.planned_action.as_deref()), (0, Some("start_service ui")));
    let mut w = World::new(&[("ui", S::Exited)]);
    w.sessions[0].spec.allowed_actions = vec![ActionKind::StopService];
    let plan = w.step(5000, ActionPhase::Failed);
    assert_eq!((plan.escalated.len(), plan.planned_action.as_deref()), (0, Some("start_service ui")));
    assert_eq!(plan.blocked_by.map(|by| by.gate), Some("toolPolicy".to_owned()));
}

#[test]
fn what_was_only_said_has_used_up_nothing() {
    let mut w = short(S::Exited);
    w.sessions[0].spec.mode = Mode::Shadow;
    assert_eq!(asked(&w.step(1000, ActionPhase::Shadowed)), ["restart_service ui"]);
    assert_eq!(w.step(3000, ActionPhase::Shadowed).escalated, ["ui"]);
    w.sessions[0].spec.mode = Mode::Assist;
    assert_eq!(asked(&w.step(5000, ActionPhase::Failed)), ["restart_service ui"]);
    assert_eq!(w.step(7000, ActionPhase::Failed).escalated, ["ui"]);
    assert_eq!(asked(&w.step(9000, ActionPhase::Failed)), Vec::<String>::new());
}

#[test]
fn a_change_of_the_configuration_is_tried_whatever_was_done_before_and_its_failure_keeps_nobody_down() {
    let mut w = short(S::Exited);
    w.stack.spec.defaults.recovery.ladder = vec![LadderStep::new(ActionKind::RestartService, 5)];
    w.stack.spec.defaults.recovery.on_config_drift = OnConfigDrift::Recreate;
    let mut now = 1000;
    let mut see = |state: S, drifted: bool| {
        let ui = service(&mut w.stack, "ui");
        (ui.state, ui.config_drift) = (state, Some(drifted));
        now += 2000;
        let plan = w.step(now, ActionPhase::Failed);
        (asked(&plan).join(","), plan.escalated.join(","))
    };
    let (restart, recreate) = ("restart_service ui".to_owned(), "recreate_service ui".to_owned());
    for _ in 0..3 {
        assert_eq!(see(S::Exited, false), (restart.clone(), String::new()));
    }
    for _ in 0..3 {
        assert_eq!(see(S::Running, true), (recreate.clone(), String::new()));
    }
    assert_eq!(see(S::Running, true), (String::new(), "ui".to_owned()));
    assert_eq!(see(S::Running, true), (String::new(), "ui".to_owned()));
    assert_eq!(see(S::Exited, true), (restart.clone(), String::new()), "a crash is another matter");
    assert_eq!(see(S::Running, true), (String::new(), "ui".to_owned()));
    assert_eq!(see(S::Exited, true), (restart, String::new()));
    assert_eq!(see(S::Exited, true), (String::new(), "ui".to_owned()));
}

#[test]
fn permission_that_was_taken_away_is_waited_for() {
    let mut w = short(S::Exited);
    w.stack.spec.defaults.recovery.ladder = vec![LadderStep::new(ActionKind::RestartService, 2)];
    w.stack.spec.defaults.recovery.rollback = vec![LadderStep::new(ActionKind::ComposeDown, 1)];
    assert_eq!(asked(&w.step(1000, ActionPhase::Failed)), ["restart_service ui"]);
    let policies = std::mem::take(&mut w.policies);
    for now in [3000, 60_000] {
        let plan = w.step(now, ActionPhase::Failed);
        assert_eq!((plan.escalated.len(), plan.planned_action.as_deref()), (0, Some("restart_service ui")));
    }
    w.policies = policies;
    assert_eq!(asked(&w.step(62_000, ActionPhase::Failed)), ["restart_service ui"]);
}
