use super::*;
use crate::api::Severity;
use crate::api::stack::{Drift, DriftKind};
use serde_json::json;

fn at(second: i64) -> Time {
    Time::from_second(second).unwrap()
}

fn container(service: &str, status: ContainerState) -> Container {
    Container {
        service: service.to_owned(),
        id: format!("{service}-id"),
        name: format!("p-{service}-1"),
        image: "i".to_owned(),
        image_id: Some("sha256:1".to_owned()),
        networks: vec!["p_default".to_owned()],
        config_hash: Some("h1".to_owned()),
        status,
        health: None,
        restart_count: 0,
        started_at: Some(at(10)),
        finished_at: None,
        exit_code: Some(0),
        oom_killed: false,
        number: 1,
    }
}

/// A stack of ui (one probe, depends on redis) and redis (neither).
fn stack() -> WicapStack {
    serde_json::from_value(json!({
        "apiVersion": "wicap.dev/v1alpha1", "kind": "WicapStack", "metadata": {"name": "s", "generation": 3},
        "spec": {"compose": {"project": "p", "directory": "/srv/p"}, "services": [
            {"name": "ui", "dependsOn": ["redis"], "probes": [{"name": "web", "tcpSocket": {"port": 1}}]},
            {"name": "redis"},
        ]},
    }))
    .unwrap()
}

/// What nobody has read.
fn nothing<'a>() -> Seen<'a> {
    Seen { containers: Ok(&[]), config: None, all_services: None, images: &|_| None, probes: &|_| Vec::new() }
}

fn probe(state: ProbeState) -> Vec<ProbeStatus> {
    vec![ProbeStatus { state, message: Some("refused".to_owned()), ..ProbeStatus::unasked("web") }]
}

fn look(stack: &WicapStack, containers: &[Container], probes: ProbeState, now: i64) -> WicapStackStatus {
    let seen = Seen { containers: Ok(containers), config: None, probes: &|_| probe(probes), ..nothing() };
    observe(stack, &seen, at(now))
}

fn status_of(status: &WicapStackStatus, type_: &str) -> (String, String) {
    let found = condition::get(&status.conditions, type_).unwrap();
    (found.status.clone(), found.reason.clone())
}

#[test]
fn each_state_health_and_probe_gives_one_word() {
    use ContainerState as C;
    use ProbeState::{Failing, Passing, Unknown};
    use ServiceState as S;
    let (none, starting, healthy, unhealthy) =
        (None, Some(Health::Starting), Some(Health::Healthy), Some(Health::Unhealthy));
    let table = [
        (C::Running, none, Passing, S::Running),
        (C::Running, none, Unknown, S::Starting),
        (C::Running, none, Failing, S::Unhealthy),
        (C::Running, starting, Passing, S::Starting),
        (C::Running, starting, Unknown, S::Starting),
        (C::Running, starting, Failing, S::Unhealthy),
        (C::Running, healthy, Passing, S::Running),
        (C::Running, healthy, Unknown, S::Starting),
        (C::Running, healthy, Failing, S::Unhealthy),
        (C::Running, unhealthy, Passing, S::Unhealthy),
        (C::Running, unhealthy, Unknown, S::Unhealthy),
        (C::Running, unhealthy, Failing, S::Unhealthy),
    ];
    let others = [
        (C::Created, S::Exited),
        (C::Exited, S::Exited),
        (C::Removing, S::Exited),
        (C::Dead, S::Dead),
        (C::Paused, S::Paused),
        (C::Restarting, S::Restarting),
    ];
    let others = others.into_iter().flat_map(|(status, state)| {
        let every = [none, starting, healthy, unhealthy].into_iter();
        every.flat_map(move |health| [Passing, Unknown, Failing].map(|probes| (status, health, probes, state)))
    });
    for (status, health, probes, expected) in table.into_iter().chain(others) {
        let ui = Container { health, ..container("ui", status) };
        let seen = look(&stack(), &[ui], probes, 20);
        assert_eq!(seen.services[0].state, expected, "{status:?} {health:?} {probes:?}");
        assert_eq!(seen.services[0].message.is_none(), matches!(expected, S::Running | S::Paused), "{expected:?}");
    }
}

