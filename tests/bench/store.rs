//! The store beside etcd: how fast each answers one client, on one disk, in one run, and what memory it takes.
//!
//! Each round starts every peer in turn as a process of its own on an empty directory, measures, and throws it away; the order
//! turns by one each round. Every write is on the disk before it is acknowledged. Values have 2 KB, as an object of this store
//! has. The client is the same for all and runs on the same cores, so what is measured is the pair of both. etcd is there
//! twice: on a port, as everybody runs it, and on a unix socket, where only the store differs.

#[path = "../support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use etcd_client::{Client, GetOptions, WatchOptions};
use futures::future::join_all;
use support::peer::{Durability, Kind, Peer};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// About the size of an object with its status.
const VALUE: usize = 2 * 1024;
/// Enough for a 99th percentile, little enough for a slow disk.
const PUTS: usize = 500;
/// Writers at the same time, and the connections that they share.
const WRITERS: usize = 64;
const CONNECTIONS: usize = 8;
const PUTS_EACH: usize = 50;
/// Keys in one range, and how often they are read.
const RANGE: usize = 1_000;
const READS: usize = 30;
/// Watches, and the streams that they share.
const WATCHES: usize = 10_000;
const STREAMS: usize = 10;
/// Events measured for the time from a put to its event.
const EVENTS: usize = 300;
/// What the store holds when its memory and its start are looked at again.
const OBJECTS: usize = 10_000;
/// Before memory is read: what was only needed to get there may be given back.
const SETTLE: Duration = Duration::from_millis(500);

/// What was measured of one peer in one round, in the order of measuring.
#[derive(Default)]
struct Figures(Vec<(&'static str, &'static str, f64)>);

#[tokio::main]
async fn main() {
    // Cargo passes `--bench`; the number of rounds is ours.
    let rounds: usize = std::env::args().skip(1).find_map(|a| a.parse().ok()).unwrap_or(5);
    let mut kinds = vec![Kind::Etcd, Kind::EtcdUnix];
    if !kinds.contains(&Kind::under_test()) {
        kinds.push(Kind::under_test());
    }
    println!(
        "{rounds} rounds; values of {VALUE} bytes; {WRITERS} writers share {CONNECTIONS} connections, {WATCHES} watches share \
         {STREAMS} streams of one connection"
    );
    let mut measured: Vec<Vec<Figures>> = kinds.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for turn in 0..kinds.len() {
            let which = (round + turn) % kinds.len();
            measured[which].push(one_round(kinds[which]).await);
        }
        eprintln!("round {} of {rounds} done", round + 1);
    }
    print(&kinds, &measured);
}

/// All measurements of one peer on a fresh directory.
async fn one_round(kind: Kind) -> Figures {
    let mut figures = Figures::default();
    let mut peer = Peer::prepare(kind, Durability::Disk);
    figures.add("start to first answer, empty", "ms", timed(peer.launch()).await.as_secs_f64() * 1e3);
    figures.memory(&peer, ["resident, idle and empty", "of it anonymous"]).await;
    one_writer(&peer, &mut figures).await;
    many_writers(&peer, &mut figures).await;
    ranges(&peer, &mut figures).await;
    events(&peer, &mut figures).await;
    watches(&peer, &mut figures).await;
    range_watches(&peer, &mut figures).await;
    drop(peer);

    let mut peer = Peer::start(kind, Durability::Disk).await;
    fill(&peer, "objects", OBJECTS).await;
    figures.memory(&peer, ["resident, 10,000 objects just written", "of it anonymous, just written"]).await;
    peer.stop();
    figures.add("start to first answer, 10,000 objects", "ms", timed(peer.launch()).await.as_secs_f64() * 1e3);
    figures.memory(&peer, ["resident, 10,000 objects after a restart", "of it anonymous, after a restart"]).await;
    figures
}

async fn one_writer(peer: &Peer, figures: &mut Figures) {
    let mut client = warm(peer).await;
    let mut times = Vec::new();
    let begun = Instant::now();
    for n in 0..PUTS {
        times.push(timed(client.put(format!("one/{n}"), value(n), None)).await);
    }
    figures.rate("one writer", PUTS, begun.elapsed());
    figures.spread(["one writer, p50", "one writer, p99"], times);
}

