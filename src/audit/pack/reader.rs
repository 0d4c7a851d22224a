//! Reads a pack that may be anything: damaged, forged, or made to hurt who reads it.
//!
//! ```text
//! file ──▶ at most so many bytes ──▶ one frame and its seal ──▶ says its size, and that is not too much ──▶ unpacked
//!      ──▶ entries one by one ──▶ manifest ──▶ each header, size and digest against what the manifest says
//! ```
//!
//! Nothing is written anywhere, so a path can do no harm here; it is checked all the same, for those who unpack. Everything is read
//! into memory, at most [`WHOLE_MOST`] twice.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::ops::Range;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tar::{EntryType, Header};
use zstd::zstd_safe::find_frame_compressed_size;

use super::archive::{self, BLOCK, END, SEAL_LEN};
use super::manifest::{Cut, Entry, MANIFEST_MOST, Manifest};
use super::summary::Summary;
use super::{ENTRIES_MOST, PackError, VERSION, WHOLE_MOST, path, sha256};
use crate::api::Violation;
use crate::api::validate::quoted;

/// The largest file that is read: what cannot be compressed grows by less than this (`ZSTD_compressBound`).
const PACKED_MOST: u64 = WHOLE_MOST + WHOLE_MOST / 128;

/// Most violations that are told: a pack with more is no better known for them.
const TOLD_MOST: usize = 100;

/// The name under which the file itself is told of.
const FILE: &str = "(file)";

/// A pack that is what it says.
#[derive(Clone, Debug)]
pub struct Pack {
    manifest: Manifest,
    digest: String,
    packed: u64,
    tar: Vec<u8>,
    /// Where each entry of the manifest is.
    places: Vec<Range<usize>>,
}

impl Pack {
    /// Reads a pack, and compares all of it.
    ///
    /// # Errors
    /// When it cannot be read, or anything is wrong with it.
    pub fn read(source: impl Read) -> Result<Self, PackError> {
        match examine(source, None).map_err(PackError::Read)? {
            (Some(pack), violations) if violations.is_empty() => Ok(pack),
            (_, violations) => Err(PackError::Damaged(violations)),
        }
    }

    /// What is in it.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What people are shown of it.
    #[must_use]
    pub fn show(&self) -> Summary<'_> {
        Summary::new(&self.manifest, &self.digest, self.packed, self.tar.len() as u64)
    }

    /// The content of an entry.
    ///
    /// # Errors
    /// When there is none, or it was left out.
    pub fn part(&self, path: &str) -> Result<&[u8], PackError> {
        let missing = || PackError::Missing { path: path.to_owned() };
        let at = self.manifest.entries.binary_search_by(|entry| entry.path.as_str().cmp(path)).map_err(|_| missing())?;
        if let Some(Cut::LeftOut { bytes }) = self.manifest.entries[at].cut {
            return Err(PackError::LeftOut { path: path.to_owned(), bytes });
        }
        Ok(&self.tar[self.places[at].clone()])
    }

    /// A document.
    ///
    /// # Errors
    /// As for [`Pack::part`]; or when it is of another type.
    pub fn document<T: DeserializeOwned>(&self, path: &str) -> Result<T, PackError> {
        let content = self.part(path)?;
        serde_json::from_slice(content).map_err(|reason| PackError::Unexpected { path: path.to_owned(), reason })
    }

    /// Records, those that were not cut.
    ///
    /// # Errors
    /// As for a document.
    pub fn records<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, PackError> {
        let lines = self.part(path)?.split_inclusive(|b| *b == b'\n');
        let record =
            |line| serde_json::from_slice(line).map_err(|reason| PackError::Unexpected { path: path.to_owned(), reason });
        lines.map(record).collect()
    }
}

/// All that is wrong with a pack, at most a hundred things; none when it is what it says, and has the `digest` that it had when it was
/// made, where that is known. What can only be judged by something that is damaged itself is not told.
///
/// # Errors
/// When it cannot be read.
pub fn verify(source: impl Read, digest: Option<&str>) -> io::Result<Vec<Violation>> {
    Ok(examine(source, digest)?.1)
}

/// An entry as it was found.
struct Found {
    header: Range<usize>,
    content: Range<usize>,
    /// Empty when it is none.
    path: String,
}

/// What was found so far.
#[derive(Default)]
struct Findings(Vec<Violation>);

impl Findings {
    fn add(&mut self, entry: &str, found: impl Into<String>, expected: impl Into<String>) {
        if self.0.len() < TOLD_MOST {
            self.0.push(Violation::new(entry, found, expected));
        }
    }
}

