//! Forgets old revisions by itself, so that the file does not grow with every status that was ever written.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::commands::{Command, Handle};

/// How often it looks. The age to keep is kept to this precision.
const PERIOD: Duration = Duration::from_secs(60);

/// Runs until the store is gone. Ages are counted from now: what was there before counts as new.
pub(crate) async fn run(handle: Handle, keep_age: Duration, keep_revisions: i64) {
    let mut seen: VecDeque<(Instant, i64)> = VecDeque::new();
    loop {
        let Ok(view) = handle.shared.view().await else { return };
        let (now, revision, compacted) = (Instant::now(), view.revision, view.compacted);
        drop(view);
        seen.push_back((now, revision));
        let too_many = revision - keep_revisions;
        let mut too_old = 0;
        while let Some((at, revision)) = seen.front().copied()
            && now.duration_since(at) >= keep_age
        {
            too_old = revision;
            seen.pop_front();
        }
        let target = too_many.max(too_old);
        if target > compacted.max(0) {
            let asked = handle.ask(|reply| Command::Compact { revision: target, physical: true, reply }).await;
            match asked {
                Ok(_) => tracing::debug!(revision = target, "old revisions are forgotten"),
                Err(error) => tracing::warn!(%error, revision = target, "old revisions could not be forgotten"),
            }
        }
        tokio::time::sleep(PERIOD).await;
    }
}
