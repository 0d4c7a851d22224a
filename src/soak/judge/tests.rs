use super::*;
use crate::api::Time;
use crate::api::soak::SoakPhase;
use crate::soak::record::{Record, What};
use serde_json::{Value, json};

fn at(seconds: i64) -> Time {
    Time::from_second(seconds).unwrap()
}

fn spec(more: Value) -> SoakRunSpec {
    let mut spec =
        json!({"stack": "s", "duration": "1h", "checks": [{"name": "ui", "period": "60s", "httpGet": {"port": 80}}]});
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    serde_json::from_value(spec).unwrap()
}

fn phase(at_second: i64, phase: SoakPhase) -> Record {
    Record { at: at(at_second), what: What::Phase { phase } }
}

/// Results of a check, one a minute: `+` passed, `-` failed, `!` could not be made, `.` missed.
fn checks(name: &str, results: &str) -> Vec<Record> {
    let of = |number: usize, result: char| {
        let (name, number) = (name.to_owned(), u32::try_from(number).unwrap());
        let outcome = match result {
            '+' => CheckOutcome::Passed,
            '-' => CheckOutcome::Failed,
            '!' => CheckOutcome::Error,
            _ => return Record { at: at(i64::from(number) * 60), what: What::Missed { name, number, count: 1 } },
        };
        let message = (outcome != CheckOutcome::Passed).then(|| "answers 503".to_owned());
        let what =
            What::Check { name, number, outcome, latency_ms: 20.0, message, screenshot: None, captured: BTreeMap::new() };
        Record { at: at(i64::from(number) * 60), what }
    };
    results.chars().enumerate().map(|(number, result)| of(number, result)).collect()
}

/// A curve, one value a minute.
fn curve(series: &str, values: impl IntoIterator<Item = f64>) -> Vec<Record> {
    let of = |(number, value): (usize, f64)| {
        let number = u32::try_from(number).unwrap();
        Record { at: at(i64::from(number) * 60), what: What::Sample { number, values: [(series.to_owned(), value)].into() } }
    };
    values.into_iter().enumerate().map(of).collect()
}

fn starts(service: &str, count: usize) -> Vec<Record> {
    let of = |n: usize| {
        let started = at(i64::try_from(n).unwrap());
        Record { at: started, what: What::Start { service: service.to_owned(), container: "c".to_owned(), started } }
    };
    (0..count).map(of).collect()
}

fn recovered(what: &str) -> Record {
    let (name, what, result) = ("a".to_owned(), what.to_owned(), "Succeeded".to_owned());
    Record { at: at(9), what: What::Action { name, what, result, cause: "ui Exited".to_owned(), own: false } }
}

fn decided(verdict: Verdict, reason: &str) -> Record {
    Record { at: at(9), what: What::Decided { verdict, reason: reason.to_owned() } }
}

fn evidence(soaked: bool, records: &[Vec<Record>]) -> Evidence {
    let soaking = soaked.then(|| phase(0, SoakPhase::Soaking));
    let all: Vec<Record> = soaking.into_iter().chain(records.iter().flatten().cloned()).collect();
    Evidence::of(&all)
}

/// Noise without a trend, the same in every run.
fn noise(i: u32) -> f64 {
    f64::from((i * 7919) % 101) / 101.0 - 0.5
}

