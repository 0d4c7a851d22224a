//! The file of contexts: where it is, what it holds, and how it is read and changed.
//!
//! ```yaml
//! apiVersion: wicap.dev/v1alpha1
//! kind: Config
//! current-context: prod
//! contexts:
//! - name: prod
//!   context: {store: "https://a:2379,https://b:2379", cacert: /etc/wicap/ca.pem, cert: ann.pem, key: ann.key}
//! ```
//!
//! The words are kubeconfig's. A change is made under a lock and is there whole or not at all; a link is followed, so that a
//! file that is kept elsewhere stays there. Caveat: comments do not survive a change.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf, absolute};

use crate::api::API_VERSION;
use crate::cli::{Error, document};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::store::tls::Tls;

/// The variable that names the file.
pub const VARIABLE: &str = "WICAPCTL_CONFIG";

/// The most bytes that the file may have: thousands of contexts, and little enough to hold in memory.
const MAX_FILE: u64 = 1024 * 1024;

/// What `kind` says, so that another file is not taken for this one.
const KIND: &str = "Config";

/// What the file holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contexts {
    #[serde(rename = "apiVersion", default = "api_version")]
    api_version: String,
    #[serde(default = "kind")]
    kind: String,
    /// The one that is used when nobody names another; empty when there is none. It may name one that is not there.
    #[serde(rename = "current-context", default, deserialize_with = "or_default")]
    pub current: String,
    /// All of them, each name once.
    #[serde(rename = "contexts", default, deserialize_with = "or_default")]
    pub all: Vec<Named>,
}

/// A context with its name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// The context.
    #[serde(default, deserialize_with = "or_default")]
    pub context: Context,
}

/// A store and how it is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// The store's URL, as `--store` takes it. It is judged when it is used.
    #[serde(default, deserialize_with = "or_default")]
    pub store: String,
    /// The authority that signed the store's certificate. A relative path begins at the file's directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cacert: Option<PathBuf>,
    /// The client's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert: Option<PathBuf>,
    /// The key of that certificate. The path only: no key is ever written into this file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
}

fn api_version() -> String {
    API_VERSION.to_owned()
}

fn kind() -> String {
    KIND.to_owned()
}

/// What is written as null is what is not written, as kubectl writes empty lists.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Contexts {
    /// The context of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Context> {
        self.all.iter().find(|named| named.name == name).map(|named| &named.context)
    }

    /// The same, to be changed.
    pub fn find_mut(&mut self, name: &str) -> Option<&mut Named> {
        self.all.iter_mut().find(|named| named.name == name)
    }

    /// All of it as a document; an empty list is null, as in a kubeconfig.
    #[must_use]
    pub fn document(&self) -> Value {
        let list = |named: &Named| serde_json::json!({"name": named.name, "context": named.context});
        let contexts: Vec<Value> = self.all.iter().map(list).collect();
        serde_json::json!({
            "apiVersion": API_VERSION,
            "kind": KIND,
            "current-context": self.current,
            "contexts": if contexts.is_empty() { Value::Null } else { Value::Array(contexts) },
        })
    }

    /// Reads the text of a file. An empty one holds nothing.
    ///
    /// # Errors
    /// In words, the field that cannot be read, what was found, and what was expected. No value is repeated that could be a
    /// secret.
    fn parse(text: &str) -> Result<Self, String> {
        let mut documents = document::parse(text).map_err(|e| e.to_string())?;
        let document = match documents.len() {
            0 => return Ok(Self::default()),
            1 => documents.remove(0),
            n => return Err(format!("found {n} documents, expected one")),
        };
        if document.is_null() {
            return Ok(Self::default());
        }
        let contexts: Self = serde_path_to_error::deserialize(&document).map_err(|e| {
            let path = e.path().to_string();
            // The decoder's words name fields and kinds of values. Some of them repeat the value itself.
            let why = e.inner().to_string();
            let why = if why.starts_with("unknown field") || why.starts_with("missing field") {
                why
            } else {
                "found a value of another kind than is expected there".to_owned()
            };
            format!("{path}: {why}")
        })?;
        contexts.check()?;
        Ok(contexts)
    }

    fn check(&self) -> Result<(), String> {
        if self.api_version != API_VERSION {
            return Err(format!("apiVersion: found {:?}, expected {API_VERSION:?}", self.api_version));
        }
        if self.kind != KIND {
            return Err(format!("kind: found {:?}, expected {KIND:?}", self.kind));
        }
        for (i, named) in self.all.iter().enumerate() {
            if named.name.is_empty() {
                return Err(format!("contexts[{i}].name: found nothing, expected a name"));
            }
            if self.all[..i].iter().any(|other| other.name == named.name) {
                return Err(format!("contexts[{i}].name: found {:?} a second time, expected each name once", named.name));
            }
        }
        Ok(())
    }
}