async fn many_writers(peer: &Peer, figures: &mut Figures) {
    let clients = join_all((0..CONNECTIONS).map(|_| warm(peer))).await;
    let begun = Instant::now();
    let writers = (0..WRITERS).map(|writer| {
        let mut client = clients[writer % CONNECTIONS].clone();
        tokio::spawn(async move {
            let mut times = Vec::new();
            for n in 0..PUTS_EACH {
                times.push(timed(client.put(format!("many/{writer}/{n}"), value(n), None)).await);
            }
            times
        })
    });
    let times: Vec<Duration> = join_all(writers).await.into_iter().flat_map(|times| times.expect("a writer ends")).collect();
    figures.rate("64 writers", WRITERS * PUTS_EACH, begun.elapsed());
    figures.spread(["64 writers, p50", "64 writers, p99"], times);
}

async fn ranges(peer: &Peer, figures: &mut Figures) {
    fill(peer, "range", RANGE).await;
    let mut client = warm(peer).await;
    let mut times = Vec::new();
    for _ in 0..READS {
        let begun = Instant::now();
        let answer = client.get("range/", Some(GetOptions::new().with_prefix())).await.expect("a range is answered");
        times.push(begun.elapsed());
        assert_eq!(answer.kvs().len(), RANGE);
    }
    figures.spread(["1,000 keys in one range, p50", "1,000 keys in one range, p99"], times);
    let mut times = Vec::new();
    for n in 0..RANGE {
        times.push(timed(client.get(format!("range/{n}"), None)).await);
    }
    figures.spread(["one key, p50", "one key, p99"], times);
}

async fn events(peer: &Peer, figures: &mut Figures) {
    let mut seen = watch(&mut warm(peer).await, vec!["event".to_owned()], &WatchOptions::new()).await;
    let mut client = warm(peer).await;
    let times = put_to_event(&mut client, &mut seen, |_| "event".to_owned()).await;
    figures.spread(["put to event, p50", "put to event, p99"], times);
}

async fn watches(peer: &Peer, figures: &mut Figures) {
    let mut watcher = warm(peer).await;
    let keys = (0..WATCHES).map(|n| format!("watched/{n}")).collect();
    let begun = Instant::now();
    let mut seen = watch(&mut watcher, keys, &WatchOptions::new()).await;
    figures.add("10,000 watches, made", "ms", begun.elapsed().as_secs_f64() * 1e3);
    let mut client = warm(peer).await;
    // Spread over all streams; 7,919 is prime, so no key comes twice.
    let times = put_to_event(&mut client, &mut seen, |n| format!("watched/{}", n * 7_919 % WATCHES)).await;
    figures.spread(["put to event with them, p50", "put to event with them, p99"], times);
    figures.memory(peer, ["resident, with 10,000 watches", "of it anonymous, with watches"]).await;
}

/// The same with watches of ranges, in which the one that a key is in has to be found.
async fn range_watches(peer: &Peer, figures: &mut Figures) {
    let mut watcher = warm(peer).await;
    let prefixes = (0..WATCHES).map(|n| format!("ranged/{n}/")).collect();
    let mut seen = watch(&mut watcher, prefixes, &WatchOptions::new().with_prefix()).await;
    let mut client = warm(peer).await;
    let times = put_to_event(&mut client, &mut seen, |n| format!("ranged/{}/key", n * 7_919 % WATCHES)).await;
    figures.spread(["put to event with 10,000 ranges, p50", "put to event with 10,000 ranges, p99"], times);
}

/// Watches each key on one of the streams, and returns when all watches are made: then, when each event came.
async fn watch(client: &mut Client, keys: Vec<String>, options: &WatchOptions) -> UnboundedReceiver<Instant> {
    let (came, seen) = unbounded_channel();
    let streams = keys.chunks(keys.len().div_ceil(STREAMS)).map(|keys| {
        let (mut client, came, keys, options) = (client.clone(), came.clone(), keys.to_vec(), options.clone());
        async move {
            let expected = keys.len();
            let mut keys = keys.into_iter();
            let first = keys.next().expect("a chunk has a key");
            let stream = client.watch(first, Some(options.clone())).await.expect("a watch is made");
            let (mut requests, mut responses) = stream.split();
            let asking = tokio::spawn(async move {
                for key in keys {
                    requests.watch(key, Some(options.clone())).await.expect("a watch is asked for");
                }
                requests
            });
            let mut made = 0;
            while made < expected {
                let response = responses.message().await.expect("the stream goes on").expect("the stream goes on");
                made += usize::from(response.created());
            }
            let requests = asking.await.expect("all watches are asked for");
            tokio::spawn(async move {
                // As long as these can be sent, the stream is open.
                let _requests = requests;
                while let Ok(Some(response)) = responses.message().await {
                    let now = Instant::now();
                    if response.events().iter().any(|_| came.send(now).is_err()) {
                        return;
                    }
                }
            });
        }
    });
    join_all(streams).await;
    seen
}

