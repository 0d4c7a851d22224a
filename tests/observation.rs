//! What the observer sees on a real Docker engine beyond whether a container runs: networks, images, orphans, starts, processes, logs.
//!
//! The store is in memory and the observer in this process; the project is the test's own and is removed afterwards. The image is made
//! of the host's own `sh` and `sleep`.

mod support;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use support::docker::{ENGINE, docker};
use support::until_within;
use tokio_util::sync::CancellationToken;
use wicap::api::stack::{ProbeState, Replicas, ServiceState, ServiceStatus, WicapStack, WicapStackStatus};
use wicap::clock::Clock;
use wicap::controllers::{Context, run};
use wicap::observe::compose::ComposeCli;
use wicap::observe::dial::Dialer;
use wicap::observe::engine::Engine;
use wicap::store::Store;
use wicap::store::embedded::{Embedded, Options};

/// Less than the ten seconds of a regular look: what is seen within it was told by an event.
const BY_EVENT: Duration = Duration::from_secs(8);

/// What Compose and a busy machine may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A compose project whose containers, image and directory go away with it.
struct Project {
    name: String,
    image: String,
    directory: tempfile::TempDir,
}

impl Project {
    fn new() -> Self {
        let name = format!("wicap-test-observation-{}", std::process::id());
        let project = Self { image: format!("{name}:1"), name, directory: tempfile::tempdir().unwrap() };
        let script = format!(
            "mkdir -p root/bin && for p in sh sleep; do cp -L \"$(command -v $p)\" root/bin/$p; \
             for lib in $(ldd root/bin/$p | grep -o '/[^ ]*'); do mkdir -p root/$(dirname $lib) && cp $lib root/$lib; done; done && \
             tar -C root -c . | docker import - {} && rm -r root",
            project.image
        );
        let made = Command::new("sh").args(["-ec", &script]).current_dir(project.path()).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        project
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes the compose file, with the services that are given beside those that always are.
    fn write(&self, more: &str) {
        let image = &self.image;
        let file = format!(
            "services:\n  \
               net:\n    image: {image}\n    command: [sleep, \"600\"]\n    init: true\n    networks: [front, back]\n  \
               crash:\n    image: {image}\n    restart: unless-stopped\n    network_mode: none\n    \
                 command: [sh, -c, 'trap \"exit 0\" USR1; echo up; while :; do sleep 0.05; done']\n  \
               twins:\n    image: {image}\n    command: [sleep, \"600\"]\n    init: true\n    network_mode: none\n    scale: 2\n  \
               debug:\n    image: {image}\n    command: [sleep, \"600\"]\n    init: true\n    network_mode: none\n    \
                 profiles: [debug]\n\
             {more}networks:\n  front: {{}}\n  back: {{}}\n"
        );
        std::fs::write(self.path().join("compose.yaml"), file).unwrap();
    }

    fn compose(&self, arguments: &[&str]) -> String {
        let directory = self.path().to_str().unwrap();
        docker(&[&["compose", "--project-name", &self.name, "--project-directory", directory], arguments].concat())
    }

    fn container(&self, service: &str) -> String {
        format!("{}-{service}-1", self.name)
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let directory = self.path().to_str().unwrap();
        let project = ["compose", "--project-name", &self.name, "--project-directory", directory];
        let down = ["--profile", "*", "down", "--remove-orphans", "--timeout", "0"];
        let _ = Command::new("docker").args(project).args(down).output();
        let _ = Command::new("docker").args(["image", "rm", "--force", &self.image]).output();
    }
}

/// An observer in this process, until what is returned is dropped.
async fn observer(directory: &Path) -> (Store, impl Drop) {
    let embedded = Embedded::in_memory(Options::default()).unwrap();
    let store = Store::with_client(embedded.client().await.unwrap(), "embedded".parse().unwrap(), Clock::system());
    let engine = format!("unix://{ENGINE}");
    let context = Context {
        store: store.clone(),
        host: "localhost".to_owned(),
        engine: Engine::new(&engine).unwrap(),
        compose: ComposeCli::new(&engine),
        dialer: Dialer::kernel(),
        identity: "observer".to_owned(),
        data_dir: directory.to_owned(),
        audit_kept: wicap::controllers::audit::KEPT,
        stop_file: wicap::stop_file::StopFile::of(directory),
    };
    let shutdown = CancellationToken::new();
    let ending = shutdown.clone();
    tokio::spawn(async move {
        let _kept = embedded;
        run(context, &"observer".parse().unwrap(), ending).await;
    });
    (store, shutdown.drop_guard())
}

fn service<'a>(stack: &'a WicapStack, name: &str) -> Option<&'a ServiceStatus> {
    stack.status.as_ref().and_then(|status| status.service(name))
}

fn is_running(stack: &WicapStack, name: &str) -> bool {
    service(stack, name).is_some_and(|s| s.state == ServiceState::Running)
}

