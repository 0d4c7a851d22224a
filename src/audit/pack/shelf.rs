//! The directory that packs are in.
//!
//! ```text
//! .<random>.part (0600, locked) ──▶ synced ──▶ <stack>-<UTC time>-<8 hex of digest>.tar.zst ──▶ directory synced
//! ```
//!
//! Guarantees: what bears a pack's name is whole and on the disk; a pack that is there is never replaced; what was begun and not
//! ended is removed, at once when writing failed, and when the shelf is next opened when its process was killed. A file that
//! another process is still writing is locked, and left alone. Caveat: what else is in the directory is passed over, not counted.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rustix::fs::OFlags;
use tempfile::NamedTempFile;

use super::about::About;
use super::builder::Built;
use crate::api::Violation;
use crate::api::validate::quoted;

/// What ends the name of a pack.
const PACK: &str = ".tar.zst";

/// What begins and ends the name of one that is being written.
const UNFINISHED: (&str, &str) = (".", ".part");

/// How a time stands in a name.
const TIME: &str = "%Y%m%dT%H%M%SZ";

/// Digits of the digest in a name: two packs of one stack and second are told apart by them.
const DIGITS: usize = 8;

/// The most of a stack's name that a pack's has: with time and digest it is far from the 255 bytes that a file system takes.
const STACK_MOST: usize = 200;

/// How often a file is begun anew that another process took for a leftover in the moment before it was locked.
const ATTEMPTS: usize = 3;

/// Why a shelf could not do it. It is as it was then.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// That is no pack's name. [`Shelf::list`] tells those that there are.
    #[error("{0}")]
    Name(Violation),
    /// There is no such pack; it may have been removed by now.
    #[error("{}: there is no such pack", path.display())]
    Missing {
        /// Where it would be.
        path: PathBuf,
    },
    /// There is another pack of that name. It was not touched.
    #[error("{}: there is another pack of this name", path.display())]
    Exists {
        /// The other one.
        path: PathBuf,
    },
    /// The disk, or the quota, is full. Remove packs, or lower what is kept.
    #[error("{}: there is no room: {reason}", path.display())]
    Full {
        /// Where there is none.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// The system refuses, for the reason that it gives.
    #[error("{}: {reason}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
}

/// A pack on a shelf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shelved {
    /// Its name, by which it is opened and removed.
    pub name: String,
    /// Its stack, by its name, of which a very long one is cut.
    pub stack: String,
    /// When what it shows has happened, to the second.
    pub at: Timestamp,
    /// Bytes of the file.
    pub bytes: u64,
}

/// A directory of packs.
#[derive(Clone, Debug)]
pub struct Shelf {
    directory: PathBuf,
}

