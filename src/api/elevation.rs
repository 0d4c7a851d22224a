//! Elevation: the explicit override for one destructive action on one target, for a time.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::{ActionKind, Tier};
use super::validate::Check;
use super::{Duration, Object, Time, Violation, after};

/// What destroys data is denied in every mode, unless one of these names the very action and target, for a session of the stack.
///
/// Its clock starts when it is created. The spec is immutable; deleting it takes it back.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "wicap.dev",
    version = "v1alpha1",
    kind = "Elevation",
    plural = "elevations",
    shortname = "elev",
    category = "wicap",
    status = "ElevationStatus",
    derive = "PartialEq",
    printcolumn(name = "Session", type_ = "string", json_path = ".spec.session"),
    printcolumn(name = "Action", type_ = "string", json_path = ".spec.action"),
    printcolumn(name = "Target", type_ = "string", json_path = ".spec.target"),
    printcolumn(name = "Uses", type_ = "integer", json_path = ".status.uses"),
    printcolumn(name = "Of", type_ = "integer", json_path = ".spec.maxUses"),
    printcolumn(name = "Approver", type_ = "string", json_path = ".spec.approver", priority = 1),
    printcolumn(name = "Reason", type_ = "string", json_path = ".spec.reason", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct ElevationSpec {
    /// The session in whose name it may be used, and in no other.
    pub session: String,
    /// The destructive action.
    pub action: ActionKind,
    /// The service; empty for the whole stack of the session.
    #[serde(default)]
    pub target: String,
    /// Who allows it, as `user@host`.
    pub approver: String,
    /// Why, in the approver's words.
    pub reason: String,
    /// How long it may be used, from its creation. At most 24h.
    pub ttl: Duration,
    /// How often it may be used: from 1 to 100.
    #[serde(default = "once")]
    #[schemars(range(min = 1, max = 100))]
    pub max_uses: u32,
}

/// The longest override that can be given: a day. Who needs one tomorrow can say so tomorrow.
pub const MAX_TTL: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// The most uses of one override.
pub const MAX_USES: u32 = 100;

fn once() -> u32 {
    1
}

/// What was done with an override.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ElevationStatus {
    /// How often it was used. Counted by the actuator in the transaction that claims the action.
    #[serde(default)]
    pub uses: u32,
}

impl Elevation {
    /// When it can no longer be used; `None` for one that was never stored.
    #[must_use]
    pub fn expires_at(&self) -> Option<Time> {
        self.metadata.creation_timestamp.as_ref().map(|created| after(created.0, self.spec.ttl.to_std()))
    }

    /// How often it was used.
    #[must_use]
    pub fn uses(&self) -> u32 {
        self.status.as_ref().map_or(0, |status| status.uses)
    }
}

impl Object for Elevation {
    fn validate(&self) -> Vec<Violation> {
        let spec = &self.spec;
        let mut check = Check::new();
        check.object_name("spec.session", &spec.session);
        check.that(
            spec.action.tier() == Tier::Destructive,
            "spec.action",
            format!("{:?}", spec.action.as_str()),
            format!("a destructive action, such as {}: others need no Elevation", ActionKind::ComposeDownVolumes),
        );
        check.target("spec.target", spec.action, &spec.target);
        check.text("spec.approver", &spec.approver, 256);
        check.text("spec.reason", &spec.reason, 1024);
        check.positive("spec.ttl", spec.ttl);
        check.that(spec.ttl.to_std() <= MAX_TTL, "spec.ttl", format!("\"{}\"", spec.ttl), "at most \"24h\"");
        check.that(
            (1..=MAX_USES).contains(&spec.max_uses),
            "spec.maxUses",
            spec.max_uses.to_string(),
            format!("from 1 to {MAX_USES}"),
        );
        check.finish()
    }

    fn validate_update(&self, old: &Self) -> Vec<Violation> {
        let mut check = Check::new();
        let same = self.spec == old.spec;
        check.that(same, "spec", "a change", "no change: an Elevation's spec is immutable; delete it and create another");
        check.finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn elevation(change: impl FnOnce(&mut serde_json::Value)) -> Elevation {
        let mut spec = json!({"session": "night", "action": "compose_down_volumes", "approver": "bob@host", "reason": "r",
            "ttl": "10m"});
        change(&mut spec);
        let object =
            json!({"apiVersion": "wicap.dev/v1alpha1", "kind": "Elevation", "metadata": {"name": "n"}, "spec": spec});
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn it_is_for_one_destructive_action_a_short_time_and_few_uses() {
        assert!(elevation(|_| {}).validate().is_empty());
        assert_eq!(elevation(|_| {}).spec.max_uses, 1);
        for (field, value) in [
            ("action", json!("compose_down")),
            ("target", json!("ui")),
            ("ttl", json!("25h")),
            ("ttl", json!("0s")),
            ("maxUses", json!(0)),
            ("maxUses", json!(101)),
            ("approver", json!("")),
            ("session", json!("../x")),
        ] {
            let broken = elevation(|spec| spec[field] = value.clone()).validate();
            assert!(broken.iter().any(|v| v.path == format!("spec.{field}")), "{field} {value}: {broken:?}");
        }
        let changed = elevation(|spec| spec["maxUses"] = json!(2));
        assert_eq!(changed.validate_update(&elevation(|_| {}))[0].path, "spec");
    }
}
