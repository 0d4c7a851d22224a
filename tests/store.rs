//! The store layer, on etcd and on the embedded store: verbs and preconditions, the two halves, lists, finalizers, Events, and
//! writes whose answer is lost.

mod support;

use std::collections::BTreeMap;

use futures::StreamExt;
use kube::Resource;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};
use support::proxy::{Lose, Proxy};
use support::server::Server;
use support::stops::{names, seconds, since, stop, stops};
use support::{PATIENCE, connect};
use wicap::api::soak::SoakRun;
use wicap::api::stop::EmergencyStop;
use wicap::api::{MAX_OBJECT_BYTES, Object, Time};
use wicap::store::election::campaign;
use wicap::store::events::{Recorder, Severity};
use wicap::store::{DeleteParams, Error, ListParams, Patch, WatchParams};

fn labelled(name: &str, tier: &str) -> EmergencyStop {
    let mut stop = stop(name, "r");
    stop.meta_mut().labels = Some(BTreeMap::from([("tier".to_owned(), tier.to_owned())]));
    stop
}

fn version(stop: &EmergencyStop) -> i64 {
    stop.meta().resource_version.as_ref().unwrap().parse().unwrap()
}

/// Keys under the installation's prefix, without what the audit log says of how they came about.
async fn keys(server: &Server) -> Vec<String> {
    let options = etcd_client::GetOptions::new().with_prefix().with_keys_only();
    let answer = server.client().await.get("/wicap.dev/", Some(options)).await.unwrap();
    let keys = answer.kvs().iter().map(|kv| kv.key_str().unwrap().to_owned());
    keys.filter(|key| !key.starts_with("/wicap.dev/audit")).collect()
}

#[tokio::test]
async fn an_object_is_created_once_and_read_as_it_was_written() {
    let server = Server::start().await;
    let (_, api) = stops(&server).await;
    assert!(matches!(api.get("a").await, Err(Error::NotFound { kind: "emergencystops", name }) if name == "a"));
    let made = api.create(&since(stop("a", "fire"), 7)).await.unwrap();
    assert_eq!(made.spec.reason, "fire");
    assert_eq!(made.status, None, "the status of a manifest is not the system's");
    assert_eq!(made.meta().generation, Some(1));
    assert!(made.meta().uid.is_some() && made.meta().creation_timestamp.is_some() && version(&made) > 0);
    let read = api.get("a").await.unwrap();
    assert_eq!((read.meta(), &read.spec), (made.meta(), &made.spec));
    let again = api.create(&stop("a", "flood")).await;
    assert!(matches!(again, Err(Error::AlreadyExists { kind: "emergencystops", ref name }) if name == "a"), "{again:?}");
    assert_eq!(api.get("a").await.unwrap().spec.reason, "fire");
}

#[tokio::test]
async fn an_object_that_breaks_rules_is_not_stored() {
    let server = Server::start().await;
    let (store, api) = stops(&server).await;
    for (bad, path) in
        [(stop("a", ""), "spec.reason"), (stop("A/b", "r"), "metadata.name"), (stop("", "r"), "metadata.name")]
    {
        let Err(Error::Invalid { violations, .. }) = api.create(&bad).await else { panic!("{bad:?}") };
        assert_eq!(violations[0].path, path);
    }
    let good = api.create(&stop("a", "r")).await.unwrap();
    let replaced = api.replace(&stop("a", " ")).await;
    assert!(matches!(replaced, Err(Error::Invalid { .. })), "{replaced:?}");
    for patch in [json!({"spec": {"reason": null}}), json!({"spec": {"raeson": "x"}}), json!({"metadata": {"name": "b"}})] {
        let patched = api.patch("a", &Patch::Merge(patch.clone())).await;
        assert!(matches!(patched, Err(Error::Invalid { .. })), "{patch} gave {patched:?}");
    }
    assert_eq!(api.get("a").await.unwrap().meta(), good.meta());
    assert_eq!(keys(&server).await, ["/wicap.dev/emergencystops/a"]);
    drop(store);
}

