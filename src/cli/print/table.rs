//! Tables as kubectl prints them: columns aligned, blanks between, nothing after the last one.

use std::io::{self, Write};

/// How wide a column is at least, blanks included (kubectl's `tabwriterMinWidth`).
const LEAST_WIDTH: usize = 6;

/// Blanks between two columns of a list (kubectl's `tabwriterPadding`).
const LIST_GAP: usize = 3;

/// Blanks between two columns of a description (kubectl's `describe`).
const DESCRIBE_GAP: usize = 2;

/// Lays rows out in columns. Widths are kept from one call to the next and only grow, so that the rows of a watch stay in line.
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
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| one_line(cell)).collect()).collect();
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

/// A cell's text up to the end of its first line, control characters escaped: what is stored must not steer a terminal.
fn one_line(cell: &str) -> String {
    let (line, cut) = match cell.find(['\n', '\r', '\x0c']) {
        Some(end) => (&cell[..end], "..."),
        None => (cell, ""),
    };
    harmless(line) + cut
}

/// `text` with its control characters escaped, but for line breaks and tabs.
#[must_use]
pub fn harmless(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let escaped = c.is_control() && c != '\n' && c != '\t';
            let shown: Vec<char> = if escaped { c.escape_default().collect() } else { vec![c] };
            shown
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
    }

    #[test]
    fn a_described_table_has_dashes_under_its_header() {
        let mut out = Vec::new();
        described(&mut out, &["Type", "Status"], rows(&[&["Available", "True"]])).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "  Type       Status\n  ----       ------\n  Available  True\n");
    }
}
