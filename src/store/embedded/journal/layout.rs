//! The front of the file: what says that it is a store, and where in it what lies.

use super::Error;
use super::record::BLOCK;

/// The version of the layout of the whole file, tables included. Another one is refused, not guessed at. 1 had no journal.
pub(in crate::store::embedded) const FORMAT: u32 = 2;

/// What the file begins with.
const MAGIC: [u8; 8] = *b"wicap\x1a\r\n";

/// What a file of [`FORMAT`] 1 begins with (redb's `docs/design.md`).
const MAGIC_BEFORE: [u8; 4] = *b"redb";

/// Bytes of the header that say something: the magic number, the format, its checksum, the salt, and the bytes of a half.
pub(super) const HEADER: usize = 32;

/// Where what lies, and how to tell a record of this file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) salt: u64,
    /// Bytes of a half.
    pub(super) half: u32,
}

impl Layout {
    pub(super) fn header(self) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[0..8].copy_from_slice(&MAGIC);
        header[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        header[16..24].copy_from_slice(&self.salt.to_le_bytes());
        header[24..28].copy_from_slice(&self.half.to_le_bytes());
        let checksum = checksum(&header);
        header[12..16].copy_from_slice(&checksum.to_le_bytes());
        header
    }

    pub(super) fn read(header: &[u8; HEADER]) -> Result<Self, Error> {
        let damaged = |what: &str| Err(Error::Damaged(what.to_owned()));
        if header.starts_with(&MAGIC_BEFORE) {
            return Err(Error::Format(1));
        }
        if !header.starts_with(&MAGIC) {
            return damaged("it does not begin as a store does");
        }
        let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        if number(12) != checksum(header) {
            return damaged("its header is damaged");
        }
        if number(8) != FORMAT {
            return Err(Error::Format(number(8)));
        }
        let salt = u64::from(number(16)) | u64::from(number(20)) << 32;
        Ok(Self { salt, half: number(24) })
    }

    pub(super) fn start_of(self, half: usize) -> u64 {
        BLOCK as u64 + half as u64 * u64::from(self.half)
    }

    /// Where the pages begin.
    pub(super) fn pages(self) -> u64 {
        self.start_of(2)
    }

    /// What a record may have at most: behind it there is room for one that only says what was checkpointed.
    pub(super) fn room(self) -> usize {
        self.half as usize - BLOCK
    }
}

/// Of a header, without what it says of itself. Its place is the same in every format.
fn checksum(header: &[u8; HEADER]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&header[..12]), &header[16..])
}
