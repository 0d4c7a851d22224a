//! A kind behind the name that was typed: the store's typed access with the type erased, so that a verb is written once.

use std::marker::PhantomData;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use kube::runtime::watcher::Event;
use serde_json::Value;
use tokio::task::JoinHandle;

use super::{Error, hint};
use crate::api::registry::{self, KindInfo};
use crate::api::{GROUP, Object, Violation, decode, tags};
use crate::store::{self, DeleteParams, ListParams, Store, WatchParams};

type Answer<'a, T> = BoxFuture<'a, Result<T, store::Error>>;

/// A part of a list.
#[derive(Debug)]
pub(crate) struct Page {
    /// In the order of their names.
    pub objects: Vec<Value>,
    /// For the next page, when there is one.
    pub continue_token: Option<String>,
}

/// Words that mean every kind: what kubectl's users try first, and the category of the CustomResourceDefinitions.
pub(crate) const CATEGORIES: [&str; 2] = ["all", "wicap"];

/// How many names a mistyped one is compared with: more than a person has typed, and one page of the store.
const NAMES_COMPARED: u32 = 1000;

/// A watch: endless, and resuming by itself.
pub(crate) type Events = BoxStream<'static, Result<Event<Value>, store::Error>>;

/// One kind and what can be done with its objects, as JSON.
#[derive(Clone)]
pub(crate) struct Kind {
    pub info: KindInfo,
    ops: Arc<dyn Ops>,
}

/// What a verb asks of a kind. Objects go in and out as JSON in the form their type gives them.
trait Ops: Send + Sync {
    fn decode(&self, document: &Value) -> Result<Value, Vec<Violation>>;
    fn check_update(&self, new: &Value, old: &Value) -> Vec<Violation>;
    fn get<'a>(&'a self, store: &'a Store, name: &'a str) -> Answer<'a, Option<Value>>;
    fn page<'a>(&'a self, store: &'a Store, params: &'a ListParams) -> Answer<'a, Page>;
    fn create<'a>(&'a self, store: &'a Store, object: &'a Value) -> Answer<'a, Value>;
    fn replace<'a>(&'a self, store: &'a Store, object: &'a Value) -> Answer<'a, Value>;
    fn delete<'a>(&'a self, store: &'a Store, name: &'a str, params: &'a DeleteParams) -> Answer<'a, Value>;
    fn watch(&self, store: &Store, params: &WatchParams) -> Result<Events, store::Error>;
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.info.kind)
    }
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.info.kind == other.info.kind
    }
}

impl Kind {
    /// The kind that a word of the command line means.
    pub fn find(word: &str) -> Result<Self, Error> {
        registry::find(word).and_then(Self::of).ok_or_else(|| Self::unknown(word))
    }

    /// kubectl's words for a kind that there is not, with what may have been meant.
    fn unknown(word: &str) -> Error {
        let error = Error::Usage(format!("the server doesn't have a resource type {word:?}"));
        let kinds = registry::kinds();
        let singular: Vec<String> = kinds.iter().map(|k| k.kind.to_ascii_lowercase()).collect();
        let words = kinds.iter().flat_map(|k| std::iter::once(k.plural).chain(k.short_names.iter().copied()));
        match hint::nearest(word, words.chain(singular.iter().map(String::as_str))) {
            Some(meant) => error.with_hint(hint::line(meant)),
            None => error.with_hint("see \"wicapctl api-resources\" for those that there are"),
        }
    }

    /// Every kind, as [`CATEGORIES`] mean them.
    pub fn all() -> Vec<Self> {
        registry::kinds().into_iter().filter_map(Self::of).collect()
    }

    pub fn of(info: KindInfo) -> Option<Self> {
        Some(Self { ops: ops(info.kind)?, info })
    }

    /// `wicapstack.wicap.dev/wicap`: how a result line names an object.
    pub fn line(&self, name: &str) -> String {
        format!("{}.{GROUP}/{name}", self.singular())
    }

    /// `wicapstack`.
    pub fn singular(&self) -> String {
        self.info.kind.to_ascii_lowercase()
    }

