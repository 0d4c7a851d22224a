//! Episodes: when a service's trouble begins anew, and what its actions are called.
//!
//! ```text
//!             drift                well                    well for resetAfter
//!  at rest ───────────► in drift ────────► stable since … ─────────────────────► at rest, episode + 1
//!                          ▲                    │ drift
//!                          └────────────────────┘ counters stay: flapping climbs the ladder
//! ```
//!
//! When a person was called, the next episode begins with a drift of a kind that nobody was called for yet, and with a fresh ladder; a
//! kind that somebody was called for stays quiet until the service has been well for its stable spell. There are few kinds, so the
//! actions of a troubled spell are bounded. An operator who acknowledges an incident begins a new episode in every respect.
//!
//! An episode belongs to one desired state: when an operator changes it after actions were taken, the next episode begins,
//! so that a stack that could not be brought up can still be stopped.

use super::drift::{calls_for_action, is_well};
use super::ladder::{COUNT_APART, counts};
use crate::api::action::ActionKind;
use crate::api::stack::naming::named;
use crate::api::stack::{
    DesiredState, Drift, DriftKind, RecoveryState, ServiceSpec, ServiceState, WicapStack, WicapStackStatus,
};
use crate::api::{Time, after};

/// The entry of the whole stack among the recovery states.
pub(super) const WHOLE_STACK: &str = "";

/// Recovery states brought up to now.
pub(super) struct Tracked {
    /// The whole stack's first, then those of the listed services in their order, then those of services no longer listed,
    /// which are kept so that no name is used twice.
    pub(super) recovery: Vec<RecoveryState>,
    /// Services whose stable spell is complete now.
    pub(super) recovered: Vec<String>,
    /// When a stable spell will be complete.
    pub(super) resets: Vec<Time>,
}

/// What the recovery states are brought up to date with.
pub(super) struct Seen<'a> {
    pub(super) stack: &'a WicapStack,
    pub(super) status: &'a WicapStackStatus,
    pub(super) drift: &'a [Drift],
    /// Whether an incident of the service is being acknowledged.
    pub(super) acknowledged: &'a dyn Fn(&str) -> bool,
    /// Whether the service is under maintenance: its entry stays as it is.
    pub(super) claimed: &'a dyn Fn(&str) -> bool,
    /// Whether the action of that name was only said, and may be done now.
    pub(super) shadowed: &'a dyn Fn(&str) -> bool,
    pub(super) now: Time,
}