#[tokio::test]
async fn a_patch_of_the_name_does_not_write_over_another_object() {
    let server = Server::start().await;
    let (_, api) = stops(&server).await;
    let older = api.create(&stop("b", "mine")).await.unwrap();
    api.create(&stop("a", "yours")).await.unwrap();
    let patched = api.patch("a", &Patch::Merge(json!({"metadata": {"name": "b"}}))).await;
    assert!(matches!(patched, Err(Error::Invalid { .. })), "{patched:?}");
    let b = api.get("b").await.unwrap();
    assert_eq!((b.meta(), b.spec.reason.as_str()), (older.meta(), "mine"));
}

#[tokio::test]
async fn an_object_over_one_mebibyte_is_refused_and_one_just_under_is_taken() {
    let server = Server::start().await;
    let (_, api) = stops(&server).await;
    let sized = |bytes: usize| {
        let mut big = stop("big", "r");
        big.meta_mut().annotations = Some(BTreeMap::from([("x".to_owned(), "y".repeat(bytes))]));
        big
    };
    let Err(Error::Invalid { violations, .. }) = api.create(&sized(MAX_OBJECT_BYTES)).await else { panic!("it was taken") };
    assert!(violations[0].expected.contains("1048576 bytes"), "{violations:?}");
    assert!(keys(&server).await.is_empty());
    api.create(&sized(MAX_OBJECT_BYTES - 1024)).await.unwrap();
    assert!(matches!(api.replace(&sized(MAX_OBJECT_BYTES)).await, Err(Error::Invalid { .. })));
}

#[tokio::test]
async fn many_large_objects_are_listed_and_watched() {
    let server = Server::start().await;
    let (_, api) = stops(&server).await;
    let large = |i: usize| {
        let mut large = stop(&format!("s{i}"), "r");
        large.meta_mut().annotations = Some(BTreeMap::from([("x".to_owned(), "y".repeat(1_000_000))]));
        large
    };
    for i in 0..5 {
        api.create(&large(i)).await.unwrap();
    }
    assert_eq!(names(&api, ListParams::default()).await, ["s0", "s1", "s2", "s3", "s4"]);
    let mut watch = api.watch(&WatchParams::default()).unwrap();
    let mut seen = 0;
    loop {
        match tokio::time::timeout(PATIENCE, watch.next()).await.unwrap().unwrap().unwrap() {
            Event::InitApply(_) => seen += 1,
            Event::InitDone => break,
            _ => {}
        }
    }
    assert_eq!(seen, 5);
}

#[tokio::test]
async fn uid_and_resource_version_are_preconditions_when_they_are_given() {
    let server = Server::start().await;
    let (_, api) = stops(&server).await;
    let first = api.create(&stop("a", "one")).await.unwrap();
    let mut second = first.clone();
    second.spec.reason = "two".into();
    let second = api.replace(&second).await.unwrap();
    assert!(version(&second) > version(&first));

    let mut stale = first.clone();
    stale.spec.reason = "three".into();
    assert!(matches!(api.replace(&stale).await, Err(Error::Conflict { .. })));
    stale.meta_mut().resource_version = None;
    stale.meta_mut().uid = Some("another".into());
    assert!(matches!(api.replace(&stale).await, Err(Error::Conflict { .. })));
    let rv = first.meta().resource_version.clone();
    let merge = |metadata: Value| Patch::Merge(json!({"metadata": metadata, "spec": {"reason": "three"}}));
    assert!(matches!(api.patch("a", &merge(json!({"resourceVersion": rv}))).await, Err(Error::Conflict { .. })));
    assert!(matches!(api.patch("a", &merge(json!({"uid": "another"}))).await, Err(Error::Conflict { .. })));
    let params = DeleteParams { uid: Some("another".into()), ..DeleteParams::default() };
    assert!(matches!(api.delete("a", &params).await, Err(Error::Conflict { .. })));
    let params = DeleteParams { resource_version: rv, ..DeleteParams::default() };
    assert!(matches!(api.delete("a", &params).await, Err(Error::Conflict { .. })));
    assert_eq!(api.get("a").await.unwrap().meta(), second.meta());

    // Without them the last word holds.
    api.replace(&stop("a", "four")).await.unwrap();
    let now = api.patch("a", &Patch::Merge(json!({"spec": {"by": "bob@host"}}))).await.unwrap();
    assert_eq!((now.spec.reason.as_str(), now.spec.by.as_str()), ("four", "bob@host"));
    assert_eq!(now.meta().uid, first.meta().uid);
    let params = DeleteParams { uid: now.meta().uid.clone(), resource_version: now.meta().resource_version.clone() };
    api.delete("a", &params).await.unwrap();
    assert!(matches!(api.delete("a", &DeleteParams::default()).await, Err(Error::NotFound { .. })));
    assert!(matches!(api.replace(&now).await, Err(Error::NotFound { .. })));
    assert!(keys(&server).await.is_empty());
}

