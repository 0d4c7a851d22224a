//! Minutes: the grain at which lines are counted.
//!
//! A minute is a whole number since the Unix epoch, so neighbours differ by one and a ring can be
//! indexed by it. All sums saturate: a state read from disk may hold any number.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Seconds in a minute.
const SECONDS: i64 = 60;

/// A minute, as whole minutes since the Unix epoch. Any `i64` is allowed; negative ones lie before 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Minute(i64);

impl Minute {
    /// The minute that holds the instant.
    #[must_use]
    pub fn of(at: Timestamp) -> Self {
        // Nanoseconds of an instant before 1970 are negative, and whole seconds round to zero there.
        let second = at.as_second() - i64::from(at.subsec_nanosecond() < 0);
        Self(second.div_euclid(SECONDS))
    }

    /// The first instant of the minute, or the nearest one that a `Timestamp` can hold.
    #[must_use]
    pub fn start(self) -> Timestamp {
        let edge = if self.0 < 0 { Timestamp::MIN } else { Timestamp::MAX };
        Timestamp::from_second(self.0.saturating_mul(SECONDS)).unwrap_or(edge)
    }

    /// The minute `by` minutes earlier.
    #[must_use]
    pub fn back(self, by: u32) -> Self {
        Self(self.0.saturating_sub(i64::from(by)))
    }

    /// The minute `by` minutes later.
    #[must_use]
    pub fn ahead(self, by: u32) -> Self {
        Self(self.0.saturating_add(i64::from(by)))
    }

    /// Whole minutes from `earlier` to this one. Negative if `earlier` is in fact later.
    #[must_use]
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The cell of a ring of `cells` cells that belongs to this minute. `cells` must not be zero.
    pub(crate) fn cell(self, cells: usize) -> usize {
        let cells = i64::try_from(cells).unwrap_or(i64::MAX);
        usize::try_from(self.0.rem_euclid(cells)).unwrap_or(0)
    }
}

/// A run of whole minutes, both ends included. Empty when `to` lies before `from`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// The first minute of the run.
    pub from: Minute,
    /// The last minute of the run.
    pub to: Minute,
}

impl Stretch {
    /// Whether the minute lies in the run.
    #[must_use]
    pub fn holds(&self, minute: Minute) -> bool {
        self.from <= minute && minute <= self.to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_lies_in_the_minute_that_starts_before_it() {
        for nanos in [-60_000_000_001_i128, -1, 0, 1, 59_999_999_999, 60_000_000_000] {
            let at = Timestamp::from_nanosecond(nanos).unwrap();
            let minute = Minute::of(at);
            assert!(minute.start() <= at && at < minute.ahead(1).start(), "{at}");
        }
    }

    #[test]
    fn the_ends_of_time_do_not_overflow() {
        assert_eq!(Minute(i64::MAX).start(), Timestamp::MAX);
        assert_eq!(Minute(i64::MIN).start(), Timestamp::MIN);
        assert_eq!(Minute(i64::MAX).since(Minute(i64::MIN)), i64::MAX);
        assert!(Minute(i64::MIN).cell(360) < 360);
    }
}
