//! A stack's history as a file that can be replayed.
//!
//! ```text
//!  every revision ─► what it changes ─► pending ── the planner wrote ──────────► a step at the time it decided at
//!                                          │
//!                                          └── deciding would change nothing ──► a step at the time of the change
//! ```
//!
//! The planner sees some changes together, and others it decides on without a word. So a change is a step of its own when
//! deciding on it changes nothing, and goes into the next step otherwise: that is the one that the planner decided on. Each step
//! is replayed as it is written, and what the planner wrote is compared with what the replay gives.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;
use serde_json::Value;

use super::file::{self, Written, WrittenAnswer, WrittenLook, WrittenStep};
use crate::api::action::{ActionPhase, ActionRun, ActionRunStatus};
use crate::api::incident::Incident;
use crate::api::policy::ControlPolicy;
use crate::api::session::ControlSession;
use crate::api::stack::{WicapStack, WicapStackStatus};
use crate::api::stop::{self, EmergencyStop};
use crate::api::{Object, Time, after};
use crate::audit::redact::redact;
use crate::cli::{Error, Io};
use crate::plan::decide::session_for;
use crate::plan::replay::Replay;
use crate::store::history::{Span, State};
use crate::store::{self, Store};

/// How often a history is read that is compacted meanwhile. Stores are compacted every few minutes at most.
const TRIES: usize = 3;

/// The least time between two steps, which must rise: changes of one moment keep their order by it.
const TICK: std::time::Duration = std::time::Duration::from_nanos(1);

/// Reads the history of a stack and returns it as a file. What cannot be explained is told on `io.err`.
pub(super) async fn record(stack: &str, store: &Store, io: &mut Io<'_>) -> Result<String, Error> {
    let mut tries = 0;
    let revisions = loop {
        tries += 1;
        match revisions(stack, store).await {
            Err(store::Error::Expired) if tries < TRIES => {}
            other => break other?,
        }
    };
    let mut recorder: Option<Recorder> = None;
    let mut world = World::default();
    for (_, news) in revisions {
        match &mut recorder {
            Some(recorder) => recorder.take(news, &mut world)?,
            None => {
                news.into_iter().for_each(|one| world.take(one));
                if let Some(stack) = world.stack.clone() {
                    recorder = Some(Recorder::begin(&stack, &world)?);
                }
            }
        }
    }
    let Some(mut recorder) = recorder else {
        return Err(store::Error::NotFound { kind: "wicapstacks", name: stack.to_owned() }.into());
    };
    recorder.settle(&world)?;
    for problem in &recorder.problems {
        writeln!(io.err, "warning: {problem}")?;
    }
    let mut text = serde_json::to_string_pretty(&recorder.written).map_err(unwritable)?;
    text.push('\n');
    Ok(text)
}

fn unwritable(error: serde_json::Error) -> Error {
    Error::Output(error.into())
}

/// A change of what bears on the stack.
enum News {
    Stack(Option<Box<WicapStack>>),
    Session(String, Option<Box<ControlSession>>),
    Policy(String, Option<Box<ControlPolicy>>),
    Stop(String, Option<Box<EmergencyStop>>),
    Action(String, Option<Box<ActionRun>>),
    Incident(String, Option<Box<Incident>>),
}

