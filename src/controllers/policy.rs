//! Policy controller: says of each policy whether it, or all of them together, leave anything to do. It decides nothing.

use std::sync::Arc;

use kube::Resource;
use kube::runtime::reflector::{self, ObjectRef};
use tokio_util::sync::CancellationToken;

use super::runtime::{Action, ReconcileError, Sources, lead};
use super::{Context, Controller};
use crate::api::policy::ControlPolicy;
use crate::api::stack::WicapStack;
use crate::api::{Object, condition, reason};
use crate::plan::policies::{Effect, effect};
use crate::store::election::Fence;

/// Runs the policy controller until `shutdown`.
pub async fn run(context: Context, shutdown: CancellationToken) {
    lead(&context.store, Controller::Policy.as_str(), &context.identity, &shutdown, |fence, ending| {
        let context = context.clone();
        async move {
            let mut sources = Sources::<ControlPolicy>::new(&context.store);
            let policies = sources.primary();
            // Each is judged beside all of them, and by the stacks that there are.
            let of_stack = policies.clone();
            let stacks = sources.watch::<WicapStack>(move |_| all(&of_stack));
            let of_policy = policies.clone();
            sources.watch::<ControlPolicy>(move |_| all(&of_policy));
            if stacks.wait_until_ready().await.is_err() {
                return;
            }
            let controller = Arc::new(Judge { context, fence, policies, stacks });
            sources.run(controller, ending, |policy, controller| async move { controller.reconcile(&policy).await }).await;
        }
    })
    .await;
}

fn all(policies: &reflector::Store<ControlPolicy>) -> Vec<ObjectRef<ControlPolicy>> {
    policies.state().iter().map(|p| ObjectRef::from_obj(p.as_ref())).collect()
}

struct Judge {
    context: Context,
    fence: Fence,
    policies: reflector::Store<ControlPolicy>,
    stacks: reflector::Store<WicapStack>,
}

impl Judge {
    async fn reconcile(&self, policy: &ControlPolicy) -> Result<Action, ReconcileError> {
        let now = self.context.store.clock().now();
        let policies: Vec<_> = self.policies.state().iter().map(|p| p.as_ref().clone()).collect();
        let mut stacks: Vec<_> = self.stacks.state().iter().map(|s| s.as_ref().clone()).collect();
        stacks.sort_by(|a, b| a.name().cmp(b.name()));
        let (status, reason, message) = match effect(policy, &policies, &stacks, now) {
            Effect::Something => (condition::Status::True, reason::POLICY_ACCEPTED, "it leaves something to do".to_owned()),
            Effect::NothingBy(why) => (condition::Status::False, reason::POLICY_ALLOWS_NOTHING, why),
            Effect::NothingOn(stacks) => {
                let each: Vec<_> = stacks.iter().map(|(stack, why)| format!("stack {stack}: {why}")).collect();
                let message = format!("together with the other policies it leaves nothing to do on {}", each.join("; "));
                (condition::Status::False, reason::POLICIES_CONTRADICT, message)
            }
        };
        let generation = policy.meta().generation;
        self.context
            .store
            .api::<ControlPolicy>()
            .update_status(policy, &self.fence, |_, s| {
                s.observed_generation = generation;
                let message = message.clone();
                condition::set(&mut s.conditions, condition::ACCEPTED, status, reason, message, generation, now);
            })
            .await?;
        Ok(Action::await_change())
    }
}
