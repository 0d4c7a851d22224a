//! How connections are made: by the kernel, or as a simulation has it.

use std::fmt;
use std::io;
use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::io::DuplexStream;
use tokio::net::TcpStream;
use tokio_util::either::Either;

/// A connection, of either sort.
pub type Connection = Either<TcpStream, DuplexStream>;

/// What a simulation does when a host and a port are dialled.
pub type Dial = dyn Fn(&str, u16) -> BoxFuture<'static, io::Result<DuplexStream>> + Send + Sync;

/// Makes the connections of probes and checks. Cheap to clone.
#[derive(Clone, Default)]
pub struct Dialer(Option<Arc<Dial>>);

impl Dialer {
    /// TCP, as the kernel has it.
    #[must_use]
    pub fn kernel() -> Self {
        Self(None)
    }

    /// Whatever that function connects to.
    #[must_use]
    pub fn simulated(dial: Arc<Dial>) -> Self {
        Self(Some(dial))
    }

    /// Connects.
    ///
    /// # Errors
    /// Why there is no connection. It has no time limit of its own.
    pub async fn connect(&self, host: &str, port: u16) -> io::Result<Connection> {
        match &self.0 {
            None => TcpStream::connect((host, port)).await.map(Either::Left),
            Some(dial) => dial(host, port).await.map(Either::Right),
        }
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Dialer(simulated)" } else { "Dialer(kernel)" })
    }
}
