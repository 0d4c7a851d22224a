//! Counts: lines of every signature by minute, in bounded memory.
//!
//! Each signature has a ring of six hours and a note of the caller's type `N` that lives and dies with
//! it. When there are too many signatures the least recently seen ones are dropped, and counted.
//!
//! Where a line goes: into its own minute if that is the running one or at most [`LATE`] minutes back;
//! into the running minute if its stamp lies in the future, because it has been read by now; and nowhere
//! if it is later than that, but the late ones are counted.

use jiff::Timestamp;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::signature::rates::{
    clock::Clock,
    minute::Minute,
    ring::{CELLS, Ring, SavedRing, WINDOW},
};

/// Minutes a line may be late and still go to its own minute. Log readers that follow files or sockets are
/// seconds behind, and a stalled one rarely more than some minutes; older lines would rewrite baselines.
pub const LATE: u32 = 5;

/// Signatures kept unless the caller says otherwise: 4096 rings take about 7 MB. A stack of twenty
/// services rarely has more than a thousand signatures in six hours.
pub const CAPACITY: usize = 4096;

/// The most signatures a caller may ask for: about 1.7 GB, and slots still fit 32 bits.
pub const CAPACITY_MAX: usize = 1 << 20;

/// The part of the capacity that is freed at once when it is full, as a divisor. Dropping one at a time
/// would scan all signatures for each new one; a 64th makes that about 64 steps for each.
const DROPPED_AT_ONCE: usize = 64;

/// What a signature is known by here: any 64 bits, chosen by the caller. It stays the same when the signature's id does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(pub u64);

/// Where a line was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Into the running minute.
    Running,
    /// Into an earlier minute, at most [`LATE`] minutes back.
    Earlier,
    /// Nowhere: it came too late.
    Late,
}

/// What became of all lines so far. `counted` is the sum of the lines held, `aged` and `dropped_lines`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Lines put into a minute.
    pub counted: u64,
    /// Lines that came too late and were put nowhere.
    pub late: u64,
    /// Lines with a stamp in the future. They are in `counted` too.
    pub ahead: u64,
    /// Counted lines that left their ring after six hours.
    pub aged: u64,
    /// Signatures dropped to make room.
    pub dropped: u64,
    /// Counted lines that went with dropped signatures.
    pub dropped_lines: u64,
}

/// All that is kept of one signature.
#[derive(Clone, Debug)]
pub(crate) struct Slot<N> {
    pub(crate) id: Key,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    pub(crate) ring: Ring,
    pub(crate) note: N,
}

/// Where a line was put, for the detectors.
pub(crate) struct Put {
    pub(crate) place: Place,
    /// The slot of the signature. Meaningless when the line was late.
    pub(crate) slot: usize,
    /// When the signature was last seen before this line, if it is known.
    pub(crate) seen: Option<Timestamp>,
}

/// Lines by signature and minute.
#[derive(Clone, Debug)]
pub struct Counts<N = ()> {
    capacity: usize,
    clock: Clock,
    slots: Vec<Slot<N>>,
    index: FxHashMap<Key, u32>,
    totals: Totals,
}

/// The counts in the form that is saved. Its size is bounded by the capacity times 360 pairs of numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedCounts<N = ()> {
    capacity: usize,
    clock: Clock,
    totals: Totals,
    signatures: Vec<SavedSlot<N>>,
}

/// One signature in the form that is saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedSlot<N> {
    id: Key,
    first: Timestamp,
    last: Timestamp,
    ring: SavedRing,
    note: N,
}

impl<N> SavedCounts<N> {
    /// The notes of all signatures.
    pub(crate) fn notes_mut(&mut self) -> impl Iterator<Item = &mut N> {
        self.signatures.iter_mut().map(|saved| &mut saved.note)
    }
}

