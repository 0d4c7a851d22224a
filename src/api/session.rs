//! ControlSession: an operator's permission, for a time.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::{ActionKind, Tier};
use super::validate::{Check, quoted};
use super::{Duration, Object, Time, Violation};

/// An operator's permission to act on one stack, for a time.
///
/// Its clock starts when the session controller makes it Active. The spec is immutable, but for ending it and shortening `ttl`.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "wicap.dev",
    version = "v1alpha1",
    kind = "ControlSession",
    plural = "controlsessions",
    shortname = "session",
    shortname = "sessions",
    shortname = "cs",
    category = "wicap",
    status = "ControlSessionStatus",
    derive = "PartialEq",
    printcolumn(name = "Stack", type_ = "string", json_path = ".spec.stack"),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".status.expiresAt"),
    printcolumn(name = "Actions", type_ = "integer", json_path = ".status.usage.actions"),
    printcolumn(name = "Operator", type_ = "string", json_path = ".spec.operator", priority = 1),
    printcolumn(name = "Reason", type_ = "string", json_path = ".spec.reason", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct ControlSessionSpec {
    /// Name of the WicapStack.
    pub stack: String,
    /// What may be done.
    pub mode: Mode,
    /// How long the session lasts, from the moment it is Active. At most [`MAX_TTL`].
    pub ttl: Duration,
    /// The highest tier of actions that may be taken.
    #[serde(default)]
    pub max_tier: Tier,
    /// The actions that may be taken. Empty: none.
    pub allowed_actions: Vec<ActionKind>,
    /// How many actions, in which time; unlimited when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// Who opens it, as `user@host`.
    pub operator: String,
    /// Why, in the operator's words.
    pub reason: String,
    /// True ends the session early. It cannot be taken back.
    #[serde(default)]
    pub end: bool,
}

/// The longest permission that can be given: a week. A soak runs for days; nothing should be left open by mistake for longer.
pub const MAX_TTL: std::time::Duration = std::time::Duration::from_secs(7 * 24 * 3600);

/// What may be done in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Observe and say what would be done.
    Monitor,
    /// Take the allowed actions.
    Assist,
}

/// A number of actions in a sliding window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// The most actions that may be claimed in the window.
    #[schemars(range(max = 1000))]
    pub max_actions: u32,
    /// Length of the window.
    pub window: Duration,
}

/// What became of a session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ControlSessionStatus {
    /// Generation of the spec this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where in its life it is.
    #[serde(default)]
    pub phase: SessionPhase,
    /// When it became Active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it runs out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// What was done in its name. Counted by the actuator in the transaction that claims an action.
    #[serde(default)]
    pub usage: Usage,
    /// Active.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// Why it is in this phase, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Where a session is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SessionPhase {
    /// Not looked at yet, or waiting for the stack or for another session of it to end.
    #[default]
    Pending,
    /// In force.
    Active,
    /// Its time has run out.
    Expired,
    /// Ended by an operator.
    Ended,
}

impl SessionPhase {
    /// Whether the session can no longer change.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Expired | Self::Ended)
    }
}

/// What was done in a session's name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Actions claimed in all.
    #[serde(default)]
    pub actions: u32,
    /// Times of the claims inside the budget's window; at most `maxActions` of them. Empty without a budget.
    #[serde(default)]
    pub recent: Vec<Time>,
}

impl ControlSession {
    /// Whether it is in force at `now`: Active by the controller, not run out by the clock, not asked to end.
    ///
    /// The clock is asked too, because a controller that is not running would leave the phase Active for ever.
    #[must_use]
    pub fn in_force(&self, now: Time) -> bool {
        !self.spec.end
            && self.metadata.deletion_timestamp.is_none()
            && self
                .status
                .as_ref()
                .is_some_and(|s| s.phase == SessionPhase::Active && s.expires_at.is_some_and(|expires| now < expires))
    }
}

