//! Puts the lines of one event together.
//!
//! A [`Folder`] holds one open record. A line either joins it or closes it and opens the next. A line joins if it is
//! blank,
//! if the open record's trace goes on with it, if it begins a trace that the open record announced (a warning or
//! worse),
//! if it is a frame, or if it is indented and the record has an envelope. Lines with an envelope of their own do not
//! join;
//! syslog's and `PostgreSQL`'s are the exception, for those
//! give every line of a trace or a detail its own.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memchr_iter, memrchr};

use crate::signature::envelope::exception::Exception;
use crate::signature::envelope::level::Level;
use crate::signature::envelope::line::{Format, Line};
use crate::signature::envelope::parse::parse_bare;
use crate::signature::envelope::record::Record;
use crate::signature::envelope::throwable::is_at;
use crate::signature::envelope::trace::Trace;
use crate::signature::envelope::{ansi, prefix};

/// How large a record may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Lines whose text is kept, at least 1.
    pub lines: usize,
    /// Bytes of text that are kept, and the longest line that is read. At least 64.
    pub bytes: usize,
    /// Lines that may be left out before the record is closed although more of them come.
    pub left_out: usize,
}

impl Default for Limits {
    /// 256 lines hold a Java trace with three causes. 64 KiB is four times the part of a line that Docker hands out at
    /// once. After 10,000 lines left out, what comes is hardly the same event.
    fn default() -> Self {
        Self { lines: 256, bytes: 64 * 1024, left_out: 10_000 }
    }
}

/// The least number of bytes a limit can be set to. A stamp and a word have to fit.
const LEAST_BYTES: usize = 64;

/// Folds the lines of one stream into records. Give stdout and stderr a folder each.
#[derive(Debug)]
pub struct Folder {
    /// How large a record may grow.
    limits: Limits,
    /// The record that is not finished.
    open: Option<Open>,
    /// The beginning of a line whose end has not come, at most `limits.bytes` of it.
    partial: Vec<u8>,
    /// How many bytes of that line were dropped.
    dropped: usize,
}

/// A record that is not finished.
#[derive(Debug)]
struct Open {
    /// The first line.
    line: Line<'static>,
    /// How many blanks stood between the prefix and the text of the first line.
    pad: usize,
    /// The trace that is being read. Most records have none, so it is not to make them large.
    trace: Option<Box<Trace>>,
    /// Whether the first line began the trace.
    silent: bool,
    /// The lines behind the first.
    body: String,
    /// How many lines there are.
    lines: usize,
    /// How many bytes are kept.
    bytes: usize,
    /// How many lines are not kept.
    left_out: usize,
    /// How many bytes were cut off.
    cut: usize,
}

/// A line as the folder sees it.
struct Seen<'a> {
    /// Without prefix and padding, and for syslog without the envelope.
    content: &'a str,
    /// The prefix.
    prefix: Option<&'a str>,
    /// The line, taken apart.
    line: Line<'a>,
    /// The blanks between the prefix and the text.
    pad: usize,
}

