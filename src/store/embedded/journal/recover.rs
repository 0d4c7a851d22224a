//! What a journal says that the pages should be, when a file is opened.

use std::io;

use super::layout::Layout;
use super::record::{BLOCK, Change, HEAD, Head, Record};
use super::{End, Error, Storage};

/// What a journal has in it.
pub(super) struct Found {
    /// Those that have to be written over the pages, in their order: their heads and places.
    pub(super) needed: Vec<(Head, u64)>,
    pub(super) end: End,
    /// The last sequence in the half that is not written now.
    pub(super) behind: u64,
}

impl Found {
    pub(super) fn nothing() -> Self {
        Self { needed: Vec::new(), end: End { half: 0, at: 0, sequence: 1, noted: 0 }, behind: 0 }
    }

    pub(super) fn read(storage: &impl Storage, layout: Layout) -> Result<Self, Error> {
        let half = layout.half as usize;
        let mut heads = Vec::new();
        for at in (0..2 * half).step_by(BLOCK) {
            let mut head = [0; HEAD];
            storage.read(layout.start_of(0) + at as u64, &mut head)?;
            heads.extend(
                Head::read(&head, layout.salt).filter(|head| head.length <= half - at % half).map(|head| (head, at)),
            );
        }
        // Only the newest may be cut off, and what is left of those that were written over does not matter.
        heads.sort_by_key(|(head, _)| head.sequence);
        let mut bytes = Vec::new();
        let mut newest = None;
        for (head, at) in heads.iter().rev() {
            if read_record(storage, layout.start_of(0) + *at as u64, head, &mut bytes)?.is_some() {
                newest = Some((*head, *at));
                break;
            }
        }
        let Some((newest, at)) = newest else { return Ok(Self::nothing()) };
        let older = heads.iter().filter(|(head, _)| head.sequence < newest.sequence);
        let behind = older.filter(|(_, of)| of / half != at / half).map(|(head, _)| head.sequence).max().unwrap_or(0);
        let needed = newest.checkpointed + 1..=newest.sequence;
        let mut found = Vec::new();
        for (head, at) in heads.iter().filter(|(head, _)| needed.contains(&head.sequence)) {
            let place = layout.start_of(0) + *at as u64;
            if read_record(storage, place, head, &mut bytes)?.is_some() {
                found.push((*head, place));
            }
        }
        if !found.iter().map(|(head, _)| head.sequence).eq(needed) {
            return Err(damaged());
        }
        let end = End {
            half: at / half,
            at: at % half + newest.size(),
            sequence: newest.sequence + 1,
            noted: newest.checkpointed,
        };
        Ok(Self { needed: found, end, behind })
    }

    /// Has the pages on the disk as the journal says they were.
    pub(super) fn replay(&self, storage: &impl Storage, layout: Layout) -> Result<(), Error> {
        let mut bytes = Vec::new();
        for (head, place) in &self.needed {
            // It was whole a moment ago.
            let record = read_record(storage, *place, head, &mut bytes)?.ok_or_else(damaged)?;
            for change in record.changes() {
                carry_out(storage, layout, &change)?;
            }
        }
        Ok(storage.sync_data()?)
    }
}

fn damaged() -> Error {
    Error::Damaged("a record of its journal is damaged".to_owned())
}

/// Reads a record, if it is whole.
fn read_record<'b>(
    storage: &impl Storage,
    place: u64,
    head: &Head,
    bytes: &'b mut Vec<u8>,
) -> io::Result<Option<Record<'b>>> {
    bytes.resize(head.length, 0);
    storage.read(place, bytes)?;
    Ok(Record::read(bytes))
}

/// Writes over the pages what a record says of them.
fn carry_out(storage: &impl Storage, layout: Layout, change: &Change<'_>) -> io::Result<()> {
    match *change {
        Change::Resize(length) => storage.set_len(layout.pages() + length),
        Change::Write(offset, data, zeros) => {
            let offset = layout.pages() + offset;
            let end = offset + (data.len() + zeros) as u64;
            // One that became shorter since then was made so by a change that comes yet, or by one that was not synced.
            if storage.len()? < end {
                storage.set_len(end)?;
            }
            storage.write(offset, data)?;
            storage.write(offset + data.len() as u64, &vec![0; zeros])
        }
    }
}
