//! Both corpora, and what must hold of every text.

use std::borrow::Cow;

use proptest::prelude::*;

use super::literals::{Redactor, secret_values};
use super::names::is_secret_key;
use super::{REDACTED, redact, redact_lines};

const POSITIVE: &str = include_str!("corpus/positive.txt");
const NEGATIVE: &str = include_str!("corpus/negative.txt");

/// The cases of a corpus, with the line each stands on.
fn cases(corpus: &str) -> impl Iterator<Item = (usize, String)> {
    let lines = corpus.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines.map(|(i, line)| (i + 1, unescaped(line)))
}

fn unescaped(line: &str) -> String {
    let mut out = String::new();
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, true) => match chars.next() {
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some('e') => out.push('\x1b'),
                Some(other) => out.push(other),
                None => {}
            },
            (c, _) => out.push(c),
        }
    }
    out
}

/// The text of a positive case, and what must be left of it.
fn marked(case: &str) -> (String, String) {
    let text = case.replace(['«', '»'], "");
    let mut expected = String::new();
    for (i, part) in case.split('«').enumerate() {
        match part.split_once('»') {
            Some((_, after)) if i > 0 => {
                expected.push_str(REDACTED);
                expected.push_str(after);
            }
            _ => expected.push_str(part),
        }
    }
    (text, expected)
}

/// The positive cases that come out wrong, each with what came out.
fn wrong_positives(corpus: &str) -> (usize, Vec<String>) {
    let mut count = 0;
    let mut wrong = Vec::new();
    for (line, case) in cases(corpus) {
        count += 1;
        let (text, expected) = marked(&case);
        let once = redact(&text);
        let twice = redact(&once);
        if once != expected || twice != expected {
            wrong.push(format!("line {line}\n  expected {expected:?}\n  once     {once:?}\n  twice    {twice:?}"));
        }
    }
    (count, wrong)
}

/// The negative cases that come out changed.
fn wrong_negatives(corpus: &str) -> (usize, Vec<String>) {
    let mut count = 0;
    let mut wrong = Vec::new();
    for (line, text) in cases(corpus) {
        count += 1;
        let out = redact(&text);
        if !matches!(out, Cow::Borrowed(same) if same == text) {
            wrong.push(format!("line {line}\n  text {text:?}\n  out  {out:?}"));
        }
    }
    (count, wrong)
}

#[test]
fn the_corpus_has_no_error() {
    let (positives, missed) = wrong_positives(POSITIVE);
    let (negatives, spoiled) = wrong_negatives(NEGATIVE);
    println!("{} of {positives} positive and {} of {negatives} negative cases are wrong", missed.len(), spoiled.len());
    assert!(positives >= 170 && negatives >= 170, "{positives} and {negatives} cases");
    assert!(missed.is_empty() && spoiled.is_empty(), "{}\n{}", missed.join("\n"), spoiled.join("\n"));
}

#[test]
fn no_cut_of_a_case_makes_it_stumble_or_changes_in_a_second_pass() {
    for (_, case) in cases(POSITIVE).chain(cases(NEGATIVE)) {
        let (text, _) = marked(&case);
        for end in text.char_indices().map(|(i, _)| i) {
            for part in [&text[..end], &text[end..]] {
                let once = redact(part);
                assert_eq!(redact(&once), once, "{part:?}");
            }
        }
    }
}

#[test]
fn the_name_of_a_key_tells_whether_its_value_is_secret() {
    for key in [
        "DB_PASSWORD",
        "apiKey",
        "x-auth-token",
        "PGPASSWORD",
        "clientSecret",
        "AWS_SECRET_ACCESS_KEY",
        "redis-pass",
        "SECRET_KEY_BASE",
    ] {
        assert!(is_secret_key(key), "{key}");
    }
    for key in [
        "key",
        "token_ttl",
        "PWD",
        "max_tokens",
        "secret_name",
        "tokenizer",
        "public_key",
        "TOKEN_FILE",
        "compass",
        "pass",
        "",
    ] {
        assert!(!is_secret_key(key), "{key}");
    }
}

