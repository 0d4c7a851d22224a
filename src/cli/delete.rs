//! `delete`: removes objects, and waits until they are gone.
//!
//! ```text
//!  find ──▶ ask (-i) ──▶ orphan: give what they own its freedom ──▶ delete ──▶ wait; foreground: for what they owned too
//! ```

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use super::delete::owned::Owned;
use super::dry_run::DryRun;
use super::finalizers;
use super::kind::{CATEGORIES, Kind};
use super::print::table::harmless;
use super::prompt::confirm;
use super::selection::Selection;
use super::wait::goal::Goal;
use super::wait::judge::Outcome;
use super::wait::waiting::{Awaited, Waiting};
use super::wait::{FOREVER, timed_out};
use super::{Error, Io, timeout};
use kube::Resource;

use crate::api::GROUP;
use crate::api::stop::EmergencyStop;
use crate::store::{self, DeleteParams, Store};

mod owned;

/// How long a deletion may take before it is said what holds it: an object that nothing holds is gone in milliseconds.
const SILENCE: Duration = Duration::from_secs(1);

/// Arguments of `delete`.
#[derive(Debug, Args)]
// Each is a flag that kubectl has.
#[allow(clippy::struct_excessive_bools)]
pub struct Delete {
    /// KIND NAME…, KIND/NAME…, or KIND[,KIND…] with --all or a selector
    #[arg(value_name = "KIND", conflicts_with = "filename")]
    target: Vec<String>,
    #[command(flatten)]
    selection: Selection,
    /// What becomes of what they own: background removes it later, foreground waits for that too, orphan keeps it
    #[arg(long, value_enum, default_value_t = Cascade::Background)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "background")]
    cascade: Cascade,
    /// Say what would be removed, and remove nothing: client looks no further than the command line, server asks the store
    #[arg(long, value_enum, default_value_t = DryRun::None)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "client")]
    dry_run: DryRun,
    /// Show what is meant, and ask before it is removed
    #[arg(short, long)]
    interactive: bool,
    /// A name that is not found is no error; so it is with --all and selectors anyway
    #[arg(long)]
    ignore_not_found: bool,
    /// Do not wait until the objects are gone. What finalizers hold stays until they are done all the same
    #[arg(long)]
    force: bool,
    /// As kubectl's. Nothing here ends in its own time, so that the number changes nothing
    #[arg(long, default_value_t = -1, allow_negative_numbers = true, value_name = "SECONDS")]
    grace_period: i64,
    /// The same as --grace-period=1
    #[arg(long)]
    now: bool,
    /// name: print KIND/NAME alone
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<String>,
    /// Wait until the objects are gone
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    wait: bool,
    /// How long to wait, such as 30s; 0s waits for as long as it takes
    #[arg(long, default_value = "0s", value_parser = timeout)]
    timeout: Duration,
}

/// What becomes of the objects that are owned by a deleted one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Cascade {
    /// The gc controller removes them.
    Background,
    /// The same, and the command waits until they are gone.
    Foreground,
    /// They stay.
    Orphan,
}

