//! What is said to a command line that makes no sense: kubectl's words for a verb or a flag that is not known, with what was
//! perhaps meant; clap's for the rest.

use std::ffi::OsString;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// The words for an error of parsing, or nothing where clap's own are as good. `line` is what was parsed, the program's name first.
#[must_use]
pub fn words(error: &clap::Error, program: &Command, line: &[OsString]) -> Option<String> {
    let verb = verb(program, line);
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let found = text(error, ContextKind::InvalidSubcommand)?;
            Some(unknown_verb(found, &verb, &several(error, ContextKind::SuggestedSubcommand)))
        }
        ErrorKind::UnknownArgument => {
            let found = text(error, ContextKind::InvalidArg)?;
            Some(unknown_flag(found, &verb, &several(error, ContextKind::SuggestedArg)))
        }
        // A flag at the end of the line, without the value that it needs.
        ErrorKind::InvalidValue if text(error, ContextKind::InvalidValue) == Some("") => {
            let flag = first_word(text(error, ContextKind::InvalidArg)?);
            flag.starts_with('-').then(|| needs_value(&flag, &verb))
        }
        _ => None,
    }
}

fn needs_value(flag: &str, verb: &str) -> String {
    format!("error: flag needs an argument: {flag}\nSee '{verb} --help' for usage.")
}

fn unknown_verb(found: &str, under: &str, meant: &[String]) -> String {
    format!("error: unknown command {found:?} for {under:?}\n{}Run '{under} --help' for usage.", perhaps(meant))
}

/// kubectl tells apart what begins with one dash and what with two, and what has none.
fn unknown_flag(found: &str, verb: &str, meant: &[String]) -> String {
    let what = match found.strip_prefix("--") {
        Some(_) => format!("unknown flag: {found}"),
        None => match found.strip_prefix('-').and_then(|rest| rest.chars().next()) {
            Some(flag) => format!("unknown shorthand flag: '{flag}' in {found}"),
            None => format!("unexpected argument {found:?}"),
        },
    };
    format!("error: {what}\n{}See '{verb} --help' for usage.", perhaps(meant))
}

fn perhaps(meant: &[String]) -> String {
    if meant.is_empty() {
        return String::new();
    }
    let lines: String = meant.iter().map(|word| format!("\t{word}\n")).collect();
    format!("\nDid you mean this?\n{lines}\n")
}

/// `wicapctl policy`: the program's name and the verbs that were found on the line.
fn verb(program: &Command, line: &[OsString]) -> String {
    let mut found = program.get_name().to_owned();
    let mut verb = program;
    for below in line.iter().filter_map(|word| word.to_str()) {
        if let Some(next) = verb.find_subcommand(below) {
            verb = next;
            found = format!("{found} {}", verb.get_name());
        }
    }
    found
}

fn text(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text),
        _ => None,
    }
}

/// What clap suggests, without what stands for a value.
fn several(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(one)) => vec![first_word(one)],
        Some(ContextValue::Strings(all)) => all.iter().map(|text| first_word(text)).collect(),
        _ => Vec::new(),
    }
}

fn first_word(text: &str) -> String {
    text.split([' ', '=', '[']).next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> Option<String> {
        let words: Vec<OsString> = std::iter::once("wicapctl").chain(line.split(' ')).map(OsString::from).collect();
        let mut command = crate::cli::command();
        let error = command.try_get_matches_from_mut(&words).unwrap_err();
        super::words(&error, &command, &words)
    }

    #[test]
    fn an_unknown_verb_is_told_as_kubectl_does() {
        assert_eq!(
            said("gett ws").as_deref(),
            Some(
                "error: unknown command \"gett\" for \"wicapctl\"\n\nDid you mean this?\n\tget\n\n\
                 Run 'wicapctl --help' for usage."
            )
        );
        assert_eq!(
            said("zzzz").as_deref(),
            Some("error: unknown command \"zzzz\" for \"wicapctl\"\nRun 'wicapctl --help' for usage.")
        );
        let deeper = said("policy explian").unwrap();
        assert!(deeper.starts_with("error: unknown command \"explian\" for \"wicapctl policy\"\n"), "{deeper}");
        assert!(deeper.contains("\texplain\n"), "{deeper}");
    }

    #[test]
    fn an_unknown_flag_is_told_as_kubectl_does() {
        assert_eq!(
            said("get ws --zzzz").as_deref(),
            Some("error: unknown flag: --zzzz\nSee 'wicapctl get --help' for usage.")
        );
        assert_eq!(
            said("get ws -Z").as_deref(),
            Some("error: unknown shorthand flag: 'Z' in -Z\nSee 'wicapctl get --help' for usage.")
        );
        let near = said("get ws --outputt yaml").unwrap();
        assert!(near.contains("Did you mean this?\n\t--output\n"), "{near}");
        let surplus = said("version now").unwrap();
        assert!(surplus.starts_with("error: unexpected argument \"now\"\n"), "{surplus}");
    }

    #[test]
    fn a_flag_without_its_value_is_told_as_kubectl_does() {
        let expected = "error: flag needs an argument: --output\nSee 'wicapctl get --help' for usage.";
        assert_eq!(said("get ws --output").as_deref(), Some(expected));
        assert_eq!(said("get ws -o").as_deref(), Some(expected));
    }

    #[test]
    fn everything_else_is_left_to_clap() {
        assert_eq!(said("get"), None);
        assert_eq!(said("audit list --lane work"), None);
        assert_eq!(said("--help"), None);
    }
}
