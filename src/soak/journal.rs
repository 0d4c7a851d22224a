//! The file that a run's evidence is in: one record a line, appended and never changed, under the data directory.
//!
//! ```text
//!  <data>/soaks/<uid>/records.jsonl     the records
//!  <data>/soaks/<uid>/<sha256>.png      pictures, each named by what is in it
//! ```
//!
//! Guarantees: what [`Journal::append`] returned from is on disk. Only one process appends at a time: the file is locked. A record that a
//! crash cut off in its middle is cut off whole when the file is opened; whatever follows from it was not told to anybody.
//! Nobody but its owner reads it: a picture shows whatever the page shows.
//! Caveat: who can write to the data directory can write another file from its beginning; the status in the store has the digest that it
//! must have had.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::record::{ROOT, Record, digest, link};
use crate::api::soak::EvidenceStatus;

/// The directory of all runs' evidence, below the data directory.
pub const DIRECTORY: &str = "soaks";

const RECORDS: &str = "records.jsonl";

/// Largest record. A sample of a hundred series has 5 KB.
const LINE_MOST: usize = 1024 * 1024;

/// Why the evidence cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The system refuses.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process has it open. It is asked again later.
    #[error("{path}: another process appends to it")]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// A line is no record: somebody else has written to the file.
    #[error("{path}: line {line} is no record: {why}")]
    NoRecord {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: u64,
        /// Why.
        why: String,
    },
    /// The file does not have what the run's status says it had.
    #[error("{path}: it is not the evidence that the run's status names: {why}")]
    Other {
        /// The file.
        path: PathBuf,
        /// What is different.
        why: String,
    },
}

/// A run's evidence, open for more.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    name: String,
    records: u64,
    bytes: u64,
    digest: String,
}

/// Where a run's evidence is, below the data directory.
#[must_use]
pub fn file_of(uid: &str) -> String {
    format!("{DIRECTORY}/{uid}/{RECORDS}")
}

/// What a file holds.
#[derive(Debug)]
struct Contents {
    records: Vec<Record>,
    /// Of each record: bytes up to its end, and the digest of the chain there.
    marks: Vec<(u64, String)>,
}

impl Journal {
    /// Opens a run's evidence, beginning it where there is none, and returns what is in it.
    ///
    /// # Errors
    /// See [`JournalError`]. `told` is what the run's status says of it: a file that has not got that is refused.
    pub fn open(data_dir: &Path, uid: &str, told: Option<&EvidenceStatus>) -> Result<(Self, Vec<Record>), JournalError> {
        let name = file_of(uid);
        let path = data_dir.join(&name);
        let io = |source| JournalError::Io { path: path.clone(), source };
        if let Some(directory) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(io)?;
        }
        let mut file = OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(JournalError::Locked { path }),
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(io)?;
        let whole = text.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            tracing::warn!(path = %path.display(), bytes = text.len() - whole, "a record that a crash cut off is dropped");
            file.set_len(whole as u64).map_err(io)?;
            file.seek(SeekFrom::End(0)).map_err(io)?;
            text.truncate(whole);
        }
        let contents = parse(&path, &text)?;
        told.map_or(Ok(()), |told| contents.has(&path, told))?;
        let (bytes, digest) = contents.marks.last().cloned().unwrap_or_else(|| (0, ROOT.to_owned()));
        let records = contents.records.len() as u64;
        // The directory entry is durable too before anything in the file counts.
        if let Some(directory) = path.parent() {
            File::open(directory).and_then(|d| d.sync_all()).map_err(io)?;
        }
        Ok((Self { file, path, name, records, bytes, digest }, contents.records))
    }

    /// Appends records; when it returns they are on disk.
    ///
    /// # Errors
    /// [`JournalError::Io`]. What became of the records is unknown then: the journal is to be opened anew.
    pub fn append(&mut self, records: &[Record]) -> Result<(), JournalError> {
        let mut lines = String::new();
        let mut digest = self.digest.clone();
        for record in records {
            let line = written(record);
            digest = link(&digest, &line);
            lines.push_str(&line);
            lines.push('\n');
        }
        let written = self.file.write_all(lines.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|source| JournalError::Io { path: self.path.clone(), source })?;
        self.records += records.len() as u64;
        self.bytes += lines.len() as u64;
        self.digest = digest;
        Ok(())
    }

    /// Keeps a picture beside the records, and returns its name: what is in it, digested.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn keep_picture(&self, png: &[u8]) -> Result<String, JournalError> {
        let name = digest(png);
        let path = self.path.with_file_name(format!("{name}.png"));
        let io = |source| JournalError::Io { path: path.clone(), source };
        if !path.exists() {
            let half = path.with_extension("half");
            let write = || {
                let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&half)?;
                file.write_all(png)?;
                file.sync_all()?;
                fs::rename(&half, &path)
            };
            write().map_err(io)?;
        }
        Ok(name)
    }

    /// How much there is, for the run's status.
    #[must_use]
    pub fn status(&self, host: &str) -> EvidenceStatus {
        EvidenceStatus {
            host: host.to_owned(),
            file: self.name.clone(),
            records: self.records,
            bytes: self.bytes,
            digest: self.digest.clone(),
        }
    }
}

