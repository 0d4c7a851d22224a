//! What a session permits is all that is done: what is only to be said, what a person has to agree to, what destroys data, what a
//! canary may try, and in which directory.

mod support;

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use support::docker::{Hold, Proxy, docker};
use support::scene::{ALL_BUT_ACTUATOR, KILLED, MENDED, Scene};
use support::server::Server;
use support::{Daemon, Example, action_runs, apply, connect, phase, until};
use wicap::api::Object;
use wicap::api::action::{ActionKind, ActionPhase, ActionRun};
use wicap::api::approval::Approval;
use wicap::api::elevation::Elevation;
use wicap::api::session::{ControlSession, SessionPhase};
use wicap::api::stack::WicapStack;
use wicap::plan::authorise::{APPROVAL, TIER};

/// The scene with that session.
async fn scene(name: &str, arguments: &[&str], session: impl FnOnce(&mut Value)) -> Scene {
    Scene::new(name, arguments, |_| {}, session).await
}

/// The only action there is, once it is in that phase.
async fn run_in(scene: &Scene, wanted: ActionPhase) -> ActionRun {
    let run = scene.asked_for().await;
    until::<ActionRun>(&scene.store, run.name(), &format!("{wanted:?}"), |r| phase(r) == wanted).await
}

async fn until_run(scene: &Scene, name: &str, wanted: ActionPhase) -> ActionRun {
    let there = |r: &ActionRun| phase(r).is_final() || phase(r) == wanted;
    until::<ActionRun>(&scene.store, name, &format!("{wanted:?}"), there).await
}