#[test]
fn a_service_without_container_is_missing_and_says_nothing_of_its_last_one() {
    let mut stack = stack();
    stack.status = Some(look(&stack, &[container("redis", ContainerState::Running)], ProbeState::Unknown, 20));
    let seen = look(&stack, &[], ProbeState::Unknown, 30);
    let redis = seen.service("redis").unwrap();
    assert_eq!((redis.state, redis.since, &redis.container_id), (ServiceState::Missing, Some(at(30)), &None));
    assert_eq!(seen.ready.as_deref(), Some("0/2"));
}

#[test]
fn since_moves_only_with_the_state() {
    let mut stack = stack();
    let running = [container("ui", ContainerState::Running), container("redis", ContainerState::Running)];
    let first = look(&stack, &running, ProbeState::Passing, 20);
    assert_eq!(first.services[0].since, Some(at(20)));
    assert!(changed(None, &first));
    stack.status = Some(first.clone());
    let second = look(&stack, &running, ProbeState::Passing, 25);
    assert!(!changed(Some(&first), &second), "nothing moved: {second:?}");
    let other = [Container { id: "new".to_owned(), ..running[0].clone() }, running[1].clone()];
    let third = look(&stack, &other, ProbeState::Passing, 30);
    assert!(changed(Some(&first), &third));
    assert_eq!(third.services[0].since, Some(at(20)), "another container in the same state");
    let mut heartbeat = first.clone();
    heartbeat.observed_at = Some(at(40));
    heartbeat.planned_action = Some("x".to_owned());
    assert!(!changed(Some(&first), &heartbeat), "not an observer's fields");
}

#[test]
fn an_exit_is_dated_by_the_engine_but_never_in_the_future() {
    let ended = |second| Container {
        finished_at: Some(at(second)),
        exit_code: Some(137),
        oom_killed: true,
        ..container("redis", ContainerState::Exited)
    };
    let redis = look(&stack(), &[ended(15)], ProbeState::Unknown, 20).services[1].clone();
    assert_eq!((redis.since, redis.finished_at, redis.exit_code), (Some(at(15)), Some(at(15)), Some(137)));
    assert_eq!(redis.message.as_deref(), Some("it ended with code 137, killed for want of memory"));
    assert_eq!(look(&stack(), &[ended(99)], ProbeState::Unknown, 20).services[1].since, Some(at(20)));
    let created = look(&stack(), &[container("redis", ContainerState::Created)], ProbeState::Unknown, 20);
    assert_eq!((created.services[1].since, created.services[1].exit_code), (Some(at(20)), None));
}

#[test]
fn a_silent_engine_makes_everything_unknown_and_keeps_the_facts() {
    let mut stack = stack();
    stack.status = Some(look(&stack, &[container("redis", ContainerState::Running)], ProbeState::Unknown, 20));
    let probes = |_: &str| Vec::new();
    let silent = Seen { containers: Err("no socket"), config: None, probes: &probes, ..nothing() };
    let seen = observe(&stack, &silent, at(30));
    for service in &seen.services {
        assert_eq!((service.state, service.since), (ServiceState::Unknown, Some(at(30))));
        assert_eq!(service.message.as_deref(), Some("the engine does not answer: no socket"));
    }
    assert_eq!(seen.services[1].container_id.as_deref(), Some("redis-id"));
    assert_eq!(status_of(&seen, OBSERVED), ("Unknown".to_owned(), "EngineSilent".to_owned()));
    assert_eq!(status_of(&seen, AVAILABLE).0, "Unknown");
    assert_eq!(seen.ready, None);
    stack.status = Some(seen.clone());
    assert!(!changed(Some(&seen), &observe(&stack, &silent, at(40))));
    let back = look(&stack, &[container("redis", ContainerState::Running)], ProbeState::Unknown, 50);
    assert_eq!(status_of(&back, OBSERVED), ("True".to_owned(), "EngineAnswers".to_owned()));
    assert_eq!(back.services[1].since, Some(at(50)));
}

#[test]
fn available_asks_only_critical_managed_services() {
    let mut stack = stack();
    let only_ui = [container("ui", ContainerState::Running)];
    assert_eq!(status_of(&look(&stack, &only_ui, ProbeState::Passing, 20), AVAILABLE).0, "False");
    stack.spec.services[1].critical = false;
    let seen = look(&stack, &only_ui, ProbeState::Passing, 20);
    assert_eq!((status_of(&seen, AVAILABLE).0.as_str(), seen.ready.as_deref()), ("True", Some("1/2")));
    stack.spec.services[1].managed = false;
    assert_eq!(look(&stack, &only_ui, ProbeState::Passing, 20).ready.as_deref(), Some("1/1"));
}

