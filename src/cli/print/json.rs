//! JSON as kubectl writes it: four blanks a level, keys sorted, `<`, `>` and `&` escaped, whole numbers without a point.
//!
//! Of control characters kubectl lets DEL and the C1 set through; here they are escaped too, as a terminal obeys some of
//! them.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{CharEscape, Formatter, Serializer};

/// What one level is indented by.
const INDENT: &[u8] = b"    ";

/// Writes a document, indented, with a line break at the end.
///
/// # Errors
/// What the output says.
pub fn pretty(out: &mut dyn Write, value: &Value) -> io::Result<()> {
    let mut text = Vec::new();
    at_depth(&mut text, value, 0)?;
    text.push(b'\n');
    out.write_all(&text)
}

/// Adds a value to `text` as it stands `depth` levels inside a document. Its first line is not indented and its last not
/// ended.
///
/// # Errors
/// Never; writing to memory cannot fail.
pub fn at_depth(text: &mut Vec<u8>, value: &Value, depth: usize) -> io::Result<()> {
    let mut serializer = Serializer::with_formatter(text, Kubectl { depth: Some(depth), filled: false });
    value.serialize(&mut serializer).map_err(io::Error::other)
}

/// A value in one line.
#[must_use]
pub fn line(value: &Value) -> String {
    let mut text = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut text, Kubectl { depth: None, filled: false });
    match value.serialize(&mut serializer) {
        Ok(()) => String::from_utf8_lossy(&text).into_owned(),
        // It cannot happen; what serde_json says by itself is close enough.
        Err(_) => value.to_string(),
    }
}

struct Kubectl {
    /// The level that is written; nothing when all is one line.
    depth: Option<usize>,
    /// Whether the list or map that was ended last has elements.
    filled: bool,
}

impl Kubectl {
    fn open<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth = self.depth.map(|depth| depth + 1);
        self.filled = false;
        writer.write_all(bracket)
    }

    fn close<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth = self.depth.map(|depth| depth.saturating_sub(1));
        if self.filled {
            self.new_line(writer)?;
        }
        writer.write_all(bracket)
    }

    fn element<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if !first {
            writer.write_all(b",")?;
        }
        self.new_line(writer)
    }

    fn new_line<W: ?Sized + Write>(&self, writer: &mut W) -> io::Result<()> {
        let Some(depth) = self.depth else { return Ok(()) };
        writer.write_all(b"\n")?;
        (0..depth).try_for_each(|_| writer.write_all(INDENT))
    }
}

impl Formatter for Kubectl {
    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.element(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.element(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(if self.depth.is_some() { b": " } else { b":" })
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }

    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(number(value).as_bytes())
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_escaped(*c)) {
            writer.write_all(&rest.as_bytes()[..at])?;
            write!(writer, "\\u{:04x}", u32::from(c))?;
            rest = &rest[at + c.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        let byte = match escape {
            CharEscape::Quote => return writer.write_all(b"\\\""),
            CharEscape::ReverseSolidus => return writer.write_all(b"\\\\"),
            CharEscape::Solidus => return writer.write_all(b"/"),
            CharEscape::Backspace => return writer.write_all(b"\\b"),
            CharEscape::FormFeed => return writer.write_all(b"\\f"),
            CharEscape::LineFeed => return writer.write_all(b"\\n"),
            CharEscape::CarriageReturn => return writer.write_all(b"\\r"),
            CharEscape::Tab => return writer.write_all(b"\\t"),
            CharEscape::AsciiControl(byte) => byte,
        };
        write!(writer, "\\u{byte:04x}")
    }
}

/// What Go's encoder escapes beyond what JSON demands, and what a terminal may obey.
fn is_escaped(c: char) -> bool {
    matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}') || c.is_control()
}

/// A fraction as Go's encoder writes it: no point in whole numbers, an exponent below 10⁻⁶ and from 10²¹ on.
fn number(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        let text = format!("{value:e}");
        return if text.contains("e-") { text } else { text.replace('e', "e+") };
    }
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::print::any::any_value;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_document_has_four_blanks_and_sorted_keys() {
        let mut out = Vec::new();
        pretty(&mut out, &json!({"b": [1, {}], "a": {}, "c": []})).unwrap();
        let expected = "{\n    \"a\": {},\n    \"b\": [\n        1,\n        {}\n    ],\n    \"c\": []\n}\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_line_is_spelt_as_kubectl_spells_it() {
        let value = json!({
            "h": "<a&b>", "c": "\u{1b}[31m\u{7f}\u{9b}\u{2028}\n\u{8}", "f": [5.0, 1.5, 1e21, 1e-7, 0.0], "q": "\"\\/é😀"});
        let expected = concat!(
            r#"{"c":"\u001b[31m\u007f\u009b\u2028\n\b","f":[5,1.5,1e+21,1e-7,0],"h":"\u003ca\u0026b\u003e","#,
            r#""q":"\"\\/é😀"}"#
        );
        assert_eq!(line(&value), expected);
    }

    proptest! {
        #[test]
        fn whatever_is_written_reads_back_as_it_was(value in any_value()) {
            let mut out = Vec::new();
            pretty(&mut out, &value).unwrap();
            for text in [String::from_utf8(out).unwrap(), line(&value)] {
                prop_assert_eq!(&serde_json::from_str::<Value>(&text).unwrap(), &value, "{}", text);
                prop_assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{}", text.escape_debug());
            }
        }
    }
}
