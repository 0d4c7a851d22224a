//! The input of a replay, read strictly: the first mistake, with its path.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::api::action::{ActionKind, ActionPhase, ActionRun};
use crate::api::decode;
use crate::api::incident::Incident;
use crate::api::policy::ControlPolicy;
use crate::api::session::ControlSession;
use crate::api::stack::{ServiceState, WicapStack};
use crate::api::stop::EmergencyStop;
use crate::api::validate::quoted;
use crate::api::{Object, Time, Violation};
use crate::plan::replay::{Answer, Look, Replay, Sight, Step};

/// What is to be replayed.
#[derive(Debug)]
pub struct Recording {
    /// The planner, before the first step.
    pub replay: Replay,
    /// What happens, in the order of time.
    pub steps: Vec<Step>,
}

/// The file as it is written. What is an object of a kind, or may be written in two ways, is read in a second look.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Written {
    pub stack: Value,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub session: Value,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<Value>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stops: Vec<Value>,
    /// Actions that there were before the first step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<Value>,
    /// Incidents that were opened before the first step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incidents: Vec<Value>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub soaks: Vec<Value>,
    pub steps: Vec<WrittenStep>,
}

/// A step as it is written: a time, and what is different from then on.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WrittenStep {
    pub at: Value,
    /// When it was looked, where that is not when it was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<WrittenLook>,
    /// The engine did not answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unobserved: bool,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub results: BTreeMap<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<Value>,
    /// Null is no session, and absent the one that there was.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub session: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policies: Option<Vec<Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stops: Option<Vec<Value>>,
    /// Actions that others than the planner have asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soaks: Option<Vec<Value>>,
    /// Services whose incidents somebody has seen to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acknowledged: Vec<String>,
}

/// Services as they were seen: each a state, or all of its status.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WrittenLook {
    pub services: BTreeMap<String, Value>,
}

/// What became of an action, with the times that a phase alone does not say.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WrittenAnswer {
    pub phase: ActionPhase,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Reads a document.
///
/// # Errors
/// Its first mistake.
pub fn read(document: &Value) -> Result<Recording, Violation> {
    let written: Written = decode::value(document)?;
    let stack: WicapStack = object(&written.stack, "stack")?;
    let session = session(&written.session, "session")?;
    let policies: Vec<ControlPolicy> = objects(&written.policies, "policies")?;
    let stops: Vec<EmergencyStop> = objects(&written.stops, "stops")?;
    let actions: Vec<ActionRun> = objects(&written.actions, "actions")?;
    let incidents: Vec<Incident> = objects(&written.incidents, "incidents")?;
    let mut steps: Vec<Step> = Vec::with_capacity(written.steps.len());
    let mut listed = services(&stack);
    for (i, step) in written.steps.iter().enumerate() {
        let path = format!("steps[{i}]");
        let step = read_step(step, &mut listed).map_err(|v| v.under(&path))?;
        if let Some(before) = steps.last().filter(|before| before.at >= step.at) {
            let expected = format!("a time after that of the step before, {}", before.at);
            return Err(Violation::new(format!("{path}.at"), format!("\"{}\"", step.at), expected));
        }
        steps.push(step);
    }
    let soaks = objects(&written.soaks, "soaks")?;
    let replay = Replay::new(stack, session, policies, stops, actions).with(incidents, soaks);
    Ok(Recording { replay, steps })
}

/// Reads a step. `listed` are the services of the stack before it, and then after it.
pub(super) fn read_step(written: &WrittenStep, listed: &mut HashSet<String>) -> Result<Step, Violation> {
    let mut step = Step::at(time(&written.at, "at")?);
    if let Some(written) = &written.stack {
        let stack: WicapStack = object(written, "stack")?;
        *listed = services(&stack);
        step.stack = Some(stack);
    }
    step.session = written.session.as_ref().map(|written| session(written, "session")).transpose()?;
    step.policies = written.policies.as_ref().map(|written| objects(written, "policies")).transpose()?;
    step.stops = written.stops.as_ref().map(|written| objects(written, "stops")).transpose()?;
    step.soaks = written.soaks.as_ref().map(|written| objects(written, "soaks")).transpose()?;
    step.actions = objects(&written.actions, "actions")?;
    for (i, name) in written.acknowledged.iter().enumerate() {
        is_listed(name, listed, &format!("acknowledged[{i}]"))?;
    }
    step.acknowledged.clone_from(&written.acknowledged);
    let observed_at = written.observed_at.as_ref().map(|at| time(at, "observedAt")).transpose()?;
    step.look = match (&written.observed, written.unobserved) {
        (Some(_), true) => {
            return Err(Violation::new(
                "unobserved",
                "true beside observed",
                "one of them: what was not observed shows nothing",
            ));
        }
        (None, false) if observed_at.is_some() => {
            return Err(Violation::new("observed", "nothing", "a value: observedAt says that it was looked"));
        }
        (None, true) => Look::Silent,
        (None, false) => Look::None,
        (Some(look), false) => {
            let seen = |(name, written): (&String, &Value)| {
                let path = format!("observed.services.{name}");
                is_listed(name, listed, &path)?;
                Ok((name.clone(), sight(name, written).map_err(|v| v.under(&path))?))
            };
            let services = look.services.iter().map(seen).collect::<Result<_, _>>()?;
            Look::Seen { at: observed_at, services }
        }
    };
    for (key, written) in &written.results {
        let path = format!("results.{key}");
        step.results.insert(attempt(key, &path)?, answer(written).map_err(|v| v.under(&path))?);
    }
    Ok(step)
}

