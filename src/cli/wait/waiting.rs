//! Waiting for many objects at once, on one watch a kind.
//!
//! ```text
//!  watch of each kind ──▶ look: judge, remember what was seen ──▶ open: goes on
//!                                                             └──▶ met, or never: yielded, and no longer waited for
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use futures::StreamExt;
use futures::stream::{BoxStream, SelectAll};
use kube::runtime::watcher::Event;
use serde_json::Value;

use super::goal::Goal;
use super::judge::{Outcome, judge};
use super::seen::Seen;
use crate::cli::Error;
use crate::cli::kind::{Kind, name_of};
use crate::clock::Clock;
use crate::store::{self, Store, WatchParams};

/// An object, and what it should come to.
#[derive(Debug)]
pub struct Awaited {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Any of these is enough.
    pub goals: Vec<Goal>,
    /// What was seen last.
    pub seen: Seen,
    /// It, as it was when it was last there.
    pub object: Option<Value>,
}

impl Awaited {
    /// One that was not looked at yet.
    pub fn new(kind: Kind, name: String, goals: Vec<Goal>) -> Self {
        Self { kind, name, goals, seen: Seen::default(), object: None }
    }

    /// Looks at the object as it is now, or at the place where there is none.
    pub fn look(&mut self, object: Option<&Value>, now: crate::api::Time) -> Outcome {
        self.seen.look(&self.goals, object, now);
        self.object = object.cloned();
        judge(&self.goals, self.kind.info.kind, object)
    }
}

