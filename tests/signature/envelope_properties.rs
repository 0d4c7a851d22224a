//! What holds for every input.

use std::fmt::Write as _;

use proptest::prelude::*;
use wicap::signature::envelope::{Exception, Folder, Format, Limits, Line, Record, parse};

/// Pieces that envelopes and traces are made of.
const PIECES: [&str; 72] = [
    "2026-02-10 10:00:00",
    "2026-02-10T10:00:00.123Z",
    "10:00:00",
    ",123",
    "+01:00",
    " UTC",
    " [123] ",
    "Feb 10 10:00:00",
    "10/Feb/2026:10:00:00 +0000",
    "10 Feb 2026 10:00:00.000",
    "I0210 10:00:00.1",
    "1770717600",
    "<13>",
    "1 ",
    "- ",
    " - ",
    " | ",
    ": ",
    ":",
    " ",
    "  ",
    "\t",
    "[",
    "]",
    "[INFO]",
    "INFO",
    "ERROR",
    "info",
    "[PROCESSOR] ",
    "[GIN] ",
    "wicap.mod",
    "root",
    "main.go:12]",
    "host ",
    "prog[1]: ",
    "{\"",
    "\":\"",
    "\":",
    "\",\"",
    "\"}",
    "}",
    "{",
    "\\",
    "\\u00e9",
    "\\ud83d",
    "msg",
    "level",
    "time",
    "=",
    "\"",
    "127.0.0.1:5",
    "\"GET / HTTP/1.1\"",
    " 200 ",
    "200 OK",
    "\x1b[31m",
    "\x1b]",
    "\x07",
    "Traceback (most recent call last):",
    "  File \"a.py\", line 3, in f",
    "ValueError: x",
    "\tat a.B.c(D.java:1)",
    "Caused by: a.B: c",
    "goroutine 1 [running]:",
    "main.main()",
    "thread 'x' panicked at a.rs:1:2:",
    "   at A.B() in x:line 1",
    "  + Exception Group Traceback (most recent call last):",
    "  | ",
    "1:M ",
    " * ",
    "ü",
    "\u{1f600}\r",
];

/// Lines made of the pieces.
fn pieced() -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(PIECES.as_slice()), 0..14).prop_map(|pieces| pieces.concat())
}

/// Any line.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![3 => pieced(), 1 => "[^\n]{0,80}", 1 => "[ -~]{0,40}"]
}

/// Everything that a line hands on, in one text.
fn handed_on(line: &Line<'_>) -> String {
    let mut all = String::new();
    for text in [line.prefix.as_deref(), line.logger.as_deref(), Some(&*line.message), line.trace.as_deref()] {
        all.push_str(text.unwrap_or(""));
        all.push(' ');
    }
    for field in &line.fields {
        write!(all, "{} {} ", field.key, field.value).unwrap();
    }
    all
}

/// Whether a word may vanish: a part of a stamp, a level, or a key with a meaning.
fn is_envelope(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    let stamp = word.bytes().any(|byte| byte.is_ascii_digit()) || ["feb", "utc", "z", "t"].contains(&&*word);
    stamp || ["info", "error", "msg", "level", "time", "log", "i", "e"].contains(&&*word)
}

/// The records of some pieces of a stream.
fn fed<'a>(pieces: impl Iterator<Item = &'a [u8]>, limits: Limits) -> Vec<Record> {
    let mut folder = Folder::new(limits);
    let mut records = Vec::new();
    for piece in pieces {
        folder.feed(piece, |record| records.push(record));
    }
    records.extend(folder.finish());
    records
}

/// At least 2,000 cases. `PROPTEST_CASES` asks for more.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig { cases: default.cases.max(2000), failure_persistence: None, ..default }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_same_line_gives_the_same_result_and_never_an_empty_message(text in line()) {
        let line = parse(&text);
        prop_assert_eq!(&line, &parse(&text));
        prop_assert!(!line.message.trim().is_empty() || text.contains('\x1b') || text.trim().is_empty(), "{:?}", line);
    }

    #[test]
    fn words_that_are_not_envelope_are_handed_on(text in line()) {
        // Escapes change words, and that is right.
        let text = text.replace(['\x1b', '\\'], "");
        let line = parse(&text);
        let handed_on = handed_on(&line);
        for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            prop_assert!(handed_on.contains(word) || is_envelope(word), "{} lost of {:?}: {:?}", word, text, line);
        }
        if line.format == Format::Plain && line.prefix.is_none() {
            prop_assert_eq!(&*line.message, text.trim_end_matches(['\r', '\n']));
        }
    }

    #[test]
    fn lines_one_by_one_or_in_any_chunks_give_the_same_records(
        lines in proptest::collection::vec(line(), 0..30),
        cuts in proptest::collection::vec(0_usize..2000, 0..20),
        small in any::<bool>(),
    ) {
        let limits = if small { Limits { lines: 3, bytes: 64, left_out: 4 } } else { Limits::default() };
        let mut folder = Folder::new(limits);
        let mut pushed: Vec<Record> = lines.iter().filter_map(|line| folder.push(line)).collect();
        pushed.extend(folder.finish());
        prop_assert_eq!(pushed.iter().map(|record| record.lines).sum::<usize>(), lines.len());
        for record in &pushed {
            prop_assert!(record.body.len() + record.line.message.len() <= limits.bytes.max(record.line.message.len()));
            prop_assert!(record.lines > record.left_out && record.lines - record.left_out <= limits.lines);
            let _ = (record.text(), record.message(), record.facts());
        }

        let stream: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        let bytes = stream.as_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).chain([0, bytes.len()]).collect();
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
        prop_assert_eq!(&pushed, &fed(pieces, limits));
        prop_assert_eq!(&pushed, &fed([bytes].into_iter(), limits));
    }

    #[test]
    fn any_bytes_and_any_trace_text_are_borne(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        text in "(?s).{0,200}",
    ) {
        let records = fed(bytes.chunks(7), Limits::default());
        let parts = bytes.split(|byte| *byte == b'\n').count();
        let ended = parts - usize::from(bytes.last().is_none_or(|byte| *byte == b'\n'));
        prop_assert_eq!(records.iter().map(|record| record.lines).sum::<usize>(), ended);
        let _ = Exception::of_text(&text);
    }
}
