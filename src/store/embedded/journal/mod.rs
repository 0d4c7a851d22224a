//! What makes a commit cheap: the pages that it changes lie scattered over the file, and a disk takes several times as long to
//! have them than to have as much in one place. So a sync writes what was changed since the last one to a journal in the front of
//! the file, one record that is on the disk when the write returns. The pages stay in memory; when half of the journal is full,
//! they are written and synced, and that half is used again when the other is full.
//!
//! ```text
//!  +--------+----------------+----------------+------------------------------ … --+
//!  | header | half 0         | half 1         | pages: the engine's file          |
//!  +--------+----------------+----------------+------------------------------ … --+
//!              records n, n+1 …  ▲ full: its pages are written and synced (a checkpoint) while the other half is filled;
//!                                  a half is used again when its records are checkpointed, and a later one says so
//! ```
//!
//! Guarantees: after a crash the pages are what they were at the last sync that returned, or at the one that was under way, but
//! for writes since then, of which the disk has any part. That is what the engine assumes of every file. It is kept by writing the
//! records since the last checkpoint over the pages when the file is opened; doing so twice, or from further back, comes to the
//! same. A record that is needed and damaged is noticed, unless it is the last: nobody can tell that from one that was cut off.
//! Assumptions: a block that is not written to keeps what it has; a write through a handle that is opened so is on the disk when
//! it returns. Caveat: what changes more than a record holds is synced page by page, as if there were no journal.

mod layout;
mod pages;
mod record;
mod recover;

use std::io;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, MutexGuard};

use redb::StorageBackend;

pub(super) use layout::FORMAT;
use layout::{HEADER, Layout};
use pages::Pages;
use record::{BLOCK, Draft};
use recover::Found;

/// What a store lies on.
pub trait Storage: StorageBackend {
    /// Writes, and returns when that is on the disk. Nothing else has to be.
    ///
    /// # Errors
    /// What the system says.
    fn write_synced(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.write(offset, data)?;
        self.sync_data()
    }
}

impl Storage for redb::backends::InMemoryBackend {}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// It cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is no store, or one that was damaged.
    #[error("{0}")]
    Damaged(String),
    /// Another version has written it.
    #[error("its format is {0}")]
    Format(u32),
}

/// Who syncs the pages when a half is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checkpoints {
    /// A thread, while the other half is written.
    Beside,
    /// The writer, as late as it can: everything happens in one order.
    Inline,
}

/// A storage whose syncs go to its journal.
pub(super) struct Journal<S> {
    storage: Arc<S>,
    layout: Layout,
    pages: Arc<Pages<S>>,
    state: Mutex<State>,
}

impl<S> std::fmt::Debug for Journal<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("layout", &self.layout).finish_non_exhaustive()
    }
}

struct State {
    draft: Draft,
    end: End,
    /// The last sequence in the other half.
    behind: u64,
    /// The last sequence whose changes the pages have on the disk.
    checkpointed: u64,
    /// Up to which sequence the checkpoint goes that is not done yet, and lets the other half be used again. The worker is at it;
    /// without one it is made when that half is needed.
    pending: Option<u64>,
    worker: Option<Worker>,
    /// After a write that failed nobody knows what is on the disk.
    failed: bool,
}

/// Where the next record goes.
struct End {
    half: usize,
    at: usize,
    sequence: u64,
    /// The last sequence that the newest record says is checkpointed.
    noted: u64,
}

impl End {
    fn write(&mut self, draft: &mut Draft, checkpointed: u64, storage: &impl Storage, layout: Layout) -> io::Result<()> {
        let place = layout.start_of(self.half) + self.at as u64;
        storage.write_synced(place, draft.seal(layout.salt, self.sequence, checkpointed))?;
        self.noted = checkpointed;
        self.sequence += 1;
        self.at += draft.size();
        draft.clear();
        Ok(())
    }
}

/// The thread that makes checkpoints.
struct Worker {
    requests: Sender<()>,
    done: Receiver<io::Result<()>>,
    thread: std::thread::JoinHandle<()>,
}

