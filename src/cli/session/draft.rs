//! What flags mean, and the manifest that they make. Pure.

use std::collections::BTreeSet;
use std::str::FromStr;

use crate::api::action::{ActionKind, Tier};
use crate::api::policy::GROUPS;
use crate::api::session::{ControlSession, Mode};
use crate::api::stack::WicapStack;
use crate::api::{API_VERSION, Duration, Object, Time};
use serde_json::{Value, json};

/// The annotation of a successor that names the session whose place it takes.
pub const EXTENDS: &str = "wicap.dev/extends";

/// The most characters of a stack's name that a session's begins with: with the time behind it, it is well under the 253 of
/// a name.
const STACK_SHARE: usize = 200;

/// A session in the making.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Its name.
    pub name: String,
    /// The stack's.
    pub stack: String,
    /// What is done with what is permitted.
    pub mode: Mode,
    /// How long it lasts.
    pub ttl: Duration,
    /// The highest tier.
    pub max_tier: Tier,
    /// The actions.
    pub allowed: Vec<ActionKind>,
    /// The most actions in a window.
    pub budget: Option<Rate>,
    /// Whether a person has to agree to what changes something.
    pub ask: bool,
    /// Who opens it.
    pub operator: String,
    /// Why.
    pub reason: String,
}

/// A number of actions in a window: `6/1h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub actions: u32,
    /// In which time.
    pub window: Duration,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected a number and a window, such as 6/1h".to_owned();
        let (actions, window) = text.split_once('/').ok_or_else(expected)?;
        let (actions, window) = (actions.parse().map_err(|_| expected())?, window.parse().map_err(|_| expected())?);
        Ok(Self { actions, window })
    }
}

/// A word of `--allow`: an action, or all of a tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allow {
    /// That action.
    Action(ActionKind),
    /// Every action of that tier.
    Group(Tier),
}

impl FromStr for Allow {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let group = || GROUPS.iter().position(|name| *name == text);
        let action = || ActionKind::ALL.into_iter().find(|kind| kind.as_str() == text).map(Self::Action);
        let tiers = [Tier::Safe, Tier::Caution, Tier::Destructive];
        let expected = || {
            let all: Vec<_> = ActionKind::ALL.iter().map(|kind| kind.as_str()).chain(GROUPS).collect();
            format!("expected some of {}", all.join(", "))
        };
        action().or_else(|| group().and_then(|i| tiers.get(i).copied()).map(Self::Group)).ok_or_else(expected)
    }
}

/// A mode by its name, in any case.
pub fn mode(text: &str) -> Result<Mode, String> {
    let all = [Mode::Monitor, Mode::Shadow, Mode::Canary, Mode::Assist];
    named(text, &all)
}

/// A tier by its name, in any case.
pub fn tier(text: &str) -> Result<Tier, String> {
    named(text, &[Tier::Safe, Tier::Caution, Tier::Destructive])
}

fn named<T: Copy + std::fmt::Debug>(text: &str, all: &[T]) -> Result<T, String> {
    let names: Vec<String> = all.iter().map(|value| format!("{value:?}")).collect();
    let found = names.iter().position(|name| name.eq_ignore_ascii_case(text)).and_then(|i| all.get(i).copied());
    found.ok_or_else(|| format!("expected one of {}", names.join(", ")))
}

/// The actions that `--allow` names, in the order of the allowlist.
///
/// # Errors
/// The first that is above the highest tier: it would be listed, and denied.
pub fn expanded(words: &[Allow], max_tier: Tier) -> Result<Vec<ActionKind>, String> {
    let names = |action: ActionKind| {
        words.iter().any(|word| match word {
            Allow::Action(named) => *named == action,
            Allow::Group(tier) => *tier == action.tier(),
        })
    };
    let allowed: Vec<ActionKind> = ActionKind::ALL.into_iter().filter(|action| names(*action)).collect();
    match allowed.iter().find(|action| action.tier() > max_tier) {
        None => Ok(allowed),
        Some(action) => Err(format!("{action} is {:?}: it needs --max-tier {0:?}", action.tier())),
    }
}

