//! The clock: which minutes were watched.
//!
//! A minute without lines means something only if somebody was looking. The clock knows when counting
//! began and remembers the stretches in which nobody called, such as a restart of the program. Those
//! minutes are no evidence of quiet and are left out of every baseline.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::signature::rates::{
    minute::{Minute, Stretch},
    ring::WINDOW,
};

/// Minutes between two calls that make the stretch between them blind. Callers tick at least once a
/// minute, so three minutes cannot come from a busy machine alone.
pub const STALL: u32 = 3;

/// Blind stretches remembered. More than sixteen restarts in six hours leave nothing to learn anyway; the
/// oldest is then joined with the next, which only makes the unwatched time longer.
const BLIND_KEPT: usize = 16;

/// Time as the counts know it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Clock {
    /// When counting began.
    start: Option<Timestamp>,
    /// The latest `now` that was given.
    now: Option<Timestamp>,
    /// Since when there was no blind stretch.
    awake: Option<Timestamp>,
    /// Minutes nobody watched, oldest first.
    blind: Vec<Stretch>,
}

impl Clock {
    /// Moves the clock to `now`. It never goes back.
    #[inline]
    pub(crate) fn advance(&mut self, now: Timestamp) {
        match self.now {
            None => {
                self.start.get_or_insert(now);
                self.awake = Some(now);
                self.now = Some(now);
            }
            Some(before) if now > before => {
                let (from, to) = (Minute::of(before), Minute::of(now));
                if to.since(from) >= i64::from(STALL) {
                    self.stall(Stretch { from, to }, now);
                }
                self.now = Some(now);
            }
            Some(_) => {}
        }
    }

    /// Whether no time was given yet.
    #[inline]
    pub(crate) fn is_unset(&self) -> bool {
        self.now.is_none()
    }

    /// The latest `now`, or the epoch if none was given yet.
    #[inline]
    pub(crate) fn now(&self) -> Timestamp {
        self.now.unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// The running minute.
    #[inline]
    pub(crate) fn minute(&self) -> Minute {
        Minute::of(self.now())
    }

    /// When counting began.
    pub(crate) fn start(&self) -> Timestamp {
        self.start.unwrap_or_else(|| self.now())
    }

    /// Since when somebody has been watching without a break.
    pub(crate) fn awake(&self) -> Timestamp {
        self.awake.unwrap_or_else(|| self.now())
    }

    /// The earliest minute that was watched from its first second and may still be in a ring.
    pub(crate) fn first_full(&self) -> Minute {
        Minute::of(self.start()).ahead(1).max(self.minute().back(WINDOW - 1))
    }

    /// Whether somebody was watching in the minute.
    pub(crate) fn watched(&self, minute: Minute) -> bool {
        !self.blind.iter().any(|stretch| stretch.holds(minute))
    }

    /// The clock with its list cut to the allowed length: for states that come from outside.
    pub(crate) fn bounded(mut self) -> Self {
        self.blind.truncate(BLIND_KEPT);
        if self.now.is_none() {
            self = Self::default();
        }
        self
    }

    /// Remembers a blind stretch and forgets those that no ring reaches any more.
    fn stall(&mut self, stretch: Stretch, now: Timestamp) {
        let oldest = Minute::of(now).back(WINDOW);
        self.blind.retain(|old| old.to >= oldest);
        self.blind.push(stretch);
        if self.blind.len() > BLIND_KEPT {
            let oldest = self.blind.remove(0);
            self.blind[0].from = oldest.from;
        }
        self.awake = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_pause_of_some_minutes_is_blind_and_a_short_one_is_not() {
        let mut clock = Clock::default();
        clock.advance(at(0));
        clock.advance(at(100));
        clock.advance(at(1000));
        assert!(clock.watched(Minute::of(at(59))));
        assert!(!clock.watched(Minute::of(at(500))));
        assert!(clock.watched(Minute::of(at(1100))));
        assert_eq!(clock.awake(), at(1000));
        assert_eq!(clock.start(), at(0));
    }

    #[test]
    fn time_never_goes_back() {
        let mut clock = Clock::default();
        clock.advance(at(1000));
        clock.advance(at(10));
        assert_eq!(clock.now(), at(1000));
    }

    #[test]
    fn many_pauses_keep_the_list_short() {
        let mut clock = Clock::default();
        for turn in 0..100 {
            clock.advance(at(turn * 240));
        }
        assert!(clock.blind.len() <= BLIND_KEPT);
        assert!(!clock.watched(Minute::of(at(99 * 240 - 3 * 3600))));
    }
}
