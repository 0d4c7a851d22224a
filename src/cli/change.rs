//! A change of one object that is there: read, edit, judge by every rule, write; again when others got in between.

use serde_json::Value;

use super::Error;
use super::dry_run::DryRun;
use super::kind::{Kind, name_of};
use super::merge;
use crate::api::Violation;
use crate::store::{self, Store};

/// How often a write is tried that others got in between of. Each try reads again, so one of two that race always gets
/// through.
pub(super) const TRIES: usize = 8;

/// What a change came to.
#[derive(Debug)]
pub(super) struct Changed {
    /// The object as it was.
    pub before: Value,
    /// As it is now, or would be after a dry run.
    pub after: Value,
}

impl Changed {
    /// Whether it changed anything.
    pub fn anything(&self) -> bool {
        !merge::same(&self.before, &self.after)
    }
}

/// Changes an object by `edit`, which is called again on what others wrote in between. A uid or resourceVersion that `edit`
/// sets is a precondition; what else the store writes stays as it is, and so does the status.
///
/// # Errors
/// What `edit` says; not found; a precondition that does not hold; a result that breaks rules.
pub(super) async fn change(
    kind: &Kind,
    name: &str,
    store: &Store,
    dry_run: DryRun,
    edit: impl Fn(&Value) -> Result<Value, Error>,
) -> Result<Changed, Error> {
    for _ in 0..TRIES {
        let live = kind.get(store, name).await?.ok_or_else(|| kind.not_found(name))?;
        let after = judged(kind, name, edit(&live)?, &live)?;
        if merge::same(&after, &live) {
            return Ok(Changed { after: live.clone(), before: live });
        }
        if !dry_run.writes() {
            return Ok(Changed { before: live, after });
        }
        match kind.replace(store, &after).await {
            // A precondition of the edit is judged anew on the next reading.
            Err(store::Error::Conflict { .. }) => {}
            written => return Ok(Changed { before: live, after: written? }),
        }
    }
    Err(store::Error::Conflict { what: kind.line(name) }.into())
}

/// The object to write, if nothing is wrong with what was made of the live one.
fn judged(kind: &Kind, name: &str, edited: Value, live: &Value) -> Result<Value, Error> {
    for field in ["uid", "resourceVersion"] {
        let at = |object: &Value| object.pointer(&format!("/metadata/{field}")).filter(|v| !v.is_null()).cloned();
        if at(&edited).is_some_and(|wanted| Some(wanted) != at(live)) {
            let what = format!("the {field} of {} {name:?}", kind.info.plural);
            return Err(store::Error::Conflict { what }.into());
        }
    }
    let invalid = |violations| store::Error::Invalid { kind: kind.info.plural, name: name.to_owned(), violations };
    let new = merge::with_metadata_of_the_store(edited, live);
    let new = kind.decode(&new).map_err(invalid)?;
    if name_of(&new) != name {
        let found = format!("{:?}", name_of(&new));
        let fixed = Violation::new("metadata.name", found, format!("{name:?}: a name is for ever"));
        return Err(invalid(vec![fixed]).into());
    }
    let violations = kind.check_update(&new, live);
    if violations.is_empty() { Ok(new) } else { Err(invalid(violations).into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn stop() -> Value {
        json!({
            "apiVersion": "wicap.dev/v1alpha1", "kind": "EmergencyStop",
            "metadata": {"name": "s", "uid": "u", "resourceVersion": "7", "generation": 1},
            "spec": {"reason": "r", "by": "b"},
        })
    }

    fn judge(change: impl FnOnce(&mut Value)) -> Result<Value, String> {
        let (kind, live) = (Kind::find("stop").unwrap(), stop());
        let mut edited = live.clone();
        change(&mut edited);
        judged(&kind, "s", edited, &live).map_err(|e| e.to_string())
    }

    #[test]
    fn what_the_store_writes_stays_and_the_rest_is_judged() {
        let new = judge(|o| {
            o["metadata"] = json!({"name": "s", "labels": {"a": "1"}, "generation": 5});
            o["status"] = json!({"nonsense": 1});
        });
        let new = new.unwrap();
        assert_eq!(
            new["metadata"],
            json!({"name": "s", "uid": "u", "resourceVersion": "7", "generation": 1, "labels": {"a": "1"}})
        );
        assert!(new.get("status").is_none_or(Value::is_null));
        let message = judge(|o| o["metadata"]["name"] = json!("t")).unwrap_err();
        assert!(message.starts_with("The EmergencyStop \"s\" is invalid: metadata.name: found \"t\""), "{message}");
        let message = judge(|o| o["spec"]["raeson"] = json!("t")).unwrap_err();
        assert!(message.contains("spec.raeson: found an unknown field"), "{message}");
    }

    #[test]
    fn a_precondition_that_does_not_hold_is_a_conflict() {
        for field in ["uid", "resourceVersion"] {
            let message = judge(|o| o["metadata"][field] = json!("8")).unwrap_err();
            assert!(message.starts_with(&format!("Error from server (Conflict): the {field} of")), "{message}");
        }
        assert!(judge(|o| o["metadata"]["resourceVersion"] = json!("7")).is_ok());
    }
}
