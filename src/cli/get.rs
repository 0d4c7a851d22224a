//! `get`: shows objects, once or as they change.
//!
//! # Layout
//! - `list`: what is there now, page by page
//! - `watch`: what changes
//! - `rows`: an object as a row, with the columns that flags add
//! - `order`: `--sort-by`

mod list;
mod order;
mod rows;
#[cfg(test)]
mod tests;
mod watch;

use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::kind::Kind;
use super::print::format::Format;
use super::target::Target;
use crate::cli::{Error, Io, manifest};
use crate::store::Store;
use order::Order;

/// Objects that are asked of the store at once, unless `--chunk-size` says otherwise: kubectl's number.
const CHUNK: u32 = 500;

/// Arguments of `get`.
// Each is a flag of kubectl's.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Args)]
pub struct Get {
    /// KIND[,KIND…] [NAME…], KIND/NAME…, all or wicap (every kind)
    #[arg(value_name = "KIND", required_unless_present = "files")]
    target: Vec<String>,
    /// table, wide, json, yaml, name, jsonpath=TEMPLATE, jsonpath-file=FILE, jsonpath-as-json=TEMPLATE,
    /// custom-columns=HEADER:PATH,… or custom-columns-file=FILE
    #[arg(short, long, default_value = "table", hide_default_value = true, value_name = "FORMAT")]
    output: Format,
    /// Only objects with these labels, as in app=wicap,tier!=db,host in (a,b)
    #[arg(short = 'l', long = "selector", value_name = "LABELS")]
    labels: Option<String>,
    /// Only objects with these field values, as in spec.stack=wicap,status.phase!=Active
    #[arg(long = "field-selector", value_name = "FIELDS")]
    fields: Option<String>,
    /// The objects that these files, directories or - (standard input) describe
    #[arg(short = 'f', long = "filename", value_name = "FILE", conflicts_with_all = ["target", "labels", "fields"])]
    files: Vec<PathBuf>,
    /// Also what directories in a directory of -f hold
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Then show every change, until interrupted
    #[arg(short, long)]
    watch: bool,
    /// Show every change, and not what is there before
    #[arg(long)]
    watch_only: bool,
    /// Say of each object shown by a watch whether it was added, modified or deleted
    #[arg(long)]
    output_watch_events: bool,
    /// Order by the value at a JSONPath, as in .status.phase
    #[arg(long, value_name = "PATH")]
    sort_by: Option<Order>,
    /// No line with the names of the columns
    #[arg(long)]
    no_headers: bool,
    /// A column with all labels
    #[arg(long)]
    show_labels: bool,
    /// A column for each of these labels
    #[arg(short = 'L', long, value_name = "LABEL", value_delimiter = ',')]
    label_columns: Vec<String>,
    /// A column for each type of condition, with its status (and its reason with -o wide)
    #[arg(long)]
    conditions: bool,
    /// Names with their kind before them
    #[arg(long)]
    show_kind: bool,
    /// A name that is not found is no error
    #[arg(long)]
    ignore_not_found: bool,
    /// How many objects to ask of the store at once; 0 means all
    #[arg(long, value_name = "COUNT", default_value_t = CHUNK)]
    chunk_size: u32,
    /// Whether a template says nothing for a field that an object lacks; else it is an error
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set, num_args = 0..=1,
        default_missing_value = "true", require_equals = true, hide_possible_values = true)]
    allow_missing_template_keys: bool,
    /// Accepted, and without effect: nothing is managed by field
    #[arg(long)]
    show_managed_fields: bool,
    /// Accepted, and without effect: these kinds are in no namespace
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Accepted, and without effect: these kinds are in no namespace
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
}

/// What is asked for.
enum Wanted {
    /// All objects of these kinds that match.
    Kinds(Vec<Kind>),
    /// These objects. A `single` one is shown as it is and not as a list.
    Named { names: Vec<(Kind, String)>, single: bool },
}

impl Get {
    /// Shows what is asked for.
    ///
    /// # Errors
    /// [`Error::Usage`] for flags that exclude each other; what the store and the output say.
    pub(super) async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        self.check()?;
        let wanted = self.wanted()?;
        if !(self.watch || self.watch_only) {
            return list::run(self, wanted, store, io).await;
        }
        if self.sort_by.is_some() {
            let (flag, what) =
                if self.watch_only { ("--watch-only", "") } else { ("--watch", " for watch events received") };
            writeln!(io.err, "warning: {flag} requested, --sort-by will be ignored{what}")?;
        }
        watch::run(self, wanted, store, io).await
    }

    /// Flags that make no sense together, in kubectl's words.
    fn check(&self) -> Result<(), Error> {
        if self.show_labels && !self.output.is_table() {
            let printer = self.output.word();
            return Err(Error::Usage(format!("--show-labels option cannot be used with {printer} printer")));
        }
        if self.conditions && !self.output.is_table() {
            let printer = self.output.word();
            return Err(Error::Usage(format!("--conditions option cannot be used with {printer} printer")));
        }
        if self.output_watch_events && !(self.watch || self.watch_only) {
            let why = "--output-watch-events option can only be used with --watch or --watch-only";
            return Err(Error::Usage(why.to_owned()));
        }
        Ok(())
    }

    fn wanted(&self) -> Result<Wanted, Error> {
        if !self.files.is_empty() {
            let manifests = manifest::read(&self.files, self.recursive).finish()?;
            // As kubectl: of one file that is no directory, one object is one object; of standard input it is a list of one.
            let plain = matches!(self.files.as_slice(), [file] if !file.is_dir() && file.as_os_str() != "-");
            let named = |m: manifest::Manifest| Ok((Kind::find(m.kind.info.kind)?, m.name));
            let names: Vec<_> = manifests.into_iter().map(named).collect::<Result<_, Error>>()?;
            return Ok(Wanted::Named { single: plain && names.len() == 1, names });
        }
        let selects = self.labels.is_some() || self.fields.is_some();
        match Target::parse(&self.target)? {
            Target::Kinds(kinds) => Ok(Wanted::Kinds(kinds)),
            Target::Named(_) if selects && self.target.iter().any(|word| word.contains('/')) => {
                let why = "selectors and the all flag cannot be used when passing resource/name arguments";
                Err(Error::Usage(why.to_owned()))
            }
            Target::Named(_) if selects => {
                Err(Error::Usage("name cannot be provided when a selector is specified".to_owned()))
            }
            Target::Named(names) => Ok(Wanted::Named { single: names.len() == 1, names }),
        }
    }
}
