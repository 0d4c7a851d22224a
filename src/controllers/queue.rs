//! What a controller has to look at, and when: each object once, the earliest first, and none that is being looked at.
//!
//! kube's own applier does the same, but takes what came while it was busy in the order of a hash map: then chance would say which of
//! two actions is claimed first, and no history could be told twice.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

/// Names of objects, each with the moment at which it is due.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// By name; of what is being looked at too, for when that is over.
    due: BTreeMap<String, Instant>,
    busy: BTreeSet<String>,
}

impl Queue {
    /// Has an object looked at, at that moment or when it is due already, whichever is earlier.
    pub(super) fn add(&mut self, name: String, at: Instant) {
        let due = self.due.entry(name).or_insert(at);
        *due = at.min(*due);
    }

    /// The object that is to be looked at now. It is busy until [`Queue::done`].
    pub(super) fn take(&mut self, now: Instant) -> Option<String> {
        let (_, name) = self.waiting().filter(|(at, _)| *at <= now).min()?;
        let name = name.clone();
        self.due.remove(&name);
        self.busy.insert(name.clone());
        Some(name)
    }

    /// The object may be looked at again.
    pub(super) fn done(&mut self, name: &str) {
        self.busy.remove(name);
    }

    /// When there will be something to take, if nothing is added and nothing done.
    pub(super) fn next(&self) -> Option<Instant> {
        self.waiting().map(|(at, _)| at).min()
    }

    fn waiting(&self) -> impl Iterator<Item = (Instant, &String)> {
        self.due.iter().filter(|(name, _)| !self.busy.contains(*name)).map(|(name, at)| (*at, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn each_object_is_taken_once_the_earliest_first_and_by_name_at_the_same_moment() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let mut queue = Queue::default();
        for (name, at) in [("c", now), ("b", now), ("a", later), ("b", now), ("c", later)] {
            queue.add(name.to_owned(), at);
        }
        assert_eq!([queue.take(now), queue.take(now), queue.take(now)], [Some("b".into()), Some("c".into()), None]);
        assert_eq!(queue.next(), Some(later));
        assert_eq!(queue.take(later), Some("a".into()));
        assert_eq!(queue.next(), None);
    }

    #[test]
    fn what_is_asked_for_while_it_is_looked_at_is_looked_at_once_more_afterwards() {
        let now = Instant::now();
        let mut queue = Queue::default();
        queue.add("a".into(), now);
        assert_eq!(queue.take(now), Some("a".into()));
        queue.add("a".into(), now);
        queue.add("a".into(), now + Duration::from_secs(9));
        assert_eq!((queue.take(now), queue.next()), (None, None));
        queue.done("a");
        assert_eq!(queue.next(), Some(now));
        assert_eq!((queue.take(now), queue.take(now)), (Some("a".into()), None));
    }

    #[test]
    fn the_earlier_of_two_moments_counts() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let mut queue = Queue::default();
        queue.add("a".into(), later);
        queue.add("a".into(), now);
        queue.add("a".into(), later);
        assert_eq!(queue.next(), Some(now));
    }
}
