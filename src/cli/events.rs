//! `events`: what happened lately, in the order of time, once or as it comes.

use std::collections::BTreeMap;

use clap::Args;
use k8s_openapi::api::core::v1::Event;
use serde_json::{Value, json};

use super::kind::Kind;
use super::print::sections::{in_time, seen};
use super::print::table::{Table, harmless};
use super::print::{self, format::Format};
use super::{Error, Io, hint};
use crate::api::Time;
use crate::store::feed::News;
use crate::store::{self, Store};

/// Arguments of `events`.
#[derive(Debug, Args)]
pub struct Events {
    /// Only those of this object
    #[arg(long = "for", value_name = "KIND/NAME")]
    object: Option<String>,
    /// Only these: Normal, Warning
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    types: Vec<String>,
    /// Then show those that come, until interrupted
    #[arg(short, long)]
    watch: bool,
    /// No line with the names of the columns
    #[arg(long)]
    no_headers: bool,
    /// json, yaml, name or jsonpath={.PATH} instead of the table
    #[arg(short, long, default_value = "table", hide_default_value = true)]
    output: Format,
}

/// Which Events are meant.
#[derive(Debug, Default)]
struct Filter {
    object: Option<(&'static str, String)>,
    types: Vec<String>,
}

/// What of an Event changes when it happens again.
type Occurrence = (Option<i32>, Option<Time>);

/// Writes Events in one format.
struct Printer<'a> {
    format: &'a Format,
    table: Table,
    header: bool,
}

impl Events {
    /// Shows the Events.
    pub(super) async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        let (filter, kind) = self.filter()?;
        if self.watch {
            return self.watch(&filter, store, io).await;
        }
        let mut events = store.events().await?;
        events.retain(|event| filter.takes(event));
        in_time(&mut events);
        if events.is_empty() && matches!(self.output, Format::Table | Format::Wide) {
            writeln!(io.err, "No events found.")?;
            if let (Some(kind), Some((_, name))) = (kind, &filter.object)
                && kind.get(store, name).await?.is_none()
            {
                writeln!(io.err, "there is no {}/{}", kind.info.plural, print::table::harmless(name))?;
                if let Some(meant) = kind.nearest_name(store, name).await {
                    writeln!(io.err, "{}", hint::line(&meant))?;
                }
            }
            return Ok(());
        }
        match &self.output {
            Format::Table | Format::Wide | Format::Name => self.printer().write(io, &events, store.clock().now())?,
            format => {
                let all: Vec<Value> = events.iter().map(to_json).collect();
                let list = json!({"apiVersion": "v1", "kind": "EventList", "metadata": {}, "items": all});
                print::document(io.out, format, &list)?;
            }
        }
        Ok(())
    }

    /// What the flags mean, in kubectl's words where they mean nothing.
    fn filter(&self) -> Result<(Filter, Option<Kind>), Error> {
        let known = |type_: &String| ["Normal", "Warning"].iter().any(|known| known.eq_ignore_ascii_case(type_));
        if let Some(type_) = self.types.iter().find(|type_| !known(type_)) {
            let error = Error::Usage("valid --types are Normal or Warning".to_owned());
            return Err(error.with_hint(format!("found {type_:?}")));
        }
        let mut filter = Filter { object: None, types: self.types.clone() };
        let Some(object) = &self.object else { return Ok((filter, None)) };
        match object.split_once('/') {
            Some((kind, name)) if !kind.is_empty() && !name.is_empty() && !name.contains('/') => {
                let kind = Kind::find(kind)?;
                filter.object = Some((kind.info.kind, name.to_owned()));
                Ok((filter, Some(kind)))
            }
            _ => Err(Error::Usage("--for must be in resource/name form".to_owned()).with_hint(format!("found {object:?}"))),
        }
    }

    fn printer(&self) -> Printer<'_> {
        Printer { format: &self.output, table: Table::list(), header: !self.no_headers }
    }

    async fn watch(&self, filter: &Filter, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        let mut feed = store.watch_events();
        let mut printer = self.printer();
        // What was shown last of each that there is, by name: after the store was out of sight, only what is new is news.
        let mut shown: BTreeMap<String, Occurrence> = BTreeMap::new();
        let mut begun = false;
        loop {
            match feed.next().await {
                Ok(News::All(mut events)) => {
                    begun = true;
                    events.retain(|event| filter.takes(event));
                    let before = std::mem::take(&mut shown);
                    shown.extend(events.iter().map(|event| (name(event).to_owned(), occurrence(event))));
                    events.retain(|event| before.get(name(event)) != Some(&occurrence(event)));
                    in_time(&mut events);
                    printer.write(io, &events, store.clock().now())?;
                }
                Ok(News::One(event)) if filter.takes(&event) => {
                    let now = occurrence(&event);
                    if shown.insert(name(&event).to_owned(), now) != Some(now) {
                        printer.write(io, std::slice::from_ref(&event), store.clock().now())?;
                    }
                }
                Ok(News::One(_)) => {}
                Ok(News::Gone(name)) => {
                    shown.remove(&name);
                }
                // The feed gets over errors by itself; a store that was never there, or that refuses, is worth an end.
                Err(e) if !begun || matches!(e, store::Error::Refused { .. }) => return Err(e.into()),
                Err(e) => writeln!(io.err, "Warning: {}", harmless(&Error::from(e).to_string()))?,
            }
            io.out.flush()?;
        }
    }
}

