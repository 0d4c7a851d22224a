//! An object's fields as people read them: one a line, indented, in kubectl's way of writing field names.

use std::io::{self, Write};

use serde_json::Value;

use super::table::harmless;

/// Writes the fields of a map (and of those below it), `depth` levels in. What is null or empty is left out.
///
/// # Errors
/// What the output says.
pub fn fields(out: &mut dyn Write, value: &Value, depth: usize) -> io::Result<()> {
    let Value::Object(map) = value else { return Ok(()) };
    let shown: Vec<_> = map.iter().filter(|(_, v)| !is_empty(v)).collect();
    let width = shown.iter().filter(|(_, v)| is_scalar(v)).map(|(k, _)| title(k).chars().count()).max().unwrap_or(0);
    for (key, value) in shown {
        field(out, &title(key), value, width, depth)?;
    }
    Ok(())
}

fn field(out: &mut dyn Write, key: &str, value: &Value, width: usize, depth: usize) -> io::Result<()> {
    let pad = "  ".repeat(depth);
    match value {
        Value::Object(_) => {
            writeln!(out, "{pad}{key}:")?;
            fields(out, value, depth + 1)
        }
        Value::Array(items) if items.iter().all(is_scalar) => {
            writeln!(out, "{pad}{key}:")?;
            items.iter().try_for_each(|item| writeln!(out, "{pad}  {}", scalar(item)))
        }
        Value::Array(items) => {
            writeln!(out, "{pad}{key}:")?;
            items.iter().try_for_each(|item| list_item(out, item, depth + 1))
        }
        // A text of several lines stands below its name.
        Value::String(text) if text.trim_end().contains('\n') => {
            writeln!(out, "{pad}{key}:")?;
            text.lines().try_for_each(|line| writeln!(out, "{pad}  {}", harmless(line)))
        }
        _ => writeln!(out, "{pad}{:width$}  {}", format!("{key}:"), scalar(value), width = width + 1),
    }
}

/// An element of a list: its first line behind a dash, the rest below it.
fn list_item(out: &mut dyn Write, item: &Value, depth: usize) -> io::Result<()> {
    let mut text = Vec::new();
    match item {
        Value::Object(_) => fields(&mut text, item, depth + 1)?,
        Value::Array(items) => items.iter().try_for_each(|i| list_item(&mut text, i, depth + 1))?,
        _ => writeln!(text, "{}  {}", "  ".repeat(depth), scalar(item))?,
    }
    // The dash takes the place of the last two blanks of the first line's indentation.
    if let Some(place) = text.get_mut(depth * 2) {
        *place = b'-';
    }
    out.write_all(&text)
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

/// `observedGeneration` as `Observed Generation`. What is not a field name of ours (a label, a path) stays as it is.
#[must_use]
pub fn title(key: &str) -> String {
    if !key.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return harmless(key);
    }
    // As kubectl writes it.
    if key == "uid" {
        return "UID".to_owned();
    }
    let mut out = String::new();
    for (i, c) in key.chars().enumerate() {
        if i > 0 && c.is_ascii_uppercase() {
            out.push(' ');
        }
        out.push(if i == 0 { c.to_ascii_uppercase() } else { c });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_indented_and_aligned() {
        let value = json!({
            "desiredState": "Running", "host": "h", "nothing": null, "empty": [], "none": {},
            "compose": {"files": ["compose.yaml", "b.yaml"], "project": "p"},
            "services": [{"name": "ui", "probes": [{"name": "up", "period": "10s"}]}, {"name": "redis"}],
            "output": "one\ntwo\u{1b}\n",
            "start_service": "5m",
        });
        let mut out = Vec::new();
        fields(&mut out, &value, 1).unwrap();
        let expected = "  Compose:
    Files:
      compose.yaml
      b.yaml
    Project:  p
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
    - Name:  redis
  start_service:  5m
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
