//! `apply`: makes the store hold what manifests say.
//!
//! ```text
//!  read ──▶ decode, validate ──▶ compare with the store, validate the change ──▶ write, one after another
//!  └────────────── any mistake of any document: nothing is written ───────────┘
//! ```
//!
//! There is no transaction over several objects: when a write fails, those before it are done, and applying again goes on.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::manifest::{self, Manifest};
use super::{Error, Io, merge};
use crate::api::Violation;
use crate::store::{self, Store};

/// How often a write is tried that others got in between of. Each try reads again, so one of two that race always gets through.
const TRIES: usize = 8;

/// Arguments of `apply`.
#[derive(Debug, Args)]
pub struct Apply {
    /// File, directory or - for standard input, in JSON or YAML
    #[arg(short, long = "filename", value_name = "FILE|DIR|-", required = true)]
    filename: Vec<PathBuf>,
    /// Search directories for manifests in depth
    #[arg(short = 'R', long)]
    recursive: bool,
}

/// What is to be done with one object.
enum Step {
    Create(Value),
    /// The object as it should be, with the resourceVersion it was read at.
    Replace(Value),
    Nothing,
}

/// What a manifest demands of the object as it is: kubectl's optimistic lock.
struct Precondition {
    uid: Option<String>,
    resource_version: Option<String>,
}

impl Apply {
    pub(super) async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        let mut reading = manifest::read(&self.filename, self.recursive);
        reading.mistakes.extend(reading.manifests.iter().flat_map(wrong_by_itself));
        let manifests = reading.finish()?;
        let mut mistakes = Vec::new();
        for manifest in &manifests {
            mistakes.extend(lines(manifest, plan(manifest, store).await?.err().unwrap_or_default()));
        }
        if !mistakes.is_empty() {
            return Err(Error::Refused(mistakes));
        }
        for manifest in &manifests {
            let outcome = carry_out(manifest, store, io).await?;
            writeln!(io.out, "{} {outcome}", manifest.kind.line(&manifest.name))?;
        }
        Ok(())
    }
}

fn lines(manifest: &Manifest, violations: Vec<Violation>) -> Vec<String> {
    violations.into_iter().map(|v| format!("{}: {v}", manifest.place())).collect()
}

/// What is wrong with a manifest whatever the store holds. It is judged with its annotation, whose size counts too.
fn wrong_by_itself(manifest: &Manifest) -> Vec<String> {
    let as_written = manifest.kind.decode(&manifest.document).err();
    let as_stored = || manifest.kind.decode(&merge::annotated(&merge::wanted(&manifest.document))).err();
    lines(manifest, as_written.or_else(as_stored).unwrap_or_default())
}

/// Compares a manifest with the store. The outer error is the store's, the inner one the manifest's.
async fn plan(manifest: &Manifest, store: &Store) -> Result<Result<Step, Vec<Violation>>, Error> {
    let (kind, wanted) = (&manifest.kind, merge::wanted(&manifest.document));
    let Some(live) = kind.get(store, &manifest.name).await? else {
        return Ok(kind.decode(&merge::annotated(&wanted)).map(Step::Create));
    };
    let merged = merge::three_way(merge::last_applied(&live).as_ref(), &wanted, &live);
    Ok(kind.decode(&merged).and_then(|new| {
        let changed = ["metadata", "spec"].into_iter().any(|half| new.get(half) != live.get(half));
        match kind.check_update(&new, &live) {
            _ if !changed => Ok(Step::Nothing),
            violations if violations.is_empty() => Ok(Step::Replace(new)),
            violations => Err(violations),
        }
    }))
}

/// Plans once more and writes, again when somebody else wrote in between.
async fn carry_out(manifest: &Manifest, store: &Store, io: &mut Io<'_>) -> Result<&'static str, Error> {
    let (kind, precondition) = (&manifest.kind, Precondition::of(&manifest.document));
    let mut warned = false;
    for _ in 0..TRIES {
        let step = plan(manifest, store).await?.map_err(|v| Error::Refused(lines(manifest, v)))?;
        precondition.check(manifest, &step)?;
        let written = match &step {
            Step::Nothing => return Ok("unchanged"),
            Step::Create(object) => kind.create(store, object).await.map(|_| "created"),
            Step::Replace(object) => {
                if !warned && merge::last_applied(&kind.get(store, &manifest.name).await?.unwrap_or_default()).is_none() {
                    warned = true;
                    let (line, key) = (format!("{}/{}", kind.info.plural, manifest.name), merge::LAST_APPLIED);
                    let lost = "fields that are left out of the manifest stay as they are this time";
                    writeln!(
                        io.err,
                        "Warning: resource {line} has no {key} annotation, which apply needs; it is added, and {lost}"
                    )?;
                }
                kind.replace(store, object).await.map(|_| "configured")
            }
        };
        match written {
            Err(store::Error::Conflict { .. } | store::Error::AlreadyExists { .. } | store::Error::NotFound { .. }) => {}
            other => return Ok(other?),
        }
    }
    Err(store::Error::Conflict { what: kind.line(&manifest.name) }.into())
}

impl Precondition {
    fn of(document: &Value) -> Self {
        let text = |field: &str| document.pointer(&format!("/metadata/{field}")).and_then(Value::as_str).map(str::to_owned);
        Self { uid: text("uid"), resource_version: text("resourceVersion") }
    }

    fn check(&self, manifest: &Manifest, step: &Step) -> Result<(), Error> {
        let Step::Replace(object) = step else { return Ok(()) };
        for (field, wanted) in [("uid", &self.uid), ("resourceVersion", &self.resource_version)] {
            let found = object.pointer(&format!("/metadata/{field}")).and_then(Value::as_str);
            if wanted.as_deref().is_some_and(|w| !w.is_empty() && Some(w) != found) {
                let what = format!("the {field} of {} {:?}", manifest.kind.info.plural, manifest.name);
                return Err(store::Error::Conflict { what }.into());
            }
        }
        Ok(())
    }
}
