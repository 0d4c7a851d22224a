//! YAML as kubectl writes it: keys in natural order, lists as far in as the key they belong to, texts of several lines as
//! blocks, quotes only where the text would be taken for something else (by YAML 1.1 too: `yes`, `012`, `1:30`).
//!
//! Two differences, both on purpose: long texts are not folded, so that a value can be found with `grep`; and the key
//! `<<` is quoted, as without quotes it is another thing.

use std::io::{self, Write};
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value};

use super::natural;
use crate::cli::jsonpath::spelling;

/// The longest key, in bytes, that stands on the line of its value; a longer one is marked with `?`. libyaml's bound.
const LONGEST_SIMPLE_KEY: usize = 128;

/// What one level is indented by.
const INDENT: usize = 2;

/// Words that YAML 1.1 takes for a boolean, nothing, or no number.
const TAKEN: [&str; 38] = [
    "", "~", "null", "Null", "NULL", "y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON", "n", "N",
    "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF", ".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF",
    "+.inf", "+.Inf", "-.inf", "-.Inf", "-.INF",
];

/// Writes a document.
///
/// # Errors
/// What the output says.
pub fn document(out: &mut dyn Write, value: &Value) -> io::Result<()> {
    let mut text = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => mapping(&mut text, map, 0, false),
        Value::Array(items) if !items.is_empty() => sequence(&mut text, items, 0, false),
        other => {
            scalar(&mut text, other, INDENT);
            text.push('\n');
        }
    }
    out.write_all(text.as_bytes())
}

/// Adds a value to `text` as an element of a list that is not indented.
pub fn element(text: &mut String, value: &Value) {
    sequence(text, std::slice::from_ref(value), 0, false);
}

fn mapping(text: &mut String, map: &Map<String, Value>, indent: usize, begun: bool) {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by(|(a, _), (b, _)| natural::compare(a, b));
    for (i, (name, value)) in entries.into_iter().enumerate() {
        margin(text, indent, begun && i == 0);
        let simple = name.len() <= LONGEST_SIMPLE_KEY && !name.contains(is_break);
        if simple {
            key(text, name);
            text.push(':');
        } else {
            text.push_str("? ");
            key(text, name);
            text.push('\n');
            margin(text, indent, false);
            text.push(':');
        }
        match value {
            Value::Object(map) if !map.is_empty() && simple => {
                text.push('\n');
                mapping(text, map, indent + INDENT, false);
            }
            Value::Object(map) if !map.is_empty() => {
                text.push(' ');
                mapping(text, map, indent + INDENT, true);
            }
            Value::Array(items) if !items.is_empty() && simple => {
                text.push('\n');
                sequence(text, items, indent, false);
            }
            Value::Array(items) if !items.is_empty() => {
                text.push(' ');
                sequence(text, items, indent + INDENT, true);
            }
            other => {
                text.push(' ');
                scalar(text, other, indent + INDENT);
                text.push('\n');
            }
        }
    }
}

fn sequence(text: &mut String, items: &[Value], indent: usize, begun: bool) {
    for (i, item) in items.iter().enumerate() {
        margin(text, indent, begun && i == 0);
        text.push_str("- ");
        match item {
            Value::Object(map) if !map.is_empty() => mapping(text, map, indent + INDENT, true),
            Value::Array(items) if !items.is_empty() => sequence(text, items, indent + INDENT, true),
            other => {
                scalar(text, other, indent + INDENT);
                text.push('\n');
            }
        }
    }
}

/// The blanks before a line, unless it was begun by what it stands in.
fn margin(text: &mut String, indent: usize, begun: bool) {
    if !begun {
        text.extend(std::iter::repeat_n(' ', indent));
    }
}

fn key(text: &mut String, name: &str) {
    match style(name) {
        Style::Plain if name == "<<" => quoted(text, name),
        Style::Plain => text.push_str(name),
        Style::Single => single_quoted(text, name),
        Style::Block | Style::Double => quoted(text, name),
    }
}

/// What is not a list or map with something in it. A block stands `indent` blanks in.
fn scalar(text: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(_) => text.push_str(&value.to_string()),
        Value::Number(number) => text.push_str(&spelling::number(number)),
        Value::Array(_) => text.push_str("[]"),
        Value::Object(_) => text.push_str("{}"),
        Value::String(string) => match style(string) {
            Style::Plain => text.push_str(string),
            Style::Single => single_quoted(text, string),
            Style::Double => quoted(text, string),
            Style::Block => block(text, string, indent),
        },
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Plain,
    Single,
    Double,
    Block,
}

