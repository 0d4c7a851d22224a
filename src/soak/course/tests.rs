use super::*;
use crate::api::action::ActionRunStatus;
use crate::api::session::ControlSessionStatus;
use crate::api::stack::ServiceState;
use crate::plan::fixtures;
use crate::soak::jobs;
use crate::soak::record::Record;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Value, json};

fn at(seconds: i64) -> Time {
    fixtures::at(seconds * 1000)
}

/// A run with every phase, of a stack that is observed and up.
struct World {
    run: SoakRun,
    stack: WicapStack,
    session: Option<ControlSession>,
    baseline_problem: Option<String>,
    actions: Vec<ActionRun>,
    warm: BTreeMap<String, Result<(), String>>,
    evidence: Evidence,
    is_told: bool,
    now: Time,
}

impl World {
    fn new(more: Value) -> Self {
        let mut spec = json!({
            "stack": "wicap", "duration": "60s", "session": "s",
            "phases": {"teardown": {}, "startup": {}, "cleanup": {}},
            "checks": [{"name": "ui", "period": "30s", "httpGet": {"port": 80}}],
        });
        for (key, value) in more.as_object().unwrap() {
            spec[key] = value.clone();
        }
        let mut run = SoakRun::new("night", serde_json::from_value(spec).unwrap());
        run.meta_mut().uid = Some("12345678-90ab".to_owned());
        let mut stack = fixtures::stack(&[("ui", ServiceState::Running)]);
        available(&mut stack, "True");
        let mut session: ControlSession = fixtures::session("s");
        session.status = Some(ControlSessionStatus { phase: SessionPhase::Active, ..ControlSessionStatus::default() });
        Self {
            run,
            stack,
            session: Some(session),
            baseline_problem: None,
            actions: Vec::new(),
            warm: [("ui".to_owned(), Ok(()))].into(),
            evidence: Evidence::default(),
            is_told: true,
            now: at(0),
        }
    }

    fn next(&self) -> Move {
        let scene = Scene {
            run: &self.run,
            stack: Some(&self.stack),
            session: self.session.as_ref(),
            baseline_problem: self.baseline_problem.clone(),
            actions: &self.actions,
            warm: &self.warm,
            is_told: self.is_told,
            is_measuring: false,
            now: self.now,
        };
        next(&scene, &self.evidence)
    }

    /// Records until it waits or asks.
    fn settle(&mut self) -> Move {
        for _ in 0..20 {
            match self.next() {
                Move::Record(what) => self.evidence.add(&Record { at: self.now, what }),
                other => return other,
            }
        }
        panic!("it does not settle: {:?}", self.evidence.phases);
    }

    fn enter(mut self, phase: SoakPhase) -> Self {
        self.evidence.add(&Record { at: self.now, what: What::Phase { phase } });
        self
    }

    fn later(&mut self, seconds: i64) {
        self.now = at(seconds);
        self.stack.status.as_mut().unwrap().observed_at = Some(self.now);
    }

    fn phases(&self) -> Vec<SoakPhase> {
        self.evidence.phases.iter().map(|(phase, _)| *phase).collect()
    }

    /// Does what is asked for, with that result.
    fn answer(&mut self, phase: ActionPhase) -> String {
        let Move::Ask(asked) = self.settle() else { panic!("nothing is asked for: {:?}", self.next()) };
        let (name, spec) = *asked;
        let mut action = ActionRun::new(&name, spec);
        let owner = OwnerReference { uid: "12345678-90ab".to_owned(), ..OwnerReference::default() };
        action.meta_mut().owner_references = Some(vec![owner]);
        let message = Some("because".to_owned());
        action.status = Some(ActionRunStatus { phase, message, ..ActionRunStatus::default() });
        self.actions.push(action);
        name
    }
}

fn available(stack: &mut WicapStack, word: &str) {
    let status = stack.status.as_mut().unwrap();
    let word = if word == "True" { condition::Status::True } else { condition::Status::False };
    condition::set(&mut status.conditions, condition::AVAILABLE, word, "R", "ui is not Running".to_owned(), None, at(0));
}

