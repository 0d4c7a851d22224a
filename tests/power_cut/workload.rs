//! Random requests, in groups that are sent at once, and what the store holds at each revision that they make.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use etcd_client::{Client, CompactionOptions, LeaseGrantOptions, PutOptions, ResponseHeader, Txn, TxnOp};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Long enough that none ends by itself.
const TTL: i64 = 100_000;

/// A key's newest version: value, create revision, revision, version, lease.
pub type Version = (Vec<u8>, i64, i64, i64, i64);
pub type Keys = BTreeMap<Vec<u8>, Version>;

/// What is known at a moment, of what was sent and of what was answered.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Groups of requests that were sent.
    pub groups: usize,
    /// The newest revision that was acknowledged.
    pub acknowledged: i64,
    pub compacted: i64,
    /// Leases that were granted, and that nobody has asked to revoke.
    pub leases: BTreeSet<i64>,
    /// Leases that were revoked.
    pub revoked: BTreeSet<i64>,
}

/// What the disk notes with each image.
pub type Ledger = Arc<Mutex<Known>>;

#[derive(Clone, Debug)]
enum Request {
    /// Puts and deletions in one revision, with a lease for what is put.
    Write(Vec<(Vec<u8>, Option<Vec<u8>>)>, i64),
    Grant(i64),
    Revoke(i64),
    Compact(i64, bool),
    Defragment,
}

/// What a run has done, to compare images with.
pub struct Past {
    /// All keys at each revision, beginning with the empty store at 1.
    states: BTreeMap<i64, Keys>,
    /// The newest revision after each group.
    after: Vec<i64>,
}

impl Past {
    /// All keys at a revision.
    pub fn at(&self, revision: i64) -> Option<&Keys> {
        self.states.get(&revision)
    }

    /// No revision later than this had been asked for.
    pub fn last_asked(&self, known: &Known) -> i64 {
        known.groups.checked_sub(1).map_or(1, |group| self.after[group])
    }

    pub fn last(&self) -> i64 {
        *self.states.last_key_value().expect("there is the empty store").0
    }
}

/// Sends groups of requests; what is sent and answered is in the ledger at every moment.
pub async fn run(client: &Client, seed: u64, groups: usize, ledger: &Ledger) -> Past {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut past = Past { states: BTreeMap::from([(1, Keys::new())]), after: Vec::new() };
    let mut leases: Vec<i64> = Vec::new();
    for _ in 0..groups {
        let requests = group(&mut rng, &mut leases, past.last(), ledger.lock().unwrap().compacted);
        {
            let mut known = ledger.lock().unwrap();
            known.groups += 1;
            for request in &requests {
                if let Request::Revoke(id) = request {
                    known.leases.remove(id);
                }
            }
        }
        let answers = requests.iter().map(|request| async {
            let revision = send(client.clone(), request).await;
            let mut known = ledger.lock().unwrap();
            known.acknowledged = known.acknowledged.max(revision);
            match request {
                Request::Grant(id) => known.leases.insert(*id),
                Request::Revoke(id) => known.revoked.insert(*id),
                Request::Compact(revision, _) => {
                    known.compacted = *revision;
                    true
                }
                _ => true,
            };
            revision
        });
        let revisions = futures::future::join_all(answers).await;
        let mut made: Vec<(i64, &Request)> = revisions.into_iter().zip(&requests).collect();
        made.sort_by_key(|(revision, _)| *revision);
        for (revision, request) in made {
            apply(&mut past.states, revision, request);
        }
        let last = past.last();
        past.after.push(last);
    }
    past
}

/// Requests that may be sent at once: what they do does not depend on which comes first, but for the revision that each makes.
fn group(rng: &mut StdRng, leases: &mut Vec<i64>, revision: i64, compacted: i64) -> Vec<Request> {
    match rng.random_range(0..20) {
        0 if revision > compacted.max(1) => {
            return vec![Request::Compact(rng.random_range(compacted.max(1) + 1..=revision), rng.random())];
        }
        1 if !leases.is_empty() => return vec![Request::Revoke(leases.swap_remove(rng.random_range(0..leases.len())))],
        2 => return vec![Request::Defragment],
        3 | 4 => {
            let id = rng.random_range(1..i64::MAX);
            leases.push(id);
            return vec![Request::Grant(id)];
        }
        _ => {}
    }
    (0..rng.random_range(1..=8))
        .map(|_| {
            // One key a few times in a row makes chains of versions, many keys make many pages.
            let keys = if rng.random() { 6 } else { 200 };
            let lease =
                if leases.is_empty() || rng.random_bool(0.8) { 0 } else { leases[rng.random_range(0..leases.len())] };
            let first = rng.random_range(0..keys);
            let count = if rng.random_bool(0.3) { 3 } else { 1 };
            let changes = (first..first + count).map(|key| {
                let size = if rng.random_ratio(1, 10) { rng.random_range(0..9_000) } else { rng.random_range(0..100) };
                let value = std::iter::repeat_with(|| rng.random()).take(size).collect();
                // A deletion beside a put always makes a revision, whether or not there is something to delete.
                let put = count == 1 || key == first || rng.random_bool(0.7);
                (format!("k{key}").into_bytes(), put.then_some(value))
            });
            Request::Write(changes.collect(), lease)
        })
        .collect()
}

async fn send(mut client: Client, request: &Request) -> i64 {
    fn revision(header: Option<&ResponseHeader>) -> i64 {
        header.expect("every answer has a header").revision()
    }
    match request {
        Request::Write(changes, lease) => {
            let operations: Vec<TxnOp> = changes
                .iter()
                .map(|(key, value)| match value {
                    Some(value) => TxnOp::put(key.clone(), value.clone(), Some(PutOptions::new().with_lease(*lease))),
                    None => TxnOp::delete(key.clone(), None),
                })
                .collect();
            revision(client.txn(Txn::new().and_then(operations)).await.unwrap().header())
        }
        Request::Grant(id) => {
            revision(client.lease_grant(TTL, Some(LeaseGrantOptions::new().with_id(*id))).await.unwrap().header())
        }
        Request::Revoke(id) => revision(client.lease_revoke(*id).await.unwrap().header()),
        Request::Compact(at, physical) => {
            let options = physical.then(|| CompactionOptions::new().with_physical());
            revision(client.compact(*at, options).await.unwrap().header())
        }
        // It says nothing of a revision.
        Request::Defragment => client.defragment().await.map(|_| 0).unwrap(),
    }
}

/// What a request that made a revision has changed; a request that made none is answered with one that is there already.
fn apply(states: &mut BTreeMap<i64, Keys>, revision: i64, request: &Request) {
    let (last, keys) = states.last_key_value().expect("there is the empty store");
    if revision <= *last {
        return;
    }
    assert_eq!(revision, last + 1, "a revision without a request: {request:?}");
    let mut keys = keys.clone();
    match request {
        Request::Write(changes, lease) => {
            for (key, value) in changes {
                match value {
                    Some(value) => {
                        let before = keys.get(key);
                        let (create, version) = before.map_or((revision, 1), |before| (before.1, before.3 + 1));
                        keys.insert(key.clone(), (value.clone(), create, revision, version, *lease));
                    }
                    None => {
                        keys.remove(key);
                    }
                }
            }
        }
        Request::Revoke(id) => keys.retain(|_, version| version.4 != *id),
        other => panic!("{other:?} has made revision {revision}"),
    }
    states.insert(revision, keys);
}
