//! Soak controller: waits until the stack is up, makes the checks on their schedule, and gives the verdict that follows from what
//! was recorded. It takes no action itself: bringing the stack up is the planner's work, under the session that permits it.
//!
//! Pending → Startup (until the stack is Available) → Soaking (checks, restarts) → Completed (verdict).

use std::sync::Arc;

use kube::runtime::reflector::{self, ObjectRef};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::runtime::{Action, ReconcileError, Sources, lead};
use super::{Context, Controller};
use crate::api::soak::{CheckFailure, CheckRecord, KEPT_FAILURES, SoakPhase, SoakRun, SoakRunStatus, Verdict};
use crate::api::stack::WicapStack;
use crate::api::{Object, Time, after, condition, elapsed, reason};
use crate::observe::probe::ask_http;
use crate::plan::drift::is_stale;
use crate::plan::soak::{count_restarts, due, duration, last_check, progress, take_due, verdict};
use crate::store::election::Fence;
use crate::store::events::{Recorder, Severity};

/// Runs the soak controller until `shutdown`.
pub async fn run(context: Context, shutdown: CancellationToken) {
    let name = Controller::Soak.as_str();
    lead(&context.store, name, &context.identity, &shutdown, |fence, ending| {
        let context = context.clone();
        async move {
            let mut sources = Sources::<SoakRun>::new(&context.store);
            let runs = sources.primary();
            let stacks = sources.watch::<WicapStack>(move |stack| {
                let running = |r: &SoakRun| {
                    r.spec.stack == stack.name() && r.status.as_ref().is_none_or(|s| s.phase != SoakPhase::Completed)
                };
                runs.state().iter().filter(|r| running(r)).map(|r| ObjectRef::from_obj(r.as_ref())).collect()
            });
            if stacks.wait_until_ready().await.is_err() {
                return;
            }
            let recorder = Recorder::new(context.store.clone(), name, &context.host);
            let controller = Arc::new(Soaks { context, fence, recorder, stacks });
            sources.run(controller, ending, |run, controller| async move { controller.reconcile(&run).await }).await;
        }
    })
    .await;
}

struct Soaks {
    context: Context,
    fence: Fence,
    recorder: Recorder,
    stacks: reflector::Store<WicapStack>,
}

impl Soaks {
    async fn reconcile(&self, run: &SoakRun) -> Result<Action, ReconcileError> {
        let now = self.context.store.clock().now();
        let before = run.status.clone().unwrap_or_default();
        if before.phase == SoakPhase::Completed {
            return Ok(Action::await_change());
        }
        let stack = self.stacks.get(&ObjectRef::new(&run.spec.stack));
        let mut next = before.clone();
        next.observed_generation = run.metadata.generation;
        if run.spec.abort {
            complete(&mut next, Verdict::Aborted, vec!["aborted by an operator".to_owned()], now);
        } else {
            match before.phase {
                SoakPhase::Pending => begin(&mut next, run, stack.as_deref(), now),
                SoakPhase::Startup => start_up(&mut next, run, stack.as_deref(), now),
                SoakPhase::Soaking => self.soak(&mut next, run, stack.as_deref(), now).await,
                SoakPhase::Completed => {}
            }
        }
        if run.status.as_ref() != Some(&next) {
            let mut written = run.clone();
            written.status = Some(next.clone());
            self.context.store.api().replace_status(&written, Some(&self.fence)).await?;
            self.tell(run, &before, &next).await;
        }
        Ok(look_again(run, &next, now))
    }

    async fn soak(&self, next: &mut SoakRunStatus, run: &SoakRun, stack: Option<&WicapStack>, now: Time) {
        let Some(since) = next.soaking_since else {
            complete(next, Verdict::Error, vec!["the status has no soakingSince".to_owned()], now);
            return;
        };
        let whole = duration(&run.spec);
        if let Some(status) = stack.and_then(|s| s.status.as_ref()) {
            count_restarts(&mut next.restarts, &status.services);
        }
        let mut asked = JoinSet::new();
        for check in &run.spec.checks {
            let record = record(next, &check.name);
            let Some((number, missed)) = take_due(record, since, whole, check.period.to_std(), now) else { continue };
            record.missed += missed;
            record.next = number + 1;
            let (check, dialer) = (check.clone(), self.context.dialer.clone());
            asked.spawn(async move { (check.name, ask_http(&dialer, &check.http_get, check.timeout.to_std()).await) });
        }
        for (name, result) in asked.join_all().await {
            let record = record(next, &name);
            match result {
                Ok(_) => record.passed += 1,
                Err(message) => {
                    record.failed += 1;
                    record.failures.push(CheckFailure { at: now, message });
                    let over = record.failures.len().saturating_sub(KEPT_FAILURES);
                    record.failures.drain(..over);
                }
            }
        }
        next.progress = Some(format!("{}%", progress(since, whole, now)));
        let all_made = |next: &mut SoakRunStatus| {
            run.spec.checks.iter().all(|c| record(next, &c.name).next > last_check(whole, c.period.to_std()))
        };
        if all_made(next) {
            let (word, reasons) = verdict(&run.spec, next);
            complete(next, word, reasons, now);
        }
    }

