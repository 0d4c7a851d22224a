//! Several writes at once: all of them, or none because something that they were decided on has changed.

use etcd_client::{Compare, CompareOp, PutOptions, Txn, TxnOp, TxnOpResponse};
use tokio::time::Instant;

use super::audit::append::{Append, Change, Writer};
use super::audit::record::Verb;
use super::codec::{encode_spec, encode_status, revision_of};
use super::election::Fence;
use super::{Error, REQUEST_TIMEOUT, Store, innermost, refusal};
use crate::api::{MAX_OBJECT_BYTES, Object};

/// A transaction in the making.
#[must_use = "a transaction does nothing until it is committed"]
pub struct Transaction {
    store: Store,
    conditions: Vec<(Compare, String)>,
    writes: Vec<Write>,
    /// Whose writes they are.
    fence: Option<Fence>,
    /// What the audit log is to say of them.
    changes: Vec<Change>,
}

/// What came of an attempt that a condition did not end.
enum Attempt {
    /// It is done, at this revision.
    Committed(i64),
    /// Another record came first.
    Overtaken,
}

struct Write {
    key: String,
    /// `None` deletes.
    value: Option<Vec<u8>>,
    lease: i64,
}

impl Transaction {
    pub(super) fn new(store: Store) -> Self {
        Self { store, conditions: Vec::new(), writes: Vec::new(), fence: None, changes: Vec::new() }
    }

    /// Only while that leader leads.
    pub fn fence(mut self, fence: &Fence) -> Self {
        let compare = Compare::create_revision(fence.key.clone(), CompareOp::Equal, fence.token);
        self.conditions.push((compare, format!("the leadership of {}", fence.controller)));
        self.fence = Some(fence.clone());
        self
    }

    /// Only if neither half of the object has changed since it was read.
    ///
    /// # Errors
    /// [`Error::BadRequest`] when it has no usable resourceVersion.
    pub fn unchanged<K: Object>(mut self, object: &K) -> Result<Self, Error> {
        let revision = revision_of(object)?;
        let (plural, name) = (K::plural(&()), object.name());
        let what = format!("{plural} \"{name}\"");
        let spec = self.store.keys.spec(&plural, name);
        let status = self.store.keys.status(&plural, name);
        self.exists(spec.clone(), &what);
        self.at_most(spec, revision, &what);
        self.at_most(status, revision, &what);
        Ok(self)
    }

    /// Only if its spec half has not changed since it was read; its status may.
    ///
    /// # Errors
    /// [`Error::BadRequest`] when it has no usable resourceVersion.
    pub fn spec_unchanged<K: Object>(mut self, object: &K) -> Result<Self, Error> {
        let revision = revision_of(object)?;
        let (plural, name) = (K::plural(&()), object.name());
        let what = format!("{plural} \"{name}\"");
        let key = self.store.keys.spec(&plural, name);
        self.exists(key.clone(), &what);
        self.at_most(key, revision, &what);
        Ok(self)
    }

    /// Only if no object of that name exists.
    pub fn absent<K: Object>(mut self, name: &str) -> Self {
        let plural = K::plural(&());
        let key = self.store.keys.spec(&plural, name);
        self.conditions.push((Compare::version(key, CompareOp::Equal, 0), format!("{plural} \"{name}\"")));
        self
    }

    /// Only if no object of the kind was created or changed by an operator since that revision. A deletion is not seen: name
    /// the objects that matter with [`Transaction::unchanged`] too.
    pub fn none_newer<K: Object>(mut self, revision: i64) -> Self {
        let plural = K::plural(&());
        let (from, to) = self.store.keys.specs(&plural);
        let compare = Compare::mod_revision(from, CompareOp::Less, revision + 1).with_range(to);
        self.conditions.push((compare, plural.into_owned()));
        self
    }

