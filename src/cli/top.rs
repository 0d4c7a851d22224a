//! `top`: what uses most, what is behind most, and what logs say most.
//!
//! # Layout
//! - `services`: what the services of stacks use
//! - `controllers`: who leads, and what waits for whom
//! - `signatures`: what logs say

mod controllers;
mod services;
mod signatures;

use crate::cli::{Error, Io};
use crate::store::Store;
use clap::{Args, Subcommand};

/// What is shown where a value is not known, as in `kubectl top`.
const UNKNOWN: &str = "<unknown>";

/// Arguments of `top`.
#[derive(Debug, Args)]
pub struct Top {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// CPU, memory and restarts of services. CPU and memory are those of this host's containers
    #[command(visible_alias = "service")]
    Services(services::Services),
    /// Who leads each controller, what waits for it, and how long that took lately
    #[command(visible_alias = "controller")]
    Controllers(controllers::Controllers),
    /// The signatures of a stack's logs: the severest first, or the most frequent
    Signatures(signatures::Signatures),
}

impl Top {
    /// Looks once and shows it.
    ///
    /// # Errors
    /// Those of the store; [`Error::No`] when nothing is known.
    pub(super) async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        match &self.what {
            What::Services(services) => services.run(store, io).await,
            What::Controllers(controllers) => controllers.run(store, io).await,
            What::Signatures(signatures) => signatures.run(store, io).await,
        }
    }
}
