//! From what is asked to what is answered, without I/O.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::change::{self, Changed, Deleted, Manner};
use super::objects::{Key, Objects};
use super::refusal::Refusal;
use super::resource::Resource;
use super::selector::Selector;
use super::table::table;
use super::{discovery, schema};

/// A request.
#[derive(Debug)]
pub struct Ask {
    pub method: String,
    pub path: String,
    pub query: HashMap<String, String>,
    pub accept: String,
    pub media_type: String,
    pub body: Vec<u8>,
}

/// What is answered.
pub enum Answer {
    Json {
        code: u16,
        value: Value,
        warnings: Vec<String>,
        /// What the garbage collector is to remove soon.
        collect: Option<Key>,
    },
    /// Anything else.
    Bytes { code: u16, media_type: &'static str, bytes: Vec<u8> },
    /// A watch.
    Follow(Box<Following>),
}

/// What a watch follows, and how far it is.
#[derive(Debug)]
pub struct Following {
    resource: Resource,
    namespace: String,
    selector: Selector,
    /// Also what is there already.
    first: bool,
    revision: usize,
    shape: Shape,
    headers: bool,
    /// How long it lasts.
    pub limit: Duration,
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    Objects,
    /// With the whole object in each row, or its metadata.
    Table {
        whole: bool,
    },
}

/// The server without its door.
pub struct Api {
    resources: Vec<Resource>,
    objects: Objects,
}

/// A watch that names no limit. Real servers take 30 to 60 minutes; no test waits so long.
const WATCH_LIMIT: Duration = Duration::from_secs(1800);

impl Api {
    /// With objects that are kept as they are, status, uid and times included.
    pub fn new(crds: &Path, objects: &[Value]) -> Self {
        let resources = Resource::all(crds);
        let mut kept = Objects::default();
        for object in objects {
            let kind = object["kind"].as_str().unwrap_or_default();
            let resource = resources.iter().find(|r| r.kind == kind).unwrap_or_else(|| panic!("no CRD has kind {kind}"));
            let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
            let mut object = object.clone();
            super::validation::fill(&resource.schema, &mut object);
            kept.put((resource.plural.clone(), text("namespace"), text("name")), object);
        }
        Self { resources, objects: kept }
    }

    pub fn revision(&self) -> usize {
        self.objects.revision()
    }

    /// Writes a status, as a controller does.
    pub fn set_status(&mut self, plural: &str, name: &str, status: Value) {
        let key = (plural.to_owned(), String::new(), name.to_owned());
        let mut object = self.objects.get(&key).unwrap_or_else(|| panic!("no {plural}/{name}")).clone();
        object["status"] = status;
        self.objects.put(key, object);
    }

    /// Ends a deletion in the foreground.
    pub fn finish(&mut self, key: &Key) {
        change::finish(&mut self.objects, key);
    }

    pub fn answer(&mut self, ask: &Ask, now: Timestamp) -> Answer {
        match self.dispatch(ask, now) {
            Ok(answer) => answer,
            Err(refusal) if refusal.code == 404 && refusal.details == json!({}) => {
                Answer::Bytes { code: 404, media_type: "text/plain; charset=utf-8", bytes: b"404 page not found\n".into() }
            }
            Err(refusal) => {
                Answer::Json { code: refusal.code, value: refusal.status(), warnings: Vec::new(), collect: None }
            }
        }
    }

