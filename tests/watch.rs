//! The watch, on etcd and on the embedded store: cut off, compacted meanwhile, silent, stopped and started again. Nothing is missed and nothing that
//! is gone stays.

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt};
use kube::Resource;
use kube::runtime::watcher::Event;
use support::proxy::{Lose, Proxy};
use support::server::Server;
use support::{PATIENCE, connect};
use wicap::api::Object;
use wicap::api::stop::{EmergencyStop, EmergencyStopSpec};
use wicap::store::{Api, DeleteParams, Error, WatchParams};

fn stop(name: &str, reason: &str) -> EmergencyStop {
    EmergencyStop::new(name, EmergencyStopSpec { reason: reason.to_owned(), by: "ann@host".to_owned() })
}

async fn put(api: &Api<EmergencyStop>, name: &str, reason: &str) {
    let object = stop(name, reason);
    match api.create(&object).await {
        Err(Error::AlreadyExists { .. }) => api.replace(&object).await,
        other => other,
    }
    .unwrap();
}

async fn remove(api: &Api<EmergencyStop>, name: &str) {
    api.delete(name, &DeleteParams::default()).await.unwrap();
}

/// What somebody who watches knows: a cache as a reflector keeps it, and all that was said.
struct Watcher<S> {
    events: S,
    cache: BTreeMap<String, String>,
    /// Filled between `Init` and `InitDone`.
    next: BTreeMap<String, String>,
    /// `name=reason`, and `-name` for a deletion; `Init` for a new beginning.
    said: Vec<String>,
    interruptions: usize,
    last: BTreeMap<String, i64>,
}

impl<S: Stream<Item = Result<Event<EmergencyStop>, Error>> + Unpin> Watcher<S> {
    fn new(events: S) -> Self {
        let (cache, next, last) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { events, cache, next, said: Vec::new(), interruptions: 0, last }
    }

    fn take(&mut self, event: Result<Event<EmergencyStop>, Error>) {
        match event {
            Err(_) => self.interruptions += 1,
            Ok(Event::Init) => {
                self.said.push("Init".to_owned());
                self.next.clear();
            }
            Ok(Event::InitApply(object)) => {
                self.next.insert(object.name().to_owned(), object.spec.reason);
            }
            Ok(Event::InitDone) => self.cache = std::mem::take(&mut self.next),
            Ok(Event::Apply(object)) => {
                let name = object.name().to_owned();
                let revision = object.meta().resource_version.as_ref().unwrap().parse().unwrap();
                let before = self.last.insert(name.clone(), revision);
                assert!(before < Some(revision), "{name} went back from {before:?} to {revision}");
                self.said.push(format!("{name}={}", object.spec.reason));
                self.cache.insert(name, object.spec.reason);
            }
            Ok(Event::Delete(object)) => {
                self.said.push(format!("-{}", object.name()));
                assert!(self.cache.remove(object.name()).is_some(), "{} was never shown", object.name());
            }
        }
    }

    /// Watches until `enough`.
    async fn until(&mut self, what: &str, enough: impl Fn(&Self) -> bool) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !enough(self) {
            match tokio::time::timeout_at(deadline, self.events.next()).await {
                Ok(event) => self.take(event.expect("a watch does not end")),
                Err(_) => panic!("not {what}: knows {:?} from {:?}", self.cache, self.said),
            }
        }
    }

    async fn until_known(&mut self, wanted: &[(&str, &str)]) {
        let wanted: BTreeMap<String, String> = wanted.iter().map(|(n, r)| ((*n).to_owned(), (*r).to_owned())).collect();
        self.until(&format!("{wanted:?}"), |w| w.cache == wanted).await;
    }
}

fn watcher(
    api: &Api<EmergencyStop>,
    params: &WatchParams,
) -> Watcher<impl Stream<Item = Result<Event<EmergencyStop>, Error>> + use<>> {
    Watcher::new(api.watch(params).unwrap())
}

#[tokio::test]
async fn a_watch_that_was_cut_off_goes_on_where_it_was() {
    let server = Server::start().await;
    let proxy = Proxy::before(&server.url()).await;
    let (near, far) = (connect(&server.url()).await.api(), connect(&proxy.url()).await.api());
    put(&near, "a", "1").await;
    put(&near, "b", "1").await;
    let mut watcher = watcher(&far, &WatchParams::default());
    watcher.until_known(&[("a", "1"), ("b", "1")]).await;
    put(&near, "c", "1").await;
    watcher.until_known(&[("a", "1"), ("b", "1"), ("c", "1")]).await;

    for round in 0..3 {
        proxy.cut();
        let before = watcher.interruptions;
        watcher.until("interrupted", |w| w.interruptions > before).await;
        let reason = format!("cut {round}");
        put(&near, "a", &reason).await;
        put(&near, "a", &format!("{reason} again")).await;
        remove(&near, "b").await;
        put(&near, "b", &reason).await;
        remove(&near, "c").await;
        put(&near, "d", &reason).await;
        remove(&near, "d").await;
        proxy.mend();
        watcher.until_known(&[("a", &format!("{reason} again")), ("b", &reason)]).await;
        put(&near, "c", "1").await;
        watcher.until("c again", |w| w.cache.contains_key("c")).await;
    }
    // History was there, so nothing began anew, and what came and went unseen was never shown.
    assert_eq!(watcher.said.iter().filter(|s| *s == "Init").count(), 1, "{:?}", watcher.said);
    assert!(!watcher.said.iter().any(|s| s.contains('d')), "{:?}", watcher.said);
}

