//! Situations, and the plan that is made of each.

use super::*;
use crate::api::action::{ActionPhase, Tier};
use crate::api::session::{Budget, Mode};
use crate::api::stack::{Backoff, DesiredState, LadderStep, OnConfigDrift, ServiceState as S};
use crate::plan::authorise;
use crate::plan::fixtures::{action, at, policy, rule, seconds, service, session, stack, stop, write_down};

mod episodes;
mod kinds;
mod maintenance;

/// What the planner sees, and what it wrote last.
struct World {
    stack: WicapStack,
    sessions: Vec<ControlSession>,
    policies: Vec<ControlPolicy>,
    stops: Vec<EmergencyStop>,
    actions: Vec<ActionRun>,
    incidents: Vec<Incident>,
    soaks: Vec<SoakRun>,
}

impl World {
    fn new(services: &[(&str, S)]) -> Self {
        let (sessions, policies) = (vec![session("night")], vec![policy("base")]);
        let (stops, actions, incidents, soaks) = (vec![], vec![], vec![], vec![]);
        Self { stack: stack(services), sessions, policies, stops, actions, incidents, soaks }
    }

    fn with(services: &[(&str, S)], change: impl FnOnce(&mut Self)) -> Self {
        let mut world = Self::new(services);
        change(&mut world);
        world
    }

    /// The plan at that moment, of what was observed then.
    fn plan(&mut self, now: i64) -> Plan {
        self.stack.status.as_mut().unwrap().observed_at = Some(at(now));
        self.look(now)
    }

    /// The plan at that moment, of what was observed before.
    fn look(&self, now: i64) -> Plan {
        let Self { stack, sessions, policies, stops, actions, incidents, soaks } = self;
        decide(&Inputs { stack, sessions, policies, stops, actions, incidents, soaks, now: at(now) })
    }

    /// Plans, and writes the plan down; what is proposed ends at once, in that phase.
    fn step(&mut self, now: i64, phase: ActionPhase) -> Plan {
        let plan = self.plan(now);
        let status = self.stack.status.as_mut().unwrap();
        (status.drift, status.recovery) = (plan.drift.clone(), plan.recovery.clone());
        (status.planned_action, status.blocked_by) = (plan.planned_action.clone(), plan.blocked_by.clone());
        for proposal in &plan.proposals {
            let mut run = ActionRun::new(&proposal.name, proposal.spec.clone());
            let mut status = crate::api::action::ActionRunStatus { phase, ..Default::default() };
            status.started_at = (phase != ActionPhase::Pending).then(|| at(now));
            status.finished_at = phase.is_final().then(|| at(now));
            run.status = Some(status);
            self.actions.push(run);
        }
        write_down(&mut self.incidents, &plan);
        plan
    }
}

fn asked(plan: &Plan) -> Vec<String> {
    plan.proposals.iter().map(|p| format!("{} {}", p.spec.action, p.spec.target)).collect()
}

fn reasons(plan: &Plan) -> Vec<&'static str> {
    plan.notes.iter().map(Note::reason).collect()
}

#[test]
fn a_dead_service_is_started_exactly_at_the_end_of_its_hold_off() {
    let mut w = World::with(&[("ui", S::Exited)], |w| service(&mut w.stack, "ui").exit_code = Some(137));
    let early = w.step(4999, ActionPhase::Pending);
    assert_eq!((asked(&early).len(), early.next), (0, Some(at(5000))));
    assert_eq!(early.planned_action.as_deref(), Some("start_service ui"));
    assert_eq!(reasons(&early), [reason::DRIFTED]);
    let plan = w.step(5000, ActionPhase::Pending);
    assert_eq!(asked(&plan), ["start_service ui"]);
    assert_eq!(reasons(&plan), [reason::ACTION_PLANNED]);
    let proposal = &plan.proposals[0];
    assert_eq!(proposal.name, "wicap-ui-start-service-0f1e2-1-1");
    assert_eq!(proposal.spec.session, "night");
    assert_eq!(proposal.spec.cause.summary, "ui NotRunning since 2026-01-01T00:00:00Z: exited with code 137");
    assert_eq!(proposal.spec.cause.object.as_deref(), Some("wicapstack/wicap"));
    assert_eq!(proposal.spec.cause.attempt.as_deref(), Some("episode 1, action 1"));
    let state = &plan.recovery[0];
    assert_eq!((state.step, state.attempts, state.total), (0, 1, 1));
    assert_eq!(state.last_action.as_deref(), Some(proposal.name.as_str()));
    assert_eq!(plan.next, state.backoff_until);
    assert!(plan.next >= Some(at(15_000)) && plan.next <= Some(at(16_000)));
}

