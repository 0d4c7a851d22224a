//! `why`: the chain of causes behind an object, from what was recorded: what was seen, what was decided, what was done, what came of it.
//!
//! # Layout
//! - `chain`: links in the order of time, and their lines
//! - `known`: what can be a cause
//! - `action`, `stack`, `incident`, `soak`, `session`: the chain of each kind

mod action;
pub mod chain;
mod incident;
pub mod known;
mod session;
mod soak;
mod stack;
#[cfg(test)]
mod tests;

use crate::cli::print::format::Output;
use clap::Args;

use super::called::Called;
use super::kind::Kind;
use super::print::json;
use super::status::{columns, terminal_width};
use super::target::Target;
use super::{Error, Io};
use crate::api::Object;
use crate::api::action::ActionRun;
use crate::api::incident::Incident;
use crate::api::session::ControlSession;
use crate::api::soak::SoakRun;
use crate::api::stack::WicapStack;
use crate::store::Store;
use chain::Chain;
use known::Known;

/// Arguments of `why`.
#[derive(Debug, Args)]
pub struct Why {
    /// KIND/NAME or KIND NAME: a stack, action, incident, soak or session
    #[arg(value_name = "OBJECT", required = true, num_args = 1..=2)]
    target: Vec<String>,
    /// How it is printed
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
    /// Columns to lay out for, at least 40; the terminal's, or $COLUMNS, or 80 when absent
    #[arg(long, value_name = "COLUMNS", value_parser = columns)]
    width: Option<usize>,
}

impl Why {
    /// Shows it.
    ///
    /// # Errors
    /// Not found when there is no such object; [`Error::Usage`] for a kind of which no causes are recorded; the store's.
    pub(super) async fn run(&self, store: &Store, called: &Called, io: &mut Io<'_>) -> Result<(), Error> {
        let named = Target::named(&self.target)?;
        let [(kind, name)] = named.as_slice() else {
            return Err(Error::Usage(format!("found {} objects, expected one: KIND/NAME or KIND NAME", named.len())));
        };
        let mut chain = chain_of(kind, name, store).await?;
        chain.next = chain.next.map(|next| next.with_flags_of(called));
        match self.output {
            Output::Json => json::pretty(io.out, &serde_json::to_value(&chain).map_err(std::io::Error::other)?)?,
            Output::Text => chain.page(self.width.unwrap_or_else(terminal_width)).write(io.out, io.manners.paint)?,
        }
        Ok(())
    }
}

/// The chain of the object of that kind and name.
async fn chain_of(kind: &Kind, name: &str, store: &Store) -> Result<Chain, Error> {
    let now = || store.clock().now();
    match kind.info.kind {
        "WicapStack" => {
            let stack = get::<WicapStack>(store, name).await?;
            let known = Known::read(store, name, kind.info.kind, name).await?;
            Ok(stack::chain(&stack, &known, now()))
        }
        "ActionRun" => {
            let run = get::<ActionRun>(store, name).await?;
            let known = Known::read(store, &run.spec.stack, kind.info.kind, name).await?;
            Ok(action::chain(&run, &known, now()))
        }
        "Incident" => {
            let found = get::<Incident>(store, name).await?;
            let known = Known::read(store, &found.spec.stack, kind.info.kind, name).await?;
            Ok(incident::chain(&found, &known, now()))
        }
        "SoakRun" => {
            let run = get::<SoakRun>(store, name).await?;
            let known = Known::read(store, &run.spec.stack, kind.info.kind, name).await?;
            Ok(soak::chain(&run, &known, now()))
        }
        "ControlSession" => {
            let found = get::<ControlSession>(store, name).await?;
            let known = Known::read(store, &found.spec.stack, kind.info.kind, name).await?;
            Ok(session::chain(&found, &known, now()))
        }
        other => Err(Error::Usage(format!(
            "no causes are recorded of {other} {name:?}, expected a stack, action, incident, soak or session; see wicapctl audit list \
             --object {}/{name}",
            kind.singular()
        ))),
    }
}

async fn get<K: Object>(store: &Store, name: &str) -> Result<K, Error> {
    Ok(store.api::<K>().get(name).await?)
}
