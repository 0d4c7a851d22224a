//! Whose turn it is to write. A thread takes what waits, batch after batch. Who comes when nobody writes and nothing waits writes
//! by himself, on the thread that he is on: for a commit that takes a fraction of a millisecond, two threads that wake each other
//! are a good part of it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, TryLockError};

use tokio::runtime::{Handle as Runtime, RuntimeFlavor};
use tokio::sync::mpsc;

use super::commands::Queued;
use super::writer::Writer;

/// The writer, and how much waits for it.
pub(crate) struct Turns {
    /// Gone when it is closed, or its file has failed.
    writer: Mutex<Option<Writer>>,
    /// Commands that were sent to the thread and that it has not taken yet.
    waiting: AtomicUsize,
    /// Whether the runtime goes on while one of its threads waits for the disk.
    alone: bool,
}

impl Turns {
    /// Call it inside a tokio runtime.
    pub(crate) fn new(writer: Writer) -> Self {
        let runtime = Runtime::current();
        let alone = runtime.runtime_flavor() == RuntimeFlavor::MultiThread && runtime.metrics().num_workers() > 1;
        Self { writer: Mutex::new(Some(writer)), waiting: AtomicUsize::new(0), alone }
    }

    /// To be said before something is sent to the thread: it comes before whoever would write alone.
    pub(crate) fn will_wait(&self) {
        self.waiting.fetch_add(1, Ordering::AcqRel);
    }

    /// Carries out a short command here and now if nobody else writes or waits to; else gives it back.
    pub(crate) fn alone(&self, queued: Queued) -> Result<(), Queued> {
        if !self.alone || !queued.command.is_short() || self.waiting.load(Ordering::Acquire) > 0 {
            return Err(queued);
        }
        let mut seat = match self.writer.try_lock() {
            Ok(seat) => seat,
            Err(TryLockError::WouldBlock | TryLockError::Poisoned(_)) => return Err(queued),
        };
        match seat.as_mut().filter(|writer| !writer.sweep.is_pending()) {
            Some(writer) => {
                if !writer.carry_out_all(&mut vec![queued]) {
                    *seat = None;
                }
                Ok(())
            }
            None => Err(queued),
        }
    }

    /// Works on a thread of its own, until the writer is closed or its file fails.
    pub(crate) fn run(&self, mut inbox: mpsc::UnboundedReceiver<Queued>) {
        let mut batch = Vec::new();
        // There may be something left from before.
        let mut sweeping = true;
        loop {
            // While there is something to sweep, requests are not waited for.
            if !sweeping {
                match inbox.blocking_recv() {
                    Some(queued) => batch.push(queued),
                    None => break,
                }
            }
            // Who panicked while he wrote has said so.
            let Ok(mut seat) = self.writer.lock() else { return };
            let Some(writer) = seat.as_mut() else { return };
            Writer::take(&mut inbox, &mut batch);
            self.waiting.fetch_sub(batch.len(), Ordering::AcqRel);
            if !writer.carry_out_all(&mut batch) {
                break;
            }
            sweeping = writer.sweep.is_pending();
        }
        *self.writer.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use etcd_client::proto::PbPutRequest;
    use tokio::sync::oneshot::{self, Receiver};

    use super::super::commands::Command;
    use super::super::refusal::Refusal;
    use super::super::{Embedded, Options, file};
    use super::*;

    fn turns() -> Turns {
        let options = Options::default();
        Turns::new(Embedded::writer(file::in_memory(&options).unwrap(), None, &options).unwrap().0)
    }

    fn put(bytes: usize) -> (Queued, Receiver<Result<etcd_client::proto::PbPutResponse, Refusal>>) {
        let (reply, answer) = oneshot::channel();
        let request = PbPutRequest { key: b"k".to_vec(), value: vec![0; bytes], ..PbPutRequest::default() };
        (Queued::from(Command::Put(request, reply)), answer)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn who_comes_when_nobody_writes_is_answered_at_once() {
        // There is no thread that could have done it.
        let turns = turns();
        let (queued, mut answer) = put(1);
        assert!(turns.alone(queued).is_ok());
        assert_eq!(answer.try_recv().unwrap().unwrap().header.unwrap().revision, 2);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn who_comes_while_another_writes_or_waits_is_not() {
        let turns = turns();
        let seat = turns.writer.lock().unwrap();
        assert!(turns.alone(put(1).0).is_err(), "another writes");
        drop(seat);
        turns.will_wait();
        assert!(turns.alone(put(1).0).is_err(), "another waits");
        turns.waiting.store(0, Ordering::Release);
        turns.writer.lock().unwrap().as_mut().unwrap().sweep.begin(1);
        assert!(turns.alone(put(1).0).is_err(), "there is something to sweep");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_takes_its_time_is_left_to_the_thread() {
        let turns = turns();
        assert!(turns.alone(put(1024 * 1024).0).is_err());
        assert!(turns.alone(Command::Tick.into()).is_err());
        assert!(turns.alone(put(1).0).is_ok());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn the_only_thread_of_a_runtime_does_not_wait_for_the_disk() {
        assert!(turns().alone(put(1).0).is_err());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn after_a_batch_of_the_thread_nothing_waits_and_after_its_end_there_is_no_writer() {
        let turns = turns();
        let (sender, inbox) = mpsc::unbounded_channel();
        let (queued, answer) = put(1);
        turns.will_wait();
        assert!(sender.send(queued).is_ok());
        drop(sender);
        std::thread::scope(|scope| scope.spawn(|| turns.run(inbox)).join().unwrap());
        assert!(answer.await.unwrap().is_ok());
        assert_eq!(turns.waiting.load(Ordering::Acquire), 0);
        assert!(turns.writer.lock().unwrap().is_none());
        assert!(turns.alone(put(1).0).is_err());
    }
}