/// All that bears on the stack, by the revision that changed it. What was before its last creation is a part of the beginning.
async fn revisions(stack: &str, store: &Store) -> Result<BTreeMap<i64, Vec<News>>, store::Error> {
    let span: Span = store.span().await?;
    let (stacks, sessions, policies) =
        (store.api::<WicapStack>(), store.api::<ControlSession>(), store.api::<ControlPolicy>());
    let (stops, actions) = (store.api::<EmergencyStop>(), store.api::<ActionRun>());
    let incidents = store.api::<Incident>();
    let (stacks, sessions, policies, stops, actions, incidents) = tokio::try_join!(
        stacks.history(span),
        sessions.history(span),
        policies.history(span),
        stops.history(span),
        actions.history(span),
        incidents.history(span),
    )?;
    let mut revisions: BTreeMap<i64, Vec<News>> = BTreeMap::new();
    let uid = |state: &State<WicapStack>| state.object.as_ref().and_then(|s| s.metadata.uid.clone());
    let last = stacks.iter().filter(|s| s.name == stack).filter_map(uid).next_back();
    for state in stacks.into_iter().filter(|s| s.name == stack) {
        // Another stack that had the name before has nothing to do with this one.
        if uid(&state) == last {
            revisions.entry(state.revision).or_default().push(News::Stack(state.object.map(Box::new)));
        }
    }
    for state in sessions.into_iter().filter(|s| s.object.as_ref().is_none_or(|s| s.spec.stack == stack)) {
        revisions.entry(state.revision).or_default().push(News::Session(state.name, state.object.map(Box::new)));
    }
    for state in policies {
        revisions.entry(state.revision).or_default().push(News::Policy(state.name, state.object.map(Box::new)));
    }
    for state in stops.into_iter().filter(|s| s.name == stack || s.name == stop::ALL) {
        revisions.entry(state.revision).or_default().push(News::Stop(state.name, state.object.map(Box::new)));
    }
    for state in actions.into_iter().filter(|s| s.object.as_ref().is_none_or(|a| a.spec.stack == stack)) {
        revisions.entry(state.revision).or_default().push(News::Action(state.name, state.object.map(Box::new)));
    }
    for state in incidents.into_iter().filter(|s| s.object.as_ref().is_none_or(|i| i.spec.stack == stack)) {
        revisions.entry(state.revision).or_default().push(News::Incident(state.name, state.object.map(Box::new)));
    }
    Ok(revisions)
}

/// What bears on the stack at a revision.
#[derive(Default)]
struct World {
    stack: Option<WicapStack>,
    sessions: BTreeMap<String, ControlSession>,
    policies: BTreeMap<String, ControlPolicy>,
    stops: BTreeMap<String, EmergencyStop>,
    actions: BTreeMap<String, ActionRun>,
    incidents: BTreeMap<String, Incident>,
}

impl World {
    fn take(&mut self, news: News) {
        fn put<K>(all: &mut BTreeMap<String, K>, name: String, object: Option<Box<K>>) {
            match object {
                Some(object) => {
                    all.insert(name, *object);
                }
                None => {
                    all.remove(&name);
                }
            }
        }
        match news {
            News::Stack(stack) => self.stack = stack.map(|s| *s),
            News::Session(name, session) => put(&mut self.sessions, name, session),
            News::Policy(name, policy) => put(&mut self.policies, name, policy),
            News::Stop(name, stop) => put(&mut self.stops, name, stop),
            News::Action(name, action) => put(&mut self.actions, name, action),
            News::Incident(name, incident) => put(&mut self.incidents, name, incident),
        }
    }

    /// The session that is planned for at `now`, as a recording holds it.
    fn session(&self, stack: &str, now: Time) -> Result<Value, Error> {
        session_for(stack, self.sessions.values(), now).map_or(Ok(Value::Null), |session| {
            let mut session = bare(session);
            if let Some(status) = session.status.as_mut() {
                status.conditions.clear();
            }
            written(&session)
        })
    }

    fn policies(&self) -> Result<Vec<Value>, Error> {
        let spec_only = |policy: &ControlPolicy| ControlPolicy { status: None, ..bare(policy) };
        self.policies.values().map(|policy| written(&spec_only(policy))).collect()
    }

    fn stops(&self) -> Result<Vec<Value>, Error> {
        let spec_only = |stop: &EmergencyStop| EmergencyStop { status: None, ..bare(stop) };
        self.stops.values().map(|stop| written(&spec_only(stop))).collect()
    }
}

