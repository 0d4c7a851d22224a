//! How grave an exception is.

use crate::api::Severity;
use crate::signature::envelope::{Exception, Level, Line};

/// Exceptions after which the program cannot be trusted to go on: its memory is used up or damaged. By their full names, for a
/// client may have a class of the same name for a server's memory.
const DEADLY: [&str; 13] = [
    "MemoryError",
    "OutOfMemoryError",
    "StackOverflowError",
    "java.lang.OutOfMemoryError",
    "java.lang.StackOverflowError",
    "java.lang.InternalError",
    "java.lang.VirtualMachineError",
    "System.OutOfMemoryException",
    "System.StackOverflowException",
    "System.AccessViolationException",
    "std::bad_alloc",
    "bad_alloc",
    "fatal error",
];

/// Classes by which a program ends because it was told to.
const STOPS: [&str; 7] = [
    "KeyboardInterrupt",
    "SystemExit",
    "GeneratorExit",
    "CancelledError",
    "TaskCanceledException",
    "OperationCanceledException",
    "InterruptedException",
];

/// How a line begins that tells of the end of the program: a panic of Go's, and the main thread of Java and of Rust.
const ENDS: [&str; 3] = ["panic: ", "Exception in thread \"main\"", "thread 'main'"];

/// How grave an exception is that came with `line`.
pub(super) fn severity(line: &Line<'_>, exception: &Exception) -> Severity {
    let deadly = DEADLY.contains(&&*exception.kind);
    let alone = if STOPS.contains(&class(&exception.kind)) {
        Severity::Info
    } else if deadly || ENDS.iter().any(|head| line.message.starts_with(head)) {
        Severity::Critical
    } else {
        Severity::Error
    };
    match line.level {
        None => alone,
        Some(Level::Fatal) => Severity::Critical,
        Some(Level::Error) => alone.max(Severity::Error),
        Some(Level::Warn) if deadly => Severity::Error,
        Some(Level::Warn) => Severity::Warning,
        // A name without a trace is a manner of speaking: `fatal error: no such page, going on`.
        Some(Level::Trace | Level::Debug | Level::Info | Level::Notice) if exception.frames.is_empty() => Severity::Info,
        Some(Level::Trace | Level::Debug | Level::Info | Level::Notice) => alone.min(Severity::Warning),
    }
}

/// The last part of the name of a class: `OutOfMemoryError` of `java.lang.OutOfMemoryError`.
pub(crate) fn class(kind: &str) -> &str {
    kind.rsplit(['.', '$', '+', '/', ':']).next().unwrap_or(kind)
}

/// How grave a class is that a message merely names.
pub(super) fn of_class(kind: &str) -> Severity {
    if DEADLY.contains(&kind) { Severity::Critical } else { Severity::Error }
}
