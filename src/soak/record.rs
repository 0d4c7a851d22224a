//! One line of the evidence: something that a run saw or did, and when. Lines are bound by a chain of digests, as the audit log's are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::report::CheckOutcome;
use crate::api::Time;
use crate::api::soak::{SoakPhase, Verdict};

/// Something that happened at a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// When.
    pub at: Time,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum What {
    /// The first record: which run this is.
    Run {
        /// Its name.
        name: String,
        /// Its uid.
        uid: String,
        /// The host that carries it out.
        host: String,
        /// Versions, by what they are of.
        versions: BTreeMap<String, String>,
        /// Its spec.
        spec: serde_json::Value,
    },
    /// A phase began.
    Phase {
        /// Which.
        phase: SoakPhase,
    },
    /// Of each service its image's name and id, when soaking began.
    Images {
        /// By service.
        images: BTreeMap<String, String>,
    },
    /// A check was made.
    Check {
        /// Its name.
        name: String,
        /// Which one it was: the first of the soak is number 0.
        number: u32,
        /// What became of it.
        outcome: CheckOutcome,
        /// How long it took, in milliseconds.
        latency_ms: f64,
        /// What was seen, of one that did not pass.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        /// SHA-256 of the picture that was taken, in hex.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        screenshot: Option<String>,
        /// The numbers that were captured.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        captured: BTreeMap<String, f64>,
    },
    /// Checks were due while nobody could make them.
    Missed {
        /// Name of the check.
        name: String,
        /// Number of the first of them.
        number: u32,
        /// How many.
        count: u32,
    },
    /// Something was measured.
    Sample {
        /// Which sample it was: the first of the soak is number 0.
        number: u32,
        /// By series.
        values: BTreeMap<String, f64>,
    },
    /// A container of a service was seen for the first time since the soak began, or with another start.
    Start {
        /// The service.
        service: String,
        /// The container.
        container: String,
        /// When it had started.
        started: Time,
    },
    /// An action on the stack had ended.
    Action {
        /// Name of the ActionRun.
        name: String,
        /// What was done to what.
        what: String,
        /// What became of it.
        result: String,
        /// Why it was done.
        cause: String,
        /// Whether the run itself asked for it.
        own: bool,
    },
    /// An operator has asked for the end of the soak: it ends at this time.
    Finish,
    /// Something else that is worth to be told.
    Event {
        /// What, in words for people.
        what: String,
    },
    /// What decides the verdict before any criterion: the run was aborted, could not be carried out, or the stack did not come up.
    Decided {
        /// The word.
        verdict: Verdict,
        /// Why.
        reason: String,
    },
}

/// What a chain begins with.
pub const ROOT: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The digest of the chain after one more line: SHA-256 of the digest before it, in hex, and the line without its end.
#[must_use]
pub fn link(before: &str, line: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(before.as_bytes());
    hash.update(line.as_bytes());
    hex(&hash.finalize())
}

/// SHA-256 of bytes, in hex.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
