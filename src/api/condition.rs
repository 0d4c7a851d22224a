//! Condition types and reasons, documented like an API, and the one way to set a condition.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time as MetaTime};

use super::Time;

/// Stack: whether the engine that runs it could be asked, and was lately.
pub const OBSERVED: &str = "Observed";
/// Stack: whether every managed service is as `spec.desiredState` wants it.
pub const AVAILABLE: &str = "Available";
/// Stack: whether the planner has given up on a service and calls for a person.
pub const ESCALATED: &str = "Escalated";
/// Session: whether actions may be taken in its name now.
pub const ACTIVE: &str = "Active";
/// Policy: whether it, and all policies together, leave something to do on the stacks that there are.
pub const ACCEPTED: &str = "Accepted";
/// Soak run and action run: whether it has come to its end.
pub const COMPLETE: &str = "Complete";

/// The condition's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It holds.
    True,
    /// It does not.
    False,
    /// It could not be found out.
    Unknown,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for Status {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}

/// Sets a condition. `lastTransitionTime` moves only when the status does; conditions stay sorted by type, so that the same
/// facts are the same bytes.
pub fn set(
    conditions: &mut Vec<Condition>,
    type_: &str,
    status: Status,
    reason: &str,
    message: impl Into<String>,
    generation: Option<i64>,
    now: Time,
) {
    let old = conditions.iter().position(|c| c.type_ == type_);
    let since = match old {
        Some(i) if conditions[i].status == status.as_str() => conditions[i].last_transition_time.clone(),
        _ => MetaTime(now),
    };
    let new = Condition {
        type_: type_.to_owned(),
        status: status.as_str().to_owned(),
        reason: reason.to_owned(),
        message: message.into(),
        observed_generation: generation,
        last_transition_time: since,
    };
    match old {
        Some(i) => conditions[i] = new,
        None => conditions.push(new),
    }
    conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
}

/// The condition of that type, if it is set.
#[must_use]
pub fn get<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == type_)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transition_time_moves_only_with_the_status() {
        let at = |s: i64| Time::from_second(s).unwrap();
        let mut all = Vec::new();
        set(&mut all, OBSERVED, Status::True, "EngineAnswers", "", None, at(1));
        set(&mut all, AVAILABLE, Status::False, "Down", "ui", None, at(1));
        set(&mut all, OBSERVED, Status::True, "EngineAnswers", "again", None, at(2));
        assert_eq!(get(&all, OBSERVED).unwrap().last_transition_time.0, at(1));
        set(&mut all, OBSERVED, Status::Unknown, "EngineSilent", "", None, at(3));
        assert_eq!(get(&all, OBSERVED).unwrap().last_transition_time.0, at(3));
        assert_eq!(all.iter().map(|c| c.type_.as_str()).collect::<Vec<_>>(), [AVAILABLE, OBSERVED]);
    }
}
