//! Garbage collector: removes what nobody owns any more, what was marked for deletion and is finalized, the status of what an
//! operator has deleted, and the oldest of what is over. The one controller with the right to delete.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::runtime::watcher::Event;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::runtime::lead;
use super::{Context, Controller};
use crate::api::action::ActionRun;
use crate::api::incident::{Incident, IncidentPhase};
use crate::api::{Object, elapsed, registry};
use crate::for_each_kind;
use crate::store::election::Fence;
use crate::store::{DeleteParams, Error, ListParams, Store, WatchParams};

/// How often everything is looked at without any change: what an error or a lost watch left behind goes then.
const RESYNC: Duration = Duration::from_secs(60);

/// A deletion is seldom alone; a short wait lets one look serve many.
const GATHER: Duration = Duration::from_millis(100);

/// Finished ActionRuns kept of each stack. They are the record an operator looks at first, and the planner reads them all: 200
/// are some nights' worth.
const KEPT_ACTIONS: usize = 200;

/// Incidents kept of each stack that are over.
const KEPT_INCIDENTS: usize = 200;

/// How long an incident is kept that is over: long enough for whoever was on leave.
const INCIDENT_AGE: Duration = Duration::from_secs(14 * 24 * 3600);

/// Runs the garbage collector until `shutdown`.
pub async fn run(context: Context, shutdown: CancellationToken) {
    let name = Controller::Gc.as_str();
    lead(&context.store, name, &context.identity, &shutdown, |fence, ending| {
        let store = context.store.clone();
        async move {
            let wake = Arc::new(Notify::new());
            let mut watches = JoinSet::new();
            macro_rules! follow {
                ($($kind:ty),*) => { $( watches.spawn(follow::<$kind>(store.clone(), Arc::clone(&wake))); )* };
            }
            for_each_kind!(follow);
            loop {
                if let Err(error) = sweep(&store, &fence).await {
                    tracing::warn!(%error, "garbage is left for the next look");
                }
                tokio::select! {
                    () = ending.cancelled() => return,
                    _ = watches.join_next() => return,
                    _ = timeout(RESYNC, wake.notified()) => sleep(GATHER).await,
                }
            }
        }
    })
    .await;
}

/// Wakes the collector when an object is deleted or marked for deletion.
async fn follow<K: Object>(store: Store, wake: Arc<Notify>) {
    let Ok(mut events) = store.api::<K>().watch(&WatchParams::default()) else { return };
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Delete(_) | Event::InitDone) => wake.notify_one(),
            Ok(Event::Apply(object)) if object.meta().deletion_timestamp.is_some() => wake.notify_one(),
            _ => {}
        }
    }
}

async fn sweep(store: &Store, fence: &Fence) -> Result<(), Error> {
    macro_rules! sweep_kinds {
        ($($kind:ty),*) => { $( sweep_kind::<$kind>(store, fence).await?; )* };
    }
    for_each_kind!(sweep_kinds);
    prune(store, fence).await?;
    prune_incidents(store, fence).await
}

async fn sweep_kind<K: Object>(store: &Store, fence: &Fence) -> Result<(), Error> {
    let api = store.api::<K>();
    let all = match api.list(&ListParams::default()).await {
        // What one object of a kind hides must not stop the others; nothing is deleted on the ground of what cannot be read.
        Err(error @ Error::Corrupt { .. }) => {
            tracing::error!(%error, "the objects of a kind are left alone");
            return Ok(());
        }
        other => other?.items,
    };
    for object in all {
        let name = object.name();
        let outcome = if object.meta().deletion_timestamp.is_some() {
            api.remove_finalized(name, fence).await.map(|_| ())
        } else if !object.is_under_way() && is_orphan(store, &object).await? {
            tracing::info!(kind = %K::kind(&()), name, "its owner is gone; deleting it");
            let params = DeleteParams { uid: object.meta().uid.clone(), resource_version: None };
            api.delete_fenced(name, &params, fence).await.map(|_| ())
        } else {
            Ok(())
        };
        match outcome {
            // It changed or went meanwhile: the next look decides again.
            Ok(()) | Err(Error::NotFound { .. } | Error::Conflict { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    api.remove_strays(fence).await
}

/// Whether the object has owners and none of them exists. The owners are looked up after the object was read, and a uid never
/// comes back, so what is not there now will not be there.
async fn is_orphan<K: Object>(store: &Store, object: &K) -> Result<bool, Error> {
    let owners = object.meta().owner_references.as_deref().unwrap_or_default();
    for owner in owners {
        if exists(store, &owner.kind, &owner.name, &owner.uid).await? {
            return Ok(false);
        }
    }
    Ok(!owners.is_empty())
}

async fn exists(store: &Store, kind: &str, name: &str, uid: &str) -> Result<bool, Error> {
    let Some(info) = registry::find(kind) else {
        // An owner of a kind that is not ours cannot be looked up; what it owns is left alone.
        return Ok(true);
    };
    macro_rules! look_up {
        ($($k:ty),*) => { $(
            if info.kind == <$k as kube::Resource>::kind(&()) {
                let found = store.api::<$k>().get_opt(name).await?;
                return Ok(found.is_some_and(|o| o.metadata.uid.as_deref() == Some(uid)));
            }
        )* };
    }
    for_each_kind!(look_up);
    Ok(true)
}

/// Removes the oldest finished ActionRuns of each stack over [`KEPT_ACTIONS`].
async fn prune(store: &Store, fence: &Fence) -> Result<(), Error> {
    let api = store.api::<ActionRun>();
    let mut finished: BTreeMap<String, Vec<ActionRun>> = BTreeMap::new();
    for run in api.list(&ListParams::default()).await?.items {
        if run.status.as_ref().is_some_and(|s| s.phase.is_final()) {
            finished.entry(run.spec.stack.clone()).or_default().push(run);
        }
    }
    for mut runs in finished.into_values() {
        runs.sort_by_key(|r| r.status.as_ref().and_then(|s| s.finished_at));
        let over = runs.len().saturating_sub(KEPT_ACTIONS);
        for run in &runs[..over] {
            let params = DeleteParams { uid: run.metadata.uid.clone(), resource_version: None };
            match api.delete_fenced(run.name(), &params, fence).await {
                Ok(_) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// Removes the incidents of each stack that have been over for [`INCIDENT_AGE`], and the oldest over [`KEPT_INCIDENTS`].
async fn prune_incidents(store: &Store, fence: &Fence) -> Result<(), Error> {
    let api = store.api::<Incident>();
    let mut over: BTreeMap<String, Vec<Incident>> = BTreeMap::new();
    for incident in api.list(&ListParams::default()).await?.items {
        if incident.status.as_ref().is_some_and(|s| s.phase == IncidentPhase::Resolved) {
            over.entry(incident.spec.stack.clone()).or_default().push(incident);
        }
    }
    let now = store.clock().now();
    let resolved_at = |i: &Incident| i.status.as_ref().and_then(|s| s.resolved_at);
    for mut incidents in over.into_values() {
        incidents.sort_by_key(|i| resolved_at(i));
        let many = incidents.len().saturating_sub(KEPT_INCIDENTS);
        let is_old = |i: &Incident| resolved_at(i).is_some_and(|at| elapsed(at, now) > INCIDENT_AGE);
        for (_, incident) in incidents.iter().enumerate().filter(|(n, i)| *n < many || is_old(i)) {
            let params = DeleteParams { uid: incident.metadata.uid.clone(), resource_version: None };
            match api.delete_fenced(incident.name(), &params, fence).await {
                Ok(_) | Err(Error::NotFound { .. } | Error::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}
