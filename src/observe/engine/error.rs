//! Why the engine gave no answer.

use std::time::Duration;

use bollard::errors::Error as BollardError;

use super::READ_TIMEOUT;

/// Why the engine could not be asked, or did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EngineError {
    /// The address is of no known form. Give `unix:///path`, `/path` or `tcp://host:port`.
    #[error("{url:?} is no address of a Docker engine: {why}")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The id has characters that no container id has. Look the container up again; nothing was sent.
    #[error("{id:?} is no container id")]
    Id {
        /// What was given.
        id: String,
    },
    /// No connection was made, so nothing was sent. Check that the engine runs and that this user may use its socket.
    #[error("no connection to the Docker engine at {url}: {why}")]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// The error of the connection.
        why: String,
    },
    /// The engine refused the call (4xx) and did nothing. Look again: the container may be gone or in another state.
    #[error("the Docker engine refused ({status}): {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The engine's words.
        message: String,
    },
    /// The engine tried and failed (5xx), perhaps half-way. Look what became of it.
    #[error("the Docker engine failed ({status}): {message}")]
    Failed {
        /// HTTP status.
        status: u16,
        /// The engine's words.
        message: String,
    },
    /// No answer in time. The engine may still do it. Look what became of it.
    #[error("the Docker engine did not answer within {after:?}")]
    Timeout {
        /// The time limit.
        after: Duration,
    },
    /// The connection broke, or the answer could not be understood. The call may have had its effect.
    #[error("the connection to the Docker engine broke: {why}")]
    Lost {
        /// The error.
        why: String,
    },
}

impl EngineError {
    /// Whether the call may have had an effect. False only when it certainly had none.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::Timeout { .. } | Self::Lost { .. })
    }

    /// Whether the connection is at fault, so that the client has to be made anew.
    pub(super) fn is_connection(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Timeout { .. } | Self::Lost { .. })
    }
}

/// The client's error in our words, of a call to the engine at `url`.
pub(super) fn translate(url: &str, error: BollardError) -> EngineError {
    match error {
        BollardError::DockerResponseServerError { status_code: status, message } if (400..500).contains(&status) => {
            EngineError::Refused { status, message }
        }
        BollardError::DockerResponseServerError { status_code: status, message } => EngineError::Failed { status, message },
        BollardError::RequestTimeoutError => EngineError::Timeout { after: READ_TIMEOUT },
        BollardError::SocketNotFoundError(path) => {
            EngineError::Unreachable { url: url.to_owned(), why: format!("there is no socket {path}") }
        }
        BollardError::HyperLegacyError { err } if err.is_connect() => {
            EngineError::Unreachable { url: url.to_owned(), why: innermost(&err) }
        }
        other => EngineError::Lost { why: innermost(&other) },
    }
}

/// The error with the last of its sources, which is the one that says something.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    let (outer, inner) = (error.to_string(), last.to_string());
    if outer.contains(&inner) { outer } else { format!("{outer}: {inner}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_certain_and_a_lost_connection_is_not() {
        let server =
            |status_code| translate("u", BollardError::DockerResponseServerError { status_code, message: String::new() });
        assert!(!server(404).is_ambiguous() && !server(409).is_ambiguous());
        assert!(server(500).is_ambiguous());
        assert!(translate("u", BollardError::RequestTimeoutError).is_ambiguous());
        assert!(!translate("u", BollardError::SocketNotFoundError("/x".to_owned())).is_ambiguous());
        let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert!(translate("u", BollardError::IOError { err: broken }).is_ambiguous());
    }
}
