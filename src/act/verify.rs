//! Preconditions and postconditions, pure, and the wait for the latter.
//!
//! A postcondition never takes "it runs" for an effect: a restart that did not happen also leaves a container that runs. The
//! effect is told by what the engine changes with it: the start time, the container's id.

use std::time::Duration;

use futures::StreamExt;
use tokio::time::Instant;

use super::serving::brings_up;
use super::{Deed, facts};
use crate::api::action::{ActionKind, ContainerFact, Verification};
use crate::api::stack::{ServiceState, WicapStackSpec};
use crate::observe::engine::Engine;

/// Time between two looks when no event comes: an event can be lost with its connection.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Whether the process of the container runs, well or not.
fn runs(state: ServiceState) -> bool {
    matches!(state, ServiceState::Running | ServiceState::Starting | ServiceState::Unhealthy)
}

/// What a service lacks that is to have more containers than it has, in words for people.
fn lacks(fact: &ContainerFact) -> Option<String> {
    let replicas = fact.replicas.filter(|replicas| replicas.found < replicas.desired)?;
    Some(format!("has {} of {} containers", replicas.found, replicas.desired))
}

/// Whether the action makes sense on what is there.
///
/// # Errors
/// Why it does not, in words for people.
pub fn precondition(action: ActionKind, before: &[ContainerFact]) -> Result<(), String> {
    let [first, ..] = before else { return Err("there is no service to act on".to_owned()) };
    let name = &first.service;
    if let Some(unknown) = before.iter().find(|f| action.changes() && f.state == ServiceState::Unknown) {
        return Err(format!("{} could not be asked for its state", unknown.service));
    }
    if action.can_target_service() && !action.can_target_stack() && before.len() > 1 {
        return Err(format!("{action} acts on one service, not on {}", before.len()));
    }
    let state = first.state;
    let verdict = match action {
        ActionKind::StatusCheck | ActionKind::RecreateService => Ok(()),
        ActionKind::StartService => match state {
            ServiceState::Exited => Ok(()),
            ServiceState::Missing => Err(format!("{name} has no container to start")),
            ServiceState::Paused => Err(format!("{name} is paused, and the engine does not start what is paused")),
            ServiceState::Restarting => Err(format!("the engine is restarting {name} already")),
            ServiceState::Dead => Err(format!("{name} is dead and can only be recreated")),
            _ => Err(format!("{name} is already running")),
        },
        ActionKind::RestartService => match state {
            ServiceState::Missing => Err(format!("{name} has no container to restart")),
            ServiceState::Dead => Err(format!("{name} is dead and can only be recreated")),
            _ => Ok(()),
        },
        ActionKind::StopService => {
            let stoppable = runs(state) || matches!(state, ServiceState::Paused | ServiceState::Restarting);
            if stoppable { Ok(()) } else { Err(format!("{name} does not run: it is {state:?}")) }
        }
        ActionKind::RunJob => match state {
            ServiceState::Missing => Ok(()),
            state => Err(format!("its container is there already: it is {state:?}")),
        },
        ActionKind::ComposeUp => {
            let wanting =
                before.iter().any(|f| matches!(f.state, ServiceState::Missing | ServiceState::Exited) || lacks(f).is_some());
            if wanting { Ok(()) } else { Err("nothing is missing or stopped".to_owned()) }
        }
        // Volumes stay when containers go.
        ActionKind::ComposeDownVolumes => Ok(()),
        ActionKind::ComposeDown => {
            let any = before.iter().any(|f| f.state != ServiceState::Missing);
            if any { Ok(()) } else { Err("there is no container to remove".to_owned()) }
        }
    };
    // A fact with a state and without an id is no ground to act on a container.
    let by_id = acts_by_id(action);
    verdict.and_then(
        |()| {
            if by_id && first.container_id.is_none() { Err(format!("{name} has no container")) } else { Ok(()) }
        },
    )
}

/// Whether what is seen shows that the action took effect.
///
/// # Errors
/// What is missing, in words for people.
pub fn postcondition(action: ActionKind, before: &[ContainerFact], after: &[ContainerFact]) -> Result<(), String> {
    if after.is_empty() {
        return Err("nothing was seen".to_owned());
    }
    for now in after {
        let then = before.iter().find(|b| b.service == now.service);
        judge(action, then, now).map_err(|missing| format!("{} {missing}", now.service))?;
    }
    Ok(())
}

