//! `approve` and `deny`: a person's answer to an action that waits for one. An answer is an Approval object of the action's name.

use std::time::Duration;

use clap::Args;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;

use super::operator::operator;
use super::{Error, Io};
use crate::api::action::{ActionPhase, ActionRun};
use crate::api::approval::{Approval, ApprovalSpec, ApprovalVerdict};
use crate::api::{API_VERSION, GROUP, after};
use crate::store::{self, Store};

/// Arguments of `approve`.
#[derive(Debug, Args)]
pub struct Approve {
    #[command(flatten)]
    answer: Answer,
    /// How long the action may be begun on the strength of it
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = positive)]
    valid_for: Duration,
}

/// Arguments of `deny`.
#[derive(Debug, Args)]
pub struct Deny {
    #[command(flatten)]
    answer: Answer,
}

#[derive(Debug, Args)]
struct Answer {
    /// ActionRuns by name
    #[arg(value_name = "ACTION", required = true)]
    actions: Vec<String>,
    /// Why, in your words
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

impl Approve {
    pub(super) async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        self.answer.give(ApprovalVerdict::Approve, self.valid_for, store, io).await
    }
}

impl Deny {
    pub(super) async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        self.answer.give(ApprovalVerdict::Deny, Duration::ZERO, store, io).await
    }
}

impl Answer {
    async fn give(
        &self,
        verdict: ApprovalVerdict,
        valid_for: Duration,
        store: &Store,
        io: &mut Io<'_>,
    ) -> Result<(), Error> {
        let mut errors = Vec::new();
        // Every name is tried, whatever became of those before it.
        for name in &self.actions {
            match self.answer(name, verdict, valid_for, store, io).await {
                Err(e) if e.is_output() => return Err(e),
                Err(e) => errors.push(e),
                Ok(()) => {}
            }
        }
        Error::all(errors)
    }

    async fn answer(
        &self,
        name: &str,
        verdict: ApprovalVerdict,
        valid_for: Duration,
        store: &Store,
        io: &mut Io<'_>,
    ) -> Result<(), Error> {
        let run = store.api::<ActionRun>().get(name).await?;
        let status = run.status.unwrap_or_default();
        let digest = match (status.phase, status.digest) {
            (ActionPhase::AwaitingApproval, Some(digest)) => digest,
            (phase, _) => {
                return Err(Error::Refused(vec![format!(
                    "error: actionrun.{GROUP}/{name} waits for no answer: found status.phase {phase:?}, expected \
                     AwaitingApproval"
                )]));
            }
        };
        let expires = after(store.clock().now(), valid_for);
        let spec = ApprovalSpec { verdict, digest, by: operator(), reason: self.reason.clone(), expires };
        let answers = store.api::<Approval>();
        let word = match verdict {
            ApprovalVerdict::Approve => "approved",
            ApprovalVerdict::Deny => "denied",
        };
        let mut answer = Approval::new(name, spec);
        // It goes with the action.
        answer.metadata.owner_references = Some(vec![OwnerReference {
            api_version: API_VERSION.to_owned(),
            kind: ActionRun::kind(&()).into_owned(),
            name: name.to_owned(),
            uid: run.metadata.uid.unwrap_or_default(),
            controller: None,
            block_owner_deletion: None,
        }]);
        match answers.create(&answer).await {
            Ok(_) => {}
            Err(store::Error::AlreadyExists { .. }) => {
                let old = answers.get(name).await?.spec;
                return Err(Error::Refused(vec![format!(
                    "error: actionrun.{GROUP}/{name} was answered already: {:?}, by {}",
                    old.verdict, old.by
                )]));
            }
            Err(e) => return Err(e.into()),
        }
        writeln!(io.out, "actionrun.{GROUP}/{name} {word}")?;
        if verdict == ApprovalVerdict::Approve {
            writeln!(io.err, "{} of stack {}, until {expires:.0}", run.spec.action.on(&run.spec.target), run.spec.stack)?;
        }
        Ok(())
    }
}

fn positive(text: &str) -> Result<Duration, String> {
    let parsed: crate::api::Duration = text.parse().map_err(|_| "expected a duration such as 5m".to_owned())?;
    let parsed = parsed.to_std();
    if parsed.is_zero() { Err("expected a duration over 0s, such as 5m".to_owned()) } else { Ok(parsed) }
}
