//! What an entry may be called: a relative path that means the same on every file system, and nothing to any program.

use crate::api::Violation;
use crate::api::validate::quoted;

/// The entry that says what the others are. No part may be called so.
pub const MANIFEST: &str = "manifest.json";

/// How deep an entry may lie: `containers/<service>/<number>/inspect.json` is the deepest that is needed.
const SEGMENTS_MOST: usize = 4;

/// The longest segment: what the name field of a tar header holds.
const SEGMENT_MOST: usize = 100;

/// The longest path: what the prefix field of a tar header holds. So each path fits the two fields, whatever its segments.
pub(super) const PATH_MOST: usize = 155;

/// Whether a part may be called so.
///
/// # Errors
/// When it is the manifest's name, or one that no entry may have.
pub fn check(path: &str) -> Result<(), Violation> {
    if path == MANIFEST {
        return Err(Violation::new("path", quoted(path), "another name: this is the manifest's"));
    }
    if is_path(path) {
        return Ok(());
    }
    let expected = format!(
        "a path of at most {PATH_MOST} bytes and {SEGMENTS_MOST} segments, each 1 to {SEGMENT_MOST} of a-z, 0-9, '.', '_', '-' and \
         beginning with none of '.' and '-'"
    );
    Err(Violation::new("path", quoted(path), expected))
}

/// Whether an entry may be called so, the manifest included.
pub(super) fn is_path(path: &str) -> bool {
    let is_segment = |segment: &str| {
        (1..=SEGMENT_MOST).contains(&segment.len())
            && !segment.starts_with(['.', '-'])
            && segment.bytes().all(|b| is_plain(b) || b == b'_')
    };
    path.len() <= PATH_MOST && path.split('/').count() <= SEGMENTS_MOST && path.split('/').all(is_segment)
}

/// The directories that a path lies in, the outermost first: `a` and `a/b` of `a/b/c`.
pub(super) fn directories(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

/// Any name, such as a service's, as a segment: what may not stand there becomes `_` and two hex digits. One that has more
/// than 33 such bytes may become too long for a path.
#[must_use]
pub fn segment(name: &str) -> String {
    if name.is_empty() {
        // No name becomes a lone `_` otherwise.
        return "_".to_owned();
    }
    let mut out = String::with_capacity(name.len());
    for (at, byte) in name.bytes().enumerate() {
        if is_plain(byte) && !(at == 0 && matches!(byte, b'.' | b'-')) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("_{byte:02x}"));
        }
    }
    out
}

/// The name that a segment was made of; `None` when it was made of none.
#[must_use]
pub fn name(segment: &str) -> Option<String> {
    if segment == "_" {
        return Some(String::new());
    }
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'_' {
            let (digits, after) = rest.split_at_checked(2)?;
            rest = after;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        } else {
            bytes.push(*first);
        }
    }
    let name = String::from_utf8(bytes).ok()?;
    // There is one segment for a name.
    (self::segment(&name) == segment).then_some(name)
}

/// Whether a byte stands for itself in a segment that was made of a name.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_that_could_mean_anything_else_is_refused() {
        let long = "a".repeat(SEGMENT_MOST);
        let deep = format!("{}/{}", "a".repeat(54), "b".repeat(SEGMENT_MOST));
        for good in ["a", "a/b/c/d", "logs/my_2dui.jsonl", "a..b", "_", &long, &deep] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        let (longer, deeper) = (format!("{long}a"), format!("a{deep}"));
        let bad =
            ["", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/..", "a/./b", ".hidden", "-rf", "a/-b", "A", "ä", "a b"];
        let more = ["a\\b", "a\0", "a\n", "c:", "a/b/c/d/e", "manifest.json", &longer, &deeper];
        for bad in bad.into_iter().chain(more) {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_refusal_says_what_was_found_and_what_was_expected() {
        let error = check("../etc/passwd").unwrap_err().to_string();
        assert!(error.starts_with("path: found \"../etc/passwd\", expected a path of at most 155 bytes"), "{error}");
    }

    #[test]
    fn names_become_segments_and_segments_names() {
        let table = [
            ("ui", "ui"),
            ("intel-worker", "intel-worker"),
            ("My_Service.1", "_4dy_5f_53ervice.1"),
            ("..", "_2e."),
            ("-x", "_2dx"),
            ("a/b", "a_2fb"),
            ("", "_"),
        ];
        for (plain, escaped) in table {
            assert_eq!(segment(plain), escaped);
            assert_eq!(name(escaped).as_deref(), Some(plain));
        }
        for none in ["_4", "_zz", "_ff", "a_61", "_+1", "_4D", "A"] {
            assert_eq!(name(none), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn every_name_survives_and_every_segment_is_a_path(text in "\\PC{0,33}|.{0,33}") {
            let escaped = segment(&text);
            prop_assert_eq!(name(&escaped), Some(text));
            if escaped.len() <= SEGMENT_MOST {
                prop_assert!(is_path(&escaped));
            }
        }

        #[test]
        fn every_segment_is_the_segment_of_its_name(escaped in "[a-z0-9._-]{1,12}") {
            if let Some(name) = name(&escaped) {
                prop_assert_eq!(segment(&name), escaped);
            }
        }
    }
}
