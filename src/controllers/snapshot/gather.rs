//! Gathers what is in a pack. What cannot be had is left out, and said so: a pack is made when things do not work.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::Resource;
use serde_json::{Value, json};

use crate::api::action::ActionRun;
use crate::api::approval::Approval;
use crate::api::elevation::Elevation;
use crate::api::incident::Incident;
use crate::api::log_report::LogReport;
use crate::api::policy::ControlPolicy;
use crate::api::session::ControlSession;
use crate::api::snapshot::{Snapshot, SnapshotReason};
use crate::api::soak::SoakRun;
use crate::api::stack::WicapStack;
use crate::api::stop::{self, EmergencyStop};
use crate::api::{Object, Time, elapsed};
use crate::audit::pack::about::{About, Reason};
use crate::audit::pack::contents::{ContainerInput, Inputs, LogLine};
use crate::audit::replay::record::record;
use crate::controllers::Context;
use crate::observe::compose::ConfigCache;
use crate::observe::engine::{Container, LastLines};
use crate::soak::journal;
use crate::store::audit::Lane;
use crate::store::{ListParams, Store};

/// Lines of each container's log: what was said in the minutes before.
const LINES: usize = 2000;

/// Records of each lane of the audit log.
const AUDIT: i64 = 500;

/// Records of a soak run's evidence.
const SAMPLES: usize = 2000;

/// How long ago a soak run may have ended.
const SOAK_AGE: Duration = Duration::from_secs(24 * 3600);

/// The most that the history of a stack may take to be read. It is the one part that grows with the store.
const HISTORY: Duration = Duration::from_secs(20);

/// Gathers all that is known of a stack.
pub(super) async fn gather(context: &Context, stack: &WicapStack, waiting: &[&Snapshot], now: Time) -> Inputs {
    let store = &context.store;
    let mut missing = Vec::new();
    // Makes the stack's secrets known to this process, which may not have read its files before.
    let _ = ConfigCache::new(context.compose.clone()).get(&stack.spec.compose).await;
    let mut containers = Vec::new();
    match context.engine.containers(&stack.spec.compose.project).await {
        Ok(found) => {
            for container in found {
                containers.push(look(context, &container, &mut missing).await);
            }
        }
        Err(error) => missing.push(format!("the containers: {error}")),
    }
    let engine = context.engine.info().await.unwrap_or_else(|error| {
        missing.push(format!("the engine: {error}"));
        Value::Null
    });
    let name = stack.name();
    let mut objects: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut put = |kind: &str, found: Result<Vec<Value>, String>, missing: &mut Vec<String>| match found {
        Ok(found) => drop(objects.insert(kind.to_owned(), found)),
        Err(why) => missing.push(format!("{kind}: {why}")),
    };
    put("wicapstack", Ok(vec![value(stack)]), &mut missing);
    put("snapshot", Ok(waiting.iter().map(|s| value(*s)).collect()), &mut missing);
    put("controlsession", list(store, |s: &ControlSession| s.spec.stack == name).await, &mut missing);
    put("controlpolicy", list(store, |_: &ControlPolicy| true).await, &mut missing);
    put("emergencystop", list(store, |s: &EmergencyStop| s.name() == name || s.name() == stop::ALL).await, &mut missing);
    put("elevation", list(store, |_: &Elevation| true).await, &mut missing);
    put("approval", list(store, |_: &Approval| true).await, &mut missing);
    put("incident", list(store, |i: &Incident| i.spec.stack == name).await, &mut missing);
    put("logreport", list(store, |r: &LogReport| r.name() == name).await, &mut missing);
    put("soakrun", list(store, |r: &SoakRun| r.spec.stack == name).await, &mut missing);
    let actions = list(store, |a: &ActionRun| a.spec.stack == name).await.unwrap_or_else(|why| {
        missing.push(format!("the actions: {why}"));
        Vec::new()
    });
    let history = match tokio::time::timeout(HISTORY, record(name, store)).await {
        Ok(Ok(history)) => Some(history),
        Ok(Err(error)) => {
            missing.push(format!("the history: {error}"));
            None
        }
        Err(_) => {
            missing.push(format!("the history: it was not read within {HISTORY:?}"));
            None
        }
    };
    Inputs {
        about: about(stack, waiting, now),
        events: events(store, stack, &mut missing).await,
        audit: audit(store, &mut missing).await,
        soaks: soaks(context, name, now, &mut missing).await,
        objects,
        actions,
        engine,
        containers,
        history,
        missing,
    }
}

