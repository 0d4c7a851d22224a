//! Silence: a signature that should keep coming does not.
//!
//! It should keep coming because somebody declared so, or because it was learnt. Learnt takes much: nearly
//! every minute of the last hour, hours of support, and no pause of more than some minutes in all that is
//! known. A burst has no hours and a batch job has pauses, so neither is learnt. How long a learnt signature
//! may be away follows from how often it leaves a minute empty and from its longest pause.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::signature::rates::{minute::Minute, view::View};

/// Minutes that must have lines in nearly all cases, up to the last line: the hour of the rule.
const HOUR: usize = 60;

/// How many minutes of the hour must have lines. Nine in ten; a rate of 2.3 a minute gives that.
const FULL_MIN: usize = 54;

/// Minutes of support for a signature that was there when counting began. Twice the hour, because batch jobs
/// that run for an hour are common.
const SUPPORT: usize = 120;

/// Minutes of support for a signature that came later. What has begun may end: a job, an upload, an incident.
const SUPPORT_LATER: usize = 240;

/// Minutes after counting began within which a signature counts as there from the start.
const FROM_START: i64 = 10;

/// The longest pause in minutes a learnt signature may have had. Longer ones mark a job that comes and goes.
const PAUSE_MAX: u32 = 4;

/// The chance that a stretch of empty minutes is chance. 200 signatures in six hours are 72 000 minutes, so a
/// ten-thousandth of a false silence would follow if minutes were independent. They are not quite: hence
/// also the longest pause.
const CHANCE: f64 = 1e-8;

/// The least minutes a learnt signature must be away. A reader that stalls catches up within [`crate::signature::rates::LATE`].
const AWAY_MIN: u32 = 5;

/// A learnt signature must be away for so many times its longest pause.
const PAUSES: u32 = 3;

/// The most minutes that a silence may need to be told. Beyond that the rate is too low to be learnt.
const AWAY_MAX: u32 = 30;

/// The part of a declared time that is granted on top of it, as a divisor: timers drift and lines travel.
const GRACE: i32 = 10;

/// The least time granted on top of a declared one.
const GRACE_MIN: SignedDuration = SignedDuration::from_secs(10);

/// Why a signature is expected to keep coming.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expected {
    /// Declared to come at least once in so many seconds (1 and up).
    Declared {
        /// Seconds.
        every: u32,
    },
    /// Learnt: it was not away for so many minutes (5 to 30) by chance.
    Learnt {
        /// Minutes.
        away: u32,
    },
}

/// A signature that should keep coming does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// The last line, or when the declaration or the watching began if that is later.
    pub since: Timestamp,
    /// Why a line was expected.
    pub expected: Expected,
}

/// A silent signature comes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumed {
    /// The silence that is over.
    pub silence: Silence,
    /// The latest line.
    pub last: Timestamp,
}

/// What is kept of a learnt silence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SilenceTrack {
    told: Option<Silence>,
}

/// What is kept of a declaration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Declared {
    every: u32,
    /// When it was declared.
    since: Timestamp,
    last: Option<Timestamp>,
    told: Option<Silence>,
}

/// What a look at a signature finds.
pub(crate) enum Change {
    Silent(Silence),
    Resumed(Resumed),
}

impl SilenceTrack {
    /// The silence that goes on, if there is one.
    pub(crate) fn told(&self) -> Option<&Silence> {
        self.told.as_ref()
    }

    /// Looks at a signature that may have been learnt.
    pub(crate) fn on_tick(&mut self, view: &View) -> Option<Change> {
        if let Some(silence) = self.told {
            return (view.last > silence.since).then(|| {
                self.told = None;
                Change::Resumed(Resumed { silence, last: view.last })
            });
        }
        let since = view.last.max(view.clock.awake());
        let away = view.clock.minute().since(Minute::of(since));
        if !(i64::from(AWAY_MIN)..=i64::from(AWAY_MAX)).contains(&away) {
            return None;
        }
        // Full minutes: the one of the last line does not count.
        let allowed = allowed_away(view).filter(|&allowed| away > i64::from(allowed))?;
        let silence = Silence { since, expected: Expected::Learnt { away: allowed } };
        self.told = Some(silence);
        Some(Change::Silent(silence))
    }
}

impl Declared {
    /// A declaration made at `now`, to come at least once in so many seconds (at least 1).
    pub(crate) fn new(every: u32, now: Timestamp) -> Self {
        Self { every: every.max(1), since: now, last: None, told: None }
    }

    /// The silence that goes on, if there is one.
    pub(crate) fn told(&self) -> Option<&Silence> {
        self.told.as_ref()
    }

    /// Looks at the declared signature. `seen` is its last line, if it is still known; `awake` is since when
    /// somebody has been watching.
    pub(crate) fn on_tick(&mut self, seen: Option<Timestamp>, awake: Timestamp, now: Timestamp) -> Option<Change> {
        self.last = self.last.max(seen);
        let since = self.last.unwrap_or(self.since).max(self.since).max(awake);
        if let Some(silence) = self.told {
            let last = self.last.filter(|&last| last > silence.since)?;
            self.told = None;
            return Some(Change::Resumed(Resumed { silence, last }));
        }
        let every = SignedDuration::from_secs(i64::from(self.every));
        if now.duration_since(since) <= every + (every / GRACE).max(GRACE_MIN) {
            return None;
        }
        let silence = Silence { since, expected: Expected::Declared { every: self.every } };
        self.told = Some(silence);
        Some(Change::Silent(silence))
    }
}

