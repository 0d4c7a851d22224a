//! The objects, by kind and name, and all that ever happened to them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::resource::Resource;
use super::selector::Selector;

/// Where an object is: plural, namespace, name.
pub type Key = (String, String, String);

/// What happened to an object.
#[derive(Clone, Debug)]
pub struct Change {
    pub key: Key,
    /// As it was before; nothing when it was made.
    pub before: Option<Value>,
    /// As it is since; nothing when it was removed.
    pub after: Option<Value>,
}

/// All objects, and their whole history: change N is in `log[N - 1]`.
#[derive(Debug, Default)]
pub struct Objects {
    live: BTreeMap<Key, Value>,
    log: Vec<Change>,
}

impl Objects {
    /// The revision of the last change.
    pub fn revision(&self) -> usize {
        self.log.len()
    }

    pub fn get(&self, key: &Key) -> Option<&Value> {
        self.live.get(key)
    }

    /// Objects of one kind, of one namespace unless that is empty, in the order of their names.
    pub fn list<'a>(&'a self, plural: &'a str, namespace: &'a str) -> impl Iterator<Item = &'a Value> {
        let of_kind = self.live.iter().filter(move |(key, _)| key.0 == plural);
        of_kind.filter(move |(key, _)| namespace.is_empty() || key.1 == namespace).map(|(_, object)| object)
    }

    /// Keeps an object, with the revision that this is.
    pub fn put(&mut self, key: Key, mut object: Value) -> Value {
        object["metadata"]["resourceVersion"] = (self.log.len() + 1).to_string().into();
        let before = self.live.insert(key.clone(), object.clone());
        self.log.push(Change { key, before, after: Some(object.clone()) });
        object
    }

    pub fn remove(&mut self, key: &Key) {
        if let Some(mut before) = self.live.remove(key) {
            before["metadata"]["resourceVersion"] = (self.log.len() + 1).to_string().into();
            self.log.push(Change { key: key.clone(), before: Some(before), after: None });
        }
    }

    /// Changes after a revision.
    pub fn since(&self, revision: usize) -> &[Change] {
        &self.log[revision.min(self.log.len())..]
    }

    /// The objects that are owned by one of that uid.
    pub fn owned_by(&self, uid: &str) -> Vec<Key> {
        let owned = |object: &Value| {
            let owners = object["metadata"]["ownerReferences"].as_array();
            owners.into_iter().flatten().any(|owner| owner["uid"] == uid)
        };
        self.live.iter().filter(|(_, object)| owned(object)).map(|(key, _)| key.clone()).collect()
    }
}

impl Change {
    /// What a watch of a kind and selection sees of it: the type of the event, and the object.
    pub fn seen(&self, resource: &Resource, namespace: &str, selector: &Selector) -> Option<(&'static str, &Value)> {
        if self.key.0 != resource.plural || !(namespace.is_empty() || self.key.1 == namespace) {
            return None;
        }
        let selected = |object: &Option<Value>| object.as_ref().is_some_and(|object| selector.selects(object));
        match (selected(&self.before), selected(&self.after)) {
            (false, true) => self.after.as_ref().map(|object| ("ADDED", object)),
            (true, true) => self.after.as_ref().map(|object| ("MODIFIED", object)),
            (true, false) => self.after.as_ref().or(self.before.as_ref()).map(|object| ("DELETED", object)),
            (false, false) => None,
        }
    }
}
