//! What was seen last of what is waited for: the line that makes a timeout worth reading. Pure.

use serde_json::Value;

use super::goal::{Goal, What, condition, is_current, text};
use crate::api::Time;
use crate::cli::finalizers::held_by;
use crate::cli::jsonpath::text_of;
use crate::cli::print::age::age;

/// The most characters that are shown of a value: one line of a terminal.
const SHOWN: usize = 80;

/// A state, and since when it has lasted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    words: String,
    /// As the object says.
    since: Option<Time>,
}

/// What was seen last of each goal.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The state, and when it was first seen as it is.
    states: Vec<(State, Time)>,
}

impl Seen {
    /// Takes another look.
    pub fn look(&mut self, goals: &[Goal], object: Option<&Value>, now: Time) {
        let states = goals.iter().enumerate().map(|(i, goal)| {
            let state = state(goal, object);
            let first = match self.states.get(i) {
                Some((old, first)) if old.words == state.words => *first,
                _ => now,
            };
            (state, first)
        });
        self.states = states.collect();
    }

    /// `last seen: Available is False (Degraded: ui is Exited), for 5m`, one line a goal. Nothing before the first look.
    #[must_use]
    pub fn lines(&self, now: Time) -> String {
        let mut lines: Vec<String> = Vec::new();
        for (state, first) in &self.states {
            let lasted = match state.since {
                Some(since) => age(since, now),
                // It may have been so before anybody looked.
                None => format!("{} or longer", age(*first, now)),
            };
            let line = format!("last seen: {}, for {lasted}", state.words);
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        lines.join("\n")
    }
}

fn state(goal: &Goal, object: Option<&Value>) -> State {
    let unknown = |words: String| State { words, since: None };
    let Some(object) = object else { return unknown("there is no such object".to_owned()) };
    match &goal.what {
        What::Exists => unknown("it is there".to_owned()),
        What::Gone { .. } => match object.pointer("/metadata/deletionTimestamp").and_then(Value::as_str) {
            Some(since) => State { words: held(object), since: since.parse().ok() },
            None => unknown("nobody has asked for it to be deleted".to_owned()),
        },
        What::Condition { type_, .. } => match condition(object, type_) {
            Some(found) => {
                State { words: condition_in_words(object, found), since: text(found, "lastTransitionTime").parse().ok() }
            }
            None => unknown(format!("it has no condition {type_}{}", those_it_has(object))),
        },
        What::Value { path, shown, .. } => {
            let values: Vec<String> = path.find(object).into_iter().map(|v| format!("{:?}", cut(&text_of(v)))).collect();
            unknown(if values.is_empty() {
                format!("there is nothing at {shown}")
            } else {
                format!("{shown} is {}", values.join(" "))
            })
        }
    }
}

fn held(object: &Value) -> String {
    let held = held_by(object);
    if held.is_empty() { "it is Terminating".to_owned() } else { format!("it is Terminating, held by {}", held.join(", ")) }
}

fn condition_in_words(object: &Value, condition: &Value) -> String {
    let mut words = format!("{} is {}", text(condition, "type"), text(condition, "status"));
    let why: Vec<&str> =
        [text(condition, "reason"), text(condition, "message")].into_iter().filter(|t| !t.is_empty()).collect();
    if !why.is_empty() {
        words += &format!(" ({})", cut(&why.join(": ")));
    }
    if !is_current(object, condition) {
        words += ", which is about an older spec";
    }
    words
}

fn those_it_has(object: &Value) -> String {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    let has: Vec<String> =
        conditions.into_iter().flatten().map(|c| format!("{}={}", text(c, "type"), text(c, "status"))).collect();
    if has.is_empty() { String::new() } else { format!(" (it has {})", has.join(", ")) }
}

/// As much of a text as is shown.
fn cut(text: &str) -> String {
    if text.chars().count() <= SHOWN {
        return text.to_owned();
    }
    text.chars().take(SHOWN).collect::<String>() + "..."
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(seconds: i64) -> Time {
        Time::from_second(seconds).unwrap()
    }

    fn lines(goal: &str, object: Option<&Value>) -> String {
        let mut seen = Seen::default();
        let goals = [goal.parse().unwrap()];
        seen.look(&goals, object, at(300));
        seen.look(&goals, object, at(310));
        seen.lines(at(330))
    }

    #[test]
    fn each_goal_has_words_for_what_was_seen_last() {
        let object = json!({
            "metadata": {"generation": 2},
            "status": {"phase": "Pending", "conditions": [
                {"type": "Available", "status": "False", "reason": "Degraded", "message": "ui is Exited",
                 "lastTransitionTime": "1970-01-01T00:00:30Z", "observedGeneration": 1}]},
        });
        let going = json!({"metadata": {"deletionTimestamp": "1970-01-01T00:05:00Z", "finalizers": ["wicap.dev/soak"]}});
        for (goal, object, expected) in [
            (
                "condition=available",
                Some(&object),
                "last seen: Available is False (Degraded: ui is Exited), which is about an older spec, for 5m",
            ),
            (
                "condition=Observed",
                Some(&object),
                "last seen: it has no condition Observed (it has Available=False), for 30s or longer",
            ),
            (
                "jsonpath={.status.phase}=Active",
                Some(&object),
                "last seen: {.status.phase} is \"Pending\", for 30s or longer",
            ),
            ("jsonpath={.status.x}", Some(&object), "last seen: there is nothing at {.status.x}, for 30s or longer"),
            ("delete", Some(&object), "last seen: nobody has asked for it to be deleted, for 30s or longer"),
            (
                "delete",
                Some(&going),
                "last seen: it is Terminating, held by wicap.dev/soak (the soak controller's), for 30s",
            ),
            ("create", None, "last seen: there is no such object, for 30s or longer"),
        ] {
            assert_eq!(lines(goal, object), expected, "{goal}");
        }
    }

    #[test]
    fn a_change_begins_the_time_anew() {
        let goals = ["jsonpath={.status.phase}=Active".parse().unwrap()];
        let mut seen = Seen::default();
        seen.look(&goals, Some(&json!({"status": {"phase": "Pending"}})), at(0));
        seen.look(&goals, Some(&json!({"status": {"phase": "Waiting"}})), at(100));
        assert_eq!(seen.lines(at(110)), "last seen: {.status.phase} is \"Waiting\", for 10s or longer");
    }

    #[test]
    fn a_long_value_is_cut() {
        let object = json!({"status": {"x": "y".repeat(1000)}});
        assert!(lines("jsonpath={.status.x}=z", Some(&object)).len() < 200);
    }
}
