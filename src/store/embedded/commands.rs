//! What may be asked of the writer, and the handle through which it is asked.

use std::sync::Arc;

use etcd_client::proto::{PbDeleteRequest, PbDeleteResponse, PbPutRequest, PbPutResponse, PbTxnRequest, PbTxnResponse};
use prost::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::refusal::Refusal;
use super::shared::Shared;
use super::turns::Turns;

/// Bytes of requests that may wait for the writer. What comes then is refused, as etcd refuses what it cannot keep up with: a
/// disk that stands still for seconds does not fill the memory with what its clients ask again and again.
const WAITING_BYTES: usize = 64 * 1024 * 1024;

/// What a request takes besides its keys and values, about.
const REQUEST_BYTES: usize = 256;

/// What may be written by who asks for it has no more bytes than this: an object with its status, several times over.
const SHORT_BYTES: usize = 64 * 1024;

/// Where an answer goes. It is sent when what it says is in the file, not before.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

/// A request to the writer.
pub(crate) enum Command {
    Put(PbPutRequest, Reply<PbPutResponse>),
    Delete(PbDeleteRequest, Reply<PbDeleteResponse>),
    Txn(PbTxnRequest, Reply<PbTxnResponse>),
    /// Forgets what is older than a revision; the answer is the revision of the store. With `physical` it comes when the space
    /// is free.
    Compact {
        revision: i64,
        physical: bool,
        reply: Reply<i64>,
    },
    Grant {
        id: i64,
        ttl: i64,
        reply: Reply<Granted>,
    },
    Revoke {
        id: i64,
        reply: Reply<i64>,
    },
    /// The answer is the seconds that it lives now, or 0 if there is no such lease.
    KeepAlive {
        id: i64,
        reply: Reply<(i64, i64)>,
    },
    TimeToLive {
        id: i64,
        keys: bool,
        reply: Reply<TimeToLive>,
    },
    Leases(Reply<(i64, Vec<i64>)>),
    /// Raises or lowers the alarm that the file is too large; the answer is whether it was as asked already.
    NoSpace {
        raised: bool,
        reply: Reply<bool>,
    },
    /// Gives space in the file back to the file system.
    Defragment(Reply<()>),
    /// The time has come that was asked for: a lease has ended, or the clock is to be written.
    Tick,
    /// Writes what a later start wants to know exactly, and ends.
    Close(Reply<()>),
}

impl Command {
    /// Whether nobody waits for the answer any more. What was not begun then is not done.
    pub(crate) fn is_abandoned(&self) -> bool {
        match self {
            Self::Put(_, reply) => reply.is_closed(),
            Self::Delete(_, reply) => reply.is_closed(),
            Self::Txn(_, reply) => reply.is_closed(),
            Self::Compact { reply, .. } | Self::Revoke { reply, .. } => reply.is_closed(),
            Self::Grant { reply, .. } => reply.is_closed(),
            Self::KeepAlive { reply, .. } => reply.is_closed(),
            Self::TimeToLive { reply, .. } => reply.is_closed(),
            Self::Leases(reply) => reply.is_closed(),
            Self::NoSpace { reply, .. } => reply.is_closed(),
            Self::Defragment(reply) => reply.is_closed(),
            Self::Tick | Self::Close(_) => false,
        }
    }

    /// Whether it is surely done at once, but for the disk: it looks at single keys, of which it may change some.
    pub(crate) fn is_short(&self) -> bool {
        match self {
            Self::Put(..) | Self::KeepAlive { .. } => self.bytes() <= SHORT_BYTES,
            Self::Txn(request, _) => self.bytes() <= SHORT_BYTES && is_of_single_keys(request),
            _ => false,
        }
    }

    /// About how much memory it takes.
    fn bytes(&self) -> usize {
        REQUEST_BYTES
            + match self {
                Self::Put(request, _) => request.encoded_len(),
                Self::Delete(request, _) => request.encoded_len(),
                Self::Txn(request, _) => request.encoded_len(),
                _ => 0,
            }
    }
}

fn is_of_single_keys(request: &PbTxnRequest) -> bool {
    use etcd_client::proto::PbTxnOpRequest as Op;
    let mut operations = request.success.iter().chain(&request.failure).filter_map(|operation| operation.request.as_ref());
    request.compare.iter().all(|compare| compare.range_end.is_empty())
        && operations.all(|operation| match operation {
            Op::RequestRange(range) => range.range_end.is_empty(),
            Op::RequestPut(_) => true,
            Op::RequestDeleteRange(delete) => delete.range_end.is_empty(),
            Op::RequestTxn(_) => false,
        })
}