/// The least that keeps a text what it is.
fn style(text: &str) -> Style {
    let special = text.chars().any(|c| !is_plain_character(c)) || text.contains(" \n");
    if text.contains('\n') {
        return if special || text.ends_with(' ') { Style::Double } else { Style::Block };
    }
    if special || is_taken(text) {
        return Style::Double;
    }
    if needs_quotes(text) { Style::Single } else { Style::Plain }
}

/// Characters that need no escape. libyaml escapes what is beyond the basic plane.
fn is_plain_character(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
        && !is_wide_break(c)
}

fn is_wide_break(c: char) -> bool {
    matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r') || is_wide_break(c)
}

/// Whether a reader would take the text, without quotes, for something that is no text.
fn is_taken(text: &str) -> bool {
    /// Numbers, and what only looks like one: `1:30` counts in sixties.
    static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
        known(concat!(
            r"^(?:[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?",
            r"|[-+]?0[xX][0-9a-fA-F_]+|[-+]?0[oO]?[0-7_]+|[-+]?0[bB][01_]+",
            r"|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?)$"
        ))
    });
    static TIME: LazyLock<Regex> = LazyLock::new(|| {
        known(concat!(
            r"^[0-9]{4}-(?:0?[1-9]|1[0-2])-(?:0?[1-9]|[12][0-9]|3[01])",
            r"(?:(?:[Tt]| +)[0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(?:\.[0-9]*)?(?: *(?:Z|[-+][0-9]{2}:?[0-9]{2}))?)?$"
        ))
    });
    match text.bytes().next() {
        Some(b'0'..=b'9' | b'+' | b'-' | b'.') => {
            TAKEN.contains(&text) || NUMBER.is_match(text) || (text.contains('-') && TIME.is_match(text))
        }
        _ => TAKEN.contains(&text),
    }
}

fn known(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is a constant that a test compiles")
}

/// Whether a text of one line means something to YAML where it stands.
fn needs_quotes(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return true };
    let blank_at = |i: usize| bytes.get(i).is_none_or(|b| *b == b' ');
    *first == b' '
        || *last == b' '
        || text.starts_with("---")
        || text.starts_with("...")
        || b"#,[]{}&*!|>'\"%@`".contains(first)
        || (b"-?:".contains(first) && blank_at(1))
        || bytes.iter().enumerate().any(|(i, b)| *b == b':' && blank_at(i + 1))
        || text.contains(" #")
}

fn single_quoted(text: &mut String, string: &str) {
    text.push('\'');
    text.push_str(&string.replace('\'', "''"));
    text.push('\'');
}

fn quoted(text: &mut String, string: &str) {
    text.push('"');
    for c in string.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            '\r' => text.push_str("\\r"),
            '\0' => text.push_str("\\0"),
            '\x07' => text.push_str("\\a"),
            '\x08' => text.push_str("\\b"),
            '\x0b' => text.push_str("\\v"),
            '\x0c' => text.push_str("\\f"),
            '\x1b' => text.push_str("\\e"),
            '\u{85}' => text.push_str("\\N"),
            '\u{2028}' => text.push_str("\\L"),
            '\u{2029}' => text.push_str("\\P"),
            c if is_plain_character(c) => text.push(c),
            c => match u32::from(c) {
                code @ 0..=0xff => text.push_str(&format!("\\x{code:02X}")),
                code @ 0x100..=0xffff => text.push_str(&format!("\\u{code:04X}")),
                code => text.push_str(&format!("\\U{code:08X}")),
            },
        }
    }
    text.push('"');
}

