//! How grave a message is by its words, where the line names no level.
//!
//! A word counts only if it stands alone: `failed`, but neither `failover` nor `error_count` nor `/error`. What stands around it can
//! take it back: a count of zero, a negation, a condition, or a noun that makes it the name of a thing (`error handler`). What is
//! left is the gravest word.

use crate::api::Severity;
use crate::signature::envelope::Level;
use crate::signature::severity::fault;

/// How much of a message is read, in bytes. Who reports a failure does so in the first sentences.
const LONGEST: usize = 1024;

/// The longest word that weighs anything, `unreachable` and a little more.
const LONGEST_WORD: usize = 12;

/// What stands for a value that is not there.
const NOTHING: [&str; 8] = ["none", "nil", "null", "no", "false", "ok", "0", "-"];

/// Words before a word that take it back: `no error`, `without errors`, `retry on failure`, `checking for errors`.
const NEGATIONS: [&str; 20] = [
    "no", "not", "never", "non", "without", "zero", "any", "on", "for", "if", "upon", "expected", "ignore", "ignored",
    "ignoring", "handle", "handles", "handling", "cleared", "previous",
];

/// Words that can be a part of a thing's name. `failed` cannot: a `failed message` has failed.
const NOUNS: [&str; 11] =
    ["error", "errors", "err", "failure", "failures", "exception", "exceptions", "crash", "warning", "warnings", "panic"];

/// Words behind such a word that make it the name of a thing: `error handler`, `failure detection`.
const THINGS: [&str; 41] = [
    "handling",
    "handler",
    "handlers",
    "page",
    "pages",
    "log",
    "logs",
    "logging",
    "report",
    "reports",
    "reporting",
    "reporter",
    "rate",
    "count",
    "counter",
    "counters",
    "code",
    "codes",
    "budget",
    "recovery",
    "detection",
    "detector",
    "tolerance",
    "message",
    "messages",
    "policy",
    "threshold",
    "level",
    "mode",
    "limit",
    "limits",
    "callback",
    "tracking",
    "middleware",
    "hook",
    "hooks",
    "support",
    "types",
    "output",
    "metrics",
    "will",
];

/// Words between which the counted thing may hide its number: `error count: 0`.
const FILLERS: [&str; 4] = ["code", "count", "rate", "total"];

/// Words that may stand before a number which counts what follows: `finished with 0 failed`.
const BEFORE_COUNT: [&str; 8] = ["with", "and", "found", "had", "has", "got", "was", "were"];

/// How far a clause's count of zero reaches: `0 of 12 tests failed`.
const REACH: usize = 5;

/// One word of a message.
#[derive(Clone, Copy, Debug)]
struct Word<'a> {
    /// The word, without the full stop or apostrophe at its ends.
    text: &'a str,
    /// The byte right behind it; 0 at the end.
    after: u8,
    /// Whether an empty text in quotation marks is what it is said to be: `error=""`.
    blank: bool,
    /// Where the words of its clause begin. Marks other than a blank divide clauses.
    clause: usize,
}

/// How grave a message is.
pub(super) fn severity(message: &str) -> Severity {
    let words = split(&message[..message.floor_char_boundary(LONGEST)]);
    let mut gravest = Severity::Info;
    for at in 0..words.len() {
        if let Some(level) = named_level(&words, at) {
            return level;
        }
        if let Some(weight) = weight(&words, at)
            && weight > gravest
            && !is_taken_back(&words, at)
        {
            gravest = weight;
        }
    }
    gravest
}

/// Whether a text says that there is nothing to say.
pub(super) fn is_nothing(text: &str) -> bool {
    let text = text.trim().trim_matches(['<', '>', '"', '\'', '.']);
    text.is_empty() || is_one_of(text, &NOTHING)
}

/// The words of a text.
fn split(text: &str) -> Vec<Word<'_>> {
    let bytes = text.as_bytes();
    let mut words: Vec<Word<'_>> = Vec::with_capacity(16);
    let (mut at, mut clause) = (0, 0);
    while at < bytes.len() {
        if !is_in_word(bytes[at]) {
            if bytes[at] != b' ' {
                clause = words.len();
            }
            at += 1;
            continue;
        }
        let start = at;
        while at < bytes.len() && is_in_word(bytes[at]) {
            at += 1;
        }
        let whole = &text[start..at];
        let trimmed = whole.trim_matches(['.', '\'']);
        words.push(Word {
            text: trimmed,
            after: bytes.get(at).copied().unwrap_or(0),
            blank: text[at..].starts_with("=\"\""),
            clause,
        });
        if whole.ends_with('.') {
            clause = words.len();
        }
    }
    words
}