/// Waits until that is seen, and says how long it took.
async fn seen(store: &Store, what: &str, limit: Duration, holds: impl Fn(&WicapStackStatus) -> bool) -> WicapStackStatus {
    let begun = Instant::now();
    let fits = |stack: &WicapStack| stack.status.as_ref().is_some_and(&holds);
    let stack = until_within::<WicapStack>(store, "s", what, limit, fits).await;
    println!("{what}: seen after {:?}", begun.elapsed());
    stack.status.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn networks_images_orphans_starts_processes_and_logs_are_seen() {
    let project = Project::new();
    let image = project.image.clone();
    project.write(&format!(
        "  old:\n    image: {image}\n    command: [sleep, \"600\"]\n    init: true\n    network_mode: none\n"
    ));
    project.compose(&["--profile", "debug", "up", "--detach"]);
    project.compose(&["run", "--detach", "net"]);
    let (store, _observer) = observer(project.path()).await;
    let probe = |name: &str, more: serde_json::Value| {
        let mut probe = json!({"name": name, "period": "1s", "failureThreshold": 1});
        probe.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        probe
    };
    let stack = json!({
        "apiVersion": "wicap.dev/v1alpha1", "kind": "WicapStack", "metadata": {"name": "s"},
        "spec": {
            "compose": {"project": project.name, "directory": project.path()},
            "services": [
                {"name": "net", "probes": [probe("sleeps", json!({"process": {"command": "sleep 600"}}))]},
                {"name": "crash", "probes": [
                    probe("up", json!({"log": {"pattern": "^up$"}})),
                    probe("broken", json!({"log": {"pattern": "BROKEN", "expect": "Absent", "within": "3s"}})),
                ]},
                {"name": "twins"},
            ],
        },
    });
    store.api::<WicapStack>().create(&serde_json::from_value(stack).unwrap()).await.unwrap();

    let whole = |status: &WicapStackStatus| status.ready.as_deref() == Some("3/3");
    let status = seen(&store, "all is well", PATIENCE, whole).await;
    assert_eq!(
        status.orphans, [""; 0],
        "debug is of a profile that is not enabled, and the one-off container no part of it"
    );
    for service in &status.services {
        assert_eq!((service.image_drift, &service.missing_networks[..]), (Some(false), &[][..]), "{service:?}");
        assert_eq!(service.starts, [], "nothing has started since it was first looked at: {service:?}");
    }
    assert_eq!(status.service("twins").unwrap().replicas, Some(Replicas { desired: 2, ready: 2 }));
    assert_eq!(status.service("net").unwrap().replicas, None);

    // A network is taken away, and given back.
    let front = format!("{}_front", project.name);
    docker(&["network", "disconnect", &front, &project.container("net")]);
    let missing = |wanted: &[String]| {
        let wanted = wanted.to_vec();
        move |status: &WicapStackStatus| status.service("net").is_some_and(|s| s.missing_networks == wanted)
    };
    seen(&store, "a network is missing", BY_EVENT, missing(std::slice::from_ref(&front))).await;
    docker(&["network", "connect", &front, &project.container("net")]);
    seen(&store, "no network is missing", BY_EVENT, missing(&[])).await;

    // Docker's restart policy hides a child's death behind exit code 0.
    let before = status.service("crash").unwrap().clone();
    // From inside: what is killed through the engine is not restarted.
    docker(&["exec", &project.container("crash"), "sh", "-c", "kill -USR1 1"]);
    let again = |status: &WicapStackStatus| {
        status.service("crash").is_some_and(|s| s.state == ServiceState::Running && !s.starts.is_empty())
    };
    let status = seen(&store, "a start that nobody asked for", BY_EVENT, again).await;
    let after = status.service("crash").unwrap();
    assert_eq!((after.starts.as_slice(), after.restarts), (&[after.started_at.unwrap()][..], 1));
    assert_eq!(after.container_id, before.container_id);

    // A line of the log that must not be there, for as long as it is recent.
    docker(&["exec", &project.container("crash"), "sh", "-c", "echo it is BROKEN > /proc/1/fd/1"]);
    let broken = |wanted: ProbeState| {
        move |status: &WicapStackStatus| {
            status.service("crash").and_then(|s| s.probes.get(1)).is_some_and(|probe| probe.state == wanted)
        }
    };
    let status = seen(&store, "a line of the log", BY_EVENT, broken(ProbeState::Failing)).await;
    let crash = status.service("crash").unwrap();
    assert_eq!(crash.state, ServiceState::Unhealthy);
    assert_eq!(crash.probes[1].message.as_deref(), Some("its log says within the last 3s: it is BROKEN"));
    seen(&store, "the line is old", BY_EVENT, broken(ProbeState::Passing)).await;

    // A process that is gone while its container runs: here, because the question is another now.
    let stacks = store.api::<WicapStack>();
    let mut edited = stacks.get("s").await.unwrap();
    edited.spec.services[0].probes[0].process.as_mut().unwrap().command = "no-such-process".to_owned();
    // The observer writes meanwhile, which is no matter.
    edited.metadata.resource_version = None;
    stacks.replace(&edited).await.unwrap();
    let gone = |status: &WicapStackStatus| status.service("net").is_some_and(|s| s.state == ServiceState::Unhealthy);
    let status = seen(&store, "a process is gone", BY_EVENT, gone).await;
    let message = status.service("net").unwrap().probes[0].message.clone().unwrap();
    assert!(message.starts_with("no process \"no-such-process\" among the "), "{message}");

    // One of two is not enough.
    docker(&["rm", "--force", &format!("{}-twins-2", project.name)]);
    let one = |status: &WicapStackStatus| status.service("twins").is_some_and(|s| s.state == ServiceState::Missing);
    let status = seen(&store, "one of two", BY_EVENT, one).await;
    assert_eq!(status.service("twins").unwrap().replicas, Some(Replicas { desired: 2, ready: 1 }));

    // The name means another image now; nothing is restarted for that.
    docker(&["commit", &project.container("net"), &project.image]);
    let drifted = |status: &WicapStackStatus| status.services.iter().all(|s| s.image_drift == Some(true));
    seen(&store, "the image is another", BY_EVENT, drifted).await;

    // A service is taken out of the compose file, and its container stays.
    project.write("");
    let orphaned = |status: &WicapStackStatus| status.orphans == [project.container("old")];
    seen(&store, "an orphan", PATIENCE, orphaned).await;
    assert!(is_running(&stacks.get("s").await.unwrap(), "crash"));
}
