//! What a record says, and the hash that ties it to the one before it.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Lane, Mark};
use crate::api::Time;

/// One change of one object.
///
/// It is stored as the JSON that [`Record::encode`] makes and no other: a record whose bytes are not exactly those was touched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Record {
    /// The chain that it belongs to.
    pub lane: Lane,
    /// Its number there, from 1 without gaps.
    pub seq: u64,
    /// When its writer began to write it, by the writer's clock.
    pub time: Time,
    /// Who made the change.
    pub actor: Actor,
    /// What was done.
    pub verb: Verb,
    /// To what.
    pub object: ObjectId,
    /// Digest of what was stored of the object (its half: spec or status) before. Absent when there was nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Digest of what is stored after. Absent when there is nothing any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// `status.phase`, of a status that has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// What was decided, of a status that says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decided>,
    /// How far the other lane was, when that has changed since the last record that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<Mark>,
    /// The hash of the record before it; empty in the first.
    pub previous: String,
    /// The SHA-256 of all of the above, in hexadecimal.
    pub hash: String,
}

/// Who made a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Actor {
    /// `user@host` of a person, or a controller.
    pub name: String,
    /// Which process of it, of a controller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// What the name rests on.
    pub proof: Proof,
}

/// What the name of an actor rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Proof {
    /// Its own word.
    Claimed,
    /// The user id that its process runs under; the name is still its own word. The embedded store refuses a record with the id of
    /// another than who writes it. An etcd, on whatever socket, takes it as it is.
    Uid(u32),
    /// It held the leader key of that controller when the change was committed: the transaction compares it.
    Leader,
}

impl Proof {
    /// Whether it goes with a lane: leaders write one of them, and whoever else writes, the other.
    #[must_use]
    pub fn is_of(&self, lane: Lane) -> bool {
        (*self == Self::Leader) == (lane == Lane::Control)
    }
}

impl Actor {
    /// Somebody who says that he is `name`.
    #[must_use]
    pub fn claimed(name: impl Into<String>) -> Self {
        Self { name: name.into(), process: None, proof: Proof::Claimed }
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verb {
    /// An object was made.
    Create,
    /// Its intent was changed.
    Update,
    /// It was removed, or marked to be removed once its finalizers are done; then something is stored after.
    Delete,
    /// Its status was changed.
    UpdateStatus,
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Create, Self::Update, Self::Delete, Self::UpdateStatus];
}

impl std::fmt::Display for Verb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObjectId {
    /// `ActionRun`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Which one of that name.
    pub uid: String,
}

/// The word of authorisation, without its trace: that is in the object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Decided {
    /// Whether it may happen.
    pub allowed: bool,
    /// The gate that said no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denied_by: Option<String>,
}

impl Record {
    /// The bytes that are stored.
    ///
    /// # Panics
    /// Never: what it is made of can always be written as JSON.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings, numbers and times are JSON")
    }

    /// The record that was stored as these bytes.
    ///
    /// # Errors
    /// What is wrong with them, also when they only look the same: other spaces, another order of the fields.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let record: Self = serde_json::from_slice(bytes).map_err(|e| format!("it is no record: {e}"))?;
        if record.encode() != bytes {
            return Err("its bytes are not those that a record of this content has".to_owned());
        }
        Ok(record)
    }

    /// Its number and hash.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark { seq: self.seq, hash: self.hash.clone() }
    }

    /// The hash that it should have: of its JSON with an empty hash.
    #[must_use]
    pub fn computed_hash(&self) -> String {
        let unsealed = Self { hash: String::new(), ..self.clone() };
        hex(&Sha256::digest(unsealed.encode()))
    }

    /// The record with its hash.
    #[must_use]
    pub fn sealed(mut self) -> Self {
        self.hash = String::new();
        self.hash = hex(&Sha256::digest(self.encode()));
        self
    }
}

/// The digest of a stored value.
#[must_use]
pub fn digest(value: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(value)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // A String takes whatever is written to it.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A record with every field set.
    pub(crate) fn sample() -> Record {
        Record {
            lane: Lane::Control,
            seq: 7,
            time: "2026-02-10T10:00:00.123456789Z".parse().unwrap(),
            actor: Actor { name: "actuator.a".into(), process: Some("a-1-x".into()), proof: Proof::Leader },
            verb: Verb::UpdateStatus,
            object: ObjectId { kind: "ActionRun".into(), name: "r-1".into(), uid: "u".into() },
            before: Some(digest(b"a")),
            after: Some(digest(b"b")),
            phase: Some("Denied".into()),
            decision: Some(Decided { allowed: false, denied_by: Some("Session".into()) }),
            anchor: Some(Mark { seq: 3, hash: "ab".into() }),
            previous: "cd".into(),
            hash: String::new(),
        }
        .sealed()
    }

    #[test]
    fn a_record_comes_back_as_it_was_written() {
        let record = sample();
        assert_eq!(Record::decode(&record.encode()), Ok(record.clone()));
        assert_eq!(record.computed_hash(), record.hash);
        let small = Record { before: None, after: None, phase: None, decision: None, anchor: None, ..record };
        assert_eq!(Record::decode(&small.encode()), Ok(small));
    }

    #[test]
    fn what_only_looks_like_a_record_is_none() {
        let text = String::from_utf8(sample().encode()).unwrap();
        for (what, other) in [
            ("a space", text.replacen(':', ": ", 1)),
            ("another field", text.replacen('{', r#"{"more":1,"#, 1)),
            ("a time with another precision", text.replacen("123456789Z", "1234567890Z", 1)),
            ("an end cut off", text[..text.len() - 1].to_owned()),
            ("an explicit null", text.replacen(r#""previous""#, r#""x":null,"previous""#, 1)),
        ] {
            assert!(Record::decode(other.as_bytes()).is_err(), "{what}: {other}");
        }
    }

    #[test]
    fn each_field_is_under_the_hash() {
        let record = sample();
        let seconds = |s: i64| record.time.checked_add(jiff::SignedDuration::from_secs(s)).unwrap();
        let mut others = vec![
            Record { lane: Lane::Intent, ..record.clone() },
            Record { seq: 8, ..record.clone() },
            Record { time: seconds(1), ..record.clone() },
            Record { verb: Verb::Delete, ..record.clone() },
            Record { before: None, ..record.clone() },
            Record { after: Some(digest(b"c")), ..record.clone() },
            Record { phase: Some("Failed".into()), ..record.clone() },
            Record { decision: Some(Decided { allowed: true, denied_by: None }), ..record.clone() },
            Record { anchor: None, ..record.clone() },
            Record { previous: "ce".into(), ..record.clone() },
        ];
        for change in [
            (|r: &mut Record| r.actor.name.push('x')) as fn(&mut Record),
            |r| r.actor.process = None,
            |r| r.actor.proof = Proof::Claimed,
            |r| r.actor.proof = Proof::Uid(0),
            |r| r.object.kind.push('x'),
            |r| r.object.name.push('x'),
            |r| r.object.uid.push('x'),
        ] {
            let mut other = record.clone();
            change(&mut other);
            others.push(other);
        }
        for other in others {
            assert_ne!(other.computed_hash(), record.hash, "{other:?}");
        }
    }
}
