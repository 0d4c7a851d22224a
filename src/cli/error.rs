//! What can end a command, in kubectl's words, and the exit code it ends with.

use std::io;

use crate::api::{GROUP, registry};
use crate::store;

/// Exit codes, part of the command line's contract.
pub mod code {
    /// Done.
    pub const DONE: u8 = 0;
    /// The answer is no: not found, timed out.
    pub const NO: u8 = 1;
    /// The command line makes no sense.
    pub const USAGE: u8 = 2;
    /// The store cannot be reached.
    pub const UNREACHABLE: u8 = 3;
    /// Refused: validation, conflict, permission.
    pub const REFUSED: u8 = 4;
}

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line makes no sense. Mend it.
    #[error("error: {0}")]
    Usage(String),
    /// What was asked for is not there, or did not come about in time.
    #[error("error: {0}")]
    No(String),
    /// What people wrote was refused before anything was stored; one line for each mistake.
    #[error("{}", .0.join("\n"))]
    Refused(Vec<String>),
    /// The store said no.
    #[error("{}", in_words(.0))]
    Store(#[from] store::Error),
    /// The output could not be written.
    #[error("error: cannot write the output: {0}")]
    Output(#[from] io::Error),
    /// Several things went wrong, each on its own.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Several(Vec<Error>),
}

impl Error {
    /// The exit code it ends with. Of several, the highest: what an operator must look at first.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => code::USAGE,
            Self::No(_) => code::NO,
            Self::Refused(_) => code::REFUSED,
            // Whoever read the output has gone away, as `head` does: they have what they wanted.
            Self::Output(e) if e.kind() == io::ErrorKind::BrokenPipe => code::DONE,
            Self::Output(_) => code::NO,
            Self::Several(all) => all.iter().map(Self::exit_code).max().unwrap_or(code::NO),
            Self::Store(e) => match e {
                store::Error::NotFound { .. } | store::Error::Expired => code::NO,
                store::Error::BadRequest { .. } => code::USAGE,
                store::Error::Unreachable { .. } | store::Error::Ambiguous { .. } => code::UNREACHABLE,
                store::Error::AlreadyExists { .. }
                | store::Error::Conflict { .. }
                | store::Error::Invalid { .. }
                | store::Error::Refused { .. }
                | store::Error::Corrupt { .. } => code::REFUSED,
            },
        }
    }

    /// Nothing, the one error, or all of them as one.
    pub(crate) fn all(mut errors: Vec<Self>) -> Result<(), Self> {
        match errors.len() {
            0 => Ok(()),
            1 => errors.pop().map_or(Ok(()), Err),
            _ => Err(Self::Several(errors)),
        }
    }

    /// Whether it is about the output and not about what was asked.
    pub(crate) fn is_output(&self) -> bool {
        matches!(self, Self::Output(_))
    }
}

/// An error of the store as kubectl would say it.
fn in_words(error: &store::Error) -> String {
    use store::Error as E;
    match error {
        E::NotFound { kind, name } => format!("Error from server (NotFound): {kind}.{GROUP} \"{name}\" not found"),
        E::AlreadyExists { kind, name } => {
            format!("Error from server (AlreadyExists): {kind}.{GROUP} \"{name}\" already exists")
        }
        E::Conflict { what } => {
            format!(
                "Error from server (Conflict): {what} has changed; apply your changes to the latest version and try again"
            )
        }
        E::Invalid { kind, name, violations } => {
            let kind = registry::find(kind).map_or(*kind, |info| info.kind);
            match violations.as_slice() {
                [one] => format!("The {kind} \"{name}\" is invalid: {one}"),
                all => format!(
                    "The {kind} \"{name}\" is invalid:{}",
                    all.iter().map(|v| format!("\n* {v}")).collect::<String>()
                ),
            }
        }
        E::Unreachable { url, reason } => format!("Unable to connect to the store at {url}: {reason}"),
        E::Refused { reason } => format!("Error from server (Forbidden): {reason}"),
        E::Corrupt { .. } => format!("Error from server (InternalError): {error}"),
        E::Ambiguous { .. } | E::Expired | E::BadRequest { .. } => format!("error: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Violation;

    fn not_found() -> Error {
        store::Error::NotFound { kind: "wicapstacks", name: "x".into() }.into()
    }

    #[test]
    fn the_words_are_kubectls() {
        assert_eq!(not_found().to_string(), "Error from server (NotFound): wicapstacks.wicap.dev \"x\" not found");
        let one = Violation::new("spec.ttl", "\"0s\"", "a duration over 0s");
        let invalid = |violations| Error::from(store::Error::Invalid { kind: "wicapstacks", name: "x".into(), violations });
        assert_eq!(
            invalid(vec![one.clone()]).to_string(),
            "The WicapStack \"x\" is invalid: spec.ttl: found \"0s\", expected a duration over 0s"
        );
        assert_eq!(invalid(vec![one.clone(), one]).to_string().lines().count(), 3);
    }

    #[test]
    fn each_outcome_has_the_exit_code_of_the_contract() {
        let unreachable = || Error::from(store::Error::Unreachable { url: "u".into(), reason: "r".into() });
        let table = [
            (not_found(), 1),
            (Error::No("timed out".into()), 1),
            (Error::Usage("what".into()), 2),
            (store::Error::BadRequest { what: "label selector", found: "x".into(), expected: "y" }.into(), 2),
            (unreachable(), 3),
            (store::Error::Conflict { what: "x".into() }.into(), 4),
            (store::Error::Refused { reason: "no".into() }.into(), 4),
            (Error::Refused(vec![]), 4),
            (Error::Several(vec![not_found(), unreachable()]), 3),
            (Error::Output(io::ErrorKind::BrokenPipe.into()), 0),
            (Error::Output(io::ErrorKind::StorageFull.into()), 1),
        ];
        for (error, code) in table {
            assert_eq!(error.exit_code(), code, "{error}");
        }
    }
}
