//! What is shown, and how: tables, JSON, YAML, names.
//!
//! # Layout
//! - [`table`]: rows in columns
//! - [`columns`]: which columns a kind has
//! - [`age`]: times as people read them
//! - [`tree`]: an object's fields as `describe` shows them
//! - [`sections`]: the parts of a description that are tables

pub mod age;
pub mod columns;
pub mod sections;
pub mod table;
pub mod tree;

use std::io::{self, Write};
use std::str::FromStr;

use serde_json::{Value, json};

use super::jsonpath::{Path, text_of};

/// A format of `-o`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Columns.
    #[default]
    Table,
    /// More columns.
    Wide,
    /// JSON, indented.
    Json,
    /// YAML.
    Yaml,
    /// `plural.group/name`, one a line.
    Name,
    /// The values that a path leads to, blanks between.
    JsonPath(Path),
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "table" => Self::Table,
            "wide" => Self::Wide,
            "json" => Self::Json,
            "yaml" => Self::Yaml,
            "name" => Self::Name,
            _ => match text.strip_prefix("jsonpath=") {
                Some(path) => Self::JsonPath(Path::parse(path).map_err(|e| e.to_string())?),
                None => return Err("expected one of table, wide, json, yaml, name, jsonpath={.PATH}".to_owned()),
            },
        })
    }
}

/// Writes a document in a format that knows no kinds; a table is asked for elsewhere.
///
/// # Errors
/// What the output says.
pub fn document(out: &mut dyn Write, format: &Format, value: &Value) -> io::Result<()> {
    match format {
        Format::Yaml => yaml(out, value),
        Format::JsonPath(path) => {
            let found: Vec<_> = path.find(value).into_iter().map(text_of).collect();
            writeln!(out, "{}", found.join(" "))
        }
        _ => json(out, value),
    }
}

/// Writes JSON as kubectl does: four blanks a level, keys sorted, a line break at the end.
///
/// # Errors
/// What the output says.
pub fn json(out: &mut dyn Write, value: &Value) -> io::Result<()> {
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
    serde::Serialize::serialize(value, &mut serializer).map_err(io::Error::other)?;
    text.push(b'\n');
    out.write_all(&text)
}

/// Writes YAML. Long lines are not folded, so that a value can be found with `grep`.
///
/// # Errors
/// What the output says.
pub fn yaml(out: &mut dyn Write, value: &Value) -> io::Result<()> {
    let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
    let text = serde_saphyr::to_string_with_options(value, options).map_err(io::Error::other)?;
    out.write_all(text.as_bytes())?;
    if text.ends_with('\n') { Ok(()) } else { writeln!(out) }
}

/// Several objects as one document.
#[must_use]
pub fn list(items: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": items})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(format: &Format, value: &Value) -> String {
        let mut out = Vec::new();
        document(&mut out, format, value).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn json_has_four_blanks_and_sorted_keys() {
        assert_eq!(
            shown(&Format::Json, &json!({"b": [1], "a": {}})),
            "{\n    \"a\": {},\n    \"b\": [\n        1\n    ]\n}\n"
        );
    }

    #[test]
    fn yaml_reads_back_as_it_was() {
        let long = "word ".repeat(60);
        let value = json!({
            "s": "yes", "n": "012", "null": "null", "e": "", "t": "2026-01-01T00:00:00Z", "long": long, "lines": "a\nb\n",
            "colon": "a: b", "dash": "- x", "hash": "x # y", "tab": "a\tb", "trail": "x ", "bool": true, "num": 1.5,
            "list": [{"a": [1, 2]}, []], "map": {}, "control": "\u{1b}[31m", "quote": "it's \"so\"", "percent": "40%",
        });
        let text = shown(&Format::Yaml, &value);
        let back: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(back, value, "{text}");
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn yaml_looks_as_kubectls() {
        let value = json!({"apiVersion": "wicap.dev/v1alpha1", "spec": {"services": [{"name": "ui", "critical": true}], "ttl": "1h"}});
        let expected = "apiVersion: wicap.dev/v1alpha1\nspec:\n  services:\n  - critical: true\n    name: ui\n  ttl: 1h\n";
        assert_eq!(shown(&Format::Yaml, &value), expected);
    }

    #[test]
    fn a_format_that_is_none_is_refused() {
        assert_eq!("yaml".parse(), Ok(Format::Yaml));
        assert!("xml".parse::<Format>().is_err() && "jsonpath={.a".parse::<Format>().is_err());
    }
}
