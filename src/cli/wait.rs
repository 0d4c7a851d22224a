//! `wait`: until a condition holds, a value is there, or an object exists or is gone. On the watch; nothing is polled.

use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use futures::StreamExt;
use kube::runtime::watcher::Event;
use serde_json::Value;

use super::jsonpath::{Path, text_of};
use super::kind::Kind;
use super::target::Target;
use super::{Error, Io, timeout};
use crate::store::{Store, WatchParams};

/// What kubectl waits when a timeout is negative, or for a deletion without one: a week.
pub const FOREVER: Duration = Duration::from_secs(7 * 24 * 3600);

/// Arguments of `wait`.
#[derive(Debug, Args)]
pub struct Wait {
    /// KIND/NAME… or KIND NAME…
    #[arg(value_name = "KIND", required = true)]
    target: Vec<String>,
    /// condition=TYPE[=VALUE], delete, create or jsonpath={.PATH}[=VALUE]
    #[arg(long = "for", value_name = "WHAT")]
    goal: Goal,
    /// How long, such as 30s; 0s looks once
    #[arg(long, default_value = "30s", value_parser = timeout)]
    timeout: Duration,
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Goal {
    /// There is no such object any more; with a uid, not this one.
    Gone {
        /// Of the object that is to go.
        uid: Option<String>,
    },
    /// There is such an object.
    Exists,
    /// The condition of that type has that status. Both are compared in any case.
    Condition {
        /// Such as `Available`.
        type_: String,
        /// Such as `True`.
        status: String,
    },
    /// The path leads to a value, or to this one.
    Value {
        /// Where to look.
        path: Path,
        /// What should be there; anything when absent.
        value: Option<String>,
    },
}

impl FromStr for Goal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("delete") {
            return Ok(Self::Gone { uid: None });
        }
        if text.eq_ignore_ascii_case("create") {
            return Ok(Self::Exists);
        }
        if let Some(condition) = text.strip_prefix("condition=") {
            let (type_, status) = condition.split_once('=').unwrap_or((condition, "True"));
            if type_.is_empty() || status.is_empty() {
                return Err("expected condition=TYPE or condition=TYPE=VALUE".to_owned());
            }
            return Ok(Self::Condition { type_: type_.to_owned(), status: status.to_owned() });
        }
        if let Some(jsonpath) = text.strip_prefix("jsonpath=") {
            // The path may itself hold `=`, inside its braces.
            let (path, value) = match jsonpath.rfind('}') {
                Some(end) => (&jsonpath[..=end], jsonpath[end + 1..].strip_prefix('=')),
                None => jsonpath.split_once('=').map_or((jsonpath, None), |(path, value)| (path, Some(value))),
            };
            let value = value.map(|v| v.trim_matches(['"', '\'']).to_owned());
            return Ok(Self::Value { path: Path::parse(path).map_err(|e| e.to_string())?, value });
        }
        Err("expected condition=TYPE[=VALUE], delete, create or jsonpath={.PATH}[=VALUE]".to_owned())
    }
}

impl Goal {
    /// Whether it is reached, with the object as it is now.
    #[must_use]
    pub fn reached(&self, object: Option<&Value>) -> bool {
        match self {
            Self::Gone { uid } => {
                let found = object.and_then(|o| o.pointer("/metadata/uid")).and_then(Value::as_str);
                object.is_none() || uid.as_deref().is_some_and(|uid| Some(uid) != found)
            }
            Self::Exists => object.is_some(),
            Self::Condition { type_, status } => object.is_some_and(|o| condition_holds(o, type_, status)),
            Self::Value { path, value } => object.is_some_and(|o| {
                let found = path.find(o);
                match value {
                    Some(value) => found.iter().any(|v| text_of(v) == *value),
                    None => found.iter().any(|v| !v.is_null()),
                }
            }),
        }
    }
}

/// Whether a condition has a status. One about an older spec says nothing about this one.
fn condition_holds(object: &Value, type_: &str, status: &str) -> bool {
    let text = |c: &Value, field: &str| c.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let generation = object.pointer("/metadata/generation").and_then(Value::as_i64);
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().filter(|c| text(c, "type").eq_ignore_ascii_case(type_)).any(|c| {
        let about = c.get("observedGeneration").and_then(Value::as_i64);
        let current = about.zip(generation).is_none_or(|(about, generation)| about >= generation);
        current && text(c, "status").eq_ignore_ascii_case(status)
    })
}

