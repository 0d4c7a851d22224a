//! Recovery: how a service is mended.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{STARTS_WINDOW, one, ten_seconds};
use crate::api::Duration;
use crate::api::action::ActionKind;

/// How a service is mended: what is tried, in which order, how often and how fast.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Recovery {
    /// Time a drift must last before the first action, so that the engine's own restart policy gets its chance.
    #[serde(default = "default_hold_off")]
    pub hold_off: Duration,
    /// Steps from the smallest action to the largest. A step that cannot help in the service's state (a restart of a
    /// container that is missing) is passed over. After the last one a person is called.
    #[serde(default = "default_ladder")]
    pub ladder: Vec<LadderStep>,
    /// Steps that are tried once in an episode when the ladder has not helped, before a person is called. They may also take things
    /// down: `compose_down`, `stop_service`. They wait neither for the hold-off nor for dependencies, and nothing else is done in
    /// the stack meanwhile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rollback: Vec<LadderStep>,
    /// Time to wait between actions.
    #[serde(default)]
    pub backoff: Backoff,
    /// Time a service must be well before its ladder starts from the first step again.
    #[serde(default = "default_reset_after")]
    pub reset_after: Duration,
    /// What to do when a container runs with another configuration than the compose file now gives.
    #[serde(default)]
    pub on_config_drift: OnConfigDrift,
    /// What to do when the image's name means another image by now than the one that a container runs.
    #[serde(default)]
    pub on_image_drift: OnConfigDrift,
    /// When a service starts so often that a person is called instead of anything else.
    #[serde(default)]
    pub flapping: Flapping,
}

impl Default for Recovery {
    fn default() -> Self {
        Self {
            hold_off: default_hold_off(),
            ladder: default_ladder(),
            rollback: Vec::new(),
            backoff: Backoff::default(),
            reset_after: default_reset_after(),
            on_config_drift: OnConfigDrift::default(),
            on_image_drift: OnConfigDrift::default(),
            flapping: Flapping::default(),
        }
    }
}

fn default_hold_off() -> Duration {
    std::time::Duration::from_secs(5).into()
}
fn default_reset_after() -> Duration {
    std::time::Duration::from_secs(600).into()
}

/// The ladder when none is declared: start what is stopped, restart what runs badly, let Compose create what is missing,
/// create it anew as the last resort.
fn default_ladder() -> Vec<LadderStep> {
    vec![
        LadderStep::new(ActionKind::StartService, 2),
        LadderStep::new(ActionKind::RestartService, 2),
        LadderStep::new(ActionKind::ComposeUp, 2),
        LadderStep::new(ActionKind::RecreateService, 1),
    ]
}

/// One rung. It is waited for until it is due, and not passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LadderStep {
    /// The action to take on the service.
    pub action: ActionKind,
    /// How often, before the next step is taken.
    #[serde(default = "one")]
    pub attempts: u32,
    /// How long the drift must have lasted before this step is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Duration>,
    /// How many observations in a row must have found the service in drift before this step is taken. While a step counts them, each
    /// look at a service in drift is an observation.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub after_observations: u32,
    /// How long the action may take, and then its verification; the action's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Of `compose_up`: the services to bring up together, instead of the one in drift.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
}

impl LadderStep {
    /// A step that is due at once.
    #[must_use]
    pub fn new(action: ActionKind, attempts: u32) -> Self {
        Self { action, attempts, after: None, after_observations: 0, timeout: None, services: Vec::new() }
    }
}

// serde gives a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
pub(super) fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// Exponential backoff between actions on one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Backoff {
    /// Wait after the first action; doubled after each further one.
    #[serde(default = "ten_seconds")]
    pub initial: Duration,
    /// The longest wait.
    #[serde(default = "five_minutes")]
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { initial: ten_seconds(), max: five_minutes() }
    }
}

fn five_minutes() -> Duration {
    std::time::Duration::from_secs(300).into()
}

/// When a service counts as flapping: by its starts, whoever started it, in this episode or earlier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Flapping {
    /// So many starts, at most 32.
    #[serde(default = "ten")]
    pub starts: u32,
    /// Within this time, at most 1h.
    #[serde(default = "one_hour")]
    pub within: Duration,
}

impl Default for Flapping {
    fn default() -> Self {
        Self { starts: ten(), within: one_hour() }
    }
}

/// More than the default ladder starts a service in one episode.
fn ten() -> u32 {
    10
}

fn one_hour() -> Duration {
    STARTS_WINDOW.into()
}

/// What to do about the drift of a container that runs as it was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnConfigDrift {
    /// Say so and leave the container alone.
    #[default]
    Report,
    /// Create the service's container anew.
    Recreate,
}
