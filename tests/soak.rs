//! A soak run on real parts: its phases, and what becomes of it when everything is killed in each of them.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use support::docker::{EngineLog, docker};
use support::server::Server;
use support::{Daemon, Example, action_runs, apply, connect, until, until_settled, wicapctl_with};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use wicap::api::action::{ActionPhase, CauseKind};
use wicap::api::soak::{SoakPhase, SoakRun, SoakRunStatus, Verdict};

const SECONDS: u32 = 30;

/// A page that takes its time, so that the last check is under way when the soak has ended. It is well once it is told to be.
async fn slow_page(is_well: Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let is_well = Arc::clone(&is_well);
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                tokio::time::sleep(Duration::from_secs(2)).await;
                let status = if is_well.load(Ordering::SeqCst) { "200 OK" } else { "503 Service Unavailable" };
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nok");
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    port
}

/// A run with every phase, which leaves the stack up.
fn run(example: &Example, slow: u16) -> Value {
    let mut run = example.soak(SECONDS);
    run["spec"]["session"] = json!("night");
    run["spec"]["samples"] = json!({"interval": "1s"});
    run["spec"]["phases"] =
        json!({"teardown": {}, "startup": {}, "cleanup": {"steps": [{"action": "restart_service", "target": "ui"}]}});
    let slow = json!({"name": "slow", "period": "10s", "httpGet": {"port": slow}});
    let job = json!({"name": "suite", "period": "15s", "timeout": "20s", "job": "suite"});
    run["spec"]["checks"].as_array_mut().unwrap().extend([slow, job]);
    run["spec"]["criteria"] = json!({"maxRestarts": 0, "maxRecoveries": 0,
        "expressions": [{"name": "memory", "value": "mean('ui/memory')", "min": 1000}]});
    run
}

fn session(example: &Example) -> Value {
    let mut session = example.session("night", "Assist");
    session["spec"]["allowedActions"].as_array_mut().unwrap().extend([json!("compose_down"), json!("run_job")]);
    session
}

/// The stack with a job, long enough to be met by a kill.
fn stack(example: &Example) -> Value {
    let stats = format!("http://127.0.0.1:{}/api/stats", example.ui_port);
    let args = ["wicap-sim", "suite", "--junit", "/tmp/junit.xml", "--wait", "3", "--get", &stats];
    let job =
        json!({"name": "suite", "image": "wicap-core:local", "network": "host", "junit": "/tmp/junit.xml", "args": args});
    example.stack(|stack| stack["spec"]["jobs"] = json!([job]))
}

