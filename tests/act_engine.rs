//! Observing and acting on a real Docker engine, with a compose project of its own that is removed afterwards.
//!
//! It needs an engine at the usual socket (or `DOCKER_HOST`), `docker compose` and the programs `tar`, `ldd` and `sleep`; no
//! registry: the image is made of the host's own `sleep`.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt};
use serde_json::json;
use wicap::act::{Actor, Deed, default_timeout, precondition};
use wicap::api::action::{ActionKind, ContainerFact};
use wicap::api::stack::{ServiceState, WicapStackSpec};
use wicap::audit::redact::redact;
use wicap::observe::compose::{ComposeCli, ConfigCache};
use wicap::observe::directory::HeldDirectory;
use wicap::observe::engine::{ContainerEvent, ContainerState, Engine, EngineError};

const IMAGE: &str = "wicap-act-test:1";

/// A compose project whose containers and directory go away with it.
struct Project {
    name: String,
    directory: tempfile::TempDir,
}

impl Project {
    fn new(compose: &str) -> Self {
        let name = format!("wicap-act-test-{}", std::process::id());
        let project = Self { name, directory: tempfile::tempdir().unwrap() };
        image(project.directory.path());
        std::fs::write(project.directory.path().join("compose.yaml"), compose).unwrap();
        project
    }

    fn spec(&self, services: &serde_json::Value) -> WicapStackSpec {
        let directory = self.directory.path();
        serde_json::from_value(json!({"compose": {"project": self.name, "directory": directory}, "services": services}))
            .unwrap()
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let file = self.directory.path().join("compose.yaml");
        let down = ["down", "--remove-orphans", "--timeout", "0"];
        let mut command = Command::new("docker");
        let _ = command.args(["compose", "-p", &self.name, "-f"]).arg(file).args(down).output();
        let _ = Command::new("docker").args(["image", "rm", IMAGE]).output();
    }
}

