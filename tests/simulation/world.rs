//! One history: the store, the engine, the processes and the operator, all in one thread whose clock is paused.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use etcd_client::{Client, CompactionOptions};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use wicap::api::action::ActionRun;
use wicap::api::condition;
use wicap::api::policy::ControlPolicy;
use wicap::api::session::ControlSession;
use wicap::api::stack::{Drift, ServiceState, WicapStack, WicapStackStatus};
use wicap::api::stop::{EmergencyStop, EmergencyStopSpec};
use wicap::api::{Object, Severity};
use wicap::clock::Clock;
use wicap::controllers::{Context, run};
use wicap::stop_file::StopFile;
use wicap::store::embedded::{Embedded, Options};
use wicap::store::{DeleteParams, ListParams, Patch, Store};

use super::docker::{Container, Docker, Phase, Trouble};
use super::doors::Doors;
use super::journal::Journal;
use super::judge::{self, Record};
use super::scenario::{Fault, Scenario};
use super::wire::{Ambush, Weather, Wire};

/// The controllers of a process. The others have no part in what is simulated.
const CONTROLLERS: &str = "observer,planner,actuator,session,gc";

/// How long a supervisor waits before it starts a process again.
const RESPAWN: Duration = Duration::from_secs(1);

/// Within that time after the last fault everything is as it should be, or a person has been called.
pub const SETTLES: Duration = Duration::from_secs(20 * 60);

/// What is at rest may still be written about for that long: a stable spell (30 s in every scenario) comes to its end.
const AFTERMATH: Duration = Duration::from_secs(35);

/// And what belonged to a stack that was deleted is collected once a minute.
const AFTERMATH_OF_A_DELETION: Duration = Duration::from_secs(70);

/// What the engine goes on starting may be seen in another state at each of its starts, and each kind of drift has a ladder: seven steps,
/// and it waits a minute at most before each.
const AFTERMATH_OF_A_LOOP: Duration = Duration::from_secs(7 * 60 + 10);

/// Where the engine goes on starting what others wait for, there is something to be done for them whenever all its containers happen to
/// run, which several do for hundredths of a second in a minute: their ladders may take that long, and need not come to their ends.
const SETTLES_IN_A_LOOP: Duration = Duration::from_secs(40 * 60);

/// What runs for that long is out of such a loop.
const RUNS_AGAIN: Duration = Duration::from_secs(10);

/// What does nothing for that long after it has settled: longer than a heartbeat and three resyncs.
const QUIET: Duration = Duration::from_secs(45);

/// Everything there is.
pub struct World {
    pub embedded: Embedded,
    pub docker: Docker,
    pub journal: Journal,
    pub store: Store,
    pub client: Client,
    pub record: Record,
    scenario: Scenario,
    slots: Vec<Arc<Slot>>,
    directory: String,
    /// Sessions so far.
    sessions: Mutex<u64>,
    ambush: Ambush,
}

/// A place for a process, in which one life follows the other.
struct Slot {
    name: String,
    weather: Arc<Mutex<Weather>>,
    cut: Arc<Mutex<CancellationToken>>,
    dead: Mutex<CancellationToken>,
}

/// How a history ended.
pub struct Ended {
    /// When it had settled, counted from the last fault; none when it did not.
    pub settled: Option<Duration>,
    /// The revision from which on nothing but heartbeats was to be written, and nothing done.
    pub quiet_from: i64,
    /// When that was.
    pub quiet_at: Duration,
    pub stack: Option<WicapStack>,
}

