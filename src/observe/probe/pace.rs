//! When a probe is asked. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// How long after it became due a probe that has not passed yet is asked quickly.
pub(super) const QUICK_FOR: Duration = Duration::from_secs(2);

/// The period of that time. A recovery is over when the service serves again, and is measured to there: with a period of ten seconds
/// alone, what took 0.3 s would be known for ten. A service that does not serve after [`QUICK_FOR`] is a slow one, and some more
/// waiting is nothing to it.
const QUICK_PERIOD: Duration = Duration::from_millis(200);

/// The attempts of one probe on one start of a container.
#[derive(Debug)]
pub(super) struct Pace {
    period: Duration,
    first: Instant,
    /// Until when attempts are quick.
    quick_until: Instant,
    /// When the last attempt began, and the last of those that are a period apart.
    last: Option<(Instant, Instant)>,
    has_passed: bool,
}

/// The next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Next {
    pub at: Instant,
    /// Whether a failure counts. Of quick attempts only a pass does: a service that starts is given as much time as its thresholds and
    /// its period say.
    pub counts: bool,
}

impl Pace {
    /// The first attempt at `first`; quick ones follow until `quick_until`.
    pub fn new(first: Instant, quick_until: Instant, period: Duration) -> Self {
        Self { period: period.max(Duration::from_millis(1)), first, quick_until, last: None, has_passed: false }
    }

    /// When the next attempt is to begin, now that it is `now`.
    pub fn next(&self, now: Instant) -> Next {
        let Some((last, last_regular)) = self.last else { return Next { at: self.first, counts: true } };
        let regular = last_regular + self.period;
        let quick = (last + QUICK_PERIOD).max(now);
        if !self.has_passed && quick < regular && quick < self.quick_until {
            Next { at: quick, counts: false }
        } else {
            Next { at: regular, counts: true }
        }
    }

    /// An attempt was made. One that was late puts off the next: two that count are never closer than a period.
    pub fn made(&mut self, begun: Instant, counts: bool, passed: bool) {
        let regular = match self.last {
            Some((_, regular)) if !counts => regular,
            _ => begun,
        };
        self.last = Some((begun, regular));
        self.has_passed |= passed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Milliseconds after the start at which attempts begin, with `+` after those whose failure counts; each takes `takes`, and they
    /// pass from `passes_at` on.
    fn play(period: u64, takes: u64, passes_at: u64, until: u64) -> String {
        let start = Instant::now();
        let ms = Duration::from_millis;
        let mut pace = Pace::new(start + ms(10), start + QUICK_FOR, ms(period));
        let (mut now, mut told) = (start, Vec::new());
        loop {
            let next = pace.next(now);
            now = next.at.max(now);
            let at = u64::try_from((now - start).as_millis()).unwrap();
            if at > until {
                return told.join(" ");
            }
            told.push(format!("{at}{}", if next.counts { "+" } else { "" }));
            pace.made(now, next.counts, at >= passes_at);
            now += ms(takes);
        }
    }

    #[test]
    fn quick_until_the_first_pass_and_counted_by_the_period() {
        for (period, takes, passes_at, until, expected) in [
            (10_000, 0, 500, 21_000, "10+ 210 410 610 10010+ 20010+"),
            (1_000, 0, 9_999, 4_100, "10+ 210 410 610 810 1010+ 1210 1410 1610 1810 2010+ 3010+ 4010+"),
            (10_000, 0, 9_999, 21_000, "10+ 210 410 610 810 1010 1210 1410 1610 1810 10010+ 20010+"),
            (100, 0, 250, 500, "10+ 110+ 210+ 310+ 410+"),
            (1_000, 0, 0, 2_100, "10+ 1010+ 2010+"),
            // Slow answers: the late one is made at once, and the next a period after it.
            (1_000, 700, 9_999, 4_000, "10+ 710 1410+ 2410+ 3410+"),
        ] {
            assert_eq!(play(period, takes, passes_at, until), expected, "{period} {takes} {passes_at}");
        }
    }
}