impl Wait {
    pub(super) async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        let mut errors = Vec::new();
        let end = tokio::time::Instant::now() + self.timeout.min(FOREVER);
        for (kind, name) in Target::named(&self.target)? {
            let left = end.saturating_duration_since(tokio::time::Instant::now());
            match until(&kind, &name, &self.goal, left, store).await {
                Ok(()) => writeln!(io.out, "{} condition met", kind.line(&name))?,
                Err(e) => errors.push(e),
            }
            io.out.flush()?;
        }
        Error::all(errors)
    }
}

/// Waits until the goal is reached.
///
/// # Errors
/// [`Error::No`] when it is not in time; not found when there is no object that could reach it; the store's.
pub(super) async fn until(kind: &Kind, name: &str, goal: &Goal, limit: Duration, store: &Store) -> Result<(), Error> {
    // The first look has the store's own time limits: with a limit of 0s it is the only one.
    let now = kind.get(store, name).await?;
    if goal.reached(now.as_ref()) {
        return Ok(());
    }
    if now.is_none() && *goal != Goal::Exists {
        return Err(kind.not_found(name));
    }
    let late = || Error::No(format!("timed out waiting for the condition on {}/{name}", kind.info.plural));
    tokio::time::timeout(limit, watch(kind, name, goal, store)).await.map_err(|_| late())?
}

async fn watch(kind: &Kind, name: &str, goal: &Goal, store: &Store) -> Result<(), Error> {
    let mut events = kind.watch(store, &WatchParams { name: Some(name.to_owned()), ..WatchParams::default() })?;
    let mut listed = None;
    while let Some(event) = events.next().await {
        let reached = match event {
            Ok(Event::Init) => {
                listed = None;
                false
            }
            Ok(Event::InitApply(object)) => {
                listed = Some(object);
                false
            }
            Ok(Event::InitDone) => goal.reached(listed.as_ref()),
            Ok(Event::Apply(object)) => goal.reached(Some(&object)),
            Ok(Event::Delete(_)) if matches!(goal, Goal::Gone { .. } | Goal::Exists) => goal.reached(None),
            // What is gone will not come to any condition.
            Ok(Event::Delete(_)) => return Err(kind.not_found(name)),
            // The watch gets over it; the timeout is the end of patience.
            Err(_) => false,
        };
        if reached {
            return Ok(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn reached(goal: &str, object: &Value) -> bool {
        goal.parse::<Goal>().unwrap().reached(Some(object))
    }

    #[test]
    fn each_goal_is_recognised_when_it_is_reached() {
        let object = json!({
            "metadata": {"generation": 2},
            "status": {"phase": "Active", "services": [{"state": "Running"}], "conditions": [
                {"type": "Available", "status": "True", "observedGeneration": 2},
                {"type": "Observed", "status": "True", "observedGeneration": 1},
                {"type": "Escalated", "status": "False"}]},
        });
        for (goal, expected) in [
            ("condition=Available", true),
            ("condition=available=true", true),
            ("condition=Available=False", false),
            ("condition=Escalated=False", true),
            ("condition=Complete", false),
            // About an older generation.
            ("condition=Observed", false),
            ("jsonpath={.status.phase}=Active", true),
            ("jsonpath='{.status.phase}'=Active", false),
            ("jsonpath={.status.phase}=Ended", false),
            ("jsonpath={.status.phase}", true),
            ("jsonpath={.status.verdict}", false),
            ("jsonpath=.status.services[0].state=Running", true),
            (r#"jsonpath={.status.conditions[?(@.type=="Available")].status}=True"#, true),
            ("create", true),
            ("delete", false),
        ] {
            if goal.contains('\'') {
                assert!(goal.parse::<Goal>().is_err() || !reached(goal, &object), "{goal}");
            } else {
                assert_eq!(reached(goal, &object), expected, "{goal}");
            }
        }
    }

    #[test]
    fn an_object_that_was_made_anew_counts_as_gone() {
        let goal = Goal::Gone { uid: Some("a".into()) };
        assert!(goal.reached(None));
        assert!(goal.reached(Some(&json!({"metadata": {"uid": "b"}}))));
        assert!(!goal.reached(Some(&json!({"metadata": {"uid": "a"}}))));
    }

    #[test]
    fn what_is_no_goal_is_refused() {
        for goal in ["", "Available", "condition=", "condition=A=", "jsonpath={.a", "created"] {
            assert!(goal.parse::<Goal>().is_err(), "{goal}");
        }
    }
}