    fn dispatch(&mut self, ask: &Ask, now: Timestamp) -> Result<Answer, Refusal> {
        let words: Vec<&str> = ask.path.trim_matches('/').split('/').collect();
        let custom = self.resources.iter().find(|r| !r.group.is_empty()).cloned().ok_or_else(Refusal::no_such_path)?;
        match words.as_slice() {
            ["version"] => return Ok(json_answer(discovery::version())),
            ["api"] => return Ok(json_answer(discovery::core_versions())),
            ["apis"] => return Ok(json_answer(discovery::groups(&self.resources))),
            ["api", "v1"] => return Ok(json_answer(discovery::resources(&self.resources, "v1"))),
            ["apis", group] if *group == custom.group => return Ok(json_answer(discovery::group(&custom))),
            ["apis", group, version] if *group == custom.group && *version == custom.version => {
                return Ok(json_answer(discovery::resources(&self.resources, &custom.api_version())));
            }
            ["openapi", "v2"] => {
                let media_type = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
                return Ok(Answer::Bytes { code: 200, media_type, bytes: schema::document_v2() });
            }
            ["openapi", "v3"] => return Ok(json_answer(schema::index(&self.resources))),
            ["openapi", "v3", "api", "v1"] => return Ok(json_answer(schema::document(&self.resources, "v1"))),
            ["openapi", "v3", "apis", ..] => {
                return Ok(json_answer(schema::document(&self.resources, &custom.api_version())));
            }
            ["api", "v1", "namespaces", name] => {
                return Ok(json_answer(json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": name}})));
            }
            _ => {}
        }
        let (api_version, rest) = match words.as_slice() {
            ["api", "v1", rest @ ..] => ("v1".to_owned(), rest),
            ["apis", group, version, rest @ ..] => (format!("{group}/{version}"), rest),
            _ => return Err(Refusal::no_such_path()),
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] => (*namespace, rest),
            _ => ("", rest),
        };
        let (plural, rest) = rest.split_first().ok_or_else(Refusal::no_such_path)?;
        let of_path = |r: &&Resource| r.api_version() == api_version && r.plural == *plural;
        let resource = self.resources.iter().find(of_path).cloned().ok_or_else(Refusal::no_such_path)?;
        match (ask.method.as_str(), rest) {
            ("GET", []) => self.list(ask, &resource, namespace, now),
            ("POST", []) => {
                let Changed { object, warnings } =
                    change::create(&mut self.objects, &resource, namespace, body(ask)?, &manner(ask, false), now)?;
                Ok(Answer::Json { code: 201, value: shaped(ask, &resource, object, now), warnings, collect: None })
            }
            (method, [name]) => self.one(method, ask, &resource, &key(&resource, namespace, name), false, now),
            (method, [name, "status"]) => self.one(method, ask, &resource, &key(&resource, namespace, name), true, now),
            _ => Err(Refusal::no_such_path()),
        }
    }

    fn one(
        &mut self,
        method: &str,
        ask: &Ask,
        resource: &Resource,
        key: &Key,
        status: bool,
        now: Timestamp,
    ) -> Result<Answer, Refusal> {
        let manner = manner(ask, status);
        let Changed { object, warnings } = match method {
            "GET" => {
                let found = self.objects.get(key).ok_or_else(|| Refusal::not_found(resource, &key.2))?;
                Changed { object: found.clone(), warnings: Vec::new() }
            }
            "PUT" => change::replace(&mut self.objects, resource, key, body(ask)?, &manner)?,
            "PATCH" => change::patch(&mut self.objects, resource, key, &ask.media_type, &body(ask)?, &manner)?,
            "DELETE" => {
                let options = if ask.body.is_empty() { json!({}) } else { body(ask)? };
                let dry_run = manner.dry_run || options["dryRun"].as_array().is_some_and(|all| !all.is_empty());
                let deleted = change::delete(&mut self.objects, resource, key, &options, dry_run, now)?;
                let (value, collect) = match deleted {
                    Deleted::Gone(object) => (change::success(resource, &object), None),
                    Deleted::Held(object) => (object, None),
                    Deleted::Foreground(object) => (object, Some(key.clone())),
                };
                return Ok(Answer::Json { code: 200, value, warnings: Vec::new(), collect });
            }
            _ => return Err(Refusal::no_such_path()),
        };
        Ok(Answer::Json { code: 200, value: shaped(ask, resource, object, now), warnings, collect: None })
    }

    fn list(&self, ask: &Ask, resource: &Resource, namespace: &str, now: Timestamp) -> Result<Answer, Refusal> {
        let asked = |name: &str| ask.query.get(name).map(String::as_str).unwrap_or_default();
        let selector = Selector::parse(resource, asked("labelSelector"), asked("fieldSelector"))?;
        let shape = shape(ask);
        if ["true", "1"].contains(&asked("watch")) {
            let version = asked("resourceVersion");
            return Ok(Answer::Follow(Box::new(Following {
                resource: resource.clone(),
                namespace: namespace.to_owned(),
                selector,
                first: version.is_empty() || version == "0",
                revision: version.parse().unwrap_or(0),
                shape,
                headers: true,
                limit: asked("timeoutSeconds").parse().map_or(WATCH_LIMIT, Duration::from_secs),
            })));
        }
        let after = match asked("continue") {
            "" => None,
            token => {
                let bytes = base64::engine::general_purpose::STANDARD.decode(token).ok();
                let name = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
                Some(name.ok_or_else(|| Refusal::bad_request("continue key is not valid"))?)
            }
        };
        let name = |object: &Value| object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let mut found: Vec<Value> = self
            .objects
            .list(&resource.plural, namespace)
            .filter(|object| selector.selects(object) && after.as_ref().is_none_or(|after| name(object) > *after))
            .cloned()
            .collect();
        let mut metadata = json!({"resourceVersion": self.revision().to_string()});
        let limit = asked("limit").parse().unwrap_or(0);
        if limit > 0 && found.len() > limit {
            metadata["remainingItemCount"] = (found.len() - limit).into();
            found.truncate(limit);
            let last = found.last().map(name).unwrap_or_default();
            metadata["continue"] = base64::engine::general_purpose::STANDARD.encode(last).into();
        }
        let mut value = match shape {
            Shape::Table { whole } => table(resource, &found, whole, true, now),
            Shape::Objects => {
                json!({"kind": format!("{}List", resource.kind), "apiVersion": resource.api_version(), "items": found})
            }
        };
        value["metadata"] = metadata;
        Ok(json_answer(value))
    }

    /// What a watch has not seen yet.
    pub fn events(&self, following: &mut Following, now: Timestamp) -> Vec<Value> {
        let mut seen = Vec::new();
        if std::mem::take(&mut following.first) {
            let there = self.objects.list(&following.resource.plural, &following.namespace);
            seen.extend(there.filter(|o| following.selector.selects(o)).map(|object| ("ADDED", object)));
        } else {
            let changes = self.objects.since(following.revision).iter();
            seen.extend(changes.filter_map(|c| c.seen(&following.resource, &following.namespace, &following.selector)));
        }
        let events = seen
            .into_iter()
            .map(|(type_, object)| {
                let shown = match following.shape {
                    Shape::Objects => object.clone(),
                    Shape::Table { whole } => {
                        let headers = std::mem::take(&mut following.headers);
                        let one = std::slice::from_ref(object);
                        let mut table = table(&following.resource, one, whole, headers, now);
                        table["metadata"]["resourceVersion"] = object["metadata"]["resourceVersion"].clone();
                        table
                    }
                };
                json!({"type": type_, "object": shown})
            })
            .collect();
        following.revision = self.revision();
        events
    }
}

fn json_answer(value: Value) -> Answer {
    Answer::Json { code: 200, value, warnings: Vec::new(), collect: None }
}

fn key(resource: &Resource, namespace: &str, name: &str) -> Key {
    (resource.plural.clone(), namespace.to_owned(), name.to_owned())
}

fn manner(ask: &Ask, status: bool) -> Manner {
    let field_validation = ask.query.get("fieldValidation").cloned().unwrap_or_else(|| "Warn".into());
    Manner { dry_run: ask.query.contains_key("dryRun"), field_validation, status }
}

fn body(ask: &Ask) -> Result<Value, Refusal> {
    serde_json::from_slice(&ask.body).map_err(|_| Refusal::bad_request("error decoding patch: unexpected end of JSON input"))
}

fn shape(ask: &Ask) -> Shape {
    let wanted = ask.accept.split(',').next().unwrap_or_default();
    if wanted.contains("as=Table") && wanted.contains("g=meta.k8s.io") {
        Shape::Table { whole: ask.query.get("includeObject").is_some_and(|what| what == "Object") }
    } else {
        Shape::Objects
    }
}

/// An object in the form that is asked for.
fn shaped(ask: &Ask, resource: &Resource, object: Value, now: Timestamp) -> Value {
    match shape(ask) {
        Shape::Objects => object,
        Shape::Table { whole } => {
            let mut table = table(resource, std::slice::from_ref(&object), whole, true, now);
            table["metadata"]["resourceVersion"] = object["metadata"]["resourceVersion"].clone();
            table
        }
    }
}
