//! The containers of a compose project: all of them, those of some services, or the last look at them brought up to now.
//!
//! The engine makes whoever inspects a container wait while it starts, stops or cleans up after that container, a tenth of a second and
//! more. Its list does not wait. So what nothing has happened to is not inspected again.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{ContainerStateStatusEnum, ContainerSummary, ContainerSummaryStateEnum};
use bollard::query_parameters::ListContainersOptionsBuilder;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::Instant;

use super::inspect::{Container, ContainerState, container, secrets, state_of};
use super::{CONFIG_HASH, Engine, EngineError, NUMBER, ONE_OFF, PROJECT, READ_TIMEOUT, SERVICE};
use crate::audit::redact::known::{self, Owner};

/// Inspections at once. The engine serves each from memory; more would only make it queue them.
const PARALLEL: usize = 8;

/// How long a container that the engine did not answer for is asked for again: what is well is answered within a tenth of it.
const STILL_SILENT: Duration = Duration::from_millis(500);

/// How long it is asked for in such a hurry before it gets all the time once more: it may only have been slow.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// What was seen of a project's containers.
#[derive(Clone, Debug, Default)]
pub struct Look(Vec<Inspected>);

impl Look {
    /// The containers, sorted by service, number and name.
    #[must_use]
    pub fn containers(&self) -> Vec<Container> {
        let mut containers: Vec<Container> = self.0.iter().map(|i| i.container.clone()).collect();
        sort(&mut containers);
        containers
    }
}

fn sort(containers: &mut [Container]) {
    containers.sort_by(|a, b| (&a.service, a.number, &a.name).cmp(&(&b.service, b.number, &b.name)));
}

#[derive(Clone, Debug)]
struct Inspected {
    container: Container,
    /// What the engine's list said of it.
    listed: Option<ContainerState>,
    /// When it was asked for in vain with all the time there is.
    asked: Option<Instant>,
    /// Of its environment.
    secrets: Vec<String>,
}

/// A container, as the engine lists it.
#[derive(Clone, Debug)]
struct Listed {
    id: String,
    name: String,
    image: String,
    service: String,
    number: u32,
    config_hash: Option<String>,
    status: Option<ContainerState>,
}

impl Listed {
    /// The container, of which the engine says no more than that it is there.
    fn unanswered(self) -> Inspected {
        let listed = self.status;
        let container = Container {
            service: self.service,
            id: self.id,
            name: self.name,
            image: self.image,
            image_id: None,
            networks: Vec::new(),
            config_hash: self.config_hash,
            status: ContainerState::Unanswered,
            health: None,
            restart_count: 0,
            started_at: None,
            finished_at: None,
            exit_code: None,
            oom_killed: false,
            number: self.number,
        };
        Inspected { container, listed, asked: Some(Instant::now()), secrets: Vec::new() }
    }
}

fn listed(found: ContainerSummary) -> Option<Listed> {
    let labels = found.labels?;
    if labels.get(ONE_OFF).is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return None;
    }
    let service = labels.get(SERVICE).cloned().unwrap_or_default();
    let number = labels.get(NUMBER).and_then(|n| n.parse().ok()).unwrap_or(1);
    let config_hash = labels.get(CONFIG_HASH).cloned();
    let name = found.names.and_then(|names| names.into_iter().next()).unwrap_or_default();
    let name = name.trim_start_matches('/').to_owned();
    let image = found.image.unwrap_or_default();
    // The same words, in another enumeration.
    let word = found.state.as_ref().map(ContainerSummaryStateEnum::to_string);
    let status = word.and_then(|word| word.parse::<ContainerStateStatusEnum>().ok()).and_then(state_of);
    Some(Listed { id: found.id?, name, image, service, number, config_hash, status })
}

impl Engine {
    /// All containers of a compose project, in any state, sorted by service, number and name. One-off containers
    /// (`docker compose run`) are left out, and so is one that vanishes between being listed and being inspected.
    ///
    /// The secrets of their environments are taken out of every text from now on: a container keeps those that it was created with
    /// when the compose files have others by now, or cannot be read.
    ///
    /// # Errors
    /// Any [`EngineError`] of a call that reads; each call has [`READ_TIMEOUT`].
    pub async fn containers(&self, project: &str) -> Result<Vec<Container>, EngineError> {
        let mut look = Look::default();
        self.look(project, &mut look, |_| true).await?;
        Ok(look.containers())
    }

