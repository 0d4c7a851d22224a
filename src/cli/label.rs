//! `label`: sets and removes labels, by which objects are chosen.

use clap::Args;

use super::pairs::Tags;
use super::tagging::Tagging;
use super::{Error, Io};
use crate::store::Store;

/// Arguments of `label`.
#[derive(Debug, Args)]
pub struct Label {
    #[command(flatten)]
    tagging: Tagging,
}

impl Label {
    pub(super) async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        let word = |changed, only_removed| match (changed, only_removed) {
            (false, _) => "not labeled",
            (true, true) => "unlabeled",
            (true, false) => "labeled",
        };
        self.tagging.run(Tags::Labels, word, store, io).await
    }
}
