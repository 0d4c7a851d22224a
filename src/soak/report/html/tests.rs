use serde_json::json;

use super::*;
use crate::api::Time;

const NOWHERE: &BTreeMap<String, Vec<u8>> = &BTreeMap::new();

/// A report in which every text is told from every other.
fn sample() -> serde_json::Value {
    let at = |second: u32| format!("2026-11-28T10:{:02}:{:02}Z", second / 60, second % 60);
    let phase = |phase: &str, from: u32, to: u32| json!({ "phase": phase, "from": at(from), "to": at(to) });
    let result = |outcome: &str, second: u32, rest: (&str, &str)| json!({ "at": at(second), "outcome": outcome, "latencyMs": 12.5, "message": rest.0, "screenshot": rest.1 });
    json!({
        "run": "the-run", "stack": "the-stack", "verdict": "Failed", "baseline": "the-baseline",
        "reasons": ["the-first-reason", "the-second-reason"],
        "criteria": [{ "name": "the-criterion", "outcome": "Failed", "what": "the-expression", "value": 0.731_86, "bound": "= the-bound", "evidence": "the-evidence" }],
        "phases": [phase("Warmup", 0, 600), phase("Soaking", 600, 3000)],
        "checks": [{
            "name": "the-check", "kind": "the-kind", "passed": 101, "failed": 102, "errors": 103, "missed": 104,
            "latency": { "p50": 211.0, "p95": 212.0, "p99": 213.0, "max": 214.0 },
            "results": [result("Failed", 700, ("the-failure", "aa11")), result("Error", 800, ("the-error", "bb22")), json!({ "at": at(900), "outcome": "Passed", "latencyMs": 3.0 })],
        }],
        "actions": [{ "at": at(1000), "name": "the-action-run", "what": "the-action", "result": "the-result", "cause": "the-cause", "own": false }],
        "events": [{ "at": at(1100), "what": "the-event" }],
        "series": [{
            "name": "the-series", "unit": "bytes", "count": 317, "min": 1_048_576.0, "max": 3_145_728.0, "mean": 2_097_152.0, "slopePerHour": 524_288.0,
            "points": [[0.0, 1_048_576.0], [2400.0, 3_145_728.0]], "gaps": [[100.0, 200.0]], "baseline": [[0.0, 1e6], [2400.0, 1e6]],
        }],
        "environment": { "host": "the-host", "versions": { "the-tool": "the-version" }, "images": { "the-service": "the-image" }, "spec": { "the-key": ["the-spec"] } },
        "evidence": { "records": 71_234, "bytes": 9_437_184, "digest": "0123456789abcdef" },
    })
}

fn page(report: serde_json::Value) -> String {
    page_with(report, NOWHERE)
}

fn page_with(report: serde_json::Value, pictures: &BTreeMap<String, Vec<u8>>) -> String {
    let report = serde_json::from_value::<Report>(report);
    report.map_or_else(|why| panic!("the report is none: {why}"), |report| render(&report, pictures))
}

/// A report with nothing in it but its names.
fn empty() -> serde_json::Value {
    let mut report = json!({ "run": "", "stack": "", "verdict": null, "baseline": null });
    for list in ["reasons", "criteria", "phases", "checks", "actions", "events", "series"] {
        report[list] = json!([]);
    }
    report["environment"] = json!({ "host": "", "versions": {}, "images": {}, "spec": null });
    report["evidence"] = json!({ "records": 0, "bytes": 0, "digest": "" });
    report
}

