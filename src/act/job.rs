//! run_job: a container of its own, run to its end beside the services, and what it left told as its effect.
//!
//! ```text
//!   make, start (the execution) ─> wait for the end ─> its exit code and its JUnit XML (the verification) ─> remove
//! ```
//!
//! The container bears the name of its ActionRun's uid, so that it is made once, and whoever takes the action over finds it. It is
//! removed when the result is on record, and not before: a crash in between leaves it for the next leader.

use std::time::Duration;

use tokio::time::Instant;

use super::{ActError, OUTPUT_MOST, Outcome, tail};
use crate::api::action::{ContainerFact, JobResult, Verification};
use crate::api::stack::{Job, ServiceState, WicapStackSpec};
use crate::audit::redact::redact;
use crate::observe::engine::{Engine, EngineError, OneShot, Progress};
use crate::observe::junit;

/// Wait before an engine that did not answer is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Wait before what the engine says has ended is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// How long after it was taken over a container may still appear that another process was to make: two calls, begun at the last moment.
const APPEARS: Duration = Duration::from_secs(75);

/// Name of the container of an ActionRun.
#[must_use]
pub fn container_name(uid: &str) -> String {
    format!("wicap-job-{uid}")
}

/// The job that is the target.
///
/// # Errors
/// [`ActError::NoJob`].
pub(super) fn job<'a>(stack: &'a WicapStackSpec, target: &str) -> Result<&'a Job, ActError> {
    stack.job(target).ok_or_else(|| ActError::NoJob { target: target.to_owned() })
}

/// The container as it is now: one fact, of the job.
pub(super) async fn fact(engine: &Engine, job: &Job, uid: &str) -> Result<ContainerFact, ActError> {
    let progress = engine.progress(&container_name(uid)).await?;
    let state = match progress {
        None => ServiceState::Missing,
        Some(Progress::Made) => ServiceState::Starting,
        Some(Progress::Running) => ServiceState::Running,
        Some(Progress::Ended(_)) => ServiceState::Exited,
    };
    Ok(ContainerFact { service: job.name.clone(), state, container_id: None, started_at: None, replicas: None })
}

/// What will be called, and of which image. Its arguments and variables stay in the stack's spec: what is recorded is shown and kept, and
/// they are free text.
pub(super) fn command(job: &Job, uid: &str) -> Vec<String> {
    vec!["POST".to_owned(), format!("/containers/{}/start", container_name(uid)), job.image.clone()]
}

/// Makes the container and starts it.
pub(super) async fn execute(engine: &Engine, project: &str, job: &Job, uid: &str) -> Result<Outcome, ActError> {
    let name = container_name(uid);
    let network = engine.network(project, &job.network).await?;
    let network = network.ok_or_else(|| ActError::NoNetwork { network: job.network.clone() })?;
    let one_shot = OneShot {
        name: &name,
        run_for: uid,
        project,
        image: &job.image,
        args: &job.args,
        environment: job.environment.iter().map(|(name, value)| format!("{name}={value}")).collect(),
        network: &network,
    };
    engine.make(&one_shot).await?;
    engine.start(&name).await?;
    Ok(Outcome::default())
}

/// Waits until the job has ended, and tells what it has shown. `over` says that its start was answered: until then a container that is
/// not there may still be made.
pub(super) async fn wait(engine: &Engine, job: &Job, uid: &str, timeout: Duration, over: bool) -> Verification {
    let name = container_name(uid);
    let begun = Instant::now();
    let deadline = begun + timeout;
    let unknown = |message: String| Verification { holds: false, message, after: Vec::new(), job: None };
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let is_late = left.is_zero();
        let is_made = over || is_late || begun.elapsed() > APPEARS;
        let again = match engine.progress(&name).await {
            Ok(Some(Progress::Ended(code))) => return read(engine, job, &name, code).await,
            Ok(Some(Progress::Running)) if is_late => return late(engine, &name, timeout).await,
            Ok(Some(Progress::Running)) => match engine.wait_for_end(&name, left).await {
                Ok(()) | Err(EngineError::Timeout { .. }) => LOOK,
                Err(error) => {
                    tracing::debug!(name, %error, "the engine does not say when the job has ended");
                    ASK_AGAIN
                }
            },
            Ok(Some(Progress::Made)) if is_made => return unknown("its container was never started".to_owned()),
            Ok(None) if is_made => return unknown("its container is gone, and its result with it".to_owned()),
            Ok(_) => ASK_AGAIN,
            Err(error) if is_late => return unknown(format!("after {timeout:?}: it could not be looked at: {error}")),
            Err(_) => ASK_AGAIN,
        };
        tokio::time::sleep(again.min(left)).await;
    }
}

/// What a job that has ended has left.
async fn read(engine: &Engine, job: &Job, name: &str, code: i64) -> Verification {
    let file = match engine.file(name, &job.junit).await {
        Ok(Some(xml)) => junit::read(&xml).map_err(|why| format!("{} cannot be read: {why}", job.junit)),
        Ok(None) => Err(format!("it left no {}", job.junit)),
        Err(error) => Err(format!("{} could not be had: {error}", job.junit)),
    };
    let (holds, message, job) = judge(code, file);
    Verification { holds, message: with_output(engine, name, message, holds).await, after: Vec::new(), job }
}

