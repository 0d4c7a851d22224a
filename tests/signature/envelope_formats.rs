//! One line in, one parsed line out: a table per family of formats.

use wicap::signature::envelope::{Format, Level, Stamp, parse};

/// What a line should give: format, level, logger, message.
type Row = (&'static str, Format, Option<Level>, Option<&'static str>, &'static str);

/// Checks every row of a table.
fn check(rows: &[Row]) {
    for (text, format, level, logger, message) in rows {
        let line = parse(text);
        assert_eq!(
            (line.format, line.level, line.logger.as_deref(), &*line.message),
            (*format, *level, *logger, *message),
            "{text}"
        );
    }
}

const TRACE: Option<Level> = Some(Level::Trace);
const DEBUG: Option<Level> = Some(Level::Debug);
const INFO: Option<Level> = Some(Level::Info);
const NOTICE: Option<Level> = Some(Level::Notice);
const WARN: Option<Level> = Some(Level::Warn);
const ERROR: Option<Level> = Some(Level::Error);
const FATAL: Option<Level> = Some(Level::Fatal);

#[test]
fn python_logging_is_recognised() {
    use Format::Stamped;
    check(&[
        ("2026-02-10 10:00:00 [INFO] wicap.mod: it works", Stamped, INFO, Some("wicap.mod"), "it works"),
        ("2026-02-10 10:00:00 [INFO] wicap: it works", Stamped, INFO, Some("wicap"), "it works"),
        ("2026-02-10 10:00:00,123 - root - ERROR - it broke", Stamped, ERROR, Some("root"), "it broke"),
        ("2026-02-10 10:00:00,123 - a.b - WARNING - it broke - twice", Stamped, WARN, Some("a.b"), "it broke - twice"),
        ("2026-02-10 10:00:00,123 INFO a.b: it works", Stamped, INFO, Some("a.b"), "it works"),
        ("2026-02-10 10:00:00,123 a.b INFO it works", Stamped, INFO, Some("a.b"), "it works"),
        ("2026-02-10 10:00:00,123 INFO [a.b] it works", Stamped, INFO, Some("a.b"), "it works"),
        ("2026-02-10 10:00:00,123:DEBUG:root:it works", Stamped, DEBUG, Some("root"), "it works"),
        ("2026-02-10 10:00:00.123 | SUCCESS  | a:f:12 - it works", Stamped, None, None, "SUCCESS  | a:f:12 - it works"),
        (
            "2026-02-10 10:00:00.123 | INFO     | __main__:<module>:12 - it works",
            Stamped,
            INFO,
            Some("__main__:<module>:12"),
            "it works",
        ),
        ("[2026-02-10 10:00:00 +0000] [7] [INFO] Booting worker", Stamped, INFO, None, "Booting worker"),
        ("[2026-02-10 10:00:00,123: INFO/MainProcess] it works", Stamped, INFO, None, "it works"),
        ("[2026-02-10 10:00:00,123] {a.py:12} INFO - it works", Stamped, INFO, Some("a.py:12"), "it works"),
        ("2026-02-10 10:00:00 [scrapy.core.engine] INFO: it works", Stamped, INFO, Some("scrapy.core.engine"), "it works"),
        ("INFO 2026-02-10 10:00:00,123 it works", Stamped, INFO, None, "it works"),
        ("Tue Feb 10 10:00:00 2026 it works", Stamped, None, None, "it works"),
        ("2026-02-10 10:00:00 [ERROR] failed: no such file", Stamped, ERROR, None, "failed: no such file"),
        ("2026-02-10 10:00:00,123 INFO spawned: 'x' with pid 7", Stamped, INFO, None, "spawned: 'x' with pid 7"),
    ]);
}

#[test]
fn java_logging_is_recognised() {
    use Format::{Clocked, Stamped};
    check(&[
        ("2026-02-10 10:00:00,123 [main] INFO  com.foo.Bar - it works", Stamped, INFO, Some("com.foo.Bar"), "it works"),
        ("2026-02-10 10:00:00 INFO  Bar:12 - it works", Stamped, INFO, Some("Bar:12"), "it works"),
        ("10:00:00.123 [main] WARN  com.foo.Bar - it broke", Clocked, WARN, Some("com.foo.Bar"), "it broke"),
        (
            "2026-02-10T10:00:00.123Z  INFO 1 --- [app] [main] c.f.Bar  : it works",
            Stamped,
            INFO,
            Some("c.f.Bar"),
            "it works",
        ),
        (
            "2026-02-10 10:00:00.123  INFO 1 --- [           main] c.f.Bar  : it works",
            Stamped,
            INFO,
            Some("c.f.Bar"),
            "it works",
        ),
        ("2026-02-10 10:00:00,123 INFO  [org.app] (main) it works", Stamped, INFO, Some("org.app"), "it works"),
        ("[2026-02-10 10:00:00,123] INFO it works (kafka.Server)", Stamped, INFO, None, "it works (kafka.Server)"),
        (
            "[2026-02-10T10:00:00,123][INFO ][o.e.n.Node  ] [node] it works",
            Stamped,
            INFO,
            Some("o.e.n.Node"),
            "[node] it works",
        ),
        (
            "2026-02-10 10:00:00,123 [myid:1] - INFO  [main:QuorumPeerMain@136] - it works",
            Stamped,
            INFO,
            Some("main:QuorumPeerMain@136"),
            "it works",
        ),
    ]);
}

#[test]
fn rust_logging_is_recognised() {
    use Format::{Leveled, Stamped};
    check(&[
        ("2026-02-10T10:00:00Z  INFO target: it works", Stamped, INFO, Some("target"), "it works"),
        ("2026-02-10T10:00:00.123456Z ERROR a::b: it broke k=1", Stamped, ERROR, Some("a::b"), "it broke k=1"),
        ("2026-02-10T10:00:00.123456Z TRACE ThreadId(01) a::b: it works", Stamped, TRACE, Some("a::b"), "it works"),
        ("2026-02-10T10:00:00.123456Z  INFO span{k=1}: a::b: it works", Stamped, INFO, None, "span{k=1}: a::b: it works"),
        ("[2026-02-10T10:00:00Z INFO  a::b] it works", Stamped, INFO, Some("a::b"), "it works"),
        (" WARN a::b: it broke", Leveled, WARN, Some("a::b"), "it broke"),
    ]);
}

#[test]
fn go_and_server_logging_is_recognised() {
    use Format::{Access, Klog, Postgres, Redis, Stamped};
    check(&[
        ("2026/02/10 10:00:00 it works", Stamped, None, None, "it works"),
        ("2026/02/10 10:00:00.123456 main.go:12: it works", Stamped, None, Some("main.go:12"), "it works"),
        ("2026/02/10 10:00:00 [error] 12#12: *1 it broke", Stamped, ERROR, None, "*1 it broke"),
        (
            "[Tue Feb 10 10:00:00.5 2026] [core:error] [pid 1:tid 2] it broke",
            Stamped,
            ERROR,
            Some("core"),
            "[pid 1:tid 2] it broke",
        ),
        ("2026-02-10T10:00:00.000Z\tinfo\ta.b\tit works\t{\"k\":1}", Stamped, INFO, Some("a.b"), "it works\t{\"k\":1}"),
        ("2026-02-10T10:00:00.000Z\tinfo\tready\t{\"k\":1}", Stamped, INFO, None, "ready\t{\"k\":1}"),
        ("2026-02-10 10:00:00.123456+00:00 [info] <0.123.0> it works", Stamped, INFO, None, "it works"),
        (
            "2026-02-10T10:00:00.000000Z 8 [Warning] [MY-010068] [Server] it broke",
            Stamped,
            WARN,
            None,
            "[MY-010068] [Server] it broke",
        ),
        (
            "2026.02.10 10:00:00.123456 [ 1 ] {} <Information> Application: it works",
            Stamped,
            INFO,
            None,
            "Application: it works",
        ),
        ("I0210 10:00:00.123456    1 file.go:12] it works", Klog, INFO, Some("file.go:12"), "it works"),
        ("1:M 10 Feb 2026 10:00:00.000 # it broke", Redis, WARN, None, "it broke"),
        ("2026-02-10 10:00:00.000 UTC [123] ERROR:  it broke", Postgres, ERROR, None, "it broke"),
        ("2026-02-10 10:00:00.000 UTC [123] FATAL:  it broke", Postgres, FATAL, None, "it broke"),
        (
            "[GIN] 2026/02/10 - 10:00:00 | 200 |  1.2ms |  127.0.0.1 | GET      \"/path\"",
            Access,
            None,
            None,
            "GET /path 200",
        ),
    ]);
}

#[test]
fn lines_with_a_time_of_day_or_a_level_only_are_recognised() {
    use Format::{Clocked, Dotnet, Leveled};
    check(&[
        (
            "10:00:00 | INFO    | Started service: processor (PID 7)",
            Clocked,
            INFO,
            None,
            "Started service: processor (PID 7)",
        ),
        ("[10:00:00.123] INFO (12): it works", Clocked, INFO, None, "it works"),
        ("[10:00:00 INF] it works", Clocked, INFO, None, "it works"),
        ("INFO:     Application startup complete.", Leveled, INFO, None, "Application startup complete."),
        ("ERROR:root:it broke", Leveled, ERROR, Some("root"), "it broke"),
        ("[warn] it broke", Leveled, WARN, None, "it broke"),
        ("info: A.B[14]", Dotnet, INFO, Some("A.B"), "A.B[14]"),
    ]);
}

#[test]
fn syslog_and_journald_are_recognised() {
    use Format::{Journal, Syslog, Syslog5424};
    check(&[
        ("<13>Feb 10 10:00:00 host prog[123]: it works", Syslog, NOTICE, Some("prog"), "it works"),
        ("Feb 10 10:00:00 host prog[123]: it works", Syslog, None, Some("prog"), "it works"),
        ("2026-02-10T10:00:00+0000 host prog[123]: it works", Journal, None, Some("prog"), "it works"),
        ("<165>1 2026-02-10T10:00:00.003Z host app 1 - - it works", Syslog5424, NOTICE, Some("app"), "it works"),
    ]);
}

#[test]
fn structured_lines_are_recognised() {
    use Format::{Json, Logfmt};
    check(&[
        (r#"{"ts":"2026-02-10T10:00:00Z","level":"info","logger":"a","msg":"it works"}"#, Json, INFO, Some("a"), "it works"),
        (r#"2026-02-10T10:00:00Z {"level":"info","msg":"it works"}"#, Json, INFO, None, "it works"),
        (r#"time=2026-02-10T10:00:00Z level=info msg="it works" key=value"#, Logfmt, INFO, None, "it works"),
        ("2026-02-10T10:00:00Z 2026-02-10 10:00:00 [INFO] a.b: it works", Format::Stamped, INFO, Some("a.b"), "it works"),
    ]);
    assert!(parse("2026-02-10T10:00:00Z 2026-02-10 10:00:00 [INFO] a.b: x").time.is_some_and(Stamp::is_instant));
}

#[test]
fn an_answer_of_a_server_gives_its_status() {
    for (text, format, status, message) in [
        (r#"[10/Feb/2026 10:00:00] "GET /a HTTP/1.1" 302 5"#, Format::Access, Some(302), "GET /a 302"),
        (r#"INFO:     127.0.0.1:5 - "POST /push HTTP/1.1" 200 OK"#, Format::Access, Some(200), "POST /push 200"),
        (r#"10.0.0.1 - - [10/Feb/2026:10:00:00 +0000] "GET / HTTP/1.1" 502 5"#, Format::Access, Some(502), "GET / 502"),
        (
            r#"2026-02-10 10:00:00 [INFO] uvicorn.access: [::1]:5 - "GET / HTTP/1.1" 500"#,
            Format::Stamped,
            Some(500),
            "GET / 500",
        ),
        (r#"{"msg":"127.0.0.1:5 - \"GET / HTTP/1.1\" 404"}"#, Format::Json, None, r#"127.0.0.1:5 - "GET / HTTP/1.1" 404"#),
        ("2026-02-10 10:00:00 [INFO] a.b: got 200 answers", Format::Stamped, None, "got 200 answers"),
        (r#"it said "GET / HTTP/1.1" 200"#, Format::Plain, None, r#"it said "GET / HTTP/1.1" 200"#),
    ] {
        let line = parse(text);
        assert_eq!((line.format, line.status, &*line.message), (format, status, message), "{text}");
    }
}

#[test]
fn a_prefix_may_wrap_any_format() {
    for (text, prefix, format, message) in [
        ("[PROCESSOR] it works", "PROCESSOR", Format::Plain, "it works"),
        ("[SCOUT]   10:00:00 | INFO    | it works", "SCOUT", Format::Clocked, "it works"),
        ("[UI] {\"msg\":\"it works\"}", "UI", Format::Json, "it works"),
        ("\x1b[32m[UI]\x1b[0m \x1b[1mINFO\x1b[0m: it works", "UI", Format::Leveled, "it works"),
    ] {
        let line = parse(text);
        assert_eq!((line.prefix.as_deref(), line.format, &*line.message), (Some(prefix), format, message), "{text}");
    }
}

#[test]
fn doubtful_lines_are_messages_as_a_whole() {
    for text in [
        "no ERROR here",
        "10:00:00 was the time",
        "10:00:00",
        "[main] starting",
        "[1/5] building",
        "[x] done",
        "[] ",
        "[PROCESSOR]",
        r#"{"msg":"cut of"#,
        r#"{"msg":"x"} trailing"#,
        "{}",
        "{not json}",
        "a=b",
        "a=b and more",
        "200",
        "status 200 OK",
        "<b>bold</b>",
        "Error: it broke",
        "May the force",
        "I0210 is a name",
        "  indented",
        "\"quoted",
        "2026-02-10",
        "2026-13-45 10:00:00 it works",
        "üñí",
        "",
    ] {
        let line = parse(text);
        assert_eq!((line.format, &*line.message, line.level, line.status), (Format::Plain, text, None, None), "{text}");
    }
}

#[test]
fn an_envelope_around_nothing_is_still_a_message() {
    for text in
        ["2026-02-10 10:00:00 [INFO] ", "2026-02-10 10:00:00", "<13>Feb 10 10:00:00 h p[1]:", "[ERROR] ", r#"{"msg":""}"#]
    {
        assert_eq!(parse(text).message, text, "{text}");
    }
}

#[test]
fn a_level_in_the_middle_of_a_message_is_no_level() {
    for text in [
        "2026-02-10 10:00:00 got ERROR from peer",
        "2026-02-10 10:00:00 the word [ERROR] in a text",
        "2026/02/10 10:00:00 Error: it broke",
        "2026-02-10T10:00:00Z error while reading",
        "Feb 10 10:00:00 host prog[1]: ERROR in a text",
    ] {
        assert_eq!(parse(text).level, None, "{text}");
    }
}

#[test]
fn a_message_may_begin_like_an_envelope() {
    for (text, message) in [
        ("2026-02-10 10:00:00 [INFO] a.b: [cache] warm", "[cache] warm"),
        ("2026-02-10 10:00:00 [INFO] a.b: 10:00:00 is the time", "10:00:00 is the time"),
        ("2026-02-10 10:00:00,1 INFO [cache] warm", "[cache] warm"),
        ("2026-02-10 10:00:00,1 INFO 5 files: read", "5 files: read"),
        ("2026-02-10 10:00:00,1 INFO http://a.b: gone", "http://a.b: gone"),
    ] {
        assert_eq!(parse(text).message, message, "{text}");
    }
}

#[test]
fn what_is_not_message_stays_a_field() {
    for (text, key, value) in [
        ("[2026-02-10 10:00:00 +0000] [7] [INFO] x", "pid", "7"),
        ("2026-02-10 10:00:00,1 [pool-1 t 2] INFO  a.B - x", "thread", "pool-1 t 2"),
        ("Feb 10 10:00:00 host prog[123]: x", "host", "host"),
        (r#"INFO:     127.0.0.1:5 - "POST /push HTTP/1.1" 200 OK"#, "client", "127.0.0.1:5"),
        (r#"INFO:     127.0.0.1:5 - "POST /push HTTP/1.1" 200 OK"#, "reason", "OK"),
        (r#"{"msg":"x","n":[1,2]}"#, "n", "[1,2]"),
        ("level=info msg=x n=1", "n", "1"),
    ] {
        assert_eq!(parse(text).field(key), Some(value), "{text}");
    }
}

#[test]
fn times_without_a_zone_are_not_guessed() {
    assert!(matches!(parse("2026-02-10 10:00:00 [INFO] x").time, Some(Stamp::Civil(_))));
    assert!(matches!(parse("10:00:00 | INFO | x").time, Some(Stamp::Clock(_))));
    assert!(matches!(parse("Feb 10 10:00:00 host prog[1]: x").time, Some(Stamp::Yearless { .. })));
    assert!(matches!(parse("2026-02-10T10:00:00Z x").time, Some(Stamp::Instant(_))));
}

#[test]
fn huge_and_hostile_lines_do_no_harm() {
    for piece in
        ["[", "{", "\"", "a=", "<", "\\", "\x1b]", "\x1b[", "2026-02-10 10:00:00 ", "[A] ", "ü", "{\"a\":", "- ", "INFO:"]
    {
        let text = piece.repeat(200_000);
        let line = parse(&text);
        assert!(!line.message.is_empty() || piece == "\x1b[", "{piece}");
    }
}
