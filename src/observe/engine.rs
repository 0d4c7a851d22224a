//! The Docker engine, through its HTTP API.
//!
//! A client is made on first use, negotiates the API version, and is dropped after a failure of the connection, so that an
//! engine that was upgraded or moved is met afresh. Every call has a time limit. An error says whether the call can have had
//! an effect: [`EngineError::is_ambiguous`].

mod about;
mod containers;
mod error;
mod events;
mod inspect;
mod job;
mod logs;
mod look;
mod pack;
mod usage;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::errors::Error as BollardError;
use bollard::query_parameters::{RestartContainerOptionsBuilder, StopContainerOptionsBuilder};
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use futures::future::BoxFuture;
use hyper::Response;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;

use crate::clock::Clock;

pub use about::{About, EngineClock};
pub use containers::Look;
pub use error::EngineError;
use error::translate;
pub use events::{ContainerEvent, Surroundings};
pub use inspect::{Container, ContainerState};
pub use job::{OneShot, Progress};
pub use logs::{Asked, Run};
pub use look::{LOG_BYTES, LOG_LINES};
pub use pack::{LastLines, Logged};
pub use usage::Usage;

/// Time limit of a call that reads. An idle engine lists and inspects in milliseconds; one that starts many containers at
/// once was seen to take a second. Half the resync period, so that a silent engine is known before the next one.
pub const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// Time limit of `start`. The engine answers when the process runs: 0.1 to 0.3 s, more when it mounts or pulls in volumes.
pub const START_TIMEOUT: Duration = Duration::from_secs(30);

/// What a stop or restart may take beyond its grace period: the kill after it, and a start.
pub const STOP_MARGIN: Duration = Duration::from_secs(15);

/// Docker's own grace period when the container was created without one (`StopTimeout`).
pub const DEFAULT_GRACE: Duration = Duration::from_secs(10);

const PROJECT: &str = "com.docker.compose.project";
const SERVICE: &str = "com.docker.compose.service";
const NUMBER: &str = "com.docker.compose.container-number";
const ONE_OFF: &str = "com.docker.compose.oneoff";
const CONFIG_HASH: &str = "com.docker.compose.config-hash";

/// One engine. Cheap to clone; clones share the client.
#[derive(Clone, Debug)]
pub struct Engine {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    url: String,
    clock: Clock,
    reach: Reach,
    client: Mutex<Option<Docker>>,
}

/// What a simulation does when its engine is dialled: the other end of the connection speaks the engine's HTTP API.
pub type Dial = dyn Fn() -> BoxFuture<'static, std::io::Result<DuplexStream>> + Send + Sync;

/// How the engine is reached.
enum Reach {
    /// As its address says.
    Address,
    /// As a simulation has it, each call through a connection of its own.
    Simulated(Arc<Dial>),
}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if matches!(self, Self::Address) { "Address" } else { "Simulated" })
    }
}

impl Engine {
    /// An engine at `unix:///path`, `/path`, `tcp://host:port` or `http://host:port`. Nothing is connected yet.
    ///
    /// # Errors
    /// [`EngineError::Url`] when the address has none of these forms.
    pub fn new(url: &str) -> Result<Self, EngineError> {
        let bad = |why| Err(EngineError::Url { url: url.to_owned(), why });
        if let Some(path) = socket_path(url) {
            if !path.starts_with('/') {
                return bad("the path of a socket must be absolute");
            }
        } else if let Some(rest) = url.strip_prefix("tcp://").or_else(|| url.strip_prefix("http://")) {
            let port = rest.trim_end_matches('/').rsplit_once(':').map(|(_, port)| port.parse::<u16>());
            if !matches!(port, Some(Ok(_))) {
                return bad("a host and a port are needed");
            }
        } else {
            return bad("it begins with none of unix://, tcp://, http:// and /");
        }
        Ok(Self::reached(url, Clock::system(), Reach::Address))
    }

