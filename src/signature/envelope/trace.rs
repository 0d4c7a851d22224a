//! A stack trace of any language, line by line.

use crate::signature::envelope::exception::{Exception, is_class};
use crate::signature::envelope::go::Dump;
use crate::signature::envelope::line::{Format, Line};
use crate::signature::envelope::panic::Panic;
use crate::signature::envelope::python::Traceback;
use crate::signature::envelope::throwable::Throwable;

/// How many lines of a trace inside a single line are read. A runaway recursion has a thousand frames.
const MOST_LINES: usize = 4096;

/// The keys under which a structured line names the class of an exception.
const KIND_KEYS: [&str; 8] = [
    "error.type",
    "err.type",
    "exception.type",
    "error.kind",
    "exception.class",
    "exception_class",
    "exc_type",
    "error.name",
];

/// A trace that is being read.
#[derive(Debug)]
pub(crate) enum Trace {
    /// Python.
    Traceback(Traceback),
    /// Java, Node.js, .NET.
    Throwable(Throwable),
    /// Go.
    Dump(Dump),
    /// Rust.
    Panic(Panic),
}

impl Trace {
    /// Begins a trace if `text` does.
    pub fn open(text: &str) -> Option<Self> {
        // Traces begin with a letter, a path or (groups) a blank; most lines are out of the running by their first
        // bytes.
        match text.as_bytes().first()? {
            b't' => Panic::open(text).map(Self::Panic).or_else(|| throwable(text)),
            b'p' | b'f' | b'g' => Dump::open(text).map(Self::Dump).or_else(|| throwable(text)),
            b' ' | b'\t' | b'+' | b'T' => Traceback::open(text).map(Self::Traceback).or_else(|| throwable(text)),
            _ => throwable(text),
        }
    }

    /// Begins a trace in its second line: a frame, `head` being the line before.
    pub fn resume(head: &str, text: &str) -> Option<Self> {
        Throwable::resume(head, text).map(Self::Throwable)
    }

    /// Takes the next line, if it belongs to the trace.
    pub fn take(&mut self, text: &str) -> bool {
        match self {
            Self::Traceback(trace) => trace.take(text),
            Self::Throwable(trace) => trace.take(text),
            Self::Dump(trace) => trace.take(text),
            Self::Panic(trace) => trace.take(text),
        }
    }

    /// Whether this is a trace beyond doubt, and not just a line that looks like the head of one.
    pub fn is_certain(&self) -> bool {
        match self {
            Self::Throwable(trace) => trace.is_certain(),
            _ => true,
        }
    }

    /// Whether a trace that begins with `text` may belong to a log line before it that speaks of a failure. A panic
    /// never does: the program wrote nothing of its own.
    pub fn announced(&self, text: &str) -> bool {
        match self {
            Self::Traceback(_) | Self::Throwable(_) => true,
            Self::Dump(_) => Dump::attaches(text),
            Self::Panic(_) => false,
        }
    }

    /// Names a dump that came behind the line with this message.
    pub fn behind(&mut self, message: &str) {
        if let Self::Dump(dump) = self {
            dump.name(message);
        }
    }

    /// The exception.
    pub fn finish(self) -> Exception {
        match self {
            Self::Traceback(trace) => trace.finish(),
            Self::Throwable(trace) => trace.finish(),
            Self::Dump(trace) => trace.finish(),
            Self::Panic(trace) => trace.finish(),
        }
    }
}

/// Begins a trace of `at` lines.
fn throwable(text: &str) -> Option<Trace> {
    Throwable::open(text).map(Trace::Throwable)
}

impl Exception {
    /// The first exception in a text of several lines, such as the `exception` of a JSON line.
    #[must_use]
    pub fn of_text(text: &str) -> Option<Self> {
        let mut trace: Option<Trace> = None;
        let mut before = "";
        for line in text.lines().take(MOST_LINES) {
            let taken = trace.as_mut().is_some_and(|open| open.take(line));
            if !taken {
                // The head of a traceback may come behind a line that merely looks like one.
                if trace.as_ref().is_some_and(Trace::is_certain) {
                    break;
                }
                trace = Trace::open(line).or_else(|| Trace::resume(before, line)).or(trace);
            }
            before = line;
        }
        trace.map(Trace::finish)
    }

    /// The exception that a line tells of by itself: in the text of a trace, or in a field that names a class.
    #[must_use]
    pub fn of_line(line: &Line<'_>) -> Option<Self> {
        if let Some(found) = line.trace.as_deref().and_then(Self::of_text) {
            return Some(found);
        }
        // Only those two carry keys of the program's own choice.
        if !matches!(line.format, Format::Json | Format::Logfmt) || line.fields.is_empty() {
            return None;
        }
        let kind = KIND_KEYS.iter().find_map(|key| line.field(key)).filter(|kind| !kind.is_empty());
        let message = || ["error.message", "err.message", "exception.message"].iter().find_map(|key| line.field(key));
        match (kind, line.field("error").or_else(|| line.field("err")).or_else(|| line.field("exception"))) {
            (Some(kind), text) => {
                let message = message().or(text).unwrap_or("").to_owned();
                Some(Self { kind: kind.to_owned(), message, ..Self::default() })
            }
            (None, Some(text)) => Self::of_text(text).filter(|found| is_class(&found.kind)),
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::signature::envelope::{Exception, parse};

    #[test]
    fn a_trace_inside_a_json_line_is_read() {
        for (text, kind, message, frames) in [
            (
                r#"{"msg":"a","exception":"Traceback (most recent call last):\n  File \"x.py\", line 3, in f\n    g()\nKeyError: 'k'"}"#,
                "KeyError",
                "'k'",
                1,
            ),
            (r#"{"msg":"a","stack_trace":"a.B: c\n\tat a.B.m(B.java:3)\n\tat a.C.n(C.java:4)"}"#, "a.B", "c", 2),
            (
                r#"{"msg":"a","err":{"type":"TypeError","message":"b","stack":"TypeError: b\n    at f (/x.js:1:2)"}}"#,
                "TypeError",
                "b",
                1,
            ),
            (r#"{"msg":"a","error.type":"a.B","error.message":"c"}"#, "a.B", "c", 0),
            (r#"{"msg":"a","error":"ValueError: c"}"#, "ValueError", "c", 0),
        ] {
            let line = parse(text);
            let found = Exception::of_line(&line).unwrap();
            assert_eq!((&*found.kind, &*found.message, found.frames.len()), (kind, message, frames), "{text}");
        }
        assert_eq!(Exception::of_line(&parse(r#"{"msg":"a","error":"refused"}"#)), None);
    }
}
