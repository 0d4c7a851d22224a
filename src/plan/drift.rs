//! What of a stack is not as it should be.

use std::time::Duration;

use crate::api::stack::{
    DesiredState, Drift, DriftKind, HEARTBEAT, Health, OnConfigDrift, ProbeState, Recovery, ServiceSpec, ServiceState,
    ServiceStatus, WicapStack, WicapStackSpec, WicapStackStatus,
};
use crate::api::{Severity, Time, after, elapsed};

/// Age over which an observation says nothing any more: three heartbeats, so that one late and one lost do no harm.
pub const STALE_AFTER: Duration = Duration::from_secs(3 * HEARTBEAT.as_secs());

/// Longest evidence, in characters. It is repeated in an action's cause, which takes 4096 bytes.
const EVIDENCE: usize = 600;

/// Whether the stack was never observed, or longer than [`STALE_AFTER`] ago.
#[must_use]
pub fn is_stale(status: Option<&WicapStackStatus>, now: Time) -> bool {
    status.and_then(|s| s.observed_at).is_none_or(|at| elapsed(at, now) > STALE_AFTER)
}

/// What of the stack is not as it should be, in the order of the spec, and what is so of the stack as a whole.
///
/// Unknown is not down: a service in state Unknown, and every service of a stale observation, gives no drift.
#[must_use]
pub fn detect(stack: &WicapStack, now: Time) -> Vec<Drift> {
    detect_anew(stack, &|_| false, now)
}

/// The same where incidents of some services are being acknowledged: their starts until now do not count.
pub(super) fn detect_anew(stack: &WicapStack, acknowledged: &dyn Fn(&str) -> bool, now: Time) -> Vec<Drift> {
    let Some(status) = stack.status.as_ref().filter(|s| !is_stale(Some(s), now)) else { return Vec::new() };
    let known = |service: &str, kind| status.drift.iter().find(|d| d.service == service && d.kind == kind).map(|d| d.since);
    let mut drift = Vec::new();
    for spec in &stack.spec.services {
        let Some(service) = status.service(&spec.name) else { continue };
        let flaps = !acknowledged(&spec.name) && flaps_until(stack, service, now).is_some();
        let kind = if flaps { Some(DriftKind::Flapping) } else { kind_now(&stack.spec, service) };
        let Some(kind) = kind else { continue };
        let began = match kind {
            DriftKind::Flapping => service.starts.iter().max().copied(),
            // They come to what runs, and it goes on as it was: its state says nothing of their age.
            DriftKind::Detached | DriftKind::ConfigDrift | DriftKind::ImageDrift => None,
            _ => service.since,
        };
        drift.push(Drift {
            service: spec.name.clone(),
            kind,
            severity: severity(&stack.spec, spec, kind),
            since: known(&spec.name, kind).or(began).unwrap_or(now),
            evidence: evidence(&stack.spec, service, kind),
        });
    }
    let seen = status.services.iter().any(|s| s.state != ServiceState::Unknown);
    if seen && !status.orphans.is_empty() {
        let mut orphans: Vec<_> = status.orphans.iter().map(String::as_str).collect();
        orphans.sort_unstable();
        drift.push(Drift {
            service: String::new(),
            kind: DriftKind::Orphans,
            severity: Severity::Info,
            since: known("", DriftKind::Orphans).unwrap_or(now),
            evidence: one_line(&format!("the compose files have no service for {}", orphans.join(", "))),
        });
    }
    drift
}

fn severity(spec: &WicapStackSpec, service: &ServiceSpec, kind: DriftKind) -> Severity {
    match kind {
        kind if !calls_for_action(spec, &service.name, kind) => Severity::Info,
        // It serves.
        DriftKind::ConfigDrift | DriftKind::ImageDrift | DriftKind::ShouldBeStopped => Severity::Warning,
        _ if service.critical => Severity::Critical,
        _ => Severity::Warning,
    }
}

