//! What `wicapd run` costs while nothing happens: processor time and memory, on the example stack with probes every second, and on many
//! stacks of five services each, which an engine of the bench's own pretends to run.
//!
//! `cost [MINUTES] [STACKS]`

#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use futures::StreamExt;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use support::{Daemon, Example, apply, available, connect, until};
use tokio::net::UnixListener;
use wicap::api::stack::WicapStack;
use wicap::store::Store;

/// What a stack of the second kind has.
const SERVICES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// After it every configuration has been read, and every stack observed and written of.
const SETTLES: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let minutes = numbers.first().copied().unwrap_or(10);
    let stacks = numbers.get(1).copied().unwrap_or(200);
    let long = Duration::from_secs(minutes * 60);
    println!("{minutes} minutes of the first, half as long of each other, after {SETTLES:?}");

    let example = Example::new("cost");
    example.compose(&["up", "--detach", "redis", "scout", "processor", "ui"]);
    let stack = example.stack(|s| {
        for service in s["spec"]["services"].as_array_mut().expect("services") {
            for probe in service.get_mut("probes").and_then(Value::as_array_mut).into_iter().flatten() {
                (probe["period"], probe["timeout"]) = (json!("1s"), json!("500ms"));
            }
        }
    });
    let probes =
        stack["spec"]["services"].as_array().into_iter().flatten().map(|s| s["probes"].as_array().map_or(0, Vec::len));
    let probes: usize = probes.sum();
    let (daemon, store, url) = start(example.path(), None).await;
    apply(&url, &[stack, example.policy(), example.session("night", "Assist")]);
    until::<WicapStack>(&store, "wicap", "Available", available).await;
    let one = measure(&daemon, long).await;
    report(&format!("the example stack, {probes} probes a second"), &one);
    drop((daemon, example));

    let directory = tempfile::Builder::new().prefix("wicap-bench-cost-").tempdir().expect("a directory");
    let socket = directory.path().join("engine.sock");
    let engine = tokio::spawn(pretend(UnixListener::bind(&socket).expect("a socket")));
    let (daemon, store, url) = start(directory.path(), Some(&socket)).await;
    let mut costs = Vec::new();
    for count in [1, stacks / 2, stacks] {
        for n in 0..count {
            let name = format!("s{n}");
            if store.api::<WicapStack>().get_opt(&name).await.expect("the store answers").is_none() {
                apply(&url, &[many(&name, directory.path())]);
            }
        }
        until::<WicapStack>(&store, &format!("s{}", count - 1), "Available", available).await;
        let cost = measure(&daemon, long / 2).await;
        report(&format!("{count} stacks of {} services", SERVICES.len()), &cost);
        costs.push(cost);
    }
    #[allow(clippy::cast_precision_loss)]
    let more = stacks.saturating_sub(1).max(1) as f64;
    let (first, last) = (costs[0], costs[costs.len() - 1]);
    let (resident, core) = ((last.resident - first.resident) / more, (last.core - first.core) / more);
    println!("a stack more: {resident:.2} MiB resident, {core:.3} % of a core");
    engine.abort();
}

async fn start(directory: &Path, engine: Option<&Path>) -> (Daemon, Store, String) {
    let data = directory.join("data");
    let mut command = Command::new(env!("CARGO_BIN_EXE_wicapd"));
    command.arg("run").arg("--data-dir").arg(&data);
    if let Some(engine) = engine {
        command.arg("--docker").arg(format!("unix://{}", engine.display()));
    }
    let daemon = Daemon::launch(command, directory, "info");
    let socket = data.join("store.sock");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while tokio::net::UnixStream::connect(&socket).await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "wicapd does not listen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let url = format!("unix://{}", socket.display());
    (daemon, connect(&url).await, url)
}

/// What a process took.
#[derive(Clone, Copy)]
struct Cost {
    /// Percent of one core.
    core: f64,
    /// Of it, what its children took.
    children: f64,
    /// MiB at the end.
    resident: f64,
    /// Of it, what no file is behind.
    anonymous: f64,
}

