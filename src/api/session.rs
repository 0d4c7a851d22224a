//! ControlSession: an operator's permission, for a time.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::{ActionKind, Tier};
use super::validate::{Check, quoted};
use super::{Duration, Object, Time, Violation, after};

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
    /// How long the session lasts, from the moment it is Active. At most 168h, a week.
    pub ttl: Duration,
    /// The highest tier of actions that may be taken.
    #[serde(default)]
    pub max_tier: Tier,
    /// The actions that may be taken. Empty: none.
    pub allowed_actions: Vec<ActionKind>,
    /// Whether a person has to agree to each action, by tier.
    #[serde(default)]
    pub approval: ApprovalRules,
    /// What a Canary session may try, and when it is over. Only, and always, with that mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
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
    /// Plan in full: every action is asked for and authorised, and ends as Shadowed, saying what would have been done.
    Shadow,
    /// Take the actions of `canary.actions`, until one of its stop rules ends the session.
    Canary,
    /// Take the allowed actions.
    Assist,
}

impl Mode {
    /// Whether actions are taken in it. A stack has one such session at a time.
    #[must_use]
    pub fn acts(self) -> bool {
        matches!(self, Self::Canary | Self::Assist)
    }
}

/// Whether a person has to agree, by tier. What is safe changes nothing, and needs nobody.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ApprovalRules {
    /// Of actions that change what can be changed back.
    pub caution: ApprovalMode,
    /// Of actions that may destroy data. They need an Elevation besides.
    pub destructive: ApprovalMode,
    /// How long an answer is waited for. None by then is a no. At most 168h.
    pub timeout: Duration,
    /// True: whoever opened the session cannot be the one who agrees.
    pub require_other: bool,
}

impl Default for ApprovalRules {
    fn default() -> Self {
        Self {
            caution: ApprovalMode::Auto,
            destructive: ApprovalMode::Ask,
            // Time to be woken, to read and to think; a stack that needs more has changed by then.
            timeout: std::time::Duration::from_secs(15 * 60).into(),
            require_other: false,
        }
    }
}

impl ApprovalRules {
    /// What holds for a tier.
    #[must_use]
    pub fn of(&self, tier: Tier) -> ApprovalMode {
        match tier {
            Tier::Safe => ApprovalMode::Auto,
            Tier::Caution => self.caution,
            Tier::Destructive => self.destructive,
        }
    }
}

/// Whether a person has to agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApprovalMode {
    /// Nobody is asked.
    Auto,
    /// The action waits for an Approval.
    Ask,
}

/// What a Canary session may try, and when it is over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Canary {
    /// The actions that may be taken; they must be in `allowedActions` too.
    pub actions: Vec<ActionKind>,
    /// What ends the session.
    #[serde(default)]
    pub stop_rules: StopRules,
}

/// What ends a Canary session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StopRules {
    /// So many of its actions have failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_failures: Option<u32>,
    /// So many actions were claimed in its name; none more is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_actions: Option<u32>,
    /// A critical service has become Unhealthy, Restarting or Dead since it began.
    pub critical_unhealthy: bool,
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
    /// Ended by one of its stop rules.
    Stopped,
}

impl SessionPhase {
    /// Whether the session can no longer change.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Expired | Self::Ended | Self::Stopped)
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
            && self.status.as_ref().is_some_and(|s| {
                // Of a `ttl` that was shortened the controller may not have written yet.
                let runs_out = s.started_at.map(|started| after(started, self.spec.ttl.to_std()));
                s.phase == SessionPhase::Active
                    && s.expires_at.is_some_and(|expires| now < expires)
                    && runs_out.is_none_or(|end| now < end)
            })
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
        let (canary, is_canary) = (spec.canary.as_ref(), spec.mode == Mode::Canary);
        check.that(canary.is_some() || !is_canary, "spec.canary", "nothing", "actions and stopRules: mode is Canary");
        check.that(canary.is_none() || is_canary, "spec.canary", "a value", format!("nothing: mode is {:?}", spec.mode));
        for (i, action) in canary.iter().flat_map(|c| &c.actions).enumerate() {
            check.that(
                spec.allowed_actions.contains(action),
                format!("spec.canary.actions[{i}]"),
                format!("\"{action}\""),
                "one of spec.allowedActions",
            );
        }
        let rules = canary.map(|c| c.stop_rules.clone()).unwrap_or_default();
        for (field, most) in [("maxFailures", rules.max_failures), ("maxActions", rules.max_actions)] {
            check.that(most != Some(0), format!("spec.canary.stopRules.{field}"), "0", "1 or more");
        }
        check.positive("spec.approval.timeout", spec.approval.timeout);
        check.that(
            spec.approval.timeout.to_std() <= MAX_TTL,
            "spec.approval.timeout",
            format!("\"{}\"", spec.approval.timeout),
            "at most \"168h\" (a week)",
        );
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
    fn a_ttl_that_was_shortened_holds_before_the_controller_has_written_so() {
        let mut s = session(|s| s["ttl"] = json!("10s"));
        let at = |second| Time::from_second(second).unwrap();
        s.status = Some(ControlSessionStatus {
            phase: SessionPhase::Active,
            started_at: Some(at(100)),
            expires_at: Some(at(3700)),
            ..ControlSessionStatus::default()
        });
        assert!(s.in_force(at(109)) && !s.in_force(at(110)));
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
