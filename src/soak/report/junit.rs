//! A report as JUnit XML, for whoever shows test results: a suite of the criteria, and one of each check.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report as Junit, TestCase, TestCaseStatus, TestSuite};

use super::{CheckEntry, CheckOutcome, CheckSummary, Finding, Outcome, Report};
use crate::soak::judge::shown;

/// The report as XML.
///
/// # Errors
/// Why it cannot be written; text that XML has no form for is left out beforehand.
pub fn render(report: &Report) -> Result<String, String> {
    let mut junit = Junit::new(&report.run);
    let mut criteria = TestSuite::new("criteria");
    criteria.add_test_cases(report.criteria.iter().map(criterion));
    // What decided the run before any criterion would be in no suite else.
    let decided =
        report.reasons.iter().filter(|r| ["FAILED: ", "ERROR: ", "ABORTED: "].iter().any(|word| r.starts_with(word)));
    let of_criterion = |reason: &str| report.criteria.iter().any(|f| reason.contains(&format!(": {}: ", f.name)));
    for reason in decided.filter(|r| !of_criterion(r)) {
        criteria.add_test_case(TestCase::new("run", bad(NonSuccessKind::Failure, reason)));
    }
    junit.add_test_suite(criteria);
    junit.add_test_suites(report.checks.iter().map(check));
    junit.to_string().map_err(|e| e.to_string())
}

fn bad(kind: NonSuccessKind, message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(message);
    status
}

fn criterion(finding: &Finding) -> TestCase {
    let value = finding.value.map_or_else(|| "nothing".to_owned(), shown);
    let message = format!("found {value}, {} demanded; {}", finding.bound, finding.evidence);
    let status = match finding.outcome {
        Outcome::Ok => TestCaseStatus::success(),
        Outcome::Failed => bad(NonSuccessKind::Failure, &message),
        Outcome::Error => bad(NonSuccessKind::Error, &message),
    };
    TestCase::new(&finding.name, status)
}

fn check(summary: &CheckSummary) -> TestSuite {
    let mut suite = TestSuite::new(format!("check {}", summary.name));
    suite.add_test_cases(summary.results.iter().map(result));
    suite
}

fn result(entry: &CheckEntry) -> TestCase {
    let message = entry.message.as_deref().unwrap_or_default();
    let status = match entry.outcome {
        CheckOutcome::Passed => TestCaseStatus::success(),
        CheckOutcome::Failed => bad(NonSuccessKind::Failure, message),
        CheckOutcome::Error => bad(NonSuccessKind::Error, message),
    };
    let mut case = TestCase::new(entry.at.to_string(), status);
    let seconds = Duration::try_from_secs_f64(entry.latency_ms / 1000.0).unwrap_or_default();
    case.set_time(seconds);
    case
}
