//! `wicapctl store copy`: all objects from one store into another, both ways; a copy that is not whole is not there.

mod support;

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Instant;

use etcd_client::{Client, GetOptions, PutOptions, Txn, TxnOp};
use support::proxy::{Lose, Proxy};
use support::server::Server;
use support::{Said, wicapctl};
use wicap::api::MAX_OBJECT_BYTES;

/// Seconds of the leases of these tests: longer than any of them takes.
const TTL: i64 = 600;

/// Keys without what comes before `wicap.dev/`, with values, and leases.
type Held = BTreeMap<String, (Vec<u8>, i64)>;

async fn held(server: &Server, prefix: &str) -> Held {
    let mut kv = server.client().await.kv_client().max_decoding_message_size(usize::MAX);
    let answer = kv.get(format!("{prefix}/wicap.dev/"), Some(GetOptions::new().with_prefix())).await.unwrap();
    let own = |key: &str| key.strip_prefix(prefix).unwrap().to_owned();
    answer.kvs().iter().map(|kv| (own(kv.key_str().unwrap()), (kv.value().to_vec(), kv.lease()))).collect()
}

fn values(held: &Held) -> BTreeMap<&str, &[u8]> {
    held.iter().map(|(key, (value, _))| (key.as_str(), value.as_slice())).collect()
}

async fn put(client: &mut Client, key: &str, value: impl Into<Vec<u8>>) {
    client.put(key, value, None).await.unwrap();
}

async fn bound(client: &mut Client, lease: i64, key: &str) {
    client.put(key, key, Some(PutOptions::new().with_lease(lease))).await.unwrap();
}

/// Objects, four Events on two leases, and a leader.
async fn fill(server: &Server, prefix: &str) {
    let mut client = server.client().await;
    let at = |key: &str| format!("{prefix}/wicap.dev/{key}");
    for i in 0..150 {
        put(&mut client, &at(&format!("wicapstacks/s{i}")), format!("spec {i}")).await;
        put(&mut client, &at(&format!("wicapstacks.status/s{i}")), vec![0, 255, i]).await;
    }
    put(&mut client, &at("zebras/z"), "after the leaders").await;
    put(&mut client, &format!("{prefix}/wicap.devil/x"), "not ours").await;
    for event in ["a", "b"] {
        let lease = client.lease_grant(TTL, None).await.unwrap().id();
        bound(&mut client, lease, &at(&format!("events/{event}1"))).await;
        bound(&mut client, lease, &at(&format!("events/{event}2"))).await;
    }
    let lease = client.lease_grant(TTL, None).await.unwrap().id();
    bound(&mut client, lease, &at("leader/gc")).await;
}

fn copy(from: &str, to: &str, more: &[&str]) -> Said {
    wicapctl("http://127.0.0.1:1", &[&["store", "copy", "--from", from, "--to", to], more].concat(), "")
}

