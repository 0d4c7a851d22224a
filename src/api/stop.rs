//! EmergencyStop: while one exists, no action starts.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::validate::Check;
use super::{Object, Time, Violation};

/// The name of the stop that holds for every stack.
pub const ALL: &str = "all";

/// A kill switch. Named `all` it holds for every stack, otherwise for the stack that bears its name. Deleting it resumes.
///
/// The claim of every action compares that neither object exists, in the same transaction, so that no action starts after a
/// stop is committed.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "wicap.dev",
    version = "v1alpha1",
    kind = "EmergencyStop",
    plural = "emergencystops",
    shortname = "stop",
    shortname = "stops",
    category = "wicap",
    status = "EmergencyStopStatus",
    derive = "PartialEq",
    printcolumn(name = "Reason", type_ = "string", json_path = ".spec.reason"),
    printcolumn(name = "By", type_ = "string", json_path = ".spec.by"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct EmergencyStopSpec {
    /// Why everything must stop, in the operator's words.
    pub reason: String,
    /// Who stopped it, as `user@host`.
    pub by: String,
}

/// What the system knows of a stop.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EmergencyStopStatus {
    /// Since when it has been in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
}

impl Object for EmergencyStop {
    fn validate(&self) -> Vec<Violation> {
        let mut check = Check::new();
        check.text("spec.reason", &self.spec.reason, 1024);
        check.text("spec.by", &self.spec.by, 256);
        check.finish()
    }
}
