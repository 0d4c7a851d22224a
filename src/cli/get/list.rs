//! What is there now. Objects come page by page and are written as they come; of a table only the rows are kept, to know
//! how wide its columns are.
//!
//! What must be seen as a whole is kept as a whole: `--sort-by` with a document, and of templates, which may begin anywhere
//! in the list, what they can reach.

use serde_json::Value;

use super::order::{Order, Place};
use super::rows::{Layout, Row};
use super::{Get, Wanted};
use crate::api::Time;
use crate::cli::jsonpath::Reach;
use crate::cli::kind::{Kind, name_of};
use crate::cli::print;
use crate::cli::print::custom::CustomColumns;
use crate::cli::print::format::Format;
use crate::cli::print::items::{Items, Language};
use crate::cli::print::table::Table;
use crate::cli::{Error, Io};
use crate::store::{ListParams, Store};

/// Rows of a table that are kept until the widths of its columns are settled. kubectl keeps all; with more than this many
/// the rest is written in lines that only get wider, so that a table of any length needs a few megabytes.
const ROWS: usize = 20_000;

/// Objects of one kind that were asked for by name and found.
struct Found {
    kind: Kind,
    objects: Vec<Value>,
}

/// Shows what is wanted.
pub(super) async fn run(get: &Get, wanted: Wanted, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
    let now = store.clock().now();
    match wanted {
        Wanted::Kinds(kinds) => {
            let mut sink = Sink::new(get, kinds.len() > 1, false);
            for kind in &kinds {
                let mut group = sink.group(kind);
                let params = ListParams {
                    labels: get.labels.clone(),
                    fields: get.fields.clone(),
                    limit: (get.chunk_size > 0).then_some(get.chunk_size),
                    continue_token: None,
                };
                let mut pages = kind.pages(store, params);
                while let Some(objects) = pages.next().await? {
                    for object in objects {
                        sink.push(&mut group, object, now, io)?;
                    }
                }
                sink.end(group, io)?;
            }
            sink.finish(true, io)
        }
        Wanted::Named { names, single } => {
            let (found, errors) = read(get, names, store).await?;
            if single && (!errors.is_empty() || found.is_empty()) {
                return Error::all(errors);
            }
            let mut sink = Sink::new(get, found.iter().any(|f| f.kind != found[0].kind), single);
            for Found { kind, objects } in &found {
                let mut group = sink.group(kind);
                for object in objects {
                    sink.push(&mut group, object.clone(), now, io)?;
                }
                sink.end(group, io)?;
            }
            sink.finish(errors.is_empty(), io)?;
            Error::all(errors)
        }
    }
}

async fn read(get: &Get, names: Vec<(Kind, String)>, store: &Store) -> Result<(Vec<Found>, Vec<Error>), Error> {
    let (mut found, mut errors): (Vec<Found>, _) = (Vec::new(), Vec::new());
    for (kind, name) in names {
        match kind.get(store, &name).await? {
            None if get.ignore_not_found => {}
            None => errors.push(kind.not_there(store, &name).await),
            // Objects of one kind that stand side by side share a table.
            Some(object) => match found.last_mut() {
                Some(group) if group.kind == kind => group.objects.push(object),
                _ => found.push(Found { kind, objects: vec![object] }),
            },
        }
    }
    Ok((found, errors))
}

/// Where objects go.
struct Sink<'g> {
    get: &'g Get,
    prefixed: bool,
    form: Form<'g>,
    /// Whether there was any object.
    any: bool,
}

enum Form<'g> {
    /// A table a kind; whether one was written before.
    Tables {
        written: bool,
    },
    /// One table for all kinds, and the rows that are not written yet.
    Custom(&'g CustomColumns, Rows<Vec<String>>),
    Names,
    /// A document that grows.
    Items(Items),
    /// What has to be seen as a whole, and how much of each object that takes.
    Whole(Vec<Value>, Reach),
    /// The one object that was asked for.
    Single,
}

/// Rows that wait to be written, and the table they go to.
struct Rows<R> {
    table: Table,
    waiting: Vec<R>,
    header: bool,
}

/// The objects of one kind.
struct Group<'g> {
    kind: &'g Kind,
    /// Of a table only: to find out the columns of a kind takes longer than to write an object.
    layout: Option<Layout<'g>>,
    rows: Rows<Row>,
    /// Whether any object has a value to be ordered by.
    placed: bool,
}

impl<R> Rows<R> {
    fn new(get: &Get) -> Self {
        Self { table: Table::list(), waiting: Vec::new(), header: !get.no_headers }
    }
}

impl<'g> Sink<'g> {
    fn new(get: &'g Get, prefixed: bool, single: bool) -> Self {
        let sorted = get.sort_by.is_some();
        let form = match &get.output {
            Format::Table | Format::Wide => Form::Tables { written: false },
            Format::Custom(columns) if !sorted => Form::Custom(columns, Rows::new(get)),
            Format::Name if !sorted => Form::Names,
            Format::Json | Format::Yaml | Format::JsonPath(..) if single => Form::Single,
            Format::Json if !sorted => Form::Items(Items::new(Language::Json)),
            Format::Yaml if !sorted => Form::Items(Items::new(Language::Yaml)),
            Format::JsonPath(template, _) if !sorted && get.allow_missing_template_keys => {
                Form::Whole(Vec::new(), template.reach().of_each("items"))
            }
            _ => Form::Whole(Vec::new(), Reach::Whole),
        };
        Self { get, prefixed, form, any: false }
    }

