//! What the engine is asked about a container. An engine that does not answer says nothing of the service.

use regex::Regex;

use super::attempt::Attempt;
use super::{Asker, Subject};
use crate::api::stack::{Health, LogLine, Presence};
use crate::api::{Duration as Span, Time};
use crate::audit::redact::redact;
use crate::observe::engine::Engine;
use crate::signature::classify::{Classified, classify};
use crate::signature::mine::SignatureId;
use crate::signature::rules::Rules;

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

/// A log probe, ready to be asked.
#[derive(Clone, Debug)]
pub(super) struct Log {
    wanted: Wanted,
    expect: Presence,
    within: Span,
}

/// What a line is looked for by.
#[derive(Clone, Debug)]
enum Wanted {
    /// What is written in it.
    Pattern(Regex),
    /// What it is known by.
    Signature(String),
}

impl Log {
    /// Compiles the pattern.
    ///
    /// # Errors
    /// What is wrong with it, which is refused by the resource's validation already.
    pub fn new(log: &LogLine) -> Result<Self, String> {
        let pattern = log.regex().map_err(|why| format!("the pattern is no regular expression {why}"))?;
        let wanted = match (pattern, &log.signature) {
            (Some(pattern), _) => Wanted::Pattern(pattern),
            (None, Some(signature)) => Wanted::Signature(signature.clone()),
            (None, None) => return Err("the probe looks for nothing".to_owned()),
        };
        Ok(Self { wanted, expect: log.expect, within: log.within })
    }

    /// Looks through the last lines. Those of an earlier start of the container say nothing of this one.
    pub async fn ask(&self, asker: &Asker, subject: &Subject) -> Attempt {
        let now = asker.clock.now();
        let from = now.checked_sub(self.within.to_std()).unwrap_or(Time::MIN);
        let from = subject.log_from.map_or(from, |start| from.max(start));
        match asker.engine.log(&subject.id, from).await {
            Ok(lines) => self.judge(&lines, &subject.service, &asker.rules),
            Err(error) => Attempt::unasked(error.to_string()),
        }
    }

    fn judge(&self, lines: &[String], service: &str, rules: &Rules) -> Attempt {
        let (found, what) = match &self.wanted {
            Wanted::Pattern(pattern) => {
                (lines.iter().rev().find(|line| pattern.is_match(line)), format!("matches {:?}", pattern.as_str()))
            }
            Wanted::Signature(name) => {
                if rules.get(name).is_none() && name.parse::<SignatureId>().is_err() {
                    return Attempt::unasked(format!("{name:?} is neither a rule for the logs nor the id of a signature"));
                }
                // What comes from both outputs cannot be told apart here; a trace that is mixed with other lines is several records.
                let lines_of: Vec<(bool, &str)> = lines.iter().map(|line| (false, line.as_str())).collect();
                let said = classify(service, &lines_of, rules);
                let known = |c: &&Classified| c.rule.as_ref() == Some(name) || c.id == *name;
                (said.iter().rev().find(known).and_then(|c| lines.get(c.line)), format!("is known as {name:?}"))
            }
        };
        let within = self.within;
        match (found, self.expect) {
            (Some(line), expect) => {
                // Redacted as a whole: a secret that is cut in two is not known for one.
                let line: String = redact(line).chars().take(LINE_SHOWN).collect();
                let said = format!("its log says within the last {within}: {}", line.trim());
                if expect == Presence::Present { Attempt::passed(said) } else { Attempt::failed(said) }
            }
            (None, expect) => {
                let said = format!("none of the {} lines of its log in the last {within} {what}", lines.len());
                if expect == Presence::Absent { Attempt::passed(said) } else { Attempt::failed(said) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::stack::RuleSet;
    use crate::observe::probe::Outcome;
    use crate::signature::rules::compiled;
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
            assert_eq!(
                Log::new(&log).unwrap().judge(&lines, "sql", &Rules::default()).outcome,
                expected,
                "{pattern} {expect}"
            );
        }
        let log = serde_json::from_value(json!({"pattern": "SQL .* failed", "expect": "Absent"})).unwrap();
        let Outcome::Failed(said) = Log::new(&log).unwrap().judge(&lines, "sql", &Rules::default()).outcome else {
            panic!("it is there")
        };
        let said = said.shown();
        assert!(said.contains("SQL connection failed: password=") && !said.contains("hunter2"), "{said}");
    }

    #[test]
    fn a_line_is_found_by_what_it_is_known_by() {
        let lines = ["starting", "2026-02-10 10:00:00 [ERROR] wicap.sql: Cannot flush: database connection failed", "ready"]
            .map(str::to_owned);
        let rules = compiled(&RuleSet::all(), &[]).unwrap();
        let id = &classify("p", &[(false, "ready")], &rules)[0].id;
        let asked = |name: &str, expect: &str| {
            let log = serde_json::from_value(json!({"signature": name, "expect": expect})).unwrap();
            Log::new(&log).unwrap().judge(&lines, "processor", &rules).outcome
        };
        assert!(matches!(asked("sql-flush-lost", "Absent"), Outcome::Failed(said) if said.shown().contains("Cannot flush")));
        assert!(matches!(asked("sql-connection", "Absent"), Outcome::Passed(_)));
        assert!(matches!(asked(id, "Present"), Outcome::Passed(_)));
        assert!(matches!(asked("no-such-rule", "Absent"), Outcome::Unasked(_)));
    }
}
