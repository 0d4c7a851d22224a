//! What the planner decides is a function of what it is given: written by hand, recorded of a live stack, and the same each time.

mod support;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::server::Server;
use support::{Daemon, Said, action_runs, apply, blocked_by, connect, phase, root, until, wicapctl, wicapctl_with};
use wicap::api::action::{ActionPhase, ActionRun};
use wicap::api::incident::Incident;
use wicap::api::session::{ControlSession, SessionPhase};
use wicap::api::stack::{ServiceState, ServiceStatus, WicapStack};
use wicap::api::stop::EmergencyStop;
use wicap::api::{Object, Time};
use wicap::clock::Clock;
use wicap::store::election::{Fence, campaign};
use wicap::store::embedded::{Embedded, Options};
use wicap::store::{DeleteParams, ListParams, Patch, Store};

/// Set to write what is printed now as what is expected, to be reviewed like code.
const ACCEPT: &str = "WICAP_TEST_ACCEPT";

fn replay(file: &Path, flags: &[&str]) -> Said {
    // A store that nobody could reach: none is needed.
    let nowhere = [("WICAP_STORE", Path::new("http://127.0.0.1:1"))];
    wicapctl_with(&nowhere, &[&["replay", file.to_str().unwrap()], flags].concat(), "")
}

/// What must be replayed, line by line.
fn lines(file: &Path, flags: &[&str]) -> Vec<Value> {
    let said = replay(file, flags);
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
    said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn expect(file: &Path, flags: &[&str], golden: &Path) {
    let said = replay(file, flags);
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{}: {said:?}", file.display());
    if std::env::var_os(ACCEPT).is_some() {
        std::fs::write(golden, &said.out).unwrap();
    }
    let expected = std::fs::read_to_string(golden).unwrap_or_default();
    assert_eq!(said.out, expected, "{} has other decisions than {}", file.display(), golden.display());
}

#[test]
fn each_file_gives_the_decisions_that_stand_beside_it() {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(root().join("tests/replay")).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "json"));
    files.sort();
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        expect(&file, &[], &file.with_extension("out"));
        expect(&file, &["--between"], &file.with_extension("between.out"));
    }
}

/// The smallest file, changed.
fn small(change: impl FnOnce(&mut Value)) -> Value {
    let mut file = json!({
        "stack": {
            "apiVersion": "wicap.dev/v1alpha1", "kind": "WicapStack", "metadata": {"name": "s"},
            "spec": {
                "compose": {"project": "p", "directory": "/srv/p"}, "services": [{"name": "ui"}],
                "defaults": {"recovery": {"holdOff": "0s"}},
            },
        },
        "session": {
            "apiVersion": "wicap.dev/v1alpha1", "kind": "ControlSession", "metadata": {"name": "night"},
            "spec": {
                "stack": "s", "mode": "Assist", "ttl": "8h", "allowedActions": ["start_service", "restart_service"],
                "operator": "ann@host", "reason": "night",
            },
        },
        "policies": [{
            "apiVersion": "wicap.dev/v1alpha1", "kind": "ControlPolicy", "metadata": {"name": "all"},
            "spec": {"allow": [{"actions": ["group:caution"]}], "allowedRoots": ["/srv"], "hosts": ["*"]},
        }],
        "stops": [],
        "steps": [{"at": "2026-01-01T20:00:00Z", "observed": {"services": {"ui": "Exited"}}}],
    });
    change(&mut file);
    file
}

fn piped(text: &str, flags: &[&str]) -> Said {
    wicapctl_with(&[], &[&["replay", "-"], flags].concat(), text)
}

