//! Which store is meant: by flags, the environment, the current context, or nobody.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use crate::audit::redact::redact;
use crate::cli::Error;
use crate::clock::Clock;
use crate::store::{self, Store, StoreUrl};

use super::file::{ConfigFile, Contexts};
use crate::store::tls::Tls;

/// The variable that names a store.
pub const STORE_VARIABLE: &str = "WICAP_STORE";

/// The store that is meant, and who said so.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// Where it is.
    pub url: StoreUrl,
    /// The files for `https`.
    pub tls: Tls,
    /// Who said so.
    pub reason: Reason,
}

impl Chosen {
    /// A store there. No request is made yet.
    ///
    /// # Errors
    /// [`store::Error::BadRequest`] when the address or a certificate cannot be used.
    pub async fn connect(&self, clock: Clock) -> Result<Store, store::Error> {
        Store::connect_with(&self.url, &self.tls, clock).await
    }
}

/// Who said which store is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// `--store`.
    Flag,
    /// `--context`, which names one of the file.
    ContextFlag {
        /// The context.
        name: String,
        /// The file.
        file: PathBuf,
    },
    /// `WICAP_STORE`.
    Environment,
    /// The file's current context.
    CurrentContext {
        /// The context.
        name: String,
        /// The file.
        file: PathBuf,
    },
    /// Nobody: the embedded store of this host.
    Default,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("by --store"),
            Self::Environment => write!(f, "by {STORE_VARIABLE}"),
            Self::ContextFlag { name, file } => write!(f, "by --context {name}, of {}", file.display()),
            Self::CurrentContext { name, file } => write!(f, "by {name}, the current context of {}", file.display()),
            Self::Default => f.write_str("by default"),
        }
    }
}

/// The store that is meant: `--store`, else `--context`, else `WICAP_STORE`, else the current context of the file, else the
/// embedded one.
///
/// The files of TLS are those of the context that was chosen, where the environment names no others; those of a context that
/// was not chosen belong to another store. The file is read when it is asked, so that a broken one is in nobody's way who
/// does not need it.
///
/// # Errors
/// [`Error::Usage`] for what is no URL, and for a file that cannot be read; [`Error::No`] for a context that is not there.
pub fn resolve(
    store: Option<&StoreUrl>,
    context: Option<&str>,
    variable: &dyn Fn(&str) -> Option<OsString>,
    file: &ConfigFile,
    read: impl FnOnce() -> Result<Contexts, Error>,
) -> Result<Chosen, Error> {
    let tls = Tls::from_environment(variable);
    if let Some(url) = store {
        return Ok(Chosen { url: url.clone(), tls, reason: Reason::Flag });
    }
    let path = file.path().to_owned();
    if let Some(name) = context {
        let reason = Reason::ContextFlag { name: name.to_owned(), file: path };
        return of_context(name, reason, tls, file, &read()?);
    }
    if let Some(text) = variable(STORE_VARIABLE).filter(|value| !value.is_empty()) {
        let text = text.to_string_lossy();
        let wrong = |e: String| Error::Usage(format!("{STORE_VARIABLE}: {}", redact(&e)));
        let url = text.parse::<StoreUrl>().map_err(|e| wrong(e.to_string()))?;
        return Ok(Chosen { url, tls, reason: Reason::Environment });
    }
    let contexts = read()?;
    if contexts.current.is_empty() {
        return Ok(Chosen { url: StoreUrl::embedded(), tls, reason: Reason::Default });
    }
    let reason = Reason::CurrentContext { name: contexts.current.clone(), file: path };
    of_context(&contexts.current, reason, tls, file, &contexts)
}

