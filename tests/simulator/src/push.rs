//! What the processor tells the dashboard, once a second.

use serde::{Deserialize, Serialize};

/// Where the processor takes its events from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QueueMode {
    /// As it should be.
    #[default]
    Redis,
    /// The fallback.
    File,
}

impl QueueMode {
    /// Its name in logs and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::File => "file",
        }
    }
}

/// The body of `POST /api/internal/push`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Push {
    /// Events inserted since the push before.
    pub inserted: u64,
    /// Age of the last insert, measured by the processor, so that a restarted dashboard knows it.
    pub last_insert_age_sec: Option<f64>,
    /// Where the events came from.
    pub queue_mode: QueueMode,
    /// Bytes waiting in the file queue.
    pub queue_backlog_bytes: u64,
}
