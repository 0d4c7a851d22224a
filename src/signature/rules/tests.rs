//! What a rule goes by, and the order in which rules win.

mod shipped;

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::text::Event;
use super::{Judged, MAX_RULES, Rules, Set};
use crate::api::Severity::{self, Critical, Error, Info, Noise, Warning};
use crate::signature::envelope::{Folder, Limits, Record};

/// The one record of a text.
fn record(text: &str) -> Record {
    let mut folder = Folder::new(Limits::default());
    let mut records: Vec<Record> = text.lines().filter_map(|line| folder.push(line)).collect();
    records.extend(folder.finish());
    assert_eq!(records.len(), 1, "{text}: {records:#?}");
    records.remove(0)
}

/// Both shipped sets.
static SHIPPED: LazyLock<Rules> = LazyLock::new(|| Rules::new(&[Set::general(), Set::wicap()]).unwrap());

/// Rules of the given sets, each a list.
fn rules(sets: &[Value]) -> Rules {
    let set = |rules: &Value| Set::read(&json!({"version": 1, "rules": rules}).to_string()).unwrap();
    Rules::new(&sets.iter().map(set).collect::<Vec<_>>()).unwrap()
}

/// What is said of a line: severity and rule.
fn said<'a>(rules: &'a Rules, service: &str, text: &str) -> (Severity, &'a str) {
    let Judged { severity, rule } = rules.judge(service, &record(text));
    (severity, rule.map_or("", |rule| &*rule.name))
}

/// A known issue that goes by one text.
fn issue(name: &str, text: &str, severity: &str) -> Value {
    json!({"name": name, "title": name, "match": {"contains": [text]}, "severity": severity})
}

/// Noise that goes by one text.
fn noise(name: &str, text: &str) -> Value {
    json!({"name": name, "match": {"contains": [text]}, "noise": true})
}

#[test]
fn the_graver_issue_wins_then_the_later_set_then_the_earlier_line_and_noise_comes_last() {
    for (sets, expected) in [
        (vec![json!([issue("a", "x", "Warning"), issue("b", "x", "Critical")])], (Critical, "b")),
        (vec![json!([issue("a", "x", "Critical")]), json!([issue("b", "x", "Error")])], (Critical, "a")),
        (vec![json!([issue("a", "x", "Error")]), json!([issue("b", "x", "Error")])], (Error, "b")),
        (vec![json!([issue("a", "x", "Error"), issue("b", "x", "Error")])], (Error, "a")),
        (vec![json!([issue("a", "x", "Info")]), json!([noise("b", "x")])], (Info, "a")),
        (vec![json!([noise("a", "x")]), json!([noise("b", "x")])], (Noise, "b")),
        (vec![json!([noise("a", "x"), noise("b", "x")])], (Noise, "a")),
        (vec![json!([noise("a", "y")])], (Error, "")),
        (vec![json!([])], (Error, "")),
        (vec![], (Error, "")),
    ] {
        assert_eq!(said(&rules(&sets), "ui", "2026-02-10 10:00:00 [ERROR] a.b: x"), expected, "{sets:?}");
    }
}

#[test]
fn a_later_set_replaces_and_takes_out_by_name() {
    let line = "2026-02-10 10:00:00 [ERROR] a.b: x y";
    let first = json!([issue("a", "x", "Critical"), issue("b", "y", "Warning")]);
    let off = json!([{"name": "a", "off": true}]);
    for (sets, expected) in [
        (vec![first.clone(), json!([issue("a", "x", "Info")])], (Warning, "b")),
        (vec![first.clone(), json!([noise("a", "x"), noise("b", "y")])], (Noise, "a")),
        (vec![first.clone(), off.clone()], (Warning, "b")),
        (vec![off.clone(), first.clone()], (Critical, "a")),
        (vec![first.clone(), off.clone(), first.clone()], (Critical, "a")),
        (vec![first, json!([{"name": "none-such", "off": true}])], (Critical, "a")),
        (vec![json!([{"name": "none-such", "off": true}])], (Error, "")),
    ] {
        assert_eq!(said(&rules(&sets), "ui", line), expected, "{sets:?}");
    }
}

