//! What came of asking once.

use std::collections::BTreeMap;
use std::fmt;
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

/// What an attempt says of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is as expected.
    Passed(Said),
    /// It is not.
    Failed(Said),
    /// Nothing: the question could not be put, and it is not the service that is at fault.
    Unasked(Said),
}

/// What was found, in words for people. Of a hundred attempts one changes a verdict, and only its words are looked through for secrets;
/// so that none gets out, there is no other way to them.
#[derive(Clone, PartialEq, Eq)]
pub struct Said(String);

impl Said {
    /// Redacted, on one line, and no longer than a message may be.
    #[must_use]
    pub fn shown(&self) -> String {
        let redacted = redact(&self.0);
        let on_a_line = redacted.chars().map(|c| if c.is_control() { ' ' } else { c });
        on_a_line.take(MESSAGE_MOST).collect::<String>().trim().to_owned()
    }
}

impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.shown())
    }
}

impl Attempt {
    /// As expected.
    pub(super) fn passed(message: impl Into<String>) -> Self {
        Self { outcome: Outcome::Passed(Said(message.into())), samples: BTreeMap::new() }
    }

    /// Not as expected.
    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self { outcome: Outcome::Failed(Said(message.into())), samples: BTreeMap::new() }
    }

    /// Not asked.
    pub(super) fn unasked(message: impl Into<String>) -> Self {
        Self { outcome: Outcome::Unasked(Said(message.into())), samples: BTreeMap::new() }
    }

    /// Within the timeout, else what `late` makes of its being over.
    pub(super) async fn within(timeout: Duration, attempt: impl Future<Output = Self>, late: fn(String) -> Self) -> Self {
        tokio::time::timeout(timeout, attempt).await.unwrap_or_else(|_| late(format!("no answer within {timeout:?}")))
    }
}
