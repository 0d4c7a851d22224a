//! The hash of words and of lines.
//!
//! Eight bytes are taken at a time and folded with one wide multiplication. The result is the same on every machine.
//! It is a key of tables inside one process and never leaves it; what leaves it is [`crate::signature::mine::SignatureId`].

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Odd constant with evenly spread bits (the fraction of the golden ratio), so that a product mixes all bits.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// Second such constant (the fraction of the square root of two), so that the two halves of a word differ.
const STIR: u64 = 0x6A09_E667_F3BC_C909;

/// The hash that stands for a variable part. No word has it but by an accident of 1 in 2^64.
pub(crate) const VALUE: u64 = 0;

/// A table whose keys are hashes already.
pub(crate) type KeyMap<T> = HashMap<u64, T, BuildHasherDefault<Ready>>;

/// Mixes two numbers into one.
#[inline]
pub(crate) fn fold(left: u64, right: u64) -> u64 {
    let wide = u128::from(left ^ STIR) * u128::from(right ^ SPREAD);
    #[expect(clippy::cast_possible_truncation, reason = "the two halves are what is wanted")]
    let halves = (wide as u64, (wide >> 64) as u64);
    halves.0 ^ halves.1
}

/// The hash of one word.
#[inline]
pub(crate) fn word(bytes: &[u8]) -> u64 {
    let length = bytes.len() as u64;
    let mut hash = length.wrapping_mul(SPREAD);
    if let Some(last) = bytes.last_chunk::<8>() {
        let mut rest = bytes;
        while let Some((chunk, more)) = rest.split_first_chunk::<8>() {
            hash = fold(hash, u64::from_le_bytes(*chunk));
            rest = more;
        }
        return fold(hash, u64::from_le_bytes(*last));
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        return fold(hash ^ u64::from(u32::from_le_bytes(*first)), u64::from(u32::from_le_bytes(*last)));
    }
    let small = bytes.iter().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    fold(hash, small)
}

/// Adds the next word of a line to the key of the line.
#[inline]
pub(crate) fn chain(key: u64, word: u64) -> u64 {
    fold(key.rotate_left(23) ^ word, STIR)
}

/// Passes a key on unchanged: the keys here are hashes already.
#[derive(Default)]
pub(crate) struct Ready(u64);

impl Hasher for Ready {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = fold(self.0, word(bytes));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number.wrapping_mul(SPREAD);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn words_of_every_length_differ_in_each_of_their_bytes() {
        let mut seen = HashSet::new();
        for length in 1..40 {
            for place in 0..length {
                let mut bytes = vec![b'a'; length];
                bytes[place] = b'b';
                assert!(seen.insert(word(&bytes)), "length {length} place {place}");
            }
        }
    }

    #[test]
    fn the_order_of_words_counts() {
        let (left, right) = (word(b"open"), word(b"closed"));
        assert_ne!(chain(chain(0, left), right), chain(chain(0, right), left));
    }
}
