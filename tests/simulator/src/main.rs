//! `wicap-sim`: processes that look like WICAP's from the outside and break on demand.
//!
//! One binary, one role a container: `ui`, `processor`, `scout`, `worker`. They pass synthetic events along, as the
//! original does, so that what an operator measures there (events per second, age of the last insert, memory, queue)
//! moves here for the same reasons. `wicap-sim tell FAULT` in a container makes its process fail.
//!
//! # Layout
//!
//! - [`settings`]: command line and environment; [`role`]: who can be what
//! - [`fault`], [`known`]: the words for failures; [`live`]: those in force; [`control`]: the socket they come by
//! - [`process`]: what all roles share; [`leak`]: the leak
//! - [`scout`], [`processor`], [`ui`], [`worker`]: the roles
//! - [`suite`]: tests of a dashboard, which end
//! - [`queue`] (redis), [`spool`] (file), [`push`], [`http`]: how events travel; [`flow`]: how they are counted
//! - [`journal`]: the log formats

#![forbid(unsafe_code)]
#![deny(missing_docs)]

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::control::TellError;
use crate::fault::Fault;
use crate::role::Role;
use crate::settings::{Cli, Command, Probe};

mod control;
mod fault;
mod flow;
mod http;
mod journal;
mod known;
mod leak;
mod live;
mod process;
mod processor;
mod push;
mod queue;
mod role;
mod scout;
mod settings;
mod spool;
mod suite;
mod ui;
mod worker;

/// How long a health check waits; below the 10 s that Docker gives it.
const PROBE_PATIENCE: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Cli { command, socket } = Cli::parse();
    let (role, settings) = match command {
        Command::Ui(settings) => (Role::Ui, settings),
        Command::Processor(settings) => (Role::Processor, settings),
        Command::Scout(settings) => (Role::Scout, settings),
        Command::Worker(settings) => (Role::Worker, settings),
        Command::Tell { words } => return tell(&socket, &words).await,
        Command::Suite(suite) => return suite::run(suite).await,
        Command::Probe(probe) => return self::probe(&socket, probe).await,
    };
    match process::run(role, settings, &socket).await {
        // Not a return: blocking work in flight must not delay a stop.
        Ok(()) => std::process::exit(0),
        Err(error) => fail(1, &error),
    }
}

async fn tell(socket: &std::path::Path, words: &[String]) -> ExitCode {
    let words_ref: Vec<&str> = words.iter().flat_map(|word| word.split_whitespace()).collect();
    if let Err(error) = Fault::parse(&words_ref) {
        return fail(2, &error);
    }
    match control::tell(socket, words).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ TellError::Refused(_)) => fail(2, &error),
        Err(error) => fail(1, &error),
    }
}

async fn probe(socket: &std::path::Path, probe: Probe) -> ExitCode {
    match probe {
        Probe::Http { url } => match http::send(&url, None, PROBE_PATIENCE).await {
            Ok(status) if status.is_success() => ExitCode::SUCCESS,
            Ok(status) => fail(1, &status),
            Err(error) => fail(1, &error),
        },
        Probe::Process => match control::health(socket).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(1, &error),
        },
    }
}

fn fail(code: u8, reason: &impl std::fmt::Display) -> ExitCode {
    eprintln!("wicap-sim: {reason}");
    ExitCode::from(code)
}
