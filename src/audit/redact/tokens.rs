//! Tokens that announce themselves by their first letters, hashes of passwords, and the schemes of authentication.

use std::ops::Range;

use super::harmless::{is_nothing, is_odd, is_reference};
use super::values::line_end;
use super::{Found, Look, before, byte, is_word, run, run_back};

/// A token that is known by its first letters.
pub(super) struct Token {
    pub(super) prefix: &'static str,
    /// Characters that it may have besides letters and digits.
    extra: &'static [u8],
    /// How many of them follow the prefix at least. Less than the service's own length, as the text may have been cut.
    least: usize,
    /// Whether words may begin so: then it must have a digit or a capital letter.
    wordy: bool,
}

const fn token(prefix: &'static str, extra: &'static [u8], least: usize) -> Token {
    Token { prefix, extra, least, wordy: false }
}

const fn wordy(prefix: &'static str, extra: &'static [u8], least: usize) -> Token {
    Token { prefix, extra, least, wordy: true }
}

/// The tokens of services, by what their documentation says of their form.
pub(super) const TOKENS: &[Token] = &[
    // Clouds: AWS, Google, DigitalOcean, Databricks, PlanetScale, Tailscale, Cloudflare.
    token("AKIA", b"", 12),
    token("ASIA", b"", 12),
    token("AIza", b"_-", 20),
    token("ya29.", b"_-.", 16),
    token("GOCSPX-", b"_-", 12),
    token("1//0", b"_-", 20),
    token("dop_v1_", b"", 12),
    token("doo_v1_", b"", 12),
    token("dor_v1_", b"", 12),
    wordy("dapi", b"-", 32),
    token("pscale_pw_", b"_-.", 12),
    token("pscale_tkn_", b"_-.", 12),
    token("tskey-", b"-", 12),
    // Code and packages.
    token("ghp_", b"_", 12),
    token("gho_", b"_", 12),
    token("ghu_", b"_", 12),
    token("ghs_", b"_", 12),
    token("ghr_", b"_", 12),
    token("github_pat_", b"_", 12),
    token("glpat-", b"_-.", 12),
    token("gldt-", b"_-.", 12),
    token("glrt-", b"_-.", 12),
    token("glcbt-", b"_-.", 12),
    token("glptt-", b"_-.", 12),
    token("glsoat-", b"_-.", 12),
    token("glagent-", b"_-.", 12),
    token("gloas-", b"_-.", 12),
    token("GR1348941", b"_-", 12),
    token("glsa_", b"_", 16),
    token("glc_eyJ", b"_-=+/", 16),
    wordy("npm_", b"", 20),
    wordy("pypi-", b"_-", 16),
    token("rubygems_", b"", 16),
    token("dckr_pat_", b"_-", 12),
    token("ATATT3", b"_-=", 16),
    token("ATCTT3", b"_-=", 16),
    token("ATBB", b"_-=", 24),
    // Secrets themselves.
    token("hvs.", b"_-", 12),
    token("hvb.", b"_-", 12),
    token("hvr.", b"_-", 12),
    token("dp.pt.", b"", 16),
    token("dp.st.", b"_.-", 16),
    token("AGE-SECRET-KEY-", b"", 16),
    token("ops_eyJ", b"_-=", 16),
    // Messages and mail.
    token("xoxb-", b"-", 10),
    token("xoxp-", b"-", 10),
    token("xoxa-", b"-", 10),
    token("xoxr-", b"-", 10),
    token("xoxs-", b"-", 10),
    token("xoxe-", b"-", 10),
    token("xoxe.", b"-.", 10),
    token("xoxc-", b"-", 10),
    token("xoxd-", b"-%", 10),
    token("xapp-", b"-", 10),
    token("SG.", b"_-.", 20),
    token("xkeysib-", b"-", 16),
    wordy("key-", b"", 32),
    // Money.
    token("sk_live_", b"_", 10),
    token("rk_live_", b"_", 10),
    token("sk_test_", b"_", 10),
    token("rk_test_", b"_", 10),
    token("whsec_", b"+/=", 16),
    token("sq0csp-", b"_-", 16),
    token("sq0atp-", b"_-", 16),
    token("shpat_", b"", 16),
    token("shpss_", b"", 16),
    token("shpca_", b"", 16),
    token("shppa_", b"", 16),
    // Models.
    wordy("sk-", b"_-", 18),
    wordy("hf_", b"", 20),
    wordy("gsk_", b"", 20),
    wordy("xai-", b"", 24),
    wordy("r8_", b"", 24),
    wordy("nvapi-", b"_-", 20),
    wordy("pplx-", b"", 20),
    // Watching and planning.
    token("sntrys_", b"_=+/", 16),
    token("sntryu_", b"", 16),
    token("NRAK-", b"", 16),
    token("lin_api_", b"", 16),
    token("figd_", b"_-", 16),
    token("PMAK-", b"-", 16),
    token("ntn_", b"", 24),
    token("sbp_", b"", 24),
    token("dt0c01.", b".", 24),
];