#[test]
fn a_verdict_follows_from_what_was_recorded_and_from_nothing_else() {
    use Verdict::{Aborted, Error, Failed, Passed};
    let good = || checks("ui", "+++++");
    let leaks = json!({"criteria": {"leaks": {"maxGrowth": 0.3}}});
    let bound = |value: &str, of: Value| {
        let mut criterion = json!({"name": "c", "value": value});
        criterion.as_object_mut().unwrap().extend(of.as_object().unwrap().clone());
        json!({"criteria": {"expressions": [criterion]}})
    };
    let flat = |level: f64| move |i: u32| level * (1.0 + 0.1 * noise(i));
    let table: Vec<(&str, Value, Evidence, Verdict, &str)> = vec![
        ("all is well", json!({}), evidence(true, &[good()]), Passed, "ok: check ui: 1, >= 1 demanded; 5 of 5 passed"),
        // Traps of the runners of today.
        ("a suite that was skipped has passed nothing", json!({}), evidence(true, &[]), Failed, "0 of 0 passed"),
        (
            "nothing passed, though nothing is demanded",
            json!({"criteria": {"minPassRate": 0.0}}),
            evidence(true, &[checks("ui", "---")]),
            Failed,
            "0 of 3 passed, 3 failed",
        ),
        (
            "a check that timed out leaves a result",
            json!({}),
            evidence(true, &[checks("ui", "++-")]),
            Failed,
            "the last: answers 503",
        ),
        (
            "a check that could not be made is no pass",
            json!({}),
            evidence(true, &[checks("ui", "++!")]),
            Error,
            "1 could not be made",
        ),
        ("one that was never made is none either", json!({}), evidence(true, &[checks("ui", ".....")]), Failed, "5 missed"),
        ("the check at the very end counts", json!({}), evidence(true, &[checks("ui", "++++-")]), Failed, "4 of 5 passed"),
        (
            "a missed check is told and is no failure",
            json!({}),
            evidence(true, &[checks("ui", "++.+")]),
            Passed,
            "3 of 3 passed, 1 missed",
        ),
        (
            "a rate that is enough",
            json!({"criteria": {"minPassRate": 0.8}}),
            evidence(true, &[checks("ui", "++++-")]),
            Passed,
            "0.8, >= 0.8",
        ),
        (
            "a rate that is not",
            json!({"criteria": {"minPassRate": 0.81}}),
            evidence(true, &[checks("ui", "++++-")]),
            Failed,
            "0.8, >= 0.81",
        ),
        (
            "a child that died behind exit code 0",
            json!({}),
            evidence(true, &[good(), starts("processor", 2)]),
            Failed,
            "restarts: 1, <= 0 demanded; processor 1",
        ),
        (
            "restarts that are allowed",
            json!({"criteria": {"maxRestarts": 2}}),
            evidence(true, &[good(), starts("ui", 3)]),
            Passed,
            "restarts: 2, <= 2",
        ),
        (
            "the first sight of a container is no restart",
            json!({}),
            evidence(true, &[good(), starts("ui", 1)]),
            Passed,
            "restarts: 0",
        ),
        (
            "recoveries count",
            json!({"criteria": {"maxRecoveries": 0}}),
            evidence(true, &[good(), vec![recovered("restart_service on ui")]]),
            Failed,
            "recoveries: 1, <= 0 demanded; restart_service on ui Succeeded",
        ),
        (
            "a leak",
            leaks.clone(),
            evidence(
                true,
                &[good(), curve("ui/memory", (0..60).map(|i| 200e6 * (1.0 + 0.01 * f64::from(i) + 0.05 * noise(i))))],
            ),
            Failed,
            "FAILED: leak ui/memory: 0.610578",
        ),
        (
            "a spike is no leak",
            leaks.clone(),
            evidence(true, &[good(), curve("ui/memory", (0..60).map(|i| if i == 59 { 900e6 } else { flat(200e6)(i) }))]),
            Passed,
            "ok: leak ui/memory: 0,",
        ),
        (
            "a leak that is small enough",
            leaks.clone(),
            evidence(true, &[good(), curve("ui/memory", (0..60).map(|i| 200e6 + 0.5e6 * f64::from(i)))]),
            Passed,
            "steadily",
        ),
        ("what was not measured cannot be judged", leaks, evidence(true, &[good()]), Error, "ERROR: leak memory: 0 samples"),
        (
            "an insert that is too old",
            bound("max('ui/last_insert_age_sec')", json!({"max": 120})),
            evidence(true, &[good(), curve("ui/last_insert_age_sec", [3.0, 150.0, 4.0])]),
            Failed,
            "FAILED: c: 150, <= 120 demanded",
        ),
        (
            "a curve that nobody knows",
            bound("mean('ui/epz')", json!({"min": 0.05})),
            evidence(true, &[good(), curve("ui/eps", [0.3])]),
            Error,
            "no samples of \"ui/epz\"",
        ),
        (
            "a failure outweighs what cannot be judged",
            bound("mean('ui/epz')", json!({"min": 0.05})),
            evidence(true, &[checks("ui", "+-")]),
            Failed,
            "ERROR: c:",
        ),
        (
            "an operator's end",
            json!({}),
            evidence(true, &[good(), vec![decided(Aborted, "aborted by an operator")]]),
            Aborted,
            "ABORTED: aborted by an operator",
        ),
        (
            "a stack that never came up",
            json!({}),
            evidence(false, &[vec![decided(Failed, "the stack was not Available within 2m")]]),
            Failed,
            "FAILED: the stack was not Available within 2m",
        ),
        (
            "a run that could not be carried out",
            json!({}),
            evidence(false, &[vec![decided(Error, "Preflight: there is no ControlSession \"s\"")]]),
            Error,
            "ERROR: Preflight",
        ),
    ];
    for (name, more, evidence, expected, told) in table {
        let judged = judge(&spec(more), &evidence, None);
        assert_eq!(judged.verdict, expected, "{name}: {:#?}", judged.reasons);
        assert!(judged.reasons.iter().any(|r| r.contains(told)), "{name}: {:#?} do not tell {told:?}", judged.reasons);
        let failed = judged.reasons.iter().any(|r| r.starts_with("FAILED"));
        assert_eq!(failed, expected == Failed, "{name}: {:#?}", judged.reasons);
    }
}

