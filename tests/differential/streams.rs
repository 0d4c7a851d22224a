//! A stream of watches, and what was said on it.
//!
//! Which answer an event comes in depends on timing, and so does the revision in that answer's header; the sequence of events of
//! one watch does not. So the events are kept by watch, and what every answer must keep to is checked when it comes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use etcd_client::{Client, EventType, WatchOptions, WatchRequestSender, WatchResponse, WatchResponseStream};
use tokio::sync::Notify;

use super::answer::{Answer, Kv, Leases, revision};

/// How long a store may take for what it does in milliseconds. A watch that starts in the past is served by etcd ten times a second.
const PATIENCE: Duration = Duration::from_secs(10);

/// etcd does not answer a request for progress while a watch of the stream lags, nor afterwards: it has to be asked again.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// The key that one watch of every stream is on, so that there is one: a stream without watches reports no progress.
pub const BOOKKEEPING: &[u8] = b"~bookkeeping";

/// The answer to a refused watch and to a request for progress is of no watch.
const NO_WATCH: i64 = -1;

/// Something that was said about one watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    Event {
        deleted: bool,
        kv: Option<Kv>,
        previous: Option<Kv>,
    },
    /// Canceled by the store, because the watch starts at a revision that is gone.
    Compacted {
        revision: Option<i64>,
        compact_revision: i64,
        reason: String,
    },
}

pub type Notes = BTreeMap<i64, Vec<Note>>;

pub struct Stream {
    sender: WatchRequestSender,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    log: Mutex<Log>,
    changed: Notify,
}

#[derive(Default)]
struct Log {
    /// Answers to requests that were not taken yet.
    created: Vec<Answer>,
    canceled: Vec<(i64, Answer)>,
    notes: Notes,
    /// The watches that a compaction has ended. etcd counts them as lagging until they are canceled as well.
    dead: Vec<i64>,
    /// Those of them that were, for good: a history does not use such an id again.
    buried: Vec<i64>,
    /// The last revision by a report of progress.
    progress: i64,
    /// The revision of the last event of each watch.
    last: BTreeMap<i64, i64>,
    /// What must never happen, and did.
    broken: Option<String>,
}

impl Stream {
    /// A stream with the watch that keeps it open.
    pub async fn open(client: Client) -> Self {
        let (sender, answers) =
            client.watch_client().max_decoding_message_size(usize::MAX).watch(BOOKKEEPING, None).await.unwrap().split();
        let seen = Arc::new(Seen::default());
        tokio::spawn(read(answers, Arc::clone(&seen)));
        let stream = Self { sender, seen };
        stream.created().await;
        stream
    }

    /// Starts a watch, and waits until the store has said that it did or will not.
    pub async fn watch(&mut self, key: Vec<u8>, options: WatchOptions) -> Answer {
        if let Err(e) = self.sender.watch(key, Some(options)).await {
            return Answer::refused(&e);
        }
        self.created().await
    }

    async fn created(&self) -> Answer {
        let answer = self.until(PATIENCE, |log| (!log.created.is_empty()).then(|| log.created.remove(0))).await;
        answer.unwrap_or_else(|| unanswered("a request to watch"))
    }

    /// Ends a watch, and waits until the store has said so.
    pub async fn cancel(&mut self, id: i64) -> Answer {
        if let Err(e) = self.sender.cancel(id).await {
            return Answer::refused(&e);
        }
        let answer = self.until(PATIENCE, |log| {
            let at = log.canceled.iter().position(|(canceled, _)| *canceled == id)?;
            Some(log.canceled.remove(at).1)
        });
        answer.await.unwrap_or_else(|| unanswered("a request to cancel"))
    }

    /// Cancels what is not there, which nobody answers.
    pub async fn cancel_unknown(&mut self, id: i64) -> Answer {
        match self.sender.cancel(id).await {
            Ok(()) => Answer::Nothing,
            Err(e) => Answer::refused(&e),
        }
    }

