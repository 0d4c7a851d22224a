//! Any valid object of several kinds: every optional part there or not, texts of any Unicode, durations in any form.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};
use wicap::api::{decode, policy::ControlPolicy, session::ControlSession, soak::SoakRun, stack::WicapStack};

/// Each object has a name of its own, so that every case begins with none of it.
static NAMES: AtomicU32 = AtomicU32::new(0);

type Part = BoxedStrategy<Option<Value>>;

/// A valid manifest.
pub fn valid() -> impl Strategy<Value = Value> {
    prop_oneof![stack(), session(), policy(), soak()].prop_map(|mut manifest| {
        manifest["metadata"]["name"] = json!(format!("n{}", NAMES.fetch_add(1, Ordering::Relaxed)));
        let wrong = match manifest["kind"].as_str() {
            Some("WicapStack") => decode::manifest::<WicapStack>(&manifest).err(),
            Some("ControlSession") => decode::manifest::<ControlSession>(&manifest).err(),
            Some("ControlPolicy") => decode::manifest::<ControlPolicy>(&manifest).err(),
            _ => decode::manifest::<SoakRun>(&manifest).err(),
        };
        assert_eq!(wrong, None, "the generator makes valid objects only: {manifest}");
        manifest
    })
}

/// An object of fields, each there or not.
fn fields(parts: Vec<(&'static str, Part)>) -> BoxedStrategy<Value> {
    let (names, parts): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    let object = move |values: Vec<Option<Value>>| {
        let there = names.iter().zip(values).filter_map(|(name, value)| Some(((*name).to_owned(), value?)));
        Value::Object(there.collect::<Map<_, _>>())
    };
    parts.prop_map(object).boxed()
}

fn always(strategy: impl Strategy<Value = impl Into<Value> + std::fmt::Debug + 'static> + 'static) -> Part {
    strategy.prop_map(|value| Some(value.into())).boxed()
}

fn maybe(strategy: impl Strategy<Value = impl Into<Value> + std::fmt::Debug + 'static> + 'static) -> Part {
    option::of(strategy.prop_map(Into::into)).boxed()
}

fn fixed(value: Value) -> Part {
    Just(Some(value)).boxed()
}

fn duration() -> impl Strategy<Value = &'static str> {
    select(vec!["45s", "90s", "1m30s", "3600s", "1h", "0h5m", "1500ms"])
}

/// Any text at all: control characters, line breaks, what is not in any plane that is used.
fn anything() -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..16).prop_map(|characters| characters.into_iter().collect())
}

/// Any text that says something.
fn text() -> impl Strategy<Value = String> {
    anything().prop_map(|any| format!("w{}", any.replace('\0', "")))
}

fn texts(any: &'static str, most: usize) -> impl Strategy<Value = Vec<String>> {
    vec(any, 0..=most)
}

fn actions() -> impl Strategy<Value = Vec<&'static str>> {
    subsequence(vec!["status_check", "start_service", "restart_service", "stop_service", "compose_up"], 1..=5)
}

fn pairs(values: impl Strategy<Value = String> + 'static) -> impl Strategy<Value = Value> {
    btree_map("[a-z][a-zA-Z0-9_.-]{0,8}[a-z0-9]", values, 0..3).prop_map(|map| json!(map))
}

fn object(kind: &'static str, spec: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    let metadata = fields(vec![
        ("labels", maybe(pairs("([a-zA-Z0-9]([a-zA-Z0-9_.-]{0,8}[a-zA-Z0-9])?)?".boxed()))),
        ("annotations", maybe(pairs(anything()))),
    ]);
    let object = move |(metadata, spec)| {
        json!({"apiVersion": "wicap.dev/v1alpha1", "kind": kind, "metadata": metadata,
    "spec": spec})
    };
    (metadata, spec).prop_map(object).boxed()
}

