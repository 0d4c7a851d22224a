//! Attempts counted against the thresholds. Pure.

use crate::api::Time;
use std::collections::BTreeMap;

use super::{Attempt, Outcome};
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
            status: ProbeStatus::unasked(&probe.name),
        }
    }

    /// Counts an attempt made at `now`. Of one that does not count as a failure only a pass matters. True when there is something to
    /// tell: another verdict, or, before there is one, another reason why the question cannot be put.
    pub fn feed(&mut self, attempt: Attempt, failure_counts: bool, now: Time) -> bool {
        self.status.samples.extend(attempt.samples);
        let (passed, said) = match attempt.outcome {
            Outcome::Passed(said) => (true, said),
            Outcome::Failed(said) => (false, said),
            Outcome::Unasked(said) => {
                let message = Some(said.shown())
                    .filter(|m| self.status.state == ProbeState::Unknown && self.status.message.as_ref() != Some(m));
                let is_news = message.is_some();
                self.status.message = message.or(self.status.message.take());
                return is_news;
            }
        };
        let counted = u32::from(passed || failure_counts);
        let length = match self.run {
            Some((same, length)) if same == passed => length.saturating_add(counted),
            _ => counted,
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
        self.status.message = Some(said.shown());
        true
    }

    /// What it says now. The message is the attempt's that changed it.
    #[must_use]
    pub fn status(&self) -> ProbeStatus {
        self.status.clone()
    }

    /// The numbers that were captured last.
    #[must_use]
    pub fn samples(&self) -> &BTreeMap<String, f64> {
        &self.status.samples
    }

    /// Forgets everything, as for a container that started anew at `now`.
    pub fn reset(&mut self, now: Time) {
        self.run = None;
        if self.status.state != ProbeState::Unknown {
            self.status.since = Some(now);
        }
        self.status.state = ProbeState::Unknown;
        self.status.message = None;
        self.status.samples.clear();
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

    /// Feeds `+` and `-`, or `p` and `f` for quick ones, at seconds 1, 2, … and gives the verdict after each: `?`, `P` or `F`.
    fn play(verdict: &mut Verdict, attempts: &str) -> String {
        (1..)
            .zip(attempts.chars())
            .map(|(second, c)| {
                let before = verdict.status().state;
                let attempt = if "+p".contains(c) { Attempt::passed("up") } else { Attempt::failed("down") };
                let changed = verdict.feed(attempt, "+-".contains(c), at(second));
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
            // A quick failure counts for nothing but breaks a row of passes; a quick pass counts in full.
            (1, 1, "-ffp", "FFFP"),
            (1, 2, "fff-f-", "?????F"),
            (2, 3, "pfpp", "???P"),
            (1, 2, "-fp--", "??PPF"),
        ] {
            assert_eq!(play(&mut verdict(success, failure), attempts), expected, "{success}/{failure} {attempts}");
        }
    }

    #[test]
    fn a_reset_forgets_the_count_too() {
        let mut v = verdict(1, 2);
        assert_eq!(play(&mut v, "+-"), "PP");
        v.reset(at(9));
        assert_eq!(v.status(), ProbeStatus { since: Some(at(9)), ..ProbeStatus::unasked("p") });
        assert_eq!(play(&mut v, "-"), "?");
    }

    #[test]
    fn the_message_is_what_changed_the_verdict() {
        let mut v = verdict(1, 1);
        v.feed(Attempt::failed("first"), true, at(1));
        v.feed(Attempt::failed("second"), true, at(2));
        assert_eq!(v.status().message.as_deref(), Some("first"));
    }

    #[test]
    fn what_cannot_be_asked_says_so_once_and_changes_no_verdict() {
        let mut v = verdict(1, 1);
        assert!(v.feed(Attempt::unasked("no engine"), true, at(1)));
        assert!(!v.feed(Attempt::unasked("no engine"), true, at(2)));
        let said = v.status();
        assert_eq!((said.state, said.since, said.message.as_deref()), (ProbeState::Unknown, None, Some("no engine")));
        assert!(v.feed(Attempt::failed("down"), true, at(3)));
        assert!(!v.feed(Attempt::unasked("no engine"), true, at(4)));
        assert_eq!(v.status().message.as_deref(), Some("down"));
    }

    #[test]
    fn samples_are_the_last_that_were_captured_and_change_no_verdict() {
        let mut v = verdict(1, 3);
        let eps = |eps: f64, attempt: Attempt| Attempt { samples: [("eps".to_owned(), eps)].into(), ..attempt };
        assert!(v.feed(eps(0.5, Attempt::passed("up")), true, at(1)));
        assert!(!v.feed(eps(0.25, Attempt::failed("down")), true, at(2)));
        assert!(!v.feed(Attempt::failed("silent"), true, at(3)));
        assert_eq!(v.status().samples, [("eps".to_owned(), 0.25)].into());
        v.reset(at(4));
        assert!(v.status().samples.is_empty());
    }
}
