//! Log tails: what a container prints, line by line, from a position on, each line once.
//!
//! ```text
//!   engine ── frames ──> parts ── lines ──> position ── new ones ──> budget ──> batch ──> channel ──> reader
//!                        put together       skips known ones         drops and counts     4 batches
//! ```
//!
//! # Guarantees
//! - Each line of a container's log is handed out once, in the order in which Docker has it, over restarts of the container,
//!   of the engine and of this program, when the reader goes on from the last [`Position`] that it was handed.
//! - When the reader is slow, Docker waits. A follower holds at most [`MOST_BYTES`], whatever is printed.
//! - Nothing is left out in silence: what is beyond the [`Budget`] is [`Item::Dropped`], what Docker no longer has is
//!   [`Item::Gap`], what was cut off a line is [`Line::cut`], and a log that cannot be read is [`Item::Unreadable`].
//!
//! # What Docker does not allow
//! - A log that is rotated twice before it was read on has lost lines. That is seen when it is read from a position on, not
//!   while one stream of it goes on: the engine itself passes over them.
//! - An engine that rotates a log repeats what is in the new file by then. Up to 1,024 lines of an output are known again;
//!   more were never seen, and would be handed out twice.
//! - Two lines with the same stamp, to the nanosecond, and the same text are taken for one that is repeated.
//! - A log that was rotated once just behind the last line that was read has lost nothing, and looks the same.
//! - A container with a terminal has one output, and its last line without an end becomes one with what its next start
//!   prints.
//! - When the host's clock is set back by more than two seconds while nobody reads, what comes until it has caught up is not
//!   asked for.
//!
//! # Layout
//! - [`Start`], [`Item`], [`follow`]: the interface
//! - `follower`: the task: opens the stream, waits, tries again
//! - `intake`: from frames to items; no I/O
//! - `stamp`, `parts`, `position`, `budget`: the steps of it, as drawn above

mod budget;
mod follower;
mod intake;
mod parts;
mod position;
mod stamp;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

pub use budget::{Budget, Dropped};
use follower::Follower;
pub use position::{Gap, Mark, Position};

use crate::observe::engine::Engine;

/// Lines that are read of a log that is seen for the first time: enough to hold what was said before an incident.
pub const FIRST_LINES: u32 = 1000;

/// How far back they may have been printed, in minutes. What is older has nothing to do with what happens now.
pub const FIRST_MINUTES: i64 = 10;

/// Most bytes of a line: four parts as Docker makes them. A stack trace in one line of JSON has a tenth of it.
pub const LINE_BYTES: usize = 64 * 1024;

/// Bytes of lines and their keeping after which a batch is handed out, so that a reader has some hundred lines to work on.
const BATCH_BYTES: usize = 64 * 1024;

/// Batches that wait for the reader. While they do, it can be busy for that long before Docker has to wait.
const BATCHES: usize = 4;

/// Most bytes that a follower holds: the batches that wait, the one that waits to be one of them and the one that is filled,
/// each with one line more than it may have, of which no byte is text and each becomes three; the unfinished lines; and what
/// the connection buffers (400 KiB of HTTP and two frames) and the stamps that are kept (48 KiB).
pub const MOST_BYTES: usize = (BATCHES + 2) * (BATCH_BYTES + 3 * LINE_BYTES) + 3 * LINE_BYTES + 512 * 1024;

/// Where a container printed a line. All that a container with a terminal prints is `Stdout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// Its standard output.
    Stdout,
    /// Its standard error.
    Stderr,
}

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When the engine read it, or the first part of it.
    pub at: Timestamp,
    /// Where it was printed.
    pub output: Output,
    /// Its text without its end. What is no UTF-8 was replaced.
    pub text: String,
    /// How many bytes were cut off its end: those beyond [`LINE_BYTES`]. More than 4 GiB count as that.
    pub cut: u32,
}

/// Where to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Behind what was handed out with that position. That of another container is none: its log begins.
    After(Position),
    /// With the first line that there is: a container that was made while we watched.
    First,
    /// With the last so many lines from that time on: a container that is seen for the first time. See [`FIRST_LINES`] and
    /// [`FIRST_MINUTES`]. A part of 16 KiB counts as a line, so that the first one may be the end of a longer one.
    Last {
        /// How many.
        lines: u32,
        /// From when on.
        from: Timestamp,
    },
}

/// What a follower hands out.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// New lines, oldest first, at least one.
    Lines {
        /// The lines.
        batch: Vec<Line>,
        /// Where to go on when they have been dealt with.
        position: Position,
    },
    /// Lines were beyond the budget. Once a second at most, and at the end of the stream.
    Dropped {
        /// How many and when.
        dropped: Dropped,
        /// Where to go on. They are not read again.
        position: Position,
    },
    /// Lines between what was read before and what comes now may be missing. They are not in the log any more.
    Gap(Gap),
    /// The log cannot be read, for that reason. Told once. When it is for good, as with a log driver that keeps nothing, the
    /// channel closes; else it is tried again, and lines follow when there are some.
    Unreadable(String),
    /// The container stopped. What it prints when it runs again follows; when it is removed the channel closes.
    Ended,
}

/// Follows the log of a container, by its full id, until it is removed or what is returned is dropped.
///
/// `started` changes whenever the container may have been started. That makes what it prints then come at once; without it,
/// it comes within half a minute.
///
/// Must be called within a runtime.
#[must_use]
pub fn follow(
    engine: Engine,
    container: &str,
    start: Start,
    budget: Budget,
    started: watch::Receiver<u64>,
) -> mpsc::Receiver<Item> {
    let (sender, items) = mpsc::channel(BATCHES);
    let follower = Follower::new(engine, container, start, budget, started);
    tokio::spawn(follower.run(sender));
    items
}
