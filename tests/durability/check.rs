//! Compares a store that was started again with what was asked of it and answered before it was killed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use etcd_client::{Client, EventType, GetOptions, GetResponse, KeyValue, LeaseTimeToLiveOptions, WatchOptions};

use super::history::{Change, Lease, Model, Request, Sent, Version, number};
use crate::support::PATIENCE;

/// The model of what the store holds now, if that is what it may hold. `before` is what it held when it was last looked at, and
/// `sent` everything that was asked since.
pub async fn check(client: &mut Client, before: &Model, sent: &[Sent]) -> Result<Model, String> {
    let now = read(client, 0).await?;
    let acknowledged = sent.iter().filter_map(|sent| sent.answered).max().unwrap_or(0).max(before.revision);
    if now.revision < acknowledged {
        return Err(format!("the store is at revision {}, and {acknowledged} was acknowledged", now.revision));
    }
    let mut model = before.clone();
    replay(&mut model, sent, &events(client, before.revision, now.revision).await?)?;
    if model.keys != now.keys {
        return Err(format!("its keys are {:#?}, its history says {:#?}", now.keys, model.keys));
    }
    // No compaction went as far.
    let past = read(client, before.revision).await?;
    if past.keys != before.keys {
        return Err(format!(
            "at revision {} its keys are now {:#?}, and were {:#?}",
            before.revision, past.keys, before.keys
        ));
    }
    let compactions = sent.iter().filter(|sent| sent.answered.is_some()).filter_map(|sent| match sent.request {
        Request::Compact { revision } => Some(revision),
        _ => None,
    });
    model.compacted = compactions.max().unwrap_or(0).max(before.compacted);
    if model.compacted > 1
        && let Ok(past) = read(client, model.compacted - 1).await
    {
        return Err(format!(
            "revision {} is still read after a compaction to {}: {past:?}",
            model.compacted - 1,
            model.compacted
        ));
    }
    // One that was not answered may have been carried out: then the next one has to go further.
    for sent in sent.iter().filter(|sent| sent.answered.is_none()) {
        if let Request::Compact { revision } = sent.request
            && revision > model.compacted
            && read(client, revision - 1).await.is_err()
        {
            model.compacted = revision;
        }
    }
    leases(client, &mut model, sent).await?;
    Ok(model)
}

/// All keys at a revision, 0 for the newest.
async fn read(client: &mut Client, revision: i64) -> Result<Model, String> {
    let options = GetOptions::new().with_all_keys().with_revision(revision);
    let answer = client.get("", Some(options)).await.map_err(|e| format!("all keys at revision {revision}: {e}"))?;
    let keys = answer.kvs().iter().map(|kv| Ok((kv.key_str().map_err(|e| e.to_string())?.to_owned(), version(kv)?)));
    Ok(Model { revision: header(&answer), keys: keys.collect::<Result<_, String>>()?, ..Model::default() })
}

fn header(answer: &GetResponse) -> i64 {
    answer.header().map_or(0, etcd_client::ResponseHeader::revision)
}

fn version(kv: &KeyValue) -> Result<Version, String> {
    let number = kv.value_str().ok().and_then(number);
    let number = number.ok_or_else(|| format!("{} has a value that nobody wrote", String::from_utf8_lossy(kv.key())))?;
    Ok(Version {
        number,
        create: kv.create_revision(),
        modified: kv.mod_revision(),
        version: kv.version(),
        lease: kv.lease(),
    })
}

/// One event of a watch; a deletion has no version.
struct Event {
    key: String,
    version: Option<Version>,
}

/// What a watch from after a revision delivers up to another.
async fn events(client: &mut Client, after: i64, to: i64) -> Result<BTreeMap<i64, Vec<Event>>, String> {
    let mut events: BTreeMap<i64, Vec<Event>> = BTreeMap::new();
    if after == to {
        return Ok(events);
    }
    let options = WatchOptions::new().with_all_keys().with_start_revision(after + 1);
    let mut stream = client.watch("", Some(options)).await.map_err(|e| e.to_string())?;
    let reading = async {
        while events.last_key_value().is_none_or(|(last, _)| *last < to) {
            let answer = stream.message().await.map_err(|e| e.to_string())?.ok_or("the watch has ended")?;
            if answer.canceled() {
                return Err(format!("a watch from revision {} is canceled: {}", after + 1, answer.cancel_reason()));
            }
            for event in answer.events() {
                let kv = event.kv().ok_or("an event has no key")?;
                let last = events.last_key_value().map_or(after, |(last, _)| *last);
                if kv.mod_revision() < last {
                    return Err(format!("an event of revision {} comes after one of {last}", kv.mod_revision()));
                }
                let put = event.event_type() == EventType::Put;
                let version = if put { Some(version(kv)?) } else { None };
                let key = kv.key_str().map_err(|e| e.to_string())?.to_owned();
                events.entry(kv.mod_revision()).or_default().push(Event { key, version });
            }
        }
        Ok(())
    };
    match tokio::time::timeout(PATIENCE, reading).await {
        Ok(read) => read?,
        Err(_) => return Err(format!("a watch from revision {} does not come to {to}", after + 1)),
    }
    Ok(events)
}

