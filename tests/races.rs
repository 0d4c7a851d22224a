//! Who comes first, a claim or what forbids it, is decided by the store, and nobody else: in every order of requests, and on a real
//! etcd in whatever order chance makes.
//!
//! `WICAP_RACES` is how many orders are tried of each race (and a fiftieth of it on etcd).

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use etcd_client::Client;
use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use support::connect;
use support::server::Server;
use support::turns::Gate;
use wicap::api::action::{ActionPhase, ActionRun, Tier};
use wicap::api::elevation::Elevation;
use wicap::api::policy::ControlPolicy;
use wicap::api::session::ControlSession;
use wicap::api::stack::WicapStack;
use wicap::api::stop::{EmergencyStop, EmergencyStopSpec};
use wicap::api::{Object, after};
use wicap::audit::{chain, trail};
use wicap::clock::Clock;
use wicap::controllers::actuator::claim::{self, Claimed, Claims, Look};
use wicap::stop_file::StopFile;
use wicap::store::audit::Lane;
use wicap::store::election::{Fence, Leadership, campaign};
use wicap::store::embedded::{Embedded, Options};
use wicap::store::{Error, ListParams, Patch, Store};

/// Orders of each race that the suite takes the time for.
const ORDERS: u64 = 40;

/// The most actors of a race.
const SIDES: usize = 9;

/// A claimer that is told to wait or that somebody was faster than looks again, as the actuator does.
const LOOKS: usize = 12;

fn orders() -> u64 {
    match std::env::var("WICAP_RACES") {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("WICAP_RACES: found {text:?}, expected a number")),
        Err(_) => ORDERS,
    }
}

/// What is raced about: a stack of eight services, a session with these changes, and actions that wait.
struct World {
    /// Not held up by anybody.
    store: Store,
    leaderships: Vec<Leadership>,
}

fn object<K: Object>(kind: &str, name: &str, spec: Value) -> K {
    serde_json::from_value(json!({
        "apiVersion": "wicap.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec,
    }))
    .unwrap()
}

impl World {
    /// `leaders` are elected, and there is an action for each: `action` on the service of its number, or with an empty `target` on
    /// all of it.
    async fn new(store: Store, leaders: usize, action: &str, on_service: bool, change: impl FnOnce(&mut Value)) -> Self {
        let services: Vec<Value> = (0..8).map(|n| json!({"name": format!("s{n}")})).collect();
        let stack = json!({
            "host": "here", "compose": {"project": "p", "directory": "/var/tmp"}, "services": services,
            "defaults": {"maxConcurrent": 8},
        });
        store.api::<WicapStack>().create(&object("WicapStack", "wicap", stack)).await.unwrap();
        let policy = json!({
            "allow": [{"actions": ["group:safe", "group:caution", "group:destructive"]}], "allowedRoots": ["/var"], "hosts": ["*"],
        });
        store.api::<ControlPolicy>().create(&object("ControlPolicy", "all", policy)).await.unwrap();
        let mut session = json!({
            "stack": "wicap", "mode": "Assist", "ttl": "1h", "operator": "ann@host", "reason": "a race",
            "maxTier": Tier::Destructive, "allowedActions": ["start_service", "compose_down_volumes"],
            "approval": {"destructive": "Auto"},
        });
        change(&mut session);
        let sessions = store.api::<ControlSession>();
        let mut night = sessions.create(&object("ControlSession", "night", session)).await.unwrap();
        let opener = campaign(&store, "session", "tester").await;
        let now = store.clock().now();
        night.status = Some(
            serde_json::from_value(json!({
                "phase": "Active", "startedAt": now, "expiresAt": after(now, Duration::from_secs(3600)),
            }))
            .unwrap(),
        );
        sessions.replace_status(&night, Some(&opener.fence)).await.unwrap();
        let mut leaderships = vec![opener];
        for n in 0..leaders {
            leaderships.push(campaign(&store, &format!("actuator.{n}"), "tester").await);
            let target = if on_service { format!("s{n}") } else { String::new() };
            let run = json!({
                "stack": "wicap", "action": action, "target": target, "session": "night",
                "cause": {"kind": "Operator", "summary": "a race"},
            });
            store.api::<ActionRun>().create(&object("ActionRun", &format!("r{n}"), run)).await.unwrap();
        }
        Self { store, leaderships }
    }

    fn fence(&self, leader: usize) -> Fence {
        self.leaderships[leader + 1].fence.clone()
    }

    async fn end(self) {
        for leadership in self.leaderships {
            leadership.resign().await;
        }
    }

