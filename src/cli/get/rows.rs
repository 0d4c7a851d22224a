//! An object as a row: the columns of its kind, and those that flags add.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Get;
use super::order::Place;
use crate::api::Time;
use crate::cli::kind::{Kind, name_of};
use crate::cli::print::columns::Columns;
use crate::cli::print::format::Format;

/// What stands where an object has no labels, or no condition of a type.
const NONE: &str = "<none>";

/// The columns of a table.
pub struct Layout<'g> {
    get: &'g Get,
    kind: &'g Kind,
    columns: Columns,
    /// Names with their kind before them.
    prefixed: bool,
}

/// What of an object is kept for a table, and nothing else of it.
pub struct Row {
    cells: Vec<String>,
    /// Type and what is said of it.
    conditions: Vec<(String, String)>,
    /// Cells of labels, which are the last.
    tail: Vec<String>,
    /// Where it belongs when there is an order.
    pub place: Place,
}

impl<'g> Layout<'g> {
    /// That of one kind.
    pub fn new(get: &'g Get, kind: &'g Kind, prefixed: bool) -> Self {
        let columns = Columns::of(&kind.info, get.output == Format::Wide);
        Self { get, kind, columns, prefixed: prefixed || get.show_kind }
    }

    /// An object's row; `event` is what a watch says of it.
    pub fn row(&self, object: &Value, event: Option<&str>, now: Time) -> Row {
        let name = name_of(object);
        let name = if self.prefixed { self.kind.line(name) } else { name.to_owned() };
        // As wide as the longest of them from the start, as kubectl has it.
        let event = event.filter(|_| self.get.output_watch_events).map(|event| format!("{event:<8}"));
        let mut tail: Vec<String> = self.get.label_columns.iter().map(|label| label_of(object, label)).collect();
        if self.get.show_labels {
            tail.push(labels_of(object));
        }
        Row {
            cells: event.into_iter().chain(self.columns.row(name, object, now)).collect(),
            conditions: if self.get.conditions {
                conditions_of(object, self.get.output == Format::Wide)
            } else {
                Vec::new()
            },
            tail,
            place: self.get.sort_by.as_ref().map_or(Place::None, |order| order.place(object)),
        }
    }

    /// The types of conditions that any of these rows has.
    pub fn conditions(rows: &[Row]) -> BTreeSet<String> {
        rows.iter().flat_map(|row| row.conditions.iter().map(|(kind, _)| kind.clone())).collect()
    }

    /// The header and the rows as they are written, with a cell for each of `types`.
    pub fn cells(&self, rows: Vec<Row>, types: &BTreeSet<String>, header: bool) -> Vec<Vec<String>> {
        let first = self.first_header();
        // A condition that has a column of its own by now does not get a second one.
        let place = |kind: &str| first.iter().position(|name| *name == kind.to_uppercase());
        let (own, added): (Vec<_>, Vec<_>) = types.iter().partition(|kind| place(kind).is_some());
        let mut all = Vec::with_capacity(rows.len() + 1);
        if header {
            let added = added.iter().map(|kind| kind.to_uppercase());
            all.push(first.iter().cloned().chain(added).chain(self.last_header()).collect());
        }
        for Row { mut cells, conditions, tail, .. } in rows {
            let said = |kind: &str| conditions.iter().find(|(k, _)| k == kind).map_or(NONE, |(_, said)| said).to_owned();
            for kind in &own {
                if let Some(cell) = place(kind).and_then(|at| cells.get_mut(at)) {
                    *cell = said(kind);
                }
            }
            cells.extend(added.iter().map(|kind| said(kind)));
            cells.extend(tail);
            all.push(cells);
        }
        all
    }

    fn first_header(&self) -> Vec<String> {
        let event = self.get.output_watch_events.then(|| "EVENT".to_owned());
        event.into_iter().chain(self.columns.header()).collect()
    }

    fn last_header(&self) -> Vec<String> {
        // What follows the slash is enough of `app.kubernetes.io/name`, as kubectl has it.
        let last = |label: &String| label.rsplit('/').next().unwrap_or(label).to_uppercase();
        let labels = self.get.label_columns.iter().map(last);
        labels.chain(self.get.show_labels.then(|| "LABELS".to_owned())).collect()
    }
}

fn label_of(object: &Value, label: &str) -> String {
    let value = object.pointer("/metadata/labels").and_then(|labels| labels.get(label)).and_then(Value::as_str);
    value.unwrap_or_default().to_owned()
}

fn labels_of(object: &Value) -> String {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
    let pairs = labels.into_iter().flatten().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
    let text = pairs.collect::<Vec<_>>().join(",");
    if text.is_empty() { NONE.to_owned() } else { text }
}

/// `True`, or `False(ProbeFailed)` with reasons: no blanks, so that columns can be cut.
fn conditions_of(object: &Value, reasons: bool) -> Vec<(String, String)> {
    let list = object.pointer("/status/conditions").and_then(Value::as_array);
    let text = |condition: &Value, field: &str| condition.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let said = |condition: &Value| {
        let (status, reason) = (text(condition, "status"), text(condition, "reason"));
        if reasons && !reason.is_empty() { format!("{status}({reason})") } else { status }
    };
    list.into_iter().flatten().map(|condition| (text(condition, "type"), said(condition))).collect()
}
