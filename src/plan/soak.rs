//! Soak runs: when each check is due, what a restart is, and the verdict that follows from what was recorded.

use std::time::Duration;

use crate::api::soak::{CheckRecord, RestartRecord, SoakRunSpec, SoakRunStatus, Verdict};
use crate::api::stack::ServiceStatus;
use crate::api::{Time, after, elapsed};

/// Number of the last check: the first is number 0, at the beginning; the last is at the very end, also where the period does
/// not divide the duration.
#[must_use]
pub fn last_check(duration: Duration, period: Duration) -> u32 {
    let period = period.as_millis().max(1);
    u32::try_from(duration.as_millis().div_ceil(period)).unwrap_or(u32::MAX)
}

/// When check number `n` is due; `None` after the last.
#[must_use]
pub fn due(since: Time, duration: Duration, period: Duration, n: u32) -> Option<Time> {
    let last = last_check(duration, period);
    (n <= last).then(|| after(since, period.saturating_mul(n).min(duration)))
}

/// The check to make now, after those that were missed while nobody made checks. `None` when none is due yet, or all are made.
///
/// Only the latest of several overdue checks is made: two at the same moment would show one thing twice. So the last one, which
/// has no later one, is always made, however late.
#[must_use]
pub fn take_due(record: &CheckRecord, since: Time, duration: Duration, period: Duration, now: Time) -> Option<(u32, u32)> {
    let is_due = |n: u32| due(since, duration, period, n).is_some_and(|at| at <= now);
    if !is_due(record.next) {
        return None;
    }
    let behind = elapsed(since, now).as_millis() / period.as_millis().max(1);
    let by_clock = u32::try_from(behind).unwrap_or(u32::MAX).min(last_check(duration, period));
    let latest = if is_due(by_clock.saturating_add(1)) { by_clock + 1 } else { by_clock };
    let latest = latest.max(record.next);
    Some((latest, latest - record.next))
}

/// Counts the starts of containers since they were last seen. The first sight of a container is the base and counts nothing.
pub fn count_restarts(records: &mut Vec<RestartRecord>, services: &[ServiceStatus]) {
    for service in services {
        let Some(started_at) = service.started_at else { continue };
        let index = records.iter().position(|r| r.service == service.name).unwrap_or_else(|| {
            records.push(RestartRecord { service: service.name.clone(), ..RestartRecord::default() });
            records.len() - 1
        });
        let record = &mut records[index];
        let seen_before = record.started_at.is_some();
        let is_new = record.container_id != service.container_id || record.started_at != Some(started_at);
        if is_new {
            record.count += u32::from(seen_before);
            record.container_id.clone_from(&service.container_id);
            record.started_at = Some(started_at);
        }
    }
}

/// Share of the soak that is over, 0 to 100.
#[must_use]
pub fn progress(since: Time, duration: Duration, now: Time) -> u32 {
    let share = elapsed(since, now).as_secs_f64() / duration.as_secs_f64().max(f64::MIN_POSITIVE);
    // In 0 to 100 after the clamp, so the cast loses only the fraction.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let percent = (share * 100.0).clamp(0.0, 100.0) as u32;
    percent
}

/// The verdict on a run that has come to its end, with a line for each criterion: what was found and what was demanded.
#[must_use]
pub fn verdict(spec: &SoakRunSpec, status: &SoakRunStatus) -> (Verdict, Vec<String>) {
    let mut reasons = Vec::new();
    let mut passed = true;
    for check in &spec.checks {
        let record = status.checks.iter().find(|r| r.name == check.name).cloned().unwrap_or_default();
        let results = record.passed + record.failed;
        let rate = if results == 0 { 0.0 } else { f64::from(record.passed) / f64::from(results) };
        let holds = record.passed > 0 && rate >= spec.criteria.min_pass_rate;
        passed &= holds;
        let word = if holds { "ok" } else { "FAILED" };
        let missed = if record.missed > 0 { format!(", {} missed", record.missed) } else { String::new() };
        let last = record.failures.last().map_or(String::new(), |f| format!("; last failure: {}", f.message));
        reasons.push(format!(
            "{word}: check {}: {} of {results} passed{missed}, at least {} demanded{last}",
            check.name, record.passed, spec.criteria.min_pass_rate
        ));
    }
    if let Some(most) = spec.criteria.max_restarts {
        let count: u32 = status.restarts.iter().map(|r| r.count).sum();
        let holds = count <= most;
        passed &= holds;
        let word = if holds { "ok" } else { "FAILED" };
        let who: Vec<String> =
            status.restarts.iter().filter(|r| r.count > 0).map(|r| format!("{} {}", r.service, r.count)).collect();
        let who = if who.is_empty() { String::new() } else { format!(" ({})", who.join(", ")) };
        reasons.push(format!("{word}: restarts: {count}{who}, at most {most} allowed"));
    }
    (if passed { Verdict::Passed } else { Verdict::Failed }, reasons)
}

