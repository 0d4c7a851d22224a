//! Which runs of a schedule are due: CronJob's rules, as a pure function of the schedule, the last time and now.

use cronexpr::Crontab;

use crate::api::Time;

/// Most times that are counted one by one when nobody looked for long; CronJob's own bound.
const COUNTED: u64 = 100;

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The time of the run that is to be made now; none when none is due.
    pub now: Option<Time>,
    /// Times before it that have passed without a run, at most a hundred.
    pub missed: u64,
    /// The last of all times that have passed; none when none has.
    pub last: Option<Time>,
    /// When the next run is due.
    pub next: Option<Time>,
}

/// What is due of a schedule that was last seen to at `since`. Of several times that have passed the last is due, and only if it is no
/// more than `deadline` seconds ago.
///
/// # Errors
/// Why the schedule names no time, such as a 30th of February.
pub fn due(crontab: &Crontab, since: Time, deadline: Option<i64>, now: Time) -> Result<Due, String> {
    let next_after = |at: Time| crontab.find_next(at).map(|zoned| zoned.timestamp()).map_err(|e| e.to_string());
    let mut passed: u64 = 0;
    let mut last = None;
    let mut next = next_after(since)?;
    while next <= now {
        (last, passed) = (Some(next), passed + 1);
        if passed > COUNTED {
            // Far behind: the last one is found from the other end.
            let mut back = 60;
            let recent = loop {
                let from = now.as_second().saturating_sub(back);
                let first = next_after(Time::from_second(from).unwrap_or(since).max(next))?;
                if first <= now || back > 10 * 366 * 24 * 3600 {
                    break first;
                }
                back *= 2;
            };
            next = if recent <= now { recent } else { next };
            let mut following = next_after(next)?;
            while following <= now {
                (next, following) = (following, next_after(following)?);
            }
            (last, next) = (Some(next), following);
            break;
        }
        next = next_after(next)?;
    }
    let in_time = |at: &Time| deadline.is_none_or(|seconds| now.as_second() - at.as_second() <= seconds);
    let to_make = last.filter(in_time);
    let missed = passed.min(COUNTED) - u64::from(to_make.is_some()).min(passed);
    Ok(Due { now: to_make, missed, last, next: Some(next) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::schedule::ScheduledSoakSpec;
    use serde_json::json;

    fn at(text: &str) -> Time {
        text.parse().unwrap()
    }

    fn crontab(schedule: &str, zone: &str) -> Crontab {
        let run = json!({"spec": {"stack": "s", "duration": "1h", "checks": []}});
        let spec = json!({"schedule": schedule, "timeZone": zone, "runTemplate": run});
        serde_json::from_value::<ScheduledSoakSpec>(spec).unwrap().crontab().unwrap()
    }

    #[test]
    fn the_last_of_what_has_passed_is_due_and_only_in_time() {
        let hourly = crontab("0 * * * *", "UTC");
        let since = at("2026-03-01T10:00:00Z");
        for (now, deadline, due_at, missed) in [
            ("2026-03-01T10:59:59Z", None, None, 0),
            ("2026-03-01T11:00:00Z", None, Some("2026-03-01T11:00:00Z"), 0),
            ("2026-03-01T11:59:00Z", None, Some("2026-03-01T11:00:00Z"), 0),
            ("2026-03-01T13:30:00Z", None, Some("2026-03-01T13:00:00Z"), 2),
            ("2026-03-01T13:30:00Z", Some(1800), Some("2026-03-01T13:00:00Z"), 2),
            ("2026-03-01T13:30:00Z", Some(1799), None, 3),
        ] {
            let found = due(&hourly, since, deadline, at(now)).unwrap();
            assert_eq!((found.now, found.missed), (due_at.map(at), missed), "{now} {deadline:?}");
            assert!(found.next.unwrap() > at(now));
        }
    }

    #[test]
    fn a_year_away_is_over_soon() {
        let every_minute = crontab("* * * * *", "UTC");
        let found = due(&every_minute, at("2025-01-01T00:00:00Z"), None, at("2026-03-01T13:30:30Z")).unwrap();
        assert_eq!(found.now, Some(at("2026-03-01T13:30:00Z")));
        assert_eq!(found.next, Some(at("2026-03-01T13:31:00Z")));
        assert_eq!(found.missed, COUNTED - 1);
        let yearly = crontab("0 0 1 1 *", "UTC");
        let found = due(&yearly, at("1826-01-01T00:00:00Z"), None, at("2026-03-01T00:00:00Z")).unwrap();
        assert_eq!(found.now, Some(at("2026-01-01T00:00:00Z")));
    }

    #[test]
    fn a_time_that_does_not_exist_has_no_run_and_one_that_comes_twice_has_two() {
        let berlin = crontab("30 2 * * *", "Europe/Berlin");
        for (since, now, due_at, missed) in [
            // 02:30 does not exist on the 29th of March.
            ("2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z", None, 0),
            // It comes twice on the 25th of October.
            ("2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z", Some("2026-10-25T01:30:00Z"), 1),
        ] {
            let found = due(&berlin, at(since), None, at(now)).unwrap();
            assert_eq!((found.now, found.missed), (due_at.map(at), missed), "{found:?}");
        }
    }
}
