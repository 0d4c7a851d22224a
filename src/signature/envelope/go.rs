//! Go's panics, fatal errors and goroutine dumps.

use crate::signature::envelope::exception::{Draft, Exception, Frame};

/// A dump that is being read.
#[derive(Debug)]
pub(crate) struct Dump {
    /// What is known.
    draft: Draft,
    /// How many goroutines have begun. Only the first one is at fault.
    goroutines: usize,
    /// Whether the next indented line is the place of a function whose frame was added.
    open_frame: bool,
}

impl Dump {
    /// Begins a dump if `text` does.
    pub fn open(text: &str) -> Option<Self> {
        let mut dump = Self { draft: Draft::new(), goroutines: 0, open_frame: false };
        if let Some(message) = text.strip_prefix("panic: ") {
            dump.draft.name("panic", message);
        } else if let Some(message) = text.strip_prefix("fatal error: ") {
            dump.draft.name("fatal error", message);
        } else if is_goroutine(text) {
            dump.goroutines = 1;
        } else {
            return None;
        }
        Some(dump)
    }

    /// Whether the line at hand only goes on with what another line has begun: `http: panic serving …` comes first.
    pub fn attaches(text: &str) -> bool {
        is_goroutine(text)
    }

    /// Names a dump that came behind a log line.
    pub fn name(&mut self, message: &str) {
        if !self.draft.is_named() {
            self.draft.name("panic", message);
        }
    }

    /// Takes the next line, if it belongs to the dump.
    pub fn take(&mut self, text: &str) -> bool {
        if text.trim().is_empty() {
            return true;
        }
        if text.starts_with([' ', '\t']) {
            let inner = text.trim();
            if self.open_frame
                && let Some(frame) = self.draft.last_frame()
            {
                let place = inner.split(' ').next().unwrap_or(inner);
                *frame = Frame::at(&frame.function, place);
            }
            self.open_frame = false;
            if self.goroutines == 0 {
                self.draft.more(inner);
            }
            return true;
        }
        if is_goroutine(text) {
            self.goroutines += 1;
            self.open_frame = false;
            return true;
        }
        if let Some(function) = function(text) {
            let inside = matches!(function, "panic") || function.starts_with("runtime.") || function.starts_with("runtime/");
            self.open_frame = self.goroutines == 1 && !inside;
            if self.open_frame {
                self.draft.frame(Frame::new(function, "", 0));
            }
            return true;
        }
        is_trailer(text)
    }

    /// The exception.
    pub fn finish(self) -> Exception {
        self.draft.finish()
    }
}

/// Whether a line begins a goroutine: `goroutine 1 [running]:`.
fn is_goroutine(text: &str) -> bool {
    text.strip_prefix("goroutine ").is_some_and(|rest| {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        digits > 0 && rest[digits..].starts_with(" [") && rest.trim_end().ends_with("]:")
    })
}

/// The function of `main.(*T).f(0x1, 0x2)`, which has no blank before the bracket of its arguments.
fn function(text: &str) -> Option<&str> {
    let text = text.trim_end();
    let text = text.strip_prefix("created by ").unwrap_or(text);
    let text = text.split(" in goroutine ").next().unwrap_or(text);
    let name = match text.strip_suffix(')') {
        // The last bracket that opens right behind a letter, so that `(*T)` stays with the name.
        Some(inner) => {
            let bytes = inner.as_bytes();
            let open = (1..bytes.len()).find(|at| {
                bytes[*at] == b'(' && (bytes[at - 1].is_ascii_alphanumeric() || matches!(bytes[at - 1], b'_' | b']'))
            })?;
            &inner[..open]
        }
        None => text,
    };
    let fits = !name.is_empty() && !name.contains(' ') && (name.contains('.') || name == "panic");
    fits.then_some(name)
}

/// Whether a line is one of those that stand around the goroutines.
fn is_trailer(text: &str) -> bool {
    text.starts_with("[signal ")
        || text.starts_with("exit status ")
        || text.starts_with("goroutine running on other thread")
        || text.starts_with("panic: ")
        || text.starts_with("...additional frames elided")
        // Registers: `rax    0x0`.
        || text.split_once(' ').is_some_and(|(name, value)| name.len() <= 6 && value.trim_start().starts_with("0x"))
}
