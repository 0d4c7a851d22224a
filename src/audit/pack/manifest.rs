//! What is in a pack: the first entry, which says what the others must be.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::about::About;
use super::path::PATH_MOST;
use super::{ENTRIES_MOST, VERSION};

/// The most that the manifest's head takes: five names of 512 bytes, and their keys.
const HEAD_MOST: u64 = 4096;

/// The most that the manifest says of one entry, beside its path: keys, three numbers and a digest, with their indents.
const ENTRY_MOST: u64 = 384 + PATH_MOST as u64;

/// The largest manifest: that of a pack with as many entries as it may have. More is not read.
pub(super) const MANIFEST_MOST: u64 = most(ENTRIES_MOST as u64);

/// The most that the manifest of so many entries takes.
pub(super) const fn most(entries: u64) -> u64 {
    HEAD_MOST + entries * ENTRY_MOST
}

/// What is in a pack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// The version of the format: [`VERSION`].
    pub version: u32,
    /// Whose it is, and why it was made.
    pub about: About,
    /// Every other entry, in the order of their paths.
    pub entries: Vec<Entry>,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Entry {
    /// Its path.
    pub path: String,
    /// How it is to be read.
    pub kind: Kind,
    /// Its size, as it is in the pack.
    pub bytes: u64,
    /// The SHA-256 of it, in hex.
    pub sha256: String,
    /// What it has lost to a cap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<Cut>,
}

/// How an entry is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Lines for people.
    Text,
    /// One JSON value, its keys in order.
    Document,
    /// One JSON value a line, its keys in order.
    Records,
}

/// What an entry has lost. Counted after redaction, so that nothing can be learnt of the length of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", deny_unknown_fields)]
pub enum Cut {
    /// Its first lines; the last ones are there.
    Front {
        /// So many bytes.
        bytes: u64,
        /// So many lines.
        lines: u64,
    },
    /// All of it: a note that says so stands in its place.
    LeftOut {
        /// The bytes that it had.
        bytes: u64,
    },
}

impl Manifest {
    /// Of a pack with these entries, which are in order.
    pub(super) fn new(about: About, entries: Vec<Entry>) -> Self {
        Self { version: VERSION, about, entries }
    }

    /// As it is written.
    pub(super) fn render(&self) -> Result<String, serde_json::Error> {
        Ok(document(&sorted(serde_json::to_value(self)?)))
    }
}

/// A value with its keys in order, whatever order its maps keep.
pub(super) fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let members: BTreeMap<String, Value> = members.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            Value::Object(members.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        scalar => scalar,
    }
}

/// A document as it is written: indented for people, and a line break at the end.
pub(super) fn document(value: &Value) -> String {
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::about;
    use super::*;

    #[test]
    fn the_largest_manifest_is_no_larger_than_it_may_be() {
        let name = "a".repeat(512);
        let about = About {
            stack: name.clone(),
            uid: name.clone(),
            object: Some("a/".to_owned() + &name[2..]),
            version: name,
            ..about()
        };
        let cut = Some(Cut::Front { bytes: u64::MAX, lines: u64::MAX });
        let entry =
            Entry { path: "a".repeat(PATH_MOST), kind: Kind::Document, bytes: u64::MAX, sha256: "0".repeat(64), cut };
        let bytes = |entries| Manifest::new(about.clone(), vec![entry.clone(); entries]).render().unwrap().len() as u64;
        for entries in [0, 1, 100] {
            assert!(bytes(entries) <= most(entries as u64), "{entries}: {}", bytes(entries));
        }
    }

    #[test]
    fn keys_are_in_order_at_every_depth() {
        let value: Value = serde_json::from_str(r#"{"b":[{"z":1,"y":2}],"a":{"d":null,"c":1.0}}"#).unwrap();
        assert_eq!(sorted(value).to_string(), r#"{"a":{"c":1.0,"d":null},"b":[{"y":2,"z":1}]}"#);
    }
}
