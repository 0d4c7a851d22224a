//! The endless list-and-watch of one kind.
//!
//! ```text
//!            ┌────────────── compacted, or the store has gone back ──────────────┐
//!            ▼                                                                    │
//!  Listing ──▶ Init, InitApply…, InitDone ──▶ Watching ──▶ Apply / Delete … ──────┤
//!     ▲ error: wait, again                        │ error, or silent for IDLE     │
//!     └───────────────────────────────────────────┴──▶ wait ──▶ Watching from the next revision
//! ```
//!
//! Guarantees: every state that an object stays in is seen; both halves of an object that changed in one transaction are seen
//! together; what was deleted while nobody watched is gone after the next `InitDone`. A stream that says nothing, not even the
//! progress that is asked of it, counts as broken.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use etcd_client::{EventType, GetOptions, WatchOptions, WatchRequestSender, WatchResponse, WatchResponseStream};
use futures::{Stream, StreamExt};
use kube::runtime::watcher::Event;
use tokio::time::{Instant, sleep};

use super::api::{Api, stored};
use super::codec::{Stored, decode};
use super::keys::Half;
use super::selector::Filter;
use super::{Error, innermost, is_compacted, refusal};
use crate::api::Object;

/// Which objects to watch.
#[derive(Clone, Debug, Default)]
pub struct WatchParams {
    /// Label selector.
    pub labels: Option<String>,
    /// Field selector.
    pub fields: Option<String>,
    /// Only the object of this name.
    pub name: Option<String>,
}

/// A stream that has said nothing for this long is broken. Progress is asked for three times as often, and etcd answers it at
/// once, so silence is never for want of changes.
const IDLE: Duration = Duration::from_secs(9);

/// Waits between attempts to reach a store that does not answer: long enough not to be a burden to it when it comes back, short
/// enough for a person who waits.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_LONGEST: Duration = Duration::from_secs(2);

impl<K: Object> Api<K> {
    /// Watches, for ever. Begins with `Init`, `InitApply` for each object and `InitDone`; goes on with changes; begins anew when
    /// the store no longer knows what happened since. Errors are reported and got over; they do not end the stream.
    ///
    /// # Errors
    /// [`Error::BadRequest`] for a selector that cannot be read.
    pub fn watch(&self, params: &WatchParams) -> Result<impl Stream<Item = Result<Event<K>, Error>> + Send + use<K>, Error> {
        let watch = Watch {
            api: self.clone(),
            filter: Filter::parse(params.labels.as_deref(), params.fields.as_deref())?,
            name: params.name.clone(),
            state: State::Listing,
            halves: BTreeMap::new(),
            shown: BTreeMap::new(),
            revision: 0,
            ready: VecDeque::new(),
            failures: 0,
        };
        Ok(futures::stream::unfold(watch, |mut watch| async move {
            let item = watch.next().await;
            Some((item, watch))
        })
        .boxed())
    }
}

struct Watch<K> {
    api: Api<K>,
    filter: Filter,
    name: Option<String>,
    state: State,
    /// What is stored, by name: a change of one half needs the other to make an object.
    halves: BTreeMap<String, (Option<Stored>, Option<Stored>)>,
    /// What was shown last: the object of a `Delete`.
    shown: BTreeMap<String, K>,
    /// All that happened up to this revision is in `halves`.
    revision: i64,
    ready: VecDeque<Event<K>>,
    /// Failures in a row.
    failures: u32,
}

// One machine a watch: the room that the small states waste is not worth a box.
#[allow(clippy::large_enum_variant)]
enum State {
    Listing,
    Connecting,
    Watching { requests: WatchRequestSender, responses: WatchResponseStream, heard: Instant },
}