#[test]
fn a_run_goes_through_its_phases_and_asks_for_its_steps_one_by_one() {
    use SoakPhase::{Cleanup, Completed, Finalizing, Preflight, Soaking, Startup, Teardown, Warmup};
    let mut world = World::new(json!({}));
    assert_eq!(world.answer(ActionPhase::Succeeded), "night-12345678-teardown-1");
    assert_eq!(world.answer(ActionPhase::Succeeded), "night-12345678-startup-1");
    assert_eq!(world.settle(), Move::Wait { message: None, until: Some(at(60)) });
    world.later(60);
    assert!(matches!(world.settle(), Move::Wait { message: Some(m), .. } if m == "Finalizing: waiting for ui"));
    world.evidence.add(&Record { at: at(61), what: What::Missed { name: "ui".to_owned(), number: 0, count: 3 } });
    assert_eq!(world.answer(ActionPhase::Succeeded), "night-12345678-cleanup-1");
    assert_eq!(world.settle(), Move::Wait { message: None, until: None });
    let all = [Preflight, Teardown, Startup, Warmup, Soaking, Finalizing, Cleanup, Completed];
    assert_eq!(world.phases(), all);
    let asked: Vec<_> = world.actions.iter().map(|a| a.spec.action.as_str()).collect();
    assert_eq!(asked, ["compose_down", "compose_up", "compose_down"]);
    assert!(world.actions.iter().all(|a| a.spec.session == "s" && a.spec.cause.kind == CauseKind::Soak));
}

#[test]
fn phases_that_act_are_gone_through_only_where_they_are_declared() {
    use SoakPhase::{Preflight, Soaking, Warmup};
    let mut world = World::new(json!({"phases": {}}));
    world.settle();
    assert_eq!(world.phases(), [Preflight, Warmup, Soaking]);
    let skipped = json!({"phases": {"preflight": {"skip": true}, "startup": {"skip": true}, "warmup": {"skip": true}}});
    let mut world = World::new(skipped);
    world.settle();
    assert_eq!(world.phases(), [Soaking]);
}

#[test]
fn nothing_is_asked_for_before_the_others_know_what_it_is_for() {
    let mut world = World::new(json!({}));
    world.is_told = false;
    assert!(
        matches!(world.settle(), Move::Wait { message: Some(m), .. } if m == "Teardown: compose_down on the whole stack is Pending")
    );
    let claim = claim(&world.run, &world.evidence).unwrap();
    assert_eq!((claim.until, claim.reason.as_str()), (at(300), "Teardown of SoakRun night"));
    world.is_told = true;
    assert!(matches!(world.settle(), Move::Ask(_)));
}

#[test]
fn a_step_that_does_not_succeed_decides_the_run_and_the_stack_is_cleaned_up_all_the_same() {
    use ActionPhase::{Denied, Failed, Interrupted, Shadowed, Succeeded};
    for (teardown, startup, verdict, told) in [
        (Denied, None, Verdict::Error, "Teardown: compose_down on the whole stack is Denied: because"),
        (Failed, None, Verdict::Error, "Teardown: compose_down on the whole stack is Failed: because"),
        (Succeeded, Some(Failed), Verdict::Failed, "Startup: compose_up on the whole stack is Failed: because"),
        (Succeeded, Some(Denied), Verdict::Error, "Startup: compose_up on the whole stack is Denied: because"),
        (Succeeded, Some(Interrupted), Verdict::Error, "is Interrupted"),
        (Succeeded, Some(Shadowed), Verdict::Error, "is Shadowed"),
    ] {
        let mut world = World::new(json!({}));
        world.answer(teardown);
        if let Some(startup) = startup {
            world.answer(startup);
        }
        world.answer(Denied);
        world.settle();
        let (found, reason) = world.evidence.decided.clone().unwrap();
        assert_eq!(found, verdict, "{reason}");
        assert!(reason.contains(told), "{reason}");
        let cleanup = "Cleanup: compose_down on the whole stack is Denied: because";
        assert_eq!(world.evidence.events.iter().map(|e| e.what.as_str()).collect::<Vec<_>>(), [cleanup]);
        let last_two = world.phases().split_off(world.phases().len() - 2);
        assert_eq!(last_two, [SoakPhase::Cleanup, SoakPhase::Completed]);
        assert!(!world.phases().contains(&SoakPhase::Soaking));
    }
}

#[test]
fn a_stack_that_was_brought_up_and_does_not_serve_yet_has_the_time_of_warmup() {
    for (exit_code, phase) in [(Some(0), SoakPhase::Warmup), (Some(1), SoakPhase::Cleanup), (None, SoakPhase::Cleanup)] {
        let mut world = World::new(json!({}));
        world.answer(ActionPhase::Succeeded);
        world.answer(ActionPhase::Failed);
        let execute = json!({"kind": "Execute", "command": ["docker"], "startedAt": at(0), "exitCode": exit_code});
        let status = world.actions.last_mut().unwrap().status.as_mut().unwrap();
        status.steps = vec![serde_json::from_value(execute).unwrap()];
        available(&mut world.stack, "False");
        world.settle();
        assert_eq!(world.evidence.phase(), phase, "{exit_code:?}");
    }
}

