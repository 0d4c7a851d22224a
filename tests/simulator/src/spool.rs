//! The file queue that takes over while redis is away: one event a line, appended by the scout, read by the processor
//! from an offset that it keeps in a file beside it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The file queue.
#[derive(Debug)]
pub struct Spool {
    file: PathBuf,
    offset_file: PathBuf,
}

/// What a read found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The events not read before.
    pub events: Vec<String>,
    /// The file was shorter than the offset, so reading began anew.
    pub truncated: bool,
}

impl Spool {
    /// The queue in this directory, which need not exist yet.
    pub fn new(directory: &Path) -> Self {
        Self { file: directory.join("queue.jsonl"), offset_file: directory.join("queue.offset") }
    }

    /// Appends events.
    pub fn push(&self, events: &[String]) -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.file)?;
        let mut lines = events.join("\n");
        lines.push('\n');
        file.write_all(lines.as_bytes())
    }

    /// Takes every whole line not taken before.
    pub fn pop(&self) -> io::Result<Found> {
        let length = self.length()?;
        let mut offset = self.offset();
        let truncated = offset > length;
        if truncated {
            offset = 0;
        }
        if offset == length && !truncated {
            return Ok(Found::default());
        }
        let mut text = String::new();
        let mut file = File::open(&self.file)?;
        file.seek(SeekFrom::Start(offset))?;
        file.read_to_string(&mut text)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        fs::write(&self.offset_file, (offset + whole as u64).to_string())?;
        let events = text[..whole].lines().map(str::to_owned).collect();
        Ok(Found { events, truncated })
    }

    /// Bytes not taken yet.
    pub fn backlog(&self) -> u64 {
        self.length().map_or(0, |length| length.saturating_sub(self.offset()))
    }

    fn length(&self) -> io::Result<u64> {
        match fs::metadata(&self.file) {
            Ok(meta) => Ok(meta.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// An offset that is missing or damaged is the beginning.
    fn offset(&self) -> u64 {
        fs::read_to_string(&self.offset_file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spool(name: &str) -> Spool {
        let directory = std::env::temp_dir().join(format!("wicap-sim-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        Spool::new(&directory)
    }

    #[test]
    fn events_are_taken_once_and_a_half_line_waits() {
        let spool = spool("once");
        assert_eq!(spool.pop().unwrap(), Found::default());
        spool.push(&["a".into(), "b".into()]).unwrap();
        assert_eq!(spool.backlog(), 4);
        OpenOptions::new().append(true).open(&spool.file).unwrap().write_all(b"half").unwrap();
        assert_eq!(spool.pop().unwrap().events, ["a", "b"]);
        assert_eq!(spool.backlog(), 4);
        assert_eq!(spool.pop().unwrap().events, Vec::<String>::new());
    }

    #[test]
    fn a_truncated_file_is_read_from_its_beginning() {
        let spool = spool("truncated");
        spool.push(&["one".into(), "two".into()]).unwrap();
        spool.pop().unwrap();
        fs::write(&spool.file, "x\n").unwrap();
        assert_eq!(spool.pop().unwrap(), Found { events: vec!["x".into()], truncated: true });
    }
}
