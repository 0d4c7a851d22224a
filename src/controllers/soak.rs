//! Soak controller: carries runs out. What a run is to do next is decided in [`crate::soak::course`], what it has shown is added up in
//! [`crate::soak::evidence`]; here records are written, checks and samples are sent out, and the status is told.
//!
//! It acts on a stack only by asking for actions, under the run's session. It is elected per host: it measures the containers of its host
//! and keeps the evidence in that host's data directory.

mod errand;
mod work;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;
use kube::runtime::reflector::{self, ObjectRef};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::incidents;
use super::owner;
use super::runtime::{Action, ReconcileError, Sources, lead};
use super::{Context, Controller};
use crate::api::action::{ActionRun, ActionRunSpec};
use crate::api::incident::Incident;
use crate::api::session::ControlSession;
use crate::api::soak::{EvidenceStatus, SoakPhase, SoakRun, SoakRunStatus, Verdict};
use crate::api::stack::WicapStack;
use crate::api::{API_VERSION, Object, Time, condition, elapsed, reason};
use crate::signature::incident::Change;
use crate::soak::course::{self, Move, Scene};
use crate::soak::evidence::Evidence;
use crate::soak::incident::{changes, ended};
use crate::soak::journal;
use crate::soak::judge::judge;
use crate::soak::record::What;
use crate::soak::schedule::progress;
use crate::store::election::Fence;
use crate::store::events::{Recorder, Severity};
use work::Work;

/// The longest that the status says nothing new of a run that goes on as planned: records are on disk at once, and three days of a
/// status every minute are 4,320 writes.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// Runs the soak controller until `shutdown`.
pub async fn run(context: Context, shutdown: CancellationToken) {
    let name = format!("{}.{}", Controller::Soak, context.host);
    lead(&context.store, &name, &context.identity, &shutdown, |fence, ending| {
        let context = context.clone();
        async move {
            let mut sources = Sources::<SoakRun>::new(&context.store);
            let runs = sources.primary();
            let under_way = move |stack: &str| -> Vec<ObjectRef<SoakRun>> {
                let runs = runs.state();
                let runs = runs.iter().filter(|r| r.spec.stack == stack && !is_completed(r));
                runs.map(|r| ObjectRef::from_obj(r.as_ref())).collect()
            };
            let of_stack = under_way.clone();
            let stacks = sources.watch::<WicapStack>(move |stack| of_stack(stack.name()));
            let of_session = under_way.clone();
            let sessions = sources.watch::<ControlSession>(move |session| of_session(&session.spec.stack));
            let of_action = under_way.clone();
            let actions = sources.watch::<ActionRun>(move |action| of_action(&action.spec.stack));
            // Those of its own checks, which an operator may have seen to.
            let incidents = sources.watch::<Incident>(move |incident| {
                if incident.spec.soak.is_some() { under_way(&incident.spec.stack) } else { Vec::new() }
            });
            let ready = async {
                stacks.wait_until_ready().await?;
                sessions.wait_until_ready().await?;
                incidents.wait_until_ready().await?;
                actions.wait_until_ready().await
            };
            if ready.await.is_err() {
                return;
            }
            let recorder = Recorder::new(context.store.clone(), Controller::Soak.as_str(), &context.host);
            let (runs, waker) = (sources.primary(), sources.waker());
            let works = Mutex::default();
            let controller =
                Arc::new(Soaks { context, fence, recorder, runs, stacks, sessions, actions, incidents, waker, works });
            sources.run(controller, ending, |run, controller| async move { controller.reconcile(&run).await }).await;
        }
    })
    .await;
}

struct Soaks {
    context: Context,
    fence: Fence,
    recorder: Recorder,
    runs: reflector::Store<SoakRun>,
    stacks: reflector::Store<WicapStack>,
    sessions: reflector::Store<ControlSession>,
    actions: reflector::Store<ActionRun>,
    incidents: reflector::Store<Incident>,
    waker: mpsc::UnboundedSender<ObjectRef<SoakRun>>,
    /// The runs that are under way here, by uid.
    works: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Work>>>>,
}

fn is_completed(run: &SoakRun) -> bool {
    run.status.as_ref().is_some_and(|s| s.phase == SoakPhase::Completed)
}

