//! A register between two runs.

use serde::{Deserialize, Serialize};

use super::alarm::Alarm;
use super::entry::Entry;
use super::{Known, Register, SERVICES_MOST, Service};
use crate::api::Time;
use crate::signature::mine::{Group, Miner, State};
use crate::signature::rates::{SavedWatch, Watch};
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
    #[serde(default)]
    known: Vec<((String, String), Known)>,
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
            known: self.known.clone().into_iter().collect(),
        }
    }

    /// The register that was saved, as of `now`: nothing was read meanwhile.
    #[must_use]
    pub fn restore(saved: Saved, rules: Rules, now: Time) -> Self {
        let mut register = Self::new(rules);
        (register.lines, register.unread) = (saved.lines, saved.unread);
        (register.next_key, register.alarms) = (saved.next_key, saved.alarms);
        register.watch = Watch::restore(saved.watch);
        register.known = saved.known.into_iter().collect();
        register.alarms.iter_mut().for_each(|alarm| alarm.unread(saved.at.unwrap_or(now), now));
        for SavedService { name, miner, entries } in saved.services.into_iter().take(SERVICES_MOST) {
            for (group, entry) in &entries {
                register.keys.insert(entry.key, (name.clone(), *group));
            }
            let service = Service { miner: Miner::restore(miner), entries: entries.into_iter().collect() };
            register.services.insert(name, service);
        }
        register
    }
}
