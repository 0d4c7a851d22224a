//! Settings of a miner.

use serde::{Deserialize, Serialize};

/// Bounds and thresholds of a [`crate::signature::mine::Miner`]. The defaults suit one service; no setting depends on what it logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Most templates kept. What is rare and old goes first. Range 8 and up; smaller values count as 8.
    ///
    /// Default 4,096: the largest set of the public collections has a few hundred templates for a whole operating
    /// system, so this leaves room for ten of them.
    pub most_templates: usize,
    /// Most bytes of memory the templates and their indexes may take, as estimated by the miner (the estimate is
    /// rounded up). Smaller values than 64 KiB count as 64 KiB. The read buffer and the cache are not included; see
    /// [`Settings::most_tokens`] and [`Settings::cache_slots`].
    ///
    /// Default 8 MiB: 2 KiB for each of the 4,096 templates.
    pub most_bytes: usize,
    /// Bytes of a line that are read. The rest of a longer line is ignored. Range 64 to 65,535.
    ///
    /// Default 4,096: longer lines are dumps, and their head says what they are.
    pub most_line_bytes: usize,
    /// Words of a line that are read. The rest is ignored. Range 4 to 1,024.
    ///
    /// Default 128: longer templates are lists or dumps.
    pub most_tokens: usize,
    /// Different words in one place of otherwise equal lines at which the place becomes a variable. Words that look
    /// like names (`my-app`, `fooBar`) count twice. With fewer than three constants left the number is higher, and
    /// without any the place stays. Range 2 and up.
    ///
    /// Default 12: states, methods and levels have fewer values; names have more.
    pub most_words_in_place: u32,
    /// Slots of the cache from a masked line to its template, 16 bytes each. Rounded up to a power of two. Range 1 to
    /// 2^20. The cache changes speed only.
    ///
    /// Default 4,096 (64 KiB): as many as templates, and it fits in the second-level cache of a core.
    pub cache_slots: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            most_templates: 4_096,
            most_bytes: 8 << 20,
            most_line_bytes: 4_096,
            most_tokens: 128,
            most_words_in_place: 12,
            cache_slots: 4_096,
        }
    }
}

impl Settings {
    /// The same settings with each value moved into its range.
    #[must_use]
    pub fn in_range(mut self) -> Self {
        self.most_templates = self.most_templates.clamp(8, 1 << 30);
        self.most_bytes = self.most_bytes.max(64 << 10);
        self.most_line_bytes = self.most_line_bytes.clamp(64, 65_535);
        self.most_tokens = self.most_tokens.clamp(4, 1_024);
        self.most_words_in_place = self.most_words_in_place.max(2);
        self.cache_slots = self.cache_slots.clamp(1, 1 << 20).next_power_of_two();
        self
    }

    /// Different words that make a place a variable when so many constants stand elsewhere in the line; `None` for
    /// never. The fewer words agree, the more evidence is asked: twice as much evidence for a line that would keep one
    /// constant only, a third more for two.
    pub(crate) fn words_needed(&self, constants_left: usize) -> Option<u32> {
        match constants_left {
            0 => None,
            1 => Some(self.most_words_in_place.saturating_mul(2)),
            2 => Some(self.most_words_in_place.saturating_add(self.most_words_in_place / 3)),
            _ => Some(self.most_words_in_place),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_out_of_range_are_moved_into_it() {
        let settings = Settings { most_templates: 0, most_bytes: 0, cache_slots: 5, ..Settings::default() }.in_range();
        assert_eq!((settings.most_templates, settings.most_bytes, settings.cache_slots), (8, 64 << 10, 8));
    }

    #[test]
    fn the_defaults_are_in_range() {
        assert_eq!(Settings::default().in_range(), Settings::default());
    }
}
