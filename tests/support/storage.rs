//! Storage in memory that does what a test wants before each sync.

use std::io;
use std::sync::Arc;

use redb::StorageBackend;
use redb::backends::InMemoryBackend;
use wicap::store::embedded::Storage;

/// What is done first when something is to be on the disk.
type BeforeSync = Box<dyn Fn() + Send + Sync>;

#[derive(Clone)]
pub struct Prepared(Arc<(InMemoryBackend, BeforeSync)>);

impl Prepared {
    pub fn new(before_sync: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new((InMemoryBackend::new(), Box::new(before_sync))))
    }
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Prepared")
    }
}

impl Storage for Prepared {}

impl StorageBackend for Prepared {
    fn len(&self) -> io::Result<u64> {
        self.0.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.0.read(offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.0.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        (self.0.1)();
        self.0.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.0.write(offset, data)
    }
}
