//! Incident: what a person is called for, once, and what becomes of it.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::{ActionKind, ActionPhase};
use super::stack::{DriftKind, Severity};
use super::validate::Check;
use super::{Object, Time, Violation};

/// A drift that nothing on its ladder has mended. The planner makes it, once in an episode; the operator acknowledges it, and
/// nothing else in it is for people to write.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "wicap.dev",
    version = "v1alpha1",
    kind = "Incident",
    plural = "incidents",
    shortname = "inc",
    category = "wicap",
    status = "IncidentStatus",
    derive = "PartialEq",
    printcolumn(name = "Stack", type_ = "string", json_path = ".spec.stack"),
    printcolumn(name = "Service", type_ = "string", json_path = ".spec.service"),
    printcolumn(name = "Kind", type_ = "string", json_path = ".spec.kind"),
    printcolumn(name = "Severity", type_ = "string", json_path = ".spec.severity"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Signature", type_ = "string", json_path = ".spec.signature", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct IncidentSpec {
    /// Name of the WicapStack.
    pub stack: String,
    /// The service.
    pub service: String,
    /// What was wrong with it.
    pub kind: DriftKind,
    /// The episode of the service in which its ladder came to an end.
    pub episode: i64,
    /// What was wrong, in a few words.
    pub signature: String,
    /// How much it matters.
    pub severity: Severity,
    /// True: somebody has seen to it. A new episode begins, with a fresh ladder.
    #[serde(default)]
    pub acknowledged: bool,
    /// Who acknowledged it, as `user@host`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// What becomes of an incident. While the drift lasts it is not written again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IncidentStatus {
    /// Where in its life it is.
    #[serde(default)]
    pub phase: IncidentPhase,
    /// When the drift began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<Time>,
    /// When the drift was last seen to begin or to end; what comes and goes within ten minutes is one occurrence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Time>,
    /// How often the drift has begun.
    #[serde(default)]
    pub count: u32,
    /// What was done about it in its episode, in order.
    #[serde(default)]
    pub actions: Vec<IncidentAction>,
    /// What was seen, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// Why it is in its phase, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it was resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_at: Option<Time>,
}

/// Where an incident is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IncidentPhase {
    /// It was just made.
    #[default]
    Open,
    /// A person is called.
    Escalated,
    /// The service has been well for its stable spell, or an operator has acknowledged it.
    Resolved,
}

/// An action that did not mend it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IncidentAction {
    /// Name of the ActionRun.
    pub name: String,
    /// What it was.
    pub action: ActionKind,
    /// How it ended.
    pub outcome: ActionPhase,
}

impl Object for Incident {
    fn validate(&self) -> Vec<Violation> {
        let spec = &self.spec;
        let mut check = Check::new();
        check.object_name("spec.stack", &spec.stack);
        check.service("spec.service", &spec.service);
        check.text("spec.signature", &spec.signature, 1024);
        if let Some(by) = &spec.by {
            check.text("spec.by", by, 256);
        }
        check.finish()
    }

    fn validate_update(&self, old: &Self) -> Vec<Violation> {
        let mut check = Check::new();
        let allowed = IncidentSpec { acknowledged: self.spec.acknowledged, by: self.spec.by.clone(), ..old.spec.clone() };
        check.that(self.spec == allowed, "spec", "a change", "no change but to acknowledged and by");
        check.that(
            !old.spec.acknowledged || self.spec.acknowledged,
            "spec.acknowledged",
            "false",
            "true: what was acknowledged has had its effect",
        );
        check.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incident() -> Incident {
        let spec = IncidentSpec {
            stack: "wicap".into(),
            service: "ui".into(),
            kind: DriftKind::NotRunning,
            episode: 1,
            signature: "exited with code 1".into(),
            severity: Severity::Critical,
            acknowledged: false,
            by: None,
        };
        Incident::new("a", spec)
    }

    #[test]
    fn an_operator_acknowledges_and_changes_nothing_else() {
        let (old, mut new) = (incident(), incident());
        (new.spec.acknowledged, new.spec.by) = (true, Some("ann@host".into()));
        assert!(new.validate().is_empty() && new.validate_update(&old).is_empty());
        assert_eq!(old.validate_update(&new).len(), 1, "it is not taken back");
        new.spec.severity = Severity::Info;
        assert_eq!(new.validate_update(&old)[0].path, "spec");
        new.spec.by = Some(String::new());
        assert_eq!(new.validate()[0].path, "spec.by");
    }
}
