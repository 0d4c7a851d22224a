//! From a change to a record in its transaction.

use etcd_client::{Compare, CompareOp, GetOptions, KeyValue, SortOrder, SortTarget, Txn, TxnOp, TxnOpResponse};

use super::record::{Actor, Decided, ObjectId, Proof, Record, Verb, digest};
use super::{Head, Lane, NOT_THE_SIGNER};
use crate::api::{Object, Time};
use crate::store::election::Fence;
use crate::store::{Error, Store};

/// A change that is to be recorded.
#[derive(Clone, Debug)]
pub(in crate::store) struct Change {
    verb: Verb,
    object: ObjectId,
    /// Of the half that is changed.
    key: String,
    after: Option<String>,
    phase: Option<String>,
    decision: Option<Decided>,
}

impl Change {
    /// A change of the intent half.
    pub(in crate::store) fn spec<K: Object>(verb: Verb, object: &K, key: &str, value: &[u8]) -> Self {
        let id = identify::<K>(object.name(), object.meta().uid.as_deref());
        Self { verb, object: id, key: key.to_owned(), after: Some(digest(value)), phase: None, decision: None }
    }

    /// A change of the status half.
    pub(in crate::store) fn status<K: Object>(object: &K, key: &str, value: &[u8]) -> Self {
        // What cannot be read as JSON was refused when it was encoded.
        let half = serde_json::from_slice::<serde_json::Value>(value).unwrap_or_default();
        let text = |pointer: &str| half.pointer(pointer).and_then(|v| v.as_str()).map(str::to_owned);
        let decision = half.pointer("/status/decision/allowed").and_then(serde_json::Value::as_bool);
        Self {
            verb: Verb::UpdateStatus,
            object: identify::<K>(object.name(), object.meta().uid.as_deref()),
            key: key.to_owned(),
            after: Some(digest(value)),
            phase: text("/status/phase"),
            decision: decision.map(|allowed| Decided { allowed, denied_by: text("/status/decision/deniedBy") }),
        }
    }

    /// The end of an object.
    pub(in crate::store) fn gone<K: Object>(name: &str, uid: Option<&str>, key: &str) -> Self {
        let id = identify::<K>(name, uid);
        Self { verb: Verb::Delete, object: id, key: key.to_owned(), after: None, phase: None, decision: None }
    }
}

fn identify<K: Object>(name: &str, uid: Option<&str>) -> ObjectId {
    let kind = K::kind(&()).into_owned();
    ObjectId { kind, name: name.to_owned(), uid: uid.unwrap_or_default().to_owned() }
}

/// Records that are ready to be written: what their transaction compares, and what it puts.
pub(in crate::store) struct Append {
    pub compares: Vec<Compare>,
    pub puts: Vec<TxnOp>,
}

/// Makes the records of changes.
pub(in crate::store) struct Writer<'a> {
    store: &'a Store,
    lane: Lane,
    actor: Actor,
    changes: &'a [Change],
    /// The head that a record could not be put after though nobody had moved it.
    stuck: Option<i64>,
}

impl<'a> Writer<'a> {
    pub(in crate::store) fn new(store: &'a Store, fence: Option<&Fence>, changes: &'a [Change]) -> Self {
        let (lane, actor) = match fence {
            Some(fence) => {
                let process = Some(fence.identity.clone());
                (Lane::Control, Actor { name: fence.controller.clone(), process, proof: Proof::Leader })
            }
            None => (Lane::Intent, store.actor.as_ref().clone()),
        };
        Self { store, lane, actor, changes, stuck: None }
    }

    /// Whether a refusal says that the store knows this process by another user id than it knows itself: it is in another user
    /// namespace, or at the other end of a tunnel. Then its name is a mere claim from now on, which is always taken.
    pub(in crate::store) fn only_claims(&mut self, refusal: &Error) -> bool {
        let (Error::Refused { reason }, Proof::Uid(uid)) = (refusal, &self.actor.proof) else { return false };
        if !reason.contains(NOT_THE_SIGNER) {
            return false;
        }
        tracing::warn!(uid, reason, "the audit log names this process by its own claim");
        self.actor.proof = Proof::Claimed;
        true
    }

