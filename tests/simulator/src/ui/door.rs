//! The listener that lets nobody in while the process hangs. The kernel still takes connections, and nobody answers.

use std::io;
use std::net::SocketAddr;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::net::{TcpListener, TcpStream};

use crate::live::Live;

/// A TCP listener with a fault in it.
#[derive(Debug)]
pub struct Door {
    inner: TcpListener,
    live: Live,
}

impl Door {
    /// A door around a bound listener.
    pub fn new(inner: TcpListener, live: Live) -> Self {
        Self { inner, live }
    }
}

impl Listener for Door {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        self.live.awake().await;
        Listener::accept(&mut self.inner).await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

impl Connected<IncomingStream<'_, Door>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        Self(*stream.remote_addr())
    }
}