/// An object with as much of its metadata as bears on decisions.
fn bare<K: Object>(object: &K) -> K {
    let mut bare = object.clone();
    let meta = std::mem::take(bare.meta_mut());
    *bare.meta_mut() = kube::core::ObjectMeta {
        name: meta.name,
        uid: meta.uid,
        generation: meta.generation,
        deletion_timestamp: meta.deletion_timestamp,
        labels: meta.labels,
        ..kube::core::ObjectMeta::default()
    };
    bare
}

/// An action with as much of its status as bears on decisions.
fn action(run: &ActionRun) -> Result<Value, Error> {
    let mut run = bare(run);
    run.status = run.status.map(|s| ActionRunStatus {
        phase: s.phase,
        started_at: s.started_at,
        finished_at: s.finished_at,
        ..ActionRunStatus::default()
    });
    written(&run)
}

/// As it is written: without secrets.
fn written(object: &impl Serialize) -> Result<Value, Error> {
    let mut value = serde_json::to_value(object).map_err(unwritable)?;
    clean(&mut value);
    Ok(value)
}

/// Takes the secrets out of every text. The keys are ours.
fn clean(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let std::borrow::Cow::Owned(redacted) = redact(text) {
                *text = redacted;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(clean),
        Value::Object(fields) => fields.values_mut().for_each(clean),
        _ => {}
    }
}

/// What the planner wrote of a status.
fn planners_half(status: Option<&WicapStackStatus>) -> WicapStackStatus {
    status.map_or_else(WicapStackStatus::default, |s| WicapStackStatus {
        drift: s.drift.clone(),
        recovery: s.recovery.clone(),
        planned_action: s.planned_action.clone(),
        blocked_by: s.blocked_by.clone(),
        ..WicapStackStatus::default()
    })
}

struct Recorder {
    written: Written,
    replay: Replay,
    listed: HashSet<String>,
    /// Before the last revision that was taken.
    stack: WicapStack,
    /// What was seen of the session last, so that a change is known.
    session: Value,
    /// The actions that the replay knows.
    known: HashSet<String>,
    /// What has changed since the last step.
    pending: WrittenStep,
    is_pending: bool,
    /// The latest time that is known of what is pending.
    at: Option<Time>,
    /// The time of the last step.
    before: Option<Time>,
    problems: Vec<String>,
}

impl Recorder {
    fn begin(stack: &WicapStack, world: &World) -> Result<Self, Error> {
        let at = stack.status.as_ref().and_then(|s| s.observed_at.max(s.decided_at));
        let session = at.map_or(Ok(Value::Null), |at| world.session(stack.name(), at))?;
        let written = Written {
            stack: written(&bare(stack))?,
            session: session.clone(),
            policies: world.policies()?,
            stops: world.stops()?,
            actions: world.actions.values().map(action).collect::<Result<_, _>>()?,
            incidents: world.incidents.values().map(|i| written(&bare(i))).collect::<Result<_, _>>()?,
            steps: Vec::new(),
        };
        let read = file::read(&serde_json::to_value(&written).map_err(unwritable)?);
        let replay = read.map_err(|v| Error::No(format!("the beginning cannot be replayed: {v}")))?.replay;
        Ok(Self {
            written,
            replay,
            listed: file::services(stack),
            stack: stack.clone(),
            session,
            known: world.actions.keys().cloned().collect(),
            pending: WrittenStep::default(),
            is_pending: false,
            at: None,
            before: at,
            problems: Vec::new(),
        })
    }