    /// Whatever was claimed is on record, counted, and nothing else is.
    async fn check(&self, what: &str, claimed: &[i64]) {
        let runs = self.store.api::<ActionRun>().list(&ListParams::default()).await.unwrap().items;
        let running = runs.iter().filter(|r| support::phase(r) == ActionPhase::Running).count();
        assert_eq!(running, claimed.len(), "{what}: {runs:#?}");
        if let Some(session) = self.store.api::<ControlSession>().get_opt("night").await.unwrap() {
            let used = session.status.map_or(0, |s| s.usage.actions);
            assert_eq!(usize::try_from(used).unwrap(), claimed.len(), "{what}");
        }
        let lanes = trail::check(&self.store, std::path::Path::new("/nowhere"), &[]).await.unwrap();
        assert_eq!(chain::findings(&lanes), [], "{what}");
    }
}

/// Tries to claim as the actuator does. Returns the revision of the claim, if there was one.
async fn claim(store: Store, fence: Fence, run: String) -> Option<i64> {
    let claims = Claims::new(store.clone(), fence, "here", "tester", StopFile::of("/nowhere".as_ref()));
    let look = async |_: &WicapStack, _: &ActionRun| Ok(Look { before: Vec::new(), command: Ok(vec!["start".to_owned()]) });
    let asked = store.api::<ActionRun>().get(&run).await.unwrap();
    for _ in 0..LOOKS {
        match claims.claim(&asked, look).await {
            Ok(Claimed::Ours(run, ..)) => return Some(run.metadata.resource_version.unwrap().parse().unwrap()),
            Ok(Claimed::Wait) | Err(claim::Error::Store(Error::Conflict { .. })) => {}
            Ok(Claimed::Ended(..) | Claimed::NotOurs) => return None,
            Ok(other) => panic!("nobody was to be asked: {other:?}"),
            Err(error) => panic!("{error}"),
        }
    }
    None
}

/// A connection of one actor.
#[derive(Clone)]
struct Side {
    store: Store,
    client: Client,
    prefix: String,
}

impl Side {
    /// Makes requests that are about nothing.
    async fn dawdle(&self, requests: usize) {
        for _ in 0..requests {
            self.client.clone().get("nothing", None).await.unwrap();
        }
    }

    /// The revision of the last thing that a person wrote.
    async fn last_word(&self) -> i64 {
        self.store.audit().newest(Lane::Intent, 1).await.unwrap().remove(0).revision
    }
}

/// What is in a race with claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Race {
    /// An emergency stop: three actions.
    Stop,
    /// The end of the session: three actions.
    SessionEnd,
    /// Eight actuators, and one action that the session has left.
    Budget,
    /// Four actuators, and an elevation of one use.
    Elevation,
    /// A leader that was deposed and does not know it, and the one after it, for one action.
    Deposed,
}

/// How a race ended.
#[derive(Debug)]
struct Ended {
    /// The revisions of the claims.
    claims: Vec<i64>,
    /// The revision after which there may be none.
    forbidden: Option<i64>,
    /// Of the deposed leader.
    of_the_deposed: Option<i64>,
}

impl Race {
    const ALL: [Self; 5] = [Self::Stop, Self::SessionEnd, Self::Budget, Self::Elevation, Self::Deposed];

    async fn world(self, store: Store) -> World {
        match self {
            Self::Stop | Self::SessionEnd => World::new(store, 3, "start_service", true, |_| {}).await,
            Self::Budget => {
                let budget = |s: &mut Value| s["budget"] = json!({"maxActions": 1, "window": "1h"});
                World::new(store, 8, "start_service", true, budget).await
            }
            Self::Elevation => {
                let world = World::new(store, 4, "compose_down_volumes", false, |_| {}).await;
                let once = json!({
                    "session": "night", "action": "compose_down_volumes", "target": "", "approver": "bob@host",
                    "reason": "a race", "ttl": "1h", "maxUses": 1,
                });
                let elevations = world.store.api::<Elevation>();
                elevations.create(&object("Elevation", "once", once)).await.unwrap();
                world
            }
            Self::Deposed => World::new(store, 1, "start_service", true, |_| {}).await,
        }
    }

    /// By how many requests at most what forbids is late: about as many as the claims make, so that either may win.
    fn late(self) -> usize {
        if self == Self::Deposed { 6 } else { 40 }
    }

