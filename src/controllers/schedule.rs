//! Schedule controller: makes soak runs by the clock. Which are due is decided in [`crate::soak::cron`].
//!
//! A run bears the time it is for in its name, and is made in the transaction that notes that time: it is never made twice.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;
use kube::runtime::reflector::{self, ObjectRef};
use tokio_util::sync::CancellationToken;

use super::runtime::{Action, ReconcileError, Sources, lead};
use super::{Context, Controller};
use crate::api::schedule::{ConcurrencyPolicy, ScheduledSoak, ScheduledSoakStatus};
use crate::api::soak::{SoakPhase, SoakRun, Verdict};
use crate::api::{API_VERSION, Object, Time, elapsed, reason};
use crate::soak::cron::{Due, due};
use crate::store::election::Fence;
use crate::store::events::{Recorder, Severity};
use crate::store::{DeleteParams, Error};

/// Runs the schedule controller until `shutdown`.
pub async fn run(context: Context, shutdown: CancellationToken) {
    let name = Controller::Schedule.as_str();
    lead(&context.store, name, &context.identity, &shutdown, |fence, ending| {
        let context = context.clone();
        async move {
            let mut sources = Sources::<ScheduledSoak>::new(&context.store);
            let runs = sources.watch::<SoakRun>(|run| owner(run).map(ObjectRef::new).into_iter().collect());
            if runs.wait_until_ready().await.is_err() {
                return;
            }
            let recorder = Recorder::new(context.store.clone(), name, &context.host);
            let controller = Arc::new(Schedules { context, fence, recorder, runs });
            sources.run(controller, ending, |soak, controller| async move { controller.reconcile(&soak).await }).await;
        }
    })
    .await;
}

struct Schedules {
    context: Context,
    fence: Fence,
    recorder: Recorder,
    runs: reflector::Store<SoakRun>,
}

/// Name of the schedule that a run was made for.
fn owner(run: &SoakRun) -> Option<&str> {
    let owners = run.meta().owner_references.as_deref().unwrap_or_default();
    owners.iter().find(|o| o.kind == ScheduledSoak::kind(&())).map(|o| o.name.as_str())
}

fn is_over(run: &SoakRun) -> bool {
    run.status.as_ref().is_some_and(|s| s.phase == SoakPhase::Completed)
}

/// Name of the run of a schedule for a time: unique to the minute, which is the finest that a schedule knows.
fn run_name(schedule: &ScheduledSoak, at: Time) -> String {
    format!("{}-{}", schedule.name(), at.as_second().div_euclid(60))
}

impl Schedules {
    async fn reconcile(&self, soak: &ScheduledSoak) -> Result<Action, ReconcileError> {
        if soak.meta().deletion_timestamp.is_some() {
            return Ok(Action::await_change());
        }
        let now = self.context.store.clock().now();
        let all = self.runs.state();
        let uid = soak.meta().uid.clone().unwrap_or_default();
        let ours = |run: &&Arc<SoakRun>| run.meta().owner_references.iter().flatten().any(|o| o.uid == uid);
        let mut runs: Vec<SoakRun> = all.iter().filter(ours).map(|r| r.as_ref().clone()).collect();
        runs.sort_by(|a, b| a.name().cmp(b.name()));
        let before = soak.status.clone().unwrap_or_default();
        let mut next = ScheduledSoakStatus { message: None, ..before.clone() };
        next.observed_generation = soak.metadata.generation;
        next.active = runs.iter().filter(|r| !is_over(r)).map(|r| r.name().to_owned()).collect();
        next.last_successful_time = latest_success(&runs).or(before.last_successful_time);
        let created = soak.meta().creation_timestamp.as_ref().map_or(now, |t| t.0);
        let since = before.last_schedule_time.unwrap_or(created);
        // What is stored was validated; a schedule that names no time is left alone.
        let crontab = soak.spec.crontab();
        let found = crontab.and_then(|crontab| due(&crontab, since, soak.spec.starting_deadline_seconds, now));
        let found = match found {
            Ok(found) => found,
            Err(why) => {
                next.message = Some(why);
                self.write(soak, &before, next, None).await?;
                return Ok(Action::await_change());
            }
        };
        next.next_schedule_time = found.next;
        let run = self.decide(soak, &runs, &found, &mut next).await?;
        let passed_by = next.missed.saturating_sub(before.missed);
        self.write(soak, &before, next, run).await?;
        if passed_by > 0 {
            let text = format!("{passed_by} run{} due and never made", if passed_by == 1 { " was" } else { "s were" });
            self.recorder.publish(soak, Severity::Warning, reason::SOAK_MISSED, &text).await;
        }
        self.tidy(soak, &runs).await?;
        Ok(found.next.map_or_else(Action::await_change, |at| Action::requeue(elapsed(now, at))))
    }

