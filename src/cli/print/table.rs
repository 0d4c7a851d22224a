//! Tables as kubectl prints them: columns aligned, blanks between, nothing after the last one.

use std::borrow::Cow;
use std::io::{self, Write};

/// How wide a column is at least, blanks included (kubectl's `tabwriterMinWidth`).
const LEAST_WIDTH: usize = 6;

/// Blanks between two columns of a list (kubectl's `tabwriterPadding`).
const LIST_GAP: usize = 3;

/// Blanks between two columns of a description (kubectl's `describe`).
const DESCRIBE_GAP: usize = 2;

/// Lays rows out in columns. A character counts as one place, as kubectl counts it. Widths are kept from one call to the
/// next and only grow, so that the rows of a watch stay in line.
#[derive(Debug)]
pub struct Table {
    widths: Vec<usize>,
    gap: usize,
    least: usize,
    indent: &'static str,
}

impl Table {
    /// The layout of `get`.
    #[must_use]
    pub fn list() -> Self {
        Self { widths: Vec::new(), gap: LIST_GAP, least: LEAST_WIDTH, indent: "" }
    }

    /// The layout inside `describe`: indented, and narrower.
    #[must_use]
    pub fn described() -> Self {
        Self { widths: Vec::new(), gap: DESCRIBE_GAP, least: 0, indent: "  " }
    }

    /// Writes rows. The last cell of a row is not padded.
    ///
    /// # Errors
    /// What the output says.
    pub fn write(&mut self, out: &mut dyn Write, rows: &[Vec<String>]) -> io::Result<()> {
        let rows: Vec<Vec<Cow<'_, str>>> = rows.iter().map(|row| row.iter().map(|cell| one_line(cell)).collect()).collect();
        for row in &rows {
            for (i, cell) in row.iter().enumerate().take(row.len().saturating_sub(1)) {
                let width = (cell.chars().count() + self.gap).max(self.least);
                match self.widths.get_mut(i) {
                    Some(known) => *known = width.max(*known),
                    None => self.widths.push(width),
                }
            }
        }
        for row in &rows {
            write!(out, "{}", self.indent)?;
            for (i, cell) in row.iter().enumerate() {
                if i + 1 == row.len() {
                    write!(out, "{cell}")?;
                } else {
                    write!(out, "{cell:width$}", width = self.widths.get(i).copied().unwrap_or(0))?;
                }
            }
            writeln!(out)?;
        }
        Ok(())
    }
}

/// A table inside `describe`: header, a line of dashes under each word, rows.
///
/// # Errors
/// What the output says.
pub fn described(out: &mut dyn Write, header: &[&str], rows: Vec<Vec<String>>) -> io::Result<()> {
    let mut all = vec![
        header.iter().map(|h| (*h).to_owned()).collect(),
        header.iter().map(|h| "-".repeat(h.chars().count())).collect::<Vec<_>>(),
    ];
    all.extend(rows);
    Table::described().write(out, &all)
}

/// A cell's text up to the end of its first line, control characters escaped: what is stored must not steer a terminal,
/// and a tab would push the rest of its row out of line.
fn one_line(cell: &str) -> Cow<'_, str> {
    if cell.bytes().all(|b| matches!(b, b' '..=b'~')) {
        return Cow::Borrowed(cell);
    }
    let (line, cut) = match cell.find(['\n', '\r', '\x0c', '\u{2028}', '\u{2029}']) {
        Some(end) => (&cell[..end], "..."),
        None => (cell, ""),
    };
    Cow::Owned(harmless(line).replace('\t', "\\t") + cut)
}

/// `text` with its control characters escaped, but for line breaks and tabs. Those that turn the direction of writing are
/// escaped too: with them a text can look like another one.
#[must_use]
pub fn harmless(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let escaped = (c.is_control() && c != '\n' && c != '\t') || turns_direction(c);
            let shown: Vec<char> = if escaped { c.escape_default().collect() } else { vec![c] };
            shown
        })
        .collect()
}

fn turns_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(text: &[&[&str]]) -> Vec<Vec<String>> {
        text.iter().map(|row| row.iter().map(|c| (*c).to_owned()).collect()).collect()
    }

    #[test]
    fn columns_are_three_blanks_apart_and_the_last_is_not_padded() {
        let mut out = Vec::new();
        let mut table = Table::list();
        table.write(&mut out, &rows(&[&["NAME", "A", "AGE"], &["wicap", "", "5s"]])).unwrap();
        table.write(&mut out, &rows(&[&["x", "longer", "1m"], &["y", "z", ""]])).unwrap();
        let expected = "NAME    A     AGE\nwicap         5s\nx       longer   1m\ny       z        \n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_cell_cannot_break_the_table_or_steer_the_terminal() {
        assert_eq!(one_line("a\nb"), "a...");
        assert_eq!(one_line("a\u{1b}[31mb"), "a\\u{1b}[31mb");
        assert_eq!(one_line("a\tb\u{202e}c"), "a\\tb\\u{202e}c");
        assert_eq!(one_line("é日本"), "é日本");
    }

    proptest! {
        #[test]
        fn a_row_is_one_line_and_its_columns_stay_in_line(cells in prop::collection::vec(any::<String>(), 1..5)) {
            let mut out = Vec::new();
            let header: Vec<String> = (0..=cells.len()).map(|i| format!("C{i}")).collect();
            let row = cells.into_iter().chain(["last".to_owned()]).collect();
            Table::list().write(&mut out, &[header, row]).unwrap();
            let text = String::from_utf8(out).unwrap();
            let lines: Vec<&str> = text.split_terminator('\n').collect();
            prop_assert_eq!(lines.len(), 2, "{}", text);
            prop_assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{}", text.escape_debug());
            let last = lines[1].chars().count() - "last".len();
            prop_assert!(lines[0].chars().skip(last).collect::<String>().starts_with('C'), "{}", text);
        }
    }

    #[test]
    fn a_described_table_has_dashes_under_its_header() {
        let mut out = Vec::new();
        described(&mut out, &["Type", "Status"], rows(&[&["Available", "True"]])).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "  Type       Status\n  ----       ------\n  Available  True\n");
    }
}
