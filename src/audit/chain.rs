//! Whether the audit log is what was written: nothing altered, nothing missing, nothing moved, nothing cut off.
//!
//! Each lane is read once, from its oldest record on, whether that is in a segment or in the store; then the lanes are held
//! against each other. What is found names the record.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::store::audit::{Head, Lane, Mark, Record};

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all_fields = "camelCase")]
pub enum Finding {
    /// A record's content is not what its hash was made of, or it is no record at all.
    Altered {
        /// Its lane.
        lane: Lane,
        /// Its number.
        seq: u64,
        /// Where it is.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A record agrees with itself and not with what came after it, so it, or the one after it, is not the one that was written.
    Replaced {
        /// Its lane.
        lane: Lane,
        /// Its number.
        seq: u64,
        /// Its hash.
        found: String,
        /// The hash that it is known by.
        expected: String,
        /// Who knows it by that.
        witness: String,
    },
    /// A record stands where another one belongs.
    Misplaced {
        /// The lane that was read.
        lane: Lane,
        /// The number that belongs there.
        seq: u64,
        /// Where it is.
        place: String,
        /// The record that is there.
        holds: String,
    },
    /// Records are not there, and there are later ones.
    Missing {
        /// Their lane.
        lane: Lane,
        /// The first of them.
        from: u64,
        /// The last of them.
        to: u64,
    },
    /// Records at the end are not there.
    Truncated {
        /// Their lane.
        lane: Lane,
        /// The first of them.
        from: u64,
        /// The last that is known of.
        to: u64,
        /// Who knows of it.
        witness: String,
    },
    /// A record is there twice, and not the same both times.
    Twice {
        /// Its lane.
        lane: Lane,
        /// Its number.
        seq: u64,
        /// Where the other one is.
        place: String,
    },
    /// There are records after the one that the head names.
    BehindHead {
        /// Their lane.
        lane: Lane,
        /// The number that the head names.
        head: u64,
        /// The last record's.
        last: u64,
    },
    /// The head is missing, or is none.
    NoHead {
        /// Whose.
        lane: Lane,
        /// What is there instead.
        reason: String,
    },
    /// Something else is among the records.
    Stray {
        /// The lane that was read.
        lane: Lane,
        /// Where it is.
        place: String,
    },
    /// A file of records cannot be read.
    Unreadable {
        /// Whose.
        lane: Lane,
        /// The file.
        place: String,
        /// Why.
        reason: String,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let range =
            |from: &u64, to: &u64| if from == to { format!("record {from}") } else { format!("records {from} to {to}") };
        match self {
            Self::Altered { lane, seq, place, reason } => write!(f, "{lane}: record {seq} was altered ({place}): {reason}"),
            Self::Replaced { lane, seq, found, expected, witness } => {
                write!(f, "{lane}: record {seq} was replaced: its hash is {found}, and {witness} knows it as {expected}")
            }
            Self::Misplaced { lane, seq, place, holds } => {
                write!(f, "{lane}: record {seq} was put elsewhere: {place} holds {holds}")
            }
            Self::Missing { lane, from, to } => write!(f, "{lane}: {} missing", range(from, to)),
            Self::Truncated { lane, from, to, witness } => {
                write!(f, "{lane}: {} cut off: {witness} knows of record {to}", range(from, to))
            }
            Self::Twice { lane, seq, place } => write!(f, "{lane}: there is another record {seq} ({place})"),
            Self::BehindHead { lane, head, last } => {
                write!(f, "{lane}: the head names record {head}, and there are records up to {last}")
            }
            Self::NoHead { lane, reason } => write!(f, "{lane}: the head is missing: {reason}"),
            Self::Stray { lane, place } => write!(f, "{lane}: {place} is no record's place"),
            Self::Unreadable { lane, place, reason } => write!(f, "{lane}: {place} cannot be read: {reason}"),
        }
    }
}

/// Reads one lane, record by record.
#[derive(Debug)]
pub struct LaneCheck {
    lane: Lane,
    /// The last number that was read.
    last: u64,
    /// The hash of the record of that number, when it is one that can be believed.
    hash: Option<String>,
    /// What each number was found to have as its hash.
    hashes: BTreeMap<u64, String>,
    /// What the records say of the other lane: by whose number, which number, which hash.
    anchors: Vec<(u64, u64, String)>,
    findings: Vec<Finding>,
}

/// What was read of a lane.
#[derive(Debug)]
pub struct Checked {
    lane: Lane,
    last: u64,
    hashes: BTreeMap<u64, String>,
    anchors: Vec<(u64, u64, String)>,
    findings: Vec<Finding>,
}

impl LaneCheck {
    /// Nothing is read yet.
    #[must_use]
    pub fn new(lane: Lane) -> Self {
        Self { lane, last: 0, hash: Some(String::new()), hashes: BTreeMap::new(), anchors: Vec::new(), findings: Vec::new() }
    }

