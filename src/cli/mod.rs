//! `wicapctl`: kubectl's verbs, words and habits on the resources of this system, and the few verbs of our own.
//!
//! Data goes to standard output, messages to standard error. A verb works on JSON of any kind (`kind` erases the type), so that
//! a kind that is added to [`crate::api::registry`] is known to every verb.
//!
//! # Layout
//! - one file a verb, named as the verb; a verb of several jobs has a directory beside its file
//! - `status`, `why`: how things are, and how they came to be so: a picture is drawn first (pure), and laid out then
//! - `kind`, `target`, `selection`, `hint`: what the words of a command line mean, and what was probably meant
//! - `manifest`, [`document`], [`merge`], `validation`: files to documents to objects
//! - `change`, `recreate`, `report`, `dry_run`, `pairs`, `tagging`, `editor`: what the verbs that write have in common
//! - `finalizers`: what holds an object that is to go
//! - [`jsonpath`]: values inside objects, and templates
//! - [`mod@print`]: tables, JSON, YAML, descriptions, pages
//! - `config`, `called`, `operator`: which store is meant, how that was said, and who runs the command
//! - [`manners`]: how a command behaves towards whoever called it: [`paint`] (colour), `progress`, `prompt`, [`interrupt`] (signals)
//! - [`usage`], [`examples`], [`man`], [`mod@reference`], [`completion`]: what is said of the command line itself, and to a shell
//! - [`error`]: kubectl's words, and the exit codes

mod annotate;
mod api_resources;
mod apply;
mod approve;
mod audit;
mod called;
mod change;
pub mod completion;
mod config;
pub mod crds;
mod create;
mod delete;
mod describe;
mod diff;
mod doctor;
pub mod document;
mod dry_run;
mod edit;
mod editor;
pub mod error;
mod events;
pub mod examples;
mod explain;
mod finalizers;
mod get;
mod hint;
pub mod interrupt;
pub mod jsonpath;
mod kind;
mod label;
pub mod man;
mod manifest;
pub mod manners;
pub mod merge;
mod operator;
pub mod paint;
mod pairs;
mod patch;
mod policy;
pub mod print;
mod progress;
mod prompt;
mod recreate;
mod redact;
pub mod reference;
mod replace;
mod replay;
mod report;
mod selection;
mod session;
mod signatures;
mod snapshot;
mod soak;
mod status;
mod stop;
mod store;
mod tagging;
mod target;
mod top;
pub mod usage;
mod validation;
mod version;
mod wait;
mod why;

use std::ffi::OsString;
use std::io::Write;
use std::time::Duration;

use clap::{Parser, Subcommand};
use futures::FutureExt;
use futures::future::LocalBoxFuture;

pub use error::Error;
pub use manners::Manners;

use crate::clock::Clock;
use crate::store::{Store, StoreUrl};
use called::Called;
use config::file::ConfigFile;
use config::resolve::{Chosen, resolve};

