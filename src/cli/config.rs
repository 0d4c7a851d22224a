//! `config`: contexts, each a store under a name, in a file. kubectl's words; no store is asked.

pub(super) mod file;
pub(super) mod resolve;

use std::path::{PathBuf, absolute};

use crate::audit::redact::redact;
use crate::cli::print::table::{Table, harmless};
use crate::cli::print::{self, format::Format};
use crate::cli::{Error, Io};
use crate::store::StoreUrl;
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, Subcommand};
use serde_json::Value;

use file::{ConfigFile, Context, Contexts, Named};

/// What is told when the current context goes.
const WAS_CURRENT: &str =
    "warning: this removed your active context, use \"wicapctl config use-context\" to select a different one";

/// Arguments of `config`.
#[derive(Debug, Args)]
pub struct Config {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print what the file holds; secrets are not in it, and what looks like one is taken out
    View(View),
    /// Show the contexts, or those of these names
    GetContexts(GetContexts),
    /// Print the name of the current context
    CurrentContext,
    /// Make a context the one that is used when none is named
    #[command(visible_alias = "use")]
    UseContext(Name),
    /// Make a context, or change what is given of it; --store is its store
    SetContext(SetContext),
    /// Take a context out
    DeleteContext(Name),
    /// Give a context another name
    RenameContext(RenameContext),
}

/// Arguments of `config view`.
#[derive(Debug, Args)]
struct View {
    /// How it is printed: yaml, json or jsonpath={.PATH}
    #[arg(short, long, value_name = "FORMAT", default_value = "yaml")]
    output: Format,
    /// Only what the current context needs
    #[arg(long)]
    minify: bool,
}

/// Arguments of `config get-contexts`.
#[derive(Debug, Args)]
struct GetContexts {
    /// Contexts by name; all when absent
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// name: the names alone
    #[arg(short, long, value_name = "FORMAT", value_parser = ["name"])]
    output: Option<String>,
    /// No line with the names of the columns
    #[arg(long)]
    no_headers: bool,
}

/// The name of a context.
#[derive(Debug, Args)]
struct Name {
    /// Name of the context
    #[arg(value_name = "NAME")]
    name: String,
}

/// Arguments of `config set-context`.
#[derive(Debug, Args)]
struct SetContext {
    /// Name of the context
    #[arg(value_name = "NAME", required_unless_present = "current", conflicts_with = "current")]
    name: Option<String>,
    /// The current context
    #[arg(long)]
    current: bool,
    /// The authority that signed the store's certificate, PEM; "" takes it out, as in the two below
    #[arg(long, value_name = "FILE", value_parser = path())]
    cacert: Option<PathBuf>,
    /// The client's certificate, PEM
    #[arg(long, value_name = "FILE", value_parser = path())]
    cert: Option<PathBuf>,
    /// The key of the client's certificate, PEM
    #[arg(long, value_name = "FILE", value_parser = path())]
    key: Option<PathBuf>,
}

/// Arguments of `config rename-context`.
#[derive(Debug, Args)]
struct RenameContext {
    /// Its name now
    #[arg(value_name = "CONTEXT_NAME")]
    from: String,
    /// Its name from now on
    #[arg(value_name = "NEW_NAME")]
    to: String,
}

/// A path, which may be empty here.
fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

impl Config {
    /// Reads or changes the file. `store` is what `--store` says, and nothing else: a context must not get the store of
    /// another.
    ///
    /// # Errors
    /// [`Error::No`] for a context that is not there; [`Error::Usage`] for a file that cannot be read.
    pub fn run(&self, store: Option<&StoreUrl>, file: &ConfigFile, io: &mut Io<'_>) -> Result<(), Error> {
        match &self.verb {
            Verb::View(view) => view.run(file.read()?, io),
            Verb::GetContexts(get) => get.run(&file.read()?, io),
            Verb::CurrentContext => {
                let current = file.read()?.current;
                if current.is_empty() {
                    return Err(Error::No("current-context is not set".to_owned()));
                }
                Ok(writeln!(io.out, "{}", harmless(&current))?)
            }
            Verb::UseContext(Name { name }) => {
                file.change(|contexts| use_context(contexts, name))?;
                Ok(writeln!(io.out, "Switched to context \"{}\".", harmless(name))?)
            }
            Verb::SetContext(set) => {
                let (name, word) = file.change(|contexts| set.change(contexts, store))?;
                Ok(writeln!(io.out, "Context \"{}\" {word}.", harmless(&name))?)
            }
            Verb::DeleteContext(Name { name }) => {
                let shown = file.path().display();
                let was_current = file.change(|contexts| delete(contexts, name, file))?;
                if was_current {
                    writeln!(io.err, "{WAS_CURRENT}")?;
                }
                Ok(writeln!(io.out, "deleted context {} from {shown}", harmless(name))?)
            }
            Verb::RenameContext(RenameContext { from, to }) => {
                file.change(|contexts| rename(contexts, from, to, file))?;
                Ok(writeln!(io.out, "Context \"{}\" renamed to \"{}\".", harmless(from), harmless(to))?)
            }
        }
    }
}

impl View {
    fn run(&self, mut contexts: Contexts, io: &mut Io<'_>) -> Result<(), Error> {
        if !matches!(self.output, Format::Yaml | Format::Json | Format::JsonPath(..)) {
            let expected = "expected one of yaml, json, jsonpath={.PATH}";
            return Err(Error::Usage(format!("--output: found a format for objects, {expected}")));
        }
        if self.minify {
            let current = std::mem::take(&mut contexts.current);
            if current.is_empty() {
                return Err(Error::No("current-context must exist in order to minify".to_owned()));
            }
            contexts.all.retain(|named| named.name == current);
            if contexts.all.is_empty() {
                return Err(Error::No(format!("cannot locate context {current}")));
            }
            contexts.current = current;
        }
        let mut document = contexts.document();
        without_secrets(&mut document);
        print::document(io.out, &self.output, &document)
    }
}

