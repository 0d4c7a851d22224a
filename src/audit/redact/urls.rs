//! Credentials in addresses: `scheme://user:password@host`, plain and percent-encoded, and in what is like an address.

use std::ops::Range;

use super::harmless::{is_chance, is_nothing, is_reference};
use super::values::line_end;
use super::{Found, Look, before, byte, is_word, run, run_back};

/// What stands in an address.
pub(super) const LOOKS: &[(&str, Look)] = &[
    ("://", address),
    (":\\/\\/", address),
    ("%3a%2f%2f", encoded),
    ("@tcp(", go_mysql),
    ("@unix(", go_mysql),
    ("jdbc:oracle:", oracle),
    ("hooks.slack.com/", slack),
    ("/api/webhooks/", discord),
    ("webhook.office.com/webhookb2/", office),
    (":543", pgpass),
    (":6432:", pgpass),
    (":*:", pgpass),
];

/// Schemes in which a slash after the host begins a path that may hold an `@` itself.
const WEB: &[&str] =
    &["http", "https", "ws", "wss", "git", "ssh", "git+https", "git+ssh", "ftp", "ftps", "sftp", "svn", "file"];

/// The longest user and password of an address.
const USER_MOST: usize = 4096;

fn address(text: &str, at: Range<usize>, found: &mut Found) {
    let scheme = run_back(text, at.start, 32, |b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'.' | b'-'));
    if scheme == at.start {
        return;
    }
    let scheme = text[scheme..at.start].to_ascii_lowercase();
    let start = at.end;
    let stop = |b: u8| b.is_ascii_whitespace() || matches!(b, b'"' | b'<' | b'>' | b'`' | b'\x1b');
    let mut end =
        text[start..].bytes().take(USER_MOST).position(stop).map_or(text.len().min(start + USER_MOST), |i| start + i);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    // The next address of a list is another one.
    if let Some(next) = text[start..end].find("://") {
        let next = run_back(text, start + next, 32, |b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'.' | b'-'));
        end = next.max(start);
    }
    if before(text, start - at.len() - scheme.len()) == b'\'' {
        end = text[start..end].find('\'').map_or(end, |i| start + i);
    }
    let rest = &text[start..end];
    let path = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let web = WEB.contains(&scheme.as_str());
    let colon = rest.find(':').filter(|i| *i <= path);
    let at_sign = match (rest[..path].rfind('@'), colon) {
        (Some(i), _) if web => i,
        (Some(i), Some(0))
            if rest[i + 1..path].bytes().all(|b| is_word(b) || matches!(b, b'.' | b'-' | b':' | b'[' | b']' | b',')) =>
        {
            i
        }
        (_, None) if !web => return,
        (Some(i), _) if !rest[i..].contains(':') && rest[..path].len() > i + 1 => i,
        // A slash in the password: no port is before it, or there is none at all.
        (_, Some(colon)) => {
            let query = rest.find('?').unwrap_or(rest.len());
            let Some(i) = rest[..query].rfind('@').or_else(|| rest.rfind('@')) else { return };
            let digits = run(rest, colon + 1, 6, |b| b.is_ascii_digit());
            let port = digits > colon + 1 && matches!(byte(rest, digits), b'/' | b'?' | b'\n' | b',');
            if i < colon || (colon > 0 && port) || (web && colon > 0) {
                return;
            }
            i
        }
        (None, None) => return,
        (Some(i), None) => i,
    };
    let user = &rest[..at_sign];
    let span = match user.find(':') {
        Some(i) => i + 1..at_sign,
        // A token alone before the @ of a web address; a name is none.
        None if scheme.ends_with("http") || scheme.ends_with("https") => 0..at_sign,
        None => return,
    };
    let value = &rest[span.clone()];
    let name = span.start == 0
        && (value.len() < 3
            || (value.len() < 20 && value.bytes().all(|b| b.is_ascii_lowercase() || matches!(b, b'.' | b'-' | b'_'))));
    if !name && !is_nothing(value) && !is_reference(value) {
        found.push(start + span.start..start + span.end);
    }
}

