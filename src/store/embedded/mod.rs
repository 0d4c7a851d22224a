//! The embedded store: the etcd v3 API, served by this process from one file, for one host.
//!
//! ```text
//!  gRPC ── reads ──▶ View (what was committed last) ◀──────────────┐ publishes, then
//!    │                                                             │
//!    └── writes ──▶ queue ──▶ writer: one batch, one commit on disk ├─▶ hub ──▶ watches
//!                             (leases, compaction: the writer's)    └─▶ answers
//! ```
//!
//! Guarantees: what was answered is on the disk; a transaction is there whole or not at all; revisions, versions and answers are
//! etcd's, up to the list in `docs/store.md`; watches get every event once, in order. Assumptions: the file system keeps what it
//! says it has synced, and nobody else writes the file, which a lock sees to. Caveats: no replication, no authentication (the
//! socket's permissions are what there is), and a file system that fails stops the store rather than have it guess. Who writes a record
//! of wicap's audit log is known by the unix socket that he comes through.
//!
//! # Layout
//! - [`data_dir`]: the directory, and who holds it
//! - [`listen`]: sockets, and who may connect
//! - `service`: the gRPC services; `check`, `refusal`: what they refuse, in etcd's words; `peer`: who asks, and that he signs the
//!   audit log with his own name
//! - `writer`: the one that writes; `turns`: on whose thread it does; `commands`: what it may be asked; `write`, `lease`, `sweep`:
//!   what it does
//! - [`backup`]: snapshots taken and restored; [`snapshot`]: etcd's file format for them
//! - `tables`, `read`, `span`, `hash`: the data and how it is read; `journal`, `file`: how it gets to the disk
//! - `hub`, `index`: who watches, and what; `shared`: what the writer publishes
//! - `compactor`: forgets old revisions by age and number

pub mod backup;
mod check;
mod commands;
mod compactor;
pub mod data_dir;
mod file;
mod hash;
mod hub;
mod index;
mod journal;
mod lease;
pub mod listen;
mod peer;
mod read;
mod refusal;
mod service;
mod shared;
pub mod snapshot;
mod span;
mod sweep;
mod tables;
mod turns;
mod write;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use etcd_client::Client;
use hyper::http::{Request, Response};
use redb::{Database, ReadableDatabase, ReadableTable};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tonic::body::Body;
use tower::BoxError;
use tower::util::BoxCloneSyncService;

use commands::{Command, Handle};
use data_dir::DataDir;
pub use hub::WatchLimits;
pub use journal::Storage;
use lease::Leases;
use shared::{Identity, Shared};
use sweep::Sweep;
use tables::{Alive, Tables, View, meta};
use turns::Turns;
use writer::{Writer, number};

/// The first revision of an empty store, as in etcd.
const FIRST_REVISION: i64 = 1;

/// How the store behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes of the file that are kept in memory. What is not is still in the kernel's cache, so that little is enough.
    pub cache_bytes: usize,
    /// Bytes in the front of a new file for what was changed since its pages were last synced: from 16 KiB, which is what less is
    /// taken for, to 8 GiB. More makes that rarer, and the start after a crash longer.
    pub journal_bytes: usize,
    /// Bytes that the file may have before writes are refused with etcd's NOSPACE alarm (etcd: `--quota-backend-bytes`).
    pub quota_bytes: u64,
    /// Revisions younger than this are kept for watches that resume; older ones are forgotten.
    pub keep_age: Duration,
    /// No more revisions than this are kept, however young.
    pub keep_revisions: i64,
    /// How often a quiet watch that asked for it is told how far the store is
    /// (etcd: `--experimental-watch-progress-notify-interval`).
    pub progress_interval: Duration,
    /// What is kept in memory for watches.
    pub watches: WatchLimits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: 4 * 1024 * 1024,
            // A hundred and forty puts of 2 KB that wait for one another, or ten times as many that do not.
            journal_bytes: 4 * 1024 * 1024,
            // etcd's default.
            quota_bytes: 2 * 1024 * 1024 * 1024,
            // Longer than a controller is ever away without starting anew, and an hour of writing at full speed fits the next.
            keep_age: Duration::from_secs(3600),
            keep_revisions: 100_000,
            progress_interval: Duration::from_secs(600),
            watches: WatchLimits::default(),
        }
    }
}

/// Answers requests in the process where they are made.
pub type Local = BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>;

