//! What probes cost: many of each kind are asked each second, and the processor time of this process is taken. What answers them is
//! another process.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;
use wicap::api::Time;
use wicap::api::stack::{ProbeState, WicapStackSpec};
use wicap::clock::Clock;
use wicap::observe::dial::Dialer;
use wicap::observe::engine::{Container, ContainerState, Engine};
use wicap::observe::probe::{Asker, ProbeSet};

/// Probes of each kind.
const PROBES: u32 = 200;

/// How long each kind is asked.
const LENGTH: Duration = Duration::from_secs(20);

/// What the answering process is called with.
const SERVE: &str = "serve";

const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 65\r\n\r\n{\"db_status\":\"ok\",\"eps\":0.25,\"last_insert_age_sec\":34,\"depth\":12}";

fn main() {
    if std::env::args().any(|a| a == SERVE) {
        serve();
        return;
    }
    let mut server = Command::new(std::env::current_exe().expect("this program has a path"))
        .arg(SERVE)
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program can be started");
    let mut line = String::new();
    BufReader::new(server.stdout.take().expect("it is piped")).read_line(&mut line).expect("it says its port");
    let port: u16 = line.trim().parse().expect("a port");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let status = json!({"port": port, "path": "/"});
    let with = |expect: Value| {
        let mut get = status.clone();
        get["expect"] = expect;
        get
    };
    println!("{PROBES} probes of each kind, asked each second for {LENGTH:?}; debug assertions: {}", cfg!(debug_assertions));
    for (kind, handler, what) in [
        ("no probe", "tcpSocket", None),
        ("tcpSocket", "tcpSocket", Some(json!({"port": port}))),
        ("httpGet, status alone", "httpGet", Some(status.clone())),
        (
            "httpGet, two JSON expectations",
            "httpGet",
            Some(with(
                json!({"json": [{"pointer": "/db_status", "equals": "ok"}, {"pointer": "/last_insert_age_sec", "lessThan": 120}]}),
            )),
        ),
        ("httpGet, one CEL expression", "httpGet", Some(with(json!({"cel": ["body.eps > 0.0 && status == 200"]})))),
        ("health", "health", Some(json!({}))),
    ] {
        let used = runtime.block_on(asked(handler, what));
        let each = used.as_secs_f64() / LENGTH.as_secs_f64() / f64::from(PROBES);
        println!("{kind:32} {used:>8.2?} of processor time, {:.0} µs an attempt", each * 1e6);
    }
    let _ = server.kill();
    let _ = server.wait();
}

/// Processor time of this process while the probes are asked, their beginning left out.
async fn asked(handler: &str, what: Option<Value>) -> Duration {
    let probe = |i: u32| json!({"name": format!("p{i}"), "period": "1s", handler: what.clone()});
    let probes: Vec<Value> = if what.is_some() { (0..PROBES).map(probe).collect() } else { Vec::new() };
    let spec: WicapStackSpec = serde_json::from_value(json!({
        "compose": {"project": "p", "directory": "/srv/p"}, "services": [{"name": "s", "probes": probes}],
    }))
    .expect("a spec");
    let asker = Asker {
        dialer: Dialer::kernel(),
        engine: Engine::new("unix:///nonexistent/docker.sock").expect("an address"),
        clock: Clock::system(),
        rules: Arc::default(),
    };
    let mut set = ProbeSet::new(asker, Arc::new(Notify::new()));
    let container = Container {
        service: "s".to_owned(),
        id: "a".to_owned(),
        name: "p-s-1".to_owned(),
        image: "i".to_owned(),
        image_id: None,
        networks: Vec::new(),
        config_hash: None,
        status: ContainerState::Running,
        health: Some(wicap::api::stack::Health::Healthy),
        restart_count: 0,
        // Long ago, so that the attempts are spread over the period.
        started_at: Some(Time::UNIX_EPOCH),
        finished_at: None,
        exit_code: None,
        oom_killed: false,
        number: 1,
    };
    set.sync(&spec, &[container]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = processor_time();
    tokio::time::sleep(LENGTH).await;
    let used = processor_time().saturating_sub(before);
    assert!(set.statuses("s").iter().all(|p| p.state == ProbeState::Passing), "{:?}", set.statuses("s").first());
    used
}

/// User and system time of this process, in the kernel's ticks of 10 ms.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("/proc is there");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = fields[11..=12].iter().map(|f| f.parse::<u64>().expect("ticks")).sum();
    Duration::from_millis(ticks * 10)
}

/// Gives everybody the same answer, and says on which port.
fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    println!("{}", listener.local_addr().expect("it has one").port());
    for mut stream in listener.incoming().map_while(Result::ok) {
        let mut request = [0; 1024];
        if stream.read(&mut request).is_ok_and(|n| n > 0) {
            let _ = stream.write_all(ANSWER.as_bytes());
        }
    }
}
