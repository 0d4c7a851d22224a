//! Who may write what on an etcd with authentication: each controller does its work in its own role, an operator theirs, and
//! what is not theirs is refused, whichever way they try.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use etcd_client::{
    Client, DeleteOptions, EventType, GetOptions, Permission, PermissionType, PutOptions, Txn, TxnOp, UserAddOptions,
    WatchOptions,
};
use futures::StreamExt;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};
use support::docker::docker;
use support::guarded::{Guarded, ROOT, newest_etcd};
use support::server::Embedded;
use support::{Daemon, Example, PATIENCE, Said, action_runs, available, phase, until, wicapctl};
use wicap::api::Object;
use wicap::api::action::{ActionPhase, ActionRun};
use wicap::api::approval::Approval;
use wicap::api::elevation::Elevation;
use wicap::api::registry::kinds;
use wicap::api::soak::SoakRun;
use wicap::api::stack::WicapStack;
use wicap::store::audit::Record;
use wicap::store::roles::Role;
use wicap::store::{Store, WatchParams};

const OPERATOR: &str = "wicap-operator";
const VIEWER: &str = "wicap-viewer";

/// Who has a certificate of the right authority, and is nobody's user.
const STRANGER: &str = "stranger";

fn user(role: Role) -> String {
    format!("wicap-{}", role.as_str())
}

fn done(said: Said) {
    assert_eq!(said.code, 0, "{said:?}");
}

/// The first action that is in that phase.
async fn run_in(store: &Store, wanted: ActionPhase) -> ActionRun {
    let mut events = store.api::<ActionRun>().watch(&WatchParams::default()).unwrap();
    let waiting = async {
        while let Some(event) = events.next().await {
            if let Ok(Event::Apply(run) | Event::InitApply(run)) = event
                && phase(&run) == wanted
            {
                return run;
            }
        }
        unreachable!("a watch does not end")
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("no action was ever {wanted:?}"))
}

