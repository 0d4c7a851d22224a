//! Soaks in one thread whose clock is paused: a long one stays within bounds and no check drifts; what a schedule names is made once.

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt;
use serde_json::{Value, json};
use support::alone;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use wicap::api::schedule::ScheduledSoak;
use wicap::api::soak::{SoakPhase, SoakRun, Verdict};
use wicap::api::stack::{HEARTBEAT, WicapStack};
use wicap::api::{Object, condition};
use wicap::clock::Clock;
use wicap::controllers::run;
use wicap::observe::dial::Dialer;
use wicap::soak::evidence::Evidence;
use wicap::soak::journal;
use wicap::store::Store;
use wicap::store::embedded::{Embedded, Options};

const HOUR: Duration = Duration::from_secs(3600);
/// Hours of the long soak. `hack/test` has three days in a build with optimisation; most of the work is the leader's lease.
fn hours() -> u32 {
    std::env::var("WICAP_SOAK_HOURS").ok().map_or(6, |hours| hours.parse().expect("a number of hours"))
}

/// A page that always answers.
fn page() -> Dialer {
    Dialer::simulated(Arc::new(|_: &str, _: u16| {
        async {
            let (ours, mut theirs) = duplex(4096);
            tokio::spawn(async move {
                let _ = theirs.read(&mut [0; 4096]).await;
                let _ = theirs.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            });
            Ok(ours)
        }
        .boxed()
    }))
}

/// A soak controller in a process of its own.
fn process(store: &Store, identity: &str, directory: &Path) -> CancellationToken {
    let shutdown = CancellationToken::new();
    let context = wicap::controllers::Context { data_dir: directory.to_owned(), dialer: page(), ..alone(store, identity) };
    let ending = shutdown.clone();
    tokio::spawn(async move { run(context, &"soak".parse().unwrap(), ending).await });
    shutdown
}

