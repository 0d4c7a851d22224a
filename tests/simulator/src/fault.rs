//! What can go wrong on demand: the [`Fault`] words of `tell` and of `WICAP_SIM_FAULT`, and their parser.
//!
//! ```text
//! fault   = die [CODE] | hang [deaf] | leak MIB_PER_SEC | http-503 | unhealthy | sql-down | push-403
//!         | burst NAME COUNT | ok
//! planned = fault [after SECONDS] { ";" fault [after SECONDS] }
//! ```

use std::time::Duration;

use thiserror::Error;

use crate::known::Known;

/// Something a role is told to do wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// Exit with this code; 0 is a dead child hidden by its launcher.
    Die(u8),
    /// Live, but neither serve nor work; a deaf one ignores SIGTERM as well.
    Hang {
        /// Whether SIGTERM is ignored, so that a stop lasts its whole grace period.
        deaf: bool,
    },
    /// Allocate and touch this many MiB each second.
    Leak(f64),
    /// Answer 503 where data or a page is asked for.
    Http503,
    /// Fail the health check.
    Unhealthy,
    /// Have no database.
    SqlDown,
    /// Refuse pushes.
    Push403,
    /// Log the line of a known failure this many times.
    Burst(&'static Known, u32),
    /// Clear every fault.
    Ok,
}

/// Why words are not a fault.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ParseError {
    /// No words: name a fault.
    #[error("no fault named; known: {FAULTS}")]
    Empty,
    /// The first word is not a fault.
    #[error("unknown fault {0:?}; known: {FAULTS}")]
    Unknown(String),
    /// The arguments do not fit the fault.
    #[error("usage: {0}")]
    Usage(&'static str),
    /// `burst` of a failure that is not in the catalogue.
    #[error("unknown failure {0:?}; known: {names}", names = Known::names())]
    UnknownFailure(String),
}

/// The words, for messages.
const FAULTS: &str = "die, hang, leak, http-503, unhealthy, sql-down, push-403, burst, ok";

impl Fault {
    /// Reads a fault from words.
    pub fn parse(words: &[&str]) -> Result<Self, ParseError> {
        let (name, args) = words.split_first().ok_or(ParseError::Empty)?;
        match (*name, args) {
            ("die", []) => Ok(Self::Die(1)),
            ("die", [code]) => code.parse().map(Self::Die).map_err(|_| ParseError::Usage("die [CODE 0-255]")),
            ("die", _) => Err(ParseError::Usage("die [CODE 0-255]")),
            ("hang", []) => Ok(Self::Hang { deaf: false }),
            ("hang", ["deaf"]) => Ok(Self::Hang { deaf: true }),
            ("hang", _) => Err(ParseError::Usage("hang [deaf]")),
            ("leak", [rate]) => parse_rate(rate).map(Self::Leak),
            ("leak", _) => Err(ParseError::Usage(LEAK)),
            ("burst", [name, count]) => {
                let known = Known::find(name).ok_or_else(|| ParseError::UnknownFailure((*name).to_owned()))?;
                let count = count.parse().map_err(|_| ParseError::Usage("burst NAME COUNT"))?;
                Ok(Self::Burst(known, count))
            }
            ("burst", _) => Err(ParseError::Usage("burst NAME COUNT")),
            ("http-503", []) => Ok(Self::Http503),
            ("unhealthy", []) => Ok(Self::Unhealthy),
            ("sql-down", []) => Ok(Self::SqlDown),
            ("push-403", []) => Ok(Self::Push403),
            ("ok", []) => Ok(Self::Ok),
            ("http-503" | "unhealthy" | "sql-down" | "push-403" | "ok", _) => {
                Err(ParseError::Usage("http-503, unhealthy, sql-down, push-403 and ok take no argument"))
            }
            (other, _) => Err(ParseError::Unknown(other.to_owned())),
        }
    }
}

const LEAK: &str = "leak MIB_PER_SEC (more than 0, at most 1024)";

fn parse_rate(word: &str) -> Result<f64, ParseError> {
    match word.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= 1024.0 => Ok(rate),
        _ => Err(ParseError::Usage(LEAK)),
    }
}

/// A fault with its delay since the start of the process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Planned {
    /// What.
    pub fault: Fault,
    /// How long after the start.
    pub after: Duration,
}

/// Reads `WICAP_SIM_FAULT`; nothing at all is an empty plan.
pub fn parse_plan(text: &str) -> Result<Vec<Planned>, ParseError> {
    text.split(';').map(str::trim).filter(|part| !part.is_empty()).map(parse_planned).collect()
}

fn parse_planned(part: &str) -> Result<Planned, ParseError> {
    let words: Vec<&str> = part.split_whitespace().collect();
    let Some(at) = words.iter().position(|word| *word == "after") else {
        return Ok(Planned { fault: Fault::parse(&words)?, after: Duration::ZERO });
    };
    let after = match &words[at + 1..] {
        [seconds] => seconds.parse().ok().and_then(|s| Duration::try_from_secs_f64(s).ok()),
        _ => None,
    };
    let after = after.ok_or(ParseError::Usage("FAULT [ARG...] after SECONDS"))?;
    Ok(Planned { fault: Fault::parse(&words[..at])?, after })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Fault, ParseError> {
        Fault::parse(&text.split_whitespace().collect::<Vec<_>>())
    }

    #[test]
    fn every_fault_parses() {
        assert_eq!(parse("die"), Ok(Fault::Die(1)));
        assert_eq!(parse("die 0"), Ok(Fault::Die(0)));
        assert_eq!(parse("hang"), Ok(Fault::Hang { deaf: false }));
        assert_eq!(parse("hang deaf"), Ok(Fault::Hang { deaf: true }));
        assert_eq!(parse("leak 0.5"), Ok(Fault::Leak(0.5)));
        assert_eq!(parse("http-503"), Ok(Fault::Http503));
        assert_eq!(parse("unhealthy"), Ok(Fault::Unhealthy));
        assert_eq!(parse("sql-down"), Ok(Fault::SqlDown));
        assert_eq!(parse("push-403"), Ok(Fault::Push403));
        assert_eq!(parse("ok"), Ok(Fault::Ok));
        assert!(matches!(parse("burst flush-lost 3"), Ok(Fault::Burst(known, 3)) if known.name == "flush-lost"));
    }

    #[test]
    fn what_is_not_a_fault_is_refused_with_the_reason() {
        assert_eq!(parse(""), Err(ParseError::Empty));
        assert_eq!(parse("explode"), Err(ParseError::Unknown("explode".into())));
        assert_eq!(parse("burst nothing 3"), Err(ParseError::UnknownFailure("nothing".into())));
        for bad in ["die 256", "die x", "leak", "leak -1", "leak nan", "leak 2000", "burst flush-lost", "ok now"] {
            assert!(matches!(parse(bad), Err(ParseError::Usage(_))), "{bad}");
        }
    }

    #[test]
    fn a_plan_is_faults_with_delays() {
        assert_eq!(parse_plan(""), Ok(vec![]));
        assert_eq!(
            parse_plan("sql-down; die 3 after 2.5;"),
            Ok(vec![
                Planned { fault: Fault::SqlDown, after: Duration::ZERO },
                Planned { fault: Fault::Die(3), after: Duration::from_millis(2500) },
            ])
        );
        for bad in ["die after", "die after x", "die after -1", "die after 1 2"] {
            assert!(matches!(parse_plan(bad), Err(ParseError::Usage(_))), "{bad}");
        }
    }
}
