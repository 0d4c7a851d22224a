//! What the end-to-end tests are made of: a real etcd or the embedded store, the example stack on the real engine, the real
//! binaries, and what was seen of the engine meanwhile. Each test has its own of everything; dropping it removes it.

#![allow(dead_code)] // Every test file uses its own part of this.
#![allow(clippy::unused_self)] // A resource belongs to its example, whether or not it needs anything of it today.

pub mod cli;
pub mod docker;
pub mod etcd;
pub mod guarded;
pub mod peer;
pub mod ports;
pub mod proxy;
pub mod scene;
pub mod server;
pub mod stops;
pub mod storage;
pub mod store;
pub mod tls;
pub mod turns;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use futures::StreamExt;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};
use tempfile::TempDir;
use wicap::api::action::{ActionPhase, ActionRun};
use wicap::api::stack::WicapStack;
use wicap::api::{Object, condition};
use wicap::clock::Clock;
use wicap::controllers::Context;
use wicap::observe::compose::ComposeCli;
use wicap::observe::dial::Dialer;
use wicap::observe::engine::Engine;
use wicap::store::{ListParams, Store, WatchParams};

pub use ports::free_port;

/// How long something may take that takes a second or two on an idle machine. Tests wait for events, never for this.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The example stack under its own name, ports and directory.
pub struct Example {
    pub project: String,
    pub directory: TempDir,
    pub redis_port: u16,
    pub ui_port: u16,
}

