//! Clients that all use the same few keys, and write down what they ask and what they are answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use etcd_client::{
    Client, Compare, CompareOp, DeleteOptions, Error, GetOptions, KeyValue, PutOptions, Txn, TxnOp, TxnOpResponse,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;
use tonic::Code;

use super::history::{Answer, Asked, Found, History};

/// Few, so that clients meet.
pub const KEYS: usize = 3;

/// What the names of all keys begin with.
pub const PREFIX: &str = "key";

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
            let other = (key + self.rng.random_range(1..KEYS)) % KEYS;
            let asked = match self.rng.random_range(0..14) {
                0..2 => vec![(key, Asked::Get)],
                2..5 => (0..KEYS).map(|key| (key, Asked::Get)).collect(),
                5..7 => vec![(key, Asked::Put(self.value()))],
                7 => vec![(key, Asked::Delete)],
                8..11 => vec![self.swap(key)],
                11..13 => vec![self.swap(key), self.swap(other)],
                _ => vec![(key, Asked::Put(self.value())), (other, Asked::Put(self.value()))],
            };
            let number = self.history.begin(asked.clone());
            let answer = match ask(&mut self.client, &asked).await {
                Ok(answer) => answer,
                Err(error) => return assert!(is_gone(&error), "{asked:?} was refused: {error:?}"),
            };
            self.history.answered(number, answer.clone());
            for ((key, asked), found) in asked.into_iter().zip(answer.found) {
                self.known[key] = match (answer.changed, asked) {
                    (true, Asked::Delete) => 0,
                    (true, _) => answer.revision,
                    (false, _) => found.map_or(0, |(_, revision)| revision),
                };
            }
        }
    }

    /// Changes a key that is still as it was last seen.
    fn swap(&self, key: usize) -> (usize, Asked) {
        (key, Asked::Swap { revision: self.known[key], value: self.value() })
    }

    fn value(&self) -> u64 {
        self.values.fetch_add(1, Ordering::Relaxed)
    }
}

/// Whether it says that nobody was there to answer. Any other refusal is an answer, and a wrong one.
pub fn is_gone(error: &Error) -> bool {
    match error {
        Error::GRpcStatus(status) => {
            matches!(status.code(), Code::Unavailable | Code::Cancelled | Code::Unknown)
                || status.message().contains("h2 protocol error")
        }
        Error::TransportError(_) => true,
        _ => false,
    }
}

async fn ask(client: &mut Client, asked: &[(usize, Asked)]) -> Result<Answer, Error> {
    let replacing = || Some(PutOptions::new().with_prev_key());
    let (header, found, changed) = match asked {
        [(key, Asked::Get)] => {
            let mut answer = client.get(name(*key), None).await?;
            (answer.take_header(), vec![answer.kvs().first().map(found)], false)
        }
        [(key, Asked::Put(value))] => {
            let mut answer = client.put(name(*key), value.to_string(), replacing()).await?;
            (answer.take_header(), vec![answer.prev_key().map(found)], true)
        }
        [(key, Asked::Delete)] => {
            let mut answer = client.delete(name(*key), Some(DeleteOptions::new().with_prev_key())).await?;
            (answer.take_header(), vec![answer.prev_kvs().first().map(found)], answer.deleted() > 0)
        }
        [(_, Asked::Get), ..] => {
            let mut answer = client.get(PREFIX, Some(GetOptions::new().with_prefix())).await?;
            let at = |key: usize| answer.kvs().iter().find(|kv| kv.key() == name(key).as_bytes()).map(found);
            let found = asked.iter().map(|(key, _)| at(*key)).collect();
            (answer.take_header(), found, false)
        }
        _ => {
            let unchanged = |(key, asked): &(usize, Asked)| match asked {
                Asked::Swap { revision, .. } => Some(Compare::mod_revision(name(*key), CompareOp::Equal, *revision)),
                _ => None,
            };
            let put = |(key, asked): &(usize, Asked)| {
                let value = asked.writes().expect("a transaction puts each of its keys");
                TxnOp::put(name(*key), value.to_string(), replacing())
            };
            let txn = Txn::new()
                .when(asked.iter().filter_map(unchanged).collect::<Vec<_>>())
                .and_then(asked.iter().map(put).collect::<Vec<_>>())
                .or_else(asked.iter().map(|(key, _)| TxnOp::get(name(*key), None)).collect::<Vec<_>>());
            let mut answer = client.txn(txn).await?;
            let there = |answer: &TxnOpResponse| match answer {
                TxnOpResponse::Put(put) => put.prev_key().map(found),
                TxnOpResponse::Get(get) => get.kvs().first().map(found),
                other => panic!("a transaction is answered with {other:?}"),
            };
            let found: Vec<Found> = answer.op_responses().iter().map(there).collect();
            assert_eq!(found.len(), asked.len(), "each operation of a transaction is answered");
            (answer.take_header(), found, answer.succeeded())
        }
    };
    Ok(Answer { revision: header.map_or(0, |header| header.revision()), found, changed })
}

fn name(key: usize) -> String {
    format!("{PREFIX}{key}")
}

/// The key of that name.
pub fn key(kv: &KeyValue) -> usize {
    let number = kv.key_str().ok().and_then(|name| name.strip_prefix(PREFIX)).and_then(|number| number.parse().ok());
    number.expect("every key is a number after the prefix")
}

/// The number that a key has, and when it was put.
pub fn found(kv: &KeyValue) -> (u64, i64) {
    let value = kv.value_str().ok().and_then(|value| value.parse().ok());
    (value.expect("every value is a number"), kv.mod_revision())
}
