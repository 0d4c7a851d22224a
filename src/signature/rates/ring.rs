//! The ring: lines of one signature by minute, for the last six hours.
//!
//! A ring moves forward only when a line is added, so quiet signatures cost nothing as time goes by.
//! Minutes after the newest one read as zero, which is what they are.

use serde::{Deserialize, Serialize};

use crate::signature::rates::minute::Minute;

/// Minutes a ring holds: six hours. Long enough that a wave of a working day shows as a slope and that
/// twelve half hours can vouch for what is usual; short enough to stay at 1.4 kB for a signature.
pub const WINDOW: u32 = 360;

/// The same as a number of cells.
pub(crate) const CELLS: usize = WINDOW as usize;

/// Counts of one signature for the last [`WINDOW`] minutes up to its newest line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ring {
    /// The latest minute that has a line.
    newest: Minute,
    /// Lines by minute; the cell of a minute is its number modulo [`WINDOW`].
    cells: Box<[u32; CELLS]>,
}

/// A ring as it is saved: only the minutes that have lines, so at most [`WINDOW`] pairs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedRing {
    /// The latest minute that has a line.
    newest: Minute,
    /// Pairs of age in minutes before the newest (0 to 359) and lines in that minute.
    cells: Vec<(u16, u32)>,
}

impl Ring {
    /// An empty ring whose newest minute is the given one.
    pub(crate) fn starting(at: Minute) -> Self {
        Self { newest: at, cells: Box::new([0; CELLS]) }
    }

    /// Adds one line. Returns how many old lines left the ring because it moved forward.
    ///
    /// A minute that is older than the ring's reach is left out; the caller refuses such lines first.
    #[inline]
    pub(crate) fn add(&mut self, minute: Minute) -> u64 {
        let aged = if minute > self.newest { self.forward(minute) } else { 0 };
        if self.reaches(minute) {
            let cell = &mut self.cells[minute.cell(CELLS)];
            *cell = cell.saturating_add(1);
        }
        aged
    }

    /// Lines in the minute. Zero outside the ring's reach.
    #[inline]
    pub(crate) fn get(&self, minute: Minute) -> u32 {
        if self.reaches(minute) { self.cells[minute.cell(CELLS)] } else { 0 }
    }

    /// Lines in the `minutes` minutes that end with `last`.
    pub(crate) fn sum(&self, last: Minute, minutes: u32) -> u64 {
        (0..minutes).map(|age| u64::from(self.get(last.back(age)))).sum()
    }

    /// All lines the ring holds.
    pub(crate) fn total(&self) -> u64 {
        self.cells.iter().map(|&lines| u64::from(lines)).sum()
    }

    /// The ring in the form that is saved.
    pub(crate) fn save(&self) -> SavedRing {
        let ages = 0..u16::try_from(WINDOW).unwrap_or(u16::MAX);
        let cells = ages.map(|age| (age, self.get(self.newest.back(u32::from(age))))).filter(|&(_, lines)| lines > 0);
        SavedRing { newest: self.newest, cells: cells.collect() }
    }

    /// The ring that was saved. Pairs outside the ring's reach are left out, and a newest minute after `latest`,
    /// which no ring can have, is taken as `latest`.
    pub(crate) fn restore(saved: &SavedRing, latest: Minute) -> Self {
        let mut ring = Self::starting(saved.newest.min(latest));
        for &(age, lines) in saved.cells.iter().filter(|&&(age, _)| u32::from(age) < WINDOW) {
            ring.cells[ring.newest.back(u32::from(age)).cell(CELLS)] = lines;
        }
        ring
    }

    /// Whether the ring has a cell for the minute.
    #[inline]
    fn reaches(&self, minute: Minute) -> bool {
        (0..i64::from(WINDOW)).contains(&self.newest.since(minute))
    }

    /// Makes the minute the newest, and returns the lines that fell out at the old end.
    fn forward(&mut self, minute: Minute) -> u64 {
        let steps = u32::try_from(minute.since(self.newest)).unwrap_or(WINDOW).min(WINDOW);
        let mut aged = 0;
        for age in 0..steps {
            let cell = &mut self.cells[minute.back(age).cell(CELLS)];
            aged += u64::from(std::mem::take(cell));
        }
        self.newest = minute;
        aged
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn minute(number: i64) -> Minute {
        Minute::of(Timestamp::from_second(number * 60).unwrap())
    }

    #[test]
    fn a_line_is_found_in_its_minute_until_six_hours_have_passed() {
        let mut ring = Ring::starting(minute(1000));
        assert_eq!(ring.add(minute(1000)), 0);
        assert_eq!(ring.add(minute(1359)), 0);
        assert_eq!((ring.get(minute(1000)), ring.get(minute(1359))), (1, 1));
        assert_eq!(ring.add(minute(1360)), 1);
        assert_eq!(ring.get(minute(1000)), 0);
        assert_eq!(ring.total(), 2);
    }

    #[test]
    fn a_jump_longer_than_the_ring_empties_it() {
        let mut ring = Ring::starting(minute(0));
        ring.add(minute(0));
        assert_eq!(ring.add(minute(100_000)), 1);
        assert_eq!(ring.total(), 1);
    }

    #[test]
    fn a_saved_ring_comes_back_the_same() {
        let mut ring = Ring::starting(minute(5));
        for number in [5, 6, 6, 200, 199, 364] {
            ring.add(minute(number));
        }
        assert_eq!(Ring::restore(&ring.save(), minute(364)), ring);
    }
}
