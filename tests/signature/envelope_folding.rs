//! Many lines in, records out: a case per kind of trace.

use wicap::signature::envelope::{Exception, Folder, Limits, Record};

/// The records of a text.
fn fold(text: &str) -> Vec<Record> {
    let mut folder = Folder::new(Limits::default());
    let mut records: Vec<Record> = text.lines().filter_map(|line| folder.push(line)).collect();
    records.extend(folder.finish());
    assert_eq!(records.iter().map(|record| record.lines).sum::<usize>(), text.lines().count());
    records
}

/// The exception of a text that is one record, followed by another.
fn one(text: &str) -> (Record, Exception) {
    let mut records = fold(&format!("{text}\nnext event"));
    assert_eq!(records.len(), 2, "{records:#?}");
    assert_eq!(records[1].text(), "next event");
    let record = records.remove(0);
    let exception = record.exception.clone().expect("the text has a trace");
    (record, exception)
}

/// The frames, innermost first.
fn frames(exception: &Exception) -> Vec<String> {
    exception.frames.iter().map(ToString::to_string).collect()
}

#[test]
fn a_python_traceback_belongs_to_the_error_before_it() {
    let (record, exception) = one(r#"2026-02-10 10:00:00 [ERROR] wicap.db: no connection
Traceback (most recent call last):
  File "/app/a.py", line 3, in main
    run()
  File "/app/b.py", line 7, in run
    connect("x")
    ~~~~~~~^^^^^
psycopg.OperationalError: connection failed: refused
	Is the server running?"#);
    assert_eq!(record.text(), "no connection psycopg.OperationalError");
    assert_eq!(exception.message, "connection failed: refused\nIs the server running?");
    assert_eq!(frames(&exception), ["run (/app/b.py:7)", "main (/app/a.py:3)"]);
    assert_eq!((record.lines, record.facts().exception), (9, Some("psycopg.OperationalError")));
}

#[test]
fn a_python_traceback_behind_an_unrelated_line_is_its_own_record() {
    let records = fold(
        r#"2026-02-10 10:00:00 [INFO] a.b: all is well
Traceback (most recent call last):
  File "a.py", line 3, in <module>
    x
KeyError: 'x'"#,
    );
    assert_eq!(records.len(), 2);
    assert_eq!((records[1].text(), records[1].message()), ("KeyError: 'x'".into(), "'x'"));
}

#[test]
fn chained_python_tracebacks_are_one_record() {
    for link in [
        "During handling of the above exception, another exception occurred:",
        "The above exception was the direct cause of the following exception:",
    ] {
        let (_, exception) = one(&format!(
            r#"Traceback (most recent call last):
  File "a.py", line 3, in f
    x
KeyError: 'x'

{link}

Traceback (most recent call last):
  File "a.py", line 5, in g
    raise RuntimeError("no")
  [Previous line repeated 996 more times]
RuntimeError: no"#
        ));
        assert_eq!((&*exception.kind, &*exception.message), ("RuntimeError", "no"));
        assert_eq!(
            (exception.causes.clone(), frames(&exception)),
            (vec!["KeyError".to_owned()], vec!["g (a.py:5)".to_owned()])
        );
    }
}

#[test]
fn a_syntax_error_has_a_caret_and_no_function() {
    let (_, exception) = one(r#"Traceback (most recent call last):
  File "a.py", line 1, in <module>
    import b
  File "b.py", line 2
    def f(:
          ^
SyntaxError: invalid syntax"#);
    assert_eq!((&*exception.kind, &*exception.frames[0].file), ("SyntaxError", "b.py"));
}

#[test]
fn an_exception_group_names_its_parts() {
    let (_, exception) = one(r#"  + Exception Group Traceback (most recent call last):
  |   File "a.py", line 9, in main
  |     raise ExceptionGroup("many", x)
  | ExceptionGroup: many (2 sub-exceptions)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "b.py", line 1, in f
    |     x
    | ValueError: one
    +---------------- 2 ----------------
    | TypeError: two
    +------------------------------------"#);
    assert_eq!((&*exception.kind, &*exception.message), ("ExceptionGroup", "many (2 sub-exceptions)"));
    assert_eq!((exception.causes.clone(), exception.frames.len()), (vec!["ValueError".into(), "TypeError".into()], 1));
}

#[test]
fn a_java_trace_has_causes_and_common_frames() {
    let (record, exception) = one("10:00:00.123 [main] ERROR a.B - it broke
java.lang.RuntimeException: outer
\tat a.B.m(B.java:12) ~[app.jar:1]
\tat a.C.n(C.java:3)
\tSuppressed: java.io.IOException: side
\t\tat a.D.o(D.java:4)
Caused by: java.sql.SQLException: inner
\tat a.E.p(Native Method)
\t... 12 more");
    assert_eq!(record.text(), "it broke java.lang.RuntimeException");
    assert_eq!(exception.causes, ["java.io.IOException", "java.sql.SQLException"]);
    assert_eq!(frames(&exception), ["a.B.m (B.java:12)", "a.C.n (C.java:3)"]);
    let (record, exception) = one("Exception in thread \"main\" java.lang.IllegalStateException: no\n\tat a.B.m(B.java:1)");
    assert_eq!(
        (&*exception.kind, &*record.text()),
        ("java.lang.IllegalStateException", "Exception in thread \"main\" java.lang.IllegalStateException: no")
    );
}

#[test]
fn a_go_panic_has_goroutines() {
    let (record, exception) = one("panic: runtime error: index out of range [5] with length 3

goroutine 1 [running]:
main.(*T).get(0xc000, {0x1, 0x2})
\t/app/main.go:12 +0x1d
main.main()
\t/app/main.go:7 +0x20

goroutine 7 [select]:
main.loop()
\t/app/main.go:30 +0x20
created by main.main in goroutine 1
\t/app/main.go:5 +0x33
exit status 2");
    assert_eq!((&*exception.kind, &*exception.message), ("panic", "runtime error: index out of range [5] with length 3"));
    assert_eq!(frames(&exception), ["main.(*T).get (/app/main.go:12)", "main.main (/app/main.go:7)"]);
    assert_eq!(record.text(), "panic: runtime error: index out of range [5] with length 3");
}

#[test]
fn a_go_dump_belongs_to_the_line_that_tells_of_the_panic() {
    let (record, exception) = one("2026/02/10 10:00:00 http: panic serving 1.2.3.4:5: boom
goroutine 20 [running]:
net/http.(*conn).serve.func1()
\t/go/server.go:1825 +0xbf");
    assert_eq!((record.lines, &*exception.kind, exception.frames.len()), (4, "panic", 1));
}

#[test]
fn a_rust_panic_is_read_in_every_form() {
    for (text, message, place) in [
        (
            "thread 'main' panicked at 'no', src/main.rs:2:5\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace",
            "no",
            " (src/main.rs:2)",
        ),
        ("thread 'main' panicked at src/main.rs:2:5:\nno", "no", " (src/main.rs:2)"),
        (
            "thread 'main' (77) panicked at src/main.rs:2:5:\nassertion `left == right` failed\n  left: 1\n right: 2",
            "assertion `left == right` failed\n  left: 1\n right: 2",
            " (src/main.rs:2)",
        ),
    ] {
        let (_, exception) = one(text);
        assert_eq!((&*exception.kind, &*exception.message), ("panic", message), "{text}");
        assert_eq!(frames(&exception), [place], "{text}");
    }
    let (_, exception) = one("thread 'main' panicked at src/main.rs:2:5:
no
stack backtrace:
   0: rust_begin_unwind
             at /rustc/abc/library/std/src/panicking.rs:652:5
   1: core::panicking::panic_fmt
             at /rustc/abc/library/core/src/panicking.rs:72:14
   2: app::run
             at ./src/main.rs:2:5
note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.");
    assert_eq!(frames(&exception), [" (src/main.rs:2)", "app::run (./src/main.rs:2)"]);
}

#[test]
fn a_node_trace_may_begin_with_the_source_line() {
    let (record, exception) = one("/app/x.js:10
    throw new TypeError('no');
    ^

TypeError: no
    at f (/app/x.js:10:11)
    at async /app/y.js:3:1 {
  code: 'E_NO',
  [cause]: Error: inner
      at g (/app/z.js:1:1)
}

Node.js v20.1.0");
    assert_eq!((&*exception.kind, &*record.text()), ("TypeError", "TypeError: no"));
    assert_eq!((exception.causes.clone(), &*exception.frames[0].file), (vec!["Error".to_owned()], "/app/x.js"));
}

#[test]
fn a_dotnet_trace_has_arrows() {
    let (record, exception) = one("Unhandled exception. System.InvalidOperationException: outer
 ---> System.FormatException: inner
   at A.D.E(String s)
   --- End of inner exception stack trace ---
   at A.B.C(String s) in /src/x.cs:line 12");
    assert_eq!((&*exception.kind, &*exception.message), ("System.InvalidOperationException", "outer"));
    assert_eq!(
        (exception.causes.clone(), frames(&exception)),
        (vec!["System.FormatException".to_owned()], vec!["A.B.C (/src/x.cs:12)".to_owned()])
    );
    assert!(record.text().contains("outer"));
    let (record, exception) = one("fail: A.B[1]
      it broke
      System.FormatException: bad
         at A.D.E(String s)");
    assert_eq!((&*record.text(), &*exception.kind), ("it broke System.FormatException", "System.FormatException"));
}

#[test]
fn a_prefix_and_its_padding_do_not_break_a_trace() {
    let (record, exception) = one("[SCOUT]   2026-02-10 10:00:00 [ERROR] a.b: it broke
[SCOUT]   Traceback (most recent call last):
[SCOUT]     File \"a.py\", line 3, in f
[SCOUT]       x
[SCOUT]   KeyError: 'x'");
    assert_eq!((record.line.prefix.as_deref(), &*exception.kind, exception.frames.len()), (Some("SCOUT"), "KeyError", 1));
    let records = fold("[A1] Traceback (most recent call last):\n[B1]   File\n[A1] KeyError: 'x'");
    assert_eq!(records.len(), 3);
}

#[test]
fn syslog_gives_every_line_of_a_trace_an_envelope() {
    let head = "Feb 10 10:00:00 host app[7]: ";
    let lines = ["Traceback (most recent call last):", "  File \"a.py\", line 3, in f", "    x", "KeyError: 'x'"];
    let text: Vec<String> = lines.iter().map(|line| format!("{head}{line}")).collect();
    let (record, exception) = one(&text.join("\n"));
    assert_eq!((record.lines, &*exception.kind), (4, "KeyError"));
    assert_eq!(fold(&format!("{head}KeyError: 1\n{head}it works")).len(), 2);
}

#[test]
fn details_of_postgres_join_their_error() {
    let text = "2026-02-10 10:00:00.000 UTC [7] ERROR:  it broke
2026-02-10 10:00:00.000 UTC [7] DETAIL:  a key
2026-02-10 10:00:00.000 UTC [7] STATEMENT:  select 1
2026-02-10 10:00:00.000 UTC [8] STATEMENT:  select 2
2026-02-10 10:00:00.000 UTC [8] LOG:  it works";
    let records = fold(text);
    assert_eq!(records.iter().map(|record| record.lines).collect::<Vec<_>>(), [3, 1, 1]);
    assert_eq!(records[0].body, "DETAIL:  a key\nSTATEMENT:  select 1");
}

#[test]
fn indented_lines_join_only_a_record_with_an_envelope() {
    assert_eq!(fold("2026-02-10 10:00:00 [INFO] a.b: config\n  a = 1\n\n  b = 2\nnext").len(), 2);
    assert_eq!(fold("no envelope\n  a = 1\n  b = 2").len(), 3);
    assert_eq!(fold("{\"msg\":\"x\"}\n  a = 1").len(), 2);
}

#[test]
fn a_full_record_leaves_lines_out_and_still_names_the_exception() {
    let mut text = String::from("2026-02-10 10:00:00 [ERROR] a.b: deep\nTraceback (most recent call last):\n");
    for line in 0..2000 {
        text += &format!("  File \"a.py\", line {line}, in f\n    f()\n");
    }
    text += "RecursionError: too deep\n";
    let records = fold(&text);
    assert_eq!(records.len(), 1);
    assert_eq!((records[0].lines, records[0].left_out), (4003, 4003 - 256));
    let exception = records[0].exception.as_ref().unwrap();
    assert_eq!((&*exception.kind, exception.frames[0].line), ("RecursionError", 1999));
}

#[test]
fn a_record_that_never_ends_is_closed() {
    let limits = Limits { lines: 2, bytes: 1000, left_out: 3 };
    let mut folder = Folder::new(limits);
    assert_eq!(folder.push("2026-02-10 10:00:00 [INFO] a.b: begin"), None);
    let closed: Vec<Record> = (0..20).filter_map(|_| folder.push("  more")).collect();
    assert_eq!((closed[0].lines, closed[0].left_out), (6, 4));
    assert_eq!(closed.iter().map(|record| record.lines).sum::<usize>() + folder.pending(), 21);
}

#[test]
fn a_long_line_is_cut_and_the_cut_is_told() {
    let line = "é".repeat(100);
    let mut folder = Folder::new(Limits { bytes: 65, ..Limits::default() });
    assert_eq!(folder.push(&line), None);
    let record = folder.flush().unwrap();
    assert_eq!((record.line.message.len(), record.cut), (64, 136));
    folder.feed(line.as_bytes(), |_| {});
    folder.feed(b"\n", |_| {});
    assert_eq!(folder.flush().unwrap(), record);
}

#[test]
fn a_flush_closes_the_record_and_keeps_the_half_line() {
    let mut folder = Folder::new(Limits::default());
    folder.feed(b"one\ntw", |_| {});
    assert_eq!(folder.flush().map(|record| record.text().into_owned()), Some("one".to_owned()));
    assert_eq!(folder.flush(), None);
    folder.feed(b"o\r\n", |_| {});
    assert_eq!(folder.finish()[0].text(), "two");
}
