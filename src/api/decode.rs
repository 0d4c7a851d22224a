//! Strict reading of what people wrote: the first mistake of form, or every broken rule, each with the path of its field.
//!
//! What is read from the store is read leniently instead (an unknown field is dropped), so that an older process can read what
//! a newer one wrote.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::validate::quoted;
use super::{API_VERSION, MAX_OBJECT_BYTES, Object, Violation, registry};

/// The kind a document says it is.
///
/// # Errors
/// A violation when it is not an object, has another `apiVersion` or a `kind` that does not exist.
pub fn kind_of(document: &Value) -> Result<registry::KindInfo, Violation> {
    let Value::Object(map) = document else {
        return Err(Violation::new("(document)", describe(document), "an object with apiVersion, kind, metadata and spec"));
    };
    match map.get("apiVersion") {
        Some(Value::String(v)) if v == API_VERSION => {}
        other => {
            return Err(Violation::new(
                "apiVersion",
                other.map_or("nothing".into(), describe),
                format!("\"{API_VERSION}\""),
            ));
        }
    }
    let kind = map.get("kind");
    kind.and_then(Value::as_str).and_then(|k| registry::kinds().into_iter().find(|info| info.kind == k)).ok_or_else(|| {
        let all: Vec<_> = registry::kinds().iter().map(|k| k.kind).collect();
        Violation::new("kind", kind.map_or("nothing".into(), describe), format!("one of {}", all.join(", ")))
    })
}

/// Reads a whole manifest of kind `K` and checks every rule. The `status` half of a manifest is ignored, as `kubectl` does.
///
/// # Errors
/// Everything that is wrong with it; a mistake of form is reported alone, since the rest cannot be judged then.
pub fn manifest<K: Object>(document: &Value) -> Result<K, Vec<Violation>> {
    let size = document.to_string().len();
    if size > MAX_OBJECT_BYTES {
        let expected = format!("at most {MAX_OBJECT_BYTES} bytes of JSON");
        return Err(vec![Violation::new("(document)", format!("{size} bytes"), expected)]);
    }
    let info = kind_of(document).map_err(|v| vec![v])?;
    if info.kind != K::kind(&()) {
        return Err(vec![Violation::new("kind", quoted(info.kind), format!("\"{}\"", K::kind(&())))]);
    }
    let mut document = document.clone();
    if let Value::Object(map) = &mut document {
        map.remove("status");
        // A missing half would be reported as a missing field of the root; an empty one names the fields inside it.
        map.entry("metadata").or_insert_with(|| Value::Object(serde_json::Map::default()));
    }
    let object: K = strict(&document, siblings::<K>).map_err(|v| vec![v])?;
    let mut violations = Vec::new();
    if !super::validate::is_object_name(object.name()) {
        let mut check = super::validate::Check::new();
        check.object_name("metadata.name", object.name());
        violations.extend(check.finish());
    }
    violations.extend(object.validate());
    if violations.is_empty() { Ok(object) } else { Err(violations) }
}

/// Reads a whole object as it was stored, with its status, and checks every rule.
///
/// # Errors
/// As [`manifest`]; a mistake in the status too.
pub fn recorded<K: Object>(document: &Value) -> Result<K, Vec<Violation>> {
    let mut object: K = manifest(document)?;
    if let Some(status) = document.get("status").filter(|status| !status.is_null()) {
        *object.status_mut() = Some(value(status).map_err(|v| vec![v.under("status")])?);
    }
    Ok(object)
}

/// Reads a value that is no object of a kind: unknown fields are refused, and a mistake has its path.
///
/// # Errors
/// The first mistake.
pub fn value<T: DeserializeOwned>(document: &Value) -> Result<T, Violation> {
    strict(document, |_| Vec::new())
}

/// Reads a value, unknown fields refused, every mistake with its path. `known` says which fields there are beside one.
fn strict<T: DeserializeOwned>(document: &Value, known: impl Fn(&str) -> Vec<String>) -> Result<T, Violation> {
    let object: T = serde_path_to_error::deserialize(document).map_err(|e| {
        let path = e.path().to_string();
        translate(&path, &e.into_inner().to_string(), document)
    })?;
    let mut unknown = None;
    let _: Result<T, _> = serde_ignored::deserialize(document, |path| {
        let path = path.to_string();
        // The type says these two, so its deserialisation passes over them; `kind_of` has read them.
        if path != "apiVersion" && path != "kind" {
            unknown.get_or_insert(path);
        }
    });
    match unknown {
        None => Ok(object),
        // serde_ignored marks an optional level with `?`, and writes an index as a name.
        Some(path) => {
            let path = normal_path(&path.replace(".?", "").replace('?', ""));
            let known = known(&path);
            let expected = match known.as_slice() {
                [] => "no such field".to_owned(),
                names => format!("one of {}", names.join(", ")),
            };
            Err(Violation::new(path, "an unknown field", expected))
        }
    }
}

