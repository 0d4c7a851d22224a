//! A disk that knows what it has promised to keep, and what it may hold if the power goes now.
//!
//! What was written before the last `sync_data` that returned is kept, and so is what a `write_synced` wrote that returned. Of each
//! other write since then the disk may hold all, none, some
//! sectors, a part up to some byte, or, where no other write has been before, anything at all. What lies beside a write stays as it
//! is: that is what redb assumes (`docs/design.md`, "Assumptions about the underlying media") and what disks do. A length that was
//! set is a matter of the file system's journal: it is set or not, and none before one that came earlier.

use std::io;
use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use redb::StorageBackend;
use wicap::store::embedded::Storage;

/// What a disk writes at once.
const SECTOR: usize = 512;

/// The header of the pages is one of them. It is written in place; everything else is written where nothing is that is needed.
const HEADER: u64 = 4096;

#[derive(Clone, Debug)]
enum Unsynced {
    Write(u64, Vec<u8>),
    Length(u64),
}

/// How a disk may fail to keep its promise; the check must notice that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It says that it has synced, and has not.
    IgnoresSync,
    /// It keeps all that was synced, but one page.
    ForgetsAPage,
    /// It carries out so many more calls that change something, and says of all others that they failed.
    FailsAfter(u32),
}

/// What the disk may hold after a power cut, and what was known when it came.
#[derive(Debug)]
pub struct Image<K> {
    pub bytes: Vec<u8>,
    pub known: K,
}

/// What the caller notes with each image.
pub type Known<K> = Box<dyn Fn() -> K + Send>;

struct State<K> {
    /// What is read back while the power is on.
    current: Vec<u8>,
    /// What is kept for sure.
    synced: Vec<u8>,
    unsynced: Vec<Unsynced>,
    /// Pages of a sync that has returned, for [`Fault::ForgetsAPage`].
    last_sync: Vec<(u64, Vec<u8>)>,
    rng: StdRng,
    fault: Option<Fault>,
    known: Known<K>,
    images: Vec<Image<K>>,
    /// One in this many calls is the last before a power cut.
    rarity: u32,
}

/// The storage of a store in memory.
pub struct Disk<K>(Arc<Mutex<State<K>>>);

impl<K> Clone for Disk<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> std::fmt::Debug for Disk<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Disk")
    }
}

impl<K> Disk<K> {
    /// A disk that holds something.
    pub fn new(bytes: Vec<u8>, seed: u64, rarity: u32, fault: Option<Fault>, known: Known<K>) -> Self {
        Self(Arc::new(Mutex::new(State {
            current: bytes.clone(),
            synced: bytes,
            unsynced: Vec::new(),
            last_sync: Vec::new(),
            rng: StdRng::seed_from_u64(seed),
            fault,
            known,
            images: Vec::new(),
            rarity,
        })))
    }

    /// What is kept for sure.
    pub fn synced(&self) -> Vec<u8> {
        self.0.lock().unwrap().synced.clone()
    }

    /// From now on it has that fault.
    pub fn set_fault(&self, fault: Fault) {
        self.0.lock().unwrap().fault = Some(fault);
    }

    /// The images of all power cuts until now.
    pub fn take_images(&self) -> Vec<Image<K>> {
        std::mem::take(&mut self.0.lock().unwrap().images)
    }
}

impl<K> State<K> {
    /// Whether this is in the header of the pages. Where they begin is said in front of the file.
    fn is_header(&self, offset: u64) -> bool {
        let half = self.current.get(24..28).map_or(0, |half| u32::from_le_bytes(half.try_into().unwrap()));
        let pages = HEADER + 2 * u64::from(half);
        (pages..pages + HEADER).contains(&offset)
    }

    /// Whether the power goes now is the seed's to say. If it does, what is on the disk is kept as an image, and time goes on
    /// without it.
    fn perhaps_cut(&mut self) {
        if self.rng.random_ratio(1, self.rarity) {
            let (bytes, known) = (self.image(), (self.known)());
            self.images.push(Image { bytes, known });
        }
    }

    /// Whether it still carries out what it is told to.
    fn work(&mut self) -> Result<(), io::Error> {
        if let Some(Fault::FailsAfter(calls)) = &mut self.fault {
            *calls = calls.checked_sub(1).ok_or_else(|| io::Error::other("the disk is broken"))?;
        }
        Ok(())
    }