    /// `late` is how many requests what forbids makes before that.
    async fn run(self, world: &World, sides: Vec<Side>, late: usize) -> Ended {
        let mut sides = sides.into_iter();
        let mut side = || sides.next().expect("a side for each actor");
        match self {
            Self::Stop => {
                let forbid = tokio::spawn(stop(side(), late));
                let claims = claim_all(world, 3, &mut side).await;
                Ended { claims, forbidden: Some(forbid.await.unwrap()), of_the_deposed: None }
            }
            Self::SessionEnd => {
                let forbid = tokio::spawn(end_session(side(), late));
                let claims = claim_all(world, 3, &mut side).await;
                Ended { claims, forbidden: Some(forbid.await.unwrap()), of_the_deposed: None }
            }
            Self::Budget => Ended { claims: claim_all(world, 8, &mut side).await, forbidden: None, of_the_deposed: None },
            Self::Elevation => Ended { claims: claim_all(world, 4, &mut side).await, forbidden: None, of_the_deposed: None },
            Self::Deposed => {
                let deposed = tokio::spawn(claim(side().store, world.fence(0), "r0".into()));
                let next = tokio::spawn(depose(side(), late));
                let (of_the_deposed, (at, of_the_next)) = (deposed.await.unwrap(), next.await.unwrap());
                let claims = of_the_deposed.into_iter().chain(of_the_next).collect();
                Ended { claims, forbidden: Some(at), of_the_deposed }
            }
        }
    }

    /// What must be so, however it ended.
    fn judge(self, ended: &Ended, what: &str) {
        let bound = ended.forbidden.unwrap_or(i64::MAX);
        match self {
            Self::Stop | Self::SessionEnd => assert!(ended.claims.iter().all(|claim| *claim < bound), "{what}: {ended:?}"),
            Self::Budget | Self::Elevation => assert_eq!(ended.claims.len(), 1, "{what}: {ended:?}"),
            Self::Deposed => {
                assert!(ended.of_the_deposed.is_none_or(|claim| claim < bound), "{what}: {ended:?}");
                assert_eq!(ended.claims.len(), 1, "{what}: {ended:?}");
            }
        }
    }
}

/// One actuator for each of that many actions, all at once.
async fn claim_all(world: &World, count: usize, side: &mut impl FnMut() -> Side) -> Vec<i64> {
    let claims = (0..count).map(|n| tokio::spawn(claim(side().store, world.fence(n), format!("r{n}"))));
    let claims = join_all(claims.collect::<Vec<_>>()).await;
    claims.into_iter().filter_map(Result::unwrap).collect()
}

async fn stop(side: Side, late: usize) -> i64 {
    side.dawdle(late).await;
    let stop = EmergencyStop::new("all", EmergencyStopSpec { reason: "a race".into(), by: "ann@host".into() });
    side.store.api::<EmergencyStop>().create(&stop).await.unwrap();
    side.last_word().await
}

async fn end_session(side: Side, late: usize) -> i64 {
    side.dawdle(late).await;
    let ended = Patch::Merge(json!({"spec": {"end": true}}));
    side.store.api::<ControlSession>().patch("night", &ended).await.unwrap();
    side.last_word().await
}

/// Takes the leader's key away, leads in its place, and claims. Returns when it was taken, and the claim.
async fn depose(mut side: Side, late: usize) -> (i64, Option<i64>) {
    side.dawdle(late).await;
    let key = format!("{}/wicap.dev/leader/actuator.0", side.prefix);
    let answer = side.client.delete(key, None).await.unwrap();
    assert_eq!(answer.deleted(), 1);
    let leadership = campaign(&side.store, "actuator.0", "the next").await;
    let claimed = claim(side.store, leadership.fence.clone(), "r0".into()).await;
    leadership.resign().await;
    (answer.header().unwrap().revision(), claimed)
}

/// How often each number of claims was seen.
type Seen = BTreeMap<usize, u64>;

/// Whether chance has tried what the race is about: that either side wins.
fn either_won(race: Race, seen: &Seen, firsts: (u64, u64)) {
    match race {
        Race::Stop | Race::SessionEnd => assert!(seen.contains_key(&0) && seen.len() > 2, "{race:?}: {seen:?}"),
        Race::Budget | Race::Elevation => {}
        Race::Deposed => assert!(firsts.0 > 0 && firsts.1 > 0, "{race:?}: {firsts:?}"),
    }
}

fn count(race: Race, ended: &Ended, seen: &mut Seen, firsts: &mut (u64, u64)) {
    *seen.entry(ended.claims.len()).or_default() += 1;
    if race == Race::Deposed {
        let first = if ended.of_the_deposed.is_some() { &mut firsts.0 } else { &mut firsts.1 };
        *first += 1;
    }
}

/// A store in memory, and the connections of the actors, on which one race after the other is run.
struct Arena {
    embedded: Embedded,
    clock: Clock,
    gate: Gate,
    clients: Vec<Client>,
}

impl Arena {
    async fn new() -> Self {
        let embedded = Embedded::in_memory(Options::default()).unwrap();
        let clock = Clock::of_runtime("2026-01-01T20:00:00Z".parse().unwrap());
        let gate = Gate::default();
        let mut clients = Vec::new();
        for _ in 0..SIDES {
            clients.push(gate.client(&embedded).await);
        }
        Self { embedded, clock, gate, clients }
    }

