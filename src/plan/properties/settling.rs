//! That it settles: whatever is seen, and whatever becomes of the actions, they come to an end, and a person is called once.

use std::collections::HashSet;

use super::*;
use crate::api::stack::{Backoff, Flapping, LadderStep, Recovery};

proptest! {
    // Each case lives through hundreds of plans.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn where_every_action_fails_each_service_is_tried_as_often_as_its_ladder_says_and_then_given_up(stack in stacks()) {
        let mut w = permitted(stack);
        let plans = w.live_on(false);
        let last = plans.last().unwrap();
        prop_assert!(plans[150..].iter().all(|p| p.proposals.is_empty() && p.notes.is_empty()));
        for drift in &last.drift {
            let service = w.stack.spec.service(&drift.service).unwrap();
            let acts = crate::plan::drift::calls_for_action(&w.stack.spec, &drift.service, drift.kind) && service.managed;
            let state = last.recovery.iter().find(|r| r.service == drift.service);
            let calls = plans.iter().flat_map(|p| &p.notes)
                .filter(|n| matches!(n, Note::Escalated { service, .. } if *service == drift.service)).count();
            if !acts {
                prop_assert!(state.is_none_or(|s| s.total == 0) && calls == 0);
            } else if last.escalated.contains(&drift.service) {
                let mut position = crate::api::stack::RecoveryState::default();
                let recovery = w.stack.spec.recovery(service);
                while let Some(rung) = crate::plan::ladder::next(recovery, drift.kind, &position) {
                    crate::plan::ladder::advance(&mut position, rung, String::new(), at(0), std::time::Duration::ZERO);
                }
                prop_assert_eq!((state.unwrap().total, calls), (position.total, 1));
            } else {
                // Only one that waits for another which nobody can mend is left without a call.
                prop_assert!(last.planned_action.is_some());
            }
        }
    }

    #[test]
    fn where_actions_work_the_stack_comes_to_what_is_desired(stack in stacks()) {
        let mut w = permitted(stack);
        let plans = w.live_on(true);
        let last = plans.last().unwrap();
        prop_assert!(plans.iter().all(|p| p.escalated.is_empty()));
        prop_assert!(plans[60..].iter().all(|p| p.proposals.is_empty()));
        for drift in &last.drift {
            let service = w.stack.spec.service(&drift.service).unwrap();
            let acts = crate::plan::drift::calls_for_action(&w.stack.spec, &drift.service, drift.kind) && service.managed;
            prop_assert!(!acts || last.planned_action.as_ref().is_some_and(|p| p.contains("waits for")), "{drift:?}");
        }
    }

    #[test]
    fn flapping_ends_in_escalation(well in 1..500_u64) {
        let mut w = permitted(stack(&[("ui", ServiceState::Exited)]));
        let mut tried = 0;
        for _ in 0..40 {
            service(&mut w.stack, "ui").state = ServiceState::Exited;
            service(&mut w.stack, "ui").since = Some(w.now);
            for _ in 0..40 {
                let plan = w.live(true);
                tried += plan.proposals.len();
                w.now = plan.next.unwrap_or(w.now).max(w.now);
                if !plan.proposals.is_empty() {
                    break;
                }
            }
            w.live(true);
            w.now = after(w.now, std::time::Duration::from_secs(well));
        }
        prop_assert_eq!(tried, 7);
        prop_assert_eq!(w.plan().escalated, vec!["ui".to_owned()]);
    }
}

/// A ladder and a rollback of every action that may stand there, and no waits, so that all that bounds them is their number.
fn restless(rolls_back: bool) -> Recovery {
    let step = LadderStep::new;
    let up = LadderStep { services: vec!["redis".into(), "ui".into()], ..step(ActionKind::ComposeUp, 1) };
    let ladder = vec![
        step(ActionKind::StatusCheck, 1),
        step(ActionKind::StartService, 1),
        step(ActionKind::RestartService, 2),
        up.clone(),
        step(ActionKind::RecreateService, 1),
    ];
    let rollback = [step(ActionKind::StopService, 1), step(ActionKind::ComposeDown, 1), up];
    Recovery {
        hold_off: seconds(0),
        ladder,
        rollback: if rolls_back { rollback.into() } else { vec![] },
        backoff: Backoff { initial: seconds(0), max: seconds(0) },
        // No spell is stable.
        reset_after: seconds(1_000_000_000),
        on_config_drift: OnConfigDrift::Recreate,
        on_image_drift: OnConfigDrift::Recreate,
        flapping: Flapping { starts: 10, within: seconds(3600) },
    }
}

