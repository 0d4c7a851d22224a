//! `snapshot`: packs all that is known of a stack, or looks into such a pack.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use futures::StreamExt;
use kube::runtime::watcher::Event;

use super::operator::operator;
use super::print::table::{Table, harmless};
use super::progress::progress;
use super::{Error, Io};
use crate::api::GROUP;
use crate::api::snapshot::{Snapshot as SnapshotObject, SnapshotPhase, SnapshotReason, SnapshotSpec};
use crate::api::stack::WicapStack;
use crate::audit::pack::manifest::Cut;
use crate::audit::pack::reader::{Pack, verify};
use crate::store::embedded::data_dir::default_path;
use crate::store::{Store, WatchParams};

/// The directory of packs, below the data directory.
const DIRECTORY: &str = "packs";

/// Arguments of `snapshot`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub struct Snapshot {
    /// The stack that is to be packed
    #[arg(value_name = "STACK")]
    stack: Option<String>,
    /// Name of the snapshot; made of the stack's and the time when absent
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// How long to wait for the pack; 0s does not wait
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = super::timeout)]
    timeout: Duration,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Say what is in a pack
    Show(Which),
    /// Say whether a pack is what was written; exit code 1 when it is not
    Verify(Which),
}

/// Which pack.
#[derive(Debug, Args)]
struct Which {
    /// A snapshot by its name, or a pack by its file
    #[arg(value_name = "NAME|FILE")]
    pack: PathBuf,
    /// The data directory of the host that has the packs
    #[arg(long, value_name = "DIR", env = "WICAP_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Which {
    /// The file, when it is one or can be nothing else.
    fn file(&self) -> Option<&Path> {
        let name = self.pack.to_string_lossy();
        let is_file = name.contains('/') || name.ends_with(".tar.zst") || self.pack.is_file();
        is_file.then_some(self.pack.as_path())
    }

    /// Where the pack of a snapshot is, and the digest that it had when it was made.
    async fn find(&self, store: &Store) -> Result<(PathBuf, Option<String>), Error> {
        let name = self.pack.to_string_lossy();
        let snapshot = store.api::<SnapshotObject>().get(&name).await?;
        let status = snapshot.status.unwrap_or_default();
        let Some(file) = status.file else {
            let why = status.message.map_or_else(|| "it is not made yet".to_owned(), |why| format!("there is none: {why}"));
            return Err(Error::No(format!("the pack of {name:?}: {why}")));
        };
        let path = self.data_dir.clone().unwrap_or_else(default_path).join(DIRECTORY).join(&file);
        if !path.is_file() {
            let host = status.host.unwrap_or_default();
            let shown = path.display();
            return Err(Error::No(format!(
                "the pack of {name:?} is {file} on host {host}; {shown} is not there (--data-dir?)"
            )));
        }
        Ok((path, status.digest))
    }
}

impl Snapshot {
    /// Whether a store is to be asked.
    pub(super) fn asks_the_store(&self) -> bool {
        match &self.verb {
            Some(Verb::Show(which) | Verb::Verify(which)) => which.file().is_none(),
            None => true,
        }
    }

    /// Does what needs no store.
    pub(super) fn run_alone(&self, io: &mut Io<'_>) -> Result<(), Error> {
        match &self.verb {
            Some(Verb::Show(which)) => show(&which.pack, which.json, io),
            Some(Verb::Verify(which)) => check(&which.pack, None, which.json, io),
            None => Ok(()),
        }
    }