/// Finds the request that made each revision. What was acknowledged must be there, at its revision; what was not may be; nothing
/// else is.
fn replay(model: &mut Model, sent: &[Sent], events: &BTreeMap<i64, Vec<Event>>) -> Result<(), String> {
    let mut by_revision: BTreeMap<i64, Vec<&Sent>> = BTreeMap::new();
    let mut in_doubt: Vec<&Sent> = Vec::new();
    for sent in sent {
        match sent.answered {
            Some(revision) => by_revision.entry(revision).or_default().push(sent),
            None => in_doubt.push(sent),
        }
    }
    for (revision, events) in events {
        if *revision != model.revision + 1 {
            return Err(format!("revision {revision} comes after {}", model.revision));
        }
        let seen: Vec<Change> =
            events.iter().map(|event| (event.key.clone(), event.version.as_ref().map(|version| version.number))).collect();
        // Other requests than the one that made it may have been answered with a revision: those that changed nothing.
        let acknowledged = by_revision.get_mut(revision);
        let found =
            acknowledged.and_then(|requests| take(model, requests, &seen)).or_else(|| take(model, &mut in_doubt, &seen));
        let Some((_, lease)) = found else {
            return Err(format!(
                "revision {revision} is {seen:?}; at that revision was acknowledged: {:?}",
                by_revision.get(revision)
            ));
        };
        model.apply(&seen, lease);
        for event in events {
            if event.version.as_ref() != model.keys.get(&event.key) {
                return Err(format!(
                    "{} is {:?} in its event, not {:?}",
                    event.key,
                    event.version,
                    model.keys.get(&event.key)
                ));
            }
        }
    }
    let lost = by_revision.values().flatten().find(|sent| matches!(sent.request, Request::Write { .. }));
    match lost {
        Some(lost) => Err(format!("acknowledged, and not there: {lost:?}")),
        None => Ok(()),
    }
}

/// Takes the request out of the list that makes these changes of what is there.
fn take(model: &Model, requests: &mut Vec<&Sent>, seen: &[Change]) -> Option<(Vec<Change>, i64)> {
    let at = requests.iter().position(|sent| model.changes(&sent.request).0 == seen)?;
    Some(model.changes(&requests.remove(at).request))
}

/// Every lease that was acknowledged is there, with the time that it has left and with its keys; none that was revoked is.
async fn leases(client: &mut Client, model: &mut Model, sent: &[Sent]) -> Result<(), String> {
    let mut in_doubt: BTreeMap<i64, Lease> = BTreeMap::new();
    for Sent { request, at, answered } in sent {
        match (request, answered.is_some()) {
            (Request::Grant { id, ttl }, true) => {
                model.leases.insert(*id, Lease { ttl: *ttl, since: *at });
            }
            (Request::Grant { id, ttl }, false) => {
                in_doubt.insert(*id, Lease { ttl: *ttl, since: *at });
            }
            (Request::KeepAlive { id }, true) => {
                if let Some(lease) = model.leases.get_mut(id) {
                    lease.since = *at;
                }
            }
            (Request::Revoke { id }, revoked) => {
                if let Some(lease) = model.leases.remove(id)
                    && !revoked
                {
                    in_doubt.insert(*id, lease);
                }
            }
            _ => {}
        }
    }
    let there = client.leases().await.map_err(|e| e.to_string())?;
    let there: BTreeSet<i64> = there.leases().iter().map(etcd_client::LeaseStatus::id).collect();
    if let Some(lost) = model.leases.keys().find(|id| !there.contains(id)) {
        return Err(format!("lease {lost} was acknowledged, and is not there: {there:?}"));
    }
    for id in there {
        let lease = match (model.leases.get(&id), in_doubt.remove(&id)) {
            (Some(lease), _) => lease.clone(),
            (None, Some(lease)) => lease,
            (None, None) => return Err(format!("lease {id} is there, and should not be")),
        };
        let answer = client.lease_time_to_live(id, Some(LeaseTimeToLiveOptions::new().with_keys())).await;
        let answer = answer.map_err(|e| e.to_string())?;
        // Answers are in whole seconds, rounded down.
        let left = Duration::from_secs(u64::try_from(answer.ttl() + 1).unwrap_or(0));
        let whole = Duration::from_secs(lease.ttl.unsigned_abs());
        if left + lease.since.elapsed() < whole || answer.ttl() > lease.ttl || answer.granted_ttl() != lease.ttl {
            return Err(format!("lease {id} has {} s left, by what was acknowledged {lease:?}", answer.ttl()));
        }
        let attached: Vec<String> = answer.keys().iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect();
        if attached != model.attached(id) {
            return Err(format!("lease {id} has the keys {attached:?}, and should have {:?}", model.attached(id)));
        }
        model.leases.insert(id, lease);
    }
    Ok(())
}
