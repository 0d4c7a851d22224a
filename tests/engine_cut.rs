//! Unknown is not down: while the engine cannot be asked, nothing is claimed about the services and nothing is done.

mod support;

use std::time::{Duration, Instant};

use support::docker::{EngineLog, Proxy, docker};
use support::server::Server;
use support::{Daemon, Example, action_runs, apply, available, connect, phase, until, until_settled, until_within};
use wicap::api::action::ActionPhase;
use wicap::api::reason;
use wicap::api::stack::{ServiceState, WicapStack};

/// The promise: an engine that went silent is noticed within this.
const NOTICED: Duration = Duration::from_secs(15);

fn states(stack: &WicapStack) -> Vec<ServiceState> {
    stack.status.iter().flat_map(|s| &s.services).map(|s| s.state).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_from_the_engine_makes_services_unknown_and_nothing_is_done_until_it_ends() {
    let server = Server::start().await;
    let example = Example::new("cut");
    let proxy = Proxy::new(example.path());
    let url = server.url();
    let store = connect(&url).await;
    let _near = Daemon::start(&url, example.path(), &["--controllers", "observer,actuator", "--docker", &proxy.url()]);
    let _far = Daemon::start(&url, example.path(), &["--controllers", "planner,session,soak,gc"]);
    apply(&url, &[example.stack(|_| {}), example.policy(), example.session("night", "Assist")]);
    until_settled(&store).await;
    let before = action_runs(&store).await.len();
    let log = EngineLog::of(&example);

    let cut = Instant::now();
    proxy.cut();
    docker(&["kill", &example.container("processor")]);
    let unknown = |s: &WicapStack| states(s) == [ServiceState::Unknown; 4];
    let stack = until_within::<WicapStack>(&store, "wicap", "Unknown", NOTICED, unknown).await;
    let noticed = cut.elapsed();
    assert!(noticed <= NOTICED, "{noticed:?}");
    assert!(!available(&stack));
    // A second fault, of which nothing can be known either; and the planner's word about what it knows.
    // A busy machine may take longer than the stack's own grace, and then the engine tells of a second signal.
    docker(&["stop", "--time", "60", &example.container("scout")]);
    let calm =
        |s: &WicapStack| unknown(s) && s.status.as_ref().is_some_and(|s| s.drift.is_empty() && s.planned_action.is_none());
    until::<WicapStack>(&store, "wicap", "Unknown and left alone", calm).await;
    log.settle(&example, "ui");
    let by_hand = ["kill processor", "die processor", "kill scout", "die scout", "stop scout"];
    assert_eq!(log.told(), by_hand);
    assert_eq!(action_runs(&store).await.len(), before);
    let events = store.events_for("WicapStack", "wicap").await.unwrap();
    assert!(events.iter().any(|e| e.reason.as_deref() == Some(reason::ENGINE_SILENT)), "{events:#?}");

    proxy.mend();
    let whole = |s: &WicapStack| available(s) && states(s) == [ServiceState::Running; 4];
    until::<WicapStack>(&store, "wicap", "Running again", whole).await;
    log.settle(&example, "ui");
    let mut mends = log.told().split_off(by_hand.len());
    mends.sort();
    assert_eq!(mends, ["start processor", "start scout"]);
    let runs = action_runs(&store).await;
    assert_eq!(runs.len(), before + 2, "{runs:#?}");
    for run in &runs {
        until(&store, run.metadata.name.as_deref().unwrap(), "Succeeded", |r| phase(r) == ActionPhase::Succeeded).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_the_engine_does_not_answer_for_hides_no_other() {
    let server = Server::start().await;
    let example = Example::new("mute");
    let proxy = Proxy::new(example.path());
    let url = server.url();
    let store = connect(&url).await;
    let _daemon = Daemon::start(&url, example.path(), &["--docker", &proxy.url()]);
    apply(&url, &[example.stack(|_| {}), example.policy(), example.session("night", "Assist")]);
    until_settled(&store).await;
    let before = action_runs(&store).await.len();

    let ui = docker(&["inspect", "--format", "{{.Id}}", &example.container("ui")]);
    proxy.silence(Some(&format!("/containers/{}/json", ui.trim())));
    let is = |wanted: [ServiceState; 4]| move |s: &WicapStack| states(s) == wanted;
    let [running, unknown] = [ServiceState::Running, ServiceState::Unknown];
    let mute = until_within::<WicapStack>(&store, "wicap", "mute", NOTICED * 2, is([running, running, running, unknown]));
    let status = mute.await.status.unwrap();
    let said = status.service("ui").unwrap().message.clone().unwrap_or_default();
    assert!(said.contains("nothing is known of the container"), "{said}");

    // What happens to another is seen and mended all the same.
    let started = status.service("processor").unwrap().started_at;
    docker(&["kill", &example.container("processor")]);
    let mended = |s: &WicapStack| {
        is([running, running, running, unknown])(s)
            && s.status.as_ref().unwrap().service("processor").unwrap().started_at > started
    };
    until::<WicapStack>(&store, "wicap", "mended", mended).await;
    let runs = action_runs(&store).await;
    assert_eq!(runs.len(), before + 1, "{runs:#?}");

    proxy.silence(None);
    until_within::<WicapStack>(&store, "wicap", "whole", NOTICED * 2, is([running; 4])).await;
    assert_eq!(action_runs(&store).await.len(), before + 1);
}
