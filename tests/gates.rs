//! No action without a session: what is wrong is seen, what would be done is said, and nothing is done.

mod support;

use support::docker::{EngineLog, docker};
use support::server::Server;
use support::{Daemon, Example, PATIENCE, action_runs, apply, available, blocked_by, connect, planned, until};
use wicap::api::reason;
use wicap::api::stack::{DriftKind, ServiceState, WicapStack};
use wicap::plan::authorise::SESSION;
use wicap::store::Store;

/// A way to hurt a service, and what must be said about it.
struct Hurt {
    service: &'static str,
    how: &'static [&'static str],
    undo: &'static [&'static str],
    /// What the engine tells of both.
    told: &'static [&'static str],
    state: ServiceState,
    kind: DriftKind,
    planned: &'static str,
}

/// Where a service's container is named in a command, this stands for it.
const IT: &str = "IT";

const HURTS: [Hurt; 5] = [
    Hurt {
        service: "processor",
        how: &["kill", IT],
        undo: &["start", IT],
        told: &["kill processor", "die processor", "start processor"],
        state: ServiceState::Exited,
        kind: DriftKind::NotRunning,
        planned: "start_service processor",
    },
    Hurt {
        service: "scout",
        // A busy machine may take longer than the stack's own grace, and then the engine tells of a second signal.
        how: &["stop", "--time", "60", IT],
        undo: &["start", IT],
        told: &["kill scout", "die scout", "stop scout", "start scout"],
        state: ServiceState::Exited,
        kind: DriftKind::NotRunning,
        planned: "start_service scout",
    },
    Hurt {
        service: "ui",
        how: &["pause", IT],
        undo: &["unpause", IT],
        told: &["pause ui", "unpause ui"],
        state: ServiceState::Paused,
        kind: DriftKind::Paused,
        planned: "restart_service ui",
    },
    Hurt {
        service: "ui",
        how: &["exec", IT, "wicap-sim", "tell", "unhealthy"],
        undo: &["exec", IT, "wicap-sim", "tell", "ok"],
        told: &[],
        state: ServiceState::Unhealthy,
        kind: DriftKind::Unhealthy,
        planned: "restart_service ui",
    },
    Hurt {
        service: "processor",
        how: &["rm", "--force", IT],
        // The end of the test undoes it.
        undo: &[],
        told: &["kill processor", "die processor", "destroy processor"],
        state: ServiceState::Missing,
        kind: DriftKind::Missing,
        planned: "compose_up processor",
    },
];

async fn nothing_is_done(name: &str, mode: Option<&str>, says: &str) {
    let server = Server::start().await;
    let example = Example::new(name);
    example.compose(&["up", "--detach", "redis", "scout", "processor", "ui"]);
    let url = server.url();
    let _daemon = Daemon::start(&url, example.path(), &[]);
    let store = connect(&url).await;
    apply(&url, &[example.stack(|_| {}), example.policy()]);
    if let Some(mode) = mode {
        apply(&url, &[example.session("night", mode)]);
    }
    let whole = |s: &WicapStack| {
        let running = |s: &wicap::api::stack::WicapStackStatus| s.services.iter().all(|s| s.state == ServiceState::Running);
        available(s) && s.status.as_ref().is_some_and(|s| running(s) && s.drift.is_empty())
    };
    until::<WicapStack>(&store, "wicap", "up", whole).await;
    let log = EngineLog::of(&example);
    let mut told: Vec<&str> = Vec::new();

    for hurt in &HURTS {
        let container = example.container(hurt.service);
        let run = |arguments: &[&str]| {
            let arguments: Vec<&str> = arguments.iter().map(|a| if *a == IT { container.as_str() } else { a }).collect();
            docker(&arguments);
        };
        run(hurt.how);
        let expected = [(hurt.service, hurt.kind)];
        let said = |s: &WicapStack| {
            let seen = s.status.iter().flat_map(|s| &s.drift).map(|d| (d.service.as_str(), d.kind));
            planned(s) == Some(hurt.planned) && blocked_by(s) == Some(SESSION) && seen.eq(expected)
        };
        let what = format!("{expected:?}, and blocked at {}", hurt.planned);
        let stack = until::<WicapStack>(&store, "wicap", &what, said).await;
        let status = stack.status.unwrap();
        assert_eq!(status.service(hurt.service).unwrap().state, hurt.state);
        let blocked = status.blocked_by.unwrap();
        assert!(blocked.message.contains(says), "{blocked:?}");
        if !hurt.undo.is_empty() {
            run(hurt.undo);
            until::<WicapStack>(&store, "wicap", "up again", whole).await;
        }
        told.extend_from_slice(hurt.told);
        log.settle(&example, "redis");
        assert_eq!(log.told(), told, "after {}", hurt.how.join(" "));
    }

    assert!(action_runs(&store).await.is_empty());
    let mut expected = Vec::new();
    for hurt in &HURTS {
        expected.push((reason::DRIFTED, format!("{} {:?} since", hurt.service, hurt.kind)));
        expected.push((reason::ACTION_BLOCKED, format!("{} is not done: {SESSION}: ", hurt.planned)));
    }
    until_told(&server, &store, &expected).await;
}

/// Waits until Events of the stack say all of that: an Event is written after the status that it tells of.
async fn until_told(server: &Server, store: &Store, expected: &[(&str, String)]) {
    let options = etcd_client::WatchOptions::new().with_prefix();
    let mut written = server.client().await.watch("/wicap.dev/events/", Some(options)).await.unwrap();
    let mut events = Vec::new();
    let waiting = async {
        loop {
            events = store.events_for("WicapStack", "wicap").await.unwrap();
            let told = |(reason, text): &(&str, String)| {
                let says = |message: &String| message.contains(text.as_str());
                events.iter().any(|e| e.reason.as_deref() == Some(*reason) && e.message.as_ref().is_some_and(says))
            };
            if expected.iter().all(told) {
                return;
            }
            written.message().await.unwrap();
        }
    };
    let done = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(done.is_ok(), "expected {expected:?}, found {events:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_mode_monitor_everything_is_told_and_nothing_is_done() {
    nothing_is_done("monitor", Some("Monitor"), "spec.mode is Monitor").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_session_everything_is_told_and_nothing_is_done() {
    nothing_is_done("no-session", None, "no ControlSession is in force").await;
}
