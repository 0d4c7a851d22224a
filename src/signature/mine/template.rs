//! A template: the text of a group of lines, with `<*>` where they differ.
//!
//! The text keeps the punctuation of the line that came first, for people to read. What decides whether two lines are
//! alike is the row of words only. The places of the words in the text are kept beside it.

use serde::{Deserialize, Serialize};

use crate::signature::mine::Group;
use crate::signature::mine::byte::{SOLID, class};
use crate::signature::mine::hash::{self, VALUE};
use crate::signature::mine::id::SignatureId;
use crate::signature::mine::line::{self, Token};

/// How a value is written.
pub(crate) const BLANK: &str = "<*>";

/// Estimated memory of a template without its text and words, in bytes: the struct and its entries in three tables,
/// with the room hash tables keep free.
const FIXED_BYTES: usize = 384;

/// Estimated memory for each word, in bytes: its place and its entry in the table of siblings with free room.
const WORD_BYTES: usize = 64;

/// A group of lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Template {
    /// Number of the group.
    pub(crate) group: Group,
    /// The text, with [`BLANK`] for each value.
    pub(crate) text: String,
    /// First byte and the byte behind of each word in the text.
    pub(crate) words: Vec<(u32, u32)>,
    /// True when a word of it has become a variable.
    pub(crate) is_general: bool,
    /// Lines, halved from time to time.
    pub(crate) weight: u64,
    /// Number of the line seen last.
    pub(crate) last: u64,
    /// The id.
    pub(crate) id: SignatureId,
}

impl Template {
    /// A template made of one line.
    pub(crate) fn of_line(group: Group, content: &[u8], tokens: &[Token]) -> Self {
        let mut text = Vec::with_capacity(content.len());
        let mut words = Vec::with_capacity(tokens.len());
        let mut at = 0;
        for token in tokens {
            let (start, end) = (token.start as usize, token.end as usize);
            push_gap(&mut text, &content[at..start]);
            let from = text.len();
            text.extend_from_slice(if token.is_value() { BLANK.as_bytes() } else { &content[start..end] });
            words.push((place(from), place(text.len())));
            at = if token.is_value() { end + closing(content, start, end) } else { end };
        }
        push_gap(&mut text, &content[at..]);
        // Cuts are made beside ASCII bytes only, so the text is UTF-8 unless the last character of a long line was cut.
        let text = match String::from_utf8(text) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        };
        let mut template =
            Self { group, text, words, is_general: false, weight: 0, last: 0, id: SignatureId::of([].into_iter()) };
        template.id = template.current_id();
        template
    }

    /// The word at a place; `None` for a value.
    pub(crate) fn word(&self, place: usize) -> Option<&str> {
        let (start, end) = *self.words.get(place)?;
        let word = self.text.get(start as usize..end as usize)?;
        (word != BLANK).then_some(word)
    }

    /// The hashes of its words.
    pub(crate) fn hashes(&self) -> impl Iterator<Item = u64> + '_ {
        (0..self.words.len()).map(|place| self.word(place).map_or(VALUE, |word| hash::word(word.as_bytes())))
    }

    /// The key of its words, the same as the key of its lines.
    pub(crate) fn key(&self) -> u64 {
        line::key(self.hashes())
    }

    /// Turns the word at a place into a value.
    pub(crate) fn generalise(&mut self, place: usize) {
        self.is_general = true;
        let Some((start, end)) = self.words.get(place).copied() else { return };
        self.text.replace_range(start as usize..end as usize, BLANK);
        let grown = start + 3;
        self.words[place].1 = grown;
        for word in &mut self.words[place + 1..] {
            *word = (word.0 - end + grown, word.1 - end + grown);
        }
        self.id = self.current_id();
    }

    /// True when the row of hashes is a line of this template, word by word.
    pub(crate) fn covers(&self, hashes: &[u64]) -> bool {
        self.words.len() == hashes.len() && self.hashes().zip(hashes).all(|(own, other)| own == VALUE || own == *other)
    }

    /// Estimated memory in bytes, rounded up.
    pub(crate) fn bytes(&self) -> usize {
        FIXED_BYTES + self.text.len() + self.words.len() * WORD_BYTES
    }

    /// The id that belongs to its words.
    pub(crate) fn current_id(&self) -> SignatureId {
        SignatureId::of((0..self.words.len()).map(|place| self.word(place)))
    }
}

/// The number of brackets behind a value that close brackets inside of it, as in `host [10.0.0.1]`.
fn closing(content: &[u8], start: usize, end: usize) -> usize {
    let count = |signs: &[u8]| content[start..end].iter().filter(|byte| signs.contains(byte)).count();
    let open = count(b"([{<").saturating_sub(count(b")]}>"));
    content[end..].iter().take(open).take_while(|byte| b")]}>".contains(byte)).count()
}

/// What stands between two words. It holds letters or digits only where the number of a key or a part of a list was
/// left out.
fn push_gap(text: &mut Vec<u8>, gap: &[u8]) {
    let is_solid = |byte: &u8| class(*byte) & SOLID != 0;
    if !gap.iter().any(is_solid) {
        text.extend_from_slice(gap);
    } else if let Some(rest) = gap.iter().position(|byte| !byte.is_ascii_digit())
        && !gap[rest..].iter().any(is_solid)
    {
        text.extend_from_slice(BLANK.as_bytes());
        text.extend_from_slice(&gap[rest..]);
    } else {
        text.extend_from_slice(b" .. ");
    }
}

fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
