//! `session`: sugar for ControlSessions. Each verb shows the manifest that it applies, and applies it as `apply` would.
//!
//! ```text
//!  start   flags + the stack's ladders ──▶ a new session
//!  end     spec.end: true, for good
//!  extend  shorter: spec.ttl        longer: a successor is created, then the old one is ended
//! ```
//!
//! A ttl can only be shortened, so that no permission outlives what was agreed to when it was given. A successor takes the
//! old one's place at once and does not wait for its end: ending it ends all of it.

mod draft;
mod term;

use crate::api::action::{ActionKind, ActionRun, Tier};
use crate::api::elevation::Elevation;
use crate::api::session::{ControlSession, Mode, SessionPhase};
use crate::api::soak::{SoakPhase, SoakRun};
use crate::api::stack::WicapStack;
use crate::api::stop::{ALL, EmergencyStop};
use crate::api::{Duration, GROUP, Object, Violation};
use crate::cli::dry_run::DryRun;
use crate::cli::kind::{Kind, name_of};
use crate::cli::operator::operator;
use crate::cli::print::{self, format::Format};
use crate::cli::{Error, Io, merge};
use crate::store::{self, ListParams, Store};
use clap::{Args, Subcommand};
use serde_json::Value;

use draft::{Allow, Draft, Rate};
use term::{Asked, Term};

/// How often a write is tried that others got in between of. Each try reads again, so one of two that race always gets
/// through.
const TRIES: usize = 8;

/// Arguments of `session`.
#[derive(Debug, Args)]
pub struct Session {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Open a session: permit actions on a stack, for a time
    Start(Start),
    /// End sessions. It cannot be taken back
    End(End),
    /// Make a session last longer, by a successor that takes its place, or shorter
    Extend(Extend),
}

/// How it is done, and shown.
#[derive(Debug, Args)]
struct Showing {
    /// Write nothing. client: do not look at the store either; server, or no word: have it checked beside what is there
    #[arg(
        long,
        value_enum,
        value_name = "none|client|server",
        num_args = 0..=1,
        require_equals = true,
        default_value = "none",
        default_missing_value = "server",
        hide_possible_values = true
    )]
    dry_run: DryRun,
    /// json, yaml or name: what is applied goes to standard output instead of standard error
    #[arg(short, long, value_name = "FORMAT", value_parser = format)]
    output: Option<Format>,
}

/// Arguments of `session start`.
#[derive(Debug, Args)]
struct Start {
    /// The stack
    #[arg(value_name = "STACK")]
    stack: String,
    /// What is done with what is permitted: Monitor, Shadow, Canary or Assist
    #[arg(long, value_name = "MODE", default_value = "Assist", value_parser = draft::mode)]
    mode: Mode,
    /// How long it lasts from the moment it is Active; at most a week
    #[arg(long, value_name = "DURATION", default_value = "8h", value_parser = positive)]
    ttl: Duration,
    /// Why, in your words
    #[arg(long, value_name = "TEXT", default_value = "opened with wicapctl session start")]
    reason: String,
    /// The highest tier of actions: Safe, Caution or Destructive
    #[arg(long, value_name = "TIER", default_value = "Caution", value_parser = draft::tier)]
    max_tier: Tier,
    /// The actions, or group:safe, group:caution, group:destructive. What the stack's recovery ladders name, when absent
    #[arg(long, value_name = "ACTIONS", value_delimiter = ',')]
    allow: Vec<Allow>,
    /// The most actions in a sliding window, such as 6/1h; unlimited when absent
    #[arg(long, value_name = "N/WINDOW")]
    max_actions: Option<Rate>,
    /// Have a person agree to each action that changes something: wicapctl approve
    #[arg(long)]
    ask: bool,
    /// Its name; the stack's with the time when absent
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    showing: Showing,
}

/// Arguments of `session end`.
#[derive(Debug, Args)]
struct End {
    /// Sessions by name
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    #[command(flatten)]
    showing: Showing,
}

/// Arguments of `session extend`.
#[derive(Debug, Args)]
#[command(
    after_long_help = "A session's ttl can only be shortened. To make it longer, another with the same permissions takes its place, and it is ended."
)]
struct Extend {
    /// The session
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    length: Length,
    /// Why, in your words; that of the session when absent
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    showing: Showing,
}

/// How long it is to last.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Length {
    /// In all, from its start
    #[arg(long, value_name = "DURATION", value_parser = positive)]
    ttl: Option<Duration>,
    /// How much longer; -30m is half an hour less
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = term::by)]
    by: Option<Asked>,
}

