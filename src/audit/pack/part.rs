//! A part on its way into a pack: redacted, and cut to what it may take.

use serde_json::json;

use super::cap::Cap;
use super::manifest::{Cut, Kind, document};

/// The most that the note takes that stands for a document that was left out.
pub(super) const NOTE_MOST: u64 = 128;

/// A redacted part.
#[derive(Debug)]
pub(super) struct Part {
    kind: Kind,
    content: String,
    cap: Cap,
    cut: Option<Cut>,
}

impl Part {
    /// Lines for people. The last one is ended if it is not.
    pub(super) fn text(content: String, cap: Cap) -> Self {
        Self::lines(Kind::Text, content, cap)
    }

    /// Lines of JSON.
    pub(super) fn records(content: String, cap: Cap) -> Self {
        Self::lines(Kind::Records, content, cap)
    }

    fn lines(kind: Kind, mut content: String, cap: Cap) -> Self {
        if !content.is_empty() && !content.ends_with('\n') {
            content.push('\n');
        }
        let mut part = Self { kind, content, cap, cut: None };
        part.shorten(cap.bytes);
        part
    }

    /// One value of JSON, as it is written.
    pub(super) fn document(content: String, cap: Cap) -> Self {
        let mut part = Self { kind: Kind::Document, content, cap, cut: None };
        if part.bytes() > cap.bytes {
            part.leave_out(&format!("its cap is {} bytes", cap.bytes));
        }
        part
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn cap(&self) -> Cap {
        self.cap
    }

    pub(super) fn cut(&self) -> Option<Cut> {
        self.cut
    }

    pub(super) fn bytes(&self) -> u64 {
        self.content.len() as u64
    }

    pub(super) fn has_lines(&self) -> bool {
        self.kind != Kind::Document
    }

    pub(super) fn content(&self) -> &[u8] {
        self.content.as_bytes()
    }

    pub(super) fn into_content(self) -> Vec<u8> {
        self.content.into_bytes()
    }

    /// Takes lines from its front until it has no more than `most` bytes. A last line that is longer goes as well.
    pub(super) fn shorten(&mut self, most: u64) {
        let Some(over) = self.content.len().checked_sub(usize::try_from(most).unwrap_or(usize::MAX)).filter(|n| *n > 0)
        else {
            return;
        };
        let bytes = self.content.as_bytes();
        // The line that the last of what is over belongs to goes with it.
        let end = memchr::memchr(b'\n', &bytes[over - 1..]).map_or(bytes.len(), |at| over + at);
        let gone = memchr::memchr_iter(b'\n', &bytes[..end]).count() as u64;
        let (before, lines_before) = match self.cut {
            Some(Cut::Front { bytes, lines }) => (bytes, lines),
            _ => (0, 0),
        };
        self.content.drain(..end);
        // What was cut is memory that others need.
        self.content.shrink_to_fit();
        self.cut = Some(Cut::Front { bytes: before + end as u64, lines: lines_before + gone });
    }

    /// Puts a note in its place.
    pub(super) fn leave_out(&mut self, why: &str) {
        if matches!(self.cut, Some(Cut::LeftOut { .. })) {
            return;
        }
        let bytes = self.bytes();
        self.content = document(&json!({ "bytes": bytes, "leftOut": why }));
        self.cut = Some(Cut::LeftOut { bytes });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::cap::Weight;
    use super::*;

    fn cap(bytes: u64) -> Cap {
        Cap::new(bytes, Weight::Log)
    }

    #[test]
    fn what_is_cut_are_whole_lines_from_the_front() {
        let text = "one\ntwo\nthree\n";
        let table = [
            (14, text, None),
            (13, "two\nthree\n", Some((4, 1))),
            (10, "two\nthree\n", Some((4, 1))),
            (9, "three\n", Some((8, 2))),
            (6, "three\n", Some((8, 2))),
            (5, "", Some((14, 3))),
            (0, "", Some((14, 3))),
        ];
        for (most, left, cut) in table {
            let part = Part::text(text.to_owned(), cap(most));
            assert_eq!(part.content, left, "{most}");
            assert_eq!(part.cut, cut.map(|(bytes, lines)| Cut::Front { bytes, lines }), "{most}");
        }
    }

    #[test]
    fn cutting_again_adds_up() {
        let mut part = Part::text("one\ntwo\nthree".to_owned(), cap(10));
        part.shorten(6);
        assert_eq!((part.content.as_str(), part.cut), ("three\n", Some(Cut::Front { bytes: 8, lines: 2 })));
    }

    #[test]
    fn a_document_over_its_cap_is_a_note() {
        let part = Part::document("[1, 2, 3]\n".to_owned(), cap(9));
        let note: serde_json::Value = serde_json::from_str(&part.content).unwrap();
        assert_eq!(note, json!({"leftOut": "its cap is 9 bytes", "bytes": 10}));
        assert_eq!(part.cut, Some(Cut::LeftOut { bytes: 10 }));
        let part = Part::document("[1, 2, 3]\n".to_owned(), cap(10));
        assert_eq!((part.content.as_str(), part.cut), ("[1, 2, 3]\n", None));
    }

    #[test]
    fn the_longest_note_is_no_longer_than_it_may_be() {
        for why in [format!("its cap is {} bytes", u64::MAX), "the pack has no room for it".to_owned()] {
            assert!(document(&json!({ "bytes": u64::MAX, "leftOut": why })).len() as u64 <= NOTE_MOST);
        }
    }

    proptest! {
        #[test]
        fn what_is_left_is_the_longest_end_of_whole_lines_that_fits(text in "[aä\n]{0,40}", most in 0..50_u64) {
            let whole = Part::text(text, cap(u64::MAX)).content;
            let part = Part::text(whole.clone(), cap(most));
            let starts = std::iter::once(0).chain(whole.match_indices('\n').map(|(at, _)| at + 1));
            let longest = starts.map(|at| &whole[at..]).find(|end| end.len() as u64 <= most).unwrap();
            prop_assert_eq!(&part.content, longest);
            let gone = &whole[..whole.len() - longest.len()];
            let cut = Cut::Front { bytes: gone.len() as u64, lines: gone.matches('\n').count() as u64 };
            prop_assert_eq!(part.cut, (!gone.is_empty()).then_some(cut));
        }
    }
}
