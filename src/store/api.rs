//! Typed access to one kind, with the verbs and the meaning of the Kubernetes API.

use std::collections::HashMap;
use std::marker::PhantomData;

use etcd_client::GetOptions;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time as MetaTime;
use kube::core::object::HasSpec;
use serde_json::Value;

use super::codec::{StatusHead, Stored, decode, revision_of};
use super::election::Fence;
use super::keys::{Half, Keys};
use super::selector::Filter;
use super::transaction::{invalid, plural_of, valid};
use super::{Error, Store};
use crate::api::{Object, Violation, decode as manifest, tags, validate};

/// The objects of one kind. Cheap to clone.
#[derive(Debug)]
pub struct Api<K> {
    pub(super) store: Store,
    kind: PhantomData<fn() -> K>,
}

impl<K> Clone for Api<K> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), kind: PhantomData }
    }
}

/// Which objects to list, and how many at once.
#[derive(Clone, Debug, Default)]
pub struct ListParams {
    /// Label selector, as `kubectl -l` takes it.
    pub labels: Option<String>,
    /// Field selector, as `kubectl --field-selector` takes it, on any field.
    pub fields: Option<String>,
    /// The most objects to return; all when absent.
    pub limit: Option<u32>,
    /// Where an earlier, limited list ended. The pages of one list show the state of one moment.
    pub continue_token: Option<String>,
}

/// A list, as it was at one revision.
#[derive(Clone, Debug)]
pub struct List<K> {
    /// In the order of their names.
    pub items: Vec<K>,
    /// For the next page, when there is one.
    pub continue_token: Option<String>,
    /// The revision it shows.
    pub revision: i64,
}

/// What must be true of an object for it to be deleted.
#[derive(Clone, Debug, Default)]
pub struct DeleteParams {
    /// Its uid.
    pub uid: Option<String>,
    /// Its resourceVersion.
    pub resource_version: Option<String>,
}

/// A change of a part of an object.
#[derive(Clone, Debug)]
pub enum Patch {
    /// RFC 7386.
    Merge(Value),
    /// RFC 6902.
    Json(json_patch::Patch),
}

/// How often a write that others got in between of is tried, where it is tried again at all: enough for a busy object, few
/// enough to end.
const CONFLICT_TRIES: usize = 16;

impl<K: Object> Api<K> {
    pub(super) fn new(store: Store) -> Self {
        Self { store, kind: PhantomData }
    }

    /// The store behind it.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The object of that name.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Unreachable`].
    pub async fn get(&self, name: &str) -> Result<K, Error> {
        let found = self.get_opt(name).await?;
        found.ok_or_else(|| Error::NotFound { kind: plural_of::<K>(), name: name.to_owned() })
    }

    /// The object of that name, if there is one.
    ///
    /// # Errors
    /// [`Error::Unreachable`]; [`Error::Corrupt`].
    pub async fn get_opt(&self, name: &str) -> Result<Option<K>, Error> {
        Ok(self.read_halves(name).await?.map(|(object, _)| object))
    }

    /// Both halves at one revision: the object, and what is stored of its status.
    async fn read_halves(&self, name: &str) -> Result<Option<(K, Option<StatusHead>)>, Error> {
        let plural = K::plural(&());
        let (spec_key, status_key) = (self.store.keys.spec(&plural, name), self.store.keys.status(&plural, name));
        let txn = etcd_client::Txn::new()
            .and_then([etcd_client::TxnOp::get(spec_key.clone(), None), etcd_client::TxnOp::get(status_key, None)]);
        let mut client = self.store.kv();
        let answer = self.store.read(async move { client.txn(txn).await }).await?;
        let mut halves = answer.op_responses().into_iter().map(|op| match op {
            etcd_client::TxnOpResponse::Get(mut get) => get.take_kvs().into_iter().next().map(stored),
            _ => None,
        });
        let (spec, status) = (halves.next().flatten(), halves.next().flatten());
        let Some(spec) = spec else { return Ok(None) };
        let object = decode(&spec_key, &spec, status.as_ref())?;
        let half = status.and_then(|s| serde_json::from_slice(&s.value).ok());
        Ok(Some((object, half)))
    }

