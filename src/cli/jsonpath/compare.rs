//! What filters ask of two values.

use std::cmp::Ordering;

use serde_json::{Number, Value};

/// How a filter compares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// One that is none. kubectl says so when it is used, not when it is read.
    Unknown(String),
}

impl Operator {
    pub(super) fn parse(text: &str) -> Self {
        match text {
            "==" => Self::Equal,
            "!=" => Self::NotEqual,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            other => Self::Unknown(other.to_owned()),
        }
    }

    /// Whether it holds. Values of two types, lists and maps cannot be compared; of booleans none is less. An integer and
    /// a fraction are both numbers.
    pub(super) fn holds(&self, left: &Value, right: &Value) -> Result<bool, String> {
        if let Self::Unknown(text) = self {
            return Err(format!("unrecognized filter operator {text}"));
        }
        let order = match (left, right) {
            (Value::String(left), Value::String(right)) => left.cmp(right),
            (Value::Number(left), Value::Number(right)) => numbers(left, right),
            (Value::Bool(left), Value::Bool(right)) if matches!(self, Self::Equal | Self::NotEqual) => left.cmp(right),
            (Value::Bool(_), Value::Bool(_)) => return Err("invalid type for comparison".to_owned()),
            (left, right) if [left, right].iter().any(|v| v.is_null() || v.is_array() || v.is_object()) => {
                return Err("invalid type for comparison".to_owned());
            }
            _ => return Err("incompatible types for comparison".to_owned()),
        };
        Ok(match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
            Self::Unknown(_) => false,
        })
    }
}

fn numbers(left: &Number, right: &Number) -> Ordering {
    match (left.as_i64(), right.as_i64()) {
        (Some(left), Some(right)) => left.cmp(&right),
        // JSON has no NaN.
        _ => left.as_f64().partial_cmp(&right.as_f64()).unwrap_or(Ordering::Equal),
    }
}
