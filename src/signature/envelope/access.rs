//! HTTP access logs: common and combined (nginx, Apache, gunicorn, werkzeug), uvicorn's, gin's.
//!
//! The message is method, path and status. Client, user, protocol, size, referrer and agent become fields.

use std::borrow::Cow;

use crate::signature::envelope::cursor::Cursor;
use crate::signature::envelope::keyed::http_status;
use crate::signature::envelope::line::{Format, Line};
use crate::signature::envelope::stamp::{self, Stamp};

/// The longest client, ident or user. Host names end at 253 bytes.
const LONGEST_NAME: usize = 256;

/// `127.0.0.1 - - [10/Feb/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 612 "-" "curl/8"`
pub(crate) fn parse(text: &str) -> Option<Line<'_>> {
    let mut cursor = Cursor::new(text);
    let client = cursor.until(b' ', LONGEST_NAME).filter(|client| is_client(client))?;
    let ident = cursor.until(b' ', LONGEST_NAME)?;
    let user = cursor.until(b'[', LONGEST_NAME)?.strip_suffix(' ')?;
    let (time, end) = stamp::access(cursor.rest)?;
    cursor.rest = cursor.rest[end..].strip_prefix("] ")?;
    let mut line = Line::of(Format::Access, text);
    line.time = Some(time);
    answer(&mut line, &mut cursor)?;
    line.put("client", client);
    put_unless_dash(&mut line, "ident", ident);
    put_unless_dash(&mut line, "user", user);
    cursor.blanks();
    put_unless_dash(&mut line, "bytes", cursor.word());
    for key in ["referer", "agent"] {
        cursor.blanks();
        if let Some(value) = cursor.quoted() {
            put_unless_dash(&mut line, key, value);
        }
    }
    put_unless_dash(&mut line, "rest", cursor.rest.trim());
    Some(line)
}

/// `127.0.0.1:5 - "POST /push HTTP/1.1" 200 OK`, which uvicorn writes as a message. Puts the parts into `line` and says
/// whether there were any.
pub(crate) fn refine<'a>(line: &mut Line<'a>, message: &'a str) -> bool {
    let mut cursor = Cursor::new(message);
    let client = cursor.until(b' ', LONGEST_NAME).filter(|client| is_client(client) && client.contains(':'));
    let (Some(client), true) = (client, cursor.eat("- \"")) else { return false };
    cursor.rest = &message[client.len() + 3..];
    if answer(line, &mut cursor).is_none() {
        return false;
    }
    line.put("client", client);
    put_unless_dash(line, "reason", cursor.rest.trim());
    true
}

/// `[10/Feb/2026 10:00:00] "GET / HTTP/1.1" 200 5`, as Django's own server has it.
pub(crate) fn django(text: &str) -> Option<Line<'_>> {
    let inner = text.strip_prefix('[')?;
    let (time, end) = stamp::access(inner)?;
    let mut cursor = Cursor::new(inner[end..].strip_prefix("] ")?);
    let mut line = Line::of(Format::Access, text);
    line.time = Some(time);
    answer(&mut line, &mut cursor)?;
    put_unless_dash(&mut line, "bytes", cursor.rest.trim());
    Some(line)
}

/// gin: `200 |    1.2ms |  127.0.0.1 | GET      "/path"`, behind the stamp and a bar.
pub(crate) fn gin(time: Stamp, text: &str) -> Option<Line<'_>> {
    let mut parts = text.splitn(4, '|').map(str::trim);
    let (code, took, client, request) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let (method, path) = request.split_once(' ')?;
    let mut line = Line::of(Format::Access, text);
    line.time = Some(time);
    line.status = Some(http_status(code)?);
    let path = path.trim_start().strip_prefix('"')?;
    let (path, rest) = path.split_once('"')?;
    line.message = Cow::Owned([method, " ", path, " ", code].concat());
    line.put("took", took);
    line.put("client", client);
    put_unless_dash(&mut line, "rest", rest.trim());
    Some(line)
}

/// Whether a word can be a client: an address or a host name.
fn is_client(word: &str) -> bool {
    !word.is_empty()
        && word
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b'-' | b'_' | b'[' | b']' | b'%'))
}

/// Adds a field, unless the value is empty or the dash that stands for nothing.
fn put_unless_dash<'a>(line: &mut Line<'a>, key: &'static str, value: &'a str) {
    if !value.is_empty() && value != "-" {
        line.put(key, value);
    }
}

/// Reads the quoted request and the status behind it, and makes the message from both.
fn answer<'a>(line: &mut Line<'a>, cursor: &mut Cursor<'a>) -> Option<()> {
    let request = cursor.quoted()?;
    if !cursor.eat(" ") {
        return None;
    }
    let mut ahead = *cursor;
    let code = ahead.word();
    let status = http_status(code)?;
    *cursor = ahead;
    let (asked, protocol) = match request.rsplit_once(' ') {
        Some((asked, protocol)) if protocol.starts_with("HTTP/") => (asked, protocol),
        _ => (request, ""),
    };
    line.status = Some(status);
    line.message = Cow::Owned([asked, " ", code].concat());
    put_unless_dash(line, "protocol", protocol);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn common_and_combined_lines_give_request_and_status() {
        let line = parse(
            r#"10.0.0.1 - bob [10/Feb/2026:10:00:00 +0000] "GET /a?b=1 HTTP/1.1" 404 612 "-" "curl/8 \"x\"" "1.2.3.4""#,
        )
        .unwrap();
        assert_eq!((&*line.message, line.status), ("GET /a?b=1 404", Some(404)));
        for (key, value) in [
            ("client", "10.0.0.1"),
            ("user", "bob"),
            ("protocol", "HTTP/1.1"),
            ("bytes", "612"),
            ("agent", "curl/8 \\\"x\\\""),
            ("rest", "\"1.2.3.4\""),
        ] {
            assert_eq!(line.field(key), Some(value), "{key}");
        }
        let line = parse(r#"::1 - - [10/Feb/2026 10:00:00] "\x16\x03" 400 -"#).unwrap();
        assert_eq!((&*line.message, line.field("bytes")), ("\\x16\\x03 400", None));
    }

    #[test]
    fn what_lacks_a_part_is_no_access_log() {
        for text in [
            r#"10.0.0.1 - - [10/Feb/2026:10:00:00 +0000] "GET / HTTP/1.1 404 612"#,
            r#"10.0.0.1 - - [10/Feb/2026:10:00:00 +0000] "GET / HTTP/1.1" 999 612"#,
            r#"10.0.0.1 - - [10 Feb 2026] "GET / HTTP/1.1" 404 612"#,
            "10.0.0.1 - -",
            "",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
