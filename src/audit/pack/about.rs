//! Whose pack it is, and why it was made.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::api::Violation;
use crate::api::validate::quoted;

/// The longest of its fields: the longest name of an object twice, as in `kind/name`, and a little.
const FIELD_MOST: usize = 512;

/// What a pack says of itself. All of it are names, which the system shows everywhere: they are not redacted, and can therefore
/// hold nothing but a name's characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct About {
    /// The stack's name.
    pub stack: String,
    /// The stack's uid: another stack of the same name is another stack.
    pub uid: String,
    /// Why it was made.
    pub reason: Reason,
    /// What it was made for, as `kind/name`: the incident, the action, the soak run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// When that happened. It is also the time of each entry in the tar.
    pub at: Timestamp,
    /// The version of wicap that made it.
    pub version: String,
}

/// Why a pack was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// An incident was opened: recovery has given up, or a log says what a person should know.
    Incident,
    /// An action has failed.
    FailedAction,
    /// A soak run has not passed.
    FailedSoak,
    /// An operator has asked for it.
    Requested,
}

impl Reason {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Incident => "Incident",
            Self::FailedAction => "FailedAction",
            Self::FailedSoak => "FailedSoak",
            Self::Requested => "Requested",
        }
    }
}

impl About {
    /// Whether every field is a name.
    ///
    /// # Errors
    /// The first that is none.
    pub fn check(&self) -> Result<(), Violation> {
        let name = |field: &str, value: &str, slashes: usize| {
            let is_name = |part: &str| {
                part.starts_with(|c: char| c.is_ascii_alphanumeric())
                    && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'+'))
            };
            let ok = value.len() <= FIELD_MOST && value.matches('/').count() == slashes && value.split('/').all(is_name);
            let shape = if slashes == 1 { "kind/name" } else { "a name" };
            let expected = format!(
                "{shape} of at most {FIELD_MOST} letters, digits, '.', '-', '_' and '+', beginning with a letter or digit"
            );
            if ok { Ok(()) } else { Err(Violation::new(format!("about.{field}"), quoted(value), expected)) }
        };
        name("stack", &self.stack, 0)?;
        name("uid", &self.uid, 0)?;
        name("version", &self.version, 0)?;
        self.object.as_deref().map_or(Ok(()), |object| name("object", object, 1))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::about;
    use super::*;

    #[test]
    fn what_is_no_name_is_refused_and_named() {
        let ok = about();
        assert_eq!(ok.check(), Ok(()));
        let table = [
            (About { stack: "a/b".into(), ..about() }, "about.stack: found \"a/b\""),
            (About { stack: String::new(), ..about() }, "about.stack: found \"\""),
            (About { uid: "../x".into(), ..about() }, "about.uid"),
            (About { version: "1 2".into(), ..about() }, "about.version"),
            (About { object: Some("incident".into()), ..about() }, "about.object: found \"incident\", expected kind/name"),
            (About { object: Some("a/b/c".into()), ..about() }, "about.object"),
            (About { stack: "a".repeat(FIELD_MOST + 1), ..about() }, "about.stack"),
        ];
        for (about, expected) in table {
            let error = about.check().unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn a_reason_is_written_as_it_is_called() {
        for reason in [Reason::Incident, Reason::FailedAction, Reason::FailedSoak, Reason::Requested] {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
    }
}
