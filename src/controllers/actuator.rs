//! Actuator: the only one that changes anything.
//!
//! ```text
//!  Pending ──authorise, on fresh reads──▶ Denied, or Shadowed: allowed, and only said
//!     │   ╰──▶ AwaitingApproval ──an Approval──▶ authorise again; none by the deadline ──▶ Denied
//!     │ claim: ONE transaction that compares the leader key, the session, the policies and that there is no stop, and writes
//!     │        Running, the decision, the target as it was, the step that is about to begin, and what is used up: the
//!     │        session's actions, the Elevation's uses, the Approval
//!     ▼
//!  Running ──execute──▶ recorded ──verify──▶ Succeeded / Failed
//!     │ a stop that comes meanwhile ends it at its next step ──▶ Interrupted, saying what was done
//!     ╎
//!     ╎ another leader finds it Running: it never executes it again. It takes the claim over, and lets the target tell
//!     ╎ whether the call had its effect, for as long as the call could still be under way.
//! ```
//!
//! Guarantees: at most one execution of an ActionRun, whatever crashes when; nothing is executed that is not on record first;
//! nothing is claimed after a stop was committed. Caveat: a call that was made by a process that died is known by its effect
//! only; one that had none within its time ends as Failed, and the planner decides again.

pub mod claim;
mod job;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kube::runtime::reflector::{self, ObjectRef};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::claim::{Claimed, Claims, Look, Question, step, time_limit};
use super::runtime::{Action, ReconcileError, Sources, lead};
use super::{Context, Controller};
use crate::act::serving::{self, Word};
use crate::act::{ActError, Actor, Deed, precondition};
use crate::api::action::{
    ActionKind, ActionPhase, ActionRun, ActionRunStatus, Claim, ContainerFact, StepKind, Verification,
};
use crate::api::approval::Approval;
use crate::api::session::ControlSession;
use crate::api::stack::WicapStack;
use crate::api::stop::{self, EmergencyStop};
use crate::api::{Object, Time, after, condition, elapsed, reason};
use crate::audit::redact::redact;
use crate::observe::directory::HeldDirectory;
use crate::plan::authorise;
use crate::store;
use crate::store::election::Fence;
use crate::store::events::{Recorder, Severity};

/// Wait before an action that must let another one end is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How long after its claim an action may still be begun. Between the two lies one answer of the store; the time is that of the
/// machine's clock, which goes on while the machine sleeps.
const CLAIM_HOLDS: Duration = Duration::from_secs(10);

/// Runs the actuator until `shutdown`.
pub async fn run(context: Context, shutdown: CancellationToken) {
    let name = format!("{}.{}", Controller::Actuator, context.host);
    lead(&context.store, &name, &context.identity, &shutdown, |fence, ending| {
        let context = context.clone();
        async move {
            let mut sources = Sources::<ActionRun>::new(&context.store);
            // A stack that moves to this host brings its actions with it.
            let runs = sources.primary();
            let (tell, stack_told) = watch::channel(());
            let stacks = sources.watch::<WicapStack>(move |stack| {
                tell.send_replace(());
                let open =
                    |r: &ActionRun| r.spec.stack == stack.name() && !r.status.as_ref().is_some_and(|s| s.phase.is_final());
                runs.state().iter().filter(|r| open(r)).map(|r| ObjectRef::from_obj(r.as_ref())).collect()
            });
            let runs = sources.primary();
            sources.watch::<ControlSession>(move |session| {
                let waits = |r: &ActionRun| {
                    r.spec.session == session.name() && r.status.as_ref().is_some_and(|s| s.phase.is_asked())
                };
                runs.state().iter().filter(|r| waits(r)).map(|r| ObjectRef::from_obj(r.as_ref())).collect()
            });
            sources.watch::<Approval>(|approval| vec![ObjectRef::new(approval.name())]);
            let (told, stop_told) = watch::channel(());
            let stops = sources.watch::<EmergencyStop>(move |_| {
                told.send_replace(());
                Vec::new()
            });
            // What a cache does not have yet would count as gone.
            tokio::select! {
                biased;
                () = ending.cancelled() => return,
                filled = async { stacks.wait_until_ready().await.and(stops.wait_until_ready().await) } => {
                    if filled.is_err() {
                        return;
                    }
                }
            }
            let actuator = Arc::new(Actuator {
                actor: Actor::new(context.engine.clone(), context.compose.clone()),
                recorder: Recorder::new(context.store.clone(), Controller::Actuator.as_str(), &context.host),
                claims: Claims::new(
                    context.store.clone(),
                    fence.clone(),
                    &context.host,
                    &context.identity,
                    context.stop_file.clone(),
                ),
                stops,
                stop_told,
                stacks,
                stack_told,
                ending: ending.clone(),
                cleaned: Mutex::default(),
                fence,
                context,
            });
            sources.run(actuator, ending, |run, actuator| async move { actuator.reconcile(&run).await }).await;
        }
    })
    .await;
}

