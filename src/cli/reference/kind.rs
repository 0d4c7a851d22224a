//! A kind's schema as a page: every field with its type, its default, its bounds and what it means.

use crate::api::registry::KindInfo;
use serde_json::{Map, Value};

use super::prose::{flat, item, paragraph};

/// From how many fields on, those within included, an object is not written out a second time on its page.
const REPEATED_ON_PAGE: usize = 4;

/// The same for an object that another page has: to turn the page must be worth it.
const REPEATED_ELSEWHERE: usize = 12;

/// Objects that were written out, with the kind and the path of each.
#[derive(Debug, Default)]
pub(super) struct Seen(Vec<(Value, &'static str, String)>);

/// The file of a kind's page.
pub(super) fn file(info: &KindInfo) -> String {
    format!("{}.md", info.kind.to_ascii_lowercase())
}

/// The first sentence of what a kind is.
pub(super) fn summary(info: &KindInfo) -> String {
    let text = serde_json::to_value((info.crd)())
        .ok()
        .and_then(|crd| crd.pointer(SCHEMA)?["spec"]["description"].as_str().map(flat));
    let text = text.unwrap_or_default();
    text.split_once(". ").map_or(text.clone(), |(first, _)| format!("{first}."))
}

/// Where a definition has the fields of its kind.
const SCHEMA: &str = "/spec/versions/0/schema/openAPIV3Schema/properties";

/// The page of a kind.
pub(super) fn page(info: &KindInfo, seen: &mut Seen) -> Result<String, serde_json::Error> {
    let crd = serde_json::to_value((info.crd)())?;
    let schema = crd.pointer(SCHEMA).cloned().unwrap_or_default();
    let mut page = format!("# {}\n\n", info.kind);
    for text in schema["spec"]["description"].as_str().unwrap_or_default().split("\n\n") {
        page.push_str(&paragraph(&flat(text)));
        page.push('\n');
    }
    let names: Vec<_> = info.short_names.iter().map(|n| format!("`{n}`")).collect();
    let also = if names.is_empty() { String::new() } else { format!("; on the command line also {}", names.join(", ")) };
    page.push_str(&paragraph(&format!("Plural `{}`{also}.", info.plural)));
    page.push_str(&columns(&crd));
    page.push_str("\n## Spec: what operators write\n\n");
    object(&mut page, info, &schema["spec"], "spec", seen);
    if !schema["status"].is_null() {
        page.push_str("\n## Status: what controllers write\n\n");
        page.push_str(&paragraph(&flat(schema["status"]["description"].as_str().unwrap_or_default())));
        page.push('\n');
        object(&mut page, info, &schema["status"], "status", seen);
    }
    Ok(page)
}

/// The columns of `wicapctl get`, and those of `-o wide` in brackets.
fn columns(crd: &Value) -> String {
    let columns =
        crd.pointer("/spec/versions/0/additionalPrinterColumns").and_then(Value::as_array).cloned().unwrap_or_default();
    let name = |c: &Value| {
        let name = c["name"].as_str().unwrap_or_default().to_uppercase();
        if c["priority"].as_i64().unwrap_or(0) > 0 { format!("({name})") } else { name }
    };
    let names: Vec<_> = std::iter::once("NAME".to_owned()).chain(columns.iter().map(name)).collect();
    format!("\n{}", paragraph(&format!("Columns of `wicapctl get`, those of `-o wide` in brackets: {}.", names.join(", "))))
}

/// The fields of an object, and those within them.
fn object(page: &mut String, info: &KindInfo, schema: &Value, path: &str, seen: &mut Seen) {
    let nothing = Map::new();
    let fields = schema["properties"].as_object().unwrap_or(&nothing);
    if fields.is_empty() {
        page.push_str("No fields.\n");
    }
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, schema) in fields {
        let path = format!("{path}.{name}");
        let (path, within) = element(&path, schema);
        let mut text = format!("`{path}` ({})", facts(schema, required.contains(&name.as_str())).join(", "));
        let meaning = [schema, within].iter().find_map(|s| s["description"].as_str()).map(flat).unwrap_or_default();
        if !meaning.is_empty() {
            text.push_str(&format!(": {meaning}"));
        }
        let has_fields = within["properties"].as_object().is_some_and(|p| !p.is_empty());
        let earlier = if has_fields { seen.earlier(info, within) } else { None };
        match (&earlier, has_fields) {
            (Some(earlier), _) => text.push_str(&format!(" Its fields are those of {earlier}.")),
            (None, true) => {
                if let Some(one) = one_of(within) {
                    text.push_str(&format!(" Exactly one of {one}."));
                }
                seen.0.push((within["properties"].clone(), info.kind, path.clone()));
            }
            (None, false) => {}
        }
        page.push_str(&item(0, &text));
        if has_fields && earlier.is_none() {
            object(page, info, within, &path, seen);
        }
    }
}

/// Through lists and maps to what is in them, and how that is written in a path.
fn element<'a>(path: &str, schema: &'a Value) -> (String, &'a Value) {
    for (key, sign) in [("items", "[]"), ("additionalProperties", ".*")] {
        if schema[key].is_object() {
            return element(&format!("{path}{sign}"), &schema[key]);
        }
    }
    (path.to_owned(), schema)
}

