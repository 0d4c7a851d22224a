//! The baseline: how many lines of a signature would still be usual.
//!
//! The level is a median of means, robust against bursts and fair to low rates, of the last hour or of the
//! last twenty minutes, whichever is higher, so that waves and trends lift it in time. The noise around it is
//! read from the signature's own past: how far sums of minutes differ from those a quarter of an hour
//! before, and noise is taken to even out over minutes as chance does, at best. From level and noise follows a bound for
//! each [reach](REACHES), as a far quantile of a negative binomial; the highest sums of the last hours, a least factor and a
//! least number of lines raise it.

use crate::signature::rates::quantile::{count_at, quantile_of};

/// The reaches in minutes over which sums are tested. One minute finds bursts; factor 3 in noisy streams only
/// stands out over more, and eight minutes are as long as a spike may stay untold to be of use.
pub const REACHES: [u32; 5] = [1, 2, 3, 5, 8];

/// Full minutes before the running one that a baseline must not see: the longest reach may hold them.
pub(crate) const GUARD: u32 = REACHES[REACHES.len() - 1];

/// Minutes of history without which nothing is said. Thirty give two quarters of an hour to compare.
const HISTORY_MIN: usize = 30;

/// Minutes of the long level, and of its six blocks: a spike of up to twenty minutes touches at most three
/// of them, and the median still stands.
const LONG: (usize, usize) = (60, 10);

/// Minutes of the short level, and of its four blocks. It lags about twenty minutes with the guard, in which
/// the waves and trends that were tried stay well under [`FACTOR_MIN`].
const SHORT: (usize, usize) = (20, 5);

/// Minutes between two sums that are compared to read the noise: about the lag of the short level, so that
/// the drift which the level cannot follow is counted as noise.
const APART: usize = 15;

/// The quantiles of the differences that are read, for each reach, as share and normal units. One burst touches two
/// differences for each minute of the reach; the longer the reach, the further in the quantile must lie so that
/// some bursts in six hours do not pass for noise. They are the business of [`HABIT`].
const SPREADS: [(f64, f64); REACHES.len()] = [(0.95, 1.96), (0.90, 1.645), (0.90, 1.645), (0.85, 1.44), (0.80, 1.2816)];

/// Normal units at which the bound lies: a chance of 1.3e-12 for a test. The aim is that a steady stream of 200 signatures
/// raises no spike in six hours. Five hundred of them make 36 million signature minutes with five tests each, so that nothing
/// would follow if the noise were known. It is estimated from some hundred values: at 5.9 there are 13 false spikes, here none
/// (`hack/bench signatures spikes`). The price is five of a hundred spikes, most of them of few lines.
const UNITS: f64 = 7.0;

/// The least overdispersion of one minute, as variance above Poisson over squared mean. No log is pure Poisson;
/// at high rates this is a deviation of a seventh.
const DISPERSION_MIN: f64 = 0.02;

/// What is added to the overdispersion of one minute when only [`HISTORY_MIN`] minutes are known; it falls in proportion
/// to the history. Without it most false spikes come in the second hour, from noise that was estimated too low.
const DISPERSION_UNKNOWN: f64 = 0.3;

/// The same for what does not even out over a longer reach: a slow wave of which too little was seen to tell it from
/// noise. A wave of amplitude 0.6 and a period of two hours, the worst that still counts as steady, moves the rate by a
/// third of the level in a quarter of an hour (root of the mean square); this is the square of it.
const DRIFT_UNKNOWN: f64 = 0.1;

/// A sum must be at least so many times the level. Less is not worth telling, and slow waves may reach it.
const FACTOR_MIN: f64 = 2.0;

/// A sum must be at least so many lines above the level. A dozen lines can be read by a person; fewer, as in one
/// then three, are chance.
const SUPPORT_MIN: f64 = 12.0;

/// Minutes in a block whose highest sum is remembered: half an hour, twelve in the window.
const BLOCK: usize = 30;

/// A sum must exceed the second highest of the blocks' highest sums by this factor: what happened in two half
/// hours of the last six is a habit. The second, so that one untold spike does not hide the next.
const HABIT: f64 = 1.25;

/// What is usual for a signature at this minute.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    level: f64,
    bounds: [u64; REACHES.len()],
}

