//! Any process may die at any moment: every controller runs alone in its process, two of each, and whoever leads is killed
//! between the claim of an action and its result.
//!
//! Only the actuators talk to the engine through the proxy, so a call that it holds is one of theirs:
//!
//! ```text
//!  look ─▶ claim, Execute recorded ─▶ call ─▶ Verify recorded ─▶ look ─▶ result
//!   ▲ BeforeClaim           Called ▲      ▲ Done           Verifying ▲
//! ```

mod support;

use std::time::Duration;

use etcd_client::{Client, EventType, WatchOptions};
use serde_json::json;
use support::docker::{EngineLog, Hold, Proxy, docker};
use support::server::Server;
use support::{Daemon, Example, PATIENCE, action_runs, apply, available, connect, phase, until, until_within};
use wicap::api::action::{ActionKind, ActionPhase, ActionRun, ActionRunSpec, Cause, CauseKind, Params, StepKind};
use wicap::api::soak::{SoakPhase, SoakRun};
use wicap::api::stack::WicapStack;
use wicap::store::Store;

const CONTROLLERS: [&str; 6] = ["observer", "planner", "actuator", "session", "soak", "gc"];

/// Where an action is when the call that follows is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Authorised, not claimed.
    BeforeClaim,
    /// On record as begun; the engine has not got the call.
    Called,
    /// The engine has done it, and nobody knows.
    Done,
    /// On record as executed, not verified.
    Verifying,
}

/// What becomes of a call whose caller has died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    /// It was on its way already.
    Arrives,
    /// It is lost with its caller.
    IsLost,
}

/// Two processes of each controller around one stack.
struct Cluster {
    daemons: Vec<(&'static str, Daemon)>,
    log: EngineLog,
    proxy: Proxy,
    example: Example,
    store: Store,
    client: Client,
    url: String,
    _server: Server,
}

impl Cluster {
    async fn start(name: &str, hold_off: &str) -> Self {
        let server = Server::start().await;
        let example = Example::new(name);
        let (url, proxy, log) = (server.url(), Proxy::new(example.path()), EngineLog::of(&example));
        let (store, client) = (connect(&url).await, server.client().await);
        let mut cluster = Self { daemons: Vec::new(), log, proxy, example, store, client, url, _server: server };
        for controller in CONTROLLERS.into_iter().chain(CONTROLLERS) {
            cluster.join(controller);
        }
        let stack = cluster.example.stack(|s| {
            s["spec"]["defaults"]["recovery"] = json!({
                "holdOff": hold_off, "backoff": {"initial": "1s", "max": "2s"},
                // Every case begins at the foot of the ladder.
                "resetAfter": "1s",
            });
        });
        apply(&cluster.url, &[stack, cluster.example.policy(), cluster.example.session("night", "Assist")]);
        apply(&cluster.url, &[cluster.example.soak(3600)]);
        cluster.mended().await;
        cluster
    }

    /// One more process of a controller.
    fn join(&mut self, controller: &'static str) {
        let proxy = self.proxy.url();
        let through_proxy = ["--docker", proxy.as_str()];
        let more = if controller == "actuator" { &through_proxy[..] } else { &[] };
        let arguments = [&["--controllers", controller], more].concat();
        self.daemons.push((controller, Daemon::start(&self.url, self.example.path(), &arguments)));
    }

    /// Identity of the process that leads, once one that lives does.
    async fn leader(&self, controller: &str) -> String {
        let of_host = matches!(controller, "observer" | "actuator" | "soak");
        let key = format!("/wicap.dev/leader/{controller}{}", if of_host { ".localhost" } else { "" });
        let mut client = self.client.clone();
        let held = client.get(key.as_str(), None).await.unwrap();
        let alive = |identity: &str| self.daemons.iter().any(|(_, d)| d.pid() == pid(identity));
        if let Some(holder) = held.kvs().first().map(|kv| kv.value_str().unwrap()).filter(|i| alive(i)) {
            return holder.to_owned();
        }
        let from = held.header().unwrap().revision() + 1;
        let mut changes = client.watch(key, Some(WatchOptions::new().with_start_revision(from))).await.unwrap();
        let elected = async {
            loop {
                let change = changes.message().await.unwrap().unwrap();
                for put in change.events().iter().filter(|e| e.event_type() == EventType::Put) {
                    let holder = put.kv().unwrap().value_str().unwrap();
                    if alive(holder) {
                        return holder.to_owned();
                    }
                }
            }
        };
        tokio::time::timeout(PATIENCE, elected).await.unwrap_or_else(|_| panic!("nobody leads the {controller}"))
    }

