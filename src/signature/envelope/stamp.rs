//! When a line was written, as exactly as the line says.
//!
//! A stamp without a zone is no instant, and a stamp without a year or a day is not even a date. Nothing is guessed
//! here.
//! [`Stamp::resolve`] is for a caller who knows the zone and roughly the time.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// When a line was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stamp {
    /// A point in time: the line has an offset, `Z`, `UTC`, or seconds since the epoch.
    Instant(Timestamp),
    /// A date and a time of day in an unknown zone.
    Civil(DateTime),
    /// A day and a time of day in an unknown zone and year.
    Yearless {
        /// The month, 1 to 12.
        month: i8,
        /// The day of the month, 1 to 31.
        day: i8,
        /// The time of day.
        time: Time,
    },
    /// A time of day on an unknown day.
    Clock(Time),
}

impl Stamp {
    /// Whether the stamp is a point in time and needs no resolving.
    #[must_use]
    pub fn is_instant(self) -> bool {
        matches!(self, Self::Instant(_))
    }

    /// The point in time, if the clock of the writer is in `zone` and the line was written close to `near`. What the
    /// stamp leaves open (year, day) is chosen so that the result is as close to `near` as can be.
    #[must_use]
    pub fn resolve(self, zone: &TimeZone, near: Timestamp) -> Option<Timestamp> {
        let instant = |civil: DateTime| civil.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp());
        let today = near.to_zoned(zone.clone()).date();
        let closest = |candidates: [Option<DateTime>; 3]| {
            candidates.into_iter().flatten().filter_map(instant).min_by_key(|at| at.duration_since(near).abs())
        };
        match self {
            Self::Instant(at) => Some(at),
            Self::Civil(civil) => instant(civil),
            Self::Yearless { month, day, time } => closest([-1, 0, 1].map(|years| {
                Some(DateTime::from_parts(Date::new(today.year().checked_add(years)?, month, day).ok()?, time))
            })),
            Self::Clock(time) => {
                closest([-24, 0, 24].map(|hours| {
                    Some(DateTime::from_parts(today.checked_add(SignedDuration::from_hours(hours)).ok()?, time))
                }))
            }
        }
    }
}

/// A stamp and the number of bytes it takes.
pub(crate) type Found = (Stamp, usize);

/// The number that the two digits at `at` make.
fn two(bytes: &[u8], at: usize) -> Option<i8> {
    let tens = bytes.get(at)?.wrapping_sub(b'0');
    let ones = bytes.get(at + 1)?.wrapping_sub(b'0');
    (tens <= 9 && ones <= 9).then(|| (tens * 10 + ones).cast_signed())
}

/// The number that the four digits at `at` make.
fn four(bytes: &[u8], at: usize) -> Option<i16> {
    Some(i16::from(two(bytes, at)?) * 100 + i16::from(two(bytes, at + 2)?))
}

/// Whether the text ends at `at`, or goes on with something that is no part of a number or a word.
fn ends(bytes: &[u8], at: usize) -> bool {
    bytes.get(at).is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte < 0x80)
}

/// The month with this English abbreviation, 1 to 12.
fn month(bytes: &[u8], at: usize) -> Option<i8> {
    Some(match bytes.get(at..at + 3)? {
        b"Jan" => 1,
        b"Feb" => 2,
        b"Mar" => 3,
        b"Apr" => 4,
        b"May" => 5,
        b"Jun" => 6,
        b"Jul" => 7,
        b"Aug" => 8,
        b"Sep" => 9,
        b"Oct" => 10,
        b"Nov" => 11,
        b"Dec" => 12,
        _ => return None,
    })
}

/// `10:00:00`, with any number of digits of a second behind `.` or `,`. Digits behind the ninth are dropped.
fn clock(bytes: &[u8], at: usize) -> Option<(Time, usize)> {
    let (hour, minute, second) = (two(bytes, at)?, two(bytes, at + 3)?, two(bytes, at + 6)?);
    if bytes[at + 2] != b':' || bytes[at + 5] != b':' {
        return None;
    }
    let mut end = at + 8;
    let mut nanos = 0_i32;
    if matches!(bytes.get(end), Some(b'.' | b',')) && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
        end += 1;
        let mut scale = 100_000_000;
        while let Some(digit) = bytes.get(end).filter(|byte| byte.is_ascii_digit()) {
            nanos += i32::from(digit - b'0') * scale;
            scale /= 10;
            end += 1;
        }
    }
    if bytes.get(end).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    // A leap second is told as the second before it; jiff has no place for it.
    Time::new(hour, minute, if second == 60 { 59 } else { second }, nanos).ok().map(|time| (time, end))
}