#[test]
fn a_stack_that_is_not_there_is_not_taken_down() {
    let mut world = World::new(json!({}));
    world.stack = fixtures::stack(&[("redis", ServiceState::Missing), ("ui", ServiceState::Missing)]);
    assert!(matches!(world.settle(), Move::Ask(asked) if asked.0 == "night-12345678-startup-1"));
    // One container is enough, whoever it belongs to; and what is not known is not nothing.
    let some = fixtures::stack(&[("redis", ServiceState::Missing), ("ui", ServiceState::Exited)]);
    let unknown = fixtures::stack(&[("redis", ServiceState::Missing), ("ui", ServiceState::Unknown)]);
    let mut orphan = fixtures::stack(&[("ui", ServiceState::Missing)]);
    orphan.status.as_mut().unwrap().orphans.push("old".to_owned());
    for stack in [some, unknown, orphan] {
        let mut world = World::new(json!({}));
        world.stack = stack;
        assert!(matches!(world.settle(), Move::Ask(asked) if asked.0 == "night-12345678-teardown-1"));
    }
}

#[test]
fn every_phase_has_a_deadline() {
    use SoakPhase::{Cleanup, Finalizing, Preflight, Startup, Teardown, Warmup};
    for (phase, seconds, expected) in [
        (Preflight, 60, Some((Verdict::Error, "Preflight: there is no ControlSession \"s\""))),
        (Teardown, 300, Some((Verdict::Error, "Teardown: compose_down on the whole stack was not asked for in time"))),
        (Startup, 300, Some((Verdict::Error, "Startup: compose_up on the whole stack was not asked for in time"))),
        (Warmup, 120, Some((Verdict::Failed, "the stack was not Available within 2m: ui is not Running"))),
        // A minute, and the longest check twice.
        (Finalizing, 70, Some((Verdict::Error, "Finalizing: the last result of ui did not come"))),
        (Cleanup, 300, None),
    ] {
        let world = World::new(json!({}));
        let mut world = if phase == Finalizing { world.enter(SoakPhase::Soaking) } else { world }.enter(phase);
        world.session = None;
        world.is_told = false;
        available(&mut world.stack, "False");
        for early in [0, seconds - 1] {
            world.later(early);
            assert!(
                matches!(world.next(), Move::Wait { until: Some(u), .. } if u == at(seconds)),
                "{phase:?} {:?}",
                world.next()
            );
        }
        world.later(seconds);
        world.settle();
        let decided = world.evidence.decided.as_ref().map(|(verdict, reason)| (*verdict, reason.as_str()));
        assert_eq!(decided, expected, "{phase:?}");
    }
}

#[test]
fn a_declared_deadline_is_the_one_that_counts() {
    let mut world = World::new(json!({"phases": {"warmup": {"deadline": "5s"}}})).enter(SoakPhase::Warmup);
    world.warm = [("ui".to_owned(), Err("answers 503".to_owned()))].into();
    assert!(
        matches!(world.settle(), Move::Wait { message: Some(m), until: Some(u) } if m == "waiting for check ui: answers 503" && u == at(5))
    );
    world.later(5);
    world.settle();
    let expected = Some((Verdict::Failed, "check ui did not pass within 5s: answers 503".to_owned()));
    assert_eq!(world.evidence.decided, expected);
}

#[test]
fn a_run_waits_for_its_stack_and_while_it_is_suspended() {
    let mut world = World::new(json!({"suspend": true}));
    assert_eq!(world.next(), Move::Wait { message: Some("suspended".to_owned()), until: None });
    world.run.spec.suspend = false;
    assert_eq!(world.next(), Move::Record(What::Phase { phase: SoakPhase::Preflight }));
    let scene = Scene {
        run: &world.run,
        stack: None,
        session: None,
        baseline_problem: None,
        actions: &[],
        warm: &world.warm,
        is_told: true,
        is_measuring: false,
        now: at(0),
    };
    let message = Some("waiting: there is no WicapStack \"wicap\"".to_owned());
    assert_eq!(next(&scene, &Evidence::default()), Move::Wait { message, until: None });
}

