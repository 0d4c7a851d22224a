//! Reads a line once and finds its words.
//!
//! ```text
//! Took 10.5 sec for user alice (uid=0)
//! Took <*>          for user <*>    uid <*>
//! ```
//!
//! Words end at blanks, brackets, quotes and joining punctuation. Punctuation itself is dropped. Each word is a constant
//! or a value, see [`crate::signature::mine::word`]. On top of the single word there are four rules of the sentence:
//!
//! * neighbouring values are one value, so a list of numbers of any length is one value;
//! * a repeated pair of a constant and a value is a list and is kept once (`node <*> ok <*> ok` is `node <*> ok`);
//! * the word behind `user` is a name, and so is the word in `for NAME from`;
//! * an address with a scheme, or a path with a query, reaches to the next blank, quote or bracket.
//!
//! The reader keeps its buffer: after the first lines nothing is allocated. Reading is a pure function of the line.

use crate::signature::mine::byte::{BREAK, CLASSES, Class, DOT, HEX, LETTER, SLASH, SOLID, class, is_blank};
use crate::signature::mine::hash::{self, VALUE};
use crate::signature::mine::word::{Kind, announces_name, closes_name, ends_address, is_function_word, judge};

/// One word of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// The hash of a constant, or [`VALUE`].
    pub(crate) hash: u64,
    /// First byte of the word in the line.
    pub(crate) start: u32,
    /// The byte behind the word.
    pub(crate) end: u32,
}

impl Token {
    pub(crate) fn is_value(self) -> bool {
        self.hash == VALUE
    }
}

/// The words of the line read last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    tokens: Vec<Token>,
}

impl Line {
    /// Reads a line and returns the key of its words. `most_tokens` bounds their number; what is behind is ignored.
    /// `bytes` must be shorter than 4 GiB.
    #[inline]
    pub(crate) fn read(&mut self, bytes: &[u8], most_tokens: usize) -> u64 {
        self.tokens.clear();
        let mut reader = Reader { bytes, tokens: &mut self.tokens, at: 0, name_expected: false };
        while reader.tokens.len() < most_tokens && reader.next_word() {}
        key(self.tokens.iter().map(|token| token.hash))
    }

    pub(crate) fn tokens(&self) -> &[Token] {
        &self.tokens
    }
}

/// The key of a row of hashes. Neighbouring values count once.
#[inline]
pub(crate) fn key(hashes: impl Iterator<Item = u64>) -> u64 {
    let mut key = 0;
    let mut last = !VALUE;
    for hash in hashes {
        if hash != VALUE || last != VALUE {
            key = hash::chain(key, hash);
        }
        last = hash;
    }
    key
}

struct Reader<'a> {
    bytes: &'a [u8],
    tokens: &'a mut Vec<Token>,
    at: usize,
    name_expected: bool,
}

impl Reader<'_> {
    /// Reads up to the end of the next word. False when there is none.
    #[inline]
    fn next_word(&mut self) -> bool {
        let bytes = self.bytes;
        let mut start = self.at;
        while start < bytes.len() && class(bytes[start]) & (SOLID | SLASH) == 0 {
            start += 1;
        }
        let mut end = start;
        let mut classes: Class = 0;
        while end < bytes.len() {
            let class = CLASSES[usize::from(bytes[end])];
            if class & (BREAK | DOT) != 0 && ends_here(bytes, end) {
                break;
            }
            classes |= class;
            end += 1;
        }
        if start >= end {
            return false;
        }
        self.at = end;
        self.word(start, end, classes);
        true
    }

    #[inline]
    fn word(&mut self, start: usize, end: usize, classes: Class) {
        let bytes = self.bytes;
        let word = &bytes[start..end];
        if classes & SOLID == 0 {
            // A lone slash joins words or is the root directory; both say nothing.
            return;
        }
        let behind_value = self.tokens.last().is_some_and(|token| token.is_value());
        let next = bytes.get(end).copied().unwrap_or(b' ');
        if next == b':' && bytes[end..].starts_with(b"://") {
            return self.address(start, end);
        }
        let kind = judge(bytes, start, end, classes, behind_value);
        let named = std::mem::take(&mut self.name_expected) && is_blank_or_quote(bytes[start - 1]);
        match kind {
            Kind::Value if classes & SLASH != 0 && next == b'?' => self.address(start, end),
            Kind::Value => self.value(start, end),
            Kind::Constant(_) if is_open_range(word, next) => self.value(start, end),
            Kind::Constant(_) if named && !is_function_word(word) => self.value(start, end),
            Kind::Constant(length) => {
                if word.len() == 4 {
                    self.name_expected = is_blank(next) && announces_name(word);
                }
                if closes_name(word) {
                    self.close_name();
                }
                self.constant(start, start + length);
            }
        }
    }

    /// Takes in an address up to its end.
    #[cold]
    fn address(&mut self, start: usize, end: usize) {
        let rest = &self.bytes[end..];
        let length = rest.iter().position(|byte| ends_address(*byte)).unwrap_or(rest.len());
        self.at = end + length;
        self.value(start, end + length);
    }

    #[inline]
    fn value(&mut self, start: usize, end: usize) {
        match self.tokens.last_mut() {
            Some(last) if last.is_value() => last.end = place(end),
            _ => {
                self.tokens.push(Token { hash: VALUE, start: place(start), end: place(end) });
                self.drop_repeated_pair();
            }
        }
    }

    #[inline]
    fn constant(&mut self, start: usize, end: usize) {
        let hash = hash::word(&self.bytes[start..end]);
        self.tokens.push(Token { hash, start: place(start), end: place(end) });
        if let [.., before, _] = self.tokens[..]
            && before.is_value()
        {
            self.drop_repeated_pair();
        }
    }

    #[inline]
    fn drop_repeated_pair(&mut self) {
        if let [.., first, second, third, fourth] = self.tokens[..]
            && first.hash == third.hash
            && second.hash == fourth.hash
        {
            self.tokens.truncate(self.tokens.len() - 2);
        }
    }

    /// Turns the word before `from` or `by` into a value if `for` stands before it.
    #[inline]
    fn close_name(&mut self) {
        if let [.., before, name] = &mut self.tokens[..]
            && before.end - before.start == 3
            && self.bytes[before.start as usize..before.end as usize] == *b"for"
        {
            name.hash = VALUE;
        }
    }
}

