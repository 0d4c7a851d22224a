//! What the name of a key says of its value.

/// What the name of a key says about its value. The order is that of certainty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Strength {
    /// Nothing.
    None,
    /// A secret if it looks like chance: `key`, `salt`, `signature`.
    Chance,
    /// A secret unless it looks like a word: `pass`, `token-service`.
    Odd,
    /// A secret.
    Sure,
}

/// Endings of a word that make the value of its key a secret.
const SECRET_WORDS: &[&str] = &[
    "password",
    "passwords",
    "passwd",
    "passphrase",
    "passcode",
    "passwort",
    "kennwort",
    "contrasena",
    "senha",
    "pwd",
    "secret",
    "secrets",
    "token",
    "apikey",
    "credential",
    "credentials",
    "creds",
    "authorization",
    "cookie",
    "privatekey",
    "privkey",
    "secretkey",
    "accesskey",
    "authkey",
    "signingkey",
    "encryptionkey",
    "masterkey",
    "storepass",
    "keypass",
    "requirepass",
    "masterauth",
    "dbpass",
    "rootpass",
    "userpass",
    "adminpass",
    "redispass",
    "mysqlpass",
    "pgpass",
    "ftppass",
    "smtppass",
    "mailpass",
    "ldappass",
    "authpass",
    "apppass",
    "httppass",
    "proxypass",
    "bindpass",
    "dbpw",
    "userpw",
    "rootpw",
    "adminpw",
    "bindpw",
];

/// Whole words that do so.
const SECRET_EXACT: &[&str] = &["psk", "otp", "mnemonic", "pepper", "sshpass"];

/// Words before `key` that make it a secret.
const KEY_WORDS: &[&str] = &[
    "api",
    "private",
    "access",
    "secret",
    "auth",
    "encryption",
    "encrypt",
    "signing",
    "account",
    "shared",
    "master",
    "license",
    "decryption",
    "service",
    "subscription",
    "jwt",
    "hmac",
    "crypt",
    "storage",
    "write",
    "admin",
    "unseal",
    "functions",
    "function",
];

/// Words before `key` after which the value is public, or no key at all.
const KEY_HARMLESS: &[&str] = &[
    "public",
    "primary",
    "foreign",
    "sort",
    "partition",
    "cache",
    "routing",
    "object",
    "idempotency",
    "host",
    "group",
    "shard",
    "translation",
    "publishable",
    "dedup",
    "deduplication",
    "row",
    "unique",
    "site",
    "pub",
    "hash",
    "lock",
    "job",
    "map",
];

/// Words before `token` that make it a mark in a list of pages.
const PAGING: &[&str] = &["page", "next", "continue", "continuation", "sync", "cursor", "pagination", "scroll", "resume"];

/// Words whose value is a secret if it looks like chance.
const CHANCE_WORDS: &[&str] =
    &["key", "keys", "salt", "signature", "sig", "nonce", "seed", "session", "sid", "sessionid", "auth", "tokens", "jwt"];

/// Last words of a key that say that the value is about a secret, and none.
const ABOUT: &[&str] = &[
    // Where it is.
    "file",
    "files",
    "path",
    "paths",
    "dir",
    "directory",
    "url",
    "uri",
    "endpoint",
    "host",
    "domain",
    "ref",
    "field",
    "arn",
    "store",
    "backend",
    "stdin",
    "env",
    "var",
    "location",
    "bucket",
    "column",
    "prompt",
    // How it is.
    "count",
    "length",
    "len",
    "size",
    "name",
    "names",
    "type",
    "kind",
    "ttl",
    "expiry",
    "expires",
    "expire",
    "expiration",
    "expired",
    "policy",
    "limit",
    "limits",
    "version",
    "format",
    "enabled",
    "disabled",
    "required",
    "status",
    "state",
    "valid",
    "validity",
    "age",
    "lifetime",
    "duration",
    "timeout",
    "hint",
    "method",
    "mode",
    "algorithm",
    "algo",
    "alg",
    "encryption",
    "rotation",
    "interval",
    "min",
    "max",
    "usage",
    "used",
    "index",
    "num",
    "number",
    "set",
    "reset",
    "changed",
    "at",
    "in",
    "strength",
    "rules",
    "prefix",
    "secure",
    "httponly",
    "samesite",
    "id",
    "ids",
    "label",
    "level",
    "issuer",
    "audience",
    "scope",
    "scopes",
    "period",
    "date",
    "time",
    "ok",
    "complexity",
    "history",
    "retries",
    "attempts",
    "cost",
    "rounds",
    // Who deals with it.
    "manager",
    "provider",
    "plugin",
    "class",
    "service",
    "svc",
    "server",
    "controller",
    "operator",
    "handler",
    "client",
    "worker",
    "helper",
    "validator",
    "validators",
    "hasher",
    "hashers",
    "agent",
    "process",
    "generator",
    "reviewer",
    "webhook",
    "error",
    "errors",
    "message",
    "msg",
    "exception",
    "failure",
    "module",
    "middleware",
    "parser",
    "bucket",
    "exporter",
    // Files.
    "java",
    "rs",
    "py",
    "go",
    "ts",
    "js",
    "rb",
    "c",
    "h",
    "cpp",
    "cc",
    "tsx",
    "jsx",
    "php",
    "md",
    "yml",
    "yaml",
    "json",
    "toml",
    "txt",
    "html",
    "css",
    "conf",
    "log",
    "sh",
    "tf",
    "pem",
    "crt",
    "kt",
    "cs",
    "so",
    "mjs",
];

