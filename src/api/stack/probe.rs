//! Probes: what is asked of a running service.

use regex::{Regex, RegexBuilder};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Number, Value};

use super::{one, ten_seconds};
use crate::api::Duration;

/// Most bytes of a body that are looked into. A status page has a few kilobytes; what is longer is no answer to a probe.
pub const BODY_MOST: usize = 64 * 1024;

/// Longest text to look for, in bytes.
pub(super) const TEXT_MOST: usize = 1024;

/// Memory of a compiled pattern. Word lists and classes of Unicode letters fit; a repetition of a repetition does not.
const PATTERN_MEMORY: usize = 1024 * 1024;

/// A question asked of a running service, with the kubelet's meaning of its numbers.
///
/// Exactly one of `tcpSocket`, `httpGet`, `health`, `process` and `log` is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// Name of the probe, unique in its service.
    pub name: String,
    /// Passes when a connection is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp_socket: Option<TcpSocket>,
    /// Passes when a GET answers as expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_get: Option<HttpGet>,
    /// Passes while the container's own health check does, and says nothing while that is still starting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthWord>,
    /// Passes while a process runs in the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessRuns>,
    /// Passes when a line is, or is not, among the last of the container's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogLine>,
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

/// A plain HTTP request, and what its answer has to be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// Headers to send. They are stored and shown as they are: no place for a secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HttpHeader>,
    /// Statuses that pass. Empty: 200 to 399, as for the kubelet.
    #[serde(default)]
    pub expected_statuses: Vec<u16>,
    /// What else the answer has to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expectations>,
    /// The longest an answer may take, from the dial to the last byte that is read; the body counts where something needs it. At most
    /// the timeout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_latency: Option<Duration>,
    /// Numbers of the body to keep as samples.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capture: Vec<Capture>,
}

/// A header of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpHeader {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// What an answer has to be. All of it has to hold, and at least one thing has to be expected. A body of over 64 KiB meets no
/// expectation of its content.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Expectations {
    /// What the body, as JSON, has to have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub json: Vec<JsonExpectation>,
    /// CEL expressions that have to be true. They know `status` (number), `headers` (map from lower-case name to text), `body` (what
    /// the JSON says, else text) and `latency_ms` (number).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cel: Vec<String>,
    /// A text that the body has to contain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_contains: Option<String>,
}

/// What one place of a JSON body has to be. Exactly one of the operators is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JsonExpectation {
    /// The place: a JSON pointer (RFC 6901), such as `/db_status` or `/queues/0/depth`; empty for the whole body.
    pub pointer: String,
    /// It is this value. Numbers are compared as numbers.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_value")]
    pub equals: Option<Value>,
    /// It is one of these values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_values")]
    pub one_of: Option<Vec<Value>>,
    /// It is a number below this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "number")]
    pub less_than: Option<Number>,
    /// It is a number above this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "number")]
    pub greater_than: Option<Number>,
    /// It is there (true) or not (false).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exists: Option<bool>,
}

/// A number of a JSON body that is kept as a sample.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Capture {
    /// Name of the sample.
    pub name: String,
    /// Where it is: a JSON pointer (RFC 6901). What is no number is not kept.
    pub pointer: String,
}

/// The container's own health check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthWord {}

/// A process in the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProcessRuns {
    /// A text that its command line contains.
    pub command: String,
}

/// A line of the container's log, since the container's start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogLine {
    /// A regular expression that the line matches anywhere in it. This or `signature`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// What the line is known by: the name of a rule for the stack's logs, or the id of a signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// Whether there has to be such a line, or must not be one.
    #[serde(default)]
    pub expect: Presence,
    /// How far back lines are looked at, up to an hour. The last 500 lines of that time are, and 1 MiB at most.
    #[serde(default = "one_minute")]
    pub within: Duration,
}

impl LogLine {
    /// The pattern, compiled, when there is one.
    ///
    /// # Errors
    /// What is wrong with it, in words that follow "a regular expression".
    pub fn regex(&self) -> Result<Option<Regex>, String> {
        let Some(pattern) = &self.pattern else { return Ok(None) };
        if pattern.is_empty() || pattern.len() > TEXT_MOST {
            return Err(format!("of 1 to {TEXT_MOST} bytes"));
        }
        RegexBuilder::new(pattern).size_limit(PATTERN_MEMORY).build().map(Some).map_err(|error| match error {
            regex::Error::CompiledTooBig(limit) => format!("that takes at most {limit} bytes of memory"),
            // The last line says it; those before it are a picture of the place.
            other => other.to_string().lines().last().map(|line| format!("({})", line.trim())).unwrap_or_default(),
        })
    }
}

/// Whether something has to be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Presence {
    /// It has to be there.
    #[default]
    Present,
    /// It must not be there.
    Absent,
}

fn loopback() -> String {
    "127.0.0.1".to_owned()
}
fn root_path() -> String {
    "/".to_owned()
}
fn one_minute() -> Duration {
    std::time::Duration::from_secs(60).into()
}

/// Keeps a null that was written apart from nothing that was written.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

fn any_value(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"x-kubernetes-preserve-unknown-fields": true})
}
fn any_values(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "items": {"x-kubernetes-preserve-unknown-fields": true}})
}
fn number(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "number"})
}