#[tokio::test]
async fn a_json_patch_that_does_not_apply_changes_nothing() {
    let server = Server::start().await;
    let (_, api) = stops(&server).await;
    api.create(&stop("a", "one")).await.unwrap();
    let patch = |operations: Value| Patch::Json(serde_json::from_value(operations).unwrap());
    let replace = json!({"op": "replace", "path": "/spec/reason", "value": "two"});
    let failing = patch(json!([replace, {"op": "test", "path": "/spec/by", "value": "nobody"}]));
    assert!(matches!(api.patch("a", &failing).await, Err(Error::BadRequest { what: "JSON patch", .. })));
    assert_eq!(api.get("a").await.unwrap().spec.reason, "one");
    assert_eq!(api.patch("a", &patch(json!([replace]))).await.unwrap().spec.reason, "two");
}

#[tokio::test]
async fn only_a_change_of_the_spec_raises_the_generation_and_what_is_equal_is_not_written() {
    let server = Server::start().await;
    let (_, api) = stops(&server).await;
    let made = api.create(&stop("a", "one")).await.unwrap();
    let same = api.replace(&made).await.unwrap();
    assert_eq!(same.meta(), made.meta());
    let labelled = api.patch("a", &Patch::Merge(json!({"metadata": {"labels": {"x": "y"}}}))).await.unwrap();
    assert_eq!(labelled.meta().generation, Some(1));
    assert!(version(&labelled) > version(&made));
    api.replace_status(&since(labelled, 5), None).await.unwrap();
    assert_eq!(api.get("a").await.unwrap().meta().generation, Some(1));
    let changed = api.patch("a", &Patch::Merge(json!({"spec": {"reason": "two"}}))).await.unwrap();
    assert_eq!(changed.meta().generation, Some(2));
    assert_eq!(seconds(&changed), Some(5), "the status stays");
}

#[tokio::test]
async fn the_halves_never_conflict_with_each_other() {
    let server = Server::start().await;
    let (_, api) = stops(&server).await;
    let read = api.create(&stop("a", "one")).await.unwrap();
    // Each writes on what was read before any of the others wrote.
    let mut spec = read.clone();
    spec.spec.reason = "two".into();
    api.replace(&spec).await.unwrap();
    let written = api.replace_status(&since(read.clone(), 1), None).await.unwrap();
    assert!(matches!(api.replace_status(&since(read.clone(), 2), None).await, Err(Error::Conflict { .. })));
    api.replace_status(&since(written, 3), None).await.unwrap();
    let mut spec = api.get("a").await.unwrap();
    assert_eq!((spec.spec.reason.as_str(), seconds(&spec)), ("two", Some(3)));
    api.replace_status(&since(spec.clone(), 4), None).await.unwrap();
    spec.spec.reason = "three".into();
    let both = api.replace(&spec).await.unwrap();
    assert_eq!((both.spec.reason.as_str(), seconds(&both)), ("three", Some(4)));
}

