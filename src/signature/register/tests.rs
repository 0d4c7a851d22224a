use proptest::prelude::*;

use super::*;
use crate::api::log_report::SignatureState;
use crate::api::stack::RuleSet;
use crate::plan::fixtures::at;
use crate::signature::rules::compiled;

const QUIET: Duration = Duration::from_secs(600);
const LOST: &str = "2026-02-10 10:00:00 [ERROR] wicap.sql: Cannot flush: database connection failed";
const UNKNOWN: &str = "2026-02-10 10:00:00 [ERROR] wicap.core: the flux compensator has come off its hinges";

fn register() -> Register {
    Register::new(compiled(&RuleSet::all(), &[]).unwrap())
}

fn source(service: &str) -> Source {
    Source { service: service.into(), container: "c".into(), is_error: false }
}

/// Lines of the processor, a second apart, and then a look.
fn told(register: &mut Register, lines: &[&str], from: i64) -> i64 {
    let mut now = from;
    for line in lines {
        register.line(&source("processor"), line, at(now), at(now));
        now += 1000;
    }
    register.tick(QUIET, at(now));
    now
}

fn shape(register: &Register) -> Vec<(SignalKind, Option<&str>, u64)> {
    register.alarms().iter().map(|a| (a.kind, a.rule.as_deref(), a.count)).collect()
}

#[test]
fn what_a_rule_knows_is_one_alarm_however_many_signatures_and_lines_it_has() {
    let mut register = register();
    let lines = [
        LOST,
        "2026-02-10 10:00:00 [ERROR] wicap.sql: Cannot flush 12 rows to dbo.events: database connection failed",
        LOST,
    ];
    told(&mut register, &lines, 0);
    assert_eq!(shape(&register), [(SignalKind::KnownIssue, Some("sql-flush-lost"), 3)]);
    let alarm = &register.alarms()[0];
    assert!(alarm.remedy.is_some() && alarm.severity == Severity::Critical && alarm.samples.len() == 2, "{alarm:?}");
}

#[test]
fn what_is_grave_and_new_is_an_alarm_and_what_is_usual_is_none() {
    let mut register = register();
    let usual = "2026-02-10 10:00:00 [INFO] wicap.core: all is well";
    let access = "INFO:     127.0.0.1:5 - \"GET /fatal/error HTTP/1.1\" 200 OK";
    told(&mut register, &[usual, access, UNKNOWN, UNKNOWN, usual], 0);
    assert_eq!(shape(&register), [(SignalKind::NewSignature, None, 2)]);
    assert_eq!(register.alarms()[0].title, "the flux compensator has come off its hinges");
}

#[test]
fn the_lines_of_a_trace_are_one_record_and_its_class_is_told() {
    let mut register = register();
    let lines = [
        "2026-02-10 10:00:00 [ERROR] wicap.core: the job has failed",
        "Traceback (most recent call last):",
        "  File \"a.py\", line 3, in f",
        "ZeroDivisionError: division by zero",
    ];
    for line in lines {
        register.line(&source("processor"), line, at(0), at(0));
    }
    register.tick(QUIET, at(499));
    assert_eq!(shape(&register), [], "it may go on");
    register.tick(QUIET, at(500));
    assert_eq!(shape(&register), [(SignalKind::NewSignature, None, 1)]);
    assert!(register.alarms()[0].samples[0].contains("ZeroDivisionError: division by zero"));
}

#[test]
fn an_alarm_is_over_when_its_log_was_quiet_and_a_known_issue_raises_another() {
    let mut register = register();
    told(&mut register, &[LOST], 0);
    register.flush(at(1500));
    assert_eq!(register.tick(QUIET, at(600_999)), []);
    let over = register.tick(QUIET, at(601_000));
    assert_eq!((over.len(), register.alarms().len(), over[0].count), (1, 0, 1));
    told(&mut register, &[LOST], 700_000);
    register.flush(at(702_000));
    assert_eq!((shape(&register).len(), register.alarms()[0].first), (1, at(700_000)));
}

#[test]
fn lines_that_differ_in_one_name_are_one_alarm_before_the_miner_knows_it_for_a_value() {
    let mut register = register();
    let lines = ["anna", "berta", "carl", "dora"]
        .map(|n| format!("2026-02-10 10:00:00 [ERROR] wicap.core: the quota of user {n} is used up"));
    told(&mut register, &lines.each_ref().map(String::as_str), 0);
    register.flush(at(9000));
    assert_eq!(shape(&register), [(SignalKind::NewSignature, None, 4)]);
    assert!(
        !is_like("cannot read a", "cannot write b") && !is_like("failed a", "failed b") && is_like("a b c d", "a b c e")
    );
}

