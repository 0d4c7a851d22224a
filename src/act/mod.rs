//! The allowlisted actions and their verification. Nothing else in the project changes a stack.
//!
//! ```text
//!   facts (before) ─> precondition ─> command (recorded) ─> execute ─> verify: facts until postcondition
//! ```
//!
//! What is done comes from an [`ActionKind`] and a service that the spec lists and manages: there is no free text. Whoever calls
//! authorises and records first.
//!
//! # Layout
//! - [`container`]: start, restart, stop, through the engine
//! - [`compose`]: up, recreate, down, through `docker compose`
//! - [`job`]: a container of its own, run to its end
//! - [`status_check`]: looks, and changes nothing
//! - [`facts`]: the targets as they are now
//! - [`verify`]: preconditions and postconditions, pure, and the wait for the latter
//! - [`serving`]: whether what was brought up serves, by the observer's word

pub mod compose;
pub mod container;
pub mod facts;
pub mod job;
pub mod serving;
pub mod status_check;
pub mod verify;

use std::time::Duration;

pub use verify::{postcondition, precondition};

use crate::api::action::{ActionKind, ActionRun, ContainerFact, Verification};
use crate::api::stack::{WicapStack, WicapStackSpec};
use crate::api::validate::is_service;
use crate::audit::redact::redact;
use crate::observe::compose::{ComposeCli, ComposeError};
use crate::observe::directory::HeldDirectory;
use crate::observe::engine::{Engine, EngineError};

/// Most bytes of output that are kept of an execution: an ActionRun with all its steps stays far below an object's limit.
pub const OUTPUT_MOST: usize = 4096;

/// Why an action was not carried out, or nothing is known about it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ActError {
    /// The spec does not list the target. List it, or ask for another; nothing was done.
    #[error("{target:?} is no service of spec.services")]
    NotListed {
        /// The target.
        target: String,
    },
    /// The spec says that the target is never touched. Set `managed: true` to change that; nothing was done.
    #[error("{target} has managed: false")]
    Unmanaged {
        /// The target.
        target: String,
    },
    /// The spec has no such job. List it in `spec.jobs`; nothing was done.
    #[error("{target:?} is no job of spec.jobs")]
    NoJob {
        /// The target.
        target: String,
    },
    /// The project has no such network, or is not up; nothing was done.
    #[error("the project has no network {network:?}")]
    NoNetwork {
        /// Its key in the compose file.
        network: String,
    },
    /// The action does not go with such a target; nothing was done.
    #[error("{action} cannot act on {}", if .target.is_empty() { "the whole stack" } else { .target })]
    Target {
        /// The action.
        action: ActionKind,
        /// The target; empty for the whole stack.
        target: String,
    },
    /// The facts name no container to act on. Look again; nothing was done.
    #[error("{target} has no container")]
    NoContainer {
        /// The service.
        target: String,
    },
    /// The engine did not do it. See [`EngineError`].
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Compose did not do it. See [`ComposeError`].
    #[error(transparent)]
    Compose(#[from] ComposeError),
    /// The time for the execution is over. It may still take effect: look what became of it.
    #[error("it was not done within {after:?}")]
    Timeout {
        /// The time limit.
        after: Duration,
    },
}

impl ActError {
    /// Whether the action has failed whatever its target looks like: what was carried out may not be what was permitted.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Compose(ComposeError::Replaced { .. }))
    }

    /// Whether the action may have had an effect. False only when it certainly had none.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        match self {
            Self::NotListed { .. }
            | Self::Unmanaged { .. }
            | Self::NoJob { .. }
            | Self::NoNetwork { .. }
            | Self::Target { .. }
            | Self::NoContainer { .. } => false,
            Self::Engine(error) => error.is_ambiguous(),
            Self::Compose(error) => error.is_ambiguous(),
            Self::Timeout { .. } => true,
        }
    }
}

/// How an execution ended. Whether it had its effect is for [`Actor::verify`] to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Exit code of the process; absent for a call to the engine, and when a signal ended the process.
    pub exit_code: Option<i32>,
    /// The last of what was printed, redacted, at most [`OUTPUT_MOST`] bytes.
    pub output: String,
}

/// What is to be done, and to what.
#[derive(Clone, Copy, Debug)]
pub struct Deed<'a> {
    /// The action.
    pub action: ActionKind,
    /// The service, or `""` for every managed service of the spec.
    pub target: &'a str,
    /// The services to act on together, instead of the target.
    pub services: &'a [String],
    /// Uid of the ActionRun: what a job's container is called by. `""` of an action that is not asked for as one.
    pub uid: &'a str,
}

