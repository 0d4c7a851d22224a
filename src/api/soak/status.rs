//! What a run has come to and what it has shown so far: the controller's half.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::Time;
use crate::api::stack::Maintenance;

/// How far a run is and what it has shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SoakRunStatus {
    /// Generation of the spec this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where in its life it is.
    #[serde(default)]
    pub phase: SoakPhase,
    /// When this phase began; its deadline counts from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase_since: Option<Time>,
    /// When the run began: it left Pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When Soaking began; every schedule counts from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soaking_since: Option<Time>,
    /// When Soaking ended: after its duration, or early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soaked_until: Option<Time>,
    /// When it completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// Share of the soak that is over, as `40%`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    /// What each check has shown so far.
    #[serde(default)]
    pub checks: Vec<CheckRecord>,
    /// How often each service was restarted while soaking.
    #[serde(default)]
    pub restarts: Vec<RestartRecord>,
    /// Actions that others than the run asked for and that were carried out on the stack while soaking.
    #[serde(default)]
    pub recoveries: u32,
    /// The recorded evidence: what the run has shown is added up from it, and so is the verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<EvidenceStatus>,
    /// The one word, once it is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Why, one line for each criterion that decided.
    #[serde(default)]
    pub reasons: Vec<String>,
    /// Complete.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// Until when the stack is as the run wants it, and why: that is no drift.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
    /// What it waits for, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Where a run is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum SoakPhase {
    /// Not begun.
    #[default]
    Pending,
    /// Looking whether it can be carried out: stack, session, baseline.
    Preflight,
    /// Taking the stack down.
    Teardown,
    /// Bringing it up.
    Startup,
    /// Waiting until the stack is Available and each plain check has passed once.
    Warmup,
    /// Running under its checks.
    Soaking,
    /// Giving the verdict.
    Finalizing,
    /// Leaving the stack as it is to be left.
    Cleanup,
    /// Over; there is a verdict.
    Completed,
}

/// The one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Verdict {
    /// Every criterion holds.
    Passed,
    /// A criterion does not hold, or the stack did not come up.
    Failed,
    /// Ended early by an operator.
    Aborted,
    /// The run itself could not be carried out.
    Error,
}

/// What a check has shown. Counts and the last results only: the size does not grow with the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckRecord {
    /// Its name in the spec.
    pub name: String,
    /// Results that passed.
    #[serde(default)]
    pub passed: u32,
    /// Results that failed.
    #[serde(default)]
    pub failed: u32,
    /// Checks that could not be made. They are not passed.
    #[serde(default)]
    pub errors: u32,
    /// Checks that were due while no controller ran. They count as neither passed nor failed, and are shown.
    #[serde(default)]
    pub missed: u32,
    /// Number of the next check: it is due at `soakingSince + next * period`, the last one at the end.
    #[serde(default)]
    pub next: u32,
    /// The last failures, at most 20.
    #[serde(default)]
    pub failures: Vec<CheckFailure>,
}

/// Failures kept of each check: enough to see a pattern, few enough to keep the object small.
pub const KEPT_FAILURES: usize = 20;

/// One failed check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckFailure {
    /// When.
    pub at: Time,
    /// What was seen.
    pub message: String,
}

/// How often a service was restarted while soaking.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestartRecord {
    /// The service.
    pub service: String,
    /// Its container's id when last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_id: Option<String>,
    /// When that container had last started, when last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// Starts seen since the soak began.
    #[serde(default)]
    pub count: u32,
}

/// Where the recorded evidence is, and how much of it there is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceStatus {
    /// The host in whose data directory it is.
    pub host: String,
    /// The file, below the data directory.
    pub file: String,
    /// Records in it.
    pub records: u64,
    /// Bytes.
    pub bytes: u64,
    /// Digest of the chain of records, SHA-256 in hex: each is made from the one before and the next record.
    pub digest: String,
}
