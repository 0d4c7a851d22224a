//! Snapshots of both stores: what `wicapctl store snapshot` writes is what etcd's own tool reads and `wicapd store restore` makes
//! the same store of; and what goes wrong leaves nothing behind.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use etcd_client::{Client, CompactionOptions, GetOptions, LeaseTimeToLiveOptions, PutOptions, Txn, TxnOp};
use serde_json::Value;
use support::proxy::{Lose, Proxy};
use support::server::{Embedded, Server, restore};
use support::{PATIENCE, wicapctl};

/// Seconds of the leases of these tests: longer than any of them takes.
const TTL: i64 = 600;

/// Keys with a history, some deleted, some written together, some with a lease, and a part of the history forgotten.
async fn fill(client: &mut Client) {
    for round in 0..5 {
        for key in 0..20 {
            client.put(format!("/wicap.dev/k/{key}"), format!("{round}"), None).await.unwrap();
        }
    }
    client.delete("/wicap.dev/k/3", None).await.unwrap();
    let options = CompactionOptions::new().with_physical();
    let now = client.get("x", None).await.unwrap().header().unwrap().revision();
    client.compact(now - 30, Some(options)).await.unwrap();
    let lease = client.lease_grant(TTL, None).await.unwrap().id();
    for event in 0..3 {
        let bound = PutOptions::new().with_lease(lease);
        client.put(format!("/wicap.dev/events/{event}"), vec![0, 255, event], Some(bound)).await.unwrap();
    }
    client.lease_grant(TTL + 1, None).await.unwrap();
    let together = [TxnOp::put("/wicap.dev/t/a", "1", None), TxnOp::put("/wicap.dev/t/b", "2", None)];
    client.txn(Txn::new().and_then(together)).await.unwrap();
    client.delete("/wicap.dev/k/4", None).await.unwrap();
    client.put("/wicap.dev/k/5", "last", None).await.unwrap();
}

/// Key, value, revisions of creation and change, version, lease.
type Key = (Vec<u8>, Vec<u8>, i64, i64, i64, i64);

/// Everything that two stores with the same content have in common.
#[derive(Debug, PartialEq)]
struct Content {
    revision: i64,
    hash: u32,
    compacted: i64,
    /// Key, value, revision of creation, of the last change, version, lease.
    keys: Vec<Key>,
    /// Identifier, seconds granted, keys.
    leases: Vec<(i64, i64, Vec<Vec<u8>>)>,
}

async fn content(client: &mut Client) -> Content {
    let options = GetOptions::new().with_prefix();
    let answer = client.get("/", Some(options)).await.unwrap();
    let fields = |kv: &etcd_client::KeyValue| {
        let (key, value) = (kv.key().to_vec(), kv.value().to_vec());
        (key, value, kv.create_revision(), kv.mod_revision(), kv.version(), kv.lease())
    };
    let hash = client.hash_kv(0).await.unwrap();
    let mut leases = Vec::new();
    for lease in client.leases().await.unwrap().leases() {
        let options = LeaseTimeToLiveOptions::new().with_keys();
        let lease = client.lease_time_to_live(lease.id(), Some(options)).await.unwrap();
        assert!(lease.ttl() > TTL / 2 && lease.ttl() <= lease.granted_ttl(), "{lease:?}");
        let mut keys = lease.keys().to_vec();
        keys.sort();
        leases.push((lease.id(), lease.granted_ttl(), keys));
    }
    leases.sort();
    Content {
        revision: answer.header().unwrap().revision(),
        hash: hash.hash(),
        compacted: hash.compact_version(),
        keys: answer.kvs().iter().map(fields).collect(),
        leases,
    }
}

