//! `audit`: who did what, when, and proof that the record of it was not touched.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use futures::StreamExt;
use serde_json::json;

use super::print::table::Table;
use super::{Error, Io};
use crate::api::{Time, registry};
use crate::audit::chain;
use crate::audit::trail::{self, Reader};
use crate::store::Store;
use crate::store::audit::record::Verb as Did;
use crate::store::audit::{Lane, Mark, Proof, Record};
use crate::store::embedded::data_dir::default_path;

/// Arguments of `audit`.
#[derive(Debug, Args)]
pub struct Audit {
    #[command(subcommand)]
    verb: Verb,
    /// Where the records are that have left the store: the data directory of the wicapd that runs the audit controller
    #[arg(long, env = "WICAP_DATA_DIR", value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show records, oldest first
    List(List),
    /// Check that no record was altered, taken out, moved or cut off. Exit code 1: something was
    Verify(Verify),
    /// Write all records as JSON Lines, each lane in its order, as they are stored
    Export(Export),
}

/// Which records.
#[derive(Debug, Args)]
struct Filter {
    /// Only of this lane: intent is what people wrote, control what controllers did
    #[arg(long, value_name = "LANE", value_parser = lane)]
    lane: Option<Lane>,
    /// Only by actors whose name has this in it
    #[arg(long, value_name = "TEXT")]
    actor: Option<String>,
    /// Only these: Create, Update, Delete, UpdateStatus
    #[arg(long, value_name = "VERB", value_parser = did)]
    verb: Option<Did>,
    /// Only of this object, or of this kind
    #[arg(long, value_name = "KIND[/NAME]", value_parser = object)]
    object: Option<(String, Option<String>)>,
    /// Only of the last while
    #[arg(long, value_name = "DURATION", value_parser = super::timeout)]
    since: Option<std::time::Duration>,
}

/// Arguments of `audit list`.
#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    filter: Filter,
    /// The most records to show, the newest of them; 0 for all
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    limit: usize,
    /// Then go on with each that is added
    #[arg(short, long)]
    follow: bool,
    /// How they are printed; with --follow, JSON is one record a line
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: ListOutput,
}

/// Arguments of `audit verify`.
#[derive(Debug, Args)]
struct Verify {
    /// A head that an earlier check named, and that was noted elsewhere: it must still be part of the log. May be repeated
    #[arg(long, value_name = "LANE=SEQ:HASH", value_parser = noted)]
    head: Vec<(Lane, Mark)>,
    /// How the outcome is printed
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: VerifyOutput,
}

/// Arguments of `audit export`.
#[derive(Debug, Args)]
struct Export {
    #[command(flatten)]
    filter: Filter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ListOutput {
    Table,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum VerifyOutput {
    Text,
    Json,
}

fn lane(text: &str) -> Result<Lane, String> {
    let found = Lane::ALL.into_iter().find(|lane| lane.as_str() == text);
    found.ok_or_else(|| "expected intent or control".to_owned())
}

fn did(text: &str) -> Result<Did, String> {
    let found = Did::ALL.into_iter().find(|did| did.to_string().eq_ignore_ascii_case(text));
    found.ok_or_else(|| format!("expected one of {}", Did::ALL.map(|did| did.to_string()).join(", ")))
}

fn object(text: &str) -> Result<(String, Option<String>), String> {
    let (kind, name) = text.split_once('/').map_or((text, None), |(kind, name)| (kind, Some(name.to_owned())));
    let known =
        registry::find(kind).ok_or_else(|| "expected a kind, or a kind and a name, such as actionrun/x".to_owned())?;
    Ok((known.kind.to_owned(), name.filter(|name| !name.is_empty())))
}

fn noted(text: &str) -> Result<(Lane, Mark), String> {
    let parsed = text.split_once('=').and_then(|(of, mark)| {
        let (seq, hash) = mark.split_once(':')?;
        let whole = hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
        Some((lane(of).ok()?, Mark { seq: seq.parse().ok()?, hash: whole.then(|| hash.to_owned())? }))
    });
    parsed.ok_or_else(|| "expected a lane, a number and a hash of 64 digits, such as control=12:9f…".to_owned())
}

impl Audit {
    pub(super) async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        let data_dir = self.data_dir.clone().unwrap_or_else(default_path);
        match &self.verb {
            Verb::List(list) => list.run(store, &data_dir, io).await,
            Verb::Verify(verify) => verify.run(store, &data_dir, io).await,
            Verb::Export(export) => export.run(store, &data_dir, io).await,
        }
    }
}

impl Filter {
    fn lanes(&self) -> Vec<Lane> {
        Lane::ALL.into_iter().filter(|lane| self.lane.is_none_or(|wanted| wanted == *lane)).collect()
    }

