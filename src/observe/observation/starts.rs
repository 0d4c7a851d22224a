//! Starts: the times at which a service's process was seen to have started. Pure.

use crate::api::stack::{STARTS_KEPT, STARTS_WINDOW, ServiceState, ServiceStatus};
use crate::api::{Time, elapsed};
use crate::observe::engine::{Container, ContainerState};

/// The starts that are remembered after this look, oldest first: those that were known, and those that `spokesman`, one of
/// `containers`, shows, as far as they are within [`STARTS_WINDOW`] of `now`. `written_at` is when `old` was written.
///
/// A service that was never seen before shows none: whoever looks at a stack for the first time does not take its start for a restart.
#[must_use]
pub(super) fn starts(
    old: Option<&ServiceStatus>,
    spokesman: Option<&Container>,
    containers: &[Container],
    written_at: Option<Time>,
    now: Time,
) -> Vec<Time> {
    let Some(old) = old else { return Vec::new() };
    let mut starts = old.starts.clone();
    if let Some(container) = spokesman
        && let Some(at) = container.started_at
    {
        let sibling =
            old.container_id.as_ref().is_some_and(|id| *id != container.id && containers.iter().any(|c| c.id == *id));
        let new = if sibling {
            // Another of several may be the worst now, and speak for the service; it did not start for that.
            usize::from(written_at.is_some_and(|written| at > written))
        } else {
            count(old, container, at, written_at, now)
        };
        starts.extend(std::iter::repeat_n(at, new));
        starts.sort_unstable();
    }
    starts.retain(|start| elapsed(*start, now) <= STARTS_WINDOW);
    let over = starts.len().saturating_sub(STARTS_KEPT);
    starts.drain(..over);
    starts
}

