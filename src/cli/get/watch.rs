//! What changes. Begins with what is there, as one table; then a row or a document for each change, until interrupted.
//!
//! After a connection was lost the store lists anew: only what differs from what was shown is news, and what is gone is
//! told as deleted.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};

use super::rows::Layout;
use super::{Get, Wanted};
use crate::cli::kind::{Kind, name_of};
use crate::cli::print::format::Format;
use crate::cli::print::table::{Table, harmless};
use crate::cli::print::{self, json, yaml};
use crate::cli::{Error, Io};
use crate::store::{Store, WatchParams};

const ADDED: &str = "ADDED";
const MODIFIED: &str = "MODIFIED";
const DELETED: &str = "DELETED";

/// Watches what is wanted.
pub(super) async fn run(get: &Get, wanted: Wanted, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
    let (kind, name) = one(wanted)?;
    if let Some(name) = &name
        && !get.ignore_not_found
        && kind.get(store, name).await?.is_none()
    {
        return Err(kind.not_there(store, name).await);
    }
    let params = WatchParams { labels: get.labels.clone(), fields: get.fields.clone(), name };
    let mut events = kind.watch(store, &params)?;
    let mut screen = Screen::new(get, &kind, store);
    let mut shown = Shown::default();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                let news = shown.take(event);
                if !news.is_empty() {
                    screen.show(news, io)?;
                    io.out.flush()?;
                }
            }
            // The watch gets over errors by itself; a store that was never there is worth an end.
            Err(e) if !shown.complete => return Err(e.into()),
            Err(e) => writeln!(io.err, "Warning: {}", harmless(&Error::from(e).to_string()))?,
        }
    }
    Ok(())
}

/// The one kind to watch, and the name when it is one object.
fn one(wanted: Wanted) -> Result<(Kind, Option<String>), Error> {
    let refused = |why: &str| Err(Error::Usage(why.to_owned()));
    match wanted {
        Wanted::Kinds(kinds) if kinds.len() > 1 => refused("you may only specify a single resource type"),
        Wanted::Kinds(kinds) => match kinds.into_iter().next() {
            Some(kind) => Ok((kind, None)),
            None => refused("there is no kind to watch"),
        },
        Wanted::Named { names, .. } => match <[(Kind, String); 1]>::try_from(names) {
            Ok([(kind, name)]) => Ok((kind, Some(name))),
            Err(_) => refused("you may only watch a single resource or type of resource at a time"),
        },
    }
}

/// A change that is worth telling.
#[derive(Debug, PartialEq)]
struct News {
    event: &'static str,
    object: Value,
}

/// What was shown last, by name.
#[derive(Default)]
struct Shown {
    objects: BTreeMap<String, Value>,
    /// The names of a list that is coming in.
    listed: BTreeSet<String>,
    /// What the first list holds, until it is complete.
    first: Vec<News>,
    /// Whether a list has come in completely.
    complete: bool,
}

impl Shown {
    /// What is news of an event. The first list is, once it is complete.
    fn take(&mut self, event: Event<Value>) -> Vec<News> {
        match event {
            Event::Init => {
                self.listed.clear();
                Vec::new()
            }
            Event::InitApply(object) => {
                self.listed.insert(name_of(&object).to_owned());
                let news = self.changed(object);
                if self.complete {
                    return news.into_iter().collect();
                }
                self.first.extend(news);
                Vec::new()
            }
            Event::InitDone => {
                let gone: Vec<String> = self.objects.keys().filter(|name| !self.listed.contains(*name)).cloned().collect();
                let gone = gone.into_iter().filter_map(|name| self.objects.remove(&name));
                let gone: Vec<News> = gone.map(|object| News { event: DELETED, object }).collect();
                self.listed.clear();
                self.complete = true;
                std::mem::take(&mut self.first).into_iter().chain(gone).collect()
            }
            Event::Apply(object) => self.changed(object).into_iter().collect(),
            Event::Delete(object) => {
                self.objects.remove(name_of(&object));
                vec![News { event: DELETED, object }]
            }
        }
    }

    /// News, unless it was shown as it is.
    fn changed(&mut self, object: Value) -> Option<News> {
        let version = |object: &Value| object.pointer("/metadata/resourceVersion").cloned();
        let before = self.objects.insert(name_of(&object).to_owned(), object.clone());
        match before {
            Some(before) if version(&before) == version(&object) => None,
            Some(_) => Some(News { event: MODIFIED, object }),
            None => Some(News { event: ADDED, object }),
        }
    }
}

