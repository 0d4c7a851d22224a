//! From what was read to a status. Pure: the rules of states are here, and nothing else is.
//!
//! ```text
//!   engine silent                 -> Unknown       paused      -> Paused
//!   no container                  -> Missing       restarting  -> Restarting
//!   created, exited, removing     -> Exited        dead        -> Dead
//!   running: health or a probe fails -> Unhealthy; one has not spoken yet -> Starting; else Running
//! ```

use std::collections::BTreeMap;

use super::compose::ComposeService;
use super::engine::{Container, ContainerState};
use crate::api::Time;
use crate::api::condition::{self, AVAILABLE, OBSERVED, Status};
use crate::api::stack::{
    DesiredState, Health, ProbeState, ProbeStatus, ServiceSpec, ServiceState, ServiceStatus, WicapStack, WicapStackStatus,
};

/// Reason of Observed=True: the engine was asked and answered.
pub const ENGINE_ANSWERS: &str = "EngineAnswers";
/// Reason of Observed=Unknown and Available=Unknown: the engine was asked and did not answer.
pub const ENGINE_SILENT: &str = "EngineSilent";
/// Reason of Available=True: every critical, managed service is as desired.
pub const AS_DESIRED: &str = "AsDesired";
/// Reason of Available=False: a critical, managed service is not as desired.
pub const NOT_AS_DESIRED: &str = "NotAsDesired";

/// What was read of one stack.
pub struct Seen<'a> {
    /// The containers of the project, or why the engine did not answer.
    pub containers: Result<&'a [Container], &'a str>,
    /// The compose configuration, when it could be read.
    pub config: Option<&'a BTreeMap<String, ComposeService>>,
    /// The verdicts of a service's probes.
    pub probes: &'a (dyn Fn(&str) -> Vec<ProbeStatus> + Sync),
}

/// The status after this look: what an observer writes is new, all else is as it was, `observedAt` too.
#[must_use]
pub fn observe(stack: &WicapStack, seen: &Seen<'_>, now: Time) -> WicapStackStatus {
    let mut status = stack.status.clone().unwrap_or_default();
    let desired = stack.spec.desired_state;
    let services: Vec<_> = stack
        .spec
        .services
        .iter()
        .map(|spec| {
            let old = status.service(&spec.name);
            let mut new = match seen.containers {
                Ok(containers) => service(spec, desired, containers, seen, now),
                Err(why) => unasked(spec, old, why),
            };
            new.since = match old {
                Some(old) if old.state == new.state => old.since,
                _ if new.state == ServiceState::Exited => Some(new.finished_at.map_or(now, |ended| ended.min(now))),
                _ => Some(now),
            };
            new.depends_on = depends_on(spec, seen.config);
            new.probes = probes(spec, seen);
            new
        })
        .collect();
    status.services = services;
    status.observed_generation = stack.metadata.generation;
    judge(stack, seen, &mut status, now);
    status
}

/// Whether two statuses differ in what an observer writes, `observedAt` aside.
#[must_use]
pub fn changed(old: Option<&WicapStackStatus>, new: &WicapStackStatus) -> bool {
    let Some(old) = old else { return true };
    let condition = |type_| condition::get(&old.conditions, type_) != condition::get(&new.conditions, type_);
    old.observed_generation != new.observed_generation
        || old.ready != new.ready
        || old.services != new.services
        || condition(OBSERVED)
        || condition(AVAILABLE)
}

/// What a container is by the engine's words alone, probes not asked.
#[must_use]
pub fn engine_state(container: &Container) -> ServiceState {
    match container.status {
        ContainerState::Created | ContainerState::Exited | ContainerState::Removing => ServiceState::Exited,
        ContainerState::Dead => ServiceState::Dead,
        // Before health: the engine calls a paused container unhealthy once its check times out.
        ContainerState::Paused => ServiceState::Paused,
        ContainerState::Restarting => ServiceState::Restarting,
        ContainerState::Running => match container.health {
            Some(Health::Unhealthy) => ServiceState::Unhealthy,
            Some(Health::Starting) => ServiceState::Starting,
            Some(Health::Healthy) | None => ServiceState::Running,
        },
    }
}

