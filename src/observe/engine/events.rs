//! What the engine tells while it happens.

use std::collections::HashMap;

use bollard::models::{EventMessage, EventMessageTypeEnum};
use bollard::query_parameters::EventsOptionsBuilder;
use futures::{Stream, StreamExt, TryStreamExt, stream};

use super::{Engine, EngineError, ONE_OFF, PROJECT, SERVICE, translate};
use crate::api::Time;

/// The events that can change a state. Without the list the engine also sends three for every run of a health check.
const EVENTS: [&str; 10] =
    ["create", "start", "die", "oom", "pause", "unpause", "rename", "update", "destroy", "health_status"];

/// What can change the meaning of an image's name.
const IMAGE_EVENTS: [&str; 6] = ["tag", "untag", "pull", "load", "import", "delete"];

/// What can change the networks of a container.
const NETWORK_EVENTS: [&str; 2] = ["connect", "disconnect"];

/// Something happened to a container of a compose project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerEvent {
    /// The compose project.
    pub project: String,
    /// The compose service.
    pub service: String,
    /// Full id.
    pub container_id: String,
    /// What: `die`, `start`, `health_status: unhealthy` and so on.
    pub action: String,
    /// When, by the engine's clock.
    pub time: Time,
}

/// Something happened to what containers are made of or connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Surroundings {
    /// The name of an image may mean another image now.
    Image,
    /// A container was connected to a network, or disconnected from one.
    Network {
        /// Full id of the container.
        container_id: String,
    },
}

impl Engine {
    /// Events of the containers of all compose projects from this call on. The stream ends with an error when the connection
    /// breaks; whoever wants more calls again. What happens between this call and the first poll is delivered too.
    pub fn events(&self) -> impl Stream<Item = Result<ContainerEvent, EngineError>> + Send + use<> {
        let filters = HashMap::from([("type", vec!["container"]), ("label", vec![PROJECT]), ("event", EVENTS.to_vec())]);
        self.told(filters, event)
    }

    /// Events of images and networks, in the same way.
    pub fn surroundings(&self) -> impl Stream<Item = Result<Surroundings, EngineError>> + Send + use<> {
        let events = [&IMAGE_EVENTS[..], &NETWORK_EVENTS[..]].concat();
        self.told(HashMap::from([("type", vec!["image", "network"]), ("event", events)]), surroundings)
    }

    fn told<T: Send + 'static>(
        &self,
        filters: HashMap<&'static str, Vec<&'static str>>,
        read: fn(EventMessage) -> Option<T>,
    ) -> impl Stream<Item = Result<T, EngineError>> + Send + use<T> {
        let engine = self.clone();
        let since = self.shared.clock.now();
        let connected = async move {
            let client = engine.client().await?;
            let since = format!("{}.{:09}", since.as_second(), since.subsec_nanosecond());
            let options = EventsOptionsBuilder::default().since(&since).filters(&filters).build();
            let url = engine.url().to_owned();
            let ended = EngineError::Lost { why: "the engine ended the event stream".to_owned() };
            Ok::<_, EngineError>(
                client
                    .events(Some(options))
                    .map(move |message| message.map_err(|e| translate(&url, e)))
                    .try_filter_map(move |message| async move { Ok(read(message)) })
                    .chain(stream::once(async { Err(ended) })),
            )
        };
        let endless = stream::once(connected).try_flatten();
        // After its first error the stream is over.
        endless.scan(false, |over, item| {
            let next = (!*over).then_some(());
            *over = item.is_err();
            futures::future::ready(next.map(|()| item))
        })
    }
}

fn event(message: EventMessage) -> Option<ContainerEvent> {
    let actor = message.actor?;
    let labels = actor.attributes?;
    if labels.get(ONE_OFF).is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return None;
    }
    let nanos = message.time_nano.map(i128::from).and_then(|n| Time::from_nanosecond(n).ok());
    Some(ContainerEvent {
        project: labels.get(PROJECT)?.clone(),
        service: labels.get(SERVICE)?.clone(),
        container_id: actor.id?,
        action: message.action?,
        time: nanos.or_else(|| message.time.and_then(|s| Time::from_second(s).ok()))?,
    })
}

fn surroundings(message: EventMessage) -> Option<Surroundings> {
    match message.typ? {
        EventMessageTypeEnum::IMAGE => Some(Surroundings::Image),
        EventMessageTypeEnum::NETWORK => {
            let container_id = message.actor?.attributes?.remove("container")?;
            Some(Surroundings::Network { container_id })
        }
        _ => None,
    }
}
