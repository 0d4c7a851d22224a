//! The bytes of a pack: tar, compressed, sealed. There is one way only to write each entry, so that a reader can compare.

use std::io;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};
use zstd::zstd_safe::{CParameter, get_frame_content_size};

use super::{hex, sha256};

/// Compression level: zstd's own default. Higher ones take several times as long, and a pack is made while something is broken.
const LEVEL: i32 = zstd::DEFAULT_COMPRESSION_LEVEL;

/// The unit of a tar.
pub(super) const BLOCK: usize = 512;

/// What ends a tar.
pub(super) const END: usize = 2 * BLOCK;

/// The mode of every entry: readable, and nothing to run.
const MODE: u32 = 0o644;

/// The latest time that the octal digits of a header hold, in the year 2242; later ones count as this.
const LATEST: i64 = (1 << 33) - 1;

/// What a seal begins with: the first magic number of zstd's skippable frames, and the length of what follows, a SHA-256
/// (RFC 8878, 3.1.2).
const SEAL: [u8; 8] = [0x50, 0x2A, 0x4D, 0x18, 32, 0, 0, 0];

/// The length of a seal.
pub(super) const SEAL_LEN: usize = SEAL.len() + 32;

/// What a tar takes for an entry of so many bytes, at most.
pub(super) const fn entry_most(bytes: u64) -> u64 {
    bytes + 2 * BLOCK as u64
}

/// The header of an entry. No owner, no names, no links; the time is that of the pack, because programs take 1970 for a mistake.
pub(super) fn header(path: &str, bytes: u64, at: Timestamp) -> io::Result<Header> {
    let mut header = Header::new_ustar();
    header.set_path(path)?;
    header.set_mode(MODE);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(bytes);
    header.set_mtime(at.as_second().clamp(0, LATEST).unsigned_abs());
    header.set_entry_type(EntryType::Regular);
    header.set_cksum();
    Ok(header)
}

/// Appends an entry to a tar.
pub(super) fn append(tar: &mut Vec<u8>, path: &str, content: &[u8], at: Timestamp) -> io::Result<()> {
    tar.extend_from_slice(header(path, content.len() as u64, at)?.as_bytes());
    tar.extend_from_slice(content);
    tar.resize(tar.len().next_multiple_of(BLOCK), 0);
    Ok(())
}

/// Ends a tar.
pub(super) fn end(tar: &mut Vec<u8>) {
    tar.resize(tar.len() + END, 0);
}

/// Compresses a tar, in one go and one thread, and seals it.
pub(super) fn seal(tar: &[u8]) -> io::Result<Vec<u8>> {
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    compressor.set_parameter(CParameter::ChecksumFlag(true))?;
    compressor.set_parameter(CParameter::ContentSizeFlag(true))?;
    let mut bytes = compressor.compress(tar)?;
    let digest = Sha256::digest(&bytes);
    bytes.extend_from_slice(&SEAL);
    bytes.extend_from_slice(&digest);
    bytes.shrink_to_fit();
    Ok(bytes)
}

/// What is wrong with a seal of a frame: what was found and what was expected.
pub(super) fn check_seal(frame: &[u8], seal: &[u8]) -> Result<(), (String, String)> {
    let expected = || format!("{SEAL_LEN} bytes with the SHA-256 of the frame");
    match seal.split_at_checked(SEAL.len()) {
        None => Err((format!("{} bytes", seal.len()), expected())),
        Some((_, digest)) if digest.len() != 32 => Err((format!("{} bytes", seal.len()), expected())),
        Some((magic, _)) if magic != SEAL => Err((format!("bytes that begin with {magic:02x?}"), expected())),
        Some((_, digest)) if digest != &Sha256::digest(frame)[..] => {
            Err((hex(digest), format!("{}, the SHA-256 of what is before it", sha256(frame))))
        }
        Some(_) => Ok(()),
    }
}

/// Unpacks a frame that has no more than `most` bytes by its own account.
pub(super) fn unpack(frame: &[u8], most: u64) -> Result<Vec<u8>, (String, String)> {
    let Ok(Some(bytes)) = get_frame_content_size(frame) else {
        return Err(("a frame that does not say its size".to_owned(), "one that does".to_owned()));
    };
    let capacity = usize::try_from(bytes).ok().filter(|_| bytes <= most);
    let Some(capacity) = capacity else {
        return Err((format!("{bytes} bytes when unpacked"), format!("at most {most}")));
    };
    zstd::bulk::decompress(frame, capacity).map_err(|e| (e.to_string(), "a zstd frame that can be unpacked".to_owned()))
}