    /// An engine at the other end of what that function connects to.
    #[must_use]
    pub fn simulated(clock: Clock, dial: Arc<Dial>) -> Self {
        Self::reached("simulated", clock, Reach::Simulated(dial))
    }

    fn reached(url: &str, clock: Clock, reach: Reach) -> Self {
        Self { shared: Arc::new(Shared { url: url.to_owned(), clock, reach, client: Mutex::new(None) }) }
    }

    /// The address it was made with.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.shared.url
    }

    /// Whether the engine answers.
    ///
    /// # Errors
    /// Why it does not, within [`READ_TIMEOUT`] for the connection and as much for the answer.
    pub async fn ping(&self) -> Result<(), EngineError> {
        let client = self.client().await?;
        self.within(READ_TIMEOUT, client.ping()).await.map(|_| ())
    }

    /// The engine's version.
    ///
    /// # Errors
    /// Any [`EngineError`] of a call that reads.
    pub async fn version(&self) -> Result<String, EngineError> {
        let client = self.client().await?;
        let version = self.within(READ_TIMEOUT, client.version()).await?;
        Ok(version.version.unwrap_or_default())
    }

    /// Starts a container. One that runs already is fine.
    ///
    /// # Errors
    /// [`EngineError::is_ambiguous`] tells whether it may have started all the same.
    pub async fn start(&self, id: &str) -> Result<(), EngineError> {
        check_id(id)?;
        let client = self.client_for(START_TIMEOUT).await?;
        self.within(START_TIMEOUT, client.start_container(id, None)).await
    }

    /// Stops a container, killing it after `grace`, and starts it again.
    ///
    /// # Errors
    /// [`EngineError::is_ambiguous`] tells whether it may have been stopped or restarted all the same.
    pub async fn restart(&self, id: &str, grace: Duration) -> Result<(), EngineError> {
        check_id(id)?;
        let limit = grace.saturating_add(STOP_MARGIN);
        let client = self.client_for(limit).await?;
        let options = RestartContainerOptionsBuilder::default().t(seconds(grace)).build();
        self.within(limit, client.restart_container(id, Some(options))).await
    }

    /// Stops a container, killing it after `grace`. One that does not run is fine.
    ///
    /// # Errors
    /// [`EngineError::is_ambiguous`] tells whether it may have stopped all the same.
    pub async fn stop(&self, id: &str, grace: Duration) -> Result<(), EngineError> {
        check_id(id)?;
        let limit = grace.saturating_add(STOP_MARGIN);
        let client = self.client_for(limit).await?;
        let options = StopContainerOptionsBuilder::default().t(seconds(grace)).build();
        self.within(limit, client.stop_container(id, Some(options))).await
    }

    /// The grace period the container was created with (`stop_grace_period` in the compose file), else [`DEFAULT_GRACE`].
    ///
    /// # Errors
    /// Any [`EngineError`] of a call that reads.
    pub async fn stop_grace(&self, id: &str) -> Result<Duration, EngineError> {
        check_id(id)?;
        let client = self.client().await?;
        let found = self.within(READ_TIMEOUT, client.inspect_container(id, None)).await?;
        let seconds = found.config.and_then(|c| c.stop_timeout).and_then(|s| u64::try_from(s).ok());
        Ok(seconds.map_or(DEFAULT_GRACE, Duration::from_secs))
    }

    /// The client, made and its version negotiated if there is none.
    async fn client(&self) -> Result<Docker, EngineError> {
        let kept = self.shared.client.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(client) = kept {
            return Ok(client);
        }
        let url = self.url();
        let limit = READ_TIMEOUT.as_secs();
        let made = match (&self.shared.reach, socket_path(url)) {
            (Reach::Simulated(dial), _) => {
                let dial = Arc::clone(dial);
                let transport = move |request: BollardRequest| exchange(Arc::clone(&dial), request);
                Docker::connect_with_custom_transport(transport, Some("http://simulated"), limit, API_DEFAULT_VERSION)
            }
            (Reach::Address, Some(path)) => Docker::connect_with_unix(path, limit, API_DEFAULT_VERSION),
            (Reach::Address, None) => Docker::connect_with_http(url.trim_end_matches('/'), limit, API_DEFAULT_VERSION),
        };
        let client = self.within(READ_TIMEOUT, async { made?.negotiate_version().await }).await?;
        tracing::debug!(url, version = %client.client_version(), "Docker engine answers");
        *self.shared.client.lock().unwrap_or_else(PoisonError::into_inner) = Some(client.clone());
        Ok(client)
    }

    /// The client with another time limit of its own, for calls that take longer.
    async fn client_for(&self, limit: Duration) -> Result<Docker, EngineError> {
        Ok(self.client().await?.with_timeout(limit))
    }

    /// The call, within its time limit. The client is forgotten when the connection was at fault.
    async fn within<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = Result<T, BollardError>>,
    ) -> Result<T, EngineError> {
        let result = match tokio::time::timeout(limit, call).await {
            Ok(result) => result.map_err(|e| match translate(self.url(), e) {
                EngineError::Timeout { .. } => EngineError::Timeout { after: limit },
                other => other,
            }),
            Err(_) => Err(EngineError::Timeout { after: limit }),
        };
        if result.as_ref().is_err_and(EngineError::is_connection) {
            *self.shared.client.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        result
    }
}