    /// SIGKILL for the process that leads. Another joins, so that there are two again.
    async fn kill_leader(&mut self, controller: &'static str) -> String {
        let identity = self.leader(controller).await;
        self.kill(&identity);
        self.join(controller);
        identity
    }

    fn kill(&mut self, identity: &str) {
        let index = self.daemons.iter().position(|(_, d)| d.pid() == pid(identity)).expect("the leader is one of ours");
        self.daemons.remove(index).1.kill();
    }

    /// Hurts, and waits until the action that mends has come that far. `verb` is the last part of the call that it makes.
    async fn come_to(&self, at: At, verb: &str, hurt: impl Future<Output = ()>) {
        let (look, call) = (["GET", "/containers/json"], ["POST", verb]);
        match at {
            At::BeforeClaim => self.proxy.set_trap(&look, Hold::BeforeRequest),
            At::Called | At::Verifying => self.proxy.set_trap(&call, Hold::BeforeRequest),
            At::Done => self.proxy.set_trap(&call, Hold::BeforeAnswer),
        }
        hurt.await;
        self.proxy.caught().await;
        if at == At::Verifying {
            self.proxy.release_and_trap(&look, Hold::BeforeRequest);
            self.proxy.caught().await;
        }
        let runs = action_runs(&self.store).await;
        let open: Vec<_> = runs.iter().filter(|r| !phase(r).is_final()).collect();
        assert_eq!(open.len(), 1, "{open:#?}");
        let status = open[0].status.clone().unwrap_or_default();
        let steps: Vec<_> = status.steps.iter().map(|s| s.kind).collect();
        let (recorded, expected) = match at {
            At::BeforeClaim => (ActionPhase::Pending, &[][..]),
            At::Called | At::Done => (ActionPhase::Running, &[StepKind::Execute][..]),
            At::Verifying => (ActionPhase::Running, &[StepKind::Execute, StepKind::Verify][..]),
        };
        assert_eq!((status.phase, &steps[..]), (recorded, expected), "{at:?}");
        if let Some(claim) = status.claim {
            assert_eq!(claim.holder, self.leader("actuator").await);
        }
    }

    fn kill_by_hand(&self, service: &str) {
        docker(&["kill", &self.example.container(service)]);
    }

    /// Waits until the stack is as desired and at rest, and every action has ended.
    async fn mended(&self) -> Vec<ActionRun> {
        let at_rest = |s: &WicapStack| {
            let rested = |s: &wicap::api::stack::WicapStackStatus| {
                s.drift.is_empty() && s.ready.as_deref() == Some("4/4") && s.recovery.iter().all(|r| r.total == 0)
            };
            available(s) && s.status.as_ref().is_some_and(rested)
        };
        // A start that was lost is waited for as long as it could still come: twice its timeout of 30 s.
        let patience = Duration::from_secs(60) + PATIENCE;
        loop {
            let known = action_runs(&self.store).await;
            for run in &known {
                let name = run.metadata.name.as_deref().unwrap();
                until_within::<ActionRun>(&self.store, name, "at its end", patience, |r| phase(r).is_final()).await;
            }
            until_within::<WicapStack>(&self.store, "wicap", "at rest", patience, at_rest).await;
            let runs = action_runs(&self.store).await;
            if runs.len() == known.len() {
                return runs;
            }
        }
    }