impl World {
    /// Begins one. `directory` exists, and has a compose file in it.
    pub async fn begin(scenario: Scenario, directory: &Path) -> Arc<Self> {
        let embedded = Embedded::in_memory(Options::default()).expect("memory is there");
        let clock = Clock::of_runtime("2026-01-01T00:00:00Z".parse().expect("a time"));
        let journal = Journal::new();
        let docker = Docker::new(clock.clone(), journal.clone(), scenario.programs.clone());
        let client = embedded.client().await.expect("a channel in memory");
        let store = Store::with_client(client.clone(), "embedded".parse().expect("a URL"), clock).acting_as("ann@host");
        let record = judge::follow(&client).await;
        let slots = (0..scenario.dies_at_write.len())
            .map(|n| {
                Arc::new(Slot {
                    name: format!("p{n}"),
                    weather: Arc::default(),
                    cut: Arc::default(),
                    dead: Mutex::default(),
                })
            })
            .collect();
        let directory = directory.to_str().expect("a plain path").to_owned();
        let sessions = Mutex::new(0);
        let ambush = Ambush::default();
        let world = Arc::new(Self {
            embedded,
            docker,
            journal,
            store,
            client,
            record,
            scenario,
            slots,
            directory,
            sessions,
            ambush,
        });
        if world.scenario.up {
            for service in world.scenario.programs.keys() {
                for _ in 0..world.docker.wanted(service) {
                    let id = world.docker.create(service);
                    world.docker.start(&id).await;
                }
                sleep(Duration::from_millis(50)).await;
            }
            sleep(Duration::from_secs(3)).await;
        }
        world.declare().await;
        world.open_session("Assist").await;
        for (n, slot) in world.slots.iter().enumerate() {
            let (world, slot) = (Arc::clone(&world), Arc::clone(slot));
            tokio::spawn(async move { world.live(n, &slot).await });
        }
        world
    }

