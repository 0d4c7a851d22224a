//! The store goes away and comes back: every loop goes on in the same process, no stale object stays in a cache, none is missed.

mod support;

use std::time::{Duration, Instant};

use serde_json::json;
use support::docker::{EngineLog, docker};
use support::proxy::Proxy;
use support::server::Server;
use support::{Daemon, Example, apply, connect, until, until_settled};
use wicap::api::action::{ActionPhase, ActionRun};
use wicap::api::policy::ControlPolicy;
use wicap::api::session::{ControlSession, SessionPhase};
use wicap::api::soak::{SoakPhase, SoakRun, Verdict};
use wicap::api::stack::{ServiceState, ServiceStatus, WicapStack};
use wicap::api::{Time, condition, elapsed};
use wicap::store::{DeleteParams, ListParams};

/// How long the store is away: what the promise says, several times the life of a leader's lease.
const OUTAGE: Duration = Duration::from_secs(30);

fn available(stack: &WicapStack) -> bool {
    let status = stack.status.as_ref();
    status.is_some_and(|s| condition::get(&s.conditions, condition::AVAILABLE).is_some_and(|c| c.status == "True"))
}

fn service<'a>(stack: &'a WicapStack, name: &str) -> Option<&'a ServiceStatus> {
    stack.status.as_ref()?.services.iter().find(|s| s.name == name)
}

fn phase(session: &ControlSession) -> SessionPhase {
    session.status.as_ref().map_or(SessionPhase::Pending, |s| s.phase)
}

