//! Signals controller: reads the logs of this host's stacks, and calls for people when one says what they should know. It never acts.
//!
//! ```text
//!  stacks, containers ──▶ reconcile ──▶ a desk a stack: followers ──▶ register (pure) ──▶ Incidents, LogReport
//!                                                                          └──▶ file in the data directory
//! ```
//!
//! What a desk knows of the logs, and how far it has read each, are saved together: after a crash it reads again from there, and counts
//! each line once.

mod desk;
mod file;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kube::Resource;
use kube::runtime::reflector;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use self::desk::{Caches, Desk};
use super::runtime::{Action, ReconcileError, Sources, lead};
use super::{Context, Controller};
use crate::api::action::ActionRun;
use crate::api::incident::Incident;
use crate::api::log_report::LogReport;
use crate::api::soak::SoakRun;
use crate::api::stack::WicapStack;
use crate::api::{Object, Time};
use crate::observe::compose::ConfigCache;
use crate::store::election::Fence;
use crate::store::events::Recorder;

/// How often the containers of a stack are looked for without any change: those of services that its spec does not list tell nobody.
const RESYNC: Duration = Duration::from_secs(10);

/// Runs the signals controller until `shutdown`.
pub async fn run(context: Context, shutdown: CancellationToken) {
    let name = format!("{}.{}", Controller::Signals, context.host);
    lead(&context.store, &name, &context.identity, &shutdown, |fence, ending| {
        let context = context.clone();
        async move {
            let mut sources = Sources::<WicapStack>::new(&context.store);
            let caches = Caches {
                // What becomes of them bears on nothing here before the next tick.
                incidents: sources.watch::<Incident>(|_| Vec::new()),
                reports: sources.watch::<LogReport>(|_| Vec::new()),
                soaks: sources.watch::<SoakRun>(|_| Vec::new()),
                actions: sources.watch::<ActionRun>(|_| Vec::new()),
            };
            let ready = async {
                caches.incidents.wait_until_ready().await?;
                caches.reports.wait_until_ready().await?;
                caches.actions.wait_until_ready().await?;
                caches.soaks.wait_until_ready().await
            };
            if ready.await.is_err() {
                return;
            }
            let recorder = Recorder::new(context.store.clone(), Controller::Signals.as_str(), &context.host);
            let stacks = sources.primary();
            let controller = Arc::new(Signals { context, fence, recorder, stacks, caches, desks: Mutex::default() });
            let desks = Arc::clone(&controller);
            sources.run(controller, ending, |stack, controller| async move { controller.reconcile(&stack).await }).await;
            desks.close().await;
        }
    })
    .await;
}

struct Signals {
    context: Context,
    fence: Fence,
    recorder: Recorder,
    stacks: reflector::Store<WicapStack>,
    caches: Caches,
    /// By the stack's uid.
    desks: Mutex<HashMap<String, Entry>>,
}

/// The desk of a stack, and what it takes to know the stack's secrets before a line of its logs is read.
struct Entry {
    desk: Desk,
    config: ConfigCache,
}

impl Signals {
    async fn reconcile(&self, stack: &WicapStack) -> Result<Action, ReconcileError> {
        let mut desks = self.desks.lock().await;
        self.forget(&mut desks).await;
        let Some(uid) = stack.meta().uid.clone().filter(|_| is_followed(stack, &self.context.host)) else {
            return Ok(Action::await_change());
        };
        if !desks.contains_key(&uid) {
            let caches = self.caches.clone();
            let desk = Desk::open(stack, &self.context, self.fence.clone(), self.recorder.clone(), caches).await;
            desks.insert(uid.clone(), Entry { desk, config: ConfigCache::new(self.context.compose.clone()) });
        }
        let Some(entry) = desks.get_mut(&uid) else { return Ok(Action::await_change()) };
        // Both make secrets known: nothing of a log is kept that was read before. Files that cannot be read hide nothing new.
        let _ = entry.config.get(&stack.spec.compose).await;
        match self.context.engine.containers(&stack.spec.compose.project).await {
            Ok(containers) => entry.desk.see(stack, &containers).await,
            Err(error) => {
                tracing::debug!(stack = stack.name(), %error, "the containers whose logs are to be read are not known");
            }
        }
        Ok(Action::requeue(RESYNC))
    }

    /// Lets go of the logs of stacks that are gone, have moved, or are not to be read any more.
    async fn forget(&self, desks: &mut HashMap<String, Entry>) {
        let stacks = self.stacks.state();
        let stays =
            |uid: &String| stacks.iter().any(|s| s.meta().uid.as_ref() == Some(uid) && is_followed(s, &self.context.host));
        let gone: Vec<String> = desks.keys().filter(|uid| !stays(uid)).cloned().collect();
        for uid in gone {
            if let Some(entry) = desks.remove(&uid) {
                entry.desk.close().await;
            }
        }
        // A stack that is gone leaves nothing behind.
        let there = |uid: &str| stacks.iter().any(|s| s.meta().uid.as_deref() == Some(uid));
        file::sweep(&self.context.data_dir, there);
    }

    async fn close(&self) {
        for (_, entry) in self.desks.lock().await.drain() {
            entry.desk.close().await;
        }
    }
}

fn is_followed(stack: &WicapStack, host: &str) -> bool {
    stack.spec.host == host && stack.spec.logs.follow && stack.meta().deletion_timestamp.is_none()
}

/// The soak run that is under way on a stack.
fn soak_of(stack: &WicapStack, soaks: &reflector::Store<SoakRun>, at: Time) -> Option<String> {
    let is_under_way = |run: &SoakRun| {
        let status = run.status.as_ref();
        run.spec.stack == stack.name()
            && status.is_some_and(|s| s.evidence.is_some() && s.finished_at.is_none_or(|end| end > at))
    };
    let mut names: Vec<String> =
        soaks.state().iter().filter(|run| is_under_way(run)).map(|run| run.name().to_owned()).collect();
    names.sort();
    names.into_iter().next()
}
