//! The two stores that a history is run against.

use etcd_client::Client;

use crate::support::server::Server;

/// What is compared with a real etcd.
const UNDER_TEST: Kind = Kind::Embedded;

/// The stores that a [`Peer`] can be; `WICAP_DIFF_PEER` (`etcd` or `embedded`) names another than [`UNDER_TEST`].
#[derive(Clone, Copy)]
enum Kind {
    Etcd,
    Embedded,
}

/// A store of one history's own.
pub struct Peer(Server);

impl Peer {
    /// A real etcd, empty.
    pub async fn etcd() -> Self {
        Self(Server::etcd().await)
    }

    /// The store that is compared with etcd.
    pub async fn under_test() -> Self {
        let kind = match std::env::var("WICAP_DIFF_PEER").as_deref() {
            Ok("etcd") => Kind::Etcd,
            Ok("embedded") => Kind::Embedded,
            Ok(other) => panic!("WICAP_DIFF_PEER: found '{other}', expected etcd or embedded"),
            Err(_) => UNDER_TEST,
        };
        match kind {
            Kind::Etcd => Self::etcd().await,
            Kind::Embedded => Self(Server::embedded().await),
        }
    }

    /// SIGKILL, and a start on the same data: returns once it answers.
    pub async fn restart(&mut self) {
        self.0.stop();
        self.0.resume().await;
    }

    /// A connection of its own.
    pub async fn client(&self) -> Client {
        self.0.client().await
    }
}
