//! Finds the place where many templates differ.
//!
//! ```text
//! volume alpha mounted   ─┐
//! volume beta mounted    ─┼─ row "volume _ mounted": 3 words
//! volume gamma mounted   ─┘
//! ```
//!
//! Every template stands in one row for each of its constants: the row of all templates that are equal but for that
//! constant. A row only counts; who stands in it is found by a search when the count is high enough.

use crate::signature::mine::hash::{self, KeyMap};

/// Most places of a template that are watched. A variable word so far behind is told by what stands before it.
pub(crate) const MOST_PLACES: usize = 32;

/// Weight of a word that looks like a name, against 1 for a plain word. A sign inside a word, or a capital behind a
/// small letter, is chosen by somebody and seldom part of a sentence.
const NAME_WEIGHT: u32 = 2;

/// The count of each row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Siblings {
    rows: KeyMap<u32>,
}

impl Siblings {
    /// Adds a word to a row.
    pub(crate) fn add(&mut self, row: u64, weight: u32) {
        let count = self.rows.entry(row).or_default();
        *count = count.saturating_add(weight);
    }

    /// The count of a row.
    pub(crate) fn count(&self, row: u64) -> u32 {
        self.rows.get(&row).copied().unwrap_or_default()
    }

    /// Takes a word out of a row. A row without words is dropped.
    pub(crate) fn remove(&mut self, row: u64, weight: u32) {
        if let Some(count) = self.rows.get_mut(&row) {
            *count = count.saturating_sub(weight);
            if *count == 0 {
                self.rows.remove(&row);
            }
        }
    }
}

/// The row of a line for one place: a hash of the place and all other words.
pub(crate) fn row(hashes: &[u64], place: usize) -> u64 {
    hashes.iter().enumerate().fold(place as u64, |row, (at, hash)| if at == place { row } else { hash::chain(row, *hash) })
}

/// How much a word counts.
pub(crate) fn weight(word: &str) -> u32 {
    let bytes = word.as_bytes();
    let inner = bytes.get(1..bytes.len().saturating_sub(1)).unwrap_or_default();
    let has_sign = inner.iter().any(u8::is_ascii_punctuation);
    let has_hump = bytes.windows(2).any(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase());
    if has_sign || has_hump { NAME_WEIGHT } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_does_not_depend_on_the_word_in_its_place() {
        assert_eq!(row(&[1, 2, 3], 1), row(&[1, 9, 3], 1));
        assert_ne!(row(&[1, 2, 3], 1), row(&[1, 2, 3], 2));
    }

    #[test]
    fn names_weigh_more_than_plain_words() {
        assert_eq!((weight("mounted"), weight("-"), weight("")), (1, 1, 1));
        assert_eq!((weight("my-app"), weight("fooBar")), (2, 2));
    }
}