    /// Takes what one revision changed.
    fn take(&mut self, news: Vec<News>, world: &mut World) -> Result<(), Error> {
        let planned = news.iter().find_map(|one| match one {
            News::Stack(Some(stack)) if self.is_planned(stack) => {
                stack.status.as_ref().and_then(|s| s.decided_at).or(self.at).or(self.before)
            }
            _ => None,
        });
        if planned.is_none() {
            // What is pending already was another change, unless the planner saw them together.
            self.settle(world)?;
        }
        let mut proposals = Vec::new();
        for one in news {
            match &one {
                News::Stack(Some(stack)) => self.stack_changed(stack)?,
                News::Stack(None) => {}
                News::Session(_, session) => {
                    let status = session.as_ref().and_then(|s| s.status.as_ref());
                    self.at = self.at.max(status.and_then(|s| s.started_at));
                    self.is_pending = true;
                }
                News::Policy(..) => self.is_pending = true,
                News::Stop(_, stop) => {
                    self.at = self.at.max(stop.as_ref().and_then(|s| Some(s.metadata.creation_timestamp.as_ref()?.0)));
                    self.is_pending = true;
                }
                News::Action(name, Some(run)) => {
                    if planned.is_some() && !self.known.contains(name) {
                        proposals.push(run.clone());
                    } else {
                        self.action_changed(name, run, world.actions.get(name))?;
                    }
                }
                News::Incident(name, Some(incident)) => {
                    let known = world.incidents.get(name).is_some_and(|old| !old.spec.acknowledged);
                    if known && incident.spec.acknowledged {
                        self.pending.acknowledged.push(incident.spec.service.clone());
                        self.is_pending = true;
                    }
                }
                News::Action(_, None) | News::Incident(_, None) => {}
            }
            let (policies, stops) = (matches!(one, News::Policy(..)), matches!(one, News::Stop(..)));
            world.take(one);
            if policies {
                self.pending.policies = Some(world.policies()?);
            }
            if stops {
                self.pending.stops = Some(world.stops()?);
            }
        }
        match planned {
            Some(at) => self.decided(at, &proposals, world),
            None => Ok(()),
        }
    }

    /// Whether the planner's half of the status is another one than before.
    fn is_planned(&self, stack: &WicapStack) -> bool {
        let decided = |s: &WicapStack| s.status.as_ref().and_then(|s| s.decided_at);
        let half = |s: &WicapStack| planners_half(s.status.as_ref());
        // Earlier versions did not say when.
        decided(stack) != decided(&self.stack) || (decided(stack).is_none() && half(stack) != half(&self.stack))
    }

    fn stack_changed(&mut self, stack: &WicapStack) -> Result<(), Error> {
        let (old, new) = (bare(&self.stack), bare(stack));
        if old.metadata != new.metadata || old.spec != new.spec {
            self.pending.stack = Some(written(&WicapStack { status: None, ..new })?);
            self.is_pending = true;
        }
        let observed_at = |s: &WicapStack| s.status.as_ref().and_then(|s| s.observed_at);
        if observed_at(stack) != observed_at(&self.stack)
            && let Some(status) = &stack.status
        {
            let services = status.services.iter().filter(|s| stack.spec.service(&s.name).is_some());
            let service = |s: &crate::api::stack::ServiceStatus| Ok::<_, Error>((s.name.clone(), written(s)?));
            self.pending.observed = Some(WrittenLook { services: services.map(service).collect::<Result<_, _>>()? });
            self.pending.observed_at = status.observed_at.map(|at| at.to_string().into());
            self.at = self.at.max(status.observed_at);
            self.is_pending = true;
        }
        self.stack = stack.clone();
        Ok(())
    }

    fn action_changed(&mut self, name: &str, run: &ActionRun, old: Option<&ActionRun>) -> Result<(), Error> {
        let phase = |run: &ActionRun| run.status.as_ref().map(|s| s.phase).unwrap_or_default();
        if old.is_some_and(|old| phase(old) == phase(run)) {
            return Ok(());
        }
        self.is_pending = true;
        let status = run.status.clone().unwrap_or_default();
        let created = run.metadata.creation_timestamp.as_ref().map(|t| t.0);
        self.at = self.at.max(status.finished_at).max(status.started_at).max(created);
        if self.known.insert(name.to_owned()) {
            self.pending.actions.push(action(run)?);
        } else {
            self.pending.results.insert(key(run), answer(run)?);
        }
        Ok(())
    }