#[test]
fn a_warning_that_comes_far_more_often_than_usual_is_a_spike_and_news_are_not() {
    let mut register = register();
    let slow = "2026-02-10 10:00:00 [WARNING] wicap.core: the queue was slow";
    let mut now = 0;
    for _ in 0..120 {
        register.line(&source("processor"), slow, at(now), at(now));
        now += 60_000;
        register.tick(QUIET, at(now));
    }
    assert_eq!(shape(&register), []);
    for _ in 0..60 {
        register.line(&source("processor"), slow, at(now), at(now));
        now += 200;
    }
    register.tick(QUIET, at(now + 500));
    assert_eq!(register.alarms().iter().map(|a| a.kind).collect::<Vec<_>>(), [SignalKind::Spike]);
    let report = register.report(at(now + 500));
    let signature = &report.signatures[0];
    assert_eq!((signature.state, signature.count, signature.severity), (SignatureState::Spike, 180, Severity::Warning));
    assert_eq!(signature.minutes.last(), Some(&1));
}

#[test]
fn the_report_begins_with_what_is_gravest() {
    let mut register = register();
    let usual = "2026-02-10 10:00:00 [INFO] wicap.core: all is well";
    told(&mut register, &[usual, usual, usual, UNKNOWN, LOST], 0);
    register.flush(at(9000));
    let report = register.report(at(9000));
    let order: Vec<_> = report.signatures.iter().map(|s| (s.severity, s.count)).collect();
    assert_eq!(order, [(Severity::Critical, 1), (Severity::Error, 1), (Severity::Info, 3)]);
    assert_eq!((report.lines, report.known), (5, 3));
    told(&mut register, &[usual, LOST], 10_000);
    register.flush(at(13_000));
    assert!(!report::is_worth_telling(&report, &register.report(at(13_000))), "more of the same");
    told(&mut register, &["2026-02-10 10:00:00 [WARNING] wicap.core: the queue was slow"], 20_000);
    register.flush(at(22_000));
    assert!(report::is_worth_telling(&report, &register.report(at(22_000))), "a warning that was not there");
}

#[test]
fn a_flood_of_failures_that_are_all_different_stays_within_its_bounds() {
    let mut register = register();
    let word = |n: usize| -> String {
        (0..6).map(|i| char::from(b'a' + u8::try_from((n / 7_usize.pow(i)) % 7).unwrap())).collect()
    };
    for n in 0..5000 {
        let line = format!("2026-02-10 10:00:00 [ERROR] wicap.core: {} {} {}", word(n), word(n * 31 + 7), word(n * 17 + 3));
        register.line(&source("processor"), &line, at(1000), at(1000));
    }
    register.flush(at(2000));
    let kept: usize = register.services.values().map(|s| s.entries.len()).sum();
    assert!(kept <= SIGNATURES_KEPT && register.keys.len() == kept, "{kept} {}", register.keys.len());
    assert_eq!(register.alarms().len(), ALARMS_MOST);
    for n in 0..100 {
        register.line(&source(&format!("s{n}")), UNKNOWN, at(3000), at(3000));
    }
    register.flush(at(4000));
    assert_eq!((register.services.len(), register.unread), (SERVICES_MOST, 37));
}

#[test]
fn an_alarm_hears_its_lines_when_a_word_of_them_turns_out_to_be_a_value() {
    let mut register = register();
    let names =
        ["anna", "berta", "carl", "dora", "emil", "fritz", "gerda", "hans", "ida", "jan", "kurt", "lena", "max", "nora"];
    let lines = names.map(|n| format!("2026-02-10 10:00:00 [ERROR] wicap.core: cannot sync volume {n} now"));
    let lines = lines.each_ref().map(String::as_str);
    let now = told(&mut register, &lines, 0);
    told(&mut register, &lines, now);
    register.flush(at(now + 60_000));
    assert_eq!(shape(&register), [(SignalKind::NewSignature, None, 28)]);
    assert!(register.alarms()[0].ids.len() > 1, "its template has changed");
}

#[test]
fn what_is_read_long_after_it_was_written_is_one_alarm_and_so_is_what_goes_on_after_a_restart() {
    let mut first = register();
    told(&mut first, &[LOST], 0);
    let saved = first.save(at(2000));
    let hours = 5 * 3_600_000;
    let mut register = Register::restore(saved, compiled(&RuleSet::all(), &[]).unwrap(), at(hours));
    assert_eq!(register.tick(QUIET, at(hours + 1000)), [], "nobody has read yet");
    for minute in 0..300 {
        register.line(&source("processor"), LOST, at(60_000 * minute), at(hours + 2000));
        assert_eq!(register.tick(QUIET, at(hours + 2000)), []);
    }
    register.flush(at(hours + 3000));
    assert_eq!(shape(&register), [(SignalKind::KnownIssue, Some("sql-flush-lost"), 301)]);
    assert_eq!(register.tick(QUIET, at(hours + 603_000)).len(), 1);
}