/// Controls compose stacks: declare what should be, see what is, permit or stop what is done about it.
#[derive(Debug, Parser)]
#[command(name = "wicapctl", version, max_term_width = 120)]
pub struct Cli {
    /// embedded (this host's, in $WICAP_DATA_DIR), unix:///PATH or http(s)://HOST:PORT[,…][/KEY-PREFIX] of an etcd v3 API. When absent:
    /// --context, $WICAP_STORE, the current context of wicapctl config, embedded
    #[arg(long, global = true, value_name = "URL", help_heading = manners::HEADING, display_order = manners::LAST)]
    store: Option<StoreUrl>,
    /// The context of wicapctl config that names the store
    #[arg(long, global = true, value_name = "CONTEXT", conflicts_with = "store")]
    #[arg(help_heading = manners::HEADING, display_order = manners::LAST)]
    context: Option<String>,
    #[command(flatten)]
    flags: manners::Flags,
    #[command(subcommand)]
    verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Verb {
    /// Say how stacks are, what is being done about it, and why not more
    Status(status::Status),
    /// Tell what led to an object being as it is, and what came of it
    Why(why::Why),
    /// Show objects as a table, JSON or YAML
    Get(get::Get),
    /// Show all that is known of an object, with its Events
    Describe(describe::Describe),
    /// Show what happened lately, in the order of time
    Events(events::Events),
    /// Show what uses most, is behind most, or is said most
    Top(top::Top),
    /// Make the store hold what manifests say
    Apply(apply::Apply),
    /// Show what apply would change
    Diff(diff::Diff),
    /// Make objects that are not there yet
    Create(create::Create),
    /// Put manifests in the place of the objects that are there
    Replace(replace::Replace),
    /// Change fields of objects
    Patch(patch::Patch),
    /// Change objects in an editor
    Edit(edit::Edit),
    /// Set and remove labels
    Label(label::Label),
    /// Set and remove annotations
    Annotate(annotate::Annotate),
    /// Remove objects
    Delete(delete::Delete),
    /// Wait for a condition, a value, or an object to come or go
    Wait(wait::Wait),
    /// Open, end or extend the permission to act on a stack
    Session(session::Session),
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
    /// Pack all that is known of a stack, or look into such a pack
    Snapshot(snapshot::Snapshot),
    /// Check all that the system stands on, and say how to mend what is wrong
    Doctor(doctor::Doctor),
    /// Save or copy the store as a whole, or set up who may write what
    Store(store::Store),
    /// Run the planner over recorded or hand-written observations and print its decisions; no store is needed
    Replay(replay::Replay),
    /// Say of each line of standard input which signature it has and how much it matters
    Signatures(signatures::Signatures),
    /// Take secrets out of standard input
    Redact(redact::Redact),
    /// Say what a kind and its fields mean
    Explain(explain::Explain),
    /// List the kinds, and the words for them
    ApiResources(api_resources::ApiResources),
    /// Name stores, and choose the one that is meant
    Config(config::Config),
    /// Print or write the CustomResourceDefinitions
    Crds(crds::Crds),
    /// Print what teaches a shell to complete
    Completion(completion::Completion),
    /// Write the manual pages
    #[command(hide = true)]
    Man(man::Man),
    /// Write the generated pages of the documentation
    #[command(hide = true)]
    Reference(reference::Reference),
    /// Print the versions of this program and of the store
    Version(version::Version),
}

impl Verb {
    /// Whether it changes what the store holds, object after object.
    fn changes(&self) -> bool {
        matches!(
            self,
            Self::Apply(_)
                | Self::Create(_)
                | Self::Replace(_)
                | Self::Patch(_)
                | Self::Edit(_)
                | Self::Label(_)
                | Self::Annotate(_)
                | Self::Delete(_)
                | Self::Session(_)
                | Self::Stop(_)
                | Self::Resume(_)
                | Self::Approve(_)
                | Self::Deny(_)
        )
    }
}

/// Where a command writes.
pub struct Io<'a> {
    /// Data.
    pub out: &'a mut dyn Write,
    /// Messages.
    pub err: &'a mut dyn Write,
    /// How it behaves towards whoever called it.
    pub manners: Manners,
}

/// The whole command line.
#[must_use]
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

impl Cli {
    /// Does what the command line says and returns the exit code.
    pub async fn run(self, io: &mut Io<'_>) -> u8 {
        let mut silence = std::io::sink();
        // Whoever asks for quiet hears of errors only.
        let outcome = if io.manners.quiet {
            self.dispatch(&mut Io { out: io.out, err: &mut silence, manners: io.manners }).await
        } else {
            self.dispatch(io).await
        };
        let outcome = outcome.and(io.out.flush().map_err(Error::from));
        match outcome {
            Ok(()) => error::code::DONE,
            Err(error) => {
                // Whoever stops reading has what they wanted; of what was to be changed something may be left undone.
                let code = if error.is_output() && self.verb.changes() { error::code::NO } else { error.exit_code() };
                let text = error.to_string();
                if code != error::code::DONE && !text.is_empty() {
                    // When even that cannot be written, the exit code has to do.
                    let _ = io.out.flush();
                    let _ = writeln!(io.err, "{}", print::table::harmless(&text));
                }
                code
            }
        }
    }

