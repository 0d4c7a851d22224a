//! All that bears on a stack, by the revision that changed it, and how a recording holds it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::RecordError;
use crate::api::action::{ActionRun, ActionRunStatus};
use crate::api::incident::Incident;
use crate::api::policy::ControlPolicy;
use crate::api::session::ControlSession;
use crate::api::soak::{SoakRun, SoakRunStatus};
use crate::api::stack::WicapStack;
use crate::api::stop::{self, EmergencyStop};
use crate::api::{Object, Time};
use crate::audit::redact::redact;
use crate::plan::decide::session_for;
use crate::store::history::{Span, State};
use crate::store::{self, Store};

/// A change of what bears on the stack.
pub(super) enum News {
    Stack(Option<Box<WicapStack>>),
    Session(String, Option<Box<ControlSession>>),
    Policy(String, Option<Box<ControlPolicy>>),
    Stop(String, Option<Box<EmergencyStop>>),
    Action(String, Option<Box<ActionRun>>),
    Incident(String, Option<Box<Incident>>),
    Soak(String, Option<Box<SoakRun>>),
}

/// All that bears on the stack, by the revision that changed it. What was before its last creation is a part of the beginning.
pub(super) async fn revisions(stack: &str, store: &Store) -> Result<BTreeMap<i64, Vec<News>>, store::Error> {
    let span: Span = store.span().await?;
    let (stacks, sessions, policies) =
        (store.api::<WicapStack>(), store.api::<ControlSession>(), store.api::<ControlPolicy>());
    let (stops, actions) = (store.api::<EmergencyStop>(), store.api::<ActionRun>());
    let (incidents, soaks) = (store.api::<Incident>(), store.api::<SoakRun>());
    let (stacks, sessions, policies, stops, actions, incidents, soaks) = tokio::try_join!(
        stacks.history(span),
        sessions.history(span),
        policies.history(span),
        stops.history(span),
        actions.history(span),
        incidents.history(span),
        soaks.history(span),
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
    for state in soaks.into_iter().filter(|s| s.object.as_ref().is_none_or(|r| r.spec.stack == stack)) {
        revisions.entry(state.revision).or_default().push(News::Soak(state.name, state.object.map(Box::new)));
    }
    Ok(revisions)
}

/// What bears on the stack at a revision.
#[derive(Default)]
pub(super) struct World {
    pub stack: Option<WicapStack>,
    pub sessions: BTreeMap<String, ControlSession>,
    pub policies: BTreeMap<String, ControlPolicy>,
    pub stops: BTreeMap<String, EmergencyStop>,
    pub actions: BTreeMap<String, ActionRun>,
    pub incidents: BTreeMap<String, Incident>,
    pub soaks: BTreeMap<String, SoakRun>,
}

impl World {
    pub(super) fn take(&mut self, news: News) {
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
            News::Soak(name, soak) => put(&mut self.soaks, name, soak),
        }
    }

    /// The session that is planned for at `now`, as a recording holds it.
    pub(super) fn session(&self, stack: &str, now: Time) -> Result<Value, RecordError> {
        session_for(stack, self.sessions.values(), now).map_or(Ok(Value::Null), |session| {
            let mut session = bare(session);
            if let Some(status) = session.status.as_mut() {
                status.conditions.clear();
            }
            written(&session)
        })
    }

    pub(super) fn policies(&self) -> Result<Vec<Value>, RecordError> {
        let spec_only = |policy: &ControlPolicy| ControlPolicy { status: None, ..bare(policy) };
        self.policies.values().map(|policy| written(&spec_only(policy))).collect()
    }

    /// The soak runs that claim something, with that alone.
    pub(super) fn soaks(&self) -> Result<Vec<Value>, RecordError> {
        let claim = |soak: &SoakRun| {
            let maintenance = soak.status.as_ref()?.maintenance.clone()?;
            let status = SoakRunStatus { maintenance: Some(maintenance), ..SoakRunStatus::default() };
            Some(SoakRun { status: Some(status), ..bare(soak) })
        };
        self.soaks.values().filter_map(claim).map(|soak| written(&soak)).collect()
    }

    pub(super) fn stops(&self) -> Result<Vec<Value>, RecordError> {
        let spec_only = |stop: &EmergencyStop| EmergencyStop { status: None, ..bare(stop) };
        self.stops.values().map(|stop| written(&spec_only(stop))).collect()
    }
}

/// An object with as much of its metadata as bears on decisions.
pub(super) fn bare<K: Object>(object: &K) -> K {
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
pub(super) fn action(run: &ActionRun) -> Result<Value, RecordError> {
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
pub(super) fn written(object: &impl Serialize) -> Result<Value, RecordError> {
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

pub(super) fn unwritable(error: serde_json::Error) -> RecordError {
    RecordError::Unplayable(format!("what is stored has no JSON form: {error}"))
}