/// How news are written.
struct Screen<'g> {
    get: &'g Get,
    kind: &'g Kind,
    store: &'g Store,
    layout: Layout<'g>,
    table: Table,
    /// The types of conditions that have a column.
    conditions: BTreeSet<String>,
    /// Whether a header was written.
    headed: bool,
    /// Whether the first list was written, or left out.
    begun: bool,
    /// YAML documents that were written.
    documents: usize,
}

impl<'g> Screen<'g> {
    fn new(get: &'g Get, kind: &'g Kind, store: &'g Store) -> Self {
        let layout = Layout::new(get, kind, false);
        let (table, conditions) = (Table::list(), BTreeSet::new());
        Self { get, kind, store, layout, table, conditions, headed: get.no_headers, begun: false, documents: 0 }
    }

    fn show(&mut self, mut news: Vec<News>, io: &mut Io<'_>) -> Result<(), Error> {
        if !std::mem::replace(&mut self.begun, true) {
            if self.get.watch_only {
                return Ok(());
            }
            if let Some(order) = &self.get.sort_by {
                news.sort_by(|a, b| order.place(&a.object).compare(&order.place(&b.object)));
            }
        }
        match &self.get.output {
            Format::Table | Format::Wide => self.rows(&news, io),
            Format::Custom(columns) => {
                let mut cells: Vec<_> = news.into_iter().map(|news| columns.row(&self.wrapped(news))).collect();
                if !std::mem::replace(&mut self.headed, true) {
                    cells.insert(0, columns.header());
                }
                Ok(self.table.write(io.out, &cells)?)
            }
            _ => news.into_iter().try_for_each(|news| self.document(news, io)),
        }
    }

    fn rows(&mut self, news: &[News], io: &mut Io<'_>) -> Result<(), Error> {
        let now = self.store.clock().now();
        let rows: Vec<_> = news.iter().map(|news| self.layout.row(&news.object, Some(news.event), now)).collect();
        let known = self.conditions.len();
        self.conditions.extend(Layout::conditions(&rows));
        // A type of condition that comes up later needs a column, and that another header.
        let header = !self.headed || (self.conditions.len() > known && !self.get.no_headers);
        self.headed = true;
        let cells = self.layout.cells(rows, &self.conditions, header);
        Ok(self.table.write(io.out, &cells)?)
    }

    fn document(&mut self, news: News, io: &mut Io<'_>) -> Result<(), Error> {
        match &self.get.output {
            Format::Name => writeln!(io.out, "{}", self.kind.line(name_of(&news.object)))?,
            Format::Yaml => {
                if self.documents > 0 {
                    writeln!(io.out, "---")?;
                }
                self.documents += 1;
                yaml::document(io.out, &self.wrapped(news))?;
            }
            // One line an event, for programs; the type comes first, as kubectl has it.
            Format::Json if self.get.output_watch_events => {
                writeln!(io.out, "{{\"type\":\"{}\",\"object\":{}}}", news.event, json::line(&news.object))?;
            }
            Format::JsonPath(template, results) => {
                template.write(io.out, &self.wrapped(news), *results, self.get.allow_missing_template_keys)?;
            }
            format => print::document(io.out, format, &self.wrapped(news))?,
        }
        Ok(())
    }

    /// The object, inside the event when events are asked for.
    fn wrapped(&self, news: News) -> Value {
        if self.get.output_watch_events { json!({"type": news.event, "object": news.object}) } else { news.object }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str, version: &str) -> Value {
        json!({"metadata": {"name": name, "resourceVersion": version}})
    }

    fn told(shown: &mut Shown, event: Event<Value>) -> Vec<(&'static str, String)> {
        shown.take(event).into_iter().map(|news| (news.event, name_of(&news.object).to_owned())).collect()
    }

    #[test]
    fn the_first_list_comes_at_once_and_then_each_change() {
        let mut shown = Shown::default();
        assert_eq!(told(&mut shown, Event::Init), []);
        assert_eq!(told(&mut shown, Event::InitApply(object("a", "1"))), []);
        assert_eq!(told(&mut shown, Event::InitApply(object("b", "2"))), []);
        assert!(!shown.complete);
        assert_eq!(told(&mut shown, Event::InitDone), [(ADDED, "a".to_owned()), (ADDED, "b".to_owned())]);
        assert_eq!(told(&mut shown, Event::Apply(object("a", "3"))), [(MODIFIED, "a".to_owned())]);
        assert_eq!(told(&mut shown, Event::Apply(object("c", "4"))), [(ADDED, "c".to_owned())]);
        assert_eq!(told(&mut shown, Event::Delete(object("c", "4"))), [(DELETED, "c".to_owned())]);
    }

