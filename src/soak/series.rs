//! What can be asked of a curve: its level, its rise, and whether it leaks.

use crate::api::{Time, elapsed};

/// Values over time, in the order of time.
pub type Points = [(Time, f64)];

/// Most points that the robust slope is made of; a longer curve is thinned out to the medians of as many equal spans. Half a million
/// pairs take milliseconds; three days of a sample every 15 s would be 150 million.
const PAIRS_OF: usize = 1000;

/// Fewest points that a leak is told by. With fewer, the ranks of pure noise look like a trend too often.
pub const LEAK_POINTS: usize = 10;

/// One chance in a hundred of a steady rise in pure noise (one-sided).
const SURE: f64 = 2.326;

/// The mean; none without values.
#[must_use]
pub fn mean(points: &Points) -> Option<f64> {
    // A run has far fewer than 2^53 samples.
    #[allow(clippy::cast_precision_loss)]
    let count = points.len() as f64;
    (!points.is_empty()).then(|| points.iter().map(|(_, v)| v).sum::<f64>() / count)
}

/// The least; none without values.
#[must_use]
pub fn least(points: &Points) -> Option<f64> {
    points.iter().map(|(_, v)| *v).min_by(f64::total_cmp)
}

/// The most; none without values.
#[must_use]
pub fn most(points: &Points) -> Option<f64> {
    points.iter().map(|(_, v)| *v).max_by(f64::total_cmp)
}

/// The value that `percent` of a hundred are at or under, interpolated between neighbours; none without values.
#[must_use]
pub fn percentile(values: &[f64], percent: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    // Far below 2^53, and not negative after the clamp.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let (low, share) = {
        let place = (percent.clamp(0.0, 100.0) / 100.0) * last as f64;
        (place.floor() as usize, place.fract())
    };
    let (a, b) = (sorted[low.min(last)], sorted[(low + 1).min(last)]);
    Some(a + (b - a) * share)
}

fn median(values: &[f64]) -> Option<f64> {
    percentile(values, 50.0)
}

/// A robust line through a curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// How it rises in an hour.
    pub slope_per_hour: f64,
    /// Where the line begins.
    pub start: f64,
    /// How long the curve is, in hours.
    pub hours: f64,
    /// How sure the rise is: the standard score of Kendall's rank statistic, with allowance for equal values and for noise that remembers.
    /// Above 2.3 a rise in pure noise has about one chance in a hundred.
    pub score: f64,
}

impl Trend {
    /// The line with the median of the slopes between all pairs of points (Theil 1950, Sen 1968); none for fewer than two moments.
    #[must_use]
    pub fn of(points: &Points) -> Option<Self> {
        let (first, last) = (points.first()?.0, points.last()?.0);
        let line: Vec<(f64, f64)> =
            thinned(points, PAIRS_OF).into_iter().map(|(at, v)| (elapsed(first, at).as_secs_f64() / 3600.0, v)).collect();
        let mut slopes = Vec::with_capacity(line.len() * line.len() / 2);
        let mut rank = 0_i64;
        for (i, (x, y)) in line.iter().enumerate() {
            for (later, value) in &line[i + 1..] {
                if later > x {
                    slopes.push((value - y) / (later - x));
                    rank += i64::from(value > y) - i64::from(value < y);
                }
            }
        }
        let slope_per_hour = median(&slopes)?;
        let start = median(&line.iter().map(|(x, y)| y - slope_per_hour * x).collect::<Vec<_>>())?;
        let hours = elapsed(first, last).as_secs_f64() / 3600.0;
        let rest: Vec<f64> = line.iter().map(|(x, y)| y - start - slope_per_hour * x).collect();
        let score = score(rank, &line) / inflation(&rest).sqrt();
        Some(Self { slope_per_hour, start, hours, score })
    }

    /// How much the line rises from its beginning to its end, as a share of where it begins; none where that is nothing.
    #[must_use]
    pub fn growth(&self) -> Option<f64> {
        (self.start.abs() > f64::EPSILON).then(|| self.slope_per_hour * self.hours / self.start.abs())
    }