#[test]
fn a_stack_that_should_be_stopped_counts_what_does_not_run() {
    let mut stack = stack();
    stack.spec.desired_state = DesiredState::Stopped;
    let seen = look(&stack, &[container("ui", ContainerState::Exited)], ProbeState::Unknown, 20);
    assert_eq!((status_of(&seen, AVAILABLE).0.as_str(), seen.ready.as_deref()), ("True", Some("2/2")));
    let seen = look(&stack, &[container("ui", ContainerState::Paused)], ProbeState::Unknown, 20);
    assert_eq!((status_of(&seen, AVAILABLE).0.as_str(), seen.ready.as_deref()), ("False", Some("1/2")));
}

#[test]
fn of_several_containers_the_furthest_from_what_is_desired_decides() {
    let one = container("redis", ContainerState::Running);
    let two = Container { number: 2, name: "p-redis-2".to_owned(), ..container("redis", ContainerState::Exited) };
    let three = Container { number: 3, name: "p-redis-3".to_owned(), ..two.clone() };
    let all = [three, one, two];
    let mut stack = stack();
    let redis = look(&stack, &all, ProbeState::Unknown, 20).services[1].clone();
    assert_eq!((redis.state, redis.container.as_deref()), (ServiceState::Exited, Some("p-redis-2")));
    assert_eq!(redis.message.as_deref(), Some("it ended with code 0; 3 containers, p-redis-2 decides"));
    stack.spec.desired_state = DesiredState::Stopped;
    let redis = look(&stack, &all, ProbeState::Unknown, 20).services[1].clone();
    assert_eq!((redis.state, redis.container.as_deref()), (ServiceState::Running, Some("p-redis-1")));
}

#[test]
fn configuration_gives_drift_and_dependencies() {
    let entry = |hash: &str, depends_on: &[&str]| ComposeService {
        hash: hash.to_owned(),
        hash_alone: format!("{hash} alone"),
        depends_on: depends_on.iter().map(|&s| s.to_owned()).collect(),
        image: None,
        networks: vec!["p_default".to_owned()],
        replicas: 1,
    };
    let config = BTreeMap::from([("ui".to_owned(), entry("h2", &["db", "redis"])), ("redis".to_owned(), entry("h1", &[]))]);
    let containers = [container("ui", ContainerState::Running), container("redis", ContainerState::Exited)];
    let probes = |_: &str| Vec::new();
    let seen = Seen { containers: Ok(&containers), config: Some(&config), probes: &probes, ..nothing() };
    let status = observe(&stack(), &seen, at(20));
    assert_eq!((status.services[0].config_drift, status.services[1].config_drift), (Some(true), Some(false)));
    assert_eq!(status.services[0].depends_on, ["redis", "db"]);
    assert_eq!(status.services[0].probes[0].state, ProbeState::Unknown, "one entry for each probe of the spec");
    let mut alone = containers.clone();
    alone[0].config_hash = Some("h2 alone".to_owned());
    let brought_up_alone = Seen { containers: Ok(&alone), config: Some(&config), probes: &probes, ..nothing() };
    assert_eq!(observe(&stack(), &brought_up_alone, at(20)).services[0].config_drift, Some(false));
    let seen = Seen { config: None, ..seen };
    assert_eq!(observe(&stack(), &seen, at(20)).services[0].config_drift, None);
}

#[test]
fn what_the_planner_wrote_stays() {
    let mut stack = stack();
    let drift = Drift {
        service: "ui".to_owned(),
        kind: DriftKind::Missing,
        severity: Severity::Critical,
        since: at(1),
        evidence: "e".to_owned(),
    };
    let mut old = WicapStackStatus {
        drift: vec![drift],
        observed_at: Some(at(5)),
        planned_action: Some("x".to_owned()),
        ..Default::default()
    };
    condition::set(&mut old.conditions, condition::ESCALATED, Status::True, "R", "m", None, at(2));
    stack.status = Some(old.clone());
    let new = look(&stack, &[], ProbeState::Unknown, 20);
    assert_eq!((&new.drift, new.observed_at, &new.planned_action), (&old.drift, old.observed_at, &old.planned_action));
    assert_eq!(condition::get(&new.conditions, condition::ESCALATED), condition::get(&old.conditions, condition::ESCALATED));
    assert_eq!(new.observed_generation, Some(3));
}

