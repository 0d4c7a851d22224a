//! Whether the cause of an action still stands when it is about to be done.

use super::authorise::touches;
use super::drift::{detect, is_stale};
use super::maintenance::Claims;
use crate::api::Object;
use crate::api::Time;
use crate::api::action::{ActionRun, CauseKind};
use crate::api::soak::{SoakPhase, SoakRun};
use crate::api::stack::{ServiceState, WicapStack};

/// Whether what an action was asked for is still so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is, or the action was asked for by a person or a run, who need no drift.
    Holds,
    /// It cannot be seen now.
    Unknown,
    /// It is not, for this reason, in words for people.
    Gone(String),
}

/// Whether the cause of an action still stands at `now`.
///
/// An action that waited, for an actuator or for another action, must not be done about a drift that is over: the service may have
/// come back by itself, or the operator may want it otherwise by now.
#[must_use]
pub fn standing(run: &ActionRun, stack: &WicapStack, soaks: &[SoakRun], now: Time) -> Standing {
    if run.spec.cause.kind == CauseKind::Soak {
        return wanted_by_soak(run, soaks);
    }
    let (CauseKind::Drift, Some(kind)) = (run.spec.cause.kind, run.spec.cause.drift) else { return Standing::Holds };
    let claims = Claims::new(stack, soaks, now);
    let mut touched = stack.spec.services.iter().filter(|s| s.managed && touches(run, &s.name));
    if let Some((service, claim)) = touched.find_map(|s| Some((&s.name, claims.on(&s.name)?))) {
        return Standing::Gone(format!("{service} is under {claim}"));
    }
    let about = |service: &str| run.spec.target.is_empty() || run.spec.target == service;
    let seen =
        |name: &str| stack.status.as_ref().and_then(|s| s.service(name)).is_some_and(|s| s.state != ServiceState::Unknown);
    let all_seen = stack.spec.services.iter().filter(|s| touches(run, &s.name)).all(|s| seen(&s.name));
    if is_stale(stack.status.as_ref(), now) || !all_seen {
        return Standing::Unknown;
    }
    if detect(stack, now).iter().any(|d| about(&d.service) && d.kind == kind) {
        return Standing::Holds;
    }
    let whom = if run.spec.target.is_empty() { "the stack" } else { &run.spec.target };
    Standing::Gone(format!("{whom} is not {kind:?} any more"))
}

