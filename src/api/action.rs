//! ActionRun: one execution of one allowlisted action: request, decision, result.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::stack::{DriftKind, ServiceState};
use super::validate::Check;
use super::{Duration, Object, Time, Violation};

/// One execution. The spec says what is asked and why, and never changes; the status records the decision, each step and the
/// result, each before the next begins.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "wicap.dev",
    version = "v1alpha1",
    kind = "ActionRun",
    plural = "actionruns",
    shortname = "action",
    shortname = "actions",
    shortname = "ar",
    category = "wicap",
    status = "ActionRunStatus",
    derive = "PartialEq",
    printcolumn(name = "Stack", type_ = "string", json_path = ".spec.stack"),
    printcolumn(name = "Action", type_ = "string", json_path = ".spec.action"),
    printcolumn(name = "Target", type_ = "string", json_path = ".spec.target"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Cause", type_ = "string", json_path = ".spec.cause.summary"),
    printcolumn(name = "Session", type_ = "string", json_path = ".spec.session", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct ActionRunSpec {
    /// Name of the WicapStack.
    pub stack: String,
    /// What to do.
    pub action: ActionKind,
    /// The service to do it to, or the job to run. Empty: every service the stack's spec lists (`compose_up`, `compose_down`,
    /// `status_check`).
    #[serde(default)]
    pub target: String,
    /// What else the action is told.
    #[serde(default, skip_serializing_if = "Params::is_empty")]
    pub params: Params,
    /// The session in whose name it is asked.
    pub session: String,
    /// What led to it.
    pub cause: Cause,
    /// How long the execution may take, and then the verification; the action's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// True: authorise and say what would be done, and do nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// What an action is told beside its target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Params {
    /// Of `compose_up`: the services to bring up together, instead of the target, which is the one that is to be mended by it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
}

impl Params {
    /// Whether nothing is told.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
    }
}

/// The longest time that an action may be given.
pub const MAX_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30 * 60);

/// What led to an action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cause {
    /// Who asked.
    pub kind: CauseKind,
    /// In one line, for people.
    pub summary: String,
    /// The drift it is to mend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftKind>,
    /// Since when that drift has lasted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// The object that asked, as `kind/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// Number of the episode and of the action in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<String>,
}

/// Who asked for an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CauseKind {
    /// The planner, about a drift.
    Drift,
    /// A soak run.
    Soak,
    /// A person.
    Operator,
}

/// The allowlist. There is no other way to change anything, and no free text in any of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    /// Asks the engine about the target. Changes nothing.
    StatusCheck,
    /// `POST /containers/{id}/start`.
    StartService,
    /// `POST /containers/{id}/restart`.
    RestartService,
    /// `POST /containers/{id}/stop`.
    StopService,
    /// `docker compose up --detach --no-deps`, which creates what is missing and starts what is stopped.
    ComposeUp,
    /// `docker compose up --detach --no-deps --force-recreate`.
    RecreateService,
    /// Runs a job of the stack's spec to its end: `POST /containers/create` and `start`. The services stay as they are.
    RunJob,
    /// `docker compose down`, which keeps volumes.
    ComposeDown,
    /// `docker compose down --volumes`: the data of the services goes with them.
    ComposeDownVolumes,
}

impl ActionKind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::StatusCheck,
        Self::StartService,
        Self::RestartService,
        Self::StopService,
        Self::ComposeUp,
        Self::RecreateService,
        Self::RunJob,
        Self::ComposeDown,
        Self::ComposeDownVolumes,
    ];

    /// Its name, as it is written in manifests.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StatusCheck => "status_check",
            Self::StartService => "start_service",
            Self::RestartService => "restart_service",
            Self::StopService => "stop_service",
            Self::ComposeUp => "compose_up",
            Self::RecreateService => "recreate_service",
            Self::RunJob => "run_job",
            Self::ComposeDown => "compose_down",
            Self::ComposeDownVolumes => "compose_down_volumes",
        }
    }

    /// How much harm it could do.
    #[must_use]
    pub fn tier(self) -> Tier {
        match self {
            Self::StatusCheck => Tier::Safe,
            Self::ComposeDownVolumes => Tier::Destructive,
            _ => Tier::Caution,
        }
    }

    /// It and its target, for people: `restart_service on ui`.
    #[must_use]
    pub fn on(self, target: &str) -> String {
        if target.is_empty() { format!("{self} on the whole stack") } else { format!("{self} on {target}") }
    }

    /// Whether it changes anything on the host.
    #[must_use]
    pub fn changes(self) -> bool {
        self != Self::StatusCheck
    }

    /// Whether it changes a service: then nothing else is done to that service meanwhile, and it has its share of what may be done to
    /// the stack at once.
    #[must_use]
    pub fn changes_services(self) -> bool {
        self.changes() && !self.targets_job()
    }

    /// Whether it can stand on a recovery ladder: it brings a service up or only looks.
    #[must_use]
    pub fn can_mend(self) -> bool {
        !matches!(self, Self::StopService) && !self.takes_down() && !self.targets_job()
    }

    /// Whether it can be a step of a rollback: it may also take down what can be brought up again as it was.
    #[must_use]
    pub fn can_roll_back(self) -> bool {
        self != Self::ComposeDownVolumes && !self.targets_job()
    }

    /// Whether it takes the whole project away.
    #[must_use]
    pub fn takes_down(self) -> bool {
        matches!(self, Self::ComposeDown | Self::ComposeDownVolumes)
    }

    /// Whether it can be told to act on several named services together.
    #[must_use]
    pub fn can_name_services(self) -> bool {
        self == Self::ComposeUp
    }

    /// Whether the empty target, meaning every listed service, makes sense for it.
    #[must_use]
    pub fn can_target_stack(self) -> bool {
        matches!(self, Self::StatusCheck | Self::ComposeUp) || self.takes_down()
    }

    /// Whether a single service, or a single job, makes sense as its target.
    #[must_use]
    pub fn can_target_service(self) -> bool {
        !self.takes_down()
    }

    /// Whether its target is a job of the stack's spec, and no service.
    #[must_use]
    pub fn targets_job(self) -> bool {
        self == Self::RunJob
    }
}

