//! How a report is made from the evidence.

use std::time::Duration;

use super::{
    CheckOutcome, CheckSummary, Environment, EventEntry, EvidenceRef, Percentiles, PhaseSpan, Report, SeriesReport,
};
use crate::api::soak::{EvidenceStatus, SoakPhase, SoakRunSpec};
use crate::api::{Time, elapsed};
use crate::soak::evidence::{Checks, Evidence};
use crate::soak::judge::judge;
use crate::soak::logs;
use crate::soak::series::{self, Points, Trend, percentile, thinned};

/// Most points of a curve that is drawn: what a wide screen can show.
const DRAWN: usize = 600;

/// So many times its interval without a sample is a gap: one that came late is none.
const GAP: f64 = 2.5;

impl Report {
    /// The report of a run, from its evidence and that of its baseline.
    ///
    /// # Errors
    /// Why the recorded spec is none: then nothing can be judged.
    pub fn of(evidence: &Evidence, baseline: Option<(&str, &Evidence)>, told: &EvidenceStatus) -> Result<Self, String> {
        let spec: SoakRunSpec =
            serde_json::from_value(evidence.spec.clone()).map_err(|e| format!("the recorded spec: {e}"))?;
        let judgement = judge(&spec, evidence, baseline.map(|(_, b)| b));
        let is_judged = evidence.phase() >= SoakPhase::Cleanup;
        Ok(Self {
            run: evidence.run.clone(),
            stack: spec.stack.clone(),
            verdict: is_judged.then_some(judgement.verdict),
            reasons: decisive_first(judgement.reasons),
            criteria: judgement.findings,
            phases: phases(evidence),
            checks: checks(&spec, evidence),
            actions: evidence.actions.clone(),
            events: events(evidence),
            series: curves(&spec, evidence, baseline.map(|(_, b)| b)),
            environment: Environment {
                host: evidence.host.clone(),
                versions: evidence.versions.clone(),
                images: evidence.images.clone(),
                spec: evidence.spec.clone(),
            },
            baseline: baseline.map(|(name, _)| name.to_owned()),
            evidence: EvidenceRef { records: told.records, bytes: told.bytes, digest: told.digest.clone() },
        })
    }
}

fn decisive_first(mut reasons: Vec<String>) -> Vec<String> {
    // Stable: what is alike stays in its order.
    reasons.sort_by_key(|reason| reason.starts_with("ok:"));
    reasons
}

fn phases(evidence: &Evidence) -> Vec<PhaseSpan> {
    let ends = evidence.phases.iter().skip(1).map(|(_, at)| Some(*at)).chain([None]);
    evidence.phases.iter().zip(ends).map(|((phase, from), to)| PhaseSpan { phase: *phase, from: *from, to }).collect()
}

fn checks(spec: &SoakRunSpec, evidence: &Evidence) -> Vec<CheckSummary> {
    let none = Checks::default();
    let summary = |check: &crate::api::soak::SoakCheck| {
        let made = evidence.checks.get(&check.name).unwrap_or(&none);
        let latencies: Vec<f64> =
            made.results.iter().filter(|r| r.outcome != CheckOutcome::Error).map(|r| r.latency_ms).collect();
        CheckSummary {
            name: check.name.clone(),
            kind: check.kind().to_owned(),
            passed: made.count(CheckOutcome::Passed),
            failed: made.count(CheckOutcome::Failed),
            errors: made.count(CheckOutcome::Error),
            missed: made.missed,
            latency: percentiles(&latencies),
            results: made.results.clone(),
        }
    };
    spec.checks.iter().map(summary).collect()
}

fn percentiles(values: &[f64]) -> Option<Percentiles> {
    Some(Percentiles {
        p50: percentile(values, 50.0)?,
        p95: percentile(values, 95.0)?,
        p99: percentile(values, 99.0)?,
        max: percentile(values, 100.0)?,
    })
}

/// What happened, in the order of time: with the restarts, and with what decided the run.
fn events(evidence: &Evidence) -> Vec<EventEntry> {
    let mut events = evidence.events.clone();
    for (service, starts) in &evidence.starts {
        events.extend(
            starts.iter().skip(1).map(|start| EventEntry { at: start.started, what: format!("{service} was restarted") }),
        );
    }
    events.sort_by(|a, b| (a.at, &a.what).cmp(&(b.at, &b.what)));
    events
}

fn curves(spec: &SoakRunSpec, evidence: &Evidence, baseline: Option<&Evidence>) -> Vec<SeriesReport> {
    let Some(since) = evidence.began(SoakPhase::Soaking) else { return Vec::new() };
    let then = baseline.and_then(|b| Some((b, b.began(SoakPhase::Soaking)?)));
    let curve = |(name, points): (&String, &Vec<(Time, f64)>)| {
        let behind = then.and_then(|(b, since)| Some(drawn(b.series.get(name)?, since)));
        SeriesReport {
            name: name.clone(),
            unit: unit(name).to_owned(),
            count: points.len(),
            min: series::least(points).unwrap_or_default(),
            max: series::most(points).unwrap_or_default(),
            mean: series::mean(points).unwrap_or_default(),
            slope_per_hour: Trend::of(points).map(|t| t.slope_per_hour),
            points: drawn(points, since),
            gaps: gaps(points, since, interval(spec, name)),
            baseline: behind.unwrap_or_default(),
        }
    };
    let is_drawn = |(name, points): &(&String, &Vec<(Time, f64)>)| !points.is_empty() && !logs::is_base(name);
    evidence.series.iter().filter(is_drawn).map(curve).collect()
}

/// The unit of a series that we measure ourselves; what a probe captures has none that is known.
fn unit(series: &str) -> &'static str {
    let (of, what) = series.split_once('/').unwrap_or_default();
    match what {
        _ if of.starts_with("log:") => "lines",
        "latency" if of.starts_with("check:") => "ms",
        "memory" => "bytes",
        "cpu" => "cores",
        "network.received" | "network.sent" | "disk.read" | "disk.written" => "bytes/s",
        _ => "",
    }
}

/// Time from one value of a series to the next.
fn interval(spec: &SoakRunSpec, series: &str) -> Duration {
    let check = series.strip_prefix("check:").and_then(|rest| rest.split_once('/')).map(|(name, _)| name);
    let check = check.and_then(|name| spec.checks.iter().find(|c| c.name == name));
    check.map_or(spec.samples.interval, |c| c.period).to_std()
}

fn seconds(since: Time, at: Time) -> f64 {
    elapsed(since, at).as_secs_f64()
}

fn drawn(points: &Points, since: Time) -> Vec<[f64; 2]> {
    thinned(points, DRAWN).into_iter().map(|(at, value)| [seconds(since, at), value]).collect()
}

fn gaps(points: &Points, since: Time, interval: Duration) -> Vec<[f64; 2]> {
    let most = interval.as_secs_f64() * GAP;
    let spans = points.windows(2).map(|pair| [seconds(since, pair[0].0), seconds(since, pair[1].0)]);
    spans.filter(|[from, to]| to - from > most).collect()
}
