//! The miner: one line in, one group out.
//!
//! ```text
//! line ─► read and mask ─► key ─► cache ──────────────────────► group   known line: nothing is allocated
//!                           └───► template with this key ─────► group
//!                           └───► template with a variable word ► group
//!                           └───► new template; merge its row or family if that has many words
//! ```
//!
//! Guarantees: the same lines in the same order give the same groups. Nothing depends on time, chance or the address of
//! anything. Memory is bounded by [`Settings`]. No line makes it panic.

use serde::{Deserialize, Serialize};

use crate::signature::mine::cache::Cache;
use crate::signature::mine::family;
use crate::signature::mine::hash::VALUE;
use crate::signature::mine::id::SignatureId;
use crate::signature::mine::line::{self, Line};
use crate::signature::mine::settings::Settings;
use crate::signature::mine::state::State;
use crate::signature::mine::store::{Store, rows};
use crate::signature::mine::template::Template;

/// Number of a group of lines in one miner. It means nothing outside of it; [`SignatureId`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Group(u64);

impl Group {
    /// The group of all lines whose template was dropped to keep the bounds.
    pub const REST: Self = Self(0);

    /// The number: 0 for the rest, else counted from 1 in the order of first lines.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }
}

/// What the miner says about a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The group of the line. It may be merged into another later: see [`Miner::resolve`].
    pub group: Group,
    /// The id of the template as it is now.
    pub id: SignatureId,
    /// True when no template covered the line before.
    pub is_new: bool,
}

/// Finds the templates of the lines of one service, one line after the other.
#[derive(Clone, Debug)]
pub struct Miner {
    settings: Settings,
    line: Line,
    hashes: Vec<u64>,
    cache: Cache,
    store: Store,
    lines: u64,
    groups: u64,
}

