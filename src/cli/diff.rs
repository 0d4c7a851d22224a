//! `diff`: shows what `apply` would change, and changes nothing.
//!
//! There is a difference exactly when `apply` would not say `unchanged`. Exit codes are `diff`'s own: 0 none, 1
//! differences, more than 1 trouble.
//!
//! # Layout
//! - `sides`: the two texts that are compared of an object
//! - `external`: another program than ours that shows the differences

mod external;
mod sides;

use clap::Args;

use super::apply::plan::{self, Step};
use super::apply::{prune::Pruning, wrong_by_itself};
use super::manifest::{Files, Manifest};
use super::{Error, Io};
use crate::store::Store;
use sides::Sides;

/// The variable that names another program, with its arguments: it gets two directories, and ends with 0 or 1 as `diff`
/// does.
const EXTERNAL: &str = "WICAP_EXTERNAL_DIFF";

/// Arguments of `diff`.
#[derive(Debug, Args)]
pub struct Diff {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    pruning: Pruning,
    /// Refused: the store keeps no owners of fields, which apply on the server needs
    #[arg(long, hide = true)]
    server_side: bool,
}

impl Diff {
    pub(super) async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        match self.differences(store, io).await {
            Ok(false) => Ok(()),
            Ok(true) => Err(Error::Differ),
            Err(e) => Err(trouble(e)),
        }
    }

    async fn differences(&self, store: &Store, io: &mut Io<'_>) -> Result<bool, Error> {
        if self.server_side {
            let why = "the store keeps no owners of fields";
            return Err(Error::Usage(format!("--server-side is not supported: {why}")));
        }
        let all = self.sides(store).await?;
        if all.is_empty() {
            return Ok(false);
        }
        match std::env::var(EXTERNAL) {
            Ok(command) if !command.trim().is_empty() => external::show(&command, &all, io).await,
            _ => {
                for sides in &all {
                    io.out.write_all(sides.unified().as_bytes())?;
                }
                Ok(true)
            }
        }
    }

    /// What would be changed, in the order of the manifests; then what would be pruned.
    async fn sides(&self, store: &Store) -> Result<Vec<Sides>, Error> {
        self.pruning.check_for_diff()?;
        let mut reading = self.files.read();
        let others = reading.keep_selected(self.pruning.labels())?;
        if let Some(set) = self.pruning.set() {
            reading.mistakes.extend(reading.manifests.iter_mut().filter_map(|manifest| set.take_in(manifest)));
        }
        let wrong = |manifest: &Manifest| [wrong_by_itself(manifest), manifest.mistakes(manifest.wrong_tags())].concat();
        reading.mistakes.extend(reading.manifests.iter().flat_map(wrong));
        let manifests = reading.finish()?;
        let (mut all, mut mistakes) = (Vec::new(), Vec::new());
        for manifest in &manifests {
            let (kind, name) = (&manifest.kind, manifest.name.as_str());
            match plan::plan(manifest, false, store).await? {
                Ok(Step::Create { object }) => all.push(Sides::of(kind, name, None, Some(&object))?),
                Ok(Step::Replace { object, live } | Step::Recreate { object, live }) => {
                    all.push(Sides::of(kind, name, Some(&live), Some(&object))?);
                }
                Ok(Step::Nothing { .. }) => {}
                Err(violations) => mistakes.extend(manifest.mistakes(violations)),
            }
        }
        if !mistakes.is_empty() {
            return Err(Error::Refused(mistakes));
        }
        let described: Vec<_> = manifests.iter().chain(&others).collect();
        for (kind, object) in self.pruning.candidates(&described, store).await? {
            all.push(Sides::of(&kind, super::kind::name_of(&object), Some(&object), None)?);
        }
        Ok(all)
    }
}

/// An error with an exit code over 1, which says that there are differences.
fn trouble(error: Error) -> Error {
    match error {
        Error::No(text) => Error::Usage(text),
        Error::Output(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Error::Usage(format!("cannot write the output: {e}"))
        }
        Error::Several(all) => Error::Several(all.into_iter().map(trouble).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_trouble_looks_like_a_difference() {
        let full = || Error::Output(std::io::ErrorKind::StorageFull.into());
        for error in [
            Error::No("the path \"x\" does not exist".into()),
            full(),
            Error::Several(vec![Error::No("a".into()), full()]),
            Error::Refused(vec!["no".into()]),
        ] {
            let text = error.to_string();
            let error = trouble(error);
            assert!(error.exit_code() > 1, "{error}");
            assert_eq!(error.to_string(), text);
        }
        assert_eq!(Error::Differ.exit_code(), 1);
    }
}