    /// The next thing that is stored for the lane: the number that its place stands for, where it is, and what it is.
    pub fn read(&mut self, seq: Option<u64>, place: &str, bytes: &[u8]) {
        let (lane, place) = (self.lane, place.to_owned());
        let Some(seq) = seq.filter(|seq| *seq > 0) else {
            self.findings.push(Finding::Stray { lane, place });
            return;
        };
        if seq <= self.last {
            // A segment was written and the records were not removed any more: they are there twice, and the same.
            let same = Record::decode(bytes).is_ok_and(|r| {
                self.hashes.get(&seq) == Some(&r.hash) && r.computed_hash() == r.hash && r.seq == seq && r.lane == lane
            });
            if !same {
                self.findings.push(Finding::Twice { lane, seq, place });
            }
            return;
        }
        if seq > self.last + 1 {
            self.findings.push(Finding::Missing { lane, from: self.last + 1, to: seq - 1 });
            self.hash = None;
        }
        self.last = seq;
        let before = self.hash.take();
        let record = match Record::decode(bytes) {
            Ok(record) => record,
            Err(reason) => {
                self.findings.push(Finding::Altered { lane, seq, place, reason });
                return;
            }
        };
        if record.computed_hash() != record.hash {
            let reason = "its content is not what its hash was made of".to_owned();
            self.findings.push(Finding::Altered { lane, seq, place, reason });
            return;
        }
        if record.seq != seq || record.lane != lane {
            let holds = format!("record {} of {}", record.seq, record.lane);
            self.findings.push(Finding::Misplaced { lane, seq, place, holds });
            return;
        }
        if !record.actor.proof.is_of(lane) {
            let reason =
                format!("{} is named as {:?}, and that is not who writes here", record.actor.name, record.actor.proof);
            self.findings.push(Finding::Altered { lane, seq, place, reason });
        }
        if let Some(found) = before.filter(|hash| *hash != record.previous) {
            let expected = record.previous.clone();
            let witness = format!("record {seq}");
            self.findings.push(Finding::Replaced { lane, seq: seq - 1, found, expected, witness });
        }
        if let Some(anchor) = record.anchor {
            self.anchors.push((seq, anchor.seq, anchor.hash));
        }
        self.hashes.insert(seq, record.hash.clone());
        self.hash = Some(record.hash);
    }

    /// A file that should hold records and cannot be read.
    pub fn unreadable(&mut self, place: &str, reason: &str) {
        let (lane, place, reason) = (self.lane, place.to_owned(), reason.to_owned());
        self.findings.push(Finding::Unreadable { lane, place, reason });
    }

    /// The end: what the head says is held against what was read. `noted` is a head that was written down elsewhere.
    #[must_use]
    pub fn finish(mut self, head: Option<&Result<Head, String>>, noted: Option<&Mark>) -> Checked {
        let lane = self.lane;
        match head {
            Some(Ok(head)) => {
                if head.seq < self.last {
                    self.findings.push(Finding::BehindHead { lane, head: head.seq, last: self.last });
                }
                self.hold(head.seq, &head.hash, "the head");
            }
            Some(Err(found)) => self.findings.push(Finding::NoHead { lane, reason: format!("found {found:?}") }),
            None if self.last > 0 => {
                self.findings.push(Finding::NoHead { lane, reason: "there is nothing under its key".to_owned() });
            }
            None => {}
        }
        if let Some(noted) = noted {
            self.hold(noted.seq, &noted.hash, "the head that was noted");
        }
        let Self { last, hashes, anchors, findings, .. } = self;
        Checked { lane, last, hashes, anchors, findings }
    }

    fn hold(&mut self, seq: u64, hash: &str, witness: &str) {
        self.findings.extend(held(self.lane, self.last, &self.hashes, (seq, hash), witness));
    }
}

/// What is wrong with a record that is known by a hash.
fn held(lane: Lane, last: u64, hashes: &BTreeMap<u64, String>, (seq, hash): (u64, &str), witness: &str) -> Option<Finding> {
    let witness = witness.to_owned();
    if seq > last {
        return Some(Finding::Truncated { lane, from: last + 1, to: seq, witness });
    }
    // What is missing or altered has been named already.
    let found = hashes.get(&seq).filter(|found| *found != hash)?;
    Some(Finding::Replaced { lane, seq, found: found.clone(), expected: hash.to_owned(), witness })
}

impl Checked {
    /// How many records were read and found to be what they should.
    #[must_use]
    pub fn records(&self) -> usize {
        self.hashes.len()
    }

    /// The last record: to be noted elsewhere.
    #[must_use]
    pub fn last(&self) -> Option<Mark> {
        self.hashes.last_key_value().map(|(seq, hash)| Mark { seq: *seq, hash: hash.clone() })
    }

    /// Its lane.
    #[must_use]
    pub fn lane(&self) -> Lane {
        self.lane
    }
}

/// All that is wrong with the lanes, each and with each other, in the order of lanes and numbers.
#[must_use]
pub fn findings(lanes: &[Checked]) -> Vec<Finding> {
    let mut all: Vec<Finding> = lanes.iter().flat_map(|lane| lane.findings.clone()).collect();
    for witness in lanes {
        let Some(of) = lanes.iter().find(|other| other.lane == witness.lane.other()) else { continue };
        for (by, seq, hash) in &witness.anchors {
            let witness = format!("record {by} of {}", witness.lane);
            let found = held(of.lane, of.last, &of.hashes, (*seq, hash), &witness);
            // The last of a cut tells it all.
            if let Some(Finding::Truncated { lane, .. }) = &found {
                all.retain(|f| !matches!(f, Finding::Truncated { lane: l, to, .. } if l == lane && to <= seq));
            }
            all.extend(found);
        }
    }
    all
}

#[cfg(test)]
mod tests;
