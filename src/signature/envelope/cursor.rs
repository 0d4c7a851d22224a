//! A place in a text, and the few steps the scanners take from it.
//!
//! Every step ends next to an ASCII byte or at an end of the text, so no step can land inside a character.

/// What is left of a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    /// The text from here to the end.
    pub rest: &'a str,
}

impl<'a> Cursor<'a> {
    /// The beginning of a text.
    pub fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    /// The next byte, 0 at the end.
    pub fn peek(self) -> u8 {
        self.rest.as_bytes().first().copied().unwrap_or(0)
    }

    /// Steps over `text` if it is next.
    pub fn eat(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Steps over spaces and tabs. Says whether there were any.
    pub fn blanks(&mut self) -> bool {
        let rest = self.rest.trim_start_matches([' ', '\t']);
        let any = rest.len() < self.rest.len();
        self.rest = rest;
        any
    }

    /// Steps over the bytes for which `accept` holds, and gives them. `accept` must refuse every byte above 127, or
    /// take them all.
    pub fn run(&mut self, accept: impl Fn(u8) -> bool) -> &'a str {
        let end = self.rest.bytes().position(|byte| !accept(byte)).unwrap_or(self.rest.len());
        let (run, rest) = self.rest.split_at(end);
        self.rest = rest;
        run
    }

    /// Steps over digits, at least one and at most `most`.
    pub fn digits(&mut self, most: usize) -> Option<&'a str> {
        let mut ahead = *self;
        let digits = ahead.run(|byte| byte.is_ascii_digit());
        if digits.is_empty() || digits.len() > most {
            return None;
        }
        *self = ahead;
        Some(digits)
    }

    /// Steps over everything up to the next blank, which stays. May be empty.
    pub fn word(&mut self) -> &'a str {
        self.run(|byte| byte != b' ' && byte != b'\t')
    }

    /// Steps over everything up to `end` and over `end` itself, which is ASCII, if it comes within `most` bytes.
    pub fn until(&mut self, end: u8, most: usize) -> Option<&'a str> {
        let bytes = self.rest.as_bytes();
        let at = memchr::memchr(end, &bytes[..bytes.len().min(most)])?;
        let found = &self.rest[..at];
        self.rest = &self.rest[at + 1..];
        Some(found)
    }

    /// Steps over a quoted string, quotes included, and gives what is between them, escapes and all.
    pub fn quoted(&mut self) -> Option<&'a str> {
        let inner = self.rest.strip_prefix('"')?;
        let bytes = inner.as_bytes();
        let mut at = 0;
        loop {
            at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
            if bytes[at] == b'"' {
                self.rest = &inner[at + 1..];
                return Some(&inner[..at]);
            }
            at += 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Cursor;

    #[test]
    fn steps_that_cannot_be_taken_leave_the_place() {
        let mut cursor = Cursor::new("ab 12");
        assert!(!cursor.eat("x"));
        assert_eq!(cursor.digits(2), None);
        assert_eq!(cursor.until(b'2', 3), None);
        assert_eq!(cursor.rest, "ab 12");
        assert_eq!(cursor.word(), "ab");
        assert!(cursor.blanks());
        assert_eq!(cursor.digits(2), Some("12"));
        assert_eq!(cursor.peek(), 0);
    }

    #[test]
    fn a_quoted_string_ends_at_the_first_bare_quote() {
        for (text, inner, rest) in [
            (r#""a" b"#, Some("a"), " b"),
            (r#""a\"b"c"#, Some(r#"a\"b"#), "c"),
            (r#""a\"#, None, r#""a\"#),
            ("\"ü", None, "\"ü"),
        ] {
            let mut cursor = Cursor::new(text);
            assert_eq!(cursor.quoted(), inner, "{text}");
            assert_eq!(cursor.rest, rest, "{text}");
        }
    }
}