impl Baseline {
    /// The baseline after the given minutes (lines in each, oldest first; at most 360 are sensible). `None` if
    /// there are fewer than thirty.
    #[must_use]
    pub fn of(history: &[u32]) -> Option<Self> {
        if history.len() < HISTORY_MIN {
            return None;
        }
        let level = median_of_means(history, LONG).max(median_of_means(history, SHORT));
        let sums = Sums::of(history);
        let seen: [f64; REACHES.len()] = std::array::from_fn(|place| sums.dispersion(REACHES[place], SPREADS[place]));
        let mut bounds = [0; REACHES.len()];
        let mut dispersion = 0.0_f64;
        // The relative noise of a sum does not grow with its length. What the longer reach shows is therefore
        // also there in the shorter one.
        for (place, bound) in bounds.iter_mut().enumerate().rev() {
            let minutes = REACHES[place];
            let least = evened_out(&seen[..place], minutes).max(least_dispersion(history.len(), minutes));
            dispersion = dispersion.max(seen[place]).max(least);
            *bound = bound_of(level * f64::from(minutes), dispersion, sums.habit(minutes));
        }
        Some(Self { level, bounds })
    }

    /// Lines a minute before now.
    #[must_use]
    pub fn level(&self) -> f64 {
        self.level
    }

    /// Pairs of a reach in minutes and the least sum of lines over it that is no longer usual.
    pub fn bounds(&self) -> impl Iterator<Item = (u32, u64)> {
        REACHES.into_iter().zip(self.bounds)
    }

    /// Lines a minute half way from the level to the least rate that any reach would tell as a spike.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "bounds are far below 2^53")]
    pub fn halfway(&self) -> f64 {
        let least = self.bounds().map(|(minutes, bound)| bound as f64 / f64::from(minutes)).fold(f64::MAX, f64::min);
        self.level + (least - self.level).max(0.0) / 2.0
    }
}

/// The overdispersion of sums of so many minutes that follows from what the shorter reaches show, if one minute tells
/// nothing of the next. If it does there is more. A short reach has the most sums to learn from, so this keeps a long one
/// from being taken for calm by the luck of few.
fn evened_out(shorter: &[f64], minutes: u32) -> f64 {
    let part = |(&dispersion, &reach): (&f64, &u32)| dispersion * f64::from(reach) / f64::from(minutes);
    shorter.iter().zip(&REACHES).map(part).fold(0.0, f64::max)
}

/// The least overdispersion to assume for sums of so many minutes after a history of so many minutes.
#[expect(clippy::cast_precision_loss, reason = "histories have at most 360 minutes")]
fn least_dispersion(history: usize, minutes: u32) -> f64 {
    let unknown = HISTORY_MIN as f64 / history as f64;
    (DISPERSION_MIN + DISPERSION_UNKNOWN * unknown) / f64::from(minutes) + DRIFT_UNKNOWN * unknown
}

/// The least sum that is not usual, given the mean of such sums, their overdispersion and the habit. The level has an error
/// of its own; that it is the higher of two makes up for it.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast of a float saturates")]
fn bound_of(mean: f64, dispersion: f64, habit: f64) -> u64 {
    let chance = count_at(mean, mean + dispersion * mean * mean, UNITS);
    chance.max(mean * FACTOR_MIN).max(mean + SUPPORT_MIN).max(habit * HABIT).ceil() as u64
}

/// The median of the means of the last minutes, taken in blocks. `shape` is (minutes, minutes in a block).
fn median_of_means(history: &[u32], (minutes, block): (usize, usize)) -> f64 {
    let last = &history[history.len().saturating_sub(minutes)..];
    #[expect(clippy::cast_precision_loss, reason = "blocks have at most 60 minutes")]
    let mean = |block: &[u32]| block.iter().copied().map(f64::from).sum::<f64>() / block.len() as f64;
    let mut means: Vec<f64> = last.rchunks_exact(block).map(mean).collect();
    means.sort_unstable_by(f64::total_cmp);
    let middle = means.len() / 2;
    match means.len() {
        0 => 0.0,
        even if even % 2 == 0 => f64::midpoint(means[middle - 1], means[middle]),
        _ => means[middle],
    }
}

/// Running sums of a history, from which the sum of any run of minutes is one subtraction.
struct Sums(Vec<u64>);

