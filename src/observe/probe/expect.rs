//! An answer held against what is expected of it. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Number, Value};

use crate::api::stack::expression::{Answer, Expression};
use crate::api::stack::{BODY_MOST, Expectations, HttpGet, JsonExpectation};
use crate::audit::redact::redact;

/// Most characters of a value that become part of a message.
const VALUE_SHOWN: usize = 80;

/// An answer, as far as it was read.
#[derive(Debug)]
pub(super) struct Heard {
    pub status: u16,
    /// By lower-case name; several of one name are joined by commas.
    pub headers: BTreeMap<String, String>,
    pub body: Body,
    /// From the dial to the last byte.
    pub latency: Duration,
}

/// The body of an answer.
#[derive(Debug, Default)]
pub(super) struct Body {
    text: String,
    json: Option<Value>,
    /// There was more than [`BODY_MOST`].
    is_cut: bool,
}

impl Body {
    /// The bytes that were read, of which at most [`BODY_MOST`] count.
    pub fn new(mut bytes: Vec<u8>) -> Self {
        let is_cut = bytes.len() > BODY_MOST;
        bytes.truncate(BODY_MOST);
        let json = if is_cut { None } else { serde_json::from_slice(&bytes).ok() };
        Self { text: String::from_utf8_lossy(&bytes).into_owned(), json, is_cut }
    }

    /// Its beginning, as text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The JSON that it is.
    fn json(&self) -> Result<&Value, String> {
        match &self.json {
            Some(json) => Ok(json),
            None if self.is_cut => Err(too_long()),
            None => Err(format!("its body is no JSON: {}", cut(&redact(&self.text)))),
        }
    }
}

/// What an answer with an expected status is not and should be, in words for people; empty when all is well.
pub(super) fn failures(get: &HttpGet, expressions: &[Expression], heard: &Heard) -> Vec<String> {
    let mut failures = Vec::new();
    if let Some(most) = get.max_latency.filter(|most| heard.latency > most.to_std()) {
        let took = Duration::from_millis(u64::try_from(heard.latency.as_millis()).unwrap_or(u64::MAX));
        failures.push(format!("it took {took:?}, expected at most {most}"));
    }
    if let Some(expect) = &get.expect {
        failures.extend(content(expect, &heard.body));
    }
    failures.extend(expressions.iter().filter_map(|expression| expressed(expression, heard).err()));
    failures
}

/// The numbers that the spec asks for, as far as the body has them.
pub(super) fn samples(get: &HttpGet, body: &Body) -> BTreeMap<String, f64> {
    let Ok(json) = body.json() else { return BTreeMap::new() };
    let number = |pointer: &str| json.pointer(pointer).and_then(Value::as_f64);
    get.capture.iter().filter_map(|capture| Some((capture.name.clone(), number(&capture.pointer)?))).collect()
}

fn content(expect: &Expectations, body: &Body) -> Vec<String> {
    let mut failures = Vec::new();
    if let Some(text) = expect.body_contains.as_ref().filter(|text| !body.text.contains(text.as_str())) {
        let whose = if body.is_cut { "the first 64 KiB of its body do" } else { "its body does" };
        failures.push(format!("{whose} not contain {}", cut(&format!("{text:?}"))));
    }
    if expect.json.is_empty() {
        return failures;
    }
    match body.json() {
        Ok(json) => failures.extend(expect.json.iter().filter_map(|expectation| meets(expectation, json).err())),
        Err(why) => failures.push(why),
    }
    failures
}

/// Whether one place of the body is as expected.
///
/// # Errors
/// The place, what is there and what is expected, such as `/last_insert_age_sec is 340, expected less than 120`.
fn meets(expectation: &JsonExpectation, json: &Value) -> Result<(), String> {
    let pointer = &expectation.pointer;
    let found = json.pointer(pointer);
    let holds = match expectation {
        JsonExpectation { equals: Some(value), .. } => found.is_some_and(|found| same(found, value)),
        JsonExpectation { one_of: Some(values), .. } => found.is_some_and(|found| values.iter().any(|v| same(found, v))),
        JsonExpectation { less_than: Some(limit), .. } => compare(found, limit).is_some_and(|(found, limit)| found < limit),
        JsonExpectation { greater_than: Some(limit), .. } => {
            compare(found, limit).is_some_and(|(found, limit)| found > limit)
        }
        JsonExpectation { exists, .. } => exists.is_none_or(|exists| exists == found.is_some()),
    };
    if holds {
        return Ok(());
    }
    let place = if pointer.is_empty() { "the body" } else { pointer };
    let is = found.map_or_else(|| "is missing".to_owned(), |found| format!("is {}", value(pointer, found)));
    Err(format!("{place} {is}, expected {}", expected(expectation)))
}

