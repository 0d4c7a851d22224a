//! What went wrong, as a stack trace tells it.

use std::collections::VecDeque;
use std::fmt;

/// How many frames an [`Exception`] keeps. The innermost ones tell one fault from another; eight are past the libraries
/// in most traces.
pub const MAX_FRAMES: usize = 8;

/// How many causes an [`Exception`] keeps. Longer chains repeat themselves.
pub const MAX_CAUSES: usize = 4;

/// The longest message kept, in bytes. Some drivers put the whole query there.
const LONGEST_MESSAGE: usize = 2048;

/// The longest kind, in bytes. Longer than any class name.
const LONGEST_KIND: usize = 256;

/// The longest name of a function or a file, in bytes.
const LONGEST_NAME: usize = 512;

/// The failure that a trace tells of: the one that was thrown last, not the one at the root of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exception {
    /// The class as the trace has it (`psycopg.OperationalError`), or `panic`. Empty if the trace does not say.
    pub kind: String,
    /// What the exception says. May be empty. At most 2048 bytes.
    pub message: String,
    /// Where it happened, the innermost frame first, at most [`MAX_FRAMES`].
    pub frames: Vec<Frame>,
    /// The kinds of the exceptions that led to it, or that a group is made of, in the order of the trace. At most
    /// [`MAX_CAUSES`].
    pub causes: Vec<String>,
}

/// One step of a call stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// The function. Empty if unknown.
    pub function: String,
    /// The source file. Empty if unknown.
    pub file: String,
    /// The line in the file, from 1. 0 if unknown.
    pub line: u32,
}

impl Frame {
    /// A frame of the given parts.
    pub(crate) fn new(function: &str, file: &str, line: u32) -> Self {
        Self { function: cut(function, LONGEST_NAME).to_owned(), file: cut(file, LONGEST_NAME).to_owned(), line }
    }

    /// A frame whose place is written `file:line` or `file:line:column`.
    pub(crate) fn at(function: &str, place: &str) -> Self {
        let (file, line) = split_place(place);
        Self::new(function, file, line)
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}:{})", self.function, self.file, self.line)
    }
}

/// File and line of `file:line` or `file:line:column`. The line is 0 if there is none.
pub(crate) fn split_place(place: &str) -> (&str, u32) {
    let number = |text: &str| text.parse::<u32>().ok();
    let Some((rest, last)) = place.rsplit_once(':') else { return (place, 0) };
    let Some(last) = number(last) else { return (place, 0) };
    match rest.rsplit_once(':').and_then(|(file, line)| Some((file, number(line)?))) {
        Some(found) => found,
        None => (rest, last),
    }
}

/// As much of `text` as fits into `most` bytes.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// An exception that is being read. It keeps a bounded number of things, however long the trace.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    /// The class.
    kind: String,
    /// What it says.
    message: String,
    /// The frames, in the order of the trace.
    frames: VecDeque<Frame>,
    /// The kinds of the others.
    causes: Vec<String>,
    /// Whether the trace has the innermost frame at its end.
    innermost_last: bool,
}

impl Draft {
    /// An exception whose trace has the innermost frame first.
    pub fn new() -> Self {
        Self::default()
    }

    /// An exception whose trace has the innermost frame last.
    pub fn innermost_last() -> Self {
        Self { innermost_last: true, ..Self::default() }
    }

    /// Names the exception.
    pub fn name(&mut self, kind: &str, message: &str) {
        cut(kind, LONGEST_KIND).clone_into(&mut self.kind);
        cut(message, LONGEST_MESSAGE).clone_into(&mut self.message);
    }

    /// Adds a line to the message.
    pub fn more(&mut self, text: &str) {
        if !self.message.is_empty() && self.message.len() < LONGEST_MESSAGE {
            self.message.push('\n');
        }
        let room = LONGEST_MESSAGE.saturating_sub(self.message.len());
        self.message.push_str(cut(text, room));
    }

    /// Whether it has a name.
    pub fn is_named(&self) -> bool {
        !self.kind.is_empty()
    }

    /// Adds a frame.
    pub fn frame(&mut self, frame: Frame) {
        if self.frames.len() == MAX_FRAMES {
            if !self.innermost_last {
                return;
            }
            self.frames.pop_front();
        }
        self.frames.push_back(frame);
    }

