//! What a store still knows of the past: every state that the objects of a kind were in, since the store was last compacted.
//!
//! ```text
//!   … compacted │ first │ first + 1 … last
//!               │ range │ watch, to its progress after last
//! ```
//!
//! Guarantees: the states of all kinds read in one [`Span`] are of one history, in the order of their revisions; both halves of an
//! object that changed in one transaction are one state. Caveat: a compaction while it is read ends the reading
//! ([`Error::Expired`]); it can begin again with a new span.

use std::collections::BTreeMap;
use std::time::Duration;

use etcd_client::{EventType, GetOptions, ResponseHeader, WatchOptions};
use tokio::time::{Instant, timeout};

use super::api::{Api, stored};
use super::codec::{Stored, decode};
use super::keys::Half;
use super::{Error, REQUEST_TIMEOUT, Store, innermost, is_compacted, refusal};
use crate::api::Object;

/// Wait before progress is asked for again: a store answers at once unless it is still sending what happened before.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// The revisions of which a store knows what it held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The oldest: the one that the store was last compacted to, or 0, at which it held nothing.
    pub first: i64,
    /// The newest.
    pub last: i64,
}

/// A state that an object was in.
#[derive(Clone, Debug)]
pub struct State<K> {
    /// The revision from which on it was so. That of the span's beginning when it was so before.
    pub revision: i64,
    /// The object's name.
    pub name: String,
    /// The object; `None` when it was deleted.
    pub object: Option<K>,
}

impl Store {
    /// The revisions of which it knows what it held, now.
    ///
    /// # Errors
    /// [`Error::Unreachable`].
    pub async fn span(&self) -> Result<Span, Error> {
        // Any key will do that every role may read.
        let key = format!("{}/", self.keys.root());
        let mut client = self.kv();
        let answer = self.read(async move { client.get(key, None).await }).await?;
        let last = answer.header().map_or(0, ResponseHeader::revision);
        // Who asks for a history that is gone is told where the rest begins.
        let key = format!("{}/", self.keys.root());
        let mut client = self.watches();
        let options = WatchOptions::new().with_start_revision(1).with_progress_notify();
        let mut stream = self.read(async move { client.watch(key, Some(options)).await }).await?;
        let mut first = 0;
        let deadline = Instant::now() + REQUEST_TIMEOUT;
        loop {
            let _ = stream.request_progress().await;
            match timeout(ASK_AGAIN, stream.message()).await {
                Ok(Ok(Some(message))) if message.compact_revision() > 0 => {
                    first = message.compact_revision();
                    break;
                }
                Ok(Ok(Some(message))) if message.canceled() => {
                    return Err(Error::Refused { reason: message.cancel_reason().to_owned() });
                }
                // Progress means that there is nothing to be told of all that happened.
                Ok(Ok(Some(message))) if !message.created() && message.events().is_empty() => break,
                Ok(Ok(Some(_))) => {}
                Ok(Ok(None)) => return Err(self.unreachable("the store closed the watch")),
                Ok(Err(e)) => return Err(self.read_error(&e)),
                Err(_) if Instant::now() < deadline => {}
                Err(_) => return Err(self.unreachable(&format!("no answer within {REQUEST_TIMEOUT:?}"))),
            }
        }
        Ok(Span { first, last: last.max(first) })
    }
}

