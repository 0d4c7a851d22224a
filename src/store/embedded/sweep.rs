//! Removes what a compaction has made unreachable, a piece at a time between the writers' batches.
//!
//! Whatever a revision replaced is gone from the view of every revision after it. So a compaction to revision R walks the
//! revisions up to R once, and removes the version that each of them replaced, and the deletions themselves: it costs what was
//! written since the last compaction, not what is stored. A deletion at R itself stays until the next one, because a watch may
//! still begin at R (etcd since 3.5.15).

use super::commands::Reply;
use super::refusal::Refusal;
use super::tables::{NOWHERE, Place, Record, Slot, Tables, meta};
use redb::ReadableTable;

/// Revisions that are looked at between two batches; a piece takes a few milliseconds.
const PIECE: usize = 1_000;

/// The removal of compacted versions, and how far it has got.
#[derive(Default)]
pub(crate) struct Sweep {
    /// Where to go on.
    from: Place,
    /// The newest compacted revision; nothing to do once it is reached.
    to: i64,
    pending: bool,
    waiting: Vec<Reply<i64>>,
}

impl Sweep {
    /// As the file says: swept up to one revision, compacted up to another.
    pub(crate) fn new(swept: i64, compacted: i64) -> Self {
        Self { from: (swept, 0), to: compacted, pending: swept < compacted, waiting: Vec::new() }
    }

    pub(crate) fn begin(&mut self, compacted: i64) {
        // Deletions at the old target have stayed; now they go, also those of a large revision that were passed already.
        if self.from.0 == self.to {
            self.from = (self.to, 0);
        }
        self.to = compacted;
        self.pending = true;
    }

    /// Answers when everything is removed that is to be removed now.
    pub(crate) fn wait(&mut self, reply: Reply<i64>) {
        self.waiting.push(reply);
    }

    pub(crate) fn is_pending(&self) -> bool {
        self.pending
    }

    /// Removes a piece; returns who waited for the end of it when that is reached.
    pub(crate) fn step(&mut self, tables: &mut Tables<'_>) -> Result<Vec<Reply<i64>>, redb::Error> {
        let mut replaced = Vec::new();
        let mut deletions = Vec::new();
        let mut next = None;
        for (seen, entry) in tables.revisions.range(self.from..=(self.to, i64::MAX))?.enumerate() {
            let (place, value) = entry?;
            if seen == PIECE {
                next = Some(place.value());
                break;
            }
            let record =
                Record::decode(place.value(), value.value()).map_err(|e: Refusal| redb::Error::Corrupted(e.to_string()))?;
            if record.before != NOWHERE {
                replaced.push(record.before);
            }
            if record.is_deletion() && record.place.0 < self.to {
                deletions.push((record.place, record.kv.key));
            }
        }
        for place in replaced {
            tables.revisions.remove(place)?;
        }
        for (place, key) in deletions {
            tables.revisions.remove(place)?;
            let newest = tables.keys.get(key.as_slice())?.map(|slot| Slot::from(slot.value()).place);
            if newest == Some(place) {
                tables.keys.remove(key.as_slice())?;
            }
        }
        if let Some(next) = next {
            self.from = next;
            return Ok(Vec::new());
        }
        // Deletions at the compacted revision are looked at again by the next compaction.
        self.from = (self.to, 0);
        self.pending = false;
        tables.meta.insert(meta::SWEPT, self.to)?;
        Ok(std::mem::take(&mut self.waiting))
    }
}

#[cfg(test)]
mod tests {
    use etcd_client::proto::{PbDeleteRequest, PbPutRequest};
    use redb::{Database, ReadableTableMetadata};

    use super::super::write::Write;
    use super::*;

    /// A revision that deletes more keys than a piece holds, and a second compaction that comes in the middle of it.
    #[test]
    fn a_compaction_that_overtakes_another_leaves_nothing_behind() {
        let database = Database::builder().create_with_backend(redb::backends::InMemoryBackend::new()).unwrap();
        let transaction = database.begin_write().unwrap();
        let mut tables = Tables::open(&transaction).unwrap();
        let leases = std::collections::HashMap::new();
        let mut revision = 1;
        for n in 0..2 * PIECE {
            let mut write = Write::new(&mut tables, &leases, revision, -1);
            write.put(PbPutRequest { key: format!("k{n}").into_bytes(), ..PbPutRequest::default() }).unwrap();
            revision = write.finish().unwrap().revision;
        }
        let mut write = Write::new(&mut tables, &leases, revision, -1);
        let all = PbDeleteRequest { key: vec![0], range_end: vec![0], ..PbDeleteRequest::default() };
        write.delete(&all).unwrap();
        let deleted = write.finish().unwrap().revision;
        let mut write = Write::new(&mut tables, &leases, deleted, -1);
        write.put(PbPutRequest { key: b"alive".to_vec(), ..PbPutRequest::default() }).unwrap();
        let last = write.finish().unwrap().revision;

        let mut sweep = Sweep::default();
        sweep.begin(deleted);
        while sweep.from.0 < deleted || sweep.from.1 == 0 {
            sweep.step(&mut tables).unwrap();
        }
        assert!(sweep.is_pending(), "it stands inside the revision that deletes");
        sweep.begin(last);
        while sweep.is_pending() {
            sweep.step(&mut tables).unwrap();
        }
        assert_eq!((tables.revisions.len().unwrap(), tables.keys.len().unwrap()), (1, 1));
    }
}
