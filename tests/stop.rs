//! Stop means stop: once an EmergencyStop is committed, no action starts until it is gone.

mod support;

use support::docker::{Hold, Proxy};
use support::scene::{ALL_BUT_ACTUATOR, KILLED, MENDED, Scene};
use support::{Daemon, action_runs, available, blocked_by, phase, planned, until, until_settled};
use wicap::api::action::{ActionPhase, ActionRun};
use wicap::api::stack::WicapStack;
use wicap::plan::authorise::EMERGENCY_STOP;

/// The scene, where a drift must last that long before it is mended.
async fn scene(name: &str, hold_off: &str, controllers: &[&str]) -> Scene {
    let stack = |s: &mut serde_json::Value| s["spec"]["defaults"]["recovery"]["holdOff"] = hold_off.into();
    Scene::new(name, controllers, stack, |_| {}).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_of_everything_holds_a_recovery_that_is_pending_until_it_is_resumed() {
    let scene = scene("stop-all", "5s", &[]).await;
    scene.kill("processor");
    let waiting = |s: &WicapStack| planned(s) == Some("start_service processor") && blocked_by(s).is_none();
    scene.until("about to be mended", waiting).await;

    scene.do_ctl(&["stop", "--all", "--reason", "x"]);
    let stack = scene.until("blocked by the stop", |s| blocked_by(s) == Some(EMERGENCY_STOP)).await;
    let status = stack.status.unwrap();
    let drifted = status.drift.iter().find(|d| d.service == "processor").unwrap().since;
    let held = jiff::Timestamp::now().duration_since(drifted);
    assert!(held.as_secs() >= 5, "blocked {held:?} after the drift began, before the hold-off was over");
    assert_eq!(scene.told(), KILLED);
    assert!(action_runs(&scene.store).await.is_empty());

    scene.do_ctl(&["resume", "--all"]);
    until_settled(&scene.store).await;
    assert_eq!(scene.told(), MENDED);
    assert_eq!(action_runs(&scene.store).await.iter().map(phase).collect::<Vec<_>>(), [ActionPhase::Succeeded]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_holds_for_the_stack_it_is_named_for_and_for_no_other() {
    let scene = scene("stop-one", "0s", &[]).await;
    scene.do_ctl(&["stop", "another", "--reason", "x"]);
    scene.kill("processor");
    scene.until("unavailable", |s| !available(s)).await;
    scene.until("Available", available).await;
    assert_eq!(scene.told(), MENDED);

    scene.do_ctl(&["stop", "wicap", "--reason", "x"]);
    scene.kill("scout");
    let stack = scene.until("blocked by the stop", |s| blocked_by(s) == Some(EMERGENCY_STOP)).await;
    assert_eq!(planned(&stack), Some("start_service scout"));
    assert_eq!(scene.told(), [&MENDED[..], &["kill scout", "die scout"]].concat());
    assert_eq!(action_runs(&scene.store).await.len(), 1);

    scene.do_ctl(&["resume", "wicap"]);
    let ready = |s: &WicapStack| s.status.as_ref().is_some_and(|s| s.ready.as_deref() == Some("4/4"));
    scene.until("whole", ready).await;
    assert_eq!(scene.told(), [&MENDED[..], &["kill scout", "die scout", "start scout"]].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_that_was_asked_for_before_a_stop_is_denied_after_it() {
    let mut scene = scene("stop-pending", "0s", &ALL_BUT_ACTUATOR).await;
    scene.kill("processor");
    let run = scene.asked_for().await;
    assert_eq!(phase(&run), ActionPhase::Pending);

    scene.do_ctl(&["stop", "--all", "--reason", "x"]);
    scene.daemons.push(Daemon::start(&scene.url, scene.example.path(), &["--controllers", "actuator"]));
    let name = run.metadata.name.unwrap();
    let run = until::<ActionRun>(&scene.store, &name, "at its end", |r| phase(r).is_final()).await;
    let status = run.status.unwrap();
    assert_eq!(status.phase, ActionPhase::Denied, "{status:#?}");
    assert_eq!(status.decision.unwrap().denied_by.as_deref(), Some(EMERGENCY_STOP));
    assert!(status.steps.is_empty() && status.claim.is_none());
    scene.until("blocked by the stop", |s| blocked_by(s) == Some(EMERGENCY_STOP)).await;
    assert_eq!(scene.told(), KILLED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_that_is_committed_after_authorisation_and_before_the_claim_still_stops_it() {
    let mut scene = scene("stop-claim", "0s", &ALL_BUT_ACTUATOR).await;
    let proxy = Proxy::new(scene.example.path());
    scene.daemons.push(Daemon::start(
        &scene.url,
        scene.example.path(),
        &["--controllers", "actuator", "--docker", &proxy.url()],
    ));
    // The actuator looks at the target when every gate has let the action pass, and claims next.
    proxy.set_trap(&["GET", "/containers/json"], Hold::BeforeAnswer);
    scene.kill("processor");
    proxy.caught().await;
    let run = scene.asked_for().await;
    assert_eq!(phase(&run), ActionPhase::Pending);

    scene.do_ctl(&["stop", "wicap", "--reason", "x"]);
    proxy.release();
    let name = run.metadata.name.unwrap();
    let run = until::<ActionRun>(&scene.store, &name, "at its end", |r| phase(r).is_final()).await;
    let status = run.status.unwrap();
    assert_eq!(status.phase, ActionPhase::Denied, "{status:#?}");
    assert_eq!(status.decision.unwrap().denied_by.as_deref(), Some(EMERGENCY_STOP));
    assert_eq!(scene.told(), KILLED);
}
