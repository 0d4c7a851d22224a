//! The operator's editor, on a file.

use std::path::Path;

use super::{Error, Io, interrupt};

/// The variables that name it, the first that is set first; they are kubectl's.
const VARIABLES: [&str; 2] = ["KUBE_EDITOR", "EDITOR"];

/// The editor of one who names none: POSIX has it everywhere.
const DEFAULT: &str = "vi";

/// The editor as its variable has it: a command line, such as `code --wait`.
pub(super) fn command() -> String {
    let named = VARIABLES.into_iter().find_map(|v| std::env::var(v).ok().filter(|e| !e.trim().is_empty()));
    named.unwrap_or_else(|| DEFAULT.to_owned())
}

/// Opens it, and waits until it is closed.
///
/// # Errors
/// [`Error::No`] when it cannot be opened or says that something went wrong.
pub(super) async fn open(path: &Path, io: &mut Io<'_>) -> Result<(), Error> {
    let editor = command();
    io.out.flush()?;
    // Ctrl-C is the editor's; what was typed is not to be lost with us.
    let _signals = interrupt::hold();
    // The shell splits the words and takes the quotes off, as everything does that reads these variables.
    let script = format!("{editor} \"$@\"");
    let status = tokio::process::Command::new("sh").arg("-c").arg(script).arg(&editor).arg(path).status().await;
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Error::No(format!("there was a problem with the editor {editor:?}: {status}"))),
        Err(e) => Err(Error::No(format!("unable to launch the editor {editor:?}: {e}"))),
    }
}
