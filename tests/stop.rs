//! Stop means stop: once an EmergencyStop is committed, no action starts until it is gone.

mod support;

use support::docker::{EngineLog, Hold, Proxy, docker};
use support::server::Server;
use support::{
    Daemon, Example, action_runs, apply, available, blocked_by, connect, phase, planned, until, until_settled, wicapctl,
};
use wicap::api::action::{ActionPhase, ActionRun};
use wicap::api::stack::WicapStack;
use wicap::plan::authorise::EMERGENCY_STOP;
use wicap::store::Store;

/// Every controller but the one that acts.
const ALL_BUT_ACTUATOR: [&str; 2] = ["--controllers", "observer,planner,session,soak,gc"];

/// The example stack, up without any help of ours, so that whatever the engine tells later has its cause in the test.
struct Scene {
    daemons: Vec<Daemon>,
    log: EngineLog,
    example: Example,
    store: Store,
    url: String,
    _server: Server,
}

impl Scene {
    async fn new(name: &str, hold_off: &str, controllers: &[&str]) -> Self {
        let server = Server::start().await;
        let example = Example::new(name);
        example.compose(&["up", "--detach", "redis", "scout", "processor", "ui"]);
        let url = server.url();
        let daemons = vec![Daemon::start(&url, example.path(), controllers)];
        let store = connect(&url).await;
        let stack = example.stack(|s| s["spec"]["defaults"]["recovery"]["holdOff"] = hold_off.into());
        apply(&url, &[stack, example.policy(), example.session("night", "Assist")]);
        until::<WicapStack>(&store, "wicap", "Available", available).await;
        let log = EngineLog::of(&example);
        Self { daemons, log, example, store, url, _server: server }
    }

    fn kill(&self, service: &str) {
        docker(&["kill", &self.example.container(service)]);
    }

    fn ctl(&self, arguments: &[&str]) {
        let said = wicapctl(&self.url, arguments, "");
        assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
    }

    async fn until(&self, what: &str, wanted: impl Fn(&WicapStack) -> bool) -> WicapStack {
        until(&self.store, "wicap", what, wanted).await
    }

    /// What the engine has told so far, with all that happened before now.
    fn told(&self) -> Vec<String> {
        self.log.settle(&self.example, "ui");
        self.log.told()
    }

    /// The one ActionRun that the planner asked for.
    async fn asked_for(&self) -> ActionRun {
        let asked = |s: &WicapStack| s.status.as_ref().is_some_and(|s| s.recovery.iter().any(|r| r.last_action.is_some()));
        self.until("being mended", asked).await;
        let mut runs = action_runs(&self.store).await;
        assert_eq!(runs.len(), 1, "{runs:#?}");
        runs.remove(0)
    }
}

const KILLED: [&str; 2] = ["kill processor", "die processor"];
const MENDED: [&str; 3] = ["kill processor", "die processor", "start processor"];

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_of_everything_holds_a_recovery_that_is_pending_until_it_is_resumed() {
    let scene = Scene::new("stop-all", "5s", &[]).await;
    scene.kill("processor");
    let waiting = |s: &WicapStack| planned(s) == Some("start_service processor") && blocked_by(s).is_none();
    scene.until("about to be mended", waiting).await;

    scene.ctl(&["stop", "--all", "--reason", "x"]);
    let stack = scene.until("blocked by the stop", |s| blocked_by(s) == Some(EMERGENCY_STOP)).await;
    let status = stack.status.unwrap();
    let drifted = status.drift.iter().find(|d| d.service == "processor").unwrap().since;
    let held = jiff::Timestamp::now().duration_since(drifted);
    assert!(held.as_secs() >= 5, "blocked {held:?} after the drift began, before the hold-off was over");
    assert_eq!(scene.told(), KILLED);
    assert!(action_runs(&scene.store).await.is_empty());

    scene.ctl(&["resume", "--all"]);
    until_settled(&scene.store).await;
    assert_eq!(scene.told(), MENDED);
    assert_eq!(action_runs(&scene.store).await.iter().map(phase).collect::<Vec<_>>(), [ActionPhase::Succeeded]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_holds_for_the_stack_it_is_named_for_and_for_no_other() {
    let scene = Scene::new("stop-one", "0s", &[]).await;
    scene.ctl(&["stop", "another", "--reason", "x"]);
    scene.kill("processor");
    scene.until("unavailable", |s| !available(s)).await;
    scene.until("Available", available).await;
    assert_eq!(scene.told(), MENDED);

    scene.ctl(&["stop", "wicap", "--reason", "x"]);
    scene.kill("scout");
    let stack = scene.until("blocked by the stop", |s| blocked_by(s) == Some(EMERGENCY_STOP)).await;
    assert_eq!(planned(&stack), Some("start_service scout"));
    assert_eq!(scene.told(), [&MENDED[..], &["kill scout", "die scout"]].concat());
    assert_eq!(action_runs(&scene.store).await.len(), 1);

    scene.ctl(&["resume", "wicap"]);
    let ready = |s: &WicapStack| s.status.as_ref().is_some_and(|s| s.ready.as_deref() == Some("4/4"));
    scene.until("whole", ready).await;
    assert_eq!(scene.told(), [&MENDED[..], &["kill scout", "die scout", "start scout"]].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_that_was_asked_for_before_a_stop_is_denied_after_it() {
    let mut scene = Scene::new("stop-pending", "0s", &ALL_BUT_ACTUATOR).await;
    scene.kill("processor");
    let run = scene.asked_for().await;
    assert_eq!(phase(&run), ActionPhase::Pending);

    scene.ctl(&["stop", "--all", "--reason", "x"]);
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
    let mut scene = Scene::new("stop-claim", "0s", &ALL_BUT_ACTUATOR).await;
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

    scene.ctl(&["stop", "wicap", "--reason", "x"]);
    proxy.release();
    let name = run.metadata.name.unwrap();
    let run = until::<ActionRun>(&scene.store, &name, "at its end", |r| phase(r).is_final()).await;
    let status = run.status.unwrap();
    assert_eq!(status.phase, ActionPhase::Denied, "{status:#?}");
    assert_eq!(status.decision.unwrap().denied_by.as_deref(), Some(EMERGENCY_STOP));
    assert_eq!(scene.told(), KILLED);
}