    /// Every start the engine tells of belongs to one action that is on record as executed, and no action has two.
    fn assert_nothing_was_done_twice(&self, runs: &[ActionRun]) {
        self.log.settle(&self.example, "ui");
        let executed: Vec<_> = runs.iter().filter(|r| r.status.as_ref().is_some_and(|s| !s.steps.is_empty())).collect();
        for action in ["create", "start"] {
            let happened: Vec<_> = self.log.changes().into_iter().filter(|h| h.action == action).collect();
            let mut owners: Vec<(&str, String)> = Vec::new();
            for happening in &happened {
                let owns = |r: &&&ActionRun| {
                    let status = r.status.as_ref().unwrap();
                    (r.spec.target.is_empty() || r.spec.target == happening.service)
                        && status.started_at.is_some_and(|at| at <= happening.at)
                        && status.finished_at.is_some_and(|at| happening.at <= at)
                };
                let owning: Vec<_> = executed.iter().filter(owns).collect();
                assert_eq!(owning.len(), 1, "{happening:?} belongs to {owning:#?}");
                owners.push((owning[0].metadata.name.as_deref().unwrap(), happening.service.clone()));
            }
            let all = owners.len();
            owners.sort();
            owners.dedup();
            assert_eq!(owners.len(), all, "an action was executed twice: {happened:#?}");
        }
    }
}

/// The process of an identity: `HOST-PID-RANDOM`.
fn pid(identity: &str) -> u32 {
    identity.rsplit('-').nth(1).unwrap().parse().unwrap()
}

/// What became of the actions on a service since `before`: their kinds and phases, in the order they ended.
fn became(runs: &[ActionRun], before: &[ActionRun], service: &str) -> Vec<(ActionKind, ActionPhase)> {
    let is_new = |r: &&ActionRun| r.spec.target == service && !before.iter().any(|b| b.metadata.uid == r.metadata.uid);
    let mut new: Vec<_> = runs.iter().filter(is_new).collect();
    new.sort_by_key(|r| r.status.as_ref().and_then(|s| s.finished_at));
    new.iter().map(|r| (r.spec.action, phase(r))).collect()
}

const STARTED: (ActionKind, ActionPhase) = (ActionKind::StartService, ActionPhase::Succeeded);

#[tokio::test(flavor = "multi_thread")]
async fn an_actuator_killed_at_any_step_leaves_an_action_that_is_finished_and_never_repeated() {
    let mut cluster = Cluster::start("crash-act", "0s").await;
    for (service, at, call) in [
        ("processor", At::BeforeClaim, Call::Arrives),
        ("scout", At::BeforeClaim, Call::IsLost),
        ("processor", At::Called, Call::Arrives),
        ("scout", At::Done, Call::IsLost),
        ("processor", At::Verifying, Call::IsLost),
    ] {
        let (before, starts) = (action_runs(&cluster.store).await, cluster.log.count("start", service));
        cluster.come_to(at, "/start", async { cluster.kill_by_hand(service) }).await;
        let killed = cluster.kill_leader("actuator").await;
        match call {
            Call::Arrives => cluster.proxy.release(),
            Call::IsLost => cluster.proxy.lose(),
        }
        let runs = cluster.mended().await;
        assert_eq!(became(&runs, &before, service), [STARTED], "{at:?}, {call:?}");
        cluster.assert_nothing_was_done_twice(&runs);
        assert_eq!(cluster.log.count("start", service), starts + 1, "{at:?}, {call:?}");
        let run = runs.iter().find(|r| !before.iter().any(|b| b.metadata.uid == r.metadata.uid)).unwrap();
        assert_ne!(run.status.as_ref().unwrap().claim.as_ref().unwrap().holder, killed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_was_lost_with_its_actuator_is_failed_and_asked_for_again() {
    let mut cluster = Cluster::start("crash-lost", "0s").await;
    let (before, starts) = (action_runs(&cluster.store).await, cluster.log.count("start", "processor"));
    cluster.come_to(At::Called, "/start", async { cluster.kill_by_hand("processor") }).await;
    cluster.kill_leader("actuator").await;
    cluster.proxy.lose();
    let runs = cluster.mended().await;
    let failed = (ActionKind::StartService, ActionPhase::Failed);
    assert_eq!(became(&runs, &before, "processor"), [failed, STARTED]);
    cluster.assert_nothing_was_done_twice(&runs);
    assert_eq!(cluster.log.count("start", "processor"), starts + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_actuator_killed_during_compose_up_leaves_one_container() {
    // The action is asked for by hand, with a time limit that a test can wait for; the hold-off lets it be first.
    let mut cluster = Cluster::start("crash-up", "4s").await;
    for (number, at, call) in [(1, At::Called, Call::IsLost), (2, At::Called, Call::Arrives), (3, At::Done, Call::Arrives)] {
        let (before, log) = (action_runs(&cluster.store).await, &cluster.log);
        let (created, started) = (log.count("create", "scout"), log.count("start", "scout"));
        let hurt = async {
            docker(&["rm", "--force", &cluster.example.container("scout")]);
            let cause = Cause {
                kind: CauseKind::Operator,
                summary: "removed by hand".to_owned(),
                drift: None,
                since: None,
                object: None,
                attempt: None,
            };
            let run = ActionRun::new(
                &format!("by-hand-{number}"),
                ActionRunSpec {
                    stack: "wicap".to_owned(),
                    action: ActionKind::ComposeUp,
                    target: "scout".to_owned(),
                    params: Params::default(),
                    session: "night".to_owned(),
                    cause,
                    timeout: Some(Duration::from_secs(4).into()),
                    dry_run: false,
                },
            );
            cluster.store.api().create(&run).await.unwrap();
        };
        cluster.come_to(at, "/containers/create", hurt).await;
        cluster.kill_leader("actuator").await;
        match call {
            Call::Arrives => cluster.proxy.release(),
            Call::IsLost => cluster.proxy.lose(),
        }
        let runs = cluster.mended().await;
        let became = became(&runs, &before, "scout");
        assert_eq!(became[0].0, ActionKind::ComposeUp);
        assert_eq!(became.iter().filter(|(_, p)| *p == ActionPhase::Succeeded).count(), 1, "{became:?}");
        cluster.assert_nothing_was_done_twice(&runs);
        assert_eq!(cluster.log.count("create", "scout"), created + 1, "{at:?}, {call:?}");
        assert_eq!(cluster.log.count("start", "scout"), started + 1, "{at:?}, {call:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_other_leader_killed_during_an_action_changes_nothing_about_it() {
    let mut cluster = Cluster::start("crash-other", "0s").await;
    let passed = |s: &SoakRun| s.status.iter().flat_map(|s| &s.checks).map(|c| c.passed).sum::<u32>();
    for at in [At::BeforeClaim, At::Called, At::Done, At::Verifying] {
        for (victim, service) in [
            ("observer", "processor"),
            ("planner", "scout"),
            ("session", "processor"),
            ("soak", "scout"),
            ("gc", "processor"),
        ] {
            let (before, starts) = (action_runs(&cluster.store).await, cluster.log.count("start", service));
            cluster.come_to(at, "/start", async { cluster.kill_by_hand(service) }).await;
            cluster.kill_leader(victim).await;
            cluster.proxy.release();
            let runs = cluster.mended().await;
            assert_eq!(became(&runs, &before, service), [STARTED], "{at:?}, {victim}");
            cluster.assert_nothing_was_done_twice(&runs);
            assert_eq!(cluster.log.count("start", service), starts + 1, "{at:?}, {victim}");
        }
    }
    for controller in CONTROLLERS {
        cluster.leader(controller).await;
    }
    let soak = cluster.store.api::<SoakRun>().get("soak").await.unwrap();
    let goes_on =
        |s: &SoakRun| s.status.as_ref().is_some_and(|s| s.phase == SoakPhase::Soaking) && passed(s) > passed(&soak);
    until::<SoakRun>(&cluster.store, "soak", "going on", goes_on).await;
}