/// `2026-02-10`, with `-`, `/` or `.` between the parts.
fn date(bytes: &[u8]) -> Option<(Date, usize)> {
    let separator = *bytes.get(4)?;
    if !matches!(separator, b'-' | b'/' | b'.') || bytes.get(7) != Some(&separator) {
        return None;
    }
    Date::new(four(bytes, 0)?, two(bytes, 5)?, two(bytes, 8)?).ok().map(|date| (date, 10))
}

/// `Z`, `+01:00`, `+0100`, `+01`, ` +0100`, ` UTC`, ` GMT`, as seconds east of Greenwich.
fn offset(bytes: &[u8], at: usize) -> Option<(Offset, usize)> {
    let spaced = bytes.get(at) == Some(&b' ');
    let at = at + usize::from(spaced);
    let sign = match bytes.get(at)? {
        b'Z' | b'z' if !spaced && ends(bytes, at + 1) => return Some((Offset::UTC, at + 1)),
        b'U' | b'G' if matches!(bytes.get(at..at + 3)?, b"UTC" | b"GMT") && ends(bytes, at + 3) => {
            return Some((Offset::UTC, at + 3));
        }
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let hours = two(bytes, at + 1)?;
    let (minutes, end) = if bytes.get(at + 3) == Some(&b':') {
        (two(bytes, at + 4)?, at + 6)
    } else if let Some(minutes) = two(bytes, at + 3) {
        (minutes, at + 5)
    } else if spaced {
        return None;
    } else {
        (0, at + 3)
    };
    if minutes > 59 || !ends(bytes, end) {
        return None;
    }
    Offset::from_seconds(sign * (i32::from(hours) * 3600 + i32::from(minutes) * 60)).ok().map(|offset| (offset, end))
}

/// A date and a time of day, with the zone that may follow at `at`.
fn zoned(date: Date, time: Time, bytes: &[u8], at: usize) -> Option<Found> {
    let civil = DateTime::from_parts(date, time);
    match offset(bytes, at) {
        Some((offset, end)) => offset.to_timestamp(civil).ok().map(|instant| (Stamp::Instant(instant), end)),
        None => ends(bytes, at).then_some((Stamp::Civil(civil), at)),
    }
}

/// `2026-02-10T10:00:00.123Z` and its kin: `T`, `_`, one or two blanks or ` - ` before the time, every form of zone.
pub(crate) fn date_time(text: &str) -> Option<Found> {
    let bytes = text.as_bytes();
    let (date, end) = date(bytes)?;
    let at = match bytes.get(end)? {
        b' ' if bytes[end..].starts_with(b" - ") => end + 3,
        b' ' if bytes.get(end + 1) == Some(&b' ') => end + 2,
        b'T' | b't' | b' ' | b'_' => end + 1,
        _ => return None,
    };
    let (time, end) = clock(bytes, at)?;
    zoned(date, time, bytes, end)
}

/// `10:00:00`, `10:00:00.123`.
pub(crate) fn time_of_day(text: &str) -> Option<Found> {
    let (time, end) = clock(text.as_bytes(), 0)?;
    ends(text.as_bytes(), end).then_some((Stamp::Clock(time), end))
}

/// `10/Feb/2026:10:00:00 +0000`, as access logs have it; also with a blank before the time and without a zone.
pub(crate) fn access(text: &str) -> Option<Found> {
    let bytes = text.as_bytes();
    if bytes.get(2) != Some(&b'/') || bytes.get(6) != Some(&b'/') || !matches!(bytes.get(11), Some(b':' | b' ')) {
        return None;
    }
    let date = Date::new(four(bytes, 7)?, month(bytes, 3)?, two(bytes, 0)?).ok()?;
    let (time, end) = clock(bytes, 12)?;
    zoned(date, time, bytes, end)
}

/// `10 Feb 2026 10:00:00.123`, as Redis has it.
pub(crate) fn day_first(text: &str) -> Option<Found> {
    let bytes = text.as_bytes();
    if bytes.get(2) != Some(&b' ') || bytes.get(6) != Some(&b' ') || bytes.get(11) != Some(&b' ') {
        return None;
    }
    let date = Date::new(four(bytes, 7)?, month(bytes, 3)?, two(bytes, 0)?).ok()?;
    let (time, end) = clock(bytes, 12)?;
    zoned(date, time, bytes, end)
}

/// `Feb 10 10:00:00`, the day padded with a blank or a zero, as syslog has it.
pub(crate) fn month_first(text: &str) -> Option<Found> {
    let bytes = text.as_bytes();
    let month = month(bytes, 0)?;
    if bytes.get(3) != Some(&b' ') || bytes.get(6) != Some(&b' ') {
        return None;
    }
    let day = match bytes[4] {
        b' ' => two(&[b'0', bytes[5]], 0)?,
        _ => two(bytes, 4)?,
    };
    // A leap year, so that the 29th of February passes.
    Date::new(2000, month, day).ok()?;
    let (time, end) = clock(bytes, 7)?;
    ends(bytes, end).then_some((Stamp::Yearless { month, day, time }, end))
}

/// `Tue Feb 10 10:00:00.123 2026`, as `asctime` and Apache have it.
pub(crate) fn weekday_first(text: &str) -> Option<Found> {
    let bytes = text.as_bytes();
    if !matches!(bytes.get(..3)?, b"Mon" | b"Tue" | b"Wed" | b"Thu" | b"Fri" | b"Sat" | b"Sun")
        || bytes.get(3) != Some(&b' ')
    {
        return None;
    }
    let (Stamp::Yearless { month, day, time }, end) = month_first(text.get(4..)?)? else { return None };
    let year = 4 + end + 1;
    if bytes.get(year - 1) != Some(&b' ') || !ends(bytes, year + 4) {
        return None;
    }
    let date = Date::new(four(bytes, year)?, month, day).ok()?;
    Some((Stamp::Civil(DateTime::from_parts(date, time)), year + 4))
}

/// `0210 10:00:00.123456`, as klog has it behind its letter.
pub(crate) fn klog(text: &str) -> Option<Found> {
    let bytes = text.as_bytes();
    let (month, day) = (two(bytes, 0)?, two(bytes, 2)?);
    if bytes.get(4) != Some(&b' ') || Date::new(2000, month, day).is_err() {
        return None;
    }
    let (time, end) = clock(bytes, 5)?;
    ends(bytes, end).then_some((Stamp::Yearless { month, day, time }, end))
}

/// A text that is a date and time and nothing else.
pub(crate) fn whole(text: &str) -> Option<Stamp> {
    date_time(text).filter(|(_, end)| *end == text.len()).map(|(stamp, _)| stamp)
}

/// A number since the epoch. How many digits stand before the point says what it counts: 9 or 10 seconds (since 1973),
/// 12 or 13 milliseconds, 15 or 16 microseconds, 18 or 19 nanoseconds.
pub(crate) fn epoch(number: &str) -> Option<Stamp> {
    if number.contains(['e', 'E']) {
        let seconds: f64 = number.parse().ok()?;
        // The same bounds as nine or ten digits.
        if !(1e8..1e10).contains(&seconds) {
            return None;
        }
        let duration = SignedDuration::try_from_secs_f64(seconds).ok()?;
        return Timestamp::from_duration(duration).ok().map(Stamp::Instant);
    }
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits_in_fraction = match whole.len() {
        9 | 10 => 0,
        12 | 13 => 3,
        15 | 16 => 6,
        18 | 19 => 9,
        _ => return None,
    };
    let mut nanos: i128 = whole.parse().ok()?;
    let mut places = digits_in_fraction;
    for digit in fraction.bytes().take(9 - digits_in_fraction) {
        nanos = nanos * 10 + i128::from(digit - b'0');
        places += 1;
    }
    for _ in places..9 {
        nanos *= 10;
    }
    Timestamp::from_nanosecond(nanos).ok().map(Stamp::Instant)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::tz::TimeZone;

    use super::{Found, Stamp, access, date_time, day_first, epoch, klog, month_first, time_of_day, weekday_first};

    /// What a found stamp says, and how long it is.
    fn show(found: Option<Found>) -> String {
        match found {
            Some((Stamp::Instant(at), end)) => format!("{at} {end}"),
            Some((Stamp::Civil(civil), end)) => format!("{civil} {end}"),
            Some((Stamp::Yearless { month, day, time }, end)) => format!("{month}/{day} {time} {end}"),
            Some((Stamp::Clock(time), end)) => format!("{time} {end}"),
            None => "none".to_owned(),
        }
    }

    #[test]
    fn a_date_and_time_is_an_instant_only_with_a_zone() {
        for (text, seen) in [
            ("2026-02-10 10:00:00 x", "2026-02-10T10:00:00 19"),
            ("2026-02-10T10:00:00Z", "2026-02-10T10:00:00Z 20"),
            ("2026-02-10T10:00:00.123456789Z", "2026-02-10T10:00:00.123456789Z 30"),
            ("2026-02-10T10:00:00.1234567891234Z", "2026-02-10T10:00:00.123456789Z 34"),
            ("2026-02-10 10:00:00,123 - x", "2026-02-10T10:00:00.123 23"),
            ("2026-02-10T10:00:00+01:00", "2026-02-10T09:00:00Z 25"),
            ("2026-02-10 10:00:00 +0100 x", "2026-02-10T09:00:00Z 25"),
            ("2026-02-10 10:00:00-05 x", "2026-02-10T15:00:00Z 22"),
            ("2026-02-10 10:00:00 -05 x", "2026-02-10T10:00:00 19"),
            ("2026-02-10 10:00:00.000 UTC [1]", "2026-02-10T10:00:00Z 27"),
            ("2026/02/10 10:00:00 x", "2026-02-10T10:00:00 19"),
            ("2026/02/10 - 10:00:00 |", "2026-02-10T10:00:00 21"),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z 20"),
            ("2026-02-30 10:00:00", "none"),
            ("2026-02-10 25:00:00", "none"),
            ("2026-02/10 10:00:00", "none"),
            ("2026-02-10 10:00:001", "none"),
            ("2026-02-10 10:00:00x", "none"),
            ("2026-02-10", "none"),
            ("", "none"),
        ] {
            assert_eq!(show(date_time(text)), seen, "{text}");
        }
    }

    #[test]
    fn other_programs_write_other_stamps() {
        assert_eq!(show(time_of_day("10:00:00 | x")), "10:00:00 8");
        assert_eq!(show(time_of_day("10:00:00am")), "none");
        assert_eq!(show(access("10/Feb/2026:10:00:00 +0000]")), "2026-02-10T10:00:00Z 26");
        assert_eq!(show(access("10/Feb/2026 10:00:00]")), "2026-02-10T10:00:00 20");
        assert_eq!(show(day_first("10 Feb 2026 10:00:00.007 *")), "2026-02-10T10:00:00.007 24");
        assert_eq!(show(month_first("Feb  1 10:00:00 host")), "2/1 10:00:00 15");
        assert_eq!(show(month_first("Feb 29 10:00:00 host")), "2/29 10:00:00 15");
        assert_eq!(show(month_first("Feb 30 10:00:00 host")), "none");
        assert_eq!(show(weekday_first("Tue Feb 10 10:00:00.5 2026] x")), "2026-02-10T10:00:00.5 26");
        assert_eq!(show(klog("0210 10:00:00.123456    1 f.go:1] x")), "2/10 10:00:00.123456 20");
        assert_eq!(show(klog("9910 10:00:00.123456")), "none");
    }

    #[test]
    fn the_length_of_a_number_says_what_it_counts() {
        for (number, seen) in [
            ("1770717600", Some("2026-02-10T10:00:00Z")),
            ("1770717600.25", Some("2026-02-10T10:00:00.25Z")),
            ("1770717600250", Some("2026-02-10T10:00:00.25Z")),
            ("1770717600250.5", Some("2026-02-10T10:00:00.2505Z")),
            ("1770717600250000", Some("2026-02-10T10:00:00.25Z")),
            ("1770717600250000000", Some("2026-02-10T10:00:00.25Z")),
            ("1.7707176e9", Some("2026-02-10T10:00:00Z")),
            ("17", None),
            ("-1770717600", None),
            ("1e400", None),
            ("", None),
        ] {
            let stamp = seen.map(|at| Stamp::Instant(at.parse().unwrap()));
            assert_eq!(epoch(number), stamp, "{number}");
        }
    }

    #[test]
    fn what_a_stamp_leaves_open_is_resolved_close_to_a_given_time() {
        let near: Timestamp = "2026-01-01T00:30:00Z".parse().unwrap();
        for (found, at) in [
            (month_first("Dec 31 23:59:00"), "2025-12-31T23:59:00Z"),
            (time_of_day("23:59:00"), "2025-12-31T23:59:00Z"),
            (time_of_day("00:29:00"), "2026-01-01T00:29:00Z"),
            (date_time("2020-01-01 00:00:00"), "2020-01-01T00:00:00Z"),
            (date_time("2020-01-01 00:00:00+01"), "2019-12-31T23:00:00Z"),
        ] {
            let (stamp, _) = found.unwrap();
            assert_eq!(stamp.resolve(&TimeZone::UTC, near), Some(at.parse().unwrap()));
        }
    }
}
