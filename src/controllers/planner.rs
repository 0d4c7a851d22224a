//! Planner: reads what is declared, observed and permitted, lets [`crate::plan`] decide, and writes the decision down.
//!
//! The ladder's counters and the ActionRuns they led to are written in one transaction that compares the status they were decided
//! on: an attempt is counted if and only if its action exists. So are an escalation and its Incident: a person is called once.

use std::sync::Arc;

use kube::Resource;
use kube::runtime::reflector::{self, ObjectRef};
use tokio_util::sync::CancellationToken;

use super::owner::belongs_to;
use super::runtime::{Action, ReconcileError, Sources, lead};
use super::{Context, Controller};
use crate::api::action::ActionRun;
use crate::api::incident::Incident;
use crate::api::policy::ControlPolicy;
use crate::api::session::ControlSession;
use crate::api::soak::SoakRun;
use crate::api::stack::{WicapStack, WicapStackStatus};
use crate::api::stop::{self, EmergencyStop};
use crate::api::{Object, Time, condition, elapsed};
use crate::plan::decide::{Inputs, Note, Plan, decide};
use crate::store::election::Fence;
use crate::store::events::{Recorder, Severity};

/// Runs the planner until `shutdown`.
pub async fn run(context: Context, shutdown: CancellationToken) {
    let name = Controller::Planner.as_str();
    lead(&context.store, name, &context.identity, &shutdown, |fence, ending| {
        let context = context.clone();
        async move {
            let mut sources = Sources::<WicapStack>::new(&context.store);
            let stacks = sources.primary();
            let sessions = sources.watch::<ControlSession>(|s| vec![ObjectRef::new(&s.spec.stack)]);
            let actions = sources.watch::<ActionRun>(|a| vec![ObjectRef::new(&a.spec.stack)]);
            let all = {
                let stacks = stacks.clone();
                move || stacks.state().iter().map(|s| ObjectRef::from_obj(s.as_ref())).collect::<Vec<_>>()
            };
            let every = all.clone();
            let policies = sources.watch::<ControlPolicy>(move |_| every());
            let stops = sources
                .watch::<EmergencyStop>(move |s| if s.name() == stop::ALL { all() } else { vec![ObjectRef::new(s.name())] });
            let incidents = sources.watch::<Incident>(|i| vec![ObjectRef::new(&i.spec.stack)]);
            let soaks = sources.watch::<SoakRun>(|s| vec![ObjectRef::new(&s.spec.stack)]);
            let ready = async {
                sessions.wait_until_ready().await?;
                actions.wait_until_ready().await?;
                policies.wait_until_ready().await?;
                stops.wait_until_ready().await?;
                incidents.wait_until_ready().await?;
                soaks.wait_until_ready().await
            };
            if ready.await.is_err() {
                return;
            }
            let recorder = Recorder::new(context.store.clone(), name, &context.host);
            let planner =
                Arc::new(Planner { context, fence, recorder, sessions, actions, policies, stops, incidents, soaks });
            sources.run(planner, ending, |stack, planner| async move { planner.reconcile(&stack).await }).await;
        }
    })
    .await;
}

struct Planner {
    context: Context,
    fence: Fence,
    recorder: Recorder,
    sessions: reflector::Store<ControlSession>,
    actions: reflector::Store<ActionRun>,
    policies: reflector::Store<ControlPolicy>,
    stops: reflector::Store<EmergencyStop>,
    incidents: reflector::Store<Incident>,
    soaks: reflector::Store<SoakRun>,
}

