//! The Docker engine, through its HTTP API.
//!
//! A client is made on first use, negotiates the API version, and is dropped after a failure of the connection, so that an
//! engine that was upgraded or moved is met afresh. Every call has a time limit. An error says whether the call can have had
//! an effect: [`EngineError::is_ambiguous`].

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::errors::Error as BollardError;
use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum, EventMessage, HealthStatusEnum};
use bollard::query_parameters::{
    EventsOptionsBuilder, ListContainersOptionsBuilder, RestartContainerOptionsBuilder, StopContainerOptionsBuilder,
};
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use futures::future::BoxFuture;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use hyper::Response;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;

use crate::api::Time;
use crate::api::stack::Health;
use crate::audit::redact::known::{self, Owner};
use crate::audit::redact::literals::secret_values;
use crate::clock::Clock;

/// Time limit of a call that reads. An idle engine lists and inspects in milliseconds; one that starts many containers at
/// once was seen to take a second. Half the resync period, so that a silent engine is known before the next one.
pub const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// Time limit of `start`. The engine answers when the process runs: 0.1 to 0.3 s, more when it mounts or pulls in volumes.
pub const START_TIMEOUT: Duration = Duration::from_secs(30);

/// What a stop or restart may take beyond its grace period: the kill after it, and a start.
pub const STOP_MARGIN: Duration = Duration::from_secs(15);

/// Docker's own grace period when the container was created without one (`StopTimeout`).
pub const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// Inspections at once. The engine serves each from memory; more would only make it queue them.
const PARALLEL: usize = 8;

const PROJECT: &str = "com.docker.compose.project";
const SERVICE: &str = "com.docker.compose.service";
const NUMBER: &str = "com.docker.compose.container-number";
const ONE_OFF: &str = "com.docker.compose.oneoff";
const CONFIG_HASH: &str = "com.docker.compose.config-hash";

/// The events that can change a state. Without the list the engine also sends three for every run of a health check.
const EVENTS: [&str; 10] =
    ["create", "start", "die", "oom", "pause", "unpause", "rename", "update", "destroy", "health_status"];

/// Why the engine could not be asked, or did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EngineError {
    /// The address is of no known form. Give `unix:///path`, `/path` or `tcp://host:port`.
    #[error("{url:?} is no address of a Docker engine: {why}")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The id has characters that no container id has. Look the container up again; nothing was sent.
    #[error("{id:?} is no container id")]
    Id {
        /// What was given.
        id: String,
    },
    /// No connection was made, so nothing was sent. Check that the engine runs and that this user may use its socket.
    #[error("no connection to the Docker engine at {url}: {why}")]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// The error of the connection.
        why: String,
    },
    /// The engine refused the call (4xx) and did nothing. Look again: the container may be gone or in another state.
    #[error("the Docker engine refused ({status}): {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The engine's words.
        message: String,
    },
    /// The engine tried and failed (5xx), perhaps half-way. Look what became of it.
    #[error("the Docker engine failed ({status}): {message}")]
    Failed {
        /// HTTP status.
        status: u16,
        /// The engine's words.
        message: String,
    },
    /// No answer in time. The engine may still do it. Look what became of it.
    #[error("the Docker engine did not answer within {after:?}")]
    Timeout {
        /// The time limit.
        after: Duration,
    },
    /// The connection broke, or the answer could not be understood. The call may have had its effect.
    #[error("the connection to the Docker engine broke: {why}")]
    Lost {
        /// The error.
        why: String,
    },
}

impl EngineError {
    /// Whether the call may have had an effect. False only when it certainly had none.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::Timeout { .. } | Self::Lost { .. })
    }

    /// Whether the connection is at fault, so that the client has to be made anew.
    fn is_connection(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Timeout { .. } | Self::Lost { .. })
    }
}

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

/// A container of a compose project, as the engine has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Container {
    /// The compose service.
    pub service: String,
    /// Full id.
    pub id: String,
    /// Name, without the engine's leading slash.
    pub name: String,
    /// The image as it was asked for.
    pub image: String,
    /// Hash of the configuration it was created from.
    pub config_hash: Option<String>,
    /// The engine's word for its state.
    pub status: ContainerState,
    /// Health, when it has a health check.
    pub health: Option<Health>,
    /// Restarts by the engine's own policy since it was last started by somebody.
    pub restart_count: i64,
    /// When it last started; absent when it never did.
    pub started_at: Option<Time>,
    /// When it last ended; absent when it never did.
    pub finished_at: Option<Time>,
    /// Its last exit code. 0 also when it never ended.
    pub exit_code: Option<i64>,
    /// Whether the kernel killed a process of it for want of memory since it last started.
    pub oom_killed: bool,
    /// Number among the containers of its service, from 1.
    pub number: u32,
}

