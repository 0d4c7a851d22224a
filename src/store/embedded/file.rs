//! The file of a store on a real disk.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use redb::StorageBackend;
use rustix::fs::{AtFlags, CWD, OFlags, Statx, StatxFlags, statx};

use super::journal::Storage;

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