impl<K: Object> Watch<K> {
    async fn next(&mut self) -> Result<Event<K>, Error> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            match self.step().await {
                Ok(()) => {}
                Err(e) => {
                    self.failures += 1;
                    return Err(e);
                }
            }
        }
    }

    /// One move of the picture above. An error leaves the machine in a state from which the next move is right.
    async fn step(&mut self) -> Result<(), Error> {
        match &mut self.state {
            State::Listing => {
                self.pause().await;
                self.list().await?;
                self.state = State::Connecting;
            }
            State::Connecting => {
                self.pause().await;
                self.state = self.connect().await?;
            }
            State::Watching { requests, responses, heard } => {
                let silent_at = *heard + IDLE;
                tokio::select! {
                    biased;
                    message = responses.message() => match message {
                        Ok(Some(response)) => {
                            *heard = Instant::now();
                            self.failures = 0;
                            self.receive(response)?;
                        }
                        Ok(None) => return Err(self.broken("the store closed the watch")),
                        Err(e) => return Err(self.broken(&innermost(&e))),
                    },
                    () = tokio::time::sleep_until(silent_at) => {
                        return Err(self.broken(&format!("the watch was silent for {IDLE:?}")));
                    }
                    () = sleep(IDLE / 3) => {
                        if let Err(e) = requests.request_progress().await {
                            return Err(self.broken(&innermost(&e)));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The stream has ended: go on from the next revision with another one.
    fn broken(&mut self, reason: &str) -> Error {
        self.state = State::Connecting;
        self.api.store().unreachable(reason)
    }

    /// Waits after failures, longer after more, with jitter so that many watchers do not come back at once.
    async fn pause(&self) {
        if self.failures > 0 {
            let exponent = self.failures.saturating_sub(1).min(10);
            let longest = RETRY_FIRST.saturating_mul(1 << exponent).min(RETRY_LONGEST);
            let share = crate::dice::draw(0.5..1.0);
            sleep(longest.mul_f64(share)).await;
        }
    }

    async fn list(&mut self) -> Result<(), Error> {
        let (from, end) = self.api.store().keys.both(&K::plural(&()));
        let store = self.api.store().clone();
        let mut client = store.kv();
        let options = GetOptions::new().with_range(end);
        let mut answer = store.read(async move { client.get(from, Some(options)).await }).await?;
        self.halves.clear();
        for kv in answer.take_kvs() {
            let key = kv.key().to_vec();
            self.put(&key, Some(stored(kv)));
        }
        self.revision = answer.header().map_or(0, etcd_client::ResponseHeader::revision);
        self.shown.clear();
        self.ready.push_back(Event::Init);
        let names: Vec<String> = self.halves.keys().cloned().collect();
        for name in names {
            if let Some(object) = self.object(&name) {
                self.shown.insert(name, object.clone());
                self.ready.push_back(Event::InitApply(object));
            }
        }
        self.ready.push_back(Event::InitDone);
        self.failures = 0;
        Ok(())
    }

    async fn connect(&mut self) -> Result<State, Error> {
        let (from, end) = self.api.store().keys.both(&K::plural(&()));
        let options = WatchOptions::new().with_range(end).with_start_revision(self.revision + 1).with_progress_notify();
        let store = self.api.store();
        let mut client = store.watches();
        let opening = tokio::time::timeout(super::REQUEST_TIMEOUT, client.watch(from, Some(options)));
        match opening.await {
            Ok(Ok(stream)) => {
                let (requests, responses) = stream.split();
                Ok(State::Watching { requests, responses, heard: Instant::now() })
            }
            Ok(Err(e)) if is_compacted(&e) => Ok(State::Listing),
            Ok(Err(e)) => Err(refusal(&e).unwrap_or_else(|| store.unreachable(&innermost(&e)))),
            Err(_) => Err(store.unreachable("the watch was not opened in time")),
        }
    }

    fn receive(&mut self, mut response: WatchResponse) -> Result<(), Error> {
        let at = response.take_header().map_or(0, |h| h.revision());
        if response.canceled() {
            if response.compact_revision() > 0 {
                tracing::info!(kind = %K::kind(&()), compacted = response.compact_revision(), "history is gone; listing anew");
                self.state = State::Listing;
                return Ok(());
            }
            self.state = State::Connecting;
            return Err(Error::Refused { reason: format!("the watch was cancelled: {}", response.cancel_reason()) });
        }
        if at < self.revision && response.events().is_empty() {
            // A store that is younger than what was seen of it was restored from a backup or begun anew.
            tracing::warn!(kind = %K::kind(&()), at, seen = self.revision, "the store has gone back; listing anew");
            self.state = State::Listing;
            return Ok(());
        }
        let mut touched = BTreeSet::new();
        let mut latest = self.revision;
        for event in response.events() {
            let Some(kv) = event.kv() else { continue };
            latest = latest.max(kv.mod_revision());
            let value = match event.event_type() {
                EventType::Put => Some(Stored { value: kv.value().to_vec(), revision: kv.mod_revision() }),
                EventType::Delete => None,
            };
            if let Some(name) = self.put(kv.key(), value) {
                touched.insert(name);
            }
        }
        // The answer to the request that opened the watch carries the present revision while older events are still to come; only
        // progress promises that there are none.
        self.revision = if response.events().is_empty() && !response.created() { self.revision.max(at) } else { latest };
        for name in touched {
            self.show(name);
        }
        Ok(())
    }

    /// Takes a half in or out; returns the name it belongs to.
    fn put(&mut self, key: &[u8], value: Option<Stored>) -> Option<String> {
        let (half, name) = self.api.store().keys.parse(&K::plural(&()), key)?;
        if self.name.as_deref().is_some_and(|wanted| wanted != name) {
            return None;
        }
        let entry = self.halves.entry(name.to_owned()).or_default();
        match half {
            Half::Spec => entry.0 = value,
            Half::Status => entry.1 = value,
        }
        if entry.0.is_none() && entry.1.is_none() {
            self.halves.remove(name);
        }
        Some(name.to_owned())
    }

    /// The object of that name, if it exists, can be read and is wanted.
    fn object(&self, name: &str) -> Option<K> {
        let (Some(spec), status) = self.halves.get(name)? else { return None };
        match decode::<K>(&self.api.store().keys.spec(&K::plural(&()), name), spec, status.as_ref()) {
            Ok(object) => self.filter.matches(&object).then_some(object),
            Err(error) => {
                // One object that cannot be read must not blind a controller to the others.
                tracing::error!(%error, "an object is left out");
                None
            }
        }
    }

    fn show(&mut self, name: String) {
        match self.object(&name) {
            Some(object) => {
                self.shown.insert(name, object.clone());
                self.ready.push_back(Event::Apply(object));
            }
            None => {
                if let Some(last) = self.shown.remove(&name) {
                    self.ready.push_back(Event::Delete(last));
                }
            }
        }
    }
}
