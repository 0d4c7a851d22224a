//! Whether policies leave what they seem to, and whether what was permitted can be done under them.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::Object;
use crate::api::action::ActionKind;
use crate::api::policy::{ControlPolicy, PolicyRule};
use crate::api::session::{ControlSession, Mode};
use crate::api::stack::WicapStack;
use crate::plan::authorise::{self, Facts as Known, Request, authorise};
use crate::plan::policies::{Effect, effect};
use crate::plan::rules::{allows, denies};

use super::facts::{Facts, Objects};
use super::finding::{Area, Finding};
use crate::cli::called::word;

/// The most pairs of a stack's action and target that rules are compared on. A hundred stacks of ten services have ten
/// thousand; what is beyond is not looked at.
const MOST_CASES: usize = 20_000;

/// Judges them.
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let Ok(objects) = &facts.objects else { return Vec::new() };
    let mut findings = Vec::new();
    findings.extend(none(objects));
    findings.extend(shut(objects, facts));
    findings.extend(in_vain(objects));
    findings.extend(objects.sessions.iter().flat_map(|session| of_session(session, objects, facts)));
    findings.extend(elevations(objects, facts));
    if findings.is_empty() {
        let (policies, sessions) =
            (objects.policies.len(), objects.sessions.iter().filter(|s| s.in_force(facts.now)).count());
        let found = format!("{policies} policies and {sessions} sessions in force agree");
        findings.push(Finding::ok(Area::Policies, "they do not contradict", found));
    }
    findings
}

/// Nothing is allowed where there is no policy. That is a failure only where somebody has permitted something.
fn none(objects: &Objects) -> Option<Finding> {
    if !objects.policies.is_empty() {
        return None;
    }
    let (checked, found) = ("there is a ControlPolicy", "there is none, and so nothing is allowed");
    let mend = "wicapctl apply -f policy.json (manifests/wicap/policy.json is one)";
    let acting = objects.sessions.iter().any(|s| is_open(s) && s.spec.mode.acts());
    Some(if acting {
        Finding::fail(Area::Policies, checked, found, mend)
    } else {
        Finding::warn(Area::Policies, checked, found, mend)
    })
}

/// Policies that let nothing happen, alone or beside the others; the stacks with the reasons.
fn shut(objects: &Objects, facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut together: BTreeMap<String, String> = BTreeMap::new();
    for policy in &objects.policies {
        match effect(policy, &objects.policies, &objects.stacks, facts.now) {
            Effect::Something => {}
            Effect::NothingBy(why) => {
                let checked = format!("ControlPolicy {} leaves something to do", policy.name());
                let mend = format!("wicapctl edit policy {}", word(policy.name()));
                findings.push(Finding::fail(Area::Policies, checked, why, mend));
            }
            Effect::NothingOn(stacks) => together.extend(stacks),
        }
    }
    // That one of them lets nothing happen is said; that all together then let nothing happen is the same once more.
    if findings.is_empty() {
        findings.extend(together.into_iter().map(|(stack, why)| {
            let checked = format!("the policies leave something to do on the stack {stack}");
            let mend = "wicapctl get policies -o yaml; every one of them has to allow what is to be done";
            Finding::fail(Area::Policies, checked, why, mend)
        }));
    }
    findings
}

/// An action on a target of a stack.
struct Case<'a> {
    stack: &'a WicapStack,
    action: ActionKind,
    target: &'a str,
}

impl<'a> Case<'a> {
    /// All there are, up to [`MOST_CASES`].
    fn all(stacks: &'a [WicapStack]) -> Vec<Self> {
        let of = |stack: &'a WicapStack| {
            let targets = move |action| targets(stack, action).into_iter().map(move |target| Self { stack, action, target });
            ActionKind::ALL.into_iter().flat_map(targets)
        };
        stacks.iter().flat_map(of).take(MOST_CASES).collect()
    }

    /// The targets that a deny may name: those of the whole stack are also its services.
    fn touched(&self) -> Vec<&'a str> {
        let whole = self.target.is_empty();
        let services = self.stack.spec.services.iter().filter(|s| whole && s.managed).map(|s| s.name.as_str());
        [self.target].into_iter().chain(services).collect()
    }
}

