//! The directory that holds a store, and the lock that keeps a second process out of it.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has it. Stop that one, or speak to it through its socket.
    #[error("data directory {} is in use by {holder}", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process, by what it wrote down of itself.
        holder: String,
    },
    /// It cannot be made, read or written.
    #[error("data directory {}: {reason}", path.display())]
    Io {
        /// The directory, or the file in it.
        path: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// Others could put something else in the place of what is in it. Give it to the user who runs this, alone.
    #[error("data directory {}: {what}, expected one that only user {user} may write: `chown {user}` and `chmod 700` it", path.display())]
    NotPrivate {
        /// The directory.
        path: PathBuf,
        /// What was found.
        what: String,
        /// Who runs this.
        user: u32,
    },
}

/// A data directory that is held by this process until this is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    lock: File,
}

impl DataDir {
    /// Takes the directory, and makes it if it is not there, for its user alone.
    ///
    /// # Errors
    /// [`Error::InUse`] with the name of the holder, [`Error::Io`].
    pub fn take(path: &Path) -> Result<Self, Error> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |reason| Error::Io { path, reason }
        };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed(path))?;
        // Sockets, locks and messages name it; a relative path would mean something else elsewhere.
        let path = path.canonicalize().map_err(failed(path))?;
        private(&path)?;
        let name = path.join("lock");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&name)
            .map_err(failed(&name))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut holder = String::new();
                let _ = lock.read_to_string(&mut holder);
                let holder = if holder.trim().is_empty() { "another process".to_owned() } else { holder.trim().to_owned() };
                return Err(Error::InUse { path, holder });
            }
            Err(errno) => return Err(failed(&name)(errno.into())),
        }
        // Who holds it, for the next one who wants it.
        let command: Vec<String> = std::env::args().take(2).collect();
        let holder = format!("process {} ({}), since {}\n", std::process::id(), command.join(" "), crate::api::Time::now());
        let written = lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| lock.write_all(holder.as_bytes()));
        written.map_err(failed(&name))?;
        Ok(Self { path, lock })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file of the store.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.path.join("store.redb")
    }

    /// Makes a file that is whole the file of a store that has none. It stays as it is when there is one.
    ///
    /// # Errors
    /// What the system says; `AlreadyExists` when there is a store.
    pub(crate) fn begin_with(&self, unfinished: &Path) -> std::io::Result<()> {
        renameat_with(CWD, unfinished, CWD, self.file(), RenameFlags::NOREPLACE)?;
        File::open(&self.path)?.sync_all()
    }

    /// The socket on which it is served by default.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        super::socket_of(&self.path)
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        // Who comes next reads no name that is no longer true.
        let _ = self.lock.set_len(0);
    }
}

/// Refuses a directory that others own or may write: they could replace the socket, or the file.
fn private(path: &Path) -> Result<(), Error> {
    let metadata = path.metadata().map_err(|reason| Error::Io { path: path.to_owned(), reason })?;
    let user = rustix::process::geteuid().as_raw();
    let what = match (metadata.uid(), metadata.permissions().mode() & 0o7777) {
        (owner, _) if owner != user => format!("found one of user {owner}"),
        (_, mode) if mode & 0o022 != 0 => format!("found mode {mode:04o}"),
        _ => return Ok(()),
    };
    Err(Error::NotPrivate { path: path.to_owned(), what, user })
}

/// Makes an empty file that its user alone may read, from its first moment on.
pub(crate) fn create_private(path: &Path) -> std::io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map(drop)
}

/// Makes a file readable by its user alone.
pub(crate) fn make_private(path: &Path) -> Result<(), Error> {
    std::fs::set_permissions(path, Permissions::from_mode(0o600))
        .map_err(|reason| Error::Io { path: path.to_owned(), reason })
}

/// Where data is kept when no flag says where: `$WICAP_DATA_DIR`; if that is not set, `/var/lib/wicap` for root, else
/// `$XDG_STATE_HOME/wicap`, which is `~/.local/state/wicap` if that is not set (XDG Base Directory Specification).
#[must_use]
pub fn default_path() -> PathBuf {
    if let Some(path) = std::env::var_os("WICAP_DATA_DIR").filter(|path| !path.is_empty()) {
        return path.into();
    }
    if rustix::process::geteuid().is_root() {
        return "/var/lib/wicap".into();
    }
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/".into()));
    state.unwrap_or_else(|| home().join(".local/state")).join("wicap")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_holder_who_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b");
        let held = DataDir::take(&path).unwrap();
        let error = DataDir::take(&path).unwrap_err().to_string();
        assert!(error.contains(&format!("in use by process {}", std::process::id())), "{error}");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join("lock"))), (0o700, 0o600));
        drop(held);
        DataDir::take(&path).unwrap();
    }

    #[test]
    fn a_directory_that_others_may_write_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::set_permissions(directory.path(), Permissions::from_mode(0o770)).unwrap();
        let error = DataDir::take(directory.path()).unwrap_err().to_string();
        assert!(error.contains("found mode 0770, expected one that only user"), "{error}");
        // Who may only look does no harm: the files in it are closed.
        std::fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        DataDir::take(directory.path()).unwrap();
    }

    #[test]
    fn a_store_that_is_there_is_not_replaced_by_a_new_one() {
        let directory = tempfile::tempdir().unwrap();
        let held = DataDir::take(directory.path()).unwrap();
        std::fs::write(held.file(), "precious").unwrap();
        let unfinished = directory.path().join("unfinished");
        create_private(&unfinished).unwrap();
        assert_eq!(held.begin_with(&unfinished).unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(held.file()).unwrap(), "precious");
        assert_eq!(std::fs::metadata(&unfinished).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
