//! What a ScheduledSoak's controller does at a look: a pure function of the schedule, its runs and the time.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;

use super::cron::{Due, due};
use crate::api::schedule::{ConcurrencyPolicy, ScheduledSoak, ScheduledSoakStatus};
use crate::api::soak::{SoakPhase, SoakRun, Verdict};
use crate::api::{API_VERSION, Object, Time};

/// What is to be done at a look.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    /// The status, as it is to be.
    pub status: ScheduledSoakStatus,
    /// The run to be made, in the transaction that writes the status.
    pub make: Option<SoakRun>,
    /// Names of the runs to be aborted, so that the one that is due can follow.
    pub abort: Vec<String>,
    /// Names of the runs over the limits of the history.
    pub delete: Vec<String>,
    /// How many times have passed without a run since the last look.
    pub passed_by: u64,
    /// When to look again.
    pub again: Option<Time>,
}

/// Name of the run of a schedule for a time: unique to the minute, which is the finest that a schedule knows.
#[must_use]
pub fn run_name(schedule: &ScheduledSoak, at: Time) -> String {
    format!("{}-{}", schedule.name(), at.as_second().div_euclid(60))
}

/// What is to be done at `now` about a schedule that has made these runs.
#[must_use]
pub fn turn(soak: &ScheduledSoak, runs: &[SoakRun], now: Time) -> Turn {
    let before = soak.status.clone().unwrap_or_default();
    let mut status = ScheduledSoakStatus { message: None, ..before.clone() };
    status.observed_generation = soak.metadata.generation;
    status.active = runs.iter().filter(|r| !is_over(r)).map(|r| r.name().to_owned()).collect();
    status.active.sort();
    status.last_successful_time = latest_success(runs).or(before.last_successful_time);
    let created = soak.meta().creation_timestamp.as_ref().map_or(now, |t| t.0);
    let since = before.last_schedule_time.unwrap_or(created);
    let found = soak.spec.crontab().and_then(|crontab| due(&crontab, since, soak.spec.starting_deadline_seconds, now));
    let mut turn = Turn { status, make: None, abort: Vec::new(), delete: surplus(soak, runs), passed_by: 0, again: None };
    match found {
        // What is stored was validated; a schedule that names no time is left alone.
        Err(why) => turn.status.message = Some(why),
        Ok(found) => {
            (turn.status.next_schedule_time, turn.again) = (found.next, found.next);
            see_to(&mut turn, soak, runs, &found);
            turn.passed_by = turn.status.missed.saturating_sub(before.missed);
        }
    }
    turn
}

/// Sees to what is due.
fn see_to(turn: &mut Turn, soak: &ScheduledSoak, runs: &[SoakRun], found: &Due) {
    let Some(last) = found.last else { return };
    let Some(at) = found.now.filter(|_| !soak.spec.suspend) else {
        // It is too late for it, or nobody wants it.
        turn.status.last_schedule_time = Some(last);
        turn.status.missed += found.missed + u64::from(found.now.is_some());
        return;
    };
    let under_way: Vec<&SoakRun> = runs.iter().filter(|r| !is_over(r)).collect();
    match soak.spec.concurrency_policy {
        ConcurrencyPolicy::Forbid if !under_way.is_empty() => {
            turn.status.message = Some(format!("the run of {at} waits for {}", turn.status.active.join(", ")));
            return;
        }
        ConcurrencyPolicy::Replace if !under_way.is_empty() => {
            turn.abort = under_way.into_iter().filter(|r| !r.spec.abort).map(|r| r.name().to_owned()).collect();
            turn.status.message = Some(format!("the run of {at} waits until {} is aborted", turn.status.active.join(", ")));
            return;
        }
        _ => {}
    }
    turn.status.last_schedule_time = Some(at);
    turn.status.missed += found.missed;
    turn.status.active.push(run_name(soak, at));
    turn.make = Some(run(soak, at));
}

/// The run of a schedule for a time.
fn run(soak: &ScheduledSoak, at: Time) -> SoakRun {
    let mut run = SoakRun::new(&run_name(soak, at), soak.spec.run_template.spec.clone());
    let meta = run.meta_mut();
    meta.labels = Some(soak.spec.run_template.labels.clone()).filter(|l| !l.is_empty());
    meta.owner_references = Some(vec![OwnerReference {
        api_version: API_VERSION.to_owned(),
        kind: ScheduledSoak::kind(&()).into_owned(),
        name: soak.name().to_owned(),
        uid: soak.meta().uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: None,
    }]);
    run
}

fn is_over(run: &SoakRun) -> bool {
    run.status.as_ref().is_some_and(|s| s.phase == SoakPhase::Completed)
}

/// The oldest runs over the limits, of those that passed and of the others. A baseline is kept: others are compared with it.
fn surplus(soak: &ScheduledSoak, runs: &[SoakRun]) -> Vec<String> {
    let has_passed = |run: &SoakRun| run.status.as_ref().and_then(|s| s.verdict) == Some(Verdict::Passed);
    let of = |passed: bool, limit: u32| {
        let is_of = |run: &&SoakRun| is_over(run) && !run.spec.promoted && has_passed(run) == passed;
        let mut over: Vec<&SoakRun> = runs.iter().filter(is_of).collect();
        over.sort_by_key(|run| (run.meta().creation_timestamp.as_ref().map(|t| t.0), run.name()));
        let too_many = over.len().saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
        over.into_iter().take(too_many).map(|run| run.name().to_owned()).collect::<Vec<_>>()
    };
    [of(true, soak.spec.successful_runs_history_limit), of(false, soak.spec.failed_runs_history_limit)].concat()
}

