//! Incidents: what a person is called for, and what becomes of it.
//!
//! One is opened in the same transaction as the recovery state that says that a person is called, under a name that is a function of
//! what it is about: once in an episode, whatever crashes when. From then on its status follows what is seen.

use std::time::Duration;

use super::drift::{calls_for_action, is_well};
use super::episode::{incident_name, name};
use crate::api::action::{ActionPhase, ActionRun};
use crate::api::incident::{Incident, IncidentAction, IncidentPhase, IncidentSpec, IncidentStatus};
use crate::api::stack::{Drift, RecoveryState, WicapStack, WicapStackStatus};
use crate::api::{Object, Time, elapsed};

/// The most incidents that one plan opens, and the most that it follows. They are written in one transaction with the actions, of
/// which etcd takes 128 operations; the others have their turn in the next plan.
pub(super) const MOST: usize = 8;

/// An Incident to be created.
#[derive(Clone, Debug, PartialEq)]
pub struct Opened {
    /// Its name.
    pub name: String,
    /// What it is about.
    pub spec: IncidentSpec,
}

/// A status to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct Followed {
    /// Name of the Incident.
    pub name: String,
    /// Its status.
    pub status: IncidentStatus,
}

/// The incident of an episode of a service.
pub(super) fn open(stack: &WicapStack, drift: &Drift, episode: i64) -> Opened {
    let name = incident_name(stack, &drift.service, drift.kind, episode);
    let signature = format!("{:?}: {}", drift.kind, drift.evidence);
    let spec = IncidentSpec::about(stack.name(), &drift.service, drift.kind, episode, &signature, drift.severity);
    Opened { name, spec }
}

/// The incidents of a stack's drifts that are not over, by name. Those of anything else are followed by whoever opened them.
pub(super) fn unresolved<'a>(stack: &WicapStack, incidents: &'a [Incident]) -> Vec<&'a Incident> {
    let over = |i: &Incident| i.status.as_ref().is_some_and(|s| s.phase == IncidentPhase::Resolved);
    let drifts = |i: &Incident| i.spec.kind.drift().is_some();
    let ours =
        |i: &&Incident| i.spec.stack == stack.name() && drifts(i) && i.metadata.deletion_timestamp.is_none() && !over(i);
    let mut found: Vec<_> = incidents.iter().filter(ours).collect();
    found.sort_by_key(|i| i.name());
    found
}

/// What comes and goes faster than this is one occurrence. The engine's own policy starts a container that crashes every minute, for
/// ever: a person has been called for that, and each of its deaths would be a write and a record.
const AGAIN: Duration = Duration::from_secs(600);

/// What the incidents of a stack are followed by.
pub(super) struct Seen<'a> {
    pub(super) stack: &'a WicapStack,
    pub(super) status: &'a WicapStackStatus,
    /// The drift that is seen now.
    pub(super) drift: &'a [Drift],
    /// The recovery states as they will be written.
    pub(super) recovery: &'a [RecoveryState],
    pub(super) actions: &'a [ActionRun],
    pub(super) now: Time,
}

impl Seen<'_> {
    /// The statuses that have changed, of at most [`MOST`].
    pub(super) fn follow(&self, incidents: &[&Incident]) -> Vec<Followed> {
        let changed = incidents.iter().filter_map(|incident| {
            let status = self.status_of(incident);
            (incident.status.as_ref() != Some(&status)).then(|| Followed { name: incident.name().to_owned(), status })
        });
        changed.take(MOST).collect()
    }

    fn status_of(&self, incident: &Incident) -> IncidentStatus {
        let Self { stack, now, .. } = *self;
        let spec = &incident.spec;
        let about = |d: &&Drift| d.service == spec.service && spec.kind == d.kind;
        let (is, was) = (self.drift.iter().find(about), self.status.drift.iter().any(|d| about(&d)));
        let mut status = incident.status.clone().unwrap_or_else(|| IncidentStatus {
            phase: IncidentPhase::Escalated,
            first_seen: Some(is.map_or(now, |d| d.since)),
            last_seen: Some(now),
            count: 1,
            actions: self.actions_of(spec),
            evidence: Some(is.map_or(&spec.signature, |d| &d.evidence).clone()),
            samples: Vec::new(),
            message: Some("a person is needed: mend it, or set spec.acknowledged to have the ladder tried anew".to_owned()),
            resolved_at: None,
        });
        let lately = status.last_seen.is_some_and(|at| elapsed(at, now) < AGAIN);
        if incident.status.is_some() && is.is_some() != was && !lately {
            status.last_seen = Some(now);
            if let Some(drift) = is {
                status.count = status.count.saturating_add(1);
                status.evidence = Some(drift.evidence.clone());
            }
        }
        let over = if spec.acknowledged {
            let by = spec.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
            Some(format!("acknowledged{by}"))
        } else if stack.spec.service(&spec.service).is_none() {
            Some("the stack does not list the service any more".to_owned())
        } else {
            self.at_rest(&spec.service).then(|| "the service has been as desired for its stable spell".to_owned())
        };
        if over.is_some() {
            (status.phase, status.message, status.resolved_at) = (IncidentPhase::Resolved, over, Some(now));
        }
        status
    }

    /// Whether the service is well, and its stable spell complete.
    fn at_rest(&self, service: &str) -> bool {
        let state = self.recovery.iter().find(|r| r.service == service);
        let calm = state
            .is_none_or(|r| r.total == 0 && r.escalated_at.is_none() && r.exhausted.is_empty() && r.stable_since.is_none());
        let drifts = |d: &Drift| d.service == service && calls_for_action(&self.stack.spec, service, d.kind);
        let well = self.status.service(service).is_some_and(|s| is_well(&self.stack.spec, s));
        calm && well && !self.drift.iter().any(drifts)
    }

    /// What was done in the incident's episode, in order.
    fn actions_of(&self, spec: &IncidentSpec) -> Vec<IncidentAction> {
        let number = |run: &ActionRun| {
            let attempt = run.spec.cause.attempt.as_deref()?;
            let n: u32 = attempt.strip_prefix(&format!("episode {}, action ", spec.episode))?.parse().ok()?;
            let ours = name(self.stack, &spec.service, run.spec.action, spec.episode, n) == run.name();
            ours.then_some(n)
        };
        let outcome = |run: &ActionRun| run.status.as_ref().map_or(ActionPhase::Pending, |s| s.phase);
        let mut runs: Vec<_> = self.actions.iter().filter_map(|run| Some((number(run)?, run))).collect();
        runs.sort_by_key(|(n, _)| *n);
        let told = |(_, run): (u32, &ActionRun)| IncidentAction {
            name: run.name().to_owned(),
            action: run.spec.action,
            outcome: outcome(run),
        };
        runs.into_iter().map(told).collect()
    }
}