impl<'a> Deed<'a> {
    /// An action on a target alone.
    #[must_use]
    pub fn new(action: ActionKind, target: &'a str) -> Self {
        Self { action, target, services: &[], uid: "" }
    }
}

impl<'a> From<&'a ActionRun> for Deed<'a> {
    fn from(run: &'a ActionRun) -> Self {
        let spec = &run.spec;
        let uid = run.metadata.uid.as_deref().unwrap_or_default();
        Self { action: spec.action, target: &spec.target, services: &spec.params.services, uid }
    }
}

/// The hand: an engine and a compose client for the same engine.
#[derive(Clone, Debug)]
pub struct Actor {
    engine: Engine,
    compose: ComposeCli,
}

impl Actor {
    /// An actor on that engine.
    #[must_use]
    pub fn new(engine: Engine, compose: ComposeCli) -> Self {
        Self { engine, compose }
    }

    /// What is to be acted on as it is now: one fact a service, with an empty target one for each managed service of the spec.
    ///
    /// # Errors
    /// [`ActError::NotListed`], or why the engine could not be asked.
    pub async fn facts(&self, stack: &WicapStackSpec, deed: Deed<'_>) -> Result<Vec<ContainerFact>, ActError> {
        if deed.action.targets_job() {
            return Ok(vec![job::fact(&self.engine, job::job(stack, deed.target)?, deed.uid).await?]);
        }
        facts::now(&self.engine, stack, deed, &[], &|_| None).await
    }

    /// The same of a stack that is observed: what was seen of its configuration says how many containers a service is to have.
    ///
    /// # Errors
    /// As [`Actor::facts`].
    pub async fn facts_of(&self, stack: &WicapStack, deed: Deed<'_>) -> Result<Vec<ContainerFact>, ActError> {
        if deed.action.targets_job() {
            return self.facts(&stack.spec, deed).await;
        }
        let desired = |name: &str| stack.status.as_ref()?.service(name)?.replicas.map(|replicas| replicas.desired);
        facts::now(&self.engine, &stack.spec, deed, &[], &desired).await
    }

    /// What [`Actor::execute`] will call, for the record: method and path, or the argument vector. A stop or restart gives the
    /// process the grace period that its container was created with.
    ///
    /// # Errors
    /// Why it cannot be done to that target; the same that [`Actor::execute`] would give.
    pub fn command(
        &self,
        stack: &WicapStackSpec,
        deed: Deed<'_>,
        before: &[ContainerFact],
    ) -> Result<Vec<String>, ActError> {
        if deed.action.targets_job() {
            return Ok(job::command(job::job(stack, deed.target)?, deed.uid));
        }
        let services = targets(stack, deed)?;
        let Deed { action, target, .. } = deed;
        match action {
            ActionKind::RunJob => Err(ActError::Target { action, target: target.to_owned() }),
            ActionKind::StatusCheck => Ok(status_check::command(&stack.compose.project)),
            ActionKind::StartService | ActionKind::RestartService | ActionKind::StopService => {
                container::command(action, container::id(target, before)?)
            }
            ActionKind::ComposeUp
            | ActionKind::RecreateService
            | ActionKind::ComposeDown
            | ActionKind::ComposeDownVolumes => compose::command(&self.compose, &stack.compose, action, &services),
        }
    }

    /// Carries the action out, within `timeout`. `held` is the project's directory as it was when that was permitted. The exit code of
    /// a process is not judged here.
    ///
    /// # Errors
    /// [`ActError::is_ambiguous`] tells whether it may have had an effect all the same.
    pub async fn execute(
        &self,
        stack: &WicapStackSpec,
        deed: Deed<'_>,
        before: &[ContainerFact],
        held: &HeldDirectory,
        timeout: Duration,
    ) -> Result<Outcome, ActError> {
        let command = self.command(stack, deed, before)?;
        let Deed { action, target, .. } = deed;
        tracing::info!(%action, target, project = %stack.compose.project, "executing");
        let outcome = match action {
            ActionKind::StatusCheck => {
                let work = status_check::execute(&self.engine, stack, deed);
                tokio::time::timeout(timeout, work).await.map_err(|_| ActError::Timeout { after: timeout })??
            }
            ActionKind::StartService | ActionKind::RestartService | ActionKind::StopService => {
                let work = container::execute(&self.engine, action, container::id(target, before)?);
                tokio::time::timeout(timeout, work).await.map_err(|_| ActError::Timeout { after: timeout })??
            }
            // Its container's own time begins with its start.
            ActionKind::RunJob => {
                let work = job::execute(&self.engine, &stack.compose.project, job::job(stack, target)?, deed.uid);
                tokio::time::timeout(timeout, work).await.map_err(|_| ActError::Timeout { after: timeout })??
            }
            // The process has its own time limit, which also ends it.
            ActionKind::ComposeUp
            | ActionKind::RecreateService
            | ActionKind::ComposeDown
            | ActionKind::ComposeDownVolumes => {
                compose::execute(&self.compose, &stack.compose, &command, held, timeout).await?
            }
        };
        Ok(Outcome { output: tail(&redact(&outcome.output), OUTPUT_MOST).to_owned(), ..outcome })
    }

