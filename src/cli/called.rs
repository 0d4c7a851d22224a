//! How this command was called: the commands that it suggests reach the store that it has reached.
//!
//! What is in the environment or in the configuration holds for the next command too, and needs no words.

use crate::store::StoreUrl;

/// The flags that choose the store, as they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Called {
    /// With a blank before them; empty when there were none.
    flags: String,
    /// Those that mean the same to another user of this host.
    flags_of_any_user: String,
}

impl Called {
    /// With these flags.
    pub fn with(store: Option<&StoreUrl>, context: Option<&str>) -> Self {
        let flag = |name: &str, value: &str| format!(" {name} {}", word(value));
        let flags_of_any_user = store.map(|url| flag("--store", &url.to_string())).unwrap_or_default();
        let context = context.filter(|_| store.is_none()).map(|context| flag("--context", context));
        Self { flags: context.unwrap_or_else(|| flags_of_any_user.clone()), flags_of_any_user }
    }

    /// A text with commands in it, each with the flags of this one. A path or another word that ends in `wicapctl` is no command.
    pub fn again(&self, text: &str) -> String {
        const PROGRAM: &str = "wicapctl";
        if self.flags.is_empty() {
            return text.to_owned();
        }
        let mut said = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(PROGRAM) {
            let (before, found) = rest.split_at(at);
            rest = &found[PROGRAM.len()..];
            said.push_str(before);
            said.push_str(PROGRAM);
            if begins_a_command(before) && !names_a_store(rest) {
                // Contexts are each user's own: as root there may be none of that name.
                let another_user = before.ends_with("sudo ");
                said.push_str(if another_user { &self.flags_of_any_user } else { &self.flags });
            }
        }
        said + rest
    }
}

/// Whether arguments choose a store by themselves, are about choosing one, or are none.
fn names_a_store(arguments: &str) -> bool {
    !arguments.starts_with(' ') || [" --store", " --context", " config "].iter().any(|word| arguments.starts_with(word))
}

/// Whether a program can begin after this text.
fn begins_a_command(before: &str) -> bool {
    before.chars().next_back().is_none_or(|c| c.is_whitespace() || "`;(|&".contains(c))
}

/// A word of a command line as a POSIX shell reads it back, so that a command can be copied.
#[must_use]
pub(crate) fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+%".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_suggested_reaches_the_same_store() {
        let url: StoreUrl = "unix:///srv/a b/store.sock".parse().unwrap();
        let stored = Called::with(Some(&url), None);
        assert_eq!(
            stored.again("wicapctl session end a && wicapctl session start wicap"),
            "wicapctl --store 'unix:///srv/a b/store.sock' session end a && \
             wicapctl --store 'unix:///srv/a b/store.sock' session start wicap"
        );
        let local: StoreUrl = "unix:///a/store.sock".parse().unwrap();
        let local = Called::with(Some(&local), None);
        assert_eq!(local.again("sudo wicapctl status"), "sudo wicapctl --store unix:///a/store.sock status");
        let named = Called::with(None, Some("prod"));
        for (text, expected) in [
            ("Say yes, or no with `wicapctl deny a`:", "Say yes, or no with `wicapctl --context prod deny a`:"),
            ("(pgrep -a wicapd; wicapctl doctor)", "(pgrep -a wicapd; wicapctl --context prod doctor)"),
            ("sudo wicapctl status", "sudo wicapctl status"),
            ("wicapctl --store unix:///a if root's is meant", "wicapctl --store unix:///a if root's is meant"),
            ("(wicapctl config set-context root)", "(wicapctl config set-context root)"),
            ("cat /etc/wicapctl x", "cat /etc/wicapctl x"),
            ("what is wicapctl?", "what is wicapctl?"),
            ("wicapctl", "wicapctl"),
            ("", ""),
        ] {
            assert_eq!(named.again(text), expected);
            assert_eq!(Called::default().again(text), text, "nothing was said, and nothing is added");
        }
    }

    #[test]
    fn a_word_is_quoted_where_a_shell_would_read_something_else() {
        for (text, expected) in [
            ("/srv/a", "/srv/a"),
            ("a b", "'a b'"),
            ("", "''"),
            ("$(x)", "'$(x)'"),
            ("it's", "'it'\\''s'"),
            ("a;b", "'a;b'"),
        ] {
            assert_eq!(word(text), expected);
        }
    }
}
