//! Who leads: one process per controller, by a key bound to a lease.
//!
//! ```text
//!  Standby ──(key absent: put it with the lease)──▶ Leading ──(lease not renewed in time, or key gone)──▶ lost
//!     ▲  watches the key until it is gone              │ resign: the lease is revoked, the key goes with it
//!     └────────────────────────────────────────────────┘
//! ```
//!
//! The key's create revision is the fencing token: every write of a leader compares it, so that a leader that was deposed
//! without noticing (a long pause, a clock that stood still) cannot write.

use std::time::Duration;

use etcd_client::{EventType, GetOptions, PutOptions, Txn, TxnOp, WatchOptions};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::{Error, REQUEST_TIMEOUT, Store, innermost};

/// How long a leader that vanished stays leader. etcd takes no lease under 2 s with its default election timeout; 5 s survives a
/// stall of the disk or an election of the store's own, and bounds the wait for a successor.
pub const LEASE_TTL: Duration = Duration::from_secs(5);

/// How often the lease is renewed: three times in its life, so that one lost renewal does not depose.
const RENEW_EVERY: Duration = Duration::from_millis(1500);

/// How long a leader believes in a renewal: a little less than the lease lives, so that it has stopped before a store that ends
/// leases to the millisecond lets a successor start, even when its own timer fires late.
const BELIEVED: Duration = Duration::from_millis(4_750);

/// Proof of leadership, for the writes of a leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    pub(super) key: String,
    pub(super) controller: String,
    /// Which process leads, for the audit log.
    pub(super) identity: String,
    /// Create revision of the leader key.
    pub token: i64,
}

/// A leadership that was won.
#[derive(Debug)]
pub struct Leadership {
    /// For every write.
    pub fence: Fence,
    /// Cancelled when the leadership is lost, or given up.
    pub lost: CancellationToken,
    renewal: tokio::task::JoinHandle<()>,
}

impl Leadership {
    /// Gives it up: a successor need not wait for the lease to run out.
    pub async fn resign(self) {
        self.lost.cancel();
        // The renewal task revokes the lease on its way out; it cannot be waited for longer than a request takes.
        let _ = timeout(REQUEST_TIMEOUT, self.renewal).await;
    }
}