/// What a stack's ladders and rollbacks name, of its managed services: what the planner can ask for. To look is always among
/// it.
pub fn ladders(stack: &WicapStack, max_tier: Tier) -> Vec<ActionKind> {
    let recoveries = stack.spec.services.iter().filter(|s| s.managed).map(|s| stack.spec.recovery(s));
    let steps = recoveries.flat_map(|r| r.ladder.iter().chain(&r.rollback)).map(|step| step.action);
    let all: BTreeSet<ActionKind> = steps.chain([ActionKind::StatusCheck]).filter(|a| a.tier() <= max_tier).collect();
    all.into_iter().collect()
}

/// A name for a session of that stack: `wicap-20261129-001530`, in UTC.
pub fn name(stack: &str, now: Time) -> String {
    let stack: String = stack.chars().take(STACK_SHARE).collect();
    format!("{stack}-{}", now.strftime("%Y%m%d-%H%M%S"))
}

impl Draft {
    /// What is applied: what was asked for and no defaults.
    pub fn manifest(&self) -> Value {
        let mut spec = json!({
            "stack": self.stack,
            "mode": self.mode,
            "ttl": self.ttl,
            "maxTier": self.max_tier,
            "allowedActions": self.allowed,
            "operator": self.operator,
            "reason": self.reason,
        });
        if let Some(Rate { actions, window }) = self.budget {
            spec["budget"] = json!({"maxActions": actions, "window": window});
        }
        if self.ask {
            spec["approval"] = json!({"caution": "Ask"});
        }
        // Little is tried, and not for long: one failure, or a critical service that gets worse, is the end of it.
        if self.mode == Mode::Canary {
            spec["canary"] = json!({"actions": self.allowed, "stopRules": {"maxFailures": 1, "criticalUnhealthy": true}});
        }
        document(&self.name, spec)
    }
}

fn document(name: &str, spec: Value) -> Value {
    json!({"apiVersion": API_VERSION, "kind": "ControlSession", "metadata": {"name": name}, "spec": spec})
}

/// The manifest of a session that was never applied: its spec as it is.
pub fn bare(live: &Value) -> Value {
    let name = live.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    document(name, live.get("spec").cloned().unwrap_or_default())
}

/// The manifest of the session that takes another's place: the same permissions, for that long, in the name of who extends
/// it.
pub fn successor(session: &ControlSession, name: &str, ttl: Duration, operator: &str, reason: Option<&str>) -> Value {
    let mut spec = session.spec.clone();
    spec.ttl = ttl;
    spec.end = false;
    operator.clone_into(&mut spec.operator);
    if let Some(reason) = reason {
        reason.clone_into(&mut spec.reason);
    }
    let mut manifest = document(name, json!(spec));
    manifest["metadata"]["annotations"] = json!({EXTENDS: session.name()});
    if let Some(spec) = manifest["spec"].as_object_mut() {
        spec.remove("end");
    }
    manifest
}

#[cfg(test)]
mod tests {
    use crate::api::validate::is_object_name;
    use proptest::prelude::*;

    use super::*;

    fn draft() -> Draft {
        Draft {
            name: "night".to_owned(),
            stack: "wicap".to_owned(),
            mode: Mode::Assist,
            ttl: "8h".parse().unwrap(),
            max_tier: Tier::Caution,
            allowed: vec![ActionKind::RestartService],
            budget: "6/1h".parse().ok(),
            ask: true,
            operator: "ann@host".to_owned(),
            reason: "because".to_owned(),
        }
    }

    fn session(manifest: &Value) -> ControlSession {
        serde_json::from_value(manifest.clone()).unwrap()
    }

