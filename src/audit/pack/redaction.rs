//! Redaction of a part: of a text as a whole, and of JSON so that it stays JSON.
//!
//! A redactor takes a text, and what is secret in it often shows by what stands beside it: `"password": "x"`, `["--token", "x"]`.
//! So each string of a value is redacted by itself, in its own characters, and then the value is written as JSON and redacted as
//! a text. When what comes back is the same value with other scalars, it is taken. When it is not, which is to say that the
//! redactor broke the syntax or the structure, the members are tried one by one, and what cannot be mended is blanked. Structure
//! and keys stay as they are; but a key that is a secret by itself is replaced.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// What stands where a value could not be redacted without breaking what is around it.
const BLANK: &str = "[redacted]";

/// A redactor, as the caller gives it.
#[derive(Clone, Copy)]
pub(super) struct Redaction<'a> {
    redact: &'a dyn Fn(&str) -> String,
}

/// What became of a value that was redacted as a text.
enum Outcome {
    Unchanged,
    Changed(Value),
    /// What came back is not the same value with other scalars.
    Broken,
}

impl<'a> Redaction<'a> {
    pub(super) fn new(redact: &'a dyn Fn(&str) -> String) -> Self {
        Self { redact }
    }

    /// A text. What is no UTF-8 in it becomes U+FFFD, so that nothing can hide there.
    pub(super) fn text(self, bytes: Vec<u8>) -> String {
        let text = String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned());
        (self.redact)(&text)
    }

    /// A value, with its keys in order.
    pub(super) fn value(self, value: Value) -> Value {
        let alone = self.alone(value);
        self.beside(alone)
    }

    /// Every string by itself.
    fn alone(self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String((self.redact)(&text)),
            Value::Array(items) => Value::Array(items.into_iter().map(|item| self.alone(item)).collect()),
            Value::Object(members) => {
                // In order of the old keys, so that the same members get the same new ones.
                let members: BTreeMap<String, Value> = members.into_iter().collect();
                let mut redacted = BTreeMap::new();
                for (key, value) in members {
                    redacted.insert(free((self.redact)(&key), &redacted), self.alone(value));
                }
                Value::Object(redacted.into_iter().collect())
            }
            scalar => scalar,
        }
    }

    /// A value with all that stands beside its parts.
    fn beside(self, value: Value) -> Value {
        match self.attempt(&value) {
            Outcome::Unchanged => value,
            Outcome::Changed(changed) => changed,
            Outcome::Broken => {
                let tried = match value {
                    Value::Object(members) => {
                        Value::Object(members.into_iter().map(|(key, value)| self.member(key, value)).collect())
                    }
                    Value::Array(items) => Value::Array(items.into_iter().map(|item| self.beside(item)).collect()),
                    _ => return BLANK.into(),
                };
                match self.attempt(&tried) {
                    Outcome::Unchanged => tried,
                    Outcome::Changed(changed) => changed,
                    Outcome::Broken => blank_own(tried),
                }
            }
        }
    }

    /// A member with nothing beside it but its key.
    fn member(self, key: String, value: Value) -> (String, Value) {
        let value = if is_scalar(&value) { value } else { self.beside(value) };
        let alone = Value::Object(Map::from_iter([(key.clone(), value)]));
        let (outcome, Value::Object(mut alone)) = (self.attempt(&alone), alone) else {
            return (key, BLANK.into());
        };
        let own = |mut object: Map<String, Value>| object.remove(&key).unwrap_or_default();
        let value = match outcome {
            Outcome::Unchanged => own(alone),
            Outcome::Changed(Value::Object(changed)) => own(changed),
            Outcome::Changed(_) | Outcome::Broken => blank(alone.remove(&key).unwrap_or_default()),
        };
        (key, value)
    }

    fn attempt(self, value: &Value) -> Outcome {
        let text = value.to_string();
        let redacted = (self.redact)(&text);
        if redacted == text {
            return Outcome::Unchanged;
        }
        match serde_json::from_str(&redacted) {
            Ok(changed) if is_like(value, &changed) => Outcome::Changed(changed),
            _ => Outcome::Broken,
        }
    }
}

/// A key that is not taken: the same, or with its place among the keys behind it.
fn free(key: String, taken: &BTreeMap<String, Value>) -> String {
    if !taken.contains_key(&key) {
        return key;
    }
    // As many numbers as there are keys, and one more: they cannot all be taken.
    let numbered = |n: usize| format!("{key} ({n})");
    (1..=taken.len() + 1).map(|n| numbered(taken.len() + n)).find(|key| !taken.contains_key(key)).unwrap_or(key)
}

fn is_scalar(value: &Value) -> bool {
    !matches!(value, Value::Object(_) | Value::Array(_))
}

/// Whether both have the same structure and keys, and scalars only were replaced, by strings.
fn is_like(value: &Value, other: &Value) -> bool {
    match (value, other) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| is_like(a, b)))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_like(a, b)),
        (scalar, Value::String(_)) => is_scalar(scalar),
        (a, b) => a == b,
    }
}

/// Blanks every string and number.
fn blank(value: Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(members.into_iter().map(|(key, value)| (key, blank(value))).collect()),
        Value::Array(items) => Value::Array(items.into_iter().map(blank).collect()),
        Value::String(_) | Value::Number(_) => BLANK.into(),
        other => other,
    }
}