    /// The containers of some services of it. Nobody else's are inspected: the engine makes whoever asks wait while it starts or stops
    /// a container. Their secrets are learnt besides those that are known.
    ///
    /// # Errors
    /// As [`Engine::containers`].
    pub async fn containers_of(&self, project: &str, services: &[&str]) -> Result<Vec<Container>, EngineError> {
        let listed = self.list(project).await?;
        let wanted = listed.into_iter().filter(|c| services.contains(&c.service.as_str())).collect();
        let found = self.inspect(wanted, |_| READ_TIMEOUT).await?;
        // Whoever acts on a container has to know it.
        if found.iter().any(|i| i.container.status == ContainerState::Unanswered) {
            return Err(EngineError::Timeout { after: READ_TIMEOUT });
        }
        let (mut found, secrets): (Vec<_>, Vec<_>) = found.into_iter().map(|i| (i.container, i.secrets)).unzip();
        known::learn_more(Owner::Containers(project.to_owned()), secrets.concat());
        sort(&mut found);
        Ok(found)
    }

    /// Brings the last look at a project up to now. Containers are inspected that it does not know, of which the engine's list says
    /// something else, and that `anew` names; the others are as they were.
    ///
    /// # Errors
    /// As [`Engine::containers`]; the look is as it was then.
    pub async fn look(&self, project: &str, look: &mut Look, anew: impl Fn(&str) -> bool) -> Result<(), EngineError> {
        let listed = self.list(project).await?;
        let is_unanswered = |i: &Inspected| i.container.status == ContainerState::Unanswered;
        let same = |i: &Inspected, l: &Listed| {
            i.container.id == l.id && (Some(i.container.status) == l.status || (is_unanswered(i) && i.listed == l.status))
        };
        let known = |l: &Listed| look.0.iter().find(|i| same(i, l));
        let (kept, wanted): (Vec<_>, Vec<_>) = listed.into_iter().partition(|l| !anew(&l.id) && known(l).is_some());
        let kept: Vec<Inspected> = kept.iter().filter_map(|l| known(l).cloned()).collect();
        // The others are not to wait for it each time.
        let old = |id: &str| look.0.iter().find(|i| i.container.id == id);
        let silent =
            |l: &Listed| old(&l.id).filter(|i| is_unanswered(i)).and_then(|i| i.asked).filter(|at| at.elapsed() < ASK_AGAIN);
        let found = self.inspect(wanted, |l| if silent(l).is_some() { STILL_SILENT } else { READ_TIMEOUT }).await?;
        let found = found.into_iter().map(|mut new| {
            if let Some(old) = old(&new.container.id).filter(|_| is_unanswered(&new)) {
                // What it was created with stays secret, and what was asked in a hurry does not count.
                new.secrets.clone_from(&old.secrets);
                new.asked = old.asked.filter(|at| at.elapsed() < ASK_AGAIN).or(new.asked);
            }
            new
        });
        let seen: Vec<Inspected> = kept.into_iter().chain(found).collect();
        // It is not one container that the engine has lost hold of.
        if !seen.is_empty() && seen.iter().all(is_unanswered) {
            return Err(EngineError::Timeout { after: READ_TIMEOUT });
        }
        look.0 = seen;
        let secrets = look.0.iter().flat_map(|i| i.secrets.iter().cloned()).collect();
        let owner = Owner::Containers(project.to_owned());
        // Of a container that was not answered for, what was learnt before holds.
        if look.0.iter().any(is_unanswered) {
            known::learn_more(owner, secrets);
        } else {
            known::learn(owner, secrets);
        }
        Ok(())
    }

    async fn list(&self, project: &str) -> Result<Vec<Listed>, EngineError> {
        let client = self.client().await?;
        let filters = HashMap::from([("label", vec![format!("{PROJECT}={project}")])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let found = self.within(READ_TIMEOUT, client.list_containers(Some(options))).await?;
        Ok(found.into_iter().filter_map(listed).collect())
    }

    /// One that has vanished since it was listed is left out. One that the engine does not answer for within its time, or cannot, is
    /// unanswered: a container that the engine has lost hold of must not hide the others.
    async fn inspect(
        &self,
        wanted: Vec<Listed>,
        limit: impl Fn(&Listed) -> Duration,
    ) -> Result<Vec<Inspected>, EngineError> {
        let client = self.client().await?;
        let wanted: Vec<(Listed, Duration)> = wanted.into_iter().map(|l| (l.clone(), limit(&l))).collect();
        stream::iter(wanted)
            .map(|(listed, limit)| {
                let client = &client;
                async move {
                    match self.within(limit, client.inspect_container(&listed.id, None)).await {
                        Err(EngineError::Refused { status: 404, .. }) => Ok(None),
                        Err(error @ (EngineError::Timeout { .. } | EngineError::Failed { .. })) => {
                            tracing::debug!(container = listed.name, %error, "the engine does not answer for a container");
                            Ok(Some(listed.unanswered()))
                        }
                        other => other.map(|inspected| {
                            let secrets = secrets(&inspected);
                            container(inspected).map(|container| Inspected {
                                container,
                                listed: listed.status,
                                asked: None,
                                secrets,
                            })
                        }),
                    }
                }
            })
            .buffer_unordered(PARALLEL)
            .try_filter_map(|found| async move { Ok(found) })
            .try_collect()
            .await
    }
}
