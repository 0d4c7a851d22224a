//! `wicapctl`: kubectl's verbs, words and habits on the resources of this system, and the few verbs of our own.
//!
//! Data goes to standard output, messages to standard error. A verb works on JSON of any kind (`kind` erases the type), so that
//! a kind that is added to [`crate::api::registry`] is known to every verb.
//!
//! # Layout
//! - `apply`, `get`, `describe`, `delete`, `wait`, `stop` (and `resume`), `approve` (and `deny`), `policy`, `audit`, `soak`, `replay`, `signatures`,
//!   `top`, `snapshot`, `redact`, `crds`, `version`: one file a verb
//! - `store`: the verbs on a store as a whole: `snapshot`, `copy`, `init-roles`
//! - `operator`: who runs the command
//! - `kind`, `target`: what the words of a command line mean
//! - `manifest`, [`document`], [`merge`]: files to documents to objects
//! - [`jsonpath`]: values inside objects
//! - [`mod@print`]: tables, JSON, YAML, descriptions
//! - [`error`]: kubectl's words, and the exit codes

mod apply;
mod approve;
mod audit;
pub mod crds;
mod delete;
mod describe;
pub mod document;
pub mod error;
mod get;
pub mod jsonpath;
mod kind;
mod manifest;
pub mod merge;
mod operator;
mod policy;
pub mod print;
mod redact;
mod replay;
mod signatures;
mod snapshot;
mod soak;
mod stop;
mod store;
mod target;
mod top;
mod version;
mod wait;

use std::io::Write;
use std::time::Duration;

use clap::{Parser, Subcommand};

pub use error::Error;

use crate::clock::Clock;
use crate::store::{Store, StoreUrl};

/// Where the store is when nobody says so: the one that `wicapd run` brings with it.
const DEFAULT_STORE: &str = "embedded";

/// Controls compose stacks: declare what should be, see what is, permit or stop what is done about it.
#[derive(Debug, Parser)]
#[command(name = "wicapctl", version, max_term_width = 120)]
pub struct Cli {
    /// embedded (this host's, in $WICAP_DATA_DIR), unix:///PATH or http(s)://HOST:PORT[,…][/KEY-PREFIX] of an etcd v3 API
    #[arg(long, global = true, value_name = "URL", env = "WICAP_STORE", default_value = DEFAULT_STORE)]
    store: StoreUrl,
    #[command(subcommand)]
    verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Verb {
    /// Make the store hold what manifests say
    Apply(apply::Apply),
    /// Show objects as a table, JSON or YAML
    Get(get::Get),
    /// Show all that is known of an object, with its Events
    Describe(describe::Describe),
    /// Remove objects
    Delete(delete::Delete),
    /// Wait for a condition, a value, or an object to come or go
    Wait(wait::Wait),
    /// Emergency stop: no action starts, whatever is permitted
    Stop(stop::Stop),
    /// Take an emergency stop back
    Resume(stop::Resume),
    /// Agree to actions that wait for a person
    Approve(approve::Approve),
    /// Refuse actions that wait for a person
    Deny(approve::Deny),
    /// Say what is permitted, and why
    Policy(policy::Policy),
    /// Show who did what, and prove that the record of it is whole
    Audit(audit::Audit),
    /// Tell of soak runs: reports, progress, baselines
    Soak(soak::Soak),
    /// Save or copy the store as a whole, or set up who may write what
    Store(store::Store),
    /// Run the planner over recorded or hand-written observations and print its decisions; no store is needed
    Replay(replay::Replay),
    /// Say of each line of standard input which signature it has and how much it matters
    Signatures(signatures::Signatures),
    /// Show what a stack's logs say most, or worst
    Top(top::Top),
    /// Pack all that is known of a stack, or look into such a pack
    Snapshot(snapshot::Snapshot),
    /// Take secrets out of standard input
    Redact(redact::Redact),
    /// Print or write the CustomResourceDefinitions
    Crds(crds::Crds),
    /// Print the versions of this program and of the store
    Version(version::Version),
}

/// Where a command writes.
pub struct Io<'a> {
    /// Data.
    pub out: &'a mut dyn Write,
    /// Messages.
    pub err: &'a mut dyn Write,
}

impl Cli {
    /// Does what the command line says and returns the exit code.
    pub async fn run(self, io: &mut Io<'_>) -> u8 {
        let outcome = self.dispatch(io).await;
        let outcome = outcome.and(io.out.flush().map_err(Error::from));
        match outcome {
            Ok(()) => error::code::DONE,
            Err(error) => {
                let code = error.exit_code();
                if code != error::code::DONE {
                    // When even that cannot be written, the exit code has to do.
                    let _ = io.out.flush();
                    let _ = writeln!(io.err, "{}", print::table::harmless(&error.to_string()));
                }
                code
            }
        }
    }

