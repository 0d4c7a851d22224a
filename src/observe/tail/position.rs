//! How far a log was read: what is needed to go on without loss or repeat.
//!
//! ```text
//!   read again:   old old │ at at at │ new new …      of each output by itself
//!                 ─ skip ─┼─ count ──┼─ hand out
//! ```
//!
//! A line has no number and no offset, only a stamp, and several can have the same. So a [`Mark`] is the highest stamp of an
//! output and how many lines came from the first with that stamp on. Docker keeps the order in which an output's lines were
//! written, so these are the lines that come first when the log is read again.
//!
//! The outputs are apart: two threads of the engine stamp them, and a line may overtake an earlier one of the other output
//! on its way to the log.
//!
//! The engine itself repeats lines when it rotates a log that is followed: it may open the new file twice and then begins it
//! anew. So the last stamps are kept, and a line that comes with one of them after a later one is known.
//!
//! When the host's clock was set back, lines come with a lower stamp than the mark's. They count as lines after it, and
//! [`Position::from`] goes back with them.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Output;

/// How much earlier than the last line Docker is asked for. A line is stamped before it waits for its turn to be written, so
/// that one of the other output can come before it with a later stamp. No disk was seen to make it wait for two seconds.
const OVERTAKEN: SignedDuration = SignedDuration::from_secs(2);

/// Lines of an output of which the stamp is kept. An engine that rotated a log every second repeated up to 390 (Docker
/// 20.10).
const RECENT: usize = 1024;

/// How far the log of a container was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Position {
    /// Full id of the container.
    pub container: String,
    /// Whatever comes next was stamped at this time or later.
    pub from: Timestamp,
    /// The last of its standard output; of a container with a terminal, of all that it printed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<Mark>,
    /// The last of its standard error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr: Option<Mark>,
}

/// The last of an output that was handed out, or dropped and told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mark {
    /// The highest stamp so far.
    pub at: Timestamp,
    /// How many lines came from the first with that stamp on, 1 and up.
    pub lines: u32,
}

/// Lines that were not read are not there any more: the log was rotated or emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Gap {
    /// Stamp of the last line before it.
    pub after: Timestamp,
    /// Stamp of the first line behind it.
    pub before: Timestamp,
}

/// What is to be done with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// It was read before.
    Known,
    /// It is to be handed out.
    New,
    /// So is it, and what came before it is missing.
    AfterGap(Gap),
}

/// The place of a reader in a log.
#[derive(Debug, Default)]
pub(super) struct Place {
    stdout: Track,
    stderr: Track,
    /// Stamp of the last new line.
    last: Option<Timestamp>,
    /// What Docker was asked for.
    from: Option<Timestamp>,
    /// While a log is read again: the highest stamp so far, until a known line is seen. All that follows one is there.
    awaited: Option<Timestamp>,
}

/// The place in one output.
#[derive(Debug, Default)]
struct Track {
    mark: Option<Mark>,
    seek: Seek,
    recent: Recent,
}

/// The last lines of an output.
#[derive(Debug, Default)]
struct Recent {
    lines: VecDeque<(Timestamp, Sign)>,
    /// The highest stamp.
    latest: Option<Timestamp>,
}

/// What tells lines with the same stamp apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// A hash of its text.
    Text(u64),
    /// It came in parts. What is repeated of it may be some of them.
    Parts,
}

/// Where in what is read again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Seek {
    /// Before the first line with the mark's stamp.
    Before,
    /// Behind it, so many known lines before the first new one.
    Within(u32),
    /// At new lines.
    #[default]
    Open,
}

impl Place {
    /// The place that a position describes.
    pub(super) fn at(position: &Position) -> Self {
        let track = |mark| Track { mark, ..Track::default() };
        let (stdout, stderr) = (track(position.stdout), track(position.stderr));
        let mut place = Self { stdout, stderr, from: Some(position.from), ..Self::default() };
        place.read_again(None);
        place
    }

    /// What Docker is to be asked from; none when nothing was read yet. `unfinished` is the stamp of a line whose end has
    /// not come.
    pub(super) fn from(&self, unfinished: Option<Timestamp>) -> Option<Timestamp> {
        let Some(last) = self.last else { return self.from };
        let earliest = unfinished.map_or(last, |at| at.min(last));
        Some(earliest.checked_sub(OVERTAKEN).unwrap_or(Timestamp::MIN))
    }

