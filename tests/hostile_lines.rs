//! Log lines that mean harm, made by chance from real ones and from what parsers stumble over: nothing panics, no line is lost, the same
//! lines say the same, and what is kept stays within its bounds.
//!
//! `WICAP_FUZZ_SECONDS` is how long lines are made; `hack/fuzz` sets it.

use std::fs;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use wicap::api::stack::RuleSet;
use wicap::signature::classify::classify;
use wicap::signature::envelope::{Folder, Limits, Record, parse};
use wicap::signature::mine::{Miner, Settings};
use wicap::signature::rules::{Rules, compiled};

/// How long chance is given by the suite.
const FUZZED: Duration = Duration::from_secs(3);

/// Most memory of this process that is borne: the program, the largest input, and a miner with its default bounds.
const MEMORY_MOST: u64 = 256 << 20;

/// One line of each format, and traces line by line.
const REAL: [&str; 49] = [
    "2026-02-10 10:00:00 [ERROR] wicap.sql: Cannot flush: database connection failed",
    "[PROCESSOR] 2026-02-10 10:00:00 [WARNING] wicap.queue: Redis queue error: timed out",
    "[SCOUT]   2026-02-10 10:00:00 [INFO] wicap.scout: Scout already running (PID 17)",
    "10:00:00 | INFO    | Started service: processor (PID 7)",
    "INFO:     127.0.0.1:5 - \"POST /internal/update HTTP/1.1\" 200 OK",
    "{\"ts\":\"2026-02-10T10:00:00Z\",\"level\":\"ERROR\",\"logger\":\"a.b\",\"msg\":\"no\",\"exception\":\"ValueError: x\"}",
    "{\"time\":1770717600.5,\"severity\":30,\"message\":{\"a\":[1,{\"b\":\"\\u00e9\\ud83d\\ude00\"}]},\"error\":null}",
    "time=\"2026-02-10T10:00:00Z\" level=error msg=\"pull \\\"x\\\" failed\" err=\"exit status 1\" pid=5",
    "ts=1770717600 caller=main.go:12 lvl=warn duration=1.5s addr=[::1]:80",
    "2026-02-10T10:00:00.123456789+01:00 WARN app::db: slow query elapsed=3.2s",
    "<13>Feb 10 10:00:00 host prog[12]: session opened for user root by (uid=0)",
    "Feb 10 10:00:00 host kernel: [12345.678901] eth0: link down",
    "<165>1 2026-02-10T10:00:00Z host app 12 ID47 [a@1 b=\"c\\]\"] message",
    "I0210 10:00:00.123456       1 main.go:12] started",
    "E0210 10:00:00.123456 12345 reflector.go:127] watch of *v1.Pod ended with: too old",
    "1:M 10 Feb 2026 10:00:00.123 * Ready to accept connections",
    "2026-02-10 10:00:00.000 UTC [12] ERROR:  duplicate key value violates unique constraint \"k\"",
    "2026-02-10 10:00:00.000 UTC [12] DETAIL:  Key (id)=(5) already exists.",
    "10.0.0.1 - bob [10/Feb/2026:10:00:00 +0000] \"GET /a?b=%00 HTTP/1.1\" 500 12 \"-\" \"curl/8\"",
    "[10/Feb/2026 10:00:00] \"GET / HTTP/1.1\" 404 9",
    "[GIN] 2026/02/10 - 10:00:00 | 502 |  1.2ms | 10.0.0.1 | GET \"/x\"",
    "fail: Microsoft.Hosting[3]",
    "      Unhandled exception. System.Exception: no",
    "   at A.B.C() in /src/a.cs:line 12",
    "Traceback (most recent call last):",
    "  File \"/app/a.py\", line 3, in f",
    "    g()",
    "KeyError: 'x'",
    "The above exception was the direct cause of the following exception:",
    "During handling of the above exception, another exception occurred:",
    "  + Exception Group Traceback (most recent call last):",
    "  | ExceptionGroup: two (2 sub-exceptions)",
    "  +-+---------------- 1 ----------------",
    "java.lang.IllegalStateException: no",
    "\tat a.b.C.d(C.java:12) ~[x.jar:1.0]",
    "\t... 12 more",
    "Caused by: java.io.IOException: Broken pipe",
    "panic: runtime error: index out of range [5] with length 3",
    "goroutine 1 [running]:",
    "main.main()",
    "\t/src/main.go:12 +0x1d",
    "thread 'main' panicked at src/main.rs:1:2:",
    "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace",
    "   0: std::panicking::begin_panic",
    "TypeError: x is not a function",
    "    at Object.<anonymous> (/app/a.js:1:2)",
    "\u{1b}[32mINFO\u{1b}[0m app: ready in 5 ms",
    "081109 203615 148 INFO dfs.DataNode$PacketResponder: PacketResponder 1 for block blk_38865 terminating",
    "jan 1 = {a: [1, 2], b: '\"'} <x y=\"z\"/> 00:1b:44:11:3a:b7 fe80::1 550e8400-e29b-41d4-a716-446655440000 0xdeadbeef",
];

