//! `stop` and `resume`: the kill switch. A stop is an EmergencyStop object; resuming deletes it.

use clap::Args;

use super::error::code;
use super::operator::operator;
use super::print::table::harmless;
use super::{Error, Io};
use crate::api::stack::WicapStack;
use crate::api::stop::{ALL, EmergencyStop, EmergencyStopSpec};
use crate::api::{GROUP, Object};
use crate::stop_file::StopFile;
use crate::store::embedded::data_dir::default_path;
use crate::store::{self, DeleteParams, Store};

/// Arguments of `stop`.
#[derive(Debug, Args)]
pub struct Stop {
    #[command(flatten)]
    scope: Scope,
    /// Why, in your words
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// Arguments of `resume`.
#[derive(Debug, Args)]
pub struct Resume {
    #[command(flatten)]
    scope: Scope,
}

/// Which stacks.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Scope {
    /// Every stack
    #[arg(long)]
    all: bool,
    /// Stacks by name
    #[arg(value_name = "STACK")]
    stacks: Vec<String>,
}

impl Scope {
    /// The names of the EmergencyStops that stand for it.
    fn names(&self) -> Vec<&str> {
        if self.all { vec![ALL] } else { self.stacks.iter().map(String::as_str).collect() }
    }
}

fn whom(name: &str) -> String {
    if name == ALL { "every stack".to_owned() } else { format!("stack {name:?}") }
}

impl Stop {
    pub(super) async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        let mut errors = Vec::new();
        // Every name is tried, whatever became of those before it.
        for name in self.scope.names() {
            // Nor does it matter whether anybody reads what is said of them.
            if let Err(e) = self.stop(name, store, io).await {
                if name == ALL && e.exit_code() == code::UNREACHABLE {
                    self.without_the_store(io)?;
                }
                errors.push(e);
            }
        }
        Error::all(errors)
    }

    /// Makes this host's stop file, where there is a data directory: without the store nothing else can be done.
    fn without_the_store(&self, io: &mut Io<'_>) -> Result<(), Error> {
        let data_dir = default_path();
        let file = StopFile::of(&data_dir);
        if !data_dir.is_dir() {
            return Ok(());
        }
        match file.write(&format!("{} (by {})", self.reason, operator())) {
            Ok(()) => writeln!(
                io.err,
                "{} is there: the wicapd of this directory starts nothing, and stops everybody when it reaches the store",
                file.path().display()
            )?,
            Err(e) => writeln!(io.err, "Warning: the stop file {} cannot be written: {e}", file.path().display())?,
        }
        Ok(())
    }

    async fn stop(&self, name: &str, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        let stop = EmergencyStop::new(name, EmergencyStopSpec { reason: self.reason.clone(), by: operator() });
        let stops = store.api::<EmergencyStop>();
        let outcome = match stops.create(&stop).await {
            Ok(_) => "created",
            Err(store::Error::AlreadyExists { .. }) => "unchanged",
            // Whether a stop is in force must not stay open: look.
            Err(store::Error::Ambiguous { .. }) if stops.get_opt(name).await?.is_some() => "created",
            Err(e) => return Err(e.into()),
        };
        writeln!(io.out, "emergencystop.{GROUP}/{name} {outcome}")?;
        if outcome == "unchanged"
            && let Some(old) = stops.get_opt(name).await?
        {
            writeln!(
                io.err,
                "{} is already stopped, by {}: {}",
                whom(name),
                harmless(&old.spec.by),
                harmless(&old.spec.reason)
            )?;
        }
        // Asked after the stop is in force: a question must not delay it. A stop of a name that no stack has stops nothing.
        if name != ALL && store.api::<WicapStack>().get_opt(name).await?.is_none() {
            writeln!(io.err, "Warning: there is no stack {name:?}; the stop holds for one of that name only")?;
        }
        Ok(())
    }
}

impl Resume {
    pub(super) async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        let stops = store.api::<EmergencyStop>();
        let mut errors = Vec::new();
        for name in self.scope.names() {
            match stops.delete(name, &DeleteParams::default()).await {
                Ok(gone) => {
                    writeln!(io.out, "emergencystop.{GROUP} {name:?} deleted")?;
                    if !gone.metadata.finalizers.unwrap_or_default().is_empty() {
                        writeln!(io.err, "Warning: the stop holds until its finalizers are done")?;
                    }
                }
                Err(store::Error::NotFound { .. }) => writeln!(io.err, "there is no stop of {}", whom(name))?,
                Err(e) => errors.push(e.into()),
            }
        }
        let file = StopFile::of(&default_path());
        if file.holds().is_some() {
            writeln!(io.err, "Warning: the stop file {} stops everything until it is removed", file.path().display())?;
        }
        if let Ok(left) = stops.list(&store::ListParams::default()).await {
            let names: Vec<_> = left.items.iter().map(Object::name).collect();
            if !self.scope.all && names.contains(&ALL) {
                writeln!(
                    io.err,
                    "Warning: every stack is still stopped by emergencystop.{GROUP}/{ALL}; wicapctl resume --all"
                )?;
            } else if self.scope.all && !names.is_empty() {
                writeln!(io.err, "Warning: stops of single stacks still hold: {}", names.join(", "))?;
            }
        }
        Error::all(errors)
    }
}
