use super::*;
use crate::store::audit::record::{ObjectId, Verb};
use crate::store::audit::{Actor, Mark, Proof};

/// Both lanes as they are stored.
#[derive(Clone)]
struct Log {
    records: [Vec<(u64, Vec<u8>)>; 2],
    heads: [Option<Result<Head, String>>; 2],
}

fn place(lane: Lane) -> usize {
    usize::from(lane == Lane::Control)
}

fn actor(lane: Lane) -> Actor {
    let proof = if lane == Lane::Control { Proof::Leader } else { Proof::Claimed };
    Actor { proof, ..Actor::claimed("ann@host") }
}

fn record(lane: Lane, seq: u64, previous: &str, anchor: Option<Mark>) -> Record {
    Record {
        lane,
        seq,
        time: "2026-02-10T10:00:00Z".parse().unwrap(),
        actor: actor(lane),
        verb: Verb::UpdateStatus,
        object: ObjectId { kind: "ActionRun".into(), name: format!("r-{seq}"), uid: "u".into() },
        before: None,
        after: None,
        phase: None,
        decision: None,
        anchor,
        previous: previous.to_owned(),
        hash: String::new(),
    }
    .sealed()
}

impl Log {
    /// Twenty records in turn: each third by a person, and whoever writes says how far the other was.
    fn new() -> Self {
        let mut log = Self { records: [Vec::new(), Vec::new()], heads: [None, None] };
        for n in 0..20 {
            log.append(if n % 3 == 0 { Lane::Intent } else { Lane::Control });
        }
        log
    }

    fn head(&self, lane: Lane) -> Head {
        self.heads[place(lane)].clone().and_then(Result::ok).unwrap_or_else(Head::start)
    }

    fn append(&mut self, lane: Lane) {
        let head = self.head(lane);
        let other = self.head(lane.other());
        let anchor = (other.seq > 0 && head.anchor.as_ref() != Some(&other.mark())).then(|| other.mark());
        let record = record(lane, head.seq + 1, &head.hash, anchor.clone());
        self.heads[place(lane)] =
            Some(Ok(Head { seq: record.seq, hash: record.hash.clone(), anchor: anchor.or(head.anchor) }));
        self.records[place(lane)].push((record.seq, record.encode()));
    }

    fn at(&mut self, lane: Lane, seq: u64) -> &mut Vec<u8> {
        let found = self.records[place(lane)].iter_mut().find(|(s, _)| *s == seq);
        &mut found.expect("there is such a record").1
    }

    fn decoded(&mut self, lane: Lane, seq: u64) -> Record {
        Record::decode(self.at(lane, seq)).unwrap()
    }

    fn remove(&mut self, lane: Lane, seqs: std::ops::RangeInclusive<u64>) {
        self.records[place(lane)].retain(|(seq, _)| !seqs.contains(seq));
    }

    /// Gives a record another content and its right hash, and all after it theirs; the head as well.
    fn rewrite(&mut self, lane: Lane, from: u64) {
        let mut previous = None;
        for (seq, bytes) in self.records[place(lane)].iter_mut().filter(|(seq, _)| *seq >= from) {
            let mut record = Record::decode(bytes).unwrap();
            if *seq == from {
                record.object.name = "another".into();
            }
            if let Some(previous) = previous {
                record.previous = previous;
            }
            let record = record.sealed();
            previous = Some(record.hash.clone());
            *bytes = record.encode();
            let anchor = self.heads[place(lane)].clone().and_then(|h| h.ok()?.anchor);
            self.heads[place(lane)] = Some(Ok(Head { seq: *seq, hash: record.hash, anchor }));
        }
    }

    fn found(&self) -> Vec<String> {
        self.found_with(None)
    }

