//! A file that is not as the embedded store left it, and a disk that fails under it: the store answers with everything that
//! it has acknowledged, or it says what is wrong and leaves the file alone; it never answers with something missing.
//!
//! `WICAP_SEED` damages as that seed says.

mod power_cut {
    #[allow(dead_code)] // Power cuts are another test's.
    pub mod disk;
}
mod support;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use etcd_client::{Client, Error, GetOptions, KeyValue, LeaseStatus, PutOptions, WatchOptions};
use power_cut::disk::{Disk, Fault};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use support::store::StoreProcess;
use support::{PATIENCE, Said, server};
use tempfile::TempDir;
use wicap::store::embedded::{Embedded, Options};

/// How often each kind of damage is done to each file.
const TIMES: usize = 20;

/// What redb reads and writes at once.
const PAGE: usize = 4096;

/// The part of the first page that says something: 64 bytes of header and two commit slots of 128 (redb's `docs/design.md`).
const HEADER: usize = 64 + 2 * 128;

/// What the file begins with: its own header, in a page of which only this says something.
const FRONT: usize = 32;

fn directory() -> TempDir {
    tempfile::Builder::new().prefix("wicap-test-damage").tempdir().unwrap()
}

/// Everything that can be read.
#[derive(Clone, Debug, Default, PartialEq)]
struct Held {
    revision: i64,
    /// All keys, with a hash of all that is said of them.
    keys: BTreeMap<String, u64>,
    /// The same of what each revision has changed, from the first on.
    history: Vec<(i64, String, u64)>,
    leases: Vec<i64>,
}

impl Held {
    async fn read(client: &mut Client) -> Result<Self, Error> {
        let answer = client.get("", Some(GetOptions::new().with_all_keys())).await?;
        let name = |kv: &KeyValue| kv.key_str().unwrap().to_owned();
        let mut held = Self { revision: answer.header().unwrap().revision(), ..Self::default() };
        held.keys = answer.kvs().iter().map(|kv| (name(kv), hash(kv))).collect();
        held.leases = client.leases().await?.leases().iter().map(LeaseStatus::id).collect();
        if held.revision > 1 {
            let options = WatchOptions::new().with_all_keys().with_start_revision(1);
            let mut stream = client.watch("", Some(options)).await?;
            while held.history.last().is_none_or(|last| last.0 < held.revision) {
                let message = tokio::time::timeout(PATIENCE, stream.message()).await.expect("history comes");
                let Some(response) = message? else { return Err(Error::WatchError("it was ended".to_owned())) };
                let events = response.events().iter().filter_map(etcd_client::Event::kv);
                held.history.extend(events.map(|kv| (kv.mod_revision(), name(kv), hash(kv))));
            }
        }
        Ok(held)
    }

    /// The same without the last commit, which was the put of a new key.
    fn before_last(&self) -> Self {
        let mut held = self.clone();
        let (_, key, _) = held.history.pop().expect("something was put");
        held.keys.remove(&key);
        held.revision -= 1;
        held
    }
}

fn hash(kv: &KeyValue) -> u64 {
    let mut hash = DefaultHasher::new();
    (kv.value(), kv.create_revision(), kv.mod_revision(), kv.version(), kv.lease()).hash(&mut hash);
    hash.finish()
}

/// The file of a store, and what it has acknowledged.
struct Sample {
    ending: &'static str,
    file: Vec<u8>,
    held: Held,
}

impl Sample {
    /// Of a store that ended in good order.
    async fn ended() -> Self {
        let (directory, process, held) = Self::run().await;
        process.end().await;
        Self { ending: "ended", file: std::fs::read(directory.path().join("store.redb")).unwrap(), held }
    }

    /// Of one that was killed.
    async fn killed() -> Self {
        let (directory, mut process, held) = Self::run().await;
        process.kill();
        Self { ending: "killed", file: std::fs::read(directory.path().join("store.redb")).unwrap(), held }
    }

    async fn run() -> (TempDir, StoreProcess, Held) {
        let directory = directory();
        let process = StoreProcess::start(directory.path()).await;
        let mut client = process.client().await;
        let lease = client.lease_grant(100_000, None).await.unwrap().id();
        for number in 0..60_usize {
            // Small ones share a page, large ones take several, up to most of the file.
            let value = vec![b'v'; if number % 5 == 0 { 80 * 1024 } else { 40 }];
            let options = PutOptions::new().with_lease(if number % 7 == 0 { lease } else { 0 });
            client.put(format!("key-{}", number % 40), value, Some(options)).await.unwrap();
            if number % 11 == 0 {
                client.delete(format!("key-{}", number / 2), None).await.unwrap();
            }
        }
        client.put("last", "", None).await.unwrap();
        let held = Held::read(&mut client).await.unwrap();
        (directory, process, held)
    }
}

