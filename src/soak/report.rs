//! The report: what a run was, what it showed and why its verdict is what it is. Everything in it follows from the recorded evidence,
//! so that it can be made again at any time, byte for byte.
//!
//! # Layout
//! - this file: what a report says
//! - `build`: how it is made from the evidence
//! - [`html`]: as a page; `curve`, `axis`, `band`, [`quantity`]: what the page draws and writes
//! - [`text`]: as lines for a terminal
//! - [`junit`]: as JUnit XML

mod axis;
mod band;
mod build;
mod curve;
pub mod html;
pub mod junit;
pub mod quantity;
pub mod text;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::api::Time;
use crate::api::soak::{SoakPhase, Verdict};

/// Everything that is told about a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Name of the SoakRun.
    pub run: String,
    /// Name of its WicapStack.
    pub stack: String,
    /// The one word; none while it runs.
    pub verdict: Option<Verdict>,
    /// Why, in words for people, those that decided first.
    pub reasons: Vec<String>,
    /// Each criterion, in the order in which they are declared.
    pub criteria: Vec<Finding>,
    /// The phases it went through.
    pub phases: Vec<PhaseSpan>,
    /// What was asked of the stack.
    pub checks: Vec<CheckSummary>,
    /// The actions that were carried out on the stack meanwhile.
    pub actions: Vec<ActionEntry>,
    /// What else happened, in the order of time: restarts, pauses, what an operator did.
    pub events: Vec<EventEntry>,
    /// What was measured.
    pub series: Vec<SeriesReport>,
    /// What ran.
    pub environment: Environment,
    /// Name of the run whose curves are behind these; none when it is compared with none.
    pub baseline: Option<String>,
    /// The recorded evidence all of this was made from.
    pub evidence: EvidenceRef,
}

/// What became of a criterion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It holds.
    Ok,
    /// It does not hold.
    Failed,
    /// It could not be judged.
    Error,
}

/// One criterion, judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Its name.
    pub name: String,
    /// What became of it.
    pub outcome: Outcome,
    /// What is judged, as it is declared: an expression, or a few words.
    pub what: String,
    /// What was found. None when it could not be said.
    pub value: Option<f64>,
    /// What was demanded, such as `<= 0.3`.
    pub bound: String,
    /// What it was found from, or why it could not be.
    pub evidence: String,
}

/// A phase that the run was in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PhaseSpan {
    /// Which.
    pub phase: SoakPhase,
    /// When it began.
    pub from: Time,
    /// When it ended; none while it lasts.
    pub to: Option<Time>,
}

/// A check, over the whole run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckSummary {
    /// Its name.
    pub name: String,
    /// What kind of check it is: `httpGet`, `webdriver`, `job`.
    pub kind: String,
    /// Results that passed.
    pub passed: u32,
    /// Results that failed.
    pub failed: u32,
    /// Checks that could not be made.
    pub errors: u32,
    /// Checks that were due while no controller ran.
    pub missed: u32,
    /// How long the answers took, in milliseconds; none when there was no answer.
    pub latency: Option<Percentiles>,
    /// Every result, in the order of time.
    pub results: Vec<CheckEntry>,
}

/// Percentiles, in the unit of what they are of.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Percentiles {
    /// Half are at or under it.
    pub p50: f64,
    /// 95 of 100 are at or under it.
    pub p95: f64,
    /// 99 of 100 are at or under it.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

/// What became of a check that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckOutcome {
    /// What was asked for was there.
    Passed,
    /// It was not.
    Failed,
    /// It could not be asked.
    Error,
}

/// One check that was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckEntry {
    /// When.
    pub at: Time,
    /// What became of it.
    pub outcome: CheckOutcome,
    /// How long it took, in milliseconds.
    pub latency_ms: f64,
    /// What was seen, of one that did not pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// SHA-256 of the picture that was taken, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub screenshot: Option<String>,
}

/// An action on the stack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionEntry {
    /// When it had ended.
    pub at: Time,
    /// Name of the ActionRun.
    pub name: String,
    /// What was done to what, such as `restart_service on ui`.
    pub what: String,
    /// What became of it, such as `Succeeded`.
    pub result: String,
    /// Why it was done.
    pub cause: String,
    /// Whether the run itself asked for it. If not, it counts as a recovery.
    pub own: bool,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventEntry {
    /// When.
    pub at: Time,
    /// What, in words for people.
    pub what: String,
}

/// A curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeriesReport {
    /// Its name, such as `ui/memory`.
    pub name: String,
    /// The unit of its values, such as `bytes`, `cores`, `ms`; empty when it has none that is known.
    pub unit: String,
    /// Values, counted.
    pub count: usize,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
    /// The mean.
    pub mean: f64,
    /// How it rises in an hour, robustly (Theil and Sen); none for fewer than two values.
    pub slope_per_hour: Option<f64>,
    /// Seconds since soaking began, and the value; thinned out to a number that can be drawn.
    pub points: Vec<[f64; 2]>,
    /// Where nothing was measured: from and to, in seconds since soaking began.
    pub gaps: Vec<[f64; 2]>,
    /// The same curve of the baseline.
    pub baseline: Vec<[f64; 2]>,
}

/// What ran.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Environment {
    /// Name of the host.
    pub host: String,
    /// Versions, by what they are of: `wicap`, `docker`, `compose`.
    pub versions: BTreeMap<String, String>,
    /// Of each service its image's name and id.
    pub images: BTreeMap<String, String>,
    /// The SoakRun's spec.
    pub spec: serde_json::Value,
}

/// The recorded evidence.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceRef {
    /// Records.
    pub records: u64,
    /// Bytes.
    pub bytes: u64,
    /// Digest of the chain of records, SHA-256 in hex.
    pub digest: String,
}

#[cfg(test)]
mod tests;
