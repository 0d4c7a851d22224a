//! Random histories. Few keys and few leases, so that operations meet; valid and invalid arguments, each often enough.
//!
//! A history follows from its seed and from the answers of the first side, which follow from the history: the same seed gives the
//! same history again.

use std::collections::{BTreeSet, VecDeque};

use etcd_client::{CompareOp, SortOrder, SortTarget, WatchFilterType};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::answer::Answer;
use super::operation::{Bytes, Change, Compare, Delete, Operation, Put, Range, Span, Step, Target, Txn, Watch, chosen};
use super::side::STREAMS;

/// Keys with a common prefix, binary ones, the smallest and the largest.
const KEYS: &[&[u8]] = &[
    b"a",
    b"a/",
    b"a/b",
    b"a/b/c",
    b"a/c",
    b"a\0",
    b"a\0b",
    b"a\xff",
    b"a\xff\xff",
    b"a0",
    b"b",
    b"b/1",
    b"b/2",
    b"b/3",
    b"b/4",
    b"c",
    b"c\xffc",
    b"m/0",
    b"m/1",
    b"m/2",
    b"\0",
    b"\0\0",
    b"\xff",
    b"\xff\xff",
    b"~z",
];

/// Long enough that none expires while a history runs; the last is the longest that etcd allows.
const TTLS: &[i64] = &[20_000, 30_000, 86_400, 9_000_000_000];

/// The ids of leases that are given: one below zero too.
const LEASES: &[i64] = &[1, 2, 3, 4, 5, 6, -7];

/// The ids of watches that are given: one below zero too, and the one that is chosen next.
const WATCHES: &[i64] = &[100, 101, 102, 3, -9];

/// What a watch may leave out.
const FILTERS: &[&[WatchFilterType]] =
    &[&[WatchFilterType::NoPut], &[WatchFilterType::NoDelete], &[WatchFilterType::NoPut, WatchFilterType::NoDelete]];

/// Over what etcd takes in one write (1.5 MiB), under what it takes in one message (2 MiB).
const TOO_LARGE: usize = 1_600_000;

/// How many operations a transaction may have.
const TXN_LIMIT: usize = 128;

/// How many operations after a compaction that is not waited for it is surely done, as far as a hash can tell: etcd keeps the hash
/// that a compaction computed, and only from then on answers with it.
const COMPACTS_WITHIN: usize = 30;

/// One history in this many compacts nothing, so that watches read all of it again.
const UNCOMPACTED: u64 = 10;

/// How many more revisions such a history has before it is watched from its beginning once more: more than either store reads in
/// one go, and fewer than the shortest history makes.
const LOOK_BACK: i64 = 1_010;

/// How many changes are asked for at once: more than there are connections.
const BURST: std::ops::RangeInclusive<usize> = 4..=10;

/// How many watches a stream has at most, so that a history does not consist of them.
const WATCHES_A_STREAM: usize = 10;

/// What the generator knows of the store.
pub struct World {
    pub revision: i64,
    /// -1 before the first compaction, as in etcd.
    pub compacted: i64,
    /// Every revision that a compaction was for.
    compactions: BTreeSet<i64>,
    /// Every revision of a transaction that may have deleted a key and put it again: when etcd compacts to just that
    /// revision it loses the key, and ends when somebody reads it.
    erased: BTreeSet<i64>,
    /// The watches of each stream that can be canceled.
    watches: Vec<Vec<i64>>,
    /// The given ids that no watch of a stream may have any more.
    spent: Vec<Vec<i64>>,
    chosen_leases: i64,
    /// How many operations ago a compaction was begun.
    since_compaction: usize,
    /// Whether the alarm is raised that the store is full.
    pub full: bool,
    /// The latest revision that a watch was to start at: it may be yet to come.
    latest_start: i64,
    /// The most revisions back that a watch was started at.
    pub furthest: i64,
}

#[allow(clippy::struct_excessive_bools)] // Each is a choice of its own.
pub struct Generator {
    rng: StdRng,
    pub world: World,
    compacts: bool,
    /// The revision at which a history without compactions was last watched from its beginning.
    looked_back: i64,
    /// Whether keys may have leases that the store chose. Then no hash is asked for: such an id is part of it.
    chooses_leases: bool,
    soon: VecDeque<Operation>,
    /// Whether the operation that is being made has a value that is too large. Two would be more than fits a message, which
    /// each side's HTTP/2 library refuses in its own words.
    large: bool,
    /// What the transaction that is being made may have of the two that end etcd when they meet on a key: a delete from a key on
    /// (which etcd lets pass beside a put of that range) and, after it, a put that keeps what the key had.
    erases: bool,
}

