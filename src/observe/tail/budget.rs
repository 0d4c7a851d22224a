//! How much of a log is handed out: a token bucket, and the count of what it left out.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// What a container may print before lines of it are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Bytes of lines a second, of the time in which they were printed, that are handed out for any length of time; a line's end counts
    /// as one.
    pub bytes_per_second: u64,
    /// Bytes that may come at once before that.
    pub burst: u64,
}

impl Default for Budget {
    /// 4 MiB are some 30,000 lines: far more than a service prints in a second while it is well. 64 MiB hold what it prints
    /// in a bad minute.
    fn default() -> Self {
        Self { bytes_per_second: 4 * 1024 * 1024, burst: 64 * 1024 * 1024 }
    }
}

/// Lines that were beyond the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Dropped {
    /// How many.
    pub lines: u64,
    /// How many bytes they had; a line's end counts as one.
    pub bytes: u64,
    /// Stamp of the first.
    pub since: Timestamp,
    /// Stamp of the last.
    pub until: Timestamp,
}

/// How long lines are counted before it is told that they were dropped: often enough to be seen, and no flood of its own.
const COUNTED: Duration = Duration::from_secs(1);

const NANOS: u128 = 1_000_000_000;

/// Nanoseconds by which a stamp may be lower than one before it: lines of the two outputs overtake each other.
const SET_BACK: i128 = 10 * 1_000_000_000;

/// What is left of a budget.
#[derive(Debug)]
pub(super) struct Bucket {
    budget: Budget,
    /// In billionths of a byte, so that no time between two lines is too short to count.
    level: u128,
    begun: Instant,
    /// How long it was filled, in nanoseconds since it was begun.
    filled: i128,
    /// The stamp, in nanoseconds, that stands for its beginning, and the highest so far.
    stamps: Option<(i128, i128)>,
    dropped: Option<Dropped>,
    /// When it is to be told.
    due: Option<Instant>,
}

impl Bucket {
    /// A full one.
    pub(super) fn new(budget: Budget, now: Instant) -> Self {
        let level = u128::from(budget.burst) * NANOS;
        Self { budget, level, begun: now, filled: 0, stamps: None, dropped: None, due: None }
    }

    /// Nanoseconds for which it is filled since it was last asked. Time is what has passed here or between the stamps of lines, whichever
    /// is more: what was printed slowly is not to be dropped because it is read at once.
    fn passed(&mut self, stamp: Timestamp, now: Instant) -> u128 {
        let here = i128::try_from(now.saturating_duration_since(self.begun).as_nanos()).unwrap_or(i128::MAX);
        let stamp = stamp.as_nanosecond();
        let (origin, highest) = self.stamps.unwrap_or((stamp - here, stamp));
        // A host's clock that was set back begins anew from what is filled.
        let origin = if stamp < highest - SET_BACK { stamp - self.filled } else { origin };
        self.stamps = Some((origin, if stamp < highest - SET_BACK { stamp } else { highest.max(stamp) }));
        let time = here.max(stamp - origin).max(self.filled);
        let passed = time - self.filled;
        self.filled = time;
        passed.unsigned_abs()
    }

    /// Takes a line of so many bytes out. False when there is not enough left: it is dropped and counted.
    pub(super) fn take(&mut self, bytes: usize, stamp: Timestamp, now: Instant) -> bool {
        let full = u128::from(self.budget.burst) * NANOS;
        let elapsed = self.passed(stamp, now);
        self.level = elapsed.saturating_mul(self.budget.bytes_per_second.into()).saturating_add(self.level).min(full);
        let bytes = bytes as u64 + 1;
        // A line that is larger than the burst needs all of it, or it would never come.
        let cost = (u128::from(bytes) * NANOS).min(full).max(1);
        if let Some(left) = self.level.checked_sub(cost) {
            self.level = left;
            return true;
        }
        let dropped = self.dropped.get_or_insert(Dropped { lines: 0, bytes: 0, since: stamp, until: stamp });
        dropped.lines += 1;
        dropped.bytes += bytes;
        dropped.until = stamp;
        self.due.get_or_insert(now + COUNTED);
        false
    }

