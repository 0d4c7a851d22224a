//! Terminal escape sequences, and how to take them out.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

/// The byte that begins every escape sequence.
const ESCAPE: u8 = 0x1b;

/// The bell, one of two ways to end an operating system command.
const BELL: u8 = 0x07;

/// The text without colour codes, cursor movements and terminal commands. A sequence that is cut off loses only its
/// escape byte, so no visible text is lost.
pub(crate) fn strip(text: &str) -> Cow<'_, str> {
    let Some(first) = memchr(ESCAPE, text.as_bytes()) else { return Cow::Borrowed(text) };
    let mut out = String::with_capacity(text.len());
    out.push_str(&text[..first]);
    let mut rest = &text[first..];
    loop {
        rest = &rest[sequence(rest.as_bytes())..];
        let Some(next) = memchr(ESCAPE, rest.as_bytes()) else { break };
        out.push_str(&rest[..next]);
        rest = &rest[next..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// How many bytes the sequence at the head of `bytes` has, at least 1. `bytes` begins with the escape byte.
fn sequence(bytes: &[u8]) -> usize {
    match bytes.get(1) {
        Some(b'[') => match bytes[2..].iter().position(|byte| !(0x20..=0x3f).contains(byte)) {
            Some(end) if (0x40..=0x7e).contains(&bytes[2 + end]) => end + 3,
            _ => 1,
        },
        Some(b']') => command(bytes),
        // Choose a character set: three bytes, the last of which is a letter or a digit.
        Some(b'(' | b')') if bytes.get(2).is_some_and(u8::is_ascii_alphanumeric) => 3,
        // Save, restore, index, keypad: two bytes.
        Some(b'7' | b'8' | b'=' | b'>' | b'D' | b'E' | b'M' | b'c') => 2,
        _ => 1,
    }
}

/// How many bytes the operating system command at the head of `bytes` has. The search stops at the next escape byte, so
/// a text full of cut off commands is still read once only; the last one, which has no end, is looked for from the
/// last escape byte on.
fn command(bytes: &[u8]) -> usize {
    match memchr2(BELL, ESCAPE, &bytes[2..]) {
        Some(end) if bytes[2 + end] == BELL => end + 3,
        Some(end) if bytes.get(3 + end) == Some(&b'\\') => end + 4,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::strip;

    #[test]
    fn escape_sequences_go_and_text_stays() {
        for (text, bare) in [
            ("plain", "plain"),
            ("\x1b[32mINFO\x1b[0m ok", "INFO ok"),
            ("\x1b[1;38;5;208mx\x1b[m", "x"),
            ("\x1b]8;;http://a\x1b\\link\x1b]8;;\x1b\\", "link"),
            ("\x1b]0;title\x07text", "text"),
            ("\x1b(Bx", "x"),
            ("cut \x1b[31", "cut [31"),
            ("cut \x1b]0;title", "cut ]0;title"),
            ("\x1b", ""),
            ("\x1b[\u{fc}x", "[\u{fc}x"),
            ("\x1b\u{1f600}", "\u{1f600}"),
        ] {
            assert_eq!(strip(text), bare, "{text:?}");
        }
    }
}
