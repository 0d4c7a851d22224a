//! Severity: how much something matters, one scale for drifts, log lines and incidents.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much something matters, in rising order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Severity {
    /// Of a log line: never worth a look, whatever words are in it.
    Noise,
    /// It is told, and nothing is to be done about it.
    Info,
    /// Something is to be done, and the stack is available without it; of a log line: something may go wrong.
    #[default]
    Warning,
    /// Of a log line: some work failed.
    Error,
    /// A critical service does not serve as it should; of a log line: a program or its data is lost, or cannot go on.
    Critical,
}