    #[test]
    fn a_second_list_tells_only_what_changed_while_nobody_watched() {
        let mut shown = Shown::default();
        for event in [Event::Init, Event::InitApply(object("a", "1")), Event::InitApply(object("b", "2")), Event::InitDone] {
            shown.take(event);
        }
        assert_eq!(told(&mut shown, Event::Init), []);
        assert_eq!(told(&mut shown, Event::InitApply(object("a", "1"))), []);
        assert_eq!(told(&mut shown, Event::InitApply(object("c", "5"))), [(ADDED, "c".to_owned())]);
        assert_eq!(told(&mut shown, Event::InitDone), [(DELETED, "b".to_owned())]);
        assert_eq!(told(&mut shown, Event::Apply(object("b", "6"))), [(ADDED, "b".to_owned())]);
    }

    /// What two news look like, the second a while after the first.
    async fn seen(line: &[&str]) -> String {
        use clap::Parser;

        #[derive(Parser)]
        struct Line {
            #[command(flatten)]
            get: Get,
        }

        let embedded = crate::store::embedded::Embedded::in_memory(crate::store::embedded::Options::default()).unwrap();
        let clock = crate::clock::Clock::of_runtime("2026-01-01T20:00:00Z".parse().unwrap());
        let store = Store::with_client(embedded.client().await.unwrap(), "embedded".parse().unwrap(), clock);
        let get = Line::parse_from(["get", "ws", "-w"].iter().chain(line)).get;
        let kind = Kind::find("ws").unwrap();
        let mut screen = Screen::new(&get, &kind, &store);
        let object = |available: &str, more: Value| {
            let mut conditions = vec![json!({"type": "Available", "status": available})];
            conditions.extend(more.as_array().cloned().unwrap_or_default());
            json!({"metadata": {"name": "wicap"}, "spec": {"desiredState": "Running"}, "status": {"conditions": conditions}})
        };
        let observed = json!([{"type": "Observed", "status": "True"}]);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut io = Io { out: &mut out, err: &mut err, manners: crate::cli::Manners::default() };
        screen.show(vec![News { event: ADDED, object: object("Unknown", json!([])) }], &mut io).unwrap();
        screen.show(vec![News { event: MODIFIED, object: object("True", observed) }], &mut io).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[tokio::test]
    async fn changes_are_shown_as_kubectl_shows_them() {
        let object = |status: &str, more: &str| {
            format!(
                concat!(
                    r#"{{"metadata":{{"name":"wicap"}},"spec":{{"desiredState":"Running"}},"#,
                    r#""status":{{"conditions":[{{"status":"{}","type":"Available"}}{}]}}}}"#
                ),
                status, more
            )
        };
        let more = r#",{"status":"True","type":"Observed"}"#;
        let rows = "NAME    DESIRED   AVAILABLE   READY   PLANNED   AGE
wicap   Running   Unknown                       
wicap   Running   True                          
";
        let events = "EVENT      NAME    DESIRED   AVAILABLE   READY   PLANNED   AGE
ADDED      wicap   Running   Unknown                       
MODIFIED   wicap   Running   True                          
";
        // A type of condition that comes up later brings another header.
        let conditions = "NAME    DESIRED   AVAILABLE   READY   PLANNED   AGE
wicap   Running   Unknown                       
NAME    DESIRED   AVAILABLE   READY   PLANNED   AGE   OBSERVED
wicap   Running   True                                True
";
        let lines = format!(
            "{{\"type\":\"ADDED\",\"object\":{}}}\n{{\"type\":\"MODIFIED\",\"object\":{}}}\n",
            object("Unknown", ""),
            object("True", more)
        );
        for (line, expected) in [
            (&[][..], rows),
            (&["--output-watch-events"][..], events),
            (&["--conditions"][..], conditions),
            (&["--output-watch-events", "-o", "json"][..], &lines),
            (&["-o", "name"][..], "wicapstack.wicap.dev/wicap\nwicapstack.wicap.dev/wicap\n"),
            (
                &["--output-watch-events", "-o", "jsonpath={.type} {.object.metadata.name};"][..],
                "ADDED wicap;MODIFIED wicap;",
            ),
            (
                &["-o", "custom-columns=N:.metadata.name,C:.status.conditions[0].status"][..],
                "N       C\nwicap   Unknown\nwicap   True\n",
            ),
            (&["--watch-only", "--no-headers"][..], "wicap   Running   True               \n"),
        ] {
            assert_eq!(seen(line).await, expected, "{line:?}");
        }
        let yaml = seen(&["-o", "yaml", "--output-watch-events"]).await;
        assert!(
            yaml.starts_with("object:\n  metadata:\n    name: wicap\n") && yaml.contains("type: ADDED\n---\nobject:\n"),
            "{yaml}"
        );
    }
}
