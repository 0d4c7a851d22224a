//! The hash by which etcd compares the data of two members, computed over the same bytes (etcd: `server/mvcc/hash.go`), so that
//! this store can be compared with an etcd too.

use std::collections::{HashMap, HashSet};

use super::refusal::Refusal;
use super::tables::{NOWHERE, Place, Record, View};

/// The hash of every version up to a revision that is not compacted.
///
/// Of what is older than the last compaction only that counts which is still there at the revision, so that it makes no
/// difference how far the removal of the rest has got; unless nothing at all is there, and then every put counts that a compaction
/// leaves. A deletion at the very revision of the compaction never counts: etcd before 3.5.15 removed it. A key that was deleted
/// and put again at the revision itself counts as not there: etcd's index stops at its first deletion.
pub(crate) fn hash_kv(view: &View, revision: i64) -> Result<u32, Refusal> {
    // When each version was replaced.
    let mut replaced: HashMap<Place, i64> = HashMap::new();
    let mut there: HashSet<Place> = HashSet::new();
    let mut put_again: HashSet<Place> = HashSet::new();
    for entry in view.revisions.range(..=(revision, i64::MAX))? {
        let (place, value) = entry?;
        let record = Record::decode(place.value(), value.value())?;
        if record.before != NOWHERE {
            replaced.insert(record.before, record.place.0);
            there.remove(&record.before);
        }
        if record.is_deletion() {
            continue;
        }
        // Two versions at one revision are a deletion and a put.
        if record.before.0 == revision {
            put_again.insert(record.place);
        } else {
            there.insert(record.place);
        }
    }
    let nothing_there = there.is_empty();
    let mut hash = crc32c::crc32c(b"key");
    for entry in view.revisions.range(..=(revision, i64::MAX))? {
        let (place, value) = entry?;
        let (place, (_, _, bytes)) = (place.value(), value.value());
        let deletion = Record::decode(place, (0, 0, bytes))?.is_deletion();
        if place.0 <= view.compacted {
            let gone = replaced.get(&place);
            let counts = match gone {
                None => nothing_there || !put_again.contains(&place),
                Some(at) => nothing_there && *at > view.compacted,
            };
            if deletion || !counts {
                continue;
            }
        }
        hash = crc32c::crc32c_append(hash, &revision_key(place.0, place.1, deletion));
        hash = crc32c::crc32c_append(hash, bytes);
    }
    Ok(hash)
}

/// A revision as etcd's key bucket names it.
pub(crate) fn revision_key(main: i64, sub: i64, deletion: bool) -> Vec<u8> {
    let mut key = Vec::with_capacity(18);
    key.extend(main.to_be_bytes());
    key.push(b'_');
    key.extend(sub.to_be_bytes());
    if deletion {
        key.push(b't');
    }
    key
}
