//! What people are shown of a pack.

use serde::Serialize;

use super::about::About;
use super::manifest::{Cut, Entry, Manifest};

/// What people are shown of a pack. A program may print it as it likes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary<'a> {
    /// Whose it is, and why it was made.
    pub about: &'a About,
    /// The SHA-256 of the file, in hex.
    pub digest: &'a str,
    /// Bytes of the file.
    pub packed: u64,
    /// Bytes when it is unpacked.
    pub unpacked: u64,
    /// What was cut, of all entries.
    pub cut: Lost,
    /// Every entry but the manifest, in the order of their paths.
    pub entries: &'a [Entry],
}

/// What a pack has lost to its caps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lost {
    /// Entries that lost something.
    pub entries: usize,
    /// Bytes that they lost.
    pub bytes: u64,
    /// Lines that they lost.
    pub lines: u64,
}

impl<'a> Summary<'a> {
    pub(super) fn new(manifest: &'a Manifest, digest: &'a str, packed: u64, unpacked: u64) -> Self {
        let cut = manifest.entries.iter().filter_map(|entry| entry.cut).fold(Lost::default(), Lost::with);
        Self { about: &manifest.about, digest, packed, unpacked, cut, entries: &manifest.entries }
    }
}

impl Lost {
    /// The numbers come from a file, and may be any.
    fn with(self, cut: Cut) -> Self {
        let (bytes, lines) = match cut {
            Cut::Front { bytes, lines } => (bytes, lines),
            Cut::LeftOut { bytes } => (bytes, 0),
        };
        let (bytes, lines) = (self.bytes.saturating_add(bytes), self.lines.saturating_add(lines));
        Self { entries: self.entries + 1, bytes, lines }
    }
}