impl Sums {
    fn of(history: &[u32]) -> Self {
        let mut total = 0;
        let later = history.iter().map(|&lines| {
            total += u64::from(lines);
            total
        });
        Self(std::iter::once(0).chain(later).collect())
    }

    /// Sums of all runs of so many minutes, oldest first.
    fn runs(&self, minutes: u32) -> impl Iterator<Item = u64> + Clone {
        self.0.iter().zip(self.0.iter().skip(minutes as usize)).map(|(before, after)| after - before)
    }

    /// The overdispersion of sums of so many minutes: their variance above Poisson over their squared mean.
    #[expect(clippy::cast_precision_loss, reason = "sums are far below 2^53")]
    fn dispersion(&self, minutes: u32, (share, units): (f64, f64)) -> f64 {
        let later = self.runs(minutes).skip(APART.max(minutes as usize));
        let mut apart: Vec<u64> = self.runs(minutes).zip(later).map(|(one, other)| one.abs_diff(other)).collect();
        let history = (self.0.len() - 1).max(1) as f64;
        let mean = self.0.last().map_or(0.0, |&total| total as f64) / history * f64::from(minutes);
        if apart.is_empty() || mean <= 0.0 {
            return 0.0;
        }
        let deviation = quantile_of(&mut apart, share) as f64 / units;
        // The variance of a difference is twice that of each part.
        ((deviation * deviation / 2.0 - mean) / (mean * mean)).max(0.0)
    }

    /// The highest sum of so many minutes that was reached in two half hours, or in the only one.
    #[expect(clippy::cast_precision_loss, reason = "sums are far below 2^53")]
    fn habit(&self, minutes: u32) -> f64 {
        let runs: Vec<u64> = self.runs(minutes).collect();
        let mut highest: Vec<u64> = runs.rchunks(BLOCK).filter_map(|block| block.iter().copied().max()).collect();
        highest.sort_unstable();
        let second = highest.len().saturating_sub(2);
        highest.get(second).map_or(0.0, |&sum| sum as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(history: &[u32], minutes: u32) -> u64 {
        Baseline::of(history).unwrap().bounds().find(|&(reach, _)| reach == minutes).unwrap().1
    }

    #[test]
    fn a_short_history_has_no_baseline() {
        assert_eq!(Baseline::of(&[5; 29]), None);
        assert!(Baseline::of(&[5; 30]).is_some());
    }

    #[test]
    fn one_line_a_minute_may_become_three() {
        assert!(bound(&[1; 300], 1) > 8);
        assert!(bound(&[1; 300], 8) > 24);
    }

    #[test]
    fn a_steady_stream_is_bounded_closely() {
        let history: Vec<u32> = (0..300).map(|minute| 95 + minute % 11).collect();
        assert!((1000..=1250).contains(&bound(&history, 5)), "{}", bound(&history, 5));
        assert!((200..=420).contains(&bound(&history, 1)), "{}", bound(&history, 1));
    }

    #[test]
    fn noisy_minutes_widen_the_bound_of_long_reaches_whose_sums_happen_to_be_calm() {
        let noisy: Vec<u32> = (0..300).map(|minute| 20 * (minute % 2)).collect();
        assert!(bound(&noisy, 8) > bound(&[10; 300], 8), "{} {}", bound(&noisy, 8), bound(&[10; 300], 8));
    }

    #[test]
    fn a_long_reach_is_bounded_less_closely_while_little_is_known() {
        let (young, old) = (bound(&[100; 60], 8), bound(&[100; 345], 8));
        assert!(young > old + old / 4, "{young} {old}");
    }

    #[test]
    fn one_burst_does_not_move_the_bound_and_a_habit_does() {
        let mut history = vec![10; 345];
        let calm = bound(&history, 1);
        history[100] = 500;
        assert_eq!(bound(&history, 1), calm);
        history[200] = 500;
        assert_eq!(bound(&history, 1), 625);
    }

    #[test]
    fn the_level_follows_a_rise() {
        let history: Vec<u32> = (0..300).collect();
        assert!(Baseline::of(&history).unwrap().level() > 280.0);
    }

    #[test]
    fn extreme_counts_do_not_panic() {
        assert!(Baseline::of(&[u32::MAX; 360]).is_some());
        assert_eq!(Baseline::of(&[0; 360]).unwrap().bounds().next(), Some((1, 12)));
    }
}