struct Actuator {
    context: Context,
    fence: Fence,
    actor: Actor,
    recorder: Recorder,
    claims: Claims,
    /// For actions that are under way. A claim reads the stops afresh, and compares that there is none.
    stops: reflector::Store<EmergencyStop>,
    /// Changes with them.
    stop_told: watch::Receiver<()>,
    /// For what the observer says of what was brought up.
    stacks: reflector::Store<WicapStack>,
    /// Changes with them.
    stack_told: watch::Receiver<()>,
    /// The end of this leadership.
    ending: CancellationToken,
    /// The jobs, by uid, of which nothing is left on the host.
    cleaned: Mutex<HashSet<String>>,
}

/// What came before the effect of an action was seen.
enum Overtaken {
    /// A stop, or that nobody wants to know any more, in words.
    By(String),
    /// The end of this leadership.
    ByOurEnd,
}

impl Actuator {
    async fn reconcile(&self, run: &ActionRun) -> Result<Action, ReconcileError> {
        match run.status.as_ref().map_or(ActionPhase::Pending, |s| s.phase) {
            ActionPhase::Pending | ActionPhase::AwaitingApproval => match self.claim(run).await? {
                Claimed::Ours(run, stack, held) => self.execute(*run, &stack, &held).await?,
                Claimed::Ended(run, status, phase) => {
                    self.finish(&run, *status, phase, self.context.store.clock().now()).await?;
                }
                Claimed::Ask(question) => {
                    let until = self.await_approval(*question).await?;
                    return Ok(Action::requeue(elapsed(self.context.store.clock().now(), until)));
                }
                Claimed::Wait => return Ok(Action::requeue(LOOK_AGAIN)),
                Claimed::NotOurs => {}
            },
            ActionPhase::Running => {
                if let Some(until) = self.take_over(run).await? {
                    return Ok(Action::requeue(elapsed(self.context.store.clock().now(), until)));
                }
            }
            // Its end may have been the last that another process did.
            _ => self.clean_up(run, run.status.as_ref()).await?,
        }
        Ok(Action::await_change())
    }

    async fn claim(&self, run: &ActionRun) -> Result<Claimed, claim::Error> {
        let look = async |stack: &WicapStack, run: &ActionRun| {
            let deed = Deed::from(run);
            let before = self.actor.facts_of(stack, deed).await?;
            let command = match precondition(deed.action, &before) {
                Ok(()) => Ok(self.actor.command(&stack.spec, deed, &before)?),
                Err(why) => Err(why),
            };
            Ok(Look { before, command })
        };
        self.claims.claim(run, look).await
    }

