//! syslog: RFC 3164, RFC 5424, and journald's `short` and `short-iso`, which look like the former.

use std::borrow::Cow;

use crate::signature::envelope::cursor::Cursor;
use crate::signature::envelope::level::Level;
use crate::signature::envelope::line::{Format, Line};
use crate::signature::envelope::stamp::{self, Stamp};

/// The longest host name.
const LONGEST_HOST: usize = 255;

/// The longest program name. RFC 5424 allows 48 bytes, systemd's units may be longer.
const LONGEST_PROGRAM: usize = 128;

/// The greatest priority: facility 23, severity 7.
const GREATEST_PRIORITY: u64 = 191;

/// A line that begins with a priority, `<13>`.
pub(crate) fn with_priority(text: &str) -> Option<Line<'_>> {
    let mut cursor = Cursor::new(text);
    if !cursor.eat("<") {
        return None;
    }
    let priority: u64 = cursor.digits(3)?.parse().ok().filter(|priority| *priority <= GREATEST_PRIORITY)?;
    if !cursor.eat(">") {
        return None;
    }
    let mut line = if cursor.eat("1 ") { rfc5424(cursor)? } else { rfc3164(cursor.rest)? };
    line.level = Level::of_syslog(priority % 8);
    Some(line)
}

/// `Feb 10 10:00:00 host prog[123]: message`. Host and program may be missing.
pub(crate) fn rfc3164(text: &str) -> Option<Line<'_>> {
    let (time, end) = stamp::month_first(text)?;
    let mut cursor = Cursor::new(text[end..].strip_prefix(' ')?);
    let mut line = Line::of(Format::Syslog, cursor.rest);
    line.time = Some(time);
    let mut ahead = cursor;
    if program(&mut ahead, &mut line, false) {
        return Some(line);
    }
    let host = cursor.until(b' ', LONGEST_HOST).filter(|host| is_host(host));
    if let Some(host) = host
        && program(&mut cursor, &mut line, false)
    {
        line.put("host", host);
    }
    Some(line)
}

/// `host prog[123]: message` behind an RFC 3339 stamp, as journald's `short-iso` has it. Only with the number in
/// brackets, for without it every sentence with a colon would do.
pub(crate) fn journal(time: Stamp, text: &str) -> Option<Line<'_>> {
    let mut cursor = Cursor::new(text);
    let host = cursor.until(b' ', LONGEST_HOST).filter(|host| is_host(host))?;
    let mut line = Line::of(Format::Journal, text);
    line.time = Some(time);
    if !program(&mut cursor, &mut line, true) {
        return None;
    }
    line.put("host", host);
    Some(line)
}

/// Reads `prog[123]: ` or `prog: ` and takes what follows as the message.
fn program<'a>(cursor: &mut Cursor<'a>, line: &mut Line<'a>, numbered: bool) -> bool {
    let bytes = cursor.rest.as_bytes();
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/' | b'@' | b'(' | b')');
    let Some(end) = bytes.iter().take(LONGEST_PROGRAM).position(|byte| !is_part(byte)) else { return false };
    let name = &cursor.rest[..end];
    let mut ahead = Cursor::new(&cursor.rest[end..]);
    let mut number = "";
    if ahead.eat("[") {
        match ahead.digits(10) {
            Some(digits) if ahead.eat("]") => number = digits,
            _ => return false,
        }
    }
    if name.is_empty() || !ahead.eat(":") || (numbered && number.is_empty()) {
        return false;
    }
    if !ahead.eat(" ") && !ahead.rest.is_empty() {
        return false;
    }
    line.logger = Some(Cow::Borrowed(name));
    if !number.is_empty() {
        line.put("pid", number);
    }
    line.message = Cow::Borrowed(ahead.rest);
    true
}

/// Whether a word can be a host's name.
fn is_host(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':'))
}

