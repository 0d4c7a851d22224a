//! Plans over observations that were recorded or written by hand, one step after the other.
//!
//! ```text
//!  step ─► what it changes: stack, session, policies, stops, actions of others, answers to actions that are under way
//!    │
//!    └──► observed ─► the status, as the observer writes it ─► decide ─► drift and ladders, as the planner writes them
//!                                                                └────► ActionRuns, ended at once as the step's results say
//! ```
//!
//! A replay is a function of its steps: the same steps give the same plans. It has neither the delays nor the authorisation at the
//! claim of the live system; where these matter a recording says what came of an action and when.

use std::collections::BTreeMap;

use super::decide::{Inputs, Plan, decide};
use super::drift::STALE_AFTER;
use crate::api::action::{ActionKind, ActionPhase, ActionRun, ActionRunStatus};
use crate::api::incident::{Incident, IncidentPhase};
use crate::api::policy::ControlPolicy;
use crate::api::session::{ControlSession, ControlSessionStatus, Mode, SessionPhase};
use crate::api::soak::SoakRun;
use crate::api::stack::{STARTS_KEPT, STARTS_WINDOW, ServiceState, ServiceStatus, WicapStack, WicapStackStatus};
use crate::api::stop::EmergencyStop;
use crate::api::{Object, Time, after, elapsed};

/// The most moments between two steps at which time alone is looked at: with a heartbeat every ninety seconds, three days.
const MOST_MOMENTS: usize = 3_000;

/// A stack, what bears on it, and how far its replay has come.
#[derive(Clone, Debug)]
pub struct Replay {
    stack: WicapStack,
    session: Option<ControlSession>,
    /// The session came without a status: its life and its usage are kept here.
    keeps_session: bool,
    policies: Vec<ControlPolicy>,
    stops: Vec<EmergencyStop>,
    actions: Vec<ActionRun>,
    incidents: Vec<Incident>,
    soaks: Vec<SoakRun>,
    /// When time alone changes the plan.
    next: Option<Time>,
}

/// What is different from a moment on.
#[derive(Clone, Debug)]
pub struct Step {
    /// The moment, after that of the step before.
    pub at: Time,
    /// What was observed.
    pub look: Look,
    /// What became of actions: of those under way, or else of those that are planned at this step. An action that is planned and
    /// not named here succeeds.
    pub results: BTreeMap<(ActionKind, String), Answer>,
    /// The stack from now on. Without a status of its own it keeps the one it has.
    pub stack: Option<WicapStack>,
    /// The session from now on, or none. Without a status it is Active from now on.
    pub session: Option<Option<ControlSession>>,
    /// The policies from now on.
    pub policies: Option<Vec<ControlPolicy>>,
    /// The stops from now on.
    pub stops: Option<Vec<EmergencyStop>>,
    /// Actions that others than the planner have asked for, as they are from now on.
    pub actions: Vec<ActionRun>,
    /// The soak runs from now on.
    pub soaks: Option<Vec<SoakRun>>,
    /// Services whose incidents somebody has seen to.
    pub acknowledged: Vec<String>,
}

impl Step {
    /// A step at which nothing is different but the time.
    #[must_use]
    pub fn at(at: Time) -> Self {
        Self {
            at,
            look: Look::None,
            results: BTreeMap::new(),
            stack: None,
            session: None,
            policies: None,
            stops: None,
            actions: Vec::new(),
            soaks: None,
            acknowledged: Vec::new(),
        }
    }
}

/// What was observed of the services.
#[derive(Clone, Debug, PartialEq)]
pub enum Look {
    /// Nobody looked.
    None,
    /// The engine did not answer.
    Silent,
    /// These services were seen; the others are as they were, Unknown when they were never seen.
    Seen {
        /// When the look was; with the step when absent.
        at: Option<Time>,
        /// The services.
        services: BTreeMap<String, Sight>,
    },
}

/// What was observed of a service.
#[derive(Clone, Debug, PartialEq)]
pub enum Sight {
    /// Its state. What else the observer knows follows from it and from what was seen before.
    State(ServiceState),
    /// All of it. Only `since` follows from what was seen before, when it is absent.
    Status(Box<ServiceStatus>),
}

