//! Values that are known to be secret, such as those of a stack's own environment, in all forms that they may take.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use aho_corasick::AhoCorasick;

use super::harmless::{is_chance, is_path, is_reference};
use super::names::{Strength, is_secret_key, strength};
use super::{Lines, REDACTED, settle, spans};

/// The shortest value that is taken for a secret: shorter ones are parts of ordinary words, and taking them out would make
/// every text unreadable without protecting what can be guessed anyway.
pub const LITERAL_LEAST: usize = 6;

/// Values that are so common in harmless text that taking them out would destroy it. Whoever has one of these for a password
/// has none.
const COMMON: &[&str] = &[
    "true",
    "false",
    "redis",
    "postgres",
    "postgresql",
    "mysql",
    "mariadb",
    "mongodb",
    "rabbitmq",
    "localhost",
    "password",
    "passwd",
    "secret",
    "secrets",
    "default",
    "disable",
    "disabled",
    "enable",
    "enabled",
    "require",
    "required",
    "optional",
    "production",
    "development",
    "staging",
    "testing",
    "public",
    "private",
    "server",
    "client",
    "service",
    "worker",
    "docker",
    "compose",
    "container",
    "network",
    "volume",
    "database",
    "username",
    "administrator",
    "string",
    "number",
    "object",
    "redacted",
    "undefined",
    "latest",
    "stable",
    "strict",
    "unknown",
    "verbose",
    "warning",
    "always",
    "internal",
    "system",
    "master",
    "replica",
    "primary",
    "bearer",
    "basic",
    "digest",
    "token",
    "access",
    "refresh",
    "session",
    "cookie",
    "header",
    "ubuntu",
    "debian",
    "alpine",
    "python",
    "nginx",
    "grafana",
    "prometheus",
    "elastic",
    "kibana",
    "vault",
    "consul",
    "traefik",
    "random",
    "sha256",
    "sha512",
    "hs256",
    "rs256",
    "aes256",
    "bcrypt",
    "argon2",
    "sqlite",
    "utf-8",
    "us-east-1",
    "eu-west-1",
];

/// Takes out the secrets that [`super::redact`] recognises, and values that are known to be secret wherever they stand: as they
/// are, percent-encoded, in base64, or escaped in a JSON string or a shell word.
#[derive(Debug, Default)]
pub struct Redactor {
    /// None when there is no value to look for.
    literals: Option<AhoCorasick>,
}

impl Redactor {
    /// A redactor that knows these values. It ignores values that are shorter than [`LITERAL_LEAST`] bytes, common words,
    /// numbers of less than eight digits, booleans, paths, names and addresses of hosts, references to variables, and parts of
    /// the placeholder: all of these stand in harmless text.
    #[must_use]
    pub fn new(literals: impl IntoIterator<Item = String>) -> Self {
        let forms: BTreeSet<String> =
            literals.into_iter().filter(|value| !is_common(value)).flat_map(|value| forms(&value)).collect();
        if forms.is_empty() {
            return Self::default();
        }
        // Fails only beyond four billion bytes of values, which no environment can hold.
        Self { literals: AhoCorasick::new(forms).ok() }
    }

    /// The text without the known values and without what [`super::redact`] takes out; the very same text when there is none of
    /// either.
    #[must_use]
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        settle(text, Lines::Lost, |text| self.spans(text))
    }

    /// Where either are.
    pub(super) fn spans(&self, text: &str) -> Vec<Range<usize>> {
        let mut found = spans(text);
        if let Some(literals) = &self.literals {
            let known = literals.find_overlapping_iter(text).map(|m| m.start()..m.end());
            found.extend(known.map(|span| base64_end(text, span)));
        }
        found
    }
}

/// The span with the padding that base64 ends with.
fn base64_end(text: &str, span: Range<usize>) -> Range<usize> {
    let padding = text[span.end..].bytes().take(2).take_while(|b| *b == b'=').count();
    let encoded = text[span.clone()].bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_'));
    span.start..span.end + if encoded { padding } else { 0 }
}

/// Whether the value stands in harmless text so often that it cannot be taken out.
fn is_common(value: &str) -> bool {
    let trimmed = value.trim();
    let lower = trimmed.to_ascii_lowercase();
    let number = trimmed.len() < 8 && trimmed.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+'));
    trimmed.len() < LITERAL_LEAST
        || number
        || COMMON.contains(&lower.as_str())
        || REDACTED.contains(trimmed)
        || trimmed.contains(REDACTED)
        || is_path(trimmed)
        || is_reference(trimmed)
        || is_host(trimmed)
}