/// What is seen of a service: its state, and whether it runs with an old configuration, an old image, without its network.
fn sight() -> impl Strategy<Value = (ServiceState, u8)> {
    (prop::sample::select(&STATES[..]), 0..8_u8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whatever_is_seen_the_number_of_actions_and_of_calls_is_bounded_until_a_stable_spell(
        sights in prop::collection::vec(([sight(), sight(), sight()], 1..100_000_i64, any::<bool>()), 1..120),
        starts: bool,
        rolls_back: bool,
        managed: bool,
        max_concurrent in 1..4_u32,
    ) {
        let names = ["redis", "ui", "scout"];
        let mut stack = stack(&names.map(|name| (name, ServiceState::Running)));
        stack.spec.services[1].depends_on = vec!["redis".to_owned()];
        // A rollback that takes everything down is only valid where everything is managed.
        stack.spec.services[2].managed = managed || rolls_back;
        stack.spec.defaults.max_concurrent = max_concurrent;
        stack.spec.defaults.recovery = restless(rolls_back);
        let recovery = &stack.spec.defaults.recovery;
        let declared: u32 = recovery.ladder.iter().chain(&recovery.rollback).map(|step| step.attempts).sum();
        let mut w = permitted(stack);
        w.sessions[0].spec.ttl = seconds(1_000_000_000);
        w.sessions[0].status.as_mut().unwrap().expires_at = Some(Time::MAX);
        let mut taken: Vec<String> = Vec::new();
        let mut kinds: HashSet<(String, DriftKind)> = HashSet::new();
        for (seen, later, succeeds) in sights {
            w.now = after(w.now, std::time::Duration::from_millis(later.unsigned_abs()));
            for (name, (state, more)) in names.into_iter().zip(seen) {
                let now = w.now;
                let service = service(&mut w.stack, name);
                if service.state != state {
                    (service.state, service.since) = (state, Some(now));
                }
                (service.config_drift, service.image_drift) = (Some(more & 1 > 0), Some(more & 2 > 0));
                service.missing_networks = if more & 4 > 0 { vec!["back".to_owned()] } else { vec![] };
                if starts && state == ServiceState::Starting {
                    service.starts.push(now);
                }
            }
            w.stack.status.as_mut().unwrap().observed_at = Some(w.now);
            let plan = w.plan();
            let in_flight = plan.proposals.iter().filter(|p| p.spec.action.changes()).count();
            prop_assert!(in_flight <= max_concurrent as usize);
            prop_assert!(plan.recovery.iter().all(|r| r.service.is_empty() || w.stack.spec.service(&r.service).is_some()));
            let status = w.stack.status.as_mut().unwrap();
            (status.drift, status.recovery) = (plan.drift.clone(), plan.recovery.clone());
            write_down(&mut w.incidents, &plan);
            kinds.extend(plan.drift.iter().map(|d| (d.service.clone(), d.kind)));
            for proposal in plan.proposals {
                // The name bears the service also where the target is the whole stack.
                let of = |name: &&&str| proposal.name.starts_with(&format!("wicap-{name}-"));
                let service = (*names.iter().find(of).unwrap_or(&"")).to_owned();
                prop_assert!(service.is_empty() || w.stack.spec.service(&service).unwrap().managed);
                taken.push(service);
                let phase = if succeeds { ActionPhase::Succeeded } else { ActionPhase::Failed };
                let mut run = ActionRun::new(&proposal.name, proposal.spec);
                let (started_at, finished_at) = (Some(w.now), Some(w.now));
                run.status = Some(ActionRunStatus { phase, started_at, finished_at, ..ActionRunStatus::default() });
                w.actions.push(run);
            }
        }
        for name in names {
            let seen = kinds.iter().filter(|(service, _)| service == name).count();
            let actions = taken.iter().filter(|service| *service == name).count();
            let most = (declared + crate::plan::ladder::FIXED_ATTEMPTS) as usize;
            prop_assert!(actions <= most * (1 + seen), "{actions} actions on {name}, {seen} kinds of drift");
            let called: Vec<_> = w.incidents.iter().filter(|i| i.spec.service == name).map(|i| i.spec.kind).collect();
            let different: HashSet<_> = called.iter().collect();
            prop_assert_eq!(called.len(), different.len(), "a person is called once about a kind: {:?}", called);
        }
        prop_assert!(taken.iter().filter(|service| service.is_empty()).count() <= 2, "the whole stack is brought up twice");
    }

    #[test]
    fn where_a_rollback_is_declared_it_is_tried_at_most_once_in_an_episode(mut stack in stacks()) {
        stack.spec.services.iter_mut().for_each(|s| s.managed = true);
        let up = LadderStep::new(ActionKind::ComposeUp, 1);
        stack.spec.defaults.recovery.rollback = vec![LadderStep::new(ActionKind::ComposeDown, 1), up];
        let mut w = permitted(stack);
        let plans = w.live_on(false);
        prop_assert!(plans[150..].iter().all(|p| p.proposals.is_empty() && p.notes.is_empty()));
        for service in &w.stack.spec.services {
            let named = format!("wicap-{}-compose-down-", service.name);
            prop_assert!(w.actions.iter().filter(|a| a.name().starts_with(&named)).count() <= 1);
        }
    }
}