    /// From now on lines are those that follow [`Place::from`], known ones first.
    pub(super) fn read_again(&mut self, unfinished: Option<Timestamp>) {
        self.from = self.from(unfinished);
        self.last = None;
        for track in [&mut self.stdout, &mut self.stderr] {
            track.seek = if track.mark.is_some() { Seek::Before } else { Seek::Open };
            track.recent = Recent::default();
        }
        self.awaited = [self.stdout.mark, self.stderr.mark].into_iter().flatten().map(|mark| mark.at).max();
    }

    /// The position, once there was a line.
    pub(super) fn position(&self, container: &str, unfinished: Option<Timestamp>) -> Option<Position> {
        let (stdout, stderr) = (self.stdout.mark, self.stderr.mark);
        stdout.or(stderr)?;
        Some(Position { container: container.to_owned(), from: self.from(unfinished)?, stdout, stderr })
    }

    /// Moves over the next line of that output.
    pub(super) fn pass(&mut self, output: Output, at: Timestamp, sign: Sign) -> Pass {
        let (track, other) = match output {
            Output::Stdout => (&mut self.stdout, &self.stderr),
            Output::Stderr => (&mut self.stderr, &self.stdout),
        };
        if track.mark.is_none() && other.is_before(at) {
            return Pass::Known;
        }
        if track.recent.repeats(at, sign) || track.is_known(at) {
            self.awaited = None;
            return Pass::Known;
        }
        self.last = Some(at);
        self.awaited.take().map_or(Pass::New, |after| Pass::AfterGap(Gap { after, before: at }))
    }
}

impl Recent {
    /// Whether a line is one of these once more. It is one of them from now on.
    fn repeats(&mut self, at: Timestamp, sign: Sign) -> bool {
        if Some(at) <= self.latest {
            let later = Some(at) < self.latest;
            let same = |line: &&(Timestamp, Sign)| line.0 == at && (later || line.1 == sign || line.1 == Sign::Parts);
            if self.lines.iter().rev().find(same).is_some() {
                return true;
            }
        }
        self.latest = self.latest.max(Some(at));
        if self.lines.len() == RECENT {
            self.lines.pop_front();
        }
        self.lines.push_back((at, sign));
        false
    }
}

impl Track {
    /// Whether its last line is still to come, among what is read again up to that stamp or shortly before it. Until then
    /// there can be nothing new of an output that had no line yet: only what was before the last lines that were asked for
    /// first.
    ///
    /// Once its last line is gone from the log that cannot be told, and the first lines of the other output that are not over
    /// [`OVERTAKEN`] after it are lost. The gap that the next line tells is about these too.
    fn is_before(&self, at: Timestamp) -> bool {
        self.seek != Seek::Open && self.mark.is_some_and(|mark| at.duration_since(mark.at) <= OVERTAKEN)
    }

