//! Quantiles: of a sample, and of counts with a known mean, variance and the skew of a negative binomial.

/// The value that the given share (0 to 1) of the sample does not exceed. Zero for an empty sample. The
/// sample is put into another order.
pub(crate) fn quantile_of(sample: &mut [u64], share: f64) -> u64 {
    if sample.is_empty() {
        return 0;
    }
    #[expect(clippy::cast_precision_loss, reason = "samples have at most 360 values")]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast of a float saturates")]
    let place = ((sample.len() - 1) as f64 * share).ceil() as usize;
    let place = place.min(sample.len() - 1);
    *sample.select_nth_unstable(place).1
}

/// The count that lies `z` standard normal units up in a negative binomial of this mean and variance.
///
/// The distribution is replaced by a Pearson type III one (a shifted gamma) with the same three moments, and
/// its quantile by the formula of Wilson and Hilferty. Against exact Poisson and negative binomial tails the
/// error is about a tenth, or two lines, at the tails used here. `mean` and `variance` are taken as at
/// least a small number, `variance` also as at least the mean: a Poisson count has no less.
pub(crate) fn count_at(mean: f64, variance: f64, z: f64) -> f64 {
    let mean = mean.max(1e-3);
    let variance = variance.max(mean);
    let deviation = variance.sqrt();
    // The skew of a negative binomial; of a Poisson when the variance is the mean.
    let skew = (2.0 * variance / mean - 1.0) / deviation;
    let sixth = skew / 6.0;
    let unit = ((1.0 + sixth * z - sixth * sixth).max(0.0).powi(3) - 1.0) * 2.0 / skew;
    mean + deviation * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The least count that a Poisson of this mean reaches with a chance below `tail`.
    fn poisson_count(mean: f64, tail: f64) -> f64 {
        let (mut term, mut below, mut count) = ((-mean).exp(), 0.0, 0.0);
        while 1.0 - below > tail {
            below += term;
            count += 1.0;
            term *= mean / count;
        }
        count
    }

    /// The same for a negative binomial of this mean and dispersion.
    fn negative_binomial_count(mean: f64, alpha: f64, tail: f64) -> f64 {
        let (size, share) = (1.0 / alpha, alpha * mean / (1.0 + alpha * mean));
        let (mut term, mut below, mut count) = ((1.0 - share).powf(size), 0.0, 0.0);
        while 1.0 - below > tail {
            below += term;
            term *= share * (size + count) / (count + 1.0);
            count += 1.0;
        }
        count
    }

    #[test]
    fn the_formula_is_close_to_exact_poisson_tails() {
        for mean in [0.5, 2.0, 5.0, 20.0, 80.0] {
            // 1e-7 of a normal lies 5.2 up.
            let (exact, near) = (poisson_count(mean, 1e-7), count_at(mean, mean, 5.2));
            assert!((near - exact).abs() < (exact * 0.12).max(2.0), "mean {mean}: {near} for {exact}");
        }
    }

    #[test]
    fn the_formula_is_close_to_exact_negative_binomial_tails() {
        for mean in [2.0, 10.0, 50.0] {
            for alpha in [0.1, 0.3, 0.5] {
                let variance = mean + alpha * mean * mean;
                let (exact, near) = (negative_binomial_count(mean, alpha, 1e-7), count_at(mean, variance, 5.2));
                assert!((near / exact - 1.0).abs() < 0.12, "mean {mean} alpha {alpha}: {near} for {exact}");
            }
        }
    }

    #[test]
    fn odd_moments_do_not_panic() {
        assert!(count_at(0.0, 0.0, 5.5).is_finite());
        assert!(count_at(-1.0, -1.0, 5.5).is_finite());
        assert_eq!(quantile_of(&mut [], 0.5), 0);
        assert_eq!(quantile_of(&mut [3, 1, 2], 2.0), 3);
    }
}
