//! Maintenance: services that are being worked on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::Time;

/// A claim on services: what they are like until then is somebody's purpose and no drift. Nothing is planned for them, nobody is
/// called, and no counter moves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Maintenance {
    /// Until when.
    pub until: Time,
    /// What for, in words for people.
    pub reason: String,
    /// The services; all of the stack when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
}
