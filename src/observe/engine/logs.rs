//! The log of a container while it is written, and whether the container runs.

use std::pin::pin;

use bollard::container::LogOutput;
use bollard::models::ContainerStateStatusEnum as Status;
use bollard::query_parameters::{LogsOptions, LogsOptionsBuilder};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use super::{Engine, EngineError, READ_TIMEOUT, check_id, translate};

/// What of a log is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Nothing from before this second. The engine compares each message's stamp; it does not look one up.
    pub since: Option<Timestamp>,
    /// Only so many of the last messages. A line over 16 KiB is several.
    pub last: Option<u32>,
    /// Whether to go on with what is printed from now on, until the container stops. The engine may end that without its
    /// last lines.
    pub follow: bool,
}

/// Whether a container runs, and which time it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Whether it has a process. One that waits to be started again by its restart policy has none.
    pub running: bool,
    /// When it last started, in the engine's words: another start has another.
    pub started: Option<String>,
    /// When it last ended, likewise.
    pub finished: Option<String>,
}

impl Engine {
    /// What a container printed, each message with its stamp before it, and what it prints if that is followed. The
    /// connection has no time limit.
    ///
    /// A message is a line with its line break, or a part of 16 KiB of a longer one; all parts of a line have the same
    /// stamp. Of a container with a terminal it is one stream without messages, cut anywhere. The stream ends after its
    /// first error.
    pub fn logs(&self, id: &str, asked: Asked) -> impl Stream<Item = Result<LogOutput, EngineError>> + Send + use<> {
        let (engine, id) = (self.clone(), id.to_owned());
        let connected = async move {
            check_id(&id)?;
            let client = engine.client().await?;
            let url = engine.url().to_owned();
            Ok(client.logs(&id, Some(options(asked))).map_err(move |e| translate(&url, e)))
        };
        stream::once(connected).try_flatten().scan(false, |over, item| {
            let next = (!*over).then_some(());
            *over = item.is_err();
            futures::future::ready(next.map(|()| item))
        })
    }

    /// The last message of a container's log; none when it has none.
    ///
    /// # Errors
    /// Any [`EngineError`] of a call that reads.
    pub async fn last_message(&self, id: &str) -> Result<Option<LogOutput>, EngineError> {
        check_id(id)?;
        let client = self.client().await?;
        let asked = Asked { since: None, last: Some(1), follow: false };
        let reading = async { pin!(client.logs(id, Some(options(asked)))).next().await.transpose() };
        self.within(READ_TIMEOUT, reading).await
    }

    /// Whether a container runs; none when there is no such container.
    ///
    /// # Errors
    /// Any [`EngineError`] of a call that reads.
    pub async fn run_of(&self, id: &str) -> Result<Option<Run>, EngineError> {
        check_id(id)?;
        let client = self.client().await?;
        let state = match self.within(READ_TIMEOUT, client.inspect_container(id, None)).await {
            Ok(found) => found.state.unwrap_or_default(),
            Err(EngineError::Refused { status: 404, .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let running = matches!(state.status, Some(Status::RUNNING | Status::PAUSED | Status::STOPPING));
        Ok(Some(Run { running, started: state.started_at, finished: state.finished_at }))
    }
}

fn options(asked: Asked) -> LogsOptions {
    let last = asked.last.map_or_else(|| "all".to_owned(), |n| n.to_string());
    // The field ends in 2038; from then on more is read than is needed.
    let since = asked.since.map_or(0, |at| i32::try_from(at.as_second().max(0)).unwrap_or(i32::MAX));
    LogsOptionsBuilder::default()
        .follow(asked.follow)
        .stdout(true)
        .stderr(true)
        .timestamps(true)
        .since(since)
        .tail(&last)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_becomes_the_second_that_it_is_in() {
        let since = |text: &str| options(Asked { since: Some(text.parse().unwrap()), last: None, follow: true }).since;
        assert_eq!(since("1970-01-01T00:01:00.999999999Z"), 60);
        assert_eq!(since("1960-01-01T00:00:00Z"), 0);
        assert_eq!(since("2040-01-01T00:00:00Z"), i32::MAX);
    }

    #[test]
    fn what_is_not_limited_is_asked_for_whole() {
        let all = options(Asked { since: None, last: None, follow: true });
        assert_eq!((all.since, all.tail.as_str(), all.follow), (0, "all", true));
        let last = options(Asked { since: None, last: Some(7), follow: false });
        assert_eq!((last.tail.as_str(), last.follow, last.timestamps), ("7", false, true));
    }

    #[tokio::test]
    async fn an_engine_that_is_not_there_is_an_error_and_the_end() {
        let engine = Engine::new("unix:///nonexistent/docker.sock").unwrap();
        let told: Vec<_> = engine.logs("abc", Asked { since: None, last: None, follow: true }).collect().await;
        assert!(matches!(&told[..], [Err(EngineError::Unreachable { .. })]), "{told:?}");
        let told: Vec<_> = engine.logs("../images", Asked { since: None, last: None, follow: true }).collect().await;
        assert!(matches!(&told[..], [Err(EngineError::Id { .. })]), "{told:?}");
    }
}
