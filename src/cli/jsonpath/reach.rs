//! What of a value a template can reach. The rest need not be kept while the value is put together.

use std::collections::BTreeMap;

use serde_json::Value;

use super::step::Step;

/// What of a value is needed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reach {
    /// The whole of it.
    Whole,
    /// Of a map these fields, and these parts of them; the whole of anything else.
    Fields(BTreeMap<String, Reach>),
    /// Of each element of a list this; the whole of anything else.
    Each(Box<Reach>),
}

impl Reach {
    /// Nothing but that the value is there.
    pub(super) fn nothing() -> Self {
        Self::Fields(BTreeMap::new())
    }

    /// What these steps need of a value when `then` is needed of what they lead to.
    pub(super) fn through(steps: &[Step], then: Self) -> Self {
        match steps {
            [] => then,
            // What stands in the template itself is looked for nowhere.
            [Step::Text(_) | Step::Literal(_), ..] => Self::nothing(),
            [Step::Field(name), rest @ ..] => Self::Fields([(name.clone(), Self::through(rest, then))].into()),
            // Positions stay as they are: elements are made smaller, and none is taken out.
            [Step::Wildcard | Step::Index(_) | Step::Slice { .. }, rest @ ..] => {
                Self::Each(Box::new(Self::through(rest, then)))
            }
            // What looks around, or anywhere, may find anything.
            _ => Self::Whole,
        }
    }

    /// What is needed when both are.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Fields(none), other) | (other, Self::Fields(none)) if none.is_empty() => other,
            (Self::Fields(mut fields), Self::Fields(more)) => {
                for (name, reach) in more {
                    let both = match fields.remove(&name) {
                        Some(known) => known.and(reach),
                        None => reach,
                    };
                    fields.insert(name, both);
                }
                Self::Fields(fields)
            }
            (Self::Each(one), Self::Each(other)) => Self::Each(Box::new(one.and(*other))),
            _ => Self::Whole,
        }
    }

    /// What is needed of each element of the list in this field.
    pub fn of_each(&self, field: &str) -> Self {
        match self {
            Self::Fields(fields) => match fields.get(field) {
                Some(Self::Each(element)) => (**element).clone(),
                Some(_) => Self::Whole,
                None => Self::nothing(),
            },
            _ => Self::Whole,
        }
    }

    /// The value without what is not needed.
    pub fn keep(&self, value: Value) -> Value {
        match (self, value) {
            (Self::Fields(fields), Value::Object(map)) => {
                let kept = map.into_iter().filter_map(|(name, value)| {
                    let reach = fields.get(&name)?;
                    Some((name, reach.keep(value)))
                });
                Value::Object(kept.collect())
            }
            (Self::Each(reach), Value::Array(list)) => Value::Array(list.into_iter().map(|e| reach.keep(e)).collect()),
            (_, value) => value,
        }
    }
}