/// True for `node-` of `node-[1-5]`: the name goes on inside the bracket.
#[inline]
fn is_open_range(word: &[u8], next: u8) -> bool {
    matches!(next, b'[' | b'{' | b'<') && matches!(word.last(), Some(b'-' | b'_'))
}

/// True when a break or a dot ends the word before it. A dot does so with another break or dot behind it: at the end of
/// a sentence, and in a leader such as `enabled.....1`. An apostrophe with letters on both sides does not (`can't`).
#[inline]
fn ends_here(bytes: &[u8], at: usize) -> bool {
    let next = bytes.get(at + 1).map_or(BREAK, |byte| class(*byte));
    match bytes[at] {
        b'.' => next & (BREAK | DOT) != 0,
        b'\'' => next & (LETTER | HEX) == 0 || at == 0 || class(bytes[at - 1]) & (LETTER | HEX) == 0,
        _ => true,
    }
}

fn is_blank_or_quote(byte: u8) -> bool {
    is_blank(byte) || matches!(byte, b'"' | b'\'' | b'`')
}

/// A place in a line as it is stored. Lines are cut long before 4 GiB.
fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(text: &str) -> String {
        let mut line = Line::default();
        line.read(text.as_bytes(), 100);
        let words = line
            .tokens()
            .iter()
            .map(|token| if token.is_value() { "<*>" } else { &text[token.start as usize..token.end as usize] });
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn keys_stay_and_values_go() {
        assert_eq!(masked("uid=0 euid=17 tty=NODEVssh rhost=example.com"), "uid <*> euid <*> tty NODEVssh rhost <*>");
    }

    #[test]
    fn lists_of_any_length_are_one_value() {
        assert_eq!(masked("sizes 1, 2, 3 KB done"), masked("sizes 7 done"));
        assert_eq!(masked("set node-1 0xff <ok> node-2 0x0f <ok> end"), "set <*> ok end");
        assert_eq!(masked("set node-1 0xff <ok> end"), "set <*> ok end");
    }

    #[test]
    fn leaders_of_dots_end_a_word() {
        assert_eq!(masked("instr. enabled.....1"), "instr enabled <*>");
        assert_eq!(masked("Calibrating loop... 14.5 x"), "Calibrating loop <*>");
    }

    #[test]
    fn names_of_users_are_values() {
        assert_eq!(masked("session opened for user root by (uid=0)"), "session opened for user <*> by uid <*>");
        assert_eq!(masked("Failed password for root from 10.0.0.1"), "Failed password for <*> from <*>");
        assert_eq!(masked("Invalid user  from 10.0.0.1"), "Invalid user from <*>");
    }

    #[test]
    fn an_address_reaches_to_the_next_blank() {
        assert_eq!(masked("GET https://a.b/c?d=e&f=g,h done"), "GET <*> done");
        assert_eq!(masked("\"GET /v2/x?all=True&b=c HTTP/1.1\" ok"), "GET <*> ok");
    }

    #[test]
    fn an_apostrophe_stays_inside_its_word() {
        assert_eq!(masked("can't find 'disk' isn't"), "can't find disk isn't");
    }

    #[test]
    fn any_bytes_can_be_read() {
        for text in ["", " ", "/", "...", "user", "user ", "://", "a://", "=", "[[", "é", "\u{0}"] {
            masked(text);
        }
    }
}
