//! `soak start`: a run and the session that it needs, both or neither.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::super::manifest;
use super::super::operator::operator;
use super::super::{Error, Io};
use crate::api::session::{ControlSession, MAX_TTL, SessionPhase};
use crate::api::soak::SoakRun;
use crate::api::stack::WicapStack;
use crate::api::validate::quoted;
use crate::api::{Duration, GROUP, Object};
use crate::soak::permit;
use crate::store::{ListParams, Store};

/// Arguments of `soak start`.
#[derive(Debug, Args)]
pub(super) struct Start {
    /// File with one SoakRun that names no session, or - for standard input, in JSON or YAML
    #[arg(short, long = "filename", value_name = "FILE|-")]
    filename: PathBuf,
    /// Why, for whoever reads the session later; that it is for the run when absent
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

impl Start {
    pub(super) async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        let run = self.read()?;
        let stacks = store.api::<WicapStack>();
        let stack = stacks.get(&run.spec.stack).await?;
        let reason = self.reason.clone().unwrap_or_else(|| format!("for the soak run {}", run.name()));
        let session = permit::session(&run, &stack, &operator(), &reason);
        if session.spec.ttl.to_std() > MAX_TTL {
            return Err(Error::Refused(vec![format!(
                "SoakRun {}: spec.duration: found \"{}\", expected a run that is over within \"{}\": no session lasts longer; \
                 open one with wicapctl apply, and renew it",
                quoted(run.name()),
                run.spec.duration,
                Duration::from(MAX_TTL),
            )]));
        }
        self.refuse_a_second(&stack, store).await?;
        store.transaction().create(&session)?.create(&run)?.commit().await?;
        let actions: Vec<&str> = session.spec.allowed_actions.iter().map(|action| action.as_str()).collect();
        let may = if actions.is_empty() { "nothing".to_owned() } else { actions.join(", ") };
        let (name, ttl) = (session.name(), session.spec.ttl);
        writeln!(io.out, "controlsession.{GROUP}/{name} created: for {ttl} it permits {may}")?;
        writeln!(io.out, "soakrun.{GROUP}/{} created", run.name())?;
        Ok(())
    }

    /// The run, with the session that it is going to have.
    fn read(&self) -> Result<SoakRun, Error> {
        let manifests = manifest::read(std::slice::from_ref(&self.filename), false).finish()?;
        let refused = |why: String| Error::Refused(vec![why]);
        let [manifest] = &manifests[..] else {
            let found = manifests.len();
            return Err(refused(format!("{}: found {found} objects, expected one SoakRun", self.filename.display())));
        };
        if manifest.kind.info.kind != "SoakRun" {
            return Err(refused(format!("{}: found a {}, expected a SoakRun", manifest.origin, manifest.kind.info.kind)));
        }
        let mut document = manifest.document.clone();
        if let Some(named) = document["spec"]["session"].as_str() {
            let expected =
                "expected none: one is opened for the run (wicapctl apply starts a run in a session that is there)";
            return Err(refused(format!("{}: spec.session: found {}, {expected}", manifest.place(), quoted(named))));
        }
        if document["spec"].is_object() {
            document["spec"]["session"] = json!(manifest.name);
        }
        let decoded = manifest.kind.decode(&document).map_err(|violations| Error::Refused(manifest.mistakes(violations)))?;
        let wrong = manifest.mistakes(manifest.wrong_tags());
        if !wrong.is_empty() {
            return Err(Error::Refused(wrong));
        }
        serde_json::from_value(decoded).map_err(|e| refused(format!("{}: {e}", manifest.place())))
    }

    /// A stack has one session at a time in which something is done: the second would be rejected, and the run fail after a minute.
    async fn refuse_a_second(&self, stack: &WicapStack, store: &Store) -> Result<(), Error> {
        let sessions = store.api::<ControlSession>().list(&ListParams::default()).await?;
        let is_open = |s: &&ControlSession| {
            s.spec.stack == stack.name()
                && s.spec.mode.acts()
                && !s.spec.end
                && s.status.as_ref().is_none_or(|s| matches!(s.phase, SessionPhase::Pending | SessionPhase::Active))
        };
        match sessions.items.iter().find(is_open) {
            None => Ok(()),
            Some(open) => Err(Error::No(format!(
                "controlsession.{GROUP}/{} is open for the stack {}: end it, or let the run name it in spec.session",
                open.name(),
                stack.name()
            ))),
        }
    }
}
