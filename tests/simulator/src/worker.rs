//! The role without work of its own, for services whose part is only to be up.

use std::io;
use std::time::Duration;

use crate::journal::{Journal, Level};
use crate::live::Live;

/// How often it says that it is there.
const BEAT: Duration = Duration::from_secs(30);

/// Is there, for ever.
pub async fn run(live: Live, journal: Journal) -> io::Result<()> {
    loop {
        journal.log(Level::Info, "wicap.worker", "Idle, nothing to do");
        live.rest(BEAT).await;
    }
}