/// `db.internal:5432`, `10.0.0.1`, `redis:6379`: labels of lower-case letters, digits and dashes, and a port perhaps.
fn is_host(value: &str) -> bool {
    let (name, port) = value.rsplit_once(':').unwrap_or((value, ""));
    let label = |l: &str| {
        !l.is_empty() && l.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') && !is_chance(l)
    };
    let labels: Vec<&str> = name.split('.').collect();
    let ported = !port.is_empty() && port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit());
    let numbers = labels.len() == 4 && labels.iter().all(|l| l.len() <= 3 && l.bytes().all(|b| b.is_ascii_digit()));
    let named = labels.last().is_some_and(|l| l.len() >= 2 && l.bytes().all(|b| b.is_ascii_lowercase()));
    (port.is_empty() || ported)
        && labels.iter().all(|l| label(l))
        && (numbers || (named && labels.len() > 1) || (ported && labels.len() == 1 && named))
}

/// The forms that a value takes in texts.
fn forms(value: &str) -> Vec<String> {
    let mut forms = vec![value.to_owned()];
    for keep in ["-_.~", "-_.!~*'()", "-_.~/", "-_.~!$&'()*+,;=:@", "-_.*"] {
        let upper = percent(value, keep);
        forms.push(percent_lower(&upper));
        forms.push(upper.replace("%20", "+"));
        // In an address within an address.
        forms.push(upper.replace('%', "%25"));
        forms.push(upper);
    }
    let once = json(value, false, false);
    forms.push(json(&once, false, false));
    forms.push(once);
    for (ascii, web) in [(true, false), (false, true), (true, true)] {
        forms.push(json(value, ascii, web));
    }
    forms.push(json(value, false, false).replace('/', "\\/"));
    forms.push(value.replace('\'', "'\\''"));
    forms.push(value.replace('\'', "''"));
    forms.push(
        value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;"),
    );
    forms.push(value.replace('$', "$$"));
    // `echo x | base64` encodes the line break too.
    for plain in [value.to_owned(), format!("{value}\n")] {
        let standard = base64(plain.as_bytes());
        forms.push(standard.replace('+', "-").replace('/', "_"));
        forms.push(standard);
    }
    // Forms that are too short cannot be told from other text, and a part of the placeholder must stay one.
    forms.retain(|form| form.len() >= LITERAL_LEAST && !REDACTED.contains(form.as_str()));
    forms
}

/// Percent-encoded but for letters, digits and what is kept.
fn percent(value: &str, keep: &str) -> String {
    let mut out = String::new();
    for b in value.bytes() {
        if b.is_ascii_alphanumeric() || keep.as_bytes().contains(&b) {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

/// The same with the digits of what is encoded in lower case.
fn percent_lower(encoded: &str) -> String {
    let mut parts = encoded.split('%');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push('%');
        out.push_str(&part[..2].to_ascii_lowercase());
        out.push_str(&part[2..]);
    }
    out
}

/// Escaped as in a JSON string; with `ascii` nothing but ASCII is left, with `web` no character of HTML.
fn json(value: &str, ascii: bool, web: bool) -> String {
    let mut out = String::new();
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || (ascii && !c.is_ascii()) || (web && matches!(c, '<' | '>' | '&')) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => out.push(c),
        }
    }
    out
}

/// Base64 without padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_usize, |bits, b| bits << 8 | usize::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..=chunk.len() {
            out.push(char::from(LETTERS[bits >> (18 - 6 * i) & 63]));
        }
    }
    out
}

/// The secret values of an environment, for [`Redactor::new`]: those whose names look secret, and in every other value what
/// [`super::redact`] would take out, such as the password in `DATABASE_URL=postgres://u:pw@h/db`; that one as well without its
/// percent-encoding, which is how the database knows it.
#[must_use]
pub fn secret_values<'a>(env: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let mut values = BTreeSet::new();
    for (key, value) in env {
        let named =
            is_secret_key(key) || strength(key) == Strength::Odd || (strength(key) == Strength::Chance && is_chance(value));
        if named && !value.is_empty() {
            values.insert(value.to_owned());
        }
        for span in spans(value) {
            let inner = &value[span];
            values.insert(inner.to_owned());
            values.insert(decoded(inner));
        }
    }
    values.remove("");
    values.into_iter().collect()
}

/// The value without its percent-encoding; as it is where that is not valid.
fn decoded(value: &str) -> String {
    let bytes = value.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let code =
            (bytes[i] == b'%').then(|| value.get(i + 1..i + 3)).flatten().and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(code.unwrap_or(bytes[i]));
        i += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8(out).unwrap_or_else(|_| value.to_owned())
}