#[tokio::test]
async fn the_status_of_a_deleted_object_does_not_come_to_life_in_the_next_one_of_its_name() {
    let server = Server::start().await;
    let (_, api) = stops(&server).await;
    let old = api.create(&stop("a", "one")).await.unwrap();
    let old = api.replace_status(&since(old, 1), None).await.unwrap();
    api.delete("a", &DeleteParams::default()).await.unwrap();
    assert_eq!(keys(&server).await, ["/wicap.dev/emergencystops.status/a"], "who deletes intent may touch no status");
    let late = api.replace_status(&since(old.clone(), 2), None).await;
    assert!(matches!(late, Err(Error::Conflict { .. })), "{late:?}");
    // A status that other hands left behind.
    let mut client = server.client().await;
    let half = json!({"uid": old.meta().uid, "finalized": ["f"], "status": {"since": "2020-01-01T00:00:00Z"}}).to_string();
    client.put("/wicap.dev/emergencystops.status/a", half.clone(), None).await.unwrap();
    let mut new = stop("a", "two");
    new.meta_mut().finalizers = Some(vec!["f".into()]);
    let new = api.create(&new).await.unwrap();
    assert_eq!(new.status, None);
    assert_ne!(new.meta().uid, old.meta().uid);
    let late = api.replace_status(&since(old, 3), None).await;
    assert!(matches!(late, Err(Error::Conflict { .. })), "{late:?}");
    client.put("/wicap.dev/emergencystops.status/a", half, None).await.unwrap();
    assert_eq!(api.get("a").await.unwrap().status, None);
    assert_eq!(api.list(&ListParams::default()).await.unwrap().items[0].status, None);
    // What was reported of the old one's finalizers is not reported of the new one's.
    let leader = campaign(api.store(), "gc", "me").await;
    api.delete("a", &DeleteParams::default()).await.unwrap();
    assert!(!api.remove_finalized("a", &leader.fence).await.unwrap());
    assert!(api.get_opt("a").await.unwrap().is_some());
}

#[tokio::test]
async fn a_status_goes_when_its_object_has_gone_and_not_before() {
    let server = Server::start().await;
    let (store, api) = stops(&server).await;
    for name in ["deleted", "kept", "replaced", "bare"] {
        let made = api.create(&stop(name, "one")).await.unwrap();
        if name != "bare" {
            api.replace_status(&since(made, 1), None).await.unwrap();
        }
    }
    for name in ["deleted", "replaced"] {
        api.delete(name, &DeleteParams::default()).await.unwrap();
    }
    api.create(&stop("replaced", "two")).await.unwrap();
    // What cannot be read is for people to look at.
    let mut client = server.client().await;
    client.put("/wicap.dev/emergencystops.status/bare", "{", None).await.unwrap();
    let leader = campaign(&store, "gc", "me").await;
    api.remove_strays(&leader.fence).await.unwrap();
    let statuses = keys(&server).await.into_iter().filter(|key| key.contains(".status/"));
    let statuses: Vec<_> = statuses.map(|key| key.rsplit('/').next().unwrap().to_owned()).collect();
    assert_eq!(statuses, ["bare", "kept"]);
    assert_eq!(seconds(&api.get("kept").await.unwrap()), Some(1));
    // The one that took the name has room for its own.
    api.replace_status(&since(api.get("replaced").await.unwrap(), 2), None).await.unwrap();
    api.remove_strays(&leader.fence).await.unwrap();
    assert_eq!(seconds(&api.get("replaced").await.unwrap()), Some(2));
    let deposed = leader.fence.clone();
    leader.resign().await;
    api.delete("kept", &DeleteParams::default()).await.unwrap();
    assert!(matches!(api.remove_strays(&deposed).await, Err(Error::Conflict { .. })));
}

