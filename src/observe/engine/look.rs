//! What probes and drift ask of the engine: processes, log lines, images.

use bollard::container::LogOutput;
use bollard::query_parameters::{LogsOptionsBuilder, TopOptionsBuilder};
use futures::StreamExt;

use super::{Engine, EngineError, READ_TIMEOUT, check_id};
use crate::api::Time;

/// Most lines of a log that are read for one attempt: the last ones.
pub const LOG_LINES: usize = 500;

/// Most bytes of a log that are read for one attempt. 500 ordinary lines have a tenth of it.
pub const LOG_BYTES: usize = 1024 * 1024;

/// What `ps` is asked for: the engine needs the pid, and the command line comes last, so that blanks in it stay.
const PS: &str = "-eo pid,args";

impl Engine {
    /// The command lines of a container's processes, without those that have ended and were not reaped.
    ///
    /// # Errors
    /// Any [`EngineError`] of a call that reads; a container that does not run is refused.
    pub async fn processes(&self, id: &str) -> Result<Vec<String>, EngineError> {
        check_id(id)?;
        let client = self.client().await?;
        let options = TopOptionsBuilder::default().ps_args(PS).build();
        let found = self.within(READ_TIMEOUT, client.top_processes(id, Some(options))).await?;
        let lines = found.processes.unwrap_or_default().into_iter().filter_map(|mut row| row.pop());
        Ok(lines.filter(|line| !line.ends_with("<defunct>")).collect())
    }

    /// The last lines of a container's log that were written at `from` or later, oldest first: at most [`LOG_LINES`] of them, and
    /// reading ends at [`LOG_BYTES`].
    ///
    /// # Errors
    /// Any [`EngineError`] of a call that reads; a logging driver that cannot be read is refused or fails.
    pub async fn log(&self, id: &str, from: Time) -> Result<Vec<String>, EngineError> {
        check_id(id)?;
        let client = self.client().await?;
        let options = LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .timestamps(true)
            // Whole seconds, so that the lines' own times decide about the first one.
            .since(i32::try_from(from.as_second()).unwrap_or(0))
            .tail(&LOG_LINES.to_string())
            .build();
        let mut lines = Vec::new();
        let reading = async {
            let mut stream = std::pin::pin!(client.logs(id, Some(options)));
            let mut bytes = 0;
            while bytes < LOG_BYTES
                && let Some(output) = stream.next().await
            {
                let message = output.map(LogOutput::into_bytes)?;
                bytes += message.len();
                lines.extend(String::from_utf8_lossy(&message).lines().filter_map(|line| since(line, from)));
            }
            Ok(())
        };
        self.within(READ_TIMEOUT, reading).await?;
        Ok(lines)
    }

    /// The id of the image that a name means now; none when it means none here.
    ///
    /// # Errors
    /// Any [`EngineError`] of a call that reads.
    pub async fn image_id(&self, name: &str) -> Result<Option<String>, EngineError> {
        // It becomes part of a URL's path, and the engine takes slashes there.
        let fit = |b: u8| b.is_ascii_alphanumeric() || b"._-/:@".contains(&b);
        if name.is_empty()
            || name.len() > 512
            || !name.bytes().all(fit)
            || name.split('/').any(|part| part.is_empty() || part == "..")
        {
            return Ok(None);
        }
        let client = self.client().await?;
        match self.within(READ_TIMEOUT, client.inspect_image(name)).await {
            Ok(image) => Ok(image.id),
            Err(EngineError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A line without the time that the engine puts before it; none when that is earlier.
fn since(line: &str, from: Time) -> Option<String> {
    let (time, text) = line.split_once(' ').unwrap_or((line, ""));
    match time.parse::<Time>() {
        Ok(time) if time < from => None,
        Ok(_) => Some(text.to_owned()),
        // A part of a line that the engine has cut.
        Err(_) => Some(line.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lose_their_time_and_those_from_before_are_left_out() {
        let from = "2026-01-02T03:04:05.5Z".parse().unwrap();
        for (line, expected) in [
            ("2026-01-02T03:04:05.400000000Z old", None),
            ("2026-01-02T03:04:05.500000000Z new  line", Some("new  line")),
            ("2026-01-02T03:04:06.000000000Z ", Some("")),
            ("2026-01-02T03:04:06.000000000Z", Some("")),
            ("the rest of a line", Some("the rest of a line")),
        ] {
            assert_eq!(since(line, from).as_deref(), expected, "{line}");
        }
    }

    #[tokio::test]
    async fn a_name_that_is_none_of_an_image_is_not_asked_for() {
        // There is no engine: whatever is asked fails.
        let engine = Engine::new("unix:///nonexistent/docker.sock").unwrap();
        for bad in ["", "a b", "../containers", "a/../b", "a//b", "a?x=1", "a#b", &"a".repeat(513)] {
            assert!(matches!(engine.image_id(bad).await, Ok(None)), "{bad}");
        }
        assert!(engine.image_id("registry:5000/wicap/ui:1@sha256:00").await.is_err());
    }
}
