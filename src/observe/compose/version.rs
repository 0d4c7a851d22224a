//! Which Compose there is.

use std::time::Duration;

use tokio::process::Command;

use super::{ComposeCli, ComposeError, INHERITED};
use crate::observe::process;

/// Time limit of `docker compose version`, which takes 0.05 s.
const VERSION_TIMEOUT: Duration = Duration::from_secs(5);

/// Most bytes of its output that are read.
const VERSION_MOST: usize = 4096;

impl ComposeCli {
    /// The version of the compose plugin, such as `2.26.1`.
    ///
    /// # Errors
    /// [`ComposeError::Spawn`] when there is no Docker client; [`ComposeError::Exit`] when it has no such plugin.
    pub async fn version(&self) -> Result<String, ComposeError> {
        let mut command = Command::new("docker");
        command.args(["compose", "version", "--short"]).env_clear();
        command.envs(INHERITED.iter().filter_map(|name| Some((*name, std::env::var_os(name)?))));
        let output = process::run(command, "", VERSION_MOST, VERSION_TIMEOUT).await;
        let output = output.map_err(|error| ComposeError::Spawn { why: error.to_string() })?;
        if output.exit_code == Some(0) {
            return Ok(output.stdout.trim().trim_start_matches('v').to_owned());
        }
        let said = output.stderr.lines().next().unwrap_or_default().chars().take(200).collect();
        Err(ComposeError::Exit { exit_code: output.exit_code, output: said })
    }
}