/// What became of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Where in its life it is now.
    pub phase: ActionPhase,
    /// When it was claimed; with the step when absent.
    pub started_at: Option<Time>,
    /// When it ended; with the step when absent.
    pub finished_at: Option<Time>,
}

impl From<ActionPhase> for Answer {
    fn from(phase: ActionPhase) -> Self {
        Self { phase, started_at: None, finished_at: None }
    }
}

/// Time alone would have to be looked at too often before that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {MOST_MOMENTS} moments lie before it, the last at {0}")]
pub struct TooManyMoments(pub Time);

impl Replay {
    /// Before the first step. What the stack's status says of earlier decisions goes on.
    #[must_use]
    pub fn new(
        stack: WicapStack,
        session: Option<ControlSession>,
        policies: Vec<ControlPolicy>,
        stops: Vec<EmergencyStop>,
        actions: Vec<ActionRun>,
    ) -> Self {
        let keeps_session = session.as_ref().is_some_and(|s| s.status.is_none());
        Self {
            stack,
            session,
            keeps_session,
            policies,
            stops,
            actions,
            incidents: Vec::new(),
            soaks: Vec::new(),
            next: None,
        }
    }

    /// The same with incidents that were opened before, and with soak runs.
    #[must_use]
    pub fn with(self, incidents: Vec<Incident>, soaks: Vec<SoakRun>) -> Self {
        Self { incidents, soaks, ..self }
    }

    /// The stack, with what was written to its status so far.
    #[must_use]
    pub fn stack(&self) -> &WicapStack {
        &self.stack
    }

    /// Makes the step, and returns what is planned then.
    pub fn step(&mut self, step: &Step) -> Plan {
        if let Some(stack) = &step.stack {
            let status = self.stack.status.take();
            self.stack.clone_from(stack);
            self.stack.status = stack.status.clone().or(status);
        }
        if let Some(session) = &step.session {
            self.keeps_session = session.as_ref().is_some_and(|s| s.status.is_none());
            self.session.clone_from(session);
        }
        if let Some(policies) = &step.policies {
            self.policies.clone_from(policies);
        }
        if let Some(stops) = &step.stops {
            self.stops.clone_from(stops);
        }
        if let Some(soaks) = &step.soaks {
            self.soaks.clone_from(soaks);
        }
        for action in &step.actions {
            self.actions.retain(|a| a.name() != action.name());
            self.actions.push(action.clone());
        }
        for incident in &mut self.incidents {
            let over = incident.status.as_ref().is_some_and(|s| s.phase == IncidentPhase::Resolved);
            incident.spec.acknowledged |= !over && step.acknowledged.contains(&incident.spec.service);
        }
        self.open_session(step.at);
        self.look(&step.look, step.at);
        let mut results = step.results.clone();
        results.retain(|(action, target), answer| !self.answer(*action, target, *answer, step.at));
        self.plan(step.at, &results)
    }

    /// What is planned before `until` because time alone has changed the plan. The observer is taken to have looked each time, and
    /// to have seen the same again.
    ///
    /// # Errors
    /// When there are more moments than make sense.
    pub fn between(&mut self, until: Time) -> Result<Vec<(Time, Plan)>, TooManyMoments> {
        let mut plans: Vec<(Time, Plan)> = Vec::new();
        for _ in 0..MOST_MOMENTS {
            let Some(now) = self.next.filter(|next| *next < until) else { return Ok(plans) };
            let observed_at = self.stack.status.as_mut().and_then(|s| s.observed_at.as_mut());
            // That an observation grows old is no moment of its own: it does not.
            let heartbeat = observed_at.as_ref().is_some_and(|at| elapsed(**at, now) > STALE_AFTER);
            if let Some(observed_at) = observed_at {
                *observed_at = now;
            }
            let plan = self.plan(now, &BTreeMap::new());
            if !heartbeat || !plan.notes.is_empty() {
                plans.push((now, plan));
            }
        }
        Err(TooManyMoments(self.next.unwrap_or(until)))
    }

