//! `get`: shows objects, once or as they change.

use clap::Args;
use futures::StreamExt;
use kube::runtime::watcher::Event;
use serde_json::Value;

use super::jsonpath::{Path, text_of};
use super::kind::{Kind, name_of};
use super::print::{self, Format, columns::Columns, table::Table};
use super::target::Target;
use super::{Error, Io};
use crate::store::{ListParams, Store, WatchParams};

/// Arguments of `get`.
#[derive(Debug, Args)]
pub struct Get {
    /// KIND[,KIND…] [NAME…], KIND/NAME… or all
    #[arg(value_name = "KIND", required = true)]
    target: Vec<String>,
    /// table, wide, json, yaml, name or jsonpath={.PATH}
    #[arg(short, long, default_value = "table", hide_default_value = true)]
    output: Format,
    /// Only objects with these labels, as in app=wicap,tier!=db
    #[arg(short = 'l', long = "selector", value_name = "LABELS")]
    labels: Option<String>,
    /// Only objects with these field values, as in spec.stack=wicap,status.phase!=Active
    #[arg(long = "field-selector", value_name = "FIELDS")]
    fields: Option<String>,
    /// Then show every change, until interrupted
    #[arg(short, long)]
    watch: bool,
    /// Order by the value at a JSONPath
    #[arg(long, value_name = "PATH")]
    sort_by: Option<String>,
    /// No line with the names of the columns
    #[arg(long)]
    no_headers: bool,
    /// A name that is not found is no error
    #[arg(long)]
    ignore_not_found: bool,
}

/// The objects of one kind, found together.
struct Found {
    kind: Kind,
    objects: Vec<Value>,
}