fn expires(session: &ControlSession) -> Time {
    session.status.as_ref().unwrap().expires_at.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_away_for_half_a_minute_costs_nothing_but_the_time() {
    let mut server = Server::start().await;
    let example = Example::new("outage");
    let url = server.url();
    let log = EngineLog::of(&example);
    let mut daemon = Daemon::start(&url, example.path(), &[]);
    let pid = daemon.pid();
    let store = connect(&url).await;
    apply(&url, &[example.stack(|_| {}), example.policy(), example.session("night", "Assist")]);
    until_settled(&store).await;
    // Stacks of a host that nobody serves, for sessions of their own.
    let elsewhere = |name: &str| {
        example.stack(|s| {
            s["metadata"]["name"] = json!(name);
            s["spec"]["host"] = json!("elsewhere");
        })
    };
    let session = |name: &str, stack: &str, ttl: &str| {
        let mut session = example.session(name, "Assist");
        session["spec"]["stack"] = json!(stack);
        session["spec"]["ttl"] = json!(ttl);
        session
    };
    apply(&url, &[elsewhere("early"), elsewhere("late"), example.soak(50)]);
    apply(&url, &[session("early", "early", "15s"), session("late", "late", "50s")]);
    let early = until::<ControlSession>(&store, "early", "Active", |s| phase(s) == SessionPhase::Active).await;
    let late = until::<ControlSession>(&store, "late", "Active", |s| phase(s) == SessionPhase::Active).await;
    let is_soaking = |s: &SoakRun| s.status.as_ref().is_some_and(|s| s.phase == SoakPhase::Soaking);
    let soaking = until::<SoakRun>(&store, "soak", "Soaking", is_soaking).await;
    let since = soaking.status.unwrap().soaking_since.unwrap();

    server.stop();
    docker(&["kill", &example.container("processor")]);
    tokio::time::sleep(OUTAGE).await;
    log.settle(&example, "ui");
    assert_eq!(log.count("start", "processor"), 1, "nothing is done without a store: {:?}", log.changes());
    assert!(daemon.is_running());
    let (back, back_at) = (Instant::now(), Time::now());
    assert!(back_at > expires(&early) && back_at < expires(&late), "the test was too slow to say anything");
    server.resume().await;

    // What is stored says Available until somebody looks again.
    until::<WicapStack>(&store, "wicap", "mended", |s| {
        available(s) && service(s, "processor").and_then(|p| p.started_at).is_some_and(|at| at > back_at)
    })
    .await;
    println!("mended {:?} after the store came back", back.elapsed());
    let early = until::<ControlSession>(&store, "early", "Expired", |s| phase(s) == SessionPhase::Expired).await;
    assert_eq!(elapsed(early.status.as_ref().unwrap().started_at.unwrap(), expires(&early)), Duration::from_secs(15));
    until::<ControlSession>(&store, "late", "Expired", |s| phase(s) == SessionPhase::Expired).await;
    let lateness = elapsed(expires(&late), Time::now());
    assert!(Time::now() >= expires(&late) && lateness < Duration::from_secs(5), "it expired {lateness:?} late");

    let soak =
        until::<SoakRun>(&store, "soak", "Completed", |s| s.status.as_ref().is_some_and(|s| s.verdict.is_some())).await;
    let status = soak.status.unwrap();
    assert_eq!(status.verdict, Some(Verdict::Passed), "{:?}", status.reasons);
    assert_eq!(status.soaking_since, Some(since), "it goes on with the clock it had");
    let took = elapsed(since, status.finished_at.unwrap());
    assert!(took >= Duration::from_secs(50) && took < Duration::from_secs(55), "it took {took:?}");
    let check = &status.checks[0];
    assert_eq!(check.failed, 0, "{check:?}");
    assert!(check.missed > 0 && check.passed > 0, "{check:?}");
    assert_eq!(check.passed + check.missed, 51, "each check is accounted for: {check:?}");
    println!("of 51 checks {} passed and {} were missed; expired {lateness:?} late", check.passed, check.missed);

    let runs = store.api::<ActionRun>().list(&ListParams::default()).await.unwrap().items;
    let on_processor: Vec<_> = runs.iter().filter(|r| r.spec.target == "processor").collect();
    assert_eq!(on_processor.len(), 1, "{on_processor:#?}");
    assert_eq!(on_processor[0].status.as_ref().unwrap().phase, ActionPhase::Succeeded);
    log.settle(&example, "ui");
    assert_eq!(log.count("start", "processor"), 2, "{:?}", log.changes());
    assert!(daemon.is_running());
    assert_eq!(daemon.pid(), pid);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_and_compacted_while_a_process_was_cut_off_is_what_it_acts_on() {
    let server = Server::start().await;
    let example = Example::new("compacted");
    let url = server.url();
    let proxy = Proxy::before(&url).await;
    let log = EngineLog::of(&example);
    let mut daemon = Daemon::start(&proxy.url(), example.path(), &[]);
    let store = connect(&url).await;
    apply(&url, &[example.stack(|_| {}), example.policy(), example.session("night", "Assist")]);
    until_settled(&store).await;
    let leader = |client: etcd_client::Client| async move {
        let mut client = client;
        client.get("/wicap.dev/leader/planner", None).await.unwrap().kvs()[0].create_revision()
    };
    let led = leader(server.client().await).await;

    // For less than a lease lives: the leaders keep leading, with the caches they have.
    proxy.cut();
    let cut = Instant::now();
    store.api::<ControlSession>().delete("night", &DeleteParams::default()).await.unwrap();
    store.api::<ControlPolicy>().delete("all", &DeleteParams::default()).await.unwrap();
    docker(&["kill", &example.container("processor")]);
    apply(
        &url,
        &[example.stack(|s| {
            s["metadata"]["name"] = json!("other");
            s["spec"]["compose"]["project"] = json!(format!("{}-other", example.project));
        })],
    );
    server.compact().await;
    proxy.mend();
    let cut_for = cut.elapsed();

    let is_blocked = |stack: &WicapStack| {
        let gate = stack.status.as_ref().and_then(|s| s.blocked_by.as_ref()).map(|b| b.gate.clone());
        service(stack, "processor").is_some_and(|p| p.state == ServiceState::Exited) && gate.as_deref() == Some("session")
    };
    until::<WicapStack>(&store, "wicap", "blocked by its session", is_blocked).await;
    println!("cut for {cut_for:?}; blocked by the session {:?} after the cut", cut.elapsed());
    until::<WicapStack>(&store, "other", "observed and planned for", |s| {
        service(s, "processor").is_some_and(|p| p.state == ServiceState::Missing)
            && s.status.as_ref().is_some_and(|s| s.blocked_by.is_some())
    })
    .await;
    let anew = daemon.logged().matches("history is gone; listing anew").count();
    assert!(anew > 0, "no watch was behind the compaction");
    assert_eq!(leader(server.client().await).await, led, "the leader was another, with caches of its own");
    log.settle(&example, "ui");
    assert_eq!(log.count("start", "processor"), 1, "{:?}", log.changes());
    let runs = store.api::<ActionRun>().list(&ListParams::default()).await.unwrap().items;
    // The planner's caches come back one by one, so it may have asked once more in the name of the session that was; the actuator
    // reads afresh.
    let phase_of = |r: &ActionRun| r.status.as_ref().map(|s| s.phase);
    let executed = |r: &&ActionRun| r.spec.target == "processor" && phase_of(r) != Some(ActionPhase::Denied);
    assert_eq!(runs.iter().find(executed), None);

    // With a permission it is mended: the loops are well.
    apply(&url, &[example.policy(), example.session("morning", "Assist")]);
    until::<WicapStack>(&store, "wicap", "mended", available).await;
    log.settle(&example, "ui");
    assert_eq!(log.count("start", "processor"), 2, "{:?}", log.changes());
    assert!(daemon.is_running());
}
