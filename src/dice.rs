//! The one source of chance. Everything that draws has it drawn here, so that a simulation can say what falls.
//!
//! Nothing that is decided depends on it: it spreads waits and makes names that nobody else has.

use std::cell::RefCell;

use rand::distr::uniform::{SampleRange, SampleUniform};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

thread_local! {
    static SEEDED: RefCell<Option<StdRng>> = const { RefCell::new(None) };
}

/// From now on what is drawn on this thread is a function of `seed`. For simulations, which run in one thread.
pub fn seed(seed: u64) {
    SEEDED.set(Some(StdRng::seed_from_u64(seed)));
}

/// A number from the range.
pub fn draw<T: SampleUniform>(range: impl SampleRange<T>) -> T {
    SEEDED.with_borrow_mut(|seeded| match seeded {
        Some(dice) => dice.random_range(range),
        None => rand::random_range(range),
    })
}

/// A random UUID, version 4.
#[must_use]
pub fn uuid() -> uuid::Uuid {
    SEEDED.with_borrow_mut(|seeded| match seeded {
        Some(dice) => uuid::Builder::from_random_bytes(dice.random()).into_uuid(),
        None => uuid::Uuid::new_v4(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_one_sequence() {
        let sequence = || {
            seed(7);
            (draw(0..1_000_000_u64), draw(0.5..1.0), uuid())
        };
        let first = sequence();
        assert_eq!(first, sequence());
        assert_ne!(uuid(), uuid());
        assert_eq!(first.2.get_version_num(), 4);
    }
}
