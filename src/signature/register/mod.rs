//! The register of a stack's logs: what each service says, how often, and what of it a person should know.
//!
//! ```text
//!  line (redacted, with its time) ─► folder of its stream ─► record ─► rules (severity) ┐
//!                                                              └─► miner of its service ─► entry ─► watch (new, spike)
//!                                                                                                     └─► alarm
//! ```
//!
//! Guarantees: a register that was saved and restored goes on as if nothing had been in between, but for a record whose lines were
//! on both sides. Memory is bounded by [`SERVICES_MOST`] miners and the capacity of the watch. Assumption: what comes in is
//! redacted already, for it is shown and stored as it is.
//!
//! # Layout
//! - `entry`: one signature; [`alarm`]: what a person should know
//! - [`report`]: what is told of them

pub mod alarm;
mod entry;
pub mod report;
mod saved;

use std::collections::BTreeMap;
use std::time::Duration;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use self::alarm::{Alarm, Heard, sample};
use self::entry::Entry;
use crate::api::incident::SignalKind;
use crate::api::{Severity, Time, elapsed};
use crate::signature::envelope::{Folder, Limits, Record};
use crate::signature::mine::{Group, Miner, Settings};
use crate::signature::rates::{Key, Watch, What};
use crate::signature::rules::{Rule, Rules};

pub use saved::Saved;

/// How long a record waits for lines that belong to it. A trace is written at once; what comes a second later is another event.
const FOLD: Duration = Duration::from_millis(500);

/// How long a signature is called new.
const NEW: Duration = Duration::from_secs(600);

/// Services whose lines are told apart; those of further ones are counted and not looked at. A miner takes up to 8 MiB.
pub const SERVICES_MOST: usize = 64;

/// Signatures that are kept; those seen least recently go first. A quarter of what a watch can hold is more than a stack of twenty
/// services has in six hours, and takes 5 MB.
const SIGNATURES_KEPT: usize = 1024;

/// Alarms that are raised at once. More would tell nobody more: such a flood has one cause.
const ALARMS_MOST: usize = 32;

/// Words that two templates have in common before one that differs counts for nothing.
const LIKE: usize = 3;

/// Where a line comes from: lines of one source follow each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// The compose service.
    pub service: String,
    /// The container's id.
    pub container: String,
    /// Whether it is the standard error output.
    pub is_error: bool,
}

/// Puts the lines of one source together.
#[derive(Debug)]
struct Reader {
    folder: Folder,
    /// When the first line of the open record was written.
    opened: Time,
    /// When the last line of it came.
    fed: Time,
}

/// The signatures of one service.
#[derive(Debug)]
struct Service {
    miner: Miner,
    entries: BTreeMap<Group, Entry>,
}

/// The register of a stack's logs.
#[derive(Debug)]
pub struct Register {
    rules: Rules,
    readers: BTreeMap<Source, Reader>,
    services: BTreeMap<String, Service>,
    watch: Watch,
    /// What a key of the watch stands for.
    keys: FxHashMap<Key, (String, Group)>,
    next_key: u64,
    alarms: Vec<Alarm>,
    lines: u64,
    /// Lines of services over [`SERVICES_MOST`].
    unread: u64,
    /// What rules have known, by service and rule.
    known: BTreeMap<(String, String), Known>,
    has_changed: bool,
}

