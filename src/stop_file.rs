//! The stop file: an emergency stop that needs no store. While a file named `STOP` is in the data directory, the `wicapd` of that
//! directory starts no action, ends those under way at their next step, and sees to it that the store has an EmergencyStop `all`
//! as soon as it can be reached, so that everybody else stops too.
//!
//! Who may write into the directory may stop; SIGUSR1 to a `wicapd` makes the file. To go on, remove the file, then `wicapctl resume
//! --all`.

use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt;
use inotify::{Inotify, WatchMask};
use tokio::sync::watch;

use crate::api::stop::{self, EmergencyStop, EmergencyStopSpec};

/// Its name in the data directory.
pub const NAME: &str = "STOP";

/// The reason of a file that says none, or none yet: it counts from the moment it is there.
pub const NO_REASON: &str = "no reason is written in the stop file";

/// Of what is written there so much is shown: an EmergencyStop's reason takes 1024 bytes.
const SHOWN: u64 = 512;

/// The stop file of one data directory. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StopFile {
    path: PathBuf,
    /// Told to stop, and the file could not be written.
    unwritten: Arc<AtomicBool>,
    changed: Arc<watch::Sender<()>>,
}

impl StopFile {
    /// That of a data directory, which need not exist.
    #[must_use]
    pub fn of(data_dir: &Path) -> Self {
        Self { path: data_dir.join(NAME), unwritten: Arc::default(), changed: Arc::new(watch::Sender::new(())) }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why everything is stopped; `None` when nothing is. What cannot be looked at counts as a stop.
    #[must_use]
    pub fn holds(&self) -> Option<String> {
        if self.unwritten.load(Ordering::Acquire) {
            return Some("told to by SIGUSR1".to_owned());
        }
        match std::fs::symlink_metadata(&self.path) {
            Ok(_) => Some(self.reason()),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => None,
            Err(e) => Some(format!("whether there is a stop file cannot be found out: {e}")),
        }
    }

    /// The same, as the stop of everything that the store would hold if it could be reached.
    #[must_use]
    pub fn as_stop(&self) -> Option<EmergencyStop> {
        let by = self.path.display().to_string();
        self.holds().map(|reason| EmergencyStop::new(stop::ALL, EmergencyStopSpec { reason, by }))
    }

    /// The first line of what is written there. Nothing is followed and nothing waited for: it may be anything.
    fn reason(&self) -> String {
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let flags = i32::try_from(flags.bits()).unwrap_or_default();
        let mut bytes = Vec::new();
        let opened = std::fs::File::options().read(true).custom_flags(flags).open(&self.path);
        // Why is for people; that is what counts.
        let _ = opened.and_then(|file| file.take(SHOWN).read_to_end(&mut bytes));
        let text = String::from_utf8_lossy(&bytes);
        let line: String = text.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).collect();
        let line = line.trim();
        if line.is_empty() { NO_REASON.to_owned() } else { line.to_owned() }
    }

    /// Makes it, if it is not there. On the disk when this returns.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, reason: &str) -> io::Result<()> {
        let made = std::fs::File::options().write(true).create_new(true).mode(0o600).open(&self.path);
        match made {
            // Being there is what counts, and it is.
            Ok(mut file) => drop(writeln!(file, "{reason}").and_then(|()| file.sync_all())),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
        let directory = self.path.parent().map(std::fs::File::open);
        let _ = directory.transpose()?.map(|d| d.sync_all()).transpose();
        self.changed.send_replace(());
        Ok(())
    }

    /// Stops, come what may: when the file cannot be written, this process stays stopped until it ends.
    pub fn stop(&self, reason: &str) {
        match self.write(reason) {
            Ok(()) => tracing::warn!(path = %self.path.display(), reason, "everything is stopped: the stop file is there"),
            Err(error) => {
                self.unwritten.store(true, Ordering::Release);
                self.changed.send_replace(());
                let path = self.path.display();
                tracing::error!(%path, %error, reason, "everything is stopped until this process ends: no stop file can be written");
            }
        }
    }

    /// Tells when it may have come or gone, while [`StopFile::watch`] runs.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Watches the directory, which is made if it can be, for ever.
    ///
    /// # Errors
    /// When it cannot be watched: then only claims see the file, by looking.
    pub async fn watch(&self) -> io::Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let queue = Inotify::init()?;
        let wanted = WatchMask::CREATE | WatchMask::MOVED_TO | WatchMask::DELETE | WatchMask::MOVED_FROM;
        queue.watches().add(directory, wanted | WatchMask::CLOSE_WRITE)?;
        let mut events = queue.into_event_stream([0; 4096])?;
        // What came before there was a watch.
        self.changed.send_replace(());
        while let Some(event) = events.next().await {
            event?;
            self.changed.send_replace(());
        }
        Err(io::Error::other("the watch has ended"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_bears_the_name_stops() {
        let directory = tempfile::tempdir().unwrap();
        let file = StopFile::of(directory.path());
        assert_eq!(file.holds(), None);
        assert_eq!(StopFile::of(Path::new("/nowhere")).holds(), None);
        std::fs::write(file.path(), "fire in the rack\x1b[2J\nmore").unwrap();
        assert_eq!(file.holds().as_deref(), Some("fire in the rack[2J"));
        let empty = NO_REASON;
        std::fs::write(file.path(), "").unwrap();
        assert_eq!(file.holds().as_deref(), Some(empty));
        std::fs::remove_file(file.path()).unwrap();
        std::fs::create_dir(file.path()).unwrap();
        assert_eq!(file.holds().as_deref(), Some(empty), "a directory");
        std::fs::remove_dir(file.path()).unwrap();
        std::os::unix::fs::symlink("/nowhere", file.path()).unwrap();
        assert_eq!(file.holds().as_deref(), Some(empty), "a link to nowhere");
    }

    #[test]
    fn it_is_made_once_and_says_why() {
        let directory = tempfile::tempdir().unwrap();
        let file = StopFile::of(directory.path());
        file.write("first").unwrap();
        file.write("second").unwrap();
        assert_eq!(file.holds().as_deref(), Some("first"));
    }

    #[test]
    fn a_stop_that_cannot_be_written_holds_all_the_same() {
        let file = StopFile::of(Path::new("/proc/nothing"));
        assert!(file.write("x").is_err());
        file.stop("x");
        assert_eq!(file.clone().holds().as_deref(), Some("told to by SIGUSR1"));
    }

    #[tokio::test]
    async fn who_waits_is_told_when_it_comes_and_goes() {
        let directory = tempfile::tempdir().unwrap();
        let file = StopFile::of(&directory.path().join("made"));
        let mut changes = file.changes();
        let watched = file.clone();
        let watching = tokio::spawn(async move { watched.watch().await });
        let soon = std::time::Duration::from_secs(20);
        let seen = async |changes: &mut watch::Receiver<()>, wanted: bool| {
            while file.holds().is_some() != wanted {
                tokio::time::timeout(soon, changes.changed()).await.expect("told in time").unwrap();
            }
        };
        tokio::time::timeout(soon, changes.changed()).await.expect("the watch begins").unwrap();
        std::fs::write(file.path(), "x").unwrap();
        seen(&mut changes, true).await;
        std::fs::rename(file.path(), directory.path().join("elsewhere")).unwrap();
        seen(&mut changes, false).await;
        watching.abort();
    }
}
