//! Whether what an action has brought up serves: the observer's word, by health checks and probes. Pure.
//!
//! ```text
//!   the engine says that it runs ─▶ observed since, as this very process ─▶ Running: it serves · Unhealthy, ended: it does not
//!                                                                          Starting, not observed yet: wait
//! ```

use std::time::Duration;

use super::verify::{acts_by_id, has_started};
use crate::api::Time;
use crate::api::action::{ActionKind, ContainerFact};
use crate::api::stack::{Health, ProbeState, ServiceState, ServiceStatus, WicapStack, WicapStackSpec};

/// How long the observer's word is waited for at least: its resync, and a lease, in case it has to be taken over.
const LEAST: Duration = Duration::from_secs(30);

/// What the observer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// All of them serve.
    Serves,
    /// This one has not shown yet that it does.
    NotYet(String),
    /// This one does not.
    Fails(String),
}

/// Whether an action brings something up that can then be asked whether it serves.
#[must_use]
pub fn brings_up(action: ActionKind) -> bool {
    use ActionKind as A;
    matches!(action, A::StartService | A::RestartService | A::ComposeUp | A::RecreateService)
}

/// What the observer says of the processes that `after` names. Whenever it looked, it has seen them only if it names the same container
/// and the same start.
#[must_use]
pub fn word(stack: &WicapStack, action: ActionKind, before: &[ContainerFact], after: &[ContainerFact]) -> Word {
    let status = stack.status.as_ref();
    let mut not_yet = None;
    for fact in after {
        match status.and_then(|s| s.service(&fact.service)) {
            None => not_yet = not_yet.or(Some(format!("{} was not observed since", fact.service))),
            Some(service) => match of(service, action, before, fact, status.and_then(|s| s.observed_at)) {
                Word::Serves => {}
                Word::NotYet(why) => not_yet = not_yet.or(Some(why)),
                fails @ Word::Fails(_) => return fails,
            },
        }
    }
    not_yet.map_or(Word::Serves, Word::NotYet)
}

fn of(
    service: &ServiceStatus,
    action: ActionKind,
    before: &[ContainerFact],
    fact: &ContainerFact,
    observed_at: Option<Time>,
) -> Word {
    let name = &service.name;
    let detail = service.message.as_deref().map_or(String::new(), |m| format!(": {m}"));
    if service.replicas.is_some() && observed_at > fact.started_at {
        let another = service.container_id.is_some() && service.container_id != fact.container_id;
        let passes = service.probes.iter().all(|p| p.state == ProbeState::Passing);
        let one_runs = another && service.replicas.is_some_and(|r| r.ready > 0);
        let itself = service.container_id == fact.container_id && service.started_at == fact.started_at;
        let runs = itself && service.exit_code.is_none() && service.health != Some(Health::Unhealthy);
        // The worst of several speaks for all.
        match service.state {
            // When another one does, and runs, so does this one.
            ServiceState::Running if another => return Word::Serves,
            // Another is down, or one is lacking, which is drift of its own: this one was all that was asked for, and one does run.
            ServiceState::Exited | ServiceState::Dead | ServiceState::Restarting | ServiceState::Paused
                if one_runs && acts_by_id(action) && passes =>
            {
                return Word::Serves;
            }
            ServiceState::Missing if (one_runs || runs) && acts_by_id(action) && passes => return Word::Serves,
            // What is to bring all of them up may not have been looked at since its last one came.
            ServiceState::Missing => return Word::NotYet(format!("{name} has too few containers{detail}")),
            state if another => return Word::NotYet(format!("another container of {name} is {state:?}{detail}")),
            _ => {}
        }
    }
    // Where the clock was set back, the earlier start has the later time.
    let then = before.iter().find(|then| then.service == *name);
    let seen_before = then.is_some_and(|t| t.container_id == service.container_id && t.started_at == service.started_at);
    let stale = seen_before && has_started(then, fact);
    if service.container_id != fact.container_id || service.started_at < fact.started_at || stale {
        return Word::NotYet(format!("{name} was not observed since"));
    }
    if service.started_at > fact.started_at {
        return Word::Fails(format!("{name} has ended and was started again since"));
    }
    match service.state {
        ServiceState::Running => Word::Serves,
        // The engine's own check may take half a minute for its first word. What our probes say is enough; what it says then is another
        // matter.
        ServiceState::Starting
            if service.health == Some(Health::Starting) && service.probes.iter().all(|p| p.state == ProbeState::Passing) =>
        {
            Word::Serves
        }
        ServiceState::Starting => Word::NotYet(format!("{name} has not passed its checks{detail}")),
        ServiceState::Unknown => Word::NotYet(format!("{name} could not be asked{detail}")),
        ServiceState::Unhealthy => Word::Fails(format!("{name} runs and does not pass its checks{detail}")),
        state => Word::Fails(format!("{name} does not run: it is {state:?}{detail}")),
    }
}

