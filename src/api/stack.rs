//! WicapStack: a compose project to keep as it is declared.

mod drift;
pub mod expression;
mod job;
pub(crate) mod logs;
mod maintenance;
pub(crate) mod naming;
mod probe;
mod recovery;
pub(in crate::api) mod rules;

pub use drift::{BlockedBy, Drift, DriftKind, RecoveryState};
pub use job::Job;
pub use logs::{IssueRule, LineMatch, LogLevel, Logs, RuleSet, StatusRange};
pub use maintenance::Maintenance;
pub use probe::{
    BODY_MOST, Capture, Expectations, HealthWord, HttpGet, HttpHeader, JsonExpectation, LogLine, Presence, Probe,
    ProcessRuns, TcpSocket,
};
pub use recovery::{Backoff, Flapping, LadderStep, OnConfigDrift, Recovery};

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Duration, Time};

/// A compose project on one host, and how it is to be kept.
///
/// Only the services listed in `spec.services` are expected and ever touched; others of the project are observed as they are.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "wicap.dev",
    version = "v1alpha1",
    kind = "WicapStack",
    plural = "wicapstacks",
    shortname = "stack",
    shortname = "stacks",
    shortname = "ws",
    category = "wicap",
    status = "WicapStackStatus",
    derive = "PartialEq",
    printcolumn(name = "Desired", type_ = "string", json_path = ".spec.desiredState"),
    printcolumn(name = "Available", type_ = "string", json_path = ".status.conditions[?(@.type==\"Available\")].status"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.ready"),
    printcolumn(name = "Planned", type_ = "string", json_path = ".status.plannedAction"),
    printcolumn(name = "Blocked-By", type_ = "string", json_path = ".status.blockedBy.gate", priority = 1),
    printcolumn(name = "Host", type_ = "string", json_path = ".spec.host", priority = 1),
    printcolumn(name = "Project", type_ = "string", json_path = ".spec.compose.project", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct WicapStackSpec {
    /// The host whose Docker engine runs the stack: the `--host` of the observer and the actuator that serve it.
    #[serde(default = "default_host")]
    pub host: String,
    /// The compose project.
    pub compose: Compose,
    /// Whether the services are to run or to be stopped.
    #[serde(default)]
    pub desired_state: DesiredState,
    /// The services that are kept. Names are compose service keys, not container names.
    pub services: Vec<ServiceSpec>,
    /// What can be run to its end to ask something of the stack.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<Job>,
    /// What holds for every service that does not say otherwise.
    #[serde(default)]
    pub defaults: Defaults,
    /// How the logs of its containers are read.
    #[serde(default, skip_serializing_if = "Logs::is_default")]
    pub logs: Logs,
    /// Services that are being worked on, and until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
}

/// Name of the host when neither the stack nor the daemon says one.
#[must_use]
pub fn default_host() -> String {
    "localhost".to_owned()
}

/// Where the compose project is and how it is called.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Compose {
    /// Project name, as `docker compose -p`. Containers are found by the label `com.docker.compose.project`.
    pub project: String,
    /// Absolute path of the project directory.
    pub directory: String,
    /// Compose files, relative to the directory, merged in this order.
    #[serde(default = "default_files")]
    pub files: Vec<String>,
    /// Profiles to enable.
    #[serde(default)]
    pub profiles: Vec<String>,
    /// Environment files for interpolation, relative to the directory. When empty, Compose reads `.env` if there is one.
    #[serde(default)]
    pub env_files: Vec<String>,
}

fn default_files() -> Vec<String> {
    vec!["compose.yaml".to_owned()]
}

/// Whether the stack's services are to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DesiredState {
    /// Every listed service runs and is healthy.
    #[default]
    Running,
    /// No listed service runs.
    Stopped,
}

/// One service to keep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceSpec {
    /// The service's key in the compose file.
    pub name: String,
    /// Whether the stack counts as unavailable without it.
    #[serde(default = "yes")]
    pub critical: bool,
    /// False: observed, reported, never touched.
    #[serde(default = "yes")]
    pub managed: bool,
    /// Services that must be well before this one is mended. Those of the compose file's `depends_on` are added.
    #[serde(default)]
    pub depends_on: Vec<String>,
    /// Questions to ask of the running service.
    #[serde(default)]
    pub probes: Vec<Probe>,
    /// How to mend it; `spec.defaults.recovery` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<Recovery>,
}

fn yes() -> bool {
    true
}

/// What holds for every service that does not say otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Defaults {
    /// How a service is mended.
    #[serde(default)]
    pub recovery: Recovery,
    /// The most services of the stack that may be under a changing action at once.
    #[serde(default = "one")]
    pub max_concurrent: u32,
}

impl Default for Defaults {
    fn default() -> Self {
        Self { recovery: Recovery::default(), max_concurrent: one() }
    }
}

/// The largest `maxConcurrent`. The actions of one decision are created in one transaction, of which etcd takes 128 operations
/// (`--max-txn-ops`), and each action is two.
pub const MAX_CONCURRENT: u32 = 32;

fn one() -> u32 {
    1
}

fn ten_seconds() -> Duration {
    std::time::Duration::from_secs(10).into()
}

