use super::*;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

fn curve(values: &[f64]) -> Vec<(Time, f64)> {
    let at = |i: usize| Time::from_second(i64::try_from(i).unwrap() * 60).unwrap();
    values.iter().enumerate().map(|(i, v)| (at(i), *v)).collect()
}

fn close(found: Option<f64>, expected: f64) {
    assert!(found.is_some_and(|f| (f - expected).abs() < 1e-9), "{found:?}, expected {expected}");
}

#[test]
fn a_curve_has_a_level() {
    let points = curve(&[4.0, 1.0, 3.0, 2.0]);
    close(mean(&points), 2.5);
    close(least(&points), 1.0);
    close(most(&points), 4.0);
    for (percent, expected) in [(0.0, 1.0), (50.0, 2.5), (100.0, 4.0), (90.0, 3.7)] {
        close(percentile(&[4.0, 1.0, 3.0, 2.0], percent), expected);
    }
    for none in [mean(&[]), least(&[]), most(&[]), percentile(&[], 50.0), ratio_to_start(&[])] {
        assert_eq!(none, None);
    }
    assert_eq!(Trend::of(&[]), None);
    assert_eq!(Trend::of(&curve(&[1.0])), None);
}

#[test]
fn a_few_outliers_do_not_move_the_slope() {
    // 60 a minute is one a second: 3,600 an hour.
    let mut values: Vec<f64> = (0..40).map(|i| 1000.0 + 60.0 * f64::from(i)).collect();
    for outlier in [3, 11, 20, 38] {
        values[outlier] = 1e9;
    }
    let trend = Trend::of(&curve(&values)).unwrap();
    assert!((trend.slope_per_hour - 3600.0).abs() < 40.0, "{trend:?}");
    assert!((trend.start - 1000.0).abs() < 40.0, "{trend:?}");
    assert!(trend.is_steady());
}

#[test]
fn ratios_compare_medians() {
    let mut values = vec![100.0; 20];
    values[18..].fill(130.0);
    close(ratio_to_start(&curve(&values)), 1.3);
    close(ratio_to(&curve(&[2.0, 3.0, 4.0]), &curve(&[4.0])), 0.75);
    assert_eq!(ratio_to_start(&curve(&[0.0, 1.0])), None);
    assert_eq!(ratio_to(&curve(&[1.0]), &[]), None);
}

#[test]
fn a_thinned_curve_keeps_its_shape_and_its_size() {
    let values: Vec<f64> = (0..10_007).map(f64::from).collect();
    let thin = thinned(&curve(&values), 1000);
    assert_eq!(thin.len(), 1000);
    assert!(thin.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1));
    let trend = Trend::of(&curve(&values)).unwrap();
    assert!((trend.slope_per_hour - 60.0).abs() < 0.1, "{trend:?}");
}

#[test]
fn no_leak_is_told_by_too_little() {
    assert!(leak(&curve(&[1.0; 9])).unwrap_err().contains("9 samples"));
    assert_eq!(leak(&curve(&[1.0; 10])), Ok(0.0));
    let from_nothing: Vec<f64> = (0..20).map(|i| f64::from(i) * 10.0).collect();
    assert!(leak(&curve(&from_nothing)).unwrap_err().contains("begins at nothing"));
    let one_moment = vec![(Time::UNIX_EPOCH, 1.0); 20];
    assert!(leak(&one_moment).unwrap_err().contains("one moment"));
}

/// How curves are disturbed.
struct Noise {
    /// The most that a value moves by chance (one standard deviation), as a share of the level.
    most: f64,
    /// The most of one disturbance that is left in the next value.
    memory: f64,
}

/// What memory does: noise that remembers, saw teeth of a collector, spikes, and perhaps a leak of that share over the whole.
fn memory(chance: &mut SmallRng, how: &Noise, leak: f64) -> Vec<(Time, f64)> {
    let count = chance.random_range(60..160);
    let (noise, memory) = (chance.random_range(0.01..how.most), chance.random_range(0.0..how.memory));
    let (tooth, height) = (chance.random_range(5..40), chance.random_range(0.0..0.15));
    let mut drift = 0.0;
    let values: Vec<f64> = (0..count)
        .map(|i| {
            // Near enough to normal: twelve uniform ones.
            let normal: f64 = (0..12).map(|_| chance.random_range(-0.5..0.5)).sum();
            drift = memory * drift + noise * normal;
            let spike = if chance.random_bool(0.02) { chance.random_range(0.2..1.0) } else { 0.0 };
            let share = f64::from(i) / f64::from(count - 1);
            let saw = height * f64::from(i % tooth) / f64::from(tooth);
            200e6 * (1.0 + leak * share + drift + saw + spike)
        })
        .collect();
    curve(&values)
}

/// The rule that people use by hand: the last value against the first.
fn two_points(points: &Points) -> f64 {
    points.last().unwrap().1 / points[0].1 - 1.0
}

/// False alarms of 500 curves that do not rise and misses of 500 that rise by 30 %, where more than 15 % is a leak; then the same by two
/// points.
fn errors(how: &Noise) -> [u32; 4] {
    const BOUND: f64 = 0.15;
    let mut chance = SmallRng::seed_from_u64(2026);
    let mut errors = [0; 4];
    for _ in 0..500 {
        let steady = memory(&mut chance, how, 0.0);
        let leaking = memory(&mut chance, how, 0.3);
        let wrong = [
            leak(&steady).unwrap() > BOUND,
            leak(&leaking).unwrap() <= BOUND,
            two_points(&steady) > BOUND,
            two_points(&leaking) <= BOUND,
        ];
        for (count, wrong) in errors.iter_mut().zip(wrong) {
            *count += u32::from(wrong);
        }
    }
    println!("noise up to {} and memory up to {}: {errors:?}", how.most, how.memory);
    errors
}

/// The figures that the documentation states.
#[test]
fn the_leak_detector_is_wrong_less_often_than_two_points() {
    let [alarms, misses, two_alarms, two_misses] = errors(&Noise { most: 0.08, memory: 0.5 });
    assert!(alarms == 0 && misses == 0, "{alarms} {misses}");
    assert!(two_alarms >= 40 && two_misses >= 20, "the curves are no challenge: {two_alarms} {two_misses}");
    // Where the noise is as large as the leak, some leaks are not seen. An alarm in the night has to mean something.
    let [alarms, misses, two_alarms, two_misses] = errors(&Noise { most: 0.2, memory: 0.9 });
    assert!(alarms <= 10 && misses <= 80, "{alarms} {misses}");
    assert!(two_alarms > 10 * alarms && two_misses >= misses, "{two_alarms} {two_misses}");
}
