//! Events: what happened to an object, with a count instead of repetition, gone after a while.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use etcd_client::GetOptions;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time as MetaTime};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{Error, Store};
use crate::api::{API_VERSION, Object};

/// How long an Event is kept after it last happened: the Kubernetes API server's default (`--event-ttl`).
const TTL: Duration = Duration::from_secs(3600);

/// A lease is shared by the Events of this span, so that a flood of Events is not a flood of leases.
const LEASE_SPAN: Duration = Duration::from_secs(60);

/// Whether an Event is news or trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// News.
    Normal,
    /// Trouble.
    Warning,
}

/// Writes the Events of one controller.
#[derive(Clone, Debug)]
pub struct Recorder {
    store: Store,
    component: &'static str,
    host: String,
    lease: Arc<Mutex<Option<(i64, Instant)>>>,
}

impl Recorder {
    /// A recorder for the controller `component` on that host.
    #[must_use]
    pub fn new(store: Store, component: &'static str, host: &str) -> Self {
        Self { store, component, host: host.to_owned(), lease: Arc::default() }
    }

    /// Records that something happened to an object. The same reason and message again only raises the count.
    ///
    /// An Event is for people; one that cannot be written is logged and must not stop the work it tells of.
    pub async fn publish<K: Object>(&self, object: &K, severity: Severity, reason: &str, message: &str) {
        if let Err(error) = self.write(object, severity, reason, message).await {
            tracing::warn!(%error, reason, message, "an Event could not be recorded");
        }
    }

    async fn write<K: Object>(&self, object: &K, severity: Severity, reason: &str, message: &str) -> Result<(), Error> {
        let kind = K::kind(&()).into_owned();
        let mut hasher = DefaultHasher::new();
        (self.component, reason, message, &object.meta().uid).hash(&mut hasher);
        let name = format!("{}.{}.{:016x}", kind.to_lowercase(), object.name(), hasher.finish());
        let key = self.store.keys.event(&name);
        let mut client = self.store.kv();
        let asked = key.clone();
        let found = self.store.read(async move { client.get(asked, None).await }).await?;
        let now = MetaTime(self.store.clock.now());
        let stored = found.kvs().first();
        let earlier: Option<Event> = stored.and_then(|kv| serde_json::from_slice(kv.value()).ok());
        let event = Event {
            metadata: ObjectMeta { name: Some(name), ..ObjectMeta::default() },
            involved_object: ObjectReference {
                api_version: Some(API_VERSION.to_owned()),
                kind: Some(kind),
                name: Some(object.name().to_owned()),
                uid: object.meta().uid.clone(),
                ..ObjectReference::default()
            },
            type_: Some(if severity == Severity::Normal { "Normal" } else { "Warning" }.to_owned()),
            reason: Some(reason.to_owned()),
            message: Some(message.to_owned()),
            count: Some(earlier.as_ref().and_then(|e| e.count).unwrap_or(0).saturating_add(1)),
            first_timestamp: Some(earlier.and_then(|e| e.first_timestamp).unwrap_or_else(|| now.clone())),
            last_timestamp: Some(now),
            source: Some(EventSource { component: Some(self.component.to_owned()), host: Some(self.host.clone()) }),
            ..Event::default()
        };
        let value = serde_json::to_vec(&event).map_err(|e| Error::Corrupt { key: key.clone(), reason: e.to_string() })?;
        let seen = stored.map_or(0, etcd_client::KeyValue::mod_revision);
        let lease = self.lease().await?;
        self.store.transaction().put_raw(key, value, seen, lease).commit().await?;
        Ok(())
    }

    async fn lease(&self) -> Result<i64, Error> {
        let mut held = self.lease.lock().await;
        if let Some((id, since)) = *held
            && since.elapsed() < LEASE_SPAN
        {
            return Ok(id);
        }
        let mut client = self.store.client.lease_client();
        let seconds = i64::try_from((TTL + LEASE_SPAN).as_secs()).unwrap_or(i64::MAX);
        let id = self.store.read(async move { client.grant(seconds, None).await }).await?.id();
        *held = Some((id, Instant::now()));
        Ok(id)
    }
}

impl Store {
    /// The Events of an object, in no particular order.
    ///
    /// # Errors
    /// [`Error::Unreachable`].
    pub async fn events_for(&self, kind: &str, name: &str) -> Result<Vec<Event>, Error> {
        let prefix = self.keys.event(&format!("{}.{name}.", kind.to_lowercase()));
        let mut client = self.kv();
        let mut answer = self.read(async move { client.get(prefix, Some(GetOptions::new().with_prefix())).await }).await?;
        Ok(answer
            .take_kvs()
            .iter()
            .filter_map(|kv| serde_json::from_slice::<Event>(kv.value()).ok())
            // A longer name that begins like this one has the same prefix.
            .filter(|e| e.involved_object.name.as_deref() == Some(name))
            .collect())
    }
}
