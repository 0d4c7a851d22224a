//! The rules of a probe.

use std::collections::HashSet;
use std::time::Duration as StdDuration;

use crate::api::Duration;
use crate::api::stack::expression::Expression;
use crate::api::stack::probe::TEXT_MOST;
use crate::api::stack::{Expectations, HttpGet, JsonExpectation, LogLine, Probe};
use crate::api::validate::{Check, quoted};

/// Furthest that a log is looked back into: older lines say nothing of now.
const WITHIN_MOST: StdDuration = StdDuration::from_secs(3600);

/// Headers that the request has of its own: two of them would be no request.
const OWN_HEADERS: [&str; 4] = ["host", "connection", "content-length", "transfer-encoding"];

pub(super) fn validate_probes(check: &mut Check, service: &str, probes: &[Probe]) {
    let mut seen = HashSet::new();
    for (i, probe) in probes.iter().enumerate() {
        let path = format!("{service}.probes[{i}]");
        check.service(&format!("{path}.name"), &probe.name);
        check.that(
            seen.insert(probe.name.as_str()),
            format!("{path}.name"),
            format!("{} a second time", quoted(&probe.name)),
            "each probe of a service once",
        );
        let set = [
            probe.tcp_socket.is_some(),
            probe.http_get.is_some(),
            probe.health.is_some(),
            probe.process.is_some(),
            probe.log.is_some(),
        ];
        let handlers = set.iter().filter(|set| **set).count();
        let expected = "exactly one of tcpSocket, httpGet, health, process and log";
        check.that(handlers == 1, &path, format!("{handlers} handlers"), expected);
        if let Some(tcp) = &probe.tcp_socket {
            validate_endpoint(check, &format!("{path}.tcpSocket"), &tcp.host, tcp.port);
        }
        if let Some(http) = &probe.http_get {
            validate_http(check, &format!("{path}.httpGet"), http, probe.timeout);
        }
        if let Some(process) = &probe.process {
            check.text(&format!("{path}.process.command"), &process.command, TEXT_MOST);
        }
        if let Some(log) = &probe.log {
            validate_log(check, &format!("{path}.log"), log);
        }
        check.not_negative(&format!("{path}.initialDelay"), probe.initial_delay);
        check.positive(&format!("{path}.period"), probe.period);
        check.positive(&format!("{path}.timeout"), probe.timeout);
        check.that(
            probe.period.is_negative() || probe.timeout.to_std() <= probe.period.to_std(),
            format!("{path}.timeout"),
            format!("\"{}\"", probe.timeout),
            format!("at most the period of \"{}\"", probe.period),
        );
        check.that(probe.success_threshold > 0, format!("{path}.successThreshold"), "0", "a number of 1 or more");
        check.that(probe.failure_threshold > 0, format!("{path}.failureThreshold"), "0", "a number of 1 or more");
    }
}

fn validate_endpoint(check: &mut Check, path: &str, host: &str, port: u16) {
    let ok = !host.is_empty() && host.len() <= 253 && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:".contains(&b));
    check.that(ok, format!("{path}.host"), quoted(host), "a host name or an IP address");
    check.that(port > 0, format!("{path}.port"), "0", "a port from 1 to 65535");
}

/// The rules of an HTTP request that has `timeout` for its answer, wherever one is declared.
pub(in crate::api) fn validate_http(check: &mut Check, path: &str, http: &HttpGet, timeout: Duration) {
    validate_endpoint(check, path, &http.host, http.port);
    let ok = http.path.starts_with('/') && http.path.len() <= 2048 && http.path.bytes().all(|b| (0x21..0x7f).contains(&b));
    check.that(
        ok,
        format!("{path}.path"),
        quoted(&http.path),
        "a path that begins with '/', of printable ASCII without blanks",
    );
    for (i, header) in http.headers.iter().enumerate() {
        let at = format!("{path}.headers[{i}]");
        let name = header.name.as_str();
        let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        check.that(
            !name.is_empty() && name.len() <= 256 && name.bytes().all(is_token),
            format!("{at}.name"),
            quoted(name),
            "the name of a header",
        );
        check.that(
            !OWN_HEADERS.iter().any(|own| own.eq_ignore_ascii_case(name)),
            format!("{at}.name"),
            quoted(name),
            "another header: the request has its own",
        );
        check.that(
            header.value.len() <= 4096 && header.value.bytes().all(|b| (0x20..0x7f).contains(&b)),
            format!("{at}.value"),
            quoted(&header.value),
            "at most 4096 bytes of printable ASCII",
        );
    }
    for (i, status) in http.expected_statuses.iter().enumerate() {
        check.that(
            (100..600).contains(status),
            format!("{path}.expectedStatuses[{i}]"),
            status.to_string(),
            "an HTTP status from 100 to 599",
        );
    }
    if let Some(expect) = &http.expect {
        validate_expectations(check, &format!("{path}.expect"), expect);
    }
    if let Some(most) = http.max_latency {
        check.positive(&format!("{path}.maxLatency"), most);
        check.that(
            most.is_negative() || most.to_std() <= timeout.to_std(),
            format!("{path}.maxLatency"),
            format!("\"{most}\""),
            format!("at most the timeout of \"{timeout}\""),
        );
    }
    let mut seen = HashSet::new();
    for (i, capture) in http.capture.iter().enumerate() {
        let at = format!("{path}.capture[{i}]");
        check.service(&format!("{at}.name"), &capture.name);
        check.that(
            seen.insert(capture.name.as_str()),
            format!("{at}.name"),
            format!("{} a second time", quoted(&capture.name)),
            "each sample once",
        );
        validate_pointer(check, &format!("{at}.pointer"), &capture.pointer);
    }
}

