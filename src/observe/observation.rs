//! From what was read to a status. Pure: the rules of states are here, and nothing else is.
//!
//! ```text
//!   engine silent                 -> Unknown       paused      -> Paused
//!   no container                  -> Missing       restarting  -> Restarting
//!   created, exited, removing     -> Exited        dead        -> Dead
//!   running: health or a probe fails -> Unhealthy; one has not spoken yet -> Starting; else Running
//!   of several containers the worst decides; fewer than the compose file wants -> Missing
//! ```

mod starts;

use std::collections::{BTreeMap, BTreeSet};

use super::compose::ComposeService;
use super::engine::{Container, ContainerState};
use crate::api::Time;
use crate::api::condition::{self, AVAILABLE, OBSERVED, Status};
use crate::api::stack::{
    DesiredState, Health, ProbeState, ProbeStatus, Replicas, ServiceSpec, ServiceState, ServiceStatus, WicapStack,
    WicapStackStatus,
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
    /// The names of all services that the compose files have, those of profiles that are not enabled too. Asked for when there is a
    /// container of a service that `config` does not have; absent when it was not, or could not be found out.
    pub all_services: Option<&'a BTreeSet<String>>,
    /// The id of the image that a name means now, where it means one and that could be found out.
    pub images: &'a (dyn Fn(&str) -> Option<String> + Sync),
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
                Ok(containers) => match spokesman(&spec.name, desired, containers) {
                    Some(silent) if silent.status == ContainerState::Unanswered => {
                        unasked(spec, old, &format!("nothing is known of the container {}", silent.name))
                    }
                    spokesman => {
                        let mut new = service(spec, desired, containers, seen, old, now);
                        new.starts = starts::starts(old, spokesman, containers, status.observed_at, now);
                        new
                    }
                },
                Err(why) => unasked(spec, old, why),
            };
            new.since = match old {
                Some(old) if old.state == new.state => old.since,
                _ if new.state == ServiceState::Exited => Some(new.finished_at.map_or(now, |ended| ended.min(now))),
                _ => Some(now),
            };
            new.depends_on = depends_on(spec, seen.config, old);
            new.probes = probes(spec, seen);
            new
        })
        .collect();
    status.services = services;
    if let (Ok(containers), Some(config)) = (seen.containers, seen.config) {
        status.orphans = orphans(containers, config, seen.all_services, &status.orphans);
    }
    status.observed_generation = stack.metadata.generation;
    judge(stack, seen, &mut status, now);
    status
}

/// Whether two statuses differ in what an observer writes and somebody waits for: `observedAt`, samples, and the passing of time that
/// makes an old start forgotten are not that.
#[must_use]
pub fn changed(old: Option<&WicapStackStatus>, new: &WicapStackStatus) -> bool {
    let Some(old) = old else { return true };
    let condition = |type_| condition::get(&old.conditions, type_) != condition::get(&new.conditions, type_);
    old.observed_generation != new.observed_generation
        || old.ready != new.ready
        || old.orphans != new.orphans
        || old.services.len() != new.services.len()
        || old.services.iter().zip(&new.services).any(|(old, new)| differs(old, new))
        || condition(OBSERVED)
        || condition(AVAILABLE)
}

fn differs(old: &ServiceStatus, new: &ServiceStatus) -> bool {
    let mut old = old.clone();
    if old.starts.ends_with(&new.starts) {
        old.starts.clone_from(&new.starts);
    }
    for (old, new) in old.probes.iter_mut().zip(&new.probes) {
        old.samples.clone_from(&new.samples);
    }
    old != *new
}

/// The services of containers that the compose configuration does not have: to know whether they are orphans, the services of
/// profiles that are not enabled are needed too.
pub fn strangers<'a>(
    containers: &'a [Container],
    config: &BTreeMap<String, ComposeService>,
) -> impl Iterator<Item = &'a Container> {
    containers.iter().filter(|container| !config.contains_key(&container.service))
}

