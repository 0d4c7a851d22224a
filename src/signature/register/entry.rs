//! What is kept of one signature.

use serde::{Deserialize, Serialize};

use super::alarm::sample;
use crate::api::{Severity, Time};
use crate::signature::mine::SignatureId;
use crate::signature::rates::Key;

/// Lines of one service that are the same but for their values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// What its counts are kept under. It stays when the id changes.
    pub key: Key,
    /// Its id, as of its last line.
    pub id: SignatureId,
    /// The most that one of its lines matters.
    pub severity: Severity,
    /// The rule that knew its last line.
    pub rule: Option<String>,
    /// Its lines.
    pub count: u64,
    /// When the first was written.
    pub first: Time,
    /// When the last was written.
    pub last: Time,
    /// Since when it is new.
    pub new_since: Option<Time>,
    /// Its last line.
    pub sample: String,
}

impl Entry {
    pub(super) fn new(key: Key, id: SignatureId, severity: Severity, at: Time) -> Self {
        Self { key, id, severity, rule: None, count: 0, first: at, last: at, new_since: None, sample: String::new() }
    }

    /// One more of its lines.
    pub(super) fn add(&mut self, id: SignatureId, severity: Severity, rule: Option<&str>, at: Time, text: &str) {
        self.id = id;
        self.severity = self.severity.max(severity);
        if self.rule.as_deref() != rule {
            self.rule = rule.map(str::to_owned);
        }
        self.count += 1;
        self.last = self.last.max(at);
        self.first = self.first.min(at);
        self.sample = sample(text);
    }

    /// Takes in another that turned out to be the same signature.
    pub(super) fn absorb(&mut self, other: &Self) {
        self.count += other.count;
        self.severity = self.severity.max(other.severity);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}
