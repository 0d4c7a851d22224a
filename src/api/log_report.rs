//! LogReport: what the logs of a stack say, line by line summed up.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::validate::Check;
use super::{Object, Severity, Time, Violation};

/// What the logs of a stack say. It bears the stack's name, is made by the system with the first line, and goes with the stack.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "wicap.dev",
    version = "v1alpha1",
    kind = "LogReport",
    plural = "logreports",
    shortname = "lr",
    category = "wicap",
    status = "LogReportStatus",
    derive = "PartialEq",
    printcolumn(name = "Lines", type_ = "integer", json_path = ".status.lines"),
    printcolumn(name = "Dropped", type_ = "integer", json_path = ".status.dropped"),
    printcolumn(name = "Signatures", type_ = "integer", json_path = ".status.known"),
    printcolumn(name = "Worst", type_ = "string", json_path = ".status.signatures[0].severity"),
    printcolumn(name = "Reported", type_ = "date", json_path = ".status.reportedAt"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct LogReportSpec {
    /// Name of the WicapStack.
    pub stack: String,
}

/// The most signatures in a report: what a person reads, and little enough to be written every minute.
pub const SIGNATURES_MOST: usize = 50;

/// The most rules in a report: a soak's criterion may ask for any of them. Of a stack of twenty services a tenth of it is used.
pub const RULES_MOST: usize = 256;

/// Minutes of counts that a report has of each signature.
pub const MINUTES: usize = 10;

/// What was read, as of the time it was reported. Written when something of note has happened, else at most once a minute.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogReportStatus {
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_at: Option<Time>,
    /// Lines read since the report was begun.
    #[serde(default)]
    pub lines: u64,
    /// Lines that were not looked at because they came faster than the budget of their container allows.
    #[serde(default)]
    pub dropped: u64,
    /// Signatures that are known.
    #[serde(default)]
    pub known: u64,
    /// Logs that cannot be read, and why: a service and a reason each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<UnreadableLog>,
    /// The signatures that matter most: the severest, then those that are new, spike or are silent, then the most frequent.
    #[serde(default)]
    pub signatures: Vec<SignatureStatus>,
    /// What rules know, all of it: lines of each rule, by service, without noise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleCount>,
}

/// Lines of a service that a rule knows, of whatever signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleCount {
    /// The service.
    pub service: String,
    /// The rule.
    pub rule: String,
    /// The most that one of its lines mattered.
    pub severity: Severity,
    /// Records so far; a stack trace is one.
    pub count: u64,
    /// When the first of them was written.
    pub first_seen: Time,
    /// When the last of them was written.
    pub last_seen: Time,
}

/// A log that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnreadableLog {
    /// The service.
    pub service: String,
    /// Why.
    pub reason: String,
}

/// One signature: lines of a service that are the same but for their values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignatureStatus {
    /// The service.
    pub service: String,
    /// Its id: 16 hexadecimal digits, the same on every host.
    pub id: String,
    /// The line, with `<*>` for each value. Redacted, at most 200 characters.
    pub template: String,
    /// The most that one of its lines matters.
    pub severity: Severity,
    /// What it is doing.
    #[serde(default)]
    pub state: SignatureState,
    /// The rule that knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Lines so far.
    pub count: u64,
    /// Lines in each of the last ten full minutes, the latest last.
    #[serde(default)]
    pub minutes: Vec<u32>,
    /// When the first of them was written.
    pub first_seen: Time,
    /// When the last of them was written.
    pub last_seen: Time,
}

/// What a signature is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum SignatureState {
    /// It comes as it is used to.
    #[default]
    Steady,
    /// It should keep coming and does not.
    Silent,
    /// It was not seen before the last ten minutes, and not while the stack was first read.
    New,
    /// It comes far more often than it is used to.
    Spike,
}

impl Object for LogReport {
    const AUDITED_STATUS: bool = false;

    fn validate(&self) -> Vec<Violation> {
        let mut check = Check::new();
        check.object_name("spec.stack", &self.spec.stack);
        check.finish()
    }
}
