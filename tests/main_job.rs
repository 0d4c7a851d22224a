//! The main job: a declared stack comes up, is hurt, is mended, and a soak run gets its verdict.

mod support;

use support::docker::{EngineLog, docker};
use support::server::Server;
use support::{Daemon, Example, action_runs, apply, available, connect, until, until_settled, wicapctl};
use wicap::api::action::{ActionKind, ActionPhase};
use wicap::api::soak::{SoakPhase, SoakRun, Verdict};
use wicap::api::stack::WicapStack;

#[tokio::test(flavor = "multi_thread")]
async fn a_declared_stack_comes_up_is_hurt_and_is_mended() {
    let server = Server::start().await;
    let example = Example::new("main");
    let url = server.url();
    let log = EngineLog::of(&example);
    let _daemon = Daemon::start(&url, example.path(), &[]);
    let store = connect(&url).await;
    apply(&url, &[example.stack(|_| {}), example.policy(), example.session("night", "Assist")]);
    until_settled(&store).await;
    apply(&url, &[example.soak(8)]);
    until::<SoakRun>(&store, "soak", "Soaking", |s| s.status.as_ref().is_some_and(|s| s.phase == SoakPhase::Soaking)).await;

    docker(&["kill", &example.container("processor")]);
    until::<WicapStack>(&store, "wicap", "unavailable", |s| !available(s)).await;
    until::<WicapStack>(&store, "wicap", "Available again", available).await;

    let soak =
        until::<SoakRun>(&store, "soak", "Completed", |s| s.status.as_ref().is_some_and(|s| s.verdict.is_some())).await;
    let status = soak.status.unwrap();
    assert_eq!(status.verdict, Some(Verdict::Passed), "{:?}", status.reasons);
    assert_eq!(status.restarts.iter().map(|r| r.count).sum::<u32>(), 1);
    let runs = action_runs(&store).await;
    let on_processor: Vec<_> = runs.iter().filter(|r| r.spec.target == "processor").collect();
    assert_eq!(on_processor.len(), 1, "{on_processor:#?}");
    assert_eq!(on_processor[0].spec.action, ActionKind::StartService);
    assert_eq!(on_processor[0].status.as_ref().unwrap().phase, ActionPhase::Succeeded);
    assert!(on_processor[0].spec.cause.summary.contains("137"), "{}", on_processor[0].spec.cause.summary);
    log.settle(&example, "ui");
    assert_eq!(log.count("start", "processor"), 2, "{:?}", log.changes());
    assert_eq!(log.count("start", "ui"), 1);

    let said = wicapctl(&url, &["get", "actions"], "");
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("start_service") && said.out.contains("Succeeded"), "{}", said.out);
}
