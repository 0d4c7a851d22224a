//! Time from a container's death to its running again: by wicap with hold-off 0, and by hand, which is the floor.
//!
//! Both on the same container, in turn. By hand means: the engine's `die` event is received, and the engine's `start` is called
//! at once, through the same client library, in one process, while an EmergencyStop keeps wicap's hands off. Times are the
//! engine's own: from the `die` event to the `start` event.

#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use futures::StreamExt;
use serde_json::json;
use support::docker::docker;
use support::etcd::Etcd;
use support::{Daemon, Example, apply, connect, until, wicapctl};
use wicap::api::condition;
use wicap::api::stack::WicapStack;
use wicap::observe::engine::{ContainerEvent, Engine};

#[tokio::main]
async fn main() {
    // Cargo passes `--bench`; the number of trials is ours.
    let trials: usize = std::env::args().skip(1).find_map(|a| a.parse().ok()).unwrap_or(20);
    let etcd = Etcd::start_durable().await;
    let example = Example::new("bench");
    let url = etcd.url();
    let _daemon = Daemon::start_quietly(&url, example.path());
    let store = connect(&url).await;
    let stack = example.stack(|s| {
        s["spec"]["defaults"]["recovery"] = json!({
            "holdOff": "0s", "backoff": {"initial": "0s", "max": "0s"},
            "ladder": [{"action": "start_service", "attempts": 1_000_000}, {"action": "compose_up", "attempts": 2}],
        });
    });
    apply(&url, &[stack, example.policy(), example.session("bench", "Assist")]);
    let available = |stack: &WicapStack| {
        let status = stack.status.as_ref();
        status.is_some_and(|s| condition::get(&s.conditions, condition::AVAILABLE).is_some_and(|c| c.status == "True"))
    };
    let engine = Engine::new("unix:///var/run/docker.sock").expect("the address is right");
    let (mut by_wicap, mut by_hand) = (Vec::new(), Vec::new());
    for trial in 0..trials {
        for wicap in [trial % 2 == 0, trial % 2 != 0] {
            until::<WicapStack>(&store, "wicap", "Available", available).await;
            if !wicap {
                assert_eq!(wicapctl(&url, &["stop", "--all", "--reason", "the floor"], "").code, 0);
            }
            let took = one(&engine, &example, !wicap).await;
            if wicap {
                by_wicap.push(took);
            } else {
                by_hand.push(took);
            }
            until::<WicapStack>(&store, "wicap", "Available", available).await;
            if !wicap {
                assert_eq!(wicapctl(&url, &["resume", "--all"], "").code, 0);
            }
        }
    }
    let (ours, floor) = (summary(&mut by_wicap), summary(&mut by_hand));
    println!("container death to running again, {trials} trials of each, milliseconds");
    println!("            min  median     p95     max");
    println!("wicap   {:>7.1} {:>7.1} {:>7.1} {:>7.1}", ours[0], ours[1], ours[2], ours[3]);
    println!("by hand {:>7.1} {:>7.1} {:>7.1} {:>7.1}", floor[0], floor[1], floor[2], floor[3]);
    println!("median ratio {:.2}", ours[1] / floor[1]);
}

/// One death; returns the time from its `die` to the next `start`.
async fn one(engine: &Engine, example: &Example, by_hand: bool) -> Duration {
    let mut events = std::pin::pin!(engine.events());
    let of_processor =
        |e: &ContainerEvent, action: &str| e.project == example.project && e.service == "processor" && e.action == action;
    let container = example.container("processor");
    let killing = tokio::task::spawn_blocking(move || docker(&["kill", &container]));
    let mut died = None;
    while let Some(event) = events.next().await {
        let event = event.expect("the engine's events go on");
        if of_processor(&event, "die") {
            died = Some(event.time);
            if by_hand {
                engine.start(&event.container_id).await.expect("the container starts");
            }
        } else if of_processor(&event, "start")
            && let Some(died) = died
        {
            killing.await.expect("docker kill ends");
            return wicap::api::elapsed(died, event.time);
        }
    }
    unreachable!("the engine's events do not end without an error")
}

/// Least, median, 95th percentile, greatest, in milliseconds.
fn summary(times: &mut [Duration]) -> [f64; 4] {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1000.0;
    [at(0), at(50), at(95), at(100)]
}