/// Waits until a key is deleted, now or earlier.
async fn until_gone(client: &mut Client, key: &str) {
    let found = client.get(key, None).await.unwrap();
    if found.kvs().is_empty() {
        return;
    }
    let options = WatchOptions::new().with_start_revision(found.header().unwrap().revision() + 1);
    let mut changes = client.watch(key, Some(options)).await.unwrap();
    let waiting = async {
        while let Some(response) = changes.message().await.unwrap() {
            if response.events().iter().any(|e| e.event_type() == EventType::Delete) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{key} is still there"));
}

/// A role's ranges that it may write, as etcd knows them.
async fn writable(client: &mut Client, role: &str) -> Vec<Permission> {
    let mut permissions = client.role_get(role).await.unwrap().permissions();
    permissions.retain(|p| p.get_type() != i32::from(PermissionType::Read));
    permissions
}

fn covers(permission: &Permission, key: &[u8]) -> bool {
    match permission.range_end() {
        [] => permission.key() == key,
        end => permission.key() <= key && key < end,
    }
}

/// Every key that was ever changed, by revision, with what was put there.
async fn history(client: &mut Client) -> BTreeMap<i64, Vec<(Vec<u8>, Vec<u8>)>> {
    let end = client.put("/end", "", None).await.unwrap().header().unwrap().revision();
    let options = WatchOptions::new().with_prefix().with_start_revision(1);
    let mut changes = client.watch("/", Some(options)).await.unwrap();
    let mut all = BTreeMap::<i64, Vec<_>>::new();
    while !all.contains_key(&end) {
        for event in changes.message().await.unwrap().unwrap().events() {
            let kv = event.kv().unwrap();
            all.entry(kv.mod_revision()).or_default().push((kv.key().to_vec(), kv.value().to_vec()));
        }
    }
    all.remove(&end);
    all
}

/// Holds what each transaction with a record changed against the role of whoever the record names: an etcd that does not look into
/// transactions would let them do anything. Returns who it was.
async fn check_records(client: &mut Client) -> BTreeSet<String> {
    let mut writers = BTreeSet::new();
    for (revision, changes) in history(client).await {
        let record = changes.iter().find(|(key, value)| key.starts_with(b"/wicap.dev/audit/") && !value.is_empty());
        let Some((key, value)) = record else { continue };
        let name = if key.starts_with(b"/wicap.dev/audit/intent/") {
            "operator".to_owned()
        } else {
            Record::decode(value).unwrap().actor.name.split('.').next().unwrap().to_owned()
        };
        let permissions = writable(client, &format!("wicap-{name}")).await;
        for (key, _) in &changes {
            let shown = String::from_utf8_lossy(key);
            assert!(permissions.iter().any(|p| covers(p, key)), "{name} wrote {shown} at {revision}");
        }
        writers.insert(name);
    }
    writers
}

#[tokio::test(flavor = "multi_thread")]
async fn each_controller_does_its_work_in_its_own_role_and_an_operator_in_theirs() {
    let (guarded, _) = Guarded::guarding().await;
    let example = Example::new("roles");
    example.compose(&["up", "--detach", "redis", "scout", "processor", "ui"]);
    let store = guarded.store(VIEWER).await;
    let mut root = guarded.client(ROOT).await;
    let start = |name: &&str| guarded.daemon(name, example.path(), &[]);
    let mut daemons: Vec<Daemon> =
        ["observer", "planner", "actuator", "session", "policy", "soak", "gc"].iter().map(start).collect();

    let mut policy = example.policy();
    policy["spec"]["allow"] = json!([{"actions": ["*"]}]);
    let mut night = example.session("night", "Assist");
    night["spec"]["maxTier"] = "Destructive".into();
    night["spec"]["allowedActions"] = json!(["start_service", "compose_up", "compose_down_volumes"]);
    night["spec"]["approval"] = json!({"caution": "Ask", "destructive": "Auto", "timeout": "1h"});
    done(guarded.apply(OPERATOR, &[example.stack(|_| {}), policy, night]));
    until::<WicapStack>(&store, "wicap", "Available", available).await;
    done(guarded.apply(OPERATOR, &[example.soak(3)]));
    until::<SoakRun>(&store, "soak", "Completed", |s| s.status.as_ref().is_some_and(|s| s.verdict.is_some())).await;

    // Observed, planned, asked for, agreed to, claimed, done, verified.
    docker(&["kill", &example.container("processor")]);
    let run = run_in(&store, ActionPhase::AwaitingApproval).await;
    done(guarded.ctl(OPERATOR, &["approve", run.name()]));
    let ended = until::<ActionRun>(&store, run.name(), "ended", |r| phase(r).is_final()).await;
    assert_eq!(phase(&ended), ActionPhase::Succeeded, "{ended:#?}");
    until::<WicapStack>(&store, "wicap", "Available again", available).await;
    let answer = store.api::<Approval>().get(run.name()).await.unwrap();
    assert!(answer.status.is_some_and(|s| s.used), "what is used up is counted in the claim");

    // The same for an override, of what an operator asks for by hand.
    let elevation = json!({
        "apiVersion": "wicap.dev/v1alpha1", "kind": "Elevation", "metadata": {"name": "reset"},
        "spec": {"session": "night", "action": "compose_down_volumes", "approver": "bob@host", "reason": "a test", "ttl": "1h"},
    });
    let by_hand = json!({
        "apiVersion": "wicap.dev/v1alpha1", "kind": "ActionRun", "metadata": {"name": "by-hand"},
        "spec": {"stack": "wicap", "action": "compose_down_volumes", "target": "", "session": "night",
            "cause": {"kind": "Operator", "summary": "a test"}},
    });
    done(guarded.apply(OPERATOR, &[elevation, by_hand]));
    let ended = until::<ActionRun>(&store, "by-hand", "ended", |r| phase(r).is_final()).await;
    assert_eq!(phase(&ended), ActionPhase::Succeeded, "{ended:#?}");
    assert_eq!(store.api::<Elevation>().get("reset").await.unwrap().uses(), 1);

    // A stop, and back. What an operator deletes goes at once, and what a controller has said of it soon after.
    done(guarded.ctl(OPERATOR, &["stop", "--all", "--reason", "a test"]));
    done(guarded.ctl(OPERATOR, &["resume", "--all"]));
    done(guarded.ctl(OPERATOR, &["delete", "soakrun", "soak"]));
    until_gone(&mut root, "/wicap.dev/soakruns.status/soak").await;
    done(guarded.ctl(OPERATOR, &["delete", "actionrun", run.name()]));
    // Its answer is owned by it.
    until_gone(&mut root, &format!("/wicap.dev/approvals/{}", run.name())).await;
    until_gone(&mut root, &format!("/wicap.dev/approvals.status/{}", run.name())).await;

    // Old records leave the store, of both lanes, and the log is whole.
    let data_dir = guarded.path().join("data-dir");
    let place = data_dir.to_str().unwrap();
    daemons.push(guarded.daemon("audit", example.path(), &["--audit-keep", "4", "--data-dir", place]));
    for lane in ["intent", "control"] {
        until_gone(&mut root, &format!("/wicap.dev/audit/{lane}/{:020}", 1)).await;
    }
    for user in [OPERATOR, VIEWER] {
        done(guarded.ctl(user, &["audit", "verify", "--data-dir", place]));
    }
    for daemon in &mut daemons {
        assert_eq!(daemon.end().await, Some(0));
        let logged = daemon.logged();
        let refused: Vec<_> = logged
            .lines()
            .filter(|line| line.contains("permission denied") || line.contains("refused the request"))
            .collect();
        assert!(refused.is_empty(), "{refused:#?}");
    }
    let left = root.get("/wicap.dev/leader/", Some(GetOptions::new().with_prefix().with_keys_only())).await.unwrap();
    assert_eq!(left.kvs().len(), 0, "each has given its leadership up");
    let writers = check_records(&mut root).await;
    assert_eq!(writers, ["actuator", "gc", "operator", "planner", "policy", "session", "soak"].map(str::to_owned).into());
    assert!(!action_runs(&store).await.is_empty());
}

/// A way to write a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Put,
    PutPrevious,
    Delete,
    InTransaction,
    DeleteInTransaction,
    Nested,
    NestedDelete,
    NestedElse,
}

impl Way {
    const PLAIN: [Self; 5] = [Self::Put, Self::PutPrevious, Self::Delete, Self::InTransaction, Self::DeleteInTransaction];
    const NESTED: [Self; 3] = [Self::Nested, Self::NestedDelete, Self::NestedElse];

    async fn write(self, client: &mut Client, key: &str) -> Result<(), etcd_client::Error> {
        let put = || [TxnOp::put(key, "forged", None)];
        let delete = || [TxnOp::delete(key, None)];
        let inside = |inner: Txn| Txn::new().and_then([TxnOp::txn(inner)]);
        let txn = match self {
            Self::Put => return client.put(key, "forged", None).await.map(drop),
            Self::PutPrevious => {
                return client.put(key, "forged", Some(PutOptions::new().with_prev_key())).await.map(drop);
            }
            Self::Delete => return client.delete(key, None).await.map(drop),
            Self::InTransaction => Txn::new().and_then(put()),
            Self::DeleteInTransaction => Txn::new().and_then(delete()),
            Self::Nested => inside(Txn::new().and_then(put())),
            Self::NestedDelete => inside(Txn::new().and_then(delete())),
            Self::NestedElse => Txn::new().or_else([TxnOp::txn(Txn::new().or_else(put()))]),
        };
        client.txn(txn).await.map(drop)
    }
}

fn is_denied<T: std::fmt::Debug>(outcome: &Result<T, etcd_client::Error>) -> bool {
    matches!(outcome, Err(etcd_client::Error::GRpcStatus(s)) if s.code() == tonic::Code::PermissionDenied)
}

/// Each key with who may write it.
fn territory() -> Vec<(String, BTreeSet<&'static str>)> {
    let mut all = vec![
        ("audit/intent/00000000000000000001", "operator audit"),
        ("audit/control/00000000000000000001", "planner actuator session policy soak signals snapshot schedule audit gc"),
        ("audit-head/intent", "operator"),
        ("audit-head/control", "planner actuator session policy soak signals snapshot schedule gc"),
        ("events/wicapstack.a.0", "observer planner actuator session soak signals snapshot schedule"),
        ("leader/observer.here", "observer"),
        ("leader/actuator.here", "actuator"),
        ("leader/planner", "planner"),
        ("leader/session", "session"),
        ("leader/policy", "policy"),
        ("leader/soak.here", "soak"),
        ("leader/signals.here", "signals"),
        ("leader/snapshot.here", "snapshot"),
        ("leader/schedule", "schedule"),
        ("leader/audit", "audit"),
        ("leader/gc", "gc"),
        ("anything/else", ""),
    ];
    let statuses = [
        ("wicapstacks.status/a", "observer planner gc"),
        ("controlsessions.status/a", "actuator session gc"),
        ("controlpolicies.status/a", "policy gc"),
        ("elevations.status/a", "actuator gc"),
        ("actionruns.status/a", "actuator gc"),
        ("approvals.status/a", "actuator gc"),
        ("emergencystops.status/a", "gc"),
        ("soakruns.status/a", "soak gc"),
        ("scheduledsoaks.status/a", "schedule gc"),
        ("incidents.status/a", "planner soak signals gc"),
        ("logreports.status/a", "signals gc"),
        ("snapshots.status/a", "snapshot gc"),
    ];
    assert_eq!(statuses.len(), kinds().len(), "a kind that is added is to say who writes it");
    all.extend(statuses);
    let mut all: Vec<(String, &str)> = all.into_iter().map(|(key, who)| (key.to_owned(), who)).collect();
    for kind in kinds() {
        let who = match kind.plural {
            "actionruns" => "operator planner soak gc",
            "soakruns" => "operator schedule gc",
            "incidents" => "operator planner soak signals gc",
            "logreports" => "operator signals gc",
            "snapshots" => "operator snapshot gc",
            _ => "operator gc",
        };
        all.push((format!("{}/a", kind.plural), who));
    }
    let mut all: Vec<_> = all.into_iter().map(|(key, who)| (format!("/wicap.dev/{key}"), who)).collect();
    all.extend([("/wicap.dev", ""), ("/other", ""), ("/site/wicap.dev/wicapstacks/a", "")].map(|(k, w)| (k.to_owned(), w)));
    all.into_iter().map(|(key, who)| (key, who.split_whitespace().collect())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_writes_what_is_not_theirs_is_refused_whichever_way_they_try() {
    let (guarded, binds) = Guarded::guarding().await;
    let mut ways = Way::PLAIN.to_vec();
    if binds {
        ways.extend(Way::NESTED);
    } else {
        eprintln!("NOT RUN: transactions inside transactions are held to roles: {} does not", newest_etcd());
    }
    let mut root = guarded.client(ROOT).await;
    let mut wrong = Vec::new();
    for who in Role::ALL.map(Role::as_str).into_iter().chain([STRANGER]) {
        let name = if who == STRANGER { who.to_owned() } else { format!("wicap-{who}") };
        let mut client = guarded.client(&name).await;
        for (key, writers) in territory() {
            root.put(&*key, "true", None).await.unwrap();
            for way in &ways {
                let outcome = way.write(&mut client, &key).await;
                let expected = if writers.contains(who) { outcome.is_ok() } else { is_denied(&outcome) };
                if !expected {
                    wrong.push(format!("{name}: {way:?} {key}: {outcome:?}"));
                }
            }
            if !writers.contains(who) {
                let stored = root.get(&*key, None).await.unwrap();
                assert_eq!(stored.kvs().first().map(etcd_client::KeyValue::value), Some(&b"true"[..]), "{name}: {key}");
            }
            // Everything under the prefix is there to be read, and nothing else.
            let read = client.get(&*key, None).await;
            let ours = who != STRANGER && key.starts_with("/wicap.dev/");
            if ours != read.is_ok() || ours == is_denied(&read) {
                wrong.push(format!("{name}: reading {key}: {read:?}"));
            }
        }
        let all = client.delete("/wicap.dev/", Some(DeleteOptions::new().with_prefix())).await;
        assert!(is_denied(&all), "{name}: {all:?}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn names(said: &Value, list: &str) -> Vec<(String, String)> {
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    said[list].as_array().unwrap().iter().map(|one| (text(&one["name"]), text(&one["outcome"]))).collect()
}

/// All roles and users of an etcd, with what they hold.
async fn everything(guarded: &Guarded) -> BTreeMap<String, Vec<String>> {
    let mut client = guarded.client(ROOT).await;
    let mut all = BTreeMap::new();
    for role in client.role_list().await.unwrap().roles() {
        let held = client.role_get(&**role).await.unwrap().permissions();
        let shown = |p: &Permission| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            format!("{} {} {}", p.get_type(), text(p.key()), text(p.range_end()))
        };
        all.insert(format!("role {role}"), held.iter().map(shown).collect());
    }
    for user in client.user_list().await.unwrap().users() {
        all.insert(format!("user {user}"), client.user_get(&**user).await.unwrap().roles().to_vec());
    }
    all
}

fn all_are(outcome: &str) -> Vec<(String, String)> {
    Role::ALL.into_iter().map(|role| (user(role), outcome.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_changes_nothing_and_what_was_changed_by_hand_is_mended() {
    let guarded = Guarded::start("etcd").await;
    let mut root = guarded.client(ROOT).await;
    root.role_add("theirs").await.unwrap();
    root.role_grant_permission("theirs", Permission::read_write("/theirs")).await.unwrap();
    root.user_add("ann", "secret", Some(UserAddOptions::new())).await.unwrap();
    root.user_grant_role("ann", "theirs").await.unwrap();
    let before = everything(&guarded).await;

    let said = guarded.init_roles(&["--with-users", "--dry-run"]);
    assert_eq!((names(&said, "roles"), &said["dryRun"]), (all_are("created"), &json!(true)));
    assert_eq!(everything(&guarded).await, before);

    // Without users, when none are asked for.
    let said = guarded.init_roles(&[]);
    assert_eq!((names(&said, "roles"), names(&said, "users")), (all_are("created"), vec![]));
    assert_eq!(said["authenticationEnabled"], false);
    let said = guarded.init_roles(&["--with-users"]);
    assert_eq!((names(&said, "roles"), names(&said, "users")), (all_are("unchanged"), all_are("created")));
    let after = everything(&guarded).await;
    assert!(before.iter().all(|(name, held)| after.get(name) == Some(held)), "what is not ours is left alone: {after:#?}");
    assert_eq!(after.len(), before.len() + 2 * Role::ALL.len());

    let said = guarded.ctl(ROOT, &["store", "init-roles", "--with-users"]);
    let lines: Vec<&str> = said.out.lines().collect();
    assert_eq!(lines.len(), 2 * Role::ALL.len(), "{said:?}");
    assert!(lines.iter().all(|line| line.ends_with(" unchanged")), "{said:?}");
    assert!(said.err.contains("Authentication is off") && said.err.contains("etcdctl auth enable"), "{said:?}");
    assert_eq!(said.err.contains("CVE-2026-33343"), guarded.init_roles(&[])["rolesBind"] == false, "{said:?}");
    assert_eq!(everything(&guarded).await, after);

    // Too much, too little, and another kind of access to the same keys.
    root.role_grant_permission(OPERATOR, Permission::read_write("/wicap.dev/wicapstacks.status/").with_prefix())
        .await
        .unwrap();
    root.role_revoke_permission("wicap-planner", "/wicap.dev/leader/planner", None).await.unwrap();
    root.role_grant_permission("wicap-gc", Permission::read("/wicap.dev/leader/gc")).await.unwrap();
    root.user_revoke_role(VIEWER, VIEWER).await.unwrap();
    guarded.enable().await;
    let said = guarded.ctl(ROOT, &["store", "init-roles", "--with-users"]);
    assert_eq!((said.code, said.err.contains("Authentication is off")), (0, false), "{said:?}");
    let changed: Vec<&str> = said.out.lines().filter(|line| !line.ends_with(" unchanged")).collect();
    assert_eq!(
        changed,
        [
            "role/wicap-operator configured",
            "  revoked readwrite of [/wicap.dev/wicapstacks.status/, /wicap.dev/wicapstacks.status0)",
            "role/wicap-planner configured",
            "  granted write of /wicap.dev/leader/planner",
            "role/wicap-gc configured",
            "  granted write of /wicap.dev/leader/gc",
            "user/wicap-viewer configured",
        ]
    );
    let mut mended = everything(&guarded).await;
    // The role of root needs no permissions: etcd may have made it, or not.
    mended.retain(|name, _| !name.ends_with(" root"));
    assert_eq!(mended, after);

    // Nobody else makes roles once authentication is on.
    for name in [OPERATOR, "wicap-gc", STRANGER] {
        let said = guarded.ctl(name, &["store", "init-roles"]);
        // Of whom it does not know at all it says so.
        let denied = ["permission denied", "user name not found"].iter().any(|words| said.err.contains(words));
        assert!(said.code == 4 && said.out.is_empty() && denied, "{name}: {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn installations_that_share_an_etcd_have_roles_of_their_own() {
    let guarded = Guarded::start("etcd").await;
    guarded.init_roles(&["--with-users"]);
    let init = |arguments: &[&str]| guarded.ctl_under("/site", ROOT, &[&["store", "init-roles"], arguments].concat(), "");
    let said = init(&["--role-prefix", "wicap"]);
    assert!(said.code == 4 && said.err.contains("belongs to the objects under /wicap.dev"), "{said:?}");
    done(init(&["--with-users"]));
    let said = init(&["--with-users", "--role-prefix", "other"]);
    assert!(said.code == 0 && said.out.contains("role/other-operator created"), "{said:?}");
    let said = guarded.init_roles(&["--with-users"]);
    assert_eq!((names(&said, "roles"), names(&said, "users")), (all_are("unchanged"), all_are("unchanged")));
    guarded.enable().await;
    for (name, theirs, others) in
        [(OPERATOR, "", "/site"), ("wicap-site-operator", "/site", ""), ("other-operator", "/site", "")]
    {
        done(guarded.ctl_under(theirs, name, &["get", "stops"], ""));
        let said = guarded.ctl_under(others, name, &["get", "stops"], "");
        assert!(said.code == 4 && said.err.contains("permission denied"), "{name}: {said:?}");
        let mut client = guarded.client(name).await;
        client.put(format!("{theirs}/wicap.dev/audit-head/intent"), "x", None).await.unwrap();
        let outcome = client.put(format!("{others}/wicap.dev/audit-head/intent"), "x", None).await;
        assert!(is_denied(&outcome), "{name}: {outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_who_declares_is_told_that_it_is_not_theirs() {
    let (guarded, binds) = Guarded::guarding().await;
    if !binds {
        eprintln!("NOT RUN: a viewer's apply is refused: {} does not look into transactions", newest_etcd());
        return;
    }
    for name in [VIEWER, "wicap-actuator", "wicap-session"] {
        let said = guarded.ctl(name, &["stop", "--all", "--reason", "a test"]);
        assert!(said.code == 4 && said.err.contains("permission denied"), "{name}: {said:?}");
    }
    done(guarded.ctl(OPERATOR, &["stop", "--all", "--reason", "a test"]));
    done(guarded.ctl(VIEWER, &["get", "stops"]));
    let said = guarded.ctl(VIEWER, &["resume", "--all"]);
    assert!(said.code == 4 && said.err.contains("permission denied"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_store_says_how_access_to_it_goes() {
    let embedded = Embedded::start().await;
    for arguments in [&[][..], &["--with-users"], &["--dry-run"], &["-o", "json"]] {
        let said = wicapctl(&embedded.url(), &[&["store", "init-roles"], arguments].concat(), "");
        let expected = "error: this store has no users and roles: the embedded store goes by the owner and the group of its socket \
                        (wicapd --socket-group), and on TCP by certificates\n";
        assert_eq!((said.code, &*said.out, &*said.err), (4, "", expected));
    }
}
