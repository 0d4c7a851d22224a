//! The arithmetic of the UI's data-flow counters. Time is handed in, as the time since the process started.

use std::collections::VecDeque;
use std::time::Duration;

/// Events per second are an average over this much time: long enough to be steady at 2 events a second, short enough
/// that a dead processor shows within a test.
pub const WINDOW: Duration = Duration::from_secs(10);

/// Without a push for this long the processor counts as stopped. It pushes every second.
pub const SILENCE: Duration = Duration::from_secs(5);

/// What has been pushed so far.
#[derive(Debug, Default)]
pub struct Flow {
    total: u64,
    /// Time and size of every push within the window.
    recent: VecDeque<(Duration, u64)>,
    last_push: Option<Duration>,
    last_insert: Option<Duration>,
}

impl Flow {
    /// Takes a push of `inserted` events, the last of them inserted `insert_age` ago.
    pub fn push(&mut self, now: Duration, inserted: u64, insert_age: Option<Duration>) {
        self.total += inserted;
        self.last_push = Some(now);
        if let Some(age) = insert_age {
            self.last_insert = Some(now.saturating_sub(age));
        }
        self.recent.push_back((now, inserted));
        while self.recent.front().is_some_and(|(at, _)| now.saturating_sub(*at) >= WINDOW) {
            self.recent.pop_front();
        }
    }

    /// All events ever pushed.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Events per second over the window, or over the life of the process while that is shorter.
    pub fn eps(&self, now: Duration) -> f64 {
        let in_window = |at: &Duration| now.saturating_sub(*at) < WINDOW;
        let events: u64 = self.recent.iter().filter(|(at, _)| in_window(at)).map(|(_, count)| count).sum();
        let span = now.clamp(Duration::from_secs(1), WINDOW);
        #[expect(clippy::cast_precision_loss, reason = "no window holds 2^52 events")]
        let events = events as f64;
        (events / span.as_secs_f64() * 100.0).round() / 100.0
    }

    /// Seconds since the last insert, if there was one.
    pub fn last_insert_age(&self, now: Duration) -> Option<f64> {
        let age = now.saturating_sub(self.last_insert?);
        Some((age.as_secs_f64() * 10.0).round() / 10.0)
    }

    /// Whether the processor has been heard of lately.
    pub fn running(&self, now: Duration) -> bool {
        self.last_push.is_some_and(|at| now.saturating_sub(at) < SILENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn nothing_pushed_is_no_flow_and_no_age() {
        let flow = Flow::default();
        assert!(flow.eps(s(100)).abs() < f64::EPSILON);
        assert_eq!(flow.last_insert_age(s(100)), None);
        assert!(!flow.running(s(100)));
    }

    #[test]
    fn eps_is_the_average_over_the_window() {
        let mut flow = Flow::default();
        for second in 101..=120 {
            flow.push(s(second), 2, Some(Duration::ZERO));
        }
        assert!((flow.eps(s(120)) - 2.0).abs() < 1e-9);
        assert_eq!(flow.total(), 40);
    }

    #[test]
    fn a_young_process_divides_by_its_age_but_never_by_less_than_a_second() {
        let mut flow = Flow::default();
        flow.push(Duration::from_millis(100), 4, None);
        assert!((flow.eps(Duration::from_millis(100)) - 4.0).abs() < 1e-9);
        assert!((flow.eps(s(4)) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_push_leaves_the_window_exactly_at_its_end() {
        let mut flow = Flow::default();
        flow.push(s(50), 10, None);
        let end = s(50) + WINDOW;
        assert!(flow.eps(end.saturating_sub(Duration::from_millis(1))) > 0.0);
        assert!(flow.eps(end).abs() < f64::EPSILON);
    }

    #[test]
    fn insert_age_counts_from_the_insert_and_not_from_the_push() {
        let mut flow = Flow::default();
        flow.push(s(50), 1, Some(s(3)));
        assert_eq!(flow.last_insert_age(s(52)), Some(5.0));
        flow.push(s(60), 0, None);
        assert_eq!(flow.last_insert_age(s(60)), Some(13.0));
    }

    #[test]
    fn silence_ends_running_exactly_at_its_limit() {
        let mut flow = Flow::default();
        flow.push(s(50), 0, None);
        let end = s(50) + SILENCE;
        assert!(flow.running(end.saturating_sub(Duration::from_millis(1))));
        assert!(!flow.running(end));
    }
}