/// What parsers stumble over, as bytes: much of it is no text.
fn odd() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = [
        "",
        "\0",
        "\r",
        "\r\n",
        "\n",
        "\n\n",
        "\t",
        "\u{1b}",
        "\u{1b}[",
        "\u{1b}[31",
        "\u{1b}]0;x",
        "\u{1b}]8;;\u{7}",
        "\u{7f}",
        "\u{85}",
        "\u{2028}",
        "\u{feff}",
        "\u{202e}",
        "\u{301}",
        "İ",
        "ß",
        "\u{1f600}",
        "\"",
        "\\",
        "\\u",
        "\\ud83d",
        "\\\"",
        "{",
        "}",
        "[",
        "]",
        "{\"",
        "\":",
        "=",
        "==",
        "<",
        "<>",
        "<999>",
        "<*>",
        "(",
        ")",
        ": ",
        "|",
        "[]",
        "[ERROR]",
        "-",
        "--",
        "0",
        "99999999999999999999",
        "-1",
        "1e999",
        "NaN",
        "0x",
        "24:60:61",
        "9999-99-99",
        "+99:99",
        "Feb 31",
        "%s%n",
        "null",
        "true",
        " at ",
        "Caused by: ",
        "... 9 more",
        "   ",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into();
    all.extend(
        [&[0xff][..], &[0xc3], &[0xe2, 0x82], &[0xf0, 0x9f, 0x98], &[0xed, 0xa0, 0x80], &[0x80; 9]].map(<[u8]>::to_vec),
    );
    for (piece, times) in [
        ("a", 70_000),
        ("{\"a\":", 3_000),
        ("[", 9_000),
        ("a=", 2_000),
        ("\\", 999),
        ("1 ", 3_000),
        ("a b ", 20_000),
        (".", 500),
    ] {
        all.push(piece.repeat(times).into_bytes());
    }
    all
}

/// A real line with some harm done to it, or no real line at all.
fn made(odd: &[Vec<u8>], dice: &mut StdRng) -> Vec<u8> {
    let real = |dice: &mut StdRng| REAL.choose(dice).expect("there are some").as_bytes().to_vec();
    if dice.random_ratio(1, 12) {
        return (0..dice.random_range(0..200)).map(|_| dice.random()).collect();
    }
    let mut line = real(dice);
    for _ in 0..dice.random_range(0..4) {
        let cut = dice.random_range(0..=line.len());
        match dice.random_range(0..9) {
            0 | 1 => {
                // The long ones seldom, or nothing else would be tried.
                let piece = odd.choose(dice).expect("there are some");
                if piece.len() < 64 || dice.random_ratio(1, 8) {
                    line.splice(cut..cut, piece.iter().copied());
                }
            }
            2 => line.truncate(cut),
            3 => line = line.split_off(cut),
            4 => line.splice(cut..cut, [dice.random::<u8>()]).for_each(drop),
            5 if cut < line.len() => line[cut] = dice.random(),
            6 => line.extend(real(dice)),
            7 => {
                let end = dice.random_range(cut..=line.len());
                let part = line[cut..end].to_vec();
                line.splice(cut..cut, part);
            }
            _ => {
                for byte in line.iter_mut().filter(|byte| byte.is_ascii_digit()) {
                    *byte = dice.random_range(b'0'..=b'9');
                }
            }
        }
    }
    line
}

/// The records of a stream that comes in pieces.
fn fed(stream: &[u8], size: usize, limits: Limits) -> Vec<Record> {
    let mut folder = Folder::new(limits);
    let mut records = Vec::new();
    for piece in stream.chunks(size) {
        folder.feed(piece, |record| records.push(record));
    }
    records.extend(folder.finish());
    records
}

/// What is wrong with the records of a stream, if anything is.
fn folding(stream: &[u8], dice: &mut StdRng) -> Result<Vec<Record>, String> {
    let small = Limits { lines: 3, bytes: 64, left_out: 4 };
    for limits in [small, Limits::default()] {
        let records = fed(stream, stream.len().max(1), limits);
        let size = dice.random_range(1..=stream.len().max(1));
        if records != fed(stream, size, limits) {
            return Err(format!("other records in pieces of {size} bytes"));
        }
        let parts = stream.split(|byte| *byte == b'\n').count();
        let all = parts - usize::from(stream.last().is_none_or(|byte| *byte == b'\n'));
        let counted: usize = records.iter().map(|record| record.lines).sum();
        if counted != all {
            return Err(format!("{counted} lines of {all}"));
        }
        for record in &records {
            // A byte that is no text becomes a character of three bytes.
            let most = 3 * limits.bytes;
            let size = record.body.len()
                + record.line.message.len()
                + record.line.fields.iter().map(|f| f.value.len()).sum::<usize>();
            if size > 2 * most || record.lines - record.left_out > limits.lines {
                return Err(format!("a record of {size} bytes and {} lines", record.lines - record.left_out));
            }
            let _ = (record.text(), record.message(), record.facts());
        }
    }
    Ok(fed(stream, stream.len().max(1), Limits::default()))
}