    async fn tell(&self, run: &SoakRun, before: &SoakRunStatus, next: &SoakRunStatus) {
        for record in &next.checks {
            let earlier = before.checks.iter().find(|r| r.name == record.name).map_or(0, |r| r.failed);
            if record.failed > earlier {
                let message = record.failures.last().map_or("", |f| f.message.as_str());
                let text = format!("check {}: {message}", record.name);
                self.recorder.publish(run, Severity::Warning, reason::CHECK_FAILED, &text).await;
            }
        }
        if next.phase != before.phase {
            let (severity, text) = match next.verdict {
                None => (Severity::Normal, format!("{:?} -> {:?}", before.phase, next.phase)),
                Some(v) => {
                    let severity = if v == Verdict::Passed { Severity::Normal } else { Severity::Warning };
                    (severity, format!("{:?} -> Completed: {v:?}: {}", before.phase, next.reasons.join("; ")))
                }
            };
            self.recorder.publish(run, severity, reason::SOAK_PHASE, &text).await;
        }
    }
}

fn begin(next: &mut SoakRunStatus, run: &SoakRun, stack: Option<&WicapStack>, now: Time) {
    if stack.is_some() {
        next.phase = SoakPhase::Startup;
        next.started_at = Some(now);
        next.message = Some("waiting for the stack to be Available".to_owned());
    } else {
        next.message = Some(format!("waiting: there is no WicapStack \"{}\"", run.spec.stack));
    }
}

fn start_up(next: &mut SoakRunStatus, run: &SoakRun, stack: Option<&WicapStack>, now: Time) {
    let available = stack.is_some_and(|s| {
        let conditions = s.status.as_ref().map(|s| s.conditions.as_slice()).unwrap_or_default();
        !is_stale(s.status.as_ref(), now)
            && condition::get(conditions, condition::AVAILABLE).is_some_and(|c| c.status == "True")
    });
    if available {
        next.phase = SoakPhase::Soaking;
        next.soaking_since = Some(now);
        next.progress = Some("0%".to_owned());
        next.message = None;
        next.checks =
            run.spec.checks.iter().map(|c| CheckRecord { name: c.name.clone(), ..CheckRecord::default() }).collect();
        if let Some(status) = stack.and_then(|s| s.status.as_ref()) {
            count_restarts(&mut next.restarts, &status.services);
        }
    } else if now >= deadline(run, next, now) {
        let text = format!("FAILED: the stack was not Available within {}", run.spec.startup_timeout);
        complete(next, Verdict::Failed, vec![text], now);
    }
}

fn deadline(run: &SoakRun, status: &SoakRunStatus, now: Time) -> Time {
    after(status.started_at.unwrap_or(now), run.spec.startup_timeout.to_std())
}

fn complete(next: &mut SoakRunStatus, verdict: Verdict, reasons: Vec<String>, now: Time) {
    next.phase = SoakPhase::Completed;
    next.finished_at = Some(now);
    next.message = None;
    let word = format!("{verdict:?}");
    condition::set(
        &mut next.conditions,
        condition::COMPLETE,
        condition::Status::True,
        &word,
        reasons.join("; "),
        next.observed_generation,
        now,
    );
    next.verdict = Some(verdict);
    next.reasons = reasons;
}

/// The record of a check, begun when there is none.
fn record<'a>(status: &'a mut SoakRunStatus, name: &str) -> &'a mut CheckRecord {
    let index = status.checks.iter().position(|r| r.name == name).unwrap_or_else(|| {
        status.checks.push(CheckRecord { name: name.to_owned(), ..CheckRecord::default() });
        status.checks.len() - 1
    });
    &mut status.checks[index]
}

/// When time alone moves the run on: the next check, or the end of the start-up's patience.
fn look_again(run: &SoakRun, status: &SoakRunStatus, now: Time) -> Action {
    let at = match status.phase {
        SoakPhase::Pending | SoakPhase::Completed => None,
        SoakPhase::Startup => Some(deadline(run, status, now)),
        SoakPhase::Soaking => status.soaking_since.and_then(|since| {
            let next_of = |name: &str| status.checks.iter().find(|r| r.name == name).map_or(0, |r| r.next);
            let dues = run.spec.checks.iter();
            dues.filter_map(|c| due(since, duration(&run.spec), c.period.to_std(), next_of(&c.name))).min()
        }),
    };
    at.map_or_else(Action::await_change, |at| Action::requeue(elapsed(now, at)))
}
