//! Snapshot controller: packs what is known of this host's stacks when something has gone wrong, or when somebody asks. When that is so is
//! decided in [`crate::audit::snapshots`], what is in a pack in [`crate::audit::pack::contents`]; here it is gathered and put away.
//!
//! It reads, and nothing that changes a stack waits for it.

mod gather;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use kube::Resource;
use kube::runtime::reflector::{self, ObjectRef};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::owner::belongs_to;
use super::runtime::{Action, ReconcileError, Sources, lead};
use super::{Context, Controller};
use crate::api::action::ActionRun;
use crate::api::incident::{Incident, IncidentPhase};
use crate::api::snapshot::{Snapshot, SnapshotPhase, SnapshotStatus};
use crate::api::soak::SoakRun;
use crate::api::stack::WicapStack;
use crate::api::{Object, Time, elapsed, reason};
use crate::audit::pack::builder::Built;
use crate::audit::pack::contents::pack;
use crate::audit::pack::retention::{Kept, Limits, to_remove};
use crate::audit::pack::shelf::Shelf;
use crate::audit::snapshots::{Turn, turn};
use crate::store::election::Fence;
use crate::store::events::{Recorder, Severity};
use crate::store::{DeleteParams, Error};

/// The directory of this host's packs, below the data directory.
pub const DIRECTORY: &str = "packs";

/// What is kept of this host's packs: a bad night's worth, for two weeks, in less than an eighth of a small disk.
const LIMITS: Limits = Limits { count: 100, age: SignedDuration::from_hours(14 * 24), bytes: 2 * 1024 * 1024 * 1024 };

/// How often it is looked whether packs are too old.
const RESYNC: Duration = Duration::from_secs(600);

/// Runs the snapshot controller until `shutdown`.
pub async fn run(context: Context, shutdown: CancellationToken) {
    let name = format!("{}.{}", Controller::Snapshot, context.host);
    lead(&context.store, &name, &context.identity, &shutdown, |fence, ending| {
        let context = context.clone();
        async move {
            let mut sources = Sources::<WicapStack>::new(&context.store);
            let snapshots = sources.watch::<Snapshot>(|s| vec![ObjectRef::new(&s.spec.stack)]);
            let incidents = sources.watch::<Incident>(|i| vec![ObjectRef::new(&i.spec.stack)]);
            let actions = sources.watch::<ActionRun>(|a| vec![ObjectRef::new(&a.spec.stack)]);
            let soaks = sources.watch::<SoakRun>(|r| vec![ObjectRef::new(&r.spec.stack)]);
            let ready = async {
                snapshots.wait_until_ready().await?;
                incidents.wait_until_ready().await?;
                actions.wait_until_ready().await?;
                soaks.wait_until_ready().await
            };
            if ready.await.is_err() {
                return;
            }
            let recorder = Recorder::new(context.store.clone(), Controller::Snapshot.as_str(), &context.host);
            let packing = Mutex::default();
            let controller =
                Arc::new(Snapshots { context, fence, recorder, asked: snapshots, incidents, actions, soaks, packing });
            sources.run(controller, ending, |stack, controller| async move { controller.reconcile(&stack).await }).await;
        }
    })
    .await;
}

struct Snapshots {
    context: Context,
    fence: Fence,
    recorder: Recorder,
    asked: reflector::Store<Snapshot>,
    incidents: reflector::Store<Incident>,
    actions: reflector::Store<ActionRun>,
    soaks: reflector::Store<SoakRun>,
    /// One pack at a time on a host: it takes memory, and the disk.
    packing: Mutex<()>,
}

fn all<K: Object>(cache: &reflector::Store<K>) -> Vec<K> {
    cache.state().iter().map(|object| object.as_ref().clone()).collect()
}