    pub(super) async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        match &self.verb {
            Some(Verb::Show(which)) => show(&which.find(store).await?.0, which.json, io),
            Some(Verb::Verify(which)) => {
                let (path, digest) = which.find(store).await?;
                check(&path, digest.as_deref(), which.json, io)
            }
            None => self.ask(store, io).await,
        }
    }

    /// Asks for a pack, and waits for it.
    async fn ask(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        let stack = self.stack.as_deref().unwrap_or_default();
        store.api::<WicapStack>().get(stack).await?;
        let stamp = store.clock().now().strftime("%Y%m%d-%H%M%S").to_string();
        let name = self.name.clone().unwrap_or_else(|| format!("{stack}-{stamp}"));
        let spec =
            SnapshotSpec { stack: stack.to_owned(), reason: SnapshotReason::Requested, object: None, by: Some(operator()) };
        store.transaction().create(&SnapshotObject::new(&name, spec))?.commit().await?;
        writeln!(io.out, "snapshot.{GROUP}/{name} created")?;
        io.out.flush()?;
        if self.timeout.is_zero() {
            return Ok(());
        }
        let made = tokio::time::timeout(self.timeout, made(store, &name));
        let made = progress(io, &format!("waiting for the pack of {name}"), made).await;
        let late =
            || Error::No(format!("timed out waiting for the pack of {name:?}: does its host run the controller snapshot?"));
        let status = made.map_err(|_| late())??.status.unwrap_or_default();
        match (status.phase, status.file) {
            (SnapshotPhase::Completed, Some(file)) => {
                let (host, bytes) = (status.host.unwrap_or_default(), status.bytes.unwrap_or_default());
                writeln!(io.out, "{file} on host {host}: {bytes} bytes, sha256 {}", status.digest.unwrap_or_default())?;
                if let Some(message) = status.message {
                    writeln!(io.err, "warning: {}", harmless(&message))?;
                }
                Ok(())
            }
            _ => Err(Error::No(status.message.unwrap_or_else(|| "no pack was made".to_owned()))),
        }
    }
}

/// The snapshot when something has become of it.
async fn made(store: &Store, name: &str) -> Result<SnapshotObject, Error> {
    let params = WatchParams { name: Some(name.to_owned()), ..WatchParams::default() };
    let mut events = store.api::<SnapshotObject>().watch(&params)?;
    while let Some(event) = events.next().await {
        if let Event::Apply(object) | Event::InitApply(object) = event?
            && object.status.as_ref().is_some_and(|s| s.phase.is_final())
        {
            return Ok(object);
        }
    }
    Err(Error::No(format!("the watch of {name:?} has ended")))
}

fn open(path: &Path) -> Result<File, Error> {
    File::open(path).map_err(|e| Error::No(format!("{}: {e}", path.display())))
}

fn show(path: &Path, json: bool, io: &mut Io<'_>) -> Result<(), Error> {
    let pack = Pack::read(open(path)?).map_err(|e| Error::No(format!("{}: {e}", path.display())))?;
    let summary = pack.show();
    if json {
        serde_json::to_writer_pretty(&mut *io.out, &summary).map_err(std::io::Error::from)?;
        return Ok(writeln!(io.out)?);
    }
    let about = summary.about;
    writeln!(io.out, "Stack:    {}", about.stack)?;
    writeln!(
        io.out,
        "Reason:   {}{}",
        about.reason.as_str(),
        about.object.as_ref().map(|o| format!(" ({o})")).unwrap_or_default()
    )?;
    writeln!(io.out, "At:       {}", about.at)?;
    writeln!(io.out, "Version:  wicap {}", about.version)?;
    writeln!(io.out, "Digest:   sha256 {}", summary.digest)?;
    writeln!(io.out, "Size:     {} bytes, {} unpacked", summary.packed, summary.unpacked)?;
    writeln!(io.out)?;
    let mut rows = vec![["ENTRY", "BYTES", "CUT"].map(str::to_owned).to_vec()];
    rows.extend(summary.entries.iter().map(|entry| {
        let cut = match entry.cut {
            None => String::new(),
            Some(Cut::Front { bytes, lines }) => format!("the first {lines} lines, {bytes} bytes"),
            Some(Cut::LeftOut { bytes }) => format!("left out, it had {bytes} bytes"),
        };
        vec![entry.path.clone(), entry.bytes.to_string(), cut]
    }));
    Ok(Table::list().write(io.out, &rows)?)
}

fn check(path: &Path, digest: Option<&str>, json: bool, io: &mut Io<'_>) -> Result<(), Error> {
    let violations = verify(open(path)?, digest).map_err(|e| Error::No(format!("{}: {e}", path.display())))?;
    if json {
        let told: Vec<String> = violations.iter().map(ToString::to_string).collect();
        serde_json::to_writer(&mut *io.out, &serde_json::json!({"whole": told.is_empty(), "violations": told}))
            .map_err(std::io::Error::from)?;
        writeln!(io.out)?;
    } else if violations.is_empty() {
        writeln!(io.out, "{}: whole", path.display())?;
    }
    if violations.is_empty() {
        return Ok(());
    }
    let told: Vec<String> = violations.iter().map(|v| format!("{}: {v}", path.display())).collect();
    Err(Error::No(told.join("\n")))
}
