//! The one that writes. It takes the requests that wait, carries them out one after another in one transaction of the file, and
//! when that is on the disk publishes the view, hands the commits to the watches, and answers: in this order, so that nobody
//! knows of a revision that could still be lost, and who was answered finds what he wrote.

use std::sync::Arc;
use std::time::Duration;

use redb::{Database, ReadableDatabase, ReadableTable};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::commands::{Command, Granted, Queued, Reply, TimeToLive};
use super::lease::Leases;
use super::refusal::Refusal;
use super::shared::Shared;
use super::sweep::Sweep;
use super::tables::{Alive, Tables, View, meta};
use super::write::{Commit, Write, attached};

/// Requests that share one commit at most: what waits longer than a disk takes to write this much should be answered in parts.
const BATCH: usize = 512;

/// How often the clock is written while there are leases: a crash makes a lease longer by at most this.
const CLOCK_PERIOD: Duration = Duration::from_secs(60);

/// The state of the store beside its tables.
pub(crate) struct Writer {
    pub(crate) database: Database,
    pub(crate) shared: Arc<Shared>,
    /// Of the views that it has published.
    pub(crate) alive: Alive,
    pub(crate) revision: i64,
    pub(crate) compacted: i64,
    pub(crate) leases: Leases,
    pub(crate) sweep: Sweep,
    /// Bytes that the file may have before its alarm is raised.
    pub(crate) quota: u64,
    /// When to be woken.
    pub(crate) alarm: watch::Sender<Option<Instant>>,
    pub(crate) clock_written: Instant,
}

/// What is done once the commit is on the disk.
type Answer = Box<dyn FnOnce() + Send>;

/// What one batch has come to.
#[derive(Default)]
struct Outcome {
    answers: Vec<Answer>,
    commits: Vec<Arc<Commit>>,
    /// Whether anything was written, of which a commit is only one kind.
    written: bool,
    defragment: Vec<Reply<()>>,
    closed: bool,
}

impl Outcome {
    fn answer<T: Send + 'static>(&mut self, reply: Reply<T>, answer: Result<T, Refusal>) {
        self.answers.push(Box::new(move || {
            // Who asked may have gone; what he asked for is done.
            let _ = reply.send(answer);
        }));
    }
}

impl Writer {
    /// Works as a task, for a store in memory: everything happens in the order in which the runtime has it happen.
    pub(crate) async fn run_as_task(mut self, mut inbox: mpsc::UnboundedReceiver<Queued>) {
        let mut batch = Vec::new();
        loop {
            if self.sweep.is_pending() {
                tokio::task::yield_now().await;
            } else {
                match inbox.recv().await {
                    Some(command) => batch.push(command),
                    None => return,
                }
            }
            Self::take(&mut inbox, &mut batch);
            if !self.carry_out_all(&mut batch) {
                return;
            }
        }
    }

    /// Adds to a batch what waits.
    pub(crate) fn take(inbox: &mut mpsc::UnboundedReceiver<Queued>, batch: &mut Vec<Queued>) {
        while batch.len() < BATCH
            && let Ok(command) = inbox.try_recv()
        {
            batch.push(command);
        }
    }

    /// One batch; whether there is to be another. There is none when the file has failed, or the writer was closed.
    pub(crate) fn carry_out_all(&mut self, batch: &mut Vec<Queued>) -> bool {
        let _guard = Panicking(self.shared.clone());
        match self.commit(batch) {
            Ok(open) => open,
            Err(error) => {
                // After a write that failed nobody knows what is on the disk. What was not answered is not acknowledged.
                let reason = match error {
                    redb::Error::Io(error) => error.to_string(),
                    error => error.to_string(),
                };
                tracing::error!(reason, "the store's file failed; nothing more is answered");
                self.shared.stop(reason);
                false
            }
        }
    }

    fn commit(&mut self, batch: &mut Vec<Queued>) -> Result<bool, redb::Error> {
        let mut outcome = Outcome::default();
        self.leases.forgive();
        let transaction = self.database.begin_write()?;
        {
            let mut tables = Tables::open(&transaction)?;
            for Queued { command, .. } in batch.drain(..) {
                if !command.is_abandoned() {
                    self.carry_out(&mut tables, command, &mut outcome)?;
                }
            }
            if self.sweep.is_pending() {
                let finished = self.sweep.step(&mut tables)?;
                outcome.written = true;
                for reply in finished {
                    outcome.answer(reply, Ok(self.revision));
                }
            }
        }
        if outcome.written {
            transaction.commit()?;
            self.publish(&outcome.commits)?;
            self.look_at_quota()?;
        } else {
            transaction.abort()?;
        }
        outcome.answers.into_iter().for_each(|answer| answer());
        for reply in outcome.defragment {
            self.defragment()?;
            let _ = reply.send(Ok(()));
        }
        self.alarm.send_if_modified(|alarm| {
            let next = self.next_tick();
            std::mem::replace(alarm, next) != next
        });
        Ok(!outcome.closed)
    }