pub(super) fn services(stack: &WicapStack) -> HashSet<String> {
    stack.spec.services.iter().map(|s| s.name.clone()).collect()
}

fn is_listed(name: &str, listed: &HashSet<String>, path: &str) -> Result<(), Violation> {
    if listed.contains(name) {
        return Ok(());
    }
    let mut names: Vec<&str> = listed.iter().map(String::as_str).collect();
    names.sort_unstable();
    Err(Violation::new(path, quoted(name), format!("one of the stack's services, {}", names.join(", "))))
}

fn object<K: Object>(written: &Value, path: &str) -> Result<K, Violation> {
    // Every broken rule is known, and the first is told: a recording has one mistake or is another kind of file.
    decode::recorded(written).map_err(|all| match all.into_iter().next() {
        Some(first) => first.under(path),
        None => Violation::new(path, "an object that is refused", format!("a {}", K::kind(&()))),
    })
}

fn objects<K: Object>(written: &[Value], path: &str) -> Result<Vec<K>, Violation> {
    let mut names = HashSet::new();
    let one = |(i, written): (usize, &Value)| {
        let path = format!("{path}[{i}]");
        let read: K = object(written, &path)?;
        if names.insert(read.name().to_owned()) {
            Ok(read)
        } else {
            let found = format!("{} a second time", quoted(read.name()));
            Err(Violation::new(format!("{path}.metadata.name"), found, "each object once"))
        }
    };
    written.iter().enumerate().map(one).collect()
}

fn session(written: &Value, path: &str) -> Result<Option<ControlSession>, Violation> {
    if written.is_null() { Ok(None) } else { object(written, path).map(Some) }
}

fn time(written: &Value, path: &str) -> Result<Time, Violation> {
    let expected = "a time (RFC 3339), such as \"2026-01-01T20:00:00Z\"";
    let text = written.as_str().ok_or_else(|| Violation::new(path, written.to_string(), expected))?;
    text.parse().map_err(|_| Violation::new(path, quoted(text), expected))
}

/// A service: its state as a word, or its whole status but for its name, which is its key.
fn sight(name: &str, written: &Value) -> Result<Sight, Violation> {
    match written {
        Value::Object(fields) => {
            let mut fields = fields.clone();
            if let Some(other) = fields.get("name").filter(|other| other.as_str() != Some(name)) {
                return Err(Violation::new("name", other.to_string(), format!("{}, as its key says", quoted(name))));
            }
            fields.insert("name".to_owned(), name.into());
            Ok(Sight::Status(Box::new(decode::value(&Value::Object(fields))?)))
        }
        word => decode::value::<ServiceState>(word).map(Sight::State),
    }
}

/// `restart_service/ui`; `compose_up` for the whole stack.
fn attempt(key: &str, path: &str) -> Result<(ActionKind, String), Violation> {
    let (action, target) = key.split_once('/').unwrap_or((key, ""));
    let action = ActionKind::ALL.into_iter().find(|kind| kind.as_str() == action).ok_or_else(|| {
        let all: Vec<_> = ActionKind::ALL.iter().map(|kind| kind.as_str()).collect();
        Violation::new(path, quoted(key), format!("ACTION/SERVICE with an action of {}", all.join(", ")))
    })?;
    Ok((action, target.to_owned()))
}

/// What became of an action: its phase as a word, or with times.
fn answer(written: &Value) -> Result<Answer, Violation> {
    match written {
        Value::Object(_) => {
            let WrittenAnswer { phase, started_at, finished_at } = decode::value(written)?;
            Ok(Answer { phase, started_at, finished_at })
        }
        word => decode::value::<ActionPhase>(word).map(Answer::from),
    }
}
