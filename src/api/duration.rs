//! Durations as they are written: `"30s"`, `"1h30m"`, `"250ms"`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A duration in the format of Kubernetes' `metav1.Duration`, which is that of Go's `time.ParseDuration`. It is
/// written in its shortest form, so that `"8h"` comes back as `"8h"`.
///
/// It can be negative, so that a rule can say that it must not be.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Duration {
    length: time::Duration,
    negative: bool,
}

impl Duration {
    /// Whether it is below zero.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.negative
    }

    /// How long it is; zero for a negative one, which [`super::Object::validate`] refuses wherever it makes no sense.
    #[must_use]
    pub fn to_std(self) -> time::Duration {
        if self.negative { time::Duration::ZERO } else { self.length }
    }
}

impl From<time::Duration> for Duration {
    fn from(length: time::Duration) -> Self {
        Self { length, negative: false }
    }
}

impl FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (negative, bare) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let nanos = if bare == "0" { 0 } else { nanoseconds(bare).ok_or("not a number with a unit, or too long")? };
        Ok(Self { length: time::Duration::from_nanos(nanos), negative: negative && nanos > 0 })
    }
}

/// Parts such as `1h`, `.5s`, one after the other. `None` when there is none, something else, or more than Go's longest, 292
/// years. kube's reader of the same format is not used: it panics on `1h-5m` and on what is too long.
fn nanoseconds(mut text: &str) -> Option<u64> {
    let mut total: u128 = 0;
    loop {
        let number_ends = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, rest) = text.split_at(number_ends);
        let unit_ends = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let (unit, rest) = rest.split_at(unit_ends);
        let unit: u128 = match unit {
            "ns" => 1,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || whole.len() > 19 {
            return None;
        }
        let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        // Digits beyond the 18th are less than a nanosecond of any unit.
        let digits = &fraction[..fraction.len().min(18)];
        let parts: u128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
        let scale = 10_u128.pow(u32::try_from(digits.len()).ok()?);
        total += whole * unit + parts * unit / scale;
        if total > u128::from(i64::MAX.unsigned_abs()) || !fraction.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        if rest.is_empty() {
            return u64::try_from(total).ok();
        }
        text = rest;
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.negative {
            f.write_str("-")?;
        }
        let (seconds, nanos) = (self.length.as_secs(), self.length.subsec_nanos());
        if seconds == 0 && nanos > 0 {
            return match nanos {
                n if n % 1_000_000 == 0 => write!(f, "{}ms", n / 1_000_000),
                n if n % 1_000 == 0 => write!(f, "{}us", n / 1_000),
                n => write!(f, "{n}ns"),
            };
        }
        let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if minutes > 0 {
            write!(f, "{minutes}m")?;
        }
        if nanos > 0 {
            let fraction = format!("{nanos:09}");
            write!(f, "{rest}.{}s", fraction.trim_end_matches('0'))
        } else if rest > 0 || seconds == 0 {
            write!(f, "{rest}s")
        } else {
            Ok(())
        }
    }
}

impl fmt::Debug for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        const EXPECTED: &str = "a duration, such as \"30s\" or \"1h30m\"";
        impl de::Visitor<'_> for Visitor {
            type Value = Duration;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
                text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_duration_is_written_in_its_shortest_form() {
        for (read, written) in [
            ("8h", "8h"),
            ("28800s", "8h"),
            ("1h30m", "1h30m"),
            ("90s", "1m30s"),
            ("1.5s", "1.5s"),
            ("250ms", "250ms"),
            ("0s", "0s"),
            ("0", "0s"),
            ("-5s", "-5s"),
            ("-0s", "0s"),
            ("3h5s", "3h5s"),
            ("7us", "7us"),
            (".5s", "500ms"),
            ("1.h", "1h"),
        ] {
            assert_eq!(read.parse::<Duration>().unwrap().to_string(), written, "{read}");
        }
    }

    #[test]
    fn what_is_not_a_duration_is_refused() {
        for text in
            ["", "-", "5", "s", "soon", "--5s", "5 s", "1d", "1h-5m", "1.2.3s", ".s", "9999999999999999999h", "99999999h"]
        {
            assert!(text.parse::<Duration>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_back(seconds in 0..1_000_000_u64, nanos in 0..1_000_000_000_u32) {
            let duration = Duration::from(time::Duration::new(seconds, nanos));
            prop_assert_eq!(duration.to_string().parse::<Duration>(), Ok(duration));
        }

        #[test]
        fn no_text_panics(text in "[-+0-9.hmsun]{0,40}|.{0,40}") {
            let _ = text.parse::<Duration>();
        }
    }
}