/// Asks for an action as a person does.
fn ask(scene: &Scene, name: &str, action: &str, target: &str) {
    let run = json!({
        "apiVersion": "wicap.dev/v1alpha1", "kind": "ActionRun", "metadata": {"name": name},
        "spec": {"stack": "wicap", "action": action, "target": target, "session": "night",
            "cause": {"kind": "Operator", "summary": "a test"}},
    });
    apply(&scene.url, &[run]);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_shadow_session_it_is_said_what_would_be_done_and_nothing_is() {
    let scene = scene("perm-shadow", &[], |s| s["mode"] = "Shadow".into()).await;
    scene.kill("processor");
    let status = run_in(&scene, ActionPhase::Shadowed).await.status.unwrap();
    let message = status.message.unwrap();
    assert!(message.contains("Shadow") && message.contains("POST /containers/") && message.ends_with("/start"), "{message}");
    let decision = status.decision.unwrap();
    assert!(decision.allowed && decision.shadow && status.steps.is_empty() && status.claim.is_none());
    let session = scene.store.api::<ControlSession>().get("night").await.unwrap();
    assert_eq!(session.status.unwrap().usage.actions, 0);
    assert_eq!(scene.told(), KILLED);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_has_to_agree_to_waits_for_him_and_for_nobody_else() {
    let scene = scene("perm-ask", &[], |s| s["approval"] = json!({"caution": "Ask", "timeout": "1h"})).await;
    scene.kill("processor");
    let run = run_in(&scene, ActionPhase::AwaitingApproval).await;
    let status = run.status.clone().unwrap();
    assert!(status.digest.is_some() && status.claim.is_none() && status.steps.is_empty());
    assert_eq!(scene.told(), KILLED);
    let explained = scene.ctl(&["policy", "explain", "--run", run.name(), "-o", "json"]);
    assert_eq!(explained.code, 1, "{explained:?}");
    let explained: Value = serde_json::from_str(&explained.out).unwrap();
    assert_eq!(explained["decision"]["deniedBy"], APPROVAL);
    let gate = explained["decision"]["trace"].as_array().unwrap().iter().find(|v| v["gate"] == APPROVAL).unwrap().clone();
    assert_eq!(gate["object"], "controlsession/night");
    assert_eq!(gate["field"], "spec.approval.caution");
    assert_eq!(gate["fix"], format!("wicapctl approve {}", run.name()));

    // The answer to another question is none.
    let other = json!({
        "apiVersion": "wicap.dev/v1alpha1", "kind": "Approval", "metadata": {"name": "another"},
        "spec": {"verdict": "Approve", "digest": status.digest, "by": "bob@host", "expires": "2100-01-01T00:00:00Z"},
    });
    apply(&scene.url, &[other]);
    let approved = scene.ctl(&["approve", run.name(), "--reason", "go on"]);
    assert_eq!(approved.code, 0, "{approved:?}");
    let answer = scene.store.api::<Approval>().get(run.name()).await.unwrap();
    assert_eq!(answer.metadata.owner_references.unwrap()[0].uid, run.metadata.uid.clone().unwrap());
    let ended = until_run(&scene, run.name(), ActionPhase::Succeeded).await;
    assert_eq!(phase(&ended), ActionPhase::Succeeded, "{ended:#?}");
    assert_eq!(scene.told(), MENDED);
    let again = scene.ctl(&["approve", run.name()]);
    assert_eq!(again.code, 4, "{again:?}");
    assert!(again.err.contains("waits for no answer"), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_and_no_answer_are_a_no() {
    let scene = scene("perm-no", &[], |s| s["approval"] = json!({"caution": "Ask", "timeout": "2s"})).await;
    scene.kill("processor");
    let late = run_in(&scene, ActionPhase::Denied).await.status.unwrap();
    assert!(late.message.as_ref().unwrap().contains("nobody had agreed by"), "{late:#?}");
    ask(&scene, "by-hand", "restart_service", "ui");
    let asked = until_run(&scene, "by-hand", ActionPhase::AwaitingApproval).await;
    assert_eq!(phase(&asked), ActionPhase::AwaitingApproval);
    let denied = scene.ctl(&["deny", "by-hand", "--reason", "not at night"]);
    assert_eq!(denied.code, 0, "{denied:?}");
    let ended = until_run(&scene, "by-hand", ActionPhase::Denied).await.status.unwrap();
    assert_eq!(ended.decision.unwrap().denied_by.as_deref(), Some(APPROVAL));
    assert!(ended.message.as_ref().unwrap().contains("not at night"), "{:?}", ended.message);
    assert_eq!(scene.told(), KILLED);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_destroys_data_is_done_once_for_an_elevation_of_one_use() {
    // Nothing but the actions of the test: the planner would bring the stack up again.
    let scene = scene("perm-elevation", &["--controllers", "observer,session,actuator"], |s| {
        s["maxTier"] = "Destructive".into();
        s["allowedActions"] = json!(["compose_down_volumes"]);
        s["approval"] = json!({"destructive": "Auto"});
    })
    .await;
    let volumes = || docker(&["volume", "ls", "--quiet", "--filter", &format!("name={}_", scene.example.project)]);
    assert!(!volumes().trim().is_empty());
    let mut policy = scene.example.policy();
    policy["spec"]["allow"] = json!([{"actions": ["*"]}]);
    apply(&scene.url, &[policy]);
    ask(&scene, "without", "compose_down_volumes", "");
    let denied = until_run(&scene, "without", ActionPhase::Denied).await.status.unwrap();
    assert_eq!(denied.decision.unwrap().denied_by.as_deref(), Some(TIER));
    assert!(scene.told().is_empty());

    let elevation = json!({
        "apiVersion": "wicap.dev/v1alpha1", "kind": "Elevation", "metadata": {"name": "reset"},
        "spec": {"session": "night", "action": "compose_down_volumes", "approver": "bob@host", "reason": "a test", "ttl": "1h"},
    });
    apply(&scene.url, &[elevation]);
    ask(&scene, "with", "compose_down_volumes", "");
    let done = until_run(&scene, "with", ActionPhase::Succeeded).await;
    assert_eq!(phase(&done), ActionPhase::Succeeded, "{done:#?}");
    let tier = done.status.unwrap().decision.unwrap().trace.into_iter().find(|v| v.gate == TIER).unwrap();
    assert_eq!(tier.object.as_deref(), Some("elevation/reset"));
    assert_eq!(volumes().trim(), "");
    let used = scene.store.api::<Elevation>().get("reset").await.unwrap();
    assert_eq!(used.uses(), 1);

    scene.example.compose(&["up", "--detach", "redis", "scout", "processor", "ui"]);
    ask(&scene, "again", "compose_down_volumes", "");
    let denied = until_run(&scene, "again", ActionPhase::Denied).await.status.unwrap();
    assert!(denied.message.as_ref().unwrap().contains("all 1 of spec.maxUses are used"), "{:?}", denied.message);
    assert!(!volumes().trim().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_takes_what_it_lists_and_is_over_when_a_rule_says_so() {
    let scene = scene("perm-canary", &[], |s| {
        s["mode"] = "Canary".into();
        s["canary"] = json!({"actions": ["start_service"], "stopRules": {"maxActions": 1}});
    })
    .await;
    scene.kill("processor");
    let run = run_in(&scene, ActionPhase::Succeeded).await;
    let stopped = |s: &ControlSession| s.status.as_ref().is_some_and(|s| s.phase == SessionPhase::Stopped);
    let session = until::<ControlSession>(&scene.store, "night", "Stopped", stopped).await;
    let message = session.status.unwrap().message.unwrap();
    assert_eq!(message, "spec.canary.stopRules.maxActions: 1 of 1 actions were claimed");
    scene.kill("scout");
    let blocked = |s: &WicapStack| s.status.as_ref().is_some_and(|s| s.blocked_by.is_some());
    until::<WicapStack>(&scene.store, "wicap", "blocked", blocked).await;
    assert_eq!(scene.told(), [&MENDED[..], &["kill scout", "die scout"]].concat());
    assert_eq!(action_runs(&scene.store).await.iter().map(Object::name).collect::<Vec<_>>(), [run.name()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_an_action_at_its_next_step_and_it_says_what_was_done() {
    let scene = scene("perm-stop", &ALL_BUT_ACTUATOR, |_| {}).await;
    let proxy = Proxy::new(scene.example.path());
    let arguments = ["--controllers", "actuator", "--docker", &proxy.url()];
    let _actuator = Daemon::start(&scene.url, scene.example.path(), &arguments);
    // The call has been made, and its answer is held.
    proxy.set_trap(&["POST", "/start"], Hold::BeforeAnswer);
    scene.kill("processor");
    proxy.caught().await;
    assert_eq!(scene.ctl(&["stop", "wicap", "--reason", "smoke"]).code, 0);
    proxy.release();
    let run = run_in(&scene, ActionPhase::Interrupted).await.status.unwrap();
    let message = run.message.unwrap();
    assert!(message.starts_with("it was executed") && message.contains("smoke"), "{message}");
    assert_eq!(run.steps.len(), 2, "{:#?}", run.steps);
    assert!(run.steps[0].finished_at.is_some() && run.verification.is_none());
}

/// A `docker` that has the stack's directory lead elsewhere once `up` has done all that it was to do.
const SWAPPER: &str = r#"#!/bin/sh
PATH=${PATH#*:}
docker "$@"
code=$?
case " $* " in *" up "*) ln -sfn elsewhere "$(dirname "$0")/../current" ;; esac
exit $code
"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_action_whose_directory_was_replaced_meanwhile_has_failed_however_well_its_services_are() {
    let server = Server::start().await;
    let example = Example::new("perm-swapped");
    let (bin, current) = (example.path().join("bin"), example.path().join("current"));
    std::fs::create_dir(&bin).unwrap();
    std::fs::create_dir(example.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(".", &current).unwrap();
    std::fs::write(bin.join("docker"), SWAPPER).unwrap();
    std::fs::set_permissions(bin.join("docker"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let url = server.url();
    let _daemon = Daemon::start_with(&[("PATH", path.as_ref())], &url, example.path(), &[]);
    let store = connect(&url).await;
    let stack = example.stack(|s| s["spec"]["compose"]["directory"] = json!(current));
    apply(&url, &[stack, example.policy(), example.session("night", "Assist")]);
    let asked = |s: &WicapStack| s.status.as_ref().is_some_and(|s| s.recovery.iter().any(|r| r.last_action.is_some()));
    until::<WicapStack>(&store, "wicap", "being brought up", asked).await;
    let run = action_runs(&store).await.remove(0);
    let run = until::<ActionRun>(&store, run.name(), "its end", |r| phase(r).is_final()).await;
    assert_eq!(run.spec.action, ActionKind::ComposeUp);
    let message = run.status.clone().and_then(|s| s.message).unwrap_or_default();
    assert!(phase(&run) == ActionPhase::Failed && message.contains("was replaced while docker compose ran"), "{run:#?}");
    assert_eq!(example.compose(&["ps", "--quiet"]).lines().count(), 4, "everything was started");
}