#[tokio::test]
async fn every_change_is_shown_in_its_order_while_the_connection_holds() {
    let server = Server::start().await;
    let api = connect(&server.url()).await.api();
    let mut watcher = watcher(&api, &WatchParams::default());
    watcher.until("listed", |w| !w.said.is_empty()).await;
    put(&api, "a", "0").await;
    watcher.until("a", |w| w.cache.contains_key("a")).await;
    let already = watcher.said.len();
    let names = ["b", "a", "d", "c"];
    let mut wanted = Vec::new();
    for i in 0..40 {
        let (name, reason) = (names[i % 4], format!("r{i}"));
        wanted.push(format!("{name}={reason}"));
        put(&api, name, &reason).await;
    }
    watcher.until("all of it", |w| w.said.len() >= already + 40).await;
    assert_eq!(watcher.said[already..].to_vec(), wanted);
}

#[tokio::test]
async fn a_watch_that_was_compacted_while_it_was_cut_off_lists_anew() {
    let server = Server::start().await;
    let proxy = Proxy::before(&server.url()).await;
    let (near, far) = (connect(&server.url()).await.api(), connect(&proxy.url()).await.api());
    for name in ["changed", "deleted", "replaced", "untouched"] {
        put(&near, name, "1").await;
    }
    let mut watcher = watcher(&far, &WatchParams::default());
    watcher.until("listed", |w| w.cache.len() == 4).await;
    for round in 2..5 {
        proxy.cut();
        let before = watcher.interruptions;
        watcher.until("interrupted", |w| w.interruptions > before).await;
        let reason = round.to_string();
        put(&near, "changed", &reason).await;
        remove(&near, "deleted").await;
        remove(&near, "replaced").await;
        put(&near, "replaced", &reason).await;
        put(&near, "created", &reason).await;
        put(&near, "briefly", &reason).await;
        remove(&near, "briefly").await;
        server.compact().await;
        proxy.mend();
        let wanted = [("changed", &*reason), ("created", &*reason), ("replaced", &*reason), ("untouched", "1")];
        watcher.until_known(&wanted).await;
        put(&near, "deleted", "1").await;
        watcher.until("following again", |w| w.cache.contains_key("deleted")).await;
        let inits = watcher.said.iter().filter(|s| *s == "Init").count();
        assert_eq!(inits, round, "{:?}", watcher.said);
    }
}

#[tokio::test]
async fn a_connection_that_has_fallen_silent_is_noticed_and_got_over() {
    let server = Server::start().await;
    let proxy = Proxy::before(&server.url()).await;
    let (near, far) = (connect(&server.url()).await.api(), connect(&proxy.url()).await.api());
    put(&near, "a", "1").await;
    let mut watcher = watcher(&far, &WatchParams::default());
    watcher.until_known(&[("a", "1")]).await;
    put(&near, "b", "1").await;
    watcher.until_known(&[("a", "1"), ("b", "1")]).await;
    proxy.silence();
    let silent = Instant::now();
    put(&near, "c", "1").await;
    remove(&near, "a").await;
    watcher.until("interrupted", |w| w.interruptions > 0).await;
    let noticed = silent.elapsed();
    assert!(noticed < Duration::from_secs(11), "noticed after {noticed:?}");
    watcher.until_known(&[("b", "1"), ("c", "1")]).await;
    let over = silent.elapsed();
    assert!(over < Duration::from_secs(20), "got over it after {over:?}");
    println!("noticed after {noticed:?}, over after {over:?}");
}

