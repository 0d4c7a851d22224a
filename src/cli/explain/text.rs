//! kubectl's layout of an explanation: the plain text template of kubectl 1.32.

use serde_json::Value;

use super::schema::{inner, type_of};

/// How wide a description is, and how far it is indented.
const DESCRIPTION: (usize, usize) = (76, 4);

/// How wide a field's description is, its indentation included.
const FIELD_WIDTH: usize = 78;

/// How many words of an enumeration are shown in a list of fields.
const WORDS_SHOWN: usize = 4;

/// Writes which field is explained, and the words it may hold.
pub fn field(out: &mut String, name: &str, schema: &Value) {
    *out += &format!("FIELD: {name} <{}>\n", type_of(schema));
    let words = words_of(schema);
    if !words.is_empty() {
        *out += "ENUM:";
        *out += &words.iter().map(|word| format!("\n    {word}")).collect::<String>();
    }
    *out += "\n\n";
}

/// Writes what a schema means, and its fields.
pub fn described(out: &mut String, schema: &Value, recursive: bool) {
    let (width, indent) = DESCRIPTION;
    let mut text = String::new();
    description(&mut text, schema);
    let text = if text.is_empty() { "<empty>" } else { &text };
    *out += &format!("DESCRIPTION:\n{}\n", indented(&wrapped(text, width), indent));
    let mut list = String::new();
    fields(&mut list, schema, 1, recursive);
    if !list.is_empty() {
        *out += &format!("FIELDS:\n{list}");
    }
}

/// Its description, then that of what it is a list or a map of.
fn description(out: &mut String, schema: &Value) {
    if let Some(text) = schema.get("description").and_then(Value::as_str).filter(|text| !text.is_empty()) {
        *out += text;
        *out += "\n";
    }
    if let Some(inner) = inner(schema) {
        description(out, inner);
    }
}

fn fields(out: &mut String, schema: &Value, level: usize, recursive: bool) {
    let required = schema.get("required").and_then(Value::as_array);
    for (name, value) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let must = required.is_some_and(|required| required.iter().any(|r| r == name));
        one_field(out, name, value, must, level, recursive);
        if recursive {
            fields(out, value, level + 1, recursive);
        }
    }
    if let Some(inner) = inner(schema) {
        fields(out, inner, level, recursive);
    }
}

fn one_field(out: &mut String, name: &str, schema: &Value, required: bool, level: usize, short: bool) {
    let indent = level * 2;
    let pad = " ".repeat(indent);
    *out += &format!("{pad}{name}\t<{}>{}", type_of(schema), if required { " -required-" } else { "" });
    let words = words_of(schema);
    if !words.is_empty() {
        let more = if words.len() > WORDS_SHOWN { ", ...." } else { "" };
        *out += &format!("\n{pad}enum: {}{more}", words[..words.len().min(WORDS_SHOWN)].join(", "));
    }
    *out += "\n";
    if !short {
        let text = schema.get("description").and_then(Value::as_str).filter(|t| !t.is_empty()).unwrap_or("<no description>");
        *out += &format!("{}\n\n", indented(&wrapped(text, FIELD_WIDTH.saturating_sub(indent)), indent + 2));
    }
}

/// The words of an enumeration; an empty one can be seen.
fn words_of(schema: &Value) -> Vec<String> {
    let words = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    words
        .map(|word| match word {
            Value::String(text) if text.is_empty() => "\"\"".to_owned(),
            Value::String(text) => text.clone(),
            // As Go prints it.
            Value::Null => "<nil>".to_owned(),
            other => other.to_string(),
        })
        .collect()
}

fn indented(text: &str, amount: usize) -> String {
    let pad = " ".repeat(amount);
    format!("{pad}{}", text.replace('\n', &format!("\n{pad}")))
}

/// Breaks lines between words so that none is over `width`; a word that is longer stands alone. Line breaks stay.
fn wrapped(text: &str, width: usize) -> String {
    let lines = text.split('\n').map(|line| {
        let (mut out, mut length) = (String::new(), 0);
        // The blanks between two words stay as they are, unless the line is broken there.
        let mut blanks = String::new();
        let mut rest = line;
        while !rest.is_empty() {
            let word_end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            let (word, after) = rest.split_at(word_end);
            let count = word.chars().count();
            if length > 0 && length + blanks.chars().count() + count > width {
                out.push('\n');
                length = 0;
            } else {
                out += &blanks;
                length += blanks.chars().count();
            }
            out += word;
            length += count;
            let next = after.find(|c: char| !c.is_whitespace()).unwrap_or(after.len());
            let (between, remaining) = after.split_at(next);
            between.clone_into(&mut blanks);
            rest = remaining;
        }
        out
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrapped("one two three four", 9), "one two\nthree\nfour");
        assert_eq!(wrapped("one\n\n  two", 9), "one\n\n  two");
        assert_eq!(wrapped("https://a.b/c/d/e/f g", 5), "https://a.b/c/d/e/f\ng");
    }

    #[test]
    fn many_words_are_cut_in_a_list_and_not_by_themselves() {
        let schema = json!({"type": "string", "enum": ["a", "", "c", "d", "e"]});
        let (mut list, mut long) = (String::new(), String::new());
        one_field(&mut list, "f", &schema, false, 1, true);
        field(&mut long, "f", &schema);
        assert_eq!(list, "  f\t<string>\n  enum: a, \"\", c, d, ....\n");
        assert_eq!(long, "FIELD: f <string>\nENUM:\n    a\n    \"\"\n    c\n    d\n    e\n\n");
    }

    proptest! {
        #[test]
        fn wrapping_loses_no_word_and_keeps_its_width(text in "[a-zé]{1,8}( [a-zé]{1,8}){0,30}", width in 8_usize..40) {
            let wrapped = wrapped(&text, width);
            prop_assert!(wrapped.lines().all(|line| line.chars().count() <= width), "{wrapped}");
            prop_assert_eq!(wrapped.split_whitespace().collect::<Vec<_>>(), text.split_whitespace().collect::<Vec<_>>());
        }
    }
}