fn probe() -> BoxedStrategy<Value> {
    let tcp = fields(vec![("port", always(1..=65535_u32)), ("host", maybe("[a-z]{1,8}"))]);
    let http = fields(vec![
        ("port", always(1..=65535_u32)),
        ("path", maybe("/[a-z/]{0,8}")),
        ("expectedStatuses", maybe(vec(200..=299_u32, 1..3))),
    ]);
    let handler = prop_oneof![tcp.prop_map(|t| ("tcpSocket", t)), http.prop_map(|h| ("httpGet", h))];
    let common = fields(vec![
        ("period", maybe(select(vec!["60s", "1m", "5m"]))),
        ("failureThreshold", maybe(1..9_u32)),
        ("initialDelay", maybe(duration())),
    ]);
    (handler, common)
        .prop_map(|((name, handler), mut probe)| {
            probe["name"] = json!(name.to_lowercase());
            probe[name] = handler;
            probe
        })
        .boxed()
}

fn recovery() -> BoxedStrategy<Value> {
    fields(vec![
        ("holdOff", maybe(duration())),
        ("resetAfter", maybe(duration())),
        ("backoff", maybe(fields(vec![("initial", maybe(duration())), ("max", maybe(Just("10m")))]))),
        ("flapping", maybe(fields(vec![("starts", always(3..10_u32)), ("within", maybe(duration()))]))),
    ])
}

fn stack() -> BoxedStrategy<Value> {
    let service = fields(vec![
        ("critical", maybe(any::<bool>())),
        ("managed", maybe(any::<bool>())),
        ("probes", maybe(option::of(probe()).prop_map(|p| p.into_iter().collect::<Vec<_>>()))),
        ("recovery", maybe(recovery())),
    ]);
    let services = vec(service, 1..4).prop_map(|mut services| {
        for (i, service) in services.iter_mut().enumerate() {
            service["name"] = json!(format!("s{i}"));
            if i > 0 {
                service["dependsOn"] = json!([format!("s{}", i - 1)]);
            }
        }
        services
    });
    let compose = fields(vec![
        ("project", always("[a-z0-9][a-z0-9_-]{0,10}")),
        ("directory", always("/[a-zäß主]{1,8}/[a-z☂]{1,8}")),
        ("files", maybe(vec("[a-zé]{1,6}\\.yaml", 1..3))),
        ("profiles", maybe(texts("[a-z]{1,6}", 2))),
    ]);
    let spec = fields(vec![
        ("host", maybe("[a-z]{1,8}")),
        ("compose", always(compose)),
        ("desiredState", maybe(select(vec!["Running", "Stopped"]))),
        ("services", always(services)),
        ("defaults", maybe(fields(vec![("recovery", maybe(recovery()))]))),
        ("maintenance", maybe(Just(Value::Null))),
    ]);
    object("WicapStack", spec)
}

fn session() -> BoxedStrategy<Value> {
    let spec = fields(vec![
        ("stack", always("[a-z]{1,8}")),
        ("mode", always(select(vec!["Monitor", "Shadow", "Assist"]))),
        ("ttl", always(select(vec!["2h", "7200s", "120m"]))),
        ("maxTier", maybe(select(vec!["Safe", "Caution", "Destructive"]))),
        ("allowedActions", always(actions())),
        ("approval", maybe(fields(vec![("caution", maybe(Just("Ask"))), ("timeout", maybe(duration()))]))),
        ("budget", maybe(fields(vec![("maxActions", always(0..1000_u32)), ("window", always(duration()))]))),
        ("operator", always(text())),
        ("reason", always(text())),
    ]);
    object("ControlSession", spec)
}

fn policy() -> BoxedStrategy<Value> {
    let rules = || {
        let rule = fields(vec![("actions", always(actions())), ("targets", maybe(vec("[a-z*]{1,5}", 1..3)))]);
        vec(rule, 0..3)
    };
    let spec = fields(vec![
        ("allow", maybe(rules())),
        ("deny", maybe(rules())),
        ("allowedRoots", maybe(texts("/[a-zä]{1,8}", 2))),
        ("hosts", maybe(texts("[a-z*]{1,8}", 2))),
        ("cooldowns", maybe(duration().prop_map(|d| json!({"restart_service": d})))),
    ]);
    object("ControlPolicy", spec)
}

