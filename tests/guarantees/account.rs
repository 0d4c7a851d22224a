//! What one watch was sent, and what etcd promises of it.

use std::collections::{BTreeMap, BTreeSet};

use etcd_client::{EventType, WatchFilterType, WatchResponse};

/// A change: its key, and its value unless it is a deletion.
pub type Change = (String, Option<Vec<u8>>);

/// Everything that was committed, by revision, in the order in which it was done.
pub type History = BTreeMap<i64, Vec<Change>>;

/// What a watch asks for.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub from: usize,
    /// The key alone, if it is not after the first.
    pub to: usize,
    /// Where in the history it begins; 100 is now.
    pub percent: i64,
    pub filters: Vec<WatchFilterType>,
    pub fragment: bool,
    /// To be told from time to time how far the store is.
    pub progress: bool,
}

/// One response.
#[derive(Clone)]
pub struct Seen {
    pub header: i64,
    /// Its last revision may go on in the next.
    pub fragment: bool,
    /// With the revision of each.
    pub changes: Vec<(i64, Change)>,
}

/// One watch, over all streams that it took.
#[derive(Clone)]
pub struct Account {
    pub wanted: Wanted,
    pub start: i64,
    pub log: Vec<Seen>,
    /// How many events it had seen at each break.
    pub breaks: Vec<usize>,
    /// Ended by the store, because what it wanted is compacted.
    pub compacted: Option<i64>,
}

pub fn name(key: usize) -> String {
    format!("k{key}")
}

impl Account {
    pub fn new(wanted: Wanted, start: i64) -> Self {
        Self { wanted, start, log: Vec::new(), breaks: Vec::new(), compacted: None }
    }

    pub fn take(&mut self, response: &WatchResponse) {
        if response.created() {
            return;
        }
        if response.canceled() {
            assert!(response.compact_revision() > self.next(), "it was ended for nothing");
            self.compacted = Some(response.compact_revision());
            return;
        }
        let changes = response.events().iter().map(|event| {
            let kv = event.kv().unwrap();
            let value = (event.event_type() == EventType::Put).then(|| kv.value().to_vec());
            (kv.mod_revision(), (kv.key_str().unwrap().to_owned(), value))
        });
        let header = response.header().unwrap().revision();
        self.log.push(Seen { header, fragment: response.0.fragment, changes: changes.collect() });
    }

    /// Where its client would resume: after the last revision of which it has seen an event.
    pub fn next(&self) -> i64 {
        self.events().map(|(revision, _)| revision + 1).last().unwrap_or(self.start)
    }

    /// Its client begins again where it would resume.
    pub fn break_off(&mut self) {
        self.breaks.push(self.events().count());
    }

    fn events(&self) -> impl Iterator<Item = &(i64, Change)> {
        self.log.iter().flat_map(|seen| &seen.changes)
    }

    fn wants(&self, revision: i64, (key, value): &Change) -> bool {
        let (from, to) = (name(self.wanted.from), name(self.wanted.to));
        let inside = if self.wanted.to > self.wanted.from { from <= *key && *key < to } else { *key == from };
        let filter = if value.is_some() { WatchFilterType::NoPut } else { WatchFilterType::NoDelete };
        revision >= self.start && inside && !self.wanted.filters.contains(&filter)
    }

