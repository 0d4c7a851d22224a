//! `--dry-run`: saying what would be done instead of doing it.

use clap::ValueEnum;

/// Whether something is done, and how far it is tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DryRun {
    /// It is done
    #[default]
    None,
    /// Nothing is written, and the store is asked only for what the answer needs
    Client,
    /// Nothing is written, and all is checked that the store would check
    Server,
}

impl DryRun {
    /// Whether anything is written.
    #[must_use]
    pub fn writes(self) -> bool {
        self == Self::None
    }

    /// What a line of the outcome ends with.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Client => " (dry run)",
            Self::Server => " (server dry run)",
        }
    }
}
