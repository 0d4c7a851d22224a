//! What one line says: its envelope and its message.

use std::borrow::Cow;

use crate::signature::envelope::level::Level;
use crate::signature::envelope::stamp::Stamp;

/// One log line, taken apart. It borrows from the line where it can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The word in brackets that a launcher put before the line, without the brackets (`PROCESSOR`).
    pub prefix: Option<Cow<'a, str>>,
    /// When the line was written, as exactly as it says.
    pub time: Option<Stamp>,
    /// How grave the line says it is.
    pub level: Option<Level>,
    /// Who wrote the line: a logger, a module, a source position or a program.
    pub logger: Option<Cow<'a, str>>,
    /// What the line says. Empty only if the line shows nothing at all.
    pub message: Cow<'a, str>,
    /// The status of an HTTP answer, 100 to 599, where the envelope has a place for one.
    pub status: Option<u16>,
    /// The text of a stack trace that the line carries in itself, with its line breaks (a JSON `exception`).
    pub trace: Option<Cow<'a, str>>,
    /// What else the envelope holds, in the order of the line: unknown keys, thread, process id, host, client.
    pub fields: Vec<Field<'a>>,
    /// The rule that recognised the line.
    pub format: Format,
}

/// A named value of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name, as the line has it. A member of a nested object is `outer.inner`.
    pub key: Cow<'a, str>,
    /// The value as text. A string is unescaped, everything else is as it was written.
    pub value: Cow<'a, str>,
}

/// The rule that recognised a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// No rule did. The whole line is the message.
    Plain,
    /// A JSON object.
    Json,
    /// Nothing but `key=value` pairs.
    Logfmt,
    /// An HTTP access log: uvicorn, common, combined or gin.
    Access,
    /// RFC 3164, with or without a priority. Also journald's `short`.
    Syslog,
    /// RFC 5424.
    Syslog5424,
    /// journald's `short-iso`, and what rsyslog writes to files.
    Journal,
    /// klog and glog.
    Klog,
    /// Redis and Valkey.
    Redis,
    /// `PostgreSQL`.
    Postgres,
    /// Date, time, and mostly a level and a logger: Python, log4j, logback, tracing, Go, nginx and their like.
    Stamped,
    /// A time of day and a level.
    Clocked,
    /// A level and no time.
    Leveled,
    /// The head line of .NET's console logger. The message is on the next line.
    Dotnet,
}

impl<'a> Line<'a> {
    /// A line that no rule recognised.
    #[must_use]
    pub fn plain(text: &'a str) -> Self {
        Self::of(Format::Plain, text)
    }

    /// A line of the given format with nothing but a message.
    pub(crate) fn of(format: Format, message: &'a str) -> Self {
        Self {
            prefix: None,
            time: None,
            level: None,
            logger: None,
            message: Cow::Borrowed(message),
            status: None,
            trace: None,
            fields: Vec::new(),
            format,
        }
    }

    /// Adds a field whose name is fixed.
    pub(crate) fn put(&mut self, key: &'static str, value: &'a str) {
        self.fields.push(Field { key: Cow::Borrowed(key), value: Cow::Borrowed(value) });
    }

    /// The value of the first field with this name.
    #[must_use]
    pub fn field(&self, key: &str) -> Option<&str> {
        self.fields.iter().find(|field| field.key == key).map(|field| &*field.value)
    }

    /// The same line, independent of the text it was read from.
    #[must_use]
    pub fn into_owned(self) -> Line<'static> {
        Line {
            prefix: self.prefix.map(own),
            time: self.time,
            level: self.level,
            logger: self.logger.map(own),
            message: own(self.message),
            status: self.status,
            trace: self.trace.map(own),
            fields: self
                .fields
                .into_iter()
                .map(|field| Field { key: own_key(field.key), value: own(field.value) })
                .collect(),
            format: self.format,
        }
    }
}

/// Text that owns itself.
fn own(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

/// The names that the rules themselves give to fields.
const OWN_KEYS: [&str; 21] = [
    "pid",
    "thread",
    "client",
    "bytes",
    "host",
    "protocol",
    "agent",
    "reason",
    "referer",
    "user",
    "role",
    "rest",
    "took",
    "zone",
    "event",
    "ident",
    "context",
    "session",
    "process",
    "structured",
    "message_id",
];

/// A key that owns itself. A name of our own need not be copied, and most are.
fn own_key(key: Cow<'_, str>) -> Cow<'static, str> {
    match OWN_KEYS.into_iter().find(|own| *own == key) {
        Some(own) => Cow::Borrowed(own),
        None => own(key),
    }
}

#[cfg(test)]
mod tests {
    use super::{Format, Line};

    #[test]
    fn an_owned_line_equals_the_borrowed_one() {
        let mut line = Line::of(Format::Redis, "ready");
        line.put("pid", "1");
        assert_eq!(line.field("pid"), Some("1"));
        assert_eq!(line.field("host"), None);
        assert_eq!(line.clone().into_owned(), line);
    }
}
