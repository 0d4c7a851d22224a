//! One walk over a stack's drift, in the order of dependencies, from which the plan is made. Which step of a ladder is next is in `steps`.

mod steps;

use std::borrow::Cow;
use std::time::Duration;

use super::authorise::{self, Facts, TOOL_POLICY, authorise, in_flight, phase, touches};
use super::decide::{Decision, DecisionKind, Inputs, Note, Plan, Proposal, SETTLE, session_for};
use super::drift::{self, calls_for_action};
use super::episode::{self, Seen, WHOLE_STACK};
use super::incident::{self, Opened};
use super::ladder::{self, Due, Rung};
use super::maintenance::{Claim, Claims};
use super::order::Order;
use crate::api::action::{ActionKind, ActionPhase, ActionRun, ActionRunSpec, Cause, CauseKind, Params};
use crate::api::incident::Incident;
use crate::api::session::{ControlSession, Mode};
use crate::api::stack::{
    BlockedBy, DesiredState, Drift, DriftKind, Recovery, RecoveryState, ServiceSpec, ServiceState, WicapStackSpec,
    WicapStackStatus,
};
use crate::api::{Object, Time, after};

/// How often the whole stack is brought up at once before its services are taken one by one: once, and once more in case the
/// first met an engine that was still starting.
const WHOLE_STACK_ATTEMPTS: u32 = 2;

/// What is to be done about one drift.
enum Verdict<'a> {
    /// Nothing, and nothing is being waited for.
    Quiet,
    /// Nothing yet: until that time, or until something else changes. What is planned, and what is waited for.
    Wait(Option<Time>, Option<String>, String),
    /// A person must be called.
    Escalate,
    /// This.
    Try(Rung<'a>),
}

/// What became of an attempt.
enum Outcome {
    /// It was proposed, or waits for a free hand.
    Handled,
    /// That gate denied it. It may open at that time.
    Denied(BlockedBy, Option<Time>),
}

/// The plan in the making.
pub(super) struct Pass<'a> {
    inputs: &'a Inputs<'a>,
    status: &'a WicapStackStatus,
    session: Option<&'a ControlSession>,
    drift: Vec<Drift>,
    order: Order<'a>,
    claims: Claims<'a>,
    /// The actions there are, and those this pass proposes.
    actions: Cow<'a, [ActionRun]>,
    recovery: Vec<RecoveryState>,
    proposals: Vec<Proposal>,
    opened: Vec<Opened>,
    /// The incidents of the stack that are not over.
    unresolved: Vec<&'a Incident>,
    proposed: Option<String>,
    blocked: Option<(String, BlockedBy, Note)>,
    waiting: Option<String>,
    /// Moments at which time alone may change the plan.
    times: Vec<Time>,
    notes: Vec<Note>,
    decisions: Vec<Decision>,
}

