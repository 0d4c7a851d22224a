//! What the journal consists of: records, each all that was changed between two syncs.
//!
//! ```text
//!  0   the file's salt      8   which no value that a client writes can have, so that none is taken for a record
//!  8   checksum             4   CRC32C of everything behind it
//!  12  length               4   of the whole, without what fills its last block
//!  16  sequence             8   one more than that of the record before
//!  24  checkpointed         8   the last sequence whose changes the file had on the disk when this was written
//!  32  changes                  an offset (8), a length (4), how many zeros end it (4), and the bytes before those;
//!                              or the length that the pages were given (8), 2^32 - 1, and 0
//! ```
//!
//! Zeros are left out because most pages are not full. All numbers are little endian. A record begins a block of the disk, so that writing one never touches the one before.

/// What a disk writes at once, or a multiple of it: the physical sector of today's disks, and the page of the kernel's cache.
pub(super) const BLOCK: usize = 4096;

/// Bytes in front of the changes.
pub(super) const HEAD: usize = 32;

/// Where the checksum ends, and what it is of begins.
const CHECKED: usize = 12;

/// Bytes in front of one change.
const CHANGE: usize = 16;

/// In the place of a length: what is before it is the length that the pages were given.
const RESIZE: u32 = u32::MAX;

/// One change of the pages.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change<'b> {
    /// An offset, bytes, and how many zeros follow them.
    Write(u64, &'b [u8], usize),
    Resize(u64),
}

/// A record that is being made: what was changed since the last sync.
#[derive(Debug)]
pub(super) struct Draft {
    bytes: Vec<u8>,
    limit: usize,
    /// Whether more was changed than a record may hold; it holds nothing then.
    overflown: bool,
}

impl Draft {
    /// An empty one, that may have so many bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { bytes: vec![0; HEAD], limit, overflown: false }
    }

    pub(super) fn write(&mut self, offset: u64, data: &[u8]) {
        // What is no length of a change is too long for a record too.
        let length = u32::try_from(data.len()).unwrap_or(RESIZE);
        self.add(offset, length, without_zeros(data));
    }

    pub(super) fn resize(&mut self, length: u64) {
        self.add(length, RESIZE, &[]);
    }

    fn add(&mut self, number: u64, length: u32, data: &[u8]) {
        if self.bytes.len() + CHANGE + data.len() > self.limit {
            self.overflown = true;
            self.bytes.truncate(HEAD);
        }
        if !self.overflown {
            self.bytes.extend_from_slice(&number.to_le_bytes());
            self.bytes.extend_from_slice(&length.to_le_bytes());
            let zeros = length.saturating_sub(u32::try_from(data.len()).unwrap_or(0));
            self.bytes.extend_from_slice(&zeros.to_le_bytes());
            self.bytes.extend_from_slice(data);
        }
    }

    pub(super) fn is_overflown(&self) -> bool {
        self.overflown
    }

    /// Whether nothing was changed.
    pub(super) fn is_empty(&self) -> bool {
        !self.overflown && self.bytes.len() == HEAD
    }

    /// Bytes that it takes of the journal.
    pub(super) fn size(&self) -> usize {
        self.bytes.len().next_multiple_of(BLOCK)
    }

    /// Makes a record of it.
    pub(super) fn seal(&mut self, salt: u64, sequence: u64, checkpointed: u64) -> &[u8] {
        let length = u32::try_from(self.bytes.len()).expect("a limit is below 2^32");
        self.bytes.resize(self.size(), 0);
        self.bytes[0..8].copy_from_slice(&salt.to_le_bytes());
        self.bytes[12..16].copy_from_slice(&length.to_le_bytes());
        self.bytes[16..24].copy_from_slice(&sequence.to_le_bytes());
        self.bytes[24..32].copy_from_slice(&checkpointed.to_le_bytes());
        let checksum = crc32c::crc32c(&self.bytes[CHECKED..length as usize]);
        self.bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
        &self.bytes
    }

    /// Begins the next one. What a large one took is given back.
    pub(super) fn clear(&mut self) {
        const KEPT: usize = 64 * BLOCK;
        self.bytes.truncate(HEAD);
        self.bytes.shrink_to(KEPT);
        self.overflown = false;
    }
}

/// What the head of a record says. It is true if the record is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) sequence: u64,
    pub(super) checkpointed: u64,
    /// Bytes of the whole, without what fills its last block.
    pub(super) length: usize,
}

impl Head {
    /// Reads the head of the record that begins here, if one does.
    pub(super) fn read(bytes: &[u8; HEAD], salt: u64) -> Option<Self> {
        let length = usize::try_from(number(&bytes[12..16])).ok().filter(|length| *length >= HEAD)?;
        let head = Self { sequence: number(&bytes[16..24]), checkpointed: number(&bytes[24..32]), length };
        (number(&bytes[0..8]) == salt).then_some(head)
    }