impl Soaks {
    async fn reconcile(&self, run: &SoakRun) -> Result<Action, ReconcileError> {
        let Some(uid) = run.meta().uid.clone().filter(|_| !is_completed(run)) else {
            self.forget();
            let now = self.context.store.clock().now();
            self.write_incidents(run, None, ended(run, &self.incidents_of(&run.spec.stack), now)).await;
            return Ok(Action::await_change());
        };
        let stack = self.stacks.get(&ObjectRef::new(&run.spec.stack));
        let is_ours = stack.as_ref().is_none_or(|s| s.spec.host == self.context.host)
            && run.status.iter().flat_map(|s| &s.evidence).all(|e| e.host == self.context.host);
        if !is_ours {
            return Ok(Action::await_change());
        }
        let told = run.status.as_ref().and_then(|s| s.evidence.as_ref());
        if told.is_none() && (stack.is_none() || run.spec.suspend) && !run.spec.abort {
            return self.wait_to_begin(run, stack.as_deref()).await;
        }
        let work = match self.work(run, &uid, told).await {
            Ok(work) => work,
            Err(error @ journal::JournalError::Locked { .. }) => return Err(error.into()),
            Err(error) => return self.give_up(run, &error).await,
        };
        let mut work = work.lock().await;
        match self.go_on(run, stack.as_deref(), &mut work).await {
            Err(error @ ReconcileError::Journal(_)) => {
                // What is on disk is read again: it is what counts.
                self.lock().remove(&uid);
                Err(error)
            }
            other => other,
        }
    }

    /// One look at a run that is under way.
    async fn go_on(&self, run: &SoakRun, stack: Option<&WicapStack>, work: &mut Work) -> Result<Action, ReconcileError> {
        let now = self.context.store.clock().now();
        let session = run.spec.session.as_ref().and_then(|name| self.sessions.get(&ObjectRef::new(name)));
        let cached = self.actions.state();
        let actions: Vec<ActionRun> =
            cached.iter().filter(|a| a.spec.stack == run.spec.stack).map(|a| a.as_ref().clone()).collect();
        work.collect(run, now)?;
        // What has ended bears on what comes next; what is to be asked for is known when that has been decided.
        work.note_jobs(run, &actions, now)?;
        let waited = loop {
            work.note(run, &actions, stack, now)?;
            let phase = work.evidence.phase();
            // It is read from the disk, so only when it is asked for.
            let baseline_problem = (phase == SoakPhase::Preflight).then(|| self.baseline(run).err()).flatten();
            let scene = Scene {
                run,
                stack,
                session: session.as_deref(),
                baseline_problem,
                actions: &actions,
                warm: &work.warm,
                is_told: run.status.as_ref().is_some_and(|s| s.phase == phase),
                is_measuring: work.is_measuring(),
                now,
            };
            match course::next(&scene, &work.evidence) {
                Move::Record(what) => {
                    let begins_soaking = matches!(what, What::Phase { phase: SoakPhase::Soaking });
                    work.record(now, what)?;
                    if begins_soaking && let Some(stack) = stack {
                        let images = errand::images(&self.context.engine, stack).await;
                        work.record(now, What::Images { images })?;
                    }
                }
                Move::Ask(asked) => {
                    let (name, spec) = *asked;
                    self.ask(run, &name, spec).await?;
                    break (None, None);
                }
                Move::Wait { message, until } => break (message, until),
            }
        };
        let (message, until) = waited;
        // The soak may just have begun, or ended.
        for (name, spec) in work.note_jobs(run, &actions, now)? {
            self.ask(run, &name, spec).await?;
        }
        let due = work.send_out(run, stack, &self.context, &self.waker, now);
        self.tell(run, work, message, now).await?;
        if let Some(stack) = stack {
            let changes = changes(run, stack, &work.evidence, &self.incidents_of(stack.name()), now);
            self.write_incidents(run, Some(stack), changes).await;
        }
        let at = [until, due].into_iter().flatten().min();
        Ok(at.map_or_else(Action::await_change, |at| Action::requeue(elapsed(now, at))))
    }

    fn incidents_of(&self, stack: &str) -> Vec<Incident> {
        self.incidents.state().iter().filter(|i| i.spec.stack == stack).map(|i| i.as_ref().clone()).collect()
    }

    /// Calls for people when checks fail. A soak goes on when that cannot be written: the next look tries again.
    async fn write_incidents(&self, run: &SoakRun, stack: Option<&WicapStack>, changes: Vec<Change>) {
        for change in changes {
            if let Err(error) = incidents::write(&self.context.store, &self.fence, stack, change).await {
                tracing::warn!(run = run.name(), %error, "an incident cannot be told");
            }
        }
    }

