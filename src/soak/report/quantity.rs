//! Numbers, times and units as people read them. Nothing here fails: what has no good form is written in its plain one.

use crate::api::Time;

/// Between the groups of digits, and between a number and its unit: a space at which no line breaks.
const THIN: char = '\u{202f}';

/// Writes a number: four significant digits, more only where the whole part has more. Long ones are grouped by threes.
#[must_use]
pub fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() || value == 0.0 {
        return if value == 0.0 { "0".into() } else { value.to_string() };
    }
    if !(1e-4..1e15).contains(&size) {
        return minus(&format!("{value:.3e}"));
    }
    // What is left of four digits goes behind the point; zeros right behind it count for nothing.
    let whole = (0..15).take_while(|digits| size >= 10f64.powi(*digits)).count();
    let zeros = (1..4).take_while(|digits| size < 10f64.powi(-digits)).count();
    let behind = (4 + zeros).saturating_sub(whole);
    let text = format!("{value:.behind$}");
    let text = if behind > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    grouped(text)
}

/// Writes a count, grouped like [`number`].
#[must_use]
pub fn count(value: impl TryInto<u64>) -> String {
    grouped(&value.try_into().map_or_else(|_| "very many".into(), |value| value.to_string()))
}

/// Puts a thin space between the thousands of a number with five digits or more.
fn grouped(text: &str) -> String {
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let digits = whole.trim_start_matches('-');
    let mut out = String::with_capacity(text.len() + 8);
    out.push_str(if whole.starts_with('-') { "−" } else { "" });
    for (place, digit) in digits.chars().enumerate() {
        if digits.len() > 4 && place > 0 && (digits.len() - place) % 3 == 0 {
            out.push(THIN);
        }
        out.push(digit);
    }
    out + rest
}

/// A true minus sign in place of the hyphen in front.
fn minus(text: &str) -> String {
    text.strip_prefix('-').map_or_else(|| text.to_owned(), |rest| format!("−{rest}"))
}

/// The unit in which values are shown, chosen so that the largest of them stays short.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    /// How many of the recorded unit make one of this.
    pub factor: f64,
    /// How it is called; empty when the values have no unit.
    pub unit: String,
}

impl Scale {
    /// Chooses for values in `unit` of which none is larger than `biggest`.
    #[must_use]
    pub fn fit(unit: &str, biggest: f64) -> Self {
        let steps: &[(f64, &str)] = match unit.split('/').next().unwrap_or_default() {
            "bytes" => {
                &[(1.0, "B"), (1024.0, "KiB"), (1_048_576.0, "MiB"), (1_073_741_824.0, "GiB"), (1_099_511_627_776.0, "TiB")]
            }
            "ms" if biggest >= 1e4 => &[(1e3, "s")],
            "ms" => &[(1.0, "ms")],
            _ => return Self::counted(unit, biggest),
        };
        let (factor, name) = steps.iter().rev().find(|(factor, _)| biggest >= *factor).unwrap_or(&steps[0]);
        let per = unit.find('/').map_or("", |at| &unit[at..]);
        Self { factor: *factor, unit: format!("{name}{per}") }
    }

    /// A unit that is not divided further: only the number is shortened.
    fn counted(unit: &str, biggest: f64) -> Self {
        let steps = [(1e9, "billion"), (1e6, "million"), (1e3, "thousand")];
        match steps.iter().find(|(factor, _)| biggest >= 1e5 && biggest >= *factor) {
            Some((factor, word)) => Self { factor: *factor, unit: format!("{word} {unit}").trim_end().to_owned() },
            None => Self { factor: 1.0, unit: unit.to_owned() },
        }
    }

    /// Writes a value with its unit.
    #[must_use]
    pub fn show(&self, value: f64) -> String {
        let value = number(value / self.factor);
        if self.unit.is_empty() { value } else { format!("{value}{THIN}{}", self.unit) }
    }
}

/// Writes a value in the unit that fits it alone.
#[must_use]
pub fn amount(value: f64, unit: &str) -> String {
    Scale::fit(unit, value.abs()).show(value)
}

