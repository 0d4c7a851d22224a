//! Writing: what a put, a deletion or a transaction does to the tables. Nothing here can fail halfway: all that can be refused
//! is refused before the first change, so that a revision is whole or not there.

use std::collections::HashMap;

use etcd_client::proto::{
    PbDeleteRequest, PbDeleteResponse, PbKeyValue as KeyValue, PbPutRequest, PbPutResponse, PbRangeRequest,
    PbResponseHeader, PbResponseOp, PbTxnOpRequest as Op, PbTxnOpResponse as Answer, PbTxnRequest, PbTxnRequestOp,
    PbTxnResponse,
};
use prost::Message;
use redb::ReadableTable;

use super::lease::Lease;
use super::refusal::Refusal;
use super::span::Span;
use super::tables::{NOWHERE, Place, Reader, Record, RevisionKey, RevisionValue, Revisions, Slot, SlotValue, Tables};

/// What one revision changed, in the order in which it was done.
#[derive(Debug)]
pub(crate) struct Commit {
    pub(crate) revision: i64,
    pub(crate) records: Vec<Record>,
}

/// One request that writes, on the tables of its batch.
pub(crate) struct Write<'w, 't> {
    tables: &'w mut Tables<'t>,
    leases: &'w HashMap<i64, Lease>,
    /// The revision before this request.
    begin: i64,
    compacted: i64,
    records: Vec<Record>,
}

impl<'w, 't> Write<'w, 't> {
    pub(crate) fn new(tables: &'w mut Tables<'t>, leases: &'w HashMap<i64, Lease>, begin: i64, compacted: i64) -> Self {
        Self { tables, leases, begin, compacted, records: Vec::new() }
    }

    /// What was changed; `None` if nothing was, and then the revision stays.
    pub(crate) fn finish(self) -> Option<Commit> {
        (!self.records.is_empty()).then(|| Commit { revision: self.begin + 1, records: self.records })
    }

    /// The revision that reads of this request see: its own once it has changed something.
    fn revision(&self) -> i64 {
        if self.records.is_empty() { self.begin } else { self.begin + 1 }
    }

    fn reader(&self) -> Reader<'_, redb::Table<'t, &'static [u8], SlotValue>, redb::Table<'t, RevisionKey, RevisionValue>> {
        Reader {
            keys: &self.tables.keys,
            revisions: &self.tables.revisions,
            revision: self.revision(),
            compacted: self.compacted,
        }
    }

    /// A put that is not part of a transaction.
    pub(crate) fn put(&mut self, request: PbPutRequest) -> Result<PbPutResponse, Refusal> {
        // etcd looks for the lease first here, and for the key first in a transaction.
        self.lease_exists(request.lease)?;
        puttable(&self.reader(), self.leases, &request)?;
        self.put_checked(request)
    }

    fn lease_exists(&self, lease: i64) -> Result<(), Refusal> {
        if lease == 0 || self.leases.contains_key(&lease) { Ok(()) } else { Err(Refusal::LeaseNotFound) }
    }

    fn put_checked(&mut self, request: PbPutRequest) -> Result<PbPutResponse, Refusal> {
        let PbPutRequest { key, mut value, mut lease, prev_kv, ignore_value, ignore_lease } = request;
        let mut before = None;
        if prev_kv || ignore_value || ignore_lease {
            before = self.reader().get(&key, true)?;
            if let Some(before) = &before {
                if ignore_value {
                    value.clone_from(&before.value);
                }
                if ignore_lease {
                    lease = before.lease;
                }
            }
        }
        self.write(key, Some((value, lease)))?;
        Ok(PbPutResponse { header: header(self.revision()), prev_kv: before.filter(|_| prev_kv) })
    }

    /// Deletes a range, of a transaction or not.
    pub(crate) fn delete(&mut self, request: &PbDeleteRequest) -> Result<PbDeleteResponse, Refusal> {
        let mut found = Vec::new();
        let reader = self.reader();
        reader.each(&Span::new(&request.key, &request.range_end), reader.revision, |key, _| {
            found.push(key.to_vec());
            Ok(())
        })?;
        let mut prev_kvs = Vec::new();
        if request.prev_kv {
            for key in &found {
                prev_kvs.extend(reader.get(key, true)?);
            }
        }
        let deleted = number(found.len());
        for key in found {
            self.write(key, None)?;
        }
        Ok(PbDeleteResponse { header: header(self.revision()), deleted, prev_kvs })
    }

    /// Ends a lease: its keys are deleted in one revision, in their order.
    pub(crate) fn revoke(&mut self, lease: i64) -> Result<(), Refusal> {
        let keys = attached(&self.tables.attached, lease)?;
        for key in keys {
            self.write(key, None)?;
        }
        Ok(())
    }