impl Worker {
    fn start(pages: Arc<Pages<impl Storage>>) -> io::Result<Self> {
        let (requests, inbox) = channel();
        let (outbox, done) = channel();
        let work = move || {
            while inbox.recv().is_ok() {
                if outbox.send(pages.checkpoint()).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("store-checkpoint".to_owned()).spawn(work)?;
        Ok(Self { requests, done, thread })
    }

    fn end(self) {
        drop(self.requests);
        // One that has panicked has said so, and has not said that anything is on the disk.
        let _ = self.thread.join();
    }
}

impl<S: Storage> Journal<S> {
    /// Makes the front of an empty file, with a journal of so many bytes in all, and has the engine make its pages. The journal is
    /// written, not only reserved: to write over what is there takes the file system nothing but the write.
    pub(super) fn create(storage: S, bytes: usize, checkpoints: Checkpoints) -> io::Result<Self> {
        let half = (bytes / 2).next_multiple_of(BLOCK).max(2 * BLOCK);
        let half = u32::try_from(half).map_err(|_| io::Error::other("a journal has less than 8 GiB"))?;
        let layout = Layout { salt: rand::random(), half };
        storage.set_len(layout.pages())?;
        for block in 0..2 * half as usize / BLOCK {
            storage.write(layout.start_of(0) + (block * BLOCK) as u64, &[0; BLOCK])?;
        }
        storage.write(0, &layout.header())?;
        storage.sync_data()?;
        Self::start(storage.into(), layout, Found::nothing(), checkpoints)
    }

    /// Opens a file, and has its pages as its journal says they were.
    pub(super) fn open(storage: S, checkpoints: Checkpoints) -> Result<Self, Error> {
        let storage = Arc::new(storage);
        let length = storage.len()?;
        let mut header = [0; HEADER];
        if length < HEADER as u64 {
            return Err(Error::Damaged(format!("it has only {length} bytes")));
        }
        storage.read(0, &mut header)?;
        let layout = Layout::read(&header)?;
        if length < layout.pages() {
            return Err(Error::Damaged(format!("it has only {length} bytes, {} of them were its journal", layout.pages())));
        }
        let found = Found::read(&*storage, layout)?;
        if !found.needed.is_empty() {
            tracing::info!(records = found.needed.len(), "writing to the pages what the journal has of them");
            found.replay(&*storage, layout)?;
        }
        if storage.len()? == layout.pages() {
            // The engine would take it for a new one.
            return Err(Error::Damaged("it has no pages".to_owned()));
        }
        Ok(Self::start(storage, layout, found, checkpoints)?)
    }

    fn start(storage: Arc<S>, layout: Layout, found: Found, checkpoints: Checkpoints) -> io::Result<Self> {
        let pages = Arc::new(Pages::new(storage.clone(), layout.pages()));
        let worker = match checkpoints {
            Checkpoints::Beside => Some(Worker::start(pages.clone())?),
            Checkpoints::Inline => None,
        };
        let state = State {
            draft: Draft::new(layout.room()),
            checkpointed: found.end.sequence - 1,
            behind: found.behind,
            end: found.end,
            pending: None,
            worker,
            failed: false,
        };
        Ok(Self { storage, layout, pages, state: Mutex::new(state) })
    }

    /// Where in the file the pages begin.
    pub(super) fn pages_at(&self) -> u64 {
        self.layout.pages()
    }

    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.state.lock().map_err(|_| io::Error::other("a write to the file panicked"))?;
        if state.failed { Err(io::Error::other("a write to the file failed before")) } else { Ok(state) }
    }

    /// Does something that a failure must be the last of.
    fn carry_out(&self, what: impl FnOnce(&Self, &mut State) -> io::Result<()>) -> io::Result<()> {
        let mut state = self.state()?;
        let done = what(self, &mut state);
        state.failed |= done.is_err();
        done
    }

    /// Changes the pages, in memory and in the draft. What is too much for a record goes to the file.
    fn change(&self, state: &mut State, offset: u64, data: &[u8]) -> io::Result<()> {
        let before = state.draft.is_overflown();
        state.draft.write(offset, data);
        if !state.draft.is_overflown() {
            return self.pages.write(offset, data);
        }
        if !before {
            self.write_pages(state)?;
        }
        self.pages.write_through(offset, data)
    }

    fn resize(&self, state: &mut State, length: u64) -> io::Result<()> {
        state.draft.resize(length);
        self.finish_checkpoint(state)?;
        self.pages.set_len(length)
    }

    /// Has what was changed on the disk, in a record or page by page.
    fn sync(&self, state: &mut State) -> io::Result<()> {
        if state.draft.is_empty() {
            return Ok(());
        }
        if state.draft.is_overflown() {
            return self.sync_pages(state);
        }
        self.append(state)
    }

    /// Writes all pages that are in memory to the file and syncs them.
    fn write_pages(&self, state: &mut State) -> io::Result<()> {
        self.finish_checkpoint(state)?;
        self.pages.seal();
        self.pages.checkpoint()
    }

    /// Does that, and notes that no record is needed any more: one that was written over the pages would be too old.
    fn sync_pages(&self, state: &mut State) -> io::Result<()> {
        self.write_pages(state)?;
        state.draft.clear();
        // The note itself changes nothing.
        state.checkpointed = state.end.sequence;
        self.append(state)
    }

    /// Writes the draft as a record.
    fn append(&self, state: &mut State) -> io::Result<()> {
        state.look_at_checkpoint()?;
        if state.end.at + state.draft.size() > self.layout.room() {
            self.turn(state)?;
        }
        state.end.write(&mut state.draft, state.checkpointed, &*self.storage, self.layout)
    }

    /// Goes on in the other half. Its records are not needed by then, and the newest record says so: one of them that is only
    /// half written over would be missed otherwise.
    fn turn(&self, state: &mut State) -> io::Result<()> {
        self.finish_checkpoint(state)?;
        // Behind the room there is only ever that note.
        if state.end.noted < state.behind && state.end.at <= self.layout.room() {
            state.end.write(&mut Draft::new(self.layout.room()), state.checkpointed, &*self.storage, self.layout)?;
        }
        state.behind = state.end.sequence - 1;
        (state.end.half, state.end.at) = (1 - state.end.half, 0);
        // What is in the draft is in them too. That is no harm: it is a write since the last sync.
        self.pages.seal();
        state.pending = Some(state.behind);
        state.worker.as_ref().map_or(Ok(()), |worker| worker.requests.send(()).map_err(|_| worker_is_gone()))
    }

    /// Waits for the checkpoint that is pending, or makes it.
    fn finish_checkpoint(&self, state: &mut State) -> io::Result<()> {
        if state.pending.is_none() {
            return Ok(());
        }
        let done = match &state.worker {
            Some(worker) => worker.done.recv().map_err(|_| worker_is_gone())?,
            None => self.pages.checkpoint(),
        };
        state.checkpointed(done)
    }
}

impl State {
    /// Takes notice of a checkpoint that the worker has done.
    fn look_at_checkpoint(&mut self) -> io::Result<()> {
        match self.worker.as_ref().map(|worker| worker.done.try_recv()) {
            Some(Ok(done)) => self.checkpointed(done),
            Some(Err(TryRecvError::Disconnected)) => Err(worker_is_gone()),
            Some(Err(TryRecvError::Empty)) | None => Ok(()),
        }
    }

    fn checkpointed(&mut self, done: io::Result<()>) -> io::Result<()> {
        done?;
        self.checkpointed = self.checkpointed.max(self.pending.take().unwrap_or(0));
        Ok(())
    }
}

fn worker_is_gone() -> io::Error {
    io::Error::other("the thread that syncs the pages panicked")
}

impl<S: Storage> StorageBackend for Journal<S> {
    fn len(&self) -> io::Result<u64> {
        self.pages.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.pages.read(offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.carry_out(|journal, state| journal.resize(state, length))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.carry_out(Self::sync)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.carry_out(|journal, state| journal.change(state, offset, data))
    }

    /// Leaves the pages as they should be, so that nothing of the journal is needed. A store that has failed or panicked is left
    /// as a crash would leave it.
    fn close(&self) -> io::Result<()> {
        if self.state().is_err() {
            return Ok(());
        }
        let done = self.carry_out(Self::sync_pages);
        if let Some(worker) = self.state.lock().ok().and_then(|mut state| state.worker.take()) {
            worker.end();
        }
        done
    }
}

#[cfg(test)]
mod tests;
