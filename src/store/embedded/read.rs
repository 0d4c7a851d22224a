//! Reading: ranges in every form, at any revision that is not compacted, and the comparisons of transactions.

use std::cmp::Ordering;

use etcd_client::proto::{
    PbCompare, PbCompareTarget as CompareTarget, PbKeyValue as KeyValue, PbRangeRequest, PbRangeResponse,
    PbTargetUnion as Target,
};
use etcd_client::{CompareOp, SortOrder, SortTarget};
use redb::ReadableTable;

use super::refusal::Refusal;
use super::span::Span;
use super::tables::{NOWHERE, Place, Reader, Record, Revisions, Slot, SlotValue};

impl<K, R> Reader<'_, K, R>
where
    K: ReadableTable<&'static [u8], SlotValue>,
    R: Revisions,
{
    /// What a range request asks for. The header is left to the caller.
    pub(crate) fn range(&self, request: &PbRangeRequest) -> Result<PbRangeResponse, Refusal> {
        let at = if request.revision <= 0 { self.revision } else { request.revision };
        if at > self.revision {
            return Err(Refusal::FutureRevision);
        }
        if at < self.compacted {
            return Err(Refusal::Compacted);
        }
        let order = SortOrder::try_from(request.sort_order).unwrap_or(SortOrder::None);
        let target = SortTarget::try_from(request.sort_target).map_err(|_| Refusal::InvalidSort)?;
        let filtered = request.min_mod_revision != 0
            || request.max_mod_revision != 0
            || request.min_create_revision != 0
            || request.max_create_revision != 0;
        let limit = usize::try_from(request.limit).unwrap_or(0);
        // One more than asked for says whether there are more. What is sorted or filtered has to be fetched whole.
        let fetched = match limit {
            0 => usize::MAX,
            _ if order != SortOrder::None || filtered => usize::MAX,
            limit => limit.saturating_add(1),
        };
        let values = !request.keys_only || target == SortTarget::Value;

        let mut count = 0;
        let mut kvs = Vec::new();
        self.each(&Span::new(&request.key, &request.range_end), at, |key, slot| {
            count += 1;
            if !request.count_only && kvs.len() < fetched {
                kvs.push(self.key_value(key, slot, values)?);
            }
            Ok(())
        })?;

        if filtered {
            let within = |value: i64, min: i64, max: i64| (min == 0 || value >= min) && (max == 0 || value <= max);
            kvs.retain(|kv| {
                within(kv.mod_revision, request.min_mod_revision, request.max_mod_revision)
                    && within(kv.create_revision, request.min_create_revision, request.max_create_revision)
            });
        }
        sort(&mut kvs, order, target);
        let more = limit > 0 && kvs.len() > limit;
        if more {
            kvs.truncate(limit);
        }
        if request.keys_only {
            for kv in &mut kvs {
                kv.value = Vec::new();
            }
        }
        Ok(PbRangeResponse { header: None, kvs, more, count })
    }

    /// Every key of the span that existed at a revision, in order.
    pub(crate) fn each(
        &self,
        span: &Span,
        at: i64,
        mut found: impl FnMut(&[u8], Slot) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        if span.is_empty() {
            return Ok(());
        }
        for entry in self.keys.range::<&[u8]>(span.bounds())? {
            let (key, slot) = entry?;
            if let Some(slot) = self.slot_at(slot.value().into(), at)? {
                found(key.value(), slot)?;
            }
        }
        Ok(())
    }

    /// The version of one key now.
    pub(crate) fn get(&self, key: &[u8], value: bool) -> Result<Option<KeyValue>, Refusal> {
        let Some(slot) = self.keys.get(key)? else { return Ok(None) };
        match Slot::from(slot.value()) {
            slot if slot.version > 0 => self.key_value(key, slot, value).map(Some),
            _ => Ok(None),
        }
    }

    /// Goes back from the newest version to the one that a revision shows; `None` if the key did not exist then.
    fn slot_at(&self, mut slot: Slot, at: i64) -> Result<Option<Slot>, Refusal> {
        while slot.place.0 > at {
            let Some(record) = self.record(slot.place)? else { return Ok(None) };
            if record.before == NOWHERE {
                return Ok(None);
            }
            // A version that is gone was deleted, and that deletion compacted.
            let Some(earlier) = self.record(record.before)? else { return Ok(None) };
            slot = Slot {
                place: earlier.place,
                create: earlier.kv.create_revision,
                version: earlier.kv.version,
                lease: earlier.kv.lease,
            };
        }
        Ok((slot.version > 0).then_some(slot))
    }

    fn key_value(&self, key: &[u8], slot: Slot, value: bool) -> Result<KeyValue, Refusal> {
        if value {
            let place = slot.place;
            return match self.record(place)? {
                Some(record) => Ok(record.kv),
                None => Err(Refusal::Stopped(format!("revision {}.{} is not in the file", place.0, place.1))),
            };
        }
        Ok(KeyValue {
            key: key.to_vec(),
            create_revision: slot.create,
            mod_revision: slot.place.0,
            version: slot.version,
            value: Vec::new(),
            lease: slot.lease,
        })
    }

    /// One revision of one key, unless it has been compacted.
    pub(crate) fn record(&self, place: Place) -> Result<Option<Record>, Refusal> {
        let Some(found) = self.revisions.get(place)? else { return Ok(None) };
        Record::decode(place, found.value()).map(Some)
    }

    /// The version that a change replaced, for a watch that asked for it: none if there was none, or it is compacted. What the
    /// same transaction wrote before does not count.
    pub(crate) fn before(&self, main: i64, mut before: Place) -> Result<Option<KeyValue>, Refusal> {
        while before != NOWHERE && main > self.compacted {
            let Some(record) = self.record(before)? else { return Ok(None) };
            if before.0 < main {
                return Ok((!record.is_deletion()).then_some(record.kv));
            }
            before = record.before;
        }
        Ok(None)
    }

    /// Whether a comparison holds for every key that it names. Keys that do not exist compare as all zeros, except by value.
    pub(crate) fn holds(&self, compare: &PbCompare) -> Result<bool, Refusal> {
        let by_value = compare.target == CompareTarget::Value as i32;
        let mut any = false;
        let mut all = true;
        self.each(&Span::new(&compare.key, &compare.range_end), self.revision, |key, slot| {
            any = true;
            all = all && matches(compare, &self.key_value(key, slot, by_value)?);
            Ok(())
        })?;
        Ok(if any { all } else { !by_value && matches(compare, &KeyValue::default()) })
    }
}

