//! The command line and the environment of a process.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::fault::{Planned, parse_plan};
use crate::journal::Form;
use crate::suite::Suite;

/// Processes that look like WICAP's and break on demand.
#[derive(Debug, Parser)]
#[command(name = "wicap-sim")]
pub struct Cli {
    /// What to be or do.
    #[command(subcommand)]
    pub command: Command,
    /// The socket by which the process of this container is told to fail.
    #[arg(long, env = "WICAP_SIM_SOCKET", default_value = "/run/wicap-sim.sock", global = true)]
    pub socket: PathBuf,
}

/// Roles, and what one does to a role.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The dashboard: health, stats, status, and the receiver of pushes.
    Ui(Settings),
    /// Takes events from the queue, counts them as inserted, pushes to the dashboard.
    Processor(Settings),
    /// Writes synthetic events to the queue.
    Scout(Settings),
    /// A service that is merely there.
    Worker(Settings),
    /// Tell the process of this container to fail: `tell FAULT [ARG...]`, `tell ok` to end it.
    Tell {
        /// The fault and its arguments.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Health checks: exit 0 if well, 1 if not.
    #[command(subcommand)]
    Probe(Probe),
    /// Tests of a dashboard: writes their results as `JUnit` XML. Exit 0 when none failed, 1 when one did.
    Suite(Suite),
}

/// Health checks.
#[derive(Clone, Debug, Subcommand)]
pub enum Probe {
    /// GET the address; well if the status is 2xx.
    Http {
        /// `http://HOST[:PORT]/PATH`
        url: String,
    },
    /// Ask the process of this container over its socket. Proves only that there is one.
    Process,
}

/// What a role can be told at its start.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// Where redis listens.
    #[arg(long, env = "REDIS_PORT", default_value_t = 6380)]
    pub redis_port: u16,
    /// Where the dashboard listens.
    #[arg(long, env = "UI_PORT", default_value_t = 8080)]
    pub ui_port: u16,
    /// The address the dashboard listens at.
    #[arg(long, env = "UI_HOST", default_value = "127.0.0.1")]
    pub ui_host: std::net::IpAddr,
    /// Events a second that the scout captures.
    #[arg(long, env = "SCOUT_RATE", default_value_t = 2.0)]
    pub scout_rate: f64,
    /// A pid file of the scout; if it is there at the start, the scout refuses to. Empty for none.
    #[arg(long, env = "SCOUT_PID_FILE", default_value = "")]
    pub scout_pid_file: String,
    /// Seconds after which the processor tries redis again once it has fallen back; 0 for never, until it is restarted.
    #[arg(long, env = "QUEUE_RETRY_SECONDS", default_value_t = 2)]
    pub queue_retry_seconds: u64,
    /// The directory of the file queue.
    #[arg(long, env = "QUEUE_DIR", default_value = "/queue")]
    pub queue_dir: PathBuf,
    /// The shape of log lines.
    #[arg(long, env = "WICAP_LOG_FORMAT", value_enum, default_value_t = Form::Text)]
    pub log_format: Form,
    /// Faults from the start on: `FAULT [ARG...] [after SECONDS] [; ...]`.
    #[arg(long = "fault", env = "WICAP_SIM_FAULT", default_value = "", value_parser = parse_plan)]
    // The path keeps clap from taking the whole plan for a repeatable option.
    pub faults: std::vec::Vec<Planned>,
}