impl Filter {
    fn takes(&self, event: &Event) -> bool {
        let about = &event.involved_object;
        let object = self
            .object
            .as_ref()
            .is_none_or(|(kind, name)| about.kind.as_deref() == Some(*kind) && about.name.as_deref() == Some(name));
        let type_ = event.type_.as_deref().unwrap_or_default();
        object && (self.types.is_empty() || self.types.iter().any(|wanted| wanted.eq_ignore_ascii_case(type_)))
    }
}

impl Printer<'_> {
    /// Writes Events in the order they are given in.
    fn write(&mut self, io: &mut Io<'_>, events: &[Event], now: Time) -> Result<(), Error> {
        if events.is_empty() {
            return Ok(());
        }
        match self.format {
            Format::Table | Format::Wide => {
                let mut rows = Vec::new();
                if std::mem::take(&mut self.header) {
                    rows.push(["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"].map(str::to_owned).to_vec());
                }
                rows.extend(events.iter().map(|event| row(event, now)));
                self.table.write(io.out, &rows)?;
            }
            Format::Name => {
                for event in events {
                    writeln!(io.out, "event/{}", print::table::harmless(name(event)))?;
                }
            }
            format => {
                for event in events {
                    if *format == Format::Yaml {
                        writeln!(io.out, "---")?;
                    }
                    print::document(io.out, format, &to_json(event))?;
                }
            }
        }
        Ok(())
    }
}

fn row(event: &Event, now: Time) -> Vec<String> {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let about = &event.involved_object;
    let object = format!("{}/{}", text(&about.kind), text(&about.name));
    vec![seen(event, now), text(&event.type_), text(&event.reason), object, text(&event.message).trim().to_owned()]
}

fn name(event: &Event) -> &str {
    event.metadata.name.as_deref().unwrap_or_default()
}

fn occurrence(event: &Event) -> Occurrence {
    (event.count, event.last_timestamp.as_ref().map(|t| t.0))
}

/// An Event as it is shown as a document. One that was read as JSON can be written as JSON.
fn to_json(event: &Event) -> Value {
    serde_json::to_value(event).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, kind: &str, type_: &str, count: i32, first: &str, last: &str) -> Event {
        serde_json::from_value(json!({"metadata": {"name": name}, "involvedObject": {"kind": kind, "name": "wicap"},
            "type": type_, "reason": "Drifted", "message": " ui is Exited\n", "count": count,
            "firstTimestamp": first, "lastTimestamp": last}))
        .unwrap()
    }

    fn written(format: &Format, events: &[Event]) -> String {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut printer = Printer { format, table: Table::list(), header: true };
        let mut io = Io { out: &mut out, err: &mut err, manners: crate::cli::Manners::default() };
        printer.write(&mut io, events, "2026-01-02T00:00:00Z".parse().unwrap()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_columns_are_kubectls_and_the_latest_comes_last() {
        let mut events = vec![
            event("b", "WicapStack", "Warning", 3, "2026-01-01T23:55:00Z", "2026-01-01T23:59:50Z"),
            event("a", "ActionRun", "Normal", 1, "2026-01-01T23:50:00Z", "2026-01-01T23:50:00Z"),
        ];
        in_time(&mut events);
        let expected = "\
LAST SEEN          TYPE      REASON    OBJECT             MESSAGE
10m                Normal    Drifted   ActionRun/wicap    ui is Exited
10s (x3 over 5m)   Warning   Drifted   WicapStack/wicap   ui is Exited
";
        assert_eq!(written(&Format::Table, &events), expected);
        assert_eq!(written(&Format::Name, &events), "event/a\nevent/b\n");
    }

    #[test]
    fn only_what_is_asked_for_is_shown() {
        let stack = event("a", "WicapStack", "Warning", 1, "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z");
        let of = |object: Option<(&'static str, &str)>, types: &[&str]| Filter {
            object: object.map(|(kind, name)| (kind, name.to_owned())),
            types: types.iter().map(|t| (*t).to_owned()).collect(),
        };
        for (filter, taken) in [
            (of(None, &[]), true),
            (of(Some(("WicapStack", "wicap")), &["warning"]), true),
            (of(Some(("WicapStack", "wica")), &[]), false),
            (of(Some(("ActionRun", "wicap")), &[]), false),
            (of(None, &["Normal"]), false),
            (of(None, &["Normal", "Warning"]), true),
        ] {
            assert_eq!(filter.takes(&stack), taken, "{filter:?}");
        }
    }
}