impl Context {
    /// Its files of TLS; a relative path begins at `directory`, as in a kubeconfig.
    #[must_use]
    pub fn tls(&self, directory: &Path) -> Tls {
        let of = |path: &Option<PathBuf>| path.as_ref().filter(|p| !p.as_os_str().is_empty()).map(|p| directory.join(p));
        Tls { cacert: of(&self.cacert), cert: of(&self.cert), key: of(&self.key) }
    }
}

/// The file, which need not be there.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    path: PathBuf,
}

impl ConfigFile {
    /// Where it is: `$WICAPCTL_CONFIG`, else `wicap/config.yaml` in `$XDG_CONFIG_HOME`, which is `~/.config` if that is not
    /// set (XDG Base Directory Specification, by which a relative path there counts as none).
    pub fn locate(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let path = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = || path("HOME").unwrap_or_else(|| "/".into()).join(".config");
        let directory = || path("XDG_CONFIG_HOME").filter(|p| p.is_absolute()).unwrap_or_else(home);
        Self { path: path(VARIABLE).unwrap_or_else(|| directory().join("wicap/config.yaml")) }
    }

    /// That at a path.
    #[cfg(test)]
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where relative paths in it begin.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        let whole = absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        whole.parent().unwrap_or(Path::new("/")).to_owned()
    }

    /// What it holds; nothing when it is not there.
    ///
    /// # Errors
    /// [`Error::Usage`] with its name and what is wrong in it.
    pub fn read(&self) -> Result<Contexts, Error> {
        let bad = |why: &dyn std::fmt::Display| Error::Usage(format!("{}: {why}", self.path.display()));
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Contexts::default()),
            Err(e) => return Err(bad(&e)),
        };
        let mut text = String::new();
        let read = io::Read::read_to_string(&mut io::Read::take(file, MAX_FILE + 1), &mut text).map_err(|e| bad(&e))?;
        if read as u64 > MAX_FILE {
            return Err(bad(&format!("found more than {MAX_FILE} bytes, expected a file of contexts")));
        }
        Contexts::parse(&text).map_err(|why| bad(&why))
    }

    /// Changes what it holds; it is made when it is not there. What `change` refuses is not written, nor is what it leaves
    /// as it was.
    ///
    /// # Errors
    /// That of `change`; [`Error::Usage`] when what is there cannot be read; [`Error::No`] when it cannot be written.
    pub fn change<T>(&self, change: impl FnOnce(&mut Contexts) -> Result<T, Error>) -> Result<T, Error> {
        let failed = |e: io::Error| Error::No(format!("{} cannot be written: {e}", self.path.display()));
        // A link that leads somewhere is followed: what it leads to is replaced, and not the link.
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let path = absolute(path).map_err(failed)?;
        let directory = path.parent().unwrap_or(Path::new("/"));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
        // The directory is what is locked: the file is replaced, and a lock file would be left behind. Who has it needs
        // milliseconds.
        let lock = File::open(directory).map_err(failed)?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|errno| failed(errno.into()))?;
        let before = self.read()?;
        let mut contexts = before.clone();
        let outcome = change(&mut contexts)?;
        if contexts != before || !path.exists() {
            write(&path, directory, &contexts).map_err(failed)?;
            lock.sync_all().map_err(failed)?;
        }
        Ok(outcome)
    }
}

