//! A store of the test's own: a real etcd, or the embedded store in a process of its own. What is promised of the system holds
//! on both; `WICAP_TEST_STORE` (`etcd`, which is the default, or `embedded`) says on which a test runs.

use std::path::Path;
use std::process::{Command, Output};

use etcd_client::Client;
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tonic::transport::Endpoint;

use super::etcd::Etcd;
use super::store::StoreProcess;

/// Either store, with what a test may do to it.
pub enum Server {
    Etcd(Etcd),
    Embedded(Embedded),
}

impl Server {
    /// The one that is asked for, empty and answering.
    pub async fn start() -> Self {
        match std::env::var("WICAP_TEST_STORE").as_deref() {
            Ok("embedded") => Self::embedded().await,
            Ok("etcd") | Err(_) => Self::etcd().await,
            Ok(other) => panic!("WICAP_TEST_STORE: found '{other}', expected etcd or embedded"),
        }
    }

    pub async fn etcd() -> Self {
        Self::Etcd(Etcd::start().await)
    }

    pub async fn embedded() -> Self {
        Self::Embedded(Embedded::start().await)
    }

    pub fn url(&self) -> String {
        match self {
            Self::Etcd(etcd) => etcd.url(),
            Self::Embedded(embedded) => embedded.url(),
        }
    }

    /// SIGKILL: nobody answers, the data stays.
    pub fn stop(&mut self) {
        match self {
            Self::Etcd(etcd) => etcd.stop(),
            Self::Embedded(embedded) => embedded.stop(),
        }
    }

    /// Starts it again on the same data, and waits until it answers.
    pub async fn resume(&mut self) {
        match self {
            Self::Etcd(etcd) => etcd.resume().await,
            Self::Embedded(embedded) => embedded.launch().await,
        }
    }

    /// A connection of its own.
    pub async fn client(&self) -> Client {
        client(&self.url()).await
    }

    /// Forgets all history up to now.
    pub async fn compact(&self) {
        let mut client = self.client().await;
        let revision = client.get("x", None).await.unwrap().header().unwrap().revision();
        client.compact(revision, None).await.unwrap();
    }
}

/// `wicapd store` on a directory of its own.
pub struct Embedded {
    // Ends before its directory does.
    process: Option<StoreProcess>,
    directory: TempDir,
}

impl Embedded {
    pub async fn start() -> Self {
        let directory = tempfile::Builder::new().prefix("wicap-test-store").tempdir().unwrap();
        let mut embedded = Self { process: None, directory };
        embedded.launch().await;
        embedded
    }

    /// One that `wicapd store restore` has made of a snapshot.
    pub async fn restored(file: &Path) -> Self {
        let directory = tempfile::Builder::new().prefix("wicap-test-store").tempdir().unwrap();
        let output = restore(file, directory.path());
        assert!(output.status.success(), "{output:?}");
        let mut embedded = Self { process: None, directory };
        embedded.launch().await;
        embedded
    }

    pub fn data_dir(&self) -> &Path {
        self.directory.path()
    }

    pub fn url(&self) -> String {
        format!("unix://{}", self.data_dir().join("store.sock").display())
    }

    /// SIGKILL.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Starts it, and waits until it answers.
    pub async fn launch(&mut self) {
        self.process = Some(StoreProcess::start(self.directory.path()).await);
    }
}

/// Runs `wicapd store restore`.
pub fn restore(file: &Path, data_dir: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wicapd"));
    command.args(["store", "restore"]).arg(file).arg("--data-dir").arg(data_dir);
    command.env("RUST_LOG", "warn").output().unwrap()
}

/// A connection to a store at an `http://` or `unix://` address, made when it is first used.
pub async fn client(url: &str) -> Client {
    let channel = match url.strip_prefix("unix://") {
        None => Endpoint::from_shared(url.to_owned()).unwrap().tcp_nodelay(true).connect_lazy(),
        Some(path) => {
            let path = path.to_owned();
            let connector = tower::service_fn(move |_| {
                let path = path.clone();
                async move { tokio::net::UnixStream::connect(path).await.map(TokioIo::new) }
            });
            // The authority is not used on a unix socket, but HTTP/2 wants one.
            Endpoint::from_static("http://localhost").connect_with_connector_lazy(connector)
        }
    };
    Client::from_channel(etcd_client::Channel::Tonic(channel), None).await.unwrap()
}
