//! Whether a policy's rule matches an action. What cannot be read matches nothing that allows and everything that denies.

use crate::api::action::{ActionKind, Tier};
use crate::api::policy::{PolicyRule, glob_matches};

/// Whether the rule allows the action on the target. The whole stack, `""`, is a target only `*` matches.
pub(super) fn allows(rule: &PolicyRule, action: ActionKind, target: &str, stack: &str) -> bool {
    let any = |patterns: &[String], text: &str| patterns.iter().any(|p| text_matches(p, text) == Some(true));
    rule.actions.iter().any(|p| action_matches(p, action) == Some(true))
        && any(&rule.targets, target)
        && any(&rule.stacks, stack)
}

/// Whether the rule denies the action, which touches all of `targets`.
pub(super) fn denies(rule: &PolicyRule, action: ActionKind, targets: &[&str], stack: &str) -> bool {
    // An empty list is as unreadable as a broken pattern: validation lets neither through.
    let any = |patterns: &[String], matches: &dyn Fn(&str) -> Option<bool>| {
        patterns.is_empty() || patterns.iter().any(|p| matches(p) != Some(false))
    };
    any(&rule.actions, &|p| action_matches(p, action))
        && targets.iter().any(|t| any(&rule.targets, &|p| text_matches(p, t)))
        && any(&rule.stacks, &|p| text_matches(p, stack))
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
        Some(_) => None,
        None => text_matches(pattern, action.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixtures::rule;

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
            assert_eq!(allows(&rule, RESTART, "ui", "wicap"), expected, "{rule:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_allows_nothing_and_denies_everything() {
        for bad in ["", "[", "{ui,redis}", "u?", "ü", "group:destructive", "a b"] {
            let action = rule(&[bad], &["*"]);
            assert!(!allows(&action, RESTART, "ui", "wicap"), "{bad}");
            assert!(denies(&action, RESTART, &["ui"], "wicap"), "{bad}");
        }
        for bad in ["", "[", "{ui,redis}", "u?"] {
            let target = rule(&["restart_service"], &[bad]);
            assert!(!allows(&target, RESTART, "ui", "wicap"), "{bad}");
            assert!(denies(&target, RESTART, &["ui"], "wicap"), "{bad}");
            assert!(!denies(&target, ActionKind::StartService, &["ui"], "wicap"), "{bad}");
        }
        assert!(denies(&rule(&[], &["ui"]), RESTART, &["ui"], "wicap"));
    }

    #[test]
    fn only_a_star_matches_the_whole_stack() {
        for (pattern, expected) in [("*", true), ("**", false), ("ui", false), ("*a", false)] {
            assert_eq!(allows(&rule(&["*"], &[pattern]), ActionKind::ComposeUp, "", "wicap"), expected, "{pattern}");
        }
    }

    #[test]
    fn a_deny_of_one_service_denies_what_touches_all() {
        let deny = rule(&["*"], &["scout"]);
        assert!(denies(&deny, ActionKind::ComposeUp, &["", "ui", "scout"], "wicap"));
        assert!(!denies(&deny, ActionKind::ComposeUp, &["ui"], "wicap"));
    }
}
