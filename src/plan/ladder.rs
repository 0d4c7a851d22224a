//! The ladder: which action is next for a service, and how long to wait after it.
//!
//! The position is a persisted [`RecoveryState`]. It only ever moves up within an episode, whatever kind of drift comes
//! next, so that a service that keeps failing in different ways still comes to the end of it.

use std::time::Duration;

use super::drift;
use crate::api::action::ActionKind;
use crate::api::stack::naming::fnv1a;
use crate::api::stack::{
    Backoff, DriftKind, LadderStep, Recovery, RecoveryState, ServiceSpec, WicapStackSpec, WicapStackStatus,
};
use crate::api::{Time, after};

/// How often stopping a service, or creating it anew for its configuration, is tried. These two have no declared ladder:
/// only one action serves, and what failed three times with growing waits will not be cured by a fourth.
pub const FIXED_ATTEMPTS: u32 = 3;

/// How far apart two observations must be for the second to count: what several events of one moment show is seen once.
pub const COUNT_APART: Duration = Duration::from_secs(1);

/// The action to take next, and where on the ladder it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rung<'a> {
    /// What to do.
    pub action: ActionKind,
    /// Index of its step in the ladder.
    pub step: u32,
    /// Which attempt at that step it is, from 1.
    pub attempt: u32,
    /// The step as it is declared; none of an action that no ladder has.
    pub declared: Option<&'a LadderStep>,
    /// Whether it is of the rollback.
    pub rollback: bool,
}

/// Whether a rung may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// It may.
    Now,
    /// From that time on.
    At(Time),
    /// When the service has been found in drift that often in a row.
    Observed(u32),
}

impl Rung<'_> {
    /// Whether it may be taken for a drift that began at `since`.
    #[must_use]
    pub fn due(&self, since: Time, state: &RecoveryState, now: Time) -> Due {
        let Some(step) = self.declared else { return Due::Now };
        let begin = step.after.map(|wait| after(since, wait.to_std()));
        match begin.filter(|begin| *begin > now) {
            Some(begin) => Due::At(begin),
            None if state.observations < step.after_observations => Due::Observed(step.after_observations),
            None => Due::Now,
        }
    }

    /// Whether it takes down what the next step of the rollback brings up: nothing is gained by waiting in between.
    #[must_use]
    pub fn takes_down(&self) -> bool {
        self.rollback && (self.action.takes_down() || self.action == ActionKind::StopService)
    }

    /// The services that the action acts on together, instead of the one in drift.
    #[must_use]
    pub fn services(&self) -> &[String] {
        self.declared.map(|step| step.services.as_slice()).unwrap_or_default()
    }
}

/// The next action for a service that is in drift, or none when ladder and rollback are exhausted.
#[must_use]
pub fn next<'a>(recovery: &'a Recovery, kind: DriftKind, state: &RecoveryState) -> Option<Rung<'a>> {
    let (step, attempts, rollback) = (state.step, state.attempts, state.rollback);
    let fixed = |made, action, step, attempt| {
        (made < FIXED_ATTEMPTS).then_some(Rung { action, step, attempt, declared: None, rollback })
    };
    match kind {
        DriftKind::ShouldBeStopped => fixed(state.total, ActionKind::StopService, 0, state.total + 1),
        // Leaves the position on the declared ladder as it is, which a container that fails after being created anew still
        // needs; what was done for another reason is no attempt at this.
        DriftKind::ConfigDrift | DriftKind::ImageDrift => {
            fixed(state.recreated, ActionKind::RecreateService, step, attempts)
        }
        DriftKind::Flapping | DriftKind::Orphans => None,
        _ if rollback => climb(&recovery.rollback, true, kind, step, attempts),
        _ => climb(&recovery.ladder, false, kind, step, attempts).or_else(|| climb(&recovery.rollback, true, kind, 0, 0)),
    }
}

/// The first step from that position on that is left and helps.
fn climb(ladder: &[LadderStep], rollback: bool, kind: DriftKind, step: u32, attempts: u32) -> Option<Rung<'_>> {
    let begin = usize::try_from(step).ok()?;
    ladder.iter().enumerate().skip(begin).find_map(|(i, step)| {
        let made = if i == begin { attempts } else { 0 };
        let helps = helps(step.action, kind) || (rollback && rolls_back(step.action, kind));
        let rung = |i| Rung { action: step.action, step: i, attempt: made + 1, declared: Some(step), rollback };
        (made < step.attempts && helps).then(|| u32::try_from(i).ok().map(rung)).flatten()
    })
}

