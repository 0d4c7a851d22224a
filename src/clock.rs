//! The one clock. Everything that asks what time it is has been handed one of these, so that a test can hold the hands.

use std::fmt;
use std::sync::Arc;

use crate::api::{Time, after};

/// Says what time it is.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Time + Send + Sync>);

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Arc::new(Time::now))
    }

    /// A clock that shows `start` now and goes on with the runtime's own time, which a test can pause and advance.
    #[must_use]
    pub fn of_runtime(start: Time) -> Self {
        let origin = tokio::time::Instant::now();
        Self(Arc::new(move || after(start, origin.elapsed())))
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Time {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}