/// How many full minutes the signature may be away by chance. `None` if it was not learnt.
fn allowed_away(view: &View) -> Option<u32> {
    let (first, last) = (Minute::of(view.first), Minute::of(view.last));
    let known = usize::try_from(last.since(first.max(view.clock.first_full()))).unwrap_or(0);
    let mut history = view.history(last.back(1), &[]);
    // Minutes before the first line are empty for another reason than a pause.
    let surplus = history.len().saturating_sub(known);
    history.drain(..surplus);
    let from_start = first.since(Minute::of(view.clock.start())) <= FROM_START;
    let support = if from_start { SUPPORT } else { SUPPORT_LATER };
    let hour = history.len().checked_sub(HOUR)?;
    let full = history[hour..].iter().filter(|&&lines| lines > 0).count();
    let pause = longest_pause(&history);
    if history.len() < support || full < FULL_MIN || pause > PAUSE_MAX {
        return None;
    }
    // The hour and all that is known: the emptier one counts, with one more of each kind for what is not known.
    let share = |minutes: &[u32]| {
        #[expect(clippy::cast_precision_loss, reason = "histories have at most 360 minutes")]
        let part = |count: usize, of: usize| (count + 1) as f64 / (of + 2) as f64;
        part(minutes.iter().filter(|&&lines| lines == 0).count(), minutes.len())
    };
    let empty = share(&history).max(share(&history[hour..]));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast of a float saturates")]
    let chance = (CHANCE.ln() / empty.ln()).ceil() as u32;
    let away = chance.max(pause * PAUSES).max(AWAY_MIN);
    (away < AWAY_MAX).then_some(away)
}

/// The longest run of empty minutes.
fn longest_pause(history: &[u32]) -> u32 {
    let mut longest = 0;
    let mut pause = 0;
    for &lines in history {
        pause = if lines == 0 { pause + 1 } else { 0 };
        longest = longest.max(pause);
    }
    longest
}

#[cfg(test)]
mod tests {
    use crate::api::Severity;
    use crate::signature::rates::{Event, Key, Watch, What};

    use super::*;

    const ID: Key = Key(1);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Feeds some lines in each of the minutes that begin with `from`, and returns what was told.
    fn feed(watch: &mut Watch, from: i64, minutes: i64, lines: i64) -> Vec<Event> {
        let mut told = Vec::new();
        for second in (from * 60..(from + minutes) * 60).step_by(10) {
            if second % 60 / 10 < lines {
                told.extend(watch.line(ID, Severity::Info, at(second), at(second)));
            }
            told.extend(watch.tick(at(second)));
        }
        told
    }

    #[test]
    fn a_learnt_signature_that_stops_is_told_once_and_so_is_its_return() {
        let mut watch = Watch::default();
        assert_eq!(feed(&mut watch, 0, 180, 3), []);
        let told = feed(&mut watch, 180, 60, 0);
        let [Event { at: when, what: What::Silent(silence), .. }] = told[..] else { panic!("{told:?}") };
        assert_eq!(silence.since, at(179 * 60 + 20));
        assert!(when <= at(186 * 60), "{when}");
        assert_eq!(watch.silences().len(), 1);
        let told = feed(&mut watch, 240, 1, 3);
        assert!(matches!(told[..], [Event { what: What::Resumed(_), .. }]), "{told:?}");
    }

    #[test]
    fn two_hours_of_lines_that_began_late_are_not_learnt() {
        let mut watch = Watch::default();
        feed(&mut watch, 0, 60, 0);
        assert!(feed(&mut watch, 60, 120, 3).iter().all(|event| matches!(event.what, What::New(_))));
        assert_eq!(feed(&mut watch, 180, 100, 0), []);
    }

    #[test]
    fn a_job_with_pauses_is_not_learnt() {
        let mut watch = Watch::default();
        for turn in 0..6 {
            assert_eq!(feed(&mut watch, turn * 100, 90, 3), []);
            assert_eq!(feed(&mut watch, turn * 100 + 90, 10, 0), []);
        }
    }

    #[test]
    fn time_in_which_nobody_watched_is_no_silence() {
        let mut watch = Watch::default();
        feed(&mut watch, 0, 180, 3);
        assert_eq!(watch.tick(at(240 * 60)), []);
        assert_eq!(feed(&mut watch, 240, 60, 3), []);
    }

    #[test]
    fn a_declared_signature_is_silent_after_its_time_and_grace() {
        let mut watch = Watch::default();
        assert!(watch.expect(ID, 60, at(0)));
        watch.line(ID, Severity::Info, at(5), at(5));
        assert_eq!(watch.tick(at(75)), []);
        let told = watch.tick(at(76));
        let silence = Silence { since: at(5), expected: Expected::Declared { every: 60 } };
        assert_eq!(told, [Event { id: ID, at: at(76), what: What::Silent(silence) }]);
        watch.line(ID, Severity::Info, at(80), at(80));
        let resumed = Resumed { silence, last: at(80) };
        assert_eq!(watch.tick(at(81)), [Event { id: ID, at: at(81), what: What::Resumed(resumed) }]);
    }

    #[test]
    fn a_declared_signature_that_never_came_is_silent_too() {
        let mut watch = Watch::default();
        watch.tick(at(0));
        watch.expect(ID, 30, at(0));
        watch.tick(at(30));
        assert_eq!(watch.tick(at(41)).len(), 1);
        watch.unexpect(ID);
        assert_eq!(watch.silences(), []);
    }
}
