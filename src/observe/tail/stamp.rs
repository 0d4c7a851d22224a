//! The stamp that Docker puts before each message: RFC 3339 with nine digits of the second, then one blank.

use jiff::Timestamp;

/// Bytes of a stamp in UTC, which is how nearly every engine writes it: `2026-01-02T03:04:05.123456789Z`.
const UTC: usize = 30;

/// Most bytes of a stamp: one with an offset instead of the `Z`, as the `local` log driver has it on a host that does not
/// keep UTC.
const LONGEST: usize = 35;

/// Bytes of it up to the whole second.
const SECOND: usize = 19;

/// Reads stamps. Keeps the last second that it read: the next stamp is most often in the same one.
#[derive(Debug, Default)]
pub(super) struct Stamps {
    text: [u8; SECOND],
    second: i64,
}

impl Stamps {
    /// The stamp that a message begins with, and how many bytes it has with its blank. None when there is none.
    pub(super) fn read(&mut self, message: &[u8]) -> Option<(Timestamp, usize)> {
        let length = message.iter().take(LONGEST + 1).position(|&b| b == b' ').unwrap_or(message.len());
        if length > LONGEST {
            return None;
        }
        // A tty's last line can end behind its stamp.
        let taken = (length + 1).min(message.len());
        let stamp = &message[..length];
        if length == UTC && stamp[..SECOND] == self.text && stamp[SECOND] == b'.' && stamp[UTC - 1] == b'Z' {
            return Some((Timestamp::new(self.second, digits(&stamp[SECOND + 1..UTC - 1])?).ok()?, taken));
        }
        let at: Timestamp = std::str::from_utf8(stamp).ok()?.parse().ok()?;
        if length == UTC && stamp[UTC - 1] == b'Z' && at >= Timestamp::UNIX_EPOCH {
            self.text.copy_from_slice(&stamp[..SECOND]);
            self.second = at.as_second();
        }
        Some((at, taken))
    }
}

fn digits(text: &[u8]) -> Option<i32> {
    text.iter().try_fold(0, |sum, b| b.is_ascii_digit().then(|| sum * 10 + i32::from(b - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_ends_at_its_blank() {
        for (message, expected) in [
            ("2026-01-02T03:04:05.123456789Z text", Some(("2026-01-02T03:04:05.123456789Z", 31))),
            ("2026-01-02T03:04:05.123456789Z  text", Some(("2026-01-02T03:04:05.123456789Z", 31))),
            ("2026-01-02T03:04:05.123456789Z ", Some(("2026-01-02T03:04:05.123456789Z", 31))),
            ("2026-01-02T03:04:05.123456789Z", Some(("2026-01-02T03:04:05.123456789Z", 30))),
            ("2026-01-02T04:04:05.123456789+01:00 x", Some(("2026-01-02T03:04:05.123456789Z", 36))),
            ("2026-01-02T03:04:05.12345678xZ x", None),
            ("2026-01-02T03:04:05.123456789Ztext", None),
            ("Error grabbing logs: unexpected EOF", None),
            ("", None),
            (" ", None),
            ("2026-01-02T03:04:05.123456789+01:00:00.00 x", None),
        ] {
            let expected = expected.map(|(at, taken)| (at.parse::<Timestamp>().unwrap(), taken));
            let mut stamps = Stamps::default();
            assert_eq!(stamps.read(message.as_bytes()), expected, "{message}");
            // Once with the second known, and once with another one.
            stamps.read(b"2026-01-02T03:04:05.000000000Z x");
            assert_eq!(stamps.read(message.as_bytes()), expected, "{message}");
            stamps.read(b"2025-12-31T23:59:59.999999999Z x");
            assert_eq!(stamps.read(message.as_bytes()), expected, "{message}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_no_stamp() {
        assert_eq!(Stamps::default().read(&[0xff; 40]), None);
        assert_eq!(Stamps::default().read(b"\xff\xfe x"), None);
    }
}