impl Token {
    pub(super) fn find(&self, text: &str, at: Range<usize>, found: &mut Found) {
        let end = run(text, at.end, 4096, |b| b.is_ascii_alphanumeric() || self.extra.contains(&b));
        let value = text[at.end..end].trim_end_matches(['.', '-']);
        let end = at.end + value.len();
        let bytes = value.as_bytes();
        let start = is_start(text, at.start) || self.prefix == "xoxe-";
        if &text[at.clone()] != self.prefix || bytes.len() < self.least || !start {
            return;
        }
        let digits = bytes.iter().filter(|b| b.is_ascii_digit()).count();
        let capitals = bytes.iter().filter(|b| b.is_ascii_uppercase()).count();
        let chance = digits + capitals > 2 && (digits > 0 || capitals > 3);
        let shouted = matches!(self.prefix, "AKIA" | "ASIA");
        if (self.wordy && !chance) || (shouted && bytes.iter().any(u8::is_ascii_lowercase)) {
            return;
        }
        if self.prefix == "SG." && !value.contains('.') {
            return;
        }
        found.push(at.start..end);
    }
}

/// Whether a token may begin here: not in the middle of a word. The letter of an escape is no part of one.
fn is_start(text: &str, at: usize) -> bool {
    let previous = before(text, at);
    let escape = matches!(previous, b'n' | b't' | b'r') && at > 1 && before(text, at - 1) == b'\\';
    let percent = at > 2 && before(text, at - 2) == b'%';
    escape || percent || !(previous.is_ascii_alphanumeric() || matches!(previous, b'_' | b'-')) || colour(text, at)
}

/// Whether a code for a colour ends here.
fn colour(text: &str, at: usize) -> bool {
    before(text, at) == b'm' && {
        let open = run_back(text, at - 1, 12, |b| b.is_ascii_digit() || b == b';');
        text[..open].ends_with("\x1b[")
    }
}

/// What announces itself, but needs a second look.
pub(super) const LOOKS: &[(&str, Look)] = &[
    ("eyJ", web_token),
    (":AA", telegram),
    ("SK", twilio),
    ("bearer", bearer),
    ("basic", basic),
    ("digest ", digest),
    ("negotiate ", bearer),
    ("$1$", crypt),
    ("$2a$", crypt),
    ("$2b$", crypt),
    ("$2y$", crypt),
    ("$5$", crypt),
    ("$6$", crypt),
    ("$7$", crypt),
    ("$y$", crypt),
    ("$apr1$", crypt),
    ("$argon2", crypt),
    ("$scrypt$", crypt),
    ("$pbkdf2", crypt),
    ("pbkdf2_sha", crypt),
    ("pbkdf2:sha", crypt),
    ("scrypt:3", crypt),
    ("bcrypt_sha256$", crypt),
    ("SCRAM-SHA-256$", crypt),
    ("{SHA}", crypt),
    ("{SSHA}", crypt),
    ("{SSHA512}", crypt),
    ("{CRYPT}", crypt),
    ("kind", kubernetes),
];

/// A JSON web token: three parts, of which the text may have lost the last.
fn web_token(text: &str, at: Range<usize>, found: &mut Found) {
    let part = |from: usize| run(text, from, 16384, |b| is_word(b) || b == b'-');
    if &text[at.clone()] != "eyJ" || (!is_start(text, at.start) && before(text, at.start) != b'_') {
        return;
    }
    let head = part(at.end);
    let mut end = part((head + 1).min(text.len()));
    if head < at.start + 10 || byte(text, head) != b'.' || end < head + 8 {
        return;
    }
    while byte(text, end) == b'.' && part(end + 1) > end + 1 {
        end = part(end + 1);
    }
    found.push(at.start..end);
}

/// A bot's token: a number, a colon, and 35 characters that begin with AA.
fn telegram(text: &str, at: Range<usize>, found: &mut Found) {
    let start = run_back(text, at.start, 12, |b| b.is_ascii_digit());
    let end = run(text, at.end, 64, |b| is_word(b) || b == b'-');
    let bot = text[..start].ends_with("bot") || !is_word(before(text, start));
    if at.start - start >= 6 && end >= at.end + 24 && bot && &text[at] == ":AA" {
        found.push(start..end);
    }
}

/// SK and 32 hexadecimal digits.
fn twilio(text: &str, at: Range<usize>, found: &mut Found) {
    let end = run(text, at.end, 64, |b| b.is_ascii_alphanumeric());
    let digits = text[at.end..end].bytes().filter(u8::is_ascii_digit).count();
    if &text[at.clone()] == "SK"
        && end == at.end + 32
        && digits >= 6
        && is_start(text, at.start)
        && !is_word(byte(text, end))
    {
        found.push(at.start..end);
    }
}

/// Where the word begins that follows a scheme.
fn after_scheme(text: &str, at: &Range<usize>) -> Option<usize> {
    let start = run(text, at.start, 16, |b| b.is_ascii_alphabetic());
    let spaces = run(text, start, 8, |b| matches!(b, b' ' | b'\t'));
    if text[start..].starts_with("%20") {
        return Some(start + 3);
    }
    (spaces > start && !is_word(before(text, at.start))).then_some(spaces)
}