/// The container that speaks for its service: the furthest from what is desired, and of those the one with the lowest number.
#[must_use]
pub fn spokesman<'a>(service: &str, desired: DesiredState, containers: &'a [Container]) -> Option<&'a Container> {
    let badness = |c: &Container| match engine_state(c) {
        ServiceState::Running => 0,
        ServiceState::Starting => 1,
        ServiceState::Unhealthy => 2,
        ServiceState::Paused => 3,
        ServiceState::Restarting => 4,
        ServiceState::Exited => 5,
        ServiceState::Dead | ServiceState::Missing | ServiceState::Unknown => 6,
    };
    let rank = |c: &&Container| match desired {
        DesiredState::Running => (-badness(c), c.number),
        DesiredState::Stopped => (badness(c), c.number),
    };
    containers.iter().filter(|c| c.service == service).min_by_key(rank)
}

/// Whether a state is what is desired.
fn as_desired(state: ServiceState, desired: DesiredState) -> bool {
    match desired {
        DesiredState::Running => state == ServiceState::Running,
        DesiredState::Stopped => matches!(state, ServiceState::Exited | ServiceState::Missing | ServiceState::Dead),
    }
}

/// A service whose engine does not answer: the last facts stay, for people, but nothing is claimed.
fn unasked(spec: &ServiceSpec, old: Option<&ServiceStatus>, why: &str) -> ServiceStatus {
    let mut status = old.cloned().unwrap_or_default();
    status.name.clone_from(&spec.name);
    status.state = ServiceState::Unknown;
    status.message = Some(format!("the engine does not answer: {why}"));
    status
}

fn service(
    spec: &ServiceSpec,
    desired: DesiredState,
    containers: &[Container],
    seen: &Seen<'_>,
    now: Time,
) -> ServiceStatus {
    let mut status = ServiceStatus { name: spec.name.clone(), state: ServiceState::Missing, ..ServiceStatus::default() };
    let Some(container) = spokesman(&spec.name, desired, containers) else {
        status.message = Some("it has no container".to_owned());
        return status;
    };
    let (state, message) = state(container, &probes(spec, seen));
    let of_service = containers.iter().filter(|c| c.service == spec.name).count();
    let several = (of_service > 1).then(|| format!("{of_service} containers, {} decides", container.name));
    let message = [message, several].into_iter().flatten().collect::<Vec<_>>().join("; ");
    let runs = matches!(container.status, ContainerState::Running | ContainerState::Paused);
    let compose = seen.config.and_then(|config| config.get(&spec.name));
    status.state = state;
    status.health = container.health;
    status.container_id = Some(container.id.clone());
    status.container = Some(container.name.clone());
    status.restarts = container.restart_count;
    status.started_at = container.started_at;
    status.finished_at = container.finished_at.filter(|_| !runs).map(|ended| ended.min(now));
    // A container that never ran has no exit code, though the engine says 0.
    status.exit_code = container.exit_code.filter(|_| !runs && container.finished_at.is_some());
    status.oom_killed = container.oom_killed;
    status.image = Some(container.image.clone());
    status.config_drift = container
        .config_hash
        .as_ref()
        .zip(compose)
        .map(|(hash, compose)| *hash != compose.hash && *hash != compose.hash_alone);
    status.message = (!message.is_empty()).then_some(message);
    status
}

fn state(container: &Container, probes: &[ProbeStatus]) -> (ServiceState, Option<String>) {
    let state = engine_state(container);
    let code = container.exit_code.map_or_else(String::new, |code| format!(" with code {code}"));
    let memory = if container.oom_killed { ", killed for want of memory" } else { "" };
    let with = |expected| probes.iter().find(|p| p.state == expected);
    match (state, container.status) {
        (_, ContainerState::Created) => (state, Some("its container was made and never started".to_owned())),
        (_, ContainerState::Removing) => (state, Some("its container is being removed".to_owned())),
        (_, ContainerState::Exited) => (state, Some(format!("it ended{code}{memory}"))),
        (ServiceState::Restarting, _) => {
            let restarts = container.restart_count;
            (state, Some(format!("the engine is restarting it, after it ended{code}{memory}; restarts so far: {restarts}")))
        }
        (ServiceState::Dead, _) => (state, Some("the engine could not remove its container".to_owned())),
        (ServiceState::Unhealthy, _) => (state, Some("its health check fails".to_owned())),
        (ServiceState::Running | ServiceState::Starting, _) => {
            if let Some(probe) = with(ProbeState::Failing) {
                let why = probe.message.as_deref().unwrap_or("no answer");
                (ServiceState::Unhealthy, Some(format!("probe {} fails: {why}", probe.name)))
            } else if state == ServiceState::Starting {
                (state, Some("its health check has not passed yet".to_owned()))
            } else if let Some(probe) = with(ProbeState::Unknown) {
                (ServiceState::Starting, Some(format!("probe {} has not passed yet", probe.name)))
            } else {
                (state, None)
            }
        }
        _ => (state, None),
    }
}

