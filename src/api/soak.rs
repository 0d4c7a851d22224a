//! SoakRun: a long supervised run with a verdict that follows from what was recorded.

use std::collections::HashSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::stack::rules::validate_http;
use super::stack::{HttpGet, Maintenance};
use super::validate::{Check, quoted};
use super::{Duration, Object, Time, Violation};

/// A stack is brought up, runs for a time under checks on a schedule, and gets a verdict.
///
/// Everything needed to go on is in the status, so that any controller may be killed at any moment and the run continues with
/// the clock it had.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "wicap.dev",
    version = "v1alpha1",
    kind = "SoakRun",
    plural = "soakruns",
    shortname = "soak",
    shortname = "soaks",
    shortname = "sr",
    category = "wicap",
    status = "SoakRunStatus",
    derive = "PartialEq",
    printcolumn(name = "Stack", type_ = "string", json_path = ".spec.stack"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Progress", type_ = "string", json_path = ".status.progress"),
    printcolumn(name = "Verdict", type_ = "string", json_path = ".status.verdict"),
    printcolumn(name = "Duration", type_ = "string", json_path = ".spec.duration", priority = 1),
    printcolumn(name = "Reasons", type_ = "string", json_path = ".status.reasons", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct SoakRunSpec {
    /// Name of the WicapStack.
    pub stack: String,
    /// How long the stack is soaked once it is up.
    pub duration: Duration,
    /// How long the stack may take to come up. When it does not, the verdict is Failed.
    #[serde(default = "two_minutes")]
    pub startup_timeout: Duration,
    /// What is asked of the stack, each check on its own schedule. At least one.
    pub checks: Vec<SoakCheck>,
    /// What the run must have shown.
    #[serde(default)]
    pub criteria: Criteria,
    /// True ends the run early with the verdict Aborted.
    #[serde(default)]
    pub abort: bool,
}

fn two_minutes() -> Duration {
    std::time::Duration::from_secs(120).into()
}

/// One check. The first is due when the soak begins, the last at its very end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SoakCheck {
    /// Its name, unique in the run.
    pub name: String,
    /// Passes when a GET answers with an expected status.
    pub http_get: HttpGet,
    /// Time from one check to the next.
    pub period: Duration,
    /// Time after which an unanswered check has failed.
    #[serde(default = "five_seconds")]
    pub timeout: Duration,
}

fn five_seconds() -> Duration {
    std::time::Duration::from_secs(5).into()
}

/// What a run must have shown. Every bound is checked; one that does not hold makes the verdict Failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Criteria {
    /// Least share of passed results of each check, 0 to 1. A check without any result fails the run whatever this says.
    #[serde(default = "all_of_them")]
    pub min_pass_rate: f64,
    /// The most restarts of all services together, by whomever, while soaking; not judged when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_restarts: Option<u32>,
}

fn all_of_them() -> f64 {
    1.0
}

impl Default for Criteria {
    fn default() -> Self {
        Self { min_pass_rate: 1.0, max_restarts: None }
    }
}

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
    /// When Startup began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When Soaking began; every schedule counts from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soaking_since: Option<Time>,
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
    /// The one word at the end.
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SoakPhase {
    /// Not begun.
    #[default]
    Pending,
    /// Waiting for the stack to be Available.
    Startup,
    /// Running under its checks.
    Soaking,
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
    /// Checks that were due while no controller ran. They count as neither passed nor failed, and are shown.
    #[serde(default)]
    pub missed: u32,
    /// Number of the next check: it is due at `soakingSince + next * period`, the last one at the end.
    #[serde(default)]
    pub next: u32,
    /// The last failures, at most [`KEPT_FAILURES`].
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

impl Object for SoakRun {
    fn validate(&self) -> Vec<Violation> {
        let spec = &self.spec;
        let mut check = Check::new();
        check.object_name("spec.stack", &spec.stack);
        check.positive("spec.duration", spec.duration);
        check.positive("spec.startupTimeout", spec.startup_timeout);
        check.that(
            !spec.checks.is_empty(),
            "spec.checks",
            "an empty list",
            "at least one check: nothing asked proves nothing",
        );
        let mut seen = HashSet::new();
        for (i, c) in spec.checks.iter().enumerate() {
            let path = format!("spec.checks[{i}]");
            check.service(&format!("{path}.name"), &c.name);
            check.that(
                seen.insert(c.name.as_str()),
                format!("{path}.name"),
                format!("{} a second time", quoted(&c.name)),
                "each check once",
            );
            validate_http(&mut check, &format!("{path}.httpGet"), &c.http_get, c.timeout);
            check.that(
                c.http_get.capture.is_empty(),
                format!("{path}.httpGet.capture"),
                format!("{} captures", c.http_get.capture.len()),
                "none: a check keeps no samples, a stack's probe does",
            );
            check.that(
                c.period.to_std() >= std::time::Duration::from_secs(1),
                format!("{path}.period"),
                format!("\"{}\"", c.period),
                "a duration of \"1s\" or more",
            );
            check.positive(&format!("{path}.timeout"), c.timeout);
        }
        let rate = spec.criteria.min_pass_rate;
        check.that((0.0..=1.0).contains(&rate), "spec.criteria.minPassRate", rate.to_string(), "a number from 0 to 1");
        check.finish()
    }

    fn validate_update(&self, old: &Self) -> Vec<Violation> {
        let mut check = Check::new();
        let mut allowed = old.spec.clone();
        allowed.abort = self.spec.abort;
        check.that(self.spec == allowed, "spec", "a change", "no change but to abort: a run's plan is immutable");
        check.that(!old.spec.abort || self.spec.abort, "spec.abort", "false", "true: an aborted run does not come back");
        check.finish()
    }
}