    /// The planner has decided, at that time, on what is pending, and has asked for these actions.
    fn decided(&mut self, at: Time, proposals: &[Box<ActionRun>], world: &World) -> Result<(), Error> {
        if proposals.iter().any(|run| self.pending.results.contains_key(&key(run))) {
            // An action that has ended and the next one of its kind cannot be answered in one step.
            let results = std::mem::take(&mut self.pending.results);
            let step = WrittenStep { results, ..WrittenStep::default() };
            self.emit(step, at, world)?;
        }
        let mut step = std::mem::take(&mut self.pending);
        for run in proposals {
            step.results.insert(key(run), answer(run)?);
            self.known.insert(run.name().to_owned());
        }
        self.emit(step, at, world)?;
        (self.is_pending, self.at) = (false, None);
        let (replayed, was) =
            (planners_half(self.replay.stack().status.as_ref()), planners_half(self.stack.status.as_ref()));
        if cleaned(&replayed)? != cleaned(&was)? {
            self.problems.push(format!("what was decided at {at} cannot be explained by what the store knows of it"));
            // What comes after it starts from what was written.
            self.pending.stack = Some(written(&bare(&self.stack))?);
            self.is_pending = true;
        }
        Ok(())
    }

    /// Makes a step of what is pending, if deciding on it changes nothing.
    fn settle(&mut self, world: &World) -> Result<(), Error> {
        if !self.is_pending {
            return Ok(());
        }
        let Some(at) = self.at.or(self.before) else { return Ok(()) };
        let (replay, listed) = (self.replay.clone(), self.listed.clone());
        let (session, before, pending) = (self.session.clone(), self.before, self.pending.clone());
        let steps = self.written.steps.len();
        let step = std::mem::take(&mut self.pending);
        let restated = step.stack.as_ref().is_some_and(|stack| !stack["status"].is_null());
        let plan = self.emit(step, at, world)?;
        let (new, old) = (planners_half(self.replay.stack().status.as_ref()), planners_half(replay.stack().status.as_ref()));
        if !restated && (plan || new != old) {
            (self.replay, self.listed, self.session) = (replay, listed, session);
            (self.before, self.pending) = (before, pending);
            self.written.steps.truncate(steps);
        } else {
            (self.is_pending, self.at) = (false, None);
        }
        Ok(())
    }

    /// Writes a step, and replays it. Whether the planner would have written more than the stack's status.
    fn emit(&mut self, mut step: WrittenStep, at: Time, world: &World) -> Result<bool, Error> {
        let at = self.before.map_or(at, |before| at.max(after(before, TICK)));
        let session = world.session(self.stack.name(), at)?;
        if session != self.session {
            step.session = Some(session.clone());
            self.session = session;
        }
        step.at = at.to_string().into();
        if step.observed_at.as_ref() == Some(&step.at) {
            step.observed_at = None;
        }
        let read = file::read_step(&step, &mut self.listed);
        let read = read.map_err(|v| Error::No(format!("what happened at {at} cannot be replayed: {v}")))?;
        let plan = self.replay.step(&read);
        self.before = Some(at);
        self.written.steps.push(step);
        Ok(!plan.proposals.is_empty() || !plan.opened.is_empty() || !plan.followed.is_empty())
    }
}

fn cleaned(status: &WicapStackStatus) -> Result<Value, Error> {
    written(status)
}

fn key(run: &ActionRun) -> String {
    if run.spec.target.is_empty() { run.spec.action.to_string() } else { format!("{}/{}", run.spec.action, run.spec.target) }
}

/// What became of an action, as short as it can be said.
fn answer(run: &ActionRun) -> Result<Value, Error> {
    let status = run.status.clone().unwrap_or_default();
    let phase: ActionPhase = status.phase;
    let answer = WrittenAnswer { phase, started_at: status.started_at, finished_at: status.finished_at };
    let bare = answer.started_at.is_none() && answer.finished_at.is_none();
    if bare { serde_json::to_value(phase) } else { serde_json::to_value(answer) }.map_err(unwritable)
}