    fn image(&mut self) -> Vec<u8> {
        let mut bytes = self.synced.clone();
        if self.fault == Some(Fault::ForgetsAPage)
            && let Some((offset, before)) = self.last_sync.choose(&mut self.rng)
        {
            put(&mut bytes, *offset, before);
        }
        let lengths = self.unsynced.iter().filter(|one| matches!(one, Unsynced::Length(_))).count();
        let mut lengths = self.rng.random_range(0..=lengths);
        // A cut in the middle of a commit often leaves much of it or little; halves are rare otherwise.
        let kept = *[0.0, 0.05, 0.5, 0.95, 1.0].choose(&mut self.rng).expect("there is a choice");
        for one in &self.unsynced {
            match one {
                Unsynced::Length(length) => {
                    if lengths > 0 {
                        lengths -= 1;
                        bytes.resize(usize::try_from(*length).unwrap(), 0);
                    }
                }
                Unsynced::Write(offset, data) => {
                    let in_place = self.is_header(*offset);
                    write_partly(&mut bytes, *offset, data, in_place, kept, &mut self.rng);
                }
            }
        }
        bytes
    }

    fn sync(&mut self) {
        if self.fault == Some(Fault::IgnoresSync) {
            return;
        }
        self.last_sync.clear();
        for one in std::mem::take(&mut self.unsynced) {
            match one {
                Unsynced::Length(length) => self.synced.resize(usize::try_from(length).unwrap(), 0),
                Unsynced::Write(offset, data) => self.keep(offset, &data),
            }
        }
    }

    /// Has a write for sure.
    fn keep(&mut self, offset: u64, data: &[u8]) {
        if !self.is_header(offset) {
            let (from, to) = span(self.synced.len(), offset, data.len());
            self.last_sync.push((offset, self.synced[from..to].to_vec()));
        }
        put(&mut self.synced, offset, data);
    }
}

/// Where a write lies in a file of some length; what is beyond its end is cut off.
fn span(length: usize, offset: u64, data: usize) -> (usize, usize) {
    let from = usize::try_from(offset).unwrap().min(length);
    (from, (from + data).min(length))
}

fn put(bytes: &mut [u8], offset: u64, data: &[u8]) {
    let (from, to) = span(bytes.len(), offset, data.len());
    bytes[from..to].copy_from_slice(&data[..to - from]);
}

/// Does what may be left of a write when the power goes.
fn write_partly(bytes: &mut [u8], offset: u64, data: &[u8], in_place: bool, kept: f64, rng: &mut StdRng) {
    let (from, to) = span(bytes.len(), offset, data.len());
    let (target, data) = (&mut bytes[from..to], &data[..to - from]);
    if rng.random_bool(0.7) {
        if rng.random_bool(kept) {
            target.copy_from_slice(data);
        }
        return;
    }
    let cut = rng.random_range(0..=data.len());
    match rng.random_range(0..4) {
        // Each sector for itself.
        0 => {
            for (target, data) in target.chunks_mut(SECTOR).zip(data.chunks(SECTOR)) {
                if rng.random_bool(0.5) {
                    target.copy_from_slice(data);
                }
            }
        }
        1 => target[..cut].copy_from_slice(&data[..cut]),
        2 => target[cut..].copy_from_slice(&data[cut..]),
        // The header is written over one that is needed: there, no byte is anything but what it was or what it is to be.
        _ => {
            target[..cut].copy_from_slice(&data[..cut]);
            if !in_place {
                rng.fill(&mut target[cut..]);
            }
        }
    }
}

impl<K: Send + 'static> Storage for Disk<K> {
    fn write_synced(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.write(offset, data)?;
        let mut state = self.0.lock().unwrap();
        if state.fault == Some(Fault::IgnoresSync) {
            return Ok(());
        }
        // Nothing else is kept by that.
        state.unsynced.pop();
        state.last_sync.clear();
        state.keep(offset, data);
        state.perhaps_cut();
        Ok(())
    }
}

impl<K: Send + 'static> StorageBackend for Disk<K> {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.0.lock().unwrap().current.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let state = self.0.lock().unwrap();
        let from = usize::try_from(offset).unwrap();
        let part = state.current.get(from..from + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(part);
        Ok(())
    }

    fn set_len(&self, length: u64) -> Result<(), io::Error> {
        let mut state = self.0.lock().unwrap();
        state.work()?;
        state.current.resize(usize::try_from(length).unwrap(), 0);
        state.unsynced.push(Unsynced::Length(length));
        state.perhaps_cut();
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        let mut state = self.0.lock().unwrap();
        state.work()?;
        // While it is under way, and when it is done.
        state.perhaps_cut();
        state.sync();
        state.perhaps_cut();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let mut state = self.0.lock().unwrap();
        state.work()?;
        assert!(offset + data.len() as u64 <= state.current.len() as u64, "a file is made longer before it is written to");
        put(&mut state.current, offset, data);
        state.unsynced.push(Unsynced::Write(offset, data.to_vec()));
        state.perhaps_cut();
        Ok(())
    }
}