fn status(file: &Path) -> Value {
    let output = Command::new("etcdctl").args(["snapshot", "status", "-w", "json"]).arg(file).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The names in a directory.
fn names(directory: &Path) -> Vec<String> {
    std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

async fn a_snapshot_is_the_same_store_again(server: Server) {
    let mut client = server.client().await;
    fill(&mut client).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.db");
    let said = wicapctl(&server.url(), &["store", "snapshot", file.to_str().unwrap()], "");
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");

    let before = content(&mut client).await;
    let length = std::fs::metadata(&file).unwrap().len();
    let status = status(&file);
    assert_eq!(status["revision"], before.revision);
    let rest = format!("{}: revision {}, ", file.display(), before.revision);
    let rest = said.out.strip_prefix(&rest).unwrap_or_else(|| panic!("{said:?}"));
    assert!(rest.ends_with(&format!(" versions of keys, {length} bytes\n")), "{said:?}");
    assert_eq!(names(directory.path()), ["a.db"]);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let mut restored = Embedded::restored(&file).await;
    let mut again = support::server::client(&restored.url()).await;
    assert_eq!(content(&mut again).await, before);
    let oldest = GetOptions::new().with_revision(before.compacted);
    let then =
        |mut client: Client| async move { client.get("/wicap.dev/k/7", Some(oldest)).await.unwrap().kvs()[0].clone() };
    let (ours, theirs) = (then.clone()(again.clone()).await, then(client).await);
    assert_eq!((ours.value(), ours.mod_revision()), (theirs.value(), theirs.mod_revision()));

    // A directory with a store is left alone, whether it is served or not.
    let refused = restore(&file, restored.data_dir());
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("in use"), "{refused:?}");
    restored.stop();
    let kept = std::fs::read(restored.data_dir().join("store.redb")).unwrap();
    let refused = restore(&file, restored.data_dir());
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("has no store"), "{refused:?}");
    assert!(std::fs::read(restored.data_dir().join("store.redb")).unwrap() == kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_etcd_is_the_same_store_again() {
    a_snapshot_is_the_same_store_again(Server::etcd().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_the_embedded_store_is_the_same_store_again() {
    a_snapshot_is_the_same_store_again(Server::embedded().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_there_is_never_replaced() {
    let server = Server::embedded().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.db");
    std::fs::write(&file, "precious").unwrap();
    let said = wicapctl(&server.url(), &["store", "snapshot", file.to_str().unwrap()], "");
    assert!(said.code == 4 && said.err.contains("is there"), "{said:?}");
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
    assert_eq!(names(directory.path()), ["a.db"]);

    // Nor is what another snapshot has begun.
    std::fs::rename(&file, directory.path().join("b.db.part")).unwrap();
    let file = directory.path().join("b.db");
    let said = wicapctl(&server.url(), &["store", "snapshot", file.to_str().unwrap()], "");
    assert!(said.code == 4 && said.err.contains("b.db.part is there"), "{said:?}");
    assert_eq!(names(directory.path()), ["b.db.part"]);
    let said = wicapctl(&server.url(), &["store", "snapshot", directory.path().join("no/c.db").to_str().unwrap()], "");
    assert_eq!(said.code, 1, "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_vanishes_midway_leaves_nothing() {
    for server in [Server::etcd().await, Server::embedded().await] {
        let mut client = server.client().await;
        for key in 0..8 {
            client.put(format!("/wicap.dev/a/{key}"), vec![b'.'; 1024 * 1024], None).await.unwrap();
        }
        // Again and again, so that it is whole in one of the proxy's buffers.
        client.put("/wicap.dev/b", "gone midway ".repeat(1000), None).await.unwrap();
        let proxy = Proxy::before(&server.url()).await;
        proxy.lose("gone midway", Lose::Message);
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.db");
        let (url, path) = (proxy.url(), file.to_str().unwrap().to_owned());
        let taking = tokio::task::spawn_blocking(move || wicapctl(&url, &["store", "snapshot", &path], ""));
        proxy.caught().await;
        let said = taking.await.unwrap();
        assert_eq!((said.code, said.out.as_str()), (3, ""), "{said:?}");
        assert_eq!(names(directory.path()), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_snapshot_leaves_nothing() {
    let server = Server::embedded().await;
    server.client().await.put("/wicap.dev/b", "never sent ".repeat(1000), None).await.unwrap();
    let proxy = Proxy::before(&server.url()).await;
    // The answer is lost and the connection stays: the command waits for what never comes.
    proxy.lose("Maintenance", Lose::Answer);
    let directory = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_wicapctl"))
        .args(["--store", &proxy.url(), "store", "snapshot"])
        .arg(directory.path().join("a.db"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = async {
        while names(directory.path()) != ["a.db.part"] {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    // Told to end before the request is out, it would end all the same.
    tokio::time::timeout(PATIENCE, begun).await.expect("the snapshot is begun");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert_eq!(names(directory.path()), Vec::<String>::new());
}
