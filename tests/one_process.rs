//! The default: `wicapd run` with no other store than its own. One command is enough, others speak to it through its socket,
//! and it ends when its store can no longer go on.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use etcd_client::Client;
use serde_json::{Value, json};
use support::docker::ENGINE;
use support::{Daemon, PATIENCE, Said, connect, server, until, wicapctl_with, wicapd};
use tempfile::TempDir;
use wicap::api::session::{ControlSession, SessionPhase};

/// No stack here is of this host: nothing is looked at, nothing touched.
const HOST: &str = "wicap-test-nowhere";

/// Blocks of 512 bytes that a file may have in a shell that was told so: 8 MiB, which leaves room for an empty store and its
/// journal of 4.
const FEW_BLOCKS: u32 = 16 * 1024;

/// A data directory, and what is beside it.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::Builder::new().prefix("wicap-test-one").tempdir().unwrap())
    }

    /// Not there before the first start.
    fn data_dir(&self) -> PathBuf {
        self.0.path().join("data")
    }

    fn socket_url(&self) -> String {
        format!("unix://{}", self.data_dir().join("store.sock").display())
    }

    /// `wicapd run` with no word of a store.
    fn arguments(&self, controllers: &str) -> Vec<String> {
        let data_dir = self.data_dir().display().to_string();
        let engine = format!("unix://{ENGINE}");
        ["run", "--data-dir", &data_dir, "--host", HOST, "--docker", &engine, "--controllers", controllers]
            .map(str::to_owned)
            .into()
    }

    async fn start(&self, controllers: &str) -> Daemon {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wicapd"));
        command.args(self.arguments(controllers));
        self.launch(command).await
    }

    /// Returns when it answers.
    async fn launch(&self, command: Command) -> Daemon {
        let mut daemon = Daemon::launch(command, self.0.path(), "info");
        let answering = async {
            while self.client().await.get("health", None).await.is_err() {
                assert!(daemon.is_running(), "{}", daemon.logged());
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, answering).await.expect("it answers in time");
        daemon
    }

    async fn client(&self) -> Client {
        server::client(&self.socket_url()).await
    }

    /// `wicapctl`, which knows the data directory and nothing else.
    fn wicapctl(&self, arguments: &[&str], input: &str) -> Said {
        wicapctl_with(&[("WICAP_DATA_DIR", &self.data_dir())], arguments, input)
    }

    fn apply(&self, resource: &Value) {
        let said = self.wicapctl(&["apply", "-f", "-"], &resource.to_string());
        assert_eq!(said.code, 0, "{said:?}");
    }

    /// All there is to know of an object.
    fn get(&self, kind: &str, name: &str) -> Value {
        let said = self.wicapctl(&["get", kind, name, "-o", "json"], "");
        assert_eq!(said.code, 0, "{said:?}");
        serde_json::from_str(&said.out).unwrap()
    }

    async fn until_active(&self, session: &str) {
        let store = connect(&self.socket_url()).await;
        until::<ControlSession>(&store, session, "Active", is_active).await;
    }
}

fn is_active(session: &ControlSession) -> bool {
    session.status.as_ref().is_some_and(|status| status.phase == SessionPhase::Active)
}

/// Nothing of it runs: only its name matters.
fn stack(directory: &Path) -> Value {
    json!({
        "apiVersion": "wicap.dev/v1alpha1", "kind": "WicapStack", "metadata": {"name": "wicap"},
        "spec": {
            "host": "another-host",
            "compose": {"project": "wicap-test-one-process", "directory": directory},
            "services": [{"name": "redis"}],
        },
    })
}