fn positive(text: &str) -> Result<Duration, String> {
    let parsed: Duration = text.parse().map_err(|_| "expected a duration such as 30m or 8h".to_owned())?;
    if parsed.to_std().is_zero() { Err("expected a duration over 0s, such as 8h".to_owned()) } else { Ok(parsed) }
}

fn format(text: &str) -> Result<Format, String> {
    match text.parse()? {
        format @ (Format::Json | Format::Yaml | Format::Name | Format::JsonPath(..)) => Ok(format),
        _ => Err("expected one of json, yaml, name, jsonpath={.PATH}".to_owned()),
    }
}

impl Session {
    /// Opens, ends or extends.
    ///
    /// # Errors
    /// [`Error::Refused`] for what breaks a rule; [`Error::No`] for what cannot be extended; those of the store.
    pub(super) async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        match &self.verb {
            Verb::Start(start) => start.run(store, io).await,
            Verb::End(end) => end.run(store, io).await,
            Verb::Extend(extend) => extend.run(store, io).await,
        }
    }
}

impl Start {
    async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        let alone = self.showing.dry_run == DryRun::Client;
        let stack = if alone { None } else { Some(store.api::<WicapStack>().get(&self.stack).await?) };
        let allowed = match (&stack, self.allow.is_empty()) {
            (_, false) => {
                draft::expanded(&self.allow, self.max_tier).map_err(|why| Error::Usage(format!("--allow: {why}")))?
            }
            (Some(stack), true) => draft::ladders(stack, self.max_tier),
            (None, true) => {
                let why = "--allow is missing: --dry-run=client does not look at the stack's ladders";
                return Err(Error::Usage(why.to_owned()));
            }
        };
        let draft = Draft {
            name: self.name.clone().unwrap_or_else(|| draft::name(&self.stack, store.clock().now())),
            stack: self.stack.clone(),
            mode: self.mode,
            ttl: self.ttl,
            max_tier: self.max_tier,
            allowed,
            budget: self.max_actions,
            ask: self.ask,
            operator: operator(),
            reason: self.reason.clone(),
        };
        let manifest = draft.manifest();
        let kind = kind()?;
        decoded(&kind, &manifest)?;
        if !alone {
            self.warn(&draft, store, io).await?;
        }
        self.showing.before(&manifest, io)?;
        let object = decoded(&kind, &merge::annotated(&manifest))?;
        match self.showing.dry_run {
            DryRun::None => drop(kind.create(store, &object).await?),
            DryRun::Server if kind.get(store, &draft.name).await?.is_some() => {
                return Err(store::Error::AlreadyExists { kind: kind.info.plural, name: draft.name }.into());
            }
            DryRun::Client | DryRun::Server => {}
        }
        self.showing.after(&manifest, "created", io)?;
        self.showing.documents(&[manifest], io)?;
        writeln!(io.err, "for {} it permits {}", draft.ttl, list(&draft.allowed))?;
        Ok(())
    }

    /// Says what will keep it from being of use right away.
    async fn warn(&self, draft: &Draft, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        let (sessions, stops) = (store.api::<ControlSession>(), store.api::<EmergencyStop>());
        let everything = ListParams::default();
        let (sessions, stops) = tokio::try_join!(sessions.list(&everything), stops.list(&everything))?;
        let is_open = |s: &&ControlSession| s.spec.stack == draft.stack && s.spec.mode.acts() && is_open(s);
        for open in sessions.items.iter().filter(|_| draft.mode.acts()).filter(is_open) {
            let name = open.name();
            writeln!(
                io.err,
                "Warning: controlsession.{GROUP}/{name} is open for the stack, and there is one at a time: the new one \
                 waits for its end; wicapctl session end {name}"
            )?;
        }
        for stop in stops.items.iter().filter(|s| s.name() == ALL || s.name() == draft.stack) {
            let resume = if stop.name() == ALL { "--all" } else { stop.name() };
            writeln!(
                io.err,
                "Warning: emergencystop.{GROUP}/{} holds, and nothing starts before wicapctl resume {resume}",
                stop.name()
            )?;
        }
        Ok(())
    }
}