impl Delete {
    /// Removes the objects.
    pub(super) async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        self.check()?;
        let mut found = self.selection.find(&self.target, store).await?;
        self.spare_stops(&mut found, io)?;
        if self.force {
            writeln!(
                io.err,
                "Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. \
                 The resource may continue to run on the cluster indefinitely."
            )?;
        }
        if self.interactive && self.dry_run == DryRun::None && !found.is_empty() && !agreed(&found, io)? {
            writeln!(io.out, "deletion is cancelled")?;
            return Ok(());
        }
        let (mut errors, mut awaited) = (Vec::new(), Vec::new());
        let some = !found.is_empty();
        for (kind, name) in found {
            match self.remove(&kind, &name, store, io).await {
                Ok(gone) => awaited.extend(gone),
                Err(Error::Store(store::Error::NotFound { .. })) if self.ignore_not_found || self.selection.is_open() => {}
                Err(Error::Store(store::Error::NotFound { .. })) => errors.push(kind.not_there(store, &name).await),
                Err(e @ Error::Store(store::Error::Unreachable { .. })) => return Err(e),
                Err(e) if e.is_output() => return Err(e),
                Err(e) => errors.push(e),
            }
        }
        if !some {
            writeln!(io.out, "No resources found")?;
        }
        io.out.flush()?;
        if self.wait && !self.force {
            self.wait_for(awaited, store, io, &mut errors).await?;
        }
        Error::all(errors)
    }

    /// To remove an EmergencyStop is to let everything begin again: that is said by name, and not by "all".
    fn spare_stops(&self, found: &mut Vec<(Kind, String)>, io: &mut Io<'_>) -> Result<(), Error> {
        let words: Vec<&str> = self.target.first().map(|word| word.split(',').collect()).unwrap_or_default();
        let is_stop = |kind: &Kind| kind.info.kind == EmergencyStop::kind(&());
        let named = words.iter().any(|word| !CATEGORIES.contains(word) && Kind::find(word).is_ok_and(|kind| is_stop(&kind)));
        if named || !words.iter().any(|word| CATEGORIES.contains(word)) {
            return Ok(());
        }
        let all = found.len();
        found.retain(|(kind, _)| !is_stop(kind));
        if found.len() < all {
            writeln!(io.err, "Warning: EmergencyStops are removed only when they are named: wicapctl resume")?;
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Error> {
        let usage = |text: &str| Err(Error::Usage(text.to_owned()));
        match &self.output {
            Some(output) if output != "name" => {
                return usage(&format!("unexpected -o output mode: {output}. We only support '-o name'"));
            }
            _ => {}
        }
        match (self.now, self.grace_period, self.force) {
            (true, seconds, _) if seconds != -1 => usage("--now and --grace-period cannot be specified together"),
            (true, _, true) => usage("--force and --grace-period greater than 0 cannot be specified together"),
            (_, seconds, true) if seconds > 0 => {
                usage("--force and --grace-period greater than 0 cannot be specified together")
            }
            (_, seconds, _) if seconds < -1 => {
                usage(&format!("--grace-period: found {seconds}, expected a number of seconds, or -1 for the object's own"))
            }
            _ => Ok(()),
        }
    }

    /// Removes one object, and says so. Returns what is then to be waited for.
    async fn remove(&self, kind: &Kind, name: &str, store: &Store, io: &mut Io<'_>) -> Result<Vec<Awaited>, Error> {
        let mut awaited = Vec::new();
        match self.dry_run {
            DryRun::None => {
                let object = kind.get(store, name).await?.ok_or_else(|| kind.not_found(name))?;
                let owned = match self.cascade {
                    Cascade::Background => Owned::default(),
                    Cascade::Foreground | Cascade::Orphan => Owned::by(uid(&object), store).await?,
                };
                if self.cascade == Cascade::Orphan {
                    owned.set_free(uid(&object), store).await?;
                }
                // The object that was looked at, and no other of its name.
                let params = DeleteParams { uid: Some(uid(&object).to_owned()), resource_version: None };
                let marked = kind.delete(store, name, &params).await?;
                if finalizers::held_by(&marked).is_empty() {
                    // Its spec half is gone already; that is all there was to wait for.
                } else {
                    let goal = Goal::gone(Some(uid(&marked).to_owned()));
                    awaited.extend(Kind::of(kind.info).map(|kind| Awaited::new(kind, name.to_owned(), vec![goal])));
                }
                if self.cascade == Cascade::Foreground {
                    awaited.extend(owned.awaited());
                }
            }
            DryRun::Client => {}
            DryRun::Server => {
                kind.get(store, name).await?.ok_or_else(|| kind.not_found(name))?;
            }
        }
        if self.output.is_some() {
            writeln!(io.out, "{}", kind.line(name))?;
            return Ok(awaited);
        }
        let done = if self.force { "force deleted" } else { "deleted" };
        let how = match self.dry_run {
            DryRun::None => "",
            DryRun::Client => " (dry run)",
            DryRun::Server => " (server dry run)",
        };
        writeln!(io.out, "{}.{GROUP} {name:?} {done}{how}", kind.singular())?;
        Ok(awaited)
    }

    async fn wait_for(
        &self,
        awaited: Vec<Awaited>,
        store: &Store,
        io: &mut Io<'_>,
        errors: &mut Vec<Error>,
    ) -> Result<(), Error> {
        if awaited.is_empty() {
            return Ok(());
        }
        let begun = Instant::now();
        let end = begun + if self.timeout.is_zero() { FOREVER } else { self.timeout.min(FOREVER) };
        let mut waiting = Waiting::begin(store, awaited)?;
        let mut told = false;
        loop {
            tokio::select! {
                next = waiting.next() => match next {
                    None => return Ok(()),
                    Some((_, Outcome::Met(_) | Outcome::Open)) => {}
                    Some((awaited, Outcome::Never(why))) => {
                        errors.push(Error::No(format!("{}: {why}", awaited.kind.line(&awaited.name))));
                    }
                },
                () = sleep_until(begun + SILENCE), if !told && begun + SILENCE < end => {
                    told = true;
                    for awaited in waiting.pending() {
                        writeln!(io.err, "waiting for {}", harmless(&why_still_there(awaited, store)))?;
                    }
                    io.err.flush()?;
                }
                () = sleep_until(end) => {
                    let now = store.clock().now();
                    errors.extend(waiting.pending().map(|awaited| timed_out(awaited, now)));
                    return Ok(());
                }
            }
        }
    }
}

/// What is waited for, and what holds it.
fn why_still_there(awaited: &Awaited, store: &Store) -> String {
    let line = awaited.kind.line(&awaited.name);
    let terminating = awaited.object.as_ref().and_then(|o| finalizers::terminating(o, store.clock().now()));
    match terminating {
        Some(why) => format!("{line}: {why}"),
        None => format!("{line}: its owner is gone, and the gc controller has not removed it yet"),
    }
}

fn uid(object: &Value) -> &str {
    object.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default()
}

/// Shows what is meant and asks.
fn agreed(found: &[(Kind, String)], io: &mut Io<'_>) -> Result<bool, Error> {
    writeln!(io.out, "You are about to delete the following {} resource(s):", found.len())?;
    for (kind, name) in found {
        writeln!(io.out, "{}", kind.line(name))?;
    }
    confirm("Do you want to continue?", "--interactive=false", io)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        verb: Delete,
    }

    /// Runs a command line that must not need a store.
    async fn said(line: &str) -> Result<(String, String), Error> {
        let words = std::iter::once("delete").chain(line.split_whitespace());
        let verb = Line::try_parse_from(words).unwrap().verb;
        let store = Store::connect(&"unix:///nowhere/store.sock".parse().unwrap(), Clock::system()).await.unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        verb.run(&store, &mut Io { out: &mut out, err: &mut err, manners: crate::cli::Manners::default() }).await?;
        Ok((String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap()))
    }

    #[tokio::test]
    async fn a_rehearsal_says_what_would_be_done_in_kubectls_words() {
        for (line, expected) in [
            ("ws a --dry-run", "wicapstack.wicap.dev \"a\" deleted (dry run)\n"),
            (
                "ws/a cs/b --dry-run=client",
                "wicapstack.wicap.dev \"a\" deleted (dry run)\ncontrolsession.wicap.dev \"b\" deleted (dry run)\n",
            ),
            ("ws a --dry-run=client -o name", "wicapstack.wicap.dev/a\n"),
            ("ws a --dry-run=client --now", "wicapstack.wicap.dev \"a\" deleted (dry run)\n"),
            ("ws a --dry-run=client --grace-period=0", "wicapstack.wicap.dev \"a\" deleted (dry run)\n"),
        ] {
            assert_eq!(said(line).await.unwrap(), (expected.to_owned(), String::new()), "{line}");
        }
        let (out, err) = said("ws a --dry-run=client --force").await.unwrap();
        assert_eq!(out, "wicapstack.wicap.dev \"a\" force deleted (dry run)\n");
        assert!(err.starts_with("Warning: Immediate deletion does not wait"), "{err}");
    }

    #[tokio::test]
    async fn what_contradicts_itself_is_refused_in_kubectls_words() {
        for (line, expected) in [
            ("", "You must provide one or more resources by argument or filename."),
            ("ws", "resource(s) were provided, but no name was specified"),
            ("ws a --all", "name cannot be provided when a selector is specified"),
            ("ws a -l b=c", "name cannot be provided when a selector is specified"),
            ("ws --all -l b=c", "setting 'all' parameter but found a non empty selector. "),
            ("ws a -o json", "unexpected -o output mode: json. We only support '-o name'"),
            ("ws a --now --grace-period=3", "--now and --grace-period cannot be specified together"),
            ("ws a --force --grace-period=3", "--force and --grace-period greater than 0 cannot be specified together"),
            ("ws a --force --now", "--force and --grace-period greater than 0 cannot be specified together"),
            ("ws a --grace-period=-5", "--grace-period: found -5, expected a number of seconds, or -1 for the object's own"),
        ] {
            let error = said(line).await.unwrap_err();
            assert_eq!(error.to_string().lines().next().unwrap(), format!("error: {expected}"), "{line}");
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }
}