impl Snapshots {
    async fn reconcile(&self, stack: &WicapStack) -> Result<Action, ReconcileError> {
        if stack.spec.host != self.context.host || stack.meta().deletion_timestamp.is_some() {
            return Ok(Action::await_change());
        }
        let now = self.context.store.clock().now();
        let snapshots = all(&self.asked);
        let Turn { create, pack, again } =
            turn(stack, &all(&self.incidents), &all(&self.actions), &all(&self.soaks), &snapshots, now);
        for mut snapshot in create {
            belongs_to(stack, snapshot.meta_mut());
            match self.context.store.transaction().fence(&self.fence).create(&snapshot)?.commit().await {
                // The cache lags behind.
                Ok(_) | Err(Error::AlreadyExists { .. } | Error::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut waiting: Vec<&Snapshot> = snapshots.iter().filter(|s| pack.iter().any(|name| name == s.name())).collect();
        // The cache has no order, and the pack's words must not depend on chance.
        waiting.sort_by_key(|snapshot| snapshot.name());
        if !waiting.is_empty() {
            let _one = self.packing.lock().await;
            let status = self.make(stack, &waiting, now).await;
            self.tell(stack, &waiting, &status).await?;
        }
        self.tidy(now).await?;
        Ok(Action::requeue(again.map_or(RESYNC, |at| elapsed(now, at))))
    }

    /// Makes a pack for all that wait, and says what became of it.
    async fn make(&self, stack: &WicapStack, waiting: &[&Snapshot], now: Time) -> SnapshotStatus {
        let inputs = gather::gather(&self.context, stack, waiting, now).await;
        let missing = inputs.missing.join("; ");
        let directory = self.context.data_dir.join(DIRECTORY);
        // Compressing and writing take a second of a core.
        let made = tokio::task::spawn_blocking(move || put(inputs, &directory)).await;
        let failed = |why: String| {
            tracing::warn!(stack = stack.name(), why, "no pack could be made");
            SnapshotStatus {
                phase: SnapshotPhase::Failed,
                host: Some(self.context.host.clone()),
                made_at: Some(now),
                message: Some(why),
                ..SnapshotStatus::default()
            }
        };
        match made {
            Ok(Ok((file, built))) => SnapshotStatus {
                phase: SnapshotPhase::Completed,
                host: Some(self.context.host.clone()),
                file: Some(file),
                bytes: Some(built.bytes.len() as u64),
                digest: Some(built.digest),
                made_at: Some(now),
                message: (!missing.is_empty()).then(|| format!("without {missing}")),
            },
            Ok(Err(why)) => failed(why),
            Err(error) => failed(error.to_string()),
        }
    }

    async fn tell(&self, stack: &WicapStack, waiting: &[&Snapshot], status: &SnapshotStatus) -> Result<(), ReconcileError> {
        for snapshot in waiting {
            let mut told = (*snapshot).clone();
            told.status = Some(status.clone());
            match self.context.store.api().replace_status(&told, Some(&self.fence)).await {
                Ok(_) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let for_what: Vec<&str> = waiting.iter().map(|s| s.spec.object.as_deref().unwrap_or(s.name())).collect();
        let (severity, reason, text) = match &status.file {
            Some(file) => (Severity::Normal, reason::SNAPSHOT_MADE, format!("{file} for {}", for_what.join(", "))),
            None => (Severity::Warning, reason::SNAPSHOT_FAILED, status.message.clone().unwrap_or_default()),
        };
        self.recorder.publish(stack, severity, reason, &text).await;
        Ok(())
    }

    /// Removes the packs that are too many, too old or too large together, and the snapshots whose packs are gone.
    async fn tidy(&self, now: Time) -> Result<(), ReconcileError> {
        let snapshots = all(&self.asked);
        let of_host = |s: &&Snapshot| s.status.as_ref().is_some_and(|s| s.host.as_deref() == Some(&self.context.host));
        let resolved = |object: &str| {
            let incident = object.strip_prefix("incident/").and_then(|name| self.incidents.get(&ObjectRef::new(name)));
            incident.is_none_or(|i| i.status.as_ref().is_some_and(|s| s.phase == IncidentPhase::Resolved))
        };
        let file_of = |s: &Snapshot| s.status.as_ref().and_then(|s| s.file.clone());
        let pinned: BTreeSet<String> = snapshots
            .iter()
            .filter(|s| s.spec.object.as_deref().is_some_and(|object| !resolved(object)))
            .filter_map(file_of)
            .collect();
        let directory = self.context.data_dir.join(DIRECTORY);
        let kept = tokio::task::spawn_blocking(move || remove(&directory, &pinned, now)).await.ok().flatten();
        let Some(kept) = kept else { return Ok(()) };
        for snapshot in snapshots.iter().filter(of_host) {
            let Some(made) = snapshot.status.as_ref().and_then(|s| s.made_at) else { continue };
            let is_over = match file_of(snapshot) {
                // What was made a moment ago may not be in the list yet.
                Some(file) => !kept.contains(&file) && elapsed(made, now) > RESYNC,
                // There is none: it is kept as long as one would be.
                None => now.duration_since(made) > LIMITS.age,
            };
            if is_over {
                let params = DeleteParams { uid: snapshot.meta().uid.clone(), resource_version: None };
                match self.context.store.api::<Snapshot>().delete_fenced(snapshot.name(), &params, &self.fence).await {
                    Ok(_) | Err(Error::NotFound { .. } | Error::Conflict { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }
}

fn put(inputs: crate::audit::pack::contents::Inputs, directory: &Path) -> Result<(String, Built), String> {
    let built = pack(inputs).map_err(|e| e.to_string())?;
    let shelf = Shelf::new(directory).map_err(|e| e.to_string())?;
    let file = shelf.put(&built).map_err(|e| e.to_string())?;
    Ok((file, built))
}

/// Removes what is too much, and returns the names of what stays.
fn remove(directory: &Path, pinned: &BTreeSet<String>, now: Time) -> Option<BTreeSet<String>> {
    if !directory.exists() {
        return Some(BTreeSet::new());
    }
    let tidied = || {
        let shelf = Shelf::new(directory)?;
        let packs = shelf.list()?;
        let kept: Vec<Kept> = packs
            .into_iter()
            .map(|p| Kept { pinned: pinned.contains(&p.name), name: p.name, at: p.at, bytes: p.bytes })
            .collect();
        let gone: BTreeSet<String> = to_remove(&kept, LIMITS, now).into_iter().collect();
        for name in &gone {
            shelf.remove(name)?;
        }
        Ok::<_, crate::audit::pack::shelf::Error>(
            kept.into_iter().map(|k| k.name).filter(|name| !gone.contains(name)).collect(),
        )
    };
    tidied().inspect_err(|error| tracing::warn!(%error, "old packs cannot be removed")).ok()
}
