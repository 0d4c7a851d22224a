//! Rust's panics, in the old form and in the new one, with and without a backtrace.

use crate::signature::envelope::exception::{Draft, Exception, Frame};

/// Functions that stand between a panic and the code that caused it.
const MACHINERY: [&str; 7] =
    ["rust_begin_unwind", "__rust", "_start", "std::", "core::panicking", "core::result::unwrap_failed", "core::option"];

/// A panic that is being read.
#[derive(Debug)]
pub(crate) struct Panic {
    /// What is known.
    draft: Draft,
    /// Whether the next line is the message.
    awaits_message: bool,
    /// Whether the backtrace has begun.
    in_backtrace: bool,
    /// Whether the next `at` line is the place of a frame that was added.
    open_frame: bool,
}

impl Panic {
    /// Begins a panic if `text` does: `thread 'main' panicked at …`, with or without a thread number.
    pub fn open(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("thread ")?;
        let (_, rest) = rest.split_once(" panicked at ")?;
        let mut panic = Self { draft: Draft::new(), awaits_message: false, in_backtrace: false, open_frame: false };
        let rest = rest.trim_end();
        if let Some(place) = rest.strip_suffix(':') {
            // The new form: the place, and the message on the next line.
            panic.draft.name("panic", "");
            panic.draft.frame(Frame::at("", place));
            panic.awaits_message = true;
        } else if let Some((message, place)) = rest.rsplit_once("', ") {
            panic.draft.name("panic", message.strip_prefix('\'').unwrap_or(message));
            panic.draft.frame(Frame::at("", place));
        } else {
            // The old form with a message of more than one line.
            panic.draft.name("panic", rest.strip_prefix('\'').unwrap_or(rest));
            panic.awaits_message = rest.starts_with('\'');
        }
        Some(panic)
    }

    /// Takes the next line, if it belongs to the panic.
    pub fn take(&mut self, text: &str) -> bool {
        let inner = text.trim();
        if self.awaits_message {
            self.awaits_message = inner.is_empty();
            self.draft.more(text.trim_end());
            return true;
        }
        if inner.is_empty() || inner.starts_with("note: ") {
            return true;
        }
        if inner == "stack backtrace:" {
            self.in_backtrace = true;
            return true;
        }
        if !text.starts_with([' ', '\t']) {
            return false;
        }
        if !self.in_backtrace {
            self.draft.more(text.trim_end());
            return true;
        }
        if let Some(place) = inner.strip_prefix("at ") {
            if self.open_frame
                && let Some(frame) = self.draft.last_frame()
            {
                *frame = Frame::at(&frame.function, place);
            }
            self.open_frame = false;
        } else if let Some((number, function)) = inner.split_once(": ")
            && number.bytes().all(|byte| byte.is_ascii_digit())
        {
            // `0x55… - name` is how the full form begins a frame.
            let function = function.rsplit(" - ").next().unwrap_or(function).trim();
            self.open_frame = !MACHINERY.iter().any(|machinery| function.starts_with(machinery));
            if self.open_frame {
                self.draft.frame(Frame::new(function, "", 0));
            }
        }
        true
    }

    /// The exception.
    pub fn finish(self) -> Exception {
        self.draft.finish()
    }
}