    fn store(&self, client: Client, prefix: &str) -> Store {
        Store::with_client(client, format!("http://here:1{prefix}").parse().unwrap(), self.clock.clone())
    }

    /// The order of that number.
    async fn run(&self, race: Race, seed: u64) -> Ended {
        let (what, prefix) = (format!("{race:?}, seed {seed}"), format!("/{race:?}{seed}"));
        let world = race.world(self.store(self.embedded.client().await.unwrap(), &prefix)).await;
        let side = |client: &Client| Side {
            store: self.store(client.clone(), &prefix),
            client: client.clone(),
            prefix: prefix.clone(),
        };
        let late = StdRng::seed_from_u64(seed).random_range(0..race.late());
        let ended = self.gate.run(seed, race.run(&world, self.clients.iter().map(side).collect(), late)).await;
        race.judge(&ended, &what);
        world.check(&what, &ended.claims).await;
        world.end().await;
        ended
    }
}

/// All orders of one race, drawn by their numbers.
async fn in_every_order(race: Race) {
    let arena = Arena::new().await;
    let (mut seen, mut firsts) = (Seen::new(), (0, 0));
    for seed in 0..orders() {
        let ended = arena.run(race, seed).await;
        count(race, &ended, &mut seen, &mut firsts);
    }
    println!("{race:?}: {} orders, by number of claims {seen:?}, the deposed or the next first {firsts:?}", orders());
    either_won(race, &seen, firsts);
}

macro_rules! races {
    ($($name:ident: $race:ident),*) => { $(
        #[tokio::test(start_paused = true)]
        async fn $name() {
            in_every_order(Race::$race).await;
        }
    )* };
}

races! {
    no_action_is_claimed_after_a_stop: Stop,
    no_action_is_claimed_after_the_end_of_its_session: SessionEnd,
    eight_actuators_claim_one_action_of_a_budget_of_one: Budget,
    an_elevation_of_one_use_is_used_once: Elevation,
    a_deposed_leader_claims_nothing_and_the_next_one_not_twice: Deposed
}

#[tokio::test(start_paused = true)]
async fn an_order_of_requests_is_the_same_each_time() {
    for race in Race::ALL {
        let (first, second) = (Arena::new().await.run(race, 7).await, Arena::new().await.run(race, 7).await);
        assert_eq!(format!("{first:?}"), format!("{second:?}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_is_no_older_than_its_look_and_what_ended_during_it_permits_nothing() {
    let arena = Arena::new().await;
    let store = arena.store(arena.embedded.client().await.unwrap(), "/look");
    // The session ends an hour from now.
    let world = World::new(store.clone(), 2, "start_service", true, |_| {}).await;
    let looked = async |leader: usize, takes: Duration| {
        let claims = Claims::new(store.clone(), world.fence(leader), "here", "tester", StopFile::of("/nowhere".as_ref()));
        let run = store.api::<ActionRun>().get(&format!("r{leader}")).await.unwrap();
        let look = async |_: &WicapStack, _: &ActionRun| {
            tokio::time::sleep(takes).await;
            Ok(Look { before: Vec::new(), command: Ok(vec!["start".to_owned()]) })
        };
        claims.claim(&run, look).await.unwrap()
    };
    let asked = store.clock().now();
    let Claimed::Ours(run, ..) = looked(0, Duration::from_secs(14)).await else { panic!("it is permitted") };
    assert!(run.status.unwrap().started_at >= Some(after(asked, Duration::from_secs(14))));
    tokio::time::sleep(Duration::from_secs(3580)).await;
    assert!(matches!(looked(1, Duration::from_secs(14)).await, Claimed::Wait), "the session is over");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_real_etcd_chance_finds_no_other_end() {
    let server = Server::etcd().await;
    for race in Race::ALL {
        let (mut seen, mut firsts) = (Seen::new(), (0, 0));
        let rounds = (orders() / 50).max(4);
        for round in 0..rounds {
            let prefix = format!("/{race:?}{round}");
            let url = format!("{}{prefix}", server.url());
            let world = race.world(connect(&url).await).await;
            let mut sides = Vec::new();
            for _ in 0..SIDES {
                let (store, client) = (connect(&url).await, server.client().await);
                sides.push(Side { store, client, prefix: prefix.clone() });
            }
            let what = format!("{race:?}, round {round}");
            let ended = race.run(&world, sides, rand::random_range(0..race.late())).await;
            race.judge(&ended, &what);
            world.check(&what, &ended.claims).await;
            count(race, &ended, &mut seen, &mut firsts);
            world.end().await;
        }
        println!("{race:?}: {rounds} races on etcd, by number of claims {seen:?}, the deposed or the next first {firsts:?}");
    }
}
