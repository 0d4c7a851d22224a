//! Lines that begin with a date and time, or with a time of day and a level.

use std::borrow::Cow;

use crate::signature::envelope::access;
use crate::signature::envelope::cursor::Cursor;
use crate::signature::envelope::line::{Format, Line};
use crate::signature::envelope::logger::is_name;
use crate::signature::envelope::postgres;
use crate::signature::envelope::stamp::{self, Stamp};
use crate::signature::envelope::syslog;
use crate::signature::envelope::tail::{self, Trust};

/// The longest head in brackets, `[2026-02-10T10:00:00Z INFO  target]`.
const LONGEST_HEAD: usize = 192;

/// Reads a line that begins with a date and time.
pub(crate) fn parse(text: &str) -> Option<Line<'_>> {
    let (time, end) = stamp::date_time(text)?;
    let rest = &text[end..];
    if let Some(line) = postgres::parse(time, rest) {
        return Some(line);
    }
    if let Some(spaced) = rest.strip_prefix(' ').filter(|_| time.is_instant())
        && let Some(line) = syslog::journal(time, spaced)
    {
        return Some(line);
    }
    if let Some(barred) = rest.strip_prefix(" | ").filter(|_| text.as_bytes()[4] == b'/')
        && let Some(line) = access::gin(time, barred.trim_start())
    {
        return Some(line);
    }
    // Rust's tracing writes a `T` and a `Z`, and it is about the only one to put a bare crate before a colon.
    let trust = if text.as_bytes()[10] == b'T' && time.is_instant() { Trust::Any } else { trust_of(rest) };
    let mut line = Line::of(Format::Stamped, rest);
    line.time = Some(time);
    tail::read(&mut line, rest, trust);
    Some(line)
}

/// A level in brackets makes any name behind it a logger: `[INFO] wicap: message`.
fn trust_of(rest: &str) -> Trust {
    if rest.starts_with(" [") { Trust::Any } else { Trust::Qualified }
}

/// Reads a line that begins with a date and time as `asctime` writes it.
pub(crate) fn dated(text: &str) -> Option<Line<'_>> {
    let (time, end) = stamp::weekday_first(text)?;
    let rest = &text[end..];
    let mut line = Line::of(Format::Stamped, rest);
    line.time = Some(time);
    tail::read(&mut line, rest, trust_of(rest));
    Some(line)
}

/// Reads a line that begins with a time of day. Without a level it is a sentence.
pub(crate) fn clocked(text: &str) -> Option<Line<'_>> {
    let (time, end) = stamp::time_of_day(text)?;
    let rest = &text[end..];
    let mut line = Line::of(Format::Clocked, rest);
    line.time = Some(time);
    tail::read(&mut line, rest, trust_of(rest)).then_some(line)
}

/// Reads a line that begins with a stamp in brackets. The brackets may hold level and logger, too.
pub(crate) fn bracketed(text: &str) -> Option<Line<'_>> {
    let inner = text.strip_prefix('[')?;
    let found = stamp::date_time(inner).or_else(|| stamp::weekday_first(inner)).or_else(|| stamp::time_of_day(inner));
    let (time, end) = found?;
    let clock = matches!(time, Stamp::Clock(_));
    let mut line = Line::of(if clock { Format::Clocked } else { Format::Stamped }, text);
    line.time = Some(time);
    if let Some(rest) = inner[end..].strip_prefix(']') {
        let leveled = tail::read(&mut line, rest, trust_of(rest));
        return (leveled || !clock).then_some(line);
    }
    let mut cursor = Cursor::new(&inner[end..]);
    let head = cursor.until(b']', LONGEST_HEAD)?;
    cursor.blanks();
    in_head(&mut line, head)?;
    line.message = Cow::Borrowed(cursor.rest);
    Some(line)
}

/// Reads `INFO  target`, `: INFO/Worker-1` or `INF`, which is all there may be between a stamp and its bracket.
fn in_head<'a>(line: &mut Line<'a>, head: &'a str) -> Option<()> {
    let mut cursor = Cursor::new(head);
    cursor.eat(":");
    cursor.blanks();
    let word = cursor.run(|byte| byte.is_ascii_alphabetic());
    line.level = Some(crate::signature::envelope::Level::of_word(word)?);
    if cursor.eat("/") {
        line.put("process", cursor.word());
    }
    cursor.blanks();
    let name = cursor.word();
    if !cursor.rest.trim().is_empty() || !(name.is_empty() || is_name(name)) {
        return None;
    }
    if !name.is_empty() {
        line.logger = Some(Cow::Borrowed(name));
    }
    Some(())
}
