//! Reads the labelled sets.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A set of lines with their true groups.
#[derive(Clone)]
pub struct Labelled {
    /// Name of the set.
    pub name: String,
    /// Message without its header.
    pub lines: Vec<String>,
    /// Number of the true group of each line.
    pub truth: Vec<u64>,
}

/// Where a set is.
pub fn file(root: &Path, name: &str) -> PathBuf {
    root.join(name).join(format!("{name}_2k.log_structured.csv"))
}

/// Where the lines of a set are as they were logged, if they are there.
pub fn raw_file(root: &Path, name: &str) -> PathBuf {
    root.join(name).join(format!("{name}_2k.log"))
}

/// Reads `<root>/<name>/<name>_2k.log_structured.csv`. Fails when the file cannot be read or lacks a column.
pub fn read(root: &Path, name: &str) -> io::Result<Labelled> {
    let text = fs::read_to_string(file(root, name))?;
    let rows = rows(&text);
    let missing = || io::Error::other("the table has no column Content or EventId");
    let head = rows.first().ok_or_else(missing)?;
    let column = |title: &str| head.iter().position(|cell| cell == title).ok_or_else(missing);
    let (content, event) = (column("Content")?, column("EventId")?);
    let mut events: Vec<&str> = Vec::new();
    let mut set = Labelled { name: name.into(), lines: Vec::new(), truth: Vec::new() };
    for row in &rows[1..] {
        let (Some(line), Some(id)) = (row.get(content), row.get(event)) else { continue };
        let number = events.iter().position(|known| known == id).unwrap_or_else(|| {
            events.push(id);
            events.len() - 1
        });
        set.lines.push(line.clone());
        set.truth.push(number as u64);
    }
    Ok(set)
}

/// The cells of a table in CSV, with quoted cells and doubled quotes.
fn rows(text: &str) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut row = Vec::new();
    let mut cell = String::new();
    let mut quoted = false;
    let mut signs = text.chars().peekable();
    while let Some(sign) = signs.next() {
        match sign {
            '"' if quoted && signs.peek() == Some(&'"') => {
                signs.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            '\r' if !quoted => {}
            _ => cell.push(sign),
        }
    }
    if !cell.is_empty() || !row.is_empty() {
        row.push(cell);
        rows.push(row);
    }
    rows
}