#[test]
fn preflight_tells_everything_that_stands_in_the_way() {
    let mut world = World::new(json!({}));
    world.session.as_mut().unwrap().status = None;
    world.stack.status = None;
    world.baseline_problem = Some("the baseline \"b\" has not passed".to_owned());
    let expected = "Preflight: WicapStack \"wicap\" is not observed; ControlSession \"s\" is Pending; the baseline \"b\" has not passed";
    assert!(matches!(world.settle(), Move::Wait { message: Some(m), .. } if m == expected), "{:?}", world.next());
}

#[test]
fn a_job_is_there_and_may_be_run_before_the_soak_begins_and_has_ended_before_the_stack_is_taken_down() {
    let checks = json!([{"name": "e2e", "period": "30s", "timeout": "60s", "job": "playwright"}]);
    let mut world = World::new(json!({"checks": checks, "phases": {"teardown": {"skip": true}, "cleanup": {}}}));
    world.session = None;
    let expected = "Preflight: WicapStack \"wicap\" has no job \"playwright\"; there is no ControlSession \"s\"";
    assert!(matches!(world.settle(), Move::Wait { message: Some(m), .. } if m == expected), "{:?}", world.next());

    let mut world = World::new(json!({"checks": checks})).enter(SoakPhase::Soaking);
    let check = &world.run.spec.checks[0];
    let (name, spec) = (jobs::name(&world.run, "e2e", 0, 1), jobs::request(&world.run, check, 0).unwrap());
    let mut job = ActionRun::new(&name, spec);
    let owner = OwnerReference { uid: "12345678-90ab".to_owned(), ..OwnerReference::default() };
    job.metadata.owner_references = Some(vec![owner]);
    world.actions.push(job);
    world.run.spec.abort = true;
    let expected = "Cleanup: the job playwright is to end";
    assert!(matches!(world.settle(), Move::Wait { message: Some(m), .. } if m == expected), "{:?}", world.next());
    let interrupted = ActionRunStatus { phase: ActionPhase::Interrupted, ..ActionRunStatus::default() };
    world.actions[0].status = Some(interrupted);
    assert!(matches!(world.settle(), Move::Ask(asked) if asked.0 == "night-12345678-cleanup-1"));
}

#[test]
fn an_operator_ends_a_soak_early_with_or_without_a_verdict() {
    let mut world = World::new(json!({"phases": {}})).enter(SoakPhase::Soaking);
    world.later(20);
    world.run.spec.finish = true;
    assert!(matches!(world.settle(), Move::Wait { message: Some(m), .. } if m == "Finalizing: waiting for ui"));
    assert_eq!(length(&world.run.spec, &world.evidence), Duration::from_secs(20));
    let mut world = World::new(json!({})).enter(SoakPhase::Soaking);
    world.run.spec.abort = true;
    world.answer(ActionPhase::Succeeded);
    world.settle();
    assert_eq!(world.evidence.decided, Some((Verdict::Aborted, "aborted by an operator".to_owned())));
    assert_eq!(world.phases(), [SoakPhase::Soaking, SoakPhase::Cleanup, SoakPhase::Completed]);
}

#[test]
fn what_becomes_of_a_drift_is_as_declared() {
    let start = |n: i64| Record {
        at: at(n),
        what: What::Start { service: "ui".to_owned(), container: "c".to_owned(), started: at(n) },
    };
    for (during, claims, ends) in [("Recover", false, false), ("Observe", true, false), ("Abort", true, true)] {
        let mut world = World::new(json!({"phases": {}, "duringSoak": during})).enter(SoakPhase::Soaking);
        assert_eq!(claim(&world.run, &world.evidence).is_some(), claims, "{during}");
        world.evidence.add(&start(1));
        assert!(matches!(world.settle(), Move::Wait { .. }), "{during}: nothing has happened yet");
        world.evidence.add(&start(2));
        world.settle();
        let told = world.evidence.decided.as_ref().map(|(verdict, reason)| (*verdict, reason.as_str()));
        assert_eq!(told, ends.then_some((Verdict::Failed, "while soaking: ui was restarted")), "{during}");
    }
    let mut world = World::new(json!({"phases": {}, "duringSoak": "Abort"})).enter(SoakPhase::Soaking);
    world.stack = fixtures::stack(&[("ui", ServiceState::Exited)]);
    world.settle();
    let (verdict, reason) = world.evidence.decided.clone().unwrap();
    assert!(verdict == Verdict::Failed && reason.starts_with("while soaking: ui is NotRunning"), "{reason}");
}
