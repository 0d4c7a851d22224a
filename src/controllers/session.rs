//! Session controller: Pending → Active → Expired, Ended, or Stopped by one of its rules.

use std::sync::Arc;

use kube::Resource;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::runtime::{Action, ReconcileError, Sources, lead};
use super::{Context, Controller};
use crate::api::action::ActionRun;
use crate::api::session::{ControlSession, ControlSessionStatus, Mode, SessionPhase};
use crate::api::stack::WicapStack;
use crate::api::{Object, Time, after, condition, elapsed, reason};
use crate::plan::canary;
use crate::store::ListParams;
use crate::store::election::Fence;
use crate::store::events::{Recorder, Severity};

/// Runs the session controller until `shutdown`.
pub async fn run(context: Context, shutdown: CancellationToken) {
    let name = Controller::Session.as_str();
    lead(&context.store, name, &context.identity, &shutdown, |fence, ending| {
        let context = context.clone();
        async move {
            let mut sources = Sources::<ControlSession>::new(&context.store);
            let sessions = sources.primary();
            // A stack that appears may be what a pending session waits for; a session that ends makes room for the next.
            let of_stack = sessions.clone();
            let stacks = sources.watch::<WicapStack>(move |stack| {
                let mut concerned = pending_for(&of_stack, stack.name());
                concerned.extend(canaries_of(&of_stack, stack.name()));
                concerned
            });
            // What its actions come to may be what ends a canary.
            let of_action = sessions.clone();
            sources.watch::<ActionRun>(move |action| canaries_of(&of_action, &action.spec.stack));
            let waker = sources.waker();
            let controller = Arc::new(Sessions {
                recorder: Recorder::new(context.store.clone(), name, &context.host),
                activation: Mutex::new(()),
                fence,
                context,
            });
            if stacks.wait_until_ready().await.is_err() {
                return;
            }
            sources
                .run(controller, ending, move |session, controller| {
                    let (sessions, waker) = (sessions.clone(), waker.clone());
                    async move {
                        let (ended, action) = controller.reconcile(&session).await?;
                        if ended {
                            for waiting in pending_for(&sessions, &session.spec.stack) {
                                let _ = waker.send(waiting);
                            }
                        }
                        Ok(action)
                    }
                })
                .await;
        }
    })
    .await;
}

fn pending_for(sessions: &kube::runtime::reflector::Store<ControlSession>, stack: &str) -> Vec<ObjectRef<ControlSession>> {
    let pending = |s: &ControlSession| {
        s.spec.stack == stack && s.status.as_ref().map_or(SessionPhase::Pending, |s| s.phase) == SessionPhase::Pending
    };
    sessions.state().iter().filter(|s| pending(s)).map(|s| ObjectRef::from_obj(s.as_ref())).collect()
}

fn canaries_of(sessions: &kube::runtime::reflector::Store<ControlSession>, stack: &str) -> Vec<ObjectRef<ControlSession>> {
    let active = |s: &ControlSession| {
        s.spec.stack == stack
            && s.spec.mode == Mode::Canary
            && s.status.as_ref().is_some_and(|s| s.phase == SessionPhase::Active)
    };
    sessions.state().iter().filter(|s| active(s)).map(|s| ObjectRef::from_obj(s.as_ref())).collect()
}

struct Sessions {
    context: Context,
    fence: Fence,
    recorder: Recorder,
    /// Held while it is found out whether a session may become Active, so that two cannot at once.
    activation: Mutex<()>,
}

impl Sessions {
    /// Moves the session on. Returns whether it has just ended, and when to look again.
    async fn reconcile(&self, session: &ControlSession) -> Result<(bool, Action), ReconcileError> {
        let now = self.context.store.clock().now();
        let status = session.status.clone().unwrap_or_default();
        let next = match status.phase {
            phase if phase.is_final() => return Ok((false, Action::await_change())),
            _ if session.spec.end || session.meta().deletion_timestamp.is_some() => ended(&status),
            SessionPhase::Active => self.stopped(session, active(session, &status, now)).await?,
            _ => {
                let _one_at_a_time = self.activation.lock().await;
                return self.activate(session, &status, now).await;
            }
        };
        self.write(session, next, now).await
    }

