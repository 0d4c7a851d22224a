//! The store layer, over the etcd v3 API and nothing else.
//!
//! ```text
//!  operator ──▶ spec half ──┐                       ┌──▶ kube-runtime reflector ──▶ reconcile
//!                           ├─ one range, one watch ─┤
//!  controllers ▶ status half┘   (watch.rs)          └──▶ cache
//!                 ▲
//!                 └── Transaction: every write compares what it read, and its writer's leader key (fence)
//! ```
//!
//! Guarantees: a write is refused when what it was decided on has changed; a deposed leader cannot write; a watch misses
//! nothing, or lists anew. Assumptions: the clock of the store's leases runs about as fast as ours. Caveat: an error of a
//! transaction says nothing about whether it was committed, so every write whose answer was lost is looked up before it is
//! reported ([`Error::Ambiguous`] when even that fails).
//!
//! # Layout
//! - [`api`]: typed access to one kind
//! - [`transaction`]: several writes at once, fenced
//! - [`watch`]: the endless list-and-watch; [`history`]: what is still known of the past
//! - [`election`]: who leads, by lease
//! - [`audit`]: a record of every change, in its transaction
//! - [`roles`]: who may write what, as ranges of keys; [`access`]: makes an etcd's roles be that
//! - [`events`]: Events with counts; [`feed`]: those of all objects, as they come
//! - [`health`]: how the store is, and who leads
//! - [`backup`]: a snapshot of all that a store holds, in a file
//! - [`copy`]: all objects from one store into another
//! - [`embedded`]: the store itself, when there is no etcd
//! - `keys`, `codec`, `selector`, [`url`], [`tls`], [`error`]: the small parts

pub mod access;
pub mod api;
pub mod audit;
pub mod backup;
mod codec;
pub mod copy;
pub mod election;
pub mod embedded;
pub mod error;
pub mod events;
pub mod feed;
pub mod health;
pub mod history;
mod keys;
pub mod roles;
pub(crate) mod selector;
pub mod tls;
pub mod transaction;
pub mod url;
pub mod watch;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Client, ConnectOptions, KvClient, WatchClient};
use hyper_util::rt::TokioIo;
use rustix::process::geteuid;
use tokio::sync::Mutex;
use tonic::transport::Endpoint;

pub use api::{Api, DeleteParams, List, ListParams, Patch};
use audit::{Actor, Proof};
pub use error::Error;
pub use tls::Tls;
pub use transaction::Transaction;
pub use url::StoreUrl;
pub use watch::WatchParams;

use crate::api::Object;
use crate::clock::Clock;
use keys::Keys;
use url::Place;

/// How long a request may take. etcd answers in milliseconds; a cluster that elects a leader takes about a second (its default
/// election timeout) and must not make every loop fail.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection may take to be made, and to answer a keep-alive: under [`REQUEST_TIMEOUT`], so that a dead peer is
/// told apart from a slow one.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection to the store. Cheap to clone; reconnects by itself.
#[derive(Clone)]
pub struct Store {
    client: Client,
    url: StoreUrl,
    keys: Keys,
    clock: Clock,
    /// Who writes, where no leader does.
    actor: Arc<Actor>,
    /// One of this process's recorded writes at a time.
    audit_turn: Arc<Mutex<()>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.url)
    }
}

impl Store {
    /// A store at that address. No request is made yet: the first one finds out whether it is there.
    ///
    /// For `https`, the files named by `WICAP_STORE_CACERT`, `WICAP_STORE_CERT` and `WICAP_STORE_KEY` (PEM) are the authority to
    /// trust and the client's certificate, as for `etcdctl`'s options of these names.
    ///
    /// # Errors
    /// [`Error::BadRequest`] when the address or a certificate cannot be used.
    pub async fn connect(url: &StoreUrl, clock: Clock) -> Result<Self, Error> {
        Self::connect_with(url, &Tls::from_environment(|name| std::env::var_os(name)), clock).await
    }

    /// The same, with these files for `https`.
    ///
    /// # Errors
    /// As [`Store::connect`].
    pub async fn connect_with(url: &StoreUrl, tls: &Tls, clock: Clock) -> Result<Self, Error> {
        let unusable = |e: &dyn std::fmt::Display| Error::BadRequest {
            what: "store URL",
            found: format!("{url}: {e}"),
            expected: "an address that a client can be made for",
        };
        // etcd sends progress only on a connection that answers keep-alives; a peer that vanished is found out by them too.
        let options = ConnectOptions::new()
            .with_connect_timeout(CONNECT_TIMEOUT)
            .with_keep_alive(Duration::from_secs(10), CONNECT_TIMEOUT)
            .with_keep_alive_while_idle(true);
        let client = match &url.place {
            Place::Embedded => unix_client(embedded::socket_of(&embedded::data_dir::default_path())).await,
            Place::Unix(path) => unix_client(path.clone()).await,
            // One address: a lazy channel fails at once while nobody listens, where a balanced one would wait.
            Place::Tcp(hosts) if hosts.len() == 1 && hosts[0].starts_with("http://") => {
                let channel = Endpoint::from_shared(hosts[0].clone())
                    .map_err(|e| unusable(&e))?
                    .connect_timeout(CONNECT_TIMEOUT)
                    .http2_keep_alive_interval(Duration::from_secs(10))
                    .keep_alive_timeout(CONNECT_TIMEOUT)
                    .keep_alive_while_idle(true)
                    .tcp_nodelay(true)
                    .connect_lazy();
                Client::from_channel(etcd_client::Channel::Tonic(channel), None).await
            }
            Place::Tcp(hosts) => {
                let options = if hosts.iter().any(|h| h.starts_with("https://")) {
                    options.with_tls(tls.options().map_err(|e| unusable(&e))?)
                } else {
                    options
                };
                Client::connect(hosts, Some(options)).await
            }
        };
        Ok(Self::with_client(client.map_err(|e| unusable(&e))?, url.clone(), clock))
    }

