//! What a snapshot asks of the engine: everything, once.

use bollard::container::LogOutput;
use futures::StreamExt;
use serde_json::{Value, json};

use super::{Asked, Engine, EngineError, READ_TIMEOUT, check_id};
use crate::api::Time;

/// Most bytes of a log that are read for a snapshot.
const LOG_BYTES: usize = 8 * 1024 * 1024;

/// A line of a log with the time that the engine read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// When.
    pub at: Time,
    /// Whether it was written to the standard error output.
    pub is_error: bool,
    /// The line.
    pub text: String,
}

impl Engine {
    /// All that the engine says of a container, but for the values of its environment: their names tell enough.
    ///
    /// # Errors
    /// Any [`EngineError`] of a call that reads.
    pub async fn inspected(&self, id: &str) -> Result<Value, EngineError> {
        check_id(id)?;
        let client = self.client().await?;
        let found = self.within(READ_TIMEOUT, client.inspect_container(id, None)).await?;
        // Plain data always has a JSON form.
        let mut value = serde_json::to_value(found).unwrap_or_default();
        if let Some(variables) = value.pointer_mut("/Config/Env").and_then(Value::as_array_mut) {
            for variable in variables {
                if let Some((name, _)) = variable.as_str().and_then(|text| text.split_once('=')) {
                    *variable = format!("{name}=…").into();
                }
            }
        }
        Ok(value)
    }

    /// What the engine says of itself and its host.
    ///
    /// # Errors
    /// Any [`EngineError`] of a call that reads.
    pub async fn info(&self) -> Result<Value, EngineError> {
        let client = self.client().await?;
        let version = self.within(READ_TIMEOUT, client.version()).await?;
        let info = self.within(READ_TIMEOUT, client.info()).await?;
        Ok(json!({"version": version, "info": info}))
    }

    /// The last `count` lines of a container's log, oldest first; reading ends at 8 MiB.
    ///
    /// # Errors
    /// Any [`EngineError`] of a call that reads; a logging driver that cannot be read is refused or fails.
    pub async fn last_lines(&self, id: &str, count: usize) -> Result<Vec<Logged>, EngineError> {
        let last = Some(u32::try_from(count).unwrap_or(u32::MAX));
        let mut lines = Vec::new();
        let reading = async {
            let mut stream = std::pin::pin!(self.logs(id, Asked { since: None, last, follow: false }));
            let mut bytes = 0;
            while bytes < LOG_BYTES
                && let Some(output) = stream.next().await
            {
                let output = output?;
                let is_error = matches!(output, LogOutput::StdErr { .. });
                let message = output.into_bytes();
                bytes += message.len();
                lines.extend(String::from_utf8_lossy(&message).lines().map(|line| logged(line, is_error)));
            }
            Ok::<_, EngineError>(())
        };
        tokio::time::timeout(READ_TIMEOUT, reading).await.map_err(|_| EngineError::Timeout { after: READ_TIMEOUT })??;
        Ok(lines)
    }
}

/// A line with the time that the engine puts before it. A part of a line that the engine has cut has one too.
fn logged(line: &str, is_error: bool) -> Logged {
    let (time, text) = line.split_once(' ').unwrap_or((line, ""));
    match time.parse::<Time>() {
        Ok(at) => Logged { at, is_error, text: text.to_owned() },
        Err(_) => Logged { at: Time::UNIX_EPOCH, is_error, text: line.to_owned() },
    }
}