fn judge(action: ActionKind, then: Option<&ContainerFact>, now: &ContainerFact) -> Result<(), String> {
    let running = || if runs(now.state) { Ok(()) } else { Err(format!("does not run: it is {:?}", now.state)) };
    let then_id = then.and_then(|f| f.container_id.as_ref());
    match action {
        ActionKind::StatusCheck => match now.state {
            ServiceState::Unknown => Err("could not be asked".to_owned()),
            _ => Ok(()),
        },
        ActionKind::StartService | ActionKind::RestartService => {
            running()?;
            if action == ActionKind::StartService && then_id != now.container_id.as_ref() {
                return Err("runs in another container than the one that was started".to_owned());
            }
            if has_started(then, now) { Ok(()) } else { Err("has not started since".to_owned()) }
        }
        ActionKind::StopService => match now.state {
            ServiceState::Exited | ServiceState::Missing | ServiceState::Dead => Ok(()),
            state => Err(format!("has not stopped: it is {state:?}")),
        },
        ActionKind::ComposeUp => running().and_then(|()| lacks(now).map_or(Ok(()), Err)),
        ActionKind::RecreateService => {
            running()?;
            let new = now.container_id.is_some() && now.container_id.as_ref() != then_id;
            if new { Ok(()) } else { Err("runs in the same container as before".to_owned()) }
        }
        // Its effect is told by what it leaves.
        ActionKind::RunJob => Err("is no service".to_owned()),
        ActionKind::ComposeDown | ActionKind::ComposeDownVolumes => match now.state {
            ServiceState::Missing => Ok(()),
            state => Err(format!("still has a container: it is {state:?}")),
        },
    }
}

/// Why no waiting will bring the effect of an action: what it brought up has ended again, or is not there at all. `over` says that its
/// call was answered; until then the effect may still be to come, except of a call on a container that is gone.
#[must_use]
pub fn hopeless(action: ActionKind, before: &[ContainerFact], after: &[ContainerFact], over: bool) -> Option<String> {
    if !brings_up(action) {
        return None;
    }
    after.iter().find_map(|now| {
        let then = before.iter().find(|b| b.service == now.service);
        let called = then.and_then(|f| f.container_id.as_ref()).filter(|_| acts_by_id(action));
        if let Some(id) = called.filter(|id| Some(*id) != now.container_id.as_ref() && now.state != ServiceState::Unknown) {
            let id: String = id.chars().take(12).collect();
            return Some(format!("the container {id} of {} is gone", now.service));
        }
        let started = has_started(then, now);
        match now.state {
            _ if !over => None,
            ServiceState::Missing => Some(format!("{} has no container", now.service)),
            state @ (ServiceState::Exited | ServiceState::Restarting | ServiceState::Dead) if started => {
                Some(format!("{} has started and ended again: it is {state:?}", now.service))
            }
            _ => None,
        }
    })
}

/// Whether what runs, or ran last, is another start than `then`.
pub(super) fn has_started(then: Option<&ContainerFact>, now: &ContainerFact) -> bool {
    let started = then.and_then(|f| f.started_at);
    let same = then.is_some_and(|f| f.container_id.is_some() && f.container_id == now.container_id);
    // A container's start is told by another time, also by an earlier one: the clock may have been set back. An absent time is earlier
    // than any.
    if same { now.started_at.is_some() && now.started_at != started } else { now.started_at > started }
}

/// Whether the action is a call on a container by its id, instead of a run of Compose.
pub(super) fn acts_by_id(action: ActionKind) -> bool {
    matches!(action, ActionKind::StartService | ActionKind::RestartService | ActionKind::StopService)
}

/// What is looked for, and how long.
pub(super) struct Wanted<'a> {
    pub(super) deed: Deed<'a>,
    pub(super) before: &'a [ContainerFact],
    pub(super) timeout: Duration,
    /// Whether the call has been answered. Otherwise its effect may still be to come, whatever is seen.
    pub(super) over: bool,
}

