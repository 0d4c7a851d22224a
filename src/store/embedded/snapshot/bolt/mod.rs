//! The file format of bbolt, the B+tree that etcd keeps its data in: as much of it as a file that is written once and read
//! from end to end needs. [`mod@write`] makes such a file, [`read`] reads it and those that bbolt itself has worked on.
//!
//! ```text
//! page 0        meta      two copies; the valid one with the higher transaction counts
//! page 1        meta        └─ root bucket ─┐       └─ high water: pages at or above it are not in use
//! page n        leaf      "key" → bucket { root page, sequence } …  one element a bucket
//! page …        branch    first key of a child → page of the child …
//! page …        leaf      key → value …
//! page …        freelist  numbers of pages that are not in use
//!
//! a page        number u64 │ kind u16 │ elements u16 │ further pages u32 │ element headers … │ keys and values …
//! ```
//!
//! All numbers are little endian. What is longer than a page takes the pages that follow it, as many as its header says. A
//! small bucket may be *inline*: its root page is 0 and its only leaf is in the value, behind the bucket's header.
//!
//! Only meta pages have a checksum. Damage elsewhere is found where it breaks the structure, not where it changes a value.

pub mod read;
pub mod write;

#[cfg(test)]
mod tests;

/// Marks a meta page of bbolt.
const MAGIC: u32 = 0xED0C_DAED;

/// The one version of the format there is.
const VERSION: u32 = 2;

/// Bytes before the first element of a page.
const PAGE_HEADER: usize = 16;

/// Bytes of an element's header, on a leaf as on a branch.
const ELEMENT_HEADER: usize = 16;

/// Bytes of a meta record, which follows its page's header.
const META_BYTES: usize = 64;

/// Bytes of a bucket's value: root page and sequence.
const BUCKET_HEADER: usize = 16;

/// The kind of a page whose elements name its children.
const BRANCH: u16 = 0x01;

/// The kind of a page whose elements are keys and values.
const LEAF: u16 = 0x02;

/// The kind of pages 0 and 1.
const META: u16 = 0x04;

/// The kind of the page that lists unused pages.
const FREELIST: u16 = 0x10;

/// The flag of a leaf's element whose value is a bucket.
const BUCKET_FLAG: u32 = 0x01;

/// What a meta page says of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Meta {
    /// Bytes of a page.
    page_size: u32,
    /// The page of the root bucket.
    root: u64,
    /// The page of the freelist, or `u64::MAX` where none is kept (etcd keeps none).
    freelist: u64,
    /// The first page that was never used: the file's length in pages, unless it was grown ahead of need.
    high_water: u64,
    /// The transaction that wrote this page.
    transaction: u64,
}

impl Meta {
    /// The record with its checksum.
    fn encode(self) -> [u8; META_BYTES] {
        let mut bytes = [0; META_BYTES];
        let fields: [&[u8]; 9] = [
            &MAGIC.to_le_bytes(),
            &VERSION.to_le_bytes(),
            &self.page_size.to_le_bytes(),
            &[0; 4], // flags, of which none is defined
            &self.root.to_le_bytes(),
            &[0; 8], // the root bucket's sequence
            &self.freelist.to_le_bytes(),
            &self.high_water.to_le_bytes(),
            &self.transaction.to_le_bytes(),
        ];
        let summed = META_BYTES - 8;
        bytes[..summed].copy_from_slice(&fields.concat());
        let sum = fnv1a(&bytes[..summed]);
        bytes[summed..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// The record that `bytes` begin with. `None` if they are too few, or magic, version or checksum are not right.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let summed = bytes.get(..META_BYTES - 8)?;
        let sound =
            u32_at(bytes, 0)? == MAGIC && u32_at(bytes, 4)? == VERSION && u64_at(bytes, META_BYTES - 8)? == fnv1a(summed);
        sound.then_some(Self {
            page_size: u32_at(bytes, 8)?,
            root: u64_at(bytes, 16)?,
            freelist: u64_at(bytes, 32)?,
            high_water: u64_at(bytes, 40)?,
            transaction: u64_at(bytes, 48)?,
        })
    }
}

/// FNV-1a over 64 bits, the checksum of a meta page.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// The `N` bytes at `at`, if there are that many.
fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// The number at `at`, if there are bytes enough.
fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array_at(bytes, at).map(u16::from_le_bytes)
}

/// The number at `at`, if there are bytes enough.
fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array_at(bytes, at).map(u32::from_le_bytes)
}

/// The number at `at`, if there are bytes enough.
fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array_at(bytes, at).map(u64::from_le_bytes)
}