/// Whether an action takes down what is in drift of that kind, so that it can be brought up afresh.
fn rolls_back(action: ActionKind, kind: DriftKind) -> bool {
    use DriftKind as D;
    match action {
        ActionKind::ComposeDown => true,
        ActionKind::StopService => matches!(kind, D::Unhealthy | D::Paused | D::Restarting | D::Detached),
        _ => false,
    }
}

/// Whether one of the steps waits for a number of observations.
pub(super) fn counts(recovery: &Recovery) -> bool {
    recovery.ladder.iter().chain(&recovery.rollback).any(|step| step.after_observations > 0)
}

/// Whether each look at the stack is to be written down, because it counts: a service is in drift whose ladder waits for a number
/// of observations, and no person has been called for it yet. For the observer.
#[must_use]
pub fn counts_observations(spec: &WicapStackSpec, status: &WicapStackStatus) -> bool {
    let waits = |service: &ServiceSpec, kind: DriftKind| {
        let state = status.recovery.iter().find(|r| r.service == service.name);
        let called = state.is_some_and(|r| r.escalated_at.is_some() || r.exhausted.contains(&kind));
        drift::calls_for_action(spec, &service.name, kind) && !called
    };
    let counting = spec.services.iter().filter(|s| s.managed && counts(spec.recovery(s)));
    let mut in_drift = counting.filter_map(|s| Some((s, drift::kind_now(spec, status.service(&s.name)?)?)));
    in_drift.any(|(service, kind)| waits(service, kind))
}

/// Whether an action can mend a drift of that kind.
#[must_use]
pub fn helps(action: ActionKind, kind: DriftKind) -> bool {
    use DriftKind as D;
    match action {
        ActionKind::StatusCheck => true,
        ActionKind::StartService => kind == D::NotRunning,
        ActionKind::RestartService => matches!(kind, D::NotRunning | D::Unhealthy | D::Paused | D::Restarting),
        ActionKind::ComposeUp => matches!(kind, D::NotRunning | D::Missing),
        ActionKind::RecreateService => !matches!(kind, D::ShouldBeStopped | D::Flapping | D::Orphans),
        ActionKind::StopService => kind == D::ShouldBeStopped,
        ActionKind::RunJob | ActionKind::ComposeDown | ActionKind::ComposeDownVolumes => false,
    }
}

/// Records that `rung` is asked for at `now` as `name`, and until when to wait after it.
pub fn advance(state: &mut RecoveryState, rung: Rung<'_>, name: String, now: Time, wait: Duration) {
    state.step = rung.step;
    state.attempts = rung.attempt;
    state.rollback = rung.rollback;
    state.total = state.total.saturating_add(1);
    // A declared step that creates it anew is one of the ladder.
    if rung.declared.is_none() && rung.action == ActionKind::RecreateService {
        state.recreated = state.recreated.saturating_add(1);
    }
    state.last_action = Some(name);
    state.acted_at = Some(now);
    state.backoff_until = Some(after(now, wait));
}