/// How many starts there were since `old` was written, as far as the container can show: at most [`STARTS_KEPT`].
fn count(old: &ServiceStatus, container: &Container, at: Time, written_at: Option<Time>, now: Time) -> usize {
    let never_seen = old.state == ServiceState::Unknown && old.container_id.is_none();
    let same = old.container_id.as_ref() == Some(&container.id);
    if never_seen || (same && old.started_at == Some(at)) {
        return 0;
    }
    // One of several speaks now that another is gone. It ran already when all of them were looked at.
    let known = old.container_id.is_some() && old.state != ServiceState::Unknown;
    if !same && known && written_at.is_some_and(|written| at <= written) {
        return 0;
    }
    // The engine counts a restart when it decides on it, and starts the container some time later.
    let pending = i64::from(container.status == ContainerState::Restarting);
    let seen = if same {
        container.restart_count - old.restarts + i64::from(old.state == ServiceState::Restarting) - pending
    } else if known && old.replicas.is_some() {
        // How often this one of them had been restarted before is not known.
        1
    } else {
        container.restart_count + 1 - pending
    };
    // What nobody looked at for so long may have happened at any time.
    let recent = written_at.is_some_and(|written| elapsed(written, now) <= STARTS_WINDOW);
    if recent { usize::try_from(seen).unwrap_or(0).clamp(1, STARTS_KEPT) } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::after;

    fn at(second: i64) -> Time {
        Time::from_second(second).unwrap()
    }

    /// What was written of a service: state, container, start, restarts.
    fn written(state: ServiceState, id: Option<&str>, started: i64, restarts: i64) -> ServiceStatus {
        ServiceStatus {
            state,
            container_id: id.map(str::to_owned),
            started_at: id.map(|_| at(started)),
            restarts,
            ..ServiceStatus::default()
        }
    }

    fn container(id: &str, status: ContainerState, started: i64, restarts: i64) -> Container {
        Container {
            service: "s".to_owned(),
            id: id.to_owned(),
            name: "p-s-1".to_owned(),
            image: "i".to_owned(),
            image_id: None,
            networks: Vec::new(),
            config_hash: None,
            status,
            health: None,
            restart_count: restarts,
            started_at: Some(at(started)),
            finished_at: None,
            exit_code: Some(0),
            oom_killed: false,
            number: 1,
        }
    }

    #[test]
    fn each_new_start_counts_and_the_engines_own_count_tells_of_those_between_looks() {
        use ContainerState as C;
        use ServiceState as S;
        let never = None;
        for (what, old, now, expected) in [
            ("the first look at it", never, ("a", C::Running, 90, 0), 0),
            ("the engine was silent until now", Some((S::Unknown, None, 0, 0)), ("a", C::Running, 90, 0), 0),
            ("nothing new", Some((S::Running, Some("a"), 90, 0)), ("a", C::Running, 90, 0), 0),
            ("its first container", Some((S::Missing, None, 0, 0)), ("a", C::Running, 95, 0), 1),
            ("and that is restarted before the look", Some((S::Missing, None, 0, 0)), ("a", C::Running, 95, 6), 7),
            ("started by hand", Some((S::Exited, Some("a"), 50, 3)), ("a", C::Running, 95, 0), 1),
            ("restarted by the engine", Some((S::Running, Some("a"), 50, 0)), ("a", C::Running, 95, 1), 1),
            ("four times between looks", Some((S::Running, Some("a"), 50, 1)), ("a", C::Running, 95, 5), 4),
            ("ended, and about to be restarted", Some((S::Running, Some("a"), 50, 0)), ("a", C::Restarting, 50, 1), 0),
            ("and then it was", Some((S::Restarting, Some("a"), 50, 1)), ("a", C::Running, 95, 1), 1),
            ("and ended again before the look", Some((S::Restarting, Some("a"), 50, 1)), ("a", C::Restarting, 95, 2), 1),
            ("three times, the last to come", Some((S::Restarting, Some("a"), 50, 1)), ("a", C::Restarting, 95, 4), 3),
            ("made anew", Some((S::Running, Some("a"), 50, 7)), ("b", C::Running, 95, 0), 1),
            ("made anew, and restarted twice since", Some((S::Running, Some("a"), 50, 7)), ("b", C::Running, 95, 2), 3),
            ("more than is kept", Some((S::Running, Some("a"), 50, 0)), ("a", C::Running, 95, 999), STARTS_KEPT),
        ] {
            let mut old = old.map(|(state, id, started, restarts)| written(state, id, started, restarts));
            if let Some(old) = old.as_mut().filter(|old| old.state == S::Missing) {
                old.replicas = Some(crate::api::stack::Replicas { desired: 1, ready: 0 });
            }
            let (id, status, started, restarts) = now;
            let container = container(id, status, started, restarts);
            let one = std::slice::from_ref(&container);
            let found = starts(old.as_ref(), Some(&container), one, Some(at(92)), at(100));
            assert_eq!(found, vec![at(started); expected], "{what}");
        }
    }

    #[test]
    fn another_of_several_that_speaks_now_has_not_started_for_that() {
        let old = written(ServiceState::Running, Some("a"), 50, 0);
        let of_two = |started| {
            let both = [container("a", ContainerState::Running, 50, 0), container("b", ContainerState::Exited, started, 4)];
            starts(Some(&old), Some(&both[1]), &both, Some(at(92)), at(100))
        };
        assert!(of_two(51).is_empty());
        assert_eq!(of_two(95), [at(95)]);
    }

    #[test]
    fn one_of_several_that_speaks_since_another_is_gone_has_not_started_for_that() {
        let mut old = written(ServiceState::Running, Some("a"), 50, 0);
        let left = |started| [container("b", ContainerState::Running, started, 12)];
        let alone = |old: &ServiceStatus, started| {
            let left = left(started);
            starts(Some(old), Some(&left[0]), &left, Some(at(92)), at(100))
        };
        assert!(alone(&old, 51).is_empty(), "it ran before the last look");
        assert_eq!(alone(&old, 95).len(), 13, "it may have been made, and restarted twelve times, since");
        old.replicas = Some(crate::api::stack::Replicas { desired: 2, ready: 2 });
        assert_eq!(alone(&old, 95), [at(95)], "its restarts may be of any time");
    }

    #[test]
    fn what_is_long_ago_is_forgotten_and_what_nobody_saw_for_long_is_one_start() {
        let mut old = written(ServiceState::Running, Some("a"), 50, 0);
        old.starts = vec![at(10), at(20), at(30)];
        let edge = after(at(20), STARTS_WINDOW);
        let same = container("a", ContainerState::Running, 50, 0);
        let one = std::slice::from_ref(&same);
        assert_eq!(starts(Some(&old), Some(&same), one, Some(at(92)), edge), [at(20), at(30)]);
        assert_eq!(starts(Some(&old), None, &[], Some(at(92)), at(100)), [at(10), at(20), at(30)], "without a container");

        let now = after(at(100), 2 * STARTS_WINDOW);
        let lately = container("a", ContainerState::Running, now.as_second() - 5, 9);
        let one = std::slice::from_ref(&lately);
        assert_eq!(starts(Some(&old), Some(&lately), one, Some(at(92)), now), [lately.started_at.unwrap()]);
        let long_ago = container("a", ContainerState::Running, 95, 1);
        let one = std::slice::from_ref(&long_ago);
        assert!(starts(Some(&old), Some(&long_ago), one, Some(at(92)), now).is_empty());
    }
}
