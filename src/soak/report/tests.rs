use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::api::soak::EvidenceStatus;
use crate::soak::evidence::Evidence;
use crate::soak::record::{Record, What};

fn at(seconds: i64) -> Time {
    Time::from_second(seconds).unwrap()
}

/// An hour, by the minute: one check fails, the dashboard leaks, nothing is measured from the 20th to the 30th minute.
fn records() -> Vec<Record> {
    let record = |seconds, what| Record { at: at(seconds), what };
    let spec = json!({"stack": "wicap", "duration": "1h", "samples": {"interval": "1m"},
        "checks": [{"name": "page", "period": "1m", "httpGet": {"port": 80}}],
        "criteria": {"leaks": {"maxGrowth": 0.3}}});
    let versions: BTreeMap<_, _> = [("wicap".to_owned(), "0.1.0".to_owned())].into();
    let (name, uid, host) = ("night".to_owned(), "u".to_owned(), "here".to_owned());
    let mut records = vec![
        record(-10, What::Run { name, uid, host, versions, spec }),
        record(-10, What::Phase { phase: SoakPhase::Preflight }),
        record(-9, What::Phase { phase: SoakPhase::Warmup }),
        record(0, What::Phase { phase: SoakPhase::Soaking }),
    ];
    for minute in 0..=60_u32 {
        let seconds = i64::from(minute) * 60;
        let failed = minute == 40;
        records.push(record(
            seconds,
            What::Check {
                name: "page".to_owned(),
                number: minute,
                outcome: if failed { CheckOutcome::Failed } else { CheckOutcome::Passed },
                latency_ms: 20.0 + f64::from(minute),
                message: failed.then(|| "GET / answers 503 <&\u{1}>".to_owned()),
                screenshot: None,
                captured: BTreeMap::new(),
            },
        ));
        if !(20..30).contains(&minute) {
            let values = [("ui/memory".to_owned(), 200e6 + 2e6 * f64::from(minute))].into();
            records.push(record(seconds, What::Sample { number: minute, values }));
        }
    }
    let start = |seconds| {
        let (service, container) = ("ui".to_owned(), "c".to_owned());
        record(seconds, What::Start { service, container, started: at(seconds) })
    };
    let action = What::Action {
        name: "a".to_owned(),
        what: "restart_service on ui".to_owned(),
        result: "Succeeded".to_owned(),
        cause: "ui Unhealthy".to_owned(),
        own: false,
    };
    records.extend([start(1), start(2405), record(2410, action)]);
    records.push(record(3600, What::Phase { phase: SoakPhase::Finalizing }));
    records.push(record(3601, What::Phase { phase: SoakPhase::Completed }));
    records
}

fn report(records: &[Record]) -> Report {
    let told = EvidenceStatus { records: 9, bytes: 99, digest: "d".repeat(64), ..EvidenceStatus::default() };
    Report::of(&Evidence::of(records), None, &told).unwrap()
}

#[test]
fn a_report_is_the_same_bytes_each_time_and_from_records_that_were_written_and_read() {
    let written: Vec<String> = records().iter().map(|r| serde_json::to_string(r).unwrap()).collect();
    let read: Vec<Record> = written.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let bytes = |records: &[Record]| serde_json::to_vec_pretty(&report(records)).unwrap();
    assert_eq!(bytes(&records()), bytes(&read));
    let back: Report = serde_json::from_slice(&bytes(&read)).unwrap();
    assert!(back == report(&records()), "what was written is read as it was");
}

#[test]
fn a_report_says_what_decided_first_and_everything_else_after() {
    let report = report(&records());
    assert_eq!(report.verdict, Some(Verdict::Failed));
    let words: Vec<_> = report.reasons.iter().map(|r| r.split(':').next().unwrap()).collect();
    assert_eq!(words, ["FAILED", "FAILED", "FAILED"], "{:#?}", report.reasons);
    let memory = report.series.iter().find(|s| s.name == "ui/memory").unwrap();
    assert_eq!((memory.unit.as_str(), memory.count), ("bytes", 51));
    assert_eq!(memory.gaps, [[1140.0, 1800.0]], "from the 19th minute to the 30th");
    assert!((memory.slope_per_hour.unwrap() - 120e6).abs() < 1.0);
    let latency = report.checks[0].latency.unwrap();
    assert!((latency.p50 - 50.0).abs() < 1e-9 && (latency.max - 80.0).abs() < 1e-9, "{latency:?}");
    assert_eq!(report.events.last().unwrap().what, "ui was restarted");
    assert_eq!(report.phases.last().unwrap().to, None);
}

#[test]
fn a_run_that_is_under_way_has_no_verdict() {
    let report = report(&records()[..60]);
    assert_eq!(report.verdict, None);
    assert!(text::render(&report).starts_with("SoakRun night of wicap: still running\n"));
}

#[test]
fn the_lines_tell_what_a_person_asks_first() {
    let lines = text::render(&report(&records()));
    for told in [
        "SoakRun night of wicap: Failed\n",
        "  FAILED: check page: 0.983607, >= 1 demanded; 60 of 61 passed, 1 failed",
        "  FAILED leak ui/memory: 0.6 (<= 0.3)",
        "  page: 60 passed, 1 failed, 0 errors, 0 missed; 50 ms at the median",
        "restart_service on ui Succeeded: ui Unhealthy",
        "ui was restarted",
    ] {
        assert!(lines.contains(told), "{told:?} is not in\n{lines}");
    }
}

#[test]
fn junit_has_a_case_for_each_criterion_and_each_result() {
    let xml = junit::render(&report(&records())).unwrap();
    assert!(xml.contains("<testsuite name=\"criteria\" tests=\"3\" skipped=\"0\" errors=\"0\" failures=\"3\""), "{xml}");
    assert!(xml.contains("<testsuite name=\"check page\" tests=\"61\" skipped=\"0\" errors=\"0\" failures=\"1\""), "{xml}");
    assert!(xml.contains("GET / answers 503 &lt;&amp;&gt;"), "what XML has no form for is left out: {xml}");
    let decided = What::Decided { verdict: Verdict::Error, reason: "Preflight: nobody is there".to_owned() };
    let mut short = records()[..2].to_vec();
    short.push(Record { at: at(0), what: decided });
    short.push(Record { at: at(0), what: What::Phase { phase: SoakPhase::Completed } });
    let xml = junit::render(&report(&short)).unwrap();
    assert!(xml.contains("ERROR: Preflight: nobody is there"), "{xml}");
}
