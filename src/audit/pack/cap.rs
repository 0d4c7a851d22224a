//! How much a part may take, and which parts give way when the whole is too large.
//!
//! A pack is never refused for its size. A part that is over its own cap is cut first. When the whole is too large after that, parts
//! give way by [`Weight`], the lightest first. Of one weight, what has lines loses its oldest ones, from the longest part down to a
//! common length; when that is not enough, documents are left out, the largest first. The next weight is not touched before
//! that.

use serde::{Deserialize, Serialize};

use super::part::Part;

/// What one part may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    /// Bytes, after redaction.
    pub bytes: u64,
    /// How long it stays when the whole is too large.
    pub weight: Weight,
}

impl Cap {
    /// At most so many bytes.
    #[must_use]
    pub const fn new(bytes: u64, weight: Weight) -> Self {
        Self { bytes, weight }
    }
}

/// What gives way before what, the first before the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Weight {
    /// Log lines: by far the most, and their signatures are in the pack as well.
    Log,
    /// Samples of resource use and of soak runs.
    Sample,
    /// Events, probe results, signatures.
    Event,
    /// What containers, engine and host looked like.
    Inspect,
    /// Audit records, decisions and their traces: what a replay compares with.
    Decision,
    /// Spec, status, session, policy: without them there is no replay.
    State,
}

impl Weight {
    /// All of them, in the order in which they give way.
    pub const ALL: [Self; 6] = [Self::Log, Self::Sample, Self::Event, Self::Inspect, Self::Decision, Self::State];
}

/// Makes parts give way until they take no more than `room` bytes. What a document's note takes is not counted.
pub(super) fn fit(parts: &mut [&mut Part], room: u64) {
    for weight in Weight::ALL {
        let taken: u64 = parts.iter().map(|part| part.bytes()).sum();
        if taken <= room {
            return;
        }
        let (mut these, others): (Vec<_>, Vec<_>) = parts.iter_mut().partition(|part| part.cap().weight == weight);
        let left = room.saturating_sub(others.iter().map(|part| part.bytes()).sum());
        let documents: u64 = these.iter().filter(|part| !part.has_lines()).map(|part| part.bytes()).sum();
        let mut lengths: Vec<u64> = these.iter().filter(|part| part.has_lines()).map(|part| part.bytes()).collect();
        let length = level(&mut lengths, left.saturating_sub(documents));
        for part in these.iter_mut().filter(|part| part.has_lines()) {
            part.shorten(length);
        }
        let mut over = these.iter().map(|part| part.bytes()).sum::<u64>().saturating_sub(left);
        // The sort is stable: of two that are equally large, the one whose path comes first goes first.
        these.sort_by_key(|part| std::cmp::Reverse(part.bytes()));
        for part in these {
            if over == 0 {
                break;
            }
            if !part.has_lines() {
                over = over.saturating_sub(part.bytes());
                part.leave_out("the pack has no room for it");
            }
        }
    }
}

/// The largest length to which all lengths can be cut so that they take no more than `room` together.
fn level(lengths: &mut [u64], room: u64) -> u64 {
    lengths.sort_unstable();
    let mut room = room;
    for (at, length) in lengths.iter().enumerate() {
        let share = room / (lengths.len() - at) as u64;
        if *length > share {
            return share;
        }
        room -= length;
    }
    u64::MAX
}

#[cfg(test)]
mod tests {
    use super::super::manifest::Cut;
    use super::*;

    /// So many lines of ten bytes.
    fn lines(weight: Weight, count: usize) -> Part {
        Part::text("123456789\n".repeat(count), Cap::new(u64::MAX, weight))
    }

    fn document(weight: Weight, bytes: usize) -> Part {
        let part = Part::document(format!("\"{}\"\n", "x".repeat(bytes - 3)), Cap::new(u64::MAX, weight));
        assert_eq!(part.bytes(), bytes as u64);
        part
    }

    fn fitted(parts: &mut [Part], room: u64) -> Vec<u64> {
        fit(&mut parts.iter_mut().collect::<Vec<_>>(), room);
        parts.iter().map(|part| if matches!(part.cut(), Some(Cut::LeftOut { .. })) { 0 } else { part.bytes() }).collect()
    }

    #[test]
    fn logs_give_way_before_samples_and_samples_before_state() {
        use Weight::{Log, Sample, State};
        let parts = || [lines(Log, 10), lines(Log, 4), lines(Sample, 10), document(State, 100)];
        let table: [(u64, [u64; 4]); 8] = [
            (340, [100, 40, 100, 100]),
            (339, [90, 40, 100, 100]),
            (280, [40, 40, 100, 100]),
            (279, [30, 30, 100, 100]),
            (200, [0, 0, 100, 100]),
            (195, [0, 0, 90, 100]),
            (100, [0, 0, 0, 100]),
            (99, [0, 0, 0, 0]),
        ];
        for (room, left) in table {
            assert_eq!(fitted(&mut parts(), room), left, "{room}");
        }
    }

    #[test]
    fn of_one_weight_lines_give_way_before_documents_and_large_documents_before_small_ones() {
        use Weight::Event;
        let parts = || [document(Event, 90), lines(Event, 5), document(Event, 100), document(Event, 100)];
        let table: [(u64, [u64; 4]); 5] = [
            (340, [90, 50, 100, 100]),
            (310, [90, 20, 100, 100]),
            (289, [90, 0, 0, 100]),
            (180, [90, 0, 0, 0]),
            (0, [0, 0, 0, 0]),
        ];
        for (room, left) in table {
            assert_eq!(fitted(&mut parts(), room), left, "{room}");
        }
    }

    #[test]
    fn a_level_is_the_largest_that_fits() {
        for (lengths, room, expected) in [
            (vec![], 0, u64::MAX),
            (vec![5, 5], 10, u64::MAX),
            (vec![5, 5], 9, 4),
            (vec![1, 100, 100], 101, 50),
            (vec![1, 2, 3], 0, 0),
        ] {
            assert_eq!(level(&mut lengths.clone(), room), expected, "{lengths:?} in {room}");
        }
    }
}