    /// The frame that was added last.
    pub fn last_frame(&mut self) -> Option<&mut Frame> {
        self.frames.back_mut()
    }

    /// Adds a cause.
    pub fn cause(&mut self, kind: &str) {
        if self.causes.len() < MAX_CAUSES && !kind.is_empty() {
            self.causes.push(cut(kind, LONGEST_KIND).to_owned());
        }
    }

    /// Makes the exception read so far a cause of the one that follows.
    pub fn next(&mut self) {
        let kind = std::mem::take(&mut self.kind);
        self.cause(&kind);
        self.message.clear();
        self.frames.clear();
    }

    /// The exception.
    pub fn finish(self) -> Exception {
        let mut frames = Vec::from(self.frames);
        if self.innermost_last {
            frames.reverse();
        }
        Exception { kind: self.kind, message: self.message, frames, causes: self.causes }
    }
}

/// Splits `package.Kind: message` in two. Gives nothing if the text does not begin with the name of an exception: one
/// word
/// of letters, digits, `.`, `_`, `$`, `+` and `/` that ends the text or has a colon and a blank behind it.
pub(crate) fn split_kind(text: &str) -> Option<(&str, &str)> {
    let end = text
        .bytes()
        .take(LONGEST_KIND)
        .position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'$' | b'+' | b'/')))
        .unwrap_or(text.len());
    let (kind, rest) = text.split_at(end);
    let starts = kind.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    if !starts || end > LONGEST_KIND {
        return None;
    }
    // Node.js writes a code in brackets behind the class: `TypeError [ERR_X]: message`.
    let rest = match rest.strip_prefix(" [").and_then(|inner| inner.split_once(']')) {
        Some((code, rest)) if !code.contains(' ') => rest,
        _ => rest,
    };
    match rest.strip_prefix(':') {
        None if rest.trim().is_empty() => Some((kind, "")),
        Some(message) if message.is_empty() || message.starts_with([' ', '\t', '\n']) => Some((kind, message.trim())),
        _ => None,
    }
}

/// Whether a kind can be a class if a frame follows it: its last part begins with a capital.
pub(crate) fn is_capital(kind: &str) -> bool {
    let class = kind.rsplit(['.', '$', '+']).next().unwrap_or(kind);
    class.bytes().next().is_some_and(|byte| byte.is_ascii_uppercase())
}

/// Whether a kind looks like the class of an exception even without a trace.
pub(crate) fn is_class(kind: &str) -> bool {
    let class = kind.rsplit(['.', '$', '+']).next().unwrap_or(kind);
    is_capital(kind) && ["Error", "Exception", "Throwable", "Failure"].iter().any(|end| class.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::{Draft, Frame, MAX_CAUSES, MAX_FRAMES, is_class, split_kind, split_place};

    #[test]
    fn a_class_and_a_message_are_split() {
        for (text, split) in [
            ("psycopg.OperationalError: no: way", Some(("psycopg.OperationalError", "no: way"))),
            ("KeyboardInterrupt", Some(("KeyboardInterrupt", ""))),
            ("TypeError [ERR_X]: bad", Some(("TypeError", "bad"))),
            ("A.B+C: x", Some(("A.B+C", "x"))),
            ("some words: x", None),
            ("10:00:00", None),
            ("", None),
            ("é: x", None),
        ] {
            assert_eq!(split_kind(text), split, "{text}");
        }
        assert!(is_class("java.lang.RuntimeException") && is_class("Error") && !is_class("error") && !is_class("a.B"));
    }

    #[test]
    fn a_place_may_have_a_column() {
        assert_eq!(split_place("/a/x.js:10:5"), ("/a/x.js", 10));
        assert_eq!(split_place("src/main.rs:2"), ("src/main.rs", 2));
        assert_eq!(split_place("Native Method"), ("Native Method", 0));
    }

    #[test]
    fn the_innermost_frames_are_kept() {
        for (mut draft, first) in [(Draft::new(), 0), (Draft::innermost_last(), 99)] {
            for line in 0..100 {
                draft.frame(Frame::new("f", "x", line));
                draft.cause("C");
            }
            let exception = draft.finish();
            assert_eq!((exception.frames.len(), exception.causes.len()), (MAX_FRAMES, MAX_CAUSES));
            assert_eq!(exception.frames[0].line, first);
        }
    }
}