/// Looks until the postcondition holds, cannot hold any more, or the time is over: at once, at every event of the project, and every
/// second.
pub(super) async fn wait(engine: &Engine, stack: &WicapStackSpec, wanted: Wanted<'_>) -> Verification {
    let Wanted { deed, before, timeout, over } = wanted;
    let deadline = Instant::now() + timeout;
    // From here on no event is lost, though the connection is only made when it is polled.
    let project = stack.compose.project.as_str();
    let relevant = |event: &Result<_, _>| {
        let wanted = match event {
            Ok(crate::observe::engine::ContainerEvent { project: p, .. }) => p == project,
            // The stream is over; the timer goes on alone.
            Err(_) => false,
        };
        futures::future::ready(wanted)
    };
    let events = engine.events().filter(relevant).fuse();
    tokio::pin!(events);
    let mut after = Vec::new();
    loop {
        // The last look too gets the time to be answered: it is the one that says what is missing, and where the time was over
        // before the first, it is the only one.
        let limit = deadline.max(Instant::now() + LOOK_AGAIN);
        let looked = tokio::time::timeout_at(limit, facts::now(engine, stack, deed, before, &|_| None)).await;
        let missing = match looked {
            Ok(Ok(facts)) => {
                after = facts;
                match postcondition(deed.action, before, &after) {
                    Ok(()) => return Verification { holds: true, message: seen(&after), after, job: None },
                    Err(missing) => match hopeless(deed.action, before, &after, over) {
                        Some(message) => return Verification { holds: false, message, after, job: None },
                        None => missing,
                    },
                }
            }
            Ok(Err(error)) => format!("it could not be looked at: {error}"),
            Err(_) => "the last look was not answered".to_owned(),
        };
        if Instant::now() >= deadline {
            return Verification { holds: false, message: format!("after {timeout:?}: {missing}"), after, job: None };
        }
        let again = deadline.min(Instant::now() + LOOK_AGAIN);
        tokio::select! {
            Some(_) = events.next() => {}
            () = tokio::time::sleep_until(again) => {}
        }
    }
}