#[tokio::test]
async fn a_watch_with_nothing_to_say_is_not_taken_for_a_broken_one() {
    let server = Server::start().await;
    let api = connect(&server.url()).await.api();
    put(&api, "a", "1").await;
    let mut watcher = watcher(&api, &WatchParams::default());
    watcher.until_known(&[("a", "1")]).await;
    // Longer than the idle timer: that nothing happens is what is tested.
    let quiet = tokio::time::timeout(Duration::from_secs(12), watcher.events.next()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    put(&api, "a", "2").await;
    watcher.until_known(&[("a", "2")]).await;
    assert_eq!(watcher.interruptions, 0);
}

#[tokio::test]
async fn a_watch_that_is_cut_off_again_and_again_misses_nothing_of_many_objects() {
    let server = Server::start().await;
    let proxy = Proxy::before(&server.url()).await;
    let (near, far) = (connect(&server.url()).await.api(), connect(&proxy.url()).await.api());
    put(&near, "s000", "0").await;
    let mut watcher = watcher(&far, &WatchParams::default());
    watcher.until("listed", |w| !w.cache.is_empty()).await;
    // Cut again as soon as the first of what it missed is there.
    for round in 0..5 {
        proxy.cut();
        let before = watcher.interruptions;
        watcher.until("interrupted", |w| w.interruptions > before).await;
        for i in 0..60 {
            put(&near, &format!("s{i:03}"), &format!("{round}")).await;
        }
        proxy.mend();
        watcher.until("something", |w| w.cache.get("s001").is_some_and(|r| *r == round.to_string())).await;
    }
    put(&near, "last", "x").await;
    watcher.until("the last", |w| w.cache.contains_key("last")).await;
    assert_eq!(watcher.cache.len(), 61);
    assert!(watcher.cache.iter().all(|(name, reason)| name == "last" || reason == "4"), "{:?}", watcher.cache);
}

#[tokio::test]
async fn a_watch_that_breaks_between_its_opening_and_what_it_missed_misses_nothing() {
    let server = Server::start().await;
    let proxy = Proxy::before(&server.url()).await;
    let (near, far) = (connect(&server.url()).await.api(), connect(&proxy.url()).await.api());
    put(&near, "a", "1").await;
    let mut watcher = watcher(&far, &WatchParams::default());
    watcher.until_known(&[("a", "1")]).await;
    proxy.cut();
    watcher.until("interrupted", |w| w.interruptions > 0).await;
    put(&near, "a", "missed").await;
    put(&near, "b", "1").await;
    // The opening is answered with the present revision; the older changes come after it, and are lost on the way.
    proxy.lose("missed", Lose::Message);
    proxy.mend();
    watcher.until_known(&[("a", "missed"), ("b", "1")]).await;
    proxy.caught().await;
}

#[tokio::test]
async fn a_watch_outlives_a_store_that_is_killed_and_started_again() {
    let mut server = Server::start().await;
    let api = connect(&server.url()).await.api();
    put(&api, "a", "1").await;
    put(&api, "b", "1").await;
    let mut watcher = watcher(&api, &WatchParams::default());
    watcher.until_known(&[("a", "1"), ("b", "1")]).await;
    put(&api, "c", "1").await;
    watcher.until("c", |w| w.cache.contains_key("c")).await;
    for round in ["2", "3"] {
        server.stop();
        let before = watcher.interruptions;
        watcher.until("interrupted", |w| w.interruptions > before).await;
        server.resume().await;
        put(&api, "a", round).await;
        remove(&api, "b").await;
        watcher.until_known(&[("a", round), ("c", "1")]).await;
        put(&api, "b", "1").await;
        watcher.until("b again", |w| w.cache.contains_key("b")).await;
    }
    assert_eq!(watcher.said.iter().filter(|s| *s == "Init").count(), 1, "{:?}", watcher.said);
}

#[tokio::test]
async fn a_store_that_has_gone_back_is_listed_anew() {
    let mut server = Server::start().await;
    let mut younger = Server::start().await;
    let proxy = Proxy::before(&server.url()).await;
    let far = connect(&proxy.url()).await.api();
    let (old, new) = (connect(&server.url()).await.api(), connect(&younger.url()).await.api());
    for i in 0..10 {
        put(&old, "a", &i.to_string()).await;
    }
    put(&new, "b", "of a backup").await;
    let mut watcher = watcher(&far, &WatchParams::default());
    watcher.until_known(&[("a", "9")]).await;
    proxy.cut();
    server.stop();
    proxy.redirect(&younger.url());
    proxy.mend();
    watcher.until_known(&[("b", "of a backup")]).await;
    put(&new, "c", "1").await;
    watcher.until_known(&[("b", "of a backup"), ("c", "1")]).await;
    younger.stop();
}

#[tokio::test]
async fn an_object_that_stops_matching_is_a_delete_and_one_that_begins_to_is_an_apply() {
    let server = Server::start().await;
    let api = connect(&server.url()).await.api();
    put(&api, "a", "fire").await;
    put(&api, "b", "flood").await;
    let params = WatchParams { fields: Some("spec.reason=fire".to_owned()), ..WatchParams::default() };
    let mut watcher = watcher(&api, &params);
    watcher.until_known(&[("a", "fire")]).await;
    let named = WatchParams { name: Some("b".to_owned()), ..WatchParams::default() };
    let mut one = self::watcher(&api, &named);
    one.until_known(&[("b", "flood")]).await;

    put(&api, "a", "out").await;
    watcher.until_known(&[]).await;
    put(&api, "b", "fire").await;
    watcher.until_known(&[("b", "fire")]).await;
    put(&api, "a", "still out").await;
    remove(&api, "a").await;
    remove(&api, "b").await;
    watcher.until_known(&[]).await;
    assert_eq!(watcher.said, ["Init", "-a", "b=fire", "-b"]);
    one.until_known(&[]).await;
    assert_eq!(one.said.last().unwrap(), "-b");
    assert!(!one.said.iter().any(|s| s.contains("a=") || s == "-a"), "{:?}", one.said);
    assert!(api.watch(&WatchParams { labels: Some("a b".to_owned()), ..WatchParams::default() }).is_err());
}
