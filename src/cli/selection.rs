//! Which objects a verb is about that works on many: by name, by selector, all of a kind, or those that files describe.

use std::path::PathBuf;

use clap::Args;

use super::kind::{Kind, name_of};
use super::target::{NO_NAME, Target};
use super::{Error, manifest};
use crate::store::{ListParams, Store};

/// kubectl's words for a command line that means nothing.
const NOTHING_MEANT: &str = "You must provide one or more resources by argument or filename.
Example resource specifications include:
   '-f rsrc.yaml'
   '--filename=rsrc.json'
   '<resource> <name>'
   '<resource>'";

/// kubectl's words for --all with a selector, the blank at their end included.
const ALL_OF_SOME: &str = "setting 'all' parameter but found a non empty selector. ";

/// The flags that say which objects are meant, beside the words that name them, as kubectl has them.
#[derive(Debug, Args)]
pub struct Selection {
    /// The objects that a file, a directory or - (standard input) describes
    #[arg(short, long = "filename", value_name = "FILE|DIR|-")]
    pub(super) filename: Vec<PathBuf>,
    /// Search directories for manifests in depth
    #[arg(short = 'R', long)]
    pub(super) recursive: bool,
    /// Every object of the kinds
    #[arg(long)]
    pub(super) all: bool,
    /// Only objects with these labels, as in app=wicap,tier!=db
    #[arg(short = 'l', long = "selector", value_name = "LABELS", value_parser = selector)]
    pub(super) labels: Option<String>,
    /// Only objects with these field values, as in spec.stack=wicap,status.phase!=Active
    #[arg(long = "field-selector", value_name = "FIELDS", value_parser = selector)]
    fields: Option<String>,
}

/// A selector of a verb that changes something. One that says nothing would select everything: it is most often a variable of a script
/// that was never set.
pub(super) fn selector(text: &str) -> Result<String, String> {
    let says = text.split(',').any(|part| !part.trim().is_empty());
    if says { Ok(text.to_owned()) } else { Err("expected at least one requirement, such as app=wicap".to_owned()) }
}

impl Selection {
    /// Whether the objects are looked for and not named.
    pub fn is_open(&self) -> bool {
        self.all || self.labels.is_some() || self.fields.is_some()
    }

    /// The objects that these words and the flags mean, in the order in which they are meant. Those that are named need not be there.
    ///
    /// # Errors
    /// [`Error::Usage`] in kubectl's words when the arguments contradict each other; those of the files; the store's.
    pub async fn find(&self, words: &[String], store: &Store) -> Result<Vec<(Kind, String)>, Error> {
        let usage = |text: &str| Err(Error::Usage(text.to_owned()));
        if words.is_empty() && self.filename.is_empty() {
            return usage(NOTHING_MEANT);
        }
        if self.all && (self.labels.is_some() || self.fields.is_some()) {
            return usage(ALL_OF_SOME);
        }
        if !self.filename.is_empty() {
            if self.is_open() {
                return usage(
                    "when paths, URLs, or stdin is provided as resource input, you may not specify --all or a selector",
                );
            }
            let manifests = manifest::read(&self.filename, self.recursive).finish()?;
            return Ok(manifests.into_iter().map(|m| (m.kind, m.name)).collect());
        }
        match Target::parse(words)? {
            Target::Named(_) if self.is_open() => usage("name cannot be provided when a selector is specified"),
            Target::Named(named) => Ok(named),
            Target::Kinds(_) if !self.is_open() => usage(NO_NAME),
            Target::Kinds(kinds) => self.list(kinds, store).await,
        }
    }

    /// The objects of these kinds that the selectors select, in the order of their names.
    pub(super) async fn list(&self, kinds: Vec<Kind>, store: &Store) -> Result<Vec<(Kind, String)>, Error> {
        let params = ListParams { labels: self.labels.clone(), fields: self.fields.clone(), ..ListParams::default() };
        let mut found = Vec::new();
        for kind in kinds {
            let objects = kind.list(store, &params).await?;
            found.extend(objects.iter().filter_map(|o| Some((Kind::of(kind.info)?, name_of(o).to_owned()))));
        }
        Ok(found)
    }
}

/// The objects that words or files name.
pub(super) fn named(words: &[String], files: &[PathBuf], recursive: bool) -> Result<Vec<(Kind, String)>, Error> {
    if files.is_empty() {
        return Target::named(words);
    }
    Ok(manifest::read(files, recursive).finish()?.into_iter().map(|m| (m.kind, m.name)).collect())
}