/// Type, whether it must be there, default, values and bounds.
fn facts(schema: &Value, required: bool) -> Vec<String> {
    let mut facts = vec![kind_of(schema)];
    if required {
        facts.push("required".to_owned());
    }
    let (_, within) = element("", schema);
    if let Some(values) = within["enum"].as_array() {
        let values: Vec<_> = values.iter().filter(|v| !v.is_null()).map(|v| format!("`{}`", plain(v))).collect();
        facts.push(format!("one of {}", values.join(", ")));
    }
    let unsigned = within["format"].as_str().is_some_and(|f| f.starts_with("uint"));
    let bounds = [("minimum", "at least"), ("maximum", "at most")];
    let bounds = bounds.iter().filter_map(|(key, words)| within[*key].as_f64().map(|bound| (words, bound)));
    facts.extend(bounds.filter(|(_, bound)| !(unsigned && *bound == 0.0)).map(|(words, bound)| format!("{words} {bound}")));
    // An empty list or map is what everybody expects.
    facts.extend(default(schema));
    facts
}

/// What a field is when it is left out, where that says anything: not that a list is empty, nor what the fields of an object say.
fn default(schema: &Value) -> Option<String> {
    match &schema["default"] {
        Value::Null => None,
        Value::Object(_) if schema["properties"].is_object() => None,
        Value::Object(fields) if fields.is_empty() => None,
        Value::String(text) if text.is_empty() => None,
        Value::Array(elements) if elements.is_empty() => None,
        Value::Array(elements) => {
            Some(format!("default {}", elements.iter().map(|e| format!("`{}`", plain(e))).collect::<Vec<_>>().join(" ")))
        }
        default => Some(format!("default `{}`", plain(default))),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The type in words.
fn kind_of(schema: &Value) -> String {
    match schema["type"].as_str() {
        Some("array") => format!("list of {}", kind_of(&schema["items"])),
        Some("object") if schema["additionalProperties"].is_object() => {
            format!("map to {}", kind_of(&schema["additionalProperties"]))
        }
        Some("string") if schema["format"] == "date-time" => "time".to_owned(),
        Some(other) => other.to_owned(),
        None => "any value".to_owned(),
    }
}

/// Of a step or a handler: the fields of which one has to be there.
fn one_of(schema: &Value) -> Option<String> {
    let names: Option<Vec<_>> = schema["oneOf"].as_array()?.iter().map(|o| o["required"][0].as_str()).collect();
    Some(names?.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", "))
}

/// How many fields there are in some, those within included.
fn count(properties: &Value) -> usize {
    let fields = properties.as_object().map(|p| p.values().collect::<Vec<_>>()).unwrap_or_default();
    fields.iter().map(|f| 1 + count(&element("", f).1["properties"])).sum()
}

impl Seen {
    /// Where the same fields were written out before, if that saves enough.
    fn earlier(&self, info: &KindInfo, schema: &Value) -> Option<String> {
        let properties = &schema["properties"];
        let (_, kind, path) = self.0.iter().find(|(seen, ..)| seen == properties)?;
        let here = *kind == info.kind;
        let least = if here { REPEATED_ON_PAGE } else { REPEATED_ELSEWHERE };
        let link =
            if here { format!("`{path}`") } else { format!("`{path}` of [{kind}]({}.md)", kind.to_ascii_lowercase()) };
        (count(properties) >= least).then_some(link)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::registry;
    use serde_json::json;

    #[test]
    fn a_field_says_its_type_default_values_and_bounds() {
        for (schema, required, expected) in [
            (json!({"type": "string"}), true, "string, required"),
            (
                json!({"type": "string", "enum": ["A", "B", null], "default": "A"}),
                false,
                "string, one of `A`, `B`, default `A`",
            ),
            (json!({"type": "array", "items": {"type": "string"}, "default": []}), false, "list of string"),
            (json!({"type": "integer", "format": "uint32", "minimum": 0.0, "maximum": 9.0}), false, "integer, at most 9"),
            (json!({"type": "object", "additionalProperties": {"type": "number"}}), false, "map to number"),
            (json!({"type": "string", "format": "date-time"}), false, "time"),
            (json!({}), false, "any value"),
            (json!({"type": "object", "default": {"a": 1}}), false, "object, default `{\"a\":1}`"),
            (json!({"type": "object", "properties": {"a": {}}, "default": {"a": 1}}), false, "object"),
            (
                json!({"type": "array", "items": {"type": "integer"}, "default": [1, 2]}),
                false,
                "list of integer, default `1` `2`",
            ),
        ] {
            assert_eq!(facts(&schema, required).join(", "), expected, "{schema}");
        }
    }

    #[test]
    fn every_field_of_every_kind_is_on_its_page_or_is_said_to_be_elsewhere() {
        fn fields(schema: &Value, path: &str, all: &mut Vec<String>) {
            for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
                let (path, within) = element(&format!("{path}.{name}"), schema);
                all.push(path.clone());
                fields(within, &path, all);
            }
        }
        let mut seen = Seen::default();
        for info in registry::kinds() {
            let page = page(&info, &mut seen).unwrap();
            let crd = serde_json::to_value((info.crd)()).unwrap();
            let mut all = Vec::new();
            for half in ["spec", "status"] {
                fields(&crd.pointer(SCHEMA).unwrap()[half], half, &mut all);
            }
            let elsewhere: Vec<_> = flat(&page)
                .split("- `")
                .filter(|i| i.contains("Its fields are those"))
                .filter_map(|i| i.split('`').next().map(str::to_owned))
                .collect();
            for path in all {
                let told = page.contains(&format!("- `{path}` ("));
                let above = elsewhere.iter().any(|e| path.starts_with(e) && path != *e);
                assert!(told || above, "{}: {path}", info.kind);
            }
        }
    }
}
