//! What is to be done with one object: its manifest compared with what the store holds.

use serde_json::Value;

use super::super::manifest::Manifest;
use super::super::{Error, merge, recreate};
use crate::api::Violation;
use crate::store::{self, Store};

/// What is to be done with one object.
#[derive(Debug)]
pub(crate) enum Step {
    /// There is none of that name.
    Create {
        /// The object to make.
        object: Value,
    },
    /// It is to be changed.
    Replace {
        /// The object as it should be, with the resourceVersion it was read at.
        object: Value,
        /// As it is.
        live: Value,
    },
    /// The change is one that may not be made: it is removed and made anew. Only when that is permitted.
    Recreate {
        /// The object to make.
        object: Value,
        /// The one that goes.
        live: Value,
    },
    /// It is as it should be.
    Nothing {
        /// As it is.
        live: Value,
    },
}

/// Compares a manifest with the store. The outer error is the store's, the inner one the manifest's. With `force`, what
/// cannot be changed is made anew.
pub(crate) async fn plan(manifest: &Manifest, force: bool, store: &Store) -> Result<Result<Step, Vec<Violation>>, Error> {
    let live = manifest.kind.get(store, &manifest.name).await?;
    let step = compare(manifest, live, force);
    if let Ok(Step::Replace { live, .. } | Step::Recreate { live, .. }) = &step {
        precondition(manifest, live)?;
    }
    Ok(step)
}

fn compare(manifest: &Manifest, live: Option<Value>, force: bool) -> Result<Step, Vec<Violation>> {
    let (kind, wanted) = (&manifest.kind, merge::wanted(&manifest.document));
    let Some(live) = live else {
        return kind.decode(&merge::annotated(&wanted)).map(|object| Step::Create { object });
    };
    super::prune::may_be_taken_in(&wanted, &live)?;
    let merged = merge::three_way(merge::last_applied(&live).as_ref(), &wanted, &live);
    let object = kind.decode(&merged)?;
    // What was got from the store says in its annotation what was applied. To apply it as it is claims no field anew.
    let got = merge::carries_annotation_of(&manifest.document, &live);
    if merge::same(&object, &live) || got && merge::same_but_annotation(&object, &live) {
        return Ok(Step::Nothing { live });
    }
    match kind.check_update(&object, &live) {
        violations if violations.is_empty() => Ok(Step::Replace { object, live }),
        _ if force => Ok(Step::Recreate { object: kind.decode(&recreate::new_life(&object))?, live }),
        violations => Err(violations),
    }
}

/// What a manifest demands of the object as it is, by a uid or a resourceVersion in it: kubectl's optimistic lock.
fn precondition(manifest: &Manifest, live: &Value) -> Result<(), Error> {
    for field in ["uid", "resourceVersion"] {
        let text = |of: &Value| of.pointer(&format!("/metadata/{field}")).and_then(Value::as_str).map(str::to_owned);
        if text(&manifest.document).is_some_and(|wanted| !wanted.is_empty() && Some(wanted) != text(live)) {
            let what = format!("the {field} of {} {:?}", manifest.kind.info.plural, manifest.name);
            return Err(store::Error::Conflict { what }.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::kind::Kind;
    use serde_json::json;

    fn session(change: impl FnOnce(&mut Value)) -> Manifest {
        let mut document = json!({
            "apiVersion": "wicap.dev/v1alpha1", "kind": "ControlSession", "metadata": {"name": "c"},
            "spec": {"stack": "s", "mode": "Assist", "ttl": "1h", "allowedActions": ["restart_service"],
                     "operator": "ann@host", "reason": "night"},
        });
        change(&mut document);
        Manifest { origin: "f".into(), kind: Kind::find("session").unwrap(), name: "c".into(), document }
    }

    fn live() -> Value {
        let Ok(Step::Create { mut object }) = compare(&session(|_| {}), None, false) else { panic!("it is not there") };
        object["metadata"]["uid"] = json!("u");
        object["metadata"]["resourceVersion"] = json!("7");
        object
    }

    fn word(step: Result<Step, Vec<Violation>>) -> &'static str {
        match step {
            Ok(Step::Create { .. }) => "create",
            Ok(Step::Replace { .. }) => "replace",
            Ok(Step::Recreate { object, .. }) => {
                assert_eq!(object["metadata"].get("uid"), None, "a new object gets a uid of its own");
                "recreate"
            }
            Ok(Step::Nothing { .. }) => "nothing",
            Err(_) => "mistake",
        }
    }

    #[test]
    fn an_object_is_made_changed_left_alone_or_made_anew() {
        let shorter = || session(|d| d["spec"]["ttl"] = json!("30m"));
        let other = || session(|d| d["spec"]["stack"] = json!("t"));
        for (manifest, there, force, expected) in [
            (session(|_| {}), false, false, "create"),
            (session(|_| {}), true, false, "nothing"),
            (session(|_| {}), true, true, "nothing"),
            (shorter(), true, false, "replace"),
            (shorter(), true, true, "replace"),
            (other(), true, false, "mistake"),
            (other(), true, true, "recreate"),
            (session(|d| d["spec"]["mode"] = json!("assist")), true, true, "mistake"),
        ] {
            assert_eq!(word(compare(&manifest, there.then(live), force)), expected, "{}", manifest.document);
        }
    }

    #[test]
    fn what_was_got_and_is_applied_changes_nothing_unless_it_was_edited() {
        let got = |change: fn(&mut Value)| {
            let mut document = live();
            change(&mut document);
            Manifest { document, ..session(|_| {}) }
        };
        assert_eq!(word(compare(&got(|_| {}), Some(live()), false)), "nothing");
        assert_eq!(word(compare(&got(|d| d["spec"]["end"] = json!(true)), Some(live()), false)), "replace");
        let without_annotation = got(|d| drop(d["metadata"].as_object_mut().unwrap().remove("annotations")));
        assert_eq!(word(compare(&without_annotation, Some(live()), false)), "replace", "its fields are claimed now");
    }

    #[test]
    fn a_manifest_may_demand_what_it_was_made_from() {
        let demanding = |field: &str, value: &str| {
            let (field, value) = (field.to_owned(), json!(value));
            precondition(&session(move |d| d["metadata"][field] = value), &live()).map_err(|e| e.to_string())
        };
        assert_eq!(demanding("uid", "u"), Ok(()));
        assert_eq!(demanding("resourceVersion", "7"), Ok(()));
        assert_eq!(demanding("resourceVersion", ""), Ok(()));
        for field in ["uid", "resourceVersion"] {
            let message = demanding(field, "8").unwrap_err();
            assert!(message.starts_with("Error from server (Conflict): the "), "{message}");
        }
    }
}