/// What an action can be asked of in a stack.
fn targets(stack: &WicapStack, action: ActionKind) -> Vec<&str> {
    if action.targets_job() {
        return stack.spec.jobs.iter().map(|job| job.name.as_str()).collect();
    }
    let services = stack.spec.services.iter().filter(|s| s.managed && action.can_target_service()).map(|s| s.name.as_str());
    services.chain(action.can_target_stack().then_some("")).collect()
}

/// Rules that allow what others deny, in all there is.
fn in_vain(objects: &Objects) -> Vec<Finding> {
    let cases = Case::all(&objects.stacks);
    let denials: Vec<(&ControlPolicy, usize, &PolicyRule)> =
        objects.policies.iter().flat_map(|p| p.spec.deny.iter().enumerate().map(move |(i, rule)| (p, i, rule))).collect();
    // By case, the first rule that denies it.
    let denied: Vec<Option<usize>> = cases
        .iter()
        .map(|case| denials.iter().position(|(.., rule)| denies(rule, case.action, &case.touched(), case.stack)))
        .collect();
    let mut findings = Vec::new();
    for policy in &objects.policies {
        for (i, rule) in policy.spec.allow.iter().enumerate() {
            let of_rule = cases.iter().zip(&denied).filter(|(c, _)| allows(rule, c.action, c.target, c.stack));
            let by: Option<BTreeSet<usize>> = of_rule.map(|(_, denied)| *denied).collect();
            // A rule for what is not there yet contradicts nothing.
            let Some(by) = by.filter(|by| !by.is_empty()) else { continue };
            let names: Vec<String> = by
                .into_iter()
                .filter_map(|d| denials.get(d))
                .map(|(p, i, _)| format!("spec.deny[{i}] of {}", p.name()))
                .collect();
            let checked = format!("spec.allow[{i}] of ControlPolicy {} allows something", policy.name());
            let found = format!("all that it allows is denied by {}", names.join(", "));
            let mend = format!("wicapctl edit policy {}: take one of the two out", word(policy.name()));
            findings.push(Finding::warn(Area::Policies, checked, found, mend));
        }
    }
    findings
}

/// Whether a session may still come into force, or is.
pub(super) fn is_open(session: &ControlSession) -> bool {
    let over = session.status.as_ref().is_some_and(|s| s.phase.is_final());
    !session.spec.end && !over && session.metadata.deletion_timestamp.is_none()
}

/// Why one of these gates is shut for an action on every target of the stack; `None` when all are open for one of them.
fn gates_shut(
    gates: &[&str],
    (stack, session, action): (&WicapStack, &ControlSession, ActionKind),
    only: Option<&str>,
    objects: &Objects,
    facts: &Facts,
) -> Option<String> {
    let known = Known {
        sessions: std::slice::from_ref(session),
        policies: &objects.policies,
        stops: &[],
        elevations: &objects.elevations,
        approvals: &[],
        actions: &[],
        directory: None,
        roots: &[],
        now: facts.now,
    };
    let targets = only.map_or_else(|| targets(stack, action), |target| vec![target]);
    let mut why = None;
    for target in targets {
        let request = Request { stack, action, target, services: &[], session: session.name(), run: None, planning: false };
        let decision = authorise(&request, &known);
        let shut = decision.trace.iter().find(|v| !v.allowed && gates.contains(&v.gate.as_str()));
        why = Some(shut?.reason.clone());
    }
    why
}

