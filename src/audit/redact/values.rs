//! Where the value of a key begins and ends.

use std::ops::Range;

use super::harmless::{is_chance, is_harmless, is_nothing, is_odd};
use super::keys::{Sign, colours};
use super::names::Strength;
use super::{Found, REDACTED, before, byte, is_word, run, run_back};

/// The key that a value belongs to.
pub(super) struct Place<'k> {
    pub(super) key: Range<usize>,
    /// The key without the object that it is part of.
    pub(super) name: &'k str,
    pub(super) strength: Strength,
    pub(super) sign: Sign,
    /// The key is a password's, whose value may be a number or any word.
    pub(super) sure_class: bool,
    /// The key is that of a header with nothing but secrets in it.
    pub(super) header: bool,
}

/// How far before a key its line is looked at, and how many strings of a list are.
const NEAR: usize = 160;

/// Lines after which a string in quotes that began on another line is taken for one that lost its end.
const LINES_MOST: usize = 40;

/// The longest string in quotes whose end is looked for; of a longer one the line is taken.
const STRING_MOST: usize = 16 * 1024;

/// Finds the value that begins at `start`, or the values when it is a list.
pub(super) fn find(text: &str, start: usize, place: &Place, found: &mut Found) {
    let start = colours(text, unwrap(text, start));
    if byte(text, start) == b'[' {
        return list(text, start, place, found);
    }
    let value = value(text, start, place);
    let shown = &text[value.clone()];
    // NEO4J_AUTH=user/password
    if text[place.key.clone()].ends_with("_AUTH")
        && !shown.contains("://")
        && let Some(i) = shown.find(['/', ':']).filter(|i| *i > 0)
        && !is_harmless(&shown[i + 1..], &Place { strength: Strength::Sure, key: place.key.clone(), ..*place })
    {
        return found.push(value.start + i + 1..value.end);
    }
    if is_harmless(shown, place) {
        return;
    }
    let end = value.end;
    found.push(value);
    // Terraform shows both: password = "old" -> "new".
    if let Some(arrow) = text[end..].strip_prefix("\" -> \"") {
        let next = text.len() - arrow.len();
        found.push(next..closing(text, next, 0, '"'));
    }
}

/// Steps over what may wrap a value: `Some("x")`, `b'x'`, `N'x'`, `&anchor x`, `!!str x`.
fn unwrap(text: &str, start: usize) -> usize {
    let rest = &text[start..];
    let quote = |at: usize| matches!(byte(text, start + at), b'"' | b'\'');
    let name = run(text, start, 48, |b| is_word(b) || matches!(b, b':' | b'.'));
    if byte(text, name) == b'(' && matches!(byte(text, name + 1), b'"' | b'\'') {
        let name = &text[start..name];
        let wraps =
            ["Some", "Ok", "from", "new", "Secret", "SecretString", "SecretStr", "SecureString", "String", "str", "Str"];
        if wraps.iter().any(|w| name.ends_with(w)) && !name.contains("get") {
            return start + name.len() + 1;
        }
    }
    if rest.starts_with(['b', 'r', 'u', 'f', 'N', 'E', '@']) && quote(1) {
        return start + 1;
    }
    if rest.starts_with("!!str ") {
        return start + 6;
    }
    start
}

/// The strings of a list, or the words of a Go map that prints its values in brackets.
fn list(text: &str, open: usize, place: &Place, found: &mut Found) {
    if text[open..].starts_with(REDACTED) && !text[open + REDACTED.len()..].starts_with(|c: char| c.is_ascii_alphanumeric())
    {
        return;
    }
    let mut at = open + 1;
    for _ in 0..NEAR {
        at = run(text, at, NEAR, |b| b.is_ascii_whitespace() || b == b',');
        let escapes = run(text, at, 8, |b| b == b'\\');
        let quote = byte(text, escapes);
        if !matches!(quote, b'"' | b'\'') {
            break;
        }
        let end = closing(text, escapes + 1, escapes - at, char::from(quote));
        let value = escapes + 1..end;
        if !is_harmless(&text[value.clone()], place) {
            found.push(value);
        }
        at = run(text, end, 9, |b| b == b'\\' || b == quote);
    }
    if at > open + 1 || byte(text, at) == b']' {
        return;
    }
    let line = line_end(text, at);
    let end = text[at..line].find(']').map_or(line, |i| at + i);
    if !is_harmless(&text[at..end], place) {
        // A password that begins with a bracket has its end elsewhere.
        let inner = if end < line { at..end } else { open..word(text, open, place) };
        found.push(inner);
    }
}

