//! What real programs write, and how grave it is.

use proptest::prelude::*;

use super::severity;
use crate::api::Severity::{self, Critical, Error, Info, Warning};
use crate::signature::envelope::{Folder, Limits, Record};

/// The one record of a text.
fn record(text: &str) -> Record {
    let mut folder = Folder::new(Limits::default());
    // An empty text is an empty line.
    let mut records: Vec<Record> = text.split('\n').filter_map(|line| folder.push(line)).collect();
    records.extend(folder.finish());
    assert_eq!(records.len(), 1, "{text}: {records:#?}");
    records.remove(0)
}

/// Checks every row of a table, and tells of all that are wrong.
fn check(rows: &[(&str, Severity)]) {
    let told = rows.iter().filter_map(|(text, expected)| {
        let found = severity(&record(text));
        (found != *expected).then(|| format!("{found:?} and not {expected:?}: {text}\n"))
    });
    let wrong: Vec<String> = told.collect();
    assert!(wrong.is_empty(), "{} of {} are wrong\n{}", wrong.len(), rows.len(), wrong.concat());
}

#[test]
fn postgres_calls_the_end_of_a_session_fatal() {
    check(&[
        ("2026-02-10 10:00:00.000 UTC [1] LOG:  database system is ready to accept connections", Info),
        ("2026-02-10 10:00:00.000 UTC [27] LOG:  checkpoint complete: wrote 42 buffers (0.3%)", Info),
        ("2026-02-10 10:00:00.000 UTC [34] ERROR:  relation \"users\" does not exist at character 15", Error),
        ("2026-02-10 10:00:00.000 UTC [34] ERROR:  deadlock detected", Error),
        ("2026-02-10 10:00:00.000 UTC [34] WARNING:  there is no transaction in progress", Warning),
        ("2026-02-10 10:00:00.000 UTC [34] NOTICE:  table \"failed\" does not exist, skipping", Info),
        ("2026-02-10 10:00:00.000 UTC [34] FATAL:  password authentication failed for user \"app\"", Error),
        ("2026-02-10 10:00:00.000 UTC [35] FATAL:  sorry, too many clients already", Error),
        ("2026-02-10 10:00:00.000 UTC [35] FATAL:  the database system is starting up", Error),
        (
            "2026-02-10 10:00:00.000 UTC [1] FATAL:  could not create lock file \"postmaster.pid\": Permission denied",
            Critical,
        ),
        ("2026-02-10 10:00:00.000 UTC [1] FATAL:  database files are incompatible with server", Critical),
    ]);
}

#[test]
fn redis_has_no_level_above_warning() {
    check(&[
        ("1:M 10 Feb 2026 10:00:00.000 * Ready to accept connections tcp", Info),
        ("1:M 10 Feb 2026 10:00:00.000 * Background saving terminated with success", Info),
        ("1:M 10 Feb 2026 10:00:00.000 - DB 0: 5 keys (0 volatile) in 8 slots HT.", Info),
        ("1:C 10 Feb 2026 10:00:00.000 # WARNING Memory overcommit must be enabled!", Warning),
        ("1:M 10 Feb 2026 10:00:00.000 # Can't save in background: fork: Cannot allocate memory", Warning),
    ]);
}

