//! A person is called once, by an Incident that bears all that is known, whoever plans; and what becomes of it.

mod support;

use std::time::Duration;

use serde_json::json;
use support::{alone, until, until_within};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use wicap::api::incident::{Incident, IncidentPhase};
use wicap::api::stack::{ServiceState, ServiceStatus, WicapStack};
use wicap::api::{Object, condition};
use wicap::clock::Clock;
use wicap::controllers::run;
use wicap::store::election::{Leadership, campaign};
use wicap::store::embedded::{Embedded, Options};
use wicap::store::{ListParams, Store};

/// A planner as if in a process of its own. Cancelling ends it in good order.
fn planner(store: &Store, identity: &str) -> CancellationToken {
    let shutdown = CancellationToken::new();
    let context = alone(store, identity);
    let ending = shutdown.clone();
    tokio::spawn(async move { run(context, &"planner".parse().unwrap(), ending).await });
    shutdown
}

/// Writes down what an observer would see of `ui`.
async fn see(store: &Store, observer: &Leadership, state: ServiceState) {
    let stack = store.api::<WicapStack>().get("wicap").await.unwrap();
    let now = store.clock().now();
    let stacks = store.api::<WicapStack>();
    let seen = stacks.update_status(&stack, &observer.fence, |_, status| {
        let since = status.service("ui").filter(|s| s.state == state).and_then(|s| s.since).or(Some(now));
        status.observed_at = Some(now);
        status.services = vec![ServiceStatus { name: "ui".to_owned(), state, since, ..ServiceStatus::default() }];
    });
    seen.await.unwrap();
}

async fn incidents(store: &Store) -> Vec<Incident> {
    let mut all = store.api::<Incident>().list(&ListParams::default()).await.unwrap().items;
    all.sort_by_key(|i| i.name().to_owned());
    all
}

fn phase(incident: &Incident) -> IncidentPhase {
    incident.status.as_ref().map_or(IncidentPhase::Open, |status| status.phase)
}

#[tokio::test(start_paused = true)]
async fn a_person_is_called_once_and_again_only_after_an_acknowledgement_or_a_stable_spell() {
    let embedded = Embedded::in_memory(Options::default()).unwrap();
    let clock = Clock::of_runtime("2026-01-01T20:00:00Z".parse().unwrap());
    let store = Store::with_client(embedded.client().await.unwrap(), "embedded".parse().unwrap(), clock);
    let observer = campaign(&store, "observer.here", "test").await;
    let stack = json!({
        "apiVersion": "wicap.dev/v1alpha1", "kind": "WicapStack", "metadata": {"name": "wicap"},
        "spec": {
            "compose": {"project": "wicap", "directory": "/opt/wicap"}, "services": [{"name": "ui"}],
            "defaults": {"recovery": {"ladder": [], "resetAfter": "1m"}},
        },
    });
    let stack = store.api::<WicapStack>().create(&serde_json::from_value(stack).unwrap()).await.unwrap();
    see(&store, &observer, ServiceState::Exited).await;
    let first = planner(&store, "first");

    let called = |i: &Incident| phase(i) == IncidentPhase::Escalated;
    let uid: String = stack.metadata.uid.clone().unwrap().chars().take(5).collect();
    let name = |episode: u32| format!("wicap-ui-not-running-{uid}-{episode}");
    let incident = until::<Incident>(&store, &name(1), "escalated", called).await;
    let owner = &incident.metadata.owner_references.as_ref().unwrap()[0];
    assert_eq!((owner.name.as_str(), Some(&owner.uid)), ("wicap", stack.metadata.uid.as_ref()));
    let escalated = store.api::<WicapStack>().get("wicap").await.unwrap();
    let conditions = &escalated.status.as_ref().unwrap().conditions;
    assert!(condition::get(conditions, condition::ESCALATED).is_some_and(|c| c.status == "True"));

    // Another planner takes over, and the service stays as it is for ten minutes.
    first.cancel();
    let second = planner(&store, "second");
    for _ in 0..20 {
        see(&store, &observer, ServiceState::Exited).await;
        sleep(Duration::from_secs(30)).await;
    }
    let all = incidents(&store).await;
    assert_eq!(all, std::slice::from_ref(&incident), "ten minutes later it is as it was, and no other was made");

    let mut seen_to = incident;
    (seen_to.spec.acknowledged, seen_to.spec.by) = (true, Some("ann@host".to_owned()));
    store.api::<Incident>().replace(&seen_to).await.unwrap();
    until::<Incident>(&store, &name(2), "opened for the next episode", called).await;
    let all = incidents(&store).await;
    assert_eq!(all.iter().map(phase).collect::<Vec<_>>(), [IncidentPhase::Resolved, IncidentPhase::Escalated]);

    let well = async {
        loop {
            see(&store, &observer, ServiceState::Running).await;
            sleep(Duration::from_secs(10)).await;
        }
    };
    let second_call = name(2);
    let resolved = |i: &Incident| phase(i) == IncidentPhase::Resolved;
    tokio::select! {
        () = well => {}
        _ = until_within::<Incident>(&store, &second_call, "resolved", Duration::from_secs(90), resolved) => {}
    }
    second.cancel();
}