#[test]
fn all_parts_of_a_match_must_hold() {
    let line =
        "2026-02-10 10:00:00,123 [main] ERROR wicap.sql - write failed\njava.io.IOException: disk\n\tat a.B.m(B.java:1)";
    for (parts, expected) in [
        (json!({"contains": ["write", "failed"]}), true),
        (json!({"contains": ["write", "Failed"]}), false),
        (json!({"contains": ["write", "disk"]}), true),
        (json!({"anyOf": ["nothing", "disk"]}), true),
        (json!({"anyOf": ["nothing"]}), false),
        (json!({"contains": ["write"], "anyOf": ["nothing"]}), false),
        (json!({"pattern": "^write \\w+"}), true),
        (json!({"pattern": "^failed"}), false),
        (json!({"contains": ["write"], "pattern": "^failed"}), false),
        (json!({"exception": "IOException"}), true),
        (json!({"exception": "java.io.IOException"}), true),
        (json!({"exception": "io.IOException"}), false),
        (json!({"exception": "Exception"}), false),
        (json!({"level": "Error"}), true),
        (json!({"level": "Warn"}), true),
        (json!({"level": "Fatal"}), false),
        (json!({"logger": "wicap.sql"}), true),
        (json!({"logger": "wicap"}), true),
        (json!({"logger": "wicap.s"}), false),
        (json!({"logger": "sql"}), false),
        (json!({"level": "Error", "services": []}), true),
        (json!({"level": "Error", "services": ["ui", "processor"]}), true),
        (json!({"level": "Error", "services": ["processor"]}), false),
        (json!({"status": {"from": 100, "to": 599}}), false),
        (json!({"level": "Error", "status": {"from": 100, "to": 599}}), false),
    ] {
        let rules = rules(&[json!([{"name": "a", "match": parts, "noise": true}])]);
        assert_eq!(said(&rules, "ui", line).1 == "a", expected, "{parts}");
    }
}

