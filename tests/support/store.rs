//! The embedded store as a process of its own, that can be killed and started again on its directory.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use etcd_client::Client;

use super::{PATIENCE, server};

/// A running `wicapd store`; dropping it kills it.
pub struct StoreProcess {
    directory: PathBuf,
    child: Child,
}

impl StoreProcess {
    /// Starts it on a directory, and does not wait.
    pub fn spawn(directory: &Path) -> Self {
        Self::spawn_with(directory, &[])
    }

    fn spawn_with(directory: &Path, arguments: &[&str]) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_wicapd"))
            .args(["store", "--data-dir"])
            .arg(directory)
            .args(arguments)
            .env("RUST_LOG", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { directory: directory.to_owned(), child }
    }

    /// The same, and waits until it answers.
    pub async fn start(directory: &Path) -> Self {
        Self::start_with(directory, &[]).await
    }

    /// The same with arguments that leave the socket where it is.
    pub async fn start_with(directory: &Path, arguments: &[&str]) -> Self {
        let mut process = Self::spawn_with(directory, arguments);
        process.answering().await;
        process
    }

    /// Waits until it answers, and returns the connection that it was asked on.
    pub async fn answering(&mut self) -> Client {
        let waiting = async {
            // The socket of one that was killed is still there, and refuses connections.
            while tokio::net::UnixStream::connect(self.socket()).await.is_err() {
                if let Some(status) = self.child.try_wait().unwrap() {
                    panic!("the store on {} ended with {status}", self.directory.display());
                }
                tokio::time::sleep(Duration::from_micros(500)).await;
            }
            let mut client = self.client().await;
            client.get("health", None).await.expect("the store answers");
            client
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("the store answers in time")
    }

    /// A connection of its own.
    pub async fn client(&self) -> Client {
        server::client(&self.url()).await
    }

    pub fn url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// SIGKILL: the data stays as it is.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM: it closes its file in good order.
    pub async fn end(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let ended = tokio::task::spawn_blocking(move || self.child.wait().unwrap());
        let status = tokio::time::timeout(PATIENCE, ended).await.expect("the store ends in time").unwrap();
        assert!(status.success(), "{status}");
    }

    fn socket(&self) -> PathBuf {
        self.directory.join("store.sock")
    }
}

impl Drop for StoreProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