/// First words of a key that say that there is no secret, or how many there are.
const NEGATING: &[&str] =
    &["no", "has", "is", "use", "with", "without", "needs", "require", "requires", "skip", "allow", "missing"];

/// Whether a key by its name alone has a secret value: `DB_PASSWORD`, `apiKey`, `x-auth-token`, but neither `key` nor
/// `token_ttl`.
#[must_use]
pub fn is_secret_key(key: &str) -> bool {
    strength(key) >= Strength::Odd && !matches!(key.to_ascii_lowercase().as_str(), "pass" | "pw")
}

/// What the key says of its value.
pub(super) fn strength(key: &str) -> Strength {
    if matches!(key, "PWD" | "OLDPWD") {
        return Strength::None;
    }
    let words = words(key);
    let (Some(first), Some(last)) = (words.first(), words.last()) else { return Strength::None };
    let has = |list: &[&str], word: &String| list.contains(&word.as_str());
    let secret = |word: &String| SECRET_WORDS.iter().any(|s| word.ends_with(s)) || has(SECRET_EXACT, word);
    if has(ABOUT, last) {
        // The name of a secret is none, but the two halves of an application's identity in Vault are called so.
        return if key.eq_ignore_ascii_case("secret_id") || last == "sessionid" { Strength::Chance } else { Strength::None };
    }
    let pair = |second: &str, firsts: &[&str]| words.windows(2).any(|w| w[1] == second && has(firsts, &w[0]));
    if pair("token", PAGING) || (words.len() > 1 && has(NEGATING, first)) {
        return Strength::None;
    }
    if secret(last)
        || pair("key", KEY_WORDS)
        || pair("keys", &["access", "private", "secret", "api"])
        || pair("signature", &["access"])
    {
        return Strength::Sure;
    }
    if words.iter().any(secret) {
        let shouted = !key.bytes().any(|b| b.is_ascii_lowercase());
        let qualified =
            matches!(last.as_str(), "hash" | "value" | "key" | "base" | "base64" | "old" | "new" | "prod" | "hashed");
        return if shouted || qualified { Strength::Sure } else { Strength::Odd };
    }
    let short = |word: &String| matches!(word.as_str(), "pass" | "pw");
    if words.iter().any(short) {
        return if words.len() > 1 { Strength::Sure } else { Strength::Odd };
    }
    // `client-key-data` of a kubeconfig is the key itself.
    let data = last == "data" && words.len() > 1 && words[words.len() - 2] == "key";
    if pair("key", KEY_HARMLESS) || !(data || has(CHANCE_WORDS, last)) {
        return Strength::None;
    }
    Strength::Chance
}

/// `apiKey`, `api_key`, `API-KEY` are the words api, key.
fn words(key: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let bytes = key.as_bytes();
    for (i, b) in bytes.iter().enumerate() {
        let lower = i > 0 && (bytes[i - 1].is_ascii_lowercase() || bytes[i - 1].is_ascii_digit());
        // `HTTPToken` is two words as well.
        let tail = i > 0 && bytes[i - 1].is_ascii_uppercase() && bytes.get(i + 1).is_some_and(u8::is_ascii_lowercase);
        if !b.is_ascii_alphanumeric() || ((lower || tail) && b.is_ascii_uppercase()) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut()
            && b.is_ascii_alphanumeric()
        {
            word.push(char::from(b.to_ascii_lowercase()));
        }
    }
    words.retain(|word| !word.is_empty());
    // `password1` and `token2` are no other words.
    for word in &mut words {
        let letters = word.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        if letters > 2 {
            word.truncate(letters);
        }
    }
    words
}

/// Whether the key is one whose value may be a number or a word of any kind.
pub(super) fn is_password(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    key.contains("pass") || key.contains("pw")
}

/// Whether the value is that of a header that holds nothing else than secrets.
pub(super) fn is_header(key: &str) -> bool {
    let last = words(key);
    last.last().is_some_and(|w| matches!(w.as_str(), "authorization" | "cookie"))
}
