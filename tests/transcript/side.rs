//! One side of a transcript: a program, and the server or store that it speaks to, with the objects of the world.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::normalise::Normaliser;
use super::server::Server;
use super::story::{Said, Step};
use super::support::Daemon;
use super::support::server as store;
use super::support::store::StoreProcess;
use super::words;
use super::world::World;

/// How long a command may take; none of a story takes a second unless it waits for something.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long nothing more must come from a command that goes on, to be sure that it has said all; for recording only.
const QUIET: Duration = Duration::from_secs(1);

/// A program and what it speaks to. Dropping it ends both.
pub struct Side {
    /// Controllers that the story asked for; they end before the store does.
    daemon: Option<Daemon>,
    peer: Peer,
    program: PathBuf,
    directory: TempDir,
    normaliser: Normaliser,
    /// Ends after the process that has its files open.
    _data_dir: Option<TempDir>,
}

enum Peer {
    Server(Server),
    Store(StoreProcess),
}

/// A command that goes on beside others.
pub struct Beside {
    children: Vec<tokio::process::Child>,
    out: PathBuf,
    err: PathBuf,
}

impl Side {
    /// kubectl and a server.
    pub async fn kubectl(kubectl: &Path, crds: &Path) -> Self {
        let world = World::new(jiff::Timestamp::now());
        let server = Server::start(crds, &world.objects, 0, std::env::var_os("WICAP_LOUD").is_some()).await;
        let url = server.url();
        let side = Self::new(Peer::Server(server), kubectl.to_owned(), &world, &url);
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "here",
            "clusters": [{"name": "here", "cluster": {"server": url}}],
            "users": [{"name": "me", "user": {}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        });
        std::fs::create_dir(side.directory.path().join(".kube")).unwrap();
        std::fs::write(side.directory.path().join(".kube/config"), config.to_string()).unwrap();
        side
    }

    /// wicapctl and a store.
    pub async fn wicapctl(wicapctl: &Path) -> Self {
        let world = World::new(jiff::Timestamp::now());
        let data_dir = tempfile::Builder::new().prefix("wicap-story-store").tempdir().unwrap();
        let process = StoreProcess::start(data_dir.path()).await;
        let url = process.url();
        let mut client = store::client(&url).await;
        for (key, value) in world.objects.iter().flat_map(halves) {
            client.put(key, value.to_string(), None).await.unwrap();
        }
        let side = Self::new(Peer::Store(process), wicapctl.to_owned(), &world, &url);
        Self { _data_dir: Some(data_dir), ..side }
    }

    fn new(peer: Peer, program: PathBuf, world: &World, url: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("wicap-story").tempdir().unwrap();
        std::fs::create_dir(directory.path().join("tmp")).unwrap();
        let normaliser = Normaliser::new(world, directory.path().to_str().unwrap(), url);
        Self { daemon: None, peer, program, directory, normaliser, _data_dir: None }
    }

    /// Runs controllers from here on; the API server collects by itself what is owned by what was deleted.
    pub fn controllers(&mut self, names: &str) {
        if let Peer::Store(process) = &self.peer {
            self.daemon = Some(Daemon::start(&process.url(), self.directory.path(), &["--controllers", names]));
        }
    }

    /// Makes a file where the commands run.
    pub fn file(&self, name: &str, text: &str) {
        let path = self.directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }

    /// Writes a status, as a controller does.
    pub async fn status(&self, plural: &str, name: &str, status: &str) {
        let status: Value = serde_json::from_str(status).unwrap();
        match &self.peer {
            Peer::Server(server) => server.set_status(plural, name, status),
            Peer::Store(process) => {
                let mut client = process.client().await;
                let spec = client.get(format!("/wicap.dev/{plural}/{name}"), None).await.unwrap();
                let spec: Value = serde_json::from_slice(spec.kvs()[0].value()).unwrap();
                let half = json!({"uid": spec["metadata"]["uid"], "status": status});
                client.put(format!("/wicap.dev/{plural}.status/{name}"), half.to_string(), None).await.unwrap();
            }
        }
    }

    /// Runs a command line to its end.
    pub async fn run(&self, step: &Step) -> Said {
        let beside = self.start(step, step.input.as_deref()).await;
        self.finished(beside, PATIENCE).await
    }

