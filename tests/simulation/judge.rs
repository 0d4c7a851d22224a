//! What must be so in every history, checked on everything that was ever stored and every call that reached the engine.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use etcd_client::{Client, EventType, WatchOptions};
use serde_json::Value;
use wicap::api::{Time, after, condition, reason};
use wicap::audit::{chain, trail};

use super::journal::Deed;
use super::world::{Ended, World};

/// More actions in one episode of one service than any ladder of the scenarios has: two, two, two and one, and the two that bring up
/// the whole stack.
const MOST_ACTIONS: usize = 9;

/// Who was well for that long has been seen to be by everybody, in whatever weather, so that what comes later is another drift.
const SEEN_TO_BE_WELL: Duration = Duration::from_secs(20);

/// One key, changed.
#[derive(Clone, Debug)]
pub struct Change {
    pub revision: i64,
    pub key: String,
    /// Of the key, when it was made.
    pub created: i64,
    /// None: it was deleted.
    pub value: Option<Value>,
}

/// Everything that was ever stored, in its order.
pub type Record = Arc<Mutex<Vec<Change>>>;

/// Writes down every change from now on.
pub async fn follow(client: &Client) -> Record {
    let record = Record::default();
    let options = WatchOptions::new().with_prefix().with_start_revision(1);
    let mut stream = client.watch_client().watch("/wicap.dev/", Some(options)).await.expect("nothing is wrong here");
    let into = Arc::clone(&record);
    tokio::spawn(async move {
        while let Ok(Some(response)) = stream.message().await {
            for event in response.events() {
                let Some(kv) = event.kv() else { continue };
                let put = event.event_type() == EventType::Put;
                let text = kv.value_str().unwrap_or_default();
                let key = kv.key_str().unwrap_or_default().trim_start_matches("/wicap.dev/").to_owned();
                let value = put.then(|| match serde_json::from_str::<Value>(text) {
                    // The half of the status is stored as the whole has it.
                    Ok(mut value) if key.contains(".status/") => value["status"].take(),
                    Ok(value) => value,
                    Err(_) => Value::String(text.to_owned()),
                });
                let change = Change { revision: kv.mod_revision(), key, created: kv.create_revision(), value };
                into.lock().unwrap().push(change);
            }
        }
    });
    record
}

/// What was found to be broken, in words.
pub async fn judge(world: &World, record: &Record, ended: &Ended) -> Vec<String> {
    let record = record.lock().unwrap().clone();
    let mut judge = Judge::default();
    let mut rest = record.as_slice();
    while let Some(first) = rest.first() {
        let end = rest.iter().position(|c| c.revision != first.revision).unwrap_or(rest.len());
        let (together, later) = rest.split_at(end);
        judge.revision(together);
        rest = later;
    }
    judge.deeds(&world.journal.deeds());
    let status = ended.stack.as_ref().and_then(|stack| stack.status.as_ref());
    let blocked = status.is_some_and(|status| world.is_blocked(status));
    judge.end(ended, blocked, &record, &world.journal.deeds());
    let lanes = trail::check(&world.store, Path::new("/nowhere"), &[]).await.expect("nothing is wrong here");
    judge.broken.extend(chain::findings(&lanes).into_iter().map(|f| format!("audit log: {f:?}")));
    judge.broken
}

/// A claim of an action.
#[derive(Clone, Debug)]
struct Claim {
    verb: &'static str,
    /// The services that it may touch.
    services: Vec<String>,
    at: Time,
    holder: String,
    used: bool,
}

/// Spells in which a service was well.
#[derive(Clone, Copy, Default)]
struct Well {
    /// The one that goes on.
    now: Option<Time>,
    /// The last one that was long enough.
    long: Option<Time>,
}

