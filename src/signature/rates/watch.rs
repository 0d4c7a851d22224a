//! The watch: lines and ticks go in, events come out.
//!
//! Lines tell what is new and what spikes, at once. Ticks tell what ended and what fell silent, sorted by id.
//! The whole state can be saved and restored at any point without a change to what is told later.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::api::Severity;
use crate::signature::rates::{
    clock::Clock,
    counts::{CAPACITY, Counts, Key, Place, SavedCounts, Slot},
    event::{Event, What},
    novelty::Novelty,
    silence::{Change, Declared, Silence, SilenceTrack},
    spike::{Spike, SpikeTrack},
    view::View,
};

/// Declarations kept. They are written by people, so a thousand is plenty; more are refused.
const DECLARED_KEPT: usize = 1024;

/// What the detectors keep of a signature.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Track {
    spike: SpikeTrack,
    silence: SilenceTrack,
}

/// Watches the signatures of one stack.
#[derive(Clone, Debug)]
pub struct Watch {
    counts: Counts<Track>,
    novelty: Novelty,
    declared: BTreeMap<Key, Declared>,
}

/// A watch in the form that is saved: at most the capacity times 360 pairs of numbers, and some ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedWatch {
    counts: SavedCounts<Track>,
    novelty: Novelty,
    declared: Vec<(Key, Declared)>,
}

impl Default for Watch {
    fn default() -> Self {
        Self::new(CAPACITY)
    }
}

impl Watch {
    /// A watch over at most `capacity` signatures (1 to [`CAPACITY_MAX`](crate::signature::rates::CAPACITY_MAX)).
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { counts: Counts::new(capacity), novelty: Novelty::default(), declared: BTreeMap::new() }
    }

    /// Starts a warm-up at `now`. The first one starts by itself with the first line; call this after a deploy.
    pub fn warm_up(&mut self, now: Timestamp) {
        self.novelty.warm_up(now);
    }

    /// Declares that the signature comes at least once in `every` seconds (0 counts as 1). Returns false, and does
    /// nothing, if there are 1024 declarations already. A second declaration replaces the first.
    pub fn expect(&mut self, id: Key, every: u32, now: Timestamp) -> bool {
        let room = self.declared.len() < DECLARED_KEPT || self.declared.contains_key(&id);
        if room {
            self.declared.insert(id, Declared::new(every, now));
        }
        room
    }

    /// Takes a declaration back.
    pub fn unexpect(&mut self, id: Key) {
        self.declared.remove(&id);
    }

    /// Takes one line with the stamp `at`, read at `now`. Returns what it gives to tell: that its signature is new,
    /// or that it spikes. A line that is too late counts nowhere, and tells only what is both grave and unknown.
    #[inline]
    pub fn line(&mut self, id: Key, severity: Severity, at: Timestamp, now: Timestamp) -> Option<Event> {
        self.counts.advance(now);
        let put = self.counts.put(id, at);
        if put.place == Place::Late {
            let known = self.counts.find(id).is_some();
            let new = self.novelty.on_late(id, severity, known, now)?;
            return Some(Event { id, at: self.counts.clock().now(), what: What::New(new) });
        }
        let (clock, slot) = self.counts.slot_mut(put.slot);
        let now = clock.now();
        if let Some(new) = self.novelty.on_line(id, severity, put.seen, now) {
            return Some(Event { id, at: now, what: What::New(new) });
        }
        let (view, track) = split(clock, slot);
        let spike = track.spike.on_line(&view, put.place == Place::Earlier)?;
        Some(Event { id, at: now, what: What::Spike(spike) })
    }

    /// Lets time pass. Call it every few seconds, and at least once a minute: longer pauses are taken as time in
    /// which nobody watched. Returns what ended and what fell silent or resumed, sorted by id.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Event> {
        self.counts.advance(now);
        let mut events = Vec::new();
        let (clock, slots) = self.counts.slots_mut();
        let now = clock.now();
        for slot in slots {
            let id = slot.id;
            let (view, track) = split(clock, slot);
            if let Some(over) = track.spike.on_tick(&view) {
                events.push(Event { id, at: now, what: What::SpikeOver(over) });
            }
            if !self.declared.contains_key(&id) {
                events.extend(track.silence.on_tick(&view).map(|change| told(id, now, &change)));
            }
        }
        let awake = self.counts.clock().awake();
        for (&id, declared) in &mut self.declared {
            let seen = self.counts.seen(id).map(|(_, last)| last);
            events.extend(declared.on_tick(seen, awake, now).map(|change| told(id, now, &change)));
        }
        events.sort_by_key(|event| event.id);
        events
    }

    /// The spikes that go on, sorted by id, as the last tick left them.
    #[must_use]
    pub fn spikes(&self) -> Vec<(Key, Spike)> {
        let slots = self.counts.slots().iter();
        let mut spikes: Vec<_> = slots.filter_map(|slot| Some((slot.id, *slot.note.spike.active()?))).collect();
        spikes.sort_unstable_by_key(|&(id, _)| id);
        spikes
    }

    /// The silences that go on, sorted by id, as the last tick left them.
    #[must_use]
    pub fn silences(&self) -> Vec<(Key, Silence)> {
        let learnt = self.counts.slots().iter().filter(|slot| !self.declared.contains_key(&slot.id));
        let learnt = learnt.filter_map(|slot| Some((slot.id, *slot.note.silence.told()?)));
        let declared = self.declared.iter().filter_map(|(&id, declared)| Some((id, *declared.told()?)));
        let mut silences: Vec<_> = learnt.chain(declared).collect();
        silences.sort_unstable_by_key(|&(id, _)| id);
        silences
    }

    /// Lines of the signature in the minute that holds `at`.
    #[must_use]
    pub fn lines(&self, id: Key, at: Timestamp) -> u32 {
        self.counts.lines(id, at)
    }

    /// How many signatures are kept.
    #[must_use]
    pub fn signatures(&self) -> usize {
        self.counts.signatures()
    }

    /// Bytes that the signatures take in memory, without the few that ended spikes hold.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.counts.bytes()
    }

    /// What became of all lines so far.
    #[must_use]
    pub fn totals(&self) -> crate::signature::rates::Totals {
        self.counts.totals()
    }

    /// The whole state. Equal watches save equal states.
    #[must_use]
    pub fn save(&self) -> SavedWatch {
        let declared = self.declared.iter().map(|(&id, declared)| (id, declared.clone())).collect();
        let mut counts = self.counts.save();
        counts.notes_mut().for_each(|track| track.spike.disarm());
        SavedWatch { counts, novelty: self.novelty.clone(), declared }
    }

    /// The watch that was saved. A state from elsewhere is cut to what it may hold.
    #[must_use]
    pub fn restore(saved: SavedWatch) -> Self {
        let mut counts = Counts::restore(saved.counts);
        for slot in counts.slots_mut().1 {
            slot.note.spike = std::mem::take(&mut slot.note.spike).bounded();
        }
        let declared = saved.declared.into_iter().take(DECLARED_KEPT).collect();
        Self { counts, novelty: saved.novelty.bounded(), declared }
    }
}