fn validate_expectations(check: &mut Check, path: &str, expect: &Expectations) {
    let nothing = expect.json.is_empty() && expect.cel.is_empty() && expect.body_contains.is_none();
    check.that(!nothing, path, "nothing", "at least one of json, cel and bodyContains");
    for (i, expectation) in expect.json.iter().enumerate() {
        validate_json(check, &format!("{path}.json[{i}]"), expectation);
    }
    for (i, source) in expect.cel.iter().enumerate() {
        if let Err(why) = Expression::compile(source) {
            let why = if why.starts_with(';') { why } else { format!(" {why}") };
            check.that(false, format!("{path}.cel[{i}]"), quoted(source), format!("a CEL expression{why}"));
        }
    }
    if let Some(text) = &expect.body_contains {
        check.text(&format!("{path}.bodyContains"), text, TEXT_MOST);
    }
}

fn validate_json(check: &mut Check, path: &str, expectation: &JsonExpectation) {
    validate_pointer(check, &format!("{path}.pointer"), &expectation.pointer);
    let set = [
        expectation.equals.is_some(),
        expectation.one_of.is_some(),
        expectation.less_than.is_some(),
        expectation.greater_than.is_some(),
        expectation.exists.is_some(),
    ];
    let operators = set.iter().filter(|set| **set).count();
    let expected = "exactly one of equals, oneOf, lessThan, greaterThan and exists";
    check.that(operators == 1, path, format!("{operators} operators"), expected);
    let empty = expectation.one_of.as_ref().is_some_and(Vec::is_empty);
    check.that(!empty, format!("{path}.oneOf"), "an empty list", "at least one value");
}

/// RFC 6901: empty, or reference tokens that begin with `/`, in which `~` is followed by 0 or 1.
fn validate_pointer(check: &mut Check, path: &str, pointer: &str) {
    let escaped = pointer.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    check.that(
        (pointer.is_empty() || pointer.starts_with('/')) && pointer.len() <= TEXT_MOST && escaped,
        path,
        quoted(pointer),
        "a JSON pointer such as \"/status/eps\"",
    );
}

