//! Create, replace, patch, delete: from what is there and what is asked to what is there next.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::objects::{Key, Objects};
use super::refusal::{Cause, Refusal};
use super::resource::Resource;
use super::validation;

/// How a change is to be made.
#[derive(Clone, Debug, Default)]
pub struct Manner {
    pub dry_run: bool,
    /// `Strict`, `Warn` or `Ignore`.
    pub field_validation: String,
    /// Of the status, not of the rest.
    pub status: bool,
}

/// An object after a change, and what the server warns of.
#[derive(Debug)]
pub struct Changed {
    pub object: Value,
    pub warnings: Vec<String>,
}

const MODIFIED: &str = "the object has been modified; please apply your changes to the latest version and try again";

pub fn create(
    objects: &mut Objects,
    resource: &Resource,
    namespace: &str,
    mut object: Value,
    manner: &Manner,
    now: Timestamp,
) -> Result<Changed, Refusal> {
    let warnings = decode(resource, &mut object, manner)?;
    let name = name_of(&mut object);
    let key = (resource.plural.clone(), namespace.to_owned(), name.clone());
    if object["metadata"]["resourceVersion"].as_str().is_some_and(|version| !version.is_empty()) {
        return Err(Refusal {
            code: 500,
            reason: "",
            ..Refusal::bad_request("resourceVersion should not be set on objects to be created")
        });
    }
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    validation::fill(&resource.schema, &mut object);
    refuse_mistakes(resource, &object, Vec::new())?;
    if objects.get(&key).is_some() {
        return Err(Refusal::already_exists(resource, &name));
    }
    let metadata = &mut object["metadata"];
    metadata["uid"] = uuid::Uuid::new_v4().to_string().into();
    metadata["creationTimestamp"] = seconds(now).into();
    metadata["generation"] = 1.into();
    tidy(metadata);
    if !namespace.is_empty() {
        metadata["namespace"] = namespace.into();
    }
    let object = if manner.dry_run { object } else { objects.put(key, object) };
    Ok(Changed { object, warnings })
}

pub fn replace(
    objects: &mut Objects,
    resource: &Resource,
    key: &Key,
    mut object: Value,
    manner: &Manner,
) -> Result<Changed, Refusal> {
    let warnings = decode(resource, &mut object, manner)?;
    let old = objects.get(key).ok_or_else(|| Refusal::not_found(resource, &key.2))?.clone();
    if object["metadata"]["name"] != key.2.as_str() {
        let found = object["metadata"]["name"].as_str().unwrap_or_default();
        let said = format!("the name of the object ({found}) does not match the name on the URL ({})", key.2);
        return Err(Refusal::bad_request(said));
    }
    if object["metadata"]["resourceVersion"].as_str().is_none_or(str::is_empty) {
        let cause = Cause {
            reason: "FieldValueInvalid",
            field: "metadata.resourceVersion".into(),
            message: "Invalid value: 0x0: must be specified for an update".into(),
        };
        return Err(Refusal::invalid(&resource.group, &resource.plural, &key.2, &[cause]));
    }
    store(objects, resource, key, old, object, warnings, manner)
}

/// The kinds of patch that a custom resource takes.
pub fn patch(
    objects: &mut Objects,
    resource: &Resource,
    key: &Key,
    media_type: &str,
    patch: &Value,
    manner: &Manner,
) -> Result<Changed, Refusal> {
    let old = objects.get(key).ok_or_else(|| Refusal::not_found(resource, &key.2))?.clone();
    let mut object = old.clone();
    match media_type {
        "application/merge-patch+json" => json_patch::merge(&mut object, patch),
        "application/json-patch+json" => {
            let patch: json_patch::Patch = serde_json::from_value(patch.clone())
                .map_err(|e| Refusal::bad_request(format!("error decoding patch: {e}")))?;
            json_patch::patch(&mut object, &patch).map_err(|_| Refusal::unfit_patch())?;
        }
        _ => return Err(Refusal::unsupported_patch()),
    }
    let patched = object.to_string();
    let unknown = validation::prune(&resource.schema, &mut object);
    let warnings = match unknown.is_empty() {
        true => Vec::new(),
        false if manner.field_validation == "Strict" => {
            let message = format!("Invalid value: {}: {}", Value::from(patched), strict(&unknown));
            return Err(Refusal::invalid(
                "",
                "",
                "",
                &[Cause { reason: "FieldValueInvalid", field: "patch".into(), message }],
            ));
        }
        false if manner.field_validation == "Warn" => unknown.iter().map(|field| unknown_field(field)).collect(),
        false => Vec::new(),
    };
    store(objects, resource, key, old, object, warnings, manner)
}