fn session() -> Value {
    json!({
        "apiVersion": "wicap.dev/v1alpha1", "kind": "ControlSession", "metadata": {"name": "night"},
        "spec": {
            "stack": "wicap", "mode": "Monitor", "ttl": "1h", "allowedActions": [],
            "operator": "tester@localhost", "reason": "a test",
        },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn one_command_is_enough_and_a_restart_finds_everything() {
    let place = Place::new();
    let mut daemon = place.start("all").await;
    place.apply(&stack(place.0.path()));
    place.apply(&session());
    place.until_active("night").await;
    let before = [place.get("wicapstack", "wicap"), place.get("controlsession", "night")];
    assert_eq!(before[0]["spec"]["compose"]["project"], "wicap-test-one-process");
    assert_eq!(before[1]["status"]["phase"], "Active");

    assert_eq!(daemon.end().await, Some(0), "{}", daemon.logged());
    assert!(!place.data_dir().join("store.sock").exists(), "nobody is to wait at a door that nobody opens");
    let said = place.wicapctl(&["get", "wicapstacks"], "");
    assert_eq!(said.code, 3, "{said:?}");

    let _daemon = place.start("all").await;
    assert_eq!([place.get("wicapstack", "wicap"), place.get("controlsession", "night")], before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_one_on_the_same_directory_is_told_who_has_it() {
    let place = Place::new();
    let daemon = place.start("gc").await;
    let arguments = place.arguments("gc");
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let said = wicapd(&arguments).await;
    let holder = format!("data directory {} is in use by process {} (", place.data_dir().display(), daemon.pid());
    assert!(said.code == 2 && said.err.contains(&holder), "{said:?}");
    // The first has not noticed anything, its socket least of all.
    place.client().await.put("still", "there", None).await.unwrap();
    let said = place.wicapctl(&["get", "wicapstacks"], "");
    assert_eq!(said.code, 0, "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_works_beside_it_through_its_socket() {
    let place = Place::new();
    let _daemon = place.start("gc").await;
    place.apply(&stack(place.0.path()));
    place.apply(&session());
    // Nobody here looks at sessions yet.
    assert_eq!(place.get("controlsession", "night")["status"]["phase"], Value::Null);
    let arguments = ["--host", HOST, "--controllers", "session"];
    let mut beside = Daemon::start(&place.socket_url(), place.0.path(), &arguments);
    place.until_active("night").await;
    assert_eq!(beside.end().await, Some(0), "{}", beside.logged());
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_etcdctl_reads_its_keys() {
    let place = Place::new();
    let _daemon = place.start("gc").await;
    place.apply(&stack(place.0.path()));
    let mut command = Command::new("etcdctl");
    command.args(["--endpoints", &place.socket_url(), "get", "--prefix", "/wicap.dev/", "--keys-only"]);
    let said = Said::from(command.output().expect("etcdctl is installed by hack/setup"));
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    assert!(said.out.lines().any(|line| line == "/wicap.dev/wicapstacks/wicap"), "{said:?}");
}

/// The file system refuses to let the file grow: what a full disk does.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_ends_the_daemon_and_nothing_acknowledged_is_lost() {
    let place = Place::new();
    let mut command = Command::new("sh");
    // Without the trap the signal would end it, and no file system sends one.
    command.arg("-c").arg(format!("trap '' XFSZ; ulimit -f {FEW_BLOCKS}; exec \"$0\" \"$@\""));
    command.arg(env!("CARGO_BIN_EXE_wicapd")).args(place.arguments("all"));
    let mut daemon = place.launch(command).await;
    let mut client = place.client().await;
    let mut acknowledged = 0;
    let refused = loop {
        match client.put(format!("key-{acknowledged}"), vec![b'x'; 64 * 1024], None).await {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    assert!(acknowledged > 0, "{refused}");
    assert_eq!(daemon.ended().await, Some(1), "{}", daemon.logged());
    let logged = daemon.logged();
    // Controllers may still have a word to say after it.
    let said = logged.lines().find(|line| line.starts_with("wicapd: ")).unwrap_or_else(|| panic!("{logged}"));
    assert!(said.starts_with("wicapd: the store has stopped: ") && said.contains("File too large"), "{said}");

    let _daemon = place.start("all").await;
    let mut client = place.client().await;
    for number in 0..acknowledged {
        let found = client.get(format!("key-{number}"), None).await.unwrap();
        assert_eq!(found.kvs().first().map(|kv| kv.value().len()), Some(64 * 1024), "key-{number}");
    }
    client.put("and it", "goes on", None).await.unwrap();
}
