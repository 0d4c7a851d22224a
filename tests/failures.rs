//! Five ways in which WICAP really fails, each with the simulator's own fault, and what an operator would want done about it.
//!
//! What is printed is what `docs/recovery.md` shows: `cargo nextest run --test failures --no-capture`.

mod support;

use serde_json::{Value, json};
use support::docker::docker;
use support::server::Server;
use support::{Daemon, Example, action_runs, apply, available, connect, phase, until, until_settled, wicapctl};
use wicap::api::action::{ActionKind, ActionPhase, ActionRun};
use wicap::api::condition;
use wicap::api::incident::Incident;
use wicap::api::stack::{DriftKind, WicapStack};
use wicap::store::{ListParams, Store};

/// The example stack, with wicap over it.
struct Case {
    _daemon: Daemon,
    example: Example,
    store: Store,
    url: String,
    _server: Server,
}

impl Case {
    /// `environment` is what the compose file interpolates besides; `stack` edits the declaration. What is up is up without our help.
    async fn new(name: &str, environment: &str, stack: impl FnOnce(&mut Value, &Example)) -> Self {
        let server = Server::start().await;
        let example = Example::new(name);
        let file = example.path().join(".env");
        let given = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, given + environment).unwrap();
        example.compose(&["up", "--detach", "redis", "scout", "processor", "ui"]);
        let url = server.url();
        let daemon = Daemon::start_quietly(&url, example.path());
        let store = connect(&url).await;
        let declared = example.stack(|s| {
            // As fast as a test wants it, and a person is called for what does not help at once.
            s["spec"]["defaults"]["recovery"] = json!({
                "holdOff": "0s", "backoff": {"initial": "1s", "max": "1s"}, "resetAfter": "5m",
                "ladder": [
                    {"action": "start_service"}, {"action": "restart_service"}, {"action": "compose_up"}, {"action": "recreate_service"},
                ],
            });
            stack(s, &example);
        });
        apply(&url, &[declared, example.policy(), example.session("night", "Assist")]);
        Self { _daemon: daemon, example, store, url, _server: server }
    }

    async fn until(&self, what: &str, wanted: impl Fn(&WicapStack) -> bool) -> WicapStack {
        until(&self.store, "wicap", what, wanted).await
    }

    fn tell(&self, service: &str, fault: &[&str]) {
        docker(&[&["exec", &self.example.container(service), "wicap-sim", "tell"], fault].concat());
    }

    /// What was done, in the order in which it was claimed.
    async fn done(&self) -> Vec<ActionRun> {
        let mut runs = action_runs(&self.store).await;
        runs.sort_by_key(|r| r.status.as_ref().and_then(|s| s.started_at));
        runs
    }

    /// As an operator would look.
    fn show(&self, commands: &[&[&str]]) {
        for command in commands {
            let said = wicapctl(&self.url, command, "");
            println!("$ wicapctl {}\n{}", command.join(" "), said.out);
        }
    }

    /// What a person was called for, once; and nothing more is done.
    async fn called(&self, service: &str) -> Incident {
        let escalated = |s: &WicapStack| {
            let conditions = s.status.iter().flat_map(|s| &s.conditions);
            conditions.into_iter().any(|c| c.type_ == condition::ESCALATED && c.status == "True")
        };
        self.until("escalated", escalated).await;
        let done = self.done().await.len();
        // Long enough for what would be tried again: a backoff, and some observations.
        let later = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(12);
        let observed = |s: &WicapStack| s.status.as_ref().and_then(|s| s.observed_at).is_some_and(|at| at > later);
        self.until("looked at again", observed).await;
        assert_eq!(self.done().await.len(), done, "{service} is left alone");
        let mut incidents = self.store.api::<Incident>().list(&ListParams::default()).await.unwrap().items;
        // What its log says is told as well, and is another matter.
        incidents.retain(|i| i.spec.kind.drift().is_some());
        assert!(incidents.iter().all(|i| i.spec.service == service), "{incidents:#?}");
        // What goes on dying under the engine's own policy comes to flap in time, and that is another matter.
        incidents.sort_by_key(|i| i.spec.kind == DriftKind::Flapping);
        assert!(
            incidents.iter().skip(1).all(|i| i.spec.kind == DriftKind::Flapping) && incidents.len() <= 2,
            "{incidents:#?}"
        );
        incidents.remove(0)
    }
}

/// The probes of a service of the declaration.
fn probe(stack: &mut Value, service: &str, probe: Value) {
    let services = stack["spec"]["services"].as_array_mut().unwrap();
    let service = services.iter_mut().find(|s| s["name"] == service).unwrap();
    match service["probes"].as_array_mut() {
        Some(probes) => probes.push(probe),
        None => service["probes"] = json!([probe]),
    }
}

