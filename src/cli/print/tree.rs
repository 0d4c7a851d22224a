//! An object's fields as people read them: one a line, indented, in kubectl's way of writing field names.
//!
//! As in kubectl, the values of lines that follow each other stand below each other, whatever their depth; a line without a
//! value ends such a block.

use std::io::{self, Write};

use serde_json::Value;

use super::table::harmless;

/// Blanks between the longest name of a block and its values (kubectl's `describe`).
const GAP: usize = 2;

/// A line, before it is known how far its value stands from its name.
enum Line {
    /// A name, indentation and colon included, and a value.
    Pair(String, String),
    /// A line without a value, or a value without a name.
    Bare(String),
}

/// Writes the fields of a map (and of those below it), `depth` levels in. What is null or empty is left out.
///
/// # Errors
/// What the output says.
pub fn fields(out: &mut dyn Write, value: &Value, depth: usize) -> io::Result<()> {
    let mut lines = Vec::new();
    gather(&mut lines, value, depth);
    let mut rest = lines.as_slice();
    while let Some(first) = rest.first() {
        match first {
            Line::Bare(text) => {
                writeln!(out, "{text}")?;
                rest = &rest[1..];
            }
            Line::Pair(..) => {
                let length = rest.iter().take_while(|line| matches!(line, Line::Pair(..))).count();
                let (block, after) = rest.split_at(length);
                self::block(out, block)?;
                rest = after;
            }
        }
    }
    Ok(())
}

fn block(out: &mut dyn Write, lines: &[Line]) -> io::Result<()> {
    let pairs =
        || lines.iter().filter_map(|line| if let Line::Pair(name, value) = line { Some((name, value)) } else { None });
    let width = pairs().map(|(name, _)| name.chars().count()).max().unwrap_or(0) + GAP;
    pairs().try_for_each(|(name, value)| writeln!(out, "{name:width$}{value}"))
}

fn gather(lines: &mut Vec<Line>, value: &Value, depth: usize) {
    let Value::Object(map) = value else { return };
    for (key, value) in map.iter().filter(|(_, value)| !is_empty(value)) {
        field(lines, &title(key), value, depth);
    }
}

fn field(lines: &mut Vec<Line>, key: &str, value: &Value, depth: usize) {
    let pad = "  ".repeat(depth);
    let name = format!("{pad}{key}:");
    match value {
        Value::Object(_) => {
            lines.push(Line::Bare(name));
            gather(lines, value, depth + 1);
        }
        Value::Array(items) if items.iter().all(is_scalar) => {
            lines.push(Line::Bare(name));
            lines.extend(items.iter().map(|item| Line::Bare(format!("{pad}  {}", scalar(item)))));
        }
        Value::Array(items) => {
            lines.push(Line::Bare(name));
            for item in items {
                list_item(lines, item, depth + 1);
            }
        }
        // A text of several lines stands below its name.
        Value::String(text) if text.trim_end().contains('\n') => {
            lines.push(Line::Bare(name));
            lines.extend(text.lines().map(|line| Line::Bare(format!("{pad}  {}", harmless(line)))));
        }
        _ => lines.push(Line::Pair(name, scalar(value))),
    }
}

/// An element of a list: its first line behind a dash, the rest below it.
fn list_item(lines: &mut Vec<Line>, item: &Value, depth: usize) {
    let first = lines.len();
    match item {
        Value::Object(_) => gather(lines, item, depth + 1),
        Value::Array(items) => items.iter().for_each(|item| list_item(lines, item, depth + 1)),
        _ => lines.push(Line::Bare(format!("{}  {}", "  ".repeat(depth), scalar(item)))),
    }
    // The dash takes the place of the last two blanks of the first line's indentation.
    if let Some(Line::Pair(text, _) | Line::Bare(text)) = lines.get_mut(first)
        && text.is_char_boundary(depth * 2)
        && text[depth * 2..].starts_with(' ')
    {
        text.replace_range(depth * 2..=depth * 2, "-");
    }
}

fn is_scalar(value: &Value) -> bool {
    !matches!(value, Value::Object(_) | Value::Array(_))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.values().all(is_empty),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => harmless(text.trim_end()),
        other => other.to_string(),
    }
}

/// Words that kubectl writes in capitals.
const ACRONYMS: [&str; 3] = ["API", "UID", "URL"];

/// `observedGeneration` as `Observed Generation`. What is not a field name of ours (a label, a path) stays as it is.
#[must_use]
pub fn title(key: &str) -> String {
    if !key.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return harmless(key);
    }
    let mut words: Vec<String> = Vec::new();
    for c in key.chars() {
        match words.last_mut() {
            Some(word) if !c.is_ascii_uppercase() => word.push(c),
            _ => words.push(c.to_ascii_uppercase().to_string()),
        }
    }
    let capital = |word: String| {
        let upper = word.to_ascii_uppercase();
        if ACRONYMS.contains(&upper.as_str()) { upper } else { word }
    };
    words.into_iter().map(capital).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(value: &Value) -> String {
        let mut out = Vec::new();
        fields(&mut out, value, 1).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fields_are_indented_and_values_stand_below_each_other() {
        let value = json!({
            "desiredState": "Running", "host": "h", "nothing": null, "empty": [], "none": {},
            "compose": {"files": ["compose.yaml", "b.yaml"], "project": "p"},
            "services": [{"name": "ui", "probes": [{"name": "up", "period": "10s"}]}, {"name": "redis"}],
            "output": "one\ntwo\u{1b}\n",
            "start_service": "5m",
        });
        let expected = "  Compose:
    Files:
      compose.yaml
      b.yaml
    Project:      p
  Desired State:  Running
  Host:           h
  Output:
    one
    two\\u{1b}
  Services:
    - Name:  ui
      Probes:
        - Name:    up
          Period:  10s
    - Name:        redis
  start_service:   5m
";
        assert_eq!(shown(&value), expected);
    }

    #[test]
    fn a_field_is_named_as_kubectl_names_it() {
        for (key, expected) in [
            ("uid", "UID"),
            ("apiVersion", "API Version"),
            ("observedGeneration", "Observed Generation"),
            ("oomKilled", "Oom Killed"),
            ("start_service", "start_service"),
            ("app.io/name", "app.io/name"),
        ] {
            assert_eq!(title(key), expected, "{key}");
        }
    }

    #[test]
    fn no_value_makes_it_fail() {
        for value in [
            json!(null),
            json!([[["a"], {}], []]),
            json!({"é": [[1, [2]], {"ü": ["x\ny"]}]}),
            json!({"a": [{}, {"b": null}]}),
        ] {
            let _ = shown(&value);
        }
        assert_eq!(shown(&json!({"é": [[1, [2]]]})), "  é:\n    - - 1\n      - - 2\n");
    }
}