impl fmt::Display for ActionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How much harm an action could do, in rising order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Tier {
    /// Looks only.
    Safe,
    /// Changes what can be changed back.
    #[default]
    Caution,
    /// May destroy data.
    Destructive,
}

/// What became of an action.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActionRunStatus {
    /// Where in its life it is.
    #[serde(default)]
    pub phase: ActionPhase,
    /// Every gate's verdict, at the moment of the claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// Digest of what is asked, while a person has to agree to it: an Approval binds to this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Until when an Approval is waited for. None by then is a no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_deadline: Option<Time>,
    /// Who carries it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// How long its execution may take, and then its verification: what was asked for, within what every policy gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_limit: Option<Duration>,
    /// The target as it was when the action was claimed: what its effect is told by.
    #[serde(default)]
    pub before: Vec<ContainerFact>,
    /// What was done, step by step. A step stands here before it begins.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// What was seen afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// When it was claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it came to a final phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// The result in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Complete.
    #[serde(default)]
    pub conditions: Vec<Condition>,
}

/// Where an action is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ActionPhase {
    /// Asked for.
    #[default]
    Pending,
    /// A person has to agree first: `wicapctl approve` or `deny`.
    AwaitingApproval,
    /// Claimed by an actuator.
    Running,
    /// Done, and the postcondition holds.
    Succeeded,
    /// Tried, and the postcondition does not hold, or the precondition did not.
    Failed,
    /// Refused by a gate. Nothing was done.
    Denied,
    /// A dry run, or one in a Shadow session: allowed, and nothing was done.
    Shadowed,
    /// Stopped on the way; the steps say what was done.
    Interrupted,
}

impl ActionPhase {
    /// Whether the action can no longer change.
    #[must_use]
    pub fn is_final(self) -> bool {
        !self.is_asked() && self != Self::Running
    }

    /// Whether it is asked for and nobody has taken it up.
    #[must_use]
    pub fn is_asked(self) -> bool {
        matches!(self, Self::Pending | Self::AwaitingApproval)
    }
}

/// What authorisation said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// Whether every gate let it pass.
    pub allowed: bool,
    /// The first gate that did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denied_by: Option<String>,
    /// Whether it is only to be said what would be done: the session's mode is Shadow, or the request is a dry run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shadow: bool,
    /// Every gate, in the order they are asked.
    #[serde(default)]
    pub trace: Vec<GateVerdict>,
}

/// One gate's verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GateVerdict {
    /// The gate.
    pub gate: String,
    /// Whether it let the action pass.
    pub allowed: bool,
    /// What decided, and how, in a sentence.
    pub reason: String,
    /// The object that decided, as `kind/name`. Absent when it was the absence of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// The field of it that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What would have to change for the gate to open. Only of a gate that is shut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// Who carries an action out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// Identity of the actuator process.
    pub holder: String,
    /// Create revision of its leader key: the fencing token.
    pub token: i64,
}

/// A container as it was at a moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerFact {
    /// The compose service.
    pub service: String,
    /// Its state.
    pub state: ServiceState,
    /// The container's full id; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_id: Option<String>,
    /// When it last started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// Of a service that is to have several containers, or none: how many it has, and how many it is to have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<ReplicaFact>,
}

/// How many containers a service has, as the engine lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaFact {
    /// How many there are, in whatever state.
    pub found: u32,
    /// How many its configuration asks for.
    pub desired: u32,
}