fn image(directory: &Path) {
    let script = format!(
        "mkdir -p root/bin && cp \"$(command -v sleep)\" root/bin/sleep && \
         for lib in $(ldd root/bin/sleep | grep -o '/[^ ]*'); do mkdir -p root/$(dirname $lib) && cp $lib root/$lib; done && \
         tar -C root -c . | docker import - {IMAGE} && rm -r root"
    );
    let made = Command::new("sh").args(["-ec", &script]).current_dir(directory).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

fn service(name: &str, depends_on: &str) -> String {
    format!(
        "  {name}:\n    image: {IMAGE}\n    command: [sleep, \"600\"]\n    init: true\n    network_mode: none\n    \
         stop_grace_period: 1s\n    depends_on: [{depends_on}]\n"
    )
}

struct Hand {
    actor: Actor,
    spec: WicapStackSpec,
}

impl Hand {
    /// Facts, precondition, execution, verification, as the actuator does it.
    async fn act(&self, action: ActionKind, target: &str) -> Vec<ContainerFact> {
        let before = self.actor.facts(&self.spec, Deed::new(action, target)).await.unwrap();
        precondition(action, &before).unwrap();
        let (limit, begun) = (default_timeout(action), Instant::now());
        let held = HeldDirectory::open(Path::new(&self.spec.compose.directory)).unwrap();
        let outcome = self.actor.execute(&self.spec, Deed::new(action, target), &before, &held, limit).await.unwrap();
        let executed = begun.elapsed();
        assert!(matches!(outcome.exit_code, None | Some(0)), "{action}: {outcome:?}");
        let seen = self.actor.verify(&self.spec, Deed::new(action, target), &before, Duration::from_secs(10), true).await;
        assert!(seen.holds, "{action}: {} (it said {})", seen.message, outcome.output);
        println!("{action} {target:?}: executed in {executed:?}, verified after {:?}", begun.elapsed());
        seen.after
    }
}

/// The next thing that happens to a service, if the next event is about it.
async fn next_of(
    events: &mut (impl Stream<Item = Result<ContainerEvent, EngineError>> + Unpin),
    project: &str,
    service: &str,
) -> Option<String> {
    let event =
        tokio::time::timeout(Duration::from_secs(30), events.next()).await.expect("the engine tells").unwrap().unwrap();
    (event.project == project && event.service == service).then_some(event.action)
}

#[tokio::test]
async fn every_action_has_its_effect_and_touches_nothing_else() {
    let with_token = service("d", "") + "    environment: {API_TOKEN: old-quartz-5512}\n";
    let services = service("a", "") + &service("b", "a") + &service("c", "b") + &with_token + &service("unlisted", "");
    let project = Project::new(&format!("services:\n{services}"));
    let url = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
    let (engine, cli) = (Engine::new(&url).unwrap(), ComposeCli::new(&url));
    engine.ping().await.expect("this test needs a Docker engine");
    let spec = project.spec(&json!([{"name": "a"}, {"name": "b"}, {"name": "c"}, {"name": "d"}]));
    let hand = Hand { actor: Actor::new(engine.clone(), cli.clone()), spec };
    let mut events = Box::pin(engine.events());

    let up = hand.act(ActionKind::ComposeUp, "").await;
    assert_eq!(up.len(), 4);
    // The engine remembers its last 256 events, and others make some too: the stream is first polled now, and not at the end.
    let mut seen = Vec::new();
    while seen.last().is_none_or(|last| last != "start") {
        seen.extend(next_of(&mut events, &project.name, "d").await);
    }
    let begun = Instant::now();
    let containers = engine.containers(&project.name).await.unwrap();
    println!("list and inspect of {}: {:?}", containers.len(), begun.elapsed());
    let names: Vec<_> = containers.iter().map(|c| c.service.as_str()).collect();
    assert_eq!(names, ["a", "b", "c", "d"], "the unlisted service is not started");

    let mut cache = ConfigCache::new(cli);
    let begun = Instant::now();
    let config = cache.get(&hand.spec.compose).await.unwrap();
    println!("config: {:?}", begun.elapsed());
    let begun = Instant::now();
    cache.get(&hand.spec.compose).await.unwrap();
    println!("config from the cache: {:?}", begun.elapsed());
    assert_eq!(config["c"].depends_on, ["b"]);
    for container in &containers {
        assert_eq!(container.config_hash.as_ref(), Some(&config[&container.service].hash), "{}", container.service);
        assert_eq!(container.status, ContainerState::Running);
        assert!(container.started_at.is_some() && container.finished_at.is_none());
    }

    // A stopped service is not started by a second up of another, nor by its dependents.
    hand.act(ActionKind::StopService, "a").await;
    let begun = Instant::now();
    let stopped = engine.containers(&project.name).await.unwrap();
    println!("list and inspect again: {:?}", begun.elapsed());
    assert_eq!(stopped[0].status, ContainerState::Exited);
    hand.act(ActionKind::RecreateService, "b").await;
    let now = engine.containers(&project.name).await.unwrap();
    assert_eq!(now[0].status, ContainerState::Exited, "b depends on a, and a is not touched");
    assert_ne!(now[1].id, containers[1].id);
    assert_eq!(now[2], containers[2], "c depends on b, and is not touched");

    let started = hand.act(ActionKind::StartService, "a").await;
    assert_eq!(started[0].container_id.as_ref(), Some(&containers[0].id));
    hand.act(ActionKind::RestartService, "a").await;

    // A restart that did not happen is not taken for one.
    let before = hand.actor.facts(&hand.spec, Deed::new(ActionKind::RestartService, "d")).await.unwrap();
    let limit = Duration::from_millis(200);
    assert!(!hand.actor.verify(&hand.spec, Deed::new(ActionKind::RestartService, "d"), &before, limit, true).await.holds);
    // Calls that certainly did nothing are known as such.
    let gone = engine.start(&"0".repeat(64)).await.unwrap_err();
    assert!(!gone.is_ambiguous(), "{gone}");

    // Drift of a running container is not mended by an up of the stack.
    let file = project.directory.path().join("compose.yaml");
    let drifted = std::fs::read_to_string(&file).unwrap().replace("600", "601").replace("quartz-5512", "quartz-7714");
    std::fs::write(&file, drifted).unwrap();
    assert_ne!(cache.get(&hand.spec.compose).await.unwrap()["d"].hash, config["d"].hash);
    // It still has the token that it was made with, and may say it.
    assert_eq!(redact("it says old-quartz-5512, not old-quartz-7714"), "it says [redacted], not [redacted]");
    hand.act(ActionKind::StopService, "c").await;
    hand.act(ActionKind::ComposeUp, "").await;
    let now = engine.containers(&project.name).await.unwrap();
    assert_eq!((&now[3].id, now[3].started_at), (&containers[3].id, containers[3].started_at));

    let held = HeldDirectory::open(Path::new(&hand.spec.compose.directory)).unwrap();
    let status =
        hand.actor.execute(&hand.spec, Deed::new(ActionKind::StatusCheck, ""), &[], &held, limit * 10).await.unwrap();
    assert_eq!(status.output, "a: Running\nb: Running\nc: Running\nd: Running");
    let after = hand.act(ActionKind::ComposeDown, "").await;
    assert!(after.iter().all(|fact| fact.state == ServiceState::Missing));
    assert!(engine.containers(&project.name).await.unwrap().is_empty());

    while seen.last().is_none_or(|last| last != "destroy") {
        seen.extend(next_of(&mut events, &project.name, "d").await);
    }
    assert_eq!(seen, ["create", "start", "die", "destroy"], "each once, from before the stream was first polled");
}
