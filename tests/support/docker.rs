//! The engine as the tests use it: by hand, listened to, and behind a proxy that can be cut off or made to hold a call.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::{Example, PATIENCE};

/// Where the engine listens.
pub const ENGINE: &str = "/var/run/docker.sock";

/// Runs `docker`, insists on success, returns its standard output.
pub fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().expect("docker is installed by hack/setup");
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// One thing that happened to a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    pub at: jiff::Timestamp,
    pub action: String,
    pub service: String,
}

/// Everything the engine says of a project's containers, from the moment this is made.
pub struct EngineLog {
    child: Child,
    seen: Arc<Mutex<Vec<Happened>>>,
}

impl EngineLog {
    pub fn of(example: &Example) -> Self {
        let now = jiff::Timestamp::now();
        let since = format!("{}.{:03}", now.as_second(), now.subsec_millisecond());
        let mut child = Command::new("docker")
            .args(["events", "--since", &since, "--filter", "type=container", "--format"])
            .arg("{{.TimeNano}}|{{.Action}}|{{index .Actor.Attributes \"com.docker.compose.service\"}}")
            .args(["--filter", &format!("label=com.docker.compose.project={}", example.project)])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (output, sink) = (child.stdout.take().unwrap(), Arc::clone(&seen));
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some((at, what)) = line.split_once('|')
                    && let Some((action, service)) = what.rsplit_once('|')
                {
                    let at = jiff::Timestamp::from_nanosecond(at.parse().unwrap()).unwrap();
                    sink.lock().unwrap().push(Happened { at, action: action.to_owned(), service: service.to_owned() });
                }
            }
        });
        Self { child, seen }
    }

    /// What changed containers; looking at them (exec, health checks) left out.
    pub fn changes(&self) -> Vec<Happened> {
        let looks = ["exec_", "health_status", "top", "attach"];
        let all = self.seen.lock().unwrap();
        all.iter().filter(|h| !looks.iter().any(|l| h.action.starts_with(l))).cloned().collect()
    }

    /// The same as `action service`, in order.
    pub fn told(&self) -> Vec<String> {
        self.changes().iter().map(|h| format!("{} {}", h.action, h.service)).collect()
    }

    pub fn count(&self, action: &str, service: &str) -> usize {
        self.changes().iter().filter(|h| h.action == action && h.service == service).count()
    }

    /// Waits until the engine has said all that it has to say of what happened before this call.
    ///
    /// The event stream is in order, so a mark made now comes after everything: a container of the project is asked to run a
    /// command, which the engine reports as `exec_create`.
    pub fn settle(&self, example: &Example, service: &str) {
        let marks =
            || self.seen.lock().unwrap().iter().filter(|h| h.action.starts_with("exec_create: wicap-sim --version")).count();
        let before = marks();
        let _ = Command::new("docker")
            .args(["exec", &example.container(service), "wicap-sim", "--version"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        let deadline = std::time::Instant::now() + PATIENCE;
        while marks() == before && std::time::Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(marks() > before, "the engine's event stream is stuck");
    }
}

impl Drop for EngineLog {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// At which point of a call the proxy holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The engine has not got the request.
    BeforeRequest,
    /// The engine has got it; its answer does not come through.
    BeforeAnswer,
}

/// What becomes of a call that was held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    GoesOn,
    IsLost,
}

#[derive(Clone, Debug)]
struct Trap {
    /// The request line contains all of these.
    line: Vec<String>,
    hold: Hold,
}

