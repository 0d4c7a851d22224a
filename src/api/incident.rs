//! Incident: what a person is called for, once, and what becomes of it.

use std::borrow::Cow;

use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::action::{ActionKind, ActionPhase};
use super::stack::DriftKind;
use super::validate::Check;
use super::{Object, Severity, Time, Violation};

/// What a person should know of, once in an episode. The planner makes one of a drift that nothing on its ladder has mended, the
/// signals controller of what a log says, and the soak controller of a check that fails; the operator acknowledges it, and nothing else in
/// it is for people to write.
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
    /// The service; of a check, the check's name.
    pub service: String,
    /// What was wrong with it.
    pub kind: IncidentKind,
    /// Of a drift, the episode of the service in which its ladder came to an end; of anything else, one more each time it comes back.
    pub episode: i64,
    /// What was wrong, in a few words.
    pub signature: String,
    /// How much it matters.
    pub severity: Severity,
    /// Of a log, when the first line of it was written: what tells it from others about the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Id of the log signature, 16 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature_id: Option<String>,
    /// The rule that knows what this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What an operator does about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// The action that may help. Nobody takes it on this ground alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggested_action: Option<ActionKind>,
    /// The soak run under way when it was opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soak: Option<String>,
    /// True: somebody has seen to it. A new episode begins, with a fresh ladder.
    #[serde(default)]
    pub acknowledged: bool,
    /// Who acknowledged it, as `user@host`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// The longest signature, in characters, that an incident is opened with: a line in a list.
const SIGNATURE: usize = 120;

impl IncidentSpec {
    /// One about this and no more; whoever opens it fills in what else is known. `signature` is cut where it may be no longer.
    #[must_use]
    pub fn about(
        stack: &str,
        service: &str,
        kind: impl Into<IncidentKind>,
        episode: i64,
        signature: &str,
        severity: Severity,
    ) -> Self {
        Self {
            stack: stack.to_owned(),
            service: service.to_owned(),
            kind: kind.into(),
            episode,
            signature: signature.chars().take(SIGNATURE).collect(),
            severity,
            since: None,
            signature_id: None,
            rule: None,
            remedy: None,
            suggested_action: None,
            soak: None,
            acknowledged: false,
            by: None,
        }
    }
}

/// What an incident is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum IncidentKind {
    /// A drift that nothing has mended.
    Drift(DriftKind),
    /// Something else.
    Signal(SignalKind),
}

/// What a person should know of that is no drift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SignalKind {
    /// A log says what a rule knows to hurt.
    KnownIssue,
    /// A log says something grave that was not seen before.
    NewSignature,
    /// A log says something far more often than it is used to.
    Spike,
    /// A check of a soak run fails.
    CheckFailed,
}

/// One list of words, as of any other enumeration: a structural schema has no alternatives of types.
impl JsonSchema for IncidentKind {
    fn schema_name() -> Cow<'static, str> {
        "IncidentKind".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let both = [DriftKind::json_schema(generator), SignalKind::json_schema(generator)];
        let words = both.iter().filter_map(|schema| schema.get("oneOf")?.as_array()).flatten().cloned();
        json_schema!({"description": "What an incident is about.", "oneOf": words.collect::<Vec<_>>()})
    }
}

impl From<DriftKind> for IncidentKind {
    fn from(kind: DriftKind) -> Self {
        Self::Drift(kind)
    }
}

impl From<SignalKind> for IncidentKind {
    fn from(kind: SignalKind) -> Self {
        Self::Signal(kind)
    }
}

impl IncidentKind {
    /// The drift, when it is about one.
    #[must_use]
    pub fn drift(self) -> Option<DriftKind> {
        match self {
            Self::Drift(kind) => Some(kind),
            Self::Signal(_) => None,
        }
    }

    /// What else it is about, when it is not about a drift.
    #[must_use]
    pub fn signal(self) -> Option<SignalKind> {
        match self {
            Self::Drift(_) => None,
            Self::Signal(kind) => Some(kind),
        }
    }
}

impl PartialEq<DriftKind> for IncidentKind {
    fn eq(&self, other: &DriftKind) -> bool {
        self.drift() == Some(*other)
    }
}

/// What becomes of an incident. While the drift lasts it is not written again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IncidentStatus {
    /// Where in its life it is.
    #[serde(default)]
    pub phase: IncidentPhase,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<Time>,
    /// When the drift was last seen to begin or to end; what comes and goes within ten minutes is one occurrence. Of a log, when the last
    /// line of it was written, at most a minute late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Time>,
    /// How often the drift has begun; of a log, how many lines there were; of a check, how often it failed.
    #[serde(default)]
    pub count: u32,
    /// What was done about it, in order: of a drift in its episode, of a log to its service since then (the last twenty).
    #[serde(default)]
    pub actions: Vec<IncidentAction>,
    /// What was seen, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// Lines of the log, redacted: the first, and the last few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<String>,
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
    /// The service has been well for its stable spell, the log has been quiet, or an operator has acknowledged it.
    Resolved,
}

/// An action that was taken meanwhile.
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
        for (path, text, most) in [
            ("spec.by", &spec.by, 256),
            ("spec.signatureId", &spec.signature_id, 16),
            ("spec.rule", &spec.rule, 63),
            ("spec.remedy", &spec.remedy, 1024),
            ("spec.soak", &spec.soak, 253),
        ] {
            if let Some(text) = text {
                check.text(path, text, most);
            }
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
        let spec = IncidentSpec::about("wicap", "ui", DriftKind::NotRunning, 1, "exited with code 1", Severity::Critical);
        Incident::new("a", spec)
    }

    #[test]
    fn a_kind_is_one_word_whatever_it_is_about() {
        for (kind, word) in [
            (IncidentKind::from(DriftKind::NotRunning), "NotRunning"),
            (IncidentKind::from(SignalKind::KnownIssue), "KnownIssue"),
            (IncidentKind::from(SignalKind::CheckFailed), "CheckFailed"),
        ] {
            assert_eq!(serde_json::to_value(kind).unwrap(), word);
            assert_eq!(serde_json::from_value::<IncidentKind>(word.into()).unwrap(), kind);
        }
        assert!(serde_json::from_value::<IncidentKind>("Elsewhere".into()).is_err());
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