/// Brings the stored recovery states up to now.
pub(super) fn track(seen: &Seen<'_>) -> Tracked {
    let Seen { stack, status, drift, acknowledged, claimed, shadowed, now } = *seen;
    let mut out = Tracked { recovery: Vec::new(), recovered: Vec::new(), resets: Vec::new() };
    let stored = |service: &str| status.recovery.iter().find(|r| r.service == service).cloned();
    let in_drift =
        |list: &[Drift], name: &str| list.iter().any(|d| d.service == name && calls_for_action(&stack.spec, name, d.kind));
    let managed = |s: &&ServiceSpec| s.managed;

    if let Some(entry) = stored(WHOLE_STACK).filter(|_| stack.spec.services.iter().any(|s| claimed(&s.name))) {
        out.recovery.push(entry);
    } else if let Some(mut entry) = stored(WHOLE_STACK) {
        begin_anew_for_another_desired_state(stack, &mut entry);
        if stack.spec.services.iter().filter(managed).any(|s| in_drift(drift, &s.name)) {
            entry.stable_since = None;
        } else {
            let all_well = stack
                .spec
                .services
                .iter()
                .filter(managed)
                .all(|s| status.service(&s.name).is_some_and(|status| is_well(&stack.spec, status)));
            if entry.total > 0 && all_well {
                entry.stable_since.get_or_insert(now);
                settle(&mut entry, stack.spec.defaults.recovery.reset_after.to_std(), now, &mut out.resets);
            }
        }
        out.recovery.push(entry);
    }

    for spec in &stack.spec.services {
        let drifts = in_drift(drift, &spec.name);
        let fresh =
            || (drifts && spec.managed).then(|| RecoveryState { service: spec.name.clone(), ..RecoveryState::default() });
        let Some(mut entry) = stored(&spec.name).or_else(fresh) else { continue };
        if claimed(&spec.name) {
            out.recovery.push(entry);
            continue;
        }
        begin_anew_for_another_desired_state(stack, &mut entry);
        if acknowledged(&spec.name) {
            begin_anew(&mut entry);
            entry.acknowledged_at = Some(now);
        }
        if entry.last_action.as_deref().is_some_and(shadowed) {
            begin_anew(&mut entry);
        }
        let kind = drift.iter().find(|d| d.service == spec.name).map(|d| d.kind).filter(|_| drifts);
        if entry.escalated_at.is_some() && kind.is_some_and(|kind| !entry.exhausted.contains(&kind)) {
            let (exhausted, retried) = (std::mem::take(&mut entry.exhausted), entry.retried);
            begin_anew(&mut entry);
            (entry.exhausted, entry.retried) = (exhausted, retried);
        }
        let observed = status.service(&spec.name).filter(|s| s.state != ServiceState::Unknown);
        if drifts {
            entry.stable_since = None;
            let called = entry.escalated_at.is_some() || kind.is_some_and(|kind| entry.exhausted.contains(&kind));
            if spec.managed && !called && counts(stack.spec.recovery(spec)) {
                count(&mut entry, status.observed_at);
            }
        } else if let Some(observed) = observed {
            if is_well(&stack.spec, observed) {
                (entry.observations, entry.counted_at) = (0, None);
            }
            let troubled = entry.total > 0
                || entry.escalated_at.is_some()
                || !entry.exhausted.is_empty()
                || entry.retried
                || in_drift(&status.drift, &spec.name);
            if troubled && entry.stable_since.is_none() {
                entry.stable_since = Some(now);
            }
            if let Some(stable) = entry.stable_since {
                // A state that began later than the spell means that the service was something else in between.
                entry.stable_since = Some(observed.since.map_or(stable, |since| since.max(stable)));
                let reset_after = stack.spec.recovery(spec).reset_after.to_std();
                if is_well(&stack.spec, observed) && settle(&mut entry, reset_after, now, &mut out.resets) {
                    out.recovered.push(spec.name.clone());
                }
            }
        }
        out.recovery.push(entry);
    }

    begin_dependents_anew(stack, status, drift, &mut out);

    let mut others: Vec<_> = status
        .recovery
        .iter()
        .filter(|r| r.service != WHOLE_STACK && stack.spec.service(&r.service).is_none())
        .cloned()
        .collect();
    others.sort_by(|a, b| a.service.cmp(&b.service));
    out.recovery.extend(others);
    for entry in &mut out.recovery {
        entry.episode = entry.episode.max(1);
    }
    out
}

/// Gives those that were given up for want of another a fresh ladder when that one is well again for good: once until they have been well
/// for good themselves, so that a troubled spell stays bounded, also where what mends them is what troubles the other. Whatever they are at
/// that moment, which does not come again: claimed, starting, or not to be asked.
fn begin_dependents_anew(stack: &WicapStack, status: &WicapStackStatus, drift: &[Drift], out: &mut Tracked) {
    let Tracked { recovery, recovered, .. } = out;
    for entry in recovery.iter_mut().filter(|entry| entry.service != WHOLE_STACK && !entry.retried) {
        let given_up = entry.escalated_at.is_some() || !entry.exhausted.is_empty();
        let of_spec = stack.spec.service(&entry.service).map(|s| s.depends_on.as_slice()).unwrap_or_default();
        let observed = status.service(&entry.service).map(|s| s.depends_on.as_slice()).unwrap_or_default();
        if given_up && of_spec.iter().chain(observed).any(|dependency| recovered.contains(dependency)) {
            let kind = drift.iter().find(|d| d.service == entry.service).map(|d| d.kind);
            let mending = entry.escalated_at.is_none() && kind.is_some_and(|kind| !entry.exhausted.contains(&kind));
            if mending {
                // What is under way for another kind of drift goes on.
                entry.exhausted.clear();
            } else {
                let stable_since = entry.stable_since;
                begin_anew(entry);
                entry.stable_since = stable_since;
            }
            entry.retried = true;
        }
    }
}

