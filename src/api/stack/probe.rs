//! Probes: what is asked of a running service.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{one, ten_seconds};
use crate::api::Duration;

/// A question asked of a running service, with the kubelet's meaning of its numbers.
///
/// Exactly one of `tcpSocket` and `httpGet` is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// Name of the probe, unique in its service.
    pub name: String,
    /// Passes when a connection is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp_socket: Option<TcpSocket>,
    /// Passes when a GET answers with an expected status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_get: Option<HttpGet>,
    /// Time after the container's start before the first probe.
    #[serde(default = "zero")]
    pub initial_delay: Duration,
    /// Time from the start of one probe to the start of the next.
    #[serde(default = "ten_seconds")]
    pub period: Duration,
    /// Time after which an unanswered probe has failed. Not over the period.
    #[serde(default = "one_second")]
    pub timeout: Duration,
    /// Successes in a row after which a failing probe counts as passing.
    #[serde(default = "one")]
    pub success_threshold: u32,
    /// Failures in a row after which a passing probe counts as failing.
    #[serde(default = "three")]
    pub failure_threshold: u32,
}

fn zero() -> Duration {
    std::time::Duration::ZERO.into()
}
fn one_second() -> Duration {
    std::time::Duration::from_secs(1).into()
}
fn three() -> u32 {
    3
}

/// A TCP port to connect to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TcpSocket {
    /// Host name or address; the host's own loopback when absent.
    #[serde(default = "loopback")]
    pub host: String,
    /// Port, 1 to 65535.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
}

/// A plain HTTP request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpGet {
    /// Host name or address; the host's own loopback when absent.
    #[serde(default = "loopback")]
    pub host: String,
    /// Port, 1 to 65535.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// Path and query, beginning with `/`.
    #[serde(default = "root_path")]
    pub path: String,
    /// Statuses that pass. Empty: 200 to 399, as for the kubelet.
    #[serde(default)]
    pub expected_statuses: Vec<u16>,
}

fn loopback() -> String {
    "127.0.0.1".to_owned()
}
fn root_path() -> String {
    "/".to_owned()
}
