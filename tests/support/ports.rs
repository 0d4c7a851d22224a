//! Ports that tests give to what they start, each to one of them only.
//!
//! A port is chosen long before it is listened on, and nobody listens while a container or a store is down that a test is to
//! bring up again. So that nobody listens on a port says nothing; what counts is a name that one process of the machine can
//! have. It is an abstract unix address, which leaves nothing behind: the kernel takes it back when the process ends, however it
//! does.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// A port that is this process's until it ends, and that nobody listens on now. It is below those that the kernel gives to
/// outgoing connections (from 32768 on by default).
pub fn free_port() -> u16 {
    let port = std::iter::repeat_with(|| rand::random_range(10_000..32_000))
        .find(|port| reserve(*port) && TcpListener::bind(("127.0.0.1", *port)).is_ok());
    port.expect("a random port is free sooner or later")
}

/// Whether the port became this process's by this: not if it is another's, or was this one's before.
pub fn reserve(port: u16) -> bool {
    let name = SocketAddr::from_abstract_name(format!("wicap-test-port-{port}")).expect("the name is short");
    // Forgotten, so that nothing but the end of the process closes it.
    UnixDatagram::bind_addr(&name).map(std::mem::forget).is_ok()
}
