//! `store snapshot`: a backup of all that the store holds.

use std::path::PathBuf;

use clap::Args;

use super::interruption;
use crate::cli::interrupt;
use crate::cli::{Error, Io};
use crate::store::Store;
use crate::store::backup::{self, Saved, save};

/// Arguments of `store snapshot`.
#[derive(Debug, Args)]
pub struct Snapshot {
    /// The file to write; there must be none of that name
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl Snapshot {
    pub(super) async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        // It tidies up after itself.
        let _signals = interrupt::hold();
        let stop = interruption()?;
        let Saved { revision, versions, bytes } = tokio::select! {
            saved = save(store, &self.file) => saved?,
            () = stop.cancelled() => return Err(Error::No("interrupted; there is no snapshot".to_owned())),
        };
        writeln!(io.out, "{}: revision {revision}, {versions} versions of keys, {bytes} bytes", self.file.display())?;
        Ok(())
    }
}

impl From<backup::Error> for Error {
    fn from(error: backup::Error) -> Self {
        use backup::Error as E;
        match error {
            E::Store(error) => error.into(),
            E::Exists { .. } | E::Unfinished { .. } => Self::Refused(vec![format!("error: {error}")]),
            E::File { .. } | E::Damaged(_) => Self::No(error.to_string()),
        }
    }
}