    /// Has a person asked. Returns until when the answer is waited for.
    async fn await_approval(&self, question: Question) -> Result<Time, ReconcileError> {
        let Question { run, stack, session, decision } = question;
        let now = self.context.store.clock().now();
        let mut status = run.status.clone().unwrap_or_default();
        let deadline = status.approval_deadline.unwrap_or_else(|| after(now, session.spec.approval.timeout.to_std()));
        // When the stack changes meanwhile, it is another question.
        let digest = Some(authorise::digest(&run, &stack));
        if status.phase == ActionPhase::AwaitingApproval && status.digest == digest {
            return Ok(deadline);
        }
        let message = format!("a person has to agree by {deadline:.0}: wicapctl approve {}", run.name());
        status.phase = ActionPhase::AwaitingApproval;
        (status.digest, status.approval_deadline) = (digest, Some(deadline));
        (status.decision, status.message) = (Some(decision), Some(message.clone()));
        let mut asked = run.clone();
        asked.status = Some(status);
        self.context.store.api().replace_status(&asked, Some(&self.fence)).await?;
        self.recorder.publish(&run, Severity::Normal, reason::ACTION_AWAITS_APPROVAL, &message).await;
        Ok(deadline)
    }

    /// The stop that holds for a stack, in words.
    fn stop_of(&self, stack: &str) -> Option<String> {
        let file = &self.context.stop_file;
        if let Some(reason) = file.holds() {
            return Some(format!("the stop file {} holds: {reason:?}", file.path().display()));
        }
        let found = [stop::ALL, stack].into_iter().find_map(|name| self.stops.get(&ObjectRef::new(name)))?;
        Some(format!("EmergencyStop \"{}\" holds: {:?} by {}", found.name(), found.spec.reason, found.spec.by))
    }

    /// Waits until a stop holds for a stack.
    async fn until_stopped(&self, stack: &str) -> String {
        let (mut told, mut file) = (self.stop_told.clone(), self.context.stop_file.changes());
        loop {
            told.mark_unchanged();
            file.mark_unchanged();
            if let Some(why) = self.stop_of(stack) {
                return why;
            }
            tokio::select! {
                Ok(()) = told.changed() => {}
                Ok(()) = file.changed() => {}
                else => std::future::pending::<()>().await,
            }
        }
    }

    /// Waits for the postcondition, and no longer than until a stop comes: then why. `over` says that the call was answered.
    async fn verify(
        &self,
        run: &ActionRun,
        stack: &WicapStack,
        timeout: Duration,
        over: bool,
    ) -> Result<Verification, Overtaken> {
        let before = run.status.as_ref().map(|s| s.before.as_slice()).unwrap_or_default();
        let seen = async {
            let seen = self.actor.verify(&stack.spec, Deed::from(run), before, timeout, over).await;
            if seen.holds && serving::brings_up(run.spec.action) {
                self.until_it_serves(stack, run.spec.action, before, seen).await
            } else {
                seen
            }
        };
        tokio::select! {
            biased;
            why = self.until_stopped(stack.name()) => Err(Overtaken::By(why)),
            why = self.until_unwanted(run) => Err(Overtaken::By(why)),
            // A job may take half an hour more. Whoever leads next takes it over.
            () = self.ending.cancelled(), if run.spec.action.targets_job() => Err(Overtaken::ByOurEnd),
            seen = seen => Ok(seen),
        }
    }

