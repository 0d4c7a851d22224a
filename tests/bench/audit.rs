//! What the audit log costs: many actions are carried out, all of what was recorded is verified, and the price of a record is set
//! against the time of an action.
//!
//! The actions are `status_check`s, the cheapest there are: of any other the share is smaller. The price of a record is taken on
//! the same store as the difference of two writes in turn: a status written the way controllers do, and a bare transaction that
//! puts the same bytes under a leader's and a revision's comparison. What the library does around a write counts as the record's.

#[path = "../support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use etcd_client::{Compare, CompareOp, Txn, TxnOp};
use futures::StreamExt;
use support::peer::{Durability, Kind, Peer};
use support::stops::{since, stop};
use support::{Daemon, Example, apply, available, connect, phase, server, until, wicapctl};
use wicap::api::action::{ActionKind, ActionPhase, ActionRun, ActionRunSpec, Cause, CauseKind, Params};
use wicap::api::stack::WicapStack;
use wicap::api::stop::EmergencyStop;
use wicap::store::Store;
use wicap::store::audit::Lane;
use wicap::store::election::campaign;

/// Asked for at the same time.
const AT_ONCE: usize = 8;

/// Pairs of transactions, with a record and without.
const PAIRS: usize = 1000;

#[tokio::main]
async fn main() {
    // Cargo passes `--bench`; the number of actions is ours.
    let actions: usize = std::env::args().skip(1).find_map(|a| a.parse().ok()).unwrap_or(10_000);
    let peer = Peer::start(Kind::under_test(), Durability::Disk).await;
    let (url, data_dir) = (peer.endpoint(), tempfile::tempdir().expect("there is room"));
    let store = connect(&url).await;
    let record = price(&store, &url).await;

    let example = Example::new("bench-audit");
    example.compose(&["up", "--detach", "redis", "scout", "processor", "ui"]);
    let directory = data_dir.path().to_str().expect("the path is text");
    let _daemon = Daemon::start_quietly_with(&url, example.path(), &["--data-dir", directory]);
    apply(&url, &[example.stack(|_| {}), example.policy(), example.session("bench", "Assist")]);
    until::<WicapStack>(&store, "wicap", "Available", available).await;
    let before = recorded(&store).await;

    let began = Instant::now();
    let mut running = futures::stream::iter(0..actions).map(|n| one(&store, n)).buffer_unordered(AT_ONCE);
    let (mut took, mut done) = (Vec::with_capacity(actions), 0);
    while let Some(one) = running.next().await {
        took.push(one);
        done += 1;
        if done % 1000 == 0 {
            eprintln!("{done} of {actions} done");
        }
    }
    let all = began.elapsed();
    drop(running);

    let began = Instant::now();
    let verified = wicapctl(&url, &["audit", "verify", "--data-dir", directory], "");
    let verifying = began.elapsed();
    print!("{}{}", verified.out, verified.err);
    assert_eq!(verified.code, 0, "the chain is whole");
    // Without those of the price, and of what came before the first action.
    let control = recorded(&store).await - before;
    took.sort();
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    let (each, records) = (all / u32::try_from(actions).expect("few"), control as f64 / actions as f64);
    let ms = |d: Duration| d.as_secs_f64() * 1e3;
    println!("{actions} status_checks in {:.1} s, {AT_ONCE} asked for at once", all.as_secs_f64());
    println!("an action: {:.2} ms of the actuator, {:.2} ms from start to end (median)", ms(each), ms(took[took.len() / 2]));
    println!("records of controllers: {control}, {records:.1} an action; all verified in {:.1} s", verifying.as_secs_f64());
    println!("a write with its record {:.3} ms, without {:.3} ms (medians of {PAIRS}, in turn)", ms(record.0), ms(record.1));
    let price = ms(record.0.saturating_sub(record.1));
    println!(
        "a record: {price:.3} ms; {:.1} % of an action's time, {:.1} % for all of its records",
        100.0 * price / ms(each),
        100.0 * records * price / ms(each)
    );
}

/// How many records controllers have written so far.
async fn recorded(store: &Store) -> u64 {
    let heads = store.audit().heads().await.expect("the store answers");
    heads.of(Lane::Control).expect("controllers have written").as_ref().expect("it is whole").seq
}

/// Median times of a status written with its record, and of the same without.
async fn price(store: &Store, url: &str) -> (Duration, Duration) {
    let leadership = campaign(store, "pricer", "bench").await;
    let stops = store.api::<EmergencyStop>();
    let mut raw = server::client(url).await;
    raw.put("/bench/fence", "", None).await.expect("the store answers");
    // Of a stack that is not there.
    let mut priced = stops.create(&stop("priced", "a bench")).await.expect("the store answers");
    let key = "/bench/plain";
    let (mut with, mut without) = (Vec::new(), Vec::new());
    let mut revision = 0;
    for pair in 0..PAIRS {
        for turn in [pair % 2 == 0, pair % 2 != 0] {
            let began = Instant::now();
            if turn {
                let next = since(priced.clone(), i64::try_from(pair).expect("few"));
                priced = stops.replace_status(&next, Some(&leadership.fence)).await.expect("nobody else writes");
                with.push(began.elapsed());
            } else {
                let value = serde_json::to_vec(&priced.status).expect("it was stored");
                let fence = Compare::create_revision("/bench/fence", CompareOp::Greater, 0);
                let same = Compare::mod_revision(key, CompareOp::Equal, revision);
                let put = Txn::new().when([fence, same]).and_then([TxnOp::put(key, value, None)]);
                let answer = raw.txn(put).await.expect("the store answers");
                assert!(answer.succeeded(), "nobody else writes");
                revision = answer.header().expect("there is one").revision();
                without.push(began.elapsed());
            }
        }
    }
    leadership.resign().await;
    with.sort();
    without.sort();
    (with[PAIRS / 2], without[PAIRS / 2])
}

/// Asks for one action; returns the time from its start to its end, as its status has it.
async fn one(store: &Store, n: usize) -> Duration {
    let spec = ActionRunSpec {
        stack: "wicap".to_owned(),
        action: ActionKind::StatusCheck,
        target: "ui".to_owned(),
        params: Params::default(),
        session: "bench".to_owned(),
        cause: Cause {
            kind: CauseKind::Operator,
            summary: "a bench".to_owned(),
            drift: None,
            since: None,
            object: None,
            attempt: None,
        },
        timeout: None,
        dry_run: false,
    };
    let name = format!("bench-{n}");
    store.api::<ActionRun>().create(&ActionRun::new(&name, spec)).await.expect("the store answers");
    let run: ActionRun = until(store, &name, "ended", |run: &ActionRun| phase(run).is_final()).await;
    let status = run.status.expect("it has ended");
    assert_eq!(status.phase, ActionPhase::Succeeded, "{status:#?}");
    let (from, to) = (status.started_at.expect("it began"), status.finished_at.expect("it has ended"));
    wicap::api::elapsed(from, to)
}