/// The value that begins at `start`: a string in quotes, which may be escaped, or a word, or the line.
fn value(text: &str, start: usize, place: &Place) -> Range<usize> {
    let escapes = run(text, start, 8, |b| b == b'\\') - start;
    if let quote @ (b'"' | b'\'' | b'`') = byte(text, start + escapes) {
        let inside = start + escapes + 1;
        return inside..closing(text, inside, escapes, char::from(quote));
    }
    if place.sign == Sign::Cell {
        let end =
            text[start..line_end(text, start)].find(['<', '|']).map_or_else(|| word(text, start, place), |i| start + i);
        return start..start + text[start..end].trim_end().len();
    }
    if place.sign == Sign::Encoded {
        let rest = &text[start..word(text, start, place)];
        let stops = ["%26", "%22", "%2C", "%2c", "%7D", "%7d", "%0A", "%0a", "%3B", "%3b", "%20"];
        let end = stops.iter().filter_map(|stop| rest.find(stop)).min().unwrap_or(rest.len());
        return start..start + end;
    }
    if place.header {
        return start..header_end(text, start, place);
    }
    if place.sign == Sign::Colon && place.strength == Strength::Sure && is_own_line(text, place) {
        return start..own_line_end(text, start);
    }
    start..word(text, start, place)
}

/// The end of the value of a header: one word after the scheme, or with other schemes and cookies the line.
fn header_end(text: &str, start: usize, place: &Place) -> usize {
    let line = line_end(text, start);
    // A header in a quoted argument ends with the quote.
    let line = match before(text, place.key.start) {
        quote @ (b'"' | b'\'') => text[start..line].find(char::from(quote)).map_or(line, |i| start + i),
        _ => line,
    };
    let rest = &text[start..line];
    let mut words = rest.split_ascii_whitespace();
    let scheme = words.next().unwrap_or_default();
    let cookie = text[place.key.clone()].to_ascii_lowercase().ends_with("cookie");
    if scheme.eq_ignore_ascii_case("digest") || scheme.starts_with("AWS4") || scheme.eq_ignore_ascii_case("oauth") {
        return start + rest.trim_end().len();
    }
    if cookie {
        if place.sign == Sign::Colon || rest.contains("; ") {
            let quote =
                rest.find(['"', '\'']).filter(|i| rest[..*i].matches('=').count() == 0 || rest[i + 1..].trim().is_empty());
            let end = quote.or_else(|| rest.find('"').filter(|i| !rest[..*i].ends_with('='))).unwrap_or(rest.len());
            return start + rest[..end].trim_end().len();
        }
        return word(text, start, place);
    }
    let known = ["bearer", "basic", "token", "negotiate", "ntlm", "apikey", "key", "sso-key", "splunk", "genie", "bot"];
    if known.iter().any(|k| scheme.eq_ignore_ascii_case(k))
        && let Some(first) = words.next()
    {
        let begin = start + (first.as_ptr() as usize - rest.as_ptr() as usize);
        return word(text, begin, place).min(line);
    }
    word(text, start, place).min(line)
}

/// Whether the key stands first on its line, behind the mark of a list or the name of the container perhaps.
fn is_own_line(text: &str, place: &Place) -> bool {
    let from = run_back(text, place.key.start, NEAR, |b| b != b'\n' && b.is_ascii());
    let before = text[from..place.key.start].trim_end_matches(['"', '\'']);
    let before =
        before.rsplit_once("| ").map_or(before, |(name, rest)| if name.trim().contains(' ') { before } else { rest });
    before.trim_start_matches(['+', '-', '~', ' ', '\t', '>', '*']).is_empty()
}