    /// The objects that match, as they were at one moment.
    ///
    /// # Errors
    /// [`Error::BadRequest`] for a selector or token that cannot be read; [`Error::Expired`] for a token that is too old.
    pub async fn list(&self, params: &ListParams) -> Result<List<K>, Error> {
        let filter = Filter::parse(params.labels.as_deref(), params.fields.as_deref())?;
        let (mut revision, mut after) = match &params.continue_token {
            None => (0, None),
            Some(token) => {
                let (revision, name) = read_token(token)?;
                (revision, Some(name))
            }
        };
        let limit = params.limit.filter(|l| *l > 0).map(|l| l as usize);
        let mut items = Vec::new();
        loop {
            let page = self.page(revision, after.as_deref(), limit).await?;
            revision = page.revision;
            after = page.items.last().map(|o| o.name().to_owned());
            for object in page.items {
                if filter.matches(&object) {
                    items.push(object);
                }
            }
            // A page is of the kind's objects, the limit of those that match: the rest is fetched until it is filled.
            let full = limit.is_some_and(|l| items.len() >= l);
            if !page.more || full {
                if let Some(l) = limit
                    && items.len() > l
                {
                    items.truncate(l);
                    after = items.last().map(|o| o.name().to_owned());
                    return Ok(List { items, continue_token: after.map(|n| format!("{revision}/{n}")), revision });
                }
                let token = if page.more { after.map(|n| format!("{revision}/{n}")) } else { None };
                return Ok(List { items, continue_token: token, revision });
            }
        }
    }

    async fn page(&self, revision: i64, after: Option<&str>, limit: Option<usize>) -> Result<Page<K>, Error> {
        let plural = K::plural(&());
        let keys = &self.store.keys;
        let (first, end) = keys.specs(&plural);
        // The smallest key after the last one seen is that key and a zero byte.
        let from = after.map_or(first, |name| format!("{}\0", keys.spec(&plural, name)));
        let Some(limit) = limit else {
            let (both_from, both_end) = keys.both(&plural);
            let (kvs, at, _) = self.range(both_from, both_end, revision, 0).await?;
            let items = self.assemble(kvs)?.into_iter().filter(|o: &K| after.is_none_or(|a| o.name() > a)).collect();
            return Ok(Page { items, revision: at, more: false });
        };
        let (mut kvs, at, more) = self.range(from, end, revision, i64::try_from(limit).unwrap_or(i64::MAX)).await?;
        let names: Vec<String> =
            kvs.iter().filter_map(|kv| keys.parse(&plural, &kv.0).map(|(_, name)| name.to_owned())).collect();
        if let (Some(first), Some(last)) = (names.first(), names.last()) {
            let from = keys.status(&plural, first);
            let end = format!("{}\0", keys.status(&plural, last));
            kvs.extend(self.range(from, end, at, 0).await?.0);
        }
        Ok(Page { items: self.assemble(kvs)?, revision: at, more })
    }

    async fn range(
        &self,
        from: String,
        end: String,
        revision: i64,
        limit: i64,
    ) -> Result<(Vec<(Vec<u8>, Stored)>, i64, bool), Error> {
        let mut client = self.store.kv();
        let options = GetOptions::new().with_range(end).with_revision(revision).with_limit(limit);
        let mut answer = self.store.read(async move { client.get(from, Some(options)).await }).await?;
        let at = if revision > 0 { revision } else { answer.header().map_or(0, etcd_client::ResponseHeader::revision) };
        let more = answer.more();
        let kvs = answer.take_kvs().into_iter().map(|kv| (kv.key().to_vec(), stored(kv))).collect();
        Ok((kvs, at, more))
    }

    /// Puts the halves of a range together, in the order of names. A status without its object is left out.
    pub(super) fn assemble(&self, kvs: Vec<(Vec<u8>, Stored)>) -> Result<Vec<K>, Error> {
        let plural = K::plural(&());
        let mut statuses = HashMap::new();
        let mut specs = Vec::new();
        for (key, value) in kvs {
            match self.store.keys.parse(&plural, &key) {
                Some((Half::Spec, name)) => specs.push((name.to_owned(), value)),
                Some((Half::Status, name)) => {
                    statuses.insert(name.to_owned(), value);
                }
                None => {}
            }
        }
        specs
            .into_iter()
            .map(|(name, spec)| decode(&self.store.keys.spec(&plural, &name), &spec, statuses.get(&name)))
            .collect()
    }