fn about(stack: &WicapStack, waiting: &[&Snapshot], now: Time) -> About {
    // What somebody did not ask for says more of what has happened.
    let cause = waiting.iter().find(|s| s.spec.reason != SnapshotReason::Requested).or(waiting.first());
    let reason = match cause.map(|s| s.spec.reason) {
        Some(SnapshotReason::Incident) => Reason::Incident,
        Some(SnapshotReason::FailedAction) => Reason::FailedAction,
        Some(SnapshotReason::FailedSoak) => Reason::FailedSoak,
        Some(SnapshotReason::Requested) | None => Reason::Requested,
    };
    let about = About {
        stack: stack.name().to_owned(),
        uid: stack.meta().uid.clone().unwrap_or_else(|| "none".to_owned()),
        reason,
        object: cause.and_then(|s| s.spec.object.clone()),
        at: now,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    // A snapshot that somebody made by hand, before what it is for had to be an object.
    match about.check() {
        Ok(()) => about,
        Err(_) => About { object: None, ..about },
    }
}

fn value<K: Object>(object: &K) -> Value {
    // Plain data always has a JSON form.
    serde_json::to_value(object).unwrap_or_default()
}

/// The objects of a kind that are wanted, by name.
async fn list<K: Object>(store: &Store, wanted: impl Fn(&K) -> bool) -> Result<Vec<Value>, String> {
    let all = store.api::<K>().list(&ListParams::default()).await.map_err(|e| e.to_string())?.items;
    let mut wanted: Vec<&K> = all.iter().filter(|object| wanted(object)).collect();
    wanted.sort_by(|a, b| a.name().cmp(b.name()));
    Ok(wanted.into_iter().map(value).collect())
}

async fn look(context: &Context, container: &Container, missing: &mut Vec<String>) -> ContainerInput {
    let engine = &context.engine;
    let (inspect, usage, log) =
        tokio::join!(engine.inspected(&container.id), engine.usage(&container.id), engine.last_lines(&container.id, LINES));
    let mut lost = |what: &str, why: String| missing.push(format!("{what} of {}: {why}", container.name));
    let inspect = inspect.unwrap_or_else(|error| {
        lost("what the engine says", error.to_string());
        Value::Null
    });
    let usage = usage.map_or(Value::Null, |u| {
        json!({
            "memory": u.memory, "processor": u.processor, "received": u.received, "sent": u.sent, "read": u.read,
            "written": u.written,
        })
    });
    let log = log.unwrap_or_else(|error| {
        lost("the log", error.to_string());
        LastLines::default()
    });
    if log.lost > 0 {
        missing.push(format!(
            "the first {} of the last {LINES} lines of the log of {}: they are too long",
            log.lost, container.name
        ));
    }
    let line = |l: crate::observe::engine::Logged| LogLine { at: l.at, is_error: l.is_error, text: l.text };
    ContainerInput {
        service: container.service.clone(),
        name: container.name.clone(),
        inspect,
        usage,
        log: log.lines.into_iter().map(line).collect(),
    }
}

/// The Events of the stack, oldest first.
async fn events(store: &Store, stack: &WicapStack, missing: &mut Vec<String>) -> Vec<Value> {
    match store.events_for("WicapStack", stack.name()).await {
        Ok(mut events) => {
            events.sort_by_key(|e| (e.last_timestamp.as_ref().map(|t| t.0), e.metadata.name.clone()));
            events.iter().map(|e| serde_json::to_value(e).unwrap_or_default()).collect()
        }
        Err(error) => {
            missing.push(format!("the Events: {error}"));
            Vec::new()
        }
    }
}

/// The last records of both lanes of the audit log, oldest first.
async fn audit(store: &Store, missing: &mut Vec<String>) -> Vec<Value> {
    let mut records = Vec::new();
    for lane in Lane::ALL {
        match store.audit().newest(lane, AUDIT).await {
            Ok(mut entries) => {
                entries.sort_by_key(|entry| entry.seq);
                records.extend(entries.iter().filter_map(|entry| serde_json::from_slice::<Value>(&entry.bytes).ok()));
            }
            Err(error) => missing.push(format!("the audit log: {error}")),
        }
    }
    records
}

/// The last records of the soak runs of a stack that are under way or have ended lately.
async fn soaks(context: &Context, stack: &str, now: Time, missing: &mut Vec<String>) -> BTreeMap<String, Vec<Value>> {
    let mut soaks = BTreeMap::new();
    let Ok(runs) = context.store.api::<SoakRun>().list(&ListParams::default()).await else { return soaks };
    for run in runs.items.iter().filter(|r| r.spec.stack == stack) {
        let Some(status) = &run.status else { continue };
        let Some(evidence) = status.evidence.clone().filter(|e| e.host == context.host) else { continue };
        if status.finished_at.is_some_and(|end| elapsed(end, now) > SOAK_AGE) {
            continue;
        }
        let data_dir = context.data_dir.clone();
        match tokio::task::spawn_blocking(move || journal::read(&data_dir, &evidence)).await {
            Ok(Ok(records)) => {
                let last = &records[records.len().saturating_sub(SAMPLES)..];
                let records = last.iter().map(|record| serde_json::to_value(record).unwrap_or_default()).collect();
                soaks.insert(run.name().to_owned(), records);
            }
            Ok(Err(error)) => missing.push(format!("the records of the soak run {}: {error}", run.name())),
            Err(error) => missing.push(format!("the records of the soak run {}: {error}", run.name())),
        }
    }
    soaks
}
