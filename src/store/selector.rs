//! Label and field selectors, in the syntax of `kubectl -l` and `--field-selector`.

use std::collections::{BTreeMap, BTreeSet};

use kube::core::{Expression, Selector, SelectorExt};
use serde_json::Value;

use super::Error;
use crate::api::Object;

/// Which objects are meant.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    labels: Selector,
    /// Dotted path, whether it must be equal, value.
    fields: Vec<(String, bool, String)>,
}

impl Filter {
    /// # Errors
    /// [`Error::BadRequest`] when a selector cannot be read.
    pub(crate) fn parse(labels: Option<&str>, fields: Option<&str>) -> Result<Self, Error> {
        Ok(Self { labels: parse_labels(labels.unwrap_or_default())?, fields: parse_fields(fields.unwrap_or_default())? })
    }

    pub(crate) fn matches<K: Object>(&self, object: &K) -> bool {
        let empty = BTreeMap::new();
        if !self.labels.matches(object.meta().labels.as_ref().unwrap_or(&empty)) {
            return false;
        }
        if self.fields.is_empty() {
            return true;
        }
        let Ok(value) = serde_json::to_value(object) else { return false };
        self.fields.iter().all(|(path, equal, wanted)| {
            let found = path.split('.').try_fold(&value, |at, part| at.get(part));
            let text = match found {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(s)) => s.clone(),
                Some(other) => other.to_string(),
            };
            (text == *wanted) == *equal
        })
    }
}

/// Whether a label selector, as `kubectl -l` takes it, selects these labels.
///
/// # Errors
/// [`Error::BadRequest`] when the selector cannot be read.
pub(crate) fn labels_match(selector: &str, labels: &BTreeMap<String, String>) -> Result<bool, Error> {
    Ok(parse_labels(selector)?.matches(labels))
}

fn parse_labels(text: &str) -> Result<Selector, Error> {
    let bad = |part: &str| Error::BadRequest {
        what: "label selector",
        found: format!("{part:?}"),
        expected: "KEY, !KEY, KEY=VALUE, KEY!=VALUE, KEY in (A,B) or KEY notin (A,B), separated by commas",
    };
    let mut selector = Selector::default();
    for part in split_outside_parentheses(text) {
        let part = part.trim();
        if part.is_empty() {
            continue;
        }
        let key_ok = |k: &str| !k.is_empty() && k.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._/".contains(&b));
        let expression = if let Some((key, values)) = part.split_once(" in ").or_else(|| part.split_once(" notin ")) {
            let inner = values.trim().strip_prefix('(').and_then(|v| v.strip_suffix(')')).ok_or_else(|| bad(part))?;
            let values: BTreeSet<String> = inner.split(',').map(|v| v.trim().to_owned()).collect();
            let key = key.trim().to_owned();
            if !key_ok(&key) {
                return Err(bad(part));
            }
            if part.contains(" notin ") { Expression::NotIn(key, values) } else { Expression::In(key, values) }
        } else if let Some((key, value)) = part.split_once("!=") {
            Expression::NotEqual(key.trim().to_owned(), value.trim().to_owned())
        } else if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
            Expression::Equal(key.trim().to_owned(), value.trim().to_owned())
        } else if let Some(key) = part.strip_prefix('!') {
            Expression::DoesNotExist(key.trim().to_owned())
        } else {
            Expression::Exists(part.to_owned())
        };
        let key = match &expression {
            Expression::In(k, _)
            | Expression::NotIn(k, _)
            | Expression::Equal(k, _)
            | Expression::NotEqual(k, _)
            | Expression::Exists(k)
            | Expression::DoesNotExist(k) => k,
        };
        if !key_ok(key) {
            return Err(bad(part));
        }
        selector.extend([expression]);
    }
    Ok(selector)
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0_i32, 0, Vec::new());
    for (i, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn parse_fields(text: &str) -> Result<Vec<(String, bool, String)>, Error> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (path, equal, value) = if let Some((p, v)) = part.split_once("!=") {
                (p, false, v)
            } else if let Some((p, v)) = part.split_once("==").or_else(|| part.split_once('=')) {
                (p, true, v)
            } else {
                ("", true, "")
            };
            if path.is_empty() {
                return Err(Error::BadRequest {
                    what: "field selector",
                    found: format!("{part:?}"),
                    expected: "PATH=VALUE or PATH!=VALUE, separated by commas",
                });
            }
            Ok((path.trim().to_owned(), equal, value.trim().to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::stop::{EmergencyStop, EmergencyStopSpec};
    use kube::Resource;

    fn stop() -> EmergencyStop {
        let mut stop = EmergencyStop::new("all", EmergencyStopSpec { reason: "r".into(), by: "ann@h".into() });
        stop.meta_mut().labels = Some([("tier".to_owned(), "a".to_owned())].into());
        stop
    }

    #[test]
    fn selectors_select_as_kubectl_does() {
        for (labels, fields, selected) in [
            ("", "", true),
            ("tier=a", "", true),
            ("tier==a,!x", "", true),
            ("tier!=a", "", false),
            ("tier in (b, a)", "metadata.name=all", true),
            ("tier notin (a)", "", false),
            ("x", "", false),
            ("", "spec.by=ann@h,metadata.name!=b", true),
            ("", "spec.by!=ann@h", false),
            ("", "status.since=", true),
        ] {
            let filter = Filter::parse(Some(labels), Some(fields)).unwrap();
            assert_eq!(filter.matches(&stop()), selected, "{labels:?} {fields:?}");
        }
        for (labels, fields) in [("a b", ""), ("=x", ""), ("a in b", ""), ("", "name"), ("", "=x")] {
            assert!(Filter::parse(Some(labels), Some(fields)).is_err(), "{labels:?} {fields:?}");
        }
    }
}
