//! Whatever was changed is on record, in the order in which it was, and a record that was touched is found out.

mod support;

use std::collections::HashMap;
use std::io::BufRead;
use std::process::{Command, Stdio};

use serde_json::Value;
use support::scene::Scene;
use support::server::Server;
use support::stops::{since, stop};
use support::{Daemon, PATIENCE, Said, connect, until_settled, wicapctl};
use tokio::task::JoinSet;
use wicap::api::Object;
use wicap::api::stop::EmergencyStop;
use wicap::store::StoreUrl;
use wicap::store::audit::record::{Verb, digest};
use wicap::store::audit::{Lane, Proof, Record};
use wicap::store::election::campaign;

/// `audit verify`, with segments in that directory.
fn verify(url: &str, data_dir: &std::path::Path) -> Said {
    wicapctl(url, &["audit", "verify", "--data-dir", data_dir.to_str().unwrap()], "")
}

fn records(url: &str, data_dir: &std::path::Path) -> Vec<Record> {
    let said = wicapctl(url, &["audit", "export", "--data-dir", data_dir.to_str().unwrap()], "");
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
    said.out.lines().map(|line| Record::decode(line.as_bytes()).unwrap()).collect()
}

/// Writes of people and of leaders, from connections that know nothing of each other.
async fn write_from_all_sides(url: &str, rounds: usize) {
    let mut writers = JoinSet::new();
    for writer in 0..4 {
        let store = connect(url).await;
        writers.spawn(async move {
            let stops = store.api::<EmergencyStop>();
            for n in 0..rounds {
                stops.create(&stop(&format!("w{writer}-{n}"), "first")).await.unwrap();
                stops.delete(&format!("w{writer}-{n}"), &wicap::store::DeleteParams::default()).await.unwrap();
            }
        });
        let store = connect(url).await;
        writers.spawn(async move {
            let leadership = campaign(&store, &format!("tester{writer}"), "here").await;
            let stops = store.api::<EmergencyStop>();
            let mut stop = stops.create(&stop(&format!("c{writer}"), "first")).await.unwrap();
            for n in 0..rounds {
                stop = since(stop, i64::try_from(n).unwrap());
                stop = stops.replace_status(&stop, Some(&leadership.fence)).await.unwrap();
            }
            leadership.resign().await;
        });
    }
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_many_writers_at_once_are_one_chain_a_lane() {
    let server = Server::start().await;
    let directory = tempfile::tempdir().unwrap();
    let rounds = 25;
    write_from_all_sides(&server.url(), rounds).await;
    let said = verify(&server.url(), directory.path());
    assert_eq!(said.code, 0, "{said:?}");
    let all = records(&server.url(), directory.path());
    let of = |lane: Lane| all.iter().filter(|r| r.lane == lane).count();
    assert_eq!((of(Lane::Intent), of(Lane::Control)), (4 * (2 * rounds + 1), 4 * rounds));
    for n in 0..rounds {
        let name = format!("w3-{n}");
        let verbs: Vec<Verb> = all.iter().filter(|r| r.object.name == name).map(|r| r.verb).collect();
        assert_eq!(verbs, [Verb::Create, Verb::Delete]);
    }
    let leader = all.iter().find(|r| r.lane == Lane::Control).unwrap();
    assert_eq!((leader.actor.proof.clone(), leader.actor.process.as_deref()), (Proof::Leader, Some("here")));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_of_a_recovery_is_on_record_with_what_it_changed() {
    let scene = Scene::new("audit", &[], |_| {}, |_| {}).await;
    scene.kill("processor");
    let run = scene.asked_for().await;
    until_settled(&scene.store).await;
    let directory = tempfile::tempdir().unwrap();
    let said = verify(&scene.url, directory.path());
    assert_eq!(said.code, 0, "{said:?}");
    let all = records(&scene.url, directory.path());

    // What one record says was stored is what the next one of that half found there, and what the last one left is there now.
    let mut halves: HashMap<(String, String, bool), Option<String>> = HashMap::new();
    for record in all.iter().filter(|r| r.lane == Lane::Control).chain(all.iter().filter(|r| r.lane == Lane::Intent)) {
        let half = (record.object.kind.clone(), record.object.name.clone(), record.verb == Verb::UpdateStatus);
        let known = halves.insert(half, record.after.clone()).flatten();
        assert_eq!(record.before, known, "{record:?}");
    }
    let mut client = support::server::client(&scene.url).await;
    for ((kind, name, status), after) in &halves {
        let plural = wicap::api::registry::find(kind).unwrap().plural;
        let half = if *status { ".status" } else { "" };
        let key = format!("/wicap.dev/{plural}{half}/{name}");
        let stored = client.get(key.clone(), None).await.unwrap();
        let now = stored.kvs().first().map(|kv| digest(kv.value()));
        assert_eq!(*after, now, "{key}");
    }

    let of_run: Vec<String> = all
        .iter()
        .filter(|r| r.object.name == run.name())
        .map(|r| format!("{} {} {}", r.actor.name, r.verb, r.phase.as_deref().unwrap_or("-")))
        .collect();
    let actuator = all.iter().find(|r| r.actor.name.starts_with("actuator.")).unwrap().actor.name.clone();
    let expected = ["planner Create -".to_owned(), format!("{actuator} UpdateStatus Running")];
    assert_eq!(of_run[..2], expected, "{of_run:#?}");
    assert_eq!(*of_run.last().unwrap(), format!("{actuator} UpdateStatus Succeeded"), "{of_run:#?}");
    let claim = all.iter().find(|r| r.object.name == run.name() && r.phase.as_deref() == Some("Running")).unwrap();
    assert!(claim.decision.as_ref().unwrap().allowed && claim.actor.proof == Proof::Leader);
    // The session's count was raised in the very transaction, so the two records are neighbours.
    let counted = all.iter().find(|r| r.lane == Lane::Control && r.seq == claim.seq + 1).unwrap();
    assert_eq!((counted.object.kind.as_str(), counted.time), ("ControlSession", claim.time));
    let session = all.iter().find(|r| r.object.kind == "ControlSession" && r.verb == Verb::Create).unwrap();
    // Only a unix socket knows who is at its other end.
    let local = scene.url.parse::<StoreUrl>().unwrap().is_local();
    let proof = if local { Proof::Uid(rustix::process::geteuid().as_raw()) } else { Proof::Claimed };
    assert_eq!((session.lane, session.actor.proof.clone()), (Lane::Intent, proof));
    assert!(session.actor.name.contains('@'), "{session:?}");

    let shown = scene.ctl(&["audit", "list", "--object", &format!("action/{}", run.name()), "--verb", "create"]);
    assert_eq!(shown.out.lines().count(), 2, "{shown:?}");
    assert!(shown.out.contains("planner") && shown.out.contains(run.name()), "{shown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn old_records_move_to_files_and_the_chain_goes_through_both() {
    let server = Server::start().await;
    let url = server.url();
    let directory = tempfile::tempdir().unwrap();
    write_from_all_sides(&url, 10).await;
    let before = records(&url, directory.path());
    let data_dir = directory.path().to_str().unwrap();
    let arguments = ["--controllers", "audit", "--audit-keep", "20", "--data-dir", data_dir];
    let mut daemon = Daemon::start(&url, directory.path(), &arguments);
    let store = connect(&url).await;
    let small = async {
        while store.audit().count(Lane::Intent).await.unwrap() >= 30
            || store.audit().count(Lane::Control).await.unwrap() >= 30
        {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, small).await.expect("records are moved in time");
    assert_eq!(daemon.end().await, Some(0));
    assert!(store.audit().count(Lane::Intent).await.unwrap() >= 20);
    assert_eq!(records(&url, directory.path()), before, "nothing is lost, nothing is twice");
    let whole = verify(&url, directory.path());
    assert_eq!(whole.code, 0, "{whole:?}");
    let head = whole.out.lines().next().unwrap().rsplit(' ').next().unwrap().to_owned();
    let noted = wicapctl(&url, &["audit", "verify", "--data-dir", data_dir, "--head", &head], "");
    assert_eq!(noted.code, 0, "{noted:?}");

    // A segment less, a segment that was touched, and one that was written anew.
    let segments = wicap::audit::segment::list(directory.path(), Lane::Intent).unwrap();
    assert!(segments.len() > 2, "{segments:?}");
    let kept = std::fs::read(&segments[1].path).unwrap();
    let mut touched = kept.clone();
    let middle = touched.len() / 2;
    touched[middle] ^= 1;
    std::fs::write(&segments[1].path, touched).unwrap();
    let said = verify(&url, directory.path());
    assert_eq!(said.code, 1);
    assert!(said.out.contains("cannot be read") && said.out.contains(segments[1].path.to_str().unwrap()), "{said:?}");
    std::fs::remove_file(&segments[1].path).unwrap();
    let said = verify(&url, directory.path());
    let missing = format!("intent: records {} to {} missing", segments[1].first, segments[1].last);
    assert!(said.code == 1 && said.out.contains(&missing) && said.err.contains(data_dir), "{said:?}");
    let mut lines = Vec::new();
    std::fs::write(&segments[1].path, &kept).unwrap();
    segments[1].read(|_, line| lines.push(line.to_vec())).unwrap();
    let mut forged = Record::decode(&lines[3]).unwrap();
    forged.actor.name = "nobody@nowhere".into();
    lines[3] = forged.clone().sealed().encode();
    let range = (segments[1].first, segments[1].last);
    wicap::audit::segment::write(directory.path(), Lane::Intent, range, lines.iter().map(Vec::as_slice)).unwrap();
    let said = verify(&url, directory.path());
    let replaced = format!("intent: record {} was replaced", forged.seq);
    assert!(said.code == 1 && said.out.contains(&replaced), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_was_touched_in_the_store_is_named_and_the_log_goes_on() {
    let server = Server::start().await;
    let url = server.url();
    let directory = tempfile::tempdir().unwrap();
    write_from_all_sides(&url, 5).await;
    let mut client = server.client().await;
    let key = |seq: u64| format!("/wicap.dev/audit/intent/{seq:020}");
    let found = |what: &str, expected: &str| {
        let said = verify(&url, directory.path());
        assert!(said.code == 1 && said.out.contains(expected), "{what}: {said:?}");
        let json = wicapctl(&url, &["audit", "verify", "-o", "json"], "");
        let json: Value = serde_json::from_str(&json.out).unwrap();
        assert_eq!(json["whole"], false, "{json}");
    };
    let stored = client.get(key(7), None).await.unwrap().take_kvs().remove(0);
    let text = String::from_utf8(stored.value().to_vec()).unwrap();
    client.put(key(7), text.replace("Create", "Delete").replace("EmergencyStop", "ActionRun"), None).await.unwrap();
    found("altered", "intent: record 7 was altered");
    let listed = wicapctl(&url, &["audit", "list"], "");
    assert_eq!(listed.code, 0, "{listed:?}");
    client.delete(key(7), None).await.unwrap();
    found("missing", "intent: record 7 missing");
    client.put(key(7), text, None).await.unwrap();
    assert_eq!(verify(&url, directory.path()).code, 0);

    // Whoever destroys the head keeps nobody from stopping, and it is found out.
    let head = "/wicap.dev/audit-head/intent";
    client.put(head, "{}", None).await.unwrap();
    found("no head", "intent: the head is missing");
    let stopped = wicapctl(&url, &["stop", "--all", "--reason", "a test"], "");
    assert_eq!(stopped.code, 0, "{stopped:?}");
    let last = records(&url, directory.path()).into_iter().rfind(|r| r.lane == Lane::Intent).unwrap();
    assert_eq!((last.object.name.as_str(), last.verb), ("all", Verb::Create));
    assert_eq!(verify(&url, directory.path()).code, 0);
    // A head that points back makes nobody overwrite what is there.
    let earlier = records(&url, directory.path()).into_iter().find(|r| r.lane == Lane::Intent && r.seq == 3).unwrap();
    let back = serde_json::json!({"seq": 3, "hash": earlier.hash}).to_string();
    client.put(head, back, None).await.unwrap();
    found("a head set back", "intent: the head names record 3");
    assert_eq!(wicapctl(&url, &["resume", "--all"], "").code, 0);
    let resumed = records(&url, directory.path()).into_iter().rfind(|r| r.lane == Lane::Intent).unwrap();
    assert_eq!((resumed.verb, resumed.seq), (Verb::Delete, last.seq + 1));
    assert_eq!(verify(&url, directory.path()).code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_follows_the_log_sees_each_record_once() {
    let server = Server::start().await;
    let url = server.url();
    let store = connect(&url).await;
    let stops = store.api::<EmergencyStop>();
    stops.create(&stop("before", "x")).await.unwrap();
    let mut follower = Command::new(env!("CARGO_BIN_EXE_wicapctl"))
        .args(["--store", &url, "audit", "list", "--follow", "-o", "json"])
        .env_remove("WICAP_STORE")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufReader::new(follower.stdout.take().unwrap()).lines();
    let mut next = || Record::decode(lines.next().unwrap().unwrap().as_bytes()).unwrap().object.name;
    assert_eq!(next(), "before");
    for n in 0..20 {
        stops.create(&stop(&format!("s{n}"), "x")).await.unwrap();
    }
    for n in 0..20 {
        assert_eq!(next(), format!("s{n}"));
    }
    follower.kill().unwrap();
    follower.wait().unwrap();
}
