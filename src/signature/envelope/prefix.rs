//! The word in brackets that a launcher puts before the lines of its children: `[PROCESSOR] `.

use crate::signature::envelope::level::Level;

/// The longest name a prefix may have. Service names are short; a longer bracket is text.
const LONGEST_NAME: usize = 32;

/// Words in brackets that say how something went. They belong to the message.
const VERDICTS: [&str; 12] =
    ["OK", "DONE", "PASS", "PASSED", "FAIL", "FAILED", "SKIP", "SKIPPED", "TODO", "YES", "NO", "SYSTEM"];

/// A line behind its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefixed<'a> {
    /// The name between the brackets.
    pub name: &'a str,
    /// What comes after the closing bracket, padding included.
    pub rest: &'a str,
}

/// Splits the prefix off. The name is in capitals, digits, `_`, `-` and `.`, begins with a letter, and is neither a
/// level nor
/// a verdict; behind the bracket comes a blank or nothing.
pub(crate) fn split(line: &str) -> Option<Prefixed<'_>> {
    let inner = line.strip_prefix('[')?;
    let bytes = inner.as_bytes();
    let end = memchr::memchr(b']', &bytes[..bytes.len().min(LONGEST_NAME + 1)])?;
    let (name, rest) = (&inner[..end], &inner[end + 1..]);
    let named = name.len() >= 2
        && bytes[0].is_ascii_uppercase()
        && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"_-.".contains(&byte));
    let apart = rest.is_empty() || rest.starts_with([' ', '\t']);
    if !named || !apart || Level::of_word(name).is_some() || VERDICTS.contains(&name) {
        return None;
    }
    Some(Prefixed { name, rest })
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn a_name_in_capitals_and_brackets_is_a_prefix() {
        for (line, name, rest) in [
            ("[PROCESSOR] x", "PROCESSOR", " x"),
            ("[SCOUT]   x", "SCOUT", "   x"),
            ("[WEB-1] x", "WEB-1", " x"),
            ("[SCOUT]", "SCOUT", ""),
        ] {
            let prefixed = split(line).unwrap();
            assert_eq!((prefixed.name, prefixed.rest), (name, rest), "{line}");
        }
    }

    #[test]
    fn other_brackets_are_text() {
        for line in [
            "[main] x",
            "[1/5] x",
            "[] x",
            "[INFO] x",
            "[OK] x",
            "[A] x",
            "[PROCESSOR]x",
            "[PROC x",
            "[  OK  ] x",
            "x",
            "[ÄB] x",
        ] {
            assert_eq!(split(line), None, "{line}");
        }
    }
}
