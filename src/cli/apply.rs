//! `apply`: makes the store hold what manifests say.
//!
//! ```text
//!  read ──▶ decode, validate ──▶ compare with the store, validate the change ──▶ write, one after another ──▶ prune
//!  └────────────── any mistake of any document: nothing is written ───────────┘
//! ```
//!
//! There is no transaction over several objects: when a write fails, those before it are done, nothing is pruned, and
//! applying again goes on.
//!
//! # Layout
//! - `plan`: what is to be done with one object
//! - `prune`: which objects go because no manifest describes them any more

pub(super) mod plan;
pub(super) mod prune;

use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::change::TRIES;
use super::dry_run::DryRun;
use super::manifest::{Manifest, Source};
use super::report::{Outcome, Report};
use super::{Error, Io, merge, print, recreate, timeout};
use crate::store::{self, DeleteParams, Store};
use plan::Step;
use prune::Pruning;

/// Arguments of `apply`.
#[derive(Debug, Args)]
pub struct Apply {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    outcome: Outcome,
    #[command(flatten)]
    pruning: Pruning,
    /// Delete and make anew what cannot be changed, such as a session
    #[arg(long)]
    force: bool,
    /// With --force, how long to wait until the old object is gone, such as 30s; 0s waits for as long as it takes
    #[arg(long, default_value = "0s", value_parser = timeout)]
    timeout: Duration,
    /// Refused: the store keeps no owners of fields, which apply on the server needs
    #[arg(long, hide = true)]
    server_side: bool,
}

/// One object as it was left, and the word for what was done.
struct Applied {
    object: Value,
    outcome: &'static str,
}

impl Apply {
    pub(super) async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        self.check()?;
        let mut reading = self.source.read(io)?;
        let others = reading.keep_selected(self.pruning.labels())?;
        if let Some(set) = self.pruning.set() {
            reading.mistakes.extend(reading.manifests.iter_mut().filter_map(|manifest| set.take_in(manifest)));
        }
        reading.mistakes.extend(reading.manifests.iter().flat_map(wrong_by_itself));
        let manifests = reading.finish_for("apply")?;
        let steps = self.plan_all(&manifests, store).await?;
        let mut report = self.outcome.report();
        let mut applied = Vec::new();
        for (manifest, step) in manifests.iter().zip(steps) {
            let done = if self.outcome.dry_run.writes() {
                self.carry_out(manifest, store, io).await?
            } else {
                warn(manifest, &step, io)?;
                foreseen(step)
            };
            if self.outcome.shows_objects() {
                applied.push(done.object);
            } else {
                report.object(&manifest.kind, &done.object, done.outcome, io)?;
            }
        }
        match applied.as_slice() {
            [] => {}
            [one] => report.document(one, io)?,
            _ => report.document(&print::list(applied), io)?,
        }
        self.prune(&manifests, &others, store, &mut report, io).await
    }

    fn check(&self) -> Result<(), Error> {
        if self.server_side {
            let why = "the store keeps no owners of fields; without the flag, what others set in other fields stays too";
            return Err(Error::Usage(format!("--server-side is not supported: {why}")));
        }
        if self.force && self.outcome.dry_run == DryRun::Server {
            return Err(Error::Usage("--dry-run=server cannot be used with --force".to_owned()));
        }
        self.pruning.check()
    }

    /// Compares every manifest with the store. Every mistake is told at once.
    async fn plan_all(&self, manifests: &[Manifest], store: &Store) -> Result<Vec<Step>, Error> {
        let (mut steps, mut mistakes) = (Vec::new(), Vec::new());
        for manifest in manifests {
            match plan::plan(manifest, self.force, store).await? {
                Ok(step) => steps.push(step),
                Err(violations) => mistakes.extend(manifest.mistakes(violations)),
            }
        }
        if mistakes.is_empty() { Ok(steps) } else { Err(Error::Refused(mistakes)) }
    }

    /// Plans once more and writes, again when somebody else wrote in between.
    async fn carry_out(&self, manifest: &Manifest, store: &Store, io: &mut Io<'_>) -> Result<Applied, Error> {
        let kind = &manifest.kind;
        let mut warned = false;
        for _ in 0..TRIES {
            let step = plan::plan(manifest, self.force, store).await?.map_err(|v| Error::Refused(manifest.mistakes(v)))?;
            if !std::mem::replace(&mut warned, true) {
                warn(manifest, &step, io)?;
            }
            let written = match &step {
                Step::Nothing { .. } => return Ok(foreseen(step)),
                Step::Create { object } => kind.create(store, object).await,
                Step::Replace { object, .. } => kind.replace(store, object).await,
                Step::Recreate { object, live } => {
                    recreate::remove(kind, &manifest.name, &recreate::as_seen(live), self.timeout, store).await?;
                    kind.create(store, object).await
                }
            };
            match written {
                Err(store::Error::Conflict { .. } | store::Error::AlreadyExists { .. } | store::Error::NotFound { .. }) => {}
                other => return Ok(Applied { object: other?, outcome: foreseen(step).outcome }),
            }
        }
        Err(store::Error::Conflict { what: kind.line(&manifest.name) }.into())
    }

    /// Removes what no manifest describes any more. Those that a selector left out count as described.
    async fn prune(
        &self,
        manifests: &[Manifest],
        others: &[Manifest],
        store: &Store,
        report: &mut Report<'_>,
        io: &mut Io<'_>,
    ) -> Result<(), Error> {
        let described: Vec<_> = manifests.iter().chain(others).collect();
        let mut errors = Vec::new();
        for (kind, object) in self.pruning.candidates(&described, store).await? {
            if self.outcome.dry_run.writes() {
                let uid = object.pointer("/metadata/uid").and_then(Value::as_str).map(str::to_owned);
                let params = DeleteParams { uid, ..DeleteParams::default() };
                match kind.delete(store, super::kind::name_of(&object), &params).await {
                    Ok(_) => {}
                    // Whoever removed it has done what was to be done; one that was made anew is another one.
                    Err(store::Error::NotFound { .. } | store::Error::Conflict { .. }) => continue,
                    Err(e @ store::Error::Unreachable { .. }) => return Err(e.into()),
                    Err(e) => {
                        errors.push(e.into());
                        continue;
                    }
                }
            }
            report.object(&kind, &object, "pruned", io)?;
        }
        Error::all(errors)
    }
}

