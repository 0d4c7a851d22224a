//! Python's tracebacks: plain, chained, with carets, and exception groups.

use crate::signature::envelope::exception::{Draft, Exception, Frame, split_kind};

/// What begins a traceback.
const HEAD: &str = "Traceback (most recent call last):";

/// What begins the traceback of a group.
const GROUP_HEAD: &str = "+ Exception Group Traceback (most recent call last):";

/// What stands between two chained tracebacks.
const LINKS: [&str; 2] = [
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
];

/// How lines begin that database drivers and `SQLAlchemy` put behind the exception as a part of its message.
const MORE: [&str; 8] =
    ["DETAIL: ", "HINT: ", "CONTEXT: ", "LINE ", "[SQL: ", "[parameters: ", "(Background on this error at", "QUERY: "];

/// Where in a traceback we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Among the frames. The first line that is not indented names the exception.
    Frames,
    /// Behind the line that names the exception.
    Named,
    /// Behind a link. Another traceback follows.
    Linked,
    /// In a group, whose bars stand in this column.
    Group(usize),
}

/// A traceback that is being read.
#[derive(Debug)]
pub(crate) struct Traceback {
    /// Where we are.
    place: Place,
    /// What is known.
    draft: Draft,
}

impl Traceback {
    /// Begins a traceback if `text` does.
    pub fn open(text: &str) -> Option<Self> {
        Some(Self { place: heads(text)?, draft: Draft::innermost_last() })
    }

    /// Takes the next line, if it belongs to the traceback.
    pub fn take(&mut self, text: &str) -> bool {
        let indented = text.starts_with([' ', '\t']);
        match self.place {
            Place::Group(column) if indented => self.in_group(text, column),
            Place::Frames if indented => {
                if let Some(frame) = frame(text.trim_start()) {
                    self.draft.frame(frame);
                }
                true
            }
            Place::Frames if text.trim().is_empty() => true,
            Place::Frames => match split_kind(text) {
                Some((kind, message)) => {
                    self.draft.name(kind, message);
                    self.place = Place::Named;
                    true
                }
                None => false,
            },
            Place::Named if indented || MORE.iter().any(|more| text.starts_with(more)) => {
                if heads(text).is_some() {
                    return self.linked(text);
                }
                self.draft.more(text.trim());
                true
            }
            Place::Group(_) | Place::Named | Place::Linked => self.linked(text),
        }
    }

    /// Takes a link between tracebacks, a blank line, or the traceback behind a link.
    fn linked(&mut self, text: &str) -> bool {
        if text.trim().is_empty() {
            return true;
        }
        if LINKS.contains(&text.trim_end()) {
            self.place = Place::Linked;
            return true;
        }
        match heads(text) {
            Some(place) if self.place == Place::Linked => {
                self.draft.next();
                self.place = place;
                true
            }
            _ => false,
        }
    }

    /// Takes a line of a group: `  | ` before the group's own lines, deeper bars before those of its parts.
    fn in_group(&mut self, text: &str, column: usize) -> bool {
        let inner = text.trim_start();
        let own = text.len() - inner.len() <= column;
        if inner.starts_with('+') {
            return true;
        }
        let Some(content) = inner.strip_prefix('|') else { return false };
        let content = content.strip_prefix(' ').unwrap_or(content);
        if let Some(frame) = frame(content.trim_start()) {
            if own {
                self.draft.frame(frame);
            }
        } else if !content.starts_with([' ', '\t'])
            && let Some((kind, message)) = split_kind(content)
        {
            if own && !self.draft.is_named() {
                self.draft.name(kind, message);
            } else if !own {
                self.draft.cause(kind);
            }
        }
        true
    }

    /// The exception.
    pub fn finish(self) -> Exception {
        self.draft.finish()
    }
}

/// Where a line leads that begins a traceback.
fn heads(text: &str) -> Option<Place> {
    let inner = text.trim();
    if inner.len() < HEAD.len() {
        return None;
    }
    let indent = text.len() - text.trim_start().len();
    match inner {
        HEAD => Some(Place::Frames),
        GROUP_HEAD => Some(Place::Group(indent)),
        _ => None,
    }
}

/// Reads `File "x.py", line 3, in f`. The function is missing where the syntax is at fault.
fn frame(text: &str) -> Option<Frame> {
    let (file, rest) = text.strip_prefix("File \"")?.split_once("\", line ")?;
    let (line, function) = rest.split_once(", in ").unwrap_or((rest, ""));
    Some(Frame::new(function.trim_end(), file, line.trim_end().parse().unwrap_or(0)))
}
