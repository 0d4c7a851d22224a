//! `Table` answers: the server's own columns, as the API server makes them of a CRD's printer columns.

use jiff::Timestamp;
use serde_json::{Value, json};
use wicap::cli::jsonpath::Path;

use super::resource::Resource;

/// A Table of objects. `whole` puts each object into its row, else its metadata; a later event of a watch has no headers.
pub fn table(resource: &Resource, objects: &[Value], whole: bool, headers: bool, now: Timestamp) -> Value {
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let shown = if whole {
                object.clone()
            } else {
                json!({
                    "kind": "PartialObjectMetadata",
                    "apiVersion": "meta.k8s.io/v1",
                    "metadata": object["metadata"],
                })
            };
            json!({"cells": cells(resource, object, now), "object": shown})
        })
        .collect();
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {},
        "columnDefinitions": if headers { definitions(resource) } else { Value::Null },
        "rows": rows,
    })
}

/// What the API server says of the column of names.
const NAME: &str = "Name must be unique within a namespace. Is required when creating resources, although some resources \
    may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for \
    creation idempotence and configuration definition. Cannot be updated. More info: \
    https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";

/// The columns of Events: name and priority.
const OF_EVENTS: &[(&str, i64)] = &[
    ("Last Seen", 0),
    ("Type", 0),
    ("Reason", 0),
    ("Object", 0),
    ("Subobject", 1),
    ("Source", 1),
    ("Message", 0),
    ("First Seen", 1),
    ("Count", 1),
    ("Name", 1),
];

fn definitions(resource: &Resource) -> Value {
    let definition = |name: &str, type_: &str, format: &str, text: &str, priority: i64| {
        let mut column = json!({"name": name, "type": type_, "format": format, "priority": priority});
        column["description"] = text.into();
        column
    };
    if resource.kind == "Event" {
        return OF_EVENTS.iter().map(|(name, priority)| definition(name, "string", "", "", *priority)).collect();
    }
    let own = resource.columns.iter().map(|c| {
        let description = if c.description.is_empty() && c.path == ".metadata.creationTimestamp" {
            "CreationTimestamp is a timestamp representing the server time when this object was created."
        } else {
            &c.description
        };
        definition(&c.name, &c.type_, "", description, c.priority)
    });
    std::iter::once(definition("Name", "string", "name", NAME, 0)).chain(own).collect()
}

fn cells(resource: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
    if resource.kind == "Event" {
        return event_cells(object, now);
    }
    let own = resource.columns.iter().map(|column| {
        let path = Path::parse(&column.path).unwrap();
        let Some(found) = path.find(object).first().copied() else { return Value::Null };
        match column.type_.as_str() {
            "string" => match found {
                Value::String(text) => text.clone().into(),
                Value::Null => "<nil>".into(),
                other => other.to_string().into(),
            },
            "date" => age(found, now).into(),
            _ => found.clone(),
        }
    });
    std::iter::once(object["metadata"]["name"].clone()).chain(own).collect()
}

fn event_cells(event: &Value, now: Timestamp) -> Vec<Value> {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let kind = text("/involvedObject/kind").to_lowercase();
    vec![
        age(&event["lastTimestamp"], now).into(),
        text("/type").into(),
        text("/reason").into(),
        format!("{kind}/{}", text("/involvedObject/name")).into(),
        text("/involvedObject/fieldPath").into(),
        text("/source/component").into(),
        text("/message").trim().into(),
        age(&event["firstTimestamp"], now).into(),
        event["count"].clone(),
        text("/metadata/name").into(),
    ]
}

fn age(value: &Value, now: Timestamp) -> String {
    let Some(text) = value.as_str().filter(|text| !text.is_empty()) else { return "<unknown>".into() };
    match text.parse::<Timestamp>() {
        Ok(then) => human(now.as_second() - then.as_second()),
        Err(_) => "<invalid>".into(),
    }
}

/// An age in the words of Kubernetes, of two units where one would say too little.
fn human(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let two = |large: i64, large_unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{large}{large_unit}"),
        _ => format!("{large}{large_unit}{small}{small_unit}"),
    };
    match seconds {
        ..=-2 => "<invalid>".into(),
        -1 => "0s".into(),
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => two(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_two_units_where_one_would_say_too_little() {
        for (seconds, said) in [
            (-5, "<invalid>"),
            (-1, "0s"),
            (119, "119s"),
            (120, "2m"),
            (599, "9m59s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (28_799, "7h59m"),
            (28_800, "8h"),
            (172_799, "47h"),
            (176_400, "2d1h"),
            (691_200, "8d"),
            (63_072_000, "2y"),
            (63_158_400, "2y1d"),
            (252_288_000, "8y"),
        ] {
            assert_eq!(human(seconds), said);
        }
    }
}
