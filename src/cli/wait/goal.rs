//! What is waited for, and whether an object has come to it.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use crate::cli::jsonpath::{Path, text_of};

/// What is waited for, with the words it was asked for in.
#[derive(Clone, Debug, PartialEq)]
pub struct Goal {
    text: String,
    /// Its meaning.
    pub what: What,
}

/// The meaning of a goal.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// There is no such object any more; with a uid, not this one.
    Gone {
        /// Of the object that is to go.
        uid: Option<String>,
    },
    /// There is such an object.
    Exists,
    /// The condition of that type has that status. Both are compared in any case.
    Condition {
        /// Such as `Available`.
        type_: String,
        /// Such as `True`.
        status: String,
    },
    /// The path leads to a value, or to this one.
    Value {
        /// Where to look.
        path: Path,
        /// The same, as it was written.
        shown: String,
        /// What should be there; anything when absent.
        value: Option<String>,
    },
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Goal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self { what: meaning(text)?, text: text.to_owned() })
    }
}

fn meaning(text: &str) -> Result<What, String> {
    if text.eq_ignore_ascii_case("delete") {
        return Ok(What::Gone { uid: None });
    }
    if text.eq_ignore_ascii_case("create") {
        return Ok(What::Exists);
    }
    if let Some(condition) = text.strip_prefix("condition=") {
        let (type_, status) = condition.split_once('=').unwrap_or((condition, "True"));
        if type_.is_empty() || status.is_empty() {
            return Err("expected condition=TYPE or condition=TYPE=VALUE".to_owned());
        }
        return Ok(What::Condition { type_: type_.to_owned(), status: status.to_owned() });
    }
    if let Some(jsonpath) = text.strip_prefix("jsonpath=") {
        // The path may itself hold `=`, inside its braces.
        let (path, value) = match jsonpath.rfind('}') {
            Some(end) => (&jsonpath[..=end], jsonpath[end + 1..].strip_prefix('=')),
            None => jsonpath.split_once('=').map_or((jsonpath, None), |(path, value)| (path, Some(value))),
        };
        let value = value.map(|v| v.trim_matches(['"', '\'']).to_owned());
        return Ok(What::Value { path: Path::parse(path).map_err(|e| e.to_string())?, shown: path.to_owned(), value });
    }
    Err("expected condition=TYPE[=VALUE], delete, create or jsonpath={.PATH}[=VALUE]".to_owned())
}

impl Goal {
    /// That this object is gone; one of its name that is made later does not count.
    #[must_use]
    pub fn gone(uid: Option<String>) -> Self {
        Self { text: "delete".to_owned(), what: What::Gone { uid } }
    }

    /// Whether it is reached, with the object as it is now.
    #[must_use]
    pub fn reached(&self, object: Option<&Value>) -> bool {
        match &self.what {
            What::Gone { uid } => {
                let found = object.and_then(|o| o.pointer("/metadata/uid")).and_then(Value::as_str);
                object.is_none() || uid.as_deref().is_some_and(|uid| Some(uid) != found)
            }
            What::Exists => object.is_some(),
            What::Condition { type_, status } => object.is_some_and(|o| {
                let holds = |c: &Value| is_current(o, c) && text(c, "status").eq_ignore_ascii_case(status);
                condition(o, type_).is_some_and(holds)
            }),
            What::Value { path, value, .. } => object.is_some_and(|o| {
                let found = path.find(o);
                match value {
                    Some(value) => found.iter().any(|v| text_of(v) == *value),
                    None => found.iter().any(|v| !v.is_null()),
                }
            }),
        }
    }
}

/// The condition of that type, in any case.
pub(super) fn condition<'a>(object: &'a Value, type_: &str) -> Option<&'a Value> {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().find(|c| text(c, "type").eq_ignore_ascii_case(type_))
}

/// Whether a condition is about the spec as it is. One about an older spec says nothing about this one.
pub(super) fn is_current(object: &Value, condition: &Value) -> bool {
    let generation = object.pointer("/metadata/generation").and_then(Value::as_i64);
    let about = condition.get("observedGeneration").and_then(Value::as_i64);
    about.zip(generation).is_none_or(|(about, generation)| about >= generation)
}

/// A field of text, or nothing.
pub(super) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_goal_is_recognised_when_it_is_reached() {
        let object = json!({
            "metadata": {"generation": 2},
            "status": {"phase": "Active", "services": [{"state": "Running"}], "conditions": [
                {"type": "Available", "status": "True", "observedGeneration": 2},
                {"type": "Observed", "status": "True", "observedGeneration": 1},
                {"type": "Escalated", "status": "False"}]},
        });
        for (goal, expected) in [
            ("condition=Available", true),
            ("condition=available=true", true),
            ("condition=Available=False", false),
            ("condition=Escalated=False", true),
            ("condition=Complete", false),
            // About an older generation.
            ("condition=Observed", false),
            ("jsonpath={.status.phase}=Active", true),
            ("jsonpath={.status.phase}=Ended", false),
            ("jsonpath={.status.phase}", true),
            ("jsonpath={.status.verdict}", false),
            ("jsonpath=.status.services[0].state=Running", true),
            (r#"jsonpath={.status.conditions[?(@.type=="Available")].status}=True"#, true),
            ("create", true),
            ("delete", false),
        ] {
            assert_eq!(goal.parse::<Goal>().unwrap().reached(Some(&object)), expected, "{goal}");
        }
    }

    #[test]
    fn an_object_that_was_made_anew_counts_as_gone() {
        let goal = Goal::gone(Some("a".into()));
        assert!(goal.reached(None));
        assert!(goal.reached(Some(&json!({"metadata": {"uid": "b"}}))));
        assert!(!goal.reached(Some(&json!({"metadata": {"uid": "a"}}))));
    }

    #[test]
    fn what_is_no_goal_is_refused() {
        for goal in ["", "Available", "condition=", "condition=A=", "jsonpath={.a", "created"] {
            assert!(goal.parse::<Goal>().is_err(), "{goal}");
        }
    }
}
