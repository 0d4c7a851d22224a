//! A run that is under way here: its evidence, and the errands that are out for it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::errand::{self, Done, Made, Measured};
use crate::api::action::{ActionRun, ActionRunSpec};
use crate::api::soak::{EvidenceStatus, SoakPhase, SoakRun, SoakRunStatus};
use crate::api::stack::WicapStack;
use crate::api::{Object, Time, after, elapsed};
use crate::controllers::Context;
use crate::soak::course::length;
use crate::soak::evidence::Evidence;
use crate::soak::jobs::{self, Job};
use crate::soak::journal::{Journal, JournalError};
use crate::soak::logs::Said;
use crate::soak::observed;
use crate::soak::record::{Record, What};
use crate::soak::schedule::{due, take_due};

/// Wait before a plain check is tried again while the stack warms up: the two seconds of WICAP's own runner.
const WARM_AGAIN: Duration = Duration::from_secs(2);

/// What is out, or could be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Errand {
    Check(String),
    Warm(String),
    Sample,
}

/// A run that is under way here.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) journal: Journal,
    pub(super) evidence: Evidence,
    /// What each plain check last said while warming up.
    pub(super) warm: BTreeMap<String, Result<(), String>>,
    /// When the status was last written.
    pub(super) told_at: Option<Time>,
    warm_at: BTreeMap<String, Time>,
    /// The last look at each container, to tell rates by.
    measured: BTreeMap<String, Measured>,
    out: BTreeSet<Errand>,
    /// Ends with the work: an errand has nobody to come back to then.
    errands: JoinSet<()>,
    sender: mpsc::UnboundedSender<Done>,
    receiver: mpsc::UnboundedReceiver<Done>,
}

impl Work {
    pub(super) fn open(data_dir: &Path, uid: &str, told: Option<&EvidenceStatus>) -> Result<Self, JournalError> {
        let (journal, records) = Journal::open(data_dir, uid, told)?;
        let (sender, receiver) = mpsc::unbounded_channel();
        Ok(Self {
            journal,
            evidence: Evidence::of(&records),
            warm: BTreeMap::new(),
            told_at: None,
            warm_at: BTreeMap::new(),
            measured: BTreeMap::new(),
            out: BTreeSet::new(),
            errands: JoinSet::new(),
            sender,
            receiver,
        })
    }

    /// Records something: it is on disk when this returns.
    pub(super) fn record(&mut self, at: Time, what: What) -> Result<(), JournalError> {
        let record = Record { at, what };
        self.journal.append(std::slice::from_ref(&record))?;
        self.evidence.add(&record);
        Ok(())
    }

    /// Records what errands have come back with.
    pub(super) fn collect(&mut self, run: &SoakRun, now: Time) -> Result<(), JournalError> {
        while self.errands.try_join_next().is_some() {}
        while let Ok(done) = self.receiver.try_recv() {
            match done {
                Done::Check { name, number, made } => {
                    self.out.remove(&Errand::Check(name.clone()));
                    let is_new = self.evidence.checks.get(&name).is_none_or(|c| c.next <= number);
                    let is_open = [SoakPhase::Soaking, SoakPhase::Finalizing].contains(&self.evidence.phase());
                    if is_new && is_open {
                        self.record_check(name, number, made)?;
                    }
                }
                Done::Warm { name, passed } => {
                    self.out.remove(&Errand::Warm(name.clone()));
                    self.warm_at.insert(name.clone(), now);
                    self.warm.insert(name, passed);
                }
                Done::Sample { number, at, values, measured } => {
                    self.out.remove(&Errand::Sample);
                    self.measured = measured;
                    let is_open = [SoakPhase::Soaking, SoakPhase::Finalizing].contains(&self.evidence.phase());
                    if is_open && self.evidence.next_sample <= number {
                        self.record(at, What::Sample { number, values })?;
                    }
                }
            }
        }
        if self.evidence.phase() != SoakPhase::Warmup {
            self.warm.clear();
        }
        tracing::trace!(run = run.name(), out = self.out.len(), "errands");
        Ok(())
    }

    /// Records jobs that have ended, and returns those that are to be asked for.
    pub(super) fn note_jobs(
        &mut self,
        run: &SoakRun,
        actions: &[ActionRun],
        now: Time,
    ) -> Result<Vec<(String, ActionRunSpec)>, JournalError> {
        let mut asked = Vec::new();
        let is_open = [SoakPhase::Soaking, SoakPhase::Finalizing].contains(&self.evidence.phase());
        let since = self.evidence.began(SoakPhase::Soaking).filter(|_| is_open);
        let Some(since) = since else { return Ok(asked) };
        for check in run.spec.checks.iter().filter(|c| c.job.is_some()) {
            let next = loop {
                let open = self.evidence.checks.get(&check.name).map_or(0, |c| c.next);
                match jobs::look(run, check, open, actions) {
                    Job::UnderWay => break None,
                    Job::Again { number, attempt } => break Some((number, attempt)),
                    Job::Made { number, made } => {
                        let jobs::Made { at, outcome, latency_ms, message, captured } = made;
                        let name = check.name.clone();
                        let screenshot = None;
                        self.record(at, What::Check { name, number, outcome, latency_ms, message, screenshot, captured })?;
                    }
                    Job::Idle => {
                        let whole = length(&run.spec, &self.evidence);
                        let due = take_due(open, since, whole, check.period.to_std(), now);
                        if let Some((_, count @ 1..)) = due {
                            self.record(now, What::Missed { name: check.name.clone(), number: open, count })?;
                        }
                        break due.map(|(number, _)| (number, 1));
                    }
                }
            };
            if let Some((number, attempt)) = next
                && let Some(spec) = jobs::request(run, check, number)
            {
                asked.push((jobs::name(run, &check.name, number, attempt), spec));
            }
        }
        Ok(asked)
    }