/// Keeps the next version of an object that is there.
fn store(
    objects: &mut Objects,
    resource: &Resource,
    key: &Key,
    old: Value,
    mut object: Value,
    warnings: Vec<String>,
    manner: &Manner,
) -> Result<Changed, Refusal> {
    if object["metadata"]["uid"].as_str().is_some_and(|uid| !uid.is_empty() && old["metadata"]["uid"] != uid) {
        let why = format!(
            "Precondition failed: UID in precondition: {}, UID in object meta: {}",
            object["metadata"]["uid"].as_str().unwrap_or_default(),
            old["metadata"]["uid"].as_str().unwrap_or_default()
        );
        return Err(Refusal::conflict(resource, &key.2, &why));
    }
    let version = &object["metadata"]["resourceVersion"];
    if version.as_str().is_some_and(|version| !version.is_empty() && old["metadata"]["resourceVersion"] != version) {
        return Err(Refusal::conflict(resource, &key.2, MODIFIED));
    }
    // Each door changes its own half.
    let halves = if manner.status { ["metadata", "spec"].as_slice() } else { ["status"].as_slice() };
    for half in halves {
        match old.get(half) {
            Some(kept) => object[half] = kept.clone(),
            None => {
                object.as_object_mut().map(|fields| fields.remove(*half));
            }
        }
    }
    validation::fill(&resource.schema, &mut object);
    for field in ["uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds", "namespace"] {
        match old["metadata"].get(field) {
            Some(kept) => object["metadata"][field] = kept.clone(),
            None => {
                object["metadata"].as_object_mut().map(|fields| fields.remove(field));
            }
        }
    }
    tidy(&mut object["metadata"]);
    let mut immutable = Vec::new();
    if object["metadata"]["name"] != old["metadata"]["name"] {
        let said = format!("Invalid value: {}: field is immutable", object["metadata"]["name"]);
        immutable.push(Cause { reason: "FieldValueInvalid", field: "metadata.name".into(), message: said });
    }
    refuse_mistakes(resource, &object, immutable)?;
    if object["spec"] != old["spec"] {
        object["metadata"]["generation"] = (old["metadata"]["generation"].as_i64().unwrap_or(0) + 1).into();
    }
    object["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"].clone();
    if manner.dry_run || object == old {
        return Ok(Changed { object, warnings });
    }
    if object["metadata"].get("deletionTimestamp").is_some() && !has_finalizers(&object) {
        objects.remove(key);
        return Ok(Changed { object, warnings });
    }
    Ok(Changed { object: objects.put(key.clone(), object), warnings })
}

/// How a deletion ended.
pub enum Deleted {
    /// It is gone.
    Gone(Value),
    /// Its finalizers hold it.
    Held(Value),
    /// It goes once those that it owns are gone.
    Foreground(Value),
}

pub fn delete(
    objects: &mut Objects,
    resource: &Resource,
    key: &Key,
    options: &Value,
    dry_run: bool,
    now: Timestamp,
) -> Result<Deleted, Refusal> {
    let mut object = objects.get(key).ok_or_else(|| Refusal::not_found(resource, &key.2))?.clone();
    if let Some(uid) = options["preconditions"]["uid"].as_str().filter(|uid| object["metadata"]["uid"] != *uid) {
        let why =
            format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {}", object["metadata"]["uid"]);
        return Err(Refusal::conflict(resource, &key.2, &why));
    }
    let policy = options["propagationPolicy"].as_str().unwrap_or("Background");
    let foreground = policy == "Foreground";
    if dry_run {
        return Ok(if has_finalizers(&object) { Deleted::Held(object) } else { Deleted::Gone(object) });
    }
    if !has_finalizers(&object) && !foreground {
        objects.remove(key);
        let uid = object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        if policy == "Orphan" {
            orphan(objects, &uid);
        } else {
            collect(objects, &uid);
        }
        return Ok(Deleted::Gone(object));
    }
    let held = has_finalizers(&object);
    let metadata = &mut object["metadata"];
    if metadata.get("deletionTimestamp").is_none() {
        metadata["deletionTimestamp"] = seconds(now).into();
        metadata["deletionGracePeriodSeconds"] = 0.into();
        metadata["generation"] = (metadata["generation"].as_i64().unwrap_or(0) + 1).into();
        if foreground {
            let mut finalizers = metadata["finalizers"].as_array().cloned().unwrap_or_default();
            finalizers.push("foregroundDeletion".into());
            metadata["finalizers"] = finalizers.into();
        }
        object = objects.put(key.clone(), object);
    }
    Ok(if foreground && !held { Deleted::Foreground(object) } else { Deleted::Held(object) })
}