impl Miner {
    /// A miner that has seen nothing. Values of the settings out of range are moved into it.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let settings = settings.in_range();
        Self {
            line: Line::default(),
            hashes: Vec::new(),
            cache: Cache::new(settings.cache_slots),
            store: Store::new(&settings),
            lines: 0,
            groups: 0,
            settings,
        }
    }

    /// Finds the group of a line. `content` is the message without its header, in any form and length.
    #[inline]
    pub fn learn(&mut self, content: &str) -> Found {
        let bytes = cut(content, self.settings.most_line_bytes);
        self.lines = self.lines.saturating_add(1);
        let key = self.line.read(bytes, self.settings.most_tokens);
        let known = self.cache.get(key);
        if let Some(found) = known.and_then(|slot| self.count(slot)) {
            return found;
        }
        self.learn_slowly(bytes, key)
    }

    /// The template of a group, with `<*>` for what differs: `Connection from <*> closed`. Punctuation is that of the
    /// line seen first. A group that was merged gives the template it was merged into; [`Group::REST`] gives `<*>`.
    #[must_use]
    pub fn template(&self, group: Group) -> String {
        self.store.by_group(self.resolve(group)).map_or_else(|| String::from("<*>"), |found| found.text.clone())
    }

    /// The id of a group. A group that was merged gives the id of what it was merged into.
    #[must_use]
    pub fn id(&self, group: Group) -> SignatureId {
        self.store.by_group(self.resolve(group)).map_or_else(|| SignatureId::of([None].into_iter()), |found| found.id)
    }

    /// The group in which the lines of this group are now: itself, what it was merged into, or [`Group::REST`] when it
    /// was dropped or was never given.
    #[must_use]
    pub fn resolve(&self, group: Group) -> Group {
        self.store.resolve(group)
    }

    /// The groups that are kept, in order of their numbers.
    #[must_use]
    pub fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<_> = self.store.iter().map(|(_, template)| template.group).collect();
        groups.sort_unstable();
        groups
    }

    /// Number of templates kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.store.len()
    }

    /// True when no template is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Estimated memory of the templates and their indexes, in bytes; never over [`Settings::most_bytes`] unless a
    /// single template is larger.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.store.bytes()
    }

    /// All that has to be kept to go on later.
    #[must_use]
    pub fn save(&self) -> State {
        let mut templates: Vec<_> = self.store.iter().map(|(_, template)| template.clone()).collect();
        templates.sort_by_key(|template| template.group);
        State {
            settings: self.settings,
            lines: self.lines,
            groups: self.groups,
            merges: self.store.merges().collect(),
            templates,
        }
    }

    /// Goes on from a saved state, as if there had been no interruption.
    #[must_use]
    pub fn restore(state: State) -> Self {
        let state = state.checked();
        let mut miner = Self::new(state.settings);
        miner.lines = state.lines;
        miner.groups = state.groups;
        for template in state.templates {
            miner.store.add(template);
        }
        for (old, into) in state.merges {
            miner.store.merge(old, into);
        }
        miner.store.sweep(usize::MAX);
        miner
    }

    /// Counts a line of a template.
    #[inline]
    fn count(&mut self, slot: usize) -> Option<Found> {
        let template = self.store.at_mut(slot)?;
        template.weight = template.weight.saturating_add(1);
        template.last = self.lines;
        Some(Found { group: template.group, id: template.id, is_new: false })
    }

    #[cold]
    #[inline(never)]
    fn learn_slowly(&mut self, bytes: &[u8], key: u64) -> Found {
        let known = self.store.by_key(key).or_else(|| self.general(key));
        if let Some((slot, found)) = known.and_then(|slot| Some((slot, self.count(slot)?))) {
            self.cache.put(key, slot);
            return found;
        }
        self.groups += 1;
        let group = Group(self.groups);
        let mut template = Template::of_line(group, bytes, self.line.tokens());
        template.weight = 1;
        template.last = self.lines;
        let mut slot = self.store.add(template);
        while let Some(merged) = self.merge_row(slot).or_else(|| self.merge_family(slot)) {
            slot = merged;
        }
        if self.store.sweep(slot) {
            self.cache.clear();
        }
        self.cache.put(key, slot);
        let group = self.resolve(group);
        Found { group, id: self.id(group), is_new: true }
    }

    /// The template with a variable word that covers the line just read.
    fn general(&mut self, key: u64) -> Option<usize> {
        let hashes = &mut self.hashes;
        hashes.clear();
        hashes.extend(self.line.tokens().iter().map(|token| token.hash));
        if let Some(slot) = self.store.covering(hashes) {
            return Some(slot);
        }
        for place in 0..hashes.len() {
            let hash = std::mem::replace(&mut hashes[place], VALUE);
            let other = line::key(hashes.iter().copied());
            hashes[place] = hash;
            if other != key
                && let Some(slot) = self.store.by_key(other)
                && self.store.at(slot).is_some_and(|template| template.is_general)
            {
                return Some(slot);
            }
        }
        None
    }

    /// Merges the first row of a template that has enough words, and returns the slot of the result.
    fn merge_row(&mut self, slot: usize) -> Option<usize> {
        let template = self.store.at(slot)?;
        let hashes: Vec<_> = template.hashes().collect();
        let constants = hashes.iter().filter(|hash| **hash != VALUE).count();
        let needed = self.settings.words_needed(constants.saturating_sub(1))?;
        let (place, _, _) = rows(template).into_iter().find(|(_, row, _)| self.store.count(*row) >= needed)?;
        let members = self.store.row_of(&hashes, place);
        self.merge(&members, &[place])
    }

    /// Merges the part of the family of a template that differs in few places only, and returns the slot of the result.
    fn merge_family(&mut self, slot: usize) -> Option<usize> {
        let hashes: Vec<_> = self.store.at(slot)?.hashes().collect();
        let key = family::key(&hashes);
        if !family::is_due(self.store.family_size(key), &self.settings) {
            return None;
        }
        let slots = self.store.family(key);
        let rows: Vec<Vec<u64>> =
            slots.iter().map(|slot| self.store.at(*slot).map_or_else(Vec::new, |one| one.hashes().collect())).collect();
        let (members, places) = family::alike(&rows, &self.settings)?;
        let members: Vec<_> = members.into_iter().map(|member| slots[member]).collect();
        self.merge(&members, &places)
    }

    /// Makes one template of several, with values in the given places. The members are in the order of age, so the
    /// oldest gives number and punctuation.
    fn merge(&mut self, members: &[usize], places: &[usize]) -> Option<usize> {
        let mut parts: Vec<_> = members.iter().filter_map(|member| self.store.remove(*member)).collect();
        let mut merged = parts.first()?.clone();
        for place in places {
            merged.generalise(*place);
        }
        if let Some(same) = self.store.by_key(merged.key())
            && let Some(same) = self.store.remove(same)
        {
            parts.push(same);
        }
        merged.group = parts.iter().map(|part| part.group).min()?;
        merged.weight = parts.iter().map(|part| part.weight).fold(0, u64::saturating_add);
        merged.last = parts.iter().map(|part| part.last).max()?;
        let into = merged.group;
        for part in parts.iter().filter(|part| part.group != into) {
            self.store.merge(part.group, into);
        }
        self.cache.clear();
        Some(self.store.add(merged))
    }
}