#[test]
fn a_baseline_is_another_run_and_never_the_run_itself() {
    let of = |more: Value| spec(json!({"baseline": "b", "criteria": more}));
    let drop = of(json!({"expressions": [{"name": "eps", "value": "ratioToBaseline('ui/eps')", "min": 0.75}]}));
    let good = || checks("ui", "++");
    let run = |level: f64| evidence(true, &[good(), curve("ui/eps", [level, level * 1.1, level * 0.9])]);
    for (now, then, expected) in
        [(0.3, Some(0.31), Verdict::Passed), (0.2, Some(0.4), Verdict::Failed), (0.3, None, Verdict::Error)]
    {
        let then = then.map(run);
        let judged = judge(&drop, &run(now), then.as_ref());
        assert_eq!(judged.verdict, expected, "{now} {:?}", judged.reasons);
    }
    let without = evidence(true, &[good()]);
    let judged = judge(&drop, &run(0.3), Some(&without));
    assert_eq!(judged.verdict, Verdict::Error);
    assert!(judged.reasons.iter().any(|r| r.contains("the baseline has no samples of \"ui/eps\"")), "{:?}", judged.reasons);
}

#[test]
fn every_function_is_answered() {
    let values = [2.0, 4.0, 3.0, 5.0, 4.0, 6.0, 5.0, 7.0, 6.0, 8.0, 7.0, 9.0];
    let evidence = evidence(true, &[checks("ui", "+++-"), starts("ui", 3), curve("ui/x", values)]);
    for (formula, expected) in [
        ("min('ui/x')", 2.0),
        ("max('ui/x')", 9.0),
        ("mean('ui/x')", 5.5),
        ("percentile('ui/x', 50)", 5.5),
        ("first('ui/x')", 2.0),
        ("last('ui/x')", 9.0),
        ("count('ui/x')", 12.0),
        ("count('ui/none')", 0.0),
        ("slopePerHour('ui/x')", 30.0),
        ("ratioToStart('ui/x')", 4.5),
        ("passRate('ui')", 0.75),
        ("restarts('ui')", 2.0),
        ("max('check:ui/latency')", 20.0),
        ("growth('ui/x') > 1.5 && growth('ui/x') == leak('ui/x') ? 1 : 0", 1.0),
    ] {
        let criteria = json!({"criteria": {"expressions": [{"name": "c", "value": formula, "max": 1000}]}});
        let judged = judge(&spec(criteria), &evidence, None);
        let finding = judged.findings.last().unwrap();
        let value = finding.value.unwrap_or_else(|| panic!("{formula}: {}", finding.evidence));
        assert!((value - expected).abs() < 0.01, "{formula}: {value}");
    }
}

#[test]
fn numbers_are_shown_as_people_read_them() {
    for (value, text) in [
        (0.0, "0"),
        (1.0, "1"),
        (0.3, "0.3"),
        (1.0 / 3.0, "0.333333"),
        (12.345_67, "12.3457"),
        (209_715_200.0, "209715200"),
        (-1.5, "-1.5"),
        (0.000_012_345_678, "0.000012346"),
    ] {
        assert_eq!(shown(value), text);
    }
}
