//! What reads lines and tells spikes: our watch, and the two simple rules that stand beside it.

use jiff::Timestamp;
use wicap::api::Severity;
use wicap::signature::rates::{Key, Watch, What};

/// Minutes without a hit after which a simple rule may tell again, so that it is not blamed for each line.
const REST: u32 = 5;

/// Minutes that a simple rule compares with, and those it needs first, as the watch does.
const HOUR: (usize, usize) = (60, 30);

/// The instant of a second of a series, which begins at the epoch.
pub fn at(second: u32) -> Timestamp {
    Timestamp::from_second(second.into()).unwrap_or(Timestamp::MAX)
}

/// What reads the lines of one signature.
pub enum Reader {
    /// Our watch.
    Watch(Box<Watch>),
    /// A simple rule.
    Simple(Simple),
}

impl Reader {
    /// Our watch, then the simple rules.
    pub fn all() -> [Self; 3] {
        let simple = |limit| Self::Simple(Simple::new(limit));
        [Self::Watch(Box::default()), simple(Limit::Factor3), simple(Limit::Score3)]
    }

    /// Reads one line. True if a spike is told.
    pub fn line(&mut self, second: u32) -> bool {
        match self {
            Self::Watch(watch) => {
                let event = watch.line(Key(1), Severity::Info, at(second), at(second));
                matches!(event.map(|event| event.what), Some(What::Spike(_)))
            }
            Self::Simple(rule) => rule.line(second),
        }
    }

    /// Lets a second pass. The watch is ticked every ten.
    pub fn pass(&mut self, second: u32) {
        if let Self::Watch(watch) = self
            && second.is_multiple_of(10)
        {
            watch.tick(at(second));
        }
    }
}

/// Which limit a simple rule sets over the last hour.
#[derive(Clone, Copy)]
pub enum Limit {
    /// Three times the mean.
    Factor3,
    /// Three standard deviations over the mean.
    Score3,
}

/// A rule that compares the running minute with a limit over the full minutes of the last hour.
pub struct Simple {
    limit: Limit,
    minutes: Vec<u32>,
    over: f64,
    /// The minute of the last hit.
    hit: Option<u32>,
}

impl Simple {
    /// A rule that has read nothing.
    pub fn new(limit: Limit) -> Self {
        Self { limit, minutes: vec![0], over: f64::MAX, hit: None }
    }

    /// Reads one line. True if a spike is told.
    pub fn line(&mut self, second: u32) -> bool {
        let minute = second / 60;
        while self.minutes.len() <= minute as usize {
            self.minutes.push(0);
            self.over = self.limit();
        }
        let running = &mut self.minutes[minute as usize];
        *running += 1;
        if f64::from(*running) <= self.over {
            return false;
        }
        let told = self.hit.is_none_or(|hit| minute - hit > REST);
        self.hit = Some(minute);
        told
    }

    /// The limit of the running minute.
    #[expect(clippy::cast_precision_loss, reason = "an hour has few minutes")]
    fn limit(&self) -> f64 {
        let full = &self.minutes[..self.minutes.len() - 1];
        let hour = &full[full.len().saturating_sub(HOUR.0)..];
        let count = hour.len() as f64;
        let mean = hour.iter().copied().map(f64::from).sum::<f64>() / count;
        let variance = hour.iter().map(|&lines| (f64::from(lines) - mean).powi(2)).sum::<f64>() / count;
        match self.limit {
            _ if hour.len() < HOUR.1 => f64::MAX,
            Limit::Factor3 => 3.0 * mean,
            Limit::Score3 => mean + 3.0 * variance.sqrt(),
        }
    }
}
