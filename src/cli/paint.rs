//! Colour: what a word means, and how a terminal shows that.
//!
//! A verb says what a piece of text means, never which colour it has. Whether there is colour at all is decided once, by a
//! pure function of the flag, the terminal and the environment; when there is none, what is painted comes back as it was.
//!
//! Text is painted last, after it was made [harmless](super::print::table::harmless) and padded: the codes have no width.

use std::str::FromStr;

use clap::builder::styling::{AnsiColor, Effects, Style};

/// When there is colour.
///
/// clap's list of values, with what each means, would turn the help of every verb into its long form: so it is read here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// On a terminal, unless the environment says otherwise.
    #[default]
    Auto,
    /// Always, whatever the output is.
    Always,
    /// Never.
    Never,
}

impl When {
    /// The words for all of them.
    pub const WORDS: [&str; 3] = ["auto", "always", "never"];
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "always" => Ok(Self::Always),
            "never" => Ok(Self::Never),
            _ => Err(format!("expected one of {}", Self::WORDS.join(", "))),
        }
    }
}

/// What a piece of text means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Nothing in particular.
    #[default]
    Plain,
    /// As it should be: Running, Passed, True.
    Good,
    /// Not as it should be, and somebody has to look: Failed, Stopped.
    Bad,
    /// On its way, or not known: Pending, Degraded, Unknown.
    Warn,
    /// Less important than the rest.
    Dim,
    /// More important than the rest: headings, the next step.
    Strong,
}

impl Tone {
    /// One of the sixteen colours that every terminal has and that its owner has chosen to be readable on their background.
    fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Bad => AnsiColor::Red.on_default().effects(Effects::BOLD),
            Self::Warn => AnsiColor::Yellow.on_default(),
            Self::Dim => Style::new().effects(Effects::DIMMED),
            Self::Strong => Style::new().effects(Effects::BOLD),
        }
    }

    /// What the status of a condition means, where True is what one hopes for; `good_when` is False for conditions such as
    /// Escalated, where it is not.
    #[must_use]
    pub fn of_condition(status: &str, good_when: &str) -> Self {
        match status {
            _ if status == good_when => Self::Good,
            "True" | "False" => Self::Bad,
            _ => Self::Warn,
        }
    }

    /// What a word means that stands for a state: a phase, a verdict, the state or health of a service. [`Tone::Plain`] for a word that
    /// says nothing about good and bad.
    #[must_use]
    pub fn of_state(word: &str) -> Self {
        match word {
            "Running" | "Healthy" | "Active" | "Passed" | "Succeeded" | "Resolved" | "Available" => Self::Good,
            "Failed" | "Unhealthy" | "Dead" | "Exited" | "Missing" | "Stopped" | "Escalated" | "Open" | "Error"
            | "Denied" | "Aborted" => Self::Bad,
            "Pending" | "Starting" | "Restarting" | "Paused" | "Unknown" | "Degraded" | "AwaitingApproval" | "Warning"
            | "Terminating" => Self::Warn,
            "Expired" | "Ended" | "Completed" | "Normal" => Self::Dim,
            _ => Self::Plain,
        }
    }
}

/// What of the environment decides about colour.
#[derive(Clone, Copy, Debug, Default)]
pub struct Environment {
    /// NO_COLOR is there and not empty: no colour (<https://no-color.org>).
    pub no_color: bool,
    /// CLICOLOR_FORCE is there, not empty and not 0: colour on a pipe too (<https://bixense.com/clicolors>).
    pub forced: bool,
    /// TERM is dumb: a terminal that shows codes as they are.
    pub dumb: bool,
}

impl Environment {
    /// From the variables that `variable` finds.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let filled = |name| variable(name).filter(|value| !value.is_empty());
        Self {
            no_color: filled("NO_COLOR").is_some(),
            forced: filled("CLICOLOR_FORCE").is_some_and(|value| value != "0"),
            dumb: filled("TERM").is_some_and(|term| term == "dumb"),
        }
    }
}

