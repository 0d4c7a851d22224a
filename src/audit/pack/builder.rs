//! Takes parts and makes a pack of them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::about::About;
use super::cap::{Cap, fit};
use super::manifest::{self, Entry, Manifest, document};
use super::part::{NOTE_MOST, Part};
use super::redaction::Redaction;
use super::{ENTRIES_MOST, PackError, WHOLE, WHOLE_MOST, archive, path, sha256};
use crate::api::Violation;
use crate::api::validate::quoted;

/// Takes parts, in any order. A part that is refused leaves it as it was, so that one mistake does not cost the whole pack.
pub struct Builder<'a> {
    about: About,
    redaction: Redaction<'a>,
    whole: u64,
    parts: BTreeMap<String, Part>,
}

/// A pack.
#[derive(Clone, Debug)]
pub struct Built {
    /// The file.
    pub bytes: Vec<u8>,
    /// The SHA-256 of it, in hex.
    pub digest: String,
    /// What is in it.
    pub manifest: Manifest,
}

impl<'a> Builder<'a> {
    /// A pack without parts. Each part goes through `redact` when it is added: a text as a whole, and of JSON each string, and
    /// the JSON itself. Paths and `about` are names, and do not.
    ///
    /// # Errors
    /// When a field of `about` is no name.
    pub fn new(about: About, redact: &'a dyn Fn(&str) -> String) -> Result<Self, PackError> {
        about.check().map_err(PackError::Refused)?;
        Ok(Self { about, redaction: Redaction::new(redact), whole: WHOLE, parts: BTreeMap::new() })
    }

    /// Takes at most so many bytes before compression, and never more than [`WHOLE_MOST`]; [`WHOLE`] unless this is called. What
    /// cannot give way are the manifest, and about a kilobyte of frame for each part.
    #[must_use]
    pub fn whole(mut self, bytes: u64) -> Self {
        self.whole = bytes.min(WHOLE_MOST);
        self
    }

    /// Adds lines for people, the newest last: those before them are cut.
    ///
    /// # Errors
    /// When the path is none or is taken, or there are too many parts.
    pub fn text(&mut self, path: &str, content: impl Into<Vec<u8>>, cap: Cap) -> Result<(), PackError> {
        self.check(path)?;
        let content = self.redaction.text(content.into());
        self.parts.insert(path.to_owned(), Part::text(content, cap));
        Ok(())
    }

    /// Adds one JSON value. When it is over its cap, a note stands in its place.
    ///
    /// # Errors
    /// As for a text; or when it cannot be written as JSON.
    pub fn document(&mut self, path: &str, content: &impl Serialize, cap: Cap) -> Result<(), PackError> {
        self.check(path)?;
        let value = self.value(path, content)?;
        self.parts.insert(path.to_owned(), Part::document(document(&value), cap));
        Ok(())
    }

    /// Adds a list of JSON values, a line each, the newest last: those before them are cut.
    ///
    /// # Errors
    /// As for a document.
    pub fn records<T: Serialize>(
        &mut self,
        path: &str,
        content: impl IntoIterator<Item = T>,
        cap: Cap,
    ) -> Result<(), PackError> {
        self.check(path)?;
        let mut lines = String::new();
        for record in content {
            let value = self.value(path, &record)?;
            lines.push_str(&value.to_string());
            lines.push('\n');
        }
        self.parts.insert(path.to_owned(), Part::records(lines, cap));
        Ok(())
    }

    /// Makes the pack. Memory: the parts, the largest of them twice, and what they take compressed.
    ///
    /// # Errors
    /// When the library cannot compress.
    pub fn finish(mut self) -> Result<Built, PackError> {
        let room = self.room();
        fit(&mut self.parts.values_mut().collect::<Vec<_>>(), room);
        let entry = |(path, part): (&String, &Part)| Entry {
            path: path.clone(),
            kind: part.kind(),
            bytes: part.bytes(),
            sha256: sha256(part.content()),
            cut: part.cut(),
        };
        let at = self.about.at;
        let manifest = Manifest::new(self.about, self.parts.iter().map(entry).collect());
        let head = manifest.render().map_err(|reason| PackError::Json { path: path::MANIFEST.to_owned(), reason })?;
        let entries = self.parts.values().map(|part| archive::entry_most(part.bytes())).sum::<u64>();
        let most = archive::entry_most(head.len() as u64) + entries + archive::END as u64;
        let mut tar = Vec::with_capacity(usize::try_from(most).unwrap_or_default());
        archive::append(&mut tar, path::MANIFEST, head.as_bytes(), at).map_err(PackError::Compress)?;
        // Each part is let go as soon as it is written.
        for (path, part) in self.parts {
            archive::append(&mut tar, &path, &part.into_content(), at).map_err(PackError::Compress)?;
        }
        archive::end(&mut tar);
        let bytes = archive::seal(&tar).map_err(PackError::Compress)?;
        Ok(Built { digest: sha256(&bytes), bytes, manifest })
    }

    /// What is left for the parts when the rest has what it may take.
    fn room(&self) -> u64 {
        let entries = self.parts.len() as u64;
        let head = archive::entry_most(manifest::most(entries)) + archive::END as u64;
        self.whole.saturating_sub(head + entries * archive::entry_most(NOTE_MOST))
    }

    fn value(&self, path: &str, content: &impl Serialize) -> Result<Value, PackError> {
        let value = serde_json::to_value(content).map_err(|reason| PackError::Json { path: path.to_owned(), reason })?;
        Ok(manifest::sorted(self.redaction.value(value)))
    }

    fn check(&self, path: &str) -> Result<(), PackError> {
        path::check(path).map_err(PackError::Refused)?;
        let refuse = |expected: String| Err(PackError::Refused(Violation::new("path", quoted(path), expected)));
        if self.parts.contains_key(path) {
            return refuse("another name: there is a part of this one".to_owned());
        }
        if let Some(file) = path::directories(path).find(|directory| self.parts.contains_key(*directory)) {
            return refuse(format!("another name: {} is a part, and cannot be a directory", quoted(file)));
        }
        let inside = format!("{path}/");
        if self.parts.range(inside.clone()..).next().is_some_and(|(other, _)| other.starts_with(&inside)) {
            return refuse("another name: this is a directory with parts in it".to_owned());
        }
        if self.parts.len() >= ENTRIES_MOST {
            return Err(PackError::TooMany { path: path.to_owned() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
