//! A snapshot of all that a store holds, in a file.
//!
//! ```text
//! Maintenance.Snapshot ──▶ FILE.part (0600) ──▶ synced ──▶ read back, SHA-256 ──▶ FILE ──▶ directory synced
//! ```
//!
//! Guarantees: FILE is there when it is whole, was checked and is on the disk, and not before; a file that is there is never
//! replaced; what was begun and not ended is removed. Caveat: a process that is killed leaves FILE.part behind, and the next
//! one says so rather than take it for its own.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use tokio::io::AsyncWriteExt;

use super::Store;
use super::embedded::snapshot::{self, Trailer, read_snapshot};

/// How long a store may take for the next part. The embedded store writes the whole snapshot to its own disk before it sends
/// the first, which is a matter of seconds for one at its quota of 2 GiB; more than this is a store that has gone away.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why there is no snapshot. Nothing is left behind then.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is a file of that name, and it may be the only snapshot of something. Name another, or move that one away.
    #[error("{} is there, and a snapshot replaces nothing: name another file", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A snapshot to the same file is under way, or was killed. Remove what it left when it was.
    #[error("{} is there: another snapshot is being taken, or was cut off; in that case remove it", path.display())]
    Unfinished {
        /// The file that it writes.
        path: PathBuf,
    },
    /// The store did not send it all. Try again.
    #[error(transparent)]
    Store(#[from] super::Error),
    /// The file cannot be written.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// What came is not a snapshot, or not as it was sent. Try again; if that does not help, something in between changes it.
    #[error("what the store sent is no snapshot: {0}")]
    Damaged(snapshot::Error),
}

/// What a snapshot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved {
    /// The revision that the store was at.
    pub revision: i64,
    /// How many versions of keys there are.
    pub versions: u64,
    /// How long the file is.
    pub bytes: u64,
}

/// Takes a snapshot of the store into a new file. Dropping it half-way leaves no file.
///
/// # Errors
/// [`Error`]; there is no such file then, unless there was one before.
pub async fn save(store: &Store, file: &Path) -> Result<Saved, Error> {
    if file.symlink_metadata().is_ok() {
        return Err(Error::Exists { path: file.to_owned() });
    }
    let (part, out) = Part::create(file)?;
    let bytes = receive(store, &part, out).await?;
    let path = part.path.clone();
    let read = tokio::task::spawn_blocking(move || check(&path)).await;
    let read = read.map_err(|e| failed(&part.path)(io::Error::other(e)))?;
    let (revision, versions) = read.map_err(Error::Damaged)?;
    part.finish(file)?;
    Ok(Saved { revision, versions, bytes })
}

/// A file in the making, which goes when this is dropped.
struct Part {
    path: PathBuf,
}

impl Part {
    fn create(file: &Path) -> Result<(Self, tokio::fs::File), Error> {
        let mut name = file.as_os_str().to_owned();
        name.push(OsString::from(".part"));
        let path = PathBuf::from(name);
        // Its user's alone: it holds everything that the store does.
        let opened = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        match opened {
            Ok(out) => Ok((Self { path }, tokio::fs::File::from_std(out))),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(Error::Unfinished { path }),
            Err(e) => Err(failed(&path)(e)),
        }
    }

    /// Gives it its name, and puts that on the disk too.
    fn finish(self, file: &Path) -> Result<(), Error> {
        match renameat_with(CWD, &self.path, CWD, file, RenameFlags::NOREPLACE) {
            Ok(()) => {}
            Err(Errno::EXIST) => return Err(Error::Exists { path: file.to_owned() }),
            // Not every file system can look and rename in one step; that there was no such file was seen before.
            Err(Errno::INVAL | Errno::NOSYS) => std::fs::rename(&self.path, file).map_err(failed(file))?,
            Err(errno) => return Err(failed(file)(errno.into())),
        }
        let directory = file.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed(directory))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // After it has been renamed there is none.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |reason| Error::File { path, reason }
}

/// Writes what the store sends, until it is on the disk. Returns how many bytes that are.
async fn receive(store: &Store, part: &Part, mut out: tokio::fs::File) -> Result<u64, Error> {
    let silent = |_| store.unreachable(&format!("nothing more within {PATIENCE:?}"));
    let mut client = store.client.maintenance_client();
    let stream = tokio::time::timeout(PATIENCE, client.snapshot()).await.map_err(silent)?;
    let mut stream = stream.map_err(|e| store.read_error(&e))?;
    let mut bytes = 0;
    let mut left = None;
    loop {
        let message = tokio::time::timeout(PATIENCE, stream.message()).await.map_err(silent)?;
        let Some(message) = message.map_err(|e| store.read_error(&e))? else { break };
        out.write_all(message.blob()).await.map_err(failed(&part.path))?;
        bytes += message.blob().len() as u64;
        left = Some(message.remaining_bytes());
    }
    if let Some(left @ 1..) = left {
        return Err(store.unreachable(&format!("the snapshot ended with {left} bytes missing")).into());
    }
    out.flush().await.map_err(failed(&part.path))?;
    out.sync_all().await.map_err(failed(&part.path))?;
    Ok(bytes)
}

/// Reads all of a snapshot: its revision, and how many versions of keys it holds.
fn check(path: &Path) -> Result<(i64, u64), snapshot::Error> {
    let mut snapshot = read_snapshot(path, Trailer::Required)?;
    // Nothing in it says the revision but what it holds (`snapshot`).
    let (mut revision, mut versions) = (snapshot.compacted().max(1), 0);
    for entry in snapshot.revisions()? {
        revision = revision.max(entry?.0.main);
        versions += 1;
    }
    for lease in snapshot.leases()? {
        lease?;
    }
    Ok((revision, versions))
}
