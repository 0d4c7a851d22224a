//! The desk of a stack: one task that takes in the lines of all its logs, and writes what follows from them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use kube::Resource;
use kube::runtime::reflector::{self, ObjectRef};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::file::{self, Kept, VERSION};
use super::soak_of;
use crate::api::action::ActionRun;
use crate::api::incident::{Incident, IncidentPhase};
use crate::api::log_report::{LogReport, LogReportSpec, UnreadableLog};
use crate::api::soak::SoakRun;
use crate::api::stack::WicapStack;
use crate::api::{Object, Time, after, elapsed, reason};
use crate::audit::redact::{pem, redact, redact_lines};
use crate::clock::Clock;
use crate::controllers::owner::belongs_to;
use crate::controllers::{Context, incidents};
use crate::observe::engine::Container;
use crate::observe::tail::{Budget, FIRST_LINES, FIRST_MINUTES, Item, Line, Output, Position, Start, follow};
use crate::signature::incident::{Change, Look, changes};
use crate::signature::register::alarm::Alarm;
use crate::signature::register::report::is_worth_telling;
use crate::signature::register::{Register, Source};
use crate::signature::rules;
use crate::store::election::Fence;
use crate::store::events::{self, Recorder};
use crate::store::{Error, Store};

/// How often what has come is looked at. An incident is to be there within seconds, and a look costs microseconds.
const TICK: Duration = Duration::from_millis(500);

/// The longest that a report says nothing new.
const REPORT: Duration = Duration::from_secs(60);

/// The shortest time between two reports.
const REPORTS_APART: Duration = Duration::from_secs(5);

/// How often what is known is saved. What comes after it is read again when this process is killed.
const SAVE: Duration = Duration::from_secs(30);

/// How long a private key may be printed, and how many bytes of it may come, before what follows is taken for something else.
const KEY_TIME: Duration = Duration::from_secs(5);
const KEY_MOST: usize = 64 * 1024;

/// Batches of all followers that wait to be looked at.
const WAITING: usize = 8;

/// The caches that a desk reads.
#[derive(Clone)]
pub(super) struct Caches {
    pub incidents: reflector::Store<Incident>,
    pub reports: reflector::Store<LogReport>,
    pub soaks: reflector::Store<SoakRun>,
    pub actions: reflector::Store<ActionRun>,
}

/// A desk, from outside.
pub(super) struct Desk {
    seen: mpsc::Sender<Message>,
}

enum Message {
    /// The stack as it is now, and its containers: id and service.
    Seen(Box<WicapStack>, Vec<Followed>),
    /// End, and say when everything is saved.
    Close(oneshot::Sender<()>),
}

/// A container whose log is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Followed {
    id: String,
    service: String,
    started: Option<Time>,
}

impl Desk {
    /// Opens the desk of a stack with what was saved of it.
    pub(super) async fn open(
        stack: &WicapStack,
        context: &Context,
        fence: Fence,
        recorder: Recorder,
        caches: Caches,
    ) -> Self {
        let (seen, messages) = mpsc::channel(1);
        let uid = stack.meta().uid.clone().unwrap_or_default();
        let data_dir = context.data_dir.clone();
        let kept = {
            let (data_dir, uid) = (data_dir.clone(), uid.clone());
            tokio::task::spawn_blocking(move || file::read(&data_dir, &uid)).await.ok().flatten()
        };
        let rules = rules::of(stack);
        let (register, positions, known) = match kept {
            Some(kept) => (Register::restore(kept.register, rules, context.store.clock().now()), kept.positions, true),
            None => (Register::new(rules), Vec::new(), false),
        };
        let (items_in, items) = mpsc::channel(WAITING);
        let work = Work {
            stack: stack.clone(),
            uid,
            data_dir,
            store: context.store.clone(),
            clock: context.store.clock().clone(),
            engine: context.engine.clone(),
            fence,
            recorder,
            caches,
            register,
            positions: positions.into_iter().map(|p| (p.container.clone(), p)).collect(),
            known,
            reading_since: context.store.clock().now(),
            in_key: BTreeMap::new(),
            followers: HashMap::new(),
            tasks: JoinSet::new(),
            items: items_in,
            dropped: 0,
            unreadable: BTreeMap::new(),
            is_dirty: false,
            // The minutes of the last report have gone by.
            untold: if known { Untold::Numbers } else { Untold::Nothing },
            // Nothing yet: the first lines are told at once.
            reported: Time::UNIX_EPOCH,
            saved: Instant::now(),
            told: BTreeSet::new(),
        };
        tokio::spawn(work.run(messages, items));
        Self { seen }
    }