/// Whether the soak run that asks, if one does, still goes on; of a job, whether it still soaks.
#[must_use]
pub fn wanted_by_soak(run: &ActionRun, soaks: &[SoakRun]) -> Standing {
    let Some(name) = run.spec.cause.object.as_deref().and_then(|object| object.strip_prefix("SoakRun/")) else {
        return Standing::Holds;
    };
    let Some(soak) = soaks.iter().find(|soak| soak.name() == name && soak.owns(run)) else {
        return Standing::Gone(format!("SoakRun {name:?} is gone"));
    };
    if soak.metadata.deletion_timestamp.is_some() {
        return Standing::Gone(format!("SoakRun {name:?} is being deleted"));
    }
    let over = if run.spec.action.targets_job() { SoakPhase::Cleanup } else { SoakPhase::Completed };
    match soak.status.as_ref().map(|s| s.phase).unwrap_or_default() {
        phase if phase >= over => Standing::Gone(format!("SoakRun {name:?} is over: it is {phase:?}")),
        _ => Standing::Holds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::action::{ActionKind, ActionPhase};
    use crate::api::stack::{DesiredState, DriftKind, Maintenance};
    use crate::plan::fixtures::{action, at, soak, stack};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

    fn about(target: &str, kind: DriftKind) -> ActionRun {
        let mut run = action("a", ActionKind::RestartService, target, ActionPhase::Pending);
        run.spec.cause.kind = CauseKind::Drift;
        run.spec.cause.drift = Some(kind);
        run
    }

    #[test]
    fn an_action_is_done_only_about_a_drift_that_is_still_seen() {
        use DriftKind::{Missing, NotRunning, Unhealthy};
        use ServiceState::{Exited, Running, Unknown};
        let gone = |what: &str| Standing::Gone(what.to_owned());
        for (state, target, kind, expected) in [
            (ServiceState::Unhealthy, "ui", Unhealthy, Standing::Holds),
            (Running, "ui", Unhealthy, gone("ui is not Unhealthy any more")),
            (Exited, "ui", Unhealthy, gone("ui is not Unhealthy any more")),
            (Exited, "ui", NotRunning, Standing::Holds),
            (Unknown, "ui", NotRunning, Standing::Unknown),
            (ServiceState::Missing, "", Missing, Standing::Holds),
            (Running, "", Missing, gone("the stack is not Missing any more")),
            (Unknown, "", Missing, Standing::Unknown),
        ] {
            let stack = stack(&[("redis", Running), ("ui", state)]);
            assert_eq!(standing(&about(target, kind), &stack, &[], at(1)), expected, "{state:?} {target:?} {kind:?}");
        }
    }

    #[test]
    fn what_the_operator_wants_otherwise_by_now_is_not_done() {
        let mut stack = stack(&[("ui", ServiceState::Exited)]);
        stack.spec.desired_state = DesiredState::Stopped;
        let standing = standing(&about("ui", DriftKind::NotRunning), &stack, &[], at(1));
        assert!(matches!(standing, Standing::Gone(_)), "{standing:?}");
    }

    #[test]
    fn an_old_observation_tells_nothing() {
        let stack = stack(&[("ui", ServiceState::Exited)]);
        let run = about("ui", DriftKind::NotRunning);
        assert_eq!(standing(&run, &stack, &[], at(1)), Standing::Holds);
        assert_eq!(standing(&run, &stack, &[], at(3_600_000)), Standing::Unknown);
    }

    #[test]
    fn what_is_under_maintenance_by_now_is_not_mended() {
        let mut stack = stack(&[("ui", ServiceState::Exited), ("redis", ServiceState::Exited)]);
        let claim = |services: &[&str]| {
            let services = services.iter().map(|s| (*s).to_owned()).collect();
            Maintenance { until: at(1000), reason: "new disk".into(), services }
        };
        let stands = |stack: &WicapStack, soaks: &[SoakRun], run: &ActionRun, now| standing(run, stack, soaks, at(now));
        let run = about("ui", DriftKind::NotRunning);
        stack.spec.maintenance = Some(claim(&["redis"]));
        assert_eq!(stands(&stack, &[], &run, 1), Standing::Holds);
        let mut both = run.clone();
        both.spec.params.services = vec!["redis".into()];
        let gone = Standing::Gone("redis is under maintenance until 2026-01-01T00:00:01Z: new disk".into());
        assert_eq!(stands(&stack, &[], &both, 1), gone);
        assert_eq!(stands(&stack, &[], &both, 1000), Standing::Holds);
        stack.spec.maintenance = None;
        let soaks = [soak(claim(&[]))];
        assert!(matches!(stands(&stack, &soaks, &run, 999), Standing::Gone(_)));
        assert_eq!(stands(&stack, &soaks, &run, 1000), Standing::Holds);
        let person = action("a", ActionKind::RestartService, "ui", ActionPhase::Pending);
        assert_eq!(stands(&stack, &soaks, &person, 1), Standing::Holds);
    }

    #[test]
    fn a_person_needs_no_drift() {
        let run = action("a", ActionKind::RestartService, "ui", ActionPhase::Pending);
        assert_eq!(standing(&run, &stack(&[("ui", ServiceState::Running)]), &[], at(1)), Standing::Holds);
    }

    #[test]
    fn what_a_soak_asked_for_is_done_while_the_soak_wants_it() {
        use SoakPhase::{Cleanup, Completed, Finalizing, Soaking};
        let stack = stack(&[("ui", ServiceState::Running)]);
        let mut soak = soak(Maintenance { until: at(1000), reason: String::new(), services: Vec::new() });
        soak.metadata.uid = Some("u".into());
        let asked = |kind, uid: &str| {
            let mut run = action("a", kind, "ui", ActionPhase::Pending);
            (run.spec.cause.kind, run.spec.cause.object) = (CauseKind::Soak, Some("SoakRun/soak".into()));
            run.metadata.owner_references = Some(vec![OwnerReference { uid: uid.into(), ..OwnerReference::default() }]);
            run
        };
        for (phase, job, step) in
            [(Soaking, true, true), (Finalizing, true, true), (Cleanup, false, true), (Completed, false, false)]
        {
            soak.status.as_mut().unwrap().phase = phase;
            let soaks = [soak.clone()];
            for (kind, wanted) in [(ActionKind::RunJob, job), (ActionKind::ComposeDown, step)] {
                let standing = standing(&asked(kind, "u"), &stack, &soaks, at(1));
                assert_eq!(standing == Standing::Holds, wanted, "{kind} in {phase:?}: {standing:?}");
            }
        }
        soak.status.as_mut().unwrap().phase = Soaking;
        let mut leaving = soak.clone();
        leaving.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(1)));
        let left = standing(&asked(ActionKind::RunJob, "u"), &stack, &[leaving], at(1));
        assert_eq!(left, Standing::Gone("SoakRun \"soak\" is being deleted".into()));
        for soaks in [vec![], vec![soak.clone()]] {
            let strange = if soaks.is_empty() { "u" } else { "of an earlier run of that name" };
            let standing = standing(&asked(ActionKind::RunJob, strange), &stack, &soaks, at(1));
            assert_eq!(standing, Standing::Gone("SoakRun \"soak\" is gone".into()));
        }
    }
}
