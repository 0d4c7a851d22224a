//! A real etcd of the test's own, that can be stopped, started again and compacted.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use etcd_client::Client;
use tempfile::TempDir;

use super::{PATIENCE, free_port};

pub struct Etcd {
    directory: TempDir,
    port: u16,
    peer_port: u16,
    options: &'static [&'static str],
    child: Option<Child>,
}

impl Etcd {
    /// Started, and answering.
    pub async fn start() -> Self {
        // Nothing here must survive a power cut, and four tests at once on one disk should not wait for it.
        Self::start_with(&["--unsafe-no-fsync"]).await
    }

    /// The same, with every write on the disk before it is acknowledged, as it is in service.
    pub async fn start_durable() -> Self {
        Self::start_with(&[]).await
    }

    async fn start_with(options: &'static [&'static str]) -> Self {
        let directory = tempfile::Builder::new().prefix("wicap-test-etcd").tempdir().unwrap();
        let mut etcd = Self { directory, port: 0, peer_port: 0, options, child: None };
        // Somebody who is no test may take a port between our look and etcd's.
        for _ in 0..5 {
            (etcd.port, etcd.peer_port) = (free_port(), free_port());
            if etcd.launch().await {
                return etcd;
            }
        }
        panic!("etcd does not start: {}", std::fs::read_to_string(etcd.directory.path().join("log")).unwrap());
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// SIGKILL: the port is closed, the data stays.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again on the same data, and waits until it answers.
    pub async fn resume(&mut self) {
        assert!(self.launch().await, "etcd does not start again");
    }

    /// Whether it answers; it does not when it has ended.
    async fn launch(&mut self) -> bool {
        let client = self.url();
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.directory.path().join("log")).unwrap();
        let child = etcd_command(&self.directory.path().join("data"), &client, self.peer_port)
            .args(self.options)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("etcd is installed by hack/setup");
        let child = self.child.insert(child);
        let answering = async {
            loop {
                if child.try_wait().unwrap().is_some() {
                    return false;
                }
                if let Ok(mut client) = Client::connect([client.as_str()], None).await
                    && let Ok(Ok(_)) = tokio::time::timeout(Duration::from_secs(1), client.get("health", None)).await
                {
                    return true;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, answering).await.expect("etcd answers")
    }

    pub async fn client(&self) -> Client {
        Client::connect([self.url()], None).await.unwrap()
    }

    /// Forgets all history up to now.
    pub async fn compact(&self) {
        let mut client = self.client().await;
        let revision = client.get("x", None).await.unwrap().header().unwrap().revision();
        client.compact(revision, None).await.unwrap();
    }
}

/// An etcd of one member that serves clients at that address.
pub fn etcd_command(data: &Path, client: &str, peer_port: u16) -> Command {
    etcd_program("etcd", data, client, peer_port)
}

/// The same of another program of that kind.
pub fn etcd_program(program: &str, data: &Path, client: &str, peer_port: u16) -> Command {
    let peer = format!("http://127.0.0.1:{peer_port}");
    let mut command = Command::new(program);
    command
        .arg("--data-dir")
        .arg(data)
        .args(["--listen-client-urls", client, "--advertise-client-urls", client])
        .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
        .args(["--initial-cluster", &format!("default={peer}"), "--log-level", "error"]);
    command
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.stop();
    }
}
