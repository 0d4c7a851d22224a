//! What is true: containers, compose configuration, probes. It reads and never acts.
//!
//! ```text
//!   engine ── containers ──┐
//!   compose ── config ─────┼──> observation::observe (pure) ──> WicapStackStatus
//!   probe ── verdicts ─────┘
//! ```
//!
//! # Layout
//! - [`engine`]: the Docker engine's API: containers, events, processes and logs, the three calls that change a container,
//!   and containers that are run to their end
//! - [`compose`]: `docker compose` as a process: which project, what configuration, and its cache
//! - [`directory`]: a project's directory, held open
//! - [`process`]: a process with a time limit, a group of its own and the tail of what it printed
//! - [`dial`]: how connections are made
//! - [`junit`]: what tests have shown
//! - [`images`]: what the names of images mean
//! - [`probe`]: what is asked of a running service, with the kubelet's thresholds
//! - [`observation`]: from what was read to a status; the rules of states are here

pub mod browser;
pub mod compose;
pub mod dial;
pub mod directory;
pub mod engine;
pub mod images;
pub mod junit;
pub mod observation;
pub mod probe;
pub mod process;
pub mod tail;