/// Takes out of every text what looks like a secret, such as a password that somebody wrote into a URL.
fn without_secrets(value: &mut Value) {
    match value {
        Value::String(text) => *text = redact(text).into_owned(),
        Value::Array(items) => items.iter_mut().for_each(without_secrets),
        Value::Object(map) => map.values_mut().for_each(without_secrets),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl GetContexts {
    fn run(&self, contexts: &Contexts, io: &mut Io<'_>) -> Result<(), Error> {
        let mut shown: Vec<&Named> =
            contexts.all.iter().filter(|c| self.names.is_empty() || self.names.contains(&c.name)).collect();
        shown.sort_by(|a, b| a.name.cmp(&b.name));
        if self.output.is_some() {
            shown.iter().try_for_each(|named| writeln!(io.out, "{}", harmless(&named.name)))?;
        } else {
            let header = ["CURRENT", "NAME", "STORE", "CACERT", "CERT", "KEY"].map(str::to_owned);
            let mut rows: Vec<Vec<String>> = if self.no_headers { Vec::new() } else { vec![header.into()] };
            rows.extend(shown.into_iter().map(|named| {
                let path = |path: &Option<PathBuf>| path.as_ref().map(|p| p.display().to_string()).unwrap_or_default();
                let Context { store, cacert, cert, key } = &named.context;
                let mark = if named.name == contexts.current { "*" } else { "" };
                let store = redact(store).into_owned();
                vec![mark.to_owned(), named.name.clone(), store, path(cacert), path(cert), path(key)]
            }));
            Table::list().write(io.out, &rows)?;
        }
        let missing = self.names.iter().filter(|name| contexts.find(name).is_none());
        Error::all(missing.map(|name| Error::No(format!("context {name} not found"))).collect())
    }
}

impl SetContext {
    /// Makes or changes the context. Returns its name and the word for what was done.
    fn change(&self, contexts: &mut Contexts, store: Option<&StoreUrl>) -> Result<(String, &'static str), Error> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None if contexts.current.is_empty() => return Err(Error::No("no current context is set".to_owned())),
            None => contexts.current.clone(),
        };
        if name.is_empty() {
            return Err(Error::Usage("you must specify a non-empty context name or --current".to_owned()));
        }
        let word = if contexts.find(&name).is_some() {
            "modified"
        } else {
            // One without a store would be of no use, and would be found out later.
            if store.is_none() {
                return Err(Error::Usage(format!("context {name:?} is new: --store says which store it is for")));
            }
            contexts.all.push(Named { name: name.clone(), context: Context::default() });
            "created"
        };
        if let Some(Named { context, .. }) = contexts.find_mut(&name) {
            if let Some(url) = store {
                context.store = url.to_string();
            }
            for (flag, given, field) in [
                ("--cacert", &self.cacert, &mut context.cacert),
                ("--cert", &self.cert, &mut context.cert),
                ("--key", &self.key, &mut context.key),
            ] {
                match given {
                    None => {}
                    Some(path) if path.as_os_str().is_empty() => *field = None,
                    // The command is run somewhere else the next time.
                    Some(path) => {
                        let whole = absolute(path).map_err(|e| Error::Usage(format!("{flag}: {e}")))?;
                        if whole.to_str().is_none() {
                            return Err(Error::Usage(format!(
                                "{flag}: found {}, expected a path that is UTF-8 text",
                                path.display()
                            )));
                        }
                        *field = Some(whole);
                    }
                }
            }
            if context.cert.is_some() != context.key.is_some() {
                return Err(Error::Usage("--cert and --key are given together or not at all".to_owned()));
            }
        }
        Ok((name, word))
    }
}

fn use_context(contexts: &mut Contexts, name: &str) -> Result<(), Error> {
    if contexts.find(name).is_none() {
        return Err(Error::No(format!("no context exists with the name: {name:?}")));
    }
    name.clone_into(&mut contexts.current);
    Ok(())
}

/// Returns whether it was the current one, which then still names it, as in a kubeconfig: a command must not go to another
/// store unasked.
fn delete(contexts: &mut Contexts, name: &str, file: &ConfigFile) -> Result<bool, Error> {
    if contexts.find(name).is_none() {
        return Err(Error::No(format!("cannot delete context {name}, not in {}", file.path().display())));
    }
    contexts.all.retain(|named| named.name != name);
    Ok(contexts.current == name)
}

fn rename(contexts: &mut Contexts, from: &str, to: &str, file: &ConfigFile) -> Result<(), Error> {
    let shown = file.path().display();
    if contexts.find(from).is_none() {
        return Err(Error::No(format!("cannot rename the context {from:?}, it's not in {shown}")));
    }
    if contexts.find(to).is_some() {
        return Err(Error::No(format!("cannot rename the context {from:?}, the context {to:?} already exists in {shown}")));
    }
    if to.is_empty() {
        return Err(Error::Usage("NEW_NAME: found nothing, expected a name".to_owned()));
    }
    if let Some(named) = contexts.find_mut(from) {
        to.clone_into(&mut named.name);
    }
    if contexts.current == from {
        to.clone_into(&mut contexts.current);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
