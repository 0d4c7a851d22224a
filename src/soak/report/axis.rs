//! Axes: what range is shown, where its marks are and what stands beside them.

use std::ops::Range;

/// The times that are shown: the soak, and what was measured around it. None without a point.
#[must_use]
pub fn span(points: &[(f64, f64)], until: f64) -> Option<Range<f64>> {
    let (first, last) = (points.first()?.0, points.last()?.0);
    let until = if until.is_finite() { until } else { 0.0 };
    let (from, to) = (first.min(0.0), last.max(until));
    Some(if to > from { from..to } else { from..from + 1.0 })
}

/// The values that are shown, with some air. Zero is among them unless the curve is far from it.
#[must_use]
pub fn room(least: f64, most: f64) -> Range<f64> {
    let from_zero = least >= 0.0 && least < most / 2.0;
    let height = most - least;
    let air = if height > most.abs() * 1e-9 { height * 0.08 } else { (most.abs() * 0.1).max(f64::MIN_POSITIVE) };
    match (least, most) {
        (0.0, 0.0) => 0.0..1.0,
        _ if from_zero => 0.0..most + air,
        _ => least - air..most + air,
    }
}

/// Round values within a range, four or so.
#[must_use]
pub fn ticks(range: &Range<f64>) -> Vec<f64> {
    let rough = (range.end - range.start) / 4.0;
    let power = 10f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 2.5, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= rough).unwrap_or(rough);
    multiples(range, step)
}

/// Round times within a range, five or so.
#[must_use]
pub fn time_ticks(range: &Range<f64>) -> Vec<f64> {
    const DAY: f64 = 86_400.0;
    let steps = [
        1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 10_800.0, 21_600.0,
        43_200.0,
    ];
    let rough = (range.end - range.start) / 6.0;
    let days = || DAY * ticks(&(0.0..rough / DAY * 4.0)).get(1).copied().unwrap_or(1.0).max(1.0);
    if rough < 1.0 / 6.0 {
        ticks(range)
    } else {
        multiples(range, steps.into_iter().find(|step| *step >= rough).unwrap_or_else(days))
    }
}

/// The multiples of a step within a range; never very many.
fn multiples(range: &Range<f64>, step: f64) -> Vec<f64> {
    let first = (range.start / step).ceil();
    (0..24).map(|place| (first + f64::from(place)) * step).take_while(|at| *at <= range.end).collect()
}

/// Writes a value on the axis with as many digits as tell it from its neighbours.
#[must_use]
pub fn tick_text(value: f64, all: &[f64]) -> String {
    let step = match all {
        [first, second, ..] => second - first,
        _ => value.abs(),
    };
    if value.abs() >= 1e7 || step < 1e-5 {
        return format!("{value:.1e}");
    }
    // As many digits as the step has; it is the result of a subtraction, and so not quite round.
    let has = |digits: i32| (step * 10f64.powi(digits) - (step * 10f64.powi(digits)).round()).abs() < 1e-4;
    let digits = (0..6).take_while(|digits| !has(*digits)).count();
    format!("{:.digits$}", value + 0.0).replacen('-', "−", 1)
}

/// Writes seconds since soaking began, in the unit that fits the whole axis.
#[must_use]
pub fn clock(at: f64, axis: &Range<f64>) -> String {
    let sign = if at < 0.0 { "−" } else { "" };
    let (length, left) = (axis.end - axis.start, at.abs());
    let (unit, part, name) = match length {
        _ if length >= 172_800.0 => return format!("{sign}{} d", (left / 8_640.0).round() / 10.0),
        _ if length >= 3_600.0 => (3_600.0, 60.0, "h"),
        _ if length >= 60.0 => (60.0, 1.0, "min"),
        _ => return format!("{sign}{} s", (left * 1e3).round() / 1e3),
    };
    let (whole, rest) = ((left / unit).floor(), ((left % unit) / part).round());
    if at == 0.0 {
        return "0".into();
    }
    if rest == 0.0 { format!("{sign}{whole} {name}") } else { format!("{sign}{whole}:{rest:02} {name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_is_labelled_in_the_unit_that_fits_it() {
        assert_eq!(clock(5_400.0, &(0.0..10_800.0)), "1:30 h");
        assert_eq!(clock(-60.0, &(-60.0..600.0)), "−1 min");
        assert_eq!(clock(129_600.0, &(0.0..400_000.0)), "1.5 d");
        assert_eq!(clock(12.0, &(0.0..40.0)), "12 s");
        assert_eq!(time_ticks(&(0.0..10_800.0)).len(), 7);
        assert_eq!(ticks(&(0.0..1.0)), [0.0, 0.25, 0.5, 0.75, 1.0]);
        assert_eq!(clock(0.0, &(0.0..10_800.0)), "0");
    }

    #[test]
    fn a_value_on_an_axis_has_as_many_digits_as_its_step() {
        let cases = [
            (0.25, 0.25, "0.25"),
            (0.5, 0.1 + 0.2 - 0.2, "0.5"),
            (-3.0, 1.0, "−3"),
            (0.0, 0.002, "0.000"),
            (2e9, 1e9, "2.0e9"),
        ];
        for (value, step, text) in cases {
            assert_eq!(tick_text(value, &[0.0, step]), text);
        }
    }
}
