//! Clients that all use the same few keys, and write down what they ask and what they are answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use etcd_client::{Client, Compare, CompareOp, DeleteOptions, Error, KeyValue, PutOptions, Txn, TxnOp, TxnOpResponse};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;

use super::history::{Answer, Asked, History};

/// Few, so that clients meet.
pub const KEYS: usize = 3;

/// Starts clients on connections of their own; each ends after that many requests, or when it is not answered.
pub fn start(
    connections: Vec<Client>,
    requests: usize,
    history: &Arc<History>,
    values: &Arc<AtomicU64>,
    rng: &mut StdRng,
) -> JoinSet<()> {
    let mut clients = JoinSet::new();
    for client in connections {
        let rng = StdRng::seed_from_u64(rng.random());
        let worker = Worker { client, history: Arc::clone(history), values: Arc::clone(values), rng, known: [0; KEYS] };
        clients.spawn(worker.run(requests));
    }
    clients
}

struct Worker {
    client: Client,
    history: Arc<History>,
    values: Arc<AtomicU64>,
    rng: StdRng,
    /// When each key was last changed, as far as this client knows; 0 if it is not there.
    known: [i64; KEYS],
}

impl Worker {
    async fn run(mut self, requests: usize) {
        for _ in 0..requests {
            let key = self.rng.random_range(0..KEYS);
            let asked = match self.rng.random_range(0..10) {
                0..3 => Asked::Get,
                3..5 => Asked::Put(self.value()),
                5 => Asked::Delete,
                _ => Asked::Swap { revision: self.known[key], value: self.value() },
            };
            let number = self.history.begin(key, asked);
            let Ok(answer) = ask(&mut self.client, key, asked).await else { return };
            self.history.answered(number, answer);
            self.known[key] = match (answer.changed, asked) {
                (true, Asked::Delete) => 0,
                (true, _) => answer.revision,
                (false, _) => answer.found.map_or(0, |(_, revision)| revision),
            };
        }
    }

    fn value(&self) -> u64 {
        self.values.fetch_add(1, Ordering::Relaxed)
    }
}

async fn ask(client: &mut Client, key: usize, asked: Asked) -> Result<Answer, Error> {
    let name = format!("key{key}");
    let replacing = || Some(PutOptions::new().with_prev_key());
    let (header, found, changed) = match asked {
        Asked::Get => {
            let mut answer = client.get(name, None).await?;
            (answer.take_header(), answer.kvs().first().map(found), false)
        }
        Asked::Put(value) => {
            let mut answer = client.put(name, value.to_string(), replacing()).await?;
            (answer.take_header(), answer.prev_key().map(found), true)
        }
        Asked::Delete => {
            let mut answer = client.delete(name, Some(DeleteOptions::new().with_prev_key())).await?;
            (answer.take_header(), answer.prev_kvs().first().map(found), answer.deleted() > 0)
        }
        Asked::Swap { revision, value } => {
            let txn = Txn::new()
                .when([Compare::mod_revision(name.as_str(), CompareOp::Equal, revision)])
                .and_then([TxnOp::put(name.as_str(), value.to_string(), replacing())])
                .or_else([TxnOp::get(name.as_str(), None)]);
            let mut answer = client.txn(txn).await?;
            let there = match answer.op_responses().first() {
                Some(TxnOpResponse::Put(put)) => put.prev_key().map(found),
                Some(TxnOpResponse::Get(get)) => get.kvs().first().map(found),
                other => panic!("a transaction is answered with {other:?}"),
            };
            (answer.take_header(), there, answer.succeeded())
        }
    };
    Ok(Answer { revision: header.map_or(0, |header| header.revision()), found, changed })
}

/// The number that a key has, and when it was put.
fn found(kv: &KeyValue) -> (u64, i64) {
    let value = kv.value_str().ok().and_then(|value| value.parse().ok());
    (value.expect("every value is a number"), kv.mod_revision())
}
