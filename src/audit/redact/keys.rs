//! Keys in a text, and what parts them from their values.

use std::ops::Range;

use super::names::{Strength, is_header, is_password, strength};
use super::values::{self, Place};
use super::{Found, Look, before, byte, is_word, run, run_back};

/// Parts of words that a secret key has.
pub(super) const LOOKS: &[(&str, Look)] = &[
    ("pass", find),
    ("pwd", find),
    ("pw", find),
    ("secret", find),
    ("token", find),
    ("key", find),
    ("cred", find),
    ("auth", find),
    ("cookie", find),
    ("salt", find),
    ("sig", find),
    ("nonce", find),
    ("seed", find),
    ("session", find),
    ("sid", find),
    ("psk", find),
    ("otp", find),
    ("mnemonic", find),
    ("kennwort", find),
    ("contrase", find),
    ("senha", find),
    ("pepper", find),
    ("jwt", find),
    ("webhook", find),
];

/// The longest key that is looked at. Longer ones are no keys but encoded data.
const KEY_MOST: usize = 120;

/// What stands between a key and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// `=`, `:=`, `=>`, `==`.
    Equals,
    /// `:`.
    Colon,
    /// `%3D`, `%3A`: a key in an encoded query.
    Encoded,
    /// Space after a flag, or a comma in a list of arguments.
    Flag,
    /// A word or a line break: `is`, `"value":`.
    Word,
    /// `<password>`, `| password |`.
    Cell,
}

/// Looks at the key around a hint.
fn find(text: &str, at: Range<usize>, found: &mut Found) {
    if at.start < found.key_end {
        return;
    }
    let is_key = |b: u8| is_word(b) || matches!(b, b'.' | b'-');
    let mut start = run_back(text, at.start, KEY_MOST, is_key);
    let end = run(text, at.end, KEY_MOST, is_key);
    found.key_end = end;
    if at.start - start == KEY_MOST || end - at.end == KEY_MOST {
        return;
    }
    // The colour that the key is written in is no part of it.
    if before(text, start) == b'[' || before(text, start) == b';' {
        let open = run_back(text, start, 12, |b| b.is_ascii_digit() || matches!(b, b';' | b'['));
        let digits = run(text, start, 4, |b| b.is_ascii_digit());
        if before(text, open) == b'\x1b' && byte(text, digits) == b'm' {
            start = digits + 1;
        }
    }
    // So are the escapes of a string in a string: \nPASSWORD=x, and the sign of a percent-encoded one: %26token%3Dx.
    if before(text, start) == b'\\' && matches!(byte(text, start), b'n' | b't' | b'r') && end - start > 1 {
        start += 1;
    } else if before(text, start) == b'%' && end - start > 2 {
        start += 2;
    }
    if start > at.start {
        return;
    }
    let flag = byte(text, start) == b'-' && !is_word(before(text, start));
    start = run(text, start, end - start, |b| !b.is_ascii_alphanumeric() && b != b'_');
    if start >= end {
        return;
    }
    // The full stop of a sentence, and the dash of a diff.
    let end = run_back(text, end, end - start, |b| matches!(b, b'.' | b'-'));
    let Some((sign, value)) = separator(text, start, end, flag) else {
        return;
    };
    let key = &text[start..end];
    let joined = joined(text, start, end);
    let key = joined.as_deref().unwrap_or(key);
    let strength = strength(key);
    if strength == Strength::None {
        return;
    }
    let name = key.rsplit('.').next().unwrap_or(key);
    let place = Place { key: start..end, name, strength, sign, sure_class: is_password(key), header: is_header(key) };
    values::find(text, value, &place, found);
}