/// A unix socket in front of the engine's.
pub struct Proxy {
    pub path: PathBuf,
    open: watch::Sender<bool>,
    trap: Arc<Mutex<Option<Trap>>>,
    silent: Arc<Mutex<Option<String>>>,
    caught: Arc<Notify>,
    released: Arc<watch::Sender<Fate>>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub fn new(directory: &Path) -> Self {
        let path = directory.join("engine.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let (open, is_open) = watch::channel(true);
        let trap = Arc::new(Mutex::new(None));
        let silent = Arc::new(Mutex::new(None));
        let caught = Arc::new(Notify::new());
        let released = Arc::new(watch::channel(Fate::GoesOn).0);
        let (t, c, r) = (Arc::clone(&trap), Arc::clone(&caught), Arc::clone(&released));
        let s = Arc::clone(&silent);
        let accepting = tokio::spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else { return };
                if !*is_open.borrow() {
                    continue;
                }
                let mut cut = is_open.clone();
                let serve = serve(client, Arc::clone(&t), Arc::clone(&s), Arc::clone(&c), Arc::clone(&r));
                tokio::spawn(async move {
                    tokio::select! {
                        () = serve => {}
                        _ = cut.wait_for(|open| !open) => {}
                    }
                });
            }
        });
        Self { path, open, trap, silent, caught, released, accepting }
    }

    pub fn url(&self) -> String {
        format!("unix://{}", self.path.display())
    }

    /// Breaks every connection and lets none through.
    pub fn cut(&self) {
        self.open.send_replace(false);
    }

    /// Answers no request any more whose first line contains this; every one again with none.
    pub fn silence(&self, part: Option<&str>) {
        *self.silent.lock().unwrap() = part.map(str::to_owned);
    }

    /// Lets connections through again.
    pub fn mend(&self) {
        self.open.send_replace(true);
    }

    /// Holds the next request whose first line contains all of `line`.
    pub fn set_trap(&self, line: &[&str], hold: Hold) {
        let line = line.iter().map(ToString::to_string).collect();
        *self.trap.lock().unwrap() = Some(Trap { line, hold });
    }

    /// Waits until a request is held.
    pub async fn caught(&self) {
        tokio::time::timeout(PATIENCE, self.caught.notified()).await.expect("a call falls into the trap");
    }

    /// Lets what is held go on.
    pub fn release(&self) {
        *self.trap.lock().unwrap() = None;
        self.released.send_replace(Fate::GoesOn);
    }

    /// Lets what is held go on, and holds the next request that fits.
    pub fn release_and_trap(&self, line: &[&str], hold: Hold) {
        self.set_trap(line, hold);
        self.released.send_replace(Fate::GoesOn);
    }

    /// Breaks the connection of what is held: the engine never gets the request, or the caller never gets the answer.
    pub fn lose(&self) {
        *self.trap.lock().unwrap() = None;
        self.released.send_replace(Fate::IsLost);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(
    client: UnixStream,
    trap: Arc<Mutex<Option<Trap>>>,
    silent: Arc<Mutex<Option<String>>>,
    caught: Arc<Notify>,
    released: Arc<watch::Sender<Fate>>,
) {
    let Ok(engine) = UnixStream::connect(ENGINE).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_engine, mut to_engine) = engine.into_split();
    // Whether answers may pass.
    let (pass, mut may_pass) = watch::channel(true);
    let requests = async {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let Ok(n @ 1..) = from_client.read(&mut buffer).await else { return };
            let head = String::from_utf8_lossy(&buffer[..n.min(512)]).lines().next().unwrap_or_default().to_owned();
            if silent.lock().unwrap().as_ref().is_some_and(|part| head.contains(part.as_str())) {
                return std::future::pending().await;
            }
            let sprung = {
                let mut set = trap.lock().unwrap();
                let fits = set.as_ref().is_some_and(|t| t.line.iter().all(|part| head.contains(part.as_str())));
                if fits { set.take() } else { None }
            };
            let mut release = released.subscribe();
            if let Some(trap) = &sprung {
                match trap.hold {
                    Hold::BeforeRequest => {
                        caught.notify_one();
                        let _ = release.changed().await;
                        if *release.borrow() == Fate::IsLost {
                            return;
                        }
                    }
                    Hold::BeforeAnswer => {
                        pass.send_replace(false);
                    }
                }
            }
            if to_engine.write_all(&buffer[..n]).await.is_err() {
                return;
            }
            if sprung.is_some_and(|t| t.hold == Hold::BeforeAnswer) {
                caught.notify_one();
                let _ = release.changed().await;
                if *release.borrow() == Fate::IsLost {
                    return;
                }
                pass.send_replace(true);
            }
        }
    };
    let answers = async {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let Ok(n @ 1..) = from_engine.read(&mut buffer).await else { return };
            if may_pass.wait_for(|pass| *pass).await.is_err() || to_client.write_all(&buffer[..n]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = requests => {}
        () = answers => {}
    }
}