#[tokio::test]
async fn an_object_with_finalizers_is_marked_and_goes_when_each_is_reported() {
    let server = Server::start().await;
    let (store, api) = stops(&server).await;
    let leader = campaign(&store, "gc", "me").await;
    let mut object = stop("a", "r");
    object.meta_mut().finalizers = Some(vec!["x".into(), "y".into()]);
    let made = api.create(&object).await.unwrap();
    assert!(!api.remove_finalized("a", &leader.fence).await.unwrap(), "nobody asked for its deletion");
    let marked = api.delete("a", &DeleteParams::default()).await.unwrap();
    assert!(marked.meta().deletion_timestamp.is_some());
    assert_eq!(marked.meta().generation, made.meta().generation);
    let again = api.delete("a", &DeleteParams::default()).await.unwrap();
    assert_eq!(again.meta(), marked.meta(), "asking twice changes nothing");
    assert!(!api.remove_finalized("a", &leader.fence).await.unwrap());
    api.finalized("a", "x", &leader.fence).await.unwrap();
    assert!(!api.remove_finalized("a", &leader.fence).await.unwrap());
    // What is reported must survive a report of the other.
    api.finalized("a", "y", &leader.fence).await.unwrap();
    api.finalized("a", "y", &leader.fence).await.unwrap();
    assert!(api.remove_finalized("a", &leader.fence).await.unwrap());
    assert!(api.get_opt("a").await.unwrap().is_none());
    assert!(api.remove_finalized("a", &leader.fence).await.unwrap(), "gone is gone");
    api.finalized("a", "x", &leader.fence).await.unwrap();
    assert_eq!(keys(&server).await, ["/wicap.dev/leader/gc"]);
}

#[tokio::test]
async fn selectors_choose_by_label_and_by_field() {
    let server = Server::start().await;
    let (_, api) = stops(&server).await;
    for (name, tier) in [("a", "x"), ("b", "y"), ("c", "x")] {
        api.create(&labelled(name, tier)).await.unwrap();
    }
    let c = api.get("c").await.unwrap();
    api.replace_status(&since(c, 0), None).await.unwrap();
    let params = |labels: &str, fields: &str| ListParams {
        labels: Some(labels.to_owned()),
        fields: Some(fields.to_owned()),
        ..ListParams::default()
    };
    assert_eq!(names(&api, params("tier=x", "")).await, ["a", "c"]);
    assert_eq!(names(&api, params("tier notin (x)", "")).await, ["b"]);
    assert_eq!(names(&api, params("tier=x", "metadata.name!=a")).await, ["c"]);
    assert_eq!(names(&api, params("", "status.since=1970-01-01T00:00:00Z")).await, ["c"]);
    assert_eq!(names(&api, params("tier=z", "")).await, [""; 0]);
    assert!(matches!(api.list(&params("a b", "")).await, Err(Error::BadRequest { what: "label selector", .. })));
    // A limit is one of what matches, not of what is looked at.
    let mut page = params("tier=x", "");
    page.limit = Some(1);
    let first = api.list(&page).await.unwrap();
    assert_eq!(first.items.iter().map(Object::name).collect::<Vec<_>>(), ["a"]);
    page.continue_token = first.continue_token;
    let second = api.list(&page).await.unwrap();
    assert_eq!(second.items.iter().map(Object::name).collect::<Vec<_>>(), ["c"]);
    assert_eq!(second.continue_token, None);
}

