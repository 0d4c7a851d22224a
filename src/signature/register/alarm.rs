//! Alarms: what a person should know of what a log says, as long as the log says it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::api::action::ActionKind;
use crate::api::incident::SignalKind;
use crate::api::{Severity, Time, elapsed};
use crate::signature::rates::Key;

/// Lines of an alarm that are kept: the first, and the last ones.
pub const SAMPLES_KEPT: usize = 4;

/// The longest sample, in characters: a line, or the head of a trace.
const SAMPLE_MOST: usize = 400;

/// Ids that a signature has had, kept to know it again. A template changes its id when one of its words turns out to be a value,
/// which seldom happens twice.
const IDS_KEPT: usize = 8;

/// Keys that are kept likewise, the last ones. An alarm takes in what is like it until the miner has seen enough to bring it together.
const KEYS_KEPT: usize = 64;

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
    /// What its signatures are counted under: they stay when the ids change.
    #[serde(default)]
    pub keys: Vec<Key>,
    /// When its last line was read, which may be long after it was written; as if the time in which nobody read had not been.
    #[serde(default)]
    pub came: Option<Time>,
}

/// One line of an alarm.
pub(super) struct Heard<'a> {
    /// What its signature is counted under, and its id.
    pub key: Key,
    pub id: &'a str,
    pub severity: Severity,
    /// When it was written, and when it was read.
    pub at: Time,
    pub now: Time,
    pub text: &'a str,
}

impl Alarm {
    /// One more of its lines.
    pub(super) fn add(&mut self, heard: &Heard<'_>) {
        self.count += 1;
        self.severity = self.severity.max(heard.severity);
        self.last = self.last.max(heard.at);
        self.came = self.came.max(Some(heard.now));
        if self.ids.len() < IDS_KEPT && !self.ids.iter().any(|known| known == heard.id) {
            self.ids.push(heard.id.to_owned());
        }
        self.count_under(heard.key);
        let text = sample(heard.text);
        if self.samples.contains(&text) {
            return;
        }
        if self.samples.len() == SAMPLES_KEPT {
            self.samples.remove(1);
        }
        self.samples.push(text);
    }

    /// Remembers what one of its signatures is counted under.
    pub(super) fn count_under(&mut self, key: Key) {
        if !self.keys.contains(&key) {
            if self.keys.len() == KEYS_KEPT {
                self.keys.remove(0);
            }
            self.keys.push(key);
        }
    }

    /// Whether nothing was said for so long. What was written long ago and is only read now was said now, or what goes on would be over
    /// with each look.
    pub(super) fn is_over(&self, quiet: Duration, now: Time) -> bool {
        elapsed(self.came.unwrap_or(self.last), now) >= quiet
    }

    /// Says that nobody read between two times.
    pub(super) fn unread(&mut self, from: Time, to: Time) {
        let quiet = self.came.map_or(Duration::ZERO, |came| elapsed(came, from));
        self.came = Some(to.checked_sub(quiet).unwrap_or(to));
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