impl World {
    /// Learns from an operation and the first side's answer to it.
    pub fn learn(&mut self, operation: &Operation, answer: &Answer) {
        if let Some(revision) = answer.revision() {
            self.revision = revision;
        }
        self.since_compaction += 1;
        match (operation, answer) {
            (Operation::Compact { revision, physical }, Answer::Compact { .. }) => {
                self.compacted = *revision;
                self.compactions.insert(*revision);
                self.since_compaction = if *physical { COMPACTS_WITHIN } else { 0 };
            }
            (Operation::Grant { lease: 0, .. }, Answer::Grant { .. }) => self.chosen_leases += 1,
            (Operation::Txn(txn), Answer::Txn { revision: Some(revision), .. }) if txn.erases() => {
                self.erased.insert(*revision);
            }
            (Operation::Full { raised }, Answer::Alarms { .. }) => self.full = *raised,
            (Operation::Watch { stream, watch }, Answer::Watch { id, canceled: false, .. }) => {
                self.latest_start = self.latest_start.max(watch.start);
                if watch.start > 0 && watch.start >= self.compacted {
                    self.furthest = self.furthest.max(self.revision - watch.start);
                }
                if watch.start != 0 && watch.start < self.compacted {
                    self.spent[*stream].push(*id);
                } else {
                    self.watches[*stream].push(*id);
                }
            }
            (Operation::Cancel { stream, id }, Answer::Canceled { .. }) => self.watches[*stream].retain(|live| live != id),
            _ => {}
        }
    }

    /// Learns that both stores were started again: there are no watches, and etcd may be compacting.
    pub fn restarted(&mut self) {
        let none = vec![Vec::new(); STREAMS];
        (self.watches, self.spent) = (none.clone(), none);
        (self.latest_start, self.since_compaction) = (0, 0);
    }

    /// Whether etcd's hash is that of what it holds.
    fn hashes(&self) -> bool {
        self.since_compaction >= COMPACTS_WITHIN
    }

    /// Whether a stream has that watch.
    pub fn watches(&self, stream: usize, id: i64) -> bool {
        self.watches[stream].contains(&id)
    }
}

impl Generator {
    pub fn new(seed: u64) -> Self {
        let none = vec![Vec::new(); STREAMS];
        let world = World {
            revision: 1,
            compacted: -1,
            compactions: BTreeSet::new(),
            erased: BTreeSet::new(),
            watches: none.clone(),
            spent: none,
            chosen_leases: 0,
            since_compaction: 0,
            full: false,
            latest_start: 0,
            furthest: 0,
        };
        Self {
            rng: StdRng::seed_from_u64(seed),
            world,
            compacts: !seed.is_multiple_of(UNCOMPACTED),
            looked_back: 0,
            chooses_leases: (seed / 2).is_multiple_of(2),
            soon: VecDeque::new(),
            large: false,
            erases: false,
        }
    }

    pub fn next(&mut self) -> Operation {
        if let Some(operation) = self.soon.pop_front() {
            return operation;
        }
        self.large = false;
        // A history without compactions is for watches that read much of the past: so it has to become much.
        if !self.compacts {
            if let Some(watch) = self.look_back() {
                return watch;
            }
            if self.chance(70) {
                return Operation::Put(Put { lease: 0, ..self.put() });
            }
        }
        match self.below(1000) {
            0..280 => Operation::Put(self.put()),
            280..480 => Operation::Range(self.range()),
            480..555 => Operation::Delete(self.delete()),
            555..765 => Operation::Txn(self.txn(0)),
            765..777 => self.compact(),
            777..817 => self.grant(),
            817..825 => Operation::Brief { lease: self.pick(&[0, 50, 51]), ttl: self.pick(&[0, -1, i64::MIN, 1]) },
            825..850 => Operation::Revoke { lease: self.lease() },
            850..860 => Operation::KeepAlive { lease: self.lease() },
            860..885 => Operation::TimeToLive { lease: self.lease(), keys: self.chance(70) },
            885..895 => Operation::Leases,
            895..915 if !self.chooses_leases && self.world.hashes() => {
                // etcd remembers the hashes that compactions computed, of what was there before them, and answers with these:
                // that of a compaction to 0 even when the newest is asked for, which is 0 too.
                let asked = self.revision();
                let spoiled = |revision: &i64| self.world.compactions.contains(revision);
                match [asked, 0, self.world.revision].into_iter().find(|revision| !spoiled(revision)) {
                    Some(revision) => Operation::HashKv { revision },
                    None => Operation::Status,
                }
            }
            895..918 => Operation::Status,
            918..958 => self.watch(),
            958..973 => self.cancel(),
            973..980 => Operation::Settle,
            980..983 => Operation::Members,
            983..986 => Operation::Alarms,
            986..988 => Operation::Defragment,
            988..991 => self.full(),
            991..998 => self.burst(),
            _ => Operation::Restart,
        }
    }