    fn record_check(&mut self, name: String, number: u32, made: Made) -> Result<(), JournalError> {
        let Made { at, outcome, latency_ms, message, picture, captured } = made;
        let screenshot = picture.map(|png| self.journal.keep_picture(&png)).transpose()?;
        self.record(at, What::Check { name, number, outcome, latency_ms, message, screenshot, captured })
    }

    /// Records what others have done: actions that have ended, and while it soaks starts of containers.
    pub(super) fn note(
        &mut self,
        run: &SoakRun,
        actions: &[ActionRun],
        stack: Option<&WicapStack>,
        now: Time,
    ) -> Result<(), JournalError> {
        for record in observed::actions(run, actions, &self.evidence, now) {
            self.record(record.at, record.what)?;
        }
        if let Some(stack) = stack.filter(|_| self.evidence.phase() == SoakPhase::Soaking) {
            for record in observed::starts(stack, &self.evidence, now) {
                self.record(record.at, record.what)?;
            }
        }
        Ok(())
    }

    /// Sends out what is due, and returns when the next thing will be.
    pub(super) fn send_out(
        &mut self,
        run: &SoakRun,
        stack: Option<&WicapStack>,
        context: &Context,
        waker: &mpsc::UnboundedSender<ObjectRef<SoakRun>>,
        now: Time,
    ) -> Option<Time> {
        let back = errand::Back { sender: self.sender.clone(), waker: waker.clone(), run: ObjectRef::from_obj(run) };
        match self.evidence.phase() {
            SoakPhase::Warmup => self.warm_up(run, context, &back, now),
            SoakPhase::Soaking | SoakPhase::Finalizing => {
                let since = self.evidence.began(SoakPhase::Soaking)?;
                let checks = self.check(run, context, &back, since, now);
                [checks, self.sample(run, stack, context, &back, since, now)].into_iter().flatten().min()
            }
            _ => {
                self.errands.abort_all();
                self.out.clear();
                None
            }
        }
    }

    fn warm_up(&mut self, run: &SoakRun, context: &Context, back: &errand::Back, now: Time) -> Option<Time> {
        let mut next = None;
        for check in run.spec.checks.iter().filter(|c| c.is_plain()) {
            if matches!(self.warm.get(&check.name), Some(Ok(()))) || self.out.contains(&Errand::Warm(check.name.clone())) {
                continue;
            }
            let at = self.warm_at.get(&check.name).map_or(now, |last| after(*last, WARM_AGAIN));
            if at > now {
                next = next.min(Some(at)).or(Some(at));
                continue;
            }
            self.out.insert(Errand::Warm(check.name.clone()));
            self.errands.spawn(errand::warm(check.clone(), context.clone(), back.clone()));
        }
        next
    }

    fn check(&mut self, run: &SoakRun, context: &Context, back: &errand::Back, since: Time, now: Time) -> Option<Time> {
        let whole = length(&run.spec, &self.evidence);
        let mut next: Option<Time> = None;
        for check in &run.spec.checks {
            let errand = Errand::Check(check.name.clone());
            if self.out.contains(&errand) {
                continue;
            }
            let period = check.period.to_std();
            let open = self.evidence.checks.get(&check.name).map_or(0, |c| c.next);
            if check.job.is_some() {
                // It is asked for elsewhere; where it is due already, its end is waited for.
                next = [next, due(since, whole, period, open).filter(|at| *at > now)].into_iter().flatten().min();
                continue;
            }
            let Some((number, missed)) = take_due(open, since, whole, period, now) else {
                let at = due(since, whole, period, open);
                next = [next, at].into_iter().flatten().min();
                continue;
            };
            if missed > 0
                && self.record(now, What::Missed { name: check.name.clone(), number: open, count: missed }).is_err()
            {
                // The next look opens the journal anew.
                return Some(now);
            }
            self.out.insert(errand);
            self.errands.spawn(errand::check(check.clone(), number, context.clone(), back.clone()));
        }
        next
    }

    fn sample(
        &mut self,
        run: &SoakRun,
        stack: Option<&WicapStack>,
        context: &Context,
        back: &errand::Back,
        since: Time,
        now: Time,
    ) -> Option<Time> {
        let (whole, interval) = (length(&run.spec, &self.evidence), run.spec.samples.interval.to_std());
        if self.out.contains(&Errand::Sample) {
            return None;
        }
        let open = self.evidence.next_sample;
        let Some((number, _)) = take_due(open, since, whole, interval, now) else {
            return due(since, whole, interval, open);
        };
        if let Some(stack) = stack {
            self.out.insert(Errand::Sample);
            let before = std::mem::take(&mut self.measured);
            let said = Said::so_far(&self.evidence, since);
            self.errands.spawn(errand::sample(stack.clone(), number, before, said, context.clone(), back.clone()));
        }
        None
    }

    /// Whether a sample is on its way.
    pub(super) fn is_measuring(&self) -> bool {
        self.out.contains(&Errand::Sample)
    }

    /// Whether the status is to be written: something of note is new in it, or it is old.
    pub(super) fn is_worth_telling(&self, before: &SoakRunStatus, next: &SoakRunStatus, every: Duration, now: Time) -> bool {
        // What goes on as planned is told by its share of the whole.
        let of_note = |status: &SoakRunStatus| {
            let mut status = status.clone();
            status.evidence = None;
            for check in &mut status.checks {
                (check.passed, check.next) = (0, 0);
            }
            status
        };
        let is_old = self.told_at.is_none_or(|at| elapsed(at, now) >= every);
        before != next && (is_old || of_note(before) != of_note(next))
    }
}