impl Register {
    /// A register that has seen nothing.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            readers: BTreeMap::new(),
            services: BTreeMap::new(),
            watch: Watch::new(SIGNATURES_KEPT),
            keys: FxHashMap::default(),
            next_key: 1,
            alarms: Vec::new(),
            lines: 0,
            unread: 0,
            known: BTreeMap::new(),
            has_changed: false,
        }
    }

    /// Judges by other rules from now on.
    pub fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// Says that the stack was deployed anew: for the next ten minutes only what is grave is told as new.
    pub fn warm_up(&mut self, now: Time) {
        self.watch.warm_up(now);
    }

    /// Takes one line that was written at `at` and came at `now`.
    pub fn line(&mut self, source: &Source, text: &str, at: Time, now: Time) {
        self.lines += 1;
        let reader = if let Some(reader) = self.readers.get_mut(source) {
            reader
        } else {
            let reader = Reader { folder: Folder::new(Limits::default()), opened: at, fed: now };
            self.readers.entry(source.clone()).or_insert(reader)
        };
        let was_open = reader.folder.pending() > 0;
        let closed = reader.folder.push(text);
        let opened = reader.opened;
        if closed.is_some() || !was_open {
            reader.opened = at;
        }
        reader.fed = now;
        if let Some(record) = closed {
            self.record(&source.service, &record, opened, now);
        }
    }

    /// Says that nothing more comes from a source: its container is gone.
    pub fn end(&mut self, source: &Source, now: Time) {
        if let Some(mut reader) = self.readers.remove(source)
            && let Some(record) = reader.folder.flush()
        {
            self.record(&source.service, &record, reader.opened, now);
        }
    }

    /// Lets time pass; to be called a few times a second while lines come, and at least once a minute. An alarm whose log has been quiet
    /// for `quiet` is over. Returns those that are.
    pub fn tick(&mut self, quiet: Duration, now: Time) -> Vec<Alarm> {
        self.close(|reader| elapsed(reader.fed, now) >= FOLD, now);
        // What has ended and what is silent is told by the report; a silence alone calls nobody.
        self.has_changed |= !self.watch.tick(now).is_empty();
        let (over, go_on) = std::mem::take(&mut self.alarms).into_iter().partition(|alarm| alarm.is_over(quiet, now));
        self.alarms = go_on;
        over
    }

    /// Whether a signature has fallen silent or come back, or a spike has ended, since this was last asked.
    pub fn has_changed(&mut self) -> bool {
        std::mem::take(&mut self.has_changed)
    }

    /// Closes every record that is open.
    pub fn flush(&mut self, now: Time) {
        self.close(|_| true, now);
    }

    /// The alarms that are raised, in the order in which they were.
    #[must_use]
    pub fn alarms(&self) -> &[Alarm] {
        &self.alarms
    }

    fn close(&mut self, is_due: impl Fn(&Reader) -> bool, now: Time) {
        let due: Vec<Source> = self
            .readers
            .iter()
            .filter(|(_, r)| r.folder.pending() > 0 && is_due(r))
            .map(|(source, _)| source.clone())
            .collect();
        for source in due {
            if let Some(reader) = self.readers.get_mut(&source)
                && let (Some(record), opened) = (reader.folder.flush(), reader.opened)
            {
                self.record(&source.service, &record, opened, now);
            }
        }
    }

    /// Takes one record.
    fn record(&mut self, name: &str, record: &Record, at: Time, now: Time) {
        if !self.services.contains_key(name) {
            if self.services.len() >= SERVICES_MOST {
                self.unread += 1;
                return;
            }
            let service = Service { miner: Miner::new(Settings::default()), entries: BTreeMap::new() };
            self.services.insert(name.to_owned(), service);
        }
        let Some(service) = self.services.get_mut(name) else { return };
        let judged = self.rules.judge(name, record);
        let text = record.mined();
        let found = service.miner.learn(&text);
        if found.is_new {
            for (gone, kept) in merge(service, found.group, &mut self.keys) {
                let theirs = self.alarms.iter_mut().filter(|alarm| alarm.keys.contains(&gone));
                theirs.for_each(|alarm| alarm.count_under(kept));
            }
        }
        let next = &mut self.next_key;
        let mut is_new = false;
        let entry = service.entries.entry(found.group).or_insert_with(|| {
            let key = Key(*next);
            *next += 1;
            is_new = true;
            Entry::new(key, found.id, judged.severity, at)
        });
        let rule = judged.rule;
        if let Some(rule) = rule.filter(|_| judged.severity > Severity::Noise) {
            know(&mut self.known, (name, &rule.name), judged.severity, at);
        }
        entry.add(found.id, judged.severity, rule.map(|r| r.name.as_str()), at, record.message());
        let key = entry.key;
        let event = self.watch.line(key, judged.severity, at, now);
        if matches!(event.map(|e| e.what), Some(What::New(_))) {
            entry.new_since = Some(now);
        }
        // The miner may have known it before it was forgotten here.
        if is_new {
            self.keys.insert(key, (name.to_owned(), found.group));
            forget(&mut self.services, &mut self.keys);
        }
        let id = found.id.to_string();
        let told = told(record);
        let heard = Heard { key, id: &id, severity: judged.severity, at, now, text: &told };
        if let Some(alarm) = self.alarms.iter_mut().find(|alarm| alarm.service == name && is_of(alarm, rule, key)) {
            alarm.add(&heard);
            return;
        }
        let Some(kind) = reason(judged.severity, rule, event.map(|e| e.what)) else { return };
        let template = || self.services.get(name).map_or_else(String::new, |s| s.miner.template(found.group));
        let title = rule.and_then(|r| r.title.clone()).unwrap_or_else(template);
        if rule.is_none()
            && let Some(alarm) =
                self.alarms.iter_mut().find(|a| a.service == name && a.rule.is_none() && is_like(&a.title, &title))
        {
            alarm.add(&heard);
            return;
        }
        // What loses data is told in the middle of a flood, too.
        let most = if judged.severity == Severity::Critical { 2 * ALARMS_MOST } else { ALARMS_MOST };
        if self.alarms.len() >= most {
            return;
        }
        let mut alarm = Alarm {
            service: name.to_owned(),
            kind,
            rule: rule.map(|r| r.name.clone()),
            ids: Vec::new(),
            title: sample(&title),
            severity: judged.severity,
            remedy: rule.and_then(|r| r.remedy.clone()),
            action: rule.and_then(|r| r.action),
            first: at,
            last: at,
            count: 0,
            samples: Vec::new(),
            keys: Vec::new(),
            came: None,
        };
        alarm.add(&heard);
        self.alarms.push(alarm);
    }
}

