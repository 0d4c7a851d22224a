//! Schedule controller: makes soak runs by the clock. What is to be done is decided in [`crate::soak::timetable`].
//!
//! A run bears the time it is for in its name, and is made in the transaction that notes that time: it is never made twice.

use std::sync::Arc;

use kube::Resource;
use kube::runtime::reflector::{self, ObjectRef};
use tokio_util::sync::CancellationToken;

use super::runtime::{Action, ReconcileError, Sources, lead};
use super::{Context, Controller};
use crate::api::schedule::{ScheduledSoak, ScheduledSoakStatus};
use crate::api::soak::SoakRun;
use crate::api::{Object, elapsed, reason};
use crate::soak::timetable::{Turn, turn};
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

impl Schedules {
    async fn reconcile(&self, soak: &ScheduledSoak) -> Result<Action, ReconcileError> {
        if soak.meta().deletion_timestamp.is_some() {
            return Ok(Action::await_change());
        }
        let now = self.context.store.clock().now();
        let all = self.runs.state();
        let uid = soak.meta().uid.clone().unwrap_or_default();
        let ours = |run: &&Arc<SoakRun>| run.meta().owner_references.iter().flatten().any(|o| o.uid == uid);
        let runs: Vec<SoakRun> = all.iter().filter(ours).map(|r| r.as_ref().clone()).collect();
        let Turn { status, make, abort, delete, passed_by, again } = turn(soak, &runs, now);
        for run in runs.iter().filter(|run| abort.iter().any(|name| name == run.name())) {
            let mut aborted = run.clone();
            aborted.spec.abort = true;
            self.context.store.api().replace(&aborted).await?;
        }
        self.write(soak, status, make).await?;
        if passed_by > 0 {
            let text = format!("{passed_by} run{} due and never made", if passed_by == 1 { " was" } else { "s were" });
            self.recorder.publish(soak, Severity::Warning, reason::SOAK_MISSED, &text).await;
        }
        for name in delete {
            match self.context.store.api::<SoakRun>().delete(&name, &DeleteParams::default()).await {
                Ok(_) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(again.map_or_else(Action::await_change, |at| Action::requeue(elapsed(now, at))))
    }

    /// Writes the status and makes the run, both or neither.
    async fn write(
        &self,
        soak: &ScheduledSoak,
        next: ScheduledSoakStatus,
        run: Option<SoakRun>,
    ) -> Result<(), ReconcileError> {
        if soak.status.as_ref() == Some(&next) && run.is_none() {
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
}