/// Why a store cannot be opened or used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory cannot be used; the message says what to do.
    #[error(transparent)]
    DataDir(#[from] data_dir::Error),
    /// The file cannot be read: it is damaged, or not a store.
    #[error("{}: {reason}. Restore a snapshot with `wicapd store restore`, or move the file away to begin anew", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the engine says.
        reason: redb::Error,
    },
    /// It was written by another version.
    #[error("{}: its format is {found}, this version reads {}: use the version that wrote it", path.display(), journal::FORMAT)]
    Format {
        /// The file.
        path: PathBuf,
        /// The format that it has.
        found: u32,
    },
    /// The thread that writes cannot be started.
    #[error("the store's writer cannot be started: {0}")]
    Thread(std::io::Error),
    /// The store stopped because its file failed.
    #[error("{0}")]
    Stopped(String),
}

/// A store that is open. Dropping it without [`Embedded::close`] is what a crash is: nothing is lost but the exact time that its
/// leases had left.
pub struct Embedded {
    handle: Handle,
    options: Options,
    writer: Option<std::thread::JoinHandle<()>>,
    _tasks: Vec<AbortOnDropHandle<()>>,
    _lock: Option<DataDir>,
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Embedded {
    /// Opens the store of a data directory that is held, or begins one. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// [`Error`], when the file cannot be used; it is left as it is.
    pub fn open(directory: DataDir, options: Options) -> Result<Self, Error> {
        let path = directory.file();
        let broken = |reason: redb::Error| Error::File { path: path.clone(), reason };
        // Only a file that is surely not there is begun, and one that was emptied is no new one.
        if path.symlink_metadata().is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound) {
            file::begin(&directory, &options).map_err(broken)?;
        }
        // The engine may panic on pages that make no sense.
        let opened = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let (database, pages) = file::open(&path, &options)?;
            data_dir::make_private(&path)?;
            Self::writer(database, Some((path.clone(), pages)), &options)
        }));
        let damaged = |_| Err(broken(redb::Error::Corrupted("a page makes no sense".to_owned())));
        let (writer, alarm) = opened.unwrap_or_else(damaged)?;
        Self::start(writer, alarm, options, Some(directory))
    }

    /// A store in memory, all of which runs as tasks of this runtime: with a paused clock and one thread, everything that
    /// happens in it happens in the same order each time.
    ///
    /// # Errors
    /// As [`Embedded::open`].
    pub fn in_memory(options: Options) -> Result<Self, Error> {
        Self::in_tasks(file::in_memory(&options)?, options)
    }

    /// The same, on a storage of the caller's: one that fails on purpose, or remembers what was written and synced. An empty one
    /// is begun.
    ///
    /// # Errors
    /// As [`Embedded::open`].
    pub fn on_storage(storage: impl Storage, options: Options) -> Result<Self, Error> {
        Self::in_tasks(file::on_storage(storage, &options)?, options)
    }

    fn in_tasks(database: Database, options: Options) -> Result<Self, Error> {
        let (writer, alarm) = Self::writer(database, None, &options)?;
        Self::start(writer, alarm, options, None)
    }

    /// Reads the state that is beside the tables, and makes the tables of a new file.
    fn writer(
        database: Database,
        file: Option<(PathBuf, u64)>,
        options: &Options,
    ) -> Result<(Writer, watch::Receiver<Option<Instant>>), Error> {
        let path = file.as_ref().map_or_else(|| file::IN_MEMORY.into(), |(path, _)| path.clone());
        let broken = |reason: redb::Error| Error::File { path: path.clone(), reason };
        let state = State::read(&database).map_err(broken)?;
        let alive = Alive::new();
        let view = database.begin_read().map_err(redb::Error::from);
        let view = view.and_then(|view| View::new(view, state.revision, state.compacted, alive.token())).map_err(broken)?;
        let shared = Arc::new(Shared::new(state.identity, file, view, options.watches));
        shared.set_no_space(state.no_space);
        let (alarm, wake) = watch::channel(state.leases.first_deadline());
        let writer = Writer {
            database,
            shared,
            alive,
            revision: state.revision,
            compacted: state.compacted,
            leases: state.leases,
            sweep: Sweep::new(state.swept, state.compacted),
            quota: options.quota_bytes,
            alarm,
            clock_written: Instant::now(),
        };
        Ok((writer, wake))
    }

    fn start(
        writer: Writer,
        alarm: watch::Receiver<Option<Instant>>,
        options: Options,
        lock: Option<DataDir>,
    ) -> Result<Self, Error> {
        let (sender, inbox) = mpsc::unbounded_channel();
        let shared = writer.shared.clone();
        let (mut thread, mut tasks) = (None, Vec::new());
        let mut turns = None;
        if lock.is_some() {
            let by_turns = Arc::new(Turns::new(writer));
            turns = Some(by_turns.clone());
            let writer = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || by_turns.run(inbox));
            thread = Some(writer.map_err(Error::Thread)?);
        } else {
            tasks.push(AbortOnDropHandle::new(tokio::spawn(writer.run_as_task(inbox))));
        }
        let handle = Handle::new(shared, sender, turns);
        tasks.push(AbortOnDropHandle::new(tokio::spawn(wake(alarm, handle.clone()))));
        let compactor = compactor::run(handle.clone(), options.keep_age, options.keep_revisions);
        tasks.push(AbortOnDropHandle::new(tokio::spawn(compactor)));
        Ok(Self { handle, options, writer: thread, _tasks: tasks, _lock: lock })
    }

    /// A client whose requests are answered on the spot, without a connection.
    ///
    /// # Errors
    /// [`etcd_client::Error`], which does not happen to a channel that is made here.
    pub async fn client(&self) -> Result<Client, etcd_client::Error> {
        Client::from_channel(etcd_client::Channel::Custom(self.channel()), None).await
    }

    /// What a client in this process is made of.
    #[must_use]
    pub fn channel(&self) -> Local {
        service::local(&self.handle, &self.options)
    }

    /// Waits until its file fails, or it is closed, and says why nothing is answered any more.
    pub async fn failed(&self) -> String {
        self.handle.shared.ended.cancelled().await;
        self.handle.shared.stopped().to_string()
    }

    /// Ends it in good order: what was asked before is answered, and leases keep exactly the time that they have left.
    ///
    /// # Errors
    /// [`Error::Stopped`] when its file has failed.
    pub async fn close(mut self) -> Result<(), Error> {
        let closed = self.handle.ask(Command::Close).await;
        self.handle.shared.stop("it has been closed".to_owned());
        if let Some(writer) = self.writer.take() {
            // It ends after it has answered, and takes the file with it: another may then open it at once.
            let _ = tokio::task::spawn_blocking(move || writer.join()).await;
        }
        closed.map_err(|refusal| Error::Stopped(refusal.to_string()))
    }
}

