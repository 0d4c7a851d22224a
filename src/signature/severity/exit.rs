//! How grave the end of a container is.

use crate::api::Severity;

/// How a container ended, as the engine tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exit {
    /// Exit code of its first process, 0 to 255. One that a signal has ended has 128 and the signal's number.
    pub code: i64,
    /// Whether the kernel has killed a process of the container because its memory was used up.
    pub oom_killed: bool,
    /// Whether it was asked to stop: by an action, by Compose or by a person.
    pub asked: bool,
}

/// How grave the end of a container is: the first that fits of memory used up (Critical), exit code 0 (Info), ended by SIGTERM or
/// SIGINT when it was asked to stop (Info), crashed by SIGABRT or SIGSEGV (Critical), never started (125 to 127: Critical), all else
/// (Error).
#[must_use]
pub fn of_exit(exit: Exit) -> Severity {
    match exit.code {
        _ if exit.oom_killed => Severity::Critical,
        0 => Severity::Info,
        // 128 and SIGINT (2), SIGTERM (15).
        130 | 143 if exit.asked => Severity::Info,
        // 128 and SIGABRT (6), SIGSEGV (11).
        134 | 139 => Severity::Critical,
        // The engine could not start it, the command cannot be executed, there is no such command.
        125..=127 => Severity::Critical,
        _ => Severity::Error,
    }
}

#[cfg(test)]
mod tests {
    use super::{Exit, of_exit};
    use crate::api::Severity::{Critical, Error, Info};

    #[test]
    fn the_end_of_a_container_is_as_grave_as_code_memory_and_intent_say() {
        for (code, unasked, asked, oom_killed) in [
            (0, Info, Info, Critical),
            (1, Error, Error, Critical),
            (2, Error, Error, Critical),
            (124, Error, Error, Critical),
            (125, Critical, Critical, Critical),
            (126, Critical, Critical, Critical),
            (127, Critical, Critical, Critical),
            (128, Error, Error, Critical),
            (130, Error, Info, Critical),
            (134, Critical, Critical, Critical),
            (137, Error, Error, Critical),
            (139, Critical, Critical, Critical),
            (143, Error, Info, Critical),
            (255, Error, Error, Critical),
            (-1, Error, Error, Critical),
        ] {
            let exit = Exit { code, ..Exit::default() };
            assert_eq!(of_exit(exit), unasked, "{code}");
            assert_eq!(of_exit(Exit { asked: true, ..exit }), asked, "{code}, asked");
            assert_eq!(of_exit(Exit { oom_killed: true, asked: true, ..exit }), oom_killed, "{code}, out of memory");
        }
    }
}