#[test]
fn an_unchanged_situation_gives_no_notes() {
    let mut w = World::with(&[("ui", S::Exited)], |w| w.sessions.clear());
    assert_eq!(reasons(&w.step(5000, ActionPhase::Pending)), [reason::DRIFTED, reason::ACTION_BLOCKED]);
    assert!(w.step(6000, ActionPhase::Pending).notes.is_empty());
    assert!(w.step(60_000, ActionPhase::Pending).notes.is_empty());
}

#[test]
fn nothing_is_done_for_a_service_while_its_action_is_open() {
    for phase in [ActionPhase::Pending, ActionPhase::Running] {
        let mut w = World::new(&[("ui", S::Exited)]);
        w.step(5000, phase);
        let plan = w.plan(3_600_000);
        assert_eq!((asked(&plan).len(), plan.planned_action.as_deref()), (0, Some("start_service ui")));
    }
}

#[test]
fn the_next_attempt_comes_exactly_at_the_end_of_the_backoff() {
    let mut w = World::new(&[("ui", S::Exited)]);
    let first = w.step(5000, ActionPhase::Failed);
    let end = first.recovery[0].backoff_until.unwrap().as_millisecond() - at(0).as_millisecond();
    let part = i64::from(first.recovery[0].backoff_until.unwrap().subsec_nanosecond() % 1_000_000 > 0);
    assert!(asked(&w.plan(end - 1)).is_empty());
    let second = w.plan(end + part);
    assert_eq!(asked(&second), ["start_service ui"]);
    assert_eq!((second.recovery[0].attempts, second.recovery[0].total), (2, 2));
    assert_eq!(second.proposals[0].name, "wicap-ui-start-service-0f1e2-1-2");
}

#[test]
fn an_observation_from_before_the_end_of_an_action_is_never_believed() {
    let backoff = Backoff { initial: seconds(0), max: seconds(0) };
    let mut w = World::with(&[("ui", S::Exited)], |w| w.stack.spec.defaults.recovery.backoff = backoff);
    w.step(5000, ActionPhase::Succeeded);
    for now in [5000, 5001, 60_000] {
        let plan = w.look(now);
        assert!(asked(&plan).is_empty());
        assert_eq!(plan.planned_action.as_deref(), Some("start_service ui"));
    }
    assert_eq!(asked(&w.plan(5001)), ["start_service ui"], "a newer observation is believed at once");
}

#[test]
fn an_action_that_is_not_in_the_list_yet_is_given_time_to_appear() {
    let backoff = Backoff { initial: seconds(0), max: seconds(0) };
    let mut w = World::with(&[("ui", S::Exited)], |w| w.stack.spec.defaults.recovery.backoff = backoff);
    w.step(5000, ActionPhase::Failed);
    w.actions.clear();
    assert!(asked(&w.plan(6999)).is_empty());
    assert_eq!(asked(&w.plan(7000)), ["start_service ui"]);
}

#[test]
fn dependencies_are_brought_up_first() {
    let services = [("ui", S::Exited), ("redis", S::Exited)];
    let depends = |w: &mut World| {
        w.stack.spec.services[0].depends_on = vec!["redis".into()];
        w.stack.spec.defaults.max_concurrent = 9;
    };
    let mut w = World::with(&services, depends);
    assert_eq!(asked(&w.step(5000, ActionPhase::Running)), ["start_service redis"]);
    service(&mut w.stack, "redis").state = S::Running;
    assert_eq!(w.plan(6000).planned_action.as_deref(), Some("start_service ui (waits for redis: start_service)"));
    w.actions[0].status.as_mut().unwrap().phase = ActionPhase::Succeeded;
    assert_eq!(asked(&w.plan(6000)), ["start_service ui"]);
    service(&mut w.stack, "redis").state = S::Unknown;
    assert_eq!(w.plan(6000).planned_action.as_deref(), Some("start_service ui (waits for redis: Unknown)"));
    service(&mut w.stack, "redis").state = S::Starting;
    assert_eq!(asked(&w.plan(6000)), ["start_service ui"]);
}

/// `ui`, which depends on `redis`, and both in these states; `redis` since that moment.
fn dependent(ui: S, redis: S, since: i64) -> World {
    World::with(&[("ui", ui), ("redis", redis)], |w| {
        w.stack.spec.services[0].depends_on = vec!["redis".into()];
        w.stack.spec.services[1].managed = false;
        service(&mut w.stack, "redis").since = Some(at(since));
    })
}

