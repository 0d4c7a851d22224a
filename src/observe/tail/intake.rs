//! From frames to items: lines are put together, known ones skipped, those beyond the budget dropped, the rest gathered in
//! batches.
//!
//! It does no I/O and is told the time.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use bollard::container::LogOutput;
use rustc_hash::FxHasher;
use tokio::time::Instant;

use super::budget::{Bucket, Budget};
use super::parts::{PART, Parts, Whole};
use super::position::{Gap, Pass, Place, Sign};
use super::{BATCH_BYTES, Item, Line, Output, Start};
use crate::observe::engine::Asked;

/// How long a line waits for others to be handed out with. Nobody sees the difference, and ten batches a second cost
/// nothing.
const GATHERED: Duration = Duration::from_millis(100);

/// What has come of a log and was not handed out yet.
#[derive(Debug)]
pub(super) struct Intake {
    container: String,
    /// What is asked for until there is a place to go on from.
    first: Asked,
    parts: Parts,
    lines: Lines,
}

/// What becomes of lines.
#[derive(Debug)]
struct Lines {
    place: Place,
    bucket: Bucket,
    /// A gap before the batch.
    gap: Option<Gap>,
    batch: Vec<Line>,
    /// What the batch takes.
    bytes: usize,
    /// When the batch is to be handed out.
    due: Option<Instant>,
    /// Whether there was a new line since that was last asked.
    progress: bool,
}

impl Intake {
    /// Nothing yet.
    pub(super) fn new(container: &str, start: Start, budget: Budget, now: Instant) -> Self {
        let all = Asked { since: None, last: None, follow: true };
        let (place, first) = match start {
            Start::After(position) if position.container == container => (Place::at(&position), all),
            Start::After(_) | Start::First => (Place::default(), all),
            Start::Last { lines, from } => (Place::default(), Asked { since: Some(from), last: Some(lines), follow: true }),
        };
        let bucket = Bucket::new(budget, now);
        let lines = Lines { place, bucket, gap: None, batch: Vec::new(), bytes: 0, due: None, progress: false };
        Self { container: container.to_owned(), first, parts: Parts::default(), lines }
    }

    /// What Docker is to be asked for, so that nothing is lost. What is handed in next is the answer.
    ///
    /// Everything gathered must have been handed out.
    pub(super) fn read_again(&mut self, follow: bool) -> Asked {
        self.lines.place.read_again(self.parts.unfinished());
        self.parts.forget();
        self.lines.place.from(None).map_or(Asked { follow, ..self.first }, |from| Asked {
            since: Some(from),
            last: None,
            follow,
        })
    }

    /// What was asked for was answered, if only with nothing: from now on no line may be left out for being too many.
    pub(super) fn answered(&mut self) {
        self.first.last = None;
    }

    /// Takes a frame.
    ///
    /// # Errors
    /// The frame, when it is the engine's own words: it cannot read the log.
    pub(super) fn frame(&mut self, frame: &LogOutput, now: Instant) -> Result<(), String> {
        let lines = &mut self.lines;
        let said = match frame {
            LogOutput::StdOut { message } => {
                self.parts.message(Output::Stdout, message, |whole| lines.take(whole, now)).map_err(<[u8]>::to_vec)
            }
            LogOutput::StdErr { message } => {
                self.parts.message(Output::Stderr, message, |whole| lines.take(whole, now)).map_err(<[u8]>::to_vec)
            }
            LogOutput::Console { message } => self.parts.piece(message, |whole| lines.take(whole, now)),
            LogOutput::StdIn { .. } => Ok(()),
        };
        said.map_err(|words| readable(&words))
    }

    /// Takes what is there of lines without an end: the container stopped.
    pub(super) fn finish(&mut self, now: Instant) {
        let lines = &mut self.lines;
        self.parts.finish(|whole| lines.take(whole, now));
    }

    /// When [`Intake::item`] is to be asked at the latest.
    pub(super) fn due(&self) -> Option<Instant> {
        self.lines.due.into_iter().chain(self.lines.bucket.due()).min()
    }

