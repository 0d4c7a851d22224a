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
//! is replayed as it is written, and what the planner wrote is compared with what the replay gives. Of what is not the stack the
//! planner may hear a little later: what explains its decision only when it was not heard of belongs to a later step.

use std::collections::HashSet;

use serde_json::Value;

use super::RecordError;
use super::file::{self, Written, WrittenAnswer, WrittenLook, WrittenStep};
use super::past::{News, World, action, bare, revisions, unwritable, written};
use crate::api::action::{ActionPhase, ActionRun};
use crate::api::stack::{WicapStack, WicapStackStatus};
use crate::api::{Object, Time, after};
use crate::plan::replay::Replay;
use crate::store::{self, Store};

/// How often a history is read that is compacted meanwhile. Stores are compacted every few minutes at most.
const TRIES: usize = 3;

/// The least time between two steps, which must rise: changes of one moment keep their order by it.
const TICK: std::time::Duration = std::time::Duration::from_nanos(1);

/// A stack's history, as a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// The file.
    pub text: String,
    /// What of it cannot be explained, for people.
    pub problems: Vec<String>,
}

/// Reads the history of a stack.
///
/// # Errors
/// [`RecordError`], also when there is no such stack.
pub async fn record(stack: &str, store: &Store) -> Result<History, RecordError> {
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
        // A step takes a while to explain, and who waits for this may give up; others have work to do meanwhile.
        tokio::task::yield_now().await;
        match &mut recorder {
            Some(recorder) => recorder.take(news, &mut world)?,
            None => {
                for one in news {
                    world.take(one);
                }
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
    let mut text = serde_json::to_string_pretty(&recorder.written).map_err(unwritable)?;
    text.push('\n');
    Ok(History { text, problems: recorder.problems })
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

/// Takes one of the inputs that are not the stack's out of a step and puts it into another. Whether there was any.
type Withhold = fn(&mut WrittenStep, &mut WrittenStep) -> bool;

/// The inputs of which the planner hears by a watch of their own each; the session is one more.
const INPUTS: [Withhold; 6] = [
    |from, to| {
        to.acknowledged = std::mem::take(&mut from.acknowledged);
        !to.acknowledged.is_empty()
    },
    |from, to| {
        to.results = std::mem::take(&mut from.results);
        !to.results.is_empty()
    },
    |from, to| {
        to.actions = std::mem::take(&mut from.actions);
        !to.actions.is_empty()
    },
    |from, to| {
        to.policies = from.policies.take();
        to.policies.is_some()
    },
    |from, to| {
        to.stops = from.stops.take();
        to.stops.is_some()
    },
    |from, to| {
        to.soaks = from.soaks.take();
        to.soaks.is_some()
    },
];

/// How far a recorder has come.
#[derive(Clone)]
struct Mark {
    replay: Replay,
    listed: HashSet<String>,
    session: Value,
    before: Option<Time>,
    steps: usize,
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
    fn begin(stack: &WicapStack, world: &World) -> Result<Self, RecordError> {
        let at = stack.status.as_ref().and_then(|s| s.observed_at.max(s.decided_at));
        let session = at.map_or(Ok(Value::Null), |at| world.session(stack.name(), at))?;
        let written = Written {
            stack: written(&bare(stack))?,
            session: session.clone(),
            policies: world.policies()?,
            stops: world.stops()?,
            actions: world.actions.values().map(action).collect::<Result<_, _>>()?,
            incidents: world.incidents.values().map(|i| written(&bare(i))).collect::<Result<_, _>>()?,
            soaks: world.soaks()?,
            steps: Vec::new(),
        };
        let read = file::read(&serde_json::to_value(&written).map_err(unwritable)?);
        let replay = read.map_err(|v| RecordError::Unplayable(format!("the beginning cannot be replayed: {v}")))?.replay;
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
    fn take(&mut self, news: Vec<News>, world: &mut World) -> Result<(), RecordError> {
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
                News::Policy(..) | News::Soak(..) => self.is_pending = true,
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
                    let drifts = incident.spec.kind.drift().is_some();
                    if known && drifts && incident.spec.acknowledged {
                        self.pending.acknowledged.push(incident.spec.service.clone());
                        self.is_pending = true;
                    }
                }
                News::Action(_, None) | News::Incident(_, None) => {}
            }
            let (policies, stops) = (matches!(one, News::Policy(..)), matches!(one, News::Stop(..)));
            let soaks = matches!(one, News::Soak(..)).then(|| world.soaks()).transpose()?;
            world.take(one);
            if soaks.is_some_and(|before| world.soaks().is_ok_and(|now| now != before)) {
                self.pending.soaks = Some(world.soaks()?);
            }
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

    fn stack_changed(&mut self, stack: &WicapStack) -> Result<(), RecordError> {
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
            let service = |s: &crate::api::stack::ServiceStatus| Ok::<_, RecordError>((s.name.clone(), written(s)?));
            self.pending.observed = Some(WrittenLook { services: services.map(service).collect::<Result<_, _>>()? });
            self.pending.observed_at = status.observed_at.map(|at| at.to_string().into());
            self.at = self.at.max(status.observed_at);
            self.is_pending = true;
        }
        self.stack = stack.clone();
        Ok(())
    }

    fn action_changed(&mut self, name: &str, run: &ActionRun, old: Option<&ActionRun>) -> Result<(), RecordError> {
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
    fn decided(&mut self, at: Time, proposals: &[Box<ActionRun>], world: &World) -> Result<(), RecordError> {
        if proposals.iter().any(|run| self.pending.results.contains_key(&key(run))) {
            // An action that has ended and the next one of its kind cannot be answered in one step.
            let results = std::mem::take(&mut self.pending.results);
            let step = WrittenStep { results, ..WrittenStep::default() };
            let session = self.session.clone();
            self.emit(step, at, session)?;
        }
        let all = std::mem::take(&mut self.pending);
        let mut choices: Vec<u32> = (0..1 << (INPUTS.len() + 1)).collect();
        choices.sort_by_key(|choice| choice.count_ones());
        let before = self.mark();
        for choice in choices {
            let (mut seen, mut unheard) = (all.clone(), WrittenStep::default());
            let mut chosen = INPUTS.iter().enumerate().filter(|(i, _)| choice & (1 << i) != 0);
            let all_there = chosen.all(|(_, withhold)| withhold(&mut seen, &mut unheard));
            let session = if choice & (1 << INPUTS.len()) == 0 { self.session_at(at, world)? } else { self.session.clone() };
            if !all_there {
                continue;
            }
            for run in proposals {
                seen.results.insert(key(run), answer(run)?);
            }
            self.emit(seen, at, session)?;
            if self.explains()? {
                self.pending = unheard;
                self.is_pending = choice != 0;
                self.has_decided(proposals);
                return Ok(());
            }
            self.back_to(before.clone());
        }
        let mut step = all;
        for run in proposals {
            step.results.insert(key(run), answer(run)?);
        }
        let session = self.session_at(at, world)?;
        self.emit(step, at, session)?;
        self.problems.push(format!("what was decided at {at} cannot be explained by what the store knows of it"));
        // What comes after it starts from what was written.
        self.pending.stack = Some(written(&bare(&self.stack))?);
        self.is_pending = true;
        self.has_decided(proposals);
        Ok(())
    }

    fn has_decided(&mut self, proposals: &[Box<ActionRun>]) {
        self.known.extend(proposals.iter().map(|run| run.name().to_owned()));
        self.at = None;
    }

    /// Whether the replay has come to what the planner wrote.
    fn explains(&self) -> Result<bool, RecordError> {
        let half = |stack: &WicapStack| written(&planners_half(stack.status.as_ref()));
        Ok(half(self.replay.stack())? == half(&self.stack)?)
    }

    fn mark(&self) -> Mark {
        Mark {
            replay: self.replay.clone(),
            listed: self.listed.clone(),
            session: self.session.clone(),
            before: self.before,
            steps: self.written.steps.len(),
        }
    }

    fn back_to(&mut self, mark: Mark) {
        self.written.steps.truncate(mark.steps);
        (self.replay, self.listed, self.session, self.before) = (mark.replay, mark.listed, mark.session, mark.before);
    }

    /// Makes a step of what is pending, if deciding on it changes nothing.
    fn settle(&mut self, world: &World) -> Result<(), RecordError> {
        if !self.is_pending {
            return Ok(());
        }
        let Some(at) = self.at.or(self.before) else { return Ok(()) };
        let (mark, pending) = (self.mark(), self.pending.clone());
        let old = planners_half(self.replay.stack().status.as_ref());
        let step = std::mem::take(&mut self.pending);
        let restated = step.stack.as_ref().is_some_and(|stack| !stack["status"].is_null());
        let session = self.session_at(at, world)?;
        let plan = self.emit(step, at, session)?;
        let new = planners_half(self.replay.stack().status.as_ref());
        if !restated && (plan || new != old) {
            self.back_to(mark);
            self.pending = pending;
        } else {
            (self.is_pending, self.at) = (false, None);
        }
        Ok(())
    }

    /// The time, or the first one after that of the last step.
    fn rising(&self, at: Time) -> Time {
        self.before.map_or(at, |before| at.max(after(before, TICK)))
    }

    fn session_at(&self, at: Time, world: &World) -> Result<Value, RecordError> {
        world.session(self.stack.name(), self.rising(at))
    }

    /// Writes a step, and replays it. Whether the planner would have written more than the stack's status.
    fn emit(&mut self, mut step: WrittenStep, at: Time, session: Value) -> Result<bool, RecordError> {
        let at = self.rising(at);
        if session != self.session {
            step.session = Some(session.clone());
            self.session = session;
        }
        step.at = at.to_string().into();
        if step.observed_at.as_ref() == Some(&step.at) {
            step.observed_at = None;
        }
        let read = file::read_step(&step, &mut self.listed);
        let read = read.map_err(|v| RecordError::Unplayable(format!("what happened at {at} cannot be replayed: {v}")))?;
        let plan = self.replay.step(&read);
        self.before = Some(at);
        self.written.steps.push(step);
        Ok(!plan.proposals.is_empty() || !plan.opened.is_empty() || !plan.followed.is_empty())
    }
}

fn key(run: &ActionRun) -> String {
    if run.spec.target.is_empty() { run.spec.action.to_string() } else { format!("{}/{}", run.spec.action, run.spec.target) }
}

/// What became of an action, as short as it can be said.
fn answer(run: &ActionRun) -> Result<Value, RecordError> {
    let status = run.status.clone().unwrap_or_default();
    let phase: ActionPhase = status.phase;
    let answer = WrittenAnswer { phase, started_at: status.started_at, finished_at: status.finished_at };
    let bare = answer.started_at.is_none() && answer.finished_at.is_none();
    if bare { serde_json::to_value(phase) } else { serde_json::to_value(answer) }.map_err(unwritable)
}
