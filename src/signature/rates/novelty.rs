//! Novelty: a signature that was not there before.
//!
//! A signature is new if it was not seen for the whole window and not before the warm-up ended. During the
//! warm-up everything is new, so only severe lines are told then; what is seen then is remembered as known.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::api::Severity;
use crate::signature::rates::{counts::Key, ring::WINDOW};

/// How long a warm-up lasts. Starting a stack of some services, with migrations and first requests, takes some
/// minutes; ten cover it and still leave a fault half an hour after a deploy to be told.
pub const WARM_UP: SignedDuration = SignedDuration::from_mins(10);

/// Signatures remembered from warm-ups: half a megabyte of ids. Further ones are not remembered and may be told
/// as new when they come back after six hours.
const WARM_KEPT: usize = 1 << 16;

/// A signature that was not there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct New {
    /// How grave its first line is.
    pub severity: Severity,
    /// When it was last seen, if it came back after more than six hours. `None` if nothing is known of it.
    pub last: Option<Timestamp>,
}

/// What is kept to know the new from the old.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Novelty {
    /// When the warm-up ends. `None` until the first line.
    warm_until: Option<Timestamp>,
    /// Signatures seen in a warm-up.
    warm: BTreeSet<Key>,
}

impl Novelty {
    /// Starts a warm-up at `now`.
    pub(crate) fn warm_up(&mut self, now: Timestamp) {
        self.warm_until = Some(now.checked_add(WARM_UP).unwrap_or(Timestamp::MAX));
    }

    /// Looks at a line. `seen` is when the signature was last seen before it.
    #[inline]
    pub(crate) fn on_line(&mut self, id: Key, severity: Severity, seen: Option<Timestamp>, now: Timestamp) -> Option<New> {
        // Six hours always fit a duration in seconds.
        let recent = |last| now.duration_since(last) < SignedDuration::from_mins(i64::from(WINDOW));
        if seen.is_some_and(recent) && self.warm_until.is_some_and(|end| now >= end) {
            return None;
        }
        self.judge(id, severity, seen, now, seen.is_some_and(recent))
    }

    /// Looks at a line that is too late to be counted: what was printed while nobody read. It is told when it is severe and nothing is known
    /// of it, and known from then on.
    pub(crate) fn on_late(&mut self, id: Key, severity: Severity, known: bool, now: Timestamp) -> Option<New> {
        if self.warm_until.is_none() {
            self.warm_up(now);
        }
        let told = !known && severity >= Severity::Error && self.warm.len() < WARM_KEPT && self.warm.insert(id);
        told.then_some(New { severity, last: None })
    }

    /// The same set, cut to the allowed size: for states that come from outside.
    pub(crate) fn bounded(mut self) -> Self {
        while self.warm.len() > WARM_KEPT {
            self.warm.pop_last();
        }
        self
    }

    /// Looks at a line that may be new, or that falls into the warm-up.
    fn judge(&mut self, id: Key, severity: Severity, seen: Option<Timestamp>, now: Timestamp, recent: bool) -> Option<New> {
        if self.warm_until.is_none() {
            self.warm_up(now);
        }
        let warm = self.warm_until.is_some_and(|end| now < end);
        let known = self.warm.contains(&id);
        if warm && !known && self.warm.len() < WARM_KEPT {
            self.warm.insert(id);
        }
        let told = !known && !recent && (!warm || severity >= Severity::Error);
        told.then_some(New { severity, last: seen })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Key = Key(3);

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    #[test]
    fn nothing_is_new_in_the_warm_up_unless_it_is_severe() {
        let mut novelty = Novelty::default();
        assert_eq!(novelty.on_line(ID, Severity::Warning, None, at(0)), None);
        assert!(novelty.on_line(Key(4), Severity::Error, None, at(9)).is_some());
        assert!(novelty.on_line(Key(5), Severity::Info, None, at(10)).is_some());
    }

    #[test]
    fn a_severe_signature_is_told_once_in_the_warm_up() {
        let mut novelty = Novelty::default();
        assert!(novelty.on_line(ID, Severity::Error, None, at(1)).is_some());
        assert_eq!(novelty.on_line(ID, Severity::Error, Some(at(1)), at(2)), None);
    }

    #[test]
    fn what_is_severe_is_told_however_late_it_is_read_and_once() {
        let mut novelty = Novelty::default();
        assert_eq!(novelty.on_late(Key(4), Severity::Warning, false, at(0)), None);
        assert_eq!(novelty.on_late(Key(5), Severity::Error, true, at(0)), None);
        assert!(novelty.on_late(ID, Severity::Error, false, at(0)).is_some());
        assert_eq!(novelty.on_late(ID, Severity::Error, false, at(1)), None);
        assert_eq!(novelty.on_line(ID, Severity::Error, None, at(100)), None);
    }

    #[test]
    fn what_was_seen_in_the_warm_up_stays_known() {
        let mut novelty = Novelty::default();
        novelty.on_line(ID, Severity::Info, None, at(5));
        assert_eq!(novelty.on_line(ID, Severity::Info, None, at(2000)), None);
    }

    #[test]
    fn a_signature_that_was_away_for_six_hours_is_new_again() {
        let mut novelty = Novelty::default();
        novelty.on_line(Key(9), Severity::Info, None, at(0));
        assert!(novelty.on_line(ID, Severity::Info, None, at(20)).is_some());
        assert_eq!(novelty.on_line(ID, Severity::Info, Some(at(20)), at(379)), None);
        let back = novelty.on_line(ID, Severity::Info, Some(at(20)), at(380)).unwrap();
        assert_eq!(back.last, Some(at(20)));
    }
}
