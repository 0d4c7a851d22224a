//! What `wicapctl policy explain` says of an action is what the actuator does about it: in worlds that are drawn by seeds, with
//! whatever may be in the way of it.

mod support;

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use support::server::Server;
use support::{apply, connect, wicapctl};
use wicap::api::action::ActionRun;
use wicap::api::session::ControlSession;
use wicap::api::{Object, after};
use wicap::controllers::actuator::claim::{Claimed, Claims, Look};
use wicap::plan::authorise::{APPROVAL, PRECONDITION};
use wicap::stop_file::StopFile;
use wicap::store::election::campaign;
use wicap::store::{DeleteParams, ListParams, Store};

/// Worlds that the suite takes the time for: enough that each gate denies in some of them.
const WORLDS: u64 = 80;

struct Dice(StdRng);

impl Dice {
    fn one<'a>(&mut self, of: &'a [&'a str]) -> &'a str {
        of.choose(&mut self.0).expect("something to choose from")
    }

    fn rarely(&mut self) -> bool {
        self.0.random_ratio(1, 6)
    }

    fn some(&mut self, of: &[&str]) -> Vec<String> {
        of.iter().filter(|_| self.0.random_ratio(3, 4)).map(|s| (*s).to_owned()).collect()
    }
}

const ACTIONS: [&str; 5] = ["status_check", "start_service", "restart_service", "compose_up", "compose_down_volumes"];

/// The objects of a world in which `run` waits, most of which permit it.
fn world(seed: u64) -> Vec<Value> {
    let dice = &mut Dice(StdRng::seed_from_u64(seed));
    let object = |kind: &str, name: &str, spec: Value| json!({"apiVersion": "wicap.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    let services = [json!({"name": "redis"}), json!({"name": "ui"})];
    let host = if dice.rarely() { "elsewhere" } else { "here" };
    let mut objects = vec![object(
        "WicapStack",
        "wicap",
        json!({
            "host": host, "compose": {"project": "p", "directory": "/var/tmp"}, "services": services,
        }),
    )];
    let action = dice.one(&ACTIONS);
    let target = if action.starts_with("compose") { "" } else { dice.one(&["redis", "ui"]) };
    for name in ["one", "two"] {
        let mut spec = json!({
            "allow": [{"actions": dice.some(&["group:safe", "group:caution", "group:destructive", "start_*"])}],
            "allowedRoots": [if dice.rarely() { "/srv" } else { "/var" }],
            "hosts": [if dice.rarely() { "there*" } else { "h*" }],
        });
        if dice.rarely() {
            spec["deny"] = json!([{"actions": ["*"], "targets": [dice.one(&["redis", "u*", "*"])]}]);
        }
        if dice.rarely() {
            spec["cooldowns"] = json!({"start_service": "1h"});
        }
        if name == "one" || dice.rarely() {
            objects.push(object("ControlPolicy", name, spec));
        }
    }
    let mode = dice.one(&["Assist", "Assist", "Assist", "Monitor", "Shadow", "Canary"]);
    let mut session = json!({
        "stack": if dice.rarely() { "another" } else { "wicap" }, "mode": mode, "ttl": "1h", "operator": "ann@host",
        "reason": "a test", "maxTier": dice.one(&["Safe", "Caution", "Destructive", "Destructive", "Destructive"]),
        "allowedActions": dice.some(&ACTIONS),
        "approval": {"caution": dice.one(&["Auto", "Auto", "Ask"]), "destructive": dice.one(&["Auto", "Ask"])},
    });
    if mode == "Canary" {
        // Of what is allowed, and there must be something.
        session["allowedActions"] = json!(ACTIONS);
        session["canary"] = json!({"actions": [dice.one(&["start_service", "restart_service"])]});
    }
    if dice.rarely() {
        session["budget"] = json!({"maxActions": 1, "window": "1h"});
    }
    objects.push(object("ControlSession", "night", session));
    if dice.rarely() {
        objects.push(object(
            "EmergencyStop",
            dice.one(&["all", "wicap", "another"]),
            json!({"reason": "x", "by": "ann@host"}),
        ));
    }
    if action == "compose_down_volumes" && !dice.rarely() {
        objects.push(object(
            "Elevation",
            "once",
            json!({
                "session": "night", "action": action, "target": target, "approver": "bob@host", "reason": "x", "ttl": "1h",
            }),
        ));
    }
    let spec = json!({
        "stack": "wicap", "action": action, "target": target, "session": "night", "dryRun": dice.rarely(),
        "cause": {"kind": "Operator", "summary": "a test"},
    });
    objects.push(object("ActionRun", "run", spec));
    objects
}

/// What was said, or done: whether it is allowed, only to be said, or by which gate not.
type Verdict = (bool, bool, Option<String>);

fn explained(url: &str) -> Verdict {
    let said = wicapctl(url, &["policy", "explain", "--run", "run", "-o", "json"], "");
    assert!(matches!(said.code, 0 | 1), "{said:?}");
    let answer: Value = serde_json::from_str(&said.out).unwrap();
    let decision = &answer["decision"];
    let allowed = decision["allowed"].as_bool().unwrap();
    assert_eq!(allowed, said.code == 0, "{said:?}");
    (allowed, decision["shadow"].as_bool().unwrap_or_default(), decision["deniedBy"].as_str().map(str::to_owned))
}

async fn done(store: &Store, claims: &Claims) -> Verdict {
    let look = async |_: &_, _: &ActionRun| Ok(Look { before: Vec::new(), command: Ok(vec!["x".to_owned()]) });
    let run = store.api::<ActionRun>().get("run").await.unwrap();
    match claims.claim(&run, look).await.unwrap() {
        Claimed::Ours(..) => (true, false, None),
        Claimed::Ended(_, status, _) => {
            let decision = status.decision.unwrap();
            (decision.allowed, decision.shadow, decision.denied_by)
        }
        Claimed::Ask(_) => (false, false, Some(APPROVAL.to_owned())),
        Claimed::Wait => (false, false, Some(PRECONDITION.to_owned())),
        Claimed::NotOurs => panic!("it is ours, and waits"),
    }
}

async fn clear(store: &Store) {
    macro_rules! clear {
        ($($kind:ty),*) => { $(
            let api = store.api::<$kind>();
            for object in api.list(&ListParams::default()).await.unwrap().items {
                api.delete(object.name(), &DeleteParams::default()).await.unwrap();
            }
        )* };
    }
    wicap::for_each_kind!(clear);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_explained_is_what_the_actuator_does() {
    let server = Server::start().await;
    let url = server.url();
    let store = connect(&url).await;
    let opener = campaign(&store, "session", "tester").await;
    let actuator = campaign(&store, "actuator.here", "tester").await;
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for seed in 0..WORLDS {
        clear(&store).await;
        let objects = world(seed);
        apply(&url, &objects);
        let sessions = store.api::<ControlSession>();
        let mut night = sessions.get("night").await.unwrap();
        // Not every session is in force.
        if seed % 7 != 0 {
            let now = store.clock().now();
            let expires = after(now, std::time::Duration::from_secs(3600));
            let status = json!({"phase": "Active", "startedAt": now, "expiresAt": expires});
            night.status = Some(serde_json::from_value(status).unwrap());
            sessions.replace_status(&night, Some(&opener.fence)).await.unwrap();
        }
        // The host of a claim is the stack's; that its policies do not list that one is a gate's business.
        let host = objects[0]["spec"]["host"].as_str().unwrap();
        let claims = Claims::new(store.clone(), actuator.fence.clone(), host, "tester", StopFile::of("/nowhere".as_ref()));
        let said = explained(&url);
        let did = done(&store, &claims).await;
        assert_eq!(said, did, "seed {seed}: {objects:#?}");
        let verdict = said.2.unwrap_or_else(|| if said.1 { "shadowed" } else { "claimed" }.to_owned());
        *seen.entry(verdict).or_default() += 1;
    }
    println!("{seen:?}");
    // Every gate but those of time, which a world that is new does not know.
    for verdict in ["claimed", "shadowed", "emergencyStop", "session", "runtimePlane", "toolPolicy", "tier", "approval"] {
        assert!(seen.contains_key(verdict), "no world ends with {verdict}: {seen:?}");
    }
}
