//! Whether the policies leave anything to do: asked when they are written, so that it is not found out at night.

use std::collections::BTreeMap;

use super::authorise::{Facts, RUNTIME_PLANE, Request, TOOL_POLICY, authorise};
use crate::api::action::{ActionKind, Tier};
use crate::api::policy::ControlPolicy;
use crate::api::session::{ApprovalRules, ControlSession, ControlSessionSpec, Mode};
use crate::api::stack::WicapStack;
use crate::api::{Object, Time};

/// What the policies, all together, come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Each stack is left with something that changes it.
    Something,
    /// This policy alone lets nothing happen anywhere, in words.
    NothingBy(String),
    /// Each of them lets something happen, and all of them together nothing on these stacks: each with the reason.
    NothingOn(BTreeMap<String, String>),
}

/// What a policy comes to, beside all of them.
#[must_use]
pub fn effect(policy: &ControlPolicy, all: &[ControlPolicy], stacks: &[WicapStack], now: Time) -> Effect {
    let spec = &policy.spec;
    let missing = [
        (
            "spec.allow",
            spec.allow.iter().all(|rule| rule.actions.is_empty() || rule.targets.is_empty() || rule.stacks.is_empty()),
        ),
        ("spec.hosts", spec.hosts.is_empty()),
        ("spec.allowedRoots", spec.allowed_roots.is_empty()),
    ];
    if let Some((field, _)) = missing.iter().find(|(_, empty)| *empty) {
        return Effect::NothingBy(format!("{field} names nothing, and what is not named is not allowed"));
    }
    let alone = std::slice::from_ref(policy);
    if !stacks.is_empty() && stacks.iter().all(|stack| nothing_left(stack, alone, now).is_some()) {
        let why = stacks.first().and_then(|stack| nothing_left(stack, alone, now)).unwrap_or_default();
        return Effect::NothingBy(format!("it lets nothing happen on any stack: {why}"));
    }
    let shut: BTreeMap<String, String> = stacks
        .iter()
        .filter(|stack| nothing_left(stack, alone, now).is_none())
        .filter_map(|stack| Some((stack.name().to_owned(), nothing_left(stack, all, now)?)))
        .collect();
    if shut.is_empty() { Effect::Something } else { Effect::NothingOn(shut) }
}

/// Why no action that changes the stack is let through, or `None` when one is: the two gates that policies are are asked of every
/// action on every target, in a session that permits everything.
fn nothing_left(stack: &WicapStack, policies: &[ControlPolicy], now: Time) -> Option<String> {
    let session = everything(stack);
    let facts = Facts {
        sessions: std::slice::from_ref(&session),
        policies,
        stops: &[],
        elevations: &[],
        approvals: &[],
        actions: &[],
        directory: None,
        roots: &[],
        now,
    };
    let mut why = None;
    for action in ActionKind::ALL.into_iter().filter(|action| action.changes()) {
        let services =
            stack.spec.services.iter().filter(|s| s.managed && action.can_target_service()).map(|s| s.name.as_str());
        for target in services.chain(action.can_target_stack().then_some("")) {
            let request =
                Request { stack, action, target, services: &[], session: session.name(), run: None, planning: false };
            let decision = authorise(&request, &facts);
            let shut = |gate: &str| decision.trace.iter().find(|v| v.gate == gate && !v.allowed).map(|v| v.reason.clone());
            why = shut(RUNTIME_PLANE).or_else(|| shut(TOOL_POLICY));
            why.as_ref()?;
        }
    }
    why.or_else(|| Some("it has no managed service".to_owned()))
}