    /// Says what the stack is now and which containers it has.
    pub(super) async fn see(&self, stack: &WicapStack, containers: &[Container]) {
        let followed =
            containers.iter().map(|c| Followed { id: c.id.clone(), service: c.service.clone(), started: c.started_at });
        let _ = self.seen.send(Message::Seen(Box::new(stack.clone()), followed.collect())).await;
    }

    /// Ends it, with everything saved.
    pub(super) async fn close(self) {
        let (done, ended) = oneshot::channel();
        if self.seen.send(Message::Close(done)).await.is_ok() {
            let _ = ended.await;
        }
    }
}

/// What a follower has handed out.
struct Came {
    container: String,
    service: String,
    item: Item,
}

/// What a report of now would say that the last one does not, from the least on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Untold {
    Nothing,
    /// Other numbers, if only those of the last ten minutes.
    Numbers,
    /// Something of note.
    News,
}

struct Follower {
    followed: Followed,
    started: watch::Sender<u64>,
    task: tokio::task::AbortHandle,
}

struct Work {
    stack: WicapStack,
    uid: String,
    data_dir: PathBuf,
    store: Store,
    clock: Clock,
    engine: crate::observe::engine::Engine,
    fence: Fence,
    recorder: Recorder,
    caches: Caches,
    register: Register,
    /// How far the log of each container was read.
    positions: HashMap<String, Position>,
    /// Whether the stack's containers were watched before: one that is new then was made while they were.
    known: bool,
    /// When this desk was opened.
    reading_since: Time,
    /// Outputs that are in the middle of a private key, whose next lines come with the next batch: since when, and its bytes so far.
    in_key: BTreeMap<Source, (Instant, usize)>,
    followers: HashMap<String, Follower>,
    tasks: JoinSet<()>,
    items: mpsc::Sender<Came>,
    dropped: u64,
    /// By service.
    unreadable: BTreeMap<String, String>,
    /// Whether something came since it was last saved.
    is_dirty: bool,
    /// What the last report does not say.
    untold: Untold,
    reported: Time,
    saved: Instant,
    /// What was published as an Event, so that it is said once.
    told: BTreeSet<String>,
}

