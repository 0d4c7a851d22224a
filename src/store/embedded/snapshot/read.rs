//! Reads a snapshot.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::bolt::read::Reader;
use super::write::digest;
use super::{AUTH, DIGEST, Error, KEYS, LEASES, Lease, META, Revision, SECTOR};

/// What becomes of a file without a SHA-256 at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trailer {
    /// It is refused.
    Required,
    /// It is read, and damage to a value is not noticed. A SHA-256 that is there has to be right all the same.
    Optional,
}

/// A snapshot that is open for reading. Revisions and leases are read when they are asked for, as often as they are.
#[derive(Debug)]
pub struct Snapshot<R> {
    file: Reader<R>,
    compacted: i64,
    access_control: bool,
}

/// Opens a snapshot. The whole file is read once to check its SHA-256.
///
/// # Errors
///
/// As [`Snapshot::open`]; [`Error::Io`] if there is no such file.
pub fn read_snapshot(path: &Path, trailer: Trailer) -> Result<Snapshot<BufReader<File>>, Error> {
    Snapshot::open(BufReader::new(File::open(path)?), trailer)
}

impl<R: Read + Seek> Snapshot<R> {
    /// Opens a snapshot. The whole of `input` is read once to check its SHA-256.
    ///
    /// # Errors
    ///
    /// [`Error::NoTrailer`], [`Error::Length`] and [`Error::Digest`] if the file is not whole, [`Error::NotEtcd`],
    /// [`Error::Read`] and [`Error::Entry`] if it is, and is not what etcd writes, and [`Error::Io`].
    pub fn open(mut input: R, trailer: Trailer) -> Result<Self, Error> {
        let length = input.seek(SeekFrom::End(0))?;
        match (length % SECTOR, length.checked_sub(DIGEST as u64)) {
            (0, _) if trailer == Trailer::Required => return Err(Error::NoTrailer),
            (0, _) => {}
            (rest, Some(data)) if rest == DIGEST as u64 => check(&mut input, data)?,
            _ => return Err(Error::Length(length)),
        }
        let mut file = Reader::open(input)?;
        if file.bucket(KEYS)?.is_none() {
            return Err(Error::NotEtcd);
        }
        let mut compacted = 0;
        for entry in file.bucket(META)?.into_iter().flatten() {
            let (key, value) = entry?;
            if [&b"finishedCompactRev"[..], b"scheduledCompactRev"].contains(&&*key) {
                let revision = Revision::decode(&value).ok_or_else(|| bad("meta", key, "its value is not a revision"))?;
                compacted = revision.main.max(compacted);
            }
        }
        let mut access_control = false;
        for entry in file.bucket(AUTH)?.into_iter().flatten() {
            let (key, value) = entry?;
            access_control |= key == b"authEnabled" && value == [1];
        }
        Ok(Self { file, compacted, access_control })
    }

    /// The revision up to which revisions are compacted; 0 if none are.
    #[must_use]
    pub fn compacted(&self) -> i64 {
        self.compacted
    }

    /// Whether the server asked its clients who they are. Users and roles are not read: a server that takes the data and has
    /// none lets everybody read it.
    #[must_use]
    pub fn has_access_control(&self) -> bool {
        self.access_control
    }

    /// All revisions in ascending order, each with its `mvccpb.KeyValue`, which is not looked into.
    ///
    /// A key's newest revision at or below [`compacted`](Self::compacted) is among them. Older ones, and deletions, may be
    /// too, if the compaction had not come to them: etcd goes on with it when it starts.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] and [`Error::Entry`], here and from the iterator, which is not to be asked again then.
    pub fn revisions(&mut self) -> Result<impl Iterator<Item = Result<(Revision, Vec<u8>), Error>> + use<'_, R>, Error> {
        let entries = self.file.bucket(KEYS)?.ok_or(Error::NotEtcd)?;
        Ok(entries.map(|entry| {
            let (key, value) = entry?;
            let revision = Revision::decode(&key).ok_or_else(|| bad("key", key, "it is not a revision"))?;
            Ok((revision, value))
        }))
    }

    /// All leases, in ascending order of their identifiers as unsigned numbers.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] and [`Error::Entry`], here and from the iterator, which is not to be asked again then.
    pub fn leases(&mut self) -> Result<impl Iterator<Item = Result<Lease, Error>> + use<'_, R>, Error> {
        let entries = self.file.bucket(LEASES)?.into_iter().flatten();
        Ok(entries.map(|entry| {
            let (key, value) = entry?;
            let lease = Lease::decode(&value).filter(|lease| lease.key() == *key);
            lease.ok_or_else(|| bad("lease", key, "its value is not that lease"))
        }))
    }
}

/// An entry that is not what its bucket holds.
fn bad(bucket: &'static str, key: Vec<u8>, reason: &'static str) -> Error {
    Error::Entry { bucket, key, reason }
}

/// Compares the SHA-256 of the first `length` bytes with the one behind them.
fn check(input: &mut (impl Read + Seek), length: u64) -> Result<(), Error> {
    input.seek(SeekFrom::Start(0))?;
    let sum = digest(input, length)?;
    let mut expected = [0; DIGEST];
    input.read_exact(&mut expected)?;
    if sum == expected { Ok(()) } else { Err(Error::Digest) }
}