    /// Waits for the observer's word on what runs now.
    async fn until_it_serves(
        &self,
        stack: &WicapStack,
        action: ActionKind,
        before: &[ContainerFact],
        mut seen: Verification,
    ) -> Verification {
        let patience = serving::patience(&stack.spec, &seen.after);
        let mut told = self.stack_told.clone();
        let mut missing = String::new();
        let waiting = async {
            loop {
                told.mark_unchanged();
                // Of a stack that is gone the engine's word is all there is.
                let Some(stack) = self.stacks.get(&ObjectRef::from_obj(stack)) else { return Word::Serves };
                match serving::word(&stack, action, before, &seen.after) {
                    Word::NotYet(why) => missing = why,
                    word => return word,
                }
                if told.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let word = tokio::time::timeout(patience, waiting).await;
        let word = word.unwrap_or_else(|_| Word::Fails(format!("after {patience:?}: {missing}")));
        if let Word::Fails(why) = word {
            (seen.holds, seen.message) = (false, why);
        }
        seen
    }

    /// Ends an action that a stop has overtaken: what was done is done, and the steps say it.
    async fn interrupt(&self, run: &ActionRun, done: &str, why: &str) -> Result<(), ReconcileError> {
        let now = self.context.store.clock().now();
        let mut status = run.status.clone().unwrap_or_default();
        status.message = Some(format!("{done}; interrupted: {why}"));
        self.finish(run, status, ActionPhase::Interrupted, now).await
    }

    async fn execute(&self, run: ActionRun, stack: &WicapStack, held: &HeldDirectory) -> Result<(), ReconcileError> {
        let claimed_at = run.status.as_ref().and_then(|s| s.started_at);
        if claimed_at.is_some_and(|at| elapsed(at, self.context.store.clock().now()) > CLAIM_HOLDS) {
            // The machine slept. What was permitted then may not be now, and a successor may have judged the action.
            tracing::warn!(name = run.name(), "the claim is too old to act on");
            return self.take_over(&run).await.map(|_| ());
        }
        let spec = &run.spec;
        if let Some(why) = self.stop_of(stack.name()) {
            return self.interrupt(&run, "nothing was done", &why).await;
        }
        let begun = format!("{} {} of stack {}: {}", spec.action, spec.target, spec.stack, spec.cause.summary);
        tracing::info!(name = run.name(), action = %spec.action, target = spec.target, "executing");
        let timeout = time_limit(&run, &[]);
        let mut status = run.status.clone().unwrap_or_default();
        let outcome = self.actor.execute(&stack.spec, Deed::from(&run), &status.before, held, timeout).await;
        let now = self.context.store.clock().now();
        let mut happened = true;
        if let Some(executed) = status.steps.last_mut() {
            executed.finished_at = Some(now);
            match &outcome {
                Ok(outcome) => {
                    executed.exit_code = outcome.exit_code;
                    executed.output = Some(redact(&outcome.output).into_owned());
                }
                Err(error) => {
                    happened = error.is_ambiguous();
                    executed.output = Some(redact(&error.to_string()).into_owned());
                }
            }
        }
        let failed = outcome.as_ref().is_err_and(ActError::is_failure);
        if !happened || failed {
            let why = status.steps.last().and_then(|s| s.output.clone()).unwrap_or_default();
            status.message = Some(if failed { why } else { format!("not done: {why}") });
            return self.finish(&run, status, ActionPhase::Failed, now).await;
        }
        status.steps.push(step(StepKind::Verify, Vec::new(), now));
        let mut recorded = run.clone();
        recorded.status = Some(status.clone());
        let api = self.context.store.api::<ActionRun>();
        let recorded = api.replace_status(&recorded, Some(&self.fence)).await?;
        self.recorder.publish(&run, Severity::Normal, reason::ACTION_STARTED, &begun).await;
        match self.verify(&recorded, stack, timeout, true).await {
            Ok(verification) => self.conclude(&recorded, verification, None).await,
            Err(Overtaken::By(why)) => {
                self.interrupt(&recorded, "it was executed, and its effect was not waited for", &why).await
            }
            Err(Overtaken::ByOurEnd) => Ok(()),
        }
    }

    /// Goes on with an action that a process, this one or another, left between claim and result. Returns until when nothing can be said
    /// of it.
    async fn take_over(&self, run: &ActionRun) -> Result<Option<Time>, ReconcileError> {
        let api = self.context.store.api::<ActionRun>();
        let mut run = api.get(run.name()).await?;
        let mut status = run.status.clone().unwrap_or_default();
        if status.phase != ActionPhase::Running {
            // It has ended, and what told us that it has not was late.
            return Ok(None);
        }
        let (now, timeout) = (self.context.store.clock().now(), time_limit(&run, &[]));
        // The call may have been made at the last moment and run its whole time; its effect is waited for as if it had been. No longer than
        // that, even where the clock was set back since.
        let begun = status.started_at.unwrap_or(now);
        let left = elapsed(now, after(begun, timeout * 2)).min(timeout * 2);
        let Some(stack) = self.context.store.api::<WicapStack>().get_opt(&run.spec.stack).await? else {
            // Which host it ran on is not known any more: it may go on there, under the eyes of whoever claimed it.
            if !left.is_zero() && run.is_under_way() {
                return Ok(Some(after(now, left)));
            }
            status.message = Some("its stack was deleted while it was under way; the outcome is not known".to_owned());
            return self.finish(&run, status, ActionPhase::Interrupted, now).await.map(|()| None);
        };
        if stack.spec.host != self.context.host {
            return Ok(None);
        }
        let ours = Claim { holder: self.context.identity.clone(), token: self.fence.token };
        let from = status.claim.clone();
        if from.as_ref() != Some(&ours) {
            tracing::warn!(name = run.name(), from = ?from, "taking over an action that was left between claim and result");
            status.claim = Some(ours);
            run.status = Some(status.clone());
            run = api.replace_status(&run, Some(&self.fence)).await?;
        }
        let verification = match self.verify(&run, &stack, left, false).await {
            Ok(verification) => verification,
            Err(Overtaken::By(why)) => {
                return self.interrupt(&run, "it may have been executed, and was taken over", &why).await.map(|()| None);
            }
            Err(Overtaken::ByOurEnd) => return Ok(None),
        };
        let holder = from.map_or_else(|| "nobody".to_owned(), |c| c.holder);
        self.conclude(&run, verification, Some(format!("claimed by {holder}, taken over by {}", self.context.identity)))
            .await
            .map(|()| None)
    }

    async fn conclude(
        &self,
        run: &ActionRun,
        verification: Verification,
        how: Option<String>,
    ) -> Result<(), ReconcileError> {
        let now = self.context.store.clock().now();
        let mut status = run.status.clone().unwrap_or_default();
        if let Some(verified) = status.steps.last_mut().filter(|s| s.kind == StepKind::Verify) {
            verified.finished_at = Some(now);
        }
        let phase = if verification.holds { ActionPhase::Succeeded } else { ActionPhase::Failed };
        status.message = Some(match how {
            Some(how) => format!("{} ({how})", verification.message),
            None => verification.message.clone(),
        });
        status.verification = Some(verification);
        self.finish(run, status, phase, now).await
    }

    /// Writes the final phase, and tells.
    async fn finish(
        &self,
        run: &ActionRun,
        mut status: ActionRunStatus,
        phase: ActionPhase,
        now: Time,
    ) -> Result<(), ReconcileError> {
        status.phase = phase;
        status.finished_at = Some(now);
        let message = status.message.clone().unwrap_or_default();
        let complete = condition::Status::True;
        condition::set(&mut status.conditions, condition::COMPLETE, complete, &format!("{phase:?}"), &*message, None, now);
        let mut ended = run.clone();
        ended.status = Some(status);
        let written = self.context.store.api().replace_status(&ended, Some(&self.fence)).await;
        // What was deleted meanwhile leaves nothing either.
        let gone = match &written {
            Ok(_) | Err(store::Error::NotFound { .. }) => true,
            Err(store::Error::Conflict { .. }) => {
                let uid = &run.metadata.uid;
                self.context.store.api::<ActionRun>().get_opt(run.name()).await?.is_none_or(|now| now.metadata.uid != *uid)
            }
            Err(_) => false,
        };
        if gone {
            // What it could not remove is tried again once the end is in the cache.
            let _ = self.clean_up(run, ended.status.as_ref()).await;
        }
        written?;
        tracing::info!(name = run.name(), ?phase, message, "an action has ended");
        let (severity, reason) = match phase {
            ActionPhase::Succeeded => (Severity::Normal, reason::ACTION_SUCCEEDED),
            ActionPhase::Shadowed => (Severity::Normal, reason::ACTION_SHADOWED),
            ActionPhase::Interrupted => (Severity::Warning, reason::ACTION_INTERRUPTED),
            ActionPhase::Denied => (Severity::Warning, reason::ACTION_DENIED),
            _ => (Severity::Warning, reason::ACTION_FAILED),
        };
        self.recorder.publish(run, severity, reason, &message).await;
        Ok(())
    }
}
