//! What a snapshot asks of the engine: everything, once.

use std::collections::VecDeque;

use bollard::container::LogOutput;
use futures::StreamExt;
use serde_json::{Value, json};

use super::{Asked, Engine, EngineError, READ_TIMEOUT, check_id};
use crate::api::Time;

/// Most bytes of a log that are kept for a snapshot: what a pack takes of one, less what stands before each line there.
const LOG_BYTES: usize = 896 * 1024;

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

/// The end of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastLines {
    /// The lines, oldest first.
    pub lines: VecDeque<Logged>,
    /// How many of those that were asked for are not among them, because they are too many bytes.
    pub lost: usize,
    bytes: usize,
}

impl LastLines {
    fn push(&mut self, line: Logged) {
        self.bytes += line.text.len();
        self.lines.push_back(line);
        while self.bytes > LOG_BYTES
            && let Some(oldest) = self.lines.pop_front()
        {
            self.bytes -= oldest.text.len();
            self.lost += 1;
        }
    }
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

    /// The last `count` lines of a container's log, and of them the last 896 KiB.
    ///
    /// # Errors
    /// Any [`EngineError`] of a call that reads; a logging driver that cannot be read is refused or fails.
    pub async fn last_lines(&self, id: &str, count: usize) -> Result<LastLines, EngineError> {
        let last = Some(u32::try_from(count).unwrap_or(u32::MAX));
        let mut kept = LastLines::default();
        let reading = async {
            let mut stream = std::pin::pin!(self.logs(id, Asked { since: None, last, follow: false }));
            while let Some(output) = stream.next().await {
                let output = output?;
                let is_error = matches!(output, LogOutput::StdErr { .. });
                String::from_utf8_lossy(&output.into_bytes()).lines().for_each(|line| kept.push(logged(line, is_error)));
            }
            Ok::<_, EngineError>(())
        };
        tokio::time::timeout(READ_TIMEOUT, reading).await.map_err(|_| EngineError::Timeout { after: READ_TIMEOUT })??;
        Ok(kept)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_log_that_is_too_long_the_newest_lines_are_kept() {
        let mut kept = LastLines::default();
        for n in 0..200 {
            kept.push(logged(&format!("2026-02-10T10:00:00Z {n} {}", "x".repeat(16 * 1024)), false));
        }
        let first = kept.lines.front().and_then(|line| line.text.split(' ').next()).and_then(|n| n.parse().ok());
        assert_eq!(first, Some(kept.lost));
        assert!(kept.lines.back().is_some_and(|line| line.text.starts_with("199 ")));
        assert!((40..60).contains(&kept.lines.len()), "{}", kept.lines.len());
    }
}