/// The end of a value in YAML that is not quoted: of its line, or of its block.
fn own_line_end(text: &str, start: usize) -> usize {
    let line = line_end(text, start);
    let rest = &text[start..line];
    let block = rest.trim_end().trim_end_matches(['-', '+']);
    if matches!(block, "|" | ">") {
        return block_end(text, start);
    }
    let comment = rest.find(" #").unwrap_or(rest.len());
    // A header in a quoted argument ends with the quote; so does JSON that lost its line breaks.
    let quote = rest.find(['"', '\'']).filter(|i| {
        let after = rest[i + 1..].trim_start();
        after.is_empty() || after.starts_with([',', '}', ']', ')', '\\', '-']) || rest[i + 1..].starts_with(' ')
    });
    start + rest[..comment.min(quote.unwrap_or(comment))].trim_end().trim_end_matches('\\').len()
}

/// The end of the word at `start`.
fn word(text: &str, start: usize, place: &Place) -> usize {
    let query = matches!(before(text, place.key.start), b'?' | b'&');
    let enclosing = before(text, place.key.start);
    // Azure's signature is a query string itself.
    let signature = text[place.key.clone()].eq_ignore_ascii_case("sharedaccesssignature");
    let rest = &text[start..];
    // A reference to a variable ends with its brace, not before it; so does a template.
    let inner = ["${{", "{{", "${", "$("].iter().find(|open| rest.starts_with(**open)).and_then(|open| {
        let close = match *open {
            "${{" | "{{" => "}}",
            "${" => "}",
            _ => ")",
        };
        let end = rest.get(..rest.len().min(256)).unwrap_or(rest).find(close)? + close.len();
        (!rest[..end].contains('\n')).then_some(end)
    });
    if let Some(close) = match rest.as_bytes().first() {
        Some(b'<') => Some(b'>'),
        Some(b'(') => Some(b')'),
        _ => None,
    } && let Some(end) = rest.bytes().take(48).position(|b| b == close)
        && is_nothing(&rest[..=end])
    {
        return start + end + 1;
    }
    let mut end = rest.len();
    for (i, c) in rest.char_indices().skip_while(|(i, _)| inner.is_some_and(|inner| *i < inner)) {
        // The placeholder itself ends with a bracket.
        if rest[..i + c.len_utf8()].ends_with(REDACTED) {
            continue;
        }
        let after = &rest[i + c.len_utf8()..];
        let stops = match c {
            '&' => query || (stops_here(after) && !signature) || after.starts_with('&'),
            '"' | '\'' | '`' => enclosing == c as u8 || ends_here(after),
            '<' => after.starts_with(['/', '!', '?']) || after.starts_with("br") || ends_here(after),
            '>' => ends_here(after) || after.starts_with('<'),
            ',' | ';' | ')' | ']' | '}' => stops_here(after),
            '|' => after.is_empty() || after.starts_with(' '),
            '#' => query,
            '\x1b' => true,
            // A line break in a string that is escaped, which no password has at its end.
            '\\' => {
                after.starts_with(['"', '\''])
                    || after.starts_with('n') && ends_line(&after[1..])
                    || after.starts_with("r\\n")
            }
            _ => c.is_whitespace(),
        };
        if stops {
            end = i;
            break;
        }
    }
    // An escaped quote ends it before its backslashes.
    start + rest[..end].trim_end_matches('\\').len()
}

/// Whether `\n` before `rest` is a line break and no part of a value: a key follows, or nothing.
fn ends_line(rest: &str) -> bool {
    let key = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | ' '));
    rest.is_empty() || rest.starts_with(['"', '\'', '\\', ' ']) || (key.len() < rest.len() && key.starts_with(['=', ':']))
}

/// Whether a quote before `rest` is the end of something.
fn ends_here(rest: &str) -> bool {
    rest.chars().next().is_none_or(|c| {
        c.is_whitespace() || matches!(c, ',' | ';' | ')' | ']' | '}' | ':' | '\\' | '"' | '\'' | '>' | '/' | '.')
    })
}

