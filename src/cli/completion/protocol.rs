//! What a shell asks, and how it is answered.
//!
//! bash passes the line up to the cursor as one argument; fish and zsh pass the words, as clap_complete's scripts have them
//! do it. A question that makes no sense gets an empty answer: nobody reads messages while they type.

use std::ffi::OsString;
use std::io::{self, Write};

use clap::Command;
use clap::error::ErrorKind;
use clap_complete::CompletionCandidate;

use super::{Shell, VARIABLE, values};

/// What bash breaks words at, with which its script says where the word begins that it replaces.
const BREAKS: &str = "_WICAPCTL_BREAKS";

/// Which word zsh asks about, counted from 0.
const INDEX: &str = "_CLAP_COMPLETE_INDEX";

/// Answers when it is a shell that asks. Returns whether it was: then there is nothing else to do.
///
/// # Errors
/// The output's.
pub fn answer(command: impl FnOnce() -> Command, out: &mut dyn Write) -> io::Result<bool> {
    let Some(shell) = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()) else {
        return Ok(false);
    };
    let shell = shell.to_str().and_then(Shell::find);
    let words: Vec<OsString> = std::env::args_os().skip_while(|word| word != "--").skip(1).collect();
    let variable = |name: &str| std::env::var(name).ok();
    if let Some(question) = shell.and_then(|shell| Question::read(shell, words, variable)) {
        question.answer(command(), out)?;
    }
    out.flush()?;
    Ok(true)
}

/// What is to be completed.
#[derive(Debug, PartialEq)]
struct Question {
    shell: Shell,
    /// Of the line, the program's name first, the one to be completed last.
    words: Vec<String>,
    /// How many bytes of the last word the shell keeps, and wants none of in the answer.
    kept: usize,
}

impl Question {
    fn read(shell: Shell, words: Vec<OsString>, variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let mut words: Vec<String> = words.into_iter().map(|word| word.into_string().ok()).collect::<Option<_>>()?;
        match shell {
            Shell::Bash => {
                let line = words.first()?;
                let breaks = variable(BREAKS).unwrap_or_default();
                let (words, kept) = split(line, &breaks);
                (words.len() > 1).then_some(Self { shell, words, kept })
            }
            Shell::Fish | Shell::Zsh => {
                if let Some(index) = variable(INDEX).and_then(|index| index.parse::<usize>().ok()) {
                    // zsh leaves out an empty last word, and passes those behind the cursor too.
                    words.truncate(index + 1);
                    if words.len() == index {
                        words.push(String::new());
                    }
                }
                (words.len() > 1).then_some(Self { shell, words, kept: 0 })
            }
        }
    }

    fn answer(self, command: Command, out: &mut dyn Write) -> io::Result<()> {
        let last = self.words.last().cloned().unwrap_or_default();
        let index = self.words.len() - 1;
        // Behind a verb that there is not, clap offers the verbs again.
        let so_far = command.clone().try_get_matches_from(&self.words[..index]);
        if so_far.is_err_and(|e| e.kind() == ErrorKind::InvalidSubcommand) {
            return Ok(());
        }
        let here = std::env::current_dir().ok();
        let mut command = values::attached(command, &self.words);
        let mut words: Vec<OsString> = self.words.iter().map(OsString::from).collect();
        if last == "-" {
            // Of a flag that has two names clap offers the short one then, which says little.
            words[index] = "--".into();
        }
        let found = clap_complete::engine::complete(&mut command, words, index, here.as_deref()).unwrap_or_default();
        for candidate in found {
            let value = candidate.get_value().to_string_lossy();
            // Flags only where one was begun, as kubectl does: between names they are in the way.
            if value.starts_with('-') && !last.starts_with('-') {
                continue;
            }
            // A candidate that a stored name or value would make two of is none.
            if value.contains(char::is_control) {
                continue;
            }
            writeln!(out, "{}", self.line(&value, &candidate))?;
        }
        Ok(())
    }

    fn line(&self, value: &str, candidate: &CompletionCandidate) -> String {
        let help = candidate.get_help().map(ToString::to_string);
        let help = help.as_deref().and_then(|help| help.lines().next()).filter(|help| !help.is_empty());
        match (self.shell, help) {
            (Shell::Bash, _) => value.get(self.kept..).unwrap_or(value).to_owned(),
            (Shell::Fish, Some(help)) => format!("{value}\t{help}"),
            (Shell::Fish, None) => value.to_owned(),
            (Shell::Zsh, Some(help)) => format!("{}:{}", for_zsh(value), help.replace('\\', "\\\\")),
            (Shell::Zsh, None) => for_zsh(value),
        }
    }
}

/// zsh takes what is behind a colon for a description.
fn for_zsh(value: &str) -> String {
    value.replace('\\', "\\\\").replace(':', "\\:")
}

