//! The file of a store: how it is made and opened, on a real disk or a storage that stands for one, and what it takes.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use redb::backends::InMemoryBackend;
use redb::{Builder, Database, StorageBackend};
use rustix::fs::{AtFlags, CWD, OFlags, Statx, StatxFlags, statx};

use super::data_dir::{self, DataDir};
use super::journal::{self, Checkpoints, Journal, Storage};
use super::{Error, Options};

/// The name of a file that there is not.
pub(crate) const IN_MEMORY: &str = "(in memory)";

fn without_file(reason: redb::Error) -> Error {
    Error::File { path: IN_MEMORY.into(), reason }
}

/// Opens the file of a store; returns where its pages begin too.
pub(crate) fn open(path: &Path, options: &Options) -> Result<(Database, u64), Error> {
    let file = StoreFile::open(path).map_err(|e| Error::File { path: path.to_owned(), reason: e.into() })?;
    open_on(file, Checkpoints::Beside, path, options)
}

/// A store that ends with the process: it has no journal, because it has no disk.
pub(crate) fn in_memory(options: &Options) -> Result<Database, Error> {
    builder(options).create_with_backend(InMemoryBackend::new()).map_err(|e| without_file(e.into()))
}

/// Opens a storage, or makes a store of an empty one.
pub(crate) fn on_storage(storage: impl Storage, options: &Options) -> Result<Database, Error> {
    if storage.len().map_err(|e| without_file(e.into()))? == 0 {
        create_on(storage, Checkpoints::Inline, options).map_err(without_file)
    } else {
        Ok(open_on(storage, Checkpoints::Inline, Path::new(IN_MEMORY), options)?.0)
    }
}

/// Makes the file of a new store. It gets its name when it is whole: one that has only been begun when its process is killed is
/// refused ever after.
pub(crate) fn begin(directory: &DataDir, options: &Options) -> Result<(), redb::Error> {
    let unfinished = directory.file().with_extension("beginning");
    // Left behind by one that was killed.
    let _ = std::fs::remove_file(&unfinished);
    create(&unfinished, options)?.close()?;
    Ok(directory.begin_with(&unfinished)?)
}

/// Makes a file that is not there, without tables.
pub(crate) fn create(path: &Path, options: &Options) -> Result<Database, redb::Error> {
    data_dir::create_private(path)?;
    create_on(StoreFile::open(path)?, Checkpoints::Beside, options)
}

/// Makes a store of an empty storage, without tables.
fn create_on(storage: impl Storage, checkpoints: Checkpoints, options: &Options) -> Result<Database, redb::Error> {
    Ok(builder(options).create_with_backend(Journal::create(storage, options.journal_bytes, checkpoints)?)?)
}

/// Opens what is a store, or should be one; returns where its pages begin too.
fn open_on(
    storage: impl Storage,
    checkpoints: Checkpoints,
    path: &Path,
    options: &Options,
) -> Result<(Database, u64), Error> {
    let broken = |reason: redb::Error| Error::File { path: path.to_owned(), reason };
    let journal = Journal::open(storage, checkpoints).map_err(|error| match error {
        journal::Error::Format(found) => Error::Format { path: path.to_owned(), found },
        journal::Error::Damaged(what) => broken(redb::Error::Corrupted(what)),
        journal::Error::Io(error) => broken(error.into()),
    })?;
    let pages = journal.pages_at();
    Ok((builder(options).create_with_backend(journal).map_err(|e| broken(e.into()))?, pages))
}

fn builder(options: &Options) -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(options.cache_bytes);
    // A disk that has changed what it kept is found out when the store starts, and not by what it then answers.
    builder.set_check_integrity_on_open(true);
    builder
}

/// One file, twice: what is written through the second handle is on the disk when the write returns, and whatever else was
/// changed is left to the kernel (open(2): `O_DSYNC`).
#[derive(Debug)]
pub(crate) struct StoreFile {
    file: File,
    synced: File,
}

impl StoreFile {
    /// Opens a file that is there. The caller sees to it that nobody else does.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = i32::try_from(OFlags::DSYNC.bits()).expect("flags of open(2) are an int");
        Ok(Self {
            file: OpenOptions::new().read(true).write(true).open(path)?,
            synced: OpenOptions::new().write(true).custom_flags(flags).open(path)?,
        })
    }
}

impl Storage for StoreFile {
    fn write_synced(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.synced.write_all_at(data, offset)
    }
}

impl StorageBackend for StoreFile {
    fn len(&self) -> io::Result<u64> {
        Ok(FileSize::from(statx(self.file.as_fd(), "", AtFlags::EMPTY_PATH, StatxFlags::SIZE)?).length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_all_at(data, offset)
    }
}

/// What a file takes. Its times are not asked for: Linux gives a file whose time was asked for a new one with the next write,
/// however soon that comes, and the disk has to be told each time (`Documentation/filesystems/multigrain-ts.rst`).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FileSize {
    /// Bytes to its end.
    pub(crate) length: u64,
    /// Bytes on the disk. A file grows by doubling, and what nobody has written yet is a hole.
    pub(crate) allocated: u64,
}

impl FileSize {
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        Ok(statx(CWD, path, AtFlags::empty(), StatxFlags::SIZE | StatxFlags::BLOCKS)?.into())
    }

    /// Of what is behind some bytes that are all on the disk.
    pub(crate) fn without(self, bytes: u64) -> Self {
        Self { length: self.length.saturating_sub(bytes), allocated: self.allocated.saturating_sub(bytes) }
    }
}

impl From<Statx> for FileSize {
    fn from(found: Statx) -> Self {
        // statx(2): blocks have 512 bytes, whatever the file system's have.
        Self { length: found.stx_size, allocated: found.stx_blocks * 512 }
    }
}
