//! What the records of a run add up to. Everything that is told of a run is told from this.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::record::{Record, What};
use super::report::{ActionEntry, CheckEntry, CheckOutcome, EventEntry};
use crate::api::Time;
use crate::api::soak::{
    CheckFailure, CheckRecord, KEPT_FAILURES, RestartRecord, SoakPhase, SoakRunSpec, SoakRunStatus, Verdict,
};

/// The records of a run, added up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// Name of the run.
    pub run: String,
    /// Its uid.
    pub uid: String,
    /// The host that carries it out.
    pub host: String,
    /// Versions, by what they are of.
    pub versions: BTreeMap<String, String>,
    /// The run's spec, as it was when the run began.
    pub spec: Value,
    /// Images of the services.
    pub images: BTreeMap<String, String>,
    /// The phases, and when each began.
    pub phases: Vec<(SoakPhase, Time)>,
    /// The checks that were made, by name.
    pub checks: BTreeMap<String, Checks>,
    /// What was measured, by series.
    pub series: BTreeMap<String, Vec<(Time, f64)>>,
    /// The number of the next sample.
    pub next_sample: u32,
    /// The starts of each service's containers while soaking. The first one seen is the base and counts nothing.
    pub starts: BTreeMap<String, Vec<Start>>,
    /// The actions that have ended.
    pub actions: Vec<ActionEntry>,
    /// What else happened.
    pub events: Vec<EventEntry>,
    /// When an operator has asked for the end of the soak.
    pub finish: Option<Time>,
    /// What decides the verdict before any criterion.
    pub decided: Option<(Verdict, String)>,
}

/// What a check has shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checks {
    /// Every result, in the order of time.
    pub results: Vec<CheckEntry>,
    /// Results that passed, that failed, and that could not be had.
    counts: [u32; 3],
    /// The last that did not pass, as a status shows them.
    failures: Vec<CheckFailure>,
    /// Checks that were due while nobody could make them.
    pub missed: u32,
    /// The number of the next one.
    pub next: u32,
}

/// A start of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The container.
    pub container: String,
    /// When it had started.
    pub started: Time,
}

impl Checks {
    /// How many results there are of a kind.
    #[must_use]
    pub fn count(&self, outcome: CheckOutcome) -> u32 {
        self.counts[outcome as usize]
    }

    fn add(&mut self, entry: CheckEntry) {
        let count = &mut self.counts[entry.outcome as usize];
        *count = count.saturating_add(1);
        if entry.outcome != CheckOutcome::Passed {
            let message = entry.message.clone().unwrap_or_default();
            self.failures.push(CheckFailure { at: entry.at, message });
            self.failures.drain(..self.failures.len().saturating_sub(KEPT_FAILURES));
        }
        self.results.push(entry);
    }
}