/// One step of an execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Which step.
    pub kind: StepKind,
    /// The engine's API call, or the argument vector of the process.
    pub command: Vec<String>,
    /// When it began.
    pub started_at: Time,
    /// When it ended; absent while it runs, and for ever when its process was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// The process's exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The last of what it printed, redacted, or the engine's error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

/// The steps of an execution, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StepKind {
    /// The one call that changes something.
    Execute,
    /// Waiting for the postcondition.
    Verify,
}

/// What was seen afterwards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// Whether the postcondition holds.
    pub holds: bool,
    /// What was seen.
    pub message: String,
    /// The target as it was then.
    #[serde(default)]
    pub after: Vec<ContainerFact>,
    /// What a job has shown. Absent where it could not be run, or what came of it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobResult>,
}

/// What a job has shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobResult {
    /// Exit code of its process; absent when it did not end in its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
    /// Tests that passed.
    #[serde(default)]
    pub passed: u64,
    /// Tests that failed.
    #[serde(default)]
    pub failed: u64,
    /// Tests that broke down.
    #[serde(default)]
    pub errors: u64,
    /// Tests that were skipped. They have not passed.
    #[serde(default)]
    pub skipped: u64,
    /// The first of those that failed or broke down, each with its message, redacted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
}

impl Object for ActionRun {
    fn validate(&self) -> Vec<Violation> {
        let spec = &self.spec;
        let mut check = Check::new();
        check.object_name("spec.stack", &spec.stack);
        check.object_name("spec.session", &spec.session);
        check.target("spec.target", spec.action, &spec.target);
        check.services("spec.params.services", spec.action, &spec.params.services);
        check.text("spec.cause.summary", &spec.cause.summary, 4096);
        if let Some(timeout) = spec.timeout {
            check.action_timeout("spec.timeout", timeout);
        }
        check.finish()
    }

    /// While its call is under way: whoever looks for a free hand looks here. A job is ended by the removal of its action.
    fn is_under_way(&self) -> bool {
        let status = self.status.as_ref().filter(|s| s.phase == ActionPhase::Running && !self.spec.action.targets_job());
        let last = status.and_then(|s| s.steps.last());
        last.is_some_and(|step| step.kind == StepKind::Execute && step.finished_at.is_none())
    }

    fn validate_update(&self, old: &Self) -> Vec<Violation> {
        let mut check = Check::new();
        check.that(self.spec == old.spec, "spec", "a change", "no change: an ActionRun's spec is immutable");
        check.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_written_as_its_name() {
        for kind in ActionKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }

    #[test]
    fn only_an_up_can_name_services_and_each_of_them_once() {
        let violations = |action: &str, services: &[&str]| {
            let run: ActionRun = serde_json::from_value(serde_json::json!({
                "apiVersion": "wicap.dev/v1alpha1", "kind": "ActionRun", "metadata": {"name": "a"},
                "spec": {
                    "stack": "s", "action": action, "target": "ui", "session": "n", "params": {"services": services},
                    "cause": {"kind": "Operator", "summary": "test"},
                },
            }))
            .unwrap();
            run.validate().into_iter().map(|v| v.path).collect::<Vec<_>>()
        };
        assert!(violations("compose_up", &["redis", "ui"]).is_empty());
        assert!(violations("restart_service", &[]).is_empty());
        assert_eq!(violations("restart_service", &["redis"]), ["spec.params.services"]);
        assert_eq!(
            violations("compose_up", &["redis", "--volumes", "redis"]),
            ["spec.params.services[1]", "spec.params.services[2]"]
        );
    }

    #[test]
    fn an_action_is_under_way_while_its_call_is() {
        let run = |action: &str, phase: &str, finished: bool, kind: &str| -> bool {
            let mut step = serde_json::json!({"kind": kind, "command": [], "startedAt": "2026-01-01T00:00:00Z"});
            if finished {
                step["finishedAt"] = "2026-01-01T00:00:01Z".into();
            }
            let run: ActionRun = serde_json::from_value(serde_json::json!({
                "apiVersion": "wicap.dev/v1alpha1", "kind": "ActionRun", "metadata": {"name": "a"},
                "spec": {
                    "stack": "s", "action": action, "target": "ui", "session": "n", "cause": {"kind": "Operator", "summary": "test"},
                },
                "status": {"phase": phase, "steps": [step]},
            }))
            .unwrap();
            run.is_under_way()
        };
        assert!(run("restart_service", "Running", false, "Execute"));
        assert!(!run("restart_service", "Running", true, "Execute"));
        assert!(!run("restart_service", "Running", false, "Verify"));
        assert!(!run("restart_service", "Failed", false, "Execute"));
        assert!(!run("run_job", "Running", false, "Execute"), "its removal is what ends it");
    }
}