/// How long it may take until the services have passed or failed their probes, and the observer has said so.
#[must_use]
pub fn patience(stack: &WicapStackSpec, after: &[ContainerFact]) -> Duration {
    let probes = after.iter().filter_map(|fact| stack.service(&fact.service)).flat_map(|service| &service.probes);
    let longest = probes
        .map(|p| {
            let attempts = p.failure_threshold.max(p.success_threshold).saturating_add(1);
            let all = p.period.to_std().saturating_mul(attempts);
            p.initial_delay.to_std().saturating_add(all).saturating_add(p.timeout.to_std())
        })
        .max();
    longest.unwrap_or_default().saturating_add(LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::stack::{ProbeStatus, Replicas};
    use crate::plan::fixtures::{at, service, stack};
    use ActionKind as A;
    use ServiceState as S;

    fn fact(started: i64) -> ContainerFact {
        let (service, container_id) = ("ui".to_owned(), Some("a".to_owned()));
        ContainerFact { service, state: S::Running, container_id, started_at: Some(at(started)), replicas: None }
    }

    fn observed(state: S, id: &str, started: i64) -> WicapStack {
        let mut stack = stack(&[("ui", state)]);
        let ui = service(&mut stack, "ui");
        (ui.container_id, ui.started_at) = (Some(id.to_owned()), Some(at(started)));
        stack
    }

    #[test]
    fn the_word_is_about_the_very_process_that_was_brought_up() {
        for (state, id, started, expected) in [
            (S::Running, "a", 4000, "serves"),
            (S::Running, "a", 3999, "not yet"),
            (S::Running, "b", 4000, "not yet"),
            (S::Running, "a", 4001, "fails"),
            (S::Starting, "a", 4000, "not yet"),
            (S::Unknown, "a", 4000, "not yet"),
            (S::Unhealthy, "a", 4000, "fails"),
            (S::Exited, "a", 4000, "fails"),
            (S::Restarting, "a", 4000, "fails"),
            (S::Paused, "a", 4000, "fails"),
        ] {
            let said = match word(&observed(state, id, started), A::StartService, &[], &[fact(4000)]) {
                Word::Serves => "serves",
                Word::NotYet(_) => "not yet",
                Word::Fails(_) => "fails",
            };
            assert_eq!(said, expected, "{state:?} {id} {started}");
        }
    }

    #[test]
    fn one_of_several_serves_when_the_worst_of_them_does() {
        let mut stack = observed(S::Running, "b", 1000);
        service(&mut stack, "ui").replicas = Some(Replicas { desired: 2, ready: 2 });
        stack.status.as_mut().unwrap().observed_at = Some(at(4000));
        assert!(
            matches!(word(&stack, A::StartService, &[], &[fact(4000)]), Word::NotYet(_)),
            "it may have been looked at before"
        );
        stack.status.as_mut().unwrap().observed_at = Some(at(4001));
        assert_eq!(word(&stack, A::StartService, &[], &[fact(4000)]), Word::Serves);
        service(&mut stack, "ui").state = S::Starting;
        assert!(matches!(word(&stack, A::StartService, &[], &[fact(4000)]), Word::NotYet(_)));
    }

    #[test]
    fn one_of_several_that_was_started_is_not_judged_by_another_that_is_down_or_lacking() {
        let several = |state, id: &str| {
            let mut stack = observed(state, id, 4000);
            service(&mut stack, "ui").replicas = Some(Replicas { desired: 2, ready: 1 });
            stack.status.as_mut().unwrap().observed_at = Some(at(4001));
            stack
        };
        let said = |stack: &WicapStack, action| word(stack, action, &[], &[fact(4000)]);
        for state in [S::Exited, S::Dead, S::Restarting, S::Paused, S::Missing] {
            let stack = several(state, "b");
            assert_eq!(said(&stack, A::StartService), Word::Serves, "{state:?}");
            assert_eq!(said(&stack, A::RestartService), Word::Serves, "{state:?}");
            assert!(matches!(said(&stack, A::ComposeUp), Word::NotYet(_)), "it is to bring up all of them: {state:?}");
            let mut early = stack.clone();
            early.status.as_mut().unwrap().observed_at = Some(at(4000));
            assert!(matches!(said(&early, A::StartService), Word::NotYet(_)), "before the start: {state:?}");
            let mut ended = stack.clone();
            service(&mut ended, "ui").replicas = Some(Replicas { desired: 2, ready: 0 });
            assert!(matches!(said(&ended, A::StartService), Word::NotYet(_)), "it ended by then: {state:?}");
            let mut failing = stack;
            service(&mut failing, "ui").probes =
                vec![ProbeStatus { state: ProbeState::Failing, ..ProbeStatus::unasked("up") }];
            assert!(matches!(said(&failing, A::StartService), Word::NotYet(_)), "{state:?}");
        }
        for state in [S::Unhealthy, S::Starting, S::Unknown] {
            assert!(matches!(said(&several(state, "b"), A::StartService), Word::NotYet(_)), "{state:?}");
        }
        let mut lacks = several(S::Missing, "a");
        assert_eq!(said(&lacks, A::StartService), Word::Serves);
        assert!(matches!(said(&lacks, A::ComposeUp), Word::NotYet(_)));
        service(&mut lacks, "ui").exit_code = Some(1);
        assert!(matches!(said(&lacks, A::StartService), Word::NotYet(_)), "it has ended");
        service(&mut lacks, "ui").container_id = None;
        assert!(matches!(said(&lacks, A::StartService), Word::NotYet(_)), "it is gone");
    }

    #[test]
    fn what_was_seen_before_is_not_taken_for_a_later_start_where_the_clock_was_set_back() {
        let stack = observed(S::Exited, "a", 5000);
        assert!(matches!(word(&stack, A::StartService, &[fact(5000)], &[fact(4000)]), Word::NotYet(_)));
        assert!(matches!(word(&stack, A::StartService, &[fact(3000)], &[fact(4000)]), Word::Fails(_)));
        assert!(matches!(word(&stack, A::ComposeUp, &[fact(5000)], &[fact(5000)]), Word::Fails(_)));
    }

    #[test]
    fn the_engines_slow_check_is_not_waited_for_when_our_probes_pass() {
        let mut stack = observed(S::Starting, "a", 4000);
        let ui = service(&mut stack, "ui");
        ui.health = Some(Health::Starting);
        assert_eq!(word(&stack, A::StartService, &[], &[fact(4000)]), Word::Serves);
        let probe = |state| ProbeStatus { state, ..ProbeStatus::unasked("up") };
        service(&mut stack, "ui").probes = vec![probe(ProbeState::Unknown)];
        assert!(matches!(word(&stack, A::StartService, &[], &[fact(4000)]), Word::NotYet(_)));
        service(&mut stack, "ui").probes = vec![probe(ProbeState::Passing)];
        assert_eq!(word(&stack, A::StartService, &[], &[fact(4000)]), Word::Serves);
    }

    #[test]
    fn one_that_fails_is_enough_and_all_are_needed() {
        let stack = stack(&[("ui", S::Running), ("redis", S::Unhealthy)]);
        let facts = |names: &[&str]| -> Vec<_> {
            let fact = |n: &&str| ContainerFact {
                service: (*n).to_owned(),
                state: S::Running,
                container_id: None,
                started_at: None,
                replicas: None,
            };
            names.iter().map(fact).collect()
        };
        assert_eq!(word(&stack, A::ComposeUp, &[], &facts(&["ui"])), Word::Serves);
        assert!(matches!(word(&stack, A::ComposeUp, &[], &facts(&["ui", "redis"])), Word::Fails(_)));
        assert!(matches!(word(&stack, A::ComposeUp, &[], &facts(&["ui", "sql"])), Word::NotYet(_)));
    }

    #[test]
    fn who_is_asked_slowly_is_waited_for_longer() {
        let mut stack = stack(&[("ui", S::Running)]);
        assert_eq!(patience(&stack.spec, &[fact(0)]), LEAST);
        let probe = serde_json::json!({"name": "up", "initialDelay": "60s", "period": "10s", "timeout": "2s",
            "failureThreshold": 3, "tcpSocket": {"port": 1}});
        stack.spec.services[0].probes = vec![serde_json::from_value(probe).unwrap()];
        assert_eq!(patience(&stack.spec, &[fact(0)]), LEAST + Duration::from_secs(102));
    }
}