    /// Writes the planner's half of the status, and asks for what is proposed.
    fn plan(&mut self, now: Time, results: &BTreeMap<(ActionKind, String), Answer>) -> Plan {
        if self.stack.metadata.deletion_timestamp.is_some() {
            self.next = None;
            return Plan::default();
        }
        let plan = decide(&Inputs {
            stack: &self.stack,
            sessions: self.session.as_slice(),
            policies: &self.policies,
            stops: &self.stops,
            actions: &self.actions,
            incidents: &self.incidents,
            soaks: &self.soaks,
            now,
        });
        let status = self.stack.status.get_or_insert_default();
        status.drift.clone_from(&plan.drift);
        status.recovery.clone_from(&plan.recovery);
        status.planned_action.clone_from(&plan.planned_action);
        status.blocked_by.clone_from(&plan.blocked_by);
        for proposal in &plan.proposals {
            let shadow = self.session.as_ref().is_some_and(|s| s.spec.mode == Mode::Shadow);
            let ended = if shadow { ActionPhase::Shadowed } else { ActionPhase::Succeeded };
            let key = (proposal.spec.action, proposal.spec.target.clone());
            let answer = results.get(&key).copied().unwrap_or(ended.into());
            self.actions.push(ActionRun::new(&proposal.name, proposal.spec.clone()));
            self.answer(key.0, &key.1, answer, now);
        }
        for opened in &plan.opened {
            self.incidents.push(Incident::new(&opened.name, opened.spec.clone()));
        }
        for followed in &plan.followed {
            if let Some(incident) = self.incidents.iter_mut().find(|i| i.name() == followed.name) {
                incident.status = Some(followed.status.clone());
            }
        }
        self.next = plan.next;
        plan
    }

    /// Tells the action of that kind on that target that is under way what became of it. False when there is none.
    fn answer(&mut self, action: ActionKind, target: &str, answer: Answer, now: Time) -> bool {
        let stack = self.stack.name();
        let phase = |run: &ActionRun| run.status.as_ref().map(|s| s.phase).unwrap_or_default();
        let open = |run: &&mut ActionRun| {
            let this = run.spec.stack == stack && run.spec.action == action && run.spec.target == target;
            this && !phase(run).is_final()
        };
        let Some(run) = self.actions.iter_mut().find(open) else { return false };
        let claimed = |phase| {
            use ActionPhase as P;
            matches!(phase, P::Running | P::Succeeded | P::Failed | P::Interrupted)
        };
        let news = claimed(answer.phase) && !claimed(phase(run));
        let status = run.status.get_or_insert_with(ActionRunStatus::default);
        status.phase = answer.phase;
        if claimed(answer.phase) {
            status.started_at = answer.started_at.or(status.started_at).or(Some(now));
        }
        if answer.phase.is_final() {
            status.finished_at = answer.finished_at.or(Some(now));
        }
        let started_at = status.started_at.unwrap_or(now);
        if let (true, true, Some(session)) = (news, self.keeps_session, self.session.as_mut())
            && run.spec.session == session.name()
        {
            use_up(session, started_at);
        }
        true
    }

    /// What the session controller does with a session that is new.
    fn open_session(&mut self, now: Time) {
        if let Some(session) = self.session.as_mut().filter(|s| s.status.is_none()) {
            session.status = Some(ControlSessionStatus {
                observed_generation: session.metadata.generation,
                phase: SessionPhase::Active,
                started_at: Some(now),
                expires_at: Some(after(now, session.spec.ttl.to_std())),
                ..ControlSessionStatus::default()
            });
        }
    }

