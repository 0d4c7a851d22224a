//! `store`: what is done with a store as a whole.

mod copy;
mod roles;
mod snapshot;

use clap::{Args, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::Error;
use super::Io;
use super::config::resolve::Chosen;
use crate::clock::Clock;

/// Arguments of `store`.
#[derive(Debug, Args)]
pub struct Store {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Write all that the store holds to a file, in etcd's format
    Snapshot(snapshot::Snapshot),
    Copy(copy::Copy),
    InitRoles(roles::InitRoles),
}

impl Store {
    /// `chosen` says which store is meant; `copy` names both of its own.
    pub(super) async fn run(&self, chosen: impl Fn() -> Result<Chosen, Error>, io: &mut Io<'_>) -> Result<(), Error> {
        match &self.verb {
            Verb::Copy(copy) => copy.run(io).await,
            Verb::InitRoles(roles) => roles.run(&chosen()?.connect(Clock::system()).await?, io).await,
            Verb::Snapshot(snapshot) => snapshot.run(&chosen()?.connect(Clock::system()).await?, io).await,
        }
    }
}

/// Is cancelled when somebody wants the command to end, which then removes what it has begun. Call it inside a tokio runtime.
fn interruption() -> Result<CancellationToken, Error> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        told.cancel();
    });
    Ok(stop)
}
