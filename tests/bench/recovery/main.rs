//! How long it takes from a hurt until the service serves again: mended by wicap with hold-off 0, by hand, by Docker's own restart policy,
//! and by monit.
//!
//! Each has a compose project of its own, all of the same file, and they are hurt in turn. By hand means: the one call that mends it, made at
//! once through the same client, from the engine's event, or where there is none from the call, until it serves: the floor.
//! wicap's ratio to it counts from the moment that it can know: the
//! engine's event, or for what has no event, the status in which the probe's verdict stands.
//!
//! `recovery [TRIALS] [FAULT…]`: a fault is named by a part of its name.

#[path = "../../support/mod.rs"]
mod support;

mod fault;
mod peer;
mod stage;
mod trial;

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use fault::Fault;
use futures::StreamExt;
use jiff::Timestamp;
use stage::{DEPENDENTS, Stage, WORKERS};
use support::docker::docker;
use support::{Daemon, apply, available, connect, until};
use trial::{Ear, Times, by_hand, by_peer, by_wicap};
use wicap::api::Object;
use wicap::api::action::ActionRun;
use wicap::api::stack::WicapStack;
use wicap::observe::engine::Engine;
use wicap::store::{ListParams, Patch, Store};

/// How long a peer gets before it counts as not mending. Docker's policy and monit's cycle are far shorter.
const PEER_PATIENCE: Duration = Duration::from_secs(10);

/// How long the engine has to have been quiet before a peer's stage is hurt again: two cycles of monit, and a start.
const PEER_QUIET: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let trials = arguments.iter().find_map(|a| a.parse().ok()).unwrap_or(20_usize);
    let wanted: Vec<&String> = arguments.iter().filter(|a| a.parse::<usize>().is_err()).collect();
    let chosen = |name: &str| wanted.is_empty() || wanted.iter().any(|w| name.contains(w.as_str()));

    let known =
        |w: &String| "eight at once".contains(w.as_str()) || Fault::ALL.iter().any(|f| f.name().contains(w.as_str()));
    if let Some(unknown) = wanted.iter().find(|w| !known(w)) {
        let names: Vec<&str> = Fault::ALL.iter().map(|f| f.name()).chain(["eight at once"]).collect();
        eprintln!("recovery: found {unknown:?}, expected a part of one of: {}", names.join("; "));
        std::process::exit(2);
    }

    let engine = Engine::new("unix:///var/run/docker.sock").expect("the address is right");
    let ours = Arc::new(Stage::up("wicap", "no"));
    let floor = Arc::new(Stage::up("hand", "no"));
    let policy = Arc::new(Stage::up("policy", "unless-stopped"));
    let monits = Arc::new(Stage::up("monit", "no"));
    let _monit = peer::Monit::start(&monits);

    let data_dir = tempfile::Builder::new().prefix("wicap-bench-data-").tempdir().expect("a directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_wicapd"));
    command.arg("run").arg("--data-dir").arg(data_dir.path());
    let _daemon = Daemon::launch(command, data_dir.path(), "info");
    let url = format!("unix://{}", data_dir.path().join("store.sock").display());
    let store = until_it_answers(&url).await;
    apply(&url, &[ours.stack(1), ours.policy(), Stage::session()]);

    let ears = [Ear::new(&engine, &ours, Some(&store)), Ear::new(&engine, &floor, None)];
    let peers = [(&policy, Ear::new(&engine, &policy, None)), (&monits, Ear::new(&engine, &monits, None))];
    println!("milliseconds; {trials} trials of each, {} of each peer", trials.div_ceil(4));
    println!(
        "{:<24}{:>7}{:>7}{:>7}{:>7}{:>8}{:>8} |{:>8}{:>8} |{:>7}{:>7} |{:>7}{:>8}{:>8}",
        "median of",
        "detect",
        "decide",
        "act",
        "verify",
        "total",
        "p99",
        "seen→ok",
        "floor",
        "ratio",
        "at p99",
        "wrong",
        "policy",
        "monit"
    );
    for fault in Fault::ALL.into_iter().filter(|f| chosen(f.name())) {
        let (mut times, mut floors, mut wrong, mut lost) = (Vec::new(), Vec::new(), 0, 0);
        for _ in 0..trials {
            until::<WicapStack>(&store, "bench", "Available", available).await;
            match by_wicap(fault, &ours, &ears[0], &store).await {
                Some((time, needless)) => {
                    times.push(time);
                    wrong += needless;
                }
                None => {
                    lost += 1;
                    tell_what_was_seen(fault, &store).await;
                    ours.mend(fault.service());
                }
            }
            floors.extend(by_hand(fault, &floor, &ears[1], &engine).await);
        }
        let mut by_peers = Vec::new();
        for (stage, ear) in &peers {
            let mut healed = Vec::new();
            for _ in 0..trials.div_ceil(4) {
                ear.quiet(PEER_QUIET).await;
                match by_peer(fault, stage, ear, PEER_PATIENCE).await {
                    Some(time) => healed.push(time),
                    None => stage.mend(fault.service()),
                }
            }
            by_peers.push(healed);
        }
        row(fault, &times, &floors, wrong, lost, &by_peers);
    }
    if chosen("eight at once") {
        eight_at_once(&engine, &ours, &store, &ears[0], trials.div_ceil(2)).await;
    }
}

