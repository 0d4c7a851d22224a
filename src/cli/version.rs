//! `version`: of this program, and of the store it would talk to.

use clap::Args;

use super::{Error, Io};
use crate::api::API_VERSION;
use crate::store::Store;

/// Arguments of `version`.
#[derive(Debug, Args)]
pub struct Version {
    /// Do not ask the store
    #[arg(long)]
    client: bool,
}

impl Version {
    pub(super) fn asks_the_store(&self) -> bool {
        !self.client
    }

    pub(super) async fn run(&self, store: Option<&Store>, io: &mut Io<'_>) -> Result<(), Error> {
        writeln!(io.out, "Client Version: v{}", env!("CARGO_PKG_VERSION"))?;
        writeln!(io.out, "API Version: {API_VERSION}")?;
        io.out.flush()?;
        if let Some(store) = store {
            writeln!(io.out, "Store Version: etcd {} at {}", store.version().await?, store.url())?;
        }
        Ok(())
    }
}
