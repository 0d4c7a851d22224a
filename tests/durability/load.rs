//! Clients that write without a pause until the store no longer answers, and write down what they ask and what is answered.

#![allow(clippy::redundant_closure_for_method_calls)] // Ten answers of ten types: their paths would say less than this.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use etcd_client::{
    Client, CompactionOptions, Compare, CompareOp, Error, LeaseGrantOptions, PutOptions, ResponseHeader, Txn, TxnOp,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;

use super::history::{Change, Log, Model, Request, value};
use crate::support::store::StoreProcess;

/// Leases that live at once; more would only make each look at them slower.
const LEASES: usize = 6;

/// Longer than any run, so that none ends by itself.
const TTL: std::ops::Range<i64> = 20_000..40_000;

/// Starts clients on a store, as it is by the model. Each has its own keys.
pub async fn start(
    process: &StoreProcess,
    model: &Model,
    log: &Arc<Log>,
    numbers: &Arc<AtomicU64>,
    rng: &mut StdRng,
) -> JoinSet<()> {
    let mut clients = JoinSet::new();
    for name in 0..7 {
        let worker = Worker {
            client: process.client().await,
            log: Arc::clone(log),
            numbers: Arc::clone(numbers),
            rng: StdRng::seed_from_u64(rng.random()),
            model: model.clone(),
        };
        clients.spawn(async move {
            // It ends when the store no longer answers.
            let _ = match name {
                0 | 1 => worker.put(name).await,
                2 | 3 => worker.transact(name).await,
                4 => worker.delete().await,
                5 => worker.lease().await,
                _ => worker.compact().await,
            };
        });
    }
    clients
}

/// The store does not answer any more.
struct Gone;

struct Worker {
    client: Client,
    log: Arc<Log>,
    numbers: Arc<AtomicU64>,
    rng: StdRng,
    /// As the store was when this began.
    model: Model,
}

impl Worker {
    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// A value that is not always the same size: small ones share pages, large ones have some of their own.
    fn value(&mut self, number: u64) -> String {
        let padding =
            if self.rng.random_ratio(1, 8) { self.rng.random_range(0..20_000) } else { self.rng.random_range(0..300) };
        value(number, padding)
    }

    /// Sends something that was written down as `number`, and writes down the answer.
    async fn answer<T>(
        &self,
        number: usize,
        answer: impl Future<Output = Result<T, Error>>,
        header: impl FnOnce(&T) -> Option<&ResponseHeader>,
    ) -> Result<T, Gone> {
        match answer.await {
            Ok(answer) => {
                self.log.answered(number, header(&answer).map_or(0, ResponseHeader::revision));
                Ok(answer)
            }
            Err(error) => {
                if let Error::GRpcStatus(status) = &error
                    && !matches!(status.code(), tonic::Code::Unknown | tonic::Code::Unavailable | tonic::Code::Cancelled)
                    && !status.message().contains("h2 protocol error")
                {
                    self.log.broken(format!("request {number} was refused: {status:?}"));
                }
                Err(Gone)
            }
        }
    }

    async fn put(mut self, name: usize) -> Result<(), Gone> {
        loop {
            let (key, number) = (format!("p/{name}/{}", self.rng.random_range(0..4)), self.number());
            let value = self.value(number);
            let sent = self.log.begin(Request::Write { changes: vec![(key.clone(), Some(number))], lease: 0 });
            let mut client = self.client.clone();
            self.answer(sent, client.put(key, value, None), |answer| answer.header()).await?;
        }
    }

    /// Three keys that always have the same number, and are only written if they are as they were left.
    async fn transact(mut self, name: usize) -> Result<(), Gone> {
        let keys = ["a", "b", "c"].map(|key| format!("t/{name}/{key}"));
        let mut modified = self.model.keys.get(&keys[0]).map_or(0, |version| version.modified);
        loop {
            let number = self.number();
            let changes: Vec<Change> = keys.iter().map(|key| (key.clone(), Some(number))).collect();
            let values = [self.value(number), self.value(number), self.value(number)];
            let puts: Vec<TxnOp> =
                keys.iter().zip(values).map(|(key, value)| TxnOp::put(key.as_str(), value, None)).collect();
            let compares: Vec<Compare> =
                keys.iter().map(|key| Compare::mod_revision(key.as_str(), CompareOp::Equal, modified)).collect();
            let sent = self.log.begin(Request::Write { changes, lease: 0 });
            let mut client = self.client.clone();
            let txn = Txn::new().when(compares).and_then(puts);
            let answer = self.answer(sent, client.txn(txn), |answer| answer.header()).await?;
            if !answer.succeeded() {
                self.log.broken(format!("request {sent} found its own keys otherwise than it left them"));
                return Err(Gone);
            }
            modified = answer.header().map_or(0, ResponseHeader::revision);
        }
    }

