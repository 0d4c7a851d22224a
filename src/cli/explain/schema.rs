//! The schema of a kind as `explain` walks through it: structural, so that all is in its place and nothing is referred to.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::api::API_VERSION;
use crate::api::registry::KindInfo;

/// The fields of `metadata` that the store keeps.
const METADATA: [&str; 10] = [
    "annotations",
    "creationTimestamp",
    "deletionTimestamp",
    "finalizers",
    "generation",
    "labels",
    "name",
    "ownerReferences",
    "resourceVersion",
    "uid",
];

/// How a schema of ours says which type of Kubernetes it is; kubectl shows that name.
const TYPE_NAME: &str = "x-type-name";

/// A schema, with all that is below it.
#[derive(Clone, Debug)]
pub struct Schema(Value);

/// Where the way to a field ends that there is not.
#[derive(Debug, PartialEq, Eq)]
pub struct Lost<'a> {
    /// Which step of the way is wrong.
    pub at: usize,
    /// The fields that there are at that place.
    pub known: Vec<&'a str>,
}

impl Schema {
    /// That of a kind, with the fields that every object has.
    #[must_use]
    pub fn of(info: &KindInfo) -> Self {
        let version = (info.crd)().spec.versions.into_iter().next();
        let schema = version.and_then(|v| v.schema).and_then(|s| s.open_api_v3_schema);
        let mut root = serde_json::to_value(schema).unwrap_or_default();
        // The derive gives the whole object a sentence about itself; what it is for is said of its spec.
        if let Some(meaning) = root.pointer("/properties/spec/description").cloned() {
            root["description"] = meaning;
        }
        if let Some(properties) = root.get_mut("properties").and_then(Value::as_object_mut) {
            let text = |description: String| json!({"type": "string", "description": description});
            properties.insert("apiVersion".to_owned(), text(format!("The group and version of the kind: {API_VERSION}.")));
            properties.insert("kind".to_owned(), text(format!("The kind: {}.", info.kind)));
            properties.insert("metadata".to_owned(), metadata());
        }
        Self(root)
    }

    /// The schema at the end of a way, through lists and maps.
    ///
    /// # Errors
    /// [`Lost`] where the way leads nowhere.
    pub fn find<'a>(&'a self, fields: &[&str]) -> Result<&'a Value, Lost<'a>> {
        let mut at = &self.0;
        for (i, field) in fields.iter().enumerate() {
            let owner = with_fields(at);
            let found = owner.and_then(|owner| owner.get("properties")?.get(*field));
            let known = || owner.and_then(|o| o.get("properties")?.as_object()).into_iter().flat_map(Map::keys);
            at = found.ok_or_else(|| Lost { at: i, known: known().map(String::as_str).collect() })?;
        }
        Ok(at)
    }
}

/// The schema with the fields: itself, or that of a list's elements or a map's values.
fn with_fields(schema: &Value) -> Option<&Value> {
    let mut at = schema;
    loop {
        if at.get("properties").is_some() {
            return Some(at);
        }
        at = inner(at)?;
    }
}

/// What a list is of, or a map.
pub fn inner(schema: &Value) -> Option<&Value> {
    let of = |key| schema.get(key).filter(|inner: &&Value| inner.is_object());
    of("items").or_else(|| of("additionalProperties"))
}

/// What kubectl calls the type of a value.
#[must_use]
pub fn type_of(schema: &Value) -> String {
    if let Some(items) = schema.get("items").filter(|items| items.is_object()) {
        return format!("[]{}", type_of(items));
    }
    if let Some(values) = schema.get("additionalProperties").filter(|values| values.is_object()) {
        return format!("map[string]{}", type_of(values));
    }
    match (schema.get(TYPE_NAME).and_then(Value::as_str), schema.get("type").and_then(Value::as_str)) {
        (Some(name), _) => name.to_owned(),
        (None, None | Some("object")) => "Object".to_owned(),
        (None, Some(type_)) => type_.to_owned(),
    }
}

/// The schema of `metadata`, from the type that the store keeps it in.
fn metadata() -> Value {
    let settings = SchemaSettings::openapi3().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<ObjectMeta>().to_value();
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.retain(|name, _| METADATA.contains(&name.as_str()));
    }
    schema["description"] = json!("What every object has: its name, labels, annotations, and what the store keeps of it.");
    schema[TYPE_NAME] = json!("ObjectMeta");
    if let Some(owner) = schema.pointer_mut("/properties/ownerReferences/items") {
        owner[TYPE_NAME] = json!("OwnerReference");
    }
    schema
}
