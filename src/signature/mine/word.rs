//! What a single word means: constant or value.
//!
//! The rules look at the form of the word and at the bytes beside it, never at what the service is called:
//!
//! | form                                              | example                         | judged  |
//! |---------------------------------------------------|---------------------------------|---------|
//! | holds a digit                                     | `10.0.0.1`, `blk_7`, `0xff`      | value   |
//! | is a path, an address with `@`, a host            | `/var/log`, `me@x`, `x.org`      | value   |
//! | is a qualified name of three parts or more        | `org.example.app`               | value   |
//! | is eight or more hexadecimal letters              | `deadbeef`                      | value   |
//! | is one letter, but no English word                | `C` of `C:`, `x+`               | value   |
//! | is a unit behind a value, or a day or month       | `MB`, `Jun`                     | value   |
//! | is true or false behind a key                     | `force=true`                    | value   |
//! | is the key of `key=value` (a short number is cut) | `r01=` is `r=`                  | constant|
//! | names a failure, or ends in capitals              | `java.io.IOException`, `a.b.ON`  | constant|
//! | all else                                          | `connection`                    | constant|
//!
//! The lists here are closed classes of the language: units, names of days and months, prepositions. They are not
//! meant to grow.

use crate::signature::mine::byte::{AT, Class, DIGIT, DOT, HEX, LETTER, SIGN, SLASH, SPECIAL, class, is_blank};

/// Shortest run of hexadecimal letters that is taken for a number. English has no common word of eight such letters.
const LEAST_HEX: usize = 8;

/// Longest group of a hardware or IPv6 address.
const MOST_HEX_GROUP: usize = 4;

/// Most digits at the end of a key. `r01=` and `eth0=` are names with a number; `blk_2568309208894455676=` is none.
const MOST_KEY_DIGITS: usize = 3;

/// What a word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Part of the template, up to this many bytes of it.
    Constant(usize),
    /// Differs from line to line.
    Value,
}

/// Judges the word `line[start..end]`. `classes` are the classes of all its bytes; `behind_value` says that the word
/// before it was a value. The word is not empty, holds a letter or a digit, and starts with none of the joining signs.
#[inline]
pub(crate) fn judge(line: &[u8], start: usize, end: usize, classes: Class, behind_value: bool) -> Kind {
    let word = &line[start..end];
    let constant = Kind::Constant(word.len());
    if classes & SPECIAL == 0 {
        if is_plain_value(line, start, end, classes, behind_value) { Kind::Value } else { constant }
    } else {
        special(line, start, end, classes)
    }
}

fn is_plain_value(line: &[u8], start: usize, end: usize, classes: Class, behind_value: bool) -> bool {
    let word = &line[start..end];
    match word.len() {
        1 => return !matches!(word, b"a" | b"A" | b"I"),
        2 if classes & SIGN != 0 && matches!(word[1], b'+' | b'-') => return true,
        3 if word[0].is_ascii_uppercase() && (is_date(word) || is_may(line, start, end)) => return true,
        4 | 5 if is_truth(word) && is_behind_key(line, start) => return true,
        9 if word == b"localhost" => return true,
        _ => {}
    }
    if behind_value && word.len() <= LONGEST_UNIT && is_unit(word) {
        return true;
    }
    classes & (LETTER | SIGN) == 0 && (word.len() >= LEAST_HEX || is_address_group(line, start, end))
}

/// True behind `key=`, `key:` and `key: `.
fn is_behind_key(line: &[u8], start: usize) -> bool {
    let before = line[..start].trim_ascii_end();
    before.len() + 1 >= start && matches!(before.last(), Some(b'=' | b':'))
}

/// True for `May` with a day behind it. Alone it is a verb.
fn is_may(line: &[u8], start: usize, end: usize) -> bool {
    line[start..end] == *b"May" && line.get(end) == Some(&b' ') && line.get(end + 1).is_some_and(u8::is_ascii_digit)
}

fn is_truth(word: &[u8]) -> bool {
    matches!(word, b"true" | b"false" | b"True" | b"False" | b"TRUE" | b"FALSE")
}