fn latest_success(runs: &[SoakRun]) -> Option<Time> {
    let passed = runs.iter().filter_map(|r| r.status.as_ref()).filter(|s| s.verdict == Some(Verdict::Passed));
    passed.filter_map(|s| s.finished_at).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::soak::SoakRunStatus;
    use crate::plan::fixtures;
    use serde_json::{Value, json};

    /// Minutes after the beginning of a year.
    fn minute(n: i64) -> Time {
        fixtures::at(n * 60_000)
    }

    fn schedule(more: Value) -> ScheduledSoak {
        let template = json!({"spec": {
            "stack": "wicap", "duration": "60s", "checks": [{"name": "ui", "period": "30s", "httpGet": {"port": 80}}],
        }});
        let mut spec = json!({"schedule": "*/10 * * * *", "runTemplate": template});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let mut soak = ScheduledSoak::new("nightly", serde_json::from_value(spec).unwrap());
        let created = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(minute(0));
        (soak.metadata.uid, soak.metadata.creation_timestamp) = (Some("u".into()), Some(created));
        soak
    }

    fn made(soak: &ScheduledSoak, at: i64, verdict: Option<Verdict>) -> SoakRun {
        let mut made = run(soak, minute(at));
        made.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(minute(at)));
        let phase = if verdict.is_some() { SoakPhase::Completed } else { SoakPhase::Soaking };
        let finished_at = verdict.map(|_| minute(at + 1));
        made.status = Some(SoakRunStatus { phase, finished_at, verdict, ..SoakRunStatus::default() });
        made
    }

    #[test]
    fn what_is_due_is_made_once_and_bears_its_time() {
        let mut soak = schedule(json!({}));
        let early = turn(&soak, &[], minute(9));
        assert_eq!((early.make, early.again), (None, Some(minute(10))));
        let due = turn(&soak, &[], minute(10));
        let run = due.make.unwrap();
        assert_eq!(run.name(), run_name(&soak, minute(10)));
        assert_eq!(run.metadata.owner_references.as_ref().unwrap()[0].uid, "u");
        assert_eq!(due.status.active, [run.name()]);
        assert_eq!((due.status.last_schedule_time, due.passed_by), (Some(minute(10)), 0));
        soak.status = Some(due.status);
        assert_eq!(turn(&soak, &[], minute(10)).make, None, "it is not due again");
        let late = turn(&soak, &[], minute(45));
        assert_eq!((late.make.unwrap().name(), late.passed_by), (run_name(&soak, minute(40)).as_str(), 2));
    }

    #[test]
    fn a_run_that_is_under_way_is_met_as_the_policy_says() {
        for (policy, makes, aborts, waits) in
            [("Allow", true, 0, false), ("Forbid", false, 0, true), ("Replace", false, 1, true)]
        {
            let mut soak = schedule(json!({"concurrencyPolicy": policy}));
            soak.status =
                Some(ScheduledSoakStatus { last_schedule_time: Some(minute(10)), ..ScheduledSoakStatus::default() });
            let mut run = made(&soak, 10, None);
            let found = turn(&soak, std::slice::from_ref(&run), minute(20));
            let seen = (found.make.is_some(), found.abort.len(), found.status.message.is_some());
            assert_eq!(seen, (makes, aborts, waits), "{policy}");
            let noted = if makes { minute(20) } else { minute(10) };
            assert_eq!(found.status.last_schedule_time, Some(noted), "{policy}: what waits is still to come");
            run.spec.abort = true;
            assert!(turn(&soak, &[run], minute(20)).abort.is_empty(), "{policy}: once is enough");
        }
    }

    #[test]
    fn what_nobody_wants_or_comes_too_late_has_passed_and_is_counted() {
        for more in [json!({"suspend": true}), json!({"startingDeadlineSeconds": 10})] {
            let found = turn(&schedule(more.clone()), &[], minute(31));
            assert_eq!((found.make, found.passed_by), (None, 3), "{more}");
            assert_eq!(found.status.last_schedule_time, Some(minute(30)), "{more}");
        }
        let never = turn(&schedule(json!({"schedule": "0 0 30 2 *"})), &[], minute(31));
        assert!(never.make.is_none() && never.again.is_none() && never.status.message.is_some());
    }

    #[test]
    fn the_history_keeps_its_limits_and_every_baseline() {
        let soak = schedule(json!({"successfulRunsHistoryLimit": 1, "failedRunsHistoryLimit": 0}));
        let passed = Some(Verdict::Passed);
        let mut runs = vec![made(&soak, 30, passed), made(&soak, 10, passed), made(&soak, 20, passed)];
        runs.extend([made(&soak, 5, Some(Verdict::Failed)), made(&soak, 40, None)]);
        let found = turn(&soak, &runs, minute(9));
        assert_eq!(found.delete, [10, 20, 5].map(|at| run_name(&soak, minute(at))));
        assert_eq!(found.status.last_successful_time, Some(minute(31)));
        runs[1].spec.promoted = true;
        assert_eq!(turn(&soak, &runs, minute(9)).delete, [20, 5].map(|at| run_name(&soak, minute(at))));
    }
}
