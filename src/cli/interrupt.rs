//! Ctrl-C and SIGTERM: a command that is told to end clears what it has drawn, ends its line, and then dies of that very
//! signal.
//!
//! ```text
//! signal ──▶ listener (a thread of its own) ──▶ the verb's future is dropped at its next await: guards clear the line
//!                      │                            └─▶ output is flushed ─▶ die
//!                      └─ a verb that blocks (reads standard input, writes to a pipe that nobody reads): after GRACE ─▶ die
//! ```
//!
//! A shell that runs a loop goes on with it after Ctrl-C unless its command has died of the signal; an exit code of 130
//! alone does not tell it. In `$?` both are 130, and 143 for SIGTERM.
//!
//! A second signal does not wait. While a [`Hold`] is there, signals are the business of the program that was started.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// How long a verb that blocks may go on: too short to be felt, long enough to flush what is buffered.
const GRACE: Duration = Duration::from_millis(250);

/// Added to a signal's number, it is what shells show as the exit code of a command that died of it (POSIX, XCU 2.8.2).
const DIED: u8 = 128;

/// How many [`Hold`]s there are. One for the process, as its signals are.
static HELD: AtomicUsize = AtomicUsize::new(0);

/// A signal that ends a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT, which Ctrl-C sends.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

impl Signal {
    /// What the shell's `$?` is afterwards.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        DIED + match self {
            Self::Interrupt => 2,
            Self::Terminate => 15,
        }
    }

    /// Ends the process as the signal would have ended it, had nobody listened. Whatever is buffered is lost: flush first.
    ///
    /// It returns only when that cannot be done; then the exit code has to tell.
    #[must_use]
    pub fn die(self) -> ExitCode {
        let name = match self {
            Self::Interrupt => "INT",
            Self::Terminate => "TERM",
        };
        // A signal that was listened to gets its default action back when the process becomes another program; without
        // unsafe code there is no other way.
        let _ = Command::new("/bin/sh").args(["-c", &format!("kill -{name} $$")]).exec();
        ExitCode::from(self.exit_code())
    }
}

/// Signals are left to a program that was started, such as an editor, as long as this lives: it shares the terminal, and
/// knows better what Ctrl-C means.
#[derive(Debug)]
pub struct Hold(());

/// Holds signals back.
#[must_use]
pub fn hold() -> Hold {
    HELD.fetch_add(1, Ordering::SeqCst);
    Hold(())
}

impl Drop for Hold {
    fn drop(&mut self) {
        HELD.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Listens from now on. What comes back resolves to the first signal.
///
/// # Errors
/// When there can be no thread or no listener.
pub fn listen() -> std::io::Result<oneshot::Receiver<Signal>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (tell, told) = oneshot::channel();
    let (mut interrupts, mut terminations) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let next = async move || loop {
        let signal = tokio::select! {
            _ = interrupts.recv() => Signal::Interrupt,
            _ = terminations.recv() => Signal::Terminate,
        };
        if HELD.load(Ordering::SeqCst) == 0 {
            return signal;
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut next = next;
        let first = runtime.block_on(next());
        // Nobody listens when the verb is over: then the process is about to end anyway.
        let _ = tell.send(first);
        std::thread::sleep(GRACE);
        let _ = first.die();
        std::process::exit(i32::from(first.exit_code()));
    })?;
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_codes_are_the_shells() {
        assert_eq!(Signal::Interrupt.exit_code(), 130);
        assert_eq!(Signal::Terminate.exit_code(), 143);
    }

    #[test]
    fn a_hold_ends_with_its_guard() {
        let before = HELD.load(Ordering::SeqCst);
        let one = hold();
        let two = hold();
        assert_eq!(HELD.load(Ordering::SeqCst), before + 2);
        drop(one);
        drop(two);
        assert_eq!(HELD.load(Ordering::SeqCst), before);
    }
}