    fn found_with(&self, noted: Option<(Lane, Mark)>) -> Vec<String> {
        let lanes: Vec<Checked> = Lane::ALL
            .into_iter()
            .map(|lane| {
                let mut check = LaneCheck::new(lane);
                for (seq, bytes) in &self.records[place(lane)] {
                    check.read(Some(*seq), "the store", bytes);
                }
                let noted = noted.as_ref().filter(|(of, _)| *of == lane).map(|(_, mark)| mark);
                check.finish(self.heads[place(lane)].as_ref(), noted)
            })
            .collect();
        findings(&lanes).iter().map(ToString::to_string).collect()
    }
}

#[test]
fn a_log_as_it_was_written_is_whole() {
    let log = Log::new();
    assert_eq!(log.found(), Vec::<String>::new());
    assert_eq!((log.head(Lane::Intent).seq, log.head(Lane::Control).seq), (7, 13));
    let empty = Log { records: [Vec::new(), Vec::new()], heads: [None, None] };
    assert_eq!(empty.found(), Vec::<String>::new());
}

type Tamper = fn(&mut Log);

/// What is done to the log, and what is to be found first. Nothing of these may pass, and what is named must be what was touched.
#[test]
fn every_kind_of_tampering_is_found_and_named() {
    use Lane::{Control, Intent};
    let table: &[(&str, Tamper, &str)] = &[
        ("a field is altered", |log| replace(log.at(Control, 5), "r-5", "r-6"), "control: record 5 was altered"),
        (
            "the hash is altered",
            |log| {
                let hash = log.decoded(Control, 5).hash;
                replace(log.at(Control, 5), &hash, &"0".repeat(64));
            },
            "control: record 5 was altered",
        ),
        (
            "the link is altered",
            |log| {
                let previous = log.decoded(Control, 5).previous;
                replace(log.at(Control, 5), &previous, &"0".repeat(64));
            },
            "control: record 5 was altered",
        ),
        ("spaces are put in", |log| replace(log.at(Intent, 2), "\"seq\":2", "\"seq\": 2"), "intent: record 2 was altered"),
        ("it is no JSON any more", |log| log.at(Intent, 2).truncate(20), "intent: record 2 was altered"),
        (
            "a record is altered with its right hash",
            |log| {
                let record = Record { phase: Some("Succeeded".into()), ..log.decoded(Control, 5) };
                *log.at(Control, 5) = record.sealed().encode();
            },
            "control: record 5 was replaced",
        ),
        (
            "the last record is altered with its right hash",
            |log| {
                let record = Record { phase: Some("Succeeded".into()), ..log.decoded(Control, 13) };
                *log.at(Control, 13) = record.sealed().encode();
            },
            "control: record 13 was replaced",
        ),
        ("one is missing", |log| log.remove(Control, 5..=5), "control: record 5 missing"),
        ("the first ones are missing", |log| log.remove(Control, 1..=3), "control: records 1 to 3 missing"),
        ("the last ones are missing", |log| log.remove(Control, 12..=13), "control: records 12 to 13 cut off"),
        (
            "the last ones are missing and the head knows it",
            |log| {
                let last = log.decoded(Control, 10);
                log.remove(Control, 11..=13);
                log.heads[1] = Some(Ok(Head { seq: 10, hash: last.hash, anchor: None }));
            },
            "control: records 11 to 12 cut off: record 7 of intent knows of record 12",
        ),
        (
            "all of a lane is gone, its head with it",
            |log| {
                log.remove(Control, 1..=13);
                log.heads[1] = None;
            },
            "control: records 1 to 12 cut off: record 7 of intent",
        ),
        (
            "two change places",
            |log| {
                let (a, b) = (log.at(Control, 5).clone(), log.at(Control, 6).clone());
                (*log.at(Control, 5), *log.at(Control, 6)) = (b, a);
            },
            "control: record 5 was put elsewhere: the store holds record 6 of control",
        ),
        (
            "a record of the other lane is put in",
            |log| {
                let other = log.at(Intent, 3).clone();
                *log.at(Control, 3) = other;
            },
            "control: record 3 was put elsewhere: the store holds record 3 of intent",
        ),
        (
            "one is put in between",
            |log| {
                let at = log.records[1].iter().position(|(seq, _)| *seq == 5).unwrap();
                let twin = record(Control, 5, "", None).encode();
                log.records[1].insert(at + 1, (5, twin));
            },
            "control: there is another record 5",
        ),
        (
            "one is put at the end",
            |log| {
                let twin = record(Control, 14, &log.head(Control).hash, None);
                log.records[1].push((14, twin.encode()));
            },
            "control: the head names record 13, and there are records up to 14",
        ),
        (
            "something else is put among them",
            |log| log.records[1].push((0, b"x".to_vec())),
            "control: the store is no record's place",
        ),
        (
            "the head is altered",
            |log| {
                log.heads[0] = Some(Ok(Head { seq: 7, hash: "0".repeat(64), anchor: None }));
            },
            "intent: record 7 was replaced",
        ),
        (
            "the head is set back",
            |log| {
                let earlier = log.decoded(Intent, 5).hash;
                log.heads[0] = Some(Ok(Head { seq: 5, hash: earlier, anchor: None }));
            },
            "intent: the head names record 5, and there are records up to 7",
        ),
        ("the head is gone", |log| log.heads[0] = None, "intent: the head is missing: there is nothing"),
        ("the head is no head", |log| log.heads[0] = Some(Err("x".into())), "intent: the head is missing: found \"x\""),
        (
            "a lane is written anew from a record on, hashes, links and head",
            |log| log.rewrite(Control, 5),
            "control: record 6 was replaced",
        ),
        (
            "the last of the people's is signed as by a leader, with its hash and the head",
            |log| {
                let mut record = log.decoded(Intent, 7);
                record.actor.proof = Proof::Leader;
                let record = record.sealed();
                log.heads[0] = Some(Ok(Head { hash: record.hash.clone(), ..log.head(Intent) }));
                *log.at(Intent, 7) = record.encode();
            },
            "intent: record 7 was altered (the store): ann@host is named as Leader",
        ),
        ("the people's lane is written anew", |log| log.rewrite(Intent, 1), "intent: record 1 was replaced"),
    ];
    let whole = Log::new();
    let mut wrong = Vec::new();
    for (what, tamper, expected) in table {
        let mut log = whole.clone();
        tamper(&mut log);
        let found = log.found();
        if !found.first().is_some_and(|first| first.starts_with(expected)) {
            wrong.push(format!("{what}: expected {expected}, found {found:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn replace(bytes: &mut Vec<u8>, from: &str, to: &str) {
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert!(text.contains(from), "{text} has no {from}");
    *bytes = text.replacen(from, to, 1).into_bytes();
}

#[test]
fn what_both_lanes_no_longer_know_is_found_by_a_head_that_was_noted() {
    let whole = Log::new();
    let noted = Mark { seq: 13, hash: whole.head(Lane::Control).hash };
    // The last record, which nothing else knows of, is cut off and the head set back.
    let mut log = whole.clone();
    log.remove(Lane::Control, 13..=13);
    let last = log.decoded(Lane::Control, 12).hash;
    log.heads[1] = Some(Ok(Head { seq: 12, hash: last, anchor: None }));
    assert_eq!(log.found(), Vec::<String>::new());
    let found = log.found_with(Some((Lane::Control, noted.clone())));
    assert_eq!(found, ["control: record 13 cut off: the head that was noted knows of record 13"]);
    assert_eq!(whole.found_with(Some((Lane::Control, noted))), Vec::<String>::new());
}

#[test]
fn a_record_that_is_in_two_places_is_one() {
    let log = Log::new();
    let mut check = LaneCheck::new(Lane::Control);
    let records = &log.records[1];
    for (seq, bytes) in records[..8].iter().chain(&records[4..]) {
        check.read(Some(*seq), "x", bytes);
    }
    let checked = check.finish(log.heads[1].as_ref(), None);
    assert_eq!(findings(&[checked]), []);
}
