//! The event queue in redis. A connection is made when it is needed and thrown away with the first error.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, AsyncTypedCommands, Client, RedisError};

const KEY: &str = "wicap:queue";

/// How long a pop waits for an event. Shorter than [`PATIENCE`], so that waiting is no error.
const POP_WAIT: f64 = 1.0;

/// A redis that answers nothing for this long counts as unreachable.
const PATIENCE: Duration = Duration::from_secs(3);

/// The most events taken at once.
const BATCH: usize = 500;

/// A client of the queue.
#[derive(Debug)]
pub struct Queue {
    client: Client,
    connection: Option<MultiplexedConnection>,
}

impl Queue {
    /// The queue in the redis at this port of the host. Nothing is connected yet.
    pub fn new(port: u16) -> Result<Self, RedisError> {
        Ok(Self { client: Client::open(("127.0.0.1", port))?, connection: None })
    }

    /// Appends events.
    pub async fn push(&mut self, events: &[String]) -> Result<(), RedisError> {
        let mut redis = self.take().await?;
        redis.rpush(KEY, events).await?;
        self.connection = Some(redis);
        Ok(())
    }

    /// Takes the oldest events, up to a batch; none if none came for a second.
    pub async fn pop(&mut self) -> Result<Vec<String>, RedisError> {
        let mut redis = self.take().await?;
        let mut events = Vec::new();
        if let Some([_, first]) = redis.blpop(KEY, POP_WAIT).await? {
            events.push(first);
            let more: Option<Vec<String>> = redis::cmd("LPOP").arg(KEY).arg(BATCH - 1).query_async(&mut redis).await?;
            events.extend(more.into_iter().flatten());
        }
        self.connection = Some(redis);
        Ok(events)
    }

    /// How many events wait.
    pub async fn depth(&mut self) -> Result<usize, RedisError> {
        let mut redis = self.take().await?;
        let depth = redis.llen(KEY).await?;
        self.connection = Some(redis);
        Ok(depth)
    }

    /// The connection, out of its place: an error on the way leaves the place empty.
    async fn take(&mut self) -> Result<MultiplexedConnection, RedisError> {
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(PATIENCE)).set_response_timeout(Some(PATIENCE));
        self.client.get_multiplexed_async_connection_with_config(&config).await
    }
}
