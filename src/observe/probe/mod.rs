//! Probes: questions asked of a running service, with the kubelet's meaning of period, timeout, delay and thresholds.
//!
//! # Layout
//! - this file: a question, ready to be asked
//! - [`attempt`]: what came of asking once
//! - `http`, `expect`: one GET, and its answer held against what is expected; `container`: what is asked of the engine
//! - `pace`: when a probe is asked; pure
//! - [`verdict`]: attempts counted against the thresholds; pure
//! - [`set`]: the tasks that ask, one for each probe of a running container

pub mod attempt;
mod container;
mod expect;
mod http;
mod pace;
pub mod set;
pub mod verdict;

#[cfg(test)]
mod tests;

pub use attempt::{Attempt, Outcome, Said};
pub use http::ask_http;
pub use set::ProbeSet;
pub use verdict::Verdict;

use std::sync::Arc;

use crate::api::stack::{Health, Probe, TcpSocket};
use crate::api::{Time, after, elapsed};
use crate::clock::Clock;
use crate::observe::dial::{Connection, Dialer};
use crate::observe::engine::{Container, Engine};
use crate::signature::rules::Rules;
use container::Log;
use http::Get;

/// What questions go through. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Asker {
    /// Makes the connections of tcp and http probes.
    pub dialer: Dialer,
    /// Knows the processes and the logs of containers.
    pub engine: Engine,
    /// Says which lines of a log are recent.
    pub clock: Clock,
    /// Say what lines of a log are known by.
    pub rules: Arc<Rules>,
}

/// The container that is asked about.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its full id.
    pub id: String,
    /// Its compose service.
    pub service: String,
    /// From when on the lines of its log are of its present start; absent when they all are.
    pub log_from: Option<Time>,
    /// The engine's word for its health when it was last looked at. The engine tells of each change, which leads to a look.
    pub health: Option<Health>,
}

impl Subject {
    /// A container, as it was when it was looked at.
    #[must_use]
    pub fn of(container: &Container) -> Self {
        // The engine notes a start some milliseconds after the process began, and an end perhaps before the last line was copied. Half-way
        // from the one to the other nothing runs.
        let log_from =
            container.finished_at.zip(container.started_at).map(|(end, start)| after(end, elapsed(end, start) / 2));
        Self { id: container.id.clone(), service: container.service.clone(), log_from, health: container.health }
    }
}

/// A probe, ready to be asked: what can be compiled is.
#[derive(Clone, Debug)]
pub struct Question {
    timeout: std::time::Duration,
    handler: Handler,
}

#[derive(Clone, Debug)]
enum Handler {
    Tcp(TcpSocket),
    Http(Get),
    Health,
    Process(String),
    Log(Log),
    /// It cannot be asked, which validation refuses.
    Unfit(String),
}

impl Question {
    /// The question of a probe.
    #[must_use]
    pub fn new(probe: &Probe) -> Self {
        let handler = if let Some(tcp) = &probe.tcp_socket {
            Handler::Tcp(tcp.clone())
        } else if let Some(http) = &probe.http_get {
            Get::new(http).map_or_else(Handler::Unfit, Handler::Http)
        } else if let Some(process) = &probe.process {
            Handler::Process(process.command.clone())
        } else if let Some(log) = &probe.log {
            Log::new(log).map_or_else(Handler::Unfit, Handler::Log)
        } else if probe.health.is_some() {
            Handler::Health
        } else {
            Handler::Unfit("the probe asks nothing".to_owned())
        };
        Self { timeout: probe.timeout.to_std(), handler }
    }

    /// Whether the answer is the engine's word for the container's health, which is known without asking.
    #[must_use]
    pub fn is_health(&self) -> bool {
        matches!(self.handler, Handler::Health)
    }

    /// One attempt, within the probe's timeout.
    pub async fn ask(&self, asker: &Asker, subject: &Subject) -> Attempt {
        match &self.handler {
            Handler::Tcp(tcp) => {
                let connected = async {
                    match connect(&asker.dialer, &tcp.host, tcp.port).await {
                        Ok(_) => Attempt::passed(format!("{}:{} accepts connections", tcp.host, tcp.port)),
                        Err(why) => Attempt::failed(why),
                    }
                };
                Attempt::within(self.timeout, connected, Attempt::failed).await
            }
            Handler::Http(get) => get.ask(&asker.dialer, self.timeout).await,
            Handler::Health => container::health(subject.health),
            Handler::Process(command) => {
                let asked = container::process(&asker.engine, &subject.id, command);
                Attempt::within(self.timeout, asked, Attempt::unasked).await
            }
            Handler::Log(log) => {
                let asked = log.ask(asker, subject);
                Attempt::within(self.timeout, asked, Attempt::unasked).await
            }
            Handler::Unfit(why) => Attempt::unasked(why.clone()),
        }
    }
}

async fn connect(dialer: &Dialer, host: &str, port: u16) -> Result<Connection, String> {
    dialer.connect(host, port).await.map_err(|e| format!("no connection to {host}:{port}: {e}"))
}
