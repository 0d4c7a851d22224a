//! Two keys, one object: how the halves are written and put together again.

use kube::core::object::HasSpec;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Error;
use crate::api::{API_VERSION, Object};

/// The status half as it is stored.
#[derive(Debug, Serialize, Deserialize)]
struct StatusHalf<S> {
    /// Which object it belongs to; a status left by an earlier object of the same name is not this one's.
    uid: String,
    /// Finalizers that their controllers have reported as done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    finalized: Vec<String>,
    /// The status.
    status: S,
}

/// What stands in a status half beside the status.
#[derive(Debug, Deserialize)]
pub(crate) struct StatusHead {
    /// Which object it belongs to.
    pub uid: String,
    /// Finalizers that their controllers have reported as done.
    #[serde(default)]
    pub finalized: Vec<String>,
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
    match straight(spec, status) {
        Ok(object) => Ok(object),
        Err(_) => by_values(spec, status).map_err(|reason| Error::Corrupt { key: key.to_owned(), reason }),
    }
}

/// Reads what is stored straight into its type: in less time than [`by_values`] takes, but nothing is said of where a mistake is.
fn straight<K: Object>(spec: &Stored, status: Option<&Stored>) -> Result<K, serde_json::Error> {
    let mut object: K = serde_json::from_slice(&spec.value)?;
    let mut revision = spec.revision;
    if let Some(stored) = status {
        let half: StatusHalf<&RawValue> = serde_json::from_slice(&stored.value)?;
        if object.meta().uid.as_ref() == Some(&half.uid) {
            *object.status_mut() = serde_json::from_str(half.status.get())?;
            revision = revision.max(stored.revision);
        }
    }
    object.meta_mut().resource_version = Some(revision.to_string());
    Ok(object)
}

/// Reads what is stored as JSON and then into its type, or says which field is wrong and how.
fn by_values<K: Object>(spec: &Stored, status: Option<&Stored>) -> Result<K, String> {
    let mut value: Value = serde_json::from_slice(&spec.value).map_err(|e| e.to_string())?;
    let mut revision = spec.revision;
    if let Some(stored) = status {
        let half: StatusHalf<Value> = serde_json::from_slice(&stored.value).map_err(|e| e.to_string())?;
        if value["metadata"]["uid"] == half.uid.as_str() {
            value["status"] = half.status;
            revision = revision.max(stored.revision);
        }
    }
    value["metadata"]["resourceVersion"] = Value::String(revision.to_string());
    serde_path_to_error::deserialize(value).map_err(|e| e.to_string())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::stack::WicapStack;

    fn half(value: &Value, revision: i64) -> Stored {
        Stored { value: value.to_string().into_bytes(), revision }
    }

    fn spec() -> Value {
        json!({
            "apiVersion": API_VERSION, "kind": "WicapStack", "metadata": {"name": "s", "uid": "u"},
            "spec": {"compose": {"project": "p", "directory": "/srv/p"}, "services": [{"name": "ui"}]},
        })
    }

    fn read(spec: &Value, status: Option<&Value>) -> Result<Value, String> {
        let status = status.map(|s| half(s, 9));
        let object = decode::<WicapStack>("k", &half(spec, 7), status.as_ref()).map_err(|e| e.to_string())?;
        Ok(serde_json::to_value(object).unwrap())
    }

    #[test]
    fn both_ways_of_reading_come_to_the_same() {
        let newer = |mut spec: Value| {
            spec["spec"]["unheardOf"] = json!({"a": [1]});
            spec
        };
        let statuses = [
            None,
            Some(json!({"uid": "u", "status": {"observedGeneration": 3, "unheardOf": 1}, "unheardOf": 1})),
            Some(json!({"uid": "u", "finalized": ["f"], "status": {}})),
            Some(json!({"uid": "u", "status": null})),
            Some(json!({"uid": "another", "status": {"observedGeneration": "not a number"}})),
        ];
        for spec in [spec(), newer(spec()), json!({"metadata": {"name": "no uid"}, "spec": spec()["spec"]})] {
            for status in &statuses {
                let status = status.as_ref().map(|s| half(s, 9));
                let straight: WicapStack = straight(&half(&spec, 7), status.as_ref()).unwrap();
                let by_values: WicapStack = by_values(&half(&spec, 7), status.as_ref()).unwrap();
                let [a, b] = [straight, by_values].map(|object| serde_json::to_value(object).unwrap());
                assert_eq!(a, b, "{status:?}");
            }
        }
    }

    #[test]
    fn the_later_half_of_the_object_tells_its_revision_and_a_status_of_another_is_left_out() {
        let revision = |status: Value| read(&spec(), Some(&status)).unwrap()["metadata"]["resourceVersion"].clone();
        assert_eq!(revision(json!({"uid": "u", "status": {"observedGeneration": 3}})), "9");
        assert_eq!(revision(json!({"uid": "another", "status": {"observedGeneration": 3}})), "7");
        assert_eq!(read(&spec(), None).unwrap()["metadata"]["resourceVersion"], "7");
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_place() {
        let mut wrong = spec();
        wrong["spec"]["services"][0]["name"] = json!(1);
        let message = read(&wrong, None).unwrap_err();
        assert!(message.contains("spec.services[0].name: invalid type"), "{message}");
        let message = read(&spec(), Some(&json!({"uid": "u", "status": {"observedGeneration": "x"}}))).unwrap_err();
        assert!(message.contains("status.observedGeneration: invalid type"), "{message}");
        assert!(read(&spec(), Some(&json!(1))).is_err());
        assert!(decode::<WicapStack>("k", &Stored { value: b"{".to_vec(), revision: 1 }, None).is_err());
    }
}
