//! A model of the Docker engine: containers of one compose project, and the rules by which the real one keeps them.
//!
//! ```text
//!  created ──start──▶ running ──exit──▶ exited        restart policy: exited by itself ──100 ms … 60 s──▶ running, RestartCount + 1
//!                      │  ▲                           stopped or killed through the API: stays exited
//!                    pause unpause
//! ```
//!
//! What the rules are was seen on Docker 20.10: `start` of what runs is 304, of what is paused 409; a stop waits for the process or for the
//! grace period; the policy's wait doubles from 100 ms to a minute and begins anew after ten seconds of running; `docker kill` counts as
//! a stop; a paused container's health turns unhealthy without an event.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::mpsc;
use wicap::api::{Time, elapsed};
use wicap::clock::Clock;
use wicap::dice;

use super::journal::Journal;

/// How long a container takes to start.
const START: Duration = Duration::from_millis(80);

/// The restart policy's first wait, its longest, and how long a run makes it begin anew.
const POLICY: (Duration, Duration, Duration) =
    (Duration::from_millis(100), Duration::from_secs(60), Duration::from_secs(10));

/// How a service's process behaves, whichever container it runs in.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// Time from its start until it serves.
    pub serves_after: Duration,
    /// It ends by itself that long after each start, with that code.
    pub dies_after: Option<(Duration, i64)>,
    /// It ignores SIGTERM.
    pub deaf: bool,
    /// It ends at once when that service does not serve.
    pub needs: Option<String>,
    /// Whether it has a health check, which asks whether it serves.
    pub checked: bool,
    /// Whether the engine restarts it when it ends by itself.
    pub restarts: bool,
    /// Where it listens.
    pub port: u16,
    /// The hash of its configuration.
    pub config: u32,
    /// Containers that it is to have besides the first one.
    pub more: u32,
}

/// The engine's word for a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Created,
    Running,
    Paused,
    Restarting,
    Exited,
}

/// A container.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // Each is a thing that can be wrong with it, whatever the others are.
pub struct Container {
    pub id: String,
    pub service: String,
    /// Among those of the service, from 1 on.
    pub number: u32,
    pub config: u32,
    pub phase: Phase,
    /// Counts its processes; what was to happen to an earlier one does not happen to a later one.
    life: u64,
    pub restart_count: i64,
    pub started_at: Option<Time>,
    pub finished_at: Option<Time>,
    pub exit_code: i64,
    /// Stopped through the API, so that the policy leaves it alone.
    stopped: bool,
    policy_wait: Duration,
    /// Its process was sent SIGSTOP.
    frozen: bool,
    /// It accepts connections and answers.
    serving: bool,
    /// It runs, and its listener is gone for the rest of its life.
    broken: bool,
    pub health: Option<&'static str>,
}

impl Container {
    fn runs(&self) -> bool {
        matches!(self.phase, Phase::Running | Phase::Paused)
    }

    /// Whether a request to it is answered.
    pub fn serves(&self) -> bool {
        self.phase == Phase::Running && self.serving && !self.frozen && !self.broken
    }

    /// Whether a connection to it is accepted: the kernel does that for a process that is frozen.
    pub fn accepts(&self) -> bool {
        self.runs() && self.serving && !self.broken
    }
}

/// Something happened to a container.
#[derive(Clone, Debug)]
pub struct Event {
    pub at: Time,
    pub action: String,
    pub id: String,
    pub service: String,
}

/// What is wrong with the engine itself. Shares are from 0 to 1.
#[derive(Clone, Debug, Default)]
pub struct Trouble {
    /// Nobody gets a connection.
    pub refuses: bool,
    /// Share of the changing calls that fail and do nothing.
    pub fails: f64,
    /// Share of the changing calls that are done and reported as failed.
    pub lies: f64,
    /// Share of the calls, looks too, that are never answered; of the changing ones every second is done.
    pub hangs: f64,
    /// Share of the changing calls that are done only after up to four seconds, whoever is still interested.
    pub late: f64,
    /// Share of the events that nobody is told.
    pub loses: f64,
    /// Share of the events that are told twice.
    pub repeats: f64,
    /// Events are told up to that much later.
    pub delays: Duration,
}

