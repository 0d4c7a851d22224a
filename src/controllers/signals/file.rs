//! What is kept of a stack's logs between two runs: the register, and how far each log was read. One file, written as a whole.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::observe::tail::Position;
use crate::signature::register::Saved;

/// The directory of all stacks' files, below the data directory.
const DIRECTORY: &str = "logs";

/// How hard it is compressed: the fastest that makes templates and counts a tenth.
const LEVEL: i32 = 1;

/// The most bytes that are read of a file: what 64 miners can hold, compressed not at all.
const MOST: u64 = 1024 * 1024 * 1024;

/// What is kept.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    /// The version of this format.
    pub version: u32,
    /// What the logs have said.
    pub register: Saved,
    /// How far each container's was read.
    pub positions: Vec<Position>,
}

/// The one version that is read. Another is begun anew: it is a memory, and not a record.
pub(super) const VERSION: u32 = 1;

fn path_of(data_dir: &Path, uid: &str) -> PathBuf {
    data_dir.join(DIRECTORY).join(format!("{uid}.json.zst"))
}

/// Reads what is kept; none when there is nothing, or nothing that can be used.
pub(super) fn read(data_dir: &Path, uid: &str) -> Option<Kept> {
    let path = path_of(data_dir, uid);
    let read = || -> io::Result<Kept> {
        let decoder = zstd::Decoder::new(fs::File::open(&path)?)?;
        let kept: Kept = serde_json::from_reader(io::BufReader::new(io::Read::take(decoder, MOST)))?;
        if kept.version == VERSION { Ok(kept) } else { Err(io::Error::other(format!("version {}", kept.version))) }
    };
    match read() {
        Ok(kept) => Some(kept),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "what was known of logs cannot be used; it is begun anew");
            None
        }
    }
}

/// Writes what is kept, in place of what was.
pub(super) fn write(data_dir: &Path, uid: &str, kept: &Kept) -> io::Result<()> {
    let directory = data_dir.join(DIRECTORY);
    fs::create_dir_all(&directory)?;
    // Only its owner reads it, as a temporary file of the library is made.
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(&directory)?;
    let mut encoder = zstd::Encoder::new(io::BufWriter::new(file.as_file_mut()), LEVEL)?;
    serde_json::to_writer(&mut encoder, kept)?;
    encoder.finish()?.flush()?;
    file.as_file().sync_all()?;
    file.persist(path_of(data_dir, uid))?;
    Ok(())
}

/// Removes the files of stacks that are not there, and what a crash has left half-written.
pub(super) fn sweep(data_dir: &Path, is_there: impl Fn(&str) -> bool) {
    let Ok(entries) = fs::read_dir(data_dir.join(DIRECTORY)) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let stale = match name.to_str().and_then(|name| name.strip_suffix(".json.zst")) {
            Some(uid) => !is_there(uid),
            None => entry.metadata().and_then(|m| m.modified()).is_ok_and(|at| {
                // A file that is being written is a second old.
                at.elapsed().is_ok_and(|age| age > std::time::Duration::from_secs(600))
            }),
        };
        if stale {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::register::Register;
    use crate::signature::rules::compiled;

    fn kept() -> Kept {
        let mut register = Register::new(compiled(&[], &[]).unwrap());
        Kept { version: VERSION, register: register.save(crate::api::Time::UNIX_EPOCH), positions: vec![] }
    }

    #[test]
    fn what_is_written_is_read_and_what_is_no_such_file_is_begun_anew() {
        let directory = tempfile::tempdir().unwrap();
        assert!(read(directory.path(), "u").is_none());
        write(directory.path(), "u", &kept()).unwrap();
        assert!(read(directory.path(), "u").is_some());
        write(directory.path(), "u", &Kept { version: 0, ..kept() }).unwrap();
        assert!(read(directory.path(), "u").is_none());
        fs::write(path_of(directory.path(), "u"), "rubbish").unwrap();
        assert!(read(directory.path(), "u").is_none());
    }

    #[test]
    fn a_stack_that_is_gone_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), "gone", &kept()).unwrap();
        write(directory.path(), "here", &kept()).unwrap();
        sweep(directory.path(), |uid| uid == "here");
        assert!(read(directory.path(), "here").is_some() && read(directory.path(), "gone").is_none());
    }
}