fn examine(source: impl Read, digest: Option<&str>) -> io::Result<(Option<Pack>, Vec<Violation>)> {
    let mut file = Vec::new();
    source.take(PACKED_MOST + 1).read_to_end(&mut file)?;
    let mut findings = Findings::default();
    let pack = open(&file, &mut findings);
    if let Some(digest) = digest {
        let found = sha256(&file);
        if found != digest {
            findings.add(FILE, format!("the SHA-256 {found}"), format!("that of the pack that was made: {digest}"));
        }
    }
    Ok((pack, findings.0))
}

fn open(file: &[u8], findings: &mut Findings) -> Option<Pack> {
    if file.len() as u64 > PACKED_MOST {
        findings.add(FILE, format!("more than {PACKED_MOST} bytes"), "at most that");
        return None;
    }
    let frame = match find_frame_compressed_size(file) {
        Ok(length) if length <= file.len() => length,
        _ => {
            let found = format!("{} bytes that are no whole zstd frame", file.len());
            findings.add(FILE, found, format!("a zstd frame, and {SEAL_LEN} bytes that seal it"));
            return None;
        }
    };
    let (frame, seal) = file.split_at(frame);
    if let Err((found, expected)) = archive::check_seal(frame, seal) {
        findings.add("(seal)", found, expected);
    }
    let tar = match archive::unpack(frame, WHOLE_MOST) {
        Ok(tar) => tar,
        Err((found, expected)) => {
            findings.add(FILE, found, expected);
            return None;
        }
    };
    let (manifest, places) = inspect(&tar, findings)?;
    let (digest, packed) = (sha256(file), file.len() as u64);
    Some(Pack { manifest, digest, packed, tar, places })
}

/// What is in a tar, and where each entry of its manifest is.
fn inspect(tar: &[u8], findings: &mut Findings) -> Option<(Manifest, Vec<Range<usize>>)> {
    let entries = walk(tar, findings);
    let manifest = manifest(tar, entries.first(), findings)?;
    let places = compare(tar, &manifest, &entries, findings);
    Some((manifest, places))
}

/// Finds the entries, as far as they can be found.
fn walk(tar: &[u8], findings: &mut Findings) -> Vec<Found> {
    let mut entries: Vec<Found> = Vec::new();
    let mut at = 0;
    loop {
        let Some(block) = tar.get(at..at + BLOCK) else {
            findings.add(
                FILE,
                format!("a tar that ends at byte {} without its end", tar.len()),
                "two empty blocks at its end",
            );
            return entries;
        };
        if block.iter().all(|b| *b == 0) {
            if tar.len() != at + END || tar[at..].iter().any(|b| *b != 0) {
                let found = format!("{} bytes from the end of the tar at byte {at} on", tar.len() - at);
                findings.add(FILE, found, "two empty blocks, and nothing after them");
            }
            return entries;
        }
        if entries.len() > ENTRIES_MOST {
            findings.add(FILE, format!("more than {ENTRIES_MOST} entries beside the manifest"), "at most that");
            return entries;
        }
        let header = Header::from_byte_slice(block);
        let name = header.path_bytes();
        let path = std::str::from_utf8(&name).ok().filter(|name| path::is_path(name)).unwrap_or_default().to_owned();
        let shown = String::from_utf8_lossy(&name);
        if path.is_empty() {
            findings.add(&format!("(entry {})", entries.len() + 1), quoted(&shown), "a path that an entry may have");
        }
        if header.entry_type() != EntryType::Regular {
            findings.add(&shown, format!("an entry of type {:?}", header.entry_type()), "a regular file");
        }
        let start = at + BLOCK;
        let room = tar.len() - start;
        let size = header.entry_size().ok().and_then(|size| usize::try_from(size).ok()).filter(|size| *size <= room);
        let Some(size) = size else {
            let found = header.entry_size().map_or_else(|_| "no size".to_owned(), |size| format!("{size} bytes"));
            findings.add(&shown, found, format!("at most the {room} that are left"));
            return entries;
        };
        let padded = start + size.next_multiple_of(BLOCK);
        let padding = tar.get(start + size..padded).unwrap_or(&[1]);
        if padding.iter().any(|b| *b != 0) {
            findings.add(&shown, "something between its end and the next entry", "zeros");
        }
        entries.push(Found { header: at..start, content: start..start + size, path });
        at = padded;
    }
}