    #[test]
    fn a_manifest_says_what_was_asked_for() {
        let expected = json!({
            "apiVersion": "wicap.dev/v1alpha1", "kind": "ControlSession", "metadata": {"name": "night"},
            "spec": {
                "stack": "wicap", "mode": "Assist", "ttl": "8h", "maxTier": "Caution", "allowedActions": ["restart_service"],
                "budget": {"maxActions": 6, "window": "1h"}, "approval": {"caution": "Ask"}, "operator": "ann@host",
                "reason": "because",
            },
        });
        assert_eq!(draft().manifest(), expected);
        for mode in [Mode::Monitor, Mode::Shadow, Mode::Canary, Mode::Assist] {
            let session = session(&Draft { mode, ..draft() }.manifest());
            assert_eq!(session.validate(), [], "{mode:?}");
        }
    }

    #[test]
    fn words_are_understood_in_any_case_and_others_are_refused_with_what_there_is() {
        assert_eq!((mode("assist"), tier("SAFE")), (Ok(Mode::Assist), Ok(Tier::Safe)));
        assert_eq!(mode("help").unwrap_err(), "expected one of Monitor, Shadow, Canary, Assist");
        assert_eq!("6/1h".parse::<Rate>().map(|r| r.actions), Ok(6));
        for bad in ["6", "6/", "/1h", "x/1h", "6/soon", "-1/1h"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad}");
        }
        assert_eq!("group:safe".parse(), Ok(Allow::Group(Tier::Safe)));
        assert!("rm".parse::<Allow>().unwrap_err().contains("restart_service"));
    }

    #[test]
    fn what_is_above_the_highest_tier_is_refused_and_not_listed_in_vain() {
        let group = |tier| Allow::Group(tier);
        assert_eq!(expanded(&[group(Tier::Safe)], Tier::Safe), Ok(vec![ActionKind::StatusCheck]));
        let twice = [Allow::Action(ActionKind::RestartService), group(Tier::Caution)];
        assert_eq!(expanded(&twice, Tier::Caution).unwrap().len(), 7);
        let why = expanded(&[group(Tier::Destructive)], Tier::Caution).unwrap_err();
        assert_eq!(why, "compose_down_volumes is Destructive: it needs --max-tier Destructive");
    }

    #[test]
    fn the_ladders_of_managed_services_are_what_is_permitted_by_default() {
        let stack: WicapStack = serde_json::from_value(json!({
            "apiVersion": "wicap.dev/v1alpha1", "kind": "WicapStack", "metadata": {"name": "s"},
            "spec": {"compose": {"project": "p", "directory": "/srv/p"}, "services": [
                {"name": "a", "recovery": {"ladder": [{"action": "restart_service"}]}},
                {"name": "b", "managed": false, "recovery": {"ladder": [{"action": "recreate_service"}]}},
            ]},
        }))
        .unwrap();
        assert_eq!(ladders(&stack, Tier::Caution), [ActionKind::StatusCheck, ActionKind::RestartService]);
        assert_eq!(ladders(&stack, Tier::Safe), [ActionKind::StatusCheck]);
    }

    #[test]
    fn a_successor_permits_the_same_and_names_whose_place_it_takes() {
        let mut old = session(&draft().manifest());
        old.spec.end = true;
        let manifest = successor(&old, "night-2", "2h".parse().unwrap(), "bob@host", None);
        let new = session(&manifest);
        assert_eq!(new.metadata.annotations.unwrap()[EXTENDS], "night");
        assert_eq!((new.spec.operator.as_str(), new.spec.reason.as_str(), new.spec.end), ("bob@host", "because", false));
        assert_eq!(new.spec.allowed_actions, old.spec.allowed_actions);
        assert_eq!(new.spec.budget, old.spec.budget);
    }

    proptest! {
        #[test]
        fn a_name_that_is_made_is_one(stack in "[a-z0-9]([-a-z0-9]{0,250}[a-z0-9])?", seconds in 0..4_000_000_000_i64) {
            let name = name(&stack, Time::from_second(seconds).unwrap());
            prop_assert!(is_object_name(&name), "{}", name);
        }
    }
}
