//! Observer: writes what is true of the stacks of this host. Never acts.
//!
//! Docker's events and changed probe verdicts wake it; a look every ten seconds makes it level-triggered, so that a lost event
//! costs seconds and nothing else. It writes when what it sees has changed, when an action has ended since it last wrote (the
//! planner believes nothing older), and a heartbeat now and then.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use kube::runtime::reflector::{self, ObjectRef};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Mutex, Notify};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::runtime::{Action, ReconcileError, Sources, lead};
use super::{Context, Controller};
use crate::api::action::ActionRun;
use crate::api::stack::{HEARTBEAT, Logs, ProbeStatus, ServiceState, WicapStack, WicapStackStatus};
use crate::api::{Object, Time, condition, elapsed, reason};
use crate::observe::compose::ConfigCache;
use crate::observe::engine::{Container, Engine, EngineError, Look, Surroundings};
use crate::observe::images::ImageCache;
use crate::observe::observation::{Seen, changed, image_name, observe, strangers};
use crate::observe::probe::{Asker, ProbeSet};
use crate::plan::ladder::{COUNT_APART, counts_observations};
use crate::signature::rules;
use crate::store::election::Fence;
use crate::store::events::{Recorder, Severity};

/// How often every stack is looked at without any event: an engine that went silent must be noticed within 15 s, and one look
/// may take 5 s to fail.
const RESYNC: Duration = Duration::from_secs(10);

/// Wait before the event stream of an engine that does not answer is opened again.
const RECONNECT: Duration = Duration::from_millis(500);

/// Runs the observer until `shutdown`.
pub async fn run(context: Context, shutdown: CancellationToken) {
    let name = format!("{}.{}", Controller::Observer, context.host);
    lead(&context.store, &name, &context.identity, &shutdown, |fence, ending| {
        let context = context.clone();
        async move {
            let mut sources = Sources::<WicapStack>::new(&context.store);
            let images = ImageCache::new(context.engine.clone());
            let woken = Woken {
                stacks: sources.primary(),
                waker: sources.waker(),
                host: context.host.clone(),
                touched: Arc::default(),
                gaps: Arc::default(),
            };
            sources.spawn_task(follow_containers(context.engine.clone(), woken.clone()));
            sources.spawn_task(follow_surroundings(context.engine.clone(), images.clone(), woken.clone()));
            let actions =
                sources.watch::<ActionRun>(|a| ended(a).map(|_| ObjectRef::new(&a.spec.stack)).into_iter().collect());
            let all_watched = AllWatched::default();
            sources.spawn_task(forget(Arc::clone(&all_watched), sources.primary(), context.host.clone()));
            let observer = Arc::new(Observer {
                recorder: Recorder::new(context.store.clone(), Controller::Observer.as_str(), &context.host),
                woken,
                watched: all_watched,
                images,
                actions,
                fence,
                context,
            });
            sources.run(observer, ending, |stack, observer| async move { observer.reconcile(&stack).await }).await;
        }
    })
    .await;
}

/// Ends the probes of stacks that were deleted or have moved to another host, for ever.
async fn forget(watched: AllWatched, stacks: reflector::Store<WicapStack>, host: String) {
    loop {
        sleep(RESYNC).await;
        let stacks = stacks.state();
        let ours = |uid: &String| stacks.iter().any(|s| s.metadata.uid.as_ref() == Some(uid) && s.spec.host == host);
        watched.lock().await.retain(|uid, _| ours(uid));
    }
}

/// The stacks of this host, to be looked at again.
#[derive(Clone)]
struct Woken {
    stacks: reflector::Store<WicapStack>,
    waker: UnboundedSender<ObjectRef<WicapStack>>,
    host: String,
    /// By project, the containers to which something has happened since they were last looked at.
    touched: Arc<std::sync::Mutex<HashMap<String, BTreeSet<String>>>>,
    /// Counts the times at which events may have been missed.
    gaps: Arc<AtomicU64>,
}

impl Woken {
    /// Wakes those; something has happened to that container.
    fn touch(&self, container: &str, concerned: impl Fn(&WicapStack) -> bool) {
        let mark = |stack: &WicapStack| {
            let concerned = concerned(stack);
            if concerned {
                let mut touched = self.touched.lock().unwrap_or_else(PoisonError::into_inner);
                touched.entry(stack.spec.compose.project.clone()).or_default().insert(container.to_owned());
            }
            concerned
        };
        self.wake(mark);
    }

    /// Wakes all; what has happened meanwhile is not known.
    fn wake_all_anew(&self) {
        self.gaps.fetch_add(1, Ordering::AcqRel);
        self.wake(|_| true);
    }

    fn wake(&self, concerned: impl Fn(&WicapStack) -> bool) {
        for stack in self.stacks.state() {
            if stack.spec.host == self.host && concerned(&stack) {
                let _ = self.waker.send(ObjectRef::from_obj(stack.as_ref()));
            }
        }
    }
}

