//! What of the objects that others write is to be recorded of a run: actions that have ended, and starts of containers.

use super::evidence::Evidence;
use super::record::{Record, What};
use crate::api::action::ActionRun;
use crate::api::soak::{SoakPhase, SoakRun};
use crate::api::stack::WicapStack;
use crate::api::{Object, Time};

/// Actions that have ended and are not on record, in the order of their ends: the run's own, and of everybody's what began while it
/// soaks and changes a service. Those count as recoveries.
#[must_use]
pub fn actions(run: &SoakRun, actions: &[ActionRun], evidence: &Evidence, now: Time) -> Vec<Record> {
    let since = evidence.began(SoakPhase::Soaking).filter(|_| evidence.phase() == SoakPhase::Soaking);
    let recorded = evidence.recorded_actions();
    let mut ended: Vec<(Time, &ActionRun, What)> = actions
        .iter()
        .filter_map(|action| {
            let status = action.status.as_ref().filter(|s| s.phase.is_final())?;
            let own = run.owns(action);
            let counts = action.spec.action.changes_services()
                && since.is_some_and(|since| status.started_at.is_some_and(|at| at >= since));
            if !(own || counts) || recorded.contains(action.name()) {
                return None;
            }
            let what = What::Action {
                name: action.name().to_owned(),
                what: action.spec.action.on(&action.spec.target),
                result: format!("{:?}", status.phase),
                cause: action.spec.cause.summary.clone(),
                own,
            };
            Some((status.finished_at.unwrap_or(now), action, what))
        })
        .collect();
    ended.sort_by(|a, b| (a.0, a.1.name()).cmp(&(b.0, b.1.name())));
    ended.into_iter().map(|(at, _, what)| Record { at, what }).collect()
}

/// Starts of containers that are not on record.
#[must_use]
pub fn starts(stack: &WicapStack, evidence: &Evidence, now: Time) -> Vec<Record> {
    let services = stack.status.iter().flat_map(|s| &s.services);
    let new = services.filter_map(|service| {
        let (container, started) = (service.container_id.clone()?, service.started_at?);
        let last = evidence.starts.get(&service.name).and_then(|starts| starts.last());
        if last.is_some_and(|last| last.container == container && last.started == started) {
            return None;
        }
        Some(Record { at: now, what: What::Start { service: service.name.clone(), container, started } })
    });
    new.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::action::{ActionKind, ActionPhase};
    use crate::api::stack::ServiceState;
    use crate::plan::fixtures::{self, at};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

    fn soaking() -> (SoakRun, Evidence) {
        let mut run =
            fixtures::soak(crate::api::stack::Maintenance { until: at(0), reason: String::new(), services: vec![] });
        run.metadata.uid = Some("u".into());
        let mut evidence = Evidence::default();
        evidence.add(&Record { at: at(1000), what: What::Phase { phase: SoakPhase::Soaking } });
        (run, evidence)
    }

    fn ended(name: &str, kind: ActionKind, started: Option<i64>, finished: i64) -> ActionRun {
        let mut action = fixtures::action(name, kind, "ui", ActionPhase::Succeeded);
        let status = action.status.as_mut().unwrap();
        (status.started_at, status.finished_at) = (started.map(at), Some(at(finished)));
        action
    }

    #[test]
    fn what_changed_a_service_while_it_soaked_counts_and_nothing_else_of_others_does() {
        let (run, mut evidence) = soaking();
        let mut own = ended("own", ActionKind::ComposeUp, Some(500), 900);
        own.metadata.owner_references = Some(vec![OwnerReference { uid: "u".into(), ..OwnerReference::default() }]);
        let mut open = ended("open", ActionKind::RestartService, Some(1500), 1600);
        open.status.as_mut().unwrap().phase = ActionPhase::Running;
        let all = [
            ended("late", ActionKind::RestartService, Some(1500), 3000),
            ended("early", ActionKind::RestartService, Some(999), 2000),
            ended("soon", ActionKind::StartService, Some(1000), 2500),
            ended("looked", ActionKind::StatusCheck, Some(1500), 1600),
            ended("asked", ActionKind::RunJob, Some(1500), 1600),
            ended("denied", ActionKind::RestartService, None, 1600),
            open,
            own,
        ];
        let names = |evidence: &Evidence| -> Vec<(String, bool)> {
            let records = actions(&run, &all, evidence, at(5000));
            let name = |r: Record| match r.what {
                What::Action { name, own, .. } => (name, own),
                other => panic!("{other:?}"),
            };
            records.into_iter().map(name).collect()
        };
        let expected = [("own", true), ("soon", false), ("late", false)].map(|(name, own)| (name.to_owned(), own));
        assert_eq!(names(&evidence), expected);
        for record in actions(&run, &all, &evidence, at(5000)) {
            evidence.add(&record);
        }
        assert_eq!(names(&evidence), []);
    }

    #[test]
    fn a_start_is_recorded_once_and_a_container_that_starts_anew_again() {
        let (_, mut evidence) = soaking();
        let mut stack = fixtures::stack(&[("ui", ServiceState::Running), ("redis", ServiceState::Missing)]);
        let ui = fixtures::service(&mut stack, "ui");
        (ui.container_id, ui.started_at) = (Some("c".into()), Some(at(1)));
        let first = starts(&stack, &evidence, at(2000));
        assert_eq!(first.len(), 1);
        evidence.add(&first[0]);
        assert_eq!(starts(&stack, &evidence, at(3000)), []);
        fixtures::service(&mut stack, "ui").started_at = Some(at(2));
        assert_eq!(starts(&stack, &evidence, at(4000)).len(), 1);
    }
}
