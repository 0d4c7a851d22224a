//! Two keys, one object: how the halves are written and put together again.

use kube::core::object::HasSpec;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Error;
use crate::api::{API_VERSION, Object};

/// The status half as it is stored.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StatusHalf {
    /// Which object it belongs to; a status left by an earlier object of the same name is not this one's.
    pub uid: String,
    /// Finalizers that their controllers have reported as done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finalized: Vec<String>,
    /// The status.
    pub status: Value,
}

/// A half with the revision that last changed it.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub value: Vec<u8>,
    pub revision: i64,
}

/// The spec half: everything but the status and what only the store knows.
pub(crate) fn encode_spec<K: Object>(object: &K) -> Result<Vec<u8>, Error> {
    let mut metadata = object.meta().clone();
    metadata.resource_version = None;
    metadata.managed_fields = None;
    let value = json!({
        "apiVersion": API_VERSION,
        "kind": K::kind(&()),
        "metadata": metadata,
        "spec": HasSpec::spec(object),
    });
    serde_json::to_vec(&value).map_err(|e| unwritable::<K>(object.name(), &e))
}

/// The status half.
pub(crate) fn encode_status<K: Object>(object: &K, finalized: Vec<String>) -> Result<Vec<u8>, Error> {
    let uid = object.meta().uid.clone().unwrap_or_default();
    let status = serde_json::to_value(object.status()).map_err(|e| unwritable::<K>(object.name(), &e))?;
    serde_json::to_vec(&StatusHalf { uid, finalized, status }).map_err(|e| unwritable::<K>(object.name(), &e))
}

fn unwritable<K: Object>(name: &str, error: &serde_json::Error) -> Error {
    Error::Corrupt { key: format!("{}/{name}", K::plural(&())), reason: format!("it cannot be written as JSON: {error}") }
}

/// The object of two halves. Unknown fields are dropped, so that what a newer version wrote can be read.
pub(crate) fn decode<K: Object>(key: &str, spec: &Stored, status: Option<&Stored>) -> Result<K, Error> {
    let corrupt = |e: &dyn std::fmt::Display| Error::Corrupt { key: key.to_owned(), reason: e.to_string() };
    let mut value: Value = serde_json::from_slice(&spec.value).map_err(|e| corrupt(&e))?;
    let mut revision = spec.revision;
    if let Some(stored) = status {
        let half: StatusHalf = serde_json::from_slice(&stored.value).map_err(|e| corrupt(&e))?;
        if value["metadata"]["uid"] == half.uid.as_str() {
            value["status"] = half.status;
            revision = revision.max(stored.revision);
        }
    }
    value["metadata"]["resourceVersion"] = Value::String(revision.to_string());
    serde_path_to_error::deserialize(value).map_err(|e| corrupt(&e))
}

/// The revision that an object was read at, for preconditions. Zero when it was never stored.
pub(crate) fn revision_of<K: Object>(object: &K) -> Result<i64, Error> {
    match object.meta().resource_version.as_deref() {
        None | Some("") => Ok(0),
        Some(text) => text.parse().map_err(|_| Error::BadRequest {
            what: "metadata.resourceVersion",
            found: format!("{text:?}"),
            expected: "a number as it was read from the store",
        }),
    }
}