    /// A session that would go on, ended if one of its stop rules is met.
    async fn stopped(
        &self,
        session: &ControlSession,
        mut next: ControlSessionStatus,
    ) -> Result<ControlSessionStatus, ReconcileError> {
        if session.spec.mode != Mode::Canary || next.phase != SessionPhase::Active {
            return Ok(next);
        }
        let of_session = ListParams { fields: Some(format!("spec.session={}", session.name())), ..ListParams::default() };
        let (stacks, runs) = (self.context.store.api::<WicapStack>(), self.context.store.api::<ActionRun>());
        let (stack, actions) = tokio::try_join!(stacks.get_opt(&session.spec.stack), runs.list(&of_session))?;
        if let Some(why) = canary::ends(session, stack.as_ref(), &actions.items) {
            next.phase = SessionPhase::Stopped;
            next.message = Some(why);
        }
        Ok(next)
    }

    async fn activate(
        &self,
        session: &ControlSession,
        status: &ControlSessionStatus,
        now: Time,
    ) -> Result<(bool, Action), ReconcileError> {
        let store = &self.context.store;
        let mut next = status.clone();
        let waits_for = if store.api::<WicapStack>().get_opt(&session.spec.stack).await?.is_none() {
            Some(format!("there is no WicapStack \"{}\"", session.spec.stack))
        } else if session.spec.mode.acts() {
            let others = store.api::<ControlSession>().list(&ListParams::default()).await?.items;
            let rival = others.iter().find(|s| {
                s.name() != session.name()
                    && s.spec.stack == session.spec.stack
                    && s.spec.mode.acts()
                    && s.status.as_ref().is_some_and(|s| s.phase == SessionPhase::Active)
            });
            rival.map(|s| format!("session \"{}\" of the stack is Active", s.name()))
        } else {
            None
        };
        if let Some(reason) = waits_for {
            next.message = Some(format!("waiting: {reason}"));
        } else {
            next.phase = SessionPhase::Active;
            next.started_at = Some(now);
            next.expires_at = Some(after(now, session.spec.ttl.to_std()));
            next.message = None;
        }
        self.write(session, next, now).await
    }

    async fn write(
        &self,
        session: &ControlSession,
        mut next: ControlSessionStatus,
        now: Time,
    ) -> Result<(bool, Action), ReconcileError> {
        let before = session.status.as_ref().map_or(SessionPhase::Pending, |s| s.phase);
        let phase = next.phase;
        next.observed_generation = session.meta().generation;
        let (is_active, word) = (phase == SessionPhase::Active, format!("{phase:?}"));
        let message = next.message.clone().unwrap_or_default();
        condition::set(
            &mut next.conditions,
            condition::ACTIVE,
            is_active.into(),
            &word,
            message,
            next.observed_generation,
            now,
        );
        let expires_at = next.expires_at;
        if session.status.as_ref() != Some(&next) {
            let mut written = session.clone();
            written.status = Some(next);
            self.context.store.api().replace_status(&written, Some(&self.fence)).await?;
            if phase != before {
                let text = match (phase, expires_at) {
                    (SessionPhase::Active, Some(end)) => format!("{before:?} -> Active until {end}"),
                    _ => format!("{before:?} -> {phase:?}"),
                };
                self.recorder.publish(session, Severity::Normal, reason::SESSION_PHASE, &text).await;
            }
        }
        let action = match expires_at {
            Some(end) if is_active => Action::requeue(elapsed(now, end)),
            _ => Action::await_change(),
        };
        Ok((phase.is_final() && !before.is_final(), action))
    }
}

fn ended(status: &ControlSessionStatus) -> ControlSessionStatus {
    ControlSessionStatus { phase: SessionPhase::Ended, message: Some("ended by an operator".to_owned()), ..status.clone() }
}

/// An Active session at `now`: its end follows a ttl that was shortened.
fn active(session: &ControlSession, status: &ControlSessionStatus, now: Time) -> ControlSessionStatus {
    let mut next = status.clone();
    let started = status.started_at.unwrap_or(now);
    let end = after(started, session.spec.ttl.to_std());
    next.expires_at = Some(end);
    if now >= end {
        next.phase = SessionPhase::Expired;
        next.message = Some(format!("its time ran out at {end}"));
    }
    next
}
