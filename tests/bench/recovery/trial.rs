//! One hurt, and how it was mended: by wicap, by hand, or by a peer.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use kube::runtime::watcher::Event;
use tokio::task::JoinHandle;
use wicap::api::Object;
use wicap::api::action::{ActionRun, StepKind};
use wicap::api::stack::{ServiceState, WicapStack};
use wicap::observe::engine::{ContainerEvent, Engine};
use wicap::store::{ListParams, Store, WatchParams};

use crate::fault::Fault;
use crate::stage::Stage;

/// How long anybody may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Where the time went. Milliseconds.
#[derive(Clone, Debug, Default)]
pub struct Times {
    /// From the hurt until the stack's status says so.
    pub detect: f64,
    /// From there to the claim.
    pub decide: f64,
    /// The call.
    pub act: f64,
    /// From its answer to the action's end.
    pub verify: f64,
    /// From the hurt until it serves.
    pub total: f64,
    /// From the status that says so until it serves.
    pub seen: f64,
}

/// What the engine has told, and what the stack's status has said when.
pub struct Ear {
    events: Arc<Mutex<Vec<ContainerEvent>>>,
    /// When a service was said not to be well.
    bad: Arc<Mutex<Vec<(Timestamp, String)>>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Ear {
    pub fn new(engine: &Engine, stage: &Stage, store: Option<&Store>) -> Self {
        let (events, bad) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let (into, project, stream) = (Arc::clone(&events), stage.project.clone(), engine.events());
        let listening = tokio::spawn(async move {
            let mut stream = std::pin::pin!(stream);
            while let Some(Ok(event)) = stream.next().await {
                if event.project == project {
                    into.lock().unwrap().push(event);
                }
            }
        });
        let mut tasks = vec![listening];
        if let Some(store) = store {
            let mut changes = Box::pin(store.api::<WicapStack>().watch(&WatchParams::default()).expect("no selector"));
            let into = Arc::clone(&bad);
            tasks.push(tokio::spawn(async move {
                while let Some(event) = changes.next().await {
                    if let Ok(Event::Apply(stack) | Event::InitApply(stack)) = event {
                        let now = Timestamp::now();
                        let well = [ServiceState::Running, ServiceState::Starting, ServiceState::Unknown];
                        for service in stack.status.iter().flat_map(|s| &s.services) {
                            if !well.contains(&service.state) || !service.missing_networks.is_empty() {
                                into.lock().unwrap().push((now, service.name.clone()));
                            }
                        }
                    }
                }
            }));
        }
        Self { events, bad, tasks }
    }

    /// The first event of that kind and service after a time, waited for.
    pub async fn heard(&self, action: &str, service: &str, after: Timestamp) -> Option<Timestamp> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let found = {
                let events = self.events.lock().unwrap();
                let fits = |e: &&ContainerEvent| e.action.starts_with(action) && e.service == service && e.time >= after;
                events.iter().find(fits).map(|e| e.time)
            };
            if found.is_some() || tokio::time::Instant::now() > deadline {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits until the engine has had nothing to tell for that long: a peer that noticed late what was mended by hand still acts on it.
    pub async fn quiet(&self, time: Duration) {
        let begun = Timestamp::now();
        loop {
            let last = self.events.lock().unwrap().last().map_or(begun, |e| e.time.max(begun));
            let waited = Timestamp::now().duration_since(last);
            let Some(rest) = time.checked_sub(waited.unsigned_abs()).filter(|rest| !rest.is_zero()) else { return };
            tokio::time::sleep(rest).await;
        }
    }

    /// Starts and creations of containers after a time: of that service, and of all others.
    pub fn starts(&self, service: &str, after: Timestamp) -> (usize, usize) {
        let events = self.events.lock().unwrap();
        let all: Vec<_> = events.iter().filter(|e| e.time > after && e.action == "start").collect();
        let of = all.iter().filter(|e| e.service == service).count();
        (of, all.len() - of)
    }

    /// When the status first said after a time that the service was not well.
    fn seen(&self, service: &str, after: Timestamp) -> Option<Timestamp> {
        let bad = self.bad.lock().unwrap();
        bad.iter().find(|(at, name)| name == service && *at >= after).map(|(at, _)| *at)
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

fn ms(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64() * 1000.0
}

/// Hurts, and says when it was hurt: by the engine's clock where the engine tells, and then as soon as it has told. The task ends when
/// whoever hurts has been answered.
async fn hurt(fault: Fault, stage: &Arc<Stage>, ear: &Ear) -> (Timestamp, JoinHandle<()>) {
    let before = Timestamp::now();
    let apply = Arc::clone(stage);
    let applying = tokio::task::spawn_blocking(move || fault.apply(&apply));
    let told = match fault {
        Fault::Crash | Fault::Kill | Fault::Stop | Fault::BaseDeath => Some("die"),
        Fault::Removed => Some("destroy"),
        Fault::Paused => Some("pause"),
        Fault::Unhealthy => Some("health_status: unhealthy"),
        _ => None,
    };
    let Some(action) = told else {
        applying.await.expect("it can be hurt");
        return (Timestamp::now(), tokio::spawn(async {}));
    };
    let at = ear.heard(action, fault.service(), before).await.expect("the engine tells of it");
    (at, applying)
}

async fn until_serving(stage: &Arc<Stage>, service: &'static str, patience: Duration) -> Option<Timestamp> {
    let stage = Arc::clone(stage);
    tokio::task::spawn_blocking(move || stage.until_serving(service, patience)).await.expect("it can be asked")
}

/// Mended by wicap. `None`: not at all. The second figure is how many starts there were that nobody needed.
pub async fn by_wicap(fault: Fault, stage: &Arc<Stage>, ear: &Ear, store: &Store) -> Option<(Times, usize)> {
    let before = names(store).await;
    let (hurt_at, answered) = hurt(fault, stage, ear).await;
    answered.await.expect("it can be hurt");
    let service = fault.service();
    ear.heard("start", service, hurt_at).await?;
    let serving = until_serving(stage, service, PATIENCE).await?;
    let runs = ended(store, &before).await;
    let mended = runs.iter().rev().find(|r| r.spec.target == service || r.spec.target.is_empty())?;
    let status = mended.status.as_ref()?;
    let step = |kind| status.steps.iter().find(|s| s.kind == kind);
    let executed = step(StepKind::Execute)?;
    let seen = ear.seen(service, hurt_at).unwrap_or(hurt_at);
    let (claimed, answered) = (status.started_at?, executed.finished_at?);
    let (own, others) = ear.starts(service, hurt_at);
    let times = Times {
        detect: ms(hurt_at, seen),
        decide: ms(seen, claimed),
        act: ms(claimed, answered),
        verify: ms(answered, status.finished_at?),
        total: ms(hurt_at, serving),
        seen: ms(seen, serving),
    };
    Some((times, own.saturating_sub(1) + others))
}

/// Mended by hand, at once: from the engine's word, or where it has none from the call, until it serves.
pub async fn by_hand(fault: Fault, stage: &Arc<Stage>, ear: &Ear, engine: &Engine) -> Option<f64> {
    let (begun, answered) = hurt(fault, stage, ear).await;
    fault.remedy().apply(engine, stage, fault.service()).await;
    let serving = until_serving(stage, fault.service(), PATIENCE).await?;
    answered.await.expect("it can be hurt");
    Some(ms(begun, serving))
}

/// Mended by whoever does it, or not within that time: from the hurt until another process serves.
pub async fn by_peer(fault: Fault, stage: &Arc<Stage>, ear: &Ear, patience: Duration) -> Option<f64> {
    let (hurt_at, answered) = hurt(fault, stage, ear).await;
    answered.await.expect("it can be hurt");
    tokio::time::timeout(patience, ear.heard("start", fault.service(), hurt_at)).await.ok()??;
    Some(ms(hurt_at, until_serving(stage, fault.service(), patience).await?))
}

async fn names(store: &Store) -> Vec<String> {
    let runs = store.api::<ActionRun>().list(&ListParams::default()).await.expect("the store answers");
    runs.items.iter().map(|r| r.name().to_owned()).collect()
}

/// The actions since, all of them ended, in the order of their claims.
pub async fn ended(store: &Store, before: &[String]) -> Vec<ActionRun> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let runs = store.api::<ActionRun>().list(&ListParams::default()).await.expect("the store answers");
        let mut new: Vec<_> = runs.items.into_iter().filter(|r| !before.contains(&r.name().to_owned())).collect();
        let all_ended = new.iter().all(|r| r.status.as_ref().is_some_and(|s| s.phase.is_final()));
        if (all_ended && !new.is_empty()) || tokio::time::Instant::now() > deadline {
            new.sort_by_key(|r| r.status.as_ref().and_then(|s| s.started_at));
            return new;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
