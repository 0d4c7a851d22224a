//! Series: six hours of lines by the second, with one spike whose onset is known.

use crate::chance::Chance;

/// Minutes of a series: the window of the detector.
pub const MINUTES: u32 = 360;

/// What the lines are like without the spike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noise {
    /// Nothing but chance.
    Poisson,
    /// Negative binomial by the minute, overdispersion 0.1 to 0.5.
    Overdispersed,
    /// Poisson, with a minute of two to four times the lines every forty minutes on average.
    Bursty,
    /// A wave of amplitude 0.3 to 0.7 and a period of 4 to 24 hours, overdispersion 0.1.
    Wave,
    /// A rise to the threefold, or a fall from it, in six hours; overdispersion 0.1.
    Trend,
}

/// How the spike comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The full rate for fifteen minutes.
    Step,
    /// As many lines within 20 seconds as make the minute `factor` times as large.
    Burst,
    /// Up to the full rate within ten minutes, then five minutes of it.
    Ramp,
}

/// All kinds of noise.
pub const NOISES: [Noise; 5] = [Noise::Poisson, Noise::Overdispersed, Noise::Bursty, Noise::Wave, Noise::Trend];

/// All shapes.
pub const SHAPES: [Shape; 3] = [Shape::Step, Shape::Burst, Shape::Ramp];

/// How many times the usual rate a spike is.
pub const FACTORS: [u32; 3] = [3, 5, 10];

/// Usual lines a minute.
pub const BASES: [u32; 5] = [0, 1, 5, 20, 100];

/// The rate that a factor refers to where there is no usual one.
const BASE_OF_NOTHING: f64 = 5.0;

/// Six hours of lines with one spike.
pub struct Series {
    /// What the lines are like without it.
    pub noise: Noise,
    /// How it comes.
    pub shape: Shape,
    /// How many times the usual rate it is.
    pub factor: u32,
    /// Usual lines a minute.
    pub base: u32,
    /// The second of its onset, and that of its end.
    pub spike: (u32, u32),
    /// Lines in each second.
    pub lines: Vec<u32>,
}

impl Series {
    /// The series of this number. Neighbours differ in noise, then factor, shape and base.
    pub fn numbered(number: u32) -> Self {
        let mut chance = Chance::seeded(1_000 + u64::from(number));
        let pick = |step: u32, of: usize| (number / step) as usize % of;
        let (noise, factor) = (NOISES[pick(1, 5)], FACTORS[pick(5, 3)]);
        let (shape, base) = (SHAPES[pick(15, 3)], BASES[pick(45, 5)]);
        let onset = chance.whole(190 * 60, 330 * 60);
        // A burst lies within one minute, or it would be two small ones.
        let onset = if shape == Shape::Burst { onset / 60 * 60 + onset % 40 } else { onset };
        let end = onset + if shape == Shape::Burst { 20 } else { 900 };
        let mut lines = Vec::new();
        for (second, rate) in (0..).zip(background(noise, f64::from(base), &mut chance)) {
            let usual = if base > 0 { rate } else { BASE_OF_NOTHING / 60.0 };
            let more = f64::from(factor - u32::from(base > 0)) * usual;
            let extra = match shape {
                _ if !(onset..end).contains(&second) => 0.0,
                Shape::Step => more,
                Shape::Burst => more * 3.0,
                Shape::Ramp => more * (f64::from(second - onset) / 600.0).min(1.0),
            };
            lines.push(chance.poisson(rate + extra));
        }
        // Without a usual rate the signature was seen once, so that its spike is not the same as its being new.
        if base == 0 {
            lines[60] = 1;
        }
        Self { noise, shape, factor, base, spike: (onset, end), lines }
    }

    /// Lines that the spike adds in its first eight minutes, on average and without noise.
    pub fn excess(&self) -> f64 {
        let usual = if self.base > 0 { f64::from(self.base) } else { BASE_OF_NOTHING };
        let more = f64::from(self.factor - u32::from(self.base > 0)) * usual;
        match self.shape {
            Shape::Step => more * 8.0,
            Shape::Burst => more,
            Shape::Ramp => more * 3.2,
        }
    }
}

/// Lines a second without the spike, for each second.
fn background(noise: Noise, base: f64, chance: &mut Chance) -> Vec<f64> {
    let alpha = match noise {
        Noise::Poisson | Noise::Bursty => 0.0,
        Noise::Overdispersed => chance.between(0.1, 0.5),
        Noise::Wave | Noise::Trend => 0.1,
    };
    let (amplitude, period) = (chance.between(0.3, 0.7), chance.between(4.0, 24.0) * 60.0);
    let (phase, falls) = (chance.between(0.0, 6.0), chance.whole(0, 2) == 1);
    let mut rates = Vec::new();
    for minute in 0..MINUTES {
        let part = f64::from(minute) / f64::from(MINUTES);
        let slow = match noise {
            Noise::Wave => 1.0 + amplitude * (f64::from(minute) / period * std::f64::consts::TAU + phase).sin(),
            Noise::Trend => 1.0 + 2.0 * if falls { 1.0 - part } else { part },
            Noise::Bursty if chance.whole(0, 40) == 0 => chance.between(2.0, 4.0),
            _ => 1.0,
        };
        let rate = base * slow * chance.gamma(alpha) / 60.0;
        rates.extend([rate; 60]);
    }
    rates
}
