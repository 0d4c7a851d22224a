//! `delete`: removes objects, and waits until they are gone.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::kind::Kind;
use super::target::Target;
use super::wait::{self, Goal};
use super::{Error, Io, manifest, timeout};
use crate::api::GROUP;
use crate::store::{self, DeleteParams, Store};

/// Arguments of `delete`.
#[derive(Debug, Args)]
pub struct Delete {
    /// KIND NAME… or KIND/NAME…
    #[arg(value_name = "KIND", required_unless_present = "filename", conflicts_with = "filename")]
    target: Vec<String>,
    /// The objects that a file, a directory or - (standard input) describes
    #[arg(short, long = "filename", value_name = "FILE|DIR|-")]
    filename: Vec<PathBuf>,
    /// Search directories for manifests in depth
    #[arg(short = 'R', long)]
    recursive: bool,
    /// A name that is not found is no error
    #[arg(long)]
    ignore_not_found: bool,
    /// Wait until the objects are gone
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    wait: bool,
    /// How long to wait, such as 30s; 0s waits for as long as it takes
    #[arg(long, default_value = "0s", value_parser = timeout)]
    timeout: Duration,
}

impl Delete {
    pub(super) async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        let named: Vec<(Kind, String)> = if self.filename.is_empty() {
            Target::named(&self.target)?
        } else {
            manifest::read(&self.filename, self.recursive).finish()?.into_iter().map(|m| (m.kind, m.name)).collect()
        };
        let (mut errors, mut asked) = (Vec::new(), Vec::new());
        for (kind, name) in named {
            match kind.delete(store, &name, &DeleteParams::default()).await {
                Ok(object) => {
                    writeln!(io.out, "{}.{GROUP} {name:?} deleted", kind.singular())?;
                    asked.push((kind, name, object));
                }
                Err(store::Error::NotFound { .. }) if self.ignore_not_found => {}
                Err(e @ store::Error::Unreachable { .. }) => return Err(e.into()),
                Err(e) => errors.push(e.into()),
            }
        }
        io.out.flush()?;
        if self.wait {
            let limit = if self.timeout.is_zero() { wait::FOREVER } else { self.timeout };
            for (kind, name, object) in &asked {
                let uid = object.pointer("/metadata/uid").and_then(Value::as_str).map(str::to_owned);
                if let Err(e) = wait::until(kind, name, &Goal::Gone { uid }, limit, store).await {
                    errors.push(e);
                }
            }
        }
        Error::all(errors)
    }
}