    /// A transaction. The comparisons of all its levels are made before anything is changed.
    pub(crate) fn txn(&mut self, request: PbTxnRequest) -> Result<PbTxnResponse, Refusal> {
        let reader = self.reader();
        let mut path = Vec::new();
        decide(&reader, &request, &mut path)?;
        permitted(&reader, self.leases, &request, &mut path.iter())?;
        let mut response = self.branch(request, &mut path.into_iter())?;
        response.header = header(self.revision());
        Ok(response)
    }

    fn branch(&mut self, request: PbTxnRequest, path: &mut std::vec::IntoIter<bool>) -> Result<PbTxnResponse, Refusal> {
        let succeeded = path.next().unwrap_or_default();
        let operations = if succeeded { request.success } else { request.failure };
        let mut responses = Vec::with_capacity(operations.len());
        for PbTxnRequestOp { request } in operations {
            let answer = match request {
                Some(Op::RequestRange(range)) => {
                    let mut answer = self.reader().range(&range)?;
                    answer.header = header(self.revision());
                    Answer::ResponseRange(answer)
                }
                Some(Op::RequestPut(put)) => Answer::ResponsePut(self.put_checked(put)?),
                Some(Op::RequestDeleteRange(delete)) => Answer::ResponseDeleteRange(self.delete(&delete)?),
                Some(Op::RequestTxn(txn)) => Answer::ResponseTxn(self.branch(txn, path)?),
                None => continue,
            };
            responses.push(PbResponseOp { response: Some(answer) });
        }
        // Only the outermost transaction's header is filled in etcd.
        Ok(PbTxnResponse { header: header(0), succeeded, responses })
    }

    /// Adds a version of a key, or its deletion.
    fn write(&mut self, key: Vec<u8>, put: Option<(Vec<u8>, i64)>) -> Result<(), Refusal> {
        let place: Place = (self.begin + 1, number(self.records.len()));
        let old = self.tables.keys.get(key.as_slice())?.map(|slot| Slot::from(slot.value()));
        let alive = old.filter(|slot| slot.version > 0);
        let before = old.map_or(NOWHERE, |slot| slot.place);
        let old_lease = alive.map_or(0, |slot| slot.lease);
        let (kv, slot) = match put {
            Some((value, lease)) => {
                let create = alive.map_or(place.0, |slot| slot.create);
                let version = alive.map_or(0, |slot| slot.version) + 1;
                let kv = KeyValue { key, create_revision: create, mod_revision: place.0, version, value, lease };
                (kv, Slot { place, create, version, lease })
            }
            None => (KeyValue { key, ..KeyValue::default() }, Slot { place, create: 0, version: 0, lease: 0 }),
        };
        if old_lease != slot.lease {
            if old_lease != 0 {
                self.tables.attached.remove((old_lease, kv.key.as_slice()))?;
            }
            if slot.lease != 0 {
                self.tables.attached.insert((slot.lease, kv.key.as_slice()), ())?;
            }
        }
        self.tables.keys.insert(kv.key.as_slice(), SlotValue::from(slot))?;
        self.tables.revisions.insert(place, (before.0, before.1, kv.encode_to_vec().as_slice()))?;
        self.records.push(Record { place, before, kv });
        Ok(())
    }
}

