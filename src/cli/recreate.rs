//! `--force`: an object is removed, and made anew when it is gone.

use std::time::Duration;

use serde_json::Value;

use tokio::time::{Instant, timeout_at};

use super::kind::Kind;
use super::wait::goal::Goal;
use super::wait::waiting::{Awaited, Waiting};
use super::wait::{FOREVER, timed_out};
use super::{Error, finalizers, merge};
use crate::store::{self, DeleteParams, Store};

/// The kinds that are not made anew: between its end and its new beginning a stop would stop nothing, a policy deny nothing, and what
/// an action does would not be on record.
const NEVER_GONE: [&str; 3] = ["EmergencyStop", "ControlPolicy", "ActionRun"];

/// The object that was looked at, and no other of its name, nor the same with what others wrote since.
pub(super) fn as_seen(live: &Value) -> DeleteParams {
    let text = |field: &str| live.pointer(&format!("/metadata/{field}")).and_then(Value::as_str).map(str::to_owned);
    DeleteParams { uid: text("uid"), resource_version: text("resourceVersion") }
}

/// Removes the object of that name if it is the one that is meant, and waits until its finalizers are done with it. Returns whether there
/// was one.
///
/// # Errors
/// An EmergencyStop, a ControlPolicy or an ActionRun that is there; what the store says; that it is not gone when the time is up.
pub(super) async fn remove(
    kind: &Kind,
    name: &str,
    meant: &DeleteParams,
    limit: Duration,
    store: &Store,
) -> Result<bool, Error> {
    if NEVER_GONE.contains(&kind.info.kind) {
        // One that comes meanwhile is not removed either.
        if kind.get(store, name).await?.is_none() {
            return Ok(false);
        }
        let article = if kind.info.kind.starts_with(['A', 'E']) { "an" } else { "a" };
        let why = format!("{article} {} is never gone for a moment; leave --force out", kind.info.kind);
        return Err(Error::Refused(vec![format!("error: {} cannot be made anew: {why}", kind.line(name))]));
    }
    let gone = match kind.delete(store, name, meant).await {
        Ok(object) => object,
        Err(store::Error::NotFound { .. }) => return Ok(false),
        Err(e) => return Err(e.into()),
    };
    let uid = gone.pointer("/metadata/uid").and_then(Value::as_str).map(str::to_owned);
    let Some(kind) = Kind::of(kind.info).filter(|_| !finalizers::held_by(&gone).is_empty()) else { return Ok(true) };
    let end = Instant::now() + if limit.is_zero() { FOREVER } else { limit.min(FOREVER) };
    let mut waiting = Waiting::begin(store, vec![Awaited::new(kind, name.to_owned(), vec![Goal::gone(uid)])])?;
    match timeout_at(end, waiting.next()).await {
        Ok(_) => Ok(true),
        Err(_) => {
            let now = store.clock().now();
            Error::all(waiting.pending().map(|awaited| timed_out(awaited, now)).collect()).map(|()| true)
        }
    }
}

/// What is left of an object that is to be made anew: nothing that the store wrote of the one before it.
pub(super) fn new_life(object: &Value) -> Value {
    merge::with_metadata_of_the_store(object.clone(), &Value::Null)
}