impl Work {
    async fn run(mut self, mut messages: mpsc::Receiver<Message>, mut items: mpsc::Receiver<Came>) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = messages.recv() => match message {
                    Some(Message::Seen(stack, containers)) => self.see(*stack, containers),
                    Some(Message::Close(done)) => {
                        self.save().await;
                        let _ = done.send(());
                        return;
                    }
                    // The controller was dropped on the spot: it leads no more, and whoever does begins with what is saved.
                    None => return,
                },
                Some(came) = items.recv() => self.take(came).await,
                _ = ticks.tick() => self.tick().await,
                Some(_) = self.tasks.join_next() => {}
            }
        }
    }

    /// Follows the logs of these containers, and no others.
    fn see(&mut self, stack: WicapStack, containers: Vec<Followed>) {
        if stack.spec.logs != self.stack.spec.logs {
            self.register.set_rules(rules::of(&stack));
        }
        self.stack = stack;
        let now = self.clock.now();
        let there: BTreeSet<&str> = containers.iter().map(|c| c.id.as_str()).collect();
        let gone: Vec<String> = self.followers.keys().filter(|id| !there.contains(id.as_str())).cloned().collect();
        for id in gone {
            // A follower ends by itself when its container is removed, with all that there was.
            if self.followers.get(&id).is_some_and(|f| f.task.is_finished())
                && let Some(follower) = self.followers.remove(&id)
            {
                self.end(&follower.followed, now);
            }
        }
        let before = self.unreadable.len();
        self.unreadable.retain(|service, _| containers.iter().any(|c| c.service == *service));
        if self.unreadable.len() < before {
            self.untold = Untold::News;
        }
        // Of what was removed while nobody ran, nothing more comes.
        self.positions.retain(|id, _| there.contains(id.as_str()) || self.followers.contains_key(id));
        let is_first = self.followers.is_empty() && !self.known;
        for followed in containers {
            match self.followers.get_mut(&followed.id) {
                Some(follower) => {
                    if follower.followed.started != followed.started {
                        follower.started.send_modify(|n| *n = n.wrapping_add(1));
                        follower.followed = followed;
                    }
                }
                None => self.begin(followed, is_first, now),
            }
        }
        self.known = true;
    }

    fn begin(&mut self, followed: Followed, is_first: bool, now: Time) {
        let minutes = Duration::from_secs(u64::try_from(FIRST_MINUTES).unwrap_or(0) * 60);
        let start = match self.positions.get(&followed.id) {
            Some(position) => Start::After(position.clone()),
            None if is_first => {
                let from = now.checked_sub(minutes).unwrap_or(Time::MIN);
                // Nothing may be printed before this process ends, and the next one must not take it for a new container.
                let position = Position { container: followed.id.clone(), from, stdout: None, stderr: None };
                self.positions.insert(followed.id.clone(), position);
                self.is_dirty = true;
                Start::Last { lines: FIRST_LINES, from }
            }
            None => Start::First,
        };
        let (started, watched) = watch::channel(0);
        let mut lines = follow(self.engine.clone(), &followed.id, start, Budget::default(), watched);
        let (items, container, service) = (self.items.clone(), followed.id.clone(), followed.service.clone());
        let task = self.tasks.spawn(async move {
            while let Some(item) = lines.recv().await {
                let came = Came { container: container.clone(), service: service.clone(), item };
                if items.send(came).await.is_err() {
                    return;
                }
            }
        });
        self.followers.insert(followed.id.clone(), Follower { followed, started, task });
    }

    fn end(&mut self, followed: &Followed, now: Time) {
        for is_error in [false, true] {
            let source = Source { service: followed.service.clone(), container: followed.id.clone(), is_error };
            self.register.end(&source, now);
            self.in_key.remove(&source);
        }
        self.positions.remove(&followed.id);
    }

    async fn take(&mut self, came: Came) {
        let now = self.clock.now();
        let Came { container, service, item } = came;
        match item {
            Item::Lines { batch, position } => {
                self.unreadable.remove(&service);
                for output in [Output::Stdout, Output::Stderr] {
                    let lines: Vec<&Line> = batch.iter().filter(|line| line.output == output).collect();
                    let source = Source {
                        service: service.clone(),
                        container: container.clone(),
                        is_error: output == Output::Stderr,
                    };
                    self.read(&source, &lines, now);
                }
                self.positions.insert(container, position);
                (self.is_dirty, self.untold) = (true, self.untold.max(Untold::Numbers));
            }
            Item::Dropped { dropped, position } => {
                self.dropped += dropped.lines;
                self.positions.insert(container, position);
                (self.is_dirty, self.untold) = (true, Untold::News);
                let text = format!("lines of {service} came faster than they are looked at, and were not");
                self.publish(events::Severity::Warning, reason::LOG_DROPPED, text).await;
            }
            Item::Gap(gap) => {
                self.in_key.retain(|source, _| source.container != container);
                tracing::warn!(
                    stack = self.stack.name(),
                    service,
                    ?gap,
                    "the log may have lost lines before they were read"
                );
            }
            Item::Unreadable(why) => {
                let why = redact(&why).into_owned();
                self.publish(events::Severity::Warning, reason::LOG_UNREADABLE, format!("the log of {service}: {why}"))
                    .await;
                self.unreadable.insert(service, why);
                self.untold = Untold::News;
            }
            Item::Ended => self.in_key.retain(|source, _| source.container != container),
        }
    }

    /// Takes the lines of one output. They are redacted together: what is secret may have many lines.
    fn read(&mut self, source: &Source, lines: &[&Line], now: Time) {
        if lines.is_empty() {
            return;
        }
        // A key is printed in one go; what goes on for longer, or is longer, is none.
        let open = self.in_key.remove(source).filter(|(since, bytes)| since.elapsed() < KEY_TIME && *bytes < KEY_MOST);
        let was_open = open.is_some();
        let opening = was_open.then_some(pem::OPENING);
        let text = opening.into_iter().chain(lines.iter().map(|line| line.text.as_str())).collect::<Vec<_>>().join("\n");
        if pem::is_open(&text) {
            let (since, bytes) = open.unwrap_or_else(|| (Instant::now(), 0));
            self.in_key.insert(source.clone(), (since, bytes + text.len()));
        }
        let clean = redact_lines(&text);
        for (line, text) in lines.iter().zip(clean.split('\n').skip(usize::from(was_open))) {
            // What a secret of many lines has swallowed is no line.
            if !text.is_empty() || line.text.is_empty() {
                self.register.line(source, text, line.at, now);
            }
        }
    }

    async fn tick(&mut self) {
        let now = self.clock.now();
        let over = self.register.tick(self.stack.spec.logs.quiet.to_std(), now);
        if self.register.has_changed() {
            self.untold = Untold::News;
        }
        self.is_dirty |= !over.is_empty();
        self.tell_incidents(&over, now).await;
        self.report(now).await;
        if self.is_dirty && self.saved.elapsed() >= SAVE {
            self.save().await;
        }
    }

    async fn tell_incidents(&mut self, over: &[Alarm], now: Time) {
        let cached = self.caches.incidents.state();
        let known: Vec<Incident> =
            cached.iter().filter(|i| i.spec.stack == self.stack.name()).map(|i| i.as_ref().clone()).collect();
        let soak = soak_of(&self.stack, &self.caches.soaks, now);
        let look = Look {
            alarms: self.register.alarms(),
            over,
            incidents: &known,
            actions: &self.actions(&known),
            soak: soak.as_deref(),
            reading_since: self.reading_since,
            now,
        };
        for change in changes(&self.stack, look) {
            self.untold = Untold::News;
            let opened = match &change {
                Change::Open(incident) => Some(incident.spec.clone()),
                Change::Follow(_) => None,
            };
            match (incidents::write(&self.store, &self.fence, Some(&self.stack), change).await, opened) {
                (Ok(true), Some(spec)) => {
                    let text = format!("{}: {} ({:?})", spec.service, spec.signature, spec.severity);
                    self.publish(events::Severity::Warning, reason::LOG_ALARM, text).await;
                }
                (Ok(_), _) => {}
                (Err(error), _) => tracing::warn!(stack = self.stack.name(), %error, "an incident cannot be told"),
            }
        }
    }

    /// The actions of the stack, when one of its incidents is to list them.
    fn actions(&self, incidents: &[Incident]) -> Vec<ActionRun> {
        let is_open = |i: &Incident| i.status.as_ref().is_none_or(|s| s.phase != IncidentPhase::Resolved);
        if !incidents.iter().any(|i| i.spec.kind.signal().is_some() && is_open(i)) {
            return Vec::new();
        }
        let cached = self.caches.actions.state();
        cached.iter().filter(|run| run.spec.stack == self.stack.name()).map(|run| run.as_ref().clone()).collect()
    }

    async fn create<K: Object>(&self, object: &K) -> Result<(), Error> {
        self.store.transaction().fence(&self.fence).create(object)?.commit().await.map(|_| ())
    }

    /// Writes the report when it is due.
    async fn report(&mut self, now: Time) {
        let age = elapsed(self.reported, now);
        if age < REPORTS_APART || (age < REPORT && self.untold < Untold::News) || self.untold == Untold::Nothing {
            return;
        }
        let mut status = self.register.report(now);
        status.dropped = self.dropped;
        let unreadable =
            |(service, reason): (&String, &String)| UnreadableLog { service: service.clone(), reason: reason.clone() };
        status.unreadable = self.unreadable.iter().map(unreadable).collect();
        let name = self.stack.name().to_owned();
        let Some(found) = self.caches.reports.get(&ObjectRef::new(&name)) else {
            let mut report = LogReport::new(&name, LogReportSpec { stack: name.clone() });
            belongs_to(&self.stack, report.meta_mut());
            match self.create(&report).await {
                Ok(()) | Err(Error::Conflict { .. } | Error::AlreadyExists { .. }) => {}
                Err(error) => tracing::warn!(stack = name, %error, "a report on logs cannot be made"),
            }
            return;
        };
        let before = found.status.clone().unwrap_or_default();
        let counted = status.signatures.iter().any(|signature| signature.minutes.iter().any(|lines| *lines > 0));
        if !is_worth_telling(&before, &status) && age < REPORT {
            self.untold = Untold::Numbers;
            return;
        }
        let mut report = found.as_ref().clone();
        report.status = Some(status);
        match self.store.api().replace_status(&report, Some(&self.fence)).await {
            Ok(_) => {
                // Its minutes go by without another line.
                let left = if counted { Untold::Numbers } else { Untold::Nothing };
                (self.reported, self.untold) = (now, left);
            }
            Err(Error::Conflict { .. } | Error::NotFound { .. }) => {}
            Err(error) => {
                tracing::warn!(stack = name, %error, "a report on logs cannot be written");
                self.reported = after(now, REPORTS_APART);
            }
        }
    }

    async fn save(&mut self) {
        let positions = self.positions.values().cloned().collect();
        let kept = Kept { version: VERSION, register: self.register.save(self.clock.now()), positions };
        let (data_dir, uid) = (self.data_dir.clone(), self.uid.clone());
        match tokio::task::spawn_blocking(move || file::write(&data_dir, &uid, &kept)).await {
            Ok(Ok(())) => self.is_dirty = false,
            Ok(Err(error)) => tracing::warn!(stack = self.stack.name(), %error, "what is known of logs cannot be saved"),
            Err(error) => tracing::warn!(stack = self.stack.name(), %error, "what is known of logs was not saved"),
        }
        self.saved = Instant::now();
    }

    /// Says something once.
    async fn publish(&mut self, severity: events::Severity, reason: &str, text: String) {
        if reason == reason::LOG_ALARM || self.told.insert(format!("{reason} {text}")) {
            self.recorder.publish(&self.stack, severity, reason, &text).await;
        }
    }
}
