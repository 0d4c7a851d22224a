//! Lines, put together from what Docker hands out.
//!
//! Docker takes what a container prints apart at line breaks, and again after every 16 KiB of a line. Each part comes with
//! the stamp of the first one before it, and only the last ends with the line break. So a part with another stamp than the
//! open line's begins a line, and the open one never had an end: its container died before that.
//!
//! Of a container with a terminal the same comes as one stream without boundaries. A line break ends a line there too, and
//! the stamps inside a line are found by where they must be. A last line without an end cannot be told from what the next
//! start prints there: the two are one line.

use jiff::Timestamp;
use memchr::memchr;

use super::stamp::Stamps;
use super::{LINE_BYTES, Output};

/// Bytes of a line in one part of it, all but the last.
pub(super) const PART: usize = 16 * 1024;

/// Most bytes that are kept of a line until it is whole: what may stay of it, and its end, which is not to count as cut.
const OPEN_BYTES: usize = LINE_BYTES + 4;

/// Most bytes that are kept of a terminal's line: that, and the stamps before its parts, of which none has more than 64.
const RAW_BYTES: usize = OPEN_BYTES + (OPEN_BYTES / PART + 1) * 64;

/// A line as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Whole<'a> {
    /// Its stamp.
    pub(super) at: Timestamp,
    /// Where it was printed.
    pub(super) output: Output,
    /// At most [`LINE_BYTES`] of it, without its end.
    pub(super) bytes: &'a [u8],
    /// How many bytes more there were.
    pub(super) cut: usize,
}

/// Puts lines together.
#[derive(Debug, Default)]
pub(super) struct Parts {
    stamps: Stamps,
    stdout: Open,
    stderr: Open,
    terminal: Raw,
    /// The highest stamp so far.
    latest: Option<Timestamp>,
    /// The last one.
    last: Option<Timestamp>,
}

/// A line whose end has not come.
#[derive(Debug, Default)]
struct Open {
    /// Its stamp; none when there is no such line.
    at: Option<Timestamp>,
    bytes: Vec<u8>,
    cut: usize,
}

/// A terminal's line whose end has not come, stamps and all.
#[derive(Debug, Default)]
struct Raw {
    bytes: Vec<u8>,
    cut: usize,
}

