//! ControlPolicy: what is callable at all, and where.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::{ActionKind, MAX_TIMEOUT};
use super::session::Budget;
use super::validate::{Check, quoted};
use super::{Duration, Object, Violation};

/// What may be called at all (tool-policy plane) and where (runtime plane).
///
/// Policies only restrict. An action passes when no policy denies it and every policy allows it; with no policy at all,
/// nothing is allowed.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "wicap.dev",
    version = "v1alpha1",
    kind = "ControlPolicy",
    plural = "controlpolicies",
    shortname = "policy",
    shortname = "policies",
    shortname = "cp",
    category = "wicap",
    status = "ControlPolicyStatus",
    derive = "PartialEq",
    printcolumn(name = "Roots", type_ = "string", json_path = ".spec.allowedRoots"),
    printcolumn(name = "Hosts", type_ = "string", json_path = ".spec.hosts"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct ControlPolicySpec {
    /// What is allowed. Empty: nothing.
    #[serde(default)]
    pub allow: Vec<PolicyRule>,
    /// What is denied, whatever is allowed anywhere.
    #[serde(default)]
    pub deny: Vec<PolicyRule>,
    /// Directories one of which the stack's directory must lie in. Empty: none is allowed.
    #[serde(default)]
    pub allowed_roots: Vec<String>,
    /// Hosts on which actions may be taken, with `*` globs. Empty: none.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Least time between two claims of an action on the same target, by action.
    #[serde(default)]
    pub cooldowns: BTreeMap<ActionKind, Duration>,
    /// The most time that an action may be given, by action. What asks for more gets this.
    #[serde(default)]
    pub timeouts: BTreeMap<ActionKind, Duration>,
    /// How many actions that change something may be claimed for one stack, in which time; unlimited when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
}

/// The most actions that a policy's budget can count: finished ones are kept of a stack longer than that, and no further.
pub const MAX_BUDGET: u32 = 100;

/// A set of actions on a set of targets. An action matches when all three lists hold a match, and the selector
/// selects the stack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyRule {
    /// Actions, with `*` globs, or the groups `group:safe`, `group:caution`, `group:destructive`.
    pub actions: Vec<String>,
    /// Services, with `*` globs. An action on the whole stack has the empty target, which only `*` matches.
    #[serde(default = "everything")]
    pub targets: Vec<String>,
    /// Stacks, with `*` globs.
    #[serde(default = "everything")]
    pub stacks: Vec<String>,
    /// Of these, the stacks with such labels; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack_selector: Option<LabelSelector>,
}

fn everything() -> Vec<String> {
    vec!["*".to_owned()]
}

/// Whether a policy can be used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ControlPolicyStatus {
    /// Generation of the spec this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Accepted.
    #[serde(default)]
    pub conditions: Vec<Condition>,
}

/// Names that stand for a tier in a rule's actions.
pub const GROUPS: [&str; 3] = ["group:safe", "group:caution", "group:destructive"];

impl Object for ControlPolicy {
    fn validate(&self) -> Vec<Violation> {
        let mut check = Check::new();
        for (list, rules) in [("allow", &self.spec.allow), ("deny", &self.spec.deny)] {
            for (i, rule) in rules.iter().enumerate() {
                let path = format!("spec.{list}[{i}]");
                for (j, action) in rule.actions.iter().enumerate() {
                    let known = GROUPS.contains(&action.as_str())
                        || (!action.starts_with("group:")
                            && ActionKind::ALL.iter().any(|k| glob_matches(action, k.as_str())));
                    check.that(
                        known,
                        format!("{path}.actions[{j}]"),
                        quoted(action),
                        "an action, a glob that matches one, group:safe, group:caution or group:destructive",
                    );
                }
                if let Some(Err(why)) = rule.stack_selector.clone().map(kube::core::Selector::try_from) {
                    check.that(false, format!("{path}.stackSelector"), why.to_string(), "a label selector (Kubernetes)");
                }
                for (field, values) in [("actions", &rule.actions), ("targets", &rule.targets), ("stacks", &rule.stacks)] {
                    check.that(!values.is_empty(), format!("{path}.{field}"), "an empty list", "at least one pattern");
                    for (j, value) in values.iter().enumerate() {
                        let ok = !value.is_empty()
                            && value.len() <= 253
                            && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"*._-:".contains(&b));
                        check.that(ok, format!("{path}.{field}[{j}]"), quoted(value), "a name, or a pattern with '*'");
                    }
                }
            }
        }
        for (i, root) in self.spec.allowed_roots.iter().enumerate() {
            let path = format!("spec.allowedRoots[{i}]");
            check.directory(&path, root);
        }
        for (i, host) in self.spec.hosts.iter().enumerate() {
            let ok = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"*.-".contains(&b));
            check.that(ok, format!("spec.hosts[{i}]"), quoted(host), "a host name, or a pattern with '*'");
        }
        for (action, cooldown) in &self.spec.cooldowns {
            check.not_negative(&format!("spec.cooldowns.{action}"), *cooldown);
        }
        for (action, timeout) in &self.spec.timeouts {
            let path = format!("spec.timeouts.{action}");
            check.positive(&path, *timeout);
            check.that(timeout.to_std() <= MAX_TIMEOUT, path, format!("\"{timeout}\""), "at most \"30m\"");
        }
        if let Some(budget) = &self.spec.budget {
            check.positive("spec.budget.window", budget.window);
            let (most, expected) = (budget.max_actions, format!("at most {MAX_BUDGET}"));
            check.that(most <= MAX_BUDGET, "spec.budget.maxActions", most.to_string(), expected);
        }
        check.finish()
    }
}

/// Whether `text` matches `pattern`, in which `*` stands for any run of characters. A pattern that cannot be compiled matches
/// nothing.
#[must_use]
pub fn glob_matches(pattern: &str, text: &str) -> bool {
    // `*` is the only metacharacter promised; the others of the glob syntax are not in the set that `validate` lets through.
    globset::Glob::new(pattern).is_ok_and(|glob| glob.compile_matcher().is_match(text))
}
