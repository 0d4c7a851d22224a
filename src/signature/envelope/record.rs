//! What one event says: its first line taken apart, and what the lines behind it add.

use std::borrow::Cow;

use crate::signature::envelope::exception::Exception;
use crate::signature::envelope::level::Level;
use crate::signature::envelope::line::Line;

/// One event: a line and the lines that belong to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The first line: envelope and message.
    pub line: Line<'static>,
    /// The failure that the record tells of.
    pub exception: Option<Exception>,
    /// The lines behind the first, without prefix and colour codes, joined with line breaks.
    pub body: String,
    /// How many lines the record was made of, those left out included. At least 1.
    pub lines: usize,
    /// How many lines are not in `body` because the record was full. They were read for the exception all the same.
    pub left_out: usize,
    /// How many bytes were cut off the ends of lines that were too long.
    pub cut: usize,
    /// Whether the first line merely begins a trace (`Traceback (most recent call last):`) and says nothing itself.
    pub(crate) silent: bool,
}

/// What a rule about severity may go by. Nothing here is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts<'a> {
    /// The level that the record gives itself.
    pub level: Option<Level>,
    /// The class of the exception. Never empty.
    pub exception: Option<&'a str>,
    /// The status of the HTTP answer, 100 to 599.
    pub status: Option<u16>,
}

impl Record {
    /// A record of one line.
    #[must_use]
    pub fn of(line: Line<'static>) -> Self {
        Self { line, exception: None, body: String::new(), lines: 1, left_out: 0, cut: 0, silent: false }
    }

    /// What the record says, for people: the message of its first line, or the exception's if that line says nothing.
    #[must_use]
    pub fn message(&self) -> &str {
        match &self.exception {
            Some(exception) if self.silent && !exception.message.is_empty() => &exception.message,
            _ => &self.line.message,
        }
    }

    /// The text for the template miner: the message and the class of the exception. A class that the message names is
    /// not
    /// said twice, and a first line that says nothing is replaced by class and message of the exception.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        let message = &*self.line.message;
        match &self.exception {
            Some(exception) if !exception.kind.is_empty() => {
                let first = exception.message.lines().next().unwrap_or("");
                match (self.silent, first) {
                    (true, "") => Cow::Borrowed(&exception.kind),
                    (true, _) => Cow::Owned(format!("{}: {first}", exception.kind)),
                    (false, _) if message.contains(&exception.kind) => Cow::Borrowed(message),
                    (false, _) => Cow::Owned(format!("{message} {}", exception.kind)),
                }
            }
            _ => Cow::Borrowed(message),
        }
    }

    /// What a rule about severity may go by.
    #[must_use]
    pub fn facts(&self) -> Facts<'_> {
        let kind = self.exception.as_ref().map(|exception| exception.kind.as_str());
        Facts { level: self.line.level, exception: kind.filter(|kind| !kind.is_empty()), status: self.line.status }
    }
}