/// A session in which nothing is in the way but policies.
fn everything(stack: &WicapStack) -> ControlSession {
    ControlSession::new(
        "everything",
        ControlSessionSpec {
            stack: stack.name().to_owned(),
            mode: Mode::Assist,
            ttl: std::time::Duration::from_secs(60).into(),
            max_tier: Tier::Destructive,
            allowed_actions: ActionKind::ALL.into(),
            approval: ApprovalRules::default(),
            canary: None,
            budget: None,
            operator: String::new(),
            reason: String::new(),
            end: false,
        },
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn policy(name: &str, spec: Value) -> ControlPolicy {
        ControlPolicy::new(name, serde_json::from_value(spec).unwrap())
    }

    fn open(change: impl FnOnce(&mut Value)) -> ControlPolicy {
        let mut spec = json!({"allow": [{"actions": ["group:caution"]}], "allowedRoots": ["/srv"], "hosts": ["*"]});
        change(&mut spec);
        policy("one", spec)
    }

    fn stack(name: &str) -> WicapStack {
        let spec = json!({
            "host": "here", "compose": {"project": name, "directory": format!("/srv/{name}")}, "services": [{"name": "ui"}],
        });
        WicapStack::new(name, serde_json::from_value(spec).unwrap())
    }

    fn of(policy: &ControlPolicy, others: &[ControlPolicy], stacks: &[WicapStack]) -> Effect {
        let all: Vec<_> = std::iter::once(policy.clone()).chain(others.iter().cloned()).collect();
        effect(policy, &all, stacks, Time::UNIX_EPOCH)
    }

    #[test]
    fn policies_that_leave_something_are_in_order() {
        let second = policy(
            "two",
            json!({
                "allow": [{"actions": ["start_service"], "targets": ["u*"]}], "allowedRoots": ["/srv/a", "/srv/b"], "hosts": ["here"],
            }),
        );
        let stacks = [stack("a"), stack("b")];
        assert_eq!(of(&open(|_| {}), std::slice::from_ref(&second), &stacks), Effect::Something);
        assert_eq!(of(&second, &[open(|_| {})], &stacks), Effect::Something);
        assert_eq!(of(&second, &[], &[]), Effect::Something, "there may be stacks later");
        // A policy for one stack is silent on another, and that is meant.
        let for_a = open(|p| p["allowedRoots"] = json!(["/srv/a"]));
        assert_eq!(of(&for_a, &[], &stacks), Effect::Something);
    }

    #[test]
    fn a_policy_that_allows_nothing_is_told_so() {
        type Change = fn(&mut Value);
        let table: &[(Change, &str)] = &[
            (|p| p["allow"] = json!([]), "spec.allow names nothing"),
            (|p| p["allow"][0]["targets"] = json!([]), "spec.allow names nothing"),
            (|p| p["hosts"] = json!([]), "spec.hosts names nothing"),
            (|p| p["allowedRoots"] = json!([]), "spec.allowedRoots names nothing"),
            (|p| p["deny"] = json!([{"actions": ["*"]}]), "it lets nothing happen on any stack"),
            (|p| p["allow"][0]["actions"] = json!(["group:safe"]), "it lets nothing happen on any stack"),
            (|p| p["hosts"] = json!(["elsewhere"]), "it lets nothing happen on any stack"),
        ];
        for (change, expected) in table {
            let Effect::NothingBy(why) = of(&open(change), &[], &[stack("a")]) else { panic!("{expected}") };
            assert!(why.starts_with(expected), "{why}");
        }
    }

    #[test]
    fn policies_that_shut_each_other_out_are_told_on_which_stack() {
        let starts = open(|p| p["allow"] = json!([{"actions": ["start_service"]}]));
        let restarts = policy(
            "two",
            json!({
                "allow": [{"actions": ["restart_service"]}], "allowedRoots": ["/srv"], "hosts": ["*"],
            }),
        );
        let Effect::NothingOn(stacks) = of(&starts, &[restarts], &[stack("a")]) else { panic!("they leave something") };
        assert_eq!(stacks.keys().collect::<Vec<_>>(), ["a"]);
        assert!(stacks["a"].contains("two") || stacks["a"].contains("one"), "{stacks:?}");
    }
}