    fn matches(&self, record: &Record, now: Time) -> bool {
        let recent = |span: std::time::Duration| crate::api::elapsed(record.time, now) <= span;
        self.actor.as_ref().is_none_or(|part| record.actor.name.contains(part.as_str()))
            && self.verb.is_none_or(|verb| verb == record.verb)
            && self.since.is_none_or(recent)
            && self.object.as_ref().is_none_or(|(kind, name)| {
                *kind == record.object.kind && name.as_ref().is_none_or(|name| *name == record.object.name)
            })
    }
}

/// Takes what is a record and wanted, and remembers where something else was.
struct Gather<'a> {
    filter: &'a Filter,
    now: Time,
    found: Vec<Record>,
    odd: Vec<String>,
}

impl Gather<'_> {
    fn take(&mut self, place: &str, bytes: &[u8]) {
        match Record::decode(bytes) {
            Ok(record) if self.filter.matches(&record, self.now) => self.found.push(record),
            Ok(_) => {}
            Err(reason) => self.odd.push(format!("{place}: {reason}")),
        }
    }
}

impl Reader for Gather<'_> {
    fn record(&mut self, seq: Option<u64>, place: &str, bytes: &[u8]) {
        // A record that is in a segment and still in the store is shown once.
        if seq.is_none_or(|seq| self.found.last().is_none_or(|last| seq > last.seq)) {
            self.take(place, bytes);
        }
    }

    fn unreadable(&mut self, place: &str, reason: &str) {
        self.odd.push(format!("{place}: {reason}"));
    }
}

/// The wanted records, and the revision up to which they were read.
async fn gather(
    filter: &Filter,
    store: &Store,
    data_dir: &std::path::Path,
    io: &mut Io<'_>,
) -> Result<(Vec<Record>, i64), Error> {
    let now = store.clock().now();
    let heads = store.audit().heads().await?;
    let mut all = Vec::new();
    for lane in filter.lanes() {
        let mut gather = Gather { filter, now, found: Vec::new(), odd: Vec::new() };
        trail::read(store, data_dir, lane, heads.revision, &mut gather).await.map_err(failed)?;
        for odd in gather.odd {
            writeln!(io.err, "Warning: not shown: {odd}; see wicapctl audit verify")?;
        }
        all.extend(gather.found);
    }
    Ok((all, heads.revision))
}

fn failed(error: trail::Error) -> Error {
    match error {
        trail::Error::Store(error) => error.into(),
        error @ trail::Error::Directory { .. } => Error::No(format!("--data-dir: {error}")),
    }
}