/// Whether one version of a key is as a comparison says. What the comparison leaves open is zero or empty.
fn matches(compare: &PbCompare, kv: &KeyValue) -> bool {
    let wanted = compare.target_union.as_ref();
    let number = |wanted: Option<i64>, found: i64| found.cmp(&wanted.unwrap_or(0));
    let order = match CompareTarget::try_from(compare.target) {
        Ok(CompareTarget::Version) => {
            number(wanted.and_then(|t| if let Target::Version(v) = t { Some(*v) } else { None }), kv.version)
        }
        Ok(CompareTarget::Create) => {
            number(wanted.and_then(|t| if let Target::CreateRevision(v) = t { Some(*v) } else { None }), kv.create_revision)
        }
        Ok(CompareTarget::Mod) => {
            number(wanted.and_then(|t| if let Target::ModRevision(v) = t { Some(*v) } else { None }), kv.mod_revision)
        }
        Ok(CompareTarget::Lease) => {
            number(wanted.and_then(|t| if let Target::Lease(v) = t { Some(*v) } else { None }), kv.lease)
        }
        Ok(CompareTarget::Value) => {
            let wanted = wanted.and_then(|t| if let Target::Value(v) = t { Some(v.as_slice()) } else { None });
            kv.value.as_slice().cmp(wanted.unwrap_or_default())
        }
        Err(_) => return false,
    };
    match CompareOp::try_from(compare.result) {
        Ok(CompareOp::Equal) => order == Ordering::Equal,
        Ok(CompareOp::NotEqual) => order != Ordering::Equal,
        Ok(CompareOp::Greater) => order == Ordering::Greater,
        Ok(CompareOp::Less) => order == Ordering::Less,
        Err(_) => false,
    }
}

/// Sorts as asked; what is equal stays in the order of keys.
fn sort(kvs: &mut [KeyValue], order: SortOrder, target: SortTarget) {
    // They come in the order of keys.
    let order = if order == SortOrder::None && target != SortTarget::Key { SortOrder::Ascend } else { order };
    let by = |a: &KeyValue, b: &KeyValue| match target {
        SortTarget::Key => a.key.cmp(&b.key),
        SortTarget::Version => a.version.cmp(&b.version),
        SortTarget::Create => a.create_revision.cmp(&b.create_revision),
        SortTarget::Mod => a.mod_revision.cmp(&b.mod_revision),
        SortTarget::Value => a.value.cmp(&b.value),
    };
    match order {
        SortOrder::None => {}
        SortOrder::Ascend => kvs.sort_by(by),
        SortOrder::Descend => kvs.sort_by(|a, b| by(b, a)),
    }
}