/// Counts an observation that found the service in drift, unless it is the one that was counted last, or of the same moment.
fn count(entry: &mut RecoveryState, observed_at: Option<Time>) {
    let Some(observed_at) = observed_at else { return };
    if entry.counted_at.is_none_or(|counted| observed_at >= after(counted, COUNT_APART)) {
        entry.observations = entry.observations.saturating_add(1);
        entry.counted_at = Some(observed_at);
    }
}

/// Resets the entry when its stable spell is complete; says when it will be otherwise.
fn settle(entry: &mut RecoveryState, reset_after: std::time::Duration, now: Time, resets: &mut Vec<Time>) -> bool {
    let Some(end) = entry.stable_since.map(|since| after(since, reset_after)) else { return false };
    if end <= now {
        begin_anew(entry);
        return true;
    }
    resets.push(end);
    false
}

fn begin_anew(entry: &mut RecoveryState) {
    *entry = RecoveryState {
        service: std::mem::take(&mut entry.service),
        episode: entry.episode.max(1).saturating_add(1),
        acknowledged_at: entry.acknowledged_at,
        ..RecoveryState::default()
    };
}

/// The last action's name tells which desired state the episode belongs to: only a stopped stack has its services stopped.
fn begin_anew_for_another_desired_state(stack: &WicapStack, entry: &mut RecoveryState) {
    let stop = name(stack, &entry.service, ActionKind::StopService, entry.episode.max(1), entry.total);
    // A rollback may stop a service to bring it up afresh.
    let stopping = entry.last_action.as_ref() == Some(&stop) && !entry.rollback;
    let begun = entry.total > 0 || entry.escalated_at.is_some() || !entry.exhausted.is_empty();
    if begun && stopping != (stack.spec.desired_state == DesiredState::Stopped) {
        begin_anew(entry);
    }
}

/// Name of the `total`-th action of an episode, `{stack}-{service}-{action}-{uid}-{episode}-{total}`.
///
/// It is a function of what the action is, so that asking twice asks once. What a name cannot hold is replaced, and a hash
/// of the service's name is added then, so that services that differ only in such characters keep names of their own.
pub(super) fn name(stack: &WicapStack, service: &str, action: ActionKind, episode: i64, total: u32) -> String {
    named(stack, service, action.as_str(), &format!("{episode}-{total}"))
}

