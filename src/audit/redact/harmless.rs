//! Which values are no secrets.

use super::REDACTED;
use super::keys::Sign;
use super::names::Strength;
use super::values::Place;

/// Words that say something about a secret and are none, as the whole of a value or as the first word of it.
const SAYING: &[&str] = &[
    "null",
    "none",
    "nil",
    "true",
    "false",
    "yes",
    "no",
    "on",
    "off",
    "undefined",
    "nan",
    "empty",
    "unset",
    "set",
    "present",
    "absent",
    "expired",
    "invalid",
    "missing",
    "required",
    "rejected",
    "accepted",
    "not",
    "is",
    "was",
    "failed",
    "failure",
    "unexpected",
    "incorrect",
    "valid",
    "verified",
    "refreshed",
    "revoked",
    "unknown",
    "enabled",
    "disabled",
    "optional",
    "must",
    "cannot",
    "could",
    "should",
    "error",
    "ok",
    "too",
    "wrong",
    "unauthorized",
    "denied",
    "forbidden",
    "mismatch",
    "malformed",
    "unsupported",
    "unable",
    "default",
    "include",
    "omit",
    "same-origin",
    "redacted",
    "hidden",
    "filtered",
    "masked",
    "sensitive",
    "changed",
    "unchanged",
    "created",
    "deleted",
    "updated",
    "rotated",
    "generated",
    "loaded",
    "found",
    "no-such",
    "bad",
    "can't",
    "doesn't",
    "does",
    "has",
    "have",
    "using",
    "please",
    "expected",
    "expecting",
    "received",
    "got",
    "given",
    "provided",
    "supplied",
    "ignored",
    "skipped",
    "loading",
    "reading",
    "open",
    "read",
    "timeout",
    "the",
    "a",
    "an",
    "in",
    "at",
    "for",
    "from",
    "with",
    "and",
    "or",
    "to",
    "of",
    "as",
    "if",
    "but",
    "by",
    "pending",
    "succeeded",
    "success",
    "passed",
    "inherit",
    "write",
    "ready",
    "active",
    "inactive",
    "needs",
    "never",
    "see",
    "use",
    "this",
    "that",
    "configmap",
    "stored",
    "lookup",
    "parse",
    "parsing",
    "rotation",
    "validation",
    "verification",
    "eof",
    "decode",
    "decoding",
];

/// Types and placeholders of documentation.
const TYPES: &[&str] = &[
    "string",
    "str",
    "&str",
    "bytes",
    "int",
    "integer",
    "bool",
    "boolean",
    "text",
    "varchar",
    "option",
    "secretstr",
    "secretstring",
    "any",
    "value",
    "<nil>",
    "number",
    "object",
    "self",
    "this",
    "your",
    "self.token",
    "buffer",
];

/// Whether the value of such a key in such a place is no secret.
pub(super) fn is_harmless(value: &str, place: &Place) -> bool {
    let value = value.trim();
    if place.strength == Strength::Chance && !is_chance(value) {
        return true;
    }
    if is_nothing(value) || is_reference(value) || is_path(value) {
        return true;
    }
    let first = value.split_ascii_whitespace().next().unwrap_or(value);
    let first = first.trim_end_matches([',', '.', ';', ':', '!', '?', ')', '}', ']']).to_ascii_lowercase();
    // In code a variable is handed on: self.token = token
    if value.len() > 3 && place.name == value {
        return true;
    }
    // The name of a cookie, and no cookie.
    if place.header
        && place.sign == Sign::Equals
        && value.bytes().all(|b| b.is_ascii_lowercase() || matches!(b, b'_' | b'-'))
    {
        return true;
    }
    if first.starts_with("your") && !first.bytes().any(|b| b.is_ascii_digit()) {
        return true;
    }
    let kind = first.split('<').next().unwrap_or_default();
    if SAYING.contains(&first.as_str()) || (TYPES.contains(&kind) && place.sign != Sign::Equals) {
        return true;
    }
    if place.sign == Sign::Flag && !value.bytes().any(|b| !(b.is_ascii_uppercase() || b == b'_')) && value.len() < 16 {
        return true;
    }
    match place.strength {
        Strength::None => return true,
        Strength::Chance => return false,
        Strength::Odd if place.sign == Sign::Equals => {
            return is_number(value, 4) || is_version(value);
        }
        Strength::Odd => return !is_odd(value),
        Strength::Sure => {}
    }
    if place.sign == Sign::Word {
        return !is_odd(value) && !value.contains('"');
    }
    (!place.sure_class && is_number(value, 5)) || is_version(value) || is_call(value)
}

