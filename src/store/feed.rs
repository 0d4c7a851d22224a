//! The Events of all objects, once or as they come.
//!
//! ```text
//!  Listing ──▶ All ──▶ Connecting ──▶ Watching ──▶ One / Gone …
//!     ▲                                   │ error, silence, or history that is gone
//!     └───────── wait ────────────────────┘
//! ```

use std::time::Duration;

use etcd_client::{EventType, GetOptions, WatchOptions, WatchRequestSender, WatchResponse, WatchResponseStream};
use k8s_openapi::api::core::v1::Event;
use tokio::time::{Instant, sleep, sleep_until};

use super::{Error, Store, innermost, is_compacted, refusal};

/// A watch that has said nothing for this long is broken: progress is asked for three times as often, and answered at once.
const IDLE: Duration = Duration::from_secs(9);

/// Wait before a store is asked again that did not answer: no burden to it, and short enough for a person who looks on.
const RETRY: Duration = Duration::from_secs(1);

/// What a feed tells.
#[derive(Clone, Debug)]
pub enum News {
    /// These are all Events that there are, in no particular order. Told first, and again when the store was out of sight.
    All(Vec<Event>),
    /// This one came, or came again.
    One(Box<Event>),
    /// The one of this name was long ago and is gone.
    Gone(String),
}

/// The Events of all objects as they come, for ever. Errors are reported and got over.
pub struct Feed {
    store: Store,
    state: State,
    failed: bool,
    ready: std::collections::VecDeque<News>,
}

// One machine a feed: the room that the small states waste is not worth a box.
#[allow(clippy::large_enum_variant)]
enum State {
    Listing,
    /// Up to which revision everything is told.
    Connecting(i64),
    Watching {
        requests: WatchRequestSender,
        responses: WatchResponseStream,
        heard: Instant,
    },
}

impl Store {
    /// The Events of all objects, in no particular order.
    ///
    /// # Errors
    /// [`Error::Unreachable`].
    pub async fn events(&self) -> Result<Vec<Event>, Error> {
        Ok(self.list_events().await?.0)
    }

    /// The Events of all objects, and then those that come.
    #[must_use]
    pub fn watch_events(&self) -> Feed {
        Feed { store: self.clone(), state: State::Listing, failed: false, ready: std::collections::VecDeque::new() }
    }

    /// With the revision they were read at.
    async fn list_events(&self) -> Result<(Vec<Event>, i64), Error> {
        let (from, end) = self.keys.events();
        let mut client = self.kv();
        let options = GetOptions::new().with_range(end);
        let mut answer = self.read(async move { client.get(from, Some(options)).await }).await?;
        let revision = answer.header().map_or(0, etcd_client::ResponseHeader::revision);
        // One that cannot be read was written by other hands, and hides no other.
        let events = answer.take_kvs().iter().filter_map(|kv| serde_json::from_slice(kv.value()).ok()).collect();
        Ok((events, revision))
    }
}

impl Feed {
    /// What comes next.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Refused`]. The feed goes on at the next call, after a short wait.
    pub async fn next(&mut self) -> Result<News, Error> {
        loop {
            if let Some(news) = self.ready.pop_front() {
                return Ok(news);
            }
            if std::mem::take(&mut self.failed) {
                sleep(RETRY).await;
            }
            if let Err(error) = self.step().await {
                self.state = State::Listing;
                self.failed = true;
                return Err(error);
            }
        }
    }

    async fn step(&mut self) -> Result<(), Error> {
        match &mut self.state {
            State::Listing => {
                let (events, revision) = self.store.list_events().await?;
                self.ready.push_back(News::All(events));
                self.state = State::Connecting(revision);
            }
            State::Connecting(revision) => {
                let (from, end) = self.store.keys.events();
                let options = WatchOptions::new().with_range(end).with_start_revision(*revision + 1).with_progress_notify();
                let mut client = self.store.watches();
                let opening = tokio::time::timeout(IDLE, client.watch(from, Some(options)));
                self.state = match opening.await {
                    Ok(Ok(stream)) => {
                        let (requests, responses) = stream.split();
                        State::Watching { requests, responses, heard: Instant::now() }
                    }
                    Ok(Err(e)) if is_compacted(&e) => State::Listing,
                    Ok(Err(e)) => return Err(refusal(&e).unwrap_or_else(|| self.store.unreachable(&innermost(&e)))),
                    Err(_) => return Err(self.store.unreachable("the watch was not opened in time")),
                };
            }
            State::Watching { requests, responses, heard } => {
                let silent_at = *heard + IDLE;
                tokio::select! {
                    biased;
                    message = responses.message() => match message {
                        Ok(Some(response)) => {
                            *heard = Instant::now();
                            self.receive(&response);
                        }
                        Ok(None) => return Err(self.store.unreachable("the store closed the watch")),
                        Err(e) => return Err(self.store.unreachable(&innermost(&e))),
                    },
                    () = sleep_until(silent_at) => {
                        return Err(self.store.unreachable(&format!("the watch was silent for {IDLE:?}")));
                    }
                    () = sleep(IDLE / 3) => {
                        if let Err(e) = requests.request_progress().await {
                            return Err(self.store.unreachable(&innermost(&e)));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn receive(&mut self, response: &WatchResponse) {
        if response.canceled() {
            // Its history is gone, or it does not say: what there is now is told anew.
            self.state = State::Listing;
            self.failed = response.compact_revision() == 0;
            return;
        }
        for event in response.events() {
            let Some(kv) = event.kv() else { continue };
            match event.event_type() {
                EventType::Put => {
                    self.ready.extend(serde_json::from_slice(kv.value()).ok().map(|e| News::One(Box::new(e))));
                }
                EventType::Delete => {
                    let name = kv.key_str().ok().and_then(|key| key.rsplit('/').next());
                    self.ready.extend(name.map(|name| News::Gone(name.to_owned())));
                }
            }
        }
    }
}
