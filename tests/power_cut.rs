//! What the store has acknowledged is there after a power cut, and no transaction is half there, whatever of its unsynced writes
//! the disk has kept: images of a disk at random moments of random histories are opened and compared with the history.
//!
//! `WICAP_IMAGES` is how many images; `WICAP_SEED` begins with that seed's history. The same seed has the same history, and the
//! same power cuts in it.

mod power_cut {
    #[allow(dead_code)] // A disk that says that it fails is another test's.
    pub mod disk;
    pub mod workload;
}

use std::sync::{Arc, Mutex};
use std::time::Instant;

use etcd_client::{Client, GetOptions, ResponseHeader};
use power_cut::disk::{Disk, Fault, Image};
use power_cut::workload::{Keys, Known, Ledger, Past, run};
use wicap::store::embedded::{Embedded, Options};

/// What the suite takes the time for.
const IMAGES: usize = 100;

/// Groups of requests in one history: enough for the file to grow and to be swept several times.
const GROUPS: usize = 40;

/// One in this many writes to the disk is the last before a power cut.
const RARITY: u32 = 60;

/// The same while an image is opened: a repair writes little.
const REPAIR_RARITY: u32 = 8;

/// How many power cuts may come one in the repair after another.
const DEPTH: u32 = 2;

fn variable<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}: found '{text}', expected a number")))
}

/// Runs a history on a disk that has a fault or none; returns the images of its power cuts, and what was.
async fn history(seed: u64, fault: Option<Fault>) -> (Vec<Image<Known>>, Past) {
    let ledger = Ledger::default();
    let noted = Arc::clone(&ledger);
    let disk = Disk::new(new_file().await, seed, RARITY, fault, Box::new(move || noted.lock().unwrap().clone()));
    let store = Embedded::on_storage(disk.clone(), options()).unwrap();
    let past = run(&store.client().await.unwrap(), seed, GROUPS, &ledger).await;
    (disk.take_images(), past)
}

/// The file of a store that is opened for the first time: a real one has its name only when it is whole.
async fn new_file() -> Vec<u8> {
    let disk: Disk<()> = Disk::new(Vec::new(), 0, u32::MAX, None, Box::new(|| ()));
    Embedded::on_storage(disk.clone(), options()).unwrap().close().await.unwrap();
    disk.synced()
}

fn options() -> Options {
    // Small, so that a commit does not wait in memory for the next, the journal is full after some, and some are too large for it.
    Options { cache_bytes: 64 * 1024, journal_bytes: 64 * 1024, ..Options::default() }
}

/// Opens an image and compares, and does the same with what further power cuts leave of it meanwhile. Returns how many images
/// that were.
async fn check(image: Image<Known>, past: &Past, seed: u64, depth: u32) -> Result<usize, String> {
    let mut images = vec![(image, depth)];
    let mut checked = 0;
    while let Some((image, depth)) = images.pop() {
        let known = image.known;
        let rarity = if depth > 0 { REPAIR_RARITY } else { u32::MAX };
        let noted = known.clone();
        let seed = seed + u64::from(depth) + checked as u64;
        let disk = Disk::new(image.bytes, seed, rarity, None, Box::new(move || noted.clone()));
        let store = Embedded::on_storage(disk.clone(), options()).map_err(|e| format!("it is not opened: {e}"))?;
        // What is acknowledged from here on is another history.
        images.extend(disk.take_images().into_iter().map(|image| (image, depth - 1)));
        compare(&mut store.client().await.unwrap(), &known, past).await?;
        checked += 1;
    }
    Ok(checked)
}

async fn compare(client: &mut Client, known: &Known, past: &Past) -> Result<(), String> {
    let (revision, keys) = read(client, 0).await?;
    let last = past.last_asked(known);
    if !(known.acknowledged..=last).contains(&revision) {
        return Err(format!("it is at revision {revision}; {} was acknowledged, {last} asked for", known.acknowledged));
    }
    let expected = past.at(revision).ok_or_else(|| format!("revision {revision} was not in its history"))?;
    differ(&keys, expected, revision)?;
    // The past is there as far as nobody has asked to forget it.
    let first = known.compacted.max(1);
    if past.last_asked(known) > first
        && let Ok((_, keys)) = read(client, first).await
    {
        differ(&keys, past.at(first).expect("it was compacted to"), first)?;
    }
    if known.compacted > 1 && read(client, known.compacted - 1).await.is_ok() {
        return Err(format!("revision {} is there after a compaction to {}", known.compacted - 1, known.compacted));
    }
    let leases = client.leases().await.map_err(|e| e.to_string())?;
    let leases: Vec<i64> = leases.leases().iter().map(etcd_client::LeaseStatus::id).collect();
    if let Some(lost) = known.leases.iter().find(|id| !leases.contains(id)) {
        return Err(format!("lease {lost} was acknowledged, and is not there"));
    }
    if let Some(found) = known.revoked.iter().find(|id| leases.contains(id)) {
        return Err(format!("lease {found} was revoked, and is there"));
    }
    // It goes on from there.
    let put = client.put("after", "it", None).await.map_err(|e| format!("nothing can be written: {e}"))?;
    if put.header().map(ResponseHeader::revision) != Some(revision + 1) {
        return Err(format!("revision {revision} is followed by {put:?}"));
    }
    let compacted = client.compact(revision + 1, Some(etcd_client::CompactionOptions::new().with_physical())).await;
    compacted.map_err(|e| format!("nothing can be compacted: {e}"))?;
    let (_, mut keys) = read(client, 0).await?;
    if keys.remove(b"after".as_slice()).is_none() {
        return Err("what was written after the cut is not there".to_owned());
    }
    differ(&keys, expected, revision)
}