/// What is wrong with what is said of lines, if anything is.
fn saying(stream: &[u8], rules: &Rules) -> Result<(), String> {
    let text = String::from_utf8_lossy(stream);
    let lines: Vec<(bool, &str)> = text.lines().enumerate().map(|(number, line)| (number % 3 == 0, line)).collect();
    let told = classify("ui", &lines, rules);
    if told != classify("ui", &lines, rules) {
        return Err("not the same a second time".into());
    }
    let counted: usize = told.iter().map(|one| one.lines).sum();
    if counted != lines.len() || !told.is_sorted_by_key(|one| one.line) {
        return Err(format!("{counted} lines told of {}", lines.len()));
    }
    for (_, line) in &lines {
        if parse(line) != parse(line) {
            return Err(format!("{line:.200?} parsed in two ways"));
        }
    }
    Ok(())
}

/// Two miners that get the same lines, one of which is saved and restored now and then.
struct Twins {
    straight: Miner,
    restored: Miner,
    settings: Settings,
}

impl Twins {
    fn new(settings: Settings) -> Self {
        Self { straight: Miner::new(settings), restored: Miner::new(settings), settings }
    }

    /// What is wrong after these records, if anything is.
    fn learn(&mut self, records: &[Record], restore: bool) -> Result<(), String> {
        if restore {
            let text = serde_json::to_string(&self.restored.save()).map_err(|error| error.to_string())?;
            self.restored = Miner::restore(serde_json::from_str(&text).map_err(|error| error.to_string())?);
        }
        for record in records {
            let (one, other) = (self.straight.learn(&record.text()), self.restored.learn(&record.text()));
            if one != other {
                return Err(format!("{one:?} and after a restart {other:?} for {:.200?}", record.text()));
            }
        }
        let (len, bytes) = (self.straight.len(), self.straight.bytes());
        if len > self.settings.most_templates || bytes > self.settings.most_bytes {
            return Err(format!("{len} templates of {bytes} bytes"));
        }
        Ok(())
    }
}

/// Memory that this process has had at most, in bytes, as the kernel counts.
fn memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let row = status.lines().find(|row| row.starts_with("VmHWM:"))?;
    row.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}

#[test]
fn what_chance_makes_of_log_lines_is_borne_counted_and_told_the_same_twice() {
    let seconds = std::env::var("WICAP_FUZZ_SECONDS").ok();
    let span = seconds.map_or(FUZZED, |text| {
        Duration::from_secs(text.parse().unwrap_or_else(|_| panic!("WICAP_FUZZ_SECONDS: found {text:?}, expected a number")))
    });
    let seed: u64 = std::env::var("WICAP_FUZZ_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    println!("seed {seed}");
    let mut dice = StdRng::seed_from_u64(seed);
    let (odd, rules) = (odd(), compiled(&RuleSet::all(), &[]).unwrap());
    let small = Settings { most_templates: 64, most_bytes: 256 << 10, cache_slots: 16, ..Settings::default() };
    let mut twins = [Twins::new(Settings::default()), Twins::new(small)];
    let (began, mut streams, mut lines, mut records) = (Instant::now(), 0_u64, 0_u64, 0_u64);
    while began.elapsed() < span {
        let count = dice.random_range(1..20);
        let mut stream = Vec::new();
        for _ in 0..count {
            stream.extend(made(&odd, &mut dice));
            stream.extend([b'\n'].iter().take(usize::from(!dice.random_ratio(1, 30))));
        }
        let restore = dice.random_ratio(1, 64);
        let tried = folding(&stream, &mut dice).and_then(|found| {
            saying(&stream, &rules)?;
            twins.iter_mut().try_for_each(|twins| twins.learn(&found, restore))?;
            Ok(found.len() as u64)
        });
        match tried {
            Ok(found) => records += found,
            Err(wrong) => panic!("{wrong}, in stream {streams} of seed {seed}: {:.2000?}", String::from_utf8_lossy(&stream)),
        }
        streams += 1;
        lines += count;
    }
    let [large, _] = &twins;
    let memory = memory();
    println!(
        "{streams} streams, {lines} lines, {records} records, {} templates, {memory:?} bytes at most",
        large.straight.len()
    );
    assert!(records > 0, "nothing was shown");
    assert!(memory.is_none_or(|bytes| bytes <= MEMORY_MOST), "{memory:?} bytes, expected at most {MEMORY_MOST}");
}
