//! What stands between a stamp and a message: level, logger, thread, process, in whatever order and punctuation.
//!
//! The level is the anchor. What stands before it (a thread in brackets, a logger with a dash) is taken only if the
//! level
//! comes within a few steps. What stands after it is taken only if its form leaves no doubt. Everything else is
//! message.

use std::borrow::Cow;

use crate::signature::envelope::cursor::Cursor;
use crate::signature::envelope::level::Level;
use crate::signature::envelope::line::Line;
use crate::signature::envelope::logger::{is_name, is_position, is_qualified};

/// How many parts may stand before the level, and how many after it. Five is what Spring Boot has.
const MOST_PARTS: usize = 5;

/// The longest group in brackets. Thread names of Java's pools reach 60 bytes.
const LONGEST_GROUP: usize = 128;

/// How sure the surroundings make us that a single word with a colon is a logger.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// A name needs a joint.
    Qualified,
    /// Any name will do: the stamp is one that Rust's tracing writes.
    Any,
}

/// What separated two parts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gap {
    /// Nothing.
    None,
    /// Blanks.
    Blank,
    /// A tab.
    Tab,
    /// A dash, a bar or a colon with blanks behind it.
    Mark(u8),
}

/// Reads the tail `text` into `line` and sets its message. Says whether there was a level; without one, all of the text
/// behind the separator is the message, save a source position.
pub(crate) fn read<'a>(line: &mut Line<'a>, text: &'a str, trust: Trust) -> bool {
    let mut cursor = Cursor::new(text);
    // `10:00:00,123:DEBUG:root:message`: the colon is glued to both sides.
    if text.starts_with(':') && text.as_bytes().get(1).is_some_and(u8::is_ascii_alphabetic) {
        cursor.eat(":");
    }
    let mut gap = gap(&mut cursor);
    let start = cursor;
    for _ in 0..MOST_PARTS {
        if level(line, &mut cursor, gap) {
            after(line, cursor, trust);
            return true;
        }
        if !before(line, &mut cursor) {
            break;
        }
        gap = self::gap(&mut cursor);
    }
    line.fields.clear();
    line.logger = None;
    line.message = Cow::Borrowed(start.rest);
    let mut ahead = start;
    let word = ahead.word();
    if let Some(position) = word.strip_suffix(':').filter(|position| is_position(position))
        && ahead.blanks()
        && !ahead.rest.is_empty()
    {
        line.logger = Some(Cow::Borrowed(position));
        line.message = Cow::Borrowed(ahead.rest);
    }
    false
}

/// Reads a level at the head of a line that has no stamp. Small letters and any level in brackets will do, but a word
/// that is merely followed by a blank has to be in capitals.
pub(crate) fn read_leveled<'a>(line: &mut Line<'a>, text: &'a str, trust: Trust) -> bool {
    let mut cursor = Cursor::new(text);
    let bracket = cursor.eat("[");
    let word = cursor.run(|byte| byte.is_ascii_alphabetic());
    let Some(level) = Level::of_bare_word(word, true) else { return false };
    let small = word.as_bytes()[0].is_ascii_lowercase();
    if bracket {
        cursor.blanks();
        if !cursor.eat("]") {
            return false;
        }
    }
    let fits = match cursor.peek() {
        b':' => !small || bracket || cursor.rest.as_bytes().get(1) == Some(&b' '),
        b' ' | b'\t' => bracket || !small,
        b'[' => bracket,
        _ => false,
    };
    if !fits {
        return false;
    }
    line.level = Some(level);
    after(line, cursor, trust);
    true
}

/// Steps over blanks and at most one mark.
fn gap(cursor: &mut Cursor<'_>) -> Gap {
    let tab = cursor.peek() == b'\t';
    let blank = cursor.blanks();
    let mark = cursor.peek();
    if matches!(mark, b'-' | b'|' | b':') && cursor.rest.as_bytes().get(1).is_none_or(|next| matches!(next, b' ' | b'\t')) {
        cursor.rest = &cursor.rest[1..];
        cursor.blanks();
        return Gap::Mark(mark);
    }
    if tab {
        Gap::Tab
    } else if blank {
        Gap::Blank
    } else {
        Gap::None
    }
}

