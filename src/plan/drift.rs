//! What of a stack is not as it should be.

use std::time::Duration;

use crate::api::stack::{
    DesiredState, Drift, DriftKind, HEARTBEAT, Health, OnConfigDrift, ProbeState, ServiceState, ServiceStatus, WicapStack,
    WicapStackSpec, WicapStackStatus,
};
use crate::api::{Time, elapsed};

/// Age over which an observation says nothing any more: three heartbeats, so that one late and one lost do no harm.
pub const STALE_AFTER: Duration = Duration::from_secs(3 * HEARTBEAT.as_secs());

/// Longest evidence, in characters. It is repeated in an action's cause, which takes 4096 bytes.
const EVIDENCE: usize = 600;

/// Whether the stack was never observed, or longer than [`STALE_AFTER`] ago.
#[must_use]
pub fn is_stale(status: Option<&WicapStackStatus>, now: Time) -> bool {
    status.and_then(|s| s.observed_at).is_none_or(|at| elapsed(at, now) > STALE_AFTER)
}

/// What of the stack is not as it should be, in the order of the spec.
///
/// Unknown is not down: a service in state Unknown, and every service of a stale observation, gives no drift.
#[must_use]
pub fn detect(stack: &WicapStack, now: Time) -> Vec<Drift> {
    let Some(status) = stack.status.as_ref().filter(|s| !is_stale(Some(s), now)) else { return Vec::new() };
    let mut drift = Vec::new();
    for spec in &stack.spec.services {
        let Some(service) = status.service(&spec.name) else { continue };
        let Some(kind) = kind(&stack.spec, service) else { continue };
        let known = status.drift.iter().find(|d| d.service == spec.name && d.kind == kind);
        drift.push(Drift {
            service: spec.name.clone(),
            kind,
            since: known.map(|d| d.since).or(service.since).unwrap_or(now),
            evidence: evidence(service, kind),
        });
    }
    drift
}

/// Whether the service is as desired now. Starting and Unknown are neither well nor in drift.
///
/// A changed configuration counts only where the service's recovery says Recreate: elsewhere it is reported, and the service
/// runs as it is meant to.
#[must_use]
pub fn is_well(spec: &WicapStackSpec, service: &ServiceStatus) -> bool {
    match (spec.desired_state, service.state) {
        (DesiredState::Running, ServiceState::Running) => {
            kind(spec, service).is_none_or(|kind| !calls_for_action(spec, &service.name, kind))
        }
        (DesiredState::Stopped, ServiceState::Exited | ServiceState::Dead | ServiceState::Missing) => true,
        _ => false,
    }
}

/// Whether a drift of that kind is to be mended, not only reported. Whether the service may be touched is another question.
pub(super) fn calls_for_action(spec: &WicapStackSpec, service: &str, kind: DriftKind) -> bool {
    let recreates = || spec.service(service).is_some_and(|s| spec.recovery(s).on_config_drift == OnConfigDrift::Recreate);
    kind != DriftKind::ConfigDrift || recreates()
}

fn kind(spec: &WicapStackSpec, service: &ServiceStatus) -> Option<DriftKind> {
    use ServiceState as S;
    match (spec.desired_state, service.state) {
        (DesiredState::Running, S::Exited | S::Dead) => Some(DriftKind::NotRunning),
        (DesiredState::Running, S::Missing) => Some(DriftKind::Missing),
        (DesiredState::Running, S::Unhealthy) => Some(DriftKind::Unhealthy),
        (DesiredState::Running, S::Paused) => Some(DriftKind::Paused),
        (DesiredState::Running, S::Restarting) => Some(DriftKind::Restarting),
        (DesiredState::Running, S::Running) if service.config_drift == Some(true) => Some(DriftKind::ConfigDrift),
        (DesiredState::Stopped, S::Running | S::Starting | S::Unhealthy | S::Restarting | S::Paused) => {
            Some(DriftKind::ShouldBeStopped)
        }
        (DesiredState::Running, S::Running | S::Starting | S::Unknown)
        | (DesiredState::Stopped, S::Exited | S::Dead | S::Missing | S::Unknown) => None,
    }
}

