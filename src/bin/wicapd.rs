//! `wicapd`: the daemon. Arguments and start-up only.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use wicap::api::stack::default_host;
use wicap::clock::Clock;
use wicap::controllers::{Context, Selection, run};
use wicap::observe::engine::Engine;
use wicap::store::{Store, StoreUrl};

/// Controllers that keep docker-compose stacks as they are declared.
///
/// Exit codes: 0 ended in good order; 2 usage.
#[derive(Debug, Parser)]
#[command(name = "wicapd", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs controllers until SIGTERM or SIGINT.
    Run(Run),
}

#[derive(Debug, clap::Args)]
struct Run {
    /// The etcd v3 API: `http(s)://HOST:PORT[,...][/KEY-PREFIX]` or `unix:///PATH`.
    #[arg(long, env = "WICAP_STORE", default_value = "http://127.0.0.1:2379", value_name = "URL")]
    store: StoreUrl,
    /// Which controllers: all, or some of observer,planner,actuator,session,soak,gc.
    #[arg(long, default_value = "all", value_name = "NAMES")]
    controllers: Selection,
    /// The host whose stacks the observer and the actuator serve: those whose spec.host is this name.
    #[arg(long, env = "WICAP_HOST", default_value_t = default_host(), value_name = "NAME")]
    host: String,
    /// The Docker engine of that host.
    #[arg(long, env = "DOCKER_HOST", default_value = "unix:///var/run/docker.sock", value_name = "URL")]
    docker: String,
    /// How log lines are written to standard error. Which are: RUST_LOG, info when unset.
    #[arg(long, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Command::Run(arguments) = Arguments::parse().command;
    start_logging(arguments.log_format);
    match serve(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("wicapd: {message}");
            ExitCode::from(2)
        }
    }
}

fn start_logging(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => builder.json().init(),
    }
}

async fn serve(arguments: Run) -> Result<(), String> {
    let engine = Engine::new(&arguments.docker).map_err(|e| format!("--docker: {e}"))?;
    let store = Store::connect(&arguments.store, Clock::system()).await.map_err(|e| format!("--store: {e}"))?;
    let identity = format!("{}-{}-{}", arguments.host, std::process::id(), &uuid::Uuid::new_v4().to_string()[..8]);
    tracing::info!(store = %arguments.store, host = arguments.host, docker = arguments.docker, identity, "wicapd is running");
    let shutdown = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).map_err(|e| format!("SIGTERM: {e}"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|e| format!("SIGINT: {e}"))?;
    let ending = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("ending in good order");
        ending.cancel();
    });
    let context = Context { store, host: arguments.host, engine, identity };
    run(context, &arguments.controllers, shutdown).await;
    Ok(())
}