/// Reads the evidence that a run's status names, up to what it names: what was appended since is left out.
///
/// # Errors
/// See [`JournalError`].
pub fn read(data_dir: &Path, told: &EvidenceStatus) -> Result<Vec<Record>, JournalError> {
    let path = data_dir.join(&told.file);
    let mut text = fs::read(&path).map_err(|source| JournalError::Io { path: path.clone(), source })?;
    text.truncate(usize::try_from(told.bytes).unwrap_or(usize::MAX));
    let contents = parse(&path, &text)?;
    contents.has(&path, told)?;
    Ok(contents.records)
}

/// A picture that is kept beside the records of a run; none when it is gone or is not what its name says.
#[must_use]
pub fn picture(data_dir: &Path, told: &EvidenceStatus, name: &str) -> Option<Vec<u8>> {
    let hex = name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit());
    let path = data_dir.join(&told.file).with_file_name(format!("{name}.png"));
    let png = hex.then(|| fs::read(path).ok())??;
    (digest(&png) == name).then_some(png)
}

fn written(record: &Record) -> String {
    // Records are plain data with text for keys, which always has a JSON form.
    serde_json::to_string(record).unwrap_or_default()
}

fn parse(path: &Path, text: &[u8]) -> Result<Contents, JournalError> {
    let mut contents = Contents { records: Vec::new(), marks: Vec::new() };
    let (mut bytes, mut digest) = (0, ROOT.to_owned());
    for line in text.split_inclusive(|b| *b == b'\n') {
        let number = contents.records.len() as u64 + 1;
        let no_record = |why: String| JournalError::NoRecord { path: path.to_owned(), line: number, why };
        if line.len() > LINE_MOST {
            return Err(no_record(format!("it has {} bytes", line.len())));
        }
        let whole = std::str::from_utf8(line).map_err(|e| no_record(e.to_string()))?.trim_end_matches('\n');
        contents.records.push(serde_json::from_str(whole).map_err(|e| no_record(e.to_string()))?);
        bytes += line.len() as u64;
        digest = link(&digest, whole);
        contents.marks.push((bytes, digest.clone()));
    }
    Ok(contents)
}

impl Contents {
    /// Whether what was told of the file is in it, at its beginning.
    fn has(&self, path: &Path, told: &EvidenceStatus) -> Result<(), JournalError> {
        if told.records == 0 {
            return Ok(());
        }
        let other = |why| JournalError::Other { path: path.to_owned(), why };
        let at = usize::try_from(told.records - 1).unwrap_or(usize::MAX);
        match self.marks.get(at) {
            None => Err(other(format!("it has {} records, {} were told", self.marks.len(), told.records))),
            Some((bytes, _)) if *bytes != told.bytes => {
                Err(other(format!("its first {} records have {bytes} bytes, {} were told", told.records, told.bytes)))
            }
            Some((_, digest)) if *digest != told.digest => {
                Err(other(format!("the digest of its first {} records is {digest}, told was {}", told.records, told.digest)))
            }
            Some(_) => Ok(()),
        }
    }
}

#[cfg(test)]
#[path = "journal/tests.rs"]
mod tests;
