//! Values as kubectl spells them, which is as Go does.

use serde_json::{Number, Value};

use crate::cli::print::json;

/// A result of a template: text as it is, `null`, lists and maps as JSON in one line.
#[must_use]
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "null".to_owned(),
        Value::Number(number) => self::number(number),
        Value::Array(_) | Value::Object(_) => json::line(value),
        Value::Bool(_) => value.to_string(),
    }
}

/// A value of a custom column: `map[a:1 b:x]`, `[1 2]`, `<nil>`.
#[must_use]
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Array(items) => format!("[{}]", items.iter().map(plain).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let fields: Vec<_> = map.iter().map(|(key, value)| format!("{key}:{}", plain(value))).collect();
            format!("map[{}]", fields.join(" "))
        }
        other => text(other),
    }
}

/// A number. A fraction has an exponent when it would be long.
#[must_use]
pub fn number(number: &Number) -> String {
    match number.as_f64() {
        Some(value) if number.is_f64() => fraction(value),
        _ => number.to_string(),
    }
}

/// Go's `%v`: the fewest digits that tell the number from every other, and an exponent beyond 10⁻⁴ and 10²¹, or beyond the
/// seventh digit when there are digits after the point.
fn fraction(value: f64) -> String {
    // What came as 1000000.0 is a whole number to everybody else.
    if value.fract() == 0.0 && value.abs() < 1e21 {
        return format!("{value:.0}");
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>().unwrap_or(0) {
        -4..=20 if value.abs() < 1e6 => value.to_string(),
        exponent => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
    }
}

/// What Go calls the type of a value.
#[must_use]
pub fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_spelt_as_go_spells_them() {
        for (value, expected) in [
            (json!(1), "1"),
            (json!(1.5), "1.5"),
            (json!(5.0), "5"),
            (json!(-0.25), "-0.25"),
            (json!(999_999.5), "999999.5"),
            (json!(1_000_000.5), "1.0000005e+06"),
            (json!(0.0001), "0.0001"),
            (json!(0.00001), "1e-05"),
            (json!(1e21), "1e+21"),
            (json!(1e-120), "1e-120"),
            (json!(u64::MAX), "18446744073709551615"),
        ] {
            assert_eq!(text(&value), expected);
        }
    }

    #[test]
    fn a_custom_column_shows_lists_and_maps_as_go_does() {
        assert_eq!(plain(&json!({"b": [1, "x", null], "a": true})), "map[a:true b:[1 x <nil>]]");
    }
}