/// What stands in an attribute, wherever it does.
fn values<'a>(page: &'a str, attribute: &str) -> Vec<&'a str> {
    page.split(&format!(" {attribute}=\"")).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn everything_a_report_says_is_in_the_page() {
    let page = page(sample()).replace('\u{202f}', " ");
    let words = "run stack baseline first-reason second-reason criterion expression bound evidence check kind failure error action-run action \
                 result cause event series host tool version service image key spec";
    for word in words.split_whitespace() {
        assert!(page.contains(&format!("the-{word}")), "the-{word}");
    }
    let shown = [
        "Failed",
        "0.7319",
        ">101<",
        ">102<",
        ">103<",
        ">104<",
        "211 ms",
        "212 ms",
        "213 ms",
        "214 ms",
        "2026-11-28 10:11:40Z",
        "2026-11-28 10:13:20Z",
        "2026-11-28 10:16:40Z",
        "2026-11-28 10:18:20Z",
        "40 min",
        "min <b>1</b>",
        "mean <b>2</b>",
        "3 MiB",
        "512 KiB/h",
        ">317<",
        "71 234",
        "9 MiB",
        ">0123456789abcdef<",
        "aa11",
        "bb22",
        "Soaking",
        "Warmup",
        "a recovery",
    ];
    for text in shown {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn hostile_strings_are_escaped() {
    let hostile = r#"</style><script>alert(1)</script><img src=x onerror=alert(1)>"'&"#;
    let text = sample().to_string();
    let words: Vec<_> = text.split('"').filter(|word| word.starts_with("the-")).collect();
    let mut text = text.clone();
    for word in words {
        text = text.replace(&format!("\"{word}\""), &json!(hostile).to_string());
    }
    text = text.replace("\"aa11\"", &json!(hostile).to_string()).replace("\"bytes\",", &format!("{},", json!(hostile)));
    let page = page(serde_json::from_str(&text).unwrap_or_default());
    assert!(page.contains("&lt;script&gt;"));
    assert!(!page.contains("<script") && !page.contains("<img") && page.matches("</style>").count() == 1);
}

#[test]
fn an_empty_report_renders() {
    let page = page(empty());
    for sentence in [
        "Running",
        "No criterion",
        "No phase",
        "No check",
        "No picture",
        "Nothing was measured",
        "No action",
        "Nothing else happened",
    ] {
        assert!(page.contains(sentence), "{sentence}");
    }
}

#[test]
fn every_verdict_is_a_word() {
    for verdict in ["Passed", "Failed", "Aborted", "Error"] {
        let mut report = empty();
        report["verdict"] = json!(verdict);
        assert!(page(report).contains(&format!("{verdict}</p>")));
    }
}

#[test]
fn a_page_refers_to_nothing_outside_itself() {
    let pictures = BTreeMap::from([("aa11".to_owned(), b"png".to_vec())]);
    let page = page_with(sample(), &pictures);
    let ids = values(&page, "id");
    for target in values(&page, "href").into_iter().chain(values(&page, "src")) {
        let inside = target.strip_prefix('#').is_some_and(|id| ids.contains(&id));
        assert!(inside || target.starts_with("data:"), "{target}");
    }
    assert!(
        !page.contains("http://")
            && !page.contains("https://")
            && !page.contains("url(")
            && !page.contains("@import")
            && !page.contains("<script")
    );
}

#[test]
fn a_picture_is_in_the_page_and_a_missing_one_is_said_to_be() {
    let page = page_with(sample(), &BTreeMap::from([("aa11".to_owned(), b"png".to_vec())]));
    assert!(page.contains("data:image/png;base64,cG5n"));
    assert!(page.contains("The picture is missing.") && page.contains("bb22"));
}

#[test]
fn pictures_of_failures_come_first_and_no_more_than_twelve() {
    let mut report = sample();
    let entry = |number: i64, outcome: &str| {
        let at = Time::from_second(number).unwrap_or_default();
        json!({ "at": at, "outcome": outcome, "latencyMs": 1.0, "screenshot": format!("{outcome}-{number}") })
    };
    let passed = (0..10).map(|number| entry(number, "Passed"));
    let late = (10..20).map(|number| entry(number, if number % 2 == 0 { "Error" } else { "Failed" }));
    report["checks"][0]["results"] = passed.chain(late).collect();
    let page = page(report);
    let order: Vec<_> = page.split("<br><code>").skip(1).filter_map(|rest| rest.split('<').next()).collect();
    assert_eq!(order.len(), 12);
    assert_eq!((order[0], order[5], order[10], order[11]), ("Failed-11", "Error-10", "Passed-0", "Passed-1"));
    assert!(page.contains("And 8 more."));
}

#[test]
fn thousands_of_failures_are_counted_after_the_first_twenty() {
    let mut report = sample();
    let at = |number: i64| Time::from_second(1_800_000_000 + number).unwrap_or_default();
    report["checks"][0]["results"] = (0..5_000)
        .map(|number| json!({ "at": at(number), "outcome": "Failed", "latencyMs": 1.0, "message": format!("no-{number}.") }))
        .collect();
    let page = page(report);
    assert!(page.contains("no-19.") && !page.contains("no-20."));
    assert!(page.contains("And 4980 more: the-check 4980."));
    assert!(page.len() < 100_000, "{}", page.len());
}

#[test]
fn constant_and_single_values_and_a_soak_of_no_length_render() {
    for points in [json!([]), json!([[0.0, 7.0]]), json!([[0.0, 7.0], [1.0, 7.0]]), json!([[0.0, 0.0], [0.0, 0.0]])] {
        let mut report = sample();
        report["series"][0]["points"] = points;
        report["phases"][1]["to"] = report["phases"][1]["from"].clone();
        report["phases"][0]["from"] = report["phases"][1]["from"].clone();
        assert!(page(report).contains("the-series"));
    }
}

#[test]
fn a_soak_that_goes_on_lasts_until_the_last_that_is_known() {
    let mut report = sample();
    report["phases"][1]["to"] = json!(null);
    report["verdict"] = json!(null);
    // From 10:10:00 to the last event at 10:18:20.
    let page = page(report).replace('\u{202f}', " ");
    assert!(page.contains("8 min 20 s so far") && page.contains(">8 min 20 s<"));
}

#[test]
fn a_phase_that_ends_before_it_begins_renders() {
    let mut report = sample();
    report["phases"][1]["to"] = json!("2020-01-01T00:00:00Z");
    assert!(!page(report).contains("width:-"));
}