    /// Starts a command line, and waits until it has said its first line.
    pub async fn begin(&self, step: &Step) -> Beside {
        let mut beside = self.start(step, step.input.as_deref()).await;
        let waiting = async {
            while std::fs::read(&beside.out).unwrap().is_empty() && beside.is_running() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        // One that says nothing before it has what it waits for.
        let _ = tokio::time::timeout(QUIET, waiting).await;
        beside
    }

    /// Ends a command that goes on: when it has said as many lines as are wanted, or without that when it says no more.
    pub async fn end(&self, mut beside: Beside, wanted: Option<&Said>) -> Said {
        let lines = |path: &Path| std::fs::read_to_string(path).unwrap().lines().count();
        let (mut last, mut since) = (0, tokio::time::Instant::now());
        let begun = since;
        while beside.is_running() && begun.elapsed() < PATIENCE {
            let now = lines(&beside.out) + lines(&beside.err);
            if now != last {
                (last, since) = (now, tokio::time::Instant::now());
            }
            let enough = match wanted {
                Some(said) if said.code.is_none() => now >= said.out.lines().count() + said.err.lines().count(),
                Some(_) => false,
                None => since.elapsed() > QUIET * 3,
            };
            // More than is wanted would be a difference, and comes at once if at all.
            if enough || since.elapsed() > QUIET * 5 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.finished(beside, Duration::from_millis(50)).await
    }

    /// Waits for the end of a command line, for so long, and then ends it.
    async fn finished(&self, mut beside: Beside, patience: Duration) -> Said {
        let last = beside.children.last_mut().unwrap();
        let code = match tokio::time::timeout(patience, last.wait()).await {
            Ok(status) => status.unwrap().code(),
            Err(_) => None,
        };
        for child in &mut beside.children {
            let _ = child.start_kill();
            let _ = child.wait().await;
        }
        let read = |path: &Path| self.normaliser.normalise(&String::from_utf8_lossy(&std::fs::read(path).unwrap()));
        Said { out: read(&beside.out), err: read(&beside.err), code }
    }

    async fn start(&self, step: &Step, input: Option<&str>) -> Beside {
        let at = |name: &str| self.directory.path().join(format!("tmp/{name}.{}", step.line));
        let (out, err) = (at("out"), at("err"));
        let errors = std::fs::File::create(&err).unwrap();
        let command = match &self.peer {
            Peer::Server(_) => &step.command,
            Peer::Store(_) => step.of_wicapctl(),
        };
        let pipeline = words::pipeline(command);
        let mut children: Vec<tokio::process::Child> = Vec::new();
        for (i, (variables, arguments)) in pipeline.iter().enumerate() {
            let stdin = match children.last_mut() {
                Some(before) => before.stdout.take().unwrap().try_into().unwrap(),
                None if input.is_some() => Stdio::piped(),
                None => Stdio::null(),
            };
            let is_last = i + 1 == pipeline.len();
            let stdout = if is_last { std::fs::File::create(&out).unwrap().into() } else { Stdio::piped() };
            let mut command = Command::new(&self.program);
            command
                .args(arguments)
                .env_clear()
                .env("PATH", "/usr/bin:/bin")
                .env("HOME", self.directory.path())
                .env("TMPDIR", self.directory.path().join("tmp"))
                .env("TZ", "UTC")
                .envs(variables.iter().map(|(name, value)| (name.as_str(), value.as_str())))
                .current_dir(self.directory.path())
                .stdin(stdin)
                .stdout(stdout)
                .stderr(errors.try_clone().unwrap())
                .kill_on_drop(true);
            if let Peer::Store(process) = &self.peer {
                command.env("WICAP_STORE", process.url());
            }
            let mut child = command.spawn().unwrap();
            if let Some(text) = input.filter(|_| i == 0) {
                // A command that refuses its arguments ends before it reads.
                let _ = child.stdin.take().unwrap().write_all(text.as_bytes()).await;
            }
            children.push(child);
        }
        Beside { children, out, err }
    }
}

impl Beside {
    fn is_running(&mut self) -> bool {
        self.children.last_mut().unwrap().try_wait().unwrap().is_none()
    }
}

/// The keys of an object in the store, and what is under them.
fn halves(object: &Value) -> Vec<(String, Value)> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let name = text("/metadata/name");
    if text("/kind") == "Event" {
        let mut event = object.clone();
        event["metadata"] = json!({"name": name});
        return vec![(format!("/wicap.dev/events/{name}"), event)];
    }
    let kinds = wicap::api::registry::kinds();
    let info = kinds.iter().find(|info| info.kind == text("/kind")).unwrap();
    let (mut spec, mut all) = (object.clone(), Vec::new());
    if let Some(status) = spec.as_object_mut().and_then(|fields| fields.remove("status")) {
        let half = json!({"uid": text("/metadata/uid"), "status": status});
        all.push((format!("/wicap.dev/{}.status/{name}", info.plural), half));
    }
    all.push((format!("/wicap.dev/{}/{name}", info.plural), spec));
    all
}
