//! Lines that begin with a level and have no time: `INFO:     message`, `INFO:root:message`, `[error] message`.

use std::borrow::Cow;

use crate::signature::envelope::line::{Format, Line};
use crate::signature::envelope::stamp;
use crate::signature::envelope::tail::{self, Trust};

/// Reads a line that begins with a level.
pub(crate) fn parse(text: &str) -> Option<Line<'_>> {
    let mut line = Line::of(Format::Leveled, text);
    if !tail::read_leveled(&mut line, text, Trust::Qualified) {
        return None;
    }
    // Django and CodeIgniter put the level before the stamp.
    if let Cow::Borrowed(message) = line.message
        && let Some((time, end)) = stamp::date_time(message)
    {
        line.time = Some(time);
        line.format = Format::Stamped;
        line.message = Cow::Borrowed(message[end..].trim_start_matches([' ', '\t', ':', ',']));
    }
    Some(line)
}

/// Reads ` INFO target: message`, which Rust's tracing writes without a clock. The level is aligned to the right, so a
/// blank comes first; the logger is a must, for indented text is mostly the rest of something.
pub(crate) fn aligned(text: &str) -> Option<Line<'_>> {
    let mut line = Line::of(Format::Leveled, text);
    let read = tail::read_leveled(&mut line, text.strip_prefix(' ')?, Trust::Any);
    (read && line.logger.is_some()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::{aligned, parse};
    use crate::signature::envelope::level::Level;

    #[test]
    fn a_level_at_the_head_is_taken() {
        for (text, level, logger, message) in [
            ("INFO:     Started server process [1]", Level::Info, None, "Started server process [1]"),
            ("WARNING:root:it broke: twice", Level::Warn, Some("root"), "it broke: twice"),
            ("[error] it broke", Level::Error, None, "it broke"),
            ("[INFO ] a.b - it works", Level::Info, Some("a.b"), "it works"),
            ("ERROR 1045 (28000): Access denied", Level::Error, None, "1045 (28000): Access denied"),
            ("error: it broke", Level::Error, None, "it broke"),
            ("ERROR: failed: no such file", Level::Error, None, "failed: no such file"),
            ("INFO 2026-02-10 10:00:00,123 it works", Level::Info, None, "it works"),
        ] {
            let line = parse(text).unwrap();
            assert_eq!((line.level, line.logger.as_deref(), &*line.message), (Some(level), logger, message), "{text}");
        }
        assert_eq!(aligned(" INFO wicap: up").unwrap().logger.as_deref(), Some("wicap"));
    }

    #[test]
    fn other_words_at_the_head_are_text() {
        for text in
            ["Error: it broke", "error it broke", "INFORMATION desk", "[FAIL] test", "ERRORS 5", "INFO", "info:x", "[info"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(aligned(" INFO it works"), None);
    }
}
