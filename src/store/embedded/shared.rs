//! What the writer publishes and everybody reads: the newest view, and the watches.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use tokio_util::sync::CancellationToken;

use super::hub::{Hub, WatchLimits};
use super::refusal::Refusal;
use super::tables::View;

/// Who answers, as each header says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    pub(crate) cluster: u64,
    pub(crate) member: u64,
}

/// Shared by the writer and all who read.
pub(crate) struct Shared {
    pub(crate) identity: Identity,
    /// The file; `None` in memory.
    file: Option<PathBuf>,
    /// Whether the alarm is raised that the file is too large, for who only wants to know.
    no_space: AtomicBool,
    /// Replaced by each commit before it is acknowledged, so that who was answered sees what he wrote. `None` while the file is
    /// rewritten.
    view: RwLock<Option<Arc<View>>>,
    hub: Mutex<Hub>,
    /// Why nothing is answered any more.
    stop: OnceLock<String>,
    /// Cancelled when that is said.
    pub(crate) ended: CancellationToken,
}

impl Shared {
    pub(crate) fn new(identity: Identity, file: Option<PathBuf>, view: View, limits: WatchLimits) -> Self {
        Self {
            identity,
            file,
            no_space: AtomicBool::new(false),
            hub: Mutex::new(Hub::new(view.revision, limits)),
            view: RwLock::new(Some(Arc::new(view))),
            stop: OnceLock::new(),
            ended: CancellationToken::new(),
        }
    }

    /// Bytes that the store takes on the disk; 0 in memory.
    pub(crate) fn file_size(&self) -> u64 {
        self.file.as_ref().and_then(|file| std::fs::metadata(file).ok()).map_or(0, |metadata| metadata.len())
    }

    /// Whether writes are refused because the file is too large.
    pub(crate) fn no_space(&self) -> bool {
        self.no_space.load(Ordering::Relaxed)
    }

    pub(crate) fn set_no_space(&self, raised: bool) {
        self.no_space.store(raised, Ordering::Relaxed);
    }

    /// The newest view.
    pub(crate) fn view(&self) -> Result<Arc<View>, Refusal> {
        let view = self.view.read().unwrap_or_else(PoisonError::into_inner).clone();
        match (view, self.stop.get()) {
            (Some(view), None) => Ok(view),
            _ => Err(self.stopped()),
        }
    }

    pub(crate) fn publish(&self, view: View) {
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(view));
    }

    /// Runs something while nobody reads. Readers that come meanwhile wait; those that are under way are waited for.
    pub(crate) fn exclusively<T>(&self, run: impl FnOnce() -> T, view: impl FnOnce() -> Option<View>) -> T {
        let mut current = self.view.write().unwrap_or_else(PoisonError::into_inner);
        let readers = current.take().map(|view| Arc::downgrade(&view));
        while readers.as_ref().is_some_and(|view| view.strong_count() > 0) {
            std::thread::yield_now();
        }
        let done = run();
        *current = view().map(Arc::new);
        done
    }

    pub(crate) fn hub(&self) -> MutexGuard<'_, Hub> {
        // A panic under this lock is a bug, and leaves nothing half done that would be worse than no watches at all.
        self.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says why nothing is answered any more; the first reason stays.
    pub(crate) fn stop(&self, reason: String) {
        let _ = self.stop.set(reason);
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = None;
        self.hub().close();
        self.ended.cancel();
    }

    pub(crate) fn stopped(&self) -> Refusal {
        Refusal::Stopped(self.stop.get().cloned().unwrap_or_else(|| "it is being closed".to_owned()))
    }
}