impl<'a> Pass<'a> {
    pub(super) fn new(inputs: &'a Inputs<'a>, status: &'a WicapStackStatus) -> Self {
        let Inputs { stack, now, .. } = *inputs;
        let claims = Claims::new(stack, inputs.soaks, now);
        let claimed = |service: &str| claims.on(service).is_some();
        let mut unresolved = incident::unresolved(stack, inputs.incidents);
        unresolved.retain(|i| !claimed(&i.spec.service));
        let acknowledged = |service: &str| unresolved.iter().any(|i| i.spec.service == service && i.spec.acknowledged);
        let mut drift = drift::detect_anew(stack, &acknowledged, now);
        let of_claim = |d: &Drift| claims.on(&d.service).map(|claim| (d.service.clone(), claim));
        let maintained: Vec<(String, Claim)> = drift.iter().filter(|d| !d.service.is_empty()).filter_map(of_claim).collect();
        let decisions = maintained.iter().map(|(service, claim)| Decision {
            kind: DecisionKind::Wait,
            action: None,
            target: service.clone(),
            reason: claim.to_string(),
            until: Some(claim.until()),
        });
        let decisions = decisions.collect();
        drift.retain(|d| d.service.is_empty() || !claimed(&d.service));
        let (acknowledged, claimed) = (&acknowledged, &claimed);
        let session = session_for(stack.name(), inputs.sessions, now);
        // What was only said has used up nothing once it may be done.
        let acts = session.is_some_and(|s| s.spec.mode == Mode::Assist);
        let shadowed =
            |name: &str| acts && inputs.actions.iter().any(|a| a.name() == name && phase(a) == ActionPhase::Shadowed);
        let shadowed = &shadowed;
        let tracked = episode::track(&Seen { stack, status, drift: &drift, acknowledged, claimed, shadowed, now });
        let news = drift.iter().filter(|d| !status.drift.iter().any(|old| old.service == d.service && old.kind == d.kind));
        let flapping = status.services.iter().filter_map(|s| drift::flaps_until(stack, s, now));
        let times =
            tracked.resets.into_iter().chain(flapping).chain(maintained.iter().map(|(_, claim)| claim.until())).collect();
        let mut notes: Vec<Note> =
            news.map(|d| Note::Drifted { service: d.service.clone(), kind: d.kind, message: told(d) }).collect();
        notes.extend(tracked.recovered.into_iter().map(|service| Note::Recovered { service }));
        Self {
            inputs,
            status,
            session,
            drift,
            order: Order::new(&stack.spec, status),
            actions: Cow::Borrowed(inputs.actions),
            recovery: tracked.recovery,
            proposals: Vec::new(),
            opened: Vec::new(),
            unresolved,
            proposed: None,
            blocked: None,
            waiting: maintained.first().map(|(_, claim)| claim.to_string()),
            claims,
            times,
            notes,
            decisions,
        }
    }

    /// Walks, and makes the plan.
    pub(super) fn run(mut self) -> Plan {
        if self.rolling_back().is_some() || !self.bring_up_whole_stack() {
            let mut names: Vec<&str> = self.order.names().collect();
            if self.spec().desired_state == DesiredState::Stopped {
                names.reverse();
            }
            for name in names {
                if let Some(drift) = self.drift.iter().find(|d| d.service == name).cloned() {
                    self.mend(&drift);
                } else if self.is_unknown(name) {
                    let why = format!("{name} is Unknown: nothing is done about what could not be asked");
                    self.decide(DecisionKind::Wait, None, name, why, None);
                }
            }
        }
        self.finish()
    }

    fn mend(&mut self, drift: &Drift) {
        match self.consider(drift) {
            Verdict::Quiet => {
                let state = self.state(&drift.service);
                let called = state.escalated_at.map(|at| format!(" at {at:.0}"));
                let called = called.or_else(|| state.exhausted.contains(&drift.kind).then(String::new));
                if let Some(when) = called {
                    let why = format!("{}; a person was called{when}, nothing more is done", told(drift));
                    self.decide(DecisionKind::Wait, None, &drift.service, why, None);
                }
            }
            Verdict::Wait(until, planned, why) => {
                let action = self.rung(drift, &self.state(&drift.service));
                self.decide(DecisionKind::Wait, action.map(|rung| rung.action), &drift.service, why, until);
                self.wait(until, planned);
            }
            Verdict::Escalate => self.escalate(drift),
            Verdict::Try(rung) => {
                if let Outcome::Denied(by, opens) = self.attempt(&drift.service, rung, drift) {
                    // A rollback that no policy allows is none.
                    if rung.rollback && by.gate == TOOL_POLICY {
                        self.escalate(drift);
                    } else {
                        self.block(&drift.service, rung.action, by, opens);
                    }
                }
            }
        }
    }

