//! A program's arguments as a page.

use clap::builder::StyledStr;
use clap::{Arg, ArgAction, Command};

use super::prose::{flat, item, paragraph};

/// The page of a program: its flags for every verb, and then verb by verb.
pub(super) fn page(mut command: Command) -> String {
    // Usage lines are as wide as they are, and no wider than the page where they are long.
    command = command.term_width(0).disable_help_subcommand(true);
    command.build();
    let name = command.get_name().to_owned();
    let mut page = format!("# {name}\n\n{}", about(&command));
    let of_all: Vec<&Arg> = command.get_arguments().filter(|a| is_shown(a)).collect();
    if !of_all.is_empty() {
        page.push_str("\nFor every verb:\n\n");
        page.extend(of_all.into_iter().map(argument));
    }
    for verb in shown(&command) {
        verb_page(&mut page, verb, &name);
    }
    page
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|c| !c.is_hide_set() && c.get_name() != "help")
}

fn is_shown(argument: &Arg) -> bool {
    !argument.is_hide_set() && !matches!(argument.get_id().as_str(), "help" | "version")
}

fn verb_page(page: &mut String, verb: &Command, above: &str) {
    let name = format!("{above} {}", verb.get_name());
    let usage = verb.clone().render_usage().to_string();
    page.push_str(&format!("\n## {name}\n\n{}\n", about(verb)));
    page.push_str(&code(&usage));
    if let Some(examples) = verb.get_after_help() {
        page.push_str(&format!("\n{}", code(&examples.to_string())));
    }
    let own: Vec<&Arg> = verb.get_arguments().filter(|a| is_shown(a) && !a.is_global_set()).collect();
    if !own.is_empty() {
        page.push('\n');
        page.extend(own.into_iter().map(argument));
    }
    for below in shown(verb) {
        verb_page(page, below, &name);
    }
}

/// Code is indented, so that it is no block of commands that somebody could take for one that is run.
fn code(text: &str) -> String {
    text.trim().lines().map(|line| format!("    {line}").trim_end().to_owned() + "\n").collect()
}

fn about(command: &Command) -> String {
    let text = command.get_long_about().or(command.get_about()).map(StyledStr::to_string).unwrap_or_default();
    let paragraphs: Vec<_> = text.split("\n\n").map(|p| paragraph(&sentence(p))).collect();
    paragraphs.join("\n")
}

/// A flag or an operand: how it is written, whether it must be there, what it means, what it is otherwise.
fn argument(argument: &Arg) -> String {
    let takes = argument.get_action().takes_values();
    // As clap calls a value that has no name.
    let unnamed = || argument.get_id().as_str().to_uppercase();
    let values =
        if takes { argument.get_value_names().map_or_else(unnamed, |names| names.join(" ")) } else { String::new() };
    let mut written: Vec<String> = argument.get_short().map(|s| format!("-{s}")).into_iter().collect();
    written.extend(argument.get_long().map(|l| format!("--{l}")));
    let mut head = if written.is_empty() {
        format!("`{values}`")
    } else {
        let all: Vec<_> = written.iter().map(|w| format!("`{w}`")).collect();
        let values = if values.is_empty() { values } else { format!(" `{values}`") };
        all.join(", ") + &values
    };
    let many =
        matches!(argument.get_action(), ArgAction::Append) || argument.get_num_args().is_some_and(|n| n.max_values() > 1);
    let facts: Vec<&str> = [(argument.is_required_set(), "required"), (many, "may be repeated")]
        .iter()
        .filter(|(is, _)| *is)
        .map(|(_, w)| *w)
        .collect();
    if !facts.is_empty() {
        head.push_str(&format!(" ({})", facts.join(", ")));
    }
    let mut text = format!("{head}: {}", sentence(&help(argument)));
    let possible: Vec<_> =
        argument.get_possible_values().iter().filter(|v| !v.is_hide_set()).map(|v| format!("`{}`", v.get_name())).collect();
    if takes && !possible.is_empty() {
        text.push_str(&format!(" One of {}.", possible.join(", ")));
    }
    let default: Vec<_> = argument.get_default_values().iter().map(|v| v.to_string_lossy()).collect();
    if takes && !default.is_empty() && !argument.is_hide_default_value_set() {
        text.push_str(&format!(" Default: `{}`.", default.join(" ")));
    }
    if let Some(variable) = argument.get_env().filter(|_| !argument.is_hide_env_set()) {
        text.push_str(&format!(" Variable: `{}`.", variable.to_string_lossy()));
    }
    item(0, &text)
}

fn help(argument: &Arg) -> String {
    argument.get_long_help().or(argument.get_help()).map(ToString::to_string).unwrap_or_default()
}

/// With a full stop at its end, which short helps leave out.
fn sentence(text: &str) -> String {
    let text = flat(text);
    if text.is_empty() || text.ends_with(['.', '…', ':', '!', '?']) { text } else { format!("{text}.") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::builder::PossibleValuesParser;

    #[test]
    fn a_page_says_all_that_clap_knows() {
        let sub = Command::new("get").about("Show things").after_help("Examples:\n  tool get a").args([
            Arg::new("what").required(true).value_name("KIND").help("What to show"),
            Arg::new("output").short('o').long("output").default_value("table").help("How"),
            Arg::new("color")
                .long("color")
                .value_parser(PossibleValuesParser::new(["always", "never"]))
                .env("COLOR")
                .help("When."),
            Arg::new("file").long("file").action(ArgAction::Append).help("Which\nfiles"),
            Arg::new("quiet").long("quiet").action(ArgAction::SetTrue).help("Say less"),
            Arg::new("secret").long("secret").hide(true),
        ]);
        let global = Arg::new("store").long("store").global(true).value_name("URL").help("Where");
        let page =
            page(Command::new("tool").about("A tool").arg(global).subcommands([sub, Command::new("none").hide(true)]));
        let expected = "# tool\n\nA tool.\n\nFor every verb:\n\n- `--store` `URL`: Where.\n\n## tool get\n\nShow things.\n\n    Usage: \
                        tool get [OPTIONS] <KIND>\n\n    Examples:\n      tool get a\n\n- `KIND` (required): What to show.\n\
                        - `-o`, `--output` `OUTPUT`: How. Default: `table`.\n\
                        - `--color` `COLOR`: When. One of `always`, `never`. Variable: `COLOR`.\n\
                        - `--file` `FILE` (may be repeated): Which files.\n- `--quiet`: Say less.\n";
        assert_eq!(page, expected);
    }
}