/// Turns the events of containers into wake-ups, for ever.
async fn follow_containers(engine: Engine, woken: Woken) {
    loop {
        let mut events = std::pin::pin!(engine.events());
        let mut connected = false;
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    // The first event after a gap says that there was one: everything may have changed.
                    if !connected {
                        woken.wake_all_anew();
                    }
                    woken.touch(&event.container_id, |stack| stack.spec.compose.project == event.project);
                    connected = true;
                }
                Err(error) => {
                    tracing::warn!(%error, "the engine's events are interrupted");
                    break;
                }
            }
        }
        woken.wake_all_anew();
        sleep(RECONNECT).await;
    }
}

/// Turns the events of images and networks into wake-ups, for ever. One that is lost costs no more than the next regular look.
async fn follow_surroundings(engine: Engine, images: ImageCache, woken: Woken) {
    loop {
        let mut events = std::pin::pin!(engine.surroundings());
        // The other stream says so when the engine is away.
        while let Some(Ok(event)) = events.next().await {
            match event {
                Surroundings::Image => {
                    images.forget();
                    woken.wake(|_| true);
                }
                // A network that a container is connected to before its first start is no news: that one is not known yet.
                Surroundings::Network { container_id } => woken.touch(&container_id, |stack| {
                    let services = stack.status.iter().flat_map(|status| &status.services);
                    services.filter_map(|service| service.container_id.as_ref()).any(|id| *id == container_id)
                }),
            }
        }
        images.forget();
        sleep(RECONNECT).await;
    }
}

/// What is kept of each stack between looks, by uid.
type AllWatched = Arc<Mutex<HashMap<String, Arc<Mutex<Watched>>>>>;

struct Observer {
    context: Context,
    fence: Fence,
    recorder: Recorder,
    woken: Woken,
    watched: AllWatched,
    images: ImageCache,
    actions: reflector::Store<ActionRun>,
}

fn ended(run: &ActionRun) -> Option<Time> {
    run.status.as_ref()?.finished_at
}

/// What is kept of a stack between looks.
struct Watched {
    config: ConfigCache,
    /// What was said last about a configuration that cannot be read, so that it is said once.
    config_error: Option<String>,
    probes: ProbeSet,
    look: Look,
    /// When every container was inspected last, and how many gaps there had been by then. None: not since a look has failed.
    looked: Option<(Instant, u64)>,
    wakes: AbortHandle,
    /// Of the spec that was looked at last.
    generation: Option<i64>,
    /// What the probes read logs by, and the project that the look is at: neither is taken over when it changes.
    kept_for: (Logs, String),
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.wakes.abort();
    }
}

impl Observer {
    async fn reconcile(&self, stack: &WicapStack) -> Result<Action, ReconcileError> {
        if stack.spec.host != self.context.host {
            return Ok(Action::await_change());
        }
        let watched = self.watched(stack).await;
        let mut watched = watched.lock().await;
        // First, because it makes the secrets of the stack's environment known: what a container says may repeat them.
        let config = match watched.config.get(&stack.spec.compose).await {
            Ok(config) => {
                watched.config_error = None;
                Some(config)
            }
            Err(error) => {
                let text = error.to_string();
                if watched.config_error.as_ref() != Some(&text) {
                    tracing::warn!(stack = stack.name(), %error, "the compose configuration cannot be read");
                    watched.config_error = Some(text);
                }
                watched.config.peek()
            }
        };
        // Before the look: what happens during it may not be seen.
        let now = self.context.store.clock().now();
        let looked = self.look(&stack.spec.compose.project, &mut watched).await;
        let containers = looked.as_deref().map_err(ToString::to_string);
        if let Ok(containers) = &containers {
            watched.probes.sync(&stack.spec, containers);
        }
        let mut all_services = None;
        let mut images = HashMap::new();
        if let Ok(containers) = &containers {
            if config.as_ref().is_some_and(|config| strangers(containers, config).next().is_some()) {
                all_services = watched.config.services(&stack.spec.compose).await;
            }
            let kept = containers.iter().filter(|c| stack.spec.service(&c.service).is_some());
            let names: BTreeSet<&str> = kept.map(|c| image_name(c, config.as_deref())).collect();
            images = self.images.resolve(&names).await;
        }
        let verdicts: HashMap<&str, Vec<ProbeStatus>> =
            stack.spec.services.iter().map(|s| (s.name.as_str(), watched.probes.statuses(&s.name))).collect();
        let probes = |service: &str| verdicts.get(service).cloned().unwrap_or_default();
        let seen = Seen {
            containers: containers.as_deref().map_err(String::as_str),
            config: config.as_deref(),
            all_services: all_services.as_deref(),
            images: &|name| images.get(name).cloned(),
            probes: &probes,
        };
        let actions = self.actions.state();
        let last_end = actions.iter().filter(|a| a.spec.stack == stack.name()).filter_map(|a| ended(a)).max();
        let mut before = None;
        let api = self.context.store.api::<WicapStack>();
        let written = api
            .update_status(stack, &self.fence, |stored, status| {
                let new = observe(stored, &seen, now);
                let old = stored.status.as_ref();
                let due = old
                    .and_then(|s| s.observed_at)
                    .is_none_or(|at| elapsed(at, now) >= HEARTBEAT || last_end.is_some_and(|end| at <= end && end < now));
                let counts = || {
                    let apart = old.and_then(|s| s.observed_at).is_none_or(|at| elapsed(at, now) >= COUNT_APART);
                    apart && counts_observations(&stored.spec, &new)
                };
                if changed(old, &new) || due || counts() {
                    before = Some(old.cloned());
                    *status = new;
                    status.observed_at = Some(now);
                }
            })
            .await?;
        if let (Some(before), Some(after)) = (before, &written.status) {
            self.tell(&written, before.as_ref(), after).await;
        }
        Ok(Action::requeue(RESYNC))
    }

