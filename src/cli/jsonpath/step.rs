//! Steps to values: one step takes each value that the steps before led to and leads on from it.

use serde_json::Value;

use super::compare::Operator;
use super::spelling;

/// One step of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Field(String),
    /// From the end when negative.
    Index(i64),
    /// From the end when negative, the first and all but the last when absent.
    Slice {
        from: Option<i64>,
        to: Option<i64>,
        step: Option<i64>,
    },
    /// What a list or a map holds.
    Wildcard,
    /// The value and all that is inside it.
    Recursive,
    Union(Vec<Step>),
    /// The elements in which the path leads somewhere.
    Exists(Vec<Step>),
    /// The elements for which the comparison holds.
    Compares {
        left: Vec<Step>,
        operator: Operator,
        right: Vec<Step>,
    },
    /// A quoted text: one value, whatever came before.
    Text(Value),
    /// A number or a boolean.
    Literal(Value),
    /// `range`, `end`, or a mistake.
    Word(String),
}

/// What a field that no value has is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// No value.
    Allowed,
    /// An error.
    Refused,
    /// No value, as everything else that does not fit.
    Forgiven,
}

/// Where the steps lead from `at`, or why they do not fit.
pub(super) fn walk<'a>(steps: &'a [Step], mut at: Vec<&'a Value>, missing: Missing) -> Result<Vec<&'a Value>, String> {
    for step in steps {
        at = match step {
            Step::Text(text) => vec![text],
            Step::Word(word) if word == "end" => return Err("not in range, nothing to end".to_owned()),
            Step::Word(word) => return Err(format!("unrecognized identifier {word}")),
            Step::Union(each) => {
                let mut all = Vec::new();
                for step in each {
                    all.extend(walk(std::slice::from_ref(step), at.clone(), missing)?);
                }
                all
            }
            step => {
                let asked = !at.is_empty();
                let mut next = Vec::new();
                for value in at {
                    match step.from(value, missing) {
                        Ok(found) => next.extend(found),
                        Err(_) if missing == Missing::Forgiven => {}
                        Err(reason) => return Err(reason),
                    }
                }
                if let Step::Field(name) = step
                    && next.is_empty()
                    && asked
                    && missing == Missing::Refused
                {
                    return Err(format!("{name} is not found"));
                }
                next
            }
        };
    }
    Ok(at)
}

impl Step {
    /// Why it has no place in a path that stands alone.
    pub(super) fn not_of_a_path(&self) -> Option<&'static str> {
        match self {
            Self::Field(name) if name.is_empty() => Some("a field has no name"),
            Self::Text(_) | Self::Literal(_) | Self::Word(_) => Some("a '.' or '[' is missing"),
            Self::Exists(steps) => steps.iter().find_map(Self::not_of_a_path),
            Self::Compares { left, right, .. } => {
                let word = |step: &Self| matches!(step, Self::Word(_)).then_some("a text of a filter stands in quotes");
                left.iter().chain(right).find_map(word)
            }
            _ => None,
        }
    }

    fn from<'a>(&'a self, value: &'a Value, missing: Missing) -> Result<Vec<&'a Value>, String> {
        let not_a_list = || format!("{} is not array or slice", spelling::type_of(value));
        match self {
            Self::Field(name) => Ok(value.get(name).into_iter().collect()),
            Self::Wildcard => Ok(children(value)),
            Self::Recursive => {
                let mut all = Vec::new();
                descend(value, &mut all);
                Ok(all)
            }
            Self::Literal(literal) => Ok(vec![literal]),
            Self::Index(_) | Self::Slice { .. } if value.is_null() => Ok(Vec::new()),
            Self::Index(index) => {
                let items = value.as_array().ok_or_else(not_a_list)?;
                let at = from_the_end(*index, items.len());
                let item = usize::try_from(at).ok().and_then(|at| items.get(at));
                item.map(|item| vec![item]).ok_or_else(|| out_of_bounds(at, items.len()))
            }
            Self::Slice { from, to, step } => slice(value.as_array().ok_or_else(not_a_list)?, *from, *to, *step),
            Self::Exists(path) => {
                let holds = |item: &'a Value| Ok(!walk(path, vec![item], missing).unwrap_or_default().is_empty());
                filter(value, holds)
            }
            Self::Compares { left, operator, right } => filter(value, |item| {
                let left = walk(left, vec![item], missing)?;
                let Some(left) = one(&left)? else { return Ok(false) };
                let right = walk(right, vec![item], missing)?;
                let Some(right) = one(&right)? else { return Ok(false) };
                operator.holds(left, right)
            }),
            // They do not depend on the value, so `walk` knows what to do.
            Self::Text(_) | Self::Word(_) | Self::Union(_) => Ok(Vec::new()),
        }
    }
}

fn one<'a>(found: &[&'a Value]) -> Result<Option<&'a Value>, String> {
    match found {
        [] => Ok(None),
        [value] => Ok(Some(value)),
        _ => Err("can only compare one element at a time".to_owned()),
    }
}

fn filter<'a>(value: &'a Value, holds: impl Fn(&'a Value) -> Result<bool, String>) -> Result<Vec<&'a Value>, String> {
    let Value::Array(items) = value else {
        return Err(format!("{} is not array or slice and cannot be filtered", spelling::plain(value)));
    };
    let mut found = Vec::new();
    for item in items {
        if holds(item)? {
            found.push(item);
        }
    }
    Ok(found)
}

fn slice(items: &[Value], from: Option<i64>, to: Option<i64>, step: Option<i64>) -> Result<Vec<&Value>, String> {
    let length = items.len();
    let from = from_the_end(from.unwrap_or(0), length);
    let to = to.map_or_else(|| signed(length), |to| from_the_end(to, length));
    // No element is never out of bounds.
    if from == to {
        return Ok(Vec::new());
    }
    let inside = |at: i64| usize::try_from(at).ok().filter(|at| *at <= length);
    let Some(first) = inside(from).filter(|at| *at < length) else { return Err(out_of_bounds(from, length)) };
    let Some(end) = inside(to) else { return Err(out_of_bounds(to.saturating_sub(1), length)) };
    if first > end {
        return Err(format!("starting index {from} is greater than ending index {to}"));
    }
    let step = step.unwrap_or(1);
    let step = usize::try_from(step).ok().filter(|step| *step > 0).ok_or("step must be > 0")?;
    Ok(items[first..end].iter().step_by(step).collect())
}

fn from_the_end(index: i64, length: usize) -> i64 {
    if index < 0 { index.saturating_add(signed(length)) } else { index }
}

/// No list is so long that its length does not fit.
fn signed(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

fn out_of_bounds(index: i64, length: usize) -> String {
    format!("array index out of bounds: index {index}, length {length}")
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(map) => map.values().collect(),
        _ => Vec::new(),
    }
}

/// Every value that holds something, from the outside to the inside.
fn descend<'a>(value: &'a Value, all: &mut Vec<&'a Value>) {
    let inside = children(value);
    if !inside.is_empty() || value.as_str().is_some_and(|text| !text.is_empty()) {
        all.push(value);
    }
    for child in inside {
        descend(child, all);
    }
}
