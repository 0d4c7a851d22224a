//! The id of a signature.
//!
//! It is made of the constants of a template and the places of its values, and of nothing else: not of the punctuation,
//! the number of neighbouring values, the service, the host, the time, or the order in which lines came. Masking looks
//! at one line only, so the id of most templates is final with their first line. It changes only when a word turns out
//! to be a variable.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Goes into each hash, so that a later change of the rules gives different ids on purpose.
const VERSION: &[u8] = b"log signature 1";

/// Stable id of a template: the first 64 bits of a SHA-256. Written as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct SignatureId(u64);

/// The text is not 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSignatureId;

impl SignatureId {
    /// The id of a template given as its words, in order; `None` stands for a value. Neighbouring values count once.
    pub(crate) fn of<'a>(words: impl Iterator<Item = Option<&'a str>>) -> Self {
        let mut hash = Sha256::new_with_prefix(VERSION);
        let mut last_is_value = false;
        for word in words {
            match word {
                Some(word) => {
                    hash.update(b" ");
                    hash.update(word);
                }
                None if last_is_value => {}
                None => hash.update(b" <*>"),
            }
            last_is_value = word.is_none();
        }
        let digest = hash.finalize();
        Self(digest.iter().take(8).fold(0, |id, byte| (id << 8) | u64::from(*byte)))
    }

    /// The id as a number.
    #[must_use]
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for SignatureId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}", self.0)
    }
}

impl FromStr for SignatureId {
    type Err = NoSignatureId;

    fn from_str(text: &str) -> Result<Self, NoSignatureId> {
        if text.len() != 16 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(NoSignatureId);
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| NoSignatureId)
    }
}

impl From<SignatureId> for String {
    fn from(id: SignatureId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for SignatureId {
    type Error = NoSignatureId;

    fn try_from(text: String) -> Result<Self, NoSignatureId> {
        text.parse()
    }
}

impl fmt::Display for NoSignatureId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a signature id is 16 hexadecimal digits")
    }
}

impl std::error::Error for NoSignatureId {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_being_written_and_read() {
        let id = SignatureId::of([Some("open"), None].into_iter());
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("xyz".parse::<SignatureId>(), Err(NoSignatureId));
        assert_eq!("+123456789abcdef".parse::<SignatureId>(), Err(NoSignatureId));
    }

    #[test]
    fn neighbouring_values_count_once() {
        let once = SignatureId::of([Some("open"), None].into_iter());
        assert_eq!(SignatureId::of([Some("open"), None, None].into_iter()), once);
        assert_ne!(SignatureId::of([None, Some("open")].into_iter()), once);
    }
}