fn validate_log(check: &mut Check, path: &str, log: &LogLine) {
    let given = match (&log.pattern, &log.signature) {
        (None, None) => Some("neither pattern nor signature"),
        (Some(_), Some(_)) => Some("both pattern and signature"),
        _ => None,
    };
    check.that(given.is_none(), path, given.unwrap_or_default(), "one of them");
    if let (Err(why), Some(pattern)) = (log.regex(), &log.pattern) {
        check.that(false, format!("{path}.pattern"), quoted(pattern), format!("a regular expression {why}"));
    }
    if let Some(signature) = &log.signature {
        check.text(&format!("{path}.signature"), signature, 63);
    }
    let within = log.within;
    check.positive(&format!("{path}.within"), within);
    check.that(
        within.to_std() <= WITHIN_MOST,
        format!("{path}.within"),
        format!("\"{within}\""),
        "a duration of \"1h\" or less",
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// What is wrong with a probe of that handler, each as `path: found, expected`.
    fn wrong(handler: Value) -> Vec<String> {
        let mut probe = handler;
        probe["name"] = json!("p");
        let mut check = Check::new();
        validate_probes(&mut check, "s", &[serde_json::from_value(probe).unwrap()]);
        check.finish().into_iter().map(|v| v.to_string()).collect()
    }

    fn http(change: Value) -> Value {
        let mut get = json!({"port": 80});
        get.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        json!({ "httpGet": get })
    }

    #[test]
    fn each_kind_of_probe_is_fine_with_what_it_needs() {
        for handler in [
            json!({"tcpSocket": {"port": 1}}),
            json!({"health": {}}),
            json!({"process": {"command": "redis-server"}}),
            json!({"log": {"pattern": "SQL (connection|operation) failed", "expect": "Absent", "within": "60s"}}),
            json!({"log": {"pattern": "ready"}}),
            http(json!({})),
            http(json!({"headers": [{"name": "Accept", "value": "application/json"}], "maxLatency": "500ms",
                "capture": [{"name": "eps", "pointer": "/eps"}]})),
            http(json!({"expect": {"json": [{"pointer": "/last_insert_age_sec", "lessThan": 120}]}})),
            http(json!({"expect": {"json": [{"pointer": "", "exists": true}, {"pointer": "/error", "equals": null},
                {"pointer": "/a~1b/~0", "oneOf": ["a", 1, null]}, {"pointer": "/n", "greaterThan": -0.5}]}})),
            http(json!({"expect": {"cel": ["body.eps > 0.0 && headers['x-mode'] != 'file'"]}})),
            http(json!({"expect": {"bodyContains": "healthy"}})),
        ] {
            assert_eq!(wrong(handler.clone()), [""; 0], "{handler}");
        }
    }

    #[test]
    fn each_mistake_in_a_probe_is_named_with_what_was_found_and_expected() {
        for (handler, expected) in [
            (
                json!({}),
                "s.probes[0]: found 0 handlers, expected exactly one of tcpSocket, httpGet, health, process and log",
            ),
            (
                json!({"health": {}, "process": {"command": "x"}}),
                "s.probes[0]: found 2 handlers, expected exactly one of tcpSocket, httpGet, health, process and log",
            ),
            (
                json!({"process": {"command": " "}}),
                "s.probes[0].process.command: found \" \", expected a text of 1 to 1024 bytes",
            ),
            (
                json!({"log": {"pattern": "a(b"}}),
                "s.probes[0].log.pattern: found \"a(b\", expected a regular expression (error: unclosed group)",
            ),
            (
                json!({"log": {"pattern": ""}}),
                "s.probes[0].log.pattern: found \"\", expected a regular expression of 1 to 1024 bytes",
            ),
            (
                json!({"log": {"pattern": "(a{999}){999}"}}),
                "s.probes[0].log.pattern: found \"(a{999}){999}\", expected a regular expression that takes at most 1048576 bytes of \
                 memory",
            ),
            (
                json!({"log": {"pattern": "a", "within": "2h"}}),
                "s.probes[0].log.within: found \"2h\", expected a duration of \"1h\" or less",
            ),
            (
                http(json!({"headers": [{"name": "a b", "value": "x"}]})),
                "s.probes[0].httpGet.headers[0].name: found \"a b\", expected the name of a header",
            ),
            (
                http(json!({"headers": [{"name": "HOST", "value": "x"}]})),
                "s.probes[0].httpGet.headers[0].name: found \"HOST\", expected another header: the request has its own",
            ),
            (
                http(json!({"headers": [{"name": "a", "value": "x\r\nb: y"}]})),
                "s.probes[0].httpGet.headers[0].value: found \"x\\r\\nb: y\", expected at most 4096 bytes of printable ASCII",
            ),
            (
                http(json!({"maxLatency": "2s"})),
                "s.probes[0].httpGet.maxLatency: found \"2s\", expected at most the timeout of \"1s\"",
            ),
            (
                http(json!({"expect": {}})),
                "s.probes[0].httpGet.expect: found nothing, expected at least one of json, cel and bodyContains",
            ),
            (
                http(json!({"expect": {"json": [{"pointer": "/a"}]}})),
                "s.probes[0].httpGet.expect.json[0]: found 0 operators, expected exactly one of equals, oneOf, lessThan, greaterThan \
                 and exists",
            ),
            (
                http(json!({"expect": {"json": [{"pointer": "/a", "lessThan": 2, "greaterThan": 1}]}})),
                "s.probes[0].httpGet.expect.json[0]: found 2 operators, expected exactly one of equals, oneOf, lessThan, greaterThan \
                 and exists",
            ),
            (
                http(json!({"expect": {"json": [{"pointer": "a", "exists": true}]}})),
                "s.probes[0].httpGet.expect.json[0].pointer: found \"a\", expected a JSON pointer such as \"/status/eps\"",
            ),
            (
                http(json!({"expect": {"json": [{"pointer": "/a~2", "exists": true}]}})),
                "s.probes[0].httpGet.expect.json[0].pointer: found \"/a~2\", expected a JSON pointer such as \"/status/eps\"",
            ),
            (
                http(json!({"expect": {"json": [{"pointer": "/a", "oneOf": []}]}})),
                "s.probes[0].httpGet.expect.json[0].oneOf: found an empty list, expected at least one value",
            ),
            (
                http(json!({"expect": {"cel": ["status == 200", "eps > 0"]}})),
                "s.probes[0].httpGet.expect.cel[1]: found \"eps > 0\", expected a CEL expression over status, headers, body, \
                 latency_ms; it knows no eps",
            ),
            (
                http(json!({"expect": {"bodyContains": ""}})),
                "s.probes[0].httpGet.expect.bodyContains: found \"\", expected a text of 1 to 1024 bytes",
            ),
            (
                http(json!({"capture": [{"name": "a", "pointer": ""}, {"name": "a", "pointer": ""}]})),
                "s.probes[0].httpGet.capture[1].name: found \"a\" a second time, expected each sample once",
            ),
        ] {
            assert_eq!(wrong(handler.clone()), [expected], "{handler}");
        }
        let broken = wrong(http(json!({"expect": {"cel": ["body.eps >"]}})));
        assert!(
            broken[0].starts_with("s.probes[0].httpGet.expect.cel[0]: found \"body.eps >\", expected a CEL expression; ")
        );
    }
}
