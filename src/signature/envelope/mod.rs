//! Takes a container's raw log lines apart and puts the lines of one event together.
//!
//! [`parse`] looks at one line. It finds the envelope (prefix, time, level, logger) and hands back the message. What it
//! does not know is a message as a whole. [`Folder`] looks at many lines. It joins a stack trace with the line that
//! announced it, and gives [`Record`]s.
//!
//! Nothing here reads a clock, a file or a setting. The same input gives the same output.

mod access;
mod ansi;
mod cursor;
mod dotnet;
mod exception;
mod fold;
mod go;
mod json;
mod keyed;
mod klog;
mod level;
mod leveled;
mod line;
mod logfmt;
mod logger;
mod panic;
mod parse;
mod postgres;
mod prefix;
mod python;
mod record;
mod redis;
mod stamp;
mod stamped;
mod syslog;
mod tail;
mod throwable;
mod trace;

pub use exception::{Exception, Frame, MAX_CAUSES, MAX_FRAMES};
pub use fold::{Folder, Limits};
pub use level::Level;
pub use line::{Field, Format, Line};
pub use parse::parse;
pub use record::{Facts, Record};
pub use stamp::Stamp;