    /// Stores a new object. Its status is ignored; uid, generation and creation time are set here.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`]; [`Error::Invalid`]; what [`super::Transaction::commit`] says.
    pub async fn create(&self, object: &K) -> Result<K, Error> {
        match self.store.transaction().create(object)?.commit().await {
            Ok(_) => self.get(object.name()).await,
            Err(Error::Conflict { .. }) => {
                Err(Error::AlreadyExists { kind: plural_of::<K>(), name: object.name().to_owned() })
            }
            Err(e) => Err(e),
        }
    }

    /// Replaces the spec half. `metadata.uid` and `metadata.resourceVersion` are preconditions when they are set. What is equal
    /// to what is stored is not written.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Conflict`]; [`Error::Invalid`].
    pub async fn replace(&self, object: &K) -> Result<K, Error> {
        let name = object.name().to_owned();
        for _ in 0..CONFLICT_TRIES {
            let old = self.get(&name).await?;
            another(object, &old)?;
            // Without a precondition of the caller's, what was just read is the base, and losing a race is not the caller's.
            let given = revision_of(object)?;
            match self.write_spec(&old, object, if given > 0 { given } else { revision_of(&old)? }).await {
                Err(Error::Conflict { .. }) if given == 0 => {}
                other => return other,
            }
        }
        Err(Error::Conflict { what: format!("{} \"{name}\"", plural_of::<K>()) })
    }

    async fn write_spec(&self, old: &K, new: &K, revision: i64) -> Result<K, Error> {
        let mut new = new.clone();
        let meta = new.meta_mut();
        meta.uid.clone_from(&old.meta().uid);
        meta.creation_timestamp.clone_from(&old.meta().creation_timestamp);
        meta.deletion_timestamp.clone_from(&old.meta().deletion_timestamp);
        meta.resource_version.clone_from(&old.meta().resource_version);
        let changed = HasSpec::spec(&new) != HasSpec::spec(old);
        let generation = old.meta().generation.unwrap_or(1);
        new.meta_mut().generation = Some(if changed { generation + 1 } else { generation });
        valid(&new)?;
        let mut violations = tags::added(new.meta(), old.meta());
        violations.extend(new.validate_update(old));
        if !violations.is_empty() {
            return Err(invalid(&new, violations));
        }
        if new.meta() == old.meta() && !changed {
            return Ok(old.clone());
        }
        self.store.transaction().put_spec(&new, revision)?.commit().await?;
        self.get(new.name()).await
    }

    /// Changes a part of the spec half. The result is checked as a manifest would be, unknown fields refused. A uid in the
    /// patch, and the resourceVersion of a merge patch, are preconditions.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::BadRequest`] when the patch cannot be applied; [`Error::Invalid`].
    pub async fn patch(&self, name: &str, patch: &Patch) -> Result<K, Error> {
        for _ in 0..CONFLICT_TRIES {
            let old = self.get(name).await?;
            let mut value =
                serde_json::to_value(&old).map_err(|e| Error::Corrupt { key: name.to_owned(), reason: e.to_string() })?;
            match patch {
                Patch::Merge(merge) => json_patch::merge(&mut value, merge),
                Patch::Json(operations) => json_patch::patch(&mut value, operations).map_err(|e| Error::BadRequest {
                    what: "JSON patch",
                    found: e.to_string(),
                    expected: "operations that apply to the object",
                })?,
            }
            let new: K = manifest::manifest(&value).map_err(|violations| invalid(&old, violations))?;
            if new.name() != name {
                let (found, expected) = (validate::quoted(new.name()), format!("{name:?} (a name is for ever)"));
                return Err(invalid(&old, vec![Violation::new("metadata.name", found, expected)]));
            }
            another(&new, &old)?;
            let given = patch_revision(patch);
            match self.write_spec(&old, &new, given.unwrap_or(revision_of(&old)?)).await {
                Err(Error::Conflict { .. }) if given.is_none() => {}
                other => return other,
            }
        }
        Err(Error::Conflict { what: format!("{} \"{name}\"", plural_of::<K>()) })
    }

    /// Replaces the status half, if it has not changed since the object was read, and the leader still leads. What is equal to
    /// what is stored should not be written; the caller knows what it read.
    ///
    /// # Errors
    /// [`Error::Conflict`] when somebody wrote in between or the fence is down.
    pub async fn replace_status(&self, object: &K, fence: Option<&Fence>) -> Result<K, Error> {
        let mut transaction = self.store.transaction().put_status(object)?;
        if let Some(fence) = fence {
            transaction = transaction.fence(fence);
        }
        let revision = transaction.commit().await?;
        let mut written = object.clone();
        written.meta_mut().resource_version = Some(revision.to_string());
        Ok(written)
    }

