//! Alarms: what a person should know of what a log says, as long as the log says it.

use serde::{Deserialize, Serialize};

use crate::api::action::ActionKind;
use crate::api::incident::SignalKind;
use crate::api::{Severity, Time, elapsed};

/// Lines of an alarm that are kept: the first, and the last ones.
pub const SAMPLES_KEPT: usize = 4;

/// The longest sample, in characters: a line, or the head of a trace.
const SAMPLE_MOST: usize = 400;

/// Ids that a signature has had, kept to know it again. A template changes its id when one of its words turns out to be a value,
/// which seldom happens twice.
const IDS_KEPT: usize = 8;

/// Something that a log goes on to say and a person should know of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    /// The service.
    pub service: String,
    /// Why it was raised.
    pub kind: SignalKind,
    /// The rule that knows it; lines of several signatures may be of one rule.
    pub rule: Option<String>,
    /// The ids of the signature, the first first.
    pub ids: Vec<String>,
    /// What has happened: the rule's title, or the template.
    pub title: String,
    /// The most that one of its lines matters.
    pub severity: Severity,
    /// What an operator does about it.
    pub remedy: Option<String>,
    /// The action that may help.
    pub action: Option<ActionKind>,
    /// When its first line was written: what tells it from others of the same name.
    pub first: Time,
    /// When its last line was written.
    pub last: Time,
    /// Its lines.
    pub count: u64,
    /// Its first line, and its last ones, oldest first.
    pub samples: Vec<String>,
}

impl Alarm {
    /// One more of its lines.
    pub(super) fn add(&mut self, id: &str, severity: Severity, at: Time, text: &str) {
        self.count += 1;
        self.severity = self.severity.max(severity);
        self.last = self.last.max(at);
        self.know(id);
        let text = sample(text);
        if self.samples.contains(&text) {
            return;
        }
        if self.samples.len() == SAMPLES_KEPT {
            self.samples.remove(1);
        }
        self.samples.push(text);
    }

    /// Remembers an id of its signature.
    pub(super) fn know(&mut self, id: &str) {
        if self.ids.len() < IDS_KEPT && !self.ids.iter().any(|known| known == id) {
            self.ids.push(id.to_owned());
        }
    }

    /// Whether nothing was said for so long.
    pub(super) fn is_over(&self, quiet: std::time::Duration, now: Time) -> bool {
        elapsed(self.last, now) >= quiet
    }
}

/// A text as it is shown.
pub(super) fn sample(text: &str) -> String {
    let mut shown: String = text.chars().take(SAMPLE_MOST).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}