/// Copies, and compares all that there is.
async fn copied(source: &Server, from: &str, target: &Server, to: &str) {
    fill(source, from).await;
    let before = held(source, from).await;
    let (source_url, target_url) = (format!("{}{from}", source.url()), format!("{}{to}", target.url()));

    let said = copy(&source_url, &target_url, &["--dry-run"]);
    assert!(said.code == 0 && said.out.contains("305 keys, ") && said.out.contains("would be copied"), "{said:?}");
    assert!(held(target, to).await.is_empty());

    let said = copy(&source_url, &target_url, &[]);
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
    assert!(said.out.contains("305 keys, ") && said.out.contains("2 leases copied from"), "{said:?}");
    assert!(said.out.contains("left out: 1 keys of leaders, 0 keys"), "{said:?}");
    assert_eq!(said.out.matches(" at revision ").count(), 2, "{said:?}");

    let (after, mut expected) = (held(target, to).await, before.clone());
    expected.remove("/wicap.dev/leader/gc").unwrap();
    assert_eq!(values(&after), values(&expected));
    assert_eq!(held(source, from).await, before);

    // One lease for each of the source's, with the time that it has left.
    let lease = |event: &str| after[&format!("/wicap.dev/events/{event}")].1;
    assert!(lease("a1") == lease("a2") && lease("b1") == lease("b2") && lease("a1") != lease("b1"));
    assert!(after.iter().all(|(key, (_, lease))| (*lease != 0) == key.contains("/events/")));
    let ttl = target.client().await.lease_time_to_live(lease("a1"), None).await.unwrap();
    assert!(ttl.granted_ttl() <= TTL && ttl.ttl() > TTL / 2, "{ttl:?}");

    // A second copy finds the target in use, and touches nothing.
    let said = copy(&source_url, &target_url, &[]);
    assert!(said.code == 4 && said.err.contains(&format!("it holds {to}/wicap.dev/events/a1")), "{said:?}");
    assert_eq!(held(target, to).await, after);
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_moves_into_the_embedded_store() {
    copied(&Server::etcd().await, "", &Server::embedded().await, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_store_moves_into_etcd() {
    copied(&Server::embedded().await, "", &Server::etcd().await, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_is_taken_off_and_put_on() {
    let (etcd, embedded) = (Server::etcd().await, Server::embedded().await);
    put(&mut etcd.client().await, "/wicap.dev/wicapstacks/other", "another installation's").await;
    copied(&etcd, "/team/one", &embedded, "").await;
    let one = Server::embedded().await;
    copied(&one, "", &etcd, "/team/two").await;
    assert_eq!(held(&etcd, "").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn there_must_be_something_to_copy() {
    let (etcd, embedded) = (Server::etcd().await, Server::embedded().await);
    let said = copy(&etcd.url(), &embedded.url(), &[]);
    assert!(said.code == 1 && said.err.contains("nothing to copy"), "{said:?}");
    let said = copy("http://127.0.0.1:1", &embedded.url(), &[]);
    assert_eq!(said.code, 3, "{said:?}");
}

/// Copies, and writes that key of the source meanwhile; says what came of it and what is on the target then.
async fn copied_while_written(key: &'static str) -> (Said, Held) {
    let (source, target) = (Server::embedded().await, Server::etcd().await);
    fill(&source, "").await;
    let mut client = source.client().await;
    put(&mut client, key, "before").await;
    let proxy = Proxy::before(&target.url()).await;
    proxy.lose("after the leaders", Lose::Time);
    let (from, to) = (source.url(), proxy.url());
    let copying = tokio::task::spawn_blocking(move || copy(&from, &to, &[]));
    proxy.caught().await;
    put(&mut client, key, "meanwhile").await;
    proxy.release();
    (copying.await.unwrap(), held(&target, "").await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_changes_is_found_out_and_nothing_is_left() {
    let (said, left) = copied_while_written("/wicap.dev/wicapstacks/s7").await;
    assert!(said.code == 4 && said.err.contains("wicapstacks/s7 was changed"), "{said:?}");
    assert!(said.err.contains("stop the controllers first") && said.err.contains("305 keys written"), "{said:?}");
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn leaders_may_come_and_go() {
    let (said, copied) = copied_while_written("/wicap.dev/leader/planner").await;
    assert_eq!((said.code, copied.len()), (0, 305), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_lost_undoes_the_copy() {
    for lose in [Lose::Request, Lose::Answer] {
        let (source, target) = (Server::embedded().await, Server::etcd().await);
        fill(&source, "").await;
        let proxy = Proxy::before(&target.url()).await;
        proxy.lose("after the leaders", lose);
        let (from, to) = (source.url(), proxy.url());
        let said = tokio::task::spawn_blocking(move || copy(&from, &to, &[])).await.unwrap();
        let left = held(&target, "").await;
        assert!(said.code == 3 && said.err.contains("removed again"), "{said:?}");
        assert!(left.is_empty(), "{} keys are left", left.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_objects_are_copied() {
    for (source, target) in
        [(Server::etcd().await, Server::embedded().await), (Server::embedded().await, Server::etcd().await)]
    {
        let mut client = source.client().await;
        for i in 0_u8..40 {
            put(&mut client, &format!("/wicap.dev/wicapstacks/big{i}"), vec![i; MAX_OBJECT_BYTES]).await;
        }
        let began = Instant::now();
        let said = copy(&source.url(), &target.url(), &[]);
        assert!(said.code == 0 && said.out.contains("40 keys"), "{said:?}");
        eprintln!("40 objects of 1 MiB in {:?}", began.elapsed());
        assert!(values(&held(&target, "").await) == values(&held(&source, "").await));
    }
}

async fn fill_with_three_thousand(server: &Server) {
    let mut client = server.client().await;
    for i in 0..30 {
        let one = |j: i32| TxnOp::put(format!("/wicap.dev/wicapstacks/s{i}-{j}"), format!("{i} {j}").repeat(200), None);
        client.txn(Txn::new().and_then((0..100).map(one).collect::<Vec<_>>())).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_thousand_objects_are_copied() {
    for (source, target) in
        [(Server::etcd().await, Server::embedded().await), (Server::embedded().await, Server::etcd().await)]
    {
        fill_with_three_thousand(&source).await;
        let began = Instant::now();
        let said = copy(&source.url(), &target.url(), &[]);
        assert!(said.code == 0 && said.out.contains("3000 keys"), "{said:?}");
        eprintln!("3,000 objects in {:?}", began.elapsed());
        assert!(values(&held(&target, "").await) == values(&held(&source, "").await));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_copy_leaves_nothing() {
    let (source, target) = (Server::etcd().await, Server::embedded().await);
    fill_with_three_thousand(&source).await;
    let proxy = Proxy::before(&target.url()).await;
    proxy.lose("wicapstacks/s15-", Lose::Time);
    let copying = Command::new(env!("CARGO_BIN_EXE_wicapctl"))
        .args(["store", "copy", "--from", &source.url(), "--to", &proxy.url()])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    proxy.caught().await;
    rustix::process::kill_process(rustix::process::Pid::from_child(&copying), rustix::process::Signal::INT).unwrap();
    proxy.release();
    let output = tokio::task::spawn_blocking(|| copying.wait_with_output()).await.unwrap().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("were removed again") && err.contains("error: interrupted"), "{err}");
    assert!(held(&target, "").await.is_empty());
}
