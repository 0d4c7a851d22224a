//! The targets as they are now.

use crate::api::action::{ContainerFact, ReplicaFact};
use crate::api::stack::{ServiceSpec, ServiceState, WicapStackSpec};
use crate::observe::engine::{Container, Engine};
use crate::observe::observation::{engine_state, spokesman};

use super::{ActError, Deed};

/// One fact a service, from a fresh look. Where a service has several containers, the one that `before` names stays its subject
/// as long as it exists. `desired` says how many containers a service is to have, where that is known; else what `before` says of it
/// holds.
///
/// # Errors
/// [`ActError::NotListed`], or why the engine could not be asked.
pub async fn now(
    engine: &Engine,
    stack: &WicapStackSpec,
    deed: Deed<'_>,
    before: &[ContainerFact],
    desired: &(dyn Fn(&str) -> Option<u32> + Sync),
) -> Result<Vec<ContainerFact>, ActError> {
    let services = services(stack, deed)?;
    let names: Vec<&str> = services.iter().map(|s| s.name.as_str()).collect();
    let containers = engine.containers_of(&stack.compose.project, &names).await?;
    let fact = |name: &str| {
        let mut fact = fact(stack, name, &containers, before);
        let found = u32::try_from(containers.iter().filter(|c| c.service == name).count()).unwrap_or(u32::MAX);
        let then = before.iter().find(|b| b.service == name).and_then(|b| b.replicas).map(|replicas| replicas.desired);
        let desired = desired(name).or(then).filter(|desired| *desired != 1);
        fact.replicas = desired.map(|desired| ReplicaFact { found, desired });
        fact
    };
    Ok(services.into_iter().map(|s| fact(&s.name)).collect())
}

/// The services that are acted on: those that are named, or else the target, or with an empty target all that are managed.
///
/// # Errors
/// [`ActError::NotListed`].
pub(super) fn services<'a>(stack: &'a WicapStackSpec, deed: Deed<'_>) -> Result<Vec<&'a ServiceSpec>, ActError> {
    let listed = |name: &str| stack.service(name).ok_or_else(|| ActError::NotListed { target: name.to_owned() });
    match (deed.services, deed.target) {
        ([], "") => Ok(stack.services.iter().filter(|s| s.managed).collect()),
        ([], target) => Ok(vec![listed(target)?]),
        (services, _) => services.iter().map(|name| listed(name)).collect(),
    }
}

fn fact(stack: &WicapStackSpec, service: &str, containers: &[Container], before: &[ContainerFact]) -> ContainerFact {
    let subject = before.iter().find(|b| b.service == service).and_then(|b| b.container_id.as_deref());
    let same = containers.iter().find(|c| c.service == service && Some(c.id.as_str()) == subject);
    let found = same.or_else(|| spokesman(service, stack.desired_state, containers));
    ContainerFact {
        service: service.to_owned(),
        state: found.map_or(ServiceState::Missing, engine_state),
        container_id: found.map(|c| c.id.clone()),
        started_at: found.and_then(|c| c.started_at),
        replicas: None,
    }
}