/// One request and its answer, through a connection of their own.
async fn exchange(dial: Arc<Dial>, request: BollardRequest) -> Result<Response<Incoming>, BollardError> {
    let stream = dial().await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the answer's body, or when nobody wants it any more.
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

/// The path, when the address is a socket's.
fn socket_path(url: &str) -> Option<&str> {
    url.strip_prefix("unix://").or_else(|| url.starts_with('/').then_some(url))
}

/// Ids and names as Docker makes them. They become part of a URL's path.
pub(crate) fn check_id(id: &str) -> Result<(), EngineError> {
    let ok = id.len() <= 128
        && id.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if ok { Ok(()) } else { Err(EngineError::Id { id: id.chars().take(80).collect() }) }
}

/// Whole seconds, rounded up: the engine takes no fractions, and 0 would mean an immediate kill.
fn seconds(grace: Duration) -> i32 {
    let whole = grace.as_secs().saturating_add(u64::from(grace.subsec_nanos() > 0));
    i32::try_from(whole).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;

    #[test]
    fn addresses_of_an_engine() {
        for ok in ["unix:///run/docker.sock", "/run/docker.sock", "tcp://10.0.0.1:2375", "http://[::1]:2375/"] {
            assert!(Engine::new(ok).is_ok(), "{ok}");
        }
        for bad in ["", "docker.sock", "unix://run/docker.sock", "tcp://host", "ssh://host:22", "https://host:2376"] {
            assert!(matches!(Engine::new(bad), Err(EngineError::Url { .. })), "{bad}");
        }
    }

    #[test]
    fn an_id_cannot_change_the_path_it_becomes_part_of() {
        assert!(check_id("0a1b").is_ok() && check_id("wicap-ui_1.x").is_ok());
        for bad in ["", "../images", "a/b", "a?force=1", "a#", "-a", "a b", "a%2fb", &"a".repeat(129)] {
            assert!(check_id(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_part_of_a_second_of_grace_is_a_second() {
        assert_eq!(seconds(Duration::ZERO), 0);
        assert_eq!(seconds(Duration::from_millis(1)), 1);
        assert_eq!(seconds(Duration::from_secs(10)), 10);
        assert_eq!(seconds(Duration::MAX), i32::MAX);
    }

    #[tokio::test]
    async fn an_engine_that_is_not_there_is_unreachable() {
        let engine = Engine::new("unix:///nonexistent/docker.sock").unwrap();
        assert!(matches!(engine.ping().await, Err(EngineError::Unreachable { .. })));
        assert!(matches!(engine.start("abc").await, Err(EngineError::Unreachable { .. })));
        let events: Vec<_> = engine.events().collect().await;
        assert!(matches!(&events[..], [Err(EngineError::Unreachable { .. })]), "{events:?}");
    }
}
