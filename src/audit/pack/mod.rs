//! The snapshot pack: what a failure can be studied and replayed from, in one file.
//!
//! ```text
//!  parts ──▶ redacted ──▶ cut to their caps ──▶ cut to fit the whole ──▶ tar ──▶ one zstd frame ──▶ sealed
//!
//!  file  = zstd frame (content size, checksum) · seal: a skippable frame with the SHA-256 of the bytes before it
//!  frame = tar: manifest.json · the other entries by path · two empty blocks
//! ```
//!
//! `tar --zstd -xf PACK` and `zstd -d` read it: both pass over the seal.
//!
//! Guarantees: the same parts, added in any order, are the same bytes; nothing gets in that was not redacted; nothing is refused
//! for its size, and what was cut is in the manifest; whatever was changed in a file is found, because there is one way only
//! to write each pack. Assumption: the same version of libzstd, because another one may compress in another way; the tar in it is
//! the same with all of them. Caveat: the seal is no signature. It finds damage; who wants to forge a pack can seal it again.
//!
//! # Layout
//!
//! - [`about`]: whose pack it is and why it was made; [`manifest`]: what is in it and what was cut
//! - [`path`]: what an entry may be called
//! - [`builder`]: takes parts, makes the pack; `redaction`, [`cap`], `part`: what becomes of a part on the way
//! - `archive`: the bytes; [`reader`]: reads what may be anything, and says what is wrong with it
//! - [`contents`]: what is in a pack of a stack, and whether it still leads to what was decided; `commands`: a part of what is
//!   redacted there
//! - [`summary`]: what is shown of a pack
//! - [`retention`]: which packs go; [`shelf`]: the directory that they are in

use sha2::{Digest, Sha256};

use crate::api::Violation;

pub mod about;
mod archive;
pub mod builder;
pub mod cap;
mod commands;
pub mod contents;
pub mod manifest;
mod part;
pub mod path;
pub mod reader;
mod redaction;
pub mod retention;
pub mod shelf;
pub mod summary;

#[cfg(test)]
mod fixtures;

/// The version of the format that is written, and the only one that is read.
pub const VERSION: u32 = 1;

/// Most entries beside the manifest. A stack of a thousand services has four parts of each; the limit bounds what a reader keeps
/// of a hostile pack.
pub const ENTRIES_MOST: usize = 4096;

/// Bytes of a pack before compression, unless the caller says otherwise. Twenty services with a mebibyte of log each are a third
/// of it, and two packs a minute still fit a disk for as long as it takes to notice.
pub const WHOLE: u64 = 64 << 20;

/// The most that a caller may ask for, and that a reader unpacks: it is in memory as a whole.
pub const WHOLE_MOST: u64 = 128 << 20;

/// Why there is no pack, or why it cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// A name, a path or a field is not what it may be. The builder is as it was; call it something else.
    #[error("{0}")]
    Refused(Violation),
    /// A part cannot be written as JSON. The builder is as it was; leave the part out, or add it as text.
    #[error("{path}: no JSON can be made of it: {reason}")]
    Json {
        /// The part.
        path: String,
        /// What is wrong with it.
        reason: serde_json::Error,
    },
    /// There are [`ENTRIES_MOST`] parts already. The builder is as it was; put several things into one part.
    #[error("{path}: there are {ENTRIES_MOST} parts already, and a pack holds no more")]
    TooMany {
        /// The part that was one too many.
        path: String,
    },
    /// The library could not compress: there is no memory for it. Try again later.
    #[error("the pack cannot be compressed: {0}")]
    Compress(std::io::Error),
    /// What the pack is read from failed. Try again.
    #[error("the pack cannot be read: {0}")]
    Read(std::io::Error),
    /// It is not the pack that was written, or none at all. What is in it proves nothing.
    #[error("{}", damage(.0))]
    Damaged(Vec<Violation>),
    /// There is no such entry. [`reader::Pack::show`] lists those that there are.
    #[error("{path}: there is no such entry")]
    Missing {
        /// The entry.
        path: String,
    },
    /// The entry was left out when the pack was made, because it was too large.
    #[error("{path}: it was left out, because it had {bytes} bytes")]
    LeftOut {
        /// The entry.
        path: String,
        /// What it had.
        bytes: u64,
    },
    /// An entry is not of the type that was asked for: another version of the program wrote it.
    #[error("{path}: not what was expected there: {reason}")]
    Unexpected {
        /// The entry.
        path: String,
        /// What is wrong with it.
        reason: serde_json::Error,
    },
}

fn damage(violations: &[Violation]) -> String {
    match violations {
        [] => "the pack is damaged".to_owned(),
        [one] => one.to_string(),
        [first, rest @ ..] => format!("{first} (and {} more)", rest.len()),
    }
}

/// The SHA-256 of some bytes, in hex.
fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