fn soak() -> BoxedStrategy<Value> {
    let check = fields(vec![
        ("name", fixed(json!("dashboard"))),
        ("httpGet", always(fields(vec![("port", always(1..=65535_u32))]))),
        ("period", fixed(json!("1m"))),
    ]);
    let criteria = fields(vec![("minPassRate", maybe(0.0..=1.0_f64)), ("maxRestarts", maybe(0..9_u32))]);
    let spec = fields(vec![
        ("stack", always("[a-z]{1,8}")),
        ("duration", always(duration())),
        ("checks", always(check.prop_map(|c| vec![c]))),
        ("criteria", maybe(criteria)),
        ("samples", maybe(fields(vec![("interval", maybe(Just("15s")))]))),
        ("duringSoak", maybe(select(vec!["Recover", "Observe", "Abort"]))),
        ("baseline", maybe("[a-z]{1,8}")),
    ]);
    object("SoakRun", spec)
}

/// A change of a manifest that its kind permits.
#[derive(Clone, Debug)]
pub struct Change {
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    spec: bool,
}

/// Any such change; it may come to nothing.
pub fn valid_change() -> impl Strategy<Value = Change> {
    let map = |values: BoxedStrategy<String>| option::of(btree_map("[a-z]{2,4}", values, 0..3));
    (map("[a-z]{0,4}".boxed()), map(anything().boxed()), any::<bool>()).prop_map(|(labels, annotations, spec)| Change {
        labels,
        annotations,
        spec,
    })
}

impl Change {
    /// The manifest with the change. Maps are replaced, so keys go, or all of a map does; of the spec goes or comes what
    /// may.
    pub fn of(&self, manifest: &Value) -> Value {
        let mut manifest = manifest.clone();
        for (field, map) in [("labels", &self.labels), ("annotations", &self.annotations)] {
            match map {
                None => {}
                Some(map) if map.is_empty() => drop(manifest["metadata"].as_object_mut().and_then(|m| m.remove(field))),
                Some(map) => manifest["metadata"][field] = json!(map),
            }
        }
        if self.spec {
            let kind = manifest["kind"].as_str().unwrap_or_default().to_owned();
            let spec = manifest["spec"].as_object_mut().expect("a manifest has a spec");
            match kind.as_str() {
                "WicapStack" => {
                    spec.remove("desiredState");
                    spec["services"] = json!([{"name": "other"}]);
                }
                "ControlPolicy" => {
                    spec.remove("deny");
                    spec.insert("hosts".to_owned(), json!(["changed"]));
                }
                "SoakRun" => drop(spec.insert("suspend".to_owned(), json!(true))),
                _ => drop(spec.insert("end".to_owned(), json!(true))),
            }
        }
        manifest
    }

    /// Whether it can be taken back. A session that was ended does not come back.
    pub fn can_be_undone(&self, manifest: &Value) -> bool {
        !self.spec || manifest["kind"] != "ControlSession"
    }
}

/// What others set on an object that no manifest here speaks of.
#[derive(Clone, Debug)]
pub struct Theirs {
    label: Option<String>,
    annotation: Option<String>,
    spec: bool,
}

/// Anything that others may set.
pub fn theirs() -> impl Strategy<Value = Theirs> {
    (option::of("[a-z]{1,5}"), option::of(anything()), any::<bool>()).prop_map(|(label, annotation, spec)| Theirs {
        label,
        annotation,
        spec,
    })
}

/// A key that no generated manifest has: theirs have no prefix.
const KEY: &str = "others.example/key";

impl Theirs {
    /// The merge patch that sets it on the object of a manifest.
    pub fn patch(&self, manifest: &Value) -> Value {
        let mut patch = json!({"metadata": {}, "spec": {}});
        if let Some(label) = &self.label {
            patch["metadata"]["labels"] = json!({KEY: label});
        }
        if let Some(annotation) = &self.annotation {
            patch["metadata"]["annotations"] = json!({KEY: annotation});
        }
        if self.spec {
            match manifest["kind"].as_str() {
                Some("WicapStack") => patch["spec"]["defaults"] = json!({"maxConcurrent": 7}),
                Some("ControlPolicy") => patch["spec"]["timeouts"] = json!({"compose_up": "7m"}),
                Some("SoakRun") => patch["spec"]["finish"] = json!(true),
                _ => {}
            }
        }
        patch
    }

    /// Whether an object has all of it.
    pub fn is_still_in(&self, live: &Value) -> bool {
        let mut merged = live.clone();
        json_patch::merge(&mut merged, &self.patch(live));
        merged == *live
    }
}