/// Whether the service is as desired now. Starting and Unknown are neither well nor in drift.
///
/// A changed configuration or image counts only where the service's recovery says Recreate: elsewhere it is reported, and the
/// service runs as it is meant to. That it has started often does not count: it may serve at the moment.
#[must_use]
pub fn is_well(spec: &WicapStackSpec, service: &ServiceStatus) -> bool {
    match (spec.desired_state, service.state) {
        (DesiredState::Running, ServiceState::Running) => {
            kind_now(spec, service).is_none_or(|kind| !calls_for_action(spec, &service.name, kind))
        }
        (DesiredState::Stopped, ServiceState::Exited | ServiceState::Dead | ServiceState::Missing) => true,
        _ => false,
    }
}

/// Whether a drift of that kind is to be mended or a person called for it, and not only reported. Whether the service may be
/// touched is another question.
pub(super) fn calls_for_action(spec: &WicapStackSpec, service: &str, kind: DriftKind) -> bool {
    let recreates = |on: fn(&Recovery) -> OnConfigDrift| {
        spec.service(service).is_some_and(|s| on(spec.recovery(s)) == OnConfigDrift::Recreate)
    };
    match kind {
        DriftKind::ConfigDrift => recreates(|r| r.on_config_drift),
        DriftKind::ImageDrift => recreates(|r| r.on_image_drift),
        DriftKind::Orphans => false,
        _ => true,
    }
}

/// Whether the service runs as it was created, and mending the drift disturbs what serves.
pub(super) fn is_voluntary(kind: DriftKind) -> bool {
    matches!(kind, DriftKind::ConfigDrift | DriftKind::ImageDrift)
}

/// Until when the service counts as flapping if it does not start again; none when it does not.
pub(super) fn flaps_until(stack: &WicapStack, service: &ServiceStatus, now: Time) -> Option<Time> {
    let spec = &stack.spec;
    let flapping = &spec.recovery(spec.service(&service.name)?).flapping;
    let state = stack.status.iter().flat_map(|s| &s.recovery).find(|r| r.service == service.name);
    let seen_to = state.and_then(|state| state.acknowledged_at);
    // Who starts over and over for want of another is not the one that flaps.
    let seen_to = seen_to.unwrap_or(Time::MIN).max(dependencies_well_since(stack, service)?);
    let mut starts: Vec<Time> = service.starts.iter().copied().filter(|at| *at > seen_to).collect();
    starts.sort_unstable();
    let first = *starts.get(starts.len().checked_sub(flapping.starts as usize)?)?;
    let until = after(first, flapping.within.to_std());
    let matters = spec.desired_state == DesiredState::Running && service.state != ServiceState::Unknown;
    (matters && now < until).then_some(until)
}

/// Since when everything that a service depends on, as far as it is observed, has been well: for ever, when that is nothing. None: it
/// is not.
fn dependencies_well_since(stack: &WicapStack, service: &ServiceStatus) -> Option<Time> {
    let status = stack.status.as_ref()?;
    let mut since = Time::MIN;
    for dependency in service.depends_on.iter().filter(|d| **d != service.name).filter_map(|d| status.service(d)) {
        if dependency.state != ServiceState::Running {
            return None;
        }
        since = since.max(dependency.since.unwrap_or(Time::MIN));
    }
    Some(since)
}

/// What is wrong with a service, but for how often it started.
pub(super) fn kind_now(spec: &WicapStackSpec, service: &ServiceStatus) -> Option<DriftKind> {
    use ServiceState as S;
    match (spec.desired_state, service.state) {
        (DesiredState::Running, S::Exited | S::Dead) => Some(DriftKind::NotRunning),
        (DesiredState::Running, S::Missing) => Some(DriftKind::Missing),
        // Nobody reaches it, and no start of it changes that.
        (DesiredState::Running, S::Unhealthy) if !service.missing_networks.is_empty() => Some(DriftKind::Detached),
        (DesiredState::Running, S::Unhealthy) => Some(DriftKind::Unhealthy),
        (DesiredState::Running, S::Paused) => Some(DriftKind::Paused),
        (DesiredState::Running, S::Restarting) => Some(DriftKind::Restarting),
        (DesiredState::Running, S::Running) => kind_of_running(spec, service),
        (DesiredState::Stopped, S::Running | S::Starting | S::Unhealthy | S::Restarting | S::Paused) => {
            Some(DriftKind::ShouldBeStopped)
        }
        (DesiredState::Running, S::Starting | S::Unknown)
        | (DesiredState::Stopped, S::Exited | S::Dead | S::Missing | S::Unknown) => None,
    }
}