#[test]
fn what_cannot_be_replayed_is_one_error_that_names_the_field_and_nothing_is_printed() {
    type Change = fn(&mut Value);
    let table: &[(Change, &str)] = &[
        (|f| f["stps"] = json!([]), "stps: found an unknown field, expected one of stack, session, policies, stops"),
        (|f| f["steps"][0]["observd"] = json!({}), "steps[0].observd: found an unknown field, expected one of at, "),
        (|f| f["steps"] = json!(1), "steps: found 1, expected a list"),
        (|f| drop(f.as_object_mut().unwrap().remove("steps")), "steps: found nothing, expected a value"),
        (|f| f["stack"] = json!(null), "stack: found null, expected an object with apiVersion, kind, metadata and spec"),
        (|f| f["stack"]["kind"] = json!("Pod"), "stack.kind: found \"Pod\", expected one of WicapStack"),
        (|f| f["stack"]["spec"]["services"][0]["nmae"] = json!("x"), "stack.spec.services[0].nmae: found an unknown field"),
        (|f| f["stack"]["status"] = json!({"services": 1}), "stack.status.services: found 1, expected a list"),
        (|f| f["session"]["spec"]["ttl"] = json!("0s"), "session.spec.ttl: found \"0s\", expected a duration over 0s"),
        (|f| f["policies"][0]["spec"]["hosts"] = json!(["?"]), "policies[0].spec.hosts[0]: found \"?\""),
        (|f| f["stops"] = json!([{"kind": "x"}]), "stops[0].apiVersion: found nothing"),
        (|f| f["steps"][0]["at"] = json!("soon"), "steps[0].at: found \"soon\", expected a time (RFC 3339)"),
        (|f| f["steps"][0]["at"] = json!(5), "steps[0].at: found 5, expected a time (RFC 3339)"),
        (
            |f| f["steps"] = json!([f["steps"][0], f["steps"][0]]),
            "steps[1].at: found \"2026-01-01T20:00:00Z\", expected a time after that of the step before",
        ),
        (
            |f| f["steps"][0]["observed"]["services"] = json!({"iu": "Exited"}),
            "steps[0].observed.services.iu: found \"iu\", expected one of the stack's services, ui",
        ),
        (
            |f| f["steps"][0]["observed"]["services"] = json!({"ui": "Down"}),
            "steps[0].observed.services.ui: found \"Down\", expected one of \"Running\"",
        ),
        (
            |f| f["steps"][0]["observed"]["services"] = json!({"ui": {"state": "Exited", "exitcode": 1}}),
            "steps[0].observed.services.ui.exitcode: found an unknown field",
        ),
        (
            |f| f["steps"][0]["observed"]["services"] = json!({"ui": {"exitCode": 1}}),
            "steps[0].observed.services.ui.state: found nothing, expected a value",
        ),
        (
            |f| f["steps"][0]["results"] = json!({"reboot/ui": "Succeeded"}),
            "steps[0].results.reboot/ui: found \"reboot/ui\", expected ACTION/SERVICE",
        ),
        (
            |f| f["steps"][0]["results"] = json!({"start_service/ui": "Fine"}),
            "steps[0].results.start_service/ui: found \"Fine\", expected one of \"Pending\"",
        ),
        (|f| f["steps"][0]["unobserved"] = json!(true), "steps[0].unobserved: found true beside observed"),
        (|f| f["steps"][0]["acknowledged"] = json!(["iu"]), "steps[0].acknowledged[0]: found \"iu\", expected one of"),
    ];
    for (change, expected) in table {
        let said = piped(&small(change).to_string(), &[]);
        let message = said.err.strip_prefix("error: (standard input): ").unwrap_or(&said.err);
        assert!(message.starts_with(expected), "{}\n  should begin\n{expected}", said.err);
        assert_eq!((said.code, said.out.as_str(), said.err.lines().count()), (2, "", 1), "{said:?}");
    }
    for (text, expected) in
        [("", "found 0 documents"), ("{}\n{}", "found 2 documents"), ("[1", "line 1"), ("7", "(document)")]
    {
        let said = piped(text, &[]);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.err.contains(expected), "{said:?}");
    }
    let said = replay(Path::new("/no/such/file"), &[]);
    assert_eq!((said.code, said.out.as_str()), (2, ""), "{said:?}");
    assert!(
        piped(&small(|_| {}).to_string(), &[]).out.contains(r#""decision":"Act","action":"start_service","target":"ui""#)
    );
}

