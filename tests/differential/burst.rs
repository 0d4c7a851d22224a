//! Changes that are under way at once. Which comes first is each store's own choice, so what is compared is what they have
//! in common whatever their order: what each has answered, that they have the next revisions between them, and what is there
//! then.

use std::ops::RangeInclusive;

use super::answer::{Answer, Kv};
use super::operation::{Bytes, Change, Delete, Operation, Put, Range, Span, Step, Txn};
use super::streams::{Note, Notes};

/// The answers without their revisions, and how many of them changed something, if these have each one of the next
/// revisions.
pub fn outcome(mut answers: Vec<Answer>, before: i64) -> Result<(Vec<Answer>, i64), String> {
    let (mut made, mut seen) = (Vec::new(), Vec::new());
    for answer in &mut answers {
        let changed = !matches!(answer, Answer::Delete { deleted: 0, .. });
        if let Answer::Put { revision, .. } | Answer::Delete { revision, .. } = answer {
            let revisions = if changed { &mut made } else { &mut seen };
            revisions.extend(revision.take());
        }
    }
    made.sort_unstable();
    let changes = i64::try_from(made.len()).unwrap();
    if !made.iter().copied().eq(before + 1..=before + changes) {
        return Err(format!("changes after revision {before} have the revisions {made:?}"));
    }
    if let Some(wrong) = seen.iter().find(|seen| !(before..=before + changes).contains(*seen)) {
        return Err(format!("with the changes after revision {before} to {made:?} an answer is of revision {wrong}"));
    }
    Ok((answers, changes))
}

/// The same notes as if the changes of these revisions were made in the order of their keys, at the first of them.
pub fn ordered_notes(notes: &mut Notes, revisions: &RangeInclusive<i64>) {
    for notes in notes.values_mut() {
        for note in &mut *notes {
            if let Note::Event { kv, previous, .. } = note {
                kv.iter_mut().chain(previous).for_each(|kv| ordered(kv, revisions));
            }
        }
        let of_burst = |note: &Note| match note {
            Note::Event { kv: Some(kv), .. } if revisions.contains(&kv.modified) => Some(kv.key.clone()),
            _ => None,
        };
        // They come one after another.
        if let Some(first) = notes.iter().position(|note| of_burst(note).is_some()) {
            let length = notes[first..].iter().take_while(|note| of_burst(note).is_some()).count();
            notes[first..first + length].sort_by_key(of_burst);
        }
    }
}

/// The same of keys that were read.
pub fn ordered_keys(answer: &mut Answer, revisions: &RangeInclusive<i64>) {
    if let Answer::Range { kvs, .. } = answer {
        for kv in kvs {
            ordered(kv, revisions);
        }
    }
}

fn ordered(kv: &mut Kv, revisions: &RangeInclusive<i64>) {
    for revision in [&mut kv.create, &mut kv.modified] {
        if revisions.contains(revision) {
            *revision = *revisions.start();
        }
    }
}

/// A read of all keys.
pub fn everything() -> Operation {
    Operation::Range(Range {
        span: Span { key: Bytes(vec![0]), end: Bytes(vec![0]) },
        limit: 0,
        revision: 0,
        sort: None,
        serializable: false,
        keys_only: false,
        count_only: false,
        min_mod: 0,
        max_mod: 0,
        min_create: 0,
        max_create: 0,
    })
}

/// Deletes the keys again: what was made in an order of its own must not be seen by what comes later.
pub fn erasure(changes: &[Change]) -> Operation {
    let erase = |change: &Change| {
        let (Change::Put(Put { key, .. }) | Change::Delete(Delete { span: Span { key, .. }, .. })) = change;
        Step::Delete(Delete { span: Span { key: key.clone(), end: Bytes(Vec::new()) }, prev_kv: false })
    };
    Operation::Txn(Txn { compares: Vec::new(), success: changes.iter().map(erase).collect(), failure: Vec::new() })
}
