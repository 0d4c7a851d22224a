//! What every controller is made of: leadership, watches that fill caches, a queue, and reconciles with failure backoff.
//!
//! ```text
//!  campaign ──▶ lead ──▶ watches ──▶ caches (reflector)
//!     ▲                    └──▶ queue ──▶ one reconcile an object at a time ──▶ requeue / backoff
//!     └──── lost ◀───────────────────────────┘   (dropped on the spot: a deposed leader does nothing more)
//! ```

use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::watcher::Event;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::backoff::FailureBackoff;
use super::queue::Queue;
use crate::api::Object;
use crate::store::election::{Fence, campaign};
use crate::store::{Error, Store, WatchParams};

/// How long reconciles that are under way may take to end when the process is asked to.
const GRACE: Duration = Duration::from_secs(10);

/// Runs `body` whenever this process leads the controller, until `shutdown`. The body is dropped when leadership is lost; it is
/// told by its token when it is to end in good order.
pub(crate) async fn lead<F, Fut>(store: &Store, controller: &str, identity: &str, shutdown: &CancellationToken, body: F)
where
    F: Fn(Fence, CancellationToken) -> Fut,
    Fut: Future<Output = ()>,
{
    loop {
        let leadership = tokio::select! {
            () = shutdown.cancelled() => return,
            leadership = campaign(store, controller, identity) => leadership,
        };
        let ending = shutdown.child_token();
        let run = body(leadership.fence.clone(), ending.clone());
        tokio::pin!(run);
        tokio::select! {
            () = leadership.lost.cancelled() => continue,
            () = shutdown.cancelled() => {
                let _ = tokio::time::timeout(GRACE, run).await;
            }
            // A body ends by itself only when one of its watches has died; standing again starts it afresh.
            () = &mut run => tracing::error!(controller, "the controller ended by itself; starting it again"),
        }
        leadership.resign().await;
    }
}

/// The queue of a controller for objects of kind `P`, and the watches that feed it.
pub(crate) struct Sources<P: Object> {
    store: Store,
    sender: mpsc::UnboundedSender<ObjectRef<P>>,
    receiver: mpsc::UnboundedReceiver<ObjectRef<P>>,
    tasks: JoinSet<()>,
    primary: reflector::Store<P>,
}

