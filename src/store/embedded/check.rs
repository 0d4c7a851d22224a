//! What can be said of a request without looking at the data (etcd: `server/etcdserver/api/v3rpc/key.go`).

use std::collections::BTreeSet;

use etcd_client::proto::PbCompareTarget as CompareTarget;
use etcd_client::proto::{
    PbDeleteRequest, PbPutRequest, PbRangeRequest, PbTxnOpRequest as Op, PbTxnRequest, PbTxnRequestOp,
};
use etcd_client::{CompareOp, SortTarget};
use prost::Message;

use super::refusal::Refusal;
use super::span::Span;

/// Compares, or operations of one branch, that a transaction may have, over all its levels (etcd: `--max-txn-ops`).
pub(crate) const MAX_TXN_OPS: usize = 128;

/// Bytes of a request (etcd: `--max-request-bytes`).
pub(crate) const MAX_REQUEST_BYTES: usize = 1024 * 1024 * 3 / 2;

/// Refuses what is too large to be written.
pub(crate) fn size(request: &impl Message) -> Result<(), Refusal> {
    if request.encoded_len() > MAX_REQUEST_BYTES { Err(Refusal::TooLarge) } else { Ok(()) }
}

pub(crate) fn range(request: &PbRangeRequest) -> Result<(), Refusal> {
    if request.key.is_empty() {
        return Err(Refusal::EmptyKey);
    }
    // etcd takes an order that it does not know for none, and dies of an unknown target.
    if SortTarget::try_from(request.sort_target).is_err() { Err(Refusal::InvalidSort) } else { Ok(()) }
}

pub(crate) fn put(request: &PbPutRequest) -> Result<(), Refusal> {
    if request.key.is_empty() {
        Err(Refusal::EmptyKey)
    } else if request.ignore_value && !request.value.is_empty() {
        Err(Refusal::ValueProvided)
    } else if request.ignore_lease && request.lease != 0 {
        Err(Refusal::LeaseProvided)
    } else {
        Ok(())
    }
}

pub(crate) fn delete(request: &PbDeleteRequest) -> Result<(), Refusal> {
    if request.key.is_empty() { Err(Refusal::EmptyKey) } else { Ok(()) }
}

/// A transaction: its sizes, each operation, and that no key is written twice.
pub(crate) fn txn(request: &PbTxnRequest) -> Result<(), Refusal> {
    operations(request, MAX_TXN_OPS)?;
    Writes::of(&request.success)?;
    Writes::of(&request.failure)?;
    Ok(())
}

fn operations(request: &PbTxnRequest, allowed: usize) -> Result<(), Refusal> {
    let used = request.compare.len().max(request.success.len()).max(request.failure.len());
    if used > allowed {
        return Err(Refusal::TooManyOps);
    }
    for compare in &request.compare {
        if compare.key.is_empty() {
            return Err(Refusal::EmptyKey);
        }
        // etcd takes these for true. What cannot be judged decides nothing here.
        if CompareOp::try_from(compare.result).is_err() || CompareTarget::try_from(compare.target).is_err() {
            return Err(Refusal::InvalidCompare);
        }
    }
    for operation in request.success.iter().chain(&request.failure) {
        match &operation.request {
            Some(Op::RequestRange(r)) => range(r)?,
            Some(Op::RequestPut(r)) => put(r)?,
            Some(Op::RequestDeleteRange(r)) => delete(r)?,
            Some(Op::RequestTxn(r)) => operations(r, allowed - used)?,
            None => return Err(Refusal::KeyNotFound),
        }
    }
    Ok(())
}

/// What one branch of a transaction may write. A key may be put once, and not be put and deleted; which of two branches is
/// taken is not known yet, so that they may put the same key.
#[derive(Default)]
struct Writes {
    puts: BTreeSet<Vec<u8>>,
    deletes: Vec<Span>,
}

impl Writes {
    fn of(operations: &[PbTxnRequestOp]) -> Result<Self, Refusal> {
        let mut all = Self::default();
        for operation in operations {
            if let Some(Op::RequestDeleteRange(delete)) = &operation.request {
                all.deletes.push(Span::literal(&delete.key, &delete.range_end));
            }
        }
        for operation in operations {
            if let Some(Op::RequestTxn(txn)) = &operation.request {
                let then = Self::of(&txn.success)?;
                let otherwise = Self::of(&txn.failure)?;
                for key in &then.puts {
                    all.put(key)?;
                }
                for key in &otherwise.puts {
                    if then.puts.contains(key) {
                        all.undeleted(key)?;
                    } else {
                        all.put(key)?;
                    }
                }
                all.deletes.extend(then.deletes);
                all.deletes.extend(otherwise.deletes);
            }
        }
        for operation in operations {
            if let Some(Op::RequestPut(put)) = &operation.request {
                all.put(&put.key)?;
            }
        }
        Ok(all)
    }

    fn put(&mut self, key: &[u8]) -> Result<(), Refusal> {
        self.undeleted(key)?;
        if self.puts.insert(key.to_vec()) { Ok(()) } else { Err(Refusal::DuplicateKey) }
    }

    fn undeleted(&self, key: &[u8]) -> Result<(), Refusal> {
        if self.deletes.iter().any(|d| d.contains(key)) { Err(Refusal::DuplicateKey) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use etcd_client::proto::PbCompare;

    use super::*;

    /// etcd takes some of these for something that they are not, and dies of others.
    #[test]
    fn a_number_that_stands_for_nothing_is_refused_where_it_would_decide_something() {
        let key = || b"k".to_vec();
        let sorted = |sort_target| PbRangeRequest { key: key(), sort_target, ..PbRangeRequest::default() };
        assert_eq!(range(&sorted(4)), Ok(()));
        assert_eq!(range(&sorted(5)), Err(Refusal::InvalidSort));
        let compared = |result, target| PbTxnRequest {
            compare: vec![PbCompare { result, target, key: key(), ..PbCompare::default() }],
            ..PbTxnRequest::default()
        };
        assert_eq!(txn(&compared(3, 4)), Ok(()));
        assert_eq!(txn(&compared(4, 0)), Err(Refusal::InvalidCompare));
        assert_eq!(txn(&compared(0, 5)), Err(Refusal::InvalidCompare));
        let says_nothing = vec![PbTxnRequestOp { request: None }];
        assert_eq!(txn(&PbTxnRequest { success: says_nothing, ..PbTxnRequest::default() }), Err(Refusal::KeyNotFound));
    }
}