#[test]
fn a_wait_is_over_when_a_dependency_has_become_well_since_the_last_action() {
    for (since, expected) in [(4999, 0), (5000, 0), (5001, 1)] {
        let mut w = dependent(S::Exited, S::Running, 0);
        assert_eq!(asked(&w.step(5000, ActionPhase::Failed)), ["start_service ui"]);
        service(&mut w.stack, "redis").since = Some(at(since));
        let plan = w.plan(5002);
        assert_eq!(plan.proposals.len(), expected, "redis is well since {since}");
        service(&mut w.stack, "redis").state = S::Unhealthy;
        assert!(asked(&w.plan(5002)).is_empty(), "one that runs badly ends no wait");
    }
}

#[test]
fn an_action_that_has_not_appeared_yet_is_waited_for_though_a_dependency_came_back() {
    let mut w = dependent(S::Exited, S::Running, 0);
    w.step(5000, ActionPhase::Failed);
    w.actions.clear();
    service(&mut w.stack, "redis").since = Some(at(5001));
    assert!(asked(&w.plan(6999)).is_empty());
    assert_eq!(asked(&w.plan(7000)), ["start_service ui"]);
}

#[test]
fn an_outage_of_a_dependency_costs_its_dependents_no_attempt_and_no_time() {
    for (state, expected) in [(S::Restarting, "restart_service ui"), (S::Exited, "start_service ui")] {
        let mut w = dependent(state, S::Exited, 0);
        for now in (0..600).map(|s| s * 1000) {
            let plan = w.step(now, ActionPhase::Failed);
            assert!(asked(&plan).is_empty() && plan.recovery.iter().all(|r| r.total == 0));
        }
        service(&mut w.stack, "redis").state = S::Running;
        service(&mut w.stack, "redis").since = Some(at(600_000));
        assert_eq!(asked(&w.plan(600_001)), [expected]);
    }
}

#[test]
fn dependents_are_stopped_first() {
    let mut w = World::with(&[("redis", S::Running), ("ui", S::Running)], |w| {
        w.stack.spec.services[1].depends_on = vec!["redis".into()];
        w.stack.spec.desired_state = DesiredState::Stopped;
        w.stack.spec.defaults.max_concurrent = 9;
    });
    assert_eq!(asked(&w.step(5000, ActionPhase::Succeeded)), ["stop_service ui"]);
    service(&mut w.stack, "ui").state = S::Exited;
    assert_eq!(asked(&w.plan(8000)), ["stop_service redis"]);
}

#[test]
fn a_dependent_that_cannot_be_stopped_does_not_keep_the_rest_up() {
    let mut w = World::with(&[("redis", S::Running), ("ui", S::Running)], |w| {
        w.stack.spec.services[1].depends_on = vec!["redis".into()];
        w.stack.spec.services[1].managed = false;
        w.stack.spec.desired_state = DesiredState::Stopped;
    });
    assert_eq!(asked(&w.plan(5000)), ["stop_service redis"]);
}

#[test]
fn as_many_are_mended_at_once_as_the_stack_bears() {
    let services = [("a", S::Exited), ("b", S::Exited), ("c", S::Exited)];
    for (most, expected) in [(1, 1), (2, 2), (3, 3), (9, 3)] {
        let mut w = World::with(&services, |w| w.stack.spec.defaults.max_concurrent = most);
        let plan = w.step(5000, ActionPhase::Running);
        assert_eq!(plan.proposals.len(), expected);
        assert_eq!(plan.planned_action.as_deref(), Some("start_service a"));
        let full = w.plan(5001);
        assert_eq!((full.proposals.len(), full.blocked_by), (0, None));
    }
}

#[test]
fn a_stack_of_which_nothing_is_there_is_brought_up_as_a_whole_twice_and_then_by_service() {
    let mut w = World::new(&[("ui", S::Missing), ("redis", S::Missing)]);
    w.stack.spec.services[0].depends_on = vec!["redis".into()];
    assert_eq!(w.plan(4999).planned_action.as_deref(), Some("compose_up"));
    let plan = w.step(5000, ActionPhase::Failed);
    assert_eq!(
        (asked(&plan), plan.proposals[0].name.as_str()),
        (vec!["compose_up ".into()], "wicap-stack-compose-up-0f1e2-1-1")
    );
    assert_eq!((plan.recovery[0].service.as_str(), plan.recovery[0].total), ("", 1));
    assert!(asked(&w.step(14_999, ActionPhase::Failed)).is_empty());
    assert_eq!(asked(&w.step(16_001, ActionPhase::Failed)), ["compose_up "]);
    assert!(asked(&w.step(36_000, ActionPhase::Failed)).is_empty());
    assert_eq!(asked(&w.step(38_100, ActionPhase::Failed)), ["compose_up redis"]);
}