#[test]
fn the_same_file_gives_the_same_bytes_at_whatever_time_it_plays() {
    for at in ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "2026-01-01T20:00:00Z", "9999-12-30T21:59:59Z"] {
        let file = small(|f| {
            f["steps"][0]["at"] = json!(at);
            let more = format!("{}{:02}Z", &at[..17], 30);
            if at.ends_with("00Z") {
                f["steps"].as_array_mut().unwrap().push(json!({"at": more, "observed": {"services": {"ui": "Exited"}}}));
            }
        })
        .to_string();
        let (once, again) = (piped(&file, &[]), piped(&file, &[]));
        assert_eq!(once.code, 0, "{once:?}");
        assert_eq!(once.out, again.out);
        assert!(once.out.contains("\"Act\""), "{once:?}");
        assert_eq!(piped(&file, &["--between"]).code, 0);
    }
    // A year of heartbeats is more than anybody means.
    let long = small(|f| f["steps"].as_array_mut().unwrap().push(json!({"at": "2027-01-01T20:00:00Z"})));
    let said = piped(&long.to_string(), &["--between"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("steps[1].at: found 2027-01-01T20:00:00Z, more than 3000 moments"), "{said:?}");
}

/// What is done about a service that is down at each observation: `3 status_check, 5 restart_service, 6 compose_up, 7 a person`.
fn climbed(lines: &[Value]) -> String {
    let mut taken = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        for decision in line["decisions"].as_array().unwrap() {
            match decision["decision"].as_str().unwrap() {
                "Act" => taken.push(format!("{} {}", i + 1, decision["action"].as_str().unwrap())),
                "Escalate" => taken.push(format!("{} a person", i + 1)),
                "Wait" => {}
                other => panic!("{other}: {line}"),
            }
        }
    }
    taken.join(", ")
}

#[test]
fn the_predecessors_ladders_are_climbed_at_the_very_observations_that_are_documented() {
    let folder = root().join("manifests/predecessor");
    let read = |name: &str| -> Value { serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap() };
    let file = read("replay.json");
    assert_eq!(file["stack"], read("stack.json"));
    let steps = file["steps"].as_array().unwrap();
    let restated: Vec<_> = steps.iter().filter_map(|step| step.get("stack")).collect();
    assert_eq!(restated, [&read("stack-bold.json")]);
    let lines = lines(&folder.join("replay.json"), &[]);
    // A spell of twelve between two observations of all being well.
    let spells: Vec<_> = lines.chunks(14).map(|spell| climbed(&spell[1..13])).collect();
    assert!(lines.chunks(14).all(|spell| spell[0]["decisions"] == json!([]) && spell[13]["decisions"] == json!([])));
    let of = ["processor", "ui", "redis", "scout"];
    let rows: Vec<_> = ["supervised", "autonomous"]
        .iter()
        .flat_map(|profile| of.map(|service| format!("| {profile} | {service} |")))
        .zip(&spells)
        .map(|(head, spell)| format!("{head} {spell} |"))
        .collect();
    assert_eq!(spells.len(), 8);
    let documented = std::fs::read_to_string(folder.join("README.md")).unwrap();
    for row in &rows {
        assert!(documented.contains(row), "README.md lacks\n{row}\nof\n{}", rows.join("\n"));
    }
    // As the predecessor does it.
    assert_eq!(spells[0], "3 status_check, 5 restart_service, 6 compose_up, 7 a person");
    assert_eq!(spells[1], "3 status_check, 7 restart_service, 8 compose_up, 9 a person");
    assert_eq!(spells[2], "3 status_check, 4 restart_service, 5 a person");
    assert_eq!(spells[3], "3 status_check, 4 restart_service, 5 compose_up, 6 a person");
    expect(&folder.join("replay.json"), &[], &root().join("tests/replay/predecessor.out"));
}

/// The parts of observer and actuator, played by hand.
struct Hands {
    store: Store,
    fence: Fence,
}

