//! Watch: each stream has a mailbox that the hub fills, and sends what is in it when its client takes it. A watch that begins in
//! the past, or whose client is slow, reads what it has missed from the file, in pieces, and then joins the present.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use etcd_client::EventType;
use etcd_client::proto::{
    PbEvent, PbKeyValue as KeyValue, PbWatchRequest, PbWatchRequestUnion as Asked, PbWatchResponse, PbWatchService,
};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use prost::Message;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Request, Response, Status, Streaming};

use super::super::hub::{Item, Mailbox, Next, Watch, WatchLimits};
use super::super::refusal::Refusal;
use super::super::shared::Shared;
use super::super::span::Span;
use super::super::tables::{Record, View};
use super::super::write::header;
use super::kv::reading;

/// The filters of a watch (etcd: `WatchCreateRequest.FilterType`).
const NO_PUT: i32 = 0;
const NO_DELETE: i32 = 1;

/// The Watch service.
pub(crate) struct Watches {
    pub(crate) shared: Arc<Shared>,
    /// How often a watch that asked for it is told how far the store is.
    pub(crate) progress: Duration,
}

/// The watches of one stream, by their ids.
#[derive(Default)]
struct Ids {
    keys: HashMap<i64, u64>,
    /// The id that is tried first for a watch that leaves it to us.
    next: i64,
    /// Those that want to be told how far the store is, and whether they had nothing since they were last told.
    progress: HashMap<i64, bool>,
    /// The stream is gone; a request that is still being taken makes no watch any more.
    gone: bool,
}

/// One stream of watches.
struct Stream {
    shared: Arc<Shared>,
    mailbox: Arc<Mailbox>,
    ids: Arc<Mutex<Ids>>,
    /// Fragments of a response that are still to be sent.
    fragments: std::vec::IntoIter<PbWatchResponse>,
    _receiver: AbortOnDropHandle<()>,
    _ticker: AbortOnDropHandle<()>,
}

#[tonic::async_trait]
impl PbWatchService for Watches {
    type WatchStream = BoxStream<'static, Result<PbWatchResponse, Status>>;

    async fn watch(&self, request: Request<Streaming<PbWatchRequest>>) -> Result<Response<Self::WatchStream>, Status> {
        self.shared.view().await?;
        let mailbox = Arc::new(Mailbox::default());
        let ids = Arc::new(Mutex::new(Ids::default()));
        let registrar = Registrar { shared: self.shared.clone(), mailbox: mailbox.clone(), ids: ids.clone() };
        let ticker = Registrar { shared: self.shared.clone(), mailbox: mailbox.clone(), ids: ids.clone() };
        let stream = Stream {
            shared: self.shared.clone(),
            mailbox,
            ids,
            fragments: Vec::new().into_iter(),
            _receiver: AbortOnDropHandle::new(tokio::spawn(registrar.receive(request.into_inner()))),
            _ticker: AbortOnDropHandle::new(tokio::spawn(ticker.tick(self.progress))),
        };
        let responses =
            stream::try_unfold(
                stream,
                |mut stream| async move { Ok(stream.next().await?.map(|response| (response, stream))) },
            );
        Ok(Response::new(responses.boxed()))
    }
}

fn lock(ids: &Mutex<Ids>) -> MutexGuard<'_, Ids> {
    ids.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the requests of one stream. Its watches end with it.
struct Registrar {
    shared: Arc<Shared>,
    mailbox: Arc<Mailbox>,
    ids: Arc<Mutex<Ids>>,
}