/// Waits until this process leads the controller. `identity` is written into the key, for people.
///
/// Errors are got over: it returns when it leads, or never. Dropping the future gives up; a lease that was granted meanwhile
/// runs out by itself.
pub async fn campaign(store: &Store, controller: &str, identity: &str) -> Leadership {
    let key = store.keys.leader(controller);
    loop {
        match attempt(store, controller, &key, identity).await {
            Ok(Some(leadership)) => {
                tracing::info!(controller, identity, token = leadership.fence.token, "leading");
                return leadership;
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(controller, %error, "cannot stand for election");
                sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// One attempt: leads, or waits until the key is gone and returns `None`.
async fn attempt(store: &Store, controller: &str, key: &str, identity: &str) -> Result<Option<Leadership>, Error> {
    let mut kv = store.kv();
    let held = {
        let key = key.to_owned();
        store.read(async move { kv.get(key, Some(GetOptions::new().with_keys_only())).await }).await?
    };
    if let Some(holder) = held.kvs().first() {
        let revision = held.header().map_or(holder.mod_revision(), etcd_client::ResponseHeader::revision);
        wait_until_gone(store, key, revision).await?;
        return Ok(None);
    }
    let mut leases = store.client.lease_client();
    let granted_at = Instant::now();
    let seconds = i64::try_from(LEASE_TTL.as_secs()).unwrap_or(i64::MAX);
    let lease = store.read(async move { leases.grant(seconds, None).await }).await?.id();
    let compare = etcd_client::Compare::version(key, etcd_client::CompareOp::Equal, 0);
    let put = TxnOp::put(key, identity, Some(PutOptions::new().with_lease(lease)));
    let txn = Txn::new().when([compare]).and_then([put]);
    let mut kv = store.kv();
    // An answer that was lost may have been a yes. The lease is let go then, and the key with it: nothing was done as a leader.
    let answer = match store.read(async move { kv.txn(txn).await }).await {
        Ok(answer) if answer.succeeded() => answer,
        other => {
            revoke(store, lease).await;
            return other.map(|_| None);
        }
    };
    let token = answer.header().map_or(0, etcd_client::ResponseHeader::revision);
    let fence = Fence { key: key.to_owned(), controller: controller.to_owned(), identity: identity.to_owned(), token };
    let lost = CancellationToken::new();
    let renewal = tokio::spawn(renew(store.clone(), fence.clone(), lease, granted_at, lost.clone()));
    Ok(Some(Leadership { fence, lost, renewal }))
}

async fn wait_until_gone(store: &Store, key: &str, revision: i64) -> Result<(), Error> {
    let mut client = store.watches();
    let options = WatchOptions::new().with_start_revision(revision + 1);
    let broken = |e: &etcd_client::Error| store.unreachable(&innermost(e));
    let opened = timeout(REQUEST_TIMEOUT, client.watch(key, Some(options))).await;
    let mut stream = opened.map_err(|_| store.unreachable("the watch was not opened in time"))?.map_err(|e| broken(&e))?;
    loop {
        // A lease that runs out is an event; a stream that broke silently is not. Looking again now and then covers both.
        match timeout(LEASE_TTL * 2, stream.message()).await {
            Err(_) => return Ok(()),
            Ok(Err(e)) => return Err(broken(&e)),
            Ok(Ok(None)) => return Ok(()),
            Ok(Ok(Some(response))) => {
                if response.canceled() || response.events().iter().any(|e| e.event_type() == EventType::Delete) {
                    return Ok(());
                }
            }
        }
    }
}

/// Keeps the lease alive until it cannot be, or the leadership is given up.
async fn renew(store: Store, fence: Fence, lease: i64, granted_at: Instant, lost: CancellationToken) {
    let controller = &fence.controller;
    // Counted from before the request was sent: the store counts from a later moment, so we stop first.
    let mut expires = granted_at + BELIEVED;
    let given_up = loop {
        let ended = tokio::select! {
            () = lost.cancelled() => break true,
            ended = keep_alive(&store, &fence, lease, &mut expires) => ended,
        };
        match ended {
            Ended::Gone => break false,
            Ended::Broken if Instant::now() >= expires => break false,
            Ended::Broken => {
                tokio::select! {
                    () = lost.cancelled() => break true,
                    () = sleep_until(expires.min(Instant::now() + Duration::from_millis(200))) => {}
                }
            }
        }
    };
    if given_up {
        tracing::info!(controller, "giving up leadership");
        revoke(&store, lease).await;
    } else {
        tracing::warn!(controller, "leadership lost: the lease was not renewed in time, or the key was taken away");
    }
    lost.cancel();
}

enum Ended {
    /// The lease has run out, or the key is no longer ours.
    Gone,
    /// The stream has; the lease may live.
    Broken,
}

async fn keep_alive(store: &Store, fence: &Fence, lease: i64, expires: &mut Instant) -> Ended {
    let mut client = store.client.lease_client();
    let Ok(Ok((mut keeper, mut answers))) = tokio::time::timeout_at(*expires, client.keep_alive(lease)).await else {
        return Ended::Broken;
    };
    loop {
        let asked_at = Instant::now();
        if keeper.keep_alive().await.is_err() {
            return Ended::Broken;
        }
        match tokio::time::timeout_at(*expires, answers.message()).await {
            Ok(Ok(Some(answer))) if answer.ttl() > 0 => *expires = asked_at + BELIEVED,
            Ok(Ok(Some(_))) => return Ended::Gone,
            Err(_) => return Ended::Gone,
            Ok(_) => return Ended::Broken,
        }
        // A lease can outlive its key (somebody deleted it): a leader that went on would be refused every write, for ever, and
        // nobody else would stand. A look that fails says nothing.
        if let Ok(Ok(false)) = timeout(RENEW_EVERY, holds(store, fence)).await {
            return Ended::Gone;
        }
        sleep(RENEW_EVERY).await;
    }
}

/// Whether the key is still the one that was put when the leadership was won.
async fn holds(store: &Store, fence: &Fence) -> Result<bool, Error> {
    let compare = etcd_client::Compare::create_revision(fence.key.clone(), etcd_client::CompareOp::Equal, fence.token);
    let mut kv = store.kv();
    Ok(store.read(async move { kv.txn(Txn::new().when([compare])).await }).await?.succeeded())
}

async fn revoke(store: &Store, lease: i64) {
    let mut client = store.client.lease_client();
    if let Err(error) = store.read(async move { client.revoke(lease).await }).await {
        tracing::debug!(%error, "a lease is left to run out");
    }
}
