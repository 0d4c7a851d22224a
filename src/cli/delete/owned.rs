//! The objects that an object owns: those whose `ownerReferences` name its uid.

use serde_json::Value;

use crate::cli::Error;
use crate::cli::kind::{Kind, name_of};
use crate::cli::wait::goal::Goal;
use crate::cli::wait::waiting::Awaited;
use crate::store::{self, ListParams, Store};

/// How often an object is freed that others write meanwhile. Each try reads it anew, so one of two always gets through.
const TRIES: usize = 8;

/// Objects that have the same owner.
#[derive(Debug, Default)]
pub struct Owned {
    objects: Vec<(Kind, Value)>,
}

impl Owned {
    /// What the object of that uid owns, of every kind.
    ///
    /// # Errors
    /// The store's.
    pub async fn by(uid: &str, store: &Store) -> Result<Self, Error> {
        let mut objects = Vec::new();
        for kind in Kind::all() {
            for object in kind.list(store, &ListParams::default()).await? {
                if is_owned_by(&object, uid) {
                    objects.extend(Kind::of(kind.info).map(|kind| (kind, object)));
                }
            }
        }
        Ok(Self { objects })
    }

    /// Takes the owner of that uid off each of them, so that they outlive it.
    ///
    /// # Errors
    /// The store's; [`store::Error::Conflict`] for one that others write all the time.
    pub async fn set_free(&self, uid: &str, store: &Store) -> Result<(), Error> {
        for (kind, object) in &self.objects {
            free(kind, name_of(object), uid, store).await?;
        }
        Ok(())
    }

    /// That they are gone.
    pub fn awaited(self) -> Vec<Awaited> {
        let gone = |(kind, object): (Kind, Value)| {
            let uid = object.pointer("/metadata/uid").and_then(Value::as_str).map(str::to_owned);
            Awaited::new(kind, name_of(&object).to_owned(), vec![Goal::gone(uid)])
        };
        self.objects.into_iter().map(gone).collect()
    }
}

async fn free(kind: &Kind, name: &str, uid: &str, store: &Store) -> Result<(), Error> {
    for _ in 0..TRIES {
        let Some(mut object) = kind.get(store, name).await? else { return Ok(()) };
        if !is_owned_by(&object, uid) {
            return Ok(());
        }
        disown(&mut object, uid);
        match kind.replace(store, &object).await {
            Ok(_) | Err(store::Error::NotFound { .. }) => return Ok(()),
            Err(store::Error::Conflict { .. }) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Err(store::Error::Conflict { what: kind.line(name) }.into())
}

fn is_owned_by(object: &Value, uid: &str) -> bool {
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    owners.into_iter().flatten().any(|owner| owner.get("uid").and_then(Value::as_str) == Some(uid))
}

/// Takes an owner off an object; its other owners keep it.
fn disown(object: &mut Value, uid: &str) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    let Some(owners) = metadata.get_mut("ownerReferences").and_then(Value::as_array_mut) else { return };
    owners.retain(|owner| owner.get("uid").and_then(Value::as_str) != Some(uid));
    if owners.is_empty() {
        metadata.remove("ownerReferences");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_the_owner_that_goes_is_taken_off() {
        let mut object = json!({"metadata": {"ownerReferences": [{"uid": "a"}, {"uid": "b"}]}});
        assert!(is_owned_by(&object, "a") && is_owned_by(&object, "b") && !is_owned_by(&object, "c"));
        disown(&mut object, "a");
        assert_eq!(object, json!({"metadata": {"ownerReferences": [{"uid": "b"}]}}));
        disown(&mut object, "b");
        assert_eq!(object, json!({"metadata": {}}));
        disown(&mut object, "b");
    }
}
