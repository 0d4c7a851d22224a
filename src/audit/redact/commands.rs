//! Secrets among the arguments of programs, and in statements of redis and SQL.

use std::ops::Range;

use super::harmless::{is_nothing, is_odd, is_path, is_reference};
use super::values::{closing, line_end};
use super::{Found, Look, before, byte, is_word, run};

/// A program that takes a secret as an argument.
pub(super) struct Command {
    pub(super) name: &'static str,
    takes: &'static [Takes],
}

/// Where a program takes it.
enum Takes {
    /// The word after this flag, or what the flag is directly followed by.
    Flag(&'static str),
    /// The part after this character of the word after the flag: `-u user:password`.
    Pair(&'static str, char),
    /// The so-manyth word after this one: `rabbitmqctl add_user name password`.
    Word(&'static str, usize),
}

use Takes::{Flag, Pair, Word};

const fn command(name: &'static str, takes: &'static [Takes]) -> Command {
    Command { name, takes }
}

/// The programs, by their manuals.
pub(super) const COMMANDS: &[Command] = &[
    command("mysql", &[Flag("-p")]),
    command("mysqldump", &[Flag("-p")]),
    command("mysqladmin", &[Flag("-p"), Word("password", 1)]),
    command("mysqlcheck", &[Flag("-p")]),
    command("mysqlimport", &[Flag("-p")]),
    command("mysqlsh", &[Flag("-p")]),
    command("mariadb", &[Flag("-p")]),
    command("mariadb-dump", &[Flag("-p")]),
    command("mariadb-admin", &[Flag("-p")]),
    command("mongo", &[Flag("-p")]),
    command("mongosh", &[Flag("-p")]),
    command("mongodump", &[Flag("-p")]),
    command("mongorestore", &[Flag("-p")]),
    command("mongoexport", &[Flag("-p")]),
    command("cqlsh", &[Flag("-p")]),
    command("sshpass", &[Flag("-p")]),
    command("redis-cli", &[Flag("-a"), Word("AUTH", 1)]),
    command("valkey-cli", &[Flag("-a"), Word("AUTH", 1)]),
    command("redis-benchmark", &[Flag("-a")]),
    command(
        "curl",
        &[Pair("-u", ':'), Pair("--user", ':'), Pair("-U", ':'), Pair("--proxy-user", ':'), Flag("--oauth2-bearer")],
    ),
    command("http", &[Pair("-a", ':'), Pair("--auth", ':')]),
    command("https", &[Pair("-a", ':'), Pair("--auth", ':')]),
    command("login", &[Flag("-p")]),
    command("smbclient", &[Pair("-U", '%')]),
    command("lftp", &[Pair("-u", ',')]),
    command("ldapsearch", &[Flag("-w")]),
    command("ldapadd", &[Flag("-w")]),
    command("ldapmodify", &[Flag("-w")]),
    command("ldapwhoami", &[Flag("-w")]),
    command("sqlcmd", &[Flag("-P")]),
    command("bcp", &[Flag("-P")]),
    command("mosquitto_pub", &[Flag("-P")]),
    command("mosquitto_sub", &[Flag("-P")]),
    command("zip", &[Flag("-P")]),
    command("unzip", &[Flag("-P")]),
    command("7z", &[Flag("-p")]),
    command(
        "htpasswd",
        &[
            Word("-b", 3),
            Word("-bc", 3),
            Word("-cb", 3),
            Word("-Bb", 2),
            Word("-nb", 2),
            Word("-nbB", 2),
            Word("-bB", 3),
            Word("-Bbn", 2),
            Word("-bnB", 2),
        ],
    ),
    command("rabbitmqctl", &[Word("add_user", 2), Word("change_password", 2), Word("authenticate_user", 2)]),
    command("openssl", &[Pair("-passin", ':'), Pair("-passout", ':'), Pair("-pass", ':'), Flag("-k")]),
    command("chpasswd", &[]),
];

/// The longest command that is read.
const WORDS_MOST: usize = 64;

impl Command {
    pub(super) fn find(&self, text: &str, at: Range<usize>, found: &mut Found) {
        let ahead = before(text, at.start);
        if is_word(ahead) || matches!(ahead, b'-' | b'.' | b'@' | b':') {
            return;
        }
        if self.name == "chpasswd" {
            return piped(text, at.start, found);
        }
        let quote = byte(text, at.end);
        let listed =
            matches!(quote, b'"' | b'\'') && (ahead == quote || (ahead == b'/' && is_quoted_path(text, at.start, quote)));
        if !listed && !matches!(quote, b' ' | b'\t') {
            return;
        }
        let words = if listed { strings(text, at.end + 1, quote) } else { words(text, at.end) };
        for (i, word) in words.iter().enumerate() {
            let shown = &text[word.clone()];
            for takes in self.takes {
                match takes {
                    Flag(flag) if shown == *flag => {
                        // Before another flag it asks for the password.
                        if let Some(next) = words.get(i + 1).filter(|next| !text[(*next).clone()].starts_with('-')) {
                            take(text, next.clone(), found);
                        }
                    }
                    Flag(flag) => {
                        if let Some(value) = shown.strip_prefix(flag)
                            && (flag.len() == 2 || value.starts_with('='))
                        {
                            let value = value.strip_prefix('=').unwrap_or(value);
                            let start = word.end - value.len();
                            // 7z and zip have long options of one dash, and no port is a password.
                            if !value.starts_with('-') {
                                take(text, start..word.end, found);
                            }
                        }
                    }
                    Pair(flag, part) => {
                        let pair = if shown == *flag {
                            words.get(i + 1).cloned()
                        } else {
                            let value = shown.strip_prefix(flag).filter(|v| flag.len() == 2 || v.starts_with('='));
                            value.map(|v| word.end - v.len()..word.end)
                        };
                        if let Some(pair) = pair
                            && let Some(colon) = text[pair.clone()].find(*part)
                            && !matches!(&text[pair.start..pair.start + colon], "env" | "file" | "fd")
                        {
                            take(text, pair.start + colon + 1..pair.end, found);
                        }
                    }
                    Word(name, count) if shown.eq_ignore_ascii_case(name) => {
                        if let Some(next) = words.get(i + count) {
                            take(text, next.clone(), found);
                        }
                    }
                    Word(..) => {}
                }
            }
        }
    }
}

/// Whether what lies before `at` is the directory of a program in a list: `"/usr/bin/`.
fn is_quoted_path(text: &str, at: usize, quote: u8) -> bool {
    let start = super::run_back(text, at, 256, |b| is_word(b) || matches!(b, b'/' | b'.' | b'-' | b'+'));
    before(text, start) == quote
}

/// Takes an argument, without the quotes around it.
fn take(text: &str, word: Range<usize>, found: &mut Found) {
    let mut value = &text[word.clone()];
    let mut start = word.start;
    if let Some(quote) = value.chars().next().filter(|c| matches!(c, '\'' | '"')) {
        value = value[1..].strip_suffix(quote).unwrap_or(&value[1..]);
        start += 1;
    }
    let ports = value.split(':').count() == 2 && value.bytes().all(|b| b.is_ascii_digit() || b == b':');
    if !ports && !is_nothing(value) && !is_reference(value) && !is_path(value) {
        found.push(start..start + value.len());
    }
}

/// `echo 'user:password' | chpasswd`.
fn piped(text: &str, at: usize, found: &mut Found) {
    let from = super::run_back(text, at, 200, |b| b != b'\n' && b.is_ascii());
    let head = text[from..at].trim_end().trim_end_matches("sudo").trim_end();
    if let Some(head) = head.strip_suffix('|')
        && let Some(echo) = head.rfind("echo ")
    {
        let pair = head[echo + 5..].trim_matches([' ', '\'', '"']);
        if let Some(colon) = pair.find(':') {
            let start = from + echo + 5 + head[echo + 5..].find(pair).unwrap_or(0);
            take(text, start + colon + 1..start + pair.len(), found);
        }
    }
}

/// The words of a command, to the end of it. Quotes around a whole word are no part of it.
fn words(text: &str, mut at: usize) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    while words.len() < WORDS_MOST {
        at = run(text, at, 256, |b| matches!(b, b' ' | b'\t'));
        if text[at..].starts_with("\\\n") {
            at += 2;
            continue;
        }
        if matches!(byte(text, at), b'\n' | b'\r' | b'|' | b';') || text[at..].starts_with("&&") {
            break;
        }
        let start = at;
        let mut open = None;
        for (i, c) in text[start..].char_indices() {
            at = start + i;
            match (open, c) {
                (None, '\'' | '"') => open = Some(c),
                (Some(quote), c) if c == quote => open = None,
                (None, ' ' | '\t') | (_, '\n') => break,
                (None, ';' | '|') if text[at + 1..].starts_with([' ', '\n']) => break,
                _ => {}
            }
            at += c.len_utf8();
        }
        // A quote that closes what the whole command stands in.
        // A quote that is never closed on this line closes what the whole command stands in.
        if let (Some(quote), true) = (open, matches!(byte(text, at), b'\n' | b'\r'))
            && let Some(i) = text[start..at].find(quote)
            && i > 0
        {
            words.push(start..start + i);
            break;
        }
        let shown = &text[start..at];
        let trimmed = shown.trim_end_matches(['\'', '"', '`', ')', ',']);
        let plain = !shown.contains(['\'', '"']) || !trimmed.contains(['\'', '"']);
        let end = if plain { start + trimmed.len() } else { at };
        let first = shown.chars().next().filter(|c| matches!(c, '\'' | '"'));
        match first {
            Some(quote) if shown.len() > 1 && shown.ends_with(quote) => words.push(start + 1..at - 1),
            _ => words.push(start..end.max(start)),
        }
        if at == start {
            break;
        }
    }
    words
}

/// The strings of a list of arguments.
fn strings(text: &str, mut at: usize, quote: u8) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    while words.len() < WORDS_MOST {
        at = run(text, at, 64, |b| b.is_ascii_whitespace() || b == b',');
        if byte(text, at) != quote {
            break;
        }
        let end = closing(text, at + 1, 0, char::from(quote));
        words.push(at + 1..end);
        at = (end + 1).min(text.len());
        if !text.is_char_boundary(at) {
            break;
        }
    }
    words
}

/// Statements.
pub(super) const LOOKS: &[(&str, Look)] = &[
    ("AUTH", auth),
    ("identified ", identified),
    ("setuser", setuser),
    (" on >", acl),
    (" on #", acl),
    ("requirepass", config),
    ("masterauth", config),
    ("auth-pass", sentinel),
    ("PASSWORD(", function),
    ("net use ", net_use),
];

/// A string or a word at `at`, and where the next may begin.
fn argument(text: &str, at: usize) -> Option<(Range<usize>, usize)> {
    let at = run(text, at, 8, |b| matches!(b, b' ' | b'\t' | b','));
    let quote = byte(text, at);
    if matches!(quote, b'"' | b'\'') {
        let end = closing(text, at + 1, 0, char::from(quote));
        return Some((at + 1..end, run(text, end, 1, |b| b == quote)));
    }
    let end = at + text[at..].find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`')).unwrap_or(text.len() - at);
    (end > at).then_some((at..end, end))
}

/// redis's `AUTH password`, `AUTH user password`, as a client sends them and MONITOR shows them.
fn auth(text: &str, at: Range<usize>, found: &mut Found) {
    let quote = before(text, at.start);
    let quoted = matches!(quote, b'"' | b'\'') && byte(text, at.end) == quote;
    if is_word(quote) || matches!(quote, b'-' | b'.' | b'/') || (!quoted && byte(text, at.end) != b' ') {
        return;
    }
    let from = super::run_back(text, at.start, 160, |b| b != b'\n' && b.is_ascii());
    let head = text[from..at.start].trim_end();
    let prompt = head.is_empty()
        || head.ends_with('>')
        || head.ends_with("| ")
        || quoted
        || head.to_ascii_uppercase().contains("HELLO ");
    let shouted = &text[at.clone()] == "AUTH";
    if !prompt && !shouted {
        return;
    }
    let Some((first, next)) = argument(text, at.end + usize::from(quoted)) else { return };
    let second = argument(text, next)
        .filter(|(word, _)| !text[next..word.start].contains('\n') && quoted == (byte(text, word.start - 1) == quote));
    let (value, more) = second.map_or((first.clone(), next), |second| second);
    let shown = &text[value.clone()];
    let said = |word: &str| {
        let word = word.trim_end_matches(['.', ',', ':', ')']).to_ascii_lowercase();
        [
            "failed",
            "called",
            "error",
            "required",
            "login",
            "plain",
            "cram-md5",
            "command",
            "is",
            "ok",
            "not",
            "without",
            "with",
            "token",
            "needs",
            "and",
            "or",
            "succeeded",
            "successful",
            "for",
            "xoauth2",
            "requested",
            "from",
            "by",
            "timeout",
            "to",
            "password",
            "before",
            "after",
            "in",
            "the",
            "mechanism",
            "mechanisms",
            "tls",
            "on",
            "off",
            "<password>",
            "failure",
        ]
        .contains(&word.as_str())
    };
    let smtp = matches!(&text[first.clone()], "PLAIN" | "LOGIN" | "XOAUTH2");
    let rest = text[more..line_end(text, more)].trim_matches(['"', '\'', ' ', '\r']);
    let ends = rest.is_empty() || rest.starts_with("SETNAME");
    if (said(&text[first.clone()]) && !smtp) || said(shown) || is_nothing(shown) || is_reference(shown) {
        return;
    }
    if (prompt && ends) || is_odd(shown) {
        found.push(value);
    }
}

/// SQL's `IDENTIFIED BY 'x'`, `IDENTIFIED WITH plugin BY 'x'`, `… AS 'hash'`.
fn identified(text: &str, at: Range<usize>, found: &mut Found) {
    let line = &text[at.end..line_end(text, at.end)];
    let upper = line.to_ascii_uppercase();
    let by = upper.find("BY ").map(|i| i + 3).or_else(|| upper.find(" AS ").map(|i| i + 4));
    let Some(by) = by else { return };
    let by = if upper[by..].starts_with("PASSWORD ") { by + 9 } else { by };
    if let Some((value, _)) = argument(text, at.end + by)
        && !is_nothing(&text[value.clone()])
        && !is_reference(&text[value.clone()])
    {
        let quoted = matches!(before(text, value.start), b'"' | b'\'');
        let plain = text[value.clone()].trim_end_matches(';').len();
        found.push(value.start..if quoted { value.end } else { value.start + plain });
    }
}

/// redis's `ACL SETUSER name on >password #hash`.
fn setuser(text: &str, at: Range<usize>, found: &mut Found) {
    let quoted = usize::from(matches!(byte(text, at.end), b'"' | b'\''));
    let mut next = at.end + quoted;
    for _ in 0..WORDS_MOST {
        let Some((word, after)) = argument(text, next) else { return };
        if text[next..word.start].contains('\n') {
            return;
        }
        if text[word.clone()].starts_with(['>', '#', '<', '!']) && word.len() > 2 {
            found.push(word.start + 1..word.end);
        }
        next = after;
    }
}

/// A line of redis's file of users: `user name on >password`.
fn acl(text: &str, at: Range<usize>, found: &mut Found) {
    let from = super::run_back(text, at.start, 80, |b| is_word(b) || matches!(b, b'-' | b' '));
    if text[from..at.start].trim_start().starts_with("user ") {
        setuser(text, at.start..at.start + 3, found);
    }
}

/// redis's `CONFIG SET requirepass x`.
fn config(text: &str, at: Range<usize>, found: &mut Found) {
    let from = super::run_back(text, at.start, 80, |b| b != b'\n' && b.is_ascii());
    let head = text[from..at.start].to_ascii_uppercase();
    let quoted = usize::from(matches!(byte(text, at.end), b'"' | b'\''));
    if !head.trim_end_matches(['"', '\'', ' ']).ends_with("SET") {
        return;
    }
    if let Some((value, _)) = argument(text, at.end + quoted)
        && !text[at.end..value.start].contains('\n')
        && !is_nothing(&text[value.clone()])
        && !is_reference(&text[value.clone()])
    {
        found.push(value);
    }
}

/// `sentinel auth-pass master x`.
fn sentinel(text: &str, at: Range<usize>, found: &mut Found) {
    let Some((master, next)) = argument(text, at.end) else { return };
    if byte(text, at.end) == b' '
        && let Some((value, _)) = argument(text, next)
        && !text[master.start..value.end].contains('\n')
        && !is_nothing(&text[value.clone()])
    {
        found.push(value);
    }
}

/// SQL's `PASSWORD('x')`.
fn function(text: &str, at: Range<usize>, found: &mut Found) {
    if matches!(byte(text, at.end), b'\'' | b'"')
        && let Some((value, _)) = argument(text, at.end)
    {
        found.push(value);
    }
}

/// `net use z: \\server\share password /user:name`.
fn net_use(text: &str, at: Range<usize>, found: &mut Found) {
    let words = words(text, at.end);
    if let Some(value) = words.iter().skip_while(|w| !text[(*w).clone()].starts_with("\\\\")).nth(1)
        && !text[value.clone()].starts_with(['/', '*'])
    {
        take(text, value.clone(), found);
    }
}
