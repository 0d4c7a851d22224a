//! How grave an event is, by what it says of itself.
//!
//! ```text
//!   access line ─► exception ─► status ─► level ─► words
//!   the status     uncaught,     of the    that the  of the message,
//!   decides        or as the     request   line      where nothing
//!                  level lets it           names     else is known
//! ```
//!
//! The first kind of evidence that there is decides; what comes behind it is not looked at:
//!
//! 1. An access line is as grave as its status: 5xx is an Error, 4xx a Warning, all else Info, whatever words the path
//!    holds. What a path holds is for the client to choose.
//! 2. An exception that nobody logged (`fault`) is an Error, and Critical if the program or its memory is known to be
//!    gone with it. One that was logged is as grave as the level says: a trace at info and below is at most a Warning, a
//!    class without a trace is nothing there, and a class of lost memory lifts an error to Critical and a warning to Error.
//! 3. A status that another line names: 5xx is an Error, 4xx a Warning.
//! 4. A level: fatal is Critical, error is Error, warning is Warning, all else Info. What is fatal to one connection
//!    only is an Error.
//! 5. Words of the message (`words`).
//!
//! Noise is never found here: only a rule can say that something is not worth a look.

mod access;
mod exit;
mod fault;
#[cfg(test)]
mod tests;
mod words;

pub use exit::{Exit, of_exit};

pub(crate) use access::is_access;
pub(crate) use fault::class;

use crate::api::Severity;
use crate::signature::envelope::{Format, Level, Line, Record};

/// How grave a record is.
#[must_use]
pub fn severity(record: &Record) -> Severity {
    let line = &record.line;
    let status = line.status.and_then(of_status);
    if is_access(line) {
        return status.unwrap_or(Severity::Info);
    }
    if let Some(exception) = &record.exception {
        return fault::severity(line, exception);
    }
    match (status, line.level) {
        (Some(status), _) => status,
        (None, Some(level)) => of_level(line, level),
        (None, None) => words::severity(&line.message),
    }
}

/// How grave the answer to a request is. Nothing is known by an answer that tells of no failure.
fn of_status(status: u16) -> Option<Severity> {
    match status {
        500.. => Some(Severity::Error),
        400..500 => Some(Severity::Warning),
        _ => None,
    }
}

/// How grave a level is.
fn of_level(line: &Line<'_>, level: Level) -> Severity {
    if line.format == Format::Leveled && words::is_nothing(&line.message) {
        // `error: none` is a report that there is none.
        return Severity::Info;
    }
    match level {
        Level::Fatal if is_of_one_connection(line) => Severity::Error,
        Level::Fatal => Severity::Critical,
        Level::Error => Severity::Error,
        Level::Warn => Severity::Warning,
        Level::Trace | Level::Debug | Level::Info | Level::Notice => Severity::Info,
    }
}

/// Whether a line speaks of one connection among many. `PostgreSQL` calls the end of a session FATAL; only what its first
/// process says, number 1 in a container, is about the server. nginx begins what is about a connection with its number: `*12 `.
fn is_of_one_connection(line: &Line<'_>) -> bool {
    match line.format {
        Format::Postgres => line.field("pid") != Some("1"),
        Format::Stamped => line.message.strip_prefix('*').is_some_and(|rest| {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            digits > 0 && rest[digits..].starts_with(' ')
        }),
        _ => false,
    }
}
