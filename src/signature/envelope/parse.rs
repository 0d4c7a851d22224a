//! The one way in for a line: which rule recognises it.
//!
//! The first byte behind the prefix rules most formats out, so a line is looked at once or twice, not fifteen times.
//! The
//! rules are tried from the most specific to the least. What none of them knows is a message as a whole.

use std::borrow::Cow;

use crate::signature::envelope::json;
use crate::signature::envelope::keyed::Keyed;
use crate::signature::envelope::line::{Format, Line};
use crate::signature::envelope::{access, ansi, dotnet, klog, leveled, logfmt, prefix, redis, stamped, syslog};

/// Takes a line apart. The line has no line break; one at its end is ignored.
///
/// The result borrows from `raw`, unless colour codes had to be taken out. The message is empty only if the line shows
/// nothing. Text that is not envelope is in the message or in a field.
#[must_use]
pub fn parse(raw: &str) -> Line<'_> {
    match ansi::strip(raw) {
        Cow::Borrowed(text) => parse_bare(text),
        Cow::Owned(text) => parse_bare(&text).into_owned(),
    }
}

/// Takes a line without colour codes apart.
pub(crate) fn parse_bare(raw: &str) -> Line<'_> {
    let text = raw.trim_end_matches(['\r', '\n']);
    let Some(prefixed) = prefix::split(text) else { return whole(text) };
    let inner = prefixed.rest.trim_start_matches([' ', '\t']);
    if inner.trim().is_empty() {
        return Line::plain(text);
    }
    let mut line = whole(inner);
    line.prefix = Some(Cow::Borrowed(prefixed.name));
    line
}

/// Takes the text behind a prefix apart.
fn whole(text: &str) -> Line<'_> {
    let Some(mut line) = recognise(text) else { return Line::plain(text) };
    // Another envelope inside: a runtime's stamp before the program's own, or a server's access log as a message.
    let message = match &line.message {
        Cow::Borrowed(message) => Some(*message),
        Cow::Owned(_) => None,
    };
    if let Some(message) = message {
        match line.format {
            Format::Stamped if line.level.is_none() && line.logger.is_none() => {
                if let Some(inner) = recognise(message) {
                    line = within(line, inner);
                }
            }
            Format::Leveled => {
                let refined = access::refine(&mut line, message);
                line.format = if refined { Format::Access } else { Format::Leveled };
            }
            Format::Stamped | Format::Clocked | Format::Json | Format::Logfmt => {
                access::refine(&mut line, message);
            }
            _ => {}
        }
    }
    if line.message.trim().is_empty() {
        // Nothing but envelope. Better said twice than lost.
        line.message = Cow::Borrowed(text);
    }
    line
}

/// The line of a stamp with another envelope behind it. The program's own time is the better one, if it has a zone.
fn within<'a>(outer: Line<'a>, mut inner: Line<'a>) -> Line<'a> {
    if inner.message.trim().is_empty() {
        return outer;
    }
    if !inner.time.is_some_and(crate::signature::envelope::Stamp::is_instant) {
        inner.time = outer.time.or(inner.time);
    }
    inner
}

/// The rules, by the first byte.
fn recognise(text: &str) -> Option<Line<'_>> {
    let bytes = text.as_bytes();
    let first = *bytes.first()?;
    match first {
        b'{' => object(text),
        b'<' => syslog::with_priority(text),
        b'[' => stamped::bracketed(text).or_else(|| access::django(text)).or_else(|| leveled::parse(text)),
        b' ' => leveled::aligned(text),
        b'0'..=b'9' => match (bytes.get(2), bytes.get(4)) {
            (_, Some(b'-' | b'/' | b'.')) if bytes[1..4].iter().all(u8::is_ascii_digit) => {
                stamped::parse(text).or_else(|| access::parse(text))
            }
            (Some(b':'), _) => stamped::clocked(text).or_else(|| redis::parse(text)).or_else(|| access::parse(text)),
            _ => redis::parse(text).or_else(|| access::parse(text)),
        },
        b':' => access::parse(text),
        _ if first.is_ascii_alphabetic() || first == b'_' => worded(text, bytes),
        _ => None,
    }
}

/// The rules for a line that begins with a letter.
fn worded<'a>(text: &'a str, bytes: &[u8]) -> Option<Line<'a>> {
    if bytes.get(1).is_some_and(u8::is_ascii_digit)
        && let Some(line) = klog::parse(text)
    {
        return Some(line);
    }
    if bytes.get(3) == Some(&b' ')
        && let Some(line) = syslog::rfc3164(text).or_else(|| stamped::dated(text))
    {
        return Some(line);
    }
    let level = || dotnet::parse(text).or_else(|| leveled::parse(text));
    level().or_else(|| logfmt::parse(text)).or_else(|| access::parse(text))
}

/// A JSON object with at least one member.
fn object(text: &str) -> Option<Line<'_>> {
    let mut keyed = Keyed::new(Format::Json);
    let mut any = false;
    let read = json::members(text, |key, value| {
        any = true;
        keyed.take(key, value);
    });
    (read && any).then(|| keyed.finish(|| Cow::Borrowed(text.trim_end())))
}
