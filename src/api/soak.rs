//! SoakRun: a long supervised run with a verdict that follows from what was recorded.
//!
//! # Layout
//! - `phases`: what a run does before and after it soaks
//! - `check`: what is asked of the stack meanwhile; [`script`]: by a browser; jobs of the stack too
//! - `criteria`: what must have been shown in the end
//! - [`formula`]: the numbers that criteria are about
//! - `status`: what it has come to

mod check;
mod criteria;
pub mod formula;
mod phases;
pub mod script;
mod status;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::ActionRun;
use super::validate::{Check, quoted};
use super::{Duration, Object, Violation};

pub use check::SoakCheck;
use check::validate_checks;
pub use criteria::{Criteria, Criterion, Leaks};
pub use phases::{PhaseSpec, Phases, SoakStep};
pub use status::{
    CheckFailure, CheckRecord, EvidenceStatus, KEPT_FAILURES, RestartRecord, SoakPhase, SoakRunStatus, Verdict,
};

/// A stack is brought up, runs for a time under checks on a schedule, and gets a verdict.
///
/// Everything needed to go on is in the status and in the recorded evidence that it names, so that any controller may be killed at
/// any moment and the run continues with the clock it had.
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
// Each is a wish of its own that an operator can have.
#[allow(clippy::struct_excessive_bools)]
pub struct SoakRunSpec {
    /// Name of the WicapStack.
    pub stack: String,
    /// How long the stack is soaked once it is up.
    pub duration: Duration,
    /// Name of the ControlSession in which the run's own steps are asked for. Needed where a phase has steps,
    /// or a check is a job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// What the run does before and after it soaks.
    #[serde(default)]
    pub phases: Phases,
    /// How long the stack may take to serve, where `phases.warmup` has no deadline. When it does not, the verdict is Failed.
    #[serde(default = "two_minutes")]
    pub startup_timeout: Duration,
    /// What is asked of the stack, each check on its own schedule. At least one.
    pub checks: Vec<SoakCheck>,
    /// What is measured.
    #[serde(default)]
    pub samples: Samples,
    /// What the run must have shown.
    #[serde(default)]
    pub criteria: Criteria,
    /// What becomes of a drift while soaking.
    #[serde(default)]
    pub during_soak: DuringSoak,
    /// Name of an earlier run that passed and was promoted (`wicapctl soak promote`); expressions compare with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
    /// True: others may take this run for their baseline. Set by `wicapctl soak promote`, of a run that has passed.
    #[serde(default)]
    pub promoted: bool,
    /// True: a run that has not begun waits.
    #[serde(default)]
    pub suspend: bool,
    /// True ends the soak early: every check is made once more, and the verdict is given on what is there.
    #[serde(default)]
    pub finish: bool,
    /// True ends the run early with the verdict Aborted.
    #[serde(default)]
    pub abort: bool,
}

fn two_minutes() -> Duration {
    std::time::Duration::from_secs(120).into()
}

/// What becomes of a drift while soaking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DuringSoak {
    /// It is mended as ever, by the stack's ladders under a session; what was done counts against the criteria.
    #[default]
    Recover,
    /// It is left as it is, so that it can be looked at.
    Observe,
    /// It is left as it is, and the run ends with the verdict Failed.
    Abort,
}

/// What is measured of each container, beside the numbers that the stack's probes capture: its memory (`ui/memory`, bytes without what
/// the kernel can drop), processor (`ui/cpu`, cores), network (`ui/network.received` and `.sent`, bytes a second) and disk
/// (`ui/disk.read` and `.written`, bytes a second). A captured number is `ui/` and its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Samples {
    /// Time from one sample to the next, 1 s to 1 h.
    #[serde(default = "fifteen_seconds")]
    pub interval: Duration,
}

fn fifteen_seconds() -> Duration {
    std::time::Duration::from_secs(15).into()
}

impl Default for Samples {
    fn default() -> Self {
        Self { interval: fifteen_seconds() }
    }
}

impl SoakRun {
    /// Whether an action was asked for by this very run: a step, or a check that is a job.
    #[must_use]
    pub fn owns(&self, action: &ActionRun) -> bool {
        let owners = action.metadata.owner_references.iter().flatten();
        self.metadata.uid.as_ref().is_some_and(|uid| owners.into_iter().any(|owner| owner.uid == *uid))
    }
}

impl Object for SoakRun {
    fn validate(&self) -> Vec<Violation> {
        let spec = &self.spec;
        let mut check = Check::new();
        check.object_name("spec.stack", &spec.stack);
        check.positive("spec.duration", spec.duration);
        check.that(
            spec.duration.to_std() <= LONGEST,
            "spec.duration",
            format!("\"{}\"", spec.duration),
            "a duration of at most 30 days",
        );
        if let Some(session) = &spec.session {
            check.object_name("spec.session", session);
        }
        spec.phases.validate(&mut check, spec.session.is_some());
        check.positive("spec.startupTimeout", spec.startup_timeout);
        validate_checks(&mut check, &spec.checks, spec.session.is_some());
        let interval = spec.samples.interval.to_std();
        check.that(
            (std::time::Duration::from_secs(1)..=std::time::Duration::from_secs(3600)).contains(&interval),
            "spec.samples.interval",
            format!("\"{}\"", spec.samples.interval),
            "a duration from \"1s\" to \"1h\"",
        );
        spec.criteria.validate(&mut check, spec.baseline.is_some());
        if let Some(baseline) = &spec.baseline {
            check.object_name("spec.baseline", baseline);
            check.that(
                *baseline != self.name(),
                "spec.baseline",
                quoted(baseline),
                "another run: none is compared with itself",
            );
        }
        check.finish()
    }

    fn validate_update(&self, old: &Self) -> Vec<Violation> {
        let mut check = Check::new();
        let now = &self.spec;
        let allowed = SoakRunSpec {
            abort: now.abort,
            finish: now.finish,
            suspend: now.suspend,
            promoted: now.promoted,
            ..old.spec.clone()
        };
        check.that(
            *now == allowed,
            "spec",
            "a change",
            "no change but to abort, finish, suspend and promoted: a run's plan is immutable",
        );
        check.that(!old.spec.abort || now.abort, "spec.abort", "false", "true: an aborted run does not come back");
        check.that(!old.spec.finish || now.finish, "spec.finish", "false", "true: a finished run does not go on");
        let passed = old.status.as_ref().is_some_and(|s| s.verdict == Some(Verdict::Passed));
        check.that(
            !now.promoted || old.spec.promoted || passed,
            "spec.promoted",
            "true",
            "false: only a run that has passed can be a baseline",
        );
        check.finish()
    }
}

/// The longest soak: what is drawn and judged stays in memory for it.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(30 * 24 * 3600);
