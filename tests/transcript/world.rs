//! The objects that both sides start with: `objects.json`, whose times are spans from now, so that ages are always the same.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// The objects, at a time.
pub struct World {
    /// The time, in whole seconds.
    pub now: Timestamp,
    pub objects: Vec<Value>,
    /// Each time that is in them, and the same time in a world whose now is [`REFERENCE`].
    pub times: Vec<(String, String)>,
}

/// The now of recordings: any would do.
pub const REFERENCE: &str = "2026-01-10T00:00:00Z";

impl World {
    pub fn new(now: Timestamp) -> Self {
        let now = Timestamp::from_second(now.as_second()).unwrap();
        let mut objects: Vec<Value> = serde_json::from_str(include_str!("objects.json")).unwrap();
        let mut times = Vec::new();
        for object in &mut objects {
            settle(object, now, &mut times);
        }
        Self { now, objects, times }
    }
}

/// Makes times of the spans in a value.
fn settle(value: &mut Value, now: Timestamp, times: &mut Vec<(String, String)>) {
    match value {
        Value::String(text) => {
            if let Some(span) = text.strip_prefix('@') {
                let (at, recorded) = (time(span, now), time(span, REFERENCE.parse().unwrap()));
                if !times.iter().any(|(known, _)| *known == at) {
                    times.push((at.clone(), recorded));
                }
                *text = at;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| settle(item, now, times)),
        Value::Object(fields) => fields.values_mut().for_each(|field| settle(field, now, times)),
        _ => {}
    }
}

/// `-5d`, `+6h`, `-3h20m` from now.
fn time(span: &str, now: Timestamp) -> String {
    let (sign, rest) = span.split_at(1);
    let (mut total, mut number) = (0, 0);
    for c in rest.chars() {
        match c {
            '0'..='9' => number = number * 10 + i64::from(c.to_digit(10).unwrap()),
            unit => {
                let seconds = match unit {
                    'd' => 86_400,
                    'h' => 3600,
                    'm' => 60,
                    's' => 1,
                    _ => panic!("@{span}: found {unit}, expected d, h, m or s"),
                };
                total += number * seconds;
                number = 0;
            }
        }
    }
    let span = SignedDuration::from_secs(if sign == "-" { -total } else { total });
    (now + span).to_string()
}
