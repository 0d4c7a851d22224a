//! Rates: lines a minute, kept as whole thousandths so that they save and compare exactly.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Thousandths in one line a minute.
const SCALE: f64 = 1000.0;

/// The least rate that a factor is taken over: one line an hour. Below that a factor says nothing.
const LEAST: Rate = Rate(16);

/// Lines a minute, in steps of a thousandth, from zero up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rate(u64);

impl Rate {
    /// The rate nearest to a number of lines a minute. Negative numbers and NaN become zero.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast of a float saturates")]
    pub fn per_minute(lines: f64) -> Self {
        Self((lines * SCALE).round() as u64)
    }

    /// The rate of so many lines in so many minutes. No minutes count as one.
    #[must_use]
    pub fn of(lines: u64, minutes: u32) -> Self {
        Self(lines.saturating_mul(1000) / u64::from(minutes.max(1)))
    }

    /// Lines a minute.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "rates above 2^53 thousandths are not met")]
    pub fn lines_a_minute(self) -> f64 {
        self.0 as f64 / SCALE
    }

    /// How many times `before` this rate is. A `before` under one line an hour counts as one line an hour.
    #[must_use]
    pub fn factor_over(self, before: Self) -> f64 {
        self.lines_a_minute() / before.max(LEAST).lines_a_minute()
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:.1}/min", self.lines_a_minute())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_numbers_become_rates_without_a_panic() {
        assert_eq!(Rate::per_minute(f64::NAN), Rate(0));
        assert_eq!(Rate::per_minute(-1.0), Rate(0));
        assert_eq!(Rate::per_minute(f64::INFINITY), Rate(u64::MAX));
        assert_eq!(Rate::of(u64::MAX, 0), Rate(u64::MAX));
    }

    #[test]
    fn a_factor_over_nothing_is_finite() {
        assert!(Rate::of(10, 1).factor_over(Rate(0)).is_finite());
        assert!((Rate::of(10, 1).factor_over(Rate::of(2, 1)) - 5.0).abs() < 1e-9);
    }
}
