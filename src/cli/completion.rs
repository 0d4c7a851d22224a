//! `completion`: what makes a shell complete verbs, flags, kinds, names and values.
//!
//! ```text
//! wicapctl completion bash ──▶ a script ──sourced──▶ the shell knows whom to ask
//! TAB ──▶ WICAPCTL_COMPLETE=bash wicapctl -- … ──▶ protocol ──▶ values ──▶ live: the store, at most 300 ms
//! ```
//!
//! # Layout
//! - [`protocol`]: the shells' questions and answers
//! - [`values`]: which flag or argument has which values
//! - [`live`]: names of objects, asked from the store
//! - [`fields`]: names of fields, from the schemas

pub mod fields;
pub mod live;
pub mod protocol;
pub mod values;

use clap::Args;
use clap_complete::env::{EnvCompleter, Fish, Zsh};

use super::{Error, Io};

/// What the scripts set for the program that they ask, to the name of the shell. It is the program's own, so that no other
/// one that is started with it takes it for its question.
pub const VARIABLE: &str = "WICAPCTL_COMPLETE";

/// The program's name, by which a shell finds it; not a path, so that the script may be installed for everybody.
const PROGRAM: &str = "wicapctl";

/// Arguments of `completion`.
#[derive(Debug, Args)]
pub struct Completion {
    /// The shell that is to be taught: bash, fish or zsh
    #[arg(value_name = "SHELL")]
    shell: Option<String>,
}

/// A shell that can ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    /// bash 4 or later.
    Bash,
    /// fish 3 or later.
    Fish,
    /// zsh 5 or later.
    Zsh,
}

impl Shell {
    /// The words for all of them.
    pub const WORDS: [&str; 3] = ["bash", "fish", "zsh"];

    /// The one of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        match name {
            "bash" => Some(Self::Bash),
            "fish" => Some(Self::Fish),
            "zsh" => Some(Self::Zsh),
            _ => None,
        }
    }
}

/// What bash is told. The line goes out as it was typed: bash breaks words at `=` and `:` too, and what was typed cannot be
/// put together again from its words. A word that is not over gets no blank behind it.
const BASH: &str = r#"# bash completion for wicapctl
_wicapctl() {
    local IFS=$'\n'
    COMPREPLY=( $(WICAPCTL_COMPLETE=bash _WICAPCTL_BREAKS="$COMP_WORDBREAKS" \
        wicapctl -- "${COMP_LINE:0:$COMP_POINT}" 2>/dev/null) )
    if [[ ${#COMPREPLY[@]} -eq 1 && "${COMPREPLY[0]}" == *[=/:.,] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -o nosort -F _wicapctl wicapctl 2>/dev/null || complete -F _wicapctl wicapctl
"#;

impl Completion {
    /// Prints the script.
    ///
    /// # Errors
    /// [`Error::Usage`] for no shell, or one that is not known; the output's.
    pub fn run(&self, io: &mut Io<'_>) -> Result<(), Error> {
        let usage = |text: &str| Error::Usage(format!("{text}\nSee '{PROGRAM} completion -h' for help and examples"));
        let name = self.shell.as_deref().ok_or_else(|| usage("Shell not specified."))?;
        match Shell::find(name).ok_or_else(|| usage(&format!("Unsupported shell type {name:?}.")))? {
            Shell::Bash => io.out.write_all(BASH.as_bytes())?,
            Shell::Fish => Fish.write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, io.out)?,
            Shell::Zsh => Zsh.write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, io.out)?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Manners;

    fn script(shell: Option<&str>) -> Result<String, Error> {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut io = Io { out: &mut out, err: &mut err, manners: Manners::default() };
        Completion { shell: shell.map(str::to_owned) }.run(&mut io)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn each_script_asks_the_program_by_its_name_and_variable() {
        for (shell, its_own) in [("bash", "COMPREPLY"), ("fish", "complete --"), ("zsh", "compdef")] {
            let script = script(Some(shell)).unwrap();
            assert!(script.contains(its_own), "{shell}: {script}");
            assert!(script.contains(VARIABLE) && script.contains("wicapctl --"), "{shell:?}: {script}");
        }
    }

    #[test]
    fn no_shell_and_an_unknown_one_are_refused_in_kubectls_words() {
        let see = "See 'wicapctl completion -h' for help and examples";
        let said = |shell| script(shell).unwrap_err().to_string();
        assert_eq!(said(None), format!("error: Shell not specified.\n{see}"));
        assert_eq!(said(Some("tcsh")), format!("error: Unsupported shell type \"tcsh\".\n{see}"));
    }
}
