//! The pages as the engine has left them. What the journal holds of them is kept in memory until a checkpoint writes it where it
//! belongs: a page that every commit changes is written there once in many commits, and nobody waits for it.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::Storage;
use super::record::BLOCK;

/// Blocks by their number.
type Blocks = BTreeMap<u64, Box<[u8; BLOCK]>>;

/// Pages of which the newest are in memory.
pub(super) struct Pages<S> {
    storage: Arc<S>,
    /// Where in the file they begin.
    start: u64,
    recent: RwLock<Recent>,
}

#[derive(Default)]
struct Recent {
    /// What was written since the last checkpoint began.
    newest: Blocks,
    /// What the checkpoint writes that is due or under way.
    sealed: Arc<Blocks>,
}

impl Recent {
    fn get(&self, number: u64) -> Option<&[u8; BLOCK]> {
        self.newest.get(&number).or_else(|| self.sealed.get(&number)).map(|block| &**block)
    }

    fn has_none_of(&self, offset: u64, length: usize) -> bool {
        parts(offset, length).all(|(number, ..)| self.get(number).is_none())
    }
}

/// The part of a block that a range of bytes has: its number, where in the block it begins, and its bytes.
fn parts(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, usize)> {
    let (mut offset, mut left) = (offset, length);
    std::iter::from_fn(move || {
        let at = usize::try_from(offset % BLOCK as u64).expect("less than a block");
        let part = (offset / BLOCK as u64, at, left.min(BLOCK - at));
        offset += part.2 as u64;
        left -= part.2;
        (part.2 > 0).then_some(part)
    })
}

impl<S: Storage> Pages<S> {
    pub(super) fn new(storage: Arc<S>, start: u64) -> Self {
        Self { storage, start, recent: RwLock::default() }
    }

    // A panic under this lock is one of the memory's end.
    fn recent(&self) -> RwLockReadGuard<'_, Recent> {
        self.recent.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn recent_mut(&self) -> RwLockWriteGuard<'_, Recent> {
        self.recent.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn len(&self) -> io::Result<u64> {
        Ok(self.storage.len()?.saturating_sub(self.start))
    }

    pub(super) fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut rest = out;
        // Most of what is read was checkpointed long ago, and is read in one piece.
        if self.recent().has_none_of(offset, rest.len()) {
            return self.storage.read(self.start + offset, rest);
        }
        for (number, at, length) in parts(offset, rest.len()) {
            let (part, behind) = rest.split_at_mut(length);
            // One that has just been checkpointed is in the file.
            let found = self.recent().get(number).map(|block| part.copy_from_slice(&block[at..at + length]));
            if found.is_none() {
                self.storage.read(self.start + number * BLOCK as u64 + at as u64, part)?;
            }
            rest = behind;
        }
        Ok(())
    }

    /// Writes in memory.
    pub(super) fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut rest = data;
        let mut recent = self.recent_mut();
        for (number, at, length) in parts(offset, data.len()) {
            let (part, behind) = rest.split_at(length);
            if let Some(block) = recent.newest.get_mut(&number) {
                block[at..at + length].copy_from_slice(part);
            } else {
                let mut block = Box::new([0; BLOCK]);
                if length < BLOCK {
                    match recent.sealed.get(&number) {
                        Some(sealed) => block.copy_from_slice(&**sealed),
                        None => self.load(number, &mut block)?,
                    }
                }
                block[at..at + length].copy_from_slice(part);
                recent.newest.insert(number, block);
            }
            rest = behind;
        }
        Ok(())
    }

    /// Reads a block of the file; what is behind its end is zero.
    fn load(&self, number: u64, block: &mut [u8; BLOCK]) -> io::Result<()> {
        let from = number * BLOCK as u64;
        let there = self.len()?.saturating_sub(from).min(BLOCK as u64);
        let there = usize::try_from(there).expect("a block at most");
        self.storage.read(self.start + from, &mut block[..there])
    }

    /// Writes to the file, when nothing is in memory.
    pub(super) fn write_through(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.storage.write(self.start + offset, data)
    }

    /// Makes the file longer or shorter, when nothing is sealed.
    pub(super) fn set_len(&self, length: u64) -> io::Result<()> {
        let mut recent = self.recent_mut();
        if length < self.len()? {
            recent.newest.split_off(&length.div_ceil(BLOCK as u64));
            let last = length / BLOCK as u64;
            let at = usize::try_from(length % BLOCK as u64).expect("less than a block");
            if let Some(block) = recent.newest.get_mut(&last) {
                block[at..].fill(0);
            }
        }
        self.storage.set_len(self.start + length)
    }

    /// What is in memory now is for the next checkpoint, which writes it.
    pub(super) fn seal(&self) {
        let mut recent = self.recent_mut();
        recent.sealed = Arc::new(std::mem::take(&mut recent.newest));
    }

    /// Writes what is sealed to the file, and has all that the file was given on the disk.
    pub(super) fn checkpoint(&self) -> io::Result<()> {
        let sealed = self.recent().sealed.clone();
        let end = self.len()?;
        let mut piece: Vec<u8> = Vec::new();
        let mut blocks = sealed.iter().peekable();
        while let Some((number, block)) = blocks.next() {
            piece.extend_from_slice(&**block);
            if blocks.peek().is_some_and(|(next, _)| **next == number + 1) && piece.len() < 64 * BLOCK {
                continue;
            }
            let after = (number + 1) * BLOCK as u64;
            let from = after - piece.len() as u64;
            // The last block of the file may not be a whole one.
            let length = usize::try_from(end.min(after).saturating_sub(from)).expect("a piece at most");
            self.storage.write(self.start + from, &piece[..length])?;
            piece.clear();
        }
        self.storage.sync_data()?;
        self.recent_mut().sealed = Arc::default();
        Ok(())
    }
}