/// What a rule has known of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    severity: Severity,
    count: u64,
    first: Time,
    last: Time,
}

impl Known {
    /// Takes in what was counted elsewhere.
    fn absorb(&mut self, other: &Self) {
        self.severity = self.severity.max(other.severity);
        self.count += other.count;
        (self.first, self.last) = (self.first.min(other.first), self.last.max(other.last));
    }
}

/// Counts one more record of what a rule knows.
fn know(known: &mut BTreeMap<(String, String), Known>, (service, rule): (&str, &str), severity: Severity, at: Time) {
    let one = Known { severity, count: 1, first: at, last: at };
    let key = (service.to_owned(), rule.to_owned());
    known.entry(key).and_modify(|known| known.absorb(&one)).or_insert(one);
}

/// Drops the signatures seen least recently when there are too many.
fn forget(services: &mut BTreeMap<String, Service>, keys: &mut FxHashMap<Key, (String, Group)>) {
    let count: usize = services.values().map(|s| s.entries.len()).sum();
    if count <= SIGNATURES_KEPT {
        return;
    }
    let mut all: Vec<(Time, Key)> = services.values().flat_map(|s| s.entries.values().map(|e| (e.last, e.key))).collect();
    all.sort_unstable();
    // A sixteenth at once: one at a time would sort all of them for each new one.
    for (_, key) in all.into_iter().take(count - SIGNATURES_KEPT + SIGNATURES_KEPT / 16) {
        if let Some((service, group)) = keys.remove(&key)
            && let Some(service) = services.get_mut(&service)
        {
            service.entries.remove(&group);
        }
    }
}

/// Why an alarm is raised for a record, if one is.
fn reason(severity: Severity, rule: Option<&Rule>, what: Option<What>) -> Option<SignalKind> {
    match what {
        _ if severity < Severity::Warning => None,
        _ if rule.is_some() => Some(SignalKind::KnownIssue),
        Some(What::New(_)) if severity >= Severity::Error => Some(SignalKind::NewSignature),
        Some(What::Spike(_)) => Some(SignalKind::Spike),
        _ => None,
    }
}

/// Whether a record is of that alarm.
fn is_of(alarm: &Alarm, rule: Option<&Rule>, key: Key) -> bool {
    match (&alarm.rule, rule) {
        (Some(known), Some(rule)) => *known == rule.name,
        (None, None) => alarm.keys.contains(&key),
        _ => false,
    }
}

/// Whether two templates differ in one word only, of several: most likely a value of which the miner has not seen enough yet to know.
fn is_like(one: &str, other: &str) -> bool {
    let (mut a, mut b) = (one.split_whitespace(), other.split_whitespace());
    let (mut same, mut different) = (0, 0);
    loop {
        match (a.next(), b.next()) {
            (None, None) => return different <= 1 && same >= LIKE,
            (Some(a), Some(b)) if a == b => same += 1,
            (Some(_), Some(_)) => different += 1,
            _ => return false,
        }
    }
}

/// A record as it is shown: its message, and where a trace follows, what failed.
fn told(record: &Record) -> String {
    match &record.exception {
        Some(exception) if !record.message().contains(&exception.kind) => {
            format!("{} [{}: {}]", record.message(), exception.kind, exception.message)
        }
        _ => record.message().to_owned(),
    }
}

/// Brings together the entries whose groups the miner has merged: the oldest takes in the others. Returns what these were counted under,
/// and what they are from now on.
fn merge(service: &mut Service, into: Group, keys: &mut FxHashMap<Key, (String, Group)>) -> Vec<(Key, Key)> {
    let mut taken = Vec::new();
    let merged: Vec<Group> =
        service.entries.keys().copied().filter(|group| *group != into && service.miner.resolve(*group) == into).collect();
    for group in merged {
        let Some(entry) = service.entries.remove(&group) else { continue };
        match service.entries.get_mut(&into) {
            Some(kept) => {
                kept.absorb(&entry);
                keys.remove(&entry.key);
                taken.push((entry.key, kept.key));
            }
            None => {
                if let Some((_, known)) = keys.get_mut(&entry.key) {
                    *known = into;
                }
                service.entries.insert(into, entry);
            }
        }
    }
    taken
}

#[cfg(test)]
mod tests;