/// A text of several lines. How it ends is in its first line: `-` without a line break, `+` with more than one.
fn block(text: &mut String, string: &str, indent: usize) {
    text.push('|');
    if string.starts_with([' ', '\n']) {
        text.push_str(&INDENT.to_string());
    }
    if !string.ends_with('\n') {
        text.push('-');
    } else if string.ends_with("\n\n") || string == "\n" {
        text.push('+');
    }
    for line in string.strip_suffix('\n').unwrap_or(string).split('\n') {
        text.push('\n');
        if !line.is_empty() {
            margin(text, indent, false);
            text.push_str(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::print::any::any_value;
    use proptest::prelude::*;
    use serde_json::json;

    fn shown(value: &Value) -> String {
        let mut out = Vec::new();
        document(&mut out, value).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// What kubectl 1.32 prints (`kubectl patch --local -o yaml`), but for folding.
    #[test]
    fn every_text_is_quoted_as_kubectl_quotes_it() {
        for (text, expected) in [
            ("", r#""""#),
            ("a", "a"),
            ("yes", r#""yes""#),
            ("N", r#""N""#),
            ("null", r#""null""#),
            ("~", r#""~""#),
            ("~a", "~a"),
            ("012", r#""012""#),
            ("08", r#""08""#),
            ("1_000", r#""1_000""#),
            ("0x1f", r#""0x1f""#),
            ("0o17", r#""0o17""#),
            ("0xg", "0xg"),
            (".5", r#"".5""#),
            ("1.", r#""1.""#),
            ("1e", "1e"),
            ("12e03", r#""12e03""#),
            ("+1", r#""+1""#),
            ("+a", "+a"),
            ("-", "'-'"),
            ("-x", "-x"),
            ("- x", "'- x'"),
            ("-.INF", r#""-.INF""#),
            ("a: b", "'a: b'"),
            ("a:b", "a:b"),
            ("a:", "'a:'"),
            (":a", ":a"),
            ("::", "'::'"),
            ("a #b", "'a #b'"),
            ("a#b", "a#b"),
            ("#a", "'#a'"),
            ("2026-01-01", r#""2026-01-01""#),
            ("2026-01-01T00:00:00Z", r#""2026-01-01T00:00:00Z""#),
            ("2026-1-1 10:00:00", r#""2026-1-1 10:00:00""#),
            ("2026-13-01", "2026-13-01"),
            ("1:30", r#""1:30""#),
            ("8080:80", "8080:80"),
            ("10.0.0.1", "10.0.0.1"),
            ("30s", "30s"),
            ("40%", "40%"),
            ("%x", "'%x'"),
            ("?a", "?a"),
            ("?", "'?'"),
            ("it's", "it's"),
            ("'x", "'''x'"),
            ("a,b", "a,b"),
            (",a", "',a'"),
            ("]", "']'"),
            ("x ", "'x '"),
            ("...a", "'...a'"),
            ("a\tb", r#""a\tb""#),
            ("a\rb", r#""a\rb""#),
            ("\u{1}", r#""\x01""#),
            ("\u{1b}[31m", r#""\e[31m""#),
            ("é", "é"),
            ("日本", "日本"),
            ("😀", r#""\U0001F600""#),
            ("a\\b", "a\\b"),
            ("a\nb", "|-\n  a\n  b"),
            ("a\nb\n", "|\n  a\n  b"),
            ("a\n\nb\n\n", "|+\n  a\n\n  b\n"),
            ("\na", "|2-\n\n  a"),
            (" a\nb\n", "|2\n   a\n  b"),
            ("a \nb", r#""a \nb""#),
            ("a\nb ", r#""a\nb ""#),
            ("a\n\tb\n", r#""a\n\tb\n""#),
            ("\n", "|2+\n"),
            ("\n\n", "|2+\n\n"),
        ] {
            assert_eq!(shown(&json!({"k": text})), format!("k: {expected}\n"), "{text:?}");
        }
    }

    #[test]
    fn lists_and_maps_nest_as_kubectls_do() {
        let value = json!({
            "apiVersion": "wicap.dev/v1alpha1", "empty": {}, "none": [], "null": null, "n10": 1, "n9": 1.0,
            "nest": [[1, 2], [], {}, {"a": [{"b": 1, "c": []}]}, [[["x"]], {"m": "a\nb\n"}]],
        });
        let expected = "apiVersion: wicap.dev/v1alpha1
empty: {}
n9: 1
n10: 1
nest:
- - 1
  - 2
- []
- {}
- a:
  - b: 1
    c: []
- - - - x
  - m: |
      a
      b
none: []
\"null\": null
";
        assert_eq!(shown(&value), expected);
    }

    proptest! {
        #[test]
        fn whatever_is_written_reads_back_as_it_was(value in any_value()) {
            let text = shown(&value);
            let back: Value = serde_saphyr::from_str(&text).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
            prop_assert_eq!(&back, &value, "{}", text);
            // Nothing but line breaks steers a terminal.
            prop_assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{}", text.escape_debug());
        }
    }
}
