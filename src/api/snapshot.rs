//! Snapshot: a pack of all that is known of a stack at a time, to be studied and replayed later.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::validate::{Check, is_object_name, quoted};
use super::{Object, Time, Violation};

/// A pack of all that is known of a stack. An operator asks for one by making it; the system makes one for each incident, failed
/// action and failed soak run, of the same name. Nothing that changes the stack waits for it.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "wicap.dev",
    version = "v1alpha1",
    kind = "Snapshot",
    plural = "snapshots",
    shortname = "snap",
    category = "wicap",
    status = "SnapshotStatus",
    derive = "PartialEq",
    printcolumn(name = "Stack", type_ = "string", json_path = ".spec.stack"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".spec.reason"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Bytes", type_ = "integer", json_path = ".status.bytes"),
    printcolumn(name = "File", type_ = "string", json_path = ".status.file", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotSpec {
    /// Name of the WicapStack.
    pub stack: String,
    /// Why it is made.
    #[serde(default)]
    pub reason: SnapshotReason,
    /// The object that it is made for, as `kind/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// Who asked for it, as `user@host`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Why a snapshot is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SnapshotReason {
    /// Somebody asked for it.
    #[default]
    Requested,
    /// An incident was opened.
    Incident,
    /// An action failed.
    FailedAction,
    /// A soak run did not pass.
    FailedSoak,
}

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotStatus {
    /// Where in its life it is.
    #[serde(default)]
    pub phase: SnapshotPhase,
    /// The host that has the pack, or that could not make one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The pack's name in the directory `packs` of that host's data directory. Snapshots that were asked for at the same time share one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// SHA-256 of the pack, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Its size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_at: Option<Time>,
    /// What is missing in it, or why there is none, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Where a snapshot is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SnapshotPhase {
    /// It is asked for.
    #[default]
    Pending,
    /// The pack is there.
    Completed,
    /// There is none, and there will be none.
    Failed,
}

impl SnapshotPhase {
    /// Whether nothing more becomes of it.
    #[must_use]
    pub fn is_final(self) -> bool {
        self != Self::Pending
    }
}

impl Object for Snapshot {
    fn validate(&self) -> Vec<Violation> {
        let mut check = Check::new();
        check.object_name("spec.stack", &self.spec.stack);
        if let Some(object) = &self.spec.object {
            let is_kind = |kind: &str| !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_lowercase());
            let is_object = object.split_once('/').is_some_and(|(kind, name)| is_kind(kind) && is_object_name(name));
            check.that(is_object, "spec.object", quoted(object), "kind/name, such as incident/night-1");
        }
        if let Some(by) = &self.spec.by {
            check.text("spec.by", by, 512);
        }
        check.finish()
    }

    fn validate_update(&self, old: &Self) -> Vec<Violation> {
        let mut check = Check::new();
        check.that(self.spec == old.spec, "spec", "a change", "none: make another snapshot");
        check.finish()
    }
}