    fn object<K: Object>(kind: &str, name: &str, spec: Value) -> K {
        let object = json!({"apiVersion": "wicap.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
        serde_json::from_value(object).expect("it is well formed")
    }

    async fn declare(&self) {
        let mut stack = self.scenario.stack.clone();
        stack["compose"]["directory"] = json!(self.directory);
        let policy = json!({
            "allow": [{"actions": ["group:safe", "group:caution"]}], "allowedRoots": [self.directory], "hosts": ["*"],
            "deny": self.denied(None),
        });
        let policies = self.store.api::<ControlPolicy>();
        if policies.get_opt("all").await.is_ok_and(|p| p.is_none()) {
            policies.create(&Self::object("ControlPolicy", "all", policy)).await.expect("it is a policy");
        }
        // A stack of that name may still be on its way out.
        while self.store.api::<WicapStack>().create(&Self::object("WicapStack", "wicap", stack.clone())).await.is_err() {
            sleep(Duration::from_secs(1)).await;
        }
        self.journal.say("operator", "declares the stack");
    }

    /// What the policy denies: always, and for now.
    fn denied(&self, now: Option<&str>) -> Value {
        let actions: Vec<&str> = self.scenario.forbidden.into_iter().chain(now).collect();
        if actions.is_empty() { json!([]) } else { json!([{"actions": actions}]) }
    }

    async fn forbid(&self, now: Option<&str>) {
        let patch = Patch::Merge(json!({"spec": {"deny": self.denied(now)}}));
        let _ = self.store.api::<ControlPolicy>().patch("all", &patch).await;
    }

    /// Opens the next session, in that mode.
    pub async fn open_session(&self, mode: &str) -> String {
        let number = {
            let mut sessions = self.sessions.lock().unwrap();
            *sessions += 1;
            *sessions
        };
        let session = json!({
            "stack": "wicap", "mode": mode, "ttl": "24h", "operator": "ann@host", "reason": "a history",
            "allowedActions": [
                "status_check", "start_service", "restart_service", "stop_service", "recreate_service", "compose_up",
            ],
        });
        let name = format!("night{number}");
        self.store
            .api::<ControlSession>()
            .create(&Self::object("ControlSession", &name, session))
            .await
            .expect("a new name");
        self.journal.say("operator", &format!("opens {name}, {mode}"));
        name
    }

    pub async fn end_session(&self, name: &str) {
        let end = Patch::Merge(json!({"spec": {"end": true}}));
        let _ = self.store.api::<ControlSession>().patch(name, &end).await;
    }

    pub fn last_session(&self) -> String {
        format!("night{}", *self.sessions.lock().unwrap())
    }

    /// One life after the other.
    async fn live(&self, n: usize, slot: &Slot) {
        for life in 1_u32.. {
            let dead = CancellationToken::new();
            *slot.dead.lock().unwrap() = dead.clone();
            let name = format!("{}.{life}", slot.name);
            let first = |at: &[Option<(u64, bool)>]| at[n].filter(|_| life == 1);
            let wire = Wire {
                process: name.clone(),
                journal: self.journal.clone(),
                weather: Arc::clone(&slot.weather),
                distance: self.scenario.distance,
                dead: dead.clone(),
                cut: Arc::clone(&slot.cut),
                ambush: Arc::clone(&self.ambush),
                writes: Arc::new(AtomicU64::new(0)),
                dies_at: first(&self.scenario.dies_at_write),
            };
            let doors = Doors {
                docker: self.docker.clone(),
                process: name.clone(),
                dead: dead.clone(),
                deeds: Arc::new(AtomicU64::new(0)),
                dies_at: first(&self.scenario.dies_at_deed),
            };
            let (engine, compose, dialer) = doors.open();
            let client = wire.client(&self.embedded).await;
            let data_dir = Path::new(&self.directory).to_owned();
            let context = Context {
                store: Store::with_client(client, "embedded".parse().expect("a URL"), self.docker.clock.clone()),
                host: "here".to_owned(),
                engine,
                compose,
                dialer,
                identity: name.clone(),
                stop_file: StopFile::of(&data_dir),
                data_dir,
                audit_kept: u64::MAX / 2,
            };
            self.journal.say(&name, "begins");
            let selection = CONTROLLERS.parse().expect("they are controllers");
            tokio::select! {
                biased;
                () = dead.cancelled() => {}
                () = run(context, &selection, CancellationToken::new()) => {}
            }
            self.journal.say(&name, "is dead");
            sleep(RESPAWN).await;
        }
    }

    /// Has everything go wrong that is to, and waits until it has settled.
    pub async fn play(self: &Arc<Self>) -> Ended {
        let begun = Instant::now();
        if let Some((at, service, fault)) = self.scenario.ambush.clone() {
            let world = Arc::clone(self);
            tokio::spawn(async move {
                sleep_until(begun + at).await;
                world.ambush(&service, fault).await;
            });
        }
        for (at, fault) in self.scenario.faults.clone() {
            sleep_until(begun + at).await;
            self.journal.say("fate", &format!("{fault:?}"));
            let world = Arc::clone(self);
            tokio::spawn(async move { world.suffer(fault).await });
        }
        sleep_until(begun + self.scenario.calm).await;
        // What lasts for a while ends before the calm by a third of the time, but for what an operator does again.
        sleep(self.scenario.calm / 3 + Duration::from_secs(2)).await;
        {
            let mut state = self.docker.lock();
            (state.trouble, state.mute) = (Trouble::default(), None);
        }
        *self.ambush.lock().unwrap() = None;
        for slot in &self.slots {
            *slot.weather.lock().unwrap() = Weather::default();
        }
        self.journal.say("fate", "calm");
        let calm = Instant::now();
        let mut ended = Ended { settled: None, quiet_from: i64::MAX, quiet_at: Duration::MAX, stack: None };
        let mut rest: Option<(Instant, String)> = None;
        let (mut under_way, mut looped) = (calm, None);
        loop {
            sleep(Duration::from_secs(1)).await;
            ended.stack = self.store.api::<WicapStack>().get_opt("wicap").await.expect("nothing is wrong here");
            let now = Instant::now();
            if !self.nothing_is_under_way().await {
                under_way = now;
            }
            let seen = ended.stack.as_ref().filter(|s| self.is_at_rest(s)).map(|s| format!("{:?}", at_rest(s)));
            if ended.stack.as_ref().is_some_and(|stack| self.is_being_restarted(stack)) {
                looped = Some(now);
            }
            let loops = looped.is_some_and(|at| now - at < RUNS_AGAIN);
            let waits_in_a_loop = loops && ended.stack.as_ref().is_some_and(has_steps_left);
            let aftermath = match loops {
                true if waits_in_a_loop => Duration::MAX,
                true => AFTERMATH_OF_A_LOOP,
                _ if self.is_deleted_once() => AFTERMATH_OF_A_DELETION,
                _ => AFTERMATH,
            };
            rest = match (rest, seen) {
                (Some((since, before)), Some(seen)) if before == seen => Some((since, before)),
                (_, seen) => {
                    ended.quiet_at = Duration::MAX;
                    self.journal.say("judge", if seen.is_some() { "is at rest" } else { "is not at rest" });
                    seen.map(|seen| (now, seen))
                }
            };
            if now >= calm + if loops { SETTLES_IN_A_LOOP } else { SETTLES } {
                ended.settled = rest.filter(|_| waits_in_a_loop).map(|(since, _)| since - calm);
                return ended;
            }
            let Some((since, _)) = &rest else { continue };
            // What was tried may have left no trace in what is said, and others may have waited for its end.
            let since = under_way.max(*since);
            if ended.quiet_at == Duration::MAX && now - since >= aftermath {
                (ended.quiet_from, ended.quiet_at) = (self.revision().await, self.journal.now());
                self.journal.say("judge", "nothing is to happen from now on");
            }
            if ended.quiet_at != Duration::MAX && self.journal.now() >= ended.quiet_at + QUIET {
                ended.settled = Some(since - calm);
                return ended;
            }
        }
    }

    pub async fn revision(&self) -> i64 {
        let answer = self.client.clone().get("nothing", None).await.expect("nothing is wrong here");
        answer.header().map_or(0, etcd_client::ResponseHeader::revision)
    }

    /// What is said of each service.
    pub async fn states(&self) -> Vec<(String, ServiceState)> {
        let stack = self.store.api::<WicapStack>().get("wicap").await.expect("nothing is wrong here");
        let services = stack.status.map(|status| status.services).unwrap_or_default();
        services.into_iter().map(|s| (s.name, s.state)).collect()
    }

    fn is_deleted_once(&self) -> bool {
        self.scenario.faults.iter().any(|(_, fault)| matches!(fault, Fault::Delete(_)))
    }

    /// Whether the engine waits before it starts a service again.
    fn is_being_restarted(&self, stack: &WicapStack) -> bool {
        let services = stack.spec.services.iter();
        services.flat_map(|s| self.docker.all_of(&s.name)).any(|c| c.phase == Phase::Restarting)
    }

    async fn nothing_is_under_way(&self) -> bool {
        let runs = self.store.api::<ActionRun>().list(&ListParams::default()).await.expect("nothing is wrong here");
        runs.items.iter().all(|r| r.status.as_ref().is_some_and(|s| s.phase.is_final()))
    }

    /// Everything is as it should be, or a person was called for what is not; and what is said to be is.
    fn is_at_rest(&self, stack: &WicapStack) -> bool {
        let Some(status) = &stack.status else { return false };
        let escalated = condition::get(&status.conditions, condition::ESCALATED).is_some_and(|c| c.status == "True");
        let available = condition::get(&status.conditions, condition::AVAILABLE).is_some_and(|c| c.status == "True");
        let blocked = self.is_blocked(status);
        let true_enough = stack.spec.services.iter().all(|s| {
            let containers = self.docker.all_of(&s.name);
            let asked = self.scenario.programs[&s.name].checked || s.probes.iter().any(|p| p.http_get.is_some());
            // Nobody can see that a process hangs which nobody asks; and for a frozen one the kernel still takes connections.
            let is_well = |container: &Container| match (asked, s.probes.is_empty()) {
                (true, _) => container.serves(),
                (false, false) => container.accepts(),
                (false, true) => container.phase == Phase::Running,
            };
            containers.len() == self.docker.wanted(&s.name) && containers.iter().all(is_well)
        });
        // Who waits for what a person was called for waits for ever; who waits for time to pass does not.
        let waits = status.planned_action.as_ref().is_some_and(|planned| {
            let whom = planned.split(' ').nth(1).unwrap_or_default();
            !blocked && !planned.contains("(waits for ") && !waits_for_a_person(status, whom)
        });
        (available && true_enough) || ((escalated || blocked) && !waits)
    }

    /// Whether what is to be done next is what the policy denies all the time.
    pub fn is_blocked(&self, status: &WicapStackStatus) -> bool {
        let by_policy = status.blocked_by.as_ref().is_some_and(|by| by.gate == wicap::plan::authorise::TOOL_POLICY);
        self.scenario.forbidden.is_some() && by_policy
    }

    /// Kills a service, and has that happen while the claim of the next action is on its way, if one comes soon.
    async fn ambush(self: Arc<Self>, service: &str, fault: Fault) {
        let (told, hears) = oneshot::channel();
        let (done, waits) = oneshot::channel();
        *self.ambush.lock().unwrap() = Some((told, waits));
        self.docker.kill(service);
        if !timeout(self.scenario.calm / 4, hears).await.is_ok_and(|heard| heard.is_ok()) {
            *self.ambush.lock().unwrap() = None;
            return;
        }
        self.journal.say("fate", &format!("{fault:?}, meanwhile"));
        tokio::spawn(Arc::clone(&self).suffer(fault));
        // Nobody's clock goes on before what is done at once is done.
        sleep(Duration::from_millis(1)).await;
        drop(done);
    }

    async fn suffer(self: Arc<Self>, fault: Fault) {
        match fault {
            Fault::Kill(s) => self.docker.kill(&s),
            Fault::Crash(s, code) => self.docker.crash(&s, code),
            Fault::StopByHand(s) => {
                if let Some(c) = self.docker.of(&s) {
                    self.docker.stop(&c.id, Duration::from_secs(5)).await;
                }
            }
            Fault::Remove(s) => {
                if let Some(c) = self.docker.of(&s) {
                    self.docker.remove(&c.id);
                }
            }
            Fault::RemoveAll => {
                for s in self.scenario.programs.keys() {
                    for c in self.docker.all_of(s) {
                        self.docker.remove(&c.id);
                    }
                }
            }
            Fault::Pause(s) => self.docker.pause(&s),
            Fault::Freeze(s) => self.docker.freeze(&s),
            Fault::Deafen(s) => self.docker.deafen(&s),
            Fault::CrashLoop(s, long) => {
                let set = |dies| {
                    if let Some(p) = self.docker.lock().programs.get_mut(&s) {
                        p.dies_after = dies;
                    }
                };
                set(Some((Duration::from_millis(200), 1)));
                self.docker.crash(&s, 1);
                if let Some(long) = long {
                    sleep(long).await;
                    set(None);
                }
            }
            Fault::Engine(trouble, long) => {
                self.docker.lock().trouble = trouble;
                sleep(long).await;
                self.docker.lock().trouble = Trouble::default();
            }
            Fault::Store(n, weather, long) => {
                *self.slots[n].weather.lock().unwrap() = weather;
                sleep(long).await;
                *self.slots[n].weather.lock().unwrap() = Weather::default();
                // What the silence has swallowed is not told later: the connection ends, as one does whose peer was gone.
                std::mem::take(&mut *self.slots[n].cut.lock().unwrap()).cancel();
            }
            Fault::Cut(n, compact) => {
                let slot = &self.slots[n];
                slot.weather.lock().unwrap().refuses = 1.0;
                std::mem::take(&mut *slot.cut.lock().unwrap()).cancel();
                sleep(Duration::from_secs(1)).await;
                if compact {
                    let revision = self.revision().await;
                    let _ = self.client.clone().compact(revision, None::<CompactionOptions>).await;
                }
                slot.weather.lock().unwrap().refuses = 0.0;
            }
            Fault::Die(n) => self.slots[n].dead.lock().unwrap().cancel(),
            Fault::Stop(long) => {
                let spec = EmergencyStopSpec { reason: "a history".into(), by: "ann@host".into() };
                let stops = self.store.api::<EmergencyStop>();
                let _ = stops.create(&EmergencyStop::new("wicap", spec)).await;
                sleep(long).await;
                let _ = stops.delete("wicap", &DeleteParams::default()).await;
            }
            Fault::NextSession(long) => {
                self.end_session(&self.last_session()).await;
                sleep(long).await;
                self.open_session("Assist").await;
            }
            Fault::Shadow(long) => {
                self.end_session(&self.last_session()).await;
                let shadow = self.open_session("Shadow").await;
                sleep(long).await;
                self.end_session(&shadow).await;
                self.open_session("Assist").await;
            }
            Fault::Forbid(what, long) => {
                self.forbid(Some(what)).await;
                sleep(long).await;
                self.forbid(None).await;
            }
            Fault::Depose => {
                let _ = self.client.clone().delete("/wicap.dev/leader/actuator.here", None).await;
            }
            Fault::Mute(s, long) => {
                self.docker.lock().mute = Some(s);
                sleep(long).await;
                self.docker.lock().mute = None;
            }
            Fault::Park(long) => {
                self.patch_stack(json!({"desiredState": "Stopped"})).await;
                sleep(long).await;
                self.patch_stack(json!({"desiredState": "Running"})).await;
            }
            Fault::Edit => self.patch_stack(json!({"defaults": {"maxConcurrent": 2}})).await,
            Fault::Delete(long) => {
                let _ = self.store.api::<WicapStack>().delete("wicap", &DeleteParams::default()).await;
                sleep(long).await;
                if self.store.api::<WicapStack>().get_opt("wicap").await.is_ok_and(|s| s.is_none()) {
                    self.declare().await;
                }
            }
        }
    }

    async fn patch_stack(&self, spec: Value) {
        let patch = Patch::Merge(json!({"spec": spec}));
        let _ = self.store.api::<WicapStack>().patch("wicap", &patch).await;
    }
}

/// Whether a person was called for something that a service depends on, and it is still not well.
fn waits_for_a_person(status: &WicapStackStatus, service: &str) -> bool {
    status.service(service).iter().flat_map(|s| &s.depends_on).any(|other| {
        let called = status.recovery.iter().any(|r| r.service == *other && r.escalated_at.is_some());
        let well = status.service(other).is_some_and(|s| s.state == ServiceState::Running);
        (called && !well) || waits_for_a_person(status, other)
    })
}

/// Whether something is left to be tried for a service that is not as it should be.
fn has_steps_left(stack: &WicapStack) -> bool {
    let Some(status) = &stack.status else { return false };
    let given_up = |d: &Drift| {
        let entry = status.recovery.iter().find(|r| r.service == d.service);
        entry.is_some_and(|r| r.escalated_at.is_some() || r.exhausted.contains(&d.kind))
    };
    let ours = |d: &Drift| d.severity != Severity::Info && stack.spec.service(&d.service).is_some_and(|s| s.managed);
    status.drift.iter().any(|d| ours(d) && !given_up(d))
}

/// What must not change any more for a stack to be at rest.
fn at_rest(stack: &WicapStack) -> (Option<String>, BTreeMap<String, String>) {
    let status = stack.status.as_ref();
    // What a person was called for may go on dying under the engine's own policy.
    let escalated =
        status.and_then(|s| condition::get(&s.conditions, condition::ESCALATED)).is_some_and(|c| c.status == "True");
    let status = status.filter(|_| !escalated);
    let states = status
        .iter()
        .flat_map(|s| &s.services)
        .map(|s| (s.name.clone(), format!("{:?} since {:?}", s.state, s.since)))
        .collect();
    (stack.metadata.uid.clone(), states)
}
