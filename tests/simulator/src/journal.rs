//! The log formats of WICAP, as pure functions of their parts, and what writes them to stdout.

use std::io::Write;
use std::net::SocketAddr;

use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

/// How bad a line says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Nothing to do.
    Info,
    /// Worth a look.
    Warning,
    /// Something did not work.
    Error,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
        }
    }
}

/// The shape of application lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// `2026-02-10 10:00:00 [INFO] wicap.mod: message`, with the launcher's prefix.
    Text,
    /// One JSON object a line, without prefix.
    Json,
}

#[derive(Serialize)]
struct JsonLine<'a> {
    ts: String,
    level: &'a str,
    logger: &'a str,
    msg: &'a str,
    exception: Option<&'a str>,
}

/// An application line in the text form.
pub fn text_line(prefix: &str, at: Timestamp, level: Level, logger: &str, message: &str) -> String {
    let at = at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S");
    format!("{prefix}{at} [{}] {logger}: {message}", level.name())
}

/// An application line in the JSON form; errors carry the message as their exception too.
pub fn json_line(at: Timestamp, level: Level, logger: &str, message: &str) -> String {
    let line = JsonLine {
        ts: at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        level: level.name(),
        logger,
        msg: message,
        exception: (level == Level::Error).then_some(message),
    };
    serde_json::to_string(&line).unwrap_or_default()
}

/// A line of the launcher that starts the role as its child.
pub fn launcher_line(at: Timestamp, level: Level, message: &str) -> String {
    let at = at.to_zoned(TimeZone::UTC).strftime("%H:%M:%S");
    format!("{at} | {:<7} | {message}", level.name())
}

/// A line of the web server's access log.
pub fn access_line(peer: SocketAddr, method: &str, path: &str, status: &str) -> String {
    format!("INFO:     {peer} - \"{method} {path} HTTP/1.1\" {status}")
}

/// Where a role writes what happens to it.
#[derive(Clone, Copy, Debug)]
pub struct Journal {
    prefix: &'static str,
    form: Form,
}

impl Journal {
    /// A journal whose text lines start with `prefix`.
    pub fn new(prefix: &'static str, form: Form) -> Self {
        Self { prefix, form }
    }

    /// Writes an application line.
    pub fn log(&self, level: Level, logger: &str, message: &str) {
        let now = Timestamp::now();
        write(&match self.form {
            Form::Text => text_line(self.prefix, now, level, logger, message),
            Form::Json => json_line(now, level, logger, message),
        });
    }
}

/// Writes a line of the launcher, which has its own form whatever its children's is.
pub fn launcher(level: Level, message: &str) {
    write(&launcher_line(Timestamp::now(), level, message));
}

/// Writes a line of the access log.
pub fn access(peer: SocketAddr, method: &str, path: &str, status: &str) {
    write(&access_line(peer, method, path, status));
}

/// A reader that went away is no reason to stop, so the error is dropped.
fn write(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ten_o_clock() -> Timestamp {
        "2026-02-10T10:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_text_line_has_prefix_time_level_and_logger() {
        assert_eq!(
            text_line("[PROCESSOR] ", ten_o_clock(), Level::Error, "wicap.mod", "message"),
            "[PROCESSOR] 2026-02-10 10:00:00 [ERROR] wicap.mod: message"
        );
        assert_eq!(
            text_line("[SCOUT]   ", ten_o_clock(), Level::Info, "wicap.scout", "message"),
            "[SCOUT]   2026-02-10 10:00:00 [INFO] wicap.scout: message"
        );
    }

    #[test]
    fn a_json_line_keeps_the_field_order_and_only_errors_have_an_exception() {
        assert_eq!(
            json_line(ten_o_clock(), Level::Warning, "wicap.mod", "a \"b\""),
            r#"{"ts":"2026-02-10T10:00:00Z","level":"WARNING","logger":"wicap.mod","msg":"a \"b\"","exception":null}"#
        );
        assert!(json_line(ten_o_clock(), Level::Error, "l", "m").ends_with(r#""exception":"m"}"#));
    }

    #[test]
    fn a_launcher_line_pads_the_level() {
        assert_eq!(
            launcher_line(ten_o_clock(), Level::Info, "Started service: processor (PID 7)"),
            "10:00:00 | INFO    | Started service: processor (PID 7)"
        );
    }

    #[test]
    fn an_access_line_looks_like_uvicorn() {
        let peer = "127.0.0.1:5".parse().unwrap();
        assert_eq!(
            access_line(peer, "POST", "/api/internal/push", "200 OK"),
            "INFO:     127.0.0.1:5 - \"POST /api/internal/push HTTP/1.1\" 200 OK"
        );
    }
}
