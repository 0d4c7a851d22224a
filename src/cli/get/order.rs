//! `--sort-by`: the value that a path leads to, as something to be ordered by.

use std::cmp::Ordering;
use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;

use crate::cli::jsonpath::{Path, text_of};
use crate::cli::print::natural;

/// What objects are ordered by.
#[derive(Clone, Debug)]
pub struct Order {
    path: Path,
    text: String,
}

/// An object's place. Numbers come before texts; what has no value comes first.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    /// Nothing there, or null.
    None,
    /// False comes before true.
    Bool(bool),
    /// By value.
    Number(f64),
    /// As long as it takes: `90s` before `5m`.
    Length(Duration),
    /// By the value of the numbers in it.
    Text(String),
}

impl FromStr for Order {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self { path: Path::parse(text).map_err(|e| e.to_string())?, text: text.to_owned() })
    }
}

impl Order {
    /// The place of an object.
    pub fn place(&self, object: &Value) -> Place {
        match self.path.find(object).first() {
            None | Some(Value::Null) => Place::None,
            Some(Value::Bool(value)) => Place::Bool(*value),
            Some(Value::Number(value)) => Place::Number(value.as_f64().unwrap_or(f64::MAX)),
            Some(Value::String(text)) => match text.parse::<crate::api::Duration>() {
                Ok(length) if !length.is_negative() => Place::Length(length.to_std()),
                _ => Place::Text(text.clone()),
            },
            Some(other) => Place::Text(text_of(other)),
        }
    }

    /// What to say when no object has a value there: the path may be mistyped.
    pub fn leads_nowhere(&self) -> String {
        let path = self.text.trim().trim_start_matches('{').trim_end_matches('}');
        let path = path.strip_prefix('.').unwrap_or(path);
        format!("couldn't find any field with path {:?} in the list of objects", format!("{{.{path}}}"))
    }
}

impl Place {
    /// Which comes first.
    pub fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Length(a), Self::Length(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) => natural::compare(a, b),
            (a, b) => a.rank().cmp(&b.rank()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::None => 0,
            Self::Bool(_) => 1,
            Self::Number(_) => 2,
            Self::Length(_) => 3,
            Self::Text(_) => 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_ordered_by_what_they_are() {
        let order: Order = "{.v}".parse().unwrap();
        let values = [
            json!("ui-10"),
            json!("1h"),
            json!(null),
            json!("ui-2"),
            json!(10),
            json!("90s"),
            json!(9.5),
            json!(true),
            json!("5m"),
        ];
        let mut objects: Vec<_> = values.into_iter().map(|v| json!({"v": v})).collect();
        objects.push(json!({}));
        objects.sort_by(|a, b| order.place(a).compare(&order.place(b)));
        let sorted: Vec<_> =
            objects.iter().map(|o| o.get("v").map_or_else(|| "-".to_owned(), ToString::to_string)).collect();
        let expected = ["null", "-", "true", "9.5", "10", "\"90s\"", "\"5m\"", "\"1h\"", "\"ui-2\"", "\"ui-10\""];
        assert_eq!(sorted, expected);
    }

    #[test]
    fn a_path_that_leads_nowhere_is_told_as_kubectl_tells_it() {
        for text in ["{.status.x}", ".status.x", "status.x"] {
            let order: Order = text.parse().unwrap();
            assert_eq!(order.leads_nowhere(), "couldn't find any field with path \"{.status.x}\" in the list of objects");
        }
        assert!(".a[".parse::<Order>().is_err());
    }
}
