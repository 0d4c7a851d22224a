//! The capture: synthetic events at a steady rate, into redis, or into the file queue while redis is away.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior};

use crate::journal::{Journal, Level};
use crate::live::Live;
use crate::queue::Queue;
use crate::settings::Settings;
use crate::spool::Spool;

const LOGGER: &str = "wicap.scout";

/// How often the scout sums up what it did.
const REPORT: Duration = Duration::from_secs(10);

/// A captured event. Numbers stand in for radio frames: nothing downstream looks inside.
#[derive(Debug, Serialize)]
struct Event {
    seq: u64,
    channel: u64,
    rssi: i64,
    ssid: String,
}

impl Event {
    /// The event number `seq`. The same number always makes the same event.
    fn synthetic(seq: u64) -> Self {
        let channel = [1, 6, 11][usize::try_from(seq % 3).unwrap_or(0)];
        let rssi = -40 - i64::try_from(seq * 7 % 50).unwrap_or(0);
        Self { seq, channel, rssi, ssid: format!("lab-{:02}", seq % 17) }
    }
}

/// Captures, for ever.
pub async fn run(settings: Arc<Settings>, live: Live, journal: Journal) -> io::Result<()> {
    take_pid_file(Path::new(&settings.scout_pid_file), &journal)?;
    let mut queue = Queue::new(settings.redis_port).map_err(io::Error::other)?;
    let spool = Spool::new(&settings.queue_dir);
    let Some(pause) = pause(settings.scout_rate) else {
        journal.log(Level::Warning, LOGGER, "Capture rate is 0, nothing will be captured");
        return std::future::pending().await;
    };
    let mut ticks = tokio::time::interval(pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    journal.log(Level::Info, LOGGER, &format!("Capturing {} events/s", settings.scout_rate));

    let (mut seq, mut reported, mut report_at) = (0, 0, Instant::now() + REPORT);
    loop {
        ticks.tick().await;
        live.awake().await;
        seq += 1;
        let event = [serde_json::to_string(&Event::synthetic(seq))?];
        if let Err(error) = queue.push(&event).await {
            journal.log(Level::Error, "wicap.queue", &format!("Redis queue error: {error}"));
            if let Err(error) = spool.push(&event) {
                journal.log(Level::Error, "wicap.queue", &format!("File queue error: {error}"));
            }
        }
        if Instant::now() >= report_at {
            journal.log(Level::Info, LOGGER, &format!("Captured {} events (total {seq})", seq - reported));
            (reported, report_at) = (seq, Instant::now() + REPORT);
        }
    }
}

/// The time between events; none if there are to be no events.
fn pause(rate: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(1.0 / rate).ok().filter(|pause| !pause.is_zero())
}

/// Refuses to start beside a pid file, whether or not its process lives: that is how a killed scout ends in a restart
/// loop when the file is kept outside its container.
fn take_pid_file(path: &Path, journal: &Journal) -> io::Result<()> {
    if path.as_os_str().is_empty() {
        return Ok(());
    }
    if let Ok(pid) = fs::read_to_string(path) {
        let message = format!("Scout already running (PID {})", pid.trim());
        journal.log(Level::Error, LOGGER, &message);
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
    }
    fs::write(path, std::process::id().to_string())
}

/// Gives the pid file up, at an orderly end.
pub fn remove_pid_file(path: &Path) {
    // Without a pid file there is nothing to give up.
    let _ = fs::remove_file(path);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_number_makes_the_same_event() {
        let line = serde_json::to_string(&Event::synthetic(4)).unwrap();
        assert_eq!(line, r#"{"seq":4,"channel":6,"rssi":-68,"ssid":"lab-04"}"#);
    }

    #[test]
    fn a_rate_that_makes_no_sense_captures_nothing() {
        assert_eq!(pause(2.0), Some(Duration::from_millis(500)));
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(pause(rate), None, "{rate}");
        }
    }

    #[test]
    fn a_pid_file_keeps_a_second_scout_out_until_it_is_given_up() {
        let path = std::env::temp_dir().join(format!("wicap-sim-scout-{}.pid", std::process::id()));
        remove_pid_file(&path);
        let journal = Journal::new("", crate::journal::Form::Text);
        assert!(take_pid_file(&path, &journal).is_ok());
        assert!(take_pid_file(&path, &journal).is_err());
        remove_pid_file(&path);
        assert!(take_pid_file(&path, &journal).is_ok());
        remove_pid_file(&path);
    }
}
