//! What is special about jobs: nobody may want to know their results any more, and they leave containers.

use std::pin::pin;
use std::sync::{MutexGuard, PoisonError};

use futures::StreamExt;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::Event;

use super::{Actuator, HashSet};
use crate::act::ActError;
use crate::api::Object;
use crate::api::action::{ActionRun, ActionRunStatus};
use crate::api::soak::SoakRun;
use crate::plan::cause::{Standing, wanted_by_soak};
use crate::store::watch::WatchParams;

impl Actuator {
    /// Waits until nobody wants to know what a job shows: the soak run that asks is over, or gone. Of any other action, for ever.
    pub(super) async fn until_unwanted(&self, run: &ActionRun) -> String {
        let asks = run.spec.cause.object.as_deref().and_then(|object| object.strip_prefix("SoakRun/"));
        let Some(name) = asks.filter(|_| run.spec.action.targets_job()) else { return std::future::pending().await };
        let params = WatchParams { name: Some(name.to_owned()), ..WatchParams::default() };
        let Ok(events) = self.context.store.api::<SoakRun>().watch(&params) else { return std::future::pending().await };
        let mut events = pin!(events);
        let mut listed = Vec::new();
        while let Some(event) = events.next().await {
            let known = match event {
                Ok(Event::Init) => {
                    listed.clear();
                    continue;
                }
                Ok(Event::InitApply(soak)) => {
                    listed.push(soak);
                    continue;
                }
                Ok(Event::InitDone) => std::mem::take(&mut listed),
                Ok(Event::Apply(soak)) => vec![soak],
                Ok(Event::Delete(_)) => Vec::new(),
                // The watch gets over its errors.
                Err(_) => continue,
            };
            if let Standing::Gone(why) = wanted_by_soak(run, &known) {
                return why;
            }
        }
        std::future::pending().await
    }

    /// Removes what a job that is over has left. That it could not be removed is an error only where it is known to have run.
    pub(super) async fn clean_up(&self, run: &ActionRun, status: Option<&ActionRunStatus>) -> Result<(), ActError> {
        let Some(uid) = run.metadata.uid.as_ref().filter(|_| run.spec.action.targets_job()) else { return Ok(()) };
        let was_claimed = status.is_some_and(|s| s.started_at.is_some());
        if !was_claimed || self.lock_cleaned().contains(uid) {
            return Ok(());
        }
        if let Err(error) = self.actor.clean_up(uid).await {
            tracing::warn!(name = run.name(), %error, "the container of a job that is over could not be removed");
            let stack = self.stacks.get(&ObjectRef::new(&run.spec.stack));
            let ours = stack.is_some_and(|stack| stack.spec.host == self.context.host);
            return if ours { Err(error) } else { Ok(()) };
        }
        self.lock_cleaned().insert(uid.clone());
        Ok(())
    }

    fn lock_cleaned(&self) -> MutexGuard<'_, HashSet<String>> {
        self.cleaned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
