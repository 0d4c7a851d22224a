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

/// The kind that is not made anew: between its end and its new beginning nothing would be stopped.
const NEVER_GONE: &str = "EmergencyStop";

/// Removes the object of that name, and waits until its finalizers are done with it. Returns whether there was one.
///
/// # Errors
/// An EmergencyStop that is there; what the store says; that it is not gone when the time is up.
pub(super) async fn remove(kind: &Kind, name: &str, limit: Duration, store: &Store) -> Result<bool, Error> {
    if kind.info.kind == NEVER_GONE && kind.get(store, name).await?.is_some() {
        let why = "an EmergencyStop is never gone for a moment; leave --force out";
        return Err(Error::Refused(vec![format!("error: {} cannot be made anew: {why}", kind.line(name))]));
    }
    let gone = match kind.delete(store, name, &DeleteParams::default()).await {
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