    fn publish(&self, commits: &[Arc<Commit>]) -> Result<(), redb::Error> {
        let view = View::new(self.database.begin_read()?, self.revision, self.compacted, self.alive.token())?;
        self.shared.publish(view, commits);
        Ok(())
    }

    fn carry_out(&mut self, tables: &mut Tables<'_>, command: Command, outcome: &mut Outcome) -> Result<(), redb::Error> {
        match command {
            Command::Put(request, reply) => {
                let answer = self.space().and_then(|()| self.write(tables, outcome, |write| write.put(request)));
                outcome.answer(reply, unless_broken(answer)?);
            }
            Command::Delete(request, reply) => {
                let answer = self.write(tables, outcome, |write| write.delete(&request));
                outcome.answer(reply, unless_broken(answer)?);
            }
            Command::Txn(request, reply) => {
                let space = if puts(&request) { self.space() } else { Ok(()) };
                let answer = space.and_then(|()| self.write(tables, outcome, |write| write.txn(request)));
                outcome.answer(reply, unless_broken(answer)?);
            }
            Command::Compact { revision, physical, reply } => {
                if revision <= self.compacted {
                    outcome.answer(reply, Err(Refusal::Compacted));
                } else if revision > self.revision {
                    outcome.answer(reply, Err(Refusal::FutureRevision));
                } else {
                    tables.meta.insert(meta::COMPACTED, revision)?;
                    outcome.written = true;
                    self.compacted = revision;
                    self.sweep.begin(revision);
                    if physical {
                        self.sweep.wait(reply);
                    } else {
                        outcome.answer(reply, Ok(self.revision));
                    }
                }
            }
            Command::Grant { id, ttl, reply } => {
                let granted = self.space().and_then(|()| self.leases.grant(id, ttl));
                if let Ok((id, _)) = granted {
                    self.write_lease(tables, id)?;
                    outcome.written = true;
                }
                let revision = self.revision;
                outcome.answer(reply, granted.map(|(id, ttl)| Granted { revision, id, ttl }));
            }
            Command::Revoke { id, reply } => {
                let answer = if self.leases.by_id().contains_key(&id) {
                    self.end_lease(tables, id, outcome)?;
                    Ok(self.revision)
                } else {
                    Err(Refusal::LeaseNotFound)
                };
                outcome.answer(reply, answer);
            }
            Command::KeepAlive { id, reply } => {
                let renewed = self.leases.renew(id);
                if let Some((_, true)) = renewed {
                    self.write_lease(tables, id)?;
                    outcome.written = true;
                }
                outcome.answer(reply, Ok((self.revision, renewed.map_or(0, |(ttl, _)| ttl))));
            }
            Command::TimeToLive { id, keys, reply } => {
                let seconds = self.leases.time_to_live(id);
                let keys = if keys && seconds.is_some() { attached(&tables.attached, id)? } else { Vec::new() };
                outcome.answer(reply, Ok(TimeToLive { revision: self.revision, seconds, keys }));
            }
            Command::Leases(reply) => outcome.answer(reply, Ok((self.revision, self.leases.ids()))),
            Command::NoSpace { raised, reply } => {
                let already = self.shared.no_space() == raised;
                if !already {
                    tables.meta.insert(meta::NO_SPACE, i64::from(raised))?;
                    self.shared.set_no_space(raised);
                    outcome.written = true;
                }
                outcome.answer(reply, Ok(already));
            }
            Command::Defragment(reply) => outcome.defragment.push(reply),
            Command::Tick => {
                for id in self.leases.ended() {
                    tracing::debug!(lease = id, "a lease has ended");
                    self.end_lease(tables, id, outcome)?;
                }
                if !self.leases.by_id().is_empty() && self.clock_written.elapsed() >= CLOCK_PERIOD {
                    self.write_clock(tables)?;
                    outcome.written = true;
                }
            }
            Command::Close(reply) => {
                for (id, stored) in self.leases.exact() {
                    tables.leases.insert(id, stored)?;
                    outcome.written = true;
                }
                if outcome.written {
                    self.write_clock(tables)?;
                }
                outcome.closed = true;
                outcome.answer(reply, Ok(()));
            }
        }
        Ok(())
    }

