//! `crds`: the CustomResourceDefinitions, as Kubernetes and editors read them.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::print::{self, format::Format};
use super::{Error, Io};
use crate::api::registry;

/// Arguments of `crds`.
#[derive(Debug, Args)]
pub struct Crds {
    /// Write one file a kind into this directory
    #[arg(long, value_name = "DIR", conflicts_with = "output")]
    dir: Option<PathBuf>,
    /// json or yaml, all of them as a List
    #[arg(short, long, default_value = "json")]
    output: Format,
}

/// Every definition with the name of its file, in the order of the registry.
///
/// # Errors
/// When a definition cannot be written as JSON.
pub fn definitions() -> Result<Vec<(String, Value)>, serde_json::Error> {
    let one = |info: registry::KindInfo| Ok((format!("{}.json", info.plural), serde_json::to_value((info.crd)())?));
    registry::kinds().into_iter().map(one).collect()
}

/// A definition as its file holds it: keys sorted, so that the same types are the same bytes.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn text(definition: &Value) -> Result<String, serde_json::Error> {
    Ok(serde_json::to_string_pretty(definition)? + "\n")
}

impl Crds {
    pub(super) fn run(&self, io: &mut Io<'_>) -> Result<(), Error> {
        let unwritable = |e: serde_json::Error| Error::Output(e.into());
        let all = definitions().map_err(unwritable)?;
        let Some(dir) = &self.dir else {
            let format = match self.output {
                Format::Json | Format::Yaml => &self.output,
                _ => return Err(Error::Usage("crds are written as json or yaml".to_owned())),
            };
            let items: Vec<Value> = all.into_iter().map(|(_, definition)| definition).collect();
            return print::document(io.out, format, &print::list(items));
        };
        let failed = |path: &PathBuf, e: std::io::Error| Error::No(format!("{}: {e}", path.display()));
        fs::create_dir_all(dir).map_err(|e| failed(dir, e))?;
        for (file, definition) in all {
            let path = dir.join(file);
            fs::write(&path, text(&definition).map_err(unwritable)?).map_err(|e| failed(&path, e))?;
            writeln!(io.out, "{}", path.display())?;
        }
        Ok(())
    }
}
