//! The part of kubectl's JSONPath that printer columns, `wait` and `--sort-by` use.
//!
//! ```text
//! {.status.phase}   .a.b[0].c   .a[*].b   .labels.app\.io/name   .labels['app.io/name']   .conditions[?(@.type=="Ready")].status
//! ```

use serde_json::Value;

/// A way from the root of an object to values in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Field(String),
    /// From the end when negative.
    Index(i64),
    All,
    /// The elements in which the value at `path` is (or is not) equal to `literal`.
    Where {
        path: Path,
        equal: bool,
        literal: String,
    },
}

/// A path that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("found {text:?}, expected a JSONPath such as {{.status.phase}} or .status.services[0].state ({reason})")]
pub struct BadPath {
    text: String,
    reason: &'static str,
}

impl Path {
    /// Reads a path, with or without braces and leading dot.
    ///
    /// # Errors
    /// [`BadPath`] with the reason.
    pub fn parse(text: &str) -> Result<Self, BadPath> {
        let bad = |reason| BadPath { text: text.to_owned(), reason };
        let trimmed = text.trim();
        let inner = match trimmed.strip_prefix('{') {
            Some(rest) => rest.strip_suffix('}').ok_or_else(|| bad("'{' is never closed"))?,
            None => trimmed,
        };
        steps(inner.strip_prefix('$').unwrap_or(inner)).map_err(bad)
    }

    /// Every value it leads to, in order.
    #[must_use]
    pub fn find<'a>(&self, root: &'a Value) -> Vec<&'a Value> {
        let mut at = vec![root];
        for step in &self.0 {
            at = at.into_iter().flat_map(|value| step.from(value)).collect();
        }
        at
    }
}

impl Step {
    fn from<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        match self {
            Self::Field(name) => value.get(name).into_iter().collect(),
            Self::Index(index) => {
                let Value::Array(items) = value else { return Vec::new() };
                let index = if *index < 0 { index.saturating_add_unsigned(items.len() as u64) } else { *index };
                usize::try_from(index).ok().and_then(|i| items.get(i)).into_iter().collect()
            }
            Self::All => match value {
                Value::Array(items) => items.iter().collect(),
                Value::Object(map) => map.values().collect(),
                _ => Vec::new(),
            },
            Self::Where { path, equal, literal } => {
                let Value::Array(items) = value else { return Vec::new() };
                let holds = |item: &&Value| path.find(item).iter().any(|v| text_of(v) == *literal) == *equal;
                items.iter().filter(holds).collect()
            }
        }
    }
}

/// A value as kubectl prints the result of a path: text as it is, everything else as JSON.
#[must_use]
pub fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn steps(text: &str) -> Result<Path, &'static str> {
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('[') {
            let end = closing_bracket(inside).ok_or("'[' is never closed")?;
            steps.push(bracket(&inside[..end])?);
            rest = &inside[end + 1..];
        } else {
            let dotted = rest.strip_prefix('.');
            if dotted.is_none() && !steps.is_empty() {
                return Err("a '.' or '[' is missing");
            }
            let (name, after) = field(dotted.unwrap_or(rest));
            rest = after;
            match name.as_str() {
                // A lone dot is the root; `.[0]` is `[0]`.
                "" if steps.is_empty() || rest.starts_with('[') => {}
                "" => return Err("a field has no name"),
                "*" => steps.push(Step::All),
                _ => steps.push(Step::Field(name)),
            }
        }
    }
    Ok(Path(steps))
}

/// The field name at the start of `text`, with `\` taking the next character as it is, and what follows.
fn field(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            '.' | '[' => return (name, &text[i..]),
            '\\' => name.extend(chars.next().map(|(_, c)| c)),
            c => name.push(c),
        }
    }
    (name, "")
}

/// Where the bracket that was opened before `text` is closed; one inside quotes or inner brackets does not count.
fn closing_bracket(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0, None);
    for (i, c) in text.char_indices() {
        match (quote, c) {
            (Some(q), c) if q == c => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some(i),
            (None, ']') => depth -= 1,
            _ => {}
        }
    }
    None
}

fn bracket(inside: &str) -> Result<Step, &'static str> {
    let inside = inside.trim();
    if inside == "*" {
        return Ok(Step::All);
    }
    if let Some(name) = unquoted(inside) {
        return Ok(Step::Field(name.to_owned()));
    }
    if let Some(filter) = inside.strip_prefix("?(") {
        let filter = filter.strip_suffix(')').ok_or("'?(' is never closed")?;
        let (left, equal, right) = match (filter.split_once("=="), filter.split_once("!=")) {
            (Some((l, r)), _) => (l, true, r),
            (None, Some((l, r))) => (l, false, r),
            (None, None) => return Err("a filter compares with == or !="),
        };
        let path = steps(left.trim().strip_prefix('@').ok_or("a filter begins with @")?)?;
        let right = right.trim();
        return Ok(Step::Where { path, equal, literal: unquoted(right).unwrap_or(right).to_owned() });
    }
    inside.parse().map(Step::Index).map_err(|_| "brackets hold a number, *, a quoted name or a filter")
}

fn unquoted(text: &str) -> Option<&str> {
    ['"', '\''].into_iter().find_map(|q| text.strip_prefix(q)?.strip_suffix(q))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(path: &str) -> String {
        let object = json!({
            "metadata": {"labels": {"app.io/name": "w", "x": "y"}},
            "status": {"phase": "Active", "ready": true, "empty": null,
                "services": [{"name": "ui", "state": "Running"}, {"name": "redis", "state": "Exited"}],
                "conditions": [{"type": "Observed", "status": "True"}, {"type": "Available", "status": "False"}]},
        });
        Path::parse(path).unwrap().find(&object).into_iter().map(text_of).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_form_leads_to_its_values() {
        for (path, expected) in [
            ("{.status.phase}", "Active"),
            ("$.status.phase", "Active"),
            ("status.phase", "Active"),
            (".status.ready", "true"),
            (".status.empty", ""),
            (".status.services[1].name", "redis"),
            (".status.services[-1].name", "redis"),
            (".status.services[7].name", ""),
            (".status.services[-7].name", ""),
            (".status.services[*].state", "Running Exited"),
            (".status.services", r#"[{"name":"ui","state":"Running"},{"name":"redis","state":"Exited"}]"#),
            (r".metadata.labels.app\.io/name", "w"),
            (".metadata.labels['app.io/name']", "w"),
            (r#".status.conditions[?(@.type=="Available")].status"#, "False"),
            (".status.conditions[?(@.type!='Available')].type", "Observed"),
            (".nothing.here", ""),
        ] {
            assert_eq!(found(path), expected, "{path}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused_with_a_reason() {
        for path in ["{.a", ".a[", ".a[x]", ".a..b", ".a[?(x)]", ".a[?(@.b==1]", ".a[0]b", ".a."] {
            assert!(Path::parse(path).is_err(), "{path}");
        }
        assert!(Path::parse("{.a").unwrap_err().to_string().contains("never closed"));
    }
}