#[tokio::test]
async fn the_pages_of_a_list_show_one_moment_while_objects_change() {
    let server = Server::start().await;
    let (_, api) = stops(&server).await;
    for i in 0..10 {
        let made = api.create(&stop(&format!("s{i}"), "before")).await.unwrap();
        api.replace_status(&since(made, i), None).await.unwrap();
    }
    // A name that begins like another, and a kind that is listed beside.
    api.create(&stop("s4-x", "before")).await.unwrap();
    let moment = api.list(&ListParams::default()).await.unwrap();
    let shown = |items: &[EmergencyStop]| -> Vec<_> {
        items.iter().map(|s| (s.name().to_owned(), s.spec.reason.clone(), seconds(s), version(s))).collect()
    };
    let mut params = ListParams { limit: Some(3), ..ListParams::default() };
    let mut items = Vec::new();
    let mut pages = Vec::new();
    for round in 0.. {
        let page = api.list(&params).await.unwrap();
        assert_eq!(page.revision, moment.revision);
        pages.push(page.items.len());
        items.extend(page.items);
        params.continue_token = page.continue_token;
        if params.continue_token.is_none() {
            break;
        }
        if round == 0 {
            api.delete("s2", &DeleteParams::default()).await.unwrap();
            api.delete("s3", &DeleteParams::default()).await.unwrap();
            api.replace(&stop("s5", "after")).await.unwrap();
            let s6 = api.get("s6").await.unwrap();
            api.replace_status(&since(s6, 600), None).await.unwrap();
            api.create(&stop("s7-new", "after")).await.unwrap();
        }
    }
    assert_eq!(pages, [3, 3, 3, 2]);
    assert_eq!(shown(&items), shown(&moment.items));
    // The rest without a limit.
    let half = ListParams { limit: Some(4), ..ListParams::default() };
    let token = api.list(&half).await.unwrap().continue_token;
    assert!(token.is_some());
    let rest = names(&api, ListParams { continue_token: token, ..ListParams::default() }).await;
    assert_eq!(rest, ["s5", "s6", "s7", "s7-new", "s8", "s9"]);
}

#[tokio::test]
async fn a_token_from_before_a_compaction_has_expired() {
    let server = Server::start().await;
    let (_, api) = stops(&server).await;
    for name in ["a", "b", "c"] {
        api.create(&stop(name, "r")).await.unwrap();
    }
    let first = api.list(&ListParams { limit: Some(2), ..ListParams::default() }).await.unwrap();
    api.create(&stop("d", "r")).await.unwrap();
    server.compact().await;
    for limit in [Some(2), None] {
        let params = ListParams { limit, continue_token: first.continue_token.clone(), ..ListParams::default() };
        assert!(matches!(api.list(&params).await, Err(Error::Expired)));
    }
    for token in ["x", "0/a", "/a", "7"] {
        let params = ListParams { continue_token: Some(token.to_owned()), ..ListParams::default() };
        assert!(matches!(api.list(&params).await, Err(Error::BadRequest { what: "continue token", .. })), "{token}");
    }
}