#[derive(Default)]
struct Judge {
    now: BTreeMap<String, Change>,
    claims: Vec<Claim>,
    broken: Vec<String>,
    /// Actions asked for, by stack's uid, service and episode.
    asked: BTreeMap<(String, String, String), usize>,
    /// Since when a service is well, or was when it last was for long enough, by stack and service.
    well: BTreeMap<(String, String), Well>,
    /// Incidents that were opened.
    opened: u64,
    /// How often a person was called.
    called: u64,
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn time(value: &Value, pointer: &str) -> Option<Time> {
    text(value, pointer).parse().ok()
}

fn changes(action: &str) -> bool {
    action != "status_check"
}

impl Judge {
    fn value(&self, key: &str) -> Option<&Value> {
        self.now.get(key)?.value.as_ref()
    }

    fn fail(&mut self, revision: i64, what: String) {
        self.broken.push(format!("revision {revision}: {what}"));
    }

    /// One transaction, on the state before it.
    fn revision(&mut self, together: &[Change]) {
        for change in together {
            if let Some(record) = change.value.as_ref().filter(|_| change.key.starts_with("audit/control/")) {
                self.leads(change.revision, record);
            }
            let of_action = ["actionruns/", "actionruns.status/"].iter().find_map(|half| change.key.strip_prefix(half));
            if let Some(name) = of_action.filter(|_| change.value.is_some()) {
                let tells =
                    |record: &Value| text(record, "/object/kind") == "ActionRun" && text(record, "/object/name") == name;
                let records = together.iter().filter(|c| c.key.starts_with("audit/"));
                if !records.flat_map(|c| &c.value).any(tells) {
                    self.fail(change.revision, format!("{} is changed without a record", change.key));
                }
            }
            if let (Some(name), Some(status)) = (change.key.strip_prefix("actionruns.status/"), &change.value) {
                let before = self.value(&change.key).map(|v| text(v, "/phase").to_owned()).unwrap_or_default();
                if text(status, "/phase") == "Running" && before != "Running" {
                    self.claim(change.revision, name, status);
                }
                let last = ["Succeeded", "Failed", "Denied", "Interrupted", "Shadowed"];
                if last.contains(&before.as_str()) && text(status, "/phase") != before {
                    self.fail(change.revision, format!("{name} was {before} and became {}", text(status, "/phase")));
                }
            }
            if let (Some(name), Some(spec)) = (change.key.strip_prefix("actionruns/"), &change.value)
                && !self.now.contains_key(&change.key)
            {
                self.ask(change.revision, name, spec, together);
            }
        }
        for change in together {
            self.call(change);
            if let (Some(stack), Some(status)) = (change.key.strip_prefix("wicapstacks.status/"), &change.value) {
                let services = status.pointer("/services").and_then(Value::as_array).cloned().unwrap_or_default();
                let at = time(status, "/observedAt").unwrap_or_default();
                for service in &services {
                    let well = self.well.entry((stack.to_owned(), text(service, "/name").to_owned())).or_default();
                    well.long = well.now.filter(|since| after(*since, SEEN_TO_BE_WELL) <= at).or(well.long);
                    well.now = (text(service, "/state") == "Running").then(|| well.now.unwrap_or(at));
                }
            }
            if change.value.is_some() {
                self.now.insert(change.key.clone(), change.clone());
            } else {
                self.now.remove(&change.key);
            }
        }
    }

    /// What a controller has written it has written as the leader.
    fn leads(&mut self, revision: i64, record: &Value) {
        let (controller, process) = (text(record, "/actor/name").to_owned(), text(record, "/actor/process"));
        let leader = self.value(&format!("leader/{controller}")).and_then(Value::as_str);
        if leader != Some(process) {
            let what =
                format!("{process} writes as the {controller} while {leader:?} leads: {}", text(record, "/object/name"));
            self.fail(revision, what);
        }
    }

    /// A person is called once for each Incident.
    fn call(&mut self, change: &Change) {
        let Some(value) = &change.value else { return };
        if change.key.starts_with("incidents/") && self.value(&change.key).is_none() {
            self.opened += 1;
        }
        if change.key.starts_with("events/") && text(value, "/reason") == reason::ESCALATED {
            let count = |event: &Value| event.pointer("/count").and_then(Value::as_u64).unwrap_or_default();
            let before = self.value(&change.key).map_or(0, count);
            self.called += count(value).saturating_sub(before);
            if self.called > self.opened {
                let (called, opened) = (self.called, self.opened);
                self.fail(change.revision, format!("a person is called {called} times, for {opened} incidents"));
            }
        }
    }

