//! Whether a policy's rule matches an action. What cannot be read matches nothing that allows and everything that denies.

use kube::core::{Selector, SelectorExt};

use crate::api::Object;
use crate::api::action::{ActionKind, Tier};
use crate::api::policy::{PolicyRule, glob_matches};
use crate::api::stack::WicapStack;

/// Whether the rule allows the action on the target. The whole stack, `""`, is a target only `*` matches.
pub(crate) fn allows(rule: &PolicyRule, action: ActionKind, target: &str, stack: &WicapStack) -> bool {
    let any = |patterns: &[String], text: &str| patterns.iter().any(|p| text_matches(p, text) == Some(true));
    rule.actions.iter().any(|p| action_matches(p, action) == Some(true))
        && any(&rule.targets, target)
        && any(&rule.stacks, stack.name())
        && selects(rule, stack) == Some(true)
}

/// Whether the rule denies the action, which touches all of `targets`.
pub(crate) fn denies(rule: &PolicyRule, action: ActionKind, targets: &[&str], stack: &WicapStack) -> bool {
    // An empty list is as unreadable as a broken pattern: validation lets neither through.
    let any = |patterns: &[String], matches: &dyn Fn(&str) -> Option<bool>| {
        patterns.is_empty() || patterns.iter().any(|p| matches(p) != Some(false))
    };
    any(&rule.actions, &|p| action_matches(p, action))
        && targets.iter().any(|t| any(&rule.targets, &|p| text_matches(p, t)))
        && any(&rule.stacks, &|p| text_matches(p, stack.name()))
        && selects(rule, stack) != Some(false)
}

/// Whether the rule's selector selects the stack by its labels; `None` when it is not a selector.
fn selects(rule: &PolicyRule, stack: &WicapStack) -> Option<bool> {
    let Some(selector) = rule.stack_selector.clone() else { return Some(true) };
    let labels = stack.metadata.labels.clone().unwrap_or_default();
    Selector::try_from(selector).ok().map(|selector| selector.matches(&labels))
}

/// Whether the pattern matches; `None` when it is not a pattern.
pub(super) fn text_matches(pattern: &str, text: &str) -> Option<bool> {
    let usable = !pattern.is_empty()
        && pattern.len() <= 253
        && pattern.bytes().all(|b| b.is_ascii_alphanumeric() || b"*._-:".contains(&b));
    usable.then(|| if text.is_empty() { pattern == "*" } else { glob_matches(pattern, text) })
}

fn action_matches(pattern: &str, action: ActionKind) -> Option<bool> {
    match pattern.strip_prefix("group:") {
        Some("safe") => Some(action.tier() == Tier::Safe),
        Some("caution") => Some(action.tier() == Tier::Caution),
        Some("destructive") => Some(action.tier() == Tier::Destructive),
        Some(_) => None,
        None => text_matches(pattern, action.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::stack::ServiceState;
    use crate::plan::fixtures::{rule, stack};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

    fn wicap() -> WicapStack {
        stack(&[("ui", ServiceState::Running)])
    }

    const RESTART: ActionKind = ActionKind::RestartService;

    #[test]
    fn a_rule_allows_when_all_three_lists_hold_a_match() {
        let table = [
            (rule(&["*"], &["*"]), true),
            (rule(&["restart_service"], &["ui"]), true),
            (rule(&["restart_*"], &["u*"]), true),
            (rule(&["group:caution"], &["*"]), true),
            (rule(&["group:safe"], &["*"]), false),
            (rule(&["start_service"], &["*"]), false),
            (rule(&["*"], &["redis"]), false),
            (rule(&["*"], &["UI"]), false),
            (rule(&[], &["*"]), false),
            (rule(&["*"], &[]), false),
            (PolicyRule { stacks: vec!["other".into()], ..rule(&["*"], &["*"]) }, false),
        ];
        for (rule, expected) in table {
            assert_eq!(allows(&rule, RESTART, "ui", &wicap()), expected, "{rule:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_allows_nothing_and_denies_everything() {
        for bad in ["", "[", "{ui,redis}", "u?", "ü", "group:harmless", "a b"] {
            let action = rule(&[bad], &["*"]);
            assert!(!allows(&action, RESTART, "ui", &wicap()), "{bad}");
            assert!(denies(&action, RESTART, &["ui"], &wicap()), "{bad}");
        }
        for bad in ["", "[", "{ui,redis}", "u?"] {
            let target = rule(&["restart_service"], &[bad]);
            assert!(!allows(&target, RESTART, "ui", &wicap()), "{bad}");
            assert!(denies(&target, RESTART, &["ui"], &wicap()), "{bad}");
            assert!(!denies(&target, ActionKind::StartService, &["ui"], &wicap()), "{bad}");
        }
        assert!(denies(&rule(&[], &["ui"]), RESTART, &["ui"], &wicap()));
    }

    #[test]
    fn a_selector_is_asked_of_the_stacks_labels() {
        let selector = |operator: &str| LabelSelector {
            match_labels: Some([("env".to_owned(), "lab".to_owned())].into()),
            match_expressions: Some(vec![LabelSelectorRequirement {
                key: "owner".to_owned(),
                operator: operator.to_owned(),
                values: None,
            }]),
        };
        // (labels, operator, whether an allow matches, whether a deny does)
        let table = [
            (&[("env", "lab"), ("owner", "ann")][..], "Exists", true, true),
            (&[("env", "lab")], "Exists", false, false),
            (&[("env", "lab")], "DoesNotExist", true, true),
            (&[("env", "live"), ("owner", "ann")], "Exists", false, false),
            (&[], "Exists", false, false),
            (&[("env", "lab"), ("owner", "ann")], "Sometimes", false, true),
        ];
        for (labels, operator, allow, deny) in table {
            let mut stack = wicap();
            stack.metadata.labels = Some(labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect());
            let rule = PolicyRule { stack_selector: Some(selector(operator)), ..rule(&["*"], &["*"]) };
            assert_eq!(allows(&rule, RESTART, "ui", &stack), allow, "{labels:?} {operator}");
            assert_eq!(denies(&rule, RESTART, &["ui"], &stack), deny, "{labels:?} {operator}");
        }
    }

    #[test]
    fn only_a_star_matches_the_whole_stack() {
        for (pattern, expected) in [("*", true), ("**", false), ("ui", false), ("*a", false)] {
            assert_eq!(allows(&rule(&["*"], &[pattern]), ActionKind::ComposeUp, "", &wicap()), expected, "{pattern}");
        }
    }

    #[test]
    fn a_deny_of_one_service_denies_what_touches_all() {
        let deny = rule(&["*"], &["scout"]);
        assert!(denies(&deny, ActionKind::ComposeUp, &["", "ui", "scout"], &wicap()));
        assert!(!denies(&deny, ActionKind::ComposeUp, &["ui"], &wicap()));
    }
}
