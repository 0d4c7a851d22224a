//! Stack traces made of `at` lines: Java and its kin, Node.js, .NET.
//!
//! All three put the class and the message first and the innermost frame next. They differ in what stands behind `at`,
//! and in how they tell of causes.

use crate::signature::envelope::exception::{Draft, Exception, Frame, is_capital, is_class, split_kind, split_place};

/// What may stand before the class.
const LEADS: [&str; 6] = [
    "Unhandled exception. ",
    "Unhandled exception: ",
    "Unhandled Exception: ",
    "Uncaught exception: ",
    "Uncaught ",
    "[cause]: ",
];

/// A trace that is being read.
#[derive(Debug)]
pub(crate) struct Throwable {
    /// What is known.
    draft: Draft,
    /// Whether the frames are those of a cause.
    in_cause: bool,
    /// Whether we are still before the header: Node.js shows the source line first.
    before_header: bool,
    /// Whether a frame has come.
    framed: bool,
}

impl Throwable {
    /// Begins a trace if `text` names an exception by its looks, or is the place with which Node.js begins.
    pub fn open(text: &str) -> Option<Self> {
        if is_node_place(text) {
            return Some(Self { draft: Draft::new(), in_cause: false, before_header: true, framed: false });
        }
        let (kind, message, led) = header(text)?;
        (led || is_class(kind)).then(|| Self::named(kind, message))
    }

    /// Begins a trace with a frame or a cause, the line before it being `head`.
    pub fn resume(head: &str, text: &str) -> Option<Self> {
        if !is_at(text) && cause(text).is_none() {
            return None;
        }
        // Only what begins with a class: the head may be any sentence.
        let last = head.lines().next_back().unwrap_or(head).trim_start();
        let mut trace = match header(last).filter(|(kind, _, led)| *led || is_capital(kind)) {
            Some((kind, message, _)) => Self::named(kind, message),
            None => Self::named("", ""),
        };
        trace.take(text);
        Some(trace)
    }

    /// A trace of a known exception.
    fn named(kind: &str, message: &str) -> Self {
        let mut draft = Draft::new();
        draft.name(kind, message);
        Self { draft, in_cause: false, before_header: false, framed: false }
    }

    /// Takes the next line, if it belongs to the trace.
    pub fn take(&mut self, text: &str) -> bool {
        let inner = text.trim();
        if self.before_header {
            return self.take_before_header(text, inner);
        }
        if inner.is_empty() {
            return true;
        }
        if let Some(kind) = cause(text) {
            self.draft.cause(kind);
            self.in_cause = true;
            return true;
        }
        let indented = text.starts_with([' ', '\t']);
        if is_at(text) {
            self.framed = true;
            if !self.in_cause
                && let Some(frame) = frame(inner.strip_prefix("at ").unwrap_or(inner))
            {
                self.draft.frame(frame);
            }
            return true;
        }
        if indented && inner.starts_with("--- End of inner exception") {
            // What follows are the frames of the exception that was thrown.
            self.in_cause = false;
            return true;
        }
        if indented && !self.framed && !inner.starts_with("...") {
            self.draft.more(inner);
        }
        indented || (self.framed && (matches!(inner, "}" | "]" | ")") || inner.starts_with("Node.js v")))
    }

    /// Takes a line between the place and the header: source, caret, blank line, header.
    fn take_before_header(&mut self, text: &str, inner: &str) -> bool {
        if let Some((kind, message, _)) = header(text).filter(|(kind, _, led)| *led || is_class(kind)) {
            self.draft.name(kind, message);
            self.before_header = false;
            return true;
        }
        inner.is_empty() || text.starts_with([' ', '\t']) || inner.bytes().all(|byte| byte == b'^')
    }

    /// Whether there is more to the trace than a line that looks like a header.
    pub fn is_certain(&self) -> bool {
        self.framed || self.in_cause
    }

    /// The exception.
    pub fn finish(self) -> Exception {
        self.draft.finish()
    }
}

/// Reads `Kind: message`, with what may stand before it. Says whether something did.
fn header(text: &str) -> Option<(&str, &str, bool)> {
    let mut rest = text;
    let mut led = false;
    if !text.starts_with(['E', 'U', '[']) {
        return split_kind(text).map(|(kind, message)| (kind, message, false));
    }
    if let Some(behind) = rest.strip_prefix("Exception in thread \"")
        && let Some((_, behind)) = behind.split_once("\" ")
    {
        rest = behind;
        led = true;
    }
    for lead in LEADS {
        if let Some(behind) = rest.strip_prefix(lead) {
            rest = behind;
            led = true;
        }
    }
    let (kind, message) = split_kind(rest)?;
    Some((kind, message, led))
}

/// The kind that a line names as a cause: Java's `Caused by:` and `Suppressed:`, .NET's arrow, Node.js' `[cause]:`.
fn cause(text: &str) -> Option<&str> {
    let inner = text.trim_start();
    let indented = inner.len() < text.len();
    let named = inner.strip_prefix("Caused by: ").or_else(|| {
        let marks = ["Suppressed: ", "---> ", "[cause]: "];
        marks.iter().filter(|_| indented).find_map(|mark| inner.strip_prefix(mark))
    })?;
    let end = named.find([':', ' ', '{']).unwrap_or(named.len());
    Some(&named[..end])
}

/// Whether a line is a frame: indented, `at`, a blank.
pub(crate) fn is_at(text: &str) -> bool {
    let inner = text.trim_start();
    inner.len() < text.len() && inner.starts_with("at ") && (inner.contains(['(', ':', '.', '<']))
}

/// Whether a line is the place with which Node.js begins: a path, a colon, a number.
fn is_node_place(text: &str) -> bool {
    if !(text.starts_with('/') || text.starts_with("file://") || text.starts_with("node:")) || text.contains(' ') {
        return false;
    }
    let (file, line) = split_place(text);
    let script = [".js", ".ts", ".mjs", ".cjs", ".tsx", ".jsx"].iter().any(|end| file.ends_with(end));
    line > 0 && (script || text.starts_with("node:"))
}

/// Reads what stands behind `at`.
fn frame(text: &str) -> Option<Frame> {
    // .NET: `A.B.C(String x) in /src/x.cs:line 12`.
    if let Some((function, place)) = text.split_once(") in ") {
        let (file, line) = place.rsplit_once(":line ").unwrap_or((place, ""));
        return Some(Frame::new(function.split('(').next().unwrap_or(function), file, line.trim().parse().unwrap_or(0)));
    }
    // Java: `a.b.C.m(C.java:12) ~[x.jar:1]`. Node.js: `async f (/a/x.js:10:5)`.
    if let Some((function, place)) = text.split_once('(') {
        let (place, _) = place.split_once(')').unwrap_or((place, ""));
        let node = function.ends_with(' ');
        let placed = node || place.ends_with(|last: char| last.is_ascii_digit());
        let place = if placed { place } else { "" };
        return Some(Frame::at(function.trim_end(), place));
    }
    // Node.js without a function: `/a/x.js:10:5`.
    (!text.is_empty()).then(|| Frame::at("", text))
}
