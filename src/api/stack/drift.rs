//! What is not as it should be, and where each service stands on its ladder.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::recovery::is_zero;
use crate::api::{Severity, Time};

/// One way in which a service is not as it should be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Drift {
    /// The service; empty for the stack as a whole.
    pub service: String,
    /// What is wrong.
    pub kind: DriftKind,
    /// How much it matters: Info, Warning or Critical.
    #[serde(default)]
    pub severity: Severity,
    /// Since when.
    pub since: Time,
    /// What was seen, for people.
    pub evidence: String,
}

/// What is wrong with a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum DriftKind {
    /// It should run and its container does not (exited, created, dead).
    NotRunning,
    /// It should run and has no container.
    Missing,
    /// It runs, and its health check or a probe fails.
    Unhealthy,
    /// It is paused.
    Paused,
    /// The engine restarts it over and over.
    Restarting,
    /// It should be stopped and runs.
    ShouldBeStopped,
    /// Its configuration is not what the compose file now gives.
    ConfigDrift,
    /// Its image's name means another image by now.
    ImageDrift,
    /// It runs, and is not connected to a network that the compose file gives it.
    Detached,
    /// It starts over and over, whoever starts it. A person is called at once, and nothing else is done.
    Flapping,
    /// Of the stack as a whole: there are containers of the project whose service the compose files do not have.
    Orphans,
}

/// Where a service stands on its ladder. Stored before the action it led to, so that no restart of a controller forgets it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecoveryState {
    /// The service.
    pub service: String,
    /// Number of this episode: one more after each stable spell, for another kind of drift after a person was called, and when an
    /// operator acknowledges. Part of the action's name.
    #[serde(default)]
    pub episode: i64,
    /// Index of the ladder step that was taken last.
    #[serde(default)]
    pub step: u32,
    /// Attempts made at that step.
    #[serde(default)]
    pub attempts: u32,
    /// Actions taken in this episode.
    #[serde(default)]
    pub total: u32,
    /// How often it was created anew in this episode because its configuration or its image had changed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub recreated: u32,
    /// Observations in a row that found the service in drift. Counted where its ladder counts them, until a person is called.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub observations: u32,
    /// When the last of them was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted_at: Option<Time>,
    /// Whether the steps are those of the rollback by now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rollback: bool,
    /// Kinds of drift that this episode has acted on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<DriftKind>,
    /// Kinds of drift for which a person was called since the service was last well for its stable spell. Nothing more is done about
    /// them; another kind begins another episode.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exhausted: Vec<DriftKind>,
    /// Whether a service that it depends on had become well for good after this one was given up, so that its ladder was begun anew: once
    /// until this one has been well for its own stable spell.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retried: bool,
    /// When an operator last acknowledged an incident of the service. Earlier starts do not count as flapping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged_at: Option<Time>,
    /// Nothing is done for the service before this time, unless a service it depends on has become well meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff_until: Option<Time>,
    /// Since when the service has been well again; the ladder is reset when that is long enough ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable_since: Option<Time>,
    /// Name of the last ActionRun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_action: Option<String>,
    /// When it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acted_at: Option<Time>,
    /// Since when a person has been called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalated_at: Option<Time>,
}

/// Why a planned action is not taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlockedBy {
    /// The gate that denied it.
    pub gate: String,
    /// In words, with the object and field that decided.
    pub message: String,
}