impl<N: Default + Clone> Counts<N> {
    /// Empty counts for at most `capacity` signatures, taken into the range 1 to [`CAPACITY_MAX`].
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.clamp(1, CAPACITY_MAX),
            clock: Clock::default(),
            slots: Vec::new(),
            index: FxHashMap::default(),
            totals: Totals::default(),
        }
    }

    /// Tells the counts what time it is. Call it at least once a minute: longer pauses are taken as time in
    /// which nobody watched. A `now` before the latest one is ignored.
    #[inline]
    pub fn advance(&mut self, now: Timestamp) {
        self.clock.advance(now);
    }

    /// Counts one line that carries the stamp `at`. If [`advance`](Self::advance) was never called, the first stamp
    /// is taken as now.
    #[inline]
    pub fn count(&mut self, id: Key, at: Timestamp) -> Place {
        self.put(id, at).place
    }

    /// Lines of the signature in the minute that holds `at`. Zero if nothing is known.
    #[must_use]
    pub fn lines(&self, id: Key, at: Timestamp) -> u32 {
        let minute = Minute::of(at);
        if self.clock.minute().since(minute) >= i64::from(WINDOW) {
            return 0;
        }
        self.find(id).map_or(0, |slot| self.slots[slot].ring.get(minute))
    }

    /// When the signature was first and last seen, if it is known.
    #[must_use]
    pub fn seen(&self, id: Key) -> Option<(Timestamp, Timestamp)> {
        self.find(id).map(|slot| (self.slots[slot].first, self.slots[slot].last))
    }

    /// How many signatures are kept.
    #[must_use]
    pub fn signatures(&self) -> usize {
        self.slots.len()
    }

    /// Lines that are held in rings now.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.slots.iter().map(|slot| slot.ring.total()).sum()
    }

    /// Bytes that the signatures take in memory: slots, rings and index. What notes hold on the heap is not in it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let rings = self.slots.len() * size_of::<[u32; CELLS]>();
        // A hash table has one more byte for each entry.
        let index = self.index.capacity() * (size_of::<(Key, u32)>() + 1);
        self.slots.capacity() * size_of::<Slot<N>>() + rings + index
    }

    /// What became of all lines so far.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// The whole state, sorted by id, so that equal counts save equal states.
    #[must_use]
    pub fn save(&self) -> SavedCounts<N> {
        let mut signatures: Vec<_> = self
            .slots
            .iter()
            .map(|Slot { id, first, last, ring, note }| SavedSlot {
                id: *id,
                first: *first,
                last: *last,
                ring: ring.save(),
                note: note.clone(),
            })
            .collect();
        signatures.sort_unstable_by_key(|saved| saved.id);
        SavedCounts { capacity: self.capacity, clock: self.clock.clone(), totals: self.totals, signatures }
    }

    /// The counts that were saved. A state from elsewhere is cut to what it may hold: the capacity bounds
    /// the signatures, and of two entries with one id the first is taken.
    #[must_use]
    pub fn restore(saved: SavedCounts<N>) -> Self {
        let mut counts = Self::new(saved.capacity);
        counts.clock = saved.clock.bounded();
        counts.totals = saved.totals;
        let latest = counts.clock.minute();
        for SavedSlot { id, first, last, ring, note } in saved.signatures {
            if counts.slots.len() < counts.capacity && !counts.index.contains_key(&id) {
                counts.insert(Slot { id, first, last, ring: Ring::restore(&ring, latest), note });
            }
        }
        counts
    }

    /// Counts a line and says where it went.
    #[inline]
    pub(crate) fn put(&mut self, id: Key, at: Timestamp) -> Put {
        if self.clock.is_unset() {
            self.clock.advance(at);
        }
        let now = self.clock.now();
        let ahead = at > now;
        let at = if ahead { now } else { at };
        let (minute, running) = (Minute::of(at), self.clock.minute());
        if running.since(minute) > i64::from(LATE) {
            self.totals.late = self.totals.late.saturating_add(1);
            return Put { place: Place::Late, slot: usize::MAX, seen: None };
        }
        let (index, seen) = match self.find(id) {
            Some(index) => (index, Some(self.slots[index].last)),
            None => (self.open(id, at), None),
        };
        let slot = &mut self.slots[index];
        slot.last = slot.last.max(at);
        slot.first = slot.first.min(at);
        self.totals.aged = self.totals.aged.saturating_add(slot.ring.add(minute));
        self.totals.counted = self.totals.counted.saturating_add(1);
        self.totals.ahead = self.totals.ahead.saturating_add(u64::from(ahead));
        Put { place: if minute == running { Place::Running } else { Place::Earlier }, slot: index, seen }
    }

    /// The slot of a known signature.
    #[inline]
    pub(crate) fn find(&self, id: Key) -> Option<usize> {
        self.index.get(&id).map(|&slot| slot as usize)
    }

    /// The clock and one slot. The number must come from [`put`](Self::put) or [`find`](Self::find).
    pub(crate) fn slot_mut(&mut self, slot: usize) -> (&Clock, &mut Slot<N>) {
        (&self.clock, &mut self.slots[slot])
    }

    /// The clock and all slots, in no order that means anything.
    pub(crate) fn slots_mut(&mut self) -> (&Clock, &mut [Slot<N>]) {
        (&self.clock, &mut self.slots)
    }

    /// All slots, in no order that means anything.
    pub(crate) fn slots(&self) -> &[Slot<N>] {
        &self.slots
    }

    /// The clock.
    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Opens a slot for a signature that is not known, after making room if there is none.
    #[cold]
    fn open(&mut self, id: Key, at: Timestamp) -> usize {
        if self.slots.len() >= self.capacity {
            self.make_room();
        }
        self.insert(Slot { id, first: at, last: at, ring: Ring::starting(Minute::of(at)), note: N::default() })
    }

    /// Adds a slot and its entry in the index.
    fn insert(&mut self, slot: Slot<N>) -> usize {
        let place = self.slots.len();
        // The capacity is at most 2^20, so a slot number always fits.
        self.index.insert(slot.id, u32::try_from(place).unwrap_or(u32::MAX));
        self.slots.push(slot);
        place
    }

    /// Drops the least recently seen signatures; among equals the one with the smaller id goes first.
    fn make_room(&mut self) {
        let count = (self.capacity / DROPPED_AT_ONCE).max(1);
        let mut oldest: Vec<_> = self.slots.iter().map(|slot| (slot.last, slot.id)).collect();
        if count < oldest.len() {
            oldest.select_nth_unstable(count);
            oldest.truncate(count);
        }
        for (_, id) in oldest {
            let Some(place) = self.index.remove(&id) else { continue };
            let gone = self.slots.swap_remove(place as usize);
            if let Some(moved) = self.slots.get(place as usize) {
                self.index.insert(moved.id, place);
            }
            self.totals.dropped = self.totals.dropped.saturating_add(1);
            self.totals.dropped_lines = self.totals.dropped_lines.saturating_add(gone.ring.total());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    const A: Key = Key(7);

    #[test]
    fn a_line_goes_to_its_minute_even_if_it_is_a_little_late() {
        let mut counts: Counts = Counts::new(10);
        counts.advance(at(3600));
        assert_eq!(counts.count(A, at(3600)), Place::Running);
        assert_eq!(counts.count(A, at(3301)), Place::Earlier);
        assert_eq!((counts.lines(A, at(3659)), counts.lines(A, at(3300))), (1, 1));
    }

    #[test]
    fn a_line_that_is_too_late_is_only_counted_as_late() {
        let mut counts: Counts = Counts::new(10);
        counts.advance(at(3600));
        assert_eq!(counts.count(A, at(3239)), Place::Late);
        assert_eq!((counts.totals().late, counts.signatures()), (1, 0));
    }

    #[test]
    fn a_stamp_in_the_future_is_taken_as_now() {
        let mut counts: Counts = Counts::new(10);
        counts.advance(at(3600));
        assert_eq!(counts.count(A, Timestamp::MAX), Place::Running);
        assert_eq!((counts.lines(A, at(3600)), counts.totals().ahead), (1, 1));
    }

    #[test]
    fn the_least_recently_seen_signature_makes_room() {
        let mut counts: Counts = Counts::new(3);
        for (second, id) in [(0, 1), (1, 2), (2, 3), (3, 1), (4, 4)] {
            counts.advance(at(second));
            counts.count(Key(id), at(second));
        }
        assert_eq!(counts.seen(Key(2)), None);
        assert!(counts.seen(Key(1)).is_some());
        assert_eq!((counts.totals().dropped, counts.totals().dropped_lines, counts.signatures()), (1, 1, 3));
    }
}
