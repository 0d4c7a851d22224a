//! All that a store holds in some ranges at one revision, read page by page, and two of these side by side.

use std::cmp::Ordering;
use std::collections::VecDeque;

use etcd_client::{GetOptions, ResponseHeader};

use super::Error;
use crate::store::Store;

/// Keys of a page. An object has at most 1 MiB, so that even a page of the largest ones is read well within the time that a
/// request may take, and is not much to hold in memory.
const PAGE: i64 = 32;

/// The same when only keys are read, which are small.
const PAGE_OF_KEYS: i64 = 1000;

/// A key as it was at the revision that is read.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Without the store's prefix, so that it is the same in every store.
    pub(super) key: String,
    /// Empty if only keys are read.
    pub(super) value: Vec<u8>,
    /// The lease it is bound to, or 0.
    pub(super) lease: i64,
    /// When it was written last.
    pub(super) revision: i64,
}

impl Entry {
    /// Bytes of key and value.
    pub(super) fn size(&self) -> usize {
        self.key.len() + self.value.len()
    }
}

/// What a store holds at one revision, in the order of the keys.
#[derive(Debug)]
pub(super) struct Pages {
    store: Store,
    /// What is yet to be read, in order.
    spans: VecDeque<(Vec<u8>, String)>,
    revision: i64,
    keys_only: bool,
    page: VecDeque<Entry>,
}

impl Pages {
    /// Reads these ranges, which are in order, at that revision; 0 is the one that is the newest when reading begins.
    pub(super) fn new(store: &Store, spans: impl IntoIterator<Item = (String, String)>, revision: i64) -> Self {
        let spans = spans.into_iter().map(|(from, to)| (from.into_bytes(), to)).collect();
        Self { store: store.clone(), spans, revision, keys_only: false, page: VecDeque::new() }
    }

    /// Leaves the values out.
    pub(super) fn keys_only(mut self) -> Self {
        self.keys_only = true;
        self
    }

    /// The revision that is read; 0 as long as nothing was.
    pub(super) fn revision(&self) -> i64 {
        self.revision
    }

    /// The next key, or `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Entry>, Error> {
        self.fill().await?;
        Ok(self.page.pop_front())
    }

    async fn peek(&mut self) -> Result<Option<&Entry>, Error> {
        self.fill().await?;
        Ok(self.page.front())
    }

    async fn fill(&mut self) -> Result<(), Error> {
        while self.page.is_empty()
            && let Some((from, to)) = self.spans.front_mut()
        {
            let options = GetOptions::new().with_range(to.clone()).with_revision(self.revision);
            let options =
                if self.keys_only { options.with_keys_only().with_limit(PAGE_OF_KEYS) } else { options.with_limit(PAGE) };
            let (mut client, key) = (self.store.kv(), from.clone());
            let answer = self.store.read(async move { client.get(key, Some(options)).await }).await;
            let mut answer = answer.map_err(|e| Error::of(&self.store, e))?;
            if self.revision == 0 {
                self.revision = answer.header().map_or(0, ResponseHeader::revision);
            }
            match answer.kvs().last() {
                // The smallest key after the last one seen is that key and a zero byte.
                Some(last) if answer.more() => *from = [last.key(), b"\0"].concat(),
                _ => {
                    self.spans.pop_front();
                }
            }
            for kv in answer.take_kvs() {
                let (lease, revision) = (kv.lease(), kv.mod_revision());
                let (key, value) = kv.into_key_value();
                let own = std::str::from_utf8(&key).ok().and_then(|key| self.store.keys.relative(key));
                let Some(own) = own else {
                    let key = key.escape_ascii().to_string();
                    return Err(Error::NotText { url: self.store.url.to_string(), key });
                };
                self.page.push_back(Entry { key: own.to_owned(), value, lease, revision });
            }
        }
        Ok(())
    }
}

/// Two stores, or two revisions of one, key by key.
#[derive(Debug)]
pub(super) struct Join {
    pub(super) left: Pages,
    pub(super) right: Pages,
}

/// A key, and on which sides it is.
#[derive(Debug)]
pub(super) enum Pair {
    Left(Entry),
    Both(Entry, Entry),
    Right(Entry),
}

impl Join {
    /// The next key of either side, or `None` after the last of both.
    pub(super) async fn next(&mut self) -> Result<Option<Pair>, Error> {
        let order = match (self.left.peek().await?, self.right.peek().await?) {
            (None, None) => return Ok(None),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(left), Some(right)) => left.key.cmp(&right.key),
        };
        let left = if order.is_le() { self.left.next().await? } else { None };
        let right = if order.is_ge() { self.right.next().await? } else { None };
        Ok(match (left, right) {
            (Some(left), Some(right)) => Some(Pair::Both(left, right)),
            (Some(left), None) => Some(Pair::Left(left)),
            (None, right) => right.map(Pair::Right),
        })
    }
}