/// Name of the incident of an episode, `{stack}-{service}-{kind}-{uid}-{episode}`.
pub(super) fn incident_name(stack: &WicapStack, service: &str, kind: DriftKind, episode: i64) -> String {
    let kind = format!("{kind:?}");
    let begins = |i: usize, c: char| i > 0 && c.is_ascii_uppercase();
    let words: String = kind.char_indices().flat_map(|(i, c)| begins(i, c).then_some('-').into_iter().chain([c])).collect();
    named(stack, service, &words, &episode.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::validate::is_object_name;
    use crate::plan::drift::detect;
    use crate::plan::fixtures::{at, service, stack};
    use proptest::prelude::*;

    fn entry(service: &str, total: u32) -> RecoveryState {
        RecoveryState { service: service.into(), episode: 1, total, attempts: total, ..RecoveryState::default() }
    }

    fn tracked(s: &mut WicapStack, now: i64) -> Tracked {
        let status = s.status.as_mut().unwrap();
        status.observed_at = Some(at(now));
        let drift = detect(s, at(now));
        let (status, no) = (s.status.as_ref().unwrap(), &|_: &str| false);
        let out =
            track(&Seen { stack: s, status, drift: &drift, acknowledged: no, claimed: no, shadowed: no, now: at(now) });
        let status = s.status.as_mut().unwrap();
        (status.drift, status.recovery) = (drift, out.recovery.clone());
        out
    }

    #[test]
    fn a_stable_spell_ends_the_episode_exactly_when_it_is_long_enough() {
        let mut s = stack(&[("ui", ServiceState::Running)]);
        s.status.as_mut().unwrap().recovery = vec![entry("ui", 3)];
        let out = tracked(&mut s, 1000);
        assert_eq!(out.recovery[0].stable_since, Some(at(1000)));
        assert_eq!(out.resets, [at(601_000)]);
        let out = tracked(&mut s, 600_999);
        assert_eq!((out.recovery[0].total, out.recovered.len()), (3, 0));
        let out = tracked(&mut s, 601_000);
        assert_eq!(out.recovery, [RecoveryState { service: "ui".into(), episode: 2, ..RecoveryState::default() }]);
        assert_eq!(out.recovered, ["ui"]);
        let out = tracked(&mut s, 9_000_000);
        assert_eq!((out.recovery[0].episode, out.recovered.len(), out.resets.len()), (2, 0, 0));
    }

    #[test]
    fn flapping_keeps_the_counters() {
        let mut s = stack(&[("ui", ServiceState::Running)]);
        s.status.as_mut().unwrap().recovery = vec![entry("ui", 3)];
        tracked(&mut s, 1000);
        service(&mut s, "ui").state = ServiceState::Exited;
        let out = tracked(&mut s, 2000);
        assert_eq!((out.recovery[0].stable_since, out.recovery[0].total), (None, 3));
        service(&mut s, "ui").state = ServiceState::Running;
        assert_eq!(tracked(&mut s, 3000).resets, [at(603_000)]);
        service(&mut s, "ui").since = Some(at(500_000));
        assert_eq!(tracked(&mut s, 600_000).resets, [at(1_100_000)]);
    }

    #[test]
    fn a_service_that_mended_itself_has_recovered_too_and_starting_is_not_yet_well() {
        let mut s = stack(&[("ui", ServiceState::Exited)]);
        tracked(&mut s, 0);
        service(&mut s, "ui").state = ServiceState::Starting;
        assert!(tracked(&mut s, 1000).resets.is_empty());
        assert!(tracked(&mut s, 900_000).recovered.is_empty());
        service(&mut s, "ui").state = ServiceState::Running;
        service(&mut s, "ui").since = Some(at(900_000));
        assert_eq!(tracked(&mut s, 900_001).resets, [at(1_500_000)]);
        assert_eq!(tracked(&mut s, 1_500_000).recovered, ["ui"]);
    }

    #[test]
    fn observations_that_find_a_service_in_drift_are_counted_until_it_is_well() {
        let mut s = stack(&[("ui", ServiceState::Exited)]);
        let counted = |s: &mut WicapStack, now| tracked(s, now).recovery[0].observations;
        assert_eq!(counted(&mut s, 0), 0, "its ladder counts nothing");
        s.spec.defaults.recovery.ladder[0].after_observations = 3;
        assert_eq!([0, 0, 999, 1000, 1500, 2000].map(|now| counted(&mut s, now)), [1, 1, 1, 2, 2, 3]);
        service(&mut s, "ui").state = ServiceState::Unknown;
        assert_eq!(counted(&mut s, 5000), 3);
        service(&mut s, "ui").state = ServiceState::Starting;
        assert_eq!(counted(&mut s, 6000), 3, "it is not well yet");
        service(&mut s, "ui").state = ServiceState::Unhealthy;
        assert_eq!(counted(&mut s, 7000), 4);
        service(&mut s, "ui").state = ServiceState::Running;
        assert_eq!(counted(&mut s, 8000), 0);
        service(&mut s, "ui").state = ServiceState::Exited;
        assert_eq!(counted(&mut s, 8001), 1);
        s.status.as_mut().unwrap().recovery[0].exhausted = vec![DriftKind::NotRunning];
        assert_eq!(counted(&mut s, 60_000), 1, "a person has been called");
    }

    #[test]
    fn unknown_changes_nothing() {
        let mut s = stack(&[("ui", ServiceState::Unknown)]);
        let kept = RecoveryState { stable_since: Some(at(0)), ..entry("ui", 2) };
        s.status.as_mut().unwrap().recovery = vec![kept.clone()];
        assert_eq!(tracked(&mut s, 9_000_000).recovery, [kept]);
    }

    #[test]
    fn another_desired_state_begins_another_episode() {
        let mut s = stack(&[("ui", ServiceState::Running)]);
        s.spec.desired_state = DesiredState::Stopped;
        s.status.as_mut().unwrap().recovery = vec![RecoveryState { escalated_at: Some(at(0)), ..entry("ui", 7) }];
        assert_eq!(tracked(&mut s, 0).recovery, [RecoveryState { episode: 2, ..entry("ui", 0) }]);
        let stopped = Some(name(&s, "ui", ActionKind::StopService, 2, 1));
        s.status.as_mut().unwrap().recovery = vec![RecoveryState { episode: 2, last_action: stopped, ..entry("ui", 1) }];
        assert_eq!(tracked(&mut s, 0).recovery[0].total, 1);
        s.spec.desired_state = DesiredState::Running;
        assert_eq!(tracked(&mut s, 0).recovery[0].episode, 3);
    }

    #[test]
    fn a_reported_configuration_drift_is_no_trouble_and_unlisted_services_keep_their_entry() {
        let mut s = stack(&[("ui", ServiceState::Running)]);
        service(&mut s, "ui").config_drift = Some(true);
        s.status.as_mut().unwrap().recovery = vec![entry("old", 2)];
        let out = tracked(&mut s, 0);
        assert_eq!(s.status.unwrap().drift[0].kind, DriftKind::ConfigDrift);
        assert_eq!(out.recovery, [entry("old", 2)]);
    }

    #[test]
    fn incidents_are_named_by_what_they_are_about() {
        let s = stack(&[]);
        assert_eq!(incident_name(&s, "ui", DriftKind::NotRunning, 3), "wicap-ui-not-running-0f1e2-3");
        assert_ne!(incident_name(&s, "a_b", DriftKind::Missing, 1), incident_name(&s, "a-b", DriftKind::Missing, 1));
    }

    #[test]
    fn names_tell_stack_service_action_and_number() {
        let s = stack(&[]);
        let named = |service, action| name(&s, service, action, 1, 2);
        assert_eq!(named("ui", ActionKind::StartService), "wicap-ui-start-service-0f1e2-1-2");
        assert_eq!(named("", ActionKind::ComposeUp), "wicap-stack-compose-up-0f1e2-1-2");
        assert_ne!(named("stack", ActionKind::ComposeUp), named("", ActionKind::ComposeUp));
        let different = ["a_b", "a.b", "a-b", "A-b", "a-B"].map(|n| named(n, ActionKind::StartService));
        assert_eq!(different.iter().collect::<std::collections::HashSet<_>>().len(), 5, "{different:?}");
        let mut nameless = WicapStack::new("wicap", s.spec.clone());
        nameless.metadata.uid = None;
        assert_eq!(name(&nameless, "ui", ActionKind::StopService, 3, 1), "wicap-ui-stop-service-00000-3-1");
    }

    proptest! {
        #[test]
        fn every_name_is_an_object_name(
            stack_name in "[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?",
            service in "[A-Za-z0-9][A-Za-z0-9._-]{0,62}|",
            kind in prop::sample::select(&ActionKind::ALL[..]),
            episode in 1..i64::MAX,
            total: u32,
        ) {
            let mut s = stack(&[]);
            s.metadata.name = Some(stack_name);
            let name = name(&s, &service, kind, episode, total);
            prop_assert!(is_object_name(&name), "{}", name);
        }
    }
}
