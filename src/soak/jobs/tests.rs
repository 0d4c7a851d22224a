use super::*;
use crate::api::action::{JobResult, Verification};
use crate::plan::fixtures;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::json;

fn run() -> SoakRun {
    let spec = json!({
        "stack": "wicap", "duration": "60s", "session": "s",
        "checks": [
            {"name": "e2e", "period": "30s", "timeout": "60s", "job": "playwright"},
            {"name": "e2e-1", "period": "30s", "timeout": "60s", "job": "playwright"},
            {"name": "E2E", "period": "30s", "timeout": "60s", "job": "playwright", "retries": 0},
        ],
    });
    let mut run = SoakRun::new("night", serde_json::from_value(spec).unwrap());
    run.meta_mut().uid = Some("12345678-90ab".to_owned());
    run
}

fn action(run: &SoakRun, check: usize, number: u32, attempt: u32, phase: ActionPhase) -> ActionRun {
    let check = &run.spec.checks[check];
    let mut action = ActionRun::new(&name(run, &check.name, number, attempt), request(run, check, number).unwrap());
    action.metadata.owner_references =
        Some(vec![OwnerReference { uid: "12345678-90ab".into(), ..OwnerReference::default() }]);
    let mut status = fixtures::action("x", ActionKind::RunJob, "playwright", phase).status.unwrap();
    (status.started_at, status.finished_at) = (Some(fixtures::at(1000)), Some(fixtures::at(3500)));
    status.message = Some("said".to_owned());
    action.status = Some(status);
    action
}

fn with_result(mut action: ActionRun, holds: bool, job: Option<JobResult>) -> ActionRun {
    let seen = Verification { holds, message: "said".to_owned(), after: Vec::new(), job };
    action.status.as_mut().unwrap().verification = Some(seen);
    action
}

fn result(passed: u64, failed: u64) -> JobResult {
    JobResult { passed, failed, errors: 1, skipped: 2, ..JobResult::default() }
}

#[test]
fn a_check_is_told_by_the_last_action_that_was_asked_for_it() {
    let run = run();
    let seen = |open, actions: &[ActionRun]| look(&run, &run.spec.checks[0], open, actions);
    assert_eq!(seen(0, &[]), Job::Idle);
    let running = action(&run, 0, 0, 1, ActionPhase::Running);
    assert_eq!(seen(0, std::slice::from_ref(&running)), Job::UnderWay);
    assert_eq!(seen(1, std::slice::from_ref(&running)), Job::Idle, "what is recorded is over");
    let passed = with_result(action(&run, 0, 3, 1, ActionPhase::Succeeded), true, Some(result(4, 0)));
    let Job::Made { number: 3, made } = seen(1, &[running, passed]) else { panic!() };
    assert_eq!((made.outcome, made.latency_ms, made.message), (CheckOutcome::Passed, 2500.0, None));
    assert_eq!(made.at, fixtures::at(1000));
    let captured = [("failed".to_owned(), 1.0), ("passed".to_owned(), 4.0), ("skipped".to_owned(), 2.0)];
    assert_eq!(made.captured, captured.into());
}

#[test]
fn a_job_that_ran_has_failed_and_one_that_could_not_is_tried_again() {
    let run = run();
    let seen = |check: usize, action: ActionRun| look(&run, &run.spec.checks[check], 0, &[action]);
    let failed = with_result(action(&run, 0, 0, 1, ActionPhase::Failed), false, Some(result(3, 1)));
    let Job::Made { made, .. } = seen(0, failed) else { panic!() };
    assert_eq!((made.outcome, made.message.as_deref()), (CheckOutcome::Failed, Some("said")));
    for phase in [ActionPhase::Denied, ActionPhase::Interrupted, ActionPhase::Failed, ActionPhase::Shadowed] {
        assert_eq!(seen(0, action(&run, 0, 0, 1, phase)), Job::Again { number: 0, attempt: 2 }, "{phase:?}");
        let Job::Made { made, .. } = seen(0, action(&run, 0, 0, 2, phase)) else { panic!("{phase:?}") };
        assert_eq!((made.outcome, made.message), (CheckOutcome::Error, Some(format!("{phase:?}: said"))));
        assert!(matches!(seen(2, action(&run, 2, 0, 1, phase)), Job::Made { .. }), "it has no retries");
    }
    // What holds without a result was not seen to pass.
    let Job::Again { .. } = seen(0, with_result(action(&run, 0, 0, 1, ActionPhase::Succeeded), true, None)) else {
        panic!()
    };
}

#[test]
fn the_actions_of_one_check_are_not_those_of_another() {
    let run = run();
    for other in [1, 2] {
        assert_eq!(look(&run, &run.spec.checks[0], 0, &[action(&run, other, 0, 1, ActionPhase::Running)]), Job::Idle);
    }
    let mut strange = action(&run, 0, 0, 1, ActionPhase::Running);
    strange.metadata.owner_references = None;
    assert_eq!(look(&run, &run.spec.checks[0], 0, &[strange]), Job::Idle, "a name alone proves nothing");
}

#[test]
fn names_are_names_of_objects_however_long_what_they_are_made_of_is() {
    let mut run = run();
    run.spec.checks[0].name = format!("A_.{}", "x".repeat(60));
    run.metadata.name = Some("n".repeat(253));
    let name = name(&run, &run.spec.checks[0].name, u32::MAX, u32::MAX);
    assert!(crate::api::validate::is_object_name(&name), "{name}");
}