/// What the operator wants, in words.
fn expected(expectation: &JsonExpectation) -> String {
    match expectation {
        JsonExpectation { equals: Some(value), .. } => cut(&value.to_string()),
        JsonExpectation { one_of: Some(values), .. } => {
            format!("one of {}", cut(&values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")))
        }
        JsonExpectation { less_than: Some(limit), .. } => format!("less than {limit}"),
        JsonExpectation { greater_than: Some(limit), .. } => format!("more than {limit}"),
        JsonExpectation { exists: Some(false), .. } => "nothing there".to_owned(),
        JsonExpectation { .. } => "something there".to_owned(),
    }
}

/// A value that was found, shown as far as may be: its name decides too whether it is a secret.
fn value(pointer: &str, found: &Value) -> String {
    let name = pointer.rsplit('/').next().unwrap_or_default();
    let named = serde_json::json!({ name: found }).to_string();
    if redact(&named) == named { cut(&found.to_string()) } else { "[redacted]".to_owned() }
}

fn same(found: &Value, expected: &Value) -> bool {
    match (found.as_f64(), expected.as_f64()) {
        // 1 and 1.0 are one number. Whole numbers too large for a float are compared as they are.
        (Some(a), Some(b)) if found.is_f64() || expected.is_f64() => a.total_cmp(&b).is_eq(),
        _ => found == expected,
    }
}

fn compare(found: Option<&Value>, limit: &Number) -> Option<(f64, f64)> {
    Some((found?.as_f64()?, limit.as_f64()?))
}

fn expressed(expression: &Expression, heard: &Heard) -> Result<(), String> {
    let source = cut(expression.source());
    if expression.uses_body() && heard.body.is_cut {
        return Err(format!("`{source}` cannot be said: {}", too_long()));
    }
    let text;
    let body = match &heard.body.json {
        Some(json) => json,
        None => {
            text = Value::String(heard.body.text.clone());
            &text
        }
    };
    let answer = Answer { status: heard.status, headers: &heard.headers, body, latency: heard.latency };
    match expression.holds(&answer) {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("`{source}` is false")),
        Err(why) => Err(format!("`{source}` cannot be said: {}", cut(&redact(&why)))),
    }
}

fn too_long() -> String {
    "its body is over 64 KiB".to_owned()
}

fn cut(text: &str) -> String {
    if text.chars().count() > VALUE_SHOWN {
        text.chars().take(VALUE_SHOWN).chain(['…']).collect()
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn body(json: &Value) -> Body {
        Body::new(json.to_string().into_bytes())
    }

    /// What is not met of one JSON expectation.
    fn unmet(expectation: Value, body: &Body) -> String {
        let expect = serde_json::from_value(json!({"json": [expectation]})).unwrap();
        content(&expect, body).join("; ")
    }

    #[test]
    fn each_operator_says_the_place_what_is_there_and_what_is_expected() {
        let body = body(&json!({
            "age": 340, "eps": 0.5, "db": "ok", "none": null, "on": true, "n": 1.0, "big": 9_007_199_254_740_993_i64,
            "list": [1, 2], "a/b": {"c~d": "deep"}, "long": "x".repeat(200), "api_key": "quartz-5512", "url": "redis://:quartz-5512@db:6379",
        }));
        for (expectation, expected) in [
            (json!({"pointer": "/db", "equals": "ok"}), ""),
            (json!({"pointer": "/db", "equals": "up"}), "/db is \"ok\", expected \"up\""),
            (json!({"pointer": "/gone", "equals": "up"}), "/gone is missing, expected \"up\""),
            (json!({"pointer": "/n", "equals": 1}), ""),
            (json!({"pointer": "/big", "equals": 9_007_199_254_740_993_i64}), ""),
            (
                json!({"pointer": "/big", "equals": 9_007_199_254_740_992_i64}),
                "/big is 9007199254740993, expected 9007199254740992",
            ),
            (json!({"pointer": "/none", "equals": null}), ""),
            (json!({"pointer": "/gone", "equals": null}), "/gone is missing, expected null"),
            (json!({"pointer": "/on", "equals": "true"}), "/on is true, expected \"true\""),
            (json!({"pointer": "/list", "equals": [1, 2]}), ""),
            (json!({"pointer": "/list/1", "equals": 2}), ""),
            (json!({"pointer": "/a~1b/c~0d", "equals": "deep"}), ""),
            (json!({"pointer": "/db", "oneOf": ["up", "ok"]}), ""),
            (json!({"pointer": "/db", "oneOf": ["up", 7]}), "/db is \"ok\", expected one of \"up\", 7"),
            (json!({"pointer": "/gone", "oneOf": ["up"]}), "/gone is missing, expected one of \"up\""),
            (json!({"pointer": "/age", "lessThan": 341}), ""),
            (json!({"pointer": "/age", "lessThan": 340}), "/age is 340, expected less than 340"),
            (json!({"pointer": "/eps", "lessThan": 0.25}), "/eps is 0.5, expected less than 0.25"),
            (json!({"pointer": "/db", "lessThan": 1}), "/db is \"ok\", expected less than 1"),
            (json!({"pointer": "/none", "lessThan": 1}), "/none is null, expected less than 1"),
            (json!({"pointer": "/gone", "lessThan": 1}), "/gone is missing, expected less than 1"),
            (json!({"pointer": "/eps", "greaterThan": 0}), ""),
            (json!({"pointer": "/eps", "greaterThan": 0.5}), "/eps is 0.5, expected more than 0.5"),
            (json!({"pointer": "/gone", "greaterThan": 0}), "/gone is missing, expected more than 0"),
            (json!({"pointer": "/none", "exists": true}), ""),
            (json!({"pointer": "/gone", "exists": true}), "/gone is missing, expected something there"),
            (json!({"pointer": "/gone", "exists": false}), ""),
            (json!({"pointer": "/db", "exists": false}), "/db is \"ok\", expected nothing there"),
            (json!({"pointer": "/api_key", "equals": "x"}), "/api_key is [redacted], expected \"x\""),
            (json!({"pointer": "/url", "equals": "x"}), "/url is [redacted], expected \"x\""),
        ] {
            assert_eq!(unmet(expectation.clone(), &body), expected, "{expectation}");
        }
        let long = unmet(json!({"pointer": "/long", "equals": "x"}), &body);
        assert!(long.len() < 130 && long.contains("…, expected"), "{long}");
        let whole = unmet(json!({"pointer": "", "equals": 1}), &Body::new(b"[1]".to_vec()));
        assert_eq!(whole, "the body is [1], expected 1");
    }

    #[test]
    fn what_is_no_json_meets_no_expectation_of_it_and_says_how_it_begins() {
        let html = Body::new(b"<html>password=hunter2!</html>".to_vec());
        let why = unmet(json!({"pointer": "/gone", "exists": false}), &html);
        assert!(why.starts_with("its body is no JSON: <html>") && !why.contains("hunter2"), "{why}");
        assert_eq!(unmet(json!({"pointer": "/a", "exists": true}), &Body::default()), "its body is no JSON: ");
        let long = Body::new(vec![b' '; BODY_MOST + 1]);
        assert_eq!(unmet(json!({"pointer": "/a", "exists": true}), &long), "its body is over 64 KiB");
    }

    #[test]
    fn samples_are_the_numbers_that_are_there() {
        let get = serde_json::from_value(json!({"port": 1, "capture": [
            {"name": "eps", "pointer": "/eps"}, {"name": "depth", "pointer": "/queues/0/depth"}, {"name": "text", "pointer": "/text"},
            {"name": "gone", "pointer": "/gone"}]}))
        .unwrap();
        let found = samples(&get, &body(&json!({"eps": 0.25, "queues": [{"depth": 7}], "text": "9"})));
        assert_eq!(found, BTreeMap::from([("depth".to_owned(), 7.0), ("eps".to_owned(), 0.25)]));
        assert!(samples(&get, &Body::default()).is_empty());
    }
}
