//! A thousand secrets are planted where a stack has them, and what happens brings them into error messages and answers: none of them
//! is in what any command says, in the store, or in the daemon's log.

mod support;

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpListener;

use rand::RngExt;
use rand::distr::Alphanumeric;
use serde_json::json;
use support::server::Server;
use support::{Daemon, Example, action_runs, apply, connect, free_port, phase, until, wicapctl};
use wicap::api::action::{ActionPhase, ActionRun};
use wicap::api::stack::{ProbeState, WicapStack};

/// By the variables that they are planted in.
fn plant() -> Vec<(String, String)> {
    (0..1_000)
        .map(|n| {
            let mut dice = rand::rng();
            let length = dice.random_range(12..40);
            let secret: String = (0..length).map(|_| char::from(dice.sample(Alphanumeric))).collect();
            let name = match n % 5 {
                0 => format!("APP_{n}_PASSWORD"),
                1 => format!("SERVICE_{n}_TOKEN"),
                2 => format!("QUEUE_{n}_URL"),
                3 => format!("api_key_{n}_SECRET"),
                _ => format!("X{n}_PRIVATE_KEY"),
            };
            (name, secret)
        })
        .collect()
}

/// What a variable holds: its secret, alone or in an address.
fn value(name: &str, secret: &str) -> String {
    if name.ends_with("_URL") { format!("redis://:{secret}@nowhere:6379/0") } else { secret.to_owned() }
}

/// Answers every request as a service does that has lost its mind: 500, and what it should not say.
fn babbler(port: u16, says: Vec<String>) {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    std::thread::spawn(move || {
        for (n, stream) in listener.incoming().enumerate() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 4096]);
            let body = format!("cannot log in with {} nor with {}", says[n % says.len()], says[(n + 7) % says.len()]);
            let _ = write!(
                stream,
                "HTTP/1.1 500 Internal Server Error\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_planted_secrets_none_is_seen_again() {
    let server = Server::start().await;
    let url = server.url();
    let example = Example::new("secrets");
    let planted = plant();
    let mut overlay = String::from("services:\n  processor:\n    environment:\n");
    for (name, secret) in &planted {
        writeln!(overlay, "      {name}: \"{}\"", value(name, secret)).unwrap();
    }
    // A program and a label that are called like two of them: the engine says the one's name when it cannot start it.
    let (program, label) = (&planted[0].1, &planted[1].1);
    writeln!(overlay, "    labels:\n      password: \"{label}\"").unwrap();
    writeln!(overlay, "  scout:\n    entrypoint: [\"/opt/{program}/scout\"]").unwrap();
    std::fs::write(example.path().join("compose.override.yaml"), overlay).unwrap();
    example.compose(&["up", "--detach", "redis", "processor", "ui"]);
    let port = free_port();
    babbler(port, planted.iter().map(|(_, secret)| secret.clone()).collect());

    let daemon = Daemon::start(&url, example.path(), &[]);
    let store = connect(&url).await;
    let stack = example.stack(|s| {
        s["spec"]["compose"]["files"] = json!(["compose.yaml", "compose.override.yaml"]);
        s["spec"]["services"][3]["probes"] = json!([
            {"name": "babble", "httpGet": {"port": port, "path": "/"}, "period": "1s", "failureThreshold": 1}]);
        s["spec"]["services"][3]["managed"] = false.into();
        s["spec"]["defaults"]["recovery"]["ladder"] = json!([
            {"action": "compose_up", "attempts": 1}, {"action": "recreate_service", "attempts": 1}]);
    });
    let mut session = example.session("night", "Assist");
    session["spec"]["reason"] = "a test".into();
    // What cannot start does not within any time.
    let mut policy = example.policy();
    policy["spec"]["timeouts"] = json!({"compose_up": "5s", "recreate_service": "5s"});
    apply(&url, &[stack, policy, session]);

    // The scout is brought up and cannot be; the ui says what it should not.
    let failed = |s: &WicapStack| {
        let status = s.status.as_ref();
        let babbled = |p: &wicap::api::stack::ProbeStatus| p.state == ProbeState::Failing && p.message.is_some();
        status.is_some_and(|s| s.services.iter().flat_map(|s| &s.probes).any(babbled))
    };
    until::<WicapStack>(&store, "wicap", "a probe that fails", failed).await;
    let asked = |s: &WicapStack| s.status.as_ref().is_some_and(|s| s.recovery.iter().any(|r| r.last_action.is_some()));
    until::<WicapStack>(&store, "wicap", "being mended", asked).await;
    let run = action_runs(&store).await.remove(0);
    let run = until::<ActionRun>(&store, run.metadata.name.as_deref().unwrap(), "at its end", |r| phase(r).is_final()).await;
    assert_eq!(phase(&run), ActionPhase::Failed, "{run:#?}");
    let output = run.status.as_ref().unwrap().steps[0].output.clone().unwrap_or_default();
    assert!(output.contains("/opt/[redacted]/scout"), "the engine named the program: {output}");

    let mut seen = vec![("the log".to_owned(), daemon.logged())];
    let name = run.metadata.name.unwrap();
    let mut commands: Vec<Vec<&str>> = vec![
        vec!["describe", "stack", "wicap"],
        vec!["describe", "action", &name],
        vec!["describe", "session", "night"],
        vec!["audit", "list", "--limit", "0", "-o", "json"],
        vec!["audit", "export"],
        vec!["audit", "verify"],
        vec!["policy", "explain", "--run", &name],
        vec!["policy", "explain", "--run", &name, "-o", "json"],
        vec!["version"],
    ];
    let kinds = ["stacks", "sessions", "policies", "actions", "stops", "soaks", "elevations", "approvals"];
    for kind in kinds {
        for format in ["wide", "json", "yaml"] {
            commands.push(vec!["get", kind, "-o", format]);
        }
    }
    for command in &commands {
        let said = wicapctl(&url, command, "");
        assert!(matches!(said.code, 0 | 1), "{command:?}: {said:?}");
        seen.push((command.join(" "), said.out + &said.err));
    }
    let all = etcd_client::GetOptions::new().with_all_keys();
    let stored = server.client().await.get("", Some(all)).await.unwrap();
    for kv in stored.kvs() {
        seen.push((kv.key_str().unwrap().to_owned(), String::from_utf8_lossy(kv.value()).into_owned()));
    }
    assert!(seen.iter().any(|(_, text)| text.contains("cannot log in with [redacted] nor with [redacted]")));
    for (place, text) in &seen {
        for (name, secret) in &planted {
            assert!(!text.contains(secret.as_str()), "{place} tells {name}");
        }
    }
    println!("{} texts, {} bytes", seen.len(), seen.iter().map(|(_, text)| text.len()).sum::<usize>());

    // What a person pipes through the filter, with the secrets in a file.
    let env: String = planted.iter().map(|(name, secret)| format!("{name}={}\n", value(name, secret))).collect();
    let file = example.path().join("secrets.env");
    std::fs::write(&file, &env).unwrap();
    let prose: String = planted.iter().map(|(_, secret)| format!("it said {secret}, twice\n")).collect();
    let said = wicapctl(&url, &["redact", "--env-file", file.to_str().unwrap()], &prose);
    let clean = "it said [redacted], twice";
    let odd: Vec<_> = said.out.lines().filter(|line| *line != clean).collect();
    assert!(said.code == 0 && odd.is_empty() && said.out.lines().count() == planted.len(), "{odd:#?}");
}