fn of_context(name: &str, reason: Reason, tls: Tls, file: &ConfigFile, contexts: &Contexts) -> Result<Chosen, Error> {
    let shown = file.path().display();
    let Some(context) = contexts.find(name) else {
        let hint = "see wicapctl config get-contexts";
        return Err(Error::No(format!("context {name:?} does not exist in {shown}; {hint}")));
    };
    // A URL may hold a password.
    let bad = |e: String| Error::Usage(format!("{shown}: context {name:?}: {}", redact(&e)));
    let url = context.store.parse::<StoreUrl>().map_err(|e| bad(e.to_string()))?;
    Ok(Chosen { url, tls: tls.or(context.tls(&file.directory())), reason })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::file::{Context, Named};
    use super::*;

    fn contexts(current: &str) -> Contexts {
        let named = |name: &str, store: &str, cacert: Option<&str>| Named {
            name: name.to_owned(),
            context: Context { store: store.to_owned(), cacert: cacert.map(PathBuf::from), ..Context::default() },
        };
        let mut contexts = Contexts::default();
        current.clone_into(&mut contexts.current);
        contexts.all = vec![
            named("prod", "https://prod:2379", Some("/prod.pem")),
            named("lab", "https://lab:2379", Some("lab.pem")),
            named("broken", "ftp://x", None),
        ];
        contexts
    }

    fn resolved(flag: &str, context: &str, variables: &[(&str, &str)], current: &str) -> Result<Chosen, Error> {
        let variable = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value));
        let file = ConfigFile::at(Path::new("/c/config.yaml"));
        let store = (!flag.is_empty()).then(|| flag.parse().unwrap());
        let context = (!context.is_empty()).then_some(context);
        resolve(store.as_ref(), context, &variable, &file, || Ok(contexts(current)))
    }

    #[test]
    fn a_flag_is_over_the_environment_that_over_the_file_and_that_over_the_default() {
        let (flag, env) = ("http://flag:1", &[(STORE_VARIABLE, "http://env:1")][..]);
        for (flag, context, variables, current, url, cacert, reason) in [
            (flag, "prod", env, "lab", "http://flag:1", None, "by --store"),
            ("", "prod", env, "lab", "https://prod:2379", Some("/prod.pem"), "by --context prod, of /c/config.yaml"),
            ("", "", env, "lab", "http://env:1", None, "by WICAP_STORE"),
            (
                "",
                "",
                &[(STORE_VARIABLE, "")],
                "lab",
                "https://lab:2379",
                Some("/c/lab.pem"),
                "by lab, the current context of /c/config.yaml",
            ),
            ("", "", &[], "", "embedded", None, "by default"),
            (
                "",
                "prod",
                &[("WICAP_STORE_CACERT", "/env.pem")],
                "",
                "https://prod:2379",
                Some("/env.pem"),
                "by --context prod, of /c/config.yaml",
            ),
        ] {
            let chosen = resolved(flag, context, variables, current).unwrap();
            assert_eq!(chosen.url.to_string(), url);
            assert_eq!(chosen.tls.cacert.as_deref(), cacert.map(Path::new), "{url}");
            assert_eq!(chosen.reason.to_string(), reason);
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_place() {
        for (context, variables, current, expected) in [
            (
                "nope",
                &[][..],
                "",
                "error: context \"nope\" does not exist in /c/config.yaml; see wicapctl config get-contexts",
            ),
            ("", &[], "gone", "error: context \"gone\" does not exist"),
            ("broken", &[], "", "error: /c/config.yaml: context \"broken\": store URL: found \"ftp://x\""),
            ("", &[(STORE_VARIABLE, "2379")], "", "error: WICAP_STORE: store URL: found \"2379\""),
        ] {
            let error = resolved("", context, variables, current).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn a_broken_file_is_in_nobodys_way_who_does_not_need_it() {
        let file = ConfigFile::at(Path::new("/c/config.yaml"));
        let broken = || Err(Error::Usage("broken".to_owned()));
        let flag = "http://flag:1".parse().unwrap();
        assert!(resolve(Some(&flag), None, &|_| None, &file, broken).is_ok());
        let env = |name: &str| (name == STORE_VARIABLE).then(|| "http://env:1".into());
        assert!(resolve(None, None, &env, &file, broken).is_ok());
        assert!(resolve(None, None, &|_| None, &file, broken).is_err());
    }
}