    /// Whether it rises steadily, and not by chance.
    #[must_use]
    pub fn is_steady(&self) -> bool {
        self.score > SURE
    }
}

/// The standard score of Kendall's statistic (Mann 1945, Kendall 1975), with its correction for equal values.
fn score(rank: i64, line: &[(f64, f64)]) -> f64 {
    let mut values: Vec<f64> = line.iter().map(|(_, y)| *y).collect();
    values.sort_by(f64::total_cmp);
    // Counts of at most PAIRS_OF points.
    #[allow(clippy::cast_precision_loss)]
    let weight = |n: usize| {
        let n = n as f64;
        n * (n - 1.0) * (2.0 * n + 5.0)
    };
    let ties: f64 = values.chunk_by(|a, b| a.total_cmp(b).is_eq()).map(|equal| weight(equal.len())).sum();
    let variance = (weight(values.len()) - ties) / 18.0;
    // Half a million pairs at most.
    #[allow(clippy::cast_precision_loss)]
    let rank = (rank - rank.signum()) as f64;
    if variance > 0.0 { rank / variance.sqrt() } else { 0.0 }
}

/// How many times more the rank statistic of such noise varies than that of values that know nothing of each other: what the first
/// autocorrelation says of the number of values that are as good as independent (Yue and Wang 2004).
fn inflation(noise: &[f64]) -> f64 {
    let power: f64 = noise.iter().map(|x| x * x).sum();
    let shared: f64 = noise.iter().zip(noise.iter().skip(1)).map(|(a, b)| a * b).sum();
    // Noise that forgets at once gives 1; what remembers nearly everything is held at 39.
    let memory = if power > 0.0 { (shared / power).clamp(0.0, 0.95) } else { 0.0 };
    (1.0 + memory) / (1.0 - memory)
}

/// The same curve with at most `most` points: the medians of as many spans of equal length.
#[must_use]
pub fn thinned(points: &Points, most: usize) -> Vec<(Time, f64)> {
    if points.len() <= most || most == 0 {
        return points.to_vec();
    }
    let middle = |span: &[(Time, f64)]| {
        let values: Vec<f64> = span.iter().map(|(_, v)| *v).collect();
        median(&values).map(|value| (span[span.len() / 2].0, value))
    };
    let count = points.len();
    (0..most).filter_map(|i| middle(&points[i * count / most..(i + 1) * count / most])).collect()
}

/// The median of the last tenth, as a share of that of the first tenth; at least one point each. None where the first is nothing.
#[must_use]
pub fn ratio_to_start(points: &Points) -> Option<f64> {
    let tenth = (points.len() / 10).max(1);
    let of = |part: &[(Time, f64)]| median(&part.iter().map(|(_, v)| *v).collect::<Vec<_>>());
    let (start, end) = (of(points.get(..tenth)?)?, of(&points[points.len() - tenth..])?);
    (start.abs() > f64::EPSILON).then(|| end / start)
}

/// The median, as a share of that of another curve; none where that is nothing.
#[must_use]
pub fn ratio_to(points: &Points, baseline: &Points) -> Option<f64> {
    let of = |part: &[(Time, f64)]| median(&part.iter().map(|(_, v)| *v).collect::<Vec<_>>());
    let (here, there) = (of(points)?, of(baseline)?);
    (there.abs() > f64::EPSILON).then(|| here / there)
}

/// How much a curve leaks: its growth where it rises steadily, else 0.
///
/// # Errors
/// Why that cannot be said.
pub fn leak(points: &Points) -> Result<f64, String> {
    if points.len() < LEAK_POINTS {
        return Err(format!("{} samples, and a leak is told by {LEAK_POINTS} or more", points.len()));
    }
    let trend = Trend::of(points).ok_or("all samples are of one moment")?;
    if !trend.is_steady() {
        return Ok(0.0);
    }
    trend.growth().ok_or_else(|| "it begins at nothing, so that no share of it can be told".to_owned())
}

#[cfg(test)]
#[path = "series/tests.rs"]
mod tests;