impl Get {
    pub(super) async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        let target = Target::parse(&self.target)?;
        let selects = self.labels.is_some() || self.fields.is_some();
        if selects && matches!(target, Target::Named(_)) {
            return Err(Error::Usage("a selector and a name exclude each other".to_owned()));
        }
        let order =
            self.sort_by.as_deref().map(Path::parse).transpose().map_err(|e| Error::Usage(format!("--sort-by: {e}")))?;
        if self.watch {
            return self.watch(target, store, io).await;
        }
        let one = matches!(&target, Target::Named(named) if named.len() == 1);
        let (mut found, errors) = self.read(target, store).await?;
        if let Some(order) = &order {
            for group in &mut found {
                group.objects.sort_by(|a, b| compare(order, a, b));
            }
        }
        if self.nothing_but(&errors, &found) {
            return Error::all(errors);
        }
        match &self.output {
            Format::Table | Format::Wide => self.tables(&found, errors.is_empty(), store, io)?,
            Format::Name => {
                for group in &found {
                    for object in &group.objects {
                        writeln!(io.out, "{}", group.kind.line(name_of(object)))?;
                    }
                }
            }
            format => {
                let mut all: Vec<Value> = found.into_iter().flat_map(|group| group.objects).collect();
                let value = if one && all.len() == 1 { all.swap_remove(0) } else { print::list(&all) };
                print::document(io.out, format, &value)?;
            }
        }
        Error::all(errors)
    }

    /// Whether there is nothing to show but errors, or nothing at all of what may be missing.
    fn nothing_but(&self, errors: &[Error], found: &[Found]) -> bool {
        found.iter().all(|g| g.objects.is_empty()) && (!errors.is_empty() || self.ignore_not_found)
    }

    async fn read(&self, target: Target, store: &Store) -> Result<(Vec<Found>, Vec<Error>), Error> {
        let (mut found, mut errors): (Vec<Found>, _) = (Vec::new(), Vec::new());
        match target {
            Target::Kinds(kinds) => {
                let params =
                    ListParams { labels: self.labels.clone(), fields: self.fields.clone(), ..ListParams::default() };
                for kind in kinds {
                    let objects = kind.list(store, &params).await?;
                    found.push(Found { kind, objects });
                }
            }
            Target::Named(named) => {
                for (kind, name) in named {
                    match kind.get(store, &name).await? {
                        None if self.ignore_not_found => {}
                        None => errors.push(kind.not_found(&name)),
                        // Objects of one kind that stand side by side share a table.
                        Some(object) => match found.last_mut() {
                            Some(group) if group.kind == kind => group.objects.push(object),
                            _ => found.push(Found { kind, objects: vec![object] }),
                        },
                    }
                }
            }
        }
        Ok((found, errors))
    }

    fn tables(&self, found: &[Found], complete: bool, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        let prefixed = found.iter().any(|g| g.kind != found[0].kind);
        let mut first = true;
        for group in found.iter().filter(|g| !g.objects.is_empty()) {
            if !std::mem::replace(&mut first, false) {
                writeln!(io.out)?;
            }
            let columns = self.columns(&group.kind);
            let mut rows = if self.no_headers { Vec::new() } else { vec![columns.header()] };
            rows.extend(group.objects.iter().map(|o| row(&columns, &group.kind, prefixed, o, store)));
            Table::list().write(io.out, &rows)?;
        }
        if first && complete {
            writeln!(io.err, "No resources found")?;
        }
        Ok(())
    }

    fn columns(&self, kind: &Kind) -> Columns {
        Columns::of(&kind.info, self.output == Format::Wide)
    }

    async fn watch(&self, target: Target, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        let (kind, name) = match target {
            Target::Kinds(mut kinds) if kinds.len() == 1 => (kinds.swap_remove(0), None),
            Target::Named(mut named) if named.len() == 1 => {
                let (kind, name) = named.swap_remove(0);
                (kind, Some(name))
            }
            _ => return Err(Error::Usage("--watch is for one kind, or one name of it".to_owned())),
        };
        if let Some(name) = &name
            && kind.get(store, name).await?.is_none()
            && !self.ignore_not_found
        {
            return Err(kind.not_found(name));
        }
        let params = WatchParams { labels: self.labels.clone(), fields: self.fields.clone(), name };
        let mut events = kind.watch(store, &params)?;
        let columns = self.columns(&kind);
        let mut table = Table::list();
        let mut head = !self.no_headers;
        // What was shown last, by name: after a connection was lost the list comes anew, and only what changed is news.
        let mut shown = std::collections::BTreeMap::new();
        let mut first_list = true;
        while let Some(event) = events.next().await {
            let object = match event {
                Ok(Event::InitApply(object) | Event::Apply(object)) => {
                    let version = object.pointer("/metadata/resourceVersion").cloned();
                    if shown.insert(name_of(&object).to_owned(), version.clone()) == Some(version) {
                        continue;
                    }
                    object
                }
                Ok(Event::Delete(object)) => {
                    shown.remove(name_of(&object));
                    object
                }
                Ok(Event::Init) => continue,
                Ok(Event::InitDone) => {
                    first_list = false;
                    continue;
                }
                // The watch gets over errors by itself; a store that was never there is worth an end.
                Err(e) if first_list => return Err(e.into()),
                Err(e) => {
                    writeln!(io.err, "Warning: {}", Error::from(e))?;
                    continue;
                }
            };
            match &self.output {
                Format::Table | Format::Wide => {
                    let mut rows = if std::mem::take(&mut head) { vec![columns.header()] } else { Vec::new() };
                    rows.push(row(&columns, &kind, false, &object, store));
                    table.write(io.out, &rows)?;
                }
                Format::Name => writeln!(io.out, "{}", kind.line(name_of(&object)))?,
                format => {
                    if *format == Format::Yaml {
                        writeln!(io.out, "---")?;
                    }
                    print::document(io.out, format, &object)?;
                }
            }
            io.out.flush()?;
        }
        Ok(())
    }
}

fn row(columns: &Columns, kind: &Kind, prefixed: bool, object: &Value, store: &Store) -> Vec<String> {
    let name = if prefixed { kind.line(name_of(object)) } else { name_of(object).to_owned() };
    columns.row(name, object, store.clock().now())
}

/// Numbers by their value, everything else as text; what is missing comes first.
fn compare(order: &Path, a: &Value, b: &Value) -> std::cmp::Ordering {
    let value = |object| order.find(object).first().copied().cloned().unwrap_or_default();
    match (value(a), value(b)) {
        (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(std::cmp::Ordering::Equal),
        (a, b) => text_of(&a).cmp(&text_of(&b)),
    }
}
