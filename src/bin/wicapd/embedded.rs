//! `wicapd store`: the embedded store, alone or inside `wicapd run`.

use std::path::PathBuf;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use wicap::api::stack::default_host;
use wicap::clock::Clock;
use wicap::controllers::local_stop;
use wicap::stop_file::StopFile;
use wicap::store::StoreUrl;
use wicap::store::embedded::backup::restore;
use wicap::store::embedded::data_dir::{DataDir, default_path};
use wicap::store::embedded::listen::{Error, Listen, Listening, TlsFiles, open_directory};
use wicap::store::embedded::snapshot::Trailer;
use wicap::store::embedded::{Embedded, Options};

use crate::{Failure, stop_when_signalled, until_told_to_end};

#[derive(Debug, clap::Args)]
pub struct Store {
    #[command(subcommand)]
    command: Option<StoreCommand>,
    #[command(flatten)]
    serving: Serving,
}

#[derive(Debug, clap::Subcommand)]
enum StoreCommand {
    /// Makes a store of a snapshot, in a data directory that has none.
    Restore(Restore),
}

#[derive(Debug, clap::Args)]
struct Restore {
    /// A snapshot that `wicapctl store snapshot` or `etcdctl snapshot save` has written.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The directory that is to hold the store. Default: $WICAP_DATA_DIR, else /var/lib/wicap for root, else
    /// $XDG_STATE_HOME/wicap.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Takes a file without a checksum at its end, such as a copy of an etcd's `db`. Damage may then go unnoticed.
    #[arg(long)]
    skip_hash_check: bool,
}

impl Store {
    pub async fn run(self) -> Result<(), Failure> {
        if let Some(StoreCommand::Restore(restore)) = self.command {
            return restore.run();
        }
        let shutdown = until_told_to_end()?;
        let stop_file = StopFile::of(&self.serving.data_dir());
        stop_when_signalled(&stop_file)?;
        let served = self.serving.start(shutdown.clone()).await?;
        let client = served.store.client().await.map_err(|e| Failure::Start(e.to_string()))?;
        let store = wicap::store::Store::with_client(client, StoreUrl::embedded(), Clock::system());
        tokio::spawn(local_stop::run(store, stop_file, default_host(), shutdown.clone()));
        served.ended(&shutdown).await
    }
}

impl Restore {
    fn run(self) -> Result<(), Failure> {
        let failed = |e: &dyn std::fmt::Display| Failure::Start(e.to_string());
        let directory = DataDir::take(&self.data_dir.unwrap_or_else(default_path)).map_err(|e| failed(&e))?;
        let trailer = if self.skip_hash_check { Trailer::Optional } else { Trailer::Required };
        let restored = restore(&self.file, &directory, trailer).map_err(|e| failed(&e))?;
        println!(
            "{}: restored revision {} ({} versions of keys, {} leases)",
            directory.file().display(),
            restored.revision,
            restored.records,
            restored.leases
        );
        Ok(())
    }
}

/// Where the embedded store keeps its data, and where it is served.
#[derive(Debug, clap::Args)]
pub struct Serving {
    /// The directory that holds the store. Default: $WICAP_DATA_DIR, else /var/lib/wicap for root, else $XDG_STATE_HOME/wicap.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where the store is served: unix:///PATH or https://HOST:PORT, which needs --cert, --key and --client-ca. May be given
    /// several times. Default: the socket store.sock in the data directory.
    #[arg(long, value_name = "URL")]
    listen: Vec<Listen>,
    /// A group whose members may use the unix sockets; else only the user who runs this may.
    #[arg(long, value_name = "GROUP")]
    socket_group: Option<String>,
    /// The server's certificate, PEM.
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,
    /// The key of the server's certificate, PEM.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The authority that signs the certificates of clients, PEM.
    #[arg(long, value_name = "FILE")]
    client_ca: Option<PathBuf>,
    /// Bytes that the store's file may have before writes are refused with etcd's NOSPACE alarm.
    #[arg(long, default_value_t = Options::default().quota_bytes, value_name = "BYTES")]
    quota_bytes: u64,
}

/// A store that is served.
pub struct Served {
    pub store: Embedded,
    listeners: JoinSet<Result<(), Error>>,
}

impl Serving {
    /// The data directory, of whatever store.
    pub fn data_dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(default_path)
    }

    /// Opens the store and answers on every address. All addresses are had before the first is answered on.
    pub async fn start(self, shutdown: CancellationToken) -> Result<Served, Failure> {
        let failed = |e: &dyn std::fmt::Display| Failure::Start(e.to_string());
        let directory = DataDir::take(&self.data_dir()).map_err(|e| failed(&e))?;
        let path = directory.path().to_owned();
        let addresses = if self.listen.is_empty() { vec![Listen::Unix(directory.socket())] } else { self.listen };
        let inside = |address: &Listen| matches!(address, Listen::Unix(socket) if socket.parent() == Some(&path));
        let group = self.socket_group.as_deref().filter(|_| addresses.iter().any(inside));
        open_directory(&directory, group).map_err(|e| failed(&e))?;
        let mut listening = Vec::new();
        for address in addresses {
            listening.push(match &address {
                Listen::Unix(path) => Listening::unix(path, self.socket_group.as_deref()).map_err(|e| failed(&e))?,
                Listen::Tls(host) => {
                    let (Some(cert), Some(key), Some(client_ca)) = (&self.cert, &self.key, &self.client_ca) else {
                        return Err(failed(&Error::TlsMissing { address: address.to_string() }));
                    };
                    let files = TlsFiles { cert: cert.clone(), key: key.clone(), client_ca: client_ca.clone() };
                    Listening::tls(host, &files).await.map_err(|e| failed(&e))?
                }
            });
        }
        let options = Options { quota_bytes: self.quota_bytes, ..Options::default() };
        let store = Embedded::open(directory, options).map_err(|e| failed(&e))?;
        let mut listeners = JoinSet::new();
        for listening in listening {
            tracing::info!(url = listening.url(), data_dir = %path.display(), "the embedded store is served");
            listeners.spawn(listening.serve(&store, shutdown.clone()));
        }
        Ok(Served { store, listeners })
    }
}

impl Served {
    /// Waits until it is told to end, or can no longer go on; then closes the store.
    pub async fn ended(mut self, shutdown: &CancellationToken) -> Result<(), Failure> {
        let failure = tokio::select! {
            () = shutdown.cancelled() => None,
            Some(Ok(Err(error))) = self.listeners.join_next() => Some(error.to_string()),
            reason = self.store.failed() => Some(reason),
        };
        shutdown.cancel();
        while self.listeners.join_next().await.is_some() {}
        let closed = self.store.close().await.map_err(|e| e.to_string());
        match failure.map_or(closed, Err) {
            Ok(()) => Ok(()),
            Err(message) => Err(Failure::Run(message)),
        }
    }
}