/// The engine's word for a container's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContainerState {
    /// Made and never started.
    Created,
    /// Its process runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// It ended, and the engine waits before it starts it again.
    Restarting,
    /// It is being removed.
    Removing,
    /// It ended.
    Exited,
    /// It could not be removed.
    Dead,
}

/// Something happened to a container of a compose project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerEvent {
    /// The compose project.
    pub project: String,
    /// The compose service.
    pub service: String,
    /// Full id.
    pub container_id: String,
    /// What: `die`, `start`, `health_status: unhealthy` and so on.
    pub action: String,
    /// When, by the engine's clock.
    pub time: Time,
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

    /// All containers of a compose project, in any state, sorted by service, number and name. One-off containers
    /// (`docker compose run`) are left out, and so is one that vanishes between being listed and being inspected.
    ///
    /// The secrets of their environments are taken out of every text from now on: a container keeps those that it was created with
    /// when the compose files have others by now, or cannot be read.
    ///
    /// # Errors
    /// Any [`EngineError`] of a call that reads; each call has [`READ_TIMEOUT`].
    pub async fn containers(&self, project: &str) -> Result<Vec<Container>, EngineError> {
        let client = self.client().await?;
        let filters = HashMap::from([("label", vec![format!("{PROJECT}={project}")])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let listed = self.within(READ_TIMEOUT, client.list_containers(Some(options))).await?;
        let wanted = listed.into_iter().filter(|c| {
            let label = c.labels.as_ref().and_then(|labels| labels.get(ONE_OFF));
            !label.is_some_and(|value| value.eq_ignore_ascii_case("true"))
        });
        let found: Vec<(Container, Vec<String>)> = stream::iter(wanted.filter_map(|c| c.id))
            .map(|id| {
                let client = &client;
                async move {
                    match self.within(READ_TIMEOUT, client.inspect_container(&id, None)).await {
                        Err(EngineError::Refused { status: 404, .. }) => Ok(None),
                        other => other.map(|inspected| {
                            let secrets = secrets(&inspected);
                            container(inspected).map(|container| (container, secrets))
                        }),
                    }
                }
            })
            .buffer_unordered(PARALLEL)
            .try_filter_map(|found| async move { Ok(found) })
            .try_collect()
            .await?;
        let (mut found, secrets): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        known::learn(Owner::Containers(project.to_owned()), secrets.concat());
        found.sort_by(|a, b| (&a.service, a.number, &a.name).cmp(&(&b.service, b.number, &b.name)));
        Ok(found)
    }

    /// Events of the containers of all compose projects from this call on. The stream ends with an error when the connection
    /// breaks; whoever wants more calls again. What happens between this call and the first poll is delivered too.
    pub fn events(&self) -> impl Stream<Item = Result<ContainerEvent, EngineError>> + Send + use<> {
        let engine = self.clone();
        let since = self.shared.clock.now();
        let connected = async move {
            let client = engine.client().await?;
            let filters = HashMap::from([("type", vec!["container"]), ("label", vec![PROJECT]), ("event", EVENTS.to_vec())]);
            let since = format!("{}.{:09}", since.as_second(), since.subsec_nanosecond());
            let options = EventsOptionsBuilder::default().since(&since).filters(&filters).build();
            let url = engine.url().to_owned();
            let ended = EngineError::Lost { why: "the engine ended the event stream".to_owned() };
            Ok::<_, EngineError>(
                client
                    .events(Some(options))
                    .map(move |message| message.map_err(|e| translate(&url, e)))
                    .try_filter_map(|message| async move { Ok(event(message)) })
                    .chain(stream::once(async { Err(ended) })),
            )
        };
        let endless = stream::once(connected).try_flatten();
        // After its first error the stream is over.
        endless.scan(false, |over, item| {
            let next = (!*over).then_some(());
            *over = item.is_err();
            futures::future::ready(next.map(|()| item))
        })
    }

    /// Whether the engine answers.
    ///
    /// # Errors
    /// Why it does not, within [`READ_TIMEOUT`] for the connection and as much for the answer.
    pub async fn ping(&self) -> Result<(), EngineError> {
        let client = self.client().await?;
        self.within(READ_TIMEOUT, client.ping()).await.map(|_| ())
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

fn translate(url: &str, error: BollardError) -> EngineError {
    match error {
        BollardError::DockerResponseServerError { status_code: status, message } if (400..500).contains(&status) => {
            EngineError::Refused { status, message }
        }
        BollardError::DockerResponseServerError { status_code: status, message } => EngineError::Failed { status, message },
        BollardError::RequestTimeoutError => EngineError::Timeout { after: READ_TIMEOUT },
        BollardError::SocketNotFoundError(path) => {
            EngineError::Unreachable { url: url.to_owned(), why: format!("there is no socket {path}") }
        }
        BollardError::HyperLegacyError { err } if err.is_connect() => {
            EngineError::Unreachable { url: url.to_owned(), why: innermost(&err) }
        }
        other => EngineError::Lost { why: innermost(&other) },
    }
}

/// The error with the last of its sources, which is the one that says something.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    let (outer, inner) = (error.to_string(), last.to_string());
    if outer.contains(&inner) { outer } else { format!("{outer}: {inner}") }
}

/// The secrets of a container's environment.
fn secrets(found: &ContainerInspectResponse) -> Vec<String> {
    let environment = found.config.as_ref().and_then(|config| config.env.as_deref()).unwrap_or_default();
    secret_values(environment.iter().filter_map(|variable| variable.split_once('=')))
}

/// A container of a compose service; none when the labels do not say which.
fn container(found: ContainerInspectResponse) -> Option<Container> {
    let config = found.config.unwrap_or_default();
    let labels = config.labels.unwrap_or_default();
    let state = found.state?;
    let status = match state.status? {
        ContainerStateStatusEnum::CREATED => ContainerState::Created,
        // A container that is being stopped still runs.
        ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::STOPPING => ContainerState::Running,
        ContainerStateStatusEnum::PAUSED => ContainerState::Paused,
        ContainerStateStatusEnum::RESTARTING => ContainerState::Restarting,
        ContainerStateStatusEnum::REMOVING => ContainerState::Removing,
        ContainerStateStatusEnum::EXITED => ContainerState::Exited,
        ContainerStateStatusEnum::DEAD => ContainerState::Dead,
        ContainerStateStatusEnum::EMPTY => return None,
    };
    let health = state.health.and_then(|h| h.status).and_then(|word| match word {
        HealthStatusEnum::STARTING => Some(Health::Starting),
        HealthStatusEnum::HEALTHY => Some(Health::Healthy),
        HealthStatusEnum::UNHEALTHY => Some(Health::Unhealthy),
        HealthStatusEnum::NONE | HealthStatusEnum::EMPTY => None,
    });
    Some(Container {
        service: labels.get(SERVICE)?.clone(),
        id: found.id?,
        name: found.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        image: config.image.unwrap_or_default(),
        config_hash: labels.get(CONFIG_HASH).cloned(),
        status,
        health,
        restart_count: found.restart_count.unwrap_or(0),
        started_at: state.started_at.as_deref().and_then(time),
        finished_at: state.finished_at.as_deref().and_then(time),
        exit_code: state.exit_code,
        oom_killed: state.oom_killed.unwrap_or(false),
        number: labels.get(NUMBER).and_then(|n| n.parse().ok()).unwrap_or(1),
    })
}

/// The engine writes year 1 for "never".
fn time(text: &str) -> Option<Time> {
    text.parse::<Time>().ok().filter(|t| *t > Time::UNIX_EPOCH)
}

fn event(message: EventMessage) -> Option<ContainerEvent> {
    let actor = message.actor?;
    let labels = actor.attributes?;
    if labels.get(ONE_OFF).is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return None;
    }
    let nanos = message.time_nano.map(i128::from).and_then(|n| Time::from_nanosecond(n).ok());
    Some(ContainerEvent {
        project: labels.get(PROJECT)?.clone(),
        service: labels.get(SERVICE)?.clone(),
        container_id: actor.id?,
        action: message.action?,
        time: nanos.or_else(|| message.time.and_then(|s| Time::from_second(s).ok()))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn year_one_means_never() {
        assert_eq!(time("0001-01-01T00:00:00Z"), None);
        assert_eq!(time("2026-01-02T03:04:05.678Z"), Some("2026-01-02T03:04:05.678Z".parse().unwrap()));
    }

    #[test]
    fn a_refusal_is_certain_and_a_lost_connection_is_not() {
        let server =
            |status_code| translate("u", BollardError::DockerResponseServerError { status_code, message: String::new() });
        assert!(!server(404).is_ambiguous() && !server(409).is_ambiguous());
        assert!(server(500).is_ambiguous());
        assert!(translate("u", BollardError::RequestTimeoutError).is_ambiguous());
        assert!(!translate("u", BollardError::SocketNotFoundError("/x".to_owned())).is_ambiguous());
        let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert!(translate("u", BollardError::IOError { err: broken }).is_ambiguous());
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
