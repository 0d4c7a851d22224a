//! Holds the templates and finds them by key and by group.
//!
//! ```text
//! key ──► slot ──► template        group ──► slot
//!                                  old group ──► group it was merged into
//! ```
//!
//! The store is bounded in number and bytes. When it is over a bound, an eighth of the templates goes: those seen least,
//! and among them those not seen for longest. Weights are halved each time, so what was common long ago goes too. A
//! group that is gone resolves to [`Group::REST`].

use std::collections::VecDeque;

use crate::signature::mine::Group;
use crate::signature::mine::family;
use crate::signature::mine::hash::KeyMap;
use crate::signature::mine::settings::Settings;
use crate::signature::mine::sibling::{self, MOST_PLACES, Siblings};
use crate::signature::mine::template::Template;

/// Share of the templates that goes at once. The cost of a sweep is spread over so many new lines.
const SWEPT_SHARE: usize = 8;

/// All templates of a miner.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    most_templates: usize,
    most_bytes: usize,
    slots: Vec<Option<Template>>,
    free: Vec<usize>,
    by_key: KeyMap<usize>,
    by_group: KeyMap<usize>,
    merged: KeyMap<Group>,
    merged_order: VecDeque<Group>,
    general: Vec<usize>,
    siblings: Siblings,
    families: Siblings,
    bytes: usize,
}

impl Store {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            most_templates: settings.most_templates,
            most_bytes: settings.most_bytes,
            slots: Vec::new(),
            free: Vec::new(),
            by_key: KeyMap::default(),
            by_group: KeyMap::default(),
            merged: KeyMap::default(),
            merged_order: VecDeque::new(),
            general: Vec::new(),
            siblings: Siblings::default(),
            families: Siblings::default(),
            bytes: 0,
        }
    }

    /// Adds a template and returns its slot.
    pub(crate) fn add(&mut self, template: Template) -> usize {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.by_key.insert(template.key(), slot);
        self.by_group.insert(template.group.number(), slot);
        self.bytes += template.bytes();
        for (_, row, weight) in rows(&template) {
            self.siblings.add(row, weight);
        }
        self.families.add(family_of(&template), 1);
        if template.is_general {
            self.general.push(slot);
        }
        self.slots[slot] = Some(template);
        slot
    }

    /// Takes a template out.
    pub(crate) fn remove(&mut self, slot: usize) -> Option<Template> {
        let template = self.slots.get_mut(slot)?.take()?;
        self.free.push(slot);
        self.by_key.remove(&template.key());
        self.by_group.remove(&template.group.number());
        self.bytes -= template.bytes();
        for (_, row, weight) in rows(&template) {
            self.siblings.remove(row, weight);
        }
        self.families.remove(family_of(&template), 1);
        if template.is_general {
            self.general.retain(|general| *general != slot);
        }
        Some(template)
    }

    #[inline]
    pub(crate) fn at(&self, slot: usize) -> Option<&Template> {
        self.slots.get(slot)?.as_ref()
    }

    #[inline]
    pub(crate) fn at_mut(&mut self, slot: usize) -> Option<&mut Template> {
        self.slots.get_mut(slot)?.as_mut()
    }

    pub(crate) fn by_key(&self, key: u64) -> Option<usize> {
        self.by_key.get(&key).copied()
    }

    pub(crate) fn by_group(&self, group: Group) -> Option<&Template> {
        self.at(*self.by_group.get(&group.number())?)
    }

    /// The oldest template with a variable word that covers the row of hashes.
    pub(crate) fn covering(&self, hashes: &[u64]) -> Option<usize> {
        let covers = |slot: &&usize| self.at(**slot).is_some_and(|template| template.covers(hashes));
        self.general.iter().filter(covers).min_by_key(|slot| self.at(**slot).map(|template| template.group)).copied()
    }

    /// The slots of the templates that stand in the row of this template for this place, oldest first.
    pub(crate) fn row_of(&self, hashes: &[u64], place: usize) -> Vec<usize> {
        let in_row = |template: &Template| {
            template.words.len() == hashes.len()
                && template.word(place).is_some()
                && template.hashes().zip(hashes).enumerate().all(|(at, (own, other))| at == place || own == *other)
        };
        let mut slots: Vec<_> = self.iter().filter(|(_, template)| in_row(template)).collect();
        slots.sort_by_key(|(_, template)| template.group);
        slots.into_iter().map(|(slot, _)| slot).collect()
    }

    /// The count of a row.
    pub(crate) fn count(&self, row: u64) -> u32 {
        self.siblings.count(row)
    }

    /// The number of templates in a family.
    pub(crate) fn family_size(&self, family: u64) -> u32 {
        self.families.count(family)
    }

    /// The slots of a family, oldest first.
    pub(crate) fn family(&self, family: u64) -> Vec<usize> {
        let mut slots: Vec<_> = self.iter().filter(|(_, template)| family_of(template) == family).collect();
        slots.sort_by_key(|(_, template)| template.group);
        slots.into_iter().map(|(slot, _)| slot).collect()
    }

    /// Where the lines of a group are now.
    pub(crate) fn resolve(&self, group: Group) -> Group {
        let mut group = group;
        while let Some(into) = self.merged.get(&group.number()) {
            group = *into;
        }
        if self.by_group.contains_key(&group.number()) { group } else { Group::REST }
    }

    /// Remembers a merge. As many merges are remembered as templates; older ones resolve to the rest.
    pub(crate) fn merge(&mut self, old: Group, into: Group) {
        self.merged.insert(old.number(), into);
        self.merged_order.push_back(old);
        while self.merged_order.len() > self.most_templates {
            if let Some(oldest) = self.merged_order.pop_front() {
                self.merged.remove(&oldest.number());
            }
        }
    }

    /// The merges, oldest first.
    pub(crate) fn merges(&self) -> impl Iterator<Item = (Group, Group)> + '_ {
        self.merged_order.iter().filter_map(|old| Some((*old, *self.merged.get(&old.number())?)))
    }

    /// Drops what is rare and old while a bound is passed. True when something went. `spared` stays.
    pub(crate) fn sweep(&mut self, spared: usize) -> bool {
        let mut swept = false;
        while self.by_key.len() > self.most_templates || (self.bytes > self.most_bytes && self.by_key.len() > 1) {
            let mut order: Vec<_> = self
                .iter()
                .filter(|(slot, _)| *slot != spared)
                .map(|(slot, template)| (template.weight.max(1).ilog2(), template.last, slot))
                .collect();
            let share = (order.len() / SWEPT_SHARE).max(1);
            order.sort_unstable();
            for (_, _, slot) in order.into_iter().take(share) {
                self.remove(slot);
            }
            for template in self.slots.iter_mut().flatten() {
                template.weight /= 2;
            }
            swept = true;
        }
        swept
    }

    /// All templates with their slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &Template)> {
        self.slots.iter().enumerate().filter_map(|(slot, template)| Some((slot, template.as_ref()?)))
    }

    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Place, row and weight of each constant that is watched.
pub(crate) fn rows(template: &Template) -> Vec<(usize, u64, u32)> {
    let hashes: Vec<_> = template.hashes().collect();
    let places = 0..hashes.len().min(MOST_PLACES);
    let rows = places.filter_map(|place| {
        let word = template.word(place)?;
        Some((place, sibling::row(&hashes, place), sibling::weight(word)))
    });
    rows.collect()
}

fn family_of(template: &Template) -> u64 {
    family::key(&template.hashes().collect::<Vec<_>>())
}