/// The end of a job that takes too long.
async fn late(engine: &Engine, name: &str, timeout: Duration) -> Verification {
    let message = format!("it did not end within {timeout:?}");
    let message = with_output(engine, name, message, false).await;
    Verification { holds: false, message, after: Vec::new(), job: Some(JobResult::default()) }
}

/// What is said of a failure, with the last that was printed.
async fn with_output(engine: &Engine, name: &str, message: String, holds: bool) -> String {
    if holds {
        return message;
    }
    // Redacted before it is cut: half a secret is one too.
    let printed = engine.printed(name).await.map(|text| redact(&text).into_owned()).unwrap_or_default();
    let printed = tail(printed.trim(), OUTPUT_MOST / 4);
    if printed.is_empty() { message } else { format!("{message}; it printed: {printed}") }
}

/// Whether a job has passed, what to say of it, and its result where it has one.
///
/// It has passed when its process says so, at least one test passed and none failed. Where a process that ended well has left nothing to
/// tell that by, it has shown nothing: that is no result.
fn judge(code: i64, file: Result<JobResult, String>) -> (bool, String, Option<JobResult>) {
    match file {
        Err(why) if code == 0 => (false, why, None),
        Err(why) => {
            let result = JobResult { exit_code: Some(code), ..JobResult::default() };
            (false, format!("it ended with code {code}; {why}"), Some(result))
        }
        Ok(result) => {
            let result = JobResult { exit_code: Some(code), ..result };
            let JobResult { passed, failed, errors, skipped, failures, .. } = &result;
            let mut counts = format!("{passed} passed, {failed} failed, {errors} broke down, {skipped} skipped");
            if !failures.is_empty() {
                counts = format!("{counts}: {}", failures.join("; "));
            }
            let (holds, message) = match (failed + errors, passed, code) {
                (1.., ..) => (false, counts),
                (0, 0, _) => (false, format!("no test passed: {counts}")),
                (0, _, 0) => (true, counts),
                (0, _, code) => (false, format!("it ended with code {code}, whatever its tests say: {counts}")),
            };
            (holds, message, Some(result))
        }
    }
}

/// Removes a job's container, whatever it does.
///
/// # Errors
/// [`ActError::Engine`].
pub(super) async fn remove(engine: &Engine, uid: &str) -> Result<(), ActError> {
    Ok(engine.remove(&container_name(uid)).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::unnecessary_wraps)] // It stands beside errors in a table.
    fn tests(passed: u64, failed: u64, errors: u64, skipped: u64) -> Result<JobResult, String> {
        let failures = if failed + errors > 0 { vec!["ui sorts: no rows".to_owned()] } else { Vec::new() };
        Ok(JobResult { exit_code: None, passed, failed, errors, skipped, failures })
    }

    #[test]
    fn what_is_recorded_of_a_call_has_no_free_text() {
        let job = serde_json::json!({
            "name": "e2e", "image": "suite:1", "junit": "/o.xml", "args": ["--password", "hunter2"], "environment": {"A": "hunter3"},
        });
        let command = command(&serde_json::from_value(job).unwrap(), "u");
        assert_eq!(command, ["POST", "/containers/wicap-job-u/start", "suite:1"]);
    }

    #[test]
    fn a_job_passes_by_what_it_shows() {
        for (code, file, holds, has_result, said) in [
            (0, tests(3, 0, 0, 0), true, true, "3 passed, 0 failed, 0 broke down, 0 skipped"),
            (0, tests(3, 0, 0, 2), true, true, "3 passed, 0 failed, 0 broke down, 2 skipped"),
            (1, tests(2, 1, 0, 0), false, true, "2 passed, 1 failed, 0 broke down, 0 skipped: ui sorts: no rows"),
            (0, tests(2, 1, 0, 0), false, true, "2 passed, 1 failed, 0 broke down, 0 skipped: ui sorts: no rows"),
            (0, tests(2, 0, 1, 0), false, true, "2 passed, 0 failed, 1 broke down, 0 skipped: ui sorts: no rows"),
            (0, tests(0, 0, 0, 0), false, true, "no test passed: 0 passed, 0 failed, 0 broke down, 0 skipped"),
            (0, tests(0, 0, 0, 12), false, true, "no test passed: 0 passed, 0 failed, 0 broke down, 12 skipped"),
            (
                1,
                tests(3, 0, 0, 0),
                false,
                true,
                "it ended with code 1, whatever its tests say: 3 passed, 0 failed, 0 broke down, 0 skipped",
            ),
            (0, Err("it left no /out/junit.xml".to_owned()), false, false, "it left no /out/junit.xml"),
            (137, Err("it left no /o.xml".to_owned()), false, true, "it ended with code 137; it left no /o.xml"),
        ] {
            let (held, message, result) = judge(code, file);
            assert_eq!((held, result.is_some(), message.as_str()), (holds, has_result, said));
            assert!(result.is_none_or(|r| r.exit_code == Some(code)));
        }
    }
}
