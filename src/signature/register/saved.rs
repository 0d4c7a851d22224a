//! A register between two runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::alarm::Alarm;
use super::entry::Entry;
use super::{Known, Register, SERVICES_MOST, Service};
use crate::api::{Severity, Time};
use crate::signature::mine::{Group, Miner, State};
use crate::signature::rates::{Key, SavedWatch, Watch};
use crate::signature::rules::Rules;

/// All that a register has learnt, as plain data for serde.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Saved {
    /// When.
    #[serde(default)]
    at: Option<Time>,
    lines: u64,
    unread: u64,
    next_key: u64,
    watch: SavedWatch,
    services: Vec<SavedService>,
    alarms: Vec<Alarm>,
    /// None: it was saved by a version that did not count them.
    #[serde(default)]
    known: Option<Vec<((String, String), Known)>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct SavedService {
    name: String,
    miner: State,
    entries: Vec<(Group, Entry)>,
}

impl Register {
    /// All of it, after closing the records that are open.
    #[must_use]
    pub fn save(&mut self, now: Time) -> Saved {
        self.flush(now);
        let service = |(name, service): (&String, &Service)| SavedService {
            name: name.clone(),
            miner: service.miner.save(),
            entries: service.entries.iter().map(|(group, entry)| (*group, entry.clone())).collect(),
        };
        Saved {
            at: Some(now),
            lines: self.lines,
            unread: self.unread,
            next_key: self.next_key,
            watch: self.watch.save(),
            services: self.services.iter().map(service).collect(),
            alarms: self.alarms.clone(),
            known: Some(self.known.clone().into_iter().collect()),
        }
    }

    /// The register that was saved, as of `now`: nothing was read meanwhile.
    #[must_use]
    pub fn restore(saved: Saved, rules: Rules, now: Time) -> Self {
        let mut register = Self::new(rules);
        (register.lines, register.unread) = (saved.lines, saved.unread);
        (register.next_key, register.alarms) = (saved.next_key, saved.alarms);
        register.watch = Watch::restore(saved.watch);
        for SavedService { name, miner, entries } in saved.services.into_iter().take(SERVICES_MOST) {
            for (group, entry) in &entries {
                register.keys.insert(entry.key, (name.clone(), *group));
            }
            let service = Service { miner: Miner::restore(miner), entries: entries.into_iter().collect() };
            register.services.insert(name, service);
        }
        register.know_again(saved.known);
        register.alarms.iter_mut().for_each(|alarm| alarm.unread(saved.at.unwrap_or(now), now));
        register
    }

    /// What rules have known, and what alarms are counted under: of a version that saved neither, as far as the entries tell.
    fn know_again(&mut self, known: Option<Vec<((String, String), Known)>>) {
        let entries = || self.services.iter().flat_map(|(name, service)| service.entries.values().map(move |e| (name, e)));
        let of_rule = |(name, entry): (&String, &Entry)| {
            let rule = entry.rule.clone().filter(|_| entry.severity > Severity::Noise)?;
            let known = Known { severity: entry.severity, count: entry.count, first: entry.first, last: entry.last };
            Some(((name.clone(), rule), known))
        };
        let known = known.unwrap_or_else(|| entries().filter_map(of_rule).collect());
        let mut all: BTreeMap<(String, String), Known> = BTreeMap::new();
        for (key, more) in known {
            all.entry(key).and_modify(|known| known.absorb(&more)).or_insert(more);
        }
        let keys: Vec<(String, String, Key)> =
            entries().map(|(name, entry)| (name.clone(), entry.id.to_string(), entry.key)).collect();
        for alarm in self.alarms.iter_mut().filter(|alarm| alarm.keys.is_empty()) {
            for (service, id, key) in &keys {
                if *service == alarm.service && alarm.ids.contains(id) {
                    alarm.count_under(*key);
                }
            }
        }
        self.known = all;
    }
}
