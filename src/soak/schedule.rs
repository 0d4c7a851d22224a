//! When checks and samples are due.

use std::time::Duration;

use crate::api::{Time, after, elapsed};

/// Number of the last check: the first is number 0, at the beginning; the last is at the very end, also where the period does
/// not divide the duration.
#[must_use]
pub fn last_check(duration: Duration, period: Duration) -> u32 {
    let period = period.as_millis().max(1);
    u32::try_from(duration.as_millis().div_ceil(period)).unwrap_or(u32::MAX)
}

/// When check number `n` is due; `None` after the last.
#[must_use]
pub fn due(since: Time, duration: Duration, period: Duration, n: u32) -> Option<Time> {
    let last = last_check(duration, period);
    (n <= last).then(|| after(since, period.saturating_mul(n).min(duration)))
}

/// The check to make now, after those that were missed while nobody made checks: its number, and how many were missed. `next` is the
/// first that was neither made nor missed. `None` when none is due yet, or all are made.
///
/// Only the latest of several overdue checks is made: two at the same moment would show one thing twice. So the last one, which
/// has no later one, is always made, however late.
#[must_use]
pub fn take_due(next: u32, since: Time, duration: Duration, period: Duration, now: Time) -> Option<(u32, u32)> {
    let is_due = |n: u32| due(since, duration, period, n).is_some_and(|at| at <= now);
    if !is_due(next) {
        return None;
    }
    let behind = elapsed(since, now).as_millis() / period.as_millis().max(1);
    let by_clock = u32::try_from(behind).unwrap_or(u32::MAX).min(last_check(duration, period));
    let latest = if is_due(by_clock.saturating_add(1)) { by_clock + 1 } else { by_clock };
    let latest = latest.max(next);
    Some((latest, latest - next))
}

/// Share of the soak that is over, 0 to 100.
#[must_use]
pub fn progress(since: Time, duration: Duration, now: Time) -> u32 {
    let share = elapsed(since, now).as_secs_f64() / duration.as_secs_f64().max(f64::MIN_POSITIVE);
    // In 0 to 100 after the clamp, so the cast loses only the fraction.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let percent = (share * 100.0).clamp(0.0, 100.0) as u32;
    percent
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn at(seconds: i64) -> Time {
        Time::from_second(seconds).unwrap()
    }

    #[test]
    fn the_first_check_is_at_the_beginning_and_the_last_at_the_very_end() {
        for (duration, period, times) in [(60, 30, vec![0, 30, 60]), (60, 25, vec![0, 25, 50, 60]), (10, 30, vec![0, 10])] {
            let all: Vec<i64> = (0..).map_while(|n| due(at(0), S(duration), S(period), n)).map(Time::as_second).collect();
            assert_eq!(all, times);
        }
    }

    #[test]
    fn overdue_checks_are_missed_but_for_the_latest() {
        let take = |next, now| take_due(next, at(0), S(60), S(25), at(now));
        assert_eq!(take(0, 0), Some((0, 0)));
        assert_eq!(take(1, 24), None);
        assert_eq!(take(1, 25), Some((1, 0)));
        assert_eq!(take(1, 59), Some((2, 1)));
        assert_eq!(take(1, 60), Some((3, 2)));
        assert_eq!(take(3, 100_000), Some((3, 0)), "the last is made however late");
        assert_eq!(take(4, 100_000), None);
    }

    #[test]
    fn progress_is_a_share_of_the_duration() {
        assert_eq!(progress(at(0), S(60), at(30)), 50);
        assert_eq!(progress(at(0), S(60), at(600)), 100);
        assert_eq!(progress(at(10), S(60), at(0)), 0);
    }
}