    /// Lets `change` edit the status of an object that was read earlier, and again on a fresh read when somebody wrote in
    /// between. Nothing is written when `change` leaves it equal. For writers that own a part of a status and not the whole.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Conflict`] when the fence is down, the object is another one of that name by now, or it is
    /// too busy.
    pub async fn update_status(
        &self,
        seen: &K,
        fence: &Fence,
        mut change: impl FnMut(&K, &mut K::Status),
    ) -> Result<K, Error> {
        let mut old = seen.clone();
        for _ in 0..CONFLICT_TRIES {
            let mut status = old.status().cloned().unwrap_or_default();
            change(&old, &mut status);
            if old.status() == Some(&status) {
                return Ok(old);
            }
            *old.status_mut() = Some(status);
            match self.replace_status(&old, Some(fence)).await {
                Err(Error::Conflict { what }) if what.starts_with("the status") => {}
                other => return other,
            }
            old = self.get(seen.name()).await?;
            if old.meta().uid != seen.meta().uid {
                break;
            }
        }
        Err(Error::Conflict { what: format!("the status of {} \"{}\"", plural_of::<K>(), seen.name()) })
    }

    /// Deletes the object, or marks it as to be deleted when it has finalizers; then it comes back with `deletionTimestamp`
    /// and is removed by the garbage collector when every finalizer is reported as done. Only the spec half is touched, as
    /// operators may touch no other.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Conflict`] when a precondition does not hold.
    pub async fn delete(&self, name: &str, params: &DeleteParams) -> Result<K, Error> {
        self.delete_if(name, params, None).await
    }

    /// The same, by a controller that may touch both halves: only while it leads.
    ///
    /// # Errors
    /// As [`Api::delete`]; [`Error::Conflict`] when the fence is down.
    pub async fn delete_fenced(&self, name: &str, params: &DeleteParams, fence: &Fence) -> Result<K, Error> {
        self.delete_if(name, params, Some(fence)).await
    }

    async fn delete_if(&self, name: &str, params: &DeleteParams, fence: Option<&Fence>) -> Result<K, Error> {
        let transaction = || {
            let transaction = self.store.transaction();
            match fence {
                Some(fence) => transaction.fence(fence),
                None => transaction,
            }
        };
        for _ in 0..CONFLICT_TRIES {
            let old = self.get(name).await?;
            let conflict = |field: &str| Error::Conflict { what: format!("{field} of {} \"{name}\"", plural_of::<K>()) };
            if params.uid.is_some() && params.uid != old.meta().uid {
                return Err(conflict("the uid"));
            }
            if params.resource_version.is_some() && params.resource_version != old.meta().resource_version {
                return Err(conflict("the resourceVersion"));
            }
            let revision = revision_of(&old)?;
            let finalizers = old.meta().finalizers.as_deref().unwrap_or_default();
            let outcome = if finalizers.is_empty() {
                let transaction = transaction();
                let gone = match fence {
                    Some(_) => transaction.delete(&old, revision),
                    None => transaction.delete_spec(&old, revision),
                };
                gone.commit().await
            } else if old.meta().deletion_timestamp.is_some() {
                return Ok(old);
            } else {
                let mut marked = old.clone();
                marked.meta_mut().deletion_timestamp = Some(MetaTime(self.store.clock.now()));
                transaction().put_spec(&marked, revision)?.commit().await
            };
            match outcome {
                Ok(_) if finalizers.is_empty() => return Ok(old),
                Ok(_) => return self.get(name).await,
                Err(Error::Conflict { .. }) if params.resource_version.is_none() => {}
                Err(e) => return Err(e),
            }
        }
        Err(Error::Conflict { what: format!("{} \"{name}\"", plural_of::<K>()) })
    }

    /// Reports a finalizer as done, in the status half. Another status write of the object takes the report back; as every
    /// report of a controller it is made again as long as what it is about is there.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the fence is down.
    pub async fn finalized(&self, name: &str, finalizer: &str, fence: &Fence) -> Result<(), Error> {
        let Some((object, half)) = self.read_halves(name).await? else { return Ok(()) };
        let mut done = reported(&object, half);
        if done.iter().any(|f| f == finalizer) {
            return Ok(());
        }
        done.push(finalizer.to_owned());
        self.store.transaction().fence(fence).put_status_finalized(&object, done)?.commit().await?;
        Ok(())
    }