fn special(line: &[u8], start: usize, end: usize, classes: Class) -> Kind {
    let word = &line[start..end];
    let constant = Kind::Constant(word.len());
    let next = line.get(end).copied();
    if classes & DIGIT != 0 {
        if word.len() <= LONGEST_PROTOCOL && is_protocol(word) {
            return constant;
        }
        if next != Some(b'=') {
            return Kind::Value;
        }
        return key_without_number(word).map_or(Kind::Value, Kind::Constant);
    }
    if classes & SLASH != 0 {
        let is_path = matches!(word[0], b'/' | b'\\') || word.contains(&b'\\') || count(word, b'/') >= 2;
        if is_path {
            return Kind::Value;
        }
    }
    if classes & AT != 0 && word.first() != Some(&b'@') && word.last() != Some(&b'@') {
        return Kind::Value;
    }
    if classes & DOT != 0 && next != Some(b'=') {
        // One dot is enough in `host=example.com` and `example.com:80`.
        let is_value_of_key = start > 0 && line[start - 1] == b'=';
        let has_port = next == Some(b':') && line.get(end + 1).is_some_and(u8::is_ascii_digit);
        let least = if is_value_of_key || has_port { 1 } else { 2 };
        if (count(word, b'.') >= least || is_host(word)) && !is_failure(word) && !is_enumerator(word) {
            return Kind::Value;
        }
    }
    constant
}

/// True for the qualified name of an exception or error: it is what the line is about.
fn is_failure(word: &[u8]) -> bool {
    word.ends_with(b"Exception") || word.ends_with(b"Error")
}

/// True for a qualified name whose last part is in capitals, such as `intent.action.SCREEN_ON`: one state or action out
/// of a fixed few, and so part of the message like the same name without its qualifiers.
fn is_enumerator(word: &[u8]) -> bool {
    let last = word.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
    last.len() >= 2 && last.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'_')
}

/// True for a host in one of the domains that mean a host wherever they stand: the generic ones of the first days, and
/// those of local networks. Country codes are left out, they are endings of files as well.
fn is_host(word: &[u8]) -> bool {
    const DOMAINS: [&[u8]; 9] =
        [b".com", b".net", b".org", b".edu", b".gov", b".local", b".lan", b".internal", b".localdomain"];
    DOMAINS.iter().any(|domain| word.ends_with(domain))
}

/// Length in bytes of the longest name in [`is_protocol`].
const LONGEST_PROTOCOL: usize = 5;

/// True for a protocol whose version belongs to the name: `IPv4` and `IPv6` are two things, not one with a number.
fn is_protocol(word: &[u8]) -> bool {
    match word {
        [name @ .., b'4' | b'6'] => {
            [&b"ipv"[..], b"ip", b"tcp", b"udp", b"icmp"].iter().any(|known| name.eq_ignore_ascii_case(known))
        }
        _ => false,
    }
}

/// The length of a key without the number at its end; `None` when the word is no such key.
fn key_without_number(word: &[u8]) -> Option<usize> {
    let length = word.iter().rposition(|byte| !byte.is_ascii_digit())? + 1;
    let is_name = word[..length].iter().all(|byte| class(*byte) & (DIGIT | SLASH | AT) == 0);
    (is_name && word.len() - length <= MOST_KEY_DIGITS).then_some(length)
}

/// True when the word of hexadecimal letters stands in a row of groups joined by colons, at least one of them with a
/// digit: a hardware address or an IPv6 address.
fn is_address_group(line: &[u8], start: usize, end: usize) -> bool {
    if end - start > MOST_HEX_GROUP {
        return false;
    }
    let beside = (start > 0 && line[start - 1] == b':') || line.get(end) == Some(&b':');
    if !beside {
        return false;
    }
    let in_row = |byte: &&u8| class(**byte) & (DIGIT | HEX) != 0 || **byte == b':';
    let (before, behind) = line.split_at(start);
    let row = || before.iter().rev().take_while(in_row).chain(behind.iter().take_while(in_row));
    row().filter(|byte| **byte == b':').take(2).count() == 2 && row().any(u8::is_ascii_digit)
}

#[expect(clippy::naive_bytecount, reason = "a word is short")]
fn count(word: &[u8], sign: u8) -> usize {
    word.iter().filter(|byte| **byte == sign).count()
}

/// Length in bytes of the longest unit in [`is_unit`].
const LONGEST_UNIT: usize = 12;

/// True for a unit of time or size, a half of the day or a time zone. Only asked behind a value. `bytes` is left out:
/// it is the noun of the sentence more often than a unit (`10 bytes sent`).
fn is_unit(word: &[u8]) -> bool {
    matches!(
        word,
        b"ns"
            | b"us"
            | b"ms"
            | b"sec"
            | b"secs"
            | b"second"
            | b"seconds"
            | b"msec"
            | b"msecs"
            | b"usec"
            | b"millis"
            | b"milliseconds"
            | b"microseconds"
            | b"min"
            | b"mins"
            | b"minute"
            | b"minutes"
            | b"hr"
            | b"hrs"
            | b"hour"
            | b"hours"
            | b"day"
            | b"days"
            | b"kB"
            | b"KB"
            | b"MB"
            | b"GB"
            | b"TB"
            | b"PB"
            | b"KiB"
            | b"MiB"
            | b"GiB"
            | b"TiB"
            | b"Hz"
            | b"kHz"
            | b"MHz"
            | b"GHz"
            | b"AM"
            | b"PM"
            | b"UTC"
            | b"GMT"
            | b"EDT"
            | b"EST"
            | b"PDT"
            | b"PST"
            | b"CET"
            | b"CEST"
    )
}