/// A command that waits, with the room that it takes.
pub(crate) struct Queued {
    pub(crate) command: Command,
    _room: Option<OwnedSemaphorePermit>,
}

impl From<Command> for Queued {
    /// One of the store's own, which always has room.
    fn from(command: Command) -> Self {
        Self { command, _room: None }
    }
}

/// A lease that was granted, at a revision.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) revision: i64,
    pub(crate) id: i64,
    pub(crate) ttl: i64,
}

/// What there is to know of a lease, at a revision.
#[derive(Debug)]
pub(crate) struct TimeToLive {
    pub(crate) revision: i64,
    /// Seconds left and seconds granted; `None` if there is no such lease.
    pub(crate) seconds: Option<(i64, i64)>,
    pub(crate) keys: Vec<Vec<u8>>,
}

/// The way to the writer, and to what it publishes. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Handle {
    pub(crate) shared: Arc<Shared>,
    sender: mpsc::UnboundedSender<Queued>,
    room: Arc<Semaphore>,
    /// Where there is a thread that writes.
    turns: Option<Arc<Turns>>,
}

impl Handle {
    pub(crate) fn new(shared: Arc<Shared>, sender: mpsc::UnboundedSender<Queued>, turns: Option<Arc<Turns>>) -> Self {
        Self { shared, sender, room: Arc::new(Semaphore::new(WAITING_BYTES)), turns }
    }

    /// Asks the writer, and waits for its answer.
    pub(crate) async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        let command = command(reply);
        let bytes = u32::try_from(command.bytes()).unwrap_or(u32::MAX);
        let Ok(room) = self.room.clone().try_acquire_many_owned(bytes) else { return Err(Refusal::TooManyRequests) };
        let queued = Queued { command, _room: Some(room) };
        let left = match &self.turns {
            Some(turns) => turns.alone(queued).err(),
            None => Some(queued),
        };
        if let Some(queued) = left {
            self.send(queued);
        }
        match answer.await {
            Ok(answer) => answer,
            // The writer has gone, and says why in one place.
            Err(_) => Err(self.shared.stopped()),
        }
    }

    /// Leaves something to the writer; whether there is one.
    pub(crate) fn send(&self, queued: impl Into<Queued>) -> bool {
        if let Some(turns) = &self.turns {
            turns.will_wait();
        }
        self.sender.send(queued.into()).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use futures::future::join_all;

    use super::super::{Embedded, Options};
    use super::*;

    fn put(key: &str, bytes: usize) -> PbPutRequest {
        PbPutRequest { key: key.into(), value: vec![0; bytes], ..PbPutRequest::default() }
    }

    /// Everything runs on this thread, so that the writer does nothing before it is awaited.
    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_not_begun() {
        let store = Embedded::in_memory(Options::default()).unwrap();
        let handle = &store.handle;
        let mut asking = Box::pin(handle.ask(|reply| Command::Put(put("a", 1), reply)));
        assert!(asking.as_mut().now_or_never().is_none(), "it waits for the writer");
        drop(asking);
        let answer = handle.ask(|reply| Command::Put(put("b", 1), reply)).await.unwrap();
        assert_eq!(answer.header.unwrap().revision, 2, "the first revision is of the second put");
    }

    #[tokio::test]
    async fn more_than_memory_has_room_for_is_refused_and_has_room_later() {
        const MEBIBYTE: usize = 1024 * 1024;
        let store = Embedded::in_memory(Options::default()).unwrap();
        let handle = &store.handle;
        let ask = || handle.ask(|reply| Command::Put(put("k", MEBIBYTE), reply));
        let answers = join_all((0..2 * WAITING_BYTES / MEBIBYTE).map(|_| ask())).await;
        let refused = answers.iter().filter(|answer| **answer == Err(Refusal::TooManyRequests)).count();
        // Each takes a little more than its value.
        assert_eq!(refused, WAITING_BYTES / MEBIBYTE + 1);
        assert!(answers.iter().all(|answer| answer.is_ok() || *answer == Err(Refusal::TooManyRequests)));
        assert!(ask().await.is_ok());
    }
}
