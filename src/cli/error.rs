//! What can end a command, in kubectl's words, and the exit code it ends with.

use std::io;

use super::hint;
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
    #[error("{}", in_words(.0, None))]
    Store(#[from] store::Error),
    /// The store said no to what one manifest asks for.
    #[error("{}", in_words(.error, Some((.doing, .origin))))]
    When {
        /// `creating`, `replacing`: what was being done.
        doing: &'static str,
        /// Where the manifest was written.
        origin: String,
        /// What the store said.
        error: store::Error,
    },
    /// There are differences. They were shown, and nothing is left to say.
    #[error("")]
    Differ,
    /// The output could not be written.
    #[error("error: cannot write the output: {0}")]
    Output(#[from] io::Error),
    /// Another error, and below it what may help: what was probably meant, or what was seen last.
    #[error("{error}\n{hint}")]
    Hinted {
        /// What went wrong, in kubectl's words.
        error: Box<Error>,
        /// A line, or several.
        hint: String,
    },
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
            Self::No(_) | Self::Differ => code::NO,
            Self::Refused(_) => code::REFUSED,
            // Whoever read the output has gone away, as `head` does: they have what they wanted.
            Self::Output(e) if e.kind() == io::ErrorKind::BrokenPipe => code::DONE,
            Self::Output(_) => code::NO,
            Self::Hinted { error, .. } => error.exit_code(),
            Self::Several(all) => all.iter().map(Self::exit_code).max().unwrap_or(code::NO),
            Self::Store(e) | Self::When { error: e, .. } => match e {
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

    /// The same, with a hint below it.
    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self::Hinted { error: Box::new(self), hint: hint.into() }
    }

    /// The same, with what was probably meant below it, if anything was.
    pub(crate) fn or_meant(self, meant: Option<&str>) -> Self {
        match meant {
            Some(meant) => self.with_hint(hint::line(meant)),
            None => self,
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

    /// The same, to be told beside others; or at once as the only one, when nothing else can go well after it.
    ///
    /// # Errors
    /// The error itself, when the store cannot be reached or the output not be written.
    pub(crate) fn unless_fatal(self) -> Result<Self, Self> {
        match self {
            Self::Output(_) | Self::Store(store::Error::Unreachable { .. }) => Err(self),
            other => Ok(other),
        }
    }

    /// Whether it is about the output and not about what was asked.
    pub(crate) fn is_output(&self) -> bool {
        matches!(self, Self::Output(_))
    }
}

/// An error of the store as kubectl would say it; `during` is what was being done, and for which manifest.
fn in_words(error: &store::Error, during: Option<(&str, &str)>) -> String {
    use store::Error as E;
    let server = |reason: &str, message: String| match during {
        Some((doing, origin)) => format!("Error from server ({reason}): error when {doing} {origin:?}: {message}"),
        None => format!("Error from server ({reason}): {message}"),
    };
    match error {
        E::NotFound { kind, name } => server("NotFound", format!("{kind}.{GROUP} \"{name}\" not found")),
        E::AlreadyExists { kind, name } => server("AlreadyExists", format!("{kind}.{GROUP} \"{name}\" already exists")),
        E::Conflict { what } => {
            let advice = "apply your changes to the latest version and try again";
            server("Conflict", format!("{what} has changed; {advice}"))
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
        E::Refused { reason } => server("Forbidden", reason.clone()),
        E::Corrupt { .. } => server("InternalError", error.to_string()),
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
        let when = |error| Error::When { doing: "creating", origin: "a.yaml".into(), error };
        assert_eq!(
            when(store::Error::AlreadyExists { kind: "wicapstacks", name: "x".into() }).to_string(),
            "Error from server (AlreadyExists): error when creating \"a.yaml\": wicapstacks.wicap.dev \"x\" already exists"
        );
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
            (Error::Differ, 1),
            (Error::When { doing: "creating", origin: "a".into(), error: store::Error::Refused { reason: "no".into() } }, 4),
            (Error::Several(vec![not_found(), unreachable()]), 3),
            (Error::Output(io::ErrorKind::BrokenPipe.into()), 0),
            (Error::Output(io::ErrorKind::StorageFull.into()), 1),
        ];
        for (error, code) in table {
            assert_eq!(error.exit_code(), code, "{error}");
        }
    }
}
