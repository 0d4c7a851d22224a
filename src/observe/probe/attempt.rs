//! What came of asking once.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::audit::redact::redact;

/// Longest message of an attempt, in characters. It becomes part of a status, and of an action's evidence.
const MESSAGE_MOST: usize = 480;

/// One attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// What it says of the service.
    pub outcome: Outcome,
    /// The numbers that it captured.
    pub samples: BTreeMap<String, f64>,
}

/// What an attempt says of the service, in words for people, from which secrets were taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is as expected.
    Passed(String),
    /// It is not.
    Failed(String),
    /// Nothing: the question could not be put, and it is not the service that is at fault.
    Unasked(String),
}

impl Attempt {
    /// As expected.
    pub(super) fn passed(message: &str) -> Self {
        Self { outcome: Outcome::Passed(shown(message)), samples: BTreeMap::new() }
    }

    /// Not as expected.
    pub(super) fn failed(message: &str) -> Self {
        Self { outcome: Outcome::Failed(shown(message)), samples: BTreeMap::new() }
    }

    /// Not asked.
    pub(super) fn unasked(message: &str) -> Self {
        Self { outcome: Outcome::Unasked(shown(message)), samples: BTreeMap::new() }
    }

    /// Within the timeout, else what `late` makes of its being over.
    pub(super) async fn within(timeout: Duration, attempt: impl Future<Output = Self>, late: fn(&str) -> Self) -> Self {
        tokio::time::timeout(timeout, attempt).await.unwrap_or_else(|_| late(&format!("no answer within {timeout:?}")))
    }
}

/// Redacted, on one line, and no longer than a message may be.
fn shown(message: &str) -> String {
    redact(message)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MESSAGE_MOST)
        .collect::<String>()
        .trim()
        .to_owned()
}
