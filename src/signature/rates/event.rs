//! Events: what is told, about which signature, and when.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::signature::rates::{
    counts::Key,
    novelty::New,
    silence::{Resumed, Silence},
    spike::{Spike, SpikeOver},
};

/// Something to tell about a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The signature.
    pub id: Key,
    /// When it was told: the `now` of the call.
    pub at: Timestamp,
    /// What happened.
    pub what: What,
}

/// What happened to a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// It was never seen, or not for the whole window.
    New(New),
    /// It comes far more often than usual. Told once for a spike.
    Spike(Spike),
    /// Its spike is over.
    SpikeOver(SpikeOver),
    /// It should keep coming and does not. Told once for a silence.
    Silent(Silence),
    /// It comes again after a silence.
    Resumed(Resumed),
}

#[cfg(test)]
mod tests {
    use crate::api::Severity;

    use super::*;

    #[test]
    fn an_event_is_the_same_after_a_trip_through_json() {
        let what = What::New(New { severity: Severity::Error, last: Some(Timestamp::UNIX_EPOCH) });
        let event = Event { id: Key(u64::MAX), at: Timestamp::UNIX_EPOCH, what };
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
    }
}
