//! `replace`: puts whole manifests in the place of the objects that are there.
//!
//! Nothing of the old object stays but what the store writes. A uid or resourceVersion in a manifest is a precondition.

use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::change;
use super::dry_run::DryRun;
use super::manifest::{Manifest, Source};
use super::report::Outcome;
use super::{Error, Io, merge, recreate, timeout};
use crate::api::GROUP;
use crate::store::{self, DeleteParams, Store};

/// Arguments of `replace`.
#[derive(Debug, Args)]
pub struct Replace {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    outcome: Outcome,
    /// Keep the manifest in the annotation that apply compares with
    #[arg(long)]
    save_config: bool,
    /// Delete the object, wait until it is gone, and make it anew; one that is not there is made
    #[arg(long)]
    force: bool,
    /// With --force, how long to wait until the old object is gone, such as 30s; 0s waits for as long as it takes
    #[arg(long, default_value = "0s", value_parser = timeout)]
    timeout: Duration,
}

impl Replace {
    pub(super) async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        if self.force && !self.outcome.dry_run.writes() {
            return Err(Error::Usage("--dry-run can not be used when --force is set".to_owned()));
        }
        if !self.force && !self.timeout.is_zero() {
            return Err(Error::Usage("--timeout must have --force specified".to_owned()));
        }
        let mut reading = self.source.read(io)?;
        let (mut objects, mut mistakes) = (Vec::new(), Vec::new());
        for manifest in &reading.manifests {
            match manifest.kind.decode(&merge::saved(&manifest.document, self.save_config)) {
                Ok(object) => objects.push(object),
                Err(violations) => mistakes.extend(manifest.mistakes(violations)),
            }
        }
        reading.mistakes.extend(mistakes);
        let manifests = reading.finish_for("replace")?;
        let (mut report, mut errors) = (self.outcome.report(), Vec::new());
        // Every object is tried, whatever became of those before it.
        for (manifest, object) in manifests.iter().zip(objects) {
            let replaced = if self.force {
                self.make_anew(manifest, &object, store, io).await
            } else {
                self.put(manifest, object, store).await
            };
            match replaced {
                Ok(object) => report.object(&manifest.kind, &object, "replaced", io)?,
                Err(Error::Store(e @ store::Error::Unreachable { .. })) => return Err(e.into()),
                Err(e) if e.is_output() => return Err(e),
                Err(Error::Store(error)) => {
                    errors.push(Error::When { doing: "replacing", origin: manifest.source(), error });
                }
                Err(e) => errors.push(e),
            }
        }
        Error::all(errors)
    }

    async fn put(&self, manifest: &Manifest, object: Value, store: &Store) -> Result<Value, Error> {
        match self.outcome.dry_run {
            DryRun::Client => Ok(object),
            dry_run => {
                let edit = |_: &Value| Ok(object.clone());
                Ok(change::change(&manifest.kind, &manifest.name, store, dry_run, edit).await?.after)
            }
        }
    }

    async fn make_anew(&self, manifest: &Manifest, object: &Value, store: &Store, io: &mut Io<'_>) -> Result<Value, Error> {
        let kind = &manifest.kind;
        if recreate::remove(kind, &manifest.name, &DeleteParams::default(), self.timeout, store).await? {
            writeln!(io.out, "{}.{GROUP} {:?} deleted", kind.singular(), manifest.name)?;
        }
        Ok(kind.create(store, &recreate::new_life(object)).await?)
    }
}
