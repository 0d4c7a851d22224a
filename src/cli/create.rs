//! `create`: makes objects that are not there yet.

use clap::Args;

use super::dry_run::DryRun;
use super::manifest::{Manifest, Source};
use super::report::Outcome;
use super::selection::selector;
use super::{Error, Io, merge, recreate};
use crate::store::{self, Store};

/// Arguments of `create`.
#[derive(Debug, Args)]
pub struct Create {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    outcome: Outcome,
    /// Only manifests with these labels, as in app=wicap,tier!=db
    #[arg(short = 'l', long = "selector", value_name = "LABELS", value_parser = selector)]
    labels: Option<String>,
    /// Keep the manifest in the annotation that apply compares with
    #[arg(long)]
    save_config: bool,
}

impl Create {
    pub(super) async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        let mut reading = self.source.read(io)?;
        reading.keep_selected(self.labels.as_deref())?;
        let (mut objects, mut mistakes) = (Vec::new(), Vec::new());
        for manifest in &reading.manifests {
            let object = recreate::new_life(&merge::saved(&manifest.document, self.save_config));
            match manifest.kind.decode(&object) {
                Ok(object) => objects.push(object),
                Err(violations) => mistakes.extend(manifest.mistakes(violations)),
            }
        }
        reading.mistakes.extend(mistakes);
        let manifests = reading.finish_for("create")?;
        let (mut report, mut errors) = (self.outcome.report(), Vec::new());
        // Every object is tried, whatever became of those before it.
        for (manifest, object) in manifests.iter().zip(objects) {
            let made = match self.outcome.dry_run {
                DryRun::None => manifest.kind.create(store, &object).await,
                DryRun::Client => Ok(object),
                DryRun::Server => match manifest.kind.get(store, &manifest.name).await? {
                    None => Ok(object),
                    Some(_) => Err(already_exists(manifest)),
                },
            };
            match made {
                Ok(object) => report.object(&manifest.kind, &object, "created", io)?,
                Err(e @ store::Error::Unreachable { .. }) => return Err(e.into()),
                Err(error) => errors.push(Error::When { doing: "creating", origin: manifest.source(), error }),
            }
        }
        Error::all(errors)
    }
}

fn already_exists(manifest: &Manifest) -> store::Error {
    store::Error::AlreadyExists { kind: manifest.kind.info.plural, name: manifest.name.clone() }
}
