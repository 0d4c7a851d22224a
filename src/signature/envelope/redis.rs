//! Redis and Valkey: `1:M 10 Feb 2026 10:00:00.000 * message`.

use crate::signature::envelope::cursor::Cursor;
use crate::signature::envelope::level::Level;
use crate::signature::envelope::line::{Format, Line};
use crate::signature::envelope::stamp;

/// Reads a line of Redis'.
pub(crate) fn parse(text: &str) -> Option<Line<'_>> {
    let mut cursor = Cursor::new(text);
    let pid = cursor.digits(10)?;
    if !cursor.eat(":") {
        return None;
    }
    // Master, replica, child that saves, sentinel.
    let role = cursor.until(b' ', 2).filter(|role| matches!(*role, "M" | "S" | "C" | "X"))?;
    let (time, end) = stamp::day_first(cursor.rest)?;
    cursor.rest = cursor.rest[end..].strip_prefix(' ')?;
    let level = match cursor.peek() {
        b'.' => Level::Debug,
        // What Redis calls verbose is what it does once a second.
        b'-' => Level::Info,
        b'*' => Level::Notice,
        b'#' => Level::Warn,
        _ => return None,
    };
    let mut line = Line::of(Format::Redis, cursor.rest[1..].strip_prefix(' ')?);
    line.time = Some(time);
    line.level = Some(level);
    line.put("pid", pid);
    line.put("role", role);
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::signature::envelope::level::Level;

    #[test]
    fn a_sign_stands_for_the_level() {
        for (sign, level) in [('.', Level::Debug), ('-', Level::Info), ('*', Level::Notice), ('#', Level::Warn)] {
            let text = format!("1:M 10 Feb 2026 10:00:00.000 {sign} it works");
            let line = parse(&text).unwrap();
            assert_eq!((line.level, &*line.message, line.field("role")), (Some(level), "it works", Some("M")));
        }
    }

    #[test]
    fn half_of_it_is_text() {
        for text in ["1:M", "1:Z 10 Feb 2026 10:00:00.000 * x", "1:M 10 Feb 2026 10:00:00.000 ? x", "1:M 10 Feb * x", ""] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
