//! `PostgreSQL`: `2026-02-10 10:00:00.000 UTC [123] ERROR:  message`.

use crate::signature::envelope::cursor::Cursor;
use crate::signature::envelope::level::Level;
use crate::signature::envelope::line::{Format, Line};
use crate::signature::envelope::stamp::Stamp;

/// Reads what follows the stamp, from the blank on. A zone that is not UTC is an abbreviation, which has no one
/// meaning;
/// it becomes a field.
pub(crate) fn parse(time: Stamp, text: &str) -> Option<Line<'_>> {
    let mut cursor = Cursor::new(text.strip_prefix(' ')?);
    let zone = cursor.run(|byte| byte.is_ascii_uppercase());
    if !zone.is_empty() && (zone.len() > 5 || !cursor.eat(" ")) {
        return None;
    }
    if !cursor.eat("[") {
        return None;
    }
    let pid = cursor.digits(10)?;
    // Newer images count the lines of a session behind the number.
    if cursor.eat("-") {
        cursor.digits(10)?;
    }
    if !cursor.eat("] ") {
        return None;
    }
    // `user@database` is the usual addition.
    let mut session = "";
    let mut ahead = cursor;
    let word = ahead.word();
    if word.contains('@') && !word.ends_with(':') {
        session = word;
        ahead.blanks();
        cursor = ahead;
    }
    let rest = cursor.rest;
    let word = cursor.until(b':', 16)?;
    let level = match word {
        "DEBUG" | "DEBUG1" | "DEBUG2" | "DEBUG3" | "DEBUG4" | "DEBUG5" => Some(Level::Debug),
        "LOG" | "INFO" => Some(Level::Info),
        "NOTICE" => Some(Level::Notice),
        "WARNING" => Some(Level::Warn),
        "ERROR" => Some(Level::Error),
        "FATAL" | "PANIC" => Some(Level::Fatal),
        "DETAIL" | "HINT" | "STATEMENT" | "CONTEXT" | "QUERY" | "LOCATION" => None,
        _ => return None,
    };
    if !cursor.eat("  ") {
        return None;
    }
    let mut line = Line::of(Format::Postgres, if level.is_some() { cursor.rest } else { rest });
    line.time = Some(time);
    line.level = level;
    line.put("pid", pid);
    for (key, value) in [("zone", zone), ("session", session)] {
        if !value.is_empty() {
            line.put(key, value);
        }
    }
    Some(line)
}

#[cfg(test)]
mod tests {
    use crate::signature::envelope::{Format, Level, Stamp, parse};

    #[test]
    fn a_known_word_behind_the_number_is_the_level() {
        for (text, level, message, instant) in [
            ("2026-02-10 10:00:00.000 UTC [123] ERROR:  it broke", Some(Level::Error), "it broke", true),
            ("2026-02-10 10:00:00.000 CET [123] LOG:  it works", Some(Level::Info), "it works", false),
            ("2026-02-10 10:00:00.000 UTC [1] bob@shop FATAL:  it broke", Some(Level::Fatal), "it broke", true),
            ("2026-02-10 10:00:00.000 UTC [1] DETAIL:  a key", None, "DETAIL:  a key", true),
        ] {
            let line = parse(text);
            assert_eq!((line.format, line.level, &*line.message), (Format::Postgres, level, message), "{text}");
            assert_eq!(line.time.is_some_and(Stamp::is_instant), instant, "{text}");
        }
        assert_eq!(parse("2026-02-10 10:00:00.000 UTC [1] bob@shop FATAL:  x").field("session"), Some("bob@shop"));
    }
}
