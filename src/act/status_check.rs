//! The action that changes nothing: a fresh look, in words.

use super::{ActError, Deed, Outcome, facts};
use crate::api::stack::WicapStackSpec;
use crate::observe::engine::Engine;

/// The call, for the record. The project is asked for by its label.
pub(super) fn command(project: &str) -> Vec<String> {
    vec!["GET".to_owned(), format!("/containers/json?project={project}")]
}

/// Looks, and says `service: State` of each.
///
/// # Errors
/// Why the engine could not be asked.
pub(super) async fn execute(engine: &Engine, stack: &WicapStackSpec, deed: Deed<'_>) -> Result<Outcome, ActError> {
    let found = facts::now(engine, stack, deed, &[], &|_| None).await?;
    let lines: Vec<_> = found.iter().map(|fact| format!("{}: {:?}", fact.service, fact.state)).collect();
    Ok(Outcome { exit_code: None, output: lines.join("\n") })
}