    /// What is to be handed out now, one after the other.
    pub(super) fn item(&mut self, now: Instant) -> Option<Item> {
        let dropped = self.lines.bucket.due().is_some_and(|due| due <= now);
        let gathered = self.lines.bytes >= BATCH_BYTES || self.lines.due.is_some_and(|due| due <= now);
        // What was dropped is told behind what was let pass before.
        if gathered || dropped { self.rest() } else { self.lines.gap.take().map(Item::Gap) }
    }

    /// What is to be handed out before the log is read again, one after the other.
    pub(super) fn rest(&mut self) -> Option<Item> {
        if let Some(gap) = self.lines.gap.take() {
            return Some(Item::Gap(gap));
        }
        let position = self.lines.place.position(&self.container, self.parts.unfinished())?;
        if self.lines.batch.is_empty() {
            return self.lines.bucket.dropped().map(|dropped| Item::Dropped { dropped, position });
        }
        self.lines.due = None;
        self.lines.bytes = 0;
        Some(Item::Lines { batch: std::mem::take(&mut self.lines.batch), position })
    }

    /// Whether there was a new line since this was last asked.
    pub(super) fn progressed(&mut self) -> bool {
        std::mem::take(&mut self.lines.progress)
    }

    /// Whether all has come of a log that ends with that message.
    pub(super) fn has_all(&self, last: &LogOutput) -> bool {
        self.parts.is_last(last.as_ref())
    }

    /// Whether the log's last message should have come and has not.
    pub(super) fn misses(&self, last: &LogOutput) -> bool {
        let later = self.parts.later(last.as_ref());
        later.is_some_and(|at| self.first.since.is_none_or(|since| at >= since))
    }
}

impl Lines {
    fn take(&mut self, line: Whole<'_>, now: Instant) {
        match self.place.pass(line.output, line.at, sign(line.bytes)) {
            Pass::Known => return,
            Pass::New => {}
            Pass::AfterGap(gap) => self.gap = Some(gap),
        }
        self.progress = true;
        if !self.bucket.take(line.bytes.len(), line.at, now) {
            return;
        }
        let (text, cut) = text(line.bytes, line.cut);
        self.bytes += text.len() + size_of::<Line>();
        self.due.get_or_insert(now + GATHERED);
        self.batch.push(Line { at: line.at, output: line.output, text, cut });
    }
}

/// What a line is known by among those with its stamp.
fn sign(line: &[u8]) -> Sign {
    if line.len() >= PART {
        return Sign::Parts;
    }
    let mut hasher = FxHasher::default();
    line.hash(&mut hasher);
    Sign::Text(hasher.finish())
}

/// The text of a line, and how many bytes were cut off it: no character is cut in two.
fn text(bytes: &[u8], cut: usize) -> (String, u32) {
    let whole = match std::str::from_utf8(bytes) {
        Err(error) if cut > 0 && error.error_len().is_none() => error.valid_up_to(),
        _ => bytes.len(),
    };
    let cut = cut + bytes.len() - whole;
    (String::from_utf8_lossy(&bytes[..whole]).into_owned(), u32::try_from(cut).unwrap_or(u32::MAX))
}

/// Most characters of the engine's own words that are told.
const WORDS: usize = 200;

