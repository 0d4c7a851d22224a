//! What the writer publishes and everybody reads: the newest view, and the watches.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::{OwnedRwLockReadGuard, RwLock, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::file::FileSize;
use super::hub::{Hub, WatchLimits};
use super::refusal::Refusal;
use super::tables::View;
use super::write::Commit;

/// Who answers, as each header says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    pub(crate) cluster: u64,
    pub(crate) member: u64,
}

/// Shared by the writer and all who read.
pub(crate) struct Shared {
    pub(crate) identity: Identity,
    /// The file, and where in it the pages begin; `None` in memory.
    file: Option<(PathBuf, u64)>,
    /// Whether the alarm is raised that the file is too large, for who only wants to know.
    no_space: AtomicBool,
    /// Replaced by each commit before it is acknowledged, so that who was answered sees what he wrote. `None` while the file is
    /// rewritten; readers then wait, and hold up no thread.
    view: watch::Sender<Option<Arc<View>>>,
    hub: Mutex<Hub>,
    /// Held for reading by who reads the whole file, and for writing by who has it rewritten: the writer does not stand still
    /// while it waits for a reader of seconds.
    whole: Arc<RwLock<()>>,
    /// One snapshot at a time: each takes the space of a whole store.
    pub(crate) snapshots: Arc<Semaphore>,
    /// Why nothing is answered any more.
    stop: OnceLock<String>,
    /// Cancelled when that is said.
    pub(crate) ended: CancellationToken,
}

impl Shared {
    pub(crate) fn new(identity: Identity, file: Option<(PathBuf, u64)>, view: View, limits: WatchLimits) -> Self {
        Self {
            identity,
            file,
            no_space: AtomicBool::new(false),
            hub: Mutex::new(Hub::new(view.revision, limits)),
            view: watch::Sender::new(Some(Arc::new(view))),
            whole: Arc::default(),
            snapshots: Arc::new(Semaphore::new(1)),
            stop: OnceLock::new(),
            ended: CancellationToken::new(),
        }
    }

    /// What the file takes without its journal, whose size is always the same; 0 in memory.
    pub(crate) fn file_size(&self) -> FileSize {
        self.file.as_ref().and_then(|(file, pages)| Some(FileSize::of(file).ok()?.without(*pages))).unwrap_or_default()
    }

    /// A file for what is too large for memory, on the disk of the store. It has no name, and goes with its last handle.
    pub(crate) fn scratch(&self) -> std::io::Result<std::fs::File> {
        match self.file.as_ref().and_then(|(file, _)| file.parent()) {
            Some(directory) => tempfile::tempfile_in(directory),
            None => tempfile::tempfile(),
        }
    }

    /// Whether writes are refused because the file is too large.
    pub(crate) fn no_space(&self) -> bool {
        self.no_space.load(Ordering::Relaxed)
    }

    pub(crate) fn set_no_space(&self, raised: bool) {
        self.no_space.store(raised, Ordering::Relaxed);
    }

    /// The newest view. Waits while the file is rewritten.
    pub(crate) async fn view(&self) -> Result<Arc<View>, Refusal> {
        loop {
            // Made before the view is looked at, so that none is missed.
            let mut views = self.view.subscribe();
            let view = views.borrow_and_update().clone();
            if self.stop.get().is_some() {
                return Err(self.stopped());
            }
            match view {
                Some(view) => return Ok(view),
                None => views.changed().await.map_err(|_| self.stopped())?,
            }
        }
    }

    /// Shows everybody what was committed. Who has a view has it from before the watches were told or from after: a watch that
    /// reads history up to the newest view would else be told of the same commits again.
    pub(crate) fn publish(&self, view: View, commits: &[Arc<Commit>]) {
        let mut hub = self.hub();
        let before = self.view.send_replace(Some(Arc::new(view)));
        for commit in commits {
            hub.publish(commit);
        }
        drop(hub);
        // The last view of a commit takes some time to go.
        drop(before);
    }

    /// Has readers that come now wait for the next view.
    pub(crate) fn withdraw(&self) {
        self.view.send_replace(None);
    }

    /// For who reads all of the file: it is not rewritten meanwhile.
    pub(crate) async fn reading_all(&self) -> OwnedRwLockReadGuard<()> {
        self.whole.clone().read_owned().await
    }

    /// For who has the file rewritten: nobody reads all of it meanwhile.
    pub(crate) async fn rewriting(&self) -> tokio::sync::RwLockWriteGuard<'_, ()> {
        self.whole.write().await
    }

    pub(crate) fn hub(&self) -> MutexGuard<'_, Hub> {
        // A panic under this lock is a bug, and leaves nothing half done that would be worse than no watches at all.
        self.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says why nothing is answered any more; the first reason stays.
    pub(crate) fn stop(&self, reason: String) {
        let _ = self.stop.set(reason);
        self.withdraw();
        self.hub().close();
        self.ended.cancel();
    }

    pub(crate) fn stopped(&self) -> Refusal {
        Refusal::Stopped(self.stop.get().cloned().unwrap_or_else(|| "it is being closed".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use redb::{Database, ReadableDatabase};

    use super::super::tables::{Alive, Tables};
    use super::*;

    /// An empty store, and what its views are made of.
    fn empty() -> (Shared, impl Fn(i64) -> View) {
        let database = Database::builder().create_with_backend(redb::backends::InMemoryBackend::new()).unwrap();
        let transaction = database.begin_write().unwrap();
        drop(Tables::open(&transaction).unwrap());
        transaction.commit().unwrap();
        let alive = Alive::new();
        let view = move |revision| View::new(database.begin_read().unwrap(), revision, -1, alive.token()).unwrap();
        let identity = Identity { cluster: 1, member: 1 };
        (Shared::new(identity, None, view(1), WatchLimits::default()), view)
    }

    #[test]
    fn a_view_is_shown_only_with_the_watches_that_have_been_told() {
        let (shared, view) = empty();
        let shared = Arc::new(shared);
        // A stream is looking at the watches when the next revision is published.
        let hub = shared.hub();
        let (publishing, next) = (shared.clone(), view(2));
        let (done, published) = mpsc::channel();
        let writer = std::thread::spawn(move || {
            publishing.publish(next, &[Arc::new(Commit { revision: 2, records: Vec::new() })]);
            done.send(()).unwrap();
        });
        // Time enough for a view that does not wait for the watches to be there.
        assert!(published.recv_timeout(Duration::from_millis(100)).is_err());
        let shown = || shared.view.borrow().as_ref().map(|view| view.revision);
        assert_eq!((shown(), hub.revision()), (Some(1), 1));
        drop(hub);
        writer.join().unwrap();
        assert_eq!((shown(), shared.hub().revision()), (Some(2), 2));
    }

    #[tokio::test]
    async fn who_reads_waits_for_a_view_and_learns_why_there_will_be_none() {
        let (shared, view) = empty();
        shared.withdraw();
        let (seen, ()) = tokio::join!(shared.view(), async { shared.publish(view(3), &[]) });
        assert_eq!(seen.unwrap().revision, 3);
        shared.withdraw();
        let (seen, ()) = tokio::join!(shared.view(), async { shared.stop("the disk is gone".to_owned()) });
        assert_eq!(seen.err(), Some(Refusal::Stopped("the disk is gone".to_owned())));
    }
}