impl Example {
    /// Nothing of it runs yet.
    pub fn new(name: &str) -> Self {
        let project = format!("wicap-test-{name}-{}", std::process::id());
        let directory = tempfile::Builder::new().prefix(&project).tempdir().unwrap();
        let example = Self { project, directory, redis_port: free_port(), ui_port: free_port() };
        std::fs::copy(root().join("manifests/wicap/compose.yaml"), example.path().join("compose.yaml")).unwrap();
        let environment = format!(
            "WICAP_PREFIX={}\nWICAP_REDIS_PORT={}\nWICAP_UI_PORT={}\nWICAP_HEALTH_INTERVAL=1s\nWICAP_STOP_GRACE=2s\n",
            example.project, example.redis_port, example.ui_port
        );
        std::fs::write(example.path().join(".env"), environment).unwrap();
        example
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The name of a service's container.
    pub fn container(&self, service: &str) -> String {
        format!("{}-{service}", self.project)
    }

    /// The stack resource, with fast probes and no hold-off; `change` edits it.
    pub fn stack(&self, change: impl FnOnce(&mut Value)) -> Value {
        let mut stack = json!({
            "apiVersion": "wicap.dev/v1alpha1", "kind": "WicapStack", "metadata": {"name": "wicap"},
            "spec": {
                "compose": {"project": self.project, "directory": self.path()},
                "services": [
                    {"name": "redis", "probes": [
                        {"name": "port", "tcpSocket": {"port": self.redis_port}, "period": "1s", "failureThreshold": 2}]},
                    {"name": "scout", "critical": false},
                    {"name": "processor"},
                    {"name": "ui", "probes": [
                        {"name": "stats", "httpGet": {"port": self.ui_port, "path": "/api/stats"}, "period": "1s",
                         "failureThreshold": 2}]},
                ],
                "defaults": {"recovery": {"holdOff": "0s", "backoff": {"initial": "2s", "max": "5s"}, "resetAfter": "60s"}},
            },
        });
        change(&mut stack);
        stack
    }

    /// A policy that allows everything here.
    pub fn policy(&self) -> Value {
        json!({
            "apiVersion": "wicap.dev/v1alpha1", "kind": "ControlPolicy", "metadata": {"name": "all"},
            "spec": {"allow": [{"actions": ["group:safe", "group:caution"]}], "allowedRoots": [self.path()], "hosts": ["*"]},
        })
    }

    /// A session on the stack.
    pub fn session(&self, name: &str, mode: &str) -> Value {
        json!({
            "apiVersion": "wicap.dev/v1alpha1", "kind": "ControlSession", "metadata": {"name": name},
            "spec": {
                "stack": "wicap", "mode": mode, "ttl": "1h", "operator": "tester@localhost", "reason": "a test",
                "allowedActions": ["status_check", "start_service", "restart_service", "compose_up", "recreate_service"],
            },
        })
    }

    /// A soak run of that many seconds, checked each second.
    pub fn soak(&self, seconds: u32) -> Value {
        json!({
            "apiVersion": "wicap.dev/v1alpha1", "kind": "SoakRun", "metadata": {"name": "soak"},
            "spec": {
                "stack": "wicap", "duration": format!("{seconds}s"),
                "criteria": {"maxRestarts": 2},
                "checks": [{"name": "dashboard", "httpGet": {"port": self.ui_port, "path": "/"}, "period": "1s"}],
            },
        })
    }

    /// `docker compose` on the project, as a person would call it; its standard output.
    pub fn compose(&self, arguments: &[&str]) -> String {
        let directory = self.path().to_str().unwrap();
        let mut all = vec!["compose", "--project-name", &self.project, "--project-directory", directory];
        all.extend(arguments);
        docker::docker(&all)
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // A paused container cannot be stopped in time; killed ones need no grace.
        let directory = self.path().to_str().unwrap().to_owned();
        let down = Command::new("docker")
            .args(["compose", "--project-name", &self.project, "--project-directory", &directory])
            .args(["down", "--volumes", "--timeout", "1"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !down.is_ok_and(|s| s.success()) {
            eprintln!("the containers of {} could not be removed", self.project);
        }
    }
}

/// The repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A running `wicapd run`.
pub struct Daemon {
    child: Child,
    pub log: PathBuf,
}

impl Daemon {
    /// Starts it; `arguments` come after `--store`.
    pub fn start(store: &str, directory: &Path, arguments: &[&str]) -> Self {
        Self::start_logging(store, directory, arguments, "info,wicap=debug")
    }

    /// Every controller in one process, as it runs in service: it logs what an operator should know and no more.
    pub fn start_quietly(store: &str, directory: &Path) -> Self {
        Self::start_logging(store, directory, &[], "info")
    }

    /// The same; `arguments` come after `--store`.
    pub fn start_quietly_with(store: &str, directory: &Path, arguments: &[&str]) -> Self {
        Self::start_logging(store, directory, arguments, "info")
    }

    /// As [`Daemon::start`], with variables of its environment.
    pub fn start_with(environment: &[(&str, &Path)], store: &str, directory: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wicapd"));
        command.args(["run", "--store", store]).args(arguments).envs(environment.iter().copied());
        Self::in_its_place(&mut command, directory, arguments);
        Self::launch(command, directory, "info,wicap=debug")
    }

    fn start_logging(store: &str, directory: &Path, arguments: &[&str], level: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wicapd"));
        command.args(["run", "--store", store]).args(arguments);
        Self::in_its_place(&mut command, directory, arguments);
        Self::launch(command, directory, level)
    }

    /// With a data directory that goes with the test, and that all daemons of the test share as those of one host do.
    fn in_its_place(command: &mut Command, directory: &Path, arguments: &[&str]) {
        if !arguments.contains(&"--data-dir") {
            command.arg("--data-dir").arg(directory.join("data"));
        }
    }

    /// A command that is to become a daemon: `wicapd` itself, or what starts it.
    pub fn launch(mut command: Command, directory: &Path, level: &str) -> Self {
        let log = directory.join(format!("wicapd-{}.log", uuid::Uuid::new_v4()));
        let child = command
            .env_remove("WICAP_STORE")
            .env("RUST_LOG", level)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Self { child, log }
    }

    /// SIGKILL: no time to say anything.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and its exit code.
    pub async fn end(&mut self) -> Option<i32> {
        self.signal(rustix::process::Signal::TERM);
        self.ended().await
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until it has ended by itself, and returns its exit code.
    pub async fn ended(&mut self) -> Option<i32> {
        let waiting = async {
            loop {
                if let Some(status) = self.child.try_wait().unwrap() {
                    return status.code();
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("the daemon ends in time")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether the process is still there.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// What it has logged.
    pub fn logged(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let logged = self.logged();
            let tail: Vec<&str> = logged.lines().rev().take(40).collect();
            eprintln!("--- the end of {}:", self.log.display());
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}

/// What a command said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Runs `wicapctl` against a store, with what it reads on standard input.
pub fn wicapctl(store: &str, arguments: &[&str], input: &str) -> Said {
    wicapctl_with(&[], &[&["--store", store], arguments].concat(), input)
}

/// The same with variables of its environment, which alone say where the store is unless an argument does.
pub fn wicapctl_with(environment: &[(&str, &Path)], arguments: &[&str], input: &str) -> Said {
    use std::io::Write;
    let mut child = Command::new(env!("CARGO_BIN_EXE_wicapctl"))
        .args(arguments)
        .env_remove("WICAP_STORE")
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses its arguments ends before it reads.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap().into()
}

/// Runs `wicapd` with arguments of which it must say something and end.
pub async fn wicapd(arguments: &[&str]) -> Said {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_wicapd"));
    command.args(arguments).env_remove("WICAP_STORE").env("RUST_LOG", "error").stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("wicapd ends by itself");
    output.unwrap().into()
}

/// Applies resources, and insists.
pub fn apply(store: &str, resources: &[Value]) {
    let text: Vec<String> = resources.iter().map(Value::to_string).collect();
    let said = wicapctl(store, &["apply", "-f", "-"], &text.join("\n"));
    assert_eq!(said.code, 0, "{said:?}");
}

/// A connection to the store.
pub async fn connect(store: &str) -> Store {
    Store::connect(&store.parse().unwrap(), Clock::system()).await.unwrap()
}

/// Whether every critical service of the stack is as desired, by its status.
pub fn available(stack: &WicapStack) -> bool {
    let conditions = stack.status.as_ref().map(|s| s.conditions.as_slice()).unwrap_or_default();
    condition::get(conditions, condition::AVAILABLE).is_some_and(|c| c.status == "True")
}

/// The gate that blocks the stack's planned action.
pub fn blocked_by(stack: &WicapStack) -> Option<&str> {
    stack.status.as_ref()?.blocked_by.as_ref().map(|b| b.gate.as_str())
}

/// The action that is planned for the stack.
pub fn planned(stack: &WicapStack) -> Option<&str> {
    stack.status.as_ref()?.planned_action.as_deref()
}

/// What a controller needs that knows a store and no engine: nobody asks what is nowhere.
pub fn alone(store: &Store, identity: &str) -> Context {
    Context {
        store: store.clone(),
        host: "here".to_owned(),
        engine: Engine::new("unix:///nowhere.sock").unwrap(),
        compose: ComposeCli::new("unix:///nowhere.sock"),
        dialer: Dialer::kernel(),
        identity: identity.to_owned(),
        data_dir: "/nowhere".into(),
        audit_kept: wicap::controllers::audit::KEPT,
        stop_file: wicap::stop_file::StopFile::of("/nowhere".as_ref()),
    }
}

/// Every ActionRun.
pub async fn action_runs(store: &Store) -> Vec<ActionRun> {
    store.api().list(&ListParams::default()).await.unwrap().items
}

/// Where an ActionRun is in its life.
pub fn phase(run: &ActionRun) -> ActionPhase {
    run.status.as_ref().map(|s| s.phase).unwrap_or_default()
}

/// Waits until the stack is available and every action that was asked for has ended. One that still waits for what it has started
/// holds up the next.
pub async fn until_settled(store: &Store) {
    until::<WicapStack>(store, "wicap", "Available", available).await;
    for run in action_runs(store).await {
        until::<ActionRun>(store, run.name(), "ended", |run| phase(run).is_final()).await;
    }
}

/// Waits until the object of that name is as `wanted` says, and returns it.
pub async fn until<K: Object>(store: &Store, name: &str, what: &str, wanted: impl Fn(&K) -> bool) -> K {
    until_within(store, name, what, PATIENCE, wanted).await
}

/// The same within a time of the test's own.
pub async fn until_within<K: Object>(
    store: &Store,
    name: &str,
    what: &str,
    patience: Duration,
    wanted: impl Fn(&K) -> bool,
) -> K {
    let params = WatchParams { name: Some(name.to_owned()), ..WatchParams::default() };
    let mut events = store.api::<K>().watch(&params).unwrap();
    let mut last = None;
    let waiting = async {
        while let Some(event) = events.next().await {
            if let Ok(Event::Apply(object) | Event::InitApply(object)) = event {
                if wanted(&object) {
                    return object;
                }
                last = Some(object);
            }
        }
        unreachable!("a watch does not end")
    };
    match tokio::time::timeout(patience, waiting).await {
        Ok(object) => object,
        Err(elapsed) => {
            panic!("{} \"{name}\" was not {what} within {patience:?} ({elapsed}); last seen: {last:#?}", K::kind(&()))
        }
    }
}