/// The engine. Clones are the same one.
#[derive(Clone)]
pub struct Docker {
    state: Arc<Mutex<State>>,
    pub clock: Clock,
    pub journal: Journal,
    pub project: &'static str,
}

pub struct State {
    pub containers: BTreeMap<String, Container>,
    pub programs: BTreeMap<String, Program>,
    pub trouble: Trouble,
    /// The service about whose containers no call is answered or done, as when one of them has its lock held for ever.
    pub mute: Option<String>,
    made: u64,
    events: Vec<Event>,
    listeners: Vec<mpsc::UnboundedSender<Event>>,
}

/// How a changing call ended: the HTTP status.
pub type Status = u16;

impl Docker {
    pub fn new(clock: Clock, journal: Journal, programs: BTreeMap<String, Program>) -> Self {
        let state = State {
            containers: BTreeMap::new(),
            programs,
            trouble: Trouble::default(),
            mute: None,
            made: 0,
            events: Vec::new(),
            listeners: Vec::new(),
        };
        Self { state: Arc::new(Mutex::new(state)), clock, journal, project: "p" }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The containers of a service, in the order in which they were made.
    pub fn all_of(&self, service: &str) -> Vec<Container> {
        self.lock().containers.values().filter(|c| c.service == service).cloned().collect()
    }

    /// A container of a service: chance says which.
    pub fn of(&self, service: &str) -> Option<Container> {
        let mut all = self.all_of(service);
        let one = if all.len() > 1 { dice::draw(0..all.len()) } else { 0 };
        (one < all.len()).then(|| all.swap_remove(one))
    }

    /// How many containers a service is to have.
    pub fn wanted(&self, service: &str) -> usize {
        self.lock().programs[service].more as usize + 1
    }

    /// Whether what a service offers can be used.
    pub fn serves(&self, service: &str) -> bool {
        self.all_of(service).iter().any(Container::serves)
    }

    /// Whether no call about that container is answered.
    pub fn is_mute(&self, id: &str) -> bool {
        let state = self.lock();
        state.mute.is_some() && state.containers.get(id).map(|c| &c.service) == state.mute.as_ref()
    }

    /// Events from that time on, those of the past first.
    pub fn listen(&self, since: Time) -> mpsc::UnboundedReceiver<Event> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut state = self.lock();
        for event in state.events.iter().filter(|e| e.at >= since) {
            let _ = sender.send(event.clone());
        }
        state.listeners.push(sender);
        receiver
    }

    fn tell(&self, state: &mut State, id: &str, action: &str) {
        let Some(service) = state.containers.get(id).map(|c| c.service.clone()) else { return };
        self.journal.say("engine", &format!("{action} {service}"));
        let event = Event { at: self.clock.now(), action: action.to_owned(), id: id.to_owned(), service };
        state.events.push(event.clone());
        let Trouble { loses, repeats, delays, .. } = state.trouble.clone();
        state.listeners.retain(|listener| {
            if chance(loses) {
                return !listener.is_closed();
            }
            for _ in 0..if chance(repeats) { 2 } else { 1 } {
                let (listener, event) = (listener.clone(), event.clone());
                if delays.is_zero() {
                    let _ = listener.send(event);
                } else {
                    let wait = delays.mul_f64(dice::draw(0.0..1.0));
                    tokio::spawn(async move {
                        tokio::time::sleep(wait).await;
                        let _ = listener.send(event);
                    });
                }
            }
            !listener.is_closed()
        });
    }