/// What a session permits in vain.
fn of_session(session: &ControlSession, objects: &Objects, facts: &Facts) -> Vec<Finding> {
    if !is_open(session) {
        return Vec::new();
    }
    let (name, spec) = (session.name(), &session.spec);
    let Some(stack) = objects.stacks.iter().find(|stack| stack.name() == spec.stack) else {
        let found = format!("there is no stack {}: it waits for it", spec.stack);
        let mend = format!("wicapctl apply the stack, or wicapctl session end {}", word(name));
        return vec![Finding::warn(Area::Policies, format!("ControlSession {name} has a stack"), found, mend)];
    };
    // That there is no policy at all has been said.
    if spec.mode == Mode::Monitor || objects.policies.is_empty() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let checked = format!("ControlSession {name} permits what the policies allow");
    let gates = [authorise::RUNTIME_PLANE, authorise::TOOL_POLICY];
    let mut why = None;
    let mut denied = Vec::new();
    for action in &spec.allowed_actions {
        if let Some(reason) = gates_shut(&gates, (stack, session, *action), None, objects, facts) {
            why.get_or_insert(reason);
            denied.push(action.as_str());
        }
    }
    if let Some(why) = why {
        let found = format!("it lists {}: {why}", denied.join(", "));
        let mend = format!("wicapctl policy explain --session {} --action {}", word(name), denied[0]);
        findings.push(if denied.len() == spec.allowed_actions.len() {
            Finding::fail(Area::Policies, checked, format!("nothing that it permits is allowed: {found}"), mend)
        } else {
            Finding::warn(Area::Policies, checked, found, mend)
        });
    }
    let above: Vec<&str> =
        spec.allowed_actions.iter().filter(|a| a.tier() > spec.max_tier).map(|action| action.as_str()).collect();
    if !above.is_empty() {
        let found = format!("it lists {}, and spec.maxTier is {:?}", above.join(", "), spec.max_tier);
        let mend = format!("wicapctl session start {} --max-tier …", word(&spec.stack));
        let checked = format!("ControlSession {name} permits what it lists");
        findings.push(Finding::warn(Area::Policies, checked, found, mend));
    }
    findings
}

