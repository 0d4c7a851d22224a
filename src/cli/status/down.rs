//! What can still be known when the store cannot be reached.

use std::path::Path;

use serde::Serialize;

use crate::stop_file::StopFile;
use crate::store::StoreUrl;
use crate::store::embedded::data_dir::default_path;

use super::super::called::Called;
use super::super::paint::Tone;
use super::super::print::page::{Page, Span, plain};
use super::picture::NextStep;

/// The most of a lock file that is read: its holder writes one line.
const LINE: u64 = 512;

/// What is known without the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own in the machine form")]
pub struct Down {
    /// The store's address.
    pub store: String,
    /// Whether it is on this host.
    pub local: bool,
    /// Why it cannot be reached.
    pub reason: String,
    /// The data directory of this host's daemon.
    pub data_dir: String,
    /// Whether there is one.
    pub data_dir_exists: bool,
    /// Whether this user may not look into it: then what is in it is not known.
    pub data_dir_hidden: bool,
    /// Whether root asks: then there is nobody else to ask as.
    #[serde(skip)]
    pub as_root: bool,
    /// The process that holds it, by what it wrote down of itself; absent when none does, or none that can be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    /// The reason of this host's stop file, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_file: Option<String>,
    /// What an operator would do now.
    pub next: NextStep,
}

impl Down {
    /// Looks at this host.
    #[must_use]
    pub fn look(url: &StoreUrl, reason: String) -> Self {
        // A store at a socket of its own lives where its socket is.
        let shown = url.to_string();
        let socket = shown.strip_prefix("unix://").and_then(|path| Path::new(path).parent());
        let data_dir = socket.map_or_else(default_path, Path::to_owned);
        let found = Self {
            store: shown.clone(),
            local: url.is_local(),
            reason,
            data_dir_exists: data_dir.is_dir(),
            data_dir_hidden: is_hidden(&data_dir),
            as_root: rustix::process::geteuid().is_root(),
            holder: holder(&data_dir),
            stop_file: StopFile::of(&data_dir).holds(),
            data_dir: data_dir.display().to_string(),
            next: NextStep { why: String::new(), command: None },
        };
        Self { next: found.step(), ..found }
    }

    /// The same, with what is to be done next as this command was called.
    pub(super) fn with_flags_of(self, called: &Called) -> Self {
        Self { next: self.next.with_flags_of(called), ..self }
    }

    /// What to do about it.
    #[must_use]
    pub fn step(&self) -> NextStep {
        let (why, command) = match (&self.holder, self.local) {
            (Some(_), true) => ("The daemon runs and does not answer here. See why:", "wicapctl doctor"),
            (None, true) if self.data_dir_hidden => ("Look as the user whose daemon it is:", "sudo wicapctl status"),
            (None, true) if !self.data_dir_exists && !self.as_root => (
                "No wicapd of this user was ever started. If root's is meant, look as root (or set WICAP_DATA_DIR):",
                "sudo wicapctl status",
            ),
            (None, true) => (
                "Start the daemon: as a service with systemctl start wicapd (why it ended: journalctl -u wicapd), or by hand:",
                "wicapd run",
            ),
            (_, false) => ("See from here how far the way to the store goes:", "wicapctl doctor"),
        };
        let command = command.to_owned();
        NextStep { why: why.to_owned(), command: Some(command) }
    }

    /// The screen.
    #[must_use]
    pub fn screen(&self, width: usize) -> Page {
        let mut page = Page::new(width);
        page.text(&[
            Span::new(Tone::Bad, "The store cannot be reached"),
            plain(". How the stacks are and what is done about them is not known."),
        ]);
        page.blank();
        page.labelled(label("Store"), &[plain(format!("{}: {}", self.store, self.reason))]);
        let daemon = match (&self.holder, self.data_dir_exists) {
            (Some(holder), _) => Span::new(Tone::Warn, format!("{holder} holds {}", self.data_dir)),
            (None, _) if self.data_dir_hidden => {
                Span::new(Tone::Warn, format!("is not known: this user may not look into {}", self.data_dir))
            }
            (None, true) => Span::new(Tone::Bad, format!("does not run on this host: nobody holds {}", self.data_dir)),
            (None, false) => Span::new(Tone::Bad, format!("does not run on this host: there is no {}", self.data_dir)),
        };
        page.labelled(label("wicapd"), &[daemon]);
        // What cannot be seen counts as a stop for the daemon, and is no knowledge of one.
        let stop = match self.stop_file.as_ref().filter(|_| !self.data_dir_hidden) {
            Some(reason) => Span::new(
                Tone::Bad,
                format!("{}/STOP is there: {reason}. The wicapd of that directory starts nothing", self.data_dir),
            ),
            None if self.data_dir_hidden => Span::new(Tone::Warn, "are not known"),
            None => Span::new(Tone::Dim, "none on this host; what stops the store holds is not known"),
        };
        page.labelled(label("Stops"), &[stop]);
        page.labelled(label("Containers"), &[plain("go on as they are, and are shown by:")]);
        page.unbroken(Tone::Plain, "docker ps --filter label=com.docker.compose.project");
        page.blank();
        page.labelled(Span::new(Tone::Strong, "Next step"), &[plain(&self.next.why)]);
        if let Some(command) = &self.next.command {
            page.unbroken(Tone::Strong, command);
        }
        page
    }
}

fn label(text: &str) -> Span {
    Span::new(Tone::Dim, text)
}

/// Who holds a data directory. A process that ended without a word has left its name there, and is no holder any more.
fn holder(data_dir: &Path) -> Option<String> {
    use std::io::Read;
    let mut line = String::new();
    let file = std::fs::File::open(data_dir.join("lock")).ok()?;
    file.take(LINE).read_to_string(&mut line).ok()?;
    let line = line.trim().to_owned();
    let (pid, program) = line.strip_prefix("process ")?.split_once(" (")?;
    let pid: u32 = pid.parse().ok()?;
    // Its number may be another's by now. The kernel keeps 15 characters of a name.
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    let path = program.split([' ', ')']).next()?;
    let program: String = path.rsplit('/').next()?.chars().take(15).collect();
    (name.trim_end() == program).then_some(line)
}

/// Whether this user may not look into a directory.
fn is_hidden(directory: &Path) -> bool {
    std::fs::read_dir(directory).is_err_and(|e| e.kind() == std::io::ErrorKind::PermissionDenied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_gone_holds_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let lock = directory.path().join("lock");
        assert_eq!(holder(directory.path()), None);
        let name = std::fs::read_to_string("/proc/self/comm").unwrap();
        let mine = format!("process {} (/usr/bin/{} run), since 2026-01-01T00:00:00Z\n", std::process::id(), name.trim());
        std::fs::write(&lock, &mine).unwrap();
        assert_eq!(holder(directory.path()).as_deref(), Some(mine.trim()));
        // No process has this number: Linux gives none above 2^22.
        std::fs::write(&lock, "process 4194305 (wicapd run), since 2026-01-01T00:00:00Z\n").unwrap();
        assert_eq!(holder(directory.path()), None);
        // Its number is another's by now.
        std::fs::write(&lock, mine.replace(name.trim(), "another")).unwrap();
        assert_eq!(holder(directory.path()), None);
        std::fs::write(&lock, "").unwrap();
        assert_eq!(holder(directory.path()), None);
    }
}