impl Shelf {
    /// Opens a directory, which is made if there is none, and removes what a killed process has left unfinished there.
    ///
    /// # Errors
    /// When it cannot be made or read.
    pub fn new(directory: impl Into<PathBuf>) -> Result<Self, Error> {
        let shelf = Self { directory: directory.into() };
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&shelf.directory);
        made.and_then(|()| shelf.sweep()).map_err(|reason| failed(&shelf.directory, reason))?;
        Ok(shelf)
    }

    /// Puts a pack there, readable by the owner alone; returns its name. It is on the disk then. Putting the same pack there
    /// twice is putting it there once.
    ///
    /// # Errors
    /// When it cannot be written: nothing is left of it.
    pub fn put(&self, pack: &Built) -> Result<String, Error> {
        self.store(name(&pack.manifest.about, &pack.digest), &pack.bytes, |file| file.write_all(&pack.bytes))
    }

    /// The packs that are there, oldest first.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn list(&self) -> Result<Vec<Shelved>, Error> {
        let failed = |reason| failed(&self.directory, reason);
        let mut packs = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
            let Some((stack, at)) = parse(&name) else { continue };
            match entry.metadata() {
                Ok(found) if found.is_file() => packs.push(Shelved { stack, at, bytes: found.len(), name }),
                Ok(_) => {}
                // It has been removed since.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(failed(e)),
            }
        }
        packs.sort_by(|a, b| (a.at, &a.name).cmp(&(b.at, &b.name)));
        Ok(packs)
    }

    /// Opens a pack for reading.
    ///
    /// # Errors
    /// When the name is none, there is no such pack, or it cannot be opened.
    pub fn open(&self, name: &str) -> Result<File, Error> {
        let path = self.path(name)?;
        let opened = File::options().read(true).custom_flags(flags(OFlags::NOFOLLOW | OFlags::NONBLOCK)).open(&path);
        let file = opened.map_err(|reason| failed(&path, reason))?;
        let found = file.metadata().map_err(|reason| failed(&path, reason))?;
        if found.is_file() { Ok(file) } else { Err(Error::Missing { path }) }
    }

    /// Removes a pack. One that is gone already is removed.
    ///
    /// # Errors
    /// When the name is none, or it cannot be removed.
    pub fn remove(&self, name: &str) -> Result<(), Error> {
        let path = self.path(name)?;
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failed(&path, e)),
            _ => Ok(()),
        }
    }

    fn path(&self, name: &str) -> Result<PathBuf, Error> {
        if parse(name).is_some() {
            return Ok(self.directory.join(name));
        }
        let expected = format!("the name of a pack, <stack>-<time>-<{DIGITS} hex digits>{PACK}");
        Err(Error::Name(Violation::new("name", quoted(name), expected)))
    }

    fn store(&self, name: String, bytes: &[u8], write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<String, Error> {
        let path = self.path(&name)?;
        let at = |reason| failed(&path, reason);
        // What was begun goes with it when this returns early.
        let mut unfinished = self.begin().map_err(at)?;
        write(unfinished.as_file_mut()).and_then(|()| unfinished.as_file().sync_all()).map_err(at)?;
        let made = match unfinished.persist_noclobber(&path) {
            Ok(_) => true,
            Err(refused) if refused.error.kind() == io::ErrorKind::AlreadyExists => {
                if !self.holds(&name, bytes)? {
                    return Err(Error::Exists { path });
                }
                false
            }
            Err(refused) => return Err(at(refused.error)),
        };
        if let Err(reason) = File::open(&self.directory).and_then(|directory| directory.sync_all()) {
            if made {
                // That is what its caller is told.
                let _ = fs::remove_file(&path);
            }
            return Err(at(reason));
        }
        Ok(name)
    }

    /// Whether a pack has these bytes.
    fn holds(&self, name: &str, bytes: &[u8]) -> Result<bool, Error> {
        let mut found = Vec::new();
        let read = self.open(name)?.take(bytes.len() as u64 + 1).read_to_end(&mut found);
        read.map_err(|reason| failed(&self.directory.join(name), reason))?;
        Ok(found == bytes)
    }

    /// A new file, locked, so that nobody takes it for a leftover.
    fn begin(&self) -> io::Result<NamedTempFile> {
        for _ in 0..ATTEMPTS {
            let file = tempfile::Builder::new().prefix(UNFINISHED.0).suffix(UNFINISHED.1).tempfile_in(&self.directory)?;
            if is_kept(file.as_file())? {
                return Ok(file);
            }
        }
        Err(io::Error::other("every file that was begun was removed by another process"))
    }

    /// Removes unfinished files that nobody writes any more.
    fn sweep(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let ours = name.to_str().is_some_and(|name| {
                name.len() > UNFINISHED.0.len() + UNFINISHED.1.len()
                    && name.starts_with(UNFINISHED.0)
                    && name.ends_with(UNFINISHED.1)
            });
            if !ours || !entry.file_type()?.is_file() {
                continue;
            }
            let opened =
                File::options().read(true).custom_flags(flags(OFlags::NOFOLLOW | OFlags::NONBLOCK)).open(entry.path());
            let removed = opened.and_then(|file| match file.try_lock() {
                Ok(()) => fs::remove_file(entry.path()),
                Err(fs::TryLockError::WouldBlock) => Ok(()),
                Err(fs::TryLockError::Error(error)) => Err(error),
            });
            match removed {
                // Finished, or swept by another.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
        Ok(())
    }
}

/// Locks a file that was begun; whether it is there still, and no other process has it.
fn is_kept(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(file.metadata()?.nlink() > 0),
        Err(fs::TryLockError::WouldBlock) => Ok(false),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

fn failed(path: &Path, reason: io::Error) -> Error {
    let path = path.to_owned();
    match reason.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::Full { path, reason },
        io::ErrorKind::NotFound => Error::Missing { path },
        _ => Error::Io { path, reason },
    }
}

fn flags(flags: OFlags) -> i32 {
    i32::try_from(flags.bits()).expect("flags of open(2) are an int")
}

/// What a pack is called.
fn name(about: &About, digest: &str) -> String {
    // Names are ASCII, and a time before 1970 is a clock that is not set.
    let stack = about.stack.get(..STACK_MOST).unwrap_or(&about.stack);
    let at = about.at.max(Timestamp::UNIX_EPOCH).strftime(TIME);
    format!("{stack}-{at}-{}{PACK}", digest.get(..DIGITS).unwrap_or(digest))
}

/// The stack and the time of a pack's name; `None` when it is none.
fn parse(name: &str) -> Option<(String, Timestamp)> {
    let (rest, digest) = name.strip_suffix(PACK)?.rsplit_once('-')?;
    let (stack, time) = rest.rsplit_once('-')?;
    let is_stack = stack.len() <= STACK_MOST
        && stack.starts_with(|c: char| c.is_ascii_alphanumeric())
        && stack.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'+'));
    let is_digest = digest.len() == DIGITS && digest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !is_stack || !is_digest {
        return None;
    }
    let at = DateTime::strptime(TIME, time).ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp();
    (at.strftime(TIME).to_string() == time).then(|| (stack.to_owned(), at))
}

#[cfg(test)]
mod tests;