/// `redis%3A%2F%2F%3Apw%40host`.
fn encoded(text: &str, at: Range<usize>, found: &mut Found) {
    let end = run(text, at.end, USER_MOST, |b| is_word(b) || matches!(b, b'%' | b'.' | b'-' | b'~' | b'+' | b'!' | b'*'));
    let rest = &text[at.end..end];
    let rest = &rest[..find(rest, "%3a%2f%2f").unwrap_or(rest.len())];
    let Some(at_sign) = find(rest, "%40") else { return };
    let host = find(rest, "%2f").unwrap_or(rest.len());
    let Some(colon) = find(&rest[..at_sign], "%3a") else { return };
    if host > at_sign || colon == 0 {
        // An encoded @ in the password is encoded once more, and hence no %40.
        found.push(at.end + colon + 3..at.end + at_sign);
    }
}

/// Where the lower-case `what` is, in any case.
fn find(text: &str, what: &str) -> Option<usize> {
    text.to_ascii_lowercase().find(what)
}

/// Go's way to name a MySQL: `user:password@tcp(host:3306)/db`.
fn go_mysql(text: &str, at: Range<usize>, found: &mut Found) {
    let start = run_back(text, at.start, 256, |b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b'`'));
    if let Some(colon) = text[start..at.start].find(':') {
        let start = start + colon + 1;
        if !is_nothing(&text[start..at.start]) && !is_reference(&text[start..at.start]) {
            found.push(start..at.start);
        }
    }
}

/// `jdbc:oracle:thin:user/password@//host`.
fn oracle(text: &str, at: Range<usize>, found: &mut Found) {
    let end = run(text, at.end, 256, |b| b.is_ascii_graphic() && !matches!(b, b'@' | b'"' | b'\''));
    if byte(text, end) == b'@'
        && let Some(slash) = text[at.end..end].find('/')
    {
        found.push(at.end + slash + 1..end);
    }
}

/// A part of a path that is a secret.
fn is_part(b: u8) -> bool {
    is_word(b) || b == b'-'
}

/// `hooks.slack.com/services/T/B/x`: all after the kind.
fn slack(text: &str, at: Range<usize>, found: &mut Found) {
    let kind = run(text, at.end, 16, is_part);
    let end = run(text, kind, 200, |b| is_part(b) || b == b'/');
    let value = text[kind..end].trim_matches('/');
    if value.len() >= 12 {
        found.push(kind + 1..kind + 1 + value.len());
    }
}

/// `discord.com/api/webhooks/1234/x`: what follows the number.
fn discord(text: &str, at: Range<usize>, found: &mut Found) {
    let number = run(text, at.end, 32, |b| b.is_ascii_digit());
    let end = run(text, number + 1, 200, is_part);
    if number > at.end && byte(text, number) == b'/' && end > number + 12 {
        found.push(number + 1..end);
    }
}

/// `webhook.office.com/webhookb2/x@y/IncomingWebhook/z/…`: all of it.
fn office(text: &str, at: Range<usize>, found: &mut Found) {
    found.push(at.end..run(text, at.end, 400, |b| is_part(b) || matches!(b, b'/' | b'@')));
}

/// A line of .pgpass: `host:port:database:user:password`.
fn pgpass(text: &str, at: Range<usize>, found: &mut Found) {
    let start = run_back(text, at.start, 256, |b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b'=' | b'('));
    let end = start
        + text[start..line_end(text, start)]
            .find(|c: char| c.is_whitespace())
            .unwrap_or_else(|| line_end(text, start) - start);
    let fields: Vec<&str> = text[start..end].splitn(5, ':').collect();
    let [host, port, database, user, password] = fields[..] else { return };
    let name = |field: &str| field == "*" || (!field.is_empty() && field.bytes().all(|b| is_part(b) || b == b'.'));
    let port = port == "*" || (port.len() > 2 && port.bytes().all(|b| b.is_ascii_digit()));
    let number = |field: &str| field.bytes().all(|b| b.is_ascii_digit());
    if name(host)
        && port
        && name(database)
        && name(user)
        && !number(user)
        && !is_nothing(password)
        && !password.contains("://")
        && (!number(database) || is_chance(password))
    {
        found.push(end - password.len()..end);
    }
}