/// Where in the file the pages begin: behind its header and the two halves of its journal.
fn pages(file: &[u8]) -> usize {
    PAGE + 2 * u32::from_le_bytes(file[24..28].try_into().unwrap()) as usize
}

/// What became of an attempt to serve a file.
enum Outcome {
    Serves(tokio::process::Child, Box<Client>),
    Refuses(Said),
}

/// Starts `wicapd store` on a directory.
async fn serve(directory: &Path) -> Outcome {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_wicapd"));
    command.args(["store", "--data-dir"]).arg(directory).env("RUST_LOG", "error").stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let socket = directory.join("store.sock");
    let waiting = async {
        loop {
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            if tokio::net::UnixStream::connect(&socket).await.is_ok() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let mut serves = tokio::time::timeout(PATIENCE, waiting).await.expect("it serves or ends");
    if serves {
        // Its socket is there before the file is opened.
        let mut client = server::client(&format!("unix://{}", socket.display())).await;
        serves = client.get("key", None).await.is_ok();
        if serves {
            return Outcome::Serves(child, Box::new(client));
        }
    }
    Outcome::Refuses(child.wait_with_output().await.unwrap().into())
}

/// Has a file served that may be damaged; says what is wrong, or whether it was served with one of what may be whole.
async fn check(sample: &Sample, bytes: &[u8], whole: &[Held]) -> Result<bool, String> {
    let directory = directory();
    let file = directory.path().canonicalize().unwrap().join("store.redb");
    std::fs::write(&file, bytes).unwrap();
    match serve(directory.path()).await {
        Outcome::Serves(_child, mut client) => {
            let found = Held::read(&mut client).await.map_err(|e| format!("it is served, and cannot be read: {e}"))?;
            if !whole.contains(&found) {
                let (now, last) = (found.revision, sample.held.revision);
                return Err(format!("it is not what it was: it is at revision {now}, {last} was acknowledged"));
            }
            let put = client.put("after", "it", None).await.map_err(|e| format!("nothing can be written: {e}"))?;
            let revision = put.header().unwrap().revision();
            if revision != found.revision + 1 {
                return Err(format!("revision {} is followed by {revision}", found.revision));
            }
            Ok(true)
        }
        Outcome::Refuses(said) => {
            let way_out = "Restore a snapshot with `wicapd store restore`, or move the file away to begin anew";
            let line = said.err.lines().last().unwrap_or_default();
            let explained = line.starts_with(&format!("wicapd: {}: ", file.display())) && line.ends_with(way_out);
            if said.code != 2 || !explained {
                let first: Vec<&str> = said.err.lines().filter(|line| !line.is_empty()).take(2).collect();
                return Err(format!("it does not say what is wrong: exit code {}, {first:?}", said.code));
            }
            // An attempt at a repair is noted in the header of the pages, by way of the journal; what is stored is not touched. After
            // a kill the journal is written over the pages first, which comes to the same however often it is done.
            let left = std::fs::read(&file).unwrap();
            let pages = if bytes.len() < FRONT { bytes.len() } else { pages(bytes) + PAGE };
            if sample.ending == "ended" && (left.len() != bytes.len() || left.get(pages..) != bytes.get(pages..)) {
                return Err(format!("it has changed what it could not read: {line}"));
            }
            if !matches!(serve(directory.path()).await, Outcome::Refuses(_)) {
                return Err(format!("it is served when it is started again: {line}"));
            }
            Ok(false)
        }
    }
}

/// Does a kind of damage so many times to the file of a store that ended, and to that of one that was killed.
async fn damage(times: usize, kind: impl Fn(&mut Vec<u8>, &mut StdRng) -> String) {
    let seed = seed();
    let mut wrong = Vec::new();
    for sample in [Sample::ended().await, Sample::killed().await] {
        wrong.extend(damage_one(&sample, times, seed, std::slice::from_ref(&sample.held), &kind).await);
    }
    assert!(wrong.is_empty(), "seed {seed}: {} times:\n{}", wrong.len(), wrong.join("\n"));
}

fn seed() -> u64 {
    // Short enough to be typed.
    let chosen = std::env::var("WICAP_SEED").ok().filter(|text| !text.is_empty());
    let seed = chosen.map_or_else(|| rand::random::<u32>().into(), |text| text.parse().expect("WICAP_SEED is a number"));
    println!("seed {seed}");
    seed
}

/// What went wrong.
async fn damage_one(
    sample: &Sample,
    times: usize,
    seed: u64,
    whole: &[Held],
    kind: impl Fn(&mut Vec<u8>, &mut StdRng) -> String,
) -> Vec<String> {
    let mut rng = StdRng::seed_from_u64(seed);
    let (mut wrong, mut served) = (Vec::new(), 0);
    let held = std::slice::from_ref(&sample.held);
    assert_eq!(check(sample, &sample.file, held).await, Ok(true), "{}, and nothing done to it", sample.ending);
    for _ in 0..times {
        let mut bytes = sample.file.clone();
        let what = kind(&mut bytes, &mut rng);
        match check(sample, &bytes, whole).await {
            Ok(true) => served += 1,
            Ok(false) => {}
            Err(error) => wrong.push(format!("{}, {what}: {error}", sample.ending)),
        }
    }
    println!("{}: {served} of {times} were served, {} went wrong, the others were refused", sample.ending, wrong.len());
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_cut_is_whole_or_refused() {
    damage(TIMES, |bytes, rng| {
        let length = rng.random_range(1..bytes.len());
        bytes.truncate(length);
        format!("cut to {length} bytes")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_file_is_not_taken_for_a_new_store() {
    damage(1, |bytes, _| {
        bytes.clear();
        "emptied".to_owned()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_last_pages_are_zero_is_whole_or_refused() {
    damage(TIMES, |bytes, rng| {
        let count = rng.random_range(1..=(bytes.len() - pages(bytes)) / PAGE);
        let from = bytes.len() - count * PAGE;
        bytes[from..].fill(0);
        format!("its last {count} pages zero")
    })
    .await;
}

/// Turns some bits of one byte.
fn turn(bytes: &mut [u8], at: usize, rng: &mut StdRng) -> String {
    let bits = rng.random_range(1..=u8::MAX);
    bytes[at] ^= bits;
    format!("byte {at} with {bits:#04x} turned")
}

/// The same in the header of the pages.
fn damage_header(bytes: &mut [u8], rng: &mut StdRng) -> String {
    let at = pages(bytes) + rng.random_range(0..HEADER);
    turn(bytes, at, rng)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_does_not_begin_as_it_should_is_refused() {
    let sample = Sample::ended().await;
    let wrong = damage_one(&sample, TIMES, seed(), &[], |bytes, rng| {
        let at = rng.random_range(0..FRONT);
        turn(bytes, at, rng)
    })
    .await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Turns some bits of one byte of the journal that is not zero.
fn damage_journal(bytes: &mut [u8], rng: &mut StdRng) -> String {
    let journal = PAGE..pages(bytes);
    let used: Vec<usize> = journal.filter(|at| bytes[*at] != 0).collect();
    turn(bytes, used[rng.random_range(0..used.len())], rng)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_has_ended_needs_nothing_of_its_journal() {
    let (sample, seed) = (Sample::ended().await, seed());
    let wrong =
        damage_one(&sample, TIMES, seed, std::slice::from_ref(&sample.held), |bytes, rng| damage_journal(bytes, rng));
    let wrong = wrong.await;
    assert!(wrong.is_empty(), "seed {seed}: {} times:\n{}", wrong.len(), wrong.join("\n"));
}

/// Nobody can tell the newest record, damaged, from one that was being written when the kill came, and was never acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_killed_with_a_damaged_journal_is_refused_or_without_its_last_commit() {
    let (sample, seed) = (Sample::killed().await, seed());
    let whole = [sample.held.clone(), sample.held.before_last()];
    let wrong = damage_one(&sample, TIMES, seed, &whole, |bytes, rng| damage_journal(bytes, rng)).await;
    assert!(wrong.is_empty(), "seed {seed}: {} times:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_has_ended_with_a_damaged_header_is_whole_or_refused() {
    let (sample, seed) = (Sample::ended().await, seed());
    let wrong =
        damage_one(&sample, TIMES, seed, std::slice::from_ref(&sample.held), |bytes, rng| damage_header(bytes, rng)).await;
    assert!(wrong.is_empty(), "seed {seed}: {} times:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_killed_with_a_damaged_header_has_it_in_its_journal() {
    let (sample, seed) = (Sample::killed().await, seed());
    let wrong =
        damage_one(&sample, TIMES, seed, std::slice::from_ref(&sample.held), |bytes, rng| damage_header(bytes, rng)).await;
    assert!(wrong.is_empty(), "seed {seed}: {} times:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_a_newer_format_is_refused_and_left_as_it_is() {
    let sample = Sample::ended().await;
    let directory = directory();
    let file = directory.path().canonicalize().unwrap().join("store.redb");
    let mut before = sample.file;
    before[8..12].copy_from_slice(&3_u32.to_le_bytes());
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&before[..12]), &before[16..FRONT]);
    before[12..16].copy_from_slice(&checksum.to_le_bytes());
    std::fs::write(&file, &before).unwrap();
    let Outcome::Refuses(said) = serve(directory.path()).await else { panic!("it is served") };
    let expected =
        format!("wicapd: {}: its format is 3, this version reads 2: use the version that wrote it\n", file.display());
    assert_eq!((said.code, said.err), (2, expected));
    assert!(std::fs::read(&file).unwrap() == before, "what another version has written was changed");
}

fn assert_stopped<T: std::fmt::Debug>(what: &str, answer: Result<T, Error>) {
    match answer {
        Err(Error::GRpcStatus(status)) if status.code() == tonic::Code::Unavailable => {
            let message = status.message();
            assert!(message.contains("has stopped") && message.contains("the disk is broken"), "{what}: {message}");
        }
        other => panic!("{what}: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_fails_stops_the_store_and_nothing_acknowledged_is_lost() {
    /// More calls than a commit makes, so that each of them fails once.
    const CALLS: u32 = 40;
    let mut longest = 0;
    for calls in 0..CALLS {
        let disk = Disk::new(Vec::new(), 0, u32::MAX, None, Box::new(|| ()));
        let store = Embedded::on_storage(disk.clone(), Options::default()).unwrap();
        let mut client = store.client().await.unwrap();
        let options = WatchOptions::new().with_all_keys();
        let mut stream = client.watch("", Some(options)).await.unwrap();
        client.put("key-0", "", None).await.unwrap();
        disk.set_fault(Fault::FailsAfter(calls));
        let mut acknowledged = 1;
        let refused = loop {
            // Large enough for the file to grow now and then.
            match client.put(format!("key-{acknowledged}"), vec![b'x'; 64 * 1024], None).await {
                Ok(_) => acknowledged += 1,
                refused => break refused,
            }
        };
        assert_stopped("the first that fails", refused);
        longest = longest.max(acknowledged);
        let reason = store.failed().await;
        assert!(reason.contains("the disk is broken"), "{reason}");

        assert_stopped("get", client.get("key-0", None).await);
        assert_stopped("put", client.put("key", "", None).await);
        assert_stopped("delete", client.delete("key-0", None).await);
        assert_stopped("grant", client.lease_grant(100, None).await);
        assert_stopped("compact", client.compact(1, None).await);
        assert_stopped("status", client.status().await);
        assert_stopped("defragment", client.defragment().await);
        let mut seen = 0;
        let ended = async {
            while let Ok(Some(response)) = stream.message().await {
                seen += response.events().len();
            }
        };
        tokio::time::timeout(PATIENCE, ended).await.expect("a watch ends");
        assert!(seen <= acknowledged, "{seen} events, {acknowledged} puts were acknowledged");
        let error = store.close().await.expect_err("it cannot be closed in good order").to_string();
        assert!(error.contains("the disk is broken"), "{error}");

        let disk = Disk::new(disk.synced(), 0, u32::MAX, None, Box::new(|| ()));
        let store = Embedded::on_storage(disk, Options::default()).unwrap();
        let mut client = store.client().await.unwrap();
        for number in 0..acknowledged {
            let found = client.get(format!("key-{number}"), None).await.unwrap();
            assert_eq!(found.count(), 1, "key-{number} of {acknowledged}, when call {calls} failed");
        }
        client.put("and it", "goes on", None).await.unwrap();
    }
    assert!(longest > 3, "the disk failed in the first commit each time");
}
