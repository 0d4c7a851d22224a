//! One leads, a deposed one cannot write, and who follows comes in time: on etcd and on the embedded store.

mod support;

use std::time::{Duration, Instant};

use kube::Resource;
use support::proxy::Proxy;
use support::server::Server;
use support::stops::{names, seconds, since, stop, stops};
use support::{PATIENCE, connect};
use wicap::store::election::{LEASE_TTL, campaign};
use wicap::store::{DeleteParams, Error, ListParams};

#[tokio::test]
async fn a_deposed_leader_cannot_write() {
    let server = Server::start().await;
    let (store, api) = stops(&server).await;
    let made = api.create(&stop("a", "r")).await.unwrap();
    let old = campaign(&store, "planner", "old").await;
    let made = api.replace_status(&since(made, 1), Some(&old.fence)).await.unwrap();
    // Its key is taken from it without its noticing.
    server.client().await.delete("/wicap.dev/leader/planner", None).await.unwrap();
    let new = campaign(&store, "planner", "new").await;
    assert!(new.fence.token > old.fence.token);
    let refused = |outcome: Result<(), Error>| {
        let Err(Error::Conflict { what }) = outcome else { panic!("{outcome:?}") };
        assert_eq!(what, "the leadership of planner");
    };
    refused(api.replace_status(&since(made.clone(), 2), Some(&old.fence)).await.map(|_| ()));
    refused(api.update_status(&made, &old.fence, |_, s| s.since = None).await.map(|_| ()));
    refused(
        api.delete_fenced(
            "a",
            &DeleteParams { resource_version: made.meta().resource_version.clone(), uid: None },
            &old.fence,
        )
        .await
        .map(|_| ()),
    );
    refused(api.finalized("a", "f", &old.fence).await);
    refused(store.transaction().fence(&old.fence).create(&stop("b", "r")).unwrap().commit().await.map(|_| ()));
    assert_eq!(seconds(&api.get("a").await.unwrap()), Some(1));
    api.replace_status(&since(made, 3), Some(&new.fence)).await.unwrap();
    assert_eq!(names(&api, ListParams::default()).await, ["a"]);
}

#[tokio::test]
async fn a_leader_whose_key_is_gone_learns_that_it_leads_no_more() {
    let server = Server::start().await;
    let store = connect(&server.url()).await;
    let leader = campaign(&store, "planner", "me").await;
    server.client().await.delete("/wicap.dev/leader/planner", None).await.unwrap();
    tokio::time::timeout(PATIENCE, leader.lost.cancelled()).await.expect("it learns of it");
}

#[tokio::test]
async fn one_of_three_candidates_leads_and_the_next_follows_at_once_when_it_resigns() {
    let server = Server::start().await;
    let store = connect(&server.url()).await;
    let mut candidates: Vec<_> = ["a", "b", "c"].into_iter().map(|who| Box::pin(campaign(&store, "planner", who))).collect();
    let mut token = 0;
    let mut slowest = Duration::ZERO;
    while !candidates.is_empty() {
        let asked = Instant::now();
        let (leader, _, mut rest) = futures::future::select_all(candidates).await;
        if token > 0 {
            slowest = slowest.max(asked.elapsed());
        }
        assert!(leader.fence.token > token);
        token = leader.fence.token;
        // The others have their turn to lead by mistake: a request of each comes and goes before ours does.
        for other in &mut rest {
            let early = tokio::time::timeout(Duration::from_millis(200), other).await;
            assert!(early.is_err(), "two lead at once");
        }
        leader.resign().await;
        candidates = rest;
    }
    assert!(slowest < LEASE_TTL / 2, "it took {slowest:?} to follow a leader that resigned");
}

#[tokio::test]
async fn a_leader_that_vanishes_is_followed_when_its_lease_runs_out_and_learns_of_it() {
    let server = Server::start().await;
    let proxy = Proxy::before(&server.url()).await;
    let (near, far) = (connect(&server.url()).await, connect(&proxy.url()).await);
    let vanished = campaign(&far, "planner", "far").await;
    proxy.cut();
    let cut = Instant::now();
    let successor = tokio::time::timeout(PATIENCE, campaign(&near, "planner", "near")).await.unwrap();
    let took = cut.elapsed();
    // It stops before its successor starts.
    assert!(vanished.lost.is_cancelled(), "two lead at once");
    assert!(took > LEASE_TTL / 3 && took < LEASE_TTL * 2, "{took:?}");
    assert!(successor.fence.token > vanished.fence.token);
}