impl<K: Object> Api<K> {
    /// Every state in the span, in the order of revisions, beginning with those at its beginning. An object that cannot be read is
    /// left out, as from a watch.
    ///
    /// # Errors
    /// [`Error::Expired`] when the store was compacted meanwhile; [`Error::Unreachable`].
    pub async fn history(&self, span: Span) -> Result<Vec<State<K>>, Error> {
        let mut states = Vec::new();
        let mut halves: BTreeMap<String, (Option<Stored>, Option<Stored>)> = BTreeMap::new();
        if span.first > 0 {
            let (from, end) = self.store().keys.both(&K::plural(&()));
            let mut client = self.store().kv();
            let options = GetOptions::new().with_range(end).with_revision(span.first);
            let mut answer = self.store().read(async move { client.get(from, Some(options)).await }).await?;
            for kv in answer.take_kvs() {
                let key = kv.key().to_vec();
                self.put(&mut halves, &key, Some(stored(kv)));
            }
            for (name, halves) in &halves {
                let object = self.of_halves(name, halves);
                states.extend(object.map(|object| State { revision: span.first, name: name.clone(), object: Some(object) }));
            }
        }
        let mut changes = self.changes(span).await?.into_iter().peekable();
        while let Some(first) = changes.next() {
            let revision = first.revision;
            let mut touched: Vec<String> = self.put(&mut halves, &first.key, first.value).into_iter().collect();
            while let Some(change) = changes.next_if(|change| change.revision == revision) {
                touched.extend(self.put(&mut halves, &change.key, change.value));
            }
            touched.sort_unstable();
            touched.dedup();
            for name in touched {
                let object = halves.get(&name).and_then(|halves| self.of_halves(&name, halves));
                states.push(State { revision, name, object });
            }
        }
        Ok(states)
    }

    /// Every change of a half after the beginning of the span.
    async fn changes(&self, span: Span) -> Result<Vec<Change>, Error> {
        let store = self.store();
        let (from, end) = store.keys.both(&K::plural(&()));
        let options = WatchOptions::new().with_range(end).with_start_revision(span.first + 1).with_progress_notify();
        let mut client = store.watches();
        let mut stream = match timeout(REQUEST_TIMEOUT, client.watch(from, Some(options))).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(e)) if is_compacted(&e) => return Err(Error::Expired),
            Ok(Err(e)) => return Err(refusal(&e).unwrap_or_else(|| store.unreachable(&innermost(&e)))),
            Err(_) => return Err(store.unreachable("the watch was not opened in time")),
        };
        let mut changes = Vec::new();
        let mut deadline = Instant::now() + REQUEST_TIMEOUT;
        loop {
            let _ = stream.request_progress().await;
            let message = match timeout(ASK_AGAIN, stream.message()).await {
                Ok(Ok(Some(message))) => message,
                Ok(Ok(None)) => return Err(store.unreachable("the store closed the watch")),
                Ok(Err(e)) => return Err(store.read_error(&e)),
                Err(_) if Instant::now() < deadline => continue,
                Err(_) => return Err(store.unreachable(&format!("no answer within {REQUEST_TIMEOUT:?}"))),
            };
            deadline = Instant::now() + REQUEST_TIMEOUT;
            if message.compact_revision() > 0 {
                return Err(Error::Expired);
            }
            if message.canceled() {
                return Err(Error::Refused { reason: message.cancel_reason().to_owned() });
            }
            for event in message.events() {
                let Some(kv) = event.kv() else { continue };
                let revision = kv.mod_revision();
                let value = match event.event_type() {
                    EventType::Put => Some(Stored { value: kv.value().to_vec(), revision }),
                    EventType::Delete => None,
                };
                changes.push(Change { revision, key: kv.key().to_vec(), value });
            }
            let at = message.header().map_or(0, ResponseHeader::revision);
            let progress = !message.created() && message.events().is_empty() && at >= span.last;
            if progress || changes.last().is_some_and(|change| change.revision > span.last) {
                changes.retain(|change| change.revision <= span.last);
                return Ok(changes);
            }
        }
    }

    fn put(
        &self,
        halves: &mut BTreeMap<String, (Option<Stored>, Option<Stored>)>,
        key: &[u8],
        value: Option<Stored>,
    ) -> Option<String> {
        let (half, name) = self.store().keys.parse(&K::plural(&()), key)?;
        let entry = halves.entry(name.to_owned()).or_default();
        match half {
            Half::Spec => entry.0 = value,
            Half::Status => entry.1 = value,
        }
        Some(name.to_owned())
    }

    fn of_halves(&self, name: &str, (spec, status): &(Option<Stored>, Option<Stored>)) -> Option<K> {
        let key = self.store().keys.spec(&K::plural(&()), name);
        let read = decode::<K>(&key, spec.as_ref()?, status.as_ref());
        read.inspect_err(|error| tracing::warn!(%error, "an object is left out of the history")).ok()
    }
}

/// A half that was written, or removed.
struct Change {
    revision: i64,
    key: Vec<u8>,
    value: Option<Stored>,
}
