//! Takes secrets out of a text, whatever form they have there.
//!
//! Known forms: values of secret-looking keys in JSON, YAML, env files, flags, headers and query strings; `Bearer` and `Basic`
//! credentials; the user part of URLs; PEM blocks; tokens that announce themselves by their prefix. It works on the tail of an
//! output as well, where a form may have lost its end. When in doubt it takes out: a word too many costs less than a secret.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

/// What stands in the place of a secret.
pub const REDACTED: &str = "[redacted]";

/// The text with every secret that was recognised replaced by [`REDACTED`]; the very same text when there is none. Redacting
/// twice is redacting once.
#[must_use]
pub fn redact(text: &str) -> Cow<'_, str> {
    let mut spans = Vec::new();
    for (pattern, group) in PATTERNS.iter() {
        spans.extend(pattern.captures_iter(text).filter_map(|c| c.get(*group)).map(|m| m.range()));
    }
    schemes(text, &mut spans);
    keys(text, &mut spans);
    spans.retain(|span| !is_harmless(&text[span.clone()]));
    replace(text, spans)
}

/// Patterns that need no second thought, and the group that holds the secret.
static PATTERNS: LazyLock<Vec<(Regex, usize)>> = LazyLock::new(|| {
    [
        // A PEM block, whole, or without its end, or without its beginning.
        (r"(?s)-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\z)", 0),
        (r"\A[A-Za-z0-9+/=\\\s]*-----END [A-Z0-9 ]+-----", 0),
        // scheme://user:password@host, scheme://:password@host, and a token alone before the @ of a web address.
        (r#"(?i)\b[a-z][a-z0-9+.-]*://[^\s/?#"'<>@:]*:([^\s/?#"'<>]+)@"#, 1),
        (r#"(?i)\b[a-z][a-z0-9+.-]*://:([^\s"'<>]+)@"#, 1),
        (r#"(?i)\bhttps?://([^\s/?#"'<>@:]+)@"#, 1),
        // Tokens of well-known services, and JSON web tokens.
        (r"\b(?:gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|xox[abeprs]-[\w-]{10,})", 0),
        (r"\b(?:A(?:KI|SI)A[A-Z0-9]{16}|sk-[\w-]{20,}|AIza[\w-]{30,})\b", 0),
        (r"\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?", 0),
    ]
    .map(|(pattern, group)| (compile(pattern), group))
    .into()
});

/// A word of an authentication scheme and what follows it.
static SCHEME: LazyLock<Regex> = LazyLock::new(|| compile(r"(?i)\b(?:bearer|basic)[ \t]+([\w.~+/=-]{6,})"));

/// A key and what parts it from its value: `key=`, `"key": `, `'key' => `, `\"key\":`, `key := `.
static KEY: LazyLock<Regex> = LazyLock::new(|| compile(r#"([A-Za-z][\w.-]*)(\\*["']?\]?[ \t]*(?::=|=>|=|:)[ \t]*)"#));

/// A flag whose value is the next word, or the next string of a list.
static FLAG: LazyLock<Regex> =
    LazyLock::new(|| compile(r#"(?:^|[^\w-])--?([A-Za-z][\w-]*)(?:\\*["'][ \t]*,[ \t]*|[ \t]+)"#));

fn compile(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a pattern of this file, which a test compiles")
}

/// Endings of a word that make the value of its key a secret.
const SECRET_WORDS: [&str; 14] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "secret",
    "secrets",
    "token",
    "apikey",
    "credential",
    "credentials",
    "authorization",
    "cookie",
    "privatekey",
];

/// Words before `key` that make it a secret.
const KEY_WORDS: [&str; 10] =
    ["api", "private", "access", "secret", "auth", "encryption", "signing", "account", "shared", "master"];

/// Last words of a key that say that the value is about a secret, and none.
const ABOUT: [&str; 18] = [
    "file", "path", "dir", "count", "length", "len", "size", "name", "type", "ttl", "expiry", "expires", "policy", "limit",
    "version", "format", "enabled", "required",
];

fn is_secret_key(key: &str) -> bool {
    if matches!(key, "PWD" | "OLDPWD") {
        return false;
    }
    let words = words(key);
    let Some(last) = words.last() else { return false };
    if ABOUT.contains(&last.as_str()) {
        return false;
    }
    let secret = |word: &String| SECRET_WORDS.iter().any(|s| word.ends_with(s));
    let compound = |word: &&str| words.len() > 1 && words.iter().any(|w| w == word);
    words.iter().any(secret)
        || ["pass", "pw"].iter().any(compound)
        || words.windows(2).any(|pair| pair[1] == "key" && KEY_WORDS.contains(&pair[0].as_str()))
}

/// `apiKey`, `api_key`, `API-KEY` are the words api, key.
fn words(key: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower = false;
    for c in key.chars() {
        if !c.is_ascii_alphanumeric() || (lower && c.is_ascii_uppercase()) {
            words.push(String::new());
        }
        lower = c.is_ascii_lowercase();
        if let Some(word) = words.last_mut()
            && c.is_ascii_alphanumeric()
        {
            word.push(c.to_ascii_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// `Bearer` and `Basic` outside of a header, where the word after them looks like no word.
fn schemes(text: &str, spans: &mut Vec<Range<usize>>) {
    for value in SCHEME.captures_iter(text).filter_map(|c| c.get(1)) {
        let chars = || value.as_str().chars();
        let mixed = chars().any(|c| c.is_ascii_lowercase()) && chars().skip(1).any(|c| c.is_ascii_uppercase());
        let odd = chars().any(|c| c.is_ascii_digit() || matches!(c, '_' | '=' | '+' | '/' | '~'));
        if mixed || odd || value.len() >= 20 {
            spans.push(value.range());
        }
    }
}

/// The values of secret-looking keys and flags.
fn keys(text: &str, spans: &mut Vec<Range<usize>>) {
    for found in KEY.captures_iter(text) {
        let (Some(whole), Some(key), Some(parting)) = (found.get(0), found.get(1), found.get(2)) else { continue };
        if is_secret_key(key.as_str()) {
            let line = text[..key.start()].rfind('\n').map_or(0, |i| i + 1);
            let before = text[line..key.start()].trim_start_matches("- ").trim();
            let header = words(key.as_str()).iter().any(|w| matches!(w.as_str(), "authorization" | "cookie"));
            let own_line = before.is_empty() && parting.as_str().trim_matches(['"', '\'']).trim() == ":";
            spans.push(value(text, whole.end(), header || own_line));
        }
    }
    for found in FLAG.captures_iter(text) {
        let (Some(whole), Some(flag)) = (found.get(0), found.get(1)) else { continue };
        if is_secret_key(flag.as_str()) && !text[whole.end()..].starts_with('-') {
            spans.push(value(text, whole.end(), false));
        }
    }
}

/// The value that begins at `start`: a string in quotes, which may be escaped, or a word, or with `whole_line` the line.
fn value(text: &str, start: usize, whole_line: bool) -> Range<usize> {
    let rest = &text[start..];
    let escapes = rest.len() - rest.trim_start_matches('\\').len();
    if let Some(quote @ ('"' | '\'')) = rest[escapes..].chars().next() {
        let inside = start + escapes + 1;
        return inside..closing(text, inside, escapes, quote);
    }
    let line = rest.find('\n').unwrap_or(rest.len());
    if whole_line {
        let block = rest[..line].trim_end().trim_end_matches(['-', '+']);
        if matches!(block, "|" | ">") {
            return start..block_end(text, start);
        }
        // A header in a quoted argument ends with the quote.
        let end = rest[..line].find(['"', '\'']).unwrap_or(line);
        return start..start + rest[..end].trim_end().len();
    }
    let mut end = line;
    // A reference to a variable ends with its brace, not before it.
    let inner = rest[..line].find('}').filter(|_| rest.starts_with("${"));
    for (i, c) in rest[..line].char_indices().filter(|(i, _)| Some(*i) != inner) {
        let stops = match c {
            '&' | '"' | '\'' | '`' | '<' | '>' => true,
            ',' | ';' | ')' | ']' | '}' => stops_here(&rest[i + 1..line]),
            _ => c.is_whitespace(),
        };
        // The placeholder itself ends with a bracket.
        if stops && !rest[..=i].ends_with(REDACTED) {
            end = i;
            break;
        }
    }
    // An escaped quote ends it before its backslashes.
    start..start + rest[..end].trim_end_matches('\\').len()
}

/// Whether punctuation before `rest` parts values and is no part of one.
fn stops_here(rest: &str) -> bool {
    let rest = rest.trim_start_matches([',', ';', ')', ']', '}']);
    let key = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | ' '));
    rest.chars().next().is_none_or(|c| c.is_whitespace() || matches!(c, '"' | '\'' | '\\'))
        || (key.len() < rest.len() && key.starts_with(['=', ':']))
}

/// The end of a quoted string whose quotes are escaped `escapes` times; the end of the line when there is no such quote.
fn closing(text: &str, inside: usize, escapes: usize, quote: char) -> usize {
    let mut backslashes = 0;
    for (i, c) in text[inside..].char_indices() {
        match c {
            '\\' => backslashes += 1,
            c if c == quote && (backslashes == escapes || (quote == '\'' && escapes == 0)) => {
                return inside + i - escapes.min(backslashes);
            }
            // In a plain string an even number of backslashes escapes itself only.
            c if c == quote && escapes == 0 && backslashes % 2 == 0 => return inside + i,
            _ => backslashes = 0,
        }
    }
    text[inside..].find('\n').map_or(text.len(), |i| inside + i)
}

/// The end of a YAML block scalar: the next line that is indented no deeper than the one at `start`.
fn block_end(text: &str, start: usize) -> usize {
    let indent = |line: &str| line.len() - line.trim_start_matches([' ', '-']).len();
    let line = text[..start].rfind('\n').map_or(0, |i| i + 1);
    let own = indent(&text[line..start]);
    let mut end = start;
    for (i, line) in text[start..].split_inclusive('\n').enumerate() {
        if i > 0 && !line.trim().is_empty() && indent(line) <= own {
            break;
        }
        end += line.len();
    }
    start + text[start..end].trim_end().len()
}

/// Nothing, a word that is no secret, a reference to a variable, or what was taken out already.
fn is_harmless(value: &str) -> bool {
    let value = value.trim();
    let variable = value.strip_prefix("${").and_then(|v| v.strip_suffix('}'));
    matches!(value.to_ascii_lowercase().as_str(), "" | "null" | "none" | "nil" | "true" | "false" | "~" | "***" | "{" | "[")
        || value == REDACTED
        || variable.is_some_and(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
}

/// The text with the spans replaced, those that touch each other as one.
fn replace(text: &str, mut spans: Vec<Range<usize>>) -> Cow<'_, str> {
    if spans.is_empty() {
        return Cow::Borrowed(text);
    }
    spans.sort_by_key(|span| (span.start, span.end));
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for span in spans {
        if span.end <= done {
            continue;
        }
        if span.start >= done {
            out.push_str(&text[done..span.start]);
            out.push_str(REDACTED);
        }
        done = span.end;
    }
    out.push_str(&text[done..]);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In each of these `S3cret` (or what is built of it) is the secret, and nothing else is.
    const POSITIVE: &[(&str, &str)] = &[
        ("PASSWORD=S3cret", "PASSWORD=[redacted]"),
        ("export PGPASSWORD='S3 cret' X=1", "export PGPASSWORD='[redacted]' X=1"),
        ("MYSQL_ROOT_PASSWORD=\"a\\\"S3cret\" USER=x", "MYSQL_ROOT_PASSWORD=\"[redacted]\" USER=x"),
        ("env redis-pass=S3cret done", "env redis-pass=[redacted] done"),
        (r#"{"password":"S3cret","user":"bob"}"#, r#"{"password":"[redacted]","user":"bob"}"#),
        (r#"{"apiKey" : "S3cret", "n": 1}"#, r#"{"apiKey" : "[redacted]", "n": 1}"#),
        (r#"{"db_passwd":12345,"n":1}"#, r#"{"db_passwd":[redacted],"n":1}"#),
        (r#"msg="{\"token\":\"S3cret\",\"a\":1}""#, r#"msg="{\"token\":\"[redacted]\",\"a\":1}""#),
        ("{'client_secret': 'S3cret', 'a': 1}", "{'client_secret': '[redacted]', 'a': 1}"),
        ("map[password:S3cret user:x]", "map[password:[redacted] user:x]"),
        ("  password: my S3cret phrase\n  user: x", "  password: [redacted]\n  user: x"),
        ("- token: S3cret\n- a", "- token: [redacted]\n- a"),
        ("secret: |\n  S3cret\n  more\nuser: x", "secret: [redacted]\nuser: x"),
        ("GET /x?access_token=S3cret&page=2 HTTP/1.1", "GET /x?access_token=[redacted]&page=2 HTTP/1.1"),
        ("Server=db;Pwd=S3cret;Database=x", "Server=db;Pwd=[redacted];Database=x"),
        ("run --token S3cret --verbose", "run --token [redacted] --verbose"),
        ("run --db-password=S3cret -v", "run --db-password=[redacted] -v"),
        ("run --api-key 'S3 cret' -v", "run --api-key '[redacted]' -v"),
        (r#"["run","--token","S3cret","-v"]"#, r#"["run","--token","[redacted]","-v"]"#),
        (r#"["run", "--token", "S3cret", "-v"]"#, r#"["run", "--token", "[redacted]", "-v"]"#),
        ("Authorization: Bearer S3cret\nHost: x", "Authorization: [redacted]\nHost: x"),
        ("curl -H 'Authorization: Basic dTpw' http://x", "curl -H 'Authorization: [redacted]' http://x"),
        ("X-Api-Key: S3cret\r\nHost: x", "X-Api-Key: [redacted]\r\nHost: x"),
        ("Set-Cookie: id=S3cret; Path=/\nHost: x", "Set-Cookie: [redacted]\nHost: x"),
        ("sent Bearer abc.def-123 to it", "sent Bearer [redacted] to it"),
        ("tried Basic dXNlcjpwYXNz twice", "tried Basic [redacted] twice"),
        ("redis://:S3cret@host:6379/0", "redis://:[redacted]@host:6379/0"),
        ("redis://:S3/cr@et@host:6379/0", "redis://:[redacted]@host:6379/0"),
        ("postgres://bob:S3cret@db/x?y=1", "postgres://bob:[redacted]@db/x?y=1"),
        ("amqps://bob:S3@cret@mq:5671", "amqps://bob:[redacted]@mq:5671"),
        ("clone https://S3cretTok@example.org/r.git", "clone https://[redacted]@example.org/r.git"),
        ("a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc=\n-----END RSA PRIVATE KEY-----\nb", "a\n[redacted]\nb"),
        ("a -----BEGIN PRIVATE KEY-----\nMIIE\nabc", "a [redacted]"),
        ("MIIE\nabc=\n-----END PRIVATE KEY-----\nb", "[redacted]\nb"),
        ("using ghp_0123456789abcdefABCDEF now", "using [redacted] now"),
        ("id AKIAIOSFODNN7EXAMPLE ok", "id [redacted] ok"),
        ("jwt eyJhbGciOiJI.eyJzdWIiOiIx.abc_def ok", "jwt [redacted] ok"),
        ("password = S3cret", "password = [redacted]"),
        ("'pass_phrase' passphrase=>S3cret x", "'pass_phrase' passphrase=>[redacted] x"),
        ("PASSWORD=${X:-S3cret} y", "PASSWORD=[redacted] y"),
        (r#"{"password":"S3cret without an end"#, r#"{"password":"[redacted]"#),
        (r#"{"secret":"ends\\","a":"b"}"#, r#"{"secret":"[redacted]","a":"b"}"#),
    ];

    const NEGATIVE: &[&str] = &[
        "",
        "Container wicap-ui-1  Started",
        "2026-02-10 10:00:00 [ERROR] wicap.mod: SQL connection failed: timeout expired",
        "max_tokens=100 tokenizer: bpe token_count=3",
        "password_file: /run/secrets/db secret_name=db TOKEN_TTL=30s",
        "PWD=/srv/wicap OLDPWD=/",
        "author: Bob, secretary: Ann",
        "http://host:8080/a@b?c=d redis://host:6379/0 ssh://git@host/x",
        "mail bob@example.org",
        "basic authentication is on, bearer of bad news",
        "pass: 3, fail: 0, key: value, primary_key=7, sort-key: a",
        r#"{"password":"","token":null,"secret":true}"#,
        "password: ${DB_PASSWORD}",
        "PASSWORD=[redacted] --token [redacted]",
        "docker compose --project-name wicap --file /srv/wicap/compose.yaml up --detach ui",
        "an invalid api-token given, re-token now",
        "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
    ];

    #[test]
    fn secrets_are_taken_out_and_nothing_else() {
        let mut wrong = Vec::new();
        for (text, expected) in POSITIVE {
            let once = redact(text);
            let twice = redact(&once);
            if once != *expected || twice != *expected {
                wrong.push(format!("{text}\n  expected {expected}\n  once     {once}\n  twice    {twice}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn harmless_text_is_borrowed_as_it_is() {
        for text in NEGATIVE {
            assert!(matches!(redact(text), Cow::Borrowed(same) if same == *text), "{:?}", redact(text));
        }
    }

    #[test]
    fn no_text_makes_it_stumble() {
        for text in [
            "password=",
            "password:\"",
            "password='\\",
            "--token ",
            "\\\"token\\\":\\\"",
            "token=ü",
            "secret: |",
            "ü: |\n",
            "token=\\",
        ] {
            let _ = redact(text);
        }
        let mut long = String::new();
        for (text, _) in POSITIVE {
            for end in text.char_indices().map(|(i, _)| i) {
                let _ = redact(&text[..end]);
                let _ = redact(&text[end..]);
            }
            long.push_str(text);
        }
        let _ = redact(&long);
    }
}
