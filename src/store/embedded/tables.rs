//! How the store lies in its file.
//!
//! ```text
//!  revisions  (main, sub)  ->  (main, sub of the key's version before, KeyValue)   what etcd calls its key bucket
//!  keys       key          ->  where its newest version is, and what a list needs of it
//!  leases     id           ->  how long it was granted for, until when it holds
//!  attached   (lease, key)                                                         the keys that end with a lease
//!  meta       name         ->  number                                              compaction, clock, identity
//! ```
//!
//! A revision is never changed, only removed by compaction. Versions of a key are a chain from the newest back, so that writing
//! costs one new leaf entry and one replaced one, however often a key was written; reading the past walks the chain.

use std::sync::mpsc;

use etcd_client::proto::PbKeyValue as KeyValue;
use prost::Message;
use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, TableError, WriteTransaction};

use super::refusal::Refusal;

/// A revision, and the place of one change in it: a transaction has one revision for all that it changes.
pub(crate) type Place = (i64, i64);

/// No version before this one.
pub(crate) const NOWHERE: Place = (0, 0);

pub(crate) type RevisionKey = Place;
/// The place of the version before, and the version as etcd stores it: a deletion is a [`KeyValue`] of its key alone.
pub(crate) type RevisionValue = (i64, i64, &'static [u8]);
/// `(main, sub, create revision, version, lease)` of the newest version; version 0 says that it is a deletion.
pub(crate) type SlotValue = (i64, i64, i64, i64, i64);

pub(crate) const REVISIONS: TableDefinition<'_, RevisionKey, RevisionValue> = TableDefinition::new("revisions");
pub(crate) const KEYS: TableDefinition<'_, &'static [u8], SlotValue> = TableDefinition::new("keys");
/// `(seconds granted, milliseconds of the epoch at which it ends, whether it was renewed since that was written)`.
pub(crate) const LEASES: TableDefinition<'_, i64, (i64, i64, bool)> = TableDefinition::new("leases");
pub(crate) const ATTACHED: TableDefinition<'_, (i64, &'static [u8]), ()> = TableDefinition::new("attached");
pub(crate) const META: TableDefinition<'_, &'static str, i64> = TableDefinition::new("meta");

/// Names in [`META`].
pub(crate) mod meta {
    /// The revision that a store restored from a snapshot began with, when the snapshot had nothing of it left.
    pub(crate) const REVISION: &str = "revision";
    /// The newest revision that was compacted; -1 before the first compaction, as in etcd.
    pub(crate) const COMPACTED: &str = "compacted";
    /// The revision that the removal of compacted versions has got to.
    pub(crate) const SWEPT: &str = "swept";
    /// Milliseconds of the epoch at which a lease was last written.
    pub(crate) const CLOCK: &str = "clock";
    /// Who this store says it is, in the header of each answer.
    pub(crate) const CLUSTER: &str = "cluster";
    /// The same for its one member.
    pub(crate) const MEMBER: &str = "member";
    /// Set while the space alarm is raised.
    pub(crate) const NO_SPACE: &str = "no-space";
}

/// The newest version of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) place: Place,
    pub(crate) create: i64,
    /// 0 for a deletion.
    pub(crate) version: i64,
    pub(crate) lease: i64,
}

impl From<SlotValue> for Slot {
    fn from((main, sub, create, version, lease): SlotValue) -> Self {
        Self { place: (main, sub), create, version, lease }
    }
}

impl From<Slot> for SlotValue {
    fn from(slot: Slot) -> Self {
        (slot.place.0, slot.place.1, slot.create, slot.version, slot.lease)
    }
}

/// One change of one key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    pub(crate) place: Place,
    /// The version before, [`NOWHERE`] if there was none. It may have been compacted since.
    pub(crate) before: Place,
    /// As stored: of a deletion, the key alone.
    pub(crate) kv: KeyValue,
}

impl Record {
    pub(crate) fn decode(place: Place, (main, sub, bytes): (i64, i64, &[u8])) -> Result<Self, Refusal> {
        let kv = KeyValue::decode(bytes)
            .map_err(|e| Refusal::Stopped(format!("revision {}.{} cannot be read: {e}", place.0, place.1)))?;
        Ok(Self { place, before: (main, sub), kv })
    }