impl Evidence {
    /// What records add up to.
    #[must_use]
    pub fn of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut evidence = Self::default();
        for record in records {
            evidence.add(record);
        }
        evidence
    }

    /// One more record.
    pub fn add(&mut self, record: &Record) {
        let at = record.at;
        match &record.what {
            What::Run { name, uid, host, versions, spec } => {
                (self.run, self.uid, self.host) = (name.clone(), uid.clone(), host.clone());
                (self.versions, self.spec) = (versions.clone(), spec.clone());
            }
            What::Phase { phase } => self.phases.push((*phase, at)),
            What::Images { images } => self.images.clone_from(images),
            What::Check { name, number, outcome, latency_ms, message, screenshot, captured } => {
                let checks = self.checks.entry(name.clone()).or_default();
                checks.next = checks.next.max(number.saturating_add(1));
                checks.add(CheckEntry {
                    at,
                    outcome: *outcome,
                    latency_ms: *latency_ms,
                    message: message.clone(),
                    screenshot: screenshot.clone(),
                });
                if *outcome != CheckOutcome::Error {
                    self.series.entry(format!("check:{name}/latency")).or_default().push((at, *latency_ms));
                }
                for (what, value) in captured {
                    self.series.entry(format!("check:{name}/{what}")).or_default().push((at, *value));
                }
            }
            What::Missed { name, number, count } => {
                let checks = self.checks.entry(name.clone()).or_default();
                checks.missed = checks.missed.saturating_add(*count);
                checks.next = checks.next.max(number.saturating_add(*count));
            }
            What::Sample { number, values } => {
                self.next_sample = self.next_sample.max(number.saturating_add(1));
                for (series, value) in values {
                    self.series.entry(series.clone()).or_default().push((at, *value));
                }
            }
            What::Start { service, container, started } => {
                let start = Start { container: container.clone(), started: *started };
                self.starts.entry(service.clone()).or_default().push(start);
            }
            What::Action { name, what, result, cause, own } => self.actions.push(ActionEntry {
                at,
                name: name.clone(),
                what: what.clone(),
                result: result.clone(),
                cause: cause.clone(),
                own: *own,
            }),
            What::Finish => {
                self.finish.get_or_insert(at);
                self.events.push(EventEntry { at, what: "an operator asked for the end of the soak".to_owned() });
            }
            What::Event { what } => self.events.push(EventEntry { at, what: what.clone() }),
            // The first one stands: what comes after it happened to a run that was over.
            What::Decided { verdict, reason } => {
                self.decided.get_or_insert_with(|| (*verdict, reason.clone()));
            }
        }
    }

    /// The phase the run is in.
    #[must_use]
    pub fn phase(&self) -> SoakPhase {
        self.phases.last().map_or(SoakPhase::Pending, |(phase, _)| *phase)
    }

    /// When the last phase of that name began.
    #[must_use]
    pub fn began(&self, phase: SoakPhase) -> Option<Time> {
        self.phases.iter().rev().find(|(p, _)| *p == phase).map(|(_, at)| *at)
    }

    /// When soaking ended; none before.
    #[must_use]
    pub fn soaked_until(&self) -> Option<Time> {
        let soaking = self.phases.iter().position(|(phase, _)| *phase == SoakPhase::Soaking)?;
        self.phases.get(soaking + 1).map(|(_, at)| *at)
    }

    /// How often each service was restarted while soaking.
    pub fn restarts(&self) -> impl Iterator<Item = (&str, u32)> {
        let count = |starts: &Vec<Start>| u32::try_from(starts.len().saturating_sub(1)).unwrap_or(u32::MAX);
        self.starts.iter().map(move |(service, starts)| (service.as_str(), count(starts)))
    }

    /// The actions that others than the run asked for.
    pub fn recoveries(&self) -> impl Iterator<Item = &ActionEntry> {
        self.actions.iter().filter(|action| !action.own)
    }

    /// Names of the actions that are on record.
    #[must_use]
    pub fn recorded_actions(&self) -> BTreeSet<&str> {
        self.actions.iter().map(|action| action.name.as_str()).collect()
    }

    /// The part of a run's status that is added up from the records.
    pub fn tell(&self, spec: &SoakRunSpec, status: &mut SoakRunStatus) {
        status.phase = self.phase();
        status.phase_since = self.phases.last().map(|(_, at)| *at);
        status.started_at = self.phases.first().map(|(_, at)| *at);
        status.soaking_since = self.began(SoakPhase::Soaking);
        status.soaked_until = self.soaked_until();
        status.checks = spec.checks.iter().map(|check| self.check_record(&check.name)).collect();
        status.restarts = self
            .starts
            .iter()
            .map(|(service, starts)| RestartRecord {
                service: service.clone(),
                container_id: starts.last().map(|s| s.container.clone()),
                started_at: starts.last().map(|s| s.started),
                count: u32::try_from(starts.len().saturating_sub(1)).unwrap_or(u32::MAX),
            })
            .collect();
        status.recoveries = u32::try_from(self.recoveries().count()).unwrap_or(u32::MAX);
    }

    fn check_record(&self, name: &str) -> CheckRecord {
        let Some(checks) = self.checks.get(name) else {
            return CheckRecord { name: name.to_owned(), ..CheckRecord::default() };
        };
        CheckRecord {
            name: name.to_owned(),
            passed: checks.count(CheckOutcome::Passed),
            failed: checks.count(CheckOutcome::Failed),
            errors: checks.count(CheckOutcome::Error),
            missed: checks.missed,
            next: checks.next,
            failures: checks.failures.clone(),
        }
    }
}
