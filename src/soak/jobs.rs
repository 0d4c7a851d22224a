//! Checks that are jobs: each is asked for as an action under the run's session, and told by what became of that.

use std::collections::BTreeMap;

use kube::Resource;

use super::report::CheckOutcome;
use crate::api::action::{ActionKind, ActionPhase, ActionRun, ActionRunSpec, Cause, CauseKind};
use crate::api::soak::{SoakCheck, SoakRun};
use crate::api::{Object, Time, elapsed};

/// How far a check is.
#[derive(Clone, Debug, PartialEq)]
pub enum Job {
    /// None is asked for that is not recorded.
    Idle,
    /// One is asked for, and has not ended.
    UnderWay,
    /// One could not be made, and is to be tried again.
    Again {
        /// Which check it is.
        number: u32,
        /// Which attempt comes next, from 1.
        attempt: u32,
    },
    /// One was made.
    Made {
        /// Which check it is.
        number: u32,
        /// What is to be recorded of it.
        made: Made,
    },
}

/// A check that was made.
#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    /// When its action was claimed, or asked for when it never was.
    pub at: Time,
    /// What became of it.
    pub outcome: CheckOutcome,
    /// Milliseconds from the claim of its action to its end.
    pub latency_ms: f64,
    /// What was said of it, where it did not pass.
    pub message: Option<String>,
    /// How many of its tests `passed`, `failed` and were `skipped`.
    pub captured: BTreeMap<String, f64>,
}

/// Name of the action that is a check of a run: unique to this very run, so that asking twice is one action.
#[must_use]
pub fn name(run: &SoakRun, check: &str, number: u32, attempt: u32) -> String {
    format!("{}{number}-{attempt}", prefix(run, check))
}

fn prefix(run: &SoakRun, check: &str) -> String {
    let uid: String = run.meta().uid.iter().flat_map(|u| u.chars()).take(8).collect();
    // Names have at most 253 characters, that of a check at most 63, each number 10.
    let name: String = run.name().chars().take(140).collect();
    // Names of checks may differ in what names of objects cannot show; their places in the spec differ always.
    let place = run.spec.checks.iter().position(|c| c.name == check).map_or(0, |i| i + 1);
    let check = check.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    format!("{name}-{uid}-check{place}-{check}-")
}

/// What is asked for.
#[must_use]
pub fn request(run: &SoakRun, check: &SoakCheck, number: u32) -> Option<ActionRunSpec> {
    Some(ActionRunSpec {
        stack: run.spec.stack.clone(),
        action: ActionKind::RunJob,
        target: check.job.clone()?,
        params: crate::api::action::Params::default(),
        session: run.spec.session.clone().unwrap_or_default(),
        cause: Cause {
            kind: CauseKind::Soak,
            summary: format!("check {} number {number} of SoakRun {}", check.name, run.name()),
            drift: None,
            since: None,
            object: Some(format!("SoakRun/{}", run.name())),
            attempt: None,
        },
        timeout: Some(check.timeout),
        dry_run: false,
    })
}

/// How far a check is, of which `open` is the first number that is not recorded.
#[must_use]
pub fn look(run: &SoakRun, check: &SoakCheck, open: u32, actions: &[ActionRun]) -> Job {
    let prefix = prefix(run, &check.name);
    let of_check = |action: &ActionRun| -> Option<(u32, u32)> {
        let (number, attempt) = action.name().strip_prefix(&prefix)?.split_once('-')?;
        Some((number.parse().ok()?, attempt.parse().ok()?)).filter(|_| run.owns(action))
    };
    let asked = actions.iter().filter_map(|a| of_check(a).map(|(number, attempt)| (number, attempt, a)));
    let last = asked.filter(|(number, ..)| *number >= open).max_by_key(|(number, attempt, _)| (*number, *attempt));
    let Some((number, attempt, action)) = last else { return Job::Idle };
    let Some(made) = made(action) else { return Job::UnderWay };
    if made.outcome == CheckOutcome::Error && attempt <= check.retries {
        return Job::Again { number, attempt: attempt + 1 };
    }
    Job::Made { number, made }
}

/// What an action that has ended says of the check; none of one that has not.
///
/// A job that ran has passed or failed. One that was refused, interrupted, or whose result is not known says nothing of the stack.
fn made(action: &ActionRun) -> Option<Made> {
    let status = action.status.as_ref().filter(|s| s.phase.is_final())?;
    let result = status.verification.as_ref().and_then(|v| v.job.as_ref());
    let outcome = match (status.phase, result) {
        (ActionPhase::Succeeded, Some(_)) => CheckOutcome::Passed,
        (ActionPhase::Failed, Some(_)) => CheckOutcome::Failed,
        _ => CheckOutcome::Error,
    };
    let asked_at = action.meta().creation_timestamp.as_ref().map(|t| t.0);
    let (from, to) = (status.started_at.or(asked_at).unwrap_or(Time::UNIX_EPOCH), status.finished_at);
    let took = elapsed(from, to.unwrap_or(from));
    #[allow(clippy::cast_precision_loss)] // Counts of tests.
    let captured = result.map(|r| {
        [("passed", r.passed), ("failed", r.failed + r.errors), ("skipped", r.skipped)]
            .map(|(name, count)| (name.to_owned(), count as f64))
            .into()
    });
    let message = (outcome != CheckOutcome::Passed).then(|| {
        let said = status.message.clone().unwrap_or_default();
        if outcome == CheckOutcome::Error { format!("{:?}: {said}", status.phase) } else { said }
    });
    Some(Made {
        at: from,
        outcome,
        latency_ms: (took.as_secs_f64() * 1e6).round() / 1000.0,
        message,
        captured: captured.unwrap_or_default(),
    })
}

#[cfg(test)]
#[path = "jobs/tests.rs"]
mod tests;