/// A kind and a name.
type Key = (&'static str, String);

/// A change of an object of a kind.
type Change = (&'static str, Result<Event<Value>, store::Error>);

/// Objects that are waited for together.
pub struct Waiting {
    pending: BTreeMap<Key, Awaited>,
    changes: SelectAll<BoxStream<'static, Change>>,
    /// Of each kind, the names in the list that is being read.
    listed: BTreeMap<&'static str, BTreeSet<String>>,
    ready: VecDeque<(Awaited, Outcome)>,
    clock: Clock,
}

impl Waiting {
    /// Begins to wait. The first list of each watch is the first look.
    ///
    /// # Errors
    /// The store's, when it cannot watch.
    pub fn begin(store: &Store, awaited: Vec<Awaited>) -> Result<Self, Error> {
        let pending: BTreeMap<Key, Awaited> = awaited.into_iter().map(|a| ((a.kind.info.kind, a.name.clone()), a)).collect();
        let mut changes = SelectAll::new();
        let kinds: BTreeSet<&'static str> = pending.keys().map(|(kind, _)| *kind).collect();
        for kind in kinds {
            let mut of_kind = pending.values().filter(|a| a.kind.info.kind == kind);
            let (Some(first), second) = (of_kind.next(), of_kind.next()) else { continue };
            // One object has a watch of its own; more of a kind share one.
            let name = second.is_none().then(|| first.name.clone());
            let events = first.kind.watch(store, &WatchParams { name, ..WatchParams::default() })?;
            changes.push(events.map(move |event| (kind, event)).boxed());
        }
        Ok(Self { pending, changes, listed: BTreeMap::new(), ready: VecDeque::new(), clock: store.clock().clone() })
    }

    /// The next object that is no longer waited for, and why; nothing when there are no more. May be dropped on the way.
    pub async fn next(&mut self) -> Option<(Awaited, Outcome)> {
        loop {
            if let Some(done) = self.ready.pop_front() {
                return Some(done);
            }
            if self.pending.is_empty() {
                return None;
            }
            let (kind, event) = self.changes.next().await?;
            self.take(kind, event);
        }
    }

    /// The objects that are still waited for.
    pub fn pending(&self) -> impl Iterator<Item = &Awaited> {
        self.pending.values()
    }

    fn take(&mut self, kind: &'static str, event: Result<Event<Value>, store::Error>) {
        match event {
            Ok(Event::Init) => self.listed.entry(kind).or_default().clear(),
            Ok(Event::InitApply(object)) => {
                self.listed.entry(kind).or_default().insert(name_of(&object).to_owned());
                self.look(kind, name_of(&object).to_owned(), Some(&object));
            }
            Ok(Event::InitDone) => {
                let listed = self.listed.remove(kind).unwrap_or_default();
                let missing: Vec<String> = self
                    .pending
                    .keys()
                    .filter(|(of, name)| *of == kind && !listed.contains(name))
                    .map(|(_, name)| name.clone())
                    .collect();
                for name in missing {
                    self.look(kind, name, None);
                }
            }
            Ok(Event::Apply(object)) => self.look(kind, name_of(&object).to_owned(), Some(&object)),
            Ok(Event::Delete(object)) => self.look(kind, name_of(&object).to_owned(), None),
            // It will not get better by itself.
            Err(e @ store::Error::Refused { .. }) => self.give_up(kind, &e.to_string()),
            // The watch gets over it; the timeout is the end of patience.
            Err(_) => {}
        }
    }

    /// Nothing will be heard of the objects of a kind any more.
    fn give_up(&mut self, kind: &'static str, why: &str) {
        let (gone, left) = std::mem::take(&mut self.pending).into_iter().partition(|((of, _), _)| *of == kind);
        self.pending = left;
        let gone: BTreeMap<Key, Awaited> = gone;
        self.ready.extend(gone.into_values().map(|awaited| (awaited, Outcome::Never(why.to_owned()))));
    }

    fn look(&mut self, kind: &'static str, name: String, object: Option<&Value>) {
        let key = (kind, name);
        let now = self.clock.now();
        let Some(awaited) = self.pending.get_mut(&key) else { return };
        match awaited.look(object, now) {
            Outcome::Open => {}
            over => self.ready.extend(self.pending.remove(&key).map(|awaited| (awaited, over))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn waiting(names: &[&str], goal: &str) -> Waiting {
        let pending = names.iter().map(|name| {
            let kind = Kind::find("ws").unwrap();
            ((kind.info.kind, (*name).to_owned()), Awaited::new(kind, (*name).to_owned(), vec![goal.parse().unwrap()]))
        });
        Waiting {
            pending: pending.collect(),
            changes: SelectAll::new(),
            listed: BTreeMap::new(),
            ready: VecDeque::new(),
            clock: Clock::system(),
        }
    }

    fn stack(name: &str, ready: &str) -> Value {
        json!({"metadata": {"name": name}, "status": {"ready": ready}})
    }

    fn done(waiting: &mut Waiting, events: Vec<Event<Value>>) -> Vec<(String, Outcome)> {
        for event in events {
            waiting.take("WicapStack", Ok(event));
        }
        waiting.ready.drain(..).map(|(awaited, outcome)| (awaited.name, outcome)).collect()
    }

    #[test]
    fn each_object_is_told_of_once_when_it_is_there() {
        let mut waiting = waiting(&["a", "b"], "jsonpath={.status.ready}=1/1");
        let list =
            vec![Event::Init, Event::InitApply(stack("a", "1/1")), Event::InitApply(stack("b", "0/1")), Event::InitDone];
        assert_eq!(done(&mut waiting, list), [("a".to_owned(), Outcome::Met(0))]);
        let changes =
            vec![Event::Apply(stack("a", "1/1")), Event::Apply(stack("c", "1/1")), Event::Apply(stack("b", "1/1"))];
        assert_eq!(done(&mut waiting, changes), [("b".to_owned(), Outcome::Met(0))]);
        assert_eq!(waiting.pending().count(), 0);
    }

    #[test]
    fn what_went_while_nobody_looked_is_missing_in_the_next_list() {
        let mut waiting = waiting(&["a"], "jsonpath={.status.ready}=1/1");
        let seen = vec![Event::Init, Event::InitApply(stack("a", "0/1")), Event::InitDone];
        assert_eq!(done(&mut waiting, seen), []);
        let again = vec![Event::Init, Event::InitApply(stack("b", "0/1")), Event::InitDone];
        assert_eq!(done(&mut waiting, again), [("a".to_owned(), Outcome::Never("it was deleted".to_owned()))]);
    }

    #[test]
    fn an_error_of_the_watch_changes_nothing() {
        let mut waiting = waiting(&["a"], "delete");
        waiting.take("WicapStack", Err(store::Error::Expired));
        assert_eq!(done(&mut waiting, vec![Event::Apply(stack("a", "0/1"))]), []);
        assert_eq!(done(&mut waiting, vec![Event::Delete(stack("a", "0/1"))]), [("a".to_owned(), Outcome::Met(0))]);
    }

    #[test]
    fn a_watch_that_is_refused_is_not_waited_for() {
        let mut waiting = waiting(&["a"], "delete");
        waiting.take("WicapStack", Err(store::Error::Refused { reason: "no".into() }));
        assert!(
            matches!(done(&mut waiting, vec![]).as_slice(), [(name, Outcome::Never(why))] if name == "a" && why.contains("no"))
        );
        assert_eq!(waiting.pending().count(), 0);
    }
}