/// `Secret Access Key` as one key: words that are parted by a space, where the last is `key` or the like.
fn joined(text: &str, start: usize, end: usize) -> Option<String> {
    if !matches!(text[start..end].to_ascii_lowercase().as_str(), "key" | "keys" | "pass") {
        return None;
    }
    let mut first = start;
    for _ in 0..2 {
        if before(text, first) != b' ' || !before(text, first - 1).is_ascii_alphabetic() {
            break;
        }
        first = run_back(text, first - 1, 24, |b| b.is_ascii_alphabetic());
    }
    (first < start).then(|| text[first..end].replace(' ', "_"))
}

/// What follows a key that ends at `end`, and where the value begins.
fn separator(text: &str, start: usize, end: usize, flag: bool) -> Option<(Sign, usize)> {
    let space = |at: usize| run(text, at, 64, |b| matches!(b, b' ' | b'\t'));
    let quoted = matches!(before(text, start), b'"' | b'\'' | b'`');
    let mut at = colours(text, end);
    let escapes = run(text, at, 8, |b| b == b'\\');
    let mut closed = false;
    if matches!(byte(text, escapes), b'"' | b'\'' | b'`') && (quoted || flag || before(text, start) == b'-') {
        at = escapes + 1;
        closed = true;
    }
    if byte(text, at) == b']' && closed {
        at += 1;
    }
    let signed = colours(text, space(at));
    // `aws configure` shows what it has: `Secret Access Key [None]: `.
    let signed = if byte(text, signed) == b'[' && !closed {
        let inside = run(text, signed + 1, 32, |b| is_word(b) || b == b'*');
        if text[inside..].starts_with("]:") { inside + 1 } else { signed }
    } else {
        signed
    };
    // Unseal Key 1: x
    let numbered = run(text, signed, 3, |b| b.is_ascii_digit());
    let numbered =
        numbered > signed && signed > at && byte(text, numbered) == b':' && text[start..end].eq_ignore_ascii_case("key");
    let signed = if numbered { run(text, signed, 3, |b| b.is_ascii_digit()) } else { signed };
    let rest = &text[signed..];
    let after = |len: usize| colours(text, space(colours(text, signed + len)));
    let b = |i: usize| byte(text, signed + i);
    match b(0) {
        // ${NAME:?message} and ${NAME:-value}.
        b':' | b'?' | b'-' if text[..start].ends_with("${") => {
            let colon = usize::from(b(0) == b':');
            return (b(colon) == b'-').then_some((Sign::Equals, signed + colon + 1));
        }
        // A file that is mounted, or a part of a name with colons.
        b':' if matches!(before(text, start), b'/' | b':') && !closed && !b(1).is_ascii_whitespace() => return None,
        b':' if b(1) == b'=' => return Some((Sign::Equals, after(2))),
        b':' if b(1) == b':' || (b(1) == b'/' && b(2) == b'/') => return None,
        b':' => return Some(typed(text, signed + 1).unwrap_or((Sign::Colon, after(1)))),
        b'=' if b(1) == b'~' => return None,
        b'=' if matches!(b(1), b'>' | b'=') => return Some((Sign::Equals, after(2))),
        b'=' => return Some((Sign::Equals, after(1))),
        b'%' => {
            // An encoded key may be in encoded quotes, as in encoded JSON.
            let quotes = if rest.starts_with("%22") { 3 } else { 0 };
            let sign = rest.get(quotes..quotes + 3)?;
            if sign.eq_ignore_ascii_case("%3d") || sign.eq_ignore_ascii_case("%3a") {
                let open = if rest[quotes + 3..].starts_with("%22") { 3 } else { 0 };
                return Some((Sign::Encoded, signed + quotes + 3 + open));
            }
            return None;
        }
        _ if rest.starts_with("\\u003d") || rest.starts_with("\\x3d") => {
            return Some((Sign::Equals, after(if b(1) == b'u' { 6 } else { 4 })));
        }
        b'>' if before(text, start) == b'<' || closed => return Some((Sign::Cell, signed + 1)),
        b'|' if !closed && text[..start].ends_with("| ") => return Some((Sign::Cell, after(1))),
        _ => {}
    }
    if closed {
        return listed(text, at, flag).or_else(|| fallback(text, start, at)).or_else(|| beside(text, at));
    }
    if flag && signed > at && !matches!(byte(text, signed), b'-' | b'\n' | b'\r') {
        return Some((Sign::Flag, signed));
    }
    if signed > at {
        // What mysqld prints once: A temporary password is generated for root@localhost: x.
        if let Some(end) = rest.strip_prefix("is generated for ").and_then(|r| r.get(..r.len().min(80))?.find(": ")) {
            return Some((Sign::Word, space(signed + 17 + end + 2)));
        }
        for word in ["is ", "was ", "is: ", "set to ", "changed to "] {
            if rest.starts_with(word) {
                return Some((Sign::Word, space(signed + word.len())));
            }
        }
        return values::bare(text, start, signed).then_some((Sign::Flag, signed));
    }
    beside(text, at)
}

