//! .NET's console logger: `info: Category[14]`, and the message on the next line.

use std::borrow::Cow;

use crate::signature::envelope::level::Level;
use crate::signature::envelope::line::{Format, Line};
use crate::signature::envelope::logger::is_name;

/// Reads a head line. The message is the number's place until [`crate::signature::envelope::Folder`] has seen the next line.
pub(crate) fn parse(text: &str) -> Option<Line<'_>> {
    let (word, rest) = text.split_at_checked(4)?;
    let level = match word {
        "trce" => Level::Trace,
        "dbug" => Level::Debug,
        "info" => Level::Info,
        "warn" => Level::Warn,
        "fail" => Level::Error,
        "crit" => Level::Fatal,
        _ => return None,
    };
    let place = rest.strip_prefix(": ")?.trim_end();
    let (category, number) = place.strip_suffix(']')?.split_once('[')?;
    if !is_name(category) || number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut line = Line::of(Format::Dotnet, place);
    line.level = Some(level);
    line.logger = Some(Cow::Borrowed(category));
    line.put("event", number);
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_category_with_a_number_is_a_head_line() {
        let line = parse("info: Microsoft.Hosting.Lifetime[14]").unwrap();
        assert_eq!((line.logger.as_deref(), line.field("event")), (Some("Microsoft.Hosting.Lifetime"), Some("14")));
        for text in ["info: it works", "info: a[b]", "info", "information: a[1]", "üü: a[1]"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
