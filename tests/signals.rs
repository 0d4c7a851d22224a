//! What the logs of a stack say: WICAP's known failures become incidents, each once and within seconds, with a remedy and a pack from which
//! everything can be decided again.

mod support;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::docker::docker;
use support::server::Server;
use support::{Daemon, Example, apply, available, connect, until, wicapctl};
use wicap::api::incident::{Incident, IncidentPhase, SignalKind};
use wicap::api::log_report::LogReport;
use wicap::api::snapshot::{Snapshot, SnapshotPhase};
use wicap::api::soak::{SoakPhase, SoakRun, Verdict};
use wicap::api::stack::WicapStack;
use wicap::store::{ListParams, Store};

/// WICAP's known failures, by what the simulator calls them, the service that has them and the rule that knows them.
const KNOWN: [(&str, &str, &str); 8] = [
    ("push-403", "processor", "ui-push-forbidden"),
    ("redis-error", "processor", "redis-queue-error"),
    ("redis-loading", "processor", "redis-queue-loading"),
    ("sql-connection", "processor", "sql-connection"),
    ("sql-operation", "processor", "sql-retry"),
    ("flush-lost", "processor", "sql-flush-lost"),
    ("scout-running", "scout", "scout-running"),
    ("queue-truncated", "processor", "queue-truncated"),
];

/// The example stack up, with wicap over it.
struct Case {
    daemon: Option<Daemon>,
    example: Example,
    store: Store,
    url: String,
    _server: Server,
}

impl Case {
    /// `change` edits the declaration, before anything is up.
    async fn new(name: &str, change: impl FnOnce(&mut Value, &Example)) -> Self {
        let server = Server::start().await;
        let example = Example::new(name);
        let stack = example.stack(|s| change(s, &example));
        example.compose(&["up", "--detach", "redis", "scout", "processor", "ui"]);
        let url = server.url();
        let daemon = Some(Daemon::start_quietly(&url, example.path()));
        let store = connect(&url).await;
        apply(&url, &[stack, example.policy()]);
        let case = Self { daemon, example, store, url, _server: server };
        until::<WicapStack>(&case.store, "wicap", "Available", available).await;
        // Read so far: what is told from now on is no history.
        until::<LogReport>(&case.store, "wicap", "read", |r| r.status.as_ref().is_some_and(|s| s.lines > 0)).await;
        case
    }

    fn burst(&self, name: &str, service: &str, count: u32) {
        let count = count.to_string();
        docker(&["exec", &self.example.container(service), "wicap-sim", "tell", "burst", name, &count]);
    }

    async fn incidents(&self) -> Vec<Incident> {
        self.store.api::<Incident>().list(&ListParams::default()).await.unwrap().items
    }

