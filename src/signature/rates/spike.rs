//! The spike: a signature comes far more often than usual.
//!
//! At the first line of a minute the baseline is turned into one number: the count of the running minute from
//! which on some reach is out of bounds. Each line compares with that number, so a burst is told within it. A
//! spike is told once. It is over when five minutes together lie below half way to the bound, or when it has
//! lasted an hour: then it is the new normal. Spikes that subsided are left out of later baselines, except
//! when they come back often.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::signature::rates::{
    baseline::{Baseline, GUARD},
    minute::{Minute, Stretch},
    rate::Rate,
    view::View,
};

/// Minutes whose mean must lie under the lower bound before a spike is over. Fewer would end a noisy spike
/// in a lull; more would hide the next one.
const CALM: u32 = 5;

/// Minutes after which a spike that goes on is the new normal: by then the hour's level has seen it.
const SETTLED: i64 = 60;

/// Subsided spikes left out of baselines. Of bursts that keep coming the older ones go into the baseline, where two
/// make a habit: the third in six hours is the last one told.
const PAST_KEPT: usize = 1;

/// Minutes from its first line in which a signature cannot spike. It was told as new; its level needs guard and
/// short level, 28 minutes, to be its own.
const KNOWN: i64 = 30;

/// Lines in the longest reach below which no baseline is worked out, because no bound is that low.
const LINES_MIN: u64 = 12;

/// A spike that was told and is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spike {
    /// The start of the first minute that stood out.
    pub since: Timestamp,
    /// The rate before.
    pub before: Rate,
    /// The rate now: the higher of the last full minute and the running one as far as it has come.
    pub now: Rate,
}

impl Spike {
    /// How many times the rate before the rate now is. Less than one line an hour before counts as one.
    #[must_use]
    pub fn factor(&self) -> f64 {
        self.now.factor_over(self.before)
    }
}

/// Why a spike is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Over {
    /// The rate came back.
    Subsided,
    /// The rate stayed for an hour and is now taken as usual.
    Settled,
}

/// The end of a spike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpikeOver {
    /// The spike as it was last: `now` is the rate after it.
    pub spike: Spike,
    /// The highest rate of it.
    pub peak: Rate,
    /// Why it is over.
    pub over: Over,
}

/// What is kept of the spikes of one signature.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SpikeTrack {
    active: Option<Active>,
    /// Subsided spikes, oldest first.
    past: Vec<Stretch>,
    /// The first minute after the last spike. No reach goes back beyond it.
    fresh: Option<Minute>,
    /// Worked out from full minutes alone, so it need not be saved.
    #[serde(skip)]
    armed: Option<Armed>,
}

/// A spike that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Active {
    spike: Spike,
    peak: Rate,
    /// The mean of the last minutes must fall below this.
    lower: Rate,
}

/// The limit of the running minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Armed {
    minute: Minute,
    /// Lines in the running minute from which on it is a spike.
    limit: u64,
    before: Rate,
    lower: Rate,
}

impl SpikeTrack {
    /// Looks at the running minute after a line. Returns the spike if this line makes one. `earlier` says that the
    /// line went to an earlier minute, so that the limit must be worked out again.
    #[inline]
    pub(crate) fn on_line(&mut self, view: &View, earlier: bool) -> Option<Spike> {
        if self.active.is_some() {
            return None;
        }
        let minute = view.clock.minute();
        let armed = match self.armed {
            Some(armed) if armed.minute == minute && !earlier => armed,
            _ => {
                self.armed = self.arm(view, minute);
                self.armed?
            }
        };
        let running = u64::from(view.ring.get(minute));
        if running < armed.limit {
            return None;
        }
        let spike = Spike { since: onset(view, minute, armed.lower).start(), before: armed.before, now: rate_now(view) };
        self.active = Some(Active { spike, peak: spike.now, lower: armed.lower });
        Some(spike)
    }

    /// Brings a spike up to date, and returns it if it is over.
    pub(crate) fn on_tick(&mut self, view: &View) -> Option<SpikeOver> {
        let active = self.active.as_mut()?;
        active.spike.now = rate_now(view);
        active.peak = active.peak.max(active.spike.now);
        let (since, minute) = (Minute::of(active.spike.since), view.clock.minute());
        let lasted = minute.since(since);
        let calm = Rate::of(view.ring.sum(minute.back(1), CALM), CALM) < active.lower;
        let over = if lasted >= i64::from(CALM) && calm {
            Over::Subsided
        } else if lasted >= SETTLED {
            Over::Settled
        } else {
            return None;
        };
        let ended = SpikeOver { spike: active.spike, peak: active.peak, over };
        if over == Over::Subsided {
            self.past.push(Stretch { from: since, to: minute.back(CALM) });
            let surplus = self.past.len().saturating_sub(PAST_KEPT);
            self.past.drain(..surplus);
        }
        self.active = None;
        self.armed = None;
        self.fresh = Some(minute);
        Some(ended)
    }

    /// The spike that goes on, if there is one.
    pub(crate) fn active(&self) -> Option<&Spike> {
        self.active.as_ref().map(|active| &active.spike)
    }

    /// Forgets the limit of the running minute. The next line works it out again, and to the same number.
    pub(crate) fn disarm(&mut self) {
        self.armed = None;
    }