/// RFC 5424 behind `<13>1 `: stamp, host, program, number, message id, structured data, message. A dash stands for
/// nothing.
fn rfc5424(mut cursor: Cursor<'_>) -> Option<Line<'_>> {
    let mut line = Line::of(Format::Syslog5424, cursor.rest);
    if !cursor.eat("- ") {
        let (time, end) = stamp::date_time(cursor.rest)?;
        line.time = Some(time);
        cursor.rest = cursor.rest[end..].strip_prefix(' ')?;
    }
    for key in ["host", "program", "pid", "message_id"] {
        let value = cursor.until(b' ', LONGEST_HOST + 1)?;
        match (key, value) {
            (_, "-") => {}
            ("program", _) => line.logger = Some(Cow::Borrowed(value)),
            _ => line.put(key, value),
        }
    }
    if !cursor.eat("-") {
        let before = cursor.rest;
        while cursor.peek() == b'[' {
            element(&mut cursor)?;
        }
        let data = &before[..before.len() - cursor.rest.len()];
        if data.is_empty() {
            return None;
        }
        line.put("structured", data);
    }
    if !cursor.eat(" ") && !cursor.rest.is_empty() {
        return None;
    }
    cursor.eat("\u{feff}");
    line.message = Cow::Borrowed(cursor.rest);
    Some(line)
}

/// Steps over one element of structured data, `[id name="value"]`.
fn element(cursor: &mut Cursor<'_>) -> Option<()> {
    loop {
        let bytes = cursor.rest.as_bytes();
        let at = memchr::memchr2(b'"', b']', bytes)?;
        cursor.rest = &cursor.rest[at..];
        if bytes[at] == b']' {
            cursor.eat("]");
            return Some(());
        }
        cursor.quoted()?;
    }
}

#[cfg(test)]
mod tests {
    use super::{rfc3164, with_priority};
    use crate::signature::envelope::level::Level;

    #[test]
    fn the_old_format_gives_host_program_and_message() {
        for (text, level, logger, message) in [
            ("<13>Feb 10 10:00:00 host prog[123]: it works", Some(Level::Notice), Some("prog"), "it works"),
            ("<11>Feb  1 10:00:00 prog[123]: it works", Some(Level::Error), Some("prog"), "it works"),
            ("<13>Feb 10 10:00:00 host sudo: it works", Some(Level::Notice), Some("sudo"), "it works"),
            ("<13>Feb 10 10:00:00 it works", Some(Level::Notice), None, "it works"),
            ("<13>Feb 10 10:00:00 host prog[123]:   File", Some(Level::Notice), Some("prog"), "  File"),
        ] {
            let line = with_priority(text).unwrap();
            assert_eq!((line.level, line.logger.as_deref(), &*line.message), (level, logger, message), "{text}");
        }
        let line = rfc3164("Feb 10 10:00:00 web-1 nginx[7]: up").unwrap();
        assert_eq!((line.level, line.field("host"), line.field("pid")), (None, Some("web-1"), Some("7")));
    }

    #[test]
    fn the_new_format_gives_structured_data_too() {
        let text = r#"<165>1 2026-02-10T10:00:00.003Z host app 12 ID47 [a@1 b="c]\"d"][e] it works"#;
        let line = with_priority(text).unwrap();
        assert_eq!((&*line.message, line.logger.as_deref(), line.level), ("it works", Some("app"), Some(Level::Notice)));
        assert_eq!(line.field("structured"), Some(r#"[a@1 b="c]\"d"][e]"#));
        assert_eq!(line.field("message_id"), Some("ID47"));
        assert_eq!(with_priority("<34>1 - - - - - - it works").unwrap().message, "it works");
    }

    #[test]
    fn other_angle_brackets_are_text() {
        for text in ["<13>", "<999>Feb 10 10:00:00 a", "<b>x</b>", "<13>1 x", "<13>1 - - - - - [a", "<", "<1"] {
            assert_eq!(with_priority(text), None, "{text}");
        }
    }
}