    fn group<'k>(&self, kind: &'k Kind) -> Group<'k>
    where
        'g: 'k,
    {
        let layout = self.get.output.is_table().then(|| Layout::new(self.get, kind, self.prefixed));
        Group { kind, layout, rows: Rows::new(self.get), placed: false }
    }

    fn push(&mut self, group: &mut Group<'_>, object: Value, now: Time, io: &mut Io<'_>) -> Result<(), Error> {
        self.any = true;
        match &mut self.form {
            Form::Tables { written } => {
                let Some(layout) = &group.layout else { return Ok(()) };
                let row = layout.row(&object, None, now);
                group.placed |= row.place != Place::None;
                group.rows.waiting.push(row);
                // What is sorted, and columns that any later object may add, need all rows.
                if group.rows.waiting.len() >= ROWS && self.get.sort_by.is_none() && !self.get.conditions {
                    group.write(written, io)?;
                }
            }
            Form::Custom(columns, rows) => {
                rows.waiting.push(columns.row(&object));
                if rows.waiting.len() >= ROWS {
                    write_custom(columns, rows, io)?;
                }
            }
            Form::Names => writeln!(io.out, "{}", group.kind.line(name_of(&object)))?,
            Form::Items(items) => items.push(io.out, &object)?,
            Form::Whole(objects, reach) => objects.push(reach.keep(object)),
            Form::Single => match &self.get.output {
                Format::JsonPath(template, results) => {
                    template.write(io.out, &object, *results, self.get.allow_missing_template_keys)?;
                }
                format => print::document(io.out, format, &object)?,
            },
        }
        Ok(())
    }

    /// No more objects of this kind.
    fn end(&mut self, mut group: Group<'_>, io: &mut Io<'_>) -> Result<(), Error> {
        let Form::Tables { written } = &mut self.form else { return Ok(()) };
        if let Some(order) = &self.get.sort_by {
            if !group.placed && !group.rows.waiting.is_empty() {
                return Err(nowhere(order));
            }
            group.rows.waiting.sort_by(|a, b| a.place.compare(&b.place));
        }
        group.write(written, io)
    }

    /// No more objects at all; `complete` when nothing that was asked for is missing.
    fn finish(self, complete: bool, io: &mut Io<'_>) -> Result<(), Error> {
        // What may be missing, and is, is nothing at all.
        let silent = !self.any && self.get.ignore_not_found;
        match self.form {
            Form::Tables { .. } if !self.any && complete && !silent => writeln!(io.err, "No resources found")?,
            Form::Custom(columns, mut rows) if !silent => write_custom(columns, &mut rows, io)?,
            Form::Items(items) if !silent => items.finish(io.out)?,
            Form::Whole(objects, _) if !silent => self.get.whole(objects, io)?,
            _ => {}
        }
        Ok(())
    }
}

impl Group<'_> {
    /// Writes the rows that wait.
    fn write(&mut self, written: &mut bool, io: &mut Io<'_>) -> Result<(), Error> {
        let rows = std::mem::take(&mut self.rows.waiting);
        let Some(layout) = self.layout.as_ref().filter(|_| !rows.is_empty()) else { return Ok(()) };
        // A blank line between two tables, unless they are to be read by a program.
        let header = std::mem::take(&mut self.rows.header);
        if header && std::mem::replace(written, true) {
            writeln!(io.out)?;
        }
        let types = Layout::conditions(&rows);
        let cells = layout.cells(rows, &types, header);
        Ok(self.rows.table.write(io.out, &cells)?)
    }
}

fn write_custom(columns: &CustomColumns, rows: &mut Rows<Vec<String>>, io: &mut Io<'_>) -> Result<(), Error> {
    let mut cells = std::mem::take(&mut rows.waiting);
    if std::mem::take(&mut rows.header) {
        cells.insert(0, columns.header());
    }
    Ok(rows.table.write(io.out, &cells)?)
}

fn nowhere(order: &Order) -> Error {
    Error::No(order.leads_nowhere())
}

impl Get {
    /// Writes a list that was kept as a whole.
    fn whole(&self, mut objects: Vec<Value>, io: &mut Io<'_>) -> Result<(), Error> {
        if let Some(order) = &self.sort_by {
            let mut placed: Vec<_> = objects.into_iter().map(|object| (order.place(&object), object)).collect();
            if !placed.is_empty() && placed.iter().all(|(place, _)| *place == Place::None) {
                return Err(nowhere(order));
            }
            placed.sort_by(|(a, _), (b, _)| a.compare(b));
            objects = placed.into_iter().map(|(_, object)| object).collect();
        }
        match &self.output {
            Format::Name => {
                for object in &objects {
                    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
                    writeln!(io.out, "{}", Kind::find(kind)?.line(name_of(object)))?;
                }
                Ok(())
            }
            Format::Custom(columns) => {
                let mut rows = Rows::new(self);
                rows.waiting = objects.iter().map(|object| columns.row(object)).collect();
                write_custom(columns, &mut rows, io)
            }
            Format::JsonPath(template, results) => {
                template.write(io.out, &print::list(objects), *results, self.allow_missing_template_keys)
            }
            format => print::document(io.out, format, &print::list(objects)),
        }
    }
}