impl Folder {
    /// A folder with nothing in it.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let limits = Limits { lines: limits.lines.max(1), bytes: limits.bytes.max(LEAST_BYTES), ..limits };
        Self { limits, open: None, partial: Vec::new(), dropped: 0 }
    }

    /// Takes one line, with or without its line break. Gives the record that it closed, if it did.
    pub fn push(&mut self, line: &str) -> Option<Record> {
        let line = line.strip_suffix('\n').unwrap_or(line);
        let kept = &line[..line.floor_char_boundary(self.limits.bytes)];
        self.join(kept, line.len() - kept.len())
    }

    /// Takes a piece of the stream, cut anywhere. Bytes that are no UTF-8 become replacement characters. Hands every
    /// record that is finished to `out`.
    pub fn feed(&mut self, piece: &[u8], mut out: impl FnMut(Record)) {
        let mut rest = piece;
        if !self.partial.is_empty() || self.dropped > 0 {
            let Some(end) = memchr(b'\n', rest) else { return self.keep(rest) };
            self.keep(&rest[..end]);
            self.end_partial().map(&mut out);
            rest = &rest[end + 1..];
        }
        if let Some(last) = memrchr(b'\n', rest) {
            let (whole, partial) = rest.split_at(last + 1);
            rest = partial;
            // All of it is looked at once, for nearly all of it is UTF-8. A line break is never inside a character.
            if let Ok(text) = std::str::from_utf8(whole) {
                for line in lines(whole) {
                    self.push(&text[line]).map(&mut out);
                }
            } else {
                for line in lines(whole) {
                    self.keep(&whole[line]);
                    self.end_partial().map(&mut out);
                }
            }
        }
        self.keep(rest);
    }

    /// Closes the open record: nothing has come for a while. A line whose end is missing stays.
    pub fn flush(&mut self) -> Option<Record> {
        self.open.take().map(Open::finish)
    }

    /// Closes everything: the stream has ended. Gives the last one or two records.
    #[must_use]
    pub fn finish(mut self) -> Vec<Record> {
        let partial = if self.partial.is_empty() { None } else { self.end_partial() };
        partial.into_iter().chain(self.flush()).collect()
    }

    /// How many lines the open record has. 0 if none is open.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.lines)
    }

    /// Adds to the line whose end has not come.
    fn keep(&mut self, bytes: &[u8]) {
        let room = self.limits.bytes.saturating_sub(self.partial.len()).min(bytes.len());
        self.partial.extend_from_slice(&bytes[..room]);
        self.dropped += bytes.len() - room;
    }

    /// Ends that line.
    fn end_partial(&mut self) -> Option<Record> {
        let bytes = std::mem::take(&mut self.partial);
        let dropped = std::mem::take(&mut self.dropped);
        // A character that the cut has split goes as a whole, as it does in `push`.
        let split = match std::str::from_utf8(&bytes) {
            Err(error) if dropped > 0 && error.error_len().is_none() => bytes.len() - error.valid_up_to(),
            _ => 0,
        };
        self.join(&String::from_utf8_lossy(&bytes[..bytes.len() - split]), dropped + split)
    }

    /// Takes one line that is short enough.
    fn join(&mut self, raw: &str, cut: usize) -> Option<Record> {
        let clean = ansi::strip(raw);
        let text = clean.trim_end_matches('\r');
        let seen = Seen::new(text, self.open.as_ref());
        if let Some(open) = &mut self.open
            && open.takes(&seen)
        {
            open.add(seen.content, cut, self.limits);
            return if open.left_out > self.limits.left_out { self.flush() } else { None };
        }
        let closed = self.flush();
        self.open = Some(Open::new(seen, cut));
        closed
    }
}

/// Where the lines of a text that ends with a line break are, without the line breaks.
fn lines(text: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    memchr_iter(b'\n', text).map(move |end| std::mem::replace(&mut start, end + 1)..end)
}

impl<'a> Seen<'a> {
    /// Looks at a line behind `open`.
    fn new(text: &'a str, open: Option<&Open>) -> Self {
        let (prefix, rest) = match prefix::split(text) {
            Some(prefixed) => (Some(prefixed.name), prefixed.rest),
            None => (None, text),
        };
        let pad = if prefix.is_some() { rest.len() - rest.trim_start_matches(' ').len() } else { 0 };
        // A launcher pads its names to one width. So the first line of a record tells how much of the blanks is
        // padding.
        let strip = match open {
            Some(open) if prefix.is_some() && prefix == open.line.prefix.as_deref() => open.pad.min(pad),
            _ => pad,
        };
        let content = &rest[strip..];
        // What is indented has no envelope, save a level that tracing aligns to the right.
        let indented = content.starts_with("  ") || content.starts_with('\t');
        let line = if indented || content.is_empty() { Line::plain(text) } else { parse_bare(text) };
        let content = match (line.format, &line.message) {
            (Format::Syslog | Format::Journal | Format::Syslog5424 | Format::Postgres, Cow::Borrowed(message)) => message,
            _ => content,
        };
        Self { content, prefix, line, pad }
    }
}

