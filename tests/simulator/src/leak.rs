//! A memory leak that is real: the pages are touched, so the resident size grows.

use std::time::Duration;

use tokio::time::Instant;

use crate::live::Live;

/// One allocation. Above the allocator's mmap threshold, so that `ok` gives the memory back to the system.
const CHUNK: usize = 256 * 1024;

/// No leak grows past this, so that a forgotten one does not take the host down.
const MOST: usize = 2048 * 1024 * 1024;

/// Leaks as told, for ever.
pub async fn run(live: Live) {
    let mut faults = live.follow();
    let mut held: Vec<Vec<u8>> = Vec::new();
    loop {
        let Some(rate) = faults.borrow_and_update().leak else {
            held = Vec::new();
            if faults.changed().await.is_err() {
                return;
            }
            continue;
        };
        let (since, before) = (Instant::now(), held.len());
        loop {
            let wanted = before + chunks(rate, since.elapsed());
            while held.len() < wanted.min(MOST / CHUNK) {
                held.push(vec![0xA5; CHUNK]);
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
                _ = faults.changed() => break,
            }
        }
    }
}

/// How many chunks `rate` MiB a second come to after `elapsed`.
fn chunks(rate: f64, elapsed: Duration) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and capped by MOST")]
    let chunks = (rate * elapsed.as_secs_f64() * 4.0) as usize;
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leak_adds_up_to_its_rate() {
        assert_eq!(chunks(1.0, Duration::from_secs(10)) * CHUNK, 10 * 1024 * 1024);
        assert_eq!(chunks(0.25, Duration::from_millis(999)), 0);
        assert_eq!(chunks(0.25, Duration::from_secs(1)), 1);
    }
}
