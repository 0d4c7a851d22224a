//! Text for people, laid out for a width: words that carry a meaning, flowed into lines that hang under a label, and tables whose
//! last column is flowed too. No name and no command is ever cut: what is wider than the page sticks out.

use std::io::{self, Write};

use super::table::harmless;
use crate::cli::paint::{Paint, Tone};

/// The least width that is laid out for. On anything narrower every line would be a word.
pub const NARROWEST: usize = 40;

/// The width where none is known: what terminals have had since the VT100.
pub const USUAL: usize = 80;

/// Where text begins behind its label: the longest label and two blanks.
const LABEL: usize = 11;

/// A table's notes stand beside it when at least so much is left there, and below their row otherwise: half a usual line can be read
/// at a glance.
const NOTE: usize = 40;

/// How far a note that stands below its row is indented.
const BELOW: usize = 4;

/// Blanks between the columns of a table.
const GAP: usize = 2;

/// A piece of text and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    tone: Tone,
    text: String,
}

impl Span {
    /// Text of that meaning. Line breaks in it are blanks.
    pub fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self { tone, text: text.into().replace(['\n', '\r', '\t'], " ") }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

/// Text without a meaning of its own.
pub fn plain(text: impl Into<String>) -> Span {
    Span::new(Tone::Plain, text)
}

/// A row of a table: its cells, and what there is to say about it.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// One for each column.
    pub cells: Vec<Span>,
    /// Flowed beside the row, or below it where there is no room.
    pub note: Vec<Span>,
}

/// Lines of a width.
#[derive(Clone, Debug)]
pub struct Page {
    width: usize,
    lines: Vec<Vec<Span>>,
}

impl Page {
    /// An empty page of a width in characters, at least [`NARROWEST`].
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self { width: width.max(NARROWEST), lines: Vec::new() }
    }

    /// An empty line.
    pub fn blank(&mut self) {
        self.lines.push(Vec::new());
    }

    /// Words from the left edge on.
    pub fn text(&mut self, spans: &[Span]) {
        self.flow(Vec::new(), 0, 0, spans);
    }

    /// Words behind a label, hanging under their beginning.
    pub fn labelled(&mut self, label: Span, spans: &[Span]) {
        self.flow(vec![label], LABEL, LABEL, spans);
    }

    /// A line under a label's text that is never broken, such as a command to be copied.
    pub fn unbroken(&mut self, tone: Tone, text: impl Into<String>) {
        self.lines.push(vec![plain(" ".repeat(LABEL)), Span::new(tone, text)]);
    }

    /// Rows in columns, under a header.
    pub fn table(&mut self, header: &[&str], rows: Vec<Row>) {
        let header = header.iter().map(|word| Span::new(Tone::Dim, *word)).collect();
        let rows: Vec<Row> = std::iter::once(Row { cells: header, note: Vec::new() }).chain(rows).collect();
        let columns = rows.iter().map(|row| row.cells.len()).max().unwrap_or(0);
        let widest = |i: usize| rows.iter().filter_map(|row| row.cells.get(i)).map(Span::width).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(|i| widest(i) + GAP).collect();
        let used: usize = widths.iter().sum();
        for Row { cells, note } in rows {
            let padded = cells.into_iter().zip(&widths).flat_map(|(cell, width)| {
                let blanks = plain(" ".repeat(width.saturating_sub(cell.width())));
                [cell, blanks]
            });
            let line: Vec<Span> = padded.collect();
            if self.width.saturating_sub(used) >= NOTE {
                self.flow(line, used, used, &note);
            } else {
                self.lines.push(line);
                if note.iter().any(|span| !span.text.trim().is_empty()) {
                    self.flow(Vec::new(), BELOW, BELOW, &note);
                }
            }
        }
    }

    /// Puts words behind `begin`, from column `first` on, and further lines from column `hang` on.
    fn flow(&mut self, begin: Vec<Span>, first: usize, hang: usize, spans: &[Span]) {
        let mut line = begin;
        let mut column: usize = line.iter().map(Span::width).sum();
        line.push(plain(" ".repeat(first.saturating_sub(column))));
        column = column.max(first);
        let mut begun = false;
        for word in words(spans) {
            let width: usize = word.iter().map(Span::width).sum();
            if begun && column + 1 + width > self.width {
                self.lines.push(std::mem::replace(&mut line, vec![plain(" ".repeat(hang))]));
                column = hang;
            } else if begun {
                line.push(plain(" "));
                column += 1;
            }
            line.extend(word);
            column += width;
            begun = true;
        }
        self.lines.push(line);
    }

    /// This page and another below it.
    #[must_use]
    pub fn followed_by(mut self, other: Self) -> Self {
        self.lines.extend(other.lines);
        self
    }

    /// The lines, painted, without blanks at their ends. Control characters are escaped.
    pub fn painted(&self, paint: impl Fn(Tone, &str) -> String) -> impl Iterator<Item = String> {
        self.lines.iter().map(move |line| {
            let last = line.iter().rposition(|span| !span.text.trim_end().is_empty()).map_or(0, |i| i + 1);
            let shown = line.iter().take(last).enumerate().map(|(i, span)| {
                let text = harmless(&span.text);
                let text = if i + 1 == last { text.trim_end() } else { &text };
                paint(span.tone, text)
            });
            shown.collect()
        })
    }

    /// Writes the lines.
    ///
    /// # Errors
    /// What the output says.
    pub fn write(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        self.painted(|tone, text| paint.text(tone, text)).try_for_each(|line| writeln!(out, "{line}"))
    }
}