/// One status for each probe of the spec, in its order; Unknown where none was given.
fn probes(spec: &ServiceSpec, seen: &Seen<'_>) -> Vec<ProbeStatus> {
    if spec.probes.is_empty() {
        return Vec::new();
    }
    let given = (seen.probes)(&spec.name);
    let unasked = |name: &str| ProbeStatus { name: name.to_owned(), state: ProbeState::Unknown, since: None, message: None };
    let of = |name: &str| given.iter().find(|p| p.name == name).cloned().unwrap_or_else(|| unasked(name));
    spec.probes.iter().map(|probe| of(&probe.name)).collect()
}

/// The spec's dependencies, and after them the compose file's.
fn depends_on(spec: &ServiceSpec, config: Option<&BTreeMap<String, ComposeService>>) -> Vec<String> {
    let mut all = spec.depends_on.clone();
    let more = config.and_then(|c| c.get(&spec.name)).map_or(&[][..], |s| &s.depends_on);
    for name in more {
        if !all.contains(name) {
            all.push(name.clone());
        }
    }
    all
}

/// `ready` and the two conditions.
fn judge(stack: &WicapStack, seen: &Seen<'_>, status: &mut WicapStackStatus, now: Time) {
    let generation = stack.metadata.generation;
    let mut set = |type_, verdict, reason, message: String| {
        condition::set(&mut status.conditions, type_, verdict, reason, message, generation, now);
    };
    if let Err(why) = seen.containers {
        set(OBSERVED, Status::Unknown, ENGINE_SILENT, why.to_owned());
        set(AVAILABLE, Status::Unknown, ENGINE_SILENT, "it cannot be known while the engine does not answer".to_owned());
        status.ready = None;
        return;
    }
    set(OBSERVED, Status::True, ENGINE_ANSWERS, String::new());
    let desired = stack.spec.desired_state;
    let managed: Vec<_> = stack.spec.services.iter().zip(&status.services).filter(|(spec, _)| spec.managed).collect();
    let lacking: Vec<_> = managed
        .iter()
        .filter(|(spec, seen)| spec.critical && !as_desired(seen.state, desired))
        .map(|(spec, seen)| format!("{} is {:?}", spec.name, seen.state))
        .collect();
    if lacking.is_empty() {
        set(AVAILABLE, Status::True, AS_DESIRED, String::new());
    } else {
        set(AVAILABLE, Status::False, NOT_AS_DESIRED, lacking.join(", "));
    }
    let ready = managed.iter().filter(|(_, seen)| as_desired(seen.state, desired)).count();
    status.ready = Some(format!("{ready}/{}", managed.len()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::stack::{Drift, DriftKind, Severity};
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

    fn probe(state: ProbeState) -> Vec<ProbeStatus> {
        vec![ProbeStatus { name: "web".to_owned(), state, since: None, message: Some("refused".to_owned()) }]
    }

    fn look(stack: &WicapStack, containers: &[Container], probes: ProbeState, now: i64) -> WicapStackStatus {
        let seen = Seen { containers: Ok(containers), config: None, probes: &|_| probe(probes) };
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
        let silent = Seen { containers: Err("no socket"), config: None, probes: &probes };
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
        };
        let config =
            BTreeMap::from([("ui".to_owned(), entry("h2", &["db", "redis"])), ("redis".to_owned(), entry("h1", &[]))]);
        let containers = [container("ui", ContainerState::Running), container("redis", ContainerState::Exited)];
        let probes = |_: &str| Vec::new();
        let seen = Seen { containers: Ok(&containers), config: Some(&config), probes: &probes };
        let status = observe(&stack(), &seen, at(20));
        assert_eq!((status.services[0].config_drift, status.services[1].config_drift), (Some(true), Some(false)));
        assert_eq!(status.services[0].depends_on, ["redis", "db"]);
        assert_eq!(status.services[0].probes[0].state, ProbeState::Unknown, "one entry for each probe of the spec");
        let mut alone = containers.clone();
        alone[0].config_hash = Some("h2 alone".to_owned());
        let brought_up_alone = Seen { containers: Ok(&alone), config: Some(&config), probes: &probes };
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
        assert_eq!(
            condition::get(&new.conditions, condition::ESCALATED),
            condition::get(&old.conditions, condition::ESCALATED)
        );
        assert_eq!(new.observed_generation, Some(3));
    }
}