    fn below(&mut self, end: usize) -> usize {
        self.rng.random_range(0..end)
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    fn between(&mut self, first: i64, last: i64) -> i64 {
        self.rng.random_range(first..=last.max(first))
    }

    fn key(&mut self) -> Bytes {
        match self.below(200) {
            0 => Bytes(Vec::new()),
            1 => Bytes(vec![b'k'; 300]),
            _ => Bytes(self.pick(KEYS).to_vec()),
        }
    }

    fn value(&mut self) -> Bytes {
        let length = match self.below(20) {
            0..2 => 0,
            2..16 => 1,
            16..19 => self.below(20),
            _ if self.chance(1) && !std::mem::replace(&mut self.large, true) => TOO_LARGE,
            _ => self.pick(&[200, 1000, 5000]),
        };
        // Few different values, so that compares are met.
        let byte = self.pick(b"xyz\0\xff");
        Bytes(vec![byte; length])
    }

    /// A range; `wide` in percent: how often it is most of the keys.
    fn span(&mut self, wide: usize) -> Span {
        let key = self.key();
        if self.chance(wide) {
            let all = if self.chance(50) { Bytes(vec![0]) } else { key };
            return Span { key: all, end: Bytes(vec![0]) };
        }
        let end = match self.below(10) {
            0..4 => Vec::new(),
            4..7 => after_prefix(&key.0),
            7 => key.0.clone(),
            // Inverted as often as not.
            _ => self.key().0,
        };
        Span { key, end: Bytes(end) }
    }

    /// A revision to look at, of every kind.
    fn revision(&mut self) -> i64 {
        let World { revision, compacted, .. } = self.world;
        match self.below(20) {
            0..9 => 0,
            9..15 => self.between(compacted.max(1), revision),
            15 => revision,
            16 => compacted,
            17 => (compacted - 1).max(1),
            18 => revision + self.between(1, 3),
            _ => self.pick(&[-1, 1, i64::MIN, i64::MAX]),
        }
    }

    fn bound(&mut self) -> i64 {
        match self.below(12) {
            0 => self.between(1, self.world.revision),
            1 => self.between(self.world.compacted.max(1), self.world.revision + 1),
            2 if self.chance(20) => -1,
            _ => 0,
        }
    }

    fn range(&mut self) -> Range {
        let targets = [SortTarget::Key, SortTarget::Version, SortTarget::Create, SortTarget::Mod, SortTarget::Value];
        let orders = [SortOrder::None, SortOrder::Ascend, SortOrder::Descend];
        Range {
            span: self.span(30),
            limit: match self.below(10) {
                0..5 => 0,
                5..9 => self.between(1, 8),
                _ => self.pick(&[-1, 1000, i64::MAX, i64::MIN]),
            },
            revision: self.revision(),
            sort: if self.chance(40) { Some((self.pick(&targets), self.pick(&orders))) } else { None },
            serializable: self.chance(15),
            keys_only: self.chance(20),
            count_only: self.chance(10),
            min_mod: self.bound(),
            max_mod: self.bound(),
            min_create: self.bound(),
            max_create: self.bound(),
        }
    }

    fn put(&mut self) -> Put {
        let (ignore_value, ignore_lease) = (self.chance(6), self.chance(6));
        let value = if ignore_value && self.chance(80) { Bytes(Vec::new()) } else { self.value() };
        let lease = if self.chance(if ignore_lease { 20 } else { 40 }) { self.lease() } else { 0 };
        Put { key: self.key(), value, lease, prev_kv: self.chance(30), ignore_value, ignore_lease }
    }

    fn delete(&mut self) -> Delete {
        Delete { span: self.span(4), prev_kv: self.chance(50) }
    }

    fn lease(&mut self) -> i64 {
        match self.below(20) {
            0 => self.pick(&[0, 999, -999]),
            1..4 if self.chooses_leases && self.world.chosen_leases > 0 => {
                chosen(self.between(0, self.world.chosen_leases - 1))
            }
            _ => self.pick(LEASES),
        }
    }

    fn grant(&mut self) -> Operation {
        let lease = if self.chance(20) { 0 } else { self.pick(LEASES) };
        let ttl = if self.chance(10) { self.pick(&[9_000_000_001, i64::MAX]) } else { self.pick(TTLS) };
        Operation::Grant { lease, ttl }
    }

    fn txn(&mut self, depth: usize) -> Txn {
        if depth == 0 {
            self.erases = self.chance(50);
        }
        let compares = if depth == 0 && self.chance(1) { self.many() } else { self.below(6) * self.below(2) };
        let compares = (0..compares).map(|_| self.compare()).collect();
        Txn { compares, success: self.steps(depth), failure: self.steps(depth) }
    }

    fn put_in_txn(&mut self) -> Put {
        let put = self.put();
        if self.erases { Put { ignore_value: false, ignore_lease: false, ..put } } else { put }
    }

    fn delete_in_txn(&mut self) -> Delete {
        let mut delete = self.delete();
        if !self.erases && delete.span.end.0 == [0] {
            delete.span.end.0.clear();
        }
        delete
    }

    /// As many as are allowed, or one more.
    fn many(&mut self) -> usize {
        TXN_LIMIT + self.below(2)
    }

    fn steps(&mut self, depth: usize) -> Vec<Step> {
        if depth == 0 && self.chance(1) {
            let range = Range { span: Span { key: self.key(), end: Bytes(Vec::new()) }, ..self.range() };
            return vec![Step::Range(range); self.many()];
        }
        let reads_only = self.chance(20);
        let mut steps = Vec::new();
        for _ in 0..self.below(5) {
            steps.push(match self.below(10) {
                0..3 => Step::Range(self.range()),
                3..7 if !reads_only => Step::Put(self.put_in_txn()),
                7 if !reads_only => Step::Delete(self.delete_in_txn()),
                8..10 if depth < 2 => Step::Txn(self.txn(depth + 1)),
                _ => Step::Range(self.range()),
            });
        }
        steps
    }

    fn compare(&mut self) -> Compare {
        let operators = [CompareOp::Equal, CompareOp::NotEqual, CompareOp::Less, CompareOp::Greater];
        let (span, mut operator) = (self.span(5), self.pick(&operators));
        let near = self.world.revision - self.between(0, 20);
        let target = match self.below(5) {
            0 => Target::Version(self.between(-1, 4)),
            1 => Target::Create(self.pick(&[0, 1, near])),
            2 => Target::Mod(self.pick(&[0, 1, near])),
            3 => Target::Value(self.value()),
            _ => Target::Lease(self.lease()),
        };
        // Nothing is promised about the order of ids that a store chooses.
        if let Target::Lease(_) = target
            && self.chooses_leases
        {
            operator = self.pick(&operators[..2]);
        }
        Compare { span, target, operator }
    }

    /// What is asked while the store is full; at its end it is full no more.
    fn full(&mut self) -> Operation {
        for _ in 0..2 + self.below(10) {
            let operation = match self.below(10) {
                0..3 => Operation::Put(self.put()),
                3..6 => Operation::Txn(self.txn(0)),
                6 => Operation::Delete(self.delete()),
                7 => self.grant(),
                8 => self.pick(&[Operation::Alarms, Operation::Status, Operation::Full { raised: true }]),
                _ if self.chance(20) => Operation::Restart,
                _ => Operation::Range(self.range()),
            };
            self.soon.push_back(operation);
        }
        self.soon.push_back(Operation::Full { raised: false });
        Operation::Full { raised: true }
    }

    /// Changes of distinct keys, so that what each does is the same in any order. A watch that starts among them would see
    /// more or fewer of them by their order; and their past is compacted afterwards, because it is in either order for good.
    fn burst(&mut self) -> Operation {
        if !self.compacts || self.world.latest_start > self.world.revision + 1 {
            return Operation::Settle;
        }
        let mut keys = KEYS.to_vec();
        let count = self.rng.random_range(BURST);
        let changes = (0..count).map(|_| {
            let key = Bytes(keys.swap_remove(self.below(keys.len())).to_vec());
            if self.chance(25) {
                Change::Delete(Delete { span: Span { key, end: Bytes(Vec::new()) }, prev_kv: self.chance(50) })
            } else {
                Change::Put(Put { key, ..self.put() })
            }
        });
        Operation::Burst(changes.collect())
    }

    fn compact(&mut self) -> Operation {
        if !self.compacts {
            return self.watch();
        }
        let World { revision, compacted, .. } = self.world;
        let mut at = match self.below(10) {
            0..2 => self.between(compacted + 1, revision),
            // What is left is most of it, and grows old.
            2..5 => self.between(compacted + 1, compacted + (revision - compacted) / 8),
            5 => revision,
            6 => compacted,
            7 => revision + 1,
            8 => 0,
            _ => self.pick(&[-1, 1, i64::MIN, i64::MAX]),
        };
        while self.world.erased.contains(&at) {
            at += 1;
        }
        // A watch that lags may or may not be caught by a compaction.
        let physical = self.chance(50);
        self.soon.push_back(Operation::Compact { revision: at, physical });
        Operation::Settle
    }

    fn watch(&mut self) -> Operation {
        let stream = self.below(STREAMS);
        if self.world.watches[stream].len() >= WATCHES_A_STREAM {
            return self.cancel();
        }
        let World { revision, compacted, .. } = self.world;
        let start = match self.below(20) {
            0..8 => 0,
            8..13 => self.between(compacted.max(1), revision),
            13 => revision,
            14..16 => revision + self.between(1, 10),
            16 => compacted,
            17 => compacted - 1,
            _ => self.pick(&[1, -1]),
        };
        // Watches that read all there is are what a history without compactions is for.
        let start = if !self.compacts && self.chance(20) { 1 } else { start };
        // Before the first compaction etcd lets a negative revision through, and then loses events of every watch that lags.
        let start = if compacted < 1 { start.max(0) } else { start };
        let id = if self.chance(20) { self.pick(WATCHES) } else { 0 };
        // A watch that a compaction has ended keeps its id in etcd until it is canceled as well, which settling does: else the
        // next id that etcd chooses would be another.
        if id != 0 && start != 0 && start < compacted {
            self.soon.push_back(Operation::Settle);
        }
        let watch = Watch {
            span: self.span(30),
            start,
            id: if self.world.spent[stream].contains(&id) { 0 } else { id },
            prev_kv: self.chance(50),
            filters: if self.chance(20) { self.pick(FILTERS).to_vec() } else { Vec::new() },
            progress_notify: self.chance(10),
            fragment: self.chance(10),
        };
        Operation::Watch { stream, watch }
    }

    /// When enough has been done, a watch of all of it, on the first stream that has room.
    fn look_back(&mut self) -> Option<Operation> {
        if self.world.revision - self.looked_back < LOOK_BACK {
            return None;
        }
        let stream = self.world.watches.iter().position(|watches| watches.len() < WATCHES_A_STREAM)?;
        self.looked_back = self.world.revision;
        let span = Span { key: Bytes(vec![0]), end: Bytes(vec![0]) };
        let watch =
            Watch { span, start: 1, id: 0, prev_kv: true, filters: Vec::new(), progress_notify: false, fragment: false };
        Some(Operation::Watch { stream, watch })
    }

    fn cancel(&mut self) -> Operation {
        let stream = self.below(STREAMS);
        let live = self.world.watches[stream].clone();
        let id = if live.is_empty() || self.chance(10) { 777 } else { self.pick(&live) };
        // What a lagging watch has said when it is canceled depends on timing.
        self.soon.push_back(Operation::Cancel { stream, id });
        Operation::Settle
    }
}

/// The end of the range of keys with that prefix.
fn after_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end;
        }
    }
    vec![0]
}
