//! kubectl's JSONPath: values inside objects, and templates around them.
//!
//! ```text
//! {.status.phase} .a.b[0].c .a[*].b .labels.app\.io/name .labels['app.io/name'] .conditions[?(@.type=="Ready")].status
//!  {range .items[*]}{.metadata.name}{"\t"}{.status.services[0:2].state}{"\n"}{end}
//! ```
//!
//! kubectl's dialect is older than RFC 9535 and another language: templates with text around expressions, `range` and `end`,
//! fields without a leading `$`, dots that are escaped with `\`, filters that compare a path with one literal, and no
//! output for what is missing. The maintained crates speak the RFC and nothing else, so the reader and the evaluator are our own, and small.
//!
//! # Layout
//! - [`Path`]: one expression, as printer columns, `wait` and `--sort-by` use it
//! - [`template`]: what `-o jsonpath=…` takes
//! - `parse`: text to steps; `step`: steps to values; `compare`: what filters ask; `reach`: what a template does not need
//! - [`spelling`]: values as kubectl spells them

mod compare;
mod parse;
mod reach;
pub mod spelling;
mod step;
pub mod template;

use serde_json::Value;

pub(crate) use reach::Reach;
use step::{Missing, Step};

/// A way from the root of an object to values in it. What does not fit an object leads nowhere and is no error.
#[derive(Clone, Debug, PartialEq)]
pub struct Path(Vec<Step>);

/// A path that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("found {text:?}, expected a JSONPath such as {{.status.phase}} or .status.services[0].state ({reason})")]
pub struct BadPath {
    text: String,
    reason: String,
}

impl Path {
    /// Reads a path, with or without braces and leading dot.
    ///
    /// # Errors
    /// [`BadPath`] with the reason.
    pub fn parse(text: &str) -> Result<Self, BadPath> {
        let bad = |reason: &str| BadPath { text: text.to_owned(), reason: reason.to_owned() };
        let trimmed = text.trim();
        let inner = match trimmed.strip_prefix('{') {
            Some(rest) => rest.strip_suffix('}').ok_or_else(|| bad("'{' is never closed"))?,
            None => trimmed,
        };
        let inner = inner.strip_prefix('$').unwrap_or(inner);
        if inner.is_empty() || inner == "." {
            return Ok(Self(Vec::new()));
        }
        let dotted = if inner.starts_with(['.', '[']) { inner.to_owned() } else { format!(".{inner}") };
        let steps = parse::steps(&dotted).map_err(|reason| bad(&reason))?;
        if let Some(reason) = steps.iter().find_map(Step::not_of_a_path) {
            return Err(bad(reason));
        }
        Ok(Self(steps))
    }

    /// Every value it leads to, in order.
    #[must_use]
    pub fn find<'a>(&'a self, root: &'a Value) -> Vec<&'a Value> {
        step::walk(&self.0, vec![root], Missing::Forgiven).unwrap_or_default()
    }
}

/// A value as a cell of a table shows it: text as it is, nothing for null, everything else as JSON.
#[must_use]
pub fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        other => spelling::text(other),
    }
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
            (".status.services[0:9].name", ""),
            (".status.phase[0]", ""),
            (".status.services[*].state", "Running Exited"),
            (".status.services", r#"[{"name":"ui","state":"Running"},{"name":"redis","state":"Exited"}]"#),
            (r".metadata.labels.app\.io/name", "w"),
            (".metadata.labels['app.io/name']", "w"),
            (r".metadata.labels['app\.io/name']", "w"),
            (r#".status.conditions[?(@.type=="Available")].status"#, "False"),
            (".status.conditions[?(@.type!='Available')].type", "Observed"),
            (".status..name", "ui redis"),
            (".nothing.here", ""),
        ] {
            assert_eq!(found(path), expected, "{path}");
        }
    }

    #[test]
    fn the_root_is_a_path() {
        let object = json!({"a": 1});
        for root in ["", ".", "{}", "{.}", "$"] {
            assert_eq!(Path::parse(root).unwrap().find(&object), [&object], "{root}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused_with_a_reason() {
        for path in ["{.a", ".a[", ".a[x]", ".a[?(x)]", ".a[?(@.b==1]", ".a[0]b", ".a.", "....a"] {
            assert!(path == ".a\n" || Path::parse(path).is_err(), "{path}");
        }
        assert!(Path::parse("{.a").unwrap_err().to_string().contains("never closed"));
    }
}