async fn read(client: &mut Client, revision: i64) -> Result<(i64, Keys), String> {
    let options = GetOptions::new().with_all_keys().with_revision(revision);
    let answer = client.get("", Some(options)).await.map_err(|e| e.to_string())?;
    let keys = answer.kvs().iter().map(|kv| {
        let version = (kv.value().to_vec(), kv.create_revision(), kv.mod_revision(), kv.version(), kv.lease());
        (kv.key().to_vec(), version)
    });
    Ok((answer.header().map_or(0, ResponseHeader::revision), keys.collect()))
}

fn differ(found: &Keys, expected: &Keys, revision: i64) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    let names = |keys: &Keys, others: &Keys| -> Vec<String> {
        let differing = keys.iter().filter(|(key, version)| others.get(*key) != Some(version));
        differing.map(|(key, version)| format!("{} at {}", String::from_utf8_lossy(key), version.2)).collect()
    };
    Err(format!("at revision {revision} there is {:?} instead of {:?}", names(found, expected), names(expected, found)))
}

/// Looks at images until one is wrong or there were enough; returns how many.
async fn search(first: u64, wanted: usize, fault: Option<Fault>) -> (usize, Result<(), String>) {
    let mut checked = 0;
    for seed in first.. {
        let (images, past) = history(seed, fault).await;
        for image in images {
            match check(image, &past, seed, DEPTH).await {
                Ok(images) => checked += images,
                Err(wrong) => return (checked, Err(format!("seed {seed}: {wrong}"))),
            }
            if checked >= wanted {
                return (checked, Ok(()));
            }
        }
    }
    unreachable!("there are more seeds than that")
}

#[tokio::test(start_paused = true)]
async fn what_was_acknowledged_is_there_after_a_power_cut() {
    let wanted = variable("WICAP_IMAGES").unwrap_or(IMAGES);
    // Short enough to be typed.
    let seed: u64 = variable("WICAP_SEED").unwrap_or_else(|| rand::random::<u32>().into());
    println!("{wanted} images, from seed {seed}");
    let began = Instant::now();
    let (checked, outcome) = search(seed, wanted, None).await;
    if let Err(wrong) = outcome {
        panic!("image {checked}, {wrong}; again with: WICAP_IMAGES={wanted} WICAP_SEED={seed}");
    }
    println!("{checked} images, from seed {seed}: nothing lost, nothing half there; {:.0} s", began.elapsed().as_secs_f64());
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_does_not_sync_is_noticed() {
    let (_, outcome) = search(1, 200, Some(Fault::IgnoresSync)).await;
    outcome.expect_err("what was acknowledged was never on the disk");
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_forgets_one_page_is_noticed() {
    let (_, outcome) = search(1, 200, Some(Fault::ForgetsAPage)).await;
    outcome.expect_err("a page that was synced is not on the disk");
}

/// A store that acknowledges before its file is synced would be this: the ledger knows of more than the image holds.
#[tokio::test(start_paused = true)]
async fn an_acknowledgement_before_its_time_is_noticed() {
    let (images, past) = history(1, None).await;
    let image = images.into_iter().rev().find(|image| past.last_asked(&image.known) < past.last()).unwrap();
    let early = Known { acknowledged: past.last_asked(&image.known) + 1, ..image.known };
    let error = check(Image { bytes: image.bytes, known: early }, &past, 1, 0).await.expect_err("it is not there yet");
    assert!(error.contains("was acknowledged"), "{error}");
}

/// The history is the seed's alone, or no failure could be looked at twice.
#[tokio::test(start_paused = true)]
async fn the_same_seed_has_the_same_power_cuts() {
    let cuts = Mutex::new(Vec::new());
    for _ in 0..2 {
        let (images, past) = history(7, None).await;
        let known: Vec<String> = images.iter().map(|image| format!("{:?} {}", image.known, image.bytes.len())).collect();
        cuts.lock().unwrap().push((past.last(), known));
    }
    let cuts = cuts.into_inner().unwrap();
    assert!(cuts[0].1.len() > 5, "{cuts:?}");
    assert_eq!(cuts[0], cuts[1]);
}
