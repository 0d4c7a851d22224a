//! Attempts counted against the thresholds. Pure.

use crate::api::Time;
use crate::api::stack::{Probe, ProbeState, ProbeStatus};

/// What a probe says after its thresholds. Unknown until as many attempts in a row agree as the probe asks for.
#[derive(Clone, Debug)]
pub struct Verdict {
    success_threshold: u32,
    failure_threshold: u32,
    /// Whether the last attempts passed, and how many in a row did the same.
    run: Option<(bool, u32)>,
    status: ProbeStatus,
}

impl Verdict {
    /// Nothing was asked yet.
    #[must_use]
    pub fn new(probe: &Probe) -> Self {
        Self {
            success_threshold: probe.success_threshold,
            failure_threshold: probe.failure_threshold,
            run: None,
            status: ProbeStatus { name: probe.name.clone(), state: ProbeState::Unknown, since: None, message: None },
        }
    }

    /// Counts an attempt made at `now`. True when the verdict changed.
    pub fn feed(&mut self, result: Result<String, String>, now: Time) -> bool {
        let (passed, message) = match result {
            Ok(message) => (true, message),
            Err(message) => (false, message),
        };
        let length = match self.run {
            Some((same, length)) if same == passed => length.saturating_add(1),
            _ => 1,
        };
        self.run = Some((passed, length));
        let (state, threshold) = if passed {
            (ProbeState::Passing, self.success_threshold)
        } else {
            (ProbeState::Failing, self.failure_threshold)
        };
        if length < threshold || self.status.state == state {
            return false;
        }
        self.status.state = state;
        self.status.since = Some(now);
        self.status.message = Some(message);
        true
    }

    /// What it says now. The message is the attempt's that changed it.
    #[must_use]
    pub fn status(&self) -> ProbeStatus {
        self.status.clone()
    }

    /// Forgets everything, as for a container that started anew at `now`.
    pub fn reset(&mut self, now: Time) {
        self.run = None;
        if self.status.state != ProbeState::Unknown {
            self.status.since = Some(now);
        }
        self.status.state = ProbeState::Unknown;
        self.status.message = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(success: u32, failure: u32) -> Verdict {
        let probe = serde_json::json!({"name": "p", "successThreshold": success, "failureThreshold": failure,
            "tcpSocket": {"port": 1}});
        Verdict::new(&serde_json::from_value(probe).unwrap())
    }

    fn at(second: i64) -> Time {
        Time::from_second(second).unwrap()
    }

    /// Feeds `+` and `-` at seconds 1, 2, … and gives the verdict after each: `?`, `P` or `F`.
    fn play(verdict: &mut Verdict, attempts: &str) -> String {
        (1..)
            .zip(attempts.chars())
            .map(|(second, c)| {
                let before = verdict.status().state;
                let changed = verdict.feed(if c == '+' { Ok("up".to_owned()) } else { Err("down".to_owned()) }, at(second));
                let after = verdict.status();
                assert_eq!(changed, before != after.state);
                if changed {
                    assert_eq!(after.since, Some(at(second)));
                }
                match after.state {
                    ProbeState::Unknown => '?',
                    ProbeState::Passing => 'P',
                    ProbeState::Failing => 'F',
                }
            })
            .collect()
    }

    #[test]
    fn the_verdict_flips_exactly_at_the_threshold() {
        for (success, failure, attempts, expected) in [
            (1, 3, "+--+---+", "PPPPPPFP"),
            (1, 3, "--+", "??P"),
            (1, 3, "---", "??F"),
            (2, 2, "+-+-++", "?????P"),
            (2, 1, "-+-++-", "FFFFPF"),
            (1, 1, "+-+", "PFP"),
            (3, 1, "++", "??"),
        ] {
            assert_eq!(play(&mut verdict(success, failure), attempts), expected, "{success}/{failure} {attempts}");
        }
    }

    #[test]
    fn a_reset_forgets_the_count_too() {
        let mut v = verdict(1, 2);
        assert_eq!(play(&mut v, "+-"), "PP");
        v.reset(at(9));
        assert_eq!(
            v.status(),
            ProbeStatus { name: "p".to_owned(), state: ProbeState::Unknown, since: Some(at(9)), message: None }
        );
        assert_eq!(play(&mut v, "-"), "?");
    }

    #[test]
    fn the_message_is_what_changed_the_verdict() {
        let mut v = verdict(1, 1);
        v.feed(Err("first".to_owned()), at(1));
        v.feed(Err("second".to_owned()), at(2));
        assert_eq!(v.status().message.as_deref(), Some("first"));
    }
}