    fn expected<'h>(&'h self, history: &'h History, to: i64) -> impl Iterator<Item = (i64, &'h Change)> {
        let all = history
            .range(self.start..=to.max(self.start))
            .flat_map(|(revision, changes)| changes.iter().map(move |change| (*revision, change)));
        all.filter(move |(revision, change)| *revision <= to && self.wants(*revision, change))
    }

    /// Holds what was seen against what etcd promises; the error begins with the promise that is broken.
    pub fn check(&self, history: &History, now: i64) -> Result<(), String> {
        let seen: Vec<(i64, &Change)> = self.events().map(|(revision, change)| (*revision, change)).collect();
        let mut places = Vec::new();
        for (revision, change) in &seen {
            if !self.wants(*revision, change) {
                return Err(format!("filtered: {change:?} at {revision} is no event of {:?}", self.wanted));
            }
            match history.get(revision).and_then(|changes| changes.iter().position(|made| made == *change)) {
                Some(place) => places.push((*revision, place)),
                None => return Err(format!("reliable: {change:?} at {revision} never happened")),
            }
        }
        let unique: BTreeSet<_> = places.iter().collect();
        if unique.len() != places.len() {
            return Err(format!("unique: an event was seen twice: {places:?}"));
        }
        if !places.is_sorted() {
            return Err(format!("ordered: events came out of order: {places:?}"));
        }
        for pair in self.log.windows(2) {
            let (Some((last, _)), Some((first, _))) = (pair[0].changes.last(), pair[1].changes.first()) else { continue };
            if last == first && !pair[0].fragment {
                return Err(format!("atomic: revision {last} came in two responses"));
            }
            if pair[0].fragment && !self.wanted.fragment {
                return Err(format!("atomic: revision {last} came in fragments that nobody asked for"));
            }
        }
        self.check_bookmarks(history)?;
        // A watch that was ended has missed what it was ended for, and nothing before that.
        let to = if self.compacted.is_some() { seen.last().map_or(0, |(revision, _)| *revision) } else { now };
        let expected: Vec<_> = self.expected(history, to).collect();
        if let Some(at) = (0..seen.len().max(expected.len())).find(|at| seen.get(*at) != expected.get(*at)) {
            let promise = if self.breaks.contains(&at) { "resumable" } else { "reliable" };
            return Err(format!("{promise}: expected {:?} as event {at} of {:?}", expected.get(at), self.wanted));
        }
        Ok(())
    }

    /// A response without events says that everything up to its revision has been sent.
    fn check_bookmarks(&self, history: &History) -> Result<(), String> {
        let ever: BTreeSet<_> = self.events().map(|(revision, change)| (*revision, change)).collect();
        let mut so_far = BTreeSet::new();
        for response in &self.log {
            so_far.extend(response.changes.iter().map(|(revision, change)| (*revision, change)));
            if response.changes.is_empty()
                && let Some(missing) =
                    self.expected(history, response.header).find(|event| ever.contains(event) && !so_far.contains(event))
            {
                return Err(format!("bookmarkable: {missing:?} came after the progress to {}", response.header));
            }
        }
        Ok(())
    }
}

/// An account of a small history, and each promise broken in it.
mod tests {
    use super::*;

    fn put(key: usize, value: &str) -> Change {
        (name(key), Some(value.into()))
    }

    fn history() -> History {
        BTreeMap::from([
            (2, vec![put(1, "a")]),
            (3, vec![put(2, "b"), put(1, "c"), (name(3), None)]),
            (4, vec![put(9, "of another")]),
            (5, vec![put(2, "d")]),
        ])
    }

    /// All of k0 to k7 that happened, with a break after revision 3 and progress at the end.
    fn good() -> Account {
        let wanted = Wanted { from: 0, to: 8, percent: 0, filters: Vec::new(), fragment: false, progress: false };
        let mut account = Account::new(wanted, 2);
        let of = |revision: i64| history()[&revision].iter().map(|change| (revision, change.clone())).collect();
        account.log.push(Seen { header: 2, fragment: false, changes: of(2) });
        account.log.push(Seen { header: 3, fragment: false, changes: of(3) });
        account.break_off();
        account.log.push(Seen { header: 5, fragment: false, changes: of(5) });
        account.log.push(Seen { header: 5, fragment: false, changes: Vec::new() });
        account
    }

    #[test]
    fn a_log_without_a_fault_has_none() {
        assert_eq!(good().check(&history(), 5), Ok(()));
    }

    #[test]
    fn each_promise_that_is_broken_is_named() {
        type Alteration = fn(&mut Account);
        let altered: [(&str, Alteration); 10] = [
            ("ordered", |account| account.log[1].changes.swap(0, 1)),
            ("ordered", |account| account.log.swap(0, 1)),
            ("unique", |account| account.log.insert(1, account.log[0].clone())),
            ("atomic", |account| {
                let rest = account.log[1].changes.split_off(1);
                account.log.insert(2, Seen { header: 3, fragment: false, changes: rest });
            }),
            ("atomic", |account| account.log[0].fragment = true),
            ("reliable", |account| drop(account.log.remove(0))),
            ("reliable", |account| drop(account.log[1].changes.pop())),
            ("resumable", |account| drop(account.log.remove(2))),
            ("bookmarkable", |account| account.log.swap(2, 3)),
            ("filtered", |account| account.log[2].changes.insert(0, (4, put(9, "of another")))),
        ];
        for (number, (promise, alter)) in altered.into_iter().enumerate() {
            let mut account = good();
            alter(&mut account);
            let error = account.check(&history(), 5).expect_err("it was altered");
            assert!(error.starts_with(&format!("{promise}: ")), "alteration {number} breaks {promise}: {error}");
        }
    }

    #[test]
    fn a_revision_may_come_in_fragments_that_were_asked_for() {
        let mut account = good();
        account.wanted.fragment = true;
        let rest = account.log[1].changes.split_off(1);
        account.log[1].fragment = true;
        account.log.insert(2, Seen { header: 3, fragment: false, changes: rest });
        assert_eq!(account.check(&history(), 5), Ok(()));
    }

    #[test]
    fn a_watch_that_was_ended_for_compaction_may_have_missed_what_came_after() {
        let mut account = good();
        account.log.truncate(2);
        account.compacted = Some(5);
        assert_eq!(account.check(&history(), 5), Ok(()));
    }
}