/// The words of a text, each in the pieces that it is made of: a line is broken at blanks only.
fn words(spans: &[Span]) -> Vec<Vec<Span>> {
    let mut words: Vec<Vec<Span>> = Vec::new();
    let mut open = false;
    for span in spans {
        for (i, piece) in span.text.split(' ').enumerate() {
            if i > 0 {
                open = false;
            }
            if piece.is_empty() {
                continue;
            }
            let piece = Span { tone: span.tone, text: piece.to_owned() };
            match words.last_mut().filter(|_| open) {
                Some(word) => word.push(piece),
                None => words.push(vec![piece]),
            }
            open = true;
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(page: &Page) -> Vec<String> {
        page.painted(|_, text| text.to_owned()).collect()
    }

    #[test]
    fn words_hang_under_their_beginning_and_none_is_cut() {
        let mut page = Page::new(40);
        let long = "a-name-that-is-wider-than-all-that-is-left-of-the-page";
        page.labelled(
            plain("Session"),
            &[plain("night, by"), Span::new(Tone::Strong, " ann@host"), plain(format!(", {long} ends"))],
        );
        let expected = ["Session    night, by ann@host,", &format!("           {long}"), "           ends"];
        assert_eq!(shown(&page), expected);
    }

    #[test]
    fn a_note_stands_beside_its_row_where_there_is_room_and_below_it_elsewhere() {
        let row = || Row { cells: vec![plain("redis"), plain("Exited")], note: vec![plain("killed for want of memory")] };
        let beside = |width| {
            let mut page = Page::new(width);
            page.table(&["NAME", "STATE"], vec![row()]);
            shown(&page)
        };
        assert_eq!(beside(60), ["NAME   STATE", "redis  Exited  killed for want of memory"]);
        assert_eq!(beside(50), ["NAME   STATE", "redis  Exited", "    killed for want of memory"]);
    }

    #[test]
    fn what_is_stored_does_not_steer_the_terminal() {
        let mut page = Page::new(80);
        page.text(&[plain("a\u{1b}[2Jb\nc")]);
        assert_eq!(shown(&page), ["a\\u{1b}[2Jb c"]);
    }

    proptest! {
        #[test]
        fn every_word_is_kept_and_a_line_is_too_wide_only_for_the_sake_of_one_word(
            words in prop::collection::vec("[a-zé]{1,60}", 0..40), width in 40_usize..200,
        ) {
            let mut page = Page::new(width);
            page.labelled(plain("Label"), &words.iter().map(|w| plain(format!("{w} "))).collect::<Vec<_>>());
            let lines = shown(&page);
            let back: Vec<&str> = lines.iter().flat_map(|l| l.split_whitespace()).skip(1).collect();
            prop_assert_eq!(back, words.iter().map(String::as_str).collect::<Vec<_>>());
            for line in &lines {
                let words = line.get(LABEL..).unwrap_or_default().split_whitespace().count();
                prop_assert!(line.chars().count() <= width || words == 1, "{}", line);
            }
        }
    }
}