impl List {
    async fn run(&self, store: &Store, data_dir: &std::path::Path, io: &mut Io<'_>) -> Result<(), Error> {
        let (mut records, revision) = gather(&self.filter, store, data_dir, io).await?;
        records.sort_by_key(|record| (record.time, record.lane, record.seq));
        if self.limit > 0 && records.len() > self.limit {
            records.drain(..records.len() - self.limit);
        }
        let mut table = Table::list();
        match self.output {
            ListOutput::Json if self.follow => {
                for record in &records {
                    line(record, io)?;
                }
            }
            ListOutput::Json => {
                let list = json!({"apiVersion": crate::api::API_VERSION, "kind": "AuditRecordList", "items": records});
                serde_json::to_writer_pretty(&mut *io.out, &list).map_err(std::io::Error::from)?;
                writeln!(io.out)?;
            }
            ListOutput::Table if records.is_empty() && !self.follow => writeln!(io.err, "No records found")?,
            ListOutput::Table => {
                let header = ["TIME", "LANE", "SEQ", "ACTOR", "VERB", "OBJECT", "OUTCOME"].map(str::to_owned).to_vec();
                let rows: Vec<_> = std::iter::once(header).chain(records.iter().map(row)).collect();
                table.write(io.out, &rows)?;
            }
        }
        if !self.follow {
            return Ok(());
        }
        let log = store.audit();
        let lanes: Vec<_> = self.filter.lanes().into_iter().map(|lane| log.follow(lane, revision).boxed()).collect();
        let mut added = futures::stream::select_all(lanes);
        io.out.flush()?;
        while let Some(entry) = added.next().await {
            match Record::decode(&entry.bytes) {
                Ok(record) if self.filter.matches(&record, store.clock().now()) => match self.output {
                    ListOutput::Json => line(&record, io)?,
                    ListOutput::Table => table.write(io.out, &[row(&record)])?,
                },
                Ok(_) => {}
                Err(reason) => writeln!(io.err, "Warning: not shown: {}: {reason}", entry.key)?,
            }
            io.out.flush()?;
        }
        Ok(())
    }
}

fn line(record: &Record, io: &mut Io<'_>) -> Result<(), Error> {
    io.out.write_all(&record.encode())?;
    writeln!(io.out)?;
    Ok(())
}

fn row(record: &Record) -> Vec<String> {
    let actor = match record.actor.proof {
        Proof::Uid(uid) => format!("{} (uid {uid})", record.actor.name),
        Proof::Leader if record.lane == Lane::Control => record.actor.name.clone(),
        Proof::Claimed | Proof::Leader => format!("{} (claimed)", record.actor.name),
    };
    let outcome = match (&record.phase, &record.decision) {
        (Some(phase), Some(decision)) => match &decision.denied_by {
            Some(gate) => format!("{phase}, denied by {gate}"),
            None => phase.clone(),
        },
        (Some(phase), None) => phase.clone(),
        (None, _) => String::new(),
    };
    let object = format!("{}/{}", record.object.kind.to_lowercase(), record.object.name);
    let time = format!("{:.3}", record.time);
    vec![time, record.lane.to_string(), record.seq.to_string(), actor, record.verb.to_string(), object, outcome]
}

impl Verify {
    async fn run(&self, store: &Store, data_dir: &std::path::Path, io: &mut Io<'_>) -> Result<(), Error> {
        let lanes = trail::check(store, data_dir, &self.head).await.map_err(failed)?;
        let findings = chain::findings(&lanes);
        match self.output {
            VerifyOutput::Json => {
                let lanes: Vec<_> = lanes
                    .iter()
                    .map(|lane| json!({"lane": lane.lane(), "records": lane.records(), "head": lane.last()}))
                    .collect();
                let outcome = json!({"whole": findings.is_empty(), "lanes": lanes, "findings": findings});
                serde_json::to_writer_pretty(&mut *io.out, &outcome).map_err(std::io::Error::from)?;
                writeln!(io.out)?;
            }
            VerifyOutput::Text => {
                for lane in &lanes {
                    match lane.last() {
                        Some(last) => writeln!(
                            io.out,
                            "{}: {} records, head {}={}:{}",
                            lane.lane(),
                            lane.records(),
                            lane.lane(),
                            last.seq,
                            last.hash
                        )?,
                        None => writeln!(io.out, "{}: no records", lane.lane())?,
                    }
                }
                for finding in &findings {
                    writeln!(io.out, "{finding}")?;
                }
            }
        }
        if findings.is_empty() {
            return Ok(());
        }
        let place = data_dir.join("audit");
        Err(Error::No(format!("the audit log is not what was written (segments were looked for in {})", place.display())))
    }
}

impl Export {
    async fn run(&self, store: &Store, data_dir: &std::path::Path, io: &mut Io<'_>) -> Result<(), Error> {
        let (records, _) = gather(&self.filter, store, data_dir, io).await?;
        for record in &records {
            line(record, io)?;
        }
        Ok(())
    }
}