    /// Puts a key and deletes it again.
    async fn delete(mut self) -> Result<(), Gone> {
        const KEYS: usize = 3;
        let mut there: Vec<bool> = (0..KEYS).map(|key| self.model.keys.contains_key(&format!("d/{key}"))).collect();
        loop {
            let index = self.rng.random_range(0..KEYS);
            let key = format!("d/{index}");
            let number = (!there[index]).then(|| self.number());
            let sent = self.log.begin(Request::Write { changes: vec![(key.clone(), number)], lease: 0 });
            let mut client = self.client.clone();
            match number {
                Some(number) => {
                    let value = self.value(number);
                    self.answer(sent, client.put(key, value, None), |answer| answer.header()).await?;
                }
                None => {
                    let answer = self.answer(sent, client.delete(key, None), |answer| answer.header()).await?;
                    if answer.deleted() != 1 {
                        self.log.broken(format!("request {sent} did not find the key that it deletes"));
                        return Err(Gone);
                    }
                }
            }
            there[index] = !there[index];
        }
    }

    async fn lease(mut self) -> Result<(), Gone> {
        let mut ids: Vec<i64> = self.model.leases.keys().copied().collect();
        loop {
            let mut client = self.client.clone();
            let choice = self.rng.random_range(0..6);
            if ids.is_empty() || (choice == 0 && ids.len() < LEASES) {
                let (id, ttl) = (self.number().cast_signed(), self.rng.random_range(TTL));
                let sent = self.log.begin(Request::Grant { id, ttl });
                let grant = client.lease_grant(ttl, Some(LeaseGrantOptions::new().with_id(id)));
                self.answer(sent, grant, |answer| answer.header()).await?;
                ids.push(id);
                continue;
            }
            let index = self.rng.random_range(0..ids.len());
            let id = ids[index];
            match choice {
                0 | 1 => {
                    let sent = self.log.begin(Request::Revoke { id });
                    self.answer(sent, client.lease_revoke(id), |answer| answer.header()).await?;
                    ids.remove(index);
                }
                2 | 3 => {
                    let sent = self.log.begin(Request::KeepAlive { id });
                    // The first renewal is answered before this is; which revision it had nobody is told.
                    self.answer(sent, client.lease_keep_alive(id), |_| None).await?;
                }
                _ => {
                    let (key, number) = (format!("l/{id}/{}", self.rng.random_range(0..3)), self.number());
                    let value = self.value(number);
                    let sent = self.log.begin(Request::Write { changes: vec![(key.clone(), Some(number))], lease: id });
                    let put = client.put(key, value, Some(PutOptions::new().with_lease(id)));
                    self.answer(sent, put, |answer| answer.header()).await?;
                }
            }
        }
    }

    /// Forgets some of the past, but never what the check after the next start reads again.
    async fn compact(mut self) -> Result<(), Gone> {
        // Revision 0 is no past that could be asked for, so that nobody could tell whether 1 was compacted.
        let mut compacted = self.model.compacted.max(1);
        loop {
            tokio::time::sleep(Duration::from_millis(self.rng.random_range(0..20))).await;
            let mut client = self.client.clone();
            if compacted < self.model.revision && self.rng.random_ratio(3, 4) {
                let revision = self.rng.random_range(compacted + 1..=self.model.revision);
                let sent = self.log.begin(Request::Compact { revision });
                let options = self.rng.random::<bool>().then(|| CompactionOptions::new().with_physical());
                self.answer(sent, client.compact(revision, options), |answer| answer.header()).await?;
                compacted = revision;
            } else {
                let sent = self.log.begin(Request::Defragment);
                self.answer(sent, client.defragment(), |answer| answer.header()).await?;
            }
        }
    }
}
