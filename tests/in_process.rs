//! Controllers, their store and their clock in one thread of one process: minutes pass in no time, and each time the same way.

mod support;

use std::time::Duration;

use serde_json::json;
use support::{alone, until};
use tokio_util::sync::CancellationToken;
use wicap::api::Time;
use wicap::api::session::{ControlSession, SessionPhase};
use wicap::api::stack::WicapStack;
use wicap::clock::Clock;
use wicap::controllers::run;
use wicap::store::Store;
use wicap::store::embedded::{Embedded, Options};

/// How long the session is asked for: some hundred renewals of the leaders' leases.
const TTL: Duration = Duration::from_secs(600);

/// As if in a process of its own: it shares nothing but the store. Cancelling ends it in good order.
fn process(store: &Store, identity: &str) -> CancellationToken {
    let shutdown = CancellationToken::new();
    let context = alone(store, identity);
    let ending = shutdown.clone();
    tokio::spawn(async move { run(context, &"session".parse().unwrap(), ending).await });
    shutdown
}

fn phase(session: &ControlSession) -> SessionPhase {
    session.status.as_ref().map_or(SessionPhase::Pending, |status| status.phase)
}

/// A session is opened, its first controller ends half-way, and its time runs out. Returns when it began and ended by its own
/// word, and when that was seen.
async fn session() -> (Option<Time>, Option<Time>, Time) {
    let embedded = Embedded::in_memory(Options::default()).unwrap();
    let clock = Clock::of_runtime("2026-01-01T20:00:00Z".parse().unwrap());
    let store = Store::with_client(embedded.client().await.unwrap(), "embedded".parse().unwrap(), clock.clone());
    let first = process(&store, "first");
    let second = process(&store, "second");

    let stack = json!({
        "apiVersion": "wicap.dev/v1alpha1", "kind": "WicapStack", "metadata": {"name": "wicap"},
        "spec": {
            "compose": {"project": "wicap", "directory": "/opt/wicap"}, "services": [{"name": "processor"}],
        },
    });
    let wanted = json!({
        "apiVersion": "wicap.dev/v1alpha1", "kind": "ControlSession", "metadata": {"name": "night"},
        "spec": {
            "stack": "wicap", "mode": "Monitor", "ttl": "10m", "operator": "tester@localhost", "reason": "a test",
            "allowedActions": [],
        },
    });
    store.api::<WicapStack>().create(&serde_json::from_value(stack).unwrap()).await.unwrap();
    let sessions = store.api::<ControlSession>();
    sessions.create(&serde_json::from_value(wanted).unwrap()).await.unwrap();
    let active = until::<ControlSession>(&store, "night", "Active", |s| phase(s) == SessionPhase::Active).await;
    let expires = active.status.as_ref().and_then(|status| status.expires_at).expect("it says when it ends");
    assert_eq!(expires, wicap::api::after(active.status.as_ref().unwrap().started_at.unwrap(), TTL));

    tokio::time::sleep(TTL / 2).await;
    first.cancel();
    let left = wicap::api::elapsed(clock.now(), expires);
    tokio::time::sleep(left.saturating_sub(Duration::from_millis(1))).await;
    assert_eq!(phase(&sessions.get("night").await.unwrap()), SessionPhase::Active, "a millisecond is left");
    let ended = until::<ControlSession>(&store, "night", "Expired", |s| phase(s) == SessionPhase::Expired).await;
    let seen = clock.now();
    assert!(wicap::api::elapsed(expires, seen) <= Duration::from_millis(5), "it ended at {seen}, not at {expires}");
    second.cancel();
    let status = ended.status.unwrap();
    (status.started_at, status.expires_at, seen)
}

#[tokio::test(start_paused = true)]
async fn a_session_lasts_its_time_to_the_millisecond_whoever_leads_and_always_in_the_same_way() {
    assert_eq!(session().await, session().await);
}