    /// Reads how far the lanes are and what is about to be changed, at one moment, and makes the records that come next.
    pub(in crate::store) async fn prepare(&mut self, now: Time) -> Result<Append, Error> {
        let keys = &self.store.keys;
        let head_key = keys.audit_head(self.lane);
        let reads = [head_key.clone(), keys.audit_head(self.lane.other())];
        let reads = reads.into_iter().chain(self.changes.iter().map(|c| c.key.clone()));
        let txn = Txn::new().and_then(reads.map(|key| TxnOp::get(key, None)).collect::<Vec<_>>());
        let mut client = self.store.kv();
        let answer = self.store.read(async move { client.txn(txn).await }).await?;
        let mut found = answer.op_responses().into_iter().map(|op| match op {
            TxnOpResponse::Get(mut get) => get.take_kvs().into_iter().next(),
            _ => None,
        });
        let (own, other) = (found.next().flatten(), found.next().flatten());
        let seen = own.as_ref().map_or(0, KeyValue::mod_revision);
        let mut head = match own.as_ref().map(|kv| serde_json::from_slice::<Head>(kv.value())) {
            None => Head::start(),
            Some(Ok(head)) => head,
            Some(Err(_)) => self.heal().await?,
        };
        // Somebody else's record stands where the next one belongs: the head is not where the lane's end is.
        if self.stuck == Some(seen) {
            head = self.heal().await?;
        }
        self.stuck = Some(seen);
        let other: Option<Head> = other.and_then(|kv| serde_json::from_slice(kv.value()).ok());
        let anchor = other.filter(|head| head.seq > 0).map(|head| head.mark());
        let mut append =
            Append { compares: vec![Compare::mod_revision(head_key.clone(), CompareOp::Equal, seen)], puts: Vec::new() };
        for change in self.changes {
            let before = found.next().flatten().map(|kv| digest(kv.value()));
            let moved = anchor.clone().filter(|anchor| head.anchor.as_ref() != Some(anchor));
            let record = Record {
                lane: self.lane,
                seq: head.seq + 1,
                time: now,
                actor: self.actor.clone(),
                verb: change.verb,
                object: change.object.clone(),
                before,
                after: change.after.clone(),
                phase: change.phase.clone(),
                decision: change.decision.clone(),
                anchor: moved.clone(),
                previous: head.hash,
                hash: String::new(),
            }
            .sealed();
            let key = keys.audit_record(self.lane, record.seq);
            append.compares.push(Compare::version(key.clone(), CompareOp::Equal, 0));
            append.puts.push(TxnOp::put(key, record.encode(), None));
            head = Head { seq: record.seq, hash: record.hash, anchor: moved.or(head.anchor) };
        }
        let head = serde_json::to_vec(&head).expect("a number and strings are JSON");
        append.puts.push(TxnOp::put(head_key, head, None));
        Ok(append)
    }

    /// The head that the records themselves speak for, when what is stored as the head is wrong. What is wrong with the lane
    /// stays for `audit verify` to find: that operators can declare and stop, and that what is done is recorded, must not end with it.
    async fn heal(&self) -> Result<Head, Error> {
        tracing::error!(lane = %self.lane, "the head of the audit log is not where its last record is; going on after that");
        let (from, to) = self.store.keys.audit_records(self.lane);
        let options = GetOptions::new().with_range(to).with_sort(SortTarget::Key, SortOrder::Descend).with_limit(1);
        let mut client = self.store.kv();
        let mut answer = self.store.read(async move { client.get(from, Some(options)).await }).await?;
        let Some(last) = answer.take_kvs().into_iter().next() else { return Ok(Head::start()) };
        let key = String::from_utf8_lossy(last.key()).into_owned();
        let seq = key.rsplit('/').next().and_then(|seq| seq.parse().ok());
        let Some(seq) = seq else {
            return Err(Error::Corrupt { key, reason: "a record's key ends with its number".to_owned() });
        };
        let hash = Record::decode(last.value()).map(|record| record.hash).unwrap_or_default();
        Ok(Head { seq, hash, anchor: None })
    }
}
