//! A project's directory that is held open, so that the one that was judged is the one that is used.
//!
//! A path is looked up anew by everybody who is given it, and whoever may change one of its components can have it lead elsewhere
//! in between. What is held here is the directory itself: its path is what the kernel says it is, with no symbolic link in it.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, Stat};

/// Opens the directory itself, and gives no right to read what is in it.
const FLAGS: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A directory that is held open. It stays the same one whatever becomes of its name.
#[derive(Debug)]
pub struct HeldDirectory {
    descriptor: OwnedFd,
    path: PathBuf,
}

impl HeldDirectory {
    /// Opens a directory, wherever symbolic links lead.
    ///
    /// # Errors
    /// What the system says: it is not there, it is no directory, it may not be entered, or it is moved about right now.
    pub fn open(path: &Path) -> io::Result<Self> {
        let descriptor = rustix::fs::open(path, FLAGS, Mode::empty())?;
        let path = std::fs::read_link(link(&descriptor))?;
        // What the kernel calls its path may lead elsewhere by now, or nowhere: that of a deleted directory, or of one outside of our
        // root. Where it leads to the same directory and is that one's own path, there is no link in it. openat2 would say it at once,
        // and is what filters of system calls, such as those of systemd's RestrictSUIDSGID, do not let through.
        let again = rustix::fs::open(&path, FLAGS, Mode::empty())?;
        if std::fs::read_link(link(&again))? != path || !same(&rustix::fs::fstat(&descriptor)?, &rustix::fs::fstat(&again)?)
        {
            return Err(io::Error::other("it was moved or replaced meanwhile"));
        }
        Ok(Self { descriptor, path })
    }

    /// Where it was when it was opened: absolute, and no component is a symbolic link.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path by which this process, and a child of it until it executes a program, reach the directory whatever its name.
    #[must_use]
    pub fn link(&self) -> PathBuf {
        link(&self.descriptor)
    }

    /// Whether a path leads to this directory, and this directory is still where it was.
    ///
    /// # Errors
    /// In words, where it leads instead.
    pub fn is_still(&self, path: &Path) -> Result<(), String> {
        let now = Self::open(path).map_err(|e| e.to_string())?;
        let stat = |of: &Self| rustix::fs::fstat(&of.descriptor).map_err(|e| e.to_string());
        let (found, judged) = (now.path.display(), self.path.display());
        match (same(&stat(&now)?, &stat(self)?), now.path == self.path) {
            (true, true) => Ok(()),
            (true, false) => Err(format!("it was {judged} when it was judged, and has been moved to {found}")),
            (false, true) => Err(format!("another directory has taken the place of {judged} since it was judged")),
            (false, false) => Err(format!("it leads to {found} now, and led to {judged} when it was judged")),
        }
    }
}

fn link(descriptor: &OwnedFd) -> PathBuf {
    format!("/proc/self/fd/{}", descriptor.as_raw_fd()).into()
}

fn same(a: &Stat, b: &Stat) -> bool {
    (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// `yard/real`, which `yard/name` leads to.
    fn yard() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let yard = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(yard.path()).unwrap();
        let (real, name) = (root.join("real"), root.join("name"));
        fs::create_dir(&real).unwrap();
        symlink("real", &name).unwrap();
        (yard, real, name)
    }

    #[test]
    fn a_directory_is_held_by_what_it_is() {
        let (_yard, real, name) = yard();
        let held = HeldDirectory::open(&name).unwrap();
        assert_eq!(held.path(), real);
        assert_eq!(held.is_still(&name), Ok(()));
        assert_eq!(held.is_still(&real), Ok(()));
        fs::write(real.join("file"), "here").unwrap();
        // Its link does not care what becomes of the names.
        fs::rename(&real, real.with_file_name("moved")).unwrap();
        assert_eq!(fs::read_to_string(held.link().join("file")).unwrap(), "here");
    }

    #[test]
    fn another_directory_under_the_name_is_found_out() {
        for (what, expected, swap) in [
            (
                "a link that leads elsewhere",
                "it leads to / now",
                (|_, name| {
                    fs::remove_file(name).unwrap();
                    symlink("/", name).unwrap();
                }) as fn(&Path, &Path),
            ),
            ("a link in the place of the directory, to the same one", "has been moved to", |real, _| {
                fs::rename(real, real.with_file_name("moved")).unwrap();
                symlink("moved", real).unwrap();
            }),
            ("another directory of the same path", "has taken the place of", |real, _| {
                fs::rename(real, real.with_file_name("moved")).unwrap();
                fs::create_dir(real).unwrap();
            }),
            ("another one, and the first is gone", "has taken the place of", |real, _| {
                fs::remove_dir(real).unwrap();
                fs::create_dir(real).unwrap();
            }),
            ("nothing", "No such file", |real, _| fs::remove_dir(real).unwrap()),
            ("a file", "Not a directory", |real, _| {
                fs::remove_dir(real).unwrap();
                fs::write(real, "").unwrap();
            }),
        ] {
            let (_yard, real, name) = yard();
            let held = HeldDirectory::open(&name).unwrap();
            swap(&real, &name);
            let why = held.is_still(&name).expect_err(what);
            assert!(why.contains(expected), "{what}: {why}");
        }
    }

    #[test]
    fn what_is_no_directory_is_not_held() {
        let (_yard, real, name) = yard();
        fs::write(real.join("file"), "").unwrap();
        symlink("loop", real.join("loop")).unwrap();
        for path in [name.join("file"), name.join("none"), real.join("loop"), PathBuf::new()] {
            assert!(HeldDirectory::open(&path).is_err(), "{path:?}");
        }
    }
}