/// `a.0.b` as `a[0].b`.
fn normal_path(path: &str) -> String {
    let mut out = String::new();
    for part in path.split('.').filter(|p| !p.is_empty()) {
        if part.bytes().all(|b| b.is_ascii_digit()) {
            out.push_str(&format!("[{part}]"));
        } else {
            if !out.is_empty() {
                out.push('.');
            }
            out.push_str(part);
        }
    }
    out
}

/// The fields that the schema knows beside the last one of `path`.
fn siblings<K: Object>(path: &str) -> Vec<String> {
    let crd = K::crd();
    let Some(schema) = crd.spec.versions.first().and_then(|v| v.schema.as_ref()).and_then(|s| s.open_api_v3_schema.clone())
    else {
        return Vec::new();
    };
    let Some((parent, _)) = path.rsplit_once('.') else {
        return vec!["apiVersion".into(), "kind".into(), "metadata".into(), "spec".into()];
    };
    if parent == "metadata" {
        // The schema of a definition leaves the metadata open; these are the fields that an operator writes.
        return ["annotations", "finalizers", "labels", "name", "ownerReferences"].map(str::to_owned).into();
    }
    let mut at = schema;
    for part in parent.split('.') {
        let (field, indexed) = part.split_once('[').map_or((part, false), |(f, _)| (f, true));
        let Some(next) = at.properties.and_then(|mut p| p.remove(field)) else { return Vec::new() };
        at = next;
        if indexed {
            use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaPropsOrArray as Items;
            match at.items {
                Some(Items::Schema(item)) => at = *item,
                _ => return Vec::new(),
            }
        }
    }
    at.properties.map(|p| p.into_keys().collect()).unwrap_or_default()
}

/// A message of serde in our form. The messages are serde's documented `invalid_type`, `invalid_value`, `missing_field` and
/// `unknown_variant`; any other is shown as it is.
fn translate(path: &str, message: &str, document: &Value) -> Violation {
    let at = |field: &str| match path {
        "." | "" => field.to_owned(),
        p => format!("{p}.{field}"),
    };
    let here = if path == "." { "(document)" } else { path };
    if let Some(field) = message.strip_prefix("missing field `").and_then(|m| m.strip_suffix('`')) {
        return Violation::new(at(field), "nothing", "a value: the field is required");
    }
    if let Some((field, expected)) = message.strip_prefix("unknown field `").and_then(|m| m.split_once("`, expected ")) {
        // Where a type itself refuses a field, the path ends with it.
        let there = if path.rsplit('.').next() == Some(field) { path.to_owned() } else { at(field) };
        return Violation::new(there, "an unknown field", expected.replace('`', ""));
    }
    if let Some((found, expected)) = message.strip_prefix("unknown variant `").and_then(|m| m.split_once("`, expected ")) {
        return Violation::new(here, quoted(found), expected.replace('`', "\""));
    }
    let stands_there = value_at(document, path).map(describe);
    for prefix in ["invalid type: ", "invalid value: ", "invalid length "] {
        if let Some((found, expected)) = message.strip_prefix(prefix).and_then(|m| m.split_once(", expected ")) {
            return Violation::new(here, stands_there.unwrap_or_else(|| cut(found)), in_words(expected));
        }
    }
    Violation::new(here, stands_there.unwrap_or("a value".into()), message)
}

/// What serde calls by the names of Rust's types, for those who write manifests.
fn in_words(expected: &str) -> String {
    match expected {
        "u16" => format!("a whole number from 0 to {}", u16::MAX),
        "u32" => format!("a whole number from 0 to {}", u32::MAX),
        "i64" => "a whole number".to_owned(),
        "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "an object".to_owned(),
        other if other.starts_with("struct ") => "an object".to_owned(),
        other => other.to_owned(),
    }
}

fn cut(found: &str) -> String {
    let short: String = found.chars().take(120).collect();
    if short.len() < found.len() { format!("{short}…") } else { short }
}

fn value_at<'a>(document: &'a Value, path: &str) -> Option<&'a Value> {
    let pointer: String =
        path.split(['.', '[']).map(|p| p.trim_end_matches(']')).filter(|p| !p.is_empty()).map(|p| format!("/{p}")).collect();
    document.pointer(&pointer)
}