/// A compose service with nothing special.
fn entry() -> ComposeService {
    ComposeService {
        hash: "h1".to_owned(),
        hash_alone: "h1".to_owned(),
        depends_on: Vec::new(),
        image: None,
        networks: vec!["p_default".to_owned()],
        replicas: 1,
    }
}

#[test]
fn an_image_has_drifted_when_its_name_means_another_than_the_one_that_runs() {
    let named = ComposeService { image: Some("declared:1".to_owned()), ..entry() };
    let with_name = BTreeMap::from([("redis".to_owned(), named)]);
    let without = BTreeMap::from([("redis".to_owned(), entry())]);
    let unread = container("redis", ContainerState::Running);
    let unknown = Container { image_id: None, ..unread.clone() };
    for (config, container, name, means, expected) in [
        (Some(&with_name), &unread, "declared:1", Some("sha256:1"), Some(false)),
        (Some(&with_name), &unread, "declared:1", Some("sha256:2"), Some(true)),
        (Some(&with_name), &unread, "declared:1", None, None),
        (Some(&without), &unread, "i", Some("sha256:2"), Some(true)),
        (None, &unread, "i", Some("sha256:1"), Some(false)),
        (None, &unknown, "i", Some("sha256:1"), None),
    ] {
        let images = |asked: &str| (asked == name).then_some(means).flatten().map(str::to_owned);
        let containers = [container.clone()];
        let seen = Seen { containers: Ok(&containers), config, images: &images, ..nothing() };
        assert_eq!(observe(&stack(), &seen, at(20)).services[1].image_drift, expected, "{name} {means:?} {config:?}");
        assert_eq!(image_name(container, config), name);
    }
}

#[test]
fn a_running_container_misses_the_networks_that_it_should_be_on() {
    let networks = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>();
    for (status, wants, has, missing) in [
        (ContainerState::Running, &["back", "front"][..], &["back", "front", "more"][..], &[][..]),
        (ContainerState::Running, &["back", "front"], &["back"], &["front"]),
        (ContainerState::Running, &["back", "front"], &[], &["back", "front"]),
        (ContainerState::Paused, &["front"], &[], &["front"]),
        (ContainerState::Running, &[], &["host"], &[]),
        (ContainerState::Exited, &["front"], &[], &[]),
        (ContainerState::Restarting, &["front"], &[], &[]),
    ] {
        let config = BTreeMap::from([("redis".to_owned(), ComposeService { networks: networks(wants), ..entry() })]);
        let containers = [Container { networks: networks(has), ..container("redis", status) }];
        let seen = Seen { containers: Ok(&containers), config: Some(&config), ..nothing() };
        assert_eq!(observe(&stack(), &seen, at(20)).services[1].missing_networks, missing, "{status:?} {wants:?} {has:?}");
    }
    let containers = [Container { networks: Vec::new(), ..container("redis", ContainerState::Running) }];
    let seen = Seen { containers: Ok(&containers), ..nothing() };
    assert!(observe(&stack(), &seen, at(20)).services[1].missing_networks.is_empty(), "nobody knows what it should have");
}