/// Sends the writer a word when the time has come that it named last.
async fn wake(mut alarm: watch::Receiver<Option<Instant>>, handle: Handle) {
    loop {
        let next = *alarm.borrow_and_update();
        let ring = async {
            match next {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = ring => {
                if !handle.send(Command::Tick) {
                    return;
                }
                // Until the writer has come to it and named another time, there is nothing to wait for.
                if alarm.changed().await.is_err() {
                    return;
                }
            }
            changed = alarm.changed() => if changed.is_err() { return },
        }
    }
}

/// What a file says beside its data.
struct State {
    revision: i64,
    compacted: i64,
    swept: i64,
    leases: Leases,
    identity: Identity,
    no_space: bool,
}

impl State {
    fn read(database: &Database) -> Result<Self, redb::Error> {
        let transaction = database.begin_write()?;
        let state = {
            let mut tables = Tables::open(&transaction)?;
            if number(&tables.meta, meta::CLUSTER)?.is_none() {
                tables.meta.insert(meta::CLUSTER, rand::random::<i64>())?;
                tables.meta.insert(meta::MEMBER, rand::random::<i64>())?;
            }
            let clock = number(&tables.meta, meta::CLOCK)?.unwrap_or(0);
            let mut leases = Leases::new(clock);
            for entry in tables.leases.iter()? {
                let (id, stored) = entry?;
                leases.restore(id.value(), stored.value());
            }
            // Their ends are now counted from this opening; what the file says of them is from before.
            for (id, stored) in leases.exact() {
                tables.leases.insert(id, stored)?;
            }
            let last = tables.revisions.last()?.map_or(FIRST_REVISION, |(place, _)| place.value().0);
            let get = |name| number(&tables.meta, name);
            Self {
                revision: last.max(get(meta::REVISION)?.unwrap_or(FIRST_REVISION)),
                compacted: get(meta::COMPACTED)?.unwrap_or(-1),
                swept: get(meta::SWEPT)?.unwrap_or(0),
                leases,
                identity: Identity {
                    cluster: get(meta::CLUSTER)?.unwrap_or(0).cast_unsigned(),
                    member: get(meta::MEMBER)?.unwrap_or(0).cast_unsigned(),
                },
                no_space: get(meta::NO_SPACE)?.unwrap_or(0) != 0,
            }
        };
        transaction.commit()?;
        Ok(state)
    }
}

/// The socket of a data directory.
#[must_use]
pub fn socket_of(directory: &Path) -> PathBuf {
    directory.join("store.sock")
}
