//! `wicapd`: the daemon. Arguments and start-up only.

#![forbid(unsafe_code)]

mod embedded;
mod run;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use wicap::cli::{man, reference};
use wicap::stop_file::StopFile;

/// The C library's allocator asks the kernel for every few pages by which a thread's heap grows, and a commit takes many.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Controllers that keep docker-compose stacks as they are declared, and the store that they share.
///
/// Exit codes: 0 ended in good order; 1 the store failed while it ran; 2 usage, or it cannot be started.
#[derive(Debug, Parser)]
#[command(name = "wicapd", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// How log lines are written to standard error. Which are: RUST_LOG, info when unset.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    log_format: LogFormat,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs controllers, and by default the store, until SIGTERM or SIGINT.
    Run(run::Run),
    /// Runs the embedded store alone, until SIGTERM or SIGINT.
    #[command(args_conflicts_with_subcommands = true)]
    Store(embedded::Store),
    /// Prints the page of the documentation on these arguments.
    #[command(hide = true)]
    Reference,
    /// Writes the manual page.
    #[command(hide = true)]
    Man(man::Man),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// Why the daemon ends otherwise than in good order.
enum Failure {
    /// It could not be started as it was asked to.
    Start(String),
    /// It ran, and can no longer.
    Run(String),
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_logging(arguments.log_format);
    let done = match arguments.command {
        Command::Run(run) => run.run().await,
        Command::Store(store) => store.run().await,
        Command::Reference => {
            print!("{}", reference::command_page(Arguments::command()));
            Ok(())
        }
        Command::Man(man) => {
            man.run(Arguments::command(), &man::WICAPD, &mut std::io::stdout()).map_err(|e| Failure::Start(e.to_string()))
        }
    };
    let (message, code) = match done {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Run(message)) => (message, 1),
        Err(Failure::Start(message)) => (message, 2),
    };
    eprintln!("wicapd: {message}");
    ExitCode::from(code)
}

fn start_logging(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => builder.json().init(),
    }
}

/// SIGUSR1 makes the stop file.
fn stop_when_signalled(file: &StopFile) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::Start(format!("SIGUSR1: {e}"));
    let mut told = signal(SignalKind::user_defined1()).map_err(failed)?;
    let file = file.clone();
    tokio::spawn(async move {
        while told.recv().await.is_some() {
            file.stop("told to by SIGUSR1");
        }
    });
    Ok(())
}

/// Cancelled by SIGTERM or SIGINT.
fn until_told_to_end() -> Result<CancellationToken, Failure> {
    let failed = |name: &str, e: std::io::Error| Failure::Start(format!("{name}: {e}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(|e| failed("SIGTERM", e))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|e| failed("SIGINT", e))?;
    let shutdown = CancellationToken::new();
    let ending = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("ending in good order");
        ending.cancel();
    });
    Ok(shutdown)
}