async fn measure(daemon: &Daemon, long: Duration) -> Cost {
    tokio::time::sleep(SETTLES).await;
    let (own, children) = ticks(daemon.pid());
    tokio::time::sleep(long).await;
    let (own_then, children_then) = ticks(daemon.pid());
    // Linux has a hundred a second, whatever the kernel's own clock does (USER_HZ, proc(5)).
    let percent = |ticks: u64| {
        #[allow(clippy::cast_precision_loss)]
        let ticks = ticks as f64;
        ticks / long.as_secs_f64()
    };
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("it runs");
    let field = |name: &str| {
        let line = status.lines().find(|l| l.starts_with(name)).expect("it is there");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).expect("a number") / 1024.0
    };
    let children = percent(children_then - children);
    Cost { core: percent(own_then - own) + children, children, resident: field("VmRSS:"), anonymous: field("RssAnon:") }
}

/// Processor time, own and of children that have ended.
fn ticks(pid: u32) -> (u64, u64) {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let after = stat.rsplit_once(") ").expect("the name is in brackets").1;
    let fields: Vec<u64> = after.split(' ').map(|f| f.parse().unwrap_or(0)).collect();
    (fields[11] + fields[12], fields[13] + fields[14])
}

fn report(what: &str, cost: &Cost) {
    println!(
        "{what:<44} {:>7.3} % of a core (of it docker compose {:.3} %), {:>6.1} MiB resident, {:.1} anonymous",
        cost.core, cost.children, cost.resident, cost.anonymous,
    );
}

fn many(name: &str, directory: &Path) -> Value {
    let home = directory.join(name);
    std::fs::create_dir_all(&home).expect("a directory");
    let services: BTreeMap<&str, Value> = SERVICES.map(|s| (s, json!({"image": "image"}))).into();
    std::fs::write(home.join("compose.yaml"), json!({"services": services}).to_string()).expect("it can be written");
    json!({
        "apiVersion": "wicap.dev/v1alpha1", "kind": "WicapStack", "metadata": {"name": name},
        "spec": {
            "compose": {"project": name, "directory": home},
            "services": SERVICES.map(|s| json!({"name": s})),
        },
    })
}

/// An engine whose every project has five containers that run.
async fn pretend(listener: UnixListener) {
    while let Ok((stream, _)) = listener.accept().await {
        let service = service_fn(|request| async move { Ok::<_, Infallible>(answer(&request)) });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

fn answer(request: &Request<Incoming>) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
    let path = request.uri().path();
    let path =
        path.strip_prefix("/v1.").and_then(|rest| rest.split_once('/')).map_or(path.trim_start_matches('/'), |(_, p)| p);
    let labels = |project: &str, service: &str| {
        json!({
            "com.docker.compose.project": project, "com.docker.compose.service": service,
            "com.docker.compose.container-number": "1", "com.docker.compose.oneoff": "False",
        })
    };
    let body = match path.split('/').collect::<Vec<_>>()[..] {
        ["events"] => {
            let never = futures::stream::pending::<Result<Frame<Bytes>, Infallible>>();
            return Response::new(BodyExt::boxed_unsync(StreamBody::new(never.boxed())));
        }
        ["version"] => json!({"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Version": "20.10.24"}),
        ["containers", "json"] => {
            let query = request.uri().query().unwrap_or_default();
            // The filter is the only thing in which a project is named, and names of projects need no encoding.
            let project = query.split("project%3D").nth(1).and_then(|rest| rest.split('%').next()).unwrap_or_default();
            json!(SERVICES.map(|s| json!({"Id": format!("{project}-{s}"), "Labels": labels(project, s)})))
        }
        ["containers", id, "json"] => {
            let (project, service) = id.split_once('-').unwrap_or((id, "a"));
            json!({
                "Id": id, "Name": format!("/{id}"), "RestartCount": 0, "Image": "sha256:0",
                "State": {"Status": "running", "StartedAt": "2026-01-01T00:00:00Z", "FinishedAt": "0001-01-01T00:00:00Z", "ExitCode": 0},
                "Config": {"Image": "image", "Labels": labels(project, service)},
                "NetworkSettings": {"Networks": {format!("{project}_default"): {}}},
            })
        }
        _ => json!({"Id": "sha256:0"}),
    };
    let answer = Response::builder().header("content-type", "application/json");
    answer.body(BodyExt::boxed_unsync(Full::new(Bytes::from(body.to_string())))).expect("it is well formed")
}