#[test]
fn a_service_with_fewer_containers_than_wanted_is_missing_and_with_enough_the_worst_decides() {
    use ContainerState::{Exited, Running};
    use ServiceState as S;
    let one = Replicas { desired: 1, ready: 0 };
    let with = |desired, ready| Some(Replicas { desired, ready });
    for (wanted, states, desired, state, replicas) in [
        (1, &[Running][..], DesiredState::Running, S::Running, None),
        (1, &[], DesiredState::Running, S::Missing, Some(one)),
        (1, &[Exited], DesiredState::Running, S::Exited, None),
        (1, &[Running, Running], DesiredState::Running, S::Running, with(1, 2)),
        (2, &[Running, Running], DesiredState::Running, S::Running, with(2, 2)),
        (3, &[Running, Running], DesiredState::Running, S::Missing, with(3, 2)),
        (3, &[Running, Exited], DesiredState::Running, S::Missing, with(3, 1)),
        (2, &[Running, Exited], DesiredState::Running, S::Exited, with(2, 1)),
        (0, &[], DesiredState::Running, S::Missing, with(0, 0)),
        (3, &[Exited], DesiredState::Stopped, S::Exited, with(3, 0)),
        (3, &[Exited, Running], DesiredState::Stopped, S::Running, with(3, 1)),
    ] {
        let config = BTreeMap::from([("redis".to_owned(), ComposeService { replicas: wanted, ..entry() })]);
        let numbered = |(number, status): (u32, &ContainerState)| Container {
            id: format!("redis-{number}"),
            number,
            ..container("redis", *status)
        };
        let containers: Vec<_> = (1..).zip(states).map(numbered).collect();
        let mut stack = stack();
        stack.spec.desired_state = desired;
        let seen = Seen { containers: Ok(&containers), config: Some(&config), ..nothing() };
        let status = observe(&stack, &seen, at(20));
        let redis = &status.services[1];
        assert_eq!((redis.state, redis.replicas), (state, replicas), "{wanted} of {states:?}, {desired:?}");
        // A configuration that cannot be read later makes it want no fewer.
        stack.status = Some(status.clone());
        let unread = Seen { config: None, ..seen };
        let later = observe(&stack, &unread, at(30));
        assert_eq!(
            (later.services[1].state, later.services[1].replicas),
            (state, replicas),
            "{wanted} of {states:?}, unread"
        );
    }
    let containers = [1, 2].map(|number| Container { number, ..container("ui", ContainerState::Running) });
    let config = BTreeMap::from([("ui".to_owned(), ComposeService { replicas: 2, ..entry() })]);
    let failing = |_: &str| probe(ProbeState::Failing);
    let seen = Seen { containers: Ok(&containers), config: Some(&config), probes: &failing, ..nothing() };
    assert_eq!(observe(&stack(), &seen, at(20)).services[0].replicas, with(2, 1), "the one that is probed is not well");
}

#[test]
fn an_orphan_is_what_no_service_of_any_profile_accounts_for() {
    let config = BTreeMap::from([("ui".to_owned(), entry()), ("redis".to_owned(), entry())]);
    let all: BTreeSet<String> = ["ui", "redis", "debug"].map(str::to_owned).into();
    let containers = ["ui", "old", "debug", "redis", "older"].map(|service| container(service, ContainerState::Running));
    let mut stack = stack();
    let whole = Seen { containers: Ok(&containers), config: Some(&config), all_services: Some(&all), ..nothing() };
    let status = observe(&stack, &whole, at(20));
    assert_eq!(status.orphans, ["p-old-1", "p-older-1"]);
    assert!(changed(Some(&WicapStackStatus { orphans: Vec::new(), ..status.clone() }), &status));
    // What is known stays known while it cannot be told, as long as it is there.
    stack.status = Some(status);
    let kept = |seen: &Seen<'_>| observe(&stack, seen, at(30)).orphans;
    assert_eq!(kept(&Seen { all_services: None, ..whole }), ["p-old-1", "p-older-1"]);
    let whole = Seen { containers: Ok(&containers[..4]), config: Some(&config), ..nothing() };
    assert_eq!(kept(&whole), ["p-old-1"]);
    assert_eq!(kept(&Seen { config: None, ..nothing() }), ["p-old-1", "p-older-1"]);
    assert_eq!(kept(&Seen { containers: Err("silent"), ..nothing() }), ["p-old-1", "p-older-1"]);
    assert_eq!(kept(&Seen { config: Some(&config), ..nothing() }), [""; 0]);
}

#[test]
fn samples_and_forgotten_starts_are_no_change_and_a_start_is() {
    let mut stack = stack();
    let mut status = look(&stack, &[], ProbeState::Unknown, 20);
    status.services[1].starts = vec![at(1), at(2)];
    stack.status = Some(status.clone());
    let mut other = status.clone();
    other.services[0].probes[0].samples.insert("eps".to_owned(), 0.5);
    other.services[1].starts.remove(0);
    assert!(!changed(Some(&status), &other));
    other.services[1].starts.push(at(3));
    assert!(changed(Some(&status), &other));
    let mut other = status.clone();
    other.services[0].probes[0].state = ProbeState::Failing;
    assert!(changed(Some(&status), &other));
}