    /// An action is asked for: about what was seen, which was not Unknown.
    fn ask(&mut self, revision: i64, name: &str, run: &Value, together: &[Change]) {
        let stack = text(run, "/spec/stack").to_owned();
        let key = format!("wicapstacks.status/{stack}");
        let planned = together.iter().find(|c| c.key == key).and_then(|c| c.value.clone());
        let Some(status) = planned.or_else(|| self.value(&key).cloned()) else {
            return self.fail(revision, format!("{name} is asked for, and its stack was never observed"));
        };
        let target = text(run, "/spec/target").to_owned();
        let states = status.pointer("/recovery").and_then(Value::as_array).into_iter().flatten();
        if !states.into_iter().any(|s| text(s, "/service") == target && text(s, "/lastAction") == name) {
            self.fail(revision, format!("{name} is asked for, and its attempt is not counted with it"));
        }
        let services = status.pointer("/services").and_then(Value::as_array).cloned().unwrap_or_default();
        let unknown = services.iter().any(|s| text(s, "/name") == target && text(s, "/state") == "Unknown");
        if unknown {
            self.fail(revision, format!("{name} is asked for, and {target} is Unknown"));
        }
        let conditions = status.pointer("/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
        if !conditions.iter().any(|c| text(c, "/type") == condition::OBSERVED && text(c, "/status") == "True") {
            self.fail(revision, format!("{name} is asked for, and the engine does not answer"));
        }
        let created = time(run, "/metadata/creationTimestamp");
        let observed = time(&status, "/observedAt");
        let old = observed.zip(created).is_none_or(|(o, c)| wicap::api::elapsed(o, c) > Duration::from_secs(91));
        if old {
            self.fail(revision, format!("{name} is asked for on an observation of {observed:?}"));
        }
        self.in_its_time(revision, name, run, observed.zip(time(&status, "/decidedAt")));
        let uid =
            self.value(&format!("wicapstacks/{stack}")).map(|s| text(s, "/metadata/uid").to_owned()).unwrap_or_default();
        let episode = text(run, "/spec/cause/attempt").split(',').next().unwrap_or_default().to_owned();
        let count = self.asked.entry((uid, target.clone(), episode.clone())).or_default();
        *count += 1;
        if *count > MOST_ACTIONS {
            let count = *count;
            self.fail(revision, format!("{target} has {count} actions in {episode}"));
        }
    }

    /// What is asked for is about what was seen after the last action on the service was over, about a drift that began after the
    /// service was last well, and not before the drift has lasted for the hold-off.
    fn in_its_time(&mut self, revision: i64, name: &str, run: &Value, times: Option<(Time, Time)>) {
        let (stack, target) = (text(run, "/spec/stack"), text(run, "/spec/target"));
        let Some((observed, decided)) = times else { return };
        let over = self.now.iter().filter_map(|(key, change)| {
            let other = key.strip_prefix("actionruns.status/")?;
            let run = self.value(&format!("actionruns/{other}"))?;
            let touched = text(run, "/spec/target");
            let touches =
                text(run, "/spec/stack") == stack && (touched == target || touched.is_empty() || target.is_empty());
            Some((time(change.value.as_ref()?, "/finishedAt").filter(|_| touches)?, other.to_owned()))
        });
        if let Some((ended, other)) = over.max().filter(|(ended, _)| observed <= *ended) {
            self.fail(revision, format!("{name} is asked for on a look of {observed}, and {other} ended at {ended}"));
        }
        let Some(since) = time(run, "/spec/cause/since") else { return };
        let down = ["NotRunning", "Missing", "Unhealthy", "Paused", "Restarting"];
        let well = self.well.get(&(stack.to_owned(), target.to_owned())).and_then(|w| w.long);
        if let Some(well) = well.filter(|well| down.contains(&text(run, "/spec/cause/drift")) && since < *well) {
            self.fail(revision, format!("{name} is about a drift since {since}, and {target} was well from {well} on"));
        }
        let spec = self.value(&format!("wicapstacks/{stack}")).cloned().unwrap_or_default();
        let hold_off = text(&spec, "/spec/defaults/recovery/holdOff").parse::<wicap::api::Duration>();
        if hold_off.is_ok_and(|hold_off| decided < after(since, hold_off.to_std())) {
            self.fail(revision, format!("{name} is asked for at {decided}, before the hold-off from {since} on was over"));
        }
    }

    /// An action is claimed.
    fn claim(&mut self, revision: i64, name: &str, status: &Value) {
        let Some(run) = self.value(&format!("actionruns/{name}")).cloned() else {
            return self.fail(revision, format!("{name} is claimed, and nobody asked for it"));
        };
        let (stack, action, target) = (text(&run, "/spec/stack"), text(&run, "/spec/action"), text(&run, "/spec/target"));
        let at = time(status, "/startedAt");
        for stop in ["all", stack] {
            if self.value(&format!("emergencystops/{stop}")).is_some() {
                self.fail(revision, format!("{name} is claimed while EmergencyStop {stop} is there"));
            }
        }
        let session = text(&run, "/spec/session");
        let permits = self.value(&format!("controlsessions.status/{session}")).is_some_and(|s| {
            text(s, "/phase") == "Active" && time(s, "/expiresAt").zip(at).is_some_and(|(end, now)| now < end)
        });
        let ended = self
            .value(&format!("controlsessions/{session}"))
            .is_none_or(|s| s.pointer("/spec/end") == Some(&Value::Bool(true)));
        if !permits || ended {
            self.fail(revision, format!("{name} is claimed, and session {session} does not permit it"));
        }
        let spec = self.value(&format!("controlsessions/{session}")).cloned().unwrap_or_default();
        if text(&spec, "/spec/mode") != "Assist" {
            self.fail(revision, format!("{name} is claimed in a session that is {}", text(&spec, "/spec/mode")));
        }
        if self.is_denied(action) {
            self.fail(revision, format!("{name} is claimed, and the policy denies {action}"));
        }
        let token = status.pointer("/claim/token").and_then(Value::as_i64);
        let leader = self.now.get("leader/actuator.here").map(|c| c.created);
        if leader.is_none() || token != leader {
            self.fail(revision, format!("{name} is claimed with token {token:?} while the leader's is {leader:?}"));
        }
        let spec = self.value(&format!("wicapstacks/{stack}")).cloned().unwrap_or_default();
        let most = spec.pointer("/spec/defaults/maxConcurrent").and_then(Value::as_u64).unwrap_or(1);
        let running: Vec<(String, String)> = self
            .now
            .iter()
            .filter_map(|(key, change)| Some((key.strip_prefix("actionruns.status/")?, change.value.as_ref()?)))
            .filter(|(other, status)| *other != name && text(status, "/phase") == "Running")
            .filter_map(|(other, _)| {
                let run = self.value(&format!("actionruns/{other}"))?;
                let ours = text(run, "/spec/stack") == stack && changes(text(run, "/spec/action"));
                ours.then(|| (other.to_owned(), text(run, "/spec/target").to_owned()))
            })
            .collect();
        if changes(action) {
            if running.len() as u64 >= most {
                self.fail(revision, format!("{name} is claimed, of {most} at once, while {running:?} are under way"));
            }
            if let Some((other, _)) = running.iter().find(|(_, t)| t == target || t.is_empty() || target.is_empty()) {
                self.fail(revision, format!("{name} is claimed while {other} has its hand on the same service"));
            }
        }
        let services = if target.is_empty() {
            let all = spec.pointer("/spec/services").and_then(Value::as_array).cloned().unwrap_or_default();
            all.iter().map(|s| text(s, "/name").to_owned()).collect()
        } else {
            vec![target.to_owned()]
        };
        let verb = match action {
            "start_service" => "start",
            "restart_service" => "restart",
            "stop_service" => "stop",
            "compose_up" => "up",
            "recreate_service" => "recreate",
            "compose_down" => "down",
            _ => "nothing",
        };
        let holder = text(status, "/claim/holder").to_owned();
        let claim = Claim { verb, services, at: at.unwrap_or_default(), holder, used: false };
        self.claims.push(claim);
    }

    /// Whether a policy denies an action, of any service.
    fn is_denied(&self, action: &str) -> bool {
        let policies = self.now.iter().filter(|(key, _)| key.starts_with("controlpolicies/"));
        let rules = policies.filter_map(|(_, change)| change.value.as_ref()?.pointer("/spec/deny")?.as_array());
        let denied = rules.flatten().filter_map(|rule| rule.pointer("/actions")?.as_array()).flatten();
        denied.filter_map(Value::as_str).any(|denied| denied == "*" || denied == action)
    }

    /// Each call that changed something was claimed first, by the process that called, and made once.
    fn deeds(&mut self, deeds: &[Deed]) {
        let beginning: Time = "2026-01-01T00:00:00Z".parse().expect("a time");
        for deed in deeds {
            let at = after(beginning, deed.at);
            let fits = |c: &&mut Claim| {
                let touches = deed.services.iter().all(|s| c.services.contains(s));
                !c.used && c.verb == deed.verb && touches && c.at <= at && c.holder == deed.process
            };
            match self.claims.iter_mut().find(fits) {
                Some(claim) => claim.used = true,
                None => self.broken.push(format!("{deed:?} was claimed by nobody, or made twice")),
            }
        }
    }

    /// How it ended.
    fn end(&mut self, ended: &Ended, blocked: bool, record: &[Change], deeds: &[Deed]) {
        if ended.settled.is_none() {
            let status = ended.stack.as_ref().and_then(|s| s.status.as_ref());
            self.broken.push(format!("it has not settled: {}", serde_json::to_string(&status).unwrap_or_default()));
            return;
        }
        for deed in deeds.iter().filter(|d| d.at > ended.quiet_at) {
            self.broken.push(format!("it had settled, and {deed:?}"));
        }
        let escalated = ended.stack.iter().flat_map(|s| &s.status).flat_map(|s| &s.conditions);
        let escalated = escalated.into_iter().any(|c| c.type_ == condition::ESCALATED && c.status == "True");
        let called = escalated || blocked;
        for change in no_heartbeats(record, ended.quiet_from) {
            // What a person was called for may go on dying under the engine's own policy, and that is seen and told, or come back and
            // stay, and then the incident is over, on record: but nothing is decided about it any more.
            let resolved = |value: &Value| text(value, "/phase") == "Resolved";
            let told = change.key.starts_with("events/")
                || change.key.starts_with("wicapstacks.status/")
                || change.key.starts_with("audit-head/")
                || change.value.as_ref().is_some_and(resolved);
            if called && told {
                continue;
            }
            self.broken.push(format!("it had settled, and {} was written: {:?}", change.key, change.value));
        }
        for (key, change) in &self.now {
            if let (Some(name), Some(status)) = (key.strip_prefix("actionruns.status/"), &change.value)
                && text(status, "/phase") == "Running"
            {
                self.broken.push(format!("{name} is Running for ever"));
            }
        }
    }
}

/// What was written after a revision that is no heartbeat.
pub fn no_heartbeats(record: &[Change], from: i64) -> Vec<&Change> {
    let mut before: BTreeMap<&str, &Change> = BTreeMap::new();
    let mut found = Vec::new();
    for change in record {
        let heartbeat = change.key.starts_with("wicapstacks.status/")
            && before.get(change.key.as_str()).is_some_and(|b| without_time(b) == without_time(change));
        // An Event goes when its lease has run out: nobody writes that.
        let expiry = change.key.starts_with("events/") && change.value.is_none();
        // Who leads changes when a process dies, however quiet it is.
        let election = change.key.starts_with("leader/");
        if change.revision > from && !heartbeat && !expiry && !election {
            found.push(change);
        }
        before.insert(&change.key, change);
    }
    found
}

fn without_time(change: &Change) -> Option<Value> {
    let mut value = change.value.clone()?;
    if let Some(object) = value.as_object_mut() {
        object.remove("observedAt");
    }
    Some(value)
}