    pub fn not_found(&self, name: &str) -> Error {
        store::Error::NotFound { kind: self.info.plural, name: name.to_owned() }.into()
    }

    /// The same, with the name of an object that there is and that may have been meant.
    pub async fn not_there(&self, store: &Store, name: &str) -> Error {
        self.not_found(name).or_meant(self.nearest_name(store, name).await.as_deref())
    }

    /// The name of an object that there is and that may have been meant. When the store does not say which there are, none.
    pub async fn nearest_name(&self, store: &Store, name: &str) -> Option<String> {
        let params = ListParams { limit: Some(NAMES_COMPARED), ..ListParams::default() };
        let objects = self.list(store, &params).await.ok()?;
        hint::nearest(name, objects.iter().map(name_of)).map(str::to_owned)
    }

    /// Strict reading and every rule. The object comes back with its defaults filled in.
    pub fn decode(&self, document: &Value) -> Result<Value, Vec<Violation>> {
        self.ops.decode(document)
    }

    /// The rules about a change. Both must have been decoded.
    pub fn check_update(&self, new: &Value, old: &Value) -> Vec<Violation> {
        self.ops.check_update(new, old)
    }

    pub async fn get(&self, store: &Store, name: &str) -> Result<Option<Value>, Error> {
        Ok(self.ops.get(store, name).await?)
    }

    pub async fn list(&self, store: &Store, params: &ListParams) -> Result<Vec<Value>, Error> {
        Ok(self.page(store, params).await?.objects)
    }

    /// As many objects as `params` allow. The pages of one list show the state of one moment.
    pub async fn page(&self, store: &Store, params: &ListParams) -> Result<Page, Error> {
        Ok(self.ops.page(store, params).await?)
    }

    /// All pages of a list, one after the other.
    pub fn pages(&self, store: &Store, params: ListParams) -> Pages {
        Pages { ahead: Some(self.ahead(store, params.clone())), kind: self.clone(), store: store.clone(), params }
    }

    /// Asks for a page, and reads it, while the caller does something else.
    fn ahead(&self, store: &Store, params: ListParams) -> JoinHandle<Result<Page, store::Error>> {
        let (kind, store) = (self.clone(), store.clone());
        tokio::spawn(async move { kind.ops.page(&store, &params).await })
    }

    pub async fn create(&self, store: &Store, object: &Value) -> Result<Value, store::Error> {
        self.ops.create(store, object).await
    }

    pub async fn replace(&self, store: &Store, object: &Value) -> Result<Value, store::Error> {
        self.ops.replace(store, object).await
    }

    pub async fn delete(&self, store: &Store, name: &str, params: &DeleteParams) -> Result<Value, store::Error> {
        self.ops.delete(store, name, params).await
    }

    pub fn watch(&self, store: &Store, params: &WatchParams) -> Result<Events, Error> {
        Ok(self.ops.watch(store, params)?)
    }
}

/// The pages of a list. Each is asked for and read while the one before it is made use of.
pub(crate) struct Pages {
    kind: Kind,
    store: Store,
    params: ListParams,
    ahead: Option<JoinHandle<Result<Page, store::Error>>>,
}

impl Pages {
    /// The objects of the next page, in the order of their names; nothing after the last.
    pub async fn next(&mut self) -> Result<Option<Vec<Value>>, Error> {
        let Some(ahead) = &mut self.ahead else { return Ok(None) };
        let read = ahead.await;
        // What has answered is not asked again, also when its answer was an error.
        self.ahead = None;
        let page = match read {
            Ok(page) => page?,
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // A part must not be taken for the whole.
                Err(_) => return Err(Error::No("the list was given up".to_owned())),
            },
        };
        self.params.continue_token = page.continue_token;
        let more = self.params.continue_token.is_some();
        self.ahead = more.then(|| self.kind.ahead(&self.store, self.params.clone()));
        Ok(Some(page.objects))
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        if let Some(ahead) = &self.ahead {
            ahead.abort();
        }
    }
}

struct Typed<K>(PhantomData<fn() -> K>);