impl End {
    async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        let (mut applied, mut errors) = (Vec::new(), Vec::new());
        // Every name is tried, whatever became of those before it.
        for name in &self.names {
            match self.end(name, store, io).await {
                Err(e) if e.is_output() => return Err(e),
                Err(e) => errors.push(e),
                Ok(manifest) => applied.extend(manifest),
            }
        }
        self.showing.documents(&applied, io)?;
        Error::all(errors)
    }

    /// Ends one. Returns what was applied; nothing when it is over.
    async fn end(&self, name: &str, store: &Store, io: &mut Io<'_>) -> Result<Option<Value>, Error> {
        if self.showing.dry_run == DryRun::Client {
            return Err(Error::Usage("--dry-run=client: what a session is like is in the store; say --dry-run".to_owned()));
        }
        let session: ControlSession = store.api().get(name).await?;
        let phase = phase(&session);
        if phase.is_final() || session.spec.end {
            let message = session.status.and_then(|s| s.message).map(|m| format!(": {m}")).unwrap_or_default();
            let shown = if phase.is_final() { format!("{phase:?}{message}") } else { "told to end".to_owned() };
            writeln!(io.err, "controlsession.{GROUP}/{name} is {}", print::table::harmless(&shown))?;
            self.showing.line(name, "unchanged", io)?;
            return Ok(None);
        }
        self.showing.change(name, store, io, |spec| spec["end"] = Value::Bool(true)).await.map(Some)
    }
}

impl Extend {
    async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        if self.showing.dry_run == DryRun::Client {
            return Err(Error::Usage("--dry-run=client: what a session is like is in the store; say --dry-run".to_owned()));
        }
        let whole = self.length.ttl.map(|ttl| Asked::Whole(ttl.to_std()));
        let asked = whole.or(self.length.by).ok_or_else(|| Error::Usage("neither --ttl nor --by is given".to_owned()))?;
        let session: ControlSession = store.api().get(&self.name).await?;
        let term = term::judge(&session, asked, store.clock().now());
        match term.map_err(|why| Error::No(format!("controlsession.{GROUP}/{} {why}", self.name)))? {
            Term::Same => self.showing.line(&self.name, "unchanged", io),
            Term::Shorter(ttl) => {
                let shorten = |spec: &mut Value| spec["ttl"] = Value::String(ttl.to_string());
                let applied = self.showing.change(&self.name, store, io, shorten).await?;
                self.showing.documents(&[applied], io)
            }
            Term::Longer(ttl) => self.succeed(&session, ttl, store, io).await,
        }
    }

    /// Creates the successor, and ends the session. In this order: what fails in between leaves a permission that waits, not
    /// none.
    async fn succeed(&self, session: &ControlSession, ttl: Duration, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        let everything = ListParams::default();
        let in_it = ListParams { fields: Some(format!("spec.session={}", session.name())), ..ListParams::default() };
        let (sessions, soaks, elevations) =
            (store.api::<ControlSession>(), store.api::<SoakRun>(), store.api::<Elevation>());
        let actions = store.api::<ActionRun>();
        let (sessions, soaks, elevations, actions) =
            tokio::try_join!(sessions.list(&everything), soaks.list(&in_it), elevations.list(&in_it), actions.list(&in_it))?;
        let running = |run: &&SoakRun| run.status.as_ref().is_none_or(|s| s.phase != SoakPhase::Completed);
        if let Some(run) = soaks.items.iter().find(running) {
            let (name, run) = (session.name(), run.name());
            return Err(Error::No(format!(
                "controlsession.{GROUP}/{name} cannot be extended: its ttl can only be shortened, and soakrun.{GROUP}/{run} \
                 runs in it and would end with it"
            )));
        }
        let taken: Vec<&str> = sessions.items.iter().map(Object::name).collect();
        let name = term::successor(session.name(), &taken);
        let manifest = draft::successor(session, &name, ttl, &operator(), self.reason.as_deref());
        let kind = kind()?;
        let object = decoded(&kind, &merge::annotated(&manifest))?;
        self.showing.before(&manifest, io)?;
        if self.showing.dry_run == DryRun::None {
            kind.create(store, &object).await?;
        }
        self.showing.after(&manifest, "created", io)?;
        let old = session.name();
        writeln!(io.err, "a ttl can only be shortened: {name} takes the place of {old}, which is ended")?;
        let counted = [session.spec.budget.as_ref().map(|_| "budget"), session.spec.canary.as_ref().map(|_| "stop rules")];
        for counted in counted.into_iter().flatten() {
            writeln!(io.err, "Warning: what its {counted} count begins anew")?;
        }
        for elevation in elevations.items.iter().map(Object::name) {
            writeln!(io.err, "Warning: elevation.{GROUP}/{elevation} is for {old} and does not hold in {name}")?;
        }
        let asked = |run: &&ActionRun| run.status.as_ref().is_none_or(|s| s.phase.is_asked());
        for action in actions.items.iter().filter(asked).map(Object::name) {
            writeln!(io.err, "Warning: actionrun.{GROUP}/{action} was asked for in {old}, and is denied")?;
        }
        match self.showing.change(old, store, io, |spec| spec["end"] = Value::Bool(true)).await {
            Ok(ended) => self.showing.documents(&[manifest, ended], io),
            Err(e) => {
                writeln!(io.err, "Warning: {name} waits for the end of {old}; wicapctl session end {old}")?;
                Err(e)
            }
        }
    }
}

