//! The gRPC services of etcd's API, over one [`Handle`].

pub(crate) mod cluster;
pub(crate) mod kv;
pub(crate) mod lease;
pub(crate) mod maintenance;
mod unsupported;
pub(crate) mod watch;

use std::time::Duration;

use etcd_client::proto::{PbClusterServer, PbKvServer, PbLeaseServer, PbMaintenanceServer, PbResponseHeader, PbWatchServer};
use hyper::http::Request;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::Router;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Layer, ServiceExt};

use super::commands::Handle;
use super::shared::Shared;
use super::{Local, Options};
pub(crate) use unsupported::NameUnsupported;

/// The term that headers bear: there is one member, elected once and for all.
const TERM: u64 = 1;

/// What a message may be at most: a request of the size that is allowed, and its frame. Larger ones are not even read.
pub(crate) const MAX_MESSAGE_BYTES: usize = super::check::MAX_REQUEST_BYTES + 512 * 1024;

/// HTTP/2 windows: what a client may send, and we may send it, before one waits for the other's word. A list of some thousand
/// objects fits.
const WINDOW: u32 = 4 * 1024 * 1024;

impl Shared {
    /// The header of an answer at a revision.
    #[allow(clippy::unnecessary_wraps)] // The field that it goes into is optional.
    fn header(&self, revision: i64) -> Option<PbResponseHeader> {
        let (cluster_id, member_id) = (self.identity.cluster, self.identity.member);
        Some(PbResponseHeader { cluster_id, member_id, revision, raft_term: TERM })
    }

    /// Adds who answers to a header that has its revision only.
    fn sign(&self, header: &mut Option<PbResponseHeader>) {
        let revision = header.as_ref().map_or(0, |h| h.revision);
        *header = self.header(revision);
    }
}

/// Everything that is served, on a server.
pub(crate) fn router(
    server: Server,
    handle: &Handle,
    options: &Options,
    urls: &[String],
) -> Router<tower::layer::util::Stack<NameUnsupported, tower::layer::util::Identity>> {
    server
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .layer(NameUnsupported)
        .add_routes(routes(handle, options, urls))
}

/// The same for a client in this process: its requests are answered where they are made, and no connection lies between.
pub(crate) fn local(handle: &Handle, options: &Options) -> Local {
    let named = NameUnsupported.layer(routes(handle, options, &[]));
    BoxCloneSyncService::new(ServiceExt::<Request<Body>>::map_err(named, BoxError::from))
}

fn routes(handle: &Handle, options: &Options, urls: &[String]) -> Routes {
    let members = urls.to_vec();
    Routes::new(
        PbKvServer::new(kv::Kv { handle: handle.clone() })
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(usize::MAX),
    )
    .add_service(
        PbWatchServer::new(watch::Watches { shared: handle.shared.clone(), progress: options.progress_interval })
            .max_encoding_message_size(usize::MAX),
    )
    .add_service(PbLeaseServer::new(lease::Leases { handle: handle.clone() }))
    .add_service(PbMaintenanceServer::new(maintenance::Maintenance { handle: handle.clone() }))
    .add_service(PbClusterServer::new(cluster::Cluster { shared: handle.shared.clone(), urls: members }))
    .prepare()
}