/// How long the soak is.
#[must_use]
pub fn duration(spec: &SoakRunSpec) -> Duration {
    spec.duration.to_std()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn at(seconds: i64) -> Time {
        Time::from_second(seconds).unwrap()
    }

    fn spec(criteria: serde_json::Value) -> SoakRunSpec {
        serde_json::from_value(json!({
            "stack": "s", "duration": "60s", "criteria": criteria,
            "checks": [{"name": "ui", "period": "10s", "httpGet": {"port": 80}}],
        }))
        .unwrap()
    }

    fn status(passed: u32, failed: u32, restarts: u32) -> SoakRunStatus {
        SoakRunStatus {
            checks: vec![CheckRecord { name: "ui".into(), passed, failed, ..CheckRecord::default() }],
            restarts: vec![RestartRecord { service: "ui".into(), count: restarts, ..RestartRecord::default() }],
            ..SoakRunStatus::default()
        }
    }

    #[test]
    fn the_first_check_is_at_the_beginning_and_the_last_at_the_very_end() {
        for (duration, period, times) in [(60, 30, vec![0, 30, 60]), (60, 25, vec![0, 25, 50, 60]), (10, 30, vec![0, 10])] {
            let all: Vec<i64> = (0..).map_while(|n| due(at(0), S(duration), S(period), n)).map(Time::as_second).collect();
            assert_eq!(all, times);
        }
    }

    #[test]
    fn overdue_checks_are_missed_but_for_the_latest() {
        let record = |next| CheckRecord { next, ..CheckRecord::default() };
        let take = |next, now| take_due(&record(next), at(0), S(60), S(25), at(now));
        assert_eq!(take(0, 0), Some((0, 0)));
        assert_eq!(take(1, 24), None);
        assert_eq!(take(1, 25), Some((1, 0)));
        assert_eq!(take(1, 59), Some((2, 1)));
        assert_eq!(take(1, 60), Some((3, 2)));
        assert_eq!(take(3, 100_000), Some((3, 0)), "the last is made however late");
        assert_eq!(take(4, 100_000), None);
    }

    #[test]
    fn only_what_is_recorded_makes_the_verdict() {
        for (criteria, seen, expected) in [
            (json!({}), status(3, 0, 9), Verdict::Passed),
            (json!({}), status(2, 1, 0), Verdict::Failed),
            (json!({}), status(0, 0, 0), Verdict::Failed),
            (json!({"minPassRate": 0.0}), status(0, 0, 0), Verdict::Failed),
            (json!({"minPassRate": 0.0}), status(0, 5, 0), Verdict::Failed),
            (json!({"minPassRate": 0.5}), status(1, 1, 0), Verdict::Passed),
            (json!({"maxRestarts": 0}), status(3, 0, 1), Verdict::Failed),
            (json!({"maxRestarts": 1}), status(3, 0, 1), Verdict::Passed),
            (json!({}), SoakRunStatus::default(), Verdict::Failed),
        ] {
            let (verdict, reasons) = verdict(&spec(criteria.clone()), &seen);
            assert_eq!(verdict, expected, "{criteria} {reasons:?}");
            assert_eq!(reasons.iter().any(|r| r.starts_with("FAILED")), expected == Verdict::Failed);
        }
    }

    #[test]
    fn a_restart_is_a_new_start_of_a_container_seen_before() {
        let seen = |id: &str, started: i64| ServiceStatus {
            name: "ui".into(),
            container_id: Some(id.into()),
            started_at: Some(at(started)),
            ..ServiceStatus::default()
        };
        let mut records = Vec::new();
        for (service, count) in
            [(seen("a", 1), 0), (seen("a", 1), 0), (seen("a", 2), 1), (seen("b", 3), 2), (seen("b", 3), 2)]
        {
            count_restarts(&mut records, &[service]);
            assert_eq!(records[0].count, count);
        }
        let missing = ServiceStatus { name: "ui".into(), ..ServiceStatus::default() };
        count_restarts(&mut records, &[missing]);
        assert_eq!(records[0].count, 2);
    }

    #[test]
    fn progress_is_a_share_of_the_duration() {
        assert_eq!(progress(at(0), S(60), at(30)), 50);
        assert_eq!(progress(at(0), S(60), at(600)), 100);
        assert_eq!(progress(at(10), S(60), at(0)), 0);
    }
}