/// Whether a byte is part of a word. Joints are: they make `error_count` and `/error` words of their own.
fn is_in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || !byte.is_ascii() || b"_-/.'\\@+$%".contains(&byte)
}

/// Whether a word is one of `list`, whatever its capitals.
fn is_one_of(word: &str, list: &[&str]) -> bool {
    list.iter().any(|other| word.eq_ignore_ascii_case(other))
}

/// Whether the words from `at` on are these, whatever their capitals.
fn follow(words: &[Word<'_>], at: usize, wanted: &[&str]) -> bool {
    wanted
        .iter()
        .enumerate()
        .all(|(step, word)| words.get(at + step).is_some_and(|found| found.text.eq_ignore_ascii_case(word)))
}

/// Whether the number that a word begins with is over zero, as 1 of `1/FAILURE` is. None if it begins with none.
fn number(word: &str) -> Option<bool> {
    let digits = word.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
    let head = &word[..digits];
    head.starts_with(|first: char| first.is_ascii_digit()).then(|| head.bytes().any(|byte| matches!(byte, b'1'..=b'9')))
}

/// The level in a `level=error` that no envelope was made of.
fn named_level(words: &[Word<'_>], at: usize) -> Option<Severity> {
    let key = words[at];
    if !matches!(key.after, b'=' | b':') || !is_one_of(key.text, &["level", "lvl", "severity"]) {
        return None;
    }
    Some(match Level::of_word(words.get(at + 1)?.text)? {
        Level::Fatal => Severity::Critical,
        Level::Error => Severity::Error,
        Level::Warn => Severity::Warning,
        Level::Trace | Level::Debug | Level::Info | Level::Notice => Severity::Info,
    })
}

/// What a word weighs by itself and with those right behind it.
fn weight(words: &[Word<'_>], at: usize) -> Option<Severity> {
    use Severity::{Critical, Error, Warning};
    let word = words[at];
    let bytes = word.text.as_bytes();
    if bytes.len() > LONGEST_WORD || bytes.iter().any(|byte| !byte.is_ascii_alphabetic() && *byte != b'\'') {
        return of_class(word);
    }
    let mut lower = [0_u8; LONGEST_WORD];
    let lower = &mut lower[..bytes.len()];
    lower.copy_from_slice(bytes);
    lower.make_ascii_lowercase();
    let then = |wanted: &[&str]| follow(words, at + 1, wanted);
    Some(match &*lower {
        b"fatal" | b"emerg" | b"panicked" | b"segfault" | b"sigsegv" | b"oomkilled" => Critical,
        b"out" if then(&["of", "memory"]) => Critical,
        b"segmentation" if then(&["fault"]) => Critical,
        b"core" if then(&["dumped"]) => Critical,
        b"stack" if then(&["overflow"]) || then(&["smashing", "detected"]) => Critical,
        b"double" if then(&["free"]) => Critical,
        b"kernel" if then(&["panic"]) => Critical,
        b"panic" if word.after == b':' => Critical,
        // What the shell says of a process that was killed is this one word.
        b"killed" if words.len() == 1 || then(&["process"]) => Critical,
        b"error" | b"errors" | b"err" | b"fail" | b"fails" | b"failed" | b"failing" | b"failure" | b"failures" => Error,
        b"cannot" | b"can't" | b"couldn't" | b"unable" | b"refused" | b"denied" | b"rejected" => Error,
        b"exception" | b"exceptions" | b"traceback" | b"unhandled" | b"uncaught" | b"panic" => Error,
        b"crash" | b"crashed" | b"crashes" | b"died" | b"killed" | b"aborted" | b"aborting" => Error,
        b"corrupt" | b"corrupted" | b"corruption" | b"unreachable" | b"unavailable" | b"exhausted" => Error,
        b"deadlock" | b"deadlocked" => Error,
        b"could" if then(&["not"]) => Error,
        b"timed" if then(&["out"]) => Error,
        b"already" if then(&["in", "use"]) => Error,
        b"command" if then(&["not", "found"]) => Error,
        b"no" if then(&["such"]) || then(&["route", "to", "host"]) || then(&["space", "left"]) => Error,
        b"not" if then(&["permitted"]) || then(&["able", "to"]) => Error,
        b"connection" if then(&["reset"]) => Error,
        b"broken" if then(&["pipe"]) => Error,
        b"exited" | b"exit" if ended_badly(words, at) => Error,
        b"warning" | b"warnings" | b"warn" | b"deprecated" | b"retrying" | b"reconnecting" => Warning,
        b"slow" | b"degraded" | b"unhealthy" | b"lost" | b"dropped" | b"dropping" | b"exceeded" | b"unexpected" => Warning,
        b"throttled" | b"overloaded" => Warning,
        _ => return None,
    })
}

/// What the name of an exception weighs that ends the message or has a colon behind it: `java.io.IOException: closed`.
fn of_class(word: Word<'_>) -> Option<Severity> {
    let class = fault::class(word.text);
    let named = word.text.starts_with(|first: char| first.is_ascii_alphabetic());
    if !named || !matches!(word.after, b':' | 0) || !class.starts_with(|first: char| first.is_ascii_uppercase()) {
        return None;
    }
    if class.ends_with("Warning") {
        return Some(Severity::Warning);
    }
    (class.ends_with("Error") || class.ends_with("Exception")).then(|| fault::of_class(word.text))
}

/// Whether `exited` or `exit` is followed by a code that is not zero.
fn ended_badly(words: &[Word<'_>], at: usize) -> bool {
    let told = words[at].text.len() > 4 || follow(words, at + 1, &["code"]) || follow(words, at + 1, &["status"]);
    told && words[at + 1..].iter().take(4).find_map(|word| number(word.text)) == Some(true)
}

/// Whether what stands around a word takes it back.
fn is_taken_back(words: &[Word<'_>], at: usize) -> bool {
    is_negated(words, at) || is_counted_zero(words, at) || is_thing_or_empty(words, at)
}

/// Whether what stands before a word denies it, makes it a condition or makes it the name of a level.
fn is_negated(words: &[Word<'_>], at: usize) -> bool {
    let word = words[at];
    let before = &words[word.clause.min(at)..at];
    let Some(last) = before.last() else { return false };
    is_one_of(last.text, &NEGATIONS)
        || (before.len() > 1 && follow(before, before.len() - 2, &["case", "of"]))
        || (among_last(before, 4, &["level"]) && among_last(before, 5, &["log", "logging", "set"]))
}

/// Whether one of `list` is among the last words.
fn among_last(words: &[Word<'_>], reach: usize, list: &[&str]) -> bool {
    words.iter().rev().take(reach).any(|word| is_one_of(word.text, list))
}

/// Whether a number before a word says that there are none of it.
fn is_counted_zero(words: &[Word<'_>], at: usize) -> bool {
    let clause = words[at].clause.min(at);
    let zero = |at: usize| number(words[at].text) == Some(false);
    if clause < at && at - clause <= REACH && zero(clause) {
        return true;
    }
    // `worker 0 failed` is about a worker, `done with 0 failed` is not.
    at > clause + 1 && zero(at - 1) && (words[at].text.ends_with('s') || is_one_of(words[at - 2].text, &BEFORE_COUNT))
}

/// Whether what stands behind a word makes it a thing, or the name of a value that is empty or zero.
fn is_thing_or_empty(words: &[Word<'_>], at: usize) -> bool {
    let mut last = at;
    while words.get(last + 1).is_some_and(|next| is_one_of(next.text, &FILLERS)) && words[last].after == b' ' {
        last += 1;
    }
    if words[last].blank {
        return true;
    }
    let (after, next) = (words[last].after, words.get(last + 1));
    let value = next.and_then(|next| number(next.text));
    let named = matches!(after, b'=' | b':');
    let plural = words[at].text.ends_with('s');
    // `failed jobs: 0`
    if let (b' ', Some(b'=' | b':'), Some(value)) = (after, next.map(|next| next.after), words.get(last + 2))
        && number(value.text) == Some(false)
    {
        return true;
    }
    // `Error: no suitable driver` and `Error: 0 rows written` are sentences, `error: no` and `errors: 0 warnings: 0` are values.
    let whole = after == b'=' || plural || next.is_some_and(|next| next.after != b' ');
    match (value, next) {
        (Some(counted), _) if (named && whole) || last > at || plural => !counted,
        (None, Some(next)) if named && whole && is_one_of(next.text, &NOTHING) => true,
        // `errors=remount-ro` is a setting, `error=refused` is not.
        (None, _) if after == b'=' => words[at].text.ends_with(['s', 'd']) || next.is_none(),
        (_, Some(next)) if after == b' ' && last == at => is_one_of(words[at].text, &NOUNS) && is_one_of(next.text, &THINGS),
        _ => last > at,
    }
}
