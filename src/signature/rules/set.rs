//! A set of rules as it is written: one JSON document, checked when it is read.

use serde::Deserialize;
use serde_json::Value;

use crate::api::stack::IssueRule;
use crate::api::stack::logs::validate_rules;
use crate::api::validate::Check;
use crate::api::{Violation, decode};

/// The one version of the form of a set.
pub const VERSION: u32 = 1;

/// The most rules of a set, and of all sets together once the later ones have replaced and taken out what they name. A person can
/// oversee a few hundred, and [`Rules::judge`](super::Rules::judge) keeps a bit for each on the stack.
pub const MAX_RULES: usize = 500;

/// The longest document, in bytes: what 500 rules need with room to spare, and the most that the store takes.
pub const MAX_DOCUMENT: usize = 1 << 20;

/// A set of rules that keeps every rule of form. [`Rules`](super::Rules) puts sets together.
#[derive(Clone, Debug)]
pub struct Set(Vec<IssueRule>);

/// The document.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    /// Has been looked at before, but must be there.
    #[serde(rename = "version")]
    _version: u32,
    rules: Vec<IssueRule>,
}

impl Set {
    /// Reads a set from JSON.
    ///
    /// # Errors
    /// Every mistake in it, with its path.
    pub fn read(json: &str) -> Result<Self, Vec<Violation>> {
        let document = |found: String, expected: String| vec![Violation::new("(document)", found, expected)];
        if json.len() > MAX_DOCUMENT {
            return Err(document(format!("{} bytes", json.len()), format!("at most {MAX_DOCUMENT} bytes of JSON")));
        }
        let value: Value = serde_json::from_str(json).map_err(|e| document(e.to_string(), "JSON".to_owned()))?;
        Self::of_document(&value)
    }

    /// Reads a set that is a document already.
    ///
    /// # Errors
    /// Every mistake in it, with its path.
    pub fn of_document(value: &Value) -> Result<Self, Vec<Violation>> {
        // A later version may have other fields, so the version is told before any of them is.
        let version = value.get("version").filter(|version| version.as_u64() != Some(VERSION.into()));
        if let Some(other) = version {
            return Err(vec![Violation::new("version", other.to_string(), format!("{VERSION}"))]);
        }
        let Document { rules, .. } = decode::value(value).map_err(|violation| vec![violation])?;
        Self::of(rules)
    }

    /// The set of these rules.
    ///
    /// # Errors
    /// Every mistake in them, with its path.
    pub fn of(rules: Vec<IssueRule>) -> Result<Self, Vec<Violation>> {
        let mut check = Check::new();
        let most = format!("at most {MAX_RULES} rules");
        check.that(rules.len() <= MAX_RULES, "rules", format!("{} rules", rules.len()), most);
        validate_rules(&mut check, "rules", &rules);
        let violations = check.finish();
        if violations.is_empty() { Ok(Self(rules)) } else { Err(violations) }
    }

    /// What hurts any stack, and what is noise in any.
    #[must_use]
    pub fn general() -> Self {
        Self::shipped(include_str!("general.json"))
    }

    /// The failures that WICAP is known for.
    #[must_use]
    pub fn wicap() -> Self {
        Self::shipped(include_str!("wicap.json"))
    }

    fn shipped(json: &str) -> Self {
        Self::read(json).expect("the file is a part of the program, and a test reads it")
    }

    /// Its rules, in the order in which they are written.
    #[must_use]
    pub fn rules(&self) -> &[IssueRule] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{MAX_DOCUMENT, MAX_RULES, Set};

    #[test]
    fn a_document_has_a_version_and_a_size() {
        let rules = |many: usize| {
            let rule = |i: usize| json!({"name": format!("r{i}"), "match": {"contains": ["x"]}, "noise": true});
            json!({"version": 1, "rules": (0..many).map(rule).collect::<Vec<_>>()}).to_string()
        };
        for (text, expected) in [
            ("{".to_owned(), "(document): found EOF while parsing"),
            ("[]".to_owned(), "(document): found a list, expected an object"),
            (r#"{"rules": []}"#.to_owned(), "version: found nothing, expected a value: the field is required"),
            (r#"{"version": 2, "rules": {}}"#.to_owned(), "version: found 2, expected 1"),
            (r#"{"version": 1}"#.to_owned(), "rules: found nothing"),
            (r#"{"version": 1, "rules": [], "more": 1}"#.to_owned(), "more: found an unknown field"),
            (rules(MAX_RULES + 1), "rules: found 501 rules, expected at most 500 rules"),
            (" ".repeat(MAX_DOCUMENT + 1), "(document): found 1048577 bytes, expected at most 1048576"),
        ] {
            let told = Set::read(&text).err().unwrap()[0].to_string();
            assert!(told.starts_with(expected), "{told}\nshould begin\n{expected}");
        }
        assert!(Set::read(&rules(MAX_RULES)).is_ok() && Set::read(r#"{"version": 1, "rules": []}"#).is_ok());
    }
}
