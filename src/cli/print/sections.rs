//! The parts of a description that are tables: what a status lists, what belongs to the object, and Events.
//!
//! # Layout
//! - `stack`: services, probes, drift, ladders, the plan
//! - `run`: what an action or a soak run did
//! - `related`: objects that belong to the described one

pub mod related;
mod run;
mod stack;

use std::io::{self, Write};

use k8s_openapi::api::core::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::age::age;
use super::table::{described, harmless};
use crate::api::Time;

/// A titled table, with texts below it that do not fit into a row.
#[derive(Debug)]
pub struct Section {
    title: &'static str,
    header: &'static [&'static str],
    rows: Vec<Vec<String>>,
    below: Vec<String>,
}

impl Section {
    fn new(title: &'static str, header: &'static [&'static str], rows: impl IntoIterator<Item = Vec<String>>) -> Self {
        Self { title, header, rows: rows.into_iter().collect(), below: Vec::new() }
    }

    /// Writes it.
    ///
    /// # Errors
    /// What the output says.
    pub fn write(self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}:", self.title)?;
        described(out, self.header, self.rows)?;
        self.below.iter().try_for_each(|line| writeln!(out, "  {}", harmless(line)))
    }
}

/// Takes what is shown as a table out of a status; the rest is left to be shown field by field. `spec` is the object's.
pub fn take(kind: &str, spec: &Value, status: &mut Value, now: Time) -> Vec<Section> {
    let mut sections = Vec::new();
    match kind {
        "WicapStack" => sections.extend(stack::take(spec, status, now)),
        "ActionRun" => {
            sections.extend(taken(status, "/decision/trace").map(run::trace));
            sections.extend(taken(status, "/steps").map(|steps| run::steps(steps, now)));
        }
        "SoakRun" => sections.extend(taken(status, "/checks").map(|checks| run::checks(checks, now))),
        _ => {}
    }
    sections.extend(taken(status, "/conditions").map(|conditions| self::conditions(conditions, now)));
    sections
}

/// The list at `pointer`, taken out, when it is there, not empty and what it should be.
fn taken<T: DeserializeOwned>(status: &mut Value, pointer: &str) -> Option<Vec<T>> {
    let slot = status.pointer_mut(pointer)?;
    let list: Vec<T> = serde_json::from_value(slot.clone()).ok().filter(|list: &Vec<T>| !list.is_empty())?;
    slot.take();
    Some(list)
}

/// A value that may be missing, as kubectl shows it in a description.
fn or_none(text: Option<String>) -> String {
    text.filter(|t| !t.is_empty()).unwrap_or_else(|| "<none>".to_owned())
}

fn conditions(conditions: Vec<Condition>, now: Time) -> Section {
    let row = |c: Condition| vec![c.type_, c.status, c.reason, age(c.last_transition_time.0, now), c.message];
    Section::new("Conditions", &["Type", "Status", "Reason", "Since", "Message"], conditions.into_iter().map(row))
}

/// Writes Events as `kubectl describe` does, the latest last.
///
/// # Errors
/// What the output says.
pub fn events(out: &mut dyn Write, mut events: Vec<Event>, now: Time) -> io::Result<()> {
    if events.is_empty() {
        return writeln!(out, "Events:  <none>");
    }
    in_time(&mut events);
    let rows = events.into_iter().map(|e| {
        let when = seen(&e, now);
        let from = e.source.and_then(|source| source.component).or(e.reporting_component);
        let text = |t: Option<String>| t.unwrap_or_default();
        vec![text(e.type_), text(e.reason), when, text(from), text(e.message)]
    });
    writeln!(out, "Events:")?;
    described(out, &["Type", "Reason", "Age", "From", "Message"], rows.collect())
}

/// Sorts Events by the time they last happened, the latest last.
pub fn in_time(events: &mut [Event]) {
    events.sort_by_key(|e| (last_time(e), e.metadata.name.clone()));
}

/// When it last happened; before Events had counts, when it was made.
fn last_time(event: &Event) -> Option<Time> {
    let times = [&event.last_timestamp, &event.first_timestamp];
    times.into_iter().flatten().map(|t| t.0).next().or_else(|| event.event_time.as_ref().map(|t| t.0))
}

/// When an Event was seen, and how often: `10s (x3 over 5m)`.
#[must_use]
pub fn seen(event: &Event, now: Time) -> String {
    let first = event.first_timestamp.as_ref().map(|t| t.0);
    let last = last_time(event).map_or_else(|| "<unknown>".to_owned(), |t| age(t, now));
    match (event.count.filter(|count| *count > 1), first) {
        (Some(count), Some(first)) => format!("{last} (x{count} over {})", age(first, now)),
        _ => last,
    }
}
