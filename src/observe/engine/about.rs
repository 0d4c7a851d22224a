//! What an engine says of itself.

use std::path::PathBuf;
use std::time::Duration;

use super::{Engine, EngineError, READ_TIMEOUT};
use crate::api::Time;

/// What an engine says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct About {
    /// Its version.
    pub version: String,
    /// The newest version of its API.
    pub api_version: String,
    /// Where it keeps images and containers, on its own host.
    pub root: Option<PathBuf>,
    /// What its clock shows.
    pub clock: Option<EngineClock>,
}

/// A look at the engine's clock between two looks at ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineClock {
    /// Ours before the question.
    pub asked: Time,
    /// The engine's.
    pub shows: Time,
    /// From our question to its answer.
    pub took: Duration,
}

impl Engine {
    /// What the engine says of itself. `now` is our clock.
    ///
    /// # Errors
    /// Any [`EngineError`] of a call that reads.
    pub async fn about(&self, now: impl Fn() -> Time) -> Result<About, EngineError> {
        let client = self.client().await?;
        let version = self.within(READ_TIMEOUT, client.version()).await?;
        let asked = now();
        let begun = std::time::Instant::now();
        let info = self.within(READ_TIMEOUT, client.info()).await?;
        let took = begun.elapsed();
        let shows = info.system_time.and_then(|time| time.parse().ok());
        Ok(About {
            version: version.version.unwrap_or_default(),
            api_version: version.api_version.unwrap_or_default(),
            root: info.docker_root_dir.filter(|root| !root.is_empty()).map(PathBuf::from),
            clock: shows.map(|shows| EngineClock { asked, shows, took }),
        })
    }
}
