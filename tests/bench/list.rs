//! How long `wicapctl get` takes to list many objects, how much memory it needs for it, and how long it takes to start, beside
//! `etcdctl get --prefix` of the same keys on the same store, which decodes and lays out nothing.
//!
//! Goals: every format under 500 ms, memory that does not grow with the whole list where the format allows it, doing nothing under
//! 10 ms, one object under 20 ms. The figures of a debug build say nothing.

#[path = "../support/mod.rs"]
mod support;

use std::io::{self, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use serde_json::{Value, json};
use support::connect;
use support::peer::{Durability, Kind, Peer};
use wicap::api::stack::WicapStack;
use wicap::store::Store;

/// Of each object: as many bytes as one with its status has.
const SIZE: usize = 2 * 1024;

/// Writers at the same time.
const WRITERS: usize = 64;

/// How often the memory of a command is looked at.
const LOOK: Duration = Duration::from_millis(1);

/// What is asked of `wicapctl`, and its name in the report.
const LISTS: [(&str, &[&str]); 9] = [
    ("table", &["get", "ws"]),
    ("wide", &["get", "ws", "-o", "wide"]),
    ("conditions", &["get", "ws", "--conditions"]),
    ("name", &["get", "ws", "-o", "name"]),
    ("custom-columns", &["get", "ws", "-o", "custom-columns=N:.metadata.name,H:.spec.host"]),
    ("json", &["get", "ws", "-o", "json"]),
    ("yaml", &["get", "ws", "-o", "yaml"]),
    ("jsonpath (whole)", &["get", "ws", "-o", "jsonpath={.items[*].metadata.name}"]),
    ("sorted table", &["get", "ws", "--sort-by", ".metadata.uid"]),
];

/// The commands whose start-up counts.
const STARTS: [(&str, &[&str]); 2] =
    [("nothing to do", &["version", "--client"]), ("one object", &["get", "ws", "object-1"])];

/// One run of a command.
struct Run {
    took: Duration,
    /// The most memory it had, in KiB.
    peak: u64,
    bytes: usize,
}

#[tokio::main]
async fn main() {
    // Cargo passes `--bench`; the numbers of objects and of rounds are ours.
    let mut numbers = std::env::args().skip(1).filter_map(|a| a.parse::<usize>().ok());
    let (objects, rounds) = (numbers.next().unwrap_or(10_000), numbers.next().unwrap_or(5));
    let peer = Peer::start(Kind::under_test(), Durability::Disk).await;
    fill(&connect(&peer.endpoint()).await, objects).await;
    println!("{rounds} rounds on {}; {objects} objects of {SIZE} bytes; medians", peer.kind().name());

    let etcdctl = || {
        let mut command = Command::new("etcdctl");
        command.args(["--endpoints", &peer.endpoint(), "get", "--prefix", "/wicap.dev/wicapstacks/"]);
        command
    };
    let base = median(rounds, etcdctl);
    report("etcdctl get --prefix", &base, &base);
    for (name, arguments) in LISTS {
        report(name, &median(rounds, || wicapctl(&peer, arguments)), &base);
    }
    let base = median(rounds, || {
        let mut command = etcdctl();
        command.args(["--limit", "1"]);
        command
    });
    report("etcdctl get, one key", &base, &base);
    for (name, arguments) in STARTS {
        report(name, &median(rounds, || wicapctl(&peer, arguments)), &base);
    }
}

fn wicapctl(peer: &Peer, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wicapctl"));
    command.args(arguments).env("WICAP_STORE", peer.endpoint());
    command
}

fn report(name: &str, run: &Run, base: &Run) {
    let (took, peak) = (run.took.as_secs_f64() * 1e3, run.peak / 1024);
    let ratio = run.took.as_secs_f64() / base.took.as_secs_f64();
    println!("{name:<22} {took:>8.1} ms  {peak:>5} MiB  {:>9} bytes  ratio {ratio:.2}", run.bytes);
}

/// The run of median time.
fn median(rounds: usize, command: impl Fn() -> Command) -> Run {
    let mut runs: Vec<Run> = (0..rounds.max(1)).map(|_| run(command())).collect();
    runs.sort_by_key(|run| run.took);
    runs.swap_remove(runs.len() / 2)
}

fn run(mut command: Command) -> Run {
    let begun = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut out = child.stdout.take().expect("it is piped");
    let reading = std::thread::spawn(move || {
        let mut text = vec![0; 1 << 16];
        let mut bytes = 0;
        loop {
            match out.read(&mut text) {
                Ok(0) => return io::Result::Ok((bytes, Instant::now())),
                Ok(read) => bytes += read,
                Err(e) => return Err(e),
            }
        }
    });
    let peak = peak_of(&mut child);
    let status = child.wait().expect("it ends");
    assert!(status.success(), "{command:?}: {status}");
    let (bytes, ended) = reading.join().expect("it is read to its end").expect("it can be read");
    Run { took: ended - begun, peak, bytes }
}

/// Looks at a process until it ends. What the kernel calls its high-water mark only grows, so the last look is the best.
fn peak_of(child: &mut Child) -> u64 {
    let mut peak = 0;
    while child.try_wait().expect("it is ours").is_none() {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let seen = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        peak = peak.max(seen.unwrap_or(0));
        std::thread::sleep(LOOK);
    }
    peak
}

async fn fill(store: &Store, objects: usize) {
    let api = store.api::<WicapStack>();
    let writing = stream::iter(0..objects).for_each_concurrent(WRITERS, |n| {
        let api = api.clone();
        async move {
            let object = serde_json::from_value(object(n)).expect("it is a stack");
            api.create(&object).await.expect("it is stored");
        }
    });
    writing.await;
}

/// Differs from one to the next, and is as long as `SIZE` says.
fn object(n: usize) -> Value {
    let mut object = json!({
        "apiVersion": "wicap.dev/v1alpha1", "kind": "WicapStack",
        "metadata": {"name": format!("object-{n}"), "labels": {"number": n.to_string()}, "annotations": {}},
        "spec": {"compose": {"project": format!("p{n}"), "directory": "/srv"}, "services": [{"name": "ui"}]},
    });
    let missing = SIZE.saturating_sub(object.to_string().len());
    object["metadata"]["annotations"] = json!({"note": format!("{n:08x} ").repeat(missing / 9)});
    object
}