    /// The track with its list cut to the allowed length: for states that come from outside.
    pub(crate) fn bounded(mut self) -> Self {
        self.past.truncate(PAST_KEPT);
        self
    }

    /// Works out the limit of the running minute. `None` if there are too few lines to care, in which case the
    /// next line asks again.
    fn arm(&self, view: &View, minute: Minute) -> Option<Armed> {
        if view.ring.sum(minute, GUARD) < LINES_MIN {
            return None;
        }
        let never = Armed { minute, limit: u64::MAX, before: Rate::default(), lower: Rate::default() };
        let history = view.history(minute.back(GUARD), &self.past);
        let known = minute.since(Minute::of(view.first)) >= KNOWN;
        let Some(baseline) = Baseline::of(&history).filter(|_| known) else { return Some(never) };
        let fresh = self.fresh.map_or(u32::MAX, |fresh| u32::try_from(minute.since(fresh)).unwrap_or(0));
        let limit = baseline
            .bounds()
            .map(|(reach, bound)| bound.saturating_sub(view.ring.sum(minute.back(1), (reach - 1).min(fresh))))
            .min();
        Some(Armed {
            limit: limit.unwrap_or(u64::MAX).max(1),
            before: Rate::per_minute(baseline.level()),
            lower: Rate::per_minute(baseline.halfway()),
            ..never
        })
    }
}

/// The first of the minutes up to the running one that lie above the lower bound without a break.
fn onset(view: &View, minute: Minute, lower: Rate) -> Minute {
    let out = |age: &u32| Rate::of(u64::from(view.ring.get(minute.back(*age))), 1) > lower;
    minute.back((1..GUARD).take_while(out).last().unwrap_or(0))
}

/// The higher rate of the last full minute and the running one as far as it has come.
fn rate_now(view: &View) -> Rate {
    let minute = view.clock.minute();
    Rate::of(u64::from(view.ring.get(minute).max(view.ring.get(minute.back(1)))), 1)
}

#[cfg(test)]
mod tests {
    use crate::api::Severity;
    use crate::signature::rates::{Key, Watch, What};

    use super::*;

    const ID: Key = Key(1);

    /// Feeds so many lines in each minute and returns what was told, with the minute of telling.
    fn told(lines_by_minute: &[u32]) -> Vec<(i64, What)> {
        let mut watch = Watch::default();
        let mut told = Vec::new();
        for (minute, &lines) in (0..).zip(lines_by_minute) {
            for second in 0..60 {
                let now = Timestamp::from_second(minute * 60 + second).unwrap();
                let due = |second: i64| i64::from(lines) * second / 60;
                for _ in due(second)..due(second + 1) {
                    told.extend(watch.line(ID, Severity::Info, now, now).map(|event| (minute, event.what)));
                }
            }
            let now = Timestamp::from_second(minute * 60 + 59).unwrap();
            told.extend(watch.tick(now).into_iter().map(|event| (minute, event.what)));
        }
        told
    }

    #[test]
    fn a_step_is_told_once_and_ends_once() {
        let mut lines = vec![10; 120];
        lines.extend([100; 15]);
        lines.extend([10; 60]);
        let told = told(&lines);
        let [(start, What::Spike(spike)), (end, What::SpikeOver(over))] = told[..] else { panic!("{told:?}") };
        assert_eq!(start, 120);
        assert_eq!(spike.since, Timestamp::from_second(120 * 60).unwrap());
        assert_eq!(spike.before, Rate::of(10, 1));
        assert!((139..=141).contains(&end), "{end}");
        assert_eq!((over.over, over.peak), (Over::Subsided, Rate::of(100, 1)));
        assert!((over.peak.factor_over(over.spike.before) - 10.0).abs() < 1e-9);
    }

    #[test]
    fn a_rate_that_stays_becomes_normal() {
        let mut lines = vec![10; 120];
        lines.extend([50; 200]);
        let told = told(&lines);
        assert!(matches!(told[..], [(_, What::Spike(_)), (180, What::SpikeOver(SpikeOver { over: Over::Settled, .. }))]));
    }

    #[test]
    fn a_slow_rise_to_the_twentyfold_is_no_spike() {
        let lines: Vec<u32> = (0..360).map(|minute| 10 + minute / 2).collect();
        assert_eq!(told(&lines), []);
    }

    #[test]
    fn one_then_three_is_no_spike() {
        let lines: Vec<u32> = (0..360).map(|minute| if minute % 97 == 96 { 3 } else { 1 }).collect();
        assert_eq!(told(&lines), []);
    }

    #[test]
    fn an_equal_spike_hours_later_is_told_again() {
        let mut lines = vec![10; 100];
        for _ in 0..2 {
            lines.extend([200; 10]);
            lines.extend([10; 90]);
        }
        let spikes = told(&lines).iter().filter(|(_, what)| matches!(what, What::Spike(_))).count();
        assert_eq!(spikes, 2);
    }

    #[test]
    fn a_job_that_bursts_every_half_hour_becomes_a_habit() {
        let lines: Vec<u32> = (0..720).map(|minute| if minute % 30 == 15 { 200 } else { 5 }).collect();
        let late = told(&lines).into_iter().filter(|(minute, _)| *minute > 240).collect::<Vec<_>>();
        assert_eq!(late, []);
    }
}
