//! `annotate`: sets and removes annotations, which say anything about an object that nobody chooses it by.

use clap::Args;

use super::pairs::Tags;
use super::tagging::Tagging;
use super::{Error, Io};
use crate::store::Store;

/// Arguments of `annotate`.
#[derive(Debug, Args)]
pub struct Annotate {
    #[command(flatten)]
    tagging: Tagging,
}

impl Annotate {
    pub(super) async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        self.tagging.run(Tags::Annotations, |_, _| "annotated", store, io).await
    }
}