#[test]
fn nginx_is_read_by_level_and_connection() {
    check(&[
        (
            "2026/02/10 10:00:00 [error] 12#12: *1 connect() failed (111: Connection refused) while connecting to upstream",
            Error,
        ),
        ("2026/02/10 10:00:00 [warn] 12#12: *1 an upstream response is buffered to a temporary file", Warning),
        ("2026/02/10 10:00:00 [crit] 12#12: *7 SSL_do_handshake() failed while SSL handshaking, client: 10.0.0.1", Error),
        ("2026/02/10 10:00:00 [crit] 12#12: pread() \"/data/x\" failed (5: Input/output error)", Critical),
        ("2026/02/10 10:00:00 [emerg] 1#1: bind() to 0.0.0.0:80 failed (98: Address already in use)", Critical),
        ("2026/02/10 10:00:00 [alert] 1#1: worker process 29 exited on signal 11", Critical),
        ("2026/02/10 10:00:00 [notice] 1#1: start worker processes", Info),
        ("nginx: [emerg] host not found in upstream \"ui\" in /etc/nginx/nginx.conf:12", Critical),
        (r#"10.0.0.1 - - [10/Feb/2026:10:00:00 +0000] "GET /error/fatal HTTP/1.1" 200 612 "-" "curl/8""#, Info),
        (r#"10.0.0.1 - - [10/Feb/2026:10:00:00 +0000] "GET /panic HTTP/1.1" 301 612 "-" "curl/8""#, Info),
        (r#"10.0.0.1 - - [10/Feb/2026:10:00:00 +0000] "GET /x HTTP/1.1" 404 153 "-" "Error/1""#, Warning),
        (r#"10.0.0.1 - - [10/Feb/2026:10:00:00 +0000] "POST /x HTTP/1.1" 499 0 "-" "curl/8""#, Warning),
        (r#"10.0.0.1 - - [10/Feb/2026:10:00:00 +0000] "POST /x HTTP/1.1" 502 157 "-" "curl/8""#, Error),
    ]);
}

#[test]
fn uvicorn_gunicorn_and_django_are_read_by_status_and_level() {
    check(&[
        (r#"INFO:     127.0.0.1:5 - "GET /health HTTP/1.1" 200 OK"#, Info),
        (r#"INFO:     127.0.0.1:5 - "GET /error/fatal HTTP/1.1" 200 OK"#, Info),
        (r#"INFO:     127.0.0.1:5 - "GET /old HTTP/1.1" 307 Temporary Redirect"#, Info),
        (r#"INFO:     127.0.0.1:5 - "POST /api/internal/push HTTP/1.1" 403 Forbidden"#, Warning),
        (r#"INFO:     127.0.0.1:5 - "GET /api/stats HTTP/1.1" 503 Service Unavailable"#, Error),
        (r#"INFO:     127.0.0.1:5 - "GET / HTTP/1.1" 500 Internal Server Error"#, Error),
        ("INFO:     Application startup complete.", Info),
        ("INFO:     Shutting down", Info),
        ("WARNING:  Invalid HTTP request received.", Warning),
        (
            "ERROR:    Exception in ASGI application\nTraceback (most recent call last):\n  File \"a.py\", line 3, in f\n    g()\nKeyError: 'k'",
            Error,
        ),
        ("ERROR:    [Errno 98] error while attempting to bind on address ('0.0.0.0', 8080): address already in use", Error),
        ("[2026-02-10 10:00:00 +0000] [7] [INFO] Booting worker with pid: 7", Info),
        ("[2026-02-10 10:00:00 +0000] [1] [CRITICAL] WORKER TIMEOUT (pid:7)", Critical),
        ("[2026-02-10 10:00:00 +0000] [1] [ERROR] Worker (pid:7) was sent SIGKILL! Perhaps out of memory?", Error),
        ("[2026-02-10 10:00:00 +0000] [1] [WARNING] Worker with pid 7 was terminated due to signal 9", Warning),
        (r#"[10/Feb/2026 10:00:00] "GET /admin/ HTTP/1.1" 302 0"#, Info),
        (r#"[10/Feb/2026 10:00:00] "POST /login HTTP/1.1" 500 145"#, Error),
        (r#"[10/Feb/2026 10:00:00] "GET /favicon.ico HTTP/1.1" 404 179"#, Warning),
        ("Internal Server Error: /api/orders", Error),
        ("Watching for file changes with StatReloader", Info),
        ("[GIN] 2026/02/10 - 10:00:00 | 200 |  1.2ms |  127.0.0.1 | GET      \"/error\"", Info),
        ("[GIN] 2026/02/10 - 10:00:00 | 500 |  1.2ms |  127.0.0.1 | GET      \"/ok\"", Error),
    ]);
}

#[test]
fn a_python_exception_weighs_as_much_as_its_level_lets_it() {
    const TRACE: &str = r#"Traceback (most recent call last):\n  File \"a.py\", line 3, in f\n    g()\nKeyError: 'k'"#;
    let json = |level: &str| format!(r#"{{"level":"{level}","msg":"a","exc_info":"{TRACE}"}}"#);
    for (level, expected) in [
        ("debug", Warning),
        ("info", Warning),
        ("notice", Warning),
        ("warning", Warning),
        ("error", Error),
        ("critical", Critical),
    ] {
        check(&[(&json(level), expected)]);
    }
    let plain = |class: &str| format!("Traceback (most recent call last):\n  File \"a.py\", line 3, in f\n    g()\n{class}");
    for (class, expected) in [
        ("KeyError: 'k'", Error),
        ("sqlalchemy.exc.OperationalError: (psycopg.OperationalError) refused", Error),
        ("MemoryError", Critical),
        ("redis.exceptions.OutOfMemoryError: command not allowed", Error),
        ("KeyboardInterrupt", Info),
        ("asyncio.exceptions.CancelledError", Info),
    ] {
        check(&[(&plain(class), expected)]);
    }
    check(&[
        ("Traceback (most recent call last):", Error),
        ("WARNING:root:disk is nearly full", Warning),
        (r#"DEBUG:urllib3.connectionpool:http://x:80 "GET /error HTTP/1.1" 500 None"#, Info),
        ("/app/a.py:12: DeprecationWarning: x is deprecated", Warning),
        ("2026-02-10 10:00:00,123 - a.b - ERROR - 0 errors so far", Error),
        ("2026-02-10 10:00:00,123 - a.b - INFO - fatal error: cannot open x", Info),
    ]);
}

#[test]
fn java_is_read_by_level_thread_and_class() {
    check(&[
        (
            "2026-02-10 10:00:00,123 [main] ERROR com.foo.Bar - it broke\njava.lang.IllegalStateException: no\n\tat a.B.m(B.java:1)",
            Error,
        ),
        (
            "2026-02-10 10:00:00,123 [main] WARN  com.foo.Bar - it broke\njava.net.SocketTimeoutException: Read timed out\n\tat a.B.m(B.java:1)",
            Warning,
        ),
        (
            "2026-02-10 10:00:00,123 [main] WARN  com.foo.Bar - it broke\njava.lang.OutOfMemoryError: Java heap space\n\tat a.B.m(B.java:1)",
            Error,
        ),
        (
            "2026-02-10 10:00:00,123 [main] ERROR com.foo.Bar - it broke\njava.lang.OutOfMemoryError: Java heap space\n\tat a.B.m(B.java:1)",
            Critical,
        ),
        ("Exception in thread \"main\" java.lang.IllegalStateException: no\n\tat a.B.m(B.java:1)", Critical),
        ("Exception in thread \"pool-1-thread-2\" java.lang.NullPointerException\n\tat a.B.m(B.java:1)", Error),
        ("java.lang.OutOfMemoryError: Java heap space\n\tat a.B.m(B.java:1)", Critical),
        ("Terminating due to java.lang.OutOfMemoryError: Java heap space", Critical),
        ("# A fatal error has been detected by the Java Runtime Environment:", Critical),
        ("2026-02-10 10:00:00 FATAL Bar:12 - cannot go on", Critical),
        ("Picked up JAVA_TOOL_OPTIONS: -Xmx512m -XX:+ExitOnOutOfMemoryError", Info),
        ("SLF4J: Failed to load class \"org.slf4j.impl.StaticLoggerBinder\".", Error),
        ("com.microsoft.sqlserver.jdbc.SQLServerException: Connection reset", Error),
        ("2026-02-10 10:00:00 SEVERE a.B - it broke", Error),
    ]);
}

#[test]
fn go_panics_end_the_program_unless_they_were_recovered() {
    check(&[
        (
            "panic: runtime error: index out of range [5] with length 3\n\ngoroutine 1 [running]:\nmain.main()\n\t/app/main.go:7 +0x20\nexit status 2",
            Critical,
        ),
        (
            "fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [chan receive]:\nmain.main()\n\t/a/main.go:7 +0x20",
            Critical,
        ),
        (
            "2026/02/10 10:00:00 http: panic serving 10.0.0.1:5: boom\ngoroutine 20 [running]:\nnet/http.(*conn).serve.func1()\n\t/go/server.go:1825 +0xbf",
            Error,
        ),
        ("panic: boom", Critical),
        ("2026/02/10 10:00:00 http: Server closed", Info),
        ("2026/02/10 10:00:00 listen tcp :8080: bind: address already in use", Error),
        ("2026/02/10 10:00:00 dial tcp 10.0.0.1:5432: connect: connection refused", Error),
        ("2026/02/10 10:00:00 connected, 0 errors", Info),
        (r#"{"level":"error","ts":1770717600.5,"msg":"failed to sync","error":"context deadline exceeded"}"#, Error),
        (r#"{"level":"dpanic","ts":1770717600.5,"msg":"impossible"}"#, Critical),
        (r#"{"level":"info","ts":1770717600.5,"msg":"handled","error":"EOF"}"#, Info),
        (r#"time=2026-02-10T10:00:00Z level=info msg="request done" status=200 path=/error"#, Info),
        (r#"time=2026-02-10T10:00:00Z level=info msg="request done" status=503 path=/ok"#, Error),
        (r#"time=2026-02-10T10:00:00Z level=error msg="not allowed" status=401 path=/ok"#, Warning),
        (r#"time=2026-02-10T10:00:00Z level=error msg="cannot write the audit" status=200 path=/ok"#, Error),
        (r#"time=2026-02-10T10:00:00Z level=warning msg="slow""#, Warning),
        ("exit status 2", Error),
        ("exit status 0", Info),
        ("signal: killed", Error),
    ]);
}

#[test]
fn rust_panics_end_the_program_in_the_main_thread() {
    check(&[
        ("thread 'main' panicked at src/main.rs:2:5:\nno", Critical),
        ("thread 'main' (77) panicked at src/main.rs:2:5:\nno", Critical),
        ("thread 'tokio-runtime-worker' panicked at src/main.rs:2:5:\nno", Error),
        ("2026-02-10T10:00:00.123456Z ERROR a::b: it broke", Error),
        ("2026-02-10T10:00:00Z  INFO a::b: errors=3", Info),
        (" WARN a::b: it broke", Warning),
        ("memory allocation of 1073741824 bytes failed", Error),
        ("fatal runtime error: stack overflow", Critical),
        ("Error: No such file or directory (os error 2)", Error),
    ]);
}

#[test]
fn node_is_read_by_words_numbers_and_status() {
    check(&[
        ("TypeError: Cannot read properties of undefined (reading 'x')\n    at f (/app/x.js:10:5)", Error),
        ("Error: listen EADDRINUSE: address already in use :::3000\n    at Server.setupListenHandle (node:net:1:1)", Error),
        ("(node:7) Warning: Accessing non-existent property", Warning),
        ("(node:7) UnhandledPromiseRejectionWarning: Error: boom", Error),
        ("FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory", Critical),
        ("<--- Last few GCs --->", Info),
        ("npm ERR! code ELIFECYCLE", Error),
        ("npm WARN deprecated x@1.0.0: use y", Warning),
        (r#"{"level":30,"msg":"request completed","res":{"statusCode":200},"req":{"url":"/error"}}"#, Info),
        (r#"{"level":30,"msg":"request completed","res":{"statusCode":404}}"#, Warning),
        (r#"{"level":30,"msg":"request completed","res":{"statusCode":500}}"#, Error),
        (r#"{"level":50,"msg":"request errored","res":{"statusCode":500}}"#, Error),
        (r#"{"level":60,"msg":"no database"}"#, Critical),
        (r#"{"level":20,"msg":"error in parser, going on"}"#, Info),
        ("Server listening on port 3000", Info),
    ]);
}

#[test]
fn syslog_has_a_level_or_only_words() {
    check(&[
        ("Feb 10 10:00:00 host systemd[1]: Started Session 5 of user bob.", Info),
        ("Feb 10 10:00:00 host systemd[1]: nginx.service: Failed with result 'exit-code'.", Error),
        ("Feb 10 10:00:00 host systemd[1]: x.service: Main process exited, code=exited, status=1/FAILURE", Error),
        ("Feb 10 10:00:00 host systemd[1]: x.service: Main process exited, code=exited, status=0/SUCCESS", Info),
        ("Feb 10 10:00:00 host systemd[1]: x.service: Main process exited, code=killed, status=9/KILL", Error),
        ("Feb 10 10:00:00 host systemd[1]: x.service: Deactivated successfully.", Info),
        ("Feb 10 10:00:00 host kernel: Out of memory: Killed process 123 (java) total-vm:1kB", Critical),
        ("Feb 10 10:00:00 host kernel: app[7]: segfault at 0 ip 0000 sp 0000 error 4 in libc.so", Critical),
        ("Feb 10 10:00:00 host kernel: EXT4-fs error (device sda1): ext4_lookup:1: deleted inode referenced", Error),
        ("Feb 10 10:00:00 host kernel: EXT4-fs (sda1): mounted filesystem. Opts: errors=remount-ro", Info),
        ("Feb 10 10:00:00 host kernel: blk_update_request: I/O error, dev sda, sector 12345", Error),
        ("Feb 10 10:00:00 host kernel: Kernel panic - not syncing: VFS: Unable to mount root fs", Critical),
        ("Feb 10 10:00:00 host kernel: docker0: port 1(veth1) entered disabled state", Info),
        ("<3>Feb 10 10:00:00 host prog[123]: it broke", Error),
        ("<6>Feb 10 10:00:00 host prog[123]: error: it broke", Info),
        ("<2>Feb 10 10:00:00 host prog[123]: it broke", Critical),
        ("<165>1 2026-02-10T10:00:00.003Z host app 1 - - it works", Info),
        ("Feb 10 10:00:00 host sshd[5]: Failed password for invalid user admin from 10.0.0.1 port 5 ssh2", Error),
        ("Feb 10 10:00:00 host sshd[5]: Accepted publickey for bob from 10.0.0.1 port 5 ssh2", Info),
        (r#"Feb 10 10:00:00 host dockerd[9]: time="2026-02-10T10:00:00Z" level=error msg="no such container""#, Error),
        (r#"Feb 10 10:00:00 host dockerd[9]: time="2026-02-10T10:00:00Z" level=info msg="ignoring event, failed""#, Info),
        (r#"Feb 10 10:00:00 host dockerd[9]: time="2026-02-10T10:00:00Z" level=warning msg="it is late""#, Warning),
    ]);
}

#[test]
fn databases_and_brokers_are_read_by_level() {
    check(&[
        ("2026-02-10T10:00:00.000000Z 0 [System] [MY-010931] [Server] /usr/sbin/mysqld: ready for connections.", Info),
        ("2026-02-10T10:00:00.000000Z 8 [Warning] [MY-010068] [Server] CA certificate ca.pem is self signed.", Warning),
        ("2026-02-10T10:00:00.000000Z 0 [ERROR] [MY-010119] [Server] Aborting", Error),
        ("2026-02-10T10:00:00.000000Z 5 [Note] [MY-010914] [Server] Aborted connection 5 to db", Info),
        ("2026-02-10 10:00:00.123456+00:00 [info] <0.123.0> accepting AMQP connection", Info),
        ("2026-02-10 10:00:00.123456+00:00 [warning] <0.9.0> memory resource limit alarm set on node rabbit@x.", Warning),
        ("2026-02-10 10:00:00.123456+00:00 [error] <0.9.0> closing AMQP connection: missed heartbeats", Error),
        (
            "pyodbc.OperationalError: ('HYT00', '[HYT00] [Microsoft][ODBC Driver 18 for SQL Server]Login timeout expired')",
            Error,
        ),
        ("Login failed for user 'sa'.", Error),
        ("Transaction (Process ID 52) was deadlocked on lock resources with another process", Error),
        ("ERROR 1045 (28000): Access denied for user 'root'@'localhost'", Error),
        (r#"{"t":{"$date":"2026-02-10T10:00:00.000+00:00"},"s":"I","c":"NETWORK","msg":"Connection ended"}"#, Info),
        (r#"{"t":{"$date":"2026-02-10T10:00:00.000+00:00"},"s":"F","c":"STORAGE","msg":"Fatal assertion"}"#, Critical),
        ("[2026-02-10T10:00:00,123][WARN ][o.e.c.r.a.DiskThresholdMonitor] [n] flood stage disk watermark", Warning),
        ("[2026-02-10 10:00:00,123] ERROR Error while loading log dir /kafka (kafka.log.LogManager)", Error),
    ]);
}

#[test]
fn docker_and_kubernetes_are_read() {
    check(&[
        ("Error response from daemon: No such container: x", Error),
        ("docker: Error response from daemon: driver failed programming external connectivity on endpoint x", Error),
        ("exec /app/run: exec format error", Error),
        ("I0210 10:00:00.123456    1 file.go:12] it works", Info),
        ("W0210 10:00:00.123456    1 file.go:12] it is late", Warning),
        ("E0210 10:00:00.123456    1 reflector.go:138] Failed to watch *v1.Pod: unauthorized", Error),
        ("F0210 10:00:00.123456    1 main.go:9] cannot start", Critical),
        ("Back-off restarting failed container", Error),
        ("Readiness probe failed: HTTP probe failed with statuscode: 503", Error),
        ("OOMKilled", Critical),
        ("container exited with code 137", Error),
        ("container exited with code 0", Info),
        ("Liveness probe succeeded", Info),
        (r#"time="2026-02-10T10:00:00Z" level=error msg="Handler for POST /x returned error: No such container""#, Error),
    ]);
}

#[test]
fn wicaps_forms_are_read() {
    check(&[
        ("[PROCESSOR] 2026-02-10 10:00:00 [ERROR] wicap.processor: UI push failed: 403 Forbidden", Error),
        ("[PROCESSOR] 2026-02-10 10:00:00 [ERROR] wicap.queue: Redis queue error: Connection refused", Error),
        ("[PROCESSOR] 2026-02-10 10:00:00 [WARNING] wicap.sql: SQL operation failed (attempt 1/3)", Warning),
        ("[PROCESSOR] 2026-02-10 10:00:00 [ERROR] wicap.sql: Cannot flush: database connection failed", Error),
        ("[SCOUT]   2026-02-10 10:00:00 [ERROR] wicap.scout: Scout already running (PID 7)", Error),
        ("[SCOUT]   2026-02-10 10:00:00 [INFO] wicap.scout: Interrupted by user", Info),
        ("10:00:00 | ERROR   | Service scout died unexpectedly!", Error),
        ("10:00:00 | INFO    | Started service: processor (PID 7)", Info),
        ("10:00:00 | WARNING | Service ui is slow", Warning),
        (r#"{"ts":"2026-02-10T10:00:00Z","level":"INFO","logger":"wicap.mod","msg":"errors: 2","exception":null}"#, Info),
        (
            r#"{"ts":"2026-02-10T10:00:00Z","level":"ERROR","logger":"wicap.sql","msg":"Cannot flush","exception":"Cannot flush"}"#,
            Error,
        ),
    ]);
}

#[test]
fn words_that_say_that_nothing_is_wrong_are_not_evidence() {
    check(
        &[
            "0 errors, 0 warnings",
            "no error",
            "error_count=0",
            "finished without errors",
            "finished without any errors",
            "failed=0",
            "errors: 0",
            "errors=0 warnings=0 took=3ms",
            "error handling enabled",
            "Error handler installed",
            "ErrorHandler registered",
            "12 passed, 0 failed, 1 skipped",
            "0 of 12 tests failed",
            "No errors found in 12 files",
            "error: none",
            "Last error: <nil>",
            "synced err=nil took=3ms",
            "synced error=\"\" took=3ms",
            "Retry on failure is enabled",
            "will stop on error: true",
            "in case of error call 5",
            "failover to replica is done",
            "non-fatal, going on",
            "loading /etc/app/errors.conf",
            "Registered route /error to ErrorController",
            "Mapped {/fatal/panic} to health",
            "fail2ban started",
            "log level set to ERROR",
            "dropped messages: 0",
            "Setting log level ERROR",
            "errors: 0 warnings: 0",
            "errors will be reported to the hub",
            "number of failures: 0",
            "error rate 0.0",
            "error code: 0",
            "Watching for crashes",
            "Enabling unmasked SIMD FPU exception support... done.",
            "Shutting down",
            "Terminated",
            "panic mode is off",
            "exit code 0",
            "timeout=30s",
            "",
            "   ",
        ]
        .map(|text| (text, Info)),
    );
}

#[test]
fn words_that_say_what_is_wrong_are_evidence_where_there_is_no_level() {
    check(&[
        ("error: it broke", Error),
        ("Error: it broke", Error),
        ("an error occurred while saving", Error),
        ("3 errors", Error),
        ("failed=3", Error),
        ("errors: 2", Error),
        ("10 errors", Error),
        ("error=\"connection reset\" took=3ms", Error),
        ("failed to open /x", Error),
        ("FATAL: cannot go on", Critical),
        ("fatal: not a git repository", Critical),
        ("it is FATAL", Critical),
        ("cannot open display", Error),
        ("couldn't open display", Error),
        ("Could not resolve host: example.org", Error),
        ("connect: connection refused", Error),
        ("sh: /data/x: Permission denied", Error),
        ("Unable to locate package", Error),
        ("read: operation timed out", Error),
        ("it was not able to start up", Error),
        ("bash: foo: command not found", Error),
        ("exec user process caused: no such file or directory", Error),
        ("Segmentation fault (core dumped)", Critical),
        ("Aborted (core dumped)", Critical),
        ("Killed", Critical),
        ("*** stack smashing detected ***: terminated", Critical),
        ("double free or corruption (!prev)", Critical),
        ("thread panicked at 'x'", Critical),
        ("Process crashed, 0 restarts left", Error),
        ("error code: 1045", Error),
        ("warning: unused variable", Warning),
        ("retrying in 5s", Warning),
        ("the service is degraded", Warning),
        ("ValueError: bad", Error),
        ("2 of 12 tests failed", Error),
        ("worker 0 failed", Error),
        ("Error: no suitable driver found", Error),
        ("Error: 0 rows were written", Error),
        ("cannot log in", Error),
        ("failed message delivery", Error),
        ("dropped messages: 5", Warning),
        ("low level error", Error),
    ]);
}

proptest! {
    #[test]
    fn an_answer_that_is_no_failure_is_info_whatever_the_path_holds(
        path in "/[a-z:=]{0,8}(error|fatal|panic|failed|oom)[a-z/?=%0-9]{0,20}",
        status in 100_u16..400,
    ) {
        for head in ["INFO:     127.0.0.1:5 - ", "10.0.0.1 - - [10/Feb/2026:10:00:00 +0000] "] {
            let line = format!("{head}\"GET {path}?error=refused HTTP/1.1\" {status} 5");
            prop_assert_eq!(severity(&record(&line)), Info, "{}", line);
        }
    }

    #[test]
    fn a_level_decides_whatever_the_words(words in "(error|fatal|no|0|cannot|=|:|panicked| |\\PC){1,12}") {
        for (level, expected) in [("INFO", Info), ("WARNING", Warning), ("ERROR", Error), ("CRITICAL", Critical)] {
            let line = format!("2026-02-10 10:00:00 [{level}] a.b: x {words}");
            prop_assert_eq!(severity(&record(&line)), expected, "{}", line);
        }
    }

    #[test]
    fn any_words_are_weighed(words in "(error|fatal|no|0|cannot|=|:|\"|level=|exit code |\\.| |\\PC){0,40}") {
        let line = format!("x {words}");
        prop_assert!(super::words::severity(&line) >= Info);
    }
}