/// Writes it beside the old one, for its user alone (`tempfile` makes files of mode 0600), and puts it in its place.
fn write(path: &Path, directory: &Path, contexts: &Contexts) -> io::Result<()> {
    let mut text = Vec::new();
    crate::cli::print::yaml::document(&mut text, &contexts.document())?;
    let mut file = tempfile::Builder::new().prefix(".config.").tempfile_in(directory)?;
    file.write_all(&text)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn located(variables: &[(&str, &str)]) -> String {
        let find = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value));
        ConfigFile::locate(find).path().display().to_string()
    }

    #[test]
    fn the_file_is_where_the_environment_says() {
        let home = ("HOME", "/home/ann");
        for (variables, expected) in [
            (&[home][..], "/home/ann/.config/wicap/config.yaml"),
            (&[home, ("XDG_CONFIG_HOME", "/etc/ann")], "/etc/ann/wicap/config.yaml"),
            (&[home, ("XDG_CONFIG_HOME", "relative")], "/home/ann/.config/wicap/config.yaml"),
            (&[home, ("XDG_CONFIG_HOME", "/etc/ann"), (VARIABLE, "/tmp/c.yaml")], "/tmp/c.yaml"),
            (&[home, (VARIABLE, "")], "/home/ann/.config/wicap/config.yaml"),
            (&[], "/.config/wicap/config.yaml"),
        ] {
            assert_eq!(located(variables), expected, "{variables:?}");
        }
    }

    fn named(name: &str, store: &str) -> Named {
        Named { name: name.to_owned(), context: Context { store: store.to_owned(), ..Context::default() } }
    }

    #[test]
    fn what_is_changed_is_read_back_and_its_users_alone() {
        let directory = tempfile::tempdir().unwrap();
        let file = ConfigFile::at(&directory.path().join("a/config.yaml"));
        assert_eq!(file.read().unwrap().all, []);
        let add = |contexts: &mut Contexts| {
            contexts.all.push(named("ünï", "unix:///x y"));
            contexts.current = "no".to_owned();
            Ok(7)
        };
        assert_eq!(file.change(add).unwrap(), 7);
        let read = file.read().unwrap();
        assert_eq!((read.all, read.current.as_str()), (vec![named("ünï", "unix:///x y")], "no"));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(file.path()), mode(&file.directory())), (0o600, 0o700));
        assert_eq!(fs::read_dir(directory.path().join("a")).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_change_that_is_refused_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let file = ConfigFile::at(&directory.path().join("config.yaml"));
        fs::write(file.path(), "# mine\ncontexts:\n").unwrap();
        let refused = file.change(|contexts| {
            contexts.current = "x".to_owned();
            Err::<(), _>(Error::No("no".to_owned()))
        });
        assert!(refused.is_err());
        file.change(|_| Ok(())).unwrap();
        assert_eq!(fs::read_to_string(file.path()).unwrap(), "# mine\ncontexts:\n", "nor one that changes nothing");
    }

    #[test]
    fn a_link_to_the_file_stays_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let (real, link) = (directory.path().join("dotfiles.yaml"), directory.path().join("config.yaml"));
        fs::write(&real, "").unwrap();
        symlink(&real, &link).unwrap();
        let add = |contexts: &mut Contexts| {
            contexts.all.push(named("a", "embedded"));
            Ok(())
        };
        ConfigFile::at(&link).change(add).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(fs::read_to_string(&real).unwrap().contains("name: a"));
    }

    #[test]
    fn changes_at_once_are_all_there_in_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let file = ConfigFile::at(&directory.path().join("config.yaml"));
        std::thread::scope(|scope| {
            for i in 0..8 {
                let file = &file;
                scope.spawn(move || {
                    let add = |contexts: &mut Contexts| {
                        contexts.all.push(named(&format!("n{i}"), "embedded"));
                        Ok(())
                    };
                    file.change(add).unwrap();
                });
            }
        });
        assert_eq!(file.read().unwrap().all.len(), 8);
    }

    #[test]
    fn a_mistake_is_named_and_no_value_repeated() {
        for (text, expected) in [
            ("contexts: 5", "contexts: found a value"),
            ("contexts: [{name: a, context: {key-data: hunter2}}]", "unknown field `key-data`"),
            ("contexts: [{name: a, context: {store: [hunter2]}}]", "contexts[0].context.store: found a value"),
            ("contexts: [{context: {}}]", "missing field `name`"),
            ("contexts: [{name: ''}]", "contexts[0].name: found nothing"),
            ("contexts: [{name: a}, {name: a}]", "contexts[1].name: found \"a\" a second time"),
            ("kind: Pod", "kind: found \"Pod\""),
            ("apiVersion: v1\nkind: Config", "apiVersion: found \"v1\""),
            ("a: 1\n---\nb: 2", "found 2 documents"),
            ("{", "line 1"),
            ("just words", "found a value of another kind"),
        ] {
            let why = Contexts::parse(text).expect_err(text);
            assert!(why.contains(expected), "{text}: {why}");
            assert!(!why.contains("hunter2"), "{why}");
        }
        for nothing in ["", "# only this\n", "null", "contexts: null\ncurrent-context: null\n", "{}"] {
            assert!(Contexts::parse(nothing).is_ok(), "{nothing}");
        }
    }
}
