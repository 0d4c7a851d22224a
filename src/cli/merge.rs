//! What `apply` makes of a manifest, the manifest that was applied before, and the object as it is.
//!
//! A field belongs to the manifest when the last applied one has it: then it is changed or removed with it. What others set
//! (a label, an annotation, a default) stays. Lists are replaced whole, as kubectl does with custom resources: their order
//! means something here (a ladder's steps, compose files), and half a list of theirs with half of ours is nobody's.

use serde_json::{Map, Value, json};

/// The annotation that holds the manifest as it was applied last.
pub const LAST_APPLIED: &str = "wicap.dev/last-applied-configuration";

/// Metadata that the store writes. In a manifest it comes from `get -o yaml` and says nothing about what is wanted.
const OF_THE_STORE: [&str; 7] = [
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
];

/// The part of a manifest that says what is wanted.
#[must_use]
pub fn wanted(document: &Value) -> Value {
    let mut wanted = document.clone();
    if let Value::Object(map) = &mut wanted {
        map.remove("status");
        if let Some(Value::Object(metadata)) = map.get_mut("metadata") {
            metadata.retain(|key, _| !OF_THE_STORE.contains(&key.as_str()));
            if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
                annotations.remove(LAST_APPLIED);
            }
        }
    }
    wanted
}

/// What is wanted with itself as annotation: the object to create.
#[must_use]
pub fn annotated(wanted: &Value) -> Value {
    let mut object = wanted.clone();
    json_patch::merge(&mut object, &annotation(wanted));
    object
}

fn annotation(wanted: &Value) -> Value {
    json!({"metadata": {"annotations": {LAST_APPLIED: wanted.to_string()}}})
}

/// The manifest that was applied last, if the object was ever applied and its annotation can be read.
#[must_use]
pub fn last_applied(live: &Value) -> Option<Value> {
    let text = live.pointer("/metadata/annotations")?.get(LAST_APPLIED)?.as_str()?;
    serde_json::from_str(text).ok()
}

/// The object as it should be: `live` less what was applied `last` and is no longer `wanted`, with what is.
#[must_use]
pub fn three_way(last: Option<&Value>, wanted: &Value, live: &Value) -> Value {
    let mut patch = wanted.clone();
    if let Some(last) = last {
        remove_dropped(&mut patch, last);
    }
    json_patch::merge(&mut patch, &annotation(wanted));
    let mut merged = live.clone();
    if let Value::Object(map) = &mut merged {
        map.remove("status");
    }
    json_patch::merge(&mut merged, &patch);
    merged
}

/// An object with the annotation of `apply` brought up to date: where there is one, or where `always`. What the store writes
/// stays, for it may be meant as a precondition.
#[must_use]
pub fn saved(object: &Value, always: bool) -> Value {
    let has = object.pointer("/metadata/annotations").is_some_and(|a| a.get(LAST_APPLIED).is_some());
    let mut saved = object.clone();
    if has || always {
        json_patch::merge(&mut saved, &annotation(&wanted(object)));
    }
    saved
}

/// Whether two objects say the same, their statuses aside.
#[must_use]
pub fn same(a: &Value, b: &Value) -> bool {
    ["metadata", "spec"].into_iter().all(|half| a.get(half) == b.get(half))
}

/// The same, their annotations of `apply` aside.
#[must_use]
pub fn same_but_annotation(a: &Value, b: &Value) -> bool {
    let bare = |object: &Value| {
        let mut object = object.clone();
        if let Some(Value::Object(annotations)) = object.pointer_mut("/metadata/annotations") {
            annotations.remove(LAST_APPLIED);
        }
        object
    };
    same(&bare(a), &bare(b))
}

/// Whether a document has the annotation of `apply` that the object has: then it was got from the store.
#[must_use]
pub fn carries_annotation_of(document: &Value, live: &Value) -> bool {
    let text = |of: &Value| of.pointer("/metadata/annotations")?.get(LAST_APPLIED)?.as_str().map(str::to_owned);
    text(document).is_some_and(|annotation| Some(annotation) == text(live))
}

/// Gives an object the metadata that the store wrote of another one: nobody else can change it.
#[must_use]
pub fn with_metadata_of_the_store(mut object: Value, live: &Value) -> Value {
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        for field in OF_THE_STORE {
            match live.pointer(&format!("/metadata/{field}")) {
                Some(value) => metadata.insert(field.to_owned(), value.clone()),
                None => metadata.remove(field),
            };
        }
    }
    object
}