    /// When [`Bucket::dropped`] is to be asked.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// What was dropped since it was last asked.
    pub(super) fn dropped(&mut self) -> Option<Dropped> {
        self.due = None;
        self.dropped.take()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(nanosecond: i64) -> Timestamp {
        Timestamp::from_nanosecond(nanosecond.into()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_printed_slowly_is_handed_out_however_fast_it_is_read() {
        let mut bucket = Bucket::new(Budget { bytes_per_second: 100, burst: 1000 }, Instant::now());
        let second = 1_000_000_000;
        assert!((0..1000).all(|n| bucket.take(99, at(n * second), Instant::now())));
        // Set back by an hour, it goes on as fast.
        let back = (1000 - 3600) * second;
        assert!((0..1000).all(|n| bucket.take(99, at(back + n * second), Instant::now())));
        // And what is printed too fast is dropped as ever.
        let last = back + 999 * second;
        assert!((0..20).map(|n| bucket.take(99, at(last + n), Instant::now())).any(|is_handed_out| !is_handed_out));
    }

    #[tokio::test(start_paused = true)]
    async fn the_burst_comes_at_once_and_then_so_much_a_second() {
        let mut bucket = Bucket::new(Budget { bytes_per_second: 100, burst: 1000 }, Instant::now());
        for _ in 0..10 {
            assert!(bucket.take(99, at(0), Instant::now()));
        }
        assert!(!bucket.take(0, at(1), Instant::now()));
        tokio::time::advance(Duration::from_millis(999)).await;
        assert!(!bucket.take(99, at(2), Instant::now()));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(bucket.take(99, at(3), Instant::now()));
        assert!(!bucket.take(0, at(4), Instant::now()));
        assert_eq!(bucket.dropped(), Some(Dropped { lines: 3, bytes: 102, since: at(1), until: at(4) }));
        assert_eq!(bucket.dropped(), None);
        // However long it was quiet, no more than the burst.
        tokio::time::advance(Duration::from_secs(1000)).await;
        assert!(bucket.take(999, at(5), Instant::now()));
        assert!(!bucket.take(0, at(6), Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_dropped_is_told_a_second_after_the_first_of_it() {
        let mut bucket = Bucket::new(Budget { bytes_per_second: 0, burst: 10 }, Instant::now());
        assert!(bucket.take(9, at(0), Instant::now()));
        assert_eq!(bucket.due(), None);
        let first = Instant::now();
        bucket.take(1, at(1), first);
        tokio::time::advance(Duration::from_millis(700)).await;
        bucket.take(1, at(2), Instant::now());
        assert_eq!(bucket.due(), Some(first + COUNTED));
        assert_eq!(bucket.dropped().unwrap().lines, 2);
        assert_eq!(bucket.due(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_larger_than_the_burst_takes_all_of_it_and_no_budget_lets_nothing_pass() {
        let mut bucket = Bucket::new(Budget { bytes_per_second: 1, burst: 10 }, Instant::now());
        assert!(bucket.take(1000, at(0), Instant::now()));
        assert!(!bucket.take(0, at(0), Instant::now()));
        let mut bucket = Bucket::new(Budget { bytes_per_second: 1000, burst: 0 }, Instant::now());
        tokio::time::advance(Duration::from_secs(9)).await;
        assert!(!bucket.take(0, at(0), Instant::now()));
        let most = Budget { bytes_per_second: u64::MAX, burst: u64::MAX };
        assert!(Bucket::new(most, Instant::now()).take(usize::MAX / 2, at(0), Instant::now()));
    }

    proptest! {
        #[test]
        fn in_no_stretch_of_time_comes_more_than_the_burst_and_the_rate(
            lines in prop::collection::vec((0_u64..300, 0_usize..50), 1..200), rate in 1_u64..2000, burst in 60_u64..500,
        ) {
            let origin = Instant::now();
            let mut bucket = Bucket::new(Budget { bytes_per_second: rate, burst }, origin);
            let mut millis = 0;
            let mut taken = Vec::new();
            let mut dropped = 0;
            for (pause, bytes) in &lines {
                millis += pause;
                if bucket.take(*bytes, at(0), origin + Duration::from_millis(millis)) {
                    taken.push((millis, *bytes as u64 + 1));
                } else {
                    dropped += 1;
                }
            }
            for (n, (from, _)) in taken.iter().enumerate() {
                let mut sum = 0;
                for (to, bytes) in &taken[n..] {
                    sum += bytes;
                    prop_assert!(sum * 1000 <= burst * 1000 + rate * (to - from));
                }
            }
            prop_assert_eq!(taken.len() + dropped, lines.len());
            prop_assert_eq!(bucket.dropped().map_or(0, |d| d.lines), dropped as u64);
        }
    }
}
