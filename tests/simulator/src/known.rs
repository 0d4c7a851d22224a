//! The failures WICAP is known for, by the line each leaves in the log. `tell burst NAME N` repeats one.

use crate::journal::{self, Journal, Level};

/// One known failure.
#[derive(Debug, PartialEq, Eq)]
pub struct Known {
    /// What `tell burst` calls it.
    pub name: &'static str,
    level: Level,
    /// The module that logs it; `None` for the launcher, which has a format of its own.
    logger: Option<&'static str>,
    message: &'static str,
}

const fn by(name: &'static str, level: Level, logger: &'static str, message: &'static str) -> Known {
    Known { name, level, logger: Some(logger), message }
}

/// Every known failure.
pub const KNOWN: [Known; 9] = [
    by("push-403", Level::Error, "wicap.processor", "UI push failed: 403 Forbidden"),
    by("redis-error", Level::Error, "wicap.queue", "Redis queue error: Connection refused (os error 111)"),
    by("redis-loading", Level::Error, "wicap.queue", "Redis queue error: LOADING: dataset is not in memory yet"),
    by("sql-connection", Level::Error, "wicap.sql", "SQL connection failed: login timeout expired"),
    by("sql-operation", Level::Warning, "wicap.sql", "SQL operation failed (attempt 1/3)"),
    by("flush-lost", Level::Error, "wicap.sql", "Cannot flush: database connection failed"),
    by("scout-running", Level::Error, "wicap.scout", "Scout already running (PID 7)"),
    by("queue-truncated", Level::Warning, "wicap.queue", "Queue truncated, resetting offset"),
    Known { name: "scout-died", level: Level::Error, logger: None, message: "Service scout died unexpectedly!" },
];

impl Known {
    /// The failure called `name`.
    pub fn find(name: &str) -> Option<&'static Self> {
        KNOWN.iter().find(|known| known.name == name)
    }

    /// Every name, for error messages.
    pub fn names() -> String {
        KNOWN.map(|known| known.name).join(", ")
    }

    /// Writes the line once.
    pub fn write(&self, journal: &Journal) {
        match self.logger {
            Some(logger) => journal.log(self.level, logger, self.message),
            None => journal::launcher(self.level, self.message),
        }
    }
}
