//! Draws from the distributions that counts of lines follow, each from a fixed seed.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// A source of draws.
pub struct Chance(StdRng);

impl Chance {
    /// The source with a seed: the same draws in every run.
    pub fn seeded(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// Evenly between two ends.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.0.random::<f64>()
    }

    /// Between two ends, evenly in the logarithm.
    pub fn between_orders(&mut self, low: f64, high: f64) -> f64 {
        self.between(low.ln(), high.ln()).exp()
    }

    /// A whole number from `low` up to but without `high`.
    pub fn whole(&mut self, low: u32, high: u32) -> u32 {
        self.0.random_range(low..high)
    }

    /// A Poisson count. Large means are drawn in parts, so that no exponential runs out.
    pub fn poisson(&mut self, mut mean: f64) -> u32 {
        let mut count = 0;
        while mean > 0.0 {
            let (part, limit) = (mean.min(20.0), (-mean.min(20.0)).exp());
            let mut product = self.0.random::<f64>();
            while product > limit {
                count += 1;
                product *= self.0.random::<f64>();
            }
            mean -= part;
        }
        count
    }

    /// A gamma draw with mean one and variance `alpha` (Marsaglia and Tsang, 2000). One, if `alpha` is none.
    pub fn gamma(&mut self, alpha: f64) -> f64 {
        if alpha <= 0.0 {
            return 1.0;
        }
        let shape = 1.0 / alpha;
        let base = shape.max(1.0) - 1.0 / 3.0;
        let scale = 1.0 / (9.0 * base).sqrt();
        loop {
            let normal = self.normal();
            let cube = (1.0 + scale * normal).powi(3);
            if cube > 0.0 && self.0.random::<f64>().ln() < 0.5 * normal * normal + base * (1.0 - cube + cube.ln()) {
                let small = if shape < 1.0 { self.0.random::<f64>().powf(alpha) } else { 1.0 };
                return base * cube * small * alpha;
            }
        }
    }

    /// A normal draw with mean zero and variance one (Box and Muller).
    fn normal(&mut self) -> f64 {
        let (one, two) = (1.0 - self.0.random::<f64>(), self.0.random::<f64>());
        (-2.0 * one.ln()).sqrt() * (std::f64::consts::TAU * two).cos()
    }
}
