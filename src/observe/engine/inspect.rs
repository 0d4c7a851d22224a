//! A container, read from what the engine says when it is inspected.

use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum, HealthStatusEnum};

use super::{CONFIG_HASH, NUMBER, SERVICE};
use crate::api::Time;
use crate::api::stack::Health;
use crate::audit::redact::literals::secret_values;

/// A container of a compose project, as the engine has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Container {
    /// The compose service.
    pub service: String,
    /// Full id.
    pub id: String,
    /// Name, without the engine's leading slash.
    pub name: String,
    /// The image as it was asked for.
    pub image: String,
    /// Id of the image it runs.
    pub image_id: Option<String>,
    /// Names of the networks it is connected to, sorted.
    pub networks: Vec<String>,
    /// Hash of the configuration it was created from.
    pub config_hash: Option<String>,
    /// The engine's word for its state.
    pub status: ContainerState,
    /// Health, when it has a health check.
    pub health: Option<Health>,
    /// Restarts by the engine's own policy since it was last started by somebody.
    pub restart_count: i64,
    /// When it last started; absent when it never did.
    pub started_at: Option<Time>,
    /// When it last ended; absent when it never did.
    pub finished_at: Option<Time>,
    /// Its last exit code. 0 also when it never ended.
    pub exit_code: Option<i64>,
    /// Whether the kernel killed a process of it for want of memory since it last started.
    pub oom_killed: bool,
    /// Number among the containers of its service, from 1.
    pub number: u32,
}

/// The engine's word for a container's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContainerState {
    /// Made and never started.
    Created,
    /// Its process runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// It ended, and the engine waits before it starts it again.
    Restarting,
    /// It is being removed.
    Removing,
    /// It ended.
    Exited,
    /// It could not be removed.
    Dead,
    /// The engine lists it, and does not answer for it. Nothing else is known of it.
    Unanswered,
}

/// The secrets of a container's environment.
pub(super) fn secrets(found: &ContainerInspectResponse) -> Vec<String> {
    let environment = found.config.as_ref().and_then(|config| config.env.as_deref()).unwrap_or_default();
    secret_values(environment.iter().filter_map(|variable| variable.split_once('=')))
}

/// The state that a word of the engine means.
pub(super) fn state_of(word: ContainerStateStatusEnum) -> Option<ContainerState> {
    use ContainerStateStatusEnum as Word;
    Some(match word {
        Word::CREATED => ContainerState::Created,
        // A container that is being stopped still runs.
        Word::RUNNING | Word::STOPPING => ContainerState::Running,
        Word::PAUSED => ContainerState::Paused,
        Word::RESTARTING => ContainerState::Restarting,
        Word::REMOVING => ContainerState::Removing,
        Word::EXITED => ContainerState::Exited,
        Word::DEAD => ContainerState::Dead,
        Word::EMPTY => return None,
    })
}

/// A container of a compose service; none when the labels do not say which.
pub(super) fn container(found: ContainerInspectResponse) -> Option<Container> {
    let config = found.config.unwrap_or_default();
    let labels = config.labels.unwrap_or_default();
    let state = found.state?;
    let status = state_of(state.status?)?;
    let health = state.health.and_then(|h| h.status).and_then(|word| match word {
        HealthStatusEnum::STARTING => Some(Health::Starting),
        HealthStatusEnum::HEALTHY => Some(Health::Healthy),
        HealthStatusEnum::UNHEALTHY => Some(Health::Unhealthy),
        HealthStatusEnum::NONE | HealthStatusEnum::EMPTY => None,
    });
    let networks = found.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    let mut networks: Vec<String> = networks.into_keys().collect();
    networks.sort_unstable();
    Some(Container {
        service: labels.get(SERVICE)?.clone(),
        id: found.id?,
        name: found.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        image: config.image.unwrap_or_default(),
        image_id: found.image,
        networks,
        config_hash: labels.get(CONFIG_HASH).cloned(),
        status,
        health,
        restart_count: found.restart_count.unwrap_or(0),
        started_at: state.started_at.as_deref().and_then(time),
        finished_at: state.finished_at.as_deref().and_then(time),
        exit_code: state.exit_code,
        oom_killed: state.oom_killed.unwrap_or(false),
        number: labels.get(NUMBER).and_then(|n| n.parse().ok()).unwrap_or(1),
    })
}

/// The engine writes year 1 for "never".
fn time(text: &str) -> Option<Time> {
    text.parse::<Time>().ok().filter(|t| *t > Time::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn year_one_means_never() {
        assert_eq!(time("0001-01-01T00:00:00Z"), None);
        assert_eq!(time("2026-01-02T03:04:05.678Z"), Some("2026-01-02T03:04:05.678Z".parse().unwrap()));
    }

    #[test]
    fn what_an_inspection_says_of_image_and_networks() {
        let inspected = serde_json::json!({
            "Id": "0a1b", "Name": "/p-ui-1", "Image": "sha256:77", "RestartCount": 2,
            "Config": {"Image": "ui:1", "Labels": {SERVICE: "ui", NUMBER: "3", CONFIG_HASH: "h"}},
            "State": {"Status": "running", "StartedAt": "2026-01-02T03:04:05Z", "FinishedAt": "0001-01-01T00:00:00Z"},
            "NetworkSettings": {"Networks": {"p_front": {}, "p_back": {}}},
        });
        let found = container(serde_json::from_value(inspected).unwrap()).unwrap();
        assert_eq!((found.image.as_str(), found.image_id.as_deref()), ("ui:1", Some("sha256:77")));
        assert_eq!((found.networks.join(" "), found.number), ("p_back p_front".to_owned(), 3));
        assert_eq!((found.status, found.restart_count, found.finished_at), (ContainerState::Running, 2, None));
    }
}
