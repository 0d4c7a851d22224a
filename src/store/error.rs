//! What can go wrong between a caller and the store.

use crate::api::Violation;

/// An error of the store layer. Each variant says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such object. Create it, or take it as gone.
    #[error("{kind} \"{name}\" not found")]
    NotFound {
        /// Plural of the kind.
        kind: &'static str,
        /// The object's name.
        name: String,
    },
    /// There is one already. Read it, and replace it if that is meant.
    #[error("{kind} \"{name}\" already exists")]
    AlreadyExists {
        /// Plural of the kind.
        kind: &'static str,
        /// The object's name.
        name: String,
    },
    /// Somebody wrote in between, a precondition does not hold, or the fence is down. Read again and decide again.
    #[error("conflict: {what} has changed; read it again")]
    Conflict {
        /// What has changed.
        what: String,
    },
    /// The object breaks rules. Nothing was stored.
    #[error("{kind} \"{name}\" is invalid: {}", violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Invalid {
        /// Plural of the kind.
        kind: &'static str,
        /// The object's name.
        name: String,
        /// Every rule it breaks.
        violations: Vec<Violation>,
    },
    /// The store did not answer a read, or certainly did not take a write. Try again later.
    #[error("the store cannot be reached at {url}: {reason}")]
    Unreachable {
        /// Where it should be.
        url: String,
        /// What the connection said.
        reason: String,
    },
    /// A write went out and no answer came back: it may or may not have been committed. Read before trying again.
    #[error("the outcome of a write is not known ({reason}); read before trying again")]
    Ambiguous {
        /// What the connection said.
        reason: String,
    },
    /// The store refused the request, and would again. Mend the request or the permission.
    #[error("the store refused the request: {reason}")]
    Refused {
        /// What the store said.
        reason: String,
    },
    /// A continue token is older than the store's history. List from the start.
    #[error("the continue token is too old; list from the start")]
    Expired,
    /// A selector, a continue token, a patch or a URL cannot be read.
    #[error("{what}: found {found}, expected {expected}")]
    BadRequest {
        /// Which argument.
        what: &'static str,
        /// What it holds.
        found: String,
        /// What it should.
        expected: &'static str,
    },
    /// What is stored under a key cannot be read. It was written by other hands, or by a newer version.
    #[error("what is stored at {key} cannot be read: {reason}")]
    Corrupt {
        /// The key.
        key: String,
        /// What the decoder said.
        reason: String,
    },
}

impl Error {
    /// The variant's name, as a metric label.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "not_found",
            Self::AlreadyExists { .. } => "already_exists",
            Self::Conflict { .. } => "conflict",
            Self::Invalid { .. } => "invalid",
            Self::Unreachable { .. } => "unreachable",
            Self::Ambiguous { .. } => "ambiguous",
            Self::Refused { .. } => "refused",
            Self::Expired => "expired",
            Self::BadRequest { .. } => "bad_request",
            Self::Corrupt { .. } => "corrupt",
        }
    }

    /// Whether reading again and trying again may help without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Conflict { .. } | Self::Unreachable { .. } | Self::Ambiguous { .. })
    }
}
