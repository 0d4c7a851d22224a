//! One rule, and whether it holds.

use regex::bytes::Regex;

use crate::api::Severity;
use crate::api::action::ActionKind;
use crate::api::stack::{IssueRule, LineMatch};
use crate::signature::rules::text::Event;
use crate::signature::severity::class;

/// A known issue, or noise.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name, the only one of its kind: a DNS label.
    pub name: String,
    /// What has happened, in one line, for people. Every known issue has one.
    pub title: Option<String>,
    /// How grave it is; Noise when it is not worth a look.
    pub severity: Severity,
    /// What an operator does about it.
    pub remedy: Option<String>,
    /// The action that may help, on the service that wrote the line. A suggestion: it permits nothing.
    pub action: Option<ActionKind>,
    /// What it goes by.
    parts: LineMatch,
    /// The pattern of `parts`.
    regex: Option<Regex>,
}

impl Rule {
    /// The rule that was written so, which has been checked and is not off.
    pub(super) fn new(written: IssueRule) -> Self {
        let parts = written.matches.unwrap_or_default();
        Self {
            name: written.name,
            title: written.title,
            severity: written.severity.unwrap_or(Severity::Noise),
            remedy: written.remedy,
            action: written.action,
            // It was compiled when it was checked.
            regex: parts.regex().ok().flatten(),
            parts,
        }
    }

    /// The texts of which one is there whenever the rule holds: the longest that it asks for, or all that it has a choice of. None if
    /// it looks for no text.
    pub(super) fn heralds(&self) -> &[String] {
        match (0..self.parts.contains.len()).max_by_key(|at| self.parts.contains[*at].len()) {
            Some(longest) => std::slice::from_ref(&self.parts.contains[longest]),
            None => &self.parts.any_of,
        }
    }

    /// Its pattern, as it is written.
    pub(super) fn pattern(&self) -> Option<&str> {
        self.regex.as_ref().map(Regex::as_str)
    }

    /// Whether every part holds. The cheap ones are asked first.
    pub(super) fn holds(&self, event: &Event<'_>) -> bool {
        let parts = &self.parts;
        let facts = event.record.facts();
        let found = |wanted: &String| event.texts().any(|text| text.contains(wanted.as_str()));
        parts.level.is_none_or(|least| facts.level >= Some(least))
            && parts.status.is_none_or(|span| facts.status.is_some_and(|status| (span.from..=span.to).contains(&status)))
            && (parts.services.is_empty() || parts.services.iter().any(|name| name == event.service))
            && parts.logger.as_deref().is_none_or(|name| event.record.line.logger.as_deref().is_some_and(|l| is_of(l, name)))
            && parts.exception.as_deref().is_none_or(|name| facts.exception.is_some_and(|k| k == name || class(k) == name))
            && (!event.access || parts.status.is_some() || !self.looks_for_text())
            && parts.contains.iter().all(found)
            && (parts.any_of.is_empty() || parts.any_of.iter().any(found))
            && self.regex.as_ref().is_none_or(|regex| event.texts().any(|text| regex.is_match(text.as_bytes())))
    }

    /// Whether it goes by what is written.
    fn looks_for_text(&self) -> bool {
        !self.heralds().is_empty() || self.regex.is_some()
    }
}

/// Whether a logger is the one of this name, or one below it.
fn is_of(logger: &str, name: &str) -> bool {
    logger.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', ':', '/']))
}
