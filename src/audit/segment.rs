//! The files that old records of the audit log are moved to.
//!
//! ```text
//!  <data directory>/audit/<lane>/<first seq>-<last seq>.jsonl.zst
//! ```
//!
//! A segment is written whole, synced, and given its name only then; the records leave the store after that. So a crash leaves
//! records in both places, never in none.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::store::audit::Lane;

/// Compression level: zstd's own default, at which records become about a seventh of their size.
const LEVEL: i32 = zstd::DEFAULT_COMPRESSION_LEVEL;

/// A line longer than any record is none: an object's name and uid are bounded, and so is all else that it holds.
const LINE_MOST: u64 = 64 * 1024;

/// A file of records.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Segment {
    /// The number of its first record.
    pub first: u64,
    /// The number of its last record.
    pub last: u64,
    /// The file.
    pub path: PathBuf,
}

/// Where a lane's segments are.
#[must_use]
pub fn directory(data_dir: &Path, lane: Lane) -> PathBuf {
    data_dir.join("audit").join(lane.as_str())
}

/// The segments of a lane, oldest first. None when there is no such directory.
///
/// # Errors
/// When it cannot be read.
pub fn list(data_dir: &Path, lane: Lane) -> io::Result<Vec<Segment>> {
    let entries = match fs::read_dir(directory(data_dir, lane)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut segments = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if let Some((first, last)) = path.file_name().and_then(|n| n.to_str()).and_then(numbers) {
            segments.push(Segment { first, last, path });
        }
    }
    segments.sort();
    Ok(segments)
}

fn numbers(name: &str) -> Option<(u64, u64)> {
    let (first, last) = name.strip_suffix(".jsonl.zst")?.split_once('-')?;
    let number = |digits: &str| if digits.len() == 20 { digits.parse().ok() } else { None };
    Some((number(first)?, number(last)?))
}

/// Writes records, in the order of their numbers, which are `first` to `last`. Readable by the owner alone.
///
/// # Errors
/// When it cannot be written and synced; then there is no segment.
pub fn write<'a>(
    data_dir: &Path,
    lane: Lane,
    (first, last): (u64, u64),
    records: impl IntoIterator<Item = &'a [u8]>,
) -> io::Result<Segment> {
    let directory = directory(data_dir, lane);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
    let path = directory.join(format!("{first:020}-{last:020}.jsonl.zst"));
    let unfinished = path.with_extension("part");
    let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    let mut encoder = zstd::Encoder::new(file, LEVEL)?;
    encoder.include_checksum(true)?;
    for record in records {
        encoder.write_all(record)?;
        encoder.write_all(b"\n")?;
    }
    encoder.finish()?.sync_all()?;
    fs::rename(&unfinished, &path)?;
    File::open(&directory)?.sync_all()?;
    Ok(Segment { first, last, path })
}

impl Segment {
    /// Calls `each` with every line and its number, counted from the number of the first record on.
    ///
    /// # Errors
    /// When it cannot be read to its end; the lines before that have been handed out.
    pub fn read(&self, mut each: impl FnMut(u64, &[u8])) -> io::Result<()> {
        let mut lines = BufReader::new(zstd::Decoder::new(File::open(&self.path)?)?);
        let mut line = Vec::new();
        for seq in self.first.. {
            line.clear();
            let mut bounded = io::Read::take(&mut lines, LINE_MOST);
            if bounded.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            if line.pop() != Some(b'\n') {
                return Err(io::Error::new(io::ErrorKind::InvalidData, format!("line {} has no end", seq - self.first + 1)));
            }
            each(seq, &line);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(list(dir.path(), Lane::Intent).unwrap(), []);
        let records: Vec<Vec<u8>> = (5..=9).map(|n| format!("record {n}").into_bytes()).collect();
        let later = write(dir.path(), Lane::Intent, (10, 10), [&b"x"[..]]).unwrap();
        let written = write(dir.path(), Lane::Intent, (5, 9), records.iter().map(Vec::as_slice)).unwrap();
        assert_eq!(list(dir.path(), Lane::Intent).unwrap(), [written.clone(), later]);
        assert_eq!(list(dir.path(), Lane::Control).unwrap(), []);
        let mut read = Vec::new();
        written.read(|seq, line| read.push((seq, line.to_vec()))).unwrap();
        assert_eq!(read, (5..=9).zip(records).collect::<Vec<_>>());
    }

    #[test]
    fn a_segment_that_was_cut_or_changed_cannot_be_read_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let record = vec![b'x'; 500];
        let segment = write(dir.path(), Lane::Control, (1, 50), std::iter::repeat_n(&record[..], 50)).unwrap();
        let whole = fs::read(&segment.path).unwrap();
        for cut in [whole.len() - 1, whole.len() / 2, 1] {
            fs::write(&segment.path, &whole[..cut]).unwrap();
            assert!(segment.read(|_, _| {}).is_err(), "{cut} of {} bytes", whole.len());
        }
        let mut changed = whole.clone();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        fs::write(&segment.path, &changed).unwrap();
        assert!(segment.read(|_, _| {}).is_err());
    }
}