/// Writes a size in the unit that fits it.
#[must_use]
pub fn bytes(size: u64) -> String {
    #[allow(clippy::cast_precision_loss, reason = "four digits are shown")]
    amount(size as f64, "bytes")
}

/// Writes a duration in its two largest units, such as `3 h 12 min`.
#[must_use]
pub fn duration(seconds: f64) -> String {
    if seconds < 0.0 {
        return format!("−{}", duration(-seconds));
    }
    if seconds < 10.0 {
        return format!("{}{THIN}s", number((seconds * 10.0).round() / 10.0));
    }
    let units = [(86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s")];
    let seconds = seconds.round();
    let first = units.iter().position(|(length, _)| seconds >= *length).unwrap_or(3);
    let mut left = seconds;
    let mut parts = Vec::new();
    for (length, name) in units.iter().skip(first).take(2) {
        let whole = (left / length).floor();
        left -= whole * length;
        if whole > 0.0 {
            parts.push(format!("{}{THIN}{name}", number(whole)));
        }
    }
    parts.join(" ")
}

/// Seconds from one time to a later one; negative when it is earlier.
#[must_use]
pub fn seconds(from: Time, to: Time) -> f64 {
    to.duration_since(from).as_secs_f64()
}

/// Writes a time in UTC, such as `2026-11-28 13:45:10Z`.
#[must_use]
pub fn time(at: Time) -> String {
    let text = at.to_string();
    let whole = text.trim_end_matches('Z').split('.').next().unwrap_or_default();
    format!("{}Z", whole.replacen('T', " ", 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_four_significant_digits_and_groups() {
        let cases = [
            (0.0, "0"),
            (-0.0, "0"),
            (0.3, "0.3"),
            (0.012_345, "0.01235"),
            (-2.5, "−2.5"),
            (3.218_76, "3.219"),
            (1234.56, "1235"),
            (9_999.96, "10\u{202f}000"),
            (12_345.6, "12\u{202f}346"),
            (412_312_576.0, "412\u{202f}312\u{202f}576"),
            (1.5e18, "1.500e18"),
            (-1.5e-7, "−1.500e-7"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text, "{value}");
        }
    }

    #[test]
    fn a_number_that_is_none_is_still_written() {
        assert_eq!(number(f64::NAN), "NaN");
        assert_eq!(number(f64::INFINITY), "inf");
        assert!(!number(f64::MAX).is_empty() && !number(f64::MIN_POSITIVE).is_empty());
    }

    #[test]
    fn a_unit_fits_the_largest_value() {
        assert_eq!(amount(432_013_312.0, "bytes"), "412\u{202f}MiB");
        assert_eq!(amount(-2048.0, "bytes/s"), "−2\u{202f}KiB/s");
        assert_eq!(amount(250.0, "ms"), "250\u{202f}ms");
        assert_eq!(amount(12_500.0, "ms"), "12.5\u{202f}s");
        assert_eq!(amount(0.25, "cores"), "0.25\u{202f}cores");
        assert_eq!(amount(2_500_000.0, ""), "2.5\u{202f}million");
        assert_eq!(amount(7.0, ""), "7");
    }

    #[test]
    fn a_duration_has_its_two_largest_units() {
        let cases = [
            (0.0, "0 s"),
            (4.26, "4.3 s"),
            (59.7, "1 min"),
            (3600.0, "1 h"),
            (11_530.0, "3 h 12 min"),
            (180_000.0, "2 d 2 h"),
        ];
        for (seconds, text) in cases {
            assert_eq!(duration(seconds).replace(THIN, " "), text);
        }
        assert_eq!(duration(-60.0).replace(THIN, " "), "−1 min");
    }

    #[test]
    fn a_time_is_written_in_utc_to_the_second() {
        assert_eq!("2026-11-28T13:45:10.25Z".parse::<Time>().map(time).as_deref().ok(), Some("2026-11-28 13:45:10Z"));
        assert!(!time(Time::MIN).is_empty() && !time(Time::MAX).is_empty());
    }
}
