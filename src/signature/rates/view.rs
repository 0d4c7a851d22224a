//! The view: one signature's ring together with the clock, as the detectors read it.

use jiff::Timestamp;

use crate::signature::rates::{
    clock::Clock,
    minute::{Minute, Stretch},
    ring::Ring,
};

/// What the detectors may see of one signature.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) clock: &'a Clock,
    pub(crate) ring: &'a Ring,
    /// When the signature was first seen.
    pub(crate) first: Timestamp,
    /// When the signature was last seen.
    pub(crate) last: Timestamp,
}

impl View<'_> {
    /// Lines by minute, oldest first, for the watched full minutes up to and with `last`. Minutes in the
    /// `masked` stretches are left out.
    pub(crate) fn history(&self, last: Minute, masked: &[Stretch]) -> Vec<u32> {
        let first = self.clock.first_full();
        let length = u32::try_from(last.since(first) + 1).unwrap_or(0);
        (0..length)
            .map(|step| first.ahead(step))
            .filter(|&minute| self.clock.watched(minute) && !masked.iter().any(|stretch| stretch.holds(minute)))
            .map(|minute| self.ring.get(minute))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_leaves_out_masked_and_unwatched_minutes() {
        let at = |minute: i64| Timestamp::from_second(minute * 60).unwrap();
        let mut clock = Clock::default();
        for minute in [0, 1, 2, 3, 4, 8, 9, 10] {
            clock.advance(at(minute));
        }
        let mut ring = Ring::starting(Minute::of(at(0)));
        for minute in 0..=10 {
            (0..minute).for_each(|_| _ = ring.add(Minute::of(at(minute))));
        }
        let view = View { clock: &clock, ring: &ring, first: at(0), last: at(10) };
        let masked = Stretch { from: Minute::of(at(2)), to: Minute::of(at(2)) };
        assert_eq!(view.history(Minute::of(at(9)), &[masked]), [1, 3, 9]);
        assert!(view.history(Minute::of(at(-5)), &[]).is_empty());
    }
}
