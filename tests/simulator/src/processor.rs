//! From the queue to the database: takes events, "inserts" them, and tells the dashboard every second.
//!
//! ```text
//!   redis list ──pop──┐                         ┌── counters ──(1 s)── POST /api/internal/push
//!                     ├── insert (or 3 attempts,┤
//!   file queue ──pop──┘    then the batch is    └── log
//!                          lost)
//! ```

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::http;
use crate::journal::{Journal, Level};
use crate::live::Live;
use crate::push::{Push, QueueMode};
use crate::queue::Queue;
use crate::settings::Settings;
use crate::spool::Spool;

const LOGGER: &str = "wicap.processor";

/// How often the dashboard is told, and how long it may take to answer.
const PUSH: Duration = Duration::from_secs(1);

/// How often the processor sums up what it did.
const REPORT: Duration = Duration::from_secs(10);

/// How often an insert is tried, and the pause between attempts.
const ATTEMPTS: u32 = 3;
const ATTEMPT_PAUSE: Duration = Duration::from_millis(500);

/// What the pushing half has to know of the working half.
#[derive(Debug, Default)]
struct Counters {
    total: u64,
    /// Taken to zero by each push, whether it arrives or not.
    unpushed: u64,
    last_insert: Option<Instant>,
    mode: QueueMode,
}

type Shared = Arc<Mutex<Counters>>;

fn with<T>(counters: &Shared, change: impl FnOnce(&mut Counters) -> T) -> T {
    change(&mut counters.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Processes, for ever.
pub async fn run(settings: Arc<Settings>, live: Live, journal: Journal) -> io::Result<()> {
    let counters = Shared::default();
    tokio::spawn(push(settings.clone(), live.clone(), journal, counters.clone()));
    tokio::spawn(report(live.clone(), journal, counters.clone()));
    let queue = Queue::new(settings.redis_port).map_err(io::Error::other)?;
    let retry = Some(settings.queue_retry_seconds).filter(|s| *s > 0).map(Duration::from_secs);
    let mut worker = Worker { queue, spool: Spool::new(&settings.queue_dir), retry, live, journal, counters };
    let mut away_until = None;
    loop {
        worker.live.awake().await;
        away_until = worker.step(away_until).await;
    }
}

struct Worker {
    queue: Queue,
    spool: Spool,
    /// `None`: once fallen back to the file queue, stay there.
    retry: Option<Duration>,
    live: Live,
    journal: Journal,
    counters: Shared,
}

/// When redis is tried again; never if there is no time in it.
type Away = Option<Option<Instant>>;

impl Worker {
    /// Takes what there is, from the file queue always and from redis unless it is known to be away.
    async fn step(&mut self, away: Away) -> Away {
        self.drain_spool().await;
        if let Some(until) = away
            && until.is_none_or(|until| Instant::now() < until)
        {
            tokio::time::sleep(Duration::from_millis(250)).await;
            return away;
        }
        match self.queue.pop().await {
            Ok(events) => {
                self.switch(QueueMode::Redis);
                self.insert(&events).await;
                None
            }
            Err(error) => {
                self.journal.log(Level::Error, "wicap.queue", &format!("Redis queue error: {error}"));
                self.switch(QueueMode::File);
                Some(self.retry.map(|pause| Instant::now() + pause))
            }
        }
    }

    fn switch(&self, mode: QueueMode) {
        let before = with(&self.counters, |counters| std::mem::replace(&mut counters.mode, mode));
        if before != mode {
            self.journal.log(Level::Info, "wicap.queue", &format!("Queue mode: {}", mode.name()));
        }
    }

    async fn drain_spool(&self) {
        match self.spool.pop() {
            Ok(found) => {
                if found.truncated {
                    self.journal.log(Level::Warning, "wicap.queue", "Queue truncated, resetting offset");
                }
                self.insert(&found.events).await;
            }
            Err(error) => {
                self.journal.log(Level::Error, "wicap.queue", &format!("File queue error: {error}"));
            }
        }
    }

    /// Without a database the batch is lost after the last attempt, as in the original.
    async fn insert(&self, events: &[String]) {
        if events.is_empty() {
            return;
        }
        for attempt in 1..=ATTEMPTS {
            if !self.live.now().sql_down {
                return with(&self.counters, |counters| {
                    counters.total += events.len() as u64;
                    counters.unpushed += events.len() as u64;
                    counters.last_insert = Some(Instant::now());
                });
            }
            let message = "SQL connection failed: login timeout expired";
            self.journal.log(Level::Error, "wicap.sql", message);
            let message = format!("SQL operation failed (attempt {attempt}/{ATTEMPTS})");
            self.journal.log(Level::Warning, "wicap.sql", &message);
            self.live.rest(ATTEMPT_PAUSE).await;
        }
        let message = "Cannot flush: database connection failed";
        self.journal.log(Level::Error, "wicap.sql", message);
    }
}

async fn push(settings: Arc<Settings>, live: Live, journal: Journal, counters: Shared) {
    let ui = SocketAddr::new(settings.ui_host, settings.ui_port);
    let url = format!("http://{ui}/api/internal/push");
    let spool = Spool::new(&settings.queue_dir);
    loop {
        live.rest(PUSH).await;
        let push = with(&counters, |counters| Push {
            inserted: std::mem::take(&mut counters.unpushed),
            last_insert_age_sec: counters.last_insert.map(|at| at.elapsed().as_secs_f64()),
            queue_mode: counters.mode,
            queue_backlog_bytes: spool.backlog(),
        });
        let json = serde_json::to_string(&push).unwrap_or_default();
        let failure = match http::send(&url, Some(json), PUSH).await {
            Ok(status) if status.is_success() => continue,
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        journal.log(Level::Error, LOGGER, &format!("UI push failed: {failure}"));
    }
}

async fn report(live: Live, journal: Journal, counters: Shared) {
    let mut before = 0;
    loop {
        live.rest(REPORT).await;
        let (total, mode) = with(&counters, |counters| (counters.total, counters.mode));
        let message = format!("Inserted {} events (total {total}, queue {})", total - before, mode.name());
        journal.log(Level::Info, LOGGER, &message);
        before = total;
    }
}