    /// The key of a change as it is stored, without reading its value; `None` if it does not lie where it is put, in front.
    pub(crate) fn key((_, _, bytes): (i64, i64, &[u8])) -> Option<&[u8]> {
        // `mvccpb.KeyValue`: the key is field 1, bytes.
        let mut rest = bytes.strip_prefix(&[0x0a])?;
        let length = prost::decode_length_delimiter(&mut rest).ok()?;
        rest.get(..length)
    }

    /// Whether it says that the key was deleted. A version that exists was created at some revision.
    pub(crate) fn is_deletion(&self) -> bool {
        self.kv.create_revision == 0
    }
}

/// What was committed last, unchanging: every read of one request looks at one of these.
pub(crate) struct View {
    pub(crate) revision: i64,
    pub(crate) compacted: i64,
    pub(crate) keys: redb::ReadOnlyTable<&'static [u8], SlotValue>,
    pub(crate) revisions: redb::ReadOnlyTable<RevisionKey, RevisionValue>,
    /// For the tables that are seldom read.
    pub(crate) transaction: ReadTransaction,
    /// Goes last of all, so that who waits for it finds the file without readers.
    _token: Token,
}

/// What each view has of an [`Alive`].
pub(crate) type Token = mpsc::Sender<()>;

/// Tells when no view is left, and so nobody reads the file.
pub(crate) struct Alive {
    token: Token,
    ended: mpsc::Receiver<()>,
}

impl Alive {
    pub(crate) fn new() -> Self {
        let (token, ended) = mpsc::channel();
        Self { token, ended }
    }

    /// For a new view.
    pub(crate) fn token(&self) -> Token {
        self.token.clone()
    }

    /// Waits until all views with a token are gone, and begins anew.
    pub(crate) fn wait_for_none(&mut self) {
        let Self { token, ended } = std::mem::replace(self, Self::new());
        drop(token);
        // Nothing is ever sent: this returns when the last of the others is dropped.
        let _ = ended.recv();
    }
}

impl View {
    pub(crate) fn new(
        transaction: ReadTransaction,
        revision: i64,
        compacted: i64,
        token: Token,
    ) -> Result<Self, redb::Error> {
        let (keys, revisions) = (transaction.open_table(KEYS)?, transaction.open_table(REVISIONS)?);
        Ok(Self { revision, compacted, keys, revisions, transaction, _token: token })
    }

    pub(crate) fn reader(&self) -> Reader<'_, impl ReadableTable<&'static [u8], SlotValue>, impl Revisions> {
        Reader { keys: &self.keys, revisions: &self.revisions, revision: self.revision, compacted: self.compacted }
    }
}

/// A table of revisions, of a view or of a write in progress.
pub(crate) trait Revisions: ReadableTable<RevisionKey, RevisionValue> {}
impl<T: ReadableTable<RevisionKey, RevisionValue>> Revisions for T {}

/// Reads at one moment: of a [`View`], or of what a write has made so far.
pub(crate) struct Reader<'t, K, R> {
    pub(crate) keys: &'t K,
    pub(crate) revisions: &'t R,
    /// The present.
    pub(crate) revision: i64,
    pub(crate) compacted: i64,
}

/// The tables of one write transaction, which may hold many requests.
pub(crate) struct Tables<'t> {
    pub(crate) keys: Table<'t, &'static [u8], SlotValue>,
    pub(crate) revisions: Table<'t, RevisionKey, RevisionValue>,
    pub(crate) attached: Table<'t, (i64, &'static [u8]), ()>,
    pub(crate) leases: Table<'t, i64, (i64, i64, bool)>,
    pub(crate) meta: Table<'t, &'static str, i64>,
}

impl<'t> Tables<'t> {
    pub(crate) fn open(transaction: &'t WriteTransaction) -> Result<Self, TableError> {
        Ok(Self {
            keys: transaction.open_table(KEYS)?,
            revisions: transaction.open_table(REVISIONS)?,
            attached: transaction.open_table(ATTACHED)?,
            leases: transaction.open_table(LEASES)?,
            meta: transaction.open_table(META)?,
        })
    }
}