/// Nothing, punctuation, a mask, or what was taken out already.
pub(super) fn is_nothing(value: &str) -> bool {
    let mut chars = value.chars();
    let first = chars.next();
    value == REDACTED
        || first.is_none_or(|first| {
            matches!(first, '*' | 'x' | 'X' | '.' | '•' | '-' | '_' | '#' | '?') && chars.all(|c| c == first)
        })
        || (value.len() < 4 && !value.bytes().any(|b| b.is_ascii_alphanumeric()))
        || (value.starts_with('*') && value.ends_with('*'))
        || value.starts_with("****")
        || is_between(value, "[", "]", |c| c.is_ascii_alphabetic() || matches!(c, ' ' | '_'))
        || is_between(value, "<", ">", |c| c.is_ascii_alphabetic() || matches!(c, ' ' | '_' | '-'))
        || is_between(value, "(", ")", |c| c.is_ascii_alphabetic() || matches!(c, ' ' | '_'))
}

fn is_between(value: &str, open: &str, close: &str, inner: impl Fn(char) -> bool) -> bool {
    value.strip_prefix(open).and_then(|v| v.strip_suffix(close)).is_some_and(|v| !v.is_empty() && v.chars().all(inner))
}

/// A variable or a template that somebody else fills in.
pub(super) fn is_reference(value: &str) -> bool {
    let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    let loose = |c: char| !matches!(c, '{' | '}' | '"');
    let words = |c: char| name(c) || matches!(c, ' ' | '-' | '/');
    let shell = value.strip_prefix('$').is_some_and(|v| {
        v.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
            && v.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
            && v.len() > 2
    });
    shell
        || is_between(value, "${", "}", name)
        || is_between(value, "${{", "}}", loose)
        || is_between(value, "{{", "}}", |c| !matches!(c, '{' | '}'))
        || is_between(value, "$(", ")", words)
        || is_between(value, "${{", "}", loose)
        || is_between(value, "{", "}", |c| c.is_ascii_lowercase() || c == '_' || c == '.')
        || is_between(value, "%(", ")s", name)
        || is_between(value, "<%=", "%>", loose)
        || is_between(value, "#{", "}", |c| name(c) || matches!(c, '[' | ']' | '\''))
        || (value.starts_with("!vault") || value.starts_with("{{ ") || value.starts_with("$(") || value.starts_with("${{"))
        || value.strip_prefix("${").is_some_and(|v| v.find([':', '?', '-']).is_some_and(|i| is_unset(&v[i..])))
        || matches!(
            value,
            "%s" | "%q" | "%v" | "{}" | "{:?}" | "?" | "$1" | "$2" | "{" | "[" | "~" | "!vault" | "|" | ">" | "%d"
        )
        || [
            "arn:aws:secretsmanager:",
            "arn:aws:ssm:",
            "vault:",
            "op://",
            "file:",
            "ssm://",
            "awssm://",
            "gcp:secretmanager:",
        ]
        .iter()
        .any(|scheme| value.starts_with(scheme))
}

/// Whether what stands in `${NAME…}` after the name is a message, nothing, or a reference again.
fn is_unset(rest: &str) -> bool {
    let rest = rest.strip_prefix(':').unwrap_or(rest);
    let default = rest.strip_prefix('-').and_then(|v| v.strip_suffix('}'));
    rest.starts_with('?') || default.is_some_and(|default| is_nothing(default) || is_reference(default))
}

/// A path in a file system. Base64 may look like one, so its parts must look like names.
pub(super) fn is_path(value: &str) -> bool {
    let roots =
        ["/run/", "/etc/", "/var/", "/home/", "/usr/", "/opt/", "/srv/", "/tmp/", "/mnt/", "/data/", "/root/", "/app/"];
    let Some(rooted) = ["./", "../", "~/", "/"].iter().find_map(|p| value.strip_prefix(p)) else { return false };
    let lower = value
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'/' | b'.' | b'_' | b'-' | b':' | b'~'));
    let known = roots.iter().any(|root| value.starts_with(root));
    !rooted.is_empty()
        && rooted.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'_' | b'-' | b':'))
        && (lower || known)
        && !rooted.split('/').any(is_chance)
        && (known || rooted.bytes().filter(u8::is_ascii_digit).count() * 4 < rooted.len())
}

/// A number of at most so many digits, with a unit or a share perhaps.
fn is_number(value: &str, most: usize) -> bool {
    let value = value.trim_end_matches(['%', 's', 'm', 'h', 'd']);
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    digits > 0
        && digits <= most
        && value.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'/' | b':' | b',' | b'-' | b'+'))
}