fn bearer(text: &str, at: Range<usize>, found: &mut Found) {
    let Some(start) = after_scheme(text, &at) else { return };
    let end = run(text, start, 16384, |b| is_word(b) || matches!(b, b'.' | b'~' | b'+' | b'/' | b'=' | b'-' | b':'));
    let value = text[start..end].trim_end_matches(['.', ':']);
    let digit = value.bytes().any(|b| b.is_ascii_digit());
    let mixed = value.bytes().any(|b| b.is_ascii_lowercase()) && value.bytes().skip(1).any(|b| b.is_ascii_uppercase());
    let named = value.ends_with('=') && matches!(byte(text, end), b'"' | b'\'');
    let words = value.bytes().all(|b| b.is_ascii_lowercase() || matches!(b, b'_' | b'-'));
    if value.len() >= 6
        && !named
        && !value.contains("://")
        && !is_reference(value)
        && !is_nothing(value)
        && (digit || mixed || (value.len() >= 20 && !words) || value.bytes().any(|b| matches!(b, b'+' | b'~')))
    {
        found.push(start..start + value.len());
    }
}

/// `Basic` and base64 of `user:password`.
fn basic(text: &str, at: Range<usize>, found: &mut Found) {
    let Some(start) = after_scheme(text, &at) else { return };
    let end = run(text, start, 4096, |b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'-' | b'_'));
    let value = &text[start..end];
    let named = value.ends_with('=') && matches!(byte(text, end), b'"' | b'\'');
    let pair = decoded(value).is_some_and(|b| b.contains(&b':') && b.iter().all(|b| !b.is_ascii_control()));
    if value.len() >= 6 && !named && (pair || (value.len() >= 16 && is_odd(value) && !value.contains(['-', '_']))) {
        found.push(start..end);
    }
}

/// The bytes that base64 stands for, as far as it is whole; none where it is no base64.
fn decoded(value: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(value.len());
    let mut bits = 0_u32;
    let mut count = 0;
    for b in value.trim_end_matches('=').bytes() {
        let six = match b {
            b'A'..=b'Z' => b - b'A',
            b'a'..=b'z' => b - b'a' + 26,
            b'0'..=b'9' => b - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from(bits >> count & 0xff).unwrap_or_default());
            bits &= (1 << count) - 1;
        }
    }
    Some(out)
}

/// `Digest username="x", …, response="y"` outside of a header: to the end of its line.
fn digest(text: &str, at: Range<usize>, found: &mut Found) {
    let end = line_end(text, at.start);
    let rest = &text[at.end..end];
    if rest.starts_with("username=") || (rest.contains("response=\"") && rest.contains("nonce=\"")) {
        let quote = before(text, at.start);
        let end = if quote == b'\'' { rest.find('\'').map_or(end, |i| at.end + i) } else { end };
        found.push(at.end..at.end + text[at.end..end].trim_end().len());
    }
}

/// The hash of a password in one of the forms that programs store.
fn crypt(text: &str, at: Range<usize>, found: &mut Found) {
    let end = run(text, at.end, 512, |b| is_word(b) || matches!(b, b'.' | b'/' | b'$' | b'=' | b',' | b'+' | b':' | b'-'));
    let value = text[at.start..end].trim_end_matches([':', ',']);
    // A line of /etc/shadow goes on with the days.
    let value = if value.starts_with('$') { value.split(':').next().unwrap_or(value) } else { value };
    // Compose files write two dollar signs for one.
    let start = at.start - usize::from(before(text, at.start) == b'$');
    if value.len() >= at.len() + 16 && !is_word(before(text, at.start)) {
        found.push(start..at.start + value.len());
    }
}

/// The data of a Kubernetes Secret, in YAML.
fn kubernetes(text: &str, at: Range<usize>, found: &mut Found) {
    if !text[at.end..].starts_with(": Secret") || is_word(byte(text, at.end + 8)) {
        return;
    }
    if at.start < found.manifest_end {
        return;
    }
    let from = text[..at.start].rfind("\n---").map_or(0, |i| i + 1);
    let to = text[at.end..].find("\n---").map_or(text.len(), |i| at.end + i);
    found.manifest_end = to;
    let mut depth = None;
    let mut start = from;
    for line in text[from..to].split_inclusive('\n') {
        let indent = line.len() - line.trim_start_matches([' ', '-']).len();
        let shown = line.trim();
        match depth {
            Some(depth) if indent > depth || shown.is_empty() => {
                if let Some((name, value)) = line.trim_end().split_once(": ") {
                    let value = value.trim().trim_matches(['"', '\'']);
                    let begin = name.len() + line[name.len()..].find(value).unwrap_or(0);
                    if !matches!(value, "|" | ">" | "|-" | "") && !is_nothing(value) && !is_reference(value) {
                        found.push(start + begin..start + begin + value.len());
                    }
                } else if !shown.is_empty() && !shown.ends_with(':') {
                    found.push(start + indent..start + line.trim_end().len());
                }
            }
            _ => depth = matches!(shown, "data:" | "stringData:").then_some(indent),
        }
        start += line.len();
    }
}