fn object<K: Object>(kind: &str, name: &str, spec: Value) -> K {
    let object = json!({"apiVersion": "wicap.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    serde_json::from_value(object).unwrap()
}

/// What an observer writes with each heartbeat: the stack is well, and its events come at a rate that hardly moves.
async fn observe(store: Store) {
    for n in 0_u32.. {
        let now = store.clock().now();
        let mut stack = store.api::<WicapStack>().get("wicap").await.unwrap();
        let status = stack.status.get_or_insert_default();
        let services = json!([{"name": "ui", "state": "Running", "containerId": "c", "startedAt": "2026-01-01T00:00:00Z",
            "probes": [{"name": "status", "state": "Passing", "samples": {"eps": 0.3 + 0.01 * f64::from(n % 7)}}]}]);
        status.services = serde_json::from_value(services).unwrap();
        status.observed_at = Some(now);
        let up = condition::Status::True;
        condition::set(&mut status.conditions, condition::AVAILABLE, up, "Up", String::new(), None, now);
        store.api().replace_status(&stack, None).await.unwrap();
        sleep(HEARTBEAT).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_soak_stays_within_bounds_and_no_check_drifts() {
    let hours = hours();
    let whole = hours * HOUR;
    let directory = tempfile::tempdir().unwrap();
    let embedded = Embedded::in_memory(Options::default()).unwrap();
    let clock = Clock::of_runtime("2026-01-01T00:00:00Z".parse().unwrap());
    let client = embedded.client().await.unwrap();
    let store = Store::with_client(client.clone(), "embedded".parse().unwrap(), clock);
    let stack =
        json!({"host": "here", "compose": {"project": "wicap", "directory": "/opt/wicap"}, "services": [{"name": "ui"}]});
    store.api::<WicapStack>().create(&object("WicapStack", "wicap", stack)).await.unwrap();
    tokio::spawn(observe(store.clone()));
    let spec = json!({
        "stack": "wicap", "duration": format!("{hours}h"), "samples": {"interval": "30s"},
        "checks": [
            {"name": "page", "period": "1m", "httpGet": {"port": 80}},
            {"name": "odd", "period": "7m", "httpGet": {"port": 80}},
        ],
        "criteria": {"expressions": [
            {"name": "events", "value": "ratioToStart('ui/eps')", "min": 0.75},
            {"name": "steady", "value": "leak('ui/eps')", "max": 0.01},
        ]},
    });
    store.api::<SoakRun>().create(&object("SoakRun", "long", spec)).await.unwrap();

    // The largest that the run ever was in the store, both halves together.
    let largest = Arc::new(AtomicUsize::new(0));
    let (watched, sizes) = (store.clone(), Arc::clone(&largest));
    tokio::spawn(async move {
        use futures::StreamExt;
        use kube::runtime::watcher::Event;
        let mut events = Box::pin(watched.api::<SoakRun>().watch(&wicap::store::WatchParams::default()).unwrap());
        while let Some(Ok(event)) = events.next().await {
            if let Event::Apply(run) | Event::InitApply(run) = event {
                sizes.fetch_max(serde_json::to_vec(&run).unwrap().len(), Ordering::Relaxed);
            }
        }
    });

    // Each process is followed by another one, at moments that fit no period.
    let begun = Instant::now();
    let mut working = process(&store, "p0", directory.path());
    for life in 1_u32..8 {
        sleep_until(begun + life * whole / 9 + Duration::from_secs(137 * u64::from(life))).await;
        working.cancel();
        working = process(&store, &format!("p{life}"), directory.path());
    }
    sleep_until(begun + whole + HOUR).await;

    let run = store.api::<SoakRun>().get("long").await.unwrap();
    let status = run.status.clone().unwrap();
    assert_eq!((status.phase, status.verdict), (SoakPhase::Completed, Some(Verdict::Passed)), "{:#?}", status.reasons);
    let told = status.evidence.unwrap();
    let evidence = Evidence::of(&journal::read(directory.path(), &told).unwrap());
    let since = evidence.began(SoakPhase::Soaking).unwrap();

    let mut worst = Duration::ZERO;
    for (name, period, count) in [("page", 60, hours * 60), ("odd", 420, (hours * 3600).div_ceil(420))] {
        let made = &evidence.checks[name];
        // The first is at the beginning, so that there is one more than there are periods.
        assert_eq!(made.results.len() + made.missed as usize, count as usize + 1, "{name}: each once");
        assert!(
            made.missed <= 7,
            "{name}: {} missed, at most one each time that a process was followed by another",
            made.missed
        );
        for result in &made.results {
            let at = wicap::api::elapsed(since, result.at);
            let off = Duration::from_secs(at.as_secs() % period) + Duration::from_nanos(at.subsec_nanos().into());
            let is_last = at >= whole;
            if !is_last {
                worst = worst.max(off);
            }
        }
    }
    let samples = evidence.series["ui/eps"].len();
    let version = |key: String| {
        let mut client = client.clone();
        async move { client.get(key, None).await.unwrap().kvs()[0].version() }
    };
    let writes = version("/wicap.dev/soakruns.status/long".to_owned()).await;
    let size = largest.load(Ordering::Relaxed);
    println!(
        "{hours} h: {} records, {} bytes; {writes} writes of the status, at most {size} bytes; {samples} samples; no check later than {worst:?}",
        told.records, told.bytes
    );
    assert!(worst < Duration::from_secs(1), "{worst:?}");
    assert!((hours as usize * 120 - 10..=hours as usize * 120 + 1).contains(&samples), "{samples}");
    // One a minute, and what is of note.
    assert!(writes <= i64::from(hours) * 60 + 50, "{writes}");
    assert!(size < 16 * 1024, "{size} bytes");
    working.cancel();
}

/// A schedule controller in a process of its own.
fn schedules(store: &Store, identity: &str) -> CancellationToken {
    let (context, shutdown) = (alone(store, identity), CancellationToken::new());
    let ending = shutdown.clone();
    tokio::spawn(async move { run(context, &"schedule".parse().unwrap(), ending).await });
    shutdown
}

/// Ends each run as passed some minutes after it was made, and notes which there ever were.
async fn carry_out(store: Store, lasts: Duration, seen: Arc<std::sync::Mutex<std::collections::BTreeSet<String>>>) {
    use futures::StreamExt;
    use kube::runtime::watcher::Event;
    let mut events = Box::pin(store.api::<SoakRun>().watch(&wicap::store::WatchParams::default()).unwrap());
    while let Some(Ok(event)) = events.next().await {
        let (Event::Apply(run) | Event::InitApply(run)) = event else { continue };
        if !seen.lock().unwrap().insert(run.name().to_owned()) {
            continue;
        }
        let store = store.clone();
        tokio::spawn(async move {
            sleep(lasts).await;
            let Some(mut run) = store.api::<SoakRun>().get_opt(run.name()).await.unwrap() else { return };
            let status = json!({"phase": "Completed", "verdict": "Passed", "finishedAt": store.clock().now()});
            run.status = serde_json::from_value(status).unwrap();
            store.api().replace_status(&run, None).await.unwrap();
        });
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_schedule_names_is_made_once_whatever_becomes_of_the_controllers() {
    let embedded = Embedded::in_memory(Options::default()).unwrap();
    let clock = Clock::of_runtime("2026-01-01T00:00:30Z".parse().unwrap());
    let store = Store::with_client(embedded.client().await.unwrap(), "embedded".parse().unwrap(), clock);
    let seen = Arc::default();
    tokio::spawn(carry_out(store.clone(), Duration::from_secs(180), Arc::clone(&seen)));
    let checks = json!([{"name": "page", "period": "1m", "httpGet": {"port": 80}}]);
    let spec = json!({
        "schedule": "*/10 * * * *", "successfulRunsHistoryLimit": 2,
        "runTemplate": {"labels": {"by": "clock"}, "spec": {"stack": "wicap", "duration": "3m", "checks": checks}},
    });
    store.api::<ScheduledSoak>().create(&object("ScheduledSoak", "night", spec)).await.unwrap();

    let begun = Instant::now();
    let mut processes = [schedules(&store, "a0"), schedules(&store, "b0")];
    for life in 1_u32..=36 {
        // Around each full ten minutes, before and after.
        sleep_until(begun + Duration::from_secs(u64::from(life) * 300 - 30) + Duration::from_millis(u64::from(life) * 7))
            .await;
        let turn = usize::try_from(life % 2).unwrap();
        processes[turn].cancel();
        processes[turn] = schedules(&store, &format!("{}{life}", ["a", "b"][turn]));
    }
    sleep_until(begun + 3 * HOUR + Duration::from_secs(200)).await;
    let names: Vec<String> = seen.lock().unwrap().iter().cloned().collect();
    let first = 1_767_225_600 / 60;
    let expected: Vec<String> = (1..=18).map(|n| format!("night-{}", first + n * 10)).collect();
    assert_eq!(names, expected);
    let left = store.api::<SoakRun>().list(&wicap::store::ListParams::default()).await.unwrap();
    let left: Vec<&str> = left.items.iter().map(Object::name).collect();
    assert_eq!(left, expected[16..], "the others are over the limit");
    let status = store.api::<ScheduledSoak>().get("night").await.unwrap().status.unwrap();
    assert_eq!((status.missed, status.active.len()), (0, 0));

    // Nobody looks for an hour: one run is made up for, five are missed and told.
    processes.iter().for_each(CancellationToken::cancel);
    sleep(HOUR).await;
    let _again = schedules(&store, "c");
    sleep(Duration::from_secs(60)).await;
    let status = store.api::<ScheduledSoak>().get("night").await.unwrap().status.unwrap();
    assert_eq!((status.missed, seen.lock().unwrap().len()), (5, 19));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_due_while_another_is_under_way_waits_or_replaces_it() {
    for (policy, lasts, expected) in [("Forbid", 25, 2), ("Allow", 25, 4), ("Replace", 25, 2)] {
        let embedded = Embedded::in_memory(Options::default()).unwrap();
        let clock = Clock::of_runtime("2026-01-01T00:05:00Z".parse().unwrap());
        let store = Store::with_client(embedded.client().await.unwrap(), "embedded".parse().unwrap(), clock);
        let seen = Arc::default();
        tokio::spawn(carry_out(store.clone(), Duration::from_secs(lasts * 60), Arc::clone(&seen)));
        let checks = json!([{"name": "page", "period": "1m", "httpGet": {"port": 80}}]);
        let spec = json!({
            "schedule": "*/10 * * * *", "concurrencyPolicy": policy,
            "runTemplate": {"spec": {"stack": "wicap", "duration": "3m", "checks": checks}},
        });
        store.api::<ScheduledSoak>().create(&object("ScheduledSoak", "night", spec)).await.unwrap();
        let _process = schedules(&store, "a");
        sleep(Duration::from_secs(40 * 60)).await;
        assert_eq!(seen.lock().unwrap().len(), expected, "{policy}");
        let first = seen.lock().unwrap().iter().next().cloned().unwrap();
        let first = store.api::<SoakRun>().get(&first).await.unwrap();
        assert_eq!(first.spec.abort, policy == "Replace", "{policy}");
    }
}
