//! What a gate says.

use crate::api::Object;
use crate::api::action::GateVerdict;
use crate::api::validate::quoted;

/// A gate's answer: it is open, or shut, and why.
pub(super) type Verdict = Result<Said, Said>;

/// Why a gate is open or shut.
#[derive(Clone, Debug)]
pub(super) struct Said {
    reason: String,
    object: Option<String>,
    field: Option<String>,
    fix: Option<String>,
}

impl Said {
    /// No single object decided.
    pub(super) fn nothing(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), object: None, field: None, fix: None }
    }

    /// A field of an object decided. `how` goes on where `Kind "name" field` ends, such as ` is Monitor`.
    pub(super) fn of<K: Object>(object: &K, field: impl Into<String>, how: impl AsRef<str>) -> Self {
        let field = field.into();
        Self { field: Some(field.clone()), ..Self::by(object, format!("{field}{}", how.as_ref())) }
    }

    /// That there is such an object decided. `how` goes on after `Kind "name" `.
    pub(super) fn by<K: Object>(object: &K, how: impl AsRef<str>) -> Self {
        let kind = K::kind(&());
        Self {
            reason: format!("{kind} {} {}", quoted(object.name()), how.as_ref()),
            object: Some(format!("{}/{}", kind.to_lowercase(), object.name())),
            field: None,
            fix: None,
        }
    }

    /// What would have to change.
    pub(super) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

/// The verdict as it is recorded.
pub(super) fn of_gate(gate: &str, verdict: Verdict) -> GateVerdict {
    let (allowed, said) = match verdict {
        Ok(said) => (true, said),
        Err(said) => (false, said),
    };
    let Said { reason, object, field, fix } = said;
    GateVerdict { gate: gate.to_owned(), allowed, reason, object, field, fix: fix.filter(|_| !allowed) }
}