impl Hands {
    /// Writes what an observer would have seen.
    async fn see(&self, services: &[(&str, ServiceState)]) {
        let stack = self.store.api::<WicapStack>().get("wicap").await.unwrap();
        let api = self.store.api::<WicapStack>();
        api.update_status(&stack, &self.fence, |stored, status| {
            let now = self.store.clock().now();
            status.observed_at = Some(now);
            status.observed_generation = stored.metadata.generation;
            let old = std::mem::take(&mut status.services);
            status.services = services
                .iter()
                .map(|(name, state)| {
                    let since = old.iter().find(|s| s.name == *name && s.state == *state).map_or(Some(now), |s| s.since);
                    let message = (*state == ServiceState::Exited).then(|| "it said: password=hunter2secret".to_owned());
                    let exit_code = (*state == ServiceState::Exited).then_some(137);
                    ServiceStatus {
                        name: (*name).to_owned(),
                        state: *state,
                        since,
                        message,
                        exit_code,
                        ..ServiceStatus::default()
                    }
                })
                .collect();
        })
        .await
        .unwrap();
    }

    /// The next action that is asked for, claimed.
    async fn claim(&self, done: &mut Vec<String>) -> ActionRun {
        let known = done.clone();
        let next = |s: &WicapStack| {
            let last = s.status.iter().flat_map(|s| &s.recovery).find_map(|r| r.last_action.clone());
            last.filter(|name| !known.contains(name))
        };
        let stack = until::<WicapStack>(&self.store, "wicap", "acted on", |s| next(s).is_some()).await;
        let name = next(&stack).unwrap();
        done.push(name.clone());
        let run = self.store.api::<ActionRun>().get(&name).await.unwrap();
        self.end(run, ActionPhase::Running).await
    }

    async fn end(&self, mut run: ActionRun, phase: ActionPhase) -> ActionRun {
        let now = self.store.clock().now();
        let status = run.status.get_or_insert_default();
        status.phase = phase;
        status.started_at.get_or_insert(now);
        status.finished_at = phase.is_final().then_some(now);
        self.store.api().replace_status(&run, Some(&self.fence)).await.unwrap()
    }
}

