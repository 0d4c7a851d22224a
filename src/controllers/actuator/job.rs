//! What is special about jobs: nobody may want to know their results any more, and they leave containers.

use std::pin::pin;
use std::sync::{MutexGuard, PoisonError};

use futures::StreamExt;
use kube::runtime::watcher::Event;

use super::{Actuator, HashSet};
use crate::api::Object;
use crate::api::action::{ActionRun, ActionRunStatus};
use crate::api::soak::{SoakPhase, SoakRun};
use crate::store::watch::WatchParams;

impl Actuator {
    /// Waits until nobody wants to know what a job shows: the soak run that asks is over, or gone. Of any other action, for ever.
    pub(super) async fn until_unwanted(&self, run: &ActionRun) -> String {
        let asks = run.spec.cause.object.as_deref().and_then(|object| object.strip_prefix("SoakRun/"));
        let Some(name) = asks.filter(|_| run.spec.action.targets_job()) else { return std::future::pending().await };
        let owners = run.metadata.owner_references.iter().flatten();
        let owners: Vec<&str> = owners.map(|owner| owner.uid.as_str()).collect();
        let is_over = |soak: &SoakRun| {
            let phase = soak.status.as_ref().map(|s| s.phase).unwrap_or_default();
            let is_it = soak.metadata.uid.as_deref().is_some_and(|uid| owners.contains(&uid));
            let is_leaving = soak.metadata.deletion_timestamp.is_some();
            (!is_it || is_leaving || phase >= SoakPhase::Cleanup).then(|| format!("SoakRun {name:?} is over"))
        };
        let params = WatchParams { name: Some(name.to_owned()), ..WatchParams::default() };
        let Ok(events) = self.context.store.api::<SoakRun>().watch(&params) else { return std::future::pending().await };
        let mut events = pin!(events);
        let gone = || format!("SoakRun {name:?} is gone");
        let mut is_listed = false;
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => is_listed = false,
                Ok(Event::InitApply(soak) | Event::Apply(soak)) => {
                    is_listed = true;
                    if let Some(why) = is_over(&soak) {
                        return why;
                    }
                }
                Ok(Event::InitDone) if !is_listed => return gone(),
                Ok(Event::Delete(_)) => return gone(),
                // The watch gets over its errors.
                Ok(Event::InitDone) | Err(_) => {}
            }
        }
        std::future::pending().await
    }

    /// Removes what a job that is over has left.
    pub(super) async fn clean_up(&self, run: &ActionRun, status: Option<&ActionRunStatus>) {
        let Some(uid) = run.metadata.uid.as_ref().filter(|_| run.spec.action.targets_job()) else { return };
        let was_claimed = status.is_some_and(|s| s.started_at.is_some());
        if !was_claimed || self.lock_cleaned().contains(uid) {
            return;
        }
        match self.actor.clean_up(uid).await {
            Ok(()) => {
                self.lock_cleaned().insert(uid.clone());
            }
            Err(error) => {
                tracing::warn!(name = run.name(), %error, "the container of a job that is over could not be removed");
            }
        }
    }

    fn lock_cleaned(&self) -> MutexGuard<'_, HashSet<String>> {
        self.cleaned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