    /// What is to be made now, and what the status says of it.
    async fn decide(
        &self,
        soak: &ScheduledSoak,
        runs: &[SoakRun],
        found: &Due,
        next: &mut ScheduledSoakStatus,
    ) -> Result<Option<SoakRun>, ReconcileError> {
        let Some(last) = found.last else { return Ok(None) };
        let Some(at) = found.now.filter(|_| !soak.spec.suspend) else {
            // It is too late for it, or nobody wants it.
            next.last_schedule_time = Some(last);
            next.missed += found.missed + u64::from(found.now.is_some());
            return Ok(None);
        };
        let under_way: Vec<&SoakRun> = runs.iter().filter(|r| !is_over(r)).collect();
        match soak.spec.concurrency_policy {
            ConcurrencyPolicy::Forbid if !under_way.is_empty() => {
                next.message = Some(format!("the run of {at} waits for {}", next.active.join(", ")));
                return Ok(None);
            }
            ConcurrencyPolicy::Replace if !under_way.is_empty() => {
                for run in under_way.into_iter().filter(|r| !r.spec.abort) {
                    let mut aborted = run.clone();
                    aborted.spec.abort = true;
                    self.context.store.api().replace(&aborted).await?;
                }
                next.message = Some(format!("the run of {at} waits until {} is aborted", next.active.join(", ")));
                return Ok(None);
            }
            _ => {}
        }
        next.last_schedule_time = Some(at);
        next.missed += found.missed;
        let name = run_name(soak, at);
        next.active.push(name.clone());
        let mut run = SoakRun::new(&name, soak.spec.run_template.spec.clone());
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
        Ok(Some(run))
    }

    async fn write(
        &self,
        soak: &ScheduledSoak,
        before: &ScheduledSoakStatus,
        next: ScheduledSoakStatus,
        run: Option<SoakRun>,
    ) -> Result<(), ReconcileError> {
        if *before == next && soak.status.is_some() && run.is_none() {
            return Ok(());
        }
        let mut written = soak.clone();
        written.status = Some(next);
        let mut transaction = self.context.store.transaction().fence(&self.fence).put_status(&written)?;
        if let Some(run) = &run {
            transaction = transaction.create(run)?;
        }
        transaction.commit().await?;
        if let Some(run) = run {
            self.recorder.publish(soak, Severity::Normal, reason::SOAK_SCHEDULED, &format!("made {}", run.name())).await;
        }
        Ok(())
    }

    /// Deletes the oldest runs over the limits.
    async fn tidy(&self, soak: &ScheduledSoak, runs: &[SoakRun]) -> Result<(), ReconcileError> {
        for (passed, limit) in
            [(true, soak.spec.successful_runs_history_limit), (false, soak.spec.failed_runs_history_limit)]
        {
            let is_of = |run: &&SoakRun| {
                let verdict = run.status.as_ref().and_then(|s| s.verdict);
                // A baseline is kept: others are compared with it.
                is_over(run) && !run.spec.promoted && (verdict == Some(Verdict::Passed)) == passed
            };
            let mut over: Vec<&SoakRun> = runs.iter().filter(is_of).collect();
            over.sort_by_key(|run| run.meta().creation_timestamp.as_ref().map(|t| t.0));
            let too_many = over.len().saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
            for run in over.into_iter().take(too_many) {
                match self.context.store.api::<SoakRun>().delete(run.name(), &DeleteParams::default()).await {
                    Ok(_) | Err(Error::NotFound { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }
}

fn latest_success(runs: &[SoakRun]) -> Option<Time> {
    let passed = runs.iter().filter_map(|r| r.status.as_ref()).filter(|s| s.verdict == Some(Verdict::Passed));
    passed.filter_map(|s| s.finished_at).max()
}
