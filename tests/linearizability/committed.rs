//! What a watcher is told of all keys, and whether that is what was acknowledged: each change once, at its revision, in
//! order.
//!
//! The watcher's changes are also all states that there ever were. So an answer that is about several keys can be held
//! against the one state at its revision, which a look at each key alone cannot do.

use std::collections::BTreeMap;

use etcd_client::{Client, EventType, WatchOptions};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::clients::{self, KEYS, PREFIX, is_gone};
use super::history::{Asked, Found, Request};
use crate::support::PATIENCE;

/// One event; a key that is deleted has no value after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    pub revision: i64,
    pub key: usize,
    pub value: Option<u64>,
}

/// Watches all keys from the beginning on.
#[derive(Debug, Default)]
pub struct Watcher(watch::Sender<Vec<Change>>);

impl Watcher {
    /// Goes on after what it was told last. Returns once the store watches, and what ends when the store does.
    pub async fn start(&self, mut client: Client) -> JoinHandle<()> {
        // The first revision of an empty store is 1, and nothing has happened at it.
        let next = self.0.borrow().last().map_or(1, |change| change.revision) + 1;
        let options = WatchOptions::new().with_prefix().with_start_revision(next);
        let mut stream = client.watch(PREFIX, Some(options)).await.unwrap();
        let changes = self.0.clone();
        tokio::spawn(async move {
            loop {
                let answer = match stream.message().await {
                    Ok(Some(answer)) => answer,
                    Ok(None) => return,
                    Err(error) => return assert!(is_gone(&error), "the watch was refused: {error:?}"),
                };
                assert!(!answer.canceled(), "the watch was canceled: {answer:?}");
                let told = answer.events().iter().map(|event| {
                    let kv = event.kv().expect("an event has a key");
                    let value = (event.event_type() == EventType::Put).then(|| clients::found(kv).0);
                    Change { revision: kv.mod_revision(), key: clients::key(kv), value }
                });
                changes.send_modify(|changes| changes.extend(told));
            }
        })
    }

    /// Everything up to a revision, once it was told.
    pub async fn until(&self, revision: i64) -> Vec<Change> {
        let mut changes = self.0.subscribe();
        let there = changes.wait_for(|changes| changes.last().is_some_and(|last| last.revision >= revision));
        let there = tokio::time::timeout(PATIENCE, there).await;
        there.unwrap_or_else(|_| panic!("no watcher is told of revision {revision}")).expect("it is kept here").clone()
    }
}

/// What the keys are at a revision.
type State = [Found; KEYS];

impl Request {
    /// What it changes in a state, which is all that it asks or nothing.
    fn changes(&self, state: &State) -> Vec<(usize, Option<u64>)> {
        let changes = self.asked.iter().all(|(key, asked)| match asked {
            Asked::Get => false,
            Asked::Put(_) => true,
            Asked::Delete => state[*key].is_some(),
            Asked::Swap { revision, .. } => *revision == state[*key].map_or(0, |(_, modified)| modified),
        });
        if changes { self.asked.iter().map(|(key, asked)| (*key, asked.writes())).collect() } else { Vec::new() }
    }
}

/// Whether a watcher was told what was acknowledged and nothing that was not asked for, and every answer is what there was
/// at its revision.
pub fn check(requests: &[Request], told: &[Change]) -> Result<(), String> {
    let mut makers: BTreeMap<i64, &Request> = BTreeMap::new();
    let mut in_doubt: Vec<&Request> = Vec::new();
    for request in requests {
        match &request.answered {
            Some((_, answer)) if answer.changed => {
                if let Some(other) = makers.insert(answer.revision, request) {
                    return Err(format!("one revision for two: {request:?} and {other:?}"));
                }
            }
            Some(_) => {}
            None => in_doubt.push(request),
        }
    }
    // By revision; nothing is before the first.
    let mut states: Vec<State> = vec![[None; KEYS]; 2];
    for changes in told.chunk_by(|one, next| one.revision == next.revision) {
        let (revision, mut state) = (changes[0].revision, states[states.len() - 1]);
        if usize::try_from(revision) != Ok(states.len()) {
            return Err(format!("a watcher was told of revision {revision} after {}", states.len() - 1));
        }
        let seen: Vec<_> = changes.iter().map(|change| (change.key, change.value)).collect();
        let maker = makers.remove(&revision).or_else(|| {
            let at = in_doubt.iter().position(|request| request.changes(&state) == seen)?;
            Some(in_doubt.remove(at))
        });
        match maker {
            Some(maker) if maker.changes(&state) == seen => {}
            maker => return Err(format!("a watcher was told {changes:?}; what was acknowledged there is {maker:?}")),
        }
        for (key, value) in seen {
            state[key] = value.map(|value| (value, revision));
        }
        states.push(state);
    }
    if let Some((revision, request)) = makers.pop_first() {
        return Err(format!("no watcher was told of revision {revision}: {request:?}"));
    }
    let answered = requests.iter().filter_map(|request| request.answered.as_ref().map(|(_, answer)| (request, answer)));
    for (request, answer) in answered {
        let at = answer.revision - i64::from(answer.changed);
        let state = usize::try_from(at).ok().and_then(|at| states.get(at));
        let state = state.ok_or_else(|| format!("there was no revision {at}: {request:?}"))?;
        let there: Vec<Found> = request.asked.iter().map(|(key, _)| state[*key]).collect();
        if answer.found != there {
            return Err(format!("at revision {at} there was {there:?}: {request:?}"));
        }
        if answer.changed == request.changes(state).is_empty() {
            return Err(format!("at revision {at} there was {there:?}, by which it is to be decided: {request:?}"));
        }
    }
    Ok(())
}