/// Whether text is painted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// Decides: the flag before NO_COLOR before CLICOLOR_FORCE before what the output is.
    #[must_use]
    pub fn decide(when: When, is_terminal: bool, environment: Environment) -> Self {
        let on = match when {
            When::Always => true,
            When::Never => false,
            When::Auto if environment.no_color => false,
            When::Auto if environment.forced => true,
            When::Auto => is_terminal && !environment.dumb,
        };
        Self { on }
    }

    /// Whether there is colour.
    #[must_use]
    pub fn is_on(self) -> bool {
        self.on
    }

    /// `text` as its meaning is shown. Nothing stays nothing.
    #[must_use]
    pub fn text(self, tone: Tone, text: &str) -> String {
        if !self.on || text.is_empty() || tone == Tone::Plain {
            return text.to_owned();
        }
        let style = tone.style();
        format!("{style}{text}{style:#}")
    }

    /// A cell of a table whose word is painted by [`Tone::of_state`], its padding not: a coloured background or an
    /// underline of the terminal's own would show it.
    #[must_use]
    pub fn state(self, cell: &str) -> String {
        let word = cell.trim_end_matches(' ');
        self.text(Tone::of_state(word), word) + &cell[word.len()..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_where_the_flag_the_environment_and_the_terminal_want_it() {
        let variables = |pairs: &'static [(&str, &str)]| {
            Environment::of(|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
        };
        for (when, terminal, pairs, expected) in [
            (When::Auto, true, &[][..], true),
            (When::Auto, false, &[], false),
            (When::Auto, true, &[("NO_COLOR", "1")], false),
            (When::Auto, true, &[("NO_COLOR", "0")], false),
            (When::Auto, true, &[("NO_COLOR", "")], true),
            (When::Auto, true, &[("TERM", "dumb")], false),
            (When::Auto, true, &[("TERM", "xterm")], true),
            (When::Auto, false, &[("CLICOLOR_FORCE", "1")], true),
            (When::Auto, false, &[("CLICOLOR_FORCE", "0")], false),
            (When::Auto, true, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
            (When::Always, false, &[("NO_COLOR", "1"), ("TERM", "dumb")], true),
            (When::Never, true, &[("CLICOLOR_FORCE", "1")], false),
        ] {
            let paint = Paint::decide(when, terminal, variables(pairs));
            assert_eq!(paint.is_on(), expected, "{when:?}, terminal {terminal}, {pairs:?}");
        }
    }

    #[test]
    fn each_word_of_the_flag_is_read() {
        assert_eq!(When::WORDS.map(str::parse), [Ok(When::Auto), Ok(When::Always), Ok(When::Never)]);
        assert!("Always".parse::<When>().is_err());
    }

    #[test]
    fn without_colour_nothing_is_added() {
        let plain = Paint::default();
        assert_eq!(plain.text(Tone::Bad, "Failed"), "Failed");
        assert_eq!(plain.state("Failed   "), "Failed   ");
    }

    #[test]
    fn what_is_painted_ends_as_it_began() {
        let paint = Paint::decide(When::Always, false, Environment::default());
        for tone in [Tone::Good, Tone::Bad, Tone::Warn, Tone::Dim, Tone::Strong] {
            let text = paint.text(tone, "x");
            assert!(text.starts_with("\x1b[") && text.ends_with("x\x1b[0m"), "{text:?}");
        }
        assert_eq!(paint.text(Tone::Good, ""), "");
        assert_eq!(paint.text(Tone::Plain, "x"), "x");
    }

    #[test]
    fn the_padding_of_a_cell_stays_plain() {
        let paint = Paint::decide(When::Always, false, Environment::default());
        assert_eq!(paint.state("Running   "), "\x1b[32mRunning\x1b[0m   ");
        assert_eq!(paint.state("wicap   "), "wicap   ");
    }

    #[test]
    fn a_condition_is_good_when_it_is_as_one_hopes() {
        assert_eq!(Tone::of_condition("True", "True"), Tone::Good);
        assert_eq!(Tone::of_condition("False", "True"), Tone::Bad);
        assert_eq!(Tone::of_condition("False", "False"), Tone::Good);
        assert_eq!(Tone::of_condition("Unknown", "True"), Tone::Warn);
    }
}
