//! The values that this process knows to be secret: those of the environments of the stacks that it has read. Whoever redacts need
//! not know whose text it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use super::literals::Redactor;

/// Where a compose project's environment was read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// In its compose files, as they are now.
    Files(String),
    /// In its containers, as they were created.
    Containers(String),
}

/// What is known, by whose it is, and what is made of all of it.
#[derive(Default)]
struct Known {
    values: BTreeMap<Owner, BTreeSet<String>>,
    redactor: Arc<Redactor>,
}

static KNOWN: LazyLock<RwLock<Known>> = LazyLock::new(RwLock::default);

/// Has these values, and no others of that owner, taken out of every text from now on. Their order does not matter.
pub fn learn(owner: Owner, values: Vec<String>) {
    let values = BTreeSet::from_iter(values);
    // What is known stays right when somebody panics who holds it: nothing of it is half done.
    if KNOWN.read().unwrap_or_else(PoisonError::into_inner).values.get(&owner) == Some(&values) {
        return;
    }
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    known.values.insert(owner, values);
    known.redactor = Arc::new(Redactor::new(known.values.values().flatten().cloned().collect::<BTreeSet<_>>()));
}

/// Has these taken out too, with what is known of that owner already.
pub fn learn_more(owner: Owner, more: Vec<String>) {
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner).values.get(&owner).cloned();
    learn(owner, known.into_iter().flatten().chain(more).collect());
}

/// Whether an owner's values are known.
#[must_use]
pub fn knows(owner: &Owner) -> bool {
    KNOWN.read().unwrap_or_else(PoisonError::into_inner).values.contains_key(owner)
}

/// What takes out all that is known.
pub(super) fn redactor() -> Arc<Redactor> {
    Arc::clone(&KNOWN.read().unwrap_or_else(PoisonError::into_inner).redactor)
}

#[cfg(test)]
mod tests {
    use super::super::redact;
    use super::*;

    #[test]
    fn what_an_owner_no_longer_has_is_no_longer_taken_out() {
        let owner = || Owner::Files("known-test".to_owned());
        assert!(!knows(&owner()));
        learn(owner(), vec!["quagmire-7193".to_owned(), "zeppelin-2048".to_owned()]);
        assert!(knows(&owner()));
        assert_eq!(redact("it says quagmire-7193 and zeppelin-2048"), "it says [redacted] and [redacted]");
        learn(owner(), vec!["zeppelin-2048".to_owned()]);
        assert_eq!(redact("it says quagmire-7193 and zeppelin-2048"), "it says quagmire-7193 and [redacted]");
        learn_more(owner(), vec!["quagmire-7193".to_owned()]);
        assert_eq!(redact("it says quagmire-7193 and zeppelin-2048"), "it says [redacted] and [redacted]");
    }
}