/// What is wrong with a service that runs: the first that something is done about, or else the first.
fn kind_of_running(spec: &WicapStackSpec, service: &ServiceStatus) -> Option<DriftKind> {
    let found = [
        (!service.missing_networks.is_empty(), DriftKind::Detached),
        (service.config_drift == Some(true), DriftKind::ConfigDrift),
        (service.image_drift == Some(true), DriftKind::ImageDrift),
    ];
    let found = || found.iter().filter(|(is, _)| *is).map(|(_, kind)| *kind);
    found().find(|kind| calls_for_action(spec, &service.name, *kind)).or(found().next())
}

/// One line for people: everything the status holds that explains the drift.
fn evidence(spec: &WicapStackSpec, service: &ServiceStatus, kind: DriftKind) -> String {
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
        (DriftKind::ImageDrift, ..) => "its image's name means another image by now than the one it runs".to_owned(),
        (DriftKind::Detached, ..) => format!("it runs without its network {}", service.missing_networks.join(", ")),
        (DriftKind::Flapping, state, _) => {
            let within = spec.service(&service.name).map(|s| spec.recovery(s).flapping.within).unwrap_or_default();
            format!("{} starts are remembered, too many within {within}; now it is {state:?}", service.starts.len())
        }
        // Of the stack as a whole.
        (DriftKind::Orphans, ..) => String::new(),
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
        let health = (service.health == Some(Health::Unhealthy)).then(|| "its health check fails".to_owned());
        let failing = service.probes.iter().filter(|p| p.state == ProbeState::Failing).map(|probe| {
            let why = probe.message.as_deref().map(|m| format!(": {m}")).unwrap_or_default();
            format!("probe {} fails{why}", probe.name)
        });
        for part in health.into_iter().chain(failing) {
            // The observer's message may have it already.
            if !parts.iter().any(|said| said.contains(&part)) {
                parts.push(part);
            }
        }
    }
    one_line(&parts.join(", "))
}