fn seen(after: &[ContainerFact]) -> String {
    after.iter().map(|fact| format!("{} is {:?}", fact.service, fact.state)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::action::ReplicaFact;
    use ActionKind as A;
    use ServiceState as S;

    fn fact(state: S, id: &str, started: i64) -> ContainerFact {
        ContainerFact {
            service: "ui".to_owned(),
            state,
            container_id: (!id.is_empty()).then(|| id.to_owned()),
            started_at: (started > 0).then(|| crate::api::Time::from_second(started).unwrap()),
            replicas: None,
        }
    }

    #[test]
    fn a_service_that_has_too_few_containers_is_brought_up_until_it_has_them() {
        let of = |found| ContainerFact { replicas: Some(ReplicaFact { found, desired: 3 }), ..fact(S::Running, "a", 1) };
        assert!(precondition(A::ComposeUp, &[of(2)]).is_ok() && precondition(A::ComposeUp, &[of(3)]).is_err());
        let missing = postcondition(A::ComposeUp, &[of(1)], &[of(2)]).unwrap_err();
        assert_eq!(missing, "ui has 2 of 3 containers");
        assert!(postcondition(A::ComposeUp, &[of(1)], &[of(3)]).is_ok());
    }

    #[test]
    fn an_action_wants_something_to_act_on() {
        let all =
            [S::Running, S::Starting, S::Unhealthy, S::Exited, S::Paused, S::Restarting, S::Dead, S::Missing, S::Unknown];
        for (action, sensible) in [
            (A::StatusCheck, &all[..]),
            (A::StartService, &[S::Exited]),
            (A::RestartService, &[S::Running, S::Starting, S::Unhealthy, S::Exited, S::Paused, S::Restarting]),
            (A::StopService, &[S::Running, S::Starting, S::Unhealthy, S::Paused, S::Restarting]),
            (A::ComposeUp, &[S::Exited, S::Missing]),
            (A::RecreateService, &all[..8]),
            (A::ComposeDown, &all[..7]),
            (A::ComposeDownVolumes, &all[..8]),
        ] {
            for state in all {
                let id = if state == S::Missing { "" } else { "a" };
                let verdict = precondition(action, &[fact(state, id, 1)]);
                assert_eq!(verdict.is_ok(), sensible.contains(&state), "{action} on {state:?}: {verdict:?}");
            }
            assert!(precondition(action, &[]).is_err());
        }
        assert!(precondition(A::StartService, &[fact(S::Exited, "", 1)]).is_err());
        assert!(precondition(A::StartService, &[fact(S::Exited, "a", 1), fact(S::Exited, "b", 1)]).is_err());
        assert!(precondition(A::ComposeUp, &[fact(S::Running, "a", 1), fact(S::Missing, "", 0)]).is_ok());
    }

    #[test]
    fn an_effect_is_told_by_what_the_engine_changes_with_it() {
        let (running, exited) = (fact(S::Running, "a", 10), fact(S::Exited, "a", 10));
        let missing = fact(S::Missing, "", 0);
        for (action, before, after, holds) in [
            (A::StartService, &exited, fact(S::Running, "a", 11), true),
            (A::StartService, &exited, fact(S::Starting, "a", 11), true),
            (A::StartService, &exited, fact(S::Unhealthy, "a", 11), true),
            (A::StartService, &exited, fact(S::Running, "a", 10), false),
            (A::StartService, &exited, fact(S::Running, "b", 11), false),
            (A::StartService, &exited, fact(S::Exited, "a", 11), false),
            (A::StartService, &exited, fact(S::Restarting, "a", 11), false),
            (A::StartService, &fact(S::Exited, "a", 0), fact(S::Running, "a", 1), true),
            (A::RestartService, &running, running.clone(), false),
            (A::RestartService, &running, fact(S::Running, "a", 11), true),
            // The clock was set back.
            (A::StartService, &exited, fact(S::Running, "a", 9), true),
            (A::RestartService, &running, fact(S::Running, "a", 9), true),
            (A::RestartService, &running, fact(S::Running, "b", 9), false),
            (A::RestartService, &running, fact(S::Running, "a", 0), false),
            (A::RestartService, &running, fact(S::Exited, "a", 11), false),
            (A::StopService, &running, exited.clone(), true),
            (A::StopService, &running, missing.clone(), true),
            (A::StopService, &running, running.clone(), false),
            (A::StopService, &running, fact(S::Paused, "a", 10), false),
            (A::StopService, &running, fact(S::Unknown, "a", 10), false),
            (A::ComposeUp, &missing, fact(S::Starting, "b", 11), true),
            (A::ComposeUp, &missing, missing.clone(), false),
            (A::RecreateService, &running, running.clone(), false),
            (A::RecreateService, &running, fact(S::Running, "a", 11), false),
            (A::RecreateService, &running, fact(S::Running, "b", 11), true),
            (A::RecreateService, &running, fact(S::Exited, "b", 11), false),
            (A::ComposeDown, &running, exited.clone(), false),
            (A::ComposeDown, &running, missing.clone(), true),
            (A::StatusCheck, &running, exited.clone(), true),
            (A::StatusCheck, &running, fact(S::Unknown, "a", 1), false),
        ] {
            let verdict = postcondition(action, std::slice::from_ref(before), std::slice::from_ref(&after));
            assert_eq!(verdict.is_ok(), holds, "{action}: {before:?} to {after:?}: {verdict:?}");
        }
        assert!(postcondition(A::ComposeDown, &[running], &[]).is_err());
    }

    #[test]
    fn what_has_ended_again_is_not_waited_for() {
        let exited = fact(S::Exited, "a", 10);
        for (action, after, over, expected) in [
            (A::StartService, fact(S::Exited, "a", 11), true, true),
            (A::StartService, fact(S::Exited, "a", 11), false, false),
            (A::StartService, fact(S::Exited, "a", 9), true, true),
            (A::StartService, fact(S::Restarting, "a", 11), true, true),
            (A::StartService, fact(S::Exited, "a", 10), true, false),
            (A::StartService, fact(S::Running, "a", 11), true, false),
            (A::StartService, fact(S::Unknown, "a", 11), true, false),
            (A::StartService, fact(S::Unknown, "", 0), false, false),
            // A call on what is gone cannot have an effect any more, whenever it comes.
            (A::StartService, fact(S::Missing, "", 0), false, true),
            (A::RestartService, fact(S::Exited, "b", 11), false, true),
            (A::RestartService, fact(S::Exited, "a", 11), false, false),
            (A::ComposeUp, fact(S::Missing, "", 0), true, true),
            (A::ComposeUp, fact(S::Missing, "", 0), false, false),
            (A::ComposeUp, fact(S::Exited, "b", 11), true, true),
            (A::RecreateService, fact(S::Exited, "b", 0), true, false),
            (A::StopService, fact(S::Exited, "a", 11), true, false),
            (A::ComposeDown, fact(S::Missing, "", 0), true, false),
        ] {
            let why = hopeless(action, std::slice::from_ref(&exited), std::slice::from_ref(&after), over);
            assert_eq!(why.is_some(), expected, "{action}, {over}: {after:?}: {why:?}");
        }
    }

    #[tokio::test]
    async fn a_silent_engine_proves_nothing() {
        let stack = serde_json::json!({"compose": {"project": "p", "directory": "/srv/p"}, "services": [{"name": "ui"}]});
        let stack: WicapStackSpec = serde_json::from_value(stack).unwrap();
        let engine = Engine::new("/nonexistent.sock").unwrap();
        let timeout = Duration::from_millis(50);
        let wanted = Wanted { deed: Deed::new(A::ComposeDown, ""), before: &[], timeout, over: true };
        let seen = wait(&engine, &stack, wanted).await;
        assert!(!seen.holds && seen.after.is_empty() && seen.message.contains("could not be looked at"), "{seen:?}");
    }
}