    /// Whether the next line was read before. Counts it if it was not.
    fn is_known(&mut self, at: Timestamp) -> bool {
        let Some(mark) = &mut self.mark else {
            self.mark = Some(Mark { at, lines: 1 });
            return false;
        };
        self.seek = match self.seek {
            _ if at > mark.at => Seek::Open,
            Seek::Before if at < mark.at => return true,
            Seek::Before => Seek::Within(mark.lines),
            other => other,
        };
        if let Seek::Within(left) = self.seek {
            self.seek = if left > 1 { Seek::Within(left - 1) } else { Seek::Open };
            return true;
        }
        if at > mark.at {
            *mark = Mark { at, lines: 1 };
        } else {
            mark.lines = mark.lines.saturating_add(1);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MILLI: i64 = 1_000_000;

    fn at(nanos: i64) -> Timestamp {
        Timestamp::from_nanosecond(nanos.into()).unwrap()
    }

    /// Docker compares each stamp with the whole second.
    fn since(place: &Place) -> i64 {
        place.from(None).map_or(i64::MIN, |from| from.as_second() * 1000 * MILLI)
    }

    /// What Docker answers: the lines, and their numbers.
    fn asked(log: &[(Output, i64)], place: &Place) -> Vec<(usize, Output, i64)> {
        let since = since(place);
        log.iter().enumerate().filter(|(_, line)| line.1 >= since).map(|(n, line)| (n, line.0, line.1)).collect()
    }

    /// Reads at most so many new lines and gives their numbers and whether there was a gap.
    fn read(place: &mut Place, log: &[(Output, i64)], most: usize) -> (Vec<usize>, bool) {
        let (mut new, mut gap) = (Vec::new(), false);
        for (n, output, nanos) in asked(log, place) {
            if new.len() == most {
                break;
            }
            match place.pass(output, at(nanos), Sign::Text(n as u64)) {
                Pass::Known => {}
                Pass::New => new.push(n),
                Pass::AfterGap(_) => {
                    gap = true;
                    new.push(n);
                }
            }
        }
        (new, gap)
    }

    /// The place after a restart of the program.
    fn restored(place: &Place) -> Place {
        let Some(position) = place.position("c", None) else { return Place::default() };
        let text = serde_json::to_string(&position).unwrap();
        Place::at(&serde_json::from_str(&text).unwrap())
    }

    fn output() -> impl Strategy<Value = Output> {
        prop_oneof![Just(Output::Stdout), Just(Output::Stderr)]
    }

    /// Lines of which one output lags behind the other, stamped with those steps between them.
    fn log(steps: impl Strategy<Value = i64>, lag: i64) -> impl Strategy<Value = Vec<(Output, i64)>> {
        prop::collection::vec((output(), steps), 0..50).prop_map(move |steps| {
            let mut now = 1000 * 1000 * MILLI;
            let stamped = |(output, step): (Output, i64)| {
                now += step;
                (output, if output == Output::Stderr { now - lag } else { now })
            };
            steps.into_iter().map(stamped).collect()
        })
    }

    /// Most stamps are equal to the one before, some are seconds later.
    fn forward() -> impl Strategy<Value = i64> {
        prop_oneof![4 => Just(0), 3 => MILLI..5 * MILLI, 1 => 0..4000 * MILLI]
    }

    proptest! {
        #[test]
        fn a_log_that_is_read_in_pieces_gives_each_line_once(
            log in log(forward(), 1500 * MILLI), pieces in prop::collection::vec(0_usize..20, 0..12),
        ) {
            let mut place = Place::default();
            let mut all = Vec::new();
            for most in pieces.into_iter().chain([usize::MAX]) {
                let (new, gap) = read(&mut place, &log, most);
                prop_assert!(!gap);
                all.extend(new);
                place = restored(&place);
            }
            prop_assert_eq!(all, (0..log.len()).collect::<Vec<_>>());
        }

        #[test]
        fn of_a_log_of_which_only_the_end_was_asked_for_the_rest_does_not_come_later(
            log in log(1..4000 * MILLI, 1500 * MILLI), first in 0_usize..50,
            pieces in prop::collection::vec(0_usize..20, 0..12),
        ) {
            let first = first.min(log.len());
            let mut place = Place::default();
            let mut all = Vec::new();
            for (n, line) in log.iter().enumerate().skip(first).take(1) {
                place.pass(line.0, at(line.1), Sign::Text(n as u64));
                all.push(n);
            }
            for most in pieces.into_iter().chain([usize::MAX]).filter(|_| first < log.len()) {
                place = restored(&place);
                all.extend(read(&mut place, &log, most).0);
            }
            prop_assert_eq!(all, (first..log.len()).collect::<Vec<_>>());
        }

        #[test]
        fn a_log_that_grows_gives_each_line_once(
            log in log(forward(), 1500 * MILLI), ends in prop::collection::vec(0_usize..50, 0..12),
        ) {
            let mut place = Place::default();
            let (mut all, mut length) = (Vec::new(), 0);
            for end in ends.into_iter().chain([log.len()]) {
                length = length.max(end.min(log.len()));
                let (new, gap) = read(&mut place, &log[..length], usize::MAX);
                prop_assert!(!gap);
                all.extend(new);
                place.read_again(None);
            }
            prop_assert_eq!(all, (0..log.len()).collect::<Vec<_>>());
        }

        #[test]
        fn lines_that_the_engine_repeats_are_known(
            log in log(forward(), 1500 * MILLI), pieces in prop::collection::vec((1_usize..20, 0_usize..30), 0..12),
        ) {
            let mut place = Place::default();
            let (mut all, mut next, mut from) = (Vec::new(), 0, i64::MIN);
            for (most, back) in pieces.into_iter().chain([(50, 0)]) {
                let end = (next + most).min(log.len());
                for (n, line) in log.iter().enumerate().take(end).skip(next.saturating_sub(back)) {
                    if line.1 >= from && place.pass(line.0, at(line.1), Sign::Text(n as u64)) == Pass::New {
                        all.push(n);
                    }
                }
                next = end;
                // Read again from here on, half of the time.
                if back % 2 == 1 {
                    place = restored(&place);
                    from = since(&place);
                    prop_assert_eq!(read(&mut place, &log[..next], usize::MAX).0, Vec::<usize>::new());
                }
            }
            prop_assert_eq!(all, (0..log.len()).collect::<Vec<_>>());
        }

        #[test]
        fn a_clock_that_is_set_back_by_less_than_the_margin_loses_and_repeats_nothing(
            log in log(-39 * MILLI..20 * MILLI, 0), pieces in prop::collection::vec(0_usize..20, 0..12),
        ) {
            let mut place = Place::default();
            let mut all = Vec::new();
            for most in pieces.into_iter().chain([usize::MAX]) {
                all.extend(read(&mut place, &log, most).0);
                place = restored(&place);
            }
            prop_assert_eq!(all, (0..log.len()).collect::<Vec<_>>());
        }

        #[test]
        fn a_gap_is_told_exactly_when_nothing_that_was_read_is_left_before_what_is_new(
            log in log(1..4000 * MILLI, 1500 * MILLI), first in 1_usize..50, gone in 0_usize..50,
        ) {
            let mut place = Place::default();
            let known = read(&mut place, &log, first).0.len();
            let gone = gone.min(log.len());
            place.read_again(None);
            let (new, gap) = read(&mut place, &log[gone..], usize::MAX);
            let new: Vec<usize> = new.into_iter().map(|n| n + gone).collect();
            let nothing_left = known > 0 && gone >= known;
            let first_new = if nothing_left { gone + not_told_apart(&log[..known], &log[gone..]) } else { known };
            prop_assert_eq!(gap, nothing_left && first_new < log.len());
            prop_assert_eq!(new, (first_new..log.len()).collect::<Vec<_>>());
        }
    }

    /// How many of the lines could as well have been before all of those that were read: they are of an output that had none.
    fn not_told_apart(read: &[(Output, i64)], lines: &[(Output, i64)]) -> usize {
        let latest = read.iter().map(|line| line.1).max().unwrap();
        let margin = i64::try_from(OVERTAKEN.as_nanos()).unwrap();
        let other = |line: &&(Output, i64)| read.iter().all(|known| known.0 != line.0) && line.1 <= latest + margin;
        lines.iter().take_while(other).count()
    }

    #[test]
    fn what_is_lost_after_all_that_was_read_is_gone_is_told_with_the_next_line() {
        let log: Vec<(Output, i64)> =
            [(Output::Stdout, 5000), (Output::Stderr, 6000), (Output::Stderr, 6900), (Output::Stderr, 7001)]
                .map(|(output, millis)| (output, millis * MILLI))
                .into();
        let mut place = Place::default();
        assert_eq!(read(&mut place, &log, 1).0, [0]);
        place.read_again(None);
        for (n, expected) in [
            (1, Pass::Known),
            (2, Pass::Known),
            (3, Pass::AfterGap(Gap { after: at(5000 * MILLI), before: at(7001 * MILLI) })),
        ] {
            assert_eq!(place.pass(log[n].0, at(log[n].1), Sign::Text(n as u64)), expected, "line {n}");
        }
    }

    #[test]
    fn the_rest_of_the_lines_with_the_same_stamp_is_new() {
        let log = [(Output::Stdout, 5000 * MILLI); 7];
        let mut place = Place::default();
        assert_eq!(read(&mut place, &log, 3).0, [0, 1, 2]);
        let mut place = restored(&place);
        assert_eq!(read(&mut place, &log, 2).0, [3, 4]);
        assert_eq!(read(&mut restored(&place), &log, 9).0, [5, 6]);
    }

    #[test]
    fn parts_of_a_line_that_are_repeated_are_no_line() {
        let mut place = Place::default();
        for (nanos, sign, expected) in [
            (1, Sign::Text(1), Pass::New),
            (2, Sign::Parts, Pass::New),
            (2, Sign::Text(2), Pass::Known),
            (1, Sign::Text(3), Pass::Known),
            (3, Sign::Text(4), Pass::New),
            (3, Sign::Text(4), Pass::Known),
            (3, Sign::Text(5), Pass::New),
            (3, Sign::Text(4), Pass::Known),
        ] {
            assert_eq!(place.pass(Output::Stdout, at(nanos), sign), expected, "{nanos} {sign:?}");
        }
    }

    #[test]
    fn the_stamps_that_are_kept_are_bounded() {
        let mut place = Place::default();
        for nanos in 0..3 * i64::try_from(RECENT).unwrap() {
            place.pass(Output::Stdout, at(nanos), Sign::Text(0));
        }
        assert_eq!(place.stdout.recent.lines.len(), RECENT);
    }

    #[test]
    fn a_position_is_small_and_says_when() {
        let mut place = Place::default();
        assert_eq!(place.position("c", None), None);
        place.pass(Output::Stderr, at(5000 * MILLI), Sign::Parts);
        let position = place.position("c", Some(at(4000 * MILLI))).unwrap();
        assert_eq!(
            serde_json::to_string(&position).unwrap(),
            r#"{"container":"c","from":"1970-01-01T00:00:02Z","stderr":{"at":"1970-01-01T00:00:05Z","lines":1}}"#
        );
    }
}