/// A value as an error shows it.
fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(b) => b.to_string(),
        Value::Number(n) => n.to_string(),
        Value::String(s) => quoted(s),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::stack::WicapStack;
    use serde_json::json;

    fn refused(change: impl FnOnce(&mut Value)) -> String {
        let mut document = json!({
            "apiVersion": "wicap.dev/v1alpha1", "kind": "WicapStack", "metadata": {"name": "s"},
            "spec": {"compose": {"project": "p", "directory": "/srv/p"},
                     "services": [{"name": "ui", "probes": [{"name": "up", "tcpSocket": {"port": 80}}]}]},
        });
        assert!(manifest::<WicapStack>(&document).is_ok());
        change(&mut document);
        let violations = manifest::<WicapStack>(&document).unwrap_err();
        violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn each_mistake_names_field_found_and_expected() {
        type Change = Box<dyn FnOnce(&mut Value)>;
        let table: Vec<(Change, &str)> = vec![
            (
                Box::new(|d| d["apiVersion"] = json!("wicap.dev/v2")),
                "apiVersion: found \"wicap.dev/v2\", expected \"wicap.dev/v1alpha1\"",
            ),
            (Box::new(|d| d["kind"] = json!("Pod")), "kind: found \"Pod\", expected one of WicapStack,"),
            (Box::new(|d| *d = json!([1])), "(document): found a list, expected an object with apiVersion"),
            (
                Box::new(|d| d["spec"]["compose"] = json!({"directory": "/x"})),
                "spec.compose.project: found nothing, expected a value: the field is required",
            ),
            (
                Box::new(|d| d["spec"]["services"][0]["probes"][0]["tcpSocket"]["port"] = json!("http")),
                "spec.services[0].probes[0].tcpSocket.port: found \"http\", expected a whole number from 0 to 65535",
            ),
            (
                Box::new(|d| d["spec"]["services"][0]["nmae"] = json!("x")),
                "spec.services[0].nmae: found an unknown field, expected one of critical,",
            ),
            (
                Box::new(|d| d["spec"]["services"][0]["probes"][0]["perod"] = json!("x")),
                "spec.services[0].probes[0].perod: found an unknown field",
            ),
            (Box::new(|d| d["metadata"]["lables"] = json!({})), "metadata.lables: found an unknown field"),
            (
                Box::new(|d| d["extra"] = json!(1)),
                "extra: found an unknown field, expected one of apiVersion, kind, metadata, spec",
            ),
            (
                Box::new(|d| d["spec"]["desiredState"] = json!("Up")),
                "spec.desiredState: found \"Up\", expected \"Running\" or \"Stopped\"",
            ),
            (
                Box::new(|d| d["spec"]["defaults"] = json!({"recovery": {"holdOff": "-5s"}})),
                "spec.defaults.recovery.holdOff: found \"-5s\", expected a duration of 0s or more",
            ),
            (
                Box::new(|d| d["spec"]["defaults"] = json!({"recovery": {"holdOff": "soon"}})),
                "spec.defaults.recovery.holdOff: found \"soon\", expected a duration, such as \"30s\" or \"1h30m\"",
            ),
            (Box::new(|d| d["metadata"] = json!({})), "metadata.name: found \"\", expected 1 to 253"),
            (
                Box::new(|d| d["spec"]["compose"]["files"] = json!(["../../etc/x"])),
                "spec.compose.files[0]: found \"../../etc/x\", expected a relative path",
            ),
            (
                Box::new(|d| {
                    d.as_object_mut().unwrap().remove("spec");
                }),
                "spec: found nothing, expected a value: the field is required",
            ),
            (Box::new(|d| d["metadata"]["annotations"] = json!({"x": "y".repeat(2 << 20)})), "(document): found 20"),
        ];
        for (change, expected) in table {
            let message = refused(change);
            assert!(message.starts_with(expected), "{message}\n  should begin\n{expected}");
        }
    }

    #[test]
    fn a_status_in_a_manifest_is_ignored() {
        let document = json!({
            "apiVersion": "wicap.dev/v1alpha1", "kind": "WicapStack", "metadata": {"name": "s"},
            "spec": {"compose": {"project": "p", "directory": "/srv/p"}, "services": [{"name": "ui"}]},
            "status": {"services": "nonsense"},
        });
        assert!(manifest::<WicapStack>(&document).unwrap().status.is_none());
    }
}
