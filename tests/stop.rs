//! Stop means stop: once an EmergencyStop is committed, no action starts until it is gone.

mod support;

use support::docker::{Hold, Proxy};
use support::scene::{ALL_BUT_ACTUATOR, KILLED, MENDED, Scene};
use support::{Daemon, action_runs, available, blocked_by, phase, planned, until, until_settled, wicapctl_with};
use wicap::api::Object;
use wicap::api::action::{ActionPhase, ActionRun};
use wicap::api::stack::WicapStack;
use wicap::api::stop::EmergencyStop;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_stops_when_the_store_is_down_and_everybody_when_it_is_back() {
    let data_dir = tempfile::tempdir().unwrap();
    let directory = data_dir.path().to_str().unwrap();
    let mut scene = scene("stop-signal", "0s", &["--data-dir", directory]).await;
    scene.server.stop();
    scene.kill("processor");
    scene.daemons[0].signal(rustix::process::Signal::USR1);
    let file = wicap::stop_file::StopFile::of(data_dir.path());
    let mut changes = file.changes();
    let watched = file.clone();
    let watching = tokio::spawn(async move { watched.watch().await });
    while file.holds().is_none() {
        tokio::time::timeout(support::PATIENCE, changes.changed()).await.expect("the stop file is made").unwrap();
    }
    watching.abort();
    // Without a store nothing is claimed; with one again, the stop is there before anything else could be.
    scene.server.resume().await;
    until::<EmergencyStop>(&scene.store, "all", "there", |_| true).await;
    scene.until("blocked by the stop", |s| blocked_by(s) == Some(EMERGENCY_STOP)).await;
    assert_eq!(scene.told(), KILLED);

    // Who resumes and leaves the file has not resumed.
    scene.do_ctl(&["resume", "--all"]);
    until::<EmergencyStop>(&scene.store, "all", "there again", |_| true).await;
    assert_eq!(scene.told(), KILLED);
    std::fs::remove_file(file.path()).unwrap();
    scene.do_ctl(&["resume", "--all"]);
    until_settled(&scene.store).await;
    assert_eq!(scene.told(), MENDED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_file_ends_what_is_under_way() {
    let data_dir = tempfile::tempdir().unwrap();
    let mut scene = scene("stop-file", "0s", &ALL_BUT_ACTUATOR).await;
    let proxy = Proxy::new(scene.example.path());
    let (docker, directory) = (proxy.url(), data_dir.path().to_str().unwrap());
    let arguments = ["--controllers", "actuator", "--docker", &docker, "--data-dir", directory];
    scene.daemons.push(Daemon::start(&scene.url, scene.example.path(), &arguments));
    proxy.set_trap(&["POST", "/start"], Hold::BeforeAnswer);
    scene.kill("processor");
    proxy.caught().await;
    // As a shell does it: the file is there before its words are.
    let file = data_dir.path().join("STOP");
    std::fs::write(&file, "").unwrap();
    until::<EmergencyStop>(&scene.store, "all", "there", |_| true).await;
    std::fs::write(&file, "smoke").unwrap();
    proxy.release();
    let run = scene.asked_for().await;
    let run = until::<ActionRun>(&scene.store, run.name(), "at its end", |r| phase(r).is_final()).await;
    let status = run.status.unwrap();
    assert_eq!(status.phase, ActionPhase::Interrupted, "{status:#?}");
    assert!(status.message.as_ref().unwrap().contains("smoke"), "{status:#?}");
    until::<EmergencyStop>(&scene.store, "all", "there", |s| s.spec.reason == "smoke").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_stops_a_host_whose_store_is_down() {
    let data_dir = tempfile::tempdir().unwrap();
    let nowhere = "http://127.0.0.1:9";
    let stop = ["--store", nowhere, "stop", "--all", "--reason", "smoke"];
    let said = wicapctl_with(&[("WICAP_DATA_DIR", data_dir.path())], &stop, "");
    assert!(said.code == 3 && said.err.contains("STOP is there"), "{said:?}");
    let file = std::fs::read_to_string(data_dir.path().join("STOP")).unwrap();
    assert!(file.starts_with("smoke (by "), "{file}");
    let said = wicapctl_with(&[("WICAP_DATA_DIR", &data_dir.path().join("none"))], &stop, "");
    assert!(said.code == 3 && !said.err.contains("STOP"), "{said:?}");
}