impl Object for ControlSession {
    fn validate(&self) -> Vec<Violation> {
        let spec = &self.spec;
        let mut check = Check::new();
        check.object_name("spec.stack", &spec.stack);
        check.positive("spec.ttl", spec.ttl);
        check.that(spec.ttl.to_std() <= MAX_TTL, "spec.ttl", format!("\"{}\"", spec.ttl), "at most \"168h\" (a week)");
        check.text("spec.operator", &spec.operator, 256);
        check.text("spec.reason", &spec.reason, 1024);
        if let Some(budget) = &spec.budget {
            check.positive("spec.budget.window", budget.window);
            check.that(
                budget.max_actions <= 1000,
                "spec.budget.maxActions",
                budget.max_actions.to_string(),
                "at most 1000 (claims are kept one by one)",
            );
        }
        check.finish()
    }

    fn validate_update(&self, old: &Self) -> Vec<Violation> {
        let mut check = Check::new();
        let mut allowed = old.spec.clone();
        allowed.end = self.spec.end;
        if self.spec.ttl.to_std() <= old.spec.ttl.to_std() {
            allowed.ttl = self.spec.ttl;
        }
        check.that(
            !old.spec.end || self.spec.end,
            "spec.end",
            "false",
            "true: a session that was ended does not come back; open another",
        );
        check.that(
            self.spec.ttl.to_std() <= old.spec.ttl.to_std(),
            "spec.ttl",
            format!("\"{}\"", self.spec.ttl),
            format!("at most \"{}\": a ttl can be shortened only; open another session", old.spec.ttl),
        );
        check.that(
            self.spec.stack == old.spec.stack,
            "spec.stack",
            quoted(&self.spec.stack),
            format!("{} (the field is immutable)", quoted(&old.spec.stack)),
        );
        let same = allowed == self.spec || self.spec.ttl != allowed.ttl || self.spec.stack != allowed.stack;
        check.that(same, "spec", "a change", "no change but to end and ttl: open another session");
        check.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn session(change: impl FnOnce(&mut serde_json::Value)) -> ControlSession {
        let mut spec = json!({"stack": "s", "mode": "Assist", "ttl": "1h", "allowedActions": ["restart_service"],
            "operator": "ann@host", "reason": "night"});
        change(&mut spec);
        serde_json::from_value(
            json!({"apiVersion": "wicap.dev/v1alpha1", "kind": "ControlSession", "metadata": {"name": "n"}, "spec": spec}),
        )
        .unwrap()
    }

    #[test]
    fn only_ending_and_shortening_are_allowed() {
        let old = session(|_| {});
        let paths = |new: ControlSession| new.validate_update(&old).into_iter().map(|v| v.path).collect::<Vec<_>>();
        assert!(paths(session(|s| s["end"] = json!(true))).is_empty());
        assert!(paths(session(|s| s["ttl"] = json!("10m"))).is_empty());
        assert_eq!(paths(session(|s| s["ttl"] = json!("2h"))), ["spec.ttl"]);
        assert_eq!(paths(session(|s| s["stack"] = json!("t"))), ["spec.stack"]);
        assert_eq!(paths(session(|s| s["mode"] = json!("Monitor"))), ["spec"]);
        let ended = session(|s| s["end"] = json!(true));
        assert_eq!(old.validate_update(&ended)[0].path, "spec.end");
    }

    #[test]
    fn a_session_is_in_force_until_the_very_moment_it_expires() {
        let mut s = session(|_| {});
        let end = Time::from_second(1000).unwrap();
        s.status = Some(ControlSessionStatus { phase: SessionPhase::Active, expires_at: Some(end), ..Default::default() });
        assert!(s.in_force(Time::from_millisecond(999_999).unwrap()));
        assert!(!s.in_force(end));
        s.spec.end = true;
        assert!(!s.in_force(Time::from_second(1).unwrap()));
    }

    #[test]
    fn a_ttl_over_a_week_or_not_over_zero_is_refused() {
        for ttl in ["0s", "-1h", "169h"] {
            assert!(!session(|s| s["ttl"] = json!(ttl)).validate().is_empty(), "{ttl}");
        }
        assert!(session(|_| {}).validate().is_empty());
    }
}
