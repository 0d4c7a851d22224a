//! klog and glog: `I0210 10:00:00.123456    1 file.go:12] message`.

use std::borrow::Cow;

use crate::signature::envelope::cursor::Cursor;
use crate::signature::envelope::level::Level;
use crate::signature::envelope::line::{Format, Line};
use crate::signature::envelope::logger::is_position;
use crate::signature::envelope::stamp;

/// The longest source position.
const LONGEST_POSITION: usize = 160;

/// Reads a line of klog's.
pub(crate) fn parse(text: &str) -> Option<Line<'_>> {
    let level = Level::of_letter(*text.as_bytes().first()?)?;
    let (time, end) = stamp::klog(text.get(1..)?)?;
    let mut cursor = Cursor::new(&text[1 + end..]);
    cursor.blanks();
    let thread = cursor.digits(20)?;
    cursor.blanks();
    let position = cursor.until(b']', LONGEST_POSITION).filter(|position| is_position(position))?;
    cursor.blanks();
    let mut line = Line::of(Format::Klog, cursor.rest);
    line.time = Some(time);
    line.level = Some(level);
    line.logger = Some(Cow::Borrowed(position));
    line.put("thread", thread);
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::signature::envelope::level::Level;

    #[test]
    fn letter_stamp_thread_and_position_are_taken() {
        let line = parse("W0210 10:00:00.123456    17 file.go:12] it works").unwrap();
        assert_eq!((line.level, &*line.message), (Some(Level::Warn), "it works"));
        assert_eq!((line.logger.as_deref(), line.field("thread")), (Some("file.go:12"), Some("17")));
    }

    #[test]
    fn half_of_it_is_text() {
        for text in
            ["I0210 10:00:00.123456 file.go:12] x", "I0210", "X0210 10:00:00.1 1 a.go:1] x", "I0210 10:00:00.1 1 a b] x", ""]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
