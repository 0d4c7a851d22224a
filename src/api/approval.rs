//! Approval: an operator's yes or no to one ActionRun.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::validate::{Check, quoted};
use super::{Object, Time, Violation};

/// An answer to the ActionRun whose name it bears.
///
/// It binds to exactly what was asked: `digest` is that of the request as the ActionRun's status shows it. When the action, its
/// target, its parameters, the session or the spec of the stack are others by the time of the claim, it is worth nothing.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "wicap.dev",
    version = "v1alpha1",
    kind = "Approval",
    plural = "approvals",
    shortname = "approval",
    category = "wicap",
    status = "ApprovalStatus",
    derive = "PartialEq",
    printcolumn(name = "Verdict", type_ = "string", json_path = ".spec.verdict"),
    printcolumn(name = "By", type_ = "string", json_path = ".spec.by"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".spec.expires"),
    printcolumn(name = "Used", type_ = "boolean", json_path = ".status.used"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalSpec {
    /// Yes or no.
    pub verdict: ApprovalVerdict,
    /// The ActionRun's `status.digest`: what the answer is to.
    pub digest: String,
    /// Who answers, as `user@host`.
    pub by: String,
    /// Why, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Until when the action may be claimed on the strength of it.
    pub expires: Time,
}

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApprovalVerdict {
    /// It may be done.
    Approve,
    /// It may not.
    Deny,
}

/// What was made of an answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalStatus {
    /// Whether the action was claimed on the strength of it. Set by the actuator in the transaction that claims.
    #[serde(default)]
    pub used: bool,
}

impl Object for Approval {
    fn validate(&self) -> Vec<Violation> {
        let mut check = Check::new();
        let digest = &self.spec.digest;
        let hexadecimal = digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        check.that(hexadecimal, "spec.digest", quoted(digest), "64 of 0-9 and a-f: status.digest of the ActionRun");
        check.text("spec.by", &self.spec.by, 256);
        if let Some(reason) = &self.spec.reason {
            check.text("spec.reason", reason, 1024);
        }
        check.finish()
    }

    fn validate_update(&self, old: &Self) -> Vec<Violation> {
        let mut check = Check::new();
        check.that(self.spec == old.spec, "spec", "a change", "no change: an answer was given");
        check.finish()
    }
}