#[test]
fn the_secret_values_of_an_environment_are_those_of_secret_names_and_those_within_others() {
    let env = [
        ("DATABASE_URL", "postgres://u:p%40ss-w0rd@db/x"),
        ("REDIS_PASSWORD", "hunter2hunter2"),
        ("LOG_LEVEL", "debug"),
        ("TOKEN_TTL", "3600"),
        ("APP_KEY", "base64:3q2+7wEXAMPLE9zKf0aLq8Wm1Z"),
        ("EMPTY_PASSWORD", ""),
    ];
    let values = secret_values(env.into_iter());
    assert_eq!(values, ["base64:3q2+7wEXAMPLE9zKf0aLq8Wm1Z", "hunter2hunter2", "p%40ss-w0rd", "p@ss-w0rd"]);
}

#[test]
fn a_known_value_goes_in_all_its_forms_and_common_ones_stay() {
    let known = Redactor::new([
        "a\"b&c/d é+x".to_owned(),
        "redis".to_owned(),
        "6379".to_owned(),
        "db.internal".to_owned(),
        "/srv/data/x".to_owned(),
        "production".to_owned(),
    ]);
    for (text, expected) in [
        ("is a\"b&c/d é+x here", "is [redacted] here"),
        ("q=a%22b%26c%2Fd%20%C3%A9%2Bx;", "q=[redacted];"),
        ("q=a%22b%26c%2fd%20%c3%a9%2bx;", "q=[redacted];"),
        ("q=a%22b%26c%2Fd+%C3%A9%2Bx;", "q=[redacted];"),
        (r#"{"m":"a\"b&c/d é+x"}"#, r#"{"m":"[redacted]"}"#),
        (r#"{"m":"a\"b\u0026c/d \u00e9+x"}"#, r#"{"m":"[redacted]"}"#),
        ("data: YSJiJmMvZCDDqSt4 end", "data: [redacted] end"),
        (
            "redis at db.internal:6379 keeps /srv/data/x in production",
            "redis at db.internal:6379 keeps /srv/data/x in production",
        ),
    ] {
        assert_eq!(known.redact(text), expected);
    }
    assert!(matches!(known.redact("nothing"), Cow::Borrowed("nothing")));
}

/// Values that no rule may take for a word: at least ten characters, with a digit, and symbols that part nothing.
fn secret() -> impl Strategy<Value = String> {
    "[A-Za-z][A-Za-z0-9!*+^~_-]{8,24}[0-9][A-Za-z0-9]{2}"
}

/// Forms with a place for the secret.
const FORMS: &[&str] = &[
    "PASSWORD={}",
    "export API_KEY='{}'",
    "DB_SECRET=\"{}\" X=1",
    "{\"password\":\"{}\"}",
    "{\"a\":1, \"authToken\": \"{}\", \"b\":2}",
    "msg=\"{\\\"token\\\":\\\"{}\\\"}\"",
    "{'client_secret': '{}'}",
    "  password: {}",
    "- token: {}",
    "secret: |\n  {}\nx: y",
    "GET /x?access_token={}&page=2 HTTP/1.1",
    "Server=db;Database=x;Password={};Timeout=3",
    "host=db password={} dbname=x",
    "run --token {} -v",
    "run --db-password={} -v",
    "[\"run\",\"--api-key\",\"{}\"]",
    "Authorization: Bearer {}",
    "X-Api-Key: {}",
    "curl -H 'Authorization: Token {}' http://x",
    "Set-Cookie: id={}; Path=/",
    "postgres://u:{}@db:5432/x",
    "redis://:{}@h:6379/0",
    "mysql -u root -p{} db",
    "sshpass -p {} ssh h",
    "redis-cli -h x -a {} ping",
    "curl -u bob:{} http://x",
    "> AUTH {}",
    "CONFIG SET requirepass {}",
    "requirepass {}",
    "CREATE USER u IDENTIFIED BY '{}'",
    "ALTER ROLE u PASSWORD '{}'",
    "machine h login u password {}",
    "//registry.example/:_authToken={}",
    "AccountName=a;AccountKey={};",
    "<password>{}</password>",
    "- name: DB_PASSWORD\n  value: {}",
    "u:{}@tcp(db:3306)/x",
    "db:5432:app:bob:{}",
    "map[password:{} user:x]",
    "Config { secret: \"{}\" }",
    "SECRET_KEY = '{}'",
    "password => {}",
    "next=%3Ftoken%3D{}%26a%3Db",
];

/// Parts of forms, and what may come between them.
const PARTS: &[&str] = &[
    "password",
    "token",
    "key",
    "Set-Cookie",
    "Authorization",
    "x_SECRET",
    "pass",
    "auth",
    "=",
    ":",
    ": ",
    " => ",
    "\"",
    "'",
    "\\",
    "\\\"",
    "é",
    "\u{1F511}",
    "://",
    "@",
    "/",
    ":pw@h",
    "-----BEGIN PRIVATE KEY-----",
    "-----END PRIVATE KEY-----",
    "\n",
    " ",
    "\r\n",
    "%3A%2F%2F",
    "%3D",
    "%40",
    "${",
    "}",
    "{{",
    "(",
    ")",
    "[",
    "]",
    "<",
    ">",
    "|",
    "&",
    ";",
    ",",
    "#",
    "kind: Secret\ndata:\n",
    "  a: b",
    "mysql ",
    " -p",
    "curl ",
    "-u a:",
    "AUTH ",
    "\"AUTH\"",
    "IDENTIFIED BY ",
    "requirepass ",
    "CONFIG SET ",
    "ACL SETUSER x >",
    "net use x ",
    "htpasswd -b ",
    "echo a:b | chpasswd",
    "u:p@tcp(",
    "jdbc:oracle:thin:a/b@",
    "hooks.slack.com/services/",
    "/api/webhooks/123/",
    "db:5432:a:b:c",
    "ghp_",
    "sk-",
    "SG.",
    "SK",
    "eyJ",
    "eyJabcdefgh.abcdefgh",
    "123456789:AA",
    "Bearer ",
    "Basic ",
    "Digest username=",
    "$2b$12$",
    "{SHA}",
    "[redacted]",
    "[reda",
    "x1Y2z3EXAMPLE4",
    "abc",
    "0123456789abcdef0",
    "\x1b[3m",
    "--",
    "--token",
    " is ",
    "Some(",
    "value: ",
    "name: ",
    "b'",
    "|\n  ",
    " -> ",
    "...",
    "x",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_passes_and_a_second_pass_changes_nothing(text in any::<String>(), parts in prop::collection::vec(0_usize..FORMS.len() * 2, 0..6)) {
        let mut mixed = text;
        for part in parts {
            mixed.push_str(FORMS.get(part).unwrap_or(&"\n: \"' [redacted] } ="));
            mixed.push(' ');
        }
        let once = redact(&mixed);
        prop_assert_eq!(redact(&once), once.as_ref());
    }

    #[test]
    fn each_line_is_still_there_and_nothing_more_is(parts in prop::collection::vec(prop::sample::select(PARTS), 0..24)) {
        let text = parts.concat();
        let lines = redact_lines(&text);
        prop_assert_eq!(lines.matches('\n').count(), text.matches('\n').count());
        prop_assert_eq!(redact_lines(&lines), lines.as_ref());
    }

    #[test]
    fn any_order_of_parts_of_forms_passes_and_a_second_pass_changes_nothing(parts in prop::collection::vec(prop::sample::select(PARTS), 0..24)) {
        let text = parts.concat();
        let once = redact(&text);
        prop_assert_eq!(redact(&once), once.as_ref());
    }

    #[test]
    fn a_secret_in_a_known_form_never_survives(secret in secret(), form in prop::sample::select(FORMS), before in "[a-z ]{0,20}\n", after in "\n[a-z ]{0,20}") {
        let text = format!("{before}{}{after}", form.replace("{}", &secret));
        let out = redact(&text);
        prop_assert!(!out.contains(&secret), "{:?}", out);
        prop_assert!(out.starts_with(&before) && out.ends_with(&after), "{:?}", out);
    }

    #[test]
    fn a_known_value_never_survives_in_any_text(secret in "[A-Za-z0-9 \"'/+&%=\\\\é-]{7,20}[0-9][a-z]", before in any::<String>(), after in any::<String>()) {
        let known = Redactor::new([secret.clone()]);
        let out = known.redact(&format!("{before}{secret}{after}")).into_owned();
        prop_assert!(!out.contains(&secret), "{:?}", out);
    }

    #[test]
    fn plain_prose_is_borrowed(words in prop::collection::vec("[A-Z]?[a-z]{1,10}|[0-9]{1,6}", 0..40)) {
        let text = words.join(" ");
        prop_assert!(matches!(redact(&text), Cow::Borrowed(_)), "{:?}", redact(&text));
    }
}
