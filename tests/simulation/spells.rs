//! Histories that are not drawn: an hour in which nothing happens, ten minutes in which a dependency is away, in which the engine says
//! nothing of one container, and in which a session only says what it would do.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use wicap::api::stack::ServiceState;

use super::docker::{Phase, Program};
use super::judge::no_heartbeats;
use super::scenario::Scenario;
use super::world::World;
use super::{directory, paused};

/// How long it takes at most until everything that had to be written about the beginning has been.
const BEGINNING: Duration = Duration::from_secs(120);

fn probed(name: &str, port: u16) -> Value {
    json!({"name": name, "probes": [{"name": "up", "period": "1s", "timeout": "1s", "tcpSocket": {"port": port}}]})
}

#[test]
fn an_hour_of_health_costs_heartbeats_and_changes_nothing() {
    let directory = directory();
    let program = |port, checked| Program { serves_after: Duration::from_millis(200), port, checked, ..Program::default() };
    let programs = [("redis", 1, false), ("scout", 2, true), ("processor", 3, true), ("ui", 4, true)];
    let services: Vec<Value> = programs.iter().map(|(name, port, _)| probed(name, *port)).collect();
    let programs = programs.map(|(name, port, checked)| (name.to_owned(), program(port, checked))).into();
    paused(1).block_on(async {
        let world = Box::pin(World::begin(Scenario::quiet(programs, &services, &json!({})), directory.path())).await;
        sleep(BEGINNING).await;
        let (from, deeds) = (world.revision().await, world.journal.deeds().len());
        sleep(Duration::from_secs(3600)).await;
        let record = world.record.lock().unwrap().clone();
        let heartbeats = record.iter().filter(|c| c.revision > from && c.key.starts_with("wicapstacks.status/")).count();
        assert_eq!(no_heartbeats(&record, from).len(), 0, "{:#?}", no_heartbeats(&record, from));
        assert_eq!(world.journal.deeds().len(), deeds);
        assert_eq!(deeds, 0);
        // One every thirty seconds, so that what stops being observed is known to be.
        assert!((110..=121).contains(&heartbeats), "{heartbeats}");
    });
}

/// Services that serve, each with a probe, and nobody else's.
fn alone(names: &[&str]) -> (BTreeMap<String, Program>, Vec<Value>) {
    let program = |port| Program { serves_after: Duration::from_millis(50), port, ..Program::default() };
    let programs = names.iter().zip(1..).map(|(name, port)| ((*name).to_owned(), program(port))).collect();
    (programs, names.iter().zip(1..).map(|(name, port)| probed(name, port)).collect())
}

#[test]
fn one_container_of_which_the_engine_says_nothing_keeps_nobody_else_from_being_mended() {
    let directory = directory();
    let (programs, services) = alone(&["mute", "hurt"]);
    let scenario = Scenario::quiet(programs, &services, &json!({"recovery": {"holdOff": "0s"}}));
    paused(3).block_on(async {
        let world = Box::pin(World::begin(scenario, directory.path())).await;
        sleep(BEGINNING).await;
        world.docker.lock().mute = Some("mute".to_owned());
        sleep(Duration::from_secs(300)).await;
        world.docker.kill("hurt");
        let hurt = Instant::now();
        while !world.docker.serves("hurt") {
            assert!(hurt.elapsed() < Duration::from_secs(60), "{}", world.journal.trace().join("\n"));
            sleep(Duration::from_millis(50)).await;
        }
        println!("beside a mute container the other serves {:?} after it was killed", hurt.elapsed());
        sleep(Duration::from_secs(300)).await;
        assert_eq!(
            world.states().await,
            [("mute".to_owned(), ServiceState::Unknown), ("hurt".to_owned(), ServiceState::Running)]
        );
        assert_eq!(world.journal.deeds().len(), 1, "what nobody knows is left alone");

        world.docker.lock().mute = None;
        sleep(Duration::from_secs(60)).await;
        assert_eq!(
            world.states().await,
            [("mute".to_owned(), ServiceState::Running), ("hurt".to_owned(), ServiceState::Running)]
        );
    });
}

#[test]
fn what_a_session_only_said_is_done_at_once_in_the_next_one_that_acts() {
    let directory = directory();
    let (programs, services) = alone(&["hurt"]);
    let scenario = Scenario::quiet(programs, &services, &json!({"recovery": {"holdOff": "0s"}}));
    paused(5).block_on(async {
        let world = Box::pin(World::begin(scenario, directory.path())).await;
        sleep(BEGINNING).await;
        world.end_session(&world.last_session()).await;
        let shadow = world.open_session("Shadow").await;
        sleep(Duration::from_secs(5)).await;
        world.docker.kill("hurt");
        sleep(Duration::from_secs(600)).await;
        assert_eq!(world.journal.deeds(), []);
        world.end_session(&shadow).await;
        world.open_session("Assist").await;
        let opened = Instant::now();
        while !world.docker.serves("hurt") {
            assert!(opened.elapsed() < Duration::from_secs(1), "{}", world.journal.trace().join("\n"));
            sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(world.journal.deeds().iter().map(|d| d.verb).collect::<Vec<_>>(), ["start"]);
    });
}

#[test]
fn what_crashed_for_want_of_a_dependency_serves_within_a_second_of_its_return() {
    let directory = directory();
    let mut programs = BTreeMap::new();
    let base = Program { serves_after: Duration::from_millis(50), port: 1, config: 1, ..Program::default() };
    programs.insert("base".to_owned(), base);
    let mut services = vec![probed("base", 1)];
    services[0]["managed"] = json!(false);
    let dependents = ["d1", "d2", "d3"];
    for (n, name) in (2_u16..).zip(dependents) {
        let needs = Some("base".to_owned());
        let serves_after = Duration::from_millis(50);
        programs.insert(name.to_owned(), Program { serves_after, needs, restarts: true, port: n, ..Program::default() });
        let mut service = probed(name, n);
        service["dependsOn"] = json!(["base"]);
        services.push(service);
    }
    for hands in [1, 3] {
        let scenario = Scenario::quiet(programs.clone(), &services, &json!({"maxConcurrent": hands}));
        paused(7).block_on(async {
            let world = Box::pin(World::begin(scenario, directory.path())).await;
            sleep(BEGINNING).await;
            world.docker.kill("base");
            for dependent in dependents {
                world.docker.crash(dependent, 1);
            }
            sleep(Duration::from_secs(600)).await;
            assert_eq!(world.journal.deeds(), [], "what waits for another is left alone");
            let waits = dependents.iter().filter(|d| world.docker.of(d).is_some_and(|c| c.phase == Phase::Restarting));
            assert!(waits.count() > 0, "the engine's own wait is up to a minute by now");

            let base = world.docker.of("base").expect("it is stopped, and there");
            world.docker.start(&base.id).await;
            let back = Instant::now();
            while !dependents.iter().all(|d| world.docker.serves(d)) {
                assert!(back.elapsed() < Duration::from_secs(1), "{}", world.journal.trace().join("\n"));
                sleep(Duration::from_millis(5)).await;
            }
            println!("with {hands} at once, all serve {:?} after the dependency was started", back.elapsed());
        });
    }
}
