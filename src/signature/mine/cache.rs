//! Remembers the template of a masked line.
//!
//! One slot for each key, no chains: a newer key overwrites an older one. Everything is forgotten at once when templates
//! are merged or dropped, so the cache never answers differently from the tables behind it.

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    key: u64,
    slot: u32,
    epoch: u32,
}

/// A table of fixed size.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    entries: Vec<Entry>,
    mask: usize,
    epoch: u32,
}

impl Cache {
    /// `slots` is a power of two.
    pub(crate) fn new(slots: usize) -> Self {
        let slots = slots.next_power_of_two();
        Self { entries: vec![Entry::default(); slots], mask: slots - 1, epoch: 1 }
    }

    #[inline]
    pub(crate) fn get(&self, key: u64) -> Option<usize> {
        let entry = self.entries.get(self.place(key))?;
        (entry.key == key && entry.epoch == self.epoch).then_some(entry.slot as usize)
    }

    pub(crate) fn put(&mut self, key: u64, slot: usize) {
        let place = self.place(key);
        if let (Some(entry), Ok(slot)) = (self.entries.get_mut(place), u32::try_from(slot)) {
            *entry = Entry { key, slot, epoch: self.epoch };
        }
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        if self.epoch == 0 {
            self.entries.fill(Entry::default());
            self.epoch = 1;
        }
    }

    fn place(&self, key: u64) -> usize {
        #[expect(clippy::cast_possible_truncation, reason = "only the low bits are used")]
        let low = key as usize;
        low & self.mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cleared_cache_knows_nothing() {
        let mut cache = Cache::new(8);
        cache.put(17, 3);
        assert_eq!(cache.get(17), Some(3));
        cache.clear();
        assert_eq!(cache.get(17), None);
        assert_eq!(cache.get(0), None);
    }
}