impl Open {
    /// Begins a record.
    fn new(seen: Seen<'_>, cut: usize) -> Self {
        let mut line = seen.line;
        if line.format == Format::Plain && line.prefix.is_none() && seen.prefix.is_some() && !seen.content.trim().is_empty()
        {
            // An indented line was not looked at; its prefix is one all the same.
            line.prefix = seen.prefix.map(Cow::Borrowed);
            line.message = Cow::Borrowed(seen.content);
        }
        let trace = Trace::open(&line.message);
        let silent =
            trace.as_ref().is_some_and(|trace| !matches!(trace, Trace::Throwable(_)) || says_nothing(&line.message));
        let bytes = line.message.len();
        Self {
            line: line.into_owned(),
            pad: seen.pad,
            trace: trace.map(Box::new),
            silent,
            body: String::new(),
            lines: 1,
            bytes,
            left_out: 0,
            cut,
        }
    }

    /// Whether a line belongs to this record. If so, the trace has read it.
    fn takes(&mut self, seen: &Seen<'_>) -> bool {
        if seen.prefix.is_some() && seen.prefix != self.line.prefix.as_deref() {
            return false;
        }
        let bare = seen.line.format == Format::Plain;
        if self.is_detailed_by(&seen.line) {
            return true;
        }
        if !bare && !self.is_sibling(&seen.line) {
            return false;
        }
        let text = seen.content;
        if let Some(trace) = &mut self.trace
            && trace.take(text)
        {
            return true;
        }
        if bare && text.trim().is_empty() {
            return true;
        }
        let certain = self.trace.as_ref().is_some_and(|trace| trace.is_certain());
        if let Some(mut trace) = Trace::open(text) {
            let grave = self.line.level >= Some(Level::Warn) || matches!(trace, Trace::Dump(_));
            if certain || !bare || !grave || self.line.format == Format::Plain || !trace.announced(text) {
                return false;
            }
            trace.behind(&self.line.message);
            self.trace = Some(Box::new(trace));
            return true;
        }
        if is_at(text) {
            if !certain {
                let before = if self.body.is_empty() { &*self.line.message } else { &*self.body };
                self.trace = Trace::resume(before, text).map(Box::new).or(self.trace.take());
            }
            return true;
        }
        let continued = !matches!(self.line.format, Format::Plain | Format::Json | Format::Logfmt | Format::Access);
        if bare && continued && text.starts_with([' ', '\t']) {
            if self.line.format == Format::Dotnet && self.lines == 1 {
                self.line.message = Cow::Owned(text.trim().to_owned());
            }
            return true;
        }
        false
    }

    /// Whether a line with an envelope of its own comes from the same program by way of the same syslog.
    fn is_sibling(&self, line: &Line<'_>) -> bool {
        matches!(line.format, Format::Syslog | Format::Journal | Format::Syslog5424)
            && line.format == self.line.format
            && line.logger == self.line.logger
            && line.field("pid") == self.line.field("pid")
            && self.trace.is_some()
    }

    /// Whether a line is `PostgreSQL`'s detail, hint or statement to this record. It has a stamp and no level.
    fn is_detailed_by(&self, line: &Line<'_>) -> bool {
        line.format == Format::Postgres
            && line.level.is_none()
            && self.line.format == Format::Postgres
            && line.field("pid") == self.line.field("pid")
    }

    /// Adds a line that belongs to this record.
    fn add(&mut self, text: &str, cut: usize, limits: Limits) {
        self.lines += 1;
        self.cut += cut;
        if self.left_out > 0 || self.lines > limits.lines || self.bytes + text.len() + 1 > limits.bytes {
            self.left_out += 1;
            return;
        }
        if self.lines > 2 {
            self.body.push('\n');
        }
        self.body.push_str(text);
        self.bytes += text.len() + 1;
    }

    /// The record.
    fn finish(self) -> Record {
        let exception = Exception::of_line(&self.line).or_else(|| self.trace.map(|trace| trace.finish()));
        Record {
            line: self.line,
            exception,
            body: self.body,
            lines: self.lines,
            left_out: self.left_out,
            cut: self.cut,
            silent: self.silent,
        }
    }
}

/// Whether the head of an `at` trace is just the place with which Node.js begins.
fn says_nothing(message: &str) -> bool {
    message.starts_with(['/', 'n', 'f']) && !message.contains(' ') && message.ends_with(|last: char| last.is_ascii_digit())
}