/// The name of the image that a container should run: the compose file's, else the one it was created from.
#[must_use]
pub fn image_name<'a>(container: &'a Container, config: Option<&'a BTreeMap<String, ComposeService>>) -> &'a str {
    let declared = config.and_then(|config| config.get(&container.service)).and_then(|service| service.image.as_deref());
    declared.unwrap_or(&container.image)
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
        ContainerState::Unanswered => ServiceState::Unknown,
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
        // One of which nothing is known may run.
        DesiredState::Stopped if engine_state(c) == ServiceState::Unknown => (-1, c.number),
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
    old: Option<&ServiceStatus>,
    now: Time,
) -> ServiceStatus {
    let mut status = ServiceStatus { name: spec.name.clone(), state: ServiceState::Missing, ..ServiceStatus::default() };
    let probes = probes(spec, seen);
    let compose = seen.config.and_then(|config| config.get(&spec.name));
    let of_service: Vec<&Container> = containers.iter().filter(|c| c.service == spec.name).collect();
    // A configuration that cannot be read now does not make the service need fewer containers.
    let wanted = compose.map(|c| c.replicas).or_else(|| old.and_then(|old| old.replicas).map(|r| r.desired));
    status.replicas = replicas(wanted, &of_service, &probes);
    let Some(container) = spokesman(&spec.name, desired, containers) else {
        status.message = Some("it has no container".to_owned());
        return status;
    };
    let count = of_service.len();
    let (state, message) = state(container, &probes);
    let lacking =
        wanted.filter(|wanted| desired == DesiredState::Running && count < usize::try_from(*wanted).unwrap_or(usize::MAX));
    let too_few = lacking.map(|wanted| format!("it has {count} of {wanted} containers"));
    let several = (count > 1).then(|| format!("{count} containers, {} decides", container.name));
    let message = [too_few, message, several].into_iter().flatten().collect::<Vec<_>>().join("; ");
    let runs = matches!(container.status, ContainerState::Running | ContainerState::Paused);
    status.state = if lacking.is_some() { ServiceState::Missing } else { state };
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
    let means = (seen.images)(image_name(container, seen.config));
    status.image_drift = container.image_id.as_ref().zip(means).map(|(runs, means)| *runs != means);
    // The engine forgets the networks of a container while it does not run.
    let networks = compose.filter(|_| runs).map_or(&[][..], |compose| &compose.networks);
    status.missing_networks = networks.iter().filter(|network| !container.networks.contains(network)).cloned().collect();
    status.message = (!message.is_empty()).then_some(message);
    status
}

/// Absent for the ordinary case, one of one, and where nobody knows how many there should be.
fn replicas(wanted: Option<u32>, containers: &[&Container], probes: &[ProbeStatus]) -> Option<Replicas> {
    let desired = wanted.filter(|wanted| *wanted != 1 || containers.len() != 1)?;
    let well = containers.iter().filter(|c| engine_state(c) == ServiceState::Running).count();
    // The probes speak of one of those that run.
    let unproven = usize::from(probes.iter().any(|p| p.state != ProbeState::Passing));
    Some(Replicas { desired, ready: u32::try_from(well.saturating_sub(unproven)).unwrap_or(u32::MAX) })
}

/// Names of the containers that belong to no service of the compose files, sorted; those that were known before where it cannot be
/// told now.
fn orphans(
    containers: &[Container],
    config: &BTreeMap<String, ComposeService>,
    all_services: Option<&BTreeSet<String>>,
    known: &[String],
) -> Vec<String> {
    let is_orphan = |container: &&Container| match all_services {
        Some(all) => !all.contains(&container.service),
        None => known.contains(&container.name),
    };
    let mut names: Vec<String> = strangers(containers, config).filter(is_orphan).map(|c| c.name.clone()).collect();
    names.sort_unstable();
    names
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
                let why = probe.message.as_deref().map_or(String::new(), |why| format!(": {why}"));
                (ServiceState::Starting, Some(format!("probe {} has not passed yet{why}", probe.name)))
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
    let of = |name: &str| given.iter().find(|p| p.name == name).cloned().unwrap_or_else(|| ProbeStatus::unasked(name));
    spec.probes.iter().map(|probe| of(&probe.name)).collect()
}

/// The spec's dependencies, and after them the compose file's.
fn depends_on(
    spec: &ServiceSpec,
    config: Option<&BTreeMap<String, ComposeService>>,
    old: Option<&ServiceStatus>,
) -> Vec<String> {
    let mut all = spec.depends_on.clone();
    let more = match config {
        Some(config) => config.get(&spec.name).map(|service| &service.depends_on),
        // A configuration that cannot be read now makes nobody independent.
        None => old.map(|old| &old.depends_on),
    };
    for name in more.into_iter().flatten() {
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
    let lacking: Vec<_> = managed.iter().filter(|(spec, seen)| spec.critical && !as_desired(seen.state, desired)).collect();
    let told =
        lacking.iter().map(|(spec, seen)| format!("{} is {:?}", spec.name, seen.state)).collect::<Vec<_>>().join(", ");
    if lacking.is_empty() {
        set(AVAILABLE, Status::True, AS_DESIRED, String::new());
    } else if lacking.iter().all(|(_, seen)| seen.state == ServiceState::Unknown) {
        set(AVAILABLE, Status::Unknown, ENGINE_SILENT, told);
    } else {
        set(AVAILABLE, Status::False, NOT_AS_DESIRED, told);
    }
    let ready = managed.iter().filter(|(_, seen)| as_desired(seen.state, desired)).count();
    status.ready = Some(format!("{ready}/{}", managed.len()));
}

#[cfg(test)]
mod tests;