/// What is wrong with a manifest whatever the store holds. It is judged with its annotation, whose size counts too.
pub(super) fn wrong_by_itself(manifest: &Manifest) -> Vec<String> {
    let as_written = manifest.kind.decode(&manifest.document).err();
    let as_stored = || manifest.kind.decode(&merge::annotated(&merge::wanted(&manifest.document))).err();
    manifest.mistakes(as_written.or_else(as_stored).unwrap_or_default())
}

/// What a step comes to when nobody gets in between.
fn foreseen(step: Step) -> Applied {
    match step {
        Step::Create { object } => Applied { object, outcome: "created" },
        Step::Replace { object, .. } | Step::Recreate { object, .. } => Applied { object, outcome: "configured" },
        Step::Nothing { live } => Applied { object: live, outcome: "unchanged" },
    }
}

/// What an operator should know of a step before it is taken.
fn warn(manifest: &Manifest, step: &Step, io: &mut Io<'_>) -> Result<(), Error> {
    let Step::Replace { live, .. } = step else { return Ok(()) };
    let line = format!("{}/{}", manifest.kind.info.plural, manifest.name);
    if merge::last_applied(live).is_none() {
        let (key, lost) = (merge::LAST_APPLIED, "fields that are left out of the manifest stay as they are this time");
        writeln!(io.err, "Warning: resource {line} has no {key} annotation, which apply needs; it is added, and {lost}")?;
    }
    if live.pointer("/metadata/deletionTimestamp").is_some_and(Value::is_string) {
        writeln!(io.err, "Warning: resource {line} is being deleted; what is applied goes with it")?;
    }
    Ok(())
}
