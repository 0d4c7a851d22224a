//! Which snapshots are due: what calls for one, what waits for its pack, and when it is made. Pure.

use std::time::Duration;

use crate::api::action::{ActionPhase, ActionRun};
use crate::api::incident::Incident;
use crate::api::snapshot::{Snapshot, SnapshotPhase, SnapshotReason, SnapshotSpec};
use crate::api::soak::{SoakRun, Verdict};
use crate::api::stack::WicapStack;
use crate::api::{Object, Time, after, elapsed};

/// How long what calls for a pack is waited on: what one failure brings about comes within seconds, and belongs into one pack.
const SETTLE: Duration = Duration::from_secs(2);

/// The shortest time between two packs of a stack that nobody has asked for. A pack takes a second of a core and some megabytes.
const APART: Duration = Duration::from_secs(30);

/// How old what calls for a pack may be: what happened longer ago is not in the logs and curves of now.
const FRESH: Duration = Duration::from_secs(600);

/// The most that are created at once; a transaction of etcd takes 128 operations, and a creation is several.
const CREATED_MOST: usize = 20;

/// The longest name an object may have.
const NAME_MOST: usize = 253;

/// What is to be done about the snapshots of a stack.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Turn {
    /// Snapshots to be created.
    pub create: Vec<Snapshot>,
    /// Names of those for which a pack is to be made now: one for all of them.
    pub pack: Vec<String>,
    /// When to look again without any change.
    pub again: Option<Time>,
}

/// What is to be done about the snapshots of a stack.
#[must_use]
pub fn turn(
    stack: &WicapStack,
    incidents: &[Incident],
    actions: &[ActionRun],
    soaks: &[SoakRun],
    snapshots: &[Snapshot],
    now: Time,
) -> Turn {
    let ours: Vec<&Snapshot> =
        snapshots.iter().filter(|s| s.spec.stack == stack.name() && s.metadata.deletion_timestamp.is_none()).collect();
    let is_there = |name: &str| snapshots.iter().any(|s| s.name() == name);
    let mut create: Vec<Snapshot> = calls(stack, incidents, actions, soaks, now)
        .into_iter()
        .map(|(reason, kind, object)| {
            let spec =
                SnapshotSpec { stack: stack.name().to_owned(), reason, object: Some(format!("{kind}/{object}")), by: None };
            Snapshot::new(&name(&kind, &object), spec)
        })
        .filter(|snapshot| !is_there(snapshot.name()))
        .collect();
    create.sort_by(|a, b| a.name().cmp(b.name()));
    create.dedup_by(|a, b| a.name() == b.name());
    create.truncate(CREATED_MOST);
    let phase = |s: &Snapshot| s.status.as_ref().map(|s| s.phase).unwrap_or_default();
    let pending: Vec<&&Snapshot> = ours.iter().filter(|s| phase(s) == SnapshotPhase::Pending).collect();
    let asked_at = |s: &Snapshot| s.metadata.creation_timestamp.as_ref().map_or(now, |at| at.0);
    let Some(first) = pending.iter().map(|s| asked_at(s)).min() else {
        return Turn { create, ..Turn::default() };
    };
    let is_asked = pending.iter().any(|s| s.spec.reason == SnapshotReason::Requested);
    let last = ours.iter().filter_map(|s| s.status.as_ref()?.made_at).max();
    let settled = if is_asked { now } else { after(first, SETTLE) };
    let due = if is_asked { settled } else { last.map_or(settled, |last| settled.max(after(last, APART))) };
    if due > now {
        return Turn { create, pack: Vec::new(), again: Some(due) };
    }
    let mut pack: Vec<String> = pending.iter().map(|s| s.name().to_owned()).collect();
    pack.sort();
    Turn { create, pack, again: None }
}

/// What calls for a pack: why, and the kind and name of it.
fn calls(
    stack: &WicapStack,
    incidents: &[Incident],
    actions: &[ActionRun],
    soaks: &[SoakRun],
    now: Time,
) -> Vec<(SnapshotReason, String, String)> {
    let fresh = |at: Time| elapsed(at, now) <= FRESH;
    let mut calls = Vec::new();
    for incident in incidents.iter().filter(|i| i.spec.stack == stack.name()) {
        if incident.metadata.creation_timestamp.as_ref().is_some_and(|at| fresh(at.0)) {
            calls.push((SnapshotReason::Incident, kind_of::<Incident>(), incident.name().to_owned()));
        }
    }
    for action in actions.iter().filter(|a| a.spec.stack == stack.name()) {
        let status = action.status.as_ref().filter(|s| s.phase == ActionPhase::Failed);
        if status.and_then(|s| s.finished_at).is_some_and(fresh) {
            calls.push((SnapshotReason::FailedAction, kind_of::<ActionRun>(), action.name().to_owned()));
        }
    }
    for run in soaks.iter().filter(|r| r.spec.stack == stack.name()) {
        let status = run.status.as_ref().filter(|s| matches!(s.verdict, Some(Verdict::Failed | Verdict::Error)));
        if status.and_then(|s| s.finished_at).is_some_and(fresh) {
            calls.push((SnapshotReason::FailedSoak, kind_of::<SoakRun>(), run.name().to_owned()));
        }
    }
    calls
}