fn ops(kind: &str) -> Option<Arc<dyn Ops>> {
    macro_rules! by_kind {
        ($($kind:path),*) => {{
            $(if kind == <$kind as kube::Resource>::kind(&()) {
                return Some(Arc::new(Typed::<$kind>(PhantomData)));
            })*
            None
        }};
    }
    crate::for_each_kind!(by_kind)
}

fn to_json<K: Object>(object: &K) -> Result<Value, store::Error> {
    serde_json::to_value(object).map_err(|e| unreadable::<K>(object.name(), &e))
}

fn from_json<K: Object>(value: &Value) -> Result<K, store::Error> {
    K::deserialize(value).map_err(|e| unreadable::<K>(name_of(value), &e))
}

fn unreadable<K: Object>(name: &str, error: &serde_json::Error) -> store::Error {
    store::Error::Corrupt { key: format!("{}/{name}", K::plural(&())), reason: error.to_string() }
}

/// `metadata.name`, or nothing.
pub(crate) fn name_of(object: &Value) -> &str {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

impl<K: Object> Ops for Typed<K> {
    fn decode(&self, document: &Value) -> Result<Value, Vec<Violation>> {
        let object: K = decode::manifest(document)?;
        to_json(&object).map_err(|e| vec![Violation::new("(document)", e.to_string(), "an object that can be written")])
    }

    fn check_update(&self, new: &Value, old: &Value) -> Vec<Violation> {
        match (from_json::<K>(new), from_json::<K>(old)) {
            (Ok(new), Ok(old)) => {
                let mut violations = tags::added(new.meta(), old.meta());
                violations.extend(new.validate_update(&old));
                violations
            }
            (Err(e), _) | (_, Err(e)) => vec![Violation::new("(document)", e.to_string(), "an object that can be read")],
        }
    }

    fn get<'a>(&'a self, store: &'a Store, name: &'a str) -> Answer<'a, Option<Value>> {
        async move { store.api::<K>().get_opt(name).await?.as_ref().map(to_json).transpose() }.boxed()
    }

    fn page<'a>(&'a self, store: &'a Store, params: &'a ListParams) -> Answer<'a, Page> {
        async move {
            let list = store.api::<K>().list(params).await?;
            let objects = list.items.iter().map(to_json).collect::<Result<_, _>>()?;
            Ok(Page { objects, continue_token: list.continue_token })
        }
        .boxed()
    }

    fn create<'a>(&'a self, store: &'a Store, object: &'a Value) -> Answer<'a, Value> {
        async move { to_json(&store.api::<K>().create(&from_json(object)?).await?) }.boxed()
    }

    fn replace<'a>(&'a self, store: &'a Store, object: &'a Value) -> Answer<'a, Value> {
        async move { to_json(&store.api::<K>().replace(&from_json(object)?).await?) }.boxed()
    }

    fn delete<'a>(&'a self, store: &'a Store, name: &'a str, params: &'a DeleteParams) -> Answer<'a, Value> {
        async move { to_json(&store.api::<K>().delete(name, params).await?) }.boxed()
    }

    fn watch(&self, store: &Store, params: &WatchParams) -> Result<Events, store::Error> {
        let events = store.api::<K>().watch(params)?;
        let events = events
            .map(|event| {
                Ok(match event? {
                    Event::Init => Event::Init,
                    Event::InitApply(object) => Event::InitApply(to_json(&object)?),
                    Event::InitDone => Event::InitDone,
                    Event::Apply(object) => Event::Apply(to_json(&object)?),
                    Event::Delete(object) => Event::Delete(to_json(&object)?),
                })
            })
            .boxed();
        Ok(events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_the_registry_can_be_asked_for() {
        assert_eq!(Kind::all().len(), registry::kinds().len());
        assert_eq!(Kind::find("ws").unwrap().line("x"), "wicapstack.wicap.dev/x");
        let message = Kind::find("pods").unwrap_err().to_string();
        assert!(message.starts_with("error: the server doesn't have a resource type \"pods\"\nsee "), "{message}");
        let message = Kind::find("wicapstcaks").unwrap_err().to_string();
        assert!(message.ends_with("\"wicapstcaks\"\ndid you mean \"wicapstacks\"?"), "{message}");
    }
}