    /// Has that done to a container later, if it still lives the same life then.
    fn later(&self, wait: Duration, id: &str, life: u64, what: impl FnOnce(&Self, &mut State, &str) + Send + 'static) {
        let (this, id) = (self.clone(), id.to_owned());
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            let mut state = this.lock();
            if state.containers.get(&id).is_some_and(|c| c.life == life) {
                what(&this, &mut state, &id);
            }
        });
    }

    fn begin(&self, state: &mut State, id: &str) {
        let now = self.clock.now();
        let Some(container) = state.containers.get_mut(id) else { return };
        let program = state.programs[&container.service].clone();
        container.life += 1;
        container.phase = Phase::Running;
        container.started_at = Some(now);
        (container.frozen, container.serving, container.broken, container.stopped) = (false, false, false, false);
        container.health = program.checked.then_some("starting");
        let life = container.life;
        self.tell(state, id, "start");
        let needs = program.needs.clone();
        self.later(program.serves_after, id, life, move |this, state, id| {
            let lacks = needs.is_some_and(|n| !state.containers.values().any(|c| c.service == n && c.serves()));
            if lacks {
                this.end(state, id, 1);
            } else if let Some(container) = state.containers.get_mut(id) {
                container.serving = true;
            }
        });
        if let Some((after, code)) = program.dies_after {
            self.later(after, id, life, move |this, state, id| this.end(state, id, code));
        }
        if program.checked {
            self.check_health(id, life);
        }
    }

    /// One health check after the other, as long as the process lives.
    fn check_health(&self, id: &str, life: u64) {
        self.later(Duration::from_secs(2), id, life, move |this, state, id| {
            let Some(container) = state.containers.get_mut(id).filter(|c| c.runs()) else { return };
            let word = if container.serves() { "healthy" } else { "unhealthy" };
            if container.health != Some(word) {
                container.health = Some(word);
                if container.phase != Phase::Paused {
                    this.tell(state, id, &format!("health_status: {word}"));
                }
            }
            this.check_health(id, life);
        });
    }

    /// The process is over.
    fn end(&self, state: &mut State, id: &str, code: i64) {
        let now = self.clock.now();
        let Some(container) = state.containers.get_mut(id).filter(|c| c.runs()) else { return };
        container.phase = Phase::Exited;
        (container.exit_code, container.finished_at) = (code, Some(now));
        (container.serving, container.health) = (false, None);
        container.life += 1;
        let (first, longest, long) = POLICY;
        if container.started_at.is_some_and(|at| elapsed(at, now) >= long) {
            container.policy_wait = first;
        }
        let (life, wait, stopped) = (container.life, container.policy_wait, container.stopped);
        let restarts = state.programs[&container.service].restarts && !stopped;
        if restarts {
            container.phase = Phase::Restarting;
            container.policy_wait = (wait * 2).min(longest);
        }
        self.tell(state, id, "die");
        if restarts {
            self.later(wait, id, life, |this, state, id| {
                if let Some(container) = state.containers.get_mut(id).filter(|c| c.phase == Phase::Restarting) {
                    container.restart_count += 1;
                    this.begin(state, id);
                }
            });
        }
    }

    /// `POST /containers/{id}/start`.
    pub async fn start(&self, id: &str) -> Status {
        match self.lock().containers.get(id).map(|c| c.phase) {
            None => return 404,
            Some(Phase::Paused) => return 409,
            Some(Phase::Running | Phase::Restarting) => return 304,
            Some(Phase::Created | Phase::Exited) => {}
        }
        tokio::time::sleep(START).await;
        let mut state = self.lock();
        let Some(container) = state.containers.get_mut(id) else { return 404 };
        if container.runs() {
            return 304;
        }
        (container.restart_count, container.policy_wait) = (0, POLICY.0);
        self.begin(&mut state, id);
        204
    }

    /// `POST /containers/{id}/stop`.
    pub async fn stop(&self, id: &str, grace: Duration) -> Status {
        let wait = {
            let mut state = self.lock();
            let Some(container) = state.containers.get(id).cloned() else { return 404 };
            let deaf = state.programs[&container.service].deaf || container.frozen || container.phase == Phase::Paused;
            let container = state.containers.get_mut(id).expect("it was just there");
            container.stopped = true;
            match container.phase {
                Phase::Created | Phase::Exited => return 304,
                Phase::Restarting => {
                    container.phase = Phase::Exited;
                    container.life += 1;
                    return 204;
                }
                Phase::Running | Phase::Paused => {}
            }
            if deaf { grace } else { Duration::from_millis(50).min(grace) }
        };
        tokio::time::sleep(wait).await;
        let mut state = self.lock();
        if let Some(container) = state.containers.get_mut(id) {
            container.stopped = true;
        }
        self.end(&mut state, id, if wait == grace { 137 } else { 0 });
        204
    }

    /// `POST /containers/{id}/restart`.
    pub async fn restart(&self, id: &str, grace: Duration) -> Status {
        match self.stop(id, grace).await {
            404 => 404,
            _ => match self.start(id).await {
                404 => 404,
                _ => 204,
            },
        }
    }

    /// Makes a container of a service, as Compose does.
    pub fn create(&self, service: &str) -> String {
        let mut state = self.lock();
        state.made += 1;
        let id = format!("{:064x}", state.made);
        let config = state.programs[service].config;
        let taken = |number: &u32| state.containers.values().any(|c| c.service == service && c.number == *number);
        let number = (1..=u32::MAX).find(|number| !taken(number)).expect("there are few");
        let container = Container {
            id: id.clone(),
            service: service.to_owned(),
            number,
            config,
            phase: Phase::Created,
            life: 0,
            restart_count: 0,
            started_at: None,
            finished_at: None,
            exit_code: 0,
            stopped: false,
            policy_wait: POLICY.0,
            frozen: false,
            serving: false,
            broken: false,
            health: None,
        };
        state.containers.insert(id.clone(), container);
        self.tell(&mut state, &id, "create");
        id
    }

    /// `docker rm --force`.
    pub fn remove(&self, id: &str) {
        let mut state = self.lock();
        if let Some(container) = state.containers.get_mut(id) {
            container.stopped = true;
        }
        self.end(&mut state, id, 137);
        self.tell(&mut state, id, "destroy");
        state.containers.remove(id);
    }

    /// `docker kill`: through the API, so that the policy leaves it alone.
    pub fn kill(&self, service: &str) {
        let Some(id) = self.of(service).map(|c| c.id) else { return };
        let mut state = self.lock();
        if let Some(container) = state.containers.get_mut(&id) {
            container.stopped = true;
            if container.phase == Phase::Restarting {
                return;
            }
        }
        self.end(&mut state, &id, 137);
    }

    /// The process ends by itself.
    pub fn crash(&self, service: &str, code: i64) {
        let Some(id) = self.of(service).map(|c| c.id) else { return };
        self.end(&mut self.lock(), &id, code);
    }

    /// `docker pause`.
    pub fn pause(&self, service: &str) {
        let Some(id) = self.of(service).filter(|c| c.phase == Phase::Running).map(|c| c.id) else { return };
        let mut state = self.lock();
        if let Some(container) = state.containers.get_mut(&id) {
            container.phase = Phase::Paused;
        }
        self.tell(&mut state, &id, "pause");
    }

    /// SIGSTOP for PID 1: nobody is told.
    pub fn freeze(&self, service: &str) {
        self.change(service, |c| c.frozen = true);
    }

    /// The listener is gone, the process lives: nobody is told.
    pub fn deafen(&self, service: &str) {
        self.change(service, |c| c.broken = true);
    }

    fn change(&self, service: &str, change: impl FnOnce(&mut Container)) {
        let Some(id) = self.of(service).filter(Container::runs).map(|c| c.id) else { return };
        if let Some(container) = self.lock().containers.get_mut(&id) {
            change(container);
        }
    }
}

/// Whether chance has it, with that probability.
pub fn chance(share: f64) -> bool {
    share > 0.0 && dice::draw(0.0..1.0) < share
}
