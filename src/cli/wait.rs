//! `wait`: until a condition holds, a value is there, or an object exists or is gone. On the watch; nothing is polled.
//!
//! # Layout
//! - [`goal`]: what is waited for
//! - [`judge`]: whether it is reached, or cannot be any more; pure
//! - [`seen`]: what is said when it did not come in time; pure
//! - [`waiting`]: many objects on one watch a kind

pub mod goal;
pub mod judge;
pub mod seen;
pub mod waiting;

use std::time::Duration;

use clap::Args;
use tokio::time::{Instant, timeout_at};

use super::kind::Kind;
use super::selection::Selection;
use super::{Error, Io, timeout};
use crate::store::Store;
use goal::{Goal, What};
use judge::Outcome;
use waiting::{Awaited, Waiting};

/// What kubectl waits when a timeout is negative, or for a deletion without one: a week.
pub const FOREVER: Duration = Duration::from_secs(7 * 24 * 3600);

/// Arguments of `wait`.
#[derive(Debug, Args)]
pub struct Wait {
    /// KIND NAME…, KIND/NAME…, or KIND[,KIND…] with --all or a selector
    #[arg(value_name = "KIND", conflicts_with = "filename")]
    target: Vec<String>,
    #[command(flatten)]
    selection: Selection,
    /// condition=TYPE[=VALUE], delete, create or jsonpath={.PATH}[=VALUE]; of several, whichever comes first
    #[arg(long = "for", value_name = "WHAT", required = true)]
    goals: Vec<Goal>,
    /// How long, such as 30s; 0s looks once, less than that is a week
    #[arg(long, default_value = "30s", value_parser = timeout)]
    timeout: Duration,
}

impl Wait {
    /// Waits for all of the objects. As soon as one of them cannot come to any goal any more, the others are not waited for.
    pub(super) async fn run(&self, store: &Store, io: &mut Io<'_>) -> Result<(), Error> {
        let end = Instant::now() + self.timeout.min(FOREVER);
        let found = self.selection.find(&self.target, store).await?;
        if found.is_empty() && !self.waits_for(&What::Gone { uid: None }) {
            return Err(Error::No("no matching resources found".to_owned()));
        }
        let (mut errors, mut pending) = (Vec::new(), Vec::new());
        for (kind, name) in found {
            let mut awaited = Awaited::new(kind, name, self.goals.clone());
            // The first look has the store's own time limits: with a timeout of 0s it is the only one.
            let object = awaited.kind.get(store, &awaited.name).await?;
            match awaited.look(object.as_ref(), store.clock().now()) {
                Outcome::Met(goal) => self.say_met(&awaited, goal, object.is_some(), io)?,
                Outcome::Never(_) if object.is_none() => errors.push(awaited.kind.not_there(store, &awaited.name).await),
                Outcome::Never(why) => errors.push(self.never(&awaited, &why)),
                Outcome::Open => pending.push(awaited),
            }
        }
        if self.timeout.is_zero() {
            let now = store.clock().now();
            errors.extend(pending.iter().map(|awaited| not_met(awaited, now)));
        } else if errors.is_empty() && !pending.is_empty() {
            self.wait(pending, end, store, io, &mut errors).await?;
        }
        Error::all(errors)
    }

    async fn wait(
        &self,
        pending: Vec<Awaited>,
        end: Instant,
        store: &Store,
        io: &mut Io<'_>,
        errors: &mut Vec<Error>,
    ) -> Result<(), Error> {
        let mut waiting = Waiting::begin(store, pending)?;
        loop {
            match timeout_at(end, waiting.next()).await {
                Ok(None) => return Ok(()),
                Ok(Some((awaited, Outcome::Met(goal)))) => self.say_met(&awaited, goal, true, io)?,
                Ok(Some((awaited, Outcome::Never(why)))) => {
                    errors.push(self.never(&awaited, &why));
                    return Ok(());
                }
                Ok(Some((_, Outcome::Open))) => {}
                Err(_) => {
                    let now = store.clock().now();
                    errors.extend(waiting.pending().map(|awaited| timed_out(awaited, now)));
                    return Ok(());
                }
            }
        }
    }

    fn waits_for(&self, what: &What) -> bool {
        self.goals.iter().any(|goal| goal.what == *what)
    }

    /// kubectl's line, and where it could be one of several goals, which.
    fn say_met(&self, awaited: &Awaited, goal: usize, was_there: bool, io: &mut Io<'_>) -> Result<(), Error> {
        let line = awaited.kind.line(&awaited.name);
        match self.goals.as_slice() {
            // As kubectl: of what was never there, nothing is said.
            [_] if !was_there => {}
            [_] => writeln!(io.out, "{line} condition met")?,
            several => writeln!(io.out, "{line} condition met ({})", several[goal])?,
        }
        io.out.flush()?;
        Ok(())
    }

    fn never(&self, awaited: &Awaited, why: &str) -> Error {
        let goals: Vec<String> = self.goals.iter().map(ToString::to_string).collect();
        let name = place(&awaited.kind, &awaited.name);
        Error::No(format!("{name} can no longer come to {}: {why}", goals.join(" or ")))
    }
}

/// `wicapstacks/wicap`: how kubectl names what it waited for.
fn place(kind: &Kind, name: &str) -> String {
    format!("{}/{name}", kind.info.plural)
}

/// kubectl's words when there was one look, and what was seen.
fn not_met(awaited: &Awaited, now: crate::api::Time) -> Error {
    let name = place(&awaited.kind, &awaited.name);
    Error::No(format!("condition not met for {name}")).with_hint(awaited.seen.lines(now))
}

/// kubectl's words for a timeout, and what was seen last.
pub(super) fn timed_out(awaited: &Awaited, now: crate::api::Time) -> Error {
    let name = place(&awaited.kind, &awaited.name);
    Error::No(format!("timed out waiting for the condition on {name}")).with_hint(awaited.seen.lines(now))
}