    /// Creates the object; it must not exist. A status that an earlier object of the name has left is not this one's: it bears
    /// another uid, which every reader looks at, and the garbage collector removes it.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it breaks rules.
    pub fn create<K: Object>(self, object: &K) -> Result<Self, Error> {
        valid(object)?;
        let mut this = self.absent::<K>(object.name());
        let plural = K::plural(&());
        let mut object = object.clone();
        let meta = object.meta_mut();
        meta.uid = Some(crate::dice::uuid().to_string());
        meta.generation = Some(1);
        meta.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(this.store.clock.now()));
        meta.deletion_timestamp = None;
        let value = encode_spec(&object)?;
        sized(&object, value.len())?;
        let key = this.store.keys.spec(&plural, object.name());
        this.changes.push(Change::spec(Verb::Create, &object, &key, &value));
        this.writes.push(Write { key, value: Some(value), lease: 0 });
        Ok(this)
    }

    /// Writes the status half, if it has not changed since the object was read and the object is still the same one.
    ///
    /// # Errors
    /// [`Error::BadRequest`] when it has no usable resourceVersion.
    pub fn put_status<K: Object>(self, object: &K) -> Result<Self, Error> {
        self.put_status_finalized(object, Vec::new())
    }

    pub(super) fn put_status_finalized<K: Object>(mut self, object: &K, finalized: Vec<String>) -> Result<Self, Error> {
        let revision = revision_of(object)?;
        let (plural, name) = (K::plural(&()), object.name());
        let what = format!("the status of {plural} \"{name}\"");
        let spec = self.store.keys.spec(&plural, name);
        let key = self.store.keys.status(&plural, name);
        self.exists(spec.clone(), &what);
        let same = Compare::create_revision(spec, CompareOp::Less, revision + 1);
        self.conditions.push((same, what.clone()));
        self.at_most(key.clone(), revision, &what);
        let value = encode_status(object, finalized)?;
        sized(object, value.len())?;
        if K::AUDITED_STATUS {
            self.changes.push(Change::status(object, &key, &value));
        }
        self.writes.push(Write { key, value: Some(value), lease: 0 });
        Ok(self)
    }

    /// Writes the spec half, if it has not changed since `revision`.
    pub(super) fn put_spec<K: Object>(mut self, object: &K, revision: i64) -> Result<Self, Error> {
        let (plural, name) = (K::plural(&()), object.name());
        let what = format!("{plural} \"{name}\"");
        let key = self.store.keys.spec(&plural, name);
        self.exists(key.clone(), &what);
        self.at_most(key.clone(), revision, &what);
        let value = encode_spec(object)?;
        sized(object, value.len())?;
        let verb = if object.meta().deletion_timestamp.is_some() { Verb::Delete } else { Verb::Update };
        self.changes.push(Change::spec(verb, object, &key, &value));
        self.writes.push(Write { key, value: Some(value), lease: 0 });
        Ok(self)
    }

    /// Deletes both halves, if the spec half has not changed since `revision`. For the garbage collector.
    pub(super) fn delete<K: Object>(self, object: &K, revision: i64) -> Self {
        let mut this = self.delete_spec(object, revision);
        this.writes.push(Write { key: this.store.keys.status(&K::plural(&()), object.name()), value: None, lease: 0 });
        this
    }

    /// Deletes the spec half, if it has not changed since `revision`, and with it the object. For operators, who may not touch a
    /// status; what is left of it goes with [`super::Api::remove_strays`].
    pub(super) fn delete_spec<K: Object>(mut self, object: &K, revision: i64) -> Self {
        let (plural, name) = (K::plural(&()), object.name());
        let what = format!("{plural} \"{name}\"");
        let key = self.store.keys.spec(&plural, name);
        self.exists(key.clone(), &what);
        self.at_most(key.clone(), revision, &what);
        self.changes.push(Change::gone::<K>(name, object.meta().uid.as_deref(), &key));
        self.writes.push(Write { key, value: None, lease: 0 });
        self
    }

    /// A key outside the two-key layout: created when `seen` is zero, else replaced if unchanged since that revision.
    pub(super) fn put_raw(mut self, key: String, value: Vec<u8>, seen: i64, lease: i64) -> Self {
        self.conditions.push((Compare::mod_revision(key.clone(), CompareOp::Equal, seen), key.clone()));
        self.writes.push(Write { key, value: Some(value), lease });
        self
    }

    /// Deletes a key outside the two-key layout, if it has not changed since that revision.
    pub(super) fn delete_raw(mut self, key: String, seen: i64) -> Self {
        self.conditions.push((Compare::mod_revision(key.clone(), CompareOp::Equal, seen), key.clone()));
        self.writes.push(Write { key, value: None, lease: 0 });
        self
    }

    fn exists(&mut self, key: String, what: &str) {
        self.conditions.push((Compare::version(key, CompareOp::Greater, 0), what.to_owned()));
    }

    /// Not changed since that revision. A key that does not exist counts as revision 0.
    fn at_most(&mut self, key: String, revision: i64, what: &str) {
        self.conditions.push((Compare::mod_revision(key, CompareOp::Less, revision + 1), what.to_owned()));
    }

    /// Commits, with the audit log's records of it, and returns the revision at which all of it happened.
    ///
    /// # Errors
    /// [`Error::Conflict`] when a condition does not hold, and nothing was written. When no answer came: [`Error::Unreachable`]
    /// when a look shows that nothing was written; [`Error::Ambiguous`] when there can be no look, or it does not show which.
    pub async fn commit(self) -> Result<i64, Error> {
        if self.changes.is_empty() {
            return match self.attempt(None).await? {
                Attempt::Committed(revision) => Ok(revision),
                Attempt::Overtaken => Err(self.conflict().await),
            };
        }
        // Who waits here would be overtaken there.
        let _turn = self.store.audit_turn.lock().await;
        let now = self.store.clock.now();
        let mut log = Writer::new(&self.store, self.fence.as_ref(), &self.changes);
        let begun = Instant::now();
        loop {
            let append = log.prepare(now).await?;
            let attempt = match self.attempt(Some(append)).await {
                Err(refusal) if log.only_claims(&refusal) => continue,
                attempt => attempt?,
            };
            match attempt {
                Attempt::Committed(revision) => return Ok(revision),
                // Another process has added a record meanwhile: nothing was written, and what this was decided on still held.
                Attempt::Overtaken if begun.elapsed() < REQUEST_TIMEOUT => {}
                Attempt::Overtaken => return Err(Error::Conflict { what: "the end of the audit log".to_owned() }),
            }
        }
    }

    async fn attempt(&self, append: Option<Append>) -> Result<Attempt, Error> {
        let writes = self.writes.iter().map(|w| match &w.value {
            Some(value) => {
                let options = (w.lease != 0).then(|| PutOptions::new().with_lease(w.lease));
                TxnOp::put(w.key.clone(), value.clone(), options)
            }
            None => TxnOp::delete(w.key.clone(), None),
        });
        let all = Txn::new().when(self.compares());
        let recorded = append.is_some();
        // The log's own comparison is a transaction inside: that it fails is told apart from a condition that does not hold.
        let txn = match append {
            None => all.and_then(writes.collect::<Vec<_>>()),
            Some(append) => {
                let operations: Vec<TxnOp> = writes.chain(append.puts).collect();
                all.and_then([TxnOp::txn(Txn::new().when(append.compares).and_then(operations))])
            }
        };
        let mut client = self.store.kv();
        let reason = match tokio::time::timeout(REQUEST_TIMEOUT, client.txn(txn)).await {
            Ok(Ok(answer)) if answer.succeeded() => {
                let inside = |op: TxnOpResponse| matches!(op, TxnOpResponse::Txn(inner) if inner.succeeded());
                if recorded && !answer.op_responses().into_iter().any(inside) {
                    return Ok(Attempt::Overtaken);
                }
                return Ok(Attempt::Committed(answer.header().map_or(0, etcd_client::ResponseHeader::revision)));
            }
            Ok(Ok(_)) => return Err(self.conflict().await),
            Ok(Err(e)) => match refusal(&e) {
                Some(refused) => return Err(refused),
                None => innermost(&e),
            },
            Err(_) => format!("no answer within {REQUEST_TIMEOUT:?}"),
        };
        self.look_up(reason).await.map(Attempt::Committed)
    }

    fn compares(&self) -> Vec<Compare> {
        self.conditions.iter().map(|(compare, _)| compare.clone()).collect()
    }

    /// Whether what was to be written is there, when the answer to the write was lost.
    ///
    /// A transaction that was committed has undone its own conditions, since each of its writes compares what it replaces. So:
    /// they still hold, and nothing was written; they do not and the value is there, and it was written; they do not and another
    /// value is there, and somebody was faster, or came after.
    ///
    /// It is asked as what could be a write, so that it stands behind the first one where that still waits to be done: a read
    /// could be answered from before it.
    async fn look_up(&self, reason: String) -> Result<i64, Error> {
        let Some(write) = self.writes.iter().find(|w| w.value.is_some()).or(self.writes.first()) else {
            return Err(self.store.unreachable(&reason));
        };
        // No version is below 0, so this is never done.
        let never = Txn::new()
            .when([Compare::version(write.key.clone(), CompareOp::Less, 0)])
            .and_then([TxnOp::delete(write.key.clone(), None)]);
        let get = || [TxnOp::get(write.key.clone(), None), TxnOp::txn(never.clone())];
        let txn = Txn::new().when(self.compares()).and_then(get()).or_else(get());
        let mut client = self.store.kv();
        let Ok(answer) = self.store.read(async move { client.txn(txn).await }).await else {
            return Err(Error::Ambiguous { reason });
        };
        if answer.succeeded() {
            return Err(self.store.unreachable(&reason));
        }
        let now = answer.header().map_or(0, etcd_client::ResponseHeader::revision);
        let stored = answer.op_responses().into_iter().find_map(|op| match op {
            TxnOpResponse::Get(mut get) => get.take_kvs().into_iter().next(),
            _ => None,
        });
        if stored.as_ref().map(etcd_client::KeyValue::value) == write.value.as_deref() {
            Ok(stored.map_or(now, |kv| kv.mod_revision()))
        } else {
            Err(Error::Ambiguous { reason })
        }
    }

    /// Which condition does not hold. Asked one by one, after the fact: it is for people only.
    async fn conflict(&self) -> Error {
        for (compare, what) in &self.conditions {
            let mut client = self.store.kv();
            let txn = Txn::new().when([compare.clone()]);
            match self.store.read(async move { client.txn(txn).await }).await {
                Ok(answer) if !answer.succeeded() => return Error::Conflict { what: what.clone() },
                Ok(_) => {}
                Err(_) => break,
            }
        }
        Error::Conflict { what: "what was read".to_owned() }
    }
}

/// Refuses an object that breaks its own rules.
pub(super) fn valid<K: Object>(object: &K) -> Result<(), Error> {
    let mut violations = Vec::new();
    if !crate::api::validate::is_object_name(object.name()) {
        let mut check = crate::api::validate::Check::new();
        check.object_name("metadata.name", object.name());
        violations = check.finish();
    }
    violations.extend(object.validate());
    if violations.is_empty() { Ok(()) } else { Err(invalid(object, violations)) }
}

pub(super) fn invalid<K: Object>(object: &K, violations: Vec<crate::api::Violation>) -> Error {
    Error::Invalid { kind: plural_of::<K>(), name: object.name().to_owned(), violations }
}

/// The plural as a static string, from the table of kinds.
pub(super) fn plural_of<K: Object>() -> &'static str {
    crate::api::registry::find(&K::kind(&())).map_or("objects", |info| info.plural)
}

fn sized<K: Object>(object: &K, bytes: usize) -> Result<(), Error> {
    if bytes <= MAX_OBJECT_BYTES {
        return Ok(());
    }
    let expected = format!("at most {MAX_OBJECT_BYTES} bytes of JSON");
    Err(invalid(object, vec![crate::api::Violation::new("(object)", format!("{bytes} bytes"), expected)]))
}