/// Without the header that the client could not read.
fn readable(words: &[u8]) -> String {
    let text = String::from_utf8_lossy(words);
    text.chars().filter(|c| !c.is_control() && *c != char::REPLACEMENT_CHARACTER).take(WORDS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: &str = "2026-01-02T03:04:05Z";

    fn frame(second: u32, text: &str) -> LogOutput {
        LogOutput::StdOut { message: format!("2026-01-02T03:04:{second:02}.000000000Z {text}\n").into() }
    }

    fn intake(start: Start, budget: Budget) -> Intake {
        Intake::new("c", start, budget, Instant::now())
    }

    fn texts(item: Option<Item>) -> Vec<String> {
        let Some(Item::Lines { batch, .. }) = item else { panic!("{item:?}") };
        batch.into_iter().map(|line| line.text).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn lines_wait_for_others_but_not_long_and_not_when_there_are_many() {
        let mut intake = intake(Start::First, Budget::default());
        intake.frame(&frame(1, "one"), Instant::now()).unwrap();
        tokio::time::advance(GATHERED / 2).await;
        intake.frame(&frame(2, "two"), Instant::now()).unwrap();
        tokio::time::advance((GATHERED / 2).saturating_sub(Duration::from_millis(1))).await;
        assert_eq!(intake.item(Instant::now()), None);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(intake.due(), Some(Instant::now()));
        assert_eq!(texts(intake.item(Instant::now())), ["one", "two"]);
        assert_eq!((intake.item(Instant::now()), intake.due()), (None, None));
        for second in 3..8 {
            intake.frame(&frame(second, &"x".repeat(BATCH_BYTES / 5)), Instant::now()).unwrap();
        }
        assert_eq!(texts(intake.item(Instant::now())).len(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_dropped_comes_behind_what_was_let_pass_before() {
        let mut intake = intake(Start::First, Budget { bytes_per_second: 0, burst: 4 });
        for (second, text) in [(1, "one"), (2, "two"), (3, "six")] {
            intake.frame(&frame(second, text), Instant::now()).unwrap();
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        let now = Instant::now();
        assert_eq!(texts(intake.item(now)), ["one"]);
        let Some(Item::Dropped { dropped, position }) = intake.item(now) else { panic!() };
        assert_eq!((dropped.lines, dropped.bytes), (2, 8));
        assert_eq!(position.stdout.unwrap().at, dropped.until);
        assert_eq!(intake.item(now), None);
    }

    #[test]
    fn the_last_lines_are_asked_for_until_there_is_an_answer() {
        let from = FROM.parse().unwrap();
        let mut intake = intake(Start::Last { lines: 9, from }, Budget::default());
        let first = Asked { since: Some(from), last: Some(9), follow: true };
        assert_eq!(intake.read_again(true), first);
        assert_eq!(intake.read_again(true), first);
        intake.answered();
        assert_eq!(intake.read_again(false), Asked { last: None, follow: false, ..first });
        intake.frame(&frame(20, "x"), Instant::now()).unwrap();
        assert_eq!(texts(intake.rest()), ["x"]);
        assert_eq!(intake.read_again(true).since, Some("2026-01-02T03:04:18Z".parse().unwrap()));
    }

    #[test]
    fn a_position_of_another_container_is_none() {
        let mut first = intake(Start::First, Budget::default());
        first.frame(&frame(1, "x"), Instant::now()).unwrap();
        let Some(Item::Lines { position, .. }) = first.rest() else { panic!() };
        let asked = |container: &str| {
            let start = Start::After(position.clone());
            Intake::new(container, start, Budget::default(), Instant::now()).read_again(true).since
        };
        assert_eq!(asked("d"), None);
        assert_eq!(asked("c"), Some(position.from));
    }

    #[test]
    fn a_message_that_has_not_come_is_missed_and_an_old_one_is_not() {
        let mut intake = intake(Start::Last { lines: 9, from: FROM.parse().unwrap() }, Budget::default());
        assert!(!intake.misses(&frame(4, "old")) && intake.misses(&frame(6, "new")));
        intake.frame(&frame(6, "new"), Instant::now()).unwrap();
        assert!(!intake.misses(&frame(6, "new")) && intake.misses(&frame(7, "newer")));
        assert!(intake.has_all(&frame(6, "new")) && !intake.has_all(&frame(7, "newer")) && !intake.has_all(&frame(5, "x")));
    }

    #[test]
    fn no_character_is_cut_in_two_and_what_is_no_text_is_replaced() {
        let (euro, half) = ("a€".as_bytes(), &"a€".as_bytes()[..3]);
        for (bytes, cut, expected) in
            [(euro, 0, ("a€", 0)), (half, 5, ("a", 7)), (half, 0, ("a\u{fffd}", 0)), (b"\xffa", 1, ("\u{fffd}a", 1))]
        {
            assert_eq!(text(bytes, cut), (expected.0.to_owned(), expected.1), "{bytes:?}");
        }
        assert_eq!(text(b"", usize::MAX), (String::new(), u32::MAX));
    }

    #[test]
    fn the_engines_own_words_are_told_without_their_header() {
        let frame =
            LogOutput::Console { message: (&b"\x03\0\0\0\0\0\0\x24Error grabbing logs: unexpected EOF\n"[..]).into() };
        let told = intake(Start::First, Budget::default()).frame(&frame, Instant::now());
        assert_eq!(told, Err("$Error grabbing logs: unexpected EOF".to_owned()));
    }
}
