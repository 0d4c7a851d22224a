//! Finalizers: what keeps an object that is to go, and whose they are.

use serde_json::Value;

use super::print::age::age_of;
use crate::api::{GROUP, Time};

/// Each finalizer of an object, with whose it is: `wicap.dev/soak (the soak controller's)`.
#[must_use]
pub fn held_by(object: &Value) -> Vec<String> {
    let finalizers = object.pointer("/metadata/finalizers").and_then(Value::as_array);
    finalizers.into_iter().flatten().filter_map(Value::as_str).map(with_owner).collect()
}

/// A finalizer is named DOMAIN/NAME by whoever will report it as done.
fn with_owner(finalizer: &str) -> String {
    match finalizer.split_once('/') {
        Some((GROUP, controller)) if !controller.is_empty() => format!("{finalizer} (the {controller} controller's)"),
        Some((domain, _)) if !domain.is_empty() => format!("{finalizer} (of {domain})"),
        _ => format!("{finalizer} (its name does not say whose it is)"),
    }
}

/// Since when an object is to go and what holds it, in words; nothing of one that may stay.
#[must_use]
pub fn terminating(object: &Value, now: Time) -> Option<String> {
    let since = object.pointer("/metadata/deletionTimestamp").and_then(Value::as_str)?;
    let age = age_of(since, now);
    let held = held_by(object);
    Some(if held.is_empty() {
        format!("Terminating for {age}, held by nothing: the gc controller removes it")
    } else {
        format!("Terminating for {age}, held by {}", held.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_finalizer_says_whose_it_is() {
        let object = json!({"metadata": {"finalizers": ["wicap.dev/soak", "example.com/backup", "orphan", "/x"]}});
        let unknown = "(its name does not say whose it is)";
        assert_eq!(
            held_by(&object),
            [
                "wicap.dev/soak (the soak controller's)".to_owned(),
                "example.com/backup (of example.com)".to_owned(),
                format!("orphan {unknown}"),
                format!("/x {unknown}"),
            ]
        );
    }

    #[test]
    fn only_what_is_to_go_is_terminating() {
        let now = "2026-01-01T00:05:00Z".parse().unwrap();
        assert_eq!(terminating(&json!({"metadata": {"finalizers": ["a/b"]}}), now), None);
        let marked = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a/b"]}});
        assert_eq!(terminating(&marked, now).as_deref(), Some("Terminating for 5m, held by a/b (of a)"));
        let free = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
        assert!(terminating(&free, now).unwrap().contains("held by nothing"));
    }
}
