//! What may be asked of the writer, and the handle through which it is asked.

use std::sync::Arc;

use etcd_client::proto::{PbDeleteRequest, PbDeleteResponse, PbPutRequest, PbPutResponse, PbTxnRequest, PbTxnResponse};
use tokio::sync::{mpsc, oneshot};

use super::refusal::Refusal;
use super::shared::Shared;

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
    pub(crate) writer: mpsc::UnboundedSender<Command>,
}

impl Handle {
    /// Asks the writer, and waits for its answer.
    pub(crate) async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        // Waiting writers are bounded by the connections' streams, so that the queue needs no bound of its own.
        let _ = self.writer.send(command(reply));
        match answer.await {
            Ok(answer) => answer,
            // The writer has gone, and says why in one place.
            Err(_) => Err(self.shared.stopped()),
        }
    }
}