/// Reads the manifest, which is the first entry.
fn manifest(tar: &[u8], first: Option<&Found>, findings: &mut Findings) -> Option<Manifest> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let Some(first) = first.filter(|first| first.path == path::MANIFEST) else {
        let found =
            first.map_or_else(|| "no entry".to_owned(), |first| format!("{} as the first entry", quoted(&first.path)));
        findings.add(path::MANIFEST, found, "the manifest");
        return None;
    };
    let content = &tar[first.content.clone()];
    if content.len() as u64 > MANIFEST_MOST {
        findings.add(path::MANIFEST, format!("{} bytes", content.len()), format!("at most {MANIFEST_MOST}"));
        return None;
    }
    match serde_json::from_slice::<Versioned>(content) {
        Ok(Versioned { version }) if version != VERSION => {
            findings.add(
                path::MANIFEST,
                format!("version {version}"),
                format!("version {VERSION}: read it with another wicap"),
            );
            return None;
        }
        _ => {}
    }
    let manifest: Manifest = match serde_json::from_slice(content) {
        Ok(manifest) => manifest,
        Err(error) => {
            findings.add(path::MANIFEST, error.to_string(), "the manifest of a pack");
            return None;
        }
    };
    if let Err(violation) = manifest.about.check() {
        findings.add(path::MANIFEST, format!("{} {}", violation.path, violation.found), violation.expected);
    }
    if manifest.render().is_ok_and(|rendered| rendered.as_bytes() != content) {
        findings.add(path::MANIFEST, "the same in other bytes", "it as it is written: sorted, indented, each key once");
    }
    // A list that names one entry thousands of times would have it read as often.
    if let Some(pair) = manifest.entries.windows(2).find(|pair| pair[0].path >= pair[1].path) {
        let found = format!("{} listed after {}", quoted(&pair[1].path), quoted(&pair[0].path));
        findings.add(path::MANIFEST, found, "each path once, in order");
        return None;
    }
    Some(manifest)
}

/// Holds the entries against the manifest. Returns where those of the manifest are, in its order.
fn compare(tar: &[u8], manifest: &Manifest, found: &[Found], findings: &mut Findings) -> Vec<Range<usize>> {
    let at = manifest.about.at;
    let mut seen: BTreeMap<&str, &Found> = BTreeMap::new();
    for (number, entry) in found.iter().enumerate().filter(|(_, entry)| !entry.path.is_empty()) {
        let path = entry.path.as_str();
        if seen.contains_key(path) {
            findings.add(path, "a second entry of this name", "each name once");
            continue;
        }
        seen.insert(path, entry);
        if number > 1 && found[number - 1].path.as_str() >= path {
            findings.add(
                path,
                format!("it after {}", quoted(&found[number - 1].path)),
                "entries in the order of their paths",
            );
        }
        if let Some(file) = path::directories(path).find(|directory| seen.contains_key(directory)) {
            findings.add(path, format!("it inside of {}, which is a file", quoted(file)), "a directory");
        }
        let written = archive::header(path, entry.content.len() as u64, at);
        if let Some(field) = written.ok().and_then(|written| difference(&tar[entry.header.clone()], written.as_bytes())) {
            findings.add(path, format!("another {field} in its header"), "the header that a pack has for it");
        }
        let listed = manifest.entries.binary_search_by(|listed| listed.path.as_str().cmp(path)).is_ok();
        if number > 0 && !listed {
            findings.add(path, "an entry that is not in the manifest", "no others");
        }
    }
    let mut places = Vec::with_capacity(manifest.entries.len());
    for listed in &manifest.entries {
        match seen.get(listed.path.as_str()).filter(|_| listed.path != path::MANIFEST) {
            Some(entry) => {
                content(listed, &tar[entry.content.clone()], findings);
                places.push(entry.content.clone());
            }
            None => findings.add(&listed.path, "no entry", format!("{} bytes, as the manifest says", listed.bytes)),
        }
    }
    places
}

/// Holds the content of an entry against what the manifest says of it.
fn content(listed: &Entry, content: &[u8], findings: &mut Findings) {
    if content.len() as u64 != listed.bytes {
        let expected = format!("{}, as the manifest says", listed.bytes);
        findings.add(&listed.path, format!("{} bytes", content.len()), expected);
        return;
    }
    let digest = sha256(content);
    if digest != listed.sha256 {
        let expected = format!("{}, as the manifest says", quoted(&listed.sha256));
        findings.add(&listed.path, format!("content with the SHA-256 {digest}"), expected);
    }
}

/// The first field of a header that is not as it was written.
fn difference(found: &[u8], written: &[u8]) -> Option<&'static str> {
    // POSIX.1-2017, pax, "ustar Header Block": where each field ends.
    const FIELDS: [(usize, &str); 16] = [
        (100, "name"),
        (108, "mode"),
        (116, "owner"),
        (124, "group"),
        (136, "size"),
        (148, "time"),
        (156, "checksum"),
        (157, "type"),
        (257, "link"),
        (263, "magic"),
        (265, "version"),
        (297, "owner's name"),
        (329, "group's name"),
        (345, "device"),
        (500, "prefix"),
        (512, "padding"),
    ];
    let field = |at: usize| FIELDS.iter().find(|(end, _)| at < *end).map_or("byte", |(_, field)| *field);
    let mut fields = (0..BLOCK).filter(|at| found.get(*at) != written.get(*at)).map(field).peekable();
    let first = *fields.peek()?;
    // The checksum is another one whenever something else is.
    Some(fields.find(|field| *field != "checksum").unwrap_or(first))
}

#[cfg(test)]
mod tests;