/// What is observed of a stack, and what is planned for it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WicapStackStatus {
    /// Generation of the spec that was last observed against. Written by the observer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When the observer last looked and wrote. It writes on change and every 30s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<Time>,
    /// Services that are as desired of those that are kept, as `3/4`. Written by the observer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<String>,
    /// One entry for each service of the spec, in its order. Written by the observer.
    #[serde(default)]
    pub services: Vec<ServiceStatus>,
    /// Containers of the project whose service the compose files do not have, by name. Written by the observer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orphans: Vec<String>,
    /// Observed and Available by the observer, Escalated by the planner.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// What is not as it should be. Written by the planner.
    #[serde(default)]
    pub drift: Vec<Drift>,
    /// Ladder state of each service that has one. Written by the planner, before anything is done.
    #[serde(default)]
    pub recovery: Vec<RecoveryState>,
    /// When the planner last decided otherwise than before: the time that its half of this status was decided at. Written by the
    /// planner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Time>,
    /// The action that was asked for last, or that would be if nothing blocked it. Written by the planner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_action: Option<String>,
    /// Why the planned action is not taken. Written by the planner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked_by: Option<BlockedBy>,
}

/// Slowest rate at which an unchanged status is written again. An observation older than three of these counts as Unknown.
pub const HEARTBEAT: std::time::Duration = std::time::Duration::from_secs(30);

/// What is observed of one service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceStatus {
    /// The service's key in the compose file.
    pub name: String,
    /// The one word.
    pub state: ServiceState,
    /// Since when the service has been in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Docker's health word, when the container has a health check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// The container's full id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_id: Option<String>,
    /// The container's name, for people; containers are found by labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The engine's RestartCount: restarts by its own policy.
    #[serde(default)]
    pub restarts: i64,
    /// When the container last started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it last ended, if it does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// Its exit code, if it does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
    /// Whether the kernel killed it for want of memory.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub oom_killed: bool,
    /// The image it was created from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Whether its configuration differs from what the compose file now gives; absent when that could not be found out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_drift: Option<bool>,
    /// Whether its image's name by now means another image than the one it runs; absent when that could not be found out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_drift: Option<bool>,
    /// Networks that the compose file gives it and its container is not connected to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_networks: Vec<String>,
    /// When its process was seen to have started, whoever started it: the last of these within an hour, oldest first, at
    /// most 32. A child's death that is hidden by exit code 0 shows here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub starts: Vec<Time>,
    /// Its containers, where the compose file wants another number than one or there is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<Replicas>,
    /// Services it depends on, from the spec and the compose file.
    #[serde(default)]
    pub depends_on: Vec<String>,
    /// One entry for each probe of the spec.
    #[serde(default)]
    pub probes: Vec<ProbeStatus>,
    /// What explains the state, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// How long a start is remembered.
pub const STARTS_WINDOW: std::time::Duration = std::time::Duration::from_secs(3600);

/// How many starts are remembered.
pub const STARTS_KEPT: usize = 32;

/// The containers of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Replicas {
    /// How many the compose file wants.
    pub desired: u32,
    /// How many run and are well.
    pub ready: u32,
}

/// What a service is, in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ServiceState {
    /// It runs, and its health check and probes, where it has any, pass.
    Running,
    /// It runs, and its health check or a probe has not passed yet.
    Starting,
    /// The engine is restarting it by its own policy.
    Restarting,
    /// Its container exists and does not run (exited or created).
    Exited,
    /// Its processes are frozen by the engine.
    Paused,
    /// The engine could not remove it.
    Dead,
    /// It has no container.
    Missing,
    /// It runs, and its health check or a probe fails.
    Unhealthy,
    /// It could not be asked. Nothing is done about it.
    #[default]
    Unknown,
}

/// Docker's health word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Health {
    /// Not decided yet.
    Starting,
    /// The check passes.
    Healthy,
    /// The check fails.
    Unhealthy,
}

/// What a probe says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProbeStatus {
    /// Its name in the spec.
    pub name: String,
    /// Its verdict.
    pub state: ProbeState,
    /// When the verdict last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// What was seen at that time; before there is a verdict, why the question could not be put.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The numbers that it captured last, by the names in the spec, as of the last time the status was written.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub samples: BTreeMap<String, f64>,
}

impl ProbeStatus {
    /// Of a probe that was not asked.
    #[must_use]
    pub fn unasked(name: &str) -> Self {
        Self { name: name.to_owned(), state: ProbeState::Unknown, since: None, message: None, samples: BTreeMap::new() }
    }
}

/// A probe's verdict after its thresholds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ProbeState {
    /// Not asked yet, or the container does not run.
    #[default]
    Unknown,
    /// Passing.
    Passing,
    /// Failing.
    Failing,
}

impl ServiceSpec {
    /// A critical, managed service without probes.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            critical: true,
            managed: true,
            depends_on: Vec::new(),
            probes: Vec::new(),
            recovery: None,
        }
    }
}

impl WicapStackSpec {
    /// The service of that name, if the spec lists it.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&ServiceSpec> {
        self.services.iter().find(|s| s.name == name)
    }

    /// The job of that name, if the spec lists it.
    #[must_use]
    pub fn job(&self, name: &str) -> Option<&Job> {
        self.jobs.iter().find(|j| j.name == name)
    }

    /// How that service is mended: its own recovery or the stack's.
    #[must_use]
    pub fn recovery<'a>(&'a self, service: &'a ServiceSpec) -> &'a Recovery {
        service.recovery.as_ref().unwrap_or(&self.defaults.recovery)
    }
}

impl WicapStackStatus {
    /// The observation of that service, if there is one.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&ServiceStatus> {
        self.services.iter().find(|s| s.name == name)
    }
}
