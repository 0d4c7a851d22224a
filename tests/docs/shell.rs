//! Commands that are not run: whether what they name exists.

use std::process::Command;

use clap::Parser;
use clap::error::ErrorKind;
use wicap::cli::Cli;

use crate::page::root;
use crate::scene;

/// What starts services where a machine has systemd. A container has none, and its pages are checked there too.
const SERVICES: &str = "systemctl";

/// What the shell has itself.
const BUILT_IN: [&str; 6] = ["cd", "export", "kill", "exit", "echo", "umask"];

/// Words that stand for what has a form: a word of that form takes their place.
const STANDS_FOR: [(&str, &str); 3] = [("URL", "unix:///a.sock"), ("NAMES", "planner"), ("COUNT", "1")];

/// What does not exist of what the lines name.
pub fn mistakes(text: &str) -> Vec<String> {
    commands(text).iter().filter_map(|words| check(words).err().map(|m| format!("{}: {m}", words.join(" ")))).collect()
}

/// The commands of some lines: without comments, `&&`, `|` and `;` taken for their ends. A line that begins with blanks goes on
/// with the one before it, as the second line of a synopsis does.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let line = without_comment(line).trim_end().trim_end_matches('\\').to_owned();
        match lines.last_mut() {
            Some(last) if line.starts_with(' ') => last.push_str(&line),
            _ => lines.push(line),
        }
    }
    let mut commands = Vec::new();
    for line in &lines {
        let words = words(line);
        commands.extend(words.split(|w| matches!(w.as_str(), "&&" | "||" | "|" | ";" | "&")).map(<[String]>::to_vec));
    }
    commands.retain(|words| !words.is_empty());
    commands
}

/// A `#` at the beginning of a word begins a comment.
fn without_comment(line: &str) -> &str {
    if line.starts_with('#') { "" } else { line.split_once(" #").map_or(line, |(command, _)| command) }
}

/// The words of a line: quotes hold together, what is redirected and what is set before a command is left out, and so are the
/// signs of a synopsis: of `[--format text|json]` the words `--format text` are taken.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, ' ') => words.push(String::new()),
            (None, '[' | ']') => {}
            (_, c) => {
                if let Some(last) = words.last_mut() {
                    last.push(c);
                }
            }
        }
    }
    let redirected = |w: &str| w.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with(['<', '>']);
    words.retain(|w| !w.is_empty() && !redirected(w) && w != "…" && w != "sudo");
    let set =
        |w: &String| w.split_once('=').is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'));
    let first = words.iter().position(|w| !set(w)).unwrap_or(words.len());
    let one = |w: String| match w.split_once('|') {
        Some((first, _)) if !first.is_empty() => first.to_owned(),
        _ => w,
    };
    words.drain(first..).map(one).collect()
}

fn check(words: &[String]) -> Result<(), String> {
    let (program, arguments) = (words[0].as_str(), &words[1..]);
    match program {
        "wicapctl" => parses(arguments),
        "wicapd" => {
            let mut all = stood_for(arguments);
            all.push("--help".to_owned());
            let output = Command::new(scene::program("wicapd")).args(&all).output().map_err(|e| e.to_string())?;
            if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
        }
        "cargo" => {
            let listed = Command::new("cargo").arg("--list").output().map_err(|e| e.to_string())?;
            let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
            let known = |word: &str| listed.lines().any(|l| l.split_whitespace().next() == Some(word));
            match arguments.first() {
                Some(word) if known(word) => Ok(()),
                other => Err(format!("found {other:?}, expected a command of cargo")),
            }
        }
        _ if program.starts_with("hack/") => script(program, arguments),
        _ if program.contains('/') => exists(program),
        _ if BUILT_IN.contains(&program) || program == SERVICES => Ok(()),
        _ => on_path(program),
    }
}

fn stood_for(arguments: &[String]) -> Vec<String> {
    let one = |w: &String| STANDS_FOR.iter().find(|(name, _)| name == w).map_or(w.clone(), |(_, form)| (*form).to_owned());
    arguments.iter().map(one).collect()
}

/// Whether `wicapctl` takes the arguments.
fn parses(arguments: &[String]) -> Result<(), String> {
    let words = std::iter::once("wicapctl".to_owned()).chain(stood_for(arguments));
    match Cli::try_parse_from(words) {
        Ok(_) => Ok(()),
        Err(e) if matches!(e.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => Ok(()),
        Err(e) => Err(e.to_string()),
    }
}

/// Whether a script is there, and takes what it is given: the first word or flag is in a line of its help that says how it is called,
/// the others are anywhere in it. Words in capitals and numbers stand for others.
fn script(program: &str, arguments: &[String]) -> Result<(), String> {
    exists(program)?;
    let output = Command::new(root().join(program)).arg("--help").output().map_err(|e| e.to_string())?;
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() || help.is_empty() {
        return Err("its --help says nothing".to_owned());
    }
    // What a call is for stands behind it, two blanks away.
    let calls = help.lines().map(str::trim).filter(|line| line.starts_with(program));
    let calls: String = calls.map(|line| format!("{} ", line.split("  ").next().unwrap_or_default())).collect();
    let stands_for_others =
        |word: &str| word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || "_.…".contains(c));
    let known =
        |text: &str, word: &str| text.split(|c: char| c.is_whitespace() || "[]|,;".contains(c)).any(|known| known == word);
    for (index, word) in arguments.iter().enumerate() {
        if !stands_for_others(word) && !known(if index == 0 { &calls } else { &help }, word) {
            return Err(format!("its --help does not have {word:?}"));
        }
    }
    Ok(())
}

fn exists(file: &str) -> Result<(), String> {
    if root().join(file).exists() || std::path::Path::new(file).is_absolute() {
        Ok(())
    } else {
        Err(format!("there is no {file}"))
    }
}

fn on_path(program: &str) -> Result<(), String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|directory| directory.join(program).is_file());
    if found { Ok(()) } else { Err(format!("there is no program {program:?} here: hack/setup --test has what is needed")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_apart_as_a_shell_does() {
        let taken = |text: &str| commands(text).iter().map(|w| w.join("·")).collect::<Vec<_>>();
        assert_eq!(
            taken("a b   # c\n# d\ne && f | g 'h i' >k 2>&1\n"),
            ["a·b", "e·f".split('·').next().unwrap(), "f", "g·h i"]
        );
        assert_eq!(taken("a [--b C|D]\n  [--e]\nX=1 sudo f …\n"), ["a·--b·C·--e", "f"]);
    }

    #[test]
    fn what_exists_is_no_mistake() {
        for line in [
            "wicapctl get stacks -o json | sort",
            "wicapctl --store URL get stacks",
            "wicapd run [--store URL] [--log-format text|json]",
            "hack/bench recovery [TRIALS]",
            "hack/setup --test",
            "cargo test --lib",
            ".ci/run",
        ] {
            assert_eq!(mistakes(line), Vec::<String>::new(), "{line}");
        }
    }

    #[test]
    fn what_does_not_exist_is_named() {
        for line in [
            "wicapctl frobnicate",
            "wicapctl get stacks --frobnicate",
            "wicapd run --frobnicate",
            "hack/frobnicate",
            "hack/setup --frobnicate",
            "hack/bench frobnicate",
            // A word of what its help says of a call, and not of the call.
            "hack/bench price",
            "cargo frobnicate",
            "frobnicate",
            "true && frobnicate",
            ".ci/frobnicate",
        ] {
            assert_eq!(mistakes(line).len(), 1, "{line}");
        }
    }
}
