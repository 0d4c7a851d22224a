//! Labels and annotations: what Kubernetes lets a key and a value be
//! (<https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set>).

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::Violation;
use super::validate::{is_object_name, quoted};

/// The longest name of a key, and the longest value of a label, in bytes (Kubernetes: `LabelValueMaxLength`).
const MOST: usize = 63;

/// The longest prefix of a key, which is a DNS subdomain, in bytes (RFC 1123).
const MOST_PREFIX: usize = 253;

/// The most bytes that the annotations of an object may have together (Kubernetes: `TotalAnnotationSizeLimitB`).
pub const MOST_ANNOTATIONS: usize = 256 * 1024;

/// Letters and digits at both ends, `-`, `_` and `.` between them.
fn is_name(text: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    text.len() <= MOST
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

/// What is wrong with the key of a label: `name` or `prefix/name`.
#[must_use]
pub fn wrong_key(key: &str) -> Option<String> {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let is_prefix = |p: &str| p.len() <= MOST_PREFIX && is_object_name(p);
    if prefix.is_some_and(|p| !is_prefix(p)) {
        return Some("the prefix part must be a lower-case DNS subdomain (e.g. 'example.com')".to_owned());
    }
    if is_name(name) {
        return None;
    }
    Some(format!(
        "the name part must consist of 1 to {MOST} alphanumeric characters, '-', '_' or '.', and must start and end with \
         an alphanumeric character (e.g. 'MyName' or 'example.com/my.name')"
    ))
}

/// What is wrong with the key of an annotation: as that of a label, but for its case (Kubernetes: `ValidateAnnotations`).
#[must_use]
pub fn wrong_annotation(key: &str) -> Option<String> {
    wrong_key(&key.to_lowercase())
}

/// What is wrong with the value of a label: nothing, or as the name of a key.
#[must_use]
pub fn wrong_value(value: &str) -> Option<String> {
    if value.is_empty() || is_name(value) {
        return None;
    }
    Some(format!(
        "a valid label must be an empty string or consist of at most {MOST} alphanumeric characters, '-', '_' or '.', and \
         must start and end with an alphanumeric character (e.g. 'MyValue' or '12345')"
    ))
}

/// What is wrong with the labels and annotations of an object, in the order of their keys.
#[must_use]
pub fn violations(meta: &ObjectMeta) -> Vec<Violation> {
    let of_annotation = |key: &String| wrong_annotation(key).map(|_| no_key("metadata.annotations", key));
    let labels = meta.labels.iter().flat_map(of_labels).map(|v| v.under("metadata"));
    labels.chain(meta.annotations.iter().flatten().filter_map(|(key, _)| of_annotation(key))).collect()
}

/// What a change makes wrong: what an object has had before it may keep, so that it can still be changed.
#[must_use]
pub fn added(new: &ObjectMeta, old: &ObjectMeta) -> Vec<Violation> {
    let before = violations(old);
    violations(new).into_iter().filter(|violation| !before.contains(violation)).collect()
}

/// What is wrong with `labels`, in the order of their keys.
#[must_use]
pub fn of_labels(labels: &BTreeMap<String, String>) -> Vec<Violation> {
    let value_of = |(key, value): (&String, &String)| {
        let path = format!("labels[{}]", quoted(key));
        wrong_value(value).map(|_| Violation::new(path, quoted(value), format!("nothing, or {}", a_name())))
    };
    let key_of = |key: &String| wrong_key(key).map(|_| no_key("labels", key));
    labels.iter().flat_map(|label| [key_of(label.0), value_of(label)]).flatten().collect()
}

fn no_key(path: &str, key: &str) -> Violation {
    let expected = format!("a key: {}, after a lower-case DNS subdomain and '/' where there is a prefix", a_name());
    Violation::new(path, quoted(key), expected)
}

fn a_name() -> String {
    format!("1 to {MOST} of letters, digits, '-', '_' and '.', beginning and ending with a letter or digit")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> Vec<String> {
        let map = |pairs: &[(&str, &str)]| Some(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect());
        let meta = ObjectMeta { labels: map(labels), annotations: map(annotations), ..ObjectMeta::default() };
        violations(&meta).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_kubernetes_refuses_is_refused_with_its_place() {
        let name = "x".repeat(63);
        let prefix = format!("{}/a", "p".repeat(253));
        let good = [("a", ""), ("example.com/a.b_C-9", "v.1_B-2"), (&name, &name), (&prefix, "1")];
        assert_eq!(said(&good, &[("note", "any text: ä\n/ /"), ("Example.com/x", "y")]), Vec::<String>::new());
        let long = "x".repeat(64);
        for (labels, annotations, expected) in [
            (&[("a", "b c")][..], &[][..], "metadata.labels[\"a\"]: found \"b c\", expected nothing, or 1 to 63 of letters"),
            (&[("a", &long)], &[], "metadata.labels[\"a\"]: found \"xxx"),
            (&[("a", "-x")], &[], "metadata.labels[\"a\"]: found \"-x\""),
            (&[("a b", "x")], &[], "metadata.labels: found \"a b\", expected a key: 1 to 63 of letters"),
            (&[("", "x")], &[], "metadata.labels: found \"\", expected a key"),
            (&[("A.com/x", "x")], &[], "metadata.labels: found \"A.com/x\""),
            (&[], &[("a/b/c", "x")], "metadata.annotations: found \"a/b/c\""),
            (&[], &[(&long, "x")], "metadata.annotations: found \"xxx"),
        ] {
            let found = said(labels, annotations);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].starts_with(expected), "{found:?}");
        }
    }

    #[test]
    fn what_an_object_has_had_before_it_may_keep() {
        let meta = |labels: &[(&str, &str)]| ObjectMeta {
            labels: Some(labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()),
            ..ObjectMeta::default()
        };
        let old = meta(&[("note", "night shift")]);
        assert_eq!(added(&meta(&[("note", "night shift"), ("a", "b")]), &old), []);
        assert_eq!(added(&meta(&[("note", "day shift")]), &old).len(), 1);
        assert_eq!(added(&meta(&[("note", "night shift"), ("other", "night shift")]), &old).len(), 1);
    }
}