    /// Carries out one write, and makes a revision of it if it changed anything.
    fn write<'t, T>(
        &mut self,
        tables: &mut Tables<'t>,
        outcome: &mut Outcome,
        run: impl FnOnce(&mut Write<'_, 't>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let mut write = Write::new(tables, self.leases.by_id(), self.revision, self.compacted);
        let answer = run(&mut write)?;
        if let Some(commit) = write.finish() {
            self.revision = commit.revision;
            outcome.commits.push(Arc::new(commit));
            outcome.written = true;
        }
        Ok(answer)
    }

    fn end_lease(&mut self, tables: &mut Tables<'_>, id: i64, outcome: &mut Outcome) -> Result<(), redb::Error> {
        if let Err(refusal) = self.write(tables, outcome, |write| write.revoke(id)) {
            return Err(redb::Error::Corrupted(refusal.to_string()));
        }
        self.leases.remove(id);
        tables.leases.remove(id)?;
        outcome.written = true;
        Ok(())
    }

    fn write_lease(&mut self, tables: &mut Tables<'_>, id: i64) -> Result<(), redb::Error> {
        if let Some(stored) = self.leases.stored(id) {
            tables.leases.insert(id, stored)?;
            self.write_clock(tables)?;
        }
        Ok(())
    }

    fn write_clock(&mut self, tables: &mut Tables<'_>) -> Result<(), redb::Error> {
        tables.meta.insert(meta::CLOCK, self.leases.clock())?;
        self.clock_written = Instant::now();
        Ok(())
    }

    fn next_tick(&self) -> Option<Instant> {
        self.leases.first_deadline().map(|deadline| deadline.min(self.clock_written + CLOCK_PERIOD))
    }

    fn space(&self) -> Result<(), Refusal> {
        if self.shared.no_space() { Err(Refusal::NoSpace) } else { Ok(()) }
    }

    /// Raises the alarm when the file has become too large. Deleting, compacting and defragmenting go on.
    fn look_at_quota(&mut self) -> Result<(), redb::Error> {
        let size = self.shared.file_size().allocated;
        if size <= self.quota || self.shared.no_space() {
            return Ok(());
        }
        tracing::error!(
            size,
            quota = self.quota,
            "the store's file takes more than its quota: writes are refused until the alarm is disarmed"
        );
        self.shared.set_no_space(true);
        let transaction = self.database.begin_write()?;
        transaction.open_table(super::tables::META)?.insert(meta::NO_SPACE, 1)?;
        transaction.commit()?;
        Ok(())
    }

    /// Rewrites the file without its free space. Readers that come meanwhile wait; those that are under way are waited for.
    fn defragment(&mut self) -> Result<(), redb::Error> {
        self.shared.withdraw();
        self.alive.wait_for_none();
        // Each pass moves what it can towards the front.
        while self.database.compact()? {}
        self.publish(&[])
    }
}

/// Says that nothing is answered any more when the writer panics: the engine panics on pages that make no sense.
struct Panicking(Arc<Shared>);

impl Drop for Panicking {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("the store's writer panicked; nothing more is answered");
            self.0.stop("its writer panicked: its file is damaged, or this is a bug".to_owned());
        }
    }
}

/// A file that fails ends the whole batch; everything else is an answer.
fn unless_broken<T>(answer: Result<T, Refusal>) -> Result<Result<T, Refusal>, redb::Error> {
    match answer {
        Err(Refusal::Stopped(reason)) => Err(redb::Error::Io(std::io::Error::other(reason))),
        answer => Ok(answer),
    }
}

/// Whether a branch of a transaction may put something. A transaction inside of it is not looked at, as in etcd (`costTxn` in
/// `server/etcdserver/quota.go`): what is large has its puts outside.
fn puts(request: &etcd_client::proto::PbTxnRequest) -> bool {
    use etcd_client::proto::PbTxnOpRequest as Op;
    let operations = request.success.iter().chain(&request.failure);
    operations.filter_map(|operation| operation.request.as_ref()).any(|operation| matches!(operation, Op::RequestPut(_)))
}

/// Reads what the tables say of the state beside them.
pub(crate) fn number(table: &impl ReadableTable<&'static str, i64>, name: &str) -> Result<Option<i64>, redb::StorageError> {
    Ok(table.get(name)?.map(|value| value.value()))
}