/// The words of a line up to the cursor, without their quotes, and how much of the last one bash keeps when it puts an
/// answer in: all up to the last character that is not quoted and at which it breaks words.
fn split(line: &str, breaks: &str) -> (Vec<String>, usize) {
    let mut words = vec![String::new()];
    let mut kept = 0;
    let mut quote = None;
    // Whether the last word has begun, if only with a quote.
    let mut begun = false;
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        let fresh = c.is_whitespace() && quote.is_none();
        if fresh {
            if std::mem::take(&mut begun) {
                words.push(String::new());
                kept = 0;
            }
            continue;
        }
        begun = true;
        let Some(word) = words.last_mut() else { continue };
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), _) if c == open => quote = None,
            (None | Some('"'), '\\') => word.extend(characters.next()),
            (Some(_), _) => word.push(c),
            (None, _) => {
                word.push(c);
                if breaks.contains(c) {
                    kept = word.len();
                }
            }
        }
    }
    (words, kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// bash's default, of `COMP_WORDBREAKS`.
    const DEFAULT: &str = " \t\n\"'@><=;|&(:";

    #[test]
    fn a_line_is_split_as_bash_does_and_put_together_where_it_does_not() {
        for (line, words, kept) in [
            ("wicapctl ", &["wicapctl", ""][..], 0),
            ("wicapctl get w", &["wicapctl", "get", "w"], 0),
            ("wicapctl  get  ", &["wicapctl", "get", ""], 0),
            ("wicapctl wait ws/a --for=", &["wicapctl", "wait", "ws/a", "--for="], 6),
            ("wicapctl wait ws/a --for=condition=Av", &["wicapctl", "wait", "ws/a", "--for=condition=Av"], 16),
            ("wicapctl --store unix:///r", &["wicapctl", "--store", "unix:///r"], 5),
            ("wicapctl get ws -l 'a b", &["wicapctl", "get", "ws", "-l", "a b"], 0),
            ("wicapctl get ws -l \"a=b\" ", &["wicapctl", "get", "ws", "-l", "a=b", ""], 0),
            ("wicapctl get ws -l a\\ b", &["wicapctl", "get", "ws", "-l", "a b"], 0),
        ] {
            let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
            assert_eq!(split(line, DEFAULT), (words, kept), "{line:?}");
        }
    }

    #[test]
    fn zsh_says_which_word_it_means() {
        let ask = |words: &[&str], index: &str| {
            let words = words.iter().map(OsString::from).collect();
            Question::read(Shell::Zsh, words, |name| (name == INDEX).then(|| index.to_owned())).map(|q| q.words)
        };
        assert_eq!(ask(&["wicapctl", "get"], "2"), Some(["wicapctl", "get", ""].map(str::to_owned).into()));
        assert_eq!(ask(&["wicapctl", "ge", "x"], "1"), Some(["wicapctl", "ge"].map(str::to_owned).into()));
        assert_eq!(ask(&["wicapctl"], "0"), None);
    }

    fn answered(line: &str) -> Vec<String> {
        let variable = |name: &str| (name == BREAKS).then(|| DEFAULT.to_owned());
        let question = Question::read(Shell::Bash, vec![line.into()], variable).unwrap();
        let mut out = Vec::new();
        question.answer(crate::cli::command(), &mut out).unwrap();
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn verbs_flags_and_values_are_completed() {
        for (line, expected) in [
            ("wicapctl ge", &["get"][..]),
            ("wicapctl get wic", &["wicapstacks"]),
            ("wicapctl get ws,inc", &["ws,incidents"]),
            ("wicapctl get ws --outp", &["--output", "--output-watch-events"]),
            ("wicapctl get ws -o jsonpath-", &["jsonpath-as-json=", "jsonpath-file="]),
            ("wicapctl get ws --output=ya", &["yaml"]),
            ("wicapctl wait ws/a --for=d", &["delete"]),
            ("wicapctl wait ws/a --for cond", &["condition="]),
            ("wicapctl policy explain --action re", &["restart_service", "recreate_service"]),
            ("wicapctl audit list --output ", &["table", "json"]),
            ("wicapctl --store em", &["embedded"]),
            ("wicapctl completion ", &["bash", "fish", "zsh"]),
            ("wicapctl zzz ", &[]),
        ] {
            assert_eq!(answered(line), expected, "{line:?}");
        }
    }

    #[test]
    fn flags_are_offered_only_where_one_was_begun() {
        assert!(answered("wicapctl get ").iter().all(|word| !word.starts_with('-')));
        for typed in ["wicapctl get -", "wicapctl get ws -", "wicapctl get --"] {
            assert!(answered(typed).iter().any(|word| word == "--watch"), "{typed:?}");
        }
    }

    #[test]
    fn a_description_stands_behind_the_value_as_the_shell_wants_it() {
        let candidate = CompletionCandidate::new("a:b").help(Some("what\nmore".into()));
        let line = |shell| Question { shell, words: vec![], kept: 2 }.line("a:b", &candidate);
        assert_eq!(line(Shell::Bash), "b");
        assert_eq!(line(Shell::Fish), "a:b\twhat");
        assert_eq!(line(Shell::Zsh), "a\\:b:what");
    }

    proptest! {
        #[test]
        fn any_line_is_split_and_what_is_kept_is_part_of_the_last_word(line in ".{0,40}") {
            let (words, kept) = split(&line, DEFAULT);
            prop_assert!(words.last().is_some_and(|word| word.is_char_boundary(kept)));
        }
    }
}
