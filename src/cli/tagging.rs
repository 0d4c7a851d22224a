//! What `label` and `annotate` have in common: choosing objects, changing one map of their metadata, listing it.

use clap::Args;
use serde_json::{Value, json};

use super::change;
use super::kind::{Kind, name_of};
use super::pairs::{self, Pairs, Tags};
use super::report::Outcome;
use super::selection::{self, Selection};
use super::target::Target;
use super::{Error, Io};
use crate::api::GROUP;
use crate::store::Store;

/// Arguments of `label` and `annotate`.
#[derive(Debug, Args)]
pub struct Tagging {
    /// KIND NAME… or KIND/NAME…, then KEY=VALUE to set and KEY- to remove
    #[arg(value_name = "KIND|KEY=VALUE|KEY-")]
    words: Vec<String>,
    #[command(flatten)]
    selection: Selection,
    /// Write over other values of the same keys
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    #[arg(action = clap::ArgAction::Set, hide_possible_values = true, hide_default_value = true, value_name = "true|false")]
    overwrite: bool,
    /// Show what the objects have, after the changes if there are any
    #[arg(long)]
    list: bool,
    /// Only if the object is still at this resourceVersion
    #[arg(long, value_name = "VERSION")]
    resource_version: Option<String>,
    #[command(flatten)]
    outcome: Outcome,
}

/// kubectl's words for a command line without a resource.
const NO_RESOURCE: &str = "one or more resources must be specified as <resource> <name> or <resource>/<name>";

/// What was chosen.
struct Chosen {
    /// The objects, in the order of the command line or of their names.
    objects: Vec<(Kind, String)>,
    /// Whether the command line means exactly one.
    one: bool,
}

impl Tagging {
    /// Does it to the labels or the annotations. `word` is what became of an object, from whether it changed and whether
    /// keys were only removed.
    pub(super) async fn run(
        &self,
        tags: Tags,
        word: impl Fn(bool, bool) -> &'static str,
        store: &Store,
        io: &mut Io<'_>,
    ) -> Result<(), Error> {
        let (names, changes) = pairs::apart(&self.words, tags)?;
        if names.is_empty() && self.selection.filename.is_empty() {
            return Err(Error::Usage(NO_RESOURCE.to_owned()));
        }
        let pairs = Pairs::parse(changes, tags)?;
        if pairs.is_empty() && !self.list {
            return Err(Error::Usage(format!("at least one {} update is required", tags.word())));
        }
        let chosen = self.choose(names, store, io).await?;
        if self.resource_version.is_some() && !chosen.one {
            return Err(Error::Usage("--resource-version may only be used with a single resource".to_owned()));
        }
        let (mut report, mut errors) = (self.outcome.report(), Vec::new());
        // Every object is tried, whatever became of those before it.
        for (kind, name) in &chosen.objects {
            let edit = |live: &Value| self.edit(&pairs, live, tags);
            match change::change(kind, name, store, self.outcome.dry_run, edit).await {
                Ok(changed) => {
                    // kubectl says it of labels only, and beside the outcome; an object in full must stay one document.
                    for key in pairs.missing(&changed.before, tags).filter(|_| tags == Tags::Labels) {
                        let to: &mut dyn std::io::Write = if self.outcome.shows_lines() { io.out } else { io.err };
                        writeln!(to, "label {key:?} not found.")?;
                    }
                    if self.list {
                        list(kind, &changed.after, tags, chosen.one, io)?;
                    } else {
                        let word = word(changed.anything(), pairs.only_removes());
                        report.object(kind, &changed.after, word, io)?;
                    }
                }
                Err(e) => errors.push(e.unless_fatal()?),
            }
        }
        Error::all(errors)
    }

    /// The objects that the words and flags of the command line choose, in kubectl's words when they choose none.
    async fn choose(&self, words: &[String], store: &Store, io: &mut Io<'_>) -> Result<Chosen, Error> {
        let usage = |text: &str| Err(Error::Usage(text.to_owned()));
        let selection = &self.selection;
        if selection.all && selection.labels.is_some() {
            return usage("cannot set --all and --selector at the same time");
        }
        if !selection.filename.is_empty() {
            if !words.is_empty() || selection.is_open() {
                return usage("--filename says which objects; it goes with no kind, name, --all or selector");
            }
            let objects = selection::named(words, &selection.filename, selection.recursive)?;
            return Ok(Chosen { one: objects.len() == 1, objects });
        }
        if words.is_empty() {
            return usage(NO_RESOURCE);
        }
        match Target::parse(words)? {
            Target::Named(_) if selection.is_open() => usage("name cannot be provided when a selector is specified"),
            Target::Named(objects) => Ok(Chosen { one: objects.len() == 1, objects }),
            Target::Kinds(_) if !selection.is_open() => {
                usage("resource(s) were provided, but no name was specified; --all means every object, -l those with labels")
            }
            Target::Kinds(kinds) => {
                let objects = selection.list(kinds, store).await?;
                if objects.is_empty() {
                    writeln!(io.err, "No resources found")?;
                }
                Ok(Chosen { objects, one: false })
            }
        }
    }

    fn edit(&self, pairs: &Pairs, live: &Value, tags: Tags) -> Result<Value, Error> {
        let mut edited = pairs.apply(live, tags, self.overwrite)?;
        if let Some(version) = &self.resource_version {
            json_patch::merge(&mut edited, &json!({"metadata": {"resourceVersion": version}}));
        }
        Ok(edited)
    }
}

/// Shows what an object has, a line each.
fn list(kind: &Kind, object: &Value, tags: Tags, one: bool, io: &mut Io<'_>) -> Result<(), Error> {
    if !one {
        writeln!(io.out, "Listing {} for {}.{GROUP}/{}:", tags.field(), kind.info.kind, name_of(object))?;
    }
    let indent = if one { "" } else { " " };
    for (key, value) in tags.of(object).into_iter().flatten() {
        let line = format!("{indent}{key}={}", value.as_str().unwrap_or_default());
        writeln!(io.out, "{}", super::print::table::harmless(&line))?;
    }
    Ok(())
}
