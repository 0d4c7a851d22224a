//! Steady: six hours of many noisy signatures in which nothing happens. Whatever is told is a false alarm.

use std::ops::RangeInclusive;

use wicap::api::Severity;
use wicap::signature::rates::{Key, Watch, What};

use crate::chance::Chance;
use crate::series::MINUTES;
use crate::simple::{Limit, Simple, at};

/// Signatures of a stream: a busy service.
const SIGNATURES: usize = 200;

/// How one signature comes.
struct Stream {
    rate: f64,
    alpha: f64,
    amplitude: f64,
    period: f64,
    phase: f64,
}

impl Stream {
    /// 0.1 to 100 lines a minute, overdispersion 0.03 to 0.5, waves of up to 0.6 with a period of 2 to 24 hours.
    fn drawn(chance: &mut Chance) -> Self {
        Self {
            rate: chance.between_orders(0.1, 100.0),
            alpha: chance.between_orders(0.03, 0.5),
            amplitude: chance.between(0.0, 0.6),
            period: chance.between_orders(120.0, 1440.0),
            phase: chance.between(0.0, 6.0),
        }
    }

    fn lines(&self, minute: u32, chance: &mut Chance) -> u32 {
        let turn = f64::from(minute) / self.period * std::f64::consts::TAU + self.phase;
        let rate = self.rate * (1.0 + self.amplitude * turn.sin()) * chance.gamma(self.alpha);
        chance.poisson(rate)
    }
}

/// The lines of each signature of the stream of a seed, minute by minute.
fn drawn(seed: u64) -> Vec<Vec<u32>> {
    let mut chance = Chance::seeded(50_000 + seed);
    let streams: Vec<Stream> = (0..SIGNATURES).map(|_| Stream::drawn(&mut chance)).collect();
    (0..MINUTES).map(|minute| streams.iter().map(|s| s.lines(minute, &mut chance)).collect()).collect()
}

/// Prints a row for the streams of these seeds: how many raised anything, and how often.
pub fn print(name: &str, seeds: RangeInclusive<u64>) {
    let (mut spikes, mut silences, mut raised, mut lines, mut streams) = (0, 0, 0, 0, 0);
    let mut simple = [0; 2];
    for seed in seeds {
        let told = run(seed, &mut lines, &mut simple);
        let count = |is: fn(&What) -> bool| told.iter().filter(|what| is(what)).count();
        let (rose, silent) = (count(|what| matches!(what, What::Spike(_))), count(|what| matches!(what, What::Silent(_))));
        spikes += rose;
        silences += silent;
        raised += usize::from(rose + silent > 0);
        streams += 1;
    }
    let [factor, score] = simple;
    println!("| {name} | {raised} of {streams} | {spikes} | {silences} | {factor} | {score} | {lines} |");
}

/// What our watch tells of a stream. Adds its lines, and what the simple rules tell.
fn run(seed: u64, lines: &mut u64, simple: &mut [usize; 2]) -> Vec<What> {
    let minutes = drawn(seed);
    let mut watch = Watch::default();
    let rules = || [Limit::Factor3, Limit::Score3].map(Simple::new);
    let mut rules: Vec<[Simple; 2]> = (0..SIGNATURES).map(|_| rules()).collect();
    let mut told = Vec::new();
    for (minute, counts) in (0..).zip(&minutes) {
        *lines += counts.iter().copied().map(u64::from).sum::<u64>();
        for second in 0..60 {
            let now = minute * 60 + second;
            for ((id, &count), rules) in (0..).zip(counts).zip(&mut rules) {
                let due = |second: u32| count * second / 60;
                for _ in due(second)..due(second + 1) {
                    told.extend(watch.line(Key(id), Severity::Info, at(now), at(now)).map(|event| event.what));
                    for (rule, alarms) in rules.iter_mut().zip(&mut *simple) {
                        *alarms += usize::from(rule.line(now));
                    }
                }
            }
            if second.is_multiple_of(20) {
                told.extend(watch.tick(at(now)).into_iter().map(|event| event.what));
            }
        }
    }
    told
}