/// Steps over a group between `open` and `close`, if one is next.
fn group<'a>(cursor: &mut Cursor<'a>, open: &str, close: u8) -> Option<&'a str> {
    let mut ahead = *cursor;
    if !ahead.eat(open) {
        return None;
    }
    let inner = ahead.until(close, LONGEST_GROUP)?;
    *cursor = ahead;
    Some(inner.trim())
}

/// Reads a level: in brackets, or bare and followed by something that ends it.
fn level<'a>(line: &mut Line<'a>, cursor: &mut Cursor<'a>, before: Gap) -> bool {
    let mut ahead = *cursor;
    let grouped = match ahead.peek() {
        b'[' => group(&mut ahead, "[", b']'),
        b'<' => group(&mut ahead, "<", b'>'),
        _ => None,
    };
    if let Some(inner) = grouped {
        // Apache puts the module before the level.
        let (module, word) = inner.split_once(':').unwrap_or(("", inner));
        let Some(level) = Level::of_word(word) else { return false };
        if !module.is_empty() {
            line.logger = Some(Cow::Borrowed(module));
        }
        line.level = Some(level);
        *cursor = ahead;
        return true;
    }
    let word = ahead.run(|byte| byte.is_ascii_alphabetic());
    let next = ahead.peek();
    let marked = matches!(before, Gap::Tab | Gap::Mark(_))
        || matches!(next, b'\t' | b':')
        || ahead.rest.starts_with(" | ")
        || ahead.rest.starts_with(" - ");
    let Some(level) = Level::of_bare_word(word, marked) else { return false };
    if !matches!(next, b' ' | b'\t' | b':' | b'|' | b'/') {
        return false;
    }
    if next == b'/' {
        // Celery puts the process behind the level.
        ahead.eat("/");
        let process = ahead.run(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
        if process.is_empty() {
            return false;
        }
        line.put("process", process);
    }
    line.level = Some(level);
    *cursor = ahead;
    true
}

/// Reads one part that may stand before a level.
fn before<'a>(line: &mut Line<'a>, cursor: &mut Cursor<'a>) -> bool {
    let mut ahead = *cursor;
    match ahead.peek() {
        b'[' => {
            let Some(inner) = group(&mut ahead, "[", b']') else { return false };
            // scrapy: `[scrapy.core.engine] INFO: message`. Java's threads may have a dot, but they have capitals.
            let module = is_qualified(inner) && inner.bytes().all(|byte| byte.is_ascii_lowercase() || b"._".contains(&byte));
            if module && line.logger.is_none() {
                line.logger = Some(Cow::Borrowed(inner));
            } else {
                line.put(if is_number(inner) { "pid" } else { "thread" }, inner);
            }
        }
        b'{' => {
            let Some(inner) = group(&mut ahead, "{", b'}') else { return false };
            if is_position(inner) && line.logger.is_none() {
                line.logger = Some(Cow::Borrowed(inner));
            } else {
                line.put("context", inner);
            }
        }
        b'(' => {
            let Some(inner) = group(&mut ahead, "(", b')') else { return false };
            line.put("thread", inner);
        }
        b'0'..=b'9' => {
            let Some(number) = ahead.digits(20) else { return false };
            if ahead.peek() != b' ' {
                return false;
            }
            line.put("pid", number);
        }
        _ => {
            let name = ahead.run(|byte| !matches!(byte, b' ' | b'\t' | b'|' | b'['));
            let name = name.strip_suffix(':').unwrap_or(name);
            let marked = matches!(gap(&mut { ahead }), Gap::Mark(_));
            if line.logger.is_some() || !is_name(name) || !(marked || is_qualified(name)) {
                return false;
            }
            line.logger = Some(Cow::Borrowed(name));
        }
    }
    *cursor = ahead;
    true
}