    /// The incidents of that many rules or more, within the time.
    async fn incidents_within(&self, count: usize, limit: Duration) -> Vec<Incident> {
        let begun = Instant::now();
        loop {
            let incidents = self.incidents().await;
            if incidents.iter().filter_map(|i| i.spec.rule.as_ref()).collect::<BTreeSet<_>>().len() >= count {
                return incidents;
            }
            assert!(begun.elapsed() < limit, "{:#?}", incidents.iter().map(|i| &i.spec).collect::<Vec<_>>());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn packs(&self) -> PathBuf {
        self.example.path().join("data/packs")
    }

    async fn pack_of(&self, snapshot: &str) -> PathBuf {
        let done = |s: &Snapshot| s.status.as_ref().is_some_and(|s| s.phase != SnapshotPhase::Pending);
        let snapshot = until::<Snapshot>(&self.store, snapshot, "packed", done).await;
        let status = snapshot.status.unwrap();
        assert_eq!(status.phase, SnapshotPhase::Completed, "{status:?}");
        self.packs().join(status.file.unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_known_failure_is_one_incident_within_seconds_with_a_remedy_and_a_pack() {
    let case = Case::new("signals", |_, _| {}).await;
    let begun = Instant::now();
    for (name, service, _) in KNOWN {
        case.burst(name, service, 20);
    }
    let told = begun.elapsed();
    let incidents = case.incidents_within(KNOWN.len(), told + Duration::from_secs(5)).await;
    println!("{} incidents {:?} after the first line, {told:?} of it to say them", incidents.len(), begun.elapsed());
    for (name, service, rule) in KNOWN {
        let of: Vec<&Incident> = incidents.iter().filter(|i| i.spec.rule.as_deref() == Some(rule)).collect();
        assert_eq!(of.len(), 1, "{name}: {incidents:#?}");
        let spec = &of[0].spec;
        assert_eq!((spec.service.as_str(), spec.kind), (service, SignalKind::KnownIssue.into()), "{name}");
        assert!(spec.remedy.as_ref().is_some_and(|remedy| !remedy.is_empty()), "{name}");
        assert!(spec.signature_id.as_ref().is_some_and(|id| id.len() == 16), "{name}");
    }
    // Each line once, and no second incident however it goes on.
    let name =
        incidents.iter().find(|i| i.spec.rule.as_deref() == Some("sql-flush-lost")).unwrap().metadata.name.clone().unwrap();
    let counted = |i: &Incident| i.status.as_ref().is_some_and(|s| s.count == 20);
    let incident = until::<Incident>(&case.store, &name, "counted", counted).await;
    let status = incident.status.unwrap();
    assert_eq!(status.phase, IncidentPhase::Open);
    assert!(status.samples.iter().any(|s| s.contains("Cannot flush")), "{:?}", status.samples);
    case.burst("flush-lost", "processor", 5);

    let pack = case.pack_of(&format!("incident-{name}")).await;
    let replayed = wicapctl(&case.url, &["replay", pack.to_str().unwrap()], "");
    assert_eq!(replayed.code, 0, "{}{}", replayed.out, replayed.err);
    assert!(replayed.out.contains("all as they were"), "{}", replayed.out);
    let whole = wicapctl(&case.url, &["snapshot", "verify", pack.to_str().unwrap()], "");
    assert_eq!(whole.code, 0, "{}{}", whole.out, whole.err);
    let shown = wicapctl(&case.url, &["snapshot", "show", pack.to_str().unwrap(), "--json"], "");
    let shown: Value = serde_json::from_str(&shown.out).unwrap();
    let entries: Vec<&str> = shown["entries"].as_array().unwrap().iter().filter_map(|e| e["path"].as_str()).collect();
    for wanted in ["objects/wicapstack.json", "objects/incident.json", "replay/recording.json", "engine.json", "audit.jsonl"]
    {
        assert!(entries.contains(&wanted), "{wanted}: {entries:?}");
    }
    for service in ["redis", "scout", "processor", "ui"] {
        let log = entries.iter().any(|e| e.starts_with(&format!("containers/{service}/")) && e.ends_with("/log.txt"));
        assert!(log, "{service}: {entries:?}");
    }

    let top = wicapctl(&case.url, &["top", "signatures", "wicap"], "");
    assert_eq!(top.code, 0, "{}", top.err);
    println!("{}", top.out);
    assert!(
        top.out.contains("sql-flush-lost") && top.out.lines().nth(1).is_some_and(|l| l.starts_with("Critical")),
        "{}",
        top.out
    );
    assert_eq!(case.incidents().await.len(), incidents.len(), "what goes on is no other incident");
    println!("{}", wicapctl(&case.url, &["get", "incidents"], "").out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_is_killed_counts_each_line_once_and_opens_nothing_twice() {
    let mut case = Case::new("signals-kill", |_, _| {}).await;
    case.burst("flush-lost", "processor", 20);
    let incidents = case.incidents_within(1, Duration::from_secs(10)).await;
    case.daemon.take().unwrap().kill();
    case.burst("flush-lost", "processor", 30);
    case.daemon = Some(Daemon::start_quietly(&case.url, case.example.path()));
    let name = incidents[0].metadata.name.clone().unwrap();
    let counted = |i: &Incident| i.status.as_ref().is_some_and(|s| s.count >= 50);
    let incident = support::until_within::<Incident>(&case.store, &name, "counted", Duration::from_secs(90), counted).await;
    assert_eq!(incident.status.unwrap().count, 50);
    assert_eq!(case.incidents().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_is_over_and_what_is_quiet_is_resolved() {
    let case = Case::new("signals-ack", |s, _| s["spec"]["logs"] = json!({"quiet": "8s"})).await;
    case.burst("flush-lost", "processor", 3);
    let incidents = case.incidents_within(1, Duration::from_secs(10)).await;
    let name = incidents[0].metadata.name.clone().unwrap();
    let resolved = |i: &Incident| i.status.as_ref().is_some_and(|s| s.phase == IncidentPhase::Resolved);
    let quiet = until::<Incident>(&case.store, &name, "resolved", resolved).await;
    assert_eq!(quiet.status.unwrap().message.as_deref(), Some("its log has been quiet for 8s"));
    // The same again is another one, and somebody sees to it at once.
    case.burst("flush-lost", "processor", 3);
    let again = name.strip_suffix('1').unwrap().to_owned() + "2";
    let mut incident = until::<Incident>(&case.store, &again, "open", |i| i.status.is_some()).await;
    (incident.spec.acknowledged, incident.spec.by) = (true, Some("ann@host".into()));
    incident.status = None;
    apply(&case.url, &[serde_json::to_value(&incident).unwrap()]);
    let seen = until::<Incident>(&case.store, &again, "resolved", resolved).await;
    assert_eq!(seen.status.unwrap().message.as_deref(), Some("acknowledged by ann@host"));
}

/// Has a container print lines, as its own process would.
fn say(container: &str, lines: &[String]) {
    let pid = docker(&["inspect", "--format", "{{.State.Pid}}", container]);
    let mut output = std::fs::OpenOptions::new().write(true).open(format!("/proc/{pid}/fd/1")).unwrap();
    output.write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_that_is_asked_for_has_none_of_the_planted_secrets_in_it() {
    let secrets: Vec<(String, String)> = (0..50)
        .map(|n| (format!("APP_{n}_PASSWORD"), format!("q{n}-Zx81{}Gravel", uuid::Uuid::new_v4().simple())))
        .collect();
    let case = Case::new("signals-pack", |s, example| {
        let mut overlay = String::from("services:\n  processor:\n    environment:\n");
        for (name, secret) in &secrets {
            writeln!(overlay, "      {name}: \"{secret}\"").unwrap();
        }
        writeln!(overlay, "    labels:\n      token: \"{}\"", secrets[0].1).unwrap();
        std::fs::write(example.path().join("compose.override.yaml"), overlay).unwrap();
        s["spec"]["compose"]["files"] = json!(["compose.yaml", "compose.override.yaml"]);
    })
    .await;
    let lines: Vec<String> = secrets
        .iter()
        .map(|(_, secret)| format!("2026-02-10 10:00:00 [ERROR] wicap.sql: cannot log in with {secret} at 10.0.0.1"))
        .chain(["SQL url is mssql://sa:hunter2-quagmire@db:1433/wicap".to_owned()])
        .collect();
    say(&case.example.container("processor"), &lines);
    // What it says that nobody has seen before is an incident of its own, with the line.
    let begun = Instant::now();
    while case.incidents().await.is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(10), "a grave line that is new calls for nobody");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let asked = wicapctl(&case.url, &["snapshot", "wicap", "--name", "asked"], "");
    assert_eq!(asked.code, 0, "{}{}", asked.out, asked.err);
    let pack = case.pack_of("asked").await;
    let unpacked = zstd::decode_all(std::fs::File::open(&pack).unwrap()).unwrap();
    let has = |text: &str| unpacked.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(has("cannot log in with [redacted] at 10.0.0.1"), "the lines are there");
    let mut seen =
        vec![("the report".to_owned(), wicapctl(&case.url, &["get", "logreports,incidents", "-o", "yaml"], "").out)];
    seen.push(("the top".to_owned(), wicapctl(&case.url, &["top", "signatures", "wicap"], "").out));
    for secret in secrets.iter().map(|(_, secret)| secret.as_str()).chain(["hunter2-quagmire"]) {
        assert!(!has(secret), "{secret} is in the pack");
        for (what, text) in &seen {
            assert!(!text.contains(secret), "{secret} is in {what}");
        }
    }
    let replayed = wicapctl(&case.url, &["replay", pack.to_str().unwrap()], "");
    assert_eq!(replayed.code, 0, "{}{}", replayed.out, replayed.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_soak_fails_by_what_its_logs_say_and_leaves_a_pack() {
    let case = Case::new("signals-soak", |_, _| {}).await;
    let mut soak = case.example.soak(25);
    soak["spec"]["samples"] = json!({"interval": "1s"});
    soak["spec"]["criteria"]["expressions"] = json!([
        {"name": "lost", "value": "signature('sql-flush-lost')", "max": 0},
        {"name": "truncated", "value": "signature('queue-truncated')", "max": 0}]);
    apply(&case.url, &[soak]);
    until::<SoakRun>(&case.store, "soak", "soaking", |s| s.status.as_ref().is_some_and(|s| s.phase == SoakPhase::Soaking))
        .await;
    case.burst("flush-lost", "processor", 7);
    let done = |s: &SoakRun| s.status.as_ref().is_some_and(|s| s.phase == SoakPhase::Completed);
    let run = until::<SoakRun>(&case.store, "soak", "Completed", done).await;
    let status = run.status.unwrap();
    assert_eq!(status.verdict, Some(Verdict::Failed), "{:#?}", status.reasons);
    let bad: Vec<&String> = status.reasons.iter().filter(|reason| !reason.starts_with("ok:")).collect();
    assert_eq!(bad.len(), 1, "{:#?}", status.reasons);
    assert!(bad[0].contains("signature('sql-flush-lost')") && bad[0].contains('7'), "{}", bad[0]);
    let incidents = case.incidents().await;
    assert!(incidents.iter().any(|i| i.spec.soak.as_deref() == Some("soak")), "{incidents:#?}");
    let pack = case.pack_of("soakrun-soak").await;
    let shown = wicapctl(&case.url, &["snapshot", "show", pack.to_str().unwrap()], "");
    assert!(shown.out.contains("soaks/soak.jsonl") && shown.out.contains("soakrun/soak"), "{}", shown.out);
    let again = wicapctl(&case.url, &["replay", pack.to_str().unwrap()], "");
    assert_eq!(again.code, 0, "{}{}", again.out, again.err);
}
