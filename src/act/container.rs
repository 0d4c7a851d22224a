//! start, restart, stop: one call to the engine, about one container, by its id.

use super::{ActError, Outcome};
use crate::api::action::{ActionKind, ContainerFact};
use crate::observe::engine::{Engine, EngineError, check_id};

/// The container that the facts name for a service.
///
/// # Errors
/// [`ActError::NoContainer`].
pub(super) fn id<'a>(target: &str, before: &'a [ContainerFact]) -> Result<&'a str, ActError> {
    let fact = before.iter().find(|fact| fact.service == target);
    fact.and_then(|f| f.container_id.as_deref()).ok_or_else(|| ActError::NoContainer { target: target.to_owned() })
}

/// Method and path of the call.
///
/// # Errors
/// [`EngineError::Id`] when the id is none, [`ActError::Target`] when the action is none of this file's.
pub(super) fn command(action: ActionKind, id: &str) -> Result<Vec<String>, ActError> {
    check_id(id)?;
    let verb = match action {
        ActionKind::StartService => "start",
        ActionKind::RestartService => "restart",
        ActionKind::StopService => "stop",
        _ => return Err(ActError::Target { action, target: id.to_owned() }),
    };
    Ok(vec!["POST".to_owned(), format!("/containers/{id}/{verb}")])
}

/// Makes the call.
///
/// # Errors
/// The engine's.
pub(super) async fn execute(engine: &Engine, action: ActionKind, id: &str) -> Result<Outcome, ActError> {
    match action {
        ActionKind::StartService => engine.start(id).await?,
        ActionKind::RestartService => engine.restart(id, grace(engine, id).await?).await?,
        ActionKind::StopService => engine.stop(id, grace(engine, id).await?).await?,
        _ => return Err(ActError::Target { action, target: id.to_owned() }),
    }
    Ok(Outcome::default())
}

/// The container's own grace period. Failing to learn it is certain to have changed nothing, whatever the error.
async fn grace(engine: &Engine, id: &str) -> Result<std::time::Duration, EngineError> {
    engine.stop_grace(id).await.map_err(|error| {
        if error.is_ambiguous() {
            EngineError::Unreachable { url: engine.url().to_owned(), why: error.to_string() }
        } else {
            error
        }
    })
}
