//! What is there after a power cut at any moment of any history of writes and syncs.

use proptest::prelude::*;

use super::*;

/// So little that it is full after some records, and that some changes are too large for one.
const JOURNAL: usize = 6 * BLOCK;

/// Bytes of the pages at most.
const PAGES: u64 = 4000;

/// A disk that knows which of what was written it has.
#[derive(Clone, Debug, Default)]
struct Disk(Arc<Mutex<Platters>>);

#[derive(Debug, Default)]
struct Platters {
    /// What is read while the power is on.
    now: Vec<u8>,
    /// What is there for sure.
    kept: Vec<u8>,
    /// What was written since, and may be there.
    open: Vec<(u64, Vec<u8>)>,
    lengths: Vec<u64>,
    /// After so many more writes to the journal the power goes in the middle of one.
    power: Option<usize>,
}

impl Disk {
    /// The same disk after a power cut: each open write is there if its turn in `there` says so.
    fn cut(&self, there: &[bool]) -> Self {
        let disk = self.0.lock().unwrap();
        let mut kept = disk.kept.clone();
        if let Some(length) = disk.lengths.last().filter(|_| there.first() == Some(&true)) {
            kept.resize(usize::try_from(*length).unwrap(), 0);
        }
        for ((offset, data), there) in disk.open.iter().zip(there.iter().cycle()) {
            let from = usize::try_from(*offset).unwrap();
            let length = if *there { data.len() } else { 0 };
            if from + length <= kept.len() {
                kept[from..from + length].copy_from_slice(&data[..length]);
            }
        }
        Self(Arc::new(Mutex::new(Platters { now: kept.clone(), kept, ..Platters::default() })))
    }
}

fn put(bytes: &mut [u8], offset: u64, data: &[u8]) {
    let from = usize::try_from(offset).unwrap();
    bytes[from..from + data.len()].copy_from_slice(data);
}

impl Storage for Disk {
    fn write_synced(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        let whole = match &mut disk.power {
            Some(0) => return Err(io::Error::other("the power is gone")),
            Some(writes) => {
                *writes -= 1;
                *writes > 0
            }
            None => true,
        };
        // Cut off between two blocks, or in one.
        let data = if whole { data } else { &data[..data.len() / 2 + 10] };
        put(&mut disk.now, offset, data);
        put(&mut disk.kept, offset, data);
        if whole { Ok(()) } else { Err(io::Error::other("the power is gone")) }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(offset).unwrap();
        out.copy_from_slice(&self.0.lock().unwrap().now[from..from + out.len()]);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        disk.now.resize(usize::try_from(length).unwrap(), 0);
        disk.lengths.push(length);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        if disk.power == Some(0) {
            return Err(io::Error::other("the power is gone"));
        }
        disk.kept = disk.now.clone();
        disk.open.clear();
        disk.lengths.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        put(&mut disk.now, offset, data);
        disk.open.push((offset, data.to_vec()));
        Ok(())
    }
}

#[derive(Clone, Debug)]
enum Step {
    Write(u64, Vec<u8>),
    Sync,
    /// Ends in good order, and is opened again.
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let write = (0..PAGES, any::<u8>(), 1_usize..1500).prop_map(|(offset, byte, length)| {
        let length = length.min(usize::try_from(PAGES - offset).unwrap());
        Step::Write(offset, vec![byte; length])
    });
    prop_oneof![6 => write, 6 => Just(Step::Sync), 1 => Just(Step::Reopen)]
}

/// What each byte of the pages may be after a crash.
#[derive(Clone)]
struct Allowed {
    synced: Vec<u8>,
    since: Vec<(u64, Vec<u8>)>,
}

impl Allowed {
    fn fits(&self, pages: &[u8]) -> bool {
        let may_be = |at: usize| {
            let written = self.since.iter().filter_map(move |(offset, data)| {
                at.checked_sub(usize::try_from(*offset).unwrap()).and_then(|at| data.get(at))
            });
            written.copied().chain([self.synced[at]])
        };
        pages.iter().enumerate().all(|(at, byte)| may_be(at).any(|allowed| allowed == *byte))
    }

    fn sync(&mut self) {
        for (offset, data) in std::mem::take(&mut self.since) {
            put(&mut self.synced, offset, &data);
        }
    }
}

fn pages(journal: &Journal<Disk>) -> Vec<u8> {
    let mut pages = vec![0; usize::try_from(journal.len().unwrap()).unwrap()];
    journal.read(0, &mut pages).unwrap();
    pages
}

