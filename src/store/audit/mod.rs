//! The audit log: a record of each change of intent, decision, step and result, written in the transaction that makes the change.
//!
//! ```text
//!  /wicap.dev/audit/intent/<20-digit seq>     by people: whatever is written without a leader's fence
//!  /wicap.dev/audit/control/<20-digit seq>    by controllers: whatever is written with one
//!  /wicap.dev/audit-head/<lane>               {seq, hash} of the lane's last record
//!
//!  intent    1 ◀── 2 ◀── 3 ◀─────── 4          ◀── a record holds the hash of the one before it,
//!                  ▲     ╎          ╎           ╎  and how far the other lane was, when that has moved on
//!  control   1 ◀── 2 ◀── 3 ◀── 4 ◀── 5
//! ```
//!
//! Guarantees: a change and its record are committed together or not at all. A record that is altered, taken out, put elsewhere
//! or cut off breaks its own lane, or what the other lane holds of it. Two lanes, because etcd's roles go by ranges of keys:
//! who may declare intent must be able to add a record of it, and must not be able to touch those of what was done. It also
//! keeps an emergency stop from standing in line behind what controllers write.
//!
//! Assumption: an append compares the head that it was made from, so the appends of a lane are one after another; who loses the
//! race reads again. Caveats: the status of a stack is observation, and not recorded. A store whose every key was rewritten by
//! one who may write all of them is found out only by a head that was noted elsewhere.
//!
//! # Layout
//! - [`record`]: what a record says, and its hash
//! - `append`: from a change to a record in its transaction
//! - [`log`]: reading it, and taking out what has been archived

pub(super) mod append;
pub mod log;
pub mod record;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use record::{Actor, Proof, Record};

/// How an embedded store's word begins when a record bears another user id than its writer's.
pub(in crate::store) const NOT_THE_SIGNER: &str = "an audit record names user id";

/// Who writes a record: the two lanes are two chains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Lane {
    /// People, and what acts for them.
    Intent,
    /// Controllers.
    Control,
}

impl Lane {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Intent, Self::Control];

    /// Its name in keys, files and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Control => "control",
        }
    }

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Intent => Self::Control,
            Self::Control => Self::Intent,
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How far a lane is: the number and the hash of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// The record's number; 0 before the first.
    pub seq: u64,
    /// Its hash; empty before the first.
    pub hash: String,
}

/// What the store holds under a lane's head key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Head {
    /// The number of the lane's last record; 0 before the first.
    pub seq: u64,
    /// Its hash; empty before the first.
    pub hash: String,
    /// The last that the lane's records say of the other lane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<Mark>,
}

impl Head {
    /// Before the first record.
    #[must_use]
    pub fn start() -> Self {
        Self { seq: 0, hash: String::new(), anchor: None }
    }

    /// The lane's last record.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark { seq: self.seq, hash: self.hash.clone() }
    }
}