    /// Waits until the postcondition holds or the time is over. The engine's events wake it; it also looks every second. `over` says
    /// that the call has been answered, so that what has ended again by then need not be waited for.
    pub async fn verify(
        &self,
        stack: &WicapStackSpec,
        deed: Deed<'_>,
        before: &[ContainerFact],
        timeout: Duration,
        over: bool,
    ) -> Verification {
        if deed.action.targets_job() {
            return match job::job(stack, deed.target) {
                Ok(job) => job::wait(&self.engine, job, deed.uid, timeout, over).await,
                Err(error) => Verification { holds: false, message: error.to_string(), after: Vec::new(), job: None },
            };
        }
        verify::wait(&self.engine, stack, verify::Wanted { deed, before, timeout, over }).await
    }

    /// Removes the container of a job that is over.
    ///
    /// # Errors
    /// [`ActError::Engine`]. One that is not there is fine.
    pub async fn clean_up(&self, uid: &str) -> Result<(), ActError> {
        job::remove(&self.engine, uid).await
    }
}

/// Default time for the execution of an action, and for its verification. A stop or a recreation may wait for a grace period
/// (10 s unless declared otherwise) of each service; what creates containers may take a slow disk's time.
#[must_use]
pub fn default_timeout(action: ActionKind) -> Duration {
    Duration::from_secs(match action {
        ActionKind::StatusCheck => 10,
        ActionKind::StartService => 30,
        ActionKind::RestartService | ActionKind::StopService => 60,
        ActionKind::RunJob => 300,
        ActionKind::ComposeUp | ActionKind::RecreateService | ActionKind::ComposeDown | ActionKind::ComposeDownVolumes => {
            120
        }
    })
}

/// The services that are acted on: listed, and managed unless it changes nothing.
fn targets<'a>(stack: &'a WicapStackSpec, deed: Deed<'_>) -> Result<Vec<&'a str>, ActError> {
    let Deed { action, target, .. } = deed;
    let fits = if target.is_empty() { action.can_target_stack() } else { action.can_target_service() };
    if !fits || (!deed.services.is_empty() && !action.can_name_services()) {
        return Err(ActError::Target { action, target: target.to_owned() });
    }
    let services = facts::services(stack, deed)?;
    if let Some(service) = services.iter().find(|s| action.changes() && !s.managed) {
        return Err(ActError::Unmanaged { target: service.name.clone() });
    }
    // The names become arguments: what validation should have refused ends here, and so does an empty list, which Compose would
    // take for every service.
    if let Some(service) = services.iter().find(|s| !is_service(&s.name)) {
        return Err(ActError::NotListed { target: service.name.clone() });
    }
    if services.is_empty() {
        return Err(ActError::Target { action, target: target.to_owned() });
    }
    Ok(services.into_iter().map(|s| s.name.as_str()).collect())
}