fn new() -> (Disk, Journal<Disk>) {
    let disk = Disk::default();
    let journal = Journal::create(disk.clone(), JOURNAL, Checkpoints::Inline).unwrap();
    journal.set_len(PAGES).unwrap();
    journal.sync_data().unwrap();
    (disk, journal)
}

#[test]
fn who_ended_in_good_order_leaves_nothing_to_do() {
    let (disk, journal) = new();
    for byte in 0..20 {
        journal.write(0, &[byte; 2000]).unwrap();
        journal.sync_data().unwrap();
        let found = Found::read(&disk, journal.layout).unwrap();
        assert!(!found.needed.is_empty(), "after sync {byte}");
    }
    journal.close().unwrap();
    assert_eq!(Found::read(&disk, journal.layout).unwrap().needed, []);
    assert_eq!(pages(&Journal::open(disk, Checkpoints::Inline).unwrap())[..2000], [19; 2000]);
}

/// A half is full to its last byte when the power went just after the note that the other half is free.
#[test]
fn no_record_is_written_beyond_its_half() {
    let mut met = 0;
    for power in 1..60 {
        let (disk, journal) = new();
        journal.write(0, &[7; 3000]).unwrap();
        journal.sync_data().unwrap();
        disk.0.lock().unwrap().power = Some(power);
        while journal.write(0, &[7; 3000]).and_then(|()| journal.sync_data()).is_ok() {}
        let journal = Journal::open(disk.cut(&[false]), Checkpoints::Inline).unwrap();
        let mut state = journal.state.lock().unwrap();
        if state.end.half == 1 && state.end.at > journal.layout.room() {
            met += 1;
            // A damaged head in the other half may claim to be newer than it is.
            state.behind = state.end.sequence - 1;
        }
        drop(state);
        journal.write(3000, &[8; 500]).unwrap();
        journal.sync_data().unwrap();
        assert_eq!((&pages(&journal)[..3000], &pages(&journal)[3000..3500]), ([7; 3000].as_slice(), [8; 500].as_slice()));
    }
    assert!(met > 0);
}

proptest! {
    #[test]
    fn after_a_power_cut_the_pages_are_as_the_last_sync_left_them_but_for_writes_since(
        steps in prop::collection::vec(step(), 1..80),
        power in 0_usize..60,
        there in prop::collection::vec(any::<bool>(), 1..20),
        more in any::<bool>(),
        again in prop::collection::vec(any::<bool>(), 1..20),
    ) {
        let (disk, mut journal) = new();
        disk.0.lock().unwrap().power = Some(power);
        let mut allowed = Allowed { synced: vec![0; usize::try_from(PAGES).unwrap()], since: Vec::new() };
        // A sync that was under way may have come to its end.
        let mut done = None;
        for step in steps {
            let reopen = matches!(step, Step::Reopen);
            let outcome = match step {
                Step::Write(offset, data) => {
                    journal.write(offset, &data).unwrap();
                    allowed.since.push((offset, data));
                    continue;
                }
                Step::Sync => journal.sync_data(),
                Step::Reopen => journal.close(),
            };
            let before = allowed.clone();
            allowed.sync();
            if outcome.is_err() {
                done = Some(allowed);
                allowed = before;
                break;
            }
            if reopen {
                journal = Journal::open(disk.clone(), Checkpoints::Inline).unwrap();
                prop_assert!(allowed.fits(&pages(&journal)), "after it was ended");
            }
        }
        let disk = disk.cut(&there);
        let journal = Journal::open(disk.clone(), Checkpoints::Inline).unwrap();
        let mut allowed: Vec<Allowed> = std::iter::once(allowed).chain(done).collect();
        let found = pages(&journal);
        prop_assert!(allowed.iter().any(|allowed| allowed.fits(&found)), "after a power cut");
        // What it was opened with stays as it is: a record that is written now says that no other is needed.
        if more {
            journal.write(0, b"more").unwrap();
            journal.sync_data().unwrap();
            for allowed in &mut allowed {
                allowed.since.push((0, b"more".to_vec()));
                allowed.synced[..4].copy_from_slice(b"more");
            }
        }
        let disk = disk.cut(&again);
        let journal = Journal::open(disk, Checkpoints::Inline).unwrap();
        let found = pages(&journal);
        prop_assert!(allowed.iter().any(|allowed| allowed.fits(&found)), "after another one");
        // And it goes on.
        for byte in 1..40 {
            journal.write(0, &[byte; 100]).unwrap();
            journal.sync_data().unwrap();
        }
        prop_assert_eq!(&pages(&journal)[..100], &[39; 100]);
    }
}