/// The readable part of a slot and its note.
fn split<'a>(clock: &'a Clock, slot: &'a mut Slot<Track>) -> (View<'a>, &'a mut Track) {
    (View { clock, ring: &slot.ring, first: slot.first, last: slot.last }, &mut slot.note)
}

/// A change of silence as an event.
fn told(id: Key, at: Timestamp, change: &Change) -> Event {
    let what = match change {
        Change::Silent(silence) => What::Silent(*silence),
        Change::Resumed(resumed) => What::Resumed(*resumed),
    };
    Event { id, at, what }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_saved_state_with_wild_numbers_does_no_harm() {
        let mut watch = Watch::new(4);
        for minute in 0..200 {
            for _ in 0..if minute == 150 { 500 } else { 3 } {
                watch.line(Key(1), Severity::Info, at(minute * 60), at(minute * 60));
            }
            watch.tick(at(minute * 60));
        }
        let text = serde_json::to_string(&watch.save()).unwrap();
        for wild in ["9223372036854775807", "-9223372036854775808", "0"] {
            let wild = text.replace("199", wild).replace("155", wild).replace("150", wild);
            let Ok(saved) = serde_json::from_str(&wild) else { continue };
            let mut watch = Watch::restore(saved);
            for second in (12_000..20_000).step_by(20) {
                watch.line(Key(1), Severity::Info, at(second), at(second));
                watch.tick(at(second));
            }
            assert!(watch.signatures() <= 4);
        }
    }
}