impl Registrar {
    async fn receive(self, mut requests: Streaming<PbWatchRequest>) {
        // A client that has said all that it wants still gets its events.
        while let Ok(Some(request)) = requests.message().await {
            self.mailbox.has_room().await;
            match request.request_union {
                Some(Asked::CreateRequest(asked)) => {
                    let start = asked.start_revision;
                    // An empty key is the smallest that there is.
                    let key = if asked.key.is_empty() { vec![0] } else { asked.key };
                    let span = Span::new(&key, &asked.range_end);
                    let watch = Watch {
                        id: asked.watch_id,
                        span,
                        start,
                        no_put: asked.filters.contains(&NO_PUT),
                        no_delete: asked.filters.contains(&NO_DELETE),
                        prev_kv: asked.prev_kv,
                        fragment: asked.fragment,
                    };
                    self.create(watch, asked.progress_notify);
                }
                Some(Asked::CancelRequest(asked)) => {
                    let mut ids = lock(&self.ids);
                    ids.progress.remove(&asked.watch_id);
                    if let Some(key) = ids.keys.remove(&asked.watch_id) {
                        let cancelled = |revision| cancelled(asked.watch_id, revision);
                        self.shared.hub().remove(key, cancelled);
                    }
                }
                Some(Asked::ProgressRequest(_)) => {
                    let any = !lock(&self.ids).keys.is_empty();
                    self.shared.hub().progress(&self.mailbox, any);
                }
                None => {}
            }
        }
    }

    fn create(&self, mut watch: Watch, progress: bool) {
        let mut ids = lock(&self.ids);
        if ids.gone {
            return;
        }
        let mut hub = self.shared.hub();
        let refused = if watch.span.is_empty() {
            Some("mvcc: watcher range is empty")
        } else if watch.id != 0 && ids.keys.contains_key(&watch.id) {
            Some("mvcc: duplicate watch ID provided on the WatchStream")
        } else {
            None
        };
        if let Some(reason) = refused {
            let answer = PbWatchResponse {
                header: header(hub.revision()),
                watch_id: super::super::hub::ALL_WATCHES,
                created: true,
                canceled: true,
                cancel_reason: reason.to_owned(),
                ..PbWatchResponse::default()
            };
            self.mailbox.answer(answer);
            return;
        }
        if watch.id == 0 {
            while ids.keys.contains_key(&ids.next) {
                ids.next += 1;
            }
            watch.id = ids.next;
            ids.next += 1;
        }
        if watch.start == 0 {
            watch.start = hub.revision() + 1;
        }
        let id = watch.id;
        let created = |revision| PbWatchResponse {
            header: header(revision),
            watch_id: id,
            created: true,
            ..PbWatchResponse::default()
        };
        let key = hub.add(&self.mailbox, watch, created);
        ids.keys.insert(id, key);
        if progress {
            ids.progress.insert(id, false);
        }
    }

    /// Tells the watches that want it how far the store is, unless they had an event since they were last told.
    async fn tick(self, period: Duration) {
        loop {
            tokio::time::sleep(period).await;
            let mut ids = lock(&self.ids);
            let ids = &mut *ids;
            let hub = self.shared.hub();
            for (id, idle) in &mut ids.progress {
                if std::mem::replace(idle, true)
                    && let Some(key) = ids.keys.get(id)
                {
                    hub.progress_of(*key);
                }
            }
        }
    }
}

impl Stream {
    /// The next response; `None` when the store is closed.
    async fn next(&mut self) -> Result<Option<PbWatchResponse>, Status> {
        loop {
            if let Some(fragment) = self.fragments.next() {
                return Ok(Some(self.signed(fragment)));
            }
            let next = self.shared.hub().next(&self.mailbox);
            match next {
                Next::Send(Item::Control(response)) => return Ok(Some(self.signed(response))),
                Next::Send(Item::Events { watch, commit, chosen }) => {
                    let records = chosen.into_iter().map(|index| &commit.records[index]);
                    let view = if watch.prev_kv { Some(self.shared.view().await?) } else { None };
                    let events = records.map(|record| event(record, view.as_deref())).collect::<Result<Vec<_>, _>>()?;
                    self.fragment(&watch, commit.revision, events);
                }
                Next::CatchUp(key, watch, from) => self.catch_up(key, &watch, from).await?,
                Next::Wait => self.mailbox.changed().await,
                Next::Closed => return Err(self.shared.stopped().into()),
            }
        }
    }