/// Whether punctuation before `rest` parts values and is no part of one.
fn stops_here(rest: &str) -> bool {
    let rest = rest.trim_start_matches([',', ';', ')', ']', '}']);
    let key = &rest[run(rest, 0, 64, |b| is_word(b) || matches!(b, b'.' | b'-' | b' '))..];
    rest.chars().next().is_none_or(|c| c.is_whitespace() || matches!(c, '"' | '\'' | '\\' | '\x1b' | '`' | '<' | '>'))
        || (key.len() < rest.len() && key.starts_with(['=', ':']))
}

/// The end of a quoted string whose quotes are escaped `escapes` times; the end of the line when there is no such quote near.
pub(super) fn closing(text: &str, inside: usize, escapes: usize, quote: char) -> usize {
    let mut backslashes = 0;
    let mut lines = 0;
    for (i, c) in text[inside..].char_indices().take(STRING_MOST) {
        match c {
            '\\' => backslashes += 1,
            c if c == quote
                && (backslashes == escapes || (quote == '\'' && escapes == 0) || (escapes == 0 && backslashes % 2 == 0)) =>
            {
                // Text that goes on after a quote on another line: the quote opens the next string, and this one lost its end.
                if lines > 0 && !ends_here(&text[inside + i + 1..]) {
                    break;
                }
                return inside + i - escapes.min(backslashes);
            }
            '\n' => {
                lines += 1;
                backslashes = 0;
                if lines > LINES_MOST {
                    break;
                }
            }
            _ => backslashes = 0,
        }
    }
    inside + text[inside..line_end(text, inside)].trim_end().len()
}

/// The end of a YAML block scalar: the next line that is indented no deeper than the one at `start`.
fn block_end(text: &str, start: usize) -> usize {
    let indent = |line: &str| line.len() - line.trim_start_matches([' ', '-']).len();
    let line = text[..start].rfind('\n').map_or(0, |i| i + 1);
    let own = indent(&text[line..start]);
    let mut end = start;
    for (i, line) in text[start..].split_inclusive('\n').enumerate() {
        if i > 0 && !line.trim().is_empty() && indent(line) <= own {
            break;
        }
        end += line.len();
    }
    start + text[start..end].trim_end().len()
}

/// The end of the line that `at` is in.
pub(super) fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |i| at + i)
}

/// Whether a word after a key and a space only is its value: `requirepass x`, `password x` in a .netrc, SQL's `PASSWORD 'x'`.
pub(super) fn bare(text: &str, key: usize, value: usize) -> bool {
    let name = text[key..value].trim_end();
    let lower = name.to_ascii_lowercase();
    let shouted = !name.bytes().any(|b| b.is_ascii_lowercase());
    let known = ["requirepass", "masterauth", "password", "passwd", "pwd", "passphrase", "secret", "token"];
    if !shouted && !known.contains(&lower.as_str()) {
        return false;
    }
    let line = &text[value..line_end(text, value)];
    let alone = line.trim_end().bytes().all(|b| !b.is_ascii_whitespace());
    let word = line.split_ascii_whitespace().next().unwrap_or_default();
    let from = run_back(text, key, NEAR, |b| b != b'\n' && b.is_ascii());
    let head = &text[from..key];
    let first = head.trim_matches([' ', '\t', '>', '"', '\'']).is_empty() || head.ends_with("| ");
    let quoted = line.starts_with('\'') || (line.starts_with('"') && !line.starts_with("\" "));
    // fish, csh and Dockerfiles part a variable from its value by a space.
    let assigning = ["set -gx ", "set -x ", "set -Ux ", "setenv ", "ENV "].iter().any(|word| head.ends_with(word));
    match lower.as_str() {
        _ if assigning => !line.is_empty(),
        "requirepass" | "masterauth" => !line.starts_with(['-', '=']) && (quoted || alone || is_odd(word)),
        "password" | "passwd" | "pwd" | "passphrase" if quoted && line.len() > 2 => true,
        "password" | "passwd" => {
            let login = head.trim_end().rsplit(' ').nth(1).is_some_and(|w| w == "login");
            login
                || (first && alone && !line.is_empty())
                || (word.len() >= 8 && is_odd(word) && !word.contains(['(', '=', '/', ':']))
        }
        "secret" | "token" => is_chance(word) || (first && alone && is_odd(line) && name == lower),
        _ => false,
    }
}
