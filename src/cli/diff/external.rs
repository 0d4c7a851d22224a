//! Another program that shows the differences: it gets a directory of the live objects and one of the merged ones, a file
//! each.

use std::path::Path;

use super::super::{Error, Io, interrupt};
use super::{EXTERNAL, Sides};

/// Runs it on every object that differs. Returns whether it says that there are differences.
///
/// # Errors
/// [`Error::Usage`] when it cannot be run, or ends with more than 1; what the file system says.
pub(super) async fn show(command: &str, all: &[Sides], io: &mut Io<'_>) -> Result<bool, Error> {
    let trouble = |why: String| Error::Usage(format!("{EXTERNAL}: {command:?} {why}"));
    let directory = |prefix: &str| tempfile::Builder::new().prefix(prefix).tempdir();
    let (live, merged) = (directory("LIVE-")?, directory("MERGED-")?);
    for sides in all {
        write(live.path(), &sides.name, &sides.live)?;
        write(merged.path(), &sides.name, &sides.merged)?;
    }
    let mut words = command.split_whitespace();
    let program = words.next().ok_or_else(|| trouble("names no program".to_owned()))?;
    // It writes to the same place, and what is written so far comes first.
    io.out.flush()?;
    let _signals = interrupt::hold();
    let status = tokio::process::Command::new(program).args(words).arg(live.path()).arg(merged.path()).status().await;
    match status.map_err(|e| trouble(format!("cannot be run: {e}")))?.code() {
        Some(0) => Ok(false),
        Some(1) => Ok(true),
        Some(code) => Err(trouble(format!("ended with exit code {code}, expected 0 (no differences) or 1"))),
        None => Err(trouble("was ended by a signal".to_owned())),
    }
}

/// A side that is nothing has no file; `-N` makes an empty one of it.
fn write(directory: &Path, name: &str, text: &str) -> Result<(), Error> {
    if !text.is_empty() {
        std::fs::write(directory.join(name), text)?;
    }
    Ok(())
}
