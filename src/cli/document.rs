//! Text to documents: JSON (also several, one after another) and YAML (also several), told apart by their content.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Text that is neither JSON nor YAML.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: found {message}, expected well-formed JSON or YAML")]
pub struct BadText {
    /// Counted from 1.
    pub line: u64,
    /// Counted from 1.
    pub column: u64,
    /// What the parser said, in one line.
    pub message: String,
}

/// Every document of a text, in order. Empty ones do not count.
///
/// # Errors
/// Where the parser stopped and why. A key that stands twice in one map is an error too: which one was meant cannot be known.
pub fn parse(text: &str) -> Result<Vec<Value>, BadText> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if is_json(text) { json(text) } else { yaml(text) }
}

/// A brace and a quote begin JSON, `{a: b}` is YAML. A line of dashes cannot stand in JSON, whose texts have no line breaks.
///
/// JSON is not left to the YAML parser, which is lenient: it reads `{"a": }` as null.
fn is_json(text: &str) -> bool {
    let inside = text.trim_start().strip_prefix('{').map(str::trim_start);
    inside.is_some_and(|rest| rest.starts_with(['"', '}'])) && !text.lines().any(|line| line.starts_with("---"))
}

fn json(text: &str) -> Result<Vec<Value>, BadText> {
    let documents = serde_json::Deserializer::from_str(text).into_iter::<Unique>();
    documents.map(|document| document.map(|d| d.0).map_err(|e| bad_json(&e))).collect()
}

fn bad_json(error: &serde_json::Error) -> BadText {
    let message = error.to_string();
    // serde_json ends its message with the place, which is told beside it.
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(head, _)| head).to_owned();
    BadText { line: error.line() as u64, column: error.column() as u64, message }
}

/// How much a YAML text may hold: whatever fits into a file of the size that is read. Depth and aliases, which make much of little,
/// are bounded by the parser's own limits and a stricter one.
fn limits() -> serde_saphyr::Options {
    serde_saphyr::options! {
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 200_000 },
        budget: serde_saphyr::budget! { max_documents: 10_000_000, max_nodes: 20_000_000, max_events: 40_000_000 },
    }
}

fn yaml(text: &str) -> Result<Vec<Value>, BadText> {
    let documents: Vec<Unique> = serde_saphyr::from_multiple_with_options(text, limits()).map_err(|e| {
        let place = e.location();
        let message = e.without_snippet().render();
        let message: String = message.split_whitespace().collect::<Vec<_>>().join(" ");
        let (line, column) = place.map_or((1, 1), |p| (p.line(), p.column()));
        // The parser begins or ends some of its messages with the place.
        let message = message.replace(&format!(" at line {line}, column {column}"), "");
        let message = message.strip_prefix(&format!("line {line} column {column}: ")).unwrap_or(&message).to_owned();
        // Its advice is for programmers.
        let message = message.split(", set DuplicateKeyPolicy").next().unwrap_or(&message).to_owned();
        BadText { line, column, message }
    })?;
    Ok(documents.into_iter().map(|d| d.0).collect())
}

/// A JSON value in which no map has a key twice. `serde_json::Value` alone would keep the last one and say nothing.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue).map(Self)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number that is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(Unique(item)) = items.next_element()? {
            all.push(item);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!("the key {key:?} stands twice")));
            }
            map.insert(key, entries.next_value::<Unique>()?.0);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_content_says_what_it_is() {
        for (text, expected) in [
            ("{\"a\": 1}", vec![json!({"a": 1})]),
            ("{\"a\": 1}\n{\"b\": [null, -2, 1.5]}{}", vec![json!({"a": 1}), json!({"b": [null, -2, 1.5]}), json!({})]),
            ("  {a: b}", vec![json!({"a": "b"})]),
            ("a: 1\n---\nb: yes please\n", vec![json!({"a": 1}), json!({"b": "yes please"})]),
            ("---\n---\n# nothing\n---\na: '1'\n---\n", vec![json!({"a": "1"})]),
            ("{\"a\": 1}\n---\n{\"b\": 2}\n", vec![json!({"a": 1}), json!({"b": 2})]),
            ("---\n{\"a\": 1}\n---\n{\"b\": 2}\n", vec![json!({"a": 1}), json!({"b": 2})]),
            ("\u{feff}{\"a\": 1}", vec![json!({"a": 1})]),
            ("", vec![]),
            ("# only a comment\n", vec![]),
            ("- 1\n", vec![json!([1])]),
            ("just words", vec![json!("just words")]),
            ("base: &b {x: 1}\nuse: *b\n", vec![json!({"base": {"x": 1}, "use": {"x": 1}})]),
        ] {
            assert_eq!(parse(text).as_ref(), Ok(&expected), "{text:?}");
        }
    }

    #[test]
    fn a_mistake_has_its_line_and_column() {
        for (text, line, column) in [
            ("{\"a\": 1,\n \"b\": }", 2, 7),
            ("{\"a\": 1", 1, 7),
            ("a: 1\nb: [1, 2\nc: 3\n", 3, 2),
            ("a: 1\n\tb: 2\n", 1, 4),
            ("a: 1\na: 2\n", 2, 1),
            ("{\"a\": 1,\n\"a\": 2}", 2, 3),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!((error.line, error.column), (line, column), "{text:?}: {error}");
            assert!(!error.message.contains('\n'), "{error}");
        }
    }

    #[test]
    fn hostile_text_ends_in_an_error() {
        let deep = format!("{}{}", "{\"a\":".repeat(100_000), "1");
        let lists = "[".repeat(100_000);
        let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned()
            + &(b'b'..=b'z')
                .map(|c| {
                    let (this, last) = (char::from(c), char::from(c - 1));
                    format!("{this}: &{this} [{}]\n", vec![format!("*{last}"); 9].join(","))
                })
                .collect::<String>();
        for text in [deep.as_str(), lists.as_str(), bomb.as_str(), "a: .nan", "\0", "%YAML 9\n---\na", "*x"] {
            assert!(parse(text).is_err(), "{}", &text[..text.len().min(40)]);
        }
    }

    #[test]
    fn more_than_the_parser_would_take_by_itself_can_be_read() {
        let many = "---\na: [1, 2, {b: c}]\n".repeat(2_000);
        assert_eq!(parse(&many).unwrap().len(), 2_000);
        let list = format!("items:\n{}", "- [1, 2, 3, 4, 5, 6, 7, 8, 9]\n".repeat(28_000));
        assert_eq!(parse(&list).unwrap()[0]["items"].as_array().unwrap().len(), 28_000);
    }
}