    /// Writes the observer's half of the status.
    fn look(&mut self, look: &Look, now: Time) {
        let nothing = BTreeMap::new();
        let (looked_at, services, silent) = match look {
            Look::None => return,
            Look::Silent => (now, &nothing, true),
            Look::Seen { at, services } => (at.unwrap_or(now), services, false),
        };
        let status = self.stack.status.take().unwrap_or_default();
        let of = |name: &str| {
            let old = status.service(name);
            match services.get(name) {
                Some(Sight::Status(seen)) => {
                    let since = seen.since.or_else(|| since(old, seen, looked_at));
                    ServiceStatus { name: name.to_owned(), since, ..(**seen).clone() }
                }
                Some(Sight::State(state)) => seen(name, *state, old, looked_at),
                // The last facts stay, but nothing is claimed.
                None if silent => {
                    let unknown = seen(name, ServiceState::Unknown, old, looked_at);
                    ServiceStatus {
                        name: unknown.name,
                        state: unknown.state,
                        since: unknown.since,
                        ..old.cloned().unwrap_or_default()
                    }
                }
                None => old.cloned().unwrap_or_else(|| seen(name, ServiceState::Unknown, old, looked_at)),
            }
        };
        let mut all: Vec<ServiceStatus> = self.stack.spec.services.iter().map(|spec| of(&spec.name)).collect();
        for (service, spec) in all.iter_mut().zip(&self.stack.spec.services) {
            let more = spec.depends_on.iter().filter(|d| !service.depends_on.contains(d)).cloned();
            let more: Vec<String> = more.collect();
            service.depends_on.extend(more);
        }
        let observed_generation = self.stack.metadata.generation;
        self.stack.status =
            Some(WicapStackStatus { services: all, observed_at: Some(looked_at), observed_generation, ..status });
    }
}

/// A service of which only the state was seen.
fn seen(name: &str, state: ServiceState, old: Option<&ServiceStatus>, now: Time) -> ServiceStatus {
    let mut new = ServiceStatus { name: name.to_owned(), state, ..ServiceStatus::default() };
    new.since = since(old, &new, now);
    if let Some(old) = old {
        new.depends_on.clone_from(&old.depends_on);
        new.starts.clone_from(&old.starts);
        let (from, to) = (runs(old.state), runs(state));
        if from == Some(false) && to == Some(true) {
            new.starts.push(now);
        }
        new.starts.retain(|start| elapsed(*start, now) <= STARTS_WINDOW);
        let surplus = new.starts.len().saturating_sub(STARTS_KEPT);
        new.starts.drain(..surplus);
    }
    new
}

/// Since when a service is in its state, by the observer's rule.
fn since(old: Option<&ServiceStatus>, new: &ServiceStatus, now: Time) -> Option<Time> {
    match old {
        Some(old) if old.state == new.state => old.since,
        _ if new.state == ServiceState::Exited => Some(new.finished_at.map_or(now, |ended| ended.min(now))),
        _ => Some(now),
    }
}

/// Whether there is a process in that state, where that is known.
fn runs(state: ServiceState) -> Option<bool> {
    use ServiceState as S;
    match state {
        S::Running | S::Starting | S::Unhealthy | S::Paused => Some(true),
        S::Restarting | S::Exited | S::Dead | S::Missing => Some(false),
        S::Unknown => None,
    }
}