fn kind_of<K: kube::Resource<DynamicType = ()>>() -> String {
    K::kind(&()).to_lowercase()
}

/// Name of the snapshot that is made for an object: `incident-NAME`.
#[must_use]
pub fn name(kind: &str, object: &str) -> String {
    let name: String = format!("{kind}-{object}").chars().take(NAME_MOST).collect();
    name.trim_end_matches(['-', '.']).to_owned()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time as MetaTime;

    use super::*;
    use crate::api::action::ActionKind;
    use crate::api::snapshot::SnapshotStatus;
    use crate::api::stack::ServiceState;
    use crate::plan::fixtures::{self, at};

    fn stack() -> WicapStack {
        fixtures::stack(&[("ui", ServiceState::Running)])
    }

    fn failed(name: &str, finished: i64) -> ActionRun {
        let mut action = fixtures::action(name, ActionKind::RestartService, "ui", ActionPhase::Failed);
        action.status.as_mut().unwrap().finished_at = Some(at(finished));
        action
    }

    fn snapshot(name: &str, reason: SnapshotReason, created: i64, made: Option<i64>) -> Snapshot {
        let spec = SnapshotSpec { stack: "wicap".into(), reason, object: None, by: None };
        let mut snapshot = Snapshot::new(name, spec);
        snapshot.metadata.creation_timestamp = Some(MetaTime(at(created)));
        snapshot.status = made.map(|made| SnapshotStatus {
            phase: SnapshotPhase::Completed,
            made_at: Some(at(made)),
            ..SnapshotStatus::default()
        });
        snapshot
    }

    #[test]
    fn what_fails_calls_for_one_once_and_not_when_it_is_long_ago() {
        let stack = stack();
        let actions = [failed("a", 1000), failed("old", 0)];
        let made = turn(&stack, &[], &actions, &[], &[], at(600_001));
        assert_eq!(made.create.len(), 1);
        assert_eq!((made.create[0].name(), made.create[0].spec.reason), ("actionrun-a", SnapshotReason::FailedAction));
        assert_eq!(made.create[0].spec.object.as_deref(), Some("actionrun/a"));
        assert!(made.create[0].validate().is_empty());
        assert_eq!(turn(&stack, &[], &actions, &[], &made.create, at(600_001)).create, []);
    }

    #[test]
    fn an_action_that_did_not_fail_calls_for_none() {
        for phase in [ActionPhase::Succeeded, ActionPhase::Denied, ActionPhase::Running, ActionPhase::Interrupted] {
            let mut action = failed("a", 0);
            action.status.as_mut().unwrap().phase = phase;
            assert_eq!(turn(&stack(), &[], &[action], &[], &[], at(0)), Turn::default(), "{phase:?}");
        }
    }

    #[test]
    fn what_one_failure_brings_about_is_in_one_pack() {
        let stack = stack();
        let waiting =
            [snapshot("b", SnapshotReason::Incident, 0, None), snapshot("a", SnapshotReason::FailedAction, 1500, None)];
        let early = turn(&stack, &[], &[], &[], &waiting, at(1999));
        assert_eq!((early.pack.len(), early.again), (0, Some(at(2000))));
        assert_eq!(turn(&stack, &[], &[], &[], &waiting, at(2000)).pack, ["a", "b"]);
    }

    #[test]
    fn packs_that_nobody_has_asked_for_are_half_a_minute_apart_and_others_are_made_at_once() {
        let stack = stack();
        let mut all = vec![
            snapshot("first", SnapshotReason::Incident, 0, Some(2000)),
            snapshot("b", SnapshotReason::Incident, 3000, None),
        ];
        assert_eq!(turn(&stack, &[], &[], &[], &all, at(31_999)).again, Some(at(32_000)));
        assert_eq!(turn(&stack, &[], &[], &[], &all, at(32_000)).pack, ["b"]);
        all.push(snapshot("asked", SnapshotReason::Requested, 3000, None));
        assert_eq!(turn(&stack, &[], &[], &[], &all, at(3000)).pack, ["asked", "b"]);
    }

    #[test]
    fn a_long_name_is_cut_to_what_a_name_may_be() {
        assert!(name("incident", &"a".repeat(253)).len() <= NAME_MOST);
        assert!(crate::api::validate::is_object_name(&name("incident", &format!("{}-{}", "a".repeat(243), "b"))));
    }
}