impl Parts {
    /// Takes a message of an output. Hands every line to `out` that it ends.
    ///
    /// # Errors
    /// The message, when it has no stamp: it is the engine's own.
    pub(super) fn message<'m>(
        &mut self,
        output: Output,
        message: &'m [u8],
        mut out: impl FnMut(Whole<'_>),
    ) -> Result<(), &'m [u8]> {
        let (at, stamp) = self.stamps.read(message).ok_or(message)?;
        self.last = Some(at);
        self.latest = self.latest.max(self.last);
        let open = match output {
            Output::Stdout => &mut self.stdout,
            Output::Stderr => &mut self.stderr,
        };
        if open.at.is_some_and(|begun| begun != at) {
            open.end(output, &mut out);
        }
        let part = &message[stamp..];
        let ended = part.last() == Some(&b'\n');
        if ended && open.at.is_none() {
            out(whole(at, output, part, 0));
            return Ok(());
        }
        open.at = Some(at);
        let kept = part.len().min(OPEN_BYTES - open.bytes.len());
        open.bytes.extend_from_slice(&part[..kept]);
        open.cut += part.len() - kept - usize::from(ended && kept < part.len());
        if ended {
            open.end(output, &mut out);
        }
        Ok(())
    }

    /// Takes a piece of a terminal's stream. Hands every line to `out` that it ends.
    ///
    /// # Errors
    /// A line that has no stamp: it is the engine's own. What follows it in the piece is lost.
    pub(super) fn piece(&mut self, mut piece: &[u8], mut out: impl FnMut(Whole<'_>)) -> Result<(), Vec<u8>> {
        while let Some(end) = memchr(b'\n', piece) {
            self.terminal.keep(&piece[..end]);
            piece = &piece[end + 1..];
            let at = self.terminal.end(&mut self.stamps, &mut out)?;
            self.last = Some(at);
            self.latest = self.latest.max(self.last);
        }
        self.terminal.keep(piece);
        Ok(())
    }

    /// Stamp of the earliest line whose end has not come.
    pub(super) fn unfinished(&self) -> Option<Timestamp> {
        [self.stdout.at, self.stderr.at, self.begun()].into_iter().flatten().min()
    }

    /// The stamp of that message, when it is later than all that has come.
    pub(super) fn later(&self, message: &[u8]) -> Option<Timestamp> {
        let (at, _) = Stamps::default().read(message)?;
        (Some(at) > self.latest.max(self.begun())).then_some(at)
    }

    /// Whether that message is the last that has come, and nothing of its line is still to come.
    pub(super) fn is_last(&self, message: &[u8]) -> bool {
        let at = Stamps::default().read(message).map(|(at, _)| at);
        at.is_some() && at == self.last && self.unfinished().is_none()
    }

    /// Stamp of the terminal's line whose end has not come.
    fn begun(&self) -> Option<Timestamp> {
        Stamps::default().read(&self.terminal.bytes).map(|(at, _)| at)
    }

    /// Hands out what is there of lines whose end will not come.
    pub(super) fn finish(&mut self, mut out: impl FnMut(Whole<'_>)) {
        let mut open = [(&mut self.stdout, Output::Stdout), (&mut self.stderr, Output::Stderr)];
        open.sort_by_key(|(open, _)| open.at);
        for (open, output) in open {
            open.end(output, &mut out);
        }
        if !self.terminal.bytes.is_empty() {
            // Less than a stamp is nothing of a line.
            let _ = self.terminal.end(&mut self.stamps, &mut out);
        }
    }

    /// Forgets lines whose end has not come: they will be read again.
    pub(super) fn forget(&mut self) {
        *self = Self { latest: self.latest, last: self.last, ..Self::default() };
    }
}

impl Open {
    fn end(&mut self, output: Output, out: &mut impl FnMut(Whole<'_>)) {
        if let Some(at) = self.at.take() {
            out(whole(at, output, &self.bytes, self.cut));
        }
        self.bytes.clear();
        self.cut = 0;
    }
}

impl Raw {
    fn keep(&mut self, piece: &[u8]) {
        let kept = piece.len().min(RAW_BYTES - self.bytes.len());
        self.bytes.extend_from_slice(&piece[..kept]);
        self.cut += piece.len() - kept;
    }

    fn end(&mut self, stamps: &mut Stamps, out: &mut impl FnMut(Whole<'_>)) -> Result<Timestamp, Vec<u8>> {
        let Some((at, stamp)) = stamps.read(&self.bytes) else {
            self.cut = 0;
            return Err(std::mem::take(&mut self.bytes));
        };
        let mut total = self.bytes.len() + self.cut - stamp;
        let mut from = stamp;
        // A line's first part is followed by the next one's stamp, or by nothing but the line's end.
        while from + PART + stamp <= self.bytes.len() && self.bytes[..stamp] == self.bytes[from + PART..from + PART + stamp]
        {
            self.bytes.drain(from + PART..from + PART + stamp);
            from += PART;
        }
        if from > stamp {
            total -= total / (PART + stamp) * stamp;
        }
        let line = &self.bytes[stamp..self.bytes.len().min(stamp + OPEN_BYTES)];
        out(whole(at, Output::Stdout, line, total - line.len()));
        self.bytes.clear();
        self.cut = 0;
        Ok(at)
    }
}

/// A line without its end, which is `\n`, `\r\n`, or what a terminal makes of the latter, and of which that many bytes were
/// not kept.
fn whole(at: Timestamp, output: Output, line: &[u8], cut: usize) -> Whole<'_> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let end = if cut > 0 { line.len() } else { line.iter().rposition(|&b| b != b'\r').map_or(0, |last| last + 1) };
    let kept = end.min(LINE_BYTES);
    Whole { at, output, bytes: &line[..kept], cut: cut + end - kept }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Line = (i64, Output, Vec<u8>, usize);

    fn stamp(second: i64) -> String {
        format!("{:.9} ", Timestamp::from_second(second).unwrap())
    }

    fn line(whole: Whole<'_>) -> Line {
        (whole.at.as_second(), whole.output, whole.bytes.to_vec(), whole.cut)
    }

    /// The messages that Docker makes of a line.
    fn messages(second: i64, text: &[u8], ended: bool) -> Vec<Vec<u8>> {
        let mut parts: Vec<Vec<u8>> = text.chunks(PART).map(<[u8]>::to_vec).collect();
        if ended {
            match parts.last_mut() {
                Some(last) if last.len() < PART => last.push(b'\n'),
                _ => parts.push(b"\n".to_vec()),
            }
        }
        parts.into_iter().map(|part| [stamp(second).into_bytes(), part].concat()).collect()
    }

    fn expected(second: i64, output: Output, text: &[u8]) -> Line {
        let kept = text.len().min(LINE_BYTES);
        (second, output, text[..kept].to_vec(), text.len() - kept)
    }

    /// A line of so many bytes that does not end with a carriage return.
    fn text(length: usize, seed: u8) -> Vec<u8> {
        (0..length).map(|n| b'a' + u8::try_from((n / 7 + usize::from(seed)) % 26).unwrap()).collect()
    }

    const LENGTHS: [usize; 14] = [
        0,
        1,
        100,
        PART - 1,
        PART,
        PART + 1,
        2 * PART,
        40_000,
        LINE_BYTES - 1,
        LINE_BYTES,
        LINE_BYTES + 1,
        LINE_BYTES + PART,
        100_000,
        200 * 1024,
    ];

    #[test]
    fn parts_become_the_line_that_they_are_of() {
        let mut parts = Parts::default();
        let (mut lines, mut wanted) = (Vec::new(), Vec::new());
        for (second, length) in (1..).zip(LENGTHS) {
            let text = text(length, 0);
            for message in messages(second, &text, true) {
                parts.message(Output::Stdout, &message, |whole| lines.push(line(whole))).unwrap();
            }
            wanted.push(expected(second, Output::Stdout, &text));
        }
        assert_eq!(lines, wanted);
        assert_eq!(parts.unfinished(), None);
    }

    #[test]
    fn a_terminals_lines_lose_the_stamps_inside_them() {
        let mut stream = Vec::new();
        let mut wanted = Vec::new();
        for (second, length) in (1..).zip(LENGTHS) {
            // Carriage return and line break are parts of what is cut in parts.
            let text = text(length, 0);
            stream.extend(messages(second, &[&text[..], b"\r"].concat(), true).concat());
            let mut line = expected(second, Output::Stdout, &text);
            // The end of a line that is longer than what is kept counts as cut.
            line.3 += usize::from(length >= OPEN_BYTES);
            wanted.push(line);
        }
        for size in [1, 7, 31, 4096, PART + 31, stream.len()] {
            let mut parts = Parts::default();
            let mut lines = Vec::new();
            for piece in stream.chunks(size) {
                parts.piece(piece, |whole| lines.push(line(whole))).unwrap();
            }
            for (line, wanted) in lines.iter().zip(&wanted) {
                assert_eq!((line.2.len(), line.3), (wanted.2.len(), wanted.3), "pieces of {size}");
            }
            assert!(lines == wanted, "pieces of {size}");
        }
    }

    #[test]
    fn a_line_without_an_end_ends_where_another_stamp_begins() {
        let mut parts = Parts::default();
        let mut lines = Vec::new();
        let whole = [messages(1, b"died", false), messages(2, b"up", true)].concat();
        for message in whole {
            parts.message(Output::Stderr, &message, |whole| lines.push(line(whole))).unwrap();
        }
        assert_eq!(lines, [expected(1, Output::Stderr, b"died"), expected(2, Output::Stderr, b"up")]);
    }

    #[test]
    fn unfinished_lines_are_finished_or_forgotten_in_the_order_of_their_stamps() {
        let mut parts = Parts::default();
        let mut lines = Vec::new();
        let begin = |parts: &mut Parts| {
            parts.message(Output::Stdout, &messages(3, b"out", false)[0], |_| panic!("it has no end")).unwrap();
            parts.message(Output::Stderr, &messages(2, b"err", false)[0], |_| panic!("it has no end")).unwrap();
            assert_eq!(parts.unfinished(), Some(Timestamp::from_second(2).unwrap()));
        };
        begin(&mut parts);
        parts.forget();
        parts.finish(|whole| panic!("{whole:?}"));
        begin(&mut parts);
        parts.finish(|whole| lines.push(line(whole)));
        assert_eq!(lines, [expected(2, Output::Stderr, b"err"), expected(3, Output::Stdout, b"out")]);
        parts.piece(&[&stamp(4).into_bytes()[..], b"tty"].concat(), |_| panic!("it has no end")).unwrap();
        parts.finish(|whole| lines.push(line(whole)));
        assert_eq!(lines[2..], [expected(4, Output::Stdout, b"tty")]);
    }

    #[test]
    fn line_ends_are_no_part_of_a_line() {
        for (text, wanted) in [("a\n", "a"), ("a\r\n", "a"), ("a\r\r\n", "a"), ("\r\n", ""), ("\n", ""), ("a\rb\n", "a\rb")]
        {
            let mut got = None;
            let message = stamp(1) + text;
            Parts::default().message(Output::Stdout, message.as_bytes(), |whole| got = Some(line(whole))).unwrap();
            assert_eq!(got, Some(expected(1, Output::Stdout, wanted.as_bytes())), "{text:?}");
        }
    }

    #[test]
    fn what_has_no_stamp_is_the_engines_own() {
        let words = b"Error grabbing logs: unexpected EOF\n";
        let mut parts = Parts::default();
        assert_eq!(parts.message(Output::Stdout, words, |_| panic!("a line")), Err(&words[..]));
        assert_eq!(parts.piece(words, |_| panic!("a line")), Err(words[..words.len() - 1].to_vec()));
    }

    proptest! {
        #[test]
        fn two_outputs_with_parts_between_each_other_keep_their_lines(
            lengths in prop::collection::vec((any::<bool>(), 0_usize..60_000), 0..12),
            order in prop::collection::vec(any::<bool>(), 60),
        ) {
            let mut queues = [Vec::new(), Vec::new()];
            let mut wanted = [Vec::new(), Vec::new()];
            for (second, (err, length)) in (1..).zip(lengths) {
                let (output, n) = if err { (Output::Stderr, 1) } else { (Output::Stdout, 0) };
                let text = text(length, 3);
                queues[n].extend(messages(second, &text, true));
                wanted[n].push(expected(second, output, &text));
            }
            let mut parts = Parts::default();
            let mut lines = [Vec::new(), Vec::new()];
            let mut queues = queues.map(Vec::into_iter);
            for n in order.into_iter().map(usize::from).chain([0; 60]).chain([1; 60]) {
                if let Some(message) = queues[n].next() {
                    let output = [Output::Stdout, Output::Stderr][n];
                    parts.message(output, &message, |whole| lines[n].push(line(whole))).unwrap();
                }
            }
            prop_assert!(lines == wanted);
        }

        #[test]
        fn no_bytes_of_a_terminal_or_a_message_make_it_panic(
            pieces in prop::collection::vec(
                prop::collection::vec(prop_oneof![Just(b'\n'), Just(b' '), any::<u8>()], 0..80), 0..20,
            ),
        ) {
            let mut parts = Parts::default();
            for piece in &pieces {
                let _ = parts.piece(piece, |_| ());
                let _ = parts.message(Output::Stderr, piece, |_| ());
            }
            parts.finish(|_| ());
        }
    }
}
