//! The session that a soak run needs and no more: what is opened for a run, by whoever starts it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::course::patience;
use crate::api::action::ActionKind;
use crate::api::session::{ApprovalRules, ControlSession, ControlSessionSpec, Mode};
use crate::api::soak::{DuringSoak, SoakPhase, SoakRun};
use crate::api::stack::WicapStack;

/// What the session lasts beyond the latest end of its run.
const MARGIN: Duration = Duration::from_secs(10 * 60);

/// Phases that come before and after the soak.
const AROUND: [SoakPhase; 6] = [
    SoakPhase::Preflight,
    SoakPhase::Teardown,
    SoakPhase::Startup,
    SoakPhase::Warmup,
    SoakPhase::Finalizing,
    SoakPhase::Cleanup,
];

/// The session for a run of a stack, in the name of `operator`. It permits the run's steps, its jobs where it has some, and where
/// the run lets drift be mended what is on the stack's ladders; and it lasts as long as the run can.
#[must_use]
pub fn session(run: &SoakRun, stack: &WicapStack, operator: &str, reason: &str) -> ControlSession {
    let actions = actions(run, stack);
    let spec = ControlSessionSpec {
        stack: run.spec.stack.clone(),
        mode: Mode::Assist,
        ttl: longest(run).into(),
        max_tier: actions.iter().map(|action| action.tier()).max().unwrap_or_default(),
        allowed_actions: actions.into_iter().collect(),
        approval: ApprovalRules::default(),
        canary: None,
        budget: None,
        operator: operator.to_owned(),
        reason: reason.to_owned(),
        end: false,
    };
    ControlSession::new(crate::api::Object::name(run), spec)
}

fn actions(run: &SoakRun, stack: &WicapStack) -> BTreeSet<ActionKind> {
    let spec = &run.spec;
    let acting = AROUND.into_iter().filter(|phase| spec.phases.has(*phase));
    let mut actions: BTreeSet<ActionKind> = acting.flat_map(|p| spec.phases.steps(p)).map(|step| step.action).collect();
    if spec.checks.iter().any(|check| check.job.is_some()) {
        actions.insert(ActionKind::RunJob);
    }
    if spec.during_soak == DuringSoak::Recover {
        let ladders = stack.spec.services.iter().filter(|s| s.managed).map(|s| stack.spec.recovery(s));
        actions.extend(ladders.flat_map(|l| l.ladder.iter().chain(&l.rollback)).map(|step| step.action));
    }
    actions
}

/// The longest that a run can take, and a margin.
fn longest(run: &SoakRun) -> Duration {
    let around = AROUND.into_iter().filter(|p| !acts(*p) || run.spec.phases.has(*p)).map(|p| patience(&run.spec, p));
    around.fold(run.spec.duration.to_std(), Duration::saturating_add).saturating_add(MARGIN)
}

fn acts(phase: SoakPhase) -> bool {
    matches!(phase, SoakPhase::Teardown | SoakPhase::Startup | SoakPhase::Cleanup)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Object;
    use crate::api::action::Tier;
    use crate::api::stack::ServiceState;
    use crate::plan::fixtures;
    use serde_json::{Value, json};

    fn permitted(more: Value) -> ControlSession {
        let mut spec = json!({
            "stack": "wicap", "duration": "1h", "duringSoak": "Observe",
            "checks": [{"name": "ui", "period": "30s", "httpGet": {"port": 80}}],
        });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let run = SoakRun::new("night", serde_json::from_value(spec).unwrap());
        let session = session(&run, &fixtures::stack(&[("ui", ServiceState::Running)]), "ann@host", "because");
        assert_eq!(
            (session.name(), session.spec.operator.as_str(), session.spec.reason.as_str()),
            ("night", "ann@host", "because")
        );
        session
    }

    #[test]
    fn a_run_is_permitted_what_it_does_and_nothing_else() {
        use ActionKind as A;
        let job = json!([{"name": "e2e", "period": "30m", "timeout": "10m", "job": "playwright"}]);
        let down = json!({"teardown": {"steps": [{"action": "compose_down_volumes"}]}});
        for (more, expected, tier) in [
            (json!({}), vec![], Tier::Caution),
            (json!({"phases": {"startup": {}}}), vec![A::ComposeUp], Tier::Caution),
            (json!({"phases": {"teardown": {}, "startup": {}}}), vec![A::ComposeUp, A::ComposeDown], Tier::Caution),
            (json!({"phases": {"startup": {"skip": true}}}), vec![], Tier::Caution),
            (json!({"phases": down}), vec![A::ComposeDownVolumes], Tier::Destructive),
            (json!({"checks": job}), vec![A::RunJob], Tier::Caution),
            (
                json!({"duringSoak": "Recover"}),
                vec![A::StartService, A::RestartService, A::ComposeUp, A::RecreateService],
                Tier::Caution,
            ),
        ] {
            let session = permitted(more.clone());
            assert_eq!((session.spec.allowed_actions, session.spec.max_tier), (expected, tier), "{more}");
        }
    }

    #[test]
    fn it_lasts_as_long_as_the_run_can() {
        let minutes = |more| permitted(more).spec.ttl.to_std().as_secs_f64() / 60.0;
        // The soak, a minute of Preflight, two of Warmup, one of Finalizing with two checks of five seconds, and the margin.
        assert!((minutes(json!({})) - (60.0 + 1.0 + 2.0 + 1.0 + 10.0 / 60.0 + 10.0)).abs() < 0.01);
        let more = minutes(json!({"phases": {"startup": {}, "cleanup": {"deadline": "30m"}}})) - minutes(json!({}));
        assert!((more - 35.0).abs() < 0.01, "{more}");
    }
}
