//! How long to wait after a reconcile failed. kube-runtime leaves this to its users.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::dice;

/// Wait after the first failure; doubled after each further one. Both bounds are those of client-go's workqueue in spirit: its
/// per-item limiter starts at 5 ms; its cap of 1000 s is too long for a person who waits.
const FIRST: Duration = Duration::from_millis(5);

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(300);

/// Failures in a row, by object.
#[derive(Debug, Default)]
pub(crate) struct FailureBackoff {
    entries: Mutex<HashMap<String, Entry>>,
}

#[derive(Debug)]
struct Entry {
    failures: u32,
    retry_at: Instant,
}

impl FailureBackoff {
    /// Counts a failure and says how long to wait.
    ///
    /// An object that is woken up while it waits, by a change somewhere, and fails again has failed for the same reason: that is
    /// not counted, and the wait is what is left of it.
    pub(crate) fn failed(&self, name: &str) -> Duration {
        let now = Instant::now();
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.entry(name.to_owned()).or_insert(Entry { failures: 0, retry_at: now });
        if now < entry.retry_at {
            return entry.retry_at - now;
        }
        entry.failures = entry.failures.saturating_add(1);
        let longest = FIRST.saturating_mul(1 << (entry.failures - 1).min(20)).min(LONGEST);
        // Jitter, so that what failed together does not come back together.
        let wait = longest.mul_f64(dice::draw(0.75..=1.0));
        entry.retry_at = now + wait;
        wait
    }

    /// Forgets the failures of an object.
    pub(crate) fn succeeded(&self, name: &str) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn waits_double_to_the_longest_and_success_resets_them() {
        let backoff = FailureBackoff::default();
        let mut bound = FIRST;
        for _ in 0..25 {
            let wait = backoff.failed("a");
            assert!(wait <= bound && wait >= bound.mul_f64(0.75), "{wait:?} {bound:?}");
            advance(wait + Duration::from_millis(1)).await;
            bound = (bound * 2).min(LONGEST);
        }
        assert_eq!(bound, LONGEST);
        backoff.succeeded("a");
        assert!(backoff.failed("a") <= FIRST);
    }

    #[tokio::test(start_paused = true)]
    async fn wake_ups_while_waiting_count_as_one_failure() {
        let backoff = FailureBackoff::default();
        for _ in 0..8 {
            let wait = backoff.failed("a");
            advance(wait).await;
        }
        let wait = backoff.failed("a");
        let half = wait / 2;
        let rest = wait.saturating_sub(half);
        advance(half).await;
        for _ in 0..100 {
            assert_eq!(backoff.failed("a"), rest);
        }
        advance(rest).await;
        let next = backoff.failed("a");
        assert!(next <= FIRST * 512 && next > wait, "{next:?} after {wait:?}");
    }
}