    /// The containers as they are now. Those to which nothing has happened are inspected every [`RESYNC`] only: events are for speed.
    async fn look(&self, project: &str, watched: &mut Watched) -> Result<Vec<Container>, EngineError> {
        let gaps = self.woken.gaps.load(Ordering::Acquire);
        // Before the look: what happens during it is looked at once more.
        let touched = self.woken.touched.lock().unwrap_or_else(PoisonError::into_inner).remove(project).unwrap_or_default();
        let all = watched.looked.is_none_or(|(at, then)| then != gaps || at.elapsed() >= RESYNC);
        let begun = Instant::now();
        let looked = self.context.engine.look(project, &mut watched.look, |id| all || touched.contains(id)).await;
        match looked {
            Ok(()) if all => watched.looked = Some((begun, gaps)),
            Ok(()) => {}
            Err(_) => watched.looked = None,
        }
        looked.map(|()| watched.look.containers())
    }

    /// Events for what an operator would want to know.
    async fn tell(&self, stack: &WicapStack, before: Option<&WicapStackStatus>, after: &WicapStackStatus) {
        let observed =
            |status: &WicapStackStatus| condition::get(&status.conditions, condition::OBSERVED).map(|c| c.status.clone());
        let (was, is) = (before.and_then(observed), observed(after));
        if was != is {
            if is.as_deref() == Some("True") {
                if was.is_some() {
                    self.recorder.publish(stack, Severity::Normal, reason::ENGINE_ANSWERS, "the engine answers again").await;
                }
            } else {
                let why = condition::get(&after.conditions, condition::OBSERVED).map_or("", |c| c.message.as_str());
                self.recorder.publish(stack, Severity::Warning, reason::ENGINE_SILENT, why).await;
                // That every service is Unknown now is the same news once more.
                return;
            }
        }
        for service in &after.services {
            let earlier = before.and_then(|b| b.service(&service.name)).map(|s| s.state);
            if earlier == Some(service.state) || earlier.is_none_or(|s| s == ServiceState::Unknown) {
                continue;
            }
            let from = earlier.map_or(String::new(), |s| format!("{s:?} -> "));
            let detail = service.message.as_deref().map_or(String::new(), |m| format!(": {m}"));
            let message = format!("{} {from}{:?}{detail}", service.name, service.state);
            let fine = matches!(service.state, ServiceState::Running | ServiceState::Starting);
            let severity = if fine { Severity::Normal } else { Severity::Warning };
            self.recorder.publish(stack, severity, reason::SERVICE_CHANGED, &message).await;
        }
    }

    /// What is kept of the stack. A change of its spec makes every container be looked at anew; what a probe has found out stays as long as
    /// the probe does.
    async fn watched(&self, stack: &WicapStack) -> Arc<Mutex<Watched>> {
        let uid = stack.metadata.uid.clone().unwrap_or_default();
        let generation = stack.metadata.generation;
        let kept_for = (stack.spec.logs.clone(), stack.spec.compose.project.clone());
        let mut all = self.watched.lock().await;
        if let Some(watched) = all.get(&uid) {
            let mut kept = watched.lock().await;
            if kept.generation != generation && kept.kept_for == kept_for {
                (kept.generation, kept.looked) = (generation, None);
            }
            if kept.generation == generation {
                return Arc::clone(watched);
            }
        }
        let wake = Arc::new(Notify::new());
        let (waker, object, woken) = (self.woken.waker.clone(), ObjectRef::from_obj(stack), Arc::clone(&wake));
        let wakes = tokio::spawn(async move {
            loop {
                woken.notified().await;
                if waker.send(object.clone()).is_err() {
                    return;
                }
            }
        });
        let watched = Arc::new(Mutex::new(Watched {
            config: ConfigCache::new(self.context.compose.clone()),
            config_error: None,
            look: Look::default(),
            looked: None,
            probes: ProbeSet::new(
                Asker {
                    dialer: self.context.dialer.clone(),
                    engine: self.context.engine.clone(),
                    clock: self.context.store.clock().clone(),
                    rules: Arc::new(rules::of(stack)),
                },
                wake,
            ),
            wakes: wakes.abort_handle(),
            generation,
            kept_for,
        }));
        all.insert(uid, Arc::clone(&watched));
        watched
    }
}
