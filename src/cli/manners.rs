//! How a command behaves towards whoever called it. Decided once at the start, from flags, terminals and environment; verbs
//! only ask.

use std::ffi::OsString;
use std::io::IsTerminal;

use clap::{Args, ColorChoice};

use super::paint::{Environment, Paint, When};

/// Flags of every verb about it.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Flags {
    /// Colour: auto (on a terminal; see NO_COLOR, CLICOLOR_FORCE), always or never
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_default_value = true,
        help_heading = HEADING,
        display_order = LAST
    )]
    color: When,
    /// No messages but errors, and no progress
    #[arg(short, long, global = true, help_heading = HEADING, display_order = LAST)]
    quiet: bool,
}

/// Flags that every verb has are shown below those that only this one has.
pub const HEADING: &str = "Global Options";

/// Shown after a verb's own flags: clap numbers those from 0, and no verb has as many.
pub const LAST: usize = 1000;

/// When clap is to paint what it says itself, help and errors: it has to know before it has read the line. Without the flag,
/// or with one that makes no sense, it goes by terminal and environment as [`Paint::decide`] does.
#[must_use]
pub fn of_help(words: impl IntoIterator<Item = OsString>) -> ColorChoice {
    let mut words = words.into_iter().map_while(|word| word.into_string().ok()).take_while(|word| word != "--");
    while let Some(word) = words.next() {
        let Some(rest) = word.strip_prefix("--color") else { continue };
        let value = if rest.is_empty() { words.next() } else { rest.strip_prefix('=').map(str::to_owned) };
        match value.and_then(|value| value.parse().ok()) {
            Some(When::Always) => return ColorChoice::Always,
            Some(When::Never) => return ColorChoice::Never,
            Some(When::Auto) | None => {}
        }
    }
    ColorChoice::Auto
}

/// Which of the three standard streams is a terminal.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terminals {
    /// Standard input: somebody can answer.
    pub input: bool,
    /// Standard output: somebody reads the data.
    pub output: bool,
    /// Standard error: somebody reads the messages.
    pub error: bool,
}

impl Terminals {
    /// Those of this process.
    #[must_use]
    pub fn of_this_process() -> Self {
        Self {
            input: std::io::stdin().is_terminal(),
            output: std::io::stdout().is_terminal(),
            error: std::io::stderr().is_terminal(),
        }
    }
}

/// Whether somebody can be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asking {
    /// Somebody sees the question and can answer.
    Possible,
    /// Nobody does.
    #[default]
    NoTerminal,
    /// Somebody does, and has said that they do not want to hear anything.
    Quiet,
}

/// How a command behaves. The default is that of a command in a script: plain, and nobody there to ask.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manners {
    /// Whether data is painted.
    pub paint: Paint,
    /// No messages but errors. What a verb writes to [`Io::err`](super::Io) is thrown away for it; a verb looks at this only where its
    /// data has less to say.
    pub quiet: bool,
    /// Whether progress is shown.
    pub progress: bool,
    /// Whether standard output is a terminal, on which can be drawn over what was drawn before.
    pub repaints: bool,
    /// Whether somebody can be asked.
    pub asking: Asking,
}

impl Manners {
    /// What flags, terminals and environment come to.
    #[must_use]
    pub fn decide(flags: Flags, terminals: Terminals, environment: Environment) -> Self {
        Self {
            paint: Paint::decide(flags.color, terminals.output, environment),
            quiet: flags.quiet,
            // A dumb terminal cannot go back to the beginning of a line and clear it.
            progress: terminals.error && !flags.quiet && !environment.dumb,
            repaints: terminals.output && !environment.dumb,
            asking: match terminals.input && terminals.error {
                true if flags.quiet => Asking::Quiet,
                true => Asking::Possible,
                false => Asking::NoTerminal,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Terminals = Terminals { input: true, output: true, error: true };

    #[test]
    fn on_a_terminal_a_command_shows_progress_and_asks() {
        let manners = Manners::decide(Flags::default(), ALL, Environment::default());
        assert!(manners.progress && manners.repaints && manners.paint.is_on());
        assert_eq!(manners.asking, Asking::Possible);
    }

    #[test]
    fn help_is_painted_as_the_flag_says() {
        for (line, expected) in [
            ("get --help", ColorChoice::Auto),
            ("get --color=always --help", ColorChoice::Always),
            ("--color never get", ColorChoice::Never),
            ("--color", ColorChoice::Auto),
            ("--color=purple", ColorChoice::Auto),
            ("get -- --color=always", ColorChoice::Auto),
        ] {
            assert_eq!(of_help(line.split(' ').map(OsString::from)), expected, "{line}");
        }
    }

    #[test]
    fn a_quiet_command_shows_no_progress_and_does_not_ask() {
        let quiet = Flags { quiet: true, ..Flags::default() };
        let manners = Manners::decide(quiet, ALL, Environment::default());
        assert!(!manners.progress);
        assert_eq!(manners.asking, Asking::Quiet);
        assert!(manners.paint.is_on(), "quiet is about messages, not about data");
    }

    #[test]
    fn what_is_not_seen_is_not_asked_and_what_is_not_cleared_is_not_shown() {
        let piped = Terminals { error: false, ..ALL };
        let manners = Manners::decide(Flags::default(), piped, Environment::default());
        assert!(!manners.progress);
        assert_eq!(manners.asking, Asking::NoTerminal);
        let script = Terminals { input: false, ..ALL };
        assert_eq!(Manners::decide(Flags::default(), script, Environment::default()).asking, Asking::NoTerminal);
        let dumb = Environment { dumb: true, ..Environment::default() };
        let manners = Manners::decide(Flags::default(), ALL, dumb);
        assert!(!manners.progress && !manners.repaints);
        assert_eq!(manners.asking, Asking::Possible);
    }
}