/// Blanks the strings and numbers that a value holds itself.
fn blank_own(value: Value) -> Value {
    let own = |value: Value| if is_scalar(&value) { blank(value) } else { value };
    match value {
        Value::Object(members) => Value::Object(members.into_iter().map(|(key, value)| (key, own(value))).collect()),
        Value::Array(items) => Value::Array(items.into_iter().map(own).collect()),
        scalar => blank(scalar),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::audit::redact::redact;

    fn real(value: Value) -> Value {
        Redaction::new(&|text| redact(text).into_owned()).value(value)
    }

    fn replacing(find: &'static str, with: &'static str, value: Value) -> Value {
        Redaction::new(&move |text: &str| text.replace(find, with)).value(value)
    }

    #[test]
    fn what_stands_beside_a_value_makes_it_a_secret() {
        let table = [
            (json!({"password": "hunter2x", "user": "ann"}), json!({"password": "[redacted]", "user": "ann"})),
            (json!({"a": {"token": "Zx81kQpT9d"}, "n": 1}), json!({"a": {"token": "[redacted]"}, "n": 1})),
            (json!(["redis-server", "--requirepass", "Zx81kQpT"]), json!(["redis-server", "--requirepass", "[redacted]"])),
            (json!({"Env": ["DB_PASSWORD=hunter2x", "A=b"]}), json!({"Env": ["DB_PASSWORD=[redacted]", "A=b"]})),
            (
                json!([{"name": "DB_PASSWORD", "value": "hunter2x"}, {"name": "A", "value": "b"}]),
                json!([{"name": "DB_PASSWORD", "value": "[redacted]"}, {"name": "A", "value": "b"}]),
            ),
            (json!({"url": "redis://:hunter2x@h:1", "x": true}), json!({"url": "redis://:[redacted]@h:1", "x": true})),
        ];
        for (value, expected) in table {
            assert_eq!(real(value), expected);
        }
    }

    #[test]
    fn a_secret_number_becomes_a_string_and_its_neighbours_stay() {
        let value = json!({"password": 81_942_355, "port": 6380, "on": true, "deep": {"a": [1, null, "x"]}});
        let expected = json!({"password": "[redacted]", "port": 6380, "on": true, "deep": {"a": [1, null, "x"]}});
        assert_eq!(real(value), expected);
    }

    #[test]
    fn a_redactor_that_breaks_the_syntax_costs_what_it_touched_and_no_more() {
        let value = json!({"a": {"k": "one", "bad": 7}, "b": ["two"]});
        let expected = json!({"a": {"k": "one", "bad": "[redacted]"}, "b": ["two"]});
        assert_eq!(replacing("7", "<gone>", value), expected);
        let value = json!({"tokens": ["one", "two"], "b": ["two"]});
        let swallow = |text: &str| text.replace(r#""tokens":["one","two"]"#, r#""tokens":"x""#);
        let expected = json!({"tokens": ["[redacted]", "[redacted]"], "b": ["two"]});
        assert_eq!(Redaction::new(&swallow).value(value), expected);
    }

    #[test]
    fn what_only_its_neighbours_make_a_secret_is_blanked_with_them_when_it_cannot_be_mended() {
        let break_pair = |text: &str| text.replace(r#""name":"p","value":7"#, r#""name":"p","value":<gone>"#);
        let value = json!([{"name": "p", "value": 7, "z": true, "in": ["x"]}, {"name": "q", "value": 7}]);
        let blanked = json!({"name": "[redacted]", "value": "[redacted]", "z": true, "in": ["x"]});
        let expected = json!([blanked, {"name": "q", "value": 7}]);
        assert_eq!(Redaction::new(&break_pair).value(value), expected);
    }

    #[test]
    fn a_key_that_is_a_secret_is_replaced_and_no_member_is_lost() {
        let value = json!({"s3cret-1": 1, "s3cret-2": 2, "password": null});
        let redact = |text: &str| text.replace("s3cret-1", "[redacted]").replace("s3cret-2", "[redacted]");
        assert_eq!(Redaction::new(&redact).value(value), json!({"[redacted]": 1, "[redacted] (3)": 2, "password": null}));
    }

    #[test]
    fn a_secret_that_is_escaped_in_json_is_found_in_its_own_characters() {
        let value = json!({"said": "it was ta\"b\\c here"});
        assert_eq!(replacing("ta\"b\\c", "[redacted]", value), json!({"said": "it was [redacted] here"}));
    }

    #[test]
    fn bytes_that_are_no_text_hide_nothing() {
        let redaction = Redaction::new(&|text| redact(text).into_owned());
        let text = redaction.text(b"\xff password=hunter2x\n\xfe".to_vec());
        assert_eq!(text, "\u{fffd} password=[redacted]\n\u{fffd}");
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-zS\"]{0,5}".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("[a-z]{1,3}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// A value without its scalars.
    fn shape(value: Value) -> Value {
        match value {
            Value::Object(members) => Value::Object(members.into_iter().map(|(key, value)| (key, shape(value))).collect()),
            Value::Array(items) => Value::Array(items.into_iter().map(shape).collect()),
            _ => Value::Null,
        }
    }

    proptest! {
        #[test]
        fn structure_and_keys_survive_every_redactor(value in value(), find in "[0-9:,\"\\[{}S]{1,2}", with in "[x\"}]{0,3}") {
            let redacted = Redaction::new(&|text: &str| text.replace(&find, &with)).value(value.clone());
            prop_assert_eq!(shape(redacted), shape(value));
        }

        #[test]
        fn a_secret_is_in_no_value_whatever_is_around_it(value in value(), with in "[x\"}]{0,3}") {
            // Inside other text, and in several places.
            let planted = serde_json::from_str(&value.to_string().replace('S', "SECRET")).unwrap_or(value);
            let redacted = Redaction::new(&|text: &str| text.replace("SECRET", &with)).value(planted);
            prop_assert!(!redacted.to_string().contains("SECRET"));
        }
    }
}