/// One line for people: everything the status holds that explains the drift.
fn evidence(service: &ServiceStatus, kind: DriftKind) -> String {
    let mut parts = Vec::new();
    parts.push(match (kind, service.state, service.exit_code) {
        (DriftKind::NotRunning, ServiceState::Dead, _) => "the engine could not remove its container".to_owned(),
        (DriftKind::NotRunning, _, Some(code)) => format!("exited with code {code}"),
        (DriftKind::NotRunning, _, None) => "its container does not run".to_owned(),
        (DriftKind::Missing, ..) => "it has no container".to_owned(),
        (DriftKind::Unhealthy, ..) => "it runs and does not pass its checks".to_owned(),
        (DriftKind::Paused, ..) => "its container is paused".to_owned(),
        (DriftKind::Restarting, _, Some(code)) => format!("the engine restarts it, last exit code {code}"),
        (DriftKind::Restarting, _, None) => "the engine restarts it".to_owned(),
        (DriftKind::ShouldBeStopped, state, _) => format!("it is {state:?} and should be stopped"),
        (DriftKind::ConfigDrift, ..) => "its container has another configuration than the compose file now gives".to_owned(),
    });
    let message = service.message.clone().filter(|m| !m.trim().is_empty());
    // Of a container that does not run the observer's message says the same and more.
    if matches!(kind, DriftKind::NotRunning | DriftKind::Missing | DriftKind::Paused) {
        if let Some(message) = message {
            parts = vec![message];
        }
    } else {
        parts.extend(message);
    }
    if service.oom_killed && !parts[0].contains("for want of memory") {
        parts.push("killed for want of memory".to_owned());
    }
    if service.restarts > 0 {
        parts.push(format!("{} restarts by the engine", service.restarts));
    }
    if kind == DriftKind::Unhealthy {
        if service.health == Some(Health::Unhealthy) {
            parts.push("its health check fails".to_owned());
        }
        for probe in service.probes.iter().filter(|p| p.state == ProbeState::Failing) {
            let why = probe.message.as_deref().map(|m| format!(": {m}")).unwrap_or_default();
            parts.push(format!("probe {} fails{why}", probe.name));
        }
    }
    let line = parts.join(", ");
    let clean = line.chars().map(|c| if c.is_control() { ' ' } else { c });
    if line.chars().count() > EVIDENCE { clean.take(EVIDENCE).chain(['…']).collect() } else { clean.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::stack::ProbeStatus;
    use crate::plan::fixtures::{at, service, stack};

    const STATES: [ServiceState; 9] = [
        ServiceState::Running,
        ServiceState::Starting,
        ServiceState::Restarting,
        ServiceState::Exited,
        ServiceState::Paused,
        ServiceState::Dead,
        ServiceState::Missing,
        ServiceState::Unhealthy,
        ServiceState::Unknown,
    ];

    fn kinds(desired: DesiredState) -> Vec<Option<DriftKind>> {
        STATES
            .into_iter()
            .map(|state| {
                let mut s = stack(&[("a", state)]);
                s.spec.desired_state = desired;
                detect(&s, at(0)).first().map(|d| d.kind)
            })
            .collect()
    }

    #[test]
    fn each_state_gives_its_drift() {
        use DriftKind as D;
        assert_eq!(
            kinds(DesiredState::Running),
            [
                None,
                None,
                Some(D::Restarting),
                Some(D::NotRunning),
                Some(D::Paused),
                Some(D::NotRunning),
                Some(D::Missing),
                Some(D::Unhealthy),
                None,
            ]
        );
        let stop = Some(D::ShouldBeStopped);
        assert_eq!(kinds(DesiredState::Stopped), [stop, stop, stop, None, stop, None, None, stop, None]);
    }

    #[test]
    fn a_service_is_never_both_well_and_in_drift_that_calls_for_action() {
        for desired in [DesiredState::Running, DesiredState::Stopped] {
            for state in STATES {
                for (config, policy) in
                    [(true, OnConfigDrift::Report), (true, OnConfigDrift::Recreate), (false, OnConfigDrift::Report)]
                {
                    let mut s = stack(&[("a", state)]);
                    s.spec.desired_state = desired;
                    s.spec.defaults.recovery.on_config_drift = policy;
                    service(&mut s, "a").config_drift = Some(config);
                    let acts = detect(&s, at(0)).iter().any(|d| calls_for_action(&s.spec, "a", d.kind));
                    let well = is_well(&s.spec, s.status.as_ref().unwrap().service("a").unwrap());
                    assert!(!(acts && well), "{desired:?} {state:?} {config} {policy:?}");
                    let neither = matches!(state, ServiceState::Unknown)
                        || (state == ServiceState::Starting && desired == DesiredState::Running);
                    assert_eq!(!acts && !well, neither, "{desired:?} {state:?} {config} {policy:?}");
                }
            }
        }
    }

    #[test]
    fn an_observation_is_stale_one_millisecond_after_three_heartbeats() {
        let mut s = stack(&[("a", ServiceState::Exited)]);
        assert_eq!(detect(&s, at(90_000)).len(), 1);
        assert!(detect(&s, at(90_001)).is_empty());
        s.status.as_mut().unwrap().observed_at = None;
        assert!(detect(&s, at(0)).is_empty());
        s.status = None;
        assert!(is_stale(s.status.as_ref(), at(0)));
    }

    #[test]
    fn a_drift_keeps_its_beginning_while_its_kind_stays() {
        let mut s = stack(&[("a", ServiceState::Exited)]);
        service(&mut s, "a").since = Some(at(500));
        assert_eq!(detect(&s, at(2000))[0].since, at(500));
        s.status.as_mut().unwrap().drift = detect(&s, at(2000));
        service(&mut s, "a").since = Some(at(1500));
        assert_eq!(detect(&s, at(2000))[0].since, at(500));
        service(&mut s, "a").state = ServiceState::Missing;
        assert_eq!(detect(&s, at(2000))[0].since, at(1500));
        service(&mut s, "a").since = None;
        assert_eq!(detect(&s, at(2000))[0].since, at(2000));
    }

    #[test]
    fn the_evidence_says_all_the_status_holds_on_one_line() {
        let mut s = stack(&[("a", ServiceState::Exited), ("b", ServiceState::Unhealthy)]);
        let a = service(&mut s, "a");
        (a.exit_code, a.oom_killed, a.restarts) = (Some(137), true, 3);
        a.message = Some("last\nwords".into());
        let b = service(&mut s, "b");
        b.health = Some(Health::Unhealthy);
        b.probes =
            vec![ProbeStatus { state: ProbeState::Failing, message: Some("refused".into()), ..ProbeStatus::unasked("up") }];
        let drift = detect(&s, at(0));
        assert_eq!(drift[0].evidence, "last words, killed for want of memory, 3 restarts by the engine");
        assert_eq!(
            drift[1].evidence,
            "it runs and does not pass its checks, its health check fails, probe up fails: refused"
        );
        service(&mut s, "a").message = Some("x".repeat(10_000));
        assert!(detect(&s, at(0))[0].evidence.chars().count() <= EVIDENCE + 1);
    }

    #[test]
    fn only_listed_services_drift_and_unmanaged_ones_are_reported() {
        let mut s = stack(&[("a", ServiceState::Exited), ("b", ServiceState::Exited)]);
        s.spec.services.remove(0);
        s.spec.services[0].managed = false;
        assert_eq!(detect(&s, at(0)).iter().map(|d| d.service.as_str()).collect::<Vec<_>>(), ["b"]);
    }
}