fn status(run: &SoakRun) -> SoakRunStatus {
    run.status.clone().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_controllers_are_killed_in_every_phase_ends_as_one_that_nobody_disturbed() {
    let server = Server::start().await;
    let example = Example::new("soak");
    let url = server.url();
    let is_well = Arc::new(AtomicBool::new(false));
    let slow = slow_page(Arc::clone(&is_well)).await;
    let log = EngineLog::of(&example);
    let mut daemon = Daemon::start(&url, example.path(), &[]);
    let store = connect(&url).await;
    apply(&url, &[example.stack(|_| {}), example.policy(), session(&example)]);
    until_settled(&store).await;
    let before = log.count("start", "ui");
    apply(&url, &[run(&example, slow)]);

    let phases = [
        SoakPhase::Preflight,
        SoakPhase::Teardown,
        SoakPhase::Startup,
        SoakPhase::Warmup,
        SoakPhase::Soaking,
        SoakPhase::Finalizing,
        SoakPhase::Cleanup,
    ];
    let mut killed_in = Vec::new();
    for phase in phases {
        let reached = until::<SoakRun>(&store, "soak", "the next phase", |s| status(s).phase >= phase).await;
        if status(&reached).phase == phase {
            // In the middle of it, where there is something to be in the middle of.
            if phase == SoakPhase::Soaking {
                until::<SoakRun>(&store, "soak", "under way", |s| status(s).progress.is_some_and(|p| p.as_str() >= "20%"))
                    .await;
            }
            daemon.kill();
            killed_in.push(phase);
            daemon = Daemon::start(&url, example.path(), &[]);
        }
        // What these wait for comes once they have been killed in: so they cannot go by unseen.
        match phase {
            SoakPhase::Preflight => apply(&url, &[stack(&example)]),
            SoakPhase::Warmup => is_well.store(true, Ordering::SeqCst),
            _ => {}
        }
    }
    assert_eq!(killed_in, phases);
    let done = until::<SoakRun>(&store, "soak", "Completed", |s| status(s).phase == SoakPhase::Completed).await;
    let uid = done.metadata.uid.clone().unwrap();
    let done = status(&done);
    assert_eq!(done.verdict, Some(Verdict::Passed), "{:#?}", done.reasons);

    // What an undisturbed run has: one a second from the first to the last second, and four slow ones. What was due while nothing ran is
    // missed, and told.
    let counts: Vec<_> = done.checks.iter().map(|c| (c.name.as_str(), c.passed, c.failed + c.errors, c.missed)).collect();
    println!("{counts:?}");
    for (name, count) in [("dashboard", SECONDS + 1), ("slow", SECONDS / 10 + 1), ("suite", SECONDS / 15 + 1)] {
        let (_, passed, bad, missed) = *counts.iter().find(|(n, ..)| *n == name).unwrap();
        assert_eq!((passed + missed, bad), (count, 0), "{name}");
        assert!(passed > 0, "{name}");
    }

    // A sample a second, but for those of the seconds in which nothing ran: they are as many as the checks that were missed then, give or
    // take the one on either side that was on its way, and on a busy machine those that were due while the one before was under way. The last is of the very end.
    let evidence = done.evidence.clone().unwrap();
    let records = std::fs::read_to_string(example.path().join("data/soaks").join(&uid).join("records.jsonl")).unwrap();
    let records = records.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let samples: Vec<u64> = records.filter(|r| r["record"] == "sample").map(|r| r["number"].as_u64().unwrap()).collect();
    let (_, made, _, missed) = *counts.iter().find(|(n, ..)| *n == "dashboard").unwrap();
    println!("{} samples, {made} checks made and {missed} missed", samples.len());
    assert!(samples.is_sorted_by(|a, b| a < b) && samples.last() == Some(&u64::from(SECONDS)), "{samples:?}");
    assert!((samples.len() as u64).abs_diff(u64::from(made)) <= 8, "{samples:?}");

    // Each step once, by name, by result and by what the engine saw.
    let runs = action_runs(&store).await;
    let own: Vec<_> = runs.iter().filter(|r| r.spec.cause.kind == CauseKind::Soak).collect();
    let (jobs, steps): (Vec<_>, Vec<_>) = own.into_iter().partition(|r| r.spec.action.targets_job());
    assert_eq!(steps.len(), 3, "{steps:#?}");
    let made = counts.iter().find(|(n, ..)| *n == "suite").unwrap().1;
    assert_eq!(jobs.len(), made as usize, "{jobs:#?}");
    for run in steps.iter().chain(&jobs) {
        assert_eq!(run.status.as_ref().unwrap().phase, ActionPhase::Succeeded, "{run:#?}");
    }
    log.settle(&example, "ui");
    assert_eq!(log.count("start", "ui") - before, 2, "one from Startup and one from Cleanup: {:?}", log.changes());
    assert_eq!(log.count("destroy", "ui"), 1, "{:?}", log.changes());
    let label = format!("label=com.docker.compose.project={}", example.project);
    let left = docker(&["ps", "--all", "--quiet", "--filter", &label]);
    assert_eq!(left.lines().count(), 4, "one container a service, and no other");
    let label = format!("label=dev.wicap.project={}", example.project);
    assert_eq!(docker(&["ps", "--all", "--quiet", "--filter", &label]), "", "no container of a job");

    // The report is made from the evidence, and made again it is the same.
    let data = example.path().join("data");
    let report = |format: &str| {
        let said =
            wicapctl_with(&[("WICAP_DATA_DIR", &data)], &["--store", &url, "soak", "report", "soak", "-o", format], "");
        assert_eq!(said.code, 0, "{said:?}");
        said.out
    };
    let first = report("json");
    assert_eq!(first, report("json"));
    let parsed: Value = serde_json::from_str(&first).unwrap();
    assert_eq!(parsed["verdict"], "Passed");
    assert_eq!(parsed["evidence"]["digest"], json!(evidence.digest));
    assert!(report("html").contains("<svg") && report("text").starts_with("SoakRun soak of wicap: Passed"));
    assert!(report("junit").contains("<testsuite name=\"criteria\""));
}