    /// Asks for a step of the run. Whoever finds it there already has asked before.
    async fn ask(&self, run: &SoakRun, name: &str, spec: ActionRunSpec) -> Result<(), ReconcileError> {
        let mut action = ActionRun::new(name, spec);
        let meta = action.meta_mut();
        meta.labels = owner::labels(&run.spec.stack);
        meta.owner_references = Some(vec![OwnerReference {
            api_version: API_VERSION.to_owned(),
            kind: SoakRun::kind(&()).into_owned(),
            name: run.name().to_owned(),
            uid: run.meta().uid.clone().unwrap_or_default(),
            controller: Some(true),
            block_owner_deletion: None,
        }]);
        if self.context.store.api::<ActionRun>().get_opt(name).await?.is_some() {
            return Ok(());
        }
        self.context.store.transaction().fence(&self.fence).unchanged(run)?.create(&action)?.commit().await?;
        tracing::info!(run = run.name(), name, action = %action.spec.action, "a step of a soak run is asked for");
        Ok(())
    }

    /// Tells the status what there is to tell, and what the run waits for.
    async fn tell(&self, run: &SoakRun, work: &mut Work, message: Option<String>, now: Time) -> Result<(), ReconcileError> {
        let before = run.status.clone().unwrap_or_default();
        let mut next = before.clone();
        next.observed_generation = run.metadata.generation;
        work.evidence.tell(&run.spec, &mut next);
        next.evidence = Some(work.journal.status(&self.context.host));
        next.maintenance = course::claim(run, &work.evidence);
        next.message = message;
        if let Some(since) = next.soaking_since {
            let whole = course::length(&run.spec, &work.evidence);
            let until = next.soaked_until.unwrap_or(now);
            next.progress = Some(format!("{}%", progress(since, whole, until)));
        }
        if work.evidence.phase() >= SoakPhase::Cleanup && next.verdict.is_none() {
            let baseline = self.baseline(run).ok().flatten();
            let judgement = judge(&run.spec, &work.evidence, baseline.as_ref());
            (next.verdict, next.reasons) = (Some(judgement.verdict), judgement.reasons);
        }
        if work.evidence.phase() == SoakPhase::Completed {
            complete(&mut next, now);
        }
        if !work.is_worth_telling(&before, &next, TOLD_EVERY, now) {
            return Ok(());
        }
        let mut written = run.clone();
        written.status = Some(next.clone());
        self.context.store.api().replace_status(&written, Some(&self.fence)).await?;
        work.told_at = Some(now);
        self.publish(run, &before, &next).await;
        Ok(())
    }

    async fn publish(&self, run: &SoakRun, before: &SoakRunStatus, next: &SoakRunStatus) {
        for record in &next.checks {
            let bad = |r: &crate::api::soak::CheckRecord| r.failed + r.errors;
            let earlier = before.checks.iter().find(|r| r.name == record.name).map_or(0, bad);
            if bad(record) > earlier {
                let message = record.failures.last().map_or("", |f| f.message.as_str());
                let text = format!("check {}: {message}", record.name);
                self.recorder.publish(run, Severity::Warning, reason::CHECK_FAILED, &text).await;
            }
        }
        if next.phase != before.phase {
            let (severity, text) = match (next.phase, next.verdict) {
                (SoakPhase::Completed, Some(verdict)) => {
                    let severity = if verdict == Verdict::Passed { Severity::Normal } else { Severity::Warning };
                    (severity, format!("{:?} -> Completed: {verdict:?}: {}", before.phase, next.reasons.join("; ")))
                }
                _ => (Severity::Normal, format!("{:?} -> {:?}", before.phase, next.phase)),
            };
            self.recorder.publish(run, severity, reason::SOAK_PHASE, &text).await;
        }
    }

