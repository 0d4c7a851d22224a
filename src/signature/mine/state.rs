//! The state of a miner between two runs.
//!
//! It is plain data for serde. A miner restored from it goes on exactly as if it had not been interrupted. A state that
//! was changed by hand or cut is repaired as far as possible: what does not fit is left out.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::signature::mine::id::SignatureId;
use crate::signature::mine::miner::Group;
use crate::signature::mine::settings::Settings;
use crate::signature::mine::template::Template;

/// Largest group number a state may have given, so that numbers do not run out behind it.
const MOST_GROUPS: u64 = 1 << 62;

/// All that a [`crate::signature::mine::Miner`] has learnt. Its size is bounded like the miner's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    pub(crate) settings: Settings,
    pub(crate) lines: u64,
    pub(crate) groups: u64,
    pub(crate) merges: Vec<(Group, Group)>,
    pub(crate) templates: Vec<Template>,
}

impl State {
    /// The settings the miner had.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// The same state without what contradicts itself: words outside of their text or out of order, two templates with
    /// one key or one number, numbers not given yet, merges into newer groups.
    pub(crate) fn checked(mut self) -> Self {
        self.groups = self.groups.min(MOST_GROUPS);
        let given = self.groups;
        let is_given = |group: Group| group != Group::REST && group.number() <= given;
        let mut keys = HashSet::new();
        let mut groups = HashSet::new();
        self.templates.retain_mut(|template| {
            let fits = is_given(template.group)
                && places_fit(template)
                && keys.insert(template.key())
                && groups.insert(template.group);
            template.id = if fits { template.current_id() } else { SignatureId::of([].into_iter()) };
            fits
        });
        // Merges go to older groups only, so following them ends.
        self.merges.retain(|(old, into)| is_given(*old) && is_given(*into) && into < old && !groups.contains(old));
        self
    }
}

fn places_fit(template: &Template) -> bool {
    let mut at = 0;
    template.words.iter().all(|(start, end)| {
        let fits = at <= *start && start <= end && template.text.get(*start as usize..*end as usize).is_some();
        at = *end;
        fits
    })
}