    /// Bytes that it takes of the journal.
    pub(super) fn size(&self) -> usize {
        self.length.next_multiple_of(BLOCK)
    }
}

/// A record that is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'b> {
    changes: &'b [u8],
}

impl<'b> Record<'b> {
    /// Takes all bytes of a record, if they are as they were written.
    pub(super) fn read(bytes: &'b [u8]) -> Option<Self> {
        let changes = bytes.get(HEAD..)?;
        let as_written = u64::from(crc32c::crc32c(&bytes[CHECKED..])) == number(&bytes[8..12]);
        as_written.then_some(Self { changes })
    }

    /// What was changed, in its order.
    pub(super) fn changes(&self) -> impl Iterator<Item = Change<'b>> {
        let mut rest = self.changes;
        std::iter::from_fn(move || {
            let (head, behind) = rest.split_first_chunk::<CHANGE>()?;
            let (place, length, zeros) = (number(&head[0..8]), number(&head[8..12]), number(&head[12..16]));
            if length == u64::from(RESIZE) {
                rest = behind;
                return Some(Change::Resize(place));
            }
            let (data, behind) = behind.split_at_checked(usize::try_from(length.checked_sub(zeros)?).ok()?)?;
            rest = behind;
            Some(Change::Write(place, data, usize::try_from(zeros).ok()?))
        })
    }
}

/// Bytes without the zeros at their end, but for some that are found last: sixteen at a time are looked at in one step.
fn without_zeros(bytes: &[u8]) -> &[u8] {
    let (chunks, rest) = bytes.as_chunks::<16>();
    if rest.iter().any(|byte| *byte != 0) {
        return bytes;
    }
    let end = chunks.iter().rposition(|chunk| u128::from_ne_bytes(*chunk) != 0).map_or(0, |last| last + 1);
    &bytes[..end * 16]
}

/// A little endian number of up to eight bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: u64 = 0x0123_4567_89ab_cdef;

    fn sealed(draft: &mut Draft) -> Vec<u8> {
        draft.seal(SALT, 7, 5).to_vec()
    }

    fn read(bytes: &[u8], salt: u64) -> Option<(Head, Record<'_>)> {
        let head = Head::read(bytes.first_chunk()?, salt)?;
        Some((head, Record::read(bytes.get(..head.length)?)?))
    }

    #[test]
    fn what_was_changed_is_read_back_in_its_order() {
        let mut draft = Draft::new(1 << 20);
        assert!(draft.is_empty());
        draft.resize(9000);
        draft.write(4096, b"page");
        draft.write(8192, &[7; 5000]);
        draft.write(0, b"half\0full\0\0");
        draft.write(0, &[[1; 16].as_slice(), &[0; 20]].concat());
        draft.write(4096, &[0; BLOCK]);
        let bytes = sealed(&mut draft);
        let (head, record) = read(&bytes, SALT).unwrap();
        assert_eq!((head.sequence, head.checkpointed, head.size(), bytes.len()), (7, 5, 2 * BLOCK, 2 * BLOCK));
        let changes: Vec<Change<'_>> = record.changes().collect();
        let expected = [
            Change::Resize(9000),
            Change::Write(4096, b"page", 0),
            Change::Write(8192, &[7; 5000], 0),
            Change::Write(0, b"half\0full\0\0", 0),
            Change::Write(0, &[1; 16], 20),
            Change::Write(4096, b"", BLOCK),
        ];
        assert_eq!(changes, expected);
        draft.clear();
        assert!(draft.is_empty());
        assert_eq!(read(&sealed(&mut draft), SALT).unwrap().1.changes().count(), 0);
    }

    #[test]
    fn a_record_with_one_bit_changed_or_its_end_missing_is_none() {
        let mut draft = Draft::new(1 << 20);
        draft.write(1, b"some bytes");
        let length = HEAD + CHANGE + 10;
        let bytes = sealed(&mut draft);
        for bit in 0..length * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&damaged, SALT), None, "bit {bit}");
        }
        for cut in 0..length {
            assert_eq!(read(&bytes[..cut], SALT), None, "cut to {cut}");
        }
        assert_eq!(read(&bytes, SALT + 1), None, "another file's");
    }

    #[test]
    fn more_than_a_record_may_hold_is_not_held() {
        let mut draft = Draft::new(BLOCK);
        draft.write(0, &[1; BLOCK - HEAD - CHANGE]);
        assert!(!draft.is_overflown(), "just as much as fits");
        draft.resize(1);
        assert!(draft.is_overflown() && !draft.is_empty());
        draft.write(0, b"x");
        assert_eq!(draft.size(), BLOCK);
        draft.clear();
        assert!(!draft.is_overflown() && draft.is_empty());
    }
}