    /// Waits until every watch has said all there is to say up to a revision, which is the store's and was reached after the last
    /// time that this was waited for.
    pub async fn settle(&mut self, revision: i64) -> Result<i64, String> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while tokio::time::Instant::now() < deadline {
            for id in self.seen.bury() {
                self.sender.cancel(id).await.map_err(|e| e.to_string())?;
            }
            self.sender.request_progress().await.map_err(|e| e.to_string())?;
            let reached = self.until(ASK_AGAIN, |log| {
                (log.progress >= revision || log.broken.is_some()).then(|| (log.progress, log.broken.take()))
            });
            match reached.await {
                Some((_, Some(broken))) => return Err(broken),
                Some((progress, None)) => return Ok(progress),
                None => {}
            }
        }
        Err(format!("no progress to revision {revision} within {PATIENCE:?}"))
    }

    /// What was said since the last time, with the leases as the side names them. That a watch which compaction had ended was
    /// canceled is left out: nothing says when that is answered.
    pub fn take(&self, leases: &Leases) -> (Notes, Vec<(i64, Answer)>) {
        let mut log = self.seen.log.lock().unwrap();
        let (mut notes, mut canceled) = (std::mem::take(&mut log.notes), std::mem::take(&mut log.canceled));
        canceled.retain(|(id, _)| !log.buried.contains(id));
        for note in notes.values_mut().flatten() {
            if let Note::Event { kv, previous, .. } = note {
                for kv in kv.iter_mut().chain(previous) {
                    kv.lease = leases.canonical(kv.lease);
                }
            }
        }
        (notes, canceled)
    }

    async fn until<T>(&self, patience: Duration, mut wanted: impl FnMut(&mut Log) -> Option<T>) -> Option<T> {
        let waiting = async {
            loop {
                let changed = self.seen.changed.notified();
                if let Some(found) = wanted(&mut self.seen.log.lock().unwrap()) {
                    return found;
                }
                changed.await;
            }
        };
        tokio::time::timeout(patience, waiting).await.ok()
    }
}

fn unanswered(what: &str) -> Answer {
    Answer::Refused { code: "none".to_owned(), message: format!("{what} is not answered within {PATIENCE:?}") }
}

async fn read(mut answers: WatchResponseStream, seen: Arc<Seen>) {
    loop {
        let answer = answers.message().await;
        let mut log = seen.log.lock().unwrap();
        let go_on = match answer {
            Ok(Some(answer)) => {
                log.add(&answer);
                true
            }
            Ok(None) => {
                log.broken.get_or_insert_with(|| "the stream has ended".to_owned());
                false
            }
            Err(e) => {
                log.broken.get_or_insert_with(|| format!("the stream was broken off: {e}"));
                false
            }
        };
        drop(log);
        // Only the runner waits, for one thing at a time.
        seen.changed.notify_waiters();
        if !go_on {
            return;
        }
    }
}

impl Seen {
    /// The watches that died since the last time.
    fn bury(&self) -> Vec<i64> {
        let mut log = self.log.lock().unwrap();
        let dead = std::mem::take(&mut log.dead);
        log.buried.extend(&dead);
        dead
    }
}

impl Log {
    fn add(&mut self, answer: &WatchResponse) {
        let (id, header) = (answer.watch_id(), revision(answer.header()));
        let mut wrong = None;
        if answer.created() {
            let (canceled, reason) = (answer.canceled(), answer.cancel_reason().to_owned());
            self.created.push(Answer::Watch { revision: header, id, canceled, reason });
            self.last.remove(&id);
            if !answer.events().is_empty() || answer.compact_revision() != 0 {
                wrong = Some("the answer to a request to watch says more");
            }
        } else if answer.canceled() && answer.compact_revision() == 0 {
            self.canceled.push((id, Answer::Canceled { revision: header }));
            if !answer.events().is_empty() || !answer.cancel_reason().is_empty() {
                wrong = Some("the answer to a request to cancel says more");
            }
        } else if answer.canceled() {
            let reason = answer.cancel_reason().to_owned();
            let compact_revision = answer.compact_revision();
            self.notes.entry(id).or_default().push(Note::Compacted { revision: header, compact_revision, reason });
            self.dead.push(id);
            if !answer.events().is_empty() {
                wrong = Some("a canceled watch has events");
            }
        } else if answer.events().is_empty() {
            if id == NO_WATCH {
                self.progress = header.unwrap_or_default();
            }
        } else {
            wrong = self.add_events(id, header, answer);
        }
        if let Some(wrong) = wrong {
            self.broken.get_or_insert_with(|| format!("{wrong}: {answer:?}"));
        }
    }

    fn add_events(&mut self, id: i64, header: Option<i64>, answer: &WatchResponse) -> Option<&'static str> {
        // The ids of leases are translated when the events are taken: only then is the answer in that named them surely known.
        let names = Leases::default();
        let mut wrong = None;
        let mut last = self.last.get(&id).copied().unwrap_or(0);
        for (number, event) in answer.events().iter().enumerate() {
            let at = event.kv().map_or(0, etcd_client::KeyValue::mod_revision);
            if number == 0 && at == last {
                wrong = Some("the events of one revision come in two answers");
            }
            if at < last {
                wrong = Some("events come out of order");
            }
            last = at;
            self.notes.entry(id).or_default().push(Note::Event {
                deleted: event.event_type() == EventType::Delete,
                kv: event.kv().map(|kv| names.kv(kv)),
                previous: event.prev_kv().map(|kv| names.kv(kv)),
            });
        }
        self.last.insert(id, last);
        if header.is_none_or(|header| header < last) {
            wrong = Some("an event comes with a header from before it");
        }
        wrong
    }
}