    async fn dispatch(&self, io: &mut Io<'_>) -> Result<(), Error> {
        match &self.verb {
            Verb::Crds(crds) => crds.run(io),
            Verb::Redact(redact) => redact.run(io),
            Verb::Signatures(signatures) => signatures.run(io),
            Verb::Snapshot(snapshot) if !snapshot.asks_the_store() => snapshot.run_alone(io),
            Verb::Replay(replay) if replay.records().is_none() => replay.run(io),
            Verb::Store(whole) => whole.run(&self.store, io).await,
            Verb::Version(version) if !version.asks_the_store() => version.run(None, io).await,
            verb => {
                let store = Store::connect(&self.store, Clock::system()).await?;
                let store = store.acting_as(&operator::operator());
                match verb {
                    Verb::Apply(apply) => apply.run(&store, io).await,
                    Verb::Get(get) => get.run(&store, io).await,
                    Verb::Describe(describe) => describe.run(&store, io).await,
                    Verb::Delete(delete) => delete.run(&store, io).await,
                    Verb::Wait(wait) => wait.run(&store, io).await,
                    Verb::Stop(stop) => stop.run(&store, io).await,
                    Verb::Resume(resume) => resume.run(&store, io).await,
                    Verb::Approve(approve) => approve.run(&store, io).await,
                    Verb::Deny(deny) => deny.run(&store, io).await,
                    Verb::Policy(policy) => policy.run(&store, io).await,
                    Verb::Audit(audit) => audit.run(&store, io).await,
                    Verb::Soak(soak) => soak.run(&store, io).await,
                    Verb::Replay(replay) => match replay.records() {
                        Some(stack) => replay.record(stack, &store, io).await,
                        None => replay.run(io),
                    },
                    Verb::Version(version) => version.run(Some(&store), io).await,
                    Verb::Store(whole) => whole.run(&self.store, io).await,
                    Verb::Top(top) => top.run(&store, io).await,
                    Verb::Snapshot(snapshot) => snapshot.run(&store, io).await,
                    Verb::Crds(crds) => crds.run(io),
                    Verb::Redact(redact) => redact.run(io),
                    Verb::Signatures(signatures) => signatures.run(io),
                }
            }
        }
    }
}

/// A duration of a flag: `30s`, `1h30m`. A negative one means as long as it takes.
fn timeout(text: &str) -> Result<Duration, String> {
    let parsed: crate::api::Duration = text.parse().map_err(|_| "expected a duration such as 30s or 1h30m".to_owned())?;
    Ok(if parsed.is_negative() { wait::FOREVER } else { parsed.to_std() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_makes_no_sense_is_a_usage_error() {
        for line in [
            "get",
            "get ws -o xml",
            "apply",
            "delete",
            "delete ws a -f x",
            "wait ws/a",
            "wait ws/a --for=soon",
            "wait ws/a --for=delete --timeout=x",
            "stop --all",
            "stop --reason r",
            "stop --all s --reason r",
            "resume",
            "approve",
            "approve a --valid-for 0s",
            "deny",
            "policy",
            "policy explain",
            "policy explain --session s",
            "policy explain --action restart_service",
            "policy explain --session s --action rm",
            "policy explain --run a --action stop_service",
            "audit",
            "audit list --lane work",
            "audit list --verb Read",
            "audit list --object pod/x",
            "audit list --since soon",
            "audit verify --head control=12",
            "audit verify --head work=12:0",
            "soak",
            "soak report",
            "soak report night -o pdf",
            "store",
            "store snapshot",
            "store copy --from embedded",
            "replay",
            "replay a --record b",
            "replay a -o b",
            "replay --between --record b",
            "store init-roles everybody",
            "store init-roles -o xml",
            "store init-roles --role-prefix=",
            "store copy --from embedded --to ftp://x",
            "frobnicate",
            "--store ftp://x get ws",
        ] {
            let words = std::iter::once("wicapctl").chain(line.split(' '));
            let error = Cli::try_parse_from(words).expect_err(line);
            assert_eq!(error.exit_code(), i32::from(error::code::USAGE), "{line}");
        }
    }

    #[test]
    fn a_negative_timeout_is_patience() {
        assert_eq!(timeout("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(timeout("-1s"), Ok(wait::FOREVER));
        assert!(timeout("30").is_err());
    }
}
