//! What a logger's name looks like.
//!
//! A word with a colon behind it may be a logger (`wicap.store: opened`) or the beginning of a sentence (`failed: no
//! such file`). A name with a joint in it, such as `a.b` or `a::b`, is a logger. A single word is one only where the
//! format
//! leaves no doubt.

/// The longest name. Java's full class names stay below.
const LONGEST: usize = 160;

/// The bytes a name may have. A table, because this is asked of most bytes of most lines.
const IN_NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 0x80 {
        table[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(byte, b'.' | b'_' | b'-' | b':' | b'/' | b'$' | b'@' | b'#' | b'<' | b'>');
        byte += 1;
    }
    table
};

/// Whether `text` could be a logger's name: one word of letters, digits and joints that begins with a letter.
pub(crate) fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    !bytes.is_empty()
        && bytes.len() <= LONGEST
        && (bytes[0].is_ascii_alphabetic() || bytes[0] == b'_')
        && bytes.iter().all(|byte| IN_NAME[usize::from(*byte)])
        && !bytes.windows(3).any(|three| three == b"://")
}

/// Whether `text` is a logger's name beyond doubt: it has a joint with a letter or digit on either side.
pub(crate) fn is_qualified(text: &str) -> bool {
    is_name(text)
        && text.as_bytes().windows(3).any(|three| {
            matches!(three[1], b'.' | b'_' | b':')
                && three[0] != b':'
                && (three[2].is_ascii_alphanumeric() || matches!(three[2], b':' | b'_' | b'<'))
        })
}

/// Whether `text` is a source position, such as `main.go:12`.
pub(crate) fn is_position(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(file, line)| {
        !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit()) && file.contains('.') && is_name(file)
    })
}

#[cfg(test)]
mod tests {
    use super::{is_name, is_position, is_qualified};

    #[test]
    fn a_name_with_a_joint_is_beyond_doubt() {
        for (text, name, qualified) in [
            ("wicap.mod", true, true),
            ("tower_http::trace", true, true),
            ("__main__:<module>:12", true, true),
            ("QuorumPeerMain@136", true, false),
            ("spawned", true, false),
            ("root", true, false),
            ("http://a.b", false, false),
            ("10.0.0.1", false, false),
            ("a b", false, false),
            ("", false, false),
            ("größe.x", false, false),
        ] {
            assert_eq!((is_name(text), is_qualified(text)), (name, qualified), "{text}");
        }
    }

    #[test]
    fn a_position_is_a_file_and_a_line() {
        assert!(is_position("main.go:12"));
        assert!(!is_position("main:12") && !is_position("main.go:") && !is_position("12"));
    }
}
