//! A report as lines for a terminal or a mail.

use std::fmt::Write;

use super::quantity::{duration, time};
use super::{CheckOutcome, Outcome, Report};
use crate::api::elapsed;
use crate::api::soak::SoakPhase;
use crate::soak::judge::shown;

/// Most failures of a check that are told one by one.
const FAILURES: usize = 10;

/// The report in lines.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(report, &mut out);
    out
}

fn write(report: &Report, out: &mut String) -> std::fmt::Result {
    let verdict = report.verdict.map_or_else(|| "still running".to_owned(), |v| format!("{v:?}"));
    writeln!(out, "SoakRun {} of {}: {verdict}", report.run, report.stack)?;
    for reason in &report.reasons {
        writeln!(out, "  {reason}")?;
    }
    writeln!(out, "\nPhases")?;
    for span in report.phases.iter().filter(|span| span.phase != SoakPhase::Completed) {
        let lasted = span.to.map_or_else(|| "still".to_owned(), |to| duration(elapsed(span.from, to).as_secs_f64()));
        writeln!(out, "  {}  {:<10} {lasted}", time(span.from), format!("{:?}", span.phase))?;
    }
    writeln!(out, "\nCriteria")?;
    for finding in &report.criteria {
        let word = match finding.outcome {
            Outcome::Ok => "ok",
            Outcome::Failed => "FAILED",
            Outcome::Error => "ERROR",
        };
        let value = finding.value.map_or_else(|| "-".to_owned(), shown);
        writeln!(out, "  {word:<6} {}: {value} ({}); {}", finding.name, finding.bound, finding.evidence)?;
    }
    writeln!(out, "\nChecks")?;
    for check in &report.checks {
        let (passed, failed, errors, missed) = (check.passed, check.failed, check.errors, check.missed);
        write!(out, "  {}: {passed} passed, {failed} failed, {errors} errors, {missed} missed", check.name)?;
        if let Some(latency) = check.latency {
            let [p50, p95, max] = [latency.p50, latency.p95, latency.max].map(|ms| shown(ms.round()));
            write!(out, "; {p50} ms at the median, {p95} at 95 %, {max} at most")?;
        }
        writeln!(out)?;
        let bad: Vec<_> = check.results.iter().filter(|r| r.outcome != CheckOutcome::Passed).collect();
        for result in bad.iter().take(FAILURES) {
            let message = result.message.as_deref().unwrap_or_default();
            writeln!(out, "    {}  {:?}: {message}", time(result.at), result.outcome)?;
        }
        if bad.len() > FAILURES {
            writeln!(out, "    and {} more", bad.len() - FAILURES)?;
        }
    }
    if !report.actions.is_empty() {
        writeln!(out, "\nActions")?;
    }
    for action in &report.actions {
        writeln!(out, "  {}  {} {}: {}", time(action.at), action.what, action.result, action.cause)?;
    }
    if !report.events.is_empty() {
        writeln!(out, "\nEvents")?;
    }
    for event in &report.events {
        writeln!(out, "  {}  {}", time(event.at), event.what)?;
    }
    let evidence = &report.evidence;
    writeln!(out, "\nEvidence: {} records, {} bytes, digest {}", evidence.records, evidence.bytes, evidence.digest)
}