    /// Says what a run waits for that has not begun.
    async fn wait_to_begin(&self, run: &SoakRun, stack: Option<&WicapStack>) -> Result<Action, ReconcileError> {
        let (actions, warm) = (Vec::new(), std::collections::BTreeMap::new());
        let now = self.context.store.clock().now();
        let scene = Scene {
            run,
            stack,
            session: None,
            baseline_problem: None,
            actions: &actions,
            warm: &warm,
            is_told: true,
            is_measuring: false,
            now,
        };
        let Move::Wait { message, .. } = course::next(&scene, &Evidence::default()) else {
            return Ok(Action::await_change());
        };
        let mut next = run.status.clone().unwrap_or_default();
        (next.message, next.observed_generation) = (message, run.metadata.generation);
        if run.status.as_ref() != Some(&next) {
            let mut written = run.clone();
            written.status = Some(next);
            self.context.store.api().replace_status(&written, Some(&self.fence)).await?;
        }
        Ok(Action::await_change())
    }

    /// Ends a run whose evidence cannot be had: nothing can be said of it.
    async fn give_up(&self, run: &SoakRun, error: &journal::JournalError) -> Result<Action, ReconcileError> {
        let now = self.context.store.clock().now();
        let before = run.status.clone().unwrap_or_default();
        let mut next = SoakRunStatus { phase: SoakPhase::Completed, maintenance: None, ..before.clone() };
        next.phase_since = Some(now);
        next.observed_generation = run.metadata.generation;
        next.verdict = Some(Verdict::Error);
        next.reasons = vec![format!("ERROR: the recorded evidence cannot be had: {error}")];
        complete(&mut next, now);
        let mut written = run.clone();
        written.status = Some(next.clone());
        self.context.store.api().replace_status(&written, Some(&self.fence)).await?;
        self.publish(run, &before, &next).await;
        Ok(Action::await_change())
    }

    /// What was recorded of the run that this one is compared with; none where it is compared with none.
    fn baseline(&self, run: &SoakRun) -> Result<Option<Evidence>, String> {
        let Some(name) = &run.spec.baseline else { return Ok(None) };
        let found = self.runs.get(&ObjectRef::new(name)).ok_or_else(|| format!("the baseline {name:?} is no SoakRun"))?;
        let status = found.status.as_ref().filter(|s| s.verdict == Some(Verdict::Passed));
        let status = status.ok_or_else(|| format!("the baseline {name:?} has not passed"))?;
        if !found.spec.promoted {
            return Err(format!("the baseline {name:?} is not promoted (wicapctl soak promote {name})"));
        }
        let told = status.evidence.as_ref().ok_or_else(|| format!("the baseline {name:?} has no evidence"))?;
        let records = journal::read(&self.context.data_dir, told).map_err(|e| format!("the baseline {name:?}: {e}"))?;
        Ok(Some(Evidence::of(&records)))
    }

    /// The run's work here, opened if it is not.
    async fn work(
        &self,
        run: &SoakRun,
        uid: &str,
        told: Option<&EvidenceStatus>,
    ) -> Result<Arc<tokio::sync::Mutex<Work>>, journal::JournalError> {
        self.forget();
        if let Some(work) = self.lock().get(uid) {
            return Ok(Arc::clone(work));
        }
        let now = self.context.store.clock().now();
        let mut work = Work::open(&self.context.data_dir, uid, told)?;
        if work.evidence.uid.is_empty() {
            let versions = errand::versions(&self.context.engine).await;
            let what = What::Run {
                name: run.name().to_owned(),
                uid: uid.to_owned(),
                host: self.context.host.clone(),
                versions,
                // A spec is plain data, which always has a JSON form.
                spec: serde_json::to_value(&run.spec).unwrap_or_default(),
            };
            work.record(now, what)?;
        }
        let work = Arc::new(tokio::sync::Mutex::new(work));
        self.lock().insert(uid.to_owned(), Arc::clone(&work));
        Ok(work)
    }

    /// Lets go of runs that are over or gone.
    fn forget(&self) {
        let runs = self.runs.state();
        let is_there = |uid: &String| runs.iter().any(|r| r.meta().uid.as_ref() == Some(uid) && !is_completed(r));
        self.lock().retain(|uid, _| is_there(uid));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<tokio::sync::Mutex<Work>>>> {
        self.works.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn complete(next: &mut SoakRunStatus, now: Time) {
    next.finished_at = next.finished_at.or(Some(now));
    next.message = None;
    let word = next.verdict.map_or_else(String::new, |v| format!("{v:?}"));
    let reasons = next.reasons.join("; ");
    let generation = next.observed_generation;
    condition::set(&mut next.conditions, condition::COMPLETE, condition::Status::True, &word, reasons, generation, now);
}
