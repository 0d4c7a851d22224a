//! up, recreate, down: one run of `docker compose`. Services are always named, so that nothing unlisted is ever touched: without
//! names Compose takes all there are.

use std::time::Duration;

use super::{ActError, Outcome};
use crate::api::action::ActionKind;
use crate::api::stack::Compose;
use crate::observe::compose::ComposeCli;
use crate::observe::directory::HeldDirectory;

/// Dependencies are ours to order, images ours to leave alone: nothing is started, built or pulled that was not asked for.
const UP: [&str; 6] = ["up", "--detach", "--no-deps", "--no-build", "--pull", "never"];

/// The argument vector.
///
/// # Errors
/// [`ActError::Compose`] when the project's values are not fit for it, [`ActError::Target`] when there are no services or the
/// action is none of this file's.
pub(super) fn command(
    cli: &ComposeCli,
    compose: &Compose,
    action: ActionKind,
    services: &[&str],
) -> Result<Vec<String>, ActError> {
    let mut verb = match action {
        // Without --no-recreate, up also replaces a running container whose configuration has drifted.
        ActionKind::ComposeUp => [&UP[..], &["--no-recreate"]].concat(),
        ActionKind::RecreateService => [&UP[..], &["--force-recreate"]].concat(),
        ActionKind::ComposeDown => vec!["down"],
        ActionKind::ComposeDownVolumes => vec!["down", "--volumes"],
        _ => return Err(ActError::Target { action, target: String::new() }),
    };
    if services.is_empty() {
        return Err(ActError::Target { action, target: String::new() });
    }
    verb.extend(services);
    Ok(cli.argv(compose, &verb)?)
}

/// Runs it, and keeps both outputs as one, standard error last: Compose says there what it does and why it fails.
///
/// # Errors
/// Compose's. An exit code other than 0 is an [`Outcome`].
pub(super) async fn execute(
    cli: &ComposeCli,
    compose: &Compose,
    argv: &[String],
    held: &HeldDirectory,
    timeout: Duration,
) -> Result<Outcome, ActError> {
    let output = cli.run(argv, compose, held, timeout).await?;
    Ok(Outcome { exit_code: output.exit_code, output: format!("{}{}", output.stdout, output.stderr) })
}