/// `v1.2.3-alpine`, `2026-02-10`.
fn is_version(value: &str) -> bool {
    let value = value.strip_prefix('v').unwrap_or(value);
    let mut parts = value.split(['.', '-']);
    let numbers =
        parts.by_ref().take(2).filter(|p| !p.is_empty() && p.len() < 5 && p.bytes().all(|b| b.is_ascii_digit())).count();
    numbers == 2 && value.len() < 24 && parts.all(|p| p.len() < 8 && p.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// Code: `os.environ["X"]`, `getenv('X')`, `req.headers.authorization`, and what is cut off of these at a quote.
fn is_call(value: &str) -> bool {
    let value = value.trim_end_matches([';', ',']);
    let end = value.find(|c: char| !(c.is_ascii_alphabetic() || matches!(c, '_' | '.' | ':'))).unwrap_or(value.len());
    let (name, rest) = value.split_at(end);
    let named = name.len() >= 3
        && name.split('.').all(|p| !p.is_empty())
        && name.matches(':').count() == 2 * name.matches("::").count();
    let dotted = name.contains(['.', ':']) && rest.is_empty() && name.split('.').all(|p| p.len() > 1);
    let argument = rest.get(1..).unwrap_or_default().trim_start_matches(['"', '\'']);
    let cut = argument.len() + 2 == rest.len()
        && argument.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b':'));
    let called = (rest.starts_with(['(', '[']) && cut)
        || rest == "("
        || rest == "["
        || (rest.starts_with(['(', '[']) && rest.ends_with([')', ']', '(', '}']));
    named && (dotted || (called && !name.eq_ignore_ascii_case("some")))
}

/// Whether the value looks like no word.
pub(super) fn is_odd(value: &str) -> bool {
    let value = value.trim_end_matches(['.', ',', ':', ';', '!', ')']);
    let has = |is: fn(&u8) -> bool| value.as_bytes().iter().any(is);
    let letter = has(u8::is_ascii_alphabetic);
    let digit = has(u8::is_ascii_digit);
    let humps = value.as_bytes().windows(2).filter(|w| w[0].is_ascii_lowercase() && w[1].is_ascii_uppercase()).count();
    let symbol = has(|b| matches!(b, b'!' | b'#' | b'$' | b'%' | b'^' | b'&' | b'*' | b'+' | b'=' | b'~' | b'@' | b'?'));
    value.len() >= 6 && !is_version(value) && ((letter && digit) || humps > 1 || (symbol && (letter || digit)))
}

/// Whether a value looks as if drawn by chance: a long part without separators that mixes digits and letters, or the two
/// cases, with as many different characters as chance gives. Names of pods and keys of caches have short parts; a UUID and a
/// path have them too.
pub(super) fn is_chance(value: &str) -> bool {
    let value = value.trim_end_matches(['.', ',']);
    let value = value.strip_prefix("base64:").unwrap_or(value);
    let whole = value.len() >= 20 && value.bytes().all(|b| !b.is_ascii_whitespace()) && {
        let digit = value.bytes().filter(u8::is_ascii_digit).count();
        let upper = value.bytes().filter(u8::is_ascii_uppercase).count();
        let lower = value.bytes().filter(u8::is_ascii_lowercase).count();
        let symbol = value
            .bytes()
            .filter(|b| matches!(b, b'!' | b'#' | b'$' | b'%' | b'^' | b'&' | b'*' | b'=' | b'(' | b'@' | b'+'))
            .count();
        (digit > 0 && upper > 1 && lower > 2 && entropy(value) > 3.8 && !value.contains("://"))
            || (symbol > 3 && entropy(value) > 3.5)
    };
    whole
        || value.split(['-', '_', '.', ':', '/', ' ', ',', '"', '{', '}']).any(|part| {
            let digit = part.bytes().filter(u8::is_ascii_digit).count();
            let letter = part.bytes().filter(u8::is_ascii_alphabetic).count();
            let mixed = digit > 1 && letter > 1;
            let turns =
                part.as_bytes().windows(2).filter(|w| w[0].is_ascii_lowercase() && w[1].is_ascii_uppercase()).count();
            part.len() >= 16 && (mixed || turns > 3) && entropy(part) > 2.8
        })
}

/// Bits a character, by how often each character comes.
fn entropy(value: &str) -> f32 {
    let mut counts = [0_u16; 256];
    for b in value.bytes().take(512) {
        counts[usize::from(b)] += 1;
    }
    let total: f32 = counts.iter().map(|n| f32::from(*n)).sum();
    counts.iter().filter(|n| **n > 0).map(|n| f32::from(*n) / total).map(|p| -p * p.log2()).sum()
}
