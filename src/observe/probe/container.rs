//! What the engine is asked about a container. An engine that does not answer says nothing of the service.

use regex::Regex;

use super::Subject;
use super::attempt::Attempt;
use crate::api::stack::{Health, LogLine, Presence};
use crate::api::{Duration as Span, Time};
use crate::audit::redact::redact;
use crate::observe::engine::Engine;

/// Most characters of a log line that become part of a message.
const LINE_SHOWN: usize = 160;

/// The engine's word for the container's health.
pub(super) fn health(word: Option<Health>) -> Attempt {
    match word {
        Some(Health::Healthy) => Attempt::passed("its health check passes"),
        Some(Health::Unhealthy) => Attempt::failed("its health check fails"),
        Some(Health::Starting) => Attempt::unasked("its health check is starting"),
        None => Attempt::unasked("its container has no health check"),
    }
}

/// Whether a process runs in the container whose command line contains the text.
pub(super) async fn process(engine: &Engine, id: &str, command: &str) -> Attempt {
    match engine.processes(id).await {
        Ok(lines) if lines.iter().any(|line| line.contains(command)) => {
            Attempt::passed(format!("a process {command:?} runs"))
        }
        Ok(lines) => Attempt::failed(format!("no process {command:?} among the {} of its container", lines.len())),
        Err(error) => Attempt::unasked(error.to_string()),
    }
}

/// A log probe whose pattern is compiled.
#[derive(Clone, Debug)]
pub(super) struct Log {
    pattern: Regex,
    expect: Presence,
    within: Span,
}

impl Log {
    /// Compiles the pattern.
    ///
    /// # Errors
    /// What is wrong with it, which is refused by the resource's validation already.
    pub fn new(log: &LogLine) -> Result<Self, String> {
        let pattern = log.regex().map_err(|why| format!("{:?} is no regular expression {why}", log.pattern))?;
        Ok(Self { pattern, expect: log.expect, within: log.within })
    }

    /// Looks through the last lines. Those of an earlier start of the container say nothing of this one.
    pub async fn ask(&self, engine: &Engine, subject: &Subject, now: Time) -> Attempt {
        let from = now.checked_sub(self.within.to_std()).unwrap_or(Time::MIN);
        let from = subject.log_from.map_or(from, |start| from.max(start));
        match engine.log(&subject.id, from).await {
            Ok(lines) => self.judge(&lines),
            Err(error) => Attempt::unasked(error.to_string()),
        }
    }

    fn judge(&self, lines: &[String]) -> Attempt {
        let found = lines.iter().rev().find(|line| self.pattern.is_match(line));
        let (within, pattern) = (self.within, self.pattern.as_str());
        match (found, self.expect) {
            (Some(line), expect) => {
                // Redacted as a whole: a secret that is cut in two is not known for one.
                let line: String = redact(line).chars().take(LINE_SHOWN).collect();
                let said = format!("its log says within the last {within}: {}", line.trim());
                if expect == Presence::Present { Attempt::passed(said) } else { Attempt::failed(said) }
            }
            (None, expect) => {
                let said = format!("none of the {} lines of its log in the last {within} matches {pattern:?}", lines.len());
                if expect == Presence::Absent { Attempt::passed(said) } else { Attempt::failed(said) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::probe::Outcome;
    use serde_json::json;

    #[test]
    fn a_log_has_the_line_or_has_it_not() {
        let lines = ["starting", "SQL connection failed: password=hunter2!", "ready"].map(str::to_owned);
        let within = "none of the 3 lines of its log in the last 1m matches \"never\"";
        let failed = |text: &str| Attempt::failed(text).outcome;
        let passed = |text: &str| Attempt::passed(text).outcome;
        for (pattern, expect, expected) in [
            ("^ready$", "Present", passed("its log says within the last 1m: ready")),
            ("never", "Present", failed(within)),
            ("never", "Absent", passed(within)),
            ("^ready", "Absent", failed("its log says within the last 1m: ready")),
        ] {
            let log = serde_json::from_value(json!({"pattern": pattern, "expect": expect})).unwrap();
            assert_eq!(Log::new(&log).unwrap().judge(&lines).outcome, expected, "{pattern} {expect}");
        }
        let log = serde_json::from_value(json!({"pattern": "SQL .* failed", "expect": "Absent"})).unwrap();
        let Outcome::Failed(said) = Log::new(&log).unwrap().judge(&lines).outcome else { panic!("it is there") };
        let said = said.shown();
        assert!(said.contains("SQL connection failed: password=") && !said.contains("hunter2"), "{said}");
    }
}
