//! The shipped sets against lines that they are about, and close lines that they are not about.

use std::collections::BTreeSet;

use super::{Event, SHIPPED, Set, record, said};
use crate::api::Severity::Noise;
use crate::api::action::ActionKind;

/// A rule, lines that it is about, and close lines that it is not about.
type Row = (&'static str, &'static [&'static str], &'static [&'static str]);

/// WICAP's known failures.
const WICAP: &[Row] = &[
    (
        "sql-flush-lost",
        &[
            "[PROCESSOR] 2026-02-10 10:00:00 [ERROR] wicap.sql: Cannot flush: database connection failed",
            r#"{"ts":"2026-02-10T10:00:00Z","level":"ERROR","logger":"wicap.sql","msg":"Cannot flush: database connection failed","exception":"Cannot flush: database connection failed"}"#,
        ],
        &["[PROCESSOR] 2026-02-10 10:00:00 [ERROR] wicap.sql: Cannot flush: the file is closed"],
    ),
    (
        "sql-rows-dropped",
        &["2026-02-10 10:00:00 [WARNING] wicap.sql: SQL batch failed after retries - dropping 5 events from SQL layer"],
        &["2026-02-10 10:00:00 [WARNING] wicap.sql: SQL batch failed after retries"],
    ),
    (
        "service-died",
        &["10:00:00 | ERROR   | Service scout died unexpectedly!"],
        &["10:00:00 | INFO    | Service scout stopped", "10:00:00 | INFO    | The connection died unexpectedly!"],
    ),
    (
        "capture-unwritable",
        &[
            "[SCOUT] 2026-02-10 10:00:00 [ERROR] wicap.scout: [Errno 13] Permission denied: '/app/captures/event_queue.jsonl'",
        ],
        &["[SCOUT] 2026-02-10 10:00:00 [ERROR] wicap.scout: [Errno 13] Permission denied: '/app/config.json'"],
    ),
    (
        "capture-backend",
        &["[SCOUT] 2026-02-10 10:00:00 [ERROR] wicap.scout: Capture backend init failed: [Errno 19] No such device"],
        &["[SCOUT] 2026-02-10 10:00:00 [INFO] wicap.scout: Capture backend: Scapy"],
    ),
    (
        "redis-queue-loading",
        &["[PROCESSOR] 2026-02-10 10:00:00 [ERROR] wicap.queue: Redis queue error: LOADING: dataset is not in memory yet"],
        &["[PROCESSOR] 2026-02-10 10:00:00 [ERROR] wicap.queue: Redis queue error: Connection refused"],
    ),
    (
        "redis-queue-error",
        &["[PROCESSOR] 2026-02-10 10:00:00 [ERROR] wicap.queue: Redis queue error: Connection refused (os error 111)"],
        &["[PROCESSOR] 2026-02-10 10:00:00 [INFO] wicap.queue: Connected to Redis Queue: events"],
    ),
    (
        "redis-fallback",
        &["[PROCESSOR] 2026-02-10 10:00:00 [ERROR] wicap.processor: Redis init failed: refused. Falling back to file."],
        &["[PROCESSOR] 2026-02-10 10:00:00 [INFO] wicap.processor: Using File Queue Backend"],
    ),
    (
        "redis-module",
        &["2026-02-10 10:00:00 [ERROR] wicap.processor: Redis configured but 'redis' module missing. Falling back to file."],
        &["2026-02-10 10:00:00 [ERROR] wicap.processor: the redis module was missing"],
    ),
    (
        "image-stale",
        &[
            "Traceback (most recent call last):\n  File \"/app/a.py\", line 3, in <module>\n    import b\nModuleNotFoundError: No module named 'b'",
            "2026-02-10 10:00:00 [ERROR] wicap.sql: pyodbc not installed. Run: pip install pyodbc",
        ],
        &["2026-02-10 10:00:00 [ERROR] wicap.sql: No module is installed"],
    ),
    (
        "scout-running",
        &["[SCOUT]   2026-02-10 10:00:00 [ERROR] wicap.scout: Scout already running (PID 7)"],
        &["[SCOUT]   2026-02-10 10:00:00 [INFO] wicap.scout: Scout running (PID 7)"],
    ),
    (
        "sql-connection",
        &["[PROCESSOR] 2026-02-10 10:00:00 [ERROR] wicap.sql: SQL connection failed: login timeout expired"],
        &["[PROCESSOR] 2026-02-10 10:00:00 [INFO] wicap.sql: SQL connection established"],
    ),
    (
        "sql-gave-up",
        &["2026-02-10 10:00:00 [ERROR] wicap.sql: SQL operation failed after all retries"],
        &["2026-02-10 10:00:00 [WARNING] wicap.sql: SQL operation failed (attempt 3/3)"],
    ),
    (
        "sql-down-behind-ui",
        &[r#"INFO:     127.0.0.1:5 - "GET /api/stats HTTP/1.1" 503 Service Unavailable"#],
        &[
            r#"INFO:     127.0.0.1:5 - "GET /api/stats HTTP/1.1" 200 OK"#,
            r#"INFO:     127.0.0.1:5 - "GET /health HTTP/1.1" 503 Service Unavailable"#,
        ],
    ),
    (
        "queue-file-error",
        &["2026-02-10 10:00:00 [ERROR] wicap.processor: File queue error: [Errno 2] No such file or directory"],
        &["2026-02-10 10:00:00 [ERROR] wicap.processor: Redis queue error: closed"],
    ),
    (
        "ui-push-forbidden",
        &["[PROCESSOR] 2026-02-10 10:00:00 [ERROR] wicap.processor: UI push failed: 403 Forbidden"],
        &["[PROCESSOR] 2026-02-10 10:00:00 [ERROR] wicap.processor: UI push failed: 500 403 times"],
    ),
    (
        "ui-push-refused",
        &[r#"INFO:     127.0.0.1:5 - "POST /api/internal/emit HTTP/1.1" 403 Forbidden"#],
        &[
            r#"INFO:     127.0.0.1:5 - "POST /api/internal/emit HTTP/1.1" 200 OK"#,
            r#"INFO:     127.0.0.1:5 - "GET /api/internal/emit HTTP/1.1" 403 Forbidden"#,
        ],
    ),
    (
        "ui-push-disabled",
        &["2026-02-10 10:00:00 [WARNING] wicap.processor: WICAP_INTERNAL_SECRET is missing; UI push is disabled."],
        &["2026-02-10 10:00:00 [INFO] wicap.processor: UI is now ready, enabling real-time push"],
    ),
    (
        "sql-retry",
        &["[PROCESSOR] 2026-02-10 10:00:00 [WARNING] wicap.sql: SQL operation failed (attempt 1/3)"],
        &["[PROCESSOR] 2026-02-10 10:00:00 [WARNING] wicap.sql: SQL operation was slow (attempt 1/3)"],
    ),
    (
        "queue-truncated",
        &[
            "[PROCESSOR] 2026-02-10 10:00:00 [WARNING] wicap.queue: Queue truncated, resetting offset",
            "[PROCESSOR] 2026-02-10 10:00:00 [WARNING] wicap.queue: Queue file truncated; resetting offset to 0",
        ],
        &["[PROCESSOR] 2026-02-10 10:00:00 [INFO] wicap.queue: Queue rotation detected; switching to a at offset 5"],
    ),
    (
        "ui-push-failed",
        &["[PROCESSOR] 2026-02-10 10:00:00 [WARNING] wicap.processor: UI push failed: 500 Internal Server Error"],
        &["[PROCESSOR] 2026-02-10 10:00:00 [DEBUG] wicap.processor: UI push failed, will retry health check: refused"],
    ),
    (
        "ui-not-ready",
        &["[PROCESSOR] 2026-02-10 10:00:00 [DEBUG] wicap.processor: UI push failed, will retry health check: refused"],
        &["[PROCESSOR] 2026-02-10 10:00:00 [DEBUG] wicap.processor: Pushing event: new_packet"],
    ),
    (
        "summary",
        &["[PROCESSOR] 2026-02-10 10:00:00 [INFO] wicap.processor: 📊 Summary [1-21]: 7 events, top:other, vendor:x"],
        &["[PROCESSOR] 2026-02-10 10:00:00 [INFO] wicap.processor: Summary written"],
    ),
];

/// What hurts any stack, and what is noise in any.
const GENERAL: &[Row] = &[
    (
        "memory-kill",
        &[
            "Feb 10 10:00:00 host kernel: Out of memory: Killed process 123 (java) total-vm:1kB",
            "Feb 10 10:00:00 host kernel: Memory cgroup out of memory: Killed process 7 (app)",
        ],
        &["out of memory", "Feb 10 10:00:00 host kernel: Memory: 8000K/9000K available"],
    ),
    (
        "memory-gone",
        &[
            "java.lang.OutOfMemoryError: Java heap space\n\tat a.B.m(B.java:1)",
            "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory",
            "1:M 10 Feb 2026 10:00:00.000 # Can't save in background: fork: Cannot allocate memory",
            "memory allocation of 1073741824 bytes failed",
            "Traceback (most recent call last):\n  File \"a.py\", line 3, in f\n    g()\nMemoryError",
        ],
        &[
            "Picked up JAVA_TOOL_OPTIONS: -XX:+ExitOnOutOfMemoryError -Xmx1g",
            "copy of 12 bytes failed",
            "InMemoryErrorStore is ready",
        ],
    ),
    (
        "disk-full",
        &[
            "OSError: [Errno 28] No space left on device",
            "Error: ENOSPC: no space left on device, write",
            r#"{"level":"error","msg":"write failed","error":"write /data/x: no space left on device"}"#,
        ],
        &["ENOSPC: System limit for number of file watchers reached", "12 GB of space left on device sda"],
    ),
    (
        "disk-broken",
        &[
            "Feb 10 10:00:00 host kernel: blk_update_request: I/O error, dev sda, sector 12345",
            "cp: error reading '/data/x': Input/output error",
            "Feb 10 10:00:00 host kernel: EXT4-fs error (device sda1): ext4_lookup:1: deleted inode referenced",
        ],
        &[
            "Feb 10 10:00:00 host kernel: EXT4-fs (sda1): mounted filesystem. Opts: errors=remount-ro",
            "Feb 10 10:00:00 host kernel: XFS (sda1): Mounting V5 Filesystem",
        ],
    ),
    (
        "data-damaged",
        &[
            "sqlite3.DatabaseError: database disk image is malformed",
            "2026-02-10 10:00:00.000 UTC [34] ERROR:  invalid page in block 5 of relation base/1/2",
            "1:M 10 Feb 2026 10:00:00.000 # Short read or OOM loading DB. Unrecoverable error, aborting now.",
        ],
        &["sqlite3.DatabaseError: database is locked", "2026-02-10 10:00:00.000 UTC [34] ERROR:  invalid page number 5"],
    ),
    (
        "data-forbidden",
        &[
            "1:M 10 Feb 2026 10:00:00.000 # Can't open or create append-only dir appendonlydir: Permission denied",
            "mkdir: cannot create directory '/var/lib/postgresql/data': Permission denied",
            "2026-02-10 10:00:00.000 UTC [1] FATAL:  data directory \"/x\" has wrong ownership",
            "Error: EACCES: permission denied, open '/data/db.json'",
        ],
        &["sh: /app/run: Permission denied", "ERROR 1045: Permission denied for user bob", "/data/x: no such file"],
    ),
    (
        "segfault",
        &[
            "Feb 10 10:00:00 host kernel: app[7]: segfault at 0 ip 0000 sp 0000 error 4 in libc.so",
            "Segmentation fault (core dumped)",
            "2026/02/10 10:00:00 [alert] 1#1: worker process 29 exited on signal 11",
            "2026-02-10 10:00:00.000 UTC [1] LOG:  server process (PID 9) was terminated by signal 11: Segmentation fault",
            "# A fatal error has been detected by the Java Runtime Environment:",
        ],
        &["2026/02/10 10:00:00 [notice] 1#1: signal 15 (SIGTERM) received, exiting", "handler for SIGSEGV installed"],
    ),
    (
        "kernel-panic",
        &[
            "Feb 10 10:00:00 host kernel: Kernel panic - not syncing: VFS: Unable to mount root fs",
            "Feb 10 10:00:00 host kernel: INFO: task jbd2:200 blocked for more than 120 seconds.",
            "Feb 10 10:00:00 host kernel: watchdog: BUG: soft lockup - CPU#0 stuck for 22s!",
        ],
        &["sender blocked for more than allowed", "Feb 10 10:00:00 host kernel: panic=10 is set"],
    ),
    (
        "address-in-use",
        &[
            "ERROR:    [Errno 98] error while attempting to bind on address ('0.0.0.0', 8080): address already in use",
            "2026/02/10 10:00:00 [emerg] 1#1: bind() to 0.0.0.0:80 failed (98: Address already in use)",
            "Error: listen EADDRINUSE: address already in use :::3000\n    at Server.setupListenHandle (node:net:1:1)",
            "Bind for 0.0.0.0:80 failed: port is already allocated",
        ],
        &["the name is already in use", r#"INFO:     10.0.0.1:5 - "GET /EADDRINUSE HTTP/1.1" 404 Not Found"#],
    ),
    (
        "already-runs",
        &[
            "2026-02-10 10:00:00.000 UTC [1] FATAL:  lock file \"postmaster.pid\" already exists",
            "A server is already running. Check /app/tmp/pids/server.pid.",
        ],
        &["the job is already running", "found node.lock of version 3"],
    ),
    (
        "cannot-execute",
        &["exec /app/run: exec format error", "exec: \"run\": executable file not found in $PATH: unknown"],
        &["no executable was given", "the format of the date is in error"],
    ),
    (
        "redis-misconf",
        &[
            "redis.exceptions.ResponseError: MISCONF Redis is configured to save RDB snapshots, but it is currently unable to persist to disk",
            "MISCONF Errors writing to the AOF file: No such file",
        ],
        &["MISCONF is the name of an error", r#"INFO:     10.0.0.1:5 - "GET /MISCONF-RDB%20snapshot HTTP/1.1" 200 OK"#],
    ),
    (
        "postgres-write",
        &["2026-02-10 10:00:00.000 UTC [34] ERROR:  could not extend file \"base/1/2\": wrote only 4096 of 8192 bytes"],
        &["2026-02-10 10:00:00.000 UTC [34] ERROR:  could not open file \"base/1/2\""],
    ),
    (
        "postgres-crash",
        &[
            "2026-02-10 10:00:00.000 UTC [1] LOG:  all server processes terminated; reinitializing",
            "2026-02-10 10:00:00.000 UTC [28] PANIC:  could not locate a valid checkpoint record",
        ],
        &["2026-02-10 10:00:00.000 UTC [1] LOG:  received fast shutdown request"],
    ),
    (
        "postgres-version",
        &["2026-02-10 10:00:00.000 UTC [1] FATAL:  database files are incompatible with server"],
        &["the client is incompatible with the server"],
    ),
    (
        "postgres-wraparound",
        &["2026-02-10 10:00:00.000 UTC [34] WARNING:  database \"app\" must be vacuumed within 39985967 transactions"],
        &["2026-02-10 10:00:00.000 UTC [34] LOG:  automatic vacuum of table \"app.public.t\": index scans: 0"],
    ),
    (
        "broker-alarm",
        &[
            "2026-02-10 10:00:00.123456+00:00 [warning] <0.9.0> memory resource limit alarm set on node rabbit@x.",
            "[2026-02-10T10:00:00,123][WARN ][o.e.c.r.a.DiskThresholdMonitor] [n] flood stage disk watermark [95%] exceeded",
        ],
        &["2026-02-10 10:00:00.123456+00:00 [warning] <0.9.0> memory resource limit alarm cleared on node rabbit@x"],
    ),
    (
        "files-exhausted",
        &["2026/02/10 10:00:00 http: Accept error: accept tcp: too many open files; retrying in 5ms"],
        &["too many open orders", "the file is open"],
    ),
    (
        "threads-exhausted",
        &[
            "RuntimeError: can't start new thread",
            "java.lang.OutOfMemoryError: unable to create native thread: possibly out of memory",
        ],
        &["starting a new thread", "connect: Resource temporarily unavailable"],
    ),
    (
        "filesystem-read-only",
        &[
            "OSError: [Errno 30] Read-only file system: '/app/x'",
            "Feb 10 10:00:00 host kernel: EXT4-fs (sda1): Remounting filesystem read-only",
        ],
        &["the replica is read-only"],
    ),
    (
        "redis-loading",
        &["redis.exceptions.BusyLoadingError: LOADING Redis is loading the dataset in memory"],
        &["loading the dataset in memory", "1:M 10 Feb 2026 10:00:00.000 * Loading RDB produced by version 7.2.4"],
    ),
    (
        "redis-memory",
        &["redis.exceptions.OutOfMemoryError: OOM command not allowed when used memory > 'maxmemory'."],
        &["command not allowed when the queue is closed"],
    ),
    ("redis-replica", &["READONLY You can't write against a read only replica."], &["the replica is read only"]),
    (
        "database-connections",
        &[
            "2026-02-10 10:00:00.000 UTC [35] FATAL:  sorry, too many clients already",
            "ERROR 1040 (HY000): Too many connections",
        ],
        &["2026-02-10 10:00:00.000 UTC [1] LOG:  too many of them"],
    ),
    (
        "database-login",
        &[
            "2026-02-10 10:00:00.000 UTC [34] FATAL:  password authentication failed for user \"app\"",
            "ERROR 1045 (28000): Access denied for user 'root'@'localhost'",
            "Login failed for user 'sa'.",
        ],
        &["Feb 10 10:00:00 host sshd[5]: Failed password for invalid user admin from 10.0.0.1 port 5 ssh2"],
    ),
    (
        "deadlock",
        &[
            "2026-02-10 10:00:00.000 UTC [34] ERROR:  deadlock detected",
            "psycopg.errors.DeadlockDetected: deadlock detected",
            "Transaction (Process ID 52) was deadlocked on lock resources with another process",
        ],
        &["check done, no deadlock detected", "deadlock detection is on"],
    ),
    ("sqlite-locked", &["sqlite3.OperationalError: database is locked"], &["the database is closed"]),
    (
        "certificate-expired",
        &[
            "x509: certificate has expired or is not yet valid: current time 2026-02-10T10:00:00Z is after 2026-01-01T00:00:00Z",
            "ssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired (_ssl.c:1007)",
        ],
        &["the certificate expires in 30 days"],
    ),
    (
        "certificate-untrusted",
        &[
            "x509: certificate signed by unknown authority",
            "ssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to get local issuer certificate",
        ],
        &["generated a certificate, signed by the authority"],
    ),
    (
        "name-unknown",
        &[
            "socket.gaierror: [Errno -3] Temporary failure in name resolution",
            "2026/02/10 10:00:00 dial tcp: lookup redis on 127.0.0.11:53: no such host",
            "nginx: [emerg] host not found in upstream \"ui\" in /etc/nginx/nginx.conf:12",
        ],
        &["2026/02/10 10:00:00 dial tcp 10.0.0.1:5432: connect: connection refused", "no such file"],
    ),
    (
        "upstream-down",
        &["2026/02/10 10:00:00 [error] 12#12: *1 connect() failed (111: Connection refused) while connecting to upstream"],
        &["2026/02/10 10:00:00 [warn] 12#12: *1 an upstream response is buffered to a temporary file"],
    ),
    ("image-limit", &["toomanyrequests: You have reached your pull rate limit."], &["429 Too Many Requests"]),
    (
        "health-ok",
        &[
            r#"INFO:     127.0.0.1:5 - "GET /health HTTP/1.1" 200 OK"#,
            r#"10.0.0.1 - - [10/Feb/2026:10:00:00 +0000] "GET /api/healthz HTTP/1.1" 200 2 "-" "kube-probe/1.30""#,
        ],
        &[
            r#"INFO:     127.0.0.1:5 - "GET /health HTTP/1.1" 404 Not Found"#,
            r#"INFO:     127.0.0.1:5 - "GET /health HTTP/1.1" 503 Service Unavailable"#,
        ],
    ),
    (
        "access-ok",
        &[
            r#"INFO:     127.0.0.1:5 - "GET /error/fatal HTTP/1.1" 200 OK"#,
            r#"10.0.0.1 - - [10/Feb/2026:10:00:00 +0000] "POST /x HTTP/1.1" 301 612 "-" "curl/8""#,
            "[GIN] 2026/02/10 - 10:00:00 | 200 |  1.2ms |  127.0.0.1 | GET      \"/error\"",
        ],
        &[
            r#"INFO:     127.0.0.1:5 - "GET /x HTTP/1.1" 404 Not Found"#,
            r#"{"level":"error","msg":"cannot write the audit of GET /x","status_code":200}"#,
        ],
    ),
    (
        "redis-saves",
        &[
            "1:M 10 Feb 2026 10:00:00.000 * Background saving terminated with success",
            "22:C 10 Feb 2026 10:00:00.000 * DB saved on disk",
        ],
        &["1:M 10 Feb 2026 10:00:00.000 # Background saving error"],
    ),
    (
        "redis-changes",
        &["1:M 10 Feb 2026 10:00:00.000 * 100 changes in 300 seconds. Saving..."],
        &["1:M 10 Feb 2026 10:00:00.000 * 100 changes in 300 seconds."],
    ),
    (
        "postgres-checkpoints",
        &["2026-02-10 10:00:00.000 UTC [27] LOG:  checkpoint complete: wrote 42 buffers (0.3%)"],
        &["2026-02-10 10:00:00.000 UTC [27] LOG:  checkpoints are occurring too frequently (9 seconds apart)"],
    ),
    (
        "postgres-knocks",
        &["2026-02-10 10:00:00.000 UTC [40] LOG:  incomplete startup packet"],
        &["2026-02-10 10:00:00.000 UTC [40] LOG:  startup packet is complete"],
    ),
    (
        "tls-knocks",
        &[
            "2026/02/10 10:00:00 [crit] 12#12: *7 SSL_do_handshake() failed (SSL: error) while SSL handshaking, client: 10.0.0.1",
            "2026/02/10 10:00:00 http: TLS handshake error from 10.0.0.1:5: EOF",
        ],
        &[
            "2026/02/10 10:00:00 [crit] 12#12: *7 SSL_do_handshake() failed (SSL: error) while SSL handshaking to upstream",
            "2026/02/10 10:00:00 http: TLS handshake error from 10.0.0.1:5: remote error: tls: expired certificate",
        ],
    ),
    (
        "client-gone",
        &["2026/02/10 10:00:00 [info] 12#12: *1 client closed connection while waiting for request, client: 10.0.0.1"],
        &["2026/02/10 10:00:00 [error] 12#12: *1 upstream prematurely closed connection while reading response header"],
    ),
    (
        "sessions",
        &["Feb 10 10:00:00 host systemd[1]: Started Session 5 of user bob."],
        &["Feb 10 10:00:00 host systemd[1]: Failed to start Session 5 of user bob."],
    ),
];

/// Checks that every rule of a set holds for its lines and not for the others, that it is the one that is named, and that no rule
/// is without a row.
fn check(rows: &[Row], set: &Set) {
    let rules = &*SHIPPED;
    let mut wrong = Vec::new();
    for (name, about, close) in rows {
        let rule = rules.get(name).unwrap_or_else(|| panic!("no rule {name}"));
        assert!(!about.is_empty() && !close.is_empty(), "{name}");
        for text in *about {
            let found = said(rules, "any", text);
            if found != (rule.severity, name) {
                wrong.push(format!("{name} is not named but {found:?}: {text}\n"));
            }
        }
        for text in *close {
            if rule.holds(&Event::new("any", &record(text))) {
                wrong.push(format!("{name} holds: {text}\n"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} are wrong\n{}", wrong.len(), wrong.concat());
    let tested: BTreeSet<&str> = rows.iter().map(|row| row.0).collect();
    let there: BTreeSet<&str> = set.rules().iter().map(|entry| &*entry.name).collect();
    assert_eq!(tested, there);
}

#[test]
fn wicaps_known_failures_are_recognised() {
    check(WICAP, &Set::wicap());
}

#[test]
fn what_hurts_any_stack_is_recognised() {
    check(GENERAL, &Set::general());
}

#[test]
fn every_shipped_issue_says_what_to_do_and_suggests_nothing_that_takes_down() {
    for rule in &SHIPPED.table {
        assert_eq!(rule.severity == Noise, rule.title.is_none(), "{}", rule.name);
        assert_eq!(rule.severity == Noise, rule.remedy.is_none(), "{}", rule.name);
        assert!(rule.action.is_none_or(ActionKind::can_mend), "{}", rule.name);
    }
}