    /// A store behind a client that was made elsewhere: a channel in memory, or one that fails on purpose.
    #[must_use]
    pub fn with_client(client: Client, url: StoreUrl, clock: Clock) -> Self {
        let actor = Arc::new(Actor::claimed("unknown"));
        Self { client, keys: Keys::new(&url), url, clock, actor, audit_turn: Arc::default() }
    }

    /// The same store, for somebody whom the audit log is to name: on a unix socket with his user id too, which an embedded store
    /// checks.
    #[must_use]
    pub fn acting_as(mut self, name: &str) -> Self {
        let proof = if self.url.is_local() { Proof::Uid(geteuid().as_raw()) } else { Proof::Claimed };
        self.actor = Arc::new(Actor { proof, ..Actor::claimed(name) });
        self
    }

    /// Typed access to one kind.
    #[must_use]
    pub fn api<K: Object>(&self) -> Api<K> {
        Api::new(self.clone())
    }

    /// Several writes at once.
    pub fn transaction(&self) -> Transaction {
        Transaction::new(self.clone())
    }

    /// The address.
    #[must_use]
    pub fn url(&self) -> &StoreUrl {
        &self.url
    }

    /// The clock that creation times are read from.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The version that the store says it is.
    ///
    /// # Errors
    /// [`Error::Unreachable`].
    pub async fn version(&self) -> Result<String, Error> {
        let mut client = self.client.maintenance_client();
        Ok(self.read(async move { client.status().await }).await?.version().to_owned())
    }

    /// Reads and writes of keys. All objects of a kind are one answer, which may well be over the client's default of 4 MiB.
    fn kv(&self) -> KvClient {
        self.client.kv_client().max_decoding_message_size(usize::MAX)
    }

    /// The same for watches: what happened while one was cut off comes in one message.
    fn watches(&self) -> WatchClient {
        self.client.watch_client().max_decoding_message_size(usize::MAX)
    }

    /// Runs a request that changes nothing.
    async fn read<T>(&self, request: impl Future<Output = Result<T, etcd_client::Error>>) -> Result<T, Error> {
        match tokio::time::timeout(REQUEST_TIMEOUT, request).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(e)) => Err(self.read_error(&e)),
            Err(_) => Err(self.unreachable(&format!("no answer within {REQUEST_TIMEOUT:?}"))),
        }
    }

    fn read_error(&self, error: &etcd_client::Error) -> Error {
        if is_compacted(error) {
            return Error::Expired;
        }
        refusal(error).unwrap_or_else(|| self.unreachable(&innermost(error)))
    }

    fn unreachable(&self, reason: &str) -> Error {
        Error::Unreachable { url: self.url.to_string(), reason: reason.to_owned() }
    }
}

async fn unix_client(path: PathBuf) -> Result<Client, etcd_client::Error> {
    let connector = tower::service_fn(move |_| {
        let path = path.clone();
        async move { tokio::net::UnixStream::connect(path).await.map(TokioIo::new) }
    });
    // The authority is not used on a unix socket, but HTTP/2 wants one.
    let channel = Endpoint::from_static("http://localhost").connect_with_connector_lazy(connector);
    Client::from_channel(etcd_client::Channel::Tonic(channel), None).await
}

/// What an error says that will not get better by itself.
fn refusal(error: &etcd_client::Error) -> Option<Error> {
    use tonic::Code;
    let etcd_client::Error::GRpcStatus(status) = error else { return None };
    match status.code() {
        Code::InvalidArgument
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::Unimplemented
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::ResourceExhausted => Some(Error::Refused { reason: status.message().to_owned() }),
        _ => None,
    }
}

/// Whether a read at a revision came after that revision was compacted (etcd: `ErrGRPCCompacted`).
fn is_compacted(error: &etcd_client::Error) -> bool {
    matches!(error, etcd_client::Error::GRpcStatus(s) if s.code() == tonic::Code::OutOfRange && s.message().contains("compacted"))
}

/// The cause at the bottom of a chain of transport errors, which is the one that says something.
fn innermost(error: &etcd_client::Error) -> String {
    let outer: &dyn std::error::Error = match error {
        etcd_client::Error::GRpcStatus(status) => status,
        etcd_client::Error::TransportError(transport) => transport,
        other => other,
    };
    let mut at = outer;
    while let Some(source) = at.source() {
        at = source;
    }
    match at.downcast_ref::<tonic::Status>() {
        Some(status) => status.message().to_owned(),
        None => at.to_string(),
    }
}
