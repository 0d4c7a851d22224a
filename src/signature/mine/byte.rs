//! Classes of bytes.
//!
//! One table of 256 entries says what a byte can mean inside a log line. The reader in [`crate::signature::mine::line`] looks every
//! byte up once and ORs the classes of a word together, so that most words are judged by one comparison.
//!
//! Bytes above 127 count as letters: a word in any language written in UTF-8 stays one word.

/// A set of classes.
pub(crate) type Class = u8;

/// The byte ends a word: blanks, brackets, quotes and the punctuation that joins a key with its value.
pub(crate) const BREAK: Class = 1;
/// `0` to `9`.
pub(crate) const DIGIT: Class = 2;
/// A letter that is no hexadecimal digit, or any byte above 127.
pub(crate) const LETTER: Class = 4;
/// `a` to `f` in either case.
pub(crate) const HEX: Class = 8;
/// `.`
pub(crate) const DOT: Class = 16;
/// `/` or `\`
pub(crate) const SLASH: Class = 32;
/// `@`
pub(crate) const AT: Class = 64;
/// Any other sign that may stand inside a word, such as `-` and `_`.
pub(crate) const SIGN: Class = 128;

/// Classes that make a word worth a closer look. A word without them is plain.
pub(crate) const SPECIAL: Class = DIGIT | DOT | SLASH | AT;

/// What a word has to hold to be a word at all.
pub(crate) const SOLID: Class = DIGIT | LETTER | HEX;

/// The class of every byte.
pub(crate) static CLASSES: [Class; 256] = classes();

/// The class of one byte.
pub(crate) fn class(byte: u8) -> Class {
    CLASSES[usize::from(byte)]
}

/// True for a blank: space, tab, line end and the other control bytes.
pub(crate) fn is_blank(byte: u8) -> bool {
    byte <= b' '
}

const fn classes() -> [Class; 256] {
    let mut table = [LETTER; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = match byte {
            0..=b' '
            | 127
            | b'"'
            | b'\''
            | b'`'
            | b'('
            | b')'
            | b'['
            | b']'
            | b'{'
            | b'}'
            | b'<'
            | b'>'
            | b'='
            | b':'
            | b','
            | b';'
            | b'|'
            | b'!'
            | b'?' => BREAK,
            b'0'..=b'9' => DIGIT,
            b'a'..=b'f' | b'A'..=b'F' => HEX,
            b'g'..=b'z' | b'G'..=b'Z' => LETTER,
            b'.' => DOT,
            b'/' | b'\\' => SLASH,
            b'@' => AT,
            _ => SIGN,
        };
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_exactly_one_class() {
        for byte in 0..=255_u8 {
            assert_eq!(class(byte).count_ones(), 1, "byte {byte}");
        }
    }

    #[test]
    fn letters_of_other_alphabets_stay_inside_words() {
        assert!("é日本".bytes().all(|byte| class(byte) == LETTER));
    }
}