impl<P: Object> Sources<P>
where
    P::DynamicType: Eq + Hash + Clone,
{
    /// Watches the kind itself: every change of an object reconciles it.
    pub(crate) fn new(store: &Store) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        let (primary, writer) = reflector::store();
        let mut sources = Self { store: store.clone(), sender, receiver, tasks: JoinSet::new(), primary: primary.clone() };
        sources.spawn(primary, writer, |object: &P| vec![ObjectRef::from_obj(object)], false);
        sources
    }

    /// The cache of the kind itself.
    pub(crate) fn primary(&self) -> reflector::Store<P> {
        self.primary.clone()
    }

    /// A way to ask for a reconcile from elsewhere.
    pub(crate) fn waker(&self) -> mpsc::UnboundedSender<ObjectRef<P>> {
        self.sender.clone()
    }

    /// Runs a task that lives as long as the controller does.
    pub(crate) fn spawn_task(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Watches another kind too: a change of one of its objects reconciles those that `relate` names.
    pub(crate) fn watch<K: Object>(
        &mut self,
        relate: impl Fn(&K) -> Vec<ObjectRef<P>> + Send + 'static,
    ) -> reflector::Store<K> {
        let (cache, writer) = reflector::store();
        self.spawn(cache.clone(), writer, relate, true);
        cache
    }

    fn spawn<K: Object>(
        &mut self,
        cache: reflector::Store<K>,
        writer: reflector::store::Writer<K>,
        relate: impl Fn(&K) -> Vec<ObjectRef<P>> + Send + 'static,
        secondary: bool,
    ) {
        // Without a selector there is nothing that could be refused.
        let Ok(events) = self.store.api::<K>().watch(&WatchParams::default()) else { return };
        let events = events.filter_map(|event| async move {
            match event {
                Ok(event) => Some(Ok::<_, kube::runtime::watcher::Error>(event)),
                Err(error) => {
                    tracing::warn!(kind = %K::kind(&()), %error, "a watch was interrupted; it goes on");
                    None
                }
            }
        });
        let (sender, primary) = (self.sender.clone(), self.primary.clone());
        self.tasks.spawn(async move {
            let mut events = std::pin::pin!(reflector::reflector(writer, events));
            let mut before = Vec::new();
            while let Some(Ok(event)) = events.next().await {
                let mut related: Vec<_> = match &event {
                    Event::Apply(object) | Event::Delete(object) => relate(object),
                    Event::Init => {
                        before = cache.state();
                        Vec::new()
                    }
                    // The cache is still the old one, and whoever was told now would find nothing new in it.
                    Event::InitApply(_) => Vec::new(),
                    // What vanished while nobody watched is in no event.
                    Event::InitDone => {
                        let known = std::mem::take(&mut before).into_iter().chain(cache.state());
                        let related = known.flat_map(|object| relate(&object)).collect::<Vec<_>>();
                        let all = if secondary { primary.state() } else { Vec::new() };
                        related.into_iter().chain(all.iter().map(|o| ObjectRef::from_obj(o.as_ref()))).collect()
                    }
                };
                // A cache has no order of its own, and what is done first must not be chance: a history can be told again.
                related.sort_unstable_by(|a, b| a.name.cmp(&b.name));
                related.dedup_by(|a, b| a.name == b.name);
                for object in related {
                    if sender.send(object).is_err() {
                        return;
                    }
                }
            }
        });
    }

    /// Reconciles until `ending`, then lets what is under way end. Several objects side by side, each by one reconcile at a time.
    ///
    /// `reconcile` gets the object as it stands in the cache, and returns when to look again by itself.
    pub(crate) async fn run<Ctx, F, Fut>(self, context: Arc<Ctx>, ending: CancellationToken, reconcile: F)
    where
        Ctx: Send + Sync + 'static,
        F: Fn(Arc<P>, Arc<Ctx>) -> Fut,
        Fut: Future<Output = Result<Action, ReconcileError>> + Send + 'static,
    {
        let Self { mut receiver, tasks: mut watches, primary, .. } = self;
        tokio::select! {
            biased;
            () = ending.cancelled() => return,
            ready = primary.wait_until_ready() => if ready.is_err() { return },
        }
        let (backoff, mut queue, mut running) = (FailureBackoff::default(), Queue::default(), JoinSet::new());
        loop {
            while let Some(name) = queue.take(Instant::now()) {
                let Some(object) = primary.get(&ObjectRef::new(&name)) else {
                    queue.done(&name);
                    continue;
                };
                let reconciled = reconcile(object, Arc::clone(&context));
                running.spawn(async move { (name, reconciled.await) });
            }
            let next = queue.next();
            tokio::select! {
                biased;
                () = ending.cancelled() => break,
                // Watches never end; one that did has panicked, and the controller would be blind without it.
                _ = watches.join_next() => return,
                Some(object) = receiver.recv() => queue.add(object.name, Instant::now()),
                Some(done) = running.join_next() => {
                    let (name, done) = match done {
                        Ok(done) => done,
                        Err(ended) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
                        // The runtime is shutting down.
                        Err(_) => return,
                    };
                    queue.done(&name);
                    let again = match done {
                        Ok(Action { again }) => {
                            backoff.succeeded(&name);
                            again
                        }
                        Err(error) => Some(failed::<P>(&backoff, &name, &error)),
                    };
                    // What is too far away for a clock is never.
                    if let Some(at) = again.and_then(|wait| Instant::now().checked_add(wait)) {
                        queue.add(name, at);
                    }
                }
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            }
        }
        while running.join_next().await.is_some() {}
    }
}

/// Says why a reconcile failed. Returns when to try again.
fn failed<P: Object>(backoff: &FailureBackoff, name: &str, error: &ReconcileError) -> Duration {
    let wait = backoff.failed(name);
    // A cache that lags behind a write, our own or another's, is the rule and not trouble.
    if matches!(error, ReconcileError::Store(Error::Conflict { .. })) {
        tracing::debug!(kind = %P::kind(&()), name, %error, ?wait, "a reconcile came too early");
    } else {
        tracing::warn!(kind = %P::kind(&()), name, %error, ?wait, "a reconcile failed");
    }
    wait
}

/// When an object is to be looked at again without a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Action {
    again: Option<Duration>,
}

impl Action {
    /// After that time.
    pub(crate) fn requeue(after: Duration) -> Self {
        Self { again: Some(after) }
    }

    /// Not before something changes.
    pub(crate) fn await_change() -> Self {
        Self { again: None }
    }
}

/// Why a reconcile failed. All are tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReconcileError {
    /// The store.
    #[error(transparent)]
    Store(#[from] Error),
    /// The engine or Compose, when the action was about to be claimed.
    #[error(transparent)]
    Act(#[from] crate::act::ActError),
    /// The recorded evidence of a soak run.
    #[error(transparent)]
    Journal(#[from] crate::soak::journal::JournalError),
}

impl From<super::actuator::claim::Error> for ReconcileError {
    fn from(error: super::actuator::claim::Error) -> Self {
        match error {
            super::actuator::claim::Error::Store(error) => Self::Store(error),
            super::actuator::claim::Error::Act(error) => Self::Act(error),
        }
    }
}
