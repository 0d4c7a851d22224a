//! A real etcd of the test's own, that can be stopped, started again and compacted.

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
        let mut etcd = Self { directory, port: free_port(), peer_port: free_port(), options, child: None };
        etcd.resume().await;
        etcd
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
        let (client, peer) = (self.url(), format!("http://127.0.0.1:{}", self.peer_port));
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.directory.path().join("log")).unwrap();
        let child = Command::new("etcd")
            .arg("--data-dir")
            .arg(self.directory.path().join("data"))
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("default={peer}"), "--log-level", "error"])
            .args(self.options)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("etcd is installed by hack/setup");
        self.child = Some(child);
        let answering = async {
            loop {
                if let Ok(mut client) = Client::connect([self.url()], None).await
                    && let Ok(Ok(_)) = tokio::time::timeout(Duration::from_secs(1), client.get("health", None)).await
                {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, answering).await.expect("etcd answers");
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

impl Drop for Etcd {
    fn drop(&mut self) {
        self.stop();
    }
}
