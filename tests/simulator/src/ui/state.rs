//! What the dashboard knows, and the status it makes of it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::flow::Flow;
use crate::live::{Lasting, Live};
use crate::push::{Push, QueueMode};

/// The state behind every answer.
#[derive(Debug)]
pub struct Dashboard {
    /// The faults in force.
    pub live: Live,
    started: Instant,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    flow: Flow,
    mode: QueueMode,
    backlog_bytes: u64,
    /// From redis, unlike all the rest.
    depth: usize,
}

/// The answer of `/api/system/status`.
#[derive(Debug, PartialEq, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are WICAP's")]
pub struct Status {
    service_status: &'static str,
    db_status: &'static str,
    /// Events per second.
    pub eps: f64,
    last_insert_age_sec: Option<f64>,
    queue_mode: QueueMode,
    queue_depth_events: usize,
    queue_backlog_bytes: u64,
    ui_memory: Memory,
}

#[derive(Debug, PartialEq, Serialize)]
struct Memory {
    rss_mib: Option<f64>,
}

impl Dashboard {
    /// A dashboard that knows nothing yet.
    pub fn new(live: Live) -> Self {
        Self { live, started: Instant::now(), known: Mutex::default() }
    }

    /// Takes a push in.
    pub fn take(&self, push: &Push) {
        let now = self.started.elapsed();
        let age = push.last_insert_age_sec.and_then(|age| Duration::try_from_secs_f64(age).ok());
        let mut known = self.known();
        known.flow.push(now, push.inserted, age);
        known.mode = push.queue_mode;
        known.backlog_bytes = push.queue_backlog_bytes;
    }

    /// Notes the depth of the queue.
    pub fn set_depth(&self, depth: usize) {
        self.known().depth = depth;
    }

    /// All events ever pushed.
    pub fn total(&self) -> u64 {
        self.known().flow.total()
    }

    /// The status now.
    pub fn status(&self) -> Status {
        self.known().status(self.started.elapsed(), self.live.now(), rss_mib())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn status(&self, now: Duration, faults: Lasting, rss_mib: Option<f64>) -> Status {
        Status {
            service_status: if self.flow.running(now) { "running" } else { "stopped" },
            db_status: if faults.sql_down { "disconnected" } else { "connected" },
            eps: self.flow.eps(now),
            last_insert_age_sec: self.flow.last_insert_age(now),
            queue_mode: self.mode,
            queue_depth_events: self.depth,
            queue_backlog_bytes: self.backlog_bytes,
            ui_memory: Memory { rss_mib },
        }
    }
}

/// The resident size of this process, by the kernel's account.
fn rss_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some((kib / 102.4).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_a_dashboard_that_was_never_pushed_to() {
        let status = Known::default().status(Duration::from_secs(9), Lasting::default(), Some(3.5));
        assert_eq!(
            serde_json::to_value(status).unwrap(),
            serde_json::json!({
                "service_status": "stopped", "db_status": "connected", "eps": 0.0, "last_insert_age_sec": null,
                "queue_mode": "redis", "queue_depth_events": 0, "queue_backlog_bytes": 0,
                "ui_memory": { "rss_mib": 3.5 }
            })
        );
    }

    #[test]
    fn a_lost_database_shows_in_its_status_only() {
        let mut known = Known::default();
        known.flow.push(Duration::from_secs(20), 5, Some(Duration::ZERO));
        let faults = Lasting { sql_down: true, ..Lasting::default() };
        let status = known.status(Duration::from_secs(21), faults, None);
        assert_eq!((status.service_status, status.db_status), ("running", "disconnected"));
        assert!((status.eps - 0.5).abs() < 1e-9);
    }

    #[test]
    fn the_kernel_tells_the_resident_size() {
        assert!(rss_mib().is_some_and(|mib| mib > 0.1));
    }
}