/// A question to the dashboard's own status page.
fn status_says(name: &str, port: u16, expectation: Value, failures: u32) -> Value {
    json!({
        "name": name, "period": "1s", "timeout": "1s", "failureThreshold": failures,
        "httpGet": {"port": port, "path": "/api/system/status", "expect": {"json": [expectation]}},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dashboard_that_eats_memory_is_restarted_before_its_pages_fail() {
    let case = Case::new("leak", "", |s, example| {
        let bound = json!({"pointer": "/ui_memory/rss_mib", "lessThan": 150});
        probe(s, "ui", status_says("memory", example.ui_port, bound, 2));
    })
    .await;
    case.until("Available", available).await;
    case.tell("ui", &["leak", "100"]);
    case.until("unavailable", |s| !available(s)).await;
    until_settled(&case.store).await;
    let done = case.done().await;
    assert_eq!(done.iter().map(|r| r.spec.action).collect::<Vec<_>>(), [ActionKind::RestartService]);
    assert_eq!(phase(&done[0]), ActionPhase::Succeeded);
    let cause = &done[0].spec.cause.summary;
    assert!(cause.contains("/ui_memory/rss_mib") && cause.contains("150"), "{cause}");
    case.show(&[&["get", "actions"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_pid_file_ends_in_one_call_for_a_person() {
    let case = Case::new("pid", "WICAP_SCOUT_PID_FILE=/queue/scout.pid\n", |_, _| {}).await;
    case.until("Available", available).await;
    docker(&["kill", &case.example.container("scout")]);
    let incident = case.called("scout").await;
    let done = case.done().await;
    assert!((2..=4).contains(&done.len()), "{done:#?}");
    assert!(done.iter().all(|r| r.spec.target == "scout"), "nobody else is touched");
    let stack = case.until("there", |_| true).await;
    assert!(available(&stack), "the scout is not critical");
    println!("{}", incident.status.and_then(|s| s.evidence).unwrap_or_default());
    case.show(&[&["get", "actions"], &["get", "incidents"], &["describe", "stack", "wicap"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_processor_that_has_fallen_back_to_its_file_is_brought_back_to_the_queue() {
    let case = Case::new("queue", "WICAP_QUEUE_RETRY_SECONDS=0\n", |s, example| {
        let bound = json!({"pointer": "/queue_mode", "equals": "redis"});
        probe(s, "processor", status_says("queue", example.ui_port, bound, 2));
    })
    .await;
    case.until("Available", available).await;
    docker(&["kill", &case.example.container("redis")]);
    let mended = |s: &WicapStack| {
        let last = |name: &str| {
            let recovery = s.status.iter().flat_map(|s| &s.recovery).find(|r| r.service == name);
            recovery.is_some_and(|r| r.last_action.is_some())
        };
        available(s) && last("redis") && last("processor")
    };
    case.until("both mended", mended).await;
    until_settled(&case.store).await;
    let done = case.done().await;
    let told: Vec<_> = done.iter().map(|r| (r.spec.action, r.spec.target.as_str())).collect();
    assert_eq!(told, [(ActionKind::StartService, "redis"), (ActionKind::RestartService, "processor")]);
    assert!(done[1].spec.cause.summary.contains("/queue_mode"), "{}", done[1].spec.cause.summary);
    case.show(&[&["get", "actions"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dashboard_that_refuses_what_is_pushed_to_it_is_found_by_the_age_of_its_data() {
    let case = Case::new("push", "", |s, example| {
        let bound = json!({"pointer": "/last_insert_age_sec", "lessThan": 5});
        probe(s, "ui", status_says("data-flows", example.ui_port, bound, 4));
    })
    .await;
    case.until("Available", available).await;
    case.tell("ui", &["push-403"]);
    case.until("unavailable", |s| !available(s)).await;
    until_settled(&case.store).await;
    let done = case.done().await;
    assert_eq!(done.iter().map(|r| r.spec.action).collect::<Vec<_>>(), [ActionKind::RestartService]);
    assert_eq!(phase(&done[0]), ActionPhase::Succeeded);
    assert!(done[0].spec.cause.summary.contains("/last_insert_age_sec"), "{}", done[0].spec.cause.summary);
    case.show(&[&["get", "actions"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_down_while_the_dashboard_says_200_ends_in_one_call_for_a_person() {
    let case = Case::new("sql", "WICAP_UI_FAULT=sql-down\n", |_, _| {}).await;
    let incident = case.called("ui").await;
    let done = case.done().await;
    let told: Vec<_> = done.iter().map(|r| (r.spec.action, r.spec.target.as_str())).collect();
    assert_eq!(told, [(ActionKind::RestartService, "ui"), (ActionKind::RecreateService, "ui")]);
    assert!(done.iter().all(|r| phase(r) == ActionPhase::Failed), "it ran again each time, and did not serve: {done:#?}");
    let evidence = incident.status.and_then(|s| s.evidence).unwrap_or_default();
    assert!(evidence.contains("GET /api/stats answers 503"), "{evidence}");
    case.show(&[&["get", "actions"], &["get", "incidents"]]);
}
