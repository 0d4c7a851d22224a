//! How long a store takes from its start to its first answer when it holds much, beside etcd: after it was told to end, and
//! after it was killed while it wrote, when it has to look at its file first.
//!
//! Each round starts every peer in turn as a process of its own on an empty directory; the order turns by one each round. The
//! file is in the kernel's cache at every start, for both.

#[path = "../support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use futures::future::join_all;
use support::peer::{Durability, Kind, Peer};

/// As many objects as a host will hardly have, of the size of one with its status.
const OBJECTS: usize = 100_000;
const VALUE: usize = 2 * 1024;

/// Writers at the same time.
const WRITERS: usize = 64;

/// What is measured of each peer.
const FIGURES: [&str; 2] = ["after it was told to end", "after it was killed while it wrote"];

#[tokio::main]
async fn main() {
    // Cargo passes `--bench`; the number of rounds is ours.
    let rounds: usize = std::env::args().skip(1).find_map(|a| a.parse().ok()).unwrap_or(3);
    let kinds = [Kind::Etcd, Kind::under_test()];
    println!("{rounds} rounds; start to first answer with {OBJECTS} objects of {VALUE} bytes, ms");
    let mut measured = vec![vec![Vec::new(); FIGURES.len()]; kinds.len()];
    for round in 0..rounds {
        for turn in 0..kinds.len() {
            let which = (round + turn) % kinds.len();
            for (figure, took) in one_round(kinds[which]).await.into_iter().enumerate() {
                measured[which][figure].push(took.as_secs_f64() * 1e3);
            }
        }
        eprintln!("round {} of {rounds} done", round + 1);
    }
    for (figure, name) in FIGURES.iter().enumerate() {
        let mut medians = Vec::new();
        for (kind, measured) in kinds.iter().zip(&mut measured) {
            let rounds: String = measured[figure].iter().map(|ms| format!(" {ms:>8.1}")).collect();
            measured[figure].sort_by(f64::total_cmp);
            medians.push(measured[figure][measured[figure].len() / 2]);
            println!("{name:<36} {:<11}{rounds}   median {:>8.1}", kind.name(), medians[medians.len() - 1]);
        }
        println!("{name:<36} ratio {:.2}", medians[1] / medians[0]);
    }
}

async fn one_round(kind: Kind) -> [Duration; 2] {
    let mut peer = Peer::start(kind, Durability::Disk).await;
    write(&peer, OBJECTS).await;
    peer.stop();
    let ended = launched(&mut peer).await;
    // Killed in the middle of writing, so that what it did last is not yet what its file says.
    let client = peer.client().await;
    let writing = tokio::spawn(async move {
        let mut client = client;
        while client.put("objects/0", value(0), None).await.is_ok() {}
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    peer.kill();
    writing.await.expect("the writer ends with the store");
    [ended, launched(&mut peer).await]
}

async fn launched(peer: &mut Peer) -> Duration {
    let begun = Instant::now();
    peer.launch().await;
    let took = begun.elapsed();
    let count =
        peer.client().await.get("objects/", Some(etcd_client::GetOptions::new().with_prefix().with_count_only())).await;
    assert_eq!(count.expect("it is answered").count(), i64::try_from(OBJECTS).expect("it is small"));
    took
}

async fn write(peer: &Peer, count: usize) {
    let client = peer.client().await;
    let writers = (0..WRITERS).map(|writer| {
        let mut client = client.clone();
        tokio::spawn(async move {
            for n in (writer..count).step_by(WRITERS) {
                client.put(format!("objects/{n}"), value(n), None).await.expect("a put is acknowledged");
            }
        })
    });
    join_all(writers).await.into_iter().for_each(|written| written.expect("a writer ends"));
}

/// Differs from one key to the next, and looks like text.
fn value(n: usize) -> Vec<u8> {
    format!("{n:08x}").into_bytes().repeat(VALUE / 8)
}