    /// Reads one piece of history for a watch that is behind.
    async fn catch_up(&mut self, key: u64, watch: &Watch, from: i64) -> Result<(), Refusal> {
        let view = self.shared.view().await?;
        if from < view.compacted {
            let response = PbWatchResponse {
                // etcd says no revision here.
                header: header(0),
                watch_id: watch.id,
                canceled: true,
                compact_revision: view.compacted,
                ..PbWatchResponse::default()
            };
            let mut ids = lock(&self.ids);
            // Its client may have cancelled it meanwhile, and given its id to another.
            if ids.keys.get(&watch.id) == Some(&key) {
                ids.progress.remove(&watch.id);
                ids.keys.remove(&watch.id);
            }
            self.shared.hub().remove(key, |_| response);
            return Ok(());
        }
        let limits = self.shared.hub().limits;
        let (events, up_to) = reading(false, || history(&view, watch, from, &limits))?;
        self.fragment(watch, up_to, events);
        self.shared.hub().caught_up_to(key, up_to + 1);
        Ok(())
    }

    /// Makes responses of events of one watch: one, or several if it asked for fragments and they are large.
    fn fragment(&mut self, watch: &Watch, revision: i64, events: Vec<PbEvent>) {
        if events.is_empty() {
            return;
        }
        if let Some(idle) = lock(&self.ids).progress.get_mut(&watch.id) {
            *idle = false;
        }
        let response =
            |events| PbWatchResponse { header: header(revision), watch_id: watch.id, events, ..PbWatchResponse::default() };
        let limit = self.shared.hub().limits.fragment_bytes;
        let mut responses = Vec::new();
        let mut part = Vec::new();
        let mut bytes = 0;
        for event in events {
            let size = event.encoded_len();
            if watch.fragment && bytes + size > limit && !part.is_empty() {
                responses.push(PbWatchResponse { fragment: true, ..response(std::mem::take(&mut part)) });
                bytes = 0;
            }
            bytes += size;
            part.push(event);
        }
        responses.push(response(part));
        self.fragments = responses.into_iter();
    }

    fn signed(&self, mut response: PbWatchResponse) -> PbWatchResponse {
        self.shared.sign(&mut response.header);
        response
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut ids = lock(&self.ids);
        ids.gone = true;
        let mut hub = self.shared.hub();
        for (id, key) in &ids.keys {
            hub.remove(*key, |revision| cancelled(*id, revision));
        }
    }
}

/// The events of a watch from a revision on, and the last revision that they cover: all of each revision or nothing of it.
fn history(view: &View, watch: &Watch, from: i64, limits: &WatchLimits) -> Result<(Vec<PbEvent>, i64), Refusal> {
    let mut events = Vec::new();
    let (mut seen, mut bytes, mut last) = (0, 0, from - 1);
    for entry in view.revisions.range((from, 0)..)? {
        let (place, value) = entry?;
        let place = place.value();
        if place.0 != last && (seen >= limits.history_records || bytes >= limits.history_bytes) {
            return Ok((events, last));
        }
        (seen, last) = (seen + 1, place.0);
        // Most of history is of other keys.
        if !Record::key(value.value()).is_none_or(|key| watch.span.contains(key)) {
            continue;
        }
        let record = Record::decode(place, value.value())?;
        if watch.wants(&record) {
            let event = event(&record, watch.prev_kv.then_some(view))?;
            bytes += event.encoded_len();
            events.push(event);
        }
    }
    Ok((events, view.revision))
}

fn event(record: &Record, previous: Option<&View>) -> Result<PbEvent, Refusal> {
    // What was created has nothing before it, even if the same transaction deleted an older one first.
    let created = !record.is_deletion() && record.kv.create_revision == record.place.0;
    let prev_kv = match previous {
        Some(view) if !created => view.reader().before(record.place.0, record.before)?,
        _ => None,
    };
    let (r#type, kv) = if record.is_deletion() {
        let kv = KeyValue { key: record.kv.key.clone(), mod_revision: record.place.0, ..KeyValue::default() };
        (EventType::Delete, kv)
    } else {
        (EventType::Put, record.kv.clone())
    };
    Ok(PbEvent { r#type: r#type as i32, kv: Some(kv), prev_kv })
}

fn cancelled(id: i64, revision: i64) -> PbWatchResponse {
    PbWatchResponse { header: header(revision), watch_id: id, canceled: true, ..PbWatchResponse::default() }
}