    fn consider(&self, drift: &Drift) -> Verdict<'a> {
        let now = self.inputs.now;
        let name = drift.service.as_str();
        let Some(service) = self.spec().service(name).filter(|s| s.managed) else { return Verdict::Quiet };
        let state = self.state(name);
        let given_up = state.escalated_at.is_some() || state.exhausted.contains(&drift.kind);
        if given_up || !calls_for_action(self.spec(), name, drift.kind) {
            return Verdict::Quiet;
        }
        // Whatever is done would be one more start.
        if drift.kind == DriftKind::Flapping {
            return Verdict::Escalate;
        }
        let recovery = self.spec().recovery(service);
        let rung = self.rung(drift, &state);
        let planned = rung.map(|r| described(r.action, name));
        if let Some(other) = self.rolling_back().filter(|other| *other != name) {
            let waits = format!("waits for the rollback of {other}");
            return Verdict::Wait(None, planned.map(|action| format!("{action} ({waits})")), waits);
        }
        let in_order = !state.rollback && rung.is_none_or(|rung| !rung.rollback);
        let hold_off = after(drift.since, recovery.hold_off.to_std());
        if in_order && hold_off > now {
            return Verdict::Wait(Some(hold_off), planned, waits_for_hold_off(drift));
        }
        if let Some(verdict) = self.not_yet(&state, planned.clone()) {
            return verdict;
        }
        if let Some((other, why)) = self.goes_first(name).filter(|_| in_order) {
            let waits = format!("waits for {other}: {why}");
            return Verdict::Wait(None, planned.map(|action| format!("{action} ({waits})")), waits);
        }
        let Some(rung) = rung else { return Verdict::Escalate };
        let waits =
            |until, why: String| Verdict::Wait(until, Some(format!("{} ({why})", described(rung.action, name))), why);
        match rung.due(drift.since, &state, now) {
            Due::At(at) => return waits(Some(at), format!("from {at:.0} on")),
            Due::Observed(n) => return waits(None, format!("found in drift {} of {n} times", state.observations)),
            Due::Now => {}
        }
        let touched = |s: &&ServiceSpec| rung.action.takes_down() || rung.services().contains(&s.name);
        let claim = |s: &ServiceSpec| self.claims.on(&s.name).map(|claim| (s.name.clone(), claim));
        if let Some((other, claim)) = self.spec().services.iter().filter(touched).find_map(claim) {
            return waits(Some(claim.until()), format!("waits for {other}: {claim}"));
        }
        let unseen = |s: &&ServiceSpec| self.status.service(&s.name).is_none_or(|s| s.state == ServiceState::Unknown);
        if let Some(other) = self.spec().services.iter().filter(touched).find(unseen) {
            return waits(None, format!("waits for {}: Unknown", other.name));
        }
        if drift::is_voluntary(drift.kind)
            && let Some(why) = self.would_disturb(name)
        {
            return waits(None, why);
        }
        Verdict::Try(rung)
    }

    /// Why what serves is not disturbed of our own accord now: something is under way, or another critical service does not serve.
    fn would_disturb(&self, name: &str) -> Option<String> {
        if let Some(run) = self.of_stack().filter(|a| in_flight(a, true)).min_by_key(|a| a.name()) {
            return Some(format!("waits for {}", described(run.spec.action, &run.spec.target)));
        }
        self.spec().services.iter().filter(|s| s.critical && s.name != name).find_map(|other| {
            let state = self.status.service(&other.name).map(|s| s.state).unwrap_or_default();
            let drift = self.drift.iter().find(|d| d.service == other.name && !drift::is_voluntary(d.kind));
            match drift {
                Some(drift) => Some(format!("waits for {}: {:?}", other.name, drift.kind)),
                None => (state != ServiceState::Running).then(|| format!("waits for {}: {state:?}", other.name)),
            }
        })
    }

    /// The service that is being rolled back: what is down meanwhile is down on purpose.
    fn rolling_back(&self) -> Option<&'a str> {
        self.order.names().find(|name| {
            let state = self.recovery.iter().find(|r| r.service == *name);
            let Some(state) = state.filter(|r| r.rollback && r.escalated_at.is_none()) else { return false };
            let managed = self.spec().service(name).is_some_and(|s| s.managed);
            let in_drift = |d: &Drift| {
                d.service == *name && calls_for_action(self.spec(), name, d.kind) && !state.exhausted.contains(&d.kind)
            };
            managed && self.drift.iter().any(in_drift)
        })
    }

    /// What the last action on the service, or on the whole stack, still stands in the way of.
    fn not_yet(&self, state: &RecoveryState, planned: Option<String>) -> Option<Verdict<'a>> {
        let now = self.inputs.now;
        let last = state.last_action.as_deref();
        let touching = || self.of_stack().filter(|a| touches(a, &state.service) || Some(a.name()) == last);
        let open = touching().filter(|a| in_flight(a, true) || (Some(a.name()) == last && !phase(a).is_final()));
        if let Some(run) = open.min_by_key(|a| a.name()) {
            let under_way = described(run.spec.action, &run.spec.target);
            let why = format!("{under_way} is under way: {}", run.name());
            return Some(Verdict::Wait(None, Some(under_way), why));
        }
        // What was observed before the action ended may be what it was to mend. However long the next look takes: the observer
        // looks once more when an action has ended, and one that is gone has a successor.
        // An end that is far ahead is of a clock that was set back since.
        let sane = |ended: &Time| *ended <= after(now, drift::STALE_AFTER);
        let ended = touching().filter_map(|a| a.status.as_ref()?.finished_at).filter(sane).max();
        if ended.is_some_and(|ended| self.status.observed_at.is_none_or(|at| at <= ended)) {
            return Some(Verdict::Wait(None, planned, "its last action is over; it is looked at next".to_owned()));
        }
        // An action that was asked for and is not in the list yet gets as long to appear in it.
        let unseen = last.is_some_and(|last| !self.of_stack().any(|a| a.name() == last));
        let appears = state.acted_at.filter(|_| unseen).map(|at| after(at, SETTLE));
        let backoff = state.backoff_until.filter(|_| !self.backoff_is_void(state));
        let until = backoff.max(appears)?;
        let why = || format!("backs off after {}", last.unwrap_or("its last action"));
        (until > now).then(|| Verdict::Wait(Some(until), planned, why()))
    }

    /// Whether a service that this one depends on has become well since this one was acted on: what the last action could not mend
    /// the next one may, and a wait must not outlive its reason.
    fn backoff_is_void(&self, state: &RecoveryState) -> bool {
        let Some(acted_at) = state.acted_at else { return false };
        let came_back = |other: &&str| {
            let dependency = self.status.service(other).filter(|s| drift::is_well(self.spec(), s));
            dependency.and_then(|s| s.since).is_some_and(|since| since > acted_at)
        };
        self.spec().desired_state == DesiredState::Running && self.order.dependencies(&state.service).iter().any(came_back)
    }

    /// A service that must be mended, or stopped, before this one.
    fn goes_first(&self, name: &str) -> Option<(&'a str, String)> {
        let stopping = self.spec().desired_state == DesiredState::Stopped;
        let before = if stopping { self.order.dependents(name) } else { self.order.dependencies(name) };
        before.into_iter().find_map(|other| {
            if let Some(run) = self.of_stack().filter(|a| in_flight(a, true) && touches(a, other)).min_by_key(|a| a.name()) {
                return Some((other, run.spec.action.to_string()));
            }
            if self.status.service(other).is_none_or(|s| s.state == ServiceState::Unknown) {
                return Some((other, "Unknown".to_owned()));
            }
            let well = self.status.service(other).is_some_and(|s| drift::is_well(self.spec(), s));
            if let Some(claim) = self.claims.on(other).filter(|_| !well) {
                return Some((other, claim.to_string()));
            }
            let drift = self.drift.iter().find(|d| d.service == other)?;
            let state = self.state(other);
            let given_up = state.escalated_at.is_some() || state.exhausted.contains(&drift.kind);
            let stands_in_the_way = match drift.kind {
                // It runs; what it depends on need not wait for what nobody will do.
                DriftKind::ConfigDrift | DriftKind::ImageDrift => {
                    calls_for_action(self.spec(), other, drift.kind) && !given_up
                }
                DriftKind::Flapping => !well,
                DriftKind::ShouldBeStopped => !given_up && self.spec().service(other).is_some_and(|s| s.managed),
                _ => true,
            };
            stands_in_the_way.then(|| (other, format!("{:?}", drift.kind)))
        })
    }

    /// When nothing is there at all, brings everything up at once. False when the services are to be taken one by one.
    fn bring_up_whole_stack(&mut self) -> bool {
        let now = self.inputs.now;
        let managed = || self.spec().services.iter().filter(|s| s.managed);
        if self.spec().desired_state == DesiredState::Stopped || managed().count() < 2 {
            return false;
        }
        let missing = |name: &str| self.drift.iter().find(|d| d.service == name && d.kind == DriftKind::Missing);
        let Some(all) = managed().map(|s| missing(&s.name)).collect::<Option<Vec<_>>>() else { return false };
        let Some(since) = all.iter().map(|d| d.since).max() else { return false };
        let drift = Drift {
            service: WHOLE_STACK.to_owned(),
            kind: DriftKind::Missing,
            severity: all.iter().map(|d| d.severity).max().unwrap_or_default(),
            since,
            evidence: format!("none of its {} managed services has a container", all.len()),
        };
        let state = self.state(WHOLE_STACK);
        let action = ActionKind::ComposeUp;
        let planned = Some(described(action, WHOLE_STACK));
        let hold_off = after(since, self.spec().defaults.recovery.hold_off.to_std());
        if hold_off > now {
            self.decide(DecisionKind::Wait, Some(action), WHOLE_STACK, waits_for_hold_off(&drift), Some(hold_off));
            self.wait(Some(hold_off), planned);
            return true;
        }
        if let Some(verdict) = self.not_yet(&state, planned) {
            if let Verdict::Wait(until, planned, why) = verdict {
                self.decide(DecisionKind::Wait, Some(action), WHOLE_STACK, why, until);
                self.wait(until, planned);
            }
            return true;
        }
        if state.total >= WHOLE_STACK_ATTEMPTS {
            return false;
        }
        let rung = Rung { action, step: 0, attempt: state.attempts + 1, declared: None, rollback: false };
        match self.attempt(WHOLE_STACK, rung, &drift) {
            Outcome::Handled => true,
            // A policy that speaks of single services may still let each of them be brought up by itself.
            Outcome::Denied(by, _) if by.gate == TOOL_POLICY => false,
            Outcome::Denied(by, opens) => {
                self.block(WHOLE_STACK, action, by, opens);
                true
            }
        }
    }

    fn attempt(&mut self, service: &str, rung: Rung<'_>, drift: &Drift) -> Outcome {
        let Inputs { stack, now, .. } = *self.inputs;
        let target = if rung.action.takes_down() { WHOLE_STACK } else { service };
        let busy = self.of_stack().filter(|a| in_flight(a, true)).count();
        let room = if target == WHOLE_STACK { 1 } else { self.spec().defaults.max_concurrent as usize };
        if rung.action.changes() && busy >= room {
            let why = format!("{busy} changing actions are under way, of {room} at most");
            self.decide(DecisionKind::Wait, Some(rung.action), target, why, None);
            self.wait(None, Some(described(rung.action, service)));
            return Outcome::Handled;
        }
        let session = self.session.map_or("", |s| s.name());
        let services = rung.services();
        let request = self.request(service, &rung);
        let facts = self.facts();
        let decision = authorise(&request, &facts);
        if let Some(denied) = decision.trace.iter().find(|v| !v.allowed).cloned() {
            let opens = authorise::opens_at(&request, &facts);
            self.times.extend(opens);
            return Outcome::Denied(BlockedBy { gate: denied.gate, message: denied.reason }, opens);
        }
        let mut state = RecoveryState { episode: self.state(service).episode.max(1), ..self.state(service) };
        let total = state.total.saturating_add(1);
        let name = episode::name(stack, service, rung.action, state.episode, total);
        let spec = ActionRunSpec {
            stack: stack.name().to_owned(),
            action: rung.action,
            target: target.to_owned(),
            params: Params { services: services.to_vec() },
            session: session.to_owned(),
            cause: Cause {
                kind: CauseKind::Drift,
                summary: told(drift),
                drift: Some(drift.kind),
                since: Some(drift.since),
                object: Some(format!("wicapstack/{}", stack.name())),
                attempt: Some(format!("episode {}, action {total}", state.episode)),
            },
            timeout: rung.declared.and_then(|step| step.timeout),
            dry_run: false,
        };
        let wait = if rung.takes_down() { Duration::ZERO } else { self.wait_after(service, total) };
        ladder::advance(&mut state, rung, name.clone(), now, wait);
        if !state.kinds.contains(&drift.kind) {
            state.kinds.push(drift.kind);
        }
        self.times.extend(state.backoff_until);
        self.put(state);
        self.proposed.get_or_insert_with(|| described(rung.action, service));
        let kind = if decision.shadow { DecisionKind::Shadow } else { DecisionKind::Act };
        self.decide(kind, Some(rung.action), target, told(drift), None);
        let message = format!("{}: {}", described(rung.action, service), told(drift));
        self.notes.push(Note::Planned { service: service.to_owned(), action: rung.action, name: name.clone(), message });
        self.actions.to_mut().push(ActionRun::new(&name, spec.clone()));
        self.proposals.push(Proposal { name, spec });
        Outcome::Handled
    }

    fn block(&mut self, service: &str, action: ActionKind, by: BlockedBy, opens: Option<Time>) {
        self.decide(DecisionKind::Blocked, Some(action), service, format!("{}: {}", by.gate, by.message), opens);
        if self.blocked.is_none() {
            let planned = described(action, service);
            let message = format!("{planned} is not done: {}: {}", by.gate, by.message);
            let note = Note::Blocked { service: service.to_owned(), action, gate: by.gate.clone(), message };
            self.blocked = Some((planned, by, note));
        }
        self.wait(None, None);
    }

    fn wait(&mut self, until: Option<Time>, planned: Option<String>) {
        self.times.extend(until);
        // Whatever is waited for may be over before the session is.
        self.times.extend(self.session.and_then(|s| s.status.as_ref()?.expires_at));
        self.waiting = self.waiting.take().or(planned);
    }

    fn escalate(&mut self, drift: &Drift) {
        if self.opened.len() >= incident::MOST {
            let why = format!("{}; other incidents are opened first", told(drift));
            self.decide(DecisionKind::Wait, None, &drift.service, why, None);
            return self.wait(Some(after(self.inputs.now, Duration::from_millis(1))), None);
        }
        let mut state = self.state(&drift.service);
        if drift::is_voluntary(drift.kind) {
            // It runs: when it ends, its ladder is there.
            state.exhausted.push(drift.kind);
        } else {
            state.escalated_at = Some(self.inputs.now);
            let kinds = std::mem::take(&mut state.kinds);
            state.exhausted.extend(kinds.into_iter().chain([drift.kind]));
        }
        state.exhausted.sort_unstable();
        state.exhausted.dedup();
        let opened = incident::open(self.inputs.stack, drift, state.episode.max(1));
        // One that is there already, from before the stack's status was lost, is not made again.
        if !self.inputs.incidents.iter().any(|i| i.name() == opened.name) {
            self.opened.push(opened);
        }
        let taken = if drift::is_voluntary(drift.kind) { state.recreated } else { state.total };
        let tried = match taken {
            _ if drift.kind == DriftKind::Flapping => "nothing more is done".to_owned(),
            0 => "its ladder is empty".to_owned(),
            1 => "1 action did not mend it".to_owned(),
            n => format!("{n} actions did not mend it"),
        };
        let message = format!("{}; {tried}, a person is needed", told(drift));
        self.decide(DecisionKind::Escalate, None, &drift.service, message.clone(), None);
        self.notes.push(Note::Escalated { service: drift.service.clone(), message });
        self.put(state);
    }

    fn finish(mut self) -> Plan {
        let (planned_action, blocked_by) = match (self.proposed, self.blocked) {
            (Some(planned), _) => (Some(planned), None),
            (None, Some((planned, by, note))) => {
                let known =
                    self.status.planned_action.as_ref() == Some(&planned) && self.status.blocked_by.as_ref() == Some(&by);
                self.notes.extend((!known).then_some(note));
                (Some(planned), Some(by))
            }
            (None, None) => (self.waiting, None),
        };
        if !self.drift.is_empty() {
            // One millisecond later it is older than that, and every drift is Unknown.
            let stale = self.status.observed_at.map(|at| after(after(at, drift::STALE_AFTER), Duration::from_millis(1)));
            self.times.extend(stale);
        }
        let Inputs { stack, actions, now, .. } = *self.inputs;
        let (status, drift, recovery) = (self.status, self.drift.as_slice(), self.recovery.as_slice());
        let followed = incident::Seen { stack, status, drift, recovery, actions, now }.follow(&self.unresolved);
        Plan {
            escalated: escalated(&stack.spec, &self.recovery, &self.drift),
            opened: self.opened,
            followed,
            next: self.times.into_iter().filter(|t| *t > now).min(),
            drift: self.drift,
            recovery: self.recovery,
            proposals: self.proposals,
            planned_action,
            blocked_by,
            notes: self.notes,
            decisions: self.decisions,
        }
    }

    fn decide(&mut self, kind: DecisionKind, action: Option<ActionKind>, target: &str, reason: String, until: Option<Time>) {
        self.decisions.push(Decision { kind, action, target: target.to_owned(), reason, until });
    }

    /// Whether the service is one that would be mended if it were known to be in drift.
    fn is_unknown(&self, name: &str) -> bool {
        let unknown = |name| self.status.service(name).is_none_or(|s| s.state == ServiceState::Unknown);
        self.spec().service(name).is_some_and(|s| s.managed) && unknown(name)
    }

    fn spec(&self) -> &'a WicapStackSpec {
        &self.inputs.stack.spec
    }

    fn of_stack(&self) -> impl Iterator<Item = &ActionRun> {
        let stack = self.inputs.stack.name();
        self.actions.iter().filter(move |a| a.spec.stack == stack)
    }

    fn facts(&self) -> Facts<'_> {
        let Inputs { sessions, policies, stops, now, .. } = *self.inputs;
        // No ladder has a destructive action, and a plan waits for no answer.
        let (elevations, approvals) = (&[], &[]);
        Facts { sessions, policies, stops, elevations, approvals, actions: &self.actions, directory: None, roots: &[], now }
    }

    fn state(&self, service: &str) -> RecoveryState {
        let stored = self.recovery.iter().find(|r| r.service == service).cloned();
        stored.unwrap_or_else(|| RecoveryState { service: service.to_owned(), episode: 1, ..RecoveryState::default() })
    }

    fn put(&mut self, state: RecoveryState) {
        match self.recovery.iter_mut().find(|r| r.service == state.service) {
            Some(old) => *old = state,
            // Only the whole stack's entry is made here; it stands first.
            None => self.recovery.insert(0, state),
        }
    }

    fn recovery_of(&self, service: &str) -> &'a Recovery {
        let spec = self.spec();
        spec.service(service).map_or(&spec.defaults.recovery, |s| spec.recovery(s))
    }

    fn wait_after(&self, service: &str, k: u32) -> Duration {
        let uid = self.inputs.stack.metadata.uid.as_deref().unwrap_or_default();
        ladder::wait(&self.recovery_of(service).backoff, uid, service, k)
    }
}

/// The managed services for which a person is called.
pub(super) fn escalated(spec: &WicapStackSpec, recovery: &[RecoveryState], drift: &[Drift]) -> Vec<String> {
    let quiet = |r: &RecoveryState| drift.iter().any(|d| d.service == r.service && r.exhausted.contains(&d.kind));
    let given_up = |name: &str| recovery.iter().any(|r| r.service == name && (r.escalated_at.is_some() || quiet(r)));
    spec.services.iter().filter(|s| s.managed && given_up(&s.name)).map(|s| s.name.clone()).collect()
}

/// An action as people read it: `start_service processor`.
fn described(action: ActionKind, service: &str) -> String {
    if service.is_empty() { action.to_string() } else { format!("{action} {service}") }
}

fn waits_for_hold_off(drift: &Drift) -> String {
    format!("{}; the engine's own restart policy gets its chance", told(drift))
}

/// A drift as people read it: `processor NotRunning since 2026-01-01T00:00:00Z: exited with code 137`.
fn told(drift: &Drift) -> String {
    let service = if drift.service.is_empty() { "stack" } else { &drift.service };
    format!("{service} {:?} since {:.0}: {}", drift.kind, drift.since, drift.evidence)
}
