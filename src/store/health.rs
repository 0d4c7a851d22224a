//! How the store is, and who leads: what `doctor` and `top` ask of it beside objects.

use std::time::Duration;

use super::{Error, Store};
use etcd_client::GetOptions;

/// What a store says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// The version of etcd that it is, or whose API it serves.
    pub version: String,
    /// Bytes of its file.
    pub bytes: u64,
    /// Of these, bytes that are used; the rest is given back by `etcdctl defrag`.
    pub bytes_used: u64,
    /// Bytes that the file may have; none where it does not say, as before etcd 3.6.
    pub quota: Option<u64>,
    /// What it says is wrong, such as an alarm, in its own words.
    pub errors: Vec<String>,
    /// Whether a leader is known: a cluster without one takes no write.
    pub has_leader: bool,
}

/// Who leads a controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// The controller, as `planner` or, elected on each host, `observer.HOST`.
    pub controller: String,
    /// What the process calls itself: host, process id and a random part.
    pub identity: String,
    /// The fencing token: it grows with every change of leaders.
    pub token: i64,
    /// What is left of its lease; none where that cannot be asked, or the key has none.
    pub lease: Option<Duration>,
}

impl Store {
    /// How the store is.
    ///
    /// # Errors
    /// [`Error::Unreachable`]; [`Error::Refused`] by an etcd with authentication, where only root may ask.
    pub async fn health(&self) -> Result<Health, Error> {
        let mut client = self.client.maintenance_client();
        let status = self.read(async move { client.status().await }).await?;
        let bytes = |count: i64| u64::try_from(count).unwrap_or(0);
        Ok(Health {
            version: status.version().to_owned(),
            bytes: bytes(status.db_size()),
            bytes_used: bytes(status.raft_used_db_size()),
            quota: Some(bytes(status.db_size_quota())).filter(|quota| *quota > 0),
            errors: status.errors().iter().map(|error| error.trim().to_owned()).collect(),
            has_leader: status.leader() != 0,
        })
    }

    /// Who leads, in the order of the controllers' names.
    ///
    /// # Errors
    /// [`Error::Unreachable`].
    pub async fn leaders(&self) -> Result<Vec<Leader>, Error> {
        let (first, end) = self.keys.leaders();
        let (mut client, from) = (self.kv(), first.clone());
        let options = GetOptions::new().with_range(end);
        let answer = self.read(async move { client.get(from, Some(options)).await }).await?;
        let mut leaders = Vec::new();
        for kv in answer.kvs() {
            let Some(controller) = std::str::from_utf8(kv.key()).ok().and_then(|key| key.strip_prefix(&first)) else {
                continue;
            };
            // A lease that cannot be asked, or has just run out, is one of which nothing is known.
            let mut client = self.client.lease_client();
            let lease = kv.lease();
            let left =
                self.read(async move { client.time_to_live(lease, None).await }).await.ok().map(|answer| answer.ttl());
            leaders.push(Leader {
                controller: controller.to_owned(),
                identity: String::from_utf8_lossy(kv.value()).into_owned(),
                token: kv.create_revision(),
                lease: left.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs),
            });
        }
        Ok(leaders)
    }

    /// Asks for what every role may read and is small, and throws the answer away: how long that takes is how long a read
    /// takes.
    ///
    /// # Errors
    /// [`Error::Unreachable`].
    pub async fn touch(&self) -> Result<(), Error> {
        let (first, _) = self.keys.leaders();
        let mut client = self.kv();
        self.read(async move { client.get(first, None).await }).await.map(drop)
    }
}
