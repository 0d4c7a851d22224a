//! Whether a line is the account of a request, and nothing else.

use crate::signature::envelope::{Format, Line};

/// Whether a line is one of an access log: `GET /path 200`, in whatever envelope. Its text is then for the client to choose.
pub(crate) fn is_access(line: &Line<'_>) -> bool {
    let Some(status) = line.status else { return false };
    // Inside a stamp or a JSON object an access line keeps the outer format. The message then ends with the status.
    line.format == Format::Access || ends_with(&line.message, status)
}

/// Whether the last word of a text is this number.
fn ends_with(text: &str, number: u16) -> bool {
    text.rsplit_once(' ').is_some_and(|(_, last)| last.parse() == Ok(number))
}

#[cfg(test)]
mod tests {
    use super::is_access;
    use crate::signature::envelope::parse;

    #[test]
    fn an_access_line_is_one_in_any_envelope() {
        for (text, expected) in [
            (r#"INFO:     10.0.0.1:5 - "GET / HTTP/1.1" 200 OK"#, true),
            (r#"2026-02-10 10:00:00 [INFO] uvicorn.access: 10.0.0.1:5 - "GET / HTTP/1.1" 404"#, true),
            (r#"{"level":"error","msg":"cannot write the audit","status_code":200}"#, false),
            ("GET / 200", false),
        ] {
            assert_eq!(is_access(&parse(text)), expected, "{text}");
        }
    }
}