fn decided(lines: &[Value], kind: &str) -> Vec<String> {
    let all = lines.iter().flat_map(|line| line["decisions"].as_array().unwrap());
    let text = |d: &Value, field: &str| d[field].as_str().unwrap_or_default().to_owned();
    all.filter(|d| d["decision"] == kind).map(|d| format!("{} {}", text(d, "action"), text(d, "target"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_of_a_live_stack_gives_the_decisions_that_were_taken() {
    use ServiceState::{Exited, Missing, Running, Unhealthy};
    let server = Server::start().await;
    let (url, directory) = (server.url(), tempfile::tempdir().unwrap());
    let _daemon = Daemon::start(&url, directory.path(), &["--controllers", "planner,session"]);
    let hands = {
        let store = connect(&url).await;
        let leadership = campaign(&store, "hands", "here").await;
        Hands { store, fence: leadership.fence.clone() }
    };
    let mut objects = small(|f| {
        f["stack"]["metadata"]["name"] = json!("wicap");
        f["stack"]["spec"]["services"] = json!([{"name": "redis"}, {"name": "ui", "dependsOn": ["redis"]}]);
        f["stack"]["spec"]["defaults"]["recovery"] = json!({
            // Long enough for the stop below to be in force before the third action is due, on a machine that has other work.
            "holdOff": "200ms", "backoff": {"initial": "2s", "max": "3s"},
            "ladder": [{"action": "start_service", "attempts": 2}, {"action": "restart_service"}],
        });
        f["session"]["spec"]["stack"] = json!("wicap");
        f["session"]["spec"]["budget"] = json!({"maxActions": 20, "window": "1h"});
    });
    apply(&url, &[objects["stack"].take(), objects["policies"][0].take(), objects["session"].take()]);
    let active = |s: &ControlSession| s.status.as_ref().is_some_and(|s| s.phase == SessionPhase::Active);
    until::<ControlSession>(&hands.store, "night", "Active", active).await;

    let mut done = Vec::new();
    hands.see(&[("redis", Running), ("ui", Running)]).await;
    // What was before this is forgotten, and a part of the beginning.
    server.compact().await;
    hands.see(&[("redis", Running), ("ui", Exited)]).await;
    for phase in [ActionPhase::Failed, ActionPhase::Succeeded] {
        let run = hands.claim(&mut done).await;
        hands.see(&[("redis", Running), ("ui", Exited)]).await;
        hands.end(run, phase).await;
        hands.see(&[("redis", Running), ("ui", Exited)]).await;
    }
    // A stop holds the third action up.
    let stopped = wicapctl(&url, &["stop", "wicap", "--reason", "smoke"], "");
    assert_eq!(stopped.code, 0, "{stopped:?}");
    until::<WicapStack>(&hands.store, "wicap", "blocked", |s| blocked_by(s) == Some("emergencyStop")).await;
    assert_eq!(wicapctl(&url, &["resume", "wicap"], "").code, 0);
    let run = hands.claim(&mut done).await;
    hands.end(run, ActionPhase::Failed).await;
    hands.see(&[("redis", Running), ("ui", Unhealthy)]).await;
    let escalated = |s: &WicapStack| s.status.iter().flat_map(|s| &s.recovery).any(|r| r.escalated_at.is_some());
    until::<WicapStack>(&hands.store, "wicap", "escalated", escalated).await;
    hands.see(&[("redis", Missing), ("ui", Running)]).await;
    // An empty ladder cannot mend a missing container.
    let given_up =
        |s: &WicapStack| s.status.iter().flat_map(|s| &s.recovery).filter(|r| r.escalated_at.is_some()).count() == 2;
    until::<WicapStack>(&hands.store, "wicap", "given up", given_up).await;
    // Somebody sees to it, and a new episode begins, which ends no better.
    let incidents = hands.store.api::<Incident>();
    let all = incidents.list(&ListParams::default()).await.unwrap().items;
    let of_redis = all.iter().find(|i| i.spec.service == "redis").expect("a person is called for redis");
    incidents.patch(of_redis.name(), &Patch::Merge(json!({"spec": {"acknowledged": true}}))).await.unwrap();
    let again = |s: &WicapStack| {
        let of_redis = s.status.iter().flat_map(|s| &s.recovery).find(|r| r.service == "redis");
        of_redis.is_some_and(|r| r.episode > 1 && r.escalated_at.is_some())
    };
    until::<WicapStack>(&hands.store, "wicap", "given up again", again).await;
    hands.see(&[("redis", Running), ("ui", Running)]).await;

    let file = directory.path().join("recorded.json");
    let said = wicapctl(&url, &["replay", "--record", "wicap", "-o", file.to_str().unwrap()], "");
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (0, "", ""), "{said:?}");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains("hunter2secret"), "{text}");
    let lines = lines(&file, &[]);
    let runs = action_runs(&hands.store).await;
    assert_eq!(runs.len(), done.len());
    let of = |name: &String| runs.iter().find(|run| run.name() == name).unwrap();
    let taken: Vec<_> = done.iter().map(of).map(|run| format!("{} {}", run.spec.action, run.spec.target)).collect();
    assert_eq!(taken, ["start_service ui", "start_service ui", "restart_service ui"]);
    assert_eq!(decided(&lines, "Act"), taken, "{text}\n{lines:#?}");
    assert_eq!(decided(&lines, "Escalate"), [" ui", " redis", " redis"], "{text}");
    assert_eq!(decided(&lines, "Blocked").first().map(String::as_str), Some("restart_service ui"), "{text}");
    assert!(decided(&lines, "Wait").len() >= 3, "{lines:#?}");
    // The times are those of the decisions.
    let stack = hands.store.api::<WicapStack>().get("wicap").await.unwrap();
    let at: Vec<Time> = lines.iter().map(|line| line["at"].as_str().unwrap().parse().unwrap()).collect();
    let called = stack.status.unwrap().recovery.iter().find(|r| r.service == "redis").unwrap().escalated_at.unwrap();
    assert!(at.contains(&called), "{called} {at:?}");
    assert!(runs.iter().all(|run| phase(run).is_final()));

    let said = wicapctl(&url, &["replay", "--record", "another"], "");
    assert_eq!((said.code, said.out.as_str()), (1, ""), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_that_what_is_stored_does_not_explain_is_told_and_the_recording_goes_on_from_it() {
    let server = Server::start().await;
    let url = server.url();
    let store = connect(&url).await;
    let leadership = campaign(&store, "hands", "here").await;
    let hands = Hands { store, fence: leadership.fence.clone() };
    let mut objects = small(|f| {
        f["stack"]["metadata"]["name"] = json!("wicap");
        f["stack"]["spec"]["services"] = json!([{"name": "ui"}]);
    });
    apply(&url, &[objects["stack"].take()]);
    hands.see(&[("ui", ServiceState::Running)]).await;
    hands.see(&[("ui", ServiceState::Exited)]).await;
    // A planner of another mind: it calls a person for what has no session yet.
    let (api, called) = (hands.store.api::<WicapStack>(), hands.store.clock().now());
    let stack = api.get("wicap").await.unwrap();
    let decide = |_: &WicapStack, status: &mut wicap::api::stack::WicapStackStatus| {
        let state = json!({"service": "ui", "episode": 1, "escalatedAt": called.to_string(), "exhausted": ["NotRunning"]});
        status.recovery = vec![serde_json::from_value(state).unwrap()];
        status.decided_at = Some(called);
    };
    api.update_status(&stack, &hands.fence, decide).await.unwrap();
    hands.see(&[("ui", ServiceState::Exited)]).await;
    let said = wicapctl(&url, &["replay", "--record", "wicap"], "");
    assert_eq!(said.code, 0, "{said:?}");
    let warning = format!("warning: what was decided at {called} cannot be explained by what the store knows of it");
    assert_eq!(said.err.trim_end(), warning);
    let replayed = piped(&said.out, &[]);
    assert_eq!(replayed.code, 0, "{replayed:?}");
    let last = replayed.out.lines().last().unwrap();
    assert!(last.contains("a person was called at"), "{}\n{}", said.out, replayed.out);
}

#[tokio::test]
async fn a_history_is_every_state_since_the_store_was_compacted() {
    let embedded = Embedded::in_memory(Options::default()).unwrap();
    let mut client = embedded.client().await.unwrap();
    let store = Store::with_client(client.clone(), "embedded".parse().unwrap(), Clock::system());
    let stops = store.api::<EmergencyStop>();
    let nothing = store.span().await.unwrap();
    assert!(nothing.first == 0 && stops.history(nothing).await.unwrap().is_empty(), "{nothing:?}");
    let one = |name: &str, reason: &str| support::stops::stop(name, reason);
    for (name, reason) in [("a", "first"), ("b", "first")] {
        stops.create(&one(name, reason)).await.unwrap();
    }
    let leadership = campaign(&store, "hands", "here").await;
    let since = support::stops::since(stops.get("b").await.unwrap(), 5);
    stops.replace_status(&since, Some(&leadership.fence)).await.unwrap();
    let at = client.get("x", None).await.unwrap().header().unwrap().revision();
    let before = store.span().await.unwrap();
    stops.replace(&one("a", "second")).await.unwrap();
    stops.delete("b", &DeleteParams::default()).await.unwrap();
    let told = |states: &[wicap::store::history::State<EmergencyStop>]| {
        let one = |s: &wicap::store::history::State<EmergencyStop>| {
            let said = s.object.as_ref().map_or("gone".to_owned(), |o| {
                format!("{}{}", o.spec.reason, if o.status.is_some() { ", in force" } else { "" })
            });
            format!("{} {said}", s.name)
        };
        states.iter().map(one).collect::<Vec<_>>()
    };
    let all = ["a first", "b first", "b first, in force", "a second", "b gone"];
    assert_eq!(told(&stops.history(before).await.unwrap()), all[..3], "a span has an end");
    assert_eq!(told(&stops.history(store.span().await.unwrap()).await.unwrap()), all);
    client.compact(at, None).await.unwrap();
    let span = store.span().await.unwrap();
    assert_eq!(span.first, at);
    let states = stops.history(span).await.unwrap();
    assert_eq!(told(&states), ["a first", "b first, in force", "a second", "b gone"]);
    assert!(states.is_sorted_by_key(|s| s.revision) && states[1].revision == at);
    let gone = stops.history(before).await;
    assert!(matches!(gone, Err(wicap::store::Error::Expired)), "{gone:?}");
}