impl Planner {
    async fn reconcile(&self, stack: &WicapStack) -> Result<Action, ReconcileError> {
        if stack.meta().deletion_timestamp.is_some() {
            return Ok(Action::await_change());
        }
        let sessions = of_stack(&self.sessions, |s| s.spec.stack == stack.name());
        let mut actions = of_stack(&self.actions, |a| a.spec.stack == stack.name());
        self.complete(stack, &mut actions).await?;
        let policies = of_stack(&self.policies, |_| true);
        let mut stops = of_stack(&self.stops, |_| true);
        // What is asked for while only the file says stop would be denied, and count as an attempt that did not help.
        stops.extend(self.context.stop_file.as_stop());
        let incidents = of_stack(&self.incidents, |i| i.spec.stack == stack.name());
        let soaks = of_stack(&self.soaks, |s| s.spec.stack == stack.name());
        let now = self.context.store.clock().now();
        let plan = decide(&Inputs {
            stack,
            sessions: &sessions,
            policies: &policies,
            stops: &stops,
            actions: &actions,
            incidents: &incidents,
            soaks: &soaks,
            now,
        });
        self.write(stack, &plan, &incidents, now).await?;
        for note in &plan.notes {
            let severity = if matches!(note, Note::Planned { .. } | Note::Recovered { .. }) {
                Severity::Normal
            } else {
                Severity::Warning
            };
            self.recorder.publish(stack, severity, note.reason(), &note.message()).await;
        }
        Ok(plan.next.map_or_else(Action::await_change, |at| Action::requeue(elapsed(now, at))))
    }

    /// Adds the actions that the stack's own record names and the cache does not hold yet: a cache that lags must not make an
    /// action that was just asked for look as if it were over.
    async fn complete(&self, stack: &WicapStack, actions: &mut Vec<ActionRun>) -> Result<(), ReconcileError> {
        let named = stack.status.iter().flat_map(|s| &s.recovery).filter_map(|r| r.last_action.as_deref());
        for name in named {
            if !actions.iter().any(|a| a.name() == name)
                && let Some(action) = self.context.store.api::<ActionRun>().get_opt(name).await?
            {
                actions.push(action);
            }
        }
        Ok(())
    }

    async fn write(&self, stack: &WicapStack, plan: &Plan, incidents: &[Incident], now: Time) -> Result<(), ReconcileError> {
        let mut planned = stack.clone();
        let status = planned.status.get_or_insert_default();
        carry(status, plan, stack.meta().generation, now);
        let nothing = plan.proposals.is_empty() && plan.opened.is_empty() && plan.followed.is_empty();
        if nothing && stack.status.as_ref() == planned.status.as_ref() {
            return Ok(());
        }
        planned.status.get_or_insert_default().decided_at = Some(now);
        let mut transaction = self.context.store.transaction().fence(&self.fence).put_status(&planned)?;
        for proposal in &plan.proposals {
            let mut run = ActionRun::new(&proposal.name, proposal.spec.clone());
            belongs_to(stack, run.meta_mut());
            transaction = transaction.create(&run)?;
        }
        for opened in &plan.opened {
            let mut incident = Incident::new(&opened.name, opened.spec.clone());
            belongs_to(stack, incident.meta_mut());
            transaction = transaction.create(&incident)?;
        }
        for followed in &plan.followed {
            if let Some(incident) = incidents.iter().find(|i| i.name() == followed.name) {
                let mut incident = incident.clone();
                incident.status = Some(followed.status.clone());
                transaction = transaction.put_status(&incident)?;
            }
        }
        transaction.commit().await?;
        for proposal in &plan.proposals {
            tracing::info!(
                stack = stack.name(),
                action = %proposal.spec.action,
                target = proposal.spec.target,
                name = proposal.name,
                cause = proposal.spec.cause.summary,
                "an action is asked for"
            );
        }
        Ok(())
    }
}

/// The planner's part of a stack's status.
fn carry(status: &mut WicapStackStatus, plan: &Plan, generation: Option<i64>, now: Time) {
    status.drift.clone_from(&plan.drift);
    status.recovery.clone_from(&plan.recovery);
    status.planned_action.clone_from(&plan.planned_action);
    status.blocked_by.clone_from(&plan.blocked_by);
    let escalated = !plan.escalated.is_empty();
    if escalated || condition::get(&status.conditions, condition::ESCALATED).is_some() {
        let (reason, message) = if escalated {
            ("LadderExhausted", format!("a person is needed for {}", plan.escalated.join(", ")))
        } else {
            ("NothingEscalated", String::new())
        };
        condition::set(&mut status.conditions, condition::ESCALATED, escalated.into(), reason, message, generation, now);
    }
}

fn of_stack<K: Object>(cache: &reflector::Store<K>, wanted: impl Fn(&K) -> bool) -> Vec<K> {
    cache.state().iter().filter(|o| wanted(o)).map(|o| o.as_ref().clone()).collect()
}