/// The head of a line of at most so many bytes, without half a character.
#[inline]
fn cut(content: &str, most: usize) -> &[u8] {
    if content.len() <= most {
        return content.as_bytes();
    }
    let end = (0..=most).rev().find(|end| content.is_char_boundary(*end)).unwrap_or(0);
    &content.as_bytes()[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learnt(lines: &[&str]) -> (Miner, Vec<Found>) {
        let mut miner = Miner::new(Settings::default());
        let found = lines.iter().map(|line| miner.learn(line)).collect();
        (miner, found)
    }

    #[test]
    fn lines_that_differ_in_values_are_one_group() {
        let (miner, found) = learnt(&["Connection from 10.0.0.1 closed", "Connection from 10.0.0.7 closed"]);
        assert_eq!(found[0].group, found[1].group);
        assert!(found[0].is_new && !found[1].is_new);
        assert_eq!(miner.template(found[0].group), "Connection from <*> closed");
    }

    #[test]
    fn a_place_with_many_words_becomes_a_variable() {
        let names = ["ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis", "jay", "kiwi", "lark", "mole"];
        let lines: Vec<_> = names.iter().map(|name| format!("volume {name} mounted without error")).collect();
        let (miner, found) = learnt(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(miner.groups(), [found[0].group]);
        assert!(found.iter().all(|found| miner.resolve(found.group) == miner.groups()[0]));
        assert_eq!(miner.template(found[3].group), "volume <*> mounted without error");
        assert!(!found[12].is_new);
    }

    #[test]
    fn few_words_in_a_place_stay_constants() {
        let (miner, _) = learnt(&["instance 1 is now started", "instance 1 is now stopped", "instance 2 is now paused"]);
        assert_eq!(miner.len(), 3);
    }

    #[test]
    fn what_is_dropped_resolves_to_the_rest() {
        let mut miner = Miner::new(Settings { most_templates: 8, ..Settings::default() });
        let first = miner.learn("alpha").group;
        for count in 2..12 {
            miner.learn(&"word ".repeat(count));
        }
        assert!(miner.len() <= 8);
        assert_eq!(miner.resolve(first), Group::REST);
        assert_eq!(miner.template(first), "<*>");
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let mut miner = Miner::new(Settings { most_line_bytes: 64, ..Settings::default() });
        let line = "é".repeat(100);
        assert!(!miner.learn(&format!("x{line}")).id.to_string().is_empty());
        assert_eq!(miner.learn(&format!("x{line}")).group, miner.learn(&format!("x{line}é")).group);
    }
}