/// A transaction that only reads, on a view.
pub(crate) fn read_only_txn<K, R>(reader: &Reader<'_, K, R>, request: &PbTxnRequest) -> Result<PbTxnResponse, Refusal>
where
    K: ReadableTable<&'static [u8], SlotValue>,
    R: Revisions,
{
    let mut path = Vec::new();
    decide(reader, request, &mut path)?;
    permitted(reader, &HashMap::new(), request, &mut path.iter())?;
    let succeeded = path.into_iter().next().unwrap_or_default();
    let mut responses = Vec::new();
    for operation in if succeeded { &request.success } else { &request.failure } {
        let Some(Op::RequestRange(range)) = &operation.request else { continue };
        let mut answer = reader.range(range)?;
        answer.header = header(reader.revision);
        responses.push(PbResponseOp { response: Some(Answer::ResponseRange(answer)) });
    }
    Ok(PbTxnResponse { header: header(reader.revision), succeeded, responses })
}

/// Whether no branch of it writes, whatever the comparisons say. One with another inside of it counts as one that writes, whatever
/// that does, as in etcd (`IsTxnReadonly` in `server/etcdserver/txn/txn.go`).
pub(crate) fn is_read_only(request: &PbTxnRequest) -> bool {
    let mut operations = request.success.iter().chain(&request.failure);
    operations.all(|operation| matches!(operation.request, Some(Op::RequestRange(_))))
}

/// The keys that end with a lease, in order.
pub(crate) fn attached(
    table: &impl ReadableTable<(i64, &'static [u8]), ()>,
    lease: i64,
) -> Result<Vec<Vec<u8>>, redb::StorageError> {
    let mut keys = Vec::new();
    for entry in table.range((lease, [].as_slice())..)? {
        let (key, ()) = entry.map(|(k, v)| (k, v.value()))?;
        let (of, key) = key.value();
        if of != lease {
            break;
        }
        keys.push(key.to_vec());
    }
    Ok(keys)
}

/// Which branch each level takes, outermost first, then the levels inside the branch that is taken, in their order.
fn decide<K, R>(reader: &Reader<'_, K, R>, request: &PbTxnRequest, path: &mut Vec<bool>) -> Result<(), Refusal>
where
    K: ReadableTable<&'static [u8], SlotValue>,
    R: Revisions,
{
    let mut holds = true;
    for compare in &request.compare {
        holds = holds && reader.holds(compare)?;
    }
    path.push(holds);
    for operation in if holds { &request.success } else { &request.failure } {
        if let Some(Op::RequestTxn(txn)) = &operation.request {
            decide(reader, txn, path)?;
        }
    }
    Ok(())
}

/// Whether everything on the path can be done: first what is put, then what is read, as etcd asks.
fn permitted<'p, K, R>(
    reader: &Reader<'_, K, R>,
    leases: &HashMap<i64, Lease>,
    request: &PbTxnRequest,
    path: &mut (impl Iterator<Item = &'p bool> + Clone),
) -> Result<(), Refusal>
where
    K: ReadableTable<&'static [u8], SlotValue>,
    R: Revisions,
{
    // A deletion from a key on may stand beside a put of such a key. What it deletes cannot be kept by that put: etcd dies of it.
    let mut deleted: Vec<Span> = Vec::new();
    let mut put_since: Vec<&[u8]> = Vec::new();
    on_path(request, &mut path.clone(), &mut |operation| match operation {
        Op::RequestPut(put) => {
            puttable(reader, leases, put)?;
            let key = put.key.as_slice();
            let keeps = put.ignore_value || put.ignore_lease;
            if keeps && !put_since.contains(&key) && deleted.iter().any(|span| span.contains(key)) {
                return Err(Refusal::KeyNotFound);
            }
            put_since.push(key);
            Ok(())
        }
        Op::RequestDeleteRange(delete) => {
            deleted.push(Span::new(&delete.key, &delete.range_end));
            put_since.clear();
            Ok(())
        }
        _ => Ok(()),
    })?;
    on_path(request, path, &mut |operation| match operation {
        Op::RequestRange(range) => readable(reader, range),
        _ => Ok(()),
    })
}

fn on_path<'p, 'r>(
    request: &'r PbTxnRequest,
    path: &mut impl Iterator<Item = &'p bool>,
    check: &mut impl FnMut(&'r Op) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let succeeded = path.next().copied().unwrap_or_default();
    for operation in if succeeded { &request.success } else { &request.failure } {
        match &operation.request {
            Some(Op::RequestTxn(txn)) => on_path(txn, path, check)?,
            Some(operation) => check(operation)?,
            None => {}
        }
    }
    Ok(())
}

fn puttable<K, R>(reader: &Reader<'_, K, R>, leases: &HashMap<i64, Lease>, put: &PbPutRequest) -> Result<(), Refusal>
where
    K: ReadableTable<&'static [u8], SlotValue>,
    R: Revisions,
{
    if (put.ignore_value || put.ignore_lease) && reader.get(&put.key, false)?.is_none() {
        return Err(Refusal::KeyNotFound);
    }
    if put.lease != 0 && !leases.contains_key(&put.lease) {
        return Err(Refusal::LeaseNotFound);
    }
    Ok(())
}

fn readable<K, R>(reader: &Reader<'_, K, R>, range: &PbRangeRequest) -> Result<(), Refusal> {
    match range.revision {
        0 => Ok(()),
        revision if revision > reader.revision => Err(Refusal::FutureRevision),
        revision if revision < reader.compacted => Err(Refusal::Compacted),
        _ => Ok(()),
    }
}

/// As etcd counts.
fn number(count: usize) -> i64 {
    i64::try_from(count).expect("nothing in memory is that many")
}

/// A header with its revision alone; the service adds who answers.
#[allow(clippy::unnecessary_wraps)] // The field that it goes into is optional.
pub(crate) fn header(revision: i64) -> Option<PbResponseHeader> {
    Some(PbResponseHeader { revision, ..PbResponseHeader::default() })
}