    /// Removes an object whose deletion is asked for, once each of its finalizers is reported as done. Returns whether it is
    /// gone. For the garbage collector.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the fence is down or it changed meanwhile.
    pub async fn remove_finalized(&self, name: &str, fence: &Fence) -> Result<bool, Error> {
        let Some((object, half)) = self.read_halves(name).await? else { return Ok(true) };
        if object.meta().deletion_timestamp.is_none() {
            return Ok(false);
        }
        let done = reported(&object, half);
        if !object.meta().finalizers.iter().flatten().all(|f| done.contains(f)) {
            return Ok(false);
        }
        self.store.transaction().fence(fence).delete(&object, revision_of(&object)?).commit().await?;
        Ok(true)
    }

    /// Removes every status whose object is gone: of those that operators have deleted the spec half of. For the garbage collector.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the fence is down.
    pub async fn remove_strays(&self, fence: &Fence) -> Result<(), Error> {
        let plural = K::plural(&());
        let (from, end) = self.store.keys.both(&plural);
        let (kvs, _, _) = self.range(from, end, 0, 0).await?;
        for (key, revision) in strays(&self.store.keys, &plural, kvs) {
            // One that is written anew meanwhile has an object again.
            let transaction = self.store.transaction().fence(fence).delete_raw(key.clone(), revision);
            match transaction.commit().await {
                Err(Error::Conflict { what }) if what == key => {}
                other => drop(other?),
            }
        }
        Ok(())
    }
}

/// Of both halves of a kind: the statuses that belong to no object, with their revisions. What cannot be read is left alone.
fn strays(keys: &Keys, plural: &str, kvs: Vec<(Vec<u8>, Stored)>) -> Vec<(String, i64)> {
    let (mut owners, mut statuses) = (HashMap::new(), Vec::new());
    for (key, stored) in kvs {
        match keys.parse(plural, &key) {
            Some((Half::Spec, name)) => {
                let uid = serde_json::from_slice::<Value>(&stored.value).map(|v| v["metadata"]["uid"].clone());
                owners.insert(name.to_owned(), uid.ok());
            }
            Some((Half::Status, name)) => statuses.push((name.to_owned(), stored)),
            None => {}
        }
    }
    let stray = |(name, stored): &(String, Stored)| match owners.get(name) {
        None => true,
        Some(None) => false,
        Some(Some(uid)) => serde_json::from_slice::<StatusHead>(&stored.value).is_ok_and(|half| *uid != half.uid.as_str()),
    };
    statuses.into_iter().filter(stray).map(|(name, stored)| (keys.status(plural, &name), stored.revision)).collect()
}

struct Page<K> {
    items: Vec<K>,
    revision: i64,
    more: bool,
}

pub(super) fn stored(kv: etcd_client::KeyValue) -> Stored {
    let revision = kv.mod_revision();
    let (_, value) = kv.into_key_value();
    Stored { value, revision }
}

fn read_token(token: &str) -> Result<(i64, String), Error> {
    token
        .split_once('/')
        .and_then(|(revision, name)| Some((revision.parse().ok().filter(|r| *r > 0)?, name.to_owned())))
        .ok_or_else(|| Error::BadRequest {
            what: "continue token",
            found: validate::quoted(token),
            expected: "a token as an earlier list returned it",
        })
}

/// The finalizers that are reported as done of this object, not of an earlier one of its name.
fn reported<K: Object>(object: &K, half: Option<StatusHead>) -> Vec<String> {
    half.filter(|h| Some(&h.uid) == object.meta().uid.as_ref()).map(|h| h.finalized).unwrap_or_default()
}

/// Refuses a write that is meant for another object of the name.
fn another<K: Object>(wanted: &K, found: &K) -> Result<(), Error> {
    if wanted.meta().uid.is_some() && wanted.meta().uid != found.meta().uid {
        return Err(Error::Conflict { what: format!("the uid of {} \"{}\"", plural_of::<K>(), found.name()) });
    }
    Ok(())
}

/// The resourceVersion that a merge patch demands.
fn patch_revision(patch: &Patch) -> Option<i64> {
    match patch {
        Patch::Merge(value) => value.pointer("/metadata/resourceVersion")?.as_str()?.parse().ok(),
        Patch::Json(_) => None,
    }
}