/// The merge patch (RFC 7386) that makes `new` of `old`. A null in `new` is the absence of a value, as the format has it.
#[must_use]
pub fn difference(old: &Value, new: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (old, new) else { return new.clone() };
    let mut patch = Map::new();
    for (key, value) in new {
        match old.get(key) {
            Some(before) if before == value => {}
            Some(before @ Value::Object(_)) if value.is_object() => {
                patch.insert(key.clone(), difference(before, value));
            }
            _ => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    Value::Object(patch)
}

/// Makes `patch` remove what `last` has and it has not.
fn remove_dropped(patch: &mut Value, last: &Value) {
    // Labels and annotations are maps of many owners: a manifest without them gives up its own keys, not everybody's.
    for map in ["labels", "annotations"] {
        let had = last.pointer(&format!("/metadata/{map}")).is_some_and(Value::is_object);
        if let Some(Value::Object(metadata)) = patch.get_mut("metadata").filter(|_| had)
            && metadata.get(map).is_none_or(Value::is_null)
        {
            metadata.insert(map.to_owned(), Value::Object(Map::new()));
        }
    }
    remove_fields(patch, last);
}

fn remove_fields(patch: &mut Value, last: &Value) {
    let (Value::Object(patch), Value::Object(last)) = (patch, last) else { return };
    for (key, old) in last {
        match patch.get_mut(key) {
            Some(new) => remove_fields(new, old),
            None => {
                patch.insert(key.clone(), Value::Null);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(last: Value, wanted: Value, live: Value) -> Value {
        let mut merged = three_way(Some(&last), &wanted, &live);
        let text = merged["metadata"]["annotations"][LAST_APPLIED].take();
        assert_eq!(serde_json::from_str::<Value>(text.as_str().unwrap()).unwrap(), wanted);
        merged["metadata"]["annotations"].as_object_mut().unwrap().remove(LAST_APPLIED);
        merged
    }

    #[test]
    fn a_field_goes_with_the_manifest_that_brought_it_and_others_stay() {
        let last =
            json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"x": 1, "gone": {"deep": 1}, "list": [1, 2]}});
        let wanted = json!({"metadata": {"labels": {"a": "3"}}, "spec": {"x": 2, "list": [3]}});
        let live = json!({
            "metadata": {"uid": "u", "labels": {"a": "1", "b": "2", "theirs": "9"}, "annotations": {"theirs": "8"}},
            "spec": {"x": 1, "gone": {"deep": 1, "default": 2}, "list": [1, 2, 7], "default": 5},
            "status": {"phase": "Active"},
        });
        let expected = json!({
            "metadata": {"uid": "u", "labels": {"a": "3", "theirs": "9"}, "annotations": {"theirs": "8"}},
            "spec": {"x": 2, "list": [3], "default": 5},
        });
        assert_eq!(merged(last, wanted, live), expected);
    }

    #[test]
    fn labels_that_are_dropped_as_a_whole_leave_those_of_others() {
        let last = json!({"metadata": {"labels": {"a": "1"}, "annotations": {"n": "1"}}});
        let live = json!({"metadata": {"labels": {"a": "1", "theirs": "9"}, "annotations": {"n": "1"}}});
        let expected = json!({"metadata": {"labels": {"theirs": "9"}, "annotations": {}}});
        assert_eq!(
            merged(last.clone(), json!({"metadata": {"name": "x"}}), live.clone())["metadata"]["labels"],
            json!({"theirs": "9"})
        );
        assert_eq!(merged(last, json!({"metadata": {"labels": null}}), live), expected);
    }

    #[test]
    fn an_object_that_was_never_applied_loses_nothing() {
        let live = json!({"metadata": {"name": "x"}, "spec": {"a": 1, "b": 2}});
        let merged = three_way(None, &json!({"metadata": {"name": "x"}, "spec": {"b": null, "c": 3}}), &live);
        assert_eq!(merged["spec"], json!({"a": 1, "c": 3}));
    }

    #[test]
    fn what_the_store_writes_is_not_wanted() {
        let document = json!({"kind": "K", "status": {}, "metadata": {"name": "x", "uid": "u", "resourceVersion": "7",
            "creationTimestamp": "t", "annotations": {LAST_APPLIED: "{}", "mine": "1"}}});
        assert_eq!(wanted(&document), json!({"kind": "K", "metadata": {"name": "x", "annotations": {"mine": "1"}}}));
        assert_eq!(last_applied(&annotated(&wanted(&document))), Some(wanted(&document)));
    }
    #[test]
    fn the_annotation_is_brought_up_to_date_where_there_is_one() {
        let bare = json!({"metadata": {"name": "x", "resourceVersion": "7"}, "spec": {"a": 2}});
        assert_eq!(saved(&bare, false), bare);
        let kept = saved(&bare, true);
        assert_eq!(last_applied(&kept), Some(json!({"metadata": {"name": "x"}, "spec": {"a": 2}})));
        assert_eq!(kept["metadata"]["resourceVersion"], "7");
        let stale = annotated(&json!({"metadata": {"name": "x"}, "spec": {"a": 1}}));
        let mut edited = stale.clone();
        edited["spec"]["a"] = json!(2);
        assert_eq!(last_applied(&saved(&edited, false)).unwrap()["spec"], json!({"a": 2}));
    }

    #[test]
    fn a_difference_makes_one_object_of_the_other() {
        for (old, new, patch) in [
            (json!({"a": 1}), json!({"a": 1}), json!({})),
            (json!({"a": 1, "b": {"c": 1, "d": 2}}), json!({"b": {"d": 3}}), json!({"a": null, "b": {"c": null, "d": 3}})),
            (json!({"l": [1, 2]}), json!({"l": [2]}), json!({"l": [2]})),
            (json!({"m": {"a": 1}}), json!({"m": 7}), json!({"m": 7})),
            (json!({"m": 7}), json!({"m": {"a": 1}}), json!({"m": {"a": 1}})),
        ] {
            assert_eq!(difference(&old, &new), patch);
            let mut merged = old;
            json_patch::merge(&mut merged, &patch);
            assert_eq!(merged, new);
        }
    }

    #[test]
    fn what_the_store_writes_cannot_be_changed() {
        let live = json!({"metadata": {"name": "x", "uid": "u", "generation": 3}});
        let edited = json!({"metadata": {"name": "x", "generation": 9, "deletionTimestamp": "t", "labels": {}}});
        let expected = json!({"metadata": {"name": "x", "uid": "u", "generation": 3, "labels": {}}});
        assert_eq!(with_metadata_of_the_store(edited, &live), expected);
    }
}
