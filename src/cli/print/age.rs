//! Ages, rounded as kubectl rounds them.

use crate::api::Time;

/// The time from `then` to `now`, short enough for a column: the rules of Kubernetes' `duration.HumanDuration`.
#[must_use]
pub fn age(then: Time, now: Time) -> String {
    human(now.as_second() - then.as_second())
}

/// A time as it is stored, as an age; `<unknown>` when it cannot be read.
#[must_use]
pub fn age_of(text: &str, now: Time) -> String {
    text.parse().map_or_else(|_| "<unknown>".to_owned(), |then| age(then, now))
}

fn human(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    const YEAR: i64 = 365 * DAY;
    let two = |large: i64, big: char, small: i64, little: char| match small {
        0 => format!("{large}{big}"),
        _ => format!("{large}{big}{small}{little}"),
    };
    match seconds {
        // Clocks of two machines differ by a second; more is worth seeing.
        i64::MIN..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        s if s < 2 * MINUTE => format!("{s}s"),
        s if s < 10 * MINUTE => two(s / MINUTE, 'm', s % MINUTE, 's'),
        s if s < 3 * HOUR => format!("{}m", s / MINUTE),
        s if s < 8 * HOUR => two(s / HOUR, 'h', s / MINUTE % 60, 'm'),
        s if s < 2 * DAY => format!("{}h", s / HOUR),
        s if s < 8 * DAY => two(s / DAY, 'd', s / HOUR % 24, 'h'),
        s if s < 2 * YEAR => format!("{}d", s / DAY),
        s if s < 8 * YEAR => two(s / YEAR, 'y', s / DAY % 365, 'd'),
        s => format!("{}y", s / YEAR),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bound_is_kubectls() {
        const H: i64 = 3600;
        const D: i64 = 24 * H;
        for (seconds, expected) in [
            (-2, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (121, "2m1s"),
            (599, "9m59s"),
            (600, "10m"),
            (3 * H - 1, "179m"),
            (3 * H, "3h"),
            (3 * H + 60, "3h1m"),
            (8 * H - 1, "7h59m"),
            (8 * H, "8h"),
            (2 * D - 1, "47h"),
            (2 * D, "2d"),
            (2 * D + H, "2d1h"),
            (8 * D - 1, "7d23h"),
            (8 * D, "8d"),
            (730 * D - 1, "729d"),
            (730 * D, "2y"),
            (731 * D, "2y1d"),
            (2920 * D, "8y"),
        ] {
            assert_eq!(human(seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn a_time_that_cannot_be_read_is_unknown() {
        assert_eq!(age_of("yesterday", Time::UNIX_EPOCH), "<unknown>");
    }
}
