//! How long a session lasts, and what it takes to change that. Pure.

use std::time;

use crate::api::session::{ControlSession, MAX_TTL};
use crate::api::{Duration, Time, elapsed};

use super::phase;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// So long in all, from its start.
    Whole(time::Duration),
    /// So much longer.
    More(time::Duration),
    /// So much shorter.
    Less(time::Duration),
}

/// A value of `--by`: a duration, or one with a minus before it.
pub fn by(text: &str) -> Result<Asked, String> {
    let (bare, less) = text.strip_prefix('-').map_or((text, false), |bare| (bare, true));
    let length: Duration = bare.parse().map_err(|_| "expected a duration such as 2h or -30m".to_owned())?;
    match (length.is_negative(), less) {
        (true, _) => Err("expected a duration such as 2h or -30m".to_owned()),
        (false, true) => Ok(Asked::Less(length.to_std())),
        (false, false) => Ok(Asked::More(length.to_std())),
    }
}

/// What it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Term {
    /// Nothing.
    Same,
    /// The ttl is shortened to that.
    Shorter(Duration),
    /// A successor that lasts that long from now on.
    Longer(Duration),
}

/// What it takes to have the session last as long as is asked.
///
/// # Errors
/// Why it cannot, behind the session's name.
pub fn judge(session: &ControlSession, asked: Asked, now: Time) -> Result<Term, String> {
    let status = session.status.clone().unwrap_or_default();
    let again = format!("open another: wicapctl session start {}", session.spec.stack);
    if phase(session).is_final() {
        return Err(format!("is {:?}, and stays so; {again}", status.phase));
    }
    if session.spec.end || session.metadata.deletion_timestamp.is_some() {
        return Err(format!("was told to end; {again}"));
    }
    if status.expires_at.is_some_and(|end| now >= end) {
        return Err(format!("has run out; {again}"));
    }
    let ttl = session.spec.ttl.to_std();
    let wanted = match asked {
        Asked::Whole(whole) => whole,
        Asked::More(more) => ttl.saturating_add(more),
        Asked::Less(less) => ttl.saturating_sub(less),
    };
    if wanted.is_zero() {
        return Err("would be over at once; wicapctl session end ends it".to_owned());
    }
    if wanted == ttl {
        return Ok(Term::Same);
    }
    if wanted < ttl {
        return Ok(Term::Shorter(wanted.into()));
    }
    // What has passed of it has been used up; one that has not begun has all of it before it.
    let passed = status.started_at.map_or(time::Duration::ZERO, |started| elapsed(started, now));
    let left = wanted.saturating_sub(passed);
    // Whole seconds are enough for people, and never less than was asked for.
    let left = time::Duration::from_secs(left.as_secs() + u64::from(left.subsec_nanos() > 0));
    if left > MAX_TTL {
        let (left, most) = (Duration::from(left), Duration::from(MAX_TTL));
        return Err(format!("would last for another {left}, and no permission lasts for more than {most}"));
    }
    Ok(Term::Longer(left.into()))
}

/// The name of a session's successor: its own with the next number behind it that is free.
pub fn successor(name: &str, taken: &[&str]) -> String {
    let numbered =
        name.rsplit_once('-').and_then(|(stem, n)| Some((stem, n.parse::<u32>().ok().filter(|n| (2..1000).contains(n))?)));
    let (stem, number) = numbered.unwrap_or((name, 1));
    // There are fewer sessions than numbers, so that one is free.
    (number + 1..=u32::MAX).map(|n| format!("{stem}-{n}")).find(|made| !taken.contains(&made.as_str())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::api::after;
    use crate::api::session::{ControlSessionStatus, SessionPhase};
    use serde_json::json;

    use super::*;

    const HOUR: time::Duration = time::Duration::from_secs(3600);

    fn session(phase: SessionPhase) -> ControlSession {
        let spec =
            json!({"stack": "s", "mode": "Assist", "ttl": "4h", "allowedActions": [], "operator": "a@h", "reason": "r"});
        let object =
            json!({"apiVersion": "wicap.dev/v1alpha1", "kind": "ControlSession", "metadata": {"name": "n"}, "spec": spec});
        let mut session: ControlSession = serde_json::from_value(object).unwrap();
        let started = (phase != SessionPhase::Pending).then_some(Time::UNIX_EPOCH);
        let expires_at = started.map(|at| after(at, 4 * HOUR));
        session.status = Some(ControlSessionStatus { phase, started_at: started, expires_at, ..Default::default() });
        session
    }

    fn judged(phase: SessionPhase, asked: Asked) -> Result<Term, String> {
        judge(&session(phase), asked, after(Time::UNIX_EPOCH, HOUR))
    }

    #[test]
    fn longer_takes_a_successor_for_what_is_left_and_shorter_a_ttl() {
        use SessionPhase::{Active, Pending};
        let hours = |n: u32| Duration::from(n * HOUR);
        for (phase, asked, expected) in [
            (Active, Asked::Whole(4 * HOUR), Term::Same),
            (Active, Asked::More(time::Duration::ZERO), Term::Same),
            (Active, Asked::Whole(6 * HOUR), Term::Longer(hours(5))),
            (Active, Asked::More(2 * HOUR), Term::Longer(hours(5))),
            (Active, Asked::Less(HOUR), Term::Shorter(hours(3))),
            (Active, Asked::Whole(HOUR), Term::Shorter(hours(1))),
            (Pending, Asked::More(2 * HOUR), Term::Longer(hours(6))),
            (Active, Asked::Whole(169 * HOUR), Term::Longer(hours(168))),
        ] {
            assert_eq!(judged(phase, asked), Ok(expected), "{phase:?} {asked:?}");
        }
    }

    #[test]
    fn what_is_over_or_would_be_too_long_is_explained() {
        use SessionPhase::{Active, Ended, Expired, Stopped};
        for (phase, asked, expected) in [
            (Ended, Asked::More(HOUR), "is Ended, and stays so; open another: wicapctl session start s"),
            (Expired, Asked::More(HOUR), "is Expired"),
            (Stopped, Asked::Whole(HOUR), "is Stopped"),
            (Active, Asked::Less(4 * HOUR), "would be over at once; wicapctl session end ends it"),
            (Active, Asked::Whole(170 * HOUR), "would last for another 169h, and no permission lasts for more than 168h"),
        ] {
            let why = judged(phase, asked).unwrap_err();
            assert!(why.starts_with(expected), "{why}");
        }
        let mut ending = session(Active);
        let end = after(Time::UNIX_EPOCH, 4 * HOUR);
        assert!(judge(&ending, Asked::More(HOUR), end).unwrap_err().starts_with("has run out"), "at the very moment");
        ending.spec.end = true;
        assert!(judge(&ending, Asked::More(HOUR), Time::UNIX_EPOCH).unwrap_err().starts_with("was told to end"));
    }

    #[test]
    fn by_is_more_or_less() {
        assert_eq!(by("1h"), Ok(Asked::More(HOUR)));
        assert_eq!(by("-1h"), Ok(Asked::Less(HOUR)));
        for bad in ["", "-", "--1h", "soon", "3"] {
            assert!(by(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_successor_has_the_next_number_that_is_free() {
        for (name, taken, expected) in [
            ("night", &[][..], "night-2"),
            ("night-2", &[], "night-3"),
            ("night", &["night-2", "night-3"], "night-4"),
            ("wicap-20261129-001530", &[], "wicap-20261129-001530-2"),
            ("a-1", &[], "a-1-2"),
            ("-2", &[], "-3"),
        ] {
            assert_eq!(successor(name, taken), expected, "{name}");
        }
    }
}
