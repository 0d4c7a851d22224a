//! A store as a process of its own, whichever it is: what is compared side by side, for what it answers and for how fast.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use etcd_client::Client;
use tempfile::TempDir;

use super::etcd::etcd_command;
use super::server::client;
use super::tls::Certificates;
use super::{PATIENCE, free_port};

/// Which store, and by which way it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// etcd on a TCP port of loopback, as everybody runs it.
    Etcd,
    /// etcd on a unix socket: the same store, without the difference of transports.
    EtcdUnix,
    /// `wicapd store`, on a unix socket.
    Embedded,
    /// The same on a TCP port of loopback, with mutual TLS.
    EmbeddedTls,
}

impl Kind {
    /// What is compared with etcd. The one place that decides it; `WICAP_PEER=etcd` sets etcd beside itself, which shows
    /// whether a difference is the comparison's own.
    pub fn under_test() -> Self {
        match std::env::var("WICAP_PEER").as_deref() {
            Ok("embedded") | Err(_) => Self::Embedded,
            Ok("etcd") => Self::EtcdUnix,
            Ok(other) => panic!("WICAP_PEER: found {other:?}, expected \"etcd\" or \"embedded\""),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd, TCP",
            Self::EtcdUnix => "etcd, unix",
            Self::Embedded => "embedded",
            Self::EmbeddedTls => "embedded, TLS",
        }
    }
}

/// What a write waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The disk, as in service.
    Disk,
    /// Nothing that a test would notice: four at once on one disk should not wait for it. Only etcd offers it.
    Memory,
}

/// One store with a directory of its own, which goes with it.
pub struct Peer {
    kind: Kind,
    durability: Durability,
    directory: TempDir,
    port: u16,
    raft_port: u16,
    child: Option<Child>,
}

impl Peer {
    /// On an empty directory, and answering.
    pub async fn start(kind: Kind, durability: Durability) -> Self {
        let mut peer = Self::prepare(kind, durability);
        peer.launch().await;
        peer
    }

    /// On an empty directory, not started.
    pub fn prepare(kind: Kind, durability: Durability) -> Self {
        let directory = tempfile::Builder::new().prefix("wicap-test-peer").tempdir().unwrap();
        Self { kind, durability, directory, port: free_port(), raft_port: free_port(), child: None }
    }

    /// Starts it on the data that is there; returns after its first answer.
    pub async fn launch(&mut self) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.path().join("log")).unwrap();
        let child = self.command().current_dir(self.path()).stdout(Stdio::null()).stderr(log).spawn().expect("it starts");
        let endpoint = self.address();
        let child = self.child.insert(child);
        let answering = async {
            loop {
                assert!(child.try_wait().unwrap().is_none(), "{:?} has ended: see its log", self.kind);
                if client(&endpoint).await.get("health", None).await.is_ok() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, answering).await.expect("it answers");
    }

    fn command(&self) -> Command {
        match self.kind {
            Kind::Etcd | Kind::EtcdUnix => {
                // etcd takes a unix socket only under a name that looks like a host and a port, in its working directory.
                let client = match self.kind {
                    Kind::EtcdUnix => format!("unix://localhost:{}", self.port),
                    _ => self.endpoint(),
                };
                let mut command = etcd_command(&self.path().join("data"), &client, self.raft_port);
                if self.durability == Durability::Memory {
                    command.arg("--unsafe-no-fsync");
                }
                command
            }
            Kind::Embedded => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_wicapd"));
                command.args(["store", "--listen", &self.endpoint(), "--data-dir"]).arg(self.path().join("data"));
                command
            }
            Kind::EmbeddedTls => {
                let tls = Certificates::in_directory(self.path());
                let mut command = Command::new(env!("CARGO_BIN_EXE_wicapd"));
                command.args(["store", "--listen", &self.endpoint(), "--listen", &self.address(), "--data-dir"]);
                command.arg(self.path().join("data")).arg("--client-ca").arg(tls.authority);
                command.arg("--cert").arg(tls.server.0).arg("--key").arg(tls.server.1);
                command
            }
        }
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where it listens, as an absolute address.
    pub fn endpoint(&self) -> String {
        self.kind.endpoint(self.path(), self.port)
    }

    /// Where our own client reaches it: that has no certificates here.
    fn address(&self) -> String {
        match self.kind {
            Kind::EmbeddedTls => Kind::Embedded.endpoint(self.path(), self.port),
            kind => kind.endpoint(self.path(), self.port),
        }
    }

    /// What `etcdctl` has to be told besides the endpoint.
    pub fn options(&self) -> Vec<String> {
        if self.kind != Kind::EmbeddedTls {
            return Vec::new();
        }
        let file = |name: &str| self.path().join(name).display().to_string();
        vec![
            format!("--cacert={}", file("authority.crt")),
            format!("--cert={}", file("client.crt")),
            format!("--key={}", file("client.key")),
        ]
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    pub async fn client(&self) -> Client {
        client(&self.address()).await
    }

    /// SIGKILL: it ends in the middle of what it does.
    pub fn kill(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        child.wait().unwrap();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.path().join("log")).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(10).collect();
            eprintln!("--- the end of the log of {}:", self.kind.name());
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}

impl Kind {
    fn socket(self, directory: &Path, port: u16) -> PathBuf {
        match self {
            Self::Embedded | Self::EmbeddedTls => directory.join("store.sock"),
            _ => directory.join(format!("localhost:{port}")),
        }
    }

    fn endpoint(self, directory: &Path, port: u16) -> String {
        match self {
            Self::Etcd => format!("http://127.0.0.1:{port}"),
            Self::EmbeddedTls => format!("https://127.0.0.1:{port}"),
            _ => format!("unix://{}", self.socket(directory, port).display()),
        }
    }
}