#[test]
fn what_an_earlier_version_has_saved_goes_on() {
    let mut first = register();
    told(&mut first, &[LOST, UNKNOWN, LOST], 0);
    first.flush(at(3500));
    let mut saved = serde_json::to_value(first.save(at(4000))).unwrap();
    saved.as_object_mut().unwrap().retain(|key, _| key != "at" && key != "known");
    for alarm in saved["alarms"].as_array_mut().unwrap() {
        alarm.as_object_mut().unwrap().retain(|key, _| key != "keys" && key != "came");
    }
    let rules = compiled(&RuleSet::all(), &[]).unwrap();
    let mut register = Register::restore(serde_json::from_value(saved).unwrap(), rules, at(5000));
    told(&mut register, &[UNKNOWN, LOST], 6000);
    register.flush(at(9000));
    assert_eq!(shape(&register).iter().map(|(_, _, count)| *count).collect::<Vec<_>>(), [3, 2]);
    let rules: Vec<(String, u64)> = register.report(at(9000)).rules.into_iter().map(|of| (of.rule, of.count)).collect();
    assert_eq!(rules, [("sql-flush-lost".to_owned(), 3)]);
}

#[test]
fn a_request_that_fails_is_not_the_same_as_one_that_succeeds() {
    let mut register = register();
    let access = |path: usize, status: &str| format!("INFO:     127.0.0.1:5 - \"GET /items/{path} HTTP/1.1\" {status}");
    let mut now = 0;
    for n in 0..60 {
        register.line(&source("ui"), &access(n, "200 OK"), at(now), at(now));
        now += 60_000;
        register.tick(QUIET, at(now));
    }
    register.line(&source("ui"), &access(7, "500 Internal Server Error"), at(now), at(now));
    register.flush(at(now + 500));
    assert_eq!(register.alarms().len(), 1, "{:?}", register.alarms());
    let told: Vec<_> = register.report(at(now)).signatures.into_iter().map(|s| (s.template, s.count)).collect();
    let expected = [("GET <*> server-error".to_owned(), 1), ("GET <*> ok".to_owned(), 60)];
    assert_eq!(told, expected);
}

#[test]
fn what_rules_know_is_reported_whatever_else_there_is_and_what_loses_data_is_told_in_a_flood() {
    let mut register = register();
    for n in 0..60 {
        let line = format!("2026-02-10 10:00:00 [ERROR] wicap.core: failure{}", " after failure".repeat(n));
        register.line(&source("processor"), &line, at(1000), at(1000));
    }
    register.line(&source("processor"), LOST, at(2000), at(2000));
    register.flush(at(4000));
    assert!(register.alarms().iter().any(|alarm| alarm.rule.as_deref() == Some("sql-flush-lost")));
    let rules: Vec<(String, u64)> = register.report(at(4000)).rules.into_iter().map(|of| (of.rule, of.count)).collect();
    assert_eq!(rules, [("sql-flush-lost".to_owned(), 1)]);
}

#[test]
fn a_signature_that_falls_silent_is_news_once() {
    let mut register = register();
    let beat = "2026-02-10 10:00:00 [INFO] wicap.core: the heart beats";
    let mut now = 0;
    for _ in 0..(3 * 360) {
        register.line(&source("processor"), beat, at(now), at(now));
        now += 20_000;
        register.tick(QUIET, at(now));
    }
    assert!(!register.has_changed());
    let silent_at = (0..360).find(|_| {
        now += 20_000;
        register.tick(QUIET, at(now));
        register.has_changed()
    });
    assert!(silent_at.is_some() && !register.has_changed());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn one_that_is_saved_and_restored_anywhere_goes_on_as_if_nothing_had_been_in_between(
        lines in prop::collection::vec((0..8_usize, 0..3_usize, 1..90_i64), 1..80),
        cut in any::<prop::sample::Index>(),
    ) {
        const TEXTS: [&str; 8] = [
            LOST, UNKNOWN, "2026-02-10 10:00:00 [INFO] wicap.core: all is well", "[WARN] low on ink: 12 %", "[WARN] low on ink: 7 %",
            "{\"level\":\"error\",\"msg\":\"job 12 failed\"}", "panic: runtime error", "user anna was refused by the gate",
        ];
        let cut = cut.index(lines.len());
        let (mut whole, mut parts) = (register(), register());
        let mut now = 0;
        for (n, (text, service, seconds)) in lines.iter().enumerate() {
            now += seconds * 1000;
            let service = source(&format!("s{service}"));
            for register in [&mut whole, &mut parts] {
                register.line(&service, TEXTS[*text], at(now), at(now));
                register.tick(QUIET, at(now));
            }
            if n == cut {
                // What is open is closed on both sides: a record is not what this is about.
                whole.flush(at(now));
                let text = serde_json::to_string(&parts.save(at(now))).unwrap();
                parts = Register::restore(serde_json::from_str(&text).unwrap(), compiled(&RuleSet::all(), &[]).unwrap(), at(now));
            }
        }
        whole.flush(at(now));
        parts.flush(at(now));
        prop_assert_eq!(whole.alarms(), parts.alarms());
        prop_assert_eq!(whole.report(at(now)), parts.report(at(now)));
    }
}