    /// What the verb does. It asks the store only where it needs one. Each is in a box of its own: together they are larger than a stack.
    fn dispatch<'a>(&'a self, io: &'a mut Io<'_>) -> LocalBoxFuture<'a, Result<(), Error>> {
        match &self.verb {
            Verb::Status(status) => async move { status.run(&self.store().await?, &self.called(), io).await }.boxed_local(),
            Verb::Why(why) => async move { why.run(&self.store().await?, &self.called(), io).await }.boxed_local(),
            Verb::Get(get) => async move { get.run(&self.store().await?, io).await }.boxed_local(),
            Verb::Describe(describe) => async move { describe.run(&self.store().await?, io).await }.boxed_local(),
            Verb::Events(events) => async move { events.run(&self.store().await?, io).await }.boxed_local(),
            Verb::Top(top) => async move { top.run(&self.store().await?, io).await }.boxed_local(),
            Verb::Apply(apply) => async move { apply.run(&self.store().await?, io).await }.boxed_local(),
            Verb::Diff(diff) => async move { diff.run(&self.store().await?, io).await }.boxed_local(),
            Verb::Create(create) => async move { create.run(&self.store().await?, io).await }.boxed_local(),
            Verb::Replace(replace) => async move { replace.run(&self.store().await?, io).await }.boxed_local(),
            Verb::Patch(patch) => async move { patch.run(&self.store().await?, io).await }.boxed_local(),
            Verb::Edit(edit) => async move { edit.run(&self.store().await?, io).await }.boxed_local(),
            Verb::Label(label) => async move { label.run(&self.store().await?, io).await }.boxed_local(),
            Verb::Annotate(annotate) => async move { annotate.run(&self.store().await?, io).await }.boxed_local(),
            Verb::Delete(delete) => async move { delete.run(&self.store().await?, io).await }.boxed_local(),
            Verb::Wait(wait) => async move { wait.run(&self.store().await?, io).await }.boxed_local(),
            Verb::Session(session) => async move { session.run(&self.store().await?, io).await }.boxed_local(),
            Verb::Stop(stop) => async move { stop.run(&self.store().await?, io).await }.boxed_local(),
            Verb::Resume(resume) => async move { resume.run(&self.store().await?, io).await }.boxed_local(),
            Verb::Approve(approve) => async move { approve.run(&self.store().await?, io).await }.boxed_local(),
            Verb::Deny(deny) => async move { deny.run(&self.store().await?, io).await }.boxed_local(),
            Verb::Policy(policy) => async move { policy.run(&self.store().await?, io).await }.boxed_local(),
            Verb::Audit(audit) => async move { audit.run(&self.store().await?, io).await }.boxed_local(),
            Verb::Soak(soak) => async move { soak.run(&self.store().await?, io).await }.boxed_local(),
            Verb::Snapshot(snapshot) if !snapshot.asks_the_store() => async move { snapshot.run_alone(io) }.boxed_local(),
            Verb::Snapshot(snapshot) => async move { snapshot.run(&self.store().await?, io).await }.boxed_local(),
            Verb::Doctor(doctor) => {
                async move { doctor.run(&self.chosen()?, &config_file(), &self.called(), io).await }.boxed_local()
            }
            Verb::Store(whole) => async move { whole.run(|| self.chosen(), io).await }.boxed_local(),
            Verb::Replay(replay) => match replay.records() {
                Some(stack) => async move { replay.record(stack, &self.store().await?, io).await }.boxed_local(),
                None => async move { replay.run(io) }.boxed_local(),
            },
            Verb::Signatures(signatures) => async move { signatures.run(io) }.boxed_local(),
            Verb::Redact(redact) => async move { redact.run(io) }.boxed_local(),
            Verb::Explain(explain) => async move { explain.run(io) }.boxed_local(),
            Verb::ApiResources(resources) => async move { resources.run(io) }.boxed_local(),
            Verb::Config(config) => async move { config.run(self.store.as_ref(), &config_file(), io) }.boxed_local(),
            Verb::Crds(crds) => async move { crds.run(io) }.boxed_local(),
            Verb::Completion(completion) => async move { completion.run(io) }.boxed_local(),
            Verb::Reference(reference) => async move { reference.run(io) }.boxed_local(),
            Verb::Man(man) => async move { man.run(command(), &man::WICAPCTL, io.out) }.boxed_local(),
            Verb::Version(version) if !version.asks_the_store() => async move { version.run(None, io).await }.boxed_local(),
            Verb::Version(version) => async move { version.run(Some(&self.store().await?), io).await }.boxed_local(),
        }
    }

    /// Which store is meant, and who says so.
    fn chosen(&self) -> Result<Chosen, Error> {
        let file = config_file();
        resolve(self.store.as_ref(), self.context.as_deref(), &variable, &file, || file.read())
    }

    /// How the store was chosen on this command line.
    fn called(&self) -> Called {
        Called::with(self.store.as_ref(), self.context.as_deref())
    }

    /// The store that is meant, in the name of whoever runs the command.
    async fn store(&self) -> Result<Store, Error> {
        let store = self.chosen()?.connect(Clock::system()).await?;
        Ok(store.acting_as(&operator::operator()))
    }
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

fn config_file() -> ConfigFile {
    ConfigFile::locate(variable)
}

/// A duration of a flag: `30s`, `1h30m`. A negative one means as long as it takes.
fn timeout(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let parsed: crate::api::Duration = text.parse().map_err(|_| "expected a duration such as 30s or 1h30m".to_owned())?;
    Ok(if parsed.is_negative() { wait::FOREVER } else { parsed.to_std() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }

    #[test]
    fn what_makes_no_sense_is_a_usage_error() {
        for line in [
            "get",
            "get ws -o xml",
            "apply",
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
            "status a b",
            "status -o xml",
            "status --width 5",
            "status -w --exit-code",
            "why",
            "why -o xml stack/a",
            "why stack a b",
            "get ws -o jsonpath=",
            "get ws -o custom-columns=A",
            "get ws --sort-by .a[",
            "session",
            "session start",
            "session extend a",
            "session extend a --ttl 1h --by 1h",
            "session start a --mode x",
            "session start a --max-actions 6",
            "config",
            "config use-context",
            "config set-context",
            "config set-context a --current",
            "top",
            "doctor -o xml",
            "--store embedded --context a get ws",
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