/// The wait after the `k`-th action of an episode, from 1: doubled each time up to the maximum, and up to a tenth more.
///
/// The addition keeps services that failed together from being acted on together for ever. It is a hash of what the action
/// is about, so that the same inputs give the same plan.
#[must_use]
pub fn wait(backoff: &Backoff, uid: &str, service: &str, k: u32) -> Duration {
    let (initial, max) = (backoff.initial.to_std(), backoff.max.to_std());
    let factor = 1_u32.checked_shl(k.saturating_sub(1));
    let base = factor.and_then(|f| initial.checked_mul(f)).map_or(max, |d| d.min(max));
    let base = if initial.is_zero() { initial } else { base };
    let k = k.to_le_bytes();
    let hash = fnv1a([uid.as_bytes(), b"/", service.as_bytes(), b"/", k.as_slice()]);
    let thousandths = u32::try_from(hash % 1001).unwrap_or(0);
    base.saturating_add(base.saturating_mul(thousandths) / 10_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::stack::ServiceState;
    use crate::plan::fixtures::{at, seconds, service, stack};
    use proptest::prelude::*;

    const KINDS: [DriftKind; 11] = [
        DriftKind::NotRunning,
        DriftKind::Missing,
        DriftKind::Unhealthy,
        DriftKind::Paused,
        DriftKind::Restarting,
        DriftKind::ShouldBeStopped,
        DriftKind::ConfigDrift,
        DriftKind::ImageDrift,
        DriftKind::Detached,
        DriftKind::Flapping,
        DriftKind::Orphans,
    ];

    fn climb(recovery: &Recovery, kind: DriftKind) -> Vec<&'static str> {
        let (mut state, mut taken) = (RecoveryState::default(), Vec::new());
        while let Some(rung) = next(recovery, kind, &state) {
            taken.push(rung.action.as_str());
            advance(&mut state, rung, String::new(), Time::UNIX_EPOCH, Duration::ZERO);
        }
        assert_eq!(state.total as usize, taken.len());
        taken
    }

    #[test]
    fn steps_that_cannot_help_are_passed_over() {
        let (start, restart, up) = ("start_service", "restart_service", "compose_up");
        let anew = "recreate_service";
        let table = [
            (DriftKind::NotRunning, vec![start, start, restart, restart, up, up, anew]),
            (DriftKind::Missing, vec![up, up, anew]),
            (DriftKind::Unhealthy, vec![restart, restart, anew]),
            (DriftKind::Paused, vec![restart, restart, anew]),
            (DriftKind::Restarting, vec![restart, restart, anew]),
            (DriftKind::ShouldBeStopped, vec!["stop_service"; 3]),
            (DriftKind::ConfigDrift, vec![anew; 3]),
            (DriftKind::ImageDrift, vec![anew; 3]),
            (DriftKind::Detached, vec![anew]),
            (DriftKind::Flapping, vec![]),
            (DriftKind::Orphans, vec![]),
        ];
        for (kind, expected) in table {
            assert_eq!(climb(&Recovery::default(), kind), expected, "{kind:?}");
        }
    }

    #[test]
    fn the_rollback_is_climbed_once_after_the_ladder() {
        let ladder = vec![LadderStep::new(ActionKind::RestartService, 1)];
        let rollback = vec![LadderStep::new(ActionKind::ComposeDown, 1), LadderStep::new(ActionKind::ComposeUp, 1)];
        let recovery = Recovery { ladder, rollback, ..Recovery::default() };
        let (down, up) = ("compose_down", "compose_up");
        for (kind, expected) in [
            (DriftKind::NotRunning, vec!["restart_service", down, up]),
            (DriftKind::Missing, vec![down, up]),
            (DriftKind::Unhealthy, vec!["restart_service", down]),
            (DriftKind::Flapping, vec![]),
            (DriftKind::ShouldBeStopped, vec!["stop_service"; 3]),
            (DriftKind::ConfigDrift, vec!["recreate_service"; 3]),
        ] {
            assert_eq!(climb(&recovery, kind), expected, "{kind:?}");
        }
        let stop = vec![LadderStep::new(ActionKind::StopService, 1), LadderStep::new(ActionKind::StartService, 1)];
        let recovery = Recovery { ladder: vec![], rollback: stop, ..Recovery::default() };
        assert_eq!(climb(&recovery, DriftKind::Unhealthy), ["stop_service"]);
        assert_eq!(climb(&recovery, DriftKind::NotRunning), ["start_service"]);
    }

    #[test]
    fn a_status_check_may_stand_anywhere_and_an_empty_ladder_is_exhausted_at_once() {
        let step = LadderStep::new;
        let ladder =
            vec![step(ActionKind::StatusCheck, 1), step(ActionKind::StopService, 9), step(ActionKind::ComposeUp, 0)];
        let recovery = Recovery { ladder, ..Recovery::default() };
        assert_eq!(climb(&recovery, DriftKind::Missing), ["status_check"]);
        assert!(climb(&Recovery { ladder: vec![], ..Recovery::default() }, DriftKind::Missing).is_empty());
    }

    #[test]
    fn a_step_is_due_exactly_when_its_time_and_its_observations_have_come() {
        let mut step = LadderStep::new(ActionKind::RestartService, 1);
        (step.after, step.after_observations) = (Some(seconds(10)), 3);
        let rung = Rung { action: step.action, step: 0, attempt: 1, declared: Some(&step), rollback: false };
        let seen = |n| RecoveryState { observations: n, ..RecoveryState::default() };
        assert_eq!(rung.due(at(0), &seen(3), at(9999)), Due::At(at(10_000)));
        assert_eq!(rung.due(at(0), &seen(2), at(10_000)), Due::Observed(3));
        assert_eq!(rung.due(at(0), &seen(3), at(10_000)), Due::Now);
        assert_eq!(Rung { declared: None, ..rung }.due(at(0), &seen(0), at(0)), Due::Now);
    }

    #[test]
    fn each_look_counts_while_a_service_is_bad_and_nobody_is_called() {
        let mut s = stack(&[("ui", ServiceState::Exited)]);
        let asks = |s: &crate::api::stack::WicapStack| counts_observations(&s.spec, s.status.as_ref().unwrap());
        assert!(!asks(&s), "the default ladder counts nothing");
        s.spec.defaults.recovery.ladder[1].after_observations = 5;
        assert!(asks(&s));
        service(&mut s, "ui").state = ServiceState::Running;
        assert!(!asks(&s));
        service(&mut s, "ui").config_drift = Some(true);
        assert!(!asks(&s), "it is only reported");
        service(&mut s, "ui").state = ServiceState::Exited;
        let escalated = RecoveryState { service: "ui".into(), escalated_at: Some(at(0)), ..RecoveryState::default() };
        s.status.as_mut().unwrap().recovery = vec![escalated];
        assert!(!asks(&s));
        let exhausted = vec![DriftKind::NotRunning];
        s.status.as_mut().unwrap().recovery =
            vec![RecoveryState { service: "ui".into(), exhausted, ..RecoveryState::default() }];
        assert!(!asks(&s), "a person was called for that kind");
        s.status.as_mut().unwrap().recovery.clear();
        s.spec.services[0].managed = false;
        assert!(!asks(&s));
    }

    #[test]
    fn the_wait_doubles_up_to_the_maximum_and_nothing_means_none() {
        let s = |n| Duration::from_secs(n);
        let backoff = |initial, max| Backoff { initial: s(initial).into(), max: s(max).into() };
        for (k, base) in [(1, 10), (2, 20), (3, 40), (5, 160), (6, 300), (40, 300), (u32::MAX, 300)] {
            let got = wait(&backoff(10, 300), "uid", "ui", k);
            assert!(got >= s(base) && got <= s(base) + s(base) / 10, "{k}: {got:?}");
        }
        assert_eq!(wait(&backoff(0, 300), "uid", "ui", 99), Duration::ZERO);
        assert_eq!(wait(&backoff(10, 0), "uid", "ui", 1), Duration::ZERO);
        assert!(wait(&backoff(10, 5), "uid", "ui", 1) <= Duration::from_millis(5500));
    }

    #[test]
    fn services_that_fail_together_wait_differently() {
        let waits = ["a", "b", "c", "d"].map(|service| wait(&Backoff::default(), "uid", service, 1));
        assert!(waits.windows(2).any(|w| w[0] != w[1]), "{waits:?}");
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(fnv1a([b"".as_slice()]), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a([b"a".as_slice()]), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a([b"foo".as_slice(), b"bar"]), 0x8594_4171_f739_67e8);
    }

    proptest! {
        #[test]
        fn no_wait_overflows(initial in 0..u64::MAX / 1_000_000_000, max in any::<u32>(), k in any::<u32>()) {
            let initial = Duration::from_secs(initial % (1 << 33));
            let max = Duration::from_secs(u64::from(max));
            let got = wait(&Backoff { initial: initial.into(), max: max.into() }, "uid", "s", k);
            prop_assert!(got <= max + max / 10 + Duration::from_secs(1));
        }

        #[test]
        fn however_the_drift_changes_the_ladder_ends(
            kinds in prop::collection::vec(prop::sample::select(&KINDS[..]), 1..60)
        ) {
            let recovery = Recovery::default();
            let mut state = RecoveryState::default();
            for kind in kinds.iter().cycle().take(200) {
                if let Some(rung) = next(&recovery, *kind, &state) {
                    prop_assert!(helps(rung.action, *kind));
                    prop_assert!(rung.step >= state.step || rung.action == ActionKind::StopService);
                    if *kind != DriftKind::ShouldBeStopped {
                        advance(&mut state, rung, String::new(), Time::UNIX_EPOCH, Duration::ZERO);
                    }
                }
            }
            prop_assert!(state.total <= 7 + FIXED_ATTEMPTS);
        }
    }
}