/// A text without line breaks, and not too long.
fn one_line(line: &str) -> String {
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
        service(&mut s, "b").message = Some("probe up fails: refused".into());
        let said = &detect(&s, at(0))[1].evidence;
        assert_eq!(said, "it runs and does not pass its checks, probe up fails: refused, its health check fails", "once");
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

    #[test]
    fn of_what_is_wrong_with_a_running_service_the_first_that_is_mended_counts() {
        use DriftKind::{ConfigDrift, Detached, ImageDrift};
        use OnConfigDrift::{Recreate, Report};
        for (networks, config, image, on_config, on_image, expected) in [
            (false, false, false, Report, Report, None),
            (true, true, true, Recreate, Recreate, Some((Detached, Severity::Critical))),
            (false, true, true, Report, Report, Some((ConfigDrift, Severity::Info))),
            (false, true, true, Report, Recreate, Some((ImageDrift, Severity::Warning))),
            (false, true, true, Recreate, Recreate, Some((ConfigDrift, Severity::Warning))),
            (false, false, true, Recreate, Report, Some((ImageDrift, Severity::Info))),
        ] {
            let mut s = stack(&[("a", ServiceState::Running)]);
            let recovery = &mut s.spec.defaults.recovery;
            (recovery.on_config_drift, recovery.on_image_drift) = (on_config, on_image);
            let a = service(&mut s, "a");
            a.missing_networks.extend(networks.then(|| "back".to_owned()));
            (a.config_drift, a.image_drift) = (Some(config), Some(image));
            assert_eq!(detect(&s, at(0)).first().map(|d| (d.kind, d.severity)), expected);
        }
    }

    #[test]
    fn a_drift_is_as_severe_as_its_service_is_critical() {
        let mut s = stack(&[("a", ServiceState::Exited), ("b", ServiceState::Exited)]);
        s.spec.services[1].critical = false;
        assert_eq!(
            detect(&s, at(0)).iter().map(|d| d.severity).collect::<Vec<_>>(),
            [Severity::Critical, Severity::Warning]
        );
        s.spec.desired_state = DesiredState::Stopped;
        service(&mut s, "a").state = ServiceState::Running;
        assert_eq!(detect(&s, at(0))[0].severity, Severity::Warning);
    }

    #[test]
    fn starts_for_want_of_a_dependency_are_not_counted() {
        let mut s = stack(&[("a", ServiceState::Running), ("b", ServiceState::Exited)]);
        s.spec.defaults.recovery.flapping =
            crate::api::stack::Flapping { starts: 3, within: crate::plan::fixtures::seconds(10) };
        service(&mut s, "a").starts = vec![at(0), at(1000), at(2000)];
        let flaps = |s: &WicapStack| flaps_until(s, s.status.as_ref().unwrap().service("a").unwrap(), at(9000)).is_some();
        assert!(flaps(&s), "nobody is depended on");
        service(&mut s, "a").depends_on = vec!["b".into(), "elsewhere".into(), "a".into()];
        assert!(!flaps(&s), "b is down");
        service(&mut s, "b").state = ServiceState::Running;
        service(&mut s, "b").since = Some(at(-1));
        assert!(flaps(&s), "b was well before the first of them");
        service(&mut s, "b").since = Some(at(0));
        assert!(!flaps(&s), "the first was as b came back");
    }

    #[test]
    fn a_service_flaps_while_so_many_starts_are_within_the_time() {
        let mut s = stack(&[("a", ServiceState::Running)]);
        s.spec.defaults.recovery.flapping =
            crate::api::stack::Flapping { starts: 3, within: crate::plan::fixtures::seconds(10) };
        let kind = |s: &WicapStack, now| detect(s, at(now)).first().map(|d| d.kind);
        service(&mut s, "a").starts = vec![at(2000), at(0), at(1000)];
        assert_eq!(kind(&s, 9999), Some(DriftKind::Flapping));
        assert_eq!(kind(&s, 10_000), None);
        let until = flaps_until(&s, s.status.as_ref().unwrap().service("a").unwrap(), at(9999));
        assert_eq!(until, Some(at(10_000)));
        assert_eq!(detect(&s, at(9999))[0].since, at(2000), "since the start that was one too many");
        for state in [ServiceState::Exited, ServiceState::Missing, ServiceState::Starting, ServiceState::Restarting] {
            service(&mut s, "a").state = state;
            assert_eq!(kind(&s, 9999), Some(DriftKind::Flapping), "{state:?}");
        }
        service(&mut s, "a").state = ServiceState::Unknown;
        assert_eq!(kind(&s, 9999), None);
        service(&mut s, "a").state = ServiceState::Running;
        s.spec.desired_state = DesiredState::Stopped;
        assert_eq!(kind(&s, 9999), Some(DriftKind::ShouldBeStopped));
        s.spec.desired_state = DesiredState::Running;
        service(&mut s, "a").starts.pop();
        assert_eq!(kind(&s, 9999), None);
    }

    #[test]
    fn orphans_are_a_drift_of_the_stack_that_is_only_reported() {
        let mut s = stack(&[("a", ServiceState::Running)]);
        s.status.as_mut().unwrap().orphans = vec!["old-b".into(), "old-a".into()];
        let drift = detect(&s, at(5));
        assert_eq!((drift.len(), drift[0].service.as_str(), drift[0].kind), (1, "", DriftKind::Orphans));
        assert_eq!((drift[0].severity, drift[0].since), (Severity::Info, at(5)));
        assert_eq!(drift[0].evidence, "the compose files have no service for old-a, old-b");
        assert!(!calls_for_action(&s.spec, "", DriftKind::Orphans));
        s.status.as_mut().unwrap().drift = drift;
        assert_eq!(detect(&s, at(9))[0].since, at(5));
        service(&mut s, "a").state = ServiceState::Unknown;
        assert!(detect(&s, at(9)).is_empty(), "what cannot be seen is not known");
    }
}