/// Says on standard error what the stack and its last actions look like when a hurt was not mended.
async fn tell_what_was_seen(fault: Fault, store: &Store) {
    let stack = store.api::<WicapStack>().get("bench").await.expect("the store answers");
    let runs = store.api::<ActionRun>().list(&ListParams::default()).await.expect("the store answers");
    let status = stack.status.unwrap_or_default();
    let service = status.service(fault.service());
    eprintln!("{} was not mended: planned {:?}, blocked by {:?}", fault.name(), status.planned_action, status.blocked_by);
    eprintln!("  {service:#?}\n  drift {:#?}\n  recovery {:#?}", status.drift, status.recovery);
    let mut last: Vec<_> = runs.items.iter().filter_map(|run| Some((run.status.as_ref()?.started_at?, run))).collect();
    last.sort_by_key(|(at, _)| *at);
    for (at, run) in last.iter().rev().take(3) {
        eprintln!("  {at} {} {:?}", run.name(), run.status.as_ref().and_then(|status| status.message.as_ref()));
    }
}

async fn until_it_answers(url: &str) -> Store {
    let socket = url.trim_start_matches("unix://").to_owned();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while tokio::net::UnixStream::connect(&socket).await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "wicapd does not listen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    connect(url).await
}

fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let at = (last as f64 * share).ceil() as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

fn row(fault: Fault, times: &[Times], floors: &[f64], wrong: usize, lost: usize, peers: &[Vec<f64>]) {
    let all = |of: fn(&Times) -> f64| times.iter().map(of).collect::<Vec<f64>>();
    let median = |of: fn(&Times) -> f64| quantile(&all(of), 0.5);
    let floor = quantile(floors, 0.5);
    let known = if fault.is_told() { all(|t| t.total) } else { all(|t| t.seen) };
    let ratio = |share| quantile(&known, share) / floor;
    let peer =
        |healed: &Vec<f64>| if healed.is_empty() { "never".to_owned() } else { format!("{:.0}", quantile(healed, 0.5)) };
    println!(
        "{:<24}{:>7.0}{:>7.0}{:>7.0}{:>7.0}{:>8.0}{:>8.0} |{:>8.0}{:>8.0} |{:>7.2}{:>7.2} |{:>7}{:>8}{:>8}",
        fault.name(),
        median(|t| t.detect),
        median(|t| t.decide),
        median(|t| t.act),
        median(|t| t.verify),
        median(|t| t.total),
        quantile(&all(|t| t.total), 0.99),
        median(|t| t.seen),
        floor,
        ratio(0.5),
        ratio(0.99),
        if lost > 0 { format!("{wrong} ({lost} lost)") } else { wrong.to_string() },
        peer(&peers[0]),
        peer(&peers[1]),
    );
}

/// Eight services killed at once: four hands at a time beside one at a time, and beside as many by hand.
async fn eight_at_once(engine: &Engine, stage: &Arc<Stage>, store: &Store, ear: &Ear, trials: usize) {
    let mut medians = Vec::new();
    for hands in [1, 4] {
        let most = Patch::Merge(serde_json::json!({"spec": {"defaults": {"maxConcurrent": hands}}}));
        store.api::<WicapStack>().patch("bench", &most).await.expect("the store answers");
        let mut times = Vec::new();
        for _ in 0..trials {
            until::<WicapStack>(store, "bench", "Available", available).await;
            let begun = Timestamp::now();
            kill_together(stage);
            times.push(all_again(stage, ear, begun).await);
        }
        medians.push(quantile(&times, 0.5));
    }
    let hand = Arc::new(Stage::up("eight", "no"));
    let its_ear = Ear::new(engine, &hand, None);
    let mut floors = Vec::new();
    for hands in [1, 4] {
        let mut times = Vec::new();
        for _ in 0..trials {
            times.push(mended_by_hand(engine, &hand, &its_ear, hands).await);
        }
        floors.push(quantile(&times, 0.5));
    }
    println!(
        "eight at once: one hand {:.0}, four hands {:.0} ({:.1} times as fast); by hand one at a time {:.0}, four {:.0} ({:.1} times as fast)",
        medians[0],
        medians[1],
        medians[0] / medians[1],
        floors[0],
        floors[1],
        floors[0] / floors[1],
    );
}

/// Kills all workers. Returns their containers.
fn kill_together(stage: &Stage) -> Vec<String> {
    let containers: Vec<String> = WORKERS.map(|w| stage.container(w)).into();
    docker(&[&["kill"], &containers.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat());
    containers
}

/// From the first death until all of them run again, by calls of which so many are under way together.
async fn mended_by_hand(engine: &Engine, stage: &Stage, ear: &Ear, hands: usize) -> f64 {
    let begun = Timestamp::now();
    let containers = kill_together(stage);
    let starts = futures::stream::iter(&containers).map(|c| engine.start(c)).buffer_unordered(hands);
    let failed = starts.filter(|done| std::future::ready(done.is_err())).count().await;
    assert_eq!(failed, 0, "each was started");
    all_again(stage, ear, begun).await
}

/// From the first death until the last start.
async fn all_again(stage: &Stage, ear: &Ear, begun: Timestamp) -> f64 {
    let (mut first, mut last) = (Timestamp::MAX, begun);
    for worker in WORKERS {
        let died = ear.heard("die", worker, begun).await.expect("it was killed");
        first = first.min(died);
        last = last.max(ear.heard("start", worker, died).await.expect("it is started again"));
    }
    assert!(DEPENDENTS.iter().all(|d| stage.started(d).is_some()), "nobody else was touched");
    last.duration_since(first).as_secs_f64() * 1000.0
}