#[test]
fn a_stack_that_is_partly_there_or_has_one_service_is_brought_up_by_service() {
    let mut w = World::new(&[("ui", S::Missing), ("redis", S::Running)]);
    assert_eq!(asked(&w.plan(5000)), ["compose_up ui"]);
    let mut w = World::new(&[("ui", S::Missing)]);
    assert_eq!(asked(&w.plan(5000)), ["compose_up ui"]);
    let mut w = World::with(&[("ui", S::Missing), ("redis", S::Missing)], |w| w.stack.spec.services[1].managed = false);
    assert_eq!(asked(&w.plan(5000)), ["compose_up ui"]);
    let mut w = World::new(&[("ui", S::Missing), ("redis", S::Unknown)]);
    assert_eq!(asked(&w.plan(5000)), ["compose_up ui"]);
}

#[test]
fn where_the_whole_stack_may_not_be_brought_up_its_services_may() {
    let mut w = World::new(&[("ui", S::Missing), ("redis", S::Missing)]);
    w.policies[0].spec.allow = vec![rule(&["compose_up"], &["ui", "redis"])];
    assert_eq!(asked(&w.plan(5000)), ["compose_up ui"]);
}

#[test]
fn what_a_gate_denies_is_said_and_not_counted() {
    type Spoil = (&'static str, fn(&mut World));
    let spoil: [Spoil; 6] = [
        (authorise::EMERGENCY_STOP, |w| w.stops = vec![stop("wicap")]),
        (authorise::SESSION, |w| w.sessions[0].spec.mode = Mode::Monitor),
        (authorise::SESSION, |w| w.sessions.clear()),
        (authorise::RUNTIME_PLANE, |w| w.policies[0].spec.hosts = vec!["other".into()]),
        (authorise::TOOL_POLICY, |w| w.policies.clear()),
        (authorise::TIER, |w| w.sessions[0].spec.max_tier = Tier::Safe),
    ];
    for (gate, change) in spoil {
        let mut w = World::with(&[("ui", S::Exited)], change);
        let plan = w.step(5000, ActionPhase::Pending);
        assert!(plan.proposals.is_empty(), "{gate}");
        assert_eq!(plan.planned_action.as_deref(), Some("start_service ui"));
        assert_eq!(plan.blocked_by.as_ref().unwrap().gate, gate);
        assert_eq!((plan.recovery[0].total, plan.recovery[0].backoff_until), (0, None));
        assert!(matches!(&plan.notes[1], Note::Blocked { gate: g, .. } if g == gate));
        assert!(plan.notes[1].message().starts_with("start_service ui is not done: "));
    }
}

#[test]
fn what_time_alone_opens_is_looked_at_again_then() {
    let mut w = World::new(&[("ui", S::Exited)]);
    w.policies[0].spec.cooldowns.insert(ActionKind::StartService, seconds(60));
    let mut old = action("old", ActionKind::StartService, "ui", ActionPhase::Failed);
    old.status.as_mut().unwrap().started_at = Some(at(-20_000));
    w.actions = vec![old];
    let plan = w.plan(5000);
    assert_eq!((plan.blocked_by.unwrap().gate.as_str(), plan.next), (authorise::COOLDOWN, Some(at(40_000))));
    assert_eq!(asked(&w.plan(40_000)), ["start_service ui"]);

    let mut w = World::new(&[("ui", S::Exited)]);
    w.sessions[0].spec.budget = Some(Budget { max_actions: 1, window: seconds(30) });
    w.sessions[0].status.as_mut().unwrap().usage.recent = vec![at(0)];
    assert_eq!(w.plan(5000).next, Some(at(30_000)));
    w.sessions[0].spec.budget = None;
    w.sessions[0].spec.mode = Mode::Monitor;
    w.sessions[0].status.as_mut().unwrap().expires_at = Some(at(9000));
    assert_eq!(w.plan(5000).next, Some(at(9000)));
}

#[test]
fn an_assist_session_is_used_before_a_monitor_one_and_then_the_first_by_name() {
    let mut w = World::new(&[("ui", S::Exited)]);
    w.sessions = vec![session("b"), session("c"), session("a"), session("0"), session("1")];
    w.sessions[2].spec.mode = Mode::Monitor;
    w.sessions[3].spec.stack = "other".into();
    w.sessions[4].spec.end = true;
    assert_eq!(w.plan(5000).proposals[0].spec.session, "b");
}

#[test]
fn an_exhausted_ladder_escalates_once_after_the_last_backoff_and_is_then_quiet() {
    let mut w = World::new(&[("ui", S::Missing)]);
    w.stack.spec.defaults.recovery.ladder = vec![LadderStep::new(ActionKind::ComposeUp, 1)];
    w.step(5000, ActionPhase::Failed);
    assert!(w.step(14_999, ActionPhase::Failed).escalated.is_empty());
    let plan = w.step(16_001, ActionPhase::Failed);
    assert_eq!((plan.escalated.as_slice(), reasons(&plan).as_slice()), (&["ui".to_owned()][..], &[reason::ESCALATED][..]));
    assert!(plan.notes[0].message().ends_with("1 action did not mend it, a person is needed"));
    assert_eq!(plan.recovery[0].escalated_at, Some(at(16_001)));
    for now in [17_000, 3_600_000] {
        let quiet = w.step(now, ActionPhase::Failed);
        assert_eq!((quiet.escalated.len(), quiet.notes.len(), quiet.proposals.len()), (1, 0, 0));
        assert_eq!((quiet.planned_action, quiet.recovery[0].escalated_at), (None, Some(at(16_001))));
    }
}

#[test]
fn a_changed_configuration_is_reported_or_recreated_as_the_service_says() {
    let drifted = |w: &mut World| service(&mut w.stack, "ui").config_drift = Some(true);
    let mut w = World::with(&[("ui", S::Running)], drifted);
    for now in [5000, 3_600_000] {
        let plan = w.step(now, ActionPhase::Failed);
        assert_eq!(plan.drift[0].kind, DriftKind::ConfigDrift);
        assert_eq!((plan.proposals.len(), plan.escalated.len(), plan.planned_action), (0, 0, None));
    }
    w.stack.spec.defaults.recovery.on_config_drift = OnConfigDrift::Recreate;
    let mut taken = 0;
    for minute in 61..90 {
        let plan = w.step(minute * 60_000, ActionPhase::Failed);
        assert!(asked(&plan).iter().all(|a| a == "recreate_service ui"));
        taken += plan.proposals.len();
    }
    assert_eq!((taken, w.plan(90 * 60_000).escalated), (3, vec!["ui".to_owned()]));
}

#[test]
fn an_unmanaged_service_is_reported_and_never_touched() {
    let mut w = World::with(&[("ui", S::Exited), ("scout", S::Exited)], |w| w.stack.spec.services[1].managed = false);
    let plan = w.plan(5000);
    assert_eq!((plan.drift.len(), asked(&plan)), (2, vec!["start_service ui".to_owned()]));
    w.stack.spec.services[0].managed = false;
    let plan = w.plan(3_600_000);
    assert_eq!((plan.drift.len(), plan.proposals.len(), plan.recovery.len(), plan.planned_action), (2, 0, 0, None));
}

#[test]
fn what_cannot_be_seen_is_left_as_it_is() {
    let mut w = World::new(&[("ui", S::Exited)]);
    w.step(5000, ActionPhase::Failed);
    let kept = w.stack.status.as_ref().unwrap().recovery.clone();
    let said = |plan: Plan| {
        assert_eq!(plan.decisions.iter().map(|d| d.kind).collect::<Vec<_>>(), [DecisionKind::Wait]);
        Plan { decisions: Vec::new(), ..plan }
    };
    assert_eq!(said(w.look(5000 + 90_001)), Plan { recovery: kept, ..Plan::default() });
    w.stack.status = None;
    assert_eq!(said(w.look(0)), Plan::default());
}

#[test]
fn the_plan_looks_again_when_the_observation_goes_stale() {
    let mut w = World::new(&[("ui", S::Exited)]);
    w.stack.spec.services[0].managed = false;
    w.plan(0);
    assert_eq!(w.look(0).next, Some(at(90_001)));
    assert_eq!(w.look(90_001).next, None);
}

#[test]
fn an_operator_who_stops_an_escalated_stack_gets_it_stopped() {
    let mut w = World::new(&[("ui", S::Unhealthy)]);
    w.stack.spec.defaults.recovery.ladder.clear();
    assert_eq!(w.step(5000, ActionPhase::Failed).escalated, ["ui"]);
    w.stack.spec.desired_state = DesiredState::Stopped;
    let plan = w.step(10_000, ActionPhase::Failed);
    assert_eq!((asked(&plan), plan.escalated.len()), (vec!["stop_service ui".to_owned()], 0));
    assert_eq!(plan.recovery[0].episode, 2);
}
