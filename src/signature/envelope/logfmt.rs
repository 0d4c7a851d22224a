//! logfmt: nothing but `key=value` pairs, the values in quotes where they hold blanks.

use std::borrow::Cow;

use crate::signature::envelope::cursor::Cursor;
use crate::signature::envelope::json::{Value, unescape};
use crate::signature::envelope::keyed::{Keyed, is_envelope};
use crate::signature::envelope::line::{Format, Line};

/// The longest key. It keeps the look at a long line of another format short.
const LONGEST_KEY: usize = 64;

/// One pair: the key, the value without quotes, and whether the value was quoted.
type Pair<'a> = (&'a str, &'a str, bool);

/// Reads a line that is logfmt from end to end and has at least two pairs. One `a=b` alone is a message.
pub(crate) fn parse(text: &str) -> Option<Line<'_>> {
    let mut keyed = Keyed::new(Format::Logfmt);
    let mut cursor = Cursor::new(text);
    let mut pairs = 0;
    loop {
        let (key, raw, quoted) = pair(&mut cursor)?;
        let value = if quoted && raw.contains('\\') {
            Value::Text(unescape(raw).map_or(Cow::Borrowed(raw), Cow::Owned))
        } else if !quoted && is_number(raw) {
            Value::Number(raw)
        } else {
            Value::Text(Cow::Borrowed(raw))
        };
        keyed.take(Cow::Borrowed(key), value);
        pairs += 1;
        if cursor.rest.is_empty() {
            break;
        }
    }
    (pairs > 1).then(|| keyed.finish(|| remainder(text)))
}

/// Reads a pair and the blanks behind it.
fn pair<'a>(cursor: &mut Cursor<'a>) -> Option<Pair<'a>> {
    let bytes = cursor.rest.as_bytes();
    let at = bytes.iter().take(LONGEST_KEY).position(|byte| !is_key(*byte))?;
    if at == 0 || bytes[at] != b'=' {
        return None;
    }
    let key = &cursor.rest[..at];
    cursor.rest = &cursor.rest[at + 1..];
    let quoted = cursor.peek() == b'"';
    let value = if quoted { cursor.quoted()? } else { cursor.word() };
    let apart = cursor.blanks() || cursor.rest.is_empty();
    apart.then_some((key, value, quoted))
}

/// Whether a key may have this byte.
fn is_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'@' | b'/')
}

/// Whether a bare value is a plain decimal number.
fn is_number(raw: &str) -> bool {
    raw.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && raw.bytes().any(|byte| byte.is_ascii_digit())
}

/// The pairs of `text` that are not time, level or logger: the message of a line that has none. All of the text if
/// nothing is left.
fn remainder(text: &str) -> Cow<'_, str> {
    let mut out = String::with_capacity(text.len());
    let mut cursor = Cursor::new(text);
    while !cursor.rest.is_empty() {
        let before = cursor.rest;
        let Some((key, _, _)) = pair(&mut cursor) else { break };
        if !is_envelope(key) {
            if !out.is_empty() {
                out.push(' ');
            }
            out.push_str(before[..before.len() - cursor.rest.len()].trim_end());
        }
    }
    if out.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(out) }
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::signature::envelope::level::Level;

    #[test]
    fn pairs_with_a_message_are_logfmt() {
        let line = parse(r#"time=2026-02-10T10:00:00Z level=info msg="it \"works\"" port=80 empty= who="a b""#).unwrap();
        assert_eq!(line.message, r#"it "works""#);
        assert_eq!(line.level, Some(Level::Info));
        assert!(line.time.is_some_and(crate::signature::envelope::Stamp::is_instant));
        assert_eq!((line.field("port"), line.field("empty"), line.field("who")), (Some("80"), Some(""), Some("a b")));
    }

    #[test]
    fn pairs_without_a_message_are_the_message() {
        let line = parse("ts=2026-02-10T10:00:00Z level=warn component=tsdb duration=3s").unwrap();
        assert_eq!(line.message, "component=tsdb duration=3s");
        assert_eq!(parse("level=info logger=x").unwrap().message, "level=info logger=x");
    }

    #[test]
    fn other_text_is_no_logfmt() {
        for text in ["a=b", "a=b c", "x a=b c=d", "a=b c=\"d", "a=\"b\"c d=e", "=b c=d", "", "ü=1 b=2"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