/// Reads the parts that may stand behind a level, and the message.
fn after<'a>(line: &mut Line<'a>, mut cursor: Cursor<'a>, trust: Trust) {
    // `INFO:root:message`: the colon is glued to both sides.
    let glued = cursor.peek() == b':' && !matches!(cursor.rest.as_bytes().get(1), None | Some(b' ' | b'\t'));
    if glued {
        cursor.eat(":");
        let mut ahead = cursor;
        let name = ahead.until(b':', LONGEST_GROUP).unwrap_or("");
        if line.logger.is_none() && is_name(name) && !ahead.rest.trim().is_empty() {
            line.logger = Some(Cow::Borrowed(name));
            line.message = Cow::Borrowed(ahead.rest);
        } else {
            line.message = Cow::Borrowed(cursor.rest);
        }
        return;
    }
    let mut free = cursor.peek() == b'[';
    let mut gap = gap(&mut cursor);
    for _ in 0..MOST_PARTS {
        let mut ahead = cursor;
        if !part(line, &mut ahead, gap, trust, &mut free) {
            break;
        }
        gap = self::gap(&mut ahead);
        if ahead.rest.is_empty() {
            break;
        }
        cursor = ahead;
    }
    line.message = Cow::Borrowed(cursor.rest);
}

/// Reads one part that may stand behind a level. `free` says that groups in brackets belong to the envelope.
fn part<'a>(line: &mut Line<'a>, cursor: &mut Cursor<'a>, before: Gap, trust: Trust, free: &mut bool) -> bool {
    match cursor.peek() {
        b'0'..=b'9' => {
            let Some(number) = cursor.digits(20) else { return false };
            // Spring Boot: `INFO 1 --- [main] c.f.Bar  : message`. nginx: `[error] 123#123: message`.
            if cursor.eat(" ---") {
                *free = true;
            } else if !cursor.eat("#") || cursor.digits(20).is_none() || !cursor.eat(":") {
                return false;
            }
            line.put("pid", number);
            true
        }
        b'[' => {
            let Some(inner) = group(cursor, "[", b']') else { return false };
            let closed = cursor.rest.starts_with(" - ") || cursor.rest.starts_with(':') || cursor.rest.starts_with(" : ");
            let joined = *free && cursor.peek() == b'[';
            if is_number(inner) {
                line.put("pid", inner);
            } else if line.logger.is_none() && is_name(inner) && (is_qualified(inner) || joined) {
                line.logger = Some(Cow::Borrowed(inner));
                *free = joined;
            } else if *free || (closed && is_thread(inner)) {
                line.put("thread", inner);
            } else {
                return false;
            }
            true
        }
        b'(' => {
            let Some(inner) = group(cursor, "(", b')') else { return false };
            // pino: `INFO (123): message`. Quarkus: `INFO  [org.app] (main) message`.
            let fits = cursor.peek() == b':' || (line.logger.is_some() && before == Gap::Blank && is_thread(inner));
            if fits {
                line.put("thread", inner);
            }
            fits
        }
        b'<' => match group(cursor, "<", b'>') {
            // RabbitMQ: `[info] <0.123.0> message`.
            Some(inner) if inner.contains('.') && inner.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') => {
                line.put("pid", inner);
                true
            }
            _ => false,
        },
        _ => named(line, cursor, trust),
    }
}

/// Reads a logger: a name and the mark behind it.
fn named<'a>(line: &mut Line<'a>, cursor: &mut Cursor<'a>, trust: Trust) -> bool {
    let word = cursor.word();
    if let Some(thread) = word.strip_prefix("ThreadId(").and_then(|inner| inner.strip_suffix(')')) {
        line.put("thread", thread);
        return true;
    }
    if line.logger.is_some() {
        return false;
    }
    let (name, sure) = match word.strip_suffix(':') {
        Some(name) => (name, is_qualified(name) || name == "root" || (trust == Trust::Any && is_plain(name))),
        None => match gap(&mut { *cursor }) {
            Gap::Mark(_) => (word, is_name(word)),
            Gap::Tab => (word, is_qualified(word)),
            _ => return false,
        },
    };
    if !sure || !is_name(name) {
        return false;
    }
    line.logger = Some(Cow::Borrowed(name));
    true
}

/// How words end that begin a sentence: `failed: no such file`, `warning: it is late`.
const SENTENCE_ENDS: [&str; 4] = ["ed", "ing", "error", "exception"];

/// Whether a single word may be a crate's or a module's name: small letters, no class and no sentence.
fn is_plain(name: &str) -> bool {
    is_name(name)
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && !SENTENCE_ENDS.iter().any(|end| name.ends_with(end))
}

/// Whether a group is a number.
fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a group can be a thread's name: one word, or words with a dash or a number in them.
fn is_thread(text: &str) -> bool {
    !text.is_empty() && !text.contains(' ')
}