/// The next string of a list of arguments: `"--token", "x"`.
fn listed(text: &str, at: usize, flag: bool) -> Option<(Sign, usize)> {
    let space = |at: usize| run(text, at, 64, |b| b.is_ascii_whitespace());
    let mut at = space(at);
    if !flag {
        return None;
    }
    if byte(text, at) == b',' {
        at = space(at + 1);
    }
    let open = run(text, at, 8, |b| b == b'\\');
    matches!(byte(text, open), b'"' | b'\'').then_some(())?;
    (byte(text, open + 1) != b'-').then_some((Sign::Flag, at))
}

/// What a lookup falls back to: `getenv("DB_PASSWORD", "x")`.
fn fallback(text: &str, start: usize, at: usize) -> Option<(Sign, usize)> {
    let next = run(text, at + 1, 4, |b| b == b' ');
    let call = text[..start].trim_end_matches(['"', '\'']).ends_with('(');
    (call && byte(text, at) == b',' && matches!(byte(text, next), b'"' | b'\'')).then_some((Sign::Word, next))
}

/// What follows the type in `password: &str = "x"`.
fn typed(text: &str, at: usize) -> Option<(Sign, usize)> {
    let end = run(text, at, 48, |b| {
        is_word(b) || matches!(b, b' ' | b'&' | b'\'' | b'<' | b'>' | b':' | b'.' | b'[' | b']' | b'|')
    });
    let value = run(text, end + 1, 8, |b| b == b' ');
    let kind = text[at..end].trim();
    (!kind.is_empty()
        && text[at..end].ends_with(' ')
        && byte(text, end) == b'='
        && byte(text, at) == b' '
        && matches!(byte(text, value), b'"' | b'\''))
    .then_some((Sign::Equals, value))
}

/// The value beside a name: `name: DB_PASSWORD` and on the next line `value: x`, or the same in JSON or XML.
fn beside(text: &str, at: usize) -> Option<(Sign, usize)> {
    let space = |at: usize| run(text, at, 64, |b| b.is_ascii_whitespace() || b == b',');
    let is_quote = |b: u8| matches!(b, b'"' | b'\'' | b'\\');
    let mut i = space(at);
    if i == at {
        return None;
    }
    i = run(text, i, 3, is_quote);
    let word = text.get(i..i + 5)?;
    if !word.eq_ignore_ascii_case("value") {
        return None;
    }
    i = run(text, i + 5, 3, is_quote);
    i = run(text, i, 8, |b| b == b' ');
    matches!(byte(text, i), b':' | b'=').then(|| (Sign::Word, run(text, i + 1, 8, |b| b == b' ')))
}

/// The end of the codes for colours at `at`.
pub(super) fn colours(text: &str, mut at: usize) -> usize {
    while text[at..].starts_with("\x1b[") {
        let end = run(text, at + 2, 16, |b| b.is_ascii_digit() || b == b';');
        if byte(text, end) != b'm' {
            break;
        }
        at = end + 1;
    }
    at
}