impl Showing {
    /// Shows what is going to be applied, where standard output is for something else.
    fn before(&self, manifest: &Value, io: &mut Io<'_>) -> Result<(), Error> {
        if self.output.is_none() { Ok(print::json::pretty(io.err, manifest)?) } else { Ok(()) }
    }

    /// Says what was done.
    fn after(&self, manifest: &Value, word: &str, io: &mut Io<'_>) -> Result<(), Error> {
        let word = match self.dry_run {
            DryRun::None => word.to_owned(),
            DryRun::Client => format!("{word} (dry run)"),
            DryRun::Server => format!("{word} (server dry run)"),
        };
        self.line(name_of(manifest), &word, io)
    }

    /// A line about a session, where it is not in the way of documents.
    fn line(&self, name: &str, word: &str, io: &mut Io<'_>) -> Result<(), Error> {
        let line = format!("controlsession.{GROUP}/{name}");
        match &self.output {
            None => writeln!(io.out, "{line} {word}")?,
            Some(Format::Name) => writeln!(io.out, "{line}")?,
            Some(_) => writeln!(io.err, "{line} {word}")?,
        }
        Ok(())
    }

    /// What was applied, as one document, where one is wanted.
    fn documents(&self, applied: &[Value], io: &mut Io<'_>) -> Result<(), Error> {
        match (&self.output, applied) {
            (None | Some(Format::Name), _) | (_, []) => Ok(()),
            (Some(format), [one]) => Ok(print::document(io.out, format, one)?),
            (Some(format), all) => Ok(print::document(io.out, format, &print::list(all.to_vec()))?),
        }
    }

    /// Applies a session's manifest with its spec changed: the one that was applied last, or the spec as it is. Returns the
    /// manifest.
    async fn change(&self, name: &str, store: &Store, io: &mut Io<'_>, change: impl Fn(&mut Value)) -> Result<Value, Error> {
        let kind = kind()?;
        for tried in 0..TRIES {
            let live = kind.get(store, name).await?.ok_or_else(|| kind.not_found(name))?;
            let last = merge::last_applied(&live).filter(|last| last["spec"].is_object());
            let mut wanted = last.clone().unwrap_or_else(|| draft::bare(&live));
            // What others have changed since it was applied stays: a ttl that was shortened must not come back.
            wanted["spec"] = live["spec"].clone();
            change(&mut wanted["spec"]);
            if tried == 0 {
                self.before(&wanted, io)?;
            }
            let new = decoded(&kind, &merge::three_way(last.as_ref(), &wanted, &live))?;
            let violations = kind.check_update(&new, &live);
            if !violations.is_empty() {
                return Err(refused(name, violations));
            }
            let written = match self.dry_run {
                DryRun::None => kind.replace(store, &new).await,
                DryRun::Client | DryRun::Server => Ok(new),
            };
            match written {
                Err(store::Error::Conflict { .. }) => {}
                Err(e) => return Err(e.into()),
                Ok(_) => {
                    self.after(&wanted, "configured", io)?;
                    return Ok(wanted);
                }
            }
        }
        Err(store::Error::Conflict { what: kind.line(name) }.into())
    }
}

fn kind() -> Result<Kind, Error> {
    Kind::find("ControlSession")
}

/// Reads it strictly, with every rule.
fn decoded(kind: &Kind, manifest: &Value) -> Result<Value, Error> {
    kind.decode(manifest).map_err(|violations| refused(name_of(manifest), violations))
}

fn refused(name: &str, violations: Vec<Violation>) -> Error {
    store::Error::Invalid { kind: "controlsessions", name: name.to_owned(), violations }.into()
}

fn phase(session: &ControlSession) -> SessionPhase {
    session.status.as_ref().map(|s| s.phase).unwrap_or_default()
}

/// Whether it may still come into force, or is.
fn is_open(session: &ControlSession) -> bool {
    !session.spec.end && session.metadata.deletion_timestamp.is_none() && !phase(session).is_final()
}

fn list(actions: &[ActionKind]) -> String {
    let names: Vec<&str> = actions.iter().map(|action| action.as_str()).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests;
