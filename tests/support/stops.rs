//! EmergencyStops, for tests of the store: they have both halves, and hardly anything in them.

use wicap::api::stop::{EmergencyStop, EmergencyStopSpec, EmergencyStopStatus};
use wicap::api::{Object, Time};
use wicap::store::{Api, ListParams, Store};

use super::connect;
use super::server::Server;

/// One that nobody has stored yet.
pub fn stop(name: &str, reason: &str) -> EmergencyStop {
    EmergencyStop::new(name, EmergencyStopSpec { reason: reason.to_owned(), by: "ann@host".to_owned() })
}

/// With a status of that second.
pub fn since(mut stop: EmergencyStop, second: i64) -> EmergencyStop {
    stop.status = Some(EmergencyStopStatus { since: Some(Time::from_second(second).unwrap()) });
    stop
}

/// What its status says.
pub fn seconds(stop: &EmergencyStop) -> Option<i64> {
    stop.status.as_ref()?.since.map(Time::as_second)
}

/// The store of a server, and the verbs for them.
pub async fn stops(server: &Server) -> (Store, Api<EmergencyStop>) {
    let store = connect(&server.url()).await;
    let api = store.api();
    (store, api)
}

/// Which there are.
pub async fn names(api: &Api<EmergencyStop>, params: ListParams) -> Vec<String> {
    api.list(&params).await.unwrap().items.iter().map(|s| s.name().to_owned()).collect()
}
