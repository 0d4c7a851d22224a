//! `wicapctl soak`: a run and its session are started together or not at all, and only what has passed is promoted.

mod support;

use serde_json::{Value, json};
use support::server::Server;
use support::{apply, connect, wicapctl};
use wicap::api::action::{ActionKind, Tier};
use wicap::api::session::{ControlSession, Mode};
use wicap::api::soak::{SoakPhase, SoakRun, SoakRunStatus, Verdict};
use wicap::store::ListParams;

fn stack() -> Value {
    json!({
        "apiVersion": "wicap.dev/v1alpha1", "kind": "WicapStack", "metadata": {"name": "wicap"},
        "spec": {
            "compose": {"project": "wicap", "directory": "/srv/wicap"},
            "services": [{"name": "ui", "recovery": {"ladder": [{"action": "restart_service"}]}}],
            "jobs": [{"name": "e2e", "image": "wicap-e2e:7", "junit": "/out/junit.xml"}],
        },
    })
}

fn run(name: &str, more: Value) -> Value {
    let mut spec = json!({
        "stack": "wicap", "duration": "1h", "phases": {"startup": {}},
        "checks": [{"name": "page", "period": "1m", "httpGet": {"port": 8080}},
                   {"name": "suite", "period": "30m", "timeout": "5m", "job": "e2e"}],
    });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"apiVersion": "wicap.dev/v1alpha1", "kind": "SoakRun", "metadata": {"name": name}, "spec": spec})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_and_the_session_that_it_needs_are_started_together_or_not_at_all() {
    let server = Server::start().await;
    let url = server.url();
    let store = connect(&url).await;
    let start =
        |document: &Value| wicapctl(&url, &["soak", "start", "-f", "-", "--reason", "tonight"], &document.to_string());

    let said = start(&run("night", json!({})));
    assert_eq!((said.code, said.out.as_str()), (1, ""), "there is no stack: {said:?}");
    apply(&url, &[stack()]);
    for (document, code, why) in [
        (
            run("night", json!({"session": "mine"})),
            4,
            "spec.session: found \"mine\", expected none: one is opened for the run",
        ),
        (
            run("night", json!({"duration": "192h"})),
            4,
            "spec.duration: found \"192h\", expected a run that is over within \"168h\"",
        ),
        (run("night", json!({"checks": []})), 4, "spec.checks: found an empty list"),
        (stack(), 4, "found a WicapStack, expected a SoakRun"),
    ] {
        let said = start(&document);
        assert!(said.code == code && said.err.contains(why) && said.out.is_empty(), "{said:?}");
    }
    let everything = ListParams::default();
    assert!(store.api::<ControlSession>().list(&everything).await.unwrap().items.is_empty());

    let said = start(&run("night", json!({})));
    assert_eq!(said.code, 0, "{said:?}");
    let expected = "controlsession.wicap.dev/night created: for 1h29m it permits restart_service, compose_up, run_job\n\
                    soakrun.wicap.dev/night created\n";
    assert_eq!(said.out, expected);
    let session = store.api::<ControlSession>().get("night").await.unwrap();
    let spec = &session.spec;
    assert_eq!(spec.allowed_actions, [ActionKind::RestartService, ActionKind::ComposeUp, ActionKind::RunJob]);
    assert_eq!((spec.mode, spec.max_tier, spec.reason.as_str()), (Mode::Assist, Tier::Caution, "tonight"));
    assert!(spec.operator.contains('@'));
    let run_made = store.api::<SoakRun>().get("night").await.unwrap();
    assert_eq!(run_made.spec.session.as_deref(), Some("night"));

    // Neither a run of a name that is taken, nor a second session of a stack, leaves anything.
    let said = start(&run("other", json!({})));
    assert!(said.code == 1 && said.err.contains("controlsession.wicap.dev/night is open for the stack wicap"), "{said:?}");
    let said = wicapctl(&url, &["delete", "session", "night"], "");
    assert_eq!(said.code, 0, "{said:?}");
    let said = start(&run("night", json!({})));
    assert_eq!(said.code, 4, "{said:?}");
    assert!(store.api::<ControlSession>().list(&everything).await.unwrap().items.is_empty());
    assert_eq!(store.api::<SoakRun>().list(&everything).await.unwrap().items.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_has_passed_is_promoted() {
    let server = Server::start().await;
    let url = server.url();
    let store = connect(&url).await;
    let plain = json!({"checks": [{"name": "page", "period": "1m", "httpGet": {"port": 8080}}], "phases": {}});
    apply(&url, &[run("night", plain)]);
    let promote = || wicapctl(&url, &["soak", "promote", "night"], "");
    for (verdict, code, word) in [
        (None, 1, "has no verdict yet: only a run that has passed can be a baseline"),
        (Some(Verdict::Failed), 1, "has the verdict Failed: only a run that has passed can be a baseline"),
        (Some(Verdict::Passed), 0, "promoted"),
        (Some(Verdict::Passed), 0, "unchanged"),
    ] {
        let runs = store.api::<SoakRun>();
        let mut run = runs.get("night").await.unwrap();
        run.status = Some(SoakRunStatus { phase: SoakPhase::Completed, verdict, ..SoakRunStatus::default() });
        runs.replace_status(&run, None).await.unwrap();
        let said = promote();
        assert!(said.code == code && (said.out + &said.err).contains(word), "{verdict:?}");
    }
    assert!(store.api::<SoakRun>().get("night").await.unwrap().spec.promoted);
}
