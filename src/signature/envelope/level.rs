//! How grave a line says it is.
//!
//! Programs name levels with words or with numbers. The words are the same everywhere, the numbers are not: 20 is INFO
//! to Python and DEBUG to pino. So each scale of numbers has its own function, and the caller says which one it means.

pub use crate::api::stack::LogLevel as Level;

/// The longest word that names a level: "information".
const LONGEST_WORD: usize = 11;

impl Level {
    /// The level's name, in capitals.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Notice => "NOTICE",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        }
    }

    /// The level that a word names, in any case. Use it only where a level is bound to stand (a key, a bracket).
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        let bytes = word.as_bytes();
        if bytes.len() < 3 || bytes.len() > LONGEST_WORD {
            return None;
        }
        let mut lower = [0_u8; LONGEST_WORD];
        let lower = &mut lower[..bytes.len()];
        lower.copy_from_slice(bytes);
        lower.make_ascii_lowercase();
        Some(match &*lower {
            b"trace" | b"trce" | b"trc" | b"finest" | b"finer" => Self::Trace,
            b"debug" | b"dbug" | b"dbg" | b"fine" | b"verbose" => Self::Debug,
            b"info" | b"inf" | b"information" | b"success" | b"note" | b"log" => Self::Info,
            b"notice" => Self::Notice,
            b"warn" | b"warning" | b"wrn" => Self::Warn,
            b"error" | b"err" | b"eror" | b"severe" | b"fail" => Self::Error,
            b"fatal" | b"ftl" | b"crit" | b"critical" | b"alert" | b"emerg" | b"emergency" | b"panic" | b"dpanic" => {
                Self::Fatal
            }
            _ => return None,
        })
    }

    /// The level that a word names which stands alone at the head of a text. Only the words that hardly ever begin a
    /// sentence, and only in capitals or (when `lower` is set) in small letters: `Error` is a class, not a level.
    #[must_use]
    pub(crate) fn of_bare_word(word: &str, lower: bool) -> Option<Self> {
        Some(match word {
            "TRACE" => Self::Trace,
            "DEBUG" => Self::Debug,
            "INFO" => Self::Info,
            "NOTICE" => Self::Notice,
            "WARN" | "WARNING" => Self::Warn,
            "ERROR" | "SEVERE" => Self::Error,
            "FATAL" | "CRITICAL" => Self::Fatal,
            "trace" if lower => Self::Trace,
            "debug" if lower => Self::Debug,
            "info" if lower => Self::Info,
            "notice" if lower => Self::Notice,
            "warn" | "warning" if lower => Self::Warn,
            "error" if lower => Self::Error,
            "fatal" | "critical" | "crit" if lower => Self::Fatal,
            _ => return None,
        })
    }

    /// The level of a syslog severity, 0 (emergency) to 7 (debug).
    #[must_use]
    pub fn of_syslog(severity: u64) -> Option<Self> {
        Some(match severity {
            0..=2 => Self::Fatal,
            3 => Self::Error,
            4 => Self::Warn,
            5 => Self::Notice,
            6 => Self::Info,
            7 => Self::Debug,
            _ => return None,
        })
    }

    /// The level of a pino or bunyan number, 10 (trace) to 60 (fatal) in steps of ten.
    #[must_use]
    pub fn of_pino(number: u64) -> Option<Self> {
        Some(match number {
            10 => Self::Trace,
            20 => Self::Debug,
            30 => Self::Info,
            40 => Self::Warn,
            50 => Self::Error,
            60 => Self::Fatal,
            _ => return None,
        })
    }

    /// The level of a Python `levelno`, 10 (debug) to 50 (critical) in steps of ten.
    #[must_use]
    pub fn of_python(number: u64) -> Option<Self> {
        Some(match number {
            10 => Self::Debug,
            20 => Self::Info,
            30 => Self::Warn,
            40 => Self::Error,
            50 => Self::Fatal,
            _ => return None,
        })
    }

    /// The level of a single capital letter, as klog and `MongoDB` write it.
    #[must_use]
    pub fn of_letter(letter: u8) -> Option<Self> {
        Some(match letter {
            b'T' => Self::Trace,
            b'D' => Self::Debug,
            b'I' => Self::Info,
            b'N' => Self::Notice,
            b'W' => Self::Warn,
            b'E' => Self::Error,
            b'F' | b'C' => Self::Fatal,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Level;

    #[test]
    fn words_name_levels_in_any_case() {
        for (word, level) in [
            ("INFO", Some(Level::Info)),
            ("Information", Some(Level::Info)),
            ("warning", Some(Level::Warn)),
            ("CRITICAL", Some(Level::Fatal)),
            ("emerg", Some(Level::Fatal)),
            ("notice", Some(Level::Notice)),
            ("errors", None),
            ("", None),
            ("informational message", None),
        ] {
            assert_eq!(Level::of_word(word), level, "{word}");
        }
    }

    #[test]
    fn a_class_name_at_the_head_of_a_text_is_no_level() {
        assert_eq!(Level::of_bare_word("Error", true), None);
        assert_eq!(Level::of_bare_word("error", false), None);
        assert_eq!(Level::of_bare_word("error", true), Some(Level::Error));
    }

    #[test]
    fn the_scales_of_numbers_differ() {
        assert_eq!(Level::of_pino(20), Some(Level::Debug));
        assert_eq!(Level::of_python(20), Some(Level::Info));
        assert_eq!(Level::of_syslog(3), Some(Level::Error));
        assert_eq!(Level::of_syslog(8), None);
        assert_eq!(Level::of_pino(31), None);
    }

    #[test]
    fn levels_are_ordered_by_gravity() {
        assert!(Level::Trace < Level::Debug && Level::Warn < Level::Error && Level::Error < Level::Fatal);
    }
}