#[test]
fn what_a_path_holds_is_looked_at_only_by_rules_about_requests() {
    let line = r#"INFO:     10.0.0.1:5 - "GET /x?q=MISCONF HTTP/1.1" 200 OK"#;
    let misconf = issue("a", "MISCONF", "Critical");
    assert_eq!(said(&rules(&[json!([misconf])]), "ui", line), (Info, ""));
    let parts = |status: Value| json!([{"name": "a", "match": {"contains": ["MISCONF"], "status": status}, "noise": true}]);
    assert_eq!(said(&rules(&[parts(json!({"from": 200, "to": 200}))]), "ui", line), (Noise, "a"));
    assert_eq!(said(&rules(&[parts(json!({"from": 201, "to": 299}))]), "ui", line), (Info, ""));
    let requests = json!([{"name": "a", "match": {"status": {"from": 100, "to": 399}}, "noise": true}]);
    assert_eq!(
        said(&rules(&[requests]), "ui", r#"INFO:     10.0.0.1:5 - "GET /error/fatal HTTP/1.1" 200 OK"#),
        (Noise, "a")
    );
}

#[test]
fn the_error_of_a_structured_line_is_looked_at() {
    let rules = rules(&[json!([issue("a", "refused", "Error")])]);
    assert_eq!(said(&rules, "ui", r#"{"level":"info","msg":"no sync","error":"dial: refused"}"#), (Error, "a"));
    assert_eq!(said(&rules, "ui", r#"{"level":"info","msg":"no sync","other":"dial: refused"}"#), (Info, ""));
    assert_eq!(said(&rules, "ui", r#"level=info msg="no sync" err="dial: refused""#), (Error, "a"));
}

#[test]
fn too_many_rules_and_too_much_text_are_refused() {
    let many = |from: usize, to: usize| {
        let rules: Vec<Value> = (from..to).map(|i| noise(&format!("r{i}"), "x")).collect();
        Set::read(&json!({"version": 1, "rules": rules}).to_string()).unwrap()
    };
    assert!(Rules::new(&[many(0, MAX_RULES), many(0, MAX_RULES)]).is_ok(), "the later ones replace the earlier");
    let refused = Rules::new(&[many(0, MAX_RULES), many(499, 501)]).unwrap_err();
    assert_eq!(refused.to_string(), "rules: found 501 rules in 2 sets, expected at most 500");
    let long = |i: usize| (0..32).map(|n| format!("{i:0>120}{n:0>136}")).collect::<Vec<_>>();
    let large: Vec<Value> =
        (0..40).map(|i| json!({"name": format!("r{i}"), "match": {"anyOf": long(i)}, "noise": true})).collect();
    let large = Set::read(&json!({"version": 1, "rules": large}).to_string()).unwrap();
    let refused = Rules::new(&[large]).unwrap_err();
    assert_eq!(refused.to_string(), "rules: found 327680 bytes of texts, expected at most 262144");
}

#[test]
fn the_first_of_many_patterns_that_holds_decides() {
    let pattern = |name: &str, pattern: &str, severity: &str| json!({"name": name, "title": name, "match": {"pattern": pattern}, "severity": severity});
    let rules = rules(&[json!([
        pattern("a", "^x", "Info"),
        pattern("b", "^it", "Warning"),
        pattern("c", "broke$", "Critical"),
        {"name": "d", "title": "d", "match": {"level": "Error"}, "severity": "Error"},
    ])]);
    assert_eq!(said(&rules, "ui", "2026-02-10 10:00:00 [ERROR] a.b: it broke"), (Critical, "c"));
    assert_eq!(said(&rules, "ui", "2026-02-10 10:00:00 [ERROR] a.b: it"), (Error, "d"));
    assert_eq!(said(&rules, "ui", "2026-02-10 10:00:00 [WARNING] a.b: it"), (Warning, "b"));
    assert_eq!(said(&rules, "ui", "2026-02-10 10:00:00 [ERROR] a.b: x"), (Error, "d"));
    assert_eq!(said(&rules, "ui", "2026-02-10 10:00:00 [WARNING] a.b: x"), (Info, "a"));
}

proptest! {
    #[test]
    fn any_line_is_judged_and_judged_alike_twice(text in "[ -~]{0,80}(error|failed|0|MISCONF|No space left on device|=|: |\\PC){0,8}") {
        let record = record(&format!("{text}\n"));
        let rules = &*SHIPPED;
        let first = rules.judge("ui", &record);
        let second = rules.judge("ui", &record);
        prop_assert_eq!((first.severity, first.rule.map(|r| &r.name)), (second.severity, second.rule.map(|r| &r.name)));
    }

    #[test]
    fn the_tables_find_what_a_look_at_every_rule_finds(
        texts in proptest::collection::vec(proptest::collection::vec("[ab]{1,3}", 1..3), 1..8),
        line in "[ab ]{1,12}",
    ) {
        let severities = ["Info", "Warning", "Error", "Critical"];
        let list: Vec<Value> = texts.iter().enumerate().map(|(i, texts)| {
            let parts = match i % 3 {
                0 => json!({"contains": texts}),
                1 => json!({"anyOf": texts}),
                _ => json!({"pattern": texts[0]}),
            };
            json!({"name": format!("r{i}"), "title": "t", "match": parts, "severity": severities[i % 4]})
        }).collect();
        let rules = rules(&[json!(list)]);
        let record = record(&format!("2026-02-10 10:00:00 [INFO] x.y: -{line}"));
        let event = Event::new("ui", &record);
        let slow = rules.table.iter().find(|rule| rule.holds(&event)).map(|rule| &rule.name);
        prop_assert_eq!(rules.first(&event).map(|rule| &rule.name), slow);
    }
}