/// Elevations that are of no use.
fn elevations(objects: &Objects, facts: &Facts) -> Vec<Finding> {
    let usable = |e: &&crate::api::elevation::Elevation| {
        e.metadata.deletion_timestamp.is_none()
            && e.expires_at().is_none_or(|at| facts.now < at)
            && e.uses() < e.spec.max_uses
    };
    let mut findings = Vec::new();
    for elevation in objects.elevations.iter().filter(usable) {
        let (name, spec) = (elevation.name(), &elevation.spec);
        let what = spec.action.on(&spec.target);
        let session = objects.sessions.iter().find(|s| s.name() == spec.session);
        let stack = session.and_then(|s| objects.stacks.iter().find(|stack| stack.name() == s.spec.stack));
        let gates = [authorise::SESSION, authorise::RUNTIME_PLANE, authorise::TOOL_POLICY, authorise::TIER];
        let why = match (session, stack) {
            (None, _) => Some(format!("there is no ControlSession {}", spec.session)),
            (Some(session), None) => Some(format!("its session's stack {} is not there", session.spec.stack)),
            (Some(session), Some(stack)) => {
                gates_shut(&gates, (stack, session, spec.action), Some(&spec.target), objects, facts)
            }
        };
        if let Some(why) = why {
            let mend = format!("wicapctl delete elevation {}, or have {what} allowed", word(name));
            let checked = format!("Elevation {name} can be used");
            findings.push(Finding::warn(Area::Policies, checked, format!("{what} is denied all the same: {why}"), mend));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use crate::api::elevation::Elevation;
    use serde_json::{Value, json};

    use super::super::facts::fixtures::{now, object, objects, policy, session, well};
    use super::super::finding::Outcome;
    use super::*;

    fn troubles(change: impl FnOnce(&mut Objects)) -> Vec<(Outcome, String, String)> {
        let mut facts = well();
        change(objects(&mut facts));
        let all = judge(&facts).into_iter().filter(|f| f.result != Outcome::Ok);
        all.map(|f| (f.result, f.checked, f.found)).collect()
    }

    fn changed(name: &str, change: impl FnOnce(&mut Value)) -> ControlPolicy {
        let mut value = serde_json::to_value(policy(name)).unwrap();
        change(&mut value["spec"]);
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn policies_and_sessions_that_agree_are_well() {
        assert_eq!(troubles(|_| {}), []);
    }

    #[test]
    fn without_a_policy_a_session_that_acts_is_in_vain() {
        let found = troubles(|o| o.policies.clear());
        assert_eq!(found.iter().map(|f| f.0).collect::<Vec<_>>(), [Outcome::Fail], "{found:?}");
        let found = troubles(|o| (o.policies, o.sessions) = (Vec::new(), Vec::new()));
        assert_eq!(found.iter().map(|f| f.0).collect::<Vec<_>>(), [Outcome::Warn], "{found:?}");
    }

    #[test]
    fn a_policy_without_hosts_roots_or_rules_shuts_everything() {
        for field in ["hosts", "allowedRoots", "allow"] {
            let found = troubles(|o| o.policies = vec![changed("p", |spec| spec[field] = json!([]))]);
            let (result, checked, why) = &found[0];
            assert_eq!((*result, checked.as_str()), (Outcome::Fail, "ControlPolicy p leaves something to do"));
            assert!(why.contains(&format!("spec.{field}")), "{why}");
        }
    }

    #[test]
    fn policies_that_shut_a_stack_only_together_are_told_once_for_the_stack() {
        let found = troubles(|o| {
            o.policies = vec![
                changed("a", |spec| spec["allow"] = json!([{"actions": ["restart_service"]}])),
                changed("b", |spec| spec["allow"] = json!([{"actions": ["start_service"]}])),
            ];
            o.sessions.clear();
        });
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].1, "the policies leave something to do on the stack wicap");
    }

    #[test]
    fn a_rule_whose_all_is_denied_elsewhere_is_in_vain_and_one_of_which_a_part_is_left_is_not() {
        let with_deny = |deny: Value| {
            troubles(|o| {
                o.policies[0] = changed("one", |spec| {
                    spec["allow"] = json!([{"actions": ["start_service"], "targets": ["ui", "redis"]}, {"actions": ["*"]}]);
                });
                o.policies.push(changed("two", |spec| spec["deny"] = deny));
            })
        };
        let found =
            with_deny(json!([{"actions": ["start_*"], "targets": ["ui"]}, {"actions": ["start_*"], "targets": ["r*"]}]));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].1, "spec.allow[0] of ControlPolicy one allows something");
        assert_eq!(found[0].2, "all that it allows is denied by spec.deny[0] of two, spec.deny[1] of two");
        assert_eq!(with_deny(json!([{"actions": ["start_*"], "targets": ["ui"]}])), []);
        let absent = troubles(|o| {
            let rule = json!([{"actions": ["*"]}, {"actions": ["*"], "stacks": ["tomorrow"]}]);
            o.policies[0] = changed("one", |spec| spec["allow"] = rule);
        });
        assert_eq!(absent, [], "a rule for a stack that is not there yet");
    }

    #[test]
    fn a_session_that_lists_what_no_policy_allows_is_told() {
        let lists = |actions: Value, tier: &str| {
            let mut value = serde_json::to_value(session("night", "wicap")).unwrap();
            value["spec"]["allowedActions"] = actions;
            value["spec"]["maxTier"] = json!(tier);
            troubles(|o| o.sessions = vec![serde_json::from_value(value).unwrap()])
        };
        let some = lists(json!(["restart_service", "status_check"]), "Caution");
        assert_eq!((some[0].0, some.len()), (Outcome::Warn, 1), "{some:?}");
        assert!(some[0].2.starts_with("it lists status_check: "), "{some:?}");
        assert_eq!(lists(json!(["status_check"]), "Caution")[0].0, Outcome::Fail);
        let above = lists(json!(["restart_service"]), "Safe");
        assert_eq!(above[0].2, "it lists restart_service, and spec.maxTier is Safe");
        let lost = troubles(|o| o.sessions[0].spec.stack = "gone".to_owned());
        assert_eq!(lost[0].2, "there is no stack gone: it waits for it");
        let over = troubles(|o| {
            o.sessions[0].spec.end = true;
            o.sessions[0].spec.stack = "gone".to_owned();
        });
        assert_eq!(over, [], "one that has ended is nobody's trouble");
    }

    #[test]
    fn an_elevation_for_what_is_denied_is_told() {
        let elevation = |session: &str| -> Elevation {
            let spec = json!({"session": session, "action": "compose_down_volumes", "approver": "b@h", "reason": "r",
                "ttl": "10m"});
            let mut elevation: Elevation = object("Elevation", "e", spec);
            elevation.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now()));
            elevation
        };
        let found = troubles(|o| o.elevations = vec![elevation("gone")]);
        assert!(found[0].2.ends_with("there is no ControlSession gone"), "{found:?}");
        let found = troubles(|o| o.elevations = vec![elevation("night")]);
        assert!(found[0].2.contains("compose_down_volumes on the whole stack is denied all the same"), "{found:?}");
        let allowed = troubles(|o| {
            o.policies[0] = changed("one", |spec| spec["allow"] = json!([{"actions": ["*"]}]));
            o.sessions[0].spec.allowed_actions.push(ActionKind::ComposeDownVolumes);
            o.sessions[0].spec.max_tier = crate::api::action::Tier::Destructive;
            o.elevations = vec![elevation("night")];
        });
        assert_eq!(allowed, []);
    }
}
