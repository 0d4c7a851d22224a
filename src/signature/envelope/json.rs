//! JSON objects, read in one pass without building a tree.
//!
//! A log line is a flat object most of the time. So the members are handed out one by one, as slices of the line, and a
//! nested value is checked but left as text. A text that is no JSON object gives nothing.

use std::borrow::Cow;

use memchr::memchr2;

/// How deep arrays and objects may nest. A log line has no use for more, and the checker calls itself once per level.
const DEEPEST: usize = 64;

/// A value, as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// A string, unescaped.
    Text(Cow<'a, str>),
    /// A number.
    Number(&'a str),
    /// `true`, `false` or `null`.
    Word(&'a str),
    /// An object, braces included.
    Object(&'a str),
    /// An array, brackets included.
    Array(&'a str),
}

/// Hands the members of the object that `text` is to `member`, in order. Gives false if `text` is not one whole object;
/// the members before the fault have been handed out by then.
pub(crate) fn members<'a>(text: &'a str, mut member: impl FnMut(Cow<'a, str>, Value<'a>)) -> bool {
    let mut reader = Reader { text, at: 0 };
    reader.object(&mut member).is_some() && {
        reader.space();
        reader.at == text.len()
    }
}

/// A place in the text.
struct Reader<'a> {
    /// The whole text.
    text: &'a str,
    /// How many bytes are read.
    at: usize,
}

impl<'a> Reader<'a> {
    /// The next byte, 0 at the end.
    fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    /// Steps over white space.
    fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
    }

    /// Steps over white space and then over `byte`.
    fn expect(&mut self, byte: u8) -> Option<()> {
        self.space();
        (self.peek() == byte).then(|| self.at += 1)
    }

    /// Reads an object and hands out its members.
    fn object(&mut self, member: &mut impl FnMut(Cow<'a, str>, Value<'a>)) -> Option<()> {
        self.expect(b'{')?;
        self.space();
        if self.peek() == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            self.space();
            let key = self.string()?;
            self.expect(b':')?;
            let value = self.value()?;
            member(key, value);
            self.space();
            self.at += 1;
            match self.text.as_bytes().get(self.at - 1)? {
                b',' => {}
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    /// Reads a value.
    fn value(&mut self) -> Option<Value<'a>> {
        self.space();
        let start = self.at;
        Some(match self.peek() {
            b'"' => Value::Text(self.string()?),
            b'{' => {
                self.skip(0)?;
                Value::Object(&self.text[start..self.at])
            }
            b'[' => {
                self.skip(0)?;
                Value::Array(&self.text[start..self.at])
            }
            b't' | b'f' | b'n' => {
                self.skip(0)?;
                Value::Word(&self.text[start..self.at])
            }
            _ => {
                self.number()?;
                Value::Number(&self.text[start..self.at])
            }
        })
    }

    /// Steps over a value.
    fn skip(&mut self, depth: usize) -> Option<()> {
        if depth == DEEPEST {
            return None;
        }
        self.space();
        match self.peek() {
            b'"' => self.raw_string().map(|_| ()),
            open @ (b'{' | b'[') => {
                let close = if open == b'{' { b'}' } else { b']' };
                self.at += 1;
                self.space();
                if self.peek() == close {
                    self.at += 1;
                    return Some(());
                }
                loop {
                    if open == b'{' {
                        self.space();
                        self.raw_string()?;
                        self.expect(b':')?;
                    }
                    self.skip(depth + 1)?;
                    self.space();
                    self.at += 1;
                    match *self.text.as_bytes().get(self.at - 1)? {
                        b',' => {}
                        end if end == close => return Some(()),
                        _ => return None,
                    }
                }
            }
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            _ => self.number(),
        }
    }

    /// Steps over a fixed word.
    fn literal(&mut self, word: &str) -> Option<()> {
        self.text[self.at..].starts_with(word).then(|| self.at += word.len())
    }

    /// Steps over digits, at least one.
    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    /// Steps over a number.
    fn number(&mut self) -> Option<()> {
        if self.peek() == b'-' {
            self.at += 1;
        }
        self.digits()?;
        if self.peek() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            if matches!(self.peek(), b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    /// Steps over a string and gives what is between the quotes, and whether it has escapes.
    fn raw_string(&mut self) -> Option<(&'a str, bool)> {
        if self.peek() != b'"' {
            return None;
        }
        let start = self.at + 1;
        let bytes = self.text.as_bytes();
        let mut at = start;
        let mut escaped = false;
        loop {
            at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
            if bytes[at] == b'"' {
                self.at = at + 1;
                return Some((&self.text[start..at], escaped));
            }
            escaped = true;
            at += 2;
        }
    }

    /// Reads a string.
    fn string(&mut self) -> Option<Cow<'a, str>> {
        let (raw, escaped) = self.raw_string()?;
        if escaped { unescape(raw).map(Cow::Owned) } else { Some(Cow::Borrowed(raw)) }
    }
}

/// The text that `raw` stands for. Half a surrogate pair becomes the replacement character. Gives nothing if an escape
/// is none of JSON's.
pub(crate) fn unescape(raw: &str) -> Option<String> {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        let bytes = rest.as_bytes();
        let mut taken = at + 2;
        out.push(match bytes.get(at + 1)? {
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'u' => {
                let first = unit(bytes, at + 2)?;
                taken = at + 6;
                match char::from_u32(first) {
                    Some(character) => character,
                    None => match second(bytes, taken) {
                        Some(second) if first < 0xdc00 => {
                            taken += 6;
                            let scalar = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                            char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER)
                        }
                        _ => char::REPLACEMENT_CHARACTER,
                    },
                }
            }
            _ => return None,
        });
        rest = &rest[taken..];
    }
    out.push_str(rest);
    Some(out)
}

/// The number that the four hexadecimal digits at `at` make.
fn unit(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.iter().try_fold(0, |sum, digit| Some(sum * 16 + char::from(*digit).to_digit(16)?))
}

/// The second half of a surrogate pair, if its escape is at `at`.
fn second(bytes: &[u8], at: usize) -> Option<u32> {
    let escape = bytes.get(at..at + 2)? == b"\\u";
    unit(bytes, at + 2).filter(|unit| escape && (0xdc00..0xe000).contains(unit))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::{Value, members, unescape};

    /// The members of an object, or nothing if the text is none.
    fn read(text: &str) -> Option<Vec<(String, String)>> {
        let mut all = Vec::new();
        members(text, |key, value| {
            let value = match value {
                Value::Text(text) => text.into_owned(),
                Value::Number(raw) | Value::Word(raw) | Value::Object(raw) | Value::Array(raw) => raw.to_owned(),
            };
            all.push((key.into_owned(), value));
        })
        .then_some(all)
    }

    #[test]
    fn members_come_in_order_and_nested_values_as_text() {
        let read = read(r#" { "a" : "x\ny" , "b":-1.5e3,"c":null,"d":{"e":[1,"}"]}} "#).unwrap();
        let read: Vec<(&str, &str)> = read.iter().map(|(key, value)| (&**key, &**value)).collect();
        assert_eq!(read, [("a", "x\ny"), ("b", "-1.5e3"), ("c", "null"), ("d", r#"{"e":[1,"}"]}"#)]);
    }

    #[test]
    fn what_is_broken_is_no_object() {
        for text in [
            "",
            "{",
            "[1]",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a":1"#,
            r#"{"a":1} x"#,
            r#"{"a":"x}"#,
            r#"{"a":"\q"}"#,
            r#"{"a":{]}"#,
            r#"{"a":nul}"#,
            r#"{"a":"\"#,
            "{'a':1}",
            "{a}",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(read(&format!("{{\"a\":{}", "[".repeat(100_000))), None);
    }

    #[test]
    fn a_string_without_escapes_is_borrowed() {
        members(r#"{"a":"b"}"#, |key, value| {
            assert!(matches!((key, value), (Cow::Borrowed("a"), Value::Text(Cow::Borrowed("b")))));
        });
    }

    #[test]
    fn escapes_stand_for_characters() {
        for (raw, text) in [
            (r"a\u00fcb", Some("aüb")),
            (r"\ud83d\ude00!", Some("😀!")),
            (r"\ud83dx", Some("\u{fffd}x")),
            (r"\ude00", Some("\u{fffd}")),
            (r"\ud83d\u0041", Some("\u{fffd}A")),
            (r"\u12", None),
            (r"\", None),
        ] {
            assert_eq!(unescape(raw).as_deref(), text, "{raw}");
        }
    }

    proptest! {
        #[test]
        fn it_reads_what_serde_json_writes(map in proptest::collection::btree_map(".{0,8}", ".{0,16}", 0..6)) {
            let text = serde_json::to_string(&map).unwrap();
            prop_assert_eq!(read(&text), Some(map.into_iter().collect()));
        }

        #[test]
        fn it_takes_nothing_flat_that_serde_json_refuses(
            text in r#"\{("a"|:|1|,|\[|\]|\{|\}|null| |\\|-|\.|e){0,12}\}"#,
        ) {
            if read(&text).is_some() {
                // Leading zeros are the one thing that is let pass.
                let strict = text.replace("11", "1");
                prop_assert!(serde_json::from_str::<serde_json::Value>(&strict).is_ok(), "{}", text);
            }
        }
    }
}