#[tokio::test]
async fn the_same_event_again_raises_its_count_and_every_event_is_bound_to_a_lease() {
    let server = Server::start().await;
    let (store, api) = stops(&server).await;
    let (a, longer) = (api.create(&stop("a", "r")).await.unwrap(), api.create(&stop("a.b", "r")).await.unwrap());
    let recorder = Recorder::new(store.clone(), "planner", "here");
    for _ in 0..3 {
        recorder.publish(&a, Severity::Warning, "Drift", "processor is down").await;
    }
    recorder.publish(&a, Severity::Normal, "Drift", "processor is up").await;
    recorder.publish(&longer, Severity::Normal, "Drift", "processor is up").await;
    let mut events = store.events_for("EmergencyStop", "a").await.unwrap();
    events.sort_by_key(|e| e.count);
    let shown: Vec<_> =
        events.iter().map(|e| (e.count.unwrap(), e.type_.as_deref().unwrap(), e.message.as_deref().unwrap())).collect();
    assert_eq!(shown, [(1, "Normal", "processor is up"), (3, "Warning", "processor is down")]);
    let mut client = server.client().await;
    let options = etcd_client::GetOptions::new().with_prefix();
    let stored = client.get("/wicap.dev/events/", Some(options)).await.unwrap();
    assert_eq!(stored.kvs().len(), 3);
    for kv in stored.kvs() {
        let lease = client.lease_client().time_to_live(kv.lease(), None).await.unwrap();
        assert!((3600..=3660).contains(&lease.ttl()), "{} s left to {}", lease.ttl(), kv.key_str().unwrap());
    }
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_after_it_was_committed_is_a_success() {
    let server = Server::start().await;
    let (_, near) = stops(&server).await;
    let proxy = Proxy::before(&server.url()).await;
    let far = connect(&proxy.url()).await.api::<EmergencyStop>();
    let mut seen = near.watch(&WatchParams::default()).unwrap();

    proxy.lose("lost one", Lose::Answer);
    let create = tokio::spawn({
        let far = far.clone();
        async move { far.create(&stop("a", "lost one")).await }
    });
    applied(&mut seen, "lost one").await;
    proxy.cut();
    proxy.mend();
    let made = create.await.unwrap().unwrap();
    assert_eq!(near.get("a").await.unwrap().meta(), made.meta());

    proxy.lose("lost two", Lose::Answer);
    let replace = tokio::spawn({
        let far = far.clone();
        async move { far.replace(&stop("a", "lost two")).await }
    });
    applied(&mut seen, "lost two").await;
    proxy.cut();
    proxy.mend();
    let changed = replace.await.unwrap().unwrap();
    assert_eq!(changed.meta().generation, Some(2));
    assert_eq!(near.get("a").await.unwrap().meta(), changed.meta());
}

async fn applied(seen: &mut (impl futures::Stream<Item = Result<Event<EmergencyStop>, Error>> + Unpin), reason: &str) {
    let waiting = async {
        while let Some(event) = seen.next().await {
            if matches!(event, Ok(Event::Apply(stop) | Event::InitApply(stop)) if stop.spec.reason == reason) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("it is stored");
}

#[tokio::test]
async fn a_write_that_is_lost_before_it_arrives_is_reported_and_nothing_is_stored() {
    let server = Server::start().await;
    let (_, near) = stops(&server).await;
    let proxy = Proxy::before(&server.url()).await;
    let far = connect(&proxy.url()).await.api::<EmergencyStop>();
    proxy.lose("lost one", Lose::Request);
    let created = far.create(&stop("a", "lost one")).await;
    assert!(matches!(created, Err(Error::Unreachable { .. } | Error::Ambiguous { .. })), "{created:?}");
    assert!(keys(&server).await.is_empty());
    let made = far.create(&stop("a", "here")).await.unwrap();
    // A write of what is there already is lost as well as any other: its value proves nothing.
    let written = far.replace_status(&since(made, 1), None).await.unwrap();
    proxy.lose("1970-01-01T00:00:01Z", Lose::Request);
    let lost = far.replace_status(&written, None).await;
    assert!(matches!(lost, Err(Error::Unreachable { .. } | Error::Ambiguous { .. })), "{lost:?}");
    assert_eq!(version(&near.get("a").await.unwrap()), version(&written));
}

#[tokio::test]
async fn a_write_that_was_committed_and_written_over_is_not_reported_as_never_taken() {
    let server = Server::start().await;
    let (_, near) = stops(&server).await;
    let proxy = Proxy::before(&server.url()).await;
    let far = connect(&proxy.url()).await.api::<EmergencyStop>();
    let mut seen = near.watch(&WatchParams::default()).unwrap();
    proxy.lose("lost one", Lose::Answer);
    let create = tokio::spawn(async move { far.create(&stop("a", "lost one")).await });
    applied(&mut seen, "lost one").await;
    near.replace(&stop("a", "written over")).await.unwrap();
    proxy.cut();
    proxy.mend();
    let outcome = create.await.unwrap();
    assert!(matches!(outcome, Err(Error::Ambiguous { .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_write_that_cannot_even_be_looked_up_is_ambiguous() {
    let server = Server::start().await;
    let proxy = Proxy::before(&server.url()).await;
    let far = connect(&proxy.url()).await.api::<EmergencyStop>();
    proxy.lose("lost one", Lose::Answer);
    let mut create = Box::pin(async move { far.create(&stop("a", "lost one")).await });
    tokio::select! {
        outcome = &mut create => panic!("{outcome:?}"),
        () = proxy.caught() => {}
    }
    proxy.cut();
    let outcome = create.await;
    assert!(matches!(outcome, Err(Error::Ambiguous { .. })), "{outcome:?}");
}

#[tokio::test]
async fn two_halves_written_at_once_are_seen_as_one_object() {
    let server = Server::start().await;
    let (store, api) = stops(&server).await;
    let mut watch = api.watch(&WatchParams::default()).unwrap();
    let made = api.create(&stop("a", "one")).await.unwrap();
    let first: Vec<_> = watch.by_ref().take(3).collect().await;
    assert!(matches!(&first[1], Ok(Event::InitApply(s)) if s.meta() == made.meta()), "{first:?}");
    // Both halves of one object: by hand, as only a delete and a create do it here.
    let mut client = server.client().await;
    let spec = json!({"apiVersion": "wicap.dev/v1alpha1", "kind": "EmergencyStop", "metadata": made.meta(),
        "spec": {"reason": "two", "by": "b"}});
    let half = json!({"uid": made.meta().uid, "status": {"since": Time::from_second(2).unwrap()}});
    let puts = [
        etcd_client::TxnOp::put("/wicap.dev/emergencystops/a", spec.to_string(), None),
        etcd_client::TxnOp::put("/wicap.dev/emergencystops.status/a", half.to_string(), None),
    ];
    client.txn(etcd_client::Txn::new().and_then(puts)).await.unwrap();
    let mut next = async || match tokio::time::timeout(PATIENCE, watch.next()).await.unwrap().unwrap().unwrap() {
        Event::Apply(s) => (s.name().to_owned(), s.spec.reason.clone(), seconds(&s)),
        Event::Delete(s) => (s.name().to_owned(), "deleted".to_owned(), seconds(&s)),
        other => panic!("{other:?}"),
    };
    let seen = |name: &str, reason: &str, since| (name.to_owned(), reason.to_owned(), since);
    assert_eq!(next().await, seen("a", "two", Some(2)));
    // One transaction on two objects is seen of both, and nothing of it twice.
    let both = store.transaction().put_status(&since(api.get("a").await.unwrap(), 3)).unwrap();
    both.create(&stop("b", "one")).unwrap().commit().await.unwrap();
    assert_eq!(next().await, seen("a", "two", Some(3)));
    assert_eq!(next().await, seen("b", "one", None));
    api.delete("a", &DeleteParams::default()).await.unwrap();
    assert_eq!(next().await, seen("a", "deleted", Some(3)));
    api.delete("b", &DeleteParams::default()).await.unwrap();
    assert_eq!(next().await, seen("b", "deleted", None));
}

#[tokio::test]
async fn stores_under_a_prefix_hold_objects_of_their_own() {
    let etcd = Server::etcd().await;
    let (_, whole) = stops(&etcd).await;
    whole.create(&stop("a", "here")).await.unwrap();
    let prefixed = connect(&format!("{}/other", etcd.url())).await.api::<EmergencyStop>();
    assert!(prefixed.get_opt("a").await.unwrap().is_none());
    prefixed.create(&stop("a", "elsewhere")).await.unwrap();
    assert_eq!(names(&prefixed, ListParams::default()).await, ["a"]);
    assert_eq!(whole.get("a").await.unwrap().spec.reason, "here");
    assert_eq!(names(&whole, ListParams::default()).await, ["a"]);
}

#[tokio::test]
async fn a_socket_that_is_not_there_is_a_store_that_cannot_be_reached() {
    let absent = connect("unix:///no/such/socket").await.api::<SoakRun>().get("a").await;
    assert!(matches!(absent, Err(Error::Unreachable { .. })), "{absent:?}");
}