/// What the garbage collector does for a deletion in the foreground.
pub fn finish(objects: &mut Objects, key: &Key) {
    let Some(object) = objects.get(key).cloned() else { return };
    collect(objects, object["metadata"]["uid"].as_str().unwrap_or_default());
    objects.remove(key);
}

fn collect(objects: &mut Objects, uid: &str) {
    for key in objects.owned_by(uid) {
        objects.remove(&key);
    }
}

fn orphan(objects: &mut Objects, uid: &str) {
    for key in objects.owned_by(uid) {
        if let Some(mut object) = objects.get(&key).cloned() {
            if let Some(owners) = object["metadata"]["ownerReferences"].as_array_mut() {
                owners.retain(|owner| owner["uid"] != uid);
            }
            tidy(&mut object["metadata"]);
            objects.put(key, object);
        }
    }
}

fn has_finalizers(object: &Value) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|all| !all.is_empty())
}

/// Reads what was sent: its kind, and what of it is not known.
fn decode(resource: &Resource, object: &mut Value, manner: &Manner) -> Result<Vec<String>, Refusal> {
    let cannot = |why: String| {
        Refusal::bad_request(format!(
            "{} in version \"{}\" cannot be handled as a {}: {why}",
            resource.kind, resource.version, resource.kind
        ))
    };
    let (kind, version) = (object["kind"].as_str().unwrap_or_default(), object["apiVersion"].as_str().unwrap_or_default());
    if kind != resource.kind || version != resource.api_version() {
        return Err(Refusal::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): found {version}, Kind={kind}",
            resource.kind
        )));
    }
    if resource.schema.is_null() {
        return Ok(Vec::new());
    }
    let unknown = validation::prune(&resource.schema, object);
    match manner.field_validation.as_str() {
        _ if unknown.is_empty() => Ok(Vec::new()),
        "Strict" => Err(cannot(strict(&unknown))),
        "Warn" => Ok(unknown.iter().map(|field| unknown_field(field)).collect()),
        _ => Ok(Vec::new()),
    }
}

fn unknown_field(field: &str) -> String {
    format!("unknown field \"{field}\"")
}

fn strict(unknown: &[String]) -> String {
    let all: Vec<String> = unknown.iter().map(|field| unknown_field(field)).collect();
    format!("strict decoding error: {}", all.join(", "))
}

/// Its name, or one made of `generateName`; empty when it has neither.
fn name_of(object: &mut Value) -> String {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    let (name, prefix) = (text("name"), text("generateName"));
    if !name.is_empty() || prefix.is_empty() {
        return name;
    }
    let name = format!("{prefix}{}", &uuid::Uuid::new_v4().simple().to_string()[..5]);
    object["metadata"]["name"] = name.as_str().into();
    name
}

fn refuse_mistakes(resource: &Resource, object: &Value, mut causes: Vec<Cause>) -> Result<(), Refusal> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    if name.is_empty() {
        causes.push(Cause {
            reason: "FieldValueRequired",
            field: "metadata.name".into(),
            message: "Required value: name or generateName is required".into(),
        });
    } else {
        causes.extend(validation::metadata_mistakes(object));
    }
    if !resource.schema.is_null() {
        causes.extend(validation::mistakes(&resource.schema, object));
    }
    if causes.is_empty() { Ok(()) } else { Err(Refusal::invalid(&resource.group, &resource.kind, name, &causes)) }
}

/// Takes out what is empty and what is never kept.
fn tidy(metadata: &mut Value) {
    let Value::Object(fields) = metadata else { return };
    fields.remove("managedFields");
    fields.remove("selfLink");
    for field in ["labels", "annotations"] {
        if let Some(Value::Object(all)) = fields.get_mut(field) {
            all.retain(|_, value| !value.is_null());
        }
    }
    fields.retain(|_, value| match value {
        Value::Object(all) => !all.is_empty(),
        Value::Array(all) => !all.is_empty(),
        Value::Null => false,
        _ => true,
    });
}

/// A time as the API server writes it.
fn seconds(now: Timestamp) -> String {
    Timestamp::from_second(now.as_second()).unwrap().to_string()
}

/// A Status of success, as the answer to a deletion.
pub fn success(resource: &Resource, object: &Value) -> Value {
    let mut details = resource.details(object["metadata"]["name"].as_str().unwrap_or_default());
    details["uid"] = object["metadata"]["uid"].clone();
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
}