/// True for the short name of a day or a month. `May` is left out: it is a verb more often.
fn is_date(word: &[u8]) -> bool {
    matches!(word, b"Mon" | b"Tue" | b"Wed" | b"Thu" | b"Fri" | b"Sat" | b"Sun")
        || matches!(word, b"Jan" | b"Feb" | b"Mar" | b"Apr" | b"Jun" | b"Jul" | b"Aug" | b"Sep" | b"Oct" | b"Nov" | b"Dec")
}

/// True for a word that announces the name of a person or an account.
pub(crate) fn announces_name(word: &[u8]) -> bool {
    matches!(word, b"user" | b"User")
}

/// True for a word that cannot be the name of anything: prepositions, auxiliary verbs and negations.
pub(crate) fn is_function_word(word: &[u8]) -> bool {
    matches!(
        word,
        b"from"
            | b"by"
            | b"with"
            | b"on"
            | b"for"
            | b"at"
            | b"to"
            | b"in"
            | b"of"
            | b"or"
            | b"and"
            | b"is"
            | b"was"
            | b"has"
            | b"had"
            | b"not"
            | b"no"
            | b"does"
            | b"did"
            | b"cannot"
            | b"can"
            | b"unknown"
            | b"while"
            | b"when"
    )
}

/// True for a preposition that may close `for NAME from …`.
pub(crate) fn closes_name(word: &[u8]) -> bool {
    matches!(word, b"from" | b"by")
}

/// True for the byte that ends an address such as `https://host/path?query`.
pub(crate) fn ends_address(byte: u8) -> bool {
    is_blank(byte) || matches!(byte, b'"' | b'\'' | b'`' | b'<' | b'>' | b')' | b']' | b'}' | b'|')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(line: &str, word: &str) -> Kind {
        let start = line.find(word).expect("the word stands in the line");
        let end = start + word.len();
        let classes = word.bytes().fold(0, |all, byte| all | class(byte));
        judge(line.as_bytes(), start, end, classes, start > 1)
    }

    #[test]
    fn a_word_with_a_digit_is_a_value_unless_it_is_a_key() {
        assert_eq!(judged("blk_7", "blk_7"), Kind::Value);
        assert_eq!(judged("r01=5", "r01"), Kind::Constant(1));
        assert_eq!(judged("blk_256830920889=5", "blk_256830920889"), Kind::Value);
    }

    #[test]
    fn a_qualified_name_is_a_value_unless_it_names_a_failure() {
        assert_eq!(judged("org.example.app", "org.example.app"), Kind::Value);
        assert_eq!(judged("java.io.IOException", "java.io.IOException"), Kind::Constant(19));
        assert_eq!(judged("intent.action.SCREEN_ON", "intent.action.SCREEN_ON"), Kind::Constant(23));
        assert_eq!(judged("java.io.tmpdir=x", "java.io.tmpdir"), Kind::Constant(14));
    }

    #[test]
    fn letters_inside_a_hardware_address_are_values() {
        assert_eq!(judged("on bc:ee:7b:00", "bc"), Kind::Value);
        assert_eq!(judged("on add: bad", "add"), Kind::Constant(3));
    }

    #[test]
    fn hosts_are_values_and_protocols_are_not() {
        assert_eq!(judged("for mail.org now", "mail.org"), Kind::Value);
        assert_eq!(judged("for localhost now", "localhost"), Kind::Value);
        assert_eq!(judged("for main.rs now", "main.rs"), Kind::Constant(7));
        assert_eq!(judged("the IPv6 address", "IPv6"), Kind::Constant(4));
    }

    #[test]
    fn truth_is_a_value_behind_a_key_only() {
        assert_eq!(judged("force=true", "true"), Kind::Value);
        assert_eq!(judged("force: True", "True"), Kind::Value);
        assert_eq!(judged("it is true", "true"), Kind::Constant(4));
    }

    #[test]
    fn a_unit_is_a_value_only_behind_a_value() {
        assert_eq!(judged("5 MB", "MB"), Kind::Value);
        assert_eq!(judged("MB", "MB"), Kind::Constant(2));
    }
}