/// At most the last `most` bytes, cut between characters.
fn tail(text: &str, most: usize) -> &str {
    let from = (text.len().saturating_sub(most)..=text.len()).find(|&i| text.is_char_boundary(i));
    &text[from.unwrap_or(text.len())..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::stack::ServiceState;
    use serde_json::json;

    fn actor() -> Actor {
        Actor::new(Engine::new("/nonexistent.sock").unwrap(), ComposeCli::new("/nonexistent.sock"))
    }

    fn stack() -> WicapStackSpec {
        serde_json::from_value(json!({
            "compose": {"project": "p", "directory": "/srv/p"},
            "services": [{"name": "redis"}, {"name": "ui"}, {"name": "scout", "managed": false}],
        }))
        .unwrap()
    }

    fn before(service: &str) -> Vec<ContainerFact> {
        let (state, container_id) = (ServiceState::Exited, Some("0a1b".to_owned()));
        vec![ContainerFact { service: service.to_owned(), state, container_id, started_at: None, replicas: None }]
    }

    /// Any directory.
    fn held() -> HeldDirectory {
        HeldDirectory::open(std::path::Path::new("/")).unwrap()
    }

    #[test]
    fn what_would_be_called() {
        let base = "docker compose --project-name p --project-directory /srv/p --file /srv/p/compose.yaml --ansi never";
        for (action, target, expected) in [
            (ActionKind::StartService, "ui", "POST /containers/0a1b/start".to_owned()),
            (ActionKind::RestartService, "ui", "POST /containers/0a1b/restart".to_owned()),
            (ActionKind::StopService, "ui", "POST /containers/0a1b/stop".to_owned()),
            (ActionKind::ComposeUp, "ui", format!("{base} up --detach --no-deps --no-build --pull never --no-recreate ui")),
            (
                ActionKind::ComposeUp,
                "",
                format!("{base} up --detach --no-deps --no-build --pull never --no-recreate redis ui"),
            ),
            (
                ActionKind::RecreateService,
                "ui",
                format!("{base} up --detach --no-deps --no-build --pull never --force-recreate ui"),
            ),
            (ActionKind::ComposeDown, "", format!("{base} down redis ui")),
            (ActionKind::StatusCheck, "scout", "GET /containers/json?project=p".to_owned()),
        ] {
            assert_eq!(actor().command(&stack(), Deed::new(action, target), &before(target)).unwrap().join(" "), expected);
        }
    }

    #[test]
    fn services_that_are_named_are_brought_up_together_instead_of_the_target() {
        let call = |action, services: &[&str]| {
            let services: Vec<String> = services.iter().map(|s| (*s).to_owned()).collect();
            actor().command(&stack(), Deed { services: &services, ..Deed::new(action, "ui") }, &[]).map(|c| c.join(" "))
        };
        let up = call(ActionKind::ComposeUp, &["redis"]).unwrap();
        assert!(up.ends_with("up --detach --no-deps --no-build --pull never --no-recreate redis"), "{up}");
        let up = call(ActionKind::ComposeUp, &["ui", "redis"]).unwrap();
        assert!(up.ends_with("--no-recreate ui redis"), "{up}");
        for (action, services) in [
            (ActionKind::ComposeUp, ["redis", "scout"]),
            (ActionKind::ComposeUp, ["redis", "sql"]),
            (ActionKind::RecreateService, ["redis", "ui"]),
            (ActionKind::RestartService, ["redis", "ui"]),
        ] {
            assert!(call(action, &services).is_err(), "{action} {services:?}");
        }
    }

    #[tokio::test]
    async fn what_may_not_be_done_is_not_even_a_command() {
        let mut hostile = stack();
        hostile.services[0].name = "--volumes".to_owned();
        let mut nothing = stack();
        nothing.services.iter_mut().for_each(|s| s.managed = false);
        let mut id = before("ui");
        id[0].container_id = Some("../images".to_owned());
        for (stack, action, target, before) in [
            (stack(), ActionKind::ComposeUp, "sql", before("sql")),
            (stack(), ActionKind::StartService, "scout", before("scout")),
            (stack(), ActionKind::StartService, "", before("ui")),
            (stack(), ActionKind::ComposeDown, "ui", before("ui")),
            (stack(), ActionKind::StartService, "ui", before("redis")),
            (hostile.clone(), ActionKind::ComposeDown, "", vec![]),
            (hostile, ActionKind::ComposeUp, "--volumes", vec![]),
            (nothing, ActionKind::ComposeDown, "", vec![]),
            (stack(), ActionKind::StopService, "ui", id),
        ] {
            let error = actor().command(&stack, Deed::new(action, target), &before).unwrap_err();
            assert!(!error.is_ambiguous(), "{error}");
            assert!(
                actor().execute(&stack, Deed::new(action, target), &before, &held(), Duration::from_secs(1)).await.is_err()
            );
        }
    }

    #[tokio::test]
    async fn an_engine_that_is_not_there_did_nothing() {
        let (action, limit) = (ActionKind::StartService, Duration::from_secs(5));
        let error = actor().execute(&stack(), Deed::new(action, "ui"), &before("ui"), &held(), limit).await;
        assert!(!error.unwrap_err().is_ambiguous());
        let long = ActError::Timeout { after: Duration::from_secs(1) };
        assert!(long.is_ambiguous());
    }

    #[test]
    fn a_tail_is_cut_between_characters() {
        assert_eq!(tail("abc", 5), "abc");
        assert_eq!(tail("abc", 2), "bc");
        assert_eq!(tail("aüb", 2), "b");
    }
}
