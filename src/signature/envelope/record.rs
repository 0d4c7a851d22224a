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

    /// All that it says in one line: the message and the class of the exception. A class that the message names is not said twice, and a
    /// first line that says nothing is replaced by class and message of the exception.
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

    /// The same for the template miner. Of an HTTP answer it has the class of the status in a word: a number is a value to the miner, and
    /// what succeeds would be the same as what fails.
    #[must_use]
    pub fn mined(&self) -> Cow<'_, str> {
        let text = self.text();
        let Some(status) = self.line.status.filter(|_| self.exception.is_none()) else { return text };
        let bare = text.strip_suffix(&status.to_string()).and_then(|bare| bare.strip_suffix(' '));
        Cow::Owned(format!("{} {}", bare.unwrap_or(&text), class_of(status)))
    }

    /// What a rule about severity may go by.
    #[must_use]
    pub fn facts(&self) -> Facts<'_> {
        let kind = self.exception.as_ref().map(|exception| exception.kind.as_str());
        Facts { level: self.line.level, exception: kind.filter(|kind| !kind.is_empty()), status: self.line.status }
    }
}

/// What kind of answer a status is.
fn class_of(status: u16) -> &'static str {
    match status {
        ..400 => "ok",
        400..500 => "client-error",
        500.. => "server-error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_the_class_of_its_status_and_no_number() {
        let text = |message: &'static str, status| {
            let mut line = Line::plain(message).into_owned();
            line.status = Some(status);
            Record::of(line).mined().into_owned()
        };
        assert_eq!(text("GET /a 200", 200), "GET /a ok");
        assert_eq!(text("GET /b 503", 503), "GET /b server-error");
        assert_eq!(text("request refused", 404), "request refused client-error");
        assert_eq!(text("1404", 404), "1404 client-error");
    }
}