/// What the actuator counts when it claims.
fn use_up(session: &mut ControlSession, now: Time) {
    let window = session.spec.budget.as_ref().map(|budget| budget.window.to_std());
    let usage = &mut session.status.get_or_insert_default().usage;
    usage.actions = usage.actions.saturating_add(1);
    if let Some(window) = window {
        usage.recent.retain(|at| elapsed(*at, now) < window);
        usage.recent.push(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::session::Budget;
    use crate::plan::decide::DecisionKind;
    use crate::plan::fixtures::{action, at, policy, seconds, session, stack, stop};
    use ServiceState as S;

    /// `ui`, for which everything is allowed and nothing is waited for, in a session that its replay has to open.
    fn replay() -> Replay {
        let mut stack = stack(&[("ui", S::Running)]);
        stack.status = None;
        let recovery = &mut stack.spec.defaults.recovery;
        (recovery.hold_off, recovery.backoff.initial) = (seconds(0), seconds(0));
        let session = ControlSession { status: None, ..session("night") };
        Replay::new(stack, Some(session), vec![policy("all")], Vec::new(), Vec::new())
    }

    fn seen(now: i64, state: ServiceState) -> Step {
        let services = [("ui".to_owned(), Sight::State(state))].into();
        Step { look: Look::Seen { at: None, services }, ..Step::at(at(now)) }
    }

    fn answered(mut step: Step, action: ActionKind, phase: ActionPhase) -> Step {
        step.results.insert((action, "ui".to_owned()), phase.into());
        step
    }

    fn kinds(plan: &Plan) -> Vec<(DecisionKind, Option<ActionKind>)> {
        plan.decisions.iter().map(|d| (d.kind, d.action)).collect()
    }

    fn ui(replay: &Replay) -> &ServiceStatus {
        replay.stack().status.as_ref().unwrap().service("ui").unwrap()
    }

    const START: ActionKind = ActionKind::StartService;
    const RESTART: ActionKind = ActionKind::RestartService;

    #[test]
    fn a_word_becomes_what_the_observer_would_write() {
        let mut replay = replay();
        for (now, state, since, starts) in [
            (0, S::Missing, 0, 0),
            (1000, S::Running, 1000, 1),
            (2000, S::Running, 1000, 1),
            (3000, S::Unhealthy, 3000, 1),
            (4000, S::Restarting, 4000, 1),
            (5000, S::Running, 5000, 2),
            (6000, S::Unknown, 6000, 2),
            (7000, S::Running, 7000, 2),
            (3_606_000, S::Running, 7000, 0),
        ] {
            replay.step(&seen(now, state));
            let status = ui(&replay);
            assert_eq!((status.since, status.starts.len()), (Some(at(since)), starts), "{now} {state:?}");
            assert_eq!(replay.stack().status.as_ref().unwrap().observed_at, Some(at(now)));
        }
    }

    #[test]
    fn an_engine_that_does_not_answer_leaves_the_last_facts_and_claims_nothing() {
        let mut replay = replay();
        let status =
            ServiceStatus { state: S::Exited, exit_code: Some(137), since: Some(at(-5)), ..ServiceStatus::default() };
        let services = [("ui".to_owned(), Sight::Status(Box::new(status)))].into();
        replay.step(&Step { look: Look::Seen { at: Some(at(-1)), services }, ..Step::at(at(0)) });
        assert_eq!((ui(&replay).since, replay.stack().status.as_ref().unwrap().observed_at), (Some(at(-5)), Some(at(-1))));
        let plan = replay.step(&Step { look: Look::Silent, ..Step::at(at(1000)) });
        assert_eq!((ui(&replay).state, ui(&replay).exit_code, plan.proposals.len()), (S::Unknown, Some(137), 0));
        assert_eq!(kinds(&plan), [(DecisionKind::Wait, None)]);
    }

    #[test]
    fn a_session_without_a_status_is_active_from_its_first_step_for_its_ttl() {
        let mut replay = replay();
        replay.session.as_mut().unwrap().spec.ttl = seconds(60);
        replay.step(&seen(1000, S::Running));
        assert_eq!(kinds(&replay.step(&seen(60_999, S::Exited))), [(DecisionKind::Act, Some(START))]);
        assert_eq!(kinds(&replay.step(&seen(61_000, S::Exited))), [(DecisionKind::Blocked, Some(START))]);
        let again = Some(Some(ControlSession { status: None, ..session("another") }));
        assert_eq!(
            kinds(&replay.step(&Step { session: again, ..seen(62_000, S::Exited) })),
            [(DecisionKind::Act, Some(START))]
        );
        assert_eq!(
            kinds(&replay.step(&Step { session: Some(None), ..seen(63_000, S::Exited) })),
            [(DecisionKind::Blocked, Some(RESTART))]
        );
    }

    #[test]
    fn what_is_claimed_is_used_up_and_what_is_denied_is_not() {
        let mut replay = replay();
        replay.session.as_mut().unwrap().spec.budget = Some(Budget { max_actions: 2, window: seconds(3600) });
        let used = |replay: &Replay| replay.session.as_ref().unwrap().status.as_ref().unwrap().usage.actions;
        replay.step(&answered(seen(0, S::Exited), START, ActionPhase::Denied));
        assert_eq!(used(&replay), 0);
        replay.step(&answered(seen(1000, S::Exited), START, ActionPhase::Pending));
        assert_eq!(used(&replay), 0);
        replay.step(&answered(seen(2000, S::Exited), START, ActionPhase::Running));
        replay.step(&answered(seen(3000, S::Exited), START, ActionPhase::Failed));
        assert_eq!(used(&replay), 1);
        assert_eq!(kinds(&replay.step(&seen(4000, S::Exited))), [(DecisionKind::Act, Some(RESTART))]);
        let plan = replay.step(&seen(5000, S::Exited));
        assert_eq!(kinds(&plan), [(DecisionKind::Blocked, Some(RESTART))]);
        assert_eq!(plan.decisions[0].until, Some(at(2000 + 3_600_000)), "the first claim leaves the window then");
    }

    #[test]
    fn an_answer_is_for_the_action_that_is_under_way_and_only_else_for_the_one_that_is_planned() {
        let mut replay = replay();
        replay.step(&answered(seen(0, S::Exited), START, ActionPhase::Running));
        assert_eq!(kinds(&replay.step(&seen(1000, S::Exited))), [(DecisionKind::Wait, Some(START))]);
        let over = Step { look: Look::None, ..answered(seen(2000, S::Exited), START, ActionPhase::Failed) };
        assert_eq!(kinds(&replay.step(&over)), [(DecisionKind::Wait, Some(START))], "nobody has looked since");
        assert_eq!(kinds(&replay.step(&seen(3000, S::Exited))), [(DecisionKind::Act, Some(START))]);
        let phases: Vec<_> = replay.actions.iter().map(|a| a.status.as_ref().unwrap().phase).collect();
        assert_eq!(phases, [ActionPhase::Failed, ActionPhase::Succeeded]);
    }

    #[test]
    fn a_shadow_sessions_actions_are_shadowed() {
        let mut replay = replay();
        replay.session.as_mut().unwrap().spec.mode = Mode::Shadow;
        assert_eq!(kinds(&replay.step(&seen(0, S::Exited))), [(DecisionKind::Shadow, Some(START))]);
        assert_eq!(replay.actions[0].status.as_ref().unwrap().phase, ActionPhase::Shadowed);
    }

    #[test]
    fn what_others_ask_for_and_a_stop_are_in_the_way() {
        let mut replay = replay();
        let theirs = |phase| Step { actions: vec![action("theirs", RESTART, "ui", phase)], ..seen(1000, S::Exited) };
        assert_eq!(kinds(&replay.clone().step(&theirs(ActionPhase::Running))), [(DecisionKind::Wait, Some(START))]);
        replay.step(&Step { stops: Some(vec![stop("all")]), ..seen(0, S::Running) });
        assert_eq!(kinds(&replay.step(&theirs(ActionPhase::Succeeded))), [(DecisionKind::Blocked, Some(START))]);
        assert_eq!(replay.actions.len(), 1);
        replay.step(&theirs(ActionPhase::Failed));
        assert_eq!(replay.actions.len(), 1);
    }

    #[test]
    fn another_spec_keeps_the_counters_and_another_status_replaces_them() {
        let mut replay = replay();
        replay.step(&seen(0, S::Exited));
        let total = |replay: &Replay| replay.stack().status.as_ref().unwrap().recovery[0].total;
        let mut changed = replay.stack().clone();
        changed.status = None;
        changed.spec.services[0].managed = false;
        replay.step(&Step { stack: Some(changed.clone()), ..seen(1000, S::Exited) });
        assert_eq!(total(&replay), 1);
        changed.status = Some(replay.stack().status.clone().unwrap());
        changed.status.as_mut().unwrap().recovery[0].total = 5;
        replay.step(&Step { stack: Some(changed), ..seen(2000, S::Exited) });
        assert_eq!(total(&replay), 5);
    }

    #[test]
    fn between_two_steps_time_alone_makes_the_next_action_due() {
        let mut replay = replay();
        replay.stack.spec.defaults.recovery.backoff.initial = seconds(100);
        replay.step(&seen(0, S::Exited));
        let due = replay.between(at(250_000)).unwrap();
        let actions: Vec<_> = due.iter().flat_map(|(_, plan)| kinds(plan)).collect();
        assert_eq!(actions, [(DecisionKind::Act, Some(START))], "{due:?}");
        assert!((at(100_000)..at(111_000)).contains(&due[0].0), "{due:?}");
        assert!(replay.between(at(250_000)).unwrap().is_empty());
        assert!(replay.between(Time::MAX).is_err());
    }
}