/// From the call of each put to the event of it.
async fn put_to_event(
    client: &mut Client,
    seen: &mut UnboundedReceiver<Instant>,
    key: impl Fn(usize) -> String,
) -> Vec<Duration> {
    let mut times = Vec::new();
    for n in 0..EVENTS {
        let begun = Instant::now();
        client.put(key(n), value(n), None).await.expect("a put is acknowledged");
        times.push(seen.recv().await.expect("an event comes") - begun);
    }
    times
}

/// That many objects, by many writers.
async fn fill(peer: &Peer, prefix: &'static str, count: usize) {
    let client = warm(peer).await;
    let writers = (0..WRITERS).map(|writer| {
        let mut client = client.clone();
        tokio::spawn(async move {
            for n in (writer..count).step_by(WRITERS) {
                client.put(format!("{prefix}/{n}"), value(n), None).await.expect("a put is acknowledged");
            }
        })
    });
    join_all(writers).await.into_iter().for_each(|written| written.expect("a writer ends"));
}

/// A connection of its own that has had an answer.
async fn warm(peer: &Peer) -> Client {
    let mut client = peer.client().await;
    client.get("warm", None).await.expect("it answers");
    client
}

/// Differs from one key to the next, and looks like text.
fn value(n: usize) -> Vec<u8> {
    format!("{n:08x}").into_bytes().repeat(VALUE / 8)
}

async fn timed<T: Outcome>(doing: impl Future<Output = T>) -> Duration {
    let begun = Instant::now();
    doing.await.insist();
    begun.elapsed()
}

/// What is timed must have been done.
trait Outcome {
    fn insist(self);
}

impl Outcome for () {
    fn insist(self) {}
}

impl<T> Outcome for Result<T, etcd_client::Error> {
    fn insist(self) {
        self.expect("it is answered");
    }
}

impl Figures {
    fn add(&mut self, name: &'static str, unit: &'static str, figure: f64) {
        self.0.push((name, unit, figure));
    }

    fn rate(&mut self, name: &'static str, count: usize, took: Duration) {
        #[allow(clippy::cast_precision_loss)] // Counts here are far below the 52 bits that a double holds.
        self.add(name, "per s", count as f64 / took.as_secs_f64());
    }

    /// The median and the 99th percentile.
    fn spread(&mut self, names: [&'static str; 2], mut times: Vec<Duration>) {
        times.sort();
        for (name, percent) in names.into_iter().zip([50, 99]) {
            self.add(name, "µs", times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e6);
        }
    }

    async fn memory(&mut self, peer: &Peer, names: [&'static str; 2]) {
        tokio::time::sleep(SETTLE).await;
        let status = std::fs::read_to_string(format!("/proc/{}/status", peer.pid())).expect("it runs");
        for (name, field) in names.into_iter().zip(["VmRSS:", "RssAnon:"]) {
            let line = status.lines().find_map(|l| l.strip_prefix(field)).expect("Linux says it");
            let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse().expect("it is a number");
            self.add(name, "MB", kilobytes / 1024.0);
        }
    }
}

/// Every round, then the medians side by side, each divided by that of either etcd.
fn print(kinds: &[Kind], measured: &[Vec<Figures>]) {
    let figures: Vec<(&str, &str)> = measured[0][0].0.iter().map(|(name, unit, _)| (*name, *unit)).collect();
    let all = |kind: usize, figure: usize| measured[kind].iter().map(move |round| round.0[figure].2);
    println!("\nevery round");
    for (figure, (name, unit)) in figures.iter().enumerate() {
        for (kind, who) in kinds.iter().enumerate() {
            let rounds: String = all(kind, figure).map(|v| format!(" {v:>9.1}")).collect();
            println!("{name:<41} {unit:<6} {:<11}{rounds}", who.name());
        }
    }
    println!("\nmedians; for \"per s\" more is better, for all else less");
    let who: String = kinds.iter().map(|k| format!(" {:>11}", k.name())).collect();
    let last = kinds.len() - 1;
    let over: String = kinds[..last].iter().map(|k| format!(" {:>17}", format!("to {}", k.name()))).collect();
    println!("{:<41} {:<6}{who}{over}", "", "");
    for (figure, (name, unit)) in figures.iter().enumerate() {
        let medians: Vec<f64> = (0..kinds.len()).map(|kind| median(all(kind, figure).collect())).collect();
        let values: String = medians.iter().map(|v| format!(" {v:>11.1}")).collect();
        let ratios: String = medians[..last].iter().map(|v| format!(" {:>17.2}", medians[last] / v)).collect();
        println!("{name:<41} {unit:<6}{values}{ratios}");
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
